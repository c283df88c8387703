//! COPY FROM: chunks of bytes, cut anywhere, to rows of fields.
//!
//! Two steps. The *scanner* finds where a line ends: it looks only at newlines, carriage returns, backslashes (text) and
//! quotes (csv), keeps its state across chunks, and hands on lines straight from the chunk; only a line cut by the chunk's
//! end is copied. The *splitter* cuts a line into fields. A line without an escape or a quote is cut where it lies; in others
//! escapes are undone into one buffer that all rows share. There is no allocation per row or field, and the common line is
//! never copied. Its encoding is checked as a whole: a delimiter is an ASCII byte, so the fields of valid UTF-8 are valid.
//!
//! Lines end as the first one does (`\n`, `\r\n` or `\r`); another ending unescaped in the data is an error, since it
//! would hide a damaged file. `\.` on a line of its own ends the data; what follows it is ignored.

use super::{CopyFormat, CopyOptions, Header};
use crate::error::{Error, Result, SqlState};
use crate::types::binary::read_text;

/// The longest line (PostgreSQL's limit on a buffer).
const LINE_BYTES_MAX: usize = 0x3fff_ffff;
/// How much of a line an error shows.
const CONTEXT_BYTES_MAX: usize = 100;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineEnd {
    Unknown,
    Lf,
    CrLf,
    Cr,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BinaryState {
    Signature,
    /// Bytes of the header extension to skip.
    Extension(usize),
    Tuples,
}

/// Where a field's bytes are; None: null.
type Span = Option<(usize, usize)>;

/// One row's fields, valid during the callback.
pub struct Row<'a> {
    bytes: &'a [u8],
    /// `bytes` as text, if all of it is known to be text.
    text: Option<&'a str>,
    spans: &'a [Span],
    /// From 1.
    pub line: u64,
    names: &'a [String],
    table: &'a str,
}

impl Row<'_> {
    pub fn len(&self) -> usize {
        self.spans.len()
    }
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
    /// The field's bytes, unescaped; None: null.
    pub fn get(&self, column: usize) -> Option<&[u8]> {
        self.spans[column].map(|(start, end)| &self.bytes[start..end])
    }
    /// As text: 22021 if it isn't UTF-8.
    pub fn text(&self, column: usize) -> Result<Option<&str>> {
        if let (Some(text), Some((start, end))) = (self.text, self.spans[column]) {
            return Ok(text.get(start..end));
        }
        let read = |bytes| read_text(bytes).map_err(|error| self.column_context(error, column));
        self.get(column).map(read).transpose()
    }
    /// Says where an error in one column's value came from: `COPY t, line 3, column b: "x"`.
    pub fn column_context(&self, error: Error, column: usize) -> Error {
        let name = self.names.get(column).map_or("?", String::as_str);
        let value = match self.get(column) {
            None => "null input".to_string(),
            Some(bytes) => format!("\"{}\"", shortened(bytes)),
        };
        error.context(format!("COPY {}, line {}, column {name}: {value}", self.table, self.line))
    }
}

fn shortened(bytes: &[u8]) -> String {
    match bytes.len() > CONTEXT_BYTES_MAX {
        true => format!("{}...", String::from_utf8_lossy(&bytes[..CONTEXT_BYTES_MAX])),
        false => String::from_utf8_lossy(bytes).into_owned(),
    }
}

pub struct CopyReader {
    options: CopyOptions,
    table: String,
    names: Vec<String>,
    /// The beginning of a line that the last chunk didn't finish.
    carry: Vec<u8>,
    /// Bytes of `carry` that the scanner has seen.
    scanned: usize,
    in_quotes: bool,
    line_end: LineEnd,
    lines: u64,
    header_due: bool,
    ended: bool,
    binary: BinaryState,
    fields: Vec<u8>,
    spans: Vec<Span>,
}

fn bad_format(message: impl Into<String>) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}

