//! A setting that PostgreSQL refuses harms nobody: the client gets PostgreSQL's error and keeps its session, others on
//! the same server connection have precisely theirs, and the server connection serves on.

use std::sync::Once;

use howdah_tests::{Database, Howdah, Message, RawClient, message, postgres};

#[test]
fn alone() {
    check(|refused| Act { asks: vec![message::query(refused)], errors: 1, ..Act::default() });
}

#[test]
fn alone_by_the_extended_protocol() {
    check(|refused| Act { asks: vec![extended(refused)], errors: 1, ..Act::default() });
}

#[test]
fn prepared_once_and_carried_out_twice() {
    check(|refused| {
        let run = [message::bind("", "s", &[]), message::execute("", 0), message::sync()].concat();
        let close = [message::close(b'S', "s"), message::sync()].concat();
        let parse = [message::parse("s", refused), message::sync()].concat();
        Act { asks: vec![parse, run.clone(), run, close], errors: 2, ..Act::default() }
    });
}

#[test]
fn among_other_statements_of_a_text() {
    check(|refused| {
        let text = format!("set work_mem = '2MB'; {refused}; set work_mem = '3MB'");
        Act { asks: vec![message::query(&text)], errors: 1, ..Act::default() }
    });
}

#[test]
fn behind_a_commit_in_the_same_text() {
    check(|refused| {
        let text = format!("begin; set work_mem = '2MB'; commit; {refused}");
        Act { asks: vec![message::query(&text)], errors: 1, work_mem: Some("2MB"), ..Act::default() }
    });
}

#[test]
fn between_others_in_a_pipeline() {
    check(|refused| {
        let set = extended("set work_mem = '2MB'");
        let asks = vec![set, extended(refused), message::query(refused), message::query("select 1")];
        Act { asks, at_once: true, errors: 2, work_mem: Some("2MB") }
    });
}

#[test]
fn between_others_in_one_batch() {
    check(|refused| {
        let (before, after) = (unsynced("set work_mem = '2MB'"), unsynced("set work_mem = '3MB'"));
        let batch = [before, unsynced(refused), after, message::sync()].concat();
        Act { asks: vec![batch], errors: 1, ..Act::default() }
    });
}

#[test]
fn within_a_block() {
    for at_once in [false, true] {
        check(|refused| {
            let asks = ["begin", "set work_mem = '2MB'", refused, "commit"].map(message::query).to_vec();
            Act { asks, at_once, errors: 1, work_mem: None }
        });
    }
}

#[test]
fn behind_a_savepoint() {
    for (at_once, send) in [(false, message::query as fn(&str) -> _), (true, extended)] {
        check(|refused| {
            let block = ["begin", "set work_mem = '2MB'", "savepoint a", refused, "rollback to a", "commit"];
            Act { asks: block.map(send).to_vec(), at_once, errors: 1, work_mem: Some("2MB") }
        });
    }
}

/// What a client does with a statement that is refused.
#[derive(Default)]
struct Act {
    /// What it sends; each brings one ReadyForQuery.
    asks: Vec<Vec<u8>>,
    /// All of it in one write.
    at_once: bool,
    /// How often it is told that the statement is refused.
    errors: usize,
    /// What it has set by the way.
    work_mem: Option<&'static str>,
}

