//! Transcripts: bytes in, replies out, both protocols; each is played byte by byte and at once.

use howdah_core::control::{ConfigRow, Shutdown};
use howdah_wire::backend::{self, CommandComplete, DataRow, ParameterStatus, RowDescription};
use howdah_wire::frontend::{
    TargetKind, write_bind_header, write_close, write_describe, write_execute, write_flush, write_parse,
    write_query, write_sync, write_terminate,
};
use howdah_wire::{CancelSecret, ErrorResponse, write_message};
use proptest::prelude::*;

use super::*;
use crate::sample::sample;

/// Plays `input` to a fresh console of `role` in pieces of `piece` bytes; gives back the replies and whether
/// it closed, and checks that every request was one the engine may see.
fn play(role: AdminRole, input: &[u8], piece: usize) -> (Vec<String>, Vec<Request>, bool) {
    let mut session = Session::new("ann", role);
    let (mut out, mut buffer, mut requests) = (Vec::new(), Vec::new(), Vec::new());
    for bytes in input.chunks(piece) {
        buffer.extend_from_slice(bytes);
        loop {
            let (eaten, next) = session.on_bytes(&buffer, &mut out);
            buffer.drain(..eaten);
            match next {
                ConsoleNext::More => break,
                ConsoleNext::Close => return (replies(&out), requests, true),
                ConsoleNext::Run(request) => {
                    session.finish(engine(&request), &mut out);
                    requests.push(request);
                }
            }
        }
    }
    (replies(&out), requests, false)
}

fn engine(request: &Request) -> Outcome {
    match request {
        Request::Snapshot => Outcome::Snapshot(Box::new(sample())),
        Request::ShowConfig => Outcome::Config(vec![ConfigRow {
            key: "verbose",
            value: "1".to_owned(),
            default: "0".to_owned(),
            changeable: true,
        }]),
        Request::Resume(_) => Outcome::Failed("pooler is not paused/suspended".to_owned()),
        Request::Reload => Outcome::Config(Vec::new()), // nonsense on purpose
        _ => Outcome::Done,
    }
}

/// Replies as text, one each.
fn replies(mut out: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(header) = FrameHeader::parse(out).unwrap() {
        let (message, rest) = out.split_at(header.total());
        found.push(reply(header.tag, &message[FrameHeader::SIZE..]));
        out = rest;
    }
    assert_eq!(out, b"", "half a message");
    found
}

fn reply(tag: u8, body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match tag {
        backend::tag::ROW_DESCRIPTION => {
            let description = RowDescription::parse(body).unwrap();
            let columns = description.columns().iter();
            let columns = columns.map(|column| format!("{}:{}", text(column.name), column.type_oid));
            format!("columns {}", columns.collect::<Vec<_>>().join(" "))
        }
        backend::tag::DATA_ROW => {
            let row = DataRow::parse(body).unwrap();
            let values = row.values().iter().map(|value| value.map_or("NULL".into(), text));
            format!("row {}", values.collect::<Vec<_>>().join("|"))
        }
        backend::tag::COMMAND_COMPLETE => format!("done {}", text(CommandComplete::parse(body).unwrap().tag)),
        backend::tag::READY_FOR_QUERY => format!("ready {}", text(body)),
        backend::tag::ERROR_RESPONSE | backend::tag::NOTICE_RESPONSE => {
            let error = ErrorResponse::parse(body);
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} {} {}{hint}", error.severity, error.code, error.message)
        }
        backend::tag::PARAMETER_STATUS => {
            let status = ParameterStatus::parse(body).unwrap();
            format!("{}={}", text(status.name), text(status.value))
        }
        backend::tag::PARAMETER_DESCRIPTION => format!("parameters {}", body[1]),
        backend::tag::BACKEND_KEY_DATA => format!("key {}", CancelKey::parse(body).unwrap().pid),
        backend::tag::PARSE_COMPLETE => "parsed".to_owned(),
        backend::tag::BIND_COMPLETE => "bound".to_owned(),
        backend::tag::CLOSE_COMPLETE => "closed".to_owned(),
        backend::tag::NO_DATA => "no data".to_owned(),
        backend::tag::PORTAL_SUSPENDED => "suspended".to_owned(),
        backend::tag::EMPTY_QUERY_RESPONSE => "empty".to_owned(),
        other => panic!("unexpected reply {:?}", char::from(other)),
    }
}

