//! The session follows the client from server connection to server connection.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::frontend;
use howdah_wire::sql::{Head, Sign, Signs, StatementNames, Statements};

use super::sql_statements::forget_statements;
use super::state::{Asks, Doubts, Look, Replay, SessionState, from_escaped, share};
use super::{Beginning, Expected, Kind, Parameters, Patch, PinReason, Session, Tracked};
use crate::listen::Channel;
use crate::server::Server;
use crate::settings::{Policy, StateKind};

impl Session {
    /// Client and server connection have been joined: appends what makes the server fit for this client.
    /// It travels before, and in the same write as, the client's first message; but where the client acts as
    /// somebody else than who is logged in, nothing of it is sent before that is settled
    /// ([`Outstanding::is_full`](super::Outstanding::is_full)).
    pub fn join(&mut self, server: &mut Server, now: Instant, to_server: &mut Vec<u8>) {
        self.joined = now;
        self.parameters.fill_from(&server.parameters);
        let returns = server.visitor.replace(self.id) == Some(self.id);
        if self.out_of_step || !same(self.state.as_ref(), server.state.as_ref()) {
            return self.replay(server, returns, to_server);
        }
        if self.start.is_none() && self.parameters.is_shared_with(&server.parameters) {
            return;
        }
        let query = self.set_query(server, &self.parameters, returns);
        if !query.is_empty() {
            send(server, &query, to_server);
        }
    }

    /// Gives the server the reported settings that are `wanted` and that it does not have. What the client has a start
    /// value of is always set, never reset: whatever is not set in the session is what the client has reset.
    /// `returns`: this client was the last here.
    fn set_query(&self, server: &Server, wanted: &Parameters, returns: bool) -> Vec<u8> {
        let tracked = &self.rules.tracked;
        let own = |index, value: &str| server.login_parameters.get(index).is_some_and(|own| **own == *value);
        let Some(start) = self.start.as_deref() else {
            return tracked.set_query(own, wanted.differing(&server.parameters));
        };
        let start_value = |index| tracked.name(index).and_then(|name| start.get(name));
        // The value is there, but perhaps because nothing was set.
        let may_be_unset = |&(index, value): &(usize, &str)| {
            let has = server.parameters.get(index).is_some_and(|has| **has == *value);
            let other = start_value(index).is_some_and(|start| *from_escaped(start) != *value.as_bytes());
            other && has && own(index, value)
        };
        let unset = wanted.iter().filter(|known| !returns && may_be_unset(known));
        tracked.set_query(
            |index, value| own(index, value) && start_value(index).is_none(),
            wanted.differing(&server.parameters).chain(unset),
        )
    }

    #[cold]
    fn replay(&mut self, server: &mut Server, returns: bool, to_server: &mut Vec<u8>) {
        let corrects = std::mem::take(&mut self.out_of_step);
        let wanted = self.wanted_parameters();
        let reported = self.set_query(server, wanted, returns);
        let replay = Replay::new(server.state.as_deref(), self.state.as_deref(), reported);
        server.state.clone_from(&self.state);
        if self.leaves_names() {
            server.spoil(PinReason::CustomParameter, b"startup packet");
        }
        if replay.query.is_empty() {
            return;
        }
        server.tally.state_replays += 1;
        if corrects {
            server.correct(&replay.query, to_server);
        } else {
            send(server, &replay.query, to_server);
        }
        if replay.changes_role {
            server.outstanding.stall();
        }
    }

    /// What the settings of its startup packet make of the session; `plain`: what its pool's servers report.
    pub fn begin(&mut self, beginning: &Beginning, plain: &Parameters) {
        self.start.clone_from(&beginning.start);
        self.state.clone_from(&beginning.state);
        self.began.clone_from(&beginning.state);
        self.parameters.clone_from(&beginning.parameters);
        self.parameters.fill_from(plain);
        self.keep_beginning();
    }

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
        let reported = |name: &str| !kept && is_reported(tracked, parameters, name);
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

    /// What decides the meaning of a statement that is prepared now: where its names lead and how its literals
    /// are read. While that cannot be told, the statement is like no other.
    pub(super) fn meaning(&self, server: &Server) -> Vec<u8> {
        let mut meaning = Vec::new();
        if server.doubts.is_unknown() || server.look.is_some() || server.meaning_trail.len() > LONGEST_TRAIL {
            meaning.extend_from_slice(&self.rules.registry.unlike_any_other());
            return meaning;
        }
        self.parameters.write_meaning(&mut meaning);
        if let Some(state) = &server.state {
            state.write_meaning(&mut meaning);
        }
        meaning.extend_from_slice(&server.meaning_trail);
        meaning
    }

