//! Where do messages begin in a stream that comes in pieces? Only their beginnings are looked at and kept,
//! so a result of any size costs no memory.

use howdah_wire::{FrameError, FrameHeader};

/// What is in the middle of being read.
#[derive(Default)]
pub(crate) struct Replies {
    /// The beginning of a message, too short to be shown.
    kept: Vec<u8>,
    /// What is still to come of a message already shown.
    rest: usize,
}

impl Replies {
    /// Shows each message that begins in `bytes`, or whose beginning is complete with them: its tag and the
    /// first [`SHOWN`] bytes of its body.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut show: impl FnMut(u8, &[u8])) -> Result<(), FrameError> {
        let joined;
        let mut left = if self.kept.is_empty() {
            bytes
        } else {
            self.kept.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.kept);
            &joined
        };
        loop {
            let over = self.rest.min(left.len());
            self.rest -= over;
            left = &left[over..];
            let Some(header) = FrameHeader::parse(left)? else { break };
            let needed = header.total().min(FrameHeader::SIZE + SHOWN);
            let Some(beginning) = left.get(FrameHeader::SIZE..needed) else { break };
            show(header.tag, beginning);
            self.rest = header.total();
        }
        self.kept.extend_from_slice(left);
        Ok(())
    }
}

/// How much of a body is shown.
pub(crate) const SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_the_stream_is_cut_the_messages_are_the_same() {
        let mut stream = Vec::new();
        for (tag, size) in [(b'T', 0), (b'D', 5), (b'D', SHOWN), (b'D', 3 * SHOWN), (b'C', 9), (b'Z', 1)] {
            howdah_wire::write_message(&mut stream, tag, &vec![tag; size]);
        }
        let whole = messages(&[&stream]);
        assert_eq!(whole, "T0 D5 D160 D160 C9 Z1");
        for at in 0..stream.len() {
            assert_eq!(messages(&[&stream[..at], &stream[at..]]), whole, "cut at {at}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(messages(&single), whole);
    }

    fn messages(pieces: &[&[u8]]) -> String {
        let (mut replies, mut seen) = (Replies::default(), Vec::new());
        for piece in pieces {
            let show = |tag, body: &[u8]| seen.push(format!("{}{}", char::from(tag), body.len()));
            replies.feed(piece, show).unwrap();
        }
        seen.join(" ")
    }
}
