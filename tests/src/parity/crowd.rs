//! Who else uses the pool? Clients with sessions of their own, who take turns on all server connections.
//!
//! Before a scripted client begins a transaction, they hold every free server connection in a transaction of theirs;
//! then one ends, on a connection that the scripted client did not have the last time. A server connection that is
//! pinned is not among the free ones: who waits in line for it gives up its turn.
//!
//! Each of them changes its session in each of its transactions, and looks at the beginning of the next whether it
//! finds what it left.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::raw::client::RawClient;
use crate::raw::message;
use crate::raw::reply::{Message, tags};

/// The others in the pool of one user.
pub(super) struct Crowd {
    passers_by: Vec<PasserBy>,
    /// How many server connections are for clients: not the one that listens.
    usable: usize,
    next: usize,
    /// Which server connection a scripted client had last, where that is known.
    last: BTreeMap<char, String>,
    /// How many server connections did not become free the last time.
    missing: usize,
    /// How often a client was brought to another server connection, and how often not.
    pub(super) scatters: (usize, usize),
}

impl Crowd {
    /// One more than there are server connections.
    pub(super) fn gather(socket: &Path, pool: &str, user: &str, pool_size: usize) -> Self {
        let passers_by = (0..=pool_size).map(|number| PasserBy::new(socket, pool, user, number)).collect();
        let mut crowd =
            Self { passers_by, usable: 0, next: 0, last: BTreeMap::new(), missing: 0, scatters: (0, 0) };
        let (arrived, waiting) = crowd.call(pool_size, FIRST_PATIENCE);
        crowd.usable = arrived.len();
        crowd.disperse();
        crowd.dismiss(&waiting);
        crowd
    }

    /// Another script begins.
    pub(super) fn forget(&mut self) {
        self.last.clear();
        self.missing = 0;
    }

    /// Takes all server connections but the `held` ones, and leaves one of them to `client`.
    pub(super) fn scatter(&mut self, client: char, held: usize) {
        let free = self.usable.saturating_sub(held);
        let (arrived, waiting) = self.call(free, PATIENCE);
        self.missing = waiting.len();
        let last = self.last.get(&client);
        let another = arrived.iter().find(|&&number| self.passers_by[number].server.as_ref() != last);
        let Some(&leaving) = another.or(arrived.first()) else { return };
        let server = self.passers_by[leaving].server.clone();
        let moved = server.as_ref() != last;
        *(if moved { &mut self.scatters.0 } else { &mut self.scatters.1 }) += 1;
        match server {
            Some(server) => self.last.insert(client, server),
            None => self.last.remove(&client),
        };
        self.passers_by[leaving].end();
        self.dismiss(&waiting);
    }

    /// Has `wanted` of them begin a transaction. Answers with those who have a server connection, and those who wait.
    fn call(&mut self, wanted: usize, patience: Duration) -> (Vec<usize>, Vec<usize>) {
        let count = self.passers_by.len();
        let called: Vec<_> = (0..wanted.min(count)).map(|step| (self.next + step) % count).collect();
        self.next = (self.next + 1) % count;
        for &number in &called {
            self.passers_by[number].begin();
        }
        let expected = wanted.saturating_sub(self.missing);
        let (mut arrived, mut waiting) = (Vec::new(), Vec::new());
        for &number in &called {
            let patience = match (arrived.len(), waiting.len()) {
                // One comes in any case, unless the scripted clients keep all server connections.
                (0, _) => LAST_PATIENCE,
                (_, 0) if arrived.len() < expected => patience,
                _ => LITTLE_PATIENCE,
            };
            let arrives = self.passers_by[number].arrives_within(patience);
            (if arrives { &mut arrived } else { &mut waiting }).push(number);
        }
        (arrived, waiting)
    }

    /// Has those who wait take their turn, now that a server connection is free: they are before any scripted client
    /// in the line.
    fn dismiss(&mut self, waiting: &[usize]) {
        for &number in waiting {
            self.passers_by[number].arrives_within(LAST_PATIENCE);
            self.passers_by[number].end();
        }
    }

    /// Ends the transactions that are open.
    pub(super) fn disperse(&mut self) {
        self.passers_by.iter_mut().for_each(PasserBy::end);
    }

    /// What they found that was not theirs, since the last time.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        self.passers_by.iter_mut().flat_map(|it| std::mem::take(&mut it.complaints)).collect()
    }
}

struct PasserBy {
    connection: RawClient,
    number: usize,
    turns: usize,
    state: State,
    /// Where its transaction runs.
    server: Option<String>,
    /// What it left.
    left: Option<String>,
    complaints: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Waiting,
    InTransaction,
    /// Its connection is of no use any more.
    Gone,
}

