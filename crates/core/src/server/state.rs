//! A connection to PostgreSQL, as far as what it is in the middle of.

use std::collections::VecDeque;
use std::sync::Arc;

use howdah_wire::ErrorResponse;
use howdah_wire::backend::TransactionStatus;
use howdah_wire::cancel_key::CancelKey;

use super::UnnamedStatement;
use super::held::Cause;
use crate::facts::CloseReason;
use crate::pool::Guise;
use crate::session::{
    Asks, Change, Doubts, HeardNames, Look, Outstanding, Parameters, PinReason, Rest, Rights,
    ServerStatements, SessionState, Shape, SqlStatements, Survey, Tracked, Trial, Vain,
};

/// What is known of a server connection that is logged in.
#[derive(Debug)]
pub struct Server {
    /// With it a query here can be cancelled.
    pub cancel_key: Option<CancelKey>,
    /// Replies owed.
    pub outstanding: Outstanding,
    /// What is prepared here.
    pub statements: ServerStatements,
    /// What is prepared here under names of a client's own.
    pub sql: SqlStatements,
    /// The tracked settings as they are here.
    pub parameters: Parameters,
    /// The same as they were at its login, which is what RESET returns to.
    pub login_parameters: Parameters,
    /// Their names.
    pub tracked: Arc<Tracked>,
    /// What has been set here beside these; `None`: nothing.
    pub state: Option<Arc<SessionState>>,
    /// What of it may have changed since it was last known.
    pub doubts: Doubts,
    /// The question how all that is, under way.
    pub(crate) look: Option<Box<Look>>,
    /// The client that was joined with it last, by its number.
    pub(crate) visitor: Option<u64>,
    /// What was said in this transaction about the meaning of statements.
    pub(crate) meaning_trail: Vec<u8>,
    /// What lives here that belongs to a client and cannot be moved.
    pub lives: Asks,
    /// Tables have been changed here, in the transaction that is open.
    pub(crate) tables_changed: bool,
    /// What is being told of a statement.
    pub(crate) shape: Option<Shape>,
    /// The part of it that the client will be told together with the rest.
    pub(crate) parameters_told: Vec<u8>,
    /// Settings that are being tried here.
    pub(crate) trial: Option<Box<Trial>>,
    /// The question what its database's functions do, under way or answered.
    pub(crate) survey: Option<Box<Survey>>,
    /// What its client does here may change what they do.
    pub(crate) change: Option<Change>,
    /// Who it logged in as, by its own word.
    pub login: Option<Box<str>>,
    /// Which settings that one may make.
    pub rights: Rights,
    /// Something happened here that cannot be undone: this client is its last.
    pub spoiled: Option<PinReason>,
    /// Something happened here that no client is to find: it is closed when its client gives it back.
    pub unfit: bool,
    /// What brought about the pins that hold it.
    pub(super) causes: Vec<Cause>,
    /// What is said in place of errors that are owed, to texts that were refused.
    pub(crate) refusals: VecDeque<ErrorResponse>,
    /// Custom parameters whose names it is known to have heard.
    pub(crate) heard: HeardNames,
    /// What could not be prepared for its client since that one was ready last.
    pub(crate) vain: Vain,
    /// Whose the unnamed statement is.
    pub unnamed: UnnamedStatement,
    /// What happened since the engine last looked.
    pub tally: Tally,
    /// The error with which it ended, if that is how it ended.
    pub last_error: Option<ErrorResponse>,
    /// What is left of a reply whose beginning has been dealt with.
    pub(crate) rest: Rest,
    /// It has to be closed, as soon as what came before has been passed on.
    pub(crate) broken: Option<CloseReason>,
}

/// What happened since the engine last looked, for its counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Queries answered.
    pub queries: u32,
    /// Transactions ended.
    pub transactions: u32,
    /// Named statements parsed by clients.
    pub client_parses: u64,
    /// Named statements parsed here.
    pub server_parses: u64,
    /// Named statements bound.
    pub binds: u64,
    /// Times the client's session was brought here.
    pub state_replays: u64,
}

impl Server {
    /// A connection just logged in.
    #[must_use]
    pub fn new(tracked: Arc<Tracked>, cancel_key: Option<CancelKey>) -> Server {
        Server {
            cancel_key,
            outstanding: Outstanding::default(),
            statements: ServerStatements::default(),
            sql: SqlStatements::default(),
            parameters: Parameters::new(&tracked),
            login_parameters: Parameters::new(&tracked),
            tracked,
            state: None,
            doubts: Doubts::default(),
            look: None,
            visitor: None,
            meaning_trail: Vec::new(),
            lives: Asks::default(),
            tables_changed: false,
            shape: None,
            parameters_told: Vec::new(),
            trial: None,
            survey: None,
            change: None,
            login: None,
            rights: Rights::default(),
            spoiled: None,
            unfit: false,
            causes: Vec::new(),
            refusals: VecDeque::new(),
            heard: HeardNames::default(),
            vain: Vain::default(),
            unnamed: UnnamedStatement::default(),
            tally: Tally::default(),
            last_error: None,
            rest: Rest::default(),
            broken: None,
        }
    }

    /// What its session looks like to a pool.
    #[inline]
    #[must_use]
    pub fn guise(&self) -> Guise {
        self.state.as_ref().map_or(Guise::PLAIN, |state| state.guise())
    }

    /// Part of a reply has been read and the rest is still to come.
    #[must_use]
    pub fn is_mid_reply(&self) -> bool {
        self.rest.bytes > 0
    }

    /// Part of a reply has gone to the client and the rest is still to come.
    #[must_use]
    pub fn is_mid_forward(&self) -> bool {
        self.rest.bytes > 0 && self.rest.forward
    }

    /// How many of the next bytes go to the client as they are, whatever they say: the rest of the message under way,
    /// but for its last byte, with which a reply may end.
    #[must_use]
    pub fn unseen(&self) -> usize {
        if self.rest.forward { self.rest.bytes.saturating_sub(1) } else { 0 }
    }

    /// So many of the [`unseen`](Self::unseen) have gone past the session.
    pub fn pass_unseen(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.unseen(), "the end of a reply has to be seen");
        self.rest.bytes -= bytes.min(self.unseen());
    }

    /// Nothing is owed and no transaction is open.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_mid_reply()
            && self.outstanding.is_empty()
            && !self.outstanding.is_in_doubt()
            && self.outstanding.status() == TransactionStatus::Idle
    }

    /// The client has gone: what is still to come is nobody's.
    pub fn disown(&mut self) {
        self.outstanding.disown();
        self.causes.clear();
        self.vain.forget();
        self.unnamed.forget();
        self.rest.forward = false;
    }
}