/// The replies of an admin's console, whatever the pieces.
fn answers(input: &[u8]) -> Vec<String> {
    let whole = play(AdminRole::Admin, input, usize::MAX);
    assert_eq!(play(AdminRole::Admin, input, 1), whole);
    whole.0
}

fn query(text: &str) -> Vec<u8> {
    let mut input = Vec::new();
    write_query(&mut input, text.as_bytes());
    input
}

fn ask(text: &str) -> Vec<String> {
    answers(&query(text))
}

fn bind(input: &mut Vec<u8>, portal: &str, statement: &str, rest: &[u8]) {
    write_bind_header(input, portal.as_bytes(), statement.as_bytes(), rest.len()).unwrap();
    input.extend_from_slice(rest);
}

const TEXT: &[u8] = b"\0\0\0\0\0\0";
const BINARY: &[u8] = b"\0\0\0\0\0\x01\0\x01";

/// What a driver sends to run one statement unnamed.
fn run(text: &str) -> Vec<u8> {
    let mut input = Vec::new();
    write_parse(&mut input, b"", text.as_bytes(), &[]);
    bind(&mut input, "", "", TEXT);
    write_describe(&mut input, TargetKind::Portal, b"");
    write_execute(&mut input, b"", 0);
    write_sync(&mut input);
    input
}

#[test]
fn welcome() {
    let mut out = Vec::new();
    let key = CancelKey { pid: 42, secret: CancelSecret::from(*b"abcd") };
    Session::new("ann", AdminRole::Stats).welcome(&key, &mut out);
    assert_eq!(
        replies(&out),
        [
            "server_version=1.25.2/howdah",
            "client_encoding=UTF8",
            "server_encoding=UTF8",
            "DateStyle=ISO",
            "TimeZone=GMT",
            "standard_conforming_strings=on",
            "is_superuser=on",
            "key 42",
            "ready I",
        ]
    );
}

#[test]
fn tables_over_the_simple_protocol() {
    assert_eq!(
        ask("SHOW STATE;"),
        [
            "columns key:25 value:25",
            "row active|no",
            "row paused|yes",
            "row suspended|no",
            "row io_engine|plain",
            "done SHOW",
            "ready I"
        ]
    );
    assert_eq!(
        ask("show config"),
        ["columns key:25 value:25 default:25 changeable:25", "row verbose|1|0|yes", "done SHOW", "ready I"]
    );
    let version = concat!("row Howdah ", env!("CARGO_PKG_VERSION"), " (PgBouncer 1.25 compatible)");
    assert_eq!(ask("select version()"), ["columns version:25", version, "done SHOW", "ready I"]);
    assert_eq!(ask("SHOW HELP"), ["NOTICE 00000 Console usage", "done SHOW", "ready I"]);
    let peers = "columns peer_id:23 host:25 port:23 pool_size:23";
    assert_eq!(ask("SHOW PEERS"), [peers, "done SHOW", "ready I"]);
}

#[test]
fn the_same_tables_over_the_extended_protocol() {
    for show in crate::show::Show::ALL {
        let text = format!("SHOW {}", show.name());
        let simple = ask(&text);
        let mut extended = answers(&run(&text));
        assert_eq!(extended.drain(..2).collect::<Vec<_>>(), ["parsed", "bound"]);
        if show.columns().is_none() {
            assert_eq!(extended.remove(0), "no data");
        }
        assert_eq!(extended, simple, "{text}");
    }
}

#[test]
fn orders_are_answered_with_their_own_tag() {
    for (text, tag, request) in [
        ("PAUSE", "PAUSE", Request::Pause(None)),
        ("KILL_CLIENT 7", "KILL_CLIENT", Request::KillClient(7)),
        ("SET verbose TO '2'", "SET verbose=2", Request::Set { key: "verbose".into(), value: "2".into() }),
        ("SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN", Request::Shutdown(Shutdown::WaitForClients)),
    ] {
        for input in [query(text), run(text)] {
            let (replies, requests, _) = play(AdminRole::Admin, &input, 3);
            assert_eq!(requests, std::slice::from_ref(&request));
            assert!(replies.ends_with(&[format!("done {tag}"), "ready I".to_owned()]), "{replies:?}");
        }
    }
}

#[test]
fn several_commands_in_one_query_run_in_order_up_to_the_first_failure() {
    let input = query("PAUSE a; SHOW LISTS; ; RESUME a; KILL");
    let (replies, requests, _) = play(AdminRole::Admin, &input, usize::MAX);
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(requests, [Request::Pause(some("a")), Request::Snapshot, Request::Resume(some("a"))]);
    assert_eq!(replies[0], "done PAUSE");
    assert_eq!(
        replies[replies.len() - 3..],
        ["done SHOW", "ERROR 08P01 pooler is not paused/suspended", "ready I"]
    );
}

