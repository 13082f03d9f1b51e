//! Why a connection ended: log text, metric label and SHOW column in one.

use thiserror::Error;

use crate::session::PinReason;
use crate::settings::StateKind;

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client's.
    Client,
    /// PostgreSQL's.
    Server,
    /// Howdah's own, or its operator's.
    Howdah,
}

/// Why a client or server connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum CloseReason {
    /// Terminate received.
    #[error("client close request")]
    ClientTerminated,
    /// End of file or reset without Terminate.
    #[error("client unexpected eof")]
    ClientVanished,
    /// It sent what the protocol does not allow.
    #[error("client protocol violation")]
    ClientProtocol,
    /// Login refused.
    #[error("client login failed")]
    LoginRefused,
    /// `client_login_timeout`.
    #[error("client_login_timeout")]
    ClientLoginTimeout,
    /// `client_idle_timeout`.
    #[error("client_idle_timeout")]
    ClientIdleTimeout,
    /// `query_wait_timeout`.
    #[error("query_wait_timeout")]
    QueryWaitTimeout,
    /// `query_timeout`.
    #[error("query timeout")]
    QueryTimeout,
    /// `transaction_timeout`.
    #[error("transaction timeout")]
    TransactionTimeout,
    /// `idle_transaction_timeout`.
    #[error("idle transaction timeout")]
    IdleTransactionTimeout,
    /// `pin_idle_timeout`: pinned to its server connection, it asked for nothing.
    #[error("pin_idle_timeout: {0}")]
    PinIdleTimeout(PinReason),
    /// Its session has come to a state that `session_state` refuses, which no text had told.
    #[error("session_state refuses {0}")]
    StateRefused(StateKind),
    /// Its session has come to a state that pins it, which no text had told, and `max_pinned` are pinned.
    #[error("max_pinned")]
    TooManyPinned,
    /// A transaction block in statement mode.
    #[error("transaction blocks not allowed in statement pooling mode")]
    TransactionInStatementMode,
    /// It leaves too many notifications waiting.
    #[error("notifications not taken")]
    NotificationsOverflow,
    /// The pool refused the client a server connection.
    #[error("no server connection")]
    NoServer,
    /// KILL, KILL_CLIENT or DISABLE on the console.
    #[error("closed by administrator")]
    Admin,
    /// Howdah shuts down.
    #[error("shutting down")]
    Shutdown,
    /// A panic while serving this client.
    #[error("internal error")]
    Panic,
    /// The server connection under it was lost.
    #[error("server connection lost")]
    ServerLost,
    /// Connecting or logging in failed.
    #[error("server login failed")]
    ServerLoginFailed,
    /// The server closed or reset the connection.
    #[error("server conn crashed?")]
    ServerClosed,
    /// It sent what was not asked for or what the protocol does not allow.
    #[error("server protocol violation")]
    ServerProtocol,
    /// `server_lifetime`.
    #[error("server_lifetime")]
    ServerLifetime,
    /// `server_idle_timeout`.
    #[error("server_idle_timeout")]
    ServerIdleTimeout,
    /// The check query failed.
    #[error("server check query failed")]
    ServerCheckFailed,
    /// The reset query or the roll-back failed or took too long.
    #[error("server clean-up failed")]
    ServerUncleanable,
    /// Its client left in the middle of a message or with a state that cannot be undone.
    #[error("unclean server")]
    ServerUnclean,
    /// The pool is over its limit, or another pool needs the slot.
    #[error("over limit")]
    OverLimit,
    /// RECONNECT, or a reload changed where or as whom to log in.
    #[error("connect string changed")]
    Obsolete,
}

impl CloseReason {
    /// Whose doing it was.
    #[must_use]
    pub fn side(self) -> Side {
        use CloseReason as R;
        match self {
            R::ClientTerminated
            | R::ClientVanished
            | R::ClientProtocol
            | R::LoginRefused
            | R::ClientLoginTimeout
            | R::ClientIdleTimeout
            | R::QueryTimeout
            | R::TransactionTimeout
            | R::IdleTransactionTimeout
            | R::PinIdleTimeout(_)
            | R::StateRefused(_)
            | R::TooManyPinned
            | R::TransactionInStatementMode
            | R::NotificationsOverflow
            | R::ServerUnclean => Side::Client,
            R::ServerLost
            | R::ServerLoginFailed
            | R::ServerClosed
            | R::ServerProtocol
            | R::ServerCheckFailed
            | R::ServerUncleanable
            | R::NoServer => Side::Server,
            R::QueryWaitTimeout
            | R::Admin
            | R::Shutdown
            | R::Panic
            | R::ServerLifetime
            | R::ServerIdleTimeout
            | R::OverLimit
            | R::Obsolete => Side::Howdah,
        }
    }
}
