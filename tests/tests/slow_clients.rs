//! Clients that read or send as slowly as can be, or not at all: each gets what it asked for to the byte, everybody
//! else is served meanwhile by the same worker, and none of it costs memory or work.

use std::net::SocketAddrV4;
use std::ops::RangeInclusive;
use std::time::Duration;

use howdah_tests::{
    Database, Howdah, HowdahBuilder, Message, RawClient, eventually, message, only_error, psql, tags,
};

#[test]
fn who_reads_a_byte_at_a_time_gets_every_byte_and_holds_up_nobody() {
    let database = Database::create();
    let howdah = pool_of(2, &database).start();
    let big = "select repeat(md5(n::text), 500) from generate_series(1, 1000) n";
    let mut direct = database.direct();
    let expected: Vec<u8> = direct.query(big).iter().flat_map(Message::bytes).collect();
    let (mut witness, mut slow) = (howdah.client(&database), narrow_client(&howdah, &database));
    witness.run("select 1");
    let before = howdah.rss_kib();

    slow.send(&message::query(big));
    stuck(&mut direct, 1..=1);
    let mut got = Vec::new();
    for n in 0..200 {
        got.extend(slow.read_bytes(1));
        assert_eq!(witness.value(&format!("select {n}")), n.to_string());
        if n % 50 == 0 {
            // At a byte a second this is how most of the time would pass.
            howdah.wait_for_rest();
        }
    }
    for _ in 0..5000 {
        got.extend(slow.read_bytes(1));
    }
    stuck(&mut direct, 1..=1);
    modest(&howdah, before);
    got.extend(slow.read_bytes(expected.len() - got.len()));
    assert!(got == expected, "a byte is wrong, or missing");
    assert_eq!(slow.value("select 'and on'"), "and on");
    whole(&howdah, &database, 2);
}

#[test]
fn who_sends_a_byte_at_a_time_is_answered_like_everybody() {
    let (database, twin) = (Database::create(), Database::create());
    let howdah = pool_of(1, &database).setting("auth_type", "plain").secret("postgres", "geheim").start();
    let (mut slow, mut direct) = (howdah.raw(), twin.direct());
    slow.dribble(&message::ssl_request());
    assert_eq!(slow.read_byte(), b'N');
    slow.dribble(&message::startup(&[("user", "postgres"), ("database", database.name())]));
    assert_eq!(slow.expect(b'R').body, [0, 0, 0, 3]);
    slow.dribble(&message::password("geheim"));
    assert!(tags(&slow.welcome()).ends_with("KZ"));

    for (messages, end) in conversation() {
        slow.dribble(&messages);
        direct.send(&messages);
        assert_eq!(read_up_to(&mut slow, end), read_up_to(&mut direct, end));
    }
    // Who has asked for a long time is not asked to hurry when it is cancelled, or leaves.
    slow.send(&message::query("select pg_sleep(600)"));
    stuck_in(&mut database.direct(), "PgSleep", 1..=1);
    howdah.raw().dribble(&message::cancel_request(&slow.cancel_key));
    assert_eq!(only_error(&slow.read_until_ready()).0, "57014");
    slow.dribble(&message::terminate());
    assert_eq!(slow.read_to_end(), []);
    eventually("one server connection is left", || (database.backends() == 1).then_some(()));
    let conninfo = format!("{} password=geheim", howdah.conninfo(database.name(), "postgres"));
    assert_eq!(psql(&conninfo, "select 'served'").unwrap(), "served");
}

#[test]
fn who_has_not_finished_asking_holds_no_server_connection() {
    let database = Database::create();
    let howdah = pool_of(1, &database).start();
    let (mut slow, mut witness) = (howdah.client(&database), howdah.client(&database));
    let before = message::query("select 'before'");
    let batch = |first: Vec<u8>| [first, message::sync()].concat();
    slow.send(&batch(message::parse("s", "select 'asked'")));
    assert_eq!(tags(&slow.read_until_ready()), "1Z");
    let requests = [
        (message::query("select 'asked'"), "TDCZ"),
        (batch(message::parse("", "select 'asked'")), "1Z"),
        (batch(message::bind("", "s", &[])), "2Z"),
        (batch(message::describe(b'S', "s")), "tTZ"),
        (batch(message::close(b'S', "")), "3Z"),
        (message::tagged(b'F', &[0, 0, 7, 0xea, 0, 0, 0, 0, 0, 0]), "VZ"),
    ];
    for (request, answer) in requests {
        let first = usize::from_be_bytes([0, 0, 0, 0, request[1], request[2], request[3], request[4]]) + 1;
        for cut in [1, 5, first - 1] {
            let what = request.escape_ascii();
            slow.dribble(&request[..cut]);
            assert_eq!(witness.value("select 'served'"), "served", "{cut} bytes of {what}");
            slow.send(&request[cut..]);
            assert_eq!(tags(&slow.read_until_ready()), answer, "{what}");

            // The same, behind something that is whole.
            slow.send(&[&before, &request[..cut]].concat());
            assert_eq!(tags(&slow.read_until_ready()), "TDCZ");
            assert_eq!(witness.value("select 'served'"), "served", "{cut} bytes of {what} behind a query");
            slow.send(&request[cut..]);
            assert_eq!(tags(&slow.read_until_ready()), answer, "{what}");
        }
    }
}

