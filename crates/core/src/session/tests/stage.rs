//! What the engine does with verdicts: several clients, several server connections, bytes in and out.

use std::sync::Arc;
use std::time::Instant;

use super::notation;
use crate::facts::CloseReason;
use crate::pool::PoolKey;
use crate::server::{Cleanup, CleanupStep, Server};
use crate::session::{
    Parameters, Patch, PinLedger, Session, SessionRules, StatementRegistry, Tracked, Verdict, on_server,
};
use crate::settings::{PoolMode, StateRules};

/// Clients and server connections of one pool.
pub(super) struct Stage {
    pub(super) clients: Vec<Client>,
    pub(super) servers: Vec<Backend>,
    /// A client in need gets the first free server connection at once; otherwise it waits for [`Stage::link`].
    pub(super) grants: bool,
    /// What the session need not see goes past it.
    pub(super) past: bool,
}

pub(super) struct Client {
    pub(super) session: Session,
    pub(super) held: Vec<u8>,
    /// What it was sent.
    pub(super) out: Vec<u8>,
    pub(super) server: Option<usize>,
    pub(super) in_line: bool,
    pub(super) left: Option<CloseReason>,
}

pub(super) struct Backend {
    pub(super) server: Server,
    pub(super) held: Vec<u8>,
    /// What it was sent.
    pub(super) out: Vec<u8>,
    pub(super) client: Option<usize>,
    pub(super) cleanup: Option<Cleanup>,
    pub(super) canceled: bool,
    pub(super) closed: Option<CloseReason>,
}

pub(super) fn rules(mode: PoolMode, max_prepared_statements: u32) -> SessionRules {
    let pool = PoolKey { database: "shop".into(), user: "ann".into() };
    SessionRules {
        mode,
        max_prepared_statements,
        max_packet_size: i32::MAX as u32,
        disable_pqexec: false,
        tracked: Arc::new(Tracked::new(&[])),
        registry: Arc::new(StatementRegistry::default()),
        query_timeout: None,
        transaction_timeout: None,
        idle_transaction_timeout: None,
        client_idle_timeout: None,
        state: StateRules::default(),
        pins: Arc::new(PinLedger::new(pool, u32::MAX, |_| {})),
        hints: Arc::default(),
    }
}

impl Stage {
    pub(super) fn new(rules: SessionRules, clients: u64, servers: usize) -> Stage {
        let rules = Arc::new(rules);
        let now = Instant::now();
        let client = |id| Client {
            session: Session::new(id, Arc::clone(&rules), Parameters::new(&rules.tracked), now),
            held: Vec::new(),
            out: Vec::new(),
            server: None,
            in_line: false,
            left: None,
        };
        let backend = |_| Backend {
            server: Server::new(Arc::clone(&rules.tracked), None),
            held: Vec::new(),
            out: Vec::new(),
            client: None,
            cleanup: None,
            canceled: false,
            closed: None,
        };
        Stage {
            clients: (1..=clients).map(client).collect(),
            servers: (0..servers).map(backend).collect(),
            grants: true,
            past: false,
        }
    }

    /// Transaction mode, statements followed.
    pub(super) fn transaction(clients: u64, servers: usize) -> Stage {
        Stage::new(rules(PoolMode::Transaction, 10), clients, servers)
    }

    /// Client `c` sends messages in short notation; what came of it.
    pub(super) fn client(&mut self, c: usize, messages: &str) -> String {
        self.client_bytes(c, &notation::from_client(messages));
        self.report()
    }

    /// Server connection `s` sends messages in short notation; what came of it.
    pub(super) fn server(&mut self, s: usize, messages: &str) -> String {
        self.server_bytes(s, &notation::from_server(messages));
        self.report()
    }

    /// Client `c` goes without a word, or with Terminate.
    pub(super) fn leave(&mut self, c: usize, orderly: bool, reset_query: Option<&str>) -> String {
        self.abandon(c, orderly, reset_query);
        self.report()
    }

