//! Running PostgreSQL's programs without the caller's environment leaking into them.

use std::process::{Command, Stdio};

use crate::error::EmbeddedError;

/// Runs `command` to its end and returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> Result<String, EmbeddedError> {
    let output = neutral(command)
        .stdin(Stdio::null())
        .output()
        .map_err(EmbeddedError::io("cannot run", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(EmbeddedError::Program {
        program: command.get_program().into(),
        status: output.status,
        output: format!("{}{}", text, errors.trim_end()),
    })
}

/// Takes `PGHOST`, `PGOPTIONS` and the like away from `command`, and asks for English.
pub(crate) fn neutral(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").env("PGPASSFILE", "/dev/null").env("PSQLRC", "/dev/null")
}
