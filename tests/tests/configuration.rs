//! `pgbouncer.ini` and `userlist.txt`: what is understood, what is reported, and what stops the start.

use std::path::PathBuf;

use howdah_tests::{Database, Howdah, StartFailure, eventually, howdah_command, psql};
use tempfile::TempDir;

#[test]
fn a_file_as_pgbouncers_users_write_it_serves() {
    let database = Database::create();
    let files = Files::new(
        &[
            (
                "pgbouncer.ini",
                "; comment\n# another\n[databases]\napp = {server} pool_size=3\n%include {dir}/more.ini\n",
            ),
            (
                "more.ini",
                "'my db' = {server}\n[pgbouncer]\nlisten_addr=\nlisten_port = 7001\nunix_socket_dir = {dir}\n%include {dir}/auth.ini\n",
            ),
            ("auth.ini", "auth_type = md5\nauth_file = {dir}/userlist.txt\npool_mode = transaction\n"),
            ("userlist.txt", "\"postgres\" \"ge\"\"heim\"\n"),
        ],
        &database,
    );
    let mut howdah = howdah_command().arg("-q").arg(files.path("pgbouncer.ini")).spawn().unwrap();
    let conninfo = |name: &str| {
        format!(
            "host={} port=7001 user=postgres password='ge\"heim' dbname='{name}'",
            files.dir.path().display()
        )
    };
    eventually("it serves", || psql(&conninfo("app"), "select 1").ok());
    assert_eq!(psql(&conninfo("my db"), "select current_database()").unwrap(), database.name());
    howdah.kill().unwrap();
    howdah.wait().unwrap();
}

