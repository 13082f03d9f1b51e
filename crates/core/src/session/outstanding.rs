//! Replies still owed by a server connection, ours and theirs.
//!
//! One entry for each message sent that PostgreSQL answers, in order, so that each reply finds its
//! question. The rules are those of PostgreSQL's main loop (protocol chapter, "Message Flow"):
//!
//! * after an error in the extended protocol everything up to the next Sync is skipped, simple queries too;
//! * an error in a simple query ends that query only;
//! * Sync is swallowed while COPY FROM STDIN reads data, so Syncs sent are not ReadyForQuerys owed;
//! * CopyData, CopyDone and CopyFail outside COPY are ignored.
//!
//! Where the queue cannot tell what the server did, it says so ([`Doubt`]) and the connection is closed.

use std::collections::VecDeque;

use howdah_wire::backend::{TransactionStatus, tag};

/// The queue of replies owed.
#[derive(Debug)]
pub struct Outstanding {
    queue: VecDeque<Expected>,
    /// An error was reported and no Sync has been sent since: the server skips what it gets.
    skipping: bool,
    /// The message at the head reads COPY data.
    copy_in: bool,
    /// Counts Syncs and simple queries sent; entries of one batch share the fate of an error.
    batch: u32,
    status: TransactionStatus,
}

/// One message that was sent and the reply it will get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Which message it was.
    pub kind: Kind,
    /// Sent by Howdah on its own account: the reply is swallowed.
    pub ours: bool,
    /// Not sent at all: Howdah gives this reply itself when its turn comes.
    pub given: bool,
    /// It may commit: never cancelled because its client vanished.
    pub commits: bool,
    /// An operation on the client's own statement names hangs on it.
    pub client_op: bool,
    /// The statement it parses or closes on the server; 0: none.
    pub statement: u64,
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

/// What a reply means for the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Part of the answer to the entry at the head.
    Part(Expected),
    /// The entry is answered and has left the queue.
    Done(Expected),
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
        Expected { kind, ours: false, given: false, commits: false, client_op: false, statement: 0 }
    }

    /// A message of Howdah's.
    #[must_use]
    pub fn ours(kind: Kind) -> Expected {
        Expected { ours: true, ..Expected::theirs(kind) }
    }
}

impl Default for Outstanding {
    fn default() -> Self {
        Outstanding {
            queue: VecDeque::new(),
            skipping: false,
            copy_in: false,
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
        self.queue.is_empty() && !self.skipping
    }

    /// So much is owed that the client has to wait with more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= MAX_OWED
    }

    /// Number of the batch that the next message belongs to.
    #[must_use]
    pub fn batch(&self) -> u32 {
        self.batch
    }

    /// The transaction status is that of the next message to be sent: no earlier batch is unanswered.
    #[must_use]
    pub fn status_is_known(&self) -> bool {
        !self.skipping
            && self.queue.iter().all(|e| !matches!(e.kind, Kind::Sync | Kind::Query | Kind::FunctionCall))
    }

    /// Notes a message that goes to the server (or a reply Howdah will give in its place).
    #[inline]
    pub fn push(&mut self, expected: Expected) {
        match expected.kind {
            Kind::Sync => {
                self.skipping = false;
                self.batch = self.batch.wrapping_add(1);
            }
            _ if self.skipping => return,
            Kind::Query | Kind::FunctionCall => self.batch = self.batch.wrapping_add(1),
            Kind::CopyData if self.queue.back().is_none_or(|last| last.kind == Kind::CopyData) => return,
            Kind::CopyEnd if self.queue.is_empty() => return,
            _ => {}
        }
        self.queue.push_back(expected);
    }

    /// The reply Howdah itself owes next, if its turn has come.
    pub fn next_given(&mut self) -> Option<Expected> {
        if self.queue.front()?.given { self.queue.pop_front() } else { None }
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
        match (head.kind, reply) {
            (Kind::Query | Kind::Execute, tag::DATA_ROW | tag::COPY_DATA | tag::COPY_DONE)
            | (Kind::Query, tag::ROW_DESCRIPTION | tag::EMPTY_QUERY_RESPONSE)
            | (Kind::Query | Kind::Execute, tag::COPY_OUT_RESPONSE)
            | (Kind::FunctionCall, tag::FUNCTION_CALL_RESPONSE)
            | (Kind::Describe, tag::PARAMETER_DESCRIPTION) => Ok(Answer::Part(head)),
            (Kind::Query | Kind::Execute, tag::COPY_IN_RESPONSE) => {
                self.begin_copy_in();
                Ok(Answer::Part(head))
            }
            (Kind::Query, tag::COMMAND_COMPLETE) => {
                self.end_copy_in()?;
                Ok(Answer::Part(head))
            }
            (Kind::Execute, tag::COMMAND_COMPLETE) => {
                self.end_copy_in()?;
                Ok(self.done(head))
            }
            (Kind::Parse, tag::PARSE_COMPLETE)
            | (Kind::Bind, tag::BIND_COMPLETE)
            | (Kind::Close, tag::CLOSE_COMPLETE)
            | (Kind::Describe, tag::ROW_DESCRIPTION | tag::NO_DATA)
            | (Kind::Execute, tag::EMPTY_QUERY_RESPONSE | tag::PORTAL_SUSPENDED) => Ok(self.done(head)),
            _ => Err(Doubt),
        }
    }

