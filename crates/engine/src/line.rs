//! Who is in line for a server connection, and what they have been told.
//!
//! Whose turn it is decides `howdah_core::pool`; here are the wakers of those who wait, and what waits for those who
//! have been woken. A place is found without a search, and holds so little that a thousand of them stay in the cache.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use howdah_core::pool::{Refusal, Ticket};
use rustc_hash::FxHashMap;

use crate::server_conn::ServerConn;

/// All who are in line, of all pools.
#[derive(Default)]
pub(crate) struct Line {
    /// By the slots of their tickets.
    places: Vec<Option<Place>>,
    /// What they have not heard yet. They are few: who is told something is woken.
    told: FxHashMap<Ticket, Told>,
}

struct Place {
    ticket: Ticket,
    waker: Waker,
}

/// What somebody in line is told.
pub(crate) enum Told {
    /// It has this connection, perhaps to be checked first.
    Granted { conn: Box<ServerConn>, check: bool },
    /// It gets none.
    Refused(Box<Refusal>),
    /// It is in line for so long that its client is to be told.
    StillWaiting(Duration),
}

impl Line {
    /// Somebody joins. Whoever had this slot before has left.
    pub(crate) fn join(&mut self, ticket: Ticket, waker: Waker) {
        let slot = ticket.slot();
        if self.places.len() <= slot {
            self.places.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.places.get_mut(slot) {
            *place = Some(Place { ticket, waker });
        }
    }

    /// What this one is told; if nothing, whom to wake when it is.
    pub(crate) fn poll(&mut self, ticket: Ticket, cx: &Context<'_>) -> Poll<Told> {
        if let Some(told) = self.told.remove(&ticket) {
            return Poll::Ready(told);
        }
        let Some(place) = self.place(ticket) else {
            return Poll::Ready(Told::Refused(Box::new(Refusal::Killed)));
        };
        place.waker.clone_from(cx.waker());
        Poll::Pending
    }

    /// Its time in line has ended.
    pub(crate) fn end(&mut self, ticket: Ticket, told: Told) {
        if let Some(place) = self.take(ticket) {
            self.told.insert(ticket, told);
            place.waker.wake();
        }
    }

    /// It is told something, and stays.
    pub(crate) fn notify(&mut self, ticket: Ticket, waited: Duration) {
        if let Some(place) = self.place(ticket) {
            place.waker.wake_by_ref();
            self.told.insert(ticket, Told::StillWaiting(waited));
        }
    }

    /// It leaves of its own will. What it has not heard of comes back.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Told> {
        self.take(ticket);
        self.told.remove(&ticket)
    }

    fn place(&mut self, ticket: Ticket) -> Option<&mut Place> {
        self.places.get_mut(ticket.slot())?.as_mut().filter(|place| place.ticket == ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Option<Place> {
        self.places.get_mut(ticket.slot())?.take_if(|place| place.ticket == ticket)
    }
}
