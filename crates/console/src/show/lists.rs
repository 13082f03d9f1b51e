//! SHOW LISTS: how many of everything.

use howdah_core::facts::Snapshot;

use super::table::{Column, Row, int4, text};

pub(super) static COLUMNS: [Column; 2] = [text("list"), int4("items")];

pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let items = [
        ("databases", snapshot.databases.len() as u64),
        ("users", snapshot.users.len() as u64),
        ("peers", 0),
        ("pools", snapshot.pools.len() as u64),
        ("peer_pools", 0),
        // PgBouncer keeps freed connections for reuse; Howdah frees them.
        ("free_clients", 0),
        ("used_clients", snapshot.clients.len() as u64),
        ("login_clients", snapshot.lists.login_clients),
        ("free_servers", 0),
        ("used_servers", snapshot.servers.len() as u64),
        ("dns_names", snapshot.lists.dns_names),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", snapshot.lists.dns_pending),
        // Howdah's own; PgBouncer's rows come first.
        ("panics", snapshot.lists.panics),
    ];
    items.into_iter().map(|(list, items)| vec![list.into(), items.into()]).collect()
}
