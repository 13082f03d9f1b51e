use std::time::Duration;

use howdah_core::facts::Counters;
use howdah_core::session::{Pin, PinReason};

use super::*;
use crate::sample::sample;

fn rows(show: Show, snapshot: &Snapshot) -> Vec<Row<'_>> {
    match show.source() {
        Source::Snapshot(rows) => rows(snapshot),
        _ => panic!("{show:?} is not made of the snapshot"),
    }
}

/// A row as text, fields separated by bars.
fn text(row: &Row<'_>) -> String {
    let fields = row.iter().map(|value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone().into_owned(),
    });
    fields.collect::<Vec<_>>().join("|")
}

fn texts(show: Show) -> Vec<String> {
    rows(show, &sample()).iter().map(text).collect()
}

#[test]
fn columns_are_pgbouncers() {
    let sockets = "type, user, database, replication, state, addr, port, local_addr, local_port, \
        connect_time, request_time, wait, wait_us, close_needed, ptr, link, remote_pid, tls, \
        application_name, prepared_statements, id, pin_reason, pin_statement, pin_age";
    for (show, expected) in [
        (
            Show::Stats,
            "database, total_server_assignment_count, total_xact_count, total_query_count, \
             total_received, total_sent, total_xact_time, total_query_time, total_wait_time, \
             total_client_parse_count, total_server_parse_count, total_bind_count, \
             total_client_login_count, avg_server_assignment_count, avg_xact_count, avg_query_count, \
             avg_recv, avg_sent, avg_xact_time, avg_query_time, avg_wait_time, avg_client_parse_count, \
             avg_server_parse_count, avg_bind_count, avg_client_login_count, total_pin_count, total_pin_time, \
             total_pin_refused_count, total_state_replay_count, avg_pin_count, avg_pin_time, \
             avg_pin_refused_count, avg_state_replay_count",
        ),
        (
            Show::StatsTotals,
            "database, server_assignment_count, xact_count, query_count, bytes_received, bytes_sent, \
             xact_time, query_time, wait_time, client_parse_count, server_parse_count, bind_count, \
             client_login_count, pin_count, pin_time, pin_refused_count, state_replay_count",
        ),
        (
            Show::StatsAverages,
            "database, server_assignment_count, xact_count, query_count, bytes_received, bytes_sent, \
             xact_time, query_time, wait_time, avg_client_parse_count, avg_server_parse_count, \
             avg_bind_count, avg_client_login_count, pin_count, pin_time, pin_refused_count, \
             state_replay_count",
        ),
        (Show::Totals, "name, value"),
        (Show::Clients, sockets),
        (Show::Servers, sockets),
        (
            Show::Pools,
            "database, user, cl_active, cl_waiting, cl_active_cancel_req, cl_waiting_cancel_req, \
             sv_active, sv_active_cancel, sv_being_canceled, sv_idle, sv_used, sv_tested, sv_login, \
             maxwait, maxwait_us, pool_mode, load_balance_hosts, sv_pinned",
        ),
        (
            Show::Pins,
            "database, user, client_id, application_name, server_id, remote_pid, reason, object, statement, \
             age, idle",
        ),
        (Show::PeerPools, "peer_id, cl_active_cancel_req, cl_waiting_cancel_req, sv_active_cancel, sv_login"),
        (Show::Peers, "peer_id, host, port, pool_size"),
        (
            Show::Databases,
            "name, host, port, database, force_user, pool_size, min_pool_size, reserve_pool_size, \
             server_lifetime, pool_mode, load_balance_hosts, max_connections, current_connections, \
             max_client_connections, current_client_connections, paused, disabled",
        ),
        (
            Show::Users,
            "name, pool_size, reserve_pool_size, pool_mode, max_user_connections, \
             current_connections, max_user_client_connections, current_client_connections",
        ),
        (Show::Lists, "list, items"),
        (Show::Config, "key, value, default, changeable"),
        (Show::State, "key, value"),
        (Show::Version, "version"),
    ] {
        let names: Vec<_> = show.columns().unwrap().iter().map(|column| column.name).collect();
        assert_eq!(names.join(", "), expected, "{show:?}");
    }
    assert_eq!(Show::Help.columns(), None);
}

#[test]
fn types_are_pgbouncers() {
    for (show, expected) in [
        (Show::Pools, "ssiiiiiiiiiiiiissi"),
        (Show::Pins, "ssqsqisssii"),
        (Show::Clients, "ssssssisissiiississiqssi"),
        (Show::Databases, "ssissiiiissiiiiii"),
        (Show::Users, "ssssiiii"),
        (Show::Lists, "si"),
        (Show::Stats, "sNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNN"),
        (Show::StatsAverages, "sNNNNNNNNNNNNNNNN"),
        (Show::Totals, "sN"),
        (Show::Config, "ssss"),
        (Show::Peers, "isii"),
        (Show::PeerPools, "iiiii"),
    ] {
        let letter = |column: &Column| match column.kind {
            Kind::Int4 => 'i',
            Kind::Int8 => 'q',
            Kind::Numeric => 'N',
            Kind::Text => 's',
        };
        let letters: String = show.columns().unwrap().iter().map(letter).collect();
        assert_eq!(letters, expected, "{show:?}");
    }
}

