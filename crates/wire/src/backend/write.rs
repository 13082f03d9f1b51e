//! Server messages written: by the login, the console, and model servers in tests.

use super::{Column, NotificationResponse, TransactionStatus, tag};
use crate::body::{listed, message, put_cstr, write_message};
use crate::cancel_key::CancelKey;
use crate::startup::ProtocolVersion;

/// Appends AuthenticationOk.
pub fn write_authentication_ok(out: &mut Vec<u8>) {
    authentication(out, 0, &[]);
}

/// Appends AuthenticationCleartextPassword.
pub fn write_authentication_cleartext(out: &mut Vec<u8>) {
    authentication(out, 3, &[]);
}

/// Appends AuthenticationMD5Password.
pub fn write_authentication_md5(out: &mut Vec<u8>, salt: [u8; 4]) {
    authentication(out, 5, &salt);
}

/// Appends AuthenticationSASL; the preferred mechanism comes first.
pub fn write_authentication_sasl(out: &mut Vec<u8>, mechanisms: &[&str]) {
    let mut list = Vec::new();
    for mechanism in mechanisms {
        put_cstr(&mut list, mechanism.as_bytes());
    }
    list.push(0);
    authentication(out, 10, &list);
}

/// Appends AuthenticationSASLContinue.
pub fn write_authentication_sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    authentication(out, 11, data);
}

/// Appends AuthenticationSASLFinal.
pub fn write_authentication_sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    authentication(out, 12, data);
}

/// Appends a BackendKeyData.
pub fn write_backend_key_data(out: &mut Vec<u8>, key: &CancelKey) {
    message(out, tag::BACKEND_KEY_DATA, |out| key.write(out));
}

/// Appends a ParameterStatus.
pub fn write_parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    message(out, tag::PARAMETER_STATUS, |out| {
        put_cstr(out, name);
        put_cstr(out, value);
    });
}

/// Appends a NegotiateProtocolVersion.
pub fn write_negotiate_protocol_version<'a>(
    out: &mut Vec<u8>,
    newest: ProtocolVersion,
    unrecognized: impl IntoIterator<Item = &'a str>,
) {
    message(out, tag::NEGOTIATE_PROTOCOL_VERSION, |out| {
        out.extend_from_slice(&newest.code().to_be_bytes());
        // The count has 32 bits here, and nobody gets 65536 options into a startup packet.
        out.extend_from_slice(&[0; 2]);
        listed(out, |out| unrecognized.into_iter().map(|option| put_cstr(out, option.as_bytes())).count());
    });
}

/// Appends a NotificationResponse.
pub fn write_notification_response(out: &mut Vec<u8>, notification: &NotificationResponse<'_>) {
    message(out, tag::NOTIFICATION_RESPONSE, |out| {
        out.extend_from_slice(&notification.pid.to_be_bytes());
        put_cstr(out, notification.channel);
        put_cstr(out, notification.payload);
    });
}

/// Appends a ReadyForQuery.
pub fn write_ready_for_query(out: &mut Vec<u8>, status: TransactionStatus) {
    write_message(out, tag::READY_FOR_QUERY, &[status.as_byte()]);
}

/// Appends a CommandComplete; `command` is what was done, such as `INSERT 0 5`.
pub fn write_command_complete(out: &mut Vec<u8>, command: &[u8]) {
    message(out, tag::COMMAND_COMPLETE, |out| put_cstr(out, command));
}

/// Appends a RowDescription; values come as text.
pub fn write_row_description(out: &mut Vec<u8>, columns: &[Column<'_>]) {
    message(out, tag::ROW_DESCRIPTION, |out| {
        listed(out, |out| {
            for column in columns {
                put_cstr(out, column.name);
                out.extend_from_slice(&[0; 6]); // of no table
                out.extend_from_slice(&column.type_oid.to_be_bytes());
                out.extend_from_slice(&column.type_len.to_be_bytes());
                out.extend_from_slice(&(-1_i32).to_be_bytes()); // no type modifier
                out.extend_from_slice(&[0; 2]); // as text
            }
            columns.len()
        });
    });
}

/// Appends a DataRow; `None` is NULL.
pub fn write_data_row<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = Option<&'a [u8]>>) {
    message(out, tag::DATA_ROW, |out| {
        listed(out, |out| values.into_iter().map(|value| put_value(out, value)).count());
    });
}

/// Appends a ParameterDescription: the types of a statement's parameters.
pub fn write_parameter_description(out: &mut Vec<u8>, types: &[u32]) {
    message(out, tag::PARAMETER_DESCRIPTION, |out| {
        listed(out, |out| {
            types.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
            types.len()
        });
    });
}

/// Appends a ParseComplete.
pub fn write_parse_complete(out: &mut Vec<u8>) {
    write_message(out, tag::PARSE_COMPLETE, &[]);
}

/// Appends a BindComplete.
pub fn write_bind_complete(out: &mut Vec<u8>) {
    write_message(out, tag::BIND_COMPLETE, &[]);
}

/// Appends a CloseComplete.
pub fn write_close_complete(out: &mut Vec<u8>) {
    write_message(out, tag::CLOSE_COMPLETE, &[]);
}

/// Appends a NoData.
pub fn write_no_data(out: &mut Vec<u8>) {
    write_message(out, tag::NO_DATA, &[]);
}

/// Appends an EmptyQueryResponse.
pub fn write_empty_query_response(out: &mut Vec<u8>) {
    write_message(out, tag::EMPTY_QUERY_RESPONSE, &[]);
}

/// Appends a PortalSuspended.
pub fn write_portal_suspended(out: &mut Vec<u8>) {
    write_message(out, tag::PORTAL_SUSPENDED, &[]);
}

fn authentication(out: &mut Vec<u8>, method: u32, data: &[u8]) {
    message(out, tag::AUTHENTICATION, |out| {
        out.extend_from_slice(&method.to_be_bytes());
        out.extend_from_slice(data);
    });
}

fn put_value(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let len = value.map_or(-1, |value| {
        i32::try_from(value.len()).expect("a value in a message of ours is far below 2 GiB")
    });
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}
