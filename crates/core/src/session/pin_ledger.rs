//! Who of a pool's clients is tied to a server connection, and how many may be?
//!
//! One for each pool, shared by all workers. A client that is about to do what pins has a place reserved before the
//! text is sent, and keeps it until it gives its server connection back; the ledger is told when a pin begins or ends. A
//! client that never pins does not meet it before it leaves. It decides nothing about what a pin is and keeps no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pin::printable;
use super::{Pin, PinReason};
use crate::pool::PoolKey;

/// The pins of one pool.
#[derive(Debug)]
pub struct PinLedger {
    pool: PoolKey,
    tell: fn(&PinNews<'_>),
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    max: u32,
    /// By the client's number.
    pinned: BTreeMap<u64, Entry>,
    /// Those who have a place, whether they are pinned yet or not.
    reserved: BTreeSet<u64>,
    /// Pins under way have begun here, and are not counted otherwise.
    sums: BTreeMap<PinReason, PinSums>,
    refused: u64,
}

#[derive(Debug)]
struct Entry {
    application_name: Box<str>,
    /// Since when it is pinned, whatever for.
    since: Instant,
    pin: Pin,
}

impl PinLedger {
    /// Nobody is pinned yet. `max` is `max_pinned`; `tell` hears of each pin that begins or ends.
    #[must_use]
    pub fn new(pool: PoolKey, max: u32, tell: fn(&PinNews<'_>)) -> PinLedger {
        let inner = Inner {
            max,
            pinned: BTreeMap::new(),
            reserved: BTreeSet::new(),
            sums: BTreeMap::new(),
            refused: 0,
        };
        PinLedger { pool, tell, inner: Mutex::new(inner) }
    }

    /// Whose pins they are.
    #[must_use]
    pub fn pool(&self) -> &PoolKey {
        &self.pool
    }

    /// `max_pinned` has changed. Who is pinned stays so.
    pub fn set_max(&self, max: u32) {
        self.lock().max = max;
    }

    /// May this client be pinned? Then it has a place until it [withdraws](Self::withdraw). One that is pinned already
    /// takes no further place by another reason.
    #[must_use]
    pub fn reserve(&self, client: u64) -> bool {
        let mut inner = self.lock();
        let admitted = !inner.is_full() || inner.has(client);
        if admitted {
            inner.reserved.insert(client);
        }
        admitted
    }

    /// How many are pinned.
    #[must_use]
    pub fn pinned(&self) -> u32 {
        u32::try_from(self.lock().pinned.len()).unwrap_or(u32::MAX)
    }

    /// The client is not going to be pinned: its place is free.
    pub fn withdraw(&self, client: u64) {
        self.lock().reserved.remove(&client);
    }

    /// No other client may be pinned.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lock().is_full()
    }

    /// The client is pinned from now on, or for another reason than before.
    pub fn pin(&self, client: u64, application_name: &str, pin: Pin) {
        let mut inner = self.lock();
        let before = inner.pinned.get(&client);
        if before.is_some_and(|entry| entry.pin == pin) {
            return;
        }
        let since = before.map_or(pin.since, |entry| entry.since);
        inner.sums.entry(pin.reason).or_default().begun += 1;
        let application_name = printable(application_name, LONGEST_NAME);
        let entry = Entry { application_name, since, pin: pin.clone() };
        let before = inner.pinned.insert(client, entry);
        let before = before.map(|Entry { pin: before, .. }| (inner.count_time(&before, pin.since), before));
        drop(inner);
        if let Some((lasted, before)) = before {
            self.tell(client, &before, Some(lasted));
        }
        self.tell(client, &pin, None);
    }

    /// The client is pinned no more, or has gone.
    pub fn unpin(&self, client: u64, now: Instant) {
        let mut inner = self.lock();
        let Some(entry) = inner.pinned.remove(&client) else { return };
        let lasted = inner.count_time(&entry.pin, now);
        drop(inner);
        self.tell(client, &entry.pin, Some(lasted));
    }

    /// A client was told that it may not be pinned: counts that, and says who is in its way.
    #[must_use]
    pub fn refuse(&self, now: Instant) -> PinCrowd {
        let mut inner = self.lock();
        inner.refused += 1;
        let mut by_age: Vec<(&u64, &Entry)> = inner.pinned.iter().collect();
        by_age.sort_by_key(|(_, entry)| entry.since);
        let oldest = by_age.into_iter().take(NAMED).map(|(client, entry)| entry.row(*client, now));
        PinCrowd {
            oldest: oldest.collect(),
            pinned: inner.pinned.len(),
            about_to_be: inner.places() - inner.pinned.len(),
            max: inner.max,
            pool: self.pool.clone(),
        }
    }

    /// Who is pinned, by the client's number.
    #[must_use]
    pub fn rows(&self, now: Instant) -> Vec<PinRow> {
        self.lock().pinned.iter().map(|(client, entry)| entry.row(*client, now)).collect()
    }

