//! A client of the admin console.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::SystemTime;

use howdah_core::client::Identity;
use howdah_core::control::{ConsoleNext, ConsoleSession, Outcome, Request, Shutdown};
use howdah_core::facts::CloseReason;
use howdah_core::refusal;

use super::Visit;
use crate::consoles::ConsoleCard;
use crate::control::Control;
use crate::worker::Worker;

impl Visit {
    /// Serves the console until its client leaves, or is told to.
    pub(super) async fn serve_console(&mut self, identity: &Identity) -> CloseReason {
        let worker = Rc::clone(&self.worker);
        let Some(role) = identity.admin else { return CloseReason::LoginRefused };
        let mut session = worker.shared.console.open(&identity.user, role);
        // Nothing runs here that could be cancelled, so nobody is made to find this key.
        let key = worker.shared.cancel_keys.issue(identity.minor, worker.id, 0, |bytes| worker.random(bytes));
        worker.shared.cancel_keys.revoke(key.pid);
        let mut welcome = Vec::new();
        session.welcome(&key, &mut welcome);
        let desk = self.enter(identity);
        let card = &desk.card;
        if worker.settings().log.connections {
            tracing::info!(client = card.id, user = %card.user, peer = %card.peer, "console opened");
        }
        let Err(reason) = self.converse(card, session, welcome).await;
        if card.told_to_end().is_some() {
            self.say(&refusal::ended(reason));
        }
        if worker.settings().log.disconnections {
            tracing::info!(client = card.id, user = %card.user, peer = %card.peer, %reason, "console closed");
        }
        reason
    }

    fn enter(&mut self, identity: &Identity) -> Desk {
        let shared = &self.worker.shared;
        let application_name =
            identity.parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("application_name"));
        let card = ConsoleCard::new(
            shared.next_client(),
            identity.user.clone(),
            self.ends.take().map(|ends| *ends).unwrap_or_default(),
            self.conn.socket.peer_credentials().and_then(|credentials| credentials.pid),
            application_name.map(|(_, value)| value.clone()).unwrap_or_default(),
        );
        self.worker.consoles.enter(&card);
        Desk { worker: Rc::clone(&self.worker), card }
    }

    /// # Errors
    /// Always, at last: why it is over.
    async fn converse(
        &mut self,
        card: &ConsoleCard,
        mut session: Box<dyn ConsoleSession>,
        mut out: Vec<u8>,
    ) -> Result<Infallible, CloseReason> {
        let worker = Rc::clone(&self.worker);
        loop {
            let (eaten, next) = session.on_bytes(&self.conn.held, &mut out);
            self.conn.consume(eaten);
            if let ConsoleNext::Run(request) = next {
                let stopping = request == Request::Shutdown(Shutdown::Immediate);
                card.requested.set(SystemTime::now());
                let outcome = card.unless_ended(Control::of(&worker.shared).run(request)).await?;
                if let Outcome::Failed(why) = &outcome {
                    tracing::warn!(user = %card.user, %why, "console command failed");
                }
                session.finish(outcome, &mut out);
                if stopping {
                    return Err(CloseReason::Shutdown);
                }
                continue;
            }
            let sent = self.conn.send(&worker.outbox, &out);
            out = Vec::new();
            if sent.is_err() || card.unless_ended(self.conn.flush()).await?.is_err() {
                return Err(CloseReason::ClientVanished);
            }
            if next == ConsoleNext::Close {
                return Err(CloseReason::ClientTerminated);
            }
            // Who never stops asking is ended too.
            if let Some(reason) = card.told_to_end() {
                return Err(reason);
            }
            card.unless_ended(self.read_more(MAX_CONSOLE_MESSAGE)).await??;
        }
    }
}

/// A client's presence on the console; ends with the value, in a panic too.
struct Desk {
    worker: Rc<Worker>,
    card: Rc<ConsoleCard>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.worker.consoles.leave(self.card.id);
    }
}

/// The console refuses longer messages by itself.
const MAX_CONSOLE_MESSAGE: usize = 2 * 64 * 1024;
