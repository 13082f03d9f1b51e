//! Replies still owed by a server connection, ours and theirs.
//!
//! One entry for each message sent that PostgreSQL answers, in order, so that each reply finds its
//! question. The rules are those of PostgreSQL's main loop (protocol chapter, "Message Flow"):
//!
//! * after an error in the extended protocol everything up to the next Sync is skipped, simple queries too;
//! * an error in a simple query ends that query only;
//! * a batch of the extended protocol stays open until its Sync, also when all of it has been answered;
//! * what COPY FROM STDIN does to the messages around it stands in `copy_in`.
//!
//! Where the queue cannot tell what the server did, it says so ([`Doubt`]) and the connection is closed.

use std::collections::VecDeque;

use howdah_wire::backend::{TransactionStatus, tag};

use super::copy_in::CopyIn;

/// The queue of replies owed.
#[derive(Debug)]
pub struct Outstanding {
    pub(super) queue: VecDeque<Expected>,
    /// An error was reported and no Sync has been sent since: the server skips what it gets.
    pub(super) skipping: bool,
    /// Messages of the extended protocol have been sent, and no Sync after them.
    pub(super) unsynced: bool,
    /// Among them may be something that makes all prepared statements vanish.
    clears: bool,
    /// The simple query at the head has been answered with something.
    answered: bool,
    /// The client was made to wait until the next entry is settled.
    stalled: bool,
    pub(super) copy: CopyIn,
    /// Replies of Howdah's own that have joined the queue since the server was last made to flush.
    given_unflushed: u16,
    /// Counts Syncs and simple queries sent; entries of one batch share the fate of an error.
    batch: u32,
    status: TransactionStatus,
}

/// One message that was sent and the reply it will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which message it was.
    pub kind: Kind,
    /// What it is about.
    pub subject: Subject,
    /// Sent by Howdah on its own account: the reply is swallowed.
    pub ours: bool,
    /// Not sent at all: Howdah gives this reply itself when its turn comes.
    pub given: bool,
    /// It may commit: never cancelled because its client vanished.
    pub commits: bool,
    /// It may make all prepared statements vanish.
    pub clears: bool,
    /// An operation on the client's own statement names hangs on it.
    pub client_op: bool,
}

/// The kinds of message that are answered, and the marks that COPY needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Query.
    Query,
    /// FunctionCall.
    FunctionCall,
    /// Parse.
    Parse,
    /// Bind.
    Bind,
    /// Describe.
    Describe,
    /// Execute.
    Execute,
    /// Close.
    Close,
    /// Sync.
    Sync,
    /// CopyData: answered by nothing, it only has a place.
    CopyData,
    /// CopyDone or CopyFail: answered by nothing, it only has a place.
    CopyEnd,
}

/// The statement that a message is about, as far as somebody has to know how it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing of interest.
    None,
    /// The unnamed statement, the client's n-th.
    Unnamed(u64),
    /// The statement with this number.
    Statement(u64),
    /// It is used: its Bind.
    Used(u64),
    /// The same, and it has to prove that it is not out of date.
    Proof(u64),
    /// What it looks like.
    Description(u64),
    /// The same, and nothing came before it: it can be asked once more.
    FirstDescription(u64),
    /// A Bind that must fail: the statement does not look as the client was told.
    Another,
    /// A name the client has given away already: this Parse must fail.
    Taken,
    /// It was refused by Howdah, which has sent something that must fail in its place.
    Refused,
    /// Howdah prepares or closes a statement by a name that SQL knows.
    SqlName,
    /// Howdah asks what the session looks like.
    Look,
    /// Howdah tries the settings of a client that wants to come in.
    Trial,
    /// Howdah asks what the database's functions do.
    Survey,
    /// The end of a batch of Howdah's own, which may fail without anybody being told.
    Attempt,
    /// Howdah gives the session something it should have. In a transaction that has failed it cannot, and
    /// need not.
    Correction,
}

impl Subject {
    /// The statement whose looks are asked for.
    pub(super) fn described(self) -> Option<u64> {
        match self {
            Subject::Description(id) | Subject::FirstDescription(id) => Some(id),
            _ => None,
        }
    }
}

/// What a reply means for the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Part of the answer to the entry at the head.
    Part(Expected),
    /// The entry is answered and has left the queue.
    Done(Expected),
    /// It says of a statement what it looks like, which somebody has to know; see [`Outstanding::tell`].
    Shape,
    /// Belongs to no question: notices, notifications, parameter changes.
    Unasked,
}

/// The server sent what nobody asked for, or what cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt;

