//! LISTEN follows the client.
//!
//! The listening is done by a connection of its own ([`Switchboard`](crate::listen::Switchboard)). Here is told
//! when that matters to a session: a text that says LISTEN waits until the channel is listened to; and when the
//! transaction of a client that listens, or that has sent a notification, has ended, ReadyForQuery is *withheld*
//! until the engine has seen to what the client gets before it.
//!
//! Which channels a client has when its transaction has ended is told by the server
//! ([`SessionState::channels`](super::SessionState)): its server connections listen too, though what they hear is
//! dropped, unless nothing else could hear it. So ROLLBACK, UNLISTEN and `pg_listening_channels()` mean what
//! PostgreSQL means by them.

use std::collections::BTreeSet;

use howdah_wire::backend::{self, NotificationResponse, TransactionStatus};
use howdah_wire::frontend::tag;
use howdah_wire::sql::ListenNames;

use super::{Asks, Patch, Session};
use crate::listen::{Channel, Overflow};
use crate::server::Server;
use crate::settings::{Policy, PoolMode, StateCheck, StateKind};

/// What a session has to do with notifications, as long as it has.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// A text that has been or will be sent says LISTEN to these.
    expected: BTreeSet<Channel>,
    /// The client's message waits until they are listened to.
    awaited: bool,
    /// The engine knows of channels: they have to be settled when they change.
    known: bool,
    /// The transaction may be ending.
    ending: bool,
    /// The client's message waits for ReadyForQuery.
    behind: bool,
    /// The client may have sent a notification in this transaction.
    notified: bool,
    overheard: Overheard,
    withheld: Withheld,
}

/// What the client has sent to itself that the listener connection could not hear, since it had not been told yet:
/// channel and payload.
#[derive(Debug, Default)]
struct Overheard {
    notifications: Vec<(Channel, Box<[u8]>)>,
    bytes: usize,
}

/// ReadyForQuery has come and has not been passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Withheld {
    #[default]
    No,
    /// What the client listens to has to be asked first.
    UntilKnown,
    /// The rest is the engine's.
    UntilHeard,
}

impl Session {
    /// What this client listens to is served aside, by a connection that listens for all.
    #[must_use]
    pub fn hears_aside(&self) -> bool {
        let rules = &self.rules;
        rules.mode != PoolMode::Session
            && rules.state.check != StateCheck::Never
            && rules.state.policy.of(StateKind::Listen) == Policy::Carry
    }

    /// This session has to do with notifications. While it has not, nothing here need be asked.
    #[inline]
    #[must_use]
    pub fn has_channels(&self) -> bool {
        self.channels.is_some()
    }

    /// What it listens to, by its server's word.
    pub fn listens_to(&self) -> impl Iterator<Item = &Channel> {
        self.state.iter().flat_map(|state| &state.channels)
    }

    /// A text says LISTEN. `true`: it has to wait until the listener connection has heard of it.
    #[cold]
    pub(super) fn must_wait_for_channels(&mut self, text: &[u8]) -> bool {
        if !self.hears_aside() {
            return false;
        }
        let names: Vec<Channel> = ListenNames::of(text).filter_map(|name| Channel::new(&name)).collect();
        let listening = self.state.as_ref().map(|state| &state.channels);
        let channels = self.channels.get_or_insert_default();
        for name in names {
            if !listening.is_some_and(|known| known.contains(&name)) && channels.expected.insert(name) {
                channels.awaited = true;
                channels.known = true;
            }
        }
        channels.awaited
    }

    /// The channels the client's message waits for, if it does.
    #[must_use]
    pub fn awaited_channels(&self) -> Option<&BTreeSet<Channel>> {
        self.channels.as_ref().filter(|channels| channels.awaited).map(|channels| &channels.expected)
    }

    /// The client's next message is not to be looked at before the listener connection has been heard.
    #[inline]
    #[must_use]
    pub fn waits_for_listener(&self) -> bool {
        self.channels.as_ref().is_some_and(|c| c.awaited || c.withheld != Withheld::No)
    }

    /// It would not be looked at yet if the client said more.
    #[inline]
    #[must_use]
    pub fn has_said_enough(&self) -> bool {
        self.channels.as_ref().is_some_and(|c| c.awaited || c.behind || c.withheld != Withheld::No)
    }

    /// They are listened to, or nobody should wait for them: the message may be judged again.
    pub fn channels_heard(&mut self) {
        if let Some(channels) = &mut self.channels {
            channels.awaited = false;
        }
    }

    /// Something with NOTIFY in it is sent.
    #[cold]
    pub(super) fn notifies(&mut self) {
        if self.hears_aside() {
            self.channels.get_or_insert_default().notified = true;
        }
    }

