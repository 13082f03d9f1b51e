//! A connected TCP or Unix socket in the calling worker's reactor.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::watch;

/// Watched for reading alone, until something has to wait for being written. The runtime's own streams are watched
/// for both from the start; a new socket can always be written to, and each new client would wake the worker once
/// more for that news.
#[derive(Debug)]
pub struct Stream {
    /// `None`: the reactor has refused to watch it for writing as well. The connection is as good as broken.
    watch: Option<AsyncFd<OwnedFd>>,
    watched_for_writing: bool,
}

impl Stream {
    /// A connected socket that does not block.
    ///
    /// # Errors
    /// The reactor does not take it.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Stream> {
        let watch = Some(watch(socket, Interest::READABLE)?);
        Ok(Stream { watch, watched_for_writing: false })
    }

    /// The socket, out of its reactor.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn into_socket(self) -> io::Result<OwnedFd> {
        self.watch.map(AsyncFd::into_inner).ok_or_else(broken)
    }

    /// Reads without asking the reactor: of use where something is there most probably.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; otherwise the connection is broken.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(receive(self.watch()?.get_ref(), buffer)?)
    }

    /// Reads what is there, at most a buffer full. 0: the other side has closed.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.watch()?.poll_read_ready(cx))?;
            match receive(ready.get_inner(), buffer) {
                Ok(read) => {
                    // Less than there was room for: there was no more, and a second look would be for nothing.
                    if 0 < read && read < buffer.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(read));
                }
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    /// Ready when there may be something to read; asks the reactor's cache, not the kernel.
    ///
    /// # Errors
    /// The reactor is gone.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch()?.poll_read_ready(cx).map_ok(drop)
    }

    /// Sends at once what the kernel takes, without asking the reactor.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can be taken now; otherwise the connection is broken.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.watch()?, bytes, NOW)?)
    }

    /// Writes when the reactor says so.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.watched_for_writing {
            self.watch_for_writing()?;
            // Who waits for reading has been forgotten with the old watch, and has to ask anew.
            cx.waker().wake_by_ref();
        }
        loop {
            let mut ready = ready!(self.watch()?.poll_write_ready(cx))?;
            match rustix::net::send(ready.get_inner(), bytes, NOW) {
                Ok(sent) => {
                    if sent < bytes.len() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(sent));
                }
                Err(Errno::WOULDBLOCK) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn watch_for_writing(&mut self) -> io::Result<()> {
        let socket = self.watch.take().ok_or_else(broken)?.into_inner();
        self.watch = Some(watch(socket, Interest::READABLE | Interest::WRITABLE)?);
        self.watched_for_writing = true;
        Ok(())
    }

    /// No more will be written; the other side reads an end of file after what was sent.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn finish(&self) -> io::Result<()> {
        SockRef::from(&self.socket()?).shutdown(Shutdown::Write)
    }

    /// For its addresses and options.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.watch()?.as_fd())
    }

    /// The kernel's number for it.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        self.watch.as_ref().map(AsRawFd::as_raw_fd)
    }

    fn watch(&self) -> io::Result<&AsyncFd<OwnedFd>> {
        self.watch.as_ref().ok_or_else(broken)
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((read, _)) => return Ok(read),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// Never a signal, never a wait.
const NOW: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_waits_to_write_hears_what_comes_meanwhile() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut stream = Stream::new(ours.into()).unwrap();
        while stream.send_now(&[0; 4096]).is_ok() {}
        let heard = tokio::spawn(async move {
            let mut buffer = [0; 8];
            let both = std::future::poll_fn(|cx| match stream.poll_read(cx, &mut buffer) {
                Poll::Ready(read) => Poll::Ready(read.unwrap()),
                Poll::Pending => {
                    assert!(stream.poll_write(cx, b"more").is_pending());
                    Poll::Pending
                }
            });
            // It has begun to wait for both when the other side speaks, which reads nothing.
            tokio::join!(both, async { theirs.write_all(b"!").unwrap() }).0
        });
        let heard = tokio::time::timeout(Duration::from_secs(10), heard).await;
        assert_eq!(heard.expect("it never heard").unwrap(), 1);
    }
}
