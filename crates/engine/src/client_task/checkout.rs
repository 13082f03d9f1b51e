//! Waiting for a server connection.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use howdah_core::facts::{ClientState, CloseReason};
use howdah_core::pool::{Condition, Refusal, Ticket};
use howdah_core::refusal;
use howdah_core::session::{Patch, Verdict};

use super::Visit;
use crate::client_card::{ClientCard, Order};
use crate::line::Told;
use crate::server_conn::ServerConn;
use crate::shared_pool::Taken;
use crate::worker::Worker;

/// The right to use a server connection. Given back on purpose, with a word on its condition; dropped
/// otherwise, as in a panic, the connection is closed.
pub(crate) struct Lease {
    worker: Rc<Worker>,
    pub(crate) conn: LeasedConn,
}

/// The connection itself; there until the lease ends.
pub(crate) struct LeasedConn(Option<Box<ServerConn>>);

/// A server connection, and whether it is to be checked first.
pub(crate) type Granted = (Box<ServerConn>, bool);

/// When it is a client's turn that has not been refused.
enum Turn {
    Now(Granted),
    Later(Ticket),
}

/// A place in line, left when dropped.
pub(crate) struct InLine {
    worker: Rc<Worker>,
    ticket: Option<Ticket>,
}

impl Lease {
    fn new(worker: &Rc<Worker>, conn: Box<ServerConn>) -> Lease {
        Lease { worker: Rc::clone(worker), conn: LeasedConn(Some(conn)) }
    }

    /// Ends the lease.
    pub(crate) fn give_back(mut self, condition: Condition) {
        self.end(condition);
    }

    fn end(&mut self, condition: Condition) {
        if let Some(mut conn) = self.conn.0.take() {
            let worker = &self.worker;
            let broken = conn.conn.settle(&worker.outbox).is_err();
            let condition = if broken { Condition::Close(CloseReason::ServerClosed) } else { condition };
            let errands = worker.shared.pools.give_back(conn, worker.id, condition, worker.time());
            worker.run(errands);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(Condition::Close(CloseReason::Panic));
    }
}

impl std::ops::Deref for LeasedConn {
    type Target = ServerConn;

    fn deref(&self) -> &ServerConn {
        self.0.as_ref().expect("the connection leaves with the lease")
    }
}

impl std::ops::DerefMut for LeasedConn {
    fn deref_mut(&mut self) -> &mut ServerConn {
        self.0.as_mut().expect("the connection leaves with the lease")
    }
}

impl Visit {
    /// A server connection for this client. `None`: its request was cancelled while it waited, and has been
    /// answered.
    ///
    /// # Errors
    /// There is none for it, or the client has gone; what there was to say has been said.
    pub(super) async fn checkout(&mut self, card: &Rc<ClientCard>) -> Result<Option<Lease>, CloseReason> {
        for _ in 0..MOST_DEAD {
            let granted = match self.take(card)? {
                Turn::Now(granted) => granted,
                Turn::Later(ticket) => {
                    let mut place = InLine::new(&self.worker, ticket);
                    match std::future::poll_fn(|cx| self.poll_line(card, &mut place, cx)).await? {
                        Some(granted) => granted,
                        None => return Ok(None),
                    }
                }
            };
            if let Some(lease) = settle_in(&self.worker, granted).await {
                note_assignment(card, &lease, self.worker.time());
                return Ok(Some(lease));
            }
        }
        // A server that lets everybody in and then hangs up would be asked without end.
        self.say(&refusal::server_lost(CloseReason::ServerClosed, None));
        Err(CloseReason::NoServer)
    }

    /// Asks the pools for a server connection.
    fn take(&mut self, card: &ClientCard) -> Result<Turn, CloseReason> {
        let worker = &self.worker;
        let now = worker.time();
        let (pool, guise) = (card.caller.route.pool, card.session.borrow().guise());
        let (taken, errands) =
            card.with_waker(|waker| worker.shared.pools.checkout(pool, worker.id, guise, waker, now));
        worker.run(errands);
        let waits = || card.waiting_since.set(Some(card.waiting_since.get().unwrap_or(now)));
        match taken {
            Taken::Granted { conn, check } => {
                if check {
                    waits();
                }
                Ok(Turn::Now((conn, check)))
            }
            Taken::Refused(refusal) => Err(self.refuse_server(card, &refusal)),
            Taken::Queued(ticket) => {
                waits();
                card.state.set(ClientState::Waiting);
                Ok(Turn::Later(ticket))
            }
        }
    }

