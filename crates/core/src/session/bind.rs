//! Bind: what its name stands for, and what carrying it out may do to the session.
//!
//! Nearly all statements do nothing that matters ([`Statement::signs`] says so, and of the unnamed one its Parse has
//! told): of these only the name is looked up, once, and written anew. What others bring about is seen to before the
//! Bind is sent.

use std::sync::Arc;

use howdah_wire::FrameHeader;
use howdah_wire::frontend::{self, BindNames, tag};
use howdah_wire::sql::{Sign, Signs};

use super::prepared::{MAX_NAME, body_so_far, more_or_malformed, wait};
use super::recall::Recall;
use super::relay_client::{Step, malformed};
use super::rename::{MISSING_UNNAMED, REFUSED};
use super::server_names::ServerName;
use super::sql_names::Wanted;
use super::statements::Told;
use super::{Expected, Kind, Patch, Session, Statement, Subject, Verdict};
use crate::server::Server;

/// What executing a bound statement may do.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// It may commit.
    pub(super) commits: bool,
    /// It may make all prepared statements vanish.
    pub(super) clears: bool,
    /// What has to follow an Execute of the unnamed portal so that RESET returns to the client's own start values.
    pub(super) correction: Vec<u8>,
}

/// What a name stands for.
pub(super) struct Meant {
    /// By the client's names, and what the client was told of it.
    pub(super) statement: Option<(Arc<Statement>, Told)>,
    /// What executing it may do; `None`: nothing that matters to this client.
    pub(super) signs: Option<Arc<Signs>>,
}

