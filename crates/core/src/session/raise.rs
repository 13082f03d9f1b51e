//! A text goes to the server: what of the session may it change?
//!
//! That is noted as [`Doubts`] and asked about when the transaction has ended; what cannot be asked about, or
//! undone, spoils the server connection.

use howdah_wire::sql::{Sign, Signs, StatementNames};

use super::{Asks, Doubts, PinReason, Session};
use crate::server::Server;
use crate::settings::{Policy, StateKind};

impl Session {
    /// A text with these signs is sent to the server.
    #[cold]
    pub(super) fn raise(&mut self, server: &mut Server, signs: &Signs, text: &[u8]) {
        self.raise_signs(server, signs, text);
        if self.rules.follows_state() {
            server.doubts.note_resets(signs, text);
        } else if self.start.is_some() && Doubts::speaks_of_reset(signs, text) {
            server.doubts.add(Asks::SETTINGS.and(Asks::ROLE), text);
            server.doubts.note_resets(signs, text);
        }
    }

    /// The same; what it resets that has a start value has that again by a [`correction`](Session::correction).
    #[cold]
    pub(super) fn raise_corrected(&mut self, server: &mut Server, signs: &Signs, text: &[u8]) {
        self.raise_signs(server, signs, text);
        if self.rules.follows_state() {
            let state = self.state.as_deref();
            let known = state.iter().flat_map(|state| state.settings.keys()).map(AsRef::as_ref);
            let start = self.start.as_deref();
            server
                .doubts
                .note_corrected(signs, known, |name| start.is_some_and(|start| start.get(name).is_some()));
        }
    }

    fn raise_signs(&mut self, server: &mut Server, signs: &Signs, text: &[u8]) {
        if signs.has(Sign::Role) {
            self.resets_role = signs.has(Sign::RoleReset);
        }
        if !self.rules.follows_state() {
            return;
        }
        let (tracked, parameters) = (&server.tracked, &server.parameters);
        let kept = self.minds_reports();
        let reported = |name: &str| !kept && parameters.reports(tracked, name);
        // What is being asked about may turn out to live there, and end by this very text.
        let asked = server.look.as_ref().map_or(Asks::default(), |look| look.about.asked());
        let lives = server.lives.and(asked);
        server.doubts.raise(signs, lives, reported, text);
        if signs.has(Sign::Schema) {
            // Made here, it may be called here before anybody knows what it does.
            server.doubts.add(Asks::EVERYTHING, text);
            if self.rules.uses_hints() {
                server.change.get_or_insert_with(|| self.rules.hints.change()).by(text);
            }
        }
        if signs.has(Sign::Prepare) {
            self.prepared_signs.get_or_insert_default().merge(signs);
        }
        let executed = self.executed(signs, text);
        if let Some(executed) = &executed {
            server.doubts.raise(executed, lives, reported, text);
            server.doubts.note_resets(executed, text);
            if executed.has(Sign::Meaning) {
                server.doubts.set_unknown();
            }
        }
        for signs in [Some(signs), executed.as_ref()].into_iter().flatten() {
            if signs.has(Sign::CustomName) {
                self.hear(signs.names().iter().map(AsRef::as_ref));
            }
        }
        let has = |sign| signs.has(sign) || executed.as_ref().is_some_and(|executed| executed.has(sign));
        if has(Sign::Notify) || has(Sign::Opaque) {
            self.notifies();
        }
        if signs.has(Sign::Meaning) {
            self.leave_trail(server, text, b"");
        }
        if self.rules.always_asks() {
            server.doubts.add(Asks::EVERYTHING, text);
            server.doubts.add_custom(text);
            server.doubts.set_unknown();
        }
        if has(Sign::NameComputed) {
            // It may be a custom parameter's, and no list of PostgreSQL's has these.
            server.spoil(PinReason::CustomParameter, text);
        }
        for (sign, kind) in [(Sign::Seed, StateKind::Seed), (Sign::Load, StateKind::Libraries)] {
            if has(sign) && self.rules.state.policy.of(kind) == Policy::Warn {
                server.unfit = true;
            } else if has(sign) {
                server.spoil(PinReason::of(kind), text);
            }
        }
    }

    /// What the statements do that a text with these signs executes by name.
    pub(super) fn executed(&self, signs: &Signs, text: &[u8]) -> Option<Signs> {
        if !signs.has(Sign::Execute) {
            return None;
        }
        let mut all = self.prepared_signs.as_deref().cloned().unwrap_or_default();
        for named in StatementNames::of(text) {
            let statement = self.statements.as_ref().and_then(|statements| statements.resolve(&named.name));
            if let Some(signs) = statement.and_then(|(statement, _)| self.signs_of(statement)) {
                all.merge(&signs);
            }
        }
        if all.has(Sign::Execute) {
            // Nobody follows that any further.
            all.merge(&Signs::unseen());
        }
        Some(all)
    }

    /// A statement of the extended protocol with these signs is bound to a portal: what has to follow its Execute.
    /// Those of the portals with a name may come in any order.
    pub(super) fn raise_bound(
        &mut self,
        server: &mut Server,
        portal: &[u8],
        signs: &Signs,
        text: &[u8],
    ) -> Vec<u8> {
        if let Some(correction) = self.correction(signs, text).filter(|_| portal.is_empty()) {
            self.raise_corrected(server, signs, text);
            return correction;
        }
        self.raise(server, signs, text);
        Vec::new()
    }

    /// Something of this client's has been reset, says the server. Where nobody has read the text, it is asked
    /// what; the client's own start values are not the server's.
    #[cold]
    pub(super) fn was_reset(&self, server: &mut Server) {
        if self.start.is_some() && !self.rules.follows_state() && !server.outstanding.is_correcting() {
            server.doubts.add(Asks::SETTINGS.and(Asks::ROLE), b"RESET");
            server.doubts.set_reset();
        }
    }
}
