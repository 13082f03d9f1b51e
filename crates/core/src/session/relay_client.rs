//! The client's messages: what goes on to the server as it is, what is written anew, what is answered here.

use howdah_wire::frontend::tag;
use howdah_wire::{FrameHeader, sql};

use super::conversation::{Rest, Unnamed};
use super::{Expected, Kind, Patch, Session, Verdict};
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
        let header = match self.header(input, patch) {
            Ok(Some(header)) => header,
            Ok(None) => return Verdict::Hold,
            Err(reason) => return Verdict::Leave(reason),
        };
        match header.tag {
            tag::TERMINATE => return Verdict::Leave(CloseReason::ClientTerminated),
            tag::SYNC => {
                self.skip_to_sync = false;
                Session::ready_without_server(patch);
            }
            // What is left of a COPY that has failed, or asks for nothing.
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL | tag::FLUSH => {}
            tag::QUERY | tag::FUNCTION_CALL if self.skip_to_sync => {
                self.skip_to_sync = false;
                Session::ready_without_server(patch);
            }
            _ if !is_request(header.tag) => {
                return violation(header.tag, patch);
            }
            _ if self.skip_to_sync => {}
            _ => return Verdict::NeedServer,
        }
        self.client_rest = Rest { bytes: header.total(), forward: false };
        self.skip_rest(input).map_or(Verdict::Hold, Verdict::Skip)
    }

    /// The next bytes from a client that is linked to `server`.
    pub fn on_client(&mut self, server: &mut Server, input: &[u8], patch: &mut Patch) -> Verdict {
        let mut passed = 0;
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
                    return forward_or_hold(passed);
                }
                continue;
            }
            let header = match self.header(left, patch) {
                Ok(Some(header)) if !server.outstanding.is_full() => header,
                Ok(_) => return forward_or_hold(passed),
                Err(reason) => return Verdict::Leave(reason),
            };
            if passed > 0 && self.may_rewrite(header.tag) {
                return Verdict::Forward(passed);
            }
            match self.message(server, header, left, patch) {
                Step::Pass => self.client_rest = Rest { bytes: header.total(), forward: true },
                Step::Drop => self.client_rest = Rest { bytes: header.total(), forward: false },
                Step::Replace(taken) => {
                    self.client_rest = Rest { bytes: header.total().saturating_sub(taken), forward: true };
                    return Verdict::Skip(taken);
                }
                Step::Hold => return forward_or_hold(passed),
                Step::Leave(reason) => return Verdict::Leave(reason),
            }
        }
    }

    /// Messages that put something into the patch: what stands before them has to be sent first.
    fn may_rewrite(&self, tag: u8) -> bool {
        match tag {
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::CLOSE => self.rules.follows_statements(),
            tag::TERMINATE => true,
            _ => !is_request(tag) && !matches!(tag, tag::SYNC | tag::FLUSH | tag::COPY_DATA),
        }
    }

    fn message(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let virtual_names = self.rules.follows_statements();
        match header.tag {
            tag::QUERY => {
                if self.rules.disable_pqexec {
                    refusal::simple_protocol_disabled().write(&mut patch.to_client);
                    return Step::Leave(CloseReason::ClientProtocol);
                }
                self.unnamed = Unnamed::Settled;
                server.unnamed.forget();
                let commits = text_of_query(header, input).is_none_or(sql::ends_transaction);
                server.outstanding.push(Expected { commits, ..Expected::theirs(Kind::Query) });
                Step::Pass
            }
            tag::PARSE if virtual_names => self.parse(server, header, input, patch),
            tag::BIND if virtual_names => self.bind(server, header, input, patch),
            tag::DESCRIBE if virtual_names => self.describe(server, header, input, patch),
            tag::CLOSE if virtual_names => self.close(server, header, input, patch),
            tag::PARSE => {
                // In session mode nothing is known of the texts: any Execute may be a COMMIT.
                self.bound_commits = true;
                Session::pass(server, Expected::theirs(Kind::Parse))
            }
            tag::BIND => Session::pass(server, Expected::theirs(Kind::Bind)),
            tag::DESCRIBE => Session::pass(server, Expected::theirs(Kind::Describe)),
            tag::CLOSE => Session::pass(server, Expected::theirs(Kind::Close)),
            tag::EXECUTE => {
                let commits = self.bound_commits || self.portal_commits;
                Session::pass(server, Expected { commits, ..Expected::theirs(Kind::Execute) })
            }
            tag::SYNC => Session::pass(server, Expected::theirs(Kind::Sync)),
            tag::FUNCTION_CALL => Session::pass(server, Expected::theirs(Kind::FunctionCall)),
            tag::FLUSH => Step::Pass,
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => {
                if server.outstanding.is_empty() {
                    return Step::Drop;
                }
                let end = header.tag != tag::COPY_DATA;
                Session::pass(server, Expected::theirs(if end { Kind::CopyEnd } else { Kind::CopyData }))
            }
            tag::TERMINATE => Step::Leave(CloseReason::ClientTerminated),
            other => {
                refusal::unexpected_message(other).write(&mut patch.to_client);
                Step::Leave(CloseReason::ClientProtocol)
            }
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

    /// The header at the start of `input`, if it is there; one that cannot be right ends the client.
    fn header(&self, input: &[u8], patch: &mut Patch) -> Result<Option<FrameHeader>, CloseReason> {
        let error = match FrameHeader::parse(input) {
            Ok(Some(header)) if header.len <= self.rules.max_packet_size => return Ok(Some(header)),
            Ok(None) => return Ok(None),
            Ok(Some(header)) => refusal::message_too_large(header, self.rules.max_packet_size),
            Err(error) => refusal::broken_frame(&error),
        };
        error.write(&mut patch.to_client);
        Err(CloseReason::ClientProtocol)
    }

    pub(super) fn pass(server: &mut Server, expected: Expected) -> Step {
        server.outstanding.push(expected);
        Step::Pass
    }
}

fn forward_or_hold(passed: usize) -> Verdict {
    if passed > 0 { Verdict::Forward(passed) } else { Verdict::Hold }
}

fn violation(tag: u8, patch: &mut Patch) -> Verdict {
    refusal::unexpected_message(tag).write(&mut patch.to_client);
    Verdict::Leave(CloseReason::ClientProtocol)
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