    /// A while passes after the client of server connection `s` has left it.
    pub(super) fn insist(&self, s: usize) -> CleanupStep {
        let backend = &self.servers[s];
        backend.cleanup.as_ref().expect("it is being cleaned").insist(&backend.server)
    }

    /// What was sent since the last report, by receiver; and who left.
    pub(super) fn report(&mut self) -> String {
        let mut lines = Vec::new();
        for (s, backend) in self.servers.iter_mut().enumerate() {
            let out = std::mem::take(&mut backend.out);
            if !out.is_empty() {
                lines.push(format!("server {s}: {}", notation::to_server(&out)));
            }
            if std::mem::take(&mut backend.canceled) {
                lines.push(format!("cancel {s}"));
            }
        }
        for (c, client) in self.clients.iter_mut().enumerate() {
            let out = std::mem::take(&mut client.out);
            if !out.is_empty() {
                lines.push(format!("client {c}: {}", notation::to_client(&out)));
            }
        }
        for (s, backend) in self.servers.iter().enumerate() {
            if let Some(reason) = backend.closed {
                lines.push(format!("server {s} closed: {reason}"));
            } else if let Some(c) = backend.client {
                lines.push(format!("{c}-{s}"));
            }
        }
        lines.join(" | ")
    }

    pub(super) fn client_bytes(&mut self, c: usize, bytes: &[u8]) {
        self.clients[c].held.extend_from_slice(bytes);
        self.pump_client(c);
    }

    pub(super) fn server_bytes(&mut self, s: usize, mut bytes: &[u8]) {
        let backend = &mut self.servers[s];
        if self.past
            && let Some(c) = backend.client
        {
            let unseen;
            (unseen, bytes) = bytes.split_at(backend.server.unseen().min(bytes.len()));
            backend.server.pass_unseen(unseen.len());
            self.clients[c].out.extend_from_slice(unseen);
        }
        backend.held.extend_from_slice(bytes);
        self.pump_server(s);
    }

    /// Joins a client in line with a free server connection.
    pub(super) fn link(&mut self, c: usize, s: usize) {
        let (client, backend) = (&mut self.clients[c], &mut self.servers[s]);
        assert!(client.in_line && backend.client.is_none() && backend.cleanup.is_none());
        assert!(backend.server.is_settled() && backend.held.is_empty(), "not fit: {:?}", backend.server);
        client.in_line = false;
        client.server = Some(s);
        backend.client = Some(c);
        client.session.join(&mut backend.server, Instant::now(), &mut backend.out);
        self.pump_client(c);
    }

    pub(super) fn is_free(&self, s: usize) -> bool {
        let backend = &self.servers[s];
        let unused = backend.client.is_none() && backend.cleanup.is_none() && backend.closed.is_none();
        unused && backend.server.is_settled() && backend.held.is_empty()
    }

    fn pump_client(&mut self, c: usize) {
        let mut patch = Patch::default();
        loop {
            patch.clear();
            let client = &mut self.clients[c];
            if client.left.is_some() {
                client.held.clear();
                return;
            }
            let mut server = client.server.map(|s| &mut self.servers[s]);
            let verdict = match &mut server {
                Some(backend) if backend.server.outstanding.is_full() => Verdict::Hold,
                Some(backend) => client.session.on_client(&mut backend.server, &client.held, &mut patch),
                None => client.session.on_idle_client(&client.held, &mut patch),
            };
            if let Verdict::Forward(n) | Verdict::Skip(n) = verdict {
                assert!(n > 0, "no progress");
                let span = client.held.drain(..n);
                if let (Verdict::Forward(_), Some(backend)) = (verdict, &mut server) {
                    backend.out.extend(span);
                }
            }
            client.out.extend_from_slice(&patch.to_client);
            match server {
                Some(backend) => backend.out.extend_from_slice(&patch.to_server),
                None => assert!(patch.to_server.is_empty()),
            }
            match verdict {
                Verdict::Forward(_) | Verdict::Skip(_) => {}
                Verdict::Leave(reason) => {
                    self.abandon(c, reason == CloseReason::ClientTerminated, None);
                    self.clients[c].left = Some(reason);
                    return;
                }
                Verdict::NeedServer => {
                    self.clients[c].in_line = true;
                    match (0..self.servers.len()).find(|&s| self.grants && self.is_free(s)) {
                        Some(s) => return self.link(c, s),
                        None => return,
                    }
                }
                Verdict::Hold => {
                    let client = &mut self.clients[c];
                    assert!(client.held.len() <= Verdict::MAX_HELD);
                    // The listener connection hears of channels at once.
                    if client.session.awaited_channels().is_some() {
                        client.session.channels_heard();
                        continue;
                    }
                    if self.release(c) {
                        continue;
                    }
                    return;
                }
            }
        }
    }

