//! The settings that follow the client.

use super::stage::Stage;

fn stage() -> Stage {
    let mut stage = Stage::transaction(2, 1);
    let zone = stage.servers[0].server.tracked.index("TimeZone").unwrap();
    stage.servers[0].server.parameters.set(zone, "UTC");
    stage
}

#[test]
fn what_differs_is_set_before_the_first_message_and_not_told() {
    let mut stage = stage();
    stage.client(0, "Q set timezone = 'europe/rome'");
    assert_eq!(
        stage.server(0, "C SET / S TimeZone Europe/Rome / Z I"),
        "client 0: C SET / S TimeZone Europe/Rome / Z I"
    );
    stage.clients[1].session.parameters.set(2, "UTC");
    assert_eq!(
        stage.client(1, "Q select 1"),
        "server 0: Q SELECT pg_catalog.set_config(\\'TimeZone\\', \\'UTC\\', false) / Q select 1 | 1-0"
    );
    assert_eq!(
        stage.server(0, "T / D / C SELECT 1 / S TimeZone UTC / Z I / C SELECT 1 / Z I"),
        "client 1: C SELECT 1 / Z I"
    );
    // And back, on the way to the client that has set it.
    assert_eq!(
        stage.client(0, "Q select 1"),
        "server 0: Q SELECT pg_catalog.set_config(\\'TimeZone\\', \\'Europe/Rome\\', false) / Q select 1 | 0-0"
    );
}

#[test]
fn the_servers_spelling_is_told_once() {
    let mut stage = stage();
    stage.clients[0].session.parameters.set(2, "europe/rome");
    stage.client(0, "Q select 1");
    assert_eq!(
        stage.server(0, "T / D / C SELECT 1 / S TimeZone Europe/Rome / Z I / C SELECT 1 / Z I"),
        "client 0: S TimeZone Europe/Rome / C SELECT 1 / Z I"
    );
    stage.report();
    assert_eq!(stage.client(0, "Q select 1"), "server 0: Q select 1 | 0-0");
}

#[test]
fn a_server_that_cannot_be_made_fit_is_closed_and_says_why() {
    let mut stage = stage();
    stage.clients[0].session.parameters.set(2, "nowhere");
    stage.client(0, "Q select 1");
    assert_eq!(
        stage.server(0, "T / E 22023 no such zone / Z I / C SELECT 1 / Z I"),
        "server 0 closed: server clean-up failed"
    );
    assert_eq!(stage.servers[0].server.last_error.as_ref().unwrap().message, "no such zone");
}

#[test]
fn changes_that_nobody_hears_are_known() {
    let mut stage = stage();
    stage.server(0, "S TimeZone Asia/Tokyo");
    stage.clients[0].session.parameters.set(2, "Asia/Tokyo");
    assert_eq!(stage.client(0, "Q select 1"), "server 0: Q select 1 | 0-0");
}
