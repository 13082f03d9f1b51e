//! The switchboard of a database, as its clients see it.
//!
//! A client *expects* a channel when its text says LISTEN, and waits until it [is heard](Switchboard::is_heard)
//! before the text goes on. When its transaction has ended, what the server says about it
//! [settles](Switchboard::settle) which channels it has. Before it is told that a transaction has ended, it waits
//! for a [round](Round) on the listener connection: by then what the transaction sent to itself is in its inbox.
//!
//! Nobody waits for a listener connection that cannot be had: then everybody concerned is warned, and warned again
//! when it is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use howdah_wire::ErrorResponse;
use howdah_wire::backend::{NotificationResponse, write_notification_response};

use super::Channel;
use super::connection::Connection;
use super::inbox::{Inbox, Overflow};
use super::retry::Retry;
use crate::refusal;

/// Who listens to what in one database, and what is on its way to them.
#[derive(Debug, Default)]
pub struct Switchboard {
    /// Every channel somebody listens to or is about to.
    pub(super) lines: BTreeMap<Channel, Line>,
    pub(super) subscribers: BTreeMap<u64, Subscriber>,
    pub(super) connection: Connection,
    pub(super) retry: Retry,
    /// Clients that wait for a round.
    pub(super) awaiting: Vec<(Round, u64)>,
    delivered: u64,
}

/// A question on the listener connection and its answer. Whatever had been committed before it was asked for has
/// come before it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Round(pub(super) u64);

/// What the engine has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something this client waits for has come about, or its inbox has something for it.
    Wake(u64),
    /// There is something to do on the listener connection: see [`Switchboard::next`].
    Attend,
}

/// A channel.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) listeners: BTreeSet<u64>,
    pub(super) heard: Heard,
}

/// Whether the listener connection listens to a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has not been asked to.
    #[default]
    No,
    /// It has been asked to; the number of the question.
    Asked(u64),
    Yes,
    /// PostgreSQL refused.
    Refused(Box<ErrorResponse>),
}

/// A client that listens or is about to.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    pub(super) channels: BTreeMap<Channel, Standing>,
    inbox: Inbox,
    overflow: Option<Overflow>,
    /// It has been told that it hears nothing for now.
    pub(super) deaf: bool,
    /// What it sends, by its PID, to these channels it has heard by itself, until its next round is over.
    overheard: BTreeSet<(u32, Channel)>,
}

/// What a client's LISTEN has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has been sent; the transaction it is in has not been asked to commit.
    Expected,
    /// The transaction it is in may be committing now.
    Committing,
    Confirmed,
}

