//! In transaction mode a client sees one PostgreSQL session, its own, although its server connections change.

use howdah_tests::parity;

#[test]
fn settings() {
    parity::check("settings");
}

/// Otherwise a difference would say nothing.
#[test]
fn scripts_do_not_depend_on_chance() {
    parity::check_direct();
}
