//! SHOW STATS, STATS_TOTALS, STATS_AVERAGES and TOTALS: one set of counters, four ways to see it.
//!
//! Averages cover the last full `stats_period`: counts and bytes are per second, `xact_time` per transaction,
//! `query_time` per query, `wait_time` per server connection given. Fractions are cut off. STATS_AVERAGES
//! mixes its prefixes because PgBouncer's does. `pin_time` is per second too: how many were pinned, in millionths.

use std::time::Duration;

use howdah_core::facts::{Counters, Snapshot, StatsRow};

use super::table::{Column, Row, Value, numeric, text};

pub(super) static STATS: [Column; 33] = [
    text("database"),
    numeric("total_server_assignment_count"),
    numeric("total_xact_count"),
    numeric("total_query_count"),
    numeric("total_received"),
    numeric("total_sent"),
    numeric("total_xact_time"),
    numeric("total_query_time"),
    numeric("total_wait_time"),
    numeric("total_client_parse_count"),
    numeric("total_server_parse_count"),
    numeric("total_bind_count"),
    numeric("total_client_login_count"),
    numeric("avg_server_assignment_count"),
    numeric("avg_xact_count"),
    numeric("avg_query_count"),
    numeric("avg_recv"),
    numeric("avg_sent"),
    numeric("avg_xact_time"),
    numeric("avg_query_time"),
    numeric("avg_wait_time"),
    numeric("avg_client_parse_count"),
    numeric("avg_server_parse_count"),
    numeric("avg_bind_count"),
    numeric("avg_client_login_count"),
    // Howdah's own.
    numeric("total_pin_count"),
    numeric("total_pin_time"),
    numeric("total_pin_refused_count"),
    numeric("total_state_replay_count"),
    numeric("avg_pin_count"),
    numeric("avg_pin_time"),
    numeric("avg_pin_refused_count"),
    numeric("avg_state_replay_count"),
];

pub(super) static TOTALS_BY_DATABASE: [Column; 17] = [
    text("database"),
    numeric("server_assignment_count"),
    numeric("xact_count"),
    numeric("query_count"),
    numeric("bytes_received"),
    numeric("bytes_sent"),
    numeric("xact_time"),
    numeric("query_time"),
    numeric("wait_time"),
    numeric("client_parse_count"),
    numeric("server_parse_count"),
    numeric("bind_count"),
    numeric("client_login_count"),
    // Howdah's own.
    numeric("pin_count"),
    numeric("pin_time"),
    numeric("pin_refused_count"),
    numeric("state_replay_count"),
];

pub(super) static AVERAGES: [Column; 17] = [
    text("database"),
    numeric("server_assignment_count"),
    numeric("xact_count"),
    numeric("query_count"),
    numeric("bytes_received"),
    numeric("bytes_sent"),
    numeric("xact_time"),
    numeric("query_time"),
    numeric("wait_time"),
    numeric("avg_client_parse_count"),
    numeric("avg_server_parse_count"),
    numeric("avg_bind_count"),
    numeric("avg_client_login_count"),
    // Howdah's own.
    numeric("pin_count"),
    numeric("pin_time"),
    numeric("pin_refused_count"),
    numeric("state_replay_count"),
];

pub(super) static TOTALS: [Column; 2] = [text("name"), numeric("value")];

pub(super) fn stats(snapshot: &Snapshot) -> Vec<Row<'_>> {
    by_database(snapshot, |row| {
        let averages = averages(&row.period, row.period_length);
        let usual = values(&row.total).into_iter().chain(values(&averages));
        usual.chain(own_values(&row.total)).chain(own_values(&averages)).collect()
    })
}

pub(super) fn totals_by_database(snapshot: &Snapshot) -> Vec<Row<'_>> {
    by_database(snapshot, |row| all_values(&row.total).collect())
}

pub(super) fn averages_by_database(snapshot: &Snapshot) -> Vec<Row<'_>> {
    by_database(snapshot, |row| all_values(&averages(&row.period, row.period_length)).collect())
}

