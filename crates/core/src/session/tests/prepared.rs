//! Prepared statements with names of the client's own.

use super::stage::{Stage, rules};
use crate::settings::PoolMode;

/// Client 0 has `a` for `select 1`, known to server 0 as HOWDAH_1.
fn with_a(stage: &mut Stage) {
    assert_eq!(stage.client(0, "P a select 1 / S"), "server 0: P HOWDAH_1 select 1 / S | 0-0");
    assert_eq!(stage.server(0, "1 / Z I"), "client 0: 1 / Z I");
}

#[test]
fn the_same_name_for_different_texts_and_the_same_text_by_different_names() {
    let mut stage = Stage::transaction(2, 1);
    with_a(&mut stage);
    assert_eq!(stage.client(1, "P a select 2 / S"), "server 0: P HOWDAH_2 select 2 / S | 1-0");
    stage.server(0, "1 / Z I");
    stage.report();
    // Known on the server: answered here.
    assert_eq!(
        stage.client(1, "P b select 1 / B b / E / S"),
        "server 0: B HOWDAH_1 / E / S | client 1: 1 | 1-0"
    );
    assert_eq!(stage.server(0, "2 / C SELECT 1 / Z I"), "client 1: 2 / C SELECT 1 / Z I");
    assert_eq!(stage.client(0, "B a / D a / E / S"), "server 0: B HOWDAH_1 / D HOWDAH_1 / E / S | 0-0");
}

#[test]
fn a_statement_follows_to_another_server() {
    let mut stage = Stage::transaction(2, 2);
    with_a(&mut stage);
    stage.client(1, "Q begin");
    stage.report();
    assert_eq!(
        stage.client(0, "B a / E / S"),
        "server 1: P HOWDAH_1 select 1 / B HOWDAH_1 / E / S | 1-0 | 0-1"
    );
    assert_eq!(stage.server(1, "1 / 2 / C SELECT 1 / Z I"), "client 0: 2 / C SELECT 1 / Z I | 1-0");
}

#[test]
fn the_least_recently_used_is_closed_when_there_are_too_many() {
    let mut stage = Stage::new(rules(PoolMode::Transaction, 2), 1, 1);
    with_a(&mut stage);
    stage.client(0, "P b select 2 / S");
    stage.server(0, "1 / Z I");
    stage.client(0, "B a / S");
    stage.server(0, "2 / Z I");
    stage.report();
    assert_eq!(stage.client(0, "P c select 3 / S"), "server 0: C HOWDAH_2 / P HOWDAH_3 select 3 / S | 0-0");
    assert_eq!(stage.server(0, "3 / 1 / Z I"), "client 0: 1 / Z I");
    assert_eq!(
        stage.client(0, "B b / S"),
        "server 0: C HOWDAH_1 / P HOWDAH_2 select 2 / B HOWDAH_2 / S | 0-0"
    );
    assert_eq!(stage.server(0, "3 / 1 / 2 / Z I"), "client 0: 2 / Z I");
    assert_eq!(stage.servers[0].server.statements.len(), 2);
}

#[test]
fn given_replies_keep_their_place() {
    let mut stage = Stage::transaction(1, 1);
    with_a(&mut stage);
    assert_eq!(
        stage.client(0, "P b select 2 / C a / P c select 1 / B c / S"),
        "server 0: P HOWDAH_2 select 2 / B HOWDAH_1 / S | 0-0"
    );
    assert_eq!(stage.server(0, "1"), "client 0: 1 / 3 / 1 | 0-0");
    assert_eq!(stage.server(0, "2 / Z I"), "client 0: 2 / Z I");
}

#[test]
fn a_given_reply_never_lands_inside_another() {
    let mut stage = Stage::transaction(1, 1);
    with_a(&mut stage);
    stage.client(0, "D a / C a / S");
    let row_description = super::notation::from_server("t / T columns / Z I");
    for byte in row_description {
        stage.server_bytes(0, &[byte]);
    }
    stage.servers[0].out.clear();
    assert_eq!(stage.report(), "client 0: t / T / 3 / Z I");
    // Nor does one whose turn comes while the answer before it is under way.
    with_b(&mut stage);
    stage.client(0, "D b");
    let row_description = super::notation::from_server("t / T columns");
    let (begin, end) = row_description.split_at(row_description.len() - 3);
    stage.server_bytes(0, begin);
    stage.client(0, "C b");
    stage.server_bytes(0, end);
    assert!(stage.report().ends_with("0-0"));
    stage.client(0, "S");
    assert_eq!(stage.server(0, "Z I"), "client 0: Z I");
}

