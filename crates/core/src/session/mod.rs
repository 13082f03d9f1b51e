//! What is this client doing?
//!
//! A [`Session`] is a served client's conversation. It looks at message headers on their way to and from a
//! [`Server`](crate::server::Server) and says by span what is to be done with them ([`Verdict`]); only what
//! changes is written anew. It owns no socket and no clock.
//!
//! What goes by:
//!
//! * `relay_client` – the client's messages: what goes on, what needs a server connection, what is ours
//! * `relay_server` – the server's replies: whose they are; `errors` – the same of its errors; `ready` – when the client
//!   hears that it is ready; `reports` – what the server tells of a session by itself
//! * `outstanding` – replies still owed, ours and theirs
//!
//! What is prepared:
//!
//! * `prepared` – Parse, Describe and Close with names of the client's own; `bind` – Bind
//! * `server_names` – what such a name is on a server connection; `rename` – in an error it is the client's again
//! * `unnamed` – the unnamed statement, which follows its client too
//! * `statement` – a text that is prepared; `statements` – by the client's names; `server_statements` – by the server's
//! * `sql_statements` – those that SQL knows by name; `sql_names` – a text that means one finds it; `vain` – or hears
//!   why not; `learnt_names` – what has become of them
//! * `meaning` – what a statement means that is prepared now
//! * `shape` – what a client was told that its statement looks like; `recall` – what it has said that may have to be
//!   said once more, since what is prepared may be out of date
//!
//! What the session is like:
//!
//! * `parameters` – the settings that PostgreSQL reports and that follow the client; `state` – what else does
//! * `raise` – what of that a text may change; `unread` – what may change without a text
//! * `learn` – the server is asked what has changed; `correction` – what was reset is the client's own again
//! * `follow` – how all that is given to a server connection; `heard_names` – custom parameters without a value, too
//! * `hint_book` – what the functions of the database do; `survey` – how they are asked about
//! * `channels` – LISTEN, served aside
//! * `policy` – what `session_state` and `max_pinned` forbid, and what is said about it
//! * `pin` – why a server connection cannot be given back yet; `pin_ledger` – whose cannot, and how many may

mod bind;
mod channels;
mod conversation;
mod correction;
mod errors;
mod follow;
mod heard_names;
mod hint_book;
mod learn;
mod learnt_names;
mod meaning;
mod outstanding;
mod parameters;
mod pin;
mod pin_ledger;
mod policy;
mod prepared;
mod raise;
mod ready;
mod recall;
mod relay_client;
mod relay_server;
mod rename;
mod reports;
mod server_names;
mod server_statements;
mod shape;
mod sql_names;
mod sql_statements;
mod state;
mod statement;
mod statements;
mod survey;
#[cfg(test)]
mod tests;
mod unnamed;
mod unread;
mod vain;
mod verdict;

pub(crate) use conversation::Rest;
pub use conversation::{Session, SessionRules};
pub use heard_names::HeardNames;
pub(crate) use hint_book::Change;
pub use hint_book::{HintBook, Inquiry};
pub use outstanding::{Expected, Kind, Outstanding, Subject};
pub use parameters::{Parameters, Tracked};
pub use pin::{Pin, PinReason};
pub use pin_ledger::{PinCrowd, PinLedger, PinNews, PinRow, PinSums, PinTally};
pub use relay_server::on_server;
pub use server_statements::ServerStatements;
pub use shape::Shape;
pub use sql_statements::SqlStatements;
pub(crate) use state::Look;
pub use state::{Asks, Beginning, Beginnings, Doubts, Rights, SessionState, Start, Trial, Tried};
pub use statement::{Statement, StatementRegistry};
pub use statements::{ClientStatements, Told};
pub(crate) use survey::Survey;
pub(crate) use vain::Vain;
pub use verdict::{Patch, Verdict};
