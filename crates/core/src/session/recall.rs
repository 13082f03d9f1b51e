//! What a client has said that may have to be said once more.
//!
//! A Parse is mostly answered without the server, which has the text prepared. A table may have changed since it
//! prepared it, so that its first use fails with `cached plan must not change result type`; on a direct connection,
//! where it would have been prepared when the client said so, it does not. So until what is prepared has proven good,
//! the client's messages are kept, and if it is out of date, the text is prepared anew and they are sent again. That
//! needs nothing to have come of the batch before, and of the messages themselves only as many are let through as can
//! be sent again.
//!
//! Whose own Parse made what is out of date gets the error, as on a direct connection.

use howdah_wire::FrameHeader;
use howdah_wire::frontend::{self, TargetKind, tag};

use super::relay_client::Step;
use super::relay_server::Reply;
use super::server_names::send_close;
use super::server_statements::Need;
use super::statements::Told;
use super::{Expected, Kind, Patch, Session, Subject};
use crate::facts::CloseReason;
use crate::server::Server;

/// The messages since the one whose statement may be out of date, which is the first of its transaction.
#[derive(Debug)]
pub(super) struct Recall {
    /// The statement's number.
    id: u64,
    /// When the first was sent.
    since: u64,
    messages: Vec<u8>,
    /// The last of them is Sync.
    ended: bool,
    /// The server was made to answer, since the client has to wait.
    flushed: bool,
}

impl Recall {
    /// The most that is kept.
    pub(super) const MAX: usize = 16 * 1024;

    /// A message about this statement is to be sent.
    pub(super) fn new(id: u64, now: u64) -> Recall {
        Recall { id, since: now, messages: Vec::new(), ended: false, flushed: false }
    }

    /// This message may follow.
    fn takes(&self, header: FrameHeader, input: &[u8]) -> bool {
        let fits = self.messages.len() + header.total() <= Recall::MAX;
        let is_of_portal = || input.get(FrameHeader::SIZE) == Some(&TargetKind::Portal.as_byte());
        fits && !self.ended
            && match header.tag {
                tag::EXECUTE | tag::FLUSH | tag::SYNC => true,
                tag::DESCRIBE => is_of_portal(),
                _ => false,
            }
    }

    fn keep(&mut self, header: FrameHeader, message: &[u8]) {
        self.messages.extend_from_slice(message);
        self.ended |= header.tag == tag::SYNC && !message.is_empty();
    }
}

impl Session {
    /// While what is prepared has not proven good: the client's next message has to wait, or is kept.
    #[cold]
    pub(super) fn waits_for_proof(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> bool {
        let Some(recall) = self.recall.as_mut().filter(|_| header.tag != tag::TERMINATE) else {
            return false;
        };
        if recall.takes(header, input) {
            let whole = input.get(..header.total());
            recall.keep(header, whole.unwrap_or_default());
            return whole.is_none();
        }
        if !recall.ended && !std::mem::replace(&mut recall.flushed, true) {
            frontend::write_flush(&mut patch.to_server);
        }
        server.outstanding.stall();
        true
    }

    /// The first of these messages is sent.
    #[cold]
    pub(super) fn remember(&mut self, header: FrameHeader, input: &[u8]) {
        if let Some(recall) = &mut self.recall {
            recall.keep(header, input.get(..header.total()).unwrap_or_default());
        }
    }

    /// What had to prove good has done so.
    #[cold]
    pub(super) fn is_proven(&mut self, server: &mut Server) {
        if let Some(recall) = self.recall.take() {
            server.statements.was_good(recall.id, recall.since);
        }
    }

    /// What this message meant was out of date, and has another number now. `None`: too late.
    ///
    /// # Errors
    /// It cannot be said as it was.
    #[cold]
    pub(super) fn try_again(
        &mut self,
        server: &mut Server,
        asked: Expected,
        recall: Option<&Recall>,
        patch: &mut Patch,
    ) -> Option<Result<Reply, CloseReason>> {
        if asked.ours && matches!(asked.subject, Subject::FirstDescription(_)) {
            // The client's message waits for what that finds.
            sync(server, patch);
            return Some(Ok(Reply::Swallow));
        }
        recall.map(|recall| self.say_again(server, recall, patch))
    }

    /// All is said once more, in a batch of its own.
    fn say_again(
        &mut self,
        server: &mut Server,
        recall: &Recall,
        patch: &mut Patch,
    ) -> Result<Reply, CloseReason> {
        if !server.outstanding.take_over_end() {
            sync(server, patch);
        }
        let mut rest = recall.messages.as_slice();
        while let Ok(Some(header)) = FrameHeader::parse(rest) {
            let Some((message, following)) = rest.split_at_checked(header.total()) else { break };
            if let Some(recall) = &mut self.recall {
                recall.keep(header, message);
            }
            let sent = match self.message(server, header, rest, patch) {
                Step::Pass => 0,
                Step::Replace(taken) => taken,
                Step::Drop | Step::Hold | Step::Leave(_) => return Err(CloseReason::ServerUnclean),
            };
            patch.to_server.extend_from_slice(message.get(sent..).unwrap_or_default());
            rest = following;
        }
        Ok(Reply::Swallow)
    }

    /// What this name stands for may be out of date, and what uses it is too long to be kept.
    pub(super) fn renew_what_is_doubtful(&mut self, server: &mut Server, name: &[u8], patch: &mut Patch) {
        let Some((statement, told)) = self.known(name) else { return };
        let statement = self.renew(server, name, statement, patch);
        let need =
            server.statements.need(statement.id, server.outstanding.batch(), Told { shape: None, ..told });
        if need == Need::Proof {
            send_close(server, statement.id, patch);
            self.send_parse(server, &statement, Expected::ours(Kind::Parse), patch);
        }
    }
}

/// Ends a batch that has failed.
fn sync(server: &mut Server, patch: &mut Patch) {
    frontend::write_sync(&mut patch.to_server);
    server.outstanding.push(Expected::ours(Kind::Sync));
}
