//! Is this server connection fit for somebody?
//!
//! * `state` – what a logged-in connection is in the middle of, and who may not have it yet
//! * `cleanup` – how it is made fit for the next client when its own has gone

mod cleanup;
mod state;

pub use cleanup::{Cleanup, CleanupStep};
pub use state::{Held, Server, Tally, UnnamedStatement};
