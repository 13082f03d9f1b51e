//! What a client makes of the replies: all are its own, in order, exactly once.

use std::collections::VecDeque;

use howdah_core::settings::MaxPinned;
use howdah_model::SqlError;
use howdah_wire::backend::{
    CommandComplete, DataRow, ParameterStatus, ReadyForQuery, TransactionStatus, tag,
};
use howdah_wire::{CancelKey, ErrorResponse, Severity};

use super::client::{Client, Ended};
use super::script::{Expect, PATIENCE};
use super::sql::{Asked, INITIAL, REPORTED, Sql, filling};
use super::wire::Lost;

impl Client {
    pub(super) async fn log_in(&mut self) -> Result<(), Ended> {
        loop {
            let (tag, body) = self.next().await?;
            match tag {
                tag::AUTHENTICATION if body == [0; 4] => {}
                tag::BACKEND_KEY_DATA => self.key = CancelKey::parse(&body).ok(),
                tag::READY_FOR_QUERY => break,
                tag::ERROR_RESPONSE => return Err(self.farewell(&body).await),
                tag => return Err(self.wrong(format!("{:?} while logging in", char::from(tag)))),
            }
        }
        if self.key.is_none() {
            return Err(self.wrong("no cancel key"));
        }
        self.check_settings()
    }

    /// Sends what has been written and takes the answers.
    pub(super) async fn exchange(&mut self, expected: Vec<Expect>) -> Result<(), Ended> {
        self.perhaps_vanish();
        let number = self.number;
        self.world.log(|| format!("c{number} sends {} bytes, expects {expected:?}", self.wire.out().len()));
        let mut expected = VecDeque::from(expected);
        let mut text_bound = None;
        self.erred = false;
        while let Some(next) = expected.pop_front() {
            let (tag, body) = self.next().await?;
            self.world.facts.borrow_mut().checked += 1;
            if tag == tag::ERROR_RESPONSE {
                self.error(&next, &body).await?;
                if next == Expect::Ready {
                    expected.push_front(next);
                }
                while expected.front().is_some_and(|skipped| *skipped != Expect::Ready) {
                    expected.pop_front();
                }
                continue;
            }
            let fits = match (&next, tag) {
                (Expect::Ready, tag::READY_FOR_QUERY) => {
                    self.ready(&body)?;
                    true
                }
                (Expect::ParseComplete { name, text }, tag::PARSE_COMPLETE) => {
                    let free = match text {
                        Some(text) => self.statements.insert(name.clone(), *text).is_none(),
                        None => true,
                    };
                    // ROLLBACK TO can be parsed.
                    free && (text.is_none() || !self.failed)
                }
                (Expect::BindComplete { name }, tag::BIND_COMPLETE) => {
                    text_bound = self.statements.get(name).copied();
                    name.is_empty() || text_bound.is_some()
                }
                (Expect::CloseComplete { name }, tag::CLOSE_COMPLETE) => {
                    self.statements.remove(name);
                    true
                }
                (Expect::Description { name }, tag::PARAMETER_DESCRIPTION) => {
                    let (tag, body) = self.next().await?;
                    if tag == tag::ERROR_RESPONSE {
                        return Err(self.farewell(&body).await);
                    }
                    tag == tag::ROW_DESCRIPTION && (name.is_empty() || self.statements.contains_key(name))
                }
                (Expect::Outcome { sql, asked, described }, _) => {
                    let sql = match (sql, text_bound) {
                        (Sql::Prepared { .. }, Some(text)) => Sql::Prepared { text },
                        _ => sql.clone(),
                    };
                    let went_well = self.outcome(&sql, *asked, *described, (tag, body)).await?;
                    if !went_well {
                        while expected.front().is_some_and(|skipped| *skipped != Expect::Ready) {
                            expected.pop_front();
                        }
                    }
                    true
                }
                _ => false,
            };
            if !fits {
                return Err(self.wrong(format!("{:?} where {next:?} was expected", char::from(tag))));
            }
        }
        self.unanswered = self.asked.get() + 1;
        Ok(())
    }

