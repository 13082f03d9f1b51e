//! The first packet of a connection: the only ones without a tag byte.
//!
//! A client opens with a startup packet, or first asks for encryption (and then sends another first packet), or
//! only wants to cancel. What the parameters mean, and which protocol version to speak, is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use crate::body::{BodyError, Reader, counted, put_cstr, until_nul};
use crate::cancel_key::CancelKey;

/// A first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartupPacket<'a> {
    /// Who wants in, where, and how.
    Startup(Startup<'a>),
    /// "Do you speak TLS?", answered with one byte.
    SslRequest,
    /// "Do you speak GSSAPI encryption?", answered with one byte.
    GssEncRequest,
    /// "Cancel what this key stands for", never answered.
    CancelRequest(CancelKey),
}

impl<'a> StartupPacket<'a> {
    /// Reads the packet at the start of `bytes` and says how many bytes it took; `None` while it is incomplete.
    /// Packets of more than `max` bytes are refused as soon as their length is seen.
    ///
    /// # Errors
    /// The bytes are not a first packet, or one of a protocol other than 3.
    pub fn parse(bytes: &'a [u8], max: usize) -> Result<Option<(StartupPacket<'a>, usize)>, StartupError> {
        let Ok(claimed) = Reader(bytes).i32() else { return Ok(None) };
        let length = StartupError::Length(claimed);
        let total = usize::try_from(claimed).map_err(|_| length.clone())?;
        if total < HEADER_LEN || total > max {
            return Err(length);
        }
        let Some(packet) = bytes.get(4..total) else { return Ok(None) };
        let mut reader = Reader(packet);
        let version = ProtocolVersion::from_code(reader.u32().map_err(|_| length.clone())?);
        let parsed = match version {
            SSL_REQUEST | GSSENC_REQUEST if !reader.0.is_empty() => return Err(length),
            SSL_REQUEST => StartupPacket::SslRequest,
            GSSENC_REQUEST => StartupPacket::GssEncRequest,
            CANCEL_REQUEST => StartupPacket::CancelRequest(CancelKey::parse(reader.0)?),
            ProtocolVersion { major: 3, .. } => {
                StartupPacket::Startup(Startup { version, parameters: parameters(reader.0)? })
            }
            _ => return Err(StartupError::UnsupportedVersion(version)),
        };
        Ok(Some((parsed, total)))
    }
}

/// The startup packet proper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup<'a> {
    /// The version the client would like to speak; the major number is always 3.
    pub version: ProtocolVersion,
    /// Name and value in the order sent, `_pq_.` options included; of a name sent twice only the last value.
    pub parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Startup<'a> {
    /// The value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion {
    /// Changes when nothing fits any more.
    pub major: u16,
    /// Changes when something was added.
    pub minor: u16,
}

impl ProtocolVersion {
    /// What everybody speaks.
    pub const V3_0: ProtocolVersion = ProtocolVersion { major: 3, minor: 0 };
    /// Since PostgreSQL 18: cancel keys of up to 256 bytes.
    pub const V3_2: ProtocolVersion = ProtocolVersion { major: 3, minor: 2 };

