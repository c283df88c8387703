//! Bytes to records. Input comes in pieces of any size; a record is taken when its end is there. Memory is bounded by the longest
//! record, which is bounded by [`RECORD_BYTES_MAX`].

use super::{CopyFormat, CopyOptions};
use crate::error::{Error, Result, SqlState};
use std::sync::Arc;

/// As PostgreSQL's limit on a line.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// The fields of one record, unescaped; reused from one to the next.
#[derive(Default, Debug)]
pub struct Record {
    bytes: Vec<u8>,
    /// End of each field in `bytes`, and whether it is a null.
    ends: Vec<(usize, bool)>,
}

impl Record {
    pub fn len(&self) -> usize {
        self.ends.len()
    }
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
    /// None: null.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { self.ends[index - 1].0 };
        let (end, is_null) = self.ends[index];
        (!is_null).then(|| &self.bytes[start..end])
    }
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
    fn end_field(&mut self, is_null: bool) {
        self.ends.push((self.bytes.len(), is_null));
    }
}

pub struct Reader {
    options: Arc<CopyOptions>,
    /// By field: FORCE_NOT_NULL, FORCE_NULL.
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    input: Vec<u8>,
    /// Where the next record starts, and how far its end has been looked for.
    start: usize,
    scanned: usize,
    in_quotes: bool,
    /// `\.` was read: what follows is ignored.
    ended: bool,
    line: u64,
}

impl Reader {
    pub fn new(options: Arc<CopyOptions>, columns: &[&str]) -> Reader {
        let chosen = |names: &[String]| {
            columns.iter().map(|column| names.iter().any(|name| name == "*" || name == column)).collect()
        };
        Reader {
            force_not_null: chosen(&options.force_not_null),
            force_null: chosen(&options.force_null),
            options,
            input: Vec::new(),
            start: 0,
            scanned: 0,
            in_quotes: false,
            ended: false,
            line: 0,
        }
    }

