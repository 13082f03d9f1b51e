//! What `session_state` and `max_pinned` make of what a client does to its session.
//!
//! Told twice: from the words of a text before it is sent ([`Session::objection`]), so that it can be refused like any
//! statement that fails; and from what the server says about its session when the transaction has ended
//! ([`Session::judge`]), since functions do not show in a text. What is refused only then ends the client.
//!
//! A refused text is not sent. Something goes in its place that PostgreSQL itself will refuse, so that the
//! transaction, the batch and ReadyForQuery are PostgreSQL's own; of its error the client gets Howdah's words.

use std::time::Instant;

use howdah_wire::backend::TransactionStatus;
use howdah_wire::frontend;
use howdah_wire::sql::{Head, Sign, Signs, Statements};
use howdah_wire::{ErrorResponse, Severity};

use super::state::Look;
use super::{
    Asks, Expected, Kind, Parameters, Patch, PinReason, Session, SessionRules, SessionState, Subject,
};
use crate::facts::CloseReason;
use crate::refusal;
use crate::server::Server;
use crate::settings::{Policy, PoolMode, StateKind};

/// What a session remembers of what it was allowed and told.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    /// The ledger has room for it, as of the last text that pins.
    admitted: bool,
    /// Kinds of state whose loss it has been warned of.
    warned: Kinds,
    /// It has state that `session_state` refuses.
    caught: Option<StateKind>,
    /// What it is pinned for, as the ledger has it.
    pub(super) tied: Option<PinReason>,
    /// The reported settings it began with, where changed ones are not simply carried.
    pub(super) began_with: Option<Box<Parameters>>,
}

impl Session {
    /// A text with these signs is about to be sent: the error it gets instead, if it may not be.
    #[cold]
    pub(super) fn objection(
        &mut self,
        server: &mut Server,
        signs: &Signs,
        text: &[u8],
        patch: &mut Patch,
    ) -> Option<ErrorResponse> {
        let outstanding = &server.outstanding;
        let failed = outstanding.status_is_known() && outstanding.status() == TransactionStatus::Failed;
        // In a transaction that has failed PostgreSQL refuses everything by itself, but what ends it.
        if self.rules.mode == PoolMode::Session || (failed && !ends_block(text)) {
            return None;
        }
        let policy = self.rules.state.policy;
        let mut kinds = Kinds::of(signs, text);
        if let Some(prepared) = self.prepared_signs.as_ref().filter(|_| signs.has(Sign::Execute)) {
            kinds = kinds.and(Kinds::of(prepared, b"").without(StateKind::Statements));
        }
        let relies = match policy.of(StateKind::Sequences) {
            Policy::Pin => moves_sequences(signs, text),
            _ => reads_sequences(server, signs, text),
        };
        if relies {
            kinds.add(StateKind::Sequences);
        }
        for kind in kinds.iter() {
            match policy.of(kind) {
                Policy::Refuse => return Some(refusal::state_refused(kind)),
                of if of.pins() && self.rules.follows_state() && !self.may_pin() => {
                    return Some(refusal::too_many_pinned(kind, &self.rules.pins.refuse(self.joined)));
                }
                _ => {}
            }
        }
        for kind in kinds.iter() {
            match (policy.of(kind), kind) {
                (Policy::Warn, _) if !server.is_mid_forward() => self.warn(kind, patch),
                (Policy::Close, StateKind::Temp) => server.spoil(PinReason::TempSchema, text),
                (Policy::Close, StateKind::Custom) => server.spoil(PinReason::CustomParameter, text),
                (Policy::Pin, StateKind::Sequences) if self.rules.follows_state() => {
                    server.lives = server.lives.and(Asks::SEQUENCES);
                    server.note_cause(PinReason::Sequence, None, &String::from_utf8_lossy(text));
                }
                _ => {}
            }
        }
        None
    }

