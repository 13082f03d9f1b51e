//! Statements prepared by SQL (PREPARE), which live under the client's own names on a server connection, and
//! the client's protocol statements where SQL means them by name (EXECUTE, DEALLOCATE).
//!
//! What a text names is seen to before it is sent: foreign statements of that name are removed, the client's
//! own prepared. What became of them is asked when the transaction has ended, like everything else of a
//! session: `pg_prepared_statements` tells.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::sql::{Sign, Signs, StatementNames, prepare_text};

use super::prepared::names_are_unknown;
use super::server_names::write_parse;
use super::state::Look;
use super::{Asks, Expected, Kind, Patch, PinReason, Session, Subject};
use crate::server::Server;
use crate::settings::{Policy, StateKind};

/// Statements by the name that SQL knows them by.
#[derive(Debug, Default)]
pub struct SqlStatements {
    by_name: BTreeMap<Box<[u8]>, Entry>,
    bytes: usize,
    /// What Howdah has sent on its own account, in order.
    under_way: VecDeque<Errand>,
}

/// A message of Howdah's about a name.
#[derive(Debug)]
struct Errand {
    name: Box<[u8]>,
    /// What it was before.
    before: Option<Entry>,
    /// The batch whose fate it shares.
    batch: u32,
}

/// What a name stands for, and since when; see [`StatementRegistry::now`](super::StatementRegistry::now).
#[derive(Clone, Debug)]
struct Entry {
    definition: Definition,
    since: u64,
}

/// Where a name comes from, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Definition {
    /// PREPARE: the whole statement.
    Sql(Arc<[u8]>),
    /// A Parse message: text and parameter types.
    Protocol(Arc<super::Statement>),
    /// Not known: made by somebody else's Parse.
    Foreign,
}

impl SqlStatements {
    fn insert(&mut self, name: &[u8], definition: Definition, since: u64) {
        self.remove(name);
        self.bytes += cost(name, &definition);
        self.by_name.insert(name.into(), Entry { definition, since });
    }

    fn remove(&mut self, name: &[u8]) {
        drop(self.take(name));
    }

    fn take(&mut self, name: &[u8]) -> Option<Definition> {
        let removed = self.by_name.remove(name).map(|entry| entry.definition);
        self.bytes -= removed.as_ref().map_or(0, |definition| cost(name, definition));
        removed
    }

