//! Strict pools: where `session_state` says `close`, a server connection that keeps traces of a client which nothing takes
//! away is closed when that client leaves.

use howdah_tests::{Database, Howdah, Row, eventually, message, only_error};

#[test]
fn where_cleanliness_is_asked_for_the_server_connection_is_closed() {
    let database = Database::create();
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "1"),
        ("session_state", "temp:close, custom:close"),
    ];
    let howdah = Howdah::before(&database, &settings);
    for (text, reason) in [
        ("create temp table t () on commit drop", "temporary schema"),
        ("set app.tenant = '1'", "custom parameter"),
    ] {
        let mut client = howdah.client(&database);
        client.query(text);
        let pin = the_pin(&howdah);
        assert_eq!((pin.get("reason"), pin.get("statement").get(..3)), (reason, text.get(..3)));
        let backend = client.backend();
        drop(client);
        assert_ne!(howdah.client(&database).backend(), backend);
    }
}

/// Nobody finds the name of a custom parameter that somebody else has used, however it came to be known.
#[test]
fn not_even_the_name_of_a_custom_parameter_is_found_by_the_next_client() {
    let database = Database::create();
    database.psql(
        "create function within() returns text language sql as
            $$select set_config('app.tenant', '1', true)$$;
         create function computed(name text) returns text language plpgsql as
            $$begin execute format('set local %s = 1', name); return name; end$$",
    );
    let settings =
        [("pool_mode", "transaction"), ("default_pool_size", "1"), ("session_state", "custom:close")];
    let howdah = Howdah::before(&database, &settings);
    for text in [
        "set app.tenant = '1'",
        "begin; set app.tenant = '1'; rollback",
        "begin; set local app.tenant = '1'; commit",
        "select set_config('app.tenant', '1', true)",
        "prepare p as select set_config('app.tenant', '1', true); execute p",
        "reset app.tenant",
        "select within()",
        "select computed('app.tenant')",
        "do $$ begin execute 'set local app' || '.' || 'tenant = 1'; perform 'app.tenant'; end $$",
    ] {
        for extended in [false, true] {
            if extended && text.contains("; ") && !text.starts_with("do") {
                continue;
            }
            let mut client = howdah.client(&database);
            let backend = client.backend();
            if extended {
                let batch = [message::parse("", text), message::bind("", "", &[]), message::execute("", 0)];
                client.send(&[batch.concat(), message::sync()].concat());
                client.read_until_ready();
            } else {
                client.query(text);
            }
            assert_eq!(the_pin(&howdah).get("reason"), "custom parameter", "{text}");
            assert_eq!(client.backend(), backend, "{text}");
            drop(client);
            is_unknown(&howdah, &database, text);
        }
    }
    // By the values that are bound.
    let mut client = howdah.client(&database);
    let parse = message::parse("s", "select set_config($1, $2, true)");
    let bind = message::bind("", "s", &["app.tenant", "1"]);
    client.send(&[parse, bind, message::execute("", 0), message::sync()].concat());
    client.read_until_ready();
    the_pin(&howdah);
    drop(client);
    is_unknown(&howdah, &database, "set_config($1, $2, true)");
    // Brought along.
    for settings in [("app.tenant", "1"), ("options", "-c app.tenant=1")] {
        for _ in 0..2 {
            let mut client = howdah.raw();
            let who = [("user", "postgres"), ("database", database.name())];
            client.send(&message::startup(&[&who[..], &[settings]].concat()));
            client.welcome();
            is_unknown(&howdah, &database, "welcome");
            assert_eq!(client.value("show app.tenant"), "1");
            assert_eq!(the_pin(&howdah).get("statement"), "startup packet");
            drop(client);
            is_unknown(&howdah, &database, "startup packet");
        }
    }
    // What is none leaves the server connection alone.
    let mut client = howdah.client(&database);
    let backend = client.backend();
    for text in ["begin; set local work_mem = '1MB'; commit", "select set_config('work_mem', '1MB', true)"] {
        client.run(text);
    }
    drop(client);
    assert_eq!(howdah.client(&database).backend(), backend);
}

#[test]
fn where_custom_parameters_are_refused_those_of_a_transaction_are_too() {
    let database = Database::create();
    let howdah =
        Howdah::before(&database, &[("pool_mode", "transaction"), ("session_state", "custom:refuse")]);
    let mut client = howdah.client(&database);
    for text in ["set local app.tenant = 1", "select set_config('app.tenant', '1', true)"] {
        client.run("begin");
        assert_eq!(only_error(&client.query(text)).0, "0A000", "{text}");
        client.run("rollback");
    }
    for text in
        ["set local work_mem = '1MB'", "select set_config('work_mem', '1MB', true)", "reset app.tenant"]
    {
        client.run(text);
    }
}

/// The next client's server connection has never heard of the parameter.
#[track_caller]
fn is_unknown(howdah: &Howdah, database: &Database, before: &str) {
    let known = howdah.client(database).value("select current_setting('app.tenant', true) is null");
    assert_eq!(known, "t", "{before}");
}

/// The only pin there is, once there is one.
#[track_caller]
fn the_pin(howdah: &Howdah) -> Row {
    eventually("there is a pin", || {
        let mut pins = howdah.show("PINS");
        assert!(pins.len() < 2, "{pins:?}");
        pins.pop()
    })
}
