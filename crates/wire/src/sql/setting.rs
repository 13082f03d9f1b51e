//! Which setting do SET, RESET and `set_config` change, and for how long?

use super::keyword as word;
use super::lexer::{Lexer, Piece, Token};
use super::signs::{Sign, Signs};

/// SET …, of which this follows.
pub(super) fn set(mut following: Lexer<'_>, signs: &mut Signs) {
    let Some(mut first) = following.piece() else { return };
    let mut local = false;
    if let Token::Word(word::LOCAL | word::SESSION) = first.token
        && !is_name_with(following)
    {
        local = first.token == Token::Word(word::LOCAL);
        let Some(second) = following.piece() else { return };
        if first.token == Token::Word(word::SESSION) && second.is("characteristics") {
            for name in [
                "default_transaction_isolation",
                "default_transaction_read_only",
                "default_transaction_deferrable",
            ] {
                signs.add_setting(Sign::Setting, name);
            }
            return;
        }
        first = second;
    }
    let special = if is_name_with(following) { None } else { special(first, &mut following) };
    if local {
        return match special {
            Some(Target::Nothing) => signs.add(Sign::SettingLocal),
            Some(Target::Role) => signs.add_local(Some("role")),
            Some(Target::Setting(name)) => signs.add_local(Some(name)),
            None => signs.add_local(name(first, &mut following).as_deref()),
        };
    }
    match special {
        Some(Target::Nothing) => {}
        Some(Target::Role) => signs.add(Sign::Role),
        Some(Target::Setting(name)) => signs.add_setting(set_or_reset(following), name),
        None => match name(first, &mut following) {
            Some(name) => {
                following.piece();
                signs.add_setting(set_or_reset(following), &name);
            }
            None => signs.add(Sign::SettingUnknown),
        },
    }
}

/// RESET …, of which this follows.
pub(super) fn reset(mut following: Lexer<'_>, signs: &mut Signs) {
    let Some(first) = following.piece() else { return };
    if first.token == Token::Word(word::ALL) {
        return signs.add(Sign::ResetAll);
    }
    if first.token == Token::Word(word::ROLE) {
        signs.add(Sign::RoleReset);
    }
    match special(first, &mut following) {
        Some(Target::Nothing) => {}
        Some(Target::Role) => signs.add(Sign::Role),
        Some(Target::Setting(name)) => signs.add_setting(Sign::Reset, name),
        None => match name(first, &mut following) {
            Some(name) => signs.add_setting(Sign::Reset, &name),
            None => signs.add(Sign::SettingUnknown),
        },
    }
}

/// `set_config`, of which this follows. What it is about is only told where that is written out.
pub(super) fn set_config(mut following: Lexer<'_>, signs: &mut Signs) {
    if following.token() != Some(Token::Open) {
        return;
    }
    let is_parameter = is_parameter(following);
    let name = following.piece().and_then(literal).filter(|_| following.piece().is_some_and(is_comma));
    if is_local(following, name.is_some()) {
        return signs.add_local(name.as_deref());
    }
    match name {
        Some(name) => signs.add_setting(Sign::Setting, &name),
        None => {
            signs.add(Sign::SettingUnknown);
            if !is_parameter {
                signs.add(Sign::NameComputed);
            }
        }
    }
}

/// `$1` and a comma or a cast follow.
fn is_parameter(mut following: Lexer<'_>) -> bool {
    following.piece().is_some_and(|piece| piece.text == b"$")
        && following.piece().is_some_and(|piece| piece.text.iter().all(u8::is_ascii_digit))
        && following.piece().is_some_and(|piece| matches!(piece.text, b"," | b":"))
}

