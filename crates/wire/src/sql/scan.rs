//! The one pass over a text that finds its [`Signs`].

use std::cell::Cell;

use super::functions::{self, Use};
use super::head::Head;
use super::hints::{Hints, computes_name_in_block};
use super::keyword::{self as word, Keyword};
use super::lexer::{Lexer, Piece, Token};
use super::plain;
use super::setting;
use super::signs::{Sign, Signs};
use super::statements::{Statements, is_single, may_end};

/// The signs of a text, without reading all of it if it is plain.
#[inline]
pub(super) fn signs(text: &[u8], hints: &Hints) -> Signs {
    if let Some(head) = plain::head_of_plain(text)
        && !hints.may_matter(head, text)
    {
        let mut signs = Signs::default();
        if may_end(head) {
            signs.add(Sign::Commits);
        }
        return signs;
    }
    scan(text, hints)
}

/// The signs of a text, all words of which are read.
fn scan(text: &[u8], hints: &Hints) -> Signs {
    let mut signs = Signs::default();
    if hints.is_empty() {
        read(text, &mut signs, |_, _| {}, |_, _, _| {});
    } else {
        let defines = Cell::new(false);
        read(
            text,
            &mut signs,
            |head, signs| {
                defines.set(matches!(head, Head::Create | Head::Alter));
                hints.see_head(head, signs);
            },
            |piece, writes, signs| {
                // A default, a foreign key, a partition: what uses it does from now on what it does.
                if hints.see(piece, writes, signs) && defines.get() {
                    signs.add(Sign::Schema);
                }
            },
        );
        hints.see_end(&mut signs);
    }
    signs
}

