//! `host=db1 port=5432 password='it''s'`: the pairs in an entry of `[databases]`, `[users]` or `[peers]`.
//!
//! PgBouncer's rules, not libpq's: pairs are separated by spaces only, spaces around `=` are allowed, a value may be
//! in single quotes with `''` for one quote, a backslash is a backslash, and no value is empty.

use thiserror::Error;

/// The pairs of an entry, in order. After an error there is nothing more.
pub(crate) struct Pairs<'a> {
    rest: &'a str,
}

/// A mistake in an entry. Values are not repeated: one of them may be a password.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum PairError {
    /// A word without `=`; the end of an unquoted value with spaces looks like that.
    #[error("expected key=value pairs; a value with spaces needs single quotes")]
    NoEquals,
    #[error("{0} has no value")]
    Empty(String),
    #[error("the quote around the value of {0} is not closed")]
    Unclosed(String),
    #[error("expected a space after the quoted value of {0}; a quote inside it is written twice")]
    NoSpace(String),
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(text: &'a str) -> Pairs<'a> {
        Pairs { rest: text }
    }

    fn pair(&mut self) -> Result<Option<(String, String)>, PairError> {
        let text = self.rest.trim_start_matches(' ');
        if text.is_empty() {
            return Ok(None);
        }
        let end = text.find(['=', ' ']).ok_or(PairError::NoEquals)?;
        let (key, after) = text.split_at_checked(end).ok_or(PairError::NoEquals)?;
        let value = after.trim_start_matches(' ').strip_prefix('=').ok_or(PairError::NoEquals)?;
        if key.is_empty() {
            return Err(PairError::NoEquals);
        }
        let value = value.trim_start_matches(' ');
        let (value, rest) = match value.strip_prefix('\'') {
            Some(quoted) => unquote(quoted, key)?,
            None => {
                let (value, rest) = value.split_once(' ').unwrap_or((value, ""));
                (value.to_owned(), rest)
            }
        };
        if value.is_empty() {
            return Err(PairError::Empty(key.to_owned()));
        }
        self.rest = rest;
        Ok(Some((key.to_owned(), value)))
    }
}

impl Iterator for Pairs<'_> {
    type Item = Result<(String, String), PairError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pair().transpose();
        if matches!(pair, None | Some(Err(_))) {
            self.rest = "";
        }
        pair
    }
}

/// The value up to its closing quote, and what follows.
fn unquote<'a>(text: &'a str, key: &str) -> Result<(String, &'a str), PairError> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'').ok_or_else(|| PairError::Unclosed(key.to_owned()))?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            // PgBouncer swallows whatever stands here; it can only be a mistake.
            None if !after.is_empty() && !after.starts_with(' ') => {
                return Err(PairError::NoSpace(key.to_owned()));
            }
            None => return Ok((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<String>, PairError> {
        Pairs::new(text).map(|pair| pair.map(|(key, value)| format!("{key}:{value}"))).collect()
    }

    #[test]
    fn splits_as_pgbouncer_does() {
        for (text, expected) in [
            ("", &[][..]),
            ("   ", &[]),
            ("host=a", &["host:a"]),
            ("  host = a   port  =1 ", &["host:a", "port:1"]),
            ("password='a b'  user=x", &["password:a b", "user:x"]),
            ("password='it''s'", &["password:it's"]),
            ("password=''''", &["password:'"]),
            (r"password='a\\b#c;d'", &[r"password:a\\b#c;d"]),
            (r"password=a'b\'c", &[r"password:a'b\'c"]),
            ("password=a=b", &["password:a=b"]),
            ("host=a,b,/tmp", &["host:a,b,/tmp"]),
            ("connect_query='select ''x'' = 1;'", &["connect_query:select 'x' = 1;"]),
            ("host=a\tport=1", &["host:a\tport=1"]),
        ] {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(pairs(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_pgbouncer_refuses() {
        for (text, error) in [
            ("host", PairError::NoEquals),
            ("host a", PairError::NoEquals),
            ("=a", PairError::NoEquals),
            ("host=", PairError::Empty("host".into())),
            ("host=''", PairError::Empty("host".into())),
            ("password='a", PairError::Unclosed("password".into())),
            ("password='a''", PairError::Unclosed("password".into())),
            ("password='a'host=b", PairError::NoSpace("password".into())),
        ] {
            assert_eq!(pairs(text), Err(error), "{text}");
        }
    }

    #[test]
    fn what_came_before_a_mistake_counts() {
        let mut pairs = Pairs::new("host=a broken user=b");
        assert!(pairs.next().unwrap().is_ok());
        assert_eq!(pairs.next(), Some(Err(PairError::NoEquals)));
        assert_eq!(pairs.next(), None);
    }
}
