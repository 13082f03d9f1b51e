//! `howdah serve postgres://user@host/db`: sensible settings for one server, without a file.
//!
//! Clients connect without a password, on this machine only (127.0.0.1:6432 and the Unix socket in `/tmp`), whatever
//! name they give, and are the URL's user on the server. The console answers that name with SHOW only.

use std::collections::BTreeMap;

use howdah_core::settings::{AuthMethod, Database, PoolMode, Settings};

use crate::loader::CONSOLES;
use crate::problem::Problem;
use crate::settings::text;
use crate::userlist;

/// The settings for a server given as `postgres://user[:password]@host[:port]/database`, or with `?host=/directory`
/// for a Unix socket. Without a database every database of the server is served.
///
/// # Errors
/// The URL is no such URL, names no user, or asks for encryption. The password is never repeated.
pub fn for_url(url: &str) -> Result<Settings, Problem> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or_else(|| Problem::error("expected postgres://user@host/database"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, dbname) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut target = Target::default();
    let (user, password) =
        login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    target.set("user", user)?;
    target.set("dbname", dbname)?;
    if let Some(password) = password {
        target.set("password", password)?;
    }
    target.hosts(hosts)?;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        target.set(key, value)?;
    }
    target.settings()
}

/// What a URL says.
#[derive(Default)]
struct Target {
    database: Database,
}

impl Target {
    fn set(&mut self, key: &str, encoded: &str) -> Result<(), Problem> {
        let value = decode(encoded).ok_or_else(|| Problem::error("a %-escape in the URL is invalid"))?;
        if value.is_empty() {
            return Ok(());
        }
        let database = &mut self.database;
        match key {
            "user" => database.forced_user = Some(value),
            "password" => database.password = Some(userlist::secret(&value)),
            "dbname" => database.dbname = Some(value),
            "host" => database.hosts = text::list(&value),
            "port" => database.port = Some(port(&value)?),
            "application_name" | "client_encoding" => {
                database.startup_parameters.insert(key.to_owned(), value);
            }
            "sslmode" if matches!(value.as_str(), "disable" | "allow" | "prefer") => {}
            "sslmode" => {
                return Err(Problem::error(
                    "encryption towards the server is not built yet: sslmode is refused",
                ));
            }
            _ => {
                let problem =
                    Problem::error(format!("unknown parameter \"{}\" in the URL", key.escape_debug()));
                return Err(problem.suggest(key, PARAMETERS));
            }
        }
        Ok(())
    }

    /// `host`, `host:port`, `[::1]:port`, or several with commas and one port.
    fn hosts(&mut self, hosts: &str) -> Result<(), Problem> {
        let mut names = Vec::new();
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            let (name, rest) = match host.strip_prefix('[') {
                Some(inside) => inside
                    .split_once(']')
                    .ok_or_else(|| Problem::error("an address in the URL lacks its ]"))?,
                None => host.split_at_checked(host.find(':').unwrap_or(host.len())).unwrap_or((host, "")),
            };
            names.push(decode(name).ok_or_else(|| Problem::error("a %-escape in the URL is invalid"))?);
            if let Some(digits) = rest.strip_prefix(':') {
                let port = port(digits)?;
                if self.database.port.replace(port).is_some_and(|other| other != port) {
                    return Err(Problem::error("the hosts in the URL must have the same port"));
                }
            } else if !rest.is_empty() {
                return Err(Problem::error("expected host:port in the URL"));
            }
        }
        self.database.hosts = names.into_iter().filter(|name| !name.is_empty()).collect();
        Ok(())
    }

    fn settings(self) -> Result<Settings, Problem> {
        let Some(user) = self.database.forced_user.clone() else {
            return Err(Problem::error("the URL names no user").hint("write postgres://user@host/database"));
        };
        let mut settings = Settings::default();
        settings.listen.addresses = vec!["127.0.0.1".to_owned()];
        settings.auth.method = AuthMethod::Any;
        settings.auth.stats_users = vec![user];
        settings.auth.ignore_startup_parameters = vec!["extra_float_digits".to_owned()];
        settings.pool.mode = PoolMode::Transaction;
        settings.clients.max_client_conn = MOST_CLIENTS;
        match self.database.dbname.clone() {
            Some(name) if CONSOLES.contains(&name.as_str()) => {
                return Err(Problem::error(format!(
                    "the database name \"{name}\" is reserved for the console"
                )));
            }
            Some(name) => settings.databases = BTreeMap::from([(name, self.database)]),
            None => settings.any_database = Some(self.database),
        }
        Ok(settings)
    }
}

