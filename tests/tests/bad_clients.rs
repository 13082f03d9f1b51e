//! Clients that misbehave: each is told what is wrong, none costs memory that stays, everybody else is served.

use std::net::TcpStream;

use howdah_tests::{Database, Howdah, Message, RawClient, eventually, message, only_error, tags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_first_packet_that_is_none_gets_a_clear_error() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let with_len = |len: i32| [&len.to_be_bytes()[..], &[0, 3, 0, 0, b'u', 0]].concat();
    let bad: [(&str, Vec<u8>, &str); 9] = [
        ("negative length", with_len(-1), "invalid length of startup packet"),
        ("no length", with_len(0), "invalid length of startup packet"),
        ("too short", with_len(7), "invalid length of startup packet"),
        ("too long", with_len(100_000), "invalid length of startup packet"),
        (
            "another protocol",
            b"GET / HTTP/1.1\r\nHost: howdah\r\n\r\n".to_vec(),
            "invalid length of startup packet",
        ),
        (
            "protocol 2",
            message::startup_with(2 << 16, &[("user", "postgres")]),
            "unsupported frontend protocol 2.0",
        ),
        ("no end", message::startup(&[("user", "postgres")])[..17].to_vec(), ""),
        ("no user", message::startup(&[("database", "x")]), "no username supplied"),
        ("a query instead", message::query("select 1"), "invalid length of startup packet"),
    ];
    for (what, bytes, text) in bad {
        let mut client = howdah.raw();
        client.send(&bytes);
        if text.is_empty() {
            // Half a packet is no mistake yet.
            continue;
        }
        let (_, said) = only_error(&client.read_to_end());
        assert!(said.contains(text), "{what}: {said}");
    }
    fine(&howdah, &database);
}

#[test]
fn encryption_is_asked_for_once() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let mut client = howdah.raw();
    client.send(&message::gss_enc_request());
    assert_eq!(client.read_byte(), b'N');
    client.send(&message::ssl_request());
    assert_eq!(client.read_byte(), b'N');
    client.send(&message::ssl_request());
    assert_eq!(only_error(&client.read_to_end()).0, "08P01");
    fine(&howdah, &database);
}

#[test]
fn what_is_no_password_gets_a_clear_error() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .setting("auth_type", "plain")
        .secret("postgres", "geheim")
        .database(database.name(), &database.server())
        .start();
    let bad: [(&str, Vec<u8>, &str, &str); 5] = [
        ("a query", message::query("select 1"), "08P01", "expected password response"),
        ("a wrong password", message::password("falsch"), "28P01", "password authentication failed"),
        ("no password", message::password(""), "28P01", "empty password"),
        ("a huge one", vec![b'p', 0x7f, 0xff, 0xff, 0xff], "08P01", "invalid length of password response"),
        ("a negative one", vec![b'p', 0xff, 0xff, 0xff, 0xff], "08P01", ""),
    ];
    for (what, bytes, sqlstate, text) in bad {
        let mut client = howdah.raw();
        client.send(&message::startup(&[("user", "postgres"), ("database", database.name())]));
        client.expect(b'R');
        client.send(&bytes);
        let said = only_error(&client.read_to_end());
        assert!(said.0 == sqlstate && said.1.contains(text), "{what}: {said:?}");
    }
}

#[test]
fn what_a_client_may_not_say_after_login_gets_a_clear_error() {
    let database = Database::create();
    for mode in ["session", "transaction"] {
        let howdah = Howdah::before(&database, &[("pool_mode", mode)]);
        let mut witness = howdah.client(&database);
        witness.run("begin");
        for (what, bytes, text) in improper() {
            for busy in [false, true] {
                let mut client = howdah.client(&database);
                if busy {
                    client.run("begin");
                }
                client.send(&bytes);
                let answer = client.read_to_end();
                let (sqlstate, said) = only_error(&answer);
                assert_eq!(sqlstate, "08P01", "{what}: {said}");
                assert!(said.contains(text), "{what}: {said}");
            }
        }
        assert_eq!(witness.value("select 'undisturbed'"), "undisturbed");
    }
}

#[test]
fn bodies_that_make_no_sense_are_answered_and_the_server_connection_stays_fit() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "1")];
    let howdah = Howdah::before(&database, &settings);
    let bodies: [&[u8]; 7] =
        [b"", b"\0", b"x", b"\xff\xfe\0", b"\0\0", b"name\0text", b"\0\0\xff\xff\0\0\0\0"];
    for tag in *b"QPBDECF" {
        for body in bodies {
            let mut client = howdah.client(&database);
            client.send(&[message::tagged(tag, body), message::sync(), message::terminate()].concat());
            let answer = client.read_to_end();
            let answered = tags(&answer);
            let fine = (tag == b'Q' || tag == b'P' || tag == b'C') && !answered.contains('E');
            assert!(
                fine || answered.contains('E'),
                "{} {}: {answer:?}",
                char::from(tag),
                body.escape_ascii()
            );
        }
    }
    fine(&howdah, &database);
}

