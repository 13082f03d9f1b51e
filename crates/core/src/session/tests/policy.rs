//! `session_state` and `max_pinned`: what is refused, what is warned of, what pins and what is swept away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stage::{Stage, rules};
use crate::facts::CloseReason;
use crate::pool::PoolKey;
use crate::session::{Beginning, Parameters, Pin, PinLedger, PinReason, SessionRules, Start};
use crate::settings::{Policy, PoolMode, StateCheck, StateChoice, StateKind};

use Policy::{Close, Refuse, Warn};

const BLAME: &str = "Q refused by session_state or max_pinned of Howdah";
const NO_TEMP: &str = "E 0A000 not supported through this pool: temporary objects";

fn with(kind: StateKind, policy: Policy) -> SessionRules {
    let mut rules = rules(PoolMode::Transaction, 100);
    let mut choice = StateChoice::default();
    assert!(choice.set(kind, policy));
    rules.state.policy = rules.state.policy.with(choice);
    rules
}

fn stage(kind: StateKind, policy: Policy) -> Stage {
    begun(Stage::new(with(kind, policy), 2, 1))
}

/// Clients that have been let in, of a pool whose servers report `DateStyle` and `TimeZone`.
fn begun(mut stage: Stage) -> Stage {
    for backend in &mut stage.servers {
        backend.server.parameters.set(1, "ISO");
        backend.server.parameters.set(2, "UTC");
    }
    for client in &mut stage.clients {
        let plain = stage.servers[0].server.parameters.clone();
        let tracked = Arc::clone(&client.session.rules().tracked);
        client.session.begin(&Beginning::plain(Parameters::new(&tracked)), &plain);
    }
    stage
}

/// Two clients, and a ledger that is full with others.
fn crowded(kind: StateKind, policy: Policy) -> Stage {
    let mut rules = with(kind, policy);
    let pool = PoolKey { database: "shop".into(), user: "ann".into() };
    let ledger = PinLedger::new(pool, 1, |_| {});
    let since = Instant::now().checked_sub(Duration::from_secs(34)).unwrap();
    ledger.pin(77, "till", Pin::new(PinReason::AdvisoryLock, Some("1"), b"", since));
    rules.pins = Arc::new(ledger);
    begun(Stage::new(rules, 2, 1))
}

#[test]
fn a_refused_query_fails_at_the_server_and_is_told_in_our_words() {
    let mut stage = stage(StateKind::Temp, Refuse);
    let sent = stage.client(0, "Q create temp table t (a int) / Q select 1");
    assert_eq!(sent, format!("server 0: {BLAME} / Q select 1 | 0-0"));
    assert_eq!(stage.server(0, "E 42601 syntax / Z I"), format!("client 0: {NO_TEMP} / Z I | 0-0"));
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I");
}

#[test]
fn a_refused_query_leaves_its_transaction_as_postgresql_says() {
    let mut stage = stage(StateKind::Temp, Refuse);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    assert_eq!(stage.client(0, "Q create temp table t ()"), format!("server 0: {BLAME} | 0-0"));
    assert_eq!(stage.server(0, "E 42601 syntax / Z E"), format!("client 0: {NO_TEMP} / Z E | 0-0"));
    // Nothing but its end is carried out in it: PostgreSQL says so itself.
    assert_eq!(stage.client(0, "Q create temp table t ()"), "server 0: Q create temp table t () | 0-0");
    assert_eq!(stage.server(0, "E 25P02 aborted / Z E"), "client 0: E 25P02 aborted / Z E | 0-0");
    assert_eq!(stage.client(0, "Q rollback; create temp table t ()"), format!("server 0: {BLAME} | 0-0"));
    assert_eq!(stage.server(0, "E 42601 syntax / Z E"), format!("client 0: {NO_TEMP} / Z E | 0-0"));
}

#[test]
fn a_refused_statement_fails_when_it_is_bound_and_its_batch_is_skipped() {
    for (parse, bind) in [("P -", "B -"), ("P a", "B a")] {
        let mut stage = stage(StateKind::Locks, Refuse);
        let sent =
            stage.client(0, &format!("{parse} select pg_advisory_lock(1) / {bind} / E / S / Q select 1"));
        assert!(sent.contains(" / B HOWDAH_refused / E / S / Q select 1"), "{sent}");
        assert_eq!(
            stage.server(0, "1 / E 26000 no such statement / Z I"),
            "client 0: 1 / E 0A000 not supported through this pool: session-level advisory locks / Z I | 0-0"
        );
        assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I");
    }
}

