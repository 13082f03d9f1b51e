//! Client and server joined: bytes go both ways until the server connection can be given back.
//!
//! Everything happens inside one `poll`: read into the worker's scratch, let the session judge, send. Only
//! what could not be sent or judged is copied. A side that does not take its bytes stops the reading of the
//! other side, nothing else.

use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Poll};

use howdah_core::facts::CloseReason;
use howdah_core::refusal;
use howdah_core::session::PinReason;
use howdah_wire::backend::TransactionStatus;
use tokio::sync::oneshot;

use super::Visit;
use super::cancel::{self, CancelJob};
use super::checkout::Lease;
use super::hearing;
use super::mover::Mover;
use super::parting::LinkEnd;
use crate::client_card::{ClientCard, Order};
use crate::conn::Conn;
use crate::server_conn::ServerConn;
use crate::worker::{Scratch, Worker};

pub(super) struct Link<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) card: &'a Rc<ClientCard>,
    pub(super) client: &'a mut Conn,
    pub(super) server: &'a mut ServerConn,
    /// Howdah's own bytes that go to the server before the client's first.
    pub(super) preface: Vec<u8>,
    /// The client wants to cancel what it has asked for, and nothing has been done about it yet.
    cancel_asked: Option<oneshot::Sender<()>>,
    /// A cancel request on its way to this server connection.
    pub(super) cancel: Option<Rc<CancelJob>>,
    /// The client has said goodbye and waits for its last answer.
    pub(super) leaving: bool,
    /// What the client is pinned for, as the pool's ledger has it.
    pub(super) pinned: Option<PinReason>,
    /// The client's held bytes have not been judged since something changed.
    judge_held: bool,
}

/// Which socket the bytes just read came from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Client,
    Server,
}

impl Visit {
    /// Serves the client over this server connection for as long as it needs it.
    pub(super) fn link(
        &mut self,
        card: &Rc<ClientCard>,
        mut lease: Lease,
    ) -> impl Future<Output = (LinkEnd, Lease)> {
        let Visit { worker, conn: client, ended, .. } = self;
        async move {
            let mut link = Link {
                worker,
                card,
                client,
                server: &mut lease.conn,
                preface: Vec::new(),
                cancel_asked: None,
                cancel: None,
                leaving: *ended,
                pinned: None,
                judge_held: true,
            };
            link.join();
            let end = std::future::poll_fn(|cx| link.poll(cx)).await;
            let end = link.part(end);
            (end, lease)
        }
    }
}

