//! The server's replies: whose they are.

use howdah_wire::FrameHeader;
use howdah_wire::backend::tag;

use super::conversation::Rest;
use super::outstanding::{Answer, Doubt};
use super::ready::ReadyAwaits;
use super::{Expected, Kind, Patch, Session, Subject, Verdict, errors, ready, reports};
use crate::facts::CloseReason;
use crate::server::Server;

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
                return Verdict::so_far(passed);
            }
            continue;
        }
        let header = match FrameHeader::parse(left) {
            _ if server.broken.is_some() => return broken(server, passed),
            Ok(Some(header)) => header,
            Ok(None) => return Verdict::so_far(passed),
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
            return Verdict::so_far(passed);
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
        || session.ready_awaits == ReadyAwaits::SettingRight
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
    if session.ready_awaits == ReadyAwaits::SettingRight {
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
        tag::ERROR_RESPONSE => return errors::error(server, session, header, body, patch),
        tag::READY_FOR_QUERY => return ready::ready(server, session, body, patch),
        tag::PARAMETER_STATUS => return Ok(reports::parameter(server, session, body)),
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
    if header.tag == tag::COMMAND_COMPLETE && header.total() <= SHORT_TAG && reports::matters(body) {
        reports::command_complete(server, session, expected, body);
    }
    if !expected.ours {
        return Ok(Reply::Forward);
    }
    if header.tag == tag::DATA_ROW {
        server.note_row(expected.subject, body).ok_or(CloseReason::ServerProtocol)?;
    }
    Ok(Reply::Swallow)
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

/// An entry has been answered.
#[inline]
fn answered(server: &mut Server, session: Option<&mut Session>, entry: Expected) {
    match entry.subject {
        Subject::None | Subject::Used(_) if !entry.client_op => {}
        Subject::Unnamed(generation) => server.unnamed.settle(generation, true),
        _ => settle(server, session, entry, Some(entry.kind == Kind::Parse)),
    }
}

/// An entry has been answered (`present`: the statement it is about is there now) or dropped (`None`).
#[cold]
pub(super) fn settle(
    server: &mut Server,
    session: Option<&mut Session>,
    entry: Expected,
    present: Option<bool>,
) {
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
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Length below which a CommandComplete may be one of those that matter here.
const SHORT_TAG: usize = 32;
