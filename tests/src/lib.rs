//! The end-to-end harness: a real PostgreSQL, the real binary, and clients of every kind.
//!
//! - [`postgres`] is one server for all tests of a test program; each test has a [`Database`] of its own in it.
//! - [`Howdah`] is the binary with a configuration of the test's own, on a port of its own.
//! - [`fake_server`] is a server that misbehaves as a test wishes.
//! - [`RawClient`] speaks the protocol byte by byte; [`psql`] and [`run_driver`] are the clients people use.
//! - [`parity`] compares a session through Howdah with a direct one.
//! - [`eventually`] waits for a state.
//!
//! It panics with a description instead of returning errors: whatever goes wrong here ends the test.

mod console;
mod drivers;
pub mod fake_server;
mod howdah;
mod log;
mod metrics;
pub mod parity;
mod postgres;
mod process;
mod program;
mod raw;
mod wait;

pub use console::Row;
pub use drivers::{python, run_driver};
pub use howdah::{Howdah, HowdahBuilder, StartFailure};
pub use metrics::{Metrics, Page};
pub use postgres::{Database, postgres};
pub use program::{howdah_command, psql, run_program};
pub use raw::client::RawClient;
pub use raw::message;
pub use raw::reply::{Message, only_error, tags};
pub use rustix::process::Signal;
pub use wait::{PATIENCE, eventually};
