//! Why a server connection cannot be given back though its transaction has ended.
//!
//! A [`Pin`] is read by operators, in the log too, so its statement bears no values: what stood in quotes is left
//! out.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use thiserror::Error;

use crate::settings::StateKind;

/// What ties a client to its server connection, and what brought it about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// What it is.
    pub reason: PinReason,
    /// What it is called, where it has a name.
    pub object: Option<Box<str>>,
    /// The statement that caused it, cut off and without the values in it.
    pub statement: Box<str>,
    /// Since when.
    pub since: Instant,
}

impl Pin {
    /// A pin caused by `statement`, of which what operators may read is kept.
    #[must_use]
    pub fn new(reason: PinReason, object: Option<&str>, statement: &[u8], since: Instant) -> Pin {
        Pin {
            reason,
            object: object.map(|name| printable(name, LONGEST_NAME)),
            statement: without_values(statement),
            since,
        }
    }
}

/// The reason, and the object's name where there is one.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) => write!(f, "{} \"{object}\"", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

/// What ties a client to its server connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum PinReason {
    /// An unnamed statement was parsed and not yet bound; it lives on this server connection only.
    #[error("unnamed prepared statement")]
    UnnamedStatement,
    /// A named statement too large to be kept by Howdah lives on this server connection under the
    /// client's own name. The server connection is closed when the client leaves.
    #[error("prepared statement too large to follow the client")]
    LargeStatement,
    /// Something lives in the session's temporary schema.
    #[error("temporary object")]
    TempObject,
    /// An advisory lock of the session is held.
    #[error("session-level advisory lock")]
    AdvisoryLock,
    /// A cursor WITH HOLD is open.
    #[error("cursor WITH HOLD")]
    HoldCursor,
    /// A temporary replication slot exists.
    #[error("temporary replication slot")]
    ReplicationSlot,
    /// `currval` and `lastval` are to be relied on.
    #[error("sequence state")]
    Sequence,
    /// `setseed`: the random numbers to come depend on it.
    #[error("setseed")]
    Seed,
    /// LOAD: a library cannot be unloaded.
    #[error("loaded library")]
    Library,
    /// The session has a temporary schema, which would be found by the next client.
    #[error("temporary schema")]
    TempSchema,
    /// A custom parameter was set, and its name would be known to the next client.
    #[error("custom parameter")]
    CustomParameter,
    /// A setting was made that who logged in may neither make on another server connection nor take back here.
    #[error("setting that cannot follow the client")]
    SettingUncarried,
    /// Something else was found that cannot be brought about on another server connection.
    #[error("session state that cannot follow the client")]
    StateUncarried,
    /// It could follow the client, but `session_state` says otherwise.
    #[error("{0}, pinned by session_state")]
    Policy(StateKind),
}

impl PinReason {
    /// What state of this kind is pinned for.
    #[must_use]
    pub fn of(kind: StateKind) -> PinReason {
        match kind {
            StateKind::Temp => PinReason::TempObject,
            StateKind::Locks => PinReason::AdvisoryLock,
            StateKind::Cursors => PinReason::HoldCursor,
            StateKind::Slots => PinReason::ReplicationSlot,
            StateKind::Sequences => PinReason::Sequence,
            StateKind::Seed => PinReason::Seed,
            StateKind::Libraries => PinReason::Library,
            StateKind::Settings
            | StateKind::Role
            | StateKind::Statements
            | StateKind::Listen
            | StateKind::Custom => PinReason::Policy(kind),
        }
    }
}

/// A name as far as it can be shown on one line.
pub(super) fn printable(name: &str, longest: usize) -> Box<str> {
    name.chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A statement on one line, cut off, with `'…'` for each string. Where it is not certain how far a string goes,
/// nothing of the rest is kept.
fn without_values(statement: &[u8]) -> Box<str> {
    let statement = lossy_front(statement);
    let mut kept = String::new();
    let mut rest = &*statement;
    while let Some(c) = rest.chars().next() {
        if kept.chars().count() >= LONGEST_STATEMENT {
            break;
        }
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = match c {
            '\'' => {
                kept.push_str("'…'");
                behind_string(after)
            }
            '$' => match behind_dollars(after) {
                Some(behind) => {
                    kept.push_str("'…'");
                    behind
                }
                None => {
                    kept.push('$');
                    after
                }
            },
            // Comments hold whatever somebody left there.
            '-' if after.starts_with('-') => after.find('\n').and_then(|end| after.get(end..)).unwrap_or(""),
            '/' if after.starts_with('*') => {
                after.find("*/").and_then(|end| after.get(end + 2..)).unwrap_or("")
            }
            c if c.is_whitespace() || c.is_control() => {
                if !kept.is_empty() && !kept.ends_with(' ') {
                    kept.push(' ');
                }
                after
            }
            c => {
                kept.push(c);
                after
            }
        };
    }
    kept.trim_end().chars().take(LONGEST_STATEMENT).collect()
}

/// What follows the string whose first quote has been read; nothing, if a backslash leaves its end in doubt.
fn behind_string(inside: &str) -> &str {
    let (text, behind) = inside.split_once('\'').unwrap_or((inside, ""));
    if text.contains('\\') { "" } else { behind }
}

/// What follows the string whose first `$` has been read; `None`: it is no string.
fn behind_dollars(after: &str) -> Option<&str> {
    let (tag, inside) = after.split_once('$')?;
    let is_tag = !tag.starts_with(|c: char| c.is_ascii_digit())
        && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
    let closing = format!("${tag}$");
    is_tag.then(|| inside.split_once(closing.as_str()).map_or("", |(_, behind)| behind))
}

/// As much of a text as can matter, which may be as large as a message.
fn lossy_front(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text.get(..LONGEST_LOOK).unwrap_or(text))
}

const LONGEST_NAME: usize = 128;
const LONGEST_STATEMENT: usize = 200;
const LONGEST_LOOK: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_read_the_shape_of_a_statement_and_none_of_its_values() {
        for (text, expected) in [
            ("create temp table t (a int)", "create temp table t (a int)"),
            (" create\n\ttemp   table t\0 ", "create temp table t"),
            ("select pg_advisory_lock(42)", "select pg_advisory_lock(42)"),
            ("select f('se''cret', $1)", "select f('…''…', $1)"),
            ("alter role a password 'x' /* y", "alter role a password '…'"),
            ("select 'a\\' || 'secret' || ''", "select '…'"),
            ("select E'\\'secret'", "select E'…'"),
            ("select 'never ends", "select '…'"),
            ("do $$secret$$ , $a$ $$ $a$ x", "do '…' , '…' x"),
            ("do $a$ secret $b$", "do '…'"),
            ("select 1 -- secret\n, 2", "select 1 , 2"),
            ("select 1 /* secret */, 2 - 3", "select 1 , 2 - 3"),
        ] {
            assert_eq!(&*without_values(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_short_and_whole_characters() {
        let pin = Pin::new(
            PinReason::TempObject,
            Some(&"ä\n".repeat(1000)),
            "é".repeat(100_000).as_bytes(),
            Instant::now(),
        );
        assert_eq!(&*pin.statement, "é".repeat(200));
        assert_eq!(pin.object.as_deref(), Some(&*"ä ".repeat(64)));
        let broken = Pin::new(PinReason::Seed, None, b"select \xff", pin.since);
        assert_eq!(&*broken.statement, "select \u{fffd}");
        assert_eq!(broken.to_string(), "setseed");
    }
}
