//! Tables that change below prepared statements. `s rows` in place of a text: what its rows look like is up to
//! the server; `T` and `t` bodies stand for it.

use howdah_wire::frontend;

use super::notation;
use super::stage::{self, Stage};
use crate::session::SessionRules;
use crate::session::recall::Recall;
use crate::settings::{PoolMode, StateCheck, StateRules};

/// Client 0 has `a` for `q`, known to server 0 as HOWDAH_1, and was told that it looks like `n`.
fn told(clients: u64) -> Stage {
    let mut stage = Stage::transaction(clients, 2);
    assert_eq!(stage.client(0, "P a q / D a / S"), "server 0: P HOWDAH_1 q / D HOWDAH_1 / S | 0-0");
    assert_eq!(stage.server(0, &format!("1 / t / {} / Z I", row("n", 1))), "client 0: 1 / t / T / Z I");
    stage
}

/// The last client takes server 0, so that the first gets server 1.
fn elsewhere(stage: &mut Stage) {
    let last = stage.clients.len() - 1;
    stage.client(last, "Q begin");
    assert!(stage.report().ends_with(&format!("{last}-0")));
}

/// A RowDescription of one column of type text, of a table with this number.
fn row(name: &str, table: u8) -> String {
    format!("T \0\u{1}{name}\0\0\0\0{}\0\u{1}\0\0\0\u{19}\u{7f}\u{7f}\0\0\0\u{1}\0\0", char::from(table))
}

const STALE: &str = "E 0A000 cached plan must not change result type";
const FROM_SERVER: &str = "Er RevalidateCachedQuery 0A000 cached plan must not change result type";
const WRONG: &str = "E 26000 prepared statement \"HOWDAH_unnamed\" does not exist";

#[test]
fn whoever_was_told_is_asked_for_on_another_server_connection() {
    let mut stage = told(2);
    elsewhere(&mut stage);
    // The Bind waits for the answer.
    assert_eq!(stage.client(0, "B a / E / S"), "server 1: P HOWDAH_1 q / D HOWDAH_1 / H | 1-0 | 0-1");
    assert_eq!(stage.server(1, "1 / t"), "1-0 | 0-1");
    // The number of the table is of no interest.
    assert_eq!(stage.server(1, &row("n", 2)), "server 1: B HOWDAH_1 / E / S | 1-0 | 0-1");
    assert_eq!(stage.server(1, "2 / C SELECT 1 / Z I"), "client 0: 2 / C SELECT 1 / Z I | 1-0");
    // Known from now on.
    assert_eq!(stage.client(0, "B a / E / S"), "server 1: B HOWDAH_1 / E / S | 1-0 | 0-1");
}

#[test]
fn whoever_was_told_something_else_is_refused_as_by_postgresql() {
    let mut stage = told(2);
    elsewhere(&mut stage);
    stage.client(0, "B a / E / S");
    stage.report();
    // Other clients are not to be mixed up with that: the text has a new number.
    assert_eq!(
        stage.server(1, &format!("1 / t / {}", row("m", 1))),
        "server 1: C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / H | 1-0 | 0-1"
    );
    assert_eq!(
        stage.server(1, &format!("3 / 1 / t / {}", row("m", 1))),
        "server 1: B HOWDAH_unnamed / E / S | 1-0 | 0-1"
    );
    assert_eq!(stage.server(1, &format!("{WRONG} / Z I")), format!("client 0: {STALE} / Z I | 1-0"));
    // For as long as it holds to its statement.
    assert_eq!(stage.client(0, "B a / E / S"), "server 1: B HOWDAH_unnamed / E / S | 1-0 | 0-1");
    assert_eq!(stage.server(1, &format!("{WRONG} / Z I")), format!("client 0: {STALE} / Z I | 1-0"));
    // Preparing it anew helps.
    assert_eq!(
        stage.client(0, "C a / P a q / D a / S"),
        "server 1: D HOWDAH_2 / S | client 0: 3 / 1 | 1-0 | 0-1"
    );
    assert_eq!(stage.server(1, &format!("t / {} / Z I", row("m", 1))), "client 0: t / T / Z I | 1-0");
    assert_eq!(stage.client(0, "B a / E / S"), "server 1: B HOWDAH_2 / E / S | 1-0 | 0-1");
}

