//! How many: server connections of a pool, a database, a user; clients; and what those are told who find no room.

use howdah_tests::{Database, Howdah, Message, RawClient, eventually, message, only_error, postgres, tags};

#[test]
fn default_pool_size_bounds_the_server_connections() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "2")]);
    let mut clients: Vec<_> = (0..6).map(|_| howdah.client(&database)).collect();
    for client in &mut clients {
        client.send(&message::query("begin"));
    }
    eventually("four wait for two", || {
        let pool = howdah.pool(&database)?;
        (pool.number("cl_waiting") == 4 && pool.number("sv_active") == 2).then_some(())
    });
    assert_eq!(backends(&database), 2);
    // Each is served in its turn.
    for client in &mut clients {
        client.send(&message::query("commit"));
    }
    for client in &mut clients {
        assert_eq!((tags(&client.read_until_ready()), tags(&client.read_until_ready())), both("CZ"));
    }
    assert_eq!(backends(&database), 2);
}

#[test]
fn min_pool_size_keeps_server_connections_open() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("min_pool_size", "3"), ("server_idle_timeout", "0.2")]);
    let mut client = howdah.client(&database);
    client.run("select 1");
    eventually("three are open", || (backends(&database) == 3).then_some(()));
    postgres()
        .psql(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}' limit 1",
            database.name()
        ))
        .unwrap();
    eventually("what was closed is replaced", || {
        (backends(&database) == 3 && howdah.pool(&database)?.number("sv_login") == 0).then_some(())
    });
}

#[test]
fn min_pool_size_of_a_database_with_a_user_needs_no_client() {
    let database = Database::create();
    let entry = format!("{} user=postgres min_pool_size=2", database.server());
    let _howdah = Howdah::builder().database(database.name(), &entry).start();
    eventually("two are open", || (backends(&database) == 2).then_some(()));
}

#[test]
fn the_reserve_helps_whoever_has_waited_long_enough() {
    let database = Database::create();
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "1"),
        ("reserve_pool_size", "1"),
        ("reserve_pool_timeout", "0.3"),
    ];
    let howdah = Howdah::before(&database, &settings);
    let mut clients: Vec<_> = (0..3).map(|_| howdah.client(&database)).collect();
    clients[0].run("begin");
    let begun = std::time::Instant::now();
    clients[1].run("begin");
    assert!(begun.elapsed().as_millis() >= 250, "the reserve was used after {:?}", begun.elapsed());
    clients[2].send(&message::query("begin"));
    eventually("the third waits", || (howdah.pool(&database)?.number("cl_waiting") == 1).then_some(()));
    assert_eq!(backends(&database), 2);
    clients[0].run("commit");
    assert_eq!(tags(&clients[2].read_until_ready()), "CZ");
}

#[test]
fn max_client_conn_turns_the_next_away_but_not_an_administrator() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("max_client_conn", "2")]);
    // The harness has knocked at both doors to see whether they are open.
    eventually("nobody is at the door", || {
        let lists = howdah.show("LISTS");
        lists.iter().find(|row| row.get("list") == "login_clients" && row.get("items") == "0").cloned()
    });
    let one = howdah.client(&database);
    let _two = howdah.client(&database);
    let refused = refusal(&howdah, &database);
    assert_eq!(refused, told("no more connections allowed (max_client_conn)"));
    let clients = howdah.show("CLIENTS");
    let served = clients.iter().filter(|client| client.get("database") == database.name());
    assert_eq!(served.count(), 2, "the console still lets an administrator in");
    drop(one);
    eventually("a place is free again", || {
        let mut client = howdah.raw();
        client.send(&message::startup(&[("user", "postgres"), ("database", database.name())]));
        client.try_read().ok().flatten().filter(|first| first.tag == b'R')
    });
}

#[test]
fn max_db_client_connections_counts_the_clients_of_a_database() {
    let (database, other) = (Database::create(), Database::create());
    let howdah = Howdah::builder()
        .setting("max_db_client_connections", 1)
        .database(database.name(), &database.server())
        .database(other.name(), &other.server())
        .start();
    let _one = howdah.client(&database);
    assert_eq!(refusal(&howdah, &database), told("client connections exceeded (max_db_client_connections)"));
    howdah.client(&other).run("select 1");
}

#[test]
fn max_user_client_connections_counts_the_clients_of_a_user() {
    let database = Database::create();
    postgres().psql("create role limited login").unwrap();
    let howdah = Howdah::builder()
        .setting("max_user_client_connections", 1)
        .secret("limited", "")
        .database(database.name(), &database.server())
        .start();
    let _one = howdah.client(&database);
    assert_eq!(
        refusal(&howdah, &database),
        told("client connections exceeded (max_user_client_connections)")
    );
    let mut other = howdah.raw();
    other.login(database.name(), "limited");
    drop(other);
    drop(howdah);
    postgres().psql("drop role limited").unwrap();
}

