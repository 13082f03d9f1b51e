//! What the client is to get that it has LISTENed to, and when.
//!
//! As on a direct connection: at once while it asks for nothing, and before ReadyForQuery at the end of a
//! transaction; never inside one.

use std::rc::Rc;
use std::task::Poll;

use howdah_core::facts::CloseReason;
use howdah_core::refusal;

use crate::client_card::ClientCard;
use crate::conn::Conn;
use crate::exchange::Hearing;
use crate::listener;
use crate::worker::Worker;

/// Says LISTEN for a message of the client's that waits for it. Ready when the message may go on. `alone`: it is in
/// no transaction block.
pub(super) fn poll_awaited(worker: &Rc<Worker>, card: &ClientCard, alone: bool) -> Poll<()> {
    let mut session = card.session.borrow_mut();
    let Some(channels) = session.awaited_channels() else { return Poll::Pending };
    let (heard, needed) = with_hearing(card, |hearing| hearing.poll_heard(channels, alone));
    listener::attend_if(needed, worker, &card.caller.route.exchange, card.caller.route.pool);
    if heard.is_ready() {
        session.channels_heard();
    }
    heard
}

/// The client's transaction is about to be told to end: what comes from now on may have been sent by it.
pub(super) fn note_end(card: &ClientCard) {
    if card.session.borrow_mut().takes_end()
        && let Some(hearing) = &*card.hearing.borrow()
    {
        hearing.ends();
    }
}

/// Ready when the client has been told that it is ready, after all that came before that.
///
/// # Errors
/// The client has gone, or has to.
pub(super) fn poll_withheld(
    worker: &Rc<Worker>,
    card: &ClientCard,
    client: &mut Conn,
) -> Poll<Result<(), CloseReason>> {
    let overheard = card.session.borrow_mut().take_overheard();
    for (channel, payload) in overheard {
        with_hearing(card, |hearing| hearing.overheard(card.caller.cancel_pid, &channel, &payload));
    }
    let (settled, needed) = {
        let session = card.session.borrow();
        with_hearing(card, |hearing| hearing.poll_settled(session.listens_to()))
    };
    listener::attend_if(needed, worker, &card.caller.route.exchange, card.caller.route.pool);
    if settled.is_pending() {
        return Poll::Pending;
    }
    let mut out = Vec::new();
    loop {
        let before = out.len();
        if let Err(reason) = take(worker, card, client, &mut out) {
            return Poll::Ready(Err(reason));
        }
        if out.len() == before {
            break;
        }
    }
    card.session.borrow_mut().give_ready(&mut out);
    card.counters.borrow_mut().sent += out.len() as u64;
    let sent = client.send(&worker.outbox, &out);
    Poll::Ready(sent.map_err(|_| CloseReason::ClientVanished))
}

/// Something may have come for a client that asks for nothing.
pub(super) fn has_news(card: &ClientCard) -> bool {
    card.hearing.borrow().as_ref().is_some_and(|hearing| hearing.has_news())
}

/// Gives it a portion of what has come.
///
/// # Errors
/// The client has gone, or has to.
pub(super) fn deliver(worker: &Worker, card: &ClientCard, client: &mut Conn) -> Result<(), CloseReason> {
    let mut out = Vec::new();
    take(worker, card, client, &mut out)?;
    card.counters.borrow_mut().sent += out.len() as u64;
    client.send(&worker.outbox, &out).map_err(|_| CloseReason::ClientVanished)
}

fn take(worker: &Worker, card: &ClientCard, client: &mut Conn, out: &mut Vec<u8>) -> Result<(), CloseReason> {
    match with_hearing(card, |hearing| hearing.take(out)) {
        Ok(messages) => {
            card.counters.borrow_mut().notifications += messages;
            Ok(())
        }
        Err(overflow) => {
            refusal::notifications_overflow(overflow).write(out);
            // A client that cannot be told has gone, and ends anyway.
            let _ = client.send(&worker.outbox, out);
            Err(CloseReason::NotificationsOverflow)
        }
    }
}

/// Its line to the exchange, made when it is first needed.
fn with_hearing<T>(card: &ClientCard, use_it: impl FnOnce(&Hearing) -> T) -> T {
    let mut hearing = card.hearing.borrow_mut();
    let line = || card.with_waker(|waker| Hearing::new(&card.caller.route.exchange, card.id, waker));
    use_it(hearing.get_or_insert_with(|| Box::new(line())))
}
