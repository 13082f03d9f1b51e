//! The pools, shared by all workers: `core::pool` behind a mutex, with the connections it speaks of and those in
//! line for them.
//!
//! The lock is held for tens of nanoseconds and never across an await. What an effect wants done outside it
//! (opening, closing) is handed to the caller as [`Errands`].

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use howdah_core::facts::CloseReason;
use howdah_core::pool::{
    Checkout, Condition, Effect, Guise, OpenFailure, PoolConfig, PoolId, PoolKey, Pools, Refusal, ServerId,
    Ticket, WorkerId,
};
use rustc_hash::FxHashMap;

use crate::line::{Line, Told};
use crate::net::Endpoint;
use crate::server_conn::{ServerCard, ServerConn};

/// All pools of this Howdah.
pub(crate) struct SharedPool {
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) pools: Pools,
    /// Connections nobody uses. Each is registered with its worker's keeper.
    parked: FxHashMap<ServerId, Box<ServerConn>>,
    line: Line,
    pub(crate) cards: FxHashMap<ServerId, Arc<ServerCard>>,
    /// Of each worker's keeper, by number.
    keepers: Vec<Waker>,
    effects: Vec<Effect>,
}

/// What a checkout came to.
pub(crate) enum Taken {
    Granted { conn: Box<ServerConn>, check: bool },
    Queued(Ticket),
    Refused(Box<Refusal>),
}

/// What is to be done after the lock has been let go.
#[derive(Default)]
pub(crate) struct Errands {
    pub(crate) open: Vec<(ServerId, PoolId)>,
    pub(crate) close: Vec<(Box<ServerConn>, CloseReason)>,
}

impl Errands {
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.close.is_empty()
    }
}

