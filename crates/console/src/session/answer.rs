//! Carrying a command out: at once where the console knows the answer, otherwise by asking the engine.

use howdah_core::control::{Outcome, Request};
use howdah_wire::backend::{write_command_complete, write_portal_suspended};
use howdah_wire::{ErrorResponse, FrameHeader, Severity, SqlState};

use super::Session;
use super::prepared::Unread;
use crate::access::admit;
use crate::command::{self, Chatter, Command, Constant, Parameter};
use crate::error::ConsoleError;
use crate::reply::{Formats, write_row, write_row_description};
use crate::show::{self, Column, Row, Show, Source, USAGE, Value};

/// What the engine was asked, and where its answer goes.
#[derive(Debug)]
pub(super) struct Asked {
    question: Question,
    delivery: Delivery,
}

impl Asked {
    pub(super) fn is_simple(&self) -> bool {
        self.delivery.portal.is_none()
    }
}

#[derive(Debug)]
enum Question {
    Table(Show),
    Order { tag: String },
}

/// How a result reaches the client.
#[derive(Debug)]
pub(super) struct Delivery {
    /// `None` in the simple protocol, where the result brings its own description.
    portal: Option<Vec<u8>>,
    formats: Formats,
    /// Rows at most; the others are kept for the next Execute.
    limit: Option<usize>,
}

impl Delivery {
    pub(super) fn simple() -> Delivery {
        Delivery { portal: None, formats: Formats::TEXT, limit: None }
    }

    pub(super) fn portal(name: &[u8], formats: Formats, limit: Option<usize>) -> Delivery {
        Delivery { portal: Some(name.to_owned()), formats, limit }
    }
}

impl Session {
    /// Carries `command` out if the client may; a request is for the engine.
    pub(super) fn start(
        &mut self,
        command: Command,
        delivery: Delivery,
        out: &mut Vec<u8>,
    ) -> Result<Option<Request>, ConsoleError> {
        let (question, request) = match admit(command, self.role)?.into_command() {
            Command::Show(show) => match show.source() {
                Source::Snapshot(_) => (Question::Table(show), Request::Snapshot),
                Source::Config => (Question::Table(show), Request::ShowConfig),
                Source::Empty => return self.table(show, Vec::new(), &delivery, out).map(|()| None),
                Source::Version => {
                    return self.table(show, vec![show::version()], &delivery, out).map(|()| None);
                }
                Source::Notice => {
                    notice("Console usage").detail(USAGE).write_notice(out);
                    write_command_complete(out, b"SHOW");
                    return Ok(None);
                }
            },
            Command::ShowUnbuilt(unbuilt) => {
                return Err(ConsoleError::NotBuilt(format!("SHOW {}", unbuilt.name())));
            }
            Command::Suspend => return Err(ConsoleError::NotBuilt("SUSPEND".to_owned())),
            Command::Order(request) => (Question::Order { tag: command::tag(&request) }, request),
            Command::Chatter(chatter) => return self.chat(&chatter, &delivery, out).map(|()| None),
        };
        self.asked = Some(Asked { question, delivery });
        Ok(Some(request))
    }

    /// Turns the engine's answer into the client's.
    pub(super) fn complete(
        &mut self,
        asked: Asked,
        outcome: &Outcome,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsoleError> {
        match (asked.question, outcome) {
            (_, Outcome::Failed(why)) => Err(ConsoleError::Failed(why.clone())),
            (Question::Order { tag }, Outcome::Done) => {
                write_command_complete(out, tag.as_bytes());
                Ok(())
            }
            (Question::Table(show), outcome) => {
                let rows = match (show.source(), outcome) {
                    (Source::Snapshot(rows), Outcome::Snapshot(snapshot)) => rows(snapshot),
                    (Source::Config, Outcome::Config(config)) => show::config(config),
                    _ => return Err(ConsoleError::WrongOutcome),
                };
                self.table(show, rows, &asked.delivery, out)
            }
            (Question::Order { .. }, _) => Err(ConsoleError::WrongOutcome),
        }
    }

    /// Delivers more of a result that was cut at a row limit.
    pub(super) fn fetch(
        &mut self,
        unread: Unread,
        delivery: &Delivery,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsoleError> {
        let rows = unread.rows.as_slice();
        let mut fetched = 0;
        for _ in 0..delivery.limit.unwrap_or(usize::MAX) {
            let Ok(Some(row)) = FrameHeader::parse(rows.get(fetched..).unwrap_or_default()) else { break };
            fetched += row.total();
        }
        let (now, later) = rows.split_at_checked(fetched).unwrap_or((rows, &[]));
        out.extend_from_slice(now);
        self.conclude(later.to_vec(), unread.tag, delivery, out)
    }

    fn table(
        &mut self,
        show: Show,
        rows: Vec<Row<'_>>,
        delivery: &Delivery,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsoleError> {
        self.result(show.columns().unwrap_or_default(), &rows, "SHOW", delivery, out)
    }

    fn result(
        &mut self,
        columns: &[Column],
        rows: &[Row<'_>],
        tag: &str,
        delivery: &Delivery,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsoleError> {
        if delivery.portal.is_none() {
            write_row_description(out, columns, &delivery.formats);
        }
        let (now, later) = rows.split_at_checked(delivery.limit.unwrap_or(rows.len())).unwrap_or((rows, &[]));
        for row in now {
            write_row(out, columns, &delivery.formats, row);
        }
        let mut unread = Vec::new();
        for row in later {
            write_row(&mut unread, columns, &delivery.formats, row);
        }
        self.conclude(unread, tag.to_owned(), delivery, out)
    }

    fn conclude(
        &mut self,
        rows: Vec<u8>,
        tag: String,
        delivery: &Delivery,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsoleError> {
        match &delivery.portal {
            Some(portal) if !rows.is_empty() => {
                self.prepared.suspend(portal, Unread { rows, tag })?;
                write_portal_suspended(out);
            }
            _ => write_command_complete(out, tag.as_bytes()),
        }
        Ok(())
    }

    fn chat(
        &mut self,
        chatter: &Chatter,
        delivery: &Delivery,
        out: &mut Vec<u8>,
    ) -> Result<(), ConsoleError> {
        let tag = match chatter {
            Chatter::Show(Parameter { column, value, .. }) => {
                let row = vec![Value::from(*value)];
                return self.result(std::slice::from_ref(column), &[row], "SHOW", delivery, out);
            }
            Chatter::Select(constant) => {
                let row = vec![match constant {
                    Constant::Number(number) => Value::from(*number),
                    Constant::CurrentUser => Value::from(self.user.clone()),
                    Constant::CurrentDatabase | Constant::CurrentSchema => Value::from("pgbouncer"),
                    Constant::UnlockAll => Value::from(""),
                }];
                return self.result(constant.columns(), &[row], "SELECT 1", delivery, out);
            }
            Chatter::Set { notice: loud, tag } => {
                if *loud {
                    notice("SET ignored").write_notice(out);
                }
                tag
            }
            Chatter::Transaction(step) => {
                self.in_transaction = step.opens();
                step.tag()
            }
            Chatter::Deallocate { name, tag } => {
                self.prepared.deallocate(name.as_deref())?;
                tag
            }
            Chatter::Nothing(tag) => tag,
        };
        write_command_complete(out, tag.as_bytes());
        Ok(())
    }
}

fn notice(message: &str) -> ErrorResponse {
    ErrorResponse::new(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
}
