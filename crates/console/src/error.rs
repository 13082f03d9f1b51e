//! All that can be wrong, and how the client is told.

use howdah_wire::{BodyError, ErrorResponse, FrameError, Severity, SqlState};
use thiserror::Error;

use crate::command::CommandError;

/// Why a message was not answered as its sender hoped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ConsoleError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("admin access needed")]
    AdminNeeded,
    #[error("{0} is not built")]
    NotBuilt(String),
    /// The engine's sentence.
    #[error("{0}")]
    Failed(String),
    #[error("the answer does not fit the question")]
    WrongOutcome,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("the text is not valid UTF-8")]
    Encoding,
    #[error("cannot insert multiple commands into a prepared statement")]
    SeveralCommands,
    #[error("prepared statement \"{0}\" does not exist")]
    NoStatement(String),
    #[error("prepared statement \"{0}\" already exists")]
    DuplicateStatement(String),
    #[error("portal \"{0}\" does not exist")]
    NoPortal(String),
    #[error("portal \"{0}\" already exists")]
    DuplicatePortal(String),
    #[error("portal \"{0}\" cannot be run again")]
    PortalDone(String),
    #[error("too many {what}: the console keeps {limit}")]
    TooMany { what: &'static str, limit: usize },
    #[error("results left unread are too large: the console keeps {limit} bytes")]
    TooLarge { limit: usize },
    #[error("{got} result formats for {columns} columns")]
    FormatCount { got: usize, columns: usize },
    #[error("unsupported format code: {0}")]
    Format(u16),
    #[error("the console has no functions to call")]
    FunctionCall,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("message of {0} bytes is longer than the console reads")]
    TooLong(u32),
    #[error("message type {:?} makes no sense here", char::from(*.0))]
    UnexpectedMessage(u8),
}

impl ConsoleError {
    /// After it, the bytes that follow cannot be understood: the connection ends.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, ConsoleError::Frame(_) | ConsoleError::TooLong(_) | ConsoleError::UnexpectedMessage(_))
    }

    /// Appends it as an ErrorResponse.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let severity = if self.is_fatal() { Severity::Fatal } else { Severity::Error };
        let error = ErrorResponse::new(severity, self.code(), self.to_string());
        match self.hint() {
            Some(hint) => error.hint(hint).write(out),
            None => error.write(out),
        }
    }

    fn code(&self) -> SqlState {
        match self {
            ConsoleError::Command(CommandError::Parameter)
            | ConsoleError::NotBuilt(_)
            | ConsoleError::Format(_)
            | ConsoleError::FunctionCall => SqlState::FEATURE_NOT_SUPPORTED,
            ConsoleError::Command(_) | ConsoleError::SeveralCommands => SqlState::SYNTAX_ERROR,
            ConsoleError::AdminNeeded => SqlState::INSUFFICIENT_PRIVILEGE,
            // PgBouncer gives this code to whatever its console could not do.
            ConsoleError::Failed(_) => SqlState::PROTOCOL_VIOLATION,
            ConsoleError::WrongOutcome => SqlState::INTERNAL_ERROR,
            ConsoleError::Encoding => rare(CHARACTER_NOT_IN_REPERTOIRE),
            ConsoleError::NoStatement(_) => SqlState::INVALID_SQL_STATEMENT_NAME,
            ConsoleError::DuplicateStatement(_) => SqlState::DUPLICATE_PREPARED_STATEMENT,
            ConsoleError::NoPortal(_) => rare(INVALID_CURSOR_NAME),
            ConsoleError::DuplicatePortal(_) => rare(DUPLICATE_CURSOR),
            ConsoleError::PortalDone(_) => rare(OBJECT_NOT_IN_PREREQUISITE_STATE),
            ConsoleError::TooMany { .. } | ConsoleError::TooLarge { .. } => {
                SqlState::CONFIGURATION_LIMIT_EXCEEDED
            }
            ConsoleError::Body(_)
            | ConsoleError::FormatCount { .. }
            | ConsoleError::Frame(_)
            | ConsoleError::TooLong(_)
            | ConsoleError::UnexpectedMessage(_) => SqlState::PROTOCOL_VIOLATION,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ConsoleError::Command(CommandError::Unknown { nearest, .. }) => {
                nearest.as_ref().map(|nearest| format!("Perhaps you meant {nearest}."))
            }
            ConsoleError::Command(CommandError::InvalidClientId(_)) => {
                Some("Take a number from column id of SHOW CLIENTS.".to_owned())
            }
            _ => None,
        }
    }
}

/// A code the protocol's own list does not have.
fn rare(code: &[u8; 5]) -> SqlState {
    SqlState::from_bytes(code).unwrap_or(SqlState::INTERNAL_ERROR)
}

const CHARACTER_NOT_IN_REPERTOIRE: &[u8; 5] = b"22021";
const INVALID_CURSOR_NAME: &[u8; 5] = b"34000";
const DUPLICATE_CURSOR: &[u8; 5] = b"42P03";
const OBJECT_NOT_IN_PREREQUISITE_STATE: &[u8; 5] = b"55000";