    /// In place of the client's query something is sent that fails.
    pub(super) fn refuse_query(server: &mut Server, error: ErrorResponse, patch: &mut Patch) {
        frontend::write_query(&mut patch.to_server, REFUSED);
        Session::note_refused(server, Kind::Query, error);
    }

    /// The next message of this kind fails, and this is its error.
    pub(super) fn note_refused(server: &mut Server, kind: Kind, error: ErrorResponse) {
        server.outstanding.push(Expected { subject: Subject::Refused, ..Expected::theirs(kind) });
        server.refusals.push_back(error);
    }

    /// Whether this client may be pinned, if it is not already.
    fn may_pin(&mut self) -> bool {
        if !self.conduct.admitted {
            self.conduct.admitted = self.rules.pins.admits(self.id);
        }
        self.conduct.admitted
    }

    /// Between two messages to the client: it is told that it will lose this, once.
    fn warn(&mut self, kind: StateKind, patch: &mut Patch) {
        if !self.conduct.warned.has(kind) {
            self.conduct.warned.add(kind);
            refusal::state_will_be_lost(kind).write_notice(&mut patch.to_client);
        }
    }

    /// What of the session the client has now, if this is the server's.
    pub(super) fn carried(&self, found: Option<&SessionState>) -> Option<SessionState> {
        let policy = self.rules.state.policy;
        let lost = |kind| policy.of(kind) == Policy::Warn;
        if ![StateKind::Settings, StateKind::Custom, StateKind::Role].into_iter().any(lost) {
            return None;
        }
        let began = self.began.as_deref().cloned().unwrap_or_default();
        let mut carried = found.cloned().unwrap_or_default();
        if lost(StateKind::Role) {
            (carried.role, carried.authorization) = (began.role, began.authorization);
            carried.superuser = began.superuser;
        }
        let is_lost = |name: &str| lost(StateKind::Settings) || (is_custom(name) && lost(StateKind::Custom));
        carried.settings.retain(|name, _| !is_lost(name));
        carried.settings.extend(began.settings.into_iter().filter(|(name, _)| is_lost(name)));
        Some(carried)
    }

    /// The server has said what its session looks like and the client has learnt it: what is to be done about it.
    pub(super) fn judge(&mut self, server: &mut Server, look: &Look, patch: &mut Patch) {
        let policy = self.rules.state.policy;
        let found = self.found(server, look);
        let mut litter = Asks::default();
        for (kind, asks, object) in found {
            match policy.of(kind) {
                Policy::Carry => {}
                Policy::Pin => {
                    server.lives = server.lives.and(asks);
                    server.note_cause(PinReason::of(kind), object, look.about.cause());
                }
                Policy::Close => {
                    let reason = if kind == StateKind::Temp {
                        PinReason::TempSchema
                    } else {
                        PinReason::CustomParameter
                    };
                    server.spoil(reason, look.about.cause().as_bytes());
                }
                Policy::Warn => {
                    self.warn(kind, patch);
                    let lying = asks.without(CARRIED);
                    server.lives = server.lives.without(lying);
                    // A slot goes with its session; the rest can be swept out of it.
                    server.unfit |= kind == StateKind::Slots;
                    litter = litter.and(lying.without(Asks::SLOTS));
                }
                Policy::Refuse => {
                    server.lives = server.lives.and(asks);
                    self.conduct.caught = Some(kind);
                }
            }
        }
        server.forget_causes();
        self.sweep(server, litter, look.about.cause(), patch);
    }

