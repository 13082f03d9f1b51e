//! Settings that only a superuser may make, in the session of somebody who is none: a function that acts for its owner
//! sets them, or a role that was one for a while. The client has them as on a direct connection, and nobody else ever
//! meets them.

use howdah_tests::{Database, Howdah, RawClient, eventually, only_error};

/// What may set, and how a client has it do so.
const WAYS: [&str; 5] = [
    "select as_owner()",
    "do $$ begin perform as_owner(); end $$",
    "begin; select as_owner(); commit",
    "set role mighty; set log_min_messages = 'fatal'; reset role",
    "begin; set role mighty; select set_config('log_min_messages', 'fatal', false); reset role; commit",
];

#[test]
fn it_is_the_clients_as_long_as_it_stays_and_nobody_elses() {
    let database = stage();
    for pool_size in [1, 2] {
        let howdah = howdah(&database, pool_size);
        for way in WAYS {
            let (mut one, mut other) = (client(&howdah, &database), client(&howdah, &database));
            other.run("set work_mem = '77kB'");
            one.query(way);
            assert_eq!(one.value("show log_min_messages"), "fatal", "{way}");
            let backend = one.backend();
            if pool_size > 1 {
                assert_ne!(other.value("begin; select pg_backend_pid()"), backend, "{way}");
                assert_eq!(other.value("show log_min_messages"), "warning", "{way}");
                other.run("commit");
                let pins =
                    eventually("it is pinned", || Some(howdah.show("PINS")).filter(|it| it.len() == 1));
                assert_eq!(pins[0].get("reason"), "setting that cannot follow the client", "{way}");
            }
            // As on a direct connection it cannot take it back.
            assert_eq!(only_error(&one.query("reset log_min_messages")).0, "42501", "{way}");
            assert_eq!(one.value("show log_min_messages"), "fatal", "{way}");
            assert_eq!(one.backend(), backend, "{way}");
            drop(one);
            let mut next = client(&howdah, &database);
            for client in [&mut other, &mut next] {
                assert_eq!(client.value("show log_min_messages"), "warning", "{way}");
            }
            if pool_size == 1 {
                assert_eq!(next.backend(), backend, "{way}: it is cleaned, not closed");
            }
            assert_eq!(other.value("show work_mem"), "77kB", "{way}");
        }
    }
}

#[test]
fn reset_all_takes_it_back() {
    let database = stage();
    let howdah = howdah(&database, 1);
    let (mut one, mut other) = (client(&howdah, &database), client(&howdah, &database));
    for text in ["reset all", "discard all", "set role mighty; reset log_min_messages; reset role"] {
        one.run("select as_owner()");
        eventually("it is pinned", || (howdah.show("PINS").len() == 1).then_some(()));
        one.query(text);
        assert_eq!(other.value("show log_min_messages"), "warning", "{text}");
        assert_eq!(one.value("show log_min_messages"), "warning", "{text}");
        assert!(howdah.show("PINS").is_empty(), "{text}");
    }
}

#[test]
fn where_changed_settings_are_lost_the_server_connection_is_closed() {
    let database = stage();
    let builder = Howdah::builder().database(database.name(), &database.server()).secret("plain", "");
    let builder = builder.setting("pool_mode", "transaction").setting("default_pool_size", 1);
    let howdah = builder.setting("session_state", "settings:warn").start();
    let (mut one, mut other) = (client(&howdah, &database), client(&howdah, &database));
    let backend = one.backend();
    one.run("select as_owner()");
    assert_eq!(other.value("show log_min_messages"), "warning");
    assert_ne!(one.backend(), backend);
    assert_eq!(one.value("show log_min_messages"), "warning");
}

#[test]
fn one_that_is_taken_back_leaves_no_trace() {
    let database = stage();
    let howdah = howdah(&database, 1);
    let (mut one, mut other) = (client(&howdah, &database), client(&howdah, &database));
    let backend = one.backend();
    for way in [
        "begin; select as_owner(); rollback",
        "select as_owner(), 1/0",
        "begin; savepoint s; select as_owner(); rollback to s; commit",
        "select locally()",
        "select back_and_forth()",
    ] {
        one.query(way);
        assert_eq!(other.value("show log_min_messages"), "warning", "{way}");
        assert_eq!((one.backend(), other.backend()), (backend.clone(), backend.clone()), "{way}");
        assert!(howdah.show("PINS").is_empty(), "{way}");
    }
}

/// Whoever is a superuser by role, or was given the right, takes such a setting from server connection to server
/// connection.
#[test]
fn who_may_make_it_is_not_tied() {
    let database = stage();
    let howdah = howdah(&database, 1);
    for way in [
        &["set role mighty", "set log_min_messages = 'fatal'"][..],
        &["set role mighty; set log_min_messages = 'fatal'"],
        &["set log_min_duration_statement = 7", "set role mighty", "set log_min_messages = 'fatal'"],
        &["set log_min_duration_statement = 7"],
    ] {
        let (mut one, mut other) = (client(&howdah, &database), client(&howdah, &database));
        way.iter().for_each(|text| drop(one.run(text)));
        let (look, backend) = (
            "select concat_ws(' ', current_user, current_setting('log_min_messages'), \
                                current_setting('log_min_duration_statement'))",
            one.backend(),
        );
        let own = one.value(look);
        assert!(own.contains("fatal") || own.ends_with(" 7ms"), "{own}");
        for _ in 0..2 {
            assert_eq!(other.value(look), "plain warning -1", "{way:?}");
            assert_eq!(one.value(look), own, "{way:?}");
            assert_eq!((one.backend(), other.backend()), (backend.clone(), backend.clone()), "{way:?}");
        }
    }
}

fn stage() -> Database {
    let database = Database::create();
    database.psql(
        "do $$ begin
            create role mighty superuser; create role plain login in role mighty;
            grant set on parameter log_min_duration_statement to plain;
        exception when duplicate_object or unique_violation then end $$",
    );
    database.psql(
        "create function as_owner() returns text language sql security definer
            as $$select set_config('log_min_messages', 'fatal', false)$$;
         create function locally() returns text language sql security definer
            as $$select set_config('log_min_messages', 'fatal', true)$$;
         create function back_and_forth() returns void language plpgsql security definer
            as $$begin perform as_owner(); reset log_min_messages; end$$",
    );
    database
}

fn howdah(database: &Database, pool_size: usize) -> Howdah {
    let builder = Howdah::builder().database(database.name(), &database.server()).secret("plain", "");
    let builder = builder.setting("pool_mode", "transaction").setting("default_pool_size", pool_size);
    // The next one may come before the last one's server connection is clean.
    builder.setting("max_pinned", 0).start()
}

fn client(howdah: &Howdah, database: &Database) -> RawClient {
    let mut client = howdah.raw();
    client.login(database.name(), "plain");
    client
}
