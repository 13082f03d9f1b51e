//! What all workers have in common.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwap;
use howdah_core::client::{Admission, Credentials};
use howdah_core::control::ConsoleDoor;
use howdah_core::pool::{PoolConfig, PoolId, PoolKey, WorkerId};
use howdah_core::session::{Beginnings, Parameters, PinLedger, PinNews, SessionRules, Tracked};
use howdah_core::settings::{Database, Settings, StateCheck, StateRules};
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::cancel_keys::CancelKeys;
use crate::configuration::Configuration;
use crate::control::Job;
use crate::exchange::Exchange;
use crate::lore::Lore;
use crate::net::Net;
use crate::shared_pool::SharedPool;
use crate::statistics::Period;
use crate::worker::Message;

/// What all workers have in common.
pub(crate) struct Shared {
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) tracked: Arc<Tracked>,
    pub(crate) credentials: Arc<Credentials>,
    admission: Mutex<Admission>,
    pub(crate) pools: SharedPool,
    pub(crate) cancel_keys: CancelKeys,
    pub(crate) net: Box<dyn Net>,
    pub(crate) console: Arc<dyn ConsoleDoor>,
    pub(crate) random: Random,
    /// Locked before the pools where both are needed.
    routes: Mutex<Routes>,
    pub(crate) workers: OnceLock<Vec<WorkerDoor>>,
    /// The control plane's door.
    pub(crate) control: OnceLock<tokio::sync::mpsc::UnboundedSender<Job>>,
    pub(crate) configuration: Arc<dyn Configuration>,
    pub(crate) period: Mutex<Period>,
    /// New clients are turned away.
    closing: watch::Sender<bool>,
    /// Workers stop: nothing new may be begun.
    pub(crate) stopping: AtomicBool,
    /// How workers send, once the first of them has tried.
    pub(crate) io_engine: OnceLock<&'static str>,
    /// Survived since start.
    pub(crate) panics: AtomicU64,
    last_client: AtomicU64,
}

/// How other threads reach a worker, and how busy it is.
pub(crate) struct WorkerDoor {
    pub(crate) mailbox: Mailbox,
    pub(crate) clients: AtomicUsize,
    /// Share of its thread's time spent working, in thousandths.
    pub(crate) busy: AtomicU32,
}

impl WorkerDoor {
    pub(crate) fn new(mailbox: Mailbox) -> WorkerDoor {
        WorkerDoor { mailbox, clients: AtomicUsize::new(0), busy: AtomicU32::new(0) }
    }
}

/// How other threads reach a worker.
pub(crate) type Mailbox = tokio::sync::mpsc::UnboundedSender<Message>;

/// Fills a buffer with random bytes; seeded in the simulator.
pub(crate) type Random = Box<dyn Fn(&mut [u8]) + Send + Sync>;

#[derive(Default)]
struct Routes {
    by_client: FxHashMap<PoolKey, Arc<Route>>,
    welcomes: FxHashMap<PoolId, Arc<Welcome>>,
    pins: FxHashMap<PoolId, Arc<PinLedger>>,
    beginnings: FxHashMap<PoolId, Arc<Beginnings>>,
    exchanges: FxHashMap<Arc<str>, Arc<Exchange>>,
    lore: FxHashMap<Arc<str>, Arc<Lore>>,
}

/// From a client's database and user to a pool.
pub(crate) struct Route {
    /// As the client says it.
    pub(crate) client: PoolKey,
    /// As the server is asked for it: a forced user stands here.
    pub(crate) server: PoolKey,
    pub(crate) pool: PoolId,
    pub(crate) rules: ArcSwap<SessionRules>,
    /// The settings that clients of this pool have begun with.
    pub(crate) beginnings: Arc<Beginnings>,
    /// Who listens in this database.
    pub(crate) exchange: Arc<Exchange>,
    lore: Arc<Lore>,
}

/// What the first server connection of a pool reported about itself.
pub(crate) struct Welcome {
    /// Every ParameterStatus.
    pub(crate) reported: Vec<(String, String)>,
    /// The tracked ones among them.
    pub(crate) parameters: Parameters,
}

