//! What Howdah decides: logins, sessions, pools, server connections. No I/O; the clock is an argument.
//!
//! Read the rooms in this order: `client` → `session` → `pool` → `server`; `listen` stands beside them.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing))]

pub mod client;
pub mod control;
pub mod facts;
pub mod listen;
pub mod placement;
pub mod pool;
pub mod refusal;
pub mod server;
pub mod session;
pub mod settings;
