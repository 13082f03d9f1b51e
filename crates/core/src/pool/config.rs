//! What a pool may do, and whose setting wins.

use std::time::{Duration, Instant};

use crate::settings::{PoolMode, Settings};

/// The rules of one pool. A limit or time that is switched off is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// When clients give back.
    pub mode: PoolMode,
    /// Connections in all.
    pub size: u32,
    /// Connections kept open without need.
    pub min_size: u32,
    /// Connections beyond `size` for when the line stands.
    pub reserve_size: u32,
    /// How long the first in line waits before the reserve is used; `None`: it never is.
    pub reserve_timeout: Option<Duration>,
    /// Who waits this long is refused.
    pub query_wait: Option<Duration>,
    /// Who waits this long is told so.
    pub query_wait_notify: Option<Duration>,
    /// Age at which an unused connection is closed, give or take 5 %.
    pub lifetime: Option<Duration>,
    /// Idle time after which a connection beyond `min_size` is closed.
    pub idle_timeout: Option<Duration>,
    /// Idle time after which a connection is checked before use; `None`: never.
    pub check_delay: Option<Duration>,
    /// Reuse the longest idle one instead of the last used.
    pub round_robin: bool,
    /// Longest pause between two tries to open one.
    pub login_retry: Duration,
    /// Connections of all pools of this database.
    pub max_db_connections: Option<u32>,
    /// Connections of all pools of this user.
    pub max_user_connections: Option<u32>,
}

impl PoolConfig {
    /// How many connections its clients can count on while no other pool takes any of what the limits allow: one of that
    /// may be a listener connection, which a pool's own size does not count.
    #[must_use]
    pub fn for_clients(&self) -> u32 {
        let limits = [self.max_db_connections, self.max_user_connections];
        limits.into_iter().flatten().map(|limit| limit.saturating_sub(1)).fold(self.size, u32::min)
    }

    /// PgBouncer's precedence: the user's word over the database's over the defaults. `user` is the one logged in
    /// on the server, so a forced user's entry counts, not the client's.
    #[must_use]
    pub fn resolve(settings: &Settings, database: &str, user: &str) -> PoolConfig {
        let defaults = &settings.pool;
        let timeouts = &settings.timeouts;
        let database = settings.databases.get(database).or(settings.any_database.as_ref());
        let user = settings.users.get(user);
        PoolConfig {
            mode: user
                .and_then(|u| u.pool_mode)
                .or_else(|| database.and_then(|d| d.pool_mode))
                .unwrap_or(defaults.mode),
            size: user
                .and_then(|u| u.pool_size)
                .or_else(|| database.and_then(|d| d.pool_size))
                .unwrap_or(defaults.size),
            min_size: database.and_then(|d| d.min_pool_size).unwrap_or(defaults.min_size),
            reserve_size: user
                .and_then(|u| u.reserve_pool_size)
                .or_else(|| database.and_then(|d| d.reserve_pool_size))
                .unwrap_or(defaults.reserve_size),
            reserve_timeout: timeouts.reserve_pool,
            query_wait: user
                .and_then(|u| u.query_wait_timeout)
                .or_else(|| database.and_then(|d| d.query_wait_timeout))
                .unwrap_or(timeouts.query_wait),
            query_wait_notify: timeouts.query_wait_notify,
            lifetime: database.and_then(|d| d.server_lifetime).unwrap_or(timeouts.server_lifetime),
            idle_timeout: timeouts.server_idle,
            check_delay: defaults.check_query.is_some().then_some(timeouts.server_check_delay),
            round_robin: defaults.round_robin,
            login_retry: timeouts.server_login_retry,
            max_db_connections: database
                .and_then(|d| d.max_db_connections)
                .unwrap_or(defaults.max_db_connections),
            max_user_connections: user
                .and_then(|u| u.max_user_connections)
                .unwrap_or(defaults.max_user_connections),
        }
    }

    /// Unused since then, it has to be checked before use.
    pub(super) fn needs_check(&self, unused_since: Instant, now: Instant) -> bool {
        self.check_delay.is_some_and(|delay| now.saturating_duration_since(unused_since) >= delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Database, User};

    #[test]
    fn the_users_word_is_over_the_databases_over_the_defaults() {
        let mut settings = Settings::default();
        let shop = Database {
            pool_size: Some(7),
            reserve_pool_size: Some(3),
            max_db_connections: Some(None),
            query_wait_timeout: Some(Some(Duration::from_secs(9))),
            ..Database::default()
        };
        let report = User {
            pool_size: Some(2),
            pool_mode: Some(PoolMode::Statement),
            query_wait_timeout: Some(None),
            ..User::default()
        };
        settings.pool.max_db_connections = Some(50);
        settings.databases.insert("shop".to_owned(), shop);
        settings.users.insert("report".to_owned(), report);

        let both = PoolConfig::resolve(&settings, "shop", "report");
        assert_eq!((both.size, both.reserve_size, both.mode), (2, 3, PoolMode::Statement));
        assert_eq!((both.query_wait, both.max_db_connections), (None, None));

        let database = PoolConfig::resolve(&settings, "shop", "anna");
        assert_eq!((database.size, database.mode), (7, PoolMode::Session));
        assert_eq!(database.query_wait, Some(Duration::from_secs(9)));

        let neither = PoolConfig::resolve(&settings, "elsewhere", "anna");
        assert_eq!((neither.size, neither.reserve_size, neither.max_db_connections), (20, 0, Some(50)));
    }

    #[test]
    fn clients_can_count_on_what_the_limits_leave() {
        let pool = PoolConfig::resolve(&Settings::default(), "shop", "anna");
        assert_eq!(pool.for_clients(), 20);
        for (database, user, expected) in [(Some(50), None, 20), (Some(8), Some(5), 4), (Some(0), None, 0)] {
            let limited =
                PoolConfig { max_db_connections: database, max_user_connections: user, ..pool.clone() };
            assert_eq!(limited.for_clients(), expected, "{database:?} {user:?}");
        }
    }

    #[test]
    fn a_database_met_through_the_star_has_the_stars_rules() {
        let star = Database { pool_size: Some(4), ..Database::default() };
        let settings = Settings { any_database: Some(star), ..Settings::default() };
        assert_eq!(PoolConfig::resolve(&settings, "any", "anna").size, 4);
    }

    #[test]
    fn without_a_check_query_there_is_no_check_delay() {
        let mut settings = Settings::default();
        assert_eq!(PoolConfig::resolve(&settings, "a", "b").check_delay, Some(Duration::from_secs(30)));
        settings.pool.check_query = None;
        assert_eq!(PoolConfig::resolve(&settings, "a", "b").check_delay, None);
    }
}
