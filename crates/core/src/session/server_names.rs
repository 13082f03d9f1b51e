//! What a client's statement name is on a server connection, and what has to be sent so that it is there.

use std::sync::Arc;

use howdah_wire::frontend::{self, TargetKind, tag};

use super::recall::Recall;
use super::server_statements::Need;
use super::statement::NAME_PREFIX;
use super::statements::Told;
use super::unnamed::Whereabouts;
use super::{Expected, Kind, Patch, Session, Statement, Subject};
use crate::server::Server;

/// What a client's statement name is on the server.
pub(in crate::session) enum ServerName {
    /// The same.
    AsIs,
    /// That of a text.
    Virtual(Arc<Statement>),
    /// The client's name for this text, which is there under it too.
    Own(Arc<Statement>),
    /// There is none, or none of this client's: it has to look as if there were none.
    Missing,
    /// That of a text that does not look there like what the client was told.
    Another,
    /// Not known before the server has answered.
    Unknown,
}

impl Session {
    /// `known`: what the client has under this name, and what it has to look like.
    pub(super) fn server_name(
        &mut self,
        server: &mut Server,
        name: &[u8],
        known: Option<(Arc<Statement>, Told)>,
        patch: &mut Patch,
    ) -> ServerName {
        match known {
            Some((statement, told)) => {
                let statement = self.renew(server, name, statement, patch);
                self.ensure(server, statement, told, patch)
            }
            None if name.is_empty() => self.unnamed_name(server, patch),
            None if name.starts_with(NAME_PREFIX) => ServerName::Missing,
            None => ServerName::AsIs,
        }
    }

    fn unnamed_name(&self, server: &mut Server, patch: &mut Patch) -> ServerName {
        match self.unnamed.whereabouts(self.id, &server.unnamed) {
            Whereabouts::Here => ServerName::AsIs,
            Whereabouts::Nowhere => ServerName::Missing,
            Whereabouts::Elsewhere(definition) => {
                write_parse(b"", definition, &mut patch.to_server);
                let batch = server.outstanding.batch();
                let subject = Subject::Unnamed(self.unnamed.carried(self.id, &mut server.unnamed, batch));
                server.outstanding.push(Expected { subject, ..Expected::ours(Kind::Parse) });
                ServerName::AsIs
            }
        }
    }

    /// What is bound is described in the same breath: whatever it looks like, the client is told, and that is
    /// what it has to look like from then on.
    pub(super) fn name_to_be_described(
        &mut self,
        server: &mut Server,
        name: &[u8],
        statement: Arc<Statement>,
        told: Told,
        patch: &mut Patch,
    ) -> ServerName {
        let statement = self.renew(server, name, statement, patch);
        if statement.shifts {
            // PostgreSQL 15 ends, and all sessions with it, if it has to describe a FETCH whose cursor is gone.
            return self.ensure(server, statement, told, patch);
        }
        let batch = server.outstanding.batch();
        if told.shape.is_some() && server.statements.need(statement.id, batch, told) == Need::Nothing {
            return ServerName::Virtual(statement);
        }
        let target = self.ensure(server, statement, Told { shape: None, ..told }, patch);
        if let ServerName::Virtual(statement) = &target
            && !server.outstanding.has_failed()
        {
            self.statements_mut().describing(name, Arc::clone(statement), batch);
            let subject = Subject::Description(statement.id);
            let expected = Expected { subject, client_op: true, ..Expected::ours(Kind::Describe) };
            server.outstanding.push(expected);
            frontend::write_describe(&mut patch.to_server, TargetKind::Statement, statement.name());
        }
        target
    }

    /// Sees to it that the statement will be there when the next message is carried out, and look as `told`.
    pub(super) fn ensure(
        &mut self,
        server: &mut Server,
        statement: Arc<Statement>,
        told: Told,
        patch: &mut Patch,
    ) -> ServerName {
        // Nothing has come of the batch so far: whatever fails can be done again.
        let first = || server.outstanding.begins_batch() && patch.to_server.is_empty();
        match server.statements.need(statement.id, server.outstanding.batch(), told) {
            Need::Nothing => return ServerName::Virtual(statement),
            Need::Answer => return ServerName::Unknown,
            Need::Another => return ServerName::Another,
            Need::Proof if first() => {
                self.recall = Some(Box::new(Recall::new(statement.id, self.rules.registry.now())));
                return ServerName::Virtual(statement);
            }
            Need::Proof if !self.rules.always_asks() || server.outstanding.has_failed() => {
                return ServerName::Virtual(statement);
            }
            Need::Describe if first() => {
                Session::ask_for_shape(server, &statement, true, patch);
                return ServerName::Unknown;
            }
            Need::Parse => self.evict(server, patch),
            Need::CloseAndParse | Need::Proof | Need::Describe => send_close(server, statement.id, patch),
        }
        self.send_parse(server, &statement, Expected::ours(Kind::Parse), patch);
        if told.shape.is_some() {
            Session::ask_for_shape(server, &statement, false, patch);
            return ServerName::Unknown;
        }
        ServerName::Virtual(statement)
    }

    pub(super) fn send_parse(
        &self,
        server: &mut Server,
        statement: &Arc<Statement>,
        expected: Expected,
        patch: &mut Patch,
    ) {
        write_parse(statement.name(), &statement.definition, &mut patch.to_server);
        server.statements.parse_sent(statement, server.outstanding.batch(), self.rules.registry.now());
        server.outstanding.push(Expected { subject: Subject::Statement(statement.id), ..expected });
        server.tally.server_parses += 1;
    }

    pub(super) fn evict(&mut self, server: &mut Server, patch: &mut Patch) {
        while let Some(id) = server.statements.eviction(self.rules.max_prepared_statements) {
            send_close(server, id, patch);
        }
    }
}

pub(super) fn send_close(server: &mut Server, id: u64, patch: &mut Patch) {
    frontend::write_close(&mut patch.to_server, TargetKind::Statement, &Statement::name_for(id));
    server.statements.close_sent(id);
    server.outstanding.push(Expected { subject: Subject::Statement(id), ..Expected::ours(Kind::Close) });
}

pub(super) fn write_parse(name: &[u8], definition: &[u8], out: &mut Vec<u8>) {
    write_parse_start(name, definition.len(), out);
    out.extend_from_slice(definition);
}

/// Tag, length and name of a Parse whose definition follows from elsewhere.
pub(super) fn write_parse_start(name: &[u8], definition_len: usize, out: &mut Vec<u8>) {
    let len = u32::try_from(4 + name.len() + 1 + definition_len).expect("lengths are checked when read");
    out.push(tag::PARSE);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(name);
    out.push(0);
}
