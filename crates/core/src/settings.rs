//! What the operator asked for: `pgbouncer.ini` and `userlist.txt` with their meaning, not their text.
//!
//! Names, defaults and meanings are PgBouncer's. A limit or time that PgBouncer switches off with `0` is
//! `None` here. `howdah-config` fills these structs; nothing below `core` reads a file.

mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use howdah_wire::secret::Secret;

pub use state::{
    MaxPinned, Policy, StateCheck, StateChoice, StateKind, StateOverride, StatePolicy, StateRules,
};

/// One consistent reading of the configuration. A reload makes a new one; nobody changes it in place.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where to listen; changes need a restart.
    pub listen: Listen,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Defaults of all pools; databases and users overrule them.
    pub pool: PoolDefaults,
    /// What becomes of the clients' session state.
    pub state: StateRules,
    /// Times after which something is ended.
    pub timeouts: Timeouts,
    /// How many clients at once.
    pub clients: ClientLimits,
    /// Logs and periodic figures.
    pub log: Log,
    /// Socket options of client and server connections.
    pub tcp: Tcp,
    /// Entries of `[databases]` by name, without `*`.
    pub databases: BTreeMap<String, Database>,
    /// The entry `*`: any other database name goes to the database of that name there.
    pub any_database: Option<Database>,
    /// Entries of `[users]`.
    pub users: BTreeMap<String, User>,
    /// `userlist.txt`: name → secret.
    pub secrets: BTreeMap<String, Secret>,
}

/// `listen_*`, `unix_socket_*` and what else is fixed at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// `listen_addr`: host names or addresses, `*` for all; empty: no TCP.
    pub addresses: Vec<String>,
    /// `listen_port`, for TCP and in the Unix socket's name.
    pub port: u16,
    /// `listen_backlog`.
    pub backlog: u32,
    /// `unix_socket_dir`; `None`: no Unix socket. A leading `@` is an abstract socket.
    pub unix_socket_dir: Option<String>,
    /// `unix_socket_mode`.
    pub unix_socket_mode: u32,
    /// `unix_socket_group`.
    pub unix_socket_group: Option<String>,
    /// `so_reuseport`.
    pub so_reuseport: bool,
    /// `workers` (Howdah's own): worker threads; `None`: one per core.
    pub workers: Option<usize>,
    /// `io_engine` (Howdah's own): how a worker sends.
    pub io_engine: IoEngine,
    /// `pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `user`: the Unix user to become after start as root.
    pub user: Option<String>,
    /// `metrics_addr` (Howdah's own): where `/metrics` is answered, as in `addresses`.
    pub metrics_addresses: Vec<String>,
    /// `metrics_port` (Howdah's own); 0: nowhere.
    pub metrics_port: u16,
}

/// How a worker hands its sends to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoEngine {
    /// As `Uring` where the kernel and the container allow it and a turn has more than one send, else as `Plain`.
    Auto,
    /// All sends of a turn in one system call, by io_uring.
    Uring,
    /// A system call for each send.
    Plain,
}

/// How clients prove who they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// `auth_type`.
    pub method: AuthMethod,
    /// `auth_file`, kept for messages and reload.
    pub file: Option<PathBuf>,
    /// `admin_users`.
    pub admin_users: Vec<String>,
    /// `stats_users`.
    pub stats_users: Vec<String>,
    /// `ignore_startup_parameters`.
    pub ignore_startup_parameters: Vec<String>,
    /// `track_extra_parameters`: reported parameters that follow the client beside the five fixed ones.
    pub track_extra_parameters: Vec<String>,
    /// `application_name_add_host`.
    pub application_name_add_host: bool,
    /// `login_notify_message`: a NOTICE after login.
    pub login_notify_message: Option<String>,
    /// `scram_iterations`: used when a plain secret is hashed.
    pub scram_iterations: u32,
    /// `max_packet_size`: the largest message let through, in bytes.
    pub max_packet_size: u32,
    /// `disable_pqexec`: refuse the simple query protocol.
    pub disable_pqexec: bool,
}

/// `auth_type`, as far as it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Any user name, mapped to the database's forced `user`; no secret asked.
    Any,
    /// A known user name, no secret asked.
    Trust,
    /// The password in clear text.
    Plain,
    /// MD5 challenge; users with a SCRAM secret get SCRAM, as with PgBouncer.
    Md5,
    /// SCRAM-SHA-256.
    ScramSha256,
}

/// When a client gives its server connection back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolMode {
    /// When it leaves.
    Session,
    /// When its transaction ends.
    Transaction,
    /// When its query ends; transaction blocks are refused.
    Statement,
}

impl PoolMode {
    /// The word used in `pgbouncer.ini` and SHOW POOLS.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        }
    }
}

