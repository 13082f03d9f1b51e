//! A reload, by SIGHUP or on the console, changes the settings and drops nobody.

use std::thread;

use howdah_tests::{
    Database, Howdah, HowdahBuilder, RawClient, Row, eventually, message, only_error, psql, run_program,
};

#[test]
fn a_larger_pool_serves_those_who_wait() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut busy, mut waiting) = (howdah.client(&database), howdah.client(&database));
    busy.run("begin");
    waiting.send(&message::query("select 'served'"));
    eventually("one waits", || (howdah.pool(&database)?.number("cl_waiting") == 1).then_some(()));
    // By the signal alone.
    howdah.reconfigure(|builder| builder.setting("default_pool_size", 2));
    assert_eq!(waiting.read_until_ready()[1].columns(), [Some("served".to_owned())]);
    busy.run("commit");
}

#[test]
fn a_smaller_pool_gives_up_server_connections_and_no_client() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "3")]);
    let mut clients = [(); 3].map(|()| howdah.client(&database));
    for client in &mut clients {
        client.run("begin");
    }
    assert_eq!(database.backends(), 3);
    reload(&mut howdah, |builder| builder.setting("default_pool_size", 1));
    for client in &mut clients {
        assert_eq!(client.value("select 1"), "1", "open transactions go on");
        client.run("commit");
    }
    eventually("one connection is left", || (database.backends() == 1).then_some(()));
    let backends = clients.each_mut().map(RawClient::backend);
    assert!(backends.iter().all(|pid| *pid == backends[0]), "{backends:?}");
}

#[test]
fn a_new_database_appears_and_a_removed_one_admits_nobody() {
    let (old, new) = (Database::create(), Database::create());
    let mut howdah = Howdah::before(&old, &[]);
    let mut client = howdah.client(&old);
    assert!(howdah.psql("fresh", "select 1").unwrap_err().contains("no such database: fresh"));
    reload(&mut howdah, |builder| builder.database("fresh", &new.server()));
    assert_eq!(howdah.psql("fresh", "select current_database()").unwrap(), new.name());
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn a_database_that_moved_is_followed_between_transactions() {
    let (here, there) = (Database::create(), Database::create());
    let mut howdah =
        Howdah::builder().database("app", &here.server()).setting("pool_mode", "transaction").start();
    let mut client = howdah.raw();
    client.login("app", "postgres");
    let ask = "select current_database()";
    client.run("begin");
    assert_eq!(client.value(ask), here.name());
    reload(&mut howdah, |builder| builder.database("app", &there.server()));
    assert_eq!(client.value(ask), here.name(), "not in the middle of a transaction");
    client.run("commit");
    assert_eq!(client.value(ask), there.name());
    eventually("nothing is left open where it was", || (here.backends() == 0).then_some(()));
}

#[test]
fn a_mistyped_address_is_corrected_without_waiting_for_the_next_retry() {
    let database = Database::create();
    let wrong = database.server().replace(database.name(), "mistyped");
    let mut howdah = Howdah::builder().database("app", &wrong).setting("server_login_retry", 3600).start();
    for _ in 0..20 {
        assert!(howdah.psql("app", "select 1").unwrap_err().contains("does not exist"));
    }
    reload(&mut howdah, |builder| builder.database("app", &database.server()));
    assert_eq!(howdah.psql("app", "select current_database()").unwrap(), database.name());
}

#[test]
fn a_changed_secret_counts_for_the_next_login() {
    let database = Database::create();
    let mut howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("auth_type", "scram-sha-256")
        .secret("postgres", "alt")
        .start();
    let with = |howdah: &Howdah, password: &str| {
        let conninfo = howdah.conninfo(database.name(), "postgres");
        psql(&format!("{conninfo} password={password}"), "select 1")
    };
    assert!(with(&howdah, "alt").is_ok());
    howdah.reconfigure(|builder| builder.secret("postgres", "neu"));
    eventually("the new secret counts", || with(&howdah, "neu").ok());
    assert!(with(&howdah, "alt").unwrap_err().contains("SASL authentication failed"));
}

#[test]
fn a_broken_file_keeps_the_settings_and_says_why() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("default_pool_size", "7")]);
    let mut client = howdah.client(&database);
    howdah.reconfigure(|builder| builder.setting("default_pool_sise", 8).setting("max_client_conn", "lots"));
    let line = howdah.wait_for_log("default_pool_sise");
    assert!(
        line.contains("pgbouncer.ini:") && line.contains("did you mean \"default_pool_size\"?"),
        "{line}"
    );
    howdah.wait_for_log("max_client_conn");
    let refusal = howdah.psql("pgbouncer", "RELOAD").unwrap_err();
    assert!(refusal.contains("pgbouncer.ini") && refusal.contains("2 errors"), "{refusal}");
    assert_eq!(config(&howdah, "default_pool_size"), "7");
    assert_eq!(config(&howdah, "max_client_conn"), "100");
    assert_eq!(client.value("select 1"), "1");
    assert_eq!(howdah.psql(database.name(), "select 1").unwrap(), "1");
}

