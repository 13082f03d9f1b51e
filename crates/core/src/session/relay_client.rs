//! The client's messages: what goes on to the server as it is, what is written anew, what is answered here.

use howdah_wire::frontend::tag;
use howdah_wire::sql::{Sign, Signs};
use howdah_wire::{ErrorResponse, FrameHeader};

use super::conversation::{Refused, Rest};
use super::prepared::wait;
use super::{Expected, Kind, Patch, Session, Subject, Verdict};
use crate::facts::CloseReason;
use crate::refusal;
use crate::server::Server;

/// What becomes of the message at the start of the input.
pub(super) enum Step {
    /// It goes on as it is.
    Pass,
    /// It goes nowhere.
    Drop,
    /// Its first bytes have been written anew into the patch; the rest of it goes on as it is.
    Replace(usize),
    /// More of it must be there first.
    Hold,
    Leave(CloseReason),
}

impl Session {
    /// The next bytes from a client that holds no server connection.
    pub fn on_idle_client(&mut self, input: &[u8], patch: &mut Patch) -> Verdict {
        if let Some(skipped) = self.skip_rest(input) {
            return Verdict::Skip(skipped);
        }
        let header = match self.header(input) {
            Ok(Some(header)) => header,
            Ok(None) => return Verdict::Hold,
            Err(error) => return violation(&error, patch),
        };
        match header.tag {
            tag::TERMINATE => return Verdict::Leave(CloseReason::ClientTerminated),
            tag::SYNC => {
                self.refused = Refused::No;
                Session::ready_without_server(patch);
            }
            // What is left of a COPY that has failed, or asks for nothing.
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL | tag::FLUSH => {}
            tag if !is_request(tag) => return violation(&refusal::unexpected_message(tag), patch),
            tag::QUERY | tag::FUNCTION_CALL if self.refused == Refused::Request => {
                self.refused = Refused::No;
                Session::ready_without_server(patch);
            }
            _ if self.refused != Refused::No => self.refused = Refused::Batch,
            _ if is_short_of(header, input) => return Verdict::Hold,
            _ => return Verdict::NeedServer,
        }
        self.client_rest = Rest { bytes: header.total(), forward: false };
        self.skip_rest(input).map_or(Verdict::Hold, Verdict::Skip)
    }

    /// The next bytes from a client that is linked to `server`.
    pub fn on_client(&mut self, server: &mut Server, input: &[u8], patch: &mut Patch) -> Verdict {
        let mut passed = 0;
        self.half_held = false;
        loop {
            let left = input.get(passed..).unwrap_or_default();
            if self.client_rest.bytes > 0 {
                if !self.client_rest.forward {
                    return if passed > 0 {
                        Verdict::Forward(passed)
                    } else {
                        self.skip_rest(left).map_or(Verdict::Hold, Verdict::Skip)
                    };
                }
                let part = self.client_rest.bytes.min(left.len());
                self.client_rest.bytes -= part;
                passed += part;
                if self.client_rest.bytes > 0 {
                    return Verdict::so_far(passed);
                }
                continue;
            }
            if !self.postscript.is_empty() {
                self.add_postscript(server, patch);
                return Verdict::Forward(passed);
            }
            let header = match self.header(left) {
                Ok(Some(header)) if passed > 0 && self.may_rewrite(header) => {
                    return Verdict::Forward(passed);
                }
                Ok(Some(header))
                    if !server.outstanding.is_full() && !self.stays_behind(server, header.tag) =>
                {
                    header
                }
                Ok(_) => return Verdict::so_far(passed),
                Err(_) if passed > 0 => return Verdict::Forward(passed),
                Err(error) => return violation(&error, patch),
            };
            // Half of a request would keep the server connection from everybody else.
            if is_request(header.tag) && is_short_of(header, left) {
                return Verdict::so_far(passed);
            }
            if self.recall.is_some() && self.waits_for_proof(server, header, left, patch) {
                return Verdict::so_far(passed);
            }
            match self.message(server, header, left, patch) {
                Step::Pass => self.client_rest = Rest { bytes: header.total(), forward: true },
                Step::Drop => self.client_rest = Rest { bytes: header.total(), forward: false },
                Step::Replace(taken) => {
                    self.client_rest = Rest { bytes: header.total().saturating_sub(taken), forward: true };
                    return Verdict::Skip(taken);
                }
                Step::Hold => {
                    self.half_held = true;
                    return Verdict::so_far(passed);
                }
                Step::Leave(reason) => return Verdict::Leave(reason),
            }
        }
    }

