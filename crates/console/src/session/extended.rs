//! The extended protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! Columns are known per command, so Describe never runs anything. After an error everything up to Sync is
//! skipped. Portals end with the transaction: at Sync, unless a BEGIN is open.

use howdah_core::control::Request;
use howdah_wire::backend::{
    write_bind_complete, write_close_complete, write_empty_query_response, write_no_data,
    write_parameter_description, write_parse_complete,
};
use howdah_wire::frontend::{Bind, Execute, Parse, Target, TargetKind, tag};

use super::answer::Delivery;
use super::prepared::{Portal, PortalState};
use super::{Session, commands};
use crate::command::{Command, CommandError};
use crate::error::ConsoleError;
use crate::reply::{Formats, write_row_description};

impl Session {
    /// Handles one of the five messages that may fail; a request is for the engine.
    pub(super) fn extended(
        &mut self,
        message: u8,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Request>, ConsoleError> {
        match message {
            tag::PARSE => self.parse(&Parse::parse(body)?, out)?,
            tag::BIND => self.bind(&Bind::parse(body)?, out)?,
            tag::DESCRIBE => self.describe(&Target::parse(body)?, out)?,
            tag::CLOSE => self.close(&Target::parse(body)?, out),
            _ => return self.execute(&Execute::parse(body)?, out),
        }
        Ok(None)
    }

    pub(super) fn sync(&mut self, out: &mut Vec<u8>) {
        self.skipping = false;
        if !self.in_transaction {
            self.prepared.close_all_portals();
        }
        self.ready(out);
    }

    pub(super) fn skip(&mut self, error: &ConsoleError, out: &mut Vec<u8>) {
        error.write(out);
        self.skipping = true;
    }

    fn parse(&mut self, parse: &Parse<'_>, out: &mut Vec<u8>) -> Result<(), ConsoleError> {
        if !parse.parameter_types.is_empty() {
            return Err(CommandError::Parameter.into());
        }
        let mut commands = commands(parse.text)?;
        let command = commands.pop();
        if !commands.is_empty() {
            return Err(ConsoleError::SeveralCommands);
        }
        self.prepared.add_statement(parse.name, command)?;
        write_parse_complete(out);
        Ok(())
    }

    fn bind(&mut self, bind: &Bind<'_>, out: &mut Vec<u8>) -> Result<(), ConsoleError> {
        let command = self.prepared.statement(bind.statement)?.clone();
        let columns = command.as_ref().and_then(Command::columns).unwrap_or_default().len();
        let formats = Formats::of_bind(bind.rest, columns)?;
        self.prepared.add_portal(bind.portal, Portal { command, formats, state: PortalState::Ready })?;
        write_bind_complete(out);
        Ok(())
    }

    fn describe(&mut self, target: &Target<'_>, out: &mut Vec<u8>) -> Result<(), ConsoleError> {
        let (command, formats) = match target.kind {
            TargetKind::Statement => {
                let command = self.prepared.statement(target.name)?;
                write_parameter_description(out, &[]);
                (command, &Formats::TEXT)
            }
            TargetKind::Portal => {
                let portal = self.prepared.portal(target.name)?;
                (&portal.command, &portal.formats)
            }
        };
        match command.as_ref().and_then(Command::columns) {
            Some(columns) => write_row_description(out, columns, formats),
            None => write_no_data(out),
        }
        Ok(())
    }

    fn close(&mut self, target: &Target<'_>, out: &mut Vec<u8>) {
        match target.kind {
            TargetKind::Statement => {
                self.prepared.close_statement(target.name);
            }
            TargetKind::Portal => self.prepared.close_portal(target.name),
        }
        write_close_complete(out);
    }

    fn execute(&mut self, execute: &Execute<'_>, out: &mut Vec<u8>) -> Result<Option<Request>, ConsoleError> {
        let portal = self.prepared.portal(execute.portal)?;
        let limit = usize::try_from(execute.max_rows).ok().filter(|limit| *limit > 0);
        let state = portal.begin(execute.portal)?;
        let delivery = Delivery::portal(execute.portal, portal.formats.clone(), limit);
        if let PortalState::Suspended(unread) = state {
            self.fetch(unread, &delivery, out)?;
            return Ok(None);
        }
        match portal.command.clone() {
            Some(command) => self.start(command, delivery, out),
            None => {
                write_empty_query_response(out);
                Ok(None)
            }
        }
    }
}
