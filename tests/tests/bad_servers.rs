//! Servers that misbehave: the client gets a clear error, the others are served, no reply reaches the wrong one.

use howdah_tests::fake_server::{
    FakeConnection, FakeServer, command_complete, data_row, echo_of, error, ready, row_description,
};
use howdah_tests::{Howdah, Message, RawClient, eventually, message, only_error, tags};

#[test]
fn nonsense_at_login_is_told_as_such() {
    let greetings: [(&str, &[u8]); 6] = [
        ("another protocol", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("a row", &data_row("x")),
        ("a negative length", &[b'R', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        ("a huge length", &[b'S', 0x7f, 0xff, 0xff, 0xff, b'x']),
        ("an unknown challenge", &message::tagged(b'R', &[0, 0, 0, 99])),
        ("zero bytes", &[0; 64]),
    ];
    for (what, greeting) in greetings {
        let greeting = greeting.to_vec();
        let server = FakeServer::start(move |mut connection, _| {
            connection.send(&greeting);
            connection.wait_for_end();
        });
        let howdah = before(&server);
        let (sqlstate, text) = refusal(&howdah);
        assert_eq!(sqlstate, "08006", "{what}");
        assert!(text.contains("does not follow the protocol"), "{what}: {text}");
    }
}

#[test]
fn a_server_that_closes_at_login_is_told_as_such() {
    for polite in [false, true] {
        let server = FakeServer::start(move |mut connection, _| {
            if polite {
                connection.send(&message::tagged(b'R', &[0; 4]));
            }
        });
        let howdah = before(&server);
        let (sqlstate, text) = refusal(&howdah);
        assert_eq!(sqlstate, "08006");
        assert!(text.contains("closed the connection"), "{text}");
    }
}

#[test]
fn an_error_at_login_without_sqlstate_or_anything_is_passed_on() {
    for (fields, text) in [(vec![(b'M', "go away")], "go away"), (vec![], "")] {
        let server = FakeServer::start(move |mut connection, _| connection.send(&error(&fields)));
        let howdah = before(&server);
        let (sqlstate, said) = refusal(&howdah);
        assert_eq!(sqlstate.len(), 5, "drivers need a SQLSTATE, not {sqlstate:?}");
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn nobody_listens_and_later_somebody_does() {
    let howdah = Howdah::builder()
        .setting("server_login_retry", "0.1")
        .database("fake", "host=127.0.0.1 port=1 dbname=fake")
        .start();
    let (sqlstate, text) = refusal(&howdah);
    assert_eq!(sqlstate, "08001");
    assert!(text.contains("could not connect to the server"), "{text}");
    let server = echo_server();
    let mut howdah = howdah;
    howdah.reconfigure(|builder| builder.database("fake", &server.entry()));
    eventually("the next client is served", || {
        let mut client = howdah.raw();
        client.send(&startup());
        let answer = std::iter::from_fn(|| client.try_read().ok().flatten());
        answer.take_while(|m| m.tag != b'E').find(|m| m.tag == b'Z')
    });
}

#[test]
fn an_error_without_sqlstate_in_a_session_is_passed_on() {
    let (howdah, mut client) = with_answers(|connection, query| match query {
        "bare" => connection.send(&[error(&[(b'M', "nameless")]), ready(b'I')].concat()),
        "empty" => connection.send(&[error(&[]), ready(b'I')].concat()),
        other => connection.send(&echo_of(other)),
    });
    let answer = client.query("bare");
    assert_eq!((tags(&answer).as_str(), answer[0].text().as_str()), ("EZ", "nameless"));
    assert_eq!(tags(&client.query("empty")), "EZ");
    assert_eq!(client.value("fine"), "fine");
    drop(howdah);
}

#[test]
fn a_server_that_closes_in_mid_reply_costs_its_client_only() {
    let (howdah, mut client) = with_answers(|connection, query| match query {
        "die" => connection.send(&[row_description(), data_row("begun")].concat()),
        other => connection.send(&echo_of(other)),
    });
    let mut other = client_of(&howdah);
    assert_eq!(other.value("fine"), "fine");
    client.send(&message::query("die"));
    let answer = client.read_to_end();
    assert_eq!(tags(&answer), "TDE");
    assert_eq!(only_error(&answer).0, "08006");
    assert_eq!(other.value("fine still"), "fine still");
}

/// An error put behind half a row would be read as the rest of the row.
#[test]
fn half_a_row_is_never_completed_with_anything_else() {
    for size in [SMALL, LARGE] {
        let (howdah, mut client) = with_answers(move |connection, query| match query {
            "half" => connection.send(&most_of_a_row(size)),
            other => connection.send(&echo_of(other)),
        });
        client.send(&message::query("half"));
        client.expect(b'T');
        let end = client.try_read();
        assert!(end.is_err() || matches!(end, Ok(None)), "a row was made up: {end:?}");
        assert_eq!(client_of(&howdah).value("fine"), "fine");
    }
}

/// The same when it is Howdah that ends the client.
#[test]
fn a_time_limit_in_the_middle_of_a_row_does_not_complete_it() {
    for size in [SMALL, LARGE] {
        let server = FakeServer::start(move |mut connection, _| {
            connection.welcome();
            while let Some(query) = connection.next_query() {
                connection.send(if query == "half" { most_of_a_row(size) } else { Vec::new() }.as_slice());
            }
        });
        let howdah = Howdah::builder()
            .setting("pool_mode", "transaction")
            .setting("query_timeout", "0.3")
            .database("fake", &server.entry())
            .start();
        let mut client = client_of(&howdah);
        client.send(&message::query("half"));
        client.expect(b'T');
        let end = client.try_read();
        assert!(end.is_err() || matches!(end, Ok(None)), "a row was made up: {end:?}");
    }
}

#[test]
fn a_double_response_reaches_nobody() {
    let server = FakeServer::start(|mut connection, number| {
        connection.welcome();
        while let Some(query) = connection.next_query() {
            let answer = echo_of(&format!("{query} from {number}"));
            // The second answer is nobody's.
            let twice = if query == "twice" { [&answer[..], &answer].concat() } else { answer };
            connection.send(&twice);
        }
    });
    let howdah = before(&server);
    let (mut one, mut two) = (client_of(&howdah), client_of(&howdah));
    for _ in 0..20 {
        if one.try_send(&message::query("twice")).is_err() {
            one = client_of(&howdah);
            one.send(&message::query("twice"));
        }
        // Whether the first client loses its connection or not: the second gets its own answer.
        let mine = two.value("mine");
        assert!(mine.starts_with("mine from"), "the second client got {mine}");
        while let Ok(Some(message)) = one.try_read() {
            if message.tag == b'D' {
                assert!(message.columns()[0].as_deref().unwrap().starts_with("twice from"));
            }
            if message.tag == b'Z' {
                break;
            }
        }
    }
}

#[test]
fn what_fits_no_question_closes_the_server_connection() {
    let strange: [(&str, Vec<u8>); 6] = [
        ("ParseComplete", message::tagged(b'1', b"")),
        ("an unknown message", message::tagged(b'%', b"what")),
        ("an impossible length", vec![b'D', 0, 0, 0, 1, 0, 0]),
        ("a status that is none", ready(b'?')),
        ("a status too long", message::tagged(b'Z', b"II")),
        ("authentication", message::tagged(b'R', &[0; 4])),
    ];
    for (what, bytes) in strange {
        let (howdah, mut client) = with_answers(move |connection, query| match query {
            "strange" => connection.send(&bytes),
            other => connection.send(&echo_of(other)),
        });
        client.send(&message::query("strange"));
        let (sqlstate, text) = only_error(&client.read_to_end());
        assert_eq!(sqlstate, "08006", "{what}: {text}");
        assert_eq!(client_of(&howdah).value("fine"), "fine", "after {what}");
    }
}

#[test]
fn a_fatal_error_on_an_idle_connection_hurts_nobody() {
    for together in [true, false] {
        let server = FakeServer::start(move |mut connection, number| {
            connection.welcome();
            while let Some(query) = connection.next_query() {
                let answer = echo_of(&format!("{query} from {number}"));
                let fields = [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "57P01"), (b'M', "the end")];
                match query.as_str() {
                    // Read together with the reply, it is no part of it.
                    "last" if together => return connection.send(&[answer, error(&fields)].concat()),
                    "last" => {
                        connection.send(&answer);
                        return connection.send(&error(&fields));
                    }
                    _ => connection.send(&answer),
                }
            }
        });
        let howdah = before(&server);
        let mut client = client_of(&howdah);
        assert_eq!(client.value("first"), "first from 0");
        assert_eq!(client.value("last"), "last from 0");
        if !together {
            eventually("it has been noticed", || {
                (howdah.show("POOLS").iter().map(|pool| pool.number("sv_idle")).sum::<u64>() == 0)
                    .then_some(())
            });
        }
        assert_eq!(client.value("next"), "next from 1");
    }
}

#[test]
fn a_fatal_error_during_a_query_is_passed_on_as_it_is() {
    let (howdah, mut client) = with_answers(|connection, query| match query {
        "kill me" => {
            let fields = [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', "57P01"), (b'M', "as you wish")];
            connection.send(&error(&fields));
        }
        other => connection.send(&echo_of(other)),
    });
    client.send(&message::query("kill me"));
    assert_eq!(only_error(&client.read_to_end()), ("57P01".to_owned(), "as you wish".to_owned()));
    assert_eq!(client_of(&howdah).value("fine"), "fine");
}

#[test]
fn unasked_rows_on_an_idle_connection_are_never_delivered() {
    let gift = echo_of("a gift");
    for length in [3, 20, gift.len()] {
        let gift = gift[..length].to_vec();
        let server = FakeServer::start(move |mut connection, number| {
            if number == 0 {
                // In one piece: the gift lies there before anybody could have asked.
                connection.welcome_with(&gift);
            } else {
                connection.welcome();
            }
            connection.echo();
        });
        let howdah = Howdah::builder()
            .setting("pool_mode", "transaction")
            .setting("server_login_retry", "0.1")
            .database("fake", &server.entry())
            .start();
        let mut client = eventually("a connection without a gift", || {
            let mut client = howdah.raw();
            client.send(&startup());
            let greeting = std::iter::from_fn(|| client.try_read().ok().flatten());
            greeting.take_while(|m| m.tag != b'E').any(|m| m.tag == b'Z').then_some(client)
        });
        assert_eq!(client.value("mine"), "mine", "after a gift of {length} bytes");
        assert!(server.connections() > 1, "the gift was kept");
    }
}

#[test]
fn a_notice_right_after_login_is_no_harm() {
    let server = FakeServer::start(|mut connection, _| {
        let mut notice = error(&[(b'S', "NOTICE"), (b'V', "NOTICE"), (b'C', "00000"), (b'M', "hello")]);
        notice[0] = b'N';
        connection.welcome_with(&notice);
        connection.echo();
    });
    let howdah = before(&server);
    assert_eq!(client_of(&howdah).value("fine"), "fine");
    assert_eq!(server.connections(), 1);
}

/// Each time it looks as if it could be used: whoever waits is told in the end, and the server is not stormed.
#[test]
fn a_server_that_closes_after_every_login_is_not_stormed() {
    let server = FakeServer::start(|mut connection, _| connection.welcome());
    let howdah = Howdah::builder()
        .setting("pool_mode", "transaction")
        .setting("query_wait_timeout", "1")
        .database("fake", &server.entry())
        .start();
    let mut client = howdah.raw();
    client.send(&startup());
    let greeting = std::iter::from_fn(|| client.try_read().ok().flatten());
    if greeting.take_while(|m| m.tag != b'E').any(|m| m.tag == b'Z') {
        client.send(&message::query("select 1"));
        assert_eq!(tags(&client.read_to_end()), "E");
    }
    assert!(server.connections() < 100, "{} connections within a second", server.connections());
}

#[test]
fn a_server_that_never_answers_holds_up_its_own_client_only() {
    let (howdah, mut client) = with_answers(|connection, query| match query {
        "hang" => connection.wait_for_end(),
        other => connection.send(&echo_of(other)),
    });
    client.send(&message::query("hang"));
    let mut other = client_of(&howdah);
    for n in 0..20 {
        assert_eq!(other.value(&format!("fine {n}")), format!("fine {n}"));
    }
}

#[test]
fn an_endless_error_is_not_kept() {
    let (howdah, mut client) = with_answers(|connection, query| match query {
        "endless" => {
            let megabyte = vec![b'x'; 1024 * 1024];
            connection.send(&[b'E', 0x04, 0, 0, 0, b'S']);
            for _ in 0..64 {
                connection.send(&megabyte);
            }
        }
        other => connection.send(&echo_of(other)),
    });
    let mut other = client_of(&howdah);
    other.value("warm");
    let before = howdah.rss_kib();
    client.send(&message::query("endless"));
    assert!(!matches!(client.try_read(), Ok(Some(Message { tag: b'Z', .. }))));
    assert_eq!(other.value("fine"), "fine");
    let after = howdah.rss_kib();
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
}

#[test]
fn command_tags_and_parameters_of_any_size_and_bytes() {
    let (_howdah, mut client) = with_answers(|connection, query| {
        let odd = match query {
            "not text" => message::tagged(b'S', b"TimeZone\0\xff\xfe\0"),
            "no end" => message::tagged(b'S', b"TimeZone"),
            "nothing" => message::tagged(b'S', b""),
            "long" => message::tagged(b'S', format!("TimeZone\0{}\0", "z".repeat(100_000)).as_bytes()),
            _ => message::tagged(b'C', b"DISCARD ALL"),
        };
        connection.send(&[odd, command_complete("SELECT 0"), ready(b'I')].concat());
    });
    for query in ["not text", "no end", "nothing", "long", "tag"] {
        let answer = client.query(query);
        assert_eq!(answer.last().unwrap().body, b"I", "{query}");
    }
}

/// A description, and a row that has one value of this size, but for its end, which any error would fill.
fn most_of_a_row(size: usize) -> Vec<u8> {
    let row = data_row(&"x".repeat(size));
    [row_description(), row[..row.len() - 20].to_vec()].concat()
}

/// Bytes of a value that goes through one buffer.
const SMALL: usize = 100;
/// Bytes of a value that the kernel passes on for the most part.
const LARGE: usize = 1_000_000;

/// A Howdah in transaction mode before `server`.
fn before(server: &FakeServer) -> Howdah {
    Howdah::builder().setting("pool_mode", "transaction").database("fake", &server.entry()).start()
}

fn echo_server() -> FakeServer {
    FakeServer::start(|mut connection, _| {
        connection.welcome();
        connection.echo();
    })
}

/// A server that answers queries this way, and a client of it; the connection is closed after a query that does
/// not say `fine`.
fn with_answers(answer: impl Fn(&mut FakeConnection, &str) + Send + Sync + 'static) -> (Howdah, RawClient) {
    let server = FakeServer::start(move |mut connection, _| {
        connection.welcome();
        while let Some(query) = connection.next_query() {
            answer(&mut connection, &query);
            if query == "die" || query == "half" || query == "endless" || query == "kill me" {
                return;
            }
        }
    });
    let howdah = before(&server);
    let client = client_of(&howdah);
    (howdah, client)
}

fn client_of(howdah: &Howdah) -> RawClient {
    let mut client = howdah.raw();
    client.login("fake", "postgres");
    client
}

fn startup() -> Vec<u8> {
    message::startup(&[("user", "postgres"), ("database", "fake")])
}

/// What a client is told that cannot be given a server connection.
fn refusal(howdah: &Howdah) -> (String, String) {
    let mut client = howdah.raw();
    client.send(&startup());
    only_error(&client.read_to_end())
}
