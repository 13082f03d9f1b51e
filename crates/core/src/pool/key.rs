//! What pools, server connections, waiters and workers are called. No behaviour.

use std::fmt;
use std::sync::Arc;

/// Which connections can stand in for each other: same entry of `[databases]`, same user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolKey {
    /// Entry of `[databases]`, or the name asked for through `*`.
    pub database: Arc<str>,
    /// The user it is logged in as on the server.
    pub user: Arc<str>,
}

impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.database, self.user)
    }
}

/// A pool. Pools are never removed, so it stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolId(pub(super) u32);

impl PoolId {
    /// Its place among all pools, from 0 and without gaps.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A server connection, from the decision to open it on. Never used twice, so a stale one finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerId(pub u64);

impl ServerId {
    pub(super) fn new(sequence: u64, slot: usize) -> ServerId {
        debug_assert!(slot < 1 << SLOT_BITS, "more server connections than file descriptors");
        ServerId(sequence << SLOT_BITS | slot as u64)
    }

    pub(super) fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }
}

/// A place in line. Ordered by age over all pools; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    pub(super) number: u64,
    pub(super) slot: u32,
}

impl Ticket {
    /// Told apart by this from all others in line now; whoever joins next may have the one of who has left.
    #[must_use]
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

/// A worker thread, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// Sixteen million connections at once; the other 40 bits last for a thousand openings a second over 34 years.
const SLOT_BITS: u32 = 24;
