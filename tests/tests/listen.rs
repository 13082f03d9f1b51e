//! LISTEN, NOTIFY and UNLISTEN in transaction mode: as on a direct connection, though no server connection is the
//! client's own.

use howdah_tests::{Database, Howdah, Message, RawClient, Signal, eventually, message, only_error, tags};

/// A Howdah in transaction mode with a pool that its clients have to share.
fn pooled(database: &Database, size: u32) -> Howdah {
    Howdah::before(database, &[("pool_mode", "transaction"), ("default_pool_size", &size.to_string())])
}

/// Sender, channel and payload.
#[derive(Debug, PartialEq, Eq, Clone)]
struct Notification {
    pid: u32,
    channel: String,
    payload: String,
}

fn notification(message: &Message) -> Notification {
    assert_eq!(char::from(message.tag), 'A', "{message:?}");
    let (pid, rest) = message.body.split_first_chunk::<4>().expect("a PID");
    let mut texts = rest.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
    Notification {
        pid: u32::from_be_bytes(*pid),
        channel: texts.next().expect("a channel"),
        payload: texts.next().expect("a payload"),
    }
}

/// The PID a client was given.
fn pid(client: &RawClient) -> u32 {
    u32::from_be_bytes(*client.cancel_key.first_chunk().expect("a cancel key"))
}

/// What a client is sent next, as channel and payload.
#[track_caller]
fn hears(client: &mut RawClient) -> (String, String) {
    let heard = notification(&client.expect(b'A'));
    (heard.channel, heard.payload)
}

fn pair(channel: &str, payload: &str) -> (String, String) {
    (channel.to_owned(), payload.to_owned())
}

/// Nothing has come to the client: the next it gets is the answer to its question, or what that round brings.
#[track_caller]
fn hears_nothing(client: &mut RawClient) {
    assert_eq!(tags(&client.query("select 1")), "TDCZ");
}

#[test]
fn a_notification_reaches_another_client_with_the_senders_number() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    assert_eq!(tags(&one.query("listen news")), "CZ");
    assert_eq!(tags(&two.query("notify news, 'hello'")), "CZ");
    let heard = notification(&one.expect(b'A'));
    assert_eq!(heard, Notification { pid: pid(&two), channel: "news".into(), payload: "hello".into() });
    two.run("select pg_notify('news', 'again')");
    assert_eq!(hears(&mut one), pair("news", "again"));
    hears_nothing(&mut two);
}

#[test]
fn a_notification_from_outside_has_the_backends_number() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let mut client = howdah.client(&database);
    client.run("listen news");
    let mut outside = database.direct();
    outside.run("notify news");
    let heard = notification(&client.expect(b'A'));
    assert_eq!((heard.pid, heard.payload.as_str()), (pid(&outside), ""));
}

/// The same script, direct and through Howdah: message for message the same, numbers of senders aside.
#[test]
fn everything_comes_in_the_order_of_a_direct_connection() {
    let database = Database::create();
    database.psql("create table t (n int)");
    database.psql(
        "create function tell() returns trigger language plpgsql as $$ begin perform pg_notify('a', 'row'); \
         return null; end $$",
    );
    database.psql("create trigger tell after insert on t for each row execute function tell()");
    let script = [
        "listen a",
        "notify a, '1'",
        "begin",
        "notify a, '2'",
        "select 1",
        "notify a, '3'",
        "commit",
        "begin; listen b; notify b, '4'; commit",
        "begin",
        "listen c",
        "notify c, '5'",
        "commit",
        "begin",
        "notify a, 'never'",
        "rollback",
        "begin",
        "listen d",
        "rollback",
        "notify d, 'never'",
        "begin",
        "savepoint s",
        "listen e",
        "unlisten a",
        "rollback to s",
        "notify e, 'never'",
        "notify a, '6'",
        "commit",
        "notify a; notify a; notify b",
        "insert into t values (1)",
        "select 1/0; notify a",
        "do 'begin execute ''listen f''; end'",
        "notify f, '7'",
        "begin",
        "unlisten a",
        "notify a, 'still heard until the commit, but not by us'",
        "commit",
        "notify a, 'never'",
        "select * from pg_listening_channels() order by 1",
        "begin",
        "unlisten *",
        "rollback",
        "notify b, '8'",
        "listen \"Mixed \"\"Case\"\"\"",
        "notify \"Mixed \"\"Case\"\"\", 'ä'",
        "unlisten *",
        "notify b, 'never'",
        "select * from pg_listening_channels() order by 1",
        "listen b",
        "discard all",
        "notify b, 'never'",
        "listen",
        "notify",
    ];
    let howdah = pooled(&database, 3);
    let run = |client: &mut RawClient, stir: &mut dyn FnMut()| -> Vec<String> {
        let mut said = Vec::new();
        for sql in script {
            for message in client.query(sql) {
                said.push(match message.tag {
                    b'A' => format!("{sql} => {:?}", {
                        let n = notification(&message);
                        (n.channel, n.payload)
                    }),
                    b'E' => format!("{sql} => {:?}", (message.sqlstate(), message.text())),
                    tag => format!("{sql} => {} {:?}", char::from(tag), message.body),
                });
            }
            stir();
        }
        said
    };
    let direct = run(&mut database.direct(), &mut || {});
    let mut others = [howdah.client(&database), howdah.client(&database)];
    let mut turn = 0;
    let pooled = run(&mut howdah.client(&database), &mut || {
        turn += 1;
        // The server connections are never the same for long.
        others[turn % 2].send(&message::query("select pg_sleep(0)"));
        others[turn % 2].read_until_ready();
    });
    assert_eq!(pooled, direct);
}

