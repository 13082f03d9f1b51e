//! The one pass over a text that finds its [`Signs`].

use super::head::Head;
use super::hints::Hints;
use super::keyword::{self as word, Keyword};
use super::lexer::{Lexer, Piece, Token};
use super::setting;
use super::signs::{Sign, Signs};
use super::statements::{Statements, ends_transaction};

pub(super) fn signs(text: &[u8], hints: &Hints) -> Signs {
    let mut signs = Signs::default();
    if ends_transaction(text) {
        signs.add(Sign::Commits);
    }
    let mut statements = Statements::of(text);
    while let Some((first, head)) = statements.begin() {
        by_head(head, statements.following(), &mut signs);
        let mut words = Words { head, last: 0, last_but_one: 0, count: 0, hints, signs: &mut signs };
        statements.finish(first, head, |piece, following| words.see(piece, following));
    }
    if statements.in_doubt() {
        signs.add(Sign::Opaque);
    }
    signs
}

/// What a statement does by itself.
fn by_head(head: Head, mut following: Lexer<'_>, signs: &mut Signs) {
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
struct Words<'s, 'h> {
    head: Head,
    last: Keyword,
    last_but_one: Keyword,
    count: usize,
    hints: &'h Hints,
    signs: &'s mut Signs,
}

impl Words<'_, '_> {
    fn see(&mut self, piece: Piece<'_>, following: Lexer<'_>) {
        let mut number = 0;
        match (piece.token, piece.text) {
            (Token::Word(keyword), name) => {
                number = keyword;
                self.keyword(keyword, piece);
                self.name(name, following);
            }
            (_, [b'"', name @ .., b'"']) => {
                self.name(name, following);
                // U&"…" may spell any name.
                if (self.last_but_one, self.last) == (word::U, AMPERSAND) {
                    self.signs.add(Sign::Opaque);
                }
            }
            (_, b"&") => number = AMPERSAND,
            _ => {}
        }
        (self.last_but_one, self.last) = (self.last, number);
        self.count += 1;
        self.hints.see(piece, self.head, self.signs);
    }

    /// What a keyword means that is not the first of its statement.
    fn keyword(&mut self, keyword: Keyword, piece: Piece<'_>) {
        let is_ddl = matches!(self.head, Head::Create | Head::Alter | Head::Drop);
        match keyword {
            word::TEMP => self.temp(),
            word::HOLD if self.head == Head::Declare && self.last == word::WITH => {
                self.signs.add(Sign::HoldCursor);
            }
            word::EXECUTE if self.head == Head::Explain => self.signs.add(Sign::Execute),
            // A trigger has an EXECUTE, too.
            word::EXECUTE if self.head == Head::Create && self.last == word::AS => {
                self.signs.add(Sign::Execute);
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
                self.signs.add(Sign::Schema);
            }
            _ if piece.text.len() != 9 => {}
            _ if piece.is("temporary") => self.temp(),
            _ if is_ddl && self.count < DDL_WORDS => {
                if piece.is("procedure") || piece.is("aggregate") {
                    self.signs.add(Sign::Schema);
                } else if piece.is("extension") {
                    // Its script may do anything.
                    add(&[Sign::Schema, Sign::Opaque], self.signs);
                }
            }
            _ => {}
        }
    }

    /// TEMP or TEMPORARY, which can also be a column's or table's name.
    fn temp(&mut self) {
        let is_kind = match self.last {
            word::CREATE | word::REPLACE | word::LOCAL | word::GLOBAL => true,
            word::INTO => !matches!(self.last_but_one, word::INSERT | word::MERGE),
            _ => false,
        };
        if is_kind {
            self.signs.add(Sign::Temp);
        }
    }

    /// A word or the inside of a quoted name, which may be that of a function.
    fn name(&mut self, name: &[u8], following: Lexer<'_>) {
        let Some(b'c' | b'C' | b'l' | b'L' | b'n' | b'N' | b'p' | b'P' | b'q' | b'Q' | b's' | b'S') =
            name.first()
        else {
            return;
        };
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("set_config") {
            return setting::set_config(following, self.signs);
        }
        if is("set_limit") {
            return self.signs.add_setting(Sign::Setting, "pg_trgm.similarity_threshold");
        }
        // The view's rule calls set_config.
        if is("pg_settings") && self.head == Head::Update {
            return self.signs.add(Sign::SettingUnknown);
        }
        if let Some((_, sign)) = FUNCTIONS.iter().find(|(function, _)| is(function)) {
            return self.signs.add(*sign);
        }
        if is("pg_temp") || name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"pg_temp_")) {
            self.signs.add(Sign::Temp);
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
