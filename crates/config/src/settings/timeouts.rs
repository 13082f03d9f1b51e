//! Settings: after which time what is ended.

use super::value::{Shape, Value, at};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 16] = [
    new("query_wait_timeout", "120", Value::Timeout(at!(timeouts.query_wait)))
        .since("PgBouncer 1.3.2")
        .says("longest wait for a server connection", "Then the client gets an error and is closed. Databases and users may have their own."),
    new("query_wait_notify", "5", Value::Timeout(at!(timeouts.query_wait_notify)))
        .since("PgBouncer 1.25")
        .says("NOTICE to a client that has waited so long", ""),
    new("query_timeout", "0", Value::Timeout(at!(timeouts.query))).says(
        "longest query",
        "A net below PostgreSQL's statement_timeout, which should be a little shorter: this one closes the connection.",
    ),
    new("transaction_timeout", "0", Value::Timeout(at!(timeouts.transaction)))
        .since("PgBouncer 1.25")
        .says("longest transaction", "The client is closed when it is over."),
    new("idle_transaction_timeout", "0", Value::Timeout(at!(timeouts.idle_transaction)))
        .since("PgBouncer 1.5")
        .says("longest idleness in a transaction", "The client is closed when it is over."),
    new("client_idle_timeout", "0", Value::Timeout(at!(timeouts.client_idle)))
        .says("longest idleness of a client", "Should be longer than the applications' own limits."),
    new("client_login_timeout", "60", Value::Timeout(at!(timeouts.client_login)))
        .since("PgBouncer 1.0.3")
        .says("longest login of a client", ""),
    new("reserve_pool_timeout", "5", Value::Timeout(at!(timeouts.reserve_pool)))
        .since("PgBouncer 1.3")
        .says("wait after which the reserve is used", "0: the reserve is never used."),
    new("cancel_wait_timeout", "10", Value::Timeout(at!(timeouts.cancel_wait)))
        .since("PgBouncer 1.19")
        .says("longest wait of a cancel request", ""),
    new("server_lifetime", "3600", Value::Age(at!(timeouts.server_lifetime))).says(
        "age at which an unused server connection is closed",
        "With up to 5 % of difference between connections, so that they do not all end at once. 0: each is used once.",
    ),
    new("server_idle_timeout", "600", Value::Timeout(at!(timeouts.server_idle)))
        .says("idleness at which a server connection is closed", "min_pool_size connections stay."),
    new("server_connect_timeout", "15", Value::Timeout(at!(timeouts.server_connect)))
        .says("longest connect and login to PostgreSQL", ""),
    new("server_login_retry", "15", Value::Seconds(at!(timeouts.server_login_retry)))
        .says("pause after PostgreSQL refused", "Clients that arrive meanwhile get PostgreSQL's own error at once."),
    new("server_check_delay", "30", Value::Seconds(at!(timeouts.server_check_delay)))
        .says("idleness after which server_check_query is run", "0: before every reuse."),
    new("suspend_timeout", "10", Value::Unread(Shape::Seconds))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.2")
        .says("how long SUSPEND waits for buffers to drain", "Connections that take longer are closed."),
    new("pool_idle_timeout", "0", Value::Unread(Shape::Seconds))
        .status(Status::NotBuilt)
        .since("PgBouncer after 1.25")
        .says("forget empty pools after this time", ""),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Timeouts, name, default, value)
}
