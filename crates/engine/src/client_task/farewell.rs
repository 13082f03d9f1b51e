//! A client parts from its server connection, which is made fit for the next one.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use howdah_core::facts::CloseReason;
use howdah_core::pool::Condition;
use howdah_core::server::{Cleanup, CleanupStep};
use howdah_core::settings::PoolMode;

use super::cancel::{self, CancelJob};
use super::checkout::{Lease, check};
use crate::client_card::ClientCard;
use crate::conn::Conn;
use crate::worker::Worker;

/// Gives back a server connection whose client has got all it asked for; after the reset query, where that
/// is wanted in every mode. The client need not wait for it.
pub(super) fn release(worker: &Rc<Worker>, mut lease: Lease) {
    if lease.conn.server.unfit {
        lease.give_back(Condition::Close(CloseReason::ServerUnclean));
        return;
    }
    let settings = worker.settings();
    let wanted = settings.pool.reset_query.as_ref().filter(|_| settings.pool.reset_query_always);
    let Some(query) = wanted.cloned() else {
        lease.give_back(Condition::Fit);
        return;
    };
    worker.set_testing(lease.conn.id, true);
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let cleaned = check(&worker, &mut lease.conn, &query).await;
        lease
            .give_back(cleaned.map_or(Condition::Close(CloseReason::ServerUncleanable), |()| Condition::Fit));
    });
}

/// Cleans the server connection and gives it back. `client` is closed meanwhile, once it has been told what
/// there was to tell.
pub(super) async fn clean(
    worker: &Rc<Worker>,
    card: &ClientCard,
    mut lease: Lease,
    reason: CloseReason,
    client: &mut Conn,
) {
    // An error means that nothing can be said to this client any more.
    let _ = client.settle(&worker.outbox);
    if client.is_flushed() {
        client.socket.finish();
    }
    let orderly = reason == CloseReason::ClientTerminated;
    let mut out = Vec::new();
    let (mut cleanup, step) = {
        let settings = worker.settings();
        let wanted =
            card.caller.route.rules.load().mode == PoolMode::Session || settings.pool.reset_query_always;
        let reset = settings.pool.reset_query.as_deref().filter(|_| wanted);
        let session = card.session.borrow();
        Cleanup::begin(&mut lease.conn.server, &session, orderly, reset, &mut out)
    };
    worker.set_testing(lease.conn.id, true);
    let mut cancel: Option<Rc<CancelJob>> = None;
    let mut patience = FIRST_PATIENCE;
    let mut next = step;
    let condition = loop {
        match next {
            CleanupStep::Fit => break Condition::Fit,
            CleanupStep::Close(reason) => break Condition::Close(reason),
            CleanupStep::Cancel => {
                cancel = Some(cancel::start(worker, &lease.conn, card.waker(), None));
            }
            CleanupStep::Wait => {}
        }
        if lease.conn.conn.send(&worker.outbox, &out).is_err() {
            break Condition::Close(CloseReason::ServerClosed);
        }
        out.clear();
        let wait = std::future::poll_fn(|cx| poll_settled(worker, &mut lease, cancel.as_deref(), cx));
        next = match tokio::time::timeout(patience, wait).await {
            Ok(Ok(())) => cleanup.advance(&mut lease.conn.server, &mut out),
            Ok(Err(reason)) => break Condition::Close(reason),
            Err(_) if cancel.as_ref().is_some_and(|job| job.is_running()) => CleanupStep::Wait,
            Err(_) => {
                patience = LONGEST_PATIENCE.min(2 * patience);
                cleanup.insist(&lease.conn.server)
            }
        };
    };
    lease.give_back(condition);
}

/// Ready when the cleaning can go on and no cancel request is on its way.
fn poll_settled(
    worker: &Worker,
    lease: &mut Lease,
    cancel: Option<&CancelJob>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), CloseReason>> {
    let conn = &mut lease.conn;
    if !conn.conn.is_flushed() && matches!(conn.conn.poll_flush(cx), Poll::Ready(Err(_))) {
        return Poll::Ready(Err(CloseReason::ServerClosed));
    }
    if let Some(reason) = conn.read_unasked(cx, &mut worker.scratch.borrow_mut().buffer) {
        return Poll::Ready(Err(reason));
    }
    if !Cleanup::is_due(&conn.server) {
        return Poll::Pending;
    }
    match cancel {
        Some(job) => {
            job.call_off();
            if job.poll_over().is_pending() {
                return Poll::Pending;
            }
            let doubt = job.is_in_doubt();
            Poll::Ready(if doubt { Err(CloseReason::ServerUncleanable) } else { Ok(()) })
        }
        None => Poll::Ready(Ok(())),
    }
}

/// How long a cancelled query may take to end before it is cancelled again; longer each time.
const FIRST_PATIENCE: Duration = Duration::from_millis(50);
const LONGEST_PATIENCE: Duration = Duration::from_secs(5);
