//! Does a body put together the name of a setting, so that no text that calls it need show it?
//!
//! A name that is one of the function's arguments, and nothing else, is taken to stand in the text that calls. What a
//! body has from elsewhere (a variable, a column, an expression) is not, nor is a SET whose name is cut off within a
//! string: `'SET app.' || x`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::sql::functions::{self, Use};
use crate::sql::identifier;
use crate::sql::lexer::{Lexer, Piece, Token};
use crate::sql::setting;
use crate::sql::signs::{Sign, Signs};

/// The names of a function's arguments.
pub(super) type Arguments = BTreeSet<Box<[u8]>>;

/// Whether a body computes what it sets beyond the transaction.
pub(super) fn computes_name(body: &[u8], arguments: &Arguments) -> bool {
    let mut lexer = Lexer::new(body);
    while let Some(piece) = lexer.piece() {
        let sets =
            identifier::name(piece).is_some_and(|name| functions::use_of(&name) == Some(Use::SetConfig));
        if sets && is_computed(lexer, body, arguments) || string(piece).is_some_and(|text| is_cut_off(&text))
        {
            return true;
        }
    }
    false
}

/// Whether the block of a DO, of which this follows, does.
pub(in crate::sql) fn computes_name_in_block(mut following: Lexer<'_>) -> bool {
    while let Some(piece) = following.piece().filter(|piece| piece.token != Token::Semicolon) {
        if string(piece).is_some_and(|block| computes_name(&block, &Arguments::new())) {
            return true;
        }
    }
    false
}

/// The same of a `set_config`, of which this follows.
fn is_computed(mut following: Lexer<'_>, body: &[u8], arguments: &Arguments) -> bool {
    let mut signs = Signs::default();
    setting::set_config(following, &mut signs);
    if !signs.has(Sign::NameComputed) || following.token() != Some(Token::Open) {
        return false;
    }
    let Some(first) = following.piece() else { return false };
    if first.token == Token::Close {
        // Where only the function's name is known.
        return false;
    }
    let alone = following.piece().is_some_and(|next| matches!(next.text, b"," | b":"));
    let argument = identifier::name(first).filter(|name| alone && arguments.contains(&**name));
    argument.is_none_or(|name| is_assigned(body, &name))
}

/// Whether a body gives this variable a value.
fn is_assigned(body: &[u8], name: &[u8]) -> bool {
    let is_name = |piece: Piece<'_>| identifier::name(piece).is_some_and(|other| *other == *name);
    let mut lexer = Lexer::new(body);
    let mut last: Option<Piece<'_>> = None;
    while let Some(piece) = lexer.piece() {
        let mut ahead = lexer;
        let follows = |ahead: &mut Lexer<'_>, sign: &str| ahead.piece().is_some_and(|next| next.is(sign));
        let target =
            last.is_some_and(|last| ["into", "strict", "for", "foreach"].iter().any(|word| last.is(word)));
        if is_name(piece) && (target || follows(&mut ahead, ":") && follows(&mut ahead, "=")) {
            return true;
        }
        last = Some(piece);
    }
    false
}

/// Whether this is the beginning of a SET beyond the transaction whose name goes on elsewhere: `SET app.`,
/// `SET app.%s = %L`.
fn is_cut_off(text: &[u8]) -> bool {
    let mut lexer = Lexer::new(text);
    if !lexer.piece().is_some_and(|first| first.is("set")) {
        return false;
    }
    let (mut dots, mut gaps, mut ends) = (false, false, false);
    while let Some(piece) = lexer.piece() {
        if piece.is("local") {
            return false;
        }
        if piece.is("=") || piece.is("to") {
            break;
        }
        ends = piece.is(".");
        dots |= ends;
        gaps |= piece.is("%");
    }
    dots && (gaps || ends)
}

/// What is in a string.
fn string(piece: Piece<'_>) -> Option<Cow<'_, [u8]>> {
    match piece.text {
        [b'\'', inside @ .., b'\''] if inside.contains(&b'\'') => {
            let mut quotes = 0;
            let kept = |byte: &u8| {
                quotes = if *byte == b'\'' { quotes + 1 } else { 0 };
                quotes % 2 == 0 || *byte != b'\''
            };
            Some(Cow::Owned(inside.iter().copied().filter(kept).collect()))
        }
        [b'\'', inside @ .., b'\''] => Some(Cow::Borrowed(inside)),
        [b'$', after @ ..] => {
            let tag = memchr::memchr(b'$', after)? + 2;
            piece.text.get(tag..piece.text.len().checked_sub(tag)?).map(Cow::Borrowed)
        }
        _ => None,
    }
}
