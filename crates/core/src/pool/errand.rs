//! A connection for an errand of Howdah's own, which waits for nobody and keeps nobody waiting longer than it takes.

use std::time::Instant;

use super::slots::State;
use super::{PoolId, Pools, ServerId};

impl Pools {
    /// The last used of this pool's idle connections, now in the caller's hands, and whether to run the check query first.
    /// `used_since`: it must have been used since then.
    pub fn borrow(
        &mut self,
        pool: PoolId,
        used_since: Option<Instant>,
        now: Instant,
    ) -> Option<(ServerId, bool)> {
        let entry = self.registry.get_mut(pool);
        if self.orders.draining || entry.paused {
            return None;
        }
        let slot = entry.idle.last()?;
        let server = self.slots.at_mut(slot);
        if used_since.is_some_and(|since| server.unused_since <= since) {
            return None;
        }
        server.state = State::Linked { tested: false };
        let lent = (server.id, entry.config.needs_check(server.unused_since, now));
        entry.idle.remove(&mut self.slots.servers, slot);
        Some(lent)
    }
}
