//! The settings a client brings along in its startup packet: any PostgreSQL takes is taken, follows the client from
//! server connection to server connection, and is what RESET returns to, as on a direct connection.

use std::process::Command;

use howdah_tests::{Database, Howdah, Message, RawClient, message, postgres};

const ONE: [(&str, &str); 2] = [("pool_mode", "transaction"), ("default_pool_size", "1")];

#[test]
fn the_welcome_and_the_settings_are_those_of_a_direct_connection() {
    let database = Database::create();
    database.psql("create role clerk");
    let howdah = Howdah::before(&database, &ONE);
    let shown = [
        "work_mem",
        "search_path",
        "geqo",
        "extra_float_digits",
        "client_encoding",
        "timezone",
        "intervalstyle",
        "default_transaction_read_only",
        "app.who",
        "application_name",
        "role",
        "datestyle",
        "statement_timeout",
        "is_superuser",
        "session_authorization",
        "transaction_read_only",
        "enable_tidscan",
        "log_min_messages",
        "app.word",
    ];
    // A neighbour whose settings must not shine through.
    let mut other =
        Client::start(howdah.raw(), &database, &[("options", "-c datestyle=German,DMY -c geqo=off")]);
    for settings in [
        &[][..],
        &[("work_mem", "2MB"), ("geqo", "0"), ("extra_float_digits", "3"), ("client_encoding", "utf8")],
        &[("SEARCH_PATH", "\"a b\", public"), ("TIMEZONE", "europe/berlin"), ("datestyle", "iso")],
        &[(
            "options",
            "-c intervalstyle=iso_8601 --default-transaction-read-only=on -c app.who=o'x\\\\\\\\y",
        )],
        &[("options", "-c work_mem=3MB -c geqo=off -S 4096"), ("geqo", "on"), ("statement_timeout", "5min")],
        &[("options", "-ft -d2 -e"), ("application_name", "büro")],
        &[("options", "-c role=clerk -c work_mem=5MB"), ("app.word", "grün")],
        &[("session_authorization", "clerk")],
        &[("options", "-c transaction_read_only=on"), ("client_encoding", "LATIN1")],
        &[("application_name", "shop"), ("replication", "false"), ("work_mem", "1MB"), ("WORK_MEM", "2MB")],
    ] {
        let mut ours = Client::start(howdah.raw(), &database, settings);
        let mut theirs = Client::start(RawClient::tcp(postgres().address()), &database, settings);
        assert_eq!(ours.statuses, theirs.statuses, "{settings:?}");
        let who = "select concat(current_user, ' ', session_user)";
        assert_eq!(ours.answer(who), theirs.answer(who), "{settings:?}");
        for name in shown {
            let show = format!(
                "select nullif(encode(convert_to(current_setting('{name}', true), 'UTF8'), 'escape'), '')"
            );
            assert_eq!(ours.answer(&show), theirs.answer(&show), "{name} with {settings:?}");
            assert_eq!(other.raw.value("show datestyle"), "German, DMY");
        }
    }
}

#[test]
fn what_postgresql_refuses_is_refused_with_its_own_words() {
    let database = Database::create();
    database.psql("create role plain login");
    let howdah = Howdah::builder()
        .database(database.name(), &database.server())
        .secret("plain", "")
        .setting("pool_mode", "transaction")
        .setting("default_pool_size", "1")
        .start();
    let backend = howdah.client(&database).backend();
    for (user, setting) in [
        ("postgres", ("Gequo", "off")),
        ("postgres", ("work_mem", "much")),
        ("postgres", ("TimeZone", "Nowhere/At_all")),
        ("postgres", ("client_encoding", "KLINGON")),
        ("postgres", ("fsync", "off")),
        ("postgres", ("shared_buffers", "1MB")),
        ("postgres", ("is_superuser", "off")),
        ("postgres", ("server_version", "9")),
        ("postgres", ("role", "nobody_at_all")),
        ("postgres", ("app.", "x")),
        ("postgres", ("options", "-z")),
        ("postgres", ("options", "geqo=off")),
        ("postgres", ("options", "-c geqo")),
        ("postgres", ("options", "--geqo")),
        ("postgres", ("options", "-F")),
        ("postgres", ("options", "-fx")),
        ("plain", ("log_statement", "all")),
        ("plain", ("log_connections", "on")),
        ("plain", ("role", "postgres")),
        ("plain", ("session_authorization", "postgres")),
    ] {
        let refused = |mut raw: RawClient| {
            raw.send(&message::startup(&[("user", user), ("database", database.name()), setting]));
            let answer = raw.read_to_end();
            let error =
                answer.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{setting:?}: {answer:?}"));
            ['S', 'V', 'C', 'M', 'D', 'H'].map(|kind| field(error, kind))
        };
        let theirs = refused(RawClient::tcp(postgres().address()));
        assert_eq!(refused(howdah.raw()), theirs, "{user} {setting:?}");
    }
    assert_eq!(howdah.client(&database).backend(), backend, "the server connection is kept");
}

