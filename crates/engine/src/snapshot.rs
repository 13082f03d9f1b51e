//! One picture of everything, put together from what the pools and each worker say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use howdah_core::facts::{
    ClientRow, ClientState, Closes, Counters, DatabaseRow, Lists, PoolRow, ServerRow, Snapshot, StatsRow,
    UserRow,
};
use howdah_core::pool::{PoolId, PoolKey};
use howdah_core::session::PinLedger;
use howdah_core::settings::Settings;
use rustc_hash::FxHashMap;

use crate::client_card::ClientCard;
use crate::consoles;
use crate::shared::{Route, Shared};
use crate::statistics::{self, Period};
use crate::worker::Worker;

/// What one worker knows.
pub(crate) struct WorkerReport {
    pub(crate) clients: Vec<ClientRow>,
    /// Clients of the console.
    pub(crate) consoles: Vec<ClientRow>,
    pub(crate) counters: Vec<(Arc<str>, Counters)>,
    pub(crate) logins: u64,
    pub(crate) closes: Closes,
}

impl WorkerReport {
    pub(crate) fn of(worker: &Worker) -> WorkerReport {
        WorkerReport {
            clients: worker.clients.borrow().values().map(|card| client_row(worker, card)).collect(),
            consoles: worker.consoles.rows(),
            counters: worker.all_counters(),
            logins: worker.logins.count(),
            closes: worker.closes.borrow().clone(),
        }
    }
}

fn client_row(worker: &Worker, card: &ClientCard) -> ClientRow {
    let now = worker.now();
    let session = card.session.borrow();
    let requested_ago = now.saturating_duration_since(session.last_request());
    let application_name = session.parameters.get(worker.shared.tracked.application_name());
    ClientRow {
        id: card.id,
        user: Arc::clone(&card.caller.route.client.user),
        database: Arc::clone(&card.caller.route.client.database),
        state: card.state.get(),
        peer: card.caller.peer,
        local: card.caller.local,
        connected: card.caller.connected,
        requested: SystemTime::now() - requested_ago,
        wait: card.waiting_since.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        close_needed: false,
        link: card.link.get().map(|server| server.0),
        remote_pid: card.caller.remote_pid,
        tls: String::new(),
        application_name: application_name.map(ToString::to_string).unwrap_or_default(),
        prepared_statements: session.prepared_statements(),
        idle: session.idle_since().map(|since| now.saturating_duration_since(since)),
        pin: None,
    }
}

/// Puts the picture together.
pub(crate) fn assemble(shared: &Shared, reports: Vec<WorkerReport>, period: &Period) -> Snapshot {
    let settings = shared.settings.load();
    let (mut clients, mut on_console) = (Vec::new(), Vec::new());
    let mut totals: BTreeMap<Arc<str>, Counters> = BTreeMap::new();
    let mut closes = Closes::default();
    let mut lists = Lists { panics: shared.panics.load(Ordering::Relaxed), ..Lists::default() };
    for report in reports {
        clients.extend(report.clients);
        on_console.extend(report.consoles);
        lists.login_clients += report.logins;
        closes += report.closes;
        for (database, counters) in report.counters {
            *totals.entry(database).or_default() += counters;
        }
    }
    let now = tokio::time::Instant::now().into_std();
    let pins = statistics::pins(shared, now);
    for (database, counters) in statistics::of_pins(&pins) {
        *totals.entry(database).or_default() += counters;
    }
    let pinned = note_pins(&shared.pin_ledgers(), &mut clients, now);
    let routes = shared.routes_now();
    let crowd = Crowd::count(&clients, &routes);
    let (mut pools, servers, paused) = from_pools(shared, &settings, &crowd, &routes, &pinned);
    let mut databases = databases(shared, &settings, &pools, &crowd);
    let users = users(&settings, &pools, &crowd);
    // The console's own rows come last, and count for no limit.
    databases.push(consoles::database_row(settings.listen.port, on_console.len() as u64));
    pools.push(consoles::pool_row(on_console.len() as u64));
    clients.extend(on_console);
    clients.sort_by_key(|client| client.id);
    Snapshot {
        taken: SystemTime::now(),
        databases,
        users,
        stats: totals
            .into_iter()
            .map(|(database, total)| StatsRow {
                period: period.of(&database),
                period_length: period.length(),
                database,
                total,
            })
            .collect(),
        pools,
        clients,
        servers,
        pins,
        closes,
        lists,
        served_clients: shared.admission().total_served(),
        max_clients: settings.clients.max_client_conn,
        paused,
        suspended: false,
        io_engine: shared.io_engine.get().copied().unwrap_or("plain"),
    }
}

/// Notes with each client why it is pinned, and returns how many are, by pool. Who was pinned after its worker had
/// reported is pinned; who has gone is not.
fn note_pins(ledgers: &[Arc<PinLedger>], clients: &mut [ClientRow], now: Instant) -> BTreeMap<PoolKey, u64> {
    let by_id: FxHashMap<u64, usize> = clients.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
    let mut pinned = BTreeMap::new();
    for ledger in ledgers {
        for pin in ledger.rows(now) {
            let row = by_id.get(&pin.client).and_then(|&at| clients.get_mut(at));
            if let Some(row) = row {
                row.pin = Some(pin);
                *pinned.entry(ledger.pool().clone()).or_default() += 1;
            }
        }
    }
    pinned
}

