//! The conversation with one client: messages in, replies or a request for the engine out.
//!
//! States: *reading* (the next message is awaited), *asked* (the engine carries a request out; nothing is read
//! until it answers), and, in the extended protocol, *skipping* (after an error, up to Sync). A simple query
//! may hold several commands: those not begun wait in `queue`. `extended` and `answer` hold the two halves of
//! the work, `prepared` what the extended protocol keeps between messages.

mod answer;
mod extended;
mod prepared;

use std::collections::VecDeque;

use howdah_core::control::{AdminRole, ConsoleNext, ConsoleSession, Outcome, Request};
use howdah_wire::backend::{
    write_backend_key_data, write_empty_query_response, write_parameter_status, write_ready_for_query,
};
use howdah_wire::frontend::{Query, tag};
use howdah_wire::{CancelKey, FrameHeader, TransactionStatus};

use answer::{Asked, Delivery};
use prepared::Prepared;

use crate::command::{Command, parse};
use crate::error::ConsoleError;

/// One client's console.
#[derive(Debug)]
pub(crate) struct Session {
    user: String,
    role: AdminRole,
    /// Between BEGIN and COMMIT. It changes nothing but the status byte drivers look at: what a command did
    /// is done.
    in_transaction: bool,
    queue: VecDeque<Command>,
    /// What the engine is busy with.
    asked: Option<Asked>,
    /// What it is to do next, found when it answered the last one.
    next: Option<Request>,
    skipping: bool,
    prepared: Prepared,
}

impl Session {
    pub(crate) fn new(user: &str, role: AdminRole) -> Session {
        Session {
            user: user.to_owned(),
            role,
            in_transaction: false,
            queue: VecDeque::new(),
            asked: None,
            next: None,
            skipping: false,
            prepared: Prepared::default(),
        }
    }

    /// Handles the message at the start of `input`; `None` if it is not all there.
    fn message(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<(usize, Step)>, ConsoleError> {
        let Some(header) = FrameHeader::parse(input)? else { return Ok(None) };
        if header.len > MAX_MESSAGE {
            return Err(ConsoleError::TooLong(header.len));
        }
        let Some(body) = input.get(FrameHeader::SIZE..header.total()) else { return Ok(None) };
        let step = match header.tag {
            tag::TERMINATE => Step::Close,
            tag::SYNC => {
                self.sync(out);
                Step::Read
            }
            _ if self.skipping => Step::Read,
            tag::QUERY => self.query(body, out).map_or(Step::Read, Step::Ask),
            tag::FUNCTION_CALL => {
                ConsoleError::FunctionCall.write(out);
                self.ready(out);
                Step::Read
            }
            // Left over from a COPY that never was, as PostgreSQL takes them; and every reply is sent at once.
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL | tag::FLUSH => Step::Read,
            tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE => {
                match self.extended(header.tag, body, out) {
                    Ok(asked) => asked.map_or(Step::Read, Step::Ask),
                    Err(error) => {
                        self.skip(&error, out);
                        Step::Read
                    }
                }
            }
            other => return Err(ConsoleError::UnexpectedMessage(other)),
        };
        Ok(Some((header.total(), step)))
    }

    fn query(&mut self, body: &[u8], out: &mut Vec<u8>) -> Option<Request> {
        self.prepared.forget_unnamed();
        match Query::parse(body).map_err(ConsoleError::from).and_then(|query| commands(query.text)) {
            Ok(commands) if commands.is_empty() => write_empty_query_response(out),
            Ok(commands) => self.queue = commands.into(),
            Err(error) => error.write(out),
        }
        self.advance(out)
    }

    /// Works through a simple query up to its end, or to a command only the engine can carry out.
    fn advance(&mut self, out: &mut Vec<u8>) -> Option<Request> {
        while let Some(command) = self.queue.pop_front() {
            match self.start(command, Delivery::simple(), out) {
                Ok(None) => {}
                Ok(Some(request)) => return Some(request),
                Err(error) => self.fail_query(&error, out),
            }
        }
        self.ready(out);
        None
    }

    /// The rest of a simple query is not carried out after an error.
    fn fail_query(&mut self, error: &ConsoleError, out: &mut Vec<u8>) {
        error.write(out);
        self.queue.clear();
    }

    fn ready(&self, out: &mut Vec<u8>) {
        let status =
            if self.in_transaction { TransactionStatus::InTransaction } else { TransactionStatus::Idle };
        write_ready_for_query(out, status);
    }
}

impl ConsoleSession for Session {
    fn welcome(&mut self, key: &CancelKey, out: &mut Vec<u8>) {
        for (name, value) in WELCOME {
            write_parameter_status(out, name.as_bytes(), value.as_bytes());
        }
        write_backend_key_data(out, key);
        self.ready(out);
    }

    fn on_bytes(&mut self, input: &[u8], out: &mut Vec<u8>) -> (usize, ConsoleNext) {
        if let Some(request) = self.next.take() {
            return (0, ConsoleNext::Run(request));
        }
        let mut eaten = 0;
        while self.asked.is_none() {
            match self.message(input.get(eaten..).unwrap_or_default(), out) {
                Ok(None) => break,
                Ok(Some((length, step))) => {
                    eaten += length;
                    match step {
                        Step::Read => {}
                        Step::Ask(request) => return (eaten, ConsoleNext::Run(request)),
                        Step::Close => return (eaten, ConsoleNext::Close),
                    }
                }
                Err(fatal) => {
                    fatal.write(out);
                    return (input.len(), ConsoleNext::Close);
                }
            }
        }
        (eaten, ConsoleNext::More)
    }

    fn finish(&mut self, outcome: Outcome, out: &mut Vec<u8>) {
        let Some(asked) = self.asked.take() else { return };
        let simple = asked.is_simple();
        match (self.complete(asked, &outcome, out), simple) {
            (Ok(()), false) => {}
            (Err(error), false) => self.skip(&error, out),
            (result, true) => {
                if let Err(error) = result {
                    self.fail_query(&error, out);
                }
                self.next = self.advance(out);
            }
        }
    }
}

/// What comes after a message.
enum Step {
    Read,
    Ask(Request),
    Close,
}

/// The commands of a text in whatever encoding: names and keywords must be UTF-8.
fn commands(text: &[u8]) -> Result<Vec<Command>, ConsoleError> {
    let text = str::from_utf8(text).map_err(|_| ConsoleError::Encoding)?;
    Ok(parse(text)?)
}

/// The longest message read, as its length field says it. No command is near it, and nothing is kept of a
/// longer one.
const MAX_MESSAGE: u32 = 64 * 1024;

/// PgBouncer's.
const WELCOME: [(&str, &str); 7] = [
    ("server_version", crate::SERVER_VERSION),
    ("client_encoding", "UTF8"),
    ("server_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("TimeZone", "GMT"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "on"),
];

#[cfg(test)]
mod tests;
