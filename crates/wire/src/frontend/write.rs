//! Client messages written: what Howdah says to a server, and tests to Howdah.

use super::{TargetKind, tag};
use crate::body::{listed, message, put_cstr, until_nul, write_message};
use crate::frame::{FrameError, MAX_LEN};

/// Appends a simple query.
pub fn write_query(out: &mut Vec<u8>, text: &[u8]) {
    message(out, tag::QUERY, |out| put_cstr(out, text));
}

/// Appends a Parse; `parameter_types` has four bytes for each type, as [`super::Parse`] shows them.
pub fn write_parse(out: &mut Vec<u8>, name: &[u8], text: &[u8], parameter_types: &[u8]) {
    message(out, tag::PARSE, |out| {
        put_cstr(out, name);
        put_cstr(out, text);
        listed(out, |out| {
            let (types, _) = parameter_types.as_chunks::<4>();
            out.extend_from_slice(types.as_flattened());
            types.len()
        });
    });
}

/// Appends a Bind up to and without its formats and values, of which the caller sends `rest_len` bytes.
///
/// # Errors
/// With these names the message would be longer than any may be; nothing was appended.
pub fn write_bind_header(
    out: &mut Vec<u8>,
    portal: &[u8],
    statement: &[u8],
    rest_len: usize,
) -> Result<(), FrameError> {
    let (portal, statement) = (until_nul(portal), until_nul(statement));
    let names = portal.len() + statement.len() + 2;
    let total = rest_len.saturating_add(names + 4);
    let len = u32::try_from(total).unwrap_or(u32::MAX);
    if len > MAX_LEN {
        return Err(FrameError { tag: tag::BIND, len });
    }
    out.push(tag::BIND);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(portal);
    out.push(0);
    out.extend_from_slice(statement);
    out.push(0);
    Ok(())
}

/// Appends a Describe.
pub fn write_describe(out: &mut Vec<u8>, kind: TargetKind, name: &[u8]) {
    target(out, tag::DESCRIBE, kind, name);
}

/// Appends a Close.
pub fn write_close(out: &mut Vec<u8>, kind: TargetKind, name: &[u8]) {
    target(out, tag::CLOSE, kind, name);
}

/// Appends an Execute; `max_rows` of zero asks for all.
pub fn write_execute(out: &mut Vec<u8>, portal: &[u8], max_rows: i32) {
    message(out, tag::EXECUTE, |out| {
        put_cstr(out, portal);
        out.extend_from_slice(&max_rows.to_be_bytes());
    });
}

/// Appends a Sync.
pub fn write_sync(out: &mut Vec<u8>) {
    write_message(out, tag::SYNC, &[]);
}

/// Appends a Flush.
pub fn write_flush(out: &mut Vec<u8>) {
    write_message(out, tag::FLUSH, &[]);
}

/// Appends a CopyFail; `reason` becomes part of the server's error.
pub fn write_copy_fail(out: &mut Vec<u8>, reason: &[u8]) {
    message(out, tag::COPY_FAIL, |out| put_cstr(out, reason));
}

/// Appends a Terminate.
pub fn write_terminate(out: &mut Vec<u8>) {
    write_message(out, tag::TERMINATE, &[]);
}

/// Appends a PasswordMessage: the password itself, or its MD5 answer.
pub fn write_password(out: &mut Vec<u8>, password: &[u8]) {
    message(out, tag::PASSWORD, |out| put_cstr(out, password));
}

/// Appends the first answer in a SASL exchange.
pub fn write_sasl_initial_response(out: &mut Vec<u8>, mechanism: &[u8], data: Option<&[u8]>) {
    message(out, tag::PASSWORD, |out| {
        put_cstr(out, mechanism);
        let len = data.map_or(-1, |data| {
            i32::try_from(data.len()).expect("a SASL message has hundreds of bytes, not billions")
        });
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(data.unwrap_or_default());
    });
}

/// Appends any further answer in a SASL exchange.
pub fn write_sasl_response(out: &mut Vec<u8>, data: &[u8]) {
    write_message(out, tag::PASSWORD, data);
}

fn target(out: &mut Vec<u8>, tag: u8, kind: TargetKind, name: &[u8]) {
    message(out, tag, |out| {
        out.push(kind.as_byte());
        put_cstr(out, name);
    });
}