/// What SET and RESET can be about besides a name.
enum Target {
    Nothing,
    Role,
    Setting(&'static str),
}

/// The settings with a syntax of their own, which has none of the signs that follow a name.
fn special(first: Piece<'_>, following: &mut Lexer<'_>) -> Option<Target> {
    let mut ahead = *following;
    let target = match first.token {
        Token::Word(word::TRANSACTION) => Target::Nothing,
        Token::Word(word::ROLE) => Target::Role,
        Token::Word(word::SESSION) if ahead.piece()?.is("authorization") => Target::Role,
        Token::Word(word::TIME) if ahead.token() == Some(Token::Word(word::ZONE)) => {
            Target::Setting("timezone")
        }
        Token::Word(word::XML) if ahead.token() == Some(Token::Word(word::OPTION)) => {
            Target::Setting("xmloption")
        }
        Token::Word(word::NAMES) => Target::Setting("client_encoding"),
        Token::Word(word::SCHEMA) => Target::Setting("search_path"),
        // Of SET SESSION AUTHORIZATION, the SESSION of which was read.
        _ if first.is("authorization") => Target::Role,
        _ if first.is("constraints") => Target::Nothing,
        _ => return None,
    };
    *following = ahead;
    Some(target)
}

/// Whether what was read is a name, whatever else it could be.
fn is_name_with(mut following: Lexer<'_>) -> bool {
    following.piece().is_some_and(|next| {
        matches!(next.text, b"." | b"=") || matches!(next.token, Token::Word(word::TO | word::FROM))
    })
}

/// What is set, if not to its default. PostgreSQL takes SET NAMES and SET TIME ZONE LOCAL for defaults, too.
fn set_or_reset(mut following: Lexer<'_>) -> Sign {
    match following.token() {
        None | Some(Token::Semicolon | Token::Word(word::DEFAULT | word::LOCAL)) => Sign::Reset,
        _ => Sign::Setting,
    }
}

/// A name with its dots.
fn name(first: Piece<'_>, following: &mut Lexer<'_>) -> Option<String> {
    let mut name = String::new();
    let mut part = first;
    loop {
        add_part(part, &mut name)?;
        let mut ahead = *following;
        match ahead.piece() {
            Some(Piece { text: b".", .. }) => part = ahead.piece()?,
            // U&"…"
            Some(Piece { text: b"&", .. }) => return None,
            _ => return Some(name),
        }
        name.push('.');
        *following = ahead;
    }
}

fn add_part(part: Piece<'_>, name: &mut String) -> Option<()> {
    let text = match (part.token, part.text) {
        (Token::Word(_), text) => text,
        (_, [b'"', text @ .., b'"']) => text,
        _ => return None,
    };
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii() && !text.contains('"'))?;
    // PostgreSQL cuts what is longer.
    if text.len() > MAX_PART || name.len() > MAX_NAME {
        return None;
    }
    name.extend(text.chars().map(|letter| letter.to_ascii_lowercase()));
    Some(())
}

/// The name in a string without escapes.
pub(super) fn literal(piece: Piece<'_>) -> Option<String> {
    let [b'\'', text @ .., b'\''] = piece.text else { return None };
    let text = std::str::from_utf8(text).ok()?;
    let is_simple = text.is_ascii() && !text.contains(['\'', '\\']) && text.len() <= MAX_NAME;
    is_simple.then(|| text.to_ascii_lowercase())
}

fn is_comma(piece: Piece<'_>) -> bool {
    piece.text == b","
}

/// Whether the third argument is a plain `true`; the first was read, perhaps with the comma behind it. Only so many
/// tokens are looked at, so that calls nested in calls do not take quadratic time.
fn is_local(mut following: Lexer<'_>, comma_read: bool) -> bool {
    let mut commas = usize::from(comma_read);
    let mut depth = 0_usize;
    for _ in 0..MAX_LOOKAHEAD {
        let Some(piece) = following.piece() else { return false };
        match piece.token {
            Token::Open => depth += 1,
            Token::Close if depth == 0 => return false,
            Token::Close => depth -= 1,
            Token::Other if depth == 0 && is_comma(piece) => commas += 1,
            _ => {}
        }
        if commas == 2 {
            return following.token() == Some(Token::Word(word::TRUE))
                && following.token() == Some(Token::Close);
        }
    }
    false
}

const MAX_PART: usize = 63;
const MAX_NAME: usize = 256;
const MAX_LOOKAHEAD: usize = 32;
