//! Who cleans up when this process is killed?
//!
//! A small shell waits at the other end of a pipe. When this process ends, however it ends, the kernel closes the
//! pipe, and the shell runs its script. It works for values in a `static` too, which are never dropped, and
//! unlike a parent-death signal it does not fire when merely the thread that started it ends.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::error::EmbeddedError;
use crate::program::neutral;

/// Runs a shell script once this process is gone; dropped, it never does.
#[derive(Debug)]
pub struct Watchdog(Child);

impl Watchdog {
    /// Starts to watch. `script` finds `arguments` in `$1`, `$2`, …
    ///
    /// # Errors
    /// There is no `sh` to run.
    pub fn start<A: AsRef<OsStr>>(script: &str, arguments: &[A]) -> Result<Self, EmbeddedError> {
        let mut shell = Command::new("sh");
        shell.process_group(0).current_dir("/");
        Self::start_with(shell, script, arguments)
    }

    pub(crate) fn start_with<A: AsRef<OsStr>>(
        mut shell: Command,
        script: &str,
        arguments: &[A],
    ) -> Result<Self, EmbeddedError> {
        let script =
            format!("trap '' HUP INT TERM; read -r word; test \"$word\" = {DISMISS} && exit; {script}");
        neutral(&mut shell)
            .args(["-c", &script, "watchdog"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(EmbeddedError::io("cannot run", "sh"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A shell that is gone already needs no dismissal.
            let _ = writeln!(pipe, "{DISMISS}");
        }
        let _ = self.0.wait();
    }
}

const DISMISS: &str = "dismissed";