/// How many clients there are of each kind. Each is counted once, at the moment its worker reported it.
#[derive(Default)]
struct Crowd {
    pools: FxHashMap<PoolId, OfPool>,
    databases: FxHashMap<Arc<str>, u64>,
    users: FxHashMap<Arc<str>, u64>,
}

#[derive(Clone, Copy, Default)]
struct OfPool {
    active: u64,
    waiting: u64,
}

impl Crowd {
    fn count(clients: &[ClientRow], routes: &[Arc<Route>]) -> Crowd {
        let pools: FxHashMap<(&str, &str), PoolId> =
            routes.iter().map(|r| ((&*r.client.database, &*r.client.user), r.pool)).collect();
        let mut crowd = Crowd::default();
        for client in clients {
            *crowd.databases.entry(Arc::clone(&client.database)).or_default() += 1;
            *crowd.users.entry(Arc::clone(&client.user)).or_default() += 1;
            let Some(&pool) = pools.get(&(&*client.database, &*client.user)) else { continue };
            let of_pool = crowd.pools.entry(pool).or_default();
            match client.state {
                ClientState::Active | ClientState::Idle => of_pool.active += 1,
                ClientState::Waiting => of_pool.waiting += 1,
                ClientState::Login | ClientState::ActiveCancelReq | ClientState::WaitingCancelReq => {}
            }
        }
        crowd
    }
}

/// The pools' lock is held for as long as it takes to copy figures: while it is, nobody is served. It is taken after
/// that of the routes, never before it.
fn from_pools(
    shared: &Shared,
    settings: &Settings,
    crowd: &Crowd,
    routes: &[Arc<Route>],
    pinned: &BTreeMap<PoolKey, u64>,
) -> (Vec<PoolRow>, Vec<ServerRow>, bool) {
    let keys: FxHashMap<PoolId, &PoolKey> = routes.iter().map(|route| (route.pool, &route.server)).collect();
    let now = tokio::time::Instant::now().into_std();
    let inner = shared.pools.lock();
    let mut cancels: FxHashMap<PoolId, u64> = FxHashMap::default();
    for view in inner.pools.server_views(now) {
        *cancels.entry(view.pool).or_default() += u64::from(view.cancels);
    }
    let cancels = |pool| cancels.get(&pool).copied().unwrap_or(0);
    let clients = |pool| crowd.pools.get(&pool).copied().unwrap_or_default();
    let pools = inner.pools.pool_views(now).map(|view| PoolRow {
        database: Arc::clone(&view.key.database),
        user: Arc::clone(&view.key.user),
        cl_active: clients(view.id).active,
        cl_waiting: clients(view.id).waiting,
        cl_active_cancel_req: cancels(view.id),
        cl_waiting_cancel_req: 0,
        sv_active: view.servers.active as u64,
        sv_active_cancel: cancels(view.id),
        sv_being_canceled: view.servers.being_canceled as u64,
        sv_idle: view.servers.idle as u64,
        sv_used: view.servers.used as u64,
        sv_tested: view.servers.tested as u64,
        sv_login: view.servers.login as u64,
        maxwait: view.maxwait,
        pool_mode: view.config.mode,
        load_balance_hosts: settings.database(&view.key.database).and_then(load_balance_hosts),
        sv_pinned: pinned.get(view.key).copied().unwrap_or(0),
    });
    let pools = pools.collect();
    let servers = inner.pools.server_views(now).filter_map(|view| {
        let card = inner.cards.get(&view.id)?;
        let key = keys.get(&view.pool)?;
        Some(ServerRow {
            id: view.id.0,
            user: Arc::clone(&key.user),
            database: Arc::clone(&key.database),
            state: view.state,
            peer: card.peer,
            local: card.local,
            connected: card.connected,
            requested: card.requested(),
            close_needed: view.close_needed,
            link: Some(card.link.load(Ordering::Relaxed)).filter(|&client| client != 0),
            remote_pid: card.backend_pid,
            tls: String::new(),
            application_name: card.application_name(),
            prepared_statements: card.prepared_statements.load(Ordering::Relaxed) as usize,
        })
    });
    (pools, servers.collect(), inner.pools.is_paused(None))
}

fn load_balance_hosts(entry: &howdah_core::settings::Database) -> Option<&'static str> {
    match (entry.hosts.len(), entry.fixed_host_order) {
        (0 | 1, _) => None,
        (_, true) => Some("disable"),
        (_, false) => Some("round-robin"),
    }
}

