//! Which of many sockets has something new? Edge-triggered epoll; a closed socket leaves by itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};

/// Sockets, each with a number of the caller's.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Poll> {
        let nothing = epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        Ok(Poll { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: vec![nothing; 256] })
    }

    pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(number as u64), flags)?)
    }

    /// Waits for news, `timeout` at most, and returns whose.
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<impl Iterator<Item = usize>> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let count = match epoll::wait(&self.epoll, &mut self.events[..], Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => 0,
            other => other?,
        };
        Ok(self.events[..count].iter().map(|event| event.data.u64() as usize))
    }
}
