//! In transaction mode a client sees one PostgreSQL session, its own, although its server connections change.
//!
//! A test for each file of `tests/parity`; `README.md` there tells what is compared with what.

use howdah_tests::parity;

#[test]
fn settings() {
    parity::check("settings");
}

#[test]
fn startup() {
    parity::check("startup");
}

#[test]
fn prepared() {
    parity::check("prepared");
}

#[test]
fn notify() {
    parity::check("notify");
}

#[test]
fn temporary() {
    parity::check("temporary");
}

#[test]
fn locks() {
    parity::check("locks");
}

#[test]
fn cursors() {
    parity::check("cursors");
}

#[test]
fn transactions() {
    parity::check("transactions");
}

#[test]
fn functions() {
    parity::check("functions");
}

#[test]
fn always() {
    parity::check("always");
}

#[test]
fn others() {
    parity::check("others");
}

#[test]
fn exceptions() {
    parity::check("exceptions");
}

/// Here every client has a server connection as long as it stays; the one before it must have left no trace.
#[test]
fn session_mode() {
    parity::check_in_session_mode();
}

/// Otherwise the scripts would prove nothing.
#[test]
fn between_two_transactions_a_client_is_brought_to_another_server_connection() {
    let (moved, not_moved) = parity::scatters("transactions");
    assert!(moved > 10 * not_moved, "{moved} times it was, {not_moved} times not");
}

#[test]
fn every_file_is_played() {
    let source = include_str!("parity.rs");
    for file in parity::files() {
        assert!(source.contains(&format!("parity::check(\"{file}\")")), "{file} has no test");
    }
}

#[test]
fn exceptions_are_documented() {
    parity::check_exceptions();
}

/// Otherwise a difference would say nothing.
#[test]
fn scripts_do_not_depend_on_chance() {
    parity::check_direct();
}
