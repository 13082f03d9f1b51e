//! A served client's conversation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use howdah_wire::ErrorResponse;
use howdah_wire::backend::{self, TransactionStatus};
use howdah_wire::sql::{Hints, Signs};

use super::bind::Effects;
use super::channels::Channels;
use super::policy::Conduct;
use super::ready::ReadyAwaits;
use super::recall::Recall;
use super::unnamed::Unnamed;
use super::{
    ClientStatements, HeardNames, HintBook, Parameters, Patch, PinLedger, PinReason, SessionState,
    SqlStatements, Start, StatementRegistry, Tracked,
};
use crate::facts::{CloseReason, Counters};
use crate::pool::Guise;
use crate::server::{Server, Tally};
use crate::settings::{PoolMode, StateCheck, StateRules};

/// What lasts as long as the client does.
#[derive(Debug)]
pub struct Session {
    /// Unique for the life of the process.
    pub id: u64,
    pub(super) rules: Arc<SessionRules>,
    /// What was read last in the book of hints, and which edition that was.
    pub(super) hints: Arc<Hints>,
    pub(super) edition: u64,
    /// The settings that follow this client.
    pub parameters: Parameters,
    /// What it has set beside these; `None`: nothing.
    pub(super) state: Option<Arc<SessionState>>,
    /// Custom parameters that it has named and that need not have a value.
    pub(super) heard: HeardNames,
    /// The settings it began with.
    pub(super) start: Option<Arc<Start>>,
    /// None of the reported ones among them is known to be other than it began.
    pub(super) starts_stand: bool,
    /// The same as it began.
    pub(super) began: Option<Arc<SessionState>>,
    /// What it was allowed and told.
    pub(super) conduct: Conduct,
    /// Each of its texts matters, whatever it says.
    pub(super) heeds_all: bool,
    /// When it was last joined with a server connection.
    pub(super) joined: Instant,
    /// The server connection does not have all that the client has: it is to be corrected.
    pub(super) out_of_step: bool,
    /// It has said RESET ROLE, and not what role it wants since.
    pub(super) resets_role: bool,
    /// What the client's ReadyForQuery waits for that has come.
    pub(super) ready_awaits: ReadyAwaits,
    /// What is to be sent after the client's current message.
    pub(super) postscript: Vec<u8>,
    /// What it has to do with notifications; `None`: nothing.
    pub(super) channels: Option<Box<Channels>>,
    /// Allocated when the first statement is prepared.
    pub(super) statements: Option<Box<ClientStatements>>,
    /// Statements prepared by SQL; allocated with the first.
    pub(super) sql: Option<Box<SqlStatements>>,
    /// What any of the statements it has ever prepared by SQL may do.
    pub(super) prepared_signs: Option<Box<Signs>>,
    /// What is left of a message of the client's whose beginning has been dealt with.
    pub(super) client_rest: Rest,
    /// The beginning of a message waits for its rest, on a server connection of its own.
    pub(super) half_held: bool,
    /// What the client asked for outside any server was refused, and what it has sent is dropped.
    pub(super) refused: Refused,
    pub(super) unnamed: Unnamed,
    pub(super) pinned: Option<PinReason>,
    /// What may have to be sent once more.
    pub(super) recall: Option<Box<Recall>>,
    /// What executing the statement last bound may do.
    pub(super) bound: Effects,
    /// Some statement bound to a named portal may commit.
    pub(super) portal_commits: bool,
    /// Since when the server works for this client.
    query_since: Option<Instant>,
    /// Since when this client is inside a transaction.
    transaction_since: Option<Instant>,
    /// Since when it has asked for nothing.
    idle_since: Instant,
}

/// What all sessions of a pool have in common.
#[derive(Debug)]
pub struct SessionRules {
    /// When server connections are given back.
    pub mode: PoolMode,
    /// `max_prepared_statements`; 0: statement names are the server's.
    pub max_prepared_statements: u32,
    /// `max_packet_size`.
    pub max_packet_size: u32,
    /// `disable_pqexec`.
    pub disable_pqexec: bool,
    /// Which settings follow the client.
    pub tracked: Arc<Tracked>,
    /// All prepared texts.
    pub registry: Arc<StatementRegistry>,
    /// `query_timeout`.
    pub query_timeout: Option<Duration>,
    /// `transaction_timeout`.
    pub transaction_timeout: Option<Duration>,
    /// `idle_transaction_timeout`.
    pub idle_transaction_timeout: Option<Duration>,
    /// `client_idle_timeout`.
    pub client_idle_timeout: Option<Duration>,
    /// `session_state` and what belongs to it.
    pub state: StateRules,
    /// Who is pinned in this pool.
    pub pins: Arc<PinLedger>,
    /// What the functions of its database do to a session.
    pub hints: Arc<HintBook>,
}

