//! Prepared statements of the protocol, by the client's name and by the server's.
//!
//! A client's statement name is its own affair; on a server connection the statement has a name that
//! stands for its text and parameter types, the same for all clients. A statement exists on a server
//! connection from its ParseComplete on, and until its CloseComplete; in between only messages of the same
//! batch may count on it, since they share its fate.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use howdah_wire::sql::{Hints, Sign, Signs};
use rustc_hash::FxHashMap;

/// A text to be prepared, shared by all who prepare it.
#[derive(Debug)]
pub struct Statement {
    /// Number of its text in this process; the server's name is made of it.
    pub id: u64,
    /// The edition of the hints by which it was found harmless last.
    harmless_by: AtomicU64,
    /// What executing it may do, and by which edition of the hints that was found.
    judged: Mutex<(u64, Arc<Signs>)>,
    /// The Parse message's body behind the name: text and parameter types.
    pub definition: Box<[u8]>,
}

impl Statement {
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
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        Statement::name_for(self.id)
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
        if let Some(statement) = inner.known.get(&*key).and_then(Weak::upgrade) {
            return statement;
        }
        if inner.known.len() >= inner.sweep_at {
            inner.known.retain(|_, statement| statement.strong_count() > 0);
            inner.sweep_at = (2 * inner.known.len()).max(1024);
        }
        inner.last_id += 1;
        let statement = Arc::new(Statement {
            id: inner.last_id,
            harmless_by: AtomicU64::new(NO_EDITION),
            judged: Mutex::new((NO_EDITION, Arc::default())),
            definition: definition.into(),
        });
        inner.known.insert(key.into(), Arc::downgrade(&statement));
        statement
    }
}

/// What a client has prepared, by its own names.
#[derive(Debug, Default)]
pub struct ClientStatements {
    named: FxHashMap<Box<[u8]>, Arc<Statement>>,
    /// What the names and their texts cost.
    bytes: usize,
    /// The same of names that are about to be defined.
    pending_bytes: usize,
    /// Sent but not answered: each is one entry of `Outstanding` with `client_op`.
    pending: VecDeque<NameChange>,
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
}

impl ClientStatements {
    /// What `name` will stand for when the messages sent so far have been carried out.
    #[must_use]
    pub fn resolve(&self, name: &[u8]) -> Option<&Arc<Statement>> {
        match self.pending.iter().rev().find(|change| *change.name == *name) {
            Some(NameChange { fate: Fate::Defined(statement) | Fate::Refused(statement), .. }) => {
                Some(statement)
            }
            Some(NameChange { fate: Fate::Undefined, .. }) => None,
            None => self.named.get(name),
        }
    }

    /// What `name` stands for depends on the fate of a batch before `batch`.
    #[must_use]
    pub fn is_in_doubt(&self, name: &[u8], batch: u32) -> bool {
        self.pending.iter().any(|change| change.batch != batch && *change.name == *name)
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

    /// The oldest change that was sent has happened.
    pub fn confirm(&mut self) {
        let Some(change) = self.pop() else { return };
        let old = match change.fate {
            Fate::Defined(statement) => {
                self.bytes += cost(&change.name, &statement);
                self.named.insert(change.name.clone(), statement)
            }
            Fate::Undefined => self.named.remove(&change.name),
            Fate::Refused(_) => None,
        };
        if let Some(old) = old {
            self.bytes -= cost(&change.name, &old);
        }
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
            self.bytes -= cost(name, &old);
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
            Fate::Defined(statement) | Fate::Refused(statement) => statement.id == id,
            Fate::Undefined => false,
        };
        let first = self.pending.front().filter(|_| changing).filter(is_meant);
        let pending = first.or_else(|| self.pending.iter().rev().find(is_meant)).map(|change| &change.name);
        let known = || self.named.iter().find(|(_, statement)| statement.id == id).map(|(name, _)| name);
        pending.or_else(known).map(AsRef::as_ref)
    }
}

/// What a server connection has prepared for all its clients, least recently used first out.
#[derive(Debug, Default)]
pub struct ServerStatements {
    prepared: FxHashMap<u64, Prepared>,
    clock: u64,
}

#[derive(Debug)]
struct Prepared {
    /// Kept, so that the text does not get another number while it is prepared here.
    _statement: Arc<Statement>,
    /// As far as replies have told.
    present: bool,
    /// Parse and Close messages sent and not answered.
    in_flight: u16,
    /// The last of them was a Parse, of this batch.
    parsed_in: Option<u32>,
    used: u64,
}

/// What must be sent so that a statement may be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// Parse.
    Parse,
    /// Close, then Parse: it may or may not be there.
    CloseAndParse,
}

impl ServerStatements {
    /// What is needed so that messages of `batch` may use the statement.
    pub fn need(&mut self, id: u64, batch: u32) -> Need {
        self.clock += 1;
        let Some(entry) = self.prepared.get_mut(&id) else { return Need::Parse };
        entry.used = self.clock;
        match entry {
            Prepared { in_flight: 0, present: true, .. } => Need::Nothing,
            Prepared { in_flight: 0, .. } => Need::Parse,
            Prepared { parsed_in: Some(b), .. } if *b == batch => Need::Nothing,
            _ => Need::CloseAndParse,
        }
    }

    /// It is there for certain, and nothing in flight will change that.
    #[must_use]
    pub fn is_settled(&self, id: u64) -> bool {
        self.prepared.get(&id).is_some_and(|e| e.present && e.in_flight == 0)
    }

    /// All that are there for certain.
    #[must_use]
    pub fn all_settled(&self) -> Vec<u64> {
        self.prepared
            .iter()
            .filter(|(_, entry)| entry.present && entry.in_flight == 0)
            .map(|(&id, _)| id)
            .collect()
    }

    /// A Parse has been sent.
    pub fn parse_sent(&mut self, statement: &Arc<Statement>, batch: u32) {
        let used = self.clock;
        let entry = self.prepared.entry(statement.id).or_insert_with(|| Prepared {
            _statement: Arc::clone(statement),
            present: false,
            in_flight: 0,
            parsed_in: None,
            used,
        });
        entry.in_flight += 1;
        entry.parsed_in = Some(batch);
    }

    /// A Close has been sent.
    pub fn close_sent(&mut self, id: u64) {
        if let Some(entry) = self.prepared.get_mut(&id) {
            entry.in_flight += 1;
            entry.parsed_in = None;
        }
    }

    /// A Parse or Close was answered (`present`: it is there now), or dropped after an error (`None`).
    pub fn settle(&mut self, id: u64, present: Option<bool>) {
        let Some(entry) = self.prepared.get_mut(&id) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        if let Some(present) = present {
            entry.present = present;
        }
        if entry.in_flight == 0 && !entry.present {
            self.prepared.remove(&id);
        }
    }

    /// The least recently used statement, if there will be `limit` or more.
    #[must_use]
    pub fn eviction(&self, limit: u32) -> Option<u64> {
        let stays = |entry: &&Prepared| entry.in_flight == 0 || entry.parsed_in.is_some();
        if self.prepared.len() < limit as usize
            || self.prepared.values().filter(stays).count() < limit as usize
        {
            return None;
        }
        self.prepared.iter().filter(|(_, e)| e.in_flight == 0).min_by_key(|(_, e)| e.used).map(|(&id, _)| id)
    }

    /// DEALLOCATE ALL or DISCARD ALL has happened.
    pub fn clear(&mut self) {
        self.prepared.retain(|_, entry| {
            entry.present = false;
            entry.in_flight > 0
        });
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prepared.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
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