    /// What is not as the session began, by kind; what lives on the server connection with its name.
    fn found<'a>(&self, server: &mut Server, look: &'a Look) -> Vec<(StateKind, Asks, Option<&'a str>)> {
        let mut found = Vec::new();
        for (kind, asks, object) in [
            (StateKind::Temp, Asks::TEMP, &look.temp),
            (StateKind::Locks, Asks::LOCKS, &look.lock),
            (StateKind::Cursors, Asks::CURSORS, &look.cursor),
            (StateKind::Slots, Asks::SLOTS, &look.slot),
            (StateKind::Listen, Asks::CHANNELS, &None),
        ] {
            if look.about.has(asks) && server.lives.has(asks) {
                found.push((kind, asks, object.as_deref()));
            }
        }
        let (plain, state) = (SessionState::default(), server.state.clone());
        let began = self.began.as_deref().unwrap_or(&plain);
        let state = state.as_deref().unwrap_or(&plain);
        let changed =
            || state.settings.iter().filter(|&(name, value)| began.settings.get(name) != Some(value));
        // They pin while they differ, so what pinned may have ended.
        server.lives = server.lives.without(CARRIED);
        let custom = changed().any(|(name, _)| is_custom(name));
        let custom_are_settings = self.rules.state.policy.of(StateKind::Custom) == Policy::Carry;
        if (custom && custom_are_settings)
            || changed().any(|(name, _)| !is_custom(name))
            || self.reports_changed(server, look)
        {
            found.push((StateKind::Settings, Asks::SETTINGS, None));
        }
        if custom {
            found.push((StateKind::Custom, Asks::SETTINGS, None));
        }
        if (&state.role, &state.authorization) != (&began.role, &began.authorization) {
            found.push((StateKind::Role, Asks::ROLE, None));
        }
        if self.sql.is_some() {
            found.push((StateKind::Statements, Asks::STATEMENTS, None));
        }
        found
    }

    /// A reported setting is not as the client began, and will not be in a moment.
    fn reports_changed(&self, server: &Server, look: &Look) -> bool {
        let Some(began_with) = &self.conduct.began_with else { return false };
        let tracked = &self.rules.tracked;
        began_with
            .differing(&server.parameters)
            .any(|(index, _)| tracked.name(index).is_some_and(|name| !look.is_reset(name)))
    }

    /// What is lost does not stay for the next client to find.
    fn sweep(&self, server: &mut Server, litter: Asks, cause: &str, patch: &mut Patch) {
        let query: Vec<&str> =
            SWEEPS.into_iter().filter(|(asks, _)| litter.has(*asks)).map(|(_, query)| query).collect();
        if query.is_empty() {
            return;
        }
        if server.is_settled() && !self.is_mid_message() {
            server.ask(&query.join("; "), &mut patch.to_server);
        } else {
            // The next transaction has begun, and has a say in what happens until it ends.
            server.doubts.add(litter, cause.as_bytes());
        }
    }
}

/// What the engine asks and tells.
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
    pub fn may_stay(&self, now: Instant) -> Result<(), (CloseReason, ErrorResponse)> {
        if let Some(kind) = self.conduct.caught {
            let error = ErrorResponse { severity: Severity::Fatal, ..refusal::state_refused(kind) };
            return Err((CloseReason::StateRefused(kind), error));
        }
        if self.conduct.admitted || self.rules.pins.admits(self.id) {
            return Ok(());
        }
        let crowd = self.rules.pins.refuse(now);
        Err((CloseReason::TooManyPinned, refusal::too_many_pinned_already(&crowd)))
    }

    /// The ledger has it that this client is pinned, or is no more.
    pub fn tie(&mut self, reason: Option<PinReason>) {
        self.conduct.tied = reason;
    }

    /// The server connection is being given back.
    pub(super) fn untie(&mut self) {
        self.conduct.tied = None;
        self.conduct.admitted = false;
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

    /// The reported settings that the next server connection shall have.
    pub(super) fn wanted_parameters(&self) -> &Parameters {
        let lost = self.rules.state.policy.of(StateKind::Settings) == Policy::Warn;
        self.conduct.began_with.as_deref().filter(|_| lost).unwrap_or(&self.parameters)
    }
}

