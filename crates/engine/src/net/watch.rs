//! A socket in the calling worker's reactor.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the calling worker's reactor watch a socket for this alone, where the runtime's own types are always watched
/// for reading and writing.
///
/// # Errors
/// The reactor does not take it; the socket is closed.
pub(crate) fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and is the same descriptor as long as it lives, and it lives in the `AsyncFd`.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}
