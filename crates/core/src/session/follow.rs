//! The session follows the client from server connection to server connection.

use std::borrow::Cow;
use std::sync::Arc;

use howdah_wire::frontend;
use howdah_wire::sql::{Sign, Signs};

use super::sql_statements::forget_statements;
use super::state::{Asks, Look, Replay, SessionState, share};
use super::{Beginning, Expected, Kind, Parameters, Patch, PinReason, Session, Tracked};
use crate::listen::Channel;
use crate::server::Server;

impl Session {
    /// Client and server connection have been joined: appends what makes the server fit for this client.
    /// It travels before, and in the same write as, the client's first message; but where the client acts as
    /// somebody else than who is logged in, nothing of it is sent before that is settled
    /// ([`Outstanding::is_full`](super::Outstanding::is_full)).
    pub fn join(&mut self, server: &mut Server, to_server: &mut Vec<u8>) {
        self.parameters.fill_from(&server.parameters);
        if self.out_of_step || !same(self.state.as_ref(), server.state.as_ref()) {
            return self.replay(server, to_server);
        }
        let query = self.rules.tracked.set_query(self.parameters.differing(&server.parameters));
        if !query.is_empty() {
            send(server, &query, to_server);
        }
    }

    #[cold]
    fn replay(&mut self, server: &mut Server, to_server: &mut Vec<u8>) {
        self.out_of_step = false;
        let reported = self.rules.tracked.set_query(self.parameters.differing(&server.parameters));
        let replay = Replay::new(server.state.as_deref(), self.state.as_deref(), reported);
        server.state.clone_from(&self.state);
        if replay.query.is_empty() {
            return;
        }
        send(server, &replay.query, to_server);
        if replay.changes_role {
            server.outstanding.stall();
        }
    }

    /// What the settings of its startup packet make of the session; `plain`: what its pool's servers report.
    pub fn begin(&mut self, beginning: &Beginning, plain: &Parameters) {
        self.start.clone_from(&beginning.start);
        self.state.clone_from(&beginning.state);
        self.parameters.clone_from(&beginning.parameters);
        self.parameters.fill_from(plain);
    }

    /// A text with these signs is sent to the server.
    #[cold]
    pub(super) fn raise(&mut self, server: &mut Server, signs: &Signs, text: &[u8]) {
        if !self.rules.follows_state() {
            return;
        }
        let (tracked, parameters) = (&server.tracked, &server.parameters);
        let reported = |name: &str| is_reported(tracked, parameters, name);
        server.doubts.raise(signs, server.lives, reported, text);
        if signs.has(Sign::Prepare) {
            self.prepared_signs.get_or_insert_default().merge(signs);
        }
        if signs.has(Sign::Execute)
            && let Some(prepared) = &self.prepared_signs
        {
            server.doubts.raise(prepared, server.lives, reported, text);
        }
        if signs.has(Sign::Notify) {
            self.notifies();
        }
        if self.rules.always_asks() {
            server.doubts.add(Asks::EVERYTHING, text);
        }
        for (sign, reason) in [(Sign::Seed, PinReason::Seed), (Sign::Load, PinReason::Library)] {
            if signs.has(sign) {
                server.spoiled.get_or_insert(reason);
            }
        }
    }

