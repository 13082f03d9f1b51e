//! How a backend carries out a statement.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::frontend::tag;
use howdah_wire::{ErrorResponse, Severity, SqlState, write_message};

use super::super::sql::{Asked, INITIAL, Sql, filling};
use super::{Backend, End, error};

impl Backend {
    pub(super) async fn carry_out(&mut self, sql: &Sql, asked: Option<Asked>) -> Result<(), End> {
        self.world.log(|| format!("pg {} carries out {sql:?} of {asked:?}", self.card.pid));
        if let Some(asked) = asked
            && !self.world.facts.borrow_mut().executed.insert(asked)
        {
            self.world.fail(format!("{asked} is carried out twice"));
        }
        self.session.begin();
        self.card.running.set(Some(asked));
        self.card.cancel.set(false);
        let outcome = self.work(sql, asked).await;
        self.card.running.set(None);
        self.card.status.set(self.session.status());
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
                Ok(format!("SELECT {rows}"))
            }
            Sql::Sleep { asked, millis } => {
                self.pass(Duration::from_millis(*millis)).await?;
                self.row(*asked, 0, "sleep", 0);
                Ok("SELECT 1".to_owned())
            }
            Sql::Prepared { text } => {
                let asked = asked.ok_or_else(|| error("22P02", "the parameter does not say who asks"))?;
                self.row(asked, 0, &format!("text{text}"), 0);
                Ok("SELECT 1".to_owned())
            }
            Sql::Fail { asked } => Err(error("22012", format!("division by zero of {asked}"))),
            Sql::CopyIn { asked } => self.copy_in(*asked).await,
            Sql::CopyOut { asked, lines } => {
                write_message(self.wire.out(), backend::tag::COPY_OUT_RESPONSE, &[0, 0, 0]);
                for line in 0..*lines {
                    let text = format!("{asked} {line}");
                    write_message(self.wire.out(), backend::tag::COPY_DATA, text.as_bytes());
                }
                write_message(self.wire.out(), backend::tag::COPY_DONE, &[]);
                Ok(format!("COPY {lines}"))
            }
            Sql::Survey => Ok("SELECT 0".to_owned()),
            Sql::Session(text) => self.change(text),
        }
    }

    /// What changes or shows the session.
    fn change(&mut self, text: &str) -> Result<String, End> {
        let mut text = text.to_owned();
        let done = loop {
            let outcome = self.session.run(&text, self.several);
            // A question of Howdah's that the model does not know would only be put off.
            assert!(
                outcome.is_some() || !text.starts_with("SELECT"),
                "the model does not understand {text:?}"
            );
            let outcome = outcome.ok_or_else(|| error("42601", format!("syntax error: {text:?}")))?;
            let done = outcome.map_err(|(code, message)| error(code, message))?;
            match done.instead {
                Some(instead) => text = instead,
                None => break done,
            }
        };
        if let Some((code, warning)) = done.warning {
            let code = SqlState::from_bytes(code.as_bytes()).unwrap();
            ErrorResponse::new(Severity::Warning, code, warning).write_notice(self.wire.out());
        }
        if matches!(&*done.tag, "COMMIT" | "ROLLBACK") && self.session.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
        for row in done.rows.iter().flatten() {
            backend::write_data_row(self.wire.out(), row.iter().map(|value| value.as_deref()));
        }
        Ok(done.tag)
    }

    fn row(&mut self, asked: Asked, row: usize, kind: &str, length: usize) {
        let values = [
            asked.to_string(),
            row.to_string(),
            kind.to_owned(),
            self.session.unusual(&INITIAL),
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
