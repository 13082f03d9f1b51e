//! One picture of everything, put together from what the pools and each worker say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use howdah_core::facts::{
    ClientRow, ClientState, Counters, DatabaseRow, Lists, PoolRow, ServerRow, Snapshot, StatsRow, UserRow,
};
use howdah_core::pool::PoolId;
use howdah_core::settings::Settings;

use crate::shared::{Route, Shared};
use crate::statistics::Period;
use crate::worker::{ClientCard, Worker};

/// What one worker knows.
pub(crate) struct WorkerReport {
    pub(crate) clients: Vec<ClientRow>,
    pub(crate) counters: Vec<(Arc<str>, Counters)>,
    pub(crate) logins: u64,
}

impl WorkerReport {
    pub(crate) fn of(worker: &Worker) -> WorkerReport {
        WorkerReport {
            clients: worker.clients.borrow().values().map(|card| client_row(worker, card)).collect(),
            counters: worker.all_counters(),
            logins: worker.logins.get(),
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
        user: Arc::clone(&card.route.client.user),
        database: Arc::clone(&card.route.client.database),
        state: card.state.get(),
        peer: card.peer.clone(),
        local: card.local.clone(),
        connected: card.connected,
        requested: SystemTime::now() - requested_ago,
        wait: card.waiting_since.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        close_needed: false,
        link: card.link.get().map(|server| server.0),
        remote_pid: card.remote_pid,
        tls: String::new(),
        application_name: application_name.map(ToString::to_string).unwrap_or_default(),
        prepared_statements: session.prepared_statements(),
    }
}

/// Puts the picture together.
pub(crate) fn assemble(shared: &Shared, reports: Vec<WorkerReport>, period: &Period) -> Snapshot {
    let settings = shared.settings.load();
    let mut clients = Vec::new();
    let mut totals: BTreeMap<Arc<str>, Counters> = BTreeMap::new();
    let mut lists = Lists { panics: shared.panics.load(Ordering::Relaxed), ..Lists::default() };
    for report in reports {
        clients.extend(report.clients);
        lists.login_clients += report.logins;
        for (database, counters) in report.counters {
            *totals.entry(database).or_default() += counters;
        }
    }
    clients.sort_by_key(|client| client.id);
    let (pools, servers, paused) = from_pools(shared, &clients);
    Snapshot {
        taken: SystemTime::now(),
        databases: databases(shared, &settings, &pools, &clients),
        users: users(&settings, &pools, &clients),
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
        lists,
        paused,
        suspended: false,
        io_engine: shared.io_engine.get().copied().unwrap_or("plain"),
    }
}

fn from_pools(shared: &Shared, clients: &[ClientRow]) -> (Vec<PoolRow>, Vec<ServerRow>, bool) {
    let now = tokio::time::Instant::now().into_std();
    let settings = shared.settings.load();
    let inner = shared.pools.lock();
    let routes = shared.routes_now();
    // Counted from the rows that SHOW CLIENTS shows, so that the tables agree.
    let mut counts: BTreeMap<PoolId, (u64, u64)> = BTreeMap::new();
    for client in clients {
        let of_client = |route: &&Arc<Route>| {
            route.client.database == client.database && route.client.user == client.user
        };
        if let Some(route) = routes.iter().find(of_client) {
            let (active, waiting) = counts.entry(route.pool).or_default();
            *(if client.state == ClientState::Waiting { waiting } else { active }) += 1;
        }
    }
    let clients_of = |pool| counts.get(&pool).copied().unwrap_or_default();
    let cancels =
        |pool| inner.pools.server_views(now).filter(|s| s.pool == pool).map(|s| u64::from(s.cancels)).sum();
    let pools = inner.pools.pool_views(now).map(|view| PoolRow {
        database: Arc::clone(&view.key.database),
        user: Arc::clone(&view.key.user),
        cl_active: clients_of(view.id).0,
        cl_waiting: clients_of(view.id).1,
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
    });
    let pools = pools.collect();
    let servers = inner.pools.server_views(now).filter_map(|view| {
        let card = inner.cards.get(&view.id)?;
        let key = routes.iter().find(|route| route.pool == view.pool).map(|route| &route.server)?;
        Some(ServerRow {
            id: view.id.0,
            user: Arc::clone(&key.user),
            database: Arc::clone(&key.database),
            state: view.state,
            peer: card.peer.clone(),
            local: card.local.clone(),
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

fn databases(
    shared: &Shared,
    settings: &Settings,
    pools: &[PoolRow],
    clients: &[ClientRow],
) -> Vec<DatabaseRow> {
    let mut names: Vec<Arc<str>> = settings.databases.keys().map(|name| name.as_str().into()).collect();
    for pool in pools {
        if !names.contains(&pool.database) {
            names.push(Arc::clone(&pool.database));
        }
    }
    let inner = shared.pools.lock();
    names
        .into_iter()
        .filter_map(|name| {
            let entry = settings.database(&name)?;
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
                current_client_connections: clients.iter().filter(|c| c.database == name).count() as u64,
                paused: inner.pools.is_paused(Some(&name)),
                disabled: inner.pools.is_disabled(&name),
                name,
            })
        })
        .collect()
}

fn users(settings: &Settings, pools: &[PoolRow], clients: &[ClientRow]) -> Vec<UserRow> {
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
            current_client_connections: clients.iter().filter(|c| c.user == name).count() as u64,
            name,
        }
    };
    names.into_iter().map(row).collect()
}

fn servers_of(pool: &PoolRow) -> u64 {
    pool.sv_active + pool.sv_being_canceled + pool.sv_idle + pool.sv_used + pool.sv_tested + pool.sv_login
}
