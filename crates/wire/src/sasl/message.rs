//! The four messages of an exchange, read with bounds on every part.
//!
//! Values borrow from the message; a length is checked before anything is copied or decoded. Nothing here
//! knows a key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::keys::KEY_LEN;
use super::{Attribute, ScramError};

/// What one side contributes to the exchange's freshness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// A nonce from fresh random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 18]) -> Nonce {
        Nonce(STANDARD.encode(bytes))
    }

    #[cfg(test)]
    pub(super) fn from_text(text: &str) -> Nonce {
        Nonce(text.to_owned())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The client's word on channel binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gs2 {
    /// `n,,`: the client cannot do it.
    Unsupported,
    /// `y,,`: the client could, but thinks the server cannot.
    NotOffered,
}

impl Gs2 {
    /// What `c=` must carry in the client's final message: the GS2 header in base64.
    pub(super) fn channel_binding(self) -> &'static str {
        match self {
            Gs2::Unsupported => "biws",
            Gs2::NotOffered => "eSws",
        }
    }
}

/// `n,,n=,r=nonce`
#[derive(Debug)]
pub(super) struct ClientFirst<'a> {
    pub(super) gs2: Gs2,
    pub(super) bare: &'a str,
    pub(super) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<ClientFirst<'a>, ScramError> {
        let text = text(message)?;
        let (gs2, rest) = if let Some(rest) = text.strip_prefix("n,") {
            (Gs2::Unsupported, rest)
        } else if let Some(rest) = text.strip_prefix("y,") {
            (Gs2::NotOffered, rest)
        } else if text.starts_with("p=") {
            return Err(ScramError::ChannelBindingRequired);
        } else {
            return Err(ScramError::Malformed(Attribute::Gs2Header));
        };
        if rest.starts_with("a=") {
            return Err(ScramError::AuthorizationIdentity);
        }
        let bare = rest.strip_prefix(',').ok_or(ScramError::Malformed(Attribute::Gs2Header))?;
        if bare.starts_with("m=") {
            return Err(ScramError::MandatoryExtension);
        }
        let mut attributes = Attributes(Some(bare));
        // PostgreSQL ignores the name: the startup packet has said who it is.
        attributes.next("n=", Attribute::User)?;
        let nonce = attributes.nonce(MAX_NONCE)?;
        Ok(ClientFirst { gs2, bare, nonce })
    }
}

/// `r=nonce,s=salt,i=iterations`
#[derive(Debug)]
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<ServerFirst<'a>, ScramError> {
        let mut attributes = Attributes(Some(text(message)?));
        let nonce = attributes.nonce(2 * MAX_NONCE)?;
        let salt = decode_salt(attributes.next("s=", Attribute::Salt)?)?;
        let iterations = parse_iterations(attributes.next("i=", Attribute::Iterations)?)?;
        attributes.end()?;
        Ok(ServerFirst { nonce, salt, iterations })
    }
}

/// `c=biws,r=nonce,p=proof`
#[derive(Debug)]
pub(super) struct ClientFinal<'a> {
    pub(super) without_proof: &'a str,
    pub(super) channel_binding: &'a str,
    pub(super) nonce: &'a str,
    pub(super) proof: [u8; KEY_LEN],
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<ClientFinal<'a>, ScramError> {
        let (without_proof, proof) =
            text(message)?.rsplit_once(",p=").ok_or(ScramError::Malformed(Attribute::Proof))?;
        let mut attributes = Attributes(Some(without_proof));
        let channel_binding = attributes.next("c=", Attribute::ChannelBinding)?;
        let nonce = attributes.nonce(2 * MAX_NONCE)?;
        let proof = decode_key(proof, Attribute::Proof)?;
        Ok(ClientFinal { without_proof, channel_binding, nonce, proof })
    }
}