    /// Rows, COPY and the end of one statement. `false`: it ended in an error.
    async fn outcome(
        &mut self,
        sql: &Sql,
        asked: Option<Asked>,
        described: bool,
        first: (u8, Vec<u8>),
    ) -> Result<bool, Ended> {
        let expect = Expect::Outcome { sql: sql.clone(), asked, described };
        let (mut tag, mut body) = first;
        let (mut rows, mut lines, mut given, mut seen_description) = (0, 0, None, false);
        loop {
            match tag {
                tag::ROW_DESCRIPTION if described && !seen_description => seen_description = true,
                tag::DATA_ROW if matches!(sql, Sql::Session(_)) => {}
                tag::DATA_ROW => {
                    self.check_row(sql, asked, rows, &body)?;
                    rows += 1;
                }
                tag::COPY_OUT_RESPONSE if matches!(sql, Sql::CopyOut { .. }) => {}
                tag::COPY_DATA => {
                    let line = format!("{} {lines}", asked.map_or_else(String::new, |a| a.to_string()));
                    if body != line.as_bytes() {
                        let got = String::from_utf8_lossy(&body).into_owned();
                        return Err(self.wrong(format!("COPY line {got:?} instead of {line:?}")));
                    }
                    lines += 1;
                }
                tag::COPY_DONE => {}
                tag::COPY_IN_RESPONSE if matches!(sql, Sql::CopyIn { .. }) => {
                    if let Some(asked) = asked {
                        given = Some(self.give_copy_data(asked, !described).await);
                    }
                }
                tag::COMMAND_COMPLETE => break,
                tag::ERROR_RESPONSE => {
                    let called_off = given == Some(None);
                    if called_off && ErrorResponse::parse(&body).code.as_str() == "57014" {
                        self.note_error();
                    } else {
                        self.error(&expect, &body).await?;
                    }
                    return Ok(false);
                }
                other => return Err(self.wrong(format!("{:?} amid {sql:?}", char::from(other)))),
            }
            (tag, body) = self.next().await?;
        }
        let command = CommandComplete::parse(&body).map_err(|e| self.wrong(e.to_string()))?;
        let command = String::from_utf8_lossy(command.tag).into_owned();
        let right = match sql {
            Sql::Rows { rows: wanted, .. } => rows == *wanted && command == format!("SELECT {rows}"),
            Sql::Sleep { .. } | Sql::Prepared { .. } => rows == 1 && command == "SELECT 1",
            Sql::CopyOut { lines: wanted, .. } => lines == *wanted && command == format!("COPY {lines}"),
            Sql::CopyIn { .. } => given.flatten().is_some_and(|lines| command == format!("COPY {lines}")),
            // What it has to be depends on the session.
            Sql::Session(_) => true,
            _ => false,
        };
        if !right {
            return Err(self.wrong(format!("{command:?} after {rows} rows and {lines} lines of {sql:?}")));
        }
        self.carried_out(sql, &command)?;
        Ok(true)
    }

    fn carried_out(&mut self, sql: &Sql, command: &str) -> Result<(), Ended> {
        self.session.begin();
        let Sql::Session(text) = sql else { return Ok(()) };
        match self.run(text) {
            Ok(tag) if tag == command => {}
            other => return Err(self.wrong(format!("{command:?} instead of {other:?} of {text:?}"))),
        }
        if matches!(command, "DISCARD ALL" | "DEALLOCATE ALL") {
            self.statements.clear();
        }
        Ok(())
    }

    /// What the statement does in a session of its own.
    fn run(&mut self, text: &str) -> Result<String, SqlError> {
        let mut text = text.to_owned();
        loop {
            let done = self.session.run(&text, false).expect("the model knows what the clients say")?;
            match done.instead {
                Some(instead) => text = instead,
                None => return Ok(done.tag),
            }
        }
    }

    fn check_row(&self, sql: &Sql, asked: Option<Asked>, row: usize, body: &[u8]) -> Result<(), Ended> {
        let Some(asked) = asked else { return Err(self.wrong(format!("a row for {sql:?}"))) };
        let (kind, length) = match sql {
            Sql::Rows { filling, .. } => ("rows".to_owned(), *filling),
            Sql::Sleep { .. } => ("sleep".to_owned(), 0),
            Sql::Prepared { text } => (format!("text{text}"), 0),
            _ => return Err(self.wrong(format!("a row for {sql:?}"))),
        };
        let wanted = [
            asked.to_string(),
            row.to_string(),
            kind,
            self.session.unusual(&INITIAL),
            filling(asked, row, length),
        ];
        let row = DataRow::parse(body).map_err(|e| self.wrong(format!("a row that is none: {e}")))?;
        let got = row.values().iter().map(|value| String::from_utf8_lossy(value.unwrap_or_default()));
        let got: Vec<_> = got.collect();
        if got != wanted {
            return Err(self.wrong(format!("the row {got:?} instead of {wanted:?}")));
        }
        Ok(())
    }

