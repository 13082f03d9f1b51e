//! Prepared statements of the protocol follow their client, whichever server connection serves it.

use howdah_tests::{Database, Howdah, Message, RawClient, message, only_error, tags};

const POOL_OF_ONE: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "1")];

#[test]
fn two_clients_use_one_name_on_one_server_connection() {
    for mode in ["transaction", "statement"] {
        let database = Database::create();
        let howdah = Howdah::before(&database, &[("pool_mode", mode), ("default_pool_size", "1")]);
        let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
        prepare(&mut one, "s", "select 'of one'");
        prepare(&mut two, "s", "select 'of two'");
        for _ in 0..3 {
            assert_eq!((run(&mut one, "s"), run(&mut two, "s")), ("of one".to_owned(), "of two".to_owned()));
        }
        assert_eq!(one.backend(), two.backend());
    }
}

#[test]
fn a_statement_is_there_on_every_server_connection() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "3")]);
    let mut client = howdah.client(&database);
    prepare(&mut client, "who", "select pg_backend_pid()");
    let mut others: Vec<_> = (0..3).map(|_| howdah.client(&database)).collect();
    let mut seen = Vec::new();
    for free in 0..3 {
        // All but one of the three are busy.
        for (number, other) in others.iter_mut().enumerate().filter(|(number, _)| *number != free) {
            other.run(&format!("begin; select {number}"));
        }
        seen.push(run(&mut client, "who"));
        for (_, other) in others.iter_mut().enumerate().filter(|(number, _)| *number != free) {
            other.run("commit");
        }
        client.run("begin");
        others[0].run("begin");
        seen.push(run(&mut client, "who"));
        client.run("commit");
        others[0].run("commit");
    }
    seen.sort();
    seen.dedup();
    assert!(seen.len() > 1, "it always ran on {seen:?}");
}

