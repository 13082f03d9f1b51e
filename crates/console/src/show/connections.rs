//! SHOW CLIENTS and SHOW SERVERS: one table for both kinds of connection.

use std::collections::BTreeMap;
use std::time::Duration;

use howdah_core::facts::{ClientRow, ClientState, ServerRow, ServerState, Snapshot};
use howdah_core::session::PinRow;

use super::table::{Column, Row, Value, int4, int8, text};
use super::timestamp::timestamp;

/// `id` is an int8 where PgBouncer has an int4: it counts connections for the life of the process, and
/// KILL_CLIENT must not meet another client after two billion.
pub(super) static COLUMNS: [Column; 24] = [
    text("type"),
    text("user"),
    text("database"),
    text("replication"),
    text("state"),
    text("addr"),
    int4("port"),
    text("local_addr"),
    int4("local_port"),
    text("connect_time"),
    text("request_time"),
    int4("wait"),
    int4("wait_us"),
    int4("close_needed"),
    text("ptr"),
    text("link"),
    int4("remote_pid"),
    text("tls"),
    text("application_name"),
    int4("prepared_statements"),
    int8("id"),
    // Howdah's own: why client and server connection stay together.
    text("pin_reason"),
    text("pin_statement"),
    int4("pin_age"),
];

/// Clients that are logged in. Those at the door have neither user nor database yet: SHOW LISTS counts
/// them.
pub(super) fn clients(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let shown = snapshot.clients.iter();
    shown.filter_map(|client| Some(client_row(client, client_state(client.state)?))).collect()
}

pub(super) fn servers(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let pins: BTreeMap<u64, &PinRow> =
        snapshot.clients.iter().filter_map(|client| Some((client.id, client.pin.as_ref()?))).collect();
    let pin_of = |server: &ServerRow| pins.get(&server.link?).copied();
    snapshot.servers.iter().map(|server| server_row(server, pin_of(server))).collect()
}

fn client_row<'a>(client: &'a ClientRow, state: &'static str) -> Row<'a> {
    let mut row = vec![
        "C".into(),
        (&*client.user).into(),
        (&*client.database).into(),
        "none".into(),
        state.into(),
        client.peer.host().into(),
        u32::from(client.peer.port()).into(),
        client.local.host().into(),
        u32::from(client.local.port()).into(),
        timestamp(client.connected).into(),
        timestamp(client.requested).into(),
        Value::whole_seconds(client.wait),
        Value::microseconds(client.wait),
        client.close_needed.into(),
        pointer(client.id).into(),
        client.link.map(pointer).unwrap_or_default().into(),
        client.remote_pid.unwrap_or_default().into(),
        client.tls.as_str().into(),
        client.application_name.as_str().into(),
        (client.prepared_statements as u64).into(),
        client.id.into(),
    ];
    row.extend(pin_values(client.pin.as_ref()));
    row
}

fn server_row<'a>(server: &'a ServerRow, pin: Option<&'a PinRow>) -> Row<'a> {
    let mut row = vec![
        "S".into(),
        (&*server.user).into(),
        (&*server.database).into(),
        "none".into(),
        server_state(server.state).into(),
        server.peer.host().into(),
        u32::from(server.peer.port()).into(),
        server.local.host().into(),
        u32::from(server.local.port()).into(),
        timestamp(server.connected).into(),
        timestamp(server.requested).into(),
        Value::whole_seconds(Duration::ZERO),
        Value::microseconds(Duration::ZERO),
        server.close_needed.into(),
        pointer(server.id).into(),
        server.link.map(pointer).unwrap_or_default().into(),
        server.remote_pid.into(),
        server.tls.as_str().into(),
        server.application_name.as_str().into(),
        (server.prepared_statements as u64).into(),
        server.id.into(),
    ];
    row.extend(pin_values(pin));
    row
}

fn pin_values(row: Option<&PinRow>) -> [Value<'_>; 3] {
    row.map_or([Value::Null, Value::Null, Value::Null], |row| {
        [row.pin.to_string().into(), (&*row.pin.statement).into(), Value::whole_seconds(row.age)]
    })
}

fn client_state(state: ClientState) -> Option<&'static str> {
    match state {
        ClientState::Login => None,
        ClientState::Active => Some("active"),
        ClientState::Idle => Some("idle"),
        ClientState::Waiting => Some("waiting"),
        ClientState::ActiveCancelReq => Some("active_cancel_req"),
        ClientState::WaitingCancelReq => Some("waiting_cancel_req"),
    }
}

fn server_state(state: ServerState) -> &'static str {
    match state {
        ServerState::Login => "new",
        ServerState::Idle => "idle",
        ServerState::Active => "active",
        ServerState::Used => "used",
        ServerState::Tested => "tested",
        ServerState::ActiveCancel => "active_cancel",
        ServerState::BeingCanceled => "being_canceled",
    }
}

/// PgBouncer prints an address in memory; all that matters is that `link` of one row finds `ptr` of another.
fn pointer(id: u64) -> String {
    format!("{id:#x}")
}