#[test]
fn a_refusal_that_is_skipped_is_not_told() {
    let mut stage = stage(StateKind::Temp, Refuse);
    let temp = "P - create temp table t () / B - / E / S";
    stage.client(0, &format!("P - bad / B - / E / {temp} / {temp}"));
    assert_eq!(stage.server(0, "E 42601 bad / Z I"), "client 0: E 42601 bad / Z I | 0-0");
    assert_eq!(
        stage.server(0, "1 / E 26000 no such statement / Z I"),
        format!("client 0: 1 / {NO_TEMP} / Z I")
    );
    assert!(stage.servers[0].server.refusals.is_empty());
}

#[test]
fn each_kind_is_known_by_its_words() {
    use StateKind as K;
    for (kind, text) in [
        (K::Settings, "set work_mem = 1"),
        (K::Settings, "select set_config('work_mem', '1', false)"),
        (K::Role, "set role ann"),
        (K::Statements, "prepare p as select 1"),
        (K::Listen, "listen a"),
        (K::Cursors, "declare c cursor with hold for select 1"),
        (K::Slots, "select pg_create_logical_replication_slot('a', 'b', true)"),
        (K::Sequences, "select currval('s')"),
        (K::Seed, "select setseed(1)"),
        (K::Libraries, "load 'x'"),
        (K::Custom, "set app.tenant = 1"),
    ] {
        let mut refusing = stage(kind, Refuse);
        assert_eq!(refusing.client(0, &format!("Q {text}")), format!("server 0: {BLAME} | 0-0"), "{kind}");
        for welcome in
            ["set local work_mem = 1", "reset role", "discard all", "select nextval('s'), currval('s')"]
        {
            let sent = stage(kind, Refuse).client(0, &format!("Q {welcome}"));
            assert!(!sent.contains("refused"), "{kind}: {sent}");
        }
    }
    let mut session = with(K::Temp, Refuse);
    session.mode = PoolMode::Session;
    let sent = Stage::new(session, 1, 1).client(0, "Q create temp table t ()");
    assert_eq!(sent, "server 0: Q create temp table t () | 0-0");
    let mut blind = with(K::Temp, Refuse);
    blind.state.check = StateCheck::Never;
    assert!(Stage::new(blind, 1, 1).client(0, "Q create temp table t ()").contains("refused"));
}

#[test]
fn what_is_refused_and_found_afterwards_ends_the_client() {
    let mut stage = stage(StateKind::Temp, Refuse);
    stage.client(0, "Q do $$ x $$");
    stage.server(0, "C DO / Z I / row t t - / Z I");
    let session = &mut stage.clients[0].session;
    let (reason, error) = session.may_stay(Instant::now()).unwrap_err();
    assert_eq!(reason, CloseReason::StateRefused(StateKind::Temp));
    assert_eq!(
        error.to_string(),
        "FATAL: not supported through this pool: temporary objects (SQLSTATE 0A000)"
    );
    assert_eq!(stage.leave(0, false, None), "server 0: Q DISCARD ALL");
}

#[test]
fn a_full_ledger_refuses_what_would_pin_and_nothing_else() {
    let mut stage = crowded(StateKind::Temp, Policy::Pin);
    for text in ["create temp table t ()", "select pg_advisory_lock(1)", "load 'x'"] {
        assert_eq!(stage.client(0, &format!("Q {text}")), format!("server 0: {BLAME} | 0-0"));
        let told = stage.server(0, "E 42601 syntax / Z I");
        assert!(told.starts_with("client 0: E 53300 no server connection can be kept"), "{told}");
    }
    assert_eq!(stage.client(0, "Q set work_mem = 1"), "server 0: Q set work_mem = 1 | 0-0");
    let ledger = Arc::clone(&stage.clients[0].session.rules().pins);
    assert_eq!(ledger.tally(Instant::now()).refused, 3);
    stage.server(0, "C SET / Z I / row n work_mem 1 / Z I");
    ledger.set_max(2);
    assert_eq!(stage.client(0, "Q select setseed(1)"), "server 0: Q select setseed(1) | 0-0");
}

#[test]
fn a_full_ledger_ends_who_is_found_to_be_pinned_and_lets_stay_who_asked() {
    let mut stage = crowded(StateKind::Temp, Policy::Pin);
    stage.client(0, "Q do $$ x $$");
    stage.server(0, "C DO / Z I / row t t - / Z I");
    let ended = stage.clients[0].session.may_stay(Instant::now()).unwrap_err();
    assert_eq!(ended.0, CloseReason::TooManyPinned);
    let mut stage = crowded(StateKind::Temp, Policy::Pin);
    let ledger = Arc::clone(&stage.clients[0].session.rules().pins);
    ledger.set_max(2);
    stage.client(0, "Q create temp table t ()");
    ledger.set_max(1);
    stage.server(0, "C CREATE TABLE / Z I / row t t - / Z I");
    assert!(stage.clients[0].session.may_stay(Instant::now()).is_ok());
}

