//! Prepared statements of the protocol, by the client's name and by the server's.
//!
//! A client's statement name is its own affair; on a server connection the statement has a name that
//! stands for its text and parameter types, the same for all clients. It does so until a table it means has
//! changed so that servers have or would have different things under it: then it is retired, and whoever
//! needs the text from then on gets another number, which is prepared afresh everywhere.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use howdah_wire::sql::{Hints, Sign, Signs};
use rustc_hash::FxHashMap;

use super::shape::Shape;

/// A text to be prepared, shared by all who prepare it.
#[derive(Debug)]
pub struct Statement {
    /// Number of its text in this process; the server's name is made of it.
    pub id: u64,
    /// That name.
    name: Box<[u8]>,
    /// The edition of the hints by which it was found harmless last.
    harmless_by: AtomicU64,
    /// What executing it may do, and by which edition of the hints that was found.
    judged: Mutex<(u64, Arc<Signs>)>,
    /// The Parse message's body behind the name: text and parameter types.
    pub definition: Box<[u8]>,
    /// What it is analysed under.
    meaning: Box<[u8]>,
    /// What anybody was told first that it looks like.
    shape: OnceLock<Shape>,
    /// Some server connection has something else under its number than others.
    retired: AtomicBool,
}

impl Statement {
    /// The text needs another number.
    #[inline]
    #[must_use]
    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// From now on it does.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Some server connection says that it looks like this; false: another one said otherwise.
    #[must_use]
    pub fn agrees(&self, shape: Shape) -> bool {
        *self.shape.get_or_init(|| shape) == shape
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.definition.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// What executing it may do to the session, by this edition of the hints; `None`: nothing that matters.
    #[inline]
    #[must_use]
    pub fn signs(&self, edition: u64, hints: &Hints) -> Option<Arc<Signs>> {
        if self.harmless_by.load(Ordering::Relaxed) == edition { None } else { self.judge(edition, hints) }
    }

    #[cold]
    fn judge(&self, edition: u64, hints: &Hints) -> Option<Arc<Signs>> {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.0 != edition {
            *judged = (edition, Arc::new(signs_of(&self.definition, hints)));
        }
        let signs = &judged.1;
        if !signs.is_plain() || signs.has(Sign::Commits) {
            return Some(Arc::clone(signs));
        }
        self.harmless_by.store(edition, Ordering::Relaxed);
        None
    }

    /// The name under which servers know it.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The name under which servers know the statement with this number.
    #[must_use]
    pub fn name_for(id: u64) -> Vec<u8> {
        let mut name = NAME_PREFIX.to_vec();
        name.extend_from_slice(id.to_string().as_bytes());
        name
    }
}

/// Of one registry, equal numbers mean the same.
impl PartialEq for Statement {
    fn eq(&self, other: &Statement) -> bool {
        self.id == other.id
    }
}

impl Eq for Statement {}

/// All texts prepared by anybody in one database, so that equal ones share a name on the servers.
#[derive(Debug, Default)]
pub struct StatementRegistry {
    inner: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    last_id: u64,
    last_doubt: u64,
    /// By definition and meaning; dead entries are swept when they could outnumber the living.
    known: FxHashMap<Box<[u8]>, Weak<Statement>>,
    sweep_at: usize,
}

impl StatementRegistry {
    /// A meaning that no statement has but the one it is used for.
    #[must_use]
    pub fn unlike_any_other(&self) -> [u8; 9] {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.last_doubt += 1;
        let mut meaning = [u8::MAX; 9];
        if let Some((_, number)) = meaning.split_first_mut() {
            number.copy_from_slice(&inner.last_doubt.to_be_bytes());
        }
        meaning
    }

    /// The statement with this definition (see [`Statement::definition`]) and this `meaning`, which is whatever
    /// its text is read by.
    #[must_use]
    pub fn intern(&self, definition: &[u8], meaning: &[u8]) -> Arc<Statement> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(definition, meaning);
        let known = inner.known.get(&*key).and_then(Weak::upgrade);
        if let Some(statement) = known.filter(|statement| !statement.is_retired()) {
            return statement;
        }
        if inner.known.len() >= inner.sweep_at {
            inner.known.retain(|_, statement| statement.strong_count() > 0);
            inner.sweep_at = (2 * inner.known.len()).max(1024);
        }
        inner.last_id += 1;
        let statement = Arc::new(Statement {
            id: inner.last_id,
            name: Statement::name_for(inner.last_id).into(),
            harmless_by: AtomicU64::new(NO_EDITION),
            judged: Mutex::new((NO_EDITION, Arc::default())),
            definition: definition.into(),
            meaning: meaning.into(),
            shape: OnceLock::new(),
            retired: AtomicBool::new(false),
        });
        inner.known.insert(key.into(), Arc::downgrade(&statement));
        statement
    }

    /// The statement that has taken the place of one that is retired.
    #[must_use]
    pub fn successor(&self, retired: &Statement) -> Arc<Statement> {
        self.intern(&retired.definition, &retired.meaning)
    }
}

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
    /// What the client was told last that it looks like.
    told: Option<Shape>,
}

