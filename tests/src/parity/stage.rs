//! Where is a script played: on direct connections, or through Howdah among others?

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::crowd::Crowd;
use super::seat::Seat;
use crate::raw::client::RawClient;

/// What the scripted clients connect to.
pub(super) enum Stage {
    /// PostgreSQL.
    Direct { socket: PathBuf, database: String },
    /// A pool of Howdah's for each user, each with its crowd; nobody else in session mode.
    Howdah { socket: PathBuf, pool: String, pool_size: usize, crowds: Option<BTreeMap<String, Crowd>> },
}

impl Stage {
    /// A connection, not logged in.
    pub(super) fn connect(&self) -> RawClient {
        match self {
            Self::Direct { socket, .. } | Self::Howdah { socket, .. } => RawClient::unix(socket),
        }
    }

    /// Somebody who prepares the database. Through Howdah it goes by Howdah as well, as migrations do: what functions
    /// do that are made behind its back is only found in time.
    pub(super) fn migrator(&self) -> Option<RawClient> {
        let Self::Howdah { pool, .. } = self else { return None };
        let mut migrator = self.connect();
        migrator.login(pool, "postgres");
        Some(migrator)
    }

    /// Whether a client has one server connection of Howdah's as long as it stays: what it sends to others bears the
    /// process id of that one.
    pub(super) fn keeps_servers(&self) -> bool {
        matches!(self, Self::Howdah { crowds: None, .. })
    }

    /// The database's name in the startup packet.
    pub(super) fn database(&self) -> &str {
        match self {
            Self::Direct { database, .. } => database,
            Self::Howdah { pool, .. } => pool,
        }
    }

    /// Lets the others use the server connections and leaves to the client at `seat` one that it did not have before.
    pub(super) fn scatter(&mut self, letter: char, seats: &BTreeMap<char, Seat>) {
        let Self::Howdah { socket, pool, pool_size, crowds: Some(crowds) } = self else { return };
        let Some(seat) = seats.get(&letter) else { return };
        let user = seat.user();
        let held = seats.values().filter(|other| other.user() == user && other.holds_a_server()).count();
        let crowd =
            crowds.entry(user.to_owned()).or_insert_with(|| Crowd::gather(socket, pool, user, *pool_size));
        crowd.scatter(letter, held);
    }

    /// Lets the others end their transactions.
    pub(super) fn disperse(&mut self) {
        self.crowds().for_each(Crowd::disperse);
    }

    /// Another script begins.
    pub(super) fn forget(&mut self) {
        self.crowds().for_each(Crowd::forget);
    }

    /// What the others found that was not theirs, since the last time.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        self.crowds().flat_map(Crowd::complaints).collect()
    }

    /// How often a client was brought to another server connection, and how often not.
    pub(super) fn scatters(&mut self) -> (usize, usize) {
        self.crowds().fold((0, 0), |sum, crowd| (sum.0 + crowd.scatters.0, sum.1 + crowd.scatters.1))
    }

    fn crowds(&mut self) -> impl Iterator<Item = &mut Crowd> {
        let crowds = match self {
            Self::Howdah { crowds: Some(crowds), .. } => Some(crowds),
            _ => None,
        };
        crowds.into_iter().flat_map(BTreeMap::values_mut)
    }
}
