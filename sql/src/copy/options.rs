//! The options of a COPY statement, with PostgreSQL's defaults and checks (ProcessCopyOptions).

use crate::encoding::Encoding;
use crate::error::{Error, Result, SqlState};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    Text,
    Csv,
    Binary,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    None,
    Present,
    /// The first line must name the columns.
    Match,
}

/// Columns that an option applies to, by position among the copied ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Columns {
    All,
    Some(Vec<usize>),
}

impl Columns {
    pub fn contains(&self, column: usize) -> bool {
        match self {
            Columns::All => true,
            Columns::Some(columns) => columns.contains(&column),
        }
    }
}

#[derive(Clone, Debug)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: Vec<u8>,
    pub header: Header,
    pub quote: u8,
    pub escape: u8,
    pub force_quote: Columns,
    pub force_not_null: Columns,
    pub force_null: Columns,
    pub freeze: bool,
    /// None: the client's.
    pub encoding: Option<Encoding>,
}

fn syntax(message: impl Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

impl CopyOptions {
    pub fn new(format: CopyFormat) -> CopyOptions {
        let csv = format == CopyFormat::Csv;
        CopyOptions {
            format,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { Vec::new() } else { b"\\N".to_vec() },
            header: Header::None,
            quote: b'"',
            escape: b'"',
            force_quote: Columns::Some(Vec::new()),
            force_not_null: Columns::Some(Vec::new()),
            force_null: Columns::Some(Vec::new()),
            freeze: false,
            encoding: None,
        }
    }

    /// From a statement's options (names in lower case, lists joined with commas). `columns` are the copied columns' names,
    /// `from` tells COPY FROM.
    pub fn parse(given: &[(String, Option<String>)], from: bool, columns: &[String]) -> Result<CopyOptions> {
        for (index, (name, _)) in given.iter().enumerate() {
            if given[..index].iter().any(|earlier| earlier.0 == *name) {
                return Err(syntax("conflicting or redundant options"));
            }
        }
        let find =
            |name: &str| given.iter().find(|option| option.0 == name).map(|option| option.1.as_deref());
        let format = match find("format").flatten() {
            None | Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => CopyFormat::Binary,
            Some(other) => return Err(invalid(format!("COPY format \"{other}\" not recognized"))),
        };
        let mut options = CopyOptions::new(format);
        for (name, value) in given {
            options.apply(name, value.as_deref(), from, columns)?;
        }
        if find("escape").is_none() {
            options.escape = options.quote;
        }
        options.check(&|name| find(name).is_some(), from)?;
        Ok(options)
    }

    fn apply(&mut self, name: &str, value: Option<&str>, from: bool, columns: &[String]) -> Result<()> {
        let byte = |what: &str| match value.unwrap_or("").as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(unsupported(format!("COPY {what} must be a single one-byte character"))),
        };
        let list = || column_list(name, value, columns);
        match name {
            "format" => {}
            "delimiter" => self.delimiter = byte("delimiter")?,
            "null" => self.null = value.unwrap_or("").as_bytes().to_vec(),
            "header" => {
                self.header = match value {
                    Some("match") if from => Header::Match,
                    Some("match") => return Err(invalid("cannot use \"match\" with HEADER in COPY TO")),
                    value if boolean(name, value)? => Header::Present,
                    _ => Header::None,
                }
            }
            "quote" => self.quote = byte("quote")?,
            "escape" => self.escape = byte("escape")?,
            "force_quote" => self.force_quote = list()?,
            "force_not_null" => self.force_not_null = list()?,
            "force_null" => self.force_null = list()?,
            // Freezing is PostgreSQL's business; here it has nothing to do.
            "freeze" => self.freeze = boolean(name, value)?,
            "encoding" => {
                let found = Encoding::named(value.unwrap_or(""));
                self.encoding = Some(found.ok_or_else(|| {
                    invalid("argument to option \"encoding\" must be a valid encoding name")
                })?);
            }
            _ => return Err(syntax(format!("option \"{name}\" not recognized"))),
        }
        Ok(())
    }

    fn check(&self, given: &dyn Fn(&str) -> bool, from: bool) -> Result<()> {
        let csv = self.format == CopyFormat::Csv;
        if self.format == CopyFormat::Binary {
            for (name, word) in [("delimiter", "DELIMITER"), ("null", "NULL"), ("header", "HEADER")] {
                if given(name) {
                    let verb = if name == "header" { "use HEADER" } else { &format!("specify {word}") };
                    return Err(syntax(format!("cannot {verb} in BINARY mode")));
                }
            }
        }
        let line_end = |bytes: &[u8]| bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        if line_end(&[self.delimiter]) {
            return Err(invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if line_end(&self.null) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        if !csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter) {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter))));
        }
        for (name, what) in [("quote", "quote"), ("escape", "escape")] {
            if !csv && given(name) {
                return Err(unsupported(format!("COPY {what} available only in CSV mode")));
            }
        }
        if csv && self.delimiter == self.quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        for (name, words, wants_from) in [
            ("force_quote", "force quote", false),
            ("force_not_null", "force not null", true),
            ("force_null", "force null", true),
        ] {
            if given(name) && !csv {
                return Err(unsupported(format!("COPY {words} available only in CSV mode")));
            }
            if given(name) && from != wants_from {
                let side = if wants_from { "FROM" } else { "TO" };
                return Err(unsupported(format!("COPY {words} only available using COPY {side}")));
            }
        }
        if self.null.contains(&self.delimiter) && self.format != CopyFormat::Binary {
            return Err(unsupported("COPY delimiter must not appear in the NULL specification"));
        }
        if csv && self.null.contains(&self.quote) {
            return Err(unsupported("CSV quote character must not appear in the NULL specification"));
        }
        Ok(())
    }
}

