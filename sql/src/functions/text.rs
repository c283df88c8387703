//! String functions: of text by characters, of bytea by bytes; quoting, encoding, format().

use super::arguments::scalar;
use super::cast::split_identifier;
use super::kernel::compare_text;
use super::math::out_of_range;
use super::{EvalContext, Registry};
use crate::encoding::Encoding;
use crate::error::{Error, Result, SqlState};
use crate::types::format::{parse_bytea_escape, parse_hex, write_hex};
use crate::types::{ArrayValue, Datum, Type, format_datum};
use sha2::Digest;
use std::borrow::Cow;

/// The largest value a query can make (MaxAllocSize).
const VALUE_BYTES_MAX: usize = 0x3fff_ffff;

fn too_large() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// One character's other case, where it is one character: PostgreSQL maps characters, not strings.
fn one(mut mapped: impl Iterator<Item = char>, c: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

pub fn upper(text: &str) -> String {
    text.chars().map(|c| one(c.to_uppercase(), c)).collect()
}

pub fn lower(text: &str) -> String {
    text.chars().map(|c| one(c.to_lowercase(), c)).collect()
}

fn initcap(text: &str) -> String {
    let mut in_word = false;
    let map = |c: char| {
        let mapped = if in_word { one(c.to_lowercase(), c) } else { one(c.to_uppercase(), c) };
        in_word = c.is_alphanumeric();
        mapped
    };
    text.chars().map(map).collect()
}

fn count(text: &str) -> i32 {
    (if text.is_ascii() { text.len() } else { text.chars().count() }) as i32
}

/// The byte at which character `index` begins, or the end.
fn byte_of(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

/// The range of characters (from 0) that SQL's substring(start, length) means.
fn substring_range(start: i32, length: Option<i32>) -> Result<(usize, usize)> {
    let end = match length {
        Some(length) if length < 0 => {
            return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
        }
        Some(length) => i64::from(start) + i64::from(length),
        None => i64::MAX,
    };
    let first = i64::from(start).max(1);
    Ok(((first - 1) as usize, (end.max(first) - 1) as usize))
}

fn substring(text: &str, start: i32, length: Option<i32>) -> Result<&str> {
    let (from, to) = substring_range(start, length)?;
    let begin = byte_of(text, from);
    let rest = &text[begin..];
    Ok(&rest[..byte_of(rest, to - from)])
}

fn substring_bytes(bytes: &[u8], start: i32, length: Option<i32>) -> Result<&[u8]> {
    let (from, to) = substring_range(start, length)?;
    Ok(&bytes[from.min(bytes.len())..to.min(bytes.len())])
}

fn left(text: &str, n: i32) -> &str {
    let keep = if n >= 0 { n } else { (count(text) + n).max(0) };
    &text[..byte_of(text, keep as usize)]
}

fn right(text: &str, n: i32) -> &str {
    let length = count(text);
    let skip = if n >= 0 { (i64::from(length) - i64::from(n)).max(0) } else { -i64::from(n) };
    &text[byte_of(text, skip as usize)..]
}

fn padding(text: &str, length: i32, fill: &str) -> Result<String> {
    let missing = (length.max(0) - count(text)).max(0) as usize;
    if missing.saturating_mul(4) > VALUE_BYTES_MAX {
        return Err(too_large());
    }
    Ok(if fill.is_empty() { String::new() } else { fill.chars().cycle().take(missing).collect() })
}

fn pad_left(text: &str, length: i32, fill: &str) -> Result<String> {
    Ok(padding(text, length, fill)? + left(text, length.max(0)))
}

fn pad_right(text: &str, length: i32, fill: &str) -> Result<String> {
    Ok(left(text, length.max(0)).to_string() + &padding(text, length, fill)?)
}

fn repeat(text: &str, times: i32) -> Result<String> {
    let times = times.max(0) as usize;
    match text.len().checked_mul(times) {
        Some(length) if length <= VALUE_BYTES_MAX => Ok(text.repeat(times)),
        _ => Err(too_large()),
    }
}

fn replace(text: &str, from: &str, to: &str) -> Result<String> {
    if from.is_empty() {
        return Ok(text.to_string());
    }
    let grown = text.matches(from).count().saturating_mul(to.len()).saturating_add(text.len());
    if grown > VALUE_BYTES_MAX { Err(too_large()) } else { Ok(text.replace(from, to)) }
}

/// Characters of `from` become those of `to` at the same place; those without one vanish.
pub fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    let map = |c: char| match from.chars().position(|other| other == c) {
        Some(index) => to.get(index).copied(),
        None => Some(c),
    };
    text.chars().filter_map(map).collect()
}

/// The character position (from 1) of the first occurrence, or 0.
pub fn position(text: &str, part: &str) -> i32 {
    text.find(part).map_or(0, |byte| count(&text[..byte]) + 1)
}

fn position_bytes(bytes: &[u8], part: &[u8]) -> i32 {
    if part.is_empty() {
        return 1;
    }
    bytes.windows(part.len()).position(|window| window == part).map_or(0, |index| index as i32 + 1)
}

fn split_part(text: &str, delimiter: &str, field: i32) -> Result<String> {
    if field == 0 {
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "field position must not be zero"));
    }
    if delimiter.is_empty() {
        return Ok(if field == 1 || field == -1 { text.to_string() } else { String::new() });
    }
    let part = match field > 0 {
        true => text.split(delimiter).nth(field as usize - 1),
        false => text.split(delimiter).collect::<Vec<_>>().into_iter().nth_back((-(field + 1)) as usize),
    };
    Ok(part.unwrap_or_default().to_string())
}

