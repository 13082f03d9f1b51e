//! The extended protocol: pipelines, errors in them, Flush, batches without an end.

use super::stage::Stage;

#[test]
fn an_error_skips_to_the_next_sync() {
    let mut stage = Stage::transaction(1, 1);
    assert_eq!(
        stage.client(0, "P - select 1 / B - / E / S / P - select 2 / B - / E / S"),
        "server 0: P - select 1 / B - / E / S / P - select 2 / B - / E / S | 0-0"
    );
    assert_eq!(stage.server(0, "1 / E 22P02 bad value / Z I"), "client 0: 1 / E 22P02 bad value / Z I | 0-0");
    assert_eq!(stage.server(0, "1 / 2 / C SELECT 0 / Z I"), "client 0: 1 / 2 / C SELECT 0 / Z I");
}

#[test]
fn what_is_sent_while_the_server_skips_goes_nowhere() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - bad");
    assert_eq!(stage.server(0, "E 42601 syntax"), "client 0: E 42601 syntax | 0-0");
    assert_eq!(stage.client(0, "B - / E / Q select 1 / H / C a / P a select 1 / d x"), "0-0");
    assert_eq!(stage.client(0, "S"), "server 0: S | 0-0");
    assert_eq!(stage.server(0, "Z I"), "client 0: Z I");
    // The Parse never happened.
    assert_eq!(stage.client(0, "D a / S"), "server 0: D a / S | 0-0");
}

#[test]
fn a_batch_stays_open_though_all_of_it_is_answered() {
    let mut stage = Stage::transaction(2, 1);
    stage.client(0, "P - rows / B - / E - 1 / H");
    assert_eq!(stage.server(0, "1 / 2 / D 1 / s"), "client 0: 1 / 2 / D 1 / s | 0-0");
    assert_eq!(stage.client(1, "Q select 1"), "0-0");
    assert_eq!(stage.client(0, "E / S"), "server 0: E / S | 0-0");
    assert_eq!(stage.server(0, "D 2 / C SELECT 1 / Z I"), "client 0: D 2 / C SELECT 1 / Z I");
}

#[test]
fn a_query_ends_a_batch_too() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - select 1 / Q select 2");
    assert_eq!(stage.server(0, "1 / C SELECT 1 / Z I"), "client 0: 1 / C SELECT 1 / Z I");
}

#[test]
fn an_error_at_sync_ends_nothing_but_the_batch() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P - insert / B - / E / S / S");
    assert_eq!(
        stage.server(0, "1 / 2 / C INSERT 0 1 / E 23503 deferred / Z I"),
        "client 0: 1 / 2 / C INSERT 0 1 / E 23503 deferred / Z I | 0-0"
    );
    assert_eq!(stage.server(0, "Z I"), "client 0: Z I");
}

#[test]
fn a_long_pipeline_without_sync_is_never_stuck() {
    let mut stage = Stage::transaction(1, 1);
    stage.client(0, "P a select 1 / S");
    stage.server(0, "1 / Z I");
    // The server keeps the answer to the Bind to itself until it is made to flush.
    let pairs = "C a / P a select 1 / ".repeat(5000);
    let sent = stage.client(0, &format!("B a / {pairs}E / S"));
    assert_eq!(sent, "server 0: B HOWDAH_1 / H / H / H | 0-0");
    let given = stage.server(0, "2");
    assert!(given.starts_with("server 0: H / E / S | client 0: 2 / 3 / 1 / 3"), "{}", &given[..80]);
    assert_eq!(given.matches("3 / 1").count(), 5000);
    assert_eq!(stage.server(0, "C SELECT 1 / Z I"), "client 0: C SELECT 1 / Z I");
}
