//! How often connections have ended, and why: one set per worker, summed when somebody looks.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use super::CloseReason;

/// Connections that have ended since start, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closes {
    /// Of clients, those that were not let in included.
    pub clients: BTreeMap<CloseReason, u64>,
    /// To servers, those that could not be opened included.
    pub servers: BTreeMap<CloseReason, u64>,
}

impl Closes {
    /// A client has gone.
    pub fn client(&mut self, reason: CloseReason) {
        *self.clients.entry(reason).or_default() += 1;
    }

    /// A server connection is no more, or has not come about.
    pub fn server(&mut self, reason: CloseReason) {
        *self.servers.entry(reason).or_default() += 1;
    }
}

impl AddAssign for Closes {
    fn add_assign(&mut self, other: Closes) {
        for (sums, more) in [(&mut self.clients, other.clients), (&mut self.servers, other.servers)] {
            for (reason, count) in more {
                *sums.entry(reason).or_default() += count;
            }
        }
    }
}
