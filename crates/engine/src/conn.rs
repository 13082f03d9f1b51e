//! A socket, what could not be sent on it yet, and what was read and not dealt with.
//!
//! Every send of the engine goes through here: [`Conn::post`] where the worker's outbox may gather it with
//! others of the same turn, [`Conn::send`] where it has to go now.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::client_card::ClientCard;
use crate::net::Socket;
use crate::outbox::{Outbox, Trouble};

/// A connection of either kind. Both buffers are empty, and own no memory, while nothing is under way.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) socket: Socket,
    unsent: Vec<u8>,
    /// The turn of the outbox in which bytes were queued there; they are gone once it has ended.
    queued_in: u64,
    /// Bytes read that the machines could not deal with yet: a message that is not whole.
    pub(crate) held: Vec<u8>,
}

impl Conn {
    pub(crate) fn new(socket: Socket) -> Conn {
        Conn { socket, unsent: Vec::new(), queued_in: 0, held: Vec::new() }
    }

    /// Sends now what can be sent now, and keeps the rest for [`poll_flush`](Self::poll_flush).
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn send(&mut self, outbox: &Outbox, mut bytes: &[u8]) -> io::Result<()> {
        self.settle(outbox)?;
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

    /// Sends at the end of this turn of the worker's loop, or now where that is better. `owner` is woken
    /// when something is left over for [`poll_flush`](Self::poll_flush).
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn post(&mut self, outbox: &Outbox, bytes: &[u8], owner: &Rc<ClientCard>) -> io::Result<()> {
        if let Some(fd) = self.socket.descriptor().filter(|_| outbox.takes(bytes.len())) {
            self.settle(outbox)?;
            if self.unsent.is_empty() {
                self.queued_in = outbox.turn();
                outbox.queue(fd, bytes, owner);
                return Ok(());
            }
        }
        self.send(outbox, bytes)
    }

    /// What was queued has been sent when this returns, or is left over as with any send.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn settle(&mut self, outbox: &Outbox) -> io::Result<()> {
        if self.queued_in == 0 {
            return Ok(());
        }
        outbox.settle(self.queued_in);
        self.hear(outbox)
    }

    /// Hears what came of what was queued, if that turn has ended.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn hear(&mut self, outbox: &Outbox) -> io::Result<()> {
        if self.queued_in == 0 || self.queued_in == outbox.turn() {
            return Ok(());
        }
        self.queued_in = 0;
        match self.socket.descriptor().and_then(|fd| outbox.collect(fd)) {
            None => Ok(()),
            Some(Trouble::Unsent(bytes)) => {
                self.unsent = bytes;
                Ok(())
            }
            Some(Trouble::Broken(error)) => Err(error),
        }
    }

    /// These bytes go out in front of what is sent next.
    pub(crate) fn hold_back(&mut self, mut bytes: Vec<u8>) {
        if self.unsent.is_empty() {
            self.unsent = bytes;
        } else {
            self.unsent.append(&mut bytes);
        }
    }

    /// What was held back, to be sent by the caller together with more.
    pub(crate) fn take_held_back(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unsent)
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
        let buffer = self.room(scratch, limit);
        let read = ready!(self.socket.poll_read(cx, buffer))?;
        self.held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Poll::Ready(Ok(read))
    }

    /// The same without asking the reactor, see [`Socket::read_now`].
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; otherwise the connection is broken.
    pub(crate) fn fill_now(&mut self, scratch: &mut [u8], limit: usize) -> io::Result<usize> {
        let buffer = self.room(scratch, limit);
        let read = self.socket.read_now(buffer)?;
        self.held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }

    fn room<'a>(&self, scratch: &'a mut [u8], limit: usize) -> &'a mut [u8] {
        let room = limit.saturating_sub(self.held.len()).min(scratch.len());
        scratch.get_mut(..room).unwrap_or_default()
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
