//! What is known of the functions of one database, for all sessions in it, and how far it can be relied upon.
//!
//! From the moment a text is sent that changes what functions do, until a question asked after its transaction has been
//! answered, the hints are *in doubt*: any statement may then do anything, so that sessions are asked about everything.
//! Nobody waits for fresh hints. What is changed behind Howdah's back, or by clients in session mode, is found by the
//! question that is asked now and then.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use howdah_wire::sql::Hints;

use super::state::custom_names;

/// The hints of one database. The default knows of none, and nobody has asked.
#[derive(Debug, Default)]
pub struct HintBook {
    /// Counts what `Inner::given` has been.
    edition: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What sessions are given: `known`, in doubt or not.
    given: Arc<Hints>,
    /// The last answer.
    known: Arc<Hints>,
    /// Since `known` was asked for, something may have changed it.
    outdated: bool,
    /// What could be names of custom settings in the texts that have changed it.
    mentioned: BTreeSet<Box<str>>,
    /// Transactions under way that may change it.
    under_way: u32,
    /// Such transactions ever.
    begun: u64,
    /// When it was asked for last, and how long the answer took.
    asked: Option<(Instant, Duration)>,
    refused: bool,
}

/// A transaction that may change what functions do; dropped when it has ended.
#[derive(Debug)]
pub(crate) struct Change(Arc<HintBook>);

/// A question under way.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry {
    since: Instant,
    /// How many changes had begun by then; `None`: one was under way.
    begun: Option<u64>,
}

impl HintBook {
    /// Changes whenever the hints do.
    #[inline]
    #[must_use]
    pub fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    /// The hints in force, and their edition.
    #[must_use]
    pub fn read(&self) -> (u64, Arc<Hints>) {
        let inner = self.lock();
        (self.edition.load(Ordering::Acquire), Arc::clone(&inner.given))
    }

    /// A transaction begins to change what functions do.
    pub(crate) fn change(self: &Arc<Self>) -> Change {
        let mut inner = self.lock();
        inner.under_way += 1;
        inner.begun += 1;
        self.doubt(&mut inner, &[]);
        Change(Arc::clone(self))
    }

    /// Something has changed that nothing is known of: another server may stand behind the database.
    pub fn mistrust(&self) {
        let mut inner = self.lock();
        inner.begun += 1;
        if inner.asked.is_some() {
            self.doubt(&mut inner, &[]);
        }
    }

