//! The client's unnamed statement. There is one on each server connection, for all its clients: whoever
//! parsed last owns it. Its text is kept with the client, which can so bind it on any server connection.
//!
//! What is known here runs ahead of the server: a Parse or Close that is skipped after an error, having been
//! sent before the error was known, leaves the client without its earlier unnamed statement.

use std::sync::Arc;

use howdah_wire::sql::{Hints, Sign, Signs};

use super::statement::text_of;
use crate::server::UnnamedStatement;

/// What is known of a client's unnamed statement.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    state: State,
    /// Text and parameter types, unless too long to be kept.
    definition: Vec<u8>,
    /// Counts the client's own Parses of it.
    generation: u64,
    /// Executing it may commit.
    pub(super) commits: bool,
    /// What executing it may do to the session; `None`: nothing that matters.
    pub(super) signs: Option<Arc<Signs>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is none.
    #[default]
    Missing,
    /// Its text is here.
    Kept,
    /// It is on one server connection only and has not been bound.
    Pinned,
    /// It is on one server connection only and has been bound: it may be lost.
    Used,
}

/// What to do so that a message may mean the unnamed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts<'a> {
    /// It is on this server connection.
    Here,
    /// It has to be parsed here.
    Elsewhere(&'a [u8]),
    /// There is none.
    Nowhere,
}

impl Unnamed {
    /// A Parse has been sent to `server`; `definition`: text and parameter types, unless too long. Returns
    /// the number it has.
    pub(super) fn parsed(
        &mut self,
        client: u64,
        server: &mut UnnamedStatement,
        definition: Option<&[u8]>,
    ) -> u64 {
        self.definition.clear();
        self.definition.extend_from_slice(definition.unwrap_or_default());
        self.state = if definition.is_some() { State::Kept } else { State::Pinned };
        self.generation += 1;
        server.parsed(client, self.generation);
        self.generation
    }

    /// The client's statement has been sent to `server` on Howdah's account. Returns the number it has.
    pub(super) fn carried(&self, client: u64, server: &mut UnnamedStatement, batch: u32) -> u64 {
        server.carried(client, self.generation, batch);
        self.generation
    }

    /// What executing it may do, by hints that are new; what is known of a text that was not kept stays.
    #[cold]
    pub(super) fn judge(&mut self, hints: &Hints) {
        if self.state == State::Kept {
            self.note(Signs::of(self.text(), hints));
        }
    }

    /// What executing it may do.
    pub(super) fn note(&mut self, signs: Signs) {
        self.commits = signs.has(Sign::Commits);
        self.signs = (!signs.is_plain()).then(|| Arc::new(signs));
    }

    /// Its n-th Parse was dropped or failed.
    pub(super) fn lost(&mut self, generation: u64) {
        if generation == self.generation {
            self.forget();
        }
    }

    /// Its text, as far as it is kept.
    pub(super) fn text(&self) -> &[u8] {
        text_of(&self.definition)
    }

    /// It is bound.
    pub(super) fn bound(&mut self) {
        if self.state == State::Pinned {
            self.state = State::Used;
        }
    }

    /// There is none any more.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.state = State::Missing;
        self.definition.clear();
    }

    /// The server connection it is on has to stay with the client.
    #[inline]
    pub(super) fn pins(&self) -> bool {
        self.state == State::Pinned
    }

    /// Where it is, seen from `server`.
    pub(super) fn whereabouts(&self, client: u64, server: &UnnamedStatement) -> Whereabouts<'_> {
        match self.state {
            State::Missing => Whereabouts::Nowhere,
            _ if server.is_of(client, self.generation) => Whereabouts::Here,
            State::Kept => Whereabouts::Elsewhere(&self.definition),
            State::Pinned | State::Used => Whereabouts::Nowhere,
        }
    }
}
