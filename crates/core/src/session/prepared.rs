//! Prepared statements whose names are the client's own affair: Parse, Describe and Close; Bind has a file of its own.
//!
//! Rules tried on PostgreSQL: a Parse skipped after an error leaves no statement; in a failed transaction
//! Parse is refused (25P02) and Close is not; a name that exists is refused (42P05) after the text has been
//! looked at. Replies given here stand in the queue in their place and vanish with a batch that fails.

use std::sync::Arc;

use howdah_wire::FrameHeader;
use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::frontend::{self, Target, TargetKind, tag};
use howdah_wire::sql::{Sign, Signs};

use super::bind::Meant;
use super::relay_client::{Step, malformed};
use super::rename::MISSING_UNNAMED;
use super::server_names::{ServerName, send_close, write_parse_start};
use super::server_statements::Need;
use super::sql_names::Wanted;
use super::statement::{NAME_PREFIX, signs_of, text_of};
use super::statements::Told;
use super::{Asks, Expected, Kind, Patch, PinReason, Session, Statement, Subject, Verdict};
use crate::server::Server;

impl Session {
    /// Parse, Bind, Describe or Close.
    pub(super) fn named(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        if names_are_unknown(server) {
            return wait(server);
        }
        self.keep_hints_fresh();
        match header.tag {
            tag::PARSE => self.parse(server, header, input, patch),
            tag::BIND => self.bind(server, header, input, patch),
            tag::DESCRIBE => self.describe(server, header, input, patch),
            _ => self.close(server, header, input, patch),
        }
    }

    fn parse(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let body = body_so_far(header, input);
        if body.first() == Some(&0) {
            return self.parse_unnamed(server, header, input, patch);
        }
        let Some(name) = until_nul(body) else {
            return more_or_malformed(header, input, MAX_NAME, patch);
        };
        if self.is_in_doubt(server, name) {
            return wait(server);
        }
        let taken = FrameHeader::SIZE + name.len() + 1;
        let definition_len = header.total().saturating_sub(taken);
        if let Some((old, _)) = self.known(name) {
            let old = self.renew(server, name, old, patch);
            // The name is taken: PostgreSQL itself shall say so, in its own words and its own order.
            self.ensure(server, Arc::clone(&old), Told::default(), patch);
            write_parse_start(old.name(), definition_len, &mut patch.to_server);
            self.statements_mut().refused(name, old, server.outstanding.batch());
            let expected = Expected { client_op: true, ..Expected::theirs(Kind::Parse) };
            server.outstanding.push(Expected { subject: Subject::Taken, ..expected });
            return Step::Replace(taken);
        }
        if self.sql.as_ref().is_some_and(|sql| sql.has(name)) {
            // Given away by PREPARE: the same.
            self.prepare_name(server, name, Wanted::Name, patch);
            write_parse_start(name, definition_len, &mut patch.to_server);
            server.outstanding.push(Expected { subject: Subject::Taken, ..Expected::theirs(Kind::Parse) });
            return Step::Replace(taken);
        }
        if header.total() > Verdict::MAX_HELD || self.statements_mut().is_full(name.len() + definition_len) {
            self.pinned = Some(PinReason::LargeStatement);
            return Session::pass(server, Expected::theirs(Kind::Parse));
        }
        let Some(definition) = input.get(taken..header.total()) else { return Step::Hold };
        let meaning = self.meaning(server, text_of(definition));
        let statement = self.rules.registry.intern(definition, &meaning);
        if let Some(signs) = self.signs_heeded(self.signs_of(&statement)) {
            if signs.has(Sign::Listen) && self.must_wait_for_channels(statement.text()) {
                return Step::Hold;
            }
            if !self.prepare_names_ahead(server, &signs, statement.text(), patch) {
                return wait(server);
            }
        }
        server.tally.client_parses += 1;
        let now = self.rules.registry.now();
        self.statements_mut().defining(name, Arc::clone(&statement), now, server.outstanding.batch());
        self.define(server, &statement, patch);
        Step::Replace(header.total())
    }

