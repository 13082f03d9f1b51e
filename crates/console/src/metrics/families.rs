//! The table of all metrics, by subject. The page and the chapter of the book are both written from it.

use std::time::{Duration, SystemTime};

use super::source::{PoolState, Source};
use super::text::{Kind, Value};

/// All samples of one name.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is, in a sentence.
    pub(super) help: &'static str,
    pub(super) source: Source,
}

/// Families of one subject.
pub(super) struct Subject {
    pub(super) title: &'static str,
    pub(super) families: &'static [Family],
}

/// In the order of the page.
pub(super) fn all() -> impl Iterator<Item = &'static Family> {
    SUBJECTS.iter().flat_map(|subject| subject.families)
}

pub(super) static SUBJECTS: [Subject; 8] = [
    Subject { title: "Pins", families: &PINS },
    Subject { title: "Pools", families: &POOLS },
    Subject { title: "Work done", families: &STATS },
    Subject { title: "Databases", families: &DATABASES },
    Subject { title: "Users", families: &USERS },
    Subject { title: "Ends of connections", families: &CLOSES },
    Subject { title: "Howdah", families: &HOWDAH },
    Subject { title: "The process", families: &PROCESS },
];

static PINS: [Family; 6] = [
    gauge(
        "howdah_pinned_clients",
        "Clients that keep their server connection beyond their transaction, by what for.",
        Source::PinReasons(|sums| sums.pinned.into()),
    ),
    counter("howdah_pins_total", "Pins that have begun.", Source::PinReasons(|sums| sums.begun.into())),
    counter(
        "howdah_pinned_seconds_total",
        "Time that clients were pinned, pins under way included.",
        Source::PinReasons(|sums| sums.time.into()),
    ),
    gauge(
        "howdah_longest_pin_seconds",
        "How long the client that is pinned longest has been; 0 while nobody is.",
        Source::Pins(|tally| tally.longest.unwrap_or_default().into()),
    ),
    counter(
        "howdah_pins_refused_total",
        "Times a client was refused a pin by max_pinned.",
        Source::Pins(|tally| tally.refused.into()),
    ),
    gauge(
        "howdah_max_pinned",
        "Clients that may be pinned at once: max_pinned.",
        Source::Pins(|tally| Value::size(tally.max)),
    ),
];

static POOLS: [Family; 5] = [
    gauge("howdah_pool_clients", "Clients, by state as in SHOW POOLS.", Source::PoolStates(&CLIENT_STATES)),
    gauge(
        "howdah_pool_servers",
        "Server connections, by state as in SHOW POOLS.",
        Source::PoolStates(&SERVER_STATES),
    ),
    gauge(
        "howdah_pool_oldest_wait_seconds",
        "How long the first in line has waited for a server connection; 0 while nobody waits.",
        Source::Pools(|pool| pool.maxwait.into()),
    ),
    gauge(
        "howdah_client_prepared_statements",
        "Prepared statements that clients have.",
        Source::Clients(|client| client.prepared_statements as u64),
    ),
    gauge(
        "howdah_server_prepared_statements",
        "Prepared statements on server connections, as of the last time each was given back.",
        Source::Servers(|server| server.prepared_statements as u64),
    ),
];

static CLIENT_STATES: [PoolState; 4] = [
    ("active", |pool| pool.cl_active),
    ("waiting", |pool| pool.cl_waiting),
    ("active_cancel_req", |pool| pool.cl_active_cancel_req),
    ("waiting_cancel_req", |pool| pool.cl_waiting_cancel_req),
];

static SERVER_STATES: [PoolState; 7] = [
    ("active", |pool| pool.sv_active),
    ("active_cancel", |pool| pool.sv_active_cancel),
    ("being_canceled", |pool| pool.sv_being_canceled),
    ("idle", |pool| pool.sv_idle),
    ("used", |pool| pool.sv_used),
    ("tested", |pool| pool.sv_tested),
    ("login", |pool| pool.sv_login),
];

