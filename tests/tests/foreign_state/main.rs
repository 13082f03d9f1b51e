//! Does any client ever see something of another's session, or lose something of its own?
//!
//! Many clients share few server connections in transaction mode. Each changes its session at random and looks at it
//! after every transaction; a twin on a direct connection does the same, and both have to see the same.
//!
//! `HOWDAH_WATCH_LOOKS` says how many looks are taken, `HOWDAH_WATCH_SEED` repeats what each client does (though not
//! how they meet).

mod changes;
mod client;
mod dice;
mod look;
mod twins;
mod watch;

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use howdah_tests::{Database, Howdah, RawClient, postgres};
use twins::Twins;
use watch::Watch;

#[test]
fn no_client_sees_anything_of_another_session() {
    let database = watched_database();
    // Through TCP, as the twins: some settings depend on that.
    let server = format!("host=127.0.0.1 port={} dbname={}", postgres().port(), database.name());
    let howdah = Howdah::builder()
        .database(database.name(), &server)
        .setting("pool_mode", "transaction")
        .setting("default_pool_size", 5)
        .setting("query_wait_timeout", 0)
        .setting("log_connections", 0)
        .setting("log_disconnections", 0)
        .secret("watch_super", "")
        .secret("watch_plain", "")
        .start();
    let watch = Watch::new(watch::number_from_env("HOWDAH_WATCH_LOOKS").unwrap_or(LOOKS));
    watch.run(&database, &|| RawClient::tcp(howdah.address()));
    watch.report();
}

#[test]
fn the_watch_sees_no_difference_between_two_direct_connections() {
    let database = watched_database();
    let watch = Watch::new(500);
    watch.run(&database, &direct);
    watch.report();
}

#[test]
fn the_watch_sees_every_kind_of_foreign_state() {
    let database = watched_database();
    let leaks = [
        ("set work_mem = '7MB'", r#"foreign: ["setting", "work_mem", "7MB"]"#),
        ("set watch.mark = 'theirs'", r#"foreign: ["setting", "watch.mark", "theirs"]"#),
        ("set join_collapse_limit = 1", r#"foreign: ["any setting", "join_collapse_limit", "1"]"#),
        ("set role watch_red", r#"foreign: ["user", "watch_red", "watch_super"]"#),
        ("set session authorization watch_red", r#"foreign: ["user", "watch_red", "watch_red"]"#),
        (
            "prepare theirs as select 1",
            r#"foreign: ["statement", "theirs", "prepare theirs as select 1 {}"]"#,
        ),
        ("listen theirs", r#"foreign: ["channel", "theirs", ""]"#),
        ("select pg_advisory_lock(0, 7)", r#"foreign: ["lock", "0", "7ExclusiveLock"]"#),
        ("create temp table theirs (n int)", r#"foreign: ["temporary", "theirs", "r"]"#),
        ("declare theirs cursor with hold for select 1", r#"foreign: ["cursor", "theirs", "#),
    ];
    for (serial, (leak, expected)) in leaks.into_iter().enumerate() {
        let parameters = [("user", "watch_super"), ("database", database.name())];
        let mut twins = Twins::login(direct(), direct(), serial, &parameters).expect("equal logins");
        twins.look().expect("nothing foreign yet");
        twins.meddle(leak);
        let seen = twins.look().expect_err(leak);
        assert!(seen.details.iter().any(|row| row.starts_with(expected)), "{leak}: {:#?}", seen.details);
    }
}

fn direct() -> RawClient {
    RawClient::tcp((Ipv4Addr::LOCALHOST, postgres().port()).into())
}

/// A database with a function and a procedure that change settings; the roles are there once for all.
fn watched_database() -> Database {
    static ROLES: OnceLock<()> = OnceLock::new();
    let database = Database::create();
    ROLES.get_or_init(|| {
        database.psql(
            "create role watch_super superuser login; create role watch_plain login;
             create role watch_red; create role watch_blue; grant watch_red, watch_blue to watch_plain",
        );
    });
    database.psql(
        "create schema watch;
         grant usage on schema watch to public;
         create function watch.change(name text, value text) returns void language plpgsql as
             'begin perform set_config(name, value, false); end';
         create procedure watch.alter(name text, value text) language plpgsql as
             'begin perform set_config(name, value, false); end'",
    );
    database
}

/// How many looks are taken when nobody says otherwise.
const LOOKS: usize = 5_000;
