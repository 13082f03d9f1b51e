//! When client and server connection part, and what that means for the server connection.

use std::sync::Arc;

use howdah_core::facts::CloseReason;
use howdah_core::server::Held;

use super::link::Link;

/// Why client and server connection part.
#[derive(Debug)]
pub(super) enum LinkEnd {
    /// The server connection is fit for the next client.
    Released,
    /// The server connection is lost, and owed the client nothing any more.
    Spent(CloseReason),
    /// The client has gone or has to go.
    ClientGone(CloseReason),
    /// The server connection is lost.
    ServerGone(CloseReason),
}

impl Link<'_> {
    /// What the end of the link means for the server connection.
    pub(super) fn part(&mut self, mut end: LinkEnd) -> LinkEnd {
        let Link { worker, card, server, preface, .. } = self;
        // A client that went before it could say anything: what is counted as sent for it has to be sent.
        if !preface.is_empty() && server.conn.send(&worker.outbox, preface).is_err() {
            end = LinkEnd::ServerGone(CloseReason::ServerClosed);
        }
        if self.cancel.as_ref().is_some_and(|job| job.is_in_doubt()) {
            return LinkEnd::ServerGone(CloseReason::ServerUncleanable);
        }
        let mut session = card.session.borrow_mut();
        let owes_nothing = server.server.held_by(&session).is_none();
        let end = match end {
            LinkEnd::ServerGone(reason) if owes_nothing => LinkEnd::Spent(reason),
            end => end,
        };
        if matches!(end, LinkEnd::Released | LinkEnd::Spent(_)) {
            session.part(&mut server.server);
            if self.pinned.is_some() {
                session.rules().pins.unpin(card.id, worker.time());
            }
        }
        end
    }

    /// May this server connection be given back? What the client still has to say needs one again.
    pub(super) fn see_whether_done(&mut self) -> Result<(), LinkEnd> {
        let server = &self.server.server;
        let stuck = server.outstanding.wants_sync() || server.outstanding.wants_copy_data();
        if self.leaving && stuck && !server.is_mid_reply() {
            // What the server waits for will not come: there is nothing more to wait for.
            return Err(LinkEnd::ClientGone(CloseReason::ClientTerminated));
        }
        if server.outstanding.is_working() || !self.server.conn.held.is_empty() {
            return Ok(());
        }
        if self.leaving && !server.is_mid_reply() {
            return Err(LinkEnd::ClientGone(CloseReason::ClientTerminated));
        }
        let session = self.card.session.borrow();
        if session.has_asked(&self.client.held) {
            return Ok(());
        }
        let held = server.held_by(&session);
        drop(session);
        match held {
            None => Err(LinkEnd::Released),
            Some(Held::Pinned(_)) => self.stay(),
            Some(_) => Ok(()),
        }
    }

    /// The client keeps its server connection beyond its transaction: the ledger hears of it, if it may.
    #[cold]
    fn stay(&mut self) -> Result<(), LinkEnd> {
        let now = self.worker.time();
        let mut session = self.card.session.borrow_mut();
        let reason = session.lasting_pin(&self.server.server);
        if reason.is_some()
            && let Err((ends, error)) = session.may_stay(now)
        {
            let mut message = Vec::new();
            error.write(&mut message);
            // A client that cannot be told has gone, and the link ends anyway.
            let _ = self.client.send(&self.worker.outbox, &message);
            return Err(LinkEnd::ClientGone(ends));
        }
        if reason == self.pinned {
            return Ok(());
        }
        let ledger = Arc::clone(&session.rules().pins);
        match reason {
            Some(reason) => {
                let name = self.worker.shared.tracked.application_name();
                let name = session.parameters.get(name).cloned().unwrap_or_default();
                ledger.pin(self.card.id, &name, self.server.server.explain(reason, now));
            }
            None => ledger.unpin(self.card.id, now),
        }
        session.tie(reason);
        self.pinned = reason;
        Ok(())
    }
}