    fn poll_line(
        &mut self,
        card: &ClientCard,
        place: &mut InLine,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Granted>, CloseReason>> {
        match card.take_order() {
            Some(Order::Close(reason)) => {
                self.say(&refusal::ended(reason));
                return Poll::Ready(Err(reason));
            }
            Some(Order::Cancel(_)) => return Poll::Ready(self.take_back_request(card).map(|()| None)),
            // Only clients at rest move.
            Some(Order::Move(_)) | None => {}
        }
        while let Some(ticket) = place.ticket
            && let Poll::Ready(told) = self.worker.shared.pools.poll_ticket(ticket, cx)
        {
            match told {
                Told::Granted { conn, check } => {
                    self.worker.now();
                    place.leave();
                    return Poll::Ready(Ok(Some((conn, check))));
                }
                Told::Refused(refusal) => {
                    place.leave();
                    return Poll::Ready(Err(self.refuse_server(card, &refusal)));
                }
                Told::StillWaiting(waited) => {
                    let mut notice = Vec::new();
                    refusal::still_waiting(waited).write_notice(&mut notice);
                    if self.conn.send(&self.worker.outbox, &notice).is_err() {
                        return Poll::Ready(Err(CloseReason::ClientVanished));
                    }
                }
            }
        }
        let broken = self.conn.hear(&self.worker.outbox).is_err();
        if broken || !self.conn.is_flushed() && matches!(self.conn.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(CloseReason::ClientVanished));
        }
        // A client that gives up must not be served; one that says more is heard later.
        while self.conn.held.len() < Verdict::MAX_IDLE && !self.ended {
            let worker = Rc::clone(&self.worker);
            let buffer = &mut worker.scratch.borrow_mut().buffer;
            match self.conn.poll_fill(cx, buffer, Verdict::MAX_IDLE) {
                Poll::Pending => break,
                // Goodbye said in good order: what was asked for before is still carried out.
                Poll::Ready(Ok(0)) if self.conn.held.ends_with(TERMINATE) => self.ended = true,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(CloseReason::ClientVanished)),
                Poll::Ready(Ok(_)) => {}
            }
        }
        Poll::Pending
    }

    /// The client has cancelled what it waits for.
    fn take_back_request(&mut self, card: &ClientCard) -> Result<(), CloseReason> {
        let mut patch = Patch::default();
        card.session.borrow_mut().refuse_request(&refusal::canceled_in_line(), &mut patch);
        card.waiting_since.set(None);
        self.conn.send(&self.worker.outbox, &patch.to_client).map_err(|_| CloseReason::ClientVanished)
    }

    fn refuse_server(&mut self, card: &ClientCard, why: &Refusal) -> CloseReason {
        let error = refusal::no_server(why);
        if self.worker.settings().log.pooler_errors {
            let pool = &card.caller.route.server;
            tracing::warn!(client = card.id, %pool, %error, "no server connection for a client");
        }
        self.say(&error);
        match why {
            Refusal::WaitTimeout { .. } => CloseReason::QueryWaitTimeout,
            Refusal::ShuttingDown => CloseReason::Shutdown,
            Refusal::Killed => CloseReason::Admin,
            Refusal::Unavailable(_) | Refusal::LimitOfOne { .. } => CloseReason::NoServer,
        }
    }
}

/// The connection is this client's from now on.
fn note_assignment(card: &ClientCard, lease: &Lease, now: Instant) {
    card.state.set(ClientState::Active);
    card.link.set(Some(lease.conn.id));
    let counters = &mut *card.counters.borrow_mut();
    counters.server_assignments += 1;
    if let Some(since) = card.waiting_since.take() {
        counters.wait_time += u64::try_from((now - since).as_micros()).unwrap_or(u64::MAX);
    }
    lease.conn.card.link.store(card.id, Ordering::Relaxed);
    lease.conn.card.holder.store(card.caller.cancel_pid, Ordering::Relaxed);
    lease.conn.card.note_request(now);
}

