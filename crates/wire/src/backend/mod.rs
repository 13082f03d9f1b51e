//! What a server sends.
//!
//! `view`: messages read in place; `row`: results, which only tests and tools look into; `write`: messages
//! written, by the login, the console and model servers. All are re-exported here.
//! [`crate::error_response`] has a module of its own; the body of BackendKeyData is a [`crate::CancelKey`].

mod row;
mod view;
mod write;

pub use row::{Column, DataRow, RowDescription};
pub use view::{
    Authentication, CommandComplete, NegotiateProtocolVersion, NotificationResponse, ParameterStatus,
    ReadyForQuery, Strings, TransactionStatus,
};
pub use write::{
    write_authentication_cleartext, write_authentication_md5, write_authentication_ok,
    write_authentication_sasl, write_authentication_sasl_continue, write_authentication_sasl_final,
    write_backend_key_data, write_bind_complete, write_close_complete, write_command_complete,
    write_data_row, write_empty_query_response, write_negotiate_protocol_version, write_no_data,
    write_notification_response, write_parameter_description, write_parameter_status, write_parse_complete,
    write_portal_suspended, write_ready_for_query, write_row_description,
};

/// The type bytes of messages from a server.
pub mod tag {
    /// Authentication: a request, or that it is done.
    pub const AUTHENTICATION: u8 = b'R';
    /// The key for a cancel request.
    pub const BACKEND_KEY_DATA: u8 = b'K';
    /// A Bind succeeded.
    pub const BIND_COMPLETE: u8 = b'2';
    /// A Close succeeded.
    pub const CLOSE_COMPLETE: u8 = b'3';
    /// A statement succeeded; its tag says what was done.
    pub const COMMAND_COMPLETE: u8 = b'C';
    /// COPY in both directions begins (replication).
    pub const COPY_BOTH_RESPONSE: u8 = b'W';
    /// A piece of COPY TO.
    pub const COPY_DATA: u8 = b'd';
    /// The end of COPY TO.
    pub const COPY_DONE: u8 = b'c';
    /// COPY FROM begins.
    pub const COPY_IN_RESPONSE: u8 = b'G';
    /// COPY TO begins.
    pub const COPY_OUT_RESPONSE: u8 = b'H';
    /// A row.
    pub const DATA_ROW: u8 = b'D';
    /// There was no statement in the text.
    pub const EMPTY_QUERY_RESPONSE: u8 = b'I';
    /// An error.
    pub const ERROR_RESPONSE: u8 = b'E';
    /// The result of a FunctionCall.
    pub const FUNCTION_CALL_RESPONSE: u8 = b'V';
    /// An older protocol than asked for, or unknown options.
    pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
    /// What was described returns no rows.
    pub const NO_DATA: u8 = b'n';
    /// A notice.
    pub const NOTICE_RESPONSE: u8 = b'N';
    /// Something came by NOTIFY.
    pub const NOTIFICATION_RESPONSE: u8 = b'A';
    /// The types of a statement's parameters.
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    /// The value of a reported setting.
    pub const PARAMETER_STATUS: u8 = b'S';
    /// A Parse succeeded.
    pub const PARSE_COMPLETE: u8 = b'1';
    /// An Execute stopped at its row limit.
    pub const PORTAL_SUSPENDED: u8 = b's';
    /// The end of a batch or simple query.
    pub const READY_FOR_QUERY: u8 = b'Z';
    /// The columns of a result.
    pub const ROW_DESCRIPTION: u8 = b'T';
}
