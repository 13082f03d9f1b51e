//! Replies still owed by a server connection, ours and theirs.
//!
//! One entry for each message sent that PostgreSQL answers, in order, so that each reply finds its
//! question. The rules are those of PostgreSQL's main loop (protocol chapter, "Message Flow").
//!
//! * `expected` – an entry: which message it was, whose, and what hangs on its answer
//! * `queue` – how entries come and go; `copy_in` – what COPY FROM STDIN does to those around it
//! * `owed` – what all others ask of it
//!
//! Where the queue cannot tell what the server did, it says so ([`Doubt`]) and the connection is closed.

mod copy_in;
mod expected;
mod owed;
mod queue;

pub use expected::{Expected, Kind, Subject};
pub use queue::Outstanding;
pub(super) use queue::{Answer, Doubt};
