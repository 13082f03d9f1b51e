//! The answers to Howdah's questions about a session.

use crate::SqlError;
use crate::call::literal;
use crate::session::{Prepared, Session};
use crate::token::Token;

type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// To SELECT `rest`, if that is one of them: a letter for the kind of question comes first.
pub(crate) fn answer(session: &mut Session, rest: &[Token]) -> Option<Result<Rows, SqlError>> {
    let asks = |name: &str| rest.iter().filter(|word| word.is(name)).count();
    if rest.first().is_some_and(|first| first.is("case")) {
        return match (asks("pg_prepared_statement"), asks("pg_show_all_settings")) {
            (1, 0) => Some(Ok(prepared(session))),
            (0, 1) => Some(Ok(settings(session, asks("has_parameter_privilege") > 1))),
            _ if asks("current_setting") == 1 && asks("set_config") == 1 => Some(hear(session, rest)),
            _ => None,
        };
    }
    if asks("set_config") == 1 && asks("pg_settings") == 1 {
        // Time limits, of which the model has none.
        return Some(Ok(Vec::new()));
    }
    let [Token::Text(kind), Token::Sign(','), about @ ..] = rest else { return None };
    let row = |name: &str, value: Option<&str>| {
        vec![
            Some(kind.clone().into_bytes()),
            Some(name.into()),
            value.map(|value| escape(value).into_bytes()),
        ]
    };
    let first = match about.first() {
        Some(Token::Text(name)) => name.as_str(),
        _ => "",
    };
    // May this be set?
    if kind == "s" && about.iter().any(|word| word.is("set_config")) {
        let call = about.iter().position(|word| word.is("set_config")).unwrap_or_default();
        let arguments: Vec<_> = about[call..].split(|word| *word == Token::Sign(',')).collect();
        let [name, value, ..] = arguments.as_slice() else { return None };
        let (name, value) = (literal(name.get(2..)?).to_lowercase(), literal(value));
        return Some(
            session
                .now
                .settings
                .set(&name, &value, true, &session.defaults)
                .map(|()| vec![row(first, session.setting(&name))]),
        );
    }
    let now = &session.now;
    Some(Ok(match kind.as_str() {
        "n" | "r" | "u" | "i" => vec![row(first, session.setting(first))],
        // None of them is fixed when a connection is opened.
        "f" => Vec::new(),
        "s" => {
            let all = now.settings.set_here().filter(|(name, _)| !name.contains('.'));
            all.map(|(name, value)| row(name, Some(value))).collect()
        }
        "t" => now.temp.iter().take(1).map(|name| row(name, Some(""))).collect(),
        "l" => session.locks.keys().take(1).map(|key| row(key, Some(""))).collect(),
        "c" => now.cursors.iter().take(1).map(|name| row(name, Some(""))).collect(),
        "h" => session.channels.iter().map(|name| row(name, Some(""))).collect(),
        "x" => Vec::new(),
        _ => return None,
    }))
}

/// A custom parameter is empty from now on, unless it is known already.
fn hear(session: &mut Session, rest: &[Token]) -> Result<Rows, SqlError> {
    let name = rest.iter().find(|word| matches!(word, Token::Text(_))).map(Token::value).unwrap_or_default();
    if session.setting(&name).is_none() {
        session.now.settings.set(&name, "", false, &session.defaults)?;
    }
    Ok(vec![vec![session.setting(&name).map(|value| value.as_bytes().to_vec())]])
}

/// Those set here, told apart by whether the session's user may set them; `lacking`: only those it may not.
fn settings(session: &Session, lacking: bool) -> Rows {
    let user = session.setting("session_authorization").unwrap_or_default();
    let lacks = |name: &str| name.starts_with("log_") && !user.starts_with("super");
    let all = session.now.settings.set_here().filter(|(name, _)| !name.contains('.'));
    let row = |(name, value): (&str, &str)| {
        let kind = if lacks(name) { b"u" } else { b"s" };
        vec![Some(kind.to_vec()), Some(name.into()), Some(escape(value).into_bytes())]
    };
    all.filter(|(name, _)| !lacking || lacks(name)).map(row).collect()
}

/// Those of SQL and those of the protocol, but for Howdah's own.
fn prepared(session: &Session) -> Rows {
    let all = session.prepared.iter().filter(|(name, _)| !name.starts_with(b"HOWDAH_"));
    let row = |(name, prepared): (&Vec<u8>, &Prepared)| {
        let (kind, text) = prepared.by_sql.as_ref().map_or((b"q", &prepared.text), |by_sql| (b"p", by_sql));
        vec![Some(kind.to_vec()), Some(name.clone()), Some(text.clone().into_bytes())]
    };
    all.map(row).collect()
}

/// PostgreSQL's format `escape`.
fn escape(value: &str) -> String {
    let mut escaped = String::new();
    for byte in value.bytes() {
        match byte {
            b'\\' => escaped.push_str("\\\\"),
            0x80.. => escaped.push_str(&format!("\\{byte:03o}")),
            _ => escaped.push(char::from(byte)),
        }
    }
    escaped
}

pub(crate) fn unescape(escaped: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
        } else if let [b'\\', behind @ ..] = rest {
            bytes.push(b'\\');
            rest = behind;
        } else if let Some((digits, behind)) = rest.split_at_checked(3) {
            bytes.push(digits.iter().fold(0, |value, digit| (value << 3) | (digit - b'0')));
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_can_be_read_again() {
        assert_eq!(escape(r"é\a"), r"\303\251\\a");
        assert_eq!(unescape(&escape("é\\a\\303")), "é\\a\\303");
    }
}
