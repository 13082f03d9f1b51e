//! SHOW USERS.

use howdah_core::facts::{Snapshot, UserRow};
use howdah_core::settings::PoolMode;

use super::table::{Column, Row, Value, int4, text};

/// The sizes are texts as in PgBouncer: empty where the user has none of its own.
pub(super) static COLUMNS: [Column; 8] = [
    text("name"),
    text("pool_size"),
    text("reserve_pool_size"),
    text("pool_mode"),
    int4("max_user_connections"),
    int4("current_connections"),
    int4("max_user_client_connections"),
    int4("current_client_connections"),
];

pub(super) fn rows(snapshot: &Snapshot) -> Vec<Row<'_>> {
    snapshot.users.iter().map(row).collect()
}

fn row(user: &UserRow) -> Row<'_> {
    let size = |size: Option<u32>| size.map(|size| size.to_string()).unwrap_or_default();
    vec![
        (&*user.name).into(),
        size(user.pool_size).into(),
        size(user.reserve_pool_size).into(),
        Value::maybe(user.pool_mode.map(PoolMode::as_str)),
        user.max_user_connections.into(),
        user.current_connections.into(),
        user.max_user_client_connections.into(),
        user.current_client_connections.into(),
    ]
}
