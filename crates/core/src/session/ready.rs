//! When does the client hear that it is ready?
//!
//! Once its ReadyForQuery has come, and it has its own start values again where something was reset ([`ReadyAwaits`]),
//! as on a direct connection, and what the listener connection has for it has been heard (`channels`).

use howdah_wire::backend::{self, ReadyForQuery, TransactionStatus};

use super::learn::looked;
use super::outstanding::Doubt;
use super::relay_server::Reply;
use super::{Asks, Patch, Session, Subject};
use crate::facts::CloseReason;
use crate::server::Server;
use crate::settings::PoolMode;

/// The client's ReadyForQuery has come and the client has not heard of it, since it is to have its own start values
/// first. It is never two of them that wait: what the client says next is answered after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReadyAwaits {
    /// None does.
    #[default]
    Nothing,
    /// Right behind the client's query is one that corrects it, whose ReadyForQuery stands for the client's.
    Correction,
    /// The same, and that one was cancelled in place of what it corrects: there is more to be set right.
    CorrectionInVain,
    /// The server is asked what it has, or given what it lacks, and the client hears of it when that is done.
    SettingRight,
}

impl Session {
    /// Something of this client's may have been reset that is to have the client's own start value: on a direct
    /// connection that is so, and told, before ReadyForQuery.
    #[cold]
    fn must_be_set_right(&self, server: &Server) -> bool {
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

    /// The query that was to correct the client's has been cancelled.
    pub(super) fn was_corrected_in_vain(&mut self) {
        if self.ready_awaits == ReadyAwaits::Correction {
            self.ready_awaits = ReadyAwaits::CorrectionInVain;
        }
    }

    /// ReadyForQuery of a query that corrects the client's stands for the client's own.
    fn awaits_correction(&self) -> bool {
        matches!(self.ready_awaits, ReadyAwaits::Correction | ReadyAwaits::CorrectionInVain)
    }

    /// What was to be set right has been, perhaps: the client is told that it is ready once it is.
    #[cold]
    pub(super) fn give_awaited_ready(&mut self, server: &Server, patch: &mut Patch) {
        if self.must_be_set_right(server) {
            return;
        }
        self.ready_awaits = ReadyAwaits::Nothing;
        let status = server.outstanding.status();
        if status != TransactionStatus::Idle || !self.withholds(server) {
            backend::write_ready_for_query(&mut patch.to_client, status);
        }
    }
}

/// ReadyForQuery has come.
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
    if !expected.ours {
        server.vain.forget();
    }
    if correcting && !expected.ours {
        session.ready_awaits = ReadyAwaits::Correction;
        return Ok(Reply::Swallow);
    }
    let stands_in = expected.subject == Subject::Correction && session.awaits_correction();
    if expected.ours && !stands_in {
        return Ok(Reply::Swallow);
    }
    let is_right = stands_in && std::mem::take(&mut session.ready_awaits) == ReadyAwaits::Correction;
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
    if !is_right && session.start.is_some() && session.must_be_set_right(server) {
        session.ready_awaits = ReadyAwaits::SettingRight;
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
