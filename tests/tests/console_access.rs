//! Whom the console lets in, and who may do what there.

use howdah_tests::{Database, Howdah, Message, RawClient, eventually, message, only_error, psql, tags};

#[test]
fn kill_client_ends_exactly_that_one_and_is_for_administrators() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("stats_users", "watcher")
        .secret("watcher", "")
        .start();
    let named = |name: &str| {
        let mut client = howdah.raw();
        let wishes = [("user", "postgres"), ("database", database.name()), ("application_name", name)];
        client.send(&message::startup(&wishes));
        client.welcome();
        client
    };
    let (mut victim, mut bystander) = (named("victim"), named("bystander"));
    let id = howdah.shown("CLIENTS", "application_name", "victim").get("id").to_owned();
    let kill = format!("KILL_CLIENT {id}");

    let refused = watcher(&howdah, &kill);
    assert_eq!(only_error(&refused).0, "42501");
    assert_eq!(victim.value("select 1"), "1");

    howdah.console(&kill);
    assert_eq!(only_error(&victim.read_to_end()).0, "57P01");
    assert_eq!(bystander.value("select 1"), "1");
    assert!(howdah.psql("pgbouncer", &kill).unwrap_err().contains("client not found"));
    assert!(howdah.psql("pgbouncer", "KILL_CLIENT x").unwrap_err().contains("invalid client id 'x'"));
}

#[test]
fn kill_client_ends_a_client_of_the_console_whatever_it_does() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let console = |name: &str| {
        let mut console = howdah.raw();
        let wishes = [("user", "postgres"), ("database", "pgbouncer"), ("application_name", name)];
        console.send(&message::startup(&wishes));
        console.welcome();
        console
    };
    let id_of = |name: &str| howdah.shown("CLIENTS", "application_name", name).get("id").to_owned();
    let mut busy = howdah.client(&database);
    busy.run("begin");
    let (mut idle, mut pausing, mut own) = (console("idle"), console("pausing"), console("own"));
    pausing.send(&message::query("PAUSE"));
    eventually("it is pausing", || {
        (howdah.shown("STATE", "key", "paused").get("value") == "yes").then_some(())
    });
    for (console, name) in [(&mut idle, "idle"), (&mut pausing, "pausing")] {
        howdah.console(&format!("KILL_CLIENT {}", id_of(name)));
        let (code, text) = only_error(&console.read_to_end());
        assert_eq!((code.as_str(), text.as_str()), ("57P01", "closed by administrator"), "{name}");
    }
    let own_id = id_of("own");
    own.send(&message::query(&format!("KILL_CLIENT {own_id}")));
    assert_eq!(only_error(&own.read_to_end()).0, "57P01", "its own, too");
    assert!(howdah.psql("pgbouncer", &format!("KILL_CLIENT {own_id}")).unwrap_err().contains("not found"));
    assert_eq!(busy.value("select 1"), "1");
}

#[test]
fn kill_of_everybody_spares_the_console_and_shutdown_does_not() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let mut client = howdah.client(&database);
    let mut console = howdah.raw();
    console.login("pgbouncer", "postgres");
    howdah.console("KILL");
    assert_eq!(only_error(&client.read_to_end()).0, "57P01");
    assert_eq!(tags(&console.query("SHOW VERSION")), "TDCZ");
    assert_eq!(howdah.psql("pgbouncer", "SHUTDOWN WAIT_FOR_CLIENTS"), Ok(String::new()));
    assert_eq!(only_error(&console.read_to_end()).0, "57P01");
    assert!(howdah.wait_for_exit().success());
}

