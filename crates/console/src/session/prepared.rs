//! What the extended protocol keeps between messages: statements, portals, and rows not yet fetched.
//!
//! All of it is bounded: so many of each, and so many bytes of rows.

use std::collections::BTreeMap;
use std::mem;

use crate::command::Command;
use crate::error::ConsoleError;
use crate::reply::Formats;

/// Statements and portals by name; the unnamed ones have an empty name.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    statements: BTreeMap<Vec<u8>, Option<Command>>,
    portals: BTreeMap<Vec<u8>, Portal>,
}

/// A statement about to be run.
#[derive(Debug)]
pub(super) struct Portal {
    /// `None`: an empty text.
    pub(super) command: Option<Command>,
    pub(super) formats: Formats,
    pub(super) state: PortalState,
}

/// How far a portal is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PortalState {
    Ready,
    /// It stopped at a row limit.
    Suspended(Unread),
    Done,
}

/// What a result has left.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// Whole DataRow messages.
    pub(super) rows: Vec<u8>,
    /// The tag that follows the last one.
    pub(super) tag: String,
}

impl Prepared {
    pub(super) fn add_statement(
        &mut self,
        name: &[u8],
        command: Option<Command>,
    ) -> Result<(), ConsoleError> {
        if !name.is_empty() && self.statements.contains_key(name) {
            return Err(ConsoleError::DuplicateStatement(lossy(name)));
        }
        insert("prepared statements", &mut self.statements, name, command)
    }

    pub(super) fn statement(&self, name: &[u8]) -> Result<&Option<Command>, ConsoleError> {
        self.statements.get(name).ok_or_else(|| ConsoleError::NoStatement(lossy(name)))
    }

    pub(super) fn close_statement(&mut self, name: &[u8]) -> bool {
        self.statements.remove(name).is_some()
    }

    /// DEALLOCATE: of one that must exist, or of all.
    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<(), ConsoleError> {
        match name {
            None => self.statements.clear(),
            Some(name) => {
                if !self.close_statement(name.as_bytes()) {
                    return Err(ConsoleError::NoStatement(name.to_owned()));
                }
            }
        }
        Ok(())
    }

    pub(super) fn add_portal(&mut self, name: &[u8], portal: Portal) -> Result<(), ConsoleError> {
        if !name.is_empty() && self.portals.contains_key(name) {
            return Err(ConsoleError::DuplicatePortal(lossy(name)));
        }
        insert("portals", &mut self.portals, name, portal)
    }

    pub(super) fn portal(&mut self, name: &[u8]) -> Result<&mut Portal, ConsoleError> {
        self.portals.get_mut(name).ok_or_else(|| ConsoleError::NoPortal(lossy(name)))
    }

    pub(super) fn close_portal(&mut self, name: &[u8]) {
        self.portals.remove(name);
    }

    pub(super) fn close_all_portals(&mut self) {
        self.portals.clear();
    }

    /// Keeps the rows a portal has left.
    pub(super) fn suspend(&mut self, name: &[u8], unread: Unread) -> Result<(), ConsoleError> {
        let kept: usize = self.portals.values().map(Portal::unread).sum();
        if kept + unread.rows.len() > MAX_UNREAD {
            return Err(ConsoleError::TooLarge { limit: MAX_UNREAD });
        }
        self.portal(name)?.state = PortalState::Suspended(unread);
        Ok(())
    }

    /// A simple query ends the unnamed statement and portal.
    pub(super) fn forget_unnamed(&mut self) {
        self.close_statement(b"");
        self.close_portal(b"");
    }
}

impl Portal {
    /// Its state, to be run; from now on it is done unless it is suspended (again).
    pub(super) fn begin(&mut self, name: &[u8]) -> Result<PortalState, ConsoleError> {
        match mem::replace(&mut self.state, PortalState::Done) {
            PortalState::Done => Err(ConsoleError::PortalDone(lossy(name))),
            state => Ok(state),
        }
    }

    fn unread(&self) -> usize {
        match &self.state {
            PortalState::Suspended(unread) => unread.rows.len(),
            PortalState::Ready | PortalState::Done => 0,
        }
    }
}

fn insert<T>(
    what: &'static str,
    named: &mut BTreeMap<Vec<u8>, T>,
    name: &[u8],
    value: T,
) -> Result<(), ConsoleError> {
    if named.len() >= MAX_NAMED && !named.contains_key(name) {
        return Err(ConsoleError::TooMany { what, limit: MAX_NAMED });
    }
    named.insert(name.to_owned(), value);
    Ok(())
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Statements kept, and portals kept.
pub(super) const MAX_NAMED: usize = 64;

/// Bytes of rows kept for all portals together: the clients of a large Howdah, once.
pub(super) const MAX_UNREAD: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_bounded_and_the_unnamed_one_is_replaced() {
        let mut prepared = Prepared::default();
        for n in 0..MAX_NAMED - 1 {
            prepared.add_statement(format!("s{n}").as_bytes(), None).unwrap();
        }
        prepared.add_statement(b"", None).unwrap();
        prepared.add_statement(b"", Some(Command::Suspend)).unwrap();
        assert_eq!(prepared.statement(b""), Ok(&Some(Command::Suspend)));
        let limit = ConsoleError::TooMany { what: "prepared statements", limit: MAX_NAMED };
        assert_eq!(prepared.add_statement(b"one more", None), Err(limit));
        assert_eq!(prepared.add_statement(b"s0", None), Err(ConsoleError::DuplicateStatement("s0".into())));
    }

    #[test]
    fn rows_left_unread_are_bounded_together() {
        let mut prepared = Prepared::default();
        let unread = |bytes| Unread { rows: vec![0; bytes], tag: "SHOW".into() };
        for name in [b"a", b"b"] {
            let portal = Portal { command: None, formats: Formats::TEXT, state: PortalState::Ready };
            prepared.add_portal(name, portal).unwrap();
        }
        prepared.suspend(b"a", unread(MAX_UNREAD - 1)).unwrap();
        assert_eq!(prepared.suspend(b"b", unread(2)), Err(ConsoleError::TooLarge { limit: MAX_UNREAD }));
        prepared.suspend(b"b", unread(1)).unwrap();
        prepared.close_portal(b"a");
        prepared.suspend(b"b", unread(MAX_UNREAD - 1)).unwrap();
    }
}
