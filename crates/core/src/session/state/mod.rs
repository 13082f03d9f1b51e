//! What does the session look like, on the client's side and on the server connection's?
//!
//! A client in transaction mode has one session, whichever server connection it is served by. What of it can
//! travel is kept as PostgreSQL itself spells it and is given to the next server connection before the
//! client's first message ([`Replay`]). Whether something has changed is told first by the text of what the
//! client sends (`howdah_wire::sql::Signs`), then by *asking*: what may have changed is noted as [`Doubts`],
//! and when the transaction has ended, before the server connection may go to anybody else, the server is
//! asked what its session looks like now ([`Look`]). That answer, not a guess, becomes the state.
//!
//! * `carried` – settings and roles, and how one session is turned into another
//! * `doubts` – what has to be asked about
//! * `look` – the question, and the rows of its answer
//! * `rights` – which settings may be made
//! * `trial` – settings to begin with, tried on a server connection; `beginnings` – those that were tried
//! * `literal` – text that means the same in every session

mod beginnings;
mod carried;
mod doubts;
mod literal;
mod look;
mod rights;
mod trial;

pub use beginnings::{Beginning, Beginnings};
pub(super) use carried::{Replay, same, share};
pub use carried::{SessionState, Start};
pub(super) use doubts::custom_names;
pub use doubts::{Asks, Doubts};
pub(super) use literal::from_escaped;
pub(crate) use literal::{push_identifier, push_literal};
pub(crate) use look::Look;
pub(super) use look::field;
pub use rights::Rights;
pub use trial::{Trial, Tried};
