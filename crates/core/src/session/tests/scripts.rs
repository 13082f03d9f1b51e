//! What the clients of the differential tests say: batches in the notation. `%` is a value nobody else sends, `@` the
//! client's number. A script ends outside any transaction.

use proptest::prelude::*;
use proptest::sample::select;

/// Prepared statements, batches, COPY.
pub(super) fn of_protocol() -> impl Strategy<Value = Vec<String>> {
    let text = || {
        let often = select(vec!["select 1", "select 2", "select 3", "rows 4"]);
        let rarely = select(vec![
            "fail",
            "bad",
            "need",
            "begin",
            "commit",
            "rollback",
            "set timezone = 'Rome'",
            "set timezone = 'Oslo'",
            "",
        ]);
        prop_oneof![4 => often, 2 => rarely]
    };
    let message = prop_oneof![
        6 => (name(), text()).prop_map(|(n, t)| format!("P {n} {t}")),
        6 => name().prop_map(|n| format!("B {n} - % / E")),
        2 => name().prop_map(|n| format!("B {n} p % / E p 1 / E p")),
        2 => name().prop_map(|n| format!("D {n}")),
        3 => name().prop_map(|n| format!("C {n}")),
        2 => text().prop_map(|t| format!("P - {t}")),
        2 => Just("B - - % / E".to_owned()),
        4 => select(vec![
            "H", "H", "E - 1", "Dp -", "D -", "C -", "Cp p", "d x", "c", "C HOWDAH_1", "B HOWDAH_1 - %",
        ]).prop_map(str::to_owned),
    ];
    let batch = prop_oneof![
        2 => text().prop_map(|t| format!("Q {t}")),
        3 => (name(), text()).prop_map(|(n, t)| format!("P {n} {t} / D {n} / B {n} - % / E / S")),
        3 => name().prop_map(|n| format!("B {n} - % / E / S")),
        8 => synced(message),
        3 => select(FIXED).prop_map(str::to_owned),
    ];
    ending("f end / S / Q rollback", proptest::collection::vec(batch, 0..10))
}

/// Settings, roles, statements prepared by SQL, locks and whatever else a session has.
pub(super) fn of_sessions() -> impl Strategy<Value = Vec<String>> {
    let text = || {
        prop_oneof![
            4 => select(SETTINGS),
            2 => select(ROLES),
            3 => select(TRANSACTIONS),
            2 => select(STATEMENTS),
            2 => select(LIVING),
            3 => Just("select session()"),
            1 => select(vec!["fail", "bad", "select 1"]),
        ]
    };
    let message = prop_oneof![
        6 => text().prop_map(|t| format!("P - {t} / B - - % / E")),
        2 => (name(), text())
            .prop_filter("what names mean behind it in the same batch", |(_, t)| !t.starts_with("deallocate"))
            .prop_map(|(n, t)| format!("P {n} {t}")),
        2 => name().prop_map(|n| format!("B {n} - % / E")),
        1 => name().prop_map(|n| format!("C {n}")),
        1 => select(vec!["B p - % / E", "C p", "D q", "H"]).prop_map(str::to_owned),
    ];
    let batch = prop_oneof![
        8 => text().prop_map(|t| format!("Q {t}")),
        3 => proptest::collection::vec(text(), 1..4).prop_map(several),
        4 => synced(message),
        1 => Just("Q discard all".to_owned()),
        1 => Just("Q select session()".to_owned()),
    ];
    ending(
        "Q rollback / Q select session() / Q discard all / Q select session()",
        proptest::collection::vec(batch, 0..12),
    )
}

fn ending(
    end: &'static str,
    batches: impl Strategy<Value = Vec<String>>,
) -> impl Strategy<Value = Vec<String>> {
    batches.prop_map(|mut batches| {
        batches.push(end.to_owned());
        batches
    })
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b", "c"])
}

/// Several statements in one query. In a transaction that has failed nothing can be prepared, so one that is ended and
/// a name that is used in one text are left out.
fn several(mut texts: Vec<&'static str>) -> String {
    let ends = |text: &str| text.starts_with("commit") || text.starts_with("rollback");
    if texts.iter().any(|text| ends(text)) {
        texts.retain(|text| !text.starts_with("execute") && !text.starts_with("deallocate"));
    }
    format!("Q {}", texts.join("; "))
}

