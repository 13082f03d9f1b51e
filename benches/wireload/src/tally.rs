//! What came of a stretch of load.

use std::time::{Duration, Instant};

use crate::usage;

/// Answers, and how long each took.
#[derive(Default)]
pub(crate) struct Tally {
    latencies: Vec<Duration>,
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.latencies.push(latency);
    }

    pub(crate) fn answers(&self) -> usize {
        self.latencies.len()
    }

    /// In milliseconds, what each of these shares of the answers did not exceed.
    pub(crate) fn quantiles<const N: usize>(&mut self, shares: [f64; N]) -> [f64; N] {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        shares.map(|share| {
            let place = ((last as f64) * share).round() as usize;
            self.latencies.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
        })
    }
}

/// Time and CPU from one moment on: of the processes under test, of their peers, and of this one.
pub(crate) struct Meter<'a> {
    pids: [&'a [u32]; 3],
    since: Instant,
    cpu: [Duration; 3],
}

impl Meter<'_> {
    pub(crate) fn start<'a>(tested: &'a [u32], peers: &'a [u32], own: &'a [u32]) -> Meter<'a> {
        let pids = [tested, peers, own];
        Meter { pids, since: Instant::now(), cpu: pids.map(usage::cpu) }
    }

    /// Seconds since, and CPU seconds of each.
    pub(crate) fn read(&self) -> (f64, [f64; 3]) {
        let mut used = [0.0; 3];
        for ((used, pids), before) in used.iter_mut().zip(self.pids).zip(self.cpu) {
            *used = usage::cpu(pids).saturating_sub(before).as_secs_f64();
        }
        (self.since.elapsed().as_secs_f64(), used)
    }
}
