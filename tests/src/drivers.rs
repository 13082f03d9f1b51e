//! The clients people really use, as programs in `tests/drivers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::program::in_target;

/// Runs `tests/drivers/<script>`, of Python, JavaScript, Ruby or Java, with a connection string, and returns what it
/// printed; where its language or driver is missing, that is said and nothing is run.
///
/// # Panics
/// It ends with a failure, or the drivers cannot be set up; the text holds what was printed.
#[track_caller]
#[expect(clippy::print_stderr, reason = "nobody shall take a skipped check for a passed one")]
pub fn run_driver(script: &str, conninfo: &str) -> Option<String> {
    let script = folder().join(script);
    let mut command = match runner(&script) {
        Ok(command) => command,
        Err(missing) => {
            eprintln!("SKIPPED: {}: there is no {missing} here", script.display());
            return None;
        }
    };
    let output = command
        .arg(&script)
        .arg(conninfo)
        .current_dir(script.parent().expect("a script lies in a folder"))
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed ({}):\n{said}", script.display(), output.status);
    Some(said.into_owned())
}

/// The Python that has the drivers; set up at the first call if it is not there.
///
/// # Panics
/// The set-up fails.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| set_up("setup").join("drivers-venv/bin/python"))
}

/// What runs a script of that language, its driver at hand; otherwise what is missing.
fn runner(script: &Path) -> Result<Command, &'static str> {
    let mut command;
    match script.extension().and_then(|extension| extension.to_str()) {
        Some("js") => {
            works("node", &["--version"])?;
            works("npm", &["--version"])?;
            command = Command::new("node");
            command.env("NODE_PATH", set_up("setup-node").join("drivers-node/node_modules"));
        }
        Some("rb") => {
            works("ruby", &["--version"])?;
            works("ruby", &["-rpg", "-e", ""]).map_err(|_| "ruby-pg")?;
            command = Command::new("ruby");
        }
        Some("java") => {
            // `java` runs a source file where there is a compiler.
            works("javac", &["--version"])?;
            if !Path::new(JDBC).exists() {
                return Err(JDBC);
            }
            command = Command::new("java");
            command.args(["-XX:TieredStopAtLevel=1", "-classpath", JDBC]);
        }
        _ => command = Command::new(python()),
    }
    Ok(command)
}

fn works(program: &'static str, arguments: &[&str]) -> Result<(), &'static str> {
    let output = Command::new(program).args(arguments).output();
    if output.is_ok_and(|output| output.status.success()) { Ok(()) } else { Err(program) }
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

/// Where the distribution's package of pgjdbc puts it.
const JDBC: &str = "/usr/share/java/postgresql.jar";
