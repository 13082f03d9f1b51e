//! When may a pool try again after a server refused?
//!
//! States: *trusted* (the last try worked, or there was none), *running* (a pause is being kept), *due* (the pause
//! is over: one try at a time until one works).

use std::time::{Duration, Instant};

use super::OpenFailure;
use super::jitter::Jitter;

/// What the last failure says about the next try.
#[derive(Default)]
pub(super) struct Backoff {
    failed: Option<Failed>,
}

struct Failed {
    in_a_row: u32,
    retry_at: Instant,
    error: OpenFailure,
}

impl Backoff {
    /// The last try failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failed.is_some()
    }

    /// Why the last try failed, if it did.
    pub(super) fn failure(&self) -> Option<&OpenFailure> {
        self.failed.as_ref().map(|failed| &failed.error)
    }

    /// The last try failed and it is too early for another.
    pub(super) fn running(&self, now: Instant) -> Option<&OpenFailure> {
        self.failed.as_ref().filter(|failed| now < failed.retry_at).map(|failed| &failed.error)
    }

    pub(super) fn succeeded(&mut self) {
        self.failed = None;
    }

    /// Tries made side by side that fail together count as one failure.
    pub(super) fn failed(
        &mut self,
        error: OpenFailure,
        now: Instant,
        longest: Duration,
        jitter: &mut Jitter,
    ) {
        match &mut self.failed {
            Some(failed) if now < failed.retry_at => failed.error = error,
            before => {
                let in_a_row = before.as_ref().map_or(1, |failed| failed.in_a_row.saturating_add(1));
                let doubled = FIRST_PAUSE.saturating_mul(1 << (in_a_row - 1).min(MAX_DOUBLINGS));
                let pause = doubled.min(longest).mul_f64(jitter.between(0.75, 1.0));
                *before = Some(Failed { in_a_row, retry_at: now + pause, error });
            }
        }
    }
}

/// Short enough for a restart of the server to go by almost unseen.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// 100 ms · 2¹⁶ is beyond any sensible `server_login_retry`.
const MAX_DOUBLINGS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn error() -> OpenFailure {
        Arc::new(crate::server::OpenError::Closed)
    }

    #[test]
    fn pauses_begin_short_double_and_end_at_the_longest() {
        let (mut backoff, mut jitter, mut now) = (Backoff::default(), Jitter::new(1), Instant::now());
        let longest = Duration::from_secs(15);
        let mut pauses = Vec::new();
        for _ in 0..40 {
            backoff.failed(error(), now, longest, &mut jitter);
            let retry_at = backoff.failed.as_ref().unwrap().retry_at;
            pauses.push(retry_at - now);
            now = retry_at;
        }
        assert!(pauses[0] <= Duration::from_millis(100) && pauses[0] >= Duration::from_millis(75));
        assert!(pauses[3] >= Duration::from_millis(600) && pauses[3] <= Duration::from_millis(800));
        assert!(pauses.iter().all(|&pause| pause <= longest));
        assert!(pauses[39] >= longest.mul_f64(0.75));
    }

    #[test]
    fn failures_side_by_side_count_once() {
        let (mut backoff, mut jitter, now) = (Backoff::default(), Jitter::new(1), Instant::now());
        for _ in 0..8 {
            backoff.failed(error(), now, Duration::from_secs(15), &mut jitter);
        }
        assert_eq!(backoff.failed.as_ref().unwrap().in_a_row, 1);
        assert!(backoff.running(now + Duration::from_millis(100)).is_none());
        assert!(backoff.is_failing());
    }
}
