//! Which connection a cancel request means: a process number and a secret.
//!
//! The secret has 4 bytes up to protocol 3.0 and 4 to 256 since 3.2. The same bytes stand in BackendKeyData and,
//! after its code, in CancelRequest; whether a key is known to anybody is not asked here.

use std::fmt;

use subtle::ConstantTimeEq;

use crate::body::{BodyError, Reader};

/// What BackendKeyData hands out and CancelRequest brings back.
#[derive(Clone, PartialEq, Eq)]
pub struct CancelKey {
    /// Process number; Howdah gives its clients numbers of its own.
    pub pid: u32,
    /// What proves the right to cancel.
    pub secret: CancelSecret,
}

impl CancelKey {
    /// Reads the body of BackendKeyData, or of CancelRequest after its code.
    ///
    /// # Errors
    /// There is no process number, or the secret is too short or too long.
    pub fn parse(body: &[u8]) -> Result<CancelKey, BodyError> {
        let mut reader = Reader(body);
        let pid = reader.u32()?;
        let secret = CancelSecret::new(reader.0).ok_or(BodyError::SecretLength(reader.0.len()))?;
        Ok(CancelKey { pid, secret })
    }

    /// Appends process number and secret, without any header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.pid.to_be_bytes());
        out.extend_from_slice(self.secret.as_bytes());
    }
}

impl fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CancelKey {{ pid: {}, .. }}", self.pid)
    }
}

/// Four to 256 secret bytes; compared in constant time, never printed.
#[derive(Clone)]
pub struct CancelSecret(Repr);

impl CancelSecret {
    /// The lengths a secret may have.
    pub const LENGTHS: std::ops::RangeInclusive<usize> = 4..=256;

    /// `None` if the length is not one of [`CancelSecret::LENGTHS`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<CancelSecret> {
        if let Ok(short) = <[u8; 4]>::try_from(bytes) {
            return Some(CancelSecret(Repr::Short(short)));
        }
        CancelSecret::LENGTHS.contains(&bytes.len()).then(|| CancelSecret(Repr::Long(bytes.into())))
    }

    /// The secret as it goes over the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(bytes) => bytes,
            Repr::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for CancelSecret {
    fn eq(&self, other: &CancelSecret) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl Eq for CancelSecret {}

impl From<[u8; 4]> for CancelSecret {
    fn from(bytes: [u8; 4]) -> CancelSecret {
        CancelSecret(Repr::Short(bytes))
    }
}

impl fmt::Debug for CancelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CancelSecret(..)")
    }
}

/// Every client and server has a key for as long as it lives, and nearly all of them are short: 16 bytes.
#[derive(Clone)]
enum Repr {
    Short([u8; 4]),
    Long(Box<[u8]>),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_have_4_to_256_bytes() {
        assert_eq!(CancelKey::parse(b"\0\0\0"), Err(BodyError::Short));
        assert_eq!(CancelKey::parse(b"\0\0\0\x01abc"), Err(BodyError::SecretLength(3)));
        assert!(CancelKey::parse(&[7; 4 + 256]).is_ok());
        assert_eq!(CancelKey::parse(&[7; 4 + 257]), Err(BodyError::SecretLength(257)));
    }

    #[test]
    fn equal_means_both_halves() {
        let key = |pid, secret: &[u8]| CancelKey { pid, secret: CancelSecret::new(secret).unwrap() };
        assert_eq!(key(1, b"abcd"), key(1, b"abcd"));
        assert_ne!(key(1, b"abcd"), key(2, b"abcd"));
        assert_ne!(key(1, b"abcd"), key(1, b"abce"));
        assert_ne!(key(1, b"abcd"), key(1, b"abcda"));
    }

    #[test]
    fn the_secret_is_not_printed_and_costs_no_more_than_a_box() {
        let key = CancelKey { pid: 42, secret: CancelSecret::from(*b"wxyz") };
        assert_eq!(format!("{key:?}"), "CancelKey { pid: 42, .. }");
        assert_eq!(format!("{:?}", key.secret), "CancelSecret(..)");
        assert_eq!(size_of::<CancelSecret>(), 16);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pid: u32, secret in proptest::collection::vec(any::<u8>(), 4..=256)) {
            let key = CancelKey { pid, secret: CancelSecret::new(&secret).unwrap() };
            let mut out = Vec::new();
            key.write(&mut out);
            prop_assert_eq!(CancelKey::parse(&out), Ok(key));
        }
    }
}
