//! Bytes that go from one connection to another and are copied nowhere, by splice(2).

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use super::Stream;

/// A pipe of the kernel's through which bytes pass. It is empty whenever it is nobody's: what is in it, or may be, is
/// thrown away together with it.
#[derive(Debug)]
pub(crate) struct Conduit {
    entrance: OwnedFd,
    exit: OwnedFd,
}

/// What has been read from one connection for another.
#[derive(Debug)]
pub(crate) enum Passed {
    /// So many bytes, and all but the last of them have been sent.
    Sent {
        /// How many were read.
        bytes: usize,
        /// Those that the other one does not take now.
        left: Vec<u8>,
    },
    /// So many bytes, and they are lost: the other one has ended.
    Lost(usize),
    /// None, since the first one has ended.
    Ended,
    /// None: this kernel cannot do it between these two.
    Impossible,
}

impl Conduit {
    /// # Errors
    /// There are no descriptors for it.
    pub(crate) fn new() -> io::Result<Conduit> {
        let (exit, entrance) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Conduit { entrance, exit })
    }

    /// Passes on what is there, at most so many bytes. More has to be sent after them: until it is, the kernel may
    /// keep the last of them back. The conduit itself is returned if it is empty again.
    pub(crate) fn poll_pass(
        self,
        cx: &mut Context<'_>,
        from: &Stream,
        to: &Stream,
        most: usize,
    ) -> (Option<Conduit>, Poll<Passed>) {
        let read = from.poll_read_by(cx, |socket| splice(socket, None, &self.entrance, None, most, NOW));
        let bytes = match read {
            Poll::Pending => return (Some(self), Poll::Pending),
            Poll::Ready(Ok(bytes)) if bytes > 0 => bytes,
            Poll::Ready(Err(Errno::INVAL)) => return (None, Poll::Ready(Passed::Impossible)),
            Poll::Ready(_) => return (None, Poll::Ready(Passed::Ended)),
        };
        match self.send(to, bytes) {
            Ok(left) => (Some(self), Poll::Ready(Passed::Sent { bytes, left })),
            Err(_) => (None, Poll::Ready(Passed::Lost(bytes))),
        }
    }

    /// Sends what is in it, so many bytes. Returns those that are not taken now.
    fn send(&self, to: &Stream, mut bytes: usize) -> io::Result<Vec<u8>> {
        let to = to.socket()?;
        while bytes > 0 {
            match splice(&self.exit, None, to, None, bytes, NOW | SpliceFlags::MORE) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => bytes -= sent.min(bytes),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK | Errno::INVAL) => return self.take_out(bytes),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Vec::new())
    }

    fn take_out(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut left = vec![0; bytes];
        let mut filled = 0;
        while let Some(room) = left.get_mut(filled..).filter(|room| !room.is_empty()) {
            match rustix::io::read(&self.exit, room) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(left)
    }
}

const NOW: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Two connections by their ends: what is written to the first can be read from the last.
    fn connections() -> (UnixStream, Stream, Stream, UnixStream) {
        let [(theirs, from), (to, others)] = [(); 2].map(|()| UnixStream::pair().unwrap());
        for ours in [&from, &to] {
            ours.set_nonblocking(true).unwrap();
        }
        (theirs, Stream::new(from.into()).unwrap(), Stream::new(to.into()).unwrap(), others)
    }

    async fn pass(from: &Stream, to: &Stream, most: usize) -> (Option<Conduit>, Passed) {
        let mut conduit = Some(Conduit::new().unwrap());
        std::future::poll_fn(|cx| {
            let (back, passed) = conduit.take().unwrap().poll_pass(cx, from, to, most);
            conduit = back;
            passed.map(|passed| (conduit.take(), passed))
        })
        .await
    }

    #[tokio::test]
    async fn what_is_not_taken_is_left_over_and_nothing_stays_inside() {
        let (mut theirs, from, to, mut others) = connections();
        let mut filled = 0;
        while let Ok(sent) = to.send_now(&[b'-'; 4096]) {
            filled += sent;
        }
        theirs.write_all(b"this is too much").unwrap();
        let (conduit, passed) = pass(&from, &to, 12).await;
        assert!(matches!(passed, Passed::Sent { bytes: 12, left } if left == b"this is too "));
        others.read_exact(&mut vec![0; filled]).unwrap();

        let passed = std::future::poll_fn(|cx| {
            let (back, passed) = Conduit::new().unwrap().poll_pass(cx, &from, &to, 100);
            assert!(back.is_some());
            passed
        });
        assert!(matches!(passed.await, Passed::Sent { bytes: 4, left } if left.is_empty()));
        let mut got = [0; 4];
        others.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"much");
        let inside = rustix::io::read(&conduit.unwrap().exit, &mut [0; 1]);
        assert_eq!(inside, Err(Errno::WOULDBLOCK));
    }

    #[tokio::test]
    async fn either_end_may_go() {
        let (mut theirs, from, to, others) = connections();
        drop(others);
        theirs.write_all(b"for nobody").unwrap();
        let (conduit, passed) = pass(&from, &to, 100).await;
        assert!(conduit.is_none(), "it still has what was meant for somebody else");
        assert!(matches!(passed, Passed::Lost(10)));
        drop(theirs);
        let (_, passed) = pass(&from, &to, 100).await;
        assert!(matches!(passed, Passed::Ended));
    }
}
