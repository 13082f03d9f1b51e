//! An error from the server: whose it is, and what its client hears of it.

use howdah_wire::FrameHeader;
use howdah_wire::backend::TransactionStatus;
use howdah_wire::error_response::{ErrorResponse, Severity};
use howdah_wire::sqlstate::SqlState;

use super::relay_server::{MAX_BODY, Reply, settle};
use super::shape::{another_shape, is_out_of_date, settle_description};
use super::{Asks, Kind, Patch, Session, Subject, rename};
use crate::facts::CloseReason;
use crate::server::Server;

/// ErrorResponse has come.
#[cold]
pub(super) fn error(
    server: &mut Server,
    mut session: Option<&mut Session>,
    header: FrameHeader,
    body: &[u8],
    patch: &mut Patch,
) -> Result<Reply, CloseReason> {
    let mut error = ErrorResponse::parse(body);
    let mut dropped = Vec::new();
    let attempting = server.outstanding.is_attempting();
    let asked = server.outstanding.fail(|entry| dropped.push(entry));
    let changing = asked.is_ok_and(|asked| asked.is_some_and(|asked| asked.client_op));
    let renamed = session
        .as_deref()
        .filter(|_| header.total() <= MAX_BODY)
        .and_then(|session| rename::with_client_names(session, &error, changing));
    let refused = asked.is_ok_and(|asked| asked.is_some_and(|asked| asked.subject == Subject::Refused));
    let refusal = if refused { server.refusals.pop_front() } else { None };
    // Of those that are dropped it is the first, if it is among them.
    let mut own = refused;
    let theirs = session.as_deref_mut().filter(|_| !attempting);
    let recall = theirs.and_then(|session| session.recall.take());
    let name = server.sql.dropped(dropped.iter().filter(|entry| entry.subject == Subject::SqlName).count());
    for entry in dropped {
        if entry.subject == Subject::Refused && std::mem::take(&mut own) {
            continue;
        }
        let session = session.as_deref_mut();
        match entry.subject.described() {
            Some(id) => settle_description(server, session.filter(|_| entry.client_op), id, false),
            None => settle(server, session, entry, None),
        }
    }
    if let Some(message) = &renamed {
        if let Some(kind) = asked.ok().flatten().map(|asked| asked.kind)
            && rename::is_about_unnamed(&error)
        {
            rename::give_unnamed_source(&mut error, kind);
        }
        error.message.clone_from(message);
    }
    if matches!(error.severity, Severity::Fatal | Severity::Panic) {
        server.last_error = Some(error);
        return Err(CloseReason::ServerClosed);
    }
    let Ok(Some(asked)) = asked else { return Err(CloseReason::ServerProtocol) };
    server.doubts.reconsider();
    match asked.subject {
        Subject::Used(id) | Subject::Proof(id) | Subject::Description(id) | Subject::FirstDescription(id)
            if is_out_of_date(&error) =>
        {
            server.statements.retire(id);
            if let Some(session) = session.as_deref_mut().filter(|session| !session.is_mid_message())
                && let Some(reply) = session.try_again(server, asked, recall.as_deref(), patch)
            {
                return reply;
            }
        }
        Subject::Another => {
            another_shape(server.outstanding.status()).write(&mut patch.to_client);
            return Ok(Reply::Swallow);
        }
        _ => {}
    }
    if (attempting || asked.subject == Subject::SqlName)
        && let (Some(session), Some(name)) = (session.as_deref_mut(), &name)
    {
        session.note_failure(name, error.code);
    }
    if attempting {
        if let Some(name) = name.filter(|_| session.is_some()) {
            server.vain.note(name, error);
        }
        return Ok(Reply::Swallow);
    }
    if server.note_refusal(asked.subject, &error) {
        return Ok(Reply::Swallow);
    }
    if !asked.ours {
        server.sql.expose_placeholders();
    }
    if !asked.ours
        && let Some(cause) = server.vain.cause_of(&error)
    {
        cause.write(&mut patch.to_client);
        return Ok(Reply::Swallow);
    }
    if asked.subject == Subject::Correction
        && asked.kind == Kind::Query
        && let Some(reply) = correction_failed(server, session, error.code)
    {
        return Ok(reply);
    }
    if let Some(refusal) = refusal {
        refusal.write(&mut patch.to_client);
        return Ok(Reply::Swallow);
    }
    if asked.ours && asked.kind == Kind::Query {
        // It was to make the connection fit for somebody: there is no telling what it is fit for now.
        server.last_error = Some(error);
        return Err(CloseReason::ServerUncleanable);
    }
    if renamed.is_none() {
        return Ok(Reply::Forward);
    }
    error.write(&mut patch.to_client);
    Ok(Reply::Swallow)
}

/// A correction has failed that is a query of its own. `None`: there is no telling why.
#[cold]
fn correction_failed(server: &mut Server, session: Option<&mut Session>, code: SqlState) -> Option<Reply> {
    let in_block = server.outstanding.status() != TransactionStatus::Idle;
    match code {
        SqlState::IN_FAILED_SQL_TRANSACTION => Some(Reply::Swallow),
        // Meant for what it corrects. What is missing is found out, and only then is the client ready.
        SqlState::QUERY_CANCELED => {
            if let Some(session) = session.filter(|_| !in_block) {
                session.was_corrected_in_vain();
            }
            server.doubts.add(Asks::SETTINGS, b"RESET");
            server.doubts.set_reset();
            Some(if in_block { Reply::Forward } else { Reply::Swallow })
        }
        _ => None,
    }
}
