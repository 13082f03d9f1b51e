//! One client, one server connection, the same question again and again.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use howdah_core::facts::Counters;
use howdah_core::pool::PoolKey;
use howdah_core::server::Server;
use howdah_core::session::{
    Parameters, Patch, PinLedger, Session, SessionRules, StatementRegistry, Tracked, Verdict, on_server,
};
use howdah_core::settings::{PoolMode, StateRules};
use howdah_wire::backend::{self, Column, TransactionStatus};
use howdah_wire::frontend::{self, TargetKind};

/// The machines, and what goes through them.
pub(crate) struct Relay {
    session: Session,
    server: Server,
    counters: Counters,
    patch: Patch,
    /// What would have been sent.
    sent: Vec<u8>,
    request: Vec<u8>,
    reply: Vec<u8>,
    now: Instant,
}

impl Relay {
    fn new(request: Vec<u8>, reply: Vec<u8>, now: Instant) -> Relay {
        let tracked = Arc::new(Tracked::new(&[]));
        let pool = PoolKey { database: "shop".into(), user: "ann".into() };
        let rules = Arc::new(SessionRules {
            mode: PoolMode::Transaction,
            max_prepared_statements: 200,
            max_packet_size: i32::MAX.cast_unsigned(),
            disable_pqexec: false,
            tracked: Arc::clone(&tracked),
            registry: Arc::new(StatementRegistry::default()),
            query_timeout: None,
            transaction_timeout: None,
            idle_transaction_timeout: None,
            client_idle_timeout: None,
            state: StateRules::default(),
            pins: Arc::new(PinLedger::new(pool, u32::MAX, |_| {})),
            hints: Arc::default(),
        });
        let mut parameters = Parameters::new(&tracked);
        let mut server = Server::new(Arc::clone(&tracked), None);
        for (name, value) in [("client_encoding", "UTF8"), ("TimeZone", "UTC"), ("DateStyle", "ISO, MDY")] {
            let index = tracked.index(name).expect("one that always follows the client");
            parameters.set(index, value);
            server.parameters.set(index, value);
        }
        let session = Session::new(1, rules, parameters, now);
        let (counters, patch, sent) = (Counters::default(), Patch::default(), Vec::new());
        Relay { session, server, counters, patch, sent, request, reply, now }
    }

    /// A simple query with so many rows.
    pub(crate) fn simple(rows: usize, now: Instant) -> Relay {
        let mut request = Vec::new();
        frontend::write_query(&mut request, b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;");
        let mut reply = Vec::new();
        backend::write_row_description(&mut reply, &[Column::int4("abalance")]);
        for _ in 0..rows {
            backend::write_data_row(&mut reply, [Some(&[b'7'; 50][..])]);
        }
        end(&mut reply);
        Relay::new(request, reply, now)
    }

    /// The unnamed statement, parsed each time.
    pub(crate) fn extended(now: Instant) -> Relay {
        let mut request = Vec::new();
        frontend::write_parse(&mut request, b"", TEXT, &[]);
        bind(&mut request, b"");
        frontend::write_describe(&mut request, TargetKind::Portal, b"");
        frontend::write_execute(&mut request, b"", 0);
        frontend::write_sync(&mut request);
        let mut reply = Vec::new();
        backend::write_parse_complete(&mut reply);
        backend::write_bind_complete(&mut reply);
        backend::write_row_description(&mut reply, &[Column::int4("abalance")]);
        backend::write_data_row(&mut reply, [Some(&b"7"[..])]);
        end(&mut reply);
        Relay::new(request, reply, now)
    }

    /// A statement that client and server connection know already.
    pub(crate) fn prepared(now: Instant) -> Relay {
        let (mut parse, mut parsed) = (Vec::new(), Vec::new());
        frontend::write_parse(&mut parse, b"P_1", TEXT, &[]);
        frontend::write_sync(&mut parse);
        backend::write_parse_complete(&mut parsed);
        backend::write_ready_for_query(&mut parsed, TransactionStatus::Idle);
        let mut relay = Relay::new(parse, parsed, now);
        relay.turn();
        relay.request.clear();
        bind(&mut relay.request, b"P_1");
        frontend::write_execute(&mut relay.request, b"", 0);
        frontend::write_sync(&mut relay.request);
        relay.reply.clear();
        backend::write_bind_complete(&mut relay.reply);
        backend::write_data_row(&mut relay.reply, [Some(&b"7"[..])]);
        end(&mut relay.reply);
        relay
    }

    /// Question and answer, from and back to a client without a server connection.
    pub(crate) fn turn(&mut self) {
        let verdict = self.session.on_idle_client(&self.request, &mut self.patch);
        assert_eq!(verdict, Verdict::NeedServer);
        self.sent.clear();
        self.session.join(&mut self.server, self.now, &mut self.sent);
        let request = std::mem::take(&mut self.request);
        self.all(&request, |relay, left| relay.session.on_client(&mut relay.server, left, &mut relay.patch));
        self.session.request_sent(self.now);
        self.request = request;
        self.sent.clear();
        let reply = std::mem::take(&mut self.reply);
        self.all(&reply, |relay, left| {
            on_server(&mut relay.server, Some(&mut relay.session), left, &mut relay.patch)
        });
        self.reply = reply;
        let tally = std::mem::take(&mut self.server.tally);
        self.session.request_answered(tally, self.now, &mut self.counters);
        assert_eq!(self.server.held_by(&self.session), None);
        self.session.part(&mut self.server);
    }

    /// Has all of the input judged, as the engine does.
    fn all(&mut self, input: &[u8], judge: impl Fn(&mut Relay, &[u8]) -> Verdict) {
        let mut done = 0;
        loop {
            self.patch.clear();
            let verdict = judge(self, &input[done..]);
            match verdict {
                Verdict::Forward(n) | Verdict::Skip(n) => done += n,
                Verdict::Hold => break,
                other => panic!("{other:?}"),
            }
            self.sent.extend_from_slice(black_box(&self.patch.to_server));
        }
        assert_eq!(done, input.len());
    }
}

fn bind(out: &mut Vec<u8>, statement: &[u8]) {
    let rest = b"\0\0\0\x01\0\0\0\x044711\0\0";
    frontend::write_bind_header(out, b"", statement, rest.len()).expect("a short message");
    out.extend_from_slice(rest);
}

fn end(out: &mut Vec<u8>) {
    backend::write_command_complete(out, b"SELECT 1");
    backend::write_ready_for_query(out, TransactionStatus::Idle);
}

const TEXT: &[u8] = b"SELECT abalance FROM pgbench_accounts WHERE aid = $1;";