#[test]
fn stats_users_may_look_and_nothing_else() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("stats_users", "watcher")
        .secret("watcher", "")
        .start();
    for table in TABLES {
        assert!(tags(&watcher(&howdah, &format!("SHOW {table}"))).starts_with('T'), "{table}");
    }
    let name = database.name();
    for command in [
        "PAUSE",
        "RESUME",
        "RELOAD",
        "SHUTDOWN",
        "SHUTDOWN WAIT_FOR_CLIENTS",
        "KILL",
        "RECONNECT",
        "WAIT_CLOSE",
        "SET default_pool_size = 1",
        &format!("DISABLE {name}"),
        &format!("ENABLE {name}"),
    ] {
        let (code, text) = only_error(&watcher(&howdah, command));
        assert_eq!((code.as_str(), text.as_str()), ("42501", "admin access needed"), "{command}");
    }
    assert_eq!(howdah.psql(database.name(), "select 1").unwrap(), "1");
}

#[test]
fn only_those_named_get_in() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("stats_users", "watcher")
        .secret("watcher", "")
        .secret("stranger", "")
        .start();
    let knock = |mut client: RawClient, database: &str, user: &str| {
        client.send(&message::startup(&[("user", user), ("database", database)]));
        let first = client.read();
        if first.tag == b'E' { Err(first.sqlstate()) } else { Ok(client) }
    };
    for name in ["pgbouncer", "howdah"] {
        for user in ["postgres", "watcher"] {
            assert!(knock(howdah.raw(), name, user).is_ok(), "{user} on {name}");
        }
        assert_eq!(knock(howdah.raw(), name, "stranger").err().as_deref(), Some("28000"));
        assert_eq!(knock(howdah.raw(), name, "nobody").err().as_deref(), Some("28000"));
        // The user `pgbouncer` needs no password: the Unix socket proves who it is. TCP does not.
        assert!(knock(RawClient::unix(&howdah.socket_path()), name, "pgbouncer").is_ok());
        assert_eq!(knock(howdah.raw(), name, "pgbouncer").err().as_deref(), Some("28000"));
    }
}

#[test]
fn administrators_need_their_password_and_the_owner_does_not() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("auth_type", "scram-sha-256")
        .secret("postgres", "geheim")
        .start();
    let conninfo = howdah.conninfo("pgbouncer", "postgres");
    assert!(psql(&format!("{conninfo} password=falsch"), "SHOW STATE").is_err());
    assert!(psql(&format!("{conninfo} password=geheim"), "SHOW STATE").is_ok());
    let owner = howdah.unix_conninfo("pgbouncer", "pgbouncer");
    assert_eq!(psql(&owner, "SET server_lifetime = 7"), Ok(String::new()));
    assert!(psql(&owner, "SHOW CONFIG").unwrap().contains("server_lifetime|7|"));
}

#[test]
fn who_opens_it_is_logged_unless_log_connections_says_no() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    howdah.console("SHOW VERSION");
    for what in ["console opened", "console closed"] {
        let line = howdah.wait_for_log(what);
        assert!(line.contains("user=postgres") && line.contains("peer=127.0.0.1:"), "{line}");
    }
    let howdah = Howdah::before(&database, &[("log_connections", "0")]);
    howdah.console("SHOW VERSION");
    howdah.wait_for_log("console closed");
    assert!(!howdah.log().contains("console opened"));
}

#[test]
fn it_lets_administrators_in_when_all_places_are_taken() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("max_client_conn", "1")]);
    eventually("nobody else stands at the door", || {
        (howdah.shown("LISTS", "list", "login_clients").number("items") == 0).then_some(())
    });
    let _taken = howdah.client(&database);
    assert!(howdah.psql(database.name(), "select 1").unwrap_err().contains("max_client_conn"));
    assert_eq!(howdah.pool(&database).unwrap().number("cl_active"), 1);
}

fn watcher(howdah: &Howdah, command: &str) -> Vec<Message> {
    let mut console = howdah.raw();
    console.login("pgbouncer", "watcher");
    console.query(command)
}

const TABLES: [&str; 13] = [
    "POOLS",
    "CLIENTS",
    "SERVERS",
    "DATABASES",
    "USERS",
    "STATS",
    "STATS_TOTALS",
    "STATS_AVERAGES",
    "TOTALS",
    "LISTS",
    "CONFIG",
    "STATE",
    "VERSION",
];