fn with_b(stage: &mut Stage) {
    stage.client(0, "P b select 2 / S");
    stage.server(0, "1 / Z I");
    stage.report();
}

#[test]
fn what_was_to_be_given_vanishes_with_a_batch_that_fails() {
    let mut stage = Stage::transaction(1, 1);
    with_a(&mut stage);
    stage.client(0, "P b bad / P c select 1 / C a / S");
    stage.report();
    assert_eq!(stage.server(0, "E 42601 syntax / Z I"), "client 0: E 42601 syntax / Z I");
    assert_eq!(stage.client(0, "D a / D c / S"), "server 0: D HOWDAH_1 / D c / S | 0-0");
}

#[test]
fn in_a_failed_transaction_only_the_server_answers_a_parse() {
    let mut stage = Stage::transaction(1, 1);
    with_a(&mut stage);
    stage.client(0, "Q begin / Q bad");
    stage.server(0, "C BEGIN / Z T / E 42601 syntax / Z E");
    stage.report();
    assert_eq!(stage.client(0, "P b select 1 / S"), "server 0: C HOWDAH_1 / P HOWDAH_1 select 1 / S | 0-0");
    assert_eq!(stage.server(0, "3 / E 25P02 aborted / Z E"), "client 0: E 25P02 aborted / Z E | 0-0");
    assert_eq!(stage.client(0, "C a / S"), "server 0: S | client 0: 3 | 0-0");
}

#[test]
fn a_name_in_use_is_refused_by_the_server_and_named_as_the_client_does() {
    let mut stage = Stage::transaction(1, 1);
    with_a(&mut stage);
    stage.client(0, "P b select 1 / S");
    stage.server(0, "Z I");
    stage.report();
    for name in ["a", "b"] {
        assert_eq!(
            stage.client(0, &format!("P {name} select 9 / S")),
            "server 0: P HOWDAH_1 select 9 / S | 0-0"
        );
        assert_eq!(
            stage.server(0, "E 42P05 prepared statement \"HOWDAH_1\" already exists / Z I"),
            format!("client 0: E 42P05 prepared statement \\\"{name}\\\" already exists / Z I")
        );
    }
    // If it is not, the server knows another text by that name now: it is of no use any more.
    stage.client(0, "P a select 9 / S");
    stage.report();
    assert_eq!(stage.server(0, "1"), "server 0 closed: server protocol violation");
}

#[test]
fn a_name_waits_for_the_batch_that_decides_about_it() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(
        stage.client(0, "P a bad / S / P a select 1 / S / B a / S"),
        "server 0: P HOWDAH_1 bad / S | 0-0"
    );
    assert_eq!(
        stage.server(0, "E 42601 syntax / Z I"),
        "server 0: P HOWDAH_2 select 1 / S | client 0: E 42601 syntax / Z I | 0-0"
    );
    assert_eq!(stage.server(0, "1 / Z I"), "server 0: B HOWDAH_2 / S | client 0: 1 / Z I | 0-0");
}

#[test]
fn a_text_under_way_in_another_batch_is_parsed_again() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(
        stage.client(0, "P x bad / P a select 1 / S / P b select 1 / B b / S"),
        "server 0: P HOWDAH_1 bad / P HOWDAH_2 select 1 / S / C HOWDAH_2 / P HOWDAH_2 select 1 / B HOWDAH_2 / S | 0-0"
    );
    assert_eq!(
        stage.server(0, "E 42601 syntax / Z I / 3 / 1 / 2 / Z I"),
        "client 0: E 42601 syntax / Z I / 1 / 2 / Z I"
    );
}

