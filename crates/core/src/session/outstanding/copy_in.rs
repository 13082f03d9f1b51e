//! What COPY FROM STDIN does to the messages sent around it.
//!
//! * Outside COPY the server ignores CopyData, CopyDone and CopyFail.
//! * Inside it ignores Sync and Flush: a Sync sent before the data is never answered. It is answered after
//!   all if COPY fails before it looks for data, in a trigger BEFORE INSERT FOR EACH STATEMENT: then no data
//!   need have been sent yet, or some ReadyForQuery comes too many, which [`Outstanding::ready`] recognises
//!   since what it would answer has not been answered with anything else.
//! * Whether a Sync among the data of a failed COPY ended the skipping cannot be told.

use super::{Doubt, Expected, Kind, Outstanding};

/// The COPY FROM STDIN that the head of the queue has begun, and what earlier ones have left in doubt.
#[derive(Debug, Default)]
pub(super) struct CopyIn {
    /// The message at the head reads data.
    reading: bool,
    /// Syncs sent before the data.
    early_syncs: u32,
    /// ReadyForQuerys that may yet come for early Syncs of a COPY that failed.
    pub(super) surplus: u32,
}

impl Outstanding {
    /// The server reads COPY data from its client and no end of it has been sent.
    #[must_use]
    pub fn wants_copy_data(&self) -> bool {
        self.copy.reading && self.queue.iter().all(|e| e.kind != Kind::CopyEnd)
    }

    /// The server goes on only with what the client says next, be it data or not: what has been sent already would end
    /// the COPY.
    #[must_use]
    pub fn waits_for_client(&self) -> bool {
        let is_no_request = |entry: &Expected| matches!(entry.kind, Kind::Sync | Kind::CopyData);
        self.wants_copy_data() && self.queue.iter().skip(1).all(is_no_request)
    }

    /// The end of some COPY data has been sent: a Sync before them may have been ignored.
    #[must_use]
    pub fn ends_copy(&self) -> bool {
        self.queue.iter().any(|entry| entry.kind == Kind::CopyEnd)
    }

    /// Nothing else is owed, but a ReadyForQuery may yet come: an empty query would tell.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.copy.surplus > 0 && self.is_empty()
    }

    /// The server reads data now: Syncs it finds before any data are ignored.
    pub(super) fn begin_copy_in(&mut self) {
        self.copy.reading = true;
        // Nothing goes on without the client.
        self.stalled = false;
        self.take_early_syncs();
        self.note_open_batch();
    }

    fn take_early_syncs(&mut self) {
        while self.queue.get(1).is_some_and(|e| e.kind == Kind::Sync) {
            self.queue.remove(1);
            self.copy.early_syncs += 1;
        }
    }

    /// A statement has succeeded, perhaps a COPY.
    #[inline]
    pub(super) fn end_copy_in(&mut self) -> Result<(), Doubt> {
        self.copy.early_syncs = 0;
        if std::mem::take(&mut self.copy.reading) { self.end_reading() } else { Ok(()) }
    }

    /// COPY has eaten everything up to its end mark.
    #[cold]
    fn end_reading(&mut self) -> Result<(), Doubt> {
        while let Some(entry) = self.queue.remove(1) {
            match entry.kind {
                Kind::CopyEnd => {
                    self.note_open_batch();
                    return Ok(());
                }
                Kind::CopyData | Kind::Sync => {}
                _ => return Err(Doubt),
            }
        }
        Err(Doubt)
    }

    /// The message at the head has failed, perhaps amid a COPY.
    pub(super) fn fail_copy_in(&mut self) -> Result<(), Doubt> {
        if !std::mem::take(&mut self.copy.reading) {
            return Ok(());
        }
        self.take_early_syncs();
        let early_syncs = std::mem::take(&mut self.copy.early_syncs);
        if self.queue.get(1).is_some_and(is_copy_mark) {
            self.copy.surplus += early_syncs;
        } else {
            for _ in 0..early_syncs {
                self.queue.insert(1, Expected::theirs(Kind::Sync));
            }
            self.note_open_batch();
        }
        match self.queue.front() {
            Some(head) if head.kind == Kind::Query => self.forget_copy_of_query(),
            _ if self.sync_amid_copy() => Err(Doubt),
            _ => Ok(()),
        }
    }

    /// Outside COPY the server ignores copy messages: their marks at the head mean nothing.
    #[inline]
    pub(super) fn drop_idle_copy_marks(&mut self) {
        while self.queue.front().is_some_and(is_copy_mark) {
            self.queue.pop_front();
        }
    }

    /// A ReadyForQuery that fits nothing: an early Sync was not ignored after all, and has ended the skipping.
    pub(super) fn surplus_sync(&mut self) -> Result<Expected, Doubt> {
        self.copy.surplus = self.copy.surplus.checked_sub(1).ok_or(Doubt)?;
        self.skipping = false;
        Ok(Expected::theirs(Kind::Sync))
    }

    /// A COPY inside a simple query failed. What was sent for it is ignored by the server; any other
    /// message behind it may have been eaten as the cause of the failure or be run next: nobody knows.
    fn forget_copy_of_query(&mut self) -> Result<(), Doubt> {
        let mut data = false;
        while self.queue.get(1).is_some_and(is_copy_mark) {
            if self.queue.remove(1).is_some_and(|e| e.kind == Kind::CopyEnd) {
                return Ok(());
            }
            data = true;
        }
        match self.queue.get(1) {
            Some(next) if data || next.kind != Kind::Sync => Err(Doubt),
            _ => Ok(()),
        }
    }

    fn sync_amid_copy(&self) -> bool {
        let amid = |e: &&Expected| matches!(e.kind, Kind::CopyData | Kind::Sync);
        let mut data = self.queue.iter().skip(1).take_while(amid);
        data.next().is_some_and(|e| e.kind == Kind::CopyData) && data.any(|e| e.kind == Kind::Sync)
    }

    /// A Sync has turned out to be ignored, or not to be: is the last batch open?
    fn note_open_batch(&mut self) {
        let last = self.queue.iter().rev().take_while(|e| e.kind != Kind::Sync);
        self.unsynced = last.take_while(|e| e.kind != Kind::Query).any(Expected::opens_batch);
    }
}

fn is_copy_mark(entry: &Expected) -> bool {
    matches!(entry.kind, Kind::CopyData | Kind::CopyEnd)
}
