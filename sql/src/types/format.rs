//! Text output and input of every type: what PostgreSQL's typoutput and typinput functions do.

use super::datetime_output::{write_date, write_interval, write_time, write_timestamp};
use super::float::{write_float4, write_float8};
use super::textsearch::{Query, Vector};
use super::{ArrayValue, Datum, RenderSettings, Type};
use crate::catalog::FIRST_USER_OID;
use crate::column::{Column, Values};
use crate::error::{Error, Result, SqlState};
use crate::extension::ltree;

/// 22P02, in PostgreSQL's words. `name` as format_type prints it.
pub fn invalid_input(name: &str, text: &str) -> Error {
    let message = format!("invalid input syntax for type {name}: \"{text}\"");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// Digits, with zeros in front up to `width`.
pub fn pad(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut rest = value;
    while rest > 0 {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    pad(out, value.unsigned_abs(), 1);
}

pub fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.push(if value { b't' } else { b'f' });
}

const HEX: &[u8; 16] = b"0123456789abcdef";

pub fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]));
}

pub fn write_bytea(out: &mut Vec<u8>, bytes: &[u8], escape: bool) {
    if !escape {
        out.extend_from_slice(b"\\x");
        return write_hex(out, bytes);
    }
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            _ => out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        }
    }
}

pub fn write_uuid(out: &mut Vec<u8>, uuid: &[u8; 16]) {
    for (index, range) in [0..4, 4..6, 6..8, 8..10, 10..16].into_iter().enumerate() {
        if index > 0 {
            out.push(b'-');
        }
        write_hex(out, &uuid[range]);
    }
}

/// An oid or one of the reg* types. Names of relations and namespaces live in the catalog: a cast to text
/// (`functions::cast_datum`) gives them; without it the number stands in.
fn write_oid(out: &mut Vec<u8>, oid: u32, data_type: Type) {
    match data_type {
        Type::REGTYPE if Type(oid).is_known() => out.extend_from_slice(Type(oid).display().as_bytes()),
        Type::REGCLASS
        | Type::REGPROC
        | Type::REGPROCEDURE
        | Type::REGTYPE
        | Type::REGNAMESPACE
        | Type::REGROLE
            if oid == 0 =>
        {
            out.push(b'-');
        }
        _ => pad(out, u64::from(oid), 1),
    }
}

/// bytea, or a type that is held as bytes.
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], data_type: Type, render: &RenderSettings) {
    match data_type.base() {
        base if super::network::is_network(base) => {
            out.extend_from_slice(super::network::format(bytes, base).as_bytes());
        }
        Type::PG_LSN => write_lsn(out, bytes),
        Type::TSVECTOR => Vector::from_bytes(bytes).write_text(out),
        Type::TSQUERY => Query::from_bytes(bytes).write_text(out),
        base if super::geometry::is_geometric(base) => {
            super::geometry::write_text(out, bytes, base, render.extra_float_digits);
        }
        _ => write_bytea(out, bytes, render.bytea_escape),
    }
}

fn write_lsn(out: &mut Vec<u8>, bytes: &[u8]) {
    let place = bytes.try_into().map(u64::from_be_bytes).unwrap_or_default();
    out.extend_from_slice(format!("{:X}/{:X}", place >> 32, place & 0xffff_ffff).as_bytes());
}

