//! `TCP_DEFER_ACCEPT`, tcp(7): an option that neither socket2 nor rustix knows.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Has the kernel keep a client back until it has said something, for about so many seconds; 0: not at all. So
/// the worker is woken once for a new client and not a second time for its first bytes.
///
/// # Errors
/// The kernel refuses the option.
pub(crate) fn defer_accept(listener: &impl AsFd, seconds: u32) -> io::Result<()> {
    let seconds = c_int::try_from(seconds).unwrap_or(c_int::MAX);
    let length = libc::socklen_t::try_from(size_of::<c_int>()).expect("an int is short");
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
