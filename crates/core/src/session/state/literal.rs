//! SQL text that means the same whatever the session's settings are.

use std::borrow::Cow;

/// A string literal that means the same whatever `standard_conforming_strings` is.
pub(crate) fn push_literal(text: &mut Vec<u8>, value: &str) {
    text.extend_from_slice(if value.contains('\\') { b" E'" } else { b"'" });
    for byte in value.bytes() {
        if matches!(byte, b'\'' | b'\\') {
            text.push(byte);
        }
        text.push(byte);
    }
    text.push(b'\'');
}

/// A value that was read in PostgreSQL's `escape` format: ASCII, whatever the encodings of client and database.
pub(super) fn push_escaped(text: &mut Vec<u8>, escaped: &str) {
    if !escaped.contains('\\') {
        return push_literal(text, escaped);
    }
    text.extend_from_slice(b"pg_catalog.convert_from(pg_catalog.decode(");
    push_literal(text, escaped);
    text.extend_from_slice(b", 'escape'), pg_catalog.getdatabaseencoding())");
}

/// A text in `escape` format, as PostgreSQL itself writes it.
pub(super) fn to_escaped(text: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\\' => escaped.push_str("\\\\"),
            0 | 0x80.. => escaped.push_str(&format!("\\{byte:03o}")),
            byte => escaped.push(char::from(byte)),
        }
    }
    escaped
}

/// What a text in `escape` format stands for: itself, unless there is a backslash in it.
pub(in crate::session) fn from_escaped(escaped: &str) -> Cow<'_, [u8]> {
    if !escaped.contains('\\') {
        return Cow::Borrowed(escaped.as_bytes());
    }
    let mut text = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let octal = |digits: &[u8]| {
            digits.iter().try_fold(0_u32, |n, d| char::from(*d).to_digit(8).map(|d| n * 8 + d))
        };
        match (byte, after.split_at_checked(3), after.split_first()) {
            (b'\\', Some((digits, after)), _) if octal(digits).is_some_and(|n| n <= 0xff) => {
                text.extend(octal(digits).and_then(|n| u8::try_from(n).ok()));
                rest = after;
            }
            (b'\\', _, Some((b'\\', after))) => {
                text.push(byte);
                rest = after;
            }
            _ => text.push(byte),
        }
    }
    Cow::Owned(text)
}

/// An identifier in quotes.
pub(crate) fn push_identifier(text: &mut Vec<u8>, name: &str) {
    text.push(b'"');
    for byte in name.bytes() {
        if byte == b'"' {
            text.push(byte);
        }
        text.push(byte);
    }
    text.push(b'"');
}

/// The expression that reads a text in `escape` format.
pub(super) fn escaping(expression: &str) -> String {
    format!(
        "pg_catalog.encode(pg_catalog.convert_to({expression}, pg_catalog.getdatabaseencoding()), 'escape')"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_format_goes_both_ways() {
        for (text, escaped) in
            [("a'b", "a'b"), (r"a\b", r"a\\b"), ("é\n", "\\303\\251\n"), (r"\101", r"\\101")]
        {
            assert_eq!(to_escaped(text.as_bytes()), escaped);
            assert_eq!(*from_escaped(escaped), *text.as_bytes());
        }
        assert_eq!(*from_escaped(r"\9\777\"), *br"\9\777\");
    }
}