#[test]
fn what_only_a_new_server_connection_could_have_is_accepted_with_a_warning() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &ONE);
    for settings in [
        &[("ignore_system_indexes", "on"), ("options", "-W 0 -c work_mem=2MB"), ("log_connections", "on")][..],
        &[("options", "-P -c seed=0.5")],
    ] {
        let mut client = Client::start(howdah.raw(), &database, settings);
        assert_eq!(client.warnings.len(), settings.len().max(2), "{:?}", client.warnings);
        assert!(client.warnings.iter().all(|text| text.ends_with("has no effect through a connection pool")));
        assert_eq!(client.raw.value("show ignore_system_indexes"), "off");
    }
    let mut client = Client::start(howdah.raw(), &database, &[("options", "-W 0 -c work_mem=2MB")]);
    assert_eq!(client.raw.value("show work_mem"), "2MB");
    let mut raw = howdah.raw();
    let bad = ("options", "-W 0 -c work_mem=much");
    raw.send(&message::startup(&[("user", "postgres"), ("database", database.name()), bad]));
    let error = raw.read_to_end().pop().unwrap();
    assert_eq!(field(&error, 'C'), "22023");
}

/// Each client's RESET in every pool mode, beside neighbours with other settings.
#[test]
fn reset_returns_to_what_the_client_began_with() {
    let database = Database::create();
    for mode in ["transaction", "session"] {
        let howdah = Howdah::before(&database, &[("pool_mode", mode), ("default_pool_size", "3")]);
        let start = [
            ("options", "-c work_mem=2MB -c app.who=ann -c IntervalStyle=iso_8601"),
            ("TimeZone", "Asia/Tokyo"),
            ("application_name", "ours"),
        ];
        let mut ours = Client::start(howdah.raw(), &database, &start);
        let mut theirs = Client::start(RawClient::tcp(postgres().address()), &database, &start);
        let mut other = Client::start(howdah.raw(), &database, &[("work_mem", "4MB"), ("app.who", "bob")]);
        let show = "select concat_ws('|', current_setting('work_mem'), current_setting('app.who'), \
                    current_setting('TimeZone'), current_setting('application_name'), interval '1 day')";
        let change = "set work_mem = '8MB'; set app.who = 'x'; set timezone = 'UTC'; set intervalstyle = 'postgres'; \
                      set application_name = 'other'";
        for reset in [
            "reset work_mem",
            "reset all",
            "discard all",
            "set work_mem to default",
            "reset app.who",
            "reset timezone",
            "reset intervalstyle",
            "reset application_name",
            "reset work_mem; reset timezone",
            "set timezone to default; set app.who = 'y'",
            "begin; reset work_mem; reset app.who; commit",
            "begin; reset all; rollback",
        ] {
            for extended in [false, true] {
                if extended && reset.contains(';') {
                    continue;
                }
                let mut told = Vec::new();
                for client in [&mut ours, &mut theirs] {
                    client.raw.run(change);
                    let answer = match extended {
                        true => client.extended(reset),
                        false => client.raw.query(reset),
                    };
                    assert!(answer.iter().all(|m| m.tag != b'E'), "{reset}: {answer:?}");
                    told.push(client.answer(show));
                }
                assert_eq!(told[0], told[1], "{reset} in {mode} mode, extended: {extended}");
                assert_eq!(
                    ours.now(),
                    theirs.now(),
                    "told after {reset} in {mode} mode, extended: {extended}"
                );
                assert_eq!(
                    other.raw.value("select current_setting('work_mem') || current_setting('app.who')"),
                    "4MBbob"
                );
            }
        }
    }
}

#[test]
fn psql_brings_its_options_along() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &[("pool_mode", "transaction")]);
    let psql = |options: &str| {
        let output = Command::new("psql")
            .args(["-XAtd", &howdah.conninfo(database.name(), "postgres"), "-c", "show work_mem"])
            .args(["-c", "begin", "-c", "show search_path", "-c", "rollback"])
            .env("PGOPTIONS", options)
            .env("PGTZ", "asia/tokyo")
            .env("PGGEQO", "off")
            .args(["-c", "show timezone", "-c", "show geqo"])
            .output()
            .expect("psql runs");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (out, _) = psql("-c work_mem=7MB --search-path=a,b");
    assert_eq!(out.lines().collect::<Vec<_>>(), ["7MB", "BEGIN", "a,b", "ROLLBACK", "Asia/Tokyo", "off"]);
    let (_, error) = psql("-c wrok_mem=7MB");
    assert!(error.contains("FATAL:  unrecognized configuration parameter \"wrok_mem\""), "{error}");
}