impl SessionRules {
    /// Statement names are made virtual.
    #[must_use]
    pub fn follows_statements(&self) -> bool {
        self.mode != PoolMode::Session && self.max_prepared_statements > 0
    }

    /// What the functions of the database do has to be known: no list of PostgreSQL's has the custom parameters they
    /// set.
    #[must_use]
    pub fn uses_hints(&self) -> bool {
        self.follows_state()
    }

    /// What of a session cannot be told by replies alone follows the client too.
    #[inline]
    pub(super) fn follows_state(&self) -> bool {
        self.mode != PoolMode::Session && self.state.check != StateCheck::Never
    }

    /// After each transaction the server is asked what its session looks like.
    #[inline]
    pub(super) fn always_asks(&self) -> bool {
        self.state.check == StateCheck::Always
    }
}

/// Bytes of a message that are still to come, and what becomes of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    pub(crate) bytes: usize,
    pub(crate) forward: bool,
}

/// How far a client whose request was refused has been followed to where PostgreSQL would listen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nothing was refused.
    #[default]
    No,
    /// The request itself comes next.
    Request,
    /// It was of the extended protocol: up to the next Sync nothing counts.
    Batch,
}

impl Session {
    /// A client that has just been let in and asks for nothing yet.
    #[must_use]
    pub fn new(id: u64, rules: Arc<SessionRules>, parameters: Parameters, now: Instant) -> Session {
        let (edition, hints) = rules.hints.read();
        Session {
            id,
            heeds_all: rules.heeds_all_texts(),
            rules,
            hints,
            edition,
            parameters,
            state: None,
            heard: HeardNames::default(),
            start: None,
            starts_stand: false,
            began: None,
            conduct: Conduct::default(),
            joined: now,
            out_of_step: false,
            resets_role: false,
            ready_awaits: ReadyAwaits::Nothing,
            postscript: Vec::new(),
            channels: None,
            statements: None,
            sql: None,
            prepared_signs: None,
            client_rest: Rest::default(),
            half_held: false,
            refused: Refused::No,
            unnamed: Unnamed::default(),
            pinned: None,
            recall: None,
            bound: Effects::default(),
            portal_commits: false,
            query_since: None,
            transaction_since: None,
            idle_since: now,
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &Arc<SessionRules> {
        &self.rules
    }

    /// Takes on the rules of a reloaded configuration. The mode stays: it holds for as long as the client does.
    pub fn set_rules(&mut self, rules: Arc<SessionRules>) {
        if rules.mode == self.rules.mode
            && rules.follows_statements() == self.rules.follows_statements()
            && Arc::ptr_eq(&rules.tracked, &self.rules.tracked)
        {
            self.rules = rules;
            self.heeds_all = self.rules.heeds_all_texts();
            self.keep_beginning();
            self.read_hints();
        }
    }

    /// A text is about to be judged: by the hints in force.
    #[inline]
    pub(super) fn keep_hints_fresh(&mut self) {
        if self.edition != self.rules.hints.edition() {
            self.read_hints();
        }
    }

    #[cold]
    fn read_hints(&mut self) {
        (self.edition, self.hints) = self.rules.hints.read();
        self.unnamed.judge(&self.hints);
        if let (Some(signs), Some(sql)) = (&mut self.prepared_signs, &self.sql) {
            **signs = Signs::default();
            sql.texts().for_each(|text| signs.merge(&Signs::of(text, &self.hints)));
        }
    }

    /// What the client's session looks like to a pool.
    #[inline]
    #[must_use]
    pub fn guise(&self) -> Guise {
        self.state.as_ref().map_or(Guise::PLAIN, |state| state.guise())
    }

    /// How many prepared statements this client has.
    #[must_use]
    pub fn prepared_statements(&self) -> usize {
        self.statements.as_ref().map_or(0, |s| s.len())
    }

    /// Why the server connection has to stay with this client after its transaction, if it has to.
    #[must_use]
    pub fn pin(&self) -> Option<PinReason> {
        if self.unnamed.pins() { Some(PinReason::UnnamedStatement) } else { self.pinned }
    }

    /// Something has to be said to the server before anybody else may have it.
    #[inline]
    pub(crate) fn has_postscript(&self) -> bool {
        !self.postscript.is_empty()
    }

    /// Howdah has something to say to the server on the client's behalf.
    #[inline]
    pub(crate) fn is_behind(&self) -> bool {
        self.out_of_step || !self.postscript.is_empty()
    }

    /// Some of the client's current message has gone to the server and the rest is still to come.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.client_rest.bytes > 0 && self.client_rest.forward
    }

    /// The client's current message has begun and needs the server connection; nothing of it need have gone
    /// there yet.
    #[must_use]
    pub fn is_speaking(&self) -> bool {
        self.half_held || self.is_mid_message()
    }

    /// The server connection is being given back: keeps what the client will need on the next one.
    pub fn part(&mut self, server: &mut Server) {
        self.parameters.agree_with(&mut server.parameters);
        self.untie();
        self.half_held = false;
        self.bound = Effects::default();
        self.portal_commits = false;
    }

    /// Gives up what the client is in line for ([`Verdict::NeedServer`](super::Verdict::NeedServer)): `error`
    /// is its answer, and what it has sent is dropped up to where PostgreSQL would listen again.
    pub fn refuse_request(&mut self, error: &ErrorResponse, patch: &mut Patch) {
        error.write(&mut patch.to_client);
        self.refused = Refused::Request;
    }

    pub(super) fn ready_without_server(patch: &mut Patch) {
        backend::write_ready_for_query(&mut patch.to_client, TransactionStatus::Idle);
    }

    pub(super) fn statements_mut(&mut self) -> &mut ClientStatements {
        self.statements.get_or_insert_default()
    }
}

/// The clock, as far as limits and statistics need it.
impl Session {
    /// A request of the client's goes to the server.
    #[inline]
    pub fn request_sent(&mut self, now: Instant) {
        if self.query_since.is_none() {
            self.query_since = Some(now);
            self.transaction_since.get_or_insert(now);
        }
    }

