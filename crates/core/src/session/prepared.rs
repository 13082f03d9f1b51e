//! Prepared statements whose names are the client's own affair: Parse, Bind, Describe and Close.
//!
//! Rules tried on PostgreSQL: a Parse skipped after an error leaves no statement; in a failed transaction
//! Parse is refused (25P02) and Close is not; a name that exists is refused (42P05) after the text has been
//! looked at. Replies given here stand in the queue in their place and vanish with a batch that fails.

use std::sync::Arc;

use howdah_wire::FrameHeader;
use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::frontend::{self, BindNames, Target, TargetKind, tag};
use howdah_wire::sql::{Sign, Signs};

use super::recall::Recall;
use super::relay_client::{Step, malformed};
use super::rename::{MISSING_UNNAMED, REFUSED};
use super::server_names::{ServerName, send_close, write_parse_start};
use super::server_statements::Need;
use super::statement::{NAME_PREFIX, signs_of};
use super::statements::Told;
use super::{Asks, Expected, Kind, Patch, PinReason, Session, Statement, Subject, Verdict};
use crate::server::Server;

/// What executing a bound statement may do.
struct Effects {
    commits: bool,
    clears: bool,
    /// What has to follow so that RESET returns to the client's own start values.
    correction: Vec<u8>,
}