/// A batch of the extended protocol.
fn synced(message: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec(message, 0..6).prop_map(|mut messages| {
        // What names mean in the same batch behind DEALLOCATE, or behind the end of a failed transaction, is not
        // followed.
        let (mut gone, mut ended) = (false, false);
        messages.retain(|message| {
            let named = ["P", "B", "C", "D"].iter().any(|kind| message.starts_with(kind));
            let unnamed = message.starts_with("P - ") || message.starts_with("B - ");
            let by_sql = ["prepare ", "execute ", "deallocate "].iter().any(|verb| message.contains(verb));
            let keep = !gone || !named || unnamed && !by_sql;
            gone |= message.contains("deallocate ");
            ended |= message.contains(" commit") || message.contains(" rollback");
            keep && !(ended && by_sql)
        });
        messages.push("S".into());
        messages.join(" / ")
    })
}

const FIXED: &[&str] = &[
    "Q begin",
    "Q begin",
    "Q commit",
    "Q rollback",
    "Q deallocate all",
    "Q discard all",
    "P z deallocate all / B z - % / E / C z / S",
    "P - deallocate all / B - - % / E / S / P - select 9 / S",
    "S",
    "H",
    "S / S",
    "d stray",
    "c",
    "f stray",
    "Q copy in / d x / d y / c",
    "Q copy in / d ! / d y / c",
    "Q copy in / f why",
    "Q copy in / H / S / d x / c",
    "Q copy out",
    "Q copy trigger / d x / c",
    "P - copy in / B - - % / E / S / d x / c / S / P - select 9 / S",
    "P - copy in / B - - % / E / d x / c / S / P - select 9 / S",
    "P - copy in / B - - % / E / S / d ! / d y / c / S / P - select 9 / S",
    "P - copy in / B - - % / E / S / f why / S / P - select 9 / S",
    "P - copy trigger / B - - % / E / S / d x / c / S / P - select 9 / S",
    "P - copy trigger / B - - % / E / S / S / P - select 9 / S",
    "P - copy out / B - - % / E / S / P - select 9 / S",
];

const SETTINGS: &[&str] = &[
    "set work_mem = '%'",
    "set search_path to '%'",
    "set session geqo = '%'",
    "set app.x = '%'",
    "set timezone = '%'",
    "set log_statement = '%'",
    "set work_mem = 'bad'",
    "set local work_mem = '%'",
    "set local timezone = '%'",
    "reset work_mem",
    "reset timezone",
    "reset app.x",
    "reset all",
    "set search_path to default",
    "select set_config('work_mem', '%', false)",
    "select set_config('app.x', '%', true)",
    "show work_mem",
];

const ROLES: &[&str] = &[
    "set role ann",
    "set role super2",
    "set role none",
    "set role nobody",
    "set local role ann",
    "reset role",
    "set session authorization bob",
    "set session authorization default",
    "reset session authorization",
];

const TRANSACTIONS: &[&str] =
    &["begin", "begin", "begin", "commit", "commit", "rollback", "savepoint a", "rollback to a", "release a"];

/// SQL has names of its own (`p`, `q`), and uses those of the protocol (`a`, `b`, `c`), too.
const STATEMENTS: &[&str] = &[
    "prepare p as select 7",
    "prepare q as select session()",
    "prepare q as select set_config('work_mem', '%', false)",
    "execute p",
    "execute q",
    "execute a",
    "deallocate p",
    "deallocate all",
];

const LIVING: &[&str] = &[
    "select pg_advisory_lock('@')",
    "select pg_advisory_lock('@')",
    "select pg_advisory_unlock('@')",
    "select pg_advisory_unlock_all()",
    "create temp table t",
    "drop table t",
    "discard temp",
    "declare k cursor with hold for select 1",
    "close k",
    "listen x",
    "listen y",
    "unlisten x",
    "unlisten *",
];
