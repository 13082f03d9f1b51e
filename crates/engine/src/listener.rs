//! The listener connection of a database, looked after by a task of the first listener's worker.
//!
//! It is taken from that client's pool and counts there like one in a client's hands; what is said on it is
//! `core::listen`'s business. It is given back, to be closed, when nobody has listened for a while, when it breaks,
//! and when the operator wants it: a PAUSE would wait for it for ever.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use howdah_core::facts::CloseReason;
use howdah_core::listen::Next;
use howdah_core::pool::{Condition, PoolId};
use howdah_core::refusal;

use crate::client_task::{InLine, Lease, check, settle_in};
use crate::exchange::{Exchange, NeedsAttendant};
use crate::shared_pool::{Taken, Told};
use crate::worker::Worker;

/// Looks after a listener connection if that is needed and nobody does.
pub(crate) fn attend_if(needed: NeedsAttendant, worker: &Rc<Worker>, exchange: &Arc<Exchange>, pool: PoolId) {
    if needed.0 {
        tokio::task::spawn_local(attend(Rc::clone(worker), Arc::clone(exchange), pool));
    }
}

async fn attend(worker: Rc<Worker>, exchange: Arc<Exchange>, pool: PoolId) {
    let mut attendance = Attendance { worker: &worker, exchange: &exchange, over: false };
    let mut connection: Option<Lease> = None;
    let mut out = Vec::new();
    loop {
        let outcome = match exchange.next(worker.now(), &mut out) {
            Next::Rest => {
                attendance.over = true;
                return;
            }
            Next::Open => {
                match tokio::time::timeout(PATIENCE, check_out(&worker, pool)).await {
                    Ok(Ok(lease)) => {
                        tracing::debug!(server = lease.conn.id.0, "listener connection opened");
                        connection = Some(lease);
                        exchange.opened();
                    }
                    Ok(Err(reason)) => exchange.not_opened(&reason, worker.now()),
                    Err(_) => exchange.not_opened("no server connection was to be had in time", worker.now()),
                }
                Ok(())
            }
            Next::Close => {
                if let Some(lease) = connection.take() {
                    lease.give_back(Condition::Close(CloseReason::ServerIdleTimeout));
                }
                Ok(())
            }
            Next::Send => match &mut connection {
                Some(lease) => lease
                    .conn
                    .conn
                    .send(&worker.outbox, &std::mem::take(&mut out))
                    .map_err(|error| (CloseReason::ServerClosed, error.to_string())),
                None => Ok(()),
            },
            Next::Wait(until) => wait(&worker, &exchange, connection.as_mut(), until).await,
        };
        if let Err((reason, text)) = outcome {
            tracing::warn!(reason = text, "listener connection lost");
            if let Some(lease) = connection.take() {
                lease.give_back(Condition::Close(reason));
            }
            exchange.lost(&text, worker.now());
        }
    }
}

/// Whoever looks after the connection; one who ends in a panic leaves word.
struct Attendance<'a> {
    worker: &'a Worker,
    exchange: &'a Exchange,
    over: bool,
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.exchange.deserted(self.worker.now());
        }
    }
}

/// Takes a connection from the pool and makes it forget what clients have done to it.
async fn check_out(worker: &Rc<Worker>, pool: PoolId) -> Result<Lease, String> {
    for _ in 0..MOST_DEAD {
        let (conn, needs_check) = take(worker, pool).await?;
        let Some(mut lease) = settle_in(worker, conn, needs_check).await else { continue };
        for query in PREPARATION {
            if let Err(reason) = check(worker, &mut lease.conn, query).await {
                lease.give_back(Condition::Close(reason));
                return Err(reason.to_string());
            }
        }
        return Ok(lease);
    }
    Err(CloseReason::ServerClosed.to_string())
}

