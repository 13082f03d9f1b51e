//! Columns and values, before they are bytes.

use std::borrow::Cow;
use std::time::Duration;

/// Name and type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The types a console table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int4,
    Int8,
    Numeric,
    Text,
}

impl Kind {
    /// The type's OID in `pg_type`.
    pub(crate) fn oid(self) -> u32 {
        match self {
            Kind::Int4 => 23,
            Kind::Int8 => 20,
            Kind::Numeric => 1700,
            Kind::Text => 25,
        }
    }

    /// Bytes of a value; -1: it varies.
    pub(crate) fn size(self) -> i16 {
        match self {
            Kind::Int4 => 4,
            Kind::Int8 => 8,
            Kind::Numeric | Kind::Text => -1,
        }
    }
}

/// One field of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Number(i64),
    Text(Cow<'a, str>),
}

/// One row: as many values as the table has columns.
pub(crate) type Row<'a> = Vec<Value<'a>>;

impl<'a> Value<'a> {
    /// A text that may be missing.
    pub(crate) fn maybe(text: Option<&'a str>) -> Value<'a> {
        text.map_or(Value::Null, Value::from)
    }

    /// `time` cut off at the second.
    pub(crate) fn whole_seconds(time: Duration) -> Value<'a> {
        Value::from(time.as_secs())
    }

    /// The part of `time` below a second, in microseconds.
    pub(crate) fn microseconds(time: Duration) -> Value<'a> {
        Value::from(u64::from(time.subsec_micros()))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Number(i64::from(number))
    }
}

impl From<bool> for Value<'_> {
    fn from(yes: bool) -> Self {
        Value::Number(i64::from(yes))
    }
}

pub(super) const fn int4(name: &'static str) -> Column {
    Column { name, kind: Kind::Int4 }
}

pub(super) const fn int8(name: &'static str) -> Column {
    Column { name, kind: Kind::Int8 }
}

pub(super) const fn numeric(name: &'static str) -> Column {
    Column { name, kind: Kind::Numeric }
}

pub(super) const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}
