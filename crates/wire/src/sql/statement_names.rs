//! The names of prepared statements that SQL itself uses in a text, and where they are written.

use std::borrow::Cow;
use std::ops::Range;

use super::head::Head;
use super::identifier;
use super::keyword as word;
use super::lexer::{Lexer, Piece, Token};
use super::statements::Statements;

/// The names in PREPARE, EXECUTE and DEALLOCATE, in the order of the text; EXECUTE also in EXPLAIN and CREATE TABLE
/// AS. DEALLOCATE ALL has none, and one spelt `U&"…"` is left out.
#[derive(Clone, Debug)]
pub struct StatementNames<'a> {
    text: &'a [u8],
    statements: Statements<'a>,
}

/// A prepared statement's name in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementName<'a> {
    /// What is done with it.
    pub verb: Verb,
    /// As PostgreSQL knows it: without quotes, in small letters if it had none, at most 63 bytes.
    pub name: Cow<'a, [u8]>,
    /// Where in the text it is written, with its quotes.
    pub span: Range<usize>,
}

/// What is done with a prepared statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// PREPARE
    Prepare,
    /// EXECUTE
    Execute,
    /// DEALLOCATE
    Deallocate,
}

impl<'a> StatementNames<'a> {
    /// Those of this text.
    #[must_use]
    pub fn of(text: &'a [u8]) -> StatementNames<'a> {
        StatementNames { text, statements: Statements::of(text) }
    }

    fn name(&self, verb: Verb, mut following: Lexer<'a>) -> Option<StatementName<'a>> {
        let mut piece = following.piece()?;
        if verb == Verb::Deallocate {
            if piece.token == Token::Word(word::PREPARE) && next_is_name(following) {
                piece = following.piece()?;
            }
            if piece.token == Token::Word(word::ALL) {
                return None;
            }
        }
        let end = self.text.len() - following.remaining();
        // U&"…"
        if following.piece().is_some_and(|next| next.text == b"&") {
            return None;
        }
        Some(StatementName { verb, name: identifier::name(piece)?, span: end - piece.text.len()..end })
    }
}

impl<'a> Iterator for StatementNames<'a> {
    type Item = StatementName<'a>;

    fn next(&mut self) -> Option<StatementName<'a>> {
        loop {
            let (first, head) = self.statements.begin()?;
            let following = self.statements.following();
            let mut place = match head {
                Head::Prepare => Some((Verb::Prepare, following)),
                Head::Execute => Some((Verb::Execute, following)),
                Head::Deallocate => Some((Verb::Deallocate, following)),
                _ => None,
            };
            let mut last = first;
            self.statements.finish(first, head, |piece, following| {
                if place.is_none() && is_inner_execute(head, last, piece) {
                    place = Some((Verb::Execute, following));
                }
                last = piece;
            });
            let name = place.and_then(|(verb, following)| self.name(verb, following));
            if name.is_some() {
                return name;
            }
        }
    }
}

/// Whether a word, with the one before it, is the EXECUTE in EXPLAIN or CREATE TABLE AS; not that of a trigger.
pub(super) fn is_inner_execute(head: Head, last: Piece<'_>, piece: Piece<'_>) -> bool {
    piece.token == Token::Word(word::EXECUTE)
        && match head {
            Head::Explain => true,
            Head::Create => last.token == Token::Word(word::AS),
            _ => false,
        }
}

fn next_is_name(mut following: Lexer<'_>) -> bool {
    following.piece().and_then(identifier::name).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `verb name@written` of each.
    fn names(text: &str) -> String {
        let show = |name: StatementName<'_>| {
            format!("{:?} {}@{}", name.verb, String::from_utf8_lossy(&name.name), &text[name.span])
        };
        StatementNames::of(text.as_bytes()).map(show).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn each_verb_has_its_name_as_postgresql_knows_it_and_its_place() {
        for (text, expected) in [
            ("PREPARE p AS SELECT 1", "Prepare p@p"),
            ("prepare /* x */ Foo(int) AS SELECT $1", "Prepare foo@Foo"),
            ("PREPARE \"Foo \"\"x\"\"\" AS SELECT 1", "Prepare Foo \"x\"@\"Foo \"\"x\"\"\""),
            ("PREPARE transaction AS SELECT 1", "Prepare transaction@transaction"),
            ("PREPARE TRANSACTION 'x'", ""),
            ("EXECUTE p(1, 2)", "Execute p@p"),
            ("EXECUTE \"P\";", "Execute P@\"P\""),
            ("EXPLAIN EXECUTE p", "Execute p@p"),
            ("EXPLAIN (ANALYZE, COSTS off) EXECUTE p(1)", "Execute p@p"),
            ("EXPLAIN ANALYZE CREATE TABLE t AS EXECUTE p", "Execute p@p"),
            ("CREATE TEMP TABLE t (a, b) AS EXECUTE p(1)", "Execute p@p"),
            ("CREATE TRIGGER t AFTER INSERT ON u FOR EACH ROW EXECUTE FUNCTION f()", ""),
            ("GRANT EXECUTE ON FUNCTION f TO a", ""),
            ("DEALLOCATE p", "Deallocate p@p"),
            ("DEALLOCATE PREPARE P", "Deallocate p@P"),
            ("DEALLOCATE prepare", "Deallocate prepare@prepare"),
            ("DEALLOCATE PREPARE prepare", "Deallocate prepare@prepare"),
            ("DEALLOCATE ALL", ""),
            ("DEALLOCATE PREPARE ALL", ""),
            ("DEALLOCATE \"all\"", "Deallocate all@\"all\""),
            ("EXECUTE U&\"p\"", ""),
            ("EXECUTE", ""),
            ("EXECUTE 'p'", ""),
            ("SELECT 'EXECUTE p'; SELECT execute FROM t", ""),
            (
                "PREPARE a AS SELECT ';'; EXECUTE a;; SELECT 1; DEALLOCATE a",
                "Prepare a@a, Execute a@a, Deallocate a@a",
            ),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn long_names_are_cut_before_a_letter() {
        for (written, expected) in [
            ("x".repeat(70), "x".repeat(63)),
            (format!("\"{}é\"", "x".repeat(62)), "x".repeat(62)),
            (format!("\"{}é\"", "x".repeat(61)), format!("{}é", "x".repeat(61))),
            (format!("\"{}\"\"y\"", "x".repeat(62)), format!("{}\"", "x".repeat(62))),
        ] {
            let text = format!("EXECUTE {written}");
            let name = StatementNames::of(text.as_bytes()).next().expect("a name");
            assert_eq!(String::from_utf8_lossy(&name.name), expected, "{written}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_around_it_a_name_is_where_the_span_says(
            before in proptest::sample::select(vec!["", "SELECT ';';", " /* EXECUTE x */ ", "--\n", "EXPLAIN "]),
            name in "[a-z_é][a-z0-9_é$]{0,20}",
            after in proptest::sample::select(vec!["", "(1)", ";", " ;SELECT 1", "--x"]),
        ) {
            prop_assume!(!["ALL", "PREPARE", "e"].contains(&name.as_str()));
            for name in [name.clone(), format!("\"{name}\"")] {
                let text = format!("{before}EXECUTE {name}{after}");
                let found: Vec<_> = StatementNames::of(text.as_bytes()).collect();
                prop_assert_eq!(found.len(), 1, "{}", text);
                prop_assert_eq!(&text[found[0].span.clone()], &name);
                prop_assert_eq!(&*found[0].name, name.trim_matches('"').as_bytes());
            }
        }

        #[test]
        fn no_bytes_panic_and_spans_are_in_order(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let text = [b"execute ".as_slice(), &text, b";deallocate ", &text].concat();
            let mut last = 0;
            for name in StatementNames::of(&text) {
                prop_assert!(last <= name.span.start && name.span.end <= text.len());
                last = name.span.end;
            }
        }
    }
}
