//! What an operator may ask of a running Howdah, and what comes back.
//!
//! The console turns text into a [`Request`]; the engine carries it out and answers with an [`Outcome`].
//! Between the two stand [`ConsoleDoor`] and [`ConsoleSession`]: the engine feeds bytes and sees neither
//! commands nor tables, the console sees neither sockets nor pools.

use howdah_wire::cancel_key::CancelKey;

use crate::facts::Snapshot;

/// One order or question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Everything SHOW can show.
    Snapshot,
    /// The settings in force.
    ShowConfig,
    /// `SET key = value`.
    Set {
        /// Setting.
        key: String,
        /// Its new value, as it would stand in the file.
        value: String,
    },
    /// Read the configuration again.
    Reload,
    /// Hold new work until RESUME; answered when no server connection is in use.
    Pause(Option<String>),
    /// End PAUSE, KILL (and SUSPEND).
    Resume(Option<String>),
    /// Refuse new clients.
    Disable(String),
    /// Admit them again.
    Enable(String),
    /// Close every server connection as soon as it is given back.
    Reconnect(Option<String>),
    /// Drop clients and server connections at once, and pause.
    Kill(Option<String>),
    /// Drop one client by its id.
    KillClient(u64),
    /// Answered when all obsolete server connections are closed.
    WaitClose(Option<String>),
    /// Stop.
    Shutdown(Shutdown),
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// At once.
    Immediate,
    /// No new work; when server connections are given back, stop (SIGINT).
    WaitForServers,
    /// No new clients; when the last has left, stop (SIGTERM).
    WaitForClients,
}

/// What came of a [`Request`].
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Done.
    Done,
    /// Answer to [`Request::Snapshot`].
    Snapshot(Box<Snapshot>),
    /// Answer to [`Request::ShowConfig`].
    Config(Vec<ConfigRow>),
    /// Not done, and why: a sentence for the operator.
    Failed(String),
}

/// A row of SHOW CONFIG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRow {
    /// Setting.
    pub key: &'static str,
    /// Value in force.
    pub value: String,
    /// Default.
    pub default: String,
    /// A reload or SET may change it.
    pub changeable: bool,
}

/// Opens consoles for clients that logged in to the database `pgbouncer` or `howdah`.
pub trait ConsoleDoor: Send + Sync {
    /// A console for `user`, who may do what `role` allows.
    fn open(&self, user: &str, role: AdminRole) -> Box<dyn ConsoleSession>;
}

/// One client's conversation with the console, from AuthenticationOk to its end.
pub trait ConsoleSession: Send {
    /// ParameterStatus list, key data and ReadyForQuery after AuthenticationOk, for a client that has just
    /// logged in. Called once, before anything else.
    fn welcome(&mut self, key: &CancelKey, out: &mut Vec<u8>);

    /// Eats whole messages from `input`, appends replies to `out`, and says how many bytes were eaten and
    /// what comes next. What was not eaten is fed again, with what arrives after it.
    fn on_bytes(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, ConsoleNext);

    /// What came of the request that [`ConsoleNext::Run`] asked for. Afterwards [`on_bytes`] goes on, also
    /// when there are no further bytes: a query may hold several requests.
    ///
    /// [`on_bytes`]: ConsoleSession::on_bytes
    fn finish(&mut self, outcome: Outcome, out: &mut Vec<u8>);
}

/// What the engine does after [`ConsoleSession::on_bytes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleNext {
    /// Send the replies, wait for more bytes.
    More,
    /// Send the replies, carry the request out, call [`ConsoleSession::finish`], then
    /// [`ConsoleSession::on_bytes`] with the bytes left, even if there are none.
    Run(Request),
    /// Send the replies and close the connection.
    Close,
}

/// What a console user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRole {
    /// Everything: `admin_users`, and user `pgbouncer` by peer authentication.
    Admin,
    /// SHOW only: `stats_users`.
    Stats,
}
