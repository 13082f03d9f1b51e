//! Results read in place: their columns and their values. Howdah forwards them unread; tests and tools look.

use crate::body::{BodyError, Reader};

/// One column of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// OID of its type.
    pub type_oid: u32,
    /// Size of its type, negative if values differ in length.
    pub type_len: i16,
}

impl<'a> Column<'a> {
    /// A column of type `text`.
    #[must_use]
    pub const fn text(name: &'a str) -> Column<'a> {
        Column { name: name.as_bytes(), type_oid: 25, type_len: -1 }
    }

    /// A column of type `integer`.
    #[must_use]
    pub const fn int4(name: &'a str) -> Column<'a> {
        Column { name: name.as_bytes(), type_oid: 23, type_len: 4 }
    }

    /// A column of type `bigint`.
    #[must_use]
    pub const fn int8(name: &'a str) -> Column<'a> {
        Column { name: name.as_bytes(), type_oid: 20, type_len: 8 }
    }

    /// A column of type `numeric`.
    #[must_use]
    pub const fn numeric(name: &'a str) -> Column<'a> {
        Column { name: name.as_bytes(), type_oid: 1700, type_len: -1 }
    }

    fn read(reader: &mut Reader<'a>) -> Result<Column<'a>, BodyError> {
        let name = reader.cstr()?;
        reader.bytes(6)?; // the table's OID and the column's number in it
        let type_oid = reader.u32()?;
        let type_len = reader.u16()?.cast_signed();
        reader.bytes(6)?; // type modifier and format
        Ok(Column { name, type_oid, type_len })
    }
}

/// The columns of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDescription<'a>(Vec<Column<'a>>);

impl<'a> RowDescription<'a> {
    /// # Errors
    /// The body is not a RowDescription's.
    pub fn parse(body: &'a [u8]) -> Result<RowDescription<'a>, BodyError> {
        let mut reader = Reader(body);
        let count = reader.u16()?;
        let columns = (0..count).map(|_| Column::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(RowDescription(columns))
    }

    /// Left to right.
    #[must_use]
    pub fn columns(&self) -> &[Column<'a>] {
        &self.0
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataRow<'a>(Vec<Option<&'a [u8]>>);

impl<'a> DataRow<'a> {
    /// # Errors
    /// The body is not a DataRow's.
    pub fn parse(body: &'a [u8]) -> Result<DataRow<'a>, BodyError> {
        let mut reader = Reader(body);
        let count = reader.u16()?;
        let values = (0..count).map(|_| reader.value()).collect::<Result<_, _>>()?;
        reader.end()?;
        Ok(DataRow(values))
    }

    /// Left to right; `None` is NULL.
    #[must_use]
    pub fn values(&self) -> &[Option<&'a [u8]>] {
        &self.0
    }
}
