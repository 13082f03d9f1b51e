//! Tables become bytes: RowDescription and DataRow, as text or binary.

use std::borrow::Cow;

use howdah_wire::backend::{tag, write_data_row};
use howdah_wire::{BodyError, write_message};

use crate::error::ConsoleError;
use crate::show::{Column, Kind, Row, Value};

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Binary,
}

/// The format of each column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Formats {
    All(Format),
    Each(Vec<Format>),
}

impl Formats {
    pub(crate) const TEXT: Formats = Formats::All(Format::Text);

    /// Reads what follows the names in a Bind, for a result of `columns` columns. Parameters are refused by
    /// the statement having none; a value all the same is a count that does not fit.
    pub(crate) fn of_bind(rest: &[u8], columns: usize) -> Result<Formats, ConsoleError> {
        let (_parameter_formats, rest) = codes(rest)?;
        let (values, rest) = u16_at(rest)?;
        if values != 0 {
            return Err(ConsoleError::Command(crate::command::CommandError::Parameter));
        }
        let (formats, rest) = codes(rest)?;
        if !rest.is_empty() {
            return Err(BodyError::Trailing.into());
        }
        match *formats {
            [] => Ok(Formats::TEXT),
            [format] => Ok(Formats::All(format)),
            _ if formats.len() == columns => Ok(Formats::Each(formats)),
            _ => Err(ConsoleError::FormatCount { got: formats.len(), columns }),
        }
    }

    fn of(&self, column: usize) -> Format {
        match self {
            Formats::All(format) => *format,
            Formats::Each(formats) => formats.get(column).copied().unwrap_or_default(),
        }
    }
}

/// Appends a RowDescription.
pub(crate) fn write_row_description(out: &mut Vec<u8>, columns: &[Column], formats: &Formats) {
    let mut body = Vec::new();
    let count = u16::try_from(columns.len()).expect("the widest table has 25 columns");
    body.extend_from_slice(&count.to_be_bytes());
    for (at, column) in columns.iter().enumerate() {
        body.extend_from_slice(column.name.as_bytes());
        body.extend_from_slice(&[0; 7]); // the name's end; of no table
        body.extend_from_slice(&column.kind.oid().to_be_bytes());
        body.extend_from_slice(&column.kind.size().to_be_bytes());
        body.extend_from_slice(&(-1_i32).to_be_bytes()); // no type modifier
        body.extend_from_slice(&[0, u8::from(formats.of(at) == Format::Binary)]);
    }
    write_message(out, tag::ROW_DESCRIPTION, &body);
}

/// Appends a DataRow.
pub(crate) fn write_row(out: &mut Vec<u8>, columns: &[Column], formats: &Formats, row: &Row<'_>) {
    let encode = |(at, (column, value)): (usize, (&Column, &'_ Value<'_>))| {
        encode(value, column.kind, formats.of(at)).map(Cow::into_owned)
    };
    let values: Vec<_> = columns.iter().zip(row).enumerate().map(encode).collect();
    write_data_row(out, values.iter().map(Option::as_deref));
}

fn encode<'a>(value: &'a Value<'_>, kind: Kind, format: Format) -> Option<Cow<'a, [u8]>> {
    let number = match value {
        Value::Null => return None,
        Value::Text(text) => return Some(Cow::Borrowed(text.as_bytes())),
        Value::Number(number) => *number,
    };
    let small = || i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX });
    Some(Cow::Owned(match (format, kind) {
        (Format::Text, Kind::Int4) => small().to_string().into_bytes(),
        (Format::Text, _) | (Format::Binary, Kind::Text) => number.to_string().into_bytes(),
        (Format::Binary, Kind::Int4) => small().to_be_bytes().to_vec(),
        (Format::Binary, Kind::Int8) => number.to_be_bytes().to_vec(),
        (Format::Binary, Kind::Numeric) => numeric(number),
    }))
}

