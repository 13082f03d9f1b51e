//! Is this server connection fit for somebody?
//!
//! A connection to PostgreSQL begins as a [`ServerLogin`] and becomes a [`Server`] or ends as an [`OpenError`].
//!
//! * `login` – connecting as somebody
//! * `state` – what a logged-in connection is in the middle of, and who may not have it yet
//! * `cleanup` – how it is made fit for the next client when its own has gone

mod cleanup;
mod login;
mod open_error;
mod state;

pub use cleanup::{Cleanup, CleanupStep};
pub use login::{ServerLogin, ServerLoginNext, ServerLoginPlan, ServerSecret, ServerWelcome};
pub use open_error::{LoginNonsense, OpenError};
pub use state::{Held, Server, Tally, UnnamedStatement};
