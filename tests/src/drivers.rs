//! The clients people really use, as programs in `tests/drivers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::program::in_target;

/// Runs `tests/drivers/<script>` with a connection string.
///
/// # Panics
/// It ends with a failure; the text holds what it printed.
#[track_caller]
pub fn run_driver(script: &str, conninfo: &str) {
    let output = Command::new(python())
        .arg(folder().join(script))
        .arg(conninfo)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {script}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed ({}):\n{said}", output.status);
}

/// Runs `tests/drivers/<script>` of JavaScript with a connection string; where there is no `node` or `npm`, that is
/// said and nothing is run.
///
/// # Panics
/// It ends with a failure, or the drivers cannot be set up; the text holds what was printed.
#[track_caller]
#[expect(clippy::print_stderr, reason = "nobody shall take a skipped check for a passed one")]
pub fn run_node_driver(script: &str, conninfo: &str) {
    let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    if let Some(program) = ["node", "npm"].into_iter().find(missing) {
        eprintln!("SKIPPED: {script}: there is no `{program}` here");
        return;
    }
    let target = set_up("setup-node");
    let output = Command::new("node")
        .arg(folder().join(script))
        .arg(conninfo)
        .env("NODE_PATH", target.join("drivers-node/node_modules"))
        .output()
        .unwrap_or_else(|error| panic!("cannot run {script}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed ({}):\n{said}", output.status);
}

/// The Python that has the drivers; set up at the first call if it is not there.
///
/// # Panics
/// The set-up fails.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| set_up("setup").join("drivers-venv/bin/python"))
}

/// Runs a script that sets drivers up in the target folder, which is returned.
fn set_up(script: &str) -> PathBuf {
    let target = in_target("debug")
        .or_else(|| in_target("release"))
        .expect("test programs lie in target/<profile>/deps");
    let target = target.parent().expect("a profile's folder is in target");
    let output = Command::new(folder().join(script))
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap_or_else(|error| panic!("cannot run tests/drivers/{script}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tests/drivers/{script} failed:\n{said}");
    target.to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers")
}
