//! SQL text that means the same whatever the session's settings are.

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

/// An identifier in quotes.
pub(super) fn push_identifier(text: &mut Vec<u8>, name: &str) {
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
