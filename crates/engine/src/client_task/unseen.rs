//! Large messages of the server's, past the session and past this process.

use std::task::{Context, Poll};

use howdah_core::facts::CloseReason;

use super::link::Link;
use super::parting::LinkEnd;
use crate::net::{Conduit, Passed};

impl Link<'_> {
    /// Has the kernel pass on what the session need not see of a large message: it has looked at the beginning and
    /// will look at the end. Says whether there was anything; `None`: it has to go the usual way.
    pub(super) fn pass_unseen(&mut self, cx: &mut Context<'_>) -> Result<Option<bool>, LinkEnd> {
        if self.server.server.unseen() < WORTH_IT {
            return Ok(None);
        }
        if self.client.settle(&self.worker.outbox).is_err() {
            return Err(LinkEnd::ClientGone(CloseReason::ClientVanished));
        }
        if !self.client.is_flushed() {
            return Ok(Some(true));
        }
        let server = &mut self.server.server;
        let streams = self.server.conn.socket.stream().zip(self.client.socket.stream());
        let Some((from, to)) = streams else { return Ok(None) };
        // Without descriptors to spare for one.
        let Some(conduit) = self.worker.conduit.take().or_else(|| Conduit::new().ok()) else {
            return Ok(None);
        };
        let (conduit, passed) = conduit.poll_pass(cx, from, to, server.unseen().min(MOST));
        self.worker.conduit.replace(conduit);
        let Poll::Ready(passed) = passed else { return Ok(Some(false)) };
        let (bytes, left) = match passed {
            Passed::Sent { bytes, left } => (bytes, Some(left)),
            Passed::Lost(bytes) => (bytes, None),
            Passed::Ended => return Err(LinkEnd::ServerGone(CloseReason::ServerClosed)),
            Passed::Impossible => return Ok(None),
        };
        self.worker.now();
        server.pass_unseen(bytes);
        self.card.counters.borrow_mut().sent += bytes as u64;
        let left = left.ok_or(LinkEnd::ClientGone(CloseReason::ClientVanished))?;
        self.client.hold_back(left);
        Ok(Some(true))
    }
}

/// What is shorter comes by a read just as well, and what follows with it.
const WORTH_IT: usize = 64 * 1024;
/// As much as is read at once otherwise: it is copied where the client does not take it.
const MOST: usize = 64 * 1024;
