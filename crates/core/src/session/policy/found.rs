//! After the server has said what its session looks like: what is to be done about what is there?

use super::kinds::is_custom;
use crate::server::Server;
use crate::session::state::Look;
use crate::session::{Asks, Patch, PinReason, Session, SessionState};
use crate::settings::{Policy, StateKind};

impl Session {
    /// What of the session the client has now, if this is the server's.
    pub(in crate::session) fn carried(&self, found: Option<&SessionState>) -> Option<SessionState> {
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
    pub(in crate::session) fn judge(&mut self, server: &mut Server, look: &Look, patch: &mut Patch) {
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
        if server.lives.has(Asks::PRIVILEGED) {
            if policy.of(StateKind::Settings) == Policy::Warn {
                server.lives = server.lives.without(Asks::PRIVILEGED);
                server.unfit = true;
            }
            let name = look.privileged.as_deref();
            server.note_cause(PinReason::SettingUncarried, name, look.about.cause());
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
        let closes = self.rules.state.policy.of(StateKind::Custom) == Policy::Close;
        let custom =
            changed().any(|(name, _)| is_custom(name)) || closes && look.bare_names().next().is_some();
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

/// How what is lost is swept out of a server connection.
const SWEEPS: [(Asks, &str); 4] = [
    (Asks::TEMP, "DISCARD TEMP"),
    (Asks::LOCKS, "SELECT pg_catalog.pg_advisory_unlock_all()"),
    (Asks::CURSORS, "CLOSE ALL"),
    (Asks::CHANNELS, "UNLISTEN *"),
];

/// What is not lying about on a server connection but corrected when the next client comes.
const CARRIED: Asks = Asks::SETTINGS.and(Asks::ROLE).and(Asks::STATEMENTS);
