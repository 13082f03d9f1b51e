//! How things stand, at one moment: all that the console, metrics and `top` see of the inside.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Closes, Counters};
use crate::session::{PinRow, PinTally};
use crate::settings::PoolMode;

/// Everything SHOW can show, taken at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: SystemTime,
    /// One per pool (database and user).
    pub pools: Vec<PoolRow>,
    /// One per client, the console's own included.
    pub clients: Vec<ClientRow>,
    /// One per server connection.
    pub servers: Vec<ServerRow>,
    /// One per entry of `[databases]`, and per database met through `*`.
    pub databases: Vec<DatabaseRow>,
    /// One per user known from `userlist.txt`, `[users]` or forced by a database.
    pub users: Vec<UserRow>,
    /// One per database: sums since start and averages of the last full `stats_period`.
    pub stats: Vec<StatsRow>,
    /// One per pool that has had a client.
    pub pins: Vec<PoolPins>,
    /// Connections that have ended since start, by reason.
    pub closes: Closes,
    /// What SHOW LISTS counts.
    pub lists: Lists,
    /// What `max_client_conn` counts: clients inside, and those still logging in; the console's excepted.
    pub served_clients: u32,
    /// `max_client_conn`.
    pub max_clients: u32,
    /// PAUSE without a database is in force.
    pub paused: bool,
    /// SUSPEND is in force.
    pub suspended: bool,
    /// How workers send: `uring` or `plain`.
    pub io_engine: &'static str,
}

/// A row of SHOW POOLS.
#[derive(Clone, Debug)]
pub struct PoolRow {
    /// Entry of `[databases]`.
    pub database: Arc<str>,
    /// User.
    pub user: Arc<str>,
    /// Clients linked to a server connection, and clients that ask for nothing.
    pub cl_active: u64,
    /// Clients in line for a server connection.
    pub cl_waiting: u64,
    /// Clients that have sent a cancel request that is being forwarded.
    pub cl_active_cancel_req: u64,
    /// Clients that have sent a cancel request not yet forwarded.
    pub cl_waiting_cancel_req: u64,
    /// Server connections linked to a client.
    pub sv_active: u64,
    /// Server connections forwarding a cancel request.
    pub sv_active_cancel: u64,
    /// Server connections idle but for a cancel request in flight.
    pub sv_being_canceled: u64,
    /// Idle ones, ready for use.
    pub sv_idle: u64,
    /// Idle ones that need a check before use.
    pub sv_used: u64,
    /// Being checked or cleaned.
    pub sv_tested: u64,
    /// Being opened.
    pub sv_login: u64,
    /// How long the first in line has waited.
    pub maxwait: Duration,
    /// The pool's mode.
    pub pool_mode: PoolMode,
    /// `load_balance_hosts`; `None` with a single host.
    pub load_balance_hosts: Option<&'static str>,
    /// Server connections that stay with their client beyond its transaction, for what it has there.
    pub sv_pinned: u64,
}

/// State of a client, in PgBouncer's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientState {
    /// Still logging in.
    Login,
    /// Linked to a server connection.
    Active,
    /// Asks for nothing.
    Idle,
    /// In line for a server connection.
    Waiting,
    /// Its cancel request is being forwarded.
    ActiveCancelReq,
    /// Its cancel request waits to be forwarded.
    WaitingCancelReq,
}

/// State of a server connection, in PgBouncer's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerState {
    /// Being opened.
    Login,
    /// Ready for use.
    Idle,
    /// Linked to a client.
    Active,
    /// Idle for so long that it is checked before use.
    Used,
    /// Being checked or cleaned.
    Tested,
    /// Forwards a cancel request.
    ActiveCancel,
    /// Unused, but a cancel request to it is in flight.
    BeingCanceled,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// The kernel does not tell.
    #[default]
    Unknown,
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket with this port in its name.
    Unix(u16),
}

impl Address {
    /// IP address, or `unix`.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Address::Unknown => String::new(),
            Address::Tcp(address) => address.ip().to_string(),
            Address::Unix(_) => "unix".to_owned(),
        }
    }

    /// Port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Address::Unknown => 0,
            Address::Tcp(address) => address.port(),
            Address::Unix(port) => *port,
        }
    }
}

/// As it is logged: an IPv6 address in brackets.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unknown => f.write_str("unknown"),
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(port) => write!(f, "unix:{port}"),
        }
    }
}

