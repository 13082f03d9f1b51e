//! Before a text is sent: may it be, and what is its client told?

use howdah_wire::ErrorResponse;
use howdah_wire::backend::TransactionStatus;
use howdah_wire::frontend;
use howdah_wire::sql::Signs;

use super::kinds::{self, Kinds, ends_block, moves_sequences, reads_sequences};
use crate::refusal;
use crate::server::Server;
use crate::session::server_names::ServerName;
use crate::session::{Asks, Expected, Kind, Patch, PinReason, Session, Subject};
use crate::settings::{Policy, PoolMode, StateKind};

impl Session {
    /// A text with these signs is about to be sent: the error it gets instead, if it may not be.
    #[cold]
    pub(in crate::session) fn objection(
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
        let custom = policy.of(StateKind::Custom);
        let mut kinds = Kinds::of(signs, text);
        let mut leaves_name = kinds::leaves_name(signs, custom);
        if let Some(executed) = self.executed(signs, text) {
            kinds = kinds.and(Kinds::of(&executed, b"").without(StateKind::Statements));
            leaves_name |= kinds::leaves_name(&executed, custom);
        }
        if leaves_name {
            kinds.add(StateKind::Custom);
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

    /// What is bound, with these signs, may not be carried out: why.
    #[cold]
    pub(in crate::session) fn objection_to(
        &mut self,
        server: &mut Server,
        name: &[u8],
        target: &ServerName,
        signs: Option<&Signs>,
        patch: &mut Patch,
    ) -> Option<ErrorResponse> {
        let plain = Signs::default();
        let signs = signs.unwrap_or(&plain);
        match target {
            ServerName::Virtual(statement) => self.objection(server, signs, statement.text(), patch),
            ServerName::AsIs if name.is_empty() => {
                let text = self.unnamed.text().to_vec();
                self.objection(server, signs, &text, patch)
            }
            ServerName::AsIs
            | ServerName::Own(_)
            | ServerName::Missing
            | ServerName::Another
            | ServerName::Unknown => None,
        }
    }

    /// In place of the client's query something is sent that fails.
    pub(in crate::session) fn refuse_query(server: &mut Server, error: ErrorResponse, patch: &mut Patch) {
        frontend::write_query(&mut patch.to_server, REFUSED);
        Session::note_refused(server, Kind::Query, error);
    }

    /// The next message of this kind fails, and this is its error.
    pub(in crate::session) fn note_refused(server: &mut Server, kind: Kind, error: ErrorResponse) {
        server.outstanding.push(Expected { subject: Subject::Refused, ..Expected::theirs(kind) });
        server.refusals.push_back(error);
    }

    /// Whether this client may be pinned, if it is not already: then it has a place until it gives its server
    /// connection back.
    pub(super) fn may_pin(&mut self) -> bool {
        if !self.conduct.admitted {
            self.conduct.admitted = self.rules.pins.reserve(self.id);
        }
        self.conduct.admitted
    }
}

/// No SQL: what the server's log shows in place of a text that was refused.
const REFUSED: &[u8] = b"refused by session_state or max_pinned of Howdah";