fn boolean(name: &str, value: Option<&str>) -> Result<bool> {
    match value {
        None => Ok(true),
        Some(value) => crate::types::format::parse_bool(value)
            .map_err(|_| syntax(format!("{name} requires a Boolean value"))),
    }
}

fn column_list(name: &str, value: Option<&str>, columns: &[String]) -> Result<Columns> {
    let value = value.unwrap_or("");
    if value == "*" {
        return Ok(Columns::All);
    }
    let position = |column: &str| {
        columns.iter().position(|known| known == column).ok_or_else(|| {
            let message = format!("{} column \"{column}\" not referenced by COPY", name.to_uppercase());
            Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
        })
    };
    let list = value.split(',').map(str::trim).filter(|column| !column.is_empty());
    list.map(position).collect::<Result<Vec<usize>>>().map(Columns::Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_in_postgresqls_words() {
        let columns = ["a".to_string(), "b".to_string()];
        let parse = |given: &[(&str, Option<&str>)], from| {
            let given: Vec<(String, Option<String>)> =
                given.iter().map(|(name, value)| (name.to_string(), value.map(str::to_string))).collect();
            CopyOptions::parse(&given, from, &columns).map_err(|error| error.message().to_string())
        };
        let csv = parse(
            &[("format", Some("csv")), ("quote", Some("'")), ("header", None), ("force_null", Some("b"))],
            true,
        )
        .unwrap();
        assert_eq!((csv.quote, csv.escape, csv.header), (b'\'', b'\'', Header::Present));
        assert!(csv.force_null.contains(1) && !csv.force_null.contains(0));
        type Options<'a> = &'a [(&'a str, Option<&'a str>)];
        let cases: &[(Options<'_>, &str)] = &[
            (&[("format", Some("xml"))], "COPY format \"xml\" not recognized"),
            (&[("delimiter", Some("ab"))], "COPY delimiter must be a single one-byte character"),
            (&[("delimiter", Some("a"))], "COPY delimiter cannot be \"a\""),
            (&[("quote", Some("x"))], "COPY quote available only in CSV mode"),
            (&[("format", Some("binary")), ("null", Some("x"))], "cannot specify NULL in BINARY mode"),
            (
                &[("format", Some("csv")), ("delimiter", Some("\""))],
                "COPY delimiter and quote must be different",
            ),
            (&[("nosuch", None)], "option \"nosuch\" not recognized"),
            (&[("header", None), ("header", None)], "conflicting or redundant options"),
            (
                &[("format", Some("csv")), ("force_quote", Some("*"))],
                "COPY force quote only available using COPY TO",
            ),
        ];
        for (given, message) in cases {
            assert_eq!(parse(given, true).unwrap_err(), *message);
        }
    }
}
