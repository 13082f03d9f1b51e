//! Messages larger than any buffer are streamed: Howdah's memory does not grow with them.

use howdah_tests::{Database, Howdah, Message, eventually, message, tags};

const POOL_OF_ONE: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "1")];
const MEGABYTE: usize = 1024 * 1024;
/// What serving may cost, in KiB, however much is served.
const MODEST_KIB: u64 = 16 * 1024;

#[test]
fn a_hundred_megabytes_in_one_value() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    client.run("select 1");
    let before = howdah.rss_kib();
    client.send(&message::query("select repeat('x', 100 * 1024 * 1024)"));
    client.expect(b'T');
    let row = client.expect(b'D');
    assert_eq!(row.body.len(), 100 * MEGABYTE + 6);
    assert_eq!(tags(&client.read_until_ready()), "CZ");
    modest(&howdah, before);
}

#[test]
fn a_hundred_megabytes_in_many_rows() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    client.run("select 1");
    let before = howdah.rss_kib();
    client.send(&message::query("select repeat('y', 1000) from generate_series(1, 100000)"));
    client.expect(b'T');
    let mut rows = 0;
    loop {
        match client.read() {
            Message { tag: b'D', body } => rows += usize::from(body.len() == 1006),
            other => break assert_eq!(other.tag, b'C'),
        }
    }
    assert_eq!((rows, client.expect_ready()), (100_000, b'I'));
    modest(&howdah, before);
}

#[test]
fn fifty_megabytes_in_one_parameter() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let (mut client, mut next) = (howdah.client(&database), howdah.client(&database));
    next.run("select 1");
    let before = howdah.rss_kib();
    let parameter = "z".repeat(50 * MEGABYTE);
    for statement in ["", "named"] {
        client.send(&message::parse(statement, "select length($1::text), md5($1)"));
        client.send(&message::bind("", statement, &[&parameter]));
        client.send(&[message::execute("", 0), message::sync()].concat());
        let answer = client.read_until_ready();
        assert_eq!(tags(&answer), "12DCZ");
        assert_eq!(answer[2].columns()[0], Some((50 * MEGABYTE).to_string()));
    }
    modest(&howdah, before);
    assert_eq!(next.value("select 1"), "1");
}

#[test]
fn a_text_too_large_to_be_kept_is_prepared_all_the_same() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &POOL_OF_ONE);
    let mut client = howdah.client(&database);
    let text = format!("select length('{}')", "t".repeat(2 * MEGABYTE));
    client.send(&[message::parse("large", &text), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "1Z");
    client.send(&[message::bind("", "large", &[]), message::execute("", 0), message::sync()].concat());
    let answer = client.read_until_ready();
    assert_eq!(answer[1].columns()[0], Some((2 * MEGABYTE).to_string()));
    client.send(&message::query(&text));
    assert_eq!(tags(&client.read_until_ready()), "TDCZ");
}

#[test]
fn who_reads_slowly_holds_up_nobody_and_no_memory() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let (mut slow, mut other) = (howdah.client(&database), howdah.client(&database));
    other.run("select 1");
    let before = howdah.rss_kib();
    slow.send(&message::query("select repeat('x', 1000) from generate_series(1, 100000)"));
    slow.expect(b'T');
    let mut direct = database.direct();
    let stopped = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite' and datname = current_database()";
    eventually("the server waits for the slow reader", || (direct.value(stopped) == "1").then_some(()));
    for n in 0..100 {
        assert_eq!(other.value(&format!("select {n}")), n.to_string());
    }
    modest(&howdah, before);
    let rest = slow.read_until_ready();
    assert_eq!(rest.len(), 100_002);
}

#[test]
fn large_values_of_many_reach_those_who_asked_for_them() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("workers", "1"), ("default_pool_size", "4")];
    let howdah = Howdah::before(&database, &settings);
    let questions: Vec<_> = (0..8)
        .map(|n| {
            let rows = format!("select repeat(md5('{n} of ' || i), 20000 * i) from generate_series(1, 5) i");
            message::query(&if n % 2 == 0 { rows } else { format!("copy ({rows}) to stdout") })
        })
        .collect();
    let mut direct = database.direct();
    let mut answer_to = |question: &Vec<u8>| {
        direct.send(question);
        direct.read_until_ready().iter().flat_map(Message::bytes).collect()
    };
    let answers: Vec<Vec<u8>> = questions.iter().map(&mut answer_to).collect();
    let mut clients: Vec<_> = questions.iter().map(|_| howdah.client(&database)).collect();
    std::thread::scope(|scope| {
        for (n, client) in clients.iter_mut().enumerate() {
            let (question, answer) = (&questions[n], &answers[n]);
            scope.spawn(move || {
                client.send(question);
                let mut got = Vec::new();
                // Some take all there is, others a little at a time.
                let at_once = [MEGABYTE, 100_000, 7_000][n % 3];
                while got.len() < answer.len() {
                    got.extend(client.read_bytes(at_once.min(answer.len() - got.len())));
                }
                assert!(got == *answer, "client {n} got something else");
            });
        }
    });
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.value(&format!("select {n}")), n.to_string());
    }
}

#[test]
fn max_packet_size_is_kept() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("max_packet_size", "100000")];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.client(&database);
    assert_eq!(client.value(&format!("select length('{}')", "x".repeat(90_000))), "90000");
    client.send(&message::query(&format!("select '{}'", "x".repeat(100_000)))[..50_000]);
    let error = client.read_to_end();
    assert_eq!(tags(&error), "E");
    assert!(error[0].text().contains("larger than allowed"), "{}", error[0].text());
}

#[track_caller]
fn modest(howdah: &Howdah, before: u64) {
    let after = howdah.rss_kib();
    assert!(after < before + MODEST_KIB, "{before} KiB resident before, {after} KiB after");
}