#[test]
fn what_functions_listen_to_is_found_by_asking() {
    let database = Database::create();
    database.psql("create function hear() returns void language plpgsql as 'begin listen news; end'");
    let settings =
        [("pool_mode", "transaction"), ("default_pool_size", "3"), ("session_state_check", "always")];
    let howdah = Howdah::before(&database, &settings);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    assert_eq!(tags(&one.query("select hear()")), "TDCZ");
    two.run("notify news, 'at once'");
    assert_eq!(hears(&mut one), pair("news", "at once"));
}

#[test]
fn inside_a_transaction_nothing_is_heard_before_its_end() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    one.run("listen news");
    one.run("begin");
    two.run("notify news, 'meanwhile'");
    assert_eq!(tags(&one.query("select 1")), "TDCZ");
    assert_eq!(tags(&one.query("commit")), "CAZ");
}

#[test]
fn a_listen_takes_effect_with_its_commit() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    two.run("listen news");
    one.run("begin");
    one.run("listen news");
    two.query("notify news, 'before'");
    assert_eq!(tags(&one.query("commit")), "CZ");
    two.query("notify news, 'after'");
    assert_eq!(hears(&mut one), pair("news", "after"));
}

#[test]
fn the_extended_protocol_listens_too() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let mut client = howdah.client(&database);
    let run =
        |sql: &str| [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0)].concat();
    client.send(&[run("listen news"), run("notify news, 'own'"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "12C12CAZ");
    client.send(&[run("unlisten news"), message::sync()].concat());
    client.read_until_ready();
    client.send(&[run("notify news, 'own'"), message::sync()].concat());
    assert_eq!(tags(&client.read_until_ready()), "12CZ");
}

/// Each ReadyForQuery is preceded by what the client has sent itself before it.
#[test]
fn in_a_pipeline_each_transaction_is_followed_by_its_own_notifications() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let run = |sql: &str| {
        [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0), message::sync()]
            .concat()
    };
    let pipeline = [
        message::query("notify news, '1'"),
        message::query("select 1"),
        run("notify news, '2'"),
        run("select pg_notify('news', '3')"),
        message::query("begin; notify news, '4'"),
        message::query("commit"),
        message::query("select 2"),
    ]
    .concat();
    let play = |client: &mut RawClient| {
        client.run("listen news");
        client.send(&pipeline);
        let answers: Vec<String> = (0..7).map(|_| tags(&client.read_until_ready())).collect();
        answers
    };
    let direct = play(&mut database.direct());
    assert_eq!(play(&mut howdah.client(&database)), direct);
    assert_eq!(direct[0], "CAZ");
}

#[test]
fn many_channels_and_long_payloads() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    let all: Vec<String> = (0..500).map(|number| format!("listen c{number}")).collect();
    one.run(&all.join("; "));
    let payload = "x".repeat(7999);
    for number in [0, 250, 499] {
        two.run(&format!("notify c{number}, '{payload}'"));
        assert_eq!(hears(&mut one), (format!("c{number}"), payload.clone()));
    }
    assert_eq!(one.value("select count(*) from pg_listening_channels()"), "500");
    assert_eq!(two.value("select count(*) from pg_listening_channels()"), "0");
}