#[test]
fn the_entrys_own_settings_are_what_clients_begin_with_otherwise() {
    let database = Database::create();
    let entry = format!("{} timezone=Asia/Tokyo datestyle='SQL, DMY'", database.server());
    let howdah = Howdah::builder()
        .database(database.name(), &entry)
        .setting("pool_mode", "transaction")
        .setting("default_pool_size", "1")
        .start();
    let mut plain = howdah.client(&database);
    let mut own = Client::start(howdah.raw(), &database, &[("TimeZone", "UTC"), ("datestyle", "ISO")]);
    for _ in 0..2 {
        assert_eq!(plain.value("show timezone"), "Asia/Tokyo");
        assert_eq!(own.raw.value("show timezone"), "UTC");
        assert_eq!(own.raw.value("show datestyle"), "ISO, DMY");
        assert_eq!(plain.value("show datestyle"), "SQL, DMY");
        own.raw.run("set timezone = 'Asia/Seoul'; reset timezone");
        plain.run("set timezone = 'Asia/Seoul'; reset timezone");
    }
}

/// A login whose settings are known already needs no server connection.
#[test]
fn known_settings_cost_nothing() {
    let database = Database::create();
    let howdah = Howdah::before(&database, &ONE);
    let driver = [
        ("extra_float_digits", "2"),
        ("DateStyle", "ISO"),
        ("TimeZone", "Europe/Berlin"),
        ("client_encoding", "UTF8"),
    ];
    let mut first = Client::start(howdah.raw(), &database, &driver);
    first.raw.run("begin");
    let mut second = Client::start(howdah.raw(), &database, &driver);
    let mut named =
        Client::start(howdah.raw(), &database, &[("application_name", "x"), ("client_encoding", "UTF8")]);
    first.raw.run("commit");
    assert_eq!(second.raw.value("show extra_float_digits"), "2");
    assert_eq!(second.raw.value("show datestyle"), first.raw.value("show datestyle"));
    assert_eq!(named.raw.value("show application_name"), "x");
    assert_eq!(named.raw.value("show extra_float_digits"), "1");
}

/// A client with what it was told of its settings.
struct Client {
    raw: RawClient,
    statuses: Vec<(String, String)>,
    warnings: Vec<String>,
}

impl Client {
    fn start(mut raw: RawClient, database: &Database, settings: &[(&str, &str)]) -> Client {
        let who = [("user", "postgres"), ("database", database.name())];
        raw.send(&message::startup(&[&who, settings].concat()));
        let welcome = raw.welcome();
        let warnings = welcome.iter().filter(|m| m.tag == b'N').map(|m| field(m, 'M')).collect();
        let mut client = Client { raw, statuses: Vec::new(), warnings };
        client.hear(&welcome);
        client
    }

    /// The first value of the answer, or the error.
    fn answer(&mut self, sql: &str) -> String {
        let answer = self.raw.query(sql);
        self.hear(&answer);
        match answer.iter().find(|m| matches!(m.tag, b'D' | b'E')) {
            Some(row) if row.tag == b'D' => format!("{:?}", row.columns()),
            other => format!("{:?}", other.map(|error| field(error, 'M'))),
        }
    }

    fn extended(&mut self, sql: &str) -> Vec<Message> {
        let parts =
            [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0), message::sync()];
        self.raw.send(&parts.concat());
        let answer = self.raw.read_until_ready();
        self.hear(&answer);
        answer
    }

    fn hear(&mut self, messages: &[Message]) {
        for status in messages.iter().filter(|m| m.tag == b'S') {
            let mut parts = status.body.split(|byte| *byte == 0);
            let mut text = || parts.next().unwrap_or_default().escape_ascii().to_string();
            let (name, value) = (text(), text());
            match self.statuses.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => self.statuses.push((name, value)),
            }
        }
        self.statuses.sort();
    }

    /// What it believes of its settings, now that nothing is under way.
    fn now(&mut self) -> Vec<(String, String)> {
        self.answer("select 1");
        self.statuses.clone()
    }
}

fn field(error: &Message, kind: char) -> String {
    let mut fields = error.body.split(|byte| *byte == 0);
    let found = fields.find(|field| field.first().is_some_and(|first| char::from(*first) == kind));
    found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
}
