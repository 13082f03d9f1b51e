//! Who hears what?
//!
//! In transaction and statement mode a client's LISTEN cannot live on the server connection it was said on. One
//! listener connection per database does the listening for all of them. The [`Switchboard`] of a database knows
//! who listens to what, says what the listener connection has to be told, and hands each notification to those it
//! is for. It opens nothing, reads no socket and no clock.
//!
//! - `channel`: the name of a channel
//! - `inbox`: what waits for one client, bounded
//! - `switchboard`: [`Switchboard`] itself, as the clients see it
//! - `connection`: the same, as the listener connection sees it: what is asked on it, and how it went
//! - `retry`: when may a lost listener connection be opened again?
//!
//! A subscription is `Expected` from the moment a client's text says LISTEN, so that nothing is missed, and
//! `Confirmed` once the server has said what the transaction came to. What is sent to an expected one while its
//! transaction runs is not the client's yet: PostgreSQL's LISTEN takes effect at commit.

mod channel;
mod connection;
mod inbox;
mod retry;
mod switchboard;
#[cfg(test)]
mod tests;

pub use channel::Channel;
pub use connection::{Broken, Next};
pub use inbox::Overflow;
pub use switchboard::{Effect, Round, Switchboard};