fn overlay(text: &str, new: &str, start: i32, length: i32) -> Result<String> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let after = start.checked_add(length).ok_or_else(|| out_of_range("integer"))?;
    Ok(substring(text, 1, Some(start - 1))?.to_string() + new + substring(text, after, None)?)
}

fn overlay_bytes(bytes: &[u8], new: &[u8], start: i32, length: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let after = start.checked_add(length).ok_or_else(|| out_of_range("integer"))?;
    Ok([substring_bytes(bytes, 1, Some(start - 1))?, new, substring_bytes(bytes, after, None)?].concat())
}

fn trim_start<'a>(text: &'a str, set: &str) -> &'a str {
    text.trim_start_matches(|c| set.contains(c))
}

fn trim_end<'a>(text: &'a str, set: &str) -> &'a str {
    text.trim_end_matches(|c| set.contains(c))
}

fn trim_bytes(bytes: &[u8], set: &[u8], front: bool, back: bool) -> Vec<u8> {
    let mut bytes = bytes;
    while let ([first, rest @ ..], true) = (bytes, front) {
        if !set.contains(first) {
            break;
        }
        bytes = rest;
    }
    while let ([rest @ .., last], true) = (bytes, back) {
        if !set.contains(last) {
            break;
        }
        bytes = rest;
    }
    bytes.to_vec()
}

fn chr(code: i32) -> Result<String> {
    let error = |message: String| Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    match code {
        0 => error("null character not permitted".into()),
        ..0 => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "character number must be positive")),
        _ => match char::from_u32(code as u32) {
            Some(c) => Ok(c.to_string()),
            None => error(format!("requested character too large for encoding: {code}")),
        },
    }
}

