//! How many files may this process have open, and is that enough for what the settings allow?
//!
//! The soft limit is raised to the hard one, always. What is then still missing is said, not refused: whoever allows
//! 10,000 clients need not have them.

use howdah_core::settings::{Database, Settings, User};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files as far as allowed and says what it is now; `None`: there is none.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// What is short, if anything.
pub(crate) fn shortage(settings: &Settings, allowed: Option<u64>) -> Option<String> {
    let allowed = allowed?;
    let clients = u64::from(settings.clients.max_client_conn);
    let servers = server_connections(settings);
    let needed = clients.saturating_add(servers).saturating_add(OWN_FILES);
    (needed > allowed).then(|| {
        format!(
            "{allowed} open files are allowed, but max_client_conn = {clients} with up to {servers} server \
             connections may need {needed}: clients may be refused; raise the limit (systemd: \
             LimitNOFILE={needed}, a shell: ulimit -n {needed}) or lower max_client_conn"
        )
    })
}

/// How many server connections all pools together may have.
fn server_connections(settings: &Settings) -> u64 {
    let databases = settings.databases.values().chain(&settings.any_database);
    databases.map(|database| of_database(settings, database)).fold(0, u64::saturating_add)
}

fn of_database(settings: &Settings, database: &Database) -> u64 {
    let none = User::default();
    let pools = match &database.forced_user {
        Some(name) => pool_size(settings, database, settings.users.get(name).unwrap_or(&none)),
        None => {
            let names = settings
                .secrets
                .keys()
                .chain(settings.users.keys().filter(|name| !settings.secrets.contains_key(*name)));
            let sizes =
                names.map(|name| pool_size(settings, database, settings.users.get(name).unwrap_or(&none)));
            // Without a list of users, one is assumed.
            sizes
                .fold(None, |sum: Option<u64>, size| Some(sum.unwrap_or(0).saturating_add(size)))
                .unwrap_or_else(|| pool_size(settings, database, &none))
        }
    };
    let cap = database.max_db_connections.unwrap_or(settings.pool.max_db_connections);
    cap.map_or(pools, |cap| pools.min(cap.into()))
}

/// The user's size counts before the database's.
fn pool_size(settings: &Settings, database: &Database, user: &User) -> u64 {
    let size = user.pool_size.or(database.pool_size).unwrap_or(settings.pool.size);
    let reserve = user.reserve_pool_size.or(database.reserve_pool_size).unwrap_or(settings.pool.reserve_size);
    u64::from(size) + u64::from(reserve)
}

/// Listeners, the log, each worker's epoll, cancel requests under way.
const OWN_FILES: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let loaded = howdah_config::parse_str(text);
        assert!(loaded.is_usable(), "{:?}", loaded.problems);
        loaded.settings
    }

    #[test]
    fn counts_what_the_pools_may_open() {
        for (text, expected) in [
            ("[databases]\na = host=h user=u\n[pgbouncer]\n", 20),
            ("[databases]\na = host=h\n[pgbouncer]\n", 20),
            ("[databases]\na = host=h pool_size=3 reserve_pool_size=2\nb = host=h\n[pgbouncer]\n", 25),
            ("[databases]\na = host=h\n[users]\nu = pool_size=7\nv = pool_mode=session\n[pgbouncer]\n", 27),
            ("[databases]\na = host=h max_db_connections=4\n* = host=h\n[pgbouncer]\n", 24),
        ] {
            assert_eq!(server_connections(&settings(text)), expected, "{text}");
        }
    }

    #[test]
    fn says_what_is_short() {
        let settings = settings("[databases]\na = host=h\n[pgbouncer]\nmax_client_conn = 5000\n");
        assert_eq!(shortage(&settings, None), None);
        assert_eq!(shortage(&settings, Some(5084)), None);
        let text = shortage(&settings, Some(5083)).unwrap();
        assert!(text.contains("5083 open files") && text.contains("LimitNOFILE=5084"), "{text}");
    }
}
