//! When is another connection opened, and whose idle one is closed to make room?
//!
//! A pool opens as many as have nobody else to hope for: waiters not yet matched by a connection being opened. If a
//! shared limit stops it, another pool's idle connection goes; if there is none, it stands in that limit's line, and
//! whatever becomes free there goes to the pool whose first waiter is oldest. While a pool stands in line, nothing
//! under that limit stays idle; and a pool that keeps its connections busy must let go of one when somebody in line
//! has waited far longer than its own waiters.

use std::time::{Duration, Instant};

use super::limits::Limit;
use super::registry::Pool;
use super::{Effect, PoolId, Pools, Refusal, Ticket};
use crate::facts::CloseReason;

impl Pools {
    /// Opens what a pool needs and may open; else stands in line for it.
    pub(super) fn advance(&mut self, pool: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        self.refuse_hopeless(pool, now, fx);
        self.leave_limit_line(pool);
        while self.needs_another(pool, now) {
            if let Err(limit) = self.make_room(pool, fx) {
                let entry = self.registry.get_mut(pool);
                entry.in_line = Some(limit);
                self.limits.join_line(limit, entry.membership, pool);
                return;
            }
            self.open(pool, now, fx);
        }
    }

    /// A slot of this pool became free: whose turn is it?
    pub(super) fn freed(&mut self, pool: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        self.refuse_hopeless(pool, now, fx);
        let entry = self.registry.get(pool);
        if !self.limits.is_contended(entry.membership) {
            return self.advance(pool, now, fx);
        }
        let mut own = self.queue.first(&entry.line).map(|waiter| waiter.ticket);
        own = own.filter(|_| entry.in_line.is_none());
        loop {
            match (own, self.first_in_line(pool, 0, now)) {
                (Some(mine), Some((theirs, other))) if theirs < mine => self.advance(other, now, fx),
                (None, Some((_, other))) => self.advance(other, now, fx),
                (Some(_), _) => {
                    own = None;
                    self.advance(pool, now, fx);
                }
                (None, None) => return,
            }
        }
    }

    /// Must this pool let go of an unused connection, since another one in line needs it more?
    pub(super) fn yields(&mut self, slot: usize, now: Instant) -> bool {
        let (pool, opened) = (self.slots.at(slot).pool, self.slots.at(slot).opened);
        let Some((_, needy)) = self.first_in_line(pool, 1, now) else { return false };
        let waited = |entry: &Pool| self.queue.first(&entry.line).map(|waiter| waiter.waited(now));
        let theirs = self.registry.get(needy);
        match (waited(self.registry.get(pool)), waited(theirs)) {
            (None, _) => true,
            (Some(ours), Some(longest)) => {
                let paid_off = now.saturating_duration_since(opened) >= PATIENCE;
                needy != pool && theirs.opening == 0 && paid_off && longest >= 2 * ours + PATIENCE
            }
            (Some(_), None) => false,
        }
    }

    /// Opens one. There must be room.
    pub(super) fn open(&mut self, pool: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        let server = self.slots.open(pool, now);
        let entry = self.registry.get_mut(pool);
        entry.servers += 1;
        entry.opening += 1;
        self.limits.opened(entry.membership);
        fx.push(Effect::Open { server, pool });
    }

    /// May this pool try to open one now, as far as the server and its own parallelism are concerned?
    pub(super) fn may_try(&self, pool: &Pool, now: Instant) -> bool {
        let parallel = if pool.backoff.is_failing() { 1 } else { MAX_OPENING };
        !self.orders.draining
            && !pool.paused
            && pool.opening < parallel
            && pool.backoff.running(now).is_none()
    }

    pub(super) fn leave_limit_line(&mut self, pool: PoolId) {
        let entry = self.registry.get_mut(pool);
        if let Some(limit) = entry.in_line.take() {
            self.limits.leave_line(limit, entry.membership, pool);
        }
    }

    /// Refuses everybody in this pool's line.
    pub(super) fn refuse_all(&mut self, pool: PoolId, refusal: &Refusal, fx: &mut Vec<Effect>) {
        let entry = self.registry.get_mut(pool);
        while let Some(ticket) = self.queue.first(&entry.line).map(|waiter| waiter.ticket) {
            self.queue.leave(&mut entry.line, ticket);
            entry.forget_listener(ticket);
            fx.push(Effect::Refuse { ticket, refusal: refusal.clone() });
        }
    }

