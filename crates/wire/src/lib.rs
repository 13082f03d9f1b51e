//! PostgreSQL's frontend/backend protocol, bytes ⇄ messages: no I/O, no clock.
//!
//! In the order a connection meets them: the [`startup`] packet and its [`cancel_key`]; then framed messages
//! ([`frame`]), those a client sends ([`frontend`]) and those a server sends ([`backend`], of which the
//! [`error_response`] with its [`sqlstate`] is the longest); and what a query text begins with ([`sql`]).
//! Logging in: what is stored of a password ([`secret`], [`md5`]) and how it is proved ([`sasl`]).
//!
//! Views borrow from the message they read; writers append to a `Vec<u8>` of the caller's. Strings are written
//! up to their first NUL, which is where PostgreSQL would stop reading them.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod backend;
mod body;
pub mod cancel_key;
pub mod error_response;
pub mod frame;
pub mod frontend;
pub mod md5;
pub mod sasl;
pub mod secret;
pub mod sql;
pub mod sqlstate;
pub mod startup;

pub use backend::TransactionStatus;
pub use body::{BodyError, write_message};
pub use cancel_key::{CancelKey, CancelSecret};
pub use error_response::{ErrorResponse, Severity};
pub use frame::{FrameError, FrameHeader};
pub use secret::Secret;
pub use sqlstate::SqlState;
pub use startup::{ProtocolVersion, Startup, StartupError, StartupPacket};
