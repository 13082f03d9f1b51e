//! The server's replies: whose they are.

use howdah_wire::FrameHeader;
use howdah_wire::backend::{CommandComplete, ParameterStatus, ReadyForQuery, TransactionStatus, tag};
use howdah_wire::error_response::{ErrorResponse, Severity};
use howdah_wire::sqlstate::SqlState;

use super::conversation::Rest;
use super::follow::{discarded, looked};
use super::outstanding::{Answer, Doubt};
use super::shape::{another_shape, is_out_of_date, settle_description};
use super::state::from_escaped;
use super::{Asks, Expected, Kind, Patch, Session, Subject, Verdict, rename};
use crate::facts::CloseReason;
use crate::server::Server;
use crate::settings::PoolMode;

/// The next bytes from a server connection, for the client it is linked to. Without a client every reply is
/// Howdah's own affair and skipped.
///
/// [`Verdict::Leave`]: this server connection has to be closed; [`Server::last_error`] may say more.
pub fn on_server(
    server: &mut Server,
    mut session: Option<&mut Session>,
    input: &[u8],
    patch: &mut Patch,
) -> Verdict {
    let mut passed = 0;
    loop {
        let left = input.get(passed..).unwrap_or_default();
        if server.rest.bytes > 0 {
            if passed > 0 && !server.rest.forward {
                return Verdict::Forward(passed);
            }
            let part = server.rest.bytes.min(left.len());
            server.rest.bytes -= part;
            if server.rest.bytes == 0
                && let Some(session) = session.as_deref_mut()
                && has_to_speak(server, session)
            {
                between_replies(server, session, patch);
            }
            if !server.rest.forward {
                return if part > 0 { Verdict::Skip(part) } else { Verdict::Hold };
            }
            passed += part;
            if server.rest.bytes > 0 || !patch.to_client.is_empty() || !patch.to_server.is_empty() {
                return forward_or_hold(passed);
            }
            continue;
        }
        let header = match FrameHeader::parse(left) {
            _ if server.broken.is_some() => return broken(server, passed),
            Ok(Some(header)) => header,
            Ok(None) => return forward_or_hold(passed),
            Err(_) => {
                server.broken = Some(CloseReason::ServerProtocol);
                return broken(server, passed);
            }
        };
        if is_row(header) && session.is_some() && server.outstanding.rows_are_theirs() {
            // They change nothing: as many as are there go on together.
            let rows = whole_rows(left);
            if rows > 0 {
                passed += rows;
                continue;
            }
        }
        // These two may be written anew: what stands before them has to be sent first.
        if passed > 0 && matches!(header.tag, tag::ERROR_RESPONSE | tag::PARAMETER_STATUS) {
            return Verdict::Forward(passed);
        }
        if left.len() < header.total()
            && (needs_body(header) || server.is_answering(header.tag) || server.is_describing(header))
        {
            return forward_or_hold(passed);
        }
        let body = left.get(FrameHeader::SIZE..header.total().min(left.len())).unwrap_or_default();
        let forward = match reply(server, session.as_deref_mut(), header, body, patch) {
            Ok(Reply::Forward) => session.is_some(),
            Ok(Reply::Swallow) => false,
            Err(reason) => {
                server.broken = Some(reason);
                return broken(server, passed);
            }
        };
        server.rest = Rest { bytes: header.total(), forward };
    }
}

/// What came before the end is still passed on.
fn broken(server: &Server, passed: usize) -> Verdict {
    match server.broken {
        Some(reason) if passed == 0 => Verdict::Leave(reason),
        _ => Verdict::Forward(passed),
    }
}

/// A reply has ended: Howdah may have something to say itself.
#[inline]
fn has_to_speak(server: &Server, session: &Session) -> bool {
    server.outstanding.head_is_given()
        || server.doubts.is_due()
        || session.is_behind()
        || session.ready_awaits
        || session.is_withheld()
        || server.outstanding.is_in_doubt()
}

