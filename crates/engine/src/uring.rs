//! Many sends in one system call, by io_uring.
//!
//! Nothing is in flight between calls: every send is asked not to wait, so it completes while it is
//! submitted, and [`Ring::send_all`] returns only when all completions are there. So the buffers, borrowed
//! for the call, outlive what the kernel does with them.

#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};

use io_uring::{IoUring, Probe, opcode, types};
use rustix::net::SendFlags;

/// A ring of this thread's own.
pub(crate) struct Ring {
    ring: IoUring,
}

impl Ring {
    /// Sends that fit one submission.
    pub(crate) const ENTRIES: usize = 128;

    /// # Errors
    /// The kernel or the container does not allow it, or the kernel is too old.
    pub(crate) fn new() -> io::Result<Ring> {
        let entries = u32::try_from(Ring::ENTRIES).expect("a small constant");
        let ring = IoUring::builder().setup_clamp().build(entries)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel's io_uring cannot send"));
        }
        Ok(Ring { ring })
    }

    /// Sends pieces of `arena`, at most [`ENTRIES`](Self::ENTRIES), each to its descriptor. `done` is told
    /// each one's number and how many bytes the kernel took.
    pub(crate) fn send_all(
        &mut self,
        arena: &[u8],
        sends: impl Iterator<Item = (RawFd, Range<usize>)>,
        mut done: impl FnMut(usize, io::Result<usize>),
    ) {
        let flags = (SendFlags::NOSIGNAL | SendFlags::DONTWAIT).bits().cast_signed();
        let mut submitted = 0;
        for (number, (fd, bytes)) in sends.enumerate() {
            let bytes = arena.get(bytes).unwrap_or_default();
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let send = opcode::Send::new(types::Fd(fd), bytes.as_ptr(), length).flags(flags);
            let entry = send.build().user_data(number as u64);
            // SAFETY: `bytes` is borrowed from `arena` until this function returns, and it does not return
            // before the completion of every entry pushed here has been seen.
            if unsafe { self.ring.submission().push(&entry) }.is_err() {
                done(number, Err(io::ErrorKind::WouldBlock.into()));
                continue;
            }
            submitted += 1;
        }
        let mut seen = 0;
        while seen < submitted {
            match self.ring.submit_and_wait(submitted - seen) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // Entries the kernel has may still be carried out, so the buffers cannot be let go, and
                    // a worker that cannot send serves nobody. The kernel says so only of a broken ring.
                    tracing::error!(%error, "io_uring is broken; try io_engine = plain");
                    std::process::abort();
                }
            }
            for completion in self.ring.completion() {
                let number = usize::try_from(completion.user_data()).unwrap_or(usize::MAX);
                let result = usize::try_from(completion.result())
                    .map_err(|_| io::Error::from_raw_os_error(-completion.result()));
                done(number, result);
                seen += 1;
            }
        }
    }
}

/// Sends to a descriptor by number, now or not at all.
pub(crate) fn send_one(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the connection that queued the bytes settles its outbox before it closes, so the descriptor
    // is open and still its own.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::net::send(fd, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}
