//! One message of the server, taken apart as far as tests look into it.

use std::fmt;

use super::message::tagged;

/// A message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type byte.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Message {
    /// All of it, as it came.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        tagged(self.tag, &self.body)
    }

    /// One field of an ErrorResponse or NoticeResponse, such as `b'C'` for the SQLSTATE.
    #[must_use]
    pub fn field(&self, code: u8) -> Option<String> {
        let field = self.body.split(|&byte| byte == 0).find(|field| field.first() == Some(&code))?;
        Some(String::from_utf8_lossy(field.get(1..)?).into_owned())
    }

    /// The SQLSTATE of an error or notice; empty for anything else.
    #[must_use]
    pub fn sqlstate(&self) -> String {
        if matches!(self.tag, b'E' | b'N') { self.field(b'C').unwrap_or_default() } else { String::new() }
    }

    /// The text of an error or notice; empty for anything else.
    #[must_use]
    pub fn text(&self) -> String {
        if matches!(self.tag, b'E' | b'N') { self.field(b'M').unwrap_or_default() } else { String::new() }
    }

    /// The body up to its first zero byte, as text: the tag of a CommandComplete, the name of a ParameterStatus.
    #[must_use]
    pub fn first_string(&self) -> String {
        let end = self.body.iter().position(|&byte| byte == 0).unwrap_or(self.body.len());
        String::from_utf8_lossy(self.body.get(..end).unwrap_or_default()).into_owned()
    }

    /// The names of a RowDescription's columns.
    ///
    /// # Panics
    /// It is no whole RowDescription.
    #[must_use]
    pub fn column_names(&self) -> Vec<String> {
        const AFTER_NAME: usize = 18;
        let (count, mut rest) = self.body.split_first_chunk::<2>().expect("a description counts its columns");
        (0..u16::from_be_bytes(*count))
            .map(|_| {
                let end = rest.iter().position(|&byte| byte == 0).expect("a name ends");
                let name = String::from_utf8_lossy(&rest[..end]).into_owned();
                rest = &rest[end + 1 + AFTER_NAME..];
                name
            })
            .collect()
    }

    /// The columns of a DataRow as text.
    ///
    /// # Panics
    /// It is no whole DataRow.
    #[must_use]
    pub fn columns(&self) -> Vec<Option<String>> {
        let (count, mut rest) = self.body.split_first_chunk::<2>().expect("a row counts its columns");
        (0..u16::from_be_bytes(*count))
            .map(|_| {
                let (len, after) = rest.split_first_chunk::<4>().expect("a column has a length");
                let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
                    rest = after;
                    return None;
                };
                let (value, after) = after.split_at(len);
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            })
            .collect()
    }
}

/// The type bytes of these messages, such as `TDCZ`.
#[must_use]
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|message| char::from(message.tag)).collect()
}

/// The only error among these messages: its SQLSTATE and text.
///
/// # Panics
/// There is none, or more than one.
#[must_use]
#[track_caller]
pub fn only_error(messages: &[Message]) -> (String, String) {
    let errors: Vec<_> = messages.iter().filter(|message| message.tag == b'E').collect();
    match errors[..] {
        [error] => (error.sqlstate(), error.text()),
        _ => panic!("one error was expected in {messages:?}"),
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", char::from(self.tag), self.body.escape_ascii())
    }
}