impl CopyReader {
    /// `table` and `names` (of the copied columns, in order) are for errors, and for HEADER MATCH.
    pub fn new(options: CopyOptions, table: &str, names: &[String]) -> CopyReader {
        let header_due = options.header != Header::None;
        CopyReader {
            options,
            table: table.to_string(),
            names: names.to_vec(),
            carry: Vec::new(),
            scanned: 0,
            in_quotes: false,
            line_end: LineEnd::Unknown,
            lines: 0,
            header_due,
            ended: false,
            binary: BinaryState::Signature,
            fields: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Lines (or tuples) read so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Where the reader is, as errors say it.
    pub fn place(&self) -> String {
        format!("COPY {}, line {}", self.table, self.lines + 1)
    }

    /// Takes the next chunk and calls `each` for every row completed by it.
    pub fn feed(&mut self, data: &[u8], each: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        if self.carry.is_empty() {
            let used = self.consume(data, false, each)?;
            if !self.ended {
                self.carry.extend_from_slice(&data[used..]);
            }
            return Ok(());
        }
        let mut carry = std::mem::take(&mut self.carry);
        carry.extend_from_slice(data);
        let used = self.consume(&carry, false, each)?;
        carry.drain(..used);
        if carry.len() > LINE_BYTES_MAX {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
                .detail(format!("A line of COPY data exceeds {LINE_BYTES_MAX} bytes.")));
        }
        self.carry = carry;
        Ok(())
    }

    /// The data's end: a last line may lack its line end.
    pub fn finish(&mut self, each: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        let carry = std::mem::take(&mut self.carry);
        if self.options.format == CopyFormat::Binary {
            self.consume(&carry, true, each)?;
            // A file may end after any tuple, with or without the trailer.
            return match self.ended || self.binary == BinaryState::Tuples && carry.is_empty() {
                true => Ok(()),
                false if self.binary == BinaryState::Signature => {
                    Err(bad_format("COPY file signature not recognized"))
                }
                false => Err(bad_format("unexpected EOF in COPY data")),
            };
        }
        let used = self.consume(&carry, true, each)?;
        if self.ended || used == carry.len() {
            return Ok(());
        }
        if self.in_quotes {
            let error = bad_format("unterminated CSV quoted field");
            return Err(self.line_context(error, self.lines + 1, &carry[used..]));
        }
        self.line(&carry[used..], each)
    }

    fn consume(
        &mut self,
        data: &[u8],
        last: bool,
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<usize> {
        if self.options.format == CopyFormat::Binary {
            return self.consume_binary(data, each);
        }
        let mut start = 0;
        // What was scanned with the previous chunk needn't be again.
        let mut position = std::mem::take(&mut self.scanned);
        while let Some((end, next)) = self.find_line_end(data, start, &mut position, last)? {
            self.line(&data[start..end], each)?;
            if self.ended {
                return Ok(data.len());
            }
            (start, position) = (next, next);
        }
        self.scanned = position - start;
        Ok(start)
    }

    /// The end of the line that begins at `start` and the beginning of the next, scanning on from `position`. None: it isn't all there.
    fn find_line_end(
        &mut self,
        data: &[u8],
        start: usize,
        position: &mut usize,
        last: bool,
    ) -> Result<Option<(usize, usize)>> {
        let csv = self.options.format == CopyFormat::Csv;
        let (quote, escape) = (self.options.quote, self.options.escape);
        loop {
            let rest = &data[*position..];
            let found = match csv {
                // Outside of quotes a backslash means nothing in csv.
                true if self.in_quotes => memchr::memchr2(quote, escape, rest),
                true => memchr::memchr3(b'\n', b'\r', quote, rest),
                false => memchr::memchr3(b'\n', b'\r', b'\\', rest),
            };
            let Some(found) = found else {
                *position = data.len();
                return Ok(None);
            };
            let at = *position + found;
            let byte = data[at];
            if csv && (byte == quote || self.in_quotes) {
                // Within quotes, an escape takes the next byte with it if that is a quote or an escape.
                if self.in_quotes && byte == escape {
                    match data.get(at + 1) {
                        None if !last => {
                            *position = at;
                            return Ok(None);
                        }
                        Some(next) if *next == quote || *next == escape => {
                            *position = at + 2;
                            continue;
                        }
                        _ => {}
                    }
                }
                if byte == quote {
                    self.in_quotes = !self.in_quotes;
                }
                *position = at + 1;
                continue;
            }
            if byte == b'\\' {
                if at + 1 >= data.len() {
                    *position = if last { data.len() } else { at };
                    return Ok(None);
                }
                // Whatever it is, the next byte is data, a newline too; `\.` is seen to with the line.
                *position =
                    at + if data[at + 1] == b'\r' && data.get(at + 2) == Some(&b'\n') { 3 } else { 2 };
                continue;
            }
            if byte == b'\r' && self.line_end == LineEnd::Unknown && at + 1 >= data.len() && !last {
                *position = at;
                return Ok(None);
            }
            if self.line_end == LineEnd::Unknown {
                self.line_end = match (byte, data.get(at + 1)) {
                    (b'\n', _) => LineEnd::Lf,
                    (_, Some(b'\n')) => LineEnd::CrLf,
                    _ => LineEnd::Cr,
                };
            }
            match (self.line_end, byte) {
                (LineEnd::Lf, b'\n') | (LineEnd::Cr, b'\r') => return Ok(Some((at, at + 1))),
                (LineEnd::CrLf, b'\r') => match data.get(at + 1) {
                    Some(b'\n') => return Ok(Some((at, at + 2))),
                    None if !last => {
                        *position = at;
                        return Ok(None);
                    }
                    _ => return Err(self.stray(byte, &data[start..at])),
                },
                _ => return Err(self.stray(byte, &data[start..at])),
            }
        }
    }

    /// A line end of another kind than the first line's.
    fn stray(&self, byte: u8, line: &[u8]) -> Error {
        let csv = self.options.format == CopyFormat::Csv;
        let (what, letter) = if byte == b'\n' { ("newline", 'n') } else { ("carriage return", 'r') };
        let error = match csv {
            true => bad_format(format!("unquoted {what} found in data"))
                .hint(format!("Use quoted CSV field to represent {what}.")),
            false => bad_format(format!("literal {what} found in data"))
                .hint(format!("Use \"\\{letter}\" to represent {what}.")),
        };
        self.line_context(error, self.lines + 1, line)
    }

    fn line_context(&self, error: Error, line: u64, text: &[u8]) -> Error {
        match error.fields().context {
            Some(_) => error,
            None => error.context(format!("COPY {}, line {line}: \"{}\"", self.table, shortened(text))),
        }
    }

    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        if line == b"\\." {
            self.ended = true;
            return Ok(());
        }
        self.lines += 1;
        let result = self.split_and_call(line, each);
        result.map_err(|error| self.line_context(error, self.lines, line))
    }

    fn split_and_call(&mut self, line: &[u8], each: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        self.fields.clear();
        self.spans.clear();
        let special = match self.options.format {
            CopyFormat::Csv => self.options.quote,
            _ => b'\\',
        };
        // The null string may hold a backslash (`\N`), and such a line goes the long way.
        let plain = memchr::memchr(special, line).is_none();
        match self.options.format {
            _ if plain => self.split_plain(line),
            CopyFormat::Csv => self.split_csv(line)?,
            _ => self.split_text(line)?,
        }
        let bytes = if plain { line } else { &self.fields[..] };
        if std::mem::take(&mut self.header_due) {
            return self.check_header(bytes);
        }
        // A table without columns is written as empty lines.
        if self.names.is_empty() && line.is_empty() {
            self.spans.clear();
        }
        if self.spans.len() > self.names.len() {
            return Err(bad_format("extra data after last expected column"));
        }
        if let Some(missing) = self.names.get(self.spans.len()) {
            return Err(bad_format(format!("missing data for column \"{missing}\"")));
        }
        self.call(bytes, plain.then(|| read_text(line).ok()).flatten(), each)
    }

    fn call(
        &self,
        bytes: &[u8],
        text: Option<&str>,
        each: &mut dyn FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let (names, table) = (&self.names, &self.table);
        each(&Row { bytes, text, spans: &self.spans, line: self.lines, names, table })
    }

    fn check_header(&self, bytes: &[u8]) -> Result<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        if self.spans.len() != self.names.len() {
            let (found, wanted) = (self.spans.len(), self.names.len());
            return Err(bad_format(format!(
                "wrong number of fields in header line: got {found}, expected {wanted}"
            )));
        }
        for (index, (span, name)) in self.spans.iter().zip(&self.names).enumerate() {
            let found = span.map(|(start, end)| String::from_utf8_lossy(&bytes[start..end]).into_owned());
            if found.as_ref() != Some(name) {
                let got = found.map_or("null value".to_string(), |found| format!("\"{found}\""));
                let number = index + 1;
                let message = format!(
                    "column name mismatch in header line field {number}: got {got}, expected \"{name}\""
                );
                return Err(bad_format(message));
            }
        }
        Ok(())
    }

