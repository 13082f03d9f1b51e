//! How long have these processes been on a CPU? By the scheduler's own clock, all threads.

use std::fs;
use std::time::Duration;

/// Time on a CPU so far, of all threads that live, of all these processes.
pub(crate) fn cpu(pids: &[u32]) -> Duration {
    pids.iter().map(|pid| of_process(*pid)).sum()
}

/// A process that has gone has used nothing: the load breaks off anyway.
fn of_process(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let of_thread = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
    };
    threads.flatten().filter_map(of_thread).sum()
}