impl Session {
    /// Parse, Bind, Describe or Close.
    pub(super) fn named(
        &mut self,
        server: &mut Server,
        header: FrameHeader,
        input: &[u8],
        patch: &mut Patch,
    ) -> Step {
        if server.outstanding.is_clearing() || names_are_unknown(server) {
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
            return self.parse_unnamed(server, header, body);
        }
        let Some(name) = until_nul(body) else {
            return more_or_malformed(header, input, MAX_NAME, patch);
        };
        if self.is_in_doubt(server, name) {
            return wait(server);
        }
        let taken = FrameHeader::SIZE + name.len() + 1;
        let definition_len = header.total().saturating_sub(taken);
        if let Some((old, _)) = self.resolve(server, name, patch) {
            // The name is taken: PostgreSQL itself shall say so, in its own words and its own order.
            self.ensure(server, &old, Told::default(), patch);
            write_parse_start(&old.name(), definition_len, &mut patch.to_server);
            self.statements_mut().refused(name, old, server.outstanding.batch());
            let expected = Expected { client_op: true, ..Expected::theirs(Kind::Parse) };
            server.outstanding.push(Expected { subject: Subject::Taken, ..expected });
            return Step::Replace(taken);
        }
        if self.sql.as_ref().is_some_and(|sql| sql.has(name)) {
            // Given away by PREPARE: the same.
            self.prepare_name(server, name, patch);
            write_parse_start(name, definition_len, &mut patch.to_server);
            server.outstanding.push(Expected { subject: Subject::Taken, ..Expected::theirs(Kind::Parse) });
            return Step::Replace(taken);
        }
        if header.total() > Verdict::MAX_HELD || self.statements_mut().is_full(name.len() + definition_len) {
            self.pinned = Some(PinReason::LargeStatement);
            return Session::pass(server, Expected::theirs(Kind::Parse));
        }
        let Some(definition) = input.get(taken..header.total()) else { return Step::Hold };
        let meaning = self.meaning(server);
        let statement = self.rules.registry.intern(definition, &meaning);
        let listens = self.signs_of(&statement).is_some_and(|signs| signs.has(Sign::Listen));
        if listens && self.must_wait_for_channels(statement.text()) {
            return Step::Hold;
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

    fn parse_unnamed(&mut self, server: &mut Server, header: FrameHeader, body: &[u8]) -> Step {
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
        let kept = definition.filter(|_| header.total() <= MAX_UNNAMED || !signs.is_plain());
        let generation = self.unnamed.parsed(self.id, &mut server.unnamed, kept);
        self.unnamed.note(signs);
        let subject = Subject::Unnamed(generation);
        Session::pass(server, Expected { subject, ..Expected::theirs(Kind::Parse) })
    }

    fn bind(&mut self, server: &mut Server, header: FrameHeader, input: &[u8], patch: &mut Patch) -> Step {
        let Some(names) = BindNames::parse(body_so_far(header, input)) else {
            return more_or_malformed(header, input, 2 * MAX_NAME, patch);
        };
        if self.is_in_doubt(server, names.statement) || self.means_names_in_doubt(server, names.statement) {
            return wait(server);
        }
        let taken = FrameHeader::SIZE + names.rest_offset;
        let named_by_value = self.names_by_value(names.statement);
        if named_by_value && input.len() < header.total() && header.total() <= Verdict::MAX_HELD {
            return Step::Hold;
        }
        if header.total() > Recall::MAX {
            self.renew_what_is_doubtful(server, names.statement, patch);
        } else if input.len() < header.total() {
            return Step::Hold;
        }
        let looks = self.looks_at_statements(server, names.statement);
        let target = if looks.is_some() {
            // It must not find itself under another name.
            ServerName::AsIs
        } else if portal_is_described_next(header, input) && !server.outstanding.has_failed() {
            self.name_to_be_described(server, names.statement, patch)
        } else {
            self.server_name(server, names.statement, true, patch)
        };
        let Some(subject) = self.subject_of_bind(&target) else { return wait(server) };
        server.tally.binds += u64::from(!names.statement.is_empty());
        let rest = header.total().saturating_sub(taken);
        if let Some(error) = self.objection_to(server, names.statement, &target, patch) {
            (self.bound_commits, self.bound_clears) = (false, false);
            self.bound_correction.clear();
            self.recall = None;
            Session::note_refused(server, Kind::Bind, error);
            return match frontend::write_bind_header(&mut patch.to_server, names.portal, REFUSED, rest) {
                Ok(()) => Step::Replace(taken),
                Err(_) => malformed(header.tag, patch),
            };
        }
        let effects = match &target {
            ServerName::Virtual(statement) => {
                let signs = self.signs_of(statement);
                let mut correction = Vec::new();
                if let Some(signs) = signs.as_deref().filter(|signs| !signs.is_plain()) {
                    correction = self.raise_bound(server, names.portal, signs, statement.text());
                    self.prepare_names(server, signs, statement.text(), patch);
                }
                let effects = signs.map_or(Effects::NONE, |signs| Effects::of(&signs));
                Effects { correction, ..effects }
            }
            ServerName::Missing | ServerName::Another | ServerName::Unknown => Effects::NONE,
            ServerName::AsIs if names.statement.is_empty() => {
                self.unnamed.bound();
                let mut correction = Vec::new();
                if let Some(signs) = self.unnamed.signs.take() {
                    let text = self.unnamed.text().to_vec();
                    correction = self.raise_bound(server, names.portal, &signs, &text);
                    self.prepare_names(server, &signs, &text, patch);
                    self.unnamed.signs = Some(signs);
                }
                Effects { commits: self.unnamed.commits, clears: self.unnamed.clears, correction }
            }
            ServerName::AsIs => {
                if let Some((statement, signs)) = looks {
                    self.raise(server, &signs, statement.text());
                    self.prepare_names(server, &signs, statement.text(), patch);
                } else {
                    self.prepare_name(server, names.statement, patch);
                    self.raise(server, &Signs::unseen(), names.statement);
                }
                Effects::UNKNOWN
            }
        };
        server.doubts.resume();
        if !server.meaning_trail.is_empty() {
            self.add_to_trail(server, names.statement, input.get(taken..).unwrap_or_default());
        }
        if self.rules.always_asks() {
            server.doubts.add(Asks::EVERYTHING, names.statement);
        }
        if named_by_value {
            server.doubts.add_custom(input.get(taken..).unwrap_or_default());
        }
        self.bound_commits = effects.commits;
        self.portal_commits |= effects.commits && !names.portal.is_empty();
        self.bound_clears = effects.clears;
        if names.portal.is_empty() {
            self.bound_correction = effects.correction;
        }
        server.outstanding.push(Expected { subject, ..Expected::theirs(Kind::Bind) });
        let name = match target {
            ServerName::AsIs if patch.to_server.is_empty() => return Step::Pass,
            // What was put into the patch has to go before it.
            ServerName::AsIs => names.statement.to_vec(),
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing | ServerName::Another | ServerName::Unknown => MISSING_UNNAMED.to_vec(),
        };
        match frontend::write_bind_header(&mut patch.to_server, names.portal, &name, rest) {
            Ok(()) => Step::Replace(taken),
            Err(_) => malformed(header.tag, patch),
        }
    }

    /// What there is to know about how a Bind goes; `None`: nothing can be bound yet.
    fn subject_of_bind(&self, target: &ServerName) -> Option<Subject> {
        match target {
            ServerName::Unknown => None,
            ServerName::Virtual(statement) if self.recall.is_some() => Some(Subject::Proof(statement.id)),
            ServerName::Virtual(statement) => Some(Subject::Used(statement.id)),
            ServerName::Another => Some(Subject::Another),
            ServerName::AsIs | ServerName::Missing => Some(Subject::None),
        }
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
        let target = self.server_name(server, name, false, patch);
        if matches!(target, ServerName::AsIs) && !name.is_empty() {
            self.prepare_name(server, name, patch);
        }
        let mut expected = expected;
        if let ServerName::Virtual(statement) = &target {
            self.statements_mut().describing(name, Arc::clone(statement), server.outstanding.batch());
            expected.client_op = true;
            expected.subject = if self.recall.is_some() {
                Subject::FirstDescription(statement.id)
            } else {
                Subject::Description(statement.id)
            };
        }
        let name = match target {
            ServerName::AsIs if patch.to_server.is_empty() => return Session::pass(server, expected),
            // What was put into the patch has to go before it.
            ServerName::AsIs => name.to_vec(),
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing | ServerName::Another | ServerName::Unknown => MISSING_UNNAMED.to_vec(),
        };
        server.outstanding.push(expected);
        frontend::write_describe(&mut patch.to_server, TargetKind::Statement, &name);
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
            self.prepare_name(server, name, patch);
            server.doubts.add(Asks::STATEMENTS, name);
            server.outstanding.push(expected);
            frontend::write_close(&mut patch.to_server, TargetKind::Statement, name);
        }
        Step::Replace(header.total())
    }

    /// What is bound may change, by its values, what was said about the meaning of statements, or take it back.
    #[cold]
    fn add_to_trail(&self, server: &mut Server, name: &[u8], values: &[u8]) {
        let has_meaning = |signs: &Signs| signs.has(Sign::Meaning);
        let (text, means) = match name {
            b"" => (self.unnamed.text().to_vec(), self.unnamed.signs.as_deref().map(has_meaning)),
            _ => match self.statements.as_ref().and_then(|statements| statements.resolve(name)) {
                Some((statement, _)) => {
                    (statement.text().to_vec(), self.signs_of(statement).as_deref().map(has_meaning))
                }
                None => return,
            },
        };
        Session::doubt_trail(server, &text);
        if means.unwrap_or_default() {
            self.leave_trail(server, &text, values);
        }
    }

    /// The statement shows what is prepared: all of it is prepared under the client's own names first.
    fn looks_at_statements(&self, server: &Server, name: &[u8]) -> Option<(Arc<Statement>, Arc<Signs>)> {
        let (statement, _) = self.statements.as_ref()?.resolve(name)?;
        let signs = self.signs_of(statement).filter(|signs| signs.has(Sign::PreparedView))?;
        (self.rules.follows_state() && !server.outstanding.has_failed())
            .then(|| (Arc::clone(statement), signs))
    }

    /// The statement may set a setting whose name is among its parameters.
    fn names_by_value(&self, name: &[u8]) -> bool {
        let is_open = |signs: &Signs| signs.has(Sign::SettingUnknown) || signs.has(Sign::Opaque);
        if name.is_empty() {
            return self.unnamed.signs.as_deref().is_some_and(is_open);
        }
        let statement = self.statements.as_ref().and_then(|statements| statements.resolve(name));
        statement.and_then(|(statement, _)| self.signs_of(statement)).is_some_and(|signs| is_open(&signs))
    }

    /// What executing it may do; `None`: nothing that matters.
    pub(super) fn signs_of(&self, statement: &Statement) -> Option<Arc<Signs>> {
        statement.signs(self.edition, &self.hints)
    }

    /// What the statement of this name says of others by name depends on the fate of an earlier batch.
    fn means_names_in_doubt(&self, server: &Server, name: &[u8]) -> bool {
        if name.is_empty() {
            let signs = self.unnamed.signs.as_deref();
            return signs.is_some_and(|signs| self.names_in_doubt(server, signs, self.unnamed.text()));
        }
        self.statements.as_ref().and_then(|statements| statements.resolve(name)).is_some_and(
            |(statement, _)| {
                let signs = self.signs_of(statement);
                signs.is_some_and(|signs| self.names_in_doubt(server, &signs, statement.text()))
            },
        )
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

impl Effects {
    fn of(signs: &Signs) -> Effects {
        Effects { commits: signs.has(Sign::Commits), clears: signs.has(Sign::Clears), correction: Vec::new() }
    }

    /// Nothing can be ruled out. That it clears is left to its tag, though: it is rare, and waiting costs.
    const UNKNOWN: Effects = Effects { commits: true, clears: false, correction: Vec::new() };
    /// It is not executed.
    const NONE: Effects = Effects { commits: false, clears: false, correction: Vec::new() };
}

/// SQL may have given names or taken them away, and the answer to the question which is on its way.
pub(super) fn names_are_unknown(server: &Server) -> bool {
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

/// Behind this message comes the beginning of a Describe of a portal.
#[inline]
fn portal_is_described_next(header: FrameHeader, input: &[u8]) -> bool {
    let next = header.total();
    input.get(next) == Some(&tag::DESCRIBE) && input.get(next + FrameHeader::SIZE) == Some(&b'P')
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
const MAX_NAME: usize = 8 * 1024;
/// Longest Parse of an unnamed statement that is kept until it is bound.
const MAX_UNNAMED: usize = 64 * 1024;
