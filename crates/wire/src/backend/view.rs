//! Server messages read in place; each `parse` takes a whole body, that is what follows the five bytes of header.

use crate::body::{BodyError, Reader, split_cstr};
use crate::startup::ProtocolVersion;

/// A step of the authentication. It has no `Debug`: what it carries is an exchange of secrets.
#[derive(Clone)]
pub enum Authentication<'a> {
    /// Done.
    Ok,
    /// The password, please.
    Cleartext,
    /// md5(md5(password ‖ user) ‖ salt), please.
    Md5 {
        /// Fresh for each connection.
        salt: [u8; 4],
    },
    /// One of these SASL mechanisms, please.
    Sasl {
        /// Their names, the preferred one first.
        mechanisms: Strings<'a>,
    },
    /// The mechanism's next message.
    SaslContinue(&'a [u8]),
    /// The mechanism's last message.
    SaslFinal(&'a [u8]),
    /// A method Howdah does not know: Kerberos, GSSAPI, SSPI…
    Other(u32),
}

impl<'a> Authentication<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is not an Authentication's.
    pub fn parse(body: &'a [u8]) -> Result<Authentication<'a>, BodyError> {
        let mut reader = Reader(body);
        let parsed = match reader.u32()? {
            0 => Authentication::Ok,
            3 => Authentication::Cleartext,
            5 => Authentication::Md5 { salt: reader.salt()? },
            10 => return Ok(Authentication::Sasl { mechanisms: Strings(reader.0) }),
            11 => return Ok(Authentication::SaslContinue(reader.0)),
            12 => return Ok(Authentication::SaslFinal(reader.0)),
            other => return Ok(Authentication::Other(other)),
        };
        reader.end()?;
        Ok(parsed)
    }
}

/// C strings one after the other, up to an empty or unterminated one.
#[derive(Clone, Debug)]
pub struct Strings<'a>(&'a [u8]);

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (text, rest) = split_cstr(self.0).filter(|(text, _)| !text.is_empty())?;
        self.0 = rest;
        Some(text)
    }
}

/// The value of a setting the server reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterStatus<'a> {
    /// The setting.
    pub name: &'a [u8],
    /// Its value, in the client's encoding.
    pub value: &'a [u8],
}

impl<'a> ParameterStatus<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is not a ParameterStatus'.
    pub fn parse(body: &'a [u8]) -> Result<ParameterStatus<'a>, BodyError> {
        let mut reader = Reader(body);
        let name = reader.cstr()?;
        let value = reader.cstr()?;
        reader.end()?;
        Ok(ParameterStatus { name, value })
    }
}

/// Something came by NOTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// The PID of the backend that sent it.
    pub pid: u32,
    /// Where it was sent to.
    pub channel: &'a [u8],
    /// What was sent along; may be empty.
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is not a NotificationResponse's.
    pub fn parse(body: &'a [u8]) -> Result<NotificationResponse<'a>, BodyError> {
        let mut reader = Reader(body);
        let pid = reader.u32()?;
        let channel = reader.cstr()?;
        let payload = reader.cstr()?;
        reader.end()?;
        Ok(NotificationResponse { pid, channel, payload })
    }
}

/// A statement succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandComplete<'a> {
    /// What was done, such as `INSERT 0 5`.
    pub tag: &'a [u8],
}

impl<'a> CommandComplete<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is not a CommandComplete's.
    pub fn parse(body: &'a [u8]) -> Result<CommandComplete<'a>, BodyError> {
        let mut reader = Reader(body);
        let tag = reader.cstr()?;
        reader.end()?;
        Ok(CommandComplete { tag })
    }
}

/// The end of a batch or simple query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyForQuery {
    /// Whether a transaction is open now.
    pub status: TransactionStatus,
}

impl ReadyForQuery {
    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is not a ReadyForQuery's.
    pub fn parse(body: &[u8]) -> Result<ReadyForQuery, BodyError> {
        let mut reader = Reader(body);
        let byte = reader.u8()?;
        reader.end()?;
        let status = TransactionStatus::from_byte(byte).ok_or(BodyError::UnknownCode(byte))?;
        Ok(ReadyForQuery { status })
    }
}