#[test]
fn a_missing_secrets_file_keeps_the_secrets() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[]);
    reload(&mut howdah, |builder| builder.setting("auth_file", "/nonexistent/userlist.txt"));
    assert_eq!(howdah.psql(database.name(), "select 1").unwrap(), "1");
    howdah.wait_for_log("/nonexistent/userlist.txt");
}

#[test]
fn what_needs_a_restart_is_named() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[]);
    let port = howdah.port();
    howdah.reconfigure(|builder| builder.setting("listen_port", 1).setting("max_client_conn", 50));
    let line = howdah.wait_for_log("takes effect with a restart");
    assert!(line.contains("listen_port"), "{line}");
    eventually("the rest is in force", || (config(&howdah, "max_client_conn") == "50").then_some(()));
    assert_eq!(config(&howdah, "listen_port"), port.to_string());
    assert_eq!(howdah.psql(database.name(), "select 1").unwrap(), "1");
}

#[test]
fn administrators_and_limits_change_for_those_who_come_next() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[]);
    let mut client = howdah.client(&database);
    howdah.reconfigure(|builder| {
        builder
            .setting("admin_users", "chief")
            .secret("chief", "")
            .user("postgres", "max_user_client_connections=1")
    });
    let chief = howdah.conninfo("pgbouncer", "chief");
    eventually("the new administrator is let in", || psql(&chief, "SHOW STATE").ok());
    assert!(howdah.psql("pgbouncer", "SHOW STATE").unwrap_err().contains("not allowed"));
    let refusal = howdah.psql(database.name(), "select 1").unwrap_err();
    assert!(refusal.contains("max_user_client_connections"), "{refusal}");
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn timeouts_change_for_those_who_are_inside() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let mut client = howdah.client(&database);
    client.run("begin");
    howdah.reconfigure(|builder| builder.setting("idle_transaction_timeout", "0.1"));
    assert_eq!(only_error(&client.read_to_end()).0, "25P03");
}

#[test]
fn forced_pools_that_a_reload_brings_are_filled_before_anybody_comes() {
    let database = Database::create();
    let mut howdah = Howdah::builder().database("app", &database.server()).start();
    let server = format!("{} user=postgres min_pool_size=2", database.server());
    reload(&mut howdah, |builder| builder.database("app", &server));
    eventually("the smallest size is reached", || (database.backends() == 2).then_some(()));
}

#[test]
fn reloads_under_load_lose_nothing() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "5")]);
    let conninfo = howdah.conninfo(database.name(), "postgres");
    run_program("pgbench", &["-i", "-q", &conninfo]).unwrap();
    let load = thread::spawn(move || run_program("pgbench", &["-n", "-c", "20", "-T", "2", &conninfo]));
    eventually("pgbench is at work", || {
        let pool = howdah.pool(&database)?;
        (pool.number("cl_active") + pool.number("cl_waiting") == 20).then_some(())
    });
    let mut size = 5;
    while !load.is_finished() {
        size = if size == 5 { 2 } else { 5 };
        // Every other time the servers are new ones too.
        let server = format!("{} application_name=size{size}", database.server());
        reload(&mut howdah, |builder| {
            builder.setting("default_pool_size", size).database(database.name(), &server)
        });
    }
    let said = load.join().unwrap().unwrap();
    assert!(said.contains("number of failed transactions: 0 "), "{said}");
    let sums =
        "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)";
    assert_eq!(database.psql(sums), "t");
}

/// Changes the files and returns when they have been read.
fn reload(howdah: &mut Howdah, change: impl FnOnce(HowdahBuilder) -> HowdahBuilder) {
    howdah.reconfigure(change);
    howdah.console("RELOAD");
}

fn config(howdah: &Howdah, key: &str) -> String {
    let found = howdah.show("CONFIG").into_iter().find(|row: &Row| row.get("key") == key);
    found.unwrap_or_else(|| panic!("no setting {key}")).get("value").to_owned()
}
