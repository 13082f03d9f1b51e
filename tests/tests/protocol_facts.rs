//! What PostgreSQL itself does where the protocol's description leaves room. Howdah relies on each of these facts;
//! a PostgreSQL that answers otherwise must fail here first.

use howdah_tests::{Message, RawClient, eventually, message, postgres};

#[test]
fn a_sync_sent_before_copy_in_response_is_swallowed() {
    let mut client = logged_in();
    client.query("create temp table t (n int)");
    let batch =
        [message::parse("", "copy t from stdin"), message::bind("", "", &[]), message::execute("", 0)];
    client.send(&[batch.concat(), message::sync()].concat());
    assert_eq!(tags(&[client.read(), client.read(), client.read()]), "12G");
    client.send(&[message::copy_data(b"1\n2\n"), message::copy_done()].concat());
    // Were the first Sync still owed an answer, there would be two ReadyForQuery now.
    client.send(&[message::sync(), message::terminate()].concat());
    let answer = client.read_to_end();
    assert_eq!(tags(&answer), "CZ");
    assert_eq!(answer.first().map(Message::first_string).as_deref(), Some("COPY 2"));
}

#[test]
fn a_sync_before_a_failing_copy_is_swallowed_too() {
    let mut client = logged_in();
    client.query("create temp table t (n int)");
    let batch =
        [message::parse("", "copy t from stdin"), message::bind("", "", &[]), message::execute("", 0)];
    client.send(&[batch.concat(), message::sync()].concat());
    assert_eq!(tags(&[client.read(), client.read(), client.read()]), "12G");
    client.send(&[message::copy_fail("enough"), message::query("select 1"), message::sync()].concat());
    // After the error everything up to a Sync is skipped, the query with it.
    client.send(&message::terminate());
    assert_eq!(tags(&client.read_to_end()), "EZ");
}

#[test]
fn a_sync_before_a_copy_that_fails_before_reading_is_answered() {
    let mut client = logged_in();
    client.query("create temp table t (n int)");
    client.query(
        "create function pg_temp.no() returns trigger language plpgsql as $$begin raise 'no'; end$$;
         create trigger no before insert on t for each statement execute function pg_temp.no()",
    );
    let batch =
        [message::parse("", "copy t from stdin"), message::bind("", "", &[]), message::execute("", 0)];
    client.send(&[batch.concat(), message::sync()].concat());
    let answer: Vec<_> = (0..5).map(|_| client.read()).collect();
    assert_eq!(tags(&answer), "12GEZ");
    // What a client does that has not read so far: one ReadyForQuery more than for a COPY that fails later.
    client.send(&[message::copy_data(b"1\n"), message::copy_done(), message::sync()].concat());
    client.send(&message::terminate());
    assert_eq!(tags(&client.read_to_end()), "Z");
}

#[test]
fn any_other_message_amid_a_copy_ends_the_connection() {
    let mut client = logged_in();
    client.query("create temp table t (n int)");
    client.send(&[message::query("copy t from stdin"), message::query("select 1")].concat());
    let answer = client.read_to_end();
    assert_eq!((tags(&answer).as_str(), sqlstates(&answer)), ("GEE", vec!["08P01".into(), "08P01".into()]));
}

#[test]
fn every_copy_of_a_query_has_an_end_of_its_own() {
    let mut client = logged_in();
    client.query("create temp table t (n int)");
    let copies = message::query("copy t from stdin; copy t from stdin");
    let data = [message::copy_data(b"1\n"), message::copy_done()].concat();
    client.send(&[copies, data.clone(), data, message::query("select count(*) from t")].concat());
    assert_eq!(tags(&client.read_until_ready()), "GCGCZ");
    assert_eq!(tags(&client.read_until_ready()), "TDCZ");
}

