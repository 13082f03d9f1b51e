//! How a server connection whose client has gone becomes fit for the next one.
//!
//! What the client left running is cancelled (unless it may be a COMMIT, or the client said goodbye), a
//! COPY is failed, an open batch is failed and closed by Sync, an open transaction rolled back, and in session
//! mode the reset query is run. What its session looks like then is asked, where it is in doubt, and what is left
//! there of the client's is discarded. Whatever cannot be cleaned so is closed.

use howdah_wire::backend::TransactionStatus;
use howdah_wire::frontend;

use super::Server;
use crate::facts::CloseReason;
use crate::session::{Asks, Expected, Kind, Session};
use crate::settings::PoolMode;

/// How a server connection is made fit for the next client after its own has gone.
#[derive(Debug)]
pub struct Cleanup {
    /// What the client left running is to be cancelled.
    cancels: bool,
    reset_query: Option<String>,
    rolled_back: bool,
    asked_again: bool,
    discarded: bool,
}

/// What a [`Cleanup`] wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupStep {
    /// Send what was appended, and read until something changes.
    Wait,
    /// The running query has to be cancelled, then as [`Wait`](CleanupStep::Wait).
    Cancel,
    /// Fit for the next client.
    Fit,
    /// Not to be used again.
    Close(CloseReason),
}

impl Cleanup {
    /// The client of `session` has left `server`; `orderly`: it said so, and what it asked for last runs to
    /// its end. Appends what has to be sent.
    pub fn begin(
        server: &mut Server,
        session: &Session,
        orderly: bool,
        reset_query: Option<&str>,
        to_server: &mut Vec<u8>,
    ) -> (Cleanup, CleanupStep) {
        let mut cleanup = Cleanup {
            cancels: false,
            reset_query: reset_query.map(str::to_owned),
            rolled_back: false,
            asked_again: false,
            discarded: false,
        };
        if session.is_mid_message() || session.pin().is_some() || server.spoiled.is_some() || server.unfit {
            return (cleanup, CleanupStep::Close(CloseReason::ServerUnclean));
        }
        server.disown();
        if session.rules().mode == PoolMode::Session {
            // What it did was nobody's business, until now.
            server.doubts.add(Asks::EVERYTHING, b"");
        }
        let running = server.outstanding.works_for_client() && !server.outstanding.wants_copy_data();
        cleanup.cancels = running && !orderly && !server.outstanding.may_commit();
        let copy_ended = server.outstanding.ends_copy();
        let step = cleanup.advance(server, to_server);
        if server.outstanding.wants_sync() || copy_ended {
            // Whatever ran without a Sync may be answered already, and lie in the server's buffer.
            frontend::write_flush(to_server);
        }
        let cancel = cleanup.cancels && step == CleanupStep::Wait;
        (cleanup, if cancel { CleanupStep::Cancel } else { step })
    }

    /// A while has passed, and no cancel request is on its way. PostgreSQL ignores one that comes before the query
    /// has begun: if what the client left still runs, it is to be cancelled once more.
    #[must_use]
    pub fn insist(&self, server: &Server) -> CleanupStep {
        let theirs = server.outstanding.head().is_some_and(|head| !head.ours);
        if self.cancels && theirs { CleanupStep::Cancel } else { CleanupStep::Wait }
    }

    /// [`advance`](Self::advance) has something to do.
    #[must_use]
    pub fn is_due(server: &Server) -> bool {
        !server.is_mid_reply()
            && (!server.outstanding.is_working()
                || server.outstanding.wants_copy_data()
                || server.outstanding.is_skipping())
    }

    /// After replies have been read: what next?
    pub fn advance(&mut self, server: &mut Server, to_server: &mut Vec<u8>) -> CleanupStep {
        if server.outstanding.wants_copy_data() {
            frontend::write_copy_fail(to_server, GONE);
            server.outstanding.push(Expected::ours(Kind::CopyEnd));
            if server.outstanding.wants_sync() {
                end_batch(server, to_server);
            }
        } else if server.outstanding.is_skipping() {
            end_batch(server, to_server);
        } else if server.outstanding.wants_sync() && !server.outstanding.is_working() {
            // Sync alone would commit what the client never asked to be committed: there is no such portal.
            frontend::write_execute(to_server, GONE, 0);
            server.outstanding.push(Expected::ours(Kind::Execute));
            end_batch(server, to_server);
        }
        if server.is_mid_reply() || !server.outstanding.is_empty() {
            return CleanupStep::Wait;
        }
        if server.outstanding.is_in_doubt() {
            server.ask("", to_server);
            return CleanupStep::Wait;
        }
        if server.outstanding.status() != TransactionStatus::Idle {
            if std::mem::replace(&mut self.rolled_back, true) {
                return CleanupStep::Close(CloseReason::ServerUncleanable);
            }
            server.ask("ROLLBACK", to_server);
            return CleanupStep::Wait;
        }
        if let Some(query) = self.reset_query.take() {
            server.ask(&query, to_server);
            return CleanupStep::Wait;
        }
        if server.doubts.is_postponed() {
            if std::mem::replace(&mut self.asked_again, true) {
                return CleanupStep::Close(CloseReason::ServerUncleanable);
            }
            // What cancelled the client's query may have met the question.
            server.doubts.resume();
        }
        if !server.doubts.is_none() {
            server.look(std::iter::empty(), to_server);
            return CleanupStep::Wait;
        }
        if !server.lives.is_none() {
            if std::mem::replace(&mut self.discarded, true) {
                return CleanupStep::Close(CloseReason::ServerUncleanable);
            }
            server.ask("DISCARD ALL", to_server);
            return CleanupStep::Wait;
        }
        CleanupStep::Fit
    }
}

fn end_batch(server: &mut Server, to_server: &mut Vec<u8>) {
    frontend::write_sync(to_server);
    server.outstanding.push(Expected::ours(Kind::Sync));
}

/// What the server's log shows of it.
const GONE: &[u8] = b"client has gone";
