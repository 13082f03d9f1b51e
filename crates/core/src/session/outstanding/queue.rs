//! Whose is this reply?
//!
//! * after an error in the extended protocol everything up to the next Sync is skipped, simple queries too;
//! * an error in a simple query ends that query only;
//! * a batch of the extended protocol stays open until its Sync, also when all of it has been answered.

use std::collections::VecDeque;

use howdah_wire::backend::{TransactionStatus, tag};

use super::copy_in::CopyIn;
use super::{Expected, Kind, Subject};

/// The queue of replies owed.
#[derive(Debug)]
pub struct Outstanding {
    pub(super) queue: VecDeque<Expected>,
    /// An error was reported and no Sync has been sent since: the server skips what it gets.
    pub(super) skipping: bool,
    /// Messages of the extended protocol have been sent, and no Sync after them.
    pub(super) unsynced: bool,
    /// Among them may be something that makes all prepared statements vanish.
    pub(super) clears: bool,
    /// The simple query at the head has been answered with something.
    answered: bool,
    /// The client was made to wait until the next entry is settled.
    pub(super) stalled: bool,
    pub(super) copy: CopyIn,
    /// Replies of Howdah's own that have joined the queue since the server was last made to flush.
    given_unflushed: u16,
    /// Counts Syncs and simple queries sent; entries of one batch share the fate of an error.
    pub(super) batch: u32,
    pub(super) status: TransactionStatus,
}

/// What a reply means for the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
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
pub(crate) struct Doubt;

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
    /// Makes the client wait until the next entry is settled.
    pub(in crate::session) fn stall(&mut self) {
        self.stalled = true;
    }

    /// Notes a message that goes to the server (or a reply Howdah will give in its place).
    #[inline]
    pub(crate) fn push(&mut self, expected: Expected) {
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
    pub(in crate::session) fn push_given(&mut self, expected: Expected) -> bool {
        self.push(Expected { given: true, ..expected });
        self.given_unflushed += 1;
        let flush = self.given_unflushed >= MAX_GIVEN_UNFLUSHED;
        if flush {
            self.given_unflushed = 0;
        }
        flush
    }

    /// The reply Howdah itself owes next, if its turn has come.
    pub(crate) fn next_given(&mut self) -> Option<Expected> {
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
    pub(in crate::session) fn rows_are_theirs(&mut self) -> bool {
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
    pub(crate) fn answer(&mut self, reply: u8) -> Result<Answer, Doubt> {
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
    pub(crate) fn fail(&mut self, mut dropped: impl FnMut(Expected)) -> Result<Option<Expected>, Doubt> {
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
    pub(crate) fn ready(&mut self, status: TransactionStatus) -> Result<Expected, Doubt> {
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

    /// The client has gone: what the rest of the queue brings is nobody's.
    pub(crate) fn disown(&mut self) {
        self.queue.retain(|e| !e.given);
        for entry in &mut self.queue {
            entry.client_op = false;
        }
        self.stalled = false;
        self.drop_idle_copy_marks();
    }

    /// A part of the answer to the head, which asks what a statement looks like; `last`: there will be no more.
    pub(in crate::session) fn tell(&mut self, last: bool) -> Option<Expected> {
        let head = *self.queue.front()?;
        self.answered = true;
        self.copy.surplus = 0;
        if last {
            self.pop();
            self.drop_idle_copy_marks();
        }
        Some(head)
    }

    /// The end of the client's batch is Howdah's affair; false: it has not been sent.
    #[must_use]
    pub(in crate::session) fn take_over_end(&mut self) -> bool {
        if let Some(end) = self.queue.front_mut() {
            end.ours = true;
        }
        !self.queue.is_empty()
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

/// Replies given by Howdah are no output of PostgreSQL's that would make it flush.
const MAX_GIVEN_UNFLUSHED: u16 = 2048;
