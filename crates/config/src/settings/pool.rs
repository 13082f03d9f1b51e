//! Settings: how many server connections, and how they are reused.

use super::value::{Shape, Value, at};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 13] = [
    new("pool_mode", "session", Value::PoolMode(at!(pool.mode))).says(
        "when a server connection is given back",
        "`session`: when the client leaves. `transaction`: after each transaction. `statement`: after each query, and \
         transaction blocks are refused.",
    ),
    new("default_pool_size", "20", Value::Size(at!(pool.size)))
        .says("server connections for each user and database", "Entries of [databases] and [users] overrule it."),
    new("min_pool_size", "0", Value::Number(at!(pool.min_size), 0))
        .since("PgBouncer 1.5")
        .says("server connections kept open", "Opened before they are needed once a client was there, or at once for a database with a `user`."),
    new("reserve_pool_size", "0", Value::Number(at!(pool.reserve_size), 0))
        .since("PgBouncer 1.3")
        .says("further connections for a pool in need", "Used when a client has waited for reserve_pool_timeout."),
    new("max_db_connections", "0", Value::Limit(at!(pool.max_db_connections)))
        .since("PgBouncer 1.6")
        .says("server connections for each database", "Whatever the user. 0: no limit."),
    new("max_user_connections", "0", Value::Limit(at!(pool.max_user_connections)))
        .since("PgBouncer 1.6")
        .says("server connections for each user", "Whatever the database. 0: no limit."),
    new("server_round_robin", "0", Value::Flag(at!(pool.round_robin)))
        .since("PgBouncer 1.1")
        .says("reuse the longest idle connection", "0 reuses the one last used, so that the others may be closed."),
    new("server_reset_query", "DISCARD ALL", Value::Text(at!(pool.reset_query)))
        .since("PgBouncer 1.1")
        .says("SQL run when a client leaves its server connection", "In session mode, unless server_reset_query_always. Empty: none."),
    new("server_reset_query_always", "0", Value::Flag(at!(pool.reset_query_always)))
        .since("PgBouncer 1.6.1")
        .says("run server_reset_query in every mode", ""),
    new("server_check_query", "<empty>", Value::Query(at!(pool.check_query))).says(
        "query that shows whether an idle server connection lives",
        "`<empty>` is an empty query, the cheapest; no text at all: no check. It runs before reuse after server_check_delay.",
    ),
    new("max_prepared_statements", "200", Value::Number(at!(pool.max_prepared_statements), 0))
        .since("PgBouncer 1.21")
        .says("prepared statements kept on each server connection", "In transaction and statement mode. 0: named statements do not follow the client, those by PREPARE only where SQL itself names them."),
    new("server_fast_close", "0", Value::Unread(Shape::Flag))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.9")
        .says("close obsolete session-mode connections between transactions", "They are closed when the client leaves."),
    new("autodb_idle_timeout", "3600", Value::Unread(Shape::Seconds))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.3")
        .says("forget databases of the entry * after this time", ""),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Pool, name, default, value)
}