    /// Nobody has asked yet.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.lock().asked.is_none()
    }

    /// It is time to ask because something has changed. A burst of changes leads to few questions, so that no more
    /// than a small share of a server's time is spent on them.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        let inner = self.lock();
        let Some((asked, took)) = inner.asked else { return true };
        let pause = (took * PAUSE_FACTOR).max(LEAST_PAUSE);
        inner.outdated && inner.under_way == 0 && now.saturating_duration_since(asked) >= pause
    }

    /// When it was asked for last, if that is so long ago that somebody else may have changed something.
    #[must_use]
    pub fn grown_old(&self, now: Instant) -> Option<Instant> {
        let (asked, took) = self.lock().asked?;
        let limit = MAX_AGE.max(took * PAUSE_FACTOR);
        (now.saturating_duration_since(asked) >= limit).then_some(asked)
    }

    /// The question is about to be asked. It counts also if its answer never comes.
    #[must_use]
    pub fn inquire(&self, now: Instant) -> Inquiry {
        let mut inner = self.lock();
        inner.asked = Some((now, Duration::ZERO));
        Inquiry { since: now, begun: (inner.under_way == 0).then_some(inner.begun) }
    }

    /// It has been answered.
    pub fn answer(&self, inquiry: Inquiry, hints: Hints, now: Instant) {
        let mut inner = self.lock();
        if *inner.known != hints {
            inner.known = Arc::new(hints);
        }
        inner.refused = false;
        self.conclude(&mut inner, inquiry, now);
    }

    /// It will not be answered: what is known stays. Returns whether that is news.
    pub fn refuse(&self, inquiry: Inquiry, now: Instant) -> bool {
        let mut inner = self.lock();
        self.conclude(&mut inner, inquiry, now);
        !std::mem::replace(&mut inner.refused, true)
    }

    fn conclude(&self, inner: &mut Inner, inquiry: Inquiry, now: Instant) {
        inner.asked = Some((now, now.saturating_duration_since(inquiry.since)));
        inner.outdated = inquiry.begun != Some(inner.begun);
        let next = if inner.outdated {
            Arc::new(inner.known.in_doubt(inner.mentioned.iter().map(AsRef::as_ref)))
        } else {
            inner.mentioned.clear();
            Arc::clone(&inner.known)
        };
        self.give(inner, next);
    }

    fn doubt(&self, inner: &mut Inner, text: &[u8]) {
        let before = inner.mentioned.len();
        for name in custom_names(text) {
            if inner.mentioned.len() < MAX_MENTIONED {
                inner.mentioned.insert(name);
            }
        }
        if !std::mem::replace(&mut inner.outdated, true) || inner.mentioned.len() > before {
            let next = Arc::new(inner.known.in_doubt(inner.mentioned.iter().map(AsRef::as_ref)));
            self.give(inner, next);
        }
    }

    fn give(&self, inner: &mut Inner, hints: Arc<Hints>) {
        if inner.given != hints {
            inner.given = hints;
            self.edition.fetch_add(1, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    /// By this text. What custom settings a function sets is in no list of PostgreSQL's: its text may name them.
    pub(crate) fn by(&self, text: &[u8]) {
        self.0.doubt(&mut self.0.lock(), text);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

/// So many names are asked about at most.
const MAX_MENTIONED: usize = 48;
/// Between two questions passes this many times what an answer takes, and at least so long.
const PAUSE_FACTOR: u32 = 20;
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// After that it is asked again, in a database that is in use.
const MAX_AGE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use howdah_wire::sql::{HintsBuilder, Sign, Signs};

    fn hints(names: &[&str]) -> Hints {
        let mut builder = HintsBuilder::default();
        names.iter().for_each(|name| builder.row(b"sql", name.as_bytes(), b"select setseed(1)"));
        builder.build()
    }

    fn of(book: &HintBook, text: &str) -> Signs {
        Signs::of(text.as_bytes(), &book.read().1)
    }

    #[test]
    fn between_a_change_and_the_next_answer_anything_may_happen() {
        let (book, now) = (Arc::new(HintBook::default()), Instant::now());
        assert!(book.is_due(now) && !of(&book, "select f()").has(Sign::Seed));
        book.answer(book.inquire(now), hints(&["f"]), now);
        assert!(
            !book.is_due(now) && of(&book, "select f()").has(Sign::Seed) && of(&book, "select 1").is_plain()
        );

        let change = book.change();
        change.by(b"create function public.g() returns void language sql as $$set App.who = 1$$");
        let names = of(&book, "select 1").names().to_vec();
        assert!(names.contains(&"app.who".into()), "{names:?}");
        let edition = book.edition();
        let later = now + LEAST_PAUSE;
        assert!(of(&book, "select 1").has(Sign::Opaque) && of(&book, "select f()").has(Sign::Seed));
        assert!(!book.is_due(later), "what is not committed cannot be seen");
        book.answer(book.inquire(now), hints(&["f"]), now);
        assert!(of(&book, "select 1").has(Sign::Opaque), "what was asked before the commit proves nothing");
        assert_eq!(book.edition(), edition);
        drop(change);
        assert!(!book.is_due(now) && book.is_due(later));
        book.answer(book.inquire(later), hints(&["f", "g"]), later);
        assert!(of(&book, "select 1").is_plain() && of(&book, "select g()").has(Sign::Seed));
        assert!(of(&book, "select set_config($1, $2, false)").names().is_empty());
        assert!(!book.is_due(later + MAX_AGE));
    }

    #[test]
    fn a_change_during_a_question_calls_for_another() {
        let (book, now) = (Arc::new(HintBook::default()), Instant::now());
        let inquiry = book.inquire(now);
        drop(book.change());
        book.answer(inquiry, hints(&[]), now);
        assert!(of(&book, "select 1").has(Sign::Opaque) && book.is_due(now + LEAST_PAUSE));
    }

    #[test]
    fn the_longer_it_takes_the_less_it_is_asked() {
        let (book, now) = (Arc::new(HintBook::default()), Instant::now());
        let later = now + LEAST_PAUSE;
        book.answer(book.inquire(now), hints(&[]), later);
        drop(book.change());
        assert!(!book.is_due(later + 19 * LEAST_PAUSE) && book.is_due(later + 20 * LEAST_PAUSE));
    }

    #[test]
    fn a_refusal_leaves_what_is_known_and_is_news_once() {
        let (book, now) = (Arc::new(HintBook::default()), Instant::now());
        book.answer(book.inquire(now), hints(&["f"]), now);
        drop(book.change());
        assert!(book.refuse(book.inquire(now), now) && !book.refuse(book.inquire(now), now));
        assert!(of(&book, "select f()").has(Sign::Seed) && of(&book, "select 1").is_plain());
    }

    #[test]
    fn an_answer_that_says_nothing_new_is_no_new_edition() {
        let (book, now) = (Arc::new(HintBook::default()), Instant::now());
        book.answer(book.inquire(now), hints(&["f"]), now);
        let edition = book.edition();
        assert_eq!(book.grown_old(now + MAX_AGE), Some(now));
        book.answer(book.inquire(now + MAX_AGE), hints(&["f"]), now + MAX_AGE);
        assert_eq!((book.edition(), book.grown_old(now + MAX_AGE)), (edition, None));
    }
}
