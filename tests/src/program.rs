//! Finding and running programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::postgres;

/// Runs `sql` with the program `psql`: rows come as lines, columns divided by `|`. An error is what `psql` printed.
///
/// # Errors
/// `psql` ended with a failure.
///
/// # Panics
/// There is no `psql`.
pub fn psql(conninfo: &str, sql: &str) -> Result<String, String> {
    let mut command = Command::new(postgres().binaries().program("psql"));
    command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-c", sql]);
    let output = command.output().unwrap_or_else(|error| panic!("cannot run psql: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\n').to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Runs one of PostgreSQL's own programs, such as `pgbench`, and returns what it printed.
///
/// # Errors
/// The program ended with a failure; what it printed.
///
/// # Panics
/// There is no such program.
pub fn run_program(name: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(postgres().binaries().program(name))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said.into_owned()) } else { Err(said.into_owned()) }
}

/// The binary under test, for a call of the test's own.
#[must_use]
pub fn howdah_command() -> Command {
    let mut command = Command::new(howdah_binary());
    command.stdin(Stdio::null());
    command
}

/// Looks for `name` in the folders above this test program: `target/debug` and `target`.
pub(crate) fn in_target(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().expect("a running program has a path");
    own.ancestors().skip(2).take(2).map(|dir| dir.join(name)).find(|path| path.exists())
}

/// The binary under test: `HOWDAH_BIN`, or the one beside this test program.
pub(crate) fn howdah_binary() -> PathBuf {
    match std::env::var_os("HOWDAH_BIN") {
        Some(path) => path.into(),
        None => in_target("howdah").unwrap_or_else(|| {
            panic!("the binary `howdah` is not built: run `cargo build -p howdah`, as `make test` does, or set HOWDAH_BIN")
        }),
    }
}