pub(super) fn totals(snapshot: &Snapshot) -> Vec<Row<'_>> {
    let (mut total, mut period) = (Counters::default(), Counters::default());
    for row in &snapshot.stats {
        total += row.total;
        period += row.period;
    }
    // One clock ends the period of every database.
    let length = snapshot.stats.iter().map(|row| row.period_length).max().unwrap_or_default();
    let averages = averages(&period, length);
    let usual = |prefix, counters| named(prefix, TOTAL_NAMES, values(counters));
    let own = |prefix, counters| named(prefix, OWN_NAMES, own_values(counters));
    let rows = usual("total_", &total).chain(usual("avg_", &averages));
    rows.chain(own("total_", &total)).chain(own("avg_", &averages)).collect()
}

fn named<const N: usize>(
    prefix: &'static str,
    names: [&'static str; N],
    values: [Value<'static>; N],
) -> impl Iterator<Item = Row<'static>> {
    names.into_iter().zip(values).map(move |(name, value)| vec![format!("{prefix}{name}").into(), value])
}

fn by_database<'a>(snapshot: &'a Snapshot, rest: impl Fn(&StatsRow) -> Row<'a>) -> Vec<Row<'a>> {
    let row = |row: &'a StatsRow| {
        let mut values = vec![Value::from(&*row.database)];
        values.extend(rest(row));
        values
    };
    snapshot.stats.iter().map(row).collect()
}

/// In the order of the columns.
fn values(counters: &Counters) -> [Value<'static>; 12] {
    [
        counters.server_assignments.into(),
        counters.transactions.into(),
        counters.queries.into(),
        counters.received.into(),
        counters.sent.into(),
        counters.transaction_time.into(),
        counters.query_time.into(),
        counters.wait_time.into(),
        counters.client_parses.into(),
        counters.server_parses.into(),
        counters.binds.into(),
        counters.logins.into(),
    ]
}

/// What PgBouncer does not count. Its columns come first, all of them.
fn own_values(counters: &Counters) -> [Value<'static>; 4] {
    [
        counters.pins.into(),
        counters.pin_time.into(),
        counters.pins_refused.into(),
        counters.state_replays.into(),
    ]
}

fn all_values(counters: &Counters) -> impl Iterator<Item = Value<'static>> + use<> {
    values(counters).into_iter().chain(own_values(counters))
}

fn averages(period: &Counters, length: Duration) -> Counters {
    let per_second = |count: u64| {
        let average = (u128::from(count) * 1_000_000).checked_div(length.as_micros()).unwrap_or_default();
        u64::try_from(average).unwrap_or(u64::MAX)
    };
    let each = |time: u64, count: u64| time.checked_div(count).unwrap_or_default();
    Counters {
        server_assignments: per_second(period.server_assignments),
        transactions: per_second(period.transactions),
        queries: per_second(period.queries),
        received: per_second(period.received),
        sent: per_second(period.sent),
        transaction_time: each(period.transaction_time, period.transactions),
        query_time: each(period.query_time, period.queries),
        wait_time: each(period.wait_time, period.server_assignments),
        client_parses: per_second(period.client_parses),
        server_parses: per_second(period.server_parses),
        binds: per_second(period.binds),
        logins: per_second(period.logins),
        notifications: per_second(period.notifications),
        pins: per_second(period.pins),
        pin_time: per_second(period.pin_time),
        pins_refused: per_second(period.pins_refused),
        state_replays: per_second(period.state_replays),
    }
}

const TOTAL_NAMES: [&str; 12] = [
    "server_assignment_count",
    "xact_count",
    "query_count",
    "client_bytes",
    "server_bytes",
    "xact_time",
    "query_time",
    "wait_time",
    "ps_client_parse_count",
    "ps_server_parse_count",
    "ps_bind_count",
    "client_login_count",
];

const OWN_NAMES: [&str; 4] = ["pin_count", "pin_time", "pin_refused_count", "state_replay_count"];
