//! Is this one fit?
//!
//! A connection to PostgreSQL begins as a [`ServerLogin`] and either becomes usable or ends as an [`OpenError`].

mod login;
mod open_error;

pub use login::{ServerLogin, ServerLoginNext, ServerLoginPlan, ServerSecret, ServerWelcome};
pub use open_error::{LoginNonsense, OpenError};
