//! Is this server connection fit for somebody?
//!
//! A connection to PostgreSQL begins as a [`ServerLogin`] and becomes a [`Server`] or ends as an [`OpenError`].
//!
//! * `login` – connecting as somebody
//! * `state` – what a logged-in connection is in the middle of; `unnamed` – whose its unnamed statement is
//! * `held` – who may not have it yet
//! * `ask` – what Howdah says to it on its own account
//! * `cleanup` – how it is made fit for the next client when its own has gone

mod ask;
mod cleanup;
mod held;
mod login;
mod open_error;
mod state;
mod unnamed;

pub use cleanup::{Cleanup, CleanupStep};
pub use held::Held;
pub use login::{ServerLogin, ServerLoginNext, ServerLoginPlan, ServerSecret, ServerWelcome};
pub use open_error::{LoginNonsense, OpenError};
pub use state::{Server, Tally};
pub use unnamed::UnnamedStatement;
