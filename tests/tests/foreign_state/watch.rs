//! How many looks have been taken, and what was seen?

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter, Write};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use howdah_tests::{Database, RawClient};

use crate::client::Client;
use crate::dice::Dice;
use crate::twins::Difference;

/// Clients that look until enough has been seen.
pub(crate) struct Watch {
    wanted: usize,
    seed: u64,
    looks: AtomicUsize,
    serial: AtomicUsize,
    findings: Mutex<Vec<Finding>>,
    started: Instant,
}

impl Watch {
    pub(crate) fn new(wanted: usize) -> Self {
        let random = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| u64::from(since.subsec_nanos()));
        let seed = number_from_env("HOWDAH_WATCH_SEED").unwrap_or_else(random);
        let (looks, serial) = (AtomicUsize::new(0), AtomicUsize::new(1));
        Self { wanted, seed, looks, serial, findings: Mutex::new(Vec::new()), started: Instant::now() }
    }

    pub(crate) fn run(&self, database: &Database, connection: &(dyn Fn() -> RawClient + Sync)) {
        let mut dice = Dice::new(self.seed);
        let pools = [("watch_super", 24), ("watch_plain", 16)].map(|user| (user, AtomicUsize::new(PINNING)));
        std::thread::scope(|scope| {
            for ((user, clients), pins) in &pools {
                for _ in 0..*clients {
                    let dice = dice.fork();
                    scope.spawn(move || {
                        Client::new(self, database, connection, user, pins, dice).live();
                    });
                }
            }
        });
    }

    pub(crate) fn is_over(&self) -> bool {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.looks.load(Ordering::Relaxed) >= self.wanted || findings >= ENOUGH
    }

    pub(crate) fn count_look(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that no other session has.
    pub(crate) fn next_serial(&self) -> usize {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn note(&self, finding: Finding) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    pub(crate) fn report(&self) {
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = self.looks.load(Ordering::Relaxed);
        let mut text = format!(
            "{} of {looks} looks saw something foreign or lost, in {:.0?}, HOWDAH_WATCH_SEED={}\n",
            findings.len(),
            self.started.elapsed(),
            self.seed
        );
        let mut kinds: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
        for finding in findings.iter() {
            kinds.entry(finding.kind()).or_default().push(finding);
        }
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, of_kind)| Reverse(of_kind.len()));
        for (kind, of_kind) in kinds {
            writeln!(text, "\n{} × {kind}, such as", of_kind.len()).expect("writing to a String cannot fail");
            for finding in of_kind.iter().take(EXAMPLES) {
                writeln!(text, "{finding}").expect("writing to a String cannot fail");
            }
        }
        say(&text);
        assert!(findings.is_empty(), "see above");
        assert!(looks >= self.wanted, "the clients gave up early");
    }
}

/// Something seen that should not have been.
pub(crate) struct Finding {
    pub(crate) user: &'static str,
    pub(crate) difference: Difference,
    pub(crate) history: Vec<String>,
}

impl Finding {
    /// Where it showed and after what, without the values: findings of a kind have a cause in common, more often than
    /// not.
    fn kind(&self) -> String {
        let what = self.difference.what.split(' ').next().unwrap_or_default();
        let last =
            self.history.last().map_or("", |step| step.split(['\'', '=', ',']).next().unwrap_or_default());
        format!("{what} after {last}…")
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let history = self.history.join("\n        ");
        write!(
            f,
            "    {}: {}\n      after\n        {history}",
            self.user,
            self.difference.details.join("\n      ")
        )
    }
}

pub(crate) fn number_from_env<N: FromStr>(name: &str) -> Option<N> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[expect(clippy::print_stderr, reason = "the watch's result, and the seed to repeat it with")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// How many clients of a pool may keep a server connection for themselves at the same time.
const PINNING: usize = 2;
/// How many findings of a kind are told in full.
const EXAMPLES: usize = 2;
/// After so many findings the watch ends: there is nothing to be learnt from more.
const ENOUGH: usize = 300;