static STATS: [Family; 14] = [
    counter(
        "howdah_transactions_total",
        "Transactions ended.",
        Source::Stats(|sums| sums.transactions.into()),
    ),
    counter("howdah_queries_total", "Queries ended.", Source::Stats(|sums| sums.queries.into())),
    counter(
        "howdah_transaction_seconds_total",
        "Time inside transactions.",
        Source::Stats(|sums| Value::microseconds(sums.transaction_time)),
    ),
    counter(
        "howdah_query_seconds_total",
        "Time that servers spent on queries.",
        Source::Stats(|sums| Value::microseconds(sums.query_time)),
    ),
    counter(
        "howdah_wait_seconds_total",
        "Time that clients waited for a server connection.",
        Source::Stats(|sums| Value::microseconds(sums.wait_time)),
    ),
    counter(
        "howdah_server_assignments_total",
        "Times a client was given a server connection.",
        Source::Stats(|sums| sums.server_assignments.into()),
    ),
    counter(
        "howdah_client_received_bytes_total",
        "Bytes received from clients.",
        Source::Stats(|sums| sums.received.into()),
    ),
    counter(
        "howdah_client_sent_bytes_total",
        "Bytes sent to clients.",
        Source::Stats(|sums| sums.sent.into()),
    ),
    counter(
        "howdah_client_logins_total",
        "Clients that logged in.",
        Source::Stats(|sums| sums.logins.into()),
    ),
    counter(
        "howdah_client_parses_total",
        "Named statements parsed by clients.",
        Source::Stats(|sums| sums.client_parses.into()),
    ),
    counter(
        "howdah_server_parses_total",
        "Named statements parsed on servers.",
        Source::Stats(|sums| sums.server_parses.into()),
    ),
    counter("howdah_binds_total", "Binds of named statements.", Source::Stats(|sums| sums.binds.into())),
    counter(
        "howdah_notifications_total",
        "Notifications handed to clients that listen.",
        Source::Stats(|sums| sums.notifications.into()),
    ),
    counter(
        "howdah_state_replays_total",
        "Times a client's session state was brought to a server connection.",
        Source::Stats(|sums| sums.state_replays.into()),
    ),
];

static DATABASES: [Family; 9] = [
    gauge(
        "howdah_database_servers",
        "Server connections of this database, those being opened included.",
        Source::Databases(|database| database.current_connections.into()),
    ),
    gauge(
        "howdah_database_max_servers",
        "Limit of server connections: max_db_connections.",
        Source::Databases(|database| Value::limit(database.max_connections)),
    ),
    gauge(
        "howdah_database_clients",
        "Clients of this database.",
        Source::Databases(|database| database.current_client_connections.into()),
    ),
    gauge(
        "howdah_database_max_clients",
        "Limit of clients: max_db_client_connections.",
        Source::Databases(|database| Value::limit(database.max_client_connections)),
    ),
    gauge(
        "howdah_database_pool_size",
        "Size of each of its pools, where the user has none of its own.",
        Source::Databases(|database| Value::size(database.pool_size)),
    ),
    gauge(
        "howdah_database_min_pool_size",
        "Server connections kept open in each of its pools.",
        Source::Databases(|database| database.min_pool_size.into()),
    ),
    gauge(
        "howdah_database_reserve_pool_size",
        "Server connections beyond the pool's size, for clients that have waited long.",
        Source::Databases(|database| database.reserve_pool_size.into()),
    ),
    gauge(
        "howdah_database_paused",
        "1 while PAUSE is in force.",
        Source::Databases(|database| database.paused.into()),
    ),
    gauge(
        "howdah_database_disabled",
        "1 while DISABLE is in force.",
        Source::Databases(|database| database.disabled.into()),
    ),
];

static USERS: [Family; 6] = [
    gauge(
        "howdah_user_servers",
        "Server connections of this user, those being opened included.",
        Source::Users(|user| Some(user.current_connections.into())),
    ),
    gauge(
        "howdah_user_max_servers",
        "Limit of server connections: max_user_connections.",
        Source::Users(|user| Some(Value::limit(user.max_user_connections))),
    ),
    gauge(
        "howdah_user_clients",
        "Clients of this user.",
        Source::Users(|user| Some(user.current_client_connections.into())),
    ),
    gauge(
        "howdah_user_max_clients",
        "Limit of clients: max_user_client_connections.",
        Source::Users(|user| Some(Value::limit(user.max_user_client_connections))),
    ),
    gauge(
        "howdah_user_pool_size",
        "Size of each of its pools, for users with one of their own.",
        Source::Users(|user| user.pool_size.map(Value::size)),
    ),
    gauge(
        "howdah_user_reserve_pool_size",
        "Server connections beyond the pool's size, for users with a reserve of their own.",
        Source::Users(|user| user.reserve_pool_size.map(Value::from)),
    ),
];

