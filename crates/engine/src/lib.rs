//! The engine: sockets, timers and threads that drive `howdah_core`. It decides nothing itself.
//!
//! A worker per core, each a thread with a runtime of its own, and a task per client. Read in this order:
//! [`Howdah`] (threads) → `acceptor` → `worker` → `client_task` → `shared_pool`.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

mod acceptor;
mod balance;
mod cancel_keys;
mod client_card;
mod client_task;
mod configuration;
mod conn;
mod consoles;
mod control;
mod duties;
mod exchange;
mod howdah;
mod line;
mod listener;
mod logins;
mod lore;
pub mod net;
mod opener;
mod outbox;
mod server_conn;
mod shared;
mod shared_pool;
#[cfg(test)]
mod simulation;
mod snapshot;
mod statistics;
mod uring;
mod worker;

pub use acceptor::{ListenError, listen_tcp};
pub use configuration::Configuration;
pub use control::Control;
pub use howdah::{Howdah, StartError};
