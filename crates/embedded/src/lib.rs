//! A PostgreSQL of one's own for demos and tests.
//!
//! Answers: which PostgreSQL programs are here ([`Binaries`]), and how does a private, throw-away server come
//! to life and vanish without a trace ([`Cluster`])? The server listens on a Unix socket in its own folder and,
//! unless told otherwise, on a free port of 127.0.0.1; `fsync` is off; root starts it as an ordinary user,
//! since PostgreSQL refuses to serve root.
//!
//! A dropped cluster is stopped and its folder removed. If the owning process dies without dropping it
//! (SIGKILL, a cluster in a `static`), a [`Watchdog`] does the same. What stays in the temporary folder is
//! one initialised data directory per PostgreSQL version, so that the next start takes no `initdb`;
//! [`ClusterBuilder::one_off`] goes without.
//!
//! It does not download PostgreSQL, and it is no place for data anybody wants to keep: whoever can reach the
//! port is let in unless [`ClusterBuilder::hba`] says otherwise.

mod account;
mod binaries;
mod builder;
mod cluster;
mod error;
mod port;
mod program;
mod template;
mod watchdog;

pub use binaries::Binaries;
pub use builder::ClusterBuilder;
pub use cluster::{Cluster, StopMode};
pub use error::EmbeddedError;
pub use port::free_port;
pub use watchdog::Watchdog;
