//! Why a server connection could not be opened, kept so that waiting clients can be told.

use howdah_wire::frame::FrameError;
use howdah_wire::sasl::ScramError;
use howdah_wire::{BodyError, ErrorResponse, Severity};
use thiserror::Error;

use crate::refusal;

/// Why a server connection could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The server refused, in its own words.
    #[error("server refused the login: {0}")]
    Refused(Box<ErrorResponse>),
    /// The server refused keys that fit the secret in `userlist.txt`: it has another secret.
    #[error("server has another SCRAM secret of user {user:?}: {said}")]
    WrongSecret {
        /// Who wanted to log in.
        user: String,
        /// The server's words.
        said: Box<ErrorResponse>,
    },
    /// No connection came about.
    #[error("connect failed: {reason}")]
    Connect {
        /// The operating system's or resolver's words.
        reason: String,
    },
    /// `server_connect_timeout`.
    #[error("server_connect_timeout")]
    Timeout,
    /// End of file before the login was done.
    #[error("server closed the connection during login")]
    Closed,
    /// The server does not speak the protocol.
    #[error("server protocol violation at login: {0}")]
    Protocol(#[from] LoginNonsense),
    /// A SCRAM exchange failed on our side; perhaps it is not the server it should be.
    #[error("SCRAM authentication with the server failed: {0}")]
    Scram(#[from] ScramError),
    /// The server asks for a proof we have no secret for.
    #[error("server asks for {asked}, and no fitting secret of user {user:?} is known")]
    NoSecret {
        /// Who wants to log in.
        user: String,
        /// What was asked for.
        asked: &'static str,
    },
    /// The server asks for a proof, and the key behind the SCRAM secret is not known before that user's first login.
    #[error("user {user:?} has to log in once before its SCRAM secret can be used")]
    NotYetKnown {
        /// Who has to log in.
        user: String,
    },
}

impl OpenError {
    /// What a client that waits for a server connection is told: the server's own error, or ours.
    #[must_use]
    pub fn to_client(&self) -> ErrorResponse {
        match self {
            OpenError::Refused(said) => fatal(said),
            OpenError::WrongSecret { user, said } => refusal::with_secret_hint(fatal(said), user),
            OpenError::Connect { reason } => refusal::server_unreachable(reason),
            OpenError::Timeout => refusal::server_login_timeout(),
            OpenError::Closed => refusal::server_closed_at_login(),
            OpenError::Protocol(nonsense) => refusal::server_nonsense(&nonsense.to_string()),
            OpenError::Scram(error) => refusal::server_not_trusted(*error),
            OpenError::NoSecret { user, asked } => refusal::no_secret_for_server(user, asked),
            OpenError::NotYetKnown { user } => refusal::secret_not_yet_known(user),
        }
    }
}

/// The client is turned away, whatever the server thought of the severity.
fn fatal(said: &ErrorResponse) -> ErrorResponse {
    let mut error = said.clone();
    if error.severity != Severity::Fatal {
        error.severity = Severity::Fatal;
        error.other.retain(|(kind, _)| *kind != b'S');
    }
    error
}

/// What no PostgreSQL says while somebody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoginNonsense {
    /// An impossible length.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message longer than any has reason to be.
    #[error("message of type {:?} of {len} bytes is too long", char::from(*tag))]
    TooLong {
        /// Its type byte.
        tag: u8,
        /// Its length as sent.
        len: u32,
    },
    /// More settings than any server reports.
    #[error("too many settings are reported")]
    TooManyParameters,
    /// A message that does not belong here.
    #[error("message of type {:?} is out of place", char::from(*tag))]
    OutOfPlace {
        /// Its type byte.
        tag: u8,
    },
    /// A message that cannot be read.
    #[error("message of type {:?}: {error}", char::from(*tag))]
    Malformed {
        /// Its type byte.
        tag: u8,
        /// What is wrong with it.
        error: BodyError,
    },
    /// A setting whose name or value is not UTF-8.
    #[error("a reported setting is not valid UTF-8")]
    NotUtf8,
    /// An authentication method Howdah does not know.
    #[error("authentication method {0} is not supported")]
    Method(u32),
    /// None of the SASL mechanisms offered is known.
    #[error("no supported SASL mechanism is offered")]
    Mechanisms,
    /// The connection is ready, but in a transaction.
    #[error("a new connection is inside a transaction")]
    InTransaction,
}
