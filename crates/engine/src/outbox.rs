//! The small sends of one turn of a worker's loop, sent together.
//!
//! Each send wakes its receiver, which on a busy machine takes the processor away from us; a whole turn's
//! sends in one system call cost less and disturb less (`docs/performance.md` has the measurements). A turn
//! ends when the flusher's task is polled: it is woken by the first send of a turn and so comes after the
//! tasks that were ready then.
//!
//! Bytes wait in the arena with the descriptor they are for. So a connection must not be closed, moved to
//! another worker or written to otherwise before they are gone: [`Outbox::settle`].

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use howdah_core::settings::IoEngine;
use rustc_hash::FxHashMap;

use crate::client_card::ClientCard;
use crate::uring::{Ring, send_one};
use crate::worker::Worker;

/// A worker's outbox.
pub(crate) struct Outbox {
    /// Without a ring every send goes out at once.
    ring: Option<RefCell<Ring>>,
    /// `None`: with or without, sends are queued.
    company: Option<Company>,
    queue: RefCell<Queue>,
    /// Number of the turn under way, from 1.
    turn: Cell<u64>,
    flusher: RefCell<Waker>,
    /// How many troubles there are to collect.
    troubles: Cell<usize>,
}

#[derive(Default)]
struct Queue {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    troubled: FxHashMap<RawFd, Trouble>,
}

struct Entry {
    fd: RawFd,
    bytes: Range<usize>,
    /// Who is woken when the send does not go smoothly.
    owner: Rc<ClientCard>,
}

/// What came of a send that did not go smoothly.
pub(crate) enum Trouble {
    /// The kernel did not take these bytes.
    Unsent(Vec<u8>),
    /// The connection is broken.
    Broken(io::Error),
}

/// Do sends have company in their turn? One that has none had better gone out at once: whoever waits for it would have
/// been woken earlier.
struct Company {
    /// How many sends a turn has had of late, in [`ALONE`]ths.
    average: Cell<usize>,
    /// Of the turn under way, so far.
    sends: Cell<usize>,
    /// How many more go out at once before turns are looked at again.
    at_once: Cell<u32>,
}

impl Company {
    fn new() -> Company {
        Company { average: Cell::new(FRESH), sends: Cell::new(0), at_once: Cell::new(0) }
    }

    /// Is it missing, so that this send goes out at once? Asked once for each send.
    #[inline]
    fn is_missing(&self) -> bool {
        let left = self.at_once.get();
        self.at_once.set(left.saturating_sub(1));
        left > 0
    }

    /// So many go together, in this turn and perhaps not as all of it.
    fn note(&self, sends: usize) {
        self.sends.set(self.sends.get() + sends);
    }

    fn end_turn(&self) {
        let sends = self.sends.take();
        if sends == 0 {
            return;
        }
        let average = (self.average.get() * (MEMORY - 1) + sends * ALONE) / MEMORY;
        let little = average < LITTLE;
        if little {
            self.at_once.set(AT_ONCE);
        }
        // Next time a few turns are to decide.
        self.average.set(if little { FRESH } else { average });
    }
}

impl Outbox {
    pub(crate) fn new(ring: Option<Ring>, engine: IoEngine) -> Outbox {
        Outbox {
            company: (engine == IoEngine::Auto).then(Company::new),
            ring: ring.map(RefCell::new),
            queue: RefCell::default(),
            turn: Cell::new(1),
            flusher: RefCell::new(Waker::noop().clone()),
            troubles: Cell::new(0),
        }
    }

    /// A send of this length is better queued now than sent at once. Asked once for each send.
    #[inline]
    pub(crate) fn takes(&self, len: usize) -> bool {
        self.ring.is_some() && len <= LONGEST && !self.company.as_ref().is_some_and(Company::is_missing)
    }

    /// The turn under way: what is queued in it has not been sent.
    #[inline]
    pub(crate) fn turn(&self) -> u64 {
        self.turn.get()
    }

    /// Queues bytes for a connection that has none queued in this turn.
    pub(crate) fn queue(&self, fd: RawFd, bytes: &[u8], owner: &Rc<ClientCard>) {
        let mut queue = self.queue.borrow_mut();
        let start = queue.arena.len();
        queue.arena.extend_from_slice(bytes);
        let bytes = start..queue.arena.len();
        queue.entries.push(Entry { fd, bytes, owner: Rc::clone(owner) });
        let full = queue.entries.len() >= Ring::ENTRIES;
        let first = queue.entries.len() == 1;
        drop(queue);
        if full {
            self.flush();
        } else if first {
            self.flusher.borrow().wake_by_ref();
        }
    }

