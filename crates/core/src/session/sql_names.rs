//! The names by which SQL means prepared statements (PREPARE, EXECUTE, DEALLOCATE): what a text means by them is there
//! when it arrives.
//!
//! What a text names is seen to before it is sent: foreign statements of that name are removed, the client's
//! own prepared. What became of them is asked when the transaction has ended, like everything else of a
//! session: `pg_prepared_statements` tells.

use std::sync::Arc;

use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::sql::{Sign, Signs, StatementNames, prepare_text};

use super::prepared::names_are_unknown;
use super::server_names::write_parse;
use super::sql_statements::{Definition, Entry};
use super::state::Look;
use super::{Asks, Expected, Kind, Patch, PinReason, Session, Subject};
use crate::server::Server;
use crate::settings::{Policy, StateKind};

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
        if let Some(entry) = self.sql.as_ref().and_then(|sql| sql.entry(name)) {
            return Some(entry.clone());
        }
        let (statement, told) = self.statements.as_ref()?.resolve(name)?;
        Some(Entry { definition: Definition::Protocol(Arc::clone(statement)), since: told.since })
    }

    fn ensure_name(&mut self, server: &mut Server, name: &[u8], patch: &mut Patch) {
        let wanted = self.entry(name);
        match (server.sql.entry(name), &wanted) {
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
        if server.sql.len() >= self.rules.max_prepared_statements.max(1) as usize {
            self.close_foreign(server, patch);
        }
        match &wanted.definition {
            Definition::Sql(text) => server.run(Subject::SqlName, text, &mut patch.to_server),
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
            .entries()
            .filter(|(name, there)| foreign(name, there))
            .map(|(n, _)| n.into())
            .collect();
        for name in names {
            close(server, &name, patch);
        }
    }

    /// All that the client has by SQL is there, and nothing else.
    fn sync_all(&mut self, server: &mut Server, patch: &mut Patch) {
        self.close_foreign(server, patch);
        let names: Vec<Box<[u8]>> =
            self.sql.iter().flat_map(|sql| sql.entries()).map(|(name, _)| name.into()).collect();
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
        let gone: Vec<Box<[u8]>> = server
            .sql
            .entries()
            .map(|(name, _)| name)
            .filter(|name| !look.statements.contains_key(*name))
            .map(Into::into)
            .collect();
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
            let known = server.sql.definition(name);
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
            if own.bytes() > MAX_BYTES {
                self.pinned = Some(PinReason::LargeStatement);
            }
        }
        if self.sql.as_ref().is_some_and(|sql| sql.is_empty()) {
            self.sql = None;
        }
    }
}

fn close(server: &mut Server, name: &[u8], patch: &mut Patch) {
    frontend::write_close(&mut patch.to_server, TargetKind::Statement, name);
    push_about_name(server, Kind::Close);
    server.sql.send(name, None, server.outstanding.batch());
}

/// What becomes of the name depends on whether this message is carried out.
fn push_about_name(server: &mut Server, kind: Kind) {
    server.outstanding.push(Expected { subject: Subject::SqlName, ..Expected::ours(kind) });
}

/// What one client may keep here; with more it stays on its server connection.
const MAX_BYTES: usize = 16 * 1024 * 1024;
