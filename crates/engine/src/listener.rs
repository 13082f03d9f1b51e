//! The listener connection of a database, looked after by a task of the first listener's worker.
//!
//! It is taken from that client's pool and counts there like one in a client's hands; what is said on it is
//! `core::listen`'s business. It is given back, to be closed, when nobody has listened for a while, when it breaks,
//! when the operator wants it (a PAUSE would wait for it for ever), and when it is all that clients could have.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use howdah_core::facts::CloseReason;
use howdah_core::listen::Next;
use howdah_core::pool::{Condition, PoolId, Refusal};
use howdah_core::refusal;

use crate::client_task::{Granted, InLine, Lease, catch_unwind, check, settle_in};
use crate::exchange::{Exchange, NeedsAttendant};
use crate::line::Told;
use crate::server_conn::ServerConn;
use crate::shared_pool::Taken;
use crate::worker::Worker;

/// Looks after a listener connection if that is needed and nobody does.
pub(crate) fn attend_if(needed: NeedsAttendant, worker: &Rc<Worker>, exchange: &Arc<Exchange>, pool: PoolId) {
    if needed.0 {
        tokio::task::spawn_local(keep_attending(Rc::clone(worker), Arc::clone(exchange), pool));
    }
}

/// A panic is survived; who listens is told that something may have been missed.
async fn keep_attending(worker: Rc<Worker>, exchange: Arc<Exchange>, pool: PoolId) {
    while catch_unwind(std::pin::pin!(attend(&worker, &exchange, pool))).await.is_err() {
        tracing::error!("panic while looking after the listener connection; it is opened anew");
        worker.shared.panics.fetch_add(1, Ordering::Relaxed);
        exchange.lost(&CloseReason::Panic.to_string(), worker.now());
        tokio::time::sleep(AFTER_PANIC).await;
    }
}

/// Returns when nobody has listened for a while.
async fn attend(worker: &Rc<Worker>, exchange: &Exchange, pool: PoolId) {
    let mut connection: Option<Lease> = None;
    let mut out = Vec::new();
    loop {
        let outcome = match exchange.next(worker.now(), &mut out) {
            Next::Rest => return,
            Next::Open => {
                connection = open(worker, exchange, pool).await;
                Ok(())
            }
            Next::Close => {
                if let Some(lease) = connection.take() {
                    lease.give_back(Condition::Close(CloseReason::ServerIdleTimeout));
                }
                Ok(())
            }
            Next::Send => send(worker, connection.as_mut(), &std::mem::take(&mut out)),
            Next::Wait(until) => wait(worker, exchange, connection.as_mut(), until).await,
        };
        let outcome = outcome.and_then(|()| {
            match connection.as_ref().and_then(|lease| wanted_back(worker, lease, pool)) {
                Some(reason) => Err(Lost::Wanted(reason)),
                None => Ok(()),
            }
        });
        let Err(lost) = outcome else { continue };
        let (reason, text) = match &lost {
            Lost::Wanted(reason) => (*reason, reason.to_string()),
            Lost::Broken(text) => (CloseReason::ServerClosed, text.clone()),
        };
        let key = worker.shared.server_key(pool).map(tracing::field::display);
        tracing::warn!(pool = key, reason = text, "listener connection given up");
        if let Some(lease) = connection.take() {
            lease.give_back(Condition::Close(reason));
        }
        match lost {
            // Clients need it: not before they have had it for a while.
            Lost::Wanted(CloseReason::OverLimit) | Lost::Broken(_) => exchange.lost(&text, worker.now()),
            Lost::Wanted(_) => exchange.renew(&text),
        }
    }
}

/// Why the connection has to be given up.
enum Lost {
    /// It is broken; in words for people.
    Broken(String),
    /// By the operator (PAUSE, RECONNECT and the like), or by clients.
    Wanted(CloseReason),
}

