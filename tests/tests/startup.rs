//! The first packet: which protocol is spoken, which settings are taken along, and what a client learns before its
//! first query.

use howdah_tests::{Database, Howdah, Message, RawClient, eventually, message, only_error, tags};

const TRANSACTION: [(&str, &str); 1] = [("pool_mode", "transaction")];

#[test]
fn encryption_is_declined_and_the_conversation_goes_on() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    for mut client in both_doors(&howdah) {
        client.send(&message::gss_enc_request());
        assert_eq!(client.read_byte(), b'N');
        client.send(&message::ssl_request());
        assert_eq!(client.read_byte(), b'N');
        client.login(database.name(), "postgres");
        assert_eq!(client.value("select 7"), "7");
    }
}

#[test]
fn encryption_asked_for_twice_is_a_protocol_violation() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let mut client = howdah.raw();
    client.send(&[message::ssl_request(), message::ssl_request()].concat());
    assert_eq!(client.read_byte(), b'N');
    assert_eq!(only_error(&client.read_to_end()).0, "08P01");
}

#[test]
fn protocol_3_0_and_3_2_are_spoken_without_negotiation() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    for (minor, key) in [(0, 8), (2, 4 + 32)] {
        let mut client = howdah.raw();
        let welcome = start(&mut client, (3 << 16) + minor, &database, &[]);
        assert!(welcome.iter().all(|m| m.tag != b'v'), "3.{minor}: {welcome:?}");
        assert_eq!(client.cancel_key.len(), key, "3.{minor}");
        assert_eq!(client.value("select 1"), "1");
    }
}

#[test]
fn a_later_minor_is_answered_with_the_latest_we_know() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    for minor in [3, 9999] {
        let mut client = howdah.raw();
        let welcome = start(&mut client, (3 << 16) + minor, &database, &[]);
        let first = welcome.first().unwrap();
        assert_eq!((first.tag, &first.body[..]), (b'v', &[0, 3, 0, 2, 0, 0, 0, 0][..]), "3.{minor}");
        assert_eq!(client.cancel_key.len(), 4 + 32, "3.{minor}");
        assert_eq!(client.value("select 1"), "1");
    }
}

#[test]
fn unknown_protocol_options_are_named() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    let mut client = howdah.raw();
    let options = [("_pq_.first", "1"), ("_pq_.second", "x")];
    let welcome = start(&mut client, 3 << 16, &database, &options);
    let expected = [&[0, 3, 0, 0, 0, 0, 0, 2][..], b"_pq_.first\0_pq_.second\0"].concat();
    let first = welcome.first().unwrap();
    assert_eq!((first.tag, &first.body), (b'v', &expected));
    assert_eq!(client.value("select 1"), "1");
}

#[test]
fn protocol_2_and_4_are_refused() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[]);
    for major in [2, 4] {
        let mut client = howdah.raw();
        client.send(&message::startup_with(major << 16, &[("user", "postgres")]));
        let (code, text) = only_error(&client.read_to_end());
        assert_eq!(code, "0A000");
        assert!(text.contains(&format!("unsupported frontend protocol {major}.0")), "{text}");
    }
}

#[test]
fn the_welcome_is_what_postgresql_says() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &TRANSACTION);
    let mut client = howdah.raw();
    let ours = client.login(database.name(), "postgres");
    let theirs =
        howdah_tests::RawClient::tcp(howdah_tests::postgres().address()).login(database.name(), "postgres");
    let statuses = |welcome: &[Message]| -> Vec<_> {
        let mut statuses: Vec<_> =
            welcome.iter().filter(|m| m.tag == b'S').map(|m| m.body.escape_ascii().to_string()).collect();
        statuses.sort();
        statuses
    };
    assert_eq!(statuses(&ours), statuses(&theirs));
    assert!(tags(&ours).starts_with('R') && tags(&ours).ends_with("KZ"), "{}", tags(&ours));
}

