//! The clients people really use, as Python programs in `tests/drivers`.

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

/// The Python that has the drivers; set up at the first call if it is not there.
///
/// # Panics
/// The set-up fails.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let target = in_target("debug")
            .or_else(|| in_target("release"))
            .expect("test programs lie in target/<profile>/deps");
        let target = target.parent().expect("a profile's folder is in target");
        let output = Command::new(folder().join("setup"))
            .env("CARGO_TARGET_DIR", target)
            .output()
            .unwrap_or_else(|error| panic!("cannot run tests/drivers/setup: {error}"));
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "tests/drivers/setup failed:\n{said}");
        target.join("drivers-venv/bin/python")
    })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("drivers")
}
