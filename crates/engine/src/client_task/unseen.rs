//! Large messages of the server's, past the session and past this process.

use std::task::Context;

use howdah_core::facts::CloseReason;

use super::link::Link;
use super::parting::LinkEnd;
use crate::net::Conduit;

impl Link<'_> {
    /// Has the kernel pass on what the session need not see of a large message: it has looked at the beginning and
    /// will look at the end. Says whether there was anything; `None`: it has to go the usual way.
    pub(super) fn pass_unseen(&mut self, cx: &mut Context<'_>) -> Result<Option<bool>, LinkEnd> {
        let Link { worker, card, client, server, .. } = self;
        let unseen = server.server.unseen();
        if unseen < WORTH_IT {
            return Ok(None);
        }
        if client.settle(&worker.outbox).is_err() {
            return Err(LinkEnd::ClientGone(CloseReason::ClientVanished));
        }
        if !client.is_flushed() {
            return Ok(Some(true));
        }
        let Some((from, to)) = server.conn.socket.stream().zip(client.socket.stream()) else {
            return Ok(None);
        };
        if from.poll_read_ready(cx).is_pending() {
            return Ok(Some(false));
        }
        let Some(conduit) = worker.conduit.take() else { return Ok(None) };
        let (conduit, passed) = conduit.pass(from, to, unseen.min(MOST));
        worker.conduit.replace(conduit.or_else(|| Conduit::new().ok()));
        if passed.bytes == 0 {
            return Ok(None);
        }
        worker.now();
        server.server.pass_unseen(passed.bytes);
        card.counters.borrow_mut().sent += passed.bytes as u64;
        let left = passed.left.map_err(|_| LinkEnd::ClientGone(CloseReason::ClientVanished))?;
        client.hold_back(left);
        Ok(Some(true))
    }
}

/// What is shorter comes by a read just as well, and what follows with it.
const WORTH_IT: usize = 64 * 1024;
/// As much as is read at once otherwise: it is copied where the client does not take it.
const MOST: usize = 64 * 1024;