    /// Nobody waits for what cannot come: the server's own error is passed on.
    fn refuse_hopeless(&mut self, pool: PoolId, now: Instant, fx: &mut Vec<Effect>) {
        let entry = self.registry.get(pool);
        if let Some(error) = entry.hopeless(now).filter(|_| !entry.paused) {
            self.refuse_all(pool, &Refusal::Unavailable(error), fx);
        }
    }

    /// Somebody waits for a connection that nobody is opening, and the pool's own rules allow one more.
    fn needs_another(&self, pool: PoolId, now: Instant) -> bool {
        let pool = self.registry.get(pool);
        let Some(first) = self.queue.first(&pool.line) else { return false };
        let standing = pool.config.reserve_timeout.is_some_and(|timeout| first.waited(now) >= timeout);
        let most = if standing { pool.ceiling() } else { pool.size() };
        pool.line.len() > pool.opening as usize && pool.servers < most && self.may_try(pool, now)
    }

    /// Closes idle connections of other pools until the shared limits allow another one; none if that cannot be
    /// reached. `Err`: the limit in the way.
    fn make_room(&mut self, pool: PoolId, fx: &mut Vec<Effect>) -> Result<(), Limit> {
        self.close_excess(Limit::Database, pool, fx);
        self.close_excess(Limit::User, pool, fx);
        let entry = self.registry.get(pool);
        let of = entry.membership;
        let first = if self.limits.has_room(Limit::Database, of, &entry.config, 0) {
            None
        } else {
            Some(self.victim(Limit::Database, pool, None).ok_or(Limit::Database)?)
        };
        let shared = first.is_some_and(|slot| {
            self.registry.get(self.slots.at(slot).pool).membership.shares(Limit::User, of)
        });
        let second = if self.limits.has_room(Limit::User, of, &entry.config, u32::from(shared)) {
            None
        } else {
            Some(self.victim(Limit::User, pool, first).ok_or(Limit::User)?)
        };
        for slot in first.into_iter().chain(second) {
            self.evict(slot, fx);
        }
        Ok(())
    }

    /// Closes idle connections beyond a limit that was lowered.
    fn close_excess(&mut self, limit: Limit, pool: PoolId, fx: &mut Vec<Effect>) {
        loop {
            let entry = self.registry.get(pool);
            let exceeded = self.limits.exceeds(limit, entry.membership, &entry.config);
            let Some(slot) = exceeded.then(|| self.victim(limit, pool, None)).flatten() else { return };
            self.evict(slot, fx);
        }
    }

    fn evict(&mut self, slot: usize, fx: &mut Vec<Effect>) {
        let (server, _) = self.vacate(slot);
        fx.push(Effect::Close { server, reason: CloseReason::OverLimit });
    }

    /// The idle connection under this limit that is missed least: of a pool above its minimum if there is one,
    /// idle the longest among those.
    fn victim(&self, limit: Limit, needy: PoolId, except: Option<usize>) -> Option<usize> {
        let of = self.registry.get(needy).membership;
        let candidate = |&id: &PoolId| {
            let pool = self.registry.get(id);
            let slot = pool.idle.iter(&self.slots.servers).find(|&slot| Some(slot) != except)?;
            let missed = pool.servers <= pool.config.min_size;
            Some((missed, self.slots.at(slot).unused_since, slot))
        };
        self.limits.pools(limit, of).iter().filter_map(candidate).min().map(|(_, _, slot)| slot)
    }

    /// Of the pools in line at this pool's limits that could use `freed` more connections, the one whose first
    /// waiter is oldest. Those that need none any more leave the line.
    fn first_in_line(&mut self, pool: PoolId, freed: u32, now: Instant) -> Option<(Ticket, PoolId)> {
        let of = self.registry.get(pool).membership;
        let mut best = None;
        for limit in [Limit::Database, Limit::User] {
            let mut place = 0;
            while let Some(&other) = self.limits.line(limit, of).get(place) {
                if !self.needs_another(other, now) {
                    self.leave_limit_line(other);
                    continue;
                }
                place += 1;
                let entry = self.registry.get(other);
                if self.limits.has_room(limit, of, &entry.config, freed) {
                    let ticket = self.queue.first(&entry.line).map(|waiter| (waiter.ticket, other));
                    best = [best, ticket].into_iter().flatten().min();
                }
            }
        }
        best
    }
}

/// Connections of a pool being opened at once: more would be a stampede on the postmaster.
const MAX_OPENING: u32 = 8;
/// What a waiter behind a shared limit bears before a busy pool must give, and what a connection serves at least
/// before it is given up: opening anew has its price.
const PATIENCE: Duration = Duration::from_millis(100);
