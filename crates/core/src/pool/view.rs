//! How things stand: for the snapshot, and for telling a refused client who holds the connections.

use std::fmt;
use std::time::{Duration, Instant};

use super::registry::Pool;
use super::slots::State;
use super::{PoolConfig, PoolId, PoolKey, Pools, ServerId};
use crate::facts::ServerState;

impl Pools {
    /// Every pool, in the order they came.
    pub fn pool_views(&self, now: Instant) -> impl Iterator<Item = PoolView<'_>> {
        self.registry.iter().map(move |(id, pool)| PoolView {
            id,
            key: &pool.key,
            config: &pool.config,
            servers: self.count_servers(pool, now),
            waiting: pool.line.len(),
            maxwait: self.queue.first(&pool.line).map_or(Duration::ZERO, |waiter| waiter.waited(now)),
            paused: pool.paused,
            opening_fails: pool.backoff.is_failing(),
        })
    }

    /// Every server connection.
    pub fn server_views(&self, now: Instant) -> impl Iterator<Item = ServerView> {
        self.slots.servers.iter().map(move |(_, server)| {
            let check_delay = self.registry.get(server.pool).config.check_delay;
            let idle = now.saturating_duration_since(server.unused_since);
            let state = match server.state {
                State::Opening => ServerState::Login,
                State::Linked { tested: true } => ServerState::Tested,
                State::Linked { tested: false } => ServerState::Active,
                State::Parked if check_delay.is_some_and(|delay| idle >= delay) => ServerState::Used,
                State::Parked => ServerState::Idle,
                State::Held => ServerState::BeingCanceled,
            };
            ServerView {
                id: server.id,
                pool: server.pool,
                state,
                close_needed: server.closing.is_some(),
                cancels: server.cancels,
                opened: server.opened,
            }
        })
    }

    pub(super) fn count_servers(&self, pool: &Pool, now: Instant) -> ServerCounts {
        let idle_time = |slot| now.saturating_duration_since(self.slots.at(slot).unused_since);
        let used = pool.config.check_delay.map_or(0, |delay| {
            pool.idle.iter(&self.slots.servers).filter(|&slot| idle_time(slot) >= delay).count()
        });
        let parked = pool.idle.len();
        ServerCounts {
            login: pool.opening as usize,
            idle: parked - used,
            used,
            tested: pool.tested as usize,
            being_canceled: pool.held as usize,
            active: (pool.servers - pool.opening - pool.tested - pool.held) as usize - parked,
        }
    }
}

/// A pool, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct PoolView<'a> {
    /// Its id.
    pub id: PoolId,
    /// Database and user.
    pub key: &'a PoolKey,
    /// Its rules.
    pub config: &'a PoolConfig,
    /// Its connections.
    pub servers: ServerCounts,
    /// How many stand in line.
    pub waiting: usize,
    /// How long the first of them has.
    pub maxwait: Duration,
    /// PAUSE or KILL is in force.
    pub paused: bool,
    /// The last try to open a connection failed.
    pub opening_fails: bool,
}

/// How many connections of a pool are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCounts {
    /// Being opened.
    pub login: usize,
    /// Ready for use.
    pub idle: usize,
    /// Linked to a client.
    pub active: usize,
    /// Idle for so long that they are checked before use.
    pub used: usize,
    /// Being checked or cleaned.
    pub tested: usize,
    /// Unused, but a cancel request is in flight.
    pub being_canceled: usize,
}

impl ServerCounts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.login + self.idle + self.active + self.used + self.tested + self.being_canceled
    }
}

impl fmt::Display for ServerCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} active", self.active)?;
        let others = [
            (self.idle, "idle"),
            (self.used, "used"),
            (self.tested, "tested"),
            (self.being_canceled, "being_canceled"),
            (self.login, "login"),
        ];
        for (count, state) in others.into_iter().filter(|&(count, _)| count > 0) {
            write!(f, ", {count} {state}")?;
        }
        Ok(())
    }
}

/// A server connection, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerView {
    /// Its id.
    pub id: ServerId,
    /// Its pool.
    pub pool: PoolId,
    /// What it is doing.
    pub state: ServerState,
    /// It will be closed when nobody uses it.
    pub close_needed: bool,
    /// Cancel requests on their way to it.
    pub cancels: u32,
    /// When it was opened; while opening, when that began.
    pub opened: Instant,
}