#[test]
fn two_hundred_clients_listen_on_a_pool_of_three() {
    let database = Database::create();
    let settings = [("pool_mode", "transaction"), ("default_pool_size", "3"), ("max_client_conn", "300")];
    let howdah = Howdah::before(&database, &settings);
    let mut clients: Vec<RawClient> = (0..200).map(|_| howdah.client(&database)).collect();
    for client in &mut clients {
        client.send(&message::query("listen news"));
    }
    for client in &mut clients {
        assert_eq!(tags(&client.read_until_ready()), "CZ");
    }
    let number = pid(&clients[7]);
    clients[7].send(&message::query("notify news, 'all'"));
    for client in &mut clients {
        let heard = eventually("a notification", || Some(client.read()).filter(|m| m.tag == b'A'));
        assert_eq!(
            notification(&heard),
            Notification { pid: number, channel: "news".into(), payload: "all".into() }
        );
    }
    assert!(database.backends() <= 3, "the listener connection counts");
}

#[test]
fn a_pool_of_one_has_a_listener_beside_it() {
    let database = Database::create();
    let howdah = pooled(&database, 1);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    one.run("begin");
    assert_eq!(tags(&one.query("listen news")), "CZ");
    assert_eq!(tags(&one.query("notify news, 'own'")), "CZ");
    assert_eq!(tags(&one.query("commit")), "CAZ");
    two.run("notify news, 'other'");
    assert_eq!(hears(&mut one), pair("news", "other"));
    assert_eq!(database.backends(), 2);
}

#[test]
fn who_listens_is_told_when_the_listener_connection_is_lost_and_when_it_is_back() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let mut client = howdah.client(&database);
    client.run("listen news");
    database.psql(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'howdah listener' \
         and datname = current_database()",
    );
    let lost = client.expect(b'N').text();
    assert!(lost.contains("notifications may be missed"), "{lost}");
    let back = client.expect(b'N').text();
    assert!(back.contains("listening again"), "{back}");
    database.psql("notify news, 'after'");
    assert_eq!(hears(&mut client), pair("news", "after"));
}

#[test]
fn the_console_shows_which_server_connection_listens() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let mut client = howdah.client(&database);
    client.run("listen news");
    let servers = howdah.console("show servers");
    assert_eq!(servers.matches("howdah listener").count(), 1, "{servers}");
}

/// As many as `max_pinned` allows keep their server connections, one is for those who listen: others have one still.
#[test]
fn pins_and_a_listener_leave_a_server_connection_for_the_others() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let (mut pinned, mut listens, mut other) =
        (howdah.client(&database), howdah.client(&database), howdah.client(&database));
    pinned.run("create temp table kept ()");
    listens.run("listen news");
    other.run("notify news, 'heard'");
    assert_eq!(hears(&mut listens), pair("news", "heard"));
}

#[test]
fn a_client_that_leaves_listens_no_more() {
    let database = Database::create();
    let howdah = pooled(&database, 2);
    let said_last = || {
        database.psql(
            "select query from pg_stat_activity where application_name = 'howdah listener' \
             and datname = current_database()",
        )
    };
    let mut client = howdah.client(&database);
    client.run("listen news");
    assert_ne!(said_last(), r#"UNLISTEN "news""#);
    client.send(&message::terminate());
    eventually("the listener has been told", || (said_last() == r#"UNLISTEN "news""#).then_some(()));
    let mut next = howdah.client(&database);
    assert_eq!(next.value("select count(*) from pg_listening_channels()"), "0");
    database.psql("notify news");
    hears_nothing(&mut next);
}

#[test]
fn a_client_that_does_not_read_is_told_and_closed() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let (mut slow, mut busy) = (howdah.client(&database), howdah.client(&database));
    slow.run("listen news");
    slow.run("begin");
    for _ in 0..10 {
        busy.run("select pg_notify('news', n || repeat('x', 7900)) from generate_series(1, 100) n");
    }
    slow.send(&message::query("commit"));
    let answer = slow.read_to_end();
    assert_eq!(only_error(&answer).0, "53400");
    assert_eq!(busy.value("select 1"), "1");
}

#[test]
fn session_mode_leaves_all_this_to_the_server() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "session")]);
    let mut client = howdah.client(&database);
    client.run("listen news");
    assert_eq!(tags(&client.query("notify news, 'own'")), "CAZ");
    database.psql("notify news, 'other'");
    assert_eq!(hears(&mut client), pair("news", "other"));
    assert_eq!(database.backends(), 1);
}

