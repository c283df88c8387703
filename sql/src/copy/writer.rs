//! Fields to bytes.

use super::{CopyFormat, CopyOptions};
use std::sync::Arc;

pub struct Writer {
    options: Arc<CopyOptions>,
    force_quote: Vec<bool>,
    field: usize,
}

impl Writer {
    pub fn new(options: Arc<CopyOptions>, columns: &[&str]) -> Writer {
        let forced = |column: &&str| options.force_quote.iter().any(|name| name == "*" || name == column);
        let force_quote = columns.iter().map(forced).collect();
        Writer { options, force_quote, field: 0 }
    }

    /// Appends the next field of a line; None: null.
    pub fn field(&mut self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        if self.field > 0 {
            out.push(self.options.delimiter);
        }
        match value {
            None => out.extend_from_slice(self.options.null.as_bytes()),
            Some(value) => match self.options.format {
                CopyFormat::Text => self.text(value, out),
                CopyFormat::Csv => self.csv(value, out),
            },
        }
        self.field += 1;
    }

    pub fn end_line(&mut self, out: &mut Vec<u8>) {
        out.push(b'\n');
        self.field = 0;
    }

    fn text(&self, value: &[u8], out: &mut Vec<u8>) {
        let delimiter = self.options.delimiter;
        let needs_escape = |byte: u8| byte < 0x20 || byte == b'\\' || byte == delimiter;
        let mut rest = value;
        while let Some(at) = rest.iter().position(|&byte| needs_escape(byte)) {
            out.extend_from_slice(&rest[..at]);
            let escaped = match rest[at] {
                8 => b'b',
                12 => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                11 => b'v',
                byte if byte == b'\\' || byte == delimiter => byte,
                byte => {
                    out.push(byte);
                    rest = &rest[at + 1..];
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', escaped]);
            rest = &rest[at + 1..];
        }
        out.extend_from_slice(rest);
    }

    fn csv(&self, value: &[u8], out: &mut Vec<u8>) {
        let CopyOptions { delimiter, quote, escape, .. } = *self.options;
        let special = |&byte: &u8| byte == delimiter || byte == quote || byte == b'\n' || byte == b'\r';
        let forced = self.force_quote.get(self.field).copied().unwrap_or(false);
        // What would be read as null, or as the end mark.
        let ambiguous =
            value == self.options.null.as_bytes() || (value == b"\\." && self.force_quote.len() == 1);
        if !forced && !ambiguous && !value.iter().any(special) {
            return out.extend_from_slice(value);
        }
        out.push(quote);
        for &byte in value {
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
    use super::super::{Reader, Record};
    use super::*;

    fn written(options: &[(&str, &str)], fields: &[Option<&str>]) -> String {
        let options: Vec<_> = options.iter().map(|(n, v)| (n.to_string(), Some(v.to_string()))).collect();
        let options = Arc::new(CopyOptions::parse(&options).unwrap());
        let names = vec!["a"; fields.len()];
        let mut writer = Writer::new(options.clone(), &names);
        let mut out = Vec::new();
        fields.iter().for_each(|field| writer.field(field.map(str::as_bytes), &mut out));
        writer.end_line(&mut out);
        // What is written reads back as it was.
        let mut reader = Reader::new(options, &names);
        let mut record = Record::default();
        reader.feed(&out);
        assert!(reader.next(&mut record, true).unwrap());
        let read: Vec<_> = (0..record.len()).map(|i| record.field(i)).collect();
        assert_eq!(read, fields.iter().map(|field| field.map(str::as_bytes)).collect::<Vec<_>>());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_survive_text_and_csv() {
        let fields = [Some("a\tb\\c\nd"), None, Some(""), Some("\\N"), Some("q\"r,s")];
        assert_eq!(written(&[], &fields), "a\\tb\\\\c\\nd\t\\N\t\t\\\\N\tq\"r,s\n");
        assert_eq!(written(&[("format", "csv")], &fields), "\"a\tb\\c\nd\",,\"\",\\N,\"q\"\"r,s\"\n");
    }
}