/// Two hexadecimal numbers of up to eight digits.
fn parse_lsn(text: &str) -> Result<Datum> {
    let part = |part: &str| {
        let fits = (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(part, 16).ok().filter(|_| fits)
    };
    let place = text.split_once('/').and_then(|(high, low)| Some(part(high)? << 32 | part(low)?));
    let place = place.ok_or_else(|| invalid_input("pg_lsn", text))?;
    Ok(Datum::Bytea(place.to_be_bytes().as_slice().into()))
}

/// A bigint, cents, or an enum's value as its label.
fn write_int8(out: &mut Vec<u8>, value: i64, data_type: Type) {
    match data_type {
        Type::MONEY => super::money::write_text(out, value),
        _ if data_type.0 < FIRST_USER_OID => write_integer(out, value),
        _ if data_type.is_domain() => write_int8(out, value, data_type.base()),
        _ if data_type.is_enum() => {
            out.extend(super::user::label(data_type, value).unwrap_or_default().as_bytes());
        }
        _ => write_integer(out, value),
    }
}

/// The text form of one value that is not null (a null writes nothing).
pub fn write_text(out: &mut Vec<u8>, column: &Column, row: usize, data_type: Type, render: &RenderSettings) {
    if column.is_null(row) {
        return;
    }
    match &column.values {
        Values::Int4(vector) => write_integer(out, i64::from(vector[row])),
        Values::Int8(vector) => write_int8(out, vector[row], data_type),
        Values::Text(strings) => out.extend_from_slice(strings.get(row)),
        Values::Bool(vector) => write_bool(out, vector[row]),
        Values::Int2(vector) => write_integer(out, i64::from(vector[row])),
        Values::Float4(vector) => write_float4(out, vector[row], render.extra_float_digits),
        Values::Float8(vector) => write_float8(out, vector[row], render.extra_float_digits),
        Values::Numeric(vector) => vector[row].write_text(out),
        Values::Bytea(strings) => write_bytes(out, strings.get(row), data_type, render),
        Values::Date(vector) => write_date(out, vector[row], render),
        Values::Time(vector) => write_time(out, vector[row]),
        Values::Timestamp(vector) => {
            write_timestamp(out, vector[row], data_type == Type::TIMESTAMPTZ, render)
        }
        Values::Interval(vector) => write_interval(out, vector[row], render.interval_style),
        Values::Uuid(vector) => write_uuid(out, &vector[row]),
        Values::Oid(vector) => write_oid(out, vector[row], data_type),
        Values::Datum(vector) => write_datum(out, &vector[row], data_type, render),
    }
}

/// [`write_text`] of a single value.
pub fn write_datum(out: &mut Vec<u8>, datum: &Datum, data_type: Type, render: &RenderSettings) {
    match datum {
        Datum::Null => {}
        Datum::Bool(value) => write_bool(out, *value),
        Datum::Int2(value) => write_integer(out, i64::from(*value)),
        Datum::Int4(value) => write_integer(out, i64::from(*value)),
        Datum::Int8(value) => write_int8(out, *value, data_type),
        Datum::Float4(value) => write_float4(out, *value, render.extra_float_digits),
        Datum::Float8(value) => write_float8(out, *value, render.extra_float_digits),
        Datum::Numeric(value) => value.write_text(out),
        Datum::Text(value) => out.extend_from_slice(value.as_bytes()),
        Datum::Bytea(value) => write_bytes(out, value, data_type, render),
        Datum::Date(value) => write_date(out, *value, render),
        Datum::Time(value) => write_time(out, *value),
        Datum::Timestamp(value) => write_timestamp(out, *value, data_type == Type::TIMESTAMPTZ, render),
        Datum::Interval(value) => write_interval(out, *value, render.interval_style),
        Datum::Uuid(value) => write_uuid(out, value),
        Datum::Oid(value) => write_oid(out, *value, data_type),
        Datum::Array(array) => super::array_text::write_array(out, array, data_type, render),
        Datum::Record(fields) => super::record_text::write_record(out, fields, render),
        Datum::Range(range) => super::range::write_range(out, range, render),
        Datum::TimeTz(time) => super::datetime_output::write_timetz(out, *time),
    }
}

pub fn format_datum(datum: &Datum, data_type: Type, render: &RenderSettings) -> String {
    let mut out = Vec::new();
    write_datum(&mut out, datum, data_type, render);
    String::from_utf8(out).expect("text output is UTF-8")
}

/// Parses a value's text form and applies the type modifier as an assignment does.
pub fn parse_datum(text: &str, data_type: Type, modifier: i32, render: &RenderSettings) -> Result<Datum> {
    use super::datetime_input::{parse_date, parse_interval, parse_time, parse_timestamp, parse_timetz};
    let datum = match data_type {
        Type::INT4 => Datum::Int4(parse_integer(text, "integer")?),
        Type::MONEY => Datum::Int8(super::money::parse(text)?),
        Type::PG_LSN => parse_lsn(text)?,
        Type::TSVECTOR => Datum::Bytea(Vector::parse(text)?.to_bytes().into()),
        Type::TSQUERY => Datum::Bytea(Query::parse(text)?.to_bytes().into()),
        Type::INT8 | Type::XID8 => Datum::Int8(parse_integer(text, "bigint")?),
        Type::INT2 => Datum::Int2(parse_integer(text, "smallint")?),
        Type::BOOL => Datum::Bool(parse_bool(text)?),
        Type::FLOAT4 => Datum::Float4(super::float::parse_float4(text)?),
        Type::FLOAT8 => Datum::Float8(super::float::parse_float8(text)?),
        Type::NUMERIC => Datum::numeric(super::Numeric::parse(text)?),
        Type::BYTEA => Datum::Bytea(parse_bytea(text)?.into()),
        Type::DATE => Datum::Date(parse_date(text, render)?),
        Type::TIME => Datum::Time(parse_time(text, render)?),
        Type::TIMETZ => Datum::TimeTz(parse_timetz(text, render)?),
        Type::TIMESTAMP => Datum::Timestamp(parse_timestamp(text, false, render)?),
        Type::TIMESTAMPTZ => Datum::Timestamp(parse_timestamp(text, true, render)?),
        Type::INTERVAL => Datum::Interval(parse_interval(text, modifier, render)?),
        Type::UUID => Datum::Uuid(parse_uuid(text)?),
        Type::CHAR => Datum::text(text.chars().next().map_or(String::new(), String::from)),
        Type::NAME => Datum::text(truncate_name(text)),
        // Cut or padded before it is a datum, not after.
        Type::VARCHAR | Type::BPCHAR if modifier >= 4 => {
            return Ok(match fit(text, (modifier - 4) as usize, data_type, false)? {
                Some(fitted) => Datum::text(fitted),
                None => Datum::text(text),
            });
        }
        Type::JSON => {
            super::json::validate(text)?;
            Datum::text(text)
        }
        Type::JSONB => Datum::text(super::json::Json::parse(text)?.to_text()),
        Type::LTREE => {
            ltree::Path::parse(text)?;
            Datum::text(text)
        }
        Type::LQUERY => Datum::text(ltree::Query::parse(text)?.to_text()),
        Type::LTXTQUERY => Datum::text(ltree::TextQuery::parse(text)?.to_text()),
        Type::HSTORE => Datum::text(crate::extension::hstore::Hstore::parse(text)?.to_text()),
        Type::INET | Type::CIDR | Type::MACADDR | Type::MACADDR8 => super::network::parse(text, data_type)?,
        _ if super::geometry::is_geometric(data_type) => super::geometry::parse(text, data_type)?,
        Type::BIT | Type::VARBIT => Datum::text(super::bits::parse(text)?),
        Type::JSONPATH => Datum::text(super::json::path::parse(text)?.to_text()),
        Type::REGTYPE => Datum::Oid(parse_regtype(text)?),
        Type::RECORD => {
            let message = "input of anonymous composite types is not implemented";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        _ if data_type.0 >= FIRST_USER_OID => return parse_user_type(text, data_type, modifier, render),
        _ if data_type.range_element().is_some() => {
            Datum::range(super::range::parse_range(text, data_type, render)?)
        }
        _ if data_type.repr() == super::Repr::Oid => Datum::Oid(parse_oid(text, data_type)?),
        _ if data_type.repr() == super::Repr::Array => {
            return super::array_text::parse_array(text, data_type, modifier, render);
        }
        Type::ANY
        | Type::ANYENUM
        | Type::TRIGGER
        | Type::INTERNAL
        | Type::ANYRANGE
        | Type::ANYMULTIRANGE
        | Type::ANYCOMPATIBLERANGE
        | Type::ANYCOMPATIBLEMULTIRANGE => {
            let message = format!("cannot accept a value of type {}", data_type.display());
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        _ => Datum::text(text),
    };
    apply_modifier(datum, data_type, modifier, false)
}

/// A value of a type that a user made. What a domain demands is checked by `functions::domain`, where expressions can be evaluated.
fn parse_user_type(text: &str, data_type: Type, modifier: i32, render: &RenderSettings) -> Result<Datum> {
    if data_type.is_domain() {
        return parse_datum(text, data_type.base(), data_type.base_modifier(), render);
    }
    if data_type.is_array() {
        return super::array_text::parse_array(text, data_type, modifier, render);
    }
    if data_type.range_element().is_some() {
        return super::range::parse_range(text, data_type, render).map(Datum::range);
    }
    if data_type.is_enum() {
        return super::user::position(data_type, text).map(Datum::Int8).ok_or_else(|| {
            let message = format!("invalid input value for enum {}: \"{text}\"", data_type.display());
            Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        });
    }
    match data_type.row_template() {
        Some(template) => super::record_text::parse_record(text, &template, render),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type {} does not exist", data_type.display()),
        )),
    }
}

/// Applies length, precision or scale. `explicit` casts cut strings where an assignment fails.
pub fn apply_modifier(datum: Datum, data_type: Type, modifier: i32, explicit: bool) -> Result<Datum> {
    use super::interval::round_micros;
    if modifier < 0 {
        return Ok(datum);
    }
    Ok(match (&datum, data_type) {
        (Datum::Text(text), Type::VARCHAR | Type::BPCHAR) if modifier >= 4 => {
            match fit(text, (modifier - 4) as usize, data_type, explicit)? {
                Some(fitted) => Datum::text(fitted),
                None => datum,
            }
        }
        (Datum::Text(bits), Type::BIT | Type::VARBIT) if modifier > 0 => {
            match super::bits::fit(bits, data_type, modifier as usize, explicit)? {
                Some(fitted) => Datum::text(fitted),
                None => datum,
            }
        }
        (Datum::Numeric(value), _) => Datum::numeric(value.apply_modifier(modifier)?),
        (Datum::Time(value), _) => Datum::Time(round_micros(*value, modifier)),
        (Datum::TimeTz(value), _) => {
            Datum::TimeTz(super::TimeTz { micros: round_micros(value.micros, modifier), ..*value })
        }
        (Datum::Timestamp(value), _) if !super::calendar::is_infinite(*value) => {
            Datum::Timestamp(round_micros(*value, modifier))
        }
        (Datum::Interval(value), _) => Datum::Interval(value.apply_modifier(modifier)),
        (Datum::Array(array), _) => {
            let elements = array
                .elements
                .iter()
                .map(|element| apply_modifier(element.clone(), array.element, modifier, explicit));
            let elements = elements.collect::<Result<Vec<Datum>>>()?;
            Datum::array(ArrayValue { elements, ..(**array).clone() })
        }
        _ => datum,
    })
}

/// A string cut or padded to `length` characters; None: it fits as it is.
fn fit(text: &str, length: usize, data_type: Type, explicit: bool) -> Result<Option<String>> {
    // Bytes bound characters from above: no need to count a short string.
    let count = if text.is_ascii() { text.len() } else { text.chars().count() };
    if count > length {
        let cut = text.char_indices().nth(length).map_or(text.len(), |(index, _)| index);
        if !explicit && text[cut..].bytes().any(|byte| byte != b' ') {
            let name = super::format_type(data_type, length as i32 + 4);
            let message = format!("value too long for type {name}");
            return Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message));
        }
        return Ok(Some(text[..cut].to_string()));
    }
    match data_type == Type::BPCHAR && count < length {
        true => {
            let mut padded = String::with_capacity(text.len() + length - count);
            padded.push_str(text);
            padded.extend(std::iter::repeat_n(' ', length - count));
            Ok(Some(padded))
        }
        false => Ok(None),
    }
}