#[test]
fn who_never_reads_its_gigabyte_holds_up_nobody_and_leaves_nothing() {
    let database = Database::create();
    let howdah = pool_of(2, &database).start();
    let mut direct = database.direct();
    let mut witness = howdah.client(&database);
    whole(&howdah, &database, 2);
    let before = howdah.rss_kib();
    for leaving in [Leaving::Vanishes, Leaving::SaysGoodbye, Leaving::StopsSending, Leaving::IsThrownOut] {
        let mut deaf = howdah.client(&database);
        deaf.send(&message::query(GIGABYTE));
        stuck(&mut direct, 1..=1);
        for n in 0..100 {
            assert_eq!(witness.value(&format!("select {n}")), n.to_string());
        }
        howdah.wait_for_rest();
        modest(&howdah, before);
        leave(&howdah, deaf, leaving);
        stuck(&mut direct, 0..=0);
        whole(&howdah, &database, 2);
    }
    modest(&howdah, before);
}

#[test]
fn a_crowd_that_never_reads_costs_no_memory() {
    const CROWD: usize = 20;
    let database = Database::create();
    let howdah = pool_of(CROWD + 1, &database).start();
    whole(&howdah, &database, CROWD + 1);
    let mut witness = howdah.client(&database);
    let before = howdah.rss_kib();
    let mut crowd: Vec<RawClient> = (0..CROWD).map(|_| howdah.client(&database)).collect();
    crowd.iter_mut().for_each(|deaf| deaf.send(&message::query(GIGABYTE)));
    stuck(&mut database.direct(), CROWD..=CROWD);
    assert_eq!(witness.value("select 'served'"), "served");
    howdah.wait_for_rest();
    modest(&howdah, before);
    drop(crowd);
    whole(&howdah, &database, CROWD + 1);
    modest(&howdah, before);
}

#[test]
fn who_asks_on_and_on_and_reads_no_answer_is_heard_no_more() {
    let database = Database::create();
    let howdah = pool_of(2, &database).start();
    let mut witness = howdah.client(&database);
    whole(&howdah, &database, 2);
    let before = howdah.rss_kib();
    let batch = [
        message::parse("", "select repeat('x', 1000)"),
        message::bind("", "", &[]),
        message::execute("", 0),
        message::sync(),
    ];
    for question in [message::query("select repeat('x', 1000)"), batch.concat()] {
        let mut deaf = howdah.client(&database);
        deaf.set_timeout(Duration::from_millis(100));
        let many = question.repeat(1000);
        let heard = (0..100_000).take_while(|_| deaf.try_send(&many).is_ok()).count();
        assert!(heard < 100_000, "it could ask for ever");
        howdah.wait_for_rest();
        assert_eq!(witness.value("select 'served'"), "served");
        modest(&howdah, before);
        drop(deaf);
        whole(&howdah, &database, 2);
    }
}

/// Howdah with one worker before this database, and so many server connections for all.
fn pool_of(size: usize, database: &Database) -> HowdahBuilder {
    Howdah::builder()
        .database(database.name(), &database.server())
        .setting("pool_mode", "transaction")
        .setting("workers", 1)
        .setting("default_pool_size", size)
}

/// A client for which the kernel keeps next to nothing.
fn narrow_client(howdah: &Howdah, database: &Database) -> RawClient {
    let mut client =
        RawClient::tcp_with_a_small_buffer(SocketAddrV4::new([127, 0, 0, 1].into(), howdah.port()));
    client.login(database.name(), "postgres");
    client
}

