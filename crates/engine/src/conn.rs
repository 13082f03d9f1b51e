//! A socket, what could not be sent on it yet, and what was read and not dealt with.
//!
//! Every send of the engine goes through [`Conn::send`]: one place, so that sends can be batched there.

use std::io;
use std::task::{Context, Poll, ready};

use crate::net::Socket;

/// A connection of either kind. Both buffers are empty, and own no memory, while nothing is under way.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) socket: Socket,
    unsent: Vec<u8>,
    /// Bytes read that the machines could not deal with yet: a message that is not whole.
    pub(crate) held: Vec<u8>,
}

impl Conn {
    pub(crate) fn new(socket: Socket) -> Conn {
        Conn { socket, unsent: Vec::new(), held: Vec::new() }
    }

    /// Sends now what can be sent now, and keeps the rest for [`poll_flush`](Self::poll_flush).
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.unsent.is_empty() {
            while !bytes.is_empty() {
                match self.socket.send_now(bytes) {
                    Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// All that was sent is with the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Sends what was left over.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut sent = 0;
        while let Some(left) = self.unsent.get(sent..).filter(|left| !left.is_empty()) {
            match self.socket.poll_write(cx, left) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => sent += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.unsent.drain(..sent);
                    return Poll::Pending;
                }
            }
        }
        self.unsent = Vec::new();
        Poll::Ready(Ok(()))
    }

    /// Waits until all has been sent.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Reads more into `held`, at most up to `limit` bytes there. 0: end of file.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut [u8],
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let room = limit.saturating_sub(self.held.len()).min(scratch.len());
        let buffer = scratch.get_mut(..room).unwrap_or_default();
        let read = ready!(self.socket.poll_read(cx, buffer))?;
        self.held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Poll::Ready(Ok(read))
    }

    /// Drops the first `n` held bytes, and the memory with the last of them.
    pub(crate) fn consume(&mut self, n: usize) {
        if n >= self.held.len() {
            self.held = Vec::new();
        } else {
            self.held.drain(..n);
        }
    }
}
