//! Bytes on their way from one side to the other, as the session says.

use std::rc::Rc;

use howdah_core::facts::CloseReason;
use howdah_core::session::{Patch, Verdict, on_server};

use super::hearing;
use super::link::Link;
use super::parting::LinkEnd;
use crate::client_card::ClientCard;
use crate::conn::Conn;
use crate::outbox::Outbox;

/// Moves bytes from one side to the other as the session says.
pub(super) struct Mover<'a, 'b> {
    pub(super) link: &'a mut Link<'b>,
    pub(super) patch: &'a mut Patch,
    /// Where spans and what is put between them are joined for one send.
    pub(super) joined: &'a mut Vec<u8>,
}

impl Mover<'_, '_> {
    /// Returns how many bytes have been dealt with, and whether the link goes on.
    pub(super) fn client_bytes(&mut self, input: &[u8]) -> (usize, Result<(), LinkEnd>) {
        let (mut done, mut span_start, mut outcome) = (0, 0, Ok(()));
        let Link { worker, card, client, server, preface, leaving, .. } = &mut *self.link;
        self.joined.clear();
        self.joined.append(preface);
        let mut session = card.session.borrow_mut();
        loop {
            self.patch.clear();
            let left = input.get(done..).unwrap_or_default();
            let verdict = session.on_client(&mut server.server, left, self.patch);
            match verdict {
                Verdict::Forward(n) => done += n,
                Verdict::Skip(n) => {
                    self.joined.extend_from_slice(input.get(span_start..done).unwrap_or_default());
                    done += n;
                    span_start = done;
                }
                Verdict::Leave(CloseReason::ClientTerminated) => *leaving = true,
                Verdict::Leave(reason) => outcome = Err(LinkEnd::ClientGone(reason)),
                Verdict::Hold | Verdict::NeedServer => {}
            }
            if !self.patch.to_server.is_empty() {
                self.joined.extend_from_slice(input.get(span_start..done).unwrap_or_default());
                self.joined.extend_from_slice(&self.patch.to_server);
                span_start = done;
            }
            if !self.patch.to_client.is_empty() && client.send(&worker.outbox, &self.patch.to_client).is_err()
            {
                outcome = Err(LinkEnd::ClientGone(CloseReason::ClientVanished));
            }
            if !matches!(verdict, Verdict::Forward(_) | Verdict::Skip(_)) || outcome.is_err() {
                break;
            }
        }
        let listens = session.has_channels();
        drop(session);
        if listens {
            hearing::note_end(card);
        }
        let span = input.get(span_start..done).unwrap_or_default();
        if post_joined(&worker.outbox, card, &mut server.conn, self.joined, span).is_err() {
            outcome = Err(LinkEnd::ServerGone(CloseReason::ServerClosed));
        }
        (if *leaving { input.len() } else { done }, outcome)
    }

    pub(super) fn server_bytes(&mut self, input: &[u8]) -> (usize, Result<(), LinkEnd>) {
        let (mut done, mut span_start, mut outcome) = (0, 0, Ok(()));
        let Link { worker, card, client, server, .. } = &mut *self.link;
        self.joined.clear();
        let mut session = card.session.borrow_mut();
        loop {
            self.patch.clear();
            let left = input.get(done..).unwrap_or_default();
            let verdict = on_server(&mut server.server, Some(&mut session), left, self.patch);
            match verdict {
                Verdict::Forward(n) => done += n,
                Verdict::Skip(n) => {
                    self.joined.extend_from_slice(input.get(span_start..done).unwrap_or_default());
                    done += n;
                    span_start = done;
                }
                Verdict::Leave(reason) => outcome = Err(LinkEnd::ServerGone(reason)),
                Verdict::Hold | Verdict::NeedServer => {}
            }
            if !self.patch.to_client.is_empty() {
                self.joined.extend_from_slice(input.get(span_start..done).unwrap_or_default());
                self.joined.extend_from_slice(&self.patch.to_client);
                span_start = done;
            }
            if !self.patch.to_server.is_empty()
                && server.conn.send(&worker.outbox, &self.patch.to_server).is_err()
            {
                outcome = Err(LinkEnd::ServerGone(CloseReason::ServerClosed));
            }
            if !matches!(verdict, Verdict::Forward(_) | Verdict::Skip(_)) || outcome.is_err() {
                break;
            }
        }
        let span = input.get(span_start..done).unwrap_or_default();
        if post_joined(&worker.outbox, card, client, self.joined, span).is_err() && outcome.is_ok() {
            outcome = Err(LinkEnd::ClientGone(CloseReason::ClientVanished));
        }
        (done, outcome)
    }
}

/// Sends what was joined and the span after it, together if there are both.
fn post_joined(
    outbox: &Outbox,
    owner: &Rc<ClientCard>,
    conn: &mut Conn,
    joined: &mut Vec<u8>,
    span: &[u8],
) -> std::io::Result<()> {
    if joined.is_empty() {
        return if span.is_empty() { Ok(()) } else { conn.post(outbox, span, owner) };
    }
    joined.extend_from_slice(span);
    conn.post(outbox, joined, owner)
}
