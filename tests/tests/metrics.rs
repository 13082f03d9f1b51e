//! `/metrics`: the numbers of SHOW for Prometheus, and strangers who ask for something else.

use std::io::{Read, Write};
use std::net::TcpStream;

use howdah_tests::{
    Database, Howdah, HowdahBuilder, Metrics, Page, Signal, eventually, message, only_error, psql,
    run_driver, tags,
};

/// Transaction mode with two server connections, of which one may be pinned.
fn pool_of_two(database: &Database) -> HowdahBuilder {
    let builder = Howdah::builder().database(database.name(), &database.server()).metrics();
    let builder = builder.setting("pool_mode", "transaction").setting("default_pool_size", 2);
    builder.setting("max_pinned", 1)
}

/// The pool of user `postgres`.
struct Pool<'a>(&'a Howdah, &'a Database);

impl Pool<'_> {
    fn number(&self, name: &str, more: &[(&str, &str)]) -> Option<f64> {
        let labels = [&[("database", self.1.name()), ("user", "postgres")], more].concat();
        self.0.metrics().find(name, &labels)
    }

    #[track_caller]
    fn comes_to(&self, name: &str, more: &[(&str, &str)], expected: f64) {
        eventually(&format!("{name} {more:?} is {expected}"), || {
            (self.number(name, more) == Some(expected)).then_some(())
        });
    }
}

#[test]
fn pins_are_seen_while_they_live_and_counted_in_time() {
    let database = Database::create();
    let howdah = pool_of_two(&database).start();
    let pool = Pool(&howdah, &database);
    let (mut client, mut other) = (howdah.client(&database), howdah.client(&database));
    client.run("select 1");
    assert_eq!(pool.number("howdah_longest_pin_seconds", &[]), Some(0.0));
    assert_eq!(pool.number("howdah_max_pinned", &[]), Some(1.0));
    let temp = [("reason", "temporary object")];
    assert_eq!(pool.number("howdah_pins_total", &temp), None);
    for (begin, reason, end, times) in [
        ("create temp table t ()", "temporary object", "drop table t", 1.0),
        ("select pg_advisory_lock(7)", "session-level advisory lock", "select pg_advisory_unlock(7)", 1.0),
        ("create temp table t ()", "temporary object", "discard temp", 2.0),
    ] {
        let reason = [("reason", reason)];
        client.query(begin);
        pool.comes_to("howdah_pinned_clients", &reason, 1.0);
        assert_eq!(pool.number("howdah_pins_total", &reason), Some(times));
        let seconds = || pool.number("howdah_pinned_seconds_total", &reason).unwrap();
        let before = seconds();
        assert!(seconds() > before, "time goes on");
        assert!(pool.number("howdah_longest_pin_seconds", &[]).unwrap() > 0.0);
        assert_eq!(only_error(&other.query("create temp table u ()")).0, "53300");
        client.query(end);
        pool.comes_to("howdah_pinned_clients", &reason, 0.0);
        let after = seconds();
        assert!(after > before);
        assert_eq!(seconds(), after, "time has stopped");
        assert_eq!(pool.number("howdah_longest_pin_seconds", &[]), Some(0.0));
        assert_eq!(pool.number("howdah_pins_total", &reason), Some(times));
    }
    assert_eq!(pool.number("howdah_pins_refused_total", &[]), Some(3.0));
    // What SHOW says of the same.
    let stats = howdah.shown("STATS", "database", database.name());
    let seconds = |reason| pool.number("howdah_pinned_seconds_total", &[("reason", reason)]).unwrap();
    let sum = seconds("temporary object") + seconds("session-level advisory lock");
    assert!((sum * 1e6 - stats.number("total_pin_time") as f64).abs() <= 1.0, "{sum} {stats:?}");
    assert_eq!(stats.number("total_pin_count"), 3);
}

