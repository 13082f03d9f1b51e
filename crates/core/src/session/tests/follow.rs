//! Settings and roles, which follow the client: when they are asked about, and how they are given.

use std::sync::Arc;
use std::time::Instant;

use howdah_wire::sql::HintsBuilder;

use super::notation;
use super::stage::{Stage, rules};
use crate::session::{Beginning, SessionState, Start};
use crate::settings::PoolMode;

/// Client 0 has set `work_mem` on server 0, and the server has been asked.
fn with_setting(stage: &mut Stage) {
    stage.client(0, "Q set work_mem = '1MB'");
    stage.report();
    assert_eq!(
        stage.server(0, "C SET / Z I"),
        "server 0: Q look work_mem | client 0: C SET / Z I | 0-0",
        "it is ready before that is known"
    );
    assert_eq!(stage.server(0, "T / row n work_mem 1MB / C SELECT 1 / Z I"), "");
}

/// Client 0 acts as ann on server 0.
fn with_role(stage: &mut Stage) {
    stage.servers[0].server.login = Some("super".into());
    stage.client(0, "Q set role ann");
    assert_eq!(stage.server(0, "C SET / Z I"), "server 0: Q look role | client 0: C SET / Z I | 0-0");
    let rows = "row r role ann / row r session_authorization super / row r is_superuser off";
    assert_eq!(stage.server(0, &format!("{rows} / C SELECT 1 / Z I")), "");
}

/// A client that began with these settings.
fn begin_with(stage: &mut Stage, settings: &[(&str, &str)]) {
    let settings: Vec<_> = settings.iter().map(|&(name, value)| (name.into(), value.into())).collect();
    let mut state = SessionState::default();
    state.settings = settings.iter().cloned().collect();
    let state = Some(Arc::new(state));
    stage.servers[0].server.state.clone_from(&state);
    let server = &stage.servers[0].server;
    let parameters = server.parameters.clone();
    let start = Some(Arc::new(Start { settings }));
    let beginning = Beginning { start, state, ..Beginning::plain(parameters.clone()) };
    stage.clients[0].session.begin(&beginning, &parameters);
}

#[test]
fn a_setting_is_given_to_another_server_connection_and_taken_from_another_client() {
    let mut stage = Stage::transaction(2, 2);
    with_setting(&mut stage);
    // Where it is, it costs nothing.
    assert_eq!(stage.client(0, "Q select 1"), "server 0: Q select 1 | 0-0");
    stage.server(0, "C SELECT 1 / Z I");
    stage.report();
    assert_eq!(
        stage.client(1, "Q begin"),
        "server 0: Q RESET \\\"work_mem\\\" / Q begin | 1-0",
        "what the other client has set is not this one's"
    );
    stage.server(0, "C RESET / Z I / C BEGIN / Z T");
    stage.report();
    assert_eq!(
        stage.client(0, "Q select 1"),
        "server 1: Q SELECT pg_catalog.set_config(\\'work_mem\\', \\'1MB\\', false) / Q select 1 | 1-0 | 0-1"
    );
    assert_eq!(
        stage.server(1, "T / D / C SELECT 1 / Z I / C SELECT 1 / Z I"),
        "client 0: C SELECT 1 / Z I | 1-0"
    );
}

#[test]
fn what_is_set_in_a_block_is_asked_when_it_has_ended() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.client(0, "Q set work_mem = '1MB'");
    stage.report();
    assert_eq!(stage.server(0, "C SET / Z T"), "client 0: C SET / Z T | 0-0");
    stage.client(0, "Q commit");
    stage.report();
    assert_eq!(
        stage.server(0, "C COMMIT / Z I"),
        "server 0: Q look work_mem | client 0: C COMMIT / Z I | 0-0"
    );
    stage.server(0, "row n work_mem 1MB / C SELECT 1 / Z I");
    assert!(stage.is_free(0));
    // If it was rolled back it may be as usual again, whatever it was before.
    stage.client(0, "Q begin / Q set work_mem = '2MB' / Q rollback");
    stage.report();
    assert_eq!(
        stage.server(0, "C BEGIN / Z T / C SET / Z T / C ROLLBACK / Z I"),
        "server 0: Q look settings | client 0: C BEGIN / Z T / C SET / Z T / C ROLLBACK / Z I | 0-0"
    );
    stage.server(0, "row s work_mem 1MB / C SELECT 1 / Z I");
    assert!(stage.is_free(0));
}

