//! Clients that keep their server connection: who, why, since when, how many may, and what becomes of those who may
//! not; and what `session_state` says instead.

use howdah_tests::{Database, Howdah, Message, Row, eventually, message, only_error, tags};

/// Three server connections, of which two may be pinned.
fn pool_of_three(database: &Database, settings: &[(&str, &str)]) -> Howdah {
    let common = [("pool_mode", "transaction"), ("default_pool_size", "3"), ("max_pinned", "2")];
    Howdah::before(database, &[&common, settings].concat())
}

#[test]
fn each_pin_begins_is_explained_and_ends() {
    let database = Database::create();
    let howdah = pool_of_three(&database, &[]);
    let mut client = howdah.client(&database);
    client.run("set application_name = 'till'");
    for (begin, reason, object, statement, end) in [
        (
            "create temp table t (a text default 'secret')",
            "temporary object",
            "table t",
            "create temp table t (a text default '…')",
            "drop table t",
        ),
        (
            "create temp view v as select 1",
            "temporary object",
            "view v",
            "create temp view v as select 1",
            "discard temp",
        ),
        (
            "select pg_advisory_lock(7)",
            "session-level advisory lock",
            "0 7",
            "select pg_advisory_lock(7)",
            "select pg_advisory_unlock(7)",
        ),
        (
            "declare c cursor with hold for select 1",
            "cursor WITH HOLD",
            "c",
            "declare c cursor with hold for select 1",
            "close c",
        ),
        ("create temp table t ()", "temporary object", "table t", "create temp table t ()", "discard all"),
        (
            "begin; select 1; create temp table t (); commit",
            "temporary object",
            "table t",
            "begin; select 1; create temp table t (); commit",
            "drop table t",
        ),
    ] {
        client.query(begin);
        let pin = the_pin(&howdah);
        assert_eq!(pin.get("reason"), reason, "{begin}");
        assert!(pin.get("object").starts_with(object), "{begin}: {pin:?}");
        assert_eq!(pin.get("statement"), statement);
        assert_eq!((pin.get("database"), pin.get("user")), (database.name(), "postgres"));
        let backend = client.backend();
        assert_eq!(pin.get("remote_pid"), backend);
        client.query(end);
        no_pin(&howdah, end);
    }
    howdah.wait_for_log("client pinned");
    howdah.wait_for_log("client unpinned");
    let stats = howdah.shown("STATS", "database", database.name());
    assert_eq!(stats.number("total_pin_count"), 6);
    assert!(stats.number("total_pin_time") > 0);
    assert_eq!(stats.number("total_pin_refused_count"), 0);
}

#[test]
fn a_pin_ends_with_its_client_and_nothing_is_left_for_the_next() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let mut client = howdah.client(&database);
    client.run("create temp table t ()");
    client.run("select pg_advisory_lock(7)");
    let backend = client.backend();
    the_pin(&howdah);
    drop(client);
    no_pin(&howdah, "the client has gone");
    let mut next = howdah.client(&database);
    assert_eq!(next.backend(), backend);
    assert_eq!(next.value("select to_regclass('pg_temp.t') is null"), "t");
    assert_eq!(next.value("select count(*) from pg_locks where locktype = 'advisory'"), "0");
}

#[test]
fn setseed_pins_until_the_client_leaves_and_closes_the_server_connection() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let mut client = howdah.client(&database);
    client.run("select setseed(0.5)");
    let backend = client.backend();
    assert_eq!(the_pin(&howdah).get("statement"), "select setseed(0.5)");
    drop(client);
    assert_ne!(howdah.client(&database).backend(), backend);
}

#[test]
fn one_too_many_is_refused_and_others_are_served() {
    let database = Database::create();
    let howdah = pool_of_three(&database, &[]);
    let mut clients: Vec<_> = (0..4).map(|_| howdah.client(&database)).collect();
    clients[0].run("set application_name = 'till'");
    clients[0].run("create temp table a ()");
    the_pin(&howdah);
    clients[1].run("select pg_advisory_lock(1)");
    eventually("two are pinned", || (howdah.show("PINS").len() == 2).then_some(()));
    let ids: Vec<String> = howdah.show("PINS").iter().map(|pin| pin.get("client_id").to_owned()).collect();

    let answer = clients[2].query("create temp table c ()");
    assert_eq!(tags(&answer), "EZ");
    let (code, said) = only_error(&answer);
    assert_eq!(code, "53300");
    assert_eq!(said, "no server connection can be kept for this client (max_pinned): temporary objects");
    let detail = answer[0].field(b'D').unwrap();
    for named in
        [&format!("client {} (\"till\")", ids[0]), &format!("client {}", ids[1]), "table a", "advisory lock"]
    {
        assert!(detail.contains(named), "{named}: {detail}");
    }
    assert_eq!(clients[3].value("select 1"), "1");
    assert_eq!(clients[2].value("select 1"), "1");
    assert_eq!(clients[2].value("select to_regclass('pg_temp.c') is null"), "t");

    // In a transaction it fails like any statement, also in the extended protocol.
    clients[2].run("begin");
    let batch =
        [message::parse("", "create temp table c ()"), message::bind("", "", &[]), message::execute("", 0)];
    clients[2].send(&[batch.concat(), message::sync()].concat());
    let answer = clients[2].read_until_ready();
    assert_eq!((tags(&answer), only_error(&answer).0), ("1EZ".to_owned(), "53300".to_owned()));
    assert_eq!(only_error(&clients[2].query("select 1")).0, "25P02");
    assert_eq!(clients[2].run("rollback"), Vec::<String>::new());

    // Who is pinned already may do more; and when one is no more, there is room.
    clients[1].run("create temp table b ()");
    clients[0].run("drop table a");
    eventually("one has ended", || (howdah.show("PINS").len() == 1).then_some(()));
    clients[2].run("create temp table c ()");
    eventually("it has come", || (howdah.show("PINS").len() == 2).then_some(()));
    assert_eq!(howdah.shown("STATS", "database", database.name()).number("total_pin_refused_count"), 2);
}

