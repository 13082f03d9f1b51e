//! What to do with the next bytes of one direction.

use crate::facts::CloseReason;

/// The word on the next bytes. What stands in the [`Patch`] is sent after the span has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next bytes go on as they are.
    Forward(usize),
    /// The next bytes go no further.
    Skip(usize),
    /// Nothing can be said before more bytes are there; keep what is not dealt with. Bounded: no message
    /// is waited for that is longer than [`MAX_HELD`](Verdict::MAX_HELD).
    Hold,
    /// The client's next message needs a server connection, and it has none.
    NeedServer,
    /// This side's connection has to end.
    Leave(CloseReason),
}

impl Verdict {
    /// The most bytes a [`Hold`](Verdict::Hold) may ask to keep.
    pub const MAX_HELD: usize = 1024 * 1024 + 16;
    /// What a client without a server connection may have sent that has not been dealt with. A longer message
    /// gets one when so much of it is there, a shorter one when it is whole: who asks slowly keeps nobody waiting.
    pub const MAX_IDLE: usize = 8 * 1024;

    /// So many bytes go on as they are; nothing can be said of what follows.
    #[inline]
    pub(super) fn so_far(passed: usize) -> Verdict {
        if passed > 0 { Verdict::Forward(passed) } else { Verdict::Hold }
    }
}

/// Bytes of Howdah's own, to be sent after the span of the verdict they came with.
#[derive(Debug, Default)]
pub struct Patch {
    /// For the server.
    pub to_server: Vec<u8>,
    /// For the client.
    pub to_client: Vec<u8>,
}

impl Patch {
    /// Forgets the bytes, keeps the memory.
    pub fn clear(&mut self) {
        self.to_server.clear();
        self.to_client.clear();
    }
}
