//! Whose turn is it in a pool's line?
//!
//! A connection goes to the first waiter of the worker that gave it back, since moving it between workers costs
//! time. Another worker's waiter comes before if it has waited clearly longer, or was first passed over a while
//! ago. So nobody is passed over for longer than two milliseconds, nor by who came that much later, nor by more
//! than twice the pool's size of later arrivals.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use slab::Slab;

use super::lanes::{Lanes, Links, Member};
use super::{PoolId, Ticket, WorkerId};

/// All waiters of all pools.
#[derive(Default)]
pub(super) struct Queue {
    waiters: Slab<Waiter>,
    arrived: u64,
}

impl Queue {
    /// Joins a line at its end.
    pub(super) fn join(&mut self, line: &mut Line, pool: PoolId, worker: WorkerId, now: Instant) -> Ticket {
        self.arrived += 1;
        line.arrived += 1;
        let entry = self.waiters.vacant_entry();
        let slot = entry.key();
        let ticket = Ticket {
            number: self.arrived,
            slot: u32::try_from(slot).expect("more waiters than memory holds clients"),
        };
        let place = line.arrived;
        entry.insert(Waiter { ticket, pool, since: now, place, notified: false, links: Links::default() });
        line.lanes.push(&mut self.waiters, slot, worker);
        ticket
    }

    /// Leaves the line, whose turn or will it may be.
    pub(super) fn leave(&mut self, line: &mut Line, ticket: Ticket) {
        let slot = ticket.slot();
        line.lanes.remove(&mut self.waiters, slot);
        self.waiters.remove(slot);
    }

    /// The waiter with this ticket, unless it is in line no more.
    pub(super) fn find(&mut self, ticket: Ticket) -> Option<&mut Waiter> {
        self.waiters.get_mut(ticket.slot()).filter(|waiter| waiter.ticket == ticket)
    }

    /// Who has been in this line longest.
    #[inline]
    pub(super) fn first(&self, line: &Line) -> Option<&Waiter> {
        self.waiters.get(line.lanes.first()?)
    }

    /// Who gets what this worker gives back, and now has to be given it.
    #[inline]
    pub(super) fn next(&self, line: &mut Line, worker: WorkerId, size: u32, now: Instant) -> Option<&Waiter> {
        let oldest = self.first(line)?;
        let own = line.lanes.first_of(worker).and_then(|slot| self.waiters.get(slot));
        let Some(own) = own.filter(|own| own.place != oldest.place) else { return Some(oldest) };
        let passed_over = line.passed_over(oldest.place);
        let too_far_ahead = own.place - oldest.place > 2 * u64::from(size);
        let too_long_before = oldest.waited(now) >= own.waited(now) + LOCAL_ADVANTAGE;
        let too_long_ago = passed_over.is_some_and(|since| now >= since + LOCAL_ADVANTAGE);
        if too_far_ahead || too_long_before || too_long_ago {
            return Some(oldest);
        }
        line.passes(own.place, now);
        Some(own)
    }

    /// Everybody in this line, longest there first.
    pub(super) fn iter<'a>(&'a self, line: &'a Line) -> impl Iterator<Item = &'a Waiter> {
        line.lanes.iter(&self.waiters).filter_map(|slot| self.waiters.get(slot))
    }
}

/// The line of one pool.
#[derive(Default)]
pub(super) struct Line {
    lanes: Lanes,
    arrived: u64,
    /// Places that were served out of turn, and when: only those that passed over somebody nobody before had.
    /// Both ascend. There are never more than places may be passed over at once, and their memory is kept.
    out_of_turn: VecDeque<(u64, Instant)>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.len() == 0
    }

    /// When the oldest waiter was first passed over, which has this place.
    fn passed_over(&mut self, oldest: u64) -> Option<Instant> {
        while self.out_of_turn.pop_front_if(|(place, _)| *place < oldest).is_some() {}
        self.out_of_turn.front().map(|(_, since)| *since)
    }

    /// This place is served out of turn.
    fn passes(&mut self, place: u64, now: Instant) {
        if self.out_of_turn.back().is_none_or(|(last, _)| *last < place) {
            self.out_of_turn.push_back((place, now));
        }
    }
}

/// Somebody in line.
pub(super) struct Waiter {
    pub(super) ticket: Ticket,
    pub(super) pool: PoolId,
    pub(super) since: Instant,
    /// Has been told that it still waits.
    pub(super) notified: bool,
    /// How many had come to this line when it did.
    place: u64,
    links: Links,
}

impl Waiter {
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Member for Waiter {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// How much later a waiter of the own worker may have come and still be served first, and for how long that may go
/// on.
const LOCAL_ADVANTAGE: Duration = Duration::from_millis(2);
