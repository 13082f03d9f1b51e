//! Prepared statements of the protocol, by the client's name, which is its own affair.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::Statement;
use super::shape::Shape;

/// What a client has prepared, by its own names.
#[derive(Debug, Default)]
pub struct ClientStatements {
    named: FxHashMap<Box<[u8]>, Named>,
    /// What the names and their texts cost.
    bytes: usize,
    /// The same of names that are about to be defined.
    pending_bytes: usize,
    /// Sent but not answered: each is one entry of `Outstanding` with `client_op`.
    pending: VecDeque<NameChange>,
}

/// What a name of the client's stands for.
#[derive(Debug)]
struct Named {
    statement: Arc<Statement>,
    told: Told,
}

/// What a client has been told of a statement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// What it looks like, the last time.
    pub shape: Option<Shape>,
    /// That it is prepared; see [`StatementRegistry::now`](super::StatementRegistry::now).
    pub since: u64,
}

#[derive(Debug)]
struct NameChange {
    name: Box<[u8]>,
    batch: u32,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    /// At this time.
    Defined(Arc<Statement>, u64),
    Undefined,
    /// Parsed though it stands for this statement already.
    Refused(Arc<Statement>),
    /// No change: the client asks what this statement looks like.
    Described(Arc<Statement>),
}

impl Fate {
    fn is_change(&self) -> bool {
        !matches!(self, Fate::Described(_))
    }
}

impl ClientStatements {
    /// What `name` will stand for when the messages sent so far have been carried out, and what the client was
    /// told of it.
    #[must_use]
    pub fn resolve(&self, name: &[u8]) -> Option<(&Arc<Statement>, Told)> {
        let named = || self.named.get(name);
        if self.pending.is_empty() {
            return named().map(|named| (&named.statement, named.told));
        }
        let changes = |change: &&NameChange| *change.name == *name && change.fate.is_change();
        match self.pending.iter().rev().find(changes).map(|change| &change.fate) {
            Some(Fate::Defined(statement, since)) => Some((statement, Told { shape: None, since: *since })),
            Some(Fate::Refused(statement)) => {
                Some((statement, named().map_or_else(Told::default, |named| named.told)))
            }
            Some(Fate::Undefined) => None,
            Some(Fate::Described(_)) | None => named().map(|named| (&named.statement, named.told)),
        }
    }

    /// What `name` stands for depends on the fate of a batch before `batch`.
    #[must_use]
    pub fn is_in_doubt(&self, name: &[u8], batch: u32) -> bool {
        let is_about = |change: &NameChange| *change.name == *name && change.fate.is_change();
        self.pending.iter().any(|change| change.batch != batch && is_about(change))
    }

    /// The same of any name.
    #[must_use]
    pub fn are_in_doubt(&self, batch: u32) -> bool {
        self.pending.iter().any(|change| change.batch != batch)
    }

    /// The statement that `name` will stand for has another number now.
    pub fn renumber(&mut self, name: &[u8], successor: &Arc<Statement>) {
        let changes = |change: &&mut NameChange| *change.name == *name && change.fate.is_change();
        let statement = match self.pending.iter_mut().rev().find(changes).map(|change| &mut change.fate) {
            Some(Fate::Defined(statement, _) | Fate::Refused(statement)) => Some(statement),
            Some(Fate::Undefined) => None,
            Some(Fate::Described(_)) | None => self.named.get_mut(name).map(|named| &mut named.statement),
        };
        if let Some(statement) = statement {
            *statement = Arc::clone(successor);
        }
    }

    /// A Parse for `name` has been sent, at the time `since`.
    pub fn defining(&mut self, name: &[u8], statement: Arc<Statement>, since: u64, batch: u32) {
        self.pending_bytes += cost(name, &statement);
        self.pend(name, batch, Fate::Defined(statement, since));
    }

    /// A Close for `name` has been answered in the client's order of things.
    pub fn undefining(&mut self, name: &[u8], batch: u32) {
        self.pend(name, batch, Fate::Undefined);
    }