    /// A line that is its fields and delimiters, nothing else.
    fn split_plain(&mut self, line: &[u8]) {
        let CopyReader { options, spans, .. } = self;
        let mut push = |start: usize, end: usize| {
            // What forces a quoted null does not matter to a field that is not quoted.
            let null = line[start..end] == options.null && !options.force_not_null.contains(spans.len());
            spans.push((!null).then_some((start, end)));
        };
        let mut start = 0;
        for end in memchr::memchr_iter(options.delimiter, line) {
            push(start, end);
            start = end + 1;
        }
        push(start, line.len());
    }

    fn push_field(&mut self, start: usize, raw: &[u8]) {
        let null = raw == self.options.null;
        self.spans.push((!null).then_some((start, self.fields.len())));
    }

    fn split_text(&mut self, line: &[u8]) -> Result<()> {
        let delimiter = self.options.delimiter;
        let mut rest = line;
        loop {
            let start = self.fields.len();
            let raw = rest;
            let mut raw_length = 0;
            loop {
                let stop = memchr::memchr2(delimiter, b'\\', rest).unwrap_or(rest.len());
                self.fields.extend_from_slice(&rest[..stop]);
                raw_length += stop;
                if rest.get(stop) != Some(&b'\\') {
                    rest = &rest[stop..];
                    break;
                }
                let used = 1 + unescape(&rest[stop + 1..], &mut self.fields);
                raw_length += used;
                rest = &rest[stop + used..];
            }
            let raw = &raw[..raw_length];
            if raw == b"\\." {
                return Err(bad_format("end-of-copy marker corrupt"));
            }
            self.push_field(start, raw);
            match rest.split_first() {
                Some((_, tail)) => rest = tail,
                None => return Ok(()),
            }
        }
    }

