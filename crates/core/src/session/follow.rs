//! The session follows the client from server connection to server connection: what each is given before it serves
//! the client.

use std::time::Instant;

use super::state::{Replay, from_escaped, same};
use super::{Beginning, Parameters, PinReason, Session, Subject};
use crate::server::Server;

impl Session {
    /// Client and server connection have been joined: appends what makes the server fit for this client.
    /// It travels before, and in the same write as, the client's first message; but where the client acts as
    /// somebody else than who is logged in, nothing of it is sent before that is settled
    /// ([`Outstanding::is_full`](super::Outstanding::is_full)).
    pub fn join(&mut self, server: &mut Server, now: Instant, to_server: &mut Vec<u8>) {
        self.joined = now;
        self.parameters.fill_from(&server.parameters);
        let returns = server.visitor.replace(self.id) == Some(self.id);
        self.bring(server, returns, to_server);
        if !self.heard.is_empty() && self.rules.follows_state() {
            self.repeat_names(server, to_server);
        }
    }

    /// Appends what the server connection lacks of the client's session.
    fn bring(&mut self, server: &mut Server, returns: bool, to_server: &mut Vec<u8>) {
        if self.out_of_step || !same(self.state.as_ref(), server.state.as_ref()) {
            return self.replay(server, returns, to_server);
        }
        if self.starts_stand && self.parameters.is_shared_with(&server.parameters) {
            return;
        }
        let start = self.start.as_deref();
        self.starts_stand =
            start.is_none_or(|start| self.parameters.have_values_of(start, &self.rules.tracked));
        let query = self.set_query(server, &self.parameters, returns);
        if !query.is_empty() {
            server.query(Subject::None, &query, to_server);
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
            let other = |start| *from_escaped(start) != *value.as_bytes();
            has && own(index, value) && start_value(index).is_some_and(other)
        };
        let unset = wanted.iter().filter(|known| !returns && may_be_unset(known));
        tracked.set_query(
            |index, value| own(index, value) && start_value(index).is_none(),
            wanted.differing(&server.parameters).chain(unset),
        )
    }

    #[cold]
    pub(super) fn replay(&mut self, server: &mut Server, returns: bool, to_server: &mut Vec<u8>) {
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
        let subject = if corrects { Subject::Correction } else { Subject::None };
        server.query(subject, &replay.query, to_server);
        if replay.changes_role {
            server.outstanding.stall();
        }
    }

    /// What the settings of its startup packet make of the session; `plain`: what its pool's servers report.
    pub fn begin(&mut self, beginning: &Beginning, plain: &Parameters) {
        self.start.clone_from(&beginning.start);
        self.starts_stand = beginning.starts_stand;
        self.state.clone_from(&beginning.state);
        self.began.clone_from(&beginning.state);
        self.parameters.clone_from(&beginning.parameters);
        self.parameters.fill_from(plain);
        // It may have begun with nothing while its settings were tried.
        self.forget_beginning();
        self.keep_beginning();
    }
}