    /// From its number on the wire.
    #[must_use]
    pub const fn from_code(code: u32) -> ProtocolVersion {
        let [a, b, c, d] = code.to_be_bytes();
        ProtocolVersion { major: u16::from_be_bytes([a, b]), minor: u16::from_be_bytes([c, d]) }
    }

    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        (self.major as u32) << 16 | self.minor as u32
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why bytes are no first packet.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartupError {
    /// Negative, too short for the kind of packet, or longer than accepted.
    #[error("invalid length of startup packet: {0}")]
    Length(i32),
    /// Not protocol 3 and none of the requests.
    #[error("unsupported frontend protocol {0}")]
    UnsupportedVersion(ProtocolVersion),
    /// The list of parameters does not end where the packet does.
    #[error("startup packet does not end with its terminator")]
    Terminator,
    /// Name or value of this parameter is not UTF-8.
    #[error("startup parameter {0:?} is not valid UTF-8")]
    NotUtf8(String),
    /// A cancel request whose key has an impossible length.
    #[error("invalid cancel request: {0}")]
    CancelKey(#[from] BodyError),
}

/// Appends a startup packet. A nameless parameter would end the list, so it is left out.
pub fn write_startup<'a>(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) {
    packet(out, version, |out| {
        for (name, value) in parameters {
            if !until_nul(name.as_bytes()).is_empty() {
                put_cstr(out, name.as_bytes());
                put_cstr(out, value.as_bytes());
            }
        }
        out.push(0);
    });
}

/// Appends an SSLRequest.
pub fn write_ssl_request(out: &mut Vec<u8>) {
    packet(out, SSL_REQUEST, |_| {});
}

/// Appends a GSSENCRequest.
pub fn write_gssenc_request(out: &mut Vec<u8>) {
    packet(out, GSSENC_REQUEST, |_| {});
}

/// Appends a CancelRequest.
pub fn write_cancel_request(out: &mut Vec<u8>, key: &CancelKey) {
    packet(out, CANCEL_REQUEST, |out| key.write(out));
}

fn packet(out: &mut Vec<u8>, code: ProtocolVersion, fill: impl FnOnce(&mut Vec<u8>)) {
    counted(out, |out| {
        out.extend_from_slice(&code.code().to_be_bytes());
        fill(out);
    });
}

/// The parameters of a startup packet. The index keeps ten thousand bytes of short names from costing millions of
/// comparisons.
fn parameters(bytes: &[u8]) -> Result<Vec<(&str, &str)>, StartupError> {
    let mut text = str::from_utf8(bytes).map_err(|error| not_utf8(bytes, error.valid_up_to()))?;
    let mut list = Vec::with_capacity(FEW);
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    loop {
        let (name, rest) = split_at_nul(text).ok_or(StartupError::Terminator)?;
        if name.is_empty() {
            return if rest.is_empty() { Ok(list) } else { Err(StartupError::Terminator) };
        }
        let (value, rest) = split_at_nul(rest).ok_or(StartupError::Terminator)?;
        text = rest;
        let place = if index.is_empty() {
            list.iter().position(|(known, _)| *known == name)
        } else {
            index.get(name).copied()
        };
        if let Some(known) = place.and_then(|place| list.get_mut(place)) {
            known.1 = value;
            continue;
        }
        list.push((name, value));
        if list.len() > FEW {
            let indexed = index.len();
            index.extend(list.iter().enumerate().skip(indexed).map(|(place, (name, _))| (*name, place)));
        }
    }
}

fn split_at_nul(text: &str) -> Option<(&str, &str)> {
    let nul = memchr::memchr(0, text.as_bytes())?;
    Some((text.get(..nul)?, text.get(nul + 1..)?))
}

/// The parameter whose name or value is not UTF-8 at this place of the list.
fn not_utf8(list: &[u8], place: usize) -> StartupError {
    let before = list.get(..place).unwrap_or_default();
    let nuls = before.iter().filter(|byte| **byte == 0).count();
    let name = list.split(|byte| *byte == 0).nth(nuls - nuls % 2).unwrap_or_default();
    StartupError::NotUtf8(String::from_utf8_lossy(name).into_owned())
}

/// More parameters than drivers send by themselves: up to here each is compared with each.
const FEW: usize = 8;

/// The longest first packet accepted; PostgreSQL's own bound.
pub const MAX_STARTUP_LEN: usize = 10_000;

/// Length and version.
const HEADER_LEN: usize = 8;

/// The requests are versions of a protocol 1234 that never was.
const CANCEL_REQUEST: ProtocolVersion = ProtocolVersion { major: 1234, minor: 5678 };
const SSL_REQUEST: ProtocolVersion = ProtocolVersion { major: 1234, minor: 5679 };
const GSSENC_REQUEST: ProtocolVersion = ProtocolVersion { major: 1234, minor: 5680 };

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cancel_key::CancelSecret;

    fn parse(bytes: &[u8]) -> Result<Option<(StartupPacket<'_>, usize)>, StartupError> {
        StartupPacket::parse(bytes, MAX_STARTUP_LEN)
    }

    /// A packet of protocol 3.0 with this list of parameters.
    fn with_list(list: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        packet(&mut out, ProtocolVersion::V3_0, |out| out.extend_from_slice(list));
        out
    }