#[test]
fn an_error_leaves_it_open_whether_a_setting_was_set() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q set work_mem = 'bad'");
    stage.report();
    assert_eq!(
        stage.server(0, "E 22023 no such value / Z I"),
        "server 0: Q look settings | client 0: E 22023 no such value / Z I | 0-0"
    );
    stage.server(0, "C SELECT 0 / Z I");
    assert_eq!(stage.servers[0].server.state, None);
    assert!(stage.is_free(0));
}

#[test]
fn what_is_executed_by_name_is_asked_about_however_it_was_prepared() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P a set role ann / S");
    stage.server(0, "1 / Z I");
    stage.client(0, "Q execute a");
    stage.report();
    let asked = stage.server(0, "1 / Z I / C SET / Z I");
    assert!(asked.contains("Q look role statements"), "{asked}");
}

#[test]
fn a_setting_that_is_reported_need_not_be_asked_for() {
    let mut stage = Stage::transaction(1, 1);
    let server = &mut stage.servers[0].server;
    let zone = server.tracked.index("TimeZone").unwrap();
    server.parameters.set(zone, "UTC");
    stage.client(0, "Q set timezone = 'Asia/Tokyo'");
    stage.report();
    assert_eq!(
        stage.server(0, "C SET / S TimeZone Asia/Tokyo / Z I"),
        "client 0: C SET / S TimeZone Asia/Tokyo / Z I"
    );
    // One that this server does not report, though it should be tracked, is.
    stage.client(0, "Q set datestyle = 'German'");
    stage.report();
    assert_eq!(stage.server(0, "C SET / Z I"), "server 0: Q look datestyle | client 0: C SET / Z I | 0-0");
    stage.server(0, "row n datestyle German / C SELECT 1 / Z I");
    assert_eq!(stage.servers[0].server.state.as_ref().unwrap().settings.len(), 1);
}

#[test]
fn nothing_of_the_clients_is_sent_before_its_role_is_settled() {
    let mut stage = Stage::transaction(2, 1);
    with_role(&mut stage);
    assert_eq!(
        stage.client(1, "Q select 1"),
        "server 0: Q SELECT pg_catalog.set_config(\\'role\\', \\'none\\', false) | 1-0"
    );
    assert_eq!(stage.server(0, "T / D / C SELECT 1 / Z I"), "server 0: Q select 1 | 1-0");
    stage.server(0, "C SELECT 1 / Z I");
    stage.report();
    let role = "Q SELECT pg_catalog.set_config(\\'role\\', \\'none\\', false); \
                SELECT pg_catalog.set_config(\\'role\\', \\'ann\\', false)";
    assert_eq!(stage.client(0, "P - select 1 / B - / E / S"), format!("server 0: {role} | 0-0"));
    // If it cannot be had, the client's query never runs.
    assert_eq!(stage.server(0, "E 22023 no such role / Z I"), "server 0 closed: server clean-up failed");
}

#[test]
fn a_question_that_fails_pins_until_it_is_answered_after_another_transaction() {
    let mut stage = Stage::transaction(2, 1);
    stage.client(0, "Q set work_mem = '1MB'");
    stage.server(0, "C SET / Z I");
    stage.report();
    assert_eq!(stage.server(0, "E 57014 statement timeout / Z I"), "0-0");
    assert_eq!(stage.client(1, "Q select 1"), "0-0", "nobody else gets it");
    stage.client(0, "Q set statement_timeout = 0");
    stage.report();
    assert_eq!(
        stage.server(0, "C SET / Z I"),
        "server 0: Q look work_mem statement_timeout | client 0: C SET / Z I | 0-0"
    );
}