#[test]
fn copy_messages_outside_a_copy_are_ignored() {
    let mut client = logged_in();
    client.send(&[message::copy_data(b"x"), message::copy_done(), message::copy_fail("why")].concat());
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

#[test]
fn a_flush_alone_is_not_answered_and_a_sync_alone_is() {
    let mut client = logged_in();
    client.send(&[message::flush(), message::sync(), message::terminate()].concat());
    assert_eq!(tags(&client.read_to_end()), "Z");
}

#[test]
fn an_error_is_sent_at_once_and_an_answer_only_when_it_is_flushed() {
    let mut client = logged_in();
    client.send(&[message::parse("", "select 1"), message::execute("none", 0)].concat());
    assert_eq!(tags(&[client.read(), client.read()]), "1E");
    // What is skipped includes a Flush.
    client.send(&[message::flush(), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "Z");
}

#[test]
fn a_sync_commits_what_ran_without_a_transaction_block_unless_something_failed() {
    let mut client = logged_in();
    client.query("create temp table t (n int)");
    let insert = [message::parse("", "insert into t values (1)"), message::bind("", "", &[])].concat();
    let insert = [insert, message::execute("", 0)].concat();
    client.send(&[insert.clone(), message::execute("no such portal", 0), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "12CEZ");
    assert_eq!(client.value("select count(*) from t"), "0");
    client.send(&[insert, message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "12CZ");
    assert_eq!(client.value("select count(*) from t"), "1");
}

#[test]
fn a_parse_skipped_after_an_error_leaves_no_statement() {
    let mut client = logged_in();
    client.send(&[message::parse("", "selekt"), message::parse("s", "select 1"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "EZ");
    client.send(&[message::bind("", "s", &[]), message::sync()].concat());
    assert_eq!(sqlstates(&client.read_until_ready()), ["26000"]);
}

#[test]
fn the_unnamed_statement_survives_transactions_and_skipped_parses_but_no_query_and_no_failed_parse() {
    let mut client = logged_in();
    let use_it = [message::bind("", "", &[]), message::execute("", 0), message::sync()].concat();
    client.send(&[message::parse("", "select 7"), message::sync()].concat());
    client.read_until_ready();
    for _ in 0..2 {
        client.send(&use_it);
        assert_eq!(tags(&client.read_until_ready()), "2DCZ");
    }
    client.send(&[message::parse("x", "selekt"), message::parse("", "select 8"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "EZ");
    client.send(&use_it);
    assert_eq!(tags(&client.read_until_ready()), "2DCZ");
    for ending in [
        message::query(""),
        [message::parse("", "selekt"), message::sync()].concat(),
        [message::close(b'S', ""), message::sync()].concat(),
    ] {
        client.send(&[message::parse("", "select 7"), message::sync()].concat());
        client.read_until_ready();
        client.send(&ending);
        client.read_until_ready();
        client.send(&use_it);
        assert_eq!(sqlstates(&client.read_until_ready()), ["26000"]);
    }
}

#[test]
fn a_batch_is_open_until_sync_though_all_of_it_is_answered() {
    let mut client = logged_in();
    let rows = "select generate_series(1, 2)";
    client.send(&[message::parse("", rows), message::bind("", "", &[]), message::execute("", 1)].concat());
    client.send(&message::flush());
    assert_eq!(tags(&(0..4).map(|_| client.read()).collect::<Vec<_>>()), "12Ds");
    client.send(&[message::execute("", 0), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "DCZ");
    // The portal has gone with it.
    client.send(&[message::execute("", 0), message::sync()].concat());
    assert_eq!(sqlstates(&client.read_until_ready()), ["34000"]);
}

#[test]
fn a_query_ends_a_batch_too() {
    let mut client = logged_in();
    client.send(&[message::parse("", "select 1"), message::bind("p", "", &[])].concat());
    client.query("select 1");
    client.send(&[message::execute("p", 0), message::sync()].concat());
    assert_eq!(sqlstates(&client.read_until_ready()), ["34000"]);
}

#[test]
fn in_a_failed_transaction_a_way_out_may_be_parsed_and_bound() {
    let mut client = logged_in();
    client.query("begin");
    client.query("select 1/0");
    let out = [message::parse("out", "rollback"), message::bind("", "out", &[]), message::execute("", 0)];
    client.send(&[out.concat(), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "12CZ");
}

#[test]
fn in_a_failed_transaction_parse_is_an_error_and_close_is_not() {
    let mut client = logged_in();
    client.query("begin");
    client.send(&[message::parse("s", "select 1"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "1Z");
    client.query("select 1/0");
    client.send(&[message::parse("u", "select 2"), message::sync()].concat());
    assert_eq!(sqlstates(&client.read_until_ready()), ["25P02"]);
    client.send(&[message::close(b'S', "s"), message::close(b'S', "never was"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "33Z");
    client.query("rollback");
    // The Close was not rolled back.
    client.send(&[message::bind("", "s", &[]), message::sync()].concat());
    assert_eq!(sqlstates(&client.read_until_ready()), ["26000"]);
}

#[test]
fn a_statement_outlives_the_transaction_that_parsed_it_and_rolled_back() {
    let mut client = logged_in();
    client.query("begin");
    client.send(&[message::parse("s", "select 7"), message::sync()].concat());
    client.read_until_ready();
    client.query("rollback");
    client.send(&[message::bind("", "s", &[]), message::execute("", 0), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "2DCZ");
}

#[test]
fn a_name_in_use_is_42p05_and_the_unnamed_statement_is_replaced() {
    let mut client = logged_in();
    client
        .send(&[message::parse("s", "select 1"), message::parse("s", "select 2"), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!((tags(&answer).as_str(), sqlstates(&answer)), ("1EZ", vec!["42P05".to_owned()]));
    client.send(&[message::parse("", "select 1"), message::parse("", "select 2"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "11Z");
}

#[test]
fn a_cancel_connection_closes_only_after_the_signal_was_sent() {
    let mut client = logged_in();
    client.send(&message::query("select pg_sleep(600)"));
    eventually("the query runs", || is_sleeping(&client).then_some(()));
    cancel(&client);
    assert_eq!(sqlstates(&client.read_until_ready()), ["57014"]);
    // Sent to an idle session it has no effect, and it never reaches a query sent after the connection was closed.
    for _ in 0..50 {
        cancel(&client);
        assert_eq!(client.value("select 1"), "1");
    }
}

#[test]
fn command_tags_name_what_happened_but_not_always_enough() {
    let mut client = logged_in();
    let expected = [
        ("prepare p as select 1", "PREPARE"),
        ("deallocate p", "DEALLOCATE"),
        ("deallocate all", "DEALLOCATE ALL"),
        ("discard plans", "DISCARD PLANS"),
        ("discard temp", "DISCARD TEMP"),
        ("set work_mem = '1MB'", "SET"),
        ("reset work_mem", "RESET"),
        ("set role none", "SET"),
        ("listen l", "LISTEN"),
        ("unlisten *", "UNLISTEN"),
        ("load 'plpgsql'", "LOAD"),
        ("do $$begin end$$", "DO"),
        ("create temp table t (n int)", "CREATE TABLE"),
        ("create temp table u as select 1", "SELECT 1"),
        ("select 1 into temp v", "SELECT 1"),
        ("begin", "BEGIN"),
        ("set local work_mem = '1MB'", "SET"),
        ("declare c cursor with hold for select 1", "DECLARE CURSOR"),
        ("savepoint s", "SAVEPOINT"),
        ("rollback to s", "ROLLBACK"),
        ("commit and chain", "COMMIT"),
        ("rollback", "ROLLBACK"),
        ("discard all", "DISCARD ALL"),
    ];
    for (sql, tag) in expected {
        let answer = client.query(sql);
        let said: Vec<_> = answer.iter().filter(|m| m.tag == b'C').map(Message::first_string).collect();
        assert_eq!(said, [tag], "{sql}: {answer:?}");
    }
    client.query("begin; select 1/0");
    let answer = client.query("commit");
    assert_eq!(
        answer.first().map(Message::first_string).as_deref(),
        Some("ROLLBACK"),
        "a failed block's COMMIT"
    );
}

fn is_sleeping(client: &RawClient) -> bool {
    let (pid, _) = client.cancel_key.split_first_chunk().expect("the key begins with the process id");
    let pid = u32::from_be_bytes(*pid);
    let waits = format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'");
    postgres().psql(&waits).unwrap() == "1"
}

/// Asks for a cancel as `client` would and waits until the server hangs up without a word.
#[track_caller]
fn cancel(client: &RawClient) {
    let mut messenger = RawClient::unix(&postgres().socket_path());
    messenger.send(&message::cancel_request(&client.cancel_key));
    assert_eq!(messenger.read_to_end(), []);
}

fn logged_in() -> RawClient {
    let mut client = RawClient::unix(&postgres().socket_path());
    client.login("postgres", "postgres");
    client
}

fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| char::from(message.tag)).collect()
}

fn sqlstates(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.tag == b'E').map(Message::sqlstate).collect()
}
