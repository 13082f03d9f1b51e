//! The harness itself, tried on PostgreSQL directly.

use howdah_tests::{Database, RawClient, eventually, message, postgres, psql, run_driver};

#[test]
fn a_raw_client_logs_in_through_both_doors() {
    for mut client in [RawClient::tcp(postgres().address()), RawClient::unix(&postgres().socket_path())] {
        let welcome = client.login("postgres", "postgres");
        assert!(welcome.iter().any(|m| m.tag == b'S' && m.first_string() == "server_version"));
        assert_eq!(client.cancel_key.len(), 8);
        let answer = client.query("select 'a', null, 3");
        let row = answer.iter().find(|m| m.tag == b'D').unwrap();
        assert_eq!(row.columns(), [Some("a".to_owned()), None, Some("3".to_owned())]);
        client.send(&[message::parse("", "select $1 || 'x'"), message::bind("", "", &["y"])].concat());
        client.send(&[message::execute("", 0), message::sync()].concat());
        let answer = client.read_until_ready();
        assert_eq!(answer.iter().find(|m| m.tag == b'D').unwrap().columns(), [Some("yx".to_owned())]);
    }
}

#[test]
fn ssl_is_refused_with_a_byte_and_the_conversation_goes_on() {
    let mut client = RawClient::tcp(postgres().address());
    client.send(&message::ssl_request());
    assert_eq!(client.read_byte(), b'N');
    client.login("postgres", "postgres");
}

#[test]
fn each_test_has_a_database_of_its_own_that_goes_with_it() {
    let (one, two) = (Database::create(), Database::create());
    one.psql("create table t as select 1 as n");
    assert_eq!(one.psql("select n from t"), "1");
    assert_eq!(two.psql("select count(*) from pg_tables where tablename = 't'"), "0");
    let name = one.name().to_owned();
    let mut guest = RawClient::unix(&postgres().socket_path());
    guest.login(&name, "postgres");
    drop(one);
    assert_eq!(
        postgres().psql(&format!("select count(*) from pg_database where datname='{name}'")).unwrap(),
        "0"
    );
}

#[test]
fn members_of_the_auth_roles_need_their_password() {
    let database = Database::create();
    postgres().psql("create role guarded login password 'geheim' in role auth_scram").unwrap();
    let conninfo = postgres().conninfo_for(database.name(), "guarded");
    let refusal = psql(&format!("{conninfo} password=falsch"), "select 1").unwrap_err();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    assert_eq!(psql(&format!("{conninfo} password=geheim"), "select current_user").unwrap(), "guarded");
    postgres().psql("drop role guarded").unwrap();
}

#[test]
fn a_state_is_waited_for() {
    let mut looks = 0;
    let found = eventually("the third look", || {
        looks += 1;
        (looks == 3).then_some("here")
    });
    assert_eq!(found, "here");
}

#[test]
fn psycopg_works_without_a_pooler() {
    run_driver("psycopg_check.py", &Database::create().conninfo());
}

#[test]
fn asyncpg_works_without_a_pooler() {
    run_driver("asyncpg_check.py", &Database::create().conninfo());
}

#[test]
#[should_panic(expected = "psycopg_check.py failed")]
fn a_driver_that_fails_is_noticed() {
    run_driver(
        "psycopg_check.py",
        &format!("{} connect_timeout=5", postgres().conninfo_for("no_such_database", "postgres")),
    );
}