    /// The client's Parse, its text known by now: sent under the server's name, or answered here where it
    /// is certain that the server would only say ParseComplete.
    fn define(&mut self, server: &mut Server, statement: &Arc<Statement>, patch: &mut Patch) {
        let theirs = Expected { client_op: true, ..Expected::theirs(Kind::Parse) };
        let batch = server.outstanding.batch();
        let need = server.statements.need(statement.id, batch, Told::default());
        if server.statements.is_settled(statement.id)
            && server.outstanding.status_is_known()
            && server.outstanding.status() != TransactionStatus::Failed
        {
            self.answer_here(server, theirs, patch);
            return;
        }
        if need == Need::Parse {
            self.evict(server, patch);
        } else {
            send_close(server, statement.id, patch);
        }
        self.send_parse(server, statement, theirs, patch);
    }

    fn parse_unnamed(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        let body = body_so_far(header, input);
        // What executing it does to the session shows only when all of it is there.
        let whole = body.len() + FrameHeader::SIZE >= header.total();
        if !whole && header.total() <= Verdict::MAX_HELD {
            return Step::Hold;
        }
        let definition = body.get(1..).filter(|_| whole);
        let signs = definition.map_or_else(Signs::unseen, |definition| signs_of(definition, &self.hints));
        let text = definition.and_then(until_nul).unwrap_or_default();
        if signs.has(Sign::Listen) && self.must_wait_for_channels(text) {
            return Step::Hold;
        }
        if !self.prepare_names_ahead(server, &signs, text, patch) {
            return wait(server);
        }
        let kept = definition.filter(|_| header.total() <= MAX_UNNAMED || !signs.is_plain());
        let generation = self.unnamed.parsed(self.id, &mut server.unnamed, kept);
        self.unnamed.note(signs);
        let subject = Subject::Unnamed(generation);
        Session::pass_behind(server, Expected { subject, ..Expected::theirs(Kind::Parse) }, input, patch)
    }

    fn describe(
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
        if self.is_in_doubt(server, name) {
            return wait(server);
        }
        let Meant { statement, signs } = self.meant(name);
        if let Some(signs) = signs
            && !self.prepare_names_ahead(server, &signs, &self.text_of(name), patch)
        {
            return wait(server);
        }
        let known = statement.map(|(statement, told)| (statement, Told { shape: None, ..told }));
        let target = self.server_name(server, name, known, patch);
        if matches!(target, ServerName::AsIs) && !name.is_empty() {
            self.prepare_name(server, name, Wanted::Statement, patch);
        }
        let mut expected = expected;
        if let ServerName::Virtual(statement) = &target {
            self.statements_mut().describing(name, Arc::clone(statement), server.outstanding.batch());
            expected.client_op = true;
            expected.subject = if self.recall.is_some() {
                self.remember(header, input);
                Subject::FirstDescription(statement.id)
            } else {
                Subject::Description(statement.id)
            };
        }
        let name = match &target {
            ServerName::AsIs if patch.to_server.is_empty() => return Session::pass(server, expected),
            // What was put into the patch has to go before it.
            ServerName::AsIs | ServerName::Own(_) => name,
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing | ServerName::Another | ServerName::Unknown => MISSING_UNNAMED,
        };
        server.outstanding.push(expected);
        frontend::write_describe(&mut patch.to_server, TargetKind::Statement, name);
        Step::Replace(header.total())
    }

