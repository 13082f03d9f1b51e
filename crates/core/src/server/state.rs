//! A connection to PostgreSQL, as far as what it is in the middle of.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use howdah_wire::ErrorResponse;
use howdah_wire::backend::{TransactionStatus, tag};
use howdah_wire::cancel_key::CancelKey;
use howdah_wire::frontend;
use howdah_wire::sql::HintsBuilder;

use crate::facts::CloseReason;
use crate::pool::Guise;
use crate::session::{
    Asks, Change, Doubts, Expected, Kind, Look, Outstanding, Parameters, Pin, PinReason, Rest, Rights,
    ServerStatements, Session, SessionState, Shape, SqlStatements, Subject, Survey, Tracked, Trial, Tried,
};
use crate::settings::{PoolMode, StateKind};

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
    /// A question about it that is under way.
    pub(crate) look: Option<Box<Look>>,
    /// Settings that are being tried here.
    pub(crate) trial: Option<Box<Trial>>,
    /// The question what its database's functions do, under way or answered.
    pub(crate) survey: Option<Box<Survey>>,
    /// What its client does here may change what they do.
    pub(crate) change: Option<Change>,
    /// The client's ReadyForQuery has come and is given with that of what corrects its query.
    pub(crate) ready_due: bool,
    /// The correction was cancelled instead of what it corrects.
    pub(crate) corrected_in_vain: bool,
    /// Who it logged in as, by its own word.
    pub login: Option<Box<str>>,
    /// Which settings that one may make.
    pub rights: Rights,
    /// Something happened here that cannot be undone: this client is its last.
    pub spoiled: Option<PinReason>,
    /// Something happened here that no client is to find: it is closed when its client gives it back.
    pub unfit: bool,
    /// What brought about the pins that hold it.
    causes: Vec<Cause>,
    /// What is said in place of errors that are owed, to texts that were refused.
    pub(crate) refusals: VecDeque<ErrorResponse>,
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

/// What brought about a pin.
#[derive(Debug)]
struct Cause {
    reason: PinReason,
    object: Option<Box<str>>,
    statement: Box<str>,
}

/// The unnamed prepared statement: there is one, and the last client to parse it owns it.
#[derive(Debug, Default)]
pub struct UnnamedStatement {
    /// The client's number, and how many unnamed statements it had parsed by then.
    owner: Option<(u64, u64)>,
    /// Howdah has sent its Parse, in this batch, and knows no answer.
    in_flight: Option<u32>,
}