#[test]
fn what_is_said_meanwhile_goes_on_behind_the_question() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q set work_mem = '1MB'");
    stage.server(0, "C SET / Z I");
    stage.report();
    assert_eq!(stage.client(0, "Q set work_mem = '2MB'"), "server 0: Q set work_mem = \\'2MB\\' | 0-0");
    assert_eq!(
        stage.server(0, "row n work_mem 1MB / C SELECT 1 / Z I / C SET / Z I"),
        "server 0: Q look work_mem | client 0: C SET / Z I | 0-0",
        "what came after the question is asked anew"
    );
    stage.server(0, "row n work_mem 2MB / C SELECT 1 / Z I");
    assert_eq!(stage.servers[0].server.state.as_ref().unwrap().settings["work_mem"].as_ref(), "2MB");
    assert!(stage.is_free(0));
}

#[test]
fn nothing_is_asked_amid_a_message() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q set work_mem = '1MB'");
    let long = notation::from_client(&format!("Q select '{}'", "x".repeat(1_100_000)));
    let (begin, end) = long.split_at(10_000);
    stage.client_bytes(0, begin);
    stage.report();
    assert_eq!(stage.server(0, "C SET / Z I"), "client 0: C SET / Z I | 0-0");
    stage.client_bytes(0, end);
    stage.servers[0].out.clear();
    // Only the beginning of this one is there, and it has not been sent.
    stage.client_bytes(0, &notation::from_client("Q select 1")[..7]);
    assert_eq!(
        stage.server(0, "C SELECT 1 / Z I"),
        "server 0: Q look everything | client 0: C SELECT 1 | 0-0"
    );
}

#[test]
fn reset_returns_to_what_the_client_began_with() {
    let mut stage = Stage::transaction(1, 1);
    begin_with(&mut stage, &[("work_mem", "8MB"), ("geqo", "off")]);
    let correction = "Q SELECT pg_catalog.set_config(\\'work_mem\\', \\'8MB\\', false)";
    assert_eq!(
        stage.client(0, "Q reset work_mem"),
        format!("server 0: Q reset work_mem / {correction} | 0-0")
    );
    assert_eq!(stage.server(0, "C RESET / Z I"), "client 0: C RESET | 0-0", "it is not ready before");
    assert_eq!(
        stage.server(0, "T / D / C SELECT 1 / Z I"),
        "server 0: Q look settings | client 0: Z I | 0-0"
    );
    stage.server(0, "row s work_mem 8MB / row s geqo off / C SELECT 2 / Z I");
    assert!(stage.is_free(0));
    // Of several statements in one text it is told by the answer what was reset.
    stage.client(0, "Q set geqo = on; reset work_mem");
    stage.server(0, "C SET / C RESET / Z I");
    stage.report();
    assert_eq!(stage.server(0, "row s geqo on / C SELECT 1 / Z I"), format!("server 0: {correction} | 0-0"));
    stage.server(0, "C SELECT 1 / Z I");
    assert!(stage.is_free(0));
}

#[test]
fn reset_by_the_extended_protocol_is_corrected_in_its_batch() {
    let mut stage = Stage::transaction(1, 1);
    begin_with(&mut stage, &[("work_mem", "8MB")]);
    let own = "Cp HOWDAH_own / C HOWDAH_own / P HOWDAH_own SELECT pg_catalog.set_config(\\'work_mem\\', \\'8MB\\', false) / \
               B HOWDAH_own HOWDAH_own / E HOWDAH_own / Cp HOWDAH_own / C HOWDAH_own";
    assert_eq!(
        stage.client(0, "P - reset work_mem / B - / E / P - select 1 / B - / E / S"),
        format!("server 0: P - reset work_mem / B - / E / {own} / P - select 1 / B - / E / S | 0-0")
    );
    assert_eq!(
        stage
            .server(0, "1 / 2 / C RESET / 3 / 3 / 1 / 2 / D / C SELECT 1 / 3 / 3 / 1 / 2 / C SELECT 1 / Z I"),
        "server 0: Q look settings | client 0: 1 / 2 / C RESET / 1 / 2 / C SELECT 1 | 0-0"
    );
    assert_eq!(stage.server(0, "row s work_mem 8MB / C SELECT 1 / Z I"), "client 0: Z I");
}