    /// An ErrorResponse that leaves the connection open: who asked, and through `dropped` each entry
    /// that will now never be answered. `None`: nobody asked.
    ///
    /// # Errors
    /// [`Doubt`]: it cannot be told which Sync ends the skipping.
    pub fn fail(&mut self, mut dropped: impl FnMut(Expected)) -> Result<Option<Expected>, Doubt> {
        let Some(&head) = self.queue.front() else { return Ok(None) };
        let copying = std::mem::take(&mut self.copy_in);
        match head.kind {
            Kind::Sync => {}
            Kind::Query | Kind::FunctionCall => {
                if copying {
                    self.forget_copy_of_query()?;
                }
            }
            _ => {
                if copying && self.sync_amid_copy() {
                    return Err(Doubt);
                }
                while let Some(&entry) = self.queue.front() {
                    if entry.kind == Kind::Sync {
                        return Ok(Some(head));
                    }
                    self.queue.pop_front();
                    dropped(entry);
                }
                self.skipping = true;
            }
        }
        Ok(Some(head))
    }

    /// ReadyForQuery: whose it is.
    ///
    /// # Errors
    /// [`Doubt`]: none was owed at this place.
    #[inline]
    pub fn ready(&mut self, status: TransactionStatus) -> Result<Expected, Doubt> {
        let head = self.queue.pop_front().ok_or(Doubt)?;
        if !matches!(head.kind, Kind::Sync | Kind::Query | Kind::FunctionCall) {
            return Err(Doubt);
        }
        self.status = status;
        self.drop_idle_copy_marks();
        Ok(head)
    }

    /// The server reads COPY data from its client and no end of it has been sent.
    #[must_use]
    pub fn wants_copy_data(&self) -> bool {
        self.copy_in && self.queue.iter().all(|e| e.kind != Kind::CopyEnd)
    }

    /// A batch of the extended protocol has been begun and not ended by Sync.
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.skipping
            || self.queue.iter().rev().take_while(|e| e.kind != Kind::Sync).any(|e| is_extended(e.kind))
    }

    /// Something that is owed may commit.
    #[must_use]
    pub fn may_commit(&self) -> bool {
        self.queue.iter().any(|e| e.commits)
    }

    /// The client has gone: what the rest of the queue brings is nobody's.
    pub fn disown(&mut self) {
        for entry in &mut self.queue {
            entry.ours = true;
            entry.client_op = false;
        }
    }

    /// The reply at the head is Howdah's to swallow.
    #[must_use]
    pub fn head_is_ours(&self) -> bool {
        self.queue.front().is_some_and(|e| e.ours)
    }

    fn done(&mut self, head: Expected) -> Answer {
        self.queue.pop_front();
        self.drop_idle_copy_marks();
        Answer::Done(head)
    }

    /// Outside COPY the server ignores copy messages: their marks at the head mean nothing.
    #[inline]
    fn drop_idle_copy_marks(&mut self) {
        while self.queue.front().is_some_and(|e| matches!(e.kind, Kind::CopyData | Kind::CopyEnd)) {
            self.queue.pop_front();
        }
    }

    /// The server reads data now: Syncs it finds before any data are swallowed for certain.
    fn begin_copy_in(&mut self) {
        self.copy_in = true;
        while self.queue.get(1).is_some_and(|e| e.kind == Kind::Sync) {
            self.queue.remove(1);
        }
    }

    /// COPY has succeeded: it has eaten everything up to its end mark.
    fn end_copy_in(&mut self) -> Result<(), Doubt> {
        if !std::mem::take(&mut self.copy_in) {
            return Ok(());
        }
        while let Some(entry) = self.queue.remove(1) {
            match entry.kind {
                Kind::CopyEnd => return Ok(()),
                Kind::CopyData | Kind::Sync => {}
                _ => return Err(Doubt),
            }
        }
        Err(Doubt)
    }

    /// A COPY inside a simple query failed. What was sent for it is ignored by the server; any other
    /// message behind it may have been eaten as the cause of the failure or be run next: nobody knows.
    fn forget_copy_of_query(&mut self) -> Result<(), Doubt> {
        while let Some(entry) = self.queue.get(1).copied() {
            match entry.kind {
                Kind::CopyData => {
                    self.queue.remove(1);
                }
                Kind::CopyEnd => {
                    self.queue.remove(1);
                    return Ok(());
                }
                _ => return Err(Doubt),
            }
        }
        Ok(())
    }

    fn sync_amid_copy(&self) -> bool {
        self.queue.iter().skip(1).take_while(|e| e.kind != Kind::CopyEnd).any(|e| e.kind == Kind::Sync)
            && self.queue.iter().skip(1).any(|e| e.kind == Kind::CopyData || e.kind == Kind::CopyEnd)
    }
}

fn is_extended(kind: Kind) -> bool {
    matches!(kind, Kind::Parse | Kind::Bind | Kind::Describe | Kind::Execute | Kind::Close)
}

/// Entries after which the client has to wait. PostgreSQL flushes its output every 8 KiB, which is fewer
/// than 2,000 of the smallest replies, so waiting for one of these to be answered cannot take for ever.
const MAX_OWED: usize = 8192;
