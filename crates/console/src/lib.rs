//! What the operator sees: the console on database `pgbouncer` (and `howdah`).
//!
//! A machine without sockets: bytes in; replies, or a [`Request`] for the engine, out. From text to answer:
//! `command` (what is wanted?) → `access` (may they?) → `session` (the conversation, simple and extended
//! protocol) → `show` (tables) → `reply` (bytes). `error` is all that can be wrong. [`metrics`] writes the same
//! numbers for Prometheus.
//!
//! PgBouncer speaks the simple protocol only; here drivers that know nothing but the extended one can read
//! the same tables, also in binary.
//!
//! [`Request`]: howdah_core::control::Request

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod access;
mod command;
mod error;
pub mod metrics;
mod reply;
#[cfg(test)]
mod sample;
mod session;
mod show;

use howdah_core::control::{AdminRole, ConsoleDoor, ConsoleSession};

use session::Session;

/// Opens consoles.
#[derive(Clone, Copy, Debug, Default)]
pub struct Door;

impl ConsoleDoor for Door {
    fn open(&self, user: &str, role: AdminRole) -> Box<dyn ConsoleSession> {
        Box::new(Session::new(user, role))
    }
}

/// What the console says it is. Tools that parse PgBouncer's `1.25.2/bouncer` find the version they look for.
const SERVER_VERSION: &str = "1.25.2/howdah";