#[test]
fn a_pin_tells_its_object_and_the_statement_that_made_it() {
    let mut stage = stage(StateKind::Temp, Policy::Pin);
    stage.client(0, "Q begin; set work_mem = 1; select 1");
    stage.server(0, "C BEGIN / C SET / C SELECT 1 / Z T");
    stage.client(0, "Q create temp table t (a text default 'secret')");
    stage.server(0, "C CREATE TABLE / Z T");
    stage.client(0, "Q commit");
    stage.server(0, "C COMMIT / Z I / row n work_mem 1 / row t t - / Z I");
    let server = &stage.servers[0].server;
    assert_eq!(stage.clients[0].session.lasting_pin(server), Some(PinReason::TempObject));
    let pin = server.explain(PinReason::TempObject, Instant::now());
    assert_eq!(
        (pin.object.as_deref(), &*pin.statement),
        (Some("t"), "create temp table t (a text default '…')")
    );
    stage.client(0, "Q drop table t");
    stage.server(0, "C DROP TABLE / Z I / C X / Z I");
    let server = &stage.servers[0].server;
    assert_eq!(server.explain(PinReason::TempObject, Instant::now()).object, None);
    assert!(stage.is_free(0));
    // DISCARD ALL says it all: nothing is asked after it.
    stage.client(0, "Q create temp table u ()");
    stage.server(0, "C CREATE TABLE / Z I / row t u - / Z I");
    stage.client(0, "Q discard all");
    stage.server(0, "C DISCARD ALL / Z I");
    assert!(stage.is_free(0));
    assert_eq!(stage.servers[0].server.explain(PinReason::TempObject, Instant::now()).object, None);
}

#[test]
fn a_setting_is_lost_after_a_warning_and_the_next_join_resets_it() {
    let mut stage = stage(StateKind::Settings, Warn);
    let warned = "N cannot be relied on beyond this transaction: changed settings";
    assert_eq!(
        stage.client(0, "Q set work_mem = 1"),
        format!("server 0: Q set work_mem = 1 | client 0: {warned} | 0-0")
    );
    stage.server(0, "C SET / Z I / row n work_mem 1 / Z I");
    assert_eq!(
        stage.client(0, "Q set work_mem = 2"),
        "server 0: Q RESET \\\"work_mem\\\" / Q set work_mem = 2 | 0-0"
    );
    stage.server(0, "C RESET / Z I / C SET / Z I / row n work_mem 2 / Z I");
    assert_eq!(stage.client(1, "Q select 1"), "server 0: Q RESET \\\"work_mem\\\" / Q select 1 | 1-0");
}

#[test]
fn a_reported_setting_is_lost_too_and_the_client_told_so() {
    let mut stage = stage(StateKind::Settings, Warn);
    stage.client(0, "Q set timezone = 'x'");
    stage.server(0, "C SET / S TimeZone x / Z I / row n timezone x / Z I");
    let reset = r"Q SELECT pg_catalog.set_config(\'TimeZone\', \'UTC\', false)";
    let sent = stage.client(0, "Q select 1");
    assert!(sent.contains(reset), "{sent}");
    let told = stage.server(0, "C SELECT 1 / S TimeZone UTC / Z I");
    assert!(told.starts_with("client 0: S TimeZone UTC"), "{told}");
}

#[test]
fn what_a_client_began_with_is_not_lost_though_its_settings_were_tried_first() {
    // `stage` has let it in with nothing, as it is while its settings are tried.
    let mut stage = stage(StateKind::Settings, Warn);
    let plain = stage.servers[0].server.parameters.clone();
    let mut wanted = plain.clone();
    wanted.set(2, "x");
    let start = Some(Arc::new(Start { settings: vec![("timezone".into(), "x".into())] }));
    stage.clients[0].session.begin(&Beginning { start, ..Beginning::plain(wanted) }, &plain);
    let given = r"SELECT pg_catalog.set_config(\'TimeZone\', \'x\', false)";
    assert_eq!(stage.client(0, "Q select 1"), format!("server 0: Q {given} / Q select 1 | 0-0"));
    stage.server(0, "T / D / C SELECT 1 / S TimeZone x / Z I / C SELECT 1 / Z I");
    assert_eq!(stage.client(0, "Q select 1"), "server 0: Q select 1 | 0-0");
}

