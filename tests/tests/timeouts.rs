//! What is ended because it took too long, and what the client is told.

use std::time::Duration;

use howdah_tests::fake_server::FakeServer;
use howdah_tests::{Database, Howdah, RawClient, eventually, message, only_error, tags};

#[test]
fn query_timeout_ends_the_query_on_the_server_too() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("query_timeout", "0.3")]);
    let mut client = howdah.client(&database);
    let backend = client.backend();
    client.send(&message::query("select pg_sleep(600)"));
    assert_eq!(only_error(&client.read_to_end()), told("57014", "query timeout"));
    eventually("the query has ended and its server connection is free", || {
        (howdah.pool(&database)?.number("sv_idle") == 1).then_some(())
    });
    assert_eq!(howdah.client(&database).backend(), backend);
}

#[test]
fn query_timeout_leaves_an_open_transaction_alone() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("query_timeout", "0.2")]);
    let (mut idle, mut judged) = (howdah.client(&database), howdah.client(&database));
    idle.run("begin");
    judged.send(&message::query("select pg_sleep(600)"));
    assert_eq!(only_error(&judged.read_to_end()).0, "57014");
    assert_eq!(tags(&idle.query("commit")), "CZ");
}

#[test]
fn idle_transaction_timeout_rolls_back_and_frees_the_lock() {
    let database = Database::create();
    database.psql("create table t as select 1 as n");
    let settings = [("pool_mode", "transaction"), ("idle_transaction_timeout", "0.3")];
    let howdah = Howdah::before(&database, &settings);
    let (mut sleeper, mut next) = (howdah.client(&database), howdah.client(&database));
    sleeper.run("begin");
    sleeper.run("update t set n = 2");
    assert_eq!(tags(&next.query("update t set n = n + 10")), "CZ", "waits for the lock, and gets it");
    assert_eq!(only_error(&sleeper.read_to_end()), told("25P03", "idle transaction timeout"));
    assert_eq!(next.value("select n from t"), "11");
}

#[test]
fn transaction_timeout_counts_busy_transactions() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("transaction_timeout", "0.4")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    client.run("begin");
    let said = loop {
        // Never idle for long, never long in one query.
        if client.try_send(&message::query("select pg_sleep(0.01)")).is_err() {
            break client.read_to_end();
        }
        let mut answer: Vec<_> = Vec::new();
        while let Some(message) = client.try_read().unwrap() {
            answer.push(message);
            if matches!(answer.last(), Some(last) if matches!(last.tag, b'Z' | b'E')) {
                break;
            }
        }
        if answer.last().is_none_or(|last| last.tag == b'E') {
            break answer;
        }
    };
    assert_eq!(only_error(&said), told("25P04", "transaction timeout"));
    // Outside a transaction nothing counts.
    let mut client = howdah.client(&database);
    client.run("select 1");
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

#[test]
fn client_idle_timeout_ends_who_asks_for_nothing() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("client_idle_timeout", "0.3")];
    let howdah = Howdah::before(&database, &settings);
    let (mut idle, mut in_transaction) = (howdah.client(&database), howdah.client(&database));
    in_transaction.run("begin");
    assert_eq!(only_error(&idle.read_to_end()), told("57P05", "client_idle_timeout"));
    assert_eq!(tags(&in_transaction.query("commit")), "CZ", "a transaction is not idle");
}

#[test]
fn pin_idle_timeout_ends_who_keeps_a_server_connection_and_asks_for_nothing() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "1"), ("pin_idle_timeout", "0.3")];
    let howdah = Howdah::before(&database, &settings);
    let (mut pinned, mut other) = (howdah.client(&database), howdah.client(&database));
    // Parsed and never bound, and too long to be carried to another server connection.
    let long = format!("select '{}'", "x".repeat(70_000));
    pinned.send(&[message::parse("", &long), message::sync()].concat());
    assert_eq!(tags(&pinned.read_until_ready()), "1Z");
    other.send(&message::query("select 1"));
    let reason = "pin_idle_timeout: unnamed prepared statement";
    assert_eq!(only_error(&pinned.read_to_end()), told("57P05", reason));
    assert_eq!(tags(&other.read_until_ready()), "TDCZ");
    howdah.wait_for_log(reason);
}