/// Names have at most 63 bytes.
fn truncate_name(text: &str) -> &str {
    match text.len() > 63 {
        true => &text[..(0..=63).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)],
        false => text,
    }
}

pub fn parse_integer<T: TryFrom<i64>>(text: &str, name: &str) -> Result<T> {
    let out_of_range = || {
        let message = format!("value \"{text}\" is out of range for type {name}");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let trimmed = text.trim_matches(super::numeric::is_space);
    let (negative, digits) = match trimmed.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(invalid_input(name, text));
    }
    let step = |value: Option<i64>, digit: &u8| {
        let digit = i64::from(digit - b'0');
        let value = value?.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    };
    let value = digits.iter().fold(Some(0), step).ok_or_else(out_of_range)?;
    T::try_from(value).map_err(|_| out_of_range())
}

/// Any prefix of true, false, yes, no that is not ambiguous; on, off, 1, 0.
pub fn parse_bool(text: &str) -> Result<bool> {
    let folded = text.trim_matches(super::numeric::is_space).to_ascii_lowercase();
    let prefix = |word: &str, least: usize| folded.len() >= least && word.starts_with(folded.as_str());
    if folded == "1" || prefix("true", 1) || prefix("yes", 1) || prefix("on", 2) {
        return Ok(true);
    }
    if folded == "0" || prefix("false", 1) || prefix("no", 1) || prefix("off", 2) {
        return Ok(false);
    }
    Err(invalid_input("boolean", text))
}

