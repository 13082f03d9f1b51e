//! What the console shows while clients are at work, to psql and to drivers.

use std::thread;

use howdah_tests::{Database, Howdah, Row, eventually, message, run_driver, run_program};
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
    eventually("one waits", || (pool_of(&howdah, &database).number("cl_waiting") == 1).then_some(()));

    let pools = pool_of(&howdah, &database);
    let numbers = ["cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_login", "maxwait"];
    assert_eq!(numbers.map(|name| pools.number(name)), [3, 1, 2, 0, 0, 0, 0]);
    assert_eq!((pools.get("user"), pools.get("pool_mode")), ("postgres", "transaction"));

    let mut clients = howdah.show("CLIENTS");
    clients.retain(|client| client.get("database") != "pgbouncer");
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

    let of_database = howdah.shown("DATABASES", "name", database.name());
    let numbers = ["pool_size", "current_connections", "current_client_connections", "paused", "disabled"];
    assert_eq!(numbers.map(|name| of_database.number(name)), [2, 2, 4, 0, 0]);
    let user = howdah.shown("USERS", "name", "postgres");
    assert_eq!((user.number("current_connections"), user.number("current_client_connections")), (2, 4));
    for (list, items) in [("databases", 2), ("pools", 2), ("used_clients", 5), ("used_servers", 2)] {
        lists(&howdah, list, items);
    }
    drop(idle);
}

#[test]
fn the_console_has_rows_of_its_own() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("default_pool_size", "7")]);
    let console = |name: &str, application: &str| {
        let mut console = howdah.raw();
        let wishes = [("user", "postgres"), ("database", name), ("application_name", application)];
        console.send(&message::startup(&wishes));
        console.welcome();
        console
    };
    // Howdah's name for it leads to the same.
    let (first, _second) = (console("pgbouncer", "first"), console("howdah", "second"));

    // Both, and the one that looks.
    eventually("nobody else is on the console", || {
        (console_pool(&howdah).number("cl_active") == 3).then_some(())
    });
    let pool = console_pool(&howdah);
    assert_eq!((pool.get("user"), pool.get("pool_mode")), ("pgbouncer", "statement"));
    let row = eventually("the last one that looked has left", || {
        let row = howdah.shown("DATABASES", "name", "pgbouncer");
        (row.number("current_client_connections") == 3).then_some(row)
    });
    let texts = ["host", "database", "force_user", "pool_mode"].map(|name| row.get(name));
    assert_eq!(texts, ["", "pgbouncer", "pgbouncer", "statement"]);
    assert_eq!(row.number("port"), u64::from(howdah.address().port()));
    assert_eq!(row.number("pool_size"), 2);
    for (list, items) in [("databases", 2), ("pools", 1), ("used_clients", 3)] {
        lists(&howdah, list, items);
    }
    let rows = ["first", "second"].map(|name| howdah.shown("CLIENTS", "application_name", name));
    for row in &rows {
        let texts = ["type", "user", "database", "state", "addr"].map(|name| row.get(name));
        assert_eq!(texts, ["C", "postgres", "pgbouncer", "active", "127.0.0.1"]);
    }
    assert_ne!(rows[0].get("id"), rows[1].get("id"));
    let user = howdah.shown("USERS", "name", "postgres");
    assert_eq!(user.number("current_client_connections"), 0, "no limit counts them");

    drop(first);
    eventually("it has left", || (console_pool(&howdah).number("cl_active") == 2).then_some(()));
}

/// SHOW LISTS counts the one who looks, and for a moment those who have looked before.
#[track_caller]
fn lists(howdah: &Howdah, list: &str, items: u64) {
    eventually(&format!("{items} {list}"), || {
        (howdah.shown("LISTS", "list", list).number("items") == items).then_some(())
    });
}

