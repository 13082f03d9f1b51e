//! Every sentence Howdah itself says to a client.

use howdah_wire::error_response::{ErrorResponse, Severity};
use howdah_wire::sqlstate::SqlState;
use howdah_wire::{FrameError, FrameHeader};

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

fn fatal(code: SqlState, message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(Severity::Fatal, code, message)
}
