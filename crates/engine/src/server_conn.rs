//! A server connection: its socket and what is known of it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use howdah_core::facts::{Address, CloseReason};
use howdah_core::pool::{Guise, ServerId, WorkerId};
use howdah_core::server::Server;
use howdah_core::session::{Patch, Verdict, on_server};
use howdah_wire::frontend;

use crate::conn::Conn;
use crate::net::{Endpoint, Ends};
use crate::outbox::Outbox;

/// A server connection that is logged in. Whoever holds the box is the one who uses it.
#[derive(Debug)]
pub(crate) struct ServerConn {
    pub(crate) id: ServerId,
    pub(crate) conn: Conn,
    pub(crate) server: Server,
    pub(crate) card: Arc<ServerCard>,
    /// What its session looks like, as the pools know it.
    pub(crate) guise: Guise,
    /// The worker whose reactor its socket is registered with.
    pub(crate) worker: WorkerId,
}

/// What SHOW SERVERS tells of a server connection, whoever holds it.
#[derive(Debug)]
pub(crate) struct ServerCard {
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: Address,
    pub(crate) local: Address,
    pub(crate) connected: SystemTime,
    opened: Instant,
    pub(crate) backend_pid: u32,
    /// The client it is linked to; 0: none.
    pub(crate) link: AtomicU64,
    /// The number of the client that had it last, or has it; 0: none had.
    pub(crate) holder: AtomicU32,
    /// When it was last given to a client, in microseconds since it was opened.
    requested: AtomicU64,
    pub(crate) prepared_statements: AtomicU32,
    application_name: Mutex<Arc<str>>,
}

impl ServerConn {
    /// Reads and judges what has come from a server that was asked nothing: parameter changes, notices, a
    /// goodbye. Returns why it cannot be used any more, if that is so.
    pub(crate) fn read_unasked(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> Option<CloseReason> {
        loop {
            match self.conn.poll_fill(cx, scratch, Verdict::MAX_HELD) {
                Poll::Pending => return None,
                Poll::Ready(Ok(0) | Err(_)) => return Some(CloseReason::ServerClosed),
                Poll::Ready(Ok(_)) => {}
            }
            if let Some(reason) = self.swallow() {
                return Some(reason);
            }
        }
    }

    /// Deals with the bytes held when no client is there to get them. Returns why it cannot be used any more.
    pub(crate) fn swallow(&mut self) -> Option<CloseReason> {
        let mut patch = Patch::default();
        let mut done = 0;
        let reason = loop {
            let left = self.conn.held.get(done..).unwrap_or_default();
            match on_server(&mut self.server, None, left, &mut patch) {
                Verdict::Skip(n) | Verdict::Forward(n) => done += n,
                Verdict::Leave(reason) => break Some(reason),
                Verdict::Hold | Verdict::NeedServer => break None,
            }
        };
        // Together: what somebody left behind may be thousands of small rows at a time.
        self.conn.consume(done);
        reason
    }

    /// Part of a message has come and the rest is still to come.
    pub(crate) fn is_mid_word(&self) -> bool {
        !self.conn.held.is_empty() || self.server.is_mid_reply()
    }

    /// Brings the card up to date; called when the connection changes hands.
    pub(crate) fn note_facts(&self) {
        let prepared = u32::try_from(self.server.statements.len()).unwrap_or(u32::MAX);
        self.card.prepared_statements.store(prepared, Ordering::Relaxed);
        self.card.link.store(0, Ordering::Relaxed);
        let index = self.server.tracked.application_name();
        if let Some(name) = self.server.parameters.get(index) {
            let mut noted = self.card.application_name.lock().unwrap_or_else(PoisonError::into_inner);
            if !Arc::ptr_eq(&noted, name) {
                noted.clone_from(name);
            }
        }
    }

    /// Makes it the calling worker's.
    ///
    /// # Errors
    /// The reactor does not take its socket; the connection is closed.
    pub(crate) fn rehome(self: Box<Self>, worker: WorkerId) -> std::io::Result<Box<ServerConn>> {
        let mut this = *self;
        this.conn.socket = this.conn.socket.rehome()?;
        this.worker = worker;
        Ok(Box::new(this))
    }

    /// Says goodbye, as far as that goes without waiting. Not in the middle of something: there the goodbye could
    /// become the end of a message whose beginning came from a client that has vanished.
    pub(crate) fn close(mut self, reason: CloseReason, outbox: &Outbox) {
        tracing::debug!(server = self.id.0, pid = self.card.backend_pid, %reason, "closing server connection");
        if !self.server.is_settled() {
            return;
        }
        let mut goodbye = Vec::new();
        frontend::write_terminate(&mut goodbye);
        // A server that does not take the goodbye notices the end of the connection instead.
        let _ = self.conn.send(outbox, &goodbye);
    }
}

impl ServerCard {
    pub(crate) fn new(endpoint: Endpoint, ends: Ends, backend_pid: u32, now: Instant) -> ServerCard {
        ServerCard {
            endpoint,
            peer: ends.peer,
            local: ends.local,
            connected: SystemTime::now(),
            opened: now,
            backend_pid,
            link: AtomicU64::new(0),
            holder: AtomicU32::new(0),
            requested: AtomicU64::new(0),
            prepared_statements: AtomicU32::new(0),
            application_name: Mutex::new("".into()),
        }
    }

    pub(crate) fn note_request(&self, now: Instant) {
        let age = now.saturating_duration_since(self.opened).as_micros();
        self.requested.store(u64::try_from(age).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn requested(&self) -> SystemTime {
        self.connected + Duration::from_micros(self.requested.load(Ordering::Relaxed))
    }

    pub(crate) fn application_name(&self) -> String {
        self.application_name.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    }
}
