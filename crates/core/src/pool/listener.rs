//! The listener connection of a database (`crate::listen`): a server connection of the first listener's pool that is
//! kept for as long as anybody listens.
//!
//! It counts in the pool's size and in all limits. Clients who wait for it hold connections of the same pool, so it
//! does not wait for theirs: it goes first, and while it is waited for the pool may have one connection more, which
//! it gives up again as soon as one is given back. A pool of one has two from then on, since a listener alone
//! would leave nothing for its clients. The limits of databases and users are kept strictly: where one is 1 there is
//! no listener connection.

use std::time::Instant;

use super::slots::State;
use super::{Checkout, Effect, Guise, PoolId, Pools, Refusal, ServerId, WorkerId};
use crate::facts::CloseReason;

impl Pools {
    /// Somebody needs a listener connection: as [`checkout`](Pools::checkout), but before all others.
    pub fn checkout_listener(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Checkout {
        let config = &self.registry.get(pool).config;
        for (limit, most) in [
            ("max_db_connections", config.max_db_connections),
            ("max_user_connections", config.max_user_connections),
        ] {
            if most == Some(1) {
                return Checkout::Refused(Refusal::LimitOfOne { limit });
            }
        }
        self.registry.get_mut(pool).wants_listener = true;
        let checkout = self.checkout(pool, worker, Guise::PLAIN, now, fx);
        let entry = self.registry.get_mut(pool);
        match &checkout {
            Checkout::Granted { server, .. } => entry.listener = Some(*server),
            Checkout::Queued(ticket) => entry.listener_ticket = Some(*ticket),
            Checkout::Refused(_) => {}
        }
        entry.wants_listener = entry.listener_ticket.is_some();
        checkout
    }

    /// Why the one who holds this connection for good should give it back: PAUSE, RECONNECT, KILL, shutdown, or that it
    /// is the last one, others cannot be opened, and clients wait.
    #[must_use]
    pub fn is_wanted_back(&mut self, server: ServerId) -> Option<CloseReason> {
        let entry = self.slots.find(server).filter(|entry| matches!(entry.state, State::Linked { .. }))?;
        let (closing, pool) = (entry.closing, entry.pool);
        let pool = self.registry.get(pool);
        let paused = pool.paused.then_some(CloseReason::Admin);
        let starves = pool.servers == 1 && pool.backoff.is_failing() && !pool.line.is_empty();
        closing
            .or(paused)
            .or_else(|| starves.then_some(CloseReason::OverLimit))
            .or_else(|| self.orders.draining.then_some(CloseReason::Shutdown))
    }
}
