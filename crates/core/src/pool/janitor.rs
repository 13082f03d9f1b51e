//! What time alone brings about: who has waited too long, what has been idle or open too long, what is missing.

use std::time::Instant;

use super::limits::Limit;
use super::{Effect, PoolId, Pools, Refusal};
use crate::facts::CloseReason;

impl Pools {
    /// A round through all pools; some ten times a second, and after `configure`.
    pub fn tick(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        for id in self.registry.ids() {
            self.expire_waiters(id, now, fx);
            self.notify_waiters(id, now, fx);
            self.close_surplus(id, now, fx);
            self.close_unused(id, now, fx);
            self.close_aged(id, now, fx);
            self.keep_minimum(id, now, fx);
            let pool = self.registry.get(id);
            if !pool.line.is_empty() && pool.in_line.is_none() {
                self.advance(id, now, fx);
            }
        }
    }

    /// `query_wait_timeout`.
    fn expire_waiters(&mut self, id: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        let pool = self.registry.get(id);
        let Some(limit) = pool.config.query_wait else { return };
        if self.queue.first(&pool.line).is_none_or(|first| first.waited(now) < limit) {
            return;
        }
        let waiting = pool.line.len();
        let servers = self.count_servers(pool, now);
        let pool = self.registry.get_mut(id);
        while let Some(waiter) = self.queue.first(&pool.line).filter(|waiter| waiter.waited(now) >= limit) {
            let (ticket, waited) = (waiter.ticket, waiter.waited(now));
            self.queue.leave(&mut pool.line, ticket);
            pool.forget_listener(ticket);
            let (key, paused) = (pool.key.clone(), pool.paused);
            let refusal = Refusal::WaitTimeout { pool: key, waited, servers, waiting, paused };
            fx.push(Effect::Refuse { ticket, refusal });
        }
    }

    /// `query_wait_notify`.
    fn notify_waiters(&mut self, id: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        let pool = self.registry.get(id);
        let Some(limit) = pool.config.query_wait_notify else { return };
        let begin = fx.len();
        let due = self.queue.iter(&pool.line).take_while(|waiter| waiter.waited(now) >= limit);
        fx.extend(
            due.filter(|waiter| !waiter.notified)
                .map(|waiter| Effect::Notify { ticket: waiter.ticket, waited: waiter.waited(now) }),
        );
        for effect in fx.get(begin..).unwrap_or_default() {
            if let Effect::Notify { ticket, .. } = effect
                && let Some(waiter) = self.queue.find(*ticket)
            {
                waiter.notified = true;
            }
        }
    }

    /// Idle ones beyond limits that were lowered.
    fn close_surplus(&mut self, id: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        loop {
            let pool = self.registry.get(id);
            let surplus =
                pool.servers > pool.ceiling() || self.limits.is_exceeded(pool.membership, &pool.config);
            let Some(slot) = pool.idle.first().filter(|_| surplus) else { return };
            self.close(slot, CloseReason::OverLimit, now, fx);
        }
    }

    /// `server_idle_timeout`, down to `min_pool_size`.
    fn close_unused(&mut self, id: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        loop {
            let pool = self.registry.get(id);
            let Some(limit) = pool.config.idle_timeout else { return };
            if pool.servers <= pool.config.min_size {
                return;
            }
            let Some(slot) = pool.overdue(&self.slots, limit, now) else { return };
            self.close(slot, CloseReason::ServerIdleTimeout, now, fx);
        }
    }

    /// `server_lifetime`: a few at a time, so that connections of one age do not leave the pool empty. What is
    /// for a single use (lifetime 0) is idle only before it.
    fn close_aged(&mut self, id: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        let pool = self.registry.get(id);
        let ages = pool.config.lifetime.is_some_and(|lifetime| !lifetime.is_zero());
        if !ages || !pool.may_replace(now) {
            return;
        }
        for _ in 0..AGED_PER_TICK {
            let mut idle = self.registry.get(id).idle.iter(&self.slots.servers);
            let Some(slot) = idle.find(|&slot| self.slots.at(slot).is_expired(now)) else { return };
            drop(idle);
            self.close(slot, CloseReason::ServerLifetime, now, fx);
        }
    }

    /// `min_pool_size`: never at another pool's cost, and not while the server refuses.
    fn keep_minimum(&mut self, id: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        loop {
            let pool = self.registry.get(id);
            let room = |limit| self.limits.has_room(limit, pool.membership, &pool.config, 0);
            let missing = pool.servers < pool.config.min_size.min(pool.config.size);
            if !(missing && self.may_try(pool, now) && room(Limit::Database) && room(Limit::User)) {
                return;
            }
            self.open(id, now, fx);
        }
    }
}

/// Connections of a pool closed for their age in one round.
const AGED_PER_TICK: usize = 2;
