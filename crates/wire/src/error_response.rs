//! ErrorResponse and NoticeResponse: what went wrong, in fields of a letter and a string each.
//!
//! A server may send anything: reading never fails, it fills in what is missing. [`fields`] looks without
//! owning; [`ErrorResponse`] owns, and is also how Howdah says its own errors.

use std::fmt;

use thiserror::Error;

use crate::backend::tag;
use crate::body::{message, put_cstr, split_cstr};
use crate::sqlstate::SqlState;

/// An error or a notice.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{severity}: {message} (SQLSTATE {code})")]
pub struct ErrorResponse {
    /// How bad.
    pub severity: Severity,
    /// What, for programs.
    pub code: SqlState,
    /// What, for people.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// All other fields as they came, among them a severity in the server's own language (`S`).
    pub other: Vec<(u8, Vec<u8>)>,
}

impl ErrorResponse {
    /// One with the three fields that are always there.
    #[must_use]
    pub fn new(severity: Severity, code: SqlState, message: impl Into<String>) -> ErrorResponse {
        ErrorResponse { severity, code, message: message.into(), detail: None, hint: None, other: Vec::new() }
    }

    /// With more about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> ErrorResponse {
        self.detail = Some(detail.into());
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ErrorResponse {
        self.hint = Some(hint.into());
        self
    }

    /// Reads the body of an ErrorResponse or NoticeResponse, whatever is in it. Without a usable severity it is
    /// an ERROR, without a usable SQLSTATE XX000.
    #[must_use]
    pub fn parse(body: &[u8]) -> ErrorResponse {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut error = ErrorResponse::new(Severity::Error, SqlState::INTERNAL_ERROR, "");
        let mut severity = None;
        let mut localized = None;
        for (kind, value) in fields(body) {
            match kind {
                b'V' => severity = Severity::from_bytes(value),
                b'S' => localized = Some(value),
                b'C' => error.code = SqlState::from_bytes(value).unwrap_or(SqlState::INTERNAL_ERROR),
                b'M' => error.message = text(value),
                b'D' => error.detail = Some(text(value)),
                b'H' => error.hint = Some(text(value)),
                _ => error.other.push((kind, value.to_vec())),
            }
        }
        error.severity =
            severity.or_else(|| localized.and_then(Severity::from_bytes)).unwrap_or(Severity::Error);
        if let Some(localized) = localized.filter(|value| *value != error.severity.as_str().as_bytes()) {
            error.other.push((b'S', localized.to_vec()));
        }
        error
    }

    /// Appends it as an ErrorResponse.
    pub fn write(&self, out: &mut Vec<u8>) {
        message(out, tag::ERROR_RESPONSE, |out| self.write_fields(out));
    }

    /// Appends it as a NoticeResponse.
    pub fn write_notice(&self, out: &mut Vec<u8>) {
        message(out, tag::NOTICE_RESPONSE, |out| self.write_fields(out));
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, value: &[u8]| {
            out.push(kind);
            put_cstr(out, value);
        };
        let severity = self.severity.as_str().as_bytes();
        let localized = self.other.iter().find(|(kind, _)| *kind == b'S');
        put(b'S', localized.map_or(severity, |(_, value)| value));
        put(b'V', severity);
        put(b'C', self.code.as_bytes());
        put(b'M', self.message.as_bytes());
        if let Some(detail) = &self.detail {
            put(b'D', detail.as_bytes());
        }
        if let Some(hint) = &self.hint {
            put(b'H', hint.as_bytes());
        }
        for (kind, value) in self.other.iter().filter(|(kind, _)| *kind != b'S' && *kind != 0) {
            put(*kind, value);
        }
        out.push(0);
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The session is over.
    Fatal,
    /// All sessions are over.
    Panic,
    /// Something is probably wrong.
    Warning,
    /// Something worth knowing.
    Notice,
    /// For developers.
    Debug,
    /// Something that was asked for.
    Info,
    /// For the server's log.
    Log,
}

impl Severity {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Log => "LOG",
        }
    }

    fn from_bytes(word: &[u8]) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.as_str().as_bytes() == word)
    }

    const ALL: [Severity; 8] = [
        Severity::Error,
        Severity::Fatal,
        Severity::Panic,
        Severity::Warning,
        Severity::Notice,
        Severity::Debug,
        Severity::Info,
        Severity::Log,
    ];
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The fields of a body, in order; an unterminated last one is given as far as it goes.
#[must_use]
pub fn fields(body: &[u8]) -> Fields<'_> {
    Fields(body)
}

