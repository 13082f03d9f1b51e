//! A client's task, from its first byte to its last: door → desk → query after query → goodbye.
//!
//! The task owns the client's socket and, while linked, the server connection. It moves bytes and waits;
//! what is decided is decided by `howdah_core`.
//!
//! * `login` – from the first byte to a place inside
//! * `idle` – waiting for a request
//! * `checkout` – waiting for a server connection
//! * `link` – client and server joined
//! * `mover` – the bytes between them
//! * `unseen` – those of large messages, which the kernel moves
//! * `parting` – when they part
//! * `hearing` – what the client is to get that it has LISTENed to
//! * `farewell` – the client has gone; its server connection is made fit again
//! * `cancel` – a cancel request on its way to a server
//! * `console` – a client of the admin console

mod cancel;
mod checkout;
mod console;
mod farewell;
mod hearing;
mod idle;
mod link;
mod login;
mod mover;
mod parting;
mod unseen;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use howdah_core::client::Place;
use howdah_core::facts::{ClientState, CloseReason};
use howdah_core::pool::{Condition, WorkerId};
use howdah_core::refusal;

pub(crate) use checkout::{Granted, InLine, Lease, check, settle, settle_in};

use crate::client_card::{ClientCard, Guest};
use crate::conn::Conn;
use crate::net::{Ends, Socket};
use crate::worker::{Arrival, Message, Worker};
use parting::LinkEnd;

/// Serves one client: a new one, or a guest of another worker's. A panic ends this client, with an error, and
/// nobody else.
///
/// The task, of which there are as many as clients, is small: what it needs is captured once, where arguments of an
/// `async fn` would be kept beside what is made of them.
pub(crate) fn run(
    worker: Rc<Worker>,
    socket: Socket,
    place: Place,
    comer: Comer,
) -> impl Future<Output = ()> {
    let conn = Conn::new(socket);
    let (ends, guest) = match comer {
        Comer::Stranger(ends) => (Some(ends), None),
        Comer::Guest(guest) => (None, Some(guest)),
    };
    let mut visit = Visit { worker, conn, place: Some(place), ends, card: None, ended: false };
    async move {
        let outcome = catch_unwind(std::pin::pin!(visit.serve(guest))).await;
        let reason = match outcome {
            Ok(Departure::Moves(to)) => return visit.move_to(to),
            Ok(Departure::Gone(reason)) => reason,
            Err(()) => visit.has_panicked(),
        };
        Box::pin(visit.leave(reason)).await;
    }
}

/// Who is to be served.
pub(crate) enum Comer {
    /// Somebody who has not said anything yet, and the ends of the connection.
    Stranger(Box<Ends>),
    /// A client of another worker's.
    Guest(Box<Guest>),
}

/// How a client's time with a worker ends.
enum Departure {
    /// It has gone, or had to.
    Gone(CloseReason),
    /// It is at rest, and another worker has more room.
    Moves(WorkerId),
}

/// A client being served.
struct Visit {
    worker: Rc<Worker>,
    conn: Conn,
    place: Option<Place>,
    /// Of the connection, until the card has them.
    ends: Option<Box<Ends>>,
    /// Once it is let in.
    card: Option<Rc<ClientCard>>,
    /// It has closed its side after saying goodbye; what it asked for before is still carried out.
    ended: bool,
}

impl Visit {
    /// What is awaited once in a client's life is boxed: the task holds no room for it.
    async fn serve(&mut self, guest: Option<Box<Guest>>) -> Departure {
        let card = match Box::pin(self.arrive(guest)).await {
            Ok(card) => card,
            Err(reason) => return Departure::Gone(reason),
        };
        loop {
            if let Err(departure) = self.idle(&card).await {
                return departure;
            }
            let lease = match self.checkout(&card).await {
                Ok(Some(lease)) => lease,
                Ok(None) => continue,
                Err(reason) => return Departure::Gone(reason),
            };
            match self.link(&card, lease).await {
                (LinkEnd::Released, lease) => {
                    farewell::release(&self.worker, lease);
                    card.state.set(ClientState::Idle);
                    card.link.set(None);
                }
                (LinkEnd::Spent(reason), lease) => {
                    lease.give_back(Condition::Close(reason));
                    card.state.set(ClientState::Idle);
                    card.link.set(None);
                }
                (LinkEnd::ServerGone(reason), lease) => {
                    // In the middle of a message of the server's there is no place for one of ours.
                    if !lease.conn.server.is_mid_forward() {
                        self.say(&refusal::server_lost(reason, lease.conn.server.last_error.as_ref()));
                    }
                    lease.give_back(Condition::Close(reason));
                    return Departure::Gone(CloseReason::ServerLost);
                }
                (LinkEnd::ClientGone(reason), lease) => {
                    self.worker.clients.borrow_mut().remove(&card.id);
                    Box::pin(farewell::clean(&self.worker, &card, lease, reason, &mut self.conn)).await;
                    return Departure::Gone(reason);
                }
            }
        }
    }