/// A whole number as `numeric_send` writes it: digits to the base of 10,000, the highest first, without zeros
/// at the end.
fn numeric(number: i64) -> Vec<u8> {
    let mut rest = number.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 {
        digits.push(u16::try_from(rest % 10_000).expect("below 10,000"));
        rest /= 10_000;
    }
    let weight = u16::try_from(digits.len().saturating_sub(1)).expect("an i64 has five such digits");
    let significant: Vec<u16> = digits.iter().copied().skip_while(|digit| *digit == 0).collect();
    let count = u16::try_from(significant.len()).expect("an i64 has five such digits");
    let sign = if number < 0 { 0x4000 } else { 0 };
    let header = [count, weight, sign, 0];
    header.into_iter().chain(significant.into_iter().rev()).flat_map(u16::to_be_bytes).collect()
}

/// A count and as many format codes.
fn codes(bytes: &[u8]) -> Result<(Vec<Format>, &[u8]), ConsoleError> {
    let (count, mut rest) = u16_at(bytes)?;
    // Grown while read: a count alone must not take memory.
    let mut formats = Vec::new();
    for _ in 0..count {
        let (code, after) = u16_at(rest)?;
        rest = after;
        formats.push(match code {
            0 => Format::Text,
            1 => Format::Binary,
            other => return Err(ConsoleError::Format(other)),
        });
    }
    Ok((formats, rest))
}

fn u16_at(bytes: &[u8]) -> Result<(u16, &[u8]), BodyError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(BodyError::Short)?;
    Ok((u16::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_type_and_format() {
        let encoded =
            |number, kind, format| encode(&Value::Number(number), kind, format).map(Cow::into_owned).unwrap();
        assert_eq!(encoded(-7, Kind::Int4, Format::Text), b"-7");
        assert_eq!(encoded(5_000_000_000, Kind::Int4, Format::Text), b"2147483647");
        assert_eq!(encoded(5_000_000_000, Kind::Int8, Format::Text), b"5000000000");
        assert_eq!(encoded(258, Kind::Int4, Format::Binary), [0, 0, 1, 2]);
        assert_eq!(encoded(258, Kind::Int8, Format::Binary), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(encoded(12, Kind::Text, Format::Binary), b"12");
        assert_eq!(encode(&Value::Null, Kind::Int4, Format::Binary), None);
    }

    #[test]
    fn binary_numeric_is_what_postgresql_sends() {
        // select encode(numeric_send(x), 'hex')
        assert_eq!(numeric(0), [0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(numeric(1), [0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(numeric(10_000), [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(numeric(123_456_789), [0, 3, 0, 2, 0, 0, 0, 0, 0, 1, 0x09, 0x29, 0x1a, 0x85]);
        assert_eq!(numeric(-10_001), [0, 2, 0, 1, 0x40, 0, 0, 0, 0, 1, 0, 1]);
        assert_eq!(numeric(i64::MAX).len(), 8 + 5 * 2);
    }

    #[test]
    fn formats_of_a_bind() {
        let of = Formats::of_bind;
        assert_eq!(of(b"\0\0\0\0\0\0", 3), Ok(Formats::TEXT));
        assert_eq!(of(b"\0\x01\0\x01\0\0\0\x01\0\x01", 3), Ok(Formats::All(Format::Binary)));
        let each = Formats::Each(vec![Format::Binary, Format::Text]);
        assert_eq!(of(b"\0\0\0\0\0\x02\0\x01\0\0", 2), Ok(each));
        assert_eq!(of(b"\0\0\0\0\0\x02\0\x01\0\0", 3), Err(ConsoleError::FormatCount { got: 2, columns: 3 }));
        assert_eq!(of(b"\0\0\0\0\0\x01\0\x02", 3), Err(ConsoleError::Format(2)));
        assert_eq!(of(b"\0\0\0\0\xff\xff", 3), Err(BodyError::Short.into()));
        assert_eq!(of(b"\0\0\0\0\0\0x", 3), Err(BodyError::Trailing.into()));
        assert!(of(b"\0\0\0\x01\0\0\0\x01a\0\0", 3).is_err(), "a value");
    }
}