/// A row of SHOW CLIENTS.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Unique for the life of the process; what KILL_CLIENT takes.
    pub id: u64,
    /// User.
    pub user: Arc<str>,
    /// Entry of `[databases]`.
    pub database: Arc<str>,
    /// State.
    pub state: ClientState,
    /// The client's end.
    pub peer: Address,
    /// Howdah's end.
    pub local: Address,
    /// When it connected.
    pub connected: SystemTime,
    /// When its last request began.
    pub requested: SystemTime,
    /// How long it has been in line.
    pub wait: Duration,
    /// Will be closed when its transaction ends.
    pub close_needed: bool,
    /// The server connection it is linked to.
    pub link: Option<u64>,
    /// PID of the client, where the Unix socket tells.
    pub remote_pid: Option<u32>,
    /// TLS version and cipher; empty without TLS.
    pub tls: String,
    /// `application_name`.
    pub application_name: String,
    /// Prepared statements it holds.
    pub prepared_statements: usize,
    /// How long it has asked for nothing; `None`: it is inside a query or a transaction.
    pub idle: Option<Duration>,
    /// Why it keeps its server connection.
    pub pin: Option<PinRow>,
}

/// A row of SHOW SERVERS.
#[derive(Clone, Debug)]
pub struct ServerRow {
    /// Unique for the life of the process.
    pub id: u64,
    /// User it is logged in as.
    pub user: Arc<str>,
    /// Entry of `[databases]`.
    pub database: Arc<str>,
    /// State.
    pub state: ServerState,
    /// PostgreSQL's end.
    pub peer: Address,
    /// Howdah's end.
    pub local: Address,
    /// When it was opened.
    pub connected: SystemTime,
    /// When it was last given to a client.
    pub requested: SystemTime,
    /// Will be closed when it is given back.
    pub close_needed: bool,
    /// The client it is linked to.
    pub link: Option<u64>,
    /// PID of its backend.
    pub remote_pid: u32,
    /// TLS version and cipher; empty without TLS.
    pub tls: String,
    /// `application_name` as the server reports it.
    pub application_name: String,
    /// Prepared statements it holds.
    pub prepared_statements: usize,
}

/// A row of SHOW DATABASES.
#[derive(Clone, Debug)]
pub struct DatabaseRow {
    /// Entry of `[databases]`.
    pub name: Arc<str>,
    /// Host list as configured; `None` for the default Unix socket.
    pub host: Option<String>,
    /// Port.
    pub port: u16,
    /// Name on the server.
    pub database: String,
    /// The user every client of this entry becomes.
    pub force_user: Option<String>,
    /// Size of a pool of this entry.
    pub pool_size: u32,
    /// Server connections kept open.
    pub min_pool_size: u32,
    /// Extra server connections.
    pub reserve_pool_size: u32,
    /// `server_lifetime`, 0 when off.
    pub server_lifetime: Duration,
    /// Mode of this entry; `None`: the default.
    pub pool_mode: Option<PoolMode>,
    /// `load_balance_hosts`; `None` with a single host.
    pub load_balance_hosts: Option<&'static str>,
    /// Limit of server connections; 0: none.
    pub max_connections: u32,
    /// Server connections now.
    pub current_connections: u64,
    /// Limit of clients; 0: none.
    pub max_client_connections: u32,
    /// Clients now.
    pub current_client_connections: u64,
    /// PAUSE is in force.
    pub paused: bool,
    /// DISABLE is in force.
    pub disabled: bool,
}

/// A row of SHOW USERS.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Name.
    pub name: Arc<str>,
    /// Its own pool size.
    pub pool_size: Option<u32>,
    /// Its own reserve.
    pub reserve_pool_size: Option<u32>,
    /// Its own mode.
    pub pool_mode: Option<PoolMode>,
    /// Limit of server connections; 0: none.
    pub max_user_connections: u32,
    /// Server connections now.
    pub current_connections: u64,
    /// Limit of clients; 0: none.
    pub max_user_client_connections: u32,
    /// Clients now.
    pub current_client_connections: u64,
}

/// A row of SHOW STATS.
#[derive(Clone, Debug)]
pub struct StatsRow {
    /// Entry of `[databases]`.
    pub database: Arc<str>,
    /// Sums since start.
    pub total: Counters,
    /// Sums of the last full `stats_period`.
    pub period: Counters,
    /// How long that period was; zero before the first one ended.
    pub period_length: Duration,
}

/// The pins of a pool in numbers; who they are stands with the clients.
#[derive(Clone, Debug)]
pub struct PoolPins {
    /// Entry of `[databases]`.
    pub database: Arc<str>,
    /// User.
    pub user: Arc<str>,
    /// The numbers.
    pub tally: PinTally,
}

/// What SHOW LISTS counts beyond the rows above.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists {
    /// Clients still logging in.
    pub login_clients: u64,
    /// Host names in the resolver's cache.
    pub dns_names: u64,
    /// Look-ups under way.
    pub dns_pending: u64,
    /// Panics survived since start: each has ended one client, or put off one background duty.
    pub panics: u64,
}
