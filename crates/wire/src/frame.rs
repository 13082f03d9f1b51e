//! One message, header only.
//!
//! Every message after the first packet is a tag byte and a big-endian length that counts itself but not
//! the tag (PostgreSQL protocol, "Message Formats"). Bodies are not looked at here: a relay needs to know
//! where a message ends, rarely what is in it.

use thiserror::Error;

/// Tag and length of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The message's type byte.
    pub tag: u8,
    /// Length as sent: the body and the four bytes of the length itself.
    pub len: u32,
}

impl FrameHeader {
    /// Bytes needed to read a header.
    pub const SIZE: usize = 5;

    /// Reads the header at the start of `bytes`; `None` while fewer than five bytes are there.
    ///
    /// # Errors
    /// The length is below four or above [`MAX_LEN`]: whoever sent it does not speak this protocol.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<FrameHeader>, FrameError> {
        let [tag, a, b, c, d, ..] = *bytes else { return Ok(None) };
        let len = u32::from_be_bytes([a, b, c, d]);
        if !(4..=MAX_LEN).contains(&len) {
            return Err(FrameError { tag, len });
        }
        Ok(Some(FrameHeader { tag, len }))
    }

    /// Size of the whole message in bytes, tag included.
    #[inline]
    #[must_use]
    pub fn total(&self) -> usize {
        self.len as usize + 1
    }
}

/// A length no PostgreSQL sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("message of type {:?} claims an impossible length of {} bytes", char::from(*tag), len.cast_signed())]
pub struct FrameError {
    /// The message's type byte.
    pub tag: u8,
    /// The length as sent.
    pub len: u32,
}

/// The longest message accepted, as a value of the length field: lengths are signed on the wire.
pub const MAX_LEN: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_needs_five_bytes_and_a_length_that_counts_itself() {
        assert_eq!(FrameHeader::parse(b"Q\0\0\0"), Ok(None));
        assert_eq!(FrameHeader::parse(b"S\0\0\0\x04"), Ok(Some(FrameHeader { tag: b'S', len: 4 })));
        assert!(FrameHeader::parse(b"S\0\0\0\x03").is_err());
        let error = FrameHeader::parse(b"Q\xff\xff\xff\xfe").unwrap_err();
        assert_eq!(error.to_string(), "message of type 'Q' claims an impossible length of -2 bytes");
    }
}