#[test]
fn in_a_failed_transaction_the_transaction_is_the_error() {
    let mut stage = told(2);
    elsewhere(&mut stage);
    stage.client(0, "Q begin");
    stage.server(1, "C BEGIN / Z T");
    stage.client(0, "B a / E / S");
    stage.server(1, &format!("1 / t / {}", row("m", 1)));
    stage.server(1, &format!("3 / 1 / t / {}", row("m", 1)));
    stage.report();
    assert_eq!(stage.server(1, &format!("{WRONG} / Z E")), format!("client 0: {STALE} / Z E | 1-0 | 0-1"));
    assert_eq!(stage.client(0, "B a / E / S"), "server 1: B HOWDAH_unnamed / E / S | 1-0 | 0-1");
    let aborted = "E 25P02 current transaction is aborted, commands ignored until end of transaction block";
    assert_eq!(stage.server(1, &format!("{WRONG} / Z E")), format!("client 0: {aborted} / Z E | 1-0 | 0-1"));
}

#[test]
fn whoever_was_told_nothing_takes_what_comes() {
    let mut stage = told(3);
    assert_eq!(stage.client(1, "P b q / S"), "server 0: S | client 1: 1 | 1-0");
    stage.server(0, "Z I");
    elsewhere(&mut stage);
    assert_eq!(stage.client(1, "B b / E / S"), "server 1: P HOWDAH_1 q / B HOWDAH_1 / E / S | 2-0 | 1-1");
    stage.server(1, "1 / 2 / D / C SELECT 1 / Z I");
    stage.report();
    // That nobody has asked what it looks like there is no reason to trust it.
    assert_eq!(stage.client(0, "B a / E / S"), "server 1: D HOWDAH_1 / H | 2-0 | 0-1");
}

/// As pgjdbc does: what was bound first is described, and it keeps to that.
#[test]
fn what_a_portal_looks_like_is_told_as_well() {
    let mut stage = told(3);
    stage.client(1, "P b q / S");
    stage.server(0, "Z I");
    let bound = "B b / Dp - / E / S";
    assert_eq!(stage.client(1, bound), "server 0: D HOWDAH_1 / B HOWDAH_1 / Dp - / E / S | 1-0");
    let answer = format!("t / {0} / 2 / {0} / D / C SELECT 1 / Z I", row("n", 1));
    assert_eq!(stage.server(0, &answer), "client 1: 2 / T / D / C SELECT 1 / Z I");
    elsewhere(&mut stage);
    assert_eq!(stage.client(1, "B b / E / S"), "server 1: P HOWDAH_1 q / D HOWDAH_1 / H | 2-0 | 1-1");
    let changed = format!("1 / t / {}", row("m", 1));
    assert_eq!(stage.server(1, &changed), "server 1: C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / H | 2-0 | 1-1");
    stage.server(1, &format!("3 / 1 / t / {}", row("m", 1)));
    stage.server(1, &format!("{WRONG} / Z I"));
    stage.report();
    // Who has it described each time is told what it looks like now, and may go on.
    assert_eq!(stage.client(1, bound), "server 1: D HOWDAH_2 / B HOWDAH_2 / Dp - / E / S | 2-0 | 1-1");
    stage.server(1, &format!("t / {0} / 2 / {0} / D / C SELECT 1 / Z I", row("m", 1)));
    stage.report();
    assert_eq!(stage.client(1, bound), "server 1: B HOWDAH_2 / Dp - / E / S | 2-0 | 1-1");
}

#[test]
fn what_a_server_says_is_out_of_date_gets_a_new_number() {
    let mut stage = told(3);
    stage.client(1, "P b q / S");
    stage.server(0, "Z I");
    stage.client(0, "B a / E / S");
    stage.report();
    assert_eq!(stage.server(0, &format!("{FROM_SERVER} / Z I")), format!("client 0: {STALE} / Z I"));
    // Prepared anew, it is prepared anew.
    assert_eq!(
        stage.client(0, "C a / P a q / D a / S"),
        "server 0: P HOWDAH_2 q / D HOWDAH_2 / S | client 0: 3 | 0-0"
    );
    assert_eq!(stage.server(0, &format!("1 / t / {} / Z I", row("m", 1))), "client 0: 1 / t / T / Z I");
    // And for others, who were told nothing, without a word.
    assert_eq!(stage.client(1, "B b / E / S"), "server 0: C HOWDAH_1 / B HOWDAH_2 / E / S | 1-0");
}