/// Who comes second is refused while it is not yet certain that the first will be pinned.
#[test]
fn a_place_is_taken_before_the_statement_is_sent() {
    let database = Database::create();
    let howdah = pool_of_three(&database, &[("max_pinned", "1")]);
    let (mut first, mut second) = (howdah.client(&database), howdah.client(&database));
    let make = "create temp table t ()";
    for end in ["rollback", "commit", "vanish", "drop table t; commit"] {
        eventually("it has a place", || {
            first.run("begin");
            let made = tags(&first.query(make)) == "CZ";
            made.then_some(()).or_else(|| first.run("rollback").pop().map(drop))
        });
        assert!(howdah.show("PINS").is_empty(), "{end}");
        let answer = second.query(make);
        assert_eq!(only_error(&answer).0, "53300", "{end}");
        let detail = answer[0].field(b'D').unwrap();
        assert!(detail.starts_with("1 of at most 1 server connections"), "{detail}");
        if end == "vanish" {
            first = howdah.client(&database);
        } else {
            first.run(end);
        }
        if end == "commit" {
            assert_eq!(only_error(&second.query(make)).0, "53300");
            first.run("drop table t");
        }
        eventually("there is room", || (tags(&second.query(make)) == "CZ").then_some(()));
        assert_eq!(only_error(&first.query(make)).0, "53300", "{end}");
        second.run("drop table t");
    }
}

#[test]
fn one_too_many_that_no_text_told_of_is_ended() {
    let database = Database::create();
    let howdah = pool_of_three(&database, &[("max_pinned", "1")]);
    let (mut first, mut second) = (howdah.client(&database), howdah.client(&database));
    first.run("create temp table a ()");
    eventually("it is pinned", || (howdah.show("PINS").len() == 1).then_some(()));
    second.send(&message::query("do $$ begin execute 'create temp' || ' table b ()'; end $$"));
    let (code, said) = only_error(&second.read_to_end());
    assert_eq!(
        (code.as_str(), said.as_str()),
        ("53300", "no server connection can be kept for this client (max_pinned)")
    );
    howdah.wait_for_log("max_pinned");
    assert_eq!(howdah.show("PINS").len(), 1);
}

#[test]
fn pin_idle_timeout_ends_who_does_not_use_its_temp_table() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "1"), ("pin_idle_timeout", "0.3")];
    let howdah = Howdah::before(&database, &settings);
    let (mut pinned, mut other) = (howdah.client(&database), howdah.client(&database));
    pinned.run("create temp table t ()");
    other.send(&message::query("select to_regclass('pg_temp.t') is null"));
    let reason = "pin_idle_timeout: temporary object";
    assert_eq!(only_error(&pinned.read_to_end()), ("57P05".to_owned(), reason.to_owned()));
    assert_eq!(tags(&other.read_until_ready()), "TDCZ");
    howdah.wait_for_log(reason);
}

#[test]
fn what_is_refused_fails_like_any_statement() {
    let database = Database::create();
    let howdah = pool_of_three(
        &database,
        &[("session_state", "temp:refuse, locks:refuse, settings:refuse, listen:refuse")],
    );
    let mut client = howdah.client(&database);
    let answer = client.query("create temp table t ()");
    assert_eq!(tags(&answer), "EZ");
    let error = ("0A000".to_owned(), "not supported through this pool: temporary objects".to_owned());
    assert_eq!(only_error(&answer), error);
    assert!(answer[0].field(b'H').unwrap().contains("session_state"), "{answer:?}");
    for text in [
        "select pg_advisory_lock(1)",
        "set work_mem = '1MB'",
        "listen a",
        "select set_config('timezone', 'UTC', false)",
    ] {
        assert_eq!(only_error(&client.query(text)).0, "0A000", "{text}");
    }
    client.run("begin");
    client.run("set local work_mem = '1MB'");
    assert_eq!(only_error(&client.query("create temp table t ()")), error);
    assert_eq!(only_error(&client.query("create temp table t ()")).0, "25P02");
    client.run("rollback");
    let batch = |name: &str| {
        let parse = message::parse(name, "select pg_advisory_lock(1)");
        [parse, message::bind("", name, &[]), message::execute("", 0), message::sync()].concat()
    };
    for name in ["", "named"] {
        client.send(&batch(name));
        let answer = client.read_until_ready();
        assert_eq!((tags(&answer), only_error(&answer).0), ("1EZ".to_owned(), "0A000".to_owned()));
    }
    assert_eq!(client.value("select count(*) from pg_locks where locktype = 'advisory'"), "0");
    // What no text told of.
    client.send(&message::query("do $$ begin execute 'create temp' || ' table t ()'; end $$"));
    let told = client.read_to_end();
    assert_eq!(only_error(&told), error);
    assert_eq!(howdah.client(&database).value("select to_regclass('pg_temp.t') is null"), "t");
}