async fn take(
    worker: &Rc<Worker>,
    pool: PoolId,
) -> Result<(Box<crate::server_conn::ServerConn>, bool), String> {
    let refused = |why| Err(refusal::no_server(&why).message);
    let (taken, errands) = std::future::poll_fn(|cx| {
        Poll::Ready(worker.shared.pools.checkout_listener(pool, worker.id, cx.waker(), worker.now()))
    })
    .await;
    worker.run(errands);
    let ticket = match taken {
        Taken::Granted { conn, check } => return Ok((conn, check)),
        Taken::Refused(why) => return refused(why),
        Taken::Queued(ticket) => ticket,
    };
    let mut place = InLine::new(worker, ticket);
    loop {
        match std::future::poll_fn(|cx| worker.shared.pools.poll_ticket(ticket, cx)).await {
            Told::StillWaiting(_) => {}
            Told::Granted { conn, check } => {
                place.leave();
                return Ok((conn, check));
            }
            Told::Refused(why) => {
                place.leave();
                return refused(why);
            }
        }
    }
}

/// Returns when there may be something to do.
async fn wait(
    worker: &Worker,
    exchange: &Exchange,
    mut connection: Option<&mut Lease>,
    until: Option<Instant>,
) -> Result<(), (CloseReason, String)> {
    let look_again = connection.as_ref().map(|_| worker.now() + LOOK_AGAIN);
    let mut timer = [until, look_again]
        .into_iter()
        .flatten()
        .min()
        .map(|time| Box::pin(tokio::time::sleep_until(time.into())));
    std::future::poll_fn(|cx| {
        if let Some(lease) = &mut connection
            && let Poll::Ready(outcome) = poll_connection(worker, exchange, lease, cx)
        {
            return Poll::Ready(outcome);
        }
        if exchange.poll_called(cx.waker()).is_ready() {
            return Poll::Ready(Ok(()));
        }
        match &mut timer {
            Some(timer) => timer.as_mut().poll(cx).map(Ok),
            None => Poll::Pending,
        }
    })
    .await?;
    let wanted = connection.and_then(|lease| worker.shared.pools.lock().pools.is_wanted_back(lease.conn.id));
    wanted.map_or(Ok(()), |reason| Err((reason, reason.to_string())))
}

/// Ready when something has been read, or the connection is lost.
fn poll_connection(
    worker: &Worker,
    exchange: &Exchange,
    lease: &mut Lease,
    cx: &mut Context<'_>,
) -> Poll<Result<(), (CloseReason, String)>> {
    let crate::server_conn::ServerConn { conn, card, .. } = &mut *lease.conn;
    let closed = |error: std::io::Error| (CloseReason::ServerClosed, error.to_string());
    if !conn.is_flushed()
        && let Poll::Ready(Err(error)) = conn.poll_flush(cx)
    {
        return Poll::Ready(Err(closed(error)));
    }
    match conn.poll_fill(cx, &mut worker.scratch.borrow_mut().buffer, MOST_HELD) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(Ok(0)) => {
            return Poll::Ready(Err((CloseReason::ServerClosed, CloseReason::ServerClosed.to_string())));
        }
        Poll::Ready(Err(error)) => return Poll::Ready(Err(closed(error))),
        Poll::Ready(Ok(_)) => {}
    }
    let sender = |pid| worker.shared.pools.lock().client_of(&card.endpoint, pid).unwrap_or(pid);
    Poll::Ready(match exchange.read(&conn.held, sender) {
        Ok(read) => {
            conn.consume(read);
            Ok(())
        }
        Err(broken) => Err((CloseReason::ServerClosed, broken.to_string())),
    })
}

/// What is said on a fresh listener connection. Whatever it was used for before is undone; it is not ended for
/// idling; and names and payloads come in the encoding that nearly all clients use.
const PREPARATION: [&str; 2] = [
    "DISCARD ALL",
    "SET client_encoding = 'UTF8'; SET application_name = 'howdah listener'; \
     SELECT pg_catalog.set_config(s.name, '0', false) FROM pg_catalog.pg_settings AS s \
     WHERE s.name IN ('idle_session_timeout', 'statement_timeout')",
];
/// How long clients that say LISTEN wait for a listener connection at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked whether the operator wants the connection back.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// More than the longest message accepted.
const MOST_HELD: usize = 128 * 1024;
/// Dead server connections in a row after which there is none.
const MOST_DEAD: usize = 100;
