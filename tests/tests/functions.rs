//! Functions that change the session they are called in, in transaction mode: their texts do not show it, so the
//! database is asked what its functions do.

use howdah_tests::{Database, Howdah, RawClient, eventually, message};

const TWO: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "2")];

#[test]
fn what_functions_set_follows_the_client() {
    let (database, howdah) = stage();
    for (call, setting) in [
        ("select in_plpgsql()", "search_path"),
        ("select in_sql()", "app.who"),
        ("select calls_in_sql()", "app.who"),
        ("select run_text()", "search_path"),
        ("select * from shown", "app.who"),
        ("insert into watched values (1)", "app.who"),
        ("insert into child values (1)", "app.who"),
    ] {
        for protocol in [simple, unnamed, named] {
            let mut client = howdah.client(&database);
            let mut other = howdah.client(&database);
            protocol(&mut client, call);
            let query = format!("select coalesce(current_setting('{setting}', true), '')");
            let elsewhere = other.value("begin; select pg_backend_pid()");
            let (value, backend) = (client.value(&query), client.backend());
            assert!(value == "elsewhere" || value == "anna", "{call}: {value:?}");
            assert_ne!(backend, elsewhere, "{call}: there are two");
            other.run("commit");
            let foreign = other.value(&query);
            assert!(foreign.is_empty() || foreign == "\"$user\", public", "{call}: {foreign:?}");
            client.send(&message::terminate());
        }
    }
}

#[test]
fn what_functions_leave_behind_keeps_the_server_connection() {
    let (database, howdah) = stage();
    for (call, still_there, end) in [
        (
            "select locks()",
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
            "select unlocks()",
        ),
        ("select makes_temp()", "select count(*) from made", "drop table made"),
    ] {
        for protocol in [simple, unnamed, named] {
            let mut client = howdah.client(&database);
            let mut other = howdah.client(&database);
            protocol(&mut client, call);
            let backend = client.backend();
            assert_ne!(other.value("begin; select pg_backend_pid()"), backend, "{call}");
            assert_eq!(
                (client.value(still_there).as_str(), client.backend()),
                ("1", backend.clone()),
                "{call}"
            );
            protocol(&mut client, end);
            other.run("commit");
            let mut third = howdah.client(&database);
            let both = [other.value("begin; select pg_backend_pid()"), third.backend()];
            assert!(both.contains(&backend), "{end}: it can be had again, {both:?}");
            other.run("commit");
        }
    }
}

#[test]
fn a_function_made_while_howdah_runs_is_known_at_once() {
    let (database, howdah) = stage();
    let mut maker = howdah.client(&database);
    let mut caller = howdah.client(&database);
    caller.send(&[message::parse("s", "select fresh()"), message::sync()].concat());
    caller.read_until_ready();
    for number in 0..3 {
        let value = format!("made{number}");
        maker.run(&format!(
            "create or replace function fresh() returns void language plpgsql as \
             $$begin perform set_config('search_path', '{value}', false); end$$"
        ));
        caller.run("select fresh()");
        assert_follows(&mut caller, &mut maker, &value);
        caller.run("reset search_path");
        named_again(&mut caller);
        assert_follows(&mut caller, &mut maker, &value);
        caller.run("reset search_path");
    }
}

#[test]
fn a_function_made_and_called_in_one_transaction_is_noticed() {
    let (database, howdah) = stage();
    let (mut maker, mut other) = (howdah.client(&database), howdah.client(&database));
    maker.run("begin");
    maker.run("create function at_once() returns void language sql as $$set search_path = made$$");
    maker.run("select at_once()");
    maker.run("commit");
    assert_follows(&mut maker, &mut other, "made");
}