impl Expected {
    /// A message of the client's.
    #[must_use]
    pub fn theirs(kind: Kind) -> Expected {
        Expected {
            kind,
            subject: Subject::None,
            ours: false,
            given: false,
            commits: false,
            clears: false,
            client_op: false,
        }
    }

    /// A message of Howdah's.
    #[must_use]
    pub fn ours(kind: Kind) -> Expected {
        Expected { ours: true, ..Expected::theirs(kind) }
    }

    /// It belongs to a batch that Sync has to end.
    pub(super) fn opens_batch(&self) -> bool {
        let extended =
            matches!(self.kind, Kind::Parse | Kind::Bind | Kind::Describe | Kind::Execute | Kind::Close);
        extended && !self.given
    }

    /// The answer is of interest for what it says about a statement.
    #[inline]
    fn is_delicate(&self) -> bool {
        matches!(self.subject, Subject::Description(_) | Subject::FirstDescription(_) | Subject::Another)
    }

    fn ends_with_ready(&self) -> bool {
        matches!(self.kind, Kind::Sync | Kind::Query | Kind::FunctionCall)
    }
}

impl Default for Outstanding {
    fn default() -> Self {
        Outstanding {
            queue: VecDeque::new(),
            skipping: false,
            unsynced: false,
            clears: false,
            answered: false,
            stalled: false,
            copy: CopyIn::default(),
            given_unflushed: 0,
            batch: 0,
            status: TransactionStatus::Idle,
        }
    }
}

