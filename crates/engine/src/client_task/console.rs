//! A client of the admin console.

use std::rc::Rc;

use howdah_core::client::Identity;
use howdah_core::control::{ConsoleNext, Outcome, Request, Shutdown};
use howdah_core::facts::CloseReason;

use super::Visit;
use crate::control::Control;

impl Visit {
    /// Serves the console until its client leaves.
    pub(super) async fn serve_console(&mut self, identity: &Identity) -> CloseReason {
        let worker = Rc::clone(&self.worker);
        let Some(role) = identity.admin else { return CloseReason::LoginRefused };
        let mut session = worker.shared.console.open(&identity.user, role);
        // Nothing runs here that could be cancelled, so nobody is made to find this key.
        let key = worker.shared.cancel_keys.issue(identity.minor, worker.id, 0, &worker.shared.random);
        worker.shared.cancel_keys.revoke(key.pid);
        let mut out = Vec::new();
        session.welcome(&key, &mut out);
        tracing::info!(user = %identity.user, "console opened");
        loop {
            let (eaten, next) = session.on_bytes(&self.conn.held, &mut out);
            self.conn.consume(eaten);
            if let ConsoleNext::Run(request) = next {
                let stopping = request == Request::Shutdown(Shutdown::Immediate);
                let outcome = Control::of(&worker.shared).run(request).await;
                if let Outcome::Failed(why) = &outcome {
                    tracing::warn!(user = %identity.user, %why, "console command failed");
                }
                session.finish(outcome, &mut out);
                if stopping {
                    return CloseReason::Shutdown;
                }
                continue;
            }
            let sent = self.conn.send(&worker.outbox, &out);
            out = Vec::new();
            if sent.is_err() || self.conn.flush().await.is_err() {
                return CloseReason::ClientVanished;
            }
            if next == ConsoleNext::Close {
                return CloseReason::ClientTerminated;
            }
            if let Err(reason) = self.read_more(MAX_CONSOLE_MESSAGE).await {
                return reason;
            }
        }
    }
}

/// The console refuses longer messages by itself.
const MAX_CONSOLE_MESSAGE: usize = 2 * 64 * 1024;
