//! The counter at which connections are taken out and given back.
//!
//! Taking an idle one, and giving one back to the line or to the idle ones, touches a few slots and allocates
//! nothing. While anybody waits nothing is idle, so a checkout cannot jump the line.

use std::time::Instant;

use super::administrator::Orders;
use super::jitter::Jitter;
use super::limits::Limits;
use super::queue::Queue;
use super::registry::{Pool, Registry};
use super::slots::{Slots, State};
use super::{
    Checkout, Condition, Effect, Guise, OpenFailure, PoolConfig, PoolId, PoolKey, Refusal, ServerId, Ticket,
    WorkerId,
};
use crate::facts::CloseReason;

/// All pools of a Howdah: slots, idle connections, lines and limits.
///
/// Ids that are gone are ignored wherever they are given: events cross each other.
pub struct Pools {
    pub(super) registry: Registry,
    pub(super) slots: Slots,
    pub(super) queue: Queue,
    pub(super) limits: Limits,
    pub(super) orders: Orders,
    pub(super) jitter: Jitter,
}

impl Pools {
    /// No pools. The seed decides over lifetimes and pauses only.
    #[must_use]
    pub fn new(seed: u64) -> Pools {
        Pools {
            registry: Registry::default(),
            slots: Slots::default(),
            queue: Queue::default(),
            limits: Limits::default(),
            orders: Orders::default(),
            jitter: Jitter::new(seed),
        }
    }

    /// The pool of this key; made with these rules if there is none.
    pub fn pool(&mut self, key: &PoolKey, config: impl FnOnce() -> PoolConfig) -> PoolId {
        if let Some(id) = self.registry.find(key) {
            return id;
        }
        let id = self.registry.next_id();
        let membership = self.limits.admit(key, id);
        let paused = self.orders.is_paused(&key.database);
        self.registry.add(Pool::new(key.clone(), config(), membership, paused));
        id
    }

    /// New rules. Those who wait, and what is idle beyond the new limits, are seen to by the next tick.
    pub fn configure(&mut self, pool: PoolId, config: PoolConfig) {
        let entry = self.registry.get_mut(pool);
        let lifetime = config.lifetime;
        let same_lifetime = entry.config.lifetime == lifetime;
        entry.config = config;
        self.leave_limit_line(pool);
        if !same_lifetime {
            for server in self.slots.of(pool) {
                server.set_lifetime(lifetime);
            }
        }
    }

    /// Somebody needs a connection, for a session that looks like this.
    pub fn checkout(
        &mut self,
        pool: PoolId,
        worker: WorkerId,
        guise: Guise,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) -> Checkout {
        if self.orders.draining {
            return Checkout::Refused(Refusal::ShuttingDown);
        }
        let entry = self.registry.get_mut(pool);
        if !entry.paused {
            if let Some(slot) = entry.next_idle(&self.slots, worker, guise) {
                entry.idle.remove(&mut self.slots.servers, slot);
                let server = self.slots.at_mut(slot);
                server.state = State::Linked { tested: false };
                let check = entry.config.needs_check(server.unused_since, now);
                return Checkout::Granted { server: server.id, check };
            }
            if let Some(error) = entry.hopeless(now) {
                return Checkout::Refused(Refusal::Unavailable(error));
            }
        }
        let ticket = self.queue.join(&mut entry.line, pool, worker, now);
        if entry.in_line.is_none() {
            self.advance(pool, now, fx);
        }
        Checkout::Queued(ticket)
    }

    /// Somebody waits no longer. `false`: it does not wait any more, so what it was granted must be given back.
    pub fn abandon(&mut self, ticket: Ticket) -> bool {
        let Some(waiter) = self.queue.find(ticket) else { return false };
        let pool = waiter.pool;
        self.registry.get_mut(pool).forget_listener(ticket);
        self.queue.leave(&mut self.registry.get_mut(pool).line, ticket);
        true
    }

