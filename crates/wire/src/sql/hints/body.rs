//! What the body of a function does, and whose names it mentions.

use super::computed::{Arguments, computes_name};
use crate::sql::head::Head;
use crate::sql::keyword as word;
use crate::sql::lexer::{Lexer, Piece, Token};
use crate::sql::scan::{self, Words};
use crate::sql::setting;
use crate::sql::signs::{Sign, Signs};
use crate::sql::statements::Statements;

/// What a body is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// Statements or an expression.
    Sql,
    /// PL/pgSQL.
    Plpgsql,
    /// The name of a function in PostgreSQL itself.
    Internal,
    /// Anything else.
    Opaque,
}

/// What a body does by itself. Each of its words is shown, and whether the statement writes. `arguments`: of the
/// function.
pub(super) fn signs(
    language: Language,
    body: &[u8],
    arguments: &Arguments,
    mut show: impl FnMut(Piece<'_>, bool),
) -> Signs {
    let mut signs = Signs::default();
    match language {
        Language::Opaque => signs.add(Sign::Opaque),
        Language::Internal => internal(body, &mut signs),
        Language::Sql => scan::read(body, &mut signs, |_, _| {}, |piece, writes, _| show(piece, writes)),
        Language::Plpgsql => plpgsql(body, &mut signs, show),
    }
    let may_compute = signs.has(Sign::NameComputed) || signs.has(Sign::Opaque);
    let mut signs = signs.without(Sign::Commits).without(Sign::NameComputed);
    if may_compute && matches!(language, Language::Sql | Language::Plpgsql) && computes_name(body, arguments)
    {
        signs.add(Sign::NameComputed);
    }
    signs
}

/// The custom settings that a body asks for or sets, also those in strings that it runs.
pub(super) fn custom_settings(body: &[u8], mut show: impl FnMut(Box<str>)) {
    let mut lexer = Lexer::new(body);
    let mut last: Option<Piece<'_>> = None;
    while let Some(piece) = lexer.piece() {
        if piece.text.starts_with(b"'") {
            if last.is_some_and(|last| last.token == Token::Open)
                && let Some(name) = setting::literal(piece).and_then(|name| custom_name(name.as_bytes()))
            {
                show(name);
            }
            let set = set_in(piece.text.get(1..).unwrap_or_default());
            set.names().iter().filter_map(|name| custom_name(name.as_bytes())).for_each(&mut show);
        }
        last = Some(piece);
    }
}

/// The name of a custom setting in small letters; `None`: it cannot be one.
pub(super) fn custom_name(name: &[u8]) -> Option<Box<str>> {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '$'))
    };
    let name = std::str::from_utf8(name).ok()?;
    (name.contains('.') && name.split('.').all(is_part)).then(|| name.to_ascii_lowercase().into())
}

/// The same for a constant in a stored expression: the bytes as numbers, those of the length first.
pub(super) fn custom_constant(numbers: &[u8]) -> Option<Box<str>> {
    let numbers = std::str::from_utf8(numbers).ok()?.split_ascii_whitespace();
    let bytes: Vec<u8> = numbers.skip(LENGTH_BYTES).map(str::parse).collect::<Result<_, _>>().ok()?;
    custom_name(&bytes)
}

/// PL/pgSQL has words before its statements.
fn plpgsql(body: &[u8], signs: &mut Signs, mut show: impl FnMut(Piece<'_>, bool)) {
    let mut lexer = Lexer::new(body);
    let mut words = Words::new(Head::Other);
    let mut is_start = true;
    let mut last_text: &[u8] = b"";
    while let Some(piece) = lexer.piece() {
        if is_start {
            let head = Head::at(piece.token, lexer);
            // EXECUTE is told below; a cursor of PL/pgSQL is none of the session's to close.
            if !matches!(head, Head::Execute | Head::Close) {
                scan::by_head(head, lexer, signs);
            }
            words = Words::new(head);
        }
        if piece.token == Token::Word(word::EXECUTE) {
            signs.add(Sign::Opaque);
        }
        words.see(piece, lexer, signs);
        show(piece, words.writes);
        is_start = match piece.token {
            Token::Semicolon | Token::Word(word::BEGIN | word::THEN | word::ELSE | word::LOOP) => true,
            // A label's end.
            _ => piece.text == b">" && last_text == b">",
        };
        last_text = piece.text;
    }
    if lexer.doubt {
        signs.add(Sign::Opaque);
    }
}

fn internal(symbol: &[u8], signs: &mut Signs) {
    let symbol = symbol.to_ascii_lowercase();
    for (part, sign) in INTERNAL {
        if memchr::memmem::find(&symbol, part.as_bytes()).is_some() {
            signs.add(*sign);
        }
    }
}

/// What the SET or RESET does with which the inside of a string begins.
fn set_in(string: &[u8]) -> Signs {
    let mut signs = Signs::default();
    let mut statements = Statements::of(string);
    match statements.begin() {
        Some((_, Head::Set)) => setting::set(statements.following(), &mut signs),
        Some((_, Head::Reset)) => setting::reset(statements.following(), &mut signs),
        _ => {}
    }
    signs
}

const LENGTH_BYTES: usize = 4;

/// Parts of the names of functions in C.
const INTERNAL: &[(&str, Sign)] = &[
    ("set_config", Sign::SettingUnknown),
    ("advisory_lock", Sign::Lock),
    ("advisory_unlock", Sign::Unlock),
    ("setseed", Sign::Seed),
    ("nextval", Sign::NextVal),
    ("setval", Sign::NextVal),
    ("currval", Sign::CurrVal),
    ("lastval", Sign::CurrVal),
    ("pg_notify", Sign::Notify),
    ("replication_slot", Sign::Slot),
    ("query_to_xml", Sign::Opaque),
];