impl Switchboard {
    /// Nobody listens to anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lines.is_empty()
    }

    /// Notifications handed to clients since start.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The client is about to send a LISTEN to this channel. `alone`: not in a block, so that it takes effect with
    /// the end of its own statement.
    pub fn expect(&mut self, client: u64, channel: &Channel, alone: bool, fx: &mut Vec<Effect>) {
        let subscriber = self.subscribers.entry(client).or_default();
        if subscriber.channels.contains_key(channel) {
            return;
        }
        let standing = if alone { Standing::Committing } else { Standing::Expected };
        subscriber.channels.insert(channel.clone(), standing);
        self.join(client, channel, fx);
    }

    /// The client's transaction may end from now on: what is sent to the channels it expects can be its own.
    pub fn commits(&mut self, client: u64) {
        let Some(subscriber) = self.subscribers.get_mut(&client) else { return };
        for standing in subscriber.channels.values_mut().filter(|standing| **standing == Standing::Expected) {
            *standing = Standing::Committing;
        }
    }

    /// The client, as `sender`, has sent this to itself, on a channel that nobody knew it would listen to. It gets it if
    /// it turns out to do so.
    pub fn overheard(&mut self, client: u64, sender: u32, channel: &Channel, payload: &[u8]) {
        let mut message = Vec::new();
        let notification = NotificationResponse { pid: sender, channel: channel.name(), payload };
        write_notification_response(&mut message, &notification);
        let subscriber = self.subscribers.entry(client).or_default();
        subscriber.put(&message.into(), Some(channel), true);
        subscriber.overheard.insert((sender, channel.clone()));
        self.delivered += 1;
    }

    /// The client's transaction has ended, and these are the channels it listens to now: all of them, and no other.
    pub fn settle<'a>(
        &mut self,
        client: u64,
        channels: impl IntoIterator<Item = &'a Channel>,
        fx: &mut Vec<Effect>,
    ) {
        let confirmed: BTreeSet<&Channel> = channels.into_iter().collect();
        if confirmed.is_empty() && !self.subscribers.contains_key(&client) {
            return;
        }
        let before = std::mem::take(&mut self.subscribers.entry(client).or_default().channels);
        for channel in before.keys().filter(|channel| !confirmed.contains(channel)) {
            self.part(client, channel, fx);
        }
        for channel in confirmed.iter().filter(|channel| !before.contains_key(**channel)) {
            self.join(client, channel, fx);
        }
        let newly = |channel: &Channel| before.get(channel) != Some(&Standing::Confirmed);
        let mut refused = Vec::new();
        for channel in confirmed.iter().filter(|channel| newly(channel)) {
            if let Some(Heard::Refused(said)) = self.lines.get(*channel).map(|line| &line.heard) {
                refused.push(notice(&refusal::channel_refused(channel, said)));
            }
        }
        let unreachable = self.unreachable();
        let Some(subscriber) = self.subscribers.get_mut(&client) else { return };
        subscriber.inbox.settle(|channel| confirmed.contains(channel));
        subscriber.overheard.retain(|(_, channel)| confirmed.contains(channel));
        subscriber.channels =
            confirmed.into_iter().map(|channel| (channel.clone(), Standing::Confirmed)).collect();
        for message in refused {
            subscriber.put(&message, None, false);
        }
        if let Some(reason) = unreachable.filter(|_| !subscriber.channels.is_empty() && !subscriber.deaf) {
            subscriber.deaf = true;
            subscriber.put(&notice(&refusal::not_listening(&reason)), None, false);
        }
    }

    /// The client's channels are listened to, or it is settled that they are not to be had for now.
    #[must_use]
    pub fn is_heard(&self, client: u64) -> bool {
        let Some(subscriber) = self.subscribers.get(&client) else { return true };
        let settled = |channel| {
            self.lines.get(channel).is_none_or(|line| matches!(line.heard, Heard::Yes | Heard::Refused(_)))
        };
        subscriber.channels.keys().all(settled) || self.unreachable().is_some()
    }

    /// Asks for a round on the listener connection; `None`: there is none to wait for.
    pub fn begin_round(&mut self, client: u64, fx: &mut Vec<Effect>) -> Option<Round> {
        let Some(round) = self.connection.want_round() else {
            self.has_caught_up(client);
            return None;
        };
        self.awaiting.push((round, client));
        fx.push(Effect::Attend);
        Some(round)
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, round: Round) -> bool {
        self.connection.is_over(round)
    }

    /// Something waits for the client that it may be given now.
    #[must_use]
    pub fn has_news(&self, client: u64) -> bool {
        self.subscribers.get(&client).is_some_and(|s| !s.inbox.is_empty() || s.overflow.is_some())
    }

    /// Appends messages from the client's inbox, some 64 KiB at most. Returns how many.
    ///
    /// # Errors
    /// It has left more waiting than it may, and gets nothing any more.
    pub fn take(&mut self, client: u64, out: &mut Vec<u8>) -> Result<u64, Overflow> {
        let Some(subscriber) = self.subscribers.get_mut(&client) else { return Ok(0) };
        let taken = subscriber.inbox.take(MOST_AT_ONCE, out);
        subscriber.overflow.map_or(Ok(taken), Err)
    }

    /// The client has gone.
    pub fn leave(&mut self, client: u64, fx: &mut Vec<Effect>) {
        self.awaiting.retain(|(_, waiting)| *waiting != client);
        let Some(subscriber) = self.subscribers.remove(&client) else { return };
        for channel in subscriber.channels.keys() {
            self.part(client, channel, fx);
        }
    }

    /// A notification has come. `sender`: its PID as clients are to see it.
    pub(super) fn fan_out(
        &mut self,
        notification: &NotificationResponse<'_>,
        sender: u32,
        fx: &mut Vec<Effect>,
    ) {
        let Some((channel, line)) = self.lines.get_key_value(notification.channel) else { return };
        let mut message = Vec::new();
        write_notification_response(&mut message, &NotificationResponse { pid: sender, ..*notification });
        let message: Arc<[u8]> = message.into();
        for client in &line.listeners {
            let Some(subscriber) = self.subscribers.get_mut(client) else { continue };
            if !subscriber.overheard.is_empty() && subscriber.overheard.contains(&(sender, channel.clone())) {
                continue;
            }
            match subscriber.channels.get(channel) {
                Some(Standing::Confirmed) => subscriber.put(&message, Some(channel), false),
                Some(Standing::Committing) => subscriber.put(&message, Some(channel), true),
                Some(Standing::Expected) | None => continue,
            }
            self.delivered += 1;
            fx.push(Effect::Wake(*client));
        }
    }

    /// Whatever this client has sent has come on the listener connection as well, as far as it comes.
    pub(super) fn has_caught_up(&mut self, client: u64) {
        if let Some(subscriber) = self.subscribers.get_mut(&client) {
            subscriber.overheard.clear();
        }
    }

    fn join(&mut self, client: u64, channel: &Channel, fx: &mut Vec<Effect>) {
        let line = self.lines.entry(channel.clone()).or_default();
        line.listeners.insert(client);
        if matches!(line.heard, Heard::No | Heard::Refused(_)) {
            line.heard = Heard::No;
            self.connection.want_channel(channel);
            fx.push(Effect::Attend);
        }
    }

    fn part(&mut self, client: u64, channel: &Channel, fx: &mut Vec<Effect>) {
        let Some(line) = self.lines.get_mut(channel) else { return };
        line.listeners.remove(&client);
        if line.listeners.is_empty() {
            self.lines.remove(channel);
            self.connection.drop_channel(channel);
            fx.push(Effect::Attend);
        }
    }
}

impl Subscriber {
    pub(super) fn put(&mut self, message: &Arc<[u8]>, channel: Option<&Channel>, expected: bool) {
        if self.overflow.is_some() {
            return;
        }
        if let Err(overflow) = self.inbox.push(message, channel, expected) {
            self.inbox = Inbox::default();
            self.overflow = Some(overflow);
        }
    }

    /// It listens to something by what its server has said.
    pub(super) fn listens(&self) -> bool {
        self.channels.values().any(|standing| *standing == Standing::Confirmed)
    }
}

/// A NoticeResponse.
pub(super) fn notice(warning: &ErrorResponse) -> Arc<[u8]> {
    let mut message = Vec::new();
    warning.write_notice(&mut message);
    message.into()
}

/// What is taken from an inbox at once.
const MOST_AT_ONCE: usize = 64 * 1024;