fn parse_oid(text: &str, data_type: Type) -> Result<u32> {
    let trimmed = text.trim();
    if trimmed == "-" && !matches!(data_type, Type::OID | Type::XID | Type::CID) {
        return Ok(0);
    }
    if data_type == Type::XID {
        return Ok(parse_xid(trimmed));
    }
    let value: i64 = parse_integer(trimmed, &data_type.display())?;
    // Negative numbers wrap, as strtoul lets them.
    u32::try_from(value).or_else(|_| i32::try_from(value).map(|value| value as u32)).map_err(|_| {
        let message = format!("value \"{text}\" is out of range for type {}", data_type.display());
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

/// As PostgreSQL 15's xidin(), by strtoul(): what doesn't begin with a number is 0, what is too large wraps.
fn parse_xid(text: &str) -> u32 {
    let (negative, text) = match text.strip_prefix('-') {
        Some(positive) => (true, positive),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let values = digits.chars().map_while(|c| c.to_digit(radix));
    let add =
        |value: u64, digit: u32| value.saturating_mul(u64::from(radix)).saturating_add(u64::from(digit));
    let value = values.fold(0, add) as u32;
    if negative { value.wrapping_neg() } else { value }
}

fn parse_regtype(text: &str) -> Result<u32> {
    let trimmed = text.trim();
    if trimmed == "-" {
        return Ok(0);
    }
    if let Ok(oid) = trimmed.parse() {
        return Ok(oid);
    }
    // Its positions are the type name's own, not the statement's.
    let found = crate::parse::parse_type_name(trimmed).and_then(|name| crate::bind::type_by_name(&name));
    found.map(|(found, _)| found.0).map_err(Error::without_position)
}

pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    let invalid = || invalid_input("uuid", text);
    let bytes = match text.as_bytes() {
        [b'{', inner @ .., b'}'] => inner,
        bytes => bytes,
    };
    let mut uuid = [0; 16];
    let mut position = 0;
    for (index, slot) in uuid.iter_mut().enumerate() {
        let pair = bytes.get(position..position + 2).ok_or_else(invalid)?;
        *slot = hex_digit(pair[0]).ok_or_else(invalid)? << 4 | hex_digit(pair[1]).ok_or_else(invalid)?;
        position += 2;
        // A hyphen may follow every two bytes.
        if index % 2 == 1 && index < 15 && bytes.get(position) == Some(&b'-') {
            position += 1;
        }
    }
    if position == bytes.len() { Ok(uuid) } else { Err(invalid()) }
}

pub fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Hex digits, with white space between bytes allowed, as bytea's input and decode() take them.
pub fn parse_hex(text: &str) -> Result<Vec<u8>> {
    let error = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut characters = text.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r'));
    let digit = |c: char| c.to_digit(16).ok_or_else(|| error(format!("invalid hexadecimal digit: \"{c}\"")));
    while let Some(high) = characters.next() {
        let high = digit(high)?;
        let low = characters
            .next()
            .ok_or_else(|| error("invalid hexadecimal data: odd number of digits".into()))?;
        bytes.push((high << 4 | digit(low)?) as u8);
    }
    Ok(bytes)
}

pub fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex),
        None => parse_bytea_escape(text),
    }
}