#[test]
fn what_uses_a_function_by_a_default_is_known_too() {
    let (database, howdah) = stage();
    let (mut maker, mut caller) = (howdah.client(&database), howdah.client(&database));
    eventually("nothing is asked any more", || {
        nothing_is_asked_after(&mut caller, &database, "select 1").then_some(())
    });
    maker.run("create table with_default (a int default calls_in_sql())");
    eventually("nothing is asked any more", || {
        nothing_is_asked_after(&mut caller, &database, "select 1").then_some(())
    });
    caller.run("insert into with_default default values");
    let mut other = howdah.client(&database);
    other.run("begin; select 1");
    assert_eq!(caller.value("select current_setting('app.who', true)"), "anna");
    other.run("commit");
}

#[test]
fn settings_of_a_function_itself_cost_nothing() {
    let (database, howdah) = stage();
    let mut client = howdah.client(&database);
    for call in ["select own_path()", "select own_path_in_plpgsql()", "select harmless()"] {
        assert!(nothing_is_asked_after(&mut client, &database, call), "{call}");
    }
    assert!(!nothing_is_asked_after(&mut client, &database, "select in_sql()"));
}

#[test]
fn after_a_change_statements_are_trusted_again_soon() {
    let (database, howdah) = stage();
    let mut client = howdah.client(&database);
    client.run("create function another() returns int language sql as 'select 1'");
    for call in ["select 1", "select another()"] {
        eventually("nothing is asked any more", || {
            nothing_is_asked_after(&mut client, &database, call).then_some(())
        });
    }
}

#[test]
fn a_server_that_refuses_is_asked_on_and_served() {
    let database = Database::create();
    database.psql("create role blind login; revoke select on pg_catalog.pg_proc from public");
    let howdah = Howdah::builder()
        .database(database.name(), &format!("{} user=blind", database.server()))
        .setting("pool_mode", "transaction")
        .start();
    let mut client = howdah.client(&database);
    assert_eq!(client.value("select 1"), "1");
    let log = howdah.wait_for_log("what functions do to a session cannot be asked");
    assert!(log.contains("permission denied"), "{log}");
}

/// A database whose functions change sessions, and Howdah before it with two server connections.
fn stage() -> (Database, Howdah) {
    let database = Database::create();
    database.psql(SCHEMA);
    let howdah = Howdah::before(&database, &TWO);
    (database, howdah)
}

fn simple(client: &mut RawClient, sql: &str) {
    client.run(sql);
}

fn unnamed(client: &mut RawClient, sql: &str) {
    extended(client, "", sql);
}

fn named(client: &mut RawClient, sql: &str) {
    extended(client, "s", sql);
    client.send(&[message::close(b'S', "s"), message::sync()].concat());
    client.read_until_ready();
}

fn extended(client: &mut RawClient, name: &str, sql: &str) {
    client.send(&[message::parse(name, sql), message::sync()].concat());
    client.read_until_ready();
    execute(client, name);
}

fn named_again(client: &mut RawClient) {
    execute(client, "s");
}

fn execute(client: &mut RawClient, name: &str) {
    client.send(&[message::bind("", name, &[]), message::execute("", 0), message::sync()].concat());
    let replies = client.read_until_ready();
    assert!(replies.iter().all(|reply| reply.tag != b'E'), "{replies:?}");
}

/// The client's `search_path` is this wherever it goes, and nobody else's.
/// PostgreSQL has no list of custom parameters: one whose name stands in no text cannot be carried.
#[test]
fn a_parameter_whose_name_a_function_puts_together_keeps_the_server_connection() {
    for sql in [
        "select by_key('who', 'anna')",
        "insert into keyed values ('who', 'anna')",
        "select in_text('who', 'anna')",
        "do $$ declare k text := 'who'; begin perform set_config('app.' || k, 'anna', false); end $$",
        "do $$ declare k text := 'who'; begin execute 'set app.' || k || ' = ''anna'''; end $$",
    ] {
        let (database, howdah) = stage();
        let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
        client.run(sql);
        let backend = client.backend();
        for _ in 0..3 {
            other.run("begin");
            assert_eq!(client.value("select current_setting('app.who', true)"), "anna", "{sql}");
            assert_eq!(client.backend(), backend, "{sql}");
            assert_eq!(
                other.value("select coalesce(current_setting('app.who', true), 'nothing')"),
                "nothing"
            );
            other.run("commit");
        }
        client.send(&message::terminate());
        let gone = format!("select count(*) from pg_stat_activity where pid = {backend}");
        eventually("it is closed", || (database.psql(&gone).trim() == "0").then_some(()));
    }
}