#[test]
fn mistakes_are_explained_and_the_console_goes_on() {
    let mut input = query("SHOW POLS");
    input.extend(query("SHOW MEM"));
    input.extend(query("SUSPEND"));
    input.extend(query("DISABLE"));
    input.extend(query("RELOAD"));
    input.extend(query(" -- nothing"));
    assert_eq!(
        answers(&input),
        [
            "ERROR 42601 invalid command 'SHOW POLS', use SHOW HELP; (Perhaps you meant SHOW POOLS.)",
            "ready I",
            "ERROR 0A000 SHOW MEM is not built",
            "ready I",
            "ERROR 0A000 SUSPEND is not built",
            "ready I",
            "ERROR 42601 a database is required",
            "ready I",
            "ERROR XX000 the answer does not fit the question",
            "ready I",
            "empty",
            "ready I",
        ]
    );
}

#[test]
fn stats_users_change_nothing_in_either_protocol() {
    for text in ["PAUSE", "KILL_CLIENT 17", "SET verbose = 1", "SHOW FDS", "SHUTDOWN"] {
        for input in [query(text), run(text)] {
            let (replies, requests, _) = play(AdminRole::Stats, &input, usize::MAX);
            assert_eq!(requests, []);
            assert!(replies.ends_with(&["ERROR 42501 admin access needed".into(), "ready I".into()]));
        }
    }
    let (replies, ..) = play(AdminRole::Stats, &query("SHOW POOLS; KILL_CLIENT 17"), usize::MAX);
    assert_eq!(replies[2..], ["done SHOW", "ERROR 42501 admin access needed", "ready I"]);
}

#[test]
fn drivers_get_what_they_expect() {
    assert_eq!(ask("SET client_encoding = 'UTF8'"), ["NOTICE 00000 SET ignored", "done SET", "ready I"]);
    assert_eq!(ask("SET application_name = 'x'"), ["done SET", "ready I"]);
    assert_eq!(
        ask("SHOW client_encoding"),
        ["columns client_encoding:25", "row UTF-8", "done SHOW", "ready I"]
    );
    assert_eq!(ask("SELECT 1"), ["columns ?column?:23", "row 1", "done SELECT 1", "ready I"]);
    assert_eq!(
        ask("select current_user"),
        ["columns current_user:25", "row ann", "done SELECT 1", "ready I"]
    );
    let mut input = query("BEGIN");
    input.extend(query("SHOW nonsense"));
    input.extend(query("COMMIT"));
    let replies = answers(&input);
    assert_eq!(replies[..2], ["done BEGIN", "ready T"]);
    assert_eq!(replies[3..], ["ready T", "done COMMIT", "ready I"]);
}

#[test]
fn going_back_to_a_savepoint_leaves_the_transaction_open() {
    let mut input = query("BEGIN; SAVEPOINT \"_pg3_1\"");
    input.extend(query("ROLLBACK TO \"_pg3_1\"; RELEASE \"_pg3_1\""));
    input.extend(query("ROLLBACK"));
    assert_eq!(
        answers(&input),
        [
            "done BEGIN",
            "done SAVEPOINT",
            "ready T",
            "done ROLLBACK",
            "done RELEASE",
            "ready T",
            "done ROLLBACK",
            "ready I"
        ]
    );
}

#[test]
fn a_statement_is_described_without_being_run() {
    let mut input = Vec::new();
    write_parse(&mut input, b"s", b"SHOW LISTS", &[]);
    write_describe(&mut input, TargetKind::Statement, b"s");
    write_parse(&mut input, b"p", b"PAUSE", &[]);
    write_describe(&mut input, TargetKind::Statement, b"p");
    write_flush(&mut input);
    let (replies, requests, _) = play(AdminRole::Admin, &input, usize::MAX);
    assert_eq!(requests, []);
    assert_eq!(
        replies,
        ["parsed", "parameters 0", "columns list:25 items:23", "parsed", "parameters 0", "no data"]
    );
}

