//! Bytes that go from one connection to another and are copied nowhere, by splice(2).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};

use super::Stream;

/// A pipe of the kernel's through which bytes pass. It is empty whenever it is nobody's: what may be in it otherwise is
/// thrown away together with it.
#[derive(Debug)]
pub(crate) struct Conduit {
    entrance: OwnedFd,
    exit: OwnedFd,
}

/// What has been read from one connection for another.
#[derive(Debug)]
pub(crate) struct Passed {
    /// How many bytes; 0: there are none, or a read has to tell what is the matter.
    pub(crate) bytes: usize,
    /// The last of them, which the other one has not taken. The error: they are lost.
    pub(crate) left: io::Result<Vec<u8>>,
}

impl Conduit {
    /// # Errors
    /// There are no descriptors for it, or the user's pipes take too much memory already (`pipe-user-pages-soft`,
    /// pipe(7)).
    pub(crate) fn new() -> io::Result<Conduit> {
        let (exit, entrance) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // As it is it may be large enough.
        let _ = fcntl_setpipe_size(&entrance, ROOM);
        if fcntl_getpipe_size(&entrance)? < LEAST_ROOM {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(Conduit { entrance, exit })
    }

    /// Passes on what is there, at most so many bytes. More has to be sent after them: until it is, the kernel may
    /// keep the last of them back. The conduit itself is returned if it is empty again.
    ///
    /// splice(2) raises SIGPIPE where send(2) can be told not to; Rust's runtime has it ignored.
    pub(crate) fn pass(self, from: &Stream, to: &Stream, most: usize) -> (Option<Conduit>, Passed) {
        let read = from.socket().and_then(|from| {
            rustix::io::retry_on_intr(|| splice(from, None, &self.entrance, None, most, NOW))
                .map_err(Into::into)
        });
        let bytes = read.unwrap_or(0);
        let left = self.send(to, bytes);
        (left.is_ok().then_some(self), Passed { bytes, left })
    }

    /// Sends what is in it, so many bytes. Returns those that are not taken now, or not at all: the next send tells.
    fn send(&self, to: &Stream, mut bytes: usize) -> io::Result<Vec<u8>> {
        let to = to.socket()?;
        while bytes > 0 {
            match splice(&self.exit, None, to, None, bytes, NOW | SpliceFlags::MORE) {
                Ok(sent) if sent > 0 => bytes -= sent.min(bytes),
                Err(Errno::INTR) => {}
                _ => return self.take_out(bytes),
            }
        }
        Ok(Vec::new())
    }

    fn take_out(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut left = vec![0; bytes];
        let mut filled = 0;
        while let Some(room) = left.get_mut(filled..).filter(|room| !room.is_empty()) {
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.exit, &mut *room))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(left)
    }
}

const NOW: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);
/// A page is taken for each packet that has come, so that full use of it may be made over a network, too.
const ROOM: usize = 256 * 1024;
/// The usual size. With less a read is better.
const LEAST_ROOM: usize = 64 * 1024;

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

    #[tokio::test]
    async fn what_is_not_taken_is_left_over_and_nothing_stays_inside() {
        let (mut theirs, from, to, mut others) = connections();
        let mut filled = 0;
        while let Ok(sent) = to.send_now(&[b'-'; 4096]) {
            filled += sent;
        }
        theirs.write_all(b"this is too much").unwrap();
        let (conduit, passed) = Conduit::new().unwrap().pass(&from, &to, 12);
        assert_eq!((passed.bytes, passed.left.unwrap()), (12, b"this is too ".to_vec()));
        others.read_exact(&mut vec![0; filled]).unwrap();

        let (conduit, passed) = conduit.unwrap().pass(&from, &to, 100);
        assert_eq!((passed.bytes, passed.left.unwrap()), (4, vec![]));
        let mut got = [0; 4];
        others.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"much");

        let (conduit, passed) = conduit.unwrap().pass(&from, &to, 100);
        assert_eq!((passed.bytes, passed.left.unwrap()), (0, vec![]));
        let inside = rustix::io::read(&conduit.unwrap().exit, &mut [0; 1]);
        assert_eq!(inside, Err(Errno::WOULDBLOCK));
    }

    #[tokio::test]
    async fn either_end_may_go() {
        let (mut theirs, from, to, others) = connections();
        drop(others);
        theirs.write_all(b"for nobody").unwrap();
        let (conduit, passed) = Conduit::new().unwrap().pass(&from, &to, 100);
        assert_eq!((passed.bytes, passed.left.unwrap()), (10, b"for nobody".to_vec()));
        assert!(to.send_now(b"x").is_err());
        drop(theirs);
        let (_, passed) = conduit.unwrap().pass(&from, &to, 100);
        assert_eq!(passed.bytes, 0);
    }
}