/// Whether a transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// None.
    Idle,
    /// One.
    InTransaction,
    /// One that failed and can only be rolled back.
    Failed,
}

impl TransactionStatus {
    /// From the letter on the wire.
    #[inline]
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<TransactionStatus> {
        match byte {
            b'I' => Some(TransactionStatus::Idle),
            b'T' => Some(TransactionStatus::InTransaction),
            b'E' => Some(TransactionStatus::Failed),
            _ => None,
        }
    }

    /// The letter on the wire.
    #[must_use]
    pub fn as_byte(self) -> u8 {
        match self {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        }
    }
}

/// The server speaks an older protocol than asked for, or does not know some options.
#[derive(Clone, Debug)]
pub struct NegotiateProtocolVersion<'a> {
    /// The newest version the server speaks. All servers send the full number, though the protocol's
    /// documentation long asked for the minor one only.
    pub newest: ProtocolVersion,
    /// The `_pq_.` options it does not know.
    pub unrecognized: Strings<'a>,
}

impl<'a> NegotiateProtocolVersion<'a> {
    /// Reads a whole body.
    ///
    /// # Errors
    /// The body is not a NegotiateProtocolVersion's.
    pub fn parse(body: &'a [u8]) -> Result<NegotiateProtocolVersion<'a>, BodyError> {
        let mut reader = Reader(body);
        let newest = ProtocolVersion::from_code(reader.u32()?);
        let count = reader.u32()?;
        let unrecognized = Strings(reader.0);
        for _ in 0..count {
            reader.cstr()?;
        }
        reader.end()?;
        Ok(NegotiateProtocolVersion { newest, unrecognized })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_of_three_letters() {
        for byte in 0..=255_u8 {
            let status = TransactionStatus::from_byte(byte);
            assert_eq!(status.is_some(), b"ITE".contains(&byte));
            assert_eq!(status.map_or(byte, TransactionStatus::as_byte), byte);
        }
        assert_eq!(ReadyForQuery::parse(b"x"), Err(BodyError::UnknownCode(b'x')));
        assert_eq!(ReadyForQuery::parse(b""), Err(BodyError::Short));
        assert_eq!(ReadyForQuery::parse(b"II"), Err(BodyError::Trailing));
    }

    #[test]
    fn methods_of_authentication() {
        let parse = Authentication::parse;
        assert!(matches!(parse(b"\0\0\0\0"), Ok(Authentication::Ok)));
        assert!(matches!(parse(b"\0\0\0\x03"), Ok(Authentication::Cleartext)));
        assert!(matches!(parse(b"\0\0\0\x05salt"), Ok(Authentication::Md5 { salt }) if &salt == b"salt"));
        assert!(matches!(parse(b"\0\0\0\x05sal"), Err(BodyError::Short)));
        assert!(matches!(parse(b"\0\0\0\x00x"), Err(BodyError::Trailing)));
        assert!(matches!(parse(b"\0\0\0\x0br=x"), Ok(Authentication::SaslContinue(b"r=x"))));
        assert!(matches!(parse(b"\0\0\0\x0cv=x"), Ok(Authentication::SaslFinal(b"v=x"))));
        assert!(matches!(parse(b"\0\0\0\x07"), Ok(Authentication::Other(7))));
        for (body, expected) in [
            (&b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"[..], 2),
            (b"\0\0\0\x0aSCRAM-SHA-256\0\0", 1),
            (b"\0\0\0\x0aSCRAM-SHA-256", 0),
            (b"\0\0\0\x0a", 0),
        ] {
            let Ok(Authentication::Sasl { mechanisms }) = parse(body) else { panic!() };
            assert_eq!(mechanisms.count(), expected);
        }
    }

    #[test]
    fn a_huge_count_of_options_costs_nothing() {
        let result = NegotiateProtocolVersion::parse(b"\0\x03\0\x02\xff\xff\xff\xff_pq_.a\0");
        assert_eq!(result.map(|n| n.newest), Err(BodyError::Unterminated));
    }
}