    /// Messages that may put something into the patch: what stands before them has to be sent first.
    fn may_rewrite(&self, header: FrameHeader) -> bool {
        match header.tag {
            tag::BIND | tag::DESCRIBE | tag::CLOSE => self.rules.follows_statements(),
            tag::PARSE | tag::QUERY => true,
            tag::EXECUTE => !self.bound.correction.is_empty(),
            tag::FUNCTION_CALL => false,
            tag::SYNC | tag::FLUSH => header.total() > FrameHeader::SIZE,
            tag => !is_copy(tag),
        }
    }

    // Twice it is too long to be put in place by itself, and the second time is rare.
    #[inline(always)]
    pub(super) fn message(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        match header.tag {
            // The server would ignore it, and what is noted here would never be confirmed.
            tag if server.outstanding.is_skipping()
                && (is_request(tag) || is_copy(tag) || tag == tag::FLUSH) =>
            {
                Step::Drop
            }
            tag::QUERY => self.query(server, header, input, patch),
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::CLOSE if self.rules.follows_statements() => {
                self.named(server, header, input, patch)
            }
            tag::PARSE => self.parse_as_is(server, header, input, patch),
            tag::BIND => self.bind_as_is(server),
            tag::DESCRIBE => Session::pass(server, Expected::theirs(Kind::Describe)),
            tag::CLOSE => Session::pass(server, Expected::theirs(Kind::Close)),
            tag::EXECUTE => self.execute(server, header, input, patch),
            tag::FUNCTION_CALL => self.function_call(server, header, input),
            // A body here is an error of a kind of its own in PostgreSQL.
            tag::SYNC | tag::FLUSH if header.total() > FrameHeader::SIZE => malformed(header.tag, patch),
            tag::SYNC => Session::pass(server, Expected::theirs(Kind::Sync)),
            tag::FLUSH => Step::Pass,
            tag if is_copy(tag) => {
                if server.outstanding.is_empty() {
                    return Step::Drop;
                }
                let end = tag != tag::COPY_DATA;
                Session::pass(server, Expected::theirs(if end { Kind::CopyEnd } else { Kind::CopyData }))
            }
            tag::TERMINATE => Step::Leave(CloseReason::ClientTerminated),
            other => {
                refusal::unexpected_message(other).write(&mut patch.to_client);
                Step::Leave(CloseReason::ClientProtocol)
            }
        }
    }

    fn execute(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let message = input.get(..header.total());
        if !self.bound.correction.is_empty() && message.is_none() && header.total() <= Verdict::MAX_HELD {
            return Step::Hold;
        }
        let (commits, clears) = (self.bound.commits || self.portal_commits, self.bound.clears);
        if commits {
            self.may_end();
        }
        let step = Session::pass(server, Expected { commits, clears, ..Expected::theirs(Kind::Execute) });
        if self.bound.correction.is_empty() {
            return step;
        }
        let unnamed = message.filter(|message| message.get(FrameHeader::SIZE) == Some(&0));
        let Some(message) = unnamed else { return step };
        let correction = std::mem::take(&mut self.bound.correction);
        // In the same batch, so that nobody sees what was between.
        patch.to_server.extend_from_slice(message);
        server.run(Subject::Correction, &correction, &mut patch.to_server);
        Step::Replace(header.total())
    }

