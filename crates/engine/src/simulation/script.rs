//! What a client asks, and what it expects of the answer.

use std::time::Duration;

use howdah_core::settings::PoolMode;
use howdah_wire::backend::TransactionStatus;
use howdah_wire::frontend::{self, TargetKind};
use howdah_wire::write_message;

use super::client::{Client, Ended};
use super::sql::{Asked, Sql};

/// A reply, or a group of replies that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    ParseComplete {
        name: String,
        text: Option<usize>,
    },
    BindComplete {
        name: String,
    },
    /// Of a statement.
    Description {
        name: String,
    },
    CloseComplete {
        name: String,
    },
    /// The rows and the end of a statement; with their description if it was a simple query.
    Outcome {
        sql: Sql,
        asked: Option<Asked>,
        described: bool,
    },
    Ready,
}

impl Client {
    pub(super) async fn step(&mut self) -> Result<(), Ended> {
        match self.chance.below(15) {
            0 | 1 => self.simple_query().await,
            2 => self.two_in_one_query().await,
            3 | 4 => self.transaction().await,
            5 | 6 => self.pipeline().await,
            7 => self.unnamed_in_two_batches().await,
            8 => self.sleeping_query().await,
            9 => self.copy().await,
            10..=13 => self.change().await,
            _ => self.slow_reading().await,
        }
    }

    async fn simple_query(&mut self) -> Result<(), Ended> {
        let sql = self.any_rows();
        let expected = self.ask(sql);
        self.exchange(expected).await
    }

    async fn two_in_one_query(&mut self) -> Result<(), Ended> {
        let (first, second) = (self.any_statement(), self.any_rows());
        frontend::write_query(self.wire.out(), format!("{first}; {second}").as_bytes());
        let outcome = |sql: Sql| Expect::Outcome { asked: sql.asked(), sql, described: true };
        self.exchange(vec![outcome(first), outcome(second), Expect::Ready]).await
    }

    async fn transaction(&mut self) -> Result<(), Ended> {
        if self.mode == PoolMode::Statement {
            return self.simple_query().await;
        }
        let begin = self.ask(Sql::session("BEGIN"));
        self.exchange(begin).await?;
        for _ in 0..self.chance.between(1, 3) {
            if self.chance.one_in(3) {
                let idle = self.chance.millis(0, 40);
                self.pause(idle).await;
            }
            match self.chance.below(8) {
                0..=2 => self.change().await?,
                3 => self.copy().await?,
                4 => self.pipeline().await?,
                5 => self.sleeping_query().await?,
                _ => {
                    let sql = self.any_statement();
                    let expected = self.ask(sql);
                    self.exchange(expected).await?;
                }
            }
        }
        if self.status == TransactionStatus::Idle {
            // A pipeline had an end of its own.
            return Ok(());
        }
        let end = if self.chance.one_in(3) { "ROLLBACK" } else { "COMMIT" };
        let expected = self.ask(Sql::session(end));
        self.exchange(expected).await
    }

    async fn sleeping_query(&mut self) -> Result<(), Ended> {
        let asked = self.next_question();
        let millis = self.chance.between(1, 100) as u64;
        let expected = if self.chance.one_in(2) {
            self.ask(Sql::Sleep { asked, millis })
        } else {
            let mut expected = self.unnamed(&Sql::Sleep { asked, millis });
            expected.push(self.sync());
            expected
        };
        for _ in 0..self.chance.between(0, 2) {
            self.cancel_later();
        }
        self.exchange(expected).await
    }

    /// Changes its session in one way or another.
    async fn change(&mut self) -> Result<(), Ended> {
        let mut expected = Vec::new();
        for _ in 0..self.chance.between(1, 3) {
            let sql = self.any_change();
            // In session mode a start value comes back only when a batch with a RESET in it has ended.
            let resets = matches!(&sql, Sql::Session(text) if text.starts_with("RESET"));
            if self.chance.one_in(2) || resets && self.mode == PoolMode::Session {
                expected.extend(self.ask(sql));
            } else {
                expected.extend(self.unnamed(&sql));
                expected.push(self.sync());
            }
        }
        if self.chance.one_in(10) {
            self.cancel_later();
        }
        self.exchange(expected).await?;
        if self.chance.one_in(2) {
            let sql = self.any_rows();
            let expected = self.ask(sql);
            self.exchange(expected).await?;
        }
        Ok(())
    }

    /// A statement that changes the session. Values say whose they are.
    fn any_change(&mut self) -> Sql {
        let value = format!("c{}v{}n{}", self.number, self.visit, self.chance.between(1, 9));
        let last = if self.world.plan.listens { CHANNELS } else { SETTINGS };
        let kinds = [SETTINGS, ROLES, STATEMENTS, LIVING, last];
        let in_block = self.status != TransactionStatus::Idle;
        let texts = if in_block && self.chance.one_in(4) { SAVEPOINTS } else { self.chance.pick(&kinds) };
        let text = self.chance.pick(texts);
        Sql::Session(text.replace('%', &value).replace('@', &self.number.to_string()))
    }