    /// Lets the client in, or takes it on from another worker. Console clients are served here.
    async fn arrive(&mut self, guest: Option<Box<Guest>>) -> Result<Rc<ClientCard>, CloseReason> {
        if let Some(guest) = guest {
            self.worker.shared.cancel_keys.moved(guest.caller.cancel_pid, self.worker.id);
            let card = self.worker.register(*guest);
            self.card = Some(Rc::clone(&card));
            card.adopt_task().await;
            return Ok(card);
        }
        match self.login().await? {
            login::Admitted::Client(card) => Ok(card),
            login::Admitted::Console(identity) => Err(Box::pin(self.serve_console(&identity)).await),
        }
    }

    /// Says so, as far as the client can be told.
    fn has_panicked(&mut self) -> CloseReason {
        tracing::error!(client = self.card.as_ref().map(|c| c.id), "panic while serving a client");
        self.worker.shared.panics.fetch_add(1, Ordering::Relaxed);
        if !self.card.as_ref().is_some_and(|card| card.mid_reply.get()) {
            self.say(&refusal::ended(CloseReason::Panic));
        }
        CloseReason::Panic
    }

    /// Hands the client over to another worker.
    fn move_to(mut self, to: WorkerId) {
        let shared = Arc::clone(&self.worker.shared);
        let (Some(card), Some(place)) = (self.card.take(), self.place.take()) else { return };
        self.worker.clients.borrow_mut().remove(&card.id);
        let guest = Rc::into_inner(card).map(|card| Box::new(card.into_guest()));
        let (Some(door), Some(from)) = (shared.door(to), shared.door(self.worker.id)) else { return };
        from.clients.fetch_sub(1, Ordering::Relaxed);
        match (Arrival::of(self.conn.socket), guest) {
            (Ok(socket), Some(guest)) => {
                door.clients.fetch_add(1, Ordering::Relaxed);
                // A worker that has stopped takes nobody on; then Howdah is stopping.
                let _ = door.mailbox.send(Message::Adopt { socket, place, guest });
            }
            _ => shared.admission().leave(place),
        }
    }

    /// Tells the client something, as far as that goes without waiting.
    fn say(&mut self, error: &howdah_wire::ErrorResponse) {
        let mut message = Vec::new();
        error.write(&mut message);
        // A client that cannot be told has gone, and its task ends anyway.
        let _ = self.conn.send(&self.worker.outbox, &message);
    }

    /// Everything that was this client's is taken down.
    async fn leave(mut self, reason: CloseReason) {
        self.worker.closes.borrow_mut().client(reason);
        if let Some(card) = self.card.take() {
            self.worker.clients.borrow_mut().remove(&card.id);
            // It listens no more, whoever still holds its card.
            card.hearing.take();
            self.worker.shared.cancel_keys.revoke(card.caller.cancel_pid);
            // However it went: who has gone must not count among the pinned.
            let pins = Arc::clone(&card.caller.route.rules.load().pins);
            pins.withdraw(card.id);
            pins.unpin(card.id, self.worker.now());
            if self.worker.settings().log.disconnections {
                let age = (self.worker.now() - card.caller.connected_at).as_secs_f64();
                tracing::info!(
                    client = card.id,
                    database = %card.caller.route.client.database,
                    user = %card.caller.route.client.user,
                    %reason,
                    age = format_args!("{age:.1}s"),
                    "client closed"
                );
            }
        }
        if let Some(place) = self.place.take() {
            self.worker.shared.admission().leave(place);
        }
        if let Some(door) = self.worker.shared.door(self.worker.id) {
            door.clients.fetch_sub(1, Ordering::Relaxed);
        }
        // A connection that has queued something must not be closed before that is gone; and what was said
        // last should arrive, but nobody waits long for a client that does not read.
        let _ = self.conn.settle(&self.worker.outbox);
        if !self.conn.is_flushed() {
            let _ = tokio::time::timeout(LAST_WORDS, self.conn.flush()).await;
        }
    }
}

/// A panic inside the future is an error. What it borrowed is taken down afterwards, not used on.
pub(crate) async fn catch_unwind<T>(mut future: Pin<&mut impl Future<Output = T>>) -> Result<T, ()> {
    std::future::poll_fn(|cx| {
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        poll.map_or(Poll::Ready(Err(())), |poll| poll.map(Ok))
    })
    .await
}

/// How long a closing client is given to take what it was told last.
const LAST_WORDS: Duration = Duration::from_secs(1);