#[test]
fn what_is_warned_of_is_lost_and_not_found_by_others() {
    let database = Database::create();
    database.psql("create sequence s");
    let howdah = Howdah::before(
        &database,
        &[
            ("pool_mode", "transaction"),
            ("default_pool_size", "1"),
            (
                "session_state",
                "settings:warn, temp:warn, locks:warn, cursors:warn, listen:warn, seed:warn, role:warn, statements:warn",
            ),
        ],
    );
    let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
    let timezone = client.value("show timezone");
    for (text, kind) in [
        ("set work_mem = '77kB'", "changed settings"),
        ("create temp table t ()", "temporary objects"),
        ("select pg_advisory_lock(1)", "session-level advisory locks"),
        ("declare c cursor with hold for select 1", "cursors WITH HOLD"),
        ("listen a", "LISTEN"),
        ("set role pg_monitor", "role changes"),
        ("prepare p as select 1", "SQL-level prepared statements"),
        ("select currval('s') from generate_series(1, 0)", "currval and lastval"),
    ] {
        let answer = client.query(text);
        let told = format!("cannot be relied on beyond this transaction: {kind}");
        assert_eq!(warnings(&answer), [told], "{text}");
        client.query("deallocate all");
        assert_eq!(warnings(&client.query(text)), Vec::<String>::new(), "once");
    }
    client.run("set timezone = 'Asia/Tokyo'");
    for (look, nothing) in [
        ("show work_mem", "4MB"),
        ("show timezone", &*timezone),
        ("select to_regclass('pg_temp.t') is null", "t"),
        ("select count(*) from pg_locks where locktype = 'advisory'", "0"),
        ("select count(*) from pg_cursors where is_holdable", "0"),
        ("select count(*) from pg_listening_channels()", "0"),
        ("select count(*) from pg_prepared_statements where from_sql", "0"),
        ("select current_user", "postgres"),
    ] {
        assert_eq!(other.value(look), nothing, "{look}");
        assert_eq!(client.value(look), nothing, "{look}");
    }
    assert!(howdah.show("PINS").is_empty());
    let backend = client.backend();
    client.run("select setseed(0.5)");
    assert_ne!(client.backend(), backend);
}

#[test]
fn what_could_follow_can_be_pinned_instead() {
    let database = Database::create();
    let howdah = pool_of_three(
        &database,
        &[("session_state", "settings:pin, role:pin, statements:pin, listen:pin, sequences:pin")],
    );
    database.psql("create sequence s");
    let mut client = howdah.client(&database);
    for (begin, reason, end) in [
        ("set work_mem = '1MB'", "changed settings, pinned by session_state", "reset work_mem"),
        ("set timezone = 'Asia/Tokyo'", "changed settings, pinned by session_state", "reset timezone"),
        ("set role pg_monitor", "role changes, pinned by session_state", "reset role"),
        ("prepare p as select 1", "SQL-level prepared statements, pinned by session_state", "deallocate p"),
        ("listen a", "LISTEN, pinned by session_state", "unlisten a"),
        ("select nextval('s')", "sequence state", "discard all"),
    ] {
        client.query(begin);
        let pin = the_pin(&howdah);
        assert_eq!((pin.get("reason"), pin.get("statement").get(..10)), (reason, begin.get(..10)));
        client.query(end);
        no_pin(&howdah, end);
    }
}

#[test]
fn what_is_brought_to_another_server_connection_is_counted() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut one, mut other) = (howdah.client(&database), howdah.client(&database));
    one.run("set work_mem = '77kB'");
    assert_eq!(other.value("show work_mem"), "4MB");
    assert_eq!(one.value("show work_mem"), "77kB");
    let replays = || howdah.shown("STATS", "database", database.name()).number("total_state_replay_count");
    assert_eq!(eventually("both are counted", || Some(replays()).filter(|n| *n >= 2)), 2);
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

#[track_caller]
fn no_pin(howdah: &Howdah, after: &str) {
    eventually(after, || howdah.show("PINS").is_empty().then_some(()));
}

fn warnings(answer: &[Message]) -> Vec<String> {
    let notices = answer.iter().filter(|message| message.tag == b'N');
    notices.filter(|notice| notice.sqlstate() == "01000").map(|notice| notice.field(b'M').unwrap()).collect()
}
