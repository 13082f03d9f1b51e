//! What is odd about settings that are valid one by one. Only what would surprise an operator later.

use howdah_core::settings::{AuthMethod, Database, Settings};

use crate::loader::Places;
use crate::problem::{Place, Problem};

/// Looks at the whole; `file` is where problems without a line of their own are.
pub(crate) fn check(
    settings: &Settings,
    secrets_read: bool,
    places: &Places,
    file: &Place,
    problems: &mut Vec<Problem>,
) {
    let at = |name: &str| places.settings.get(name).unwrap_or(file);
    let mut tell = |problem: Problem, name: &str| problems.push(problem.at(at(name)));

    if settings.listen.addresses.is_empty() && settings.listen.unix_socket_dir.is_none() {
        let problem = Problem::error("nothing to listen on: listen_addr and unix_socket_dir are both empty");
        tell(problem, "unix_socket_dir");
    }
    if settings.clients.max_client_conn == 0 {
        tell(Problem::warning("max_client_conn is 0: nobody can connect"), "max_client_conn");
    }
    if settings.pool.size == u32::MAX {
        tell(no_limit("default_pool_size"), "default_pool_size");
    } else if settings.pool.min_size > settings.pool.size {
        let message = "min_pool_size is larger than default_pool_size, which limits it";
        tell(Problem::warning(message), "min_pool_size");
    }
    if settings.auth.method != AuthMethod::Any && settings.auth.file.is_none() {
        let problem = Problem::warning("there is no auth_file: no user is known, so no client is admitted");
        tell(problem.hint("name a userlist.txt in auth_file"), "auth_type");
    }
    if settings.databases.is_empty() && settings.any_database.is_none() {
        problems.push(Problem::warning("[databases] is empty: there is nothing to connect to").at(file));
    }
    let any = settings.any_database.as_ref().map(|database| ("*", database));
    let named = settings.databases.iter().map(|(name, database)| (name.as_str(), database));
    for (name, database) in named.chain(any) {
        let place = places.databases.get(name).unwrap_or(file);
        for problem in database_problems(name, database, settings, secrets_read) {
            problems.push(problem.at(place));
        }
    }
}

fn database_problems(
    name: &str,
    database: &Database,
    settings: &Settings,
    secrets_read: bool,
) -> impl Iterator<Item = Problem> {
    let size = database.pool_size.unwrap_or(settings.pool.size);
    let unlimited = (database.pool_size == Some(u32::MAX)).then(|| no_limit("pool_size"));
    let min = database.min_pool_size.filter(|&min| min > size).map(|_| {
        Problem::warning(format!(
            "database \"{name}\": min_pool_size is larger than the pool, which limits it"
        ))
    });
    let user = match &database.forced_user {
        None if settings.auth.method == AuthMethod::Any => {
            let message = format!("database \"{name}\" has no user: with auth_type any it admits no client");
            Some(Problem::warning(message).hint("add user=…"))
        }
        Some(user) if database.password.is_none() && secrets_read && !settings.secrets.contains_key(user) => {
            let message = format!("database \"{name}\": no password for its user \"{user}\"");
            Some(Problem::warning(message).hint("without one the server must trust Howdah"))
        }
        _ => None,
    };
    [unlimited, min, user].into_iter().flatten()
}

fn no_limit(name: &str) -> Problem {
    Problem::warning(format!("{name} is 0, which means no limit, as with PgBouncer"))
}