/// Adds what a text does by its own words, and shows the head of each statement, and each token with whether its
/// statement writes.
#[inline]
pub(super) fn read(
    text: &[u8],
    signs: &mut Signs,
    mut show_head: impl FnMut(Head, &mut Signs),
    mut show: impl FnMut(Piece<'_>, bool, &mut Signs),
) {
    let mut statements = Statements::of(text);
    while let Some((first, head)) = statements.begin() {
        if may_end(head) {
            signs.add(Sign::Commits);
        }
        by_head(head, statements.following(), signs);
        show_head(head, signs);
        let mut words = Words::new(head);
        statements.finish(first, head, |piece, following| {
            words.see(piece, following, signs);
            show(piece, words.writes, signs);
        });
    }
    if statements.in_doubt() {
        signs.add(Sign::Opaque);
        if !is_single(text) {
            signs.add(Sign::Commits);
        }
    }
}

/// What a statement does by itself.
pub(super) fn by_head(head: Head, mut following: Lexer<'_>, signs: &mut Signs) {
    match head {
        Head::Set => setting::set(following, signs),
        Head::Reset => setting::reset(following, signs),
        Head::Prepare => signs.add(Sign::Prepare),
        Head::Execute => signs.add(Sign::Execute),
        Head::Deallocate => add(&[Sign::Deallocate, Sign::Clears], signs),
        Head::Discard => discard(following.piece(), signs),
        Head::Listen => signs.add(Sign::Listen),
        Head::Unlisten => signs.add(Sign::Unlisten),
        Head::Notify => signs.add(Sign::Notify),
        Head::Drop => signs.add(Sign::Drop),
        Head::Close => signs.add(Sign::CloseCursor),
        Head::Load => signs.add(Sign::Load),
        Head::Call => signs.add(Sign::Opaque),
        Head::Do => {
            signs.add(Sign::Opaque);
            if computes_name_in_block(following) {
                signs.add(Sign::NameComputed);
            }
        }
        _ => {}
    }
}

fn discard(what: Option<Piece<'_>>, signs: &mut Signs) {
    match what {
        Some(what) if what.is("plans") || what.is("sequences") => {}
        Some(what) if what.is("temp") || what.is("temporary") => signs.add(Sign::Drop),
        _ => add(
            &[
                Sign::Clears,
                Sign::Deallocate,
                Sign::ResetAll,
                Sign::Role,
                Sign::RoleReset,
                Sign::Drop,
                Sign::Unlisten,
                Sign::Unlock,
                Sign::CloseCursor,
            ],
            signs,
        ),
    }
}

fn add(all: &[Sign], signs: &mut Signs) {
    for sign in all {
        signs.add(*sign);
    }
}

/// The words of one statement, each seen after the other.
pub(super) struct Words {
    /// A word was among them that changes tables.
    pub(super) writes: bool,
    head: Head,
    last: Keyword,
    last_but_one: Keyword,
    count: usize,
}

impl Words {
    pub(super) fn new(head: Head) -> Words {
        Words { writes: false, head, last: 0, last_but_one: 0, count: 0 }
    }

    /// Adds what the next token means.
    pub(super) fn see(&mut self, piece: Piece<'_>, following: Lexer<'_>, signs: &mut Signs) {
        let mut number = 0;
        match (piece.token, piece.text) {
            (Token::Word(keyword), name) => {
                number = keyword;
                self.keyword(keyword, piece, signs);
                self.name(name, following, signs);
            }
            (_, [b'"', name @ .., b'"']) => {
                self.name(name, following, signs);
                // U&"…" may spell any name.
                if (self.last_but_one, self.last) == (word::U, AMPERSAND) {
                    signs.add(Sign::Opaque);
                }
            }
            (_, b"&") => number = AMPERSAND,
            _ => {}
        }
        (self.last_but_one, self.last) = (self.last, number);
        self.count += 1;
    }

    /// What a keyword means that is not the first of its statement.
    fn keyword(&mut self, keyword: Keyword, piece: Piece<'_>, signs: &mut Signs) {
        let is_ddl = matches!(self.head, Head::Create | Head::Alter | Head::Drop);
        match keyword {
            word::TEMP => self.temp(signs),
            word::HOLD if self.head == Head::Declare && self.last == word::WITH => {
                signs.add(Sign::HoldCursor);
            }
            word::EXECUTE if self.head == Head::Explain => signs.add(Sign::Execute),
            // A trigger has an EXECUTE, too.
            word::EXECUTE if self.head == Head::Create && self.last == word::AS => {
                signs.add(Sign::Execute);
            }
            word::FUNCTION
            | word::LANGUAGE
            | word::RENAME
            | word::ROUTINE
            | word::RULE
            | word::SCHEMA
            | word::TRIGGER
            | word::VIEW
                if is_ddl && self.count < DDL_WORDS =>
            {
                signs.add(Sign::Schema);
            }
            word::INSERT | word::UPDATE | word::DELETE | word::MERGE | word::COPY | word::TRUNCATE => {
                self.writes = true;
            }
            _ if piece.text.len() != 9 => {}
            _ if piece.is("temporary") => self.temp(signs),
            _ if is_ddl && self.count < DDL_WORDS => {
                if piece.is("procedure") || piece.is("aggregate") {
                    signs.add(Sign::Schema);
                } else if piece.is("extension") {
                    // Its script may do anything.
                    add(&[Sign::Schema, Sign::Opaque], signs);
                }
            }
            _ => {}
        }
    }

    /// TEMP or TEMPORARY, which can also be a column's or table's name.
    fn temp(&self, signs: &mut Signs) {
        let is_kind = match self.last {
            word::CREATE | word::REPLACE | word::LOCAL | word::GLOBAL => true,
            word::INTO => !matches!(self.last_but_one, word::INSERT | word::MERGE),
            _ => false,
        };
        if is_kind {
            signs.add(Sign::Temp);
        }
    }

    /// A word or the inside of a quoted name, which may be that of a function.
    fn name(&self, name: &[u8], following: Lexer<'_>, signs: &mut Signs) {
        match functions::use_of(name) {
            None => {}
            Some(Use::Does(sign)) => signs.add(sign),
            Some(Use::SetConfig) => setting::set_config(following, signs),
            Some(Use::Sets(setting)) => signs.add_setting(Sign::Setting, setting),
            Some(Use::SettingsView) if self.head == Head::Update => signs.add(Sign::SettingUnknown),
            Some(Use::SettingsView) => {}
        }
    }
}

/// So many tokens from its beginning, a statement of CREATE, ALTER or DROP has said what it is about.
const DDL_WORDS: usize = 8;

/// A number that no word has.
const AMPERSAND: Keyword = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sql::hints::HintsBuilder;

    /// Texts made of words that matter, and of what can hide them.
    fn nasty() -> impl Strategy<Value = Vec<u8>> {
        let piece = proptest::sample::select(vec![
            "'",
            "\"",
            "$$",
            "$a$",
            "$1",
            "--",
            "/*",
            "*/",
            "\\",
            ";",
            "(",
            ")",
            "\n",
            " ",
            " ",
            " ",
            " ",
            "e'",
            "U&\"",
            "x",
            "select ",
            "insert into ",
            "update ",
            "set_config",
            "SetSeed",
            "temp ",
            "into ",
            "pg_temp",
            "nextval",
            "Currval",
            "pg_settings",
            "query_to_xml",
            "set_limit",
            "f",
            "F",
            "\"Foo\"",
            "\"odd name\"",
            "_",
            "9",
            "é",
        ]);
        proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn a_glance_misses_nothing(text in nasty(), has_odd: bool) {
            let mut builder = HintsBuilder::default();
            for name in ["f", "Foo", "odd name"].iter().take(2 + usize::from(has_odd)) {
                builder.row(b"internal", name.as_bytes(), b"pg_notify");
            }
            for hints in [Hints::default(), builder.build()] {
                for start in ["", "select ", "insert into t values (", "commit "] {
                    let text = [start.as_bytes(), &text].concat();
                    let (glance, look) = (signs(&text, &hints), scan(&text, &hints));
                    // A text in doubt is opaque only if there is a word in it that could matter.
                    let mut opaque = glance.clone();
                    opaque.add(Sign::Opaque);
                    prop_assert!(glance == look || opaque == look, "{}", String::from_utf8_lossy(&text));
                }
            }
        }
    }
}