impl SharedPool {
    pub(crate) fn new(seed: u64, keepers: usize) -> SharedPool {
        SharedPool {
            inner: Mutex::new(Inner {
                pools: Pools::new(seed),
                parked: FxHashMap::default(),
                line: Line::default(),
                cards: FxHashMap::default(),
                keepers: vec![Waker::noop().clone(); keepers],
                effects: Vec::new(),
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Get or create.
    pub(crate) fn pool(&self, key: &PoolKey, config: impl FnOnce() -> PoolConfig) -> PoolId {
        self.lock().pools.pool(key, config)
    }

    /// The worker's keeper wants to know when a parked connection has something to say.
    pub(crate) fn set_keeper(&self, worker: WorkerId, waker: &Waker) {
        if let Some(keeper) = self.lock().keepers.get_mut(usize::from(worker.0)) {
            keeper.clone_from(waker);
        }
    }

    #[must_use]
    pub(crate) fn checkout(
        &self,
        pool: PoolId,
        worker: WorkerId,
        guise: Guise,
        waker: &Waker,
        now: Instant,
    ) -> (Taken, Errands) {
        self.lock().take(waker, |pools, fx| pools.checkout(pool, worker, guise, now, fx))
    }

    /// The same for a listener connection, which goes before all others.
    #[must_use]
    pub(crate) fn checkout_listener(
        &self,
        pool: PoolId,
        worker: WorkerId,
        waker: &Waker,
        now: Instant,
    ) -> (Taken, Errands) {
        self.lock().take(waker, |pools, fx| pools.checkout_listener(pool, worker, now, fx))
    }

    /// An idle connection for an errand of Howdah's own, and whether to check it first.
    pub(crate) fn borrow(
        &self,
        pool: PoolId,
        used_since: Option<Instant>,
        now: Instant,
    ) -> Option<(Box<ServerConn>, bool)> {
        let mut inner = self.lock();
        let (server, check) = inner.pools.borrow(pool, used_since, now)?;
        Some((inner.parked.remove(&server)?, check))
    }

    /// News for somebody in line.
    pub(crate) fn poll_ticket(&self, ticket: Ticket, cx: &Context<'_>) -> Poll<Told> {
        self.lock().line.poll(ticket, cx)
    }

    /// Somebody leaves the line. What it has been granted meanwhile goes back.
    #[must_use]
    pub(crate) fn abandon(&self, ticket: Ticket, worker: WorkerId, now: Instant) -> Errands {
        let mut inner = self.lock();
        inner.pools.abandon(ticket);
        match inner.line.leave(ticket) {
            Some(Told::Granted { conn, .. }) => inner.give_back(conn, worker, Condition::Fit, now),
            _ => Errands::default(),
        }
    }

    /// A connection that was being opened is there.
    #[must_use]
    pub(crate) fn opened(&self, conn: Box<ServerConn>, now: Instant) -> Errands {
        let mut inner = self.lock();
        let mut effects = std::mem::take(&mut inner.effects);
        inner.cards.insert(conn.id, Arc::clone(&conn.card));
        inner.pools.opened(conn.id, conn.worker, now, &mut effects);
        inner.carry_out(effects, Some(conn))
    }

    /// It could not be opened.
    #[must_use]
    pub(crate) fn open_failed(&self, server: ServerId, error: OpenFailure, now: Instant) -> Errands {
        let mut inner = self.lock();
        let mut effects = std::mem::take(&mut inner.effects);
        inner.pools.open_failed(server, error, now, &mut effects);
        inner.carry_out(effects, None)
    }

    /// Whether those who are neither pinned nor listen have a server connection is looked at.
    #[must_use]
    pub(crate) fn make_way(&self, listener: ServerId, pinned: u32, now: Instant) -> Errands {
        let mut inner = self.lock();
        let mut effects = std::mem::take(&mut inner.effects);
        inner.pools.make_way(listener, pinned, now, &mut effects);
        inner.carry_out(effects, None)
    }

    #[must_use]
    pub(crate) fn give_back(
        &self,
        conn: Box<ServerConn>,
        worker: WorkerId,
        condition: Condition,
        now: Instant,
    ) -> Errands {
        self.lock().give_back(conn, worker, condition, now)
    }

    /// Anything else that only the pools decide.
    #[must_use]
    pub(crate) fn with(&self, act: impl FnOnce(&mut Pools, &mut Vec<Effect>)) -> Errands {
        let mut inner = self.lock();
        let mut effects = std::mem::take(&mut inner.effects);
        act(&mut inner.pools, &mut effects);
        inner.carry_out(effects, None)
    }

    /// A connection that was taken out is no more.
    #[must_use]
    pub(crate) fn lost(&self, server: ServerId, now: Instant) -> Errands {
        self.lock().lost(server, now)
    }

    /// Looks after the parked connections of one worker: hears what they say, and buries the dead.
    #[must_use]
    pub(crate) fn keep(
        &self,
        worker: WorkerId,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        now: Instant,
    ) -> Errands {
        let mut inner = self.lock();
        let mut dead = Vec::new();
        for conn in inner.parked.values_mut().filter(|conn| conn.worker == worker) {
            if conn.conn.socket.poll_read_ready(cx).is_ready()
                && let Some(reason) = conn.read_unasked(cx, scratch)
            {
                dead.push((conn.id, reason));
            }
        }
        let mut effects = std::mem::take(&mut inner.effects);
        let mut buried = Vec::new();
        for (id, reason) in dead {
            inner.pools.lost(id, now, &mut effects);
            inner.cards.remove(&id);
            buried.extend(inner.parked.remove(&id).map(|conn| (conn, reason)));
        }
        let mut errands = inner.carry_out(effects, None);
        errands.close.append(&mut buried);
        errands
    }

    /// A connection of which it is not known whether a cancel request still is on its way to it. If nobody
    /// uses it, it is closed; if somebody does, that one has to.
    #[must_use]
    pub(crate) fn condemn(&self, server: ServerId, now: Instant) -> Errands {
        let mut inner = self.lock();
        let Some(conn) = inner.parked.remove(&server) else { return Errands::default() };
        let mut errands = inner.lost(server, now);
        errands.close.push((conn, CloseReason::ServerUncleanable));
        errands
    }
}

impl Inner {
    #[inline]
    fn take(
        &mut self,
        waker: &Waker,
        checkout: impl FnOnce(&mut Pools, &mut Vec<Effect>) -> Checkout,
    ) -> (Taken, Errands) {
        let mut effects = std::mem::take(&mut self.effects);
        let taken = match checkout(&mut self.pools, &mut effects) {
            Checkout::Granted { server, check } => match self.parked.remove(&server) {
                Some(conn) => Taken::Granted { conn, check },
                None => Taken::Refused(Box::new(Refusal::Killed)),
            },
            Checkout::Queued(ticket) => {
                self.line.join(ticket, waker.clone());
                Taken::Queued(ticket)
            }
            Checkout::Refused(refusal) => Taken::Refused(Box::new(refusal)),
        };
        let errands = self.carry_out(effects, None);
        (taken, errands)
    }

    /// The number given to the client that a backend serves, or served last; `None`: it is none of ours.
    pub(crate) fn client_of(&self, endpoint: &Endpoint, backend_pid: u32) -> Option<u32> {
        let ours = |card: &&Arc<ServerCard>| card.backend_pid == backend_pid && card.endpoint == *endpoint;
        let holder = self.cards.values().find(ours)?.holder.load(Ordering::Relaxed);
        (holder != 0).then_some(holder)
    }

    fn give_back(
        &mut self,
        mut conn: Box<ServerConn>,
        worker: WorkerId,
        condition: Condition,
        now: Instant,
    ) -> Errands {
        conn.note_facts();
        let guise = conn.server.guise();
        if guise != conn.guise {
            conn.guise = guise;
            self.pools.set_guise(conn.id, guise);
        }
        conn.worker = worker;
        let mut effects = std::mem::take(&mut self.effects);
        self.pools.give_back(conn.id, worker, condition, now, &mut effects);
        self.carry_out(effects, Some(conn))
    }

    fn lost(&mut self, server: ServerId, now: Instant) -> Errands {
        let mut effects = std::mem::take(&mut self.effects);
        self.pools.lost(server, now, &mut effects);
        self.cards.remove(&server);
        self.carry_out(effects, None)
    }

    /// Carries out what the pools decided, as far as it concerns what is kept here. `hand`: the connection
    /// that was just opened or given back.
    fn carry_out(&mut self, mut effects: Vec<Effect>, mut hand: Option<Box<ServerConn>>) -> Errands {
        let mut errands = Errands::default();
        for effect in effects.drain(..) {
            match effect {
                Effect::Open { server, pool } => errands.open.push((server, pool)),
                Effect::Close { server, reason } => {
                    self.cards.remove(&server);
                    let conn = hand.take_if(|conn| conn.id == server).or_else(|| self.parked.remove(&server));
                    errands.close.extend(conn.map(|conn| (conn, reason)));
                }
                Effect::Park { server } => {
                    if let Some(conn) = hand.take_if(|conn| conn.id == server) {
                        self.park(conn);
                    }
                }
                Effect::Grant { ticket, server, check } => {
                    let conn = hand.take_if(|conn| conn.id == server).or_else(|| self.parked.remove(&server));
                    if let Some(conn) = conn {
                        self.line.end(ticket, Told::Granted { conn, check });
                    }
                }
                Effect::Refuse { ticket, refusal } => {
                    self.line.end(ticket, Told::Refused(Box::new(refusal)));
                }
                Effect::Notify { ticket, waited } => self.line.notify(ticket, waited),
            }
        }
        self.effects = effects;
        if let Some(conn) = hand {
            // The pools have forgotten it, by KILL or a lost cancel request.
            self.cards.remove(&conn.id);
            errands.close.push((conn, CloseReason::Obsolete));
        }
        errands
    }

    /// From now on its worker's keeper hears what it says.
    fn park(&mut self, conn: Box<ServerConn>) {
        if let Some(keeper) = self.keepers.get(usize::from(conn.worker.0))
            && conn.conn.socket.poll_read_ready(&mut Context::from_waker(keeper)).is_ready()
        {
            keeper.wake_by_ref();
        }
        self.parked.insert(conn.id, conn);
    }
}
