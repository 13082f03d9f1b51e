//! Is this server connection fit for somebody?
//!
//! * `server` – what a logged-in connection is in the middle of, and how it is cleaned

mod server;

pub use server::{Cleanup, CleanupStep, Held, Server, Tally, UnnamedStatement};