/// Whether an identifier must be quoted to be read back as it is: anything but lower case, or a reserved word.
pub fn quote_ident(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    match plain && RESERVED.binary_search(&name).is_err() {
        true => name.to_string(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// Key words that can't stand as names everywhere (all but the unreserved ones of PostgreSQL 15).
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!(" E'{}'", quoted.replace('\\', "\\\\")).trim_start().to_string(),
        false => format!("'{quoted}'"),
    }
}

fn encoding_error(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{name}\""))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8], format: &str) -> Result<String> {
    let mut out = Vec::new();
    match format.to_ascii_lowercase().as_str() {
        "hex" => write_hex(&mut out, bytes),
        "escape" => {
            for byte in bytes {
                match byte {
                    0 | 0x80.. => {
                        out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)])
                    }
                    b'\\' => out.extend_from_slice(b"\\\\"),
                    byte => out.push(*byte),
                }
            }
        }
        "base64" => {
            let mut line = 0;
            for chunk in bytes.chunks(3) {
                let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
                    << (8 * (3 - chunk.len()));
                let digits = [18, 12, 6, 0].map(|shift| BASE64[(word >> shift & 63) as usize]);
                out.extend_from_slice(&digits[..=chunk.len()]);
                out.resize(out.len() + 3 - chunk.len(), b'=');
                line += 4;
                // MIME's lines of 76 characters.
                if line >= 76 {
                    out.push(b'\n');
                    line = 0;
                }
            }
        }
        _ => return Err(encoding_error(format)),
    }
    String::from_utf8(out).map_err(|_| Error::internal("encodings are ASCII"))
}

fn decode(text: &str, format: &str) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => parse_hex(text),
        "escape" => parse_bytea_escape(text),
        "base64" => decode_base64(text),
        _ => Err(encoding_error(format)),
    }
}

fn decode_base64(text: &str) -> Result<Vec<u8>> {
    let error = |message: String| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let (mut bytes, mut word, mut digits, mut padding) = (Vec::new(), 0u32, 0, 0);
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r')) {
        let value = match u8::try_from(c).ok().and_then(|byte| BASE64.iter().position(|digit| *digit == byte))
        {
            Some(value) if padding == 0 => value as u32,
            None if c == '=' && digits >= 2 => {
                padding += 1;
                0
            }
            None if c == '=' => return error("unexpected \"=\" while decoding base64 sequence".into()),
            _ => return error(format!("invalid symbol \"{c}\" found while decoding base64 sequence")),
        };
        (word, digits) = (word << 6 | value, digits + 1);
        if digits == 4 {
            bytes.extend_from_slice(&word.to_be_bytes()[1..4 - padding.min(2)]);
            (word, digits) = (0, 0);
        }
    }
    match digits {
        0 => Ok(bytes),
        _ => error("invalid base64 end sequence".into()).map_err(|error: Error| {
            error.hint("Input data is missing padding, is truncated, or is otherwise corrupted.")
        }),
    }
}

fn md5(message: &[u8]) -> String {
    let mut out = Vec::new();
    write_hex(&mut out, &md5_bytes(message));
    String::from_utf8(out).expect("hex digits are ASCII")
}

/// RFC 1321.
pub fn md5_bytes(message: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let constants: [u32; 64] =
        std::array::from_fn(|i| ((i as f64 + 1.0).sin().abs() * 4_294_967_296.0) as u32);
    let mut state = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((message.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in padded.chunks_exact(64) {
        let words: [u32; 16] = std::array::from_fn(|i| {
            u32::from_le_bytes([block[4 * i], block[4 * i + 1], block[4 * i + 2], block[4 * i + 3]])
        });
        let [mut a, mut b, mut c, mut d] = state;
        for i in 0..64 {
            let (mix, word) = match i / 16 {
                0 => (b & c | !b & d, i),
                1 => (d & b | !d & c, (5 * i + 1) % 16),
                2 => (b ^ c ^ d, (3 * i + 5) % 16),
                _ => (c ^ (b | !d), 7 * i % 16),
            };
            let sum = a.wrapping_add(mix).wrapping_add(constants[i]).wrapping_add(words[word]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4])));
        }
        for (word, add) in state.iter_mut().zip([a, b, c, d]) {
            *word = word.wrapping_add(add);
        }
    }
    let mut out = [0; 16];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// A value given to concat() or format(): text already, or a boolean, whose cast to text would spell it out.
fn output(value: &Datum, context: &EvalContext<'_>) -> String {
    match value {
        Datum::Text(text) => text.to_string(),
        other => format_datum(other, Type::TEXT, context.render),
    }
}

