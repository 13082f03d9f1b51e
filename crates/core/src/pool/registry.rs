//! Which pools are there, and what belongs to each?

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::backoff::Backoff;
use super::lanes::Lanes;
use super::limits::{Limit, Membership};
use super::queue::Line;
use super::slots::Slots;
use super::{Guise, OpenFailure, PoolConfig, PoolId, PoolKey, ServerId, Ticket, WorkerId};

/// All pools, by number and by key. None is ever removed.
#[derive(Default)]
pub(super) struct Registry {
    pools: Vec<Pool>,
    ids: FxHashMap<PoolKey, PoolId>,
}

impl Registry {
    pub(super) fn find(&self, key: &PoolKey) -> Option<PoolId> {
        self.ids.get(key).copied()
    }

    /// The number the next pool gets.
    pub(super) fn next_id(&self) -> PoolId {
        PoolId(u32::try_from(self.pools.len()).expect("more pools than memory holds names"))
    }

    pub(super) fn add(&mut self, pool: Pool) {
        self.ids.insert(pool.key.clone(), self.next_id());
        self.pools.push(pool);
    }

    #[inline]
    pub(super) fn get(&self, id: PoolId) -> &Pool {
        self.pools.get(id.index()).expect("pools are numbered here and never removed")
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: PoolId) -> &mut Pool {
        self.pools.get_mut(id.index()).expect("pools are numbered here and never removed")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PoolId, &Pool)> {
        self.ids().zip(&self.pools)
    }

    /// All there are now.
    pub(super) fn ids(&self) -> impl Iterator<Item = PoolId> + use<> {
        (0..self.next_id().0).map(PoolId)
    }

    /// Those of one database, or all.
    pub(super) fn of_database(&self, database: Option<&str>) -> Vec<PoolId> {
        let wanted = |pool: &Pool| database.is_none_or(|name| *pool.key.database == *name);
        self.iter().filter(|(_, pool)| wanted(pool)).map(|(id, _)| id).collect()
    }
}

/// One pool: database and user.
pub(super) struct Pool {
    pub(super) key: PoolKey,
    pub(super) config: PoolConfig,
    /// The limits it shares with other pools.
    pub(super) membership: Membership,
    /// The limit whose line it stands in: it needs a connection and may not open one.
    pub(super) in_line: Option<Limit>,
    /// Under PAUSE or KILL.
    pub(super) paused: bool,
    /// All slots.
    pub(super) servers: u32,
    /// Of those, being opened.
    pub(super) opening: u32,
    /// Of those, being checked or cleaned.
    pub(super) tested: u32,
    /// Of those, unused but with a cancel request in flight.
    pub(super) held: u32,
    /// Of those, idle: last used last.
    pub(super) idle: Lanes,
    pub(super) line: Line,
    /// A listener connection is asked for, perhaps in line.
    pub(super) wants_listener: bool,
    pub(super) listener_ticket: Option<Ticket>,
    /// The listener connection, while it is out.
    pub(super) listener: Option<ServerId>,
    /// Pins have left the others nothing but the listener connection.
    pub(super) crowded: bool,
    pub(super) backoff: Backoff,
}

impl Pool {
    pub(super) fn new(key: PoolKey, config: PoolConfig, membership: Membership, paused: bool) -> Pool {
        Pool {
            key,
            config,
            membership,
            in_line: None,
            paused,
            servers: 0,
            opening: 0,
            tested: 0,
            held: 0,
            idle: Lanes::default(),
            line: Line::default(),
            wants_listener: false,
            listener_ticket: None,
            listener: None,
            crowded: false,
            backoff: Backoff::default(),
        }
    }

    /// The idle one to use next, by a client whose session looks like this.
    #[inline]
    pub(super) fn next_idle(&self, slots: &Slots, worker: WorkerId, guise: Guise) -> Option<usize> {
        if self.config.round_robin {
            return self.idle.first();
        }
        let next = self.idle.last_of(worker).or_else(|| self.idle.last())?;
        Some(if slots.at(next).guise == guise { next } else { self.most_alike(slots, worker, guise, next) })
    }

    /// Among the last few, this worker's first: one whose session is the client's; or one of its role, since to
    /// change that costs a round trip; or `next`.
    #[cold]
    fn most_alike(&self, slots: &Slots, worker: WorkerId, guise: Guise, next: usize) -> usize {
        let own = || self.idle.back_of(&slots.servers, worker).take(LOOKED_AT);
        let all = || self.idle.back(&slots.servers).take(LOOKED_AT);
        let equal = |slot: &usize| slots.at(*slot).guise == guise;
        let same_role = |slot: &usize| slots.at(*slot).guise.same_role(guise);
        let equal = own().find(equal).or_else(|| all().find(equal));
        equal.or_else(|| own().find(same_role)).or_else(|| all().find(same_role)).unwrap_or(next)
    }

    /// How many it may ever have.
    pub(super) fn ceiling(&self) -> u32 {
        self.size().saturating_add(self.config.reserve_size)
    }

    /// How many it may have without need: `pool_size`, and what a listener adds to it.
    pub(super) fn size(&self) -> u32 {
        let crowded = if self.crowded { self.config.size.saturating_add(1) } else { 0 };
        let least = if self.listener.is_some() { crowded.max(2) } else { 0 };
        self.config.size.max(least).saturating_add(u32::from(self.wants_listener))
    }

    /// This ticket is in line no more. Says whether it was the listener's.
    pub(super) fn forget_listener(&mut self, ticket: Ticket) -> bool {
        let was = self.listener_ticket.take_if(|listener| *listener == ticket).is_some();
        self.wants_listener &= !was;
        was
    }

    /// Nothing is open or being opened and it is too early to try again: what the server said.
    pub(super) fn hopeless(&self, now: Instant) -> Option<OpenFailure> {
        self.backoff.running(now).filter(|_| self.servers == 0).cloned()
    }

    /// A working connection may be closed for its age: it is not needed now, or a new one can take its
    /// place. With `server_lifetime = 0` each is for a single use.
    pub(super) fn may_replace(&self, now: Instant) -> bool {
        let single_use = self.config.lifetime.is_some_and(|lifetime| lifetime.is_zero());
        single_use || self.backoff.running(now).is_none() && (self.line.is_empty() || self.opening == 0)
    }

    /// The longest idle one, if it has been idle for so long.
    pub(super) fn overdue(&self, slots: &Slots, idle: Duration, now: Instant) -> Option<usize> {
        let slot = self.idle.first()?;
        (now.saturating_duration_since(slots.at(slot).unused_since) >= idle).then_some(slot)
    }
}

/// So many idle connections are looked at for one that suits a client better than the next.
const LOOKED_AT: usize = 8;
