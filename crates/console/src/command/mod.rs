//! What does the operator want? Text in, [`Command`]s out; nothing is carried out here.
//!
//! `lexer` makes words of text, `parse` makes commands of words, `driver` knows what database drivers say
//! to any PostgreSQL, `nearest` guesses what a mistyped word was meant to be.

mod driver;
mod lexer;
mod nearest;
mod parse;

use howdah_core::control::Request;
use thiserror::Error;

pub(crate) use driver::{Chatter, Constant, Parameter};
pub(crate) use parse::parse;

use crate::show::{Column, Show};

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// A table of PgBouncer's SHOW.
    Show(Show),
    /// SHOW of something PgBouncer has and Howdah has not (yet).
    ShowUnbuilt(Unbuilt),
    /// Something for the engine to carry out.
    Order(Request),
    /// SUSPEND: belongs to PgBouncer's way of replacing the binary.
    Suspend,
    /// What drivers say to any PostgreSQL, answered without consequence.
    Chatter(Chatter),
}

impl Command {
    /// Columns of its answer, known without carrying it out; `None`: it answers with a tag only.
    pub(crate) fn columns(&self) -> Option<&[Column]> {
        match self {
            Command::Show(show) => show.columns(),
            Command::Chatter(chatter) => chatter.columns(),
            Command::ShowUnbuilt(_) | Command::Order(_) | Command::Suspend => None,
        }
    }
}

/// Tables of PgBouncer that Howdah does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unbuilt {
    ActiveSockets,
    DnsHosts,
    DnsZones,
    Fds,
    Mem,
    Sockets,
}

impl Unbuilt {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unbuilt::ActiveSockets => "ACTIVE_SOCKETS",
            Unbuilt::DnsHosts => "DNS_HOSTS",
            Unbuilt::DnsZones => "DNS_ZONES",
            Unbuilt::Fds => "FDS",
            Unbuilt::Mem => "MEM",
            Unbuilt::Sockets => "SOCKETS",
        }
    }
}

/// The tag of a carried out order, as PgBouncer spells it.
pub(crate) fn tag(request: &Request) -> String {
    match request {
        Request::Set { key, value } => return format!("SET {key}={value}"),
        Request::Snapshot | Request::ShowConfig => "SHOW",
        Request::Reload => "RELOAD",
        Request::Pause(_) => "PAUSE",
        Request::Resume(_) => "RESUME",
        Request::Disable(_) => "DISABLE",
        Request::Enable(_) => "ENABLE",
        Request::Reconnect(_) => "RECONNECT",
        Request::Kill(_) => "KILL",
        Request::KillClient(_) => "KILL_CLIENT",
        Request::WaitClose(_) => "WAIT_CLOSE",
        Request::Shutdown(_) => "SHUTDOWN",
    }
    .to_owned()
}

/// Why a text is no command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CommandError {
    /// Nothing the console knows; `nearest` is what was perhaps meant.
    #[error("invalid command '{text}', use SHOW HELP;")]
    Unknown { text: String, nearest: Option<String> },
    /// DISABLE and ENABLE name a database.
    #[error("a database is required")]
    DatabaseRequired,
    /// KILL_CLIENT names a client by the number in SHOW CLIENTS.
    #[error("invalid client id '{0}'")]
    InvalidClientId(String),
    /// `$1`: values do not travel apart from the text here.
    #[error("the console takes no parameters")]
    Parameter,
    /// A quote or comment without end.
    #[error("unterminated {0}")]
    Unterminated(&'static str),
}
