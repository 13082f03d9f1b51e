//! Whole files: what they mean and what is said about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use howdah_core::settings::{
    AuthMethod, MaxPinned, Policy, PoolMode, StateCheck, StateKind, StateOverride, StateRules,
};
use howdah_wire::secret::Secret;

use super::*;

fn load_files(files: &[(&str, &str)]) -> Loaded {
    let source: BTreeMap<PathBuf, Vec<u8>> =
        files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect();
    load_from(Path::new(files[0].0), &source)
}

fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

/// What is said about one more line in a file that is otherwise right.
fn about(section: &str, line: &str) -> Vec<String> {
    let main = "[pgbouncer]\nauth_type=any\n[databases]\nd=user=u password=p\n";
    let loaded = parse_str(&format!("{main}[{section}]\n{line}"));
    let said = problems(&loaded);
    said.into_iter().map(|p| p.trim_start_matches("pgbouncer.ini:6: ").to_owned()).collect()
}

fn plain(secret: Option<&Secret>) -> &str {
    match secret {
        Some(Secret::Plain(text)) => text,
        _ => panic!("not a plain secret"),
    }
}

/// The file that INI libraries get wrong: a `#`, a `;` and backslashes in values, an include before an entry.
#[test]
fn reads_the_nasty_file() {
    let loaded = load_files(&[
        (
            "pgbouncer.ini",
            concat!(
                "; comment\n",
                "[databases]\n",
                "App = host=db1,db2 port=5433 user=app password='a\\\\b#c;d' ; not_a_comment=x\n",
                "* = host=/run/postgresql\n",
                "[pgbouncer]\n",
                "  auth_query = SELECT 'x#y' ; -- still the query\n",
                "%include extra.ini\n",
                "listen_addr = *\n",
                "auth_file = userlist.txt\n",
                "ignore_startup_parameters = extra_float_digits, search_path\n",
            ),
        ),
        ("extra.ini", "# nothing but\npool_mode = Transaction\n"),
        ("userlist.txt", "\"app\" \"x\"\n"),
    ]);
    let app = &loaded.settings.databases["App"];
    assert_eq!(plain(app.password.as_ref()), "a\\\\b#c;d");
    assert_eq!((app.hosts.join(" ").as_str(), app.port), ("db1 db2", Some(5433)));
    assert_eq!(loaded.settings.any_database.as_ref().unwrap().hosts, ["/run/postgresql"]);
    assert_eq!(loaded.settings.listen.addresses, ["*"]);
    assert_eq!(loaded.settings.pool.mode, PoolMode::Transaction);
    assert_eq!(loaded.settings.auth.ignore_startup_parameters, ["extra_float_digits", "search_path"]);
    assert!(loaded.settings.secrets.contains_key("app"));
    assert_eq!(
        problems(&loaded),
        [
            "pgbouncer.ini:3: error: database \"App\": expected key=value pairs; a value with spaces needs single quotes",
            "pgbouncer.ini:6: warning: auth_query is known to PgBouncer, not built yet: it has no effect; users that only the server knows are refused",
        ]
    );
    assert!(!loaded.is_usable());
}

