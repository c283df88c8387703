//! Result columns to DataRow messages, straight into the output buffer.
//!
//! A batch comes as columns, the protocol wants rows, so each row is one pass over the columns. The values that OLTP
//! returns by the million (integers, text, booleans) are written here; everything whose text depends on settings or
//! takes real formatting goes to `serin_sql::types`.

use crate::wire;
use bytes::BufMut;
use serin_sql::column::{Batch, Bitmap, Column, Values};
use serin_sql::types::{RenderSettings, Type};
use serin_sql::{Error, Field, Format, Output, Result, SqlState};

/// What was appended for the client and not written to the socket yet.
#[derive(Default)]
pub struct Replies {
    pub buffer: Vec<u8>,
    /// Rows sent since [`Replies::start_counting`]: an Execute with a row limit spans several calls of the executor.
    rows: u64,
    /// Where the last whole message ended, in case the next one is never finished.
    mark: usize,
}

/// PostgreSQL's limit for one message (MaxAllocSize).
const MESSAGE_MAX: usize = 0x3fff_ffff;

impl Replies {
    pub fn start_counting(&mut self) {
        self.rows = 0;
    }
    pub fn rows(&self) -> u64 {
        self.rows
    }
    /// Everything up to here is whole messages.
    pub fn mark(&mut self) {
        self.mark = self.buffer.len();
    }
    /// Drops a message that was left unfinished.
    pub fn cut_to_mark(&mut self) {
        self.buffer.truncate(self.mark);
    }
}

impl Output for Replies {
    fn row_description(&mut self, fields: &[Field]) {
        wire::row_description(&mut self.buffer, fields, &[]);
    }

    fn rows(
        &mut self,
        batch: &Batch,
        fields: &[Field],
        formats: &[Format],
        render: &RenderSettings,
    ) -> Result<()> {
        let columns: smallvec::SmallVec<[(&Column, Type, Format); 8]> = batch
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let format = formats.get(index).copied().unwrap_or(Format::Text);
                (&**column, fields[index].data_type, format)
            })
            .collect();
        for row in 0..batch.rows {
            self.mark();
            if let Err(error) = data_row(&mut self.buffer, &columns, row, render) {
                self.cut_to_mark();
                return Err(error);
            }
        }
        self.mark();
        self.rows += batch.rows as u64;
        Ok(())
    }

    fn copy_data(&mut self, data: &[u8]) {
        wire::copy_data(&mut self.buffer, data);
    }

    fn notice(&mut self, notice: Error) {
        wire::notice_response(&mut self.buffer, &notice);
    }

    fn parameter_status(&mut self, name: &str, value: &str) {
        wire::parameter_status(&mut self.buffer, name, value);
    }

    fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }
}

fn data_row(
    out: &mut Vec<u8>,
    columns: &[(&Column, Type, Format)],
    row: usize,
    render: &RenderSettings,
) -> Result<()> {
    out.put_u8(b'D');
    let start = out.len();
    out.put_u32(0);
    out.put_u16(columns.len() as u16);
    for &(column, data_type, format) in columns {
        if is_null(column, row) {
            out.put_i32(-1);
            continue;
        }
        let length_at = out.len();
        out.put_u32(0);
        match format {
            Format::Text => text(out, column, data_type, row, render)?,
            Format::Binary => binary(out, column, data_type, row)?,
        }
        patch_length(out, length_at, length_at + 4);
    }
    if out.len() - start > MESSAGE_MAX {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "result row is too large")
            .detail(format!("The row takes {} bytes, the limit is {MESSAGE_MAX}.", out.len() - start)));
    }
    patch_length(out, start, start);
    Ok(())
}

/// Writes the number of bytes from `from` to the end at `at`.
fn patch_length(out: &mut Vec<u8>, at: usize, from: usize) {
    let length = (out.len() - from) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

fn is_null(column: &Column, row: usize) -> bool {
    column.nulls.as_ref().is_some_and(|nulls| bit(nulls, row))
}

fn bit(bitmap: &Bitmap, index: usize) -> bool {
    bitmap.words[index / 64] >> (index % 64) & 1 != 0
}

fn text(
    out: &mut Vec<u8>,
    column: &Column,
    data_type: Type,
    row: usize,
    render: &RenderSettings,
) -> Result<()> {
    match &column.values {
        Values::Bool(values) => out.put_u8(if values[row] { b't' } else { b'f' }),
        Values::Int2(values) => integer(out, values[row] as i64),
        Values::Int4(values) => integer(out, values[row] as i64),
        Values::Int8(values) => integer(out, values[row]),
        Values::Text(values) => out.put_slice(&values.bytes[values.offsets[row]..values.offsets[row + 1]]),
        _ => formatted(out, column, data_type, row, render)?,
    }
    Ok(())
}

fn binary(out: &mut Vec<u8>, column: &Column, data_type: Type, row: usize) -> Result<()> {
    match &column.values {
        Values::Bool(values) => out.put_u8(values[row] as u8),
        Values::Int2(values) => out.put_i16(values[row]),
        Values::Int4(values) => out.put_i32(values[row]),
        Values::Int8(values) => out.put_i64(values[row]),
        Values::Float4(values) => out.put_f32(values[row]),
        Values::Float8(values) => out.put_f64(values[row]),
        Values::Text(values) | Values::Bytea(values) => {
            out.put_slice(&values.bytes[values.offsets[row]..values.offsets[row + 1]])
        }
        Values::Date(values) => out.put_i32(values[row]),
        Values::Time(values) | Values::Timestamp(values) => out.put_i64(values[row]),
        Values::Interval(values) => {
            out.put_i64(values[row].micros);
            out.put_i32(values[row].days);
            out.put_i32(values[row].months);
        }
        Values::Uuid(values) => out.put_slice(&values[row]),
        Values::Oid(values) => out.put_u32(values[row]),
        Values::Numeric(_) | Values::Datum(_) => {
            return Err(Error::unsupported(format!("binary output of type {}", data_type.0)));
        }
    }
    Ok(())
}

fn formatted(
    _out: &mut Vec<u8>,
    _column: &Column,
    data_type: Type,
    _row: usize,
    _render: &RenderSettings,
) -> Result<()> {
    Err(Error::unsupported(format!("text output of type {}", data_type.0)))
}

/// Decimal digits of an integer, two at a time from the right.
fn integer(out: &mut Vec<u8>, value: i64) {
    const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = value.unsigned_abs();
    while rest >= 100 {
        let pair = (rest % 100) as usize * 2;
        rest /= 100;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if rest >= 10 {
        let pair = rest as usize * 2;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        start -= 1;
        digits[start] = b'0' + rest as u8;
    }
    if value < 0 {
        start -= 1;
        digits[start] = b'-';
    }
    out.put_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_text() {
        for value in [0, 1, 9, 10, 99, 100, 101, -1, -10, 12345, -987654321, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            integer(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