#[test]
fn what_was_evicted_comes_back_when_it_is_needed() {
    let database = Database::create();
    let settings =
        [("pool_mode", "transaction"), ("default_pool_size", "1"), ("max_prepared_statements", "2")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    for n in 0..5 {
        prepare(&mut client, &format!("s{n}"), &format!("select {n}"));
    }
    for n in [0, 4, 2, 2, 1, 3, 0] {
        assert_eq!(run(&mut client, &format!("s{n}")), n.to_string());
    }
    let servers = howdah.show("servers");
    assert_eq!(servers.iter().map(|server| server.get("prepared_statements")).collect::<Vec<_>>(), ["2"]);
}

#[test]
fn eviction_within_one_pipeline() {
    let database = Database::create();
    let settings =
        [("pool_mode", "transaction"), ("default_pool_size", "1"), ("max_prepared_statements", "2")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    let mut pipeline = Vec::new();
    for n in 0..20 {
        pipeline.extend(message::parse(&format!("s{n}"), &format!("select {n}")));
    }
    for n in 0..20 {
        pipeline.extend([message::bind("", &format!("s{n}"), &[]), message::execute("", 0)].concat());
    }
    client.send(&[pipeline, message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(tags(&answer), format!("{}{}Z", "1".repeat(20), "2DC".repeat(20)));
    let rows: Vec<_> = answer.iter().filter(|m| m.tag == b'D').map(Message::columns).collect();
    assert_eq!(rows, (0..20).map(|n| vec![Some(n.to_string())]).collect::<Vec<_>>());
}

#[test]
fn an_error_leaves_no_statement_behind_it() {
    let (database, howdah) = pool_of_one();
    let mut client = howdah.client(&database);
    client.send(&[message::parse("good", "select 1"), message::parse("bad", "selekt")].concat());
    client.send(&[message::parse("skipped", "select 3"), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!((tags(&answer).as_str(), only_error(&answer).0.as_str()), ("1EZ", "42601"));
    assert_eq!(run(&mut client, "good"), "1");
    for name in ["bad", "skipped"] {
        assert_eq!(missing(&mut client, name), format!("prepared statement \"{name}\" does not exist"));
        // The name is free.
        prepare(&mut client, name, &format!("select 'now {name}'"));
        assert_eq!(run(&mut client, name), format!("now {name}"));
    }
}

#[test]
fn an_error_before_the_statement_is_used_on_another_server_connection() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "2")]);
    let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
    prepare(&mut client, "s", "select pg_backend_pid()");
    let first = run(&mut client, "s");
    other.run("begin");
    let busy = other.backend();
    let second = run(&mut client, "s");
    assert!(busy == first && second != first, "the other client should have taken the first backend");
    // Here the statement is not there yet, and the batch fails before it could be brought.
    client.run("begin");
    client.send(&[message::parse("", "selekt"), message::bind("", "s", &[]), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "EZ");
    client.run("rollback");
    other.run("commit");
    assert!([first, second].contains(&run(&mut client, "s")));
}

#[test]
fn a_name_in_use_is_refused_under_the_clients_own_name() {
    let (database, howdah) = pool_of_one();
    let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
    prepare(&mut other, "mine", "select 'other'");
    prepare(&mut client, "mine", "select 1");
    client.send(&[message::parse("mine", "select 2"), message::sync()].concat());
    let (sqlstate, text) = only_error(&client.read_until_ready());
    assert_eq!((&*sqlstate, &*text), ("42P05", "prepared statement \"mine\" already exists"));
    assert_eq!(run(&mut client, "mine"), "1");
    client
        .send(&[message::close(b'S', "mine"), message::parse("mine", "select 2"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "31Z");
    assert_eq!((run(&mut client, "mine"), run(&mut other, "mine")), ("2".to_owned(), "other".to_owned()));
}

#[test]
fn deallocate_all_and_discard_all_forget_them() {
    let (database, howdah) = pool_of_one();
    for forget in ["deallocate all", "discard all", "DEALLOCATE PREPARE ALL", "/* */ discard all;"] {
        for extended in [false, true] {
            let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
            prepare(&mut client, "s", "select 'client'");
            prepare(&mut other, "s", "select 'other'");
            assert_eq!(run(&mut client, "s"), "client");
            if extended {
                client.send(&batch(forget));
                assert_eq!(tags(&client.read_until_ready()), "12CZ", "{forget}");
            } else {
                assert_eq!(tags(&client.query(forget)), "CZ", "{forget}");
            }
            assert!(missing(&mut client, "s").contains("\"s\" does not exist"));
            assert_eq!(run(&mut other, "s"), "other", "after {forget}: nobody else is concerned");
            prepare(&mut client, "s", "select 'again'");
            assert_eq!(run(&mut client, "s"), "again");
        }
    }
}

#[test]
fn the_unnamed_statement_survives_until_its_client_replaces_it() {
    let (database, howdah) = pool_of_one();
    let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
    client.send(&[message::parse("", "select 'mine'"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "1Z");
    // Another client may come to this server connection, or wait: what it parses must not become ours.
    other.send(&batch("select 'theirs'"));
    client.send(&[message::bind("", "", &[]), message::execute("", 0), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(answer.iter().find(|m| m.tag == b'D').unwrap().columns(), [Some("mine".to_owned())]);
    client.run("select 1");
    let answer = other.read_until_ready();
    assert_eq!(answer.iter().find(|m| m.tag == b'D').unwrap().columns(), [Some("theirs".to_owned())]);
}

#[test]
fn a_statement_is_described_with_its_parameters() {
    let (database, howdah) = pool_of_one();
    let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
    prepare(&mut client, "s", "select $1::int + 1, $2::text");
    other.run("discard all");
    client.send(&[message::describe(b'S', "s"), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(tags(&answer), "tTZ");
    assert_eq!(answer[0].body, [0, 2, 0, 0, 0, 23, 0, 0, 0, 25]);
    client.send(&[message::bind("", "s", &["41", "x"]), message::execute("", 0), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(answer[1].columns(), [Some("42".to_owned()), Some("x".to_owned())]);
}

#[test]
fn errors_name_the_statement_as_the_client_does() {
    let (database, howdah) = pool_of_one();
    let mut client = howdah.client(&database);
    prepare(&mut client, "needy", "select $1::int");
    client.send(&[message::bind("", "needy", &[]), message::sync()].concat());
    let (sqlstate, text) = only_error(&client.read_until_ready());
    assert_eq!(sqlstate, "08P01");
    assert!(text.contains("prepared statement \"needy\" requires 1"), "{text}");
}

#[test]
fn a_statement_that_went_with_its_server_connection_comes_back() {
    let (database, howdah) = pool_of_one();
    let mut client = howdah.client(&database);
    prepare(&mut client, "s", "select 'still'");
    assert_eq!(run(&mut client, "s"), "still");
    let before = client.backend();
    let mut console = RawClient::unix(&howdah.socket_path());
    console.login("pgbouncer", "postgres");
    console.run("RECONNECT");
    assert_eq!(run(&mut client, "s"), "still");
    assert_ne!(client.backend(), before);
}

#[test]
fn session_mode_leaves_names_to_the_server() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "session")]);
    let mut client = howdah.client(&database);
    prepare(&mut client, "s", "select 5");
    assert_eq!(client.value("select name from pg_prepared_statements"), "s");
    client.run("prepare p as select 6");
    assert_eq!((run(&mut client, "s"), run(&mut client, "p")), ("5".to_owned(), "6".to_owned()));
}

fn pool_of_one() -> (Database, Howdah) {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    (database, howdah)
}

#[track_caller]
fn prepare(client: &mut RawClient, name: &str, sql: &str) {
    client.send(&[message::parse(name, sql), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(tags(&answer), "1Z", "{answer:?}");
}

/// The first value of a prepared statement without parameters.
#[track_caller]
fn run(client: &mut RawClient, name: &str) -> String {
    client.send(&[message::bind("", name, &[]), message::execute("", 0), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(tags(&answer), "2DCZ", "{answer:?}");
    answer[1].columns().remove(0).unwrap()
}

/// What is said of a statement that is not there.
#[track_caller]
fn missing(client: &mut RawClient, name: &str) -> String {
    client.send(&[message::bind("", name, &[]), message::sync()].concat());
    let (sqlstate, text) = only_error(&client.read_until_ready());
    assert_eq!(sqlstate, "26000");
    text
}

fn batch(sql: &str) -> Vec<u8> {
    [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0), message::sync()].concat()
}
