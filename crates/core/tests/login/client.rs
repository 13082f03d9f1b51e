//! Clients at the door.

use howdah_core::client::LoginNext;
use howdah_core::server::ServerSecret;
use howdah_core::settings::{AuthMethod, Database};
use howdah_wire::secret::Secret;
use howdah_wire::startup::{write_cancel_request, write_gssenc_request, write_ssl_request};
use howdah_wire::{CancelKey, CancelSecret, frontend};
use insta::assert_snapshot;

use crate::door::{Door, SCRAM, ending, password, pencil, startup};

fn trusting() -> Door {
    Door::new(AuthMethod::Trust)
}

/// A startup packet of user `plain` for `shop`, with more parameters.
fn shop(minor: u16, more: &[(&str, &str)]) -> Vec<u8> {
    startup(minor, &[&[("user", "plain"), ("database", "shop")], more].concat())
}

#[test]
fn encryption_is_declined_once_each_and_the_rest_of_the_packet_is_read() {
    let mut bytes = Vec::new();
    write_gssenc_request(&mut bytes);
    write_ssl_request(&mut bytes);
    bytes.extend(shop(0, &[("timezone", "UTC")]));
    assert_snapshot!(trusting().transcript(&bytes), @r#"
    N
    N
    AuthenticationOk
    → plain@shop 3.0 [("timezone", "UTC")]
    "#);

    let mut bytes = Vec::new();
    write_ssl_request(&mut bytes);
    write_ssl_request(&mut bytes);
    assert_snapshot!(trusting().transcript(&bytes), @r"
    N
    FATAL 08P01 encryption was requested twice
    → closed: protocol
    ");
}

#[test]
fn cancel_requests_are_passed_on_without_a_word() {
    for secret in [&b"abcd"[..], &[7; 32]] {
        let mut bytes = Vec::new();
        write_ssl_request(&mut bytes);
        write_cancel_request(&mut bytes, &CancelKey { pid: 42, secret: CancelSecret::new(secret).unwrap() });
        assert_eq!(trusting().transcript(&bytes), "N\n→ cancel 42");
    }
}

#[test]
fn newer_protocols_and_unknown_options_are_negotiated() {
    let say = |minor, more| trusting().transcript(&shop(minor, more));
    assert_snapshot!(say(0, &[]), @r"
    AuthenticationOk
    → plain@shop 3.0 []
    ");
    // Nobody has ever spoken 3.1; PostgreSQL 18 takes it as it is.
    assert_snapshot!(say(1, &[]), @r"
    AuthenticationOk
    → plain@shop 3.1 []
    ");
    assert_snapshot!(say(2, &[]), @r"
    AuthenticationOk
    → plain@shop 3.2 []
    ");
    assert_snapshot!(say(9999, &[("_pq_.test_protocol_negotiation", "")]), @r#"
    NegotiateProtocolVersion 3.2 ["_pq_.test_protocol_negotiation"]
    AuthenticationOk
    → plain@shop 3.2 []
    "#);
    assert_snapshot!(say(3, &[]), @r"
    NegotiateProtocolVersion 3.2 []
    AuthenticationOk
    → plain@shop 3.2 []
    ");
    assert_snapshot!(say(0, &[("_pq_.a", "1"), ("_pq_.b", "2")]), @r#"
    NegotiateProtocolVersion 3.0 ["_pq_.a", "_pq_.b"]
    AuthenticationOk
    → plain@shop 3.0 []
    "#);
}

#[test]
fn first_packets_that_are_none() {
    let say = |bytes: &[u8]| trusting().transcript(bytes);
    assert_snapshot!(say(b"\0\0\0\x08\0\x02\0\0"), @r"
    FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.2
    → closed: protocol
    ");
    assert_snapshot!(say(b"\0\0\0\x08\0\x04\0\0"), @r"
    FATAL 0A000 unsupported frontend protocol 4.0: server supports 3.0 to 3.2
    → closed: protocol
    ");
    for length in [
        b"\0\0\x27\x11",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x04",
        b"GET ",
        b"\x16\x03\x01\x02",
    ] {
        let expected = "FATAL 08P01 invalid length of startup packet\n→ closed: protocol";
        assert_eq!(say(length), expected, "{length:?}");
    }
    assert_snapshot!(say(b"\0\0\0\x0d\0\x03\0\0user\0"), @r"
    FATAL 08P01 invalid startup packet
    → closed: protocol
    ");
    assert_snapshot!(say(&startup(0, &[("database", "shop")])), @r"
    FATAL 28000 no username supplied
    → closed: client login failed
    ");
    assert_snapshot!(say(&shop(0, &[("options", "-z")])), @r"
    FATAL 42601 invalid command-line argument for server process: -z
    → closed: client login failed
    ");
}

#[test]
fn clear_text_as_a_transcript() {
    let door = Door::new(AuthMethod::Plain);
    let mut bytes = shop(0, &[]);
    assert_snapshot!(door.transcript(&bytes), @r"
    Cleartext?
    … more
    ");
    frontend::write_password(&mut bytes, b"pencil");
    frontend::write_query(&mut bytes, b"select 1");
    assert_snapshot!(door.transcript(&bytes), @r"
    Cleartext?
    AuthenticationOk
    → plain@shop 3.0 []
    ");
    let query = bytes.len() - door.hear(&bytes, []).eaten;
    assert_eq!(query, 14, "what follows the login is left for the session");
}

#[test]
fn scram_as_a_transcript() {
    let door = Door::new(AuthMethod::ScramSha256);
    let visit = door.knock("scram", "shop", pencil());
    assert_snapshot!(door.transcript(&visit.sent), @r#"
    SASL? ["SCRAM-SHA-256"]
    SASL: r=BwcHBwcHBwcHBwcHBwcHBwcHBQUFBQUFBQUFBQUFBQUFBQUF,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096
    SASL!: v=NBHfMZfny6m44ev+HWHHukO10+7e6fgm4V3GghKr38g=
    AuthenticationOk
    → scram@shop 3.0 []
    "#);
}

/// Every method with every kind of secret, for a right and a wrong password.
#[test]
fn every_method_with_every_kind_of_secret() {
    use AuthMethod as M;
    let mut table = String::new();
    for method in [M::Trust, M::Plain, M::Md5, M::ScramSha256] {
        for user in ["plain", "md5", "scram", "empty", "ghost"] {
            let fate = |secret| Door::new(method).knock(user, "shop", secret).fate();
            table += &format!("{method:?} {user}: {} / {}\n", fate(pencil()), fate(password("pencils")));
        }
    }
    assert_snapshot!(table, @r#"
    Trust plain: welcome / welcome
    Trust md5: welcome / welcome
    Trust scram: welcome / welcome
    Trust empty: welcome / welcome
    Trust ghost: "trust" authentication failed / "trust" authentication failed
    Plain plain: welcome / password authentication failed
    Plain md5: welcome / password authentication failed
    Plain scram: welcome / password authentication failed
    Plain empty: password authentication failed / password authentication failed
    Plain ghost: password authentication failed / password authentication failed
    Md5 plain: welcome / password authentication failed
    Md5 md5: welcome / password authentication failed
    Md5 scram: welcome / SASL authentication failed
    Md5 empty: password authentication failed / password authentication failed
    Md5 ghost: password authentication failed / password authentication failed
    ScramSha256 plain: welcome / SASL authentication failed
    ScramSha256 md5: SASL authentication failed / SASL authentication failed
    ScramSha256 scram: welcome / SASL authentication failed
    ScramSha256 empty: SASL authentication failed / SASL authentication failed
    ScramSha256 ghost: SASL authentication failed / SASL authentication failed
    "#);
}

#[test]
fn a_stored_md5_hash_is_enough_for_md5_and_for_nothing_else() {
    let hash = || ServerSecret::Md5(howdah_wire::md5::stored(b"pencil", "md5"));
    assert_eq!(Door::new(AuthMethod::Md5).knock("md5", "shop", hash()).fate(), "welcome");
    assert!(Door::new(AuthMethod::Plain).knock("md5", "shop", hash()).fate().starts_with("gave up"));
}

#[test]
fn an_empty_password_opens_nothing() {
    for (method, answer) in [
        (AuthMethod::Plain, "empty password returned by client"),
        (AuthMethod::Md5, "password authentication failed"),
        (AuthMethod::ScramSha256, "SASL authentication failed"),
    ] {
        assert_eq!(Door::new(method).knock("empty", "shop", password("")).fate(), answer);
    }
}

#[test]
fn nobody_can_tell_who_exists() {
    let first_reply = |door: &Door, user: &str| {
        let sent = door.knock(user, "shop", password("wrong")).sent;
        door.transcript(&sent).replace(user, "USER")
    };
    for method in [AuthMethod::Plain, AuthMethod::Md5] {
        let door = Door::new(method);
        assert_eq!(first_reply(&door, "plain"), first_reply(&door, "ghost"));
    }
    let door = Door::new(AuthMethod::ScramSha256);
    let shape = |text: String| text.replace(|c: char| c.is_ascii_alphanumeric() || "+/=".contains(c), "x");
    let real = first_reply(&door, "plain");
    let mock = first_reply(&door, "ghost");
    assert_eq!(shape(real.clone()).len(), shape(mock.clone()).len());
    assert_eq!(mock, first_reply(&door, "ghost"), "the salt of nobody does not change");
    assert_ne!(real, mock);
    assert_eq!(real.lines().last(), mock.lines().last());
}

#[test]
fn answers_that_are_none() {
    let door = Door::new(AuthMethod::Plain);
    let after =
        |answer: &[u8]| door.transcript(&[&shop(0, &[]), answer].concat()).replace("Cleartext?\n", "");
    assert_snapshot!(after(b"Q\0\0\0\x0dselect 1\0"), @r"
    FATAL 08P01 expected password response, got message type 81
    → closed: protocol
    ");
    assert_snapshot!(after(b"X\0\0\0\x04"), @"→ closed: client close request");
    assert_snapshot!(after(b"p\0\0\0\x04"), @r"
    FATAL 08P01 malformed password response
    → closed: protocol
    ");
    assert_snapshot!(after(b"p\0\0\0\x0cpen\0cil\0"), @r"
    FATAL 08P01 malformed password response
    → closed: protocol
    ");
    for length in [b"p\0\0\0\x03", b"p\0\0\x0b\xb8", b"p\x7f\xff\xff\xff", b"p\xff\xff\xff\xff"] {
        let expected = "FATAL 08P01 invalid length of password response\n→ closed: protocol";
        assert_eq!(after(length), expected, "{length:?}");
    }
}

#[test]
fn sasl_answers_that_are_none() {
    let door = Door::new(AuthMethod::ScramSha256);
    let after = |mechanism: &[u8], data: Option<&[u8]>| {
        let mut bytes = shop(0, &[]);
        frontend::write_sasl_initial_response(&mut bytes, mechanism, data);
        let transcript = door.transcript(&bytes);
        transcript.lines().nth(1).unwrap().to_owned()
    };
    let plus = after(b"SCRAM-SHA-256-PLUS", Some(b"p=tls-server-end-point,,n=,r=abc"));
    assert_eq!(plus, "FATAL 08P01 client selected an invalid SASL authentication mechanism");
    for data in [None, Some(&b""[..]), Some(b"p=tls-server-end-point,,n=,r=abc"), Some(b"n,,n=,r=\0")] {
        let line = after(b"SCRAM-SHA-256", data);
        assert!(line.starts_with("FATAL 08P01 "), "{data:?}: {line}");
    }
    // A client that could bind the channel, but sees that we cannot.
    assert!(after(b"SCRAM-SHA-256", Some(b"y,,n=,r=abc")).starts_with("SASL: r=abc"));
}

#[test]
fn an_unknown_database_is_named_only_to_those_who_have_logged_in() {
    let door = Door::new(AuthMethod::Md5);
    assert_eq!(door.knock("plain", "attic", pencil()).fate(), "no such database: attic");
    assert_eq!(door.knock("plain", "attic", password("x")).fate(), "password authentication failed");
    let any = door.with(|settings| settings.any_database = Some(Database::default()));
    assert_eq!(&*any.knock("plain", "attic", pencil()).identity().database, "attic");
    assert_eq!(&*any.knock("plain", "", pencil()).identity().database, "plain");
}

#[test]
fn auth_type_any_needs_a_user_to_become() {
    let door = Door::new(AuthMethod::Any);
    assert_eq!(door.knock("ghost", "shop", ServerSecret::None).fate(), "auth_type=any requires forced user");
    assert_eq!(door.knock("ghost", "attic", ServerSecret::None).fate(), "no such database: attic");
    let door = door.with(|settings| {
        settings.databases.get_mut("shop").unwrap().forced_user = Some("seller".to_owned());
    });
    assert_eq!(&*door.knock("ghost", "shop", ServerSecret::None).identity().user, "ghost");
}

#[test]
fn the_console_is_for_listed_users_and_for_the_owner_of_the_process() {
    let listed = |door: Door| {
        door.with(|settings| {
            settings.auth.admin_users = vec!["plain".to_owned(), "ghost".to_owned()];
            settings.auth.stats_users = vec!["scram".to_owned()];
        })
    };
    let door = listed(Door::new(AuthMethod::Md5));
    let mut table = String::new();
    for (user, database) in
        [("plain", "pgbouncer"), ("scram", "howdah"), ("md5", "pgbouncer"), ("ghost", "howdah")]
    {
        let visit = door.knock(user, database, pencil());
        let role =
            if let howdah_core::client::LoginNext::Welcome(who) = &visit.end { who.admin } else { None };
        table += &format!("{user}@{database}: {} {role:?}\n", visit.fate());
    }
    assert_snapshot!(table, @r#"
    plain@pgbouncer: welcome Some(Admin)
    scram@howdah: welcome Some(Stats)
    md5@pgbouncer: not allowed None
    ghost@howdah: password authentication failed None
    "#);

    let any = listed(Door::new(AuthMethod::Any));
    assert_eq!(any.knock("ghost", "pgbouncer", ServerSecret::None).fate(), "welcome");
    assert_eq!(any.knock("md5", "pgbouncer", ServerSecret::None).fate(), "not allowed");

    for owner in ["pgbouncer", "howdah"] {
        let at = |door: Door| door.knock(owner, "pgbouncer", ServerSecret::None).fate();
        assert_eq!(at(Door::new(AuthMethod::ScramSha256).over_unix_socket(true)), "welcome");
        assert_ne!(at(Door::new(AuthMethod::ScramSha256).over_unix_socket(false)), "welcome");
        assert_ne!(at(Door::new(AuthMethod::ScramSha256)), "welcome");
    }
    let elsewhere = Door::new(AuthMethod::ScramSha256).over_unix_socket(true);
    assert_ne!(elsewhere.knock("pgbouncer", "shop", ServerSecret::None).fate(), "welcome");
}

#[test]
fn a_database_that_is_really_called_howdah_is_no_console() {
    let door = Door::new(AuthMethod::Plain).with(|settings| {
        settings.databases.insert("howdah".to_owned(), Database::default());
    });
    assert_eq!(door.knock("plain", "howdah", pencil()).identity().admin, None);
    assert_eq!(door.knock("plain", "pgbouncer", pencil()).fate(), "not allowed");
}

#[test]
fn a_reload_changes_what_is_remembered() {
    let door = Door::new(AuthMethod::ScramSha256);
    assert_eq!(door.knock("plain", "shop", pencil()).fate(), "welcome");
    let credentials = std::sync::Arc::clone(&door.credentials);
    let mut door = door.with(|settings| {
        settings.secrets.insert("plain".to_owned(), Secret::parse("pen"));
        settings.secrets.insert("md5".to_owned(), Secret::parse(SCRAM));
    });
    door.credentials = credentials;
    assert_eq!(door.knock("plain", "shop", pencil()).fate(), "SASL authentication failed");
    assert_eq!(door.knock("plain", "shop", password("pen")).fate(), "welcome");
    assert_eq!(door.knock("md5", "shop", pencil()).fate(), "welcome");
}

#[test]
fn what_costs_a_hashing_waits_until_it_may() {
    let first = b"n,,n=,r=abcdefghijklmnopqr";
    let len = u32::try_from(first.len()).unwrap().to_be_bytes();
    let answer = |body: &[u8]| {
        let mut message = Vec::new();
        howdah_wire::write_message(&mut message, frontend::tag::PASSWORD, body);
        message
    };
    let sasl = answer(&[b"SCRAM-SHA-256\0", &len[..], first].concat());
    for (method, user, said, costs) in [
        (AuthMethod::Plain, "scram", answer(b"pencil\0"), [true, true]),
        (AuthMethod::Plain, "scram", answer(b"wrong\0"), [true, true]),
        (AuthMethod::Plain, "plain", answer(b"pencil\0"), [false, false]),
        (AuthMethod::Plain, "nobody", answer(b"pencil\0"), [false, false]),
        // Hashed once, it is known.
        (AuthMethod::ScramSha256, "plain", sasl.clone(), [true, false]),
        (AuthMethod::ScramSha256, "scram", sasl.clone(), [false, false]),
        (AuthMethod::ScramSha256, "nobody", sasl.clone(), [false, false]),
    ] {
        let door = Door::new(method);
        let bytes = [startup(0, &[("user", user), ("database", "shop")]), said].concat();
        let whole = door.hear(&bytes, []);
        let door = Door::new(method);
        for costs in costs {
            let mut login = door.login().ask_to_hash();
            let mut out = Vec::new();
            let (mut eaten, mut next) = login.on_bytes(&bytes, &mut out);
            assert_eq!(matches!(next, LoginNext::Hash), costs, "{user}");
            assert_eq!(login.has_to_hash(), costs, "{user}");
            if costs {
                // However often it is shown.
                assert!(matches!(login.on_bytes(&bytes[eaten..], &mut out), (0, LoginNext::Hash)));
                login.may_hash();
                let (more, end) = login.on_bytes(&bytes[eaten..], &mut out);
                (eaten, next) = (eaten + more, end);
            }
            assert_eq!((eaten, ending(&next)), (whole.eaten, ending(&whole.next)), "{user}");
            assert_eq!(out, whole.out, "{user}");
        }
    }
}
