//! The client's messages: what goes on to the server as it is, what is written anew, what is answered here.

use howdah_wire::frontend::{self, BindNames, Target, TargetKind, tag};
use howdah_wire::{ErrorResponse, FrameHeader, sql};

use super::session::{Rest, Unnamed};
use super::statements::Need;
use super::{ClientStatements, Expected, Kind, Patch, PinReason, Session, Statement, Verdict};
use crate::facts::CloseReason;
use crate::refusal;
use crate::server::Server;
use std::sync::Arc;

/// What becomes of the message at the start of the input.
enum Step {
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
    pub fn on_idle_client(&mut self, input: &[u8], patch: &mut Patch) -> IdleVerdict {
        if let Some(skipped) = self.skip_rest(input) {
            return IdleVerdict::Act(Verdict::Skip(skipped));
        }
        let header = match self.header(input, patch) {
            Ok(Some(header)) => header,
            Ok(None) => return IdleVerdict::Act(Verdict::Hold),
            Err(reason) => return IdleVerdict::Act(Verdict::Leave(reason)),
        };
        match header.tag {
            tag::TERMINATE => return IdleVerdict::Act(Verdict::Leave(CloseReason::ClientTerminated)),
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
                return IdleVerdict::Act(violation(&refusal::unexpected_message(header.tag), patch));
            }
            _ if self.skip_to_sync => {}
            _ => return IdleVerdict::NeedServer,
        }
        self.client_rest = Rest { bytes: header.total(), forward: false };
        IdleVerdict::Act(self.skip_rest(input).map_or(Verdict::Hold, Verdict::Skip))
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

    fn message(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
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

    fn pass(server: &mut Server, expected: Expected) -> Step {
        server.outstanding.push(expected);
        Step::Pass
    }

    fn parse(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let Some(body) = input.get(FrameHeader::SIZE..header.total().min(input.len())) else {
            return Step::Hold;
        };
        if body.first() == Some(&0) {
            return self.parse_unnamed(server, header, body);
        }
        let whole = input.len() >= header.total();
        let Some(name) = until_nul(body) else {
            return if whole || body.len() > MAX_NAME { malformed(header, patch) } else { Step::Hold };
        };
        let taken = FrameHeader::SIZE + name.len() + 1;
        let definition_len = header.total() - taken.min(header.total());
        if let Some(old) = self.statements.as_ref().and_then(|s| s.resolve(name)).map(Arc::clone) {
            // The name is taken: PostgreSQL itself shall say so, in its own words and its own order.
            self.ensure(server, &old, patch);
            rewrite_header(&mut patch.to_server, tag::PARSE, &old, definition_len);
            server.outstanding.push(Expected::theirs(Kind::Parse));
            return Step::Replace(taken);
        }
        if definition_len > MAX_FOLLOWED || self.statements_mut().is_full(definition_len) {
            self.pinned = Some(PinReason::LargeStatement);
            server.unfit = true;
            return Session::pass(server, Expected::theirs(Kind::Parse));
        }
        let Some(definition) = input.get(taken..header.total()) else { return Step::Hold };
        let statement = self.rules.registry.intern(definition, || commits(definition));
        server.parses_seen += 1;
        self.statements_mut().defining(name, Arc::clone(&statement));
        self.define_on(server, &statement, patch);
        Step::Replace(header.total())
    }

    /// The client's Parse of a statement that is known by now: sent under the server's name, or answered
    /// here where it is certain that the server would only say ParseComplete.
    fn define_on(&mut self, server: &mut Server, statement: &Statement, patch: &mut Patch) {
        let theirs = Expected { client_op: true, ..Expected::theirs(Kind::Parse) };
        let certain = server.outstanding.status_is_known()
            && server.outstanding.status() != howdah_wire::backend::TransactionStatus::Failed
            && server.statements.is_settled(statement.id);
        if certain {
            server.outstanding.push(Expected { given: true, ..theirs });
            // Counts as a use, so that it is not evicted next.
            server.statements.need(statement.id, server.outstanding.batch());
            self.give(server, patch);
            return;
        }
        if server.statements.need(statement.id, server.outstanding.batch()) != Need::Parse {
            send_close(server, statement.id, patch);
        } else {
            self.evict(server, patch);
        }
        send_parse(server, statement, theirs, patch);
    }

    fn parse_unnamed(&mut self, server: &mut Server, header: FrameHeader, body: &[u8]) -> Step {
        let kept = header.total() <= MAX_UNNAMED;
        let whole = body.len() + FrameHeader::SIZE >= header.total();
        if kept && !whole {
            return Step::Hold;
        }
        let definition = body.get(1..).unwrap_or_default();
        server.unnamed.parsed(self.id, if kept { definition } else { &[] });
        self.unnamed = Unnamed::Parsed { kept, commits: !whole || commits(definition) };
        Session::pass(server, Expected::theirs(Kind::Parse))
    }

    fn bind(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let Some(body) = input.get(FrameHeader::SIZE..header.total().min(input.len())) else {
            return Step::Hold;
        };
        let Some(BindNames { portal, statement: name, rest }) = BindNames::parse(body) else {
            let hopeless = input.len() >= header.total() || body.len() > 2 * MAX_NAME;
            return if hopeless { malformed(header, patch) } else { Step::Hold };
        };
        server.binds_seen += u64::from(!name.is_empty());
        let taken = FrameHeader::SIZE + rest;
        let replaced = if name.is_empty() {
            self.bind_unnamed(server, patch)
        } else {
            self.named(server, name, patch)
        };
        let commits = match (&replaced, &self.unnamed) {
            (Server​Name::Virtual(statement), _) => statement.commits,
            (_, Unnamed::Bound { commits }) if name.is_empty() => *commits,
            _ => true,
        };
        self.bound_commits = commits;
        self.portal_commits |= commits && !portal.is_empty();
        server.outstanding.push(Expected::theirs(Kind::Bind));
        let new_name = match replaced {
            ServerName::AsIs => return Step::Pass,
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing => MISSING_UNNAMED.to_vec(),
        };
        let rest_len = header.total() - taken.min(header.total());
        frontend::write_bind_header(&mut patch.to_server, portal, &new_name, rest_len);
        Step::Replace(taken)
    }
}