/// A reply has ended: whatever Howdah has to say itself may be said now.
#[cold]
fn between_replies(server: &mut Server, session: &mut Session, patch: &mut Patch) {
    session.give(server, &mut patch.to_client);
    if server.doubts.is_due() || session.is_behind() {
        session.follow_up(server, patch);
    }
    if session.ready_awaits {
        session.give_awaited_ready(server, patch);
    }
    if session.is_withheld() {
        session.known_now(server, patch);
    }
    // Amid a message of the client's it would end up inside it.
    if server.outstanding.is_in_doubt() && !session.is_mid_message() {
        server.ask("", &mut patch.to_server);
    }
}

/// What becomes of a reply.
pub(super) enum Reply {
    Forward,
    Swallow,
}

fn reply(
    server: &mut Server,
    mut session: Option<&mut Session>,
    header: FrameHeader,
    body: &[u8],
    patch: &mut Patch,
) -> Result<Reply, CloseReason> {
    match header.tag {
        tag::ERROR_RESPONSE => return error(server, session, header, body, patch),
        tag::READY_FOR_QUERY => return ready(server, session, body, patch),
        tag::PARAMETER_STATUS => return Ok(parameter(server, session, body)),
        _ => {}
    }
    let expected = match server.outstanding.answer(header.tag) {
        Ok(Answer::Unasked) => return Ok(unasked(server, session, header, body)),
        Ok(Answer::Shape) => {
            return server.told(session, header, body, patch).ok_or(CloseReason::ServerProtocol);
        }
        Ok(Answer::Part(expected)) => expected,
        Ok(Answer::Done(expected)) => {
            answered(server, session.as_deref_mut(), expected);
            expected
        }
        Err(Doubt) => return Err(CloseReason::ServerProtocol),
    };
    if header.tag == tag::COMMAND_COMPLETE && header.total() <= SHORT_TAG && matters(body) {
        command_complete(server, session, expected, body);
    }
    if !expected.ours {
        return Ok(Reply::Forward);
    }
    if header.tag == tag::DATA_ROW {
        own_row(server, expected.subject, body).ok_or(CloseReason::ServerProtocol)?;
    }
    Ok(Reply::Swallow)
}

/// A row of an answer to a question of Howdah's own; `None`: it makes no sense.
#[cold]
fn own_row(server: &mut Server, subject: Subject, body: &[u8]) -> Option<()> {
    match subject {
        Subject::Look => server.look.as_mut()?.row(body),
        Subject::Trial => server.trial.as_mut()?.row(body),
        Subject::Survey => server.survey.as_mut()?.row(body),
        _ => Some(()),
    }
}

/// A notification comes to the client from the listener connection, if that is what its session is like.
#[cold]
fn unasked(server: &Server, session: Option<&mut Session>, header: FrameHeader, body: &[u8]) -> Reply {
    match session.filter(|session| header.tag == tag::NOTIFICATION_RESPONSE && session.hears_aside()) {
        Some(session) => {
            session.overhear(server, body);
            Reply::Swallow
        }
        None => Reply::Forward,
    }
}