    /// Several batches at once, with statements prepared, described, closed and wrong in the middle.
    async fn pipeline(&mut self) -> Result<(), Ended> {
        let mut expected = Vec::new();
        for _ in 0..self.chance.between(1, 3) {
            for _ in 0..self.chance.between(0, 3) {
                self.part_of_batch(&mut expected);
            }
            expected.push(self.sync());
            if self.chance.one_in(4) {
                let sql = self.any_statement();
                expected.extend(self.ask(sql));
            }
        }
        if self.chance.one_in(6) {
            self.cancel_later();
        }
        self.exchange(expected).await
    }

    fn part_of_batch(&mut self, expected: &mut Vec<Expect>) {
        let name = self.chance.pick(&["s1", "s2", "s3"]).to_owned();
        let text = self.chance.below(4);
        match self.chance.below(8) {
            0 | 1 => {
                let sql = Sql::Prepared { text };
                frontend::write_parse(self.wire.out(), name.as_bytes(), sql.to_string().as_bytes(), &[]);
                expected.push(Expect::ParseComplete { name, text: Some(text) });
            }
            2..=4 => {
                expected.extend(self.bind_and_execute(name));
            }
            5 => {
                frontend::write_close(self.wire.out(), TargetKind::Statement, name.as_bytes());
                expected.push(Expect::CloseComplete { name });
            }
            6 => {
                frontend::write_describe(self.wire.out(), TargetKind::Statement, name.as_bytes());
                expected.push(Expect::Description { name });
            }
            _ => {
                let sql = self.any_statement();
                expected.extend(self.unnamed(&sql));
            }
        }
        if self.chance.one_in(6) {
            frontend::write_flush(self.wire.out());
        }
    }

    fn bind_and_execute(&mut self, name: String) -> [Expect; 2] {
        let asked = self.next_question();
        self.write_bind(name.as_bytes(), &format!("{} {}", asked.client, asked.sequence));
        frontend::write_execute(self.wire.out(), b"", 0);
        // Which text it is shows when the name's Parse has been answered.
        let outcome =
            Expect::Outcome { sql: Sql::Prepared { text: 0 }, asked: Some(asked), described: false };
        [Expect::BindComplete { name }, outcome]
    }

    fn unnamed(&mut self, sql: &Sql) -> Vec<Expect> {
        let text = self.padded(sql);
        frontend::write_parse(self.wire.out(), b"", text.as_bytes(), &[]);
        self.write_bind(b"", "");
        frontend::write_execute(self.wire.out(), b"", 0);
        vec![
            Expect::ParseComplete { name: String::new(), text: None },
            Expect::BindComplete { name: String::new() },
            Expect::Outcome { sql: sql.clone(), asked: sql.asked(), described: false },
        ]
    }

    /// Drivers parse, wait, and bind later: in between the statement has to follow its client.
    async fn unnamed_in_two_batches(&mut self) -> Result<(), Ended> {
        let sql = self.any_rows();
        let text = self.padded(&sql);
        frontend::write_parse(self.wire.out(), b"", text.as_bytes(), &[]);
        frontend::write_describe(self.wire.out(), TargetKind::Statement, b"");
        let expected = vec![
            Expect::ParseComplete { name: String::new(), text: None },
            Expect::Description { name: String::new() },
            self.sync(),
        ];
        self.exchange(expected).await?;
        let parsed = !self.erred;
        if self.chance.one_in(2) {
            let pause = self.chance.millis(0, 30);
            self.pause(pause).await;
        }
        if !parsed {
            return Ok(());
        }
        self.unanswered = self.asked.get();
        self.write_bind(b"", "");
        frontend::write_execute(self.wire.out(), b"", 0);
        let outcome = Expect::Outcome { asked: sql.asked(), sql, described: false };
        let expected = vec![Expect::BindComplete { name: String::new() }, outcome, self.sync()];
        self.exchange(expected).await
    }

    async fn copy(&mut self) -> Result<(), Ended> {
        let asked = self.next_question();
        let sql = if self.chance.one_in(2) {
            Sql::CopyIn { asked }
        } else {
            Sql::CopyOut { asked, lines: self.chance.below(20) }
        };
        let expected = if self.chance.one_in(2) {
            self.ask(sql)
        } else {
            let mut expected = self.unnamed(&sql);
            expected.push(self.sync());
            expected
        };
        if self.chance.one_in(4) {
            self.cancel_later();
        }
        self.exchange(expected).await
    }

    async fn slow_reading(&mut self) -> Result<(), Ended> {
        let asked = self.next_question();
        let (rows, filling) = (self.chance.between(1, 12), self.bulk().min(3000));
        let filling = self.chance.between(100, filling);
        let expected = self.ask(Sql::Rows { asked, rows, filling });
        let nap = self.chance.millis(0, 200);
        self.pause(nap).await;
        self.exchange(expected).await
    }