    fn split_csv(&mut self, line: &[u8]) -> Result<()> {
        let CopyOptions { delimiter, quote, escape, .. } = self.options;
        let mut rest = line;
        loop {
            let start = self.fields.len();
            let mut quoted = false;
            let mut inside = false;
            loop {
                let stop = match inside {
                    true => memchr::memchr2(quote, escape, rest),
                    false => memchr::memchr2(delimiter, quote, rest),
                };
                let Some(stop) = stop else {
                    if inside {
                        return Err(bad_format("unterminated CSV quoted field"));
                    }
                    self.fields.extend_from_slice(rest);
                    rest = &[];
                    break;
                };
                self.fields.extend_from_slice(&rest[..stop]);
                let byte = rest[stop];
                let next = rest.get(stop + 1);
                rest = &rest[stop..];
                if inside && byte == escape && next.is_some_and(|next| *next == quote || *next == escape) {
                    self.fields.extend(next);
                    rest = &rest[2..];
                } else if byte == quote {
                    inside = !inside;
                    quoted = true;
                    rest = &rest[1..];
                } else if inside {
                    // An escape that escapes nothing.
                    self.fields.push(byte);
                    rest = &rest[1..];
                } else {
                    break;
                }
            }
            let column = self.spans.len();
            let is_null_text = self.fields[start..] == *self.options.null;
            let null = is_null_text
                && (!quoted || self.options.force_null.contains(column))
                && !self.options.force_not_null.contains(column);
            self.spans.push((!null).then_some((start, self.fields.len())));
            match rest.split_first() {
                Some((_, tail)) => rest = tail,
                None => return Ok(()),
            }
        }
    }