#[test]
fn what_lies_about_is_swept_before_anybody_else_comes() {
    for (kind, text, row, sweep) in [
        (StateKind::Temp, "create temp table t ()", "row t t -", "DISCARD TEMP"),
        (
            StateKind::Locks,
            "select pg_advisory_lock(1)",
            "row l 1 -",
            "SELECT pg_catalog.pg_advisory_unlock_all()",
        ),
        (StateKind::Cursors, "declare c cursor with hold for select 1", "row c c -", "CLOSE ALL"),
        (StateKind::Listen, "listen a", "row h a -", "UNLISTEN *"),
    ] {
        let mut stage = stage(kind, Warn);
        let warned = format!("N cannot be relied on beyond this transaction: {kind}");
        assert_eq!(
            stage.client(0, &format!("Q {text}")),
            format!("server 0: Q {text} | client 0: {warned} | 0-0")
        );
        stage.server(0, "C DONE / Z I");
        assert_eq!(stage.server(0, &format!("{row} / Z I")), format!("server 0: Q {sweep} | 0-0"), "{kind}");
        assert_eq!(stage.server(0, "C DONE / Z I"), "", "{kind}");
        assert!(stage.is_free(0));
    }
}

#[test]
fn what_a_function_left_is_warned_of_when_it_is_found() {
    let mut stage = stage(StateKind::Temp, Warn);
    stage.client(0, "Q do $$ x $$");
    assert_eq!(
        stage.server(0, "C DO / Z I / row t t - / Z I"),
        "server 0: Q look everything / Q DISCARD TEMP | client 0: C DO / \
         N cannot be relied on beyond this transaction: temporary objects / Z I | 0-0"
    );
}

/// The next transaction had begun when it was found: it is no time to drop anything.
#[test]
fn nothing_is_swept_in_a_transaction() {
    let mut stage = stage(StateKind::Cursors, Warn);
    stage.client(0, "Q declare c cursor with hold for select 1");
    stage.server(0, "C DECLARE CURSOR / Z I");
    stage.client(0, "Q begin");
    assert_eq!(stage.server(0, "row c c - / Z I"), "0-0");
    assert_eq!(stage.server(0, "C BEGIN / Z T"), "client 0: C BEGIN / Z T | 0-0");
    stage.client(0, "Q commit");
    let asked = stage.server(0, "C COMMIT / Z I");
    assert_eq!(asked, "server 0: Q look cursors | client 0: C COMMIT / Z I | 0-0");
    assert_eq!(stage.server(0, "row c c - / Z I"), "server 0: Q CLOSE ALL | 0-0");
}

#[test]
fn what_cannot_be_undone_is_closed_with_its_server_connection() {
    for (kind, text) in [(StateKind::Seed, "select setseed(1)"), (StateKind::Libraries, "load 'x'")] {
        let mut stage = stage(kind, Warn);
        stage.client(0, &format!("Q {text}"));
        assert!(stage.server(0, "C DONE / Z I").contains("server 0 closed: unclean server"), "{kind}");
        assert_eq!(stage.clients[0].left, None);
    }
    let mut stage = stage(StateKind::Slots, Warn);
    stage.client(0, "Q select pg_create_physical_replication_slot('x', true, true)");
    stage.server(0, "C SELECT 1 / Z I");
    assert!(stage.server(0, "row x x - / Z I").contains("server 0 closed: unclean server"));
}

#[test]
fn sequences_are_warned_of_where_nothing_moved_them() {
    let warning = "N cannot be relied on beyond this transaction: currval and lastval";
    for (text, warns) in [
        ("select currval('s')", true),
        ("select lastval()", true),
        ("select nextval('s'), currval('s')", false),
        ("INSERT into t values (1) returning currval('s')", false),
    ] {
        for messages in
            [format!("Q {text}"), format!("P - {text} / B - / E / S"), format!("P a {text} / B a / E / S")]
        {
            let mut stage = Stage::transaction(1, 1);
            assert_eq!(stage.client(0, &messages).contains(warning), warns, "{messages}");
        }
    }
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    assert!(!stage.client(0, "Q select currval('s')").contains(warning));
    stage.server(0, "C SELECT 1 / Z T");
    let batch = "P - insert into t values (1) / B - / E / P - select lastval() / B - / E / S";
    assert!(!Stage::transaction(1, 1).client(0, batch).contains(warning));
}

