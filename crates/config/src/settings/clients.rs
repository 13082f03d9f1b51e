//! Settings: how many clients at once.

use super::value::{Value, at};
use super::{Category, Setting};

pub(super) static SETTINGS: [Setting; 3] = [
    new("max_client_conn", "100", Value::Number(at!(clients.max_client_conn), 0)).says(
        "clients of the whole process",
        "Each needs a file descriptor, and so does each server connection; Howdah raises its limit as far as it may and \
         reports what is short.",
    ),
    new("max_db_client_connections", "0", Value::Limit(at!(clients.max_per_database)))
        .since("PgBouncer 1.24")
        .says("clients for each database", "Entries of [databases] overrule it. 0: no limit."),
    new("max_user_client_connections", "0", Value::Limit(at!(clients.max_per_user)))
        .since("PgBouncer 1.24")
        .says("clients for each user", "Entries of [users] overrule it. 0: no limit."),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Clients, name, default, value)
}
