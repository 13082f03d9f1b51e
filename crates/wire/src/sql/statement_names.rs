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
