//! What does the kernel know of this process?

use std::time::{Duration, SystemTime};

use howdah_console::metrics::Process;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Looks now. What `/proc` does not tell stays unknown.
pub(super) fn look(started: SystemTime) -> Process {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    // The folder itself is open while it is read.
    let open_files = std::fs::read_dir("/proc/self/fd").map(|folder| folder.count() as u64 - 1);
    Process {
        started,
        cpu: Duration::try_from(cpu).unwrap_or_default(),
        resident: std::fs::read_to_string("/proc/self/status").ok().and_then(|status| resident(&status)),
        open_files: open_files.ok(),
        max_files: getrlimit(Resource::Nofile).current,
    }
}

/// The line `VmRSS:  1234 kB`, in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_where_it_is_told() {
        assert_eq!(resident("Name:\thowdah\nVmRSS:\t   1234 kB\nThreads:\t9\n"), Some(1234 * 1024));
        for text in ["", "VmRSS:\t-1 kB", "VmRSS: 1234", "VmRSS: 99999999999999999999 kB", "RSS: 1 kB"] {
            assert_eq!(resident(text), None, "{text}");
        }
    }

    #[test]
    fn this_process_is_seen() {
        let process = look(SystemTime::UNIX_EPOCH);
        assert!(process.resident.unwrap() > 1 << 16);
        assert!(process.open_files.unwrap() > 1);
        assert!(look(SystemTime::UNIX_EPOCH).cpu > process.cpu, "reading the above takes time");
    }
}
