//! Where the samples of a family come from, and what tells them apart.

use std::collections::BTreeMap;

use howdah_core::facts::{
    ClientRow, CloseReason, Closes, Counters, DatabaseRow, PoolRow, ServerRow, Snapshot, UserRow,
};
use howdah_core::session::{PinSums, PinTally};

use super::Process;
use super::text::Value;

/// All there is to be seen at one moment.
pub(super) struct Scene<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) process: &'a Process,
}

/// The rows that a family has samples of, and the number it takes from each.
pub(super) enum Source {
    /// There is one; `None`: it is not known.
    One(fn(&Scene<'_>) -> Option<Value>),
    /// No number, but a word in the label of this name.
    Word(&'static [&'static str; 1], fn(&Scene<'_>) -> &'static str),
    Databases(fn(&DatabaseRow) -> Value),
    /// Sums since start, by database.
    Stats(fn(&Counters) -> Value),
    /// `None`: this user has none of its own.
    Users(fn(&UserRow) -> Option<Value>),
    Pools(fn(&PoolRow) -> Value),
    /// Of each pool, by state.
    PoolStates(&'static [PoolState]),
    /// Summed by database and user.
    Clients(fn(&ClientRow) -> u64),
    /// Summed by database and user.
    Servers(fn(&ServerRow) -> u64),
    /// Pool by pool.
    Pins(fn(&PinTally) -> Value),
    /// Pool by pool, and by reason.
    PinReasons(fn(&PinSums) -> Value),
    /// By reason.
    Closes(fn(&Closes) -> &BTreeMap<CloseReason, u64>),
}

/// A state and how many of a pool are in it.
pub(super) type PoolState = (&'static str, fn(&PoolRow) -> u64);

impl Source {
    /// The names of the labels.
    pub(super) fn labels(&self) -> &'static [&'static str] {
        match self {
            Source::One(_) => &[],
            Source::Word(label, _) => *label,
            Source::Databases(_) | Source::Stats(_) => &["database"],
            Source::Users(_) => &["user"],
            Source::Pools(_) | Source::Clients(_) | Source::Servers(_) | Source::Pins(_) => {
                &["database", "user"]
            }
            Source::PoolStates(_) => &["database", "user", "state"],
            Source::PinReasons(_) => &["database", "user", "reason"],
            Source::Closes(_) => &["reason"],
        }
    }

    /// Tells each sample: the labels' values, as many as there are labels, and the number.
    pub(super) fn each(&self, scene: &Scene<'_>, tell: &mut dyn FnMut(&[&str], Value)) {
        let Snapshot { databases, stats, users, pools, clients, servers, pins, closes, .. } = scene.snapshot;
        match self {
            Source::One(number) => number(scene).into_iter().for_each(|value| tell(&[], value)),
            Source::Word(_, word) => tell(&[word(scene)], Value::Count(1)),
            Source::Databases(number) => databases.iter().for_each(|row| tell(&[&row.name], number(row))),
            Source::Stats(number) => stats.iter().for_each(|row| tell(&[&row.database], number(&row.total))),
            Source::Users(number) => {
                for row in users {
                    number(row).into_iter().for_each(|value| tell(&[&row.name], value));
                }
            }
            Source::Pools(number) => {
                pools.iter().for_each(|row| tell(&[&row.database, &row.user], number(row)));
            }
            Source::PoolStates(states) => {
                for row in pools {
                    for (state, number) in *states {
                        tell(&[&row.database, &row.user, state], number(row).into());
                    }
                }
            }
            Source::Clients(number) => {
                sums(clients.iter().map(|row| (&*row.database, &*row.user, number(row))), tell);
            }
            Source::Servers(number) => {
                sums(servers.iter().map(|row| (&*row.database, &*row.user, number(row))), tell);
            }
            Source::Pins(number) => {
                pins.iter().for_each(|row| tell(&[&row.database, &row.user], number(&row.tally)));
            }
            Source::PinReasons(number) => {
                for row in pins {
                    for (reason, sums) in &row.tally.by_reason {
                        tell(&[&row.database, &row.user, &reason.to_string()], number(sums));
                    }
                }
            }
            Source::Closes(which) => {
                which(closes).iter().for_each(|(reason, &count)| tell(&[&reason.to_string()], count.into()));
            }
        }
    }
}

fn sums<'a>(rows: impl Iterator<Item = (&'a str, &'a str, u64)>, tell: &mut dyn FnMut(&[&str], Value)) {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (database, user, count) in rows {
        *sums.entry((database, user)).or_default() += count;
    }
    for ((database, user), sum) in sums {
        tell(&[database, user], sum.into());
    }
}
