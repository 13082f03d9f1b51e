//! How the inside of a message is read and written: integers, C strings, counted bytes.
//!
//! The reader never looks past its slice and the writer fills in the length afterwards; which fields a message
//! has is the business of [`crate::frontend`] and [`crate::backend`].

use thiserror::Error;

/// Why the body of a message is not what its tag promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// A field ends after the message does.
    #[error("message ends in the middle of a field")]
    Short,
    /// A string without its NUL.
    #[error("string in message is not terminated")]
    Unterminated,
    /// Bytes after the last field.
    #[error("message is longer than its fields")]
    Trailing,
    /// A byte that stands for one of a few choices is none of them.
    #[error("message has an unknown code {0:#04x}")]
    UnknownCode(u8),
    /// A cancel key whose secret is not of 4 to 256 bytes.
    #[error("cancel key has a secret of {0} bytes")]
    SecretLength(usize),
}

/// Appends a whole message: tag, length, `body`.
///
/// # Panics
/// If `body` is longer than any message may be ([`crate::frame::MAX_LEN`]).
pub fn write_message(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    message(out, tag, |out| out.extend_from_slice(body));
}

/// Appends a message whose body `fill` writes.
pub(crate) fn message(out: &mut Vec<u8>, tag: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    counted(out, fill);
}

/// Appends a length that counts itself, and what `fill` writes.
pub(crate) fn counted(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let len = i32::try_from(out.len() - start).expect("what Howdah writes itself is far below 2 GiB");
    patch(out, start, &len.to_be_bytes());
}

/// Appends a 16-bit count of the items `fill` says it wrote, and those items.
pub(crate) fn listed(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>) -> usize) {
    let start = out.len();
    out.extend_from_slice(&[0; 2]);
    let count = u16::try_from(fill(out)).expect("PostgreSQL allows 1664 columns and 65535 parameters");
    patch(out, start, &count.to_be_bytes());
}

fn patch(out: &mut [u8], start: usize, value: &[u8]) {
    if let Some(place) = out.get_mut(start..start + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Appends a C string.
pub(crate) fn put_cstr(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(until_nul(text));
    out.push(0);
}

/// The part of `text` a C string can hold.
pub(crate) fn until_nul(text: &[u8]) -> &[u8] {
    split_cstr(text).map_or(text, |(text, _)| text)
}

/// A C string and what follows its NUL; `None` if there is no NUL.
#[inline]
pub(crate) fn split_cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // As most names are.
    if let [0, rest @ ..] = bytes {
        return Some((&[], rest));
    }
    let (text, rest) = bytes.split_at_checked(memchr::memchr(0, bytes)?)?;
    Some((text, rest.get(1..)?))
}

/// Reads fields from the front of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8], BodyError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(BodyError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BodyError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(BodyError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BodyError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, BodyError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BodyError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, BodyError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn salt(&mut self) -> Result<[u8; 4], BodyError> {
        self.array()
    }

    pub(crate) fn cstr(&mut self) -> Result<&'a [u8], BodyError> {
        let (text, rest) = split_cstr(self.0).ok_or(BodyError::Unterminated)?;
        self.0 = rest;
        Ok(text)
    }

    /// A 32-bit length and as many bytes; any negative length stands for NULL.
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>, BodyError> {
        match usize::try_from(self.i32()?) {
            Ok(n) => self.bytes(n).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Whether everything was read.
    pub(crate) fn end(self) -> Result<(), BodyError> {
        if self.0.is_empty() { Ok(()) } else { Err(BodyError::Trailing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_counts_itself_and_not_the_tag() {
        let mut out = b"before".to_vec();
        write_message(&mut out, b'd', b"abc");
        assert_eq!(out, b"befored\0\0\0\x07abc");
    }

    #[test]
    fn a_string_ends_at_its_first_nul() {
        let mut out = Vec::new();
        put_cstr(&mut out, b"ab\0cd");
        assert_eq!(out, b"ab\0");
        assert_eq!(split_cstr(b"ab\0cd"), Some((&b"ab"[..], &b"cd"[..])));
        assert_eq!(split_cstr(b"ab"), None);
    }

    #[test]
    fn a_length_beyond_the_message_is_short_and_a_negative_one_null() {
        assert_eq!(Reader(b"\0\0\0\x05abcd").value(), Err(BodyError::Short));
        assert_eq!(Reader(b"\x7f\xff\xff\xff").value(), Err(BodyError::Short));
        assert_eq!(Reader(b"\xff\xff\xff\xff").value(), Ok(None));
        assert_eq!(Reader(b"\0\0\0\0").value(), Ok(Some(&b""[..])));
    }
}
