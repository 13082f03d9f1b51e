//! What the server tells of a session by itself: with ParameterStatus, and by some of its CommandCompletes.

use howdah_wire::backend::{CommandComplete, ParameterStatus};

use super::learn::discarded;
use super::relay_server::Reply;
use super::state::from_escaped;
use super::{Asks, Expected, Kind, Session};
use crate::server::Server;

/// ParameterStatus has come.
#[cold]
pub(super) fn parameter(server: &mut Server, session: Option<&mut Session>, body: &[u8]) -> Reply {
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
    if news {
        session.retry_names();
    }
    session.starts_stand &= !news;
    if news || !server.outstanding.head_is_ours() { Reply::Forward } else { Reply::Swallow }
}

/// The body of a CommandComplete, by which something has become of the session.
#[inline]
pub(super) fn matters(body: &[u8]) -> bool {
    match body {
        b"SET\0" | b"RESET\0" | b"ROLLBACK\0" | b"DEALLOCATE\0" | b"DEALLOCATE ALL\0" | b"DISCARD ALL\0" => {
            true
        }
        [b'C', b'R', ..] => body.starts_with(b"CREATE "),
        _ => changes_tables(body),
    }
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

/// A CommandComplete has come that [`matters`].
#[cold]
pub(super) fn command_complete(
    server: &mut Server,
    mut session: Option<&mut Session>,
    asked: Expected,
    body: &[u8],
) {
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
    if tag == b"DEALLOCATE" && !asked.ours {
        server.sql.deallocated();
    }
    if tag.starts_with(b"CREATE ")
        && let Some(session) = session.as_deref()
    {
        session.rules.registry.objects_made();
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