#[test]
fn startup_parameters_are_followed_or_ignored() {
    let database = Database::create();
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "1"),
        ("ignore_startup_parameters", "extra_float_digits, geqo"),
    ];
    let howdah = Howdah::before(&database, &settings);
    let mut client = howdah.raw();
    let wanted = [("datestyle", "German"), ("TimeZone", "Asia/Tokyo"), ("extra_float_digits", "3")];
    let welcome = start(&mut client, 3 << 16, &database, &wanted);
    assert_eq!(status(&welcome, "TimeZone").as_deref(), Some("Asia/Tokyo"));
    assert_eq!(client.value("select date '2026-01-31'"), "31.01.2026");
    assert_eq!(client.value("show timezone"), "Asia/Tokyo");
    assert_eq!(client.value("show extra_float_digits"), "1");
    let mut client = howdah.raw();
    let options = [("options", "-c DateStyle=SQL,DMY --geqo=off -cTimeZone=UTC")];
    start(&mut client, 3 << 16, &database, &options);
    assert_eq!(client.value("select date '2026-01-31'"), "31/01/2026");
    assert_eq!(client.value("show timezone"), "UTC");
    assert_eq!(client.value("show geqo"), "on");
}

#[test]
fn settings_follow_their_client_over_one_server_connection() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let mut tokyo = howdah.raw();
    let mut berlin = howdah.raw();
    let mut plain = howdah.client(&database);
    let japanese = [("application_name", "tokyo"), ("TimeZone", "Asia/Tokyo"), ("client_encoding", "EUC_JP")];
    start(&mut tokyo, 3 << 16, &database, &japanese);
    let german = [("application_name", "o'berlin\\"), ("DateStyle", "German"), ("IntervalStyle", "iso_8601")];
    start(&mut berlin, 3 << 16, &database, &german);
    let ask = "select concat_ws('|', current_setting('application_name'), current_setting('TimeZone'), \
               current_setting('client_encoding'), current_setting('DateStyle'), interval '1 day')";
    let default_zone = database.psql("show timezone");
    let default_encoding = plain.value("show client_encoding");
    let default_name = plain.value("show application_name");
    let backend = plain.backend();
    for _ in 0..3 {
        assert_eq!(tokyo.value(ask), "tokyo|Asia/Tokyo|EUC_JP|ISO, MDY|1 day");
        assert_eq!(
            berlin.value(ask),
            format!("o'berlin\\|{default_zone}|{default_encoding}|German, DMY|P1D")
        );
        assert_eq!(
            plain.value(ask),
            format!("{default_name}|{default_zone}|{default_encoding}|ISO, MDY|1 day")
        );
    }
    assert_eq!((tokyo.backend(), berlin.backend()), (backend.clone(), backend), "they share one server");
}

#[test]
fn what_a_client_sets_later_follows_it_too_and_is_reported_to_it_alone() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction"), ("default_pool_size", "1")]);
    let (mut one, mut two) = (howdah.client(&database), howdah.client(&database));
    let zone = two.value("show timezone");
    let answer = one.query("set timezone = 'Asia/Tokyo'");
    assert_eq!(status(&answer, "TimeZone").as_deref(), Some("Asia/Tokyo"));
    let answer = two.query("show timezone");
    assert_eq!(status(&answer, "TimeZone"), None, "two never asked for a change");
    assert_eq!(two.value("show timezone"), zone);
    assert_eq!(one.value("show timezone"), "Asia/Tokyo");
    // A rolled back SET is none, and the client hears of both changes.
    one.query("begin; set timezone = 'Europe/Paris'");
    assert_eq!(status(&one.query("rollback"), "TimeZone").as_deref(), Some("Asia/Tokyo"));
    two.value("select 1");
    assert_eq!(one.value("show timezone"), "Asia/Tokyo");
}

#[test]
fn further_reported_settings_follow_if_the_configuration_names_them() {
    let database = Database::create();
    let settings = [
        ("pool_mode", "transaction"),
        ("default_pool_size", "1"),
        ("track_extra_parameters", "default_transaction_read_only"),
    ];
    let howdah = Howdah::before(&database, &settings);
    let mut reader = howdah.raw();
    start(&mut reader, 3 << 16, &database, &[("default_transaction_read_only", "on")]);
    let mut writer = howdah.client(&database);
    assert_eq!(reader.value("show default_transaction_read_only"), "on");
    assert_eq!(writer.value("show default_transaction_read_only"), "off");
    assert_eq!(only_error(&reader.query("create table t ()")).0, "25006");
    writer.run("create table t ()");
}