fn console_pool(howdah: &Howdah) -> Row {
    howdah.shown("POOLS", "database", "pgbouncer")
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
    let stats = howdah.shown("STATS", "database", database.name());
    assert_eq!(stats.number("total_client_login_count"), 1);
    assert_eq!(stats.number("total_query_count"), 6, "{stats:?}");
    assert_eq!(stats.number("total_xact_count"), 4, "{stats:?}");
    assert_eq!(stats.number("total_client_parse_count"), 1);
    assert_eq!(stats.number("total_server_parse_count"), 1);
    assert_eq!(stats.number("total_bind_count"), 1);
    assert!(stats.number("total_received") > 100 && stats.number("total_sent") > 100, "{stats:?}");
    assert!(stats.number("total_xact_time") >= stats.number("total_query_time"), "{stats:?}");
    let totals = howdah.shown("STATS_TOTALS", "database", database.name());
    assert_eq!(totals.number("query_count"), 6);
    assert_eq!(howdah.shown("TOTALS", "name", "total_query_count").number("value"), 6);
    assert_eq!(howdah.show("STATS_AVERAGES").len(), 1);
}

#[test]
fn averages_are_of_the_last_period() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("stats_period", "1")]);
    let mut client = howdah.client(&database);
    let average = eventually("a period with queries is over", || {
        client.run("select 1");
        let stats = howdah.shown("STATS", "database", database.name());
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
        let pool = pool_of(&howdah, &database);
        (pool.number("cl_active") + pool.number("cl_waiting") == 20 && pool.number("sv_active") > 0)
            .then_some(())
    });
    while !load.is_finished() {
        for table in TABLES {
            howdah.console(&format!("SHOW {table}"));
        }
        let pool = pool_of(&howdah, &database);
        let servers = ["sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"];
        assert!(servers.map(|name| pool.number(name)).into_iter().sum::<u64>() <= 4, "{pool:?}");
        // The one that looked for the scale may not have been seen to leave.
        assert!(pool.number("cl_active") + pool.number("cl_waiting") <= 21, "{pool:?}");
    }
    let said = load.join().unwrap().unwrap();
    assert!(said.contains("number of failed transactions: 0 "), "{said}");
    let stats = howdah.shown("STATS", "database", database.name());
    assert!(stats.number("total_bind_count") > 100, "{stats:?}");
    let parsed = stats.number("total_server_parse_count");
    assert!((1..=4).contains(&parsed), "each server parses the one statement once: {parsed}");
}

#[test]
fn looking_does_not_stand_in_the_way_of_new_clients() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database("app", &format!("{} user=postgres", database.server()))
        .setting("auth_type", "any")
        .setting("max_client_conn", 1000)
        .start();
    thread::scope(|scope| {
        let comers: Vec<_> = (0..4)
            .map(|group| {
                let howdah = &howdah;
                scope.spawn(move || {
                    for n in 0..100 {
                        // A user nobody has seen before.
                        let mut client = howdah.raw();
                        client.login("app", &format!("user {group} {n}"));
                        assert_eq!(client.value("select 1"), "1");
                    }
                })
            })
            .collect();
        let mut console = howdah.raw();
        console.login("pgbouncer", "postgres");
        while comers.iter().any(|comer| !comer.is_finished()) {
            console.run("SHOW POOLS");
        }
    });
    assert_eq!(howdah.shown("STATS", "database", "app").number("total_client_login_count"), 400);
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
        let pools = client.query(&statement, &[]).await.unwrap();
        let [pool, console] = &pools[..] else { panic!("{pools:?}") };
        assert_eq!(pool.get::<_, &str>("database"), database.name());
        assert_eq!((pool.get::<_, i32>("cl_active"), pool.get::<_, i32>("sv_active")), (1, 1));
        assert_eq!(console.get::<_, &str>("database"), "pgbouncer");
    }
    assert_eq!(client.simple_query("SHOW VERSION").await.unwrap().len(), 3, "description, row, tag");
    let error = client.query("SHOW POLS", &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().hint(), Some("Perhaps you meant SHOW POOLS."));
    drop(client);
    connection.await.unwrap().unwrap();
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

fn pool_of(howdah: &Howdah, database: &Database) -> Row {
    eventually("the pool is there", || howdah.pool(database))
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
