//! What an operator orders on the console: PAUSE, RESUME, DISABLE, ENABLE, RECONNECT, KILL, SET, SHUTDOWN.

use std::thread;

use howdah_tests::{Database, Howdah, Row, eventually, message, only_error, psql};

#[test]
fn pause_waits_for_transactions_holds_queries_and_resume_lets_them_go() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let (mut busy, mut late) = (howdah.client(&database), howdah.client(&database));
    busy.run("begin");
    let conninfo = howdah.conninfo("pgbouncer", "postgres");
    let pause = thread::spawn(move || psql(&conninfo, "PAUSE"));
    eventually("it is pausing", || {
        (howdah.shown("STATE", "key", "paused").get("value") == "yes").then_some(())
    });
    late.send(&message::query("select 'at last'"));
    eventually("the query is held", || (pool_of(&howdah, &database).number("cl_waiting") == 1).then_some(()));
    assert_eq!(busy.value("select 1"), "1", "the open transaction goes on");
    assert!(!pause.is_finished());
    busy.run("commit");
    pause.join().unwrap().unwrap();
    eventually("all backends have left", || (database.backends() == 0).then_some(()));
    assert_eq!(pool_of(&howdah, &database).number("cl_waiting"), 1);
    assert!(howdah.psql("pgbouncer", "PAUSE").unwrap_err().contains("already suspended/paused"));
    howdah.console("RESUME");
    let answer = late.read_until_ready();
    assert_eq!(answer[1].columns(), [Some("at last".to_owned())]);
    assert!(howdah.psql("pgbouncer", "RESUME").unwrap_err().contains("not paused"));
}

#[test]
fn pause_of_one_database_leaves_the_others_alone() {
    let (one_of_two, other) = (Database::create(), Database::create());
    let howdah = Howdah::builder()
        .database("one", &one_of_two.server())
        .database("other", &other.server())
        .setting("pool_mode", "transaction")
        .start();
    let mut held = howdah.raw();
    held.login("one", "postgres");
    howdah.console("PAUSE one");
    held.send(&message::query("select current_database()"));
    assert_eq!(howdah.psql("other", "select current_database()").unwrap(), other.name());
    assert_eq!(howdah.shown("DATABASES", "name", "one").number("paused"), 1);
    howdah.console("RESUME one");
    assert_eq!(held.read_until_ready()[1].columns(), [Some(one_of_two.name().to_owned())]);
    for command in ["PAUSE nowhere", "RESUME nowhere", "DISABLE nowhere", "RECONNECT nowhere", "KILL nowhere"]
    {
        assert!(howdah.psql("pgbouncer", command).unwrap_err().contains("no such database: nowhere"));
    }
}

#[test]
fn disable_turns_new_clients_away_until_enable() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let mut before = howdah.client(&database);
    howdah.console(&format!("DISABLE {}", database.name()));
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres"), ("database", database.name())]));
    let (code, text) = only_error(&client.read_to_end());
    assert_eq!(code, "57P03", "{text}");
    assert!(text.contains("disabled"), "{text}");
    assert_eq!(before.value("select 1"), "1");
    assert_eq!(howdah.shown("DATABASES", "name", database.name()).number("disabled"), 1);
    howdah.console(&format!("ENABLE {}", database.name()));
    assert_eq!(howdah.psql(database.name(), "select 1").unwrap(), "1");
}

#[test]
fn reconnect_brings_new_backends_but_breaks_no_transaction() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let mut client = howdah.client(&database);
    client.run("begin");
    let old = client.backend();
    howdah.console("RECONNECT");
    assert_eq!(client.backend(), old);
    let conninfo = howdah.conninfo("pgbouncer", "postgres");
    let wait = thread::spawn(move || psql(&conninfo, "WAIT_CLOSE"));
    assert_eq!(client.backend(), old);
    assert!(!wait.is_finished());
    client.run("commit");
    wait.join().unwrap().unwrap();
    let new = client.backend();
    assert_ne!(new, old);
    assert_eq!(client.backend(), new);
    // Idle ones go at once.
    howdah.console(&format!("RECONNECT {}", database.name()));
    assert_ne!(client.backend(), new);
}