    /// A connection is open. `Grant`, `Park` or `Close` follows.
    pub fn opened(&mut self, server: ServerId, worker: WorkerId, now: Instant, fx: &mut Vec<Effect>) {
        let share = self.jitter.between(1.0 - LIFETIME_JITTER, 1.0 + LIFETIME_JITTER);
        let Some(entry) = self.slots.find(server).filter(|entry| entry.state == State::Opening) else {
            return;
        };
        let id = entry.pool;
        let pool = self.registry.get_mut(id);
        pool.opening -= 1;
        pool.backoff.succeeded();
        entry.state = State::Linked { tested: false };
        entry.opened = now;
        entry.unused_since = now;
        entry.lifetime_share = share;
        entry.set_lifetime(pool.config.lifetime);
        entry.worker = worker;
        self.settle(server.slot(), Origin::Opened, now, fx);
        if self.registry.get(id).in_line.is_none() {
            self.advance(id, now, fx);
        }
    }

    /// A connection could not be opened.
    pub fn open_failed(&mut self, server: ServerId, error: OpenFailure, now: Instant, fx: &mut Vec<Effect>) {
        let Some(entry) = self.slots.find(server).filter(|entry| entry.state == State::Opening) else {
            return;
        };
        let id = entry.pool;
        let pool = self.registry.get_mut(id);
        pool.backoff.failed(error, now, pool.config.login_retry, &mut self.jitter);
        self.vacate(server.slot());
        self.freed(id, now, fx);
    }

    /// Somebody is done with a connection. `Grant`, `Park` or `Close` follows.
    pub fn give_back(
        &mut self,
        server: ServerId,
        worker: WorkerId,
        condition: Condition,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) {
        self.set_testing(server, false);
        let Some(entry) = self.slots.find(server) else { return };
        if !matches!(entry.state, State::Linked { .. }) {
            return;
        }
        match condition {
            Condition::Fit => {
                entry.worker = worker;
                entry.unused_since = now;
                self.settle(server.slot(), Origin::GivenBack, now, fx);
            }
            Condition::Close(reason) => self.close(server.slot(), reason, now, fx),
        }
    }

    /// What the session of a connection looks like that is about to be given back.
    pub fn set_guise(&mut self, server: ServerId, guise: Guise) {
        if let Some(entry) = self.slots.find(server) {
            entry.guise = guise;
        }
    }

    /// A connection died, whatever it was doing. Its slot is free.
    pub fn lost(&mut self, server: ServerId, now: Instant, fx: &mut Vec<Effect>) {
        let Some(entry) = self.slots.find(server) else { return };
        let pool = entry.pool;
        self.vacate(server.slot());
        self.freed(pool, now, fx);
    }

    /// A cancel request is on its way to this connection: until it has ended, nobody else gets it.
    pub fn cancel_started(&mut self, server: ServerId) {
        let Some(entry) = self.slots.find(server) else { return };
        entry.cancels += 1;
        if entry.state == State::Parked {
            entry.state = State::Held;
            let pool = self.registry.get_mut(entry.pool);
            pool.idle.remove(&mut self.slots.servers, server.slot());
            pool.held += 1;
        }
    }

    /// A cancel request has arrived or failed. `Grant` or `Close` may follow for a connection kept meanwhile.
    pub fn cancel_ended(&mut self, server: ServerId, now: Instant, fx: &mut Vec<Effect>) {
        let Some(entry) = self.slots.find(server) else { return };
        entry.cancels = entry.cancels.saturating_sub(1);
        if entry.cancels == 0 && entry.state == State::Held {
            entry.state = State::Linked { tested: false };
            self.registry.get_mut(entry.pool).held -= 1;
            self.settle(server.slot(), Origin::Kept, now, fx);
        }
    }

    /// The one who holds it begins or ends checking or cleaning it.
    pub fn set_testing(&mut self, server: ServerId, testing: bool) {
        let Some(entry) = self.slots.find(server) else { return };
        if let State::Linked { tested } = &mut entry.state
            && *tested != testing
        {
            *tested = testing;
            let pool = self.registry.get_mut(entry.pool);
            if testing { pool.tested += 1 } else { pool.tested -= 1 }
        }
    }

