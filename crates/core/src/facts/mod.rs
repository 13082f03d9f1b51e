//! What happened, and how things stand.

mod counters;
mod reason;
mod snapshot;

pub use counters::Counters;
pub use reason::{CloseReason, Side};
pub use snapshot::{
    Address, ClientRow, ClientState, DatabaseRow, Lists, PoolRow, ServerRow, ServerState, Snapshot, StatsRow,
    UserRow,
};
