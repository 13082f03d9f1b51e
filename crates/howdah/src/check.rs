//! `howdah check`: would Howdah start with this configuration?

use std::io::Write;

use anyhow::anyhow;
use howdah_config::{Loaded, Problem, Severity};

use crate::cli::{ServeOptions, Target};
use crate::configuration::Origin;
use crate::failure::Failure;

/// Lists every problem, then says in a line what follows from them.
///
/// # Errors
/// Howdah would not start with it.
pub(crate) fn run(target: Target, out: &mut impl Write) -> Result<(), Failure> {
    let origin = Origin::new(target, &ServeOptions::default());
    let (name, loaded) = (origin.name(), origin.read());
    for problem in &loaded.problems {
        writeln!(out, "{problem}")?;
    }
    if loaded.is_usable() {
        writeln!(out, "{name}: {}", verdict(&loaded))?;
        return Ok(());
    }
    out.flush()?;
    let problems = count(&loaded.problems);
    Err(Failure::configuration(anyhow!("{name}: {problems}; Howdah would not start")))
}

fn verdict(loaded: &Loaded) -> String {
    let settings = &loaded.settings;
    let any = if settings.any_database.is_some() { " and any other" } else { "" };
    let databases = number(settings.databases.len(), "database");
    let users = number(settings.secrets.len(), "known user");
    match loaded.problems.len() {
        0 => format!("good: {databases}{any}, {users}"),
        _ => format!("usable, with {}: {databases}{any}, {users}", count(&loaded.problems)),
    }
}

/// `2 errors, 1 warning`.
pub(crate) fn count(problems: &[Problem]) -> String {
    let of = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let parts = [(of(Severity::Error), "error"), (of(Severity::Warning), "warning")];
    let parts = parts.into_iter().filter(|&(n, _)| n > 0).map(|(n, what)| number(n, what));
    parts.collect::<Vec<_>>().join(", ")
}

fn number(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
