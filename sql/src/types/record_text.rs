//! Rows as text: `(1,"a b",)`.

use super::format::{format_datum, parse_datum};
use super::{Datum, Record, RenderSettings, Type};
use crate::error::{Error, Result, SqlState};

/// `(1,"a b",)`: an empty field is a null, an empty string is quoted.
pub fn write_record(out: &mut Vec<u8>, fields: &[(Type, Datum)], render: &RenderSettings) {
    out.push(b'(');
    for (index, (data_type, field)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if field.is_null() {
            continue;
        }
        let text = format_datum(field, *data_type, render);
        let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || super::numeric::is_space(c);
        if !text.is_empty() && !text.contains(special) {
            out.extend_from_slice(text.as_bytes());
            continue;
        }
        out.push(b'"');
        for byte in text.bytes() {
            if matches!(byte, b'"' | b'\\') {
                out.push(byte);
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    out.push(b')');
}

/// Reads a row with the template's columns (record_in).
pub fn parse_record(text: &str, template: &Record, render: &RenderSettings) -> Result<Datum> {
    let malformed = |detail: &str| {
        let message = format!("malformed record literal: \"{text}\"");
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let trimmed = text.trim_matches(super::numeric::is_space);
    let Some(mut rest) = trimmed.strip_prefix('(') else {
        return Err(malformed("Missing left parenthesis."));
    };
    let mut fields = Vec::with_capacity(template.len());
    for (index, (data_type, _)) in template.iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(',').ok_or_else(|| malformed("Too few columns."))?;
        }
        let (field, after) = take_field(rest).ok_or_else(|| malformed("Unexpected end of input."))?;
        rest = after;
        let value = match field {
            None => Datum::Null,
            Some(field) => parse_datum(&field, *data_type, -1, render)?,
        };
        fields.push((*data_type, value));
    }
    match rest.strip_prefix(')') {
        Some("") => Ok(Datum::record(fields)),
        Some(_) => Err(malformed("Junk after right parenthesis.")),
        None => Err(malformed("Too many columns.")),
    }
}

/// A field up to the comma or parenthesis that ends it, without quotes and escapes (None: null), and what follows. None: the text
/// ends before the field does.
fn take_field(text: &str) -> Option<(Option<String>, &str)> {
    let mut field = String::new();
    let (mut quoted, mut within) = (false, false);
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            ',' | ')' if !within => {
                let field = (!field.is_empty() || quoted).then_some(field);
                return Some((field, &text[at..]));
            }
            '\\' => field.push(characters.next()?.1),
            '"' if within && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                field.push('"');
            }
            '"' => {
                within = !within;
                quoted = true;
            }
            c => field.push(c),
        }
    }
    None
}
