//! Tables that change below prepared statements: a client gets rows that look like it was told, or the error it would
//! get on a direct connection, and what helps there helps here.

use howdah_tests::{Database, Howdah, Message, RawClient, message, tags};

const RESULT_TYPE: (&str, &str) = ("0A000", "cached plan must not change result type");

#[test]
fn on_another_server_connection_it_is_the_error_of_a_direct_one() {
    let table = Table::new();
    let (mut client, mut busy) = (table.client(), table.client());
    assert_eq!(prepare(&mut client), ["n"]);
    let first = client.backend();
    table.database.psql("alter table t add m int default 7");
    busy.run("begin");
    assert_eq!(busy.backend(), first);

    client.run("begin");
    let answer = execute(&mut client);
    assert_eq!(tags(&answer), "EZ");
    assert_eq!(error(&answer), RESULT_TYPE);
    // By this drivers know it.
    assert_eq!(answer[0].field(b'R').as_deref(), Some("RevalidateCachedQuery"));
    assert_eq!(answer[1].body, b"E");
    let aborted = "current transaction is aborted, commands ignored until end of transaction block";
    assert_eq!(error(&execute(&mut client)), ("25P02", aborted));
    client.run("rollback");
    // It does not go away by itself, nor does it on a direct connection.
    assert_eq!(error(&execute(&mut client)), RESULT_TYPE);

    assert_eq!(prepare_anew(&mut client), ["n", "m"]);
    for _ in 0..3 {
        assert_eq!(rows(&execute(&mut client)), [["1", "7"]]);
    }
    busy.run("commit");
    for _ in 0..3 {
        assert_eq!(rows(&execute(&mut client)), [["1", "7"]]);
    }
}

#[test]
fn preparing_anew_helps_where_it_was_prepared() {
    let table = Table::of_one_connection();
    let (mut client, mut other) = (table.client(), table.client());
    assert_eq!(prepare(&mut client), ["n"]);
    assert_eq!(prepare(&mut other), ["n"]);
    table.database.psql("alter table t add m int default 7");
    assert_eq!(error(&execute(&mut client)), RESULT_TYPE);
    assert_eq!(prepare_anew(&mut client), ["n", "m"]);
    assert_eq!(rows(&execute(&mut client)), [["1", "7"]]);
    // Each client was told for itself.
    assert_eq!(error(&execute(&mut other)), RESULT_TYPE);
    assert_eq!(rows(&execute(&mut client)), [["1", "7"]]);
    assert_eq!(prepare_anew(&mut other), ["n", "m"]);
    assert_eq!(rows(&execute(&mut other)), [["1", "7"]]);
}

