//! What waits for one client.
//!
//! PostgreSQL keeps what a slow listener has not taken in a queue of 8 GB that all of them share, and when that is
//! full every NOTIFY in the cluster fails. Here the slow client pays: its inbox is bounded, and when it is full the
//! client is told so and its connection closed. It then knows that it has missed something; one that was kept on
//! with holes between its notifications would not.

use std::collections::VecDeque;
use std::sync::Arc;

use thiserror::Error;

use super::Channel;

/// Whole messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    items: VecDeque<Item>,
    /// What all of them take.
    bytes: usize,
    /// Items whose LISTEN is not confirmed yet.
    expected: usize,
}

#[derive(Debug)]
struct Item {
    message: Arc<[u8]>,
    /// It is the client's only if its LISTEN to this channel is confirmed.
    expected: Option<Channel>,
}

/// More waits for a client than it may leave waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{messages} notifications of {bytes} bytes were waiting for the client")]
pub struct Overflow {
    /// How many messages.
    pub messages: usize,
    /// Their bytes, with what keeping them takes.
    pub bytes: usize,
}

impl Inbox {
    /// Adds a message; `expected`: as long as this channel's LISTEN is not confirmed it is not the client's.
    pub(super) fn push(&mut self, message: &Arc<[u8]>, expected: Option<&Channel>) -> Result<(), Overflow> {
        self.bytes += message.len() + COST;
        self.expected += usize::from(expected.is_some());
        self.items.push_back(Item { message: Arc::clone(message), expected: expected.cloned() });
        if self.bytes > MOST_WAITING {
            return Err(Overflow { messages: self.items.len(), bytes: self.bytes });
        }
        Ok(())
    }

    /// The client's LISTENs have been settled: what was kept for those that came to nothing is dropped.
    pub(super) fn settle(&mut self, confirmed: impl Fn(&Channel) -> bool) {
        if self.expected == 0 {
            return;
        }
        self.expected = 0;
        let bytes = &mut self.bytes;
        self.items.retain_mut(|item| {
            let keep = item.expected.take().is_none_or(|channel| confirmed(&channel));
            if !keep {
                *bytes -= item.message.len() + COST;
            }
            keep
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Moves messages that are the client's to `out`, until that has grown by `most` bytes or more.
    /// Returns how many.
    pub(super) fn take(&mut self, most: usize, out: &mut Vec<u8>) -> u64 {
        let (start, mut taken) = (out.len(), 0);
        while out.len() - start < most
            && let Some(item) = self.items.pop_front_if(|item| item.expected.is_none())
        {
            self.bytes -= item.message.len() + COST;
            out.extend_from_slice(&item.message);
            taken += 1;
        }
        if self.items.is_empty() {
            // A client that has caught up keeps no memory.
            self.items = VecDeque::new();
        }
        taken
    }
}

/// What may wait for one client, in bytes. The longest payload fits five hundred times.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// What keeping an item takes beside its bytes.
const COST: usize = size_of::<Item>();

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    fn taken(inbox: &mut Inbox, most: usize) -> String {
        let mut out = Vec::new();
        inbox.take(most, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_not_the_clients_yet_stays_in_its_place() {
        let (news, other) = (Channel::new(b"news").unwrap(), Channel::new(b"other").unwrap());
        let mut inbox = Inbox::default();
        for (text, expected) in [("1", None), ("2", Some(&news)), ("3", Some(&other)), ("4", None)] {
            inbox.push(&message(text), expected).unwrap();
        }
        assert_eq!(taken(&mut inbox, 100), "1");
        inbox.settle(|channel| *channel == news);
        assert_eq!(taken(&mut inbox, 1), "2");
        assert_eq!(taken(&mut inbox, 100), "4");
        assert_eq!((inbox.bytes, inbox.is_empty()), (0, true));
    }

    #[test]
    fn it_is_bounded_however_small_its_items_are() {
        let mut inbox = Inbox::default();
        let full = (0..1_000_000).find_map(|_| inbox.push(&message("1234567"), None).err());
        let full = full.expect("a million items are too many");
        assert!(full.messages < 200_000 && full.bytes > MOST_WAITING, "{full}");
    }
}
