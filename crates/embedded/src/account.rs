//! As whom does the server run, and in which temporary folder?
//!
//! PostgreSQL refuses to serve root, so root gives up its rights for the server's programs: to `nobody`, who owns
//! nothing, or else to `postgres`. Everybody else runs them as themselves.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::EmbeddedError;
use crate::program::run;

/// The owner of the server's processes and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// We are not root: our own.
    Own { uid: u32 },
    /// We are root: this one.
    Other { uid: u32, gid: u32 },
}

impl Account {
    pub(crate) fn choose() -> Result<Self, EmbeddedError> {
        let me = rustix::process::geteuid();
        if !me.is_root() {
            return Ok(Self::Own { uid: me.as_raw() });
        }
        ["nobody", "postgres"].into_iter().find_map(look_up).ok_or(EmbeddedError::NoAccount)
    }

    pub(crate) fn uid(self) -> u32 {
        match self {
            Self::Own { uid } | Self::Other { uid, .. } => uid,
        }
    }

    /// A command that will run as this account, in a process group of its own so that a Ctrl-C meant for us
    /// does not end it before we do, and in a folder the account may enter.
    pub(crate) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.process_group(0).current_dir("/");
        if let Self::Other { uid, gid } = self {
            // Dropping root this way also clears the supplementary groups.
            command.uid(uid).gid(gid).env("HOME", "/");
        }
        command
    }

    /// The folder for temporary files: short enough for a socket in a sub-folder, and open to this account.
    pub(crate) fn temporary_root(self) -> Result<PathBuf, EmbeddedError> {
        let tried = [std::env::temp_dir(), PathBuf::from("/tmp")];
        let fits = |dir: &&PathBuf| dir.as_os_str().len() <= LONGEST_ROOT && self.may_enter(dir);
        tried.iter().find(fits).cloned().ok_or(EmbeddedError::NoFolder { tried: tried.to_vec() })
    }

    /// A new folder below `root` that belongs to this account alone.
    pub(crate) fn private_folder(self, root: &Path, prefix: &str) -> Result<TempDir, EmbeddedError> {
        let dir = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(root)
            .map_err(EmbeddedError::io("cannot create a folder in", root))?;
        if let Self::Other { uid, gid } = self {
            std::os::unix::fs::chown(dir.path(), Some(uid), Some(gid))
                .map_err(EmbeddedError::io("cannot give away", dir.path()))?;
        }
        Ok(dir)
    }

    fn may_enter(self, dir: &Path) -> bool {
        let open = |dir: &Path| dir.metadata().is_ok_and(|it| it.permissions().mode() & 0o001 != 0);
        matches!(self, Self::Own { .. }) || dir.ancestors().all(open)
    }
}

fn look_up(name: &str) -> Option<Account> {
    let id = |flag| run(Command::new("id").args([flag, name])).ok()?.trim().parse().ok();
    Some(Account::Other { uid: id("-u")?, gid: id("-g")? })
}

/// A socket's path has at most 107 bytes (103 on macOS); `/howdah-pg-`, six characters of chance and
/// `/.s.PGSQL.65535` need 33 of them.
const LONGEST_ROOT: usize = 70;
