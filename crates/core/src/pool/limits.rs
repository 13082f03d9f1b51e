//! How many connections have all pools of a database, or of a user, and who waits for one of them to close?
//!
//! Counters change only when connections are opened or closed. A pool that needs one and may not open it stands
//! in the line of the limit that stopped it, in one line at most.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{PoolConfig, PoolId, PoolKey};

/// A limit that pools share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// `max_db_connections`.
    Database,
    /// `max_user_connections`.
    User,
}

/// All groups of pools that share a limit.
#[derive(Default)]
pub(super) struct Limits {
    databases: Groups,
    users: Groups,
}

impl Limits {
    /// A new pool joins its database's and its user's group.
    pub(super) fn admit(&mut self, key: &PoolKey, pool: PoolId) -> Membership {
        Membership {
            database: self.databases.admit(&key.database, pool),
            user: self.users.admit(&key.user, pool),
        }
    }

    /// A slot was taken.
    pub(super) fn opened(&mut self, membership: Membership) {
        for limit in [Limit::Database, Limit::User] {
            self.group_mut(limit, membership).servers += 1;
        }
    }

    /// A slot became free.
    pub(super) fn closed(&mut self, membership: Membership) {
        for limit in [Limit::Database, Limit::User] {
            self.group_mut(limit, membership).servers -= 1;
        }
    }

    /// May a pool of these rules open another one, once `freed` have been closed?
    pub(super) fn has_room(&self, limit: Limit, of: Membership, config: &PoolConfig, freed: u32) -> bool {
        limit
            .maximum(config)
            .is_none_or(|maximum| self.group(limit, of).servers < maximum.saturating_add(freed))
    }

    /// There are more than one of the limits allows: it was lowered.
    #[inline]
    pub(super) fn is_exceeded(&self, of: Membership, config: &PoolConfig) -> bool {
        self.exceeds(Limit::Database, of, config) || self.exceeds(Limit::User, of, config)
    }

    /// There are more than this limit allows.
    #[inline]
    pub(super) fn exceeds(&self, limit: Limit, of: Membership, config: &PoolConfig) -> bool {
        limit.maximum(config).is_some_and(|maximum| self.group(limit, of).servers > maximum)
    }

    /// Some pool stands in line at one of these limits.
    #[inline]
    pub(super) fn is_contended(&self, of: Membership) -> bool {
        !self.group(Limit::Database, of).line.is_empty() || !self.group(Limit::User, of).line.is_empty()
    }

    /// All pools under this limit.
    pub(super) fn pools(&self, limit: Limit, of: Membership) -> &[PoolId] {
        &self.group(limit, of).pools
    }

    /// The pools in line at this limit, in no order.
    pub(super) fn line(&self, limit: Limit, of: Membership) -> &[PoolId] {
        &self.group(limit, of).line
    }

    pub(super) fn join_line(&mut self, limit: Limit, of: Membership, pool: PoolId) {
        self.group_mut(limit, of).line.push(pool);
    }

    pub(super) fn leave_line(&mut self, limit: Limit, of: Membership, pool: PoolId) {
        self.group_mut(limit, of).line.retain(|&other| other != pool);
    }

    #[inline]
    fn group(&self, limit: Limit, of: Membership) -> &Group {
        let group = match limit {
            Limit::Database => self.databases.groups.get(of.database),
            Limit::User => self.users.groups.get(of.user),
        };
        group.expect("groups are numbered here and never removed")
    }

    fn group_mut(&mut self, limit: Limit, of: Membership) -> &mut Group {
        let group = match limit {
            Limit::Database => self.databases.groups.get_mut(of.database),
            Limit::User => self.users.groups.get_mut(of.user),
        };
        group.expect("groups are numbered here and never removed")
    }
}

impl Limit {
    fn maximum(self, config: &PoolConfig) -> Option<u32> {
        match self {
            Limit::Database => config.max_db_connections,
            Limit::User => config.max_user_connections,
        }
    }
}

/// Which groups a pool belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    database: usize,
    user: usize,
}

impl Membership {
    /// Both are under this limit together.
    pub(super) fn shares(self, limit: Limit, other: Membership) -> bool {
        match limit {
            Limit::Database => self.database == other.database,
            Limit::User => self.user == other.user,
        }
    }
}

#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    by_name: FxHashMap<Arc<str>, usize>,
}

impl Groups {
    fn admit(&mut self, name: &Arc<str>, pool: PoolId) -> usize {
        let index = *self.by_name.entry(Arc::clone(name)).or_insert_with(|| {
            self.groups.push(Group::default());
            self.groups.len() - 1
        });
        if let Some(group) = self.groups.get_mut(index) {
            group.pools.push(pool);
        }
        index
    }
}

#[derive(Default)]
struct Group {
    servers: u32,
    pools: Vec<PoolId>,
    line: Vec<PoolId>,
}