#[test]
fn a_table_that_is_again_as_it_was_is_no_reason_to_refuse() {
    let mut stage = told(1);
    stage.client(0, "B a / E / S");
    stage.server(0, &format!("{FROM_SERVER} / Z I"));
    stage.report();
    assert_eq!(stage.client(0, "B a / E / S"), "server 0: C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / H | 0-0");
    assert_eq!(
        stage.server(0, &format!("3 / 1 / t / {}", row("n", 9))),
        "server 0: B HOWDAH_2 / E / S | 0-0"
    );
}

#[test]
fn different_answers_on_different_server_connections_are_noticed_at_once() {
    let mut stage = told(3);
    elsewhere(&mut stage);
    // Client 1 comes after the change and has it prepared on server 1.
    assert_eq!(stage.client(1, "P b q / D b / S"), "server 1: P HOWDAH_1 q / D HOWDAH_1 / S | 2-0 | 1-1");
    assert_eq!(stage.server(1, &format!("1 / t / {} / Z I", row("m", 1))), "client 1: 1 / t / T / Z I | 2-0");
    // It is not made to fail by what server 0 has under that number.
    stage.server(0, "C BEGIN / Z T");
    stage.client(2, "Q commit");
    stage.server(0, "C COMMIT / Z I");
    stage.report();
    assert_eq!(stage.client(1, "B b / E / S"), "server 0: C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / H | 1-0");
    assert_eq!(
        stage.server(0, &format!("3 / 1 / t / {}", row("m", 1))),
        "server 0: B HOWDAH_2 / E / S | 1-0"
    );
}

#[test]
fn who_comes_after_the_change_and_finds_it_first_does_not_notice() {
    for (sent, asked, again) in [
        ("P b q / D b / S", "D HOWDAH_1 / S", "C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / S"),
        ("P b q / D b / H", "D HOWDAH_1 / H", "S / C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / H"),
    ] {
        let mut stage = told(2);
        assert_eq!(stage.client(1, sent), format!("server 0: {asked} | client 1: 1 | 1-0"));
        assert_eq!(stage.server(0, &format!("t / {FROM_SERVER}")), format!("server 0: {again} | 1-0"));
        assert_eq!(stage.server(0, "Z I / 3 / 1"), "1-0");
        assert_eq!(stage.server(0, &format!("t / {}", row("m", 1))), "client 1: t / T | 1-0");
        if sent.ends_with('H') {
            assert_eq!(stage.client(1, "S"), "server 0: S | 1-0");
        }
        assert_eq!(stage.server(0, "Z I"), "client 1: Z I");
        assert_eq!(stage.client(1, "B b / E / S"), "server 0: B HOWDAH_2 / E / S | 1-0");
    }
}

#[test]
fn what_was_prepared_before_the_client_said_so_is_said_again() {
    for (sent, asked, again) in [
        ("B b / E / S", "B HOWDAH_1 / E / S", "C HOWDAH_1 / P HOWDAH_2 q / B HOWDAH_2 / E / S"),
        ("B b / E / H", "B HOWDAH_1 / E / H", "S / C HOWDAH_1 / P HOWDAH_2 q / B HOWDAH_2 / E / H"),
        (
            "B b / Dp - / E / S",
            "D HOWDAH_1 / B HOWDAH_1 / Dp - / E / S",
            "C HOWDAH_1 / P HOWDAH_2 q / D HOWDAH_2 / B HOWDAH_2 / Dp - / E / S",
        ),
    ] {
        let mut stage = told(2);
        stage.client(1, "P b q / S");
        stage.server(0, "Z I");
        stage.report();
        assert_eq!(stage.client(1, sent), format!("server 0: {asked} | 1-0"));
        assert_eq!(stage.server(0, FROM_SERVER), format!("server 0: {again} | 1-0"));
        assert_eq!(stage.server(0, "Z I / 3 / 1"), "1-0");
        let described = format!("t / {}", row("m", 1));
        if sent.contains("Dp") {
            assert_eq!(stage.server(0, &described), "1-0");
        }
        assert_eq!(stage.server(0, "2"), "client 1: 2 | 1-0");
    }
}

