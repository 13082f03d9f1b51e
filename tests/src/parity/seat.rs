//! A client that plays a part: what it has sent, what it has still to hear.

use std::time::Duration;

use super::batch::Batch;
use crate::raw::client::RawClient;
use crate::raw::message;
use crate::raw::reply::Message;

/// A scripted client's connection.
pub(super) struct Seat {
    pub(super) parameters: Vec<(String, String)>,
    connection: RawClient,
    /// ReadyForQuery messages that have to come.
    owed: usize,
    /// Between two transactions, as far as it knows.
    idle: bool,
    /// Closed, or silent for too long.
    gone: bool,
}

impl Seat {
    /// Says who it is on `connection`, and what came back.
    pub(super) fn take(
        mut connection: RawClient,
        database: &str,
        parameters: Vec<(String, String)>,
    ) -> (Self, Vec<Message>) {
        let mut startup = vec![("database", database)];
        startup.extend(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        connection.send(&message::startup(&startup));
        let mut seat = Self { parameters, connection, owed: 1, idle: false, gone: false };
        let welcome = seat.read(&|_: &Message| false, 0);
        (seat, welcome)
    }

    /// Whose pool it uses.
    pub(super) fn user(&self) -> &str {
        self.parameters.iter().find(|(name, _)| name == "user").map_or("", |(_, user)| user)
    }

    /// Whether another server connection may serve it next.
    pub(super) fn is_idle(&self) -> bool {
        self.idle && !self.gone
    }

    /// Whether it certainly has a server connection.
    pub(super) fn holds_a_server(&self) -> bool {
        !self.idle && !self.gone
    }

    /// Sends and hears the replies.
    pub(super) fn send(&mut self, batch: &Batch, bytes: &[u8]) -> Vec<Message> {
        if self.connection.try_send(bytes).is_err() {
            self.gone = true;
        }
        self.owed += batch.readies();
        let flushed = batch.flushed();
        if flushed > 0 || self.owed > 0 {
            self.idle = false;
        }
        let ends_copy = batch.ends_copy();
        self.read(&|message| message.tag == b'G' && !ends_copy, flushed)
    }

    /// Waits for notifications, and what comes with them.
    pub(super) fn hear(&mut self, notifications: usize) -> Vec<Message> {
        let mut heard = Vec::new();
        while !self.gone && heard.iter().filter(|it: &&Message| it.tag == b'A').count() < notifications {
            self.read_one(&mut heard);
        }
        heard
    }

    /// Says farewell and waits until the other side has hung up: a backend does so with its end.
    pub(super) fn leave(mut self) {
        // Whoever is gone need not be told.
        let _ = self.connection.try_send(&message::terminate());
        while let Ok(Some(_)) = self.connection.read_within(PATIENCE) {}
    }

    /// The process id that it was given.
    pub(super) fn pid(&self) -> u32 {
        let key = self.connection.cancel_key.first_chunk::<4>();
        key.map_or(0, |pid| u32::from_be_bytes(*pid))
    }

    /// The process id of the backend that serves it, if it has been let in.
    pub(super) fn backend(&mut self) -> Option<u32> {
        self.is_idle().then(|| self.connection.backend().parse().expect("a process id is a number"))
    }

    /// Reads until all is said that is owed, or `flushed` replies, or what stops.
    fn read(&mut self, stops: &dyn Fn(&Message) -> bool, mut flushed: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while !self.gone && (self.owed > 0 || flushed > 0) {
            self.read_one(&mut messages);
            let Some(last) = messages.last() else { continue };
            match last.tag {
                b'Z' => {
                    self.owed = self.owed.saturating_sub(1);
                    self.idle = self.owed == 0 && last.body == b"I";
                }
                b'K' => self.connection.cancel_key.clone_from(&last.body),
                b'E' if self.owed == 0 => flushed = 0,
                b'1' | b'2' | b'3' | b'T' | b'n' | b'C' | b's' | b'I' if self.owed == 0 => {
                    flushed = flushed.saturating_sub(1);
                }
                _ => {}
            }
            if stops(last) {
                break;
            }
        }
        messages
    }

    fn read_one(&mut self, messages: &mut Vec<Message>) {
        let note = match self.connection.read_within(PATIENCE) {
            Ok(Some(message)) => return messages.push(message),
            Ok(None) => "(the connection is closed)",
            Err(_) => "(nothing comes)",
        };
        self.gone = true;
        messages.push(Message { tag: b'!', body: note.as_bytes().to_vec() });
    }
}

/// How long a reply may take. Scripts wait for nothing but each other.
const PATIENCE: Duration = Duration::from_secs(5);
