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
    /// What changes or shows the session, in a text that the model of a session understands.
    Session(String),
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |asked: &Asked| format!("{} {}", asked.client, asked.sequence);
        match self {
            Sql::Rows { asked, rows, filling } => write!(f, "SELECT rows {} {rows} {filling}", words(asked)),
            Sql::Sleep { asked, millis } => write!(f, "SELECT sleep {} {millis}", words(asked)),
            Sql::Fail { asked } => write!(f, "SELECT fail {}", words(asked)),
            Sql::CopyIn { asked } => write!(f, "COPY {} FROM STDIN", words(asked)),
            Sql::CopyOut { asked, lines } => write!(f, "COPY {} TO STDOUT {lines}", words(asked)),
            Sql::Prepared { text } => write!(f, "SELECT prepared {text} $1"),
            Sql::Survey => f.write_str("the question what functions do"),
            Sql::Session(text) => f.write_str(text),
        }
    }
}

impl Sql {
    /// Howdah asks what the functions of the database do.
    pub(super) fn is_survey(text: &str) -> bool {
        text.starts_with("SET LOCAL statement_timeout")
    }

    pub(super) fn parse(text: &str) -> Option<Sql> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<usize>().ok();
        let asked = |at: usize| Some(Asked { client: number(at)?, sequence: number(at + 1)? });
        Some(match *words.as_slice() {
            [] => return None,
            _ if Sql::is_survey(text) => Sql::Survey,
            ["SELECT", "rows", ..] => Sql::Rows { asked: asked(2)?, rows: number(4)?, filling: number(5)? },
            ["SELECT", "sleep", ..] => Sql::Sleep { asked: asked(2)?, millis: number(4)? as u64 },
            ["SELECT", "fail", ..] => Sql::Fail { asked: asked(2)? },
            ["SELECT", "prepared", ..] => Sql::Prepared { text: number(2)? },
            ["COPY", _, _, "FROM", "STDIN"] => Sql::CopyIn { asked: asked(1)? },
            ["COPY", _, _, "TO", "STDOUT", _] => Sql::CopyOut { asked: asked(1)?, lines: number(5)? },
            _ => Sql::Session(text.trim().to_owned()),
        })
    }

    pub(super) fn session(text: &str) -> Sql {
        Sql::Session(text.to_owned())
    }

    /// Whether it has rows.
    pub(super) fn has_rows(&self) -> bool {
        match self {
            Sql::Rows { .. } | Sql::Sleep { .. } | Sql::Fail { .. } | Sql::Prepared { .. } => true,
            Sql::Session(text) => text.starts_with("SELECT") || text.starts_with("EXECUTE"),
            Sql::CopyIn { .. } | Sql::CopyOut { .. } | Sql::Survey => false,
        }
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

/// What fills a row up: letters that depend on who asked.
pub(super) fn filling(asked: Asked, row: usize, length: usize) -> String {
    let letter = char::from(b'a' + u8::try_from((asked.client * 7 + asked.sequence + row) % 26).unwrap());
    std::iter::repeat_n(letter, length).collect()
}

/// The settings there are, as they are where nobody has changed them.
pub(super) const INITIAL: [(&str, &str); 11] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("intervalstyle", "postgres"),
    ("server_version", "17.0"),
    ("standard_conforming_strings", "on"),
    ("timezone", "UTC"),
    ("search_path", "public"),
    ("work_mem", "4MB"),
    ("geqo", "on"),
    ("log_statement", "none"),
];

/// Those that are reported, and how they are spelt then.
pub(super) const REPORTED: [(&str, &str); 9] = [
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("intervalstyle", "IntervalStyle"),
    ("server_version", "server_version"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
    ("is_superuser", "is_superuser"),
    ("session_authorization", "session_authorization"),
];