    #[test]
    fn a_startup_packet_byte_by_byte() {
        let bytes = b"\0\0\0\x20\0\x03\0\0user\0ann\0database\0shop\0\0";
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{end}");
        }
        let (StartupPacket::Startup(startup), 32) = parse(bytes).unwrap().unwrap() else { panic!() };
        assert_eq!(startup.version, ProtocolVersion::V3_0);
        assert_eq!(startup.parameter("user"), Some("ann"));
        assert_eq!(startup.parameter("database"), Some("shop"));
        assert_eq!(startup.parameter("options"), None);
    }

    #[test]
    fn the_requests() {
        assert_eq!(parse(b"\0\0\0\x08\x04\xd2\x16\x2f"), Ok(Some((StartupPacket::SslRequest, 8))));
        assert_eq!(parse(b"\0\0\0\x08\x04\xd2\x16\x30more"), Ok(Some((StartupPacket::GssEncRequest, 8))));
        let key = CancelKey { pid: 258, secret: CancelSecret::from(*b"abcd") };
        let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\x01\x02abcd";
        assert_eq!(parse(cancel), Ok(Some((StartupPacket::CancelRequest(key), 16))));
        assert_eq!(parse(b"\0\0\0\x09\x04\xd2\x16\x2f!"), Err(StartupError::Length(9)));
        let short = b"\0\0\0\x0f\x04\xd2\x16\x2e\0\0\x01\x02abc";
        assert_eq!(parse(short), Err(StartupError::CancelKey(BodyError::SecretLength(3))));
    }

    #[test]
    fn an_impossible_length_is_refused_before_the_rest_comes() {
        for len in [-1, i32::MIN, 0, 4, 7, 10_001, i32::MAX] {
            assert_eq!(parse(&len.to_be_bytes()), Err(StartupError::Length(len)));
        }
        assert_eq!(parse(&10_000_i32.to_be_bytes()), Ok(None));
        // The first bytes of a TLS handshake.
        assert!(parse(b"\x16\x03\x01\x02").is_err());
    }

    #[test]
    fn other_versions_are_named() {
        let two = parse(b"\0\0\0\x08\0\x02\0\0").unwrap_err();
        assert_eq!(two.to_string(), "unsupported frontend protocol 2.0");
        let odd = parse(b"\0\0\0\x08\x04\xd2\x16\x31").unwrap_err();
        assert_eq!(odd.to_string(), "unsupported frontend protocol 1234.5681");
    }

    #[test]
    fn the_list_must_end_with_the_packet() {
        for list in [&b""[..], b"user", b"user\0", b"user\0ann", b"user\0ann\0", b"user\0ann\0\0x", b"\0\0"] {
            assert_eq!(parse(&with_list(list)), Err(StartupError::Terminator), "{list:?}");
        }
        assert!(parse(&with_list(b"\0")).is_ok());
        assert!(parse(&with_list(b"user\0\0\0")).is_ok(), "an empty value is a value");
    }

    #[test]
    fn of_a_name_sent_twice_the_last_value_counts() {
        let bytes = with_list(b"user\0ann\0a\x001\0user\0bob\0_pq_.x\0on\0\0");
        let Ok(Some((StartupPacket::Startup(startup), _))) = parse(&bytes) else { panic!() };
        assert_eq!(startup.parameters, [("user", "bob"), ("a", "1"), ("_pq_.x", "on")]);
    }

    #[test]
    fn nor_does_it_count_twice_among_many() {
        let names: Vec<String> = (0..3 * FEW).map(|n| format!("a.b{n}")).collect();
        let mut list = Vec::new();
        for (value, name) in names.iter().chain(&names).enumerate() {
            list.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
        }
        list.push(0);
        let bytes = with_list(&list);
        let Ok(Some((StartupPacket::Startup(startup), _))) = parse(&bytes) else { panic!() };
        let values: Vec<String> = (names.len()..2 * names.len()).map(|value| value.to_string()).collect();
        let expected: Vec<(&str, &str)> =
            names.iter().zip(&values).map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(startup.parameters, expected);
    }

    #[test]
    fn what_is_not_utf8_is_named() {
        let error = parse(&with_list(b"application_name\0caf\xe9\0\0")).unwrap_err();
        assert_eq!(error.to_string(), "startup parameter \"application_name\" is not valid UTF-8");
        assert_eq!(parse(&with_list(b"\xff\0x\0\0")), Err(StartupError::NotUtf8("\u{fffd}".into())));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            minor: u16,
            parameters in proptest::collection::btree_map("[^\0]{1,12}", "[^\0]{0,12}", 0..20),
        ) {
            let version = ProtocolVersion { major: 3, minor };
            let parameters: Vec<(String, String)> = parameters.into_iter().collect();
            let mut out = Vec::new();
            let parameters: Vec<(&str, &str)> =
                parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            write_startup(&mut out, version, parameters.iter().copied());
            let len = out.len();
            for end in 0..len {
                prop_assert_eq!(parse(&out[..end]), Ok(None));
            }
            out.extend_from_slice(b"the next message");
            let startup = Startup { version, parameters };
            prop_assert_eq!(parse(&out), Ok(Some((StartupPacket::Startup(startup), len))));
        }

        #[test]
        fn cancel_requests_are_read(pid: u32, secret in proptest::collection::vec(any::<u8>(), 4..=256)) {
            let key = CancelKey { pid, secret: CancelSecret::new(&secret).unwrap() };
            let mut out = Vec::new();
            write_cancel_request(&mut out, &key);
            let len = out.len();
            prop_assert_eq!(parse(&out), Ok(Some((StartupPacket::CancelRequest(key), len))));
        }

        #[test]
        fn no_bytes_panic_and_none_are_consumed_that_are_not_there(
            list in proptest::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..200),
            raw in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = parse(&with_list(&list));
            if let Ok(Some((_, consumed))) = parse(&raw) {
                prop_assert!(consumed <= raw.len());
            }
        }
    }
}
