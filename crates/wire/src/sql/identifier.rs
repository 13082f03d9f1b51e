//! Names as PostgreSQL understands them: quotes removed, otherwise in small letters, cut to 63 bytes.

use std::borrow::Cow;

use super::lexer::{Piece, Token};

/// The name that a word or a quoted name stands for; `None`: it is neither.
pub(super) fn name(piece: Piece<'_>) -> Option<Cow<'_, [u8]>> {
    let mut name = match (piece.token, piece.text) {
        (Token::Word(_), word) if word.iter().any(u8::is_ascii_uppercase) => {
            Cow::Owned(word.to_ascii_lowercase())
        }
        (Token::Word(_), word) => Cow::Borrowed(word),
        (_, [b'"', inside @ .., b'"']) if inside.contains(&b'"') => Cow::Owned(without_doubles(inside)),
        (_, [b'"', inside @ .., b'"']) => Cow::Borrowed(inside),
        _ => return None,
    };
    let len = clipped(&name);
    match &mut name {
        Cow::Borrowed(name) => *name = name.get(..len).unwrap_or_default(),
        Cow::Owned(name) => name.truncate(len),
    }
    Some(name)
}

fn without_doubles(inside: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let [byte, after @ ..] = rest {
        name.push(*byte);
        rest = match after {
            [b'"', after @ ..] if *byte == b'"' => after,
            _ => after,
        };
    }
    name
}

/// As much of a name as PostgreSQL keeps.
pub(super) fn clip(name: &[u8]) -> &[u8] {
    name.get(..clipped(name)).unwrap_or_default()
}

/// The length to which PostgreSQL cuts a name: no UTF-8 letter is cut in two.
fn clipped(name: &[u8]) -> usize {
    if name.len() <= MAX_LEN {
        return name.len();
    }
    let is_first = |at: &usize| name.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (0..=MAX_LEN).rev().find(is_first).filter(|len| MAX_LEN - len < 4).unwrap_or(MAX_LEN)
}

/// NAMEDATALEN - 1.
const MAX_LEN: usize = 63;
