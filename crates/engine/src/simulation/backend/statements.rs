//! How a backend carries out a statement.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::frontend::tag;
use howdah_wire::write_message;

use super::super::sql::{Asked, Sql, filling};
use super::{Backend, End, error};

impl Backend {
    pub(super) async fn carry_out(&mut self, sql: &Sql, asked: Option<Asked>) -> Result<(), End> {
        self.world.log(|| format!("pg {} carries out {sql:?} of {asked:?}", self.card.pid));
        if let Some(asked) = asked
            && !self.world.facts.borrow_mut().executed.insert(asked)
        {
            self.world.fail(format!("{asked} is carried out twice"));
        }
        if self.at_begin.is_none() {
            self.at_begin = Some(self.settings.clone());
        }
        self.card.running.set(Some(asked));
        self.card.cancel.set(false);
        let outcome = self.work(sql, asked).await;
        self.card.running.set(None);
        let tag = outcome?;
        backend::write_command_complete(self.wire.out(), tag.as_bytes());
        Ok(())
    }

    async fn work(&mut self, sql: &Sql, asked: Option<Asked>) -> Result<String, End> {
        let busy = asked.is_some() && self.chance.one_in(4) || self.world.plan.slow_servers;
        if busy && self.chance.one_in(2) {
            let while_busy = self.chance.millis(1, 4);
            self.pass(while_busy).await?;
        }
        match sql {
            Sql::Rows { asked, rows, filling } => {
                for row in 0..*rows {
                    self.row(*asked, row, "rows", *filling);
                }
                return Ok(format!("SELECT {rows}"));
            }
            Sql::Sleep { asked, millis } => {
                self.pass(Duration::from_millis(*millis)).await?;
                self.row(*asked, 0, "sleep", 0);
                return Ok("SELECT 1".to_owned());
            }
            Sql::Prepared { text } => {
                let asked = asked.ok_or_else(|| error("22P02", "the parameter does not say who asks"))?;
                self.row(asked, 0, &format!("text{text}"), 0);
                return Ok("SELECT 1".to_owned());
            }
            Sql::Fail { asked } => return Err(error("22012", format!("division by zero of {asked}"))),
            Sql::CopyIn { asked } => return self.copy_in(*asked).await,
            Sql::CopyOut { asked, lines } => {
                write_message(self.wire.out(), backend::tag::COPY_OUT_RESPONSE, &[0, 0, 0]);
                for line in 0..*lines {
                    let text = format!("{asked} {line}");
                    write_message(self.wire.out(), backend::tag::COPY_DATA, text.as_bytes());
                }
                write_message(self.wire.out(), backend::tag::COPY_DONE, &[]);
                return Ok(format!("COPY {lines}"));
            }
            Sql::Begin => self.card.status.set(TransactionStatus::InTransaction),
            Sql::Commit | Sql::Rollback => return Ok(self.end_transaction(sql).to_owned()),
            Sql::SetApplicationName(name) => drop(self.set("application_name", name)),
            Sql::SetConfig(pairs) => {
                for (name, value) in pairs {
                    self.set(name, value).ok_or_else(|| error("42704", format!("no setting {name}")))?;
                }
                let values: Vec<&str> = pairs.iter().map(|(_, value)| value.as_str()).collect();
                backend::write_data_row(self.wire.out(), values.iter().map(|v| Some(v.as_bytes())));
                return Ok("SELECT 1".to_owned());
            }
            Sql::TrySettings(pairs) => {
                for (name, value) in pairs {
                    if !self.settings.contains_key(name) {
                        return Err(error("42704", format!("no setting {name}")));
                    }
                    let fields = ["s", name, value];
                    backend::write_data_row(self.wire.out(), fields.map(|field| Some(field.as_bytes())));
                }
                return Ok(format!("SELECT {}", pairs.len()));
            }
            Sql::Survey => return Ok("SELECT 0".to_owned()),
            Sql::DiscardAll => {
                self.settings = self.initial.clone();
                self.statements.clear();
                return Ok("DISCARD ALL".to_owned());
            }
            Sql::Empty => {}
        }
        Ok(match sql {
            Sql::Begin => "BEGIN",
            _ => "SET",
        }
        .to_owned())
    }

    fn end_transaction(&mut self, sql: &Sql) -> &'static str {
        let failed = self.card.status.replace(TransactionStatus::Idle) == TransactionStatus::Failed;
        let before = self.at_begin.take();
        self.portals.clear();
        if *sql == Sql::Commit && !failed {
            return "COMMIT";
        }
        if let Some(before) = before {
            self.settings = before;
        }
        "ROLLBACK"
    }

    fn row(&mut self, asked: Asked, row: usize, kind: &str, length: usize) {
        let values = [
            asked.to_string(),
            row.to_string(),
            kind.to_owned(),
            self.settings["application_name"].clone(),
            self.settings["TimeZone"].clone(),
            filling(asked, row, length),
        ];
        backend::write_data_row(self.wire.out(), values.iter().map(|value| Some(value.as_bytes())));
    }

    async fn copy_in(&mut self, asked: Asked) -> Result<String, End> {
        write_message(self.wire.out(), backend::tag::COPY_IN_RESPONSE, &[0, 0, 0]);
        self.wire.flush().await?;
        let mut lines = 0;
        loop {
            let (tag, body) = self.message().await?;
            if self.card.cancel.take() {
                return Err(error("57014", "canceling statement due to user request"));
            }
            match tag {
                tag::COPY_DATA => {
                    let expected = format!("{asked} {lines}");
                    if body != expected.as_bytes() {
                        let got = String::from_utf8_lossy(&body).into_owned();
                        self.world.fail(format!("COPY of {expected:?} is given {got:?}"));
                    }
                    lines += 1;
                }
                tag::COPY_DONE => return Ok(format!("COPY {lines}")),
                tag::COPY_FAIL => return Err(error("57014", "COPY from stdin failed")),
                tag::FLUSH | tag::SYNC => {}
                other => return Err(error("08P01", format!("message {other} during COPY"))),
            }
        }
    }

    /// Lets time pass, unless a cancel request or an administrator comes.
    async fn pass(&mut self, time: Duration) -> Result<(), End> {
        let mut sleep = Box::pin(tokio::time::sleep(time));
        let card = Rc::clone(&self.card);
        poll_fn(move |cx| {
            card.waker.borrow_mut().clone_from(cx.waker());
            if card.terminate.get() {
                return Poll::Ready(Err(End::Killed));
            }
            if card.cancel.take() {
                return Poll::Ready(Err(error("57014", "canceling statement due to user request")));
            }
            sleep.as_mut().poll(cx).map(Ok)
        })
        .await
    }
}