/// Why a server connection may not be given to the next client as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Its client is in session mode.
    SessionMode,
    /// The client's message, or the server's reply, is half way through.
    MidMessage,
    /// Replies are owed.
    Outstanding,
    /// A transaction is open.
    InTransaction,
    /// A notification from here has not arrived where it is to be passed on.
    Sending,
    /// What the session looks like has to be asked first.
    Doubts,
    /// Something of the client's lives on it.
    Pinned(PinReason),
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
            visitor: None,
            meaning_trail: Vec::new(),
            lives: Asks::default(),
            tables_changed: false,
            shape: None,
            parameters_told: Vec::new(),
            look: None,
            trial: None,
            survey: None,
            change: None,
            ready_due: false,
            corrected_in_vain: false,
            login: None,
            rights: Rights::default(),
            spoiled: None,
            unfit: false,
            causes: Vec::new(),
            refusals: VecDeque::new(),
            unnamed: UnnamedStatement::default(),
            tally: Tally::default(),
            last_error: None,
            rest: Rest::default(),
            broken: None,
        }
    }

    /// May this server connection be given on by `session`, and if not, why?
    #[inline]
    #[must_use]
    pub fn held_by(&self, session: &Session) -> Option<Held> {
        if session.is_speaking() || self.is_mid_reply() {
            return Some(Held::MidMessage);
        }
        if !self.outstanding.is_empty() || self.outstanding.is_in_doubt() || session.has_postscript() {
            return Some(Held::Outstanding);
        }
        if self.outstanding.status() != TransactionStatus::Idle {
            return Some(Held::InTransaction);
        }
        if self.doubts.is_due() {
            return Some(Held::Doubts);
        }
        if session.rules().mode == PoolMode::Session {
            return Some(Held::SessionMode);
        }
        if session.is_sending() {
            return Some(Held::Sending);
        }
        session.pin().or_else(|| self.pin()).map(Held::Pinned)
    }

    /// Why it has to stay with its client, as far as that is told by what lives here.
    #[inline]
    #[must_use]
    pub fn pin(&self) -> Option<PinReason> {
        if self.lives.is_none() && self.spoiled.is_none() && !self.doubts.is_postponed() {
            return None;
        }
        self.what_pins()
    }

    #[cold]
    fn what_pins(&self) -> Option<PinReason> {
        PINS.into_iter()
            .find_map(|(asks, reason)| self.lives.has(asks).then_some(reason))
            .or(self.spoiled)
            .or_else(|| self.doubts.is_postponed().then_some(PinReason::StateUncarried))
    }

    /// Something happened, by this text, that cannot be undone: this client is the connection's last.
    pub(crate) fn spoil(&mut self, reason: PinReason, text: &[u8]) {
        let reason = *self.spoiled.get_or_insert(reason);
        self.note_cause(reason, None, &String::from_utf8_lossy(text));
    }

    /// What a pin comes from. The first word on it stands until it ends.
    pub(crate) fn note_cause(&mut self, reason: PinReason, object: Option<&str>, statement: &str) {
        if !self.causes.iter().any(|cause| cause.reason == reason) {
            let statement = statement.chars().take(MAX_CAUSE).collect();
            self.causes.push(Cause { reason, object: object.map(Into::into), statement });
        }
    }

    /// Pins have ended: what brought them about is of no interest any more.
    pub(crate) fn forget_causes(&mut self) {
        let (lives, spoiled) = (self.lives, self.spoiled);
        self.causes.retain(|cause| {
            spoiled == Some(cause.reason)
                || PINS.iter().any(|(asks, reason)| lives.has(*asks) && *reason == cause.reason)
        });
    }

    /// The pin for this reason, as operators are to see it.
    #[must_use]
    pub fn explain(&self, reason: PinReason, since: Instant) -> Pin {
        let cause = self.causes.iter().find(|cause| cause.reason == reason);
        let object = cause.and_then(|cause| cause.object.as_deref());
        Pin::new(reason, object, cause.map_or(&[], |cause| cause.statement.as_bytes()), since)
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

    /// The next reply with this tag is a row of an answer that Howdah asked for.
    #[must_use]
    pub(crate) fn is_answering(&self, reply: u8) -> bool {
        reply == tag::DATA_ROW
            && (self.look.is_some() || self.trial.is_some() || self.survey.is_some())
            && self
                .outstanding
                .head()
                .is_some_and(|head| matches!(head.subject, Subject::Look | Subject::Trial | Subject::Survey))
    }

    /// Nothing is owed and no transaction is open.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_mid_reply()
            && self.outstanding.is_empty()
            && !self.outstanding.is_in_doubt()
            && self.outstanding.status() == TransactionStatus::Idle
    }

    /// Appends a query of Howdah's own; its replies are swallowed.
    pub fn ask(&mut self, query: &str, to_server: &mut Vec<u8>) {
        frontend::write_query(to_server, query.as_bytes());
        self.outstanding.push(Expected::ours(Kind::Query));
        self.unnamed.forget();
    }

    /// Appends the question what the session looks like, as far as it is in doubt. `client`: custom parameters
    /// it has, beside those known here.
    pub(crate) fn look<'a>(&mut self, client: impl Iterator<Item = &'a str>, to_server: &mut Vec<u8>) {
        let about = self.doubts.take();
        let state = self.state.clone();
        let mut known: Vec<&str> = client.collect();
        known.extend(state.iter().flat_map(|state| state.settings.keys()).map(AsRef::as_ref));
        let (look, query) = Look::new(about, &known, self.rights);
        self.look = Some(Box::new(look));
        frontend::write_query(to_server, &query);
        self.outstanding.push(Expected { subject: Subject::Look, ..Expected::ours(Kind::Query) });
        self.unnamed.forget();
    }

    /// Appends the question what is to be thought of these settings; it changes nothing here.
    pub fn try_settings(&mut self, trial: Trial, to_server: &mut Vec<u8>) {
        frontend::write_query(to_server, &trial.query());
        self.trial = Some(Box::new(trial));
        self.outstanding.push(Expected { subject: Subject::Trial, ..Expected::ours(Kind::Query) });
        self.unnamed.forget();
    }

    /// What came of the settings that were tried, once nothing is owed any more.
    #[must_use]
    pub fn tried(&mut self) -> Option<Tried> {
        self.trial.take().map(|trial| trial.verdict(&self.tracked))
    }

    /// Appends the question what the functions of its database do, which may take so many milliseconds.
    pub fn survey(&mut self, millis: u64, to_server: &mut Vec<u8>) {
        frontend::write_query(to_server, Survey::query(millis).as_bytes());
        self.survey = Some(Box::default());
        self.outstanding.push(Expected { subject: Subject::Survey, ..Expected::ours(Kind::Query) });
        self.unnamed.forget();
    }

    /// The rows of the answer, once nothing is owed any more.
    ///
    /// # Errors
    /// PostgreSQL's own word why there are none.
    #[must_use]
    pub fn surveyed(&mut self) -> Option<Result<HintsBuilder, Box<ErrorResponse>>> {
        self.survey.take().map(|survey| survey.outcome())
    }

    /// Appends a query that gives the session something it should have; its replies are swallowed.
    pub(crate) fn correct(&mut self, query: &[u8], to_server: &mut Vec<u8>) {
        frontend::write_query(to_server, query);
        self.outstanding.push(Expected { subject: Subject::Correction, ..Expected::ours(Kind::Query) });
        self.unnamed.forget();
    }

    /// The client has gone: what is still to come is nobody's.
    pub fn disown(&mut self) {
        self.outstanding.disown();
        self.ready_due = false;
        self.corrected_in_vain = false;
        self.causes.clear();
        self.unnamed.forget();
        self.rest.forward = false;
    }
}