static CLOSES: [Family; 2] = [
    counter(
        "howdah_client_closes_total",
        "Clients that have gone or were not let in, by why; a cancel request and a client of the console count too.",
        Source::Closes(|closes| &closes.clients),
    ),
    counter(
        "howdah_server_closes_total",
        "Server connections that were closed or could not be opened, by why.",
        Source::Closes(|closes| &closes.servers),
    ),
];

static HOWDAH: [Family; 11] = [
    gauge(
        "howdah_build_info",
        "Always 1; the version is in the label.",
        Source::Word(&["version"], |_| env!("CARGO_PKG_VERSION")),
    ),
    gauge(
        "howdah_io_engine_info",
        "Always 1; how workers send is in the label, as in SHOW STATE.",
        Source::Word(&["io_engine"], |scene| scene.snapshot.io_engine),
    ),
    gauge(
        "howdah_clients",
        "Clients inside and those still logging in, the console's excepted: what max_client_conn limits.",
        Source::One(|scene| Some(scene.snapshot.served_clients.into())),
    ),
    gauge(
        "howdah_max_clients",
        "Limit of clients: max_client_conn.",
        Source::One(|scene| Some(scene.snapshot.max_clients.into())),
    ),
    gauge(
        "howdah_clients_logging_in",
        "Clients still logging in.",
        Source::One(|scene| Some(scene.snapshot.lists.login_clients.into())),
    ),
    gauge(
        "howdah_databases",
        "Rows of SHOW DATABASES.",
        Source::One(|scene| Some(Value::Count(scene.snapshot.databases.len() as u64))),
    ),
    gauge(
        "howdah_users",
        "Rows of SHOW USERS.",
        Source::One(|scene| Some(Value::Count(scene.snapshot.users.len() as u64))),
    ),
    gauge(
        "howdah_pools",
        "Rows of SHOW POOLS.",
        Source::One(|scene| Some(Value::Count(scene.snapshot.pools.len() as u64))),
    ),
    gauge(
        "howdah_paused",
        "1 while PAUSE of all databases is in force.",
        Source::One(|scene| Some(scene.snapshot.paused.into())),
    ),
    gauge(
        "howdah_suspended",
        "1 while SUSPEND is in force.",
        Source::One(|scene| Some(scene.snapshot.suspended.into())),
    ),
    counter(
        "howdah_panics_total",
        "Panics survived: each has ended one client, or put off one background duty.",
        Source::One(|scene| Some(scene.snapshot.lists.panics.into())),
    ),
];

/// Named as Prometheus's own libraries name them.
static PROCESS: [Family; 5] = [
    gauge(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970.",
        Source::One(|scene| Some(since_1970(scene.process.started).into())),
    ),
    counter(
        "process_cpu_seconds_total",
        "Processor time, of the program and of the kernel for it.",
        Source::One(|scene| Some(scene.process.cpu.into())),
    ),
    gauge(
        "process_resident_memory_bytes",
        "Resident memory.",
        Source::One(|scene| scene.process.resident.map(Value::from)),
    ),
    gauge(
        "process_open_fds",
        "Open file descriptors.",
        Source::One(|scene| scene.process.open_files.map(Value::from)),
    ),
    gauge(
        "process_max_fds",
        "Limit of open file descriptors.",
        Source::One(|scene| Some(scene.process.max_files.map_or(Value::Unlimited, Value::from))),
    ),
];

const fn counter(name: &'static str, help: &'static str, source: Source) -> Family {
    Family { name, kind: Kind::Counter, help, source }
}

const fn gauge(name: &'static str, help: &'static str, source: Source) -> Family {
    Family { name, kind: Kind::Gauge, help, source }
}

fn since_1970(moment: SystemTime) -> Duration {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
