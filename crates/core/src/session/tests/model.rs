//! A PostgreSQL that knows its main loop, the protocol's prepared statements, COPY, and what a session is.
//!
//! Texts: `select X` (a row), `rows X` (three), `fail` (when run), `bad` (when parsed), `need` (when bound),
//! `copy in` (data with `!` is an error), `copy out`, `copy trigger` (fails before it reads), and all that
//! `howdah_model::Session` understands.

use std::collections::BTreeMap;

use howdah_model::{Done, Prepared, Session, SqlError, statements};
use howdah_wire::backend::{self, TransactionStatus, tag};
use howdah_wire::error_response::{ErrorResponse, Severity};
use howdah_wire::frontend::{Bind, Execute, Parse, Query, Target, TargetKind};
use howdah_wire::{FrameHeader, SqlState, write_message};

#[derive(Debug)]
pub(super) struct Postgres {
    input: Vec<u8>,
    /// Not flushed yet.
    reply: Vec<u8>,
    /// On the wire.
    pub(super) sent: Vec<u8>,
    pub(super) session: Session,
    unnamed: Option<String>,
    portals: BTreeMap<Vec<u8>, Portal>,
    skipping: bool,
    copy: Option<Copy>,
    /// As the client was told last.
    reported: Vec<String>,
    /// The protocol was violated: the connection is closed.
    pub(super) dead: bool,
}

#[derive(Clone, Debug)]
struct Portal {
    text: String,
    value: String,
    row: usize,
}

#[derive(Debug)]
struct Copy {
    extended: bool,
    rows: usize,
}

/// How a statement came to be run.
#[derive(Clone, Copy, Debug)]
struct Manner {
    extended: bool,
    /// It is the only one of its simple query.
    alone: bool,
}

type Outcome = Result<(), SqlError>;

impl Postgres {
    pub(super) fn new() -> Postgres {
        let session = Session::new(LOGIN, &SETTINGS);
        Postgres {
            input: Vec::new(),
            reply: Vec::new(),
            sent: Vec::new(),
            reported: REPORTED.map(|(name, _)| session.setting(name).unwrap_or_default().to_owned()).into(),
            session,
            unnamed: None,
            portals: BTreeMap::new(),
            skipping: false,
            copy: None,
            dead: false,
        }
    }

    /// How many statements Howdah has prepared for its clients, under names that are numbers.
    pub(super) fn parsed(&self) -> usize {
        let number = |name: &[u8]| name.strip_prefix(b"HOWDAH_").is_some_and(|rest| rest[0].is_ascii_digit());
        self.session.prepared.keys().filter(|name| number(name)).count()
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        while let Some(header) = FrameHeader::parse(&self.input).unwrap() {
            if self.input.len() < header.total() || self.dead {
                return;
            }
            let message: Vec<u8> = self.input.drain(..header.total()).collect();
            self.message(header.tag, &message[FrameHeader::SIZE..]);
        }
    }

    fn message(&mut self, tag: u8, body: &[u8]) {
        if let Some(copy) = &self.copy {
            let extended = copy.extended;
            let outcome = self.copy_message(tag, body);
            return self.end(extended, outcome);
        }
        if tag == b'S' {
            self.skipping = false;
            return self.ready();
        }
        if self.skipping || matches!(tag, b'd' | b'c' | b'f') {
            return;
        }
        match tag {
            b'H' => self.flush(),
            b'Q' => {
                self.unnamed = None;
                self.portals.remove(&b""[..]);
                let text = String::from_utf8(Query::parse(body).unwrap().text.to_vec()).unwrap();
                let outcome = self.query(&text);
                self.end(false, outcome);
            }
            _ => {
                let outcome = self.extended(tag, body);
                self.end(true, outcome);
            }
        }
    }

    /// A message has been dealt with, unless it reads COPY data now.
    fn end(&mut self, extended: bool, outcome: Outcome) {
        if let Err((code, text)) = outcome {
            self.copy = None;
            self.portals.clear();
            self.session.fail();
            error(code, &text).write(&mut self.reply);
            self.flush();
            self.skipping = extended;
        }
        if self.copy.is_none() && !extended {
            self.ready();
        }
    }

    fn ready(&mut self) {
        if self.session.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
        self.session.end_message();
        for ((name, spelt), reported) in REPORTED.iter().zip(&mut self.reported) {
            let value = self.session.setting(name).unwrap_or_default();
            if value != reported {
                value.clone_into(reported);
                backend::write_parameter_status(&mut self.reply, spelt.as_bytes(), value.as_bytes());
            }
        }
        backend::write_ready_for_query(&mut self.reply, self.session.status());
        self.flush();
    }

    fn flush(&mut self) {
        self.sent.append(&mut self.reply);
    }

