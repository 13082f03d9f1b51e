//! What does a PostgreSQL session look like after these statements?
//!
//! [`Session`] is the session of a backend without the backend: settings (for the session, for the transaction),
//! role and session authorization, prepared statements, advisory locks, temporary tables, cursors WITH HOLD and
//! channels, with transactions and savepoints as PostgreSQL has them. The model servers of the tests speak the
//! protocol and know statements of their own; whatever changes or shows a session they hand to [`Session::run`].
//!
//! It understands the statements that change a session in their plain forms, the questions that Howdah asks about
//! it and the statements with which Howdah changes it, and `SELECT session()`, which shows all of it in one row.
//! It does not know tables, expressions or privileges beyond whether a role is a superuser; roles whose name begins
//! with `super` are, those beginning with `no` do not exist. Of two sessions' advisory locks none ever waits.
//!
//! * `session` – what a session is, and its transactions
//! * `run` – the other statements; `call` – functions
//! * `settings` – settings and roles, and what a transaction does to them
//! * `question` – the answers to Howdah's questions
//! * `token` – the words of a text

mod call;
mod question;
mod run;
mod session;
mod settings;
mod token;

pub use run::Done;
pub use session::{Prepared, Session};
pub use token::statements;

/// An error as PostgreSQL would report it: its SQLSTATE and its message.
pub type SqlError = (&'static str, String);
