//! The channels that a text itself listens to.

use std::borrow::Cow;

use super::head::Head;
use super::identifier;
use super::statements::Statements;

/// The names in LISTEN, in the order of the text. One spelt `U&"…"` is left out, as is what DO, functions and
/// prepared statements listen to.
#[derive(Clone, Debug)]
pub struct ListenNames<'a>(Statements<'a>);

impl<'a> ListenNames<'a> {
    /// Those of this text.
    #[must_use]
    pub fn of(text: &'a [u8]) -> ListenNames<'a> {
        ListenNames(Statements::of(text))
    }
}

impl<'a> Iterator for ListenNames<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        loop {
            let (first, head) = self.0.begin()?;
            let mut following = self.0.following();
            self.0.finish(first, head, |_, _| {});
            if head != Head::Listen {
                continue;
            }
            let name = following.piece().and_then(identifier::name);
            if name.is_some() && following.piece().is_none_or(|next| next.text != b"&") {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_postgresql_would_listen_to() {
        for (text, expected) in [
            ("listen news", "news"),
            ("LISTEN News; select 1; /* x */ listen \"A \"\"B\"\"\";", "news|A \"B\""),
            ("begin; listen a; notify a; commit", "a"),
            ("select 1; unlisten a; select 'listen b'", ""),
            ("listen U&\"x\"", ""),
            ("listen", ""),
            ("create table listen (listen int)", ""),
        ] {
            let names: Vec<_> =
                ListenNames::of(text.as_bytes()).map(|n| String::from_utf8_lossy(&n).into_owned()).collect();
            assert_eq!(names.join("|"), expected, "{text}");
        }
    }
}