#[test]
fn binary_when_asked_for() {
    let mut input = Vec::new();
    write_parse(&mut input, b"", b"SHOW LISTS", &[]);
    bind(&mut input, "", "", BINARY);
    write_describe(&mut input, TargetKind::Portal, b"");
    write_execute(&mut input, b"", 0);
    let mut session = Session::new("ann", AdminRole::Stats);
    let mut out = Vec::new();
    let (_, next) = session.on_bytes(&input, &mut out);
    assert_eq!(next, ConsoleNext::Run(Request::Snapshot));
    assert!(out.ends_with(b"items\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01"));
    out.clear();
    session.finish(engine(&Request::Snapshot), &mut out);
    assert!(out.starts_with(b"D\0\0\0\x1b\0\x02\0\0\0\x09databases\0\0\0\x04\0\0\0\x01"), "{out:?}");
}

#[test]
fn rows_come_in_portions_when_asked_for() {
    let mut input = query("BEGIN");
    write_parse(&mut input, b"s", b"SHOW STATE", &[]);
    bind(&mut input, "c", "s", TEXT);
    write_execute(&mut input, b"c", 2);
    write_sync(&mut input);
    write_execute(&mut input, b"c", 2);
    write_execute(&mut input, b"c", 2);
    write_sync(&mut input);
    assert_eq!(
        answers(&input)[2..],
        [
            "parsed",
            "bound",
            "row active|no",
            "row paused|yes",
            "suspended",
            "ready T",
            "row suspended|no",
            "row io_engine|plain",
            "done SHOW",
            "ERROR 55000 portal \"c\" cannot be run again",
            "ready T",
        ]
    );
}

#[test]
fn portals_end_with_the_transaction_and_statements_stay() {
    let mut input = Vec::new();
    write_parse(&mut input, b"s", b"SHOW VERSION", &[]);
    bind(&mut input, "c", "s", TEXT);
    write_sync(&mut input);
    write_execute(&mut input, b"c", 0);
    write_sync(&mut input);
    bind(&mut input, "c", "s", TEXT);
    write_close(&mut input, TargetKind::Statement, b"s");
    write_sync(&mut input);
    bind(&mut input, "c", "s", TEXT);
    write_sync(&mut input);
    assert_eq!(
        answers(&input),
        [
            "parsed",
            "bound",
            "ready I",
            "ERROR 34000 portal \"c\" does not exist",
            "ready I",
            "bound",
            "closed",
            "ready I",
            "ERROR 26000 prepared statement \"s\" does not exist",
            "ready I",
        ]
    );
}

#[test]
fn after_an_error_everything_up_to_sync_is_skipped() {
    let mut input = Vec::new();
    write_parse(&mut input, b"", b"SHOW POLS", &[]);
    input.extend(query("PAUSE"));
    input.extend(run("KILL"));
    input.extend(query("SHOW PEERS"));
    let (replies, requests, _) = play(AdminRole::Admin, &input, usize::MAX);
    assert_eq!(requests, []);
    assert!(replies[0].starts_with("ERROR 42601"), "{replies:?}");
    assert_eq!(replies[1], "ready I");
    assert!(replies[2].starts_with("columns peer_id"));
}

#[test]
fn a_failed_order_ends_its_batch() {
    let mut input = Vec::new();
    write_parse(&mut input, b"", b"RESUME", &[]);
    bind(&mut input, "", "", TEXT);
    write_execute(&mut input, b"", 0);
    input.extend(run("KILL"));
    let (replies, requests, _) = play(AdminRole::Admin, &input, usize::MAX);
    assert_eq!(requests, [Request::Resume(None)]);
    assert_eq!(replies[2..], ["ERROR 08P01 pooler is not paused/suspended", "ready I"]);
}

#[test]
fn what_the_extended_protocol_may_not_ask() {
    let parse = |text: &str, types: &[u8]| {
        let mut input = Vec::new();
        write_parse(&mut input, b"", text.as_bytes(), types);
        answers(&input).remove(0)
    };
    assert_eq!(parse("PAUSE $1", &[]), "ERROR 0A000 the console takes no parameters");
    assert_eq!(parse("PAUSE", &[0, 0, 0, 25]), "ERROR 0A000 the console takes no parameters");
    assert_eq!(
        parse("PAUSE; KILL", &[]),
        "ERROR 42601 cannot insert multiple commands into a prepared statement"
    );
    assert_eq!(parse("PAUSE; KILL it now", &[]).get(..11), Some("ERROR 42601"));
}