impl PasserBy {
    fn new(socket: &Path, pool: &str, user: &str, number: usize) -> Self {
        let mut connection = RawClient::unix(socket);
        connection.login(pool, user);
        // Under a name that scripts use as well.
        let statement = format!("SELECT 'the statement of passer-by {number}'");
        connection.send(&[message::parse("s1", &statement), message::sync()].concat());
        let prepared = connection.read_until_ready();
        assert_eq!(tags(&prepared), "1Z", "{prepared:?}");
        // The connection that listens is there from now on, and does not come out of the others in the middle.
        connection.run("LISTEN junk_always");
        Self {
            connection,
            number,
            turns: 0,
            state: State::Outside,
            server: None,
            left: None,
            complaints: Vec::new(),
        }
    }

    /// Asks for a transaction, without waiting for it.
    fn begin(&mut self) {
        if self.state != State::Outside {
            return;
        }
        let habits = HABITS[self.number % HABITS.len()];
        let habit = habits[self.turns % habits.len()];
        self.turns += 1;
        let visit = [
            message::query("BEGIN"),
            message::query(LOOK),
            message::query(habit),
            [message::bind("", "s1", &[]), message::execute("", 0), message::sync()].concat(),
            message::query(LOOK),
            message::query("SELECT pg_catalog.pg_backend_pid()"),
        ];
        let sent = self.connection.try_send(&visit.concat());
        self.state = if sent.is_ok() { State::Waiting } else { self.give_up("cannot send") };
    }

    /// Whether the transaction has begun.
    fn arrives_within(&mut self, patience: Duration) -> bool {
        if self.state != State::Waiting {
            return true;
        }
        let Ok(Some(first)) = self.connection.read_within(patience) else { return false };
        self.state = State::InTransaction;
        let mut answers = vec![vec![first]];
        while self.state == State::InTransaction && answers.len() <= QUESTIONS {
            match self.connection.read_within(LAST_PATIENCE) {
                Ok(Some(message)) => {
                    let ready = message.tag == b'Z';
                    answers.last_mut().expect("there is always one").push(message);
                    if ready {
                        answers.push(Vec::new());
                    }
                }
                end => self.state = self.give_up(&format!("got {end:?}")),
            }
        }
        self.compare(&answers);
        true
    }

    fn compare(&mut self, answers: &[Vec<Message>]) {
        if let Some(error) = answers.iter().flatten().find(|message| message.tag == b'E') {
            self.complaints.push(format!("another client's transaction failed: {}", error.text()));
        }
        let value = |number: usize| -> Option<String> {
            let row = answers.get(number)?.iter().find(|message| message.tag == b'D')?;
            row.columns().into_iter().next().flatten()
        };
        let (found, statement, left, server) = (value(1), value(3), value(4), value(5));
        let own = format!("the statement of passer-by {}", self.number);
        if let Some(statement) = statement.filter(|it| *it != own) {
            self.complaints.push(format!("another client's s1 is {statement:?}"));
        }
        if let (Some(before), Some(found)) = (&self.left, &found)
            && before != found
        {
            self.complaints.push(disagreement(before, found));
        }
        self.left = left;
        self.server = server;
    }

    fn end(&mut self) {
        if self.state != State::InTransaction {
            return;
        }
        self.state = State::Outside;
        let sent = self.connection.try_send(&message::query("COMMIT"));
        let mut last = None;
        while sent.is_ok() && last != Some(b'Z') {
            match self.connection.read_within(LAST_PATIENCE) {
                Ok(Some(message)) => last = Some(message.tag),
                end => {
                    self.state = self.give_up(&format!("got {end:?} for COMMIT"));
                    return;
                }
            }
        }
    }

    fn give_up(&mut self, why: &str) -> State {
        self.complaints.push(format!("another client {why}"));
        State::Gone
    }
}

/// The lines of two looks that are only in one of them.
fn disagreement(left: &str, found: &str) -> String {
    let without = |one: &str, other: &str| {
        let other: Vec<_> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).collect::<Vec<_>>().join(", ")
    };
    format!("another client left {{{}}} and found {{{}}}", without(left, found), without(found, left))
}

/// How many questions a visit has.
const QUESTIONS: usize = 6;

