//! The console: what it shows while clients are at work, what its commands do, and whom it lets in.

use std::thread;

use howdah_tests::{
    Database, Howdah, RawClient, Row, eventually, message, only_error, psql, run_driver, run_program, tags,
};
use tokio_postgres::NoTls;

#[test]
fn the_tables_tell_what_is_going_on() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "2")]);
    let mut busy = [howdah.client(&database), howdah.client(&database)];
    let backends = busy.each_mut().map(|client| {
        client.run("begin");
        client.backend()
    });
    let mut waiting = howdah.client(&database);
    waiting.send(&message::query("select 1"));
    let idle = howdah.client(&database);
    eventually("one waits", || (pool(&howdah, &database).number("cl_waiting") == 1).then_some(()));

    let pools = pool(&howdah, &database);
    let numbers = ["cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_login", "maxwait"];
    assert_eq!(numbers.map(|name| pools.number(name)), [3, 1, 2, 0, 0, 0, 0]);
    assert_eq!((pools.get("user"), pools.get("pool_mode")), ("postgres", "transaction"));

    let clients = howdah.show("CLIENTS");
    let mut states: Vec<_> = clients.iter().map(|client| client.get("state")).collect();
    states.sort_unstable();
    assert_eq!(states, ["active", "active", "idle", "waiting"]);
    assert!(clients.iter().all(|c| c.get("type") == "C" && c.get("database") == database.name()));

    let servers = howdah.show("SERVERS");
    let mut shown: Vec<_> = servers.iter().map(|server| server.get("remote_pid").to_owned()).collect();
    let mut expected = backends.to_vec();
    shown.sort_unstable();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    for server in &servers {
        assert_eq!(server.get("state"), "active");
        let client = clients.iter().find(|client| client.get("ptr") == server.get("link")).unwrap();
        assert_eq!((client.get("link"), client.get("state")), (server.get("ptr"), "active"));
    }

    let of_database = one(howdah.show("DATABASES"), "name", database.name());
    let numbers = ["pool_size", "current_connections", "current_client_connections", "paused", "disabled"];
    assert_eq!(numbers.map(|name| of_database.number(name)), [2, 2, 4, 0, 0]);
    let user = one(howdah.show("USERS"), "name", "postgres");
    assert_eq!((user.number("current_connections"), user.number("current_client_connections")), (2, 4));
    for (list, items) in [("databases", 1), ("pools", 1), ("used_clients", 4), ("used_servers", 2)] {
        assert_eq!(one(howdah.show("LISTS"), "list", list).number("items"), items, "{list}");
    }
    drop(idle);
}

#[test]
fn the_figures_count_what_clients_did() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let mut client = howdah.client(&database);
    client.run("select 1");
    client.run("begin");
    client.run("select 2");
    client.run("commit");
    client.send(&[message::parse("s", "select 3"), message::sync()].concat());
    client.read_until_ready();
    client.send(&[message::bind("", "s", &[]), message::execute("", 0), message::sync()].concat());
    client.read_until_ready();
    let stats = one(howdah.show("STATS"), "database", database.name());
    assert_eq!(stats.number("total_client_login_count"), 1);
    assert_eq!(stats.number("total_query_count"), 6, "{stats:?}");
    assert_eq!(stats.number("total_xact_count"), 4, "{stats:?}");
    assert_eq!(stats.number("total_client_parse_count"), 1);
    assert_eq!(stats.number("total_server_parse_count"), 1);
    assert_eq!(stats.number("total_bind_count"), 1);
    assert!(stats.number("total_received") > 100 && stats.number("total_sent") > 100, "{stats:?}");
    assert!(stats.number("total_xact_time") >= stats.number("total_query_time"), "{stats:?}");
    let totals = one(howdah.show("STATS_TOTALS"), "database", database.name());
    assert_eq!(totals.number("query_count"), 6);
    assert_eq!(one(howdah.show("TOTALS"), "name", "total_query_count").number("value"), 6);
    assert_eq!(howdah.show("STATS_AVERAGES").len(), 1);
}

#[test]
fn averages_are_of_the_last_period() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("stats_period", "1")]);
    let mut client = howdah.client(&database);
    let average = eventually("a period with queries is over", || {
        client.run("select 1");
        let stats = one(howdah.show("STATS"), "database", database.name());
        (stats.number("avg_query_count") > 0).then_some(stats)
    });
    assert!(average.number("avg_query_time") < 1_000_000, "{average:?}");
    assert!(average.number("avg_recv") > 0 && average.number("avg_sent") > 0, "{average:?}");
}

#[test]
fn psql_reads_every_table_while_pgbench_runs() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "4")]);
    let conninfo = howdah.conninfo(database.name(), "postgres");
    run_program("pgbench", &["-i", "-q", &conninfo]).unwrap();
    let load = thread::spawn(move || {
        run_program("pgbench", &["-n", "-S", "-c", "20", "-T", "2", "-M", "prepared", &conninfo])
    });
    eventually("pgbench is at work", || {
        let pool = pool(&howdah, &database);
        (pool.number("cl_active") + pool.number("cl_waiting") == 20 && pool.number("sv_active") > 0)
            .then_some(())
    });
    while !load.is_finished() {
        for table in TABLES {
            assert!(!howdah.console(&format!("SHOW {table}")).is_empty(), "{table}");
        }
        let pool = pool(&howdah, &database);
        let servers = ["sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"];
        assert!(servers.map(|name| pool.number(name)).into_iter().sum::<u64>() <= 4, "{pool:?}");
        assert!(pool.number("cl_active") + pool.number("cl_waiting") <= 20, "{pool:?}");
    }
    let said = load.join().unwrap().unwrap();
    assert!(said.contains("number of failed transactions: 0 "), "{said}");
    let stats = one(howdah.show("STATS"), "database", database.name());
    assert!(stats.number("total_bind_count") > 100, "{stats:?}");
    assert_eq!(stats.number("total_server_parse_count"), 4, "each server parsed the one statement once");
}