#[test]
fn client_login_timeout_ends_who_does_not_log_in() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("client_login_timeout", "0.3")]);
    let mut silent = howdah.raw();
    let mut slow = howdah.raw();
    slow.send(&message::startup(&[("user", "postgres")])[..9]);
    for client in [&mut silent, &mut slow] {
        assert_eq!(only_error(&client.read_to_end()), told("08P01", "client_login_timeout"));
    }
}

#[test]
fn server_idle_timeout_closes_what_nobody_uses() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("server_idle_timeout", "0.2")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    let backend = client.backend();
    eventually("it is closed", || (howdah.pool(&database)?.number("sv_idle") == 0).then_some(()));
    gone(&database, &backend);
    assert_ne!(client.backend(), backend);
}

#[test]
fn server_lifetime_closes_what_is_old_but_not_while_it_is_used() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("server_lifetime", "0.3")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    client.run("begin");
    let backend = client.backend();
    client.run("select pg_sleep(0.5)");
    assert_eq!(client.backend(), backend, "not within a transaction");
    client.run("commit");
    gone(&database, &backend);
    assert_ne!(client.backend(), backend);
}

#[test]
fn server_lifetime_of_zero_uses_each_server_connection_once() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("server_lifetime", "0")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    let (one, two) = (client.backend(), client.backend());
    assert_ne!(one, two);
    gone(&database, &one);
    gone(&database, &two);
}

#[test]
fn an_idle_server_connection_is_checked_before_it_is_used_again() {
    let server = FakeServer::start(|mut connection, number| {
        connection.welcome();
        while let Some(query) = connection.next_query() {
            if query == "select 'alive'" && number == 0 {
                // It has died without anybody noticing.
                return;
            }
            connection.send(&howdah_tests::fake_server::echo_of(&format!("{number}: {query}")));
        }
    });
    let settings =
        [("pool_mode", "transaction"), ("server_check_delay", "0"), ("server_check_query", "select 'alive'")];
    let howdah = fake_howdah(&server, &settings);
    let mut client = howdah.raw();
    client.login("fake", "postgres");
    assert_eq!(
        client.value("select 1"),
        "1: select 1",
        "the first was found dead, and the client saw nothing"
    );
    assert_eq!(client.value("select 2"), "1: select 2");
}

#[test]
fn a_server_that_hangs_at_login_is_given_up() {
    let server = FakeServer::start(|mut connection, _| connection.wait_for_end());
    let howdah = fake_howdah(&server, &[("server_connect_timeout", "0.3")]);
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres"), ("database", "fake")]));
    let (sqlstate, text) = only_error(&client.read_to_end());
    assert_eq!(sqlstate, "08001");
    assert!(text.contains("server_connect_timeout"), "{text}");
}

#[test]
fn a_server_that_does_not_answer_the_check_is_given_up() {
    let server = FakeServer::start(|mut connection, number| {
        connection.welcome();
        if number == 0 {
            connection.wait_for_end();
        }
        connection.echo();
    });
    let settings = [
        ("pool_mode", "transaction"),
        ("server_check_delay", "0"),
        ("server_check_query", "select 'alive'"),
        ("server_connect_timeout", "0.3"),
    ];
    let howdah = fake_howdah(&server, &settings);
    let mut client = howdah.raw();
    client.login("fake", "postgres");
    assert_eq!(client.value("select 1"), "select 1");
    assert_eq!(server.connections(), 2);
}

#[test]
fn a_user_may_have_timeouts_of_its_own() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .setting("pool_mode", "transaction")
        .setting("query_timeout", "600")
        .user("postgres", "query_timeout=0.3")
        .database(database.name(), &database.server())
        .start();
    let mut client = howdah.client(&database);
    client.set_timeout(Duration::from_secs(10));
    client.send(&message::query("select pg_sleep(600)"));
    assert_eq!(only_error(&client.read_to_end()).1, "query timeout");
}

fn fake_howdah(server: &FakeServer, settings: &[(&str, &str)]) -> Howdah {
    let builder = Howdah::builder().database("fake", &server.entry());
    settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start()
}

/// Waits until this backend has ended.
fn gone(database: &Database, backend: &str) {
    let mut direct: RawClient = database.direct();
    eventually("the backend has ended", || {
        let left = direct.value(&format!("select count(*) from pg_stat_activity where pid = {backend}"));
        (left == "0").then_some(())
    });
}

fn told(sqlstate: &str, text: &str) -> (String, String) {
    (sqlstate.to_owned(), text.to_owned())
}
