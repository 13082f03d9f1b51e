//! COPY both ways, as a client of PostgreSQL itself sees it.

use howdah_tests::{Database, Howdah, Message, message, only_error, tags};

const POOL_OF_ONE: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "1")];

#[test]
fn copy_in_takes_rows_and_gives_the_server_connection_back() {
    let (database, howdah) = with_table();
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    let backend = one.backend();
    one.send(&message::query("copy t from stdin"));
    one.expect(b'G');
    for n in 0..1000 {
        one.send(&message::copy_data(format!("{n}\n").as_bytes()));
    }
    one.send(&message::copy_done());
    let answer = one.read_until_ready();
    assert_eq!(answer.first().map(Message::first_string).as_deref(), Some("COPY 1000"));
    assert_eq!((two.backend(), two.value("select sum(n) from t")), (backend, "499500".to_owned()));
}

/// What a name means is not known before the COPY has ended, and that waits for the client.
#[test]
fn copy_in_that_is_disturbed_by_a_name_holds_nobody_up() {
    let (database, howdah) = with_table();
    let mut next = howdah.client(&database);
    for (copy, disturbance) in [
        ("do $$ begin end $$; copy t from stdin", "execute b"),
        ("copy t from stdin", "deallocate b"),
        ("copy t from stdin", "do $$ begin end $$"),
    ] {
        let mut client = howdah.client(&database);
        client.run("prepare b as select 'b'");
        next.run("do $$ begin end $$; deallocate all");
        client.send(&[message::query(copy), message::query(disturbance)].concat());
        while client.read().tag != b'G' {}
        // PostgreSQL ends the connection, and so does Howdah.
        let end = client.read_to_end();
        assert!(only_error(&end[..1]).0.starts_with("08"), "{copy}, {disturbance}: {end:?}");
        assert_eq!(next.value("select count(*) from t"), "0");
    }
}

#[test]
fn copy_in_that_the_client_fails_leaves_nothing() {
    let (database, howdah) = with_table();
    let mut client = howdah.client(&database);
    client.send(&message::query("copy t from stdin"));
    client.expect(b'G');
    client.send(&[message::copy_data(b"1\n"), message::copy_fail("changed my mind")].concat());
    let (sqlstate, text) = only_error(&client.read_until_ready());
    assert_eq!(sqlstate, "57014");
    assert!(text.contains("changed my mind"), "{text}");
    assert_eq!(client.value("select count(*) from t"), "0");
}

#[test]
fn copy_in_that_the_server_fails_swallows_what_is_still_sent() {
    let (database, howdah) = with_table();
    let (mut client, mut next) = (howdah.client(&database), howdah.client(&database));
    client.send(&message::query("copy t from stdin"));
    client.expect(b'G');
    client.send(&message::copy_data(b"1\nnot a number\n"));
    let answer = client.read_until_ready();
    assert_eq!(only_error(&answer).0, "22P02");
    // The client may not have seen the error yet. Nothing of this may reach whoever has the backend now.
    next.run("begin");
    client.send(&[message::copy_data(b"2\n"), message::copy_data(b"3\n"), message::copy_done()].concat());
    next.run("commit");
    assert_eq!(client.value("select count(*) from t"), "0");
}

#[test]
fn copy_out_gives_all_rows_and_an_error_ends_it() {
    let (database, howdah) = with_table();
    let (mut client, mut next) = (howdah.client(&database), howdah.client(&database));
    let answer = client.query("copy (select generate_series(1, 100000)) to stdout");
    assert_eq!(answer.iter().filter(|m| m.tag == b'd').count(), 100_000);
    let answer = client.query("copy (select 1 / (50 - n) from generate_series(1, 100) n) to stdout");
    assert_eq!(only_error(&answer).0, "22012");
    assert_eq!(next.value("select 1"), "1");
}

#[test]
fn copy_of_the_extended_protocol_ignores_syncs_sent_too_early() {
    let (database, howdah) = with_table();
    let (mut client, mut next) = (howdah.client(&database), howdah.client(&database));
    let batch =
        [message::parse("", "copy t from stdin"), message::bind("", "", &[]), message::execute("", 0)];
    client.send(&[batch.concat(), message::sync()].concat());
    assert_eq!(tags(&[client.read(), client.read(), client.read()]), "12G");
    client.send(&[message::copy_data(b"1\n2\n"), message::copy_done(), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "CZ");
    assert_eq!(next.value("select count(*) from t"), "2");
    assert_eq!(client.value("select count(*) from t"), "2");
}

#[test]
fn several_copies_in_one_query() {
    let (database, howdah) = with_table();
    let mut client = howdah.client(&database);
    client.send(&message::query("copy t from stdin; select 1; copy t from stdin; copy t to stdout"));
    client.expect(b'G');
    client.send(&[message::copy_data(b"1\n"), message::copy_done()].concat());
    assert_eq!(tags(&[client.read(), client.read(), client.read(), client.read(), client.read()]), "CTDCG");
    client.send(&[message::copy_data(b"2\n"), message::copy_done()].concat());
    assert_eq!(tags(&client.read_until_ready()), "CHddcCZ");
}

#[test]
fn copy_messages_without_a_copy_are_ignored() {
    let (database, howdah) = with_table();
    let mut client = howdah.client(&database);
    client.send(&[message::copy_data(b"x"), message::copy_done(), message::copy_fail("why")].concat());
    client.send(&[message::flush(), message::sync()].concat());
    assert_eq!(client.expect_ready(), b'I', "a lone Sync is answered");
    client.run("begin");
    client.send(&[message::copy_data(b"x"), message::copy_done()].concat());
    assert_eq!(tags(&client.query("commit")), "CZ");
}

#[test]
fn a_large_copy_goes_both_ways() {
    let (database, howdah) = with_table();
    let mut client = howdah.client(&database);
    client.run("create table wide (line text)");
    client.send(&message::query("copy wide from stdin"));
    client.expect(b'G');
    let line = format!("{}\n", "y".repeat(99_999));
    for _ in 0..100 {
        client.send(&message::copy_data(line.as_bytes()));
    }
    client.send(&message::copy_done());
    assert_eq!(tags(&client.read_until_ready()), "CZ");
    let answer = client.query("copy wide to stdout");
    assert_eq!(answer.iter().filter(|m| m.tag == b'd').map(|m| m.body.len()).sum::<usize>(), 10_000_000);
}

fn with_table() -> (Database, Howdah) {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    (database, howdah)
}