fn concat(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let present = arguments.iter().filter(|argument| !argument.is_null());
    Ok(Datum::text(present.map(|argument| output(argument, context)).collect::<String>()))
}

fn concat_ws(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let Some((Datum::Text(separator), rest)) = arguments.split_first() else { return Ok(Datum::Null) };
    let present = rest.iter().filter(|argument| !argument.is_null());
    let parts: Vec<String> = present.map(|argument| output(argument, context)).collect();
    Ok(Datum::text(parts.join(separator)))
}

/// format(): `%[position$][-][width]type`, width a number, `*` or `*n$`; types s, I, L, %.
fn format(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let Some((Datum::Text(pattern), values)) = arguments.split_first() else { return Ok(Datum::Null) };
    let error = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let too_few = || error("too few arguments for format()".into());
    let unterminated =
        || error("unterminated format() type specifier".into()).hint("For a single \"%\" use \"%%\".");
    let mut out = String::new();
    let mut next = 0;
    let mut rest: &str = pattern;
    fn digits(rest: &mut &str) -> Result<Option<usize>> {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        *rest = tail;
        match number {
            "" => Ok(None),
            number => number
                .parse::<i32>()
                .map(|number| Some(number as usize))
                .map_err(|_| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range")),
        }
    }
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('%') {
            out.push('%');
            rest = tail;
            continue;
        }
        let mut place = None;
        let before = rest;
        if let Some(number) = digits(&mut rest)? {
            match rest.strip_prefix('$') {
                Some(_) if number == 0 => {
                    return Err(error(
                        "format specifies argument 0, but arguments are numbered from 1".into(),
                    ));
                }
                Some(tail) => (place, rest) = (Some(number - 1), tail),
                None => rest = before,
            }
        }
        let mut minus = false;
        while let Some(tail) = rest.strip_prefix('-') {
            (minus, rest) = (true, tail);
        }
        let mut width = 0i64;
        if let Some(tail) = rest.strip_prefix('*') {
            rest = tail;
            let index = match digits(&mut rest)? {
                Some(number) => {
                    rest = rest
                        .strip_prefix('$')
                        .ok_or_else(|| error("width argument position must be ended by \"$\"".into()))?;
                    number.checked_sub(1).ok_or_else(too_few)?
                }
                None => {
                    next += 1;
                    next - 1
                }
            };
            width = match values.get(index).ok_or_else(too_few)? {
                Datum::Text(text) => {
                    text.trim().parse().map_err(|_| crate::types::format::invalid_input("integer", text))?
                }
                _ => 0,
            };
        } else if let Some(number) = digits(&mut rest)? {
            width = number as i64;
        }
        if width < 0 {
            (minus, width) = (true, -width);
        }
        let kind = rest.chars().next().ok_or_else(unterminated)?;
        rest = &rest[kind.len_utf8()..];
        let index = place.unwrap_or(next);
        next = index + 1;
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(error(format!("unrecognized format() type specifier \"{kind}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        let value = values.get(index).ok_or_else(too_few)?;
        let shown = match (kind, value) {
            ('s', Datum::Null) => String::new(),
            ('L', Datum::Null) => "NULL".into(),
            ('I', Datum::Null) => {
                return Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', value) => quote_ident(&output(value, context)),
            ('L', value) => quote_literal(&output(value, context)),
            (_, value) => output(value, context),
        };
        let width = i32::try_from(width).map_err(|_| too_large())?;
        out += &if minus {
            pad_right(&shown, width.max(count(&shown)), " ")?
        } else {
            pad_left(&shown, width.max(count(&shown)), " ")?
        };
    }
    out.push_str(rest);
    Ok(Datum::text(out))
}

fn parse_ident(text: &str) -> Result<ArrayValue> {
    let parts = split_identifier(text).map_err(|_| {
        let message = format!("string is not a valid identifier: \"{text}\"");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })?;
    let elements: Vec<Datum> = parts.into_iter().map(Datum::text).collect();
    Ok(ArrayValue { element: Type::TEXT, dimensions: vec![(elements.len() as i32, 1)], elements })
}

/// An encoding that convert() and its like are given; `which` is "source" or "destination".
fn encoding_named(name: &str, which: &str) -> Result<Encoding> {
    Encoding::named(name).ok_or_else(|| {
        let message = format!("invalid {which} encoding name \"{name}\"");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

/// `"char"` holds one byte; what is not ASCII is shown as \ooo.
fn char_to_text(value: &str) -> String {
    value.chars().take(1).collect()
}

/// Cuts or pads to the modifier's length (the casts varchar(varchar, integer, boolean) and bpchar(…)).
fn fit(arguments: &[Datum], data_type: Type) -> Result<Datum> {
    let [value, Datum::Int4(modifier), Datum::Bool(explicit)] = arguments else {
        return Err(super::arguments::wrong_count(arguments.len()));
    };
    crate::types::apply_modifier(value.clone(), data_type, *modifier, *explicit)
}

fn byte_at(bytes: &[u8], index: i32) -> Result<usize> {
    usize::try_from(index).ok().filter(|at| *at < bytes.len()).ok_or_else(|| {
        let message = format!("index {index} out of valid range, 0..{}", bytes.len() as i64 - 1);
        Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    })
}

pub fn register(r: &mut Registry) {
    register_substrings(r);
    scalar!(r, "textcat", |a: &str, b: &str| [a, b].concat());
    scalar!(r, "sql:textanycat/2", |a: &str, b: &str| [a, b].concat());
    scalar!(r, "sql:anytextcat/2", |a: &str, b: &str| [a, b].concat());
    scalar!(r, "byteacat", |a: &[u8], b: &[u8]| [a, b].concat());
    scalar!(r, "textlen", |a: &str| count(a));
    scalar!(r, "bpcharlen", |a: &str| count(a.trim_end_matches(' ')));
    scalar!(r, "textoctetlen", |a: &str| a.len() as i32);
    scalar!(r, "bpcharoctetlen", |a: &str| a.len() as i32);
    scalar!(r, "byteaoctetlen", |a: &[u8]| a.len() as i32);
    scalar!(r, "sql:bit_length/1", |a: &Datum| a.as_bytes().map(|bytes| bytes.len() as i32 * 8));
    scalar!(r, "upper", |a: &str| upper(a));
    scalar!(r, "lower", |a: &str| lower(a));
    scalar!(r, "initcap", |a: &str| initcap(a));
    scalar!(r, "lpad", |a: &str, length: i32, fill: &str| pad_left(a, length, fill));
    scalar!(r, "rpad", |a: &str, length: i32, fill: &str| pad_right(a, length, fill));
    scalar!(r, "sql:lpad/2", |a: &str, length: i32| pad_left(a, length, " "));
    scalar!(r, "sql:rpad/2", |a: &str, length: i32| pad_right(a, length, " "));
    scalar!(r, "ltrim", |a: &str, set: &str| trim_start(a, set));
    scalar!(r, "rtrim", |a: &str, set: &str| trim_end(a, set));
    scalar!(r, "btrim", |a: &str, set: &str| trim_end(trim_start(a, set), set));
    scalar!(r, "ltrim1", |a: &str| trim_start(a, " "));
    scalar!(r, "rtrim1", |a: &str| trim_end(a, " "));
    scalar!(r, "btrim1", |a: &str| trim_end(trim_start(a, " "), " "));
    scalar!(r, "byteatrim", |a: &[u8], set: &[u8]| trim_bytes(a, set, true, true));
    scalar!(r, "bytealtrim", |a: &[u8], set: &[u8]| trim_bytes(a, set, true, false));
    scalar!(r, "byteartrim", |a: &[u8], set: &[u8]| trim_bytes(a, set, false, true));
    scalar!(r, "replace_text", |a: &str, from: &str, to: &str| replace(a, from, to));
    scalar!(r, "translate", |a: &str, from: &str, to: &str| translate(a, from, to));
    scalar!(r, "repeat", |a: &str, times: i32| repeat(a, times));
    scalar!(r, "text_reverse", |a: &str| a.chars().rev().collect::<String>());
    scalar!(r, "split_part", |a: &str, delimiter: &str, field: i32| split_part(a, delimiter, field));
    compare_text!(r, "text_starts_with", |a: &[u8], b: &[u8]| a.starts_with(b));
    scalar!(r, "ascii", |a: &str| a.chars().next().map_or(0, |c| c as i32));
    scalar!(r, "chr", |code: i32| chr(code));
    scalar!(r, "md5_text", |a: &str| md5(a.as_bytes()));
    scalar!(r, "md5_bytea", |a: &[u8]| md5(a));
    scalar!(r, "sha224_bytea", |a: &[u8]| sha2::Sha224::digest(a).to_vec());
    scalar!(r, "sha256_bytea", |a: &[u8]| sha2::Sha256::digest(a).to_vec());
    scalar!(r, "sha384_bytea", |a: &[u8]| sha2::Sha384::digest(a).to_vec());
    scalar!(r, "sha512_bytea", |a: &[u8]| sha2::Sha512::digest(a).to_vec());
    scalar!(r, "binary_encode", |a: &[u8], format: &str| encode(a, format));
    scalar!(r, "binary_decode", |a: &str, format: &str| decode(a, format));
    scalar!(r, "to_hex32", |a: i32| format!("{a:x}"));
    scalar!(r, "to_hex64", |a: i64| format!("{a:x}"));
    scalar!(r, "quote_ident", |a: &str| quote_ident(a));
    scalar!(r, "quote_literal", |a: &str| quote_literal(a));
    scalar!(r, "sql:quote_literal/1", |a: &str| quote_literal(a));
    scalar!(r, "quote_nullable", |a: Option<&str>| a.map_or("NULL".to_string(), quote_literal));
    scalar!(r, "sql:quote_nullable/1", |a: Option<&str>| a.map_or("NULL".to_string(), quote_literal));
    scalar!(r, "parse_ident", |a: &str, strict: bool| {
        let _ = strict;
        parse_ident(a)
    });
    r.scalar("text_concat", concat);
    r.scalar("text_concat_ws", concat_ws);
    r.scalar("text_format", format);
    r.scalar("text_format_nv", format);
    scalar!(r, "text_larger", |a: &str, b: &str| if a > b { a } else { b });
    scalar!(r, "text_smaller", |a: &str, b: &str| if a < b { a } else { b });
    scalar!(r, "bytea_bit_count", |a: &[u8]| a.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>());
    scalar!(r, "byteaGetByte", |a: &[u8], index: i32| byte_at(a, index).map(|at| i32::from(a[at])));
    scalar!(r, "byteaSetByte", |a: &[u8], index: i32, new: i32| {
        let at = byte_at(a, index)?;
        let mut bytes = a.to_vec();
        bytes[at] = new as u8;
        Ok(bytes)
    });
    scalar!(r, "pg_convert_to", |a: &str, to: &str| {
        encoding_named(to, "destination")?.encode(a).map(Cow::into_owned)
    });
    scalar!(r, "pg_convert_from", |a: &[u8], from: &str| {
        encoding_named(from, "source")?.decode(a).map(Cow::into_owned)
    });
    scalar!(r, "pg_convert", |a: &[u8], from: &str, to: &str| {
        let (from, to) = (encoding_named(from, "source")?, encoding_named(to, "destination")?);
        to.encode(&from.decode(a)?).map(Cow::into_owned)
    });
    scalar!(r, "length_in_encoding", |a: &[u8], encoding: &str| {
        let encoding = Encoding::named(encoding).ok_or_else(|| {
            let message = format!("invalid encoding name \"{encoding}\"");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })?;
        encoding.decode(a).map(|text| text.chars().count() as i32)
    });
    r.scalar("pg_num_nulls", |arguments, _| {
        Ok(Datum::Int4(arguments.iter().filter(|argument| argument.is_null()).count() as i32))
    });
    r.scalar("pg_num_nonnulls", |arguments, _| {
        Ok(Datum::Int4(arguments.iter().filter(|argument| !argument.is_null()).count() as i32))
    });
    register_casts(r);
}

fn register_substrings(r: &mut Registry) {
    scalar!(r, "text_substr", |a: &str, start: i32, length: i32| substring(a, start, Some(length))
        .map(str::to_string));
    scalar!(r, "text_substr_no_len", |a: &str, start: i32| substring(a, start, None).map(str::to_string));
    scalar!(r, "bytea_substr", |a: &[u8], start: i32, length: i32| {
        substring_bytes(a, start, Some(length)).map(<[u8]>::to_vec)
    });
    scalar!(r, "bytea_substr_no_len", |a: &[u8], start: i32| substring_bytes(a, start, None)
        .map(<[u8]>::to_vec));
    scalar!(r, "text_left", |a: &str, n: i32| left(a, n));
    scalar!(r, "text_right", |a: &str, n: i32| right(a, n));
    scalar!(r, "textpos", |a: &str, part: &str| position(a, part));
    scalar!(r, "byteapos", |a: &[u8], part: &[u8]| position_bytes(a, part));
    scalar!(r, "textoverlay", |a: &str, new: &str, start: i32, length: i32| overlay(a, new, start, length));
    scalar!(r, "textoverlay_no_len", |a: &str, new: &str, start: i32| overlay(a, new, start, count(new)));
    scalar!(r, "byteaoverlay", |a: &[u8], new: &[u8], start: i32, length: i32| overlay_bytes(
        a, new, start, length
    ));
    scalar!(r, "byteaoverlay_no_len", |a: &[u8], new: &[u8], start: i32| overlay_bytes(
        a,
        new,
        start,
        new.len() as i32
    ));
}

fn register_casts(r: &mut Registry) {
    scalar!(r, "booltext", |a: bool| if a { "true" } else { "false" });
    scalar!(r, "name_text", |a: &Datum| a.clone());
    scalar!(r, "name_bpchar", |a: &Datum| a.clone());
    scalar!(r, "char_bpchar", |a: &str| char_to_text(a));
    scalar!(r, "char_text", |a: &str| char_to_text(a));
    scalar!(r, "text_char", |a: &str| char_to_text(a));
    scalar!(r, "text_name", |a: &str| name(a));
    scalar!(r, "bpchar_name", |a: &str| name(a.trim_end_matches(' ')));
    scalar!(r, "chartoi4", |a: &str| a.chars().next().map_or(0, |c| c as u32 as u8 as i8 as i32));
    scalar!(r, "i4tochar", |a: i32| match i8::try_from(a) {
        Ok(0) => Ok(String::new()),
        Ok(code @ 1..) => Ok(char::from(code as u8).to_string()),
        _ => Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range")),
    });
    r.scalar("varchar", |arguments, _| fit(arguments, Type::VARCHAR));
    r.scalar("bpchar", |arguments, _| fit(arguments, Type::BPCHAR));
    scalar!(r, "numeric", |a: &crate::types::Numeric, modifier: i32| a.apply_modifier(modifier));
}

/// Names have at most 63 bytes.
fn name(text: &str) -> &str {
    match text.len() > 63 {
        true => &text[..(0..=63).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)],
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_sorted_for_the_binary_search() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn digests_and_encodings() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"The quick brown fox jumps over the lazy dog"), "9e107d9d372bb6826bd81d3542a419d6");
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            for format in ["hex", "base64", "escape"] {
                assert_eq!(
                    decode(&encode(&bytes, format).unwrap(), format).unwrap(),
                    bytes,
                    "{format} {length}"
                );
            }
        }
    }
}