/// How long a server connection may take to be opened and given, before it counts as none for clients.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);
/// How long a free server connection may take to be given, before it counts as pinned.
const PATIENCE: Duration = Duration::from_millis(60);
/// The same, if one was pinned the last time.
const LITTLE_PATIENCE: Duration = Duration::from_millis(6);
/// How long anything may take that has to come.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// All of a session that another's may be mistaken for, without what ends with the transaction. A custom parameter that is unknown, and one that is empty, are
/// the same here: PostgreSQL never forgets a name.
const LOOK: &str = "SELECT pg_catalog.concat_ws(pg_catalog.chr(10), session_user, current_user, \
    (SELECT pg_catalog.string_agg(pg_catalog.concat(name, '=', pg_catalog.current_setting(name, true)), pg_catalog.chr(10) ORDER BY name) \
     FROM pg_catalog.unnest(ARRAY['search_path', 'TimeZone', 'work_mem', 'DateStyle', 'IntervalStyle', \
        'client_encoding', 'application_name', 'default_transaction_read_only', 'default_transaction_isolation', \
        'bytea_output', 'extra_float_digits', 'enable_seqscan', 'geqo', 'statement_timeout', 'lock_timeout', \
        'standard_conforming_strings', 'junk.x', 'app.x', 'app.y']) AS name), \
    (SELECT pg_catalog.string_agg(name || ': ' || statement, ', ' ORDER BY name) \
     FROM pg_catalog.pg_prepared_statements WHERE from_sql), \
    (SELECT pg_catalog.string_agg(c, ', ' ORDER BY c) FROM pg_catalog.pg_listening_channels() AS c \
     WHERE c NOT LIKE 'junk%'), \
    (SELECT pg_catalog.string_agg(name, ', ' ORDER BY name) FROM pg_catalog.pg_cursors WHERE is_holdable), \
    (SELECT pg_catalog.concat(pg_catalog.count(*), ' temporary objects') FROM pg_catalog.pg_class \
     WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relname NOT LIKE 'junk%'), \
    (SELECT pg_catalog.concat(pg_catalog.count(*), ' advisory locks') FROM pg_catalog.pg_locks \
     WHERE locktype = 'advisory' AND classid <> 4242 AND pid = pg_catalog.pg_backend_pid()))";

/// What each of them does in turn, each time in a transaction that commits.
const HABITS: [&[&str]; 5] = [
    &[
        "SET search_path = junk, public; SET TimeZone = 'Asia/Tokyo'",
        "SET work_mem = '4321kB'; SET LOCAL statement_timeout = '1h'; SET LOCAL statement_timeout = DEFAULT",
        "PREPARE p AS SELECT 'junk', 'p'",
        "PREPARE s AS SELECT 'junk s'",
        "RESET ALL; DEALLOCATE s",
        "SET search_path = 'junk'; SET app.x = 'junk'; DEALLOCATE p",
    ],
    &[
        "SET ROLE junk_role; SET junk.x = 'one'",
        "SET DateStyle = 'German, DMY'; SET IntervalStyle = 'iso_8601'",
        "RESET ROLE; SET application_name = 'passer-by'",
        "SELECT pg_catalog.set_config('junk.x', 'two', false), pg_catalog.set_config('maintenance_work_mem', '2MB', true)",
        "SET ROLE junk_role; SET work_mem = '777kB'; SET work_mem TO DEFAULT",
    ],
    &[
        "SET client_encoding = 'LATIN1'; SET bytea_output = 'escape'",
        "LISTEN junk_channel; SET enable_seqscan = off",
        "SET extra_float_digits = -5; SELECT pg_catalog.pg_advisory_xact_lock(4242, pg_catalog.pg_backend_pid())",
        "UNLISTEN junk_channel; SET client_encoding = 'UTF8'; SET lock_timeout = '7min'",
    ],
    &[
        "SET default_transaction_read_only = on; SET app.y = 'junk y'",
        "PREPARE q AS SELECT 'junk q'",
        "SET standard_conforming_strings = off",
        "SET default_transaction_isolation = 'serializable'; SET statement_timeout = '11min'",
        "DEALLOCATE q; RESET default_transaction_read_only; RESET standard_conforming_strings; SET geqo = off",
    ],
    &[
        "SET work_mem = '64kB'; SET TimeZone = 'America/New_York'; SET search_path = pg_catalog",
        "CREATE TEMP TABLE junk_t ON COMMIT DROP AS SELECT 1 AS junk; SET app.x = 'junk too'",
        "PREPARE p AS SELECT 'other p'",
        "DECLARE c CURSOR FOR SELECT 1; SET TimeZone = DEFAULT",
        "DEALLOCATE p; SET application_name = 's1'; SET search_path = \"$user\", junk",
    ],
];
