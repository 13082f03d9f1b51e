//! Random events against what must always hold. The model plays the engine and keeps its own books.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::events::{Event, Order, POOLS, Rules, event, rules};
use super::*;
use crate::server::OpenError;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_rules_hold_and_everybody_is_served_in_the_end(
        rules in rules(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let mut model = Model::new(rules);
        for event in events {
            model.apply(event);
            model.check();
        }
        model.serve_everybody();
        model.drain();
    }
}

struct Model {
    pools: Pools,
    now: Instant,
    rules: Rules,
    paused: BTreeSet<Option<&'static str>>,
    servers: BTreeMap<ServerId, Server>,
    gone: Vec<ServerId>,
    waiting: BTreeMap<Ticket, Waiter>,
}

struct Server {
    pool: usize,
    place: Place,
    cancels: u32,
    poisoned: bool,
    guise: Guise,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Opening,
    Linked,
    /// Opened or given back, and the pool has not said yet what becomes of it.
    Returned,
    Parked,
}

struct Waiter {
    pool: usize,
    overtaken: u32,
    /// Twice the largest size its pool has had meanwhile.
    bearable: u32,
    notified: bool,
}

impl Model {
    fn new(rules: Rules) -> Model {
        let mut pools = Pools::new(3);
        for (index, (database, user)) in POOLS.into_iter().enumerate() {
            assert_eq!(pools.pool(&key(database, user), || rules.of(index)).index(), index);
        }
        Model {
            pools,
            now: Instant::now(),
            rules,
            paused: BTreeSet::new(),
            servers: BTreeMap::new(),
            gone: Vec::new(),
            waiting: BTreeMap::new(),
        }
    }

    fn apply(&mut self, event: Event) {
        let mut fx = Vec::new();
        match event {
            Event::Checkout { pool, worker, guise } => self.checkout(pool, worker, guise, &mut fx),
            Event::Opened { nth, worker } => {
                if let Some(server) = self.nth(Place::Opening, nth) {
                    self.server(server).place = Place::Returned;
                    self.pools.opened(server, WorkerId(worker), self.now, &mut fx);
                }
            }
            Event::OpenFailed { nth } => {
                if let Some(server) = self.nth(Place::Opening, nth) {
                    self.forget(server);
                    let error = Arc::new(OpenError::Closed);
                    self.pools.open_failed(server, error, self.now, &mut fx);
                }
            }
            Event::GiveBack { nth, worker, guise, fit } => self.give_back(nth, worker, guise, fit, &mut fx),
            Event::Abandon { nth } => {
                if let Some(&ticket) = self.waiting.keys().nth(nth) {
                    assert!(self.pools.abandon(ticket));
                    assert!(!self.pools.abandon(ticket));
                    self.waiting.remove(&ticket);
                }
            }
            Event::Lost { nth } => {
                if let Some(&server) = self.servers.keys().nth(nth) {
                    self.forget(server);
                    self.pools.lost(server, self.now, &mut fx);
                }
            }
            Event::CancelStarted { nth } => {
                if let Some(&server) = self.servers.keys().nth(nth) {
                    self.server(server).cancels += 1;
                    self.pools.cancel_started(server);
                }
            }
            Event::CancelEnded { nth } => self.end_cancel(nth, &mut fx),
            Event::Testing { nth, on } => {
                if let Some(server) = self.nth(Place::Linked, nth) {
                    self.pools.set_testing(server, on);
                }
            }
            Event::Stale { nth } => self.stale(nth, &mut fx),
            Event::Pass { millis } => self.now += Duration::from_millis(millis),
            Event::Tick => self.pools.tick(self.now, &mut fx),
            Event::Order { order, database } => self.order(order, database, &mut fx),
            Event::Configure { pool, own, limits } => {
                self.rules.own[pool] = own;
                (self.rules.databases, self.rules.users) = limits;
                for waiter in self.waiting.values_mut() {
                    waiter.bearable = waiter.bearable.max(2 * self.rules.own[waiter.pool].size);
                }
                for (index, id) in self.ids().into_iter().enumerate() {
                    self.pools.configure(id, self.rules.of(index));
                }
                self.pools.tick(self.now, &mut fx);
            }
        }
        self.carry_out(fx);
    }