#[test]
fn a_parameter_whose_name_is_handed_to_a_function_follows_its_client() {
    for sql in ["select by_name('app.who', 'anna')", "select by_name_in_text('app.who', 'anna')"] {
        let (database, howdah) = stage();
        let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
        client.run(sql);
        let backend = client.backend();
        other.run("begin");
        assert_eq!(other.backend(), backend, "{sql}");
        assert_eq!(client.value("select current_setting('app.who', true)"), "anna", "{sql}");
        assert_eq!(other.value("select current_setting('app.who', true)"), "", "{sql}");
    }
}

#[track_caller]
fn assert_follows(client: &mut RawClient, other: &mut RawClient, value: &str) {
    for _ in 0..2 {
        let elsewhere = other.value("begin; select pg_backend_pid()");
        assert_eq!(client.value("show search_path"), value);
        assert_ne!(client.backend(), elsewhere);
        other.run("commit");
        assert_eq!(other.value("show search_path"), "\"$user\", public");
    }
}

/// A transaction of this text is the last that its backend hears of.
fn nothing_is_asked_after(client: &mut RawClient, database: &Database, sql: &str) -> bool {
    let marked = format!("{sql} /* {} */", client.backend());
    client.run(&marked);
    let pid = client.backend();
    client.run(&marked);
    let last = database.psql(&format!("select query from pg_stat_activity where pid = {pid}"));
    last.trim() == marked
}

const SCHEMA: &str = "
    create schema elsewhere;
    create function fresh() returns void language sql as 'select';
    create function harmless() returns int language plpgsql as $$begin return 1; end$$;
    create function own_path() returns int language sql set search_path = pg_catalog as 'select 1';
    create function own_path_in_plpgsql() returns int language plpgsql
        set search_path = pg_catalog set app.own = 1 as $$begin return 1; end$$;
    create function in_plpgsql() returns void language plpgsql as $$begin set search_path = elsewhere; end$$;
    create function in_sql() returns text language sql as $$select set_config('app.who', 'anna', false)$$;
    create function calls_in_sql() returns int language plpgsql as $$begin perform in_sql(); return 1; end$$;
    create function run_text() returns void language plpgsql as $$begin execute 'set search_path = elsewhere'; end$$;
    create view shown as select in_sql();
    create table watched (a int);
    create function watch() returns trigger language plpgsql as $$begin perform in_sql(); return new; end$$;
    create trigger watch before insert on watched for each row execute function watch();
    create view child as select a from watched;
    create function locks() returns void language plpgsql as $$begin perform pg_advisory_lock(7); end$$;
    create function unlocks() returns bool language sql as $$select pg_advisory_unlock(7)$$;
    create function by_key(key text, value text) returns text language sql as
        $$select set_config('app.' || key, value, false)$$;
    create function by_name(name text, value text) returns text language sql as
        $$select set_config(name, value, false)$$;
    create function in_text(key text, value text) returns void language plpgsql as
        $$begin execute format('set app.%I = %L', key, value); end$$;
    create function by_name_in_text(name text, value text) returns void language plpgsql as
        $$begin execute format('set %s = %L', name, value); end$$;
    create table keyed (key text, value text);
    create function keep() returns trigger language plpgsql as
        $$begin perform by_key(new.key, new.value); return new; end$$;
    create trigger keep before insert on keyed for each row execute function keep();
    create function makes_temp() returns void language plpgsql as
        $$begin create temp table made as select 1; end$$;
";