    /// What statements are analysed under now. While that is in doubt, a statement prepared now is one of its
    /// own.
    pub(super) fn naming(&mut self, server: &Server) -> Cow<'static, [u8]> {
        if server.doubts.about_naming() || server.look.is_some() {
            return self.rules.registry.unlike_any_other().to_vec().into();
        }
        match &self.state {
            None => Cow::Borrowed(b""),
            Some(state) => state.naming().into(),
        }
    }

    /// What has to be sent after a query with these signs so that RESET returns to the client's own start
    /// values. Several statements in one text are corrected when the server has been asked how they went.
    pub(super) fn correction(&self, signs: &Signs, single: bool) -> Vec<u8> {
        let Some(start) = self.start.as_ref().filter(|_| single) else { return Vec::new() };
        let all = signs.has(Sign::ResetAll);
        start.correction(|name| all || signs.names().iter().any(|reset| &**reset == name))
    }

    /// Sends what has to follow the client's last message.
    #[cold]
    pub(super) fn add_postscript(&mut self, server: &mut Server, patch: &mut Patch) {
        server.correct(&std::mem::take(&mut self.postscript), &mut patch.to_server);
    }

    /// Between two replies: whatever Howdah has to ask or to set right by itself.
    #[cold]
    pub(super) fn follow_up(&mut self, server: &mut Server, patch: &mut Patch) {
        if self.is_mid_message() || !server.is_settled() {
            return;
        }
        if !self.postscript.is_empty() {
            return self.add_postscript(server, patch);
        }
        if self.out_of_step {
            return self.replay(server, &mut patch.to_server);
        }
        if server.doubts.is_due() {
            let (state, start) = (self.state.clone(), self.start.clone());
            let state = state.iter().flat_map(|state| state.settings.keys()).map(AsRef::as_ref);
            let start = start.iter().flat_map(|start| &start.settings).map(|(name, _)| name.as_ref());
            server.look(state.chain(start), &mut patch.to_server);
        }
    }

    /// The server has answered what this client's session looks like.
    fn learn(&mut self, server: &Server, look: &Look) {
        self.state.clone_from(&server.state);
        let Some(start) = self.start.clone() else { return };
        let followed = |name: &str| is_reported(&server.tracked, &server.parameters, name);
        let mut wanted = self.state.as_deref().cloned().unwrap_or_default();
        for (name, value) in start.settings.iter().filter(|(name, _)| look.is_reset(name) && !followed(name))
        {
            wanted.settings.insert(name.clone(), value.clone());
        }
        let correction = start.correction(|name| look.is_reset(name) && followed(name));
        if !correction.is_empty() {
            self.postscript = correction;
        }
        let wanted = share(wanted);
        if !same(wanted.as_ref(), self.state.as_ref()) {
            self.out_of_step = true;
            self.state = wanted;
        }
    }
}

/// The answer to a question of Howdah's has ended.
#[cold]
pub(super) fn looked(server: &mut Server, session: Option<&mut Session>) {
    let Some(look) = server.look.take() else { return };
    if look.failed {
        server.doubts.postpone(look.about);
        return;
    }
    let followed = |name: &str| is_reported(&server.tracked, &server.parameters, name);
    let carries_channels = session.as_ref().is_some_and(|session| session.hears_aside());
    let mut found = look.state(server.state.as_deref(), followed, server.login.as_deref());
    if carries_channels && look.about.has(Asks::CHANNELS) {
        found.channels = look.channels.iter().filter_map(|name| Channel::new(name)).collect();
    }
    server.state = share(found);
    for (asks, there) in [
        (Asks::TEMP, look.temp.is_some()),
        (Asks::LOCKS, look.lock.is_some()),
        (Asks::CURSORS, look.cursor.is_some()),
        (Asks::SLOTS, look.slot.is_some()),
        (Asks::CHANNELS, !carries_channels && !look.channels.is_empty()),
    ] {
        if look.about.has(asks) {
            server.lives = if there { server.lives.and(asks) } else { server.lives.without(asks) };
        }
    }
    if let Some(session) = session {
        session.learn(server, &look);
        if look.about.has(Asks::STATEMENTS) {
            session.learn_statements(server, &look);
        }
    } else if look.about.has(Asks::STATEMENTS) {
        forget_statements(server, &look);
    }
}

/// DISCARD ALL has happened. What was in doubt before is known now; what has been sent behind it is not.
#[cold]
pub(super) fn discarded(server: &mut Server, session: Option<&mut Session>) {
    server.state = None;
    server.lives = Asks::default();
    if !server.outstanding.head_is_last_query() {
        return;
    }
    match session {
        // Its own start values have to come back.
        Some(session) if session.start.is_some() => return,
        Some(session) => session.state = None,
        None => {}
    }
    drop(server.doubts.take());
}

/// PostgreSQL tells how this setting is. What is only wished to be followed (`track_extra_parameters`) it may
/// keep to itself.
fn is_reported(tracked: &Tracked, parameters: &Parameters, name: &str) -> bool {
    tracked.index(name).is_some_and(|index| parameters.get(index).is_some())
}

/// Cheap where nothing has changed: the two share one state.
#[inline]
fn same(one: Option<&Arc<SessionState>>, other: Option<&Arc<SessionState>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}

fn send(server: &mut Server, query: &[u8], to_server: &mut Vec<u8>) {
    frontend::write_query(to_server, query);
    server.outstanding.push(Expected::ours(Kind::Query));
    server.unnamed.forget();
}