/// Has a client do so with each statement that is refused, among others, and looks at everybody's session.
#[track_caller]
fn check(act: impl Fn(&'static str) -> Act) {
    let database = Database::create();
    static ROLES: Once = Once::new();
    let roles = "create role friend; create role stranger; create role plain login in role friend";
    ROLES.call_once(|| drop(postgres().psql(roles).unwrap_or_else(|error| panic!("{error}"))));
    for pool_size in [1, 2] {
        let builder = Howdah::builder().database(database.name(), &database.server()).secret("plain", "");
        let builder = builder.setting("pool_mode", "transaction").setting("default_pool_size", pool_size);
        let howdah = builder.start();
        let mut served = Vec::new();
        for (round, (refused, code)) in (0..).zip(REFUSED) {
            let begins = round % 2 == 0;
            let mut clients = [0, 1, 2].map(|number| Someone::new(&howdah, &database, number, begins));
            let Act { asks, at_once, errors, work_mem } = act(refused);
            let answers = clients[0].answers(asks, at_once);
            let told = answers.iter().filter(|it| it.tag == b'E').map(Message::sqlstate);
            assert_eq!(told.collect::<Vec<_>>(), vec![code; errors], "{refused}: {answers:?}");
            if let Some(work_mem) = work_mem {
                clients[0].has[0] = work_mem.to_owned();
            }
            for turn in [1, 2, 0, 1, 0] {
                clients[turn].look(refused);
            }
            clients[0].change("1234kB");
            for turn in [1, 0, 2] {
                clients[turn].look(refused);
            }
            if served.is_empty() {
                served = backends(&database);
            }
            if pool_size == 1 {
                assert_eq!(backends(&database), served, "{refused}: the server connection serves on");
            }
        }
    }
}

/// A client that has a session of its own.
struct Someone {
    connection: RawClient,
    /// What `LOOK` shows of it.
    has: Vec<String>,
}

impl Someone {
    /// `begins`: some of its settings come with its startup packet.
    #[track_caller]
    fn new(howdah: &Howdah, database: &Database, number: usize, begins: bool) -> Self {
        let mut connection = howdah.raw();
        let memory = ["700kB", "800kB", "900kB"][number];
        let zone = ["Asia/Tokyo", "UTC", "Africa/Nairobi"][number];
        let role = ["none", "friend", "none"][number];
        let settings: &[_] = if begins { &[("work_mem", memory), ("TimeZone", zone)] } else { &[] };
        let who = [("user", "plain"), ("database", database.name())];
        connection.send(&message::startup(&[&who, settings].concat()));
        connection.welcome();
        let mark = format!("the mark of {number}");
        let statement = format!("prepare mine as select {number}");
        if !begins {
            connection.run(&format!("set work_mem = '{memory}'; set timezone = '{zone}'"));
        }
        connection.run(&format!("set role {role}"));
        connection.run(&format!("set test.mark = '{mark}'"));
        connection.run(&statement);
        let user = if role == "none" { "plain" } else { role };
        let has = [memory, zone, "ISO, MDY", "UTF8", role, user, "plain", &mark, &statement];
        Self { connection, has: has.map(str::to_owned).to_vec() }
    }

    /// Everything that comes back.
    #[track_caller]
    fn answers(&mut self, asks: Vec<Vec<u8>>, at_once: bool) -> Vec<Message> {
        let count = asks.len();
        let asks = if at_once { vec![asks.concat()] } else { asks };
        let each = count / asks.len();
        let mut answers = Vec::new();
        for ask in asks {
            self.connection.send(&ask);
            answers.extend((0..each).flat_map(|_| self.connection.read_until_ready()));
        }
        answers
    }

    /// Its session is precisely its own.
    #[track_caller]
    fn look(&mut self, refused: &str) {
        let rows = self.connection.query(LOOK);
        let row = rows.iter().find(|it| it.tag == b'D').unwrap_or_else(|| panic!("{refused}: {rows:?}"));
        let seen: Vec<_> = row.columns().into_iter().map(Option::unwrap_or_default).collect();
        assert_eq!(seen, self.has, "{refused}");
    }

    #[track_caller]
    fn change(&mut self, work_mem: &str) {
        self.connection.run(&format!("set work_mem = '{work_mem}'"));
        self.has[0] = work_mem.to_owned();
    }
}

/// Parse, Bind and Execute, and Sync behind them.
fn extended(sql: &str) -> Vec<u8> {
    [unsynced(sql), message::sync()].concat()
}

fn unsynced(sql: &str) -> Vec<u8> {
    [message::parse("", sql), message::bind("", "", &[]), message::execute("", 0)].concat()
}

/// The server connections of clients.
fn backends(database: &Database) -> Vec<String> {
    let pids = database.psql(
        "select pid from pg_stat_activity where datname = current_database() and usename = 'plain' order by pid",
    );
    pids.lines().map(str::to_owned).collect()
}

/// What is refused to who is nobody special, with its SQLSTATE.
const REFUSED: [(&str, &str); 15] = [
    ("set nonsense = 1", "42704"),
    ("reset nonsense", "42704"),
    ("set work_mem = 'much'", "22023"),
    ("set local work_mem = 'much'", "22023"),
    ("set timezone = 'Nowhere'", "22023"),
    ("set client_encoding = 'nonsense'", "22023"),
    ("set log_statement = 'all'", "42501"),
    ("reset log_statement", "42501"),
    ("set max_connections = 7", "55P02"),
    ("set role stranger", "42501"),
    ("set role nobody_at_all", "22023"),
    ("set session authorization stranger", "42501"),
    ("set session authorization nobody_at_all", "22023"),
    ("select set_config('datestyle', 'nonsense', false)", "22023"),
    ("select set_config('work_mem', '5MB', false), set_config('role', 'stranger', false)", "42501"),
];

const LOOK: &str = "select current_setting('work_mem'), current_setting('timezone'), \
    current_setting('datestyle'), current_setting('client_encoding'), current_setting('role'), \
    current_user, session_user, current_setting('test.mark', true), \
    (select string_agg(statement, '; ') from pg_prepared_statements where from_sql)";
