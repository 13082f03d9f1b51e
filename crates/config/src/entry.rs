//! An entry of `[databases]` or `[users]`: which database is behind a name, what a user may use.

use std::time::Duration;

use howdah_core::settings::{Database, PoolMode, StateOverride, User};

use crate::conninfo::{PairError, Pairs};
use crate::problem::{Place, Problem};
use crate::settings::{state, text};
use crate::userlist;

/// Reads the value of `name = …` in `[databases]`.
pub(crate) fn database(name: &str, text: &str, place: &Place, problems: &mut Vec<Problem>) -> Database {
    let mut database = Database::default();
    let mut entry = Entry { kind: "database", name, place, problems };
    entry.pairs(text, DATABASE_KEYS, |entry, key, value| match key {
        "host" => database.hosts = text::list(value),
        "port" => database.port = entry.port(value),
        "dbname" => database.dbname = Some(value.to_owned()),
        "user" => database.forced_user = Some(value.to_owned()),
        "password" => database.password = Some(userlist::secret(value)),
        "client_encoding" | "datestyle" | "timezone" | "application_name" => {
            database.startup_parameters.insert(key.to_owned(), value.to_owned());
        }
        "pool_size" => database.pool_size = entry.number(key, value).map(unlimited),
        "min_pool_size" => database.min_pool_size = entry.number(key, value),
        "reserve_pool_size" | "reserve_pool" => database.reserve_pool_size = entry.number(key, value),
        "pool_mode" => database.pool_mode = entry.pool_mode(value),
        "max_db_connections" => database.max_db_connections = entry.limit(key, value),
        "max_db_client_connections" => database.max_db_client_connections = entry.limit(key, value),
        "server_lifetime" => database.server_lifetime = entry.time(key, value),
        "query_wait_timeout" => database.query_wait_timeout = entry.time(key, value),
        "connect_query" => database.connect_query = Some(value.to_owned()),
        "load_balance_hosts" => database.fixed_host_order = entry.fixed_host_order(value),
        key if STATE_KEYS.contains(&key) => entry.state(&mut database.state, key, value),
        _ => entry.warn(format!("{key} is known to PgBouncer, not built yet: it has no effect"), WIDENS),
    });
    database
}

/// Reads the value of `name = …` in `[users]`.
pub(crate) fn user(name: &str, text: &str, place: &Place, problems: &mut Vec<Problem>) -> User {
    let mut user = User::default();
    let mut entry = Entry { kind: "user", name, place, problems };
    entry.pairs(text, USER_KEYS, |entry, key, value| match key {
        "pool_mode" => user.pool_mode = entry.pool_mode(value),
        "pool_size" => user.pool_size = entry.number(key, value).map(unlimited),
        "reserve_pool_size" => user.reserve_pool_size = entry.number(key, value),
        "max_user_connections" => user.max_user_connections = entry.limit(key, value),
        "max_user_client_connections" => user.max_user_client_connections = entry.limit(key, value),
        "transaction_timeout" => user.transaction_timeout = entry.time(key, value),
        "idle_transaction_timeout" => user.idle_transaction_timeout = entry.time(key, value),
        "query_timeout" => user.query_timeout = entry.time(key, value),
        "query_wait_timeout" => user.query_wait_timeout = entry.time(key, value),
        "client_idle_timeout" => user.client_idle_timeout = entry.time(key, value),
        _ => entry.state(&mut user.state, key, value),
    });
    user
}

/// Where an entry's mistakes go.
struct Entry<'a> {
    kind: &'static str,
    name: &'a str,
    place: &'a Place,
    problems: &'a mut Vec<Problem>,
}