    /// Consumes whole tuples.
    fn consume_binary(&mut self, data: &[u8], each: &mut dyn FnMut(&Row<'_>) -> Result<()>) -> Result<usize> {
        let mut used = 0;
        loop {
            let rest = &data[used..];
            match self.binary {
                BinaryState::Signature => {
                    let common = rest.len().min(SIGNATURE.len());
                    if rest[..common] != SIGNATURE[..common] {
                        return Err(bad_format("COPY file signature not recognized"));
                    }
                    let Some(header) = rest.get(SIGNATURE.len()..SIGNATURE.len() + 8) else {
                        return Ok(used);
                    };
                    let word = |at: usize| {
                        i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                    };
                    // The lower half of the flags may be ignored; of the upper, none is known.
                    if word(0) as u32 >> 16 != 0 {
                        return Err(bad_format("unrecognized critical flags in COPY file header"));
                    }
                    let extension = usize::try_from(word(4))
                        .map_err(|_| bad_format("invalid COPY file header (missing length)"))?;
                    self.binary = BinaryState::Extension(extension);
                    used += SIGNATURE.len() + 8;
                }
                BinaryState::Extension(length) => {
                    let skipped = length.min(rest.len());
                    used += skipped;
                    self.binary = match length - skipped {
                        0 => BinaryState::Tuples,
                        left => BinaryState::Extension(left),
                    };
                    if skipped < length {
                        return Ok(used);
                    }
                }
                BinaryState::Tuples => match self.binary_tuple(rest)? {
                    None => return Ok(used),
                    Some(length) => {
                        used += length;
                        if self.ended {
                            return Ok(data.len());
                        }
                        let result = self.call(&self.fields, None, each);
                        result.map_err(|error| match error.fields().context {
                            Some(_) => error,
                            None => error.context(format!("COPY {}, line {}", self.table, self.lines)),
                        })?;
                    }
                },
            }
        }
    }

    /// One tuple's length, its fields taken; None: it isn't all there.
    fn binary_tuple(&mut self, data: &[u8]) -> Result<Option<usize>> {
        let Some(count) = data.get(..2) else { return Ok(None) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count == -1 {
            self.ended = true;
            return Ok(Some(2));
        }
        let fail = |reader: &CopyReader, message: String| {
            Err(bad_format(message).context(format!("COPY {}, line {}", reader.table, reader.lines + 1)))
        };
        if count as i64 != self.names.len() as i64 {
            let wanted = self.names.len();
            return fail(self, format!("row field count is {count}, expected {wanted}"));
        }
        self.fields.clear();
        self.spans.clear();
        let mut at = 2;
        for _ in 0..count {
            let Some(length) = data.get(at..at + 4) else { return Ok(None) };
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            at += 4;
            if length == -1 {
                self.spans.push(None);
                continue;
            }
            let Ok(length) = usize::try_from(length) else { return fail(self, "invalid field size".into()) };
            if length > LINE_BYTES_MAX {
                return fail(self, "invalid field size".into());
            }
            let Some(field) = data.get(at..at + length) else { return Ok(None) };
            let start = self.fields.len();
            self.fields.extend_from_slice(field);
            self.spans.push(Some((start, self.fields.len())));
            at += length;
        }
        self.lines += 1;
        Ok(Some(at))
    }
}

/// Appends what a backslash and the bytes after it mean; answers how many of those it took.
fn unescape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(first) = rest.first() else {
        out.push(b'\\');
        return 0;
    };
    let digits = |radix: u32, from: usize, most: usize| {
        let digits = rest[from..].iter().take(most).map_while(|byte| char::from(*byte).to_digit(radix));
        digits.fold((0u32, 0), |(value, count), digit| (value * radix + digit, count + 1))
    };
    match first {
        b'0'..=b'7' => {
            let (value, count) = digits(8, 0, 3);
            out.push(value as u8);
            return count;
        }
        b'x' => {
            let (value, count) = digits(16, 1, 2);
            if count > 0 {
                out.push(value as u8);
                return 1 + count;
            }
            out.push(b'x');
        }
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        other => out.push(*other),
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = Vec<Vec<Option<String>>>;

    /// Reads `data` in chunks of every size; all must agree.
    fn read(options: &CopyOptions, columns: usize, data: &[u8]) -> Result<Rows, String> {
        let names: Vec<String> =
            ["a", "b", "c", "d"][..columns].iter().map(|name| name.to_string()).collect();
        let mut results: Vec<Result<Rows, String>> = Vec::new();
        for size in 1..=data.len().max(1) {
            let mut reader = CopyReader::new(options.clone(), "t", &names);
            let mut rows = Rows::new();
            let mut each = |row: &Row<'_>| {
                let fields = (0..row.len()).map(|i| row.text(i).map(|text| text.map(str::to_string)));
                rows.push(fields.collect::<Result<Vec<_>>>()?);
                Ok(())
            };
            let fed = data.chunks(size).try_for_each(|chunk| reader.feed(chunk, &mut each));
            let result = fed.and_then(|()| reader.finish(&mut each));
            results.push(result.map(|()| rows).map_err(|error| {
                format!("{} [{}]", error.message(), error.fields().context.clone().unwrap_or_default())
            }));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "chunk sizes disagree: {results:?}");
        results.pop().unwrap()
    }

    fn rows(expected: &[&[Option<&str>]]) -> Rows {
        expected.iter().map(|row| row.iter().map(|field| field.map(str::to_string)).collect()).collect()
    }

    #[test]
    fn text_format() {
        let options = CopyOptions::new(CopyFormat::Text);
        let data = b"1\t\\N\ta\\tb\\\\\n\\x41\\102\\q\t\tx\\\ny\n\\.\nignored";
        let expected = rows(&[&[Some("1"), None, Some("a\tb\\")], &[Some("ABq"), Some(""), Some("x\ny")]]);
        assert_eq!(read(&options, 3, data), Ok(expected));
        assert_eq!(
            read(&options, 2, b"1\t2\r\n3\t4"),
            Ok(rows(&[&[Some("1"), Some("2")], &[Some("3"), Some("4")]]))
        );
        assert_eq!(read(&options, 1, b""), Ok(vec![]));
        assert_eq!(
            read(&options, 2, b"1\n"),
            Err("missing data for column \"b\" [COPY t, line 1: \"1\"]".into())
        );
        assert_eq!(
            read(&options, 1, b"1\n2\t3\n"),
            Err("extra data after last expected column [COPY t, line 2: \"2\t3\"]".into())
        );
        assert_eq!(
            read(&options, 1, b"1\n2\r\n"),
            Err("literal carriage return found in data [COPY t, line 2: \"2\"]".into())
        );
        assert!(read(&options, 1, b"\xff\n").unwrap_err().contains("line 1, column a"));
    }

    #[test]
    fn csv_format() {
        let mut options = CopyOptions::new(CopyFormat::Csv);
        options.header = Header::Present;
        let data = b"h1,h2,h3\n1,,\"\"\n\"a,\"\"b\"\"\nc\",x\"y\"z,\\.\n\\.\n";
        let expected = rows(&[&[Some("1"), None, Some("")], &[Some("a,\"b\"\nc"), Some("xyz"), Some("\\.")]]);
        assert_eq!(read(&options, 3, data), Ok(expected));
        assert_eq!(
            read(&options, 1, b"h\n\"x\n"),
            Err("unterminated CSV quoted field [COPY t, line 2: \"\"x\n\"]".into())
        );
        options.header = Header::Match;
        assert!(
            read(&options, 1, b"z\n")
                .unwrap_err()
                .starts_with("column name mismatch in header line field 1: got \"z\", expected \"a\"")
        );
        options.header = Header::None;
        options.escape = b'\\';
        assert_eq!(read(&options, 1, b"\"a\\\"b\\\\c\\d\"\n"), Ok(rows(&[&[Some("a\"b\\c\\d")]])));
        options.force_null = super::super::Columns::All;
        assert_eq!(read(&options, 1, b"\"\"\n"), Ok(rows(&[&[None]])));
    }

    #[test]
    fn binary_format() {
        let options = CopyOptions::new(CopyFormat::Binary);
        let mut data = SIGNATURE.to_vec();
        data.extend([0, 0, 0, 0, 0, 0, 0, 2, 9, 9]);
        data.extend([0, 2, 0, 0, 0, 1, b'x', 0xff, 0xff, 0xff, 0xff]);
        data.extend([0xff, 0xff]);
        assert_eq!(read(&options, 2, &data), Ok(rows(&[&[Some("x"), None]])));
        assert_eq!(read(&options, 2, b"nonsense"), Err("COPY file signature not recognized []".into()));
        assert!(read(&options, 3, &data).unwrap_err().starts_with("row field count is 2, expected 3"));
        assert!(read(&options, 2, &data[..24]).unwrap_err().starts_with("unexpected EOF"));
    }
}
