//! What may a client do to its session?
//!
//! Each [`Change`] leaves the session without a transaction. What keeps a server connection for one client alone is
//! rare and is taken back after a while, or the clients would wait for each other more than they do anything.

use crate::dice::Dice;
use crate::twins::Step;

/// Statements that belong together.
pub(crate) type Change = Vec<Step>;

/// Settings and values; the first three are told to clients.
pub(crate) const SETTINGS: &[(&str, &[&str])] = &[
    ("DateStyle", &["ISO, DMY", "SQL, MDY", "german", "nonsense"]),
    ("TimeZone", &["UTC", "Asia/Tokyo", "africa/nairobi", "+3"]),
    ("application_name", &["watch", "it's \"me\"", ""]),
    ("client_encoding", &["LATIN1", "utf8"]),
    ("standard_conforming_strings", &["off", "on"]),
    ("IntervalStyle", &["iso_8601", "postgres"]),
    ("search_path", &["watch, pg_catalog", "\"a b\", public", "", "pg_temp, public"]),
    ("work_mem", &["5MB", "96kB", "5120", "1"]),
    ("statement_timeout", &["10min", "600001"]),
    ("extra_float_digits", &["-3", "0", "9"]),
    ("enable_seqscan", &["off", "no"]),
    ("geqo_threshold", &["3", "20", "0"]),
    ("default_transaction_isolation", &["serializable", "repeatable read"]),
    ("default_transaction_deferrable", &["on"]),
    ("default_transaction_read_only", &["on", "off"]),
    ("row_security", &["off"]),
    ("bytea_output", &["escape"]),
    ("client_min_messages", &["error", "warning"]),
    ("session_replication_role", &["replica", "local"]),
    ("log_min_duration_statement", &["1h"]),
    ("watch.mark", &["one", "two", ""]),
    ("watch.other", &["a, b", "it's"]),
];

/// Those that PostgreSQL knows only once somebody has set them.
pub(crate) const CUSTOM: &[&str] = &["watch.mark", "watch.other"];

/// What a client may have in its startup packet.
pub(crate) const AT_START: &[(&str, &str)] = &[
    ("application_name", "from the start"),
    ("DateStyle", "SQL, DMY"),
    ("TimeZone", "Asia/Tokyo"),
    ("client_encoding", "utf8"),
    ("work_mem", "6MB"),
    ("search_path", "watch"),
    ("watch.mark", "start"),
    ("options", "-c enable_seqscan=off -c IntervalStyle=iso_8601"),
];

/// Any change that does not keep the server connection.
pub(crate) fn any(dice: &mut Dice) -> Change {
    match dice.below(100) {
        0..25 => vec![setting(dice)],
        25..45 => block(dice),
        45..53 => vec![several_at_once(dice)],
        53..63 => vec![reset(dice)],
        63..73 => vec![role(dice)],
        73..82 => prepare(dice),
        82..92 => vec![protocol_statement(dice)],
        92..94 => vec![query("discard all")],
        _ => vec![channel(dice)],
    }
}

/// Something that keeps the server connection, and what ends that; `None` means that only leaving does.
pub(crate) fn pinning(dice: &mut Dice) -> (Change, Option<Change>) {
    let ends = |statements: &[&str]| Some(statements.iter().map(|sql| query(*sql)).collect());
    match dice.below(7) {
        0 => (vec![query("create temp table scratch (n int)")], ends(TEMPORARY_ENDS)),
        1 => (vec![query("select 1 as n into temporary table picked")], ends(TEMPORARY_ENDS)),
        2 => (vec![query("begin; create temp view seen as select 1 as n; commit")], ends(TEMPORARY_ENDS)),
        3 => {
            (vec![query("select pg_advisory_lock(@lock, 1)")], ends(&["select pg_advisory_unlock(@lock, 1)"]))
        }
        4 => {
            let twice = "select pg_try_advisory_lock_shared(@lock, 2), pg_try_advisory_lock(@lock, 3)";
            (vec![query(twice), query(twice)], ends(&["select pg_advisory_unlock_all()"]))
        }
        5 => {
            let held = "declare kept cursor with hold for select generate_series(1, 5)";
            (vec![query(held), query("fetch 2 from kept")], ends(&["fetch kept", "close all"]))
        }
        _ => (vec![query("select setseed(0.25)"), query("select random()")], None),
    }
}

/// What a client might leave unfinished when it hangs up.
pub(crate) fn unfinished(dice: &mut Dice) -> Change {
    vec![query("begin"), setting(dice), query("savepoint deep"), role(dice), query("listen @megone")]
}