impl Session {
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
        if self.is_in_doubt(server, names.statement) {
            return wait(server);
        }
        let Meant { statement, signs } = self.meant(names.statement);
        let signs = signs.as_deref();
        if let Some(signs) = signs
            && let Some(step) = self.must_wait(server, names.statement, signs, header, input)
        {
            return step;
        }
        if header.total() > Recall::MAX {
            self.renew_what_is_doubtful(server, names.statement, patch);
        } else if input.len() < header.total() {
            return Step::Hold;
        }
        if let Some(signs) = signs.filter(|signs| !signs.is_plain() || self.heeds_all) {
            self.prepare_names(server, signs, &self.text_of(names.statement), patch);
        }
        let target = match statement {
            // It must not find itself under another name.
            Some((statement, _)) if self.shows_statements(server, signs) => ServerName::Own(statement),
            Some((statement, told))
                if portal_is_described_next(header, input) && !server.outstanding.has_failed() =>
            {
                self.name_to_be_described(server, names.statement, statement, told, patch)
            }
            known => self.server_name(server, names.statement, known, patch),
        };
        let subject = match &target {
            ServerName::Unknown => return wait(server),
            ServerName::Virtual(statement) if self.recall.is_some() => {
                self.remember(header, input);
                Subject::Proof(statement.id)
            }
            ServerName::Virtual(statement) => Subject::Used(statement.id),
            ServerName::Another => Subject::Another,
            ServerName::AsIs | ServerName::Own(_) | ServerName::Missing => Subject::None,
        };
        server.tally.binds += u64::from(!names.statement.is_empty());
        let taken = FrameHeader::SIZE + names.rest_offset;
        let rest = header.total().saturating_sub(taken);
        if (signs.is_some() || self.heeds_all)
            && let Some(error) = self.objection_to(server, names.statement, &target, signs, patch)
        {
            self.bound = Effects::default();
            self.recall = None;
            Session::note_refused(server, Kind::Bind, error);
            return match frontend::write_bind_header(&mut patch.to_server, names.portal, REFUSED, rest) {
                Ok(()) => Step::Replace(taken),
                Err(_) => malformed(header.tag, patch),
            };
        }
        let mut bound = self.effects(server, &names, &target, signs, patch);
        if !names.portal.is_empty() {
            self.portal_commits |= bound.commits;
            bound.correction = std::mem::take(&mut self.bound.correction);
        }
        self.bound = bound;
        server.doubts.resume();
        if !server.meaning_trail.is_empty() {
            self.add_to_trail(server, names.statement, input.get(taken..).unwrap_or_default());
        }
        if signs.is_some_and(|signs| self.names_by_value(signs)) {
            server.doubts.add_custom(input.get(taken..).unwrap_or_default());
        }
        server.outstanding.push(Expected { subject, ..Expected::theirs(Kind::Bind) });
        let name = match &target {
            ServerName::AsIs if patch.to_server.is_empty() => return Step::Pass,
            // What was put into the patch has to go before it.
            ServerName::AsIs | ServerName::Own(_) => names.statement,
            ServerName::Virtual(statement) => statement.name(),
            ServerName::Missing | ServerName::Another | ServerName::Unknown => MISSING_UNNAMED,
        };
        match frontend::write_bind_header(&mut patch.to_server, names.portal, name, rest) {
            Ok(()) => Step::Replace(taken),
            Err(_) => malformed(header.tag, patch),
        }
    }

    pub(super) fn meant(&self, name: &[u8]) -> Meant {
        let statement = if name.is_empty() { None } else { self.known(name) };
        let signs = match &statement {
            None if name.is_empty() => self.unnamed.signs.clone(),
            None => None,
            Some((statement, _)) => self.signs_of(statement),
        };
        let signs = self.signs_heeded(signs);
        Meant { statement, signs }
    }

    /// The same where every text matters.
    pub(super) fn signs_heeded(&self, signs: Option<Arc<Signs>>) -> Option<Arc<Signs>> {
        if self.heeds_all { signs.or_else(|| Some(Arc::default())) } else { signs }
    }

    /// It may set a setting whose name is among its parameters.
    fn names_by_value(&self, signs: &Signs) -> bool {
        signs.has(Sign::SettingUnknown) || signs.has(Sign::Opaque) || self.rules.always_asks()
    }

    /// What a statement with these signs does cannot be told yet.
    #[cold]
    fn must_wait(
        &self,
        server: &mut Server,
        name: &[u8],
        signs: &Signs,
        header: FrameHeader,
        input: &[u8],
    ) -> Option<Step> {
        if self.names_in_doubt(server, signs, &self.text_of(name)) {
            return Some(wait(server));
        }
        let waits =
            self.names_by_value(signs) && input.len() < header.total() && header.total() <= Verdict::MAX_HELD;
        waits.then_some(Step::Hold)
    }

    /// It shows what is prepared: all of it is prepared under the client's own names first.
    fn shows_statements(&self, server: &Server, signs: Option<&Signs>) -> bool {
        signs.is_some_and(|signs| signs.has(Sign::PreparedView))
            && self.rules.follows_state()
            && !server.outstanding.has_failed()
    }

    /// What executing it may do. Whatever it needs or changes is seen to.
    fn effects(
        &mut self,
        server: &mut Server,
        names: &BindNames<'_>,
        target: &ServerName,
        signs: Option<&Signs>,
        patch: &mut Patch,
    ) -> Effects {
        let (name, portal) = (names.statement, names.portal);
        match (target, signs) {
            (ServerName::Virtual(_), None) => Effects::default(),
            (ServerName::Virtual(statement), Some(signs)) => {
                self.heed(server, portal, signs, statement.text())
            }
            (ServerName::AsIs, signs) if name.is_empty() => {
                self.unnamed.bound();
                match signs {
                    Some(signs) => {
                        let text = self.text_of(name);
                        let effects = self.heed(server, portal, signs, &text);
                        Effects { commits: effects.commits || self.unnamed.commits, ..effects }
                    }
                    None => Effects { commits: self.unnamed.commits, ..Effects::default() },
                }
            }
            (ServerName::Own(statement), Some(signs)) => {
                self.heed(server, portal, signs, statement.text());
                Effects::unknown()
            }
            (ServerName::AsIs | ServerName::Own(_), _) => {
                self.prepare_name(server, name, Wanted::Statement, patch);
                self.raise(server, &Signs::unseen(), name);
                Effects::unknown()
            }
            (ServerName::Missing | ServerName::Another | ServerName::Unknown, _) => Effects::default(),
        }
    }

    /// A statement with these signs is executed.
    #[cold]
    fn heed(&mut self, server: &mut Server, portal: &[u8], signs: &Signs, text: &[u8]) -> Effects {
        let special = !signs.is_plain() || self.heeds_all;
        let correction = if special { self.raise_bound(server, portal, signs, text) } else { Vec::new() };
        Effects { commits: signs.has(Sign::Commits), clears: signs.has(Sign::Clears), correction }
    }

    /// What is bound may change, by its values, what was said about the meaning of statements, or take it back.
    #[cold]
    fn add_to_trail(&self, server: &mut Server, name: &[u8], values: &[u8]) {
        let Meant { statement, signs } = self.meant(name);
        if statement.is_none() && !name.is_empty() {
            return;
        }
        let text = self.text_of(name);
        Session::doubt_trail(server, &text);
        if signs.is_some_and(|signs| signs.has(Sign::Meaning)) {
            self.leave_trail(server, &text, values);
        }
    }

    /// The text that is executed under this name, as far as it is known.
    pub(super) fn text_of(&self, name: &[u8]) -> Vec<u8> {
        if name.is_empty() {
            return self.unnamed.text().to_vec();
        }
        self.known(name).map(|(statement, _)| statement.text().to_vec()).unwrap_or_default()
    }
}

impl Effects {
    /// Nothing can be ruled out. That it clears is left to its tag, though: it is rare, and waiting costs.
    fn unknown() -> Effects {
        Effects { commits: true, ..Effects::default() }
    }
}

/// Behind this message comes the beginning of a Describe of a portal.
#[inline]
fn portal_is_described_next(header: FrameHeader, input: &[u8]) -> bool {
    let next = header.total();
    input.get(next) == Some(&tag::DESCRIBE) && input.get(next + FrameHeader::SIZE) == Some(&b'P')
}