/// Sizes and rules of pools where neither database nor user says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolDefaults {
    /// `pool_mode`.
    pub mode: PoolMode,
    /// `default_pool_size`; `u32::MAX` is no limit.
    pub size: u32,
    /// `min_pool_size`.
    pub min_size: u32,
    /// `reserve_pool_size`.
    pub reserve_size: u32,
    /// `max_db_connections`: server connections per database.
    pub max_db_connections: Option<u32>,
    /// `max_user_connections`: server connections per user.
    pub max_user_connections: Option<u32>,
    /// `server_round_robin`: reuse the longest idle one instead of the last used.
    pub round_robin: bool,
    /// `server_reset_query`; `None`: empty.
    pub reset_query: Option<String>,
    /// `server_reset_query_always`.
    pub reset_query_always: bool,
    /// `server_check_query`; empty text is an empty query. `None`: no check.
    pub check_query: Option<String>,
    /// `max_prepared_statements` per server connection; 0: names are not virtual.
    pub max_prepared_statements: u32,
}

/// Every time limit; `None` is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeouts {
    /// `reserve_pool_timeout`: how long a client waits before the reserve is used.
    pub reserve_pool: Option<Duration>,
    /// `server_lifetime`: age at which an unused server connection is closed; zero: it is used once.
    pub server_lifetime: Option<Duration>,
    /// `server_idle_timeout`.
    pub server_idle: Option<Duration>,
    /// `server_check_delay`: idle time after which the check query is run before reuse.
    pub server_check_delay: Duration,
    /// `server_connect_timeout`: connect and log in.
    pub server_connect: Option<Duration>,
    /// `server_login_retry`: pause after a server refused.
    pub server_login_retry: Duration,
    /// `query_wait_timeout`.
    pub query_wait: Option<Duration>,
    /// `query_wait_notify`: NOTICE to a client that waits this long.
    pub query_wait_notify: Option<Duration>,
    /// `cancel_wait_timeout`.
    pub cancel_wait: Option<Duration>,
    /// `query_timeout`.
    pub query: Option<Duration>,
    /// `transaction_timeout`.
    pub transaction: Option<Duration>,
    /// `idle_transaction_timeout`.
    pub idle_transaction: Option<Duration>,
    /// `client_idle_timeout`.
    pub client_idle: Option<Duration>,
    /// `client_login_timeout`.
    pub client_login: Option<Duration>,
}

/// How many clients at once; `None` is no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientLimits {
    /// `max_client_conn`.
    pub max_client_conn: u32,
    /// `max_db_client_connections`.
    pub max_per_database: Option<u32>,
    /// `max_user_client_connections`.
    pub max_per_user: Option<u32>,
}