    /// A text is sent that may take back some of what was said about the meaning of statements.
    #[cold]
    pub(super) fn doubt_trail(server: &mut Server, text: &[u8]) {
        if Statements::of(text).any(|head| matches!(head, Head::Rollback | Head::RollbackTo)) {
            server.meaning_trail.resize(LONGEST_TRAIL + 1, 0);
        }
    }

    /// A text changes what statements mean, perhaps for its transaction only; `values`: those bound to it.
    pub(super) fn leave_trail(&self, server: &mut Server, text: &[u8], values: &[u8]) {
        for part in [text, values] {
            let room = (LONGEST_TRAIL + 1).saturating_sub(server.meaning_trail.len());
            server.meaning_trail.extend_from_slice(part.get(..part.len().min(room)).unwrap_or_default());
            server.meaning_trail.push(0);
        }
    }

    /// What has to be sent after a text with these signs so that RESET returns to the client's own start values:
    /// it shares the fate of the RESET. `None`: it cannot be told before the server has been asked what happened, as
    /// with several statements in one text, or what a function does.
    pub(super) fn correction(&self, signs: &Signs, text: &[u8]) -> Option<Vec<u8>> {
        let resets = [Sign::Reset, Sign::ResetAll, Sign::RoleReset].into_iter().any(|sign| signs.has(sign));
        let mut statements = Statements::of(text);
        let says_so = matches!(statements.next(), Some(Head::Set | Head::Reset | Head::Discard));
        if !resets || !says_so || statements.next().is_some() {
            return None;
        }
        let Some(start) = self.start.as_ref() else { return Some(Vec::new()) };
        let all = signs.has(Sign::ResetAll);
        let role = self.began.as_ref().and_then(|began| began.role.as_deref());
        Some(start.correction(
            |name| all || signs.resets().iter().any(|reset| &**reset == name),
            role.filter(|_| signs.has(Sign::RoleReset)),
        ))
    }

    /// It has the role again that it began with in a moment.
    pub(super) fn regains_role(&self) -> bool {
        self.resets_role && self.began.as_ref().is_some_and(|began| began.role.is_some())
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

    /// Something of this client's may have been reset that is to have the client's own start value: on a direct
    /// connection that is so, and told, before ReadyForQuery.
    #[cold]
    pub(super) fn must_be_set_right(&self, server: &Server) -> bool {
        let asks = self.is_behind() || self.may_be_reset(server);
        server.outstanding.head_corrects()
            || server.look.is_some()
            || asks && server.is_settled() && !self.is_mid_message()
    }

    /// The server is about to be asked whether something was reset that the client has a start value of.
    fn may_be_reset(&self, server: &Server) -> bool {
        let role = self.resets_role && server.doubts.has(Asks::ROLE);
        self.start.is_some() && server.doubts.is_due() && (role || server.doubts.has(Asks::SETTINGS))
    }

    /// The client is told that it is ready once it is.
    #[cold]
    pub(super) fn give_awaited_ready(&mut self, server: &Server, patch: &mut Patch) {
        if self.must_be_set_right(server) {
            return;
        }
        self.ready_awaits = false;
        let status = server.outstanding.status();
        if status != TransactionStatus::Idle || !self.withholds(server) {
            backend::write_ready_for_query(&mut patch.to_client, status);
        }
    }

    /// The server has answered what this client's session looks like.
    fn learn(&mut self, server: &Server, look: &Look) {
        let before = self.state.clone();
        self.state = match self.carried(server.state.as_deref()) {
            None => server.state.clone(),
            Some(carried) => share(carried),
        };
        let Some(start) = self.start.clone() else { return };
        let followed = |name: &str| is_reported(&server.tracked, &server.parameters, name);
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
    let followed = |name: &str| is_reported(&server.tracked, &server.parameters, name);
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
        if look.about.has(Asks::STATEMENTS) {
            session.learn_statements(server, &look);
        }
        session.judge(server, &look, patch);
    } else if look.about.has(Asks::STATEMENTS) {
        forget_statements(server, &look);
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
        Some(session) => session.state = None,
        None => {}
    }
    drop(server.doubts.take());
    server.change = None;
    server.meaning_trail.clear();
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

/// How much of what was said about the meaning of statements in a transaction is kept, to tell statements
/// apart that are prepared there.
const LONGEST_TRAIL: usize = 1024;
