//! What became of the names by which SQL means prepared statements: `pg_prepared_statements` tells.

use howdah_wire::sql::prepare_text;

use super::sql_statements::{Definition, Held};
use super::state::Look;
use super::{Asks, PinReason, Session};
use crate::server::Server;
use crate::settings::{Policy, StateKind};

impl Session {
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
                    server.sql.expose(name);
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
                if server.sql.entry(name).is_some_and(|entry| entry.held != Held::Statement) {
                    server.sql.insert(name, definition, now);
                }
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

/// What one client may keep here; with more it stays on its server connection.
const MAX_BYTES: usize = 16 * 1024 * 1024;
