//! Clients that leave: what becomes of their server connections.

use super::stage::Stage;
use crate::server::CleanupStep;

#[test]
fn a_running_query_is_canceled_and_the_connection_kept() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select pg_sleep(9)");
    assert_eq!(stage.leave(0, false, None), "cancel 0");
    assert_eq!(stage.server(0, "E 57014 canceled / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn a_question_of_howdahs_own_is_not_canceled() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q set work_mem = '1MB'");
    stage.report();
    assert_eq!(stage.server(0, "C SET / Z I"), "server 0: Q look work_mem | client 0: C SET / Z I | 0-0");
    assert_eq!(stage.leave(0, false, None), "");
    assert_eq!(stage.server(0, "T / row n work_mem 1MB / C SELECT 1 / Z I"), "");
    assert!(stage.is_free(0));
}

/// The cancel request was meant for the query, and came late.
#[test]
fn a_question_that_fails_is_asked_once_more() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q set work_mem = '1MB'");
    stage.report();
    assert_eq!(stage.leave(0, false, None), "cancel 0");
    let look = "server 0: Q look work_mem";
    assert_eq!(stage.server(0, "C SET / Z I"), look);
    assert_eq!(stage.server(0, "E 57014 canceled / Z I"), look);
    assert_eq!(stage.server(0, "E 57014 canceled / Z I"), "server 0 closed: server clean-up failed");
}

#[test]
fn what_still_runs_is_canceled_again_and_nothing_of_howdahs_own() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.client(0, "Q select pg_sleep(9)");
    assert!(stage.leave(0, false, None).contains("cancel 0"));
    assert_eq!(stage.insist(0), CleanupStep::Cancel);
    assert_eq!(stage.insist(0), CleanupStep::Cancel);
    assert_eq!(stage.server(0, "E 57014 canceled / Z E"), "server 0: Q ROLLBACK");
    assert_eq!(stage.insist(0), CleanupStep::Wait);
}

#[test]
fn what_was_not_to_be_canceled_never_is() {
    for (messages, orderly) in [("Q commit", false), ("Q insert", true)] {
        let mut stage = Stage::transaction(1, 1);
        stage.client(0, messages);
        stage.leave(0, orderly, None);
        assert_eq!(stage.insist(0), CleanupStep::Wait, "{messages}");
    }
}

#[test]
fn a_query_before_goodbye_is_not() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(stage.client(0, "Q insert / X"), "server 0: Q insert");
    assert!(!stage.is_free(0));
    assert_eq!(stage.server(0, "C INSERT 0 1 / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn what_may_commit_is_not_canceled() {
    for messages in ["Q commit", "P - commit / B - / E / S", "P a commit / B a / E", "P a end / B a p / E p"]
    {
        let mut stage = Stage::transaction(1, 1);
        stage.client(0, messages);
        assert!(!stage.leave(0, false, None).contains("cancel"), "{messages}");
    }
}

#[test]
fn an_open_transaction_is_rolled_back() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.report();
    assert_eq!(stage.leave(0, false, Some("DISCARD ALL")), "server 0: Q ROLLBACK");
    assert_eq!(stage.server(0, "C ROLLBACK / Z I"), "server 0: Q DISCARD ALL");
    assert_eq!(stage.server(0, "C DISCARD ALL / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn a_reset_that_fails_closes() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select 1");
    assert_eq!(stage.leave(0, true, Some("select nonsense")), "");
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "server 0: Q select nonsense");
    assert_eq!(stage.server(0, "E 42703 no such column / Z I"), "server 0 closed: server clean-up failed");
}