#[test]
fn a_connection_string_with_options_works_in_psql() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &TRANSACTION);
    let conninfo = format!("{} options='-c DateStyle=German'", howdah.conninfo(database.name(), "postgres"));
    assert_eq!(howdah_tests::psql(&conninfo, "select date '2026-01-31'").unwrap(), "31.01.2026");
}

#[test]
fn without_a_database_the_users_name_is_meant() {
    let database = Database::create();
    let howdah = Howdah::builder().database("postgres", &database.server()).start();
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres")]));
    client.welcome();
    assert_eq!(client.value("select current_database()"), database.name());
}

#[test]
fn databases_the_configuration_does_not_name_go_to_the_star() {
    let database = Database::create();
    let server = database.server();
    let server = server.rsplit_once(" dbname=").unwrap().0;
    let howdah = Howdah::builder().database("*", server).start();
    assert_eq!(howdah.psql(database.name(), "select current_database()").unwrap(), database.name());
}

#[test]
fn the_servers_own_refusal_is_passed_on() {
    let database = Database::create();
    let server = database.server().replace(database.name(), "not_on_the_server");
    let howdah = Howdah::builder().database("gone", &server).database("here", &database.server()).start();
    let mut client = howdah.raw();
    client.send(&message::startup(&[("user", "postgres"), ("database", "gone")]));
    let answer = client.read_to_end();
    let refusal = only_error(&answer);
    assert_eq!(refusal, ("3D000".into(), "database \"not_on_the_server\" does not exist".into()));
    assert_eq!(answer.last().unwrap().field(b'S').as_deref(), Some("FATAL"));
    assert_eq!(howdah.psql("here", "select 1").unwrap(), "1");
}

#[test]
fn a_server_that_is_not_there_and_a_database_nobody_knows_are_told_apart() {
    let database = Database::create();
    let nowhere = format!("host=127.0.0.1 port={}", howdah_embedded::free_port().unwrap());
    let howdah = Howdah::builder().database("nowhere", &nowhere).database("here", &database.server()).start();
    let refused = |name: &str| {
        let mut client = howdah.raw();
        client.send(&message::startup(&[("user", "postgres"), ("database", name)]));
        only_error(&client.read_to_end())
    };
    let (code, text) = refused("nowhere");
    assert_eq!(code, "08001", "{text}");
    assert!(text.contains("could not connect to the server"), "{text}");
    assert_eq!(refused("nobody"), ("3D000".into(), "no such database: nobody".into()));
}

#[test]
fn a_server_that_comes_back_is_found() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database("late", &database.server().replace(database.name(), "late_comer"))
        .setting("server_login_retry", "0.1")
        .start();
    assert!(howdah.psql("late", "select 1").is_err());
    howdah_tests::postgres().psql("create database late_comer").unwrap();
    let answer =
        eventually("the database is there", || howdah.psql("late", "select current_database()").ok());
    assert_eq!(answer, "late_comer");
    drop(howdah);
    howdah_tests::postgres().psql("drop database late_comer with (force)").unwrap();
}

fn start(
    client: &mut RawClient,
    version: u32,
    database: &Database,
    parameters: &[(&str, &str)],
) -> Vec<Message> {
    let who = [("user", "postgres"), ("database", database.name())];
    client.send(&message::startup_with(version, &[&who[..], parameters].concat()));
    client.welcome()
}

fn status(messages: &[Message], name: &str) -> Option<String> {
    let status = messages.iter().rfind(|m| m.tag == b'S' && m.first_string() == name)?;
    let value = status.body.split(|&byte| byte == 0).nth(1)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn both_doors(howdah: &Howdah) -> [RawClient; 2] {
    [howdah.raw(), RawClient::unix(&howdah.socket_path())]
}