#[derive(Debug)]
struct NameChange {
    name: Box<[u8]>,
    batch: u32,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Defined(Arc<Statement>),
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
    /// told last that it looks like.
    #[must_use]
    pub fn resolve(&self, name: &[u8]) -> Option<(&Arc<Statement>, Option<Shape>)> {
        let named = || self.named.get(name);
        if self.pending.is_empty() {
            return named().map(|named| (&named.statement, named.told));
        }
        let changes = |change: &&NameChange| *change.name == *name && change.fate.is_change();
        match self.pending.iter().rev().find(changes).map(|change| &change.fate) {
            Some(Fate::Defined(statement)) => Some((statement, None)),
            Some(Fate::Refused(statement)) => Some((statement, named().and_then(|named| named.told))),
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

    /// The statement that `name` will stand for has another number now.
    pub fn renumber(&mut self, name: &[u8], successor: &Arc<Statement>) {
        let changes = |change: &&mut NameChange| *change.name == *name && change.fate.is_change();
        let statement = match self.pending.iter_mut().rev().find(changes).map(|change| &mut change.fate) {
            Some(Fate::Defined(statement) | Fate::Refused(statement)) => Some(statement),
            Some(Fate::Undefined) => None,
            Some(Fate::Described(_)) | None => self.named.get_mut(name).map(|named| &mut named.statement),
        };
        if let Some(statement) = statement {
            *statement = Arc::clone(successor);
        }
    }

    /// A Describe for `name` has been sent.
    pub fn describing(&mut self, name: &[u8], statement: Arc<Statement>, batch: u32) {
        self.pend(name, batch, Fate::Described(statement));
    }

    /// The same of any name.
    #[must_use]
    pub fn are_in_doubt(&self, batch: u32) -> bool {
        self.pending.iter().any(|change| change.batch != batch)
    }

    /// A Parse for `name` has been sent.
    pub fn defining(&mut self, name: &[u8], statement: Arc<Statement>, batch: u32) {
        self.pending_bytes += cost(name, &statement);
        self.pend(name, batch, Fate::Defined(statement));
    }

    /// A Close for `name` has been answered in the client's order of things.
    pub fn undefining(&mut self, name: &[u8], batch: u32) {
        self.pend(name, batch, Fate::Undefined);
    }

    /// A Parse for `name` has been sent that must fail: it stands for `statement`.
    pub fn refused(&mut self, name: &[u8], statement: Arc<Statement>, batch: u32) {
        self.pend(name, batch, Fate::Refused(statement));
    }

    fn pend(&mut self, name: &[u8], batch: u32, fate: Fate) {
        self.pending.push_back(NameChange { name: name.into(), batch, fate });
    }

    /// The oldest change that was sent has happened. `shape`: the answer, if it was a Describe.
    pub fn confirm(&mut self, shape: Option<Shape>) {
        let Some(change) = self.pop() else { return };
        let old = match change.fate {
            Fate::Defined(statement) => {
                self.bytes += cost(&change.name, &statement);
                self.named.insert(change.name.clone(), Named { statement, told: None })
            }
            Fate::Undefined => self.named.remove(&change.name),
            Fate::Described(_) => {
                if let Some(named) = self.named.get_mut(&change.name) {
                    named.told = shape;
                }
                None
            }
            Fate::Refused(_) => None,
        };
        if let Some(old) = old {
            self.bytes -= cost(&change.name, &old.statement);
        }
    }

    /// The name that the oldest change is about.
    #[must_use]
    pub fn oldest(&self) -> Option<&[u8]> {
        self.pending.front().map(|change| &*change.name)
    }

    /// The oldest change that was sent will not happen.
    pub fn forget(&mut self) {
        self.pop();
    }

    fn pop(&mut self) -> Option<NameChange> {
        let change = self.pending.pop_front()?;
        if let Fate::Defined(statement) = &change.fate {
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
            Fate::Defined(statement) | Fate::Refused(statement) | Fate::Described(statement) => {
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

/// A text begins with no zero byte but the empty one, whose definition is short: no two keys are equal.
fn key<'a>(definition: &'a [u8], meaning: &[u8]) -> Cow<'a, [u8]> {
    if meaning.is_empty() {
        return definition.into();
    }
    let len = (meaning.len() as u64).to_be_bytes();
    [&len[..], meaning, definition].concat().into()
}

/// What executing a statement with this text and these parameter types may do.
pub(super) fn signs_of(definition: &[u8], hints: &Hints) -> Signs {
    let text = memchr::memchr(0, definition).and_then(|end| definition.get(..end));
    text.map_or_else(Signs::unseen, |text| Signs::of(text, hints))
}

/// What a client is charged for a statement, also if it shares the text with others.
fn cost(name: &[u8], statement: &Statement) -> usize {
    name.len() + statement.definition.len() + OVERHEAD
}

/// No hints have this edition.
const NO_EDITION: u64 = u64::MAX;
/// How the names of statements on servers begin.
pub(super) const NAME_PREFIX: &[u8] = b"HOWDAH_";
/// What a name costs beside its text: places in maps, reference counts.
const OVERHEAD: usize = 128;
/// What one client may keep here; further statements live on a pinned server connection.
const MAX_CLIENT_BYTES: usize = 16 * 1024 * 1024;