    /// A Parse for `name` has been sent that must fail: it stands for `statement`.
    pub fn refused(&mut self, name: &[u8], statement: Arc<Statement>, batch: u32) {
        self.pend(name, batch, Fate::Refused(statement));
    }

    /// A Describe for `name` has been sent.
    pub fn describing(&mut self, name: &[u8], statement: Arc<Statement>, batch: u32) {
        self.pend(name, batch, Fate::Described(statement));
    }

    fn pend(&mut self, name: &[u8], batch: u32, fate: Fate) {
        self.pending.push_back(NameChange { name: name.into(), batch, fate });
    }

    /// The oldest change that was sent has happened. `shape`: the answer, if it was a Describe.
    pub fn confirm(&mut self, shape: Option<Shape>) {
        let Some(change) = self.pop() else { return };
        let old = match change.fate {
            Fate::Defined(statement, since) => {
                self.bytes += cost(&change.name, &statement);
                let told = Told { shape: None, since };
                self.named.insert(change.name.clone(), Named { statement, told })
            }
            Fate::Undefined => self.named.remove(&change.name),
            Fate::Described(statement) => {
                if let Some(named) = self.named.get_mut(&change.name).filter(|_| !statement.shifts) {
                    named.told.shape = shape;
                }
                None
            }
            Fate::Refused(_) => None,
        };
        if let Some(old) = old {
            self.bytes -= cost(&change.name, &old.statement);
        }
    }

    /// The oldest change that was sent will not happen.
    pub fn forget(&mut self) {
        self.pop();
    }

    fn pop(&mut self) -> Option<NameChange> {
        let change = self.pending.pop_front()?;
        if let Fate::Defined(statement, _) = &change.fate {
            self.pending_bytes -= cost(&change.name, statement);
        }
        Some(change)
    }

    /// All names that are defined.
    pub fn names(&self) -> impl Iterator<Item = Box<[u8]>> {
        self.named.keys().cloned()
    }

    /// DEALLOCATE of this name has happened.
    pub fn remove(&mut self, name: &[u8]) {
        if let Some(old) = self.named.remove(name) {
            self.bytes -= cost(name, &old.statement);
        }
    }

    /// DEALLOCATE ALL or DISCARD ALL has happened.
    pub fn clear(&mut self) {
        self.named.clear();
        self.bytes = 0;
    }

    /// Another text of `bytes` would exceed what one client may keep here.
    #[must_use]
    pub fn is_full(&self, bytes: usize) -> bool {
        bytes.saturating_add(OVERHEAD + self.bytes + self.pending_bytes) > MAX_CLIENT_BYTES
    }

    /// How many names are defined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// No name is defined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The client's own name for the statement with this number. `changing`: it is in an error that answers
    /// the oldest change.
    #[must_use]
    pub fn name_of(&self, id: u64, changing: bool) -> Option<&[u8]> {
        let is_meant = |change: &&NameChange| match &change.fate {
            Fate::Defined(statement, _) | Fate::Refused(statement) | Fate::Described(statement) => {
                statement.id == id
            }
            Fate::Undefined => false,
        };
        let first = self.pending.front().filter(|_| changing).filter(is_meant);
        let pending = first.or_else(|| self.pending.iter().rev().find(is_meant)).map(|change| &change.name);
        let known = || self.named.iter().find(|(_, named)| named.statement.id == id).map(|(name, _)| name);
        pending.or_else(known).map(AsRef::as_ref)
    }
}

/// What a client is charged for a statement, also if it shares the text with others.
fn cost(name: &[u8], statement: &Statement) -> usize {
    name.len() + statement.definition.len() + OVERHEAD
}

/// What a name costs beside its text: places in maps, reference counts.
const OVERHEAD: usize = 128;
/// What one client may keep here; further statements live on a pinned server connection.
const MAX_CLIENT_BYTES: usize = 16 * 1024 * 1024;
