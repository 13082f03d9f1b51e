//! What is wrong with a configuration, and where: one [`Problem`] per mistake, all of them, never just the first.
//!
//! An *error* stops the start (or the reload); a *warning* is reported and Howdah goes on. A problem never quotes
//! a secret: entries of `[databases]` and lines of `userlist.txt` are named, not repeated.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something the operator should know about a file, or about a SET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether Howdah may go on.
    pub severity: Severity,
    /// The file it is in; `None` for a SET or a URL.
    pub file: Option<PathBuf>,
    /// The line, from 1; `None` when it is about the file as a whole.
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether Howdah may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The start or the reload stops.
    Error,
    /// Reported; the rest counts.
    Warning,
}

impl Problem {
    /// An error without a place.
    pub(crate) fn error(message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, file: None, line: None, message: message.into(), hint: None }
    }

    /// A warning without a place.
    pub(crate) fn warning(message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(message) }
    }

    /// The same problem, in that place.
    pub(crate) fn at(self, place: &Place) -> Problem {
        Problem { file: Some(place.file.to_path_buf()), line: place.line, ..self }
    }

    /// The same problem with advice.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// The same problem with `did you mean …?` if one of the known words is near.
    pub(crate) fn suggest<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
        match nearest(wrong, known) {
            Some(word) => self.hint(format!("did you mean \"{word}\"?")),
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            f.write_str(" ")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// A line of a file, or the whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: Arc<Path>,
    line: Option<u32>,
}

impl Place {
    pub(crate) fn file(path: &Path) -> Place {
        Place { file: path.into(), line: None }
    }

    pub(crate) fn line(&self, line: u32) -> Place {
        Place { file: Arc::clone(&self.file), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// The known word that a typing mistake or two away from `wrong`; none when nothing is near.
fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > LONGEST_COMPARED {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase();
    let allowed = (wrong.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|word| (distance(&wrong, word), word))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= allowed)
        .map(|(_, word)| word)
}

/// How many letters to change, add, leave out or swap with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut last = None;
    for (i, a) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (j, &b) in to.iter().enumerate() {
            let cell = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            left = (left + 1).min(cell(&row, j + 1) + 1).min(cell(&row, j) + usize::from(a != b));
            if j > 0 && last == Some(b) && to.get(j - 1) == Some(&a) {
                left = left.min(cell(&before, j - 1) + 1);
            }
            next.push(left);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(a);
    }
    row.last().copied().unwrap_or_default()
}

const LONGEST_COMPARED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_what() {
        let place = Place::file(Path::new("pgbouncer.ini")).line(12);
        let problem = Problem::error("unknown setting \"pool_mod\"").at(&place);
        let problem = problem.suggest("pool_mod", ["listen_port", "pool_mode"]);
        assert_eq!(
            problem.to_string(),
            r#"pgbouncer.ini:12: error: unknown setting "pool_mod"; did you mean "pool_mode"?"#
        );
        assert_eq!(Problem::warning("odd").to_string(), "warning: odd");
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["pool_mode", "default_pool_size", "user"];
        for (wrong, expected) in [
            ("pool_mod", Some("pool_mode")),
            ("Pool_Mode", Some("pool_mode")),
            ("defualt_pool_size", Some("default_pool_size")),
            ("usr", Some("user")),
            ("listen", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), expected, "{wrong}");
        }
    }

    #[test]
    fn counts_edits() {
        for (a, b, edits) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("kitten", "sitting", 3),
            ("hots", "host", 1),
            ("ba", "abc", 2),
            ("", "ab", 2),
            ("ab", "", 2),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }
}