#[test]
fn psycopg_reads_it_through_the_extended_protocol() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let mut client = howdah.client(&database);
    client.run("begin");
    run_driver("psycopg_console.py", &howdah.conninfo("pgbouncer", "postgres"));
}

#[tokio::test]
async fn tokio_postgres_reads_it_with_its_types() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let mut worker = howdah.client(&database);
    worker.run("begin");
    let (client, connection) =
        tokio_postgres::connect(&howdah.conninfo("pgbouncer", "postgres"), NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let statement = client.prepare("SHOW POOLS").await.unwrap();
    for _ in 0..2 {
        let pool = client.query_one(&statement, &[]).await.unwrap();
        assert_eq!(pool.get::<_, &str>("database"), database.name());
        assert_eq!((pool.get::<_, i32>("cl_active"), pool.get::<_, i32>("sv_active")), (1, 1));
    }
    assert_eq!(client.simple_query("SHOW STATE").await.unwrap().len(), 5, "description, 3 rows, tag");
    let error = client.query("SHOW POLS", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().hint(), Some("Perhaps you meant SHOW POOLS."));
    drop(client);
    connection.await.unwrap().unwrap();
}

#[test]
fn pause_waits_for_transactions_holds_queries_and_resume_lets_them_go() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let (mut busy, mut late) = (howdah.client(&database), howdah.client(&database));
    busy.run("begin");
    let conninfo = howdah.conninfo("pgbouncer", "postgres");
    let pause = thread::spawn(move || psql(&conninfo, "PAUSE"));
    eventually("it is pausing", || {
        (one(howdah.show("STATE"), "key", "paused").get("value") == "yes").then_some(())
    });
    late.send(&message::query("select 'at last'"));
    eventually("the query is held", || (pool(&howdah, &database).number("cl_waiting") == 1).then_some(()));
    assert_eq!(busy.value("select 1"), "1", "the open transaction goes on");
    assert!(!pause.is_finished());
    busy.run("commit");
    pause.join().unwrap().unwrap();
    eventually("all backends have left", || (database.backends() == 0).then_some(()));
    assert_eq!(pool(&howdah, &database).number("cl_waiting"), 1);
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
    assert_eq!(one(howdah.show("DATABASES"), "name", "one").number("paused"), 1);
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
    assert_eq!(one(howdah.show("DATABASES"), "name", database.name()).number("disabled"), 1);
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
        (one(howdah.show("DATABASES"), "name", "killed").number("paused") == 1).then_some(())
    });
    howdah.console("RESUME killed");
    client.welcome();
    assert_eq!(client.value("select 1"), "1");
}

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
    let id = one(howdah.show("CLIENTS"), "application_name", "victim").get("id").to_owned();
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
fn set_takes_effect_at_once() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut one_client, mut another) = (howdah.client(&database), howdah.client(&database));
    one_client.run("begin");
    another.send(&message::query("select 'served'"));
    eventually("one waits", || (pool(&howdah, &database).number("cl_waiting") == 1).then_some(()));
    howdah.console("SET default_pool_size = 2");
    assert_eq!(another.read_until_ready()[1].columns(), [Some("served".to_owned())]);
    assert_eq!(one(howdah.show("CONFIG"), "key", "default_pool_size").get("value"), "2");

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
    assert_eq!(one(howdah.show("CONFIG"), "key", "default_pool_size").get("value"), "2");
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
fn it_lets_administrators_in_when_all_places_are_taken() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("max_client_conn", "1")]);
    eventually("nobody else stands at the door", || {
        (one(howdah.show("LISTS"), "list", "login_clients").number("items") == 0).then_some(())
    });
    let _taken = howdah.client(&database);
    assert!(howdah.psql(database.name(), "select 1").unwrap_err().contains("max_client_conn"));
    assert_eq!(pool(&howdah, &database).number("cl_active"), 1);
}

#[test]
fn what_pgbouncer_has_and_howdah_has_not_is_refused_by_name() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    for table in ["FDS", "MEM", "SOCKETS", "ACTIVE_SOCKETS", "DNS_HOSTS", "DNS_ZONES"] {
        let refusal = howdah.psql("pgbouncer", &format!("SHOW {table}")).unwrap_err();
        assert!(refusal.contains(&format!("SHOW {table}")), "{refusal}");
    }
    assert!(howdah.psql("pgbouncer", "SUSPEND").is_err());
    assert!(howdah.psql("pgbouncer", "select * from t").unwrap_err().contains("invalid command"));
}

fn pool(howdah: &Howdah, database: &Database) -> Row {
    eventually("the pool is there", || howdah.pool(database))
}

#[track_caller]
fn one(rows: Vec<Row>, column: &str, value: &str) -> Row {
    let mut found: Vec<_> = rows.into_iter().filter(|row| row.get(column) == value).collect();
    assert_eq!(found.len(), 1, "rows with {column} = {value}: {found:?}");
    found.remove(0)
}

fn watcher(howdah: &Howdah, command: &str) -> Vec<howdah_tests::Message> {
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