    /// ReadyForQuery has gone to the client, for each of the queries and transactions in `tally`.
    pub fn request_answered(&mut self, tally: Tally, now: Instant, counters: &mut Counters) {
        counters.queries += u64::from(tally.queries);
        counters.transactions += u64::from(tally.transactions);
        let took = |since: Instant| micros(now.saturating_duration_since(since));
        let query_since = self.query_since.take();
        let query_time = query_since.map_or(0, took);
        counters.query_time += query_time;
        self.idle_since = now;
        if tally.transactions > 0
            && let Some(since) = self.transaction_since.take()
        {
            counters.transaction_time += if query_since == Some(since) { query_time } else { took(since) };
        }
    }

    /// When the last request began, or the last one ended.
    #[must_use]
    pub fn last_request(&self) -> Instant {
        self.query_since.or(self.transaction_since).unwrap_or(self.idle_since)
    }

    /// Since when it has asked for nothing; `None`: it is inside a query or a transaction.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        (self.query_since.is_none() && self.transaction_since.is_none()).then_some(self.idle_since)
    }

    /// The limit this client has overstepped, if any. `linked`: it holds a server connection.
    #[must_use]
    pub fn overdue(&self, linked: bool, now: Instant) -> Option<CloseReason> {
        let over = |limit: Option<Duration>, since: Option<Instant>| {
            limit.zip(since).is_some_and(|(limit, since)| now.saturating_duration_since(since) >= limit)
        };
        let rules = &self.rules;
        if !linked {
            return over(rules.client_idle_timeout, Some(self.idle_since))
                .then_some(CloseReason::ClientIdleTimeout);
        }
        if over(rules.query_timeout, self.query_since) {
            return Some(CloseReason::QueryTimeout);
        }
        if over(rules.transaction_timeout, self.transaction_since) {
            return Some(CloseReason::TransactionTimeout);
        }
        let idle_in_transaction =
            (self.query_since.is_none() && self.transaction_since.is_some()).then_some(self.idle_since);
        if over(rules.idle_transaction_timeout, idle_in_transaction) {
            return Some(CloseReason::IdleTransactionTimeout);
        }
        // In session mode the server connection is the client's anyway.
        let pin = self.pin().or(self.tied()).filter(|_| rules.mode != PoolMode::Session);
        pin.filter(|_| over(rules.state.pin_idle_timeout, self.idle_since())).map(CloseReason::PinIdleTimeout)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
