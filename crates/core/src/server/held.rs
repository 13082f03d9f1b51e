//! May this server connection be given on, and if not, why?
//!
//! [`Server::held_by`] is the one place that says so.

use std::time::Instant;

use howdah_wire::backend::TransactionStatus;

use super::Server;
use crate::session::{Asks, Pin, PinReason, Session};
use crate::settings::{PoolMode, StateKind};

/// Why a server connection may not be given to the next client as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Its client is in session mode.
    SessionMode,
    /// The client's message, or the server's reply, is half way through.
    MidMessage,
    /// Replies are owed.
    Outstanding,
    /// A transaction is open.
    InTransaction,
    /// A notification from here has not arrived where it is to be passed on.
    Sending,
    /// What the session looks like has to be asked first.
    Doubts,
    /// Something of the client's lives on it.
    Pinned(PinReason),
}

/// What brought about a pin.
#[derive(Debug)]
pub(super) struct Cause {
    reason: PinReason,
    object: Option<Box<str>>,
    statement: Box<str>,
}

impl Server {
    /// May this server connection be given on by `session`, and if not, why?
    #[inline]
    #[must_use]
    pub fn held_by(&self, session: &Session) -> Option<Held> {
        if session.is_speaking() || self.is_mid_reply() {
            return Some(Held::MidMessage);
        }
        if !self.outstanding.is_empty() || self.outstanding.is_in_doubt() || session.has_postscript() {
            return Some(Held::Outstanding);
        }
        if self.outstanding.status() != TransactionStatus::Idle {
            return Some(Held::InTransaction);
        }
        if self.doubts.is_due() {
            return Some(Held::Doubts);
        }
        if session.rules().mode == PoolMode::Session {
            return Some(Held::SessionMode);
        }
        if session.is_sending() {
            return Some(Held::Sending);
        }
        session.pin().or_else(|| self.pin()).map(Held::Pinned)
    }

    /// Why it has to stay with its client, as far as that is told by what lives here.
    #[inline]
    #[must_use]
    pub fn pin(&self) -> Option<PinReason> {
        if self.lives.is_none() && self.spoiled.is_none() && !self.doubts.is_postponed() {
            return None;
        }
        self.what_pins()
    }

    #[cold]
    fn what_pins(&self) -> Option<PinReason> {
        PINS.into_iter()
            .find_map(|(asks, reason)| self.lives.has(asks).then_some(reason))
            .or(self.spoiled)
            .or_else(|| self.doubts.is_postponed().then_some(PinReason::StateUncarried))
    }

    /// Something happened, by this text, that cannot be undone: this client is the connection's last.
    pub(crate) fn spoil(&mut self, reason: PinReason, text: &[u8]) {
        let reason = *self.spoiled.get_or_insert(reason);
        self.note_cause(reason, None, &String::from_utf8_lossy(text));
    }

    /// What a pin comes from. The first word on it stands until it ends.
    pub(crate) fn note_cause(&mut self, reason: PinReason, object: Option<&str>, statement: &str) {
        if !self.causes.iter().any(|cause| cause.reason == reason) {
            let statement = statement.chars().take(MAX_CAUSE).collect();
            self.causes.push(Cause { reason, object: object.map(Into::into), statement });
        }
    }

    /// Pins have ended: what brought them about is of no interest any more.
    pub(crate) fn forget_causes(&mut self) {
        let (lives, spoiled) = (self.lives, self.spoiled);
        self.causes.retain(|cause| {
            spoiled == Some(cause.reason)
                || PINS.iter().any(|(asks, reason)| lives.has(*asks) && *reason == cause.reason)
        });
    }

    /// The pin for this reason, as operators are to see it.
    #[must_use]
    pub fn explain(&self, reason: PinReason, since: Instant) -> Pin {
        let cause = self.causes.iter().find(|cause| cause.reason == reason);
        let object = cause.and_then(|cause| cause.object.as_deref());
        Pin::new(reason, object, cause.map_or(&[], |cause| cause.statement.as_bytes()), since)
    }
}

/// What pins while it lives here.
const PINS: [(Asks, PinReason); 10] = [
    (Asks::TEMP, PinReason::TempObject),
    (Asks::LOCKS, PinReason::AdvisoryLock),
    (Asks::CURSORS, PinReason::HoldCursor),
    (Asks::SLOTS, PinReason::ReplicationSlot),
    (Asks::PRIVILEGED, PinReason::SettingUncarried),
    (Asks::CHANNELS, PinReason::Policy(StateKind::Listen)),
    (Asks::SETTINGS, PinReason::Policy(StateKind::Settings)),
    (Asks::ROLE, PinReason::Policy(StateKind::Role)),
    (Asks::STATEMENTS, PinReason::Policy(StateKind::Statements)),
    (Asks::SEQUENCES, PinReason::Sequence),
];

/// How much of a text is kept to explain a pin, in characters.
const MAX_CAUSE: usize = 200;
