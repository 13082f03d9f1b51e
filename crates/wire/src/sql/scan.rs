//! The one pass over a text that finds its [`Signs`].

use super::head::Head;
use super::hints::Hints;
use super::keyword::{self as word, Keyword};
use super::lexer::{Lexer, Piece, Token};
use super::plain;
use super::setting;
use super::signs::{Sign, Signs};
use super::statements::{Statements, is_single, may_end};

/// The signs of a text, without reading all of it if it is plain.
#[inline]
pub(super) fn signs(text: &[u8], hints: &Hints) -> Signs {
    if hints.is_empty()
        && let Some(head) = plain::head_of_plain(text)
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
        read(
            text,
            &mut signs,
            |head, signs| hints.see_head(head, signs),
            |piece, writes, signs| hints.see(piece, writes, signs),
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
        Head::Do | Head::Call => signs.add(Sign::Opaque),
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
        let Some(b'c' | b'C' | b'l' | b'L' | b'n' | b'N' | b'p' | b'P' | b'q' | b'Q' | b's' | b'S') =
            name.first()
        else {
            return;
        };
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("set_config") {
            return setting::set_config(following, signs);
        }
        if is("set_limit") {
            return signs.add_setting(Sign::Setting, "pg_trgm.similarity_threshold");
        }
        // The view's rule calls set_config.
        if is("pg_settings") && self.head == Head::Update {
            return signs.add(Sign::SettingUnknown);
        }
        if let Some((_, sign)) = FUNCTIONS.iter().find(|(function, _)| is(function)) {
            return signs.add(*sign);
        }
        if is("pg_temp") || name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"pg_temp_")) {
            signs.add(Sign::Temp);
        }
    }
}

/// So many tokens from its beginning, a statement of CREATE, ALTER or DROP has said what it is about.
const DDL_WORDS: usize = 8;

/// A number that no word has.
const AMPERSAND: Keyword = 4;

const FUNCTIONS: &[(&str, Sign)] = &[
    ("nextval", Sign::NextVal),
    ("setval", Sign::NextVal),
    ("currval", Sign::CurrVal),
    ("lastval", Sign::CurrVal),
    ("setseed", Sign::Seed),
    ("pg_notify", Sign::Notify),
    ("pg_advisory_lock", Sign::Lock),
    ("pg_advisory_lock_shared", Sign::Lock),
    ("pg_try_advisory_lock", Sign::Lock),
    ("pg_try_advisory_lock_shared", Sign::Lock),
    ("pg_advisory_unlock", Sign::Unlock),
    ("pg_advisory_unlock_shared", Sign::Unlock),
    ("pg_advisory_unlock_all", Sign::Unlock),
    ("pg_prepared_statements", Sign::PreparedView),
    ("pg_prepared_statement", Sign::PreparedView),
    ("pg_create_logical_replication_slot", Sign::Slot),
    ("pg_create_physical_replication_slot", Sign::Slot),
    ("pg_copy_logical_replication_slot", Sign::Slot),
    ("pg_copy_physical_replication_slot", Sign::Slot),
    ("pg_replication_origin_session_setup", Sign::Load),
    ("pg_backup_start", Sign::Load),
    ("pg_start_backup", Sign::Load),
    ("query_to_xml", Sign::Opaque),
    ("query_to_xmlschema", Sign::Opaque),
    ("query_to_xml_and_xmlschema", Sign::Opaque),
];