    /// How many pins there were and are, and for how long.
    #[must_use]
    pub fn tally(&self, now: Instant) -> PinTally {
        let inner = self.lock();
        let mut by_reason = inner.sums.clone();
        for Entry { pin, .. } in inner.pinned.values() {
            let sums = by_reason.entry(pin.reason).or_default();
            sums.pinned += 1;
            sums.time += now.saturating_duration_since(pin.since);
        }
        let longest = inner.pinned.values().map(|entry| now.saturating_duration_since(entry.since)).max();
        PinTally { by_reason, longest, refused: inner.refused, max: inner.max }
    }

    /// Outside the lock, since it is not known what `tell` does.
    fn tell(&self, client: u64, pin: &Pin, lasted: Option<Duration>) {
        (self.tell)(&PinNews { pool: &self.pool, client, pin, lasted });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn is_full(&self) -> bool {
        self.places() as u64 >= u64::from(self.max)
    }

    /// How many are pinned or may be at any moment.
    fn places(&self) -> usize {
        let not_yet = self.reserved.iter().filter(|client| !self.pinned.contains_key(client));
        self.pinned.len() + not_yet.count()
    }

    fn has(&self, client: u64) -> bool {
        self.pinned.contains_key(&client) || self.reserved.contains(&client)
    }

    /// A pin has ended: how long it has lasted.
    fn count_time(&mut self, pin: &Pin, now: Instant) -> Duration {
        let lasted = now.saturating_duration_since(pin.since);
        self.sums.entry(pin.reason).or_default().time += lasted;
        lasted
    }
}

impl Entry {
    fn row(&self, client: u64, now: Instant) -> PinRow {
        PinRow {
            client,
            application_name: self.application_name.clone(),
            age: now.saturating_duration_since(self.pin.since),
            pin: self.pin.clone(),
        }
    }
}

/// A pin has begun or ended.
#[derive(Clone, Copy, Debug)]
pub struct PinNews<'a> {
    /// Whose server connection it is.
    pub pool: &'a PoolKey,
    /// The client's number.
    pub client: u64,
    /// What it is.
    pub pin: &'a Pin,
    /// It has ended after this time.
    pub lasted: Option<Duration>,
}

/// A client that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRow {
    /// The client's number.
    pub client: u64,
    /// Its `application_name` when the pin began.
    pub application_name: Box<str>,
    /// What for.
    pub pin: Pin,
    /// For how long.
    pub age: Duration,
}

/// The pins of one pool in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinTally {
    /// Reasons for which anybody has been pinned since start. A client is pinned for one at a time.
    pub by_reason: BTreeMap<PinReason, PinSums>,
    /// How long the client that is pinned longest has been, whatever for.
    pub longest: Option<Duration>,
    /// Clients that were not allowed to pin, since start.
    pub refused: u64,
    /// `max_pinned`.
    pub max: u32,
}

impl PinTally {
    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> PinSums {
        self.by_reason.values().fold(PinSums::default(), |sum, other| PinSums {
            pinned: sum.pinned + other.pinned,
            begun: sum.begun + other.begun,
            time: sum.time + other.time,
        })
    }
}

/// The pins of one pool for one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PinSums {
    /// Clients that are pinned.
    pub pinned: u64,
    /// Pins that have begun since start.
    pub begun: u64,
    /// Time that clients were pinned since start, of pins under way too.
    pub time: Duration,
}

/// Why a client may not be pinned: who is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinCrowd {
    pool: PoolKey,
    pinned: usize,
    /// Their statements run just now.
    about_to_be: usize,
    max: u32,
    /// Those who are pinned longest.
    oldest: Vec<PinRow>,
}

impl fmt::Display for PinCrowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PinCrowd { pool, pinned, about_to_be, max, oldest } = self;
        let places = pinned + about_to_be;
        write!(f, "{places} of at most {max} server connections of pool {pool} are pinned")?;
        if *about_to_be > 0 {
            write!(
                f,
                " ({about_to_be} of them in a moment, if the statements that run leave something behind)"
            )?;
        }
        for (index, row) in oldest.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { ", " })?;
            write!(f, "client {}", row.client)?;
            if !row.application_name.is_empty() {
                write!(f, " (\"{}\")", row.application_name)?;
            }
            write!(f, " for {} s by {}", row.age.as_secs(), row.pin)?;
        }
        match pinned.saturating_sub(oldest.len()) {
            0 => f.write_str("."),
            more => write!(f, ", and {more} more."),
        }
    }
}