#[test]
fn deallocate_all_and_discard_all_forget_on_both_sides() {
    for all in ["deallocate all", "DISCARD ALL"] {
        let mut stage = Stage::transaction(2, 1);
        with_a(&mut stage);
        // What is pipelined behind it waits.
        assert_eq!(stage.client(0, &format!("Q {all} / B a / S")), format!("server 0: Q {all} | 0-0"));
        let tag = all.to_uppercase();
        let answer = stage.server(0, &format!("C {tag} / Z I"));
        if tag == "DISCARD ALL" {
            // Nothing is left of a session after that.
            assert_eq!(answer, "server 0: B a / S | client 0: C DISCARD ALL / Z I | 0-0");
        } else {
            assert_eq!(answer, "server 0: Q look statements | client 0: C DEALLOCATE ALL / Z I | 0-0");
            assert_eq!(stage.server(0, "C SELECT 0 / Z I"), "server 0: B a / S | 0-0");
        }
        stage.server(0, "E 26000 a does not exist / Z I");
        stage.server(0, "C SELECT 0 / Z I");
        stage.report();
        assert_eq!(stage.client(1, "P b select 1 / S"), "server 0: P HOWDAH_2 select 1 / S | 1-0");
    }
}

#[test]
fn half_a_request_gets_no_server_connection_and_keeps_none() {
    for request in ["P a select 1 / S", "Q select 1", "B - a / E / S", "D a / S", "C a / S"] {
        let message = super::notation::from_client(request);
        for cut in [4, 5, 7] {
            let mut stage = Stage::transaction(1, 1);
            with_a(&mut stage);
            stage.client_bytes(0, &message[..cut]);
            assert_eq!(stage.report(), "", "{cut} bytes of {request}");
            // Nor behind something that is whole.
            let mut stage = Stage::transaction(1, 1);
            with_a(&mut stage);
            stage.client_bytes(0, &[&super::notation::from_client("Q select 2"), &message[..cut]].concat());
            assert_eq!(stage.report(), "server 0: Q select 2 | 0-0");
            assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I");
            stage.client_bytes(0, &message[cut..]);
            assert!(stage.report().ends_with("| 0-0"), "{cut} bytes of {request}");
        }
    }
}

#[test]
fn a_long_message_that_has_begun_keeps_its_server_connection() {
    let mut stage = Stage::transaction(1, 1);
    let message = super::notation::from_client(&format!("P a select '{}' / S", "x".repeat(20_000)));
    stage.client_bytes(0, &message[..8191]);
    assert_eq!(stage.report(), "");
    stage.client_bytes(0, &message[8191..8192]);
    assert_eq!(stage.report(), "0-0");
    stage.client_bytes(0, &message[8192..]);
    assert!(stage.report().starts_with("server 0: P HOWDAH_1 select"));
}

#[test]
fn the_servers_names_are_nobodys_to_use() {
    let mut stage = Stage::transaction(2, 1);
    with_a(&mut stage);
    assert_eq!(stage.client(1, "C HOWDAH_1 / S"), "server 0: S | client 1: 3 | 1-0");
    assert_eq!(stage.server(0, "Z I"), "client 1: Z I");
    assert_eq!(stage.client(1, "D HOWDAH_1 / S"), "server 0: D HOWDAH_unnamed / S | 1-0");
}

#[test]
fn a_text_too_long_to_follow_pins() {
    let mut stage = Stage::transaction(1, 1);
    let text = "x".repeat(1024 * 1024 + 100);
    let sent = stage.client(0, &format!("P a {text} / S"));
    assert!(sent.starts_with("server 0: P a xxx"));
    assert_eq!(stage.server(0, "1 / Z I"), "client 0: 1 / Z I | 0-0");
    assert_eq!(stage.client(0, "B a / E / S"), "server 0: B a / E / S | 0-0");
    // Nobody has looked at what it does.
    assert_eq!(
        stage.server(0, "2 / C SELECT 1 / Z I"),
        "server 0: Q look everything | client 0: 2 / C SELECT 1 | 0-0"
    );
    assert_eq!(stage.server(0, "C SELECT 0 / Z I"), "client 0: Z I | 0-0");
    assert_eq!(stage.leave(0, true, None), "server 0 closed: unclean server");
}

#[test]
fn what_one_client_prepares_is_bounded_names_included() {
    let mut stage = Stage::new(rules(PoolMode::Transaction, 5000), 1, 1);
    let name = "n".repeat(8000);
    for number in 0..2200_u32 {
        stage.client(0, &format!("P {name}{number} select {number} / S"));
        stage.server(0, "1 / Z I");
    }
    let prepared = stage.clients[0].session.prepared_statements();
    assert!((1900..2200).contains(&prepared), "{prepared}");
    assert!(stage.clients[0].session.pin().is_some());
}
