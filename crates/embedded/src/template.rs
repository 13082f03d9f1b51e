//! An initialised data directory, made once for each PostgreSQL version and copied afterwards.
//!
//! It lies in the temporary folder under a name that tells version and owner. Whoever needs it first makes it aside
//! and renames it into place, so a half-made one is never seen; of two makers at once one loses and uses the
//! winner's. One that belongs to somebody else or is over a day old (cleaners of temporary folders may have
//! taken a part of it) is not used.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::EmbeddedError;
use crate::program::run;

/// Makes the data directory `target`, from the cached template if `cached`.
pub(crate) fn data_directory(
    binaries: &Binaries,
    account: Account,
    root: &Path,
    target: &Path,
    cached: bool,
) -> Result<(), EmbeddedError> {
    if cached {
        let template = template(binaries, account, root)?;
        if copy(account, &template, target).is_ok() {
            return Ok(());
        }
        // Replaced or cleaned away under our hands: go without.
        let _ = std::fs::remove_dir_all(target);
    }
    initdb(binaries, account, target)
}

fn template(binaries: &Binaries, account: Account, root: &Path) -> Result<PathBuf, EmbeddedError> {
    let place = root.join(name(binaries, account));
    if is_usable(&place, account) {
        return Ok(place);
    }
    let workshop = account.private_folder(root, "howdah-pg-")?;
    let fresh = workshop.path().join("fresh");
    initdb(binaries, account, &fresh)?;
    if place.symlink_metadata().is_ok() {
        // Moved before it is removed: a template in place is a whole one.
        let _ = std::fs::rename(&place, workshop.path().join("stale"));
    }
    match std::fs::rename(&fresh, &place) {
        Err(_) if is_usable(&place, account) => Ok(place),
        made => made.map(|()| place.clone()).map_err(EmbeddedError::io("cannot put in place", place)),
    }
}

fn name(binaries: &Binaries, account: Account) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let words: Vec<&str> = binaries.version().split(|c| !kept(c)).filter(|word| !word.is_empty()).collect();
    let version = words.join("-");
    format!("howdah-pg-template-{}-{version}", account.uid())
}

fn is_usable(place: &Path, account: Account) -> bool {
    let Ok(it) = place.symlink_metadata() else { return false };
    let young = it.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < LONGEST_LIFE));
    it.is_dir() && it.uid() == account.uid() && it.mode() & 0o077 == 0 && young
}

fn copy(account: Account, template: &Path, target: &Path) -> Result<(), EmbeddedError> {
    let paths: [&OsStr; 2] = [template.as_ref(), target.as_ref()];
    run(account.command("cp").arg("-Rp").args(paths)).map(drop)
}

fn initdb(binaries: &Binaries, account: Account, target: &Path) -> Result<(), EmbeddedError> {
    let mut command = account.command(binaries.program("initdb"));
    command.arg("-D").arg(target).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]);
    run(&mut command).map(drop)
}

const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
