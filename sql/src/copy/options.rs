//! COPY's options, checked as ProcessCopyOptions does.

use crate::error::{Error, Result, SqlState};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyFormat {
    Text,
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    No,
    Yes,
    /// The first line must name the columns.
    Match,
}

#[derive(Clone, Debug)]
pub struct CopyOptions {
    pub format: CopyFormat,
    pub delimiter: u8,
    pub null: String,
    pub header: Header,
    pub quote: u8,
    pub escape: u8,
    /// Names of columns; `*` for all.
    pub force_quote: Vec<String>,
    pub force_not_null: Vec<String>,
    pub force_null: Vec<String>,
}

impl CopyOptions {
    /// From names in lower case with their values; lists are joined with commas.
    pub fn parse(options: &[(String, Option<String>)]) -> Result<CopyOptions> {
        let given = |name: &str| options.iter().find(|(option, _)| option == name);
        let value = |name: &str| given(name).and_then(|(_, value)| value.as_deref());
        let format = match value("format").map(str::to_ascii_lowercase).as_deref() {
            None if given("csv").is_some() => CopyFormat::Csv,
            None if given("binary").is_some() => return Err(Error::unsupported("COPY in binary format")),
            None | Some("text") => CopyFormat::Text,
            Some("csv") => CopyFormat::Csv,
            Some("binary") => return Err(Error::unsupported("COPY in binary format")),
            Some(other) => return Err(invalid(format!("COPY format \"{other}\" not recognized"))),
        };
        let is_csv = format == CopyFormat::Csv;
        for (name, _) in options {
            match name.as_str() {
                "format" | "csv" | "delimiter" | "null" | "header" | "freeze" => {}
                "encoding" => check_encoding(value("encoding").unwrap_or(""))?,
                "quote" | "escape" | "force_quote" | "force_not_null" | "force_null" if is_csv => {}
                "quote" | "escape" | "force_quote" | "force_not_null" | "force_null" => {
                    let option = name.replace('_', " ");
                    let message = format!("COPY {option} available only in CSV mode");
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                _ => {
                    let message = format!("option \"{name}\" not recognized");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        let byte = |name: &str, default: u8| match value(name) {
            None => Ok(default),
            Some(text) => match text.as_bytes() {
                [byte] => Ok(*byte),
                _ => Err(invalid(format!("COPY {name} must be a single one-byte character"))),
            },
        };
        let header = match given("header").map(|(_, value)| value.as_deref().unwrap_or("true")) {
            None => Header::No,
            Some(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "1" => Header::Yes,
                "false" | "off" | "0" => Header::No,
                "match" => Header::Match,
                _ => return Err(invalid("header requires a Boolean value or \"match\"".into())),
            },
        };
        let list = |name: &str| {
            value(name)
                .map_or_else(Vec::new, |text| text.split(',').map(|name| name.trim().to_string()).collect())
        };
        let quote = byte("quote", b'"')?;
        let parsed = CopyOptions {
            format,
            delimiter: byte("delimiter", if is_csv { b',' } else { b'\t' })?,
            null: value("null").unwrap_or(if is_csv { "" } else { "\\N" }).to_string(),
            header,
            quote,
            escape: byte("escape", quote)?,
            force_quote: list("force_quote"),
            force_not_null: list("force_not_null"),
            force_null: list("force_null"),
        };
        parsed.check()?;
        Ok(parsed)
    }

    fn check(&self) -> Result<()> {
        if matches!(self.delimiter, b'\n' | b'\r') {
            return Err(invalid("COPY delimiter cannot be newline or carriage return".into()));
        }
        if self.null.contains(['\n', '\r']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return".into()));
        }
        // These would be taken for an escape, a null or the end mark.
        const CONFUSING: &[u8] = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
        if self.format == CopyFormat::Text && CONFUSING.contains(&self.delimiter) {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter))));
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return Err(invalid("COPY delimiter must not appear in the NULL specification".into()));
        }
        if self.format == CopyFormat::Csv {
            if self.delimiter == self.quote {
                return Err(invalid("COPY delimiter and quote must be different".into()));
            }
            if self.null.as_bytes().contains(&self.quote) {
                return Err(invalid("CSV quote character must not appear in the NULL specification".into()));
            }
        }
        Ok(())
    }
}

fn check_encoding(name: &str) -> Result<()> {
    match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "utf8" | "unicode" | "sqlascii" => Ok(()),
        _ => Err(Error::unsupported(format!("COPY with encoding \"{name}\""))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}