#[test]
fn what_has_proven_good_is_not_kept_for_a_second_time() {
    let mut stage = told(2);
    stage.client(1, "P b q / S");
    stage.server(0, "Z I");
    assert_eq!(stage.client(1, "B b / H"), "server 0: B HOWDAH_1 / H | 1-0");
    // One after the other, as long as it has not.
    assert_eq!(stage.client(1, "B b / E / S"), "server 0: H | 1-0");
    assert_eq!(stage.server(0, "2"), "server 0: B HOWDAH_1 / E / S | client 1: 2 | 1-0");
    stage.server(0, "2 / C SELECT 1 / Z I");
    // What changes now has changed since the client said Parse.
    stage.client(1, "B b / E / S");
    stage.report();
    assert_eq!(stage.server(0, &format!("{FROM_SERVER} / Z I")), format!("client 1: {STALE} / Z I"));
}

#[test]
fn what_comes_behind_the_end_of_the_batch_waits() {
    let mut stage = told(2);
    assert_eq!(
        stage.client(1, "P b q / B b / E / S / B b / E / S"),
        "server 0: B HOWDAH_1 / E / S | client 1: 1 | 1-0"
    );
    let (again, more) =
        ("C HOWDAH_1 / P HOWDAH_2 q / B HOWDAH_2 / E / S", "C HOWDAH_2 / P HOWDAH_2 q / B HOWDAH_2 / E / S");
    assert_eq!(stage.server(0, FROM_SERVER), format!("server 0: {again} / {more} | 1-0"));
    assert_eq!(stage.server(0, "Z I / 3 / 1 / 2 / C SELECT 1 / Z I"), "client 1: 2 / C SELECT 1 / Z I | 1-0");
}

#[test]
fn an_error_of_another_kind_is_the_clients() {
    let mut stage = told(2);
    stage.client(1, "P b q / S");
    stage.server(0, "Z I");
    stage.client(1, "B b / E / S");
    stage.report();
    assert_eq!(stage.server(0, "E 22P02 wrong / Z I"), "client 1: E 22P02 wrong / Z I");
}

#[test]
fn who_prepared_it_gets_the_error() {
    for sent in ["B a / E / S", "D a / S"] {
        let mut stage = Stage::transaction(1, 1);
        stage.client(0, "P a q / S");
        stage.server(0, "1 / Z I");
        stage.client(0, sent);
        stage.report();
        assert_eq!(stage.server(0, FROM_SERVER), format!("client 0: {STALE} | 0-0"), "{sent}");
    }
}

#[test]
fn what_failed_cannot_be_said_again_in_a_transaction() {
    for (begin, answer) in [("Q begin", "C BEGIN / Z T"), ("P u q2 / B u / E / H", "1 / 2 / C SELECT 1")] {
        let mut stage = told(2);
        stage.client(1, begin);
        stage.server(0, answer);
        stage.report();
        let sent = "server 0: B HOWDAH_1 / E | client 1: 1 | 1-0";
        assert_eq!(stage.client(1, "P b q / B b / E"), sent, "{begin}");
        assert_eq!(stage.server(0, FROM_SERVER), format!("client 1: {STALE} | 1-0"), "{begin}");
    }
}

