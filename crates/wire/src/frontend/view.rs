//! Client messages read in place.
//!
//! Each `parse` takes a whole body, that is what follows the five bytes of header; only [`BindNames`] makes do
//! with its beginning. Texts and names are bytes: what encoding they are in only the server knows.

use crate::body::{BodyError, Reader};

/// Simple query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// One or more statements.
    pub text: &'a [u8],
}

impl<'a> Query<'a> {
    /// # Errors
    /// The body is not a Query's.
    pub fn parse(body: &'a [u8]) -> Result<Query<'a>, BodyError> {
        let mut reader = Reader(body);
        let text = reader.cstr()?;
        reader.end()?;
        Ok(Query { text })
    }
}

/// Prepare a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name, empty for the unnamed one.
    pub name: &'a [u8],
    /// At most one statement.
    pub text: &'a [u8],
    /// Four bytes for each parameter whose type was given, as they came.
    pub parameter_types: &'a [u8],
}

impl<'a> Parse<'a> {
    /// # Errors
    /// The body is not a Parse's.
    #[expect(
        clippy::self_named_constructors,
        reason = "every view has a `parse`, and this message that name"
    )]
    pub fn parse(body: &'a [u8]) -> Result<Parse<'a>, BodyError> {
        let mut reader = Reader(body);
        let name = reader.cstr()?;
        let text = reader.cstr()?;
        let count = usize::from(reader.u16()?);
        let parameter_types = reader.bytes(count * 4)?;
        reader.end()?;
        Ok(Parse { name, text, parameter_types })
    }
}

/// Give a statement its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name, empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name.
    pub statement: &'a [u8],
    /// Formats and values, as they came.
    pub rest: &'a [u8],
}

impl<'a> Bind<'a> {
    /// # Errors
    /// The body does not begin with two names.
    pub fn parse(body: &'a [u8]) -> Result<Bind<'a>, BodyError> {
        let mut reader = Reader(body);
        Ok(Bind { portal: reader.cstr()?, statement: reader.cstr()?, rest: reader.0 })
    }
}

/// The names of a Bind of which perhaps only the beginning has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindNames<'a> {
    /// The portal's name, empty for the unnamed one.
    pub portal: &'a [u8],
    /// The statement's name.
    pub statement: &'a [u8],
    /// Where in the body formats and values begin.
    pub rest_offset: usize,
}

impl<'a> BindNames<'a> {
    /// `None` while `beginning` does not hold both names; if it is the whole body, the message is malformed.
    #[must_use]
    pub fn parse(beginning: &'a [u8]) -> Option<BindNames<'a>> {
        let Bind { portal, statement, rest } = Bind::parse(beginning).ok()?;
        Some(BindNames { portal, statement, rest_offset: beginning.len() - rest.len() })
    }
}

/// What a Describe or Close is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Which of the two name spaces.
    pub kind: TargetKind,
    /// The name, empty for the unnamed one.
    pub name: &'a [u8],
}

impl<'a> Target<'a> {
    /// # Errors
    /// The body is not a Describe's or Close's.
    pub fn parse(body: &'a [u8]) -> Result<Target<'a>, BodyError> {
        let mut reader = Reader(body);
        let kind = match reader.u8()? {
            b'S' => TargetKind::Statement,
            b'P' => TargetKind::Portal,
            other => return Err(BodyError::UnknownCode(other)),
        };
        let name = reader.cstr()?;
        reader.end()?;
        Ok(Target { kind, name })
    }
}

/// Statements and portals have names of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

impl TargetKind {
    /// The letter on the wire.
    #[must_use]
    pub fn as_byte(self) -> u8 {
        match self {
            TargetKind::Statement => b'S',
            TargetKind::Portal => b'P',
        }
    }
}

/// Run a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execute<'a> {
    /// The portal's name, empty for the unnamed one.
    pub portal: &'a [u8],
    /// How many rows at most; zero or less: all.
    pub max_rows: i32,
}

