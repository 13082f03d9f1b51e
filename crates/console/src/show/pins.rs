//! SHOW PINS, Howdah's own: who keeps a server connection beyond its transaction, and why.

use howdah_core::facts::{ClientRow, ServerRow, Snapshot};
use howdah_core::session::PinRow;

use super::table::{Column, Row, Value, int4, int8, text};

/// `client_id` and `server_id` are the `id` of SHOW CLIENTS and SHOW SERVERS; `age` and `idle` are seconds, and a
/// client inside a query or a transaction is not idle at all.
pub(super) static COLUMNS: [Column; 11] = [
    text("database"),
    text("user"),
    int8("client_id"),
    text("application_name"),
    int8("server_id"),
    int4("remote_pid"),
    text("reason"),
    text("object"),
    text("statement"),
    int4("age"),
    int4("idle"),
];

/// The oldest pin first.
pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let mut pinned: Vec<(&ClientRow, &PinRow)> =
        snapshot.clients.iter().filter_map(|client| Some((client, client.pin.as_ref()?))).collect();
    pinned.sort_by_key(|(_, pin)| pin.pin.since);
    let server_of =
        |client: &ClientRow| snapshot.servers.iter().find(|server| Some(server.id) == client.link);
    pinned.into_iter().map(|(client, pin)| row(client, pin, server_of(client))).collect()
}

fn row<'a>(client: &'a ClientRow, row: &'a PinRow, server: Option<&ServerRow>) -> Row<'a> {
    vec![
        (&*client.database).into(),
        (&*client.user).into(),
        client.id.into(),
        client.application_name.as_str().into(),
        server.map_or(Value::Null, |server| server.id.into()),
        server.map_or(Value::Null, |server| server.remote_pid.into()),
        row.pin.reason.to_string().into(),
        Value::maybe(row.pin.object.as_deref()),
        (&*row.pin.statement).into(),
        Value::whole_seconds(row.age),
        client.idle.map_or(Value::Null, Value::whole_seconds),
    ]
}