    fn close(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let (kind, name) = match target_of(header, input, patch) {
            Ok(target) => (target.kind, target.name),
            Err(step) => return step,
        };
        let expected = Expected::theirs(Kind::Close);
        if kind == TargetKind::Portal {
            return Session::pass(server, expected);
        }
        if name.is_empty() {
            self.unnamed.forget();
            server.unnamed.forget();
            return Session::pass(server, expected);
        }
        if self.is_in_doubt(server, name) {
            return wait(server);
        }
        // The server keeps the text for others; only the client's name for it goes.
        if self.statements.as_ref().is_some_and(|statements| statements.resolve(name).is_some()) {
            self.statements_mut().undefining(name, server.outstanding.batch());
            self.answer_here(server, Expected { client_op: true, ..expected }, patch);
        } else if name.starts_with(NAME_PREFIX) {
            self.answer_here(server, expected, patch);
        } else if server.outstanding.has_failed() {
            self.forget_name(server, name);
            frontend::write_close(&mut patch.to_server, TargetKind::Statement, name);
        } else {
            self.prepare_name(server, name, Wanted::Name, patch);
            server.sql.deallocated();
            server.doubts.add(Asks::STATEMENTS, name);
            server.outstanding.push(expected);
            frontend::write_close(&mut patch.to_server, TargetKind::Statement, name);
        }
        Step::Replace(header.total())
    }

    /// What executing it may do; `None`: nothing that matters.
    #[inline]
    pub(super) fn signs_of(&self, statement: &Statement) -> Option<Arc<Signs>> {
        statement.signs(self.edition, &self.hints)
    }

    /// What `name` stands for depends on the fate of a batch that has not been answered yet.
    pub(super) fn is_in_doubt(&self, server: &Server, name: &[u8]) -> bool {
        let batch = server.outstanding.batch();
        if name.is_empty() {
            return server.unnamed.is_in_doubt(batch);
        }
        let own = self.statements.as_ref().is_some_and(|statements| statements.is_in_doubt(name, batch));
        own || server.sql.is_in_doubt(name, batch)
    }

    /// Queues a reply of Howdah's own, and gives it if its turn has come.
    fn answer_here(&mut self, server: &mut Server, expected: Expected, patch: &mut Patch) {
        if server.outstanding.push_given(expected) {
            frontend::write_flush(&mut patch.to_server);
        }
        // Amid a reply it would end up inside it; the reply's end gives it.
        if !server.is_mid_reply() {
            self.give(server, &mut patch.to_client);
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
                self.statements_mut().confirm(None);
            }
        }
    }
}

/// SQL may have given names or taken them away, and what tells is on its way: it will come without any further message.
pub(super) fn names_are_unknown(server: &Server) -> bool {
    // Nothing will come.
    if server.outstanding.waits_for_client() {
        return false;
    }
    if server.outstanding.is_clearing() {
        return true;
    }
    let asked = server.look.as_ref().is_some_and(|look| look.about.has(Asks::STATEMENTS));
    asked || server.doubts.has(Asks::STATEMENTS) && !server.outstanding.status_is_known()
}

/// The client's message depends on how one of those before it fares.
pub(super) fn wait(server: &mut Server) -> Step {
    server.outstanding.stall();
    Step::Hold
}

fn until_nul(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..memchr::memchr(0, bytes)?)
}

/// What is there of the message's body.
pub(super) fn body_so_far(header: FrameHeader, input: &[u8]) -> &[u8] {
    input.get(FrameHeader::SIZE..header.total().min(input.len())).unwrap_or_default()
}

/// The message lacks its names: more of it has to come, unless it is there or names cannot be so long.
pub(super) fn more_or_malformed(
    header: FrameHeader,
    input: &[u8],
    longest: usize,
    patch: &mut Patch,
) -> Step {
    if input.len() < header.total() && input.len() <= longest {
        return Step::Hold;
    }
    malformed(header.tag, patch)
}

fn target_of<'a>(header: FrameHeader, input: &'a [u8], patch: &mut Patch) -> Result<Target<'a>, Step> {
    let body = body_so_far(header, input);
    let whole = input.len() >= header.total();
    match Target::parse(body) {
        Ok(target) if whole => Ok(target),
        _ if !whole && header.total() <= MAX_NAME => Err(Step::Hold),
        _ => Err(malformed(header.tag, patch)),
    }
}

/// Longest name of a statement or portal; PostgreSQL cuts identifiers at 63 bytes but not these.
pub(super) const MAX_NAME: usize = 8 * 1024;
/// Longest Parse of an unnamed statement that is kept until it is bound.
const MAX_UNNAMED: usize = 64 * 1024;
