//! Drivers and ORMs that lean on session state, unchanged, in transaction mode: each program works on a direct
//! connection, and then through a pool of fewer server connections than it has clients, which change under them.
//!
//! The programs check every answer themselves (`tests/drivers/session`). Here is checked that they were tested: that
//! through the pool one client really was served by several server connections, and directly by one.

use std::sync::Once;

use howdah_tests::{Database, Howdah, postgres, run_driver};

#[test]
fn psycopg_keeps_its_session() {
    as_if_direct("session/psycopg_session.py");
}

#[test]
fn asyncpg_keeps_its_session() {
    as_if_direct("session/asyncpg_session.py");
}

#[test]
fn sqlalchemy_keeps_its_sessions() {
    as_if_direct("session/sqlalchemy_session.py");
}

#[test]
fn django_keeps_its_sessions() {
    as_if_direct("session/django_session.py");
}

#[test]
fn node_postgres_keeps_its_session() {
    as_if_direct("session/node_session.js");
}

#[test]
fn ruby_pg_keeps_its_session() {
    as_if_direct("session/ruby_session.rb");
}

#[test]
fn jdbc_keeps_its_session() {
    as_if_direct("session/JdbcSession.java");
}

fn as_if_direct(script: &str) {
    let database = tenants();
    let Some(said) = run_driver(script, &database.tcp_conninfo()) else { return };
    assert_eq!(most_backends(&said), 1, "{said}");

    let database = tenants();
    let howdah = Howdah::before(
        &database,
        &[
            ("pool_mode", "transaction"),
            ("default_pool_size", &POOL_SIZE.to_string()),
            ("max_client_conn", "200"),
            // A program that waits in vain shall be told, not hang.
            ("query_wait_timeout", "20"),
        ],
    );
    let conninfo = howdah.conninfo(database.name(), "postgres");
    let said = run_driver(script, &conninfo).expect("what ran directly runs through Howdah");
    assert!(most_backends(&said) > 1, "{said}");
    assert!(database.backends() <= POOL_SIZE);
}

/// On how many server connections the program saw the client that has been on most.
fn most_backends(said: &str) -> usize {
    let line = said.lines().find_map(|line| line.strip_prefix("backends: ")).expect("the program reports");
    line.parse().expect("a count is a number")
}

/// The database of an application with two tenants, each with a schema and a role.
fn tenants() -> Database {
    static ROLES: Once = Once::new();
    ROLES.call_once(|| {
        let created = postgres().psql("create role tenant_a; create role tenant_b");
        created.unwrap_or_else(|error| panic!("{error}"));
    });
    let database = Database::create();
    database.psql(TENANTS);
    database
}

/// Two that stir, two or three whose sessions are compared, one for listeners: fewer than any program has clients.
const POOL_SIZE: usize = 5;

const TENANTS: &str = "
create schema tenant_a;
create schema tenant_b;
create table tenant_a.who as select 'a' as name;
create table tenant_b.who as select 'b' as name;
create table public.who as select 'nobody' as name;
grant usage, create on schema tenant_a, tenant_b to public;
grant select on tenant_a.who, tenant_b.who, public.who to public;
create type public.mood as enum ('low', 'high');
";