pub fn parse_bytea_escape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                tail
            }
            (b'\\', _) => {
                return Err(Error::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
            (byte, tail) => {
                bytes.push(*byte);
                tail
            }
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::BUILTIN;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    /// Pieces that get past the first checks of some type's input.
    const PIECES: &[&str] = &[
        "1",
        "-",
        "+",
        ".",
        "e",
        "9999999999",
        "0x",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d800",
        "\\u0000",
        "null",
        "true",
        "NaN",
        "infinity",
        "-infinity",
        "2020-02-30",
        "12:60",
        "BC",
        " ",
        "\t",
        "\n",
        "é",
        "😄",
        "'",
        "/",
        "::",
        "ffff",
        "10.",
        "255",
        "/33",
        "P1Y",
        "ago",
        "years",
        "$",
        "$.",
        "**",
        "?",
        "@",
        "last",
        "like_regex",
        "to",
        "=",
        "&&",
        "(((((",
        "{{{{{{{",
        "[1:2]=",
        "B",
        "x1G",
        "\\x",
        "zz",
    ];

    #[test]
    fn garbage_gives_errors_and_what_is_read_prints_and_reads_again() {
        let render = RenderSettings::default();
        let mut random = StdRng::seed_from_u64(11);
        for round in 0..400 {
            let text: String = match round % 3 {
                0 => (0..random.random_range(0..12)).map(|_| random.random::<u8>() as char).collect(),
                _ => (0..random.random_range(0..8))
                    .map(|_| PIECES[random.random_range(0..PIECES.len())])
                    .collect(),
            };
            for (scalar, array, ..) in BUILTIN {
                for data_type in [*scalar, Type(*array)].into_iter().filter(|data_type| data_type.0 != 0) {
                    let modifier = random.random_range(-1..20);
                    for modifier in [-1, modifier] {
                        let Ok(value) = parse_datum(&text, data_type, modifier, &render) else { continue };
                        let shown = format_datum(&value, data_type, &render);
                        let again = parse_datum(&shown, data_type, -1, &render);
                        // Names of zones and the like aside, what was printed can be read.
                        if modifier == -1
                            && let Ok(again) = again
                        {
                            assert_eq!(
                                format_datum(&again, data_type, &render),
                                shown,
                                "{data_type:?} {text:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let render = RenderSettings::default();
        for open in ["[", "{\"a\":", "(", "{", "$.a?(", "((", "-", "1+", "$.a[", "$.a && "] {
            let text = open.repeat(4_000);
            for (data_type, ..) in BUILTIN {
                assert!(
                    parse_datum(&text, *data_type, -1, &render).is_err()
                        || matches!(data_type.repr(), crate::types::Repr::Text | crate::types::Repr::Bytea)
                        // What is no number is 0.
                        || *data_type == Type::XID
                        // Any number of signs may stand behind an amount.
                        || *data_type == Type::MONEY,
                    "{data_type:?}"
                );
            }
        }
    }
}
