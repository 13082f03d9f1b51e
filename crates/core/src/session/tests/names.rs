//! Statements that SQL knows by name, and settings with start values: what is whose after a look.

use std::sync::Arc;

use super::stage::Stage;
use crate::session::{Beginning, Parameters, SessionState, Start};

/// Client `c` prepares `a` by SQL, of which the look tells.
fn prepare(stage: &mut Stage, c: usize, value: u8) {
    let sent = stage.client(c, &format!("Q prepare a as select {value}"));
    if sent.contains(": C a / S / ") {
        stage.server(0, "3 / Z I");
    }
    stage.server(0, "C PREPARE / Z I");
    stage.server(0, &format!("{} / C SELECT 1 / Z I", row("a", value)));
    stage.report();
}

fn row(name: &str, value: u8) -> String {
    format!("row p {name} prepare/**/{name}/**/as/**/select/**/{value}")
}

#[test]
fn a_name_waits_until_it_is_known_what_is_prepared() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q prepare a as select 1");
    let asked = stage.server(0, "C PREPARE / Z I");
    assert_eq!(asked, "server 0: Q look statements | client 0: C PREPARE / Z I | 0-0");
    assert_eq!(stage.client(0, "Q execute a"), "0-0");
    let told = format!("{} / C SELECT 1 / Z I", row("a", 1));
    assert_eq!(stage.server(0, &told), "server 0: Q execute a | 0-0");
}

#[test]
fn what_takes_the_name_of_a_protocol_statement_is_all_that_has_it() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P a select 1 / S");
    stage.server(0, "1 / Z I");
    stage.client(0, "Q deallocate a; prepare a as select 2");
    stage.server(0, "1 / Z I");
    stage.server(0, "C DEALLOCATE / C PREPARE / Z I");
    stage.server(0, &format!("{} / C SELECT 1 / Z I", row("a", 2)));
    stage.report();
    assert_eq!(stage.client(0, "C a / S"), "server 0: C a / S | 0-0");
}

#[test]
fn what_a_block_of_code_stands_beside_is_prepared_too() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P a select 1 / S");
    stage.server(0, "1 / Z I");
    let sent = stage.client(0, "Q do $$ $$; execute a");
    assert_eq!(sent, "server 0: P a select 1 / S / Q do $$ $$; execute a | 0-0");
}

#[test]
fn a_foreign_statement_that_vanishes_takes_nobody_elses_along() {
    let mut stage = Stage::transaction(2, 1);
    prepare(&mut stage, 0, 1);
    prepare(&mut stage, 1, 2);
    stage.client(0, "Q prepare b as select 3");
    stage.server(0, "C PREPARE / Z I");
    stage.server(0, &format!("{} / C SELECT 1 / Z I", row("b", 3)));
    stage.report();
    let sent = stage.client(0, "Q execute a");
    assert!(sent.contains("P HOWDAH_own prepare/**/a/**/as/**/select/**/1 / "), "{sent}");
}

#[test]
fn what_execute_names_is_there_before_it_is_parsed() {
    for (parse, sent) in [("P - execute a", "P - execute a"), ("P b execute a", "P HOWDAH_1 execute a")] {
        let mut stage = Stage::transaction(2, 1);
        prepare(&mut stage, 0, 1);
        prepare(&mut stage, 1, 2);
        let got = stage.client(0, &format!("{parse} / S"));
        let own = "P HOWDAH_own prepare/**/a/**/as/**/select/**/1 / ";
        let places = [own, &format!(" / S / {sent} / S")].map(|part| got.find(part));
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{got}");
    }
}

#[test]
fn what_the_session_decides_is_no_text_shared_with_others() {
    for (text, shared) in [("select 1", true), ("fetch c", false), ("move c", false), ("execute a", false)] {
        let mut stage = Stage::transaction(2, 1);
        stage.client(0, &format!("P s {text} / S"));
        stage.server(0, "1 / Z I");
        stage.report();
        let sent = stage.client(1, &format!("P s {text} / S"));
        assert_eq!(!sent.contains("server 0: P"), shared, "{sent}");
    }
}

/// What client 0 has prepared is not on the server connection any more.
fn lost() -> Stage {
    let mut stage = Stage::transaction(2, 1);
    prepare(&mut stage, 0, 1);
    stage.client(1, "Q deallocate all");
    stage.server(0, "C DEALLOCATE ALL / Z I");
    stage.server(0, "C SELECT 0 / Z I");
    stage.report();
    stage
}

#[test]
fn what_only_has_the_name_is_not_taken_for_the_statement_once_something_has_failed() {
    let mut stage = lost();
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.report();
    let sent = stage.client(0, "Q prepare a as select 9");
    assert!(
        sent.starts_with("server 0: P a DEALLOCATE \\\"HOWDAH_out_of_date\\\" / S / Q prepare a"),
        "{sent}"
    );
    stage.server(0, "1 / Z T / E 42P05 taken / Z E");
    stage.client(0, "Q rollback to s");
    stage.server(0, "C ROLLBACK / Z T");
    stage.report();
    let sent = stage.client(0, "Q execute a");
    let prepared = sent.find("P HOWDAH_own prepare/**/a/**/as/**/select/**/1 / ");
    assert!(sent.starts_with("server 0: C a / ") && prepared.is_some(), "{sent}");
}

