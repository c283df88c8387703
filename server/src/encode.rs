//! Result columns to DataRow messages, straight into the output buffer.
//!
//! A batch comes as columns, the protocol wants rows, so each row is one pass over the columns. What a value looks like is
//! the types' business (`serin_sql::types::format` and `binary`), which write it in place; lengths are patched in behind.

use crate::{recode, wire};
use bytes::BufMut;
use serin_sql::column::{Batch, Column};
use serin_sql::encoding::Encoding;
use serin_sql::types::binary::write_binary;
use serin_sql::types::format::write_text;
use serin_sql::types::{RenderSettings, Type};
use serin_sql::{Error, Field, Format, Output, Result, SqlState};

/// What was appended for the client and not written to the socket yet.
#[derive(Default)]
pub struct Replies {
    pub buffer: Vec<u8>,
    /// Rows sent since [`Replies::start_counting`]: an Execute with a row limit spans several calls of the executor.
    rows: u64,
    function_call: bool,
    /// Where the last whole message ended, in case the next one is never finished.
    mark: usize,
    /// The client's. Up to `recoded` the buffer is in it.
    encoding: Option<Encoding>,
    recoded: usize,
}

/// PostgreSQL's limit for one message (MaxAllocSize).
const MESSAGE_MAX: usize = 0x3fff_ffff;

impl Replies {
    /// The client's encoding, unless texts go out as they are.
    pub fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }
    /// What is appended from here on is in this encoding.
    pub fn set_encoding(&mut self, name: &str) {
        self.recode();
        self.encoding = Encoding::named(name).filter(|encoding| !encoding.is_native());
    }
    /// As [`Replies::set_encoding`], for everything since the connection began.
    pub fn start_in(&mut self, name: &str) {
        self.recoded = 0;
        self.encoding = Encoding::named(name).filter(|encoding| !encoding.is_native());
    }
    /// Puts all messages of the buffer into the client's encoding.
    pub fn recode(&mut self) {
        if let Some(encoding) = self.encoding {
            let from = self.recoded.min(self.buffer.len());
            recode::outgoing(encoding, &mut self.buffer, from);
        }
        self.recoded = self.buffer.len();
        self.mark = self.buffer.len();
    }
    /// What is there, for somebody else to write; what comes next is gathered from nothing.
    pub fn set_aside(&mut self) -> Replies {
        self.recode();
        let end = self.buffer.len();
        (self.recoded, self.mark) = (0, 0);
        // An empty buffer stays, for the memory that it has.
        let buffer = if end == 0 { Vec::new() } else { std::mem::take(&mut self.buffer) };
        Replies {
            buffer,
            rows: 0,
            function_call: self.function_call,
            mark: end,
            encoding: self.encoding,
            recoded: end,
        }
    }
    /// What is left of what was set aside.
    pub fn put_before(&mut self, before: Replies) {
        let length = before.buffer.len();
        if length > 0 {
            let own = std::mem::replace(&mut self.buffer, before.buffer);
            self.buffer.extend_from_slice(&own);
            self.recoded += length;
            self.mark += length;
        }
    }
    /// So many bytes at the front were written out, all of them in the client's encoding.
    pub fn written(&mut self, bytes: usize) {
        self.buffer.drain(..bytes);
        self.recoded -= bytes;
        self.mark -= bytes;
    }
    /// The buffer was written out.
    pub fn clear(&mut self, capacity_max: usize) {
        match self.buffer.capacity() > capacity_max {
            true => self.buffer = Vec::new(),
            false => self.buffer.clear(),
        }
        (self.recoded, self.mark) = (0, 0);
    }
    /// The row to come is what a FunctionCall answers.
    pub fn set_function_call(&mut self, function_call: bool) {
        self.function_call = function_call;
    }
    pub fn is_function_call(&self) -> bool {
        self.function_call
    }
    pub fn start_counting(&mut self) {
        self.rows = 0;
    }
    pub fn row_count(&self) -> u64 {
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
            let written =
                row_message(&mut self.buffer, self.function_call, &columns, row, render, self.encoding);
            if let Err(error) = written {
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
        if name == "client_encoding" {
            self.set_encoding(value);
        }
    }

    fn notification(&mut self, pid: i32, channel: &str, payload: &str) {
        wire::notification_response(&mut self.buffer, pid, channel, payload);
    }

    fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }
}