/// What [`Shared`] is made of.
pub(crate) struct Parts {
    pub(crate) settings: Arc<ArcSwap<Settings>>,
    pub(crate) net: Box<dyn Net>,
    pub(crate) console: Arc<dyn ConsoleDoor>,
    pub(crate) configuration: Arc<dyn Configuration>,
    pub(crate) random: Random,
    pub(crate) workers: usize,
    pub(crate) now: Instant,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Shared {
        let Parts { settings, net, console, configuration, random, workers, now } = parts;
        let (mut seed, mut pool_seed) = ([0; 32], [0; 8]);
        random(&mut seed);
        random(&mut pool_seed);
        let mut first_pid = [0; 4];
        random(&mut first_pid);
        let tracked = Tracked::new(&settings.load().auth.track_extra_parameters);
        Shared {
            tracked: Arc::new(tracked),
            settings,
            credentials: Arc::new(Credentials::new(seed)),
            admission: Mutex::default(),
            pools: SharedPool::new(u64::from_le_bytes(pool_seed), workers),
            cancel_keys: CancelKeys::new(u32::from_le_bytes(first_pid)),
            net,
            console,
            random,
            routes: Mutex::default(),
            workers: OnceLock::new(),
            control: OnceLock::new(),
            configuration,
            period: Mutex::new(Period::new(now)),
            closing: watch::Sender::new(false),
            stopping: AtomicBool::new(false),
            io_engine: OnceLock::new(),
            panics: AtomicU64::new(0),
            last_client: AtomicU64::new(0),
        }
    }

    pub(crate) fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on new clients are turned away.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Tells when new clients are turned away.
    pub(crate) fn watch_closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Tells every worker.
    pub(crate) fn tell_all(&self, message: impl Fn() -> Message) {
        for door in self.workers.get().into_iter().flatten() {
            // A worker that has stopped needs no telling.
            let _ = door.mailbox.send(message());
        }
    }

    pub(crate) fn door(&self, worker: WorkerId) -> Option<&WorkerDoor> {
        self.workers.get()?.get(usize::from(worker.0))
    }

