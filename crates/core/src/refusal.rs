//! Every sentence Howdah itself says to a client when it refuses something.
//!
//! One function for each, so that the list can be read in one place. Texts are PgBouncer's where it has one:
//! people and scripts look for them. SQLSTATEs are PostgreSQL's.

use std::time::Duration;

use howdah_wire::sasl::ScramError;
use howdah_wire::{
    ErrorResponse, FrameError, FrameHeader, ProtocolVersion, Severity, SqlState, StartupError,
};

use crate::facts::CloseReason;
use crate::listen::{Channel, Overflow};
use crate::pool::Refusal;
use crate::session::PinCrowd;
use crate::settings::{Policy, StateKind};

// At the door: the startup packet.

/// The first packet cannot be read.
#[must_use]
pub fn startup_packet(error: &StartupError) -> ErrorResponse {
    match error {
        StartupError::UnsupportedVersion(version) => unsupported_protocol(*version),
        StartupError::Length(len) => {
            protocol("invalid length of startup packet").detail(format!("The packet claims {len} bytes."))
        }
        other => protocol("invalid startup packet").detail(other.to_string()),
    }
}

/// A protocol of another age.
#[must_use]
pub fn unsupported_protocol(version: ProtocolVersion) -> ErrorResponse {
    fatal(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!(
            "unsupported frontend protocol {version}: server supports {} to {}",
            ProtocolVersion::V3_0,
            ProtocolVersion::V3_2
        ),
    )
}

/// A second SSLRequest or GSSENCRequest.
#[must_use]
pub fn repeated_encryption_request() -> ErrorResponse {
    protocol("encryption was requested twice")
}

/// No `user` in the startup packet.
#[must_use]
pub fn no_user() -> ErrorResponse {
    fatal(SqlState::INVALID_AUTHORIZATION, "no username supplied")
}

/// A word in `options` that no PostgreSQL backend understands.
#[must_use]
pub fn backend_switch(word: &str) -> ErrorResponse {
    fatal(SqlState::SYNTAX_ERROR, format!("invalid command-line argument for server process: {word}"))
        .hint("Try \"postgres --help\" for more information.")
}

/// `-c name` or `--name` in `options`, without a value.
#[must_use]
pub fn switch_without_value(switch: char, name: &str) -> ErrorResponse {
    let space = if switch == 'c' { " " } else { "" };
    fatal(SqlState::SYNTAX_ERROR, format!("-{switch}{space}{name} requires a value"))
}

/// A setting that only a superuser may begin with.
#[must_use]
pub fn start_setting_denied(name: &str) -> ErrorResponse {
    fatal(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to set parameter \"{name}\""))
}

/// A setting that is fixed when a server connection is opened, and so cannot be a client's.
#[must_use]
pub fn start_setting_without_effect(name: &str) -> ErrorResponse {
    let text = format!("parameter \"{name}\" has no effect through a connection pool");
    ErrorResponse::new(Severity::Warning, SqlState::FEATURE_NOT_SUPPORTED, text)
        .detail(
            "It is fixed when a server connection is opened, and server connections are shared by clients.",
        )
        .hint("Give it in the database's entry of the configuration, or connect to the server directly.")
}

/// `replication=…`
#[must_use]
pub fn replication() -> ErrorResponse {
    fatal(SqlState::FEATURE_NOT_SUPPORTED, "replication connections are not supported")
        .hint("Connect to the PostgreSQL server directly.")
}

// At the door: the proof.

/// `trust` for a user who is not in `auth_file`.
#[must_use]
pub fn trust_failed() -> ErrorResponse {
    fatal(SqlState::INVALID_AUTHORIZATION, "\"trust\" authentication failed")
}

/// `any` where there is no user to become.
#[must_use]
pub fn no_forced_user() -> ErrorResponse {
    fatal(SqlState::INVALID_AUTHORIZATION, "auth_type=any requires forced user")
}

/// Wrong password, or no such user; nobody shall learn which.
#[must_use]
pub fn password_failed() -> ErrorResponse {
    fatal(SqlState::INVALID_PASSWORD, "password authentication failed")
}

/// An empty password, which is most often a mistake of the client's.
#[must_use]
pub fn empty_password() -> ErrorResponse {
    fatal(SqlState::INVALID_PASSWORD, "empty password returned by client")
}

/// A SCRAM exchange that failed.
#[must_use]
pub fn sasl_failed(error: ScramError) -> ErrorResponse {
    const MESSAGE: &str = "SASL authentication failed";
    match error {
        ScramError::WrongProof => fatal(SqlState::INVALID_PASSWORD, MESSAGE),
        other => protocol(MESSAGE).detail(other.to_string()),
    }
}