#[test]
fn sequences_pin_from_the_first_that_moves() {
    for messages in
        ["Q insert into t values (1)", "P - insert into t values (1) / B - / E / S", "Q select nextval('s')"]
    {
        let mut stage = stage(StateKind::Sequences, Policy::Pin);
        stage.client(0, messages);
        stage.server(0, if messages.starts_with('Q') { "C X / Z I" } else { "1 / 2 / C X / Z I" });
        assert_eq!(stage.clients[0].session.lasting_pin(&stage.servers[0].server), Some(PinReason::Sequence));
        assert!(!stage.is_free(0));
        assert_eq!(stage.leave(0, true, None), "server 0: Q DISCARD ALL");
    }
    let mut stage = stage(StateKind::Sequences, Policy::Pin);
    stage.client(0, "Q select currval('s')");
    stage.server(0, "C SELECT 1 / Z I");
    assert!(stage.is_free(0));
}

#[test]
fn carried_kinds_can_be_pinned_for_as_long_as_they_differ() {
    use StateKind as K;
    for (kind, text, row, undo, undone) in [
        (K::Settings, "set work_mem = 1", "row n work_mem 1", "reset work_mem", "C X / Z I"),
        (
            K::Role,
            "set role ann",
            "row r role ann / row r is_superuser off",
            "reset role",
            "row r role none / Z I",
        ),
        (K::Listen, "listen a", "row h a -", "unlisten a", "C X / Z I"),
    ] {
        let mut stage = stage(kind, Policy::Pin);
        stage.client(0, &format!("Q {text}"));
        stage.server(0, &format!("C DONE / Z I / {row} / Z I"));
        let pin = stage.clients[0].session.lasting_pin(&stage.servers[0].server);
        assert_eq!(pin, Some(PinReason::Policy(kind)));
        assert_eq!(&*stage.servers[0].server.explain(pin.unwrap(), Instant::now()).statement, text);
        stage.client(0, &format!("Q {undo}"));
        stage.server(0, &format!("C DONE / Z I / {undone}"));
        assert!(stage.is_free(0), "{kind}");
    }
}

#[test]
fn a_reported_setting_pins_while_it_differs() {
    let mut stage = stage(StateKind::Settings, Policy::Pin);
    stage.client(0, "Q set timezone = 'x'");
    stage.server(0, "C SET / S TimeZone x / Z I / row n timezone x / Z I");
    let pin = stage.clients[0].session.lasting_pin(&stage.servers[0].server);
    assert_eq!(pin, Some(PinReason::Policy(StateKind::Settings)));
    stage.client(0, "Q reset timezone");
    stage.server(0, "C RESET / S TimeZone UTC / Z I / C X / Z I");
    assert!(stage.is_free(0));
    // Who leaves with it leaves nothing behind.
    stage.client(0, "Q set timezone = 'x'");
    stage.server(0, "C SET / S TimeZone x / Z I / row n timezone x / Z I");
    stage.report();
    assert_eq!(stage.leave(0, true, None), "server 0: Q DISCARD ALL");
}

#[test]
fn where_cleanliness_is_asked_for_the_server_connection_is_closed_in_the_end() {
    for (kind, text, row, reason) in [
        (StateKind::Temp, "create temp table t ()", "row t t -", PinReason::TempSchema),
        (StateKind::Custom, "set app.tenant = 1", "row n app.tenant 1", PinReason::CustomParameter),
    ] {
        for text in [text, "do $$ x $$"] {
            let mut stage = stage(kind, Close);
            stage.client(0, &format!("Q {text}"));
            stage.server(0, &format!("C DONE / Z I / {row} / Z I"));
            assert_eq!(stage.servers[0].server.spoiled, Some(reason));
            assert_eq!(
                stage.servers[0].server.explain(reason, Instant::now()).statement.get(..3).unwrap(),
                &text[..3]
            );
            assert!(!stage.is_free(0));
            assert_eq!(stage.leave(0, true, None), "server 0 closed: unclean server");
        }
    }
}

/// The client was tied to its server connection by a table that it had dropped before Howdah knew of it.
#[test]
fn what_ends_while_it_is_asked_about_is_asked_about_again() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q create temp table t ()");
    stage.report();
    let look = stage.server(0, "C CREATE TABLE / Z I");
    assert!(look.starts_with("server 0: Q look temp |"), "{look}");
    stage.client(0, "Q drop table t");
    stage.server(0, "row t table_t - / C SELECT 1 / Z I");
    stage.report();
    let look = stage.server(0, "C DROP TABLE / Z I");
    assert!(look.starts_with("server 0: Q look temp |"), "{look}");
    stage.server(0, "C SELECT 0 / Z I");
    assert!(stage.is_free(0));
}
