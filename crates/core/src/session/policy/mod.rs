//! What `session_state` and `max_pinned` make of what a client does to its session.
//!
//! Told twice: from the words of a text before it is sent ([`Session::objection`]), so that it can be refused like any
//! statement that fails; and from what the server says about its session when the transaction has ended
//! ([`Session::judge`]), since functions do not show in a text. What is refused only then ends the client.
//!
//! A refused text is not sent. Something goes in its place that PostgreSQL itself will refuse, so that the
//! transaction, the batch and ReadyForQuery are PostgreSQL's own; of its error the client gets Howdah's words.
//!
//! * `text` – before a text is sent; `found` – after a look; `kinds` – what a text may bring about

mod found;
mod kinds;
mod text;

use std::time::Instant;

use howdah_wire::ErrorResponse;

use self::kinds::Kinds;
pub(super) use self::kinds::is_custom;
use super::{Parameters, Patch, PinReason, Session, SessionRules};
use crate::facts::CloseReason;
use crate::refusal;
use crate::server::Server;
use crate::settings::{Policy, StateKind};

/// What a session remembers of what it was allowed and told.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// It has a place in the ledger.
    admitted: bool,
    /// Kinds of state whose loss it has been warned of.
    warned: Kinds,
    /// It has state that `session_state` refuses.
    caught: Option<StateKind>,
    /// What it is pinned for, as the ledger has it.
    tied: Option<PinReason>,
    /// The reported settings it began with, where changed ones are not simply carried.
    began_with: Option<Box<Parameters>>,
}

/// What the engine asks and tells, and what the rest of the session does.
impl Session {
    /// What keeps the server connection with this client beyond the next message.
    #[must_use]
    pub fn lasting_pin(&self, server: &Server) -> Option<PinReason> {
        self.pinned.or_else(|| server.pin())
    }

    /// It is pinned: may it stay so?
    ///
    /// # Errors
    /// It has to end, with this reason and these words.
    pub fn may_stay(&mut self, now: Instant) -> Result<(), (CloseReason, ErrorResponse)> {
        if let Some(kind) = self.conduct.caught {
            return Err((CloseReason::StateRefused(kind), refusal::state_refused_already(kind)));
        }
        if self.conduct.tied.is_some() || self.may_pin() {
            return Ok(());
        }
        let crowd = self.rules.pins.refuse(now);
        Err((CloseReason::TooManyPinned, refusal::too_many_pinned_already(&crowd)))
    }

    /// The ledger has it that this client is pinned, or is no more.
    pub fn tie(&mut self, reason: Option<PinReason>) {
        self.conduct.tied = reason;
    }

    /// Why it is pinned, as far as the ledger has it.
    pub(super) fn tied(&self) -> Option<PinReason> {
        self.conduct.tied
    }

    /// What PostgreSQL reports has to be asked about all the same.
    pub(super) fn minds_reports(&self) -> bool {
        self.conduct.began_with.is_some()
    }

    /// The server connection is being given back.
    pub(super) fn untie(&mut self) {
        self.conduct.tied = None;
        if std::mem::take(&mut self.conduct.admitted) {
            self.rules.pins.withdraw(self.id);
        }
        // What the client is told it has, the next server connection is not to have.
        self.out_of_step = self.conduct.began_with.is_some();
    }

    /// Where changed settings are not simply carried, what they were is kept.
    pub(super) fn keep_beginning(&mut self) {
        let carries = self.rules.state.policy.of(StateKind::Settings) == Policy::Carry;
        if self.conduct.began_with.is_none() && !carries {
            self.conduct.began_with = Some(Box::new(self.parameters.clone()));
        }
    }

    /// It begins anew.
    pub(super) fn forget_beginning(&mut self) {
        self.conduct.began_with = None;
    }

    /// It brings along custom parameters whose names are not to be found by anybody.
    pub(super) fn leaves_names(&self) -> bool {
        let mut names = self.state.iter().flat_map(|state| state.settings.keys());
        self.rules.closes_for_names() && names.any(|name| is_custom(name))
    }

    /// The reported settings that the next server connection shall have.
    pub(super) fn wanted_parameters(&self) -> &Parameters {
        let lost = self.rules.state.policy.of(StateKind::Settings) == Policy::Warn;
        self.conduct.began_with.as_deref().filter(|_| lost).unwrap_or(&self.parameters)
    }

    /// Between two messages to the client: it is told that it will lose this, once.
    fn warn(&mut self, kind: StateKind, patch: &mut Patch) {
        if !self.conduct.warned.has(kind) {
            self.conduct.warned.add(kind);
            refusal::state_will_be_lost(kind).write_notice(&mut patch.to_client);
        }
    }
}

impl SessionRules {
    /// A server connection that has been told the name of a custom parameter is closed.
    #[must_use]
    pub fn closes_for_names(&self) -> bool {
        self.follows_state() && self.state.policy.of(StateKind::Custom) == Policy::Close
    }

    /// Texts matter that say nothing special.
    pub(super) fn heeds_all_texts(&self) -> bool {
        self.always_asks() || self.state.policy.of(StateKind::Sequences) == Policy::Pin
    }
}