/// A SASL mechanism that was not offered.
#[must_use]
pub fn sasl_mechanism() -> ErrorResponse {
    protocol("client selected an invalid SASL authentication mechanism")
}

/// Another message where the answer to a challenge was due.
#[must_use]
pub fn not_an_answer(tag: u8) -> ErrorResponse {
    protocol(format!("expected password response, got message type {tag}"))
}

/// An answer to a challenge that cannot be read.
#[must_use]
pub fn malformed_answer() -> ErrorResponse {
    protocol("malformed password response")
}

/// An answer to a challenge with an impossible length.
#[must_use]
pub fn answer_length(len: u32) -> ErrorResponse {
    protocol("invalid length of password response").detail(format!("The message claims {len} bytes."))
}

/// `client_login_timeout` has passed.
#[must_use]
pub fn login_timeout() -> ErrorResponse {
    protocol("client_login_timeout")
}

// Past the door: where to.

/// There is no such entry, and no `*`.
#[must_use]
pub fn no_such_database(name: &str) -> ErrorResponse {
    fatal(SqlState::INVALID_CATALOG_NAME, format!("no such database: {name}"))
}

/// The console is not for everybody.
#[must_use]
pub fn console_not_allowed() -> ErrorResponse {
    fatal(SqlState::INVALID_AUTHORIZATION, "not allowed")
        .hint("The console is for admin_users and stats_users.")
}

/// `max_client_conn`
#[must_use]
pub fn too_many_clients() -> ErrorResponse {
    crowded("no more connections allowed (max_client_conn)")
}

/// `max_db_client_connections`
#[must_use]
pub fn too_many_clients_of_database() -> ErrorResponse {
    crowded("client connections exceeded (max_db_client_connections)")
}

/// `max_user_client_connections`
#[must_use]
pub fn too_many_clients_of_user() -> ErrorResponse {
    crowded("client connections exceeded (max_user_client_connections)")
}

/// The console's own lane is full.
#[must_use]
pub fn too_many_consoles() -> ErrorResponse {
    crowded("no more console connections allowed")
}

// Past the door: PostgreSQL cannot be reached or logged into.

/// The server could not be reached.
#[must_use]
pub fn server_unreachable(reason: &str) -> ErrorResponse {
    fatal(SqlState::CANNOT_CONNECT, format!("could not connect to the server: {reason}"))
}

/// `server_connect_timeout`
#[must_use]
pub fn server_login_timeout() -> ErrorResponse {
    fatal(SqlState::CANNOT_CONNECT, "could not log in to the server in time (server_connect_timeout)")
}

/// The server closed the connection before the login was done.
#[must_use]
pub fn server_closed_at_login() -> ErrorResponse {
    fatal(SqlState::CONNECTION_FAILURE, "the server closed the connection during login")
}

/// The server said what no PostgreSQL says at login.
#[must_use]
pub fn server_nonsense(what: &str) -> ErrorResponse {
    fatal(SqlState::CONNECTION_FAILURE, "the server does not follow the protocol at login").detail(what)
}

/// The server could not prove that it knows the password's secret.
#[must_use]
pub fn server_not_trusted(error: ScramError) -> ErrorResponse {
    fatal(SqlState::CONNECTION_FAILURE, "SCRAM authentication with the server failed")
        .detail(error.to_string())
}

/// The server asks for a proof in a way that needs another kind of secret, or any at all.
#[must_use]
pub fn no_secret_for_server(user: &str, asked: &str) -> ErrorResponse {
    fatal(
        SqlState::CANNOT_CONNECT,
        format!("the server asks for {asked}, and no fitting secret of user \"{user}\" is known"),
    )
    .hint("Put the password into userlist.txt, or into the database's entry.")
}

/// Only a SCRAM secret is known, and nobody has proved the password yet.
#[must_use]
pub fn secret_not_yet_known(user: &str) -> ErrorResponse {
    fatal(
        SqlState::CANNOT_CONNECT,
        format!("user \"{user}\" has to log in once before Howdah can log in to the server as that user"),
    )
    .detail("userlist.txt has a SCRAM secret only, and the key behind it is learnt from a client's login.")
    .hint("Log in as that user, or put the plain password into userlist.txt.")
}

/// What the server said when it refused the keys of a SCRAM secret.
#[must_use]
pub fn with_secret_hint(said: ErrorResponse, user: &str) -> ErrorResponse {
    said.hint(format!(
        "userlist.txt has another SCRAM secret of user \"{user}\" than the server: copy rolpassword from pg_authid."
    ))
}

// In a session: its state.