    fn checkout(&mut self, pool: usize, worker: u16, guise: Guise, fx: &mut Vec<Effect>) {
        let id = self.ids()[pool];
        let alike = self.one_alike(pool, guise);
        match self.pools.checkout(id, WorkerId(worker), guise, self.now, fx) {
            Checkout::Granted { server, .. } => {
                let nobody_waits = self.waiting.values().all(|waiter| waiter.pool != pool);
                assert!(nobody_waits, "a checkout jumped the line");
                self.hand_over(server, pool, Place::Parked);
                assert!(alike.is_none() || self.server(server).guise == guise, "one alike was left");
            }
            Checkout::Queued(ticket) => {
                let bearable = 2 * self.rules.own[pool].size;
                assert!(self.waiting.keys().all(|&other| other < ticket), "tickets are ordered by age");
                self.waiting.insert(ticket, Waiter { pool, overtaken: 0, bearable, notified: false });
            }
            Checkout::Refused(Refusal::Unavailable(_)) => {
                assert!(self.servers.values().all(|server| server.pool != pool), "hopeless, with a server");
            }
            Checkout::Refused(refusal) => panic!("refused without cause: {refusal}"),
        }
    }

    fn give_back(&mut self, nth: usize, worker: u16, guise: Guise, fit: bool, fx: &mut Vec<Effect>) {
        let Some(id) = self.nth(Place::Linked, nth) else { return };
        let server = self.server(id);
        server.place = Place::Returned;
        server.poisoned = !fit;
        server.guise = guise;
        self.pools.set_guise(id, guise);
        let condition = if fit { Condition::Fit } else { Condition::Close(CloseReason::ServerUnclean) };
        self.pools.give_back(id, WorkerId(worker), condition, self.now, fx);
    }

    /// A parked one that looks like this; these pools are small enough for all of them to be looked at.
    fn one_alike(&self, pool: usize, guise: Guise) -> Option<ServerId> {
        let fit = |server: &Server| {
            server.pool == pool
                && server.place == Place::Parked
                && server.cancels == 0
                && server.guise == guise
        };
        let found = self.servers.iter().find(|(_, server)| fit(server)).map(|(&id, _)| id);
        found.filter(|_| !self.rules.own[pool].round_robin)
    }

    fn end_cancel(&mut self, nth: usize, fx: &mut Vec<Effect>) {
        let mut cancelled = self.servers.iter_mut().filter(|(_, server)| server.cancels > 0);
        if let Some((&id, server)) = cancelled.nth(nth) {
            server.cancels -= 1;
            self.pools.cancel_ended(id, self.now, fx);
        }
    }

    /// Events that come too late, of every kind.
    fn stale(&mut self, nth: usize, fx: &mut Vec<Effect>) {
        let Some(&server) = self.gone.iter().rev().nth(nth) else { return };
        self.pools.opened(server, WorkerId(0), self.now, fx);
        self.pools.open_failed(server, Arc::new(OpenError::Closed), self.now, fx);
        self.pools.give_back(server, WorkerId(0), Condition::Fit, self.now, fx);
        self.pools.set_guise(server, Guise::PLAIN);
        self.pools.cancel_started(server);
        self.pools.cancel_ended(server, self.now, fx);
        self.pools.set_testing(server, true);
        self.pools.lost(server, self.now, fx);
        assert!(fx.is_empty(), "a stale id changed something: {fx:?}");
    }

