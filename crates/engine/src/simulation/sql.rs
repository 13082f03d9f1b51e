//! The few statements the model PostgreSQL knows. They begin like real ones, since Howdah looks at that.

use std::fmt;

/// Which client asked, and the how manieth question of that client it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    pub(super) client: usize,
    pub(super) sequence: usize,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}#{}", self.client, self.sequence)
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sql {
    /// Rows that say who asked, each filled up with so many letters.
    Rows {
        asked: Asked,
        rows: usize,
        filling: usize,
    },
    /// A row after a while.
    Sleep {
        asked: Asked,
        millis: u64,
    },
    /// An error.
    Fail {
        asked: Asked,
    },
    Begin,
    Commit,
    Rollback,
    SetApplicationName(String),
    CopyIn {
        asked: Asked,
    },
    CopyOut {
        asked: Asked,
        lines: usize,
    },
    /// Text number so-and-so with a parameter, which says who asked.
    Prepared {
        text: usize,
    },
    /// Howdah's own: what do the functions do?
    Survey,
    /// Howdah's own: `set_config` of these.
    SetConfig(Vec<(String, String)>),
    /// Howdah's own: may these be set?
    TrySettings(Vec<(String, String)>),
    /// Howdah's own.
    DiscardAll,
    /// Howdah's own.
    Empty,
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |asked: &Asked| format!("{} {}", asked.client, asked.sequence);
        match self {
            Sql::Rows { asked, rows, filling } => write!(f, "SELECT rows {} {rows} {filling}", words(asked)),
            Sql::Sleep { asked, millis } => write!(f, "SELECT sleep {} {millis}", words(asked)),
            Sql::Fail { asked } => write!(f, "SELECT fail {}", words(asked)),
            Sql::Begin => f.write_str("BEGIN"),
            Sql::Commit => f.write_str("COMMIT"),
            Sql::Rollback => f.write_str("ROLLBACK"),
            Sql::SetApplicationName(name) => write!(f, "SET application_name TO {name}"),
            Sql::CopyIn { asked } => write!(f, "COPY {} FROM STDIN", words(asked)),
            Sql::CopyOut { asked, lines } => write!(f, "COPY {} TO STDOUT {lines}", words(asked)),
            Sql::Prepared { text } => write!(f, "SELECT prepared {text} $1"),
            Sql::Survey | Sql::SetConfig(_) | Sql::TrySettings(_) | Sql::DiscardAll | Sql::Empty => {
                unreachable!("only Howdah says this")
            }
        }
    }
}

impl Sql {
    pub(super) fn parse(text: &str) -> Option<Sql> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<usize>().ok();
        let asked = |at: usize| Some(Asked { client: number(at)?, sequence: number(at + 1)? });
        Some(match *words.as_slice() {
            [] => Sql::Empty,
            ["SET", "LOCAL", "statement_timeout", ..] => Sql::Survey,
            ["SELECT", "rows", ..] => Sql::Rows { asked: asked(2)?, rows: number(4)?, filling: number(5)? },
            ["SELECT", "sleep", ..] => Sql::Sleep { asked: asked(2)?, millis: number(4)? as u64 },
            ["SELECT", "fail", ..] => Sql::Fail { asked: asked(2)? },
            ["SELECT", "prepared", ..] => Sql::Prepared { text: number(2)? },
            ["SELECT", config, ..] if config.starts_with("pg_catalog.set_config") => {
                Sql::SetConfig(set_config(text)?)
            }
            ["SELECT", "'u',", ..] => Sql::TrySettings(set_config(text)?),
            ["BEGIN"] => Sql::Begin,
            ["COMMIT"] => Sql::Commit,
            ["ROLLBACK"] => Sql::Rollback,
            ["SET", "application_name", "TO", name] => Sql::SetApplicationName(name.to_owned()),
            ["COPY", _, _, "FROM", "STDIN"] => Sql::CopyIn { asked: asked(1)? },
            ["COPY", _, _, "TO", "STDOUT", _] => Sql::CopyOut { asked: asked(1)?, lines: number(5)? },
            ["DISCARD", "ALL"] => Sql::DiscardAll,
            _ => return None,
        })
    }

    pub(super) fn asked(&self) -> Option<Asked> {
        match self {
            Sql::Rows { asked, .. }
            | Sql::Sleep { asked, .. }
            | Sql::Fail { asked }
            | Sql::CopyIn { asked }
            | Sql::CopyOut { asked, .. } => Some(*asked),
            _ => None,
        }
    }
}

/// Names and values of `SELECT pg_catalog.set_config('a', 'b', false), …`. No value here has a quote in it.
fn set_config(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for call in text.split("pg_catalog.set_config(").skip(1) {
        let mut literals = call.split('\'').skip(1).step_by(2);
        found.push((literals.next()?.to_owned(), literals.next()?.to_owned()));
    }
    Some(found)
}

/// What fills a row up: letters that depend on who asked.
pub(super) fn filling(asked: Asked, row: usize, length: usize) -> String {
    let letter = char::from(b'a' + u8::try_from((asked.client * 7 + asked.sequence + row) % 26).unwrap());
    std::iter::repeat_n(letter, length).collect()
}