#[test]
fn every_row_fits_its_columns() {
    let snapshot = sample();
    for show in Show::ALL {
        let Source::Snapshot(rows) = show.source() else { continue };
        let columns = show.columns().unwrap();
        for row in rows(&snapshot) {
            assert_eq!(row.len(), columns.len(), "{show:?}");
            for (column, value) in columns.iter().zip(&row) {
                let fits = match value {
                    Value::Null => true,
                    Value::Number(_) => column.kind != Kind::Text,
                    Value::Text(_) => column.kind == Kind::Text,
                };
                assert!(fits, "{show:?} {column:?} {value:?}");
            }
        }
    }
}

#[test]
fn pools_databases_and_users() {
    assert_eq!(texts(Show::Pools), ["shop|ann|1|2|3|4|5|6|7|8|9|10|11|2|345|transaction|NULL|12"]);
    assert_eq!(texts(Show::Databases), ["shop|NULL|5432|shop_2|NULL|20|1|2|3600|NULL|disable|30|4|0|3|1|0"]);
    assert_eq!(texts(Show::Users), ["ann|5||session|0|1|7|2"]);
}

#[test]
fn clients_and_servers_point_at_each_other_and_the_door_is_not_shown() {
    let common = "10.0.0.7|40000|10.0.0.1|6432|2026-11-20 18:00:00 UTC|2026-11-20 18:00:01 UTC|2|345|0";
    let pin = "temporary object \"t\"|create temp table t ()|34";
    assert_eq!(
        texts(Show::Clients),
        [
            format!("C|ann|shop|none|active|{common}|0x11|0x102|0||till|3|17|{pin}"),
            format!("C|ann|shop|none|waiting|{common}|0x12||0||till|3|18|NULL|NULL|NULL"),
        ]
    );
    assert_eq!(
        texts(Show::Servers),
        ["S|ann|shop|none|new|unix|5432|unix|5432|2026-11-20 18:00:00 UTC|2026-11-20 18:00:00 UTC|0|0|1|\
          0x102|0x11|4711|TLSv1.3||0|258|"
            .to_owned()
            + pin]
    );
}

#[test]
fn pins_say_who_why_and_for_how_long_the_oldest_first() {
    let mut snapshot = sample();
    let mut second = snapshot.clients[0].clone();
    second.id = 20;
    second.link = None;
    second.idle = None;
    let earlier = second.pin.as_ref().unwrap().pin.since - Duration::from_secs(1);
    second.pin.as_mut().unwrap().pin = Pin::new(PinReason::AdvisoryLock, None, b"", earlier);
    snapshot.clients.push(second);
    assert_eq!(
        rows(Show::Pins, &snapshot).iter().map(text).collect::<Vec<_>>(),
        [
            "shop|ann|20|till|NULL|NULL|session-level advisory lock|NULL||34|NULL",
            "shop|ann|17|till|258|4711|temporary object|t|create temp table t ()|34|1",
        ]
    );
}

#[test]
fn sums_since_start_and_averages_of_the_period() {
    let sums = "1200|2400|3600|120000|240000|24000|37000|600000|12000|1190|0|1250";
    // Per second, per second, per second; bytes per second; per transaction, query and assignment; per second.
    let averages = "1|2|3|100|200|10|10|500|10|0|0|1";
    let (own_sums, own_averages) = ("2400|7200|1210|4800", "2|6|1|4");
    assert_eq!(texts(Show::Stats)[0], format!("shop|{sums}|{averages}|{own_sums}|{own_averages}"));
    assert_eq!(texts(Show::StatsTotals)[1], format!("stock|{sums}|{own_sums}"));
    assert_eq!(texts(Show::StatsAverages)[1], format!("stock|{averages}|{own_averages}"));
    let totals = texts(Show::Totals);
    assert_eq!(totals.len(), 32);
    for expected in [
        "total_server_assignment_count|2400",
        "total_client_bytes|240000",
        "total_ps_client_parse_count|24000",
        "avg_xact_count|4",
        "avg_xact_time|10",
        "avg_wait_time|500",
        "avg_client_login_count|2",
        "total_pin_time|14400",
        "avg_pin_count|4",
        "avg_state_replay_count|8",
    ] {
        assert!(totals.iter().any(|row| row == expected), "{expected} not in {totals:?}");
    }
}

#[test]
fn before_the_first_period_has_ended_averages_are_zero() {
    let mut snapshot = sample();
    for row in &mut snapshot.stats {
        (row.period, row.period_length) = (Counters::default(), Duration::ZERO);
    }
    assert_eq!(text(&rows(Show::StatsAverages, &snapshot)[0]), "shop|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0");
    snapshot.stats.clear();
    assert_eq!(text(&rows(Show::Totals, &snapshot)[23]), "avg_client_login_count|0");
}

#[test]
fn lists_and_state() {
    assert_eq!(
        texts(Show::Lists),
        [
            "databases|1",
            "users|1",
            "peers|0",
            "pools|1",
            "peer_pools|0",
            "free_clients|0",
            "used_clients|3",
            "login_clients|1",
            "free_servers|0",
            "used_servers|1",
            "dns_names|2",
            "dns_zones|0",
            "dns_queries|0",
            "dns_pending|3",
            "panics|4",
        ]
    );
    assert_eq!(texts(Show::State), ["active|no", "paused|yes", "suspended|no", "io_engine|plain"]);
}

#[test]
fn help_lists_every_table_and_no_others() {
    let listed: Vec<_> = USAGE
        .lines()
        .filter_map(|line| line.trim().strip_prefix("SHOW "))
        .flat_map(|names| names.split('|'))
        .collect();
    for show in Show::ALL {
        assert!(listed.contains(&show.name()), "{show:?}");
    }
    assert_eq!(listed.len(), Show::ALL.len());
}
