//! Settings: what is written down.

use super::value::{Shape, Value, at};
use super::{Category, Setting, Status};

pub(super) static SETTINGS: [Setting; 13] = [
    new("logfile", "", Value::Path(at!(log.file)))
        .says("file of the log", "Opened again by RELOAD. Empty: standard error."),
    new("verbose", "", Value::Number(at!(log.verbose), 0))
        .unset()
        .says("how much is logged", "0 information, 1 debug, 2 and more everything. The same as `-v`."),
    new("log_format", "text", Value::LogFormat(at!(log.format)))
        .since("Howdah 0.1")
        .says("how a log line looks", "`text` for people, `json` for machines: one object a line."),
    new("log_connections", "1", Value::Flag(at!(log.connections)))
        .since("PgBouncer 1.0.3")
        .says("log logins", ""),
    new("log_disconnections", "1", Value::Flag(at!(log.disconnections)))
        .since("PgBouncer 1.0.3")
        .says("log ends of connections with their reasons", ""),
    new("log_pooler_errors", "1", Value::Flag(at!(log.pooler_errors)))
        .since("PgBouncer 1.0.3")
        .says("log errors that Howdah sends to clients", ""),
    new("log_stats", "1", Value::Flag(at!(log.stats)))
        .since("PgBouncer 1.11")
        .says("log figures every stats_period", ""),
    new("stats_period", "60", Value::Seconds(at!(log.stats_period)))
        .says("period of averages and of logged figures", ""),
    new("metrics_port", "0", Value::Port(at!(listen.metrics_port))).fixed().since("Howdah 0.1").says(
        "port for Prometheus",
        "There `GET /metrics` is answered with the numbers of SHOW, as docs/metrics.md tells. 0: nowhere.",
    ),
    new("metrics_addr", "127.0.0.1", Value::List(at!(listen.metrics_addresses)))
        .fixed()
        .since("Howdah 0.1")
        .says(
            "TCP addresses for Prometheus",
            "Addresses or host names; `*` is every address. It counts with metrics_port only. Nobody is asked who they \
             are, and databases and users are named: choose addresses that only those reach who may know them. Empty: \
             nowhere.",
        ),
    new("syslog", "0", Value::Unread(Shape::Flag))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.2")
        .says("log to syslog", "The journal of systemd takes standard error as it is."),
    new("syslog_facility", "daemon", Value::Unread(Shape::Text))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.2")
        .says("facility for syslog", ""),
    new("syslog_ident", "pgbouncer", Value::Unread(Shape::Text))
        .status(Status::NotBuilt)
        .since("PgBouncer 1.4")
        .says("name for syslog", ""),
];

const fn new(name: &'static str, default: &'static str, value: Value) -> Setting {
    Setting::new(Category::Log, name, default, value)
}