    fn any_rows(&mut self) -> Sql {
        let asked = self.next_question();
        Sql::Rows { asked, rows: self.chance.below(5), filling: self.chance.pick(&[0, 3, 40]) }
    }

    fn any_statement(&mut self) -> Sql {
        if self.chance.one_in(5) { Sql::Fail { asked: self.next_question() } } else { self.any_rows() }
    }

    /// How many bytes are many: in small pieces they cost the run too much.
    fn bulk(&self) -> usize {
        let plan = &self.world.plan;
        match plan.client_pipes.smallest().min(plan.server_pipes.smallest()) {
            0..64 => 300,
            64..1000 => 20_000,
            _ => 100_000,
        }
    }

    /// A text that is longer than what is read of a client without a server connection, now and then.
    fn padded(&mut self, sql: &Sql) -> String {
        let most = self.bulk();
        let padding = if self.chance.one_in(12) { self.chance.below(most) } else { 0 };
        format!("{sql}{}", " ".repeat(padding))
    }

    /// A simple query.
    fn ask(&mut self, sql: Sql) -> Vec<Expect> {
        let text = self.padded(&sql);
        frontend::write_query(self.wire.out(), text.as_bytes());
        vec![Expect::Outcome { asked: sql.asked(), sql, described: true }, Expect::Ready]
    }

    fn sync(&mut self) -> Expect {
        frontend::write_sync(self.wire.out());
        Expect::Ready
    }

    /// A Bind of one text parameter to the unnamed portal.
    fn write_bind(&mut self, statement: &[u8], value: &str) {
        let mut rest = vec![0, 0, 0, 1];
        rest.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        rest.extend_from_slice(value.as_bytes());
        rest.extend_from_slice(&[0, 0]);
        frontend::write_bind_header(self.wire.out(), b"", statement, rest.len()).unwrap();
        self.wire.out().extend_from_slice(&rest);
    }

    /// The server waits for data: gives it some. Returns how many lines, `None` if it was called off.
    pub(super) async fn give_copy_data(&mut self, asked: Asked, extended: bool) -> Option<usize> {
        let lines = self.chance.below(12);
        for line in 0..lines {
            let text = format!("{asked} {line}");
            write_message(self.wire.out(), frontend::tag::COPY_DATA, text.as_bytes());
            if self.chance.one_in(8) {
                let pause = self.chance.millis(0, 20);
                self.pause(pause).await;
            }
        }
        let called_off = self.chance.one_in(5);
        if called_off {
            frontend::write_copy_fail(self.wire.out(), b"thought better of it");
        } else {
            write_message(self.wire.out(), frontend::tag::COPY_DONE, &[]);
        }
        if extended {
            // The first Sync has been swallowed.
            frontend::write_sync(self.wire.out());
        }
        self.perhaps_vanish();
        (!called_off).then_some(lines)
    }
}

/// No single answer takes longer: everybody else's work is done by then.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

const SETTINGS: &[&str] = &[
    "SET application_name TO %",
    "SET work_mem TO '%'",
    "SET LOCAL work_mem TO '%'",
    "SET search_path TO '%'",
    "SET app.x TO '%'",
    "SET timezone TO '%'",
    "SET log_statement TO '%'",
    "SET work_mem TO 'bad'",
    "RESET work_mem",
    "RESET search_path",
    "RESET timezone",
    "RESET application_name",
    "RESET ALL",
    "SELECT set_config('geqo', '%', false)",
    "SELECT set_config('work_mem', '%', true)",
];

const ROLES: &[&str] = &[
    "SET ROLE ann",
    "SET ROLE super9",
    "SET ROLE nobody",
    "SET ROLE none",
    "RESET ROLE",
    "SET LOCAL ROLE ann",
    "SET SESSION AUTHORIZATION bob",
    "RESET SESSION AUTHORIZATION",
];

const STATEMENTS: &[&str] = &[
    "PREPARE p AS SELECT set_config('work_mem', '%', false)",
    "PREPARE q AS SELECT set_config('search_path', '%', false)",
    "EXECUTE p",
    "EXECUTE q",
    "DEALLOCATE p",
    "DEALLOCATE q",
];

const LIVING: &[&str] = &[
    "SELECT pg_advisory_lock('@')",
    "SELECT pg_advisory_unlock('@')",
    "SELECT pg_advisory_unlock_all()",
    "CREATE TEMP TABLE t",
    "DROP TABLE t",
    "DISCARD TEMP",
    "DECLARE k CURSOR WITH HOLD FOR SELECT 1",
    "CLOSE k",
];

const CHANNELS: &[&str] = &["LISTEN x", "LISTEN y", "LISTEN x", "UNLISTEN x", "UNLISTEN *"];

const SAVEPOINTS: &[&str] = &["SAVEPOINT a", "ROLLBACK TO a", "RELEASE a"];
