//! What is prepared under names that SQL knows, on a server connection or for a client: by PREPARE, and by the
//! protocol where the name was given away.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use howdah_wire::sql::prepare_text;

use super::state::Look;

/// Statements by the name that SQL knows them by.
#[derive(Debug, Default)]
pub struct SqlStatements {
    by_name: BTreeMap<Box<[u8]>, Entry>,
    bytes: usize,
    /// What Howdah has sent on its own account, in order.
    under_way: VecDeque<Errand>,
}

/// A message of Howdah's about a name.
#[derive(Debug)]
struct Errand {
    name: Box<[u8]>,
    /// What it was before.
    before: Option<Entry>,
    /// The batch whose fate it shares.
    batch: u32,
}

/// What a name stands for, and since when; for times see [`StatementRegistry::now`](super::StatementRegistry::now).
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) definition: Definition,
    pub(super) since: u64,
    /// When it could not be prepared, the last time that was tried.
    pub(super) failed_at: Option<u64>,
    /// What a server connection really has under the name.
    pub(super) held: Held,
}

impl Entry {
    pub(super) fn new(definition: Definition, since: u64) -> Entry {
        Entry { definition, since, failed_at: None, held: Held::Statement }
    }

    /// It cannot be prepared any more: that was tried, and nothing was `made` since.
    pub(super) fn has_failed(&self, made: u64) -> bool {
        self.failed_at.is_some_and(|failed| made < failed)
    }

    /// It may be that it cannot be prepared any more.
    pub(super) fn is_doubtful(&self, changed: u64) -> bool {
        self.failed_at.is_some() || self.since <= changed
    }
}

/// What a server connection has under a name that is given away there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The statement.
    Statement,
    /// Something that only has the name, and is an error if executed.
    Placeholder,
    /// The same, unless it was what the client has forgotten since.
    PlaceholderOrNothing,
}

/// Where a name comes from, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Definition {
    /// PREPARE: the whole statement.
    Sql(Arc<[u8]>),
    /// A Parse message: text and parameter types.
    Protocol(Arc<super::Statement>),
    /// Not known: made by somebody else's Parse.
    Foreign,
}

impl SqlStatements {
    pub(super) fn insert(&mut self, name: &[u8], definition: Definition, since: u64) {
        self.put(name, Some(Entry::new(definition, since)));
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        drop(self.take(name));
    }

    pub(super) fn take(&mut self, name: &[u8]) -> Option<Definition> {
        let removed = self.by_name.remove(name).map(|entry| entry.definition);
        self.bytes -= removed.as_ref().map_or(0, |definition| cost(name, definition));
        removed
    }

    /// The statements of PREPARE.
    pub(super) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.values().filter_map(|entry| match &entry.definition {
            Definition::Sql(text) => Some(&**text),
            Definition::Protocol(_) | Definition::Foreign => None,
        })
    }

    /// There is one of this name.
    #[must_use]
    pub fn has(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// DEALLOCATE ALL or DISCARD ALL has happened.
    pub fn clear(&mut self) {
        self.by_name.clear();
        self.bytes = 0;
        for errand in &mut self.under_way {
            errand.before = None;
        }
    }

    /// A message about this name is sent that makes it `after`.
    pub(super) fn send(&mut self, name: &[u8], after: Option<Entry>, batch: u32) {
        let before = self.by_name.get(name).cloned();
        self.under_way.push_back(Errand { name: name.into(), before, batch });
        self.put(name, after);
    }

    /// Whether this name is there depends on the fate of a batch before `batch`.
    pub(super) fn is_in_doubt(&self, name: &[u8], batch: u32) -> bool {
        self.under_way.iter().any(|errand| errand.batch != batch && *errand.name == *name)
    }

    /// The same of any name.
    pub(super) fn are_in_doubt(&self, batch: u32) -> bool {
        self.under_way.iter().any(|errand| errand.batch != batch)
    }

    /// The next of these messages has been carried out.
    pub(super) fn sent(&mut self) {
        self.under_way.pop_front();
    }

    /// The next `count` of them have been dropped with their batch: each name is what it was before the first. Returns
    /// the name that the first is about.
    pub(super) fn dropped(&mut self, count: usize) -> Option<Box<[u8]>> {
        let dropped: Vec<_> = self.under_way.drain(..count.min(self.under_way.len())).collect();
        let mut first = None;
        for Errand { name, before, .. } in dropped.into_iter().rev() {
            self.put(&name, before);
            first = Some(name);
        }
        first
    }

    fn put(&mut self, name: &[u8], entry: Option<Entry>) {
        self.remove(name);
        if let Some(entry) = entry {
            self.bytes += cost(name, &entry.definition);
            self.by_name.insert(name.into(), entry);
        }
    }

    pub(super) fn entry(&self, name: &[u8]) -> Option<&Entry> {
        self.by_name.get(name)
    }

    /// A client's DEALLOCATE has succeeded: what only has the name may be gone.
    pub(super) fn deallocated(&mut self) {
        for entry in self.by_name.values_mut().filter(|entry| entry.held == Held::Placeholder) {
            entry.held = Held::PlaceholderOrNothing;
        }
    }

    /// Something of the client's has failed: what only has the name stands for the statement no longer.
    pub(super) fn expose_placeholders(&mut self) {
        for entry in self.by_name.values_mut().filter(|entry| entry.held == Held::Placeholder) {
            entry.since = NEVER;
        }
    }

    /// The name is there, says the server, and not by PREPARE. The same if it is such a one's.
    pub(super) fn expose(&mut self, name: &[u8]) {
        if let Some(entry) = self.by_name.get_mut(name).filter(|entry| entry.held != Held::Statement) {
            entry.since = NEVER;
        }
    }

    /// The statement of this name could not be prepared at this time; or that will be tried again.
    pub(super) fn note_failure(&mut self, name: &[u8], at: Option<u64>) {
        if let Some(entry) = self.by_name.get_mut(name) {
            entry.failed_at = at;
        }
    }

    /// All of them will be tried again.
    pub(super) fn forget_failures(&mut self) {
        self.by_name.values_mut().for_each(|entry| entry.failed_at = None);
    }

    pub(super) fn definition(&self, name: &[u8]) -> Option<&Definition> {
        self.entry(name).map(|entry| &entry.definition)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.by_name.iter().map(|(name, entry)| (&**name, entry))
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// What they take of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The answer what is there, and nobody's session any more: all of it is foreign to whoever comes.
    pub(super) fn disown(&mut self, look: &Look) {
        self.by_name.clear();
        self.bytes = 0;
        for (name, text) in &look.statements {
            // What was known under this name may have given way to another since.
            let text = text.as_deref().and_then(|text| prepare_text(text, name));
            self.insert(name, text.map_or(Definition::Foreign, |text| Definition::Sql(text.into())), 0);
        }
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

fn cost(name: &[u8], definition: &Definition) -> usize {
    let text = match definition {
        Definition::Sql(text) => text.len(),
        Definition::Protocol(_) | Definition::Foreign => 0,
    };
    name.len() + text + OVERHEAD
}

const OVERHEAD: usize = 128;
/// Before anything was prepared.
const NEVER: u64 = 0;