#[test]
fn kill_ends_clients_and_servers_of_a_database_until_resume() {
    let (killed, spared) = (Database::create(), Database::create());
    let howdah = Howdah::builder()
        .database("killed", &killed.server())
        .database("spared", &spared.server())
        .setting("pool_mode", "transaction")
        .start();
    let [mut idle, mut busy, mut other] = ["killed", "killed", "spared"].map(|name| {
        let mut client = howdah.raw();
        client.login(name, "postgres");
        client
    });
    busy.run("begin");
    howdah.console("KILL killed");
    for client in [&mut idle, &mut busy] {
        let (code, text) = only_error(&client.read_to_end());
        assert_eq!((code.as_str(), text.as_str()), ("57P01", "closed by administrator"));
    }
    eventually("its backends have left", || (killed.backends() == 0).then_some(()));
    assert_eq!(other.value("select 1"), "1");
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres"), ("database", "killed")]));
    eventually("it has to wait", || {
        (howdah.shown("DATABASES", "name", "killed").number("paused") == 1).then_some(())
    });
    howdah.console("RESUME killed");
    client.welcome();
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn set_takes_effect_at_once() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut one_client, mut another) = (howdah.client(&database), howdah.client(&database));
    one_client.run("begin");
    another.send(&message::query("select 'served'"));
    eventually("one waits", || (pool_of(&howdah, &database).number("cl_waiting") == 1).then_some(()));
    howdah.console("SET default_pool_size = 2");
    assert_eq!(another.read_until_ready()[1].columns(), [Some("served".to_owned())]);
    assert_eq!(howdah.shown("CONFIG", "key", "default_pool_size").get("value"), "2");

    howdah.console("SET max_client_conn = '2'");
    let mut third = howdah.raw();
    third.send(&message::startup(&[("user", "postgres"), ("database", database.name())]));
    let refusal = only_error(&third.read_to_end());
    assert_eq!(refusal, ("53300".into(), "no more connections allowed (max_client_conn)".into()));

    for (command, why) in [
        ("SET default_pool_size = many", "many"),
        ("SET default_pool_sise = 1", "default_pool_size"),
        ("SET listen_port = 1", "restart"),
    ] {
        let refusal = howdah.psql("pgbouncer", command).unwrap_err();
        assert!(refusal.contains(why), "{command}: {refusal}");
    }
    assert_eq!(howdah.shown("CONFIG", "key", "default_pool_size").get("value"), "2");
}

#[test]
fn shutdown_stops_at_once_and_says_so_to_clients() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[]);
    let mut client = howdah.client(&database);
    client.run("begin");
    // The console itself ends with everything else.
    let _ = howdah.psql("pgbouncer", "SHUTDOWN");
    assert_eq!(only_error(&client.read_to_end()).0, "57P01");
    assert!(howdah.wait_for_exit().success());
}

#[test]
fn shutdown_can_wait_for_clients() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let mut client = howdah.client(&database);
    assert_eq!(howdah.psql("pgbouncer", "SHUTDOWN WAIT_FOR_CLIENTS"), Ok(String::new()));
    eventually("the doors are closed", || std::net::TcpStream::connect(howdah.address()).err());
    assert_eq!(client.value("select 1"), "1");
    client.run("begin");
    client.run("commit");
    assert!(howdah.is_running());
    client.send(&message::terminate());
    assert!(howdah.wait_for_exit().success());
}

#[test]
fn shutdown_can_wait_for_servers() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let (mut busy, mut idle) = (howdah.client(&database), howdah.client(&database));
    busy.run("create table t (n int)");
    busy.run("begin");
    assert_eq!(howdah.psql("pgbouncer", "SHUTDOWN WAIT_FOR_SERVERS"), Ok(String::new()));
    busy.run("insert into t values (1)");
    assert!(howdah.is_running());
    busy.run("commit");
    assert_eq!(only_error(&busy.read_to_end()).0, "57P01");
    assert_eq!(only_error(&idle.read_to_end()).0, "57P01");
    assert!(howdah.wait_for_exit().success());
    assert_eq!(database.psql("select count(*) from t"), "1");
}

fn pool_of(howdah: &Howdah, database: &Database) -> Row {
    eventually("the pool is there", || howdah.pool(database))
}
