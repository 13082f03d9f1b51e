//! The simulation: the engine's own tasks, workers and pools between scripted clients and a model PostgreSQL, over
//! pipes in memory, on virtual time, from a seed.
//!
//! A seed is run twice the same: whatever happens by chance comes from [`Chance`]. Every question says who asks, and
//! every reply who asked; what must hold is in `replies` (for one client) and in `check` (for all, at the end).
//!
//! `HOWDAH_SEED=n cargo test -p howdah-engine simulation::one_seed` runs one seed and, if it goes wrong, tells all that
//! happened in it.
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

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub(crate) use chance::Chance;
use plan::{PipeKind, Plan, Trouble};

/// Runs these seeds on all cores; fails with what was wrong in the first that went wrong, and what had happened
/// before. Returns how many replies were checked.
fn expect_well(seeds: Range<u64>, circumstances: impl Fn(&mut Plan) + Sync) -> usize {
    let (next, checked) = (AtomicU64::new(seeds.start), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let one = |seed| {
        let report = world::run(seed, false, &circumstances);
        checked.fetch_add(report.checked, Ordering::Relaxed);
        if report.failures.is_empty() {
            return;
        }
        let log = world::run(seed, true, &circumstances).log;
        let last = log.len().saturating_sub(LINES_SHOWN);
        panic!("seed {seed}: {}\n{}", report.failures.join("\n"), log[last..].join("\n"));
    };
    std::thread::scope(|scope| {
        let work = || {
            while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&n| n < seeds.end) {
                one(seed);
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    checked.into_inner()
}

#[test]
fn a_thousand_seeds() {
    let checked = expect_well(0..1000, |_| {});
    assert!(checked > 50_000, "the clients asked too little to show anything: {checked}");
}

/// What is sent is nearly always more than a socket takes at once.
#[test]
fn with_tiny_sockets() {
    expect_well(0..60, |plan| {
        let tiny = PipeKind { largest_piece: 1000, longest_delay: 0, capacity: 16 };
        (plan.client_pipes, plan.server_pipes) = (tiny, tiny);
    });
}

/// Each byte arrives alone, and late.
#[test]
fn byte_by_byte() {
    expect_well(0..40, |plan| {
        let single = PipeKind { largest_piece: 1, longest_delay: 1, capacity: 65_536 };
        (plan.client_pipes, plan.server_pipes) = (single, single);
    });
}

/// Clients send and take a byte now and then, and servers do not.
#[test]
fn with_clients_that_trickle() {
    expect_well(0..40, |plan| {
        plan.client_pipes = PipeKind { largest_piece: 1, longest_delay: 20, capacity: 100 };
    });
}

/// Server connections break in the middle of replies: no client takes one message for another.
#[test]
fn with_breaking_servers() {
    expect_well(0..60, |plan| {
        plan.troubles = vec![Trouble::ResetServer, Trouble::Crash, Trouble::EndIdle, Trouble::ResetServer];
        plan.server_pipes.largest_piece = 64;
    });
}

/// Clients are ended in every state, also while their server connection is being checked for them.
#[test]
fn with_clients_ended_from_outside() {
    expect_well(0..100, |plan| {
        plan.troubles = [Trouble::KillClient, Trouble::ResetClient].repeat(20);
        (plan.check_delay, plan.slow_servers) = (0, true);
    });
}

/// Cancel requests come while Howdah itself asks something.
#[test]
fn with_slow_servers() {
    expect_well(0..100, |plan| (plan.slow_servers, plan.troubles) = (true, Vec::new()));
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var("HOWDAH_SEED").ok().and_then(|text| text.parse().ok()) else { return };
    let report = world::run(seed, true, &|_| {});
    let log = report.log.join("\n");
    assert!(report.failures.is_empty(), "seed {seed}\n{log}\n{}", report.failures.join("\n"));
}

#[test]
fn a_seed_is_run_twice_the_same() {
    let mut lines = 0;
    for seed in 0..20 {
        let run = || world::run(seed, true, &|_| {}).log;
        let (first, second) = (run(), run());
        assert_eq!(first, second);
        lines += first.len();
    }
    assert!(lines > 1000, "{lines}");
}

/// Of the log of a seed that went wrong among many.
const LINES_SHOWN: usize = 60;
