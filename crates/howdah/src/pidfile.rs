//! The file that says which process serves, for init scripts and for whoever is about to start a second one.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Our own pid file; removed when dropped.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes it. One left behind by a dead process is replaced.
    ///
    /// # Errors
    /// It names a process that lives, or cannot be written.
    pub(crate) fn create(path: &Path) -> anyhow::Result<PidFile> {
        if let Some(pid) = holder(path)? {
            bail!(
                "the pid file {} names process {pid}, which is running; if that is not Howdah, remove the file",
                path.display()
            );
        }
        let cannot = || format!("cannot write the pid file {}", path.display());
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(cannot),
            _ => {}
        }
        // Whoever comes second finds the file there, even if both saw none before.
        let mut file = File::create_new(path).with_context(cannot)?;
        writeln!(file, "{}", std::process::id()).with_context(cannot)?;
        Ok(PidFile(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if named(&self.0).ok().flatten() == Some(rustix::process::getpid()) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

/// The live process, other than us, that the file names.
fn holder(path: &Path) -> anyhow::Result<Option<Pid>> {
    let pid = named(path).with_context(|| format!("cannot read the pid file {}", path.display()))?;
    // A process we may not signal lives all the same.
    let lives = |pid: &Pid| !matches!(test_kill_process(*pid), Err(Errno::SRCH));
    Ok(pid.filter(|&pid| pid != rustix::process::getpid()).filter(lives))
}

fn named(path: &Path) -> std::io::Result<Option<Pid>> {
    match std::fs::read(path) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            Ok(text.trim().parse().ok().filter(|&pid| pid > 0).and_then(Pid::from_raw))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_process_keeps_its_file_and_a_dead_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(&path, format!("{}\n", child.id())).unwrap();
        let refused = PidFile::create(&path).err().unwrap().to_string();
        assert!(refused.contains(&child.id().to_string()), "{refused}");

        child.kill().unwrap();
        child.wait().unwrap();
        let ours = PidFile::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(ours);
        assert!(!path.exists());
    }
}