#[test]
fn where_everything_is_asked_nothing_is_trusted_in_a_transaction() {
    let state = StateRules { check: StateCheck::Always, ..StateRules::default() };
    let rules = SessionRules { state, ..stage::rules(PoolMode::Transaction, 10) };
    let mut stage = Stage::new(rules, 2, 1);
    stage.client(0, "P a q / S");
    stage.server(0, "1 / Z I");
    assert_eq!(stage.client(1, "P b q / S"), "server 0: S | client 1: 1 | 1-0");
    stage.server(0, "Z I");
    stage.client(1, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.report();
    assert_eq!(
        stage.client(1, "B b / E / S"),
        "server 0: C HOWDAH_1 / P HOWDAH_1 q / B HOWDAH_1 / E / S | 1-0"
    );
}

#[test]
fn whoever_prepares_after_a_change_that_was_seen_gets_another_number() {
    for change in ["ALTER TABLE", "DROP TABLE", "CREATE VIEW", "DO"] {
        let mut stage = told(2);
        stage.client(1, "Q change");
        stage.server(0, &format!("C {change} / Z I"));
        stage.report();
        assert_eq!(stage.client(1, "P b q / S"), "server 0: P HOWDAH_2 q / S | 1-0", "{change}");
        stage.server(0, "1 / Z I");
        stage.report();
        // Who prepared it before it was changed goes on with what it has.
        assert_eq!(stage.client(0, "B a / E / S"), "server 0: B HOWDAH_1 / E / S | 0-0");
    }
}

#[test]
fn what_is_prepared_before_a_change_is_committed_is_out_of_date_with_it() {
    let mut stage = told(3);
    stage.client(2, "Q begin; change");
    assert_eq!(
        stage.server(0, "C BEGIN / C ALTER TABLE / Z T"),
        "client 2: C BEGIN / C ALTER TABLE / Z T | 2-0"
    );
    assert_eq!(stage.client(1, "P b q / S"), "server 1: P HOWDAH_2 q / S | 2-0 | 1-1");
    stage.server(1, "1 / Z I");
    stage.client(2, "Q commit");
    stage.server(0, "C COMMIT / Z I");
    stage.report();
    assert_eq!(stage.client(2, "P c q / S"), "server 0: P HOWDAH_3 q / S | 2-0");
}

#[test]
fn what_is_too_long_to_be_kept_is_prepared_anew_at_once() {
    let mut stage = told(2);
    stage.client(1, "P b q / S");
    stage.server(0, "Z I");
    let mut bind = Vec::new();
    let value = vec![b'x'; Recall::MAX];
    frontend::write_bind_header(&mut bind, b"", b"b", value.len()).unwrap();
    stage.client_bytes(1, &bind);
    stage.client_bytes(1, &value);
    let sent = stage.report();
    assert!(sent.starts_with("server 0: C HOWDAH_1 / P HOWDAH_1 q / B HOWDAH_1"), "{sent}");
}

#[test]
fn a_question_among_others_is_not_asked_again() {
    for sent in ["D a / B a / S", "D a / C a / S", "D a / S / D a / S"] {
        let mut stage = told(1);
        stage.client(0, sent);
        stage.report();
        assert_eq!(stage.server(0, FROM_SERVER), format!("client 0: {STALE} | 0-0"), "{sent}");
    }
    let mut stage = told(1);
    stage.client(0, "Q begin");
    stage.server(0, "C BEGIN / Z T");
    stage.client(0, "D a / S");
    stage.report();
    assert_eq!(
        stage.server(0, &format!("t / {FROM_SERVER} / Z E")),
        format!("client 0: t / {STALE} / Z E | 0-0")
    );
}

#[test]
fn a_table_that_has_gone_is_said_to_have_gone() {
    let mut stage = told(2);
    stage.client(1, "P b q / D b / S");
    stage.report();
    let gone = "E 42P01 relation does not exist";
    stage.server(0, &format!("t / {gone} / Z I / 3"));
    stage.report();
    assert_eq!(stage.server(0, &format!("{gone} / Z I")), format!("client 1: {gone} / Z I"));
}

#[test]
fn a_question_of_howdahs_own_that_fails_fails_the_batch() {
    let mut stage = told(2);
    elsewhere(&mut stage);
    stage.client(0, "B a / E / S");
    stage.report();
    let gone = "E 42P01 relation does not exist";
    assert_eq!(stage.server(1, gone), format!("server 1: S | client 0: {gone} | 1-0 | 0-1"));
    assert_eq!(stage.server(1, "Z I"), "client 0: Z I | 1-0");
}

#[test]
fn a_client_that_leaves_amid_the_question_leaves_nothing_behind() {
    let mut stage = told(2);
    elsewhere(&mut stage);
    stage.client(0, "B a / E / S");
    stage.report();
    assert_eq!(stage.leave(0, false, None), "server 1: H | cancel 1 | 1-0");
    // What ends the batch fails, so that nothing of it is committed.
    let end = stage.server(1, &format!("1 / t / {}", row("m", 1)));
    assert_eq!(end, "server 1: E client has gone / S | 1-0");
    stage.server(1, "E 34000 portal does not exist / Z I");
    assert!(stage.servers[1].server.is_settled());
}

#[test]
fn a_description_that_comes_in_pieces_is_told_as_it_is() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P a q / D a / S");
    stage.report();
    for byte in notation::from_server(&format!("1 / t / {} / Z I", row("n", 1))) {
        stage.server_bytes(0, &[byte]);
    }
    assert_eq!(stage.report(), "client 0: 1 / t / T / Z I");
}
