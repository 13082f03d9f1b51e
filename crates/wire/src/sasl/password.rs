//! A password as SCRAM hashes it.

use std::borrow::Cow;

/// SASLprep (RFC 4013) as PostgreSQL applies it: what cannot be prepared (not UTF-8, prohibited or
/// unassigned characters, nothing left) is used as it is, so that any byte string can be a password.
#[must_use]
pub fn normalise(password: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(password) else { return Cow::Borrowed(password) };
    match stringprep::saslprep(text) {
        Ok(Cow::Owned(prepared)) if !prepared.is_empty() => Cow::Owned(prepared.into_bytes()),
        _ => Cow::Borrowed(password),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preparable_text_is_prepared_and_everything_else_is_taken_as_it_is() {
        // RFC 4013, section 3: soft hyphen to nothing, NFKC.
        assert_eq!(&*normalise("I\u{ad}X".as_bytes()), b"IX");
        assert_eq!(&*normalise("\u{2168}".as_bytes()), b"IX");
        assert_eq!(&*normalise("a\u{a0}b".as_bytes()), b"a b");
        assert_eq!(&*normalise(b"plain"), b"plain");
        // A control character, bidirectional nonsense, an unassigned character.
        assert_eq!(&*normalise(b"a\x07b"), b"a\x07b");
        assert_eq!(&*normalise("\u{627}1".as_bytes()), "\u{627}1".as_bytes());
        assert_eq!(&*normalise("\u{ad}\u{378}".as_bytes()), "\u{ad}\u{378}".as_bytes());
        // Nothing would be left of it; and not UTF-8 at all.
        assert_eq!(&*normalise("\u{ad}".as_bytes()), "\u{ad}".as_bytes());
        assert_eq!(&*normalise(b"\xff\xad"), b"\xff\xad");
    }
}
