//! What a statement means that is prepared now: where its names lead, and how its literals are read.

use howdah_wire::sql::{Head, Statements};

use super::Session;
use crate::server::Server;

impl Session {
    /// What decides the meaning of a statement with this text that is prepared now: where its names lead and how its
    /// literals are read. While that cannot be told, or if it is the session's, the statement is like no other.
    pub(super) fn meaning(&self, server: &Server, text: &[u8]) -> Vec<u8> {
        let mut meaning = Vec::new();
        if server.doubts.is_unknown()
            || server.look.is_some()
            || server.meaning_trail.len() > LONGEST_TRAIL
            || shifts(text)
        {
            meaning.extend_from_slice(&self.rules.registry.unlike_any_other());
            return meaning;
        }
        self.parameters.write_meaning(&mut meaning);
        if let Some(state) = &server.state {
            state.write_meaning(&mut meaning);
        }
        meaning.extend_from_slice(&server.meaning_trail);
        meaning
    }

    /// A text is sent that may take back some of what was said about the meaning of statements.
    #[cold]
    pub(super) fn doubt_trail(server: &mut Server, text: &[u8]) {
        if Statements::of(text).any(|head| matches!(head, Head::Rollback | Head::RollbackTo)) {
            server.meaning_trail.resize(LONGEST_TRAIL + 1, 0);
        }
    }

    /// A text changes what statements mean, perhaps for its transaction only; `values`: those bound to it.
    pub(super) fn leave_trail(&self, server: &mut Server, text: &[u8], values: &[u8]) {
        for part in [text, values] {
            let room = (LONGEST_TRAIL + 1).saturating_sub(server.meaning_trail.len());
            server.meaning_trail.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
            server.meaning_trail.push(0);
        }
    }
}

/// What it returns is decided by the session each time: what EXECUTE and FETCH name.
pub(super) fn shifts(text: &[u8]) -> bool {
    matches!(Head::of(text), Head::Execute | Head::Fetch)
}

/// How much of what was said about the meaning of statements in a transaction is kept, to tell statements
/// apart that are prepared there.
const LONGEST_TRAIL: usize = 1024;