impl UnnamedStatement {
    /// The client with this number has sent its n-th Parse for it.
    pub fn parsed(&mut self, client: u64, generation: u64) {
        self.owner = Some((client, generation));
        self.in_flight = None;
    }

    /// The same text has been sent again, on Howdah's account and in this batch.
    pub fn carried(&mut self, client: u64, generation: u64, batch: u32) {
        self.owner = Some((client, generation));
        self.in_flight = Some(batch);
    }

    /// A Parse was answered, or dropped after an error.
    pub fn settle(&mut self, generation: u64, present: bool) {
        if self.owner.is_some_and(|(_, n)| n == generation) {
            self.in_flight = None;
            if !present {
                self.owner = None;
            }
        }
    }

    /// It is gone, or nobody's; what is still in flight for it concerns nobody any more.
    #[inline]
    pub fn forget(&mut self) {
        self.owner = None;
        self.in_flight = None;
    }

    /// It is the one of this client's n-th Parse.
    #[must_use]
    pub fn is_of(&self, client: u64, generation: u64) -> bool {
        self.owner == Some((client, generation))
    }

    /// Whether it is there depends on the fate of a batch before `batch`.
    #[must_use]
    pub fn is_in_doubt(&self, batch: u32) -> bool {
        self.in_flight.is_some_and(|sent_in| sent_in != batch)
    }
}

/// What pins while it lives here.
const PINS: [(Asks, PinReason); 10] = [
    (Asks::TEMP, PinReason::TempObject),
    (Asks::LOCKS, PinReason::AdvisoryLock),
    (Asks::CURSORS, PinReason::HoldCursor),
    (Asks::SLOTS, PinReason::ReplicationSlot),
    (Asks::PRIVILEGED, PinReason::SettingUncarried),
    (Asks::CHANNELS, PinReason::Policy(StateKind::Listen)),
    (Asks::SETTINGS, PinReason::Policy(StateKind::Settings)),
    (Asks::ROLE, PinReason::Policy(StateKind::Role)),
    (Asks::STATEMENTS, PinReason::Policy(StateKind::Statements)),
    (Asks::SEQUENCES, PinReason::Sequence),
];

/// How much of a text is kept to explain a pin, in characters.
const MAX_CAUSE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// The client vanished while the Parse that Howdah had carried over for it was in flight. The next client
    /// was made to wait for an answer that nobody would note.
    #[test]
    fn a_forgotten_statement_leaves_no_doubt() {
        let mut unnamed = UnnamedStatement::default();
        unnamed.carried(1, 1, 19);
        assert!(unnamed.is_in_doubt(20));
        unnamed.forget();
        unnamed.settle(1, true);
        assert!(!unnamed.is_in_doubt(20));
        assert!(!unnamed.is_of(1, 1));
    }
}
