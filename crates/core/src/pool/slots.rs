//! Which server connections are there, and what is each of them doing?
//!
//! A slot exists from the decision to open a connection until it is lost, refused or ordered closed.

use std::time::{Duration, Instant};

use slab::Slab;

use super::lanes::{Links, Member};
use super::{Guise, PoolId, ServerId, WorkerId};
use crate::facts::CloseReason;

/// All slots of all pools.
#[derive(Default)]
pub(super) struct Slots {
    /// By [`ServerId::slot`]; for the lanes that link them. Look-ups by id go through [`Slots::find`].
    pub(super) servers: Slab<Server>,
    opened: u64,
}

impl Slots {
    /// A slot for a connection about to be opened.
    pub(super) fn open(&mut self, pool: PoolId, now: Instant) -> ServerId {
        self.opened += 1;
        let entry = self.servers.vacant_entry();
        let id = ServerId::new(self.opened, entry.key());
        entry.insert(Server {
            id,
            pool,
            state: State::Opening,
            guise: Guise::PLAIN,
            worker: WorkerId::default(),
            cancels: 0,
            closing: None,
            opened: now,
            lifetime_share: 1.0,
            expires: None,
            unused_since: now,
            links: Links::default(),
        });
        id
    }

    /// The connection of this id, unless it is gone.
    #[inline]
    pub(super) fn find(&mut self, id: ServerId) -> Option<&mut Server> {
        self.servers.get_mut(id.slot()).filter(|server| server.id == id)
    }

    /// The one in this slot, which must be taken.
    #[inline]
    pub(super) fn at(&self, slot: usize) -> &Server {
        self.servers.get(slot).expect("slots are passed on only while taken")
    }

    /// The one in this slot, which must be taken.
    #[inline]
    pub(super) fn at_mut(&mut self, slot: usize) -> &mut Server {
        self.servers.get_mut(slot).expect("slots are passed on only while taken")
    }

    /// The taken slots of a pool.
    pub(super) fn of(&mut self, pool: PoolId) -> impl Iterator<Item = &mut Server> {
        self.servers.iter_mut().map(|(_, server)| server).filter(move |server| server.pool == pool)
    }
}

/// A server connection, as far as sharing it is concerned.
pub(super) struct Server {
    pub(super) id: ServerId,
    pub(super) pool: PoolId,
    pub(super) state: State,
    /// What its session looked like when it was given back last.
    pub(super) guise: Guise,
    /// The worker that gave it back last.
    pub(super) worker: WorkerId,
    /// Cancel requests in flight to it.
    pub(super) cancels: u32,
    /// Close it as soon as nobody uses it.
    pub(super) closing: Option<CloseReason>,
    /// When it was opened; while opening, when that began.
    pub(super) opened: Instant,
    /// Its share of the pool's lifetime, so that connections opened together do not end together.
    pub(super) lifetime_share: f64,
    /// When it is too old.
    pub(super) expires: Option<Instant>,
    /// When it was last given back or opened.
    pub(super) unused_since: Instant,
    pub(super) links: Links,
}

impl Server {
    /// It grows too old when its share of this lifetime is over; beyond the clock's end: never.
    pub(super) fn set_lifetime(&mut self, lifetime: Option<Duration>) {
        self.expires = lifetime.and_then(|lifetime| {
            let own = Duration::try_from_secs_f64(lifetime.as_secs_f64() * self.lifetime_share).ok()?;
            self.opened.checked_add(own)
        });
    }

    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

impl Member for Server {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Being opened.
    Opening,
    /// In somebody's hands.
    Linked {
        /// Being checked or cleaned there.
        tested: bool,
    },
    /// Idle, in its pool's lanes.
    Parked,
    /// Idle, but a cancel request to it is in flight: for nobody.
    Held,
}