    fn order(&mut self, order: Order, database: Option<&'static str>, fx: &mut Vec<Effect>) {
        let now = self.now;
        match order {
            Order::Pause => {
                self.paused.insert(database);
                self.pools.pause(database, now, fx);
            }
            Order::Resume => {
                self.paused.remove(&database);
                self.pools.resume(database, now, fx);
            }
            Order::Kill => {
                self.paused.insert(database);
                self.pools.kill(database, now, fx);
            }
            Order::Reconnect => self.pools.reconnect(database, now, fx),
        }
    }

    fn carry_out(&mut self, fx: Vec<Effect>) {
        for effect in fx {
            match effect {
                Effect::Open { server, pool } => self.open(server, pool.index()),
                Effect::Close { server, .. } => {
                    let place = self.server(server).place;
                    assert!(matches!(place, Place::Parked | Place::Returned), "closed while {place:?}");
                    self.forget(server);
                }
                Effect::Park { server } => {
                    let server = self.server(server);
                    assert_eq!((server.place, server.poisoned), (Place::Returned, false));
                    server.place = Place::Parked;
                }
                Effect::Grant { ticket, server, .. } => {
                    let pool = self.waiting.remove(&ticket).expect("granted to who waits").pool;
                    let place = self.server(server).place;
                    assert!(matches!(place, Place::Parked | Place::Returned), "granted while {place:?}");
                    self.hand_over(server, pool, place);
                    let overtaken =
                        self.waiting.range_mut(..ticket).filter(|(_, waiter)| waiter.pool == pool);
                    for (_, waiter) in overtaken {
                        waiter.overtaken += 1;
                        assert!(waiter.overtaken <= waiter.bearable, "somebody starves");
                    }
                }
                Effect::Refuse { ticket, refusal } => {
                    let waiter = self.waiting.remove(&ticket).expect("refused who waits");
                    if let Refusal::Unavailable(_) = refusal {
                        assert!(self.servers.values().all(|server| server.pool != waiter.pool));
                    }
                }
                Effect::Notify { ticket, .. } => {
                    let waiter = self.waiting.get_mut(&ticket).expect("notified who waits");
                    assert!(!std::mem::replace(&mut waiter.notified, true), "notified twice");
                }
            }
        }
        assert!(self.servers.values().all(|server| server.place != Place::Returned), "one was forgotten");
    }

    fn open(&mut self, id: ServerId, pool: usize) {
        assert!(!self.servers.contains_key(&id) && !self.gone.contains(&id), "an id used twice");
        assert!(!self.is_paused(pool), "opened during pause");
        self.servers.insert(
            id,
            Server { pool, place: Place::Opening, cancels: 0, poisoned: false, guise: Guise::PLAIN },
        );
        let config = self.rules.of(pool);
        assert!(self.count(|other| other == pool) <= config.size + config.reserve_size);
        assert!(config.max_db_connections.is_none_or(|limit| self.of_database(pool) <= limit));
        assert!(config.max_user_connections.is_none_or(|limit| self.of_user(pool) <= limit));
    }

    fn hand_over(&mut self, server: ServerId, pool: usize, from: Place) {
        assert!(!self.is_paused(pool), "granted during pause");
        let server = self.server(server);
        assert_eq!((server.pool, server.place), (pool, from));
        assert_eq!((server.cancels, server.poisoned), (0, false), "granted one that is fit for nobody");
        server.place = Place::Linked;
    }

    /// What must hold between any two events.
    fn check(&mut self) {
        let views: Vec<PoolView<'_>> = self.pools.pool_views(self.now).collect();
        for (pool, view) in views.iter().enumerate() {
            let counts = view.servers;
            let of_place =
                |place| self.servers.values().filter(|s| s.pool == pool && s.place == place).count();
            assert_eq!(counts.login, of_place(Place::Opening));
            assert_eq!(counts.active + counts.tested, of_place(Place::Linked));
            assert_eq!(counts.idle + counts.used + counts.being_canceled, of_place(Place::Parked));
            assert_eq!(view.waiting, self.waiting.values().filter(|waiter| waiter.pool == pool).count());
            assert_eq!(view.paused, self.is_paused(pool));
            assert!(counts.login <= 8);
            if view.waiting > 0 && !view.paused {
                assert_eq!(counts.idle + counts.used, 0, "one is idle while somebody waits");
            }
            let needy = view.waiting > counts.login && counts.total() < view.config.size as usize;
            if needy && !view.paused && !view.opening_fails {
                self.check_needy(pool, view.config);
            }
        }
    }