/// The portal with a name that was bound last need not be the one that is executed first.
#[test]
fn what_is_executed_in_any_order_is_corrected_when_the_server_has_been_asked() {
    let mut stage = Stage::transaction(1, 1);
    begin_with(&mut stage, &[("app.who", "ann")]);
    stage.client(0, "P a select 1 / P b reset app.who / B a p / B b q");
    stage.report();
    assert_eq!(stage.client(0, "E p / E q / S"), "server 0: E p / E q / S | 0-0");
    let told = stage.server(0, "1 / 1 / 2 / 2 / D / C SELECT 1 / C RESET / Z I");
    assert!(told.starts_with("server 0: Q look app.who settings"), "{told}");
    assert_eq!(
        stage.server(0, "row n app.who  / C SELECT 1 / Z I"),
        "server 0: Q SELECT pg_catalog.set_config(\\'app.who\\', \\'ann\\', false) | 0-0"
    );
}

/// A function may reset something, or may not: what is known of it only says that it can.
#[test]
fn what_a_function_resets_is_not_corrected_before_the_server_has_been_asked() {
    let rules = rules(PoolMode::Transaction, 10);
    let mut wipes = HintsBuilder::default();
    wipes.row(b"plpgsql", b"wipe", b"begin if random() > 2 then reset work_mem; end if; end");
    let now = Instant::now();
    rules.hints.answer(rules.hints.inquire(now), wipes.build(), now);
    let mut stage = Stage::new(rules, 1, 1);
    begin_with(&mut stage, &[("work_mem", "8MB")]);
    assert_eq!(stage.client(0, "Q select wipe()"), "server 0: Q select wipe() | 0-0");
    let told = stage.server(0, "T / D / C SELECT 1 / Z I");
    assert!(told.starts_with("server 0: Q look settings"), "{told}");
    assert_eq!(
        stage.server(0, "C SELECT 0 / Z I"),
        "server 0: Q SELECT pg_catalog.set_config(\\'work_mem\\', \\'8MB\\', false) | 0-0"
    );
}

/// A custom parameter that was reset is an empty one; so is one that was given an empty value after the RESET.
#[test]
fn a_custom_parameter_may_be_emptied_behind_a_reset_of_it() {
    let mut stage = Stage::transaction(1, 1);
    begin_with(&mut stage, &[("app.who", "ann")]);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.client(0, "Q reset app.who");
    stage.server(0, "C RESET / Z T / D / C SELECT 1 / Z T");
    stage.client(0, "Q set app.who = ''");
    stage.server(0, "C SET / Z T");
    stage.client(0, "Q commit");
    stage.report();
    let told = stage.server(0, "C COMMIT / Z I");
    assert!(told.starts_with("server 0: Q look app.who settings"), "{told}");
    assert_eq!(stage.server(0, "row n app.who  / C SELECT 1 / Z I"), "client 0: Z I");
    assert!(stage.is_free(0));
}

/// What is not set in the session has been reset, so what the client has is set even where it is the server's own.
#[test]
fn a_reported_setting_that_is_the_servers_own_is_set_all_the_same_if_the_client_began_with_another() {
    let mut stage = Stage::transaction(2, 2);
    let zone = stage.servers[0].server.tracked.index("TimeZone").unwrap();
    for backend in &mut stage.servers {
        backend.server.parameters.set(zone, "UTC");
        backend.server.login_parameters.set(zone, "UTC");
    }
    begin_with(&mut stage, &[("timezone", "Asia/Tokyo")]);
    stage.servers[0].server.state = None;
    stage.clients[0].session.state = None;
    let set = "Q SELECT pg_catalog.set_config(\\'TimeZone\\', \\'UTC\\', false)";
    assert_eq!(stage.client(0, "Q select 1"), format!("server 0: {set} / Q select 1 | 0-0"));
    stage.server(0, "T / D / C SELECT 1 / Z I / T / D / C SELECT 1 / Z I");
    stage.report();
    assert_eq!(stage.client(0, "Q select 2"), "server 0: Q select 2 | 0-0", "it comes back");
    stage.server(0, "T / D / C SELECT 1 / Z I");
    stage.client(1, "Q select 3");
    stage.server(0, "T / D / C SELECT 1 / Z I");
    stage.report();
    assert_eq!(
        stage.client(0, "Q select 4"),
        format!("server 0: {set} / Q select 4 | 0-0"),
        "somebody was there"
    );
}