/// The first field of this kind.
#[must_use]
pub fn field(body: &[u8], kind: u8) -> Option<&[u8]> {
    fields(body).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// Iterator over kind and value, made by [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (kind, rest) = self.0.split_first().filter(|(kind, _)| **kind != 0)?;
        let (value, rest) = split_cstr(rest).unwrap_or((rest, &[]));
        self.0 = rest;
        Some((*kind, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(error: &ErrorResponse) -> Vec<u8> {
        let mut out = Vec::new();
        error.write(&mut out);
        out.split_off(5)
    }

    #[test]
    fn as_postgresql_writes_it() {
        let error =
            ErrorResponse::new(Severity::Fatal, SqlState::TOO_MANY_CONNECTIONS, "no room").hint("wait");
        let mut out = Vec::new();
        error.write(&mut out);
        assert_eq!(out, b"E\0\0\0\x29SFATAL\0VFATAL\0C53300\0Mno room\0Hwait\0\0");
        assert_eq!(error.to_string(), "FATAL: no room (SQLSTATE 53300)");
        out.clear();
        error.write_notice(&mut out);
        assert_eq!(out.first(), Some(&b'N'));
    }

    #[test]
    fn the_severity_that_is_not_translated_counts() {
        let error = ErrorResponse::parse(b"SFATAL\0VERROR\0C22012\0Mx\0\0");
        assert_eq!(error.severity, Severity::Error);
        let german = ErrorResponse::parse(b"SFEHLER\0VFATAL\0C57P01\0Mx\0Fa.c\0\0");
        assert_eq!(german.severity, Severity::Fatal);
        assert_eq!(field(&body(&german), b'S'), Some(&b"FEHLER"[..]));
        assert_eq!(field(&body(&german), b'F'), Some(&b"a.c"[..]));
        assert_eq!(ErrorResponse::parse(b"SPANIC\0\0").severity, Severity::Panic, "before PostgreSQL 9.6");
    }

    #[test]
    fn what_is_missing_is_filled_in() {
        let nothing = ErrorResponse::new(Severity::Error, SqlState::INTERNAL_ERROR, "");
        for body in [&b""[..], b"\0", b"\0Mhidden\0", b"C\0\0", b"C57\0\0", b"Cnope!\0\0", b"V\0\0"] {
            assert_eq!(ErrorResponse::parse(body), nothing, "{body:?}");
        }
        let no_code = ErrorResponse::parse(b"SFATAL\0VFATAL\0Mbye\0\0");
        assert_eq!(no_code, ErrorResponse::new(Severity::Fatal, SqlState::INTERNAL_ERROR, "bye"));
        assert_eq!(ErrorResponse::parse(b"C57P01\0Mcut of").message, "cut of");
        assert_eq!(ErrorResponse::parse(b"Mcaf\xe9\0\0").message, "caf\u{fffd}");
    }

    #[test]
    fn a_text_cannot_smuggle_in_a_field() {
        let error = ErrorResponse::new(Severity::Error, SqlState::SYNTAX_ERROR, "at \"\0C00000\0\"");
        assert_eq!(ErrorResponse::parse(&body(&error)).message, "at \"");
        assert_eq!(field(&body(&error), b'C'), Some(&b"42601"[..]));
    }

    fn any_error() -> impl Strategy<Value = ErrorResponse> {
        let text = "[^\0]{0,20}";
        let other = proptest::collection::vec(
            (prop_oneof![Just(b'P'), Just(b'F'), Just(b'L'), Just(b'R'), Just(b'W')], "[^\0]{0,9}"),
            0..4,
        );
        let parts = (0..8_usize, "[0-9A-Z]{5}", text, proptest::option::of(text), proptest::option::of(text));
        (parts, other).prop_map(|((severity, code, message, detail, hint), other)| ErrorResponse {
            severity: Severity::ALL[severity],
            code: SqlState::from_bytes(code.as_bytes()).unwrap(),
            message,
            detail,
            hint,
            other: other.into_iter().map(|(kind, value)| (kind, value.into_bytes())).collect(),
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(error in any_error()) {
            prop_assert_eq!(ErrorResponse::parse(&body(&error)), error);
        }

        #[test]
        fn no_prefix_panics(error in any_error(), noise in proptest::collection::vec(any::<u8>(), 0..60)) {
            let body = body(&error);
            for end in 0..body.len() {
                let _ = ErrorResponse::parse(&body[..end]);
            }
            let read = ErrorResponse::parse(&noise);
            let _ = read.to_string();
        }
    }
}