/// Makes a connection from the pool this worker's own and sees whether it is alive. `None`: it was not.
pub(crate) async fn settle_in(worker: &Rc<Worker>, (mut conn, needs_check): Granted) -> Option<Lease> {
    if conn.worker != worker.id {
        let id = conn.id;
        let Ok(moved) = conn.rehome(worker.id) else {
            worker.run(worker.shared.pools.lost(id, worker.now()));
            return None;
        };
        conn = moved;
    }
    let mut lease = Lease::new(worker, conn);
    let dead = std::future::poll_fn(|cx| {
        let heard = match lease.conn.conn.socket.poll_read_ready(cx) {
            Poll::Pending => None,
            Poll::Ready(_) => lease.conn.read_unasked(cx, &mut worker.scratch.borrow_mut().buffer),
        };
        // The rest of what has begun before the client asked would be taken for its answer.
        Poll::Ready(heard.or(lease.conn.is_mid_word().then_some(CloseReason::ServerProtocol)))
    })
    .await;
    if let Some(reason) = dead {
        lease.give_back(Condition::Close(reason));
        return None;
    }
    if !needs_check {
        return Some(lease);
    }
    let query = worker.settings().pool.check_query.clone().unwrap_or_default();
    worker.set_testing(lease.conn.id, true);
    // Boxed: it happens rarely, and every client's task would hold room for it.
    match Box::pin(check(worker, &mut lease.conn, &query)).await {
        Ok(()) => {
            worker.set_testing(lease.conn.id, false);
            Some(lease)
        }
        Err(reason) => {
            lease.give_back(Condition::Close(reason));
            None
        }
    }
}

impl InLine {
    pub(crate) fn new(worker: &Rc<Worker>, ticket: Ticket) -> InLine {
        InLine { worker: Rc::clone(worker), ticket: Some(ticket) }
    }

    /// The place is no more: its turn has come.
    pub(crate) fn leave(&mut self) {
        self.ticket = None;
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let errands = self.worker.shared.pools.abandon(ticket, self.worker.id, self.worker.now());
            self.worker.run(errands);
        }
    }
}

/// Runs a query of Howdah's own on a connection that no client uses, and waits for its end.
///
/// # Errors
/// It failed, or took longer than `server_connect_timeout`: the connection is not to be used.
pub(crate) async fn check(worker: &Worker, conn: &mut ServerConn, query: &str) -> Result<(), CloseReason> {
    let mut message = Vec::new();
    conn.server.ask(query, &mut message);
    settle(worker, conn, &message).await
}

/// Sends what has been asked of a connection that no client uses, and waits until nothing is owed.
///
/// # Errors
/// As of [`check`].
pub(crate) async fn settle(
    worker: &Worker,
    conn: &mut ServerConn,
    message: &[u8],
) -> Result<(), CloseReason> {
    conn.conn.send(&worker.outbox, message).map_err(|_| CloseReason::ServerClosed)?;
    let answered = std::future::poll_fn(|cx| {
        if !conn.conn.is_flushed() && matches!(conn.conn.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(CloseReason::ServerClosed));
        }
        let dead = conn.read_unasked(cx, &mut worker.scratch.borrow_mut().buffer);
        match dead {
            Some(reason) => Poll::Ready(Err(reason)),
            None if conn.server.is_settled() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    });
    let limit = worker.settings().timeouts.server_connect;
    match limit {
        Some(limit) => {
            tokio::time::timeout(limit, answered).await.unwrap_or(Err(CloseReason::ServerCheckFailed))
        }
        None => answered.await,
    }
}

/// Dead server connections in a row after which a client is told that there is none. After a restart of the
/// server each idle one of a pool may be dead before the first new one is opened.
const MOST_DEAD: usize = 1000;
const TERMINATE: &[u8] = b"X\0\0\0\x04";