/// Sees to it that clients have a server connection beside this one, or gives it back to them.
fn wanted_back(worker: &Rc<Worker>, lease: &Lease, pool: PoolId) -> Option<CloseReason> {
    let pinned = worker.shared.pinned(pool);
    worker.run(worker.shared.pools.make_way(lease.conn.id, pinned, worker.now()));
    worker.shared.pools.lock().pools.is_wanted_back(lease.conn.id)
}

async fn open(worker: &Rc<Worker>, exchange: &Exchange, pool: PoolId) -> Option<Lease> {
    let outcome = tokio::time::timeout(PATIENCE, check_out(worker, pool)).await;
    let key = worker.shared.server_key(pool).map(tracing::field::display);
    match outcome.unwrap_or_else(|_| Err("no server connection was to be had in time".to_owned())) {
        Ok(lease) => {
            tracing::info!(
                server = lease.conn.id.0,
                pool = key,
                pid = lease.conn.card.backend_pid,
                "listener connection opened"
            );
            exchange.opened();
            Some(lease)
        }
        Err(reason) => {
            tracing::warn!(pool = key, reason, "no listener connection");
            exchange.not_opened(&reason, worker.now());
            None
        }
    }
}

fn send(worker: &Worker, connection: Option<&mut Lease>, bytes: &[u8]) -> Result<(), Lost> {
    let Some(lease) = connection else { return Ok(()) };
    let sent = lease.conn.conn.send(&worker.outbox, bytes);
    sent.map_err(|error| Lost::Broken(error.to_string()))
}

/// Takes a connection from the pool and makes it forget what clients have done to it.
async fn check_out(worker: &Rc<Worker>, pool: PoolId) -> Result<Lease, String> {
    for _ in 0..MOST_DEAD {
        let granted = take(worker, pool).await?;
        let Some(mut lease) = settle_in(worker, granted).await else { continue };
        for query in PREPARATION {
            if let Err(reason) = check(worker, &mut lease.conn, query).await {
                lease.give_back(Condition::Close(reason));
                return Err(reason.to_string());
            }
        }
        // SHOW SERVERS tells by its name what it is for.
        lease.conn.note_facts();
        return Ok(lease);
    }
    Err(CloseReason::ServerClosed.to_string())
}

async fn take(worker: &Rc<Worker>, pool: PoolId) -> Result<Granted, String> {
    let refused = |why: &Refusal| Err(refusal::no_server(why).message);
    let (taken, errands) = std::future::poll_fn(|cx| {
        Poll::Ready(worker.shared.pools.checkout_listener(pool, worker.id, cx.waker(), worker.now()))
    })
    .await;
    worker.run(errands);
    let ticket = match taken {
        Taken::Granted { conn, check } => return Ok((conn, check)),
        Taken::Refused(why) => return refused(&why),
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
                return refused(&why);
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
) -> Result<(), Lost> {
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
    .await
}

/// Ready when something has been read, or the connection is lost.
fn poll_connection(
    worker: &Worker,
    exchange: &Exchange,
    lease: &mut Lease,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Lost>> {
    let ServerConn { conn, card, .. } = &mut *lease.conn;
    let closed = |error: std::io::Error| Lost::Broken(error.to_string());
    if !conn.is_flushed()
        && let Poll::Ready(Err(error)) = conn.poll_flush(cx)
    {
        return Poll::Ready(Err(closed(error)));
    }
    match conn.poll_fill(cx, &mut worker.scratch.borrow_mut().buffer, MOST_HELD) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(Ok(0)) => {
            return Poll::Ready(Err(Lost::Broken(CloseReason::ServerClosed.to_string())));
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
        Err(broken) => Err(Lost::Broken(broken.to_string())),
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
/// Before it goes on after a panic.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// How often it is asked whether the operator wants the connection back.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// More than the longest message accepted.
const MOST_HELD: usize = 128 * 1024;
/// Dead server connections in a row after which there is none.
const MOST_DEAD: usize = 100;
