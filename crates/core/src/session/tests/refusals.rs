//! A client in line for a server connection is refused, and listens again where PostgreSQL would.

use howdah_wire::SqlState;
use howdah_wire::error_response::{ErrorResponse, Severity};

use super::stage::Stage;
use crate::session::Patch;

fn refused(messages: &str) -> (Stage, String) {
    let mut stage = Stage::transaction(1, 1);
    stage.grants = false;
    assert_eq!(stage.client(0, messages), "");
    assert!(stage.clients[0].in_line);
    let mut patch = Patch::default();
    let error = ErrorResponse::new(Severity::Error, SqlState::from_bytes(b"57014").unwrap(), "canceled");
    let client = &mut stage.clients[0];
    client.in_line = false;
    client.session.refuse_request(&error, &mut patch);
    client.out.extend(patch.to_client);
    stage.client_bytes(0, &[]);
    let report = stage.report();
    (stage, report)
}

#[test]
fn a_simple_query() {
    let (mut stage, report) = refused("Q select 1 / Q select 2");
    assert_eq!(report, "client 0: E 57014 canceled / Z I");
    assert!(stage.clients[0].in_line, "with the second query");
    stage.link(0, 0);
    assert_eq!(stage.report(), "server 0: Q select 2 | 0-0");
}

#[test]
fn a_batch_up_to_its_sync_queries_included() {
    let (mut stage, report) = refused("P a select 1 / B a / Q select 1");
    assert_eq!(report, "client 0: E 57014 canceled");
    assert_eq!(stage.client(0, "E / S"), "client 0: Z I");
    stage.grants = true;
    assert_eq!(stage.client(0, "B a / S"), "server 0: B a / S | 0-0");
}