impl SessionRules {
    /// Texts matter that say nothing special.
    pub(super) fn heeds_all_texts(&self) -> bool {
        self.always_asks() || self.state.policy.of(StateKind::Sequences) == Policy::Pin
    }
}

/// Kinds of state.
#[derive(Clone, Copy, Debug, Default)]
struct Kinds(u16);

impl Kinds {
    /// What a text with these signs may bring about.
    fn of(signs: &Signs, text: &[u8]) -> Kinds {
        let mut kinds = Kinds::default();
        for (sign, kind) in OF_SIGNS {
            if signs.has(sign) {
                kinds.add(kind);
            }
        }
        if signs.has(Sign::Setting) && signs.names().iter().any(|name| is_custom(name)) {
            kinds.add(StateKind::Custom);
        }
        // Who only goes back to where it began is welcome.
        let returns = |head| matches!(head, Head::Reset | Head::Discard);
        if kinds.has(StateKind::Role) && !text.is_empty() && Statements::of(text).all(returns) {
            kinds = kinds.without(StateKind::Role);
        }
        kinds
    }

    fn add(&mut self, kind: StateKind) {
        self.0 |= 1 << kind as u16;
    }

    fn has(self, kind: StateKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    fn without(self, kind: StateKind) -> Kinds {
        Kinds(self.0 & !(1 << kind as u16))
    }

    fn iter(self) -> impl Iterator<Item = StateKind> {
        StateKind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

/// PostgreSQL knows these names by the client's word only.
fn is_custom(name: &str) -> bool {
    name.contains('.')
}

/// It asks for what a sequence gave in this session, and this transaction has not made any give.
fn reads_sequences(server: &Server, signs: &Signs, text: &[u8]) -> bool {
    signs.has(Sign::CurrVal) && server.outstanding.is_between_transactions() && !moves_sequences(signs, text)
}

/// Something in it gets PostgreSQL out of a transaction that has failed.
fn ends_block(text: &[u8]) -> bool {
    let ends =
        |head| matches!(head, Head::Commit | Head::Rollback | Head::RollbackTo | Head::PrepareTransaction);
    Statements::of(text).any(ends)
}

/// It may make a sequence give its next value.
fn moves_sequences(signs: &Signs, text: &[u8]) -> bool {
    signs.has(Sign::NextVal)
        || signs.has(Sign::Opaque)
        || MOVING.iter().any(|word| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}

/// Words without which no sequence gives its next value, unless a function sees to it.
const MOVING: [&[u8]; 5] = [b"nextval", b"setval", b"insert", b"copy", b"merge"];

const OF_SIGNS: [(Sign, StateKind); 11] = [
    (Sign::Setting, StateKind::Settings),
    (Sign::SettingUnknown, StateKind::Settings),
    (Sign::Role, StateKind::Role),
    (Sign::Prepare, StateKind::Statements),
    (Sign::Listen, StateKind::Listen),
    (Sign::Temp, StateKind::Temp),
    (Sign::Lock, StateKind::Locks),
    (Sign::HoldCursor, StateKind::Cursors),
    (Sign::Slot, StateKind::Slots),
    (Sign::Seed, StateKind::Seed),
    (Sign::Load, StateKind::Libraries),
];

/// How what is lost is swept out of a server connection.
const SWEEPS: [(Asks, &str); 4] = [
    (Asks::TEMP, "DISCARD TEMP"),
    (Asks::LOCKS, "SELECT pg_catalog.pg_advisory_unlock_all()"),
    (Asks::CURSORS, "CLOSE ALL"),
    (Asks::CHANNELS, "UNLISTEN *"),
];

/// What is not lying about on a server connection but corrected when the next client comes.
const CARRIED: Asks = Asks::SETTINGS.and(Asks::ROLE).and(Asks::STATEMENTS);

/// No SQL: what the server's log shows in place of a text that was refused.
const REFUSED: &[u8] = b"refused by session_state or max_pinned of Howdah";