#[test]
fn an_open_copy_is_failed() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q copy t from stdin");
    stage.server(0, "G");
    stage.client(0, "d 1");
    stage.report();
    assert_eq!(stage.leave(0, false, None), "server 0: f client has gone");
    assert_eq!(stage.server(0, "E 57014 failed / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn a_copy_that_opens_after_the_client_has_gone_is_failed_too() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E / S");
    stage.report();
    assert_eq!(stage.leave(0, true, None), "");
    assert_eq!(stage.server(0, "1 / 2 / G"), "server 0: f client has gone / S");
    // The early Sync might have been answered.
    assert_eq!(stage.server(0, "E 57014 failed / Z I"), "server 0: Q");
    assert_eq!(stage.server(0, "I / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn a_sync_that_copy_ignores_ends_no_batch() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E");
    stage.server(0, "1 / 2 / G");
    stage.client(0, "S / d 1 / c");
    stage.report();
    assert_eq!(stage.leave(0, true, None), "server 0: H");
    assert_eq!(stage.server(0, "C COPY 1"), "server 0: E client has gone / S");
    assert_eq!(stage.server(0, "E 34000 no such portal / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn a_batch_without_sync_is_failed_and_never_committed() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - select 1 / B - / E");
    stage.report();
    // Its replies may lie in the server's buffer.
    assert_eq!(stage.leave(0, false, None), "server 0: H | cancel 0");
    assert_eq!(stage.server(0, "1 / 2"), "");
    assert_eq!(stage.server(0, "C SELECT 1"), "server 0: E client has gone / S");
    assert_eq!(stage.server(0, "E 34000 no such portal / Z I"), "");
    assert!(stage.is_free(0));
    // If it has been cancelled in time, or failed anyway, it needs nothing but its end.
    for (messages, answer) in
        [("P - select 1 / B - / E", "1 / 2 / E 57014 canceled"), ("P - bad", "E 42601 syntax")]
    {
        let mut stage = Stage::transaction(1, 1);
        stage.client(0, messages);
        stage.report();
        stage.leave(0, false, None);
        assert_eq!(stage.server(0, answer), "server 0: S");
        assert_eq!(stage.server(0, "Z I"), "");
        assert!(stage.is_free(0));
    }
    // If all of it has been answered there is nothing to cancel.
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - select 1 / H");
    stage.server(0, "1");
    stage.report();
    let end = stage.leave(0, false, None);
    assert!(end.starts_with("server 0: E client has gone") && !end.contains("cancel"), "{end}");
}

#[test]
fn replies_that_were_to_be_given_are_forgotten() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P a select 1 / S");
    stage.server(0, "1 / Z I");
    stage.client(0, "B a / C a / E / S");
    stage.report();
    assert_eq!(stage.leave(0, true, None), "");
    assert_eq!(stage.server(0, "2 / C SELECT 1 / Z I"), "");
    assert!(stage.is_free(0));
}

#[test]
fn half_a_message_closes() {
    let mut stage = Stage::transaction(1, 1);
    let mut message = super::notation::from_client(&format!("Q select '{}'", "x".repeat(1_100_000)));
    message.pop();
    stage.client_bytes(0, &message);
    stage.report();
    assert_eq!(stage.leave(0, false, None), "server 0 closed: unclean server");
    // Nothing of a shorter one has been sent.
    let mut stage = Stage::transaction(1, 1);
    let mut message = super::notation::from_client(&format!("Q select '{}'", "x".repeat(10_000)));
    message.pop();
    stage.client_bytes(0, &message);
    assert_eq!(stage.report(), "0-0");
    stage.leave(0, false, None);
    assert!(stage.is_free(0));
}

#[test]
fn what_the_client_was_to_get_in_part_is_read_to_its_end() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q select 1");
    let rows = super::notation::from_server("D some long row / C SELECT 1 / Z I");
    stage.server_bytes(0, &rows[..9]);
    stage.leave(0, true, None);
    stage.server_bytes(0, &rows[9..]);
    assert!(stage.is_free(0));
}

/// The Sync was sent before the data, where COPY ignores it: what comes of it lies in the server's buffer.
#[test]
fn a_copy_that_has_eaten_its_sync_is_waited_for() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E / S / d 1 / c");
    stage.report();
    assert_eq!(stage.leave(0, true, None), "server 0: H");
    assert_eq!(stage.server(0, "1 / 2 / G / C COPY 1"), "server 0: E client has gone / S");
    assert_eq!(stage.server(0, "E 34000 no such portal / Z I"), "");
    assert!(stage.is_free(0));
}