impl<'a> Execute<'a> {
    /// # Errors
    /// The body is not an Execute's.
    pub fn parse(body: &'a [u8]) -> Result<Execute<'a>, BodyError> {
        let mut reader = Reader(body);
        let portal = reader.cstr()?;
        let max_rows = reader.i32()?;
        reader.end()?;
        Ok(Execute { portal, max_rows })
    }
}

/// The first answer in a SASL exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SaslInitialResponse<'a> {
    /// The mechanism chosen.
    pub mechanism: &'a [u8],
    /// The mechanism's first message, if the client begins.
    pub data: Option<&'a [u8]>,
}

impl<'a> SaslInitialResponse<'a> {
    /// # Errors
    /// The body is not a SASLInitialResponse's.
    pub fn parse(body: &'a [u8]) -> Result<SaslInitialResponse<'a>, BodyError> {
        let mut reader = Reader(body);
        let mechanism = reader.cstr()?;
        let data = reader.value()?;
        reader.end()?;
        Ok(SaslInitialResponse { mechanism, data })
    }
}

/// The password, or its MD5 answer, in the body of a PasswordMessage.
///
/// # Errors
/// The body is not one string.
pub fn password(body: &[u8]) -> Result<&[u8], BodyError> {
    let mut reader = Reader(body);
    let password = reader.cstr()?;
    reader.end()?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parse_and_its_parameter_types() {
        let parse = Parse::parse(b"s1\0select $1\0\0\x01\0\0\0\x17").unwrap();
        assert_eq!(parse, Parse { name: b"s1", text: b"select $1", parameter_types: b"\0\0\0\x17" });
        assert_eq!(Parse::parse(b"\0\0\0\x01\0\0\0"), Err(BodyError::Short));
        assert_eq!(Parse::parse(b"\0\0\0\x00\0"), Err(BodyError::Trailing));
        assert_eq!(Parse::parse(b"\0select"), Err(BodyError::Unterminated));
    }

    #[test]
    fn the_names_of_a_bind_need_only_its_beginning() {
        let body = b"p\0stmt\0\0\0\0\0\0\0";
        for end in 0..7 {
            assert_eq!(BindNames::parse(&body[..end]), None, "{end}");
        }
        for end in 7..=body.len() {
            let expected = BindNames { portal: b"p", statement: b"stmt", rest_offset: 7 };
            assert_eq!(BindNames::parse(&body[..end]), Some(expected), "{end}");
        }
        assert_eq!(Bind::parse(b"p\0stmt"), Err(BodyError::Unterminated));
    }

    #[test]
    fn only_statements_and_portals_are_described() {
        assert_eq!(Target::parse(b"Ss1\0"), Ok(Target { kind: TargetKind::Statement, name: b"s1" }));
        assert_eq!(Target::parse(b"P\0"), Ok(Target { kind: TargetKind::Portal, name: b"" }));
        assert_eq!(Target::parse(b"X\0"), Err(BodyError::UnknownCode(b'X')));
    }

    #[test]
    fn a_sasl_answer_must_be_as_long_as_it_says() {
        let parse = |body| SaslInitialResponse::parse(body).map(|sasl| (sasl.mechanism, sasl.data));
        assert_eq!(parse(b"M\0\0\0\0\x02ab"), Ok((&b"M"[..], Some(&b"ab"[..]))));
        assert_eq!(parse(b"M\0\xff\xff\xff\xff"), Ok((&b"M"[..], None)));
        assert_eq!(parse(b"M\0\x7f\xff\xff\xffab"), Err(BodyError::Short));
        assert_eq!(parse(b"M\0\0\0\0\x01ab"), Err(BodyError::Trailing));
    }

    #[test]
    fn a_password_is_one_string() {
        assert_eq!(password(b"secret\0"), Ok(&b"secret"[..]));
        assert_eq!(password(b"secret"), Err(BodyError::Unterminated));
        assert_eq!(password(b"sec\0ret\0"), Err(BodyError::Trailing));
    }
}
