//! How long did it take, for half of them, for nearly all of them? Counts durations, exact to 3 %.

use std::time::Duration;

/// Durations by size: below 32 µs each microsecond has its own count, above it every doubling has 32.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; (DOUBLINGS + 1) * STEPS] }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = place(micros).min(self.counts.len() - 1);
        self.counts[place] += 1;
    }

    /// What came since `earlier`, an older state of the same histogram.
    pub(crate) fn since(&self, earlier: &Histogram) -> Histogram {
        let pairs = self.counts.iter().zip(&earlier.counts);
        Histogram { counts: pairs.map(|(now, then)| now.saturating_sub(*then)).collect() }
    }

    /// The duration that `share` (0 to 1) of all did not exceed; `None` without any.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.counts.iter().sum();
        let rank = ((all as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(highest(place)))
    }
}

fn place(micros: u64) -> usize {
    let steps = STEPS as u64;
    if micros < steps {
        return micros as usize;
    }
    let doubling = micros.ilog2() - steps.ilog2();
    (doubling as usize + 1) * STEPS + ((micros >> doubling) - steps) as usize
}

/// The longest duration counted in that place.
fn highest(place: usize) -> u64 {
    let (row, step) = (place / STEPS, (place % STEPS) as u64);
    match row {
        0 => step,
        _ => ((STEPS as u64 + step + 1) << (row - 1)) - 1,
    }
}

const STEPS: usize = 32;
/// Up to 32 µs · 2³⁰, more than nine hours.
const DOUBLINGS: usize = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_counted_where_it_belongs() {
        for micros in (0..10_000).chain([65_535, 65_536, 1_000_000, 3_600_000_000]) {
            let highest = highest(place(micros));
            assert!(highest >= micros && highest <= micros + micros / 32, "{micros} {highest}");
        }
        let mut histogram = Histogram::default();
        histogram.add(Duration::MAX);
        assert!(histogram.quantile(1.0).unwrap() > Duration::from_secs(9 * 3600));
    }

    #[test]
    fn finds_quantiles_also_of_the_last_while() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=100 {
            histogram.add(Duration::from_millis(millis));
        }
        let earlier = histogram.clone();
        histogram.add(Duration::from_micros(7));
        let about = |millis: f64, found: Option<Duration>| {
            let found = found.unwrap().as_secs_f64() * 1e3;
            assert!((found / millis - 1.0).abs() < 0.04, "{found}");
        };
        about(50.0, histogram.quantile(0.5));
        about(99.0, histogram.quantile(0.99));
        about(100.0, histogram.quantile(1.0));
        assert_eq!(histogram.since(&earlier).quantile(0.5), Some(Duration::from_micros(7)));
    }
}
