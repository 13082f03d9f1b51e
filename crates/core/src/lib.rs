//! What Howdah decides: logins, sessions, pools, server connections. No I/O; the clock is an argument.
//!
//! Read the rooms in this order: `client` → `session` → `pool` → `server`.

pub mod control;
pub mod facts;
pub mod settings;