    /// An error in answer to `expected`: is it one that may be?
    async fn error(&mut self, expected: &Expect, body: &[u8]) -> Result<(), Ended> {
        let error = ErrorResponse::parse(body);
        self.world.log(|| format!("c{} gets {error}", self.number));
        if error.severity == Severity::Fatal {
            return Err(self.farewell(body).await);
        }
        let has = |name: &String| name.is_empty() || self.statements.contains_key(name);
        let code = error.code.as_str();
        let may_be = match code {
            "25P02" => self.failed,
            // Of a RESET also what has to follow it, when it has been answered itself.
            "57014" => self.world.facts.borrow().asks.iter().any(|ask| ask.client == self.number),
            // Others are pinned.
            "53300" => self.world.plan.max_pinned != MaxPinned::Unlimited,
            _ if let Expect::Outcome { sql: Sql::Session(text), .. } = expected
                && !matches!(code, "25P02" | "57014") =>
            {
                self.run(text).is_err_and(|(right, _)| right == code)
            }
            "22012" => matches!(expected, Expect::Outcome { sql: Sql::Fail { asked }, .. }
                if error.message.ends_with(&format!(" of {asked}"))),
            "42P05" => {
                matches!(expected, Expect::ParseComplete { name, .. } if has(name) && error.message.contains(name.as_str()))
            }
            "26000" => match expected {
                Expect::BindComplete { name } | Expect::Description { name } => {
                    !has(name) && error.message.contains(&format!("{name:?}"))
                }
                _ => false,
            },
            _ => false,
        };
        if !may_be {
            return Err(self.wrong(format!("{error} in answer to {expected:?}")));
        }
        self.note_error();
        Ok(())
    }

    fn note_error(&mut self) {
        self.failed = true;
        self.erred = true;
        self.session.fail();
    }

    fn ready(&mut self, body: &[u8]) -> Result<(), Ended> {
        let ready = ReadyForQuery::parse(body).map_err(|e| self.wrong(e.to_string()))?;
        self.status = ready.status;
        self.session.end_message();
        if ready.status != self.session.status() {
            return Err(self.wrong(format!("{:?} instead of {:?}", ready.status, self.session.status())));
        }
        self.failed &= ready.status != TransactionStatus::Idle;
        self.check_settings()
    }

    fn check_settings(&self) -> Result<(), Ended> {
        for (name, spelt) in REPORTED {
            let told = self.reported.get(spelt).map_or("", String::as_str);
            let right = self.session.setting(name).unwrap_or_default();
            if told != right {
                return Err(self.wrong(format!("is told that {spelt} is {told:?}, and it is {right:?}")));
            }
        }
        Ok(())
    }

    /// The last words to this client: may they be?
    async fn farewell(&mut self, body: &[u8]) -> Ended {
        let error = ErrorResponse::parse(body);
        let world = &self.world;
        let number = self.number;
        world.log(|| format!("c{number} is told {error}"));
        if error.severity != Severity::Fatal || !world.facts.borrow().excuses(error.code.as_str()) {
            return self.wrong(format!("{error}, without a reason"));
        }
        match tokio::time::timeout(PATIENCE, self.wire.message()).await {
            Ok(Err(_)) => Ended,
            Ok(Ok((tag, _))) => self.wrong(format!("{:?} after FATAL", char::from(tag))),
            Err(_) => self.wrong("the connection stays open after FATAL"),
        }
    }

    /// The next message that answers something. What comes unasked is looked at in passing.
    async fn next(&mut self) -> Result<(u8, Vec<u8>), Ended> {
        loop {
            let wire = &mut self.wire;
            let both = std::future::poll_fn(|cx| {
                if let std::task::Poll::Ready(Err(lost)) = wire.poll_flush(cx) {
                    return std::task::Poll::Ready(Err(lost));
                }
                wire.poll_message(cx)
            });
            let (tag, body) = match tokio::time::timeout(PATIENCE, both).await {
                Err(_) => return Err(self.wrong("waits too long")),
                Ok(Err(lost)) => return Err(self.lost(lost)),
                Ok(Ok(message)) => message,
            };
            match tag {
                tag::PARAMETER_STATUS => {
                    let status = ParameterStatus::parse(&body).map_err(|e| self.wrong(e.to_string()))?;
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    let (name, value) = (text(status.name), text(status.value));
                    let whose = format!("c{}v", self.number);
                    if name == "application_name" && !value.starts_with(&whose) {
                        return Err(self.wrong(format!("is told of application_name {value:?}")));
                    }
                    self.reported.insert(name, value);
                }
                tag::NOTICE_RESPONSE => {}
                _ => return Ok((tag, body)),
            }
        }
    }

    /// The connection ended without a word: may it?
    pub(super) fn lost(&self, lost: Lost) -> Ended {
        let number = self.number;
        let our_doing = lost == Lost::Vanished || self.wire.scissors.were_used();
        self.world.log(|| format!("c{number} {lost:?}"));
        // In the middle of a message there is no place for last words.
        let facts = self.world.facts.borrow();
        let torn = lost == Lost::Torn && facts.excuses_any();
        drop(facts);
        if our_doing || torn { Ended } else { self.wrong(format!("{lost:?} without a word")) }
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> Ended {
        self.world.fail(format!("c{}: {}", self.number, what.into()));
        Ended
    }
}
