//! A backend of the model PostgreSQL: its main loop, as in `tcop/postgres.c`, and its few statements.

mod statements;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use howdah_wire::backend::{self, Column, TransactionStatus};
use howdah_wire::cancel_key::{CancelKey, CancelSecret};
use howdah_wire::frontend::{Bind, Execute, Parse, Query, Target, TargetKind, tag};
use howdah_wire::{ErrorResponse, Severity, SqlState};

use super::Chance;
use super::postgres::Card;
use super::sql::{Asked, Sql};
use super::wire::{Lost, Wire};
use super::world::World;

type Settings = BTreeMap<String, String>;

/// A backend.
pub(super) struct Backend {
    world: Rc<World>,
    wire: Wire,
    card: Rc<Card>,
    chance: Chance,
    settings: Settings,
    /// As they were at login.
    initial: Settings,
    /// As the client was told last.
    reported: Settings,
    /// As they were when the transaction began, implicit or not.
    at_begin: Option<Settings>,
    statements: BTreeMap<Vec<u8>, Sql>,
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
        let settings: Settings =
            INITIAL.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Backend {
            world,
            wire,
            card,
            chance,
            initial: settings.clone(),
            reported: Settings::new(),
            settings,
            at_begin: None,
            statements: BTreeMap::new(),
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
        let own = text.contains("pg_catalog.");
        let parts: Vec<&str> = if own { vec![&text] } else { text.split(';').collect() };
        self.statements.remove(&b""[..]);
        for part in parts {
            let sql = Sql::parse(part).ok_or_else(|| error("42601", format!("syntax error: {part:?}")))?;
            if sql == Sql::Empty {
                backend::write_empty_query_response(self.wire.out());
                continue;
            }
            self.allow(&sql)?;
            self.describe_rows(&sql);
            self.carry_out(&sql, sql.asked()).await?;
        }
        Ok(())
    }

    async fn extended(&mut self, tag: u8, body: &[u8]) -> Result<(), End> {
        let malformed = |what: &str| error("08P01", format!("malformed {what}"));
        match tag {
            tag::PARSE => {
                let parse = Parse::parse(body).map_err(|_| malformed("Parse"))?;
                let text = String::from_utf8_lossy(parse.text).into_owned();
                let sql =
                    Sql::parse(&text).ok_or_else(|| error("42601", format!("syntax error: {text:?}")))?;
                self.allow(&sql)?;
                if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
                    let name = String::from_utf8_lossy(parse.name);
                    return Err(error("42P05", format!("prepared statement \"{name}\" already exists")));
                }
                self.statements.insert(parse.name.to_vec(), sql);
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
                    TargetKind::Statement => drop(self.statements.remove(target.name)),
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
        self.statements.get(name).cloned().ok_or_else(missing)
    }

    fn portal(&self, name: &[u8]) -> Result<(Sql, Option<Asked>), End> {
        self.portals.get(name).cloned().ok_or_else(|| error("34000", "portal does not exist"))
    }

    /// In a failed transaction only its end is.
    fn allow(&self, sql: &Sql) -> Result<(), End> {
        let failed = self.card.status.get() == TransactionStatus::Failed;
        if failed && !matches!(sql, Sql::Commit | Sql::Rollback) {
            return Err(error("25P02", "current transaction is aborted"));
        }
        Ok(())
    }

    /// Says whether there are any.
    fn describe_rows(&mut self, sql: &Sql) -> bool {
        let any = matches!(
            sql,
            Sql::Rows { .. }
                | Sql::Sleep { .. }
                | Sql::Fail { .. }
                | Sql::Prepared { .. }
                | Sql::SetConfig(_)
                | Sql::TrySettings(_)
        );
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

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        *self.settings.get_mut(name)? = value.to_owned();
        Some(())
    }

    fn report_error(&mut self, end: End) -> Result<(), End> {
        let End::Error(code, message) = end else { return Err(end) };
        self.world.log(|| format!("pg {} reports {code} {message}", self.card.pid));
        let code = SqlState::from_bytes(code.as_bytes()).unwrap();
        ErrorResponse::new(Severity::Error, code, message).write(self.wire.out());
        if let Some(before) = &self.at_begin {
            self.settings.clone_from(before);
        }
        self.portals.clear();
        if self.card.status.get() == TransactionStatus::InTransaction {
            self.card.status.set(TransactionStatus::Failed);
        }
        Ok(())
    }

    fn end_implicit(&mut self) {
        if self.card.status.get() == TransactionStatus::Idle {
            self.at_begin = None;
            self.portals.clear();
        }
    }

    async fn ready(&mut self) -> Result<(), Lost> {
        self.report();
        backend::write_ready_for_query(self.wire.out(), self.card.status.get());
        self.wire.flush().await
    }

    fn report(&mut self) {
        for (name, value) in &self.settings {
            if self.reported.get(name) != Some(value) {
                backend::write_parameter_status(self.wire.out(), name.as_bytes(), value.as_bytes());
            }
        }
        self.reported.clone_from(&self.settings);
    }
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
const ROW: [&str; 6] = ["asked", "row", "kind", "application_name", "timezone", "filling"];

/// What is reported, and its values before anybody changes them.
const INITIAL: [(&str, &str); 7] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("server_version", "17.0"),
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
];
