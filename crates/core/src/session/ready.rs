//! When does the client hear that it is ready?

use howdah_wire::backend::{self, ReadyForQuery, TransactionStatus};

use super::learn::looked;
use super::outstanding::Doubt;
use super::relay_server::Reply;
use super::{Asks, Patch, Session, Subject};
use crate::facts::CloseReason;
use crate::server::Server;
use crate::settings::PoolMode;

impl Session {
    /// Something of this client's may have been reset that is to have the client's own start value: on a direct
    /// connection that is so, and told, before ReadyForQuery.
    #[cold]
    pub(super) fn must_be_set_right(&self, server: &Server) -> bool {
        let asks = self.is_behind() || self.may_be_reset(server);
        server.outstanding.head_corrects()
            || server.look.is_some()
            || asks && server.is_settled() && !self.is_mid_message()
    }

    /// The server is about to be asked whether something was reset that the client has a start value of.
    pub(super) fn may_be_reset(&self, server: &Server) -> bool {
        let role = self.resets_role && server.doubts.has(Asks::ROLE);
        self.start.is_some() && server.doubts.is_due() && (role || server.doubts.has(Asks::SETTINGS))
    }

    /// The client is told that it is ready once it is.
    #[cold]
    pub(super) fn give_awaited_ready(&mut self, server: &Server, patch: &mut Patch) {
        if self.must_be_set_right(server) {
            return;
        }
        self.ready_awaits = false;
        let status = server.outstanding.status();
        if status != TransactionStatus::Idle || !self.withholds(server) {
            backend::write_ready_for_query(&mut patch.to_client, status);
        }
    }
}

pub(super) fn ready(
    server: &mut Server,
    session: Option<&mut Session>,
    body: &[u8],
    patch: &mut Patch,
) -> Result<Reply, CloseReason> {
    let status = ReadyForQuery::parse(body).map_err(|_| CloseReason::ServerProtocol)?.status;
    let correcting = server.outstanding.is_correcting();
    let expected = server.outstanding.ready(status).map_err(|Doubt| CloseReason::ServerProtocol)?;
    if expected.subject == Subject::Look {
        looked(server, session, patch);
        return Ok(Reply::Swallow);
    }
    let Some(session) = session else { return Ok(Reply::Swallow) };
    if correcting && !expected.ours {
        // The client is ready when it has its own start values.
        server.ready_due = true;
        return Ok(Reply::Swallow);
    }
    let corrected = expected.subject == Subject::Correction && std::mem::take(&mut server.ready_due);
    if expected.ours && !corrected {
        return Ok(Reply::Swallow);
    }
    if status == TransactionStatus::Idle && server.doubts.is_none() && server.look.is_none() {
        server.meaning_trail.clear();
    }
    if server.tables_changed && status == TransactionStatus::Idle {
        server.tables_changed = false;
        session.rules.registry.tables_changed();
    }
    server.tally.queries += 1;
    server.tally.transactions += u32::from(status == TransactionStatus::Idle);
    if status != TransactionStatus::Idle && session.rules.mode == PoolMode::Statement {
        return Err(CloseReason::TransactionInStatementMode);
    }
    let in_vain = std::mem::take(&mut server.corrected_in_vain);
    if (!corrected || in_vain) && session.start.is_some() && session.must_be_set_right(server) {
        session.ready_awaits = true;
        return Ok(Reply::Swallow);
    }
    if status == TransactionStatus::Idle
        && (session.has_channels() || !server.doubts.is_none())
        && session.withholds(server)
    {
        return Ok(Reply::Swallow);
    }
    Ok(Reply::Forward)
}
