//! The simulation: the engine's own tasks, workers and pools between scripted clients and a model PostgreSQL, over
//! pipes in memory, on virtual time, from a seed.
//!
//! A seed is run twice the same: whatever happens by chance comes from [`Chance`]. Every question says who asks, and
//! every reply who asked; what must hold is in `replies` (for one client) and in `check` (for all, at the end).
//!
//! `HOWDAH_SEED=n cargo test -p howdah-engine simulation::one_seed` runs one seed and tells what happened in it.
//!
//! * `plan` – what a seed stands for
//! * `world` – one Howdah, one PostgreSQL, the clients
//! * `postgres`, `backend`, `sql` – the model PostgreSQL
//! * `client`, `script`, `replies` – the clients
//! * `faults` – what goes wrong meanwhile
//! * `check` – what must hold
//! * `wire`, `chance` – the parts

mod backend;
mod chance;
mod check;
mod client;
mod faults;
mod plan;
mod postgres;
mod replies;
mod script;
mod sql;
mod wire;
mod world;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub(crate) use chance::Chance;

/// Fails with what was wrong in this seed and what had happened before.
fn expect_well(seed: u64) -> usize {
    let report = world::run(seed, false);
    if report.failures.is_empty() {
        return report.checked;
    }
    let log = world::run(seed, true).log;
    let last = log.len().saturating_sub(LINES_SHOWN);
    panic!(
        "seed {seed}: {}\n(HOWDAH_SEED={seed} cargo test -p howdah-engine simulation::one_seed tells all)\n{}",
        report.failures.join("\n"),
        log[last..].join("\n"),
    );
}

#[test]
fn a_thousand_seeds() {
    let (next, checked) = (AtomicU64::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&n| n < SEEDS) {
                    checked.fetch_add(expect_well(seed), Ordering::Relaxed);
                }
            });
        }
    });
    assert!(checked.into_inner() > 50_000, "the clients asked too little to show anything");
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var("HOWDAH_SEED").ok().and_then(|text| text.parse().ok()) else { return };
    let report = world::run(seed, true);
    let log = report.log.join("\n");
    assert!(report.failures.is_empty(), "seed {seed}\n{log}\n{}", report.failures.join("\n"));
}

#[test]
fn a_seed_is_run_twice_the_same() {
    for seed in 0..5 {
        let (first, second) = (world::run(seed, true), world::run(seed, true));
        assert!(first.log.len() > 50, "{}", first.log.len());
        assert_eq!(first.log, second.log);
    }
}

const SEEDS: u64 = 1000;
/// Of the log of a seed that went wrong among a thousand.
const LINES_SHOWN: usize = 60;