#[test]
fn deallocate_and_discard_drop_statements() {
    let mut input = Vec::new();
    write_parse(&mut input, b"_pg3_0", b"SHOW POOLS", &[]);
    write_sync(&mut input);
    input.extend(query("DEALLOCATE _pg3_0"));
    input.extend(query("DEALLOCATE _pg3_0"));
    input.extend(query("DISCARD ALL"));
    assert_eq!(
        answers(&input)[2..],
        [
            "done DEALLOCATE",
            "ready I",
            "ERROR 26000 prepared statement \"_pg3_0\" does not exist",
            "ready I",
            "done DISCARD ALL",
            "ready I",
        ]
    );
}

#[test]
fn nothing_is_read_while_the_engine_is_busy() {
    let mut session = Session::new("ann", AdminRole::Admin);
    let (mut out, first) = (Vec::new(), query("PAUSE"));
    let both = [first.clone(), query("RESUME")].concat();
    assert_eq!(session.on_bytes(&both, &mut out), (first.len(), ConsoleNext::Run(Request::Pause(None))));
    assert_eq!(session.on_bytes(&both[first.len()..], &mut out), (0, ConsoleNext::More));
    assert_eq!(out, b"");
    session.finish(Outcome::Done, &mut out);
    assert_eq!(replies(&out), ["done PAUSE", "ready I"]);
    session.finish(Outcome::Done, &mut out);
    assert_eq!(replies(&out).len(), 2, "an answer to no question");
    let next = session.on_bytes(&both[first.len()..], &mut out).1;
    assert_eq!(next, ConsoleNext::Run(Request::Resume(None)));
}

#[test]
fn what_cannot_be_understood_ends_the_connection() {
    let closed = |input: &[u8]| {
        let (mut replies, requests, closed) = play(AdminRole::Admin, input, usize::MAX);
        assert!(closed && requests.is_empty() && replies.len() == 1, "{replies:?}");
        replies.remove(0)
    };
    assert_eq!(
        closed(b"Q\xff\xff\xff\xff"),
        "FATAL 08P01 message of type 'Q' claims an impossible length of -1 bytes"
    );
    assert_eq!(
        closed(b"Q\0\x01\0\x01"),
        "FATAL 08P01 message of 65537 bytes is longer than the console reads"
    );
    assert_eq!(closed(b"p\0\0\0\x05x"), "FATAL 08P01 message type 'p' makes no sense here");
}

#[test]
fn what_is_merely_malformed_does_not() {
    let mut input = Vec::new();
    write_message(&mut input, tag::QUERY, b"SHOW");
    write_message(&mut input, tag::QUERY, b"SHOW \xff\0");
    write_message(&mut input, tag::FUNCTION_CALL, b"");
    write_message(&mut input, tag::COPY_DATA, b"x");
    write_message(&mut input, tag::EXECUTE, b"");
    write_sync(&mut input);
    assert_eq!(
        answers(&input),
        [
            "ERROR 08P01 string in message is not terminated",
            "ready I",
            "ERROR 22021 the text is not valid UTF-8",
            "ready I",
            "ERROR 0A000 the console has no functions to call",
            "ready I",
            "ERROR 08P01 string in message is not terminated",
            "ready I",
        ]
    );
}

#[test]
fn terminate_closes_without_a_word() {
    let mut input = Vec::new();
    write_parse(&mut input, b"", b"nonsense", &[]);
    write_terminate(&mut input);
    let (replies, _, closed) = play(AdminRole::Admin, &input, usize::MAX);
    assert!(closed);
    assert_eq!(replies.len(), 1, "only the error before it");
}

proptest! {
    #[test]
    fn hostile_bytes_do_not_panic(input in proptest::collection::vec(any::<u8>(), 0..400), piece in 1..50_usize) {
        play(AdminRole::Admin, &input, piece);
    }

    #[test]
    fn hostile_bodies_do_not_panic(
        messages in proptest::collection::vec(
            (proptest::sample::select(&b"QPBDECSHFdcfX"[..]), proptest::collection::vec(any::<u8>(), 0..40)),
            0..20,
        ),
        piece in 1..50_usize,
    ) {
        let mut input = Vec::new();
        for (tag, body) in &messages {
            write_message(&mut input, *tag, body);
        }
        prop_assert_eq!(
            play(AdminRole::Admin, &input, piece),
            play(AdminRole::Admin, &input, usize::MAX)
        );
    }

    #[test]
    fn hostile_texts_do_not_panic(
        text in "(?i)(show|select|set|kill|pause|deallocate|reset|[ ;'\"*/$=.()-]|[a-zäß0-9_]|\n){0,40}",
        extended: bool,
    ) {
        play(AdminRole::Admin, &if extended { run(&text) } else { query(&text) }, usize::MAX);
    }
}
