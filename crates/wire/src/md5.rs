//! PostgreSQL's MD5 passwords: `md5(password ‖ user)` at rest, salted once more on the wire.
//!
//! Old and weak; here because clients and servers that have nothing else still exist.

use std::fmt::Write;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What is stored of a password: `md5` and 32 hexadecimal digits.
#[must_use]
pub fn stored(password: &[u8], user: &str) -> Zeroizing<String> {
    hash(&[password, user.as_bytes()])
}

/// What a client sends, from what is stored and the server's salt.
#[must_use]
pub fn response(stored: &str, salt: [u8; 4]) -> Zeroizing<String> {
    let digits = stored.strip_prefix(PREFIX).unwrap_or(stored);
    hash(&[digits.as_bytes(), &salt])
}

/// Whether two hashes are the same, in constant time.
#[must_use]
pub fn same(ours: &str, theirs: &[u8]) -> bool {
    ours.as_bytes().ct_eq(theirs).into()
}

/// Whether `text` is what PostgreSQL stores for an MD5 password.
#[must_use]
pub fn is_stored(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(PREFIX) else { return false };
    digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hash(parts: &[&[u8]]) -> Zeroizing<String> {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 32));
    text.push_str(PREFIX);
    for byte in md5.finalize() {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

const PREFIX: &str = "md5";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_postgresqls() {
        // select 'md5' || md5('pencil' || 'user'), and md5 of its digits and the salt 01020304.
        let stored = stored(b"pencil", "user");
        assert_eq!(*stored, "md520c46e3762c864548e296b33c3406aa9");
        assert!(is_stored(&stored));
        let response = response(&stored, [1, 2, 3, 4]);
        assert_eq!(*response, "md54376eb6913b38f9aaff38dc7cf19ca76");
        assert!(same(&response, response.as_bytes()));
        assert!(!same(&response, b"md5"));
    }

    #[test]
    fn only_lower_case_digits_are_a_hash() {
        assert!(!is_stored("md5"));
        assert!(!is_stored("md5zzc46e3762c864548e296b33c3406aa9"));
        assert!(!is_stored("md520C46E3762C864548E296B33C3406AA9"));
        assert!(!is_stored("md520c46e3762c864548e296b33c3406aa90"));
    }
}
