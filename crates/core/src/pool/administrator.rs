//! What the operator orders: PAUSE, RESUME, RECONNECT, KILL, DISABLE, ENABLE, shutdown.
//!
//! PAUSE of one database and PAUSE of all are separate orders, each ended by its own RESUME. DISABLE concerns new
//! clients only, so it is kept here but changes nothing in the pools.

use std::collections::BTreeSet;
use std::time::Instant;

use super::slots::State;
use super::{Effect, PoolKey, Pools, Refusal};
use crate::facts::CloseReason;
use crate::server::OpenError;

impl Pools {
    /// Hands out nothing until `resume`; idle connections are closed now, others when given back. `None`: all.
    pub fn pause(&mut self, database: Option<&str>, now: Instant, fx: &mut Vec<Effect>) {
        self.orders.pause(database);
        for id in self.registry.of_database(database) {
            self.registry.get_mut(id).paused = true;
        }
        self.close_idle(database, CloseReason::Admin, now, fx);
    }

    /// Ends `pause` and `kill`; the lines move on, oldest waiters first.
    pub fn resume(&mut self, database: Option<&str>, now: Instant, fx: &mut Vec<Effect>) {
        self.orders.resume(database);
        let mut resumed = Vec::new();
        for id in self.registry.of_database(database) {
            let pool = self.registry.get_mut(id);
            pool.paused = self.orders.is_paused(&pool.key.database);
            if let Some(first) = self.queue.first(&pool.line) {
                resumed.push((first.ticket, id));
            }
        }
        resumed.sort_unstable();
        for (_, id) in resumed {
            self.advance(id, now, fx);
        }
    }

    /// PAUSE of this database (or of all of them) is in force.
    #[must_use]
    pub fn is_paused(&self, database: Option<&str>) -> bool {
        database.map_or(self.orders.all_paused, |name| self.orders.is_paused(name))
    }

    /// No connection is in use, being opened or waiting for a cancel request: a PAUSE is complete.
    #[must_use]
    pub fn is_quiet(&self, database: Option<&str>) -> bool {
        let pools = self.registry.of_database(database);
        pools.into_iter().map(|id| self.registry.get(id)).all(|pool| pool.servers as usize == pool.idle.len())
    }

    /// Closes every connection as soon as it is unused; those being opened too. A server that refused is asked anew
    /// at once.
    pub fn reconnect(&mut self, database: Option<&str>, now: Instant, fx: &mut Vec<Effect>) {
        self.condemn(database, CloseReason::Obsolete);
        self.close_idle(database, CloseReason::Obsolete, now, fx);
        self.try_again(|key, _| database.is_none_or(|name| *key.database == *name), now, fx);
    }

    /// Ends the pause after a failed opening, where what was in the way may be gone.
    pub fn try_again(
        &mut self,
        concerned: impl Fn(&PoolKey, &OpenError) -> bool,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) {
        for id in self.registry.ids() {
            let pool = self.registry.get_mut(id);
            if pool.backoff.failure().is_some_and(|error| concerned(&pool.key, error)) {
                pool.backoff.succeeded();
                self.advance(id, now, fx);
            }
        }
    }

    /// How many connections `reconnect` (or `kill`) has left to be closed.
    #[must_use]
    pub fn obsolete_open(&self, database: Option<&str>) -> usize {
        let concerned = |pool| database.is_none_or(|name| *self.registry.get(pool).key.database == *name);
        let servers = self.slots.servers.iter().map(|(_, server)| server);
        servers.filter(|server| server.closing.is_some() && concerned(server.pool)).count()
    }

    /// `pause`, and refuses everybody in line. The engine ends the clients that hold connections.
    pub fn kill(&mut self, database: Option<&str>, now: Instant, fx: &mut Vec<Effect>) {
        self.pause(database, now, fx);
        self.condemn(database, CloseReason::Admin);
        for id in self.registry.of_database(database) {
            self.refuse_all(id, &Refusal::Killed, fx);
        }
    }

    /// Admits no new clients.
    pub fn disable(&mut self, database: &str) {
        self.orders.disabled.insert(database.into());
    }

    /// Admits new clients again.
    pub fn enable(&mut self, database: &str) {
        self.orders.disabled.remove(database);
    }

    /// New clients of this database are refused.
    #[must_use]
    pub fn is_disabled(&self, database: &str) -> bool {
        self.orders.disabled.contains(database)
    }

    /// The end: everybody in line and every checkout from now on is refused, idle connections are closed, others
    /// when given back. Not for a shutdown that waits for clients, who need connections until they leave.
    pub fn drain_servers(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.orders.draining = true;
        for id in self.registry.ids() {
            self.refuse_all(id, &Refusal::ShuttingDown, fx);
        }
        self.close_idle(None, CloseReason::Shutdown, now, fx);
    }

    /// Those in use or being opened, or kept for a cancel request, are closed once they are not.
    fn condemn(&mut self, database: Option<&str>, reason: CloseReason) {
        for id in self.registry.of_database(database) {
            for server in self.slots.of(id).filter(|server| server.state != State::Parked) {
                server.closing = Some(reason);
            }
        }
    }

    fn close_idle(
        &mut self,
        database: Option<&str>,
        reason: CloseReason,
        now: Instant,
        fx: &mut Vec<Effect>,
    ) {
        for id in self.registry.of_database(database) {
            while let Some(slot) = self.registry.get(id).idle.first() {
                self.close(slot, reason, now, fx);
            }
        }
    }
}

/// Orders in force, also for databases whose pools do not exist yet.
#[derive(Default)]
pub(super) struct Orders {
    all_paused: bool,
    paused: BTreeSet<Box<str>>,
    disabled: BTreeSet<Box<str>>,
    pub(super) draining: bool,
}

impl Orders {
    pub(super) fn is_paused(&self, database: &str) -> bool {
        self.all_paused || self.paused.contains(database)
    }

    fn pause(&mut self, database: Option<&str>) {
        match database {
            Some(name) => {
                self.paused.insert(name.into());
            }
            None => self.all_paused = true,
        }
    }

    fn resume(&mut self, database: Option<&str>) {
        match database {
            Some(name) => {
                self.paused.remove(name);
            }
            None => self.all_paused = false,
        }
    }
}