#[test]
fn a_pause_closes_the_listener_connection_too() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let mut client = howdah.client(&database);
    client.run("listen news");
    howdah.console("pause");
    assert_eq!(database.backends(), 0);
    howdah.console("resume");
    assert!(client.expect(b'N').text().contains("notifications may be missed"));
    assert!(client.expect(b'N').text().contains("listening again"));
    database.psql("notify news, 'after'");
    assert_eq!(hears(&mut client), pair("news", "after"));
}

/// Server connections go from hand to hand at once; still each notification bears the number of who sent it, and
/// none is lost.
#[test]
fn among_busy_clients_every_notification_arrives_and_says_who_sent_it() {
    among_busy_clients(&Database::create(), |number, payload| match number % 3 {
        0 => format!("notify news, '{payload}'"),
        1 => format!("select pg_notify('news', '{payload}')"),
        _ => format!("begin; notify news, '{payload}'; commit"),
    });
}

/// The same where the text of the query does not tell.
#[test]
fn among_busy_clients_what_triggers_and_functions_notify_says_who_it_was() {
    let database = Database::create();
    database.psql(
        "create table t (payload text); create table deferred (payload text); \
         create function tell() returns trigger language plpgsql as \
         $$ begin perform pg_notify('news', new.payload); return null; end $$; \
         create trigger tell after insert on t for each row execute function tell(); \
         create constraint trigger tell after insert on deferred initially deferred \
         for each row execute function tell(); \
         create function tell(payload text) returns void language plpgsql as \
         $$ begin execute format('%s news, %L', 'noti' || 'fy', payload); end $$",
    );
    among_busy_clients(&database, |number, payload| match number % 5 {
        0 => format!("insert into t values ('{payload}')"),
        1 => format!("begin; insert into deferred values ('{payload}'); commit"),
        2 => format!("select tell('{payload}')"),
        3 => format!("do $$ begin perform tell('{payload}'); end $$"),
        _ => format!("do $$ begin execute 'notify news, ''{payload}'''; end $$"),
    });
}

fn among_busy_clients(database: &Database, notify: fn(usize, String) -> String) {
    const SENDERS: usize = 6;
    const EACH: usize = 150;
    let howdah = pooled(database, 3);
    let mut listener = howdah.client(database);
    listener.run("listen news");
    let senders: Vec<RawClient> = (0..SENDERS).map(|_| howdah.client(database)).collect();
    let heard = std::thread::scope(|scope| {
        for mut sender in senders {
            scope.spawn(move || {
                let own = pid(&sender);
                for number in 0..EACH {
                    let answer = sender.query(&notify(number, format!("{own} {number}")));
                    assert!(!tags(&answer).contains('E'), "{answer:?}");
                }
            });
        }
        (0..SENDERS * EACH).map(|_| notification(&listener.expect(b'A'))).collect::<Vec<_>>()
    });
    let mut last = std::collections::BTreeMap::new();
    for Notification { pid, payload, .. } in heard {
        let (sender, number) = payload.split_once(' ').expect("two numbers");
        assert_eq!(sender, pid.to_string(), "{payload}");
        let number: usize = number.parse().expect("a number");
        assert_eq!(last.insert(pid, number).map_or(0, |before| before + 1), number, "in order, none twice");
    }
    hears_nothing(&mut listener);
}

#[test]
fn who_listens_does_not_keep_howdah_from_stopping() {
    let database = Database::create();
    for signal in [Signal::INT, Signal::TERM] {
        let mut howdah = pooled(&database, 2);
        let mut client = howdah.client(&database);
        client.run("listen news");
        howdah.signal(signal);
        if signal == Signal::TERM {
            // It waits for clients to leave by themselves.
            client.send(&message::terminate());
        }
        howdah.wait_for_exit();
        eventually("all server connections are closed", || (database.backends() == 0).then_some(()));
    }
}

#[test]
fn reconnect_disturbs_nobody_who_is_about_to_listen() {
    let database = Database::create();
    let howdah = pooled(&database, 3);
    let mut busy = [howdah.client(&database), howdah.client(&database)];
    for round in 0..40 {
        howdah.console("reconnect");
        for client in &mut busy {
            client.run("begin");
        }
        let mut client = howdah.client(&database);
        assert_eq!(tags(&client.query("listen news")), "CZ", "round {round}");
        for client in &mut busy {
            client.run("commit");
        }
        let heard = tags(&client.query("notify news"));
        assert!(heard == "CAZ" || heard == "CNNAZ", "round {round}: {heard}");
    }
}
