//! Row encoding: the value of a table's tree. Made for reading a few columns of many rows.

use crate::column::Column;
use crate::error::Result;
use crate::types::{Datum, Type};

/// Appends the encoding of a whole row, one value per table column (dropped columns: null).
pub fn encode(_values: &[Datum], _types: &[Type], _out: &mut Vec<u8>) {
    todo!()
}

/// One column of an encoded row; rows older than an added column answer None (the caller has the missing value).
pub fn decode_column(_row: &[u8], _types: &[Type], _column: usize) -> Result<Option<Datum>> {
    todo!()
}

/// Appends selected columns of encoded rows to column builders, without a datum in between.
pub struct RowDecoder {
    _private: (),
}

impl RowDecoder {
    /// `types` are the table's column types, `columns` the positions wanted in output order, `missing` the values for rows
    /// that end before them.
    pub fn new(_types: &[Type], _columns: &[usize], _missing: &[Datum]) -> RowDecoder {
        todo!()
    }
    pub fn append(&mut self, _row: &[u8]) -> Result<()> {
        todo!()
    }
    pub fn rows(&self) -> usize {
        todo!()
    }
    /// Takes the columns built so far.
    pub fn finish(&mut self) -> Vec<Column> {
        todo!()
    }
}
