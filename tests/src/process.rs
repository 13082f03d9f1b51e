//! What the kernel knows of the process under test.

use std::fs;

use crate::howdah::Howdah;
use crate::wait::eventually;

impl Howdah {
    /// Resident memory in KiB.
    ///
    /// # Panics
    /// The process is gone, or this is not Linux.
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        let path = self.proc("status");
        let status = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a live process has VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number")
    }

    /// Open descriptors.
    ///
    /// # Panics
    /// The process is gone, or this is not Linux.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let path = self.proc("fd");
        fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}")).count()
    }

    /// Waits until all threads sleep whenever one looks, as they do while there is nothing to do: who asks again and
    /// again for what does not come is seen running.
    ///
    /// # Panics
    /// They do not come to rest.
    #[track_caller]
    pub fn wait_for_rest(&self) {
        eventually("howdah has nothing to do", || (0..LOOKS).all(|_| self.is_asleep()).then_some(()));
    }

    fn is_asleep(&self) -> bool {
        let path = self.proc("task");
        let threads = fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        threads.flatten().all(|thread| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            // The state follows the name, which is in brackets and may contain anything.
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
        })
    }

    fn proc(&self, what: &str) -> String {
        format!("/proc/{}/{what}", self.pid())
    }
}

/// A thread that spins sleeps in hardly one of them.
const LOOKS: usize = 50;
