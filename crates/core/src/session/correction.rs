//! RESET returns to the client's own start values, and not to those that its server connection began with.
//!
//! Where the text tells what is reset, what gives it the client's value again follows in the same send; where it does
//! not, the server is asked first. Either way the client is told that it is ready when it has its own (`ready`).

use howdah_wire::sql::{Head, Sign, Signs, Statements};

use super::{Patch, Session, Subject};
use crate::server::Server;

impl Session {
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

    /// Sends what has to follow the client's last message.
    #[cold]
    pub(super) fn add_postscript(&mut self, server: &mut Server, patch: &mut Patch) {
        let query = std::mem::take(&mut self.postscript);
        server.query(Subject::Correction, &query, &mut patch.to_server);
    }
}
