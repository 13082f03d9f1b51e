//! Simple queries, FunctionCall, and what is answered without a server connection; the three modes.

use super::stage::{Stage, rules};
use crate::settings::PoolMode;

#[test]
fn a_query_borrows_a_server_connection() {
    let mut stage = Stage::transaction(2, 1);
    assert_eq!(stage.client(0, "Q select 1"), "server 0: Q select 1 | 0-0");
    assert_eq!(stage.client(1, "Q select 2"), "0-0");
    assert_eq!(stage.server(0, "T / D 1 / C SELECT 1"), "client 0: T / D 1 / C SELECT 1 | 0-0");
    assert_eq!(stage.server(0, "Z I"), "client 0: Z I");
    stage.link(1, 0);
    assert_eq!(stage.report(), "server 0: Q select 2 | 1-0");
}

#[test]
fn a_transaction_keeps_it_and_an_error_does_not_end_it() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(stage.client(0, "Q begin"), "server 0: Q begin | 0-0");
    assert_eq!(stage.server(0, "C BEGIN / Z T"), "client 0: C BEGIN / Z T | 0-0");
    assert_eq!(stage.client(0, "Q bad"), "server 0: Q bad | 0-0");
    assert_eq!(stage.server(0, "E 42601 syntax / Z E"), "client 0: E 42601 syntax / Z E | 0-0");
    assert_eq!(stage.client(0, "Q rollback"), "server 0: Q rollback | 0-0");
    assert_eq!(stage.server(0, "C ROLLBACK / Z I"), "client 0: C ROLLBACK / Z I");
}

#[test]
fn pipelined_queries_are_answered_before_it_is_given_back() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(stage.client(0, "Q select 1 / Q select 2"), "server 0: Q select 1 / Q select 2 | 0-0");
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I | 0-0");
    assert_eq!(stage.server(0, "I / Z I"), "client 0: I / Z I");
}

#[test]
fn what_asks_for_nothing_needs_no_server() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(stage.client(0, "H / d x / c / f why / S"), "client 0: Z I");
    assert_eq!(stage.client(0, "S / S"), "client 0: Z I / Z I");
}

#[test]
fn a_function_call() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(stage.client(0, "F"), "server 0: F | 0-0");
    // Nobody has seen what it does.
    assert_eq!(stage.server(0, "V / Z I"), "server 0: Q look everything | client 0: V | 0-0");
    assert_eq!(stage.server(0, "C SELECT 0 / Z I"), "client 0: Z I");
}

#[test]
fn notices_and_notifications_belong_to_no_question() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select 1");
    // Notifications come from the connection that listens for all.
    assert_eq!(stage.server(0, "N careful / A"), "client 0: N careful | 0-0");
    assert_eq!(stage.server(0, "C SELECT 1 / N late / Z I"), "client 0: C SELECT 1 / N late / Z I");
    assert_eq!(stage.server(0, "N nobody hears"), "");
    let mut stage = Stage::new(rules(PoolMode::Session, 0), 1, 1);
    stage.client(0, "Q select 1");
    assert_eq!(stage.server(0, "A / N careful"), "client 0: A / N careful | 0-0");
}

#[test]
fn a_ready_that_answers_nothing_is_no_answer() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select 1");
    assert_eq!(stage.server(0, "Z I"), "server 0 closed: server protocol violation");
}

#[test]
fn what_came_before_the_servers_end_is_still_passed_on() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select 1 / Q select 2");
    assert_eq!(
        stage.server(0, "C SELECT 1 / Z I / 1"),
        "client 0: C SELECT 1 / Z I | server 0 closed: server protocol violation"
    );
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select 1");
    assert_eq!(
        stage.server(0, "D 1 / FATAL 57P01 shutting down"),
        "client 0: D 1 | server 0 closed: server conn crashed?"
    );
    let error = stage.servers[0].server.last_error.as_ref().unwrap();
    assert_eq!(error.message, "shutting down");
}

#[test]
fn session_mode_keeps_it_and_leaves_names_alone() {
    let mut stage = Stage::new(rules(PoolMode::Session, 10), 1, 1);
    assert_eq!(stage.client(0, "P a select 1 / S"), "server 0: P a select 1 / S | 0-0");
    assert_eq!(stage.server(0, "1 / Z I"), "client 0: 1 / Z I | 0-0");
    assert_eq!(stage.client(0, "D a / B a / E / C a / S"), "server 0: D a / B a / E / C a / S | 0-0");
    stage.server(0, "t / n / 2 / C SELECT 1 / 3 / Z I");
    stage.report();
    assert_eq!(stage.leave(0, true, Some("DISCARD ALL")), "server 0: Q DISCARD ALL");
}

#[test]
fn statement_mode_ends_whoever_opens_a_block() {
    let mut stage = Stage::new(rules(PoolMode::Statement, 10), 1, 1);
    stage.client(0, "Q begin");
    assert_eq!(
        stage.server(0, "C BEGIN / Z T"),
        "client 0: C BEGIN | server 0 closed: transaction blocks not allowed in statement pooling mode"
    );
}

#[test]
fn what_no_client_sends_ends_it_after_what_stood_before() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(
        stage.client(0, "Q commit / p secret"),
        "server 0: Q commit | client 0: E 08P01 unexpected message of type \\'p\\' from the client"
    );
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(
        stage.client(0, "Q commit / S body"),
        "server 0: Q commit | client 0: E 08P01 malformed message of type \\'S\\' from the client"
    );
    let mut rules = rules(PoolMode::Transaction, 10);
    rules.disable_pqexec = true;
    let mut stage = Stage::new(rules, 1, 1);
    assert_eq!(
        stage.client(0, "P - select 1 / S / Q select 1"),
        "server 0: P - select 1 / S | cancel 0 | client 0: E 0A000 PQexec disallowed"
    );
}
