//! What a pin costs its client.

use std::time::Duration;

use super::stage::{Stage, rules};
use crate::facts::{CloseReason, Counters};
use crate::server::Tally;
use crate::session::PinReason;
use crate::settings::PoolMode;

const LIMIT: Duration = Duration::from_secs(10);

fn pinned(mode: PoolMode) -> Stage {
    let mut rules = rules(mode, 100);
    rules.state.pin_idle_timeout = Some(LIMIT);
    let mut stage = Stage::new(rules, 1, 1);
    stage.client(0, &format!("P - select '{}' / S", "x".repeat(70_000)));
    stage.server(0, "1 / Z I");
    stage
}

#[test]
fn pin_idle_timeout_counts_while_a_pinned_client_asks_for_nothing() {
    let mut stage = pinned(PoolMode::Transaction);
    let session = &mut stage.clients[0].session;
    let over = Some(CloseReason::PinIdleTimeout(PinReason::UnnamedStatement));
    let asked = session.idle_since().unwrap();
    assert_eq!(session.overdue(true, asked + LIMIT / 2), None);
    assert_eq!(session.overdue(true, asked + LIMIT), over);
    // A query may take longer, and so may a transaction: those have limits of their own.
    session.request_sent(asked + LIMIT / 2);
    assert_eq!(session.overdue(true, asked + 3 * LIMIT), None);
    let mut counters = Counters::default();
    session.request_answered(Tally { queries: 1, ..Tally::default() }, asked + 3 * LIMIT, &mut counters);
    assert_eq!(session.overdue(true, asked + 5 * LIMIT), None);
    session.request_sent(asked + 5 * LIMIT);
    let ended = Tally { queries: 1, transactions: 1, ..Tally::default() };
    session.request_answered(ended, asked + 6 * LIMIT, &mut counters);
    assert_eq!(session.overdue(true, asked + 6 * LIMIT), None);
    assert_eq!(session.overdue(true, asked + 7 * LIMIT), over);
}

#[test]
fn pin_idle_timeout_is_nothing_to_a_client_without_a_pin() {
    let mut stage = pinned(PoolMode::Transaction);
    stage.client(0, "B - / E / S");
    stage.server(0, "2 / C SELECT 1 / Z I");
    let session = &stage.clients[0].session;
    assert_eq!(session.overdue(true, session.idle_since().unwrap() + 2 * LIMIT), None);
    // In session mode the server connection is its own in any case.
    let stage = pinned(PoolMode::Session);
    let session = &stage.clients[0].session;
    assert_eq!(session.overdue(true, session.idle_since().unwrap() + 2 * LIMIT), None);
}