    fn query(&mut self, text: &str) -> Outcome {
        let all = statements(text);
        if all.is_empty() {
            write_message(&mut self.reply, tag::EMPTY_QUERY_RESPONSE, &[]);
        }
        for statement in &all {
            self.check_parse(statement)?;
            let mut portal = Portal { text: (*statement).to_owned(), value: String::new(), row: 0 };
            self.run(&mut portal, 0, Manner { extended: false, alone: all.len() == 1 })?;
        }
        Ok(())
    }

    fn extended(&mut self, tag: u8, body: &[u8]) -> Outcome {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match tag {
            b'P' => {
                let parse = Parse::parse(body).unwrap();
                if parse.name.is_empty() {
                    self.unnamed = None;
                }
                self.check_parse(&text(parse.text))?;
                if parse.name.is_empty() {
                    self.unnamed = Some(text(parse.text));
                } else if self.session.prepared.contains_key(parse.name) {
                    let name = text(parse.name);
                    return Err(("42P05", format!("prepared statement \"{name}\" already exists")));
                } else {
                    let prepared = Prepared { text: text(parse.text), by_sql: None };
                    self.session.prepared.insert(parse.name.to_vec(), prepared);
                }
                write_message(&mut self.reply, tag::PARSE_COMPLETE, &[]);
            }
            b'B' => {
                let bind = Bind::parse(body).unwrap();
                let statement = self.statement(bind.statement)?;
                self.session.check_failed(&statement)?;
                if statement == "need" {
                    let name = text(bind.statement);
                    return Err(("08P01", format!("prepared statement \"{name}\" requires 2")));
                }
                let value = match bind.rest {
                    [_, _, 0, 0, ..] => String::new(),
                    rest => text(&rest[8..rest.len() - 2]),
                };
                let portal = Portal { text: statement, value, row: 0 };
                if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
                    return Err(("42P03", "cursor exists".into()));
                }
                self.portals.insert(bind.portal.to_vec(), portal);
                write_message(&mut self.reply, tag::BIND_COMPLETE, &[]);
            }
            b'D' => {
                let target = Target::parse(body).unwrap();
                match target.kind {
                    TargetKind::Statement => {
                        let statement = self.statement(target.name)?;
                        self.session.check_failed(&statement)?;
                        write_message(&mut self.reply, tag::PARAMETER_DESCRIPTION, &[0, 0]);
                    }
                    TargetKind::Portal => drop(self.portal(target.name)?),
                }
                write_message(&mut self.reply, tag::ROW_DESCRIPTION, &[0, 0]);
            }
            b'E' => {
                let execute = Execute::parse(body).unwrap();
                let mut portal = self.portal(execute.portal)?;
                self.session.check_failed(&portal.text)?;
                let rows = usize::try_from(execute.max_rows).unwrap();
                if portal.row == usize::MAX {
                    return Err(("55000", "portal cannot be run".into()));
                }
                let returns_rows = matches!(portal.text.split(' ').next(), Some("select" | "rows"));
                self.run(&mut portal, rows, Manner { extended: true, alone: true })?;
                if !returns_rows {
                    portal.row = usize::MAX;
                }
                if let Some(kept) = self.portals.get_mut(execute.portal) {
                    kept.row = portal.row;
                }
            }
            b'C' => {
                let target = Target::parse(body).unwrap();
                match target.kind {
                    TargetKind::Statement if target.name.is_empty() => self.unnamed = None,
                    TargetKind::Statement => drop(self.session.prepared.remove(target.name)),
                    TargetKind::Portal => drop(self.portals.remove(target.name)),
                }
                write_message(&mut self.reply, tag::CLOSE_COMPLETE, &[]);
            }
            other => panic!("the model knows no {}", char::from(other)),
        }
        Ok(())
    }

    fn statement(&self, name: &[u8]) -> Result<String, (&'static str, String)> {
        let missing = || match name {
            b"" => "unnamed prepared statement does not exist".to_owned(),
            name => format!("prepared statement \"{}\" does not exist", name.escape_ascii()),
        };
        let found = match name {
            b"" => self.unnamed.as_ref(),
            name => self.session.prepared.get(name).map(|prepared| &prepared.text),
        };
        found.cloned().ok_or_else(|| ("26000", missing()))
    }

    fn portal(&self, name: &[u8]) -> Result<Portal, (&'static str, String)> {
        self.portals.get(name).cloned().ok_or_else(|| ("34000", "no such portal".into()))
    }

    fn check_parse(&self, text: &str) -> Outcome {
        if text == "bad" {
            return Err(("42601", "syntax error".into()));
        }
        self.session.check_failed(text)
    }

    fn run(&mut self, portal: &mut Portal, max_rows: usize, manner: Manner) -> Outcome {
        if let Some(outcome) = self.session.run(&portal.text, !manner.alone) {
            return self.done(outcome?, manner);
        }
        let (verb, argument) = portal.text.split_once(' ').unwrap_or((&portal.text, ""));
        let done = match (verb, argument) {
            ("", _) => {
                write_message(&mut self.reply, tag::EMPTY_QUERY_RESPONSE, &[]);
                return Ok(());
            }
            ("select" | "rows", _) => {
                let all = if verb == "rows" { 3 } else { 1 };
                let first = portal.row;
                if !manner.extended {
                    write_message(&mut self.reply, tag::ROW_DESCRIPTION, &[0, 0]);
                }
                while portal.row < all {
                    if max_rows > 0 && portal.row - first == max_rows {
                        write_message(&mut self.reply, tag::PORTAL_SUSPENDED, &[]);
                        return Ok(());
                    }
                    portal.row += 1;
                    let row = format!("{argument} {} {}", portal.value, portal.row);
                    write_message(&mut self.reply, tag::DATA_ROW, row.as_bytes());
                }
                format!("SELECT {}", portal.row - first)
            }
            ("fail" | "need", _) => return Err(("22012", "division by zero".into())),
            ("copy", "in" | "trigger") => {
                write_message(&mut self.reply, tag::COPY_IN_RESPONSE, &[0, 0, 0]);
                self.flush();
                if argument == "trigger" {
                    return Err(("P0001", "no".into()));
                }
                self.copy = Some(Copy { extended: manner.extended, rows: 0 });
                return Ok(());
            }
            ("copy", _) => {
                write_message(&mut self.reply, tag::COPY_OUT_RESPONSE, &[0, 0, 0]);
                write_message(&mut self.reply, tag::COPY_DATA, b"line");
                write_message(&mut self.reply, tag::COPY_DONE, &[]);
                "COPY 1".into()
            }
            other => panic!("the model knows no {other:?}"),
        };
        backend::write_command_complete(&mut self.reply, done.as_bytes());
        Ok(())
    }

    /// A statement that concerns the session has been run.
    fn done(&mut self, done: Done, manner: Manner) -> Outcome {
        if let Some(text) = done.instead {
            if text == "execute a" {
                return Err(("54001", "stack depth limit exceeded".into()));
            }
            let mut portal = Portal { text, value: String::new(), row: 0 };
            return self.run(&mut portal, 0, manner);
        }
        if let Some((code, text)) = done.warning {
            ErrorResponse { severity: Severity::Warning, ..error(code, text) }.write_notice(&mut self.reply);
        }
        if matches!(&*done.tag, "COMMIT" | "ROLLBACK") && self.session.status() == TransactionStatus::Idle {
            self.portals.clear();
        }
        if done.rows.is_some() && !manner.extended {
            write_message(&mut self.reply, tag::ROW_DESCRIPTION, &[0, 0]);
        }
        for row in done.rows.iter().flatten() {
            backend::write_data_row(&mut self.reply, row.iter().map(|value| value.as_deref()));
        }
        backend::write_command_complete(&mut self.reply, done.tag.as_bytes());
        Ok(())
    }

    fn copy_message(&mut self, tag: u8, body: &[u8]) -> Outcome {
        let Some(copy) = &mut self.copy else { return Ok(()) };
        match tag {
            b'S' | b'H' => Ok(()),
            b'd' if body.contains(&b'!') => Err(("22P04", "bad data".into())),
            b'd' => {
                copy.rows += 1;
                Ok(())
            }
            b'c' => {
                let done = format!("COPY {}", copy.rows);
                backend::write_command_complete(&mut self.reply, done.as_bytes());
                self.copy = None;
                Ok(())
            }
            b'f' => Err(("57014", "COPY failed".into())),
            _ => {
                self.dead = true;
                Ok(())
            }
        }
    }
}

fn error(code: &str, text: &str) -> ErrorResponse {
    ErrorResponse::new(Severity::Error, SqlState::from_bytes(code.as_bytes()).unwrap(), text)
}

const LOGIN: &str = "super";

/// As they are where nothing is set.
pub(super) const SETTINGS: [(&str, &str); 6] = [
    ("timezone", "UTC"),
    ("application_name", ""),
    ("search_path", "public"),
    ("work_mem", "4MB"),
    ("geqo", "on"),
    ("log_statement", "none"),
];

/// Settings whose changes are told, and how they are spelt then.
const REPORTED: [(&str, &str); 4] = [
    ("timezone", "TimeZone"),
    ("application_name", "application_name"),
    ("is_superuser", "is_superuser"),
    ("session_authorization", "session_authorization"),
];