#[test]
fn the_page_says_what_show_says() {
    let database = Database::create();
    let howdah = pool_of_two(&database).start();
    let pool = Pool(&howdah, &database);
    let (mut one, mut two, mut waiting) =
        (howdah.client(&database), howdah.client(&database), howdah.client(&database));
    let name = database.name();
    for _ in 0..5 {
        assert_eq!(one.value("select 1"), "1");
    }
    one.run("begin");
    two.run("begin");
    waiting.send(&message::query("select 1"));
    pool.comes_to("howdah_pool_clients", &[("state", "waiting")], 1.0);
    assert_eq!(pool.number("howdah_pool_servers", &[("state", "active")]), Some(2.0));
    assert_eq!(pool.number("howdah_pool_servers", &[("state", "idle")]), Some(0.0));
    let waited = || pool.number("howdah_pool_oldest_wait_seconds", &[]).unwrap();
    let before = waited();
    assert!(waited() > before);
    one.run("commit");
    assert_eq!(tags(&waiting.read_until_ready()), "TDCZ");
    two.run("commit");
    pool.comes_to("howdah_pool_oldest_wait_seconds", &[], 0.0);
    pool.comes_to("howdah_pool_servers", &[("state", "idle")], 2.0);
    // The harness has looked in before, without a word.
    let gone = |why| howdah.metrics().find("howdah_client_closes_total", &[("reason", why)]).unwrap_or(0.0);
    let (vanished, left) = (gone("client unexpected eof"), gone("client close request"));
    drop(waiting);
    one.send(&message::terminate());
    eventually("both are counted", || {
        let counted = (gone("client unexpected eof"), gone("client close request"));
        (counted == (vanished + 1.0, left + 1.0)).then_some(())
    });

    // Nobody does anything now, so that both say the same.
    let (page, stats) = (howdah.metrics(), howdah.shown("STATS", "database", name));
    for (metric, column, unit) in [
        ("howdah_queries_total", "total_query_count", 1.0),
        ("howdah_transactions_total", "total_xact_count", 1.0),
        ("howdah_client_received_bytes_total", "total_received", 1.0),
        ("howdah_client_sent_bytes_total", "total_sent", 1.0),
        ("howdah_query_seconds_total", "total_query_time", 1e6),
        ("howdah_transaction_seconds_total", "total_xact_time", 1e6),
        ("howdah_wait_seconds_total", "total_wait_time", 1e6),
        ("howdah_server_assignments_total", "total_server_assignment_count", 1.0),
        ("howdah_client_logins_total", "total_client_login_count", 1.0),
    ] {
        let (metric, column) = (page.number(metric, &[("database", name)]) * unit, stats.number(column));
        assert!((metric - column as f64).abs() < 0.5 && column > 0, "{metric} {column}");
    }
    assert!(page.number("howdah_wait_seconds_total", &[("database", name)]) >= before);
    assert_eq!(page.number("howdah_database_pool_size", &[("database", name)]), 2.0);
    assert_eq!(page.number("howdah_database_max_servers", &[("database", name)]), f64::INFINITY);
    assert_eq!((page.number("howdah_clients", &[]), page.number("howdah_max_clients", &[])), (1.0, 100.0));
    assert_eq!(page.number("howdah_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let resident = page.number("process_resident_memory_bytes", &[]) / 1024.0;
    assert!((resident / howdah.rss_kib() as f64 - 1.0).abs() < 0.5, "{resident}");
    assert!(page.number("process_open_fds", &[]) > 5.0);
    howdah.console(&format!("PAUSE {name}"));
    assert_eq!(howdah.metrics().number("howdah_database_paused", &[("database", name)]), 1.0);
}

#[test]
fn a_real_parser_reads_it_and_finds_what_the_book_tells() {
    let database = Database::create();
    // Names as nasty as the file allows.
    let howdah = pool_of_two(&database).database(r#""sh""op\n {x=1},""#, &database.server()).start();
    let mut client = howdah.client(&database);
    client.run("create temp table t ()");
    let mut nasty = howdah.raw();
    nasty.login(r#"sh"op\n {x=1},"#, "postgres");
    nasty.run("select 1");
    eventually("it is pinned", || howdah.metrics().find("howdah_pins_total", &[]));
    run_driver("metrics_check.py", &format!("http://{}/metrics", howdah.metrics_address()));
}

#[test]
fn no_secret_is_told() {
    let database = Database::create();
    let server = format!("{} user=postgres password=geheim1", database.server());
    let howdah = Howdah::builder()
        .database(database.name(), &server)
        .setting("auth_type", "plain")
        .secret("ann", "geheim2")
        .metrics()
        .start();
    let guess = format!("{} password=geheim3", howdah.conninfo(database.name(), "ann"));
    psql(&guess, "select 1").unwrap_err();
    let refused = [("reason", "client login failed")];
    eventually("it is counted", || howdah.metrics().find("howdah_client_closes_total", &refused));
    let told = howdah.metrics().0;
    assert!(told.contains("howdah_user_clients{user=\"ann\"} 0"), "{told}");
    assert!(!told.contains("geheim"), "{told}");
}

#[test]
fn strangers_get_what_is_there_and_an_error_for_the_rest() {
    let database = Database::create();
    let howdah = pool_of_two(&database).start();
    let address = howdah.metrics_address();
    let ask = |text: &str| Page::ask(address, text.as_bytes());
    let head = ask("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
    assert_eq!(Page::get(address, "/metrics?match=x").status, 200);
    assert_eq!(ask("GET /metrics HTTP/1.0\r\n\r\n").status, 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "HOWDAH"] {
        let page = ask(&format!("{method} /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!((page.status, page.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    for path in ["/", "/metrics/", "/Metrics", "//metrics", "/metrics%00", "/../etc/passwd"] {
        assert_eq!(Page::get(address, path).status, 404, "{path}");
    }
    // A body is not waited for.
    let posted = ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nx");
    assert_eq!(posted.status, 405);
    let garbage: [&[u8]; 5] = [
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff",
        b"GET\r\n",
        b"\r\n\r\nx y z\r\n",
    ];
    for garbage in garbage {
        let page = Page::ask(address, &[garbage, b"\r\n\r\n"].concat());
        assert_eq!(page.status, 400, "{garbage:?}: {page:?}");
    }
    // More than one wants to hear: the connection ends, with an error if that arrives.
    let long = |what: &str| {
        let page = ask(&format!("{what}{}", "x".repeat(4 << 20)));
        assert!([0, 414, 431].contains(&page.status), "{page:?}");
    };
    long("GET /");
    long("GET /metrics HTTP/1.1\r\nHost: a\r\nCookie: ");
    let many = ask(&format!("GET /metrics HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5000)));
    assert!([0, 431].contains(&many.status), "{many:?}");
    // Two in one: the first is answered, and that is all.
    let twice = ask(&"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    assert_eq!((twice.status, twice.body.matches("# HELP howdah_build_info").count()), (200, 1));
    let Metrics(page) = howdah.metrics();
    assert!(page.contains("howdah_panics_total 0\n"));
    assert_eq!(howdah.client(&database).value("select 1"), "1");
}

#[test]
fn who_says_nothing_is_sent_away_and_holds_up_no_client() {
    let database = Database::create();
    let howdah = pool_of_two(&database).start();
    let address = howdah.metrics_address();
    let mut client = howdah.client(&database);
    let begun = b"GET /metrics HTTP/1.1\r\nX: ";
    let mut silent: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (said, stream) in silent.iter_mut().enumerate() {
        stream.write_all(&begun[..said.min(begun.len())]).unwrap();
    }
    assert_eq!(client.value("select 1"), "1");
    // It stands in line behind sixty, of whom half leave when their time is over.
    assert_eq!(
        howdah.metrics().number("howdah_pool_clients", &[("state", "active"), ("user", "postgres")]),
        1.0
    );
    let mut first = silent.remove(0);
    first.set_nonblocking(true).unwrap();
    assert_eq!(first.read(&mut [0]).expect("it was not served before the first had gone"), 0);
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn nobody_listens_unless_told_to() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    assert_eq!(howdah.shown("CONFIG", "key", "metrics_port").get("value"), "0");
    assert_eq!(howdah.shown("CONFIG", "key", "metrics_addr").get("value"), "127.0.0.1");
    assert_eq!(listening(&howdah), [howdah.port()]);
    let told = pool_of_two(&database).start();
    let mut expected = [told.port(), told.metrics_address().port()];
    expected.sort_unstable();
    assert_eq!(listening(&told), expected);
    told.wait_for_log(&format!("answering http://{}/metrics", told.metrics_address()));
}

#[test]
fn a_door_that_cannot_be_opened_stops_the_start() {
    let failure = Howdah::builder().metrics().setting("metrics_addr", "192.0.2.1").try_start().unwrap_err();
    assert!(failure.log.contains("metrics_port: cannot listen on 192.0.2.1:"), "{}", failure.log);
    assert_eq!(failure.log.matches("os error").count(), 1, "the reason, once: {}", failure.log);
}

#[test]
fn the_door_closes_with_the_clients_doors() {
    let database = Database::create();
    let mut howdah = pool_of_two(&database).start();
    let mut client = howdah.client(&database);
    howdah.signal(Signal::TERM);
    let address = howdah.metrics_address();
    eventually("the next one could listen there", || TcpStream::connect(address).is_err().then_some(()));
    assert_eq!(client.value("select 1"), "1");
    drop(client);
    assert!(howdah.wait_for_exit().success());
}

/// The TCP ports that this process listens on, as the kernel sees it.
fn listening(howdah: &Howdah) -> Vec<u16> {
    let files = std::fs::read_dir(format!("/proc/{}/fd", howdah.pid())).unwrap();
    let sockets: Vec<String> = files
        .filter_map(|file| std::fs::read_link(file.unwrap().path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", howdah.pid())).unwrap();
    let mut ports: Vec<u16> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields[3] == "0A" && sockets.iter().any(|inode| inode == fields[9]))
        .map(|fields| u16::from_str_radix(fields[1].split_once(':').unwrap().1, 16).unwrap())
        .collect();
    ports.sort_unstable();
    ports
}
