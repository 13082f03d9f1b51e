//! What a query text begins with and what it may do to the session: enough SQL to follow a session, and no more.
//!
//! [`Head::of`] names the first statement of a text in a few nanoseconds; [`Statements`] names each; [`Signs`] are
//! what the text may do to the session, told from its words and from [`Hints`] about the functions of a database;
//! [`StatementNames`] are the names of prepared statements in it, [`ListenNames`] those of channels. None of them understands a statement, nor whether
//! it is valid: where PostgreSQL would find a syntax error, any answer is right, since then nothing of the text is
//! run.

mod channel_names;
mod functions;
mod head;
mod hints;
mod identifier;
mod keyword;
mod lexer;
mod plain;
mod scan;
mod setting;
mod signs;
mod statement_names;
mod statement_texts;
mod statements;

pub use channel_names::ListenNames;
pub use head::Head;
pub use hints::{Hints, HintsBuilder};
pub use signs::{Sign, Signs};
pub use statement_names::{StatementName, StatementNames, Verb};
pub use statement_texts::prepare_text;
pub use statements::{Statements, ends_transaction};
