//! The names by which SQL means prepared statements (PREPARE, EXECUTE, DEALLOCATE): what a text means by them is there
//! when it arrives.
//!
//! What a text names is seen to before it is sent: foreign statements of that name are removed, the client's
//! own prepared. Whatever cannot be prepared, since a table of it is gone, keeps nothing else from being there; what the
//! client hears of it is in `vain`. What became of the names is asked when the transaction has ended, like everything
//! else of a session (`learnt_names`).
//!
//! PostgreSQL looks the name up that an EXECUTE means as soon as that one is parsed, to tell what it returns.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::sql::{Head, Sign, Signs, StatementNames, Statements, Verb};

use super::prepared::names_are_unknown;
use super::server_names::write_parse;
use super::sql_statements::{Definition, Entry, Held};
use super::{Asks, Expected, Kind, Patch, Session, Subject};
use crate::server::Server;

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
        // To prepare something takes a snapshot, before which some of these have to come.
        let is_early = || server.outstanding.is_amid_transaction() && runs_nothing(text);
        if signs.has(Sign::Opaque) || self.rules.always_asks() && !is_early() {
            self.sync_all(server, named_first(text).as_deref(), patch);
        }
        if BY_NAME.into_iter().any(|sign| signs.has(sign)) {
            self.prepare_named_in(server, text, patch);
        }
    }

    fn prepare_named_in(&mut self, server: &mut Server, text: &[u8], patch: &mut Patch) {
        for (name, wanted) in names_in(text) {
            self.ensure_named(server, &name, wanted, patch);
        }
    }

    /// A statement with these signs is to be parsed or described here, and perhaps executed right behind that: what it
    /// means by name is prepared before, as long as that can be done in a batch of its own, and what an EXECUTE means in
    /// any case. False: that depends on the fate of something that has not been answered yet.
    pub(super) fn prepare_names_ahead(
        &mut self,
        server: &mut Server,
        signs: &Signs,
        text: &[u8],
        patch: &mut Patch,
    ) -> bool {
        if !self.rules.follows_state() || server.outstanding.has_failed() {
            return true;
        }
        let all = self.means_all(signs) && !server.outstanding.wants_sync();
        if !all && !signs.has(Sign::Execute) {
            return true;
        }
        if self.names_in_doubt(server, signs, text) {
            return false;
        }
        if all {
            self.prepare_names(server, signs, text, patch);
        } else {
            self.prepare_named_in(server, text, patch);
        }
        true
    }

    /// It may mean any name.
    fn means_all(&self, signs: &Signs) -> bool {
        signs.has(Sign::PreparedView) || signs.has(Sign::Opaque) || self.rules.always_asks()
    }

    /// What this text means by name depends on the fate of something that has not been answered yet.
    pub(super) fn names_in_doubt(&self, server: &Server, signs: &Signs, text: &[u8]) -> bool {
        let all = self.means_all(signs);
        if !self.rules.follows_state() || !all && !BY_NAME.into_iter().any(|sign| signs.has(sign)) {
            return false;
        }
        if server.outstanding.waits_for_client() {
            return false;
        }
        if names_are_unknown(server) {
            return true;
        }
        let batch = server.outstanding.batch();
        if all {
            let own = self.statements.as_ref().is_some_and(|statements| statements.are_in_doubt(batch));
            // How something is tried that is not there depends on whether a transaction is open.
            let tries = || server.outstanding.owes_ready() && self.lacks_some(server);
            return own || server.sql.are_in_doubt(batch) || tries();
        }
        StatementNames::of(text).any(|statement| self.is_in_doubt(server, &statement.name))
    }

    fn lacks_some(&self, server: &Server) -> bool {
        let mut own = self.sql.iter().flat_map(|sql| sql.entries());
        own.any(|(name, entry)| !self.is_there(server, name, Some(entry), Wanted::Statement))
    }

    /// A message of the extended protocol means this name, which is none of those made virtual.
    pub(super) fn prepare_name(
        &mut self,
        server: &mut Server,
        name: &[u8],
        wanted: Wanted,
        patch: &mut Patch,
    ) {
        if self.rules.follows_state() && (self.sql.is_some() || !server.sql.is_empty()) {
            self.ensure_named(server, name, wanted, patch);
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
    pub(super) fn definition(&self, name: &[u8]) -> Option<Definition> {
        self.entry(name).map(|entry| entry.definition)
    }

    fn entry(&self, name: &[u8]) -> Option<Entry> {
        if let Some(entry) = self.sql.as_ref().and_then(|sql| sql.entry(name)) {
            return Some(entry.clone());
        }
        let (statement, told) = self.statements.as_ref()?.resolve(name)?;
        let definition = Definition::Protocol(Arc::clone(statement));
        Some(Entry::new(definition, told.since))
    }

    /// Nothing need be sent so that the name is there as `own`.
    fn is_there(&self, server: &Server, name: &[u8], own: Option<&Entry>, wanted: Wanted) -> bool {
        match (server.sql.entry(name), own) {
            (None, None) => true,
            // What was prepared before may be out of date, which for this client it must not be.
            (Some(there), Some(own)) => {
                there.definition == own.definition && (wanted == Wanted::Name || there.since >= own.since)
            }
            (None, Some(_)) => wanted == Wanted::Statement && server.vain.has(name),
            (Some(_), None) => false,
        }
    }

    /// The same for a name that a message means.
    fn ensure_named(&mut self, server: &mut Server, name: &[u8], wanted: Wanted, patch: &mut Patch) {
        if server.sql.len() >= self.rules.max_prepared_statements.max(1) as usize {
            attempt(server, patch, |server, patch| self.close_foreign(server, patch));
        }
        let changed = self.rules.registry.changed();
        let may_fail = |own: Entry| wanted == Wanted::Statement && own.is_doubtful(changed);
        if self.entry(name).is_some_and(may_fail) {
            // The text may commit before it comes to that.
            self.ensure_apart(server, name, patch);
        } else {
            self.ensure_name(server, name, wanted, patch);
        }
    }

    fn ensure_name(&mut self, server: &mut Server, name: &[u8], wanted: Wanted, patch: &mut Patch) {
        let own = self.entry(name);
        if self.is_there(server, name, own.as_ref(), wanted) {
            return;
        }
        if let Some(sql) = self.sql.as_mut().filter(|_| wanted == Wanted::Statement) {
            sql.note_failure(name, None);
        }
        attempt(server, patch, |server, patch| {
            if server.sql.has(name) {
                close(server, name, patch);
            }
            let Some(own) = own else { return };
            let held = if wanted == Wanted::Name { Held::Placeholder } else { Held::Statement };
            match &own.definition {
                _ if held == Held::Placeholder => {
                    write_parse(name, PLACEHOLDER, &mut patch.to_server);
                    push_about_name(server, Kind::Parse);
                }
                Definition::Sql(text) => server.run(Subject::SqlName, text, &mut patch.to_server),
                Definition::Protocol(statement) => {
                    write_parse(name, &statement.definition, &mut patch.to_server);
                    push_about_name(server, Kind::Parse);
                }
                Definition::Foreign => return,
            }
            let entry = Entry { since: self.rules.registry.now(), held, ..own };
            server.sql.send(name, Some(entry), server.outstanding.batch());
            // If that fails the name is not there, and the client has to see it so.
            server.doubts.add(Asks::STATEMENTS, b"");
        });
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

    /// All that the client has by SQL is there, and nothing else. Left out is one that is `named` as such.
    fn sync_all(&mut self, server: &mut Server, named: Option<&[u8]>, patch: &mut Patch) {
        attempt(server, patch, |server, patch| self.close_foreign(server, patch));
        let entries = self.sql.iter().flat_map(|sql| sql.entries());
        let names = entries.map(|(name, _)| name).filter(|name| named != Some(name));
        self.ensure_all(server, names.map(Into::into).collect(), patch);
    }

    /// These are there. Left out is what could not be prepared before, unless tables have changed since; amid a batch,
    /// which it would end, also what tables that have changed may have put out of date.
    fn ensure_all(&mut self, server: &mut Server, names: Vec<Box<[u8]>>, patch: &mut Patch) {
        let (amid_batch, changed) = (server.outstanding.wants_sync(), self.rules.registry.changed());
        let made = self.rules.registry.made();
        let is_left_out = |own: &Entry| own.has_failed(made) || amid_batch && own.is_doubtful(changed);
        for name in names {
            if self.entry(&name).is_some_and(|own| !is_left_out(&own)) {
                self.ensure_apart(server, &name, patch);
            }
        }
    }

    /// One of them is, without harm to a transaction that is open. What is prepared stays, whatever becomes of a savepoint.
    fn ensure_apart(&mut self, server: &mut Server, name: &[u8], patch: &mut Patch) {
        if self.is_there(server, name, self.entry(name).as_ref(), Wanted::Statement) {
            return;
        }
        let open = server.outstanding.is_amid_transaction() && !server.outstanding.wants_sync();
        let run = |server: &mut Server, texts: &[&[u8]], patch: &mut Patch| {
            attempt(server, patch, |server, patch| {
                for text in texts.iter().filter(|_| open) {
                    server.run(Subject::None, text, &mut patch.to_server);
                }
            });
        };
        run(server, &[b"SAVEPOINT \"HOWDAH_own\""], patch);
        self.ensure_name(server, name, Wanted::Statement, patch);
        run(server, &[b"ROLLBACK TO \"HOWDAH_own\"", b"RELEASE \"HOWDAH_own\""], patch);
    }

    /// `pg_prepared_statements` is to show what the client has, by its names, and nothing else.
    fn show_all(&mut self, server: &mut Server, patch: &mut Patch) {
        self.sync_all(server, None, patch);
        attempt(server, patch, |server, patch| {
            for id in server.statements.all_settled() {
                super::server_names::send_close(server, id, patch);
            }
        });
        let names = self.statements.iter().flat_map(|statements| statements.names()).collect();
        self.ensure_all(server, names, patch);
    }

    /// What could not be prepared may be possible now.
    pub(super) fn retry_names(&mut self) {
        if let Some(sql) = &mut self.sql {
            sql.forget_failures();
        }
    }
}

/// The names in a text, each once. What comes first decides what is needed: it finds what the client has, and what comes
/// after it finds what that has left.
fn names_in(text: &[u8]) -> BTreeMap<Cow<'_, [u8]>, Wanted> {
    let mut names = BTreeMap::new();
    for statement in StatementNames::of(text) {
        let wanted = if statement.verb == Verb::Execute { Wanted::Statement } else { Wanted::Name };
        names.entry(statement.name).or_insert(wanted);
    }
    names
}

/// The name that the first statement of a text gives away or forgets, whatever it stands for.
fn named_first(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let first = matches!(Head::of(text), Head::Prepare | Head::Deallocate);
    StatementNames::of(text)
        .next()
        .filter(|statement| first && statement.verb != Verb::Execute)
        .map(|it| it.name)
}

/// No statement that is prepared is executed by this text, whatever functions do.
fn runs_nothing(text: &[u8]) -> bool {
    use Head::{Begin, Commit, Empty, Lock, Release, Reset, Rollback, RollbackTo, Savepoint, Set, Show};
    Statements::of(text).all(|head| {
        matches!(
            head,
            Begin | Commit | Empty | Lock | Release | Reset | Rollback | RollbackTo | Savepoint | Set | Show
        )
    })
}

/// What is needed of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// That it is given away, whatever it stands for.
    Name,
    /// What it stands for.
    Statement,
}

/// What is written here is a batch of its own, whose failure must not keep anything else from being carried out; unless
/// the client is amid one.
fn attempt(server: &mut Server, patch: &mut Patch, write: impl FnOnce(&mut Server, &mut Patch)) {
    let (within, before) = (server.outstanding.wants_sync(), patch.to_server.len());
    write(server, patch);
    if patch.to_server.len() > before && !within {
        frontend::write_sync(&mut patch.to_server);
        server.outstanding.push(Expected { subject: Subject::Attempt, ..Expected::ours(Kind::Sync) });
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

/// Signs of a text that means statements by their names.
const BY_NAME: [Sign; 3] = [Sign::Prepare, Sign::Execute, Sign::Deallocate];
/// What has the name of a statement where only that is needed: without parameters, and an error if executed.
const PLACEHOLDER: &[u8] = b"DEALLOCATE \"HOWDAH_out_of_date\"\0\0\0";
