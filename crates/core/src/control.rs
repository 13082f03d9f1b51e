//! What an operator may ask of a running Howdah, and what comes back.
//!
//! The console turns text into a [`Request`]; the engine carries it out and answers with an [`Outcome`].

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