    pub fn feed(&mut self, data: &[u8]) {
        if self.ended {
            return;
        }
        if self.start > 0 {
            self.input.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.input.extend_from_slice(data);
    }

    /// Lines begun so far: the number of the record taken last.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Takes the next record; false if it is not all there yet. `at_end`: no more will come, so a last line may lack its newline.
    pub fn next(&mut self, record: &mut Record, at_end: bool) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let Some(end) = self.find_end() else {
            if !at_end || self.start == self.input.len() {
                if self.input.len() - self.start > RECORD_BYTES_MAX {
                    return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "COPY line is too long"));
                }
                return Ok(false);
            }
            if self.in_quotes {
                self.line += 1;
                return Err(bad("unterminated CSV quoted field"));
            }
            let end = self.input.len();
            return self.take(end, end, record);
        };
        self.take(end, end + 1, record)
    }

    fn take(&mut self, end: usize, next: usize, record: &mut Record) -> Result<bool> {
        let input = std::mem::take(&mut self.input);
        let mut line = &input[self.start..end];
        if let [rest @ .., b'\r'] = line {
            line = rest;
        }
        self.line += 1;
        let result = match line {
            b"\\." => {
                self.ended = true;
                Ok(false)
            }
            line => {
                record.clear();
                match self.options.format {
                    CopyFormat::Text => self.split_text(line, record),
                    CopyFormat::Csv => self.split_csv(line, record),
                }
                .map(|()| true)
            }
        };
        self.input = input;
        self.start = next;
        self.scanned = next;
        result
    }

    /// The newline that ends the record at `start`.
    fn find_end(&mut self) -> Option<usize> {
        let input = &self.input;
        let mut at = self.scanned;
        match self.options.format {
            CopyFormat::Text => {
                while at < input.len() {
                    match input[at] {
                        b'\n' => return Some(at),
                        // An escaped newline belongs to the field. Its backslash may be the last byte so far.
                        b'\\' if at + 1 < input.len() => at += 2,
                        b'\\' => break,
                        _ => at += 1,
                    }
                }
            }
            CopyFormat::Csv => {
                let (quote, escape) = (self.options.quote, self.options.escape);
                while at < input.len() {
                    let byte = input[at];
                    if byte == b'\n' && !self.in_quotes {
                        return Some(at);
                    }
                    if self.in_quotes && byte == escape && escape != quote {
                        if at + 1 == input.len() {
                            break;
                        }
                        at += 1;
                    } else if byte == quote {
                        // A doubled quote ends and begins: the same in the end.
                        self.in_quotes = !self.in_quotes;
                    }
                    at += 1;
                }
            }
        }
        self.scanned = at;
        None
    }

    fn split_text(&self, line: &[u8], record: &mut Record) -> Result<()> {
        let delimiter = self.options.delimiter;
        let null = self.options.null.as_bytes();
        let mut at = 0;
        loop {
            let start = at;
            let field_start = record.bytes.len();
            while at < line.len() && line[at] != delimiter {
                if line[at] != b'\\' {
                    let run = line[at..].iter().position(|&byte| byte == delimiter || byte == b'\\');
                    let end = run.map_or(line.len(), |run| at + run);
                    record.bytes.extend_from_slice(&line[at..end]);
                    at = end;
                } else {
                    at = unescape(line, at, &mut record.bytes);
                }
            }
            let at_end = at.min(line.len());
            // Nulls are told by the field as it is written, before its escapes mean anything.
            let is_null = &line[start..at_end] == null;
            if is_null {
                record.bytes.truncate(field_start);
            }
            record.end_field(is_null);
            if at >= line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    fn split_csv(&self, line: &[u8], record: &mut Record) -> Result<()> {
        let CopyOptions { delimiter, quote, escape, .. } = *self.options;
        let null = self.options.null.as_bytes();
        let mut at = 0;
        loop {
            let start = record.bytes.len();
            let mut was_quoted = false;
            let mut in_quotes = false;
            while at < line.len() {
                let byte = line[at];
                if in_quotes {
                    if byte == escape
                        && matches!(line.get(at + 1), Some(&next) if next == quote || next == escape)
                    {
                        record.bytes.push(line[at + 1]);
                        at += 2;
                        continue;
                    }
                    if byte == quote {
                        in_quotes = false;
                    } else {
                        record.bytes.push(byte);
                    }
                } else if byte == delimiter {
                    break;
                } else if byte == quote {
                    in_quotes = true;
                    was_quoted = true;
                } else {
                    record.bytes.push(byte);
                }
                at += 1;
            }
            if in_quotes {
                return Err(bad("unterminated CSV quoted field"));
            }
            let field = record.ends.len();
            let forced = |flags: &[bool]| flags.get(field).copied().unwrap_or(false);
            let looks_null = &record.bytes[start..] == null;
            let is_null = looks_null
                && if was_quoted { forced(&self.force_null) } else { !forced(&self.force_not_null) };
            if is_null {
                record.bytes.truncate(start);
            }
            record.end_field(is_null);
            if at >= line.len() {
                return Ok(());
            }
            at += 1;
        }
    }
}

fn bad(message: &str) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

/// Appends what the escape at `at` stands for; answers where it ends.
fn unescape(line: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let Some(&byte) = line.get(at + 1) else {
        out.push(b'\\');
        return at + 1;
    };
    let (value, len) = match byte {
        b'b' => (8, 2),
        b'f' => (12, 2),
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'v' => (11, 2),
        b'0'..=b'7' => {
            let digits = line[at + 1..].iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7'));
            let digits: Vec<u8> = digits.copied().collect();
            let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            ((value & 0xff) as u8, 1 + digits.len())
        }
        b'x' => {
            let hex = |digit: &u8| char::from(*digit).to_digit(16);
            let digits: Vec<u32> = line[at + 2..].iter().take(2).map_while(hex).collect();
            match digits.len() {
                0 => (b'x', 2),
                len => (digits.iter().fold(0, |value, digit| value * 16 + digit) as u8, 2 + len),
            }
        }
        other => (other, 2),
    };
    out.push(value);
    at + len
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Vec<Vec<Option<String>>>;

    /// Reads `input` in pieces of every size up to 5: the pieces must not matter.
    fn read(options: &[(&str, &str)], input: &str) -> Result<Rows> {
        let options: Vec<_> = options.iter().map(|(n, v)| (n.to_string(), Some(v.to_string()))).collect();
        let options = Arc::new(CopyOptions::parse(&options).unwrap());
        let mut results = (1..=5).map(|size| -> Result<Rows> {
            let mut reader = Reader::new(options.clone(), &["a", "b"]);
            let (mut rows, mut record) = (Rows::new(), Record::default());
            let mut pieces = input.as_bytes().chunks(size).peekable();
            while let Some(piece) = pieces.next() {
                reader.feed(piece);
                while reader.next(&mut record, pieces.peek().is_none())? {
                    let field = |i| record.field(i).map(|f| String::from_utf8_lossy(f).into_owned());
                    rows.push((0..record.len()).map(field).collect());
                }
            }
            Ok(rows)
        });
        let first = results.next().unwrap();
        for other in results {
            match (&first, &other) {
                (Ok(a), Ok(b)) => assert_eq!(a, b),
                (Err(a), Err(b)) => assert_eq!(a.message(), b.message()),
                _ => panic!("pieces matter"),
            }
        }
        first
    }

    fn row(fields: &[Option<&str>]) -> Vec<Option<String>> {
        fields.iter().map(|field| field.map(str::to_string)).collect()
    }

    #[test]
    fn text_escapes_nulls_and_end_mark() {
        let input = "1\tx\\ty\\\\\n\\N\t\n\\101\\x42\ta\\\nb\r\n\\.\nignored";
        let expected =
            [row(&[Some("1"), Some("x\ty\\")]), row(&[None, Some("")]), row(&[Some("AB"), Some("a\nb")])];
        assert_eq!(read(&[], input).unwrap(), expected);
    }

    #[test]
    fn csv_quotes_nulls_and_newlines() {
        let input = "a,\"x,\"\"y\"\"\n\"\n,\"\"\nlast,";
        let expected =
            [row(&[Some("a"), Some("x,\"y\"\n")]), row(&[None, Some("")]), row(&[Some("last"), None])];
        assert_eq!(read(&[("format", "csv")], input).unwrap(), expected);
        let unterminated = read(&[("format", "csv")], "a,\"b").unwrap_err();
        assert_eq!(unterminated.state(), SqlState::BAD_COPY_FILE_FORMAT);
    }

    #[test]
    fn csv_force_options() {
        let options = [("format", "csv"), ("force_not_null", "a"), ("force_null", "b")];
        assert_eq!(read(&options, ",\"\"\n").unwrap(), [row(&[Some(""), None])]);
    }
}
