//! Who gets the next server connection?
//!
//! [`Pools`] holds every slot, every idle connection and every waiter, and answers each event with a verdict
//! or with [`Effect`]s that the engine carries out. It opens nothing, closes nothing and reads no clock.
//!
//! - `key`: what pools, server connections, waiters and workers are called
//! - `config`: what a pool may do; whose setting wins
//! - `effect`, `refusal`: what the pool wants done, and what it says to those it cannot serve
//! - `guise`: which connections look like which client's session
//! - `desk`: [`Pools`] itself: check out, give back, opened, lost, cancelled
//! - `opening`: when another connection is opened, and whose idle one makes room for it
//! - `janitor`: what time alone brings about
//! - `administrator`: PAUSE, RESUME, RECONNECT, KILL, DISABLE, shutdown
//! - `errand`: a connection for a question of Howdah's own
//! - `listener`: the one connection that is kept for those who listen
//! - `view`: how things stand
//! - `slots`, `queue`, `registry`, `limits`, `backoff`: the parts; `lanes`, `jitter`: what they are made of
//!
//! A server connection is `Opening`, then `Linked` (in somebody's hands), `Parked` (idle), or `Held` (idle, but
//! a cancel request to it is in flight). Its slot is free the moment it leaves.

mod administrator;
mod backoff;
mod config;
mod desk;
mod effect;
mod errand;
mod guise;
mod janitor;
mod jitter;
mod key;
mod lanes;
mod limits;
mod listener;
mod opening;
mod queue;
mod refusal;
mod registry;
mod slots;
mod view;

#[cfg(test)]
mod tests;

pub use config::PoolConfig;
pub use desk::Pools;
pub use effect::{Checkout, Condition, Effect};
pub use guise::Guise;
pub use key::{PoolId, PoolKey, ServerId, Ticket, WorkerId};
pub use refusal::{OpenFailure, Refusal};
pub use view::{PoolView, ServerCounts, ServerView};