fn databases(shared: &Shared, settings: &Settings, pools: &[PoolRow], crowd: &Crowd) -> Vec<DatabaseRow> {
    let mut names: Vec<Arc<str>> = settings.databases.keys().map(|name| name.as_str().into()).collect();
    for pool in pools {
        if !names.contains(&pool.database) {
            names.push(Arc::clone(&pool.database));
        }
    }
    names
        .into_iter()
        .filter_map(|name| {
            let entry = settings.database(&name)?;
            let (paused, disabled) = {
                let pools = &shared.pools.lock().pools;
                (pools.is_paused(Some(&name)), pools.is_disabled(&name))
            };
            let limit = |own: Option<Option<u32>>, common: Option<u32>| own.unwrap_or(common).unwrap_or(0);
            Some(DatabaseRow {
                host: (!entry.hosts.is_empty()).then(|| entry.hosts.join(",")),
                port: entry.port.unwrap_or(5432),
                database: entry.dbname.clone().unwrap_or_else(|| name.to_string()),
                force_user: entry.forced_user.clone(),
                pool_size: entry.pool_size.unwrap_or(settings.pool.size),
                min_pool_size: entry.min_pool_size.unwrap_or(settings.pool.min_size),
                reserve_pool_size: entry.reserve_pool_size.unwrap_or(settings.pool.reserve_size),
                server_lifetime: entry
                    .server_lifetime
                    .unwrap_or(settings.timeouts.server_lifetime)
                    .unwrap_or_default(),
                pool_mode: entry.pool_mode,
                load_balance_hosts: load_balance_hosts(entry),
                max_connections: limit(entry.max_db_connections, settings.pool.max_db_connections),
                current_connections: pools.iter().filter(|p| p.database == name).map(servers_of).sum(),
                max_client_connections: limit(
                    entry.max_db_client_connections,
                    settings.clients.max_per_database,
                ),
                current_client_connections: crowd.databases.get(&name).copied().unwrap_or(0),
                paused,
                disabled,
                name,
            })
        })
        .collect()
}

fn users(settings: &Settings, pools: &[PoolRow], crowd: &Crowd) -> Vec<UserRow> {
    let mut names: Vec<Arc<str>> = settings.secrets.keys().map(|name| name.as_str().into()).collect();
    let more = settings.users.keys().map(|name| Arc::from(name.as_str()));
    for name in more.chain(pools.iter().map(|pool| Arc::clone(&pool.user))) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let row = |name: Arc<str>| {
        let own = settings.users.get(&*name);
        let servers = own.and_then(|u| u.max_user_connections).unwrap_or(settings.pool.max_user_connections);
        let max_clients =
            own.and_then(|u| u.max_user_client_connections).unwrap_or(settings.clients.max_per_user);
        UserRow {
            pool_size: own.and_then(|u| u.pool_size),
            reserve_pool_size: own.and_then(|u| u.reserve_pool_size),
            pool_mode: own.and_then(|u| u.pool_mode),
            max_user_connections: servers.unwrap_or(0),
            current_connections: pools.iter().filter(|p| p.user == name).map(servers_of).sum(),
            max_user_client_connections: max_clients.unwrap_or(0),
            current_client_connections: crowd.users.get(&name).copied().unwrap_or(0),
            name,
        }
    };
    names.into_iter().map(row).collect()
}

fn servers_of(pool: &PoolRow) -> u64 {
    pool.sv_active + pool.sv_being_canceled + pool.sv_idle + pool.sv_used + pool.sv_tested + pool.sv_login
}

#[cfg(test)]
mod tests {
    use howdah_core::facts::Address;
    use howdah_core::session::{Pin, PinReason};

    use super::*;

    fn client(id: u64) -> ClientRow {
        ClientRow {
            id,
            user: "ann".into(),
            database: "shop".into(),
            state: ClientState::Active,
            peer: Address::default(),
            local: Address::default(),
            connected: SystemTime::UNIX_EPOCH,
            requested: SystemTime::UNIX_EPOCH,
            wait: Duration::ZERO,
            close_needed: false,
            link: None,
            remote_pid: None,
            tls: String::new(),
            application_name: String::new(),
            prepared_statements: 0,
            idle: None,
            pin: None,
        }
    }

    #[test]
    fn pins_stand_with_their_clients_and_count_for_their_pools() {
        let now = Instant::now();
        let key = |database: &str| PoolKey { database: database.into(), user: "ann".into() };
        let ledger = |database| Arc::new(PinLedger::new(key(database), 9, |_| {}));
        let (shop, stock) = (ledger("shop"), ledger("stock"));
        for id in [1, 3, 4] {
            shop.pin(id, "", Pin::new(PinReason::TempObject, None, b"", now));
        }
        let mut clients = [client(1), client(2), client(3)];
        let pinned = note_pins(&[shop, stock], &mut clients, now + Duration::from_secs(5));
        let ages = clients.each_ref().map(|client| client.pin.as_ref().map(|row| (row.client, row.age)));
        let five = Duration::from_secs(5);
        assert_eq!(ages, [Some((1, five)), None, Some((3, five))]);
        assert_eq!(pinned, BTreeMap::from([(key("shop"), 2)]), "client 4 has gone");
    }
}