    /// What was queued in turn `queued_in` has been sent when this returns.
    #[inline]
    pub(crate) fn settle(&self, queued_in: u64) {
        if queued_in == self.turn.get() {
            self.flush();
        }
    }

    /// What came of this connection's sends, if they did not go smoothly.
    #[inline]
    pub(crate) fn collect(&self, fd: RawFd) -> Option<Trouble> {
        if self.troubles.get() == 0 {
            return None;
        }
        let trouble = self.queue.borrow_mut().troubled.remove(&fd)?;
        self.troubles.set(self.troubles.get() - 1);
        Some(trouble)
    }

    /// Ends the turn: everything queued is sent.
    fn flush(&self) {
        let Queue { arena, entries, troubled } = &mut *self.queue.borrow_mut();
        self.turn.set(self.turn.get() + 1);
        let mut note = |entry: &Entry, arena: &[u8], result: io::Result<usize>| {
            let bytes = arena.get(entry.bytes.clone()).unwrap_or_default();
            let trouble = match result {
                Ok(sent) if sent == bytes.len() => return,
                Ok(sent) => Trouble::Unsent(bytes.get(sent..).unwrap_or_default().to_vec()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Trouble::Unsent(bytes.to_vec()),
                Err(error) => Trouble::Broken(error),
            };
            troubled.insert(entry.fd, trouble);
            entry.owner.wake();
        };
        if let Some(company) = &self.company {
            company.note(entries.len());
        }
        match (entries.as_slice(), &self.ring) {
            ([], _) => {}
            ([entry], _) | ([entry, ..], None) => {
                let bytes = arena.get(entry.bytes.clone()).unwrap_or_default();
                note(entry, arena, send_one(entry.fd, bytes));
            }
            (entries, Some(ring)) => {
                let sends = entries.iter().map(|entry| (entry.fd, entry.bytes.clone()));
                ring.borrow_mut().send_all(arena, sends, |index, result| {
                    if let Some(entry) = entries.get(index) {
                        note(entry, arena, result);
                    }
                });
            }
        }
        self.troubles.set(troubled.len());
        entries.clear();
        arena.clear();
    }

    /// Ends each turn when the tasks that were ready in it have been polled.
    pub(crate) fn flush_turns(worker: Rc<Worker>) -> impl Future<Output = ()> {
        std::future::poll_fn(move |cx| {
            let outbox = &worker.outbox;
            outbox.flusher.borrow_mut().clone_from(cx.waker());
            outbox.flush();
            if let Some(company) = &outbox.company {
                company.end_turn();
            }
            Poll::Pending
        })
    }
}

/// Longer spans go out at once: copying them would cost more than it saves.
const LONGEST: usize = 4 * 1024;
/// A turn of one send, on the scale of [`Company::average`].
const ALONE: usize = 256;
/// The average before anything is known.
const FRESH: usize = 2 * ALONE;
/// An average below this is little company.
const LITTLE: usize = ALONE * 3 / 2;
/// How many turns the average is about.
const MEMORY: usize = 16;
/// Sends that go out at once when there was little company.
const AT_ONCE: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many sends of the next turns are queued, if a turn has so many.
    fn queued(company: &Company, sends: usize, turns: usize) -> usize {
        let mut queued = 0;
        for _ in 0..turns {
            let together = (0..sends).filter(|_| !company.is_missing()).count();
            // It makes no difference if some have to go earlier than the others.
            company.note(together / 2);
            company.note(together - together / 2);
            company.end_turn();
            queued += together;
        }
        queued
    }

    #[test]
    fn who_is_alone_is_soon_sent_at_once() {
        let company = Company::new();
        assert!(queued(&company, 1, 1_000) < 100);
    }

    #[test]
    fn company_is_noticed_again() {
        let company = Company::new();
        queued(&company, 1, 1_000);
        queued(&company, 8, 100);
        assert_eq!(queued(&company, 8, 100), 800);
    }

    #[test]
    fn a_few_single_sends_say_nothing() {
        let company = Company::new();
        queued(&company, 4, 100);
        assert_eq!(queued(&company, 1, 8), 8);
    }
}
