//! Which server connection serves what: session, transaction and statement mode.

use howdah_tests::{Database, Howdah, eventually, message, only_error, tags};

#[test]
fn session_mode_keeps_a_server_connection_as_long_as_the_client_stays() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "session")]);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    let (first, second) = (one.backend(), two.backend());
    assert_ne!(first, second);
    one.run("set work_mem = '7MB'");
    for _ in 0..3 {
        assert_eq!((one.backend(), two.backend()), (first.clone(), second.clone()));
    }
    assert_eq!(one.value("show work_mem"), "7MB");
}

#[test]
fn session_mode_cleans_a_server_connection_for_the_next_client() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "session"), ("default_pool_size", "1")]);
    let mut first = howdah.client(&database);
    let backend = first.backend();
    first.run("set work_mem = '7MB'");
    first.run("create temp table scratch (n int)");
    first.run("prepare mine as select 1");
    first.run("listen news");
    first.run("select pg_advisory_lock(1)");
    first.send(&message::terminate());
    let mut second = howdah.client(&database);
    assert_eq!(second.backend(), backend);
    assert_ne!(second.value("show work_mem"), "7MB");
    assert_eq!(second.run("select to_regclass('scratch')"), [""]);
    assert_eq!(second.value("select count(*) from pg_prepared_statements"), "0");
    assert_eq!(second.value("select count(*) from pg_listening_channels()"), "0");
    assert_eq!(second.value("select count(*) from pg_locks where locktype = 'advisory'"), "0");
}

#[test]
fn session_mode_runs_the_reset_query_that_is_set() {
    let database = Database::create();
    database.psql("create table left_behind (n int)");
    let reset = "insert into left_behind values (1)";
    let howdah = Howdah::before(&database, &[("pool_mode", "session"), ("server_reset_query", reset)]);
    let mut client = howdah.client(&database);
    client.run("set work_mem = '7MB'");
    client.run("select 1");
    assert_eq!(database.psql("select count(*) from left_behind"), "0", "only when the client has left");
    client.send(&message::terminate());
    eventually("the reset query has run", || {
        (database.psql("select count(*) from left_behind") == "1").then_some(())
    });
}

#[test]
fn a_reset_query_that_fails_costs_the_server_connection() {
    let database = Database::create();
    let settings =
        [("pool_mode", "session"), ("default_pool_size", "1"), ("server_reset_query", "select 1/0")];
    let howdah = Howdah::before(&database, &settings);
    let mut first = howdah.client(&database);
    let backend = first.backend();
    first.send(&message::terminate());
    let mut second = howdah.client(&database);
    assert_ne!(second.backend(), backend);
}

#[test]
fn transaction_mode_takes_turns_on_one_server_connection() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    let backend = one.backend();
    assert_eq!(two.backend(), backend);
    one.run("begin");
    two.send(&message::query("select pg_backend_pid()"));
    eventually("the second client waits", || {
        (howdah.pool(&database)?.number("cl_waiting") == 1).then_some(())
    });
    one.run("select 1");
    one.run("commit");
    let answer = two.read_until_ready();
    assert_eq!(tags(&answer), "TDCZ");
    assert_eq!(one.backend(), backend);
}

#[test]
fn transaction_mode_keeps_the_server_connection_in_a_failed_transaction() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    one.run("begin");
    assert_eq!(only_error(&one.query("select 1/0")).0, "22012");
    two.send(&message::query("select 2"));
    eventually("the second client waits", || {
        (howdah.pool(&database)?.number("cl_waiting") == 1).then_some(())
    });
    assert_eq!(only_error(&one.query("select 1")).0, "25P02");
    one.run("rollback");
    assert_eq!(tags(&two.read_until_ready()), "TDCZ");
}

#[test]
fn transaction_mode_runs_no_reset_query_unless_always() {
    let database = Database::create();
    database.psql("create sequence resets");
    for (always, expected) in [("0", "f"), ("1", "t")] {
        let settings = [
            ("pool_mode", "transaction"),
            ("default_pool_size", "1"),
            ("server_reset_query", "select nextval('resets')"),
            ("server_reset_query_always", always),
        ];
        let howdah = Howdah::before(&database, &settings);
        let mut one = howdah.client(&database);
        one.run("set work_mem = '7MB'");
        let mut two = howdah.client(&database);
        assert_eq!(two.value("show work_mem"), "4MB", "it follows its own client, and no other");
        assert_eq!(
            two.value("select is_called from resets"),
            expected,
            "server_reset_query_always = {always}"
        );
    }
}

#[test]
fn statement_mode_refuses_transaction_blocks() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let howdah = Howdah::before(&database, &[("pool_mode", "statement")]);
    let mut client = howdah.client(&database);
    assert_eq!(client.value("select 1"), "1");
    for begin in ["begin", "begin; insert into t values (1)", "/* hidden */ start transaction"] {
        let mut client = howdah.client(&database);
        client.send(&message::query(begin));
        let answer = client.read_to_end();
        let (_, text) = only_error(&answer);
        assert_eq!(text, "transaction blocks not allowed in statement pooling mode", "{begin}");
    }
    assert_eq!(client.value("select count(*) from t"), "0", "nothing of a refused block is left");
}

#[test]
fn statement_mode_allows_several_statements_in_one_message() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "statement"), ("default_pool_size", "1")]);
    let mut client = howdah.client(&database);
    assert_eq!(tags(&client.query("select 1; select 2")), "TDCTDCZ");
    assert_eq!(tags(&client.query("begin; select 1; commit")), "CTDCCZ");
}

#[test]
fn the_server_connection_last_used_is_used_next() {
    let database = Database::create();
    for (round_robin, expected) in [("0", 1), ("1", 3)] {
        let settings = [("pool_mode", "transaction"), ("server_round_robin", round_robin)];
        let howdah = Howdah::before(&database, &settings);
        let mut clients = [howdah.client(&database), howdah.client(&database), howdah.client(&database)];
        for client in &mut clients {
            client.run("begin");
        }
        for client in &mut clients {
            client.run("commit");
        }
        eventually("three idle server connections", || {
            (howdah.pool(&database)?.number("sv_idle") == 3).then_some(())
        });
        let mut backends: Vec<_> = (0..6).map(|_| clients[0].backend()).collect();
        backends.sort();
        backends.dedup();
        assert_eq!(backends.len(), expected, "server_round_robin = {round_robin}");
    }
}

#[test]
fn a_database_and_a_user_may_have_a_mode_of_their_own() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .setting("pool_mode", "session")
        .database(database.name(), &format!("{} pool_mode=statement", database.server()))
        .database("plain", &database.server())
        .start();
    let mut client = howdah.client(&database);
    client.send(&message::query("begin"));
    assert!(only_error(&client.read_to_end()).1.contains("statement pooling mode"));
    let mut client = howdah.raw();
    client.login("plain", "postgres");
    assert_eq!(tags(&client.query("begin")), "CZ");
}
