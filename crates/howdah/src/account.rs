//! As whom does this process run? Started as root, it becomes the user of the settings before it does anything else.

use std::process::Command;

use anyhow::{Context, bail, ensure};
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

/// Becomes `user`, for good. Call it before any thread is started: Linux changes the calling thread only.
///
/// # Errors
/// There is no such user, or we are neither root nor that user.
pub(crate) fn become_user(user: &str) -> anyhow::Result<()> {
    let uid = Uid::from_raw(ask_id("-u", user)?);
    if !geteuid().is_root() {
        ensure!(geteuid() == uid, "only root can become the user {user}; start as root, or as {user}");
        return Ok(());
    }
    if uid.is_root() {
        return Ok(());
    }
    let gid = Gid::from_raw(ask_id("-g", user)?);
    let groups: Vec<Gid> =
        ask(user, "-G")?.split_whitespace().filter_map(|word| word.parse().ok().map(Gid::from_raw)).collect();
    // In this order: without root's rights the groups cannot be changed any more.
    set_thread_groups(&groups)
        .and_then(|()| set_thread_gid(gid))
        .and_then(|()| set_thread_uid(uid))
        .with_context(|| format!("cannot become the user {user}"))?;
    if set_thread_uid(Uid::ROOT).is_ok() {
        bail!("became the user {user}, but could become root again");
    }
    Ok(())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

fn ask_id(flag: &str, user: &str) -> anyhow::Result<u32> {
    ask(user, flag)?.trim().parse().with_context(|| format!("`id {flag} {user}` printed no number"))
}

/// The program `id` knows users of LDAP and the like, which `/etc/passwd` does not.
fn ask(user: &str, flag: &str) -> anyhow::Result<String> {
    let output =
        Command::new("id").args([flag, "--", user]).output().context("cannot run the program `id`")?;
    ensure!(output.status.success(), "there is no user {user:?} to become");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