/// Everything a client says between login and goodbye, and what the answer to it ends with.
fn conversation() -> Vec<(Vec<u8>, u8)> {
    let run = |sql| (message::query(sql), b'Z');
    let prepared = [
        message::parse_typed("s", "select $1 || 'y', $2", &[25, 25]),
        message::describe(b'S', "s"),
        message::bind("p", "s", &["x", "z"]),
        message::describe(b'P', "p"),
        message::execute("p", 0),
        message::close(b'P', "p"),
        message::sync(),
    ];
    let again = [message::bind("", "s", &["again", ""]), message::execute("", 1), message::sync()];
    let wrong = [message::parse("", "select 1 from nowhere"), message::execute("", 0), message::sync()];
    let flushed = [message::bind("", "s", &["half", "way"]), message::flush()];
    let rest = [message::execute("", 0), message::sync()];
    let copy_in = [message::copy_data(b"1\n2\n"), message::copy_data(b"3\n"), message::copy_done()];
    let failed = [message::copy_data(b"4\n"), message::copy_fail("changed my mind")];
    vec![
        run("create table t (n int)"),
        run("select 'one', null; select 'two'; select 1 / 0; select 'three'"),
        (prepared.concat(), b'Z'),
        (again.concat(), b'Z'),
        (wrong.concat(), b'Z'),
        (flushed.concat(), b'2'),
        (rest.concat(), b'Z'),
        (message::query("copy t from stdin"), b'G'),
        (copy_in.concat(), b'Z'),
        (message::query("copy t from stdin"), b'G'),
        (failed.concat(), b'Z'),
        run("copy t to stdout"),
        run("begin"),
        run("insert into t values (5)"),
        (message::sync(), b'Z'),
        run("select sum(n) from t"),
        run("rollback"),
        run("select sum(n) from t"),
        run(""),
    ]
}

fn read_up_to(client: &mut RawClient, end: u8) -> Vec<Message> {
    let mut answer = vec![client.read()];
    while answer.last().is_some_and(|last| last.tag != end) {
        answer.push(client.read());
    }
    answer
}

/// How a client goes that has not read.
enum Leaving {
    Vanishes,
    SaysGoodbye,
    StopsSending,
    IsThrownOut,
}

fn leave(howdah: &Howdah, mut client: RawClient, how: Leaving) {
    match how {
        Leaving::Vanishes => {}
        Leaving::SaysGoodbye => client.send(&message::terminate()),
        Leaving::StopsSending => {
            client.stop_sending();
            eventually("it has been noticed", || howdah.show("CLIENTS").len().eq(&2).then_some(()));
        }
        Leaving::IsThrownOut => {
            let clients = howdah.show("CLIENTS");
            let deaf =
                clients.iter().find(|row| row.get("state") == "active" && row.get("database") != "pgbouncer");
            howdah.console(&format!("KILL_CLIENT {}", deaf.unwrap().get("id")));
            eventually("it is gone", || howdah.show("CLIENTS").len().eq(&2).then_some(()));
        }
    }
}

/// Waits until so many backends cannot get rid of their answers.
fn stuck(direct: &mut RawClient, count: RangeInclusive<usize>) {
    stuck_in(direct, "ClientWrite", count);
}

/// Waits until so many backends of this database wait for this.
fn stuck_in(direct: &mut RawClient, event: &str, count: RangeInclusive<usize>) {
    let ask = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event = '{event}'"
    );
    eventually("backends wait", || count.contains(&direct.value(&ask).parse().unwrap()).then_some(()));
}

/// So many server connections, and no more, can be had at the same time.
#[track_caller]
fn whole(howdah: &Howdah, database: &Database, size: usize) {
    let mut clients: Vec<RawClient> = (0..size).map(|_| howdah.client(database)).collect();
    for client in &mut clients {
        client.run("begin");
    }
    let pool = howdah.pool(database).expect("a pool that is used is shown");
    assert_eq!(pool.number("sv_active"), size as u64, "{pool:?}");
    for client in &mut clients {
        assert_eq!(client.value("select 'served'"), "served");
        client.run("commit");
    }
}

#[track_caller]
fn modest(howdah: &Howdah, before: u64) {
    let after = howdah.rss_kib();
    assert!(after < before + MODEST_KIB, "{before} KiB resident before, {after} KiB after");
}

/// A thousand rows of a megabyte.
const GIGABYTE: &str = "select repeat('x', 1000000) from generate_series(1, 1000)";
/// What serving may cost, in KiB, however much is asked for.
const MODEST_KIB: u64 = 8 * 1024;