const LONGEST_NAME: usize = 64;
/// How many are named in a refusal.
const NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pool() -> PoolKey {
        PoolKey { database: "shop".into(), user: "ann".into() }
    }

    fn ledger(max: u32) -> PinLedger {
        PinLedger::new(pool(), max, |_| {})
    }

    fn temp(name: &str, since: Instant) -> Pin {
        Pin::new(PinReason::TempObject, Some(name), b"create temp table", since)
    }

    #[test]
    fn it_is_full_at_its_limit_for_everybody_who_is_not_pinned() {
        let (ledger, start) = (ledger(2), Instant::now());
        ledger.pin(1, "", temp("a", start));
        assert!(!ledger.is_full());
        ledger.pin(2, "", temp("b", start));
        assert!(ledger.is_full());
        assert!(ledger.reserve(2) && !ledger.reserve(3));
        ledger.withdraw(2);
        // Another reason takes no further place.
        ledger.pin(2, "", Pin::new(PinReason::AdvisoryLock, None, b"", start));
        ledger.unpin(1, start);
        ledger.unpin(1, start);
        assert!(!ledger.is_full() && ledger.reserve(3));
        ledger.set_max(1);
        assert!(ledger.is_full());
    }

    #[test]
    fn a_place_is_taken_before_the_pin_and_given_back_without_one() {
        let (ledger, start) = (ledger(2), Instant::now());
        assert!(ledger.reserve(1) && ledger.reserve(2) && ledger.reserve(1) && !ledger.reserve(3));
        ledger.pin(1, "", temp("a", start));
        assert_eq!(
            ledger.refuse(start).to_string(),
            "2 of at most 2 server connections of pool shop/ann are pinned (1 of them in a moment, if the statements \
             that run leave something behind): client 1 for 0 s by temporary object \"a\"."
        );
        ledger.withdraw(2);
        assert!(ledger.reserve(3) && !ledger.reserve(2));
        // It may be pinned again as long as it has its place.
        ledger.unpin(1, start);
        assert!(!ledger.reserve(2) && ledger.reserve(1));
        ledger.withdraw(1);
        assert!(ledger.reserve(2) && !ledger.reserve(1));
        ledger.withdraw(7);
    }

    #[test]
    fn time_is_counted_once_whatever_the_reasons_and_while_it_runs() {
        let (ledger, start) = (ledger(9), Instant::now());
        ledger.pin(1, "", temp("a", start));
        ledger.pin(1, "", temp("a", start));
        ledger.pin(1, "", Pin::new(PinReason::AdvisoryLock, None, b"", start + SECOND));
        ledger.pin(2, "", temp("b", start));
        assert_eq!(
            ledger.rows(start + 3 * SECOND).iter().map(|row| row.age).collect::<Vec<_>>(),
            [2 * SECOND, 3 * SECOND]
        );
        assert_eq!(ledger.tally(start + 3 * SECOND).longest, Some(3 * SECOND), "whatever the reasons");
        ledger.unpin(1, start + 3 * SECOND);
        let tally = ledger.tally(start + 4 * SECOND);
        let sums = |pinned, begun, time| PinSums { pinned, begun, time };
        assert_eq!(
            Vec::from_iter(tally.by_reason.clone()),
            [
                (PinReason::TempObject, sums(1, 2, 5 * SECOND)),
                (PinReason::AdvisoryLock, sums(0, 1, 2 * SECOND))
            ]
        );
        assert_eq!(tally.total(), sums(1, 3, 7 * SECOND));
        assert_eq!((tally.longest, tally.refused, tally.max), (Some(4 * SECOND), 0, 9));
        ledger.unpin(2, start + 5 * SECOND);
        let tally = ledger.tally(start + 9 * SECOND);
        assert_eq!((tally.longest, tally.total()), (None, sums(0, 3, 8 * SECOND)), "it has stopped");
    }

    #[test]
    fn a_refusal_names_the_three_oldest() {
        let (ledger, start) = (ledger(4), Instant::now());
        ledger.pin(12, "till\n1", temp("t", start + SECOND));
        ledger.pin(7, "", Pin::new(PinReason::AdvisoryLock, None, b"", start));
        ledger.pin(
            3,
            "",
            Pin::new(PinReason::Policy(crate::settings::StateKind::Listen), None, b"", start + 2 * SECOND),
        );
        let now = start + 35 * SECOND;
        assert_eq!(
            ledger.refuse(now).to_string(),
            "3 of at most 4 server connections of pool shop/ann are pinned: client 7 for 35 s by session-level \
             advisory lock, client 12 (\"till 1\") for 34 s by temporary object \"t\", client 3 for 33 s by LISTEN, \
             pinned by session_state."
        );
        ledger.pin(1, "", temp("u", start + 9 * SECOND));
        assert!(ledger.refuse(now).to_string().ends_with("session_state, and 1 more."));
        assert_eq!(ledger.tally(now).refused, 2);
    }

    #[test]
    fn each_begin_and_end_is_told() {
        thread_local! {
            static HEARD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
        }
        fn hear(news: &PinNews<'_>) {
            let line = format!("{} {} {:?}", news.client, news.pin, news.lasted.map(|time| time.as_secs()));
            HEARD.with_borrow_mut(|heard| heard.push(line));
        }
        let (ledger, start) = (PinLedger::new(pool(), 1, hear), Instant::now());
        ledger.pin(1, "", temp("a", start));
        ledger.pin(1, "", Pin::new(PinReason::Seed, None, b"", start + SECOND));
        ledger.unpin(1, start + 3 * SECOND);
        ledger.unpin(1, start + 4 * SECOND);
        assert_eq!(
            HEARD.take(),
            [
                "1 temporary object \"a\" None",
                "1 temporary object \"a\" Some(1)",
                "1 setseed None",
                "1 setseed Some(2)"
            ]
        );
    }
}