fn setting(dice: &mut Dice) -> Step {
    let (name, values) = dice.one_of(SETTINGS);
    let value = dice.one_of(values);
    let quoted = quote(value);
    let words =
        value.split(',').map(|word| quote(word.trim().trim_matches('"'))).collect::<Vec<_>>().join(", ");
    query(match dice.below(9) {
        0 => format!("set session {name} to {words}"),
        1 => format!("select set_config('{name}', {quoted}, false)"),
        2 => format!("select watch.change('{name}', {quoted})"),
        3 => format!("do $$ begin perform set_config('{name}', {quoted}, false); end $$"),
        4 => format!("call watch.alter('{name}', {quoted})"),
        5 => format!("set local {name} = {words}"),
        6 => return Step::Pipeline(vec![format!("set {name} = {words}")]),
        _ => format!("set {name} = {words}"),
    })
}

fn reset(dice: &mut Dice) -> Step {
    let (name, _) = dice.one_of(SETTINGS);
    query(match dice.below(7) {
        0 => "reset all".to_owned(),
        1 => "deallocate all".to_owned(),
        2 => "discard plans".to_owned(),
        3 => "discard sequences".to_owned(),
        4 => format!("set {name} to default"),
        _ => format!("reset {name}"),
    })
}

fn role(dice: &mut Dice) -> Step {
    query(dice.one_of(&[
        "set role watch_red",
        "set role watch_blue",
        "set role none",
        "reset role",
        "set local role watch_red",
        "set session authorization watch_plain",
        "set session authorization watch_red",
        "set session authorization default",
        "reset session authorization",
        "set session characteristics as transaction isolation level repeatable read",
    ]))
}

fn prepare(dice: &mut Dice) -> Change {
    let name = dice.one_of(STATEMENTS);
    let text = dice.below(1000);
    match dice.below(5) {
        0 => vec![query(format!("deallocate {name}"))],
        1 => vec![query(format!("execute {name}"))],
        2 => vec![query(format!("prepare {name} (int) as select 'with {text}', $1"))],
        _ => vec![query(format!("prepare {name} as select 'sql {text}'")), query(format!("execute {name}"))],
    }
}

fn protocol_statement(dice: &mut Dice) -> Step {
    let name = dice.one_of(STATEMENTS);
    match dice.below(5) {
        0 => Step::Close(name),
        1 | 2 => Step::Run(name),
        _ => Step::Parse { name, sql: format!("select 'protocol {}'", dice.below(1000)) },
    }
}

fn channel(dice: &mut Dice) -> Step {
    let name = dice.one_of(&["a", "b", "c"]);
    query(match dice.below(7) {
        0 => format!("unlisten @me{name}"),
        1 => "unlisten *".to_owned(),
        2 | 3 => format!("notify @me{name}, 'payload {}'", dice.below(1000)),
        4 => format!("begin; listen @me{name}; notify @me{name}, 'both'; commit"),
        _ => format!("listen @me{name}"),
    })
}

/// A transaction block with changes of all kinds, ended in one of many ways.
fn block(dice: &mut Dice) -> Change {
    let begin = dice.one_of(&["begin", "begin isolation level serializable", "start transaction read only"]);
    let mut steps = vec![query(begin)];
    for _ in 0..dice.below(3) {
        steps.extend(in_block(dice));
    }
    if dice.percent(50) {
        steps.push(query("savepoint sp"));
        for _ in 0..=dice.below(2) {
            steps.extend(in_block(dice));
        }
        if dice.percent(30) {
            steps.push(query("select 1/0"));
        }
        let ends = ["rollback to sp", "release sp", "rollback to savepoint sp; release savepoint sp"];
        steps.push(query(dice.one_of(&ends)));
        steps.extend(in_block(dice));
    }
    let ends = ["commit", "commit", "end", "rollback", "abort", "select 1/0; commit", "commit and chain"];
    steps.push(query(dice.one_of(&ends)));
    // Nothing is open any more, or this is a warning.
    steps.push(query("rollback"));
    steps
}

fn in_block(dice: &mut Dice) -> Change {
    match dice.below(10) {
        0..6 => vec![setting(dice)],
        6 => vec![role(dice)],
        7 => vec![reset(dice)],
        8 => prepare(dice),
        _ => vec![channel(dice)],
    }
}

/// One message with several statements: all or nothing.
fn several_at_once(dice: &mut Dice) -> Step {
    let mut statements: Vec<_> = (0..2)
        .filter_map(|_| match setting(dice) {
            Step::Query(sql) => Some(sql),
            _ => None,
        })
        .collect();
    if dice.percent(30) {
        statements.push("select 1/0".to_owned());
    }
    statements.push("select 1".to_owned());
    if dice.percent(50) { Step::Pipeline(statements) } else { query(statements.join("; ")) }
}

fn query(sql: impl Into<String>) -> Step {
    Step::Query(sql.into())
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Names that several clients give to different statements.
const STATEMENTS: &[&str] = &["s1", "s2", "s3"];

/// Whatever role and whatever kind of transaction the client is in by now.
const TEMPORARY_ENDS: &[&str] = &["begin read write", "discard temp", "commit"];
