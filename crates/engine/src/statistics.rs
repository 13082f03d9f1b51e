//! The averages of SHOW STATS: sums of the last full `stats_period`; and what the workers' own counters lack.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use howdah_core::facts::{Counters, PoolPins};
use howdah_core::session::PinLedger;

use crate::shared::Shared;

/// The last full period, and where the one under way began.
pub(crate) struct Period {
    began: Instant,
    at_beginning: BTreeMap<Arc<str>, Counters>,
    last: BTreeMap<Arc<str>, Counters>,
    last_length: Duration,
}

impl Period {
    pub(crate) fn new(now: Instant) -> Period {
        Period {
            began: now,
            at_beginning: BTreeMap::new(),
            last: BTreeMap::new(),
            last_length: Duration::ZERO,
        }
    }

    /// The period under way is over; these are the sums since start.
    pub(crate) fn turn(&mut self, totals: BTreeMap<Arc<str>, Counters>, now: Instant) {
        let before = |name: &Arc<str>| self.at_beginning.get(name).copied().unwrap_or_default();
        self.last = totals.iter().map(|(name, sums)| (Arc::clone(name), *sums - before(name))).collect();
        self.last_length = now.saturating_duration_since(self.began);
        self.began = now;
        self.at_beginning = totals;
    }

    pub(crate) fn of(&self, database: &str) -> Counters {
        self.last.get(database).copied().unwrap_or_default()
    }

    pub(crate) fn length(&self) -> Duration {
        self.last_length
    }

    /// All databases together.
    pub(crate) fn sum(&self) -> Counters {
        self.last.values().fold(Counters::default(), |mut sum, counters| {
            sum += *counters;
            sum
        })
    }
}

/// What is counted by pool and not by worker: the pins.
pub(crate) fn pins(shared: &Shared, now: Instant) -> Vec<PoolPins> {
    let row = |ledger: Arc<PinLedger>| PoolPins {
        database: Arc::clone(&ledger.pool().database),
        user: Arc::clone(&ledger.pool().user),
        tally: ledger.tally(now),
    };
    let mut pins: Vec<PoolPins> = shared.pin_ledgers().into_iter().map(row).collect();
    pins.sort_by(|a, b| (&a.database, &a.user).cmp(&(&b.database, &b.user)));
    pins
}

/// The same as sums since start, by database.
pub(crate) fn of_pins(pins: &[PoolPins]) -> impl Iterator<Item = (Arc<str>, Counters)> {
    pins.iter().map(|PoolPins { database, tally, .. }| {
        let total = tally.total();
        let counters = Counters {
            pins: total.begun,
            pin_time: u64::try_from(total.time.as_micros()).unwrap_or(u64::MAX),
            pins_refused: tally.refused,
            ..Counters::default()
        };
        (Arc::clone(database), counters)
    })
}
