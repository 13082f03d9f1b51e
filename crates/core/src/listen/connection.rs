//! The listener connection, as the switchboard sees it: what is asked on it, and how that went.
//!
//! States: `Closed` → `Opening` → `Up` → `Closed`. Questions are simple queries, one statement each, sent without
//! waiting for one another; each ReadyForQuery answers the oldest. An empty query is a question too: PostgreSQL
//! passes on what has come before it says that it is ready.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use howdah_wire::backend::{NotificationResponse, tag};
use howdah_wire::{ErrorResponse, FrameHeader, Severity, frontend};
use thiserror::Error;

use super::retry::Retry;
use super::switchboard::{Heard, Round, notice};
use super::{Channel, Effect, Switchboard};
use crate::refusal;

/// What is to be done with the listener connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Open it, and report `opened` or `not_opened`.
    Open,
    /// Send what has been written.
    Send,
    /// Read; look again when told to, or at this time.
    Wait(Option<Instant>),
    /// Close it: nobody has listened for a while.
    Close,
    /// There is none and none is needed.
    Rest,
}

/// Why the listener connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// The server ended it, in its own words.
    #[error("{0}")]
    Said(Box<ErrorResponse>),
    /// What came does not follow the protocol.
    #[error("server protocol violation on the listener connection")]
    Protocol,
}

#[derive(Debug, Default)]
pub(super) struct Connection {
    state: State,
    /// Number of the last question, over all connections.
    asked: u64,
    /// Number of the last question answered.
    answered: u64,
    /// On their way, oldest first.
    pending: VecDeque<Question>,
    /// What the oldest came to.
    error: Option<Box<ErrorResponse>>,
    to_listen: BTreeSet<Channel>,
    to_unlisten: BTreeSet<Channel>,
    wants_round: bool,
    /// Since when nobody listens.
    unused_since: Option<Instant>,
    /// Why the last one was lost or not opened, until the next one is up.
    failure: Option<Box<str>>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Opening,
    Up,
}

#[derive(Debug, PartialEq, Eq)]
enum Question {
    Listen(Channel),
    Unlisten,
    Round,
}

impl Connection {
    pub(super) fn want_channel(&mut self, channel: &Channel) {
        self.to_listen.insert(channel.clone());
    }

    pub(super) fn drop_channel(&mut self, channel: &Channel) {
        self.to_listen.remove(channel);
        if self.state == State::Up {
            self.to_unlisten.insert(channel.clone());
        }
    }

    pub(super) fn want_round(&mut self) -> Option<Round> {
        if self.state != State::Up {
            return None;
        }
        self.wants_round = true;
        Some(Round(self.asked + 1))
    }

    pub(super) fn is_over(&self, round: Round) -> bool {
        self.answered >= round.0
    }

    fn ask(&mut self, question: Question, text: &[u8], out: &mut Vec<u8>) -> u64 {
        frontend::write_query(out, text);
        self.asked += 1;
        self.pending.push_back(question);
        self.asked
    }

    /// Whatever was asked, or promised to be asked, will not be answered.
    fn abandon(&mut self) {
        self.state = State::Closed;
        self.asked += 1;
        self.answered = self.asked;
        self.pending.clear();
        self.error = None;
        self.to_unlisten.clear();
        self.wants_round = false;
        self.unused_since = None;
    }
}

