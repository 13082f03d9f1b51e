//! Names of custom parameters that PostgreSQL has heard in a session. It never forgets them: a parameter that was reset,
//! or set for a transaction only, is empty from then on, where one that was never heard of is an error to ask for.
//!
//! So they follow the client like what has a value, but they are told to a server connection only once, and stay there.

use std::collections::BTreeSet;

use howdah_wire::frontend;

use super::policy::is_custom;
use super::state::{Look, push_literal};
use super::{Doubts, Expected, Kind, Session, Subject};
use crate::server::Server;
use crate::settings::{Policy, StateKind};

/// Some of these names.
#[derive(Debug, Default)]
pub struct HeardNames(BTreeSet<Box<str>>);

impl HeardNames {
    fn add(&mut self, name: &str, limit: usize) {
        if self.0.len() < limit && !self.has(name) {
            self.0.insert(name.into());
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// There are none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Session {
    /// Its text names these settings.
    pub(super) fn hear<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        if !matches!(self.rules.state.policy.of(StateKind::Custom), Policy::Carry | Policy::Pin) {
            return;
        }
        for name in names.filter(|name| is_custom(name) && name.len() <= MAX_LENGTH) {
            self.heard.add(name, MAX_OF_CLIENT);
        }
    }

    /// The server has been asked.
    pub(super) fn hear_answer(&mut self, server: &mut Server, look: &Look) {
        for name in look.known_names() {
            server.heard.add(name, MAX_OF_SERVER);
        }
        self.hear(look.bare_names());
    }

    /// All that it has set is thrown away, of which only `doubts` may know so far; to have heard what only looks like a
    /// name does no harm.
    pub(super) fn hear_discarded(&mut self, doubts: &Doubts) {
        if let Some(state) = self.state.clone() {
            self.hear(state.settings.keys().map(AsRef::as_ref));
        }
        self.hear(doubts.named());
    }

    /// Tells a server connection what the client has been heard to name, by values that end with the transaction: one
    /// that stayed would stand in the way of a library that comes to be loaded. Whatever PostgreSQL objects to is left
    /// out.
    #[cold]
    pub(super) fn repeat_names(&self, server: &mut Server, to_server: &mut Vec<u8>) {
        for name in self.heard.iter() {
            if server.heard.has(name) {
                continue;
            }
            let mut literal = Vec::new();
            push_literal(&mut literal, name);
            let text = [
                b"SELECT CASE WHEN pg_catalog.current_setting(",
                &*literal,
                b", true) IS NULL THEN pg_catalog.set_config(",
                &*literal,
                b", '', true) END",
            ]
            .concat();
            server.run(Subject::None, &text, to_server);
            frontend::write_sync(to_server);
            server.outstanding.push(Expected { subject: Subject::Attempt, ..Expected::ours(Kind::Sync) });
            server.heard.add(name, MAX_OF_SERVER);
        }
    }
}

/// Longer ones are not kept, in bytes.
const MAX_LENGTH: usize = 128;
/// How many names are kept for one client: those it has named first.
const MAX_OF_CLIENT: usize = 64;
/// How many a server connection is known to know; others are told it again.
const MAX_OF_SERVER: usize = 1024;
