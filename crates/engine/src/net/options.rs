//! Socket options that no library we use knows, or knows how to read.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// `TCP_DEFER_ACCEPT`, tcp(7): has the kernel keep a client back until it has said something, for about so many
/// seconds; 0: not at all. So the worker is woken once for a new client and not a second time for its first bytes.
///
/// # Errors
/// The kernel refuses the option.
pub(crate) fn defer_accept(listener: &impl AsFd, seconds: u32) -> io::Result<()> {
    let seconds = c_int::try_from(seconds).unwrap_or(c_int::MAX);
    let length = length_of(&seconds);
    // SAFETY: the descriptor is open while it is borrowed, and the kernel reads one int from where one is.
    let result = unsafe {
        libc::setsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Unix user and process at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// User id.
    pub uid: u32,
    /// Process id; `None`: a process of another container, say, which has none here.
    pub pid: Option<u32>,
}

/// `SO_PEERCRED`, unix(7). To rustix a process without a number is impossible.
pub(crate) fn peer_credentials(socket: &impl AsFd) -> Option<PeerCredentials> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = length_of(&credentials);
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `length` bytes, and any bytes make
    // the three numbers of an `ucred`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    let pid = u32::try_from(credentials.pid).ok().filter(|pid| *pid != 0);
    (result == 0).then_some(PeerCredentials { uid: credentials.uid, pid })
}

fn length_of<T>(value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of_val(value)).expect("an option is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let credentials = peer_credentials(&ours).unwrap();
        let expected =
            PeerCredentials { uid: rustix::process::geteuid().as_raw(), pid: Some(std::process::id()) };
        assert_eq!(credentials, expected);
        assert_eq!(
            peer_credentials(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).and_then(|c| c.pid),
            None
        );
    }
}