/// The signature in `v=signature`.
pub(super) fn parse_server_final(message: &[u8]) -> Result<[u8; KEY_LEN], ScramError> {
    let text = text(message)?;
    if text.starts_with("e=") {
        return Err(ScramError::Refused);
    }
    let mut attributes = Attributes(Some(text));
    let signature =
        decode_key(attributes.next("v=", Attribute::ServerSignature)?, Attribute::ServerSignature)?;
    attributes.end()?;
    Ok(signature)
}

/// Decodes a salt.
pub(super) fn decode_salt(text: &str) -> Result<Vec<u8>, ScramError> {
    // Four characters of base64 are three bytes.
    if text.len() > MAX_SALT / 3 * 4 {
        return Err(ScramError::TooLong { attribute: Attribute::Salt, len: text.len() });
    }
    match STANDARD.decode(text) {
        Ok(salt) if !salt.is_empty() => Ok(salt),
        _ => Err(ScramError::Malformed(Attribute::Salt)),
    }
}

/// Decodes a key, proof or signature: exactly 32 bytes.
pub(super) fn decode_key(text: &str, attribute: Attribute) -> Result<[u8; KEY_LEN], ScramError> {
    if text.len() > ENCODED_KEY_LEN {
        return Err(ScramError::TooLong { attribute, len: text.len() });
    }
    let mut bytes = [0; KEY_LEN + 1];
    let decoded = STANDARD.decode_slice(text, &mut bytes);
    match (decoded, bytes) {
        (Ok(KEY_LEN), [key @ .., _]) => Ok(key),
        _ => Err(ScramError::Malformed(attribute)),
    }
}

/// A decimal number without sign; PostgreSQL keeps it in an `int`.
pub(super) fn parse_iterations(text: &str) -> Result<u32, ScramError> {
    let malformed = ScramError::Malformed(Attribute::Iterations);
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed);
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(malformed),
        Ok(iterations) => Ok(iterations),
    }
}

/// Bytes in base64, as keys, salts and signatures travel.
pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// What is left of a message; `None` when the last attribute has been read.
struct Attributes<'a>(Option<&'a str>);

impl<'a> Attributes<'a> {
    fn next(&mut self, name: &str, attribute: Attribute) -> Result<&'a str, ScramError> {
        let malformed = ScramError::Malformed(attribute);
        let text = self.0.ok_or(malformed)?.strip_prefix(name).ok_or(malformed)?;
        let (value, rest) = match text.split_once(',') {
            Some((value, rest)) => (value, Some(rest)),
            None => (text, None),
        };
        self.0 = rest;
        Ok(value)
    }

    fn nonce(&mut self, max: usize) -> Result<&'a str, ScramError> {
        let nonce = self.next("r=", Attribute::Nonce)?;
        if nonce.len() > max {
            return Err(ScramError::TooLong { attribute: Attribute::Nonce, len: nonce.len() });
        }
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramError::Malformed(Attribute::Nonce));
        }
        Ok(nonce)
    }

    fn end(&self) -> Result<(), ScramError> {
        if self.0.is_some() { Err(ScramError::Malformed(Attribute::End)) } else { Ok(()) }
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MAX_MESSAGE {
        return Err(ScramError::MessageTooLong(message.len()));
    }
    match std::str::from_utf8(message) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(ScramError::NotText),
    }
}

/// Longest message read, either way. PostgreSQL's own are under 150 bytes.
pub const MAX_MESSAGE: usize = 2048;
/// Longest nonce of one side, in characters. PostgreSQL and libpq use 24.
pub const MAX_NONCE: usize = 256;
/// Longest salt, in bytes. PostgreSQL uses 16.
pub const MAX_SALT: usize = 255;

