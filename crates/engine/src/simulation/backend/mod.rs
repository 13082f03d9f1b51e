//! A backend of the model PostgreSQL: its main loop, as in `tcop/postgres.c`, and its few statements.

mod statements;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use howdah_model::{Prepared, Session, statements};
use howdah_wire::backend::{self, Column, TransactionStatus};
use howdah_wire::cancel_key::{CancelKey, CancelSecret};
use howdah_wire::frontend::{Bind, Execute, Parse, Query, Target, TargetKind, tag};
use howdah_wire::{ErrorResponse, Severity, SqlState};

use super::Chance;
use super::postgres::Card;
use super::sql::{Asked, INITIAL, REPORTED, Sql};
use super::wire::{Lost, Wire};
use super::world::World;

/// A backend.
pub(super) struct Backend {
    world: Rc<World>,
    wire: Wire,
    card: Rc<Card>,
    chance: Chance,
    session: Session,
    /// As the client was told last.
    reported: BTreeMap<&'static str, String>,
    unnamed: Option<String>,
    /// The query under way consists of several statements.
    several: bool,
    portals: BTreeMap<Vec<u8>, (Sql, Option<Asked>)>,
    skip_to_sync: bool,
}

/// Why a statement or a backend ends.
#[derive(Debug)]
pub(super) enum End {
    Error(&'static str, String),
    Lost(#[expect(dead_code, reason = "for the log")] Lost),
    Terminated,
    /// Ended by an administrator.
    Killed,
}

impl From<Lost> for End {
    fn from(lost: Lost) -> End {
        End::Lost(lost)
    }
}

fn error(code: &'static str, message: impl Into<String>) -> End {
    End::Error(code, message.into())
}

pub(super) async fn refuse(mut wire: Wire, code: &'static str, message: &str) {
    let code = SqlState::from_bytes(code.as_bytes()).unwrap();
    ErrorResponse::new(Severity::Fatal, code, message).write(wire.out());
    // Whoever is refused may have gone.
    let _ = wire.flush().await;
}

impl Backend {
    pub(super) fn new(world: Rc<World>, wire: Wire, card: Rc<Card>, chance: Chance) -> Backend {
        let session = Session::new(&card.pool.1, &INITIAL);
        Backend {
            world,
            wire,
            card,
            chance,
            session,
            reported: BTreeMap::new(),
            unnamed: None,
            several: false,
            portals: BTreeMap::new(),
            skip_to_sync: false,
        }
    }

    pub(super) async fn serve(mut self) -> End {
        backend::write_authentication_ok(self.wire.out());
        self.report();
        let key = CancelKey { pid: self.card.pid, secret: CancelSecret::from(self.card.secret) };
        backend::write_backend_key_data(self.wire.out(), &key);
        if let Err(lost) = self.ready().await {
            return lost.into();
        }
        loop {
            let Err(end) = self.turn().await else { continue };
            if matches!(end, End::Killed) {
                let code = SqlState::ADMIN_SHUTDOWN;
                let message = "terminating connection due to administrator command";
                ErrorResponse::new(Severity::Fatal, code, message).write(self.wire.out());
                // The other end may have gone.
                let _ = self.wire.flush().await;
            }
            return end;
        }
    }

    /// One message. Errors of statements are dealt with here.
    async fn turn(&mut self) -> Result<(), End> {
        let (tag, body) = self.message().await?;
        if self.skip_to_sync && !matches!(tag, tag::SYNC | tag::TERMINATE) {
            return Ok(());
        }
        match tag {
            tag::TERMINATE => return Err(End::Terminated),
            tag::SYNC => {
                self.skip_to_sync = false;
                self.end_implicit();
                return Ok(self.ready().await?);
            }
            tag::FLUSH => return Ok(self.wire.flush().await?),
            // What is left of a COPY that has failed.
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL => return Ok(()),
            _ => {}
        }
        let simple = tag == tag::QUERY;
        let outcome = if simple { self.simple(&body).await } else { self.extended(tag, &body).await };
        if let Err(end) = outcome {
            self.report_error(end)?;
            // An error goes out at once, with everything before it.
            self.wire.flush().await?;
            self.skip_to_sync = !simple;
        }
        if simple {
            self.end_implicit();
            self.ready().await?;
        }
        if self.wire.out().len() >= 8192 {
            self.wire.flush().await?;
        }
        Ok(())
    }

    async fn simple(&mut self, body: &[u8]) -> Result<(), End> {
        let query = Query::parse(body).map_err(|e| error("08P01", e.to_string()))?;
        let text = String::from_utf8_lossy(query.text).into_owned();
        let parts = if Sql::is_survey(&text) { vec![text.as_str()] } else { statements(&text) };
        self.unnamed = None;
        self.several = parts.len() > 1;
        if parts.is_empty() {
            backend::write_empty_query_response(self.wire.out());
        }
        for part in parts {
            let sql = parsed(part)?;
            self.allow(&sql)?;
            self.describe_rows(&sql);
            self.carry_out(&sql, sql.asked()).await?;
        }
        Ok(())
    }

    async fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), End> {
        let malformed = |what: &str| error("08P01", format!("malformed {what}"));
        self.several = false;
        match tag {
            tag::PARSE => {
                let parse = Parse::parse(body).map_err(|_| malformed("Parse"))?;
                let text = String::from_utf8_lossy(parse.text).into_owned();
                self.allow(&parsed(&text)?)?;
                if parse.name.is_empty() {
                    self.unnamed = Some(text);
                } else if self.session.prepared.contains_key(parse.name) {
                    let name = String::from_utf8_lossy(parse.name);
                    return Err(error("42P05", format!("prepared statement \"{name}\" already exists")));
                } else {
                    self.session.prepared.insert(parse.name.to_vec(), Prepared { text, by_sql: None });
                }
                backend::write_parse_complete(self.wire.out());
            }
            tag::BIND => {
                let bind = Bind::parse(body).map_err(|_| malformed("Bind"))?;
                let sql = self.statement(bind.statement)?;
                self.allow(&sql)?;
                let asked = sql.asked().or_else(|| parameter(bind.rest));
                self.portals.insert(bind.portal.to_vec(), (sql, asked));
                backend::write_bind_complete(self.wire.out());
            }
            tag::DESCRIBE => {
                let target = Target::parse(body).map_err(|_| malformed("Describe"))?;
                let sql = match target.kind {
                    TargetKind::Statement => self.statement(target.name)?,
                    TargetKind::Portal => self.portal(target.name)?.0,
                };
                if target.kind == TargetKind::Statement {
                    backend::write_parameter_description(self.wire.out(), &[25]);
                }
                if !self.describe_rows(&sql) {
                    backend::write_no_data(self.wire.out());
                }
            }
            tag::EXECUTE => {
                let execute = Execute::parse(body).map_err(|_| malformed("Execute"))?;
                let (sql, asked) = self.portal(execute.portal)?;
                self.allow(&sql)?;
                self.carry_out(&sql, asked).await?;
            }
            tag::CLOSE => {
                let target = Target::parse(body).map_err(|_| malformed("Close"))?;
                match target.kind {
                    TargetKind::Statement if target.name.is_empty() => self.unnamed = None,
                    TargetKind::Statement => drop(self.session.prepared.remove(target.name)),
                    TargetKind::Portal => drop(self.portals.remove(target.name)),
                }
                backend::write_close_complete(self.wire.out());
            }
            other => return Err(error("08P01", format!("invalid frontend message type {other}"))),
        }
        Ok(())
    }

    fn statement(&self, name: &[u8]) -> Result<Sql, End> {
        let missing = || {
            let name = String::from_utf8_lossy(name);
            error("26000", format!("prepared statement \"{name}\" does not exist"))
        };
        let text = match name {
            b"" => self.unnamed.as_ref(),
            name => self.session.prepared.get(name).map(|prepared| &prepared.text),
        };
        parsed(text.ok_or_else(missing)?)
    }

    fn portal(&self, name: &[u8]) -> Result<(Sql, Option<Asked>), End> {
        self.portals.get(name).cloned().ok_or_else(|| error("34000", "portal does not exist"))
    }

    /// In a failed transaction only its end is.
    fn allow(&self, sql: &Sql) -> Result<(), End> {
        self.session.check_failed(&sql.to_string()).map_err(|(code, message)| error(code, message))
    }

    /// Says whether there are any.
    fn describe_rows(&mut self, sql: &Sql) -> bool {
        let any = sql.has_rows();
        if any {
            backend::write_row_description(self.wire.out(), &ROW.map(Column::text));
        }
        any
    }

    async fn message(&mut self) -> Result<(u8, Vec<u8>), End> {
        let Backend { wire, card, .. } = self;
        let mut chatting = false;
        poll_fn(|cx| {
            card.waker.borrow_mut().clone_from(cx.waker());
            if card.terminate.get() {
                return Poll::Ready(Err(End::Killed));
            }
            if card.chatter.take() {
                chat(wire.out());
                chatting = true;
            }
            chatting = chatting && wire.poll_flush(cx)?.is_pending();
            wire.poll_message(cx).map_err(End::from)
        })
        .await
    }

    fn report_error(&mut self, end: End) -> Result<(), End> {
        let End::Error(code, message) = end else { return Err(end) };
        self.world.log(|| format!("pg {} reports {code} {message}", self.card.pid));
        let code = SqlState::from_bytes(code.as_bytes()).unwrap();
        ErrorResponse::new(Severity::Error, code, message).write(self.wire.out());
        self.portals.clear();
        self.session.fail();
        self.card.status.set(self.session.status());
        Ok(())
    }

    fn end_implicit(&mut self) {
        self.session.end_message();
        if self.session.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
    }

    async fn ready(&mut self) -> Result<(), Lost> {
        self.report();
        backend::write_ready_for_query(self.wire.out(), self.card.status.get());
        self.wire.flush().await
    }

    fn report(&mut self) {
        for (name, spelt) in REPORTED {
            let value = self.session.setting(name).unwrap_or_default();
            if self.reported.get(name).map(String::as_str) != Some(value) {
                backend::write_parameter_status(self.wire.out(), spelt.as_bytes(), value.as_bytes());
                self.reported.insert(name, value.to_owned());
            }
        }
    }
}

fn parsed(text: &str) -> Result<Sql, End> {
    Sql::parse(text).ok_or_else(|| error("42601", format!("syntax error: {text:?}")))
}

/// What PostgreSQL says unasked, between messages only.
fn chat(out: &mut Vec<u8>) {
    backend::write_parameter_status(out, b"in_hot_standby", b"off");
    let code = SqlState::SUCCESSFUL_COMPLETION;
    ErrorResponse::new(Severity::Notice, code, "the weather is fine").write_notice(out);
}

/// Who asks, from the one text parameter of a Bind: no formats, one value.
fn parameter(rest: &[u8]) -> Option<Asked> {
    let text = str::from_utf8(rest.get(8..rest.len().checked_sub(2)?)?).ok()?;
    let (client, sequence) = text.split_once(' ')?;
    Some(Asked { client: client.parse().ok()?, sequence: sequence.parse().ok()? })
}

/// The columns of every row.
const ROW: [&str; 5] = ["asked", "row", "kind", "session", "filling"];
