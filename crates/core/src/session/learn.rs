//! The server is asked what its session looks like, and answers, or says that it has thrown all of it away: who has
//! what now?

use std::collections::BTreeSet;

use super::state::{Look, same, share};
use super::{Asks, Patch, Session};
use crate::listen::Channel;
use crate::server::Server;

impl Session {
    /// Between two replies: whatever Howdah has to ask or to set right by itself.
    #[cold]
    pub(super) fn follow_up(&mut self, server: &mut Server, patch: &mut Patch) {
        if self.is_mid_message() || !server.is_settled() {
            return;
        }
        if self.is_behind() {
            // All of it at once: the client may speak again before it is answered.
            if !self.postscript.is_empty() {
                self.add_postscript(server, patch);
            }
            if self.out_of_step {
                // It is still here: that it wants what the server has does not tell of anything unset.
                self.replay(server, true, &mut patch.to_server);
            }
            return;
        }
        if server.doubts.is_due() {
            let (state, start) = (self.state.clone(), self.start.clone());
            let state = state.iter().flat_map(|state| state.settings.keys()).map(AsRef::as_ref);
            let start = start.iter().flat_map(|start| &start.settings).map(|(name, _)| name.as_ref());
            let may_reset = self.may_be_reset(server);
            server.look(state.chain(start), &mut patch.to_server);
            if may_reset {
                // What the client says next is said under its own settings.
                server.outstanding.stall();
            }
        }
    }

    /// The server has answered what this client's session looks like.
    fn learn(&mut self, server: &Server, look: &Look) {
        let before = self.state.clone();
        self.state = match self.carried(server.state.as_deref()) {
            None => server.state.clone(),
            Some(carried) => share(carried),
        };
        if !same(before.as_ref(), self.state.as_ref()) {
            self.retry_names();
        }
        let Some(start) = self.start.clone() else { return };
        let followed = |name: &str| server.parameters.reports(&server.tracked, name);
        // Empty before and empty after something was taken back: it was the RESET.
        let is_untouched = |name: &str| {
            let was = before.as_ref().and_then(|state| state.settings.get(name));
            let was_empty = !self.rules.follows_state() || was.is_some_and(|was| was.is_empty());
            look.about.is_undone() && was_empty
        };
        // A custom parameter that has been reset is like one that was set to nothing.
        let is_reset = |name: &str| {
            look.is_reset(name) && (!name.contains('.') || look.about.may_reset(name) && !is_untouched(name))
        };
        let mut wanted = self.state.as_deref().cloned().unwrap_or_default();
        for (name, value) in start.settings.iter().filter(|(name, _)| is_reset(name) && !followed(name)) {
            wanted.settings.insert(name.clone(), value.clone());
        }
        let correction = start.correction(|name| is_reset(name) && followed(name), None);
        if !correction.is_empty() {
            self.postscript = correction;
        }
        if look.about.has(Asks::ROLE)
            && std::mem::take(&mut self.resets_role)
            && wanted.role.is_none()
            && let Some(began) = self.began.as_deref().filter(|began| began.role.is_some())
        {
            (wanted.role, wanted.superuser) = (began.role.clone(), began.superuser);
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
pub(super) fn looked(server: &mut Server, session: Option<&mut Session>, patch: &mut Patch) {
    let Some(look) = server.look.take() else { return };
    server.meaning_trail.clear();
    if look.failed {
        server.doubts.postpone(look.about);
        return;
    }
    let followed = |name: &str| server.parameters.reports(&server.tracked, name);
    let carries_channels = session.as_ref().is_some_and(|session| session.hears_aside());
    let mut found = look.state(server.state.as_deref(), followed, server.login.as_deref());
    let mut others_live = false;
    if look.about.has(Asks::CHANNELS) {
        let mut listened: BTreeSet<_> = look.channels.iter().filter_map(|name| Channel::new(name)).collect();
        if !carries_channels {
            let all = listened.len();
            listened.retain(|channel| found.channels.contains(channel));
            others_live = listened.len() < all;
        }
        found.channels = listened;
    }
    server.state = share(found);
    // What has been sent since may be another one.
    if server.doubts.is_none() {
        server.change = None;
    }
    for (asks, there) in [
        (Asks::TEMP, look.temp.is_some()),
        (Asks::LOCKS, look.lock.is_some()),
        (Asks::CURSORS, look.cursor.is_some()),
        (Asks::SLOTS, look.slot.is_some()),
        (Asks::CHANNELS, others_live),
    ] {
        if look.about.has(asks) {
            server.lives = if there { server.lives.and(asks) } else { server.lives.without(asks) };
        }
    }
    if look.about.has(Asks::SETTINGS.and(Asks::ROLE)) {
        let superuser = server.state.as_ref().is_some_and(|state| state.superuser);
        let there = look.privileged.is_some() && !superuser;
        let (lives, asks) = (server.lives, Asks::PRIVILEGED);
        server.lives = if there { lives.and(asks) } else { lives.without(asks) };
    }
    if let Some(session) = session {
        session.learn(server, &look);
        session.hear_answer(server, &look);
        if look.about.has(Asks::STATEMENTS) {
            session.learn_statements(server, &look);
        }
        session.judge(server, &look, patch);
    } else if look.about.has(Asks::STATEMENTS) {
        server.sql.disown(&look);
    }
}

/// DISCARD ALL has happened. What was in doubt before is known now; what has been sent behind it is not.
#[cold]
pub(super) fn discarded(server: &mut Server, session: Option<&mut Session>) {
    server.state = None;
    server.lives = Asks::default();
    server.forget_causes();
    if !server.outstanding.head_is_last_query() {
        return;
    }
    match session {
        // Its own start values have to come back.
        Some(session) if session.start.is_some() => return,
        Some(session) => {
            session.hear_discarded(&server.doubts);
            session.state = None;
        }
        None => {}
    }
    drop(server.doubts.take());
    server.change = None;
    server.meaning_trail.clear();
}
