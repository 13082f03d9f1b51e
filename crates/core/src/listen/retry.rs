//! When may a lost listener connection be opened again?

use std::time::{Duration, Instant};

/// The pause before the next try: none after a connection that worked, then doubling.
#[derive(Debug, Default)]
pub(super) struct Retry {
    in_a_row: u32,
    at: Option<Instant>,
}

impl Retry {
    /// The last try worked.
    pub(super) fn succeeded(&mut self) {
        *self = Retry::default();
    }

    /// The last try failed.
    pub(super) fn failed(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.in_a_row.min(MAX_DOUBLINGS)).min(LONGEST_PAUSE);
        self.in_a_row += 1;
        self.at = now.checked_add(pause);
    }

    /// The time before which nothing is tried, unless it has come.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.at.filter(|&at| now < at)
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const MAX_DOUBLINGS: u32 = 8;