#[test]
fn check_lists_everything_with_file_and_line_and_starts_nothing() {
    let database = Database::create();
    let files = Files::new(
        &[
            (
                "pgbouncer.ini",
                "[databases]\napp = {server} pool_syze=3\n[pgbouncer]\npool_mode = transactoin\n%include {dir}/more.ini\n",
            ),
            (
                "more.ini",
                "unix_socket_dir = {dir}\n\ndefault_pool_size = -3\nserver_lifetyme = 3\nsyslog = 1\n",
            ),
        ],
        &database,
    );
    let output = howdah_command().arg("check").arg(files.path("pgbouncer.ini")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for (place, text) in [
        ("pgbouncer.ini:2: error", "did you mean \"pool_size\"?"),
        ("pgbouncer.ini:4: error", "transactoin"),
        ("more.ini:3: error", "default_pool_size"),
        ("more.ini:4: error", "did you mean \"server_lifetime\"?"),
        ("more.ini:5: warning", "syslog"),
    ] {
        assert!(
            said.lines().any(|line| line.contains(place) && line.contains(text)),
            "{place} {text}: {said}"
        );
    }
    let mut left = files.list();
    left.sort();
    assert_eq!(left, ["more.ini", "pgbouncer.ini"]);
}

#[test]
fn what_would_weaken_the_door_stops_the_start() {
    let database = Database::create();
    for (name, value) in [
        ("auth_type", "hba"),
        ("auth_type", "cert"),
        ("auth_type", "pam"),
        ("auth_type", "ldap"),
        ("auth_hba_file", "/etc/pgbouncer/hba.conf"),
        ("client_tls_sslmode", "require"),
        ("client_tls_sslmode", "verify-full"),
        ("server_tls_sslmode", "require"),
        ("server_tls_sslmode", "verify-ca"),
        ("server_tls_sslmode", "verify-full"),
    ] {
        let failure = refused(&database, name, value);
        assert_eq!(failure.status.code(), Some(3), "{name} = {value}: {}", failure.log);
        let line = failure.log.lines().find(|line| line.contains(": error: ")).unwrap_or(&failure.log);
        assert!(line.contains("pgbouncer.ini:") && line.contains(name), "{name} = {value}: {line}");
    }
}

#[test]
fn what_only_widens_the_door_or_is_not_built_is_reported_once() {
    let database = Database::create();
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("auth_user", "postgres")
        .setting("auth_query", "select 1")
        .setting("client_tls_sslmode", "prefer")
        .setting("server_tls_sslmode", "prefer")
        .setting("dns_nxdomain_ttl", 3)
        .setting("syslog", 1)
        .start();
    for name in ["auth_user", "auth_query", "dns_nxdomain_ttl", "syslog"] {
        let line = howdah.wait_for_log(name);
        assert!(line.contains("WARN") && line.contains("pgbouncer.ini:"), "{line}");
        assert_eq!(
            howdah.log().lines().filter(|line| line.contains(&format!("{name} "))).count(),
            1,
            "{name}"
        );
    }
    // Whom auth_query would have admitted is refused.
    let refusal = psql(&howdah.conninfo(database.name(), "from_auth_query"), "select 1").unwrap_err();
    assert!(refusal.contains("authentication failed"), "{refusal}");
}

#[test]
fn a_reload_that_would_weaken_the_door_is_refused_too() {
    let database = Database::create();
    let mut howdah = Howdah::before(&database, &[]);
    howdah.reconfigure(|builder| builder.setting("client_tls_sslmode", "require"));
    howdah.wait_for_log("client_tls_sslmode");
    assert!(howdah.psql("pgbouncer", "RELOAD").is_err());
    assert_eq!(howdah.psql(database.name(), "select 1").unwrap(), "1");
    assert!(howdah.psql("pgbouncer", "SET server_tls_sslmode = 'verify-full'").is_err());
    assert!(howdah.psql("pgbouncer", "SET auth_type = 'hba'").is_err());
}

#[test]
fn mistakes_in_secrets_are_named_and_never_quoted() {
    let database = Database::create();
    let files = Files::new(
        &[
            (
                "pgbouncer.ini",
                "[databases]\napp = {server} user=postgres password=hunter2 poolsize=1\n[pgbouncer]\nauth_file = {dir}/userlist.txt\n",
            ),
            ("userlist.txt", "\"ann\" \"hunter3\nbob hunter4\n"),
        ],
        &database,
    );
    let output = howdah_command().arg("check").arg(files.path("pgbouncer.ini")).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("userlist.txt:1:"), "{said}");
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn database_entries_are_read_as_pgbouncer_reads_them() {
    let database = Database::create();
    let server = database.server();
    let howdah = Howdah::builder()
        .database(
            "named",
            &format!("{server} application_name=howdah timezone='Asia/Tokyo' datestyle=German"),
        )
        .database("queried", &format!("{server} connect_query='set work_mem = ''3MB'''"))
        .database("tiny", &format!("{server} pool_size=1 pool_mode=transaction"))
        .start();
    let ask = "select current_setting('TimeZone') || ' ' || date '2026-01-31'";
    assert_eq!(howdah.psql("named", ask).unwrap(), "Asia/Tokyo 31.01.2026");
    assert_eq!(howdah.psql("queried", "show work_mem").unwrap(), "3MB");
    let mut clients = [(); 2].map(|()| {
        let mut client = howdah.raw();
        client.login("tiny", "postgres");
        client
    });
    let backends = clients.each_mut().map(|client| client.backend());
    assert_eq!(backends[0], backends[1]);
    let rows = howdah.show("DATABASES");
    let tiny = rows.iter().find(|row| row.get("name") == "tiny").unwrap();
    assert_eq!((tiny.number("pool_size"), tiny.get("pool_mode")), (1, "transaction"));
}

#[test]
fn a_url_is_a_whole_configuration() {
    let database = Database::create();
    let address = howdah_tests::postgres().address();
    let url = format!("postgres://postgres@{address}/{}", database.name());
    let mut howdah =
        howdah_command().args(["serve", &url]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let conninfo =
        format!("host=127.0.0.1 port=6432 user=anybody dbname={} sslmode=disable", database.name());
    let answer = eventually("it serves", || psql(&conninfo, "select current_user").ok());
    assert_eq!(answer, "postgres");
    howdah.kill().unwrap();
    howdah.wait().unwrap();
}

#[test]
fn logs_go_where_and_look_as_they_shall() {
    let database = Database::create();
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let log = dir.path().join("howdah.log");
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .setting("logfile", log.display())
        .setting("log_format", "json")
        .start();
    howdah.psql(database.name(), "select 1").unwrap();
    let lines = eventually("the client has left", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains("client closed").then_some(text)
    });
    assert!(lines.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{lines}");
}

fn refused(database: &Database, name: &str, value: &str) -> StartFailure {
    let builder = Howdah::builder().database(database.name(), &database.server());
    builder.setting(name, value).try_start().err().unwrap_or_else(|| panic!("{name} = {value} was accepted"))
}

/// Files in a folder of their own; `{dir}` in them is that folder, `{server}` leads to a database.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new(files: &[(&str, &str)], database: &Database) -> Files {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        for (name, text) in files {
            let text =
                text.replace("{dir}", dir.path().to_str().unwrap()).replace("{server}", &database.server());
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Files { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}