    fn query(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        if self.rules.disable_pqexec {
            refusal::simple_protocol_disabled().write(&mut patch.to_client);
            return Step::Leave(CloseReason::ClientProtocol);
        }
        let text = text_of_query(header, input);
        // What it does to the session shows only when all of it is there.
        if input.len() < header.total() && header.total() <= Verdict::MAX_HELD {
            return Step::Hold;
        }
        self.keep_hints_fresh();
        let signs = text.map_or_else(Signs::unseen, |text| Signs::of(text, &self.hints));
        let heeded = !signs.is_plain() || self.heeds_all;
        if heeded && self.names_in_doubt(server, &signs, text.unwrap_or_default()) {
            return wait(server);
        }
        self.unnamed.forget();
        server.unnamed.forget();
        let (commits, clears) = (signs.has(Sign::Commits), signs.has(Sign::Clears));
        if signs.has(Sign::Listen) && self.must_wait_for_channels(text.unwrap_or_default()) {
            return Step::Hold;
        }
        if commits {
            self.may_end();
        }
        server.doubts.resume();
        if !server.meaning_trail.is_empty() {
            Session::doubt_trail(server, text.unwrap_or_default());
        }
        if heeded {
            if let Some(error) = self.objection(server, &signs, text.unwrap_or_default(), patch) {
                Session::refuse_query(server, error, patch);
                return Step::Replace(header.total());
            }
            self.special_query(server, &signs, text.unwrap_or_default(), patch);
        }
        let query = Expected { commits, clears, ..Expected::theirs(Kind::Query) };
        Session::pass_behind(server, query, input, patch)
    }

    /// A query that may change the session.
    #[cold]
    fn special_query(&mut self, server: &mut Server, signs: &Signs, text: &[u8], patch: &mut Patch) {
        self.prepare_names(server, signs, text, patch);
        if let Some(correction) = self.correction(signs, text) {
            self.raise_corrected(server, signs, text);
            self.postscript = correction;
            return;
        }
        self.raise(server, signs, text);
    }

    /// So much of the client's next message is there that it needs a server connection, or is none at all.
    #[must_use]
    pub fn has_asked(&self, held: &[u8]) -> bool {
        match self.header(held) {
            Ok(header) => header.is_some_and(|header| !is_short_of(header, held)),
            Err(_) => true,
        }
    }

    /// Drops what it can of a message that goes no further; `None`: there is no such message.
    fn skip_rest(&mut self, input: &[u8]) -> Option<usize> {
        if self.client_rest.bytes == 0 || self.client_rest.forward || input.is_empty() {
            return None;
        }
        let part = self.client_rest.bytes.min(input.len());
        self.client_rest.bytes -= part;
        Some(part)
    }

    /// The header at the start of `input`, if it is there; one that cannot be right is an error.
    #[inline]
    fn header(&self, input: &[u8]) -> Result<Option<FrameHeader>, Box<ErrorResponse>> {
        match FrameHeader::parse(input) {
            Ok(Some(header)) if header.len > self.rules.max_packet_size => Err(self.too_large(header)),
            Ok(header) => Ok(header),
            Err(error) => Err(Box::new(refusal::broken_frame(&error))),
        }
    }

    #[cold]
    fn too_large(&self, header: FrameHeader) -> Box<ErrorResponse> {
        Box::new(refusal::message_too_large(header, self.rules.max_packet_size))
    }

    pub(super) fn pass(server: &mut Server, expected: Expected) -> Step {
        server.outstanding.push(expected);
        Step::Pass
    }

    /// The message goes on as it is, behind what was put into the patch.
    pub(super) fn pass_behind(
        server: &mut Server,
        expected: Expected,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        server.outstanding.push(expected);
        if patch.to_server.is_empty() {
            return Step::Pass;
        }
        patch.to_server.extend_from_slice(input.get(..FrameHeader::SIZE).unwrap_or_default());
        Step::Replace(FrameHeader::SIZE)
    }
}

fn violation(error: &ErrorResponse, patch: &mut Patch) -> Verdict {
    error.write(&mut patch.to_client);
    Verdict::Leave(CloseReason::ClientProtocol)
}

pub(super) fn malformed(tag: u8, patch: &mut Patch) -> Step {
    refusal::malformed_message(tag).write(&mut patch.to_client);
    Step::Leave(CloseReason::ClientProtocol)
}

fn is_copy(message: u8) -> bool {
    matches!(message, tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL)
}

/// So little of a message is there that no server connection is asked for yet.
fn is_short_of(header: FrameHeader, input: &[u8]) -> bool {
    input.len() < header.total().min(Verdict::MAX_IDLE)
}

/// Messages that need a server connection.
fn is_request(message: u8) -> bool {
    matches!(
        message,
        tag::QUERY | tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE | tag::FUNCTION_CALL
    )
}

/// The text of a Query that is there as a whole.
fn text_of_query(header: FrameHeader, input: &[u8]) -> Option<&[u8]> {
    input.get(FrameHeader::SIZE..header.total().checked_sub(1)?)
}