/// A DataRow, or the FunctionCallResponse that has one value and doesn't say so.
fn row_message(
    out: &mut Vec<u8>,
    function_call: bool,
    columns: &[(&Column, Type, Format)],
    row: usize,
    render: &RenderSettings,
    encoding: Option<Encoding>,
) -> Result<()> {
    out.put_u8(if function_call { b'V' } else { b'D' });
    let start = out.len();
    out.put_u32(0);
    if !function_call {
        out.put_u16(columns.len() as u16);
    }
    for &(column, data_type, format) in columns {
        if column.is_null(row) {
            out.put_i32(-1);
            continue;
        }
        let length_at = out.len();
        out.put_u32(0);
        match format {
            Format::Text => write_text(out, column, row, data_type, render),
            Format::Binary => write_binary(out, column, row, data_type),
        }
        if let Some(encoding) = encoding {
            let data_type = (format == Format::Binary).then_some(data_type);
            if let Some(converted) = recode::result(encoding, &out[length_at + 4..], data_type)? {
                out.truncate(length_at + 4);
                out.extend_from_slice(&converted);
            }
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
fn patch_length(out: &mut [u8], at: usize, from: usize) {
    let length = (out.len() - from) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_sql::column::{Bitmap, Strings, Values};
    use std::sync::Arc;

    fn field(data_type: Type) -> Field {
        Field { name: "c".into(), table: 0, column: 0, data_type, type_size: -1, type_modifier: -1 }
    }

    fn encode(columns: Vec<Column>, types: &[Type], formats: &[Format], rows: usize) -> Vec<u8> {
        let columns = columns.into_iter().map(Arc::new).collect();
        let fields: Vec<Field> = types.iter().copied().map(field).collect();
        let mut replies = Replies::default();
        replies.rows(&Batch { columns, rows }, &fields, formats, &RenderSettings::default()).unwrap();
        replies.buffer
    }

    #[test]
    fn rows_with_nulls_in_both_formats() {
        let numbers =
            Column { values: Values::Int4(vec![-7, 0]), nulls: Some(Bitmap { words: vec![0b10], len: 2 }) };
        let texts = Column {
            values: Values::Text(Strings { offsets: vec![0, 2, 2], bytes: b"ab".to_vec() }),
            nulls: None,
        };
        let types = [Type::INT4, Type::TEXT];
        let text = encode(vec![numbers.clone(), texts.clone()], &types, &[Format::Text; 2], 2);
        let expected =
            [&b"D\0\0\0\x12\0\x02\0\0\0\x02-7\0\0\0\x02ab"[..], b"D\0\0\0\x0e\0\x02\xff\xff\xff\xff\0\0\0\0"];
        assert_eq!(text, expected.concat());
        let binary = encode(vec![numbers, texts], &types, &[Format::Binary; 2], 1);
        assert_eq!(binary, b"D\0\0\0\x14\0\x02\0\0\0\x04\xff\xff\xff\xf9\0\0\0\x02ab");
    }

    #[test]
    fn the_type_decides_on_the_text() {
        let moment = || Column { values: Values::Timestamp(vec![0]), nulls: None };
        let texts =
            encode(vec![moment(), moment()], &[Type::TIMESTAMP, Type::TIMESTAMPTZ], &[Format::Text; 2], 1);
        let text = String::from_utf8_lossy(&texts);
        assert!(text.contains("2000-01-01 00:00:00") && text.contains("2000-01-01 00:00:00+00"), "{text:?}");
    }
}
