//! A connection of any kind, with the few operations the engine needs.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use howdah_core::facts::Address;
use rustix::net::SendFlags;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

#[cfg(test)]
use super::Pipe;

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// Unix socket.
    Unix(UnixStream),
    /// In memory, for the simulator.
    #[cfg(test)]
    #[expect(private_interfaces, reason = "only in tests of this crate")]
    Pipe(Pipe),
}

impl Socket {
    /// Reads what is there, at most a buffer full. 0: the other side has closed.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let read = match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.poll_read(cx, &mut buffer),
        };
        read.map_ok(|()| buffer.filled().len())
    }

    /// Ready when there may be something to read; asks the reactor's cache, not the kernel.
    ///
    /// # Errors
    /// The reactor is gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.poll_read_ready(cx),
        }
    }

    /// Sends at once what the kernel takes, without asking the reactor: after a move between workers its
    /// cached readiness is empty though the socket is writable.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can be taken now; otherwise the connection is broken.
    pub fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => Ok(rustix::net::send(stream, bytes, NOW)?),
            Socket::Unix(stream) => Ok(rustix::net::send(stream, bytes, NOW)?),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.send_now(bytes),
        }
    }

    /// Writes when the reactor says so; what [`send_now`](Self::send_now) left over goes this way.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.poll_write(cx, bytes),
        }
    }

    /// Makes the connection one of the calling worker's.
    ///
    /// # Errors
    /// The reactor does not take it.
    pub fn rehome(self) -> io::Result<Socket> {
        Ok(match self {
            Socket::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream.into_std()?)?),
            Socket::Unix(stream) => Socket::Unix(UnixStream::from_std(stream.into_std()?)?),
            #[cfg(test)]
            Socket::Pipe(pipe) => Socket::Pipe(pipe),
        })
    }

    /// No more will be written; the other side reads an end of file after what was sent.
    pub fn finish(&self) {
        // The connection may be broken by now: then there is nobody left to tell.
        let _ = match self {
            Socket::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Socket::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.finish(),
        };
    }

    /// The kernel's number for it, if it is the kernel's.
    #[must_use]
    pub fn descriptor(&self) -> Option<RawFd> {
        match self {
            Socket::Tcp(stream) => Some(stream.as_raw_fd()),
            Socket::Unix(stream) => Some(stream.as_raw_fd()),
            #[cfg(test)]
            Socket::Pipe(_) => None,
        }
    }

    /// It came over a Unix socket.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self, Socket::Unix(_))
    }

    /// Who is at the other end of a Unix socket, by the kernel's word.
    #[must_use]
    pub fn peer_credentials(&self) -> Option<PeerCredentials> {
        let Socket::Unix(stream) = self else { return None };
        let credentials = stream.peer_cred().ok()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok());
        Some(PeerCredentials { uid: credentials.uid(), pid })
    }

    /// The two ends: the other's and ours. `unix_port` stands for a Unix socket's port.
    #[must_use]
    pub fn addresses(&self, unix_port: u16) -> (Address, Address) {
        match self {
            Socket::Tcp(stream) => {
                let known = |address: io::Result<SocketAddr>| {
                    address.map_or(Address::Unknown, |address| {
                        Address::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
                    })
                };
                (known(stream.peer_addr()), known(stream.local_addr()))
            }
            Socket::Unix(_) => (Address::Unix(unix_port), Address::Unix(unix_port)),
            #[cfg(test)]
            Socket::Pipe(_) => (Address::Unix(unix_port), Address::Unix(unix_port)),
        }
    }
}

/// Unix user and process at the other end.
#[derive(Clone, Copy, Debug)]
pub struct PeerCredentials {
    /// User id.
    pub uid: u32,
    /// Process id, where the system tells.
    pub pid: Option<u32>,
}

/// Never a signal, never a wait.
const NOW: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