impl Switchboard {
    /// What is to be done with the listener connection; what is to be sent on it is appended to `out`.
    pub fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        match self.connection.state {
            State::Opening => Next::Wait(None),
            State::Closed if self.lines.is_empty() => {
                // Whoever listens next is not to hear of what went wrong for others.
                self.connection.failure = None;
                self.retry = Retry::default();
                Next::Rest
            }
            State::Closed => match self.retry.not_before(now) {
                Some(time) => Next::Wait(Some(time)),
                None => {
                    self.connection.state = State::Opening;
                    Next::Open
                }
            },
            State::Up => self.questions(now, out),
        }
    }

    fn questions(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        let before = self.connection.asked;
        let mut text = Vec::new();
        // Before the LISTENs: a channel may have been given up and be wanted again.
        for channel in std::mem::take(&mut self.connection.to_unlisten) {
            channel.write("UNLISTEN", &mut text);
            self.connection.ask(Question::Unlisten, &text, out);
            text.clear();
        }
        for channel in std::mem::take(&mut self.connection.to_listen) {
            channel.write("LISTEN", &mut text);
            let Some(line) = self.lines.get_mut(&channel) else { continue };
            line.heard = Heard::Asked(self.connection.asked + 1);
            self.connection.ask(Question::Listen(channel), &text, out);
            text.clear();
        }
        let connection = &mut self.connection;
        if connection.asked > before {
            connection.wants_round = false;
        } else if connection.wants_round && !connection.pending.contains(&Question::Round) {
            connection.wants_round = false;
            connection.ask(Question::Round, b"", out);
        }
        if connection.asked > before {
            connection.unused_since = None;
            return Next::Send;
        }
        if !self.lines.is_empty() || !connection.pending.is_empty() {
            connection.unused_since = None;
            return Next::Wait(None);
        }
        let close_at = *connection.unused_since.get_or_insert(now) + LINGER;
        if now < close_at {
            return Next::Wait(Some(close_at));
        }
        connection.abandon();
        Next::Close
    }

    /// It is open. Everything is listened to anew.
    pub fn opened(&mut self) {
        self.connection.state = State::Up;
        self.connection.failure = None;
        self.connection.to_listen = self.lines.keys().cloned().collect();
    }

    /// It could not be opened.
    pub fn not_opened(&mut self, reason: &str, now: Instant, fx: &mut Vec<Effect>) {
        self.fail(reason, now, fx);
    }

    /// It was open and has been lost.
    pub fn lost(&mut self, reason: &str, now: Instant, fx: &mut Vec<Effect>) {
        for line in self.lines.values_mut() {
            line.heard = Heard::No;
        }
        self.fail(reason, now, fx);
    }

    /// It was open and has been given up on purpose: nothing speaks against opening it anew at once, and who is about
    /// to listen waits for that.
    pub fn renew(&mut self, reason: &str, fx: &mut Vec<Effect>) {
        for line in self.lines.values_mut() {
            line.heard = Heard::No;
        }
        self.give_up(reason, fx);
    }

    fn fail(&mut self, reason: &str, now: Instant, fx: &mut Vec<Effect>) {
        self.connection.failure = Some(reason.into());
        self.retry.failed(now);
        self.give_up(reason, fx);
    }

    fn give_up(&mut self, reason: &str, fx: &mut Vec<Effect>) {
        self.connection.abandon();
        for (_, client) in std::mem::take(&mut self.awaiting) {
            self.has_caught_up(client);
            fx.push(Effect::Wake(client));
        }
        let warning = notice(&refusal::not_listening(reason));
        for (client, subscriber) in &mut self.subscribers {
            if subscriber.listens() && !std::mem::replace(&mut subscriber.deaf, true) {
                subscriber.put(&warning, None, false);
            }
            fx.push(Effect::Wake(*client));
        }
        fx.push(Effect::Attend);
    }

    /// Why nobody should wait for the listener connection, if it is so: the last one failed.
    pub(super) fn unreachable(&self) -> Option<Box<str>> {
        self.connection.failure.clone()
    }

    /// Deals with what has come on it, as far as whole messages are there; says how much that was. `sender` gives
    /// the PID of a backend as clients are to see it.
    ///
    /// # Errors
    /// It cannot be used any more, and has to be reported lost.
    pub fn read(
        &mut self,
        input: &[u8],
        mut sender: impl FnMut(u32) -> u32,
        fx: &mut Vec<Effect>,
    ) -> Result<usize, Broken> {
        let mut done = 0;
        loop {
            let left = input.get(done..).unwrap_or_default();
            let Some(header) = FrameHeader::parse(left).map_err(|_| Broken::Protocol)? else {
                return Ok(done);
            };
            if header.total() > LONGEST_MESSAGE {
                return Err(Broken::Protocol);
            }
            let Some(body) = left.get(FrameHeader::SIZE..header.total()) else { return Ok(done) };
            match header.tag {
                tag::NOTIFICATION_RESPONSE => {
                    let notification = NotificationResponse::parse(body).map_err(|_| Broken::Protocol)?;
                    self.fan_out(&notification, sender(notification.pid), fx);
                }
                tag::ERROR_RESPONSE => {
                    let error = Box::new(ErrorResponse::parse(body));
                    if matches!(error.severity, Severity::Fatal | Severity::Panic) {
                        return Err(Broken::Said(error));
                    }
                    self.connection.error = Some(error);
                }
                tag::READY_FOR_QUERY => self.answered(fx)?,
                _ => {}
            }
            done += header.total();
        }
    }

    /// The oldest question has been answered.
    fn answered(&mut self, fx: &mut Vec<Effect>) -> Result<(), Broken> {
        let connection = &mut self.connection;
        let question = connection.pending.pop_front().ok_or(Broken::Protocol)?;
        let error = connection.error.take();
        connection.answered += 1;
        let (answered, wants_more) = (connection.answered, connection.wants_round);
        self.retry.succeeded();
        for (_, client) in self.awaiting.extract_if(.., |(round, _)| round.0 <= answered).collect::<Vec<_>>()
        {
            self.has_caught_up(client);
            fx.push(Effect::Wake(client));
        }
        if wants_more {
            fx.push(Effect::Attend);
        }
        if let Question::Listen(channel) = question {
            self.listening(&channel, answered, error, fx);
        }
        Ok(())
    }

    /// The LISTEN for this channel has been answered.
    fn listening(
        &mut self,
        channel: &Channel,
        number: u64,
        error: Option<Box<ErrorResponse>>,
        fx: &mut Vec<Effect>,
    ) {
        let Some(line) = self.lines.get_mut(channel).filter(|line| line.heard == Heard::Asked(number)) else {
            return;
        };
        let warning = error.as_ref().map(|said| notice(&refusal::channel_refused(channel, said)));
        line.heard = error.map_or(Heard::Yes, Heard::Refused);
        let listeners = line.listeners.clone();
        for client in listeners {
            fx.push(Effect::Wake(client));
            let whole = self.subscribers.get(&client).is_some_and(|s| s.deaf) && self.is_heard(client);
            let Some(subscriber) = self.subscribers.get_mut(&client) else { continue };
            if let Some(warning) = warning.as_ref().filter(|_| subscriber.listens()) {
                subscriber.put(warning, None, false);
            }
            if whole {
                subscriber.deaf = false;
                subscriber.put(&notice(&refusal::listening_again()), None, false);
            }
        }
    }
}

/// How long the listener connection is kept when nobody listens any more.
const LINGER: Duration = Duration::from_secs(10);
/// A notification has 8 KB at most, and an error is no longer.
const LONGEST_MESSAGE: usize = 64 * 1024;
