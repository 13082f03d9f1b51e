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
}

#[derive(Debug)]
struct Item {
    message: Arc<[u8]>,
    /// Where it was sent to; `None`: it is Howdah's own word.
    channel: Option<Channel>,
    /// It is the client's only if its LISTEN is confirmed.
    expected: bool,
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

impl Overflow {
    /// What may wait for one client, in bytes. The longest payload fits five hundred times.
    pub const LIMIT: usize = 4 * 1024 * 1024;
}

impl Inbox {
    /// Adds a message; `expected`: as long as its channel's LISTEN is not confirmed it is not the client's.
    pub(super) fn push(
        &mut self,
        message: &Arc<[u8]>,
        channel: Option<&Channel>,
        expected: bool,
    ) -> Result<(), Overflow> {
        self.bytes += message.len() + COST;
        self.items.push_back(Item { message: Arc::clone(message), channel: channel.cloned(), expected });
        if self.bytes > Overflow::LIMIT {
            return Err(Overflow { messages: self.items.len(), bytes: self.bytes });
        }
        Ok(())
    }

    /// The client's transaction has ended, and these are its channels now: what was kept for others is dropped, as
    /// PostgreSQL passes nothing on inside a transaction, and after it by what it came to.
    pub(super) fn settle(&mut self, confirmed: impl Fn(&Channel) -> bool) {
        let bytes = &mut self.bytes;
        self.items.retain_mut(|item| {
            item.expected = false;
            let keep = item.channel.as_ref().is_none_or(&confirmed);
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
            && let Some(item) = self.items.pop_front_if(|item| !item.expected)
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
        for (text, channel, expected) in
            [("1", &other, false), ("2", &news, true), ("3", &other, true), ("4", &news, false)]
        {
            inbox.push(&message(text), Some(channel), expected).unwrap();
        }
        inbox.push(&message("5"), None, false).unwrap();
        assert_eq!(taken(&mut inbox, 100), "1");
        inbox.settle(|channel| *channel == news);
        assert_eq!(taken(&mut inbox, 1), "2");
        assert_eq!(taken(&mut inbox, 100), "45");
        assert_eq!((inbox.bytes, inbox.is_empty()), (0, true));
    }

    #[test]
    fn it_is_bounded_however_small_its_items_are() {
        let mut inbox = Inbox::default();
        let full = (0..1_000_000).find_map(|_| inbox.push(&message("1234567"), None, false).err());
        let full = full.expect("a million items are too many");
        assert!(full.messages < 200_000 && full.bytes > Overflow::LIMIT, "{full}");
    }
}