#[test]
fn what_has_been_forgotten_in_a_transaction_is_not_prepared_anew() {
    let mut stage = lost();
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.client(0, "Q deallocate a");
    stage.server(0, "1 / Z T / C DEALLOCATE / Z T");
    stage.client(0, "Q select 1/0");
    stage.server(0, "E 22012 zero / Z E");
    stage.client(0, "Q rollback to s");
    stage.server(0, "C ROLLBACK / Z T");
    stage.report();
    assert_eq!(stage.client(0, "Q execute a"), "server 0: Q execute a | 0-0");
}

#[test]
fn why_something_was_prepared_in_vain_is_told_to_nobody_else() {
    let mut stage = lost();
    let sent = stage.client(0, "Q do $$ $$; execute a");
    assert!(sent.contains(" / S / Q do $$ $$; execute a"), "{sent}");
    let failed =
        "3 / 3 / 1 / 2 / E 42P01 gone / Z I / E 26000 prepared/**/statement/**/\"a\"/**/missing / Z I";
    let told = stage.server(0, failed);
    assert!(told.contains("client 0: E 42P01 gone"), "{told}");
    stage.server(0, "C SELECT 0 / Z I");
    stage.report();
    stage.client(1, "Q execute a");
    let told = stage.server(0, "E 26000 prepared/**/statement/**/\"a\"/**/missing / Z I");
    assert!(told.contains("E 26000"), "{told}");
}

#[test]
fn in_an_open_transaction_it_is_prepared_where_failure_does_no_harm() {
    let mut stage = lost();
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.report();
    let sent = stage.client(0, "Q do $$ $$");
    let run = |text: &str| format!("P HOWDAH_own {text} / B HOWDAH_own HOWDAH_own / E HOWDAH_own");
    let steps = [
        run("SAVEPOINT \\\"HOWDAH_own\\\""),
        run("prepare/**/a/**/as/**/select/**/1"),
        run("ROLLBACK TO \\\"HOWDAH_own\\\""),
        run("RELEASE \\\"HOWDAH_own\\\""),
        "Q do $$ $$".to_owned(),
    ]
    .map(|part| sent.find(&part));
    assert!(steps.is_sorted() && steps.iter().all(Option::is_some), "{sent} {steps:?}");
}

#[test]
fn a_name_that_was_heard_is_told_to_each_server_connection_once() {
    let mut stage = Stage::transaction(3, 2);
    stage.client(0, "Q begin; set local app.x = 'a'; commit");
    stage.server(0, "C COMMIT / Z I");
    stage.report();
    stage.client(1, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.report();
    let told = "current_setting(\\'app.x\\', true) IS NULL";
    let sent = stage.client(0, "Q show app.x");
    assert!(sent.starts_with("server 1: ") && sent.contains(told), "{sent}");
    // PostgreSQL may object: nobody hears of that.
    let answer = stage.server(1, "3 / 3 / 1 / 2 / E 42602 reserved / Z I / C SHOW / Z I");
    assert_eq!(answer, "client 0: C SHOW / Z I | 1-0");
    assert_eq!(stage.client(0, "Q show app.x"), "server 1: Q show app.x | 1-0 | 0-1");
    stage.server(1, "C SHOW / Z I");
    stage.report();
    assert!(!stage.client(2, "Q show app.x").contains(told), "it is not this client's");
}

/// A client that began with `app.mark`.
fn marked() -> Stage {
    let mut stage = Stage::transaction(1, 1);
    let session = &mut stage.clients[0].session;
    let plain = Parameters::new(&session.rules().tracked);
    let settings = [("app.mark".into(), "start".into())];
    let mut state = SessionState::default();
    state.settings.extend(settings.clone());
    let beginning = Beginning {
        start: Some(Start { settings: settings.into() }.into()),
        state: Some(Arc::new(state)),
        ..Beginning::plain(plain.clone())
    };
    session.begin(&beginning, &plain);
    stage
}

#[test]
fn a_setting_that_was_made_empty_is_not_reset() {
    for (text, given) in [
        ("select set_config('app.mark', '', false)", false),
        ("reset app.mark; select 1", true),
        ("reset work_mem; select 1", false),
        ("do $$ begin reset app.mark; end $$", true),
    ] {
        let mut stage = marked();
        stage.client(0, &format!("Q {text}"));
        stage.server(0, "C SELECT 1 / Z I");
        let asked = stage.server(0, "C SELECT 1 / Z I");
        assert!(asked.contains("Q look "), "{text}: {asked}");
        let sent = stage.server(0, "row n app.mark  / C SELECT 1 / Z I");
        assert_eq!(sent.contains("start"), given, "{text}: {sent}");
    }
}