    /// Gives back the server connection of client `c`, if it may be.
    fn release(&mut self, c: usize) -> bool {
        let client = &mut self.clients[c];
        let Some(s) = client.server else { return false };
        let backend = &mut self.servers[s];
        if !backend.held.is_empty() || backend.server.held_by(&client.session).is_some() {
            return false;
        }
        client.session.part(&mut backend.server);
        client.server = None;
        backend.client = None;
        if backend.server.unfit {
            backend.closed = Some(CloseReason::ServerUnclean);
        }
        true
    }

    fn pump_server(&mut self, s: usize) {
        let mut patch = Patch::default();
        loop {
            patch.clear();
            let backend = &mut self.servers[s];
            if backend.closed.is_some() {
                return;
            }
            let mut client = backend.client.map(|c| &mut self.clients[c]);
            let session = client.as_mut().map(|client| &mut client.session);
            let verdict = on_server(&mut backend.server, session, &backend.held, &mut patch);
            if let Verdict::Forward(n) | Verdict::Skip(n) = verdict {
                assert!(n > 0, "no progress");
                let span = backend.held.drain(..n);
                if let (Verdict::Forward(_), Some(client)) = (verdict, &mut client) {
                    client.out.extend(span);
                }
            }
            if let Some(client) = &mut client {
                client.out.extend_from_slice(&patch.to_client);
            }
            backend.out.extend_from_slice(&patch.to_server);
            match verdict {
                Verdict::Forward(_) | Verdict::Skip(_) => {}
                Verdict::NeedServer => panic!("a server that needs a server"),
                Verdict::Hold => break,
                Verdict::Leave(reason) => {
                    backend.closed = Some(reason);
                    if let Some(client) = client {
                        client.left = Some(CloseReason::ServerLost);
                        client.server = None;
                    }
                    backend.client = None;
                    return;
                }
            }
        }
        self.tidy(s);
        if let Some(c) = self.servers[s].client {
            let client = &mut self.clients[c];
            if client.session.is_to_be_heard() {
                client.session.give_ready(&mut client.out);
            }
            self.pump_client(c);
        }
    }

    fn tidy(&mut self, s: usize) {
        let backend = &mut self.servers[s];
        let Some(cleanup) = &mut backend.cleanup else { return };
        if Cleanup::is_due(&backend.server) {
            let step = cleanup.advance(&mut backend.server, &mut backend.out);
            backend.follow(step);
        }
    }

    pub(super) fn abandon(&mut self, c: usize, orderly: bool, reset_query: Option<&str>) {
        let client = &mut self.clients[c];
        client.left = Some(CloseReason::ClientVanished);
        client.in_line = false;
        let Some(s) = client.server.take() else { return };
        let backend = &mut self.servers[s];
        backend.client = None;
        let out = &mut backend.out;
        let (cleanup, step) = Cleanup::begin(&mut backend.server, &client.session, orderly, reset_query, out);
        backend.cleanup = Some(cleanup);
        backend.follow(step);
    }
}

impl Backend {
    fn follow(&mut self, step: CleanupStep) {
        match step {
            CleanupStep::Wait => {}
            CleanupStep::Cancel => self.canceled = true,
            CleanupStep::Fit => self.cleanup = None,
            CleanupStep::Close(reason) => self.closed = Some(reason),
        }
    }
}