fn port(text: &str) -> Result<u16, Problem> {
    let port = text.parse().ok().filter(|&port: &u16| port > 0);
    port.ok_or_else(|| Problem::error("the port in the URL is no number from 1 to 65535"))
}

/// Undoes `%41`; `None` for a broken escape or what is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

const PARAMETERS: [&str; 8] =
    ["user", "password", "dbname", "host", "port", "application_name", "client_encoding", "sslmode"];

/// Enough for a laptop's load test; a client costs little.
const MOST_CLIENTS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn database(url: &str) -> Database {
        let settings = for_url(url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
        settings.databases.into_values().next().or(settings.any_database).expect("one of them")
    }

    #[test]
    fn serves_this_machine_only() {
        let settings = for_url("postgres://app@db.example/shop").unwrap();
        assert_eq!(settings.listen.addresses, ["127.0.0.1"]);
        assert_eq!(settings.listen.port, 6432);
        assert_eq!(settings.listen.unix_socket_dir.as_deref(), Some("/tmp"));
        assert_eq!(settings.auth.method, AuthMethod::Any);
        assert_eq!(settings.pool.mode, PoolMode::Transaction);
        assert!(settings.auth.admin_users.is_empty());
        assert_eq!(settings.databases.keys().collect::<Vec<_>>(), ["shop"]);
        assert_eq!(settings.any_database, None);
        assert!(for_url("postgres://app@db.example").unwrap().any_database.is_some());
    }

    #[test]
    fn reads_all_parts() {
        let db = database("postgresql://a%40b:p%3Aw%2F@h1,h2:5433/d%20b?application_name=x&sslmode=prefer");
        assert_eq!(db.forced_user.as_deref(), Some("a@b"));
        assert_eq!(db.password, Some(userlist::secret("p:w/")));
        assert_eq!((db.hosts.join(" ").as_str(), db.port), ("h1 h2", Some(5433)));
        assert_eq!(db.dbname.as_deref(), Some("d b"));
        assert_eq!(db.startup_parameters.get("application_name").map(String::as_str), Some("x"));

        assert_eq!(database("postgres://u@[::1]:6000/d").hosts, ["::1"]);
        assert_eq!(database("postgres://u@/d?host=/run/postgresql").hosts, ["/run/postgresql"]);
        assert_eq!(database("postgres://u@%2Frun%2Fpg/d").hosts, ["/run/pg"]);
        assert_eq!(database("postgres:///d?user=u&port=1").port, Some(1));
    }

    #[test]
    fn refuses_with_a_reason_and_without_the_password() {
        for (url, message) in [
            (
                "postgres://u@h/pgbouncer",
                "error: the database name \"pgbouncer\" is reserved for the console",
            ),
            ("mysql://u@h/d", "error: expected postgres://user@host/database"),
            ("postgres://h/d", "error: the URL names no user; write postgres://user@host/database"),
            ("postgres://u:hunter2@h:x/d", "error: the port in the URL is no number from 1 to 65535"),
            ("postgres://u:hunter2%zz@h/d", "error: a %-escape in the URL is invalid"),
            ("postgres://u@[::1/d", "error: an address in the URL lacks its ]"),
            ("postgres://u@h:1,i:2/d", "error: the hosts in the URL must have the same port"),
            (
                "postgres://u@h/d?sslmode=require",
                "error: encryption towards the server is not built yet: sslmode is refused",
            ),
            (
                "postgres://u@h/d?hots=x",
                "error: unknown parameter \"hots\" in the URL; did you mean \"host\"?",
            ),
        ] {
            assert_eq!(for_url(url).unwrap_err().to_string(), message);
        }
    }
}