    /// A notification has come on the server connection itself, which listens too. It is of interest if the client
    /// has sent it to a channel that it has begun to listen to in the same transaction, by a function or the like: no
    /// text has told.
    #[cold]
    pub(super) fn overhear(&mut self, server: &Server, body: &[u8]) {
        let own = |pid| server.cancel_key.as_ref().is_some_and(|key| key.pid == pid);
        if !server.doubts.has(Asks::CHANNELS) {
            return;
        }
        let Some(notification) = NotificationResponse::parse(body).ok().filter(|sent| own(sent.pid)) else {
            return;
        };
        let Some(channel) = Channel::new(notification.channel) else { return };
        let known = self.listens_to().any(|known| *known == channel);
        let channels = self.channels.get_or_insert_default();
        let overheard = &mut channels.overheard;
        if known || channels.expected.contains(&channel) || overheard.bytes > Overflow::LIMIT {
            return;
        }
        overheard.bytes += notification.payload.len() + size_of::<(Channel, Box<[u8]>)>();
        overheard.notifications.push((channel, notification.payload.into()));
    }

    /// What the client has sent to itself that only its server connection has heard.
    pub fn take_overheard(&mut self) -> Vec<(Channel, Box<[u8]>)> {
        let overheard = self.channels.as_mut().map(|channels| std::mem::take(&mut channels.overheard));
        overheard.unwrap_or_default().notifications
    }

    /// Something that may end the transaction is about to be sent.
    #[inline]
    pub(super) fn may_end(&mut self) {
        if let Some(channels) = &mut self.channels {
            channels.ending = true;
        }
    }

    /// Whether the transaction may have been told to end since this was asked.
    pub fn takes_end(&mut self) -> bool {
        self.channels.as_mut().is_some_and(|channels| std::mem::take(&mut channels.ending))
    }

    /// The client may have sent a notification that has not arrived yet: the server connection must not become
    /// somebody else's before, or it would bear that one's number.
    #[inline]
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.channels.as_ref().is_some_and(|channels| channels.notified && channels.withheld != Withheld::No)
    }

    /// The transaction has ended and nothing else is under way: `true` if the client is not to know yet.
    #[cold]
    pub(super) fn withholds(&mut self, server: &Server) -> bool {
        if !self.hears_aside() || self.is_mid_message() || !server.is_settled() {
            return false;
        }
        let in_doubt = server.doubts.is_due() && server.doubts.has(Asks::CHANNELS);
        let listens = self.listens_to().next().is_some();
        if !in_doubt && !listens && self.channels.is_none() {
            return false;
        }
        let channels = self.channels.get_or_insert_default();
        channels.withheld = if server.doubts.is_due() { Withheld::UntilKnown } else { Withheld::UntilHeard };
        true
    }

    /// The server has been asked: the client is told that it is ready, unless the engine has to see to it.
    #[cold]
    pub(super) fn known_now(&mut self, server: &Server, patch: &mut Patch) {
        if server.doubts.is_due() || server.look.is_some() {
            return;
        }
        let listens = self.listens_to().next().is_some();
        let Some(channels) = self.channels.as_mut().filter(|c| c.withheld == Withheld::UntilKnown) else {
            return;
        };
        channels.withheld = Withheld::UntilHeard;
        if !listens && !channels.known && !channels.notified {
            self.give_ready(&mut patch.to_client);
        }
    }

    /// The client has asked for something and has not been told that it is done.
    #[inline]
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        self.channels.as_ref().is_some_and(|channels| channels.withheld != Withheld::No)
    }

    /// All that is missing is what the listener connection has for this client.
    #[must_use]
    pub fn is_to_be_heard(&self) -> bool {
        self.channels.as_ref().is_some_and(|channels| channels.withheld == Withheld::UntilHeard)
    }

    /// The client's next message, of this type, has to wait for ReadyForQuery: a server that had been asked for
    /// more already would have sent what belongs behind it.
    #[inline]
    pub(super) fn stays_behind(&mut self, server: &Server, message: u8) -> bool {
        self.channels.is_some() && self.is_behind_ready(server, message)
    }

    #[cold]
    fn is_behind_ready(&mut self, server: &Server, message: u8) -> bool {
        // A COPY needs these to come to its end, which anything else ends too; the others end something themselves.
        let passes = matches!(
            message,
            tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL | tag::SYNC | tag::FLUSH | tag::TERMINATE
        ) || server.outstanding.waits_for_client();
        let Some(channels) = &mut self.channels else { return false };
        channels.behind = channels.withheld != Withheld::No || !passes && server.outstanding.owes_ready();
        channels.behind
    }

    /// Appends the ReadyForQuery that was withheld.
    pub fn give_ready(&mut self, to_client: &mut Vec<u8>) {
        backend::write_ready_for_query(to_client, TransactionStatus::Idle);
        let known = self.listens_to().next().is_some();
        self.channels = known.then(|| Box::new(Channels { known, ..Channels::default() }));
    }
}
