//! Prepared statements whose names are the client's own affair: Parse, Bind, Describe and Close.
//!
//! Rules tried on PostgreSQL: a Parse skipped after an error leaves no statement; in a failed transaction
//! Parse is refused (25P02) and Close is not; a name that exists is refused (42P05) after the text has been
//! looked at. Replies given here stand in the queue in their place and vanish with a batch that fails.

use std::sync::Arc;

use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::frontend::{self, BindNames, Target, TargetKind, tag};
use howdah_wire::{FrameHeader, sql};

use super::conversation::Unnamed;
use super::relay_client::Step;
use super::rename::MISSING_UNNAMED;
use super::statements::Need;
use super::{Expected, Kind, Patch, PinReason, Session, Statement};
use crate::facts::CloseReason;
use crate::refusal;
use crate::server::Server;

/// What a client's statement name is on the server.
enum ServerName {
    /// The same.
    AsIs,
    /// That of a text.
    Virtual(Arc<Statement>),
    /// The unnamed statement there is somebody else's: it has to look as if there were none.
    Missing,
}

impl Session {
    pub(super) fn parse(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        let body = body_so_far(header, input);
        if body.first() == Some(&0) {
            return self.parse_unnamed(server, header, body);
        }
        let Some(name) = until_nul(body) else {
            return more_or_malformed(header, input, MAX_NAME, patch);
        };
        let taken = FrameHeader::SIZE + name.len() + 1;
        let definition_len = header.total().saturating_sub(taken);
        if let Some(old) = self.statements.as_ref().and_then(|s| s.resolve(name)).map(Arc::clone) {
            // The name is taken: PostgreSQL itself shall say so, in its own words and its own order.
            self.ensure(server, &old, patch);
            write_parse_header(&old, definition_len, &mut patch.to_server);
            server.outstanding.push(Expected::theirs(Kind::Parse));
            return Step::Replace(taken);
        }
        if definition_len > MAX_FOLLOWED || self.statements_mut().is_full(definition_len) {
            self.pinned = Some(PinReason::LargeStatement);
            return Session::pass(server, Expected::theirs(Kind::Parse));
        }
        let Some(definition) = input.get(taken..header.total()) else { return Step::Hold };
        let statement = self.rules.registry.intern(definition, || commits(definition));
        server.tally.client_parses += 1;
        self.statements_mut().defining(name, Arc::clone(&statement));
        self.define(server, &statement, patch);
        Step::Replace(header.total())
    }

