//! SHOW DATABASES.

use howdah_core::facts::{DatabaseRow, Snapshot};
use howdah_core::settings::PoolMode;

use super::table::{Column, Row, Value, int4, text};

pub(super) static COLUMNS: [Column; 17] = [
    text("name"),
    text("host"),
    int4("port"),
    text("database"),
    text("force_user"),
    int4("pool_size"),
    int4("min_pool_size"),
    int4("reserve_pool_size"),
    int4("server_lifetime"),
    text("pool_mode"),
    text("load_balance_hosts"),
    int4("max_connections"),
    int4("current_connections"),
    int4("max_client_connections"),
    int4("current_client_connections"),
    int4("paused"),
    int4("disabled"),
];

pub(super) fn rows<'a>(snapshot: &'a Snapshot) -> Vec<Row<'a>> {
    let row = |database: &'a DatabaseRow| {
        vec![
            (&*database.name).into(),
            Value::maybe(database.host.as_deref()),
            u32::from(database.port).into(),
            database.database.as_str().into(),
            Value::maybe(database.force_user.as_deref()),
            database.pool_size.into(),
            database.min_pool_size.into(),
            database.reserve_pool_size.into(),
            Value::whole_seconds(database.server_lifetime),
            Value::maybe(database.pool_mode.map(PoolMode::as_str)),
            Value::maybe(database.load_balance_hosts),
            database.max_connections.into(),
            database.current_connections.into(),
            database.max_client_connections.into(),
            database.current_client_connections.into(),
            database.paused.into(),
            database.disabled.into(),
        ]
    };
    snapshot.databases.iter().map(row).collect()
}
