//! What is still owed, and what a message sent now would come behind.
//!
//! Only questions: what changes the queue stands in `queue` and `copy_in`.

use howdah_wire::backend::TransactionStatus;

use super::{Expected, Kind, Outstanding, Subject};

impl Outstanding {
    /// The last ReadyForQuery's word.
    #[inline]
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        self.status
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

    /// What is sent next is sent within a transaction that the client has begun, unless that one fails.
    #[must_use]
    pub fn is_amid_transaction(&self) -> bool {
        self.status == TransactionStatus::InTransaction && !self.owes_ready()
    }

    /// What the client has carried out next begins a transaction.
    #[must_use]
    pub fn is_between_transactions(&self) -> bool {
        let runs = |entry: &Expected| entry.kind == Kind::Execute || entry.ends_with_ready();
        self.status == TransactionStatus::Idle && !self.queue.iter().any(|entry| !entry.ours && runs(entry))
    }

    /// What is sent next begins a transaction of its own, and nothing of the client's is under way.
    #[must_use]
    pub(in crate::session) fn begins_batch(&self) -> bool {
        let nothing = self.queue.iter().all(|entry| entry.ours || entry.given);
        nothing && !self.wants_sync() && self.status == TransactionStatus::Idle
    }

    /// Nothing is owed and the server waits for no Sync.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.wants_sync()
    }

    /// A batch of the extended protocol has been begun and not ended by Sync.
    #[inline]
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.skipping || self.unsynced
    }

    /// The client has to wait with more: too much is owed, or what comes next depends on a reply.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stalled || self.queue.len() >= MAX_OWED
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

    /// Something that is owed may commit.
    #[must_use]
    pub fn may_commit(&self) -> bool {
        self.queue.iter().any(|e| e.commits)
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

    /// What is carried out now is part of a batch of Howdah's own that may fail.
    #[must_use]
    pub fn is_attempting(&self) -> bool {
        let end = self.queue.iter().find(|entry| entry.ends_with_ready());
        end.is_some_and(|end| end.subject == Subject::Attempt)
    }

    /// What the query at the head has done is corrected by a query of Howdah's own right behind it.
    #[must_use]
    pub fn is_correcting(&self) -> bool {
        self.queue.get(1).is_some_and(|next| next.subject == Subject::Correction && next.kind == Kind::Query)
    }

    /// Whose the reply is that comes next.
    #[must_use]
    pub fn head(&self) -> Option<&Expected> {
        self.queue.front()
    }

    /// It is Howdah's own turn to give a reply.
    #[inline]
    #[must_use]
    pub(in crate::session) fn head_is_given(&self) -> bool {
        self.queue.front().is_some_and(|head| head.given)
    }

    /// The reply at the head is Howdah's to swallow.
    #[must_use]
    pub fn head_is_ours(&self) -> bool {
        self.queue.front().is_some_and(|e| e.ours)
    }

    /// The simple query at the head is the last that was sent.
    #[must_use]
    pub fn head_is_last_query(&self) -> bool {
        self.queue.len() == 1 && self.queue.front().is_some_and(|head| head.kind == Kind::Query)
    }

    /// What is answered next is a correction of Howdah's own.
    #[must_use]
    pub fn head_corrects(&self) -> bool {
        self.queue.front().is_some_and(|head| head.subject == Subject::Correction)
    }

    /// The server works on a query of Howdah's own; what the client asked for comes after it.
    #[must_use]
    pub fn own_query_runs(&self) -> bool {
        self.queue.front().is_some_and(|e| e.ours && e.kind == Kind::Query)
    }
}

/// Entries after which the client has to wait. PostgreSQL flushes its output every 8 KiB, which is fewer
/// than 2,000 of the smallest replies, so waiting for one of these to be answered cannot take for ever.
const MAX_OWED: usize = 8192;