const ENCODED_KEY_LEN: usize = KEY_LEN.div_ceil(3) * 4;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn client_first(message: &str) -> Result<(), ScramError> {
        ClientFirst::parse(message.as_bytes()).map(|_| ())
    }

    #[test]
    fn a_clients_first_message_may_decline_channel_binding_and_nothing_else() {
        assert_eq!(client_first("n,,n=,r=abc"), Ok(()));
        assert_eq!(client_first("y,,n=someone,r=abc,x=ignored"), Ok(()));
        assert_eq!(client_first("p=tls-server-end-point,,n=,r=abc"), Err(ScramError::ChannelBindingRequired));
        assert_eq!(client_first("n,a=root,n=,r=abc"), Err(ScramError::AuthorizationIdentity));
        assert_eq!(client_first("n,,m=ext,n=,r=abc"), Err(ScramError::MandatoryExtension));
        assert_eq!(client_first("x,,n=,r=abc"), Err(ScramError::Malformed(Attribute::Gs2Header)));
        assert_eq!(client_first("n,,r=abc"), Err(ScramError::Malformed(Attribute::User)));
        assert_eq!(client_first("n,,n=,r="), Err(ScramError::Malformed(Attribute::Nonce)));
        assert_eq!(client_first("n,,n=,r=a\x01"), Err(ScramError::Malformed(Attribute::Nonce)));
        assert_eq!(client_first("n,,n=,r=a\0"), Err(ScramError::NotText));
        assert_eq!(client_first(""), Err(ScramError::Malformed(Attribute::Gs2Header)));
        assert_eq!(ClientFirst::parse(b"n,,n=\xff,r=a").unwrap_err(), ScramError::NotText);
    }

    // docs/lessons.md, CVE-2026-6664: lengths that the other side chose.
    #[test]
    fn every_length_the_other_side_chooses_is_bounded() {
        let long = |n: usize| "x".repeat(n);
        assert_eq!(client_first(&format!("n,,n=,r={}", long(MAX_NONCE))), Ok(()));
        assert_eq!(
            client_first(&format!("n,,n=,r={}", long(MAX_NONCE + 1))),
            Err(ScramError::TooLong { attribute: Attribute::Nonce, len: MAX_NONCE + 1 })
        );
        assert_eq!(
            client_first(&format!("n,,n={},r=a", long(MAX_MESSAGE))),
            Err(ScramError::MessageTooLong(MAX_MESSAGE + 9))
        );
        let proof = long(45);
        assert_eq!(
            ClientFinal::parse(format!("c=biws,r=a,p={proof}").as_bytes()).unwrap_err(),
            ScramError::TooLong { attribute: Attribute::Proof, len: 45 }
        );
        assert_eq!(
            ServerFirst::parse(format!("r=a,s={},i=1", "AAAA".repeat(86)).as_bytes()).unwrap_err(),
            ScramError::TooLong { attribute: Attribute::Salt, len: 344 }
        );
        assert_eq!(
            parse_server_final(format!("v={}", long(45)).as_bytes()),
            Err(ScramError::TooLong { attribute: Attribute::ServerSignature, len: 45 })
        );
    }

    #[test]
    fn iterations_are_a_plain_positive_number() {
        for text in ["", "0", "-1", "+1", " 1", "1 ", "4294967296", "1e3", "99999999999999999999"] {
            assert_eq!(parse_iterations(text), Err(ScramError::Malformed(Attribute::Iterations)), "{text:?}");
        }
        assert_eq!(parse_iterations("4096"), Ok(4096));
    }

    #[test]
    fn a_key_is_exactly_32_bytes() {
        assert!(decode_key(KEY, Attribute::Proof).is_ok());
        for text in ["", "AAAA", &KEY[..43], &"A".repeat(44), &KEY.replace('+', "-")] {
            let error = decode_key(text, Attribute::Proof).unwrap_err();
            assert_eq!(error, ScramError::Malformed(Attribute::Proof), "{text:?}");
        }
    }

    #[test]
    fn server_messages_end_where_they_should() {
        let end = ScramError::Malformed(Attribute::End);
        assert_eq!(ServerFirst::parse(b"r=a,s=AAAA,i=1,x=y").unwrap_err(), end);
        assert_eq!(parse_server_final(format!("v={KEY},x=y").as_bytes()), Err(end));
        assert_eq!(parse_server_final(b"e=other-error"), Err(ScramError::Refused));
        assert_eq!(ServerFirst::parse(b"r=a,s=,i=1").unwrap_err(), ScramError::Malformed(Attribute::Salt));
    }
}
