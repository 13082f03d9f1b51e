//! COPY in both protocols and both directions.

use super::stage::Stage;

#[test]
fn copy_in_by_simple_query() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q copy t from stdin");
    assert_eq!(stage.server(0, "G"), "client 0: G | 0-0");
    assert_eq!(stage.client(0, "d 1 / d 2 / H / S / c"), "server 0: d 1 / d 2 / H / S / c | 0-0");
    assert_eq!(stage.server(0, "C COPY 2 / Z I"), "client 0: C COPY 2 / Z I");
}

#[test]
fn copy_in_by_extended_protocol_swallows_the_early_sync() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E / S");
    assert_eq!(stage.server(0, "1 / 2 / G"), "client 0: 1 / 2 / G | 0-0");
    assert_eq!(stage.client(0, "d 1 / c"), "server 0: d 1 / c | 0-0");
    assert_eq!(stage.server(0, "C COPY 1"), "client 0: C COPY 1 | 0-0");
    assert_eq!(stage.client(0, "S"), "server 0: S | 0-0");
    assert_eq!(stage.server(0, "Z I"), "client 0: Z I");
}

#[test]
fn copy_fail_and_bad_data() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q copy t from stdin");
    stage.server(0, "G");
    stage.client(0, "d 1 / f enough");
    assert_eq!(stage.server(0, "E 57014 enough / Z I"), "client 0: E 57014 enough / Z I");

    stage.client(0, "Q copy t from stdin");
    stage.server(0, "G");
    stage.client(0, "d bad");
    assert_eq!(stage.server(0, "E 22P04 bad / Z I"), "client 0: E 22P04 bad / Z I");
    // The rest of the data comes when the server connection has long been given back.
    assert_eq!(stage.client(0, "d 2 / c"), "");

    stage.client(0, "Q copy t from stdin");
    stage.server(0, "G");
    stage.client(0, "d bad / d 2 / c / Q select 1");
    assert_eq!(stage.server(0, "E 22P04 bad / Z I"), "client 0: E 22P04 bad / Z I | 0-0");
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I");
}

#[test]
fn bad_data_in_the_extended_protocol() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E");
    stage.server(0, "1 / 2 / G");
    stage.client(0, "d bad / c / S");
    assert_eq!(stage.server(0, "E 22P04 bad / Z I"), "client 0: E 22P04 bad / Z I");
}

#[test]
fn after_a_failed_copy_an_early_sync_is_asked_after() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E / S");
    stage.server(0, "1 / 2 / G");
    stage.client(0, "d bad / c / S");
    // Swallowed, as nearly always…
    assert_eq!(stage.server(0, "E 22P04 bad / Z I"), "server 0: Q | client 0: E 22P04 bad / Z I | 0-0");
    assert_eq!(stage.server(0, "I / Z I"), "");
    // …or not, since a trigger failed before any data were read.
    stage.client(0, "P - copy t from stdin / B - / E / S");
    stage.server(0, "1 / 2 / G");
    stage.client(0, "d 1 / c / S");
    assert_eq!(stage.server(0, "E P0001 no / Z I"), "server 0: Q | client 0: E P0001 no / Z I | 0-0");
    assert_eq!(stage.server(0, "Z I / I / Z I"), "client 0: Z I");
    // Without any data sent there is no doubt.
    stage.client(0, "P - copy t from stdin / B - / E / S");
    assert_eq!(stage.server(0, "1 / 2 / G / E P0001 no / Z I"), "client 0: 1 / 2 / G / E P0001 no / Z I");
    assert_eq!(stage.client(0, "d 1 / c / S"), "client 0: Z I");
}

#[test]
fn a_sync_amid_the_data_of_a_failed_copy_cannot_be_told() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - copy t from stdin / B - / E");
    stage.server(0, "1 / 2 / G");
    stage.client(0, "d bad / S / d 2 / c / S");
    assert_eq!(stage.server(0, "E 22P04 bad"), "server 0 closed: server protocol violation");
}

#[test]
fn copy_out() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q copy t to stdout");
    let rows = "H / d 1 / d 2 / c / C COPY 2 / Z I";
    assert_eq!(stage.server(0, rows), format!("client 0: {rows}"));
    stage.client(0, "P - copy t to stdout / B - / E / S");
    let rows = "1 / 2 / H / d 1 / c / C COPY 1 / Z I";
    assert_eq!(stage.server(0, rows), format!("client 0: {rows}"));
}

#[test]
fn two_copies_in_one_query() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "Q copy a from stdin; copy b from stdin / d 1 / c / d 2 / c / Q select 1");
    assert_eq!(
        stage.server(0, "G / C COPY 1 / G / C COPY 1 / Z I"),
        "client 0: G / C COPY 1 / G / C COPY 1 / Z I | 0-0"
    );
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I");
}
