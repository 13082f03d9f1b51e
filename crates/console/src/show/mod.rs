//! What does SHOW show? Columns by table, known beforehand, and rows from one [`Snapshot`].
//!
//! Names, order and types of columns are PgBouncer's: dashboards and exporters read them by name, scripts
//! by position. What Howdah adds to a table comes after them.

mod connections;
mod databases;
mod fixed;
mod lists;
mod pins;
mod pools;
mod stats;
mod table;
mod timestamp;
mod users;

use howdah_core::control::ConfigRow;
use howdah_core::facts::Snapshot;

pub(crate) use fixed::{USAGE, version};
pub(crate) use table::{Column, Kind, Row, Value};

/// A table, or for HELP a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    Clients,
    Config,
    Databases,
    Help,
    Lists,
    PeerPools,
    Peers,
    Pins,
    Pools,
    Servers,
    State,
    Stats,
    StatsAverages,
    StatsTotals,
    Totals,
    Users,
    Version,
}

impl Show {
    pub(crate) const ALL: [Show; 17] = [
        Show::Clients,
        Show::Config,
        Show::Databases,
        Show::Help,
        Show::Lists,
        Show::PeerPools,
        Show::Peers,
        Show::Pins,
        Show::Pools,
        Show::Servers,
        Show::State,
        Show::Stats,
        Show::StatsAverages,
        Show::StatsTotals,
        Show::Totals,
        Show::Users,
        Show::Version,
    ];

    /// The word after SHOW.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Show::Clients => "CLIENTS",
            Show::Config => "CONFIG",
            Show::Databases => "DATABASES",
            Show::Help => "HELP",
            Show::Lists => "LISTS",
            Show::PeerPools => "PEER_POOLS",
            Show::Peers => "PEERS",
            Show::Pins => "PINS",
            Show::Pools => "POOLS",
            Show::Servers => "SERVERS",
            Show::State => "STATE",
            Show::Stats => "STATS",
            Show::StatsAverages => "STATS_AVERAGES",
            Show::StatsTotals => "STATS_TOTALS",
            Show::Totals => "TOTALS",
            Show::Users => "USERS",
            Show::Version => "VERSION",
        }
    }

    /// `None`: no table at all.
    pub(crate) fn columns(self) -> Option<&'static [Column]> {
        Some(match self {
            Show::Clients | Show::Servers => &connections::COLUMNS,
            Show::Config => &fixed::CONFIG,
            Show::Databases => &databases::COLUMNS,
            Show::Help => return None,
            Show::Lists => &lists::COLUMNS,
            Show::PeerPools => &fixed::PEER_POOLS,
            Show::Peers => &fixed::PEERS,
            Show::Pins => &pins::COLUMNS,
            Show::Pools => &pools::COLUMNS,
            Show::State => &fixed::STATE,
            Show::Stats => &stats::STATS,
            Show::StatsAverages => &stats::AVERAGES,
            Show::StatsTotals => &stats::TOTALS_BY_DATABASE,
            Show::Totals => &stats::TOTALS,
            Show::Users => &users::COLUMNS,
            Show::Version => &fixed::VERSION,
        })
    }

    /// What its rows are made of.
    pub(crate) fn source(self) -> Source {
        match self {
            Show::Clients => Source::Snapshot(connections::clients),
            Show::Config => Source::Config,
            Show::Databases => Source::Snapshot(databases::rows),
            Show::Help => Source::Notice,
            Show::Lists => Source::Snapshot(lists::rows),
            Show::PeerPools | Show::Peers => Source::Empty,
            Show::Pins => Source::Snapshot(pins::rows),
            Show::Pools => Source::Snapshot(pools::rows),
            Show::Servers => Source::Snapshot(connections::servers),
            Show::State => Source::Snapshot(fixed::state),
            Show::Stats => Source::Snapshot(stats::stats),
            Show::StatsAverages => Source::Snapshot(stats::averages_by_database),
            Show::StatsTotals => Source::Snapshot(stats::totals_by_database),
            Show::Totals => Source::Snapshot(stats::totals),
            Show::Users => Source::Snapshot(users::rows),
            Show::Version => Source::Version,
        }
    }
}

/// What a table's rows are made of.
pub(crate) enum Source {
    Snapshot(fn(&Snapshot) -> Vec<Row<'_>>),
    Config,
    Version,
    Empty,
    Notice,
}

/// Rows of SHOW CONFIG.
pub(crate) fn config(rows: &[ConfigRow]) -> Vec<Row<'_>> {
    rows.iter().map(fixed::config_row).collect()
}

#[cfg(test)]
mod tests;