#[test]
fn a_usual_file_is_read_in_silence() {
    let loaded = load_files(&[
        (
            "pgbouncer.ini",
            concat!(
                "[databases]\n",
                "shop = host=10.0.0.1 port=5432 dbname=shop_prod pool_size=50 reserve_pool=3 pool_mode=session max_pinned=-1\n",
                "\"odd name\" = host=h session_state='temp:refuse, locks:pin' session_state_check=always max_pinned=0 server_lifetime=60 max_db_connections=0 connect_query='select ''hi'''\n",
                "[users]\n",
                "batch = pool_mode=session max_user_connections=5 query_timeout=600 max_user_client_connections=-1 session_state=warn pin_idle_timeout=30 max_pinned=2\n",
                "idler = pin_idle_timeout=0\n",
                "[pgbouncer]\n",
                "listen_addr = localhost\n",
                "pin_idle_timeout = 60\n",
                "session_state = locks:refuse\n",
                "unix_socket_dir = /var/run/postgresql\n",
                "auth_type = scram-sha-256\n",
                "auth_file = /etc/pgbouncer/userlist.txt\n",
                "pidfile = /var/run/postgresql/pgbouncer.pid\n",
                "server_tls_sslmode = disable\n",
                "syslog = 0\n",
                "pkt_buf = 8192\n",
                "server_idle_timeout = 0.5\n",
                "tcp_user_timeout = 1500\n",
                "unix_socket_mode = 0700\n",
                "auth_hba_file =\n",
            ),
        ),
        (
            "/etc/pgbouncer/userlist.txt",
            "\"shop\" \"SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n",
        ),
    ]);
    assert_eq!(problems(&loaded), Vec::<String>::new());
    assert!(loaded.is_usable() && loaded.secrets_read);
    let settings = &loaded.settings;
    let shop = &settings.databases["shop"];
    assert_eq!(
        (shop.pool_size, shop.reserve_pool_size, shop.pool_mode),
        (Some(50), Some(3), Some(PoolMode::Session))
    );
    let odd = &settings.databases["odd name"];
    assert_eq!(odd.connect_query.as_deref(), Some("select 'hi'"));
    assert_eq!(
        (odd.max_db_connections, odd.server_lifetime),
        (Some(None), Some(Some(Duration::from_secs(60))))
    );
    let batch = &settings.users["batch"];
    assert_eq!((batch.max_user_connections, batch.max_user_client_connections), (Some(Some(5)), None));
    let rules = |database: &str, user: &str| StateRules::resolve(settings, database, user);
    assert_eq!(shop.state, StateOverride::default());
    assert_eq!(rules("shop", "x").policy.of(StateKind::Locks), Policy::Refuse);
    let odd = rules("odd name", "x");
    assert_eq!((odd.check, odd.max_pinned), (StateCheck::Always, MaxPinned::Unlimited));
    assert_eq!([StateKind::Temp, StateKind::Locks].map(|k| odd.policy.of(k)), [Policy::Refuse, Policy::Pin]);
    let both = rules("odd name", "batch");
    assert_eq!([StateKind::Temp, StateKind::Custom].map(|k| both.policy.of(k)), [Policy::Warn, Policy::Warn]);
    assert_eq!((both.check, both.max_pinned), (StateCheck::Always, MaxPinned::AtMost(2)));
    assert_eq!(rules("shop", "idler").pin_idle_timeout, None);
    assert_eq!(both.pin_idle_timeout, Some(Duration::from_secs(30)));
    assert_eq!(batch.query_timeout, Some(Some(Duration::from_secs(600))));
    assert_eq!(settings.auth.method, AuthMethod::ScramSha256);
    assert_eq!(settings.timeouts.server_idle, Some(Duration::from_millis(500)));
    assert_eq!(settings.tcp.user_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(settings.listen.unix_socket_mode, 0o700);
}

#[test]
fn says_what_is_wrong_with_a_setting() {
    const WEAKER: &str =
        "known to PgBouncer, not built yet; without it access or encryption would be weaker than asked for";
    for (line, expected) in [
        ("pool_mod = session", "error: unknown setting \"pool_mod\"; did you mean \"pool_mode\"?".to_owned()),
        (
            "pool_mode = tx",
            "error: invalid value \"tx\" for pool_mode: expected one of session, transaction, statement"
                .to_owned(),
        ),
        ("log_stats = yes", "error: invalid value \"yes\" for log_stats: expected 0 or 1".to_owned()),
        (
            "query_timeout = 5s",
            "error: invalid value \"5s\" for query_timeout: expected a number of seconds, at least 0"
                .to_owned(),
        ),
        (
            "listen_port = 70000",
            "error: invalid value \"70000\" for listen_port: expected a number from 0 to 65535".to_owned(),
        ),
        ("syslog = 1", "warning: syslog is known to PgBouncer, not built yet: it has no effect".to_owned()),
        ("syslog = on", "error: invalid value \"on\" for syslog: expected 0 or 1".to_owned()),
        (
            "auth_user = a",
            "warning: auth_user is known to PgBouncer, not built yet: it has no effect; users that only the server knows are refused".to_owned(),
        ),
        (
            "client_tls_sslmode = allow",
            "warning: client_tls_sslmode is known to PgBouncer, not built yet: it has no effect".to_owned(),
        ),
        (
            "client_tls_ca_file = /ca",
            "warning: client_tls_ca_file is known to PgBouncer, not built yet: it has no effect".to_owned(),
        ),
        (
            "client_tls_sslmode = Require",
            format!("error: invalid value \"Require\" for client_tls_sslmode: {WEAKER}"),
        ),
        (
            "server_tls_sslmode = verify-full",
            format!("error: invalid value \"verify-full\" for server_tls_sslmode: {WEAKER}"),
        ),
        ("auth_hba_file = /hba", format!("error: invalid value \"/hba\" for auth_hba_file: {WEAKER}")),
        (
            "unix_socket_mode = 700",
            "warning: unix_socket_mode without a leading 0 is a decimal number; write 0700".to_owned(),
        ),
    ] {
        let loaded =
            parse_str(&format!("[databases]\nd=user=u password=p\n[pgbouncer]\nauth_type=any\n{line}"));
        assert_eq!(problems(&loaded), [format!("pgbouncer.ini:5: {expected}")], "{line}");
        assert_eq!(loaded.is_usable(), expected.starts_with("warning"));
    }
    for method in ["cert", "HBA", "pam", "ldap"] {
        let loaded = parse_str(&format!("[databases]\nd=\n[pgbouncer]\nauth_file=\nauth_type={method}"));
        assert!(!loaded.is_usable(), "{method}");
    }
}

#[test]
fn says_what_is_wrong_with_an_entry() {
    for (section, line, expected) in [
        ("databases", "x = hots=a", "error: database \"x\": unknown key \"hots\"; did you mean \"host\"?"),
        (
            "databases",
            "x = port=0",
            "error: database \"x\": invalid value \"0\" for port: expected a number from 1 to 65535",
        ),
        (
            "databases",
            "x = pool_size=many",
            "error: database \"x\": invalid value \"many\" for pool_size: expected a whole number",
        ),
        (
            "databases",
            "x = load_balance_hosts=no",
            "error: database \"x\": invalid value \"no\" for load_balance_hosts: expected one of round-robin, disable",
        ),
        (
            "databases",
            "pgbouncer = host=a",
            "error: the database name \"pgbouncer\" is reserved for the console",
        ),
        ("databases", "howdah = host=a", "error: the database name \"howdah\" is reserved for the console"),
        (
            "users",
            "x = pool_sise=1",
            "error: user \"x\": unknown key \"pool_sise\"; did you mean \"pool_size\"?",
        ),
        (
            "users",
            "x = query_timeout=0",
            "warning: user \"x\": query_timeout=0 means the general query_timeout, as with PgBouncer; leave it out",
        ),
        (
            "databases",
            "x = session_state=temp:carry",
            "error: database \"x\": invalid value \"temp:carry\" for session_state: temporary objects cannot be set to carry: temp takes one of pin, close, warn, refuse",
        ),
        (
            "users",
            "x = session_state_check=often",
            "error: user \"x\": invalid value \"often\" for session_state_check: expected one of hinted, always, never",
        ),
        (
            "users",
            "x = max_pinned=most",
            "error: user \"x\": invalid value \"most\" for max_pinned: expected auto or a whole number",
        ),
        ("peers", "1 = host=a", "warning: [peers] is known to PgBouncer, not built yet: it has no effect"),
        (
            "databases",
            "x = user=u password=p auth_user=y",
            "warning: database \"x\": auth_user is known to PgBouncer, not built yet: it has no effect; users that only the server knows are refused",
        ),
        (
            "databases",
            "x = user=u password=p min_pool_size=30",
            "warning: database \"x\": min_pool_size is larger than the pool, which limits it",
        ),
        (
            "databases",
            "x = user=u password=p pool_size=0",
            "warning: pool_size is 0, which means no limit, as with PgBouncer",
        ),
        (
            "databases",
            "x = user=u",
            "warning: database \"x\": no password for its user \"u\"; without one the server must trust Howdah",
        ),
        (
            "databases",
            "x = host=h",
            "warning: database \"x\" has no user: with auth_type any it admits no client; add user=…",
        ),
        (
            "databases",
            "d = user=u password=p",
            "warning: \"d\" was set before, at pgbouncer.ini:4; this one counts",
        ),
    ] {
        assert!(about(section, line).contains(&expected.to_owned()), "{line}: {:#?}", about(section, line));
    }
    assert_eq!(
        about("databses", "x = y"),
        ["pgbouncer.ini:5: error: unknown section [databses]; did you mean \"databases\"?"]
    );
}

#[test]
fn never_repeats_half_a_password() {
    for line in [
        "x = user=u password=hun ter2",
        "x = user=u password=hun ter2=x",
        "x = password=p ter2=",
        "x = password='hun ter2",
    ] {
        let said = about("databases", line).join("\n");
        assert!(said.contains("error") && !said.contains("ter2"), "{line}: {said}");
    }
}

#[test]
fn collects_all_problems_of_a_file() {
    let loaded =
        parse_str("x = 1\n[pgbouncer]\nfoo = 1\n???\npool_mode = x\nunix_socket_dir =\n[databases]\na = b");
    let lines: Vec<_> = loaded.problems.iter().map(|p| (p.line, p.severity)).collect();
    let error = Severity::Error;
    assert_eq!(
        lines,
        [
            (Some(1), error),
            (Some(3), error),
            (Some(4), error),
            (Some(5), error),
            (Some(6), error),
            (Some(8), error),
            (None, Severity::Warning),
        ]
    );
}

#[test]
fn says_what_is_missing() {
    let loaded = parse_str("[databases]\n");
    assert_eq!(
        problems(&loaded),
        [
            "pgbouncer.ini: error: the section [pgbouncer] is missing",
            "pgbouncer.ini: warning: there is no auth_file: no user is known, so no client is admitted; name a userlist.txt in auth_file",
            "pgbouncer.ini: warning: [databases] is empty: there is nothing to connect to",
        ]
    );
    let loaded = load_from(Path::new("none"), &BTreeMap::new());
    assert_eq!(problems(&loaded), ["none: error: cannot read none: entity not found"]);
}

#[test]
fn an_unreadable_auth_file_admits_nobody_and_is_told_apart() {
    let loaded = parse_str("[pgbouncer]\nauth_file = nowhere\n[databases]\nd = user=u");
    assert_eq!(
        problems(&loaded),
        [
            "nowhere: warning: cannot read auth_file: entity not found; no user is known (after a reload: only those known \
          before)"
        ]
    );
    assert!(loaded.is_usable() && !loaded.secrets_read && loaded.settings.secrets.is_empty());
}

#[test]
fn a_second_main_section_forgets_the_first() {
    let loaded = parse_str(concat!(
        "[databases]\nd=user=u password=p\n",
        "[pgbouncer]\nauth_type=any\nlisten_addr=*\nverbose=2\n",
        "[pgbouncer]\nauth_type=any\n",
    ));
    assert!(loaded.settings.listen.addresses.is_empty());
    assert_eq!(loaded.settings.log.verbose, 2);
    assert_eq!(
        problems(&loaded),
        [
            "pgbouncer.ini:7: warning: another [pgbouncer] section: as with PgBouncer, what was set before is forgotten; put all settings in one section"
        ]
    );
}

#[test]
fn loads_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let ini = dir.path().join("pgbouncer.ini");
    let users = dir.path().join("userlist.txt");
    std::fs::write(&users, "\"u\" \"p\"").unwrap();
    let text = format!("[databases]\n* = host=h\n[pgbouncer]\nauth_file = {}\n", users.display());
    std::fs::write(&ini, text).unwrap();
    let loaded = load(&ini);
    assert_eq!(problems(&loaded), Vec::<String>::new());
    assert_eq!(plain(loaded.settings.secrets.get("u")), "p");
}
