//! Texts that are prepared, each with the number that servers know it by.
//!
//! The number stands for text, parameter types and what these are read by, the same for all clients. It does so until
//! a table it means has changed so that servers have or would have different things under it: then it is retired, and
//! whoever needs the text from then on gets another number, which is prepared afresh everywhere. Where a change of
//! tables is seen on its way through Howdah, nobody who prepares the text afterwards gets the old number.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use howdah_wire::sql::{Hints, Sign, Signs};
use rustc_hash::FxHashMap;

use super::meaning::shifts;
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
    /// What it returns may be another thing each time, and nobody is promised anything.
    pub(super) shifts: bool,
    /// What anybody was told first that it looks like.
    shape: OnceLock<Shape>,
    /// Some server connection has something else under its number than others.
    retired: AtomicBool,
    /// When it got its number, see [`StatementRegistry::now`].
    since: u64,
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
        self.shifts || *self.shape.get_or_init(|| shape) == shape
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        text_of(&self.definition)
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
    /// Counts what has to be told apart in time.
    clock: AtomicU64,
    /// When tables were changed last, as far as that was seen.
    changed: AtomicU64,
    /// When something was made last, the same.
    made: AtomicU64,
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
        let changed = self.changed();
        if let Some(statement) = known.filter(|known| !known.is_retired() && known.since > changed) {
            return statement;
        }
        if inner.known.len() >= inner.sweep_at {
            inner.known.retain(|_, statement| statement.strong_count() > 0);
            inner.sweep_at = (2 * inner.known.len()).max(1024);
        }
        inner.last_id += 1;
        let statement = Arc::new(Statement {
            since: self.now(),
            id: inner.last_id,
            name: Statement::name_for(inner.last_id).into(),
            harmless_by: AtomicU64::new(NO_EDITION),
            judged: Mutex::new((NO_EDITION, Arc::default())),
            definition: definition.into(),
            meaning: meaning.into(),
            shifts: shifts(text_of(definition)),
            shape: OnceLock::new(),
            retired: AtomicBool::new(false),
        });
        inner.known.insert(key.into(), Arc::downgrade(&statement));
        statement
    }

    /// A moment later than all before.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Tables have changed: what is prepared from now on may be something else.
    pub fn tables_changed(&self) {
        self.changed.fetch_max(self.now(), Ordering::AcqRel);
    }

    /// Something was made: what could not be prepared may be possible now.
    pub fn objects_made(&self) {
        self.made.fetch_max(self.now(), Ordering::AcqRel);
    }

    /// When something was made or changed last by which a statement may become possible.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Acquire).max(self.changed())
    }

    /// When tables changed last, as far as that was seen.
    #[must_use]
    pub fn changed(&self) -> u64 {
        self.changed.load(Ordering::Acquire)
    }

    /// The statement that has taken the place of one that is retired.
    #[must_use]
    pub fn successor(&self, retired: &Statement) -> Arc<Statement> {
        self.intern(&retired.definition, &retired.meaning)
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

/// The text in a definition.
pub(super) fn text_of(definition: &[u8]) -> &[u8] {
    definition.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// What executing a statement with this text and these parameter types may do.
pub(super) fn signs_of(definition: &[u8], hints: &Hints) -> Signs {
    let text = memchr::memchr(0, definition).and_then(|end| definition.get(..end));
    text.map_or_else(Signs::unseen, |text| Signs::of(text, hints))
}

/// No hints have this edition.
const NO_EDITION: u64 = u64::MAX;
/// How the names of statements on servers begin.
pub(super) const NAME_PREFIX: &[u8] = b"HOWDAH_";