#[test]
fn a_correction_that_is_cancelled_is_made_up_for() {
    let mut stage = Stage::transaction(1, 1);
    begin_with(&mut stage, &[("work_mem", "8MB")]);
    stage.client(0, "Q reset work_mem");
    stage.server(0, "C RESET / Z I");
    stage.report();
    assert_eq!(stage.server(0, "E 57014 canceled / Z I"), "server 0: Q look settings | 0-0");
    assert_eq!(
        stage.server(0, "C SELECT 0 / Z I"),
        "server 0: Q SELECT pg_catalog.set_config(\\'work_mem\\', \\'8MB\\', false) | 0-0"
    );
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: Z I", "it is not ready before");
}

#[test]
fn what_a_client_that_vanished_has_left_is_asked_and_discarded() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select pg_advisory_lock(1); set work_mem = '1MB'");
    stage.report();
    stage.leave(0, true, None);
    assert_eq!(stage.server(0, "C SELECT 1 / C SET / Z I"), "server 0: Q look work_mem locks");
    assert_eq!(
        stage.server(0, "row n work_mem 1MB / C SELECT 1 / row l 1 - / C SELECT 1 / Z I"),
        "server 0: Q DISCARD ALL"
    );
    assert_eq!(stage.server(0, "C DISCARD ALL / Z I"), "");
    assert!(stage.is_free(0));
    assert_eq!(stage.servers[0].server.state, None);
}

#[test]
fn what_a_client_that_vanished_was_asked_about_is_still_learned() {
    let mut stage = Stage::transaction(2, 1);
    stage.client(0, "Q set work_mem = '1MB'");
    stage.server(0, "C SET / Z I");
    stage.report();
    stage.leave(0, true, None);
    assert_eq!(stage.server(0, "row n work_mem 1MB / C SELECT 1 / Z I"), "");
    assert_eq!(stage.client(1, "Q select 1"), "server 0: Q RESET \\\"work_mem\\\" / Q select 1 | 1-0");
}

#[test]
fn a_server_connection_that_cannot_be_cleaned_is_closed() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select setseed(0.5)");
    stage.report();
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I | 0-0");
    assert_eq!(stage.leave(0, true, None), "server 0 closed: unclean server");
}

#[test]
fn a_function_that_is_called_without_a_text_may_have_done_anything() {
    let call = |oid: u32| {
        let mut message = vec![b'F', 0, 0, 0, 8];
        message.extend_from_slice(&oid.to_be_bytes());
        message
    };
    for (oid, asked) in [(2077, true), (952, false)] {
        let mut stage = Stage::transaction(1, 1);
        stage.client_bytes(0, &call(oid));
        stage.report();
        assert_eq!(stage.server(0, "V / Z I").contains("look everything"), asked, "{oid}");
    }
}

#[test]
fn statements_with_names_of_the_server_are_asked_about_whenever_they_are_bound() {
    let mut stage = Stage::new(rules(PoolMode::Transaction, 0), 1, 1);
    stage.client(0, "P a set work_mem = '1MB' / S");
    stage.server(0, "1 / Z I");
    stage.server(0, "row n work_mem 4MB / C SELECT 1 / Z I");
    stage.report();
    assert!(stage.is_free(0));
    assert_eq!(stage.client(0, "B a / E / S"), "server 0: B a / E / S | 0-0");
    assert_eq!(
        stage.server(0, "2 / C SET / Z I"),
        "server 0: Q look work_mem | client 0: 2 / C SET / Z I | 0-0"
    );
}

#[test]
fn what_a_client_that_vanished_no_longer_listens_to_is_forgotten() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q listen x");
    stage.server(0, "C LISTEN / Z I / row h x - / C SELECT 1 / Z I");
    let listens =
        |stage: &Stage| stage.servers[0].server.state.as_ref().map_or(0, |state| state.channels.len());
    assert_eq!(listens(&stage), 1);
    stage.report();
    stage.client(0, "Q unlisten x");
    stage.leave(0, true, None);
    assert_eq!(stage.server(0, "C UNLISTEN / Z I"), "server 0: Q look channels");
    stage.server(0, "C SELECT 0 / Z I");
    assert_eq!(listens(&stage), 0);
    assert!(stage.is_free(0));
}