    /// A pool in need is stopped by a full limit under which nothing is idle, by nothing else.
    fn check_needy(&self, pool: usize, config: &PoolConfig) {
        let idle = |same: &dyn Fn(usize) -> bool| {
            self.servers.values().any(|s| s.place == Place::Parked && s.cancels == 0 && same(s.pool))
        };
        let database_stops = config.max_db_connections.is_some_and(|limit| self.of_database(pool) >= limit)
            && !idle(&|other| POOLS[other].0 == POOLS[pool].0);
        let user_stops = config.max_user_connections.is_some_and(|limit| self.of_user(pool) >= limit)
            && !idle(&|other| POOLS[other].1 == POOLS[pool].1);
        assert!(database_stops || user_stops, "a pool in need was left alone");
    }

    /// When nothing goes wrong any more, everybody is served.
    fn serve_everybody(&mut self) {
        for database in [None, Some("shop"), Some("stock")] {
            self.apply(Event::Order { order: Order::Resume, database });
        }
        while self.servers.values().any(|server| server.cancels > 0) {
            self.apply(Event::CancelEnded { nth: 0 });
        }
        for _ in 0..1_000 {
            if self.waiting.is_empty() {
                return;
            }
            for _ in 0..self.servers.len() {
                self.apply(Event::Opened { nth: 0, worker: 0 });
                self.check();
            }
            for _ in 0..self.servers.len() {
                self.apply(Event::GiveBack { nth: 0, worker: 1, guise: Guise::PLAIN, fit: true });
                self.check();
            }
            self.apply(Event::Pass { millis: 100 });
            self.apply(Event::Tick);
        }
        panic!("{} wait for ever", self.waiting.len());
    }

    fn drain(&mut self) {
        let mut fx = Vec::new();
        self.pools.drain_servers(self.now, &mut fx);
        self.carry_out(fx);
        while self.nth(Place::Opening, 0).is_some() {
            self.apply(Event::Opened { nth: 0, worker: 0 });
        }
        while self.nth(Place::Linked, 0).is_some() {
            self.apply(Event::GiveBack { nth: 0, worker: 0, guise: Guise::PLAIN, fit: true });
        }
        self.apply(Event::Tick);
        assert!(self.servers.is_empty() && self.pools.is_quiet(None));
        assert_eq!(self.pools.server_views(self.now).count(), 0);
    }

    fn ids(&self) -> Vec<PoolId> {
        self.pools.pool_views(self.now).map(|view| view.id).collect()
    }

    fn nth(&self, place: Place, nth: usize) -> Option<ServerId> {
        self.servers.iter().filter(|(_, server)| server.place == place).map(|(&id, _)| id).nth(nth)
    }

    fn server(&mut self, id: ServerId) -> &mut Server {
        self.servers.get_mut(&id).expect("a connection that is there")
    }

    fn forget(&mut self, id: ServerId) {
        self.servers.remove(&id).expect("a connection that is there");
        self.gone.push(id);
    }

    fn is_paused(&self, pool: usize) -> bool {
        self.paused.contains(&None) || self.paused.contains(&Some(POOLS[pool].0))
    }

    fn count(&self, counted: impl Fn(usize) -> bool) -> u32 {
        self.servers.values().filter(|server| counted(server.pool)).count() as u32
    }

    fn of_database(&self, pool: usize) -> u32 {
        self.count(|other| POOLS[other].0 == POOLS[pool].0)
    }

    fn of_user(&self, pool: usize) -> u32 {
        self.count(|other| POOLS[other].1 == POOLS[pool].1)
    }
}
