//! What a client sends after its startup packet.
//!
//! [`view`]: messages read in place; [`write`]: messages written. Both are re-exported here.

mod view;
mod write;

pub use view::{Bind, BindNames, Execute, Parse, Query, SaslInitialResponse, Target, TargetKind, password};
pub use write::{
    write_bind_header, write_close, write_copy_fail, write_describe, write_execute, write_flush, write_parse,
    write_password, write_query, write_sasl_initial_response, write_sasl_response, write_sync,
    write_terminate,
};

/// The type bytes of messages from a client.
pub mod tag {
    /// Names for a statement's parameters and result formats.
    pub const BIND: u8 = b'B';
    /// Forget a statement or portal.
    pub const CLOSE: u8 = b'C';
    /// A piece of COPY FROM.
    pub const COPY_DATA: u8 = b'd';
    /// The end of COPY FROM.
    pub const COPY_DONE: u8 = b'c';
    /// COPY FROM is off.
    pub const COPY_FAIL: u8 = b'f';
    /// What does a statement or portal look like?
    pub const DESCRIBE: u8 = b'D';
    /// Run a portal.
    pub const EXECUTE: u8 = b'E';
    /// Answer what was asked so far.
    pub const FLUSH: u8 = b'H';
    /// Call a function by its OID.
    pub const FUNCTION_CALL: u8 = b'F';
    /// Prepare a statement.
    pub const PARSE: u8 = b'P';
    /// Any answer of an authentication: password, SASL, GSSAPI.
    pub const PASSWORD: u8 = b'p';
    /// Simple query.
    pub const QUERY: u8 = b'Q';
    /// The end of a batch.
    pub const SYNC: u8 = b'S';
    /// Goodbye.
    pub const TERMINATE: u8 = b'X';
}