impl Link<'_> {
    fn join(&mut self) {
        let Link { worker, card, server, preface, .. } = self;
        card.session.borrow_mut().join(&mut server.server, worker.time(), preface);
        if server.server.outstanding.is_full() && server.conn.send(&worker.outbox, preface).is_ok() {
            // The client may say nothing before that is answered; what cannot be sent now is sent no more.
            preface.clear();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LinkEnd> {
        let worker = Rc::clone(self.worker);
        let scratch = &mut *worker.scratch.borrow_mut();
        match self.step(cx, scratch) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Moves what can be moved. The end of the link is the error.
    fn step(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<(), LinkEnd> {
        self.obey()?;
        // A socket with nothing to read stays so until the reactor looks at it again.
        let (mut server_is_dry, mut client_is_dry) = (false, false);
        loop {
            self.flush(cx)?;
            self.begin_cancel();
            let mut moved = self.hear()?;
            if self.judge_held && self.client_may_speak() {
                self.judge_held = false;
                self.judge(Origin::Client, 0, scratch)?;
                // What could not be sent at once has to be seen to before this task sleeps.
                moved = true;
            }
            // Mostly its answer is what there is, and ends the link.
            if !server_is_dry && self.client.is_flushed() {
                let passed = self.pass_unseen(cx)?;
                server_is_dry = !passed.map_or_else(|| self.read(Origin::Server, cx, scratch), Ok)?;
                moved |= !server_is_dry;
            }
            if !client_is_dry && self.client_may_say_more() {
                client_is_dry = !self.read(Origin::Client, cx, scratch)?;
                moved |= !client_is_dry;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn obey(&mut self) -> Result<(), LinkEnd> {
        match self.card.take_order() {
            // Only clients at rest move.
            None | Some(Order::Move(_)) => {}
            Some(Order::Close(reason)) => {
                // In the middle of a message it would be read as the rest of it.
                if !self.server.server.is_mid_forward() {
                    let mut message = Vec::new();
                    refusal::ended(reason).write(&mut message);
                    // A client that cannot be told has gone, and the link ends anyway.
                    let _ = self.client.send(&self.worker.outbox, &message);
                }
                return Err(LinkEnd::ClientGone(reason));
            }
            Some(Order::Cancel(done)) => self.cancel_asked = Some(done),
        }
        Ok(())
    }

    /// A query of Howdah's own is not what the client means: if that runs, the request waits for its end.
    fn begin_cancel(&mut self) {
        let outstanding = &self.server.server.outstanding;
        if self.cancel_asked.is_none() || outstanding.own_query_runs() {
            return;
        }
        // Dropped, it tells whoever asked that there is nothing to wait for.
        let Some(done) = self.cancel_asked.take() else { return };
        if outstanding.is_working() && self.cancel.as_ref().is_none_or(|job| !job.is_running()) {
            self.cancel = Some(cancel::start(self.worker, self.server, self.card.waker(), Some(done)));
        }
    }

    /// The client's bytes may go on: not while a cancel request is on its way that is meant for what has
    /// ended by now, and not while too much is owed already.
    fn client_may_speak(&self) -> bool {
        let outstanding = &self.server.server.outstanding;
        if outstanding.is_full() || self.card.session.borrow().waits_for_listener() {
            return false;
        }
        match self.cancel.as_ref().filter(|job| job.is_running()) {
            Some(job) if !outstanding.is_working() => {
                job.call_off();
                false
            }
            _ => true,
        }
    }

    /// What the client says now would be looked at, and could be sent. What it has said already comes first, but for
    /// the beginning of a message: read behind it after every answer, held bytes would grow without end.
    fn client_may_say_more(&self) -> bool {
        self.client_may_speak()
            && !(self.judge_held && self.card.session.borrow().has_asked(&self.client.held))
            && !self.card.session.borrow().has_said_enough()
            && self.server.conn.is_flushed()
            && !self.leaving
    }

    /// Sees to what the client listens to. Says whether there was anything.
    fn hear(&mut self) -> Result<bool, LinkEnd> {
        let session = self.card.session.borrow();
        let server = &self.server.server;
        if session.awaited_channels().is_some() {
            drop(session);
            let alone = server.outstanding.status() == TransactionStatus::Idle;
            let heard = hearing::poll_awaited(self.worker, self.card, alone).is_ready();
            self.judge_held |= heard;
            return Ok(heard);
        }
        if session.is_to_be_heard() {
            drop(session);
            return match hearing::poll_withheld(self.worker, self.card, self.client) {
                Poll::Pending => Ok(false),
                Poll::Ready(Err(reason)) => Err(LinkEnd::ClientGone(reason)),
                Poll::Ready(Ok(())) => {
                    self.judge_held = !self.client.held.is_empty();
                    self.see_whether_done().map(|()| true)
                }
            };
        }
        let idle = server.is_settled() && !session.waits_for_listener() && self.client.is_flushed();
        drop(session);
        if !idle || !hearing::has_news(self.card) {
            return Ok(false);
        }
        hearing::deliver(self.worker, self.card, self.client).map_err(LinkEnd::ClientGone)?;
        Ok(true)
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), LinkEnd> {
        if self.client.hear(&self.worker.outbox).is_err() {
            return Err(LinkEnd::ClientGone(CloseReason::ClientVanished));
        }
        if self.server.conn.hear(&self.worker.outbox).is_err() {
            return Err(LinkEnd::ServerGone(CloseReason::ServerClosed));
        }
        if !self.client.is_flushed() && matches!(self.client.poll_flush(cx), Poll::Ready(Err(_))) {
            return Err(LinkEnd::ClientGone(CloseReason::ClientVanished));
        }
        if !self.server.conn.is_flushed() && matches!(self.server.conn.poll_flush(cx), Poll::Ready(Err(_))) {
            return Err(LinkEnd::ServerGone(CloseReason::ServerClosed));
        }
        Ok(())
    }

    /// Reads once from one side and deals with it. Says whether there was anything.
    fn read(&mut self, from: Origin, cx: &mut Context<'_>, scratch: &mut Scratch) -> Result<bool, LinkEnd> {
        let socket = match from {
            Origin::Client => &mut self.client.socket,
            Origin::Server => &mut self.server.conn.socket,
        };
        match socket.poll_read(cx, &mut scratch.buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(n)) if n > 0 => {
                self.worker.now();
                self.judge(from, n, scratch)?;
                Ok(true)
            }
            Poll::Ready(_) => Err(match from {
                Origin::Client => LinkEnd::ClientGone(CloseReason::ClientVanished),
                Origin::Server => LinkEnd::ServerGone(CloseReason::ServerClosed),
            }),
        }
    }

    /// Deals with what this side holds and the first `n` bytes of the scratch.
    fn judge(&mut self, from: Origin, n: usize, scratch: &mut Scratch) -> Result<(), LinkEnd> {
        let Scratch { buffer, patch, joined } = scratch;
        let fresh = buffer.get(..n).unwrap_or_default();
        let conn = match from {
            Origin::Client => &mut *self.client,
            Origin::Server => &mut self.server.conn,
        };
        let mut kept = std::mem::take(&mut conn.held);
        let direct = kept.is_empty();
        if !direct {
            kept.extend_from_slice(fresh);
        }
        let input = if direct { fresh } else { &kept };
        let mut mover = Mover { link: self, patch, joined };
        let (dealt_with, outcome) = match from {
            Origin::Client => mover.client_bytes(input),
            Origin::Server => mover.server_bytes(input),
        };
        let conn = match from {
            Origin::Client => &mut *self.client,
            Origin::Server => &mut self.server.conn,
        };
        let mut counters = self.card.counters.borrow_mut();
        match from {
            Origin::Client => counters.received += dealt_with as u64,
            Origin::Server => counters.sent += dealt_with as u64,
        }
        drop(counters);
        let left = input.get(dealt_with..).unwrap_or_default();
        if !left.is_empty() {
            conn.held = if dealt_with == 0 && !direct { kept } else { left.to_vec() };
        }
        outcome?;
        match from {
            Origin::Client => self.client_has_spoken(),
            Origin::Server => self.server_has_spoken(),
        }
    }

    fn client_has_spoken(&mut self) -> Result<(), LinkEnd> {
        let server = &mut self.server.server;
        if server.outstanding.is_full() {
            self.judge_held = true;
        }
        if !server.outstanding.is_empty() {
            self.card.session.borrow_mut().request_sent(self.worker.time());
        }
        self.count();
        // A request may have been answered without the server.
        self.see_whether_done()
    }

    fn server_has_spoken(&mut self) -> Result<(), LinkEnd> {
        self.judge_held = !self.client.held.is_empty();
        self.card.mid_reply.set(self.server.server.is_mid_forward());
        self.count();
        self.see_whether_done()
    }

    /// Carries what happened over to the counters.
    fn count(&mut self) {
        let tally = std::mem::take(&mut self.server.server.tally);
        let counters = &mut *self.card.counters.borrow_mut();
        counters.client_parses += tally.client_parses;
        counters.server_parses += tally.server_parses;
        counters.binds += tally.binds;
        counters.state_replays += tally.state_replays;
        if tally.queries > 0 {
            self.card.session.borrow_mut().request_answered(tally, self.worker.time(), counters);
        }
    }
}