#[test]
fn who_asks_with_each_execution_gets_what_is_there() {
    let table = Table::new();
    let (mut client, mut busy) = (table.client(), table.client());
    client.send(&[message::parse("s", "select * from t"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "1Z");
    let first = client.backend();
    table.database.psql("alter table t add m int default 7");
    busy.run("begin");
    assert_eq!(busy.backend(), first);
    for _ in 0..2 {
        let portal = [message::bind("", "s", &[]), message::describe(b'P', ""), message::execute("", 0)];
        client.send(&[portal.concat(), message::sync()].concat());
        let answer = client.read_until_ready();
        assert_eq!(tags(&answer), "2TDCZ");
        assert_eq!(answer[1].column_names(), ["n", "m"]);
        assert_eq!(rows(&answer), [["1", "7"]]);
    }
}

#[test]
fn who_comes_after_the_change_does_not_notice() {
    let table = Table::of_one_connection();
    let (mut early, mut late) = (table.client(), table.client());
    assert_eq!(prepare(&mut early), ["n"]);
    table.database.psql("alter table t add m int default 7");
    // What the server connection has under this text is out of date, and nobody knows.
    assert_eq!(prepare(&mut late), ["n", "m"]);
    assert_eq!(rows(&execute(&mut late)), [["1", "7"]]);
    assert_eq!(error(&execute(&mut early)), RESULT_TYPE);
}

/// What comes after Parse and Sync, and the first of them, in a batch of its own or in one with the Parse.
fn first_uses() -> [Vec<u8>; 5] {
    let (bind, execute) = (message::bind("", "s", &[]), message::execute("", 0));
    let (statement, portal) = (message::describe(b'S', "s"), message::describe(b'P', ""));
    [
        [&bind[..], &execute].concat(),
        [&bind[..], &portal, &execute].concat(),
        [&statement[..], &bind, &execute].concat(),
        [&statement[..], &bind, &portal, &execute].concat(),
        [&bind[..], &execute, &message::flush()].concat(),
    ]
}

#[test]
fn whatever_who_comes_after_the_change_begins_with() {
    for (number, first_use) in first_uses().into_iter().enumerate() {
        for together in [false, true] {
            let table = Table::of_one_connection();
            let (mut early, mut late) = (table.client(), table.client());
            assert_eq!(prepare(&mut early), ["n"]);
            table.database.psql("alter table t add m int default 7");
            let mut sent = message::parse("s", "select * from t");
            if !together {
                sent.extend(message::sync());
                late.send(&std::mem::take(&mut sent));
                assert_eq!(tags(&late.read_until_ready()), "1Z");
            }
            late.send(&[sent, first_use.clone(), message::sync()].concat());
            let answer = late.read_until_ready();
            assert_eq!(rows(&answer), [["1", "7"]], "{number} {together} {}", tags(&answer));
            assert_eq!(rows(&execute(&mut late)), [["1", "7"]]);
            assert_eq!(error(&execute(&mut early)), RESULT_TYPE);
        }
    }
}

#[test]
fn who_comes_after_the_change_does_not_notice_on_another_server_connection() {
    for portal_described in [false, true] {
        let table = Table::new();
        let (mut early, mut late, mut busy) = (table.client(), table.client(), table.client());
        assert_eq!(prepare(&mut early), ["n"]);
        let first = early.backend();
        table.database.psql("alter table t add m int default 7");
        busy.run("begin");
        assert_eq!(busy.backend(), first);
        assert_eq!(prepare(&mut late), ["n", "m"]);
        assert_ne!(late.backend(), first);
        late.run("begin");
        busy.run("commit");
        // Now the other one is taken; what is prepared on this one is out of date.
        let mut later = table.client();
        later.send(&[message::parse("s", "select * from t"), message::sync()].concat());
        assert_eq!(tags(&later.read_until_ready()), "1Z");
        let portal = if portal_described { message::describe(b'P', "") } else { Vec::new() };
        let uses = [message::bind("", "s", &[]), portal, message::execute("", 0), message::sync()].concat();
        later.send(&uses);
        assert_eq!(rows(&later.read_until_ready()), [["1", "7"]]);
        assert_eq!(later.backend(), first);
        late.run("rollback");
    }
}

/// What somebody was told on one server connection is asked for on another, where it is out of date.
#[test]
fn a_question_of_howdahs_own_may_meet_what_is_out_of_date() {
    for in_block in [false, true] {
        let table = Table::new();
        let (mut early, mut late, mut busy) = (table.client(), table.client(), table.client());
        // Nobody has asked there what it looks like.
        early.send(&[message::parse("s", "select * from t"), message::sync()].concat());
        assert_eq!(tags(&early.read_until_ready()), "1Z");
        let first = early.backend();
        table.database.psql("alter table t add m int default 7");
        busy.run("begin");
        assert_eq!(busy.backend(), first);
        assert_eq!(prepare(&mut late), ["n", "m"]);
        assert_eq!(rows(&execute(&mut late)), [["1", "7"]]);
        late.backend();
        let mut other = table.client();
        other.run("begin");
        busy.run("commit");
        if in_block {
            late.run("begin");
        }
        assert_eq!(rows(&execute(&mut late)), [["1", "7"]]);
        assert_eq!(late.backend(), first);
    }
}

#[test]
fn ones_own_statement_is_out_of_date_as_on_a_direct_connection() {
    for first_use in first_uses() {
        let table = Table::of_one_connection();
        for mut client in [table.database.direct(), table.client()] {
            let parse = message::parse("s", "select * from t");
            client.send(&[parse, message::sync()].concat());
            assert_eq!(tags(&client.read_until_ready()), "1Z");
            table.database.psql("alter table t add m int default 7");
            client.send(&[&first_use[..], &message::sync()].concat());
            assert_eq!(error(&client.read_until_ready()), RESULT_TYPE);
            table.database.psql("alter table t drop m");
        }
    }
}

#[test]
fn what_others_prepared_by_sql_before_the_change_is_not_taken_for_what_is_prepared_now() {
    for prepare in ["prepare s as select * from t", "begin; prepare s as select * from t; commit"] {
        for by_protocol in [false, true] {
            let table = Table::new();
            let (mut early, mut late, mut busy) = (table.client(), table.client(), table.client());
            early.run(prepare);
            early.run("execute s");
            let first = early.backend();
            table.database.psql("alter table t add m int default 7");
            busy.run("begin");
            assert_eq!(busy.backend(), first);
            late.run(prepare);
            late.run("execute s");
            let mut other = table.client();
            other.run("begin");
            busy.run("commit");
            let answer = if by_protocol { execute(&mut late) } else { late.query("execute s") };
            assert_eq!(rows(&answer), [["1", "7"]], "{answer:?}");
            assert_eq!(late.backend(), first);
        }
    }
}

/// A change made through Howdah is seen, so that nobody who comes later gets what it made out of date.
#[test]
fn in_a_block_who_comes_after_a_change_through_howdah_does_not_notice() {
    for change in [
        "alter table t add m int default 7",
        "begin; alter table t add m int default 7; commit",
        "do $$ begin alter table t add m int default 7; end $$",
        "drop table t; create table t as select 1 as n, 7 as m",
    ] {
        let table = Table::of_one_connection();
        let (mut early, mut late) = (table.client(), table.client());
        assert_eq!(prepare(&mut early), ["n"]);
        early.run(change);
        late.run("begin");
        late.send(&[message::parse("s", "select * from t"), message::sync()].concat());
        assert_eq!(tags(&late.read_until_ready()), "1Z");
        assert_eq!(rows(&execute(&mut late)), [["1", "7"]], "{change}");
        late.run("commit");
        assert_eq!(error(&execute(&mut early)), RESULT_TYPE, "{change}");
    }
}

/// What is changed past Howdah is not seen, and a transaction cannot be begun again: but only once for each text, and
/// not at all where everything is asked.
#[test]
fn in_a_block_a_change_past_howdah_is_noticed_once() {
    for check in ["hinted", "always"] {
        let table = Table::with(&[("default_pool_size", "1"), ("session_state_check", check)]);
        let (mut early, mut late, mut later) = (table.client(), table.client(), table.client());
        assert_eq!(prepare(&mut early), ["n"]);
        table.database.psql("alter table t add m int default 7");
        for client in [&mut late, &mut later] {
            client.send(&[message::parse("s", "select * from t"), message::sync()].concat());
            assert_eq!(tags(&client.read_until_ready()), "1Z");
        }
        late.run("begin");
        if check == "hinted" {
            assert_eq!(error(&execute(&mut late)), RESULT_TYPE);
            late.run("rollback");
            late.run("begin");
        }
        assert_eq!(rows(&execute(&mut late)), [["1", "7"]]);
        late.run("commit");
        later.run("begin");
        assert_eq!(rows(&execute(&mut later)), [["1", "7"]]);
    }
}

#[test]
fn who_changes_the_table_prepares_for_what_it_is_then() {
    let table = Table::of_one_connection();
    let (mut early, mut late) = (table.client(), table.client());
    assert_eq!(prepare(&mut early), ["n"]);
    late.run("begin");
    late.run("alter table t add m int default 7");
    assert_eq!(prepare(&mut late), ["n", "m"]);
    assert_eq!(rows(&execute(&mut late)), [["1", "7"]]);
    late.run("rollback");
    assert_eq!(rows(&execute(&mut early)), [["1"]]);
    assert_eq!(error(&execute(&mut late)), RESULT_TYPE);
}

#[test]
fn a_table_that_looks_the_same_is_no_other() {
    let table = Table::new();
    let (mut client, mut busy) = (table.client(), table.client());
    assert_eq!(prepare(&mut client), ["n"]);
    table.database.psql(
        "drop table t; create table t (gone int, n int); alter table t drop gone; insert into t values (2)",
    );
    busy.run("begin");
    assert_eq!(rows(&execute(&mut client)), [["2"]]);
    busy.run("commit");
    assert_eq!(rows(&execute(&mut client)), [["2"]]);
    // It was another for a while.
    table.database.psql("alter table t add m int");
    busy.run("begin");
    assert_eq!(error(&execute(&mut client)), RESULT_TYPE);
    table.database.psql("alter table t drop m");
    assert_eq!(rows(&execute(&mut client)), [["2"]]);
    busy.run("commit");
    assert_eq!(rows(&execute(&mut client)), [["2"]]);
}

#[test]
fn values_of_other_types_are_never_taken_for_those_that_were_asked_for() {
    let table = Table::new();
    let (mut client, mut busy) = (table.client(), table.client());
    let insert = "insert into t values ($1)";
    client.send(&[message::parse("s", insert), message::describe(b'S', "s"), message::sync()].concat());
    assert_eq!(client.read_until_ready()[1].body, [0, 1, 0, 0, 0, 23]);
    let first = client.backend();
    table.database.psql("alter table t alter n type text");
    busy.run("begin");
    assert_eq!(busy.backend(), first);
    client.send(&[message::bind("", "s", &["5"]), message::execute("", 0), message::sync()].concat());
    assert_eq!(error(&client.read_until_ready()), RESULT_TYPE);
    assert_eq!(client.value("select count(*) from t"), "1");
}

/// A table `t` with one row of one column, and a pool of server connections that use it.
struct Table {
    database: Database,
    howdah: Howdah,
}

impl Table {
    fn new() -> Table {
        Table::with_pool("2")
    }

    fn of_one_connection() -> Table {
        Table::with_pool("1")
    }

    fn with_pool(size: &str) -> Table {
        Table::with(&[("default_pool_size", size)])
    }

    fn with(settings: &[(&str, &str)]) -> Table {
        let database = Database::create();
        database.psql("create table t as select 1 as n");
        let howdah = Howdah::before(&database, &[&[("pool_mode", "transaction")], settings].concat());
        Table { database, howdah }
    }

    fn client(&self) -> RawClient {
        self.howdah.client(&self.database)
    }
}

/// Prepares `select * from t` as `s`; the columns it is told.
#[track_caller]
fn prepare(client: &mut RawClient) -> Vec<String> {
    prepared(client, &[])
}

#[track_caller]
fn prepare_anew(client: &mut RawClient) -> Vec<String> {
    prepared(client, &message::close(b'S', "s"))
}

#[track_caller]
fn prepared(client: &mut RawClient, before: &[u8]) -> Vec<String> {
    let parse = message::parse("s", "select * from t");
    client.send(&[before, &parse, &message::describe(b'S', "s"), &message::sync()].concat());
    let answer = client.read_until_ready();
    assert!(tags(&answer).ends_with("1tTZ"), "{answer:?}");
    answer.iter().find(|message| message.tag == b'T').unwrap().column_names()
}

#[track_caller]
fn execute(client: &mut RawClient) -> Vec<Message> {
    client.send(&[message::bind("", "s", &[]), message::execute("", 0), message::sync()].concat());
    client.read_until_ready()
}

#[track_caller]
fn error(answer: &[Message]) -> (&'static str, &'static str) {
    let (code, text) = howdah_tests::only_error(answer);
    (code.leak(), text.leak())
}

#[track_caller]
fn rows(answer: &[Message]) -> Vec<Vec<String>> {
    let rows: Vec<_> = answer.iter().filter(|message| message.tag == b'D').map(Message::columns).collect();
    assert!(!rows.is_empty(), "{answer:?}");
    rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect()
}
