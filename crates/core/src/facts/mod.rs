//! What happened, and how things stand.

mod closes;
mod counters;
mod reason;
mod snapshot;

pub use closes::Closes;
pub use counters::Counters;
pub use reason::{CloseReason, Side};
pub use snapshot::{
    Address, ClientRow, ClientState, DatabaseRow, Lists, PoolPins, PoolRow, ServerRow, ServerState, Snapshot,
    StatsRow, UserRow,
};