fn ready(
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

/// The error is the answer to a question of Howdah's own.
fn is_refused_question(server: &mut Server, subject: Subject, error: &ErrorResponse) -> bool {
    match (subject, &mut server.look, &mut server.trial, &mut server.survey) {
        (Subject::Look, Some(look), ..) => look.failed = true,
        (Subject::Trial, _, Some(trial), _) => trial.refuse(error.clone()),
        (Subject::Survey, .., Some(survey)) => survey.refuse(error.clone()),
        _ => return false,
    }
    true
}

#[cold]
fn error(
    server: &mut Server,
    mut session: Option<&mut Session>,
    header: FrameHeader,
    body: &[u8],
    patch: &mut Patch,
) -> Result<Reply, CloseReason> {
    let mut error = ErrorResponse::parse(body);
    let mut dropped = Vec::new();
    let attempting = server.outstanding.is_attempting();
    let somebody_waits = session.is_some();
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
    let recall = session.as_deref_mut().and_then(|session| session.recall.take());
    server.sql.dropped(dropped.iter().filter(|entry| entry.subject == Subject::SqlName).count());
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
            if let Some(session) = session.filter(|session| !session.is_mid_message())
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
    if is_refused_question(server, asked.subject, &error) || attempting {
        return Ok(Reply::Swallow);
    }
    if asked.subject == Subject::Correction
        && asked.kind == Kind::Query
        && let Some(reply) = correction_failed(server, error.code, somebody_waits)
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

/// An entry has been answered.
#[inline]
fn answered(server: &mut Server, session: Option<&mut Session>, entry: Expected) {
    match entry.subject {
        Subject::None | Subject::Used(_) if !entry.client_op => {}
        Subject::Unnamed(generation) => server.unnamed.settle(generation, true),
        _ => settle(server, session, entry, Some(entry.kind == Kind::Parse)),
    }
}

/// A correction has failed that is a query of its own. `None`: there is no telling why.
#[cold]
fn correction_failed(server: &mut Server, code: SqlState, somebody_waits: bool) -> Option<Reply> {
    let in_block = server.outstanding.status() != TransactionStatus::Idle;
    match code {
        SqlState::IN_FAILED_SQL_TRANSACTION => Some(Reply::Swallow),
        // Meant for what it corrects. What is missing is found out, and only then is the client ready.
        SqlState::QUERY_CANCELED => {
            server.corrected_in_vain = !in_block && somebody_waits;
            server.doubts.add(Asks::SETTINGS, b"RESET");
            server.doubts.set_reset();
            Some(if in_block { Reply::Forward } else { Reply::Swallow })
        }
        _ => None,
    }
}

/// An entry has been answered (`present`: the statement it is about is there now) or dropped (`None`).
#[cold]
fn settle(server: &mut Server, session: Option<&mut Session>, entry: Expected, present: Option<bool>) {
    match entry.subject {
        Subject::Statement(id) => server.statements.settle(id, present),
        Subject::Unnamed(generation) => server.unnamed.settle(generation, present.is_some()),
        Subject::Refused => drop(server.refusals.pop_front()),
        Subject::SqlName if present.is_some() => server.sql.sent(),
        _ => {}
    }
    let Some(session) = session else { return };
    match (present, entry.subject) {
        (Some(_), _) if entry.client_op => session.statements_mut().confirm(None),
        (Some(_), Subject::Proof(_)) => session.is_proven(server),
        (None, _) if entry.client_op => session.statements_mut().forget(),
        (None, Subject::Unnamed(generation)) if !entry.ours => session.unnamed.lost(generation),
        _ => {}
    }
}

#[cold]
fn parameter(server: &mut Server, session: Option<&mut Session>, body: &[u8]) -> Reply {
    let status = ParameterStatus::parse(body).ok();
    let name = status.as_ref().and_then(|status| str::from_utf8(status.name).ok());
    let tracked = status
        .as_ref()
        .zip(name)
        .and_then(|(status, name)| Some((server.tracked.index(name)?, str::from_utf8(status.value).ok()?)));
    let start = session.as_deref().and_then(|session| session.start.as_ref());
    let restored = start.zip(name).is_some_and(|(start, name)| start.get(name).is_some());
    // It will have the client's own start value again in a moment, and that is told. Unless it is the same.
    let is_start = || {
        let value = status.as_ref().map(|status| status.value);
        start.zip(name).and_then(|(start, name)| start.get(name)).map(from_escaped).as_deref() == value
    };
    let corrected =
        restored && server.outstanding.is_correcting() && !server.outstanding.head_is_ours() && !is_start();
    let Some((index, value)) = tracked else {
        let regained = name == Some("is_superuser")
            && session.as_deref().is_some_and(Session::regains_role)
            && !server.outstanding.head_is_ours();
        if corrected || regained {
            return Reply::Swallow;
        }
        // What Howdah changes for the client it had already: it has been told when it was changed first. Unless
        // that was a RESET, whose value was not the client's.
        let told = server.outstanding.head_is_ours() && !(restored && server.outstanding.head_corrects());
        return if told { Reply::Swallow } else { Reply::Forward };
    };
    server.parameters.set(index, value);
    let Some(session) = session else { return Reply::Swallow };
    if corrected {
        return Reply::Swallow;
    }
    // Also what Howdah sets for the client comes back in the server's spelling: the client is told once,
    // and the next comparison finds no difference.
    let news = session.parameters.set(index, value);
    if news || !server.outstanding.head_is_ours() { Reply::Forward } else { Reply::Swallow }
}

/// The body of a CommandComplete, by which something has become of the session.
#[inline]
fn matters(body: &[u8]) -> bool {
    matches!(body, b"SET\0" | b"RESET\0" | b"ROLLBACK\0" | b"DEALLOCATE ALL\0" | b"DISCARD ALL\0")
        || changes_tables(body)
}

/// Behind a command that is called so the rows of a statement may look different.
#[inline]
fn changes_tables(tag: &[u8]) -> bool {
    match tag {
        [b'A', ..] => tag.starts_with(b"ALTER "),
        [b'D', b'R' | b'O', ..] => tag.starts_with(b"DROP ") || tag.starts_with(b"DO"),
        [b'C', b'R', ..] => tag.starts_with(b"CREATE VIEW"),
        _ => false,
    }
}

#[cold]
fn command_complete(server: &mut Server, mut session: Option<&mut Session>, asked: Expected, body: &[u8]) {
    let Ok(CommandComplete { tag }) = CommandComplete::parse(body) else { return };
    // SET … TO DEFAULT says SET as well; of a Query the text has been read, unless it was too long.
    let was_read = asked.kind == Kind::Query && server.doubts.has(Asks::SETTINGS);
    let may_reset =
        matches!(tag, b"RESET" | b"DISCARD ALL") && !was_read || tag == b"SET" && asked.kind == Kind::Execute;
    if let Some(session) = session.as_deref().filter(|_| may_reset && !asked.ours) {
        session.was_reset(server);
    }
    if tag == b"ROLLBACK" {
        server.doubts.reconsider();
    }
    if changes_tables(tag)
        && let Some(session) = session.as_deref()
    {
        // For this client at once, and for all when it is committed.
        server.tables_changed = true;
        session.rules.registry.tables_changed();
    }
    if !matches!(tag, b"DEALLOCATE ALL" | b"DISCARD ALL") {
        return;
    }
    if tag == b"DISCARD ALL" {
        discarded(server, session.as_deref_mut());
    }
    server.statements.clear();
    server.sql.clear();
    if let Some(session) = session {
        session.sql = None;
        if let Some(statements) = &mut session.statements {
            statements.clear();
        }
    }
}

fn forward_or_hold(passed: usize) -> Verdict {
    if passed > 0 { Verdict::Forward(passed) } else { Verdict::Hold }
}

fn is_row(header: FrameHeader) -> bool {
    matches!(header.tag, tag::DATA_ROW | tag::COPY_DATA)
}

/// Length of the whole rows at the start of `input`.
fn whole_rows(input: &[u8]) -> usize {
    let mut rows = 0;
    while let Some(left) = input.get(rows..)
        && let Ok(Some(header)) = FrameHeader::parse(left)
        && is_row(header)
        && header.total() <= left.len()
    {
        rows += header.total();
    }
    rows
}

/// Messages that are looked into: all of it has to be there, unless it is absurdly long.
fn needs_body(header: FrameHeader) -> bool {
    match header.tag {
        tag::ERROR_RESPONSE | tag::PARAMETER_STATUS | tag::NOTIFICATION_RESPONSE => {
            header.total() <= MAX_BODY
        }
        tag::READY_FOR_QUERY => header.total() <= SHORT_TAG,
        tag::COMMAND_COMPLETE => header.total() <= SHORT_TAG,
        _ => false,
    }
}

/// Longest error or parameter that is looked into; a longer one is judged by its beginning.
const MAX_BODY: usize = 64 * 1024;
/// Length below which a CommandComplete may be one of those that matter here.
const SHORT_TAG: usize = 32;