    /// What becomes of an unused connection that is in nobody's lane.
    fn settle(&mut self, slot: usize, origin: Origin, now: Instant, fx: &mut Vec<Effect>) {
        if let Some(reason) = self.unwanted(slot, origin, now) {
            return self.close(slot, reason, now, fx);
        }
        let server = self.slots.at_mut(slot);
        let pool = self.registry.get_mut(server.pool);
        if server.cancels > 0 {
            server.state = State::Held;
            pool.held += 1;
            fx.push(Effect::Park { server: server.id });
            return;
        }
        if self.limits.is_contended(pool.membership) && self.yields(slot, now) {
            return self.close(slot, CloseReason::OverLimit, now, fx);
        }
        let server = self.slots.at_mut(slot);
        let pool = self.registry.get_mut(server.pool);
        let listener =
            pool.listener_ticket.and_then(|ticket| self.queue.find(ticket)).map(|first| first.ticket);
        let mut next = || self.queue.next(&mut pool.line, server.worker, pool.config.size, now);
        if let Some(ticket) = listener.or_else(|| next().map(|waiter| waiter.ticket)) {
            if pool.forget_listener(ticket) {
                pool.listener = Some(server.id);
            }
            let check = pool.config.needs_check(server.unused_since, now);
            self.queue.leave(&mut pool.line, ticket);
            fx.push(Effect::Grant { ticket, server: server.id, check });
            return;
        }
        server.state = State::Parked;
        let (id, worker) = (server.id, server.worker);
        pool.idle.push(&mut self.slots.servers, slot, worker);
        if origin != Origin::Kept {
            fx.push(Effect::Park { server: id });
        }
    }

    /// Why this unused connection should not be used again.
    fn unwanted(&self, slot: usize, origin: Origin, now: Instant) -> Option<CloseReason> {
        let server = self.slots.at(slot);
        let pool = self.registry.get(server.pool);
        if server.closing.is_some() {
            server.closing
        } else if self.orders.draining {
            Some(CloseReason::Shutdown)
        } else if pool.paused {
            Some(CloseReason::Admin)
        } else if pool.servers > pool.ceiling() || self.limits.is_exceeded(pool.membership, &pool.config) {
            Some(CloseReason::OverLimit)
        } else if origin != Origin::Opened && server.is_expired(now) && pool.may_replace(now) {
            Some(CloseReason::ServerLifetime)
        } else {
            None
        }
    }

    /// Orders a connection closed and passes its slot on.
    pub(super) fn close(&mut self, slot: usize, reason: CloseReason, now: Instant, fx: &mut Vec<Effect>) {
        let (server, pool) = self.vacate(slot);
        fx.push(Effect::Close { server, reason });
        self.freed(pool, now, fx);
    }

    /// Takes a connection out of all books. Whose turn it is then is another question: see `freed`.
    pub(super) fn vacate(&mut self, slot: usize) -> (ServerId, PoolId) {
        let (state, id) = (self.slots.at(slot).state, self.slots.at(slot).pool);
        let pool = self.registry.get_mut(id);
        match state {
            State::Opening => pool.opening -= 1,
            State::Linked { tested: true } => pool.tested -= 1,
            State::Linked { tested: false } => {}
            State::Parked => pool.idle.remove(&mut self.slots.servers, slot),
            State::Held => pool.held -= 1,
        }
        pool.servers -= 1;
        pool.listener.take_if(|listener| listener.slot() == slot);
        self.limits.closed(pool.membership);
        (self.slots.servers.remove(slot).id, id)
    }
}

/// Where a connection comes from whose fate is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It has just been opened: not too old for a first use, however short its life.
    Opened,
    /// From a client.
    GivenBack,
    /// The engine keeps it parked already.
    Kept,
}

/// Share of the lifetime by which connections differ.
const LIFETIME_JITTER: f64 = 0.05;
