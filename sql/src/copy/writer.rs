//! COPY TO: rows of columns to bytes.

use super::{CopyFormat, CopyOptions, Header};
use crate::column::{Batch, Column};
use crate::types::{RenderSettings, Repr, Type, write_binary, write_text};

pub struct CopyWriter {
    options: CopyOptions,
    types: Vec<Type>,
}

impl CopyWriter {
    pub fn new(options: CopyOptions, types: &[Type]) -> CopyWriter {
        CopyWriter { options, types: types.to_vec() }
    }

    /// What comes before the rows: the header line, or the binary signature.
    pub fn begin(&self, names: &[String], out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
            return out.extend([0; 8]);
        }
        if self.options.header == Header::None {
            return;
        }
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                out.push(self.options.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(name.as_bytes());
            self.protect(out, start, false, names.len() == 1);
        }
        out.push(b'\n');
    }

    /// What comes after the rows.
    pub fn end(&self, out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            out.extend((-1i16).to_be_bytes());
        }
    }

    pub fn row(&self, batch: &Batch, row: usize, render: &RenderSettings, out: &mut Vec<u8>) {
        if self.options.format == CopyFormat::Binary {
            return self.binary_row(batch, row, out);
        }
        for (index, (column, data_type)) in batch.columns.iter().zip(&self.types).enumerate() {
            if index > 0 {
                out.push(self.options.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(&self.options.null);
                continue;
            }
            let start = out.len();
            write_text(out, column, row, *data_type, render);
            if self.needs_look(column) {
                let force = self.options.force_quote.contains(index);
                self.protect(out, start, force, batch.columns.len() == 1);
            }
        }
        out.push(b'\n');
    }

    fn binary_row(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        out.extend((batch.columns.len() as i16).to_be_bytes());
        for (column, data_type) in batch.columns.iter().zip(&self.types) {
            if column.is_null(row) {
                out.extend((-1i32).to_be_bytes());
                continue;
            }
            let start = out.len();
            out.extend([0; 4]);
            write_binary(out, column, row, *data_type);
            let length = (out.len() - start - 4) as u32;
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Numbers hold nothing special, unless the delimiter or the null string is made of what they hold.
    fn needs_look(&self, column: &Column) -> bool {
        let plain = matches!(column.repr(), Repr::Int2 | Repr::Int4 | Repr::Int8 | Repr::Oid);
        let usual = match self.options.format {
            CopyFormat::Csv => {
                matches!(self.options.delimiter, b',' | b'\t' | b';' | b'|')
                    && self.options.quote == b'"'
                    && self.options.null.is_empty()
                    && self.options.force_quote == super::Columns::Some(Vec::new())
            }
            _ => matches!(self.options.delimiter, b',' | b'\t' | b';' | b'|'),
        };
        !(plain && usual)
    }

    /// Escapes or quotes the field that begins at `start`.
    fn protect(&self, out: &mut Vec<u8>, start: usize, force: bool, single: bool) {
        match self.options.format {
            CopyFormat::Csv => self.quote(out, start, force, single),
            _ => self.escape(out, start),
        }
    }

    fn escape(&self, out: &mut Vec<u8>, start: usize) {
        let delimiter = self.options.delimiter;
        let special = |byte: &u8| matches!(byte, 8..=13 | b'\\') || *byte == delimiter;
        let Some(first) = out[start..].iter().position(special) else { return };
        let tail = out.split_off(start + first);
        for byte in tail {
            match byte {
                8 => out.extend_from_slice(b"\\b"),
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\n' => out.extend_from_slice(b"\\n"),
                11 => out.extend_from_slice(b"\\v"),
                12 => out.extend_from_slice(b"\\f"),
                b'\r' => out.extend_from_slice(b"\\r"),
                byte if byte == b'\\' || byte == delimiter => out.extend([b'\\', byte]),
                byte => out.push(byte),
            }
        }
    }

    fn quote(&self, out: &mut Vec<u8>, start: usize, force: bool, single: bool) {
        let CopyOptions { delimiter, quote, escape, ref null, .. } = self.options;
        let field = &out[start..];
        let special = |byte: &u8| *byte == delimiter || *byte == quote || matches!(byte, b'\n' | b'\r');
        // A lone `\.` would end the data.
        let needed =
            force || field == null.as_slice() || single && field == b"\\." || field.iter().any(special);
        if !needed {
            return;
        }
        let tail = out.split_off(start);
        out.push(quote);
        for byte in tail {
            if byte == quote || byte == escape {
                out.push(escape);
            }
            out.push(byte);
        }
        out.push(quote);
    }
}

#[cfg(test)]
mod tests {
    use super::super::CopyReader;
    use super::*;
    use crate::types::Datum;
    use std::sync::Arc;

    fn batch(rows: &[[Datum; 2]]) -> Batch {
        let column =
            |index: usize, repr| Arc::new(Column::from_datums(repr, rows.iter().map(|row| &row[index])));
        Batch::new(vec![column(0, Repr::Int4), column(1, Repr::Text)], rows.len())
    }

    fn write(options: &CopyOptions, rows: &[[Datum; 2]]) -> Vec<u8> {
        let writer = CopyWriter::new(options.clone(), &[Type::INT4, Type::TEXT]);
        let mut out = Vec::new();
        writer.begin(&["id".to_string(), "a,b".to_string()], &mut out);
        let batch = batch(rows);
        (0..batch.rows).for_each(|row| writer.row(&batch, row, &RenderSettings::default(), &mut out));
        writer.end(&mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        let awkward = ["", "plain", "a\tb\\c\nd\r\u{8}\u{b}\u{c}", "\\.", "\\N", "\"q\",x", "é", "NULL"];
        let mut rows: Vec<[Datum; 2]> = awkward
            .iter()
            .enumerate()
            .map(|(index, text)| [Datum::Int4(index as i32), Datum::text(*text)])
            .collect();
        rows.push([Datum::Null, Datum::Null]);
        for format in [CopyFormat::Text, CopyFormat::Csv, CopyFormat::Binary] {
            for header in [Header::None, Header::Present] {
                let options = CopyOptions { header, ..CopyOptions::new(format) };
                let data = write(&options, &rows);
                let names = ["id".to_string(), "a,b".to_string()];
                let mut reader = CopyReader::new(options, "t", &names);
                let mut read = Vec::new();
                let mut each = |row: &super::super::Row<'_>| {
                    read.push(row.text(1)?.map(str::to_string));
                    Ok(())
                };
                if format == CopyFormat::Binary && header == Header::Present {
                    continue;
                }
                data.chunks(7).for_each(|chunk| reader.feed(chunk, &mut each).unwrap());
                reader.finish(&mut each).unwrap();
                let expected: Vec<Option<String>> =
                    rows.iter().map(|row| row[1].as_str().map(str::to_string)).collect();
                assert_eq!(read, expected, "{format:?}");
            }
        }
    }

    #[test]
    fn golden() {
        let rows = [[Datum::Int4(1), Datum::text("a\tb\\")], [Datum::Null, Datum::text("x,\"y\"")]];
        assert_eq!(write(&CopyOptions::new(CopyFormat::Text), &rows), b"1\ta\\tb\\\\\n\\N\tx,\"y\"\n");
        let csv = CopyOptions { header: Header::Present, ..CopyOptions::new(CopyFormat::Csv) };
        assert_eq!(write(&csv, &rows), b"id,\"a,b\"\n1,a\tb\\\n,\"x,\"\"y\"\"\"\n");
    }
}