    /// The client's Parse, its text known by now: sent under the server's name, or answered here where it
    /// is certain that the server would only say ParseComplete.
    fn define(&mut self, server: &mut Server, statement: &Statement, patch: &mut Patch) {
        let theirs = Expected { client_op: true, ..Expected::theirs(Kind::Parse) };
        let batch = server.outstanding.batch();
        let need = server.statements.need(statement.id, batch);
        if server.statements.is_settled(statement.id)
            && server.outstanding.status_is_known()
            && server.outstanding.status() != TransactionStatus::Failed
        {
            server.outstanding.push(Expected { given: true, ..theirs });
            self.give(server, &mut patch.to_client);
            return;
        }
        if need == Need::Parse {
            self.evict(server, patch);
        } else {
            send_close(server, statement.id, patch);
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

    pub(super) fn bind(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        let Some(names) = BindNames::parse(body_so_far(header, input)) else {
            return more_or_malformed(header, input, 2 * MAX_NAME, patch);
        };
        let taken = FrameHeader::SIZE + names.rest_offset;
        server.tally.binds += u64::from(!names.statement.is_empty());
        let target = self.server_name(server, names.statement, patch);
        let commits = match &target {
            ServerName::Virtual(statement) => statement.commits,
            ServerName::Missing => false,
            ServerName::AsIs => self.bind_unnamed(names.statement).unwrap_or(true),
        };
        self.bound_commits = commits;
        self.portal_commits |= commits && !names.portal.is_empty();
        server.outstanding.push(Expected::theirs(Kind::Bind));
        let name = match target {
            ServerName::AsIs => return Step::Pass,
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing => MISSING_UNNAMED.to_vec(),
        };
        let rest = header.total().saturating_sub(taken);
        match frontend::write_bind_header(&mut patch.to_server, names.portal, &name, rest) {
            Ok(()) => Step::Replace(taken),
            Err(_) => more_or_malformed(header, input, 0, patch),
        }
    }

    /// The unnamed statement is bound: whether it may commit. `None`: not the unnamed one.
    fn bind_unnamed(&mut self, name: &[u8]) -> Option<bool> {
        match self.unnamed {
            Unnamed::Parsed { commits, .. } | Unnamed::Bound { commits } if name.is_empty() => {
                self.unnamed = Unnamed::Bound { commits };
                Some(commits)
            }
            _ => None,
        }
    }

    pub(super) fn describe(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        let (kind, name) = match target_of(header, input, patch) {
            Ok(target) => (target.kind, target.name),
            Err(step) => return step,
        };
        let expected = Expected::theirs(Kind::Describe);
        if kind == TargetKind::Portal {
            return Session::pass(server, expected);
        }
        let name = match self.server_name(server, name, patch) {
            ServerName::AsIs => return Session::pass(server, expected),
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing => MISSING_UNNAMED.to_vec(),
        };
        server.outstanding.push(expected);
        frontend::write_describe(&mut patch.to_server, TargetKind::Statement, &name);
        Step::Replace(header.total())
    }

    pub(super) fn close(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        let (kind, name) = match target_of(header, input, patch) {
            Ok(target) => (target.kind, target.name),
            Err(step) => return step,
        };
        let expected = Expected::theirs(Kind::Close);
        let is_virtual = kind == TargetKind::Statement
            && self.statements.as_ref().is_some_and(|s| s.resolve(name).is_some());
        if !is_virtual {
            return Session::pass(server, expected);
        }
        // The server keeps the text for others; only the client's name for it goes.
        self.statements_mut().undefining(name);
        server.outstanding.push(Expected { given: true, client_op: true, ..expected });
        self.give(server, &mut patch.to_client);
        Step::Replace(header.total())
    }

    fn server_name(&mut self, server: &mut Server, name: &[u8], patch: &mut Patch) -> ServerName {
        if !name.is_empty() {
            let Some(statement) = self.statements.as_ref().and_then(|s| s.resolve(name)).map(Arc::clone)
            else {
                return ServerName::AsIs;
            };
            self.ensure(server, &statement, patch);
            return ServerName::Virtual(statement);
        }
        if let Unnamed::Carried { definition, commits } = &self.unnamed {
            let commits = *commits;
            let mut message = Vec::with_capacity(definition.len() + FrameHeader::SIZE + 1);
            write_parse(b"", definition, &mut message);
            patch.to_server.extend_from_slice(&message);
            server.outstanding.push(Expected::ours(Kind::Parse));
            server.unnamed.parsed(self.id, definition);
            self.unnamed = Unnamed::Parsed { kept: true, commits };
        }
        if server.unnamed.is_of(self.id) { ServerName::AsIs } else { ServerName::Missing }
    }

    /// Sees to it that the statement will be there when the next message is carried out.
    fn ensure(&mut self, server: &mut Server, statement: &Statement, patch: &mut Patch) {
        match server.statements.need(statement.id, server.outstanding.batch()) {
            Need::Nothing => return,
            Need::Parse => self.evict(server, patch),
            Need::CloseAndParse => send_close(server, statement.id, patch),
        }
        send_parse(server, statement, Expected::ours(Kind::Parse), patch);
    }

    fn evict(&mut self, server: &mut Server, patch: &mut Patch) {
        if let Some(id) = server.statements.eviction(self.rules.max_prepared_statements) {
            send_close(server, id, patch);
        }
    }

    /// Gives the replies that are Howdah's to give and whose turn has come.
    pub(super) fn give(&mut self, server: &mut Server, to_client: &mut Vec<u8>) {
        while let Some(expected) = server.outstanding.next_given() {
            match expected.kind {
                Kind::Parse => backend::write_parse_complete(to_client),
                _ => backend::write_close_complete(to_client),
            }
            if expected.client_op {
                self.statements_mut().confirm();
            }
        }
    }
}

fn send_parse(server: &mut Server, statement: &Statement, expected: Expected, patch: &mut Patch) {
    write_parse(&statement.name(), &statement.definition, &mut patch.to_server);
    server.statements.parse_sent(statement.id, server.outstanding.batch());
    server.outstanding.push(Expected { statement: statement.id, ..expected });
    server.tally.server_parses += 1;
}

fn send_close(server: &mut Server, id: u64, patch: &mut Patch) {
    frontend::write_close(&mut patch.to_server, TargetKind::Statement, &Statement::name_for(id));
    server.statements.close_sent(id);
    server.outstanding.push(Expected { statement: id, ..Expected::ours(Kind::Close) });
}

fn write_parse(name: &[u8], definition: &[u8], out: &mut Vec<u8>) {
    write_parse_start(name, definition.len(), out);
    out.extend_from_slice(definition);
}

/// Tag, length and name of a Parse whose definition follows from elsewhere.
fn write_parse_header(statement: &Statement, definition_len: usize, out: &mut Vec<u8>) {
    write_parse_start(&statement.name(), definition_len, out);
}

fn write_parse_start(name: &[u8], definition_len: usize, out: &mut Vec<u8>) {
    let len = u32::try_from(4 + name.len() + 1 + definition_len).expect("lengths are checked when read");
    out.push(tag::PARSE);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(name);
    out.push(0);
}

/// Whether executing a statement with this definition may commit.
fn commits(definition: &[u8]) -> bool {
    until_nul(definition).is_none_or(sql::ends_transaction)
}

fn until_nul(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..memchr::memchr(0, bytes)?)
}

/// What is there of the message's body.
fn body_so_far(header: FrameHeader, input: &[u8]) -> &[u8] {
    input.get(FrameHeader::SIZE..header.total().min(input.len())).unwrap_or_default()
}

/// The message lacks its names: more of it has to come, unless it is there or names cannot be so long.
fn more_or_malformed(header: FrameHeader, input: &[u8], longest: usize, patch: &mut Patch) -> Step {
    if input.len() < header.total() && input.len() <= longest {
        return Step::Hold;
    }
    refusal::malformed_message(header.tag).write(&mut patch.to_client);
    Step::Leave(CloseReason::ClientProtocol)
}

fn target_of<'a>(header: FrameHeader, input: &'a [u8], patch: &mut Patch) -> Result<Target<'a>, Step> {
    let body = body_so_far(header, input);
    let whole = input.len() >= header.total();
    match Target::parse(body) {
        Ok(target) if whole => Ok(target),
        _ if !whole && header.total() <= MAX_NAME => Err(Step::Hold),
        _ => Err(more_or_malformed(header, input, 0, patch)),
    }
}

/// Longest name of a statement or portal; PostgreSQL cuts identifiers at 63 bytes but not these.
const MAX_NAME: usize = 8 * 1024;
/// Longest definition of a named statement that follows its client.
const MAX_FOLLOWED: usize = 1024 * 1024;
/// Longest Parse of an unnamed statement that is kept until it is bound.
const MAX_UNNAMED: usize = 64 * 1024;