#[test]
fn a_message_cut_off_anywhere_leaves_nothing_behind() {
    let database = Database::create();
    database.psql("create table t (n int)");
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "2")];
    let howdah = Howdah::before(&database, &settings);
    let batch = [
        message::parse("s", "insert into t values ($1::int)"),
        message::bind("", "s", &["1"]),
        message::execute("", 0),
    ];
    let whole = batch.concat();
    for cut in 0..whole.len() {
        let mut client = howdah.client(&database);
        client.send(&whole[..cut]);
    }
    assert_eq!(fine(&howdah, &database).value("select count(*) from t"), "0");
}

#[test]
fn ten_thousand_bad_clients_leave_no_memory_behind() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("log_pooler_errors", "0")]);
    let startup = message::startup(&[("user", "postgres"), ("database", database.name())]);
    let unknown = message::startup(&[("user", "nobody"), ("database", "nowhere")]);
    let kinds: [Vec<u8>; 6] = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        startup[..9].to_vec(),
        unknown,
        [&startup[..], &message::tagged(b'%', b"nonsense")].concat(),
        [&startup[..], b"Q\xff\xff\xff\xff"].concat(),
    ];
    let visit = |times: usize| {
        for turn in 0..times {
            let kind = &kinds[turn % kinds.len()];
            let mut client = howdah.raw();
            client.send(kind);
            if !kind.starts_with(&startup[..9]) || kind.len() > 9 {
                let said = client.read_to_end();
                assert!(said.iter().any(|m| m.tag == b'E'), "kind {}: {said:?}", turn % kinds.len());
            }
        }
        nobody_is_left(&howdah);
    };
    visit(1000);
    let before = howdah.rss_kib();
    visit(10_000);
    let after = howdah.rss_kib();
    print(&format!("resident: {before} KiB after 1,000 bad clients, {after} KiB after 10,000 more"));
    assert!(after < before + 2048, "{before} KiB before, {after} KiB after");
    fine(&howdah, &database);
}

#[test]
fn five_thousand_half_open_logins_hold_up_nobody() {
    let crowd = raise_descriptor_limit(5000);
    let database = Database::create();
    // Kept back by the kernel, most of them would crowd its queue and not Howdah.
    let settings = [("pool_mode", "transaction"), ("max_client_conn", "6000"), ("tcp_defer_accept", "0")];
    let howdah = Howdah::before(&database, &settings);
    let mut served = howdah.client(&database);
    served.run("select 1");
    let before = howdah.rss_kib();
    let startup = message::startup(&[("user", "postgres"), ("database", database.name())]);
    let mut half_open = Vec::new();
    for number in 0..crowd {
        let mut client = TcpStream::connect(howdah.address()).unwrap();
        // Some say nothing, some say half of it.
        std::io::Write::write_all(&mut client, &startup[..number % 12]).unwrap();
        half_open.push(client);
        if number % 500 == 0 {
            assert_eq!(served.value(&format!("select {number}")), number.to_string());
        }
    }
    eventually("all are at the door", || {
        let lists = howdah.show("LISTS");
        let login = lists.iter().find(|row| row.get("list") == "login_clients")?.number("items");
        (login >= crowd as u64).then_some(())
    });
    let during = howdah.rss_kib();
    print(&format!("resident: {before} KiB before, {during} KiB with {crowd} half-open logins"));
    assert!(
        during < before + 16 * crowd as u64,
        "{before} KiB before, {during} KiB with {crowd} half-open logins"
    );
    assert_eq!(fine(&howdah, &database).value("select 2"), "2");
    drop(half_open);
    nobody_is_left(&howdah);
}

/// Messages that no client may send once it is logged in, and what is said of them.
fn improper() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
        ("unknown", message::tagged(b'%', b"what"), "unexpected message of type '%'"),
        ("a server's message", message::tagged(b'Z', b"I"), "unexpected message of type 'Z'"),
        ("a password", message::password("late"), "unexpected message of type 'p'"),
        ("no type", vec![0, 0, 0, 0, 8, 0, 3, 0, 0], "unexpected message of type"),
        ("a negative length", vec![b'Q', 0xff, 0xff, 0xff, 0xff], "protocol violation"),
        ("a length below its own", vec![b'Q', 0, 0, 0, 3], "protocol violation"),
        ("a second startup packet", message::startup(&[("user", "postgres")]), ""),
    ]
}

/// Somebody is served.
fn fine(howdah: &Howdah, database: &Database) -> RawClient {
    let mut client = howdah.client(database);
    let answer: Vec<Message> = client.query("select 'fine'");
    assert_eq!(tags(&answer), "TDCZ", "{answer:?}");
    client
}

fn nobody_is_left(howdah: &Howdah) {
    eventually("the door is empty", || {
        let lists = howdah.show("LISTS");
        lists.iter().find(|row| row.get("list") == "login_clients" && row.get("items") == "0").cloned()
    });
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture: what bad clients cost")]
fn print(fact: &str) {
    println!("{fact}");
}

/// As many connections as the limit allows this test and the Howdah it starts, at most `wanted`.
fn raise_descriptor_limit(wanted: usize) -> usize {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).unwrap();
    let spare = hard.map_or(u64::MAX, |hard| hard.saturating_sub(500));
    wanted.min(usize::try_from(spare).unwrap_or(usize::MAX))
}