    /// The statements of PREPARE.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.values().filter_map(|entry| match &entry.definition {
            Definition::Sql(text) => Some(&**text),
            Definition::Protocol(_) | Definition::Foreign => None,
        })
    }

    /// There is one of this name.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// DEALLOCATE ALL or DISCARD ALL has happened.
    pub fn clear(&mut self) {
        self.by_name.clear();
        self.bytes = 0;
        for errand in &mut self.under_way {
            errand.before = None;
        }
    }

    /// A message about this name is sent that makes it `after`.
    fn send(&mut self, name: &[u8], after: Option<Entry>, batch: u32) {
        let before = self.by_name.get(name).cloned();
        self.under_way.push_back(Errand { name: name.into(), before, batch });
        self.put(name, after);
    }

    /// Whether this name is there depends on the fate of a batch before `batch`.
    pub(super) fn is_in_doubt(&self, name: &[u8], batch: u32) -> bool {
        self.under_way.iter().any(|errand| errand.batch != batch && *errand.name == *name)
    }

    /// The same of any name.
    fn are_in_doubt(&self, batch: u32) -> bool {
        self.under_way.iter().any(|errand| errand.batch != batch)
    }

    /// The next of these messages has been carried out.
    pub(super) fn sent(&mut self) {
        self.under_way.pop_front();
    }

    /// The next `count` of them have been dropped with their batch: each name is what it was before the first.
    pub(super) fn dropped(&mut self, count: usize) {
        let dropped: Vec<_> = self.under_way.drain(..count.min(self.under_way.len())).collect();
        for Errand { name, before, .. } in dropped.into_iter().rev() {
            self.put(&name, before);
        }
    }

    fn put(&mut self, name: &[u8], entry: Option<Entry>) {
        match entry {
            Some(Entry { definition, since }) => self.insert(name, definition, since),
            None => self.remove(name),
        }
    }

    fn get(&self, name: &[u8]) -> Option<&Definition> {
        self.by_name.get(name).map(|entry| &entry.definition)
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl Session {
    /// A text with these signs is about to be sent: what it may mean by name is made to be there, and nothing
    /// else of that name.
    #[cold]
    pub(super) fn prepare_names(
        &mut self,
        server: &mut Server,
        signs: &Signs,
        text: &[u8],
        patch: &mut Patch,
    ) {
        if server.outstanding.has_failed() || !self.rules.follows_state() {
            return;
        }
        if signs.has(Sign::PreparedView) {
            return self.show_all(server, patch);
        }
        if signs.has(Sign::Opaque) || self.rules.always_asks() {
            self.sync_all(server, patch);
        }
        if [Sign::Prepare, Sign::Execute, Sign::Deallocate].into_iter().any(|sign| signs.has(sign)) {
            for statement in StatementNames::of(text) {
                self.ensure_name(server, &statement.name, patch);
            }
        }
    }

    /// What this text means by name depends on the fate of something that has not been answered yet.
    pub(super) fn names_in_doubt(&self, server: &Server, signs: &Signs, text: &[u8]) -> bool {
        let has = |any: &[Sign]| any.iter().any(|sign| signs.has(*sign));
        let all = has(&[Sign::PreparedView, Sign::Opaque]) || self.rules.always_asks();
        if !self.rules.follows_state() || !all && !has(&[Sign::Prepare, Sign::Execute, Sign::Deallocate]) {
            return false;
        }
        let batch = server.outstanding.batch();
        if server.outstanding.is_clearing() || names_are_unknown(server) {
            return true;
        }
        if all {
            let own = self.statements.as_ref().is_some_and(|statements| statements.are_in_doubt(batch));
            return own || server.sql.are_in_doubt(batch);
        }
        StatementNames::of(text).any(|statement| self.is_in_doubt(server, &statement.name))
    }

    /// The same before a simple query: what it takes is a batch of its own, whose failure must not keep the
    /// query from being carried out.
    pub(super) fn prepare_names_of_query(
        &mut self,
        server: &mut Server,
        signs: &Signs,
        text: &[u8],
        patch: &mut Patch,
    ) {
        let (within, before) = (server.outstanding.wants_sync(), patch.to_server.len());
        self.prepare_names(server, signs, text, patch);
        if patch.to_server.len() > before && !within {
            frontend::write_sync(&mut patch.to_server);
            server.outstanding.push(Expected { subject: Subject::Attempt, ..Expected::ours(Kind::Sync) });
        }
    }

    /// A message of the extended protocol means this name, which is none of those made virtual.
    pub(super) fn prepare_name(&mut self, server: &mut Server, name: &[u8], patch: &mut Patch) {
        if self.rules.follows_state() && (self.sql.is_some() || !server.sql.is_empty()) {
            self.ensure_name(server, name, patch);
        }
    }

    /// The client closes this name in a transaction that has failed: nothing can be prepared there, and there is no
    /// way back.
    pub(super) fn forget_name(&mut self, server: &mut Server, name: &[u8]) {
        if let Some(sql) = &mut self.sql {
            sql.remove(name);
        }
        server.sql.send(name, None, server.outstanding.batch());
        server.outstanding.push(Expected { subject: Subject::SqlName, ..Expected::theirs(Kind::Close) });
    }

    /// What the client has under this name, known to SQL or not.
    fn definition(&self, name: &[u8]) -> Option<Definition> {
        self.entry(name).map(|entry| entry.definition)
    }

    fn entry(&self, name: &[u8]) -> Option<Entry> {
        if let Some(entry) = self.sql.as_ref().and_then(|sql| sql.by_name.get(name)) {
            return Some(entry.clone());
        }
        let (statement, told) = self.statements.as_ref()?.resolve(name)?;
        Some(Entry { definition: Definition::Protocol(Arc::clone(statement)), since: told.since })
    }

    fn ensure_name(&mut self, server: &mut Server, name: &[u8], patch: &mut Patch) {
        let wanted = self.entry(name);
        match (server.sql.by_name.get(name), &wanted) {
            (None, None) => return,
            // What was prepared before may be out of date, which for this client it must not be.
            (Some(there), Some(wanted))
                if there.definition == wanted.definition && there.since >= wanted.since =>
            {
                return;
            }
            (Some(_), _) => close(server, name, patch),
            (None, Some(_)) => {}
        }
        let Some(wanted) = wanted else { return };
        if server.sql.by_name.len() >= self.rules.max_prepared_statements.max(1) as usize {
            self.close_foreign(server, patch);
        }
        match &wanted.definition {
            Definition::Sql(text) => run_own(server, text, Subject::SqlName, patch),
            Definition::Protocol(statement) => {
                write_parse(name, &statement.definition, &mut patch.to_server);
                push_about_name(server, Kind::Parse);
            }
            Definition::Foreign => return,
        }
        let now = self.rules.registry.now();
        server.sql.send(name, Some(Entry { since: now, ..wanted }), server.outstanding.batch());
        // If that fails the name is not there, and the client has to see it so.
        server.doubts.add(Asks::STATEMENTS, b"");
    }

    fn close_foreign(&self, server: &mut Server, patch: &mut Patch) {
        let foreign = |name: &[u8], there: &Entry| self.definition(name).as_ref() != Some(&there.definition);
        let names: Vec<Box<[u8]>> = server
            .sql
            .by_name
            .iter()
            .filter(|(name, there)| foreign(name, there))
            .map(|(n, _)| n.clone())
            .collect();
        for name in names {
            close(server, &name, patch);
        }
    }

    /// All that the client has by SQL is there, and nothing else.
    fn sync_all(&mut self, server: &mut Server, patch: &mut Patch) {
        self.close_foreign(server, patch);
        let names: Vec<Box<[u8]>> = self.sql.iter().flat_map(|sql| sql.by_name.keys().cloned()).collect();
        for name in names {
            self.ensure_name(server, &name, patch);
        }
    }

    /// `pg_prepared_statements` is to show what the client has, by its names, and nothing else.
    fn show_all(&mut self, server: &mut Server, patch: &mut Patch) {
        self.sync_all(server, patch);
        for id in server.statements.all_settled() {
            super::server_names::send_close(server, id, patch);
        }
        let names: Vec<Box<[u8]>> =
            self.statements.iter().flat_map(|statements| statements.names()).collect();
        for name in names {
            self.ensure_name(server, &name, patch);
        }
    }

    /// What the server says is prepared there by SQL's names.
    pub(super) fn learn_statements(&mut self, server: &mut Server, look: &Look) {
        if server.doubts.has(Asks::STATEMENTS) {
            // More has been sent since it was asked; it will be asked again.
            return;
        }
        let gone: Vec<Box<[u8]>> =
            server.sql.by_name.keys().filter(|name| !look.statements.contains_key(*name)).cloned().collect();
        for name in gone {
            let own = self.definition(&name);
            // What was there under a name of the client's need not have been the client's.
            if server.sql.take(&name) != own {
                continue;
            }
            if let Some(sql) = &mut self.sql {
                sql.remove(&name);
            }
            if let Some(statements) = &mut self.statements {
                statements.remove(&name);
            }
        }
        let now = self.rules.registry.now();
        for (name, text) in &look.statements {
            let known = server.sql.get(name);
            // It was there before this client came: to have it, the client would have had to name it.
            if known == Some(&Definition::Foreign) {
                continue;
            }
            let definition = match text {
                // A name of the protocol's was given away by Parse; it is the client's, or was there before.
                None => {
                    if known.is_none() {
                        server.sql.insert(name, Definition::Foreign, 0);
                    }
                    continue;
                }
                Some(text) => match prepare_text(text, name) {
                    Some(own) => Definition::Sql(own.into()),
                    None => {
                        self.pinned = Some(PinReason::StateUncarried);
                        continue;
                    }
                },
            };
            if known == Some(&definition) {
                continue;
            }
            server.sql.insert(name, definition.clone(), now);
            if self.rules.state.policy.of(StateKind::Statements) == Policy::Warn {
                continue;
            }
            // The name was taken from what the protocol had under it before it was given away again.
            if let Some(statements) = &mut self.statements {
                statements.remove(name);
            }
            let own = self.sql.get_or_insert_default();
            own.insert(name, definition, now);
            if own.bytes > MAX_BYTES {
                self.pinned = Some(PinReason::LargeStatement);
            }
        }
        if self.sql.as_ref().is_some_and(|sql| sql.is_empty()) {
            self.sql = None;
        }
    }
}

/// Nobody's session any more: what is there is foreign to whoever comes.
pub(super) fn forget_statements(server: &mut Server, look: &Look) {
    server.sql.by_name.clear();
    server.sql.bytes = 0;
    for (name, text) in &look.statements {
        // What was known under this name may have given way to another since.
        let text = text.as_deref().and_then(|text| prepare_text(text, name));
        server.sql.insert(name, text.map_or(Definition::Foreign, |text| Definition::Sql(text.into())), 0);
    }
}

fn close(server: &mut Server, name: &[u8], patch: &mut Patch) {
    frontend::write_close(&mut patch.to_server, TargetKind::Statement, name);
    push_about_name(server, Kind::Close);
    server.sql.send(name, None, server.outstanding.batch());
}

/// A statement without parameters, by the extended protocol: it leaves the unnamed statement alone, and fits
/// into a batch that is open.
pub(super) fn run_own(server: &mut Server, text: &[u8], subject: Subject, patch: &mut Patch) {
    let out = &mut patch.to_server;
    // What an earlier one has left that failed half way.
    frontend::write_close(out, TargetKind::Statement, OWN);
    frontend::write_parse(out, OWN, text, &[]);
    frontend::write_bind_header(out, OWN, OWN, NO_PARAMETERS.len()).expect("the names are short");
    out.extend_from_slice(&NO_PARAMETERS);
    frontend::write_execute(out, OWN, 0);
    frontend::write_close(out, TargetKind::Portal, OWN);
    frontend::write_close(out, TargetKind::Statement, OWN);
    for kind in [Kind::Close, Kind::Parse, Kind::Bind] {
        server.outstanding.push(Expected::ours(kind));
    }
    server.outstanding.push(Expected { subject, ..Expected::ours(Kind::Execute) });
    for kind in [Kind::Close, Kind::Close] {
        server.outstanding.push(Expected::ours(kind));
    }
}

/// What becomes of the name depends on whether this message is carried out.
fn push_about_name(server: &mut Server, kind: Kind) {
    server.outstanding.push(Expected { subject: Subject::SqlName, ..Expected::ours(kind) });
}

fn cost(name: &[u8], definition: &Definition) -> usize {
    let text = match definition {
        Definition::Sql(text) => text.len(),
        Definition::Protocol(_) | Definition::Foreign => 0,
    };
    name.len() + text + OVERHEAD
}

/// Statement and portal of Howdah's own errands.
const OWN: &[u8] = b"HOWDAH_own";
/// No parameter formats, no parameters, no result formats.
const NO_PARAMETERS: [u8; 6] = [0; 6];
const OVERHEAD: usize = 128;
/// What one client may keep here; with more it stays on its server connection.
const MAX_BYTES: usize = 16 * 1024 * 1024;