/// `session_state` refuses this kind of state. The transaction is the client's own to end, so it is no FATAL.
#[must_use]
pub fn state_refused(kind: StateKind) -> ErrorResponse {
    let word = kind.as_str();
    ErrorResponse::new(
        Severity::Error,
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("not supported through this pool: {kind}"),
    )
    .hint(format!(
        "The setting session_state refuses it (\"{word}:refuse\"); \"{word}:{}\" would allow it.",
        kind.default_policy().as_str()
    ))
}

/// The session has come to a state that `session_state` refuses, which no text had told: the client is ended.
#[must_use]
pub fn state_refused_already(kind: StateKind) -> ErrorResponse {
    ErrorResponse { severity: Severity::Fatal, ..state_refused(kind) }
}

/// `session_state` lets this kind of state be lost: a WARNING.
#[must_use]
pub fn state_will_be_lost(kind: StateKind) -> ErrorResponse {
    let word = kind.as_str();
    let keeping = kind.policies().iter().find(|policy| **policy == Policy::Carry || policy.pins());
    let keeping = keeping.expect("each kind can be carried or pinned").as_str();
    ErrorResponse::new(
        Severity::Warning,
        SqlState::WARNING,
        format!("cannot be relied on beyond this transaction: {kind}"),
    )
    .detail("The next transaction may run on another server connection.")
    .hint(format!("Do it all in one transaction, or set session_state to \"{word}:{keeping}\"."))
}

/// `max_pinned`: what the client asks for would tie it to its server connection, as others are tied already.
#[must_use]
pub fn too_many_pinned(kind: StateKind, crowd: &PinCrowd) -> ErrorResponse {
    ErrorResponse::new(
        Severity::Error,
        SqlState::TOO_MANY_CONNECTIONS,
        format!("no server connection can be kept for this client (max_pinned): {kind}"),
    )
    .detail(crowd.to_string())
    .hint("SHOW PINS on the console lists them; pin_idle_timeout ends those that are not used.")
}

/// What the client has done ties it to its server connection, though more are tied than may be: it is ended.
#[must_use]
pub fn too_many_pinned_already(crowd: &PinCrowd) -> ErrorResponse {
    crowded("no server connection can be kept for this client (max_pinned)")
        .detail(crowd.to_string())
        .hint("SHOW PINS on the console lists them; pin_idle_timeout ends those that are not used.")
}

// In a session.

/// A message of a type that clients do not send, or not here.
#[must_use]
pub fn unexpected_message(tag: u8) -> ErrorResponse {
    let kind = char::from(tag).escape_default();
    fatal(SqlState::PROTOCOL_VIOLATION, format!("unexpected message of type '{kind}' from the client"))
}

/// A message whose body is not what its type says.
#[must_use]
pub fn malformed_message(tag: u8) -> ErrorResponse {
    let kind = char::from(tag).escape_default();
    fatal(SqlState::PROTOCOL_VIOLATION, format!("malformed message of type '{kind}' from the client"))
}

/// A length that cannot be.
#[must_use]
pub fn broken_frame(error: &FrameError) -> ErrorResponse {
    fatal(SqlState::PROTOCOL_VIOLATION, format!("protocol violation by the client: {error}"))
}

/// `max_packet_size`.
#[must_use]
pub fn message_too_large(header: FrameHeader, limit: u32) -> ErrorResponse {
    fatal(SqlState::PROTOCOL_VIOLATION, format!("message of {} bytes is larger than allowed", header.len))
        .hint(format!("max_packet_size is {limit}."))
}

/// `disable_pqexec`.
#[must_use]
pub fn simple_protocol_disabled() -> ErrorResponse {
    fatal(SqlState::FEATURE_NOT_SUPPORTED, "PQexec disallowed")
        .hint("disable_pqexec is set: use the extended query protocol.")
}

/// Its query was cancelled while it still waited for a server connection.
#[must_use]
pub fn canceled_in_line() -> ErrorResponse {
    ErrorResponse::new(Severity::Error, SqlState::QUERY_CANCELED, "canceling statement due to user request")
        .detail("The query had not been sent to the server yet.")
}

/// The pool has no server connection for it.
#[must_use]
pub fn no_server(refusal: &Refusal) -> ErrorResponse {
    match refusal {
        Refusal::WaitTimeout { paused, .. } => fatal(SqlState::TOO_MANY_CONNECTIONS, "query_wait_timeout")
            .detail(refusal.to_string())
            .hint(if *paused {
                "PAUSE holds all queries back until RESUME is said on the console."
            } else {
                "Server connections are busy: see SHOW POOLS, SHOW SERVERS and SHOW PINS on the console."
            }),
        Refusal::Unavailable(error) => error.to_client(),
        Refusal::LimitOfOne { .. } => fatal(SqlState::TOO_MANY_CONNECTIONS, refusal.to_string()),
        Refusal::Killed => fatal(SqlState::ADMIN_SHUTDOWN, "closed by administrator"),
        Refusal::ShuttingDown => shutting_down(),
    }
}

