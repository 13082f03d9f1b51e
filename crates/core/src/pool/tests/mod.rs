//! The rules as sentences, on virtual time; and `model`: random events against what must always hold.
//!
//! Connections and waiters are numbered as they come: `open 1`, `grant 1 to 3`.

mod administrator;
mod desk;
mod errand;
mod events;
mod fairness;
mod guise;
mod janitor;
mod limits;
mod listener;
mod model;
mod opening;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::facts::CloseReason;
use crate::server::OpenError;
use crate::settings::PoolMode;

struct World {
    pools: Pools,
    now: Instant,
    fx: Vec<Effect>,
    servers: BTreeMap<u64, ServerId>,
    tickets: BTreeMap<u64, Ticket>,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        World {
            pools: Pools::new(1),
            now,
            fx: Vec::new(),
            servers: BTreeMap::new(),
            tickets: BTreeMap::new(),
        }
    }

    /// With one pool of this configuration.
    fn with(config: PoolConfig) -> (World, PoolId) {
        let mut world = World::new();
        let pool = world.pool("shop", "anna", config);
        (world, pool)
    }

    fn pool(&mut self, database: &str, user: &str, config: PoolConfig) -> PoolId {
        self.pools.pool(&key(database, user), || config)
    }

    /// A pool with this many connections in clients' hands, numbered on from the last.
    fn warm(&mut self, pool: PoolId, servers: usize) -> Vec<u64> {
        let mut open = Vec::new();
        for _ in 0..servers {
            self.checkout(pool, 0);
            let does = self.does();
            let number = does[0].strip_prefix("open ").expect("room for another").parse().unwrap();
            self.opened(number, 0);
            self.does();
            open.push(number);
        }
        open
    }

    /// A pool with this many idle connections.
    fn idle(&mut self, pool: PoolId, servers: usize) -> Vec<u64> {
        let open = self.warm(pool, servers);
        for &number in &open {
            self.give_back(number, 0);
        }
        self.does();
        open
    }

    fn checkout(&mut self, pool: PoolId, worker: u16) -> String {
        self.checkout_as(pool, worker, Guise::PLAIN)
    }

    fn checkout_as(&mut self, pool: PoolId, worker: u16, guise: Guise) -> String {
        match self.pools.checkout(pool, WorkerId(worker), guise, self.now, &mut self.fx) {
            Checkout::Granted { server, check } => format!("granted {}{}", number(server), checked(check)),
            Checkout::Queued(ticket) => {
                self.tickets.insert(ticket.number, ticket);
                format!("waits as {}", ticket.number)
            }
            Checkout::Refused(refusal) => format!("refused: {refusal}"),
        }
    }

    /// A listener connection is asked for.
    fn listener(&mut self, pool: PoolId) -> String {
        match self.pools.checkout_listener(pool, WorkerId(0), self.now, &mut self.fx) {
            Checkout::Granted { server, .. } => format!("granted {}", number(server)),
            Checkout::Queued(ticket) => {
                self.tickets.insert(ticket.number, ticket);
                format!("waits as {}", ticket.number)
            }
            Checkout::Refused(refusal) => format!("refused: {refusal}"),
        }
    }

    /// What has been ordered since the last time.
    fn does(&mut self) -> Vec<String> {
        let fx = std::mem::take(&mut self.fx);
        fx.into_iter().map(|effect| self.say(effect)).collect()
    }

    fn say(&mut self, effect: Effect) -> String {
        match effect {
            Effect::Open { server, .. } => {
                self.servers.insert(number(server), server);
                format!("open {}", number(server))
            }
            Effect::Close { server, reason } => format!("close {}: {reason}", number(server)),
            Effect::Park { server } => format!("park {}", number(server)),
            Effect::Grant { ticket, server, check } => {
                format!("grant {} to {}{}", number(server), ticket.number, checked(check))
            }
            Effect::Refuse { ticket, refusal } => format!("refuse {}: {refusal}", ticket.number),
            Effect::Notify { ticket, waited } => {
                format!("notify {} after {} ms", ticket.number, waited.as_millis())
            }
        }
    }

    fn opened(&mut self, server: u64, worker: u16) {
        self.collect();
        self.pools.opened(self.servers[&server], WorkerId(worker), self.now, &mut self.fx);
    }

    fn open_failed(&mut self, server: u64) {
        self.collect();
        let error: OpenFailure = Arc::new(OpenError::Connect { reason: "no such database".to_owned() });
        self.pools.open_failed(self.servers[&server], error, self.now, &mut self.fx);
    }

    fn give_back(&mut self, server: u64, worker: u16) {
        let server = self.servers[&server];
        self.pools.give_back(server, WorkerId(worker), Condition::Fit, self.now, &mut self.fx);
    }

    fn give_back_as(&mut self, server: u64, worker: u16, guise: Guise) {
        self.pools.set_guise(self.servers[&server], guise);
        self.give_back(server, worker);
    }

    fn poisoned(&mut self, server: u64) {
        let condition = Condition::Close(CloseReason::ServerUnclean);
        self.pools.give_back(self.servers[&server], WorkerId(0), condition, self.now, &mut self.fx);
    }

    fn lost(&mut self, server: u64) {
        self.pools.lost(self.servers[&server], self.now, &mut self.fx);
    }

    fn abandon(&mut self, ticket: u64) -> bool {
        self.pools.abandon(self.tickets[&ticket])
    }

    fn cancel_ended(&mut self, server: u64) {
        self.pools.cancel_ended(self.servers[&server], self.now, &mut self.fx);
    }

    fn tick(&mut self) -> Vec<String> {
        self.pools.tick(self.now, &mut self.fx);
        self.does()
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn counts(&self, pool: PoolId) -> ServerCounts {
        self.pools.pool_views(self.now).find(|view| view.id == pool).unwrap().servers
    }

    /// Learns the ids of what is being opened, and keeps the orders for the next `does`.
    fn collect(&mut self) {
        for effect in &self.fx {
            if let Effect::Open { server, .. } = effect {
                self.servers.insert(number(*server), *server);
            }
        }
    }
}

fn key(database: &str, user: &str) -> PoolKey {
    PoolKey { database: database.into(), user: user.into() }
}

fn number(server: ServerId) -> u64 {
    server.0 >> 24
}

fn checked(check: bool) -> &'static str {
    if check { " with check" } else { "" }
}

/// Nothing but a size.
fn plain(size: u32) -> PoolConfig {
    PoolConfig {
        mode: PoolMode::Transaction,
        size,
        min_size: 0,
        reserve_size: 0,
        reserve_timeout: None,
        query_wait: None,
        query_wait_notify: None,
        lifetime: None,
        idle_timeout: None,
        check_delay: None,
        round_robin: false,
        login_retry: Duration::from_secs(15),
        max_db_connections: None,
        max_user_connections: None,
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}