#[test]
fn max_db_connections_counts_over_all_users() {
    let database = Database::create();
    postgres().psql("create role second login").unwrap();
    let howdah = Howdah::builder()
        .setting("pool_mode", "transaction")
        .setting("max_db_connections", 1)
        .secret("second", "")
        .database(database.name(), &database.server())
        .start();
    let (mut one, mut two) = (howdah.client(&database), howdah.raw());
    one.run("select 1");
    // The idle connection of the first user makes room for the second one's.
    two.login(database.name(), "second");
    assert_eq!(two.value("select current_user"), "second");
    assert_eq!(backends(&database), 1);
    two.run("begin");
    one.send(&message::query("select current_user"));
    eventually("the first user waits", || (howdah.pool(&database)?.number("cl_waiting") == 1).then_some(()));
    two.run("commit");
    assert_eq!(first_value(&one.read_until_ready()), "postgres");
    assert_eq!(backends(&database), 1);
    drop((one, two, howdah));
    postgres().psql("drop role second").unwrap();
}

#[test]
fn max_user_connections_counts_over_all_databases() {
    let (one, two) = (Database::create(), Database::create());
    let howdah = Howdah::builder()
        .setting("pool_mode", "transaction")
        .setting("max_user_connections", 1)
        .database(one.name(), &one.server())
        .database(two.name(), &two.server())
        .start();
    let (mut first, mut second) = (howdah.client(&one), howdah.client(&two));
    first.run("begin");
    second.send(&message::query("select current_database()"));
    eventually("the second waits", || (howdah.pool(&two)?.number("cl_waiting") == 1).then_some(()));
    first.run("commit");
    assert_eq!(first_value(&second.read_until_ready()), two.name());
    assert_eq!(first.value("select current_database()"), one.name());
    assert_eq!(backends(&one) + backends(&two), 1);
}

#[test]
fn query_wait_timeout_names_the_pool_and_who_holds_it() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "1"), ("query_wait_timeout", "0.3")];
    let howdah = Howdah::before(&database, &settings);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    one.run("begin");
    two.send(&message::query("select 1"));
    let answer = two.read_to_end();
    assert_eq!(only_error(&answer), told("query_wait_timeout"));
    let detail = answer[0].field(b'D').unwrap();
    assert!(detail.contains(database.name()) && detail.contains("1 in line"), "{detail}");
    one.run("commit");
}

#[test]
fn who_waits_long_is_told_so() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "1"), ("query_wait_notify", "0.2")];
    let howdah = Howdah::before(&database, &settings);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    one.run("begin");
    two.send(&message::query("select 1"));
    assert!(two.expect(b'N').text().contains("waiting for a server connection"));
    one.run("commit");
    assert_eq!(tags(&two.read_until_ready()), "TDCZ");
}

#[test]
fn too_many_connections_on_the_server_is_passed_on() {
    let database = Database::create();
    database.psql("create role crowd login connection limit 1");
    let howdah = Howdah::builder()
        .setting("pool_mode", "transaction")
        .setting("server_login_retry", "0.2")
        .secret("crowd", "")
        .database(database.name(), &database.server())
        .start();
    let mut direct = RawClient::unix(&postgres().socket_path());
    direct.login(database.name(), "crowd");
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "crowd"), ("database", database.name())]));
    let (sqlstate, text) = only_error(&client.read_to_end());
    assert_eq!((&*sqlstate, &*text), ("53300", "too many connections for role \"crowd\""));
    direct.send(&message::terminate());
    eventually("the next one gets in", || {
        let mut client = howdah.raw();
        client.send(&message::startup(&[("user", "crowd"), ("database", database.name())]));
        let first = std::iter::from_fn(|| client.try_read().ok().flatten());
        first.take_while(|m| m.tag != b'E').find(|m| m.tag == b'Z')
    });
    drop(howdah);
    postgres().psql(&format!("drop database {} with (force); ", database.name())).unwrap();
    postgres().psql("drop role crowd").unwrap();
}

#[test]
fn a_pool_that_has_a_server_connection_survives_a_server_that_refuses_more() {
    let database = Database::create();
    database.psql("create role modest login connection limit 1");
    let howdah = Howdah::builder()
        .setting("pool_mode", "transaction")
        .secret("modest", "")
        .database(database.name(), &database.server())
        .start();
    let login = || {
        let mut client = howdah.raw();
        client.login(database.name(), "modest");
        client
    };
    let (mut one, mut two) = (login(), login());
    one.run("begin");
    two.send(&message::query("select 2"));
    eventually("the server has refused the second", || {
        howdah.log().contains("too many connections for role").then_some(())
    });
    one.run("commit");
    assert_eq!(first_value(&two.read_until_ready()), "2");
    drop((one, two, howdah));
    postgres().psql("drop role modest").unwrap();
}

fn told(text: &str) -> (String, String) {
    ("53300".to_owned(), text.to_owned())
}

/// What a client is told that is not let in.
fn refusal(howdah: &Howdah, database: &Database) -> (String, String) {
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres"), ("database", database.name())]));
    only_error(&client.read_to_end())
}

fn first_value(answer: &[Message]) -> String {
    let row = answer.iter().find(|m| m.tag == b'D').unwrap_or_else(|| panic!("no row but {answer:?}"));
    row.columns().remove(0).unwrap()
}

fn both(tags: &str) -> (String, String) {
    (tags.to_owned(), tags.to_owned())
}

/// How many server connections there are, as PostgreSQL sees it.
fn backends(database: &Database) -> usize {
    let count = "select count(*) from pg_stat_activity where backend_type = 'client backend' and datname = ";
    postgres().psql(&format!("{count} '{}'", database.name())).unwrap().parse().unwrap()
}