impl Outstanding {
    /// The last ReadyForQuery's word.
    #[inline]
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// Nothing is owed and the server waits for no Sync.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.wants_sync()
    }

    /// The client has to wait with more: too much is owed, or what comes next depends on a reply.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stalled || self.queue.len() >= MAX_OWED
    }

    /// Makes the client wait until the next entry is settled.
    pub(super) fn stall(&mut self) {
        self.stalled = true;
    }

    /// An error was reported: the server ignores whatever it gets before a Sync.
    #[inline]
    #[must_use]
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Number of the batch that the next message belongs to.
    #[must_use]
    pub fn batch(&self) -> u32 {
        self.batch
    }

    /// The transaction status is that of the next message to be sent: no earlier batch is unanswered.
    #[must_use]
    pub fn status_is_known(&self) -> bool {
        !self.skipping && !self.queue.iter().any(Expected::ends_with_ready)
    }

    /// The transaction has failed for certain: PostgreSQL refuses whatever is not its end, before it looks at any
    /// statement.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.status == TransactionStatus::Failed && self.status_is_known()
    }

    /// The client is owed a ReadyForQuery.
    #[must_use]
    pub fn owes_ready(&self) -> bool {
        self.queue.iter().any(|entry| !entry.ours && entry.ends_with_ready())
    }

    /// Something is under way that may make all prepared statements vanish, and its answer will come
    /// without any further message.
    #[inline]
    #[must_use]
    pub fn is_clearing(&self) -> bool {
        self.clears && self.ends_with_clearing()
    }

    #[cold]
    fn ends_with_clearing(&self) -> bool {
        let mut after = self.queue.iter().skip_while(|e| !e.clears);
        after.next().is_some_and(|first| first.ends_with_ready() || after.any(Expected::ends_with_ready))
    }

    /// Notes a message that goes to the server (or a reply Howdah will give in its place).
    #[inline]
    pub fn push(&mut self, expected: Expected) {
        match expected.kind {
            Kind::Sync => {
                self.skipping = false;
                // Amid a COPY it is ignored.
                self.unsynced &= self.wants_copy_data();
                self.batch = self.batch.wrapping_add(1);
            }
            _ if self.skipping => return,
            Kind::Query | Kind::FunctionCall => {
                self.unsynced = false;
                self.batch = self.batch.wrapping_add(1);
            }
            Kind::CopyData if self.queue.back().is_none_or(|last| last.kind == Kind::CopyData) => return,
            Kind::CopyEnd if self.queue.is_empty() => return,
            _ => self.unsynced |= expected.opens_batch(),
        }
        self.clears |= expected.clears;
        self.queue.push_back(expected);
    }

    /// Notes a reply that Howdah will give. True: the server has to be made to flush, since so many have
    /// gathered behind something whose answer it may keep to itself.
    #[must_use]
    pub(super) fn push_given(&mut self, expected: Expected) -> bool {
        self.push(Expected { given: true, ..expected });
        self.given_unflushed += 1;
        let flush = self.given_unflushed >= MAX_GIVEN_UNFLUSHED;
        if flush {
            self.given_unflushed = 0;
        }
        flush
    }

    /// It is Howdah's own turn to give a reply.
    #[inline]
    #[must_use]
    pub(super) fn head_is_given(&self) -> bool {
        self.queue.front().is_some_and(|head| head.given)
    }

    /// The reply Howdah itself owes next, if its turn has come.
    pub fn next_given(&mut self) -> Option<Expected> {
        if !self.head_is_given() {
            return None;
        }
        let given = self.pop();
        self.drop_idle_copy_marks();
        given
    }

    /// A row comes. True: it is part of the answer to something the client has asked for, and so is each that
    /// follows it at once.
    #[inline]
    pub(super) fn rows_are_theirs(&mut self) -> bool {
        let runs = |head: &Expected| matches!(head.kind, Kind::Query | Kind::Execute);
        let theirs = self.queue.front().is_some_and(|head| !head.ours && runs(head));
        if theirs {
            self.answered = true;
            self.copy.surplus = 0;
        }
        theirs
    }

    /// Finds the question that a reply with this tag answers.
    ///
    /// ErrorResponse goes to [`fail`](Self::fail), ReadyForQuery to [`ready`](Self::ready).
    ///
    /// # Errors
    /// [`Doubt`]: the reply fits no question.
    #[inline]
    pub fn answer(&mut self, reply: u8) -> Result<Answer, Doubt> {
        if matches!(reply, tag::NOTICE_RESPONSE | tag::PARAMETER_STATUS | tag::NOTIFICATION_RESPONSE) {
            return Ok(Answer::Unasked);
        }
        let head = *self.queue.front().ok_or(Doubt)?;
        if head.is_delicate() {
            return if is_description(reply) { Ok(Answer::Shape) } else { Err(Doubt) };
        }
        self.answered = true;
        self.copy.surplus = 0;
        let done = match (head.kind, reply) {
            (
                Kind::Query | Kind::Execute,
                tag::DATA_ROW | tag::COPY_DATA | tag::COPY_DONE | tag::COPY_OUT_RESPONSE,
            )
            | (Kind::Query, tag::ROW_DESCRIPTION | tag::EMPTY_QUERY_RESPONSE)
            | (Kind::FunctionCall, tag::FUNCTION_CALL_RESPONSE)
            | (Kind::Describe, tag::PARAMETER_DESCRIPTION) => false,
            (Kind::Query | Kind::Execute, tag::COPY_IN_RESPONSE) => {
                self.begin_copy_in();
                false
            }
            (Kind::Query | Kind::Execute, tag::COMMAND_COMPLETE) => {
                self.end_copy_in()?;
                head.kind == Kind::Execute
            }
            (Kind::Parse, tag::PARSE_COMPLETE) if head.subject != Subject::Taken => true,
            (Kind::Bind, tag::BIND_COMPLETE) if head.subject != Subject::Refused => true,
            (Kind::Close, tag::CLOSE_COMPLETE)
            | (Kind::Describe, tag::ROW_DESCRIPTION | tag::NO_DATA)
            | (Kind::Execute, tag::EMPTY_QUERY_RESPONSE | tag::PORTAL_SUSPENDED) => true,
            _ => return Err(Doubt),
        };
        if !done {
            return Ok(Answer::Part(head));
        }
        self.pop();
        self.drop_idle_copy_marks();
        Ok(Answer::Done(head))
    }

    /// An ErrorResponse that leaves the connection open: who asked, and through `dropped` each entry
    /// that will now never be answered. `None`: nobody asked.
    ///
    /// # Errors
    /// [`Doubt`]: it cannot be told which Sync ends the skipping.
    pub fn fail(&mut self, mut dropped: impl FnMut(Expected)) -> Result<Option<Expected>, Doubt> {
        let Some(&head) = self.queue.front() else { return Ok(None) };
        self.answered = true;
        self.fail_copy_in()?;
        if head.ends_with_ready() {
            return Ok(Some(head));
        }
        while let Some(&entry) = self.queue.front() {
            if entry.kind == Kind::Sync {
                return Ok(Some(head));
            }
            self.pop();
            dropped(entry);
        }
        self.skipping = true;
        self.unsynced = false;
        Ok(Some(head))
    }

    /// ReadyForQuery: whose it is.
    ///
    /// # Errors
    /// [`Doubt`]: none was owed at this place.
    #[inline]
    pub fn ready(&mut self, status: TransactionStatus) -> Result<Expected, Doubt> {
        let owed = match self.queue.front() {
            // Nothing but an answered simple query ends so; otherwise this is somebody else's.
            Some(head) if head.kind == Kind::Sync || (head.ends_with_ready() && self.answered) => self.pop(),
            _ => None,
        };
        let head = match owed {
            Some(head) => head,
            None => self.surplus_sync()?,
        };
        self.status = status;
        self.drop_idle_copy_marks();
        self.clears &= !self.queue.is_empty();
        Ok(head)
    }

    /// A batch of the extended protocol has been begun and not ended by Sync.
    #[inline]
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.skipping || self.unsynced
    }

    /// What the client has carried out next begins a transaction.
    #[must_use]
    pub fn is_between_transactions(&self) -> bool {
        let runs = |entry: &Expected| entry.kind == Kind::Execute || entry.ends_with_ready();
        self.status == TransactionStatus::Idle && !self.queue.iter().any(|entry| !entry.ours && runs(entry))
    }

    /// Something that is owed may commit.
    #[must_use]
    pub fn may_commit(&self) -> bool {
        self.queue.iter().any(|e| e.commits)
    }

    /// The server has something to do.
    #[must_use]
    pub fn is_working(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The server has something to do, and not only to tell what its session looks like.
    #[must_use]
    pub fn works_for_client(&self) -> bool {
        self.queue.iter().any(|e| e.subject != Subject::Look)
    }

    /// The client has gone: what the rest of the queue brings is nobody's.
    pub fn disown(&mut self) {
        self.queue.retain(|e| !e.given);
        for entry in &mut self.queue {
            entry.client_op = false;
        }
        self.stalled = false;
        self.drop_idle_copy_marks();
    }

    /// The simple query at the head is the last that was sent.
    #[must_use]
    pub fn head_is_last_query(&self) -> bool {
        self.queue.len() == 1 && self.queue.front().is_some_and(|head| head.kind == Kind::Query)
    }

    /// The reply at the head is Howdah's to swallow.
    #[must_use]
    pub fn head_is_ours(&self) -> bool {
        self.queue.front().is_some_and(|e| e.ours)
    }

    /// A part of the answer to the head, which asks what a statement looks like; `last`: there will be no more.
    pub(super) fn tell(&mut self, last: bool) -> Option<Expected> {
        let head = *self.queue.front()?;
        self.answered = true;
        self.copy.surplus = 0;
        if last {
            self.pop();
            self.drop_idle_copy_marks();
        }
        Some(head)
    }

    /// What is sent next begins a transaction of its own, and nothing of the client's is under way.
    #[must_use]
    pub(super) fn begins_batch(&self) -> bool {
        let nothing = self.queue.iter().all(|entry| entry.ours || entry.given);
        nothing && !self.wants_sync() && self.status == TransactionStatus::Idle
    }

    /// The end of the client's batch is Howdah's affair; false: it has not been sent.
    #[must_use]
    pub(super) fn take_over_end(&mut self) -> bool {
        if let Some(end) = self.queue.front_mut() {
            end.ours = true;
        }
        !self.queue.is_empty()
    }

    /// Whose the reply is that comes next.
    #[must_use]
    pub fn head(&self) -> Option<&Expected> {
        self.queue.front()
    }

    /// What is carried out now is part of a batch of Howdah's own that may fail.
    #[must_use]
    pub fn is_attempting(&self) -> bool {
        let end = self.queue.iter().find(|entry| entry.kind == Kind::Sync || entry.ends_with_ready());
        end.is_some_and(|end| end.subject == Subject::Attempt)
    }

    /// What is answered next is a correction of Howdah's own.
    #[must_use]
    pub fn head_corrects(&self) -> bool {
        self.queue.front().is_some_and(|head| head.subject == Subject::Correction)
    }

    /// What the query at the head has done is corrected by a query of Howdah's own right behind it.
    #[must_use]
    pub fn is_correcting(&self) -> bool {
        self.queue.get(1).is_some_and(|next| next.subject == Subject::Correction && next.kind == Kind::Query)
    }

    /// The server works on a query of Howdah's own; what the client asked for comes after it.
    #[must_use]
    pub fn own_query_runs(&self) -> bool {
        self.queue.front().is_some_and(|e| e.ours && e.kind == Kind::Query)
    }

    fn pop(&mut self) -> Option<Expected> {
        self.answered = false;
        self.stalled = false;
        self.queue.pop_front()
    }
}

/// It tells of a statement what it looks like, or that it looks like it should.
fn is_description(reply: u8) -> bool {
    matches!(reply, tag::PARAMETER_DESCRIPTION | tag::ROW_DESCRIPTION | tag::NO_DATA | tag::BIND_COMPLETE)
}

/// Entries after which the client has to wait. PostgreSQL flushes its output every 8 KiB, which is fewer
/// than 2,000 of the smallest replies, so waiting for one of these to be answered cannot take for ever.
const MAX_OWED: usize = 8192;
/// Replies given by Howdah are no output of PostgreSQL's that would make it flush.
const MAX_GIVEN_UNFLUSHED: u16 = 2048;
