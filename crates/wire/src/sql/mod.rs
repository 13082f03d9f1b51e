//! What a query text begins with: enough SQL to follow a session, and no more.
//!
//! [`Head::of`] names the first statement of a text in a few nanoseconds; [`Statements`] names each. Neither
//! understands what follows the head, nor whether a statement is valid: where PostgreSQL would find a syntax
//! error, any answer is right, since then nothing of the text is run.

mod head;
mod keyword;
mod lexer;
mod statements;

pub use head::Head;
pub use statements::{Statements, ends_transaction};