/// Still waiting (`query_wait_notify`): a NOTICE.
#[must_use]
pub fn still_waiting(waited: Duration) -> ErrorResponse {
    ErrorResponse::new(
        Severity::Notice,
        SqlState::SUCCESSFUL_COMPLETION,
        format!("still waiting for a server connection after {} s", waited.as_secs()),
    )
}

/// The server connection under it was lost.
#[must_use]
pub fn server_lost(reason: CloseReason, said: Option<&ErrorResponse>) -> ErrorResponse {
    if let Some(said) = said {
        return ErrorResponse { severity: Severity::Fatal, ..said.clone() };
    }
    match reason {
        CloseReason::TransactionInStatementMode => {
            fatal(SqlState::PROTOCOL_VIOLATION, "transaction blocks not allowed in statement pooling mode")
        }
        reason => fatal(SqlState::CONNECTION_FAILURE, reason.to_string()).detail(
            "The server connection that served this client was lost; its transaction is rolled back.",
        ),
    }
}

/// The client is ended by a limit, an administrator or the end of Howdah.
#[must_use]
pub fn ended(reason: CloseReason) -> ErrorResponse {
    let code = match reason {
        CloseReason::QueryTimeout => SqlState::QUERY_CANCELED,
        CloseReason::TransactionTimeout => SqlState::TRANSACTION_TIMEOUT,
        CloseReason::IdleTransactionTimeout => SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        CloseReason::ClientIdleTimeout | CloseReason::PinIdleTimeout(_) => SqlState::IDLE_SESSION_TIMEOUT,
        CloseReason::Panic => SqlState::INTERNAL_ERROR,
        _ => SqlState::ADMIN_SHUTDOWN,
    };
    let said = fatal(code, reason.to_string());
    match reason {
        CloseReason::PinIdleTimeout(pin) => said.detail(format!(
            "The client held a server connection for itself, by its {pin}, and did not use it."
        )),
        _ => said,
    }
}

// To clients that listen.

/// The listener connection is lost, or cannot be opened: a WARNING.
#[must_use]
pub fn not_listening(reason: &str) -> ErrorResponse {
    warning(
        "the connection that listens for this client is not there: notifications may be missed until it is",
    )
    .detail(reason)
    .hint("Nothing need be done to listen again; another warning tells when.")
}

/// It is back: a WARNING.
#[must_use]
pub fn listening_again() -> ErrorResponse {
    warning("listening again: notifications sent since the last warning may have been missed")
}

/// PostgreSQL refused LISTEN on the listener connection: a WARNING.
#[must_use]
pub fn channel_refused(channel: &Channel, said: &ErrorResponse) -> ErrorResponse {
    let mut warning = warning(format!("cannot listen to channel \"{channel}\": {}", said.message));
    warning.code = said.code;
    warning
}

/// It leaves too many notifications waiting.
#[must_use]
pub fn notifications_overflow(overflow: Overflow) -> ErrorResponse {
    fatal(
        SqlState::CONFIGURATION_LIMIT_EXCEEDED,
        "terminating connection because it does not take its notifications",
    )
    .detail(overflow.to_string())
    .hint(
        "Read from the connection more often, and keep transactions short: inside one nothing is delivered.",
    )
}

/// Howdah stops.
#[must_use]
pub fn shutting_down() -> ErrorResponse {
    fatal(SqlState::ADMIN_SHUTDOWN, "the database system is shutting down").detail("Howdah is being stopped.")
}

/// DISABLE is in force.
#[must_use]
pub fn database_disabled(name: &str) -> ErrorResponse {
    fatal(SqlState::CANNOT_CONNECT_NOW, format!("database \"{name}\" is disabled"))
        .hint("An administrator has disabled it: ENABLE on the console admits clients again.")
}

fn warning(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(Severity::Warning, SqlState::WARNING, message)
}

fn fatal(code: SqlState, message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(Severity::Fatal, code, message)
}

fn protocol(message: impl Into<String>) -> ErrorResponse {
    fatal(SqlState::PROTOCOL_VIOLATION, message)
}

fn crowded(message: &str) -> ErrorResponse {
    fatal(SqlState::TOO_MANY_CONNECTIONS, message)
}

#[cfg(test)]
mod tests;
