//! A connection of any kind, with the few operations the engine needs.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::task::{Context, Poll};

use howdah_core::facts::Address;
use socket2::SockRef;

#[cfg(test)]
use super::Pipe;
use super::Stream;
use super::options::{PeerCredentials, peer_credentials};

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(Stream),
    /// Unix socket.
    Unix(Stream),
    /// In memory, for the simulator.
    #[cfg(test)]
    #[expect(private_interfaces, reason = "only in tests of this crate")]
    Pipe(Pipe),
}

impl Socket {
    /// A connected TCP socket that does not block.
    ///
    /// # Errors
    /// The calling worker's reactor does not take it.
    pub(crate) fn tcp(socket: impl Into<OwnedFd>) -> io::Result<Socket> {
        Stream::new(socket.into()).map(Socket::Tcp)
    }

    /// A connected Unix socket that does not block.
    ///
    /// # Errors
    /// The calling worker's reactor does not take it.
    pub(crate) fn unix(socket: impl Into<OwnedFd>) -> io::Result<Socket> {
        Stream::new(socket.into()).map(Socket::Unix)
    }

    /// Reads what is there, at most a buffer full. 0: the other side has closed.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.poll_read(cx, buffer),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.poll_read(cx, buffer),
        }
    }

    /// Reads without asking the reactor: of use where something is there most probably.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing; otherwise the connection is broken.
    pub fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.read_now(buffer),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.read_now(buffer),
        }
    }

    /// Ready when there may be something to read; asks the reactor's cache, not the kernel.
    ///
    /// # Errors
    /// The reactor is gone.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.poll_read_ready(cx),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.poll_read_ready(cx),
        }
    }

    /// Sends at once what the kernel takes, without asking the reactor.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can be taken now; otherwise the connection is broken.
    pub fn send_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.send_now(bytes),
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
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.poll_write(cx, bytes),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.poll_write(cx, bytes),
        }
    }

    /// Tells the other side that what it has sent so far has come, where no answer does so soon.
    pub(crate) fn acknowledge(&self) {
        let Socket::Tcp(stream) = self else { return };
        let told = stream.socket().and_then(|socket| SockRef::from(&socket).set_tcp_quickack(true));
        if let Err(error) = told {
            tracing::debug!(%error, "a client may have to wait for being acknowledged");
        }
    }

    /// Makes the connection one of the calling worker's.
    ///
    /// # Errors
    /// The reactor does not take it.
    pub fn rehome(self) -> io::Result<Socket> {
        match self {
            Socket::Tcp(stream) => Socket::tcp(stream.into_socket()?),
            Socket::Unix(stream) => Socket::unix(stream.into_socket()?),
            #[cfg(test)]
            Socket::Pipe(pipe) => Ok(Socket::Pipe(pipe)),
        }
    }

    /// No more will be written; the other side reads an end of file after what was sent.
    pub fn finish(&self) {
        // The connection may be broken by now: then there is nobody left to tell.
        let _ = match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.finish(),
            #[cfg(test)]
            Socket::Pipe(pipe) => pipe.finish(),
        };
    }

    /// The kernel's number for it, if it is the kernel's.
    #[must_use]
    pub fn descriptor(&self) -> Option<RawFd> {
        match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => stream.descriptor(),
            #[cfg(test)]
            Socket::Pipe(_) => None,
        }
    }

    /// What the kernel can move bytes from and to by itself.
    pub(crate) fn stream(&self) -> Option<&Stream> {
        match self {
            Socket::Tcp(stream) | Socket::Unix(stream) => Some(stream),
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
        peer_credentials(&stream.socket().ok()?)
    }

    /// The two ends, by the kernel's word. `unix_port` stands for a Unix socket's port.
    #[must_use]
    pub fn ends(&self, unix_port: u16) -> Ends {
        match self {
            Socket::Tcp(stream) => stream.socket().map_or_else(
                |_| Ends::default(),
                |socket| Ends { peer: peer_of(&socket), local: local_of(&socket) },
            ),
            Socket::Unix(_) => Ends::unix(unix_port),
            #[cfg(test)]
            Socket::Pipe(_) => Ends::unix(unix_port),
        }
    }
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// The other's.
    pub peer: Address,
    /// Ours.
    pub local: Address,
}

impl Ends {
    /// Of a Unix socket with this port in its name.
    #[must_use]
    pub fn unix(port: u16) -> Ends {
        Ends { peer: Address::Unix(port), local: Address::Unix(port) }
    }
}

fn peer_of(socket: &impl AsFd) -> Address {
    known(SockRef::from(socket).peer_addr().ok().and_then(|address| address.as_socket()))
}

/// A TCP socket's own end.
pub(crate) fn local_of(socket: &impl AsFd) -> Address {
    known(SockRef::from(socket).local_addr().ok().and_then(|address| address.as_socket()))
}

/// An IPv4 address in the guise of IPv6 is shown as what it is.
pub(crate) fn known(address: Option<SocketAddr>) -> Address {
    address.map_or(Address::Unknown, |address| {
        Address::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    })
}