/// What is written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// `logfile`; `None`: standard error.
    pub file: Option<PathBuf>,
    /// `verbose`: 0 information, 1 debug, 2 and more trace.
    pub verbose: u32,
    /// `log_format` (Howdah's own).
    pub format: LogFormat,
    /// `log_connections`.
    pub connections: bool,
    /// `log_disconnections`.
    pub disconnections: bool,
    /// `log_pooler_errors`.
    pub pooler_errors: bool,
    /// `log_stats`.
    pub stats: bool,
    /// `stats_period`.
    pub stats_period: Duration,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `tcp_*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tcp {
    /// `tcp_defer_accept`: seconds the kernel keeps back a client that says nothing; 0: none.
    pub defer_accept: u32,
    /// `tcp_keepalive`.
    pub keepalive: bool,
    /// `tcp_keepcnt`.
    pub keepcnt: Option<u32>,
    /// `tcp_keepidle`.
    pub keepidle: Option<Duration>,
    /// `tcp_keepintvl`.
    pub keepintvl: Option<Duration>,
    /// `tcp_user_timeout`.
    pub user_timeout: Option<Duration>,
    /// `tcp_socket_buffer` in bytes.
    pub socket_buffer: Option<usize>,
}

/// An entry of `[databases]`. `None` means: as the defaults (or the user) say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// Where its PostgreSQL listens: host names, addresses, or a directory with its Unix socket.
    /// Empty: the Unix socket in the default directory.
    pub hosts: Vec<String>,
    /// `port`; default 5432.
    pub port: Option<u16>,
    /// `dbname` on the server; `None`: the name the client asked for.
    pub dbname: Option<String>,
    /// `user`: every client of this entry is this user on the server.
    pub forced_user: Option<String>,
    /// `password` of `forced_user`.
    pub password: Option<Secret>,
    /// `client_encoding`, `datestyle`, `timezone`, `application_name` given to new server connections.
    pub startup_parameters: BTreeMap<String, String>,
    /// `pool_size`.
    pub pool_size: Option<u32>,
    /// `min_pool_size`.
    pub min_pool_size: Option<u32>,
    /// `reserve_pool_size`.
    pub reserve_pool_size: Option<u32>,
    /// `pool_mode`.
    pub pool_mode: Option<PoolMode>,
    /// `max_db_connections`; `Some(None)`: switched off for this entry.
    pub max_db_connections: Option<Option<u32>>,
    /// `max_db_client_connections`.
    pub max_db_client_connections: Option<Option<u32>>,
    /// `server_lifetime`.
    pub server_lifetime: Option<Option<Duration>>,
    /// `query_wait_timeout`.
    pub query_wait_timeout: Option<Option<Duration>>,
    /// `connect_query`: run on each new server connection before it is used.
    pub connect_query: Option<String>,
    /// `load_balance_hosts=disable`: walk the list of hosts from its start instead of round robin.
    pub fixed_host_order: bool,
    /// `session_state` and what belongs to it.
    pub state: StateOverride,
}

/// An entry of `[users]`. `None` means: as the database or the defaults say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// `pool_mode`; overrules the database's.
    pub pool_mode: Option<PoolMode>,
    /// `pool_size`.
    pub pool_size: Option<u32>,
    /// `reserve_pool_size`.
    pub reserve_pool_size: Option<u32>,
    /// `max_user_connections`.
    pub max_user_connections: Option<Option<u32>>,
    /// `max_user_client_connections`.
    pub max_user_client_connections: Option<Option<u32>>,
    /// `transaction_timeout`.
    pub transaction_timeout: Option<Option<Duration>>,
    /// `idle_transaction_timeout`.
    pub idle_transaction_timeout: Option<Option<Duration>>,
    /// `query_timeout`.
    pub query_timeout: Option<Option<Duration>>,
    /// `query_wait_timeout`.
    pub query_wait_timeout: Option<Option<Duration>>,
    /// `client_idle_timeout`.
    pub client_idle_timeout: Option<Option<Duration>>,
    /// `session_state` and what belongs to it; overrules the database's.
    pub state: StateOverride,
}

impl Settings {
    /// The entry a client's database name leads to: its own, or `*`.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(name).or(self.any_database.as_ref())
    }
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Settings {
            listen: Listen {
                addresses: Vec::new(),
                port: 6432,
                backlog: 128,
                unix_socket_dir: Some("/tmp".to_owned()),
                unix_socket_mode: 0o777,
                unix_socket_group: None,
                so_reuseport: false,
                workers: None,
                io_engine: IoEngine::Auto,
                pidfile: None,
                user: None,
                metrics_addresses: vec!["127.0.0.1".to_owned()],
                metrics_port: 0,
            },
            auth: Auth {
                method: AuthMethod::Md5,
                file: None,
                admin_users: Vec::new(),
                stats_users: Vec::new(),
                ignore_startup_parameters: Vec::new(),
                track_extra_parameters: vec!["IntervalStyle".to_owned()],
                application_name_add_host: false,
                login_notify_message: None,
                scram_iterations: 4096,
                max_packet_size: i32::MAX as u32,
                disable_pqexec: false,
            },
            pool: PoolDefaults {
                mode: PoolMode::Session,
                size: 20,
                min_size: 0,
                reserve_size: 0,
                max_db_connections: None,
                max_user_connections: None,
                round_robin: false,
                reset_query: Some("DISCARD ALL".to_owned()),
                reset_query_always: false,
                check_query: Some(String::new()),
                max_prepared_statements: 200,
            },
            state: StateRules::default(),
            timeouts: Timeouts {
                reserve_pool: Some(seconds(5)),
                server_lifetime: Some(seconds(3600)),
                server_idle: Some(seconds(600)),
                server_check_delay: seconds(30),
                server_connect: Some(seconds(15)),
                server_login_retry: seconds(15),
                query_wait: Some(seconds(120)),
                query_wait_notify: Some(seconds(5)),
                cancel_wait: Some(seconds(10)),
                query: None,
                transaction: None,
                idle_transaction: None,
                client_idle: None,
                client_login: Some(seconds(60)),
            },
            clients: ClientLimits { max_client_conn: 100, max_per_database: None, max_per_user: None },
            log: Log {
                file: None,
                verbose: 0,
                format: LogFormat::Text,
                connections: true,
                disconnections: true,
                pooler_errors: true,
                stats: true,
                stats_period: seconds(60),
            },
            tcp: Tcp {
                defer_accept: 1,
                keepalive: true,
                keepcnt: None,
                keepidle: None,
                keepintvl: None,
                user_timeout: None,
                socket_buffer: None,
            },
            databases: BTreeMap::new(),
            any_database: None,
            users: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }
}