    pub(crate) fn next_client(&self) -> u64 {
        self.last_client.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The way to the pool for this database and user; `None`: there is no such database.
    pub(crate) fn route(&self, client: &PoolKey) -> Option<Arc<Route>> {
        let mut routes = self.routes();
        if let Some(route) = routes.by_client.get(client) {
            return Some(Arc::clone(route));
        }
        let settings = self.settings.load();
        let server = server_key(settings.database(&client.database)?, client);
        let config = || PoolConfig::resolve(&settings, &server.database, &server.user);
        let pool = self.pools.pool(&server, config);
        let pins = routes.pins.entry(pool).or_insert_with(|| {
            Arc::new(PinLedger::new(server.clone(), max_pinned(&settings, &server), log_pin))
        });
        let pins = Arc::clone(pins);
        let lore = Arc::clone(routes.lore.entry(Arc::clone(&server.database)).or_default());
        let rules = ArcSwap::from_pointee(self.rules(&settings, client, pins, &lore));
        let beginnings = Arc::clone(routes.beginnings.entry(pool).or_default());
        let exchanges = &mut routes.exchanges;
        let exchange =
            exchanges.entry(Arc::clone(&server.database)).or_insert_with(|| Arc::new(Exchange::new()));
        let exchange = Arc::clone(exchange);
        let route =
            Arc::new(Route { client: client.clone(), server, pool, rules, beginnings, exchange, lore });
        routes.by_client.insert(client.clone(), Arc::clone(&route));
        Some(route)
    }

    pub(crate) fn routes_now(&self) -> Vec<Arc<Route>> {
        self.routes().by_client.values().cloned().collect()
    }

    /// What is known of this pool's database, as far as somebody wants to know what its functions do.
    pub(crate) fn lore_of(&self, pool: PoolId) -> Option<(Arc<str>, Arc<Lore>)> {
        let routes = self.routes();
        let mut routes = routes.by_client.values().filter(|route| route.pool == pool);
        let route = routes.find(|route| route.rules.load().uses_hints())?;
        Some((Arc::clone(&route.server.database), Arc::clone(&route.lore)))
    }

    /// The same for all pools.
    pub(crate) fn all_lore(&self) -> Vec<(PoolId, Arc<str>, Arc<Lore>)> {
        let routes = self.routes();
        let wanted = routes.by_client.values().filter(|route| route.rules.load().uses_hints());
        wanted.map(|r| (r.pool, Arc::clone(&r.server.database), Arc::clone(&r.lore))).collect()
    }

    /// How many clients of this pool are pinned.
    pub(crate) fn pinned(&self, pool: PoolId) -> u32 {
        self.routes().pins.get(&pool).map_or(0, |ledger| ledger.pinned())
    }

    /// Who is pinned, pool by pool.
    pub(crate) fn pin_ledgers(&self) -> Vec<Arc<PinLedger>> {
        self.routes().pins.values().cloned().collect()
    }

    /// The database and user of a pool, as the server is asked for it.
    pub(crate) fn server_key(&self, pool: PoolId) -> Option<PoolKey> {
        self.routes().by_client.values().find(|route| route.pool == pool).map(|route| route.server.clone())
    }

    pub(crate) fn welcome(&self, pool: PoolId) -> Option<Arc<Welcome>> {
        self.routes().welcomes.get(&pool).cloned()
    }

    pub(crate) fn set_welcome(&self, pool: PoolId, welcome: Welcome) {
        self.routes().welcomes.insert(pool, Arc::new(welcome));
    }

    /// The settings have changed: pools and routes follow.
    pub(crate) fn settings_changed(&self) {
        let settings = self.settings.load();
        self.credentials.retain_for(&settings);
        let routes = self.routes();
        for route in routes.by_client.values() {
            route.beginnings.forget();
            route.lore.hints.mistrust();
            let config = PoolConfig::resolve(&settings, &route.server.database, &route.server.user);
            self.pools.lock().pools.configure(route.pool, config);
            let pins = Arc::clone(&route.rules.load().pins);
            pins.set_max(max_pinned(&settings, &route.server));
            route.rules.store(Arc::new(self.rules(&settings, &route.client, pins, &route.lore)));
        }
        drop(routes);
        self.open_forced_pools();
    }

    /// With a forced user and `min_pool_size`, connections are opened before the first client comes.
    pub(crate) fn open_forced_pools(&self) {
        let settings = self.settings.load();
        for (name, entry) in &settings.databases {
            let Some(user) = &entry.forced_user else { continue };
            if PoolConfig::resolve(&settings, name, user).min_size > 0 {
                self.route(&PoolKey { database: name.as_str().into(), user: user.as_str().into() });
            }
        }
    }

    /// What sessions of this client's database and user have in common.
    fn rules(
        &self,
        settings: &Settings,
        client: &PoolKey,
        pins: Arc<PinLedger>,
        lore: &Lore,
    ) -> SessionRules {
        let state = StateRules::resolve(settings, &client.database, &client.user);
        let user = settings.users.get(&*client.user);
        let config = PoolConfig::resolve(settings, &client.database, &client.user);
        let timeouts = &settings.timeouts;
        SessionRules {
            mode: config.mode,
            max_prepared_statements: settings.pool.max_prepared_statements,
            max_packet_size: settings.auth.max_packet_size,
            disable_pqexec: settings.auth.disable_pqexec,
            tracked: Arc::clone(&self.tracked),
            registry: Arc::clone(&lore.registry),
            query_timeout: user.and_then(|u| u.query_timeout).unwrap_or(timeouts.query),
            transaction_timeout: user.and_then(|u| u.transaction_timeout).unwrap_or(timeouts.transaction),
            idle_transaction_timeout: user
                .and_then(|u| u.idle_transaction_timeout)
                .unwrap_or(timeouts.idle_transaction),
            client_idle_timeout: user.and_then(|u| u.client_idle_timeout).unwrap_or(timeouts.client_idle),
            hints: if state.check == StateCheck::Hinted { Arc::clone(&lore.hints) } else { Arc::default() },
            state,
            pins,
        }
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A forced user stands in for the client's.
fn server_key(database: &Database, client: &PoolKey) -> PoolKey {
    match &database.forced_user {
        Some(user) => PoolKey { database: Arc::clone(&client.database), user: user.as_str().into() },
        None => client.clone(),
    }
}

/// `max_pinned`. Like the pool's size it is the server's user's.
fn max_pinned(settings: &Settings, server: &PoolKey) -> u32 {
    let pool = PoolConfig::resolve(settings, &server.database, &server.user);
    StateRules::resolve(settings, &server.database, &server.user).max_pinned.of(pool.for_clients())
}

fn log_pin(news: &PinNews<'_>) {
    let PinNews { pool, client, pin, lasted } = news;
    match lasted {
        None => tracing::info!(client, %pool, reason = %pin, statement = &*pin.statement, "client pinned"),
        Some(lasted) => {
            let seconds = (lasted.as_secs_f64() * 1000.0).round() / 1000.0;
            tracing::info!(client, %pool, reason = %pin, seconds, "client unpinned");
        }
    }
}