impl Entry<'_> {
    fn pairs(&mut self, text: &str, known: &[(&str, &str)], mut take: impl FnMut(&mut Self, &str, &str)) {
        // Behind an unquoted password with spaces in it, a "key" may be half the password: it is not repeated.
        let mut behind_password = false;
        for pair in Pairs::new(text) {
            match pair {
                Ok((key, value)) if known.iter().any(|(name, _)| *name == key) => {
                    behind_password |= key == "password";
                    take(self, &key, &value);
                }
                Ok((key, _)) => self.unknown(&key, known, behind_password),
                Err(_) if behind_password => self.error(PairError::NoEquals.to_string()),
                Err(error) => self.error(error.to_string()),
            }
        }
    }

    fn unknown(&mut self, key: &str, known: &[(&str, &str)], behind_password: bool) {
        let problem = if behind_password {
            self.problem("unknown key after the password".to_owned())
                .hint("a password with spaces needs single quotes")
        } else {
            self.problem(format!("unknown key \"{key}\"")).suggest(key, known.iter().map(|(name, _)| *name))
        };
        self.problems.push(problem);
    }

    /// A number; a negative one says "as the defaults", as with PgBouncer.
    fn number(&mut self, key: &str, value: &str) -> Option<u32> {
        match value.parse::<i64>() {
            Ok(number) if number < 0 => None,
            Ok(number) if number <= i64::from(i32::MAX) => u32::try_from(number).ok(),
            _ => {
                self.invalid(key, value, "expected a whole number");
                None
            }
        }
    }

    /// A number where 0 lifts the limit for this entry.
    fn limit(&mut self, key: &str, value: &str) -> Option<Option<u32>> {
        self.number(key, value).map(|number| (number > 0).then_some(number))
    }

    /// Seconds. To PgBouncer a 0 here says "as the defaults".
    fn time(&mut self, key: &str, value: &str) -> Option<Option<Duration>> {
        match text::seconds(value) {
            Ok(time) if time.is_zero() => {
                self.warn(format!("{key}=0 means the general {key}, as with PgBouncer"), "leave it out");
                None
            }
            Ok(time) => Some(Some(time)),
            Err(error) => {
                self.invalid(key, value, &error.to_string());
                None
            }
        }
    }

    fn port(&mut self, value: &str) -> Option<u16> {
        let port = value.parse().ok().filter(|&port: &u16| port > 0);
        if port.is_none() {
            self.invalid("port", value, "expected a number from 1 to 65535");
        }
        port
    }

    fn pool_mode(&mut self, value: &str) -> Option<PoolMode> {
        let mode = text::word(text::POOL_MODES, value);
        if mode.is_none() {
            self.invalid(
                "pool_mode",
                value,
                &format!("expected one of {}", text::POOL_MODE_WORDS.join(", ")),
            );
        }
        mode
    }

    fn state(&mut self, state: &mut StateOverride, key: &str, value: &str) {
        let checked = match key {
            "session_state" => state::choice(value).map(|kinds| state.kinds = kinds),
            "session_state_check" => text::word(state::CHECKS, value)
                .ok_or(text::Invalid::NotAWord(state::CHECK_WORDS))
                .map(|check| state.check = Some(check)),
            "max_pinned" if value.starts_with('-') => Ok(()),
            "max_pinned" => state::max_pinned(value).map(|max| state.max_pinned = Some(max)),
            // Not one of PgBouncer's, so 0 need not mean what its times do.
            _ => text::seconds(value)
                .map(|time| state.pin_idle_timeout = Some(Some(time).filter(|time| !time.is_zero()))),
        };
        if let Err(error) = checked {
            self.invalid(key, value, &error.to_string());
        }
    }

    fn fixed_host_order(&mut self, value: &str) -> bool {
        text::word(&[("disable", true), ("round-robin", false)], value).unwrap_or_else(|| {
            self.invalid("load_balance_hosts", value, "expected one of round-robin, disable");
            false
        })
    }

    fn invalid(&mut self, key: &str, value: &str, why: &str) {
        self.error(format!("invalid value \"{value}\" for {key}: {why}"));
    }

    fn error(&mut self, message: String) {
        let problem = self.problem(message);
        self.problems.push(problem);
    }

    fn warn(&mut self, message: String, hint: &str) {
        let problem = Problem { severity: crate::Severity::Warning, ..self.problem(message) };
        self.problems.push(problem.hint(hint));
    }

    fn problem(&self, message: String) -> Problem {
        Problem::error(format!("{} \"{}\": {message}", self.kind, self.name)).at(self.place)
    }
}

/// A pool size of 0 is no limit.
fn unlimited(size: u32) -> u32 {
    if size == 0 { u32::MAX } else { size }
}

/// The keys of session state, in entries of both kinds.
const STATE_KEYS: [&str; 4] = ["session_state", "session_state_check", "max_pinned", "pin_idle_timeout"];

/// The keys of an entry of `[databases]` and what they mean.
pub(crate) const DATABASE_KEYS: &[(&str, &str)] = &[
    ("host", "where PostgreSQL listens: names or addresses with commas, or the directory of its Unix socket"),
    ("port", "its port; 5432"),
    ("dbname", "the database's name there; the entry's own"),
    ("user", "every client is this user on the server"),
    ("password", "the password of `user`; without it the one in `auth_file`"),
    ("client_encoding", "given to new server connections"),
    ("datestyle", "given to new server connections"),
    ("timezone", "given to new server connections"),
    ("application_name", "given to new server connections"),
    ("pool_size", "instead of `default_pool_size`"),
    ("min_pool_size", "instead of the general one"),
    ("reserve_pool_size", "instead of the general one"),
    ("reserve_pool", "the older name of `reserve_pool_size`"),
    ("pool_mode", "instead of the general one"),
    ("max_db_connections", "instead of the general one"),
    ("max_db_client_connections", "instead of the general one"),
    ("server_lifetime", "instead of the general one"),
    ("query_wait_timeout", "instead of the general one"),
    ("connect_query", "SQL run on each new server connection before it is used"),
    ("load_balance_hosts", "`round-robin` through the hosts, or `disable`: always from the first"),
    ("session_state", "over the general one, kind by kind"),
    ("session_state_check", "instead of the general one"),
    ("max_pinned", "instead of the general one"),
    ("pin_idle_timeout", "instead of the general one; 0 is off"),
    ("auth_user", "not built yet"),
    ("auth_dbname", "not built yet"),
    ("auth_query", "not built yet"),
];

/// The keys of an entry of `[users]` and what they mean. The user's word is over the database's.
pub(crate) const USER_KEYS: &[(&str, &str)] = &[
    ("pool_mode", "instead of the database's or the general one"),
    ("pool_size", "instead of the database's or `default_pool_size`"),
    ("reserve_pool_size", "instead of the database's or the general one"),
    ("max_user_connections", "instead of the general one"),
    ("max_user_client_connections", "instead of the general one"),
    ("transaction_timeout", "instead of the general one"),
    ("idle_transaction_timeout", "instead of the general one"),
    ("query_timeout", "instead of the general one"),
    ("query_wait_timeout", "instead of the database's or the general one"),
    ("client_idle_timeout", "instead of the general one"),
    ("session_state", "over the database's and the general one, kind by kind"),
    ("session_state_check", "instead of the database's or the general one"),
    ("max_pinned", "instead of the database's or the general one"),
    ("pin_idle_timeout", "instead of the database's or the general one; 0 is off"),
];

pub(crate) const WIDENS: &str = "users that only the server knows are refused";
