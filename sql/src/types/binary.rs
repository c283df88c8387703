//! Binary output and input of every type: PostgreSQL's typsend and typreceive formats.
//!
//! Big-endian throughout. numeric: digit count 2, weight 2, sign 2 (0000 +, 4000 -, C000 NaN, D000 inf, F000 -inf), display
//! scale 2, base-10000 digits 2 each. interval: microseconds 8, days 4, months 4. array: dimensions 4, has-nulls 4, element
//! type 4, per dimension length 4 and lower bound 4, per element length 4 (-1: null) and value. record: field count 4, per
//! field type 4, length 4 (-1: null) and value. Input bytes are hostile: each length is checked (22P03, 08P01).

use super::array_text::{DIMENSIONS_MAX, ELEMENTS_MAX, too_many_dimensions};
use super::calendar::{self, DATE_MAX, DATE_MIN};
use super::format::parse_datum;
use super::interval::MICROS_PER_DAY;
use super::textsearch::{Query, Vector};
use super::{ArrayValue, Datum, Interval, Numeric, Record, RenderSettings, Repr, Type};
use crate::catalog::FIRST_USER_OID;
use crate::column::{Column, Values};
use crate::error::{Error, Result, SqlState};
use crate::extension::hstore;

/// The binary form of one value that is not null (a null writes nothing), without its length.
pub fn write_binary(out: &mut Vec<u8>, column: &Column, row: usize, data_type: Type) {
    if column.is_null(row) {
        return;
    }
    match &column.values {
        Values::Int4(vector) | Values::Date(vector) => out.extend(vector[row].to_be_bytes()),
        Values::Int8(vector) => write_int8(out, vector[row], data_type),
        Values::Time(vector) | Values::Timestamp(vector) => {
            out.extend(vector[row].to_be_bytes());
        }
        Values::Text(strings) => write_text(out, strings.get(row), data_type),
        Values::Bytea(strings) => write_bytes(out, strings.get(row), data_type),
        Values::Bool(vector) => out.push(u8::from(vector[row])),
        Values::Int2(vector) => out.extend(vector[row].to_be_bytes()),
        Values::Float4(vector) => out.extend(vector[row].to_be_bytes()),
        Values::Float8(vector) => out.extend(vector[row].to_be_bytes()),
        Values::Numeric(vector) => write_numeric(out, &vector[row]),
        Values::Interval(vector) => write_interval(out, vector[row]),
        Values::Uuid(vector) => out.extend_from_slice(&vector[row]),
        Values::Oid(vector) => out.extend(vector[row].to_be_bytes()),
        Values::Datum(vector) => write_binary_datum(out, &vector[row], data_type),
    }
}

/// [`write_binary`] of a single value.
pub fn write_binary_datum(out: &mut Vec<u8>, datum: &Datum, data_type: Type) {
    match datum {
        Datum::Null => {}
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Int2(value) => out.extend(value.to_be_bytes()),
        Datum::Int4(value) | Datum::Date(value) => out.extend(value.to_be_bytes()),
        Datum::Int8(value) => write_int8(out, *value, data_type),
        Datum::Time(value) | Datum::Timestamp(value) => out.extend(value.to_be_bytes()),
        Datum::Float4(value) => out.extend(value.to_be_bytes()),
        Datum::Float8(value) => out.extend(value.to_be_bytes()),
        Datum::Numeric(value) => write_numeric(out, value),
        Datum::Text(value) => write_text(out, value.as_bytes(), data_type),
        Datum::Bytea(value) => write_bytes(out, value, data_type),
        Datum::Interval(value) => write_interval(out, *value),
        Datum::Uuid(value) => out.extend_from_slice(value),
        Datum::Oid(value) => out.extend(value.to_be_bytes()),
        Datum::Array(array) => {
            out.extend((array.dimensions.len() as u32).to_be_bytes());
            out.extend(u32::from(array.elements.iter().any(Datum::is_null)).to_be_bytes());
            out.extend(array.element.0.to_be_bytes());
            for (length, bound) in &array.dimensions {
                out.extend(length.to_be_bytes());
                out.extend(bound.to_be_bytes());
            }
            array.elements.iter().for_each(|element| write_field(out, element, array.element));
        }
        Datum::Range(range) => super::range::write_binary(out, range),
        // The zone is counted in seconds west of Greenwich.
        Datum::TimeTz(time) => {
            out.extend(time.micros.to_be_bytes());
            out.extend((-time.offset).to_be_bytes());
        }
        Datum::Record(fields) => {
            out.extend((fields.len() as u32).to_be_bytes());
            for (data_type, field) in fields.iter() {
                out.extend(data_type.0.to_be_bytes());
                write_field(out, field, *data_type);
            }
        }
    }
}

/// An enum's value is its label, in binary too.
fn write_int8(out: &mut Vec<u8>, value: i64, data_type: Type) {
    match data_type.0 >= FIRST_USER_OID && data_type.base().is_enum() {
        true => out.extend(super::user::label(data_type.base(), value).unwrap_or_default().as_bytes()),
        false => out.extend(value.to_be_bytes()),
    }
}

fn write_text(out: &mut Vec<u8>, text: &[u8], data_type: Type) {
    match data_type {
        Type::BIT | Type::VARBIT => super::bits::write_binary(out, text),
        Type::HSTORE => hstore::write_binary(out, &String::from_utf8_lossy(text)),
        _ if has_version(data_type) => {
            out.push(1);
            out.extend_from_slice(text);
        }
        _ if data_type.is_domain() => write_text(out, text, data_type.base()),
        _ => out.extend_from_slice(text),
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8], data_type: Type) {
    match (data_type.base(), super::network::Inet::from_bytes(bytes)) {
        (base @ (Type::INET | Type::CIDR), Some(inet)) => super::network::write_binary(out, &inet, base),
        (Type::TSVECTOR, _) => Vector::from_bytes(bytes).write_binary(out),
        (Type::TSQUERY, _) => Query::from_bytes(bytes).write_binary(out),
        _ => out.extend_from_slice(bytes),
    }
}

/// jsonb, jsonpath and ltree's types: a version byte, 1, then the text.
fn has_version(data_type: Type) -> bool {
    matches!(data_type, Type::JSONB | Type::JSONPATH | Type::LTREE | Type::LQUERY | Type::LTXTQUERY)
}

fn write_field(out: &mut Vec<u8>, value: &Datum, data_type: Type) {
    if value.is_null() {
        return out.extend((-1i32).to_be_bytes());
    }
    let start = out.len();
    out.extend([0; 4]);
    write_binary_datum(out, value, data_type);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn write_interval(out: &mut Vec<u8>, interval: Interval) {
    out.extend(interval.micros.to_be_bytes());
    out.extend(interval.days.to_be_bytes());
    out.extend(interval.months.to_be_bytes());
}

fn write_numeric(out: &mut Vec<u8>, value: &Numeric) {
    let finite = value.digits();
    let (sign, weight, scale, digits) = match (value, &finite) {
        (_, Some(finite)) => {
            (u16::from(finite.negative) * 0x4000, finite.weight, finite.scale, &finite.digits[..])
        }
        (Numeric::Infinity, _) => (0xd000, 0, 0, &[][..]),
        (Numeric::NegativeInfinity, _) => (0xf000, 0, 0, &[][..]),
        _ => (0xc000, 0, 0, &[][..]),
    };
    out.extend((digits.len() as u16).to_be_bytes());
    out.extend((weight as i16).to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend((scale as u16).to_be_bytes());
    digits.iter().for_each(|digit| out.extend(digit.to_be_bytes()));
}

pub(super) fn invalid(what: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, what)
}

pub(super) fn short() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

/// The whole of `bytes`, which must have the type's width.
fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| match bytes.len() < N {
        true => short(),
        false => invalid("incorrect binary data format"),
    })
}

pub fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(short)?;
    *bytes = rest;
    Ok(head)
}

pub fn take_i32(bytes: &mut &[u8]) -> Result<i32> {
    Ok(i32::from_be_bytes(exact(take(bytes, 4)?)?))
}

fn out_of_range(what: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

/// Reads a value in its type's binary format.
pub fn read_binary(bytes: &[u8], data_type: Type) -> Result<Datum> {
    if data_type.0 >= FIRST_USER_OID {
        if data_type.is_domain() {
            return super::apply_modifier(
                read_binary(bytes, data_type.base())?,
                data_type.base(),
                data_type.base_modifier(),
                false,
            );
        }
        if data_type.is_enum() {
            return parse_datum(read_text(bytes)?, data_type, -1, &RenderSettings::default());
        }
        if let Some(template) = data_type.row_template() {
            return read_record(bytes, &template);
        }
    }
    Ok(match data_type.repr() {
        Repr::Bool => Datum::Bool(exact::<1>(bytes)?[0] != 0),
        Repr::Int2 => Datum::Int2(i16::from_be_bytes(exact(bytes)?)),
        Repr::Int4 => Datum::Int4(i32::from_be_bytes(exact(bytes)?)),
        Repr::Int8 => Datum::Int8(i64::from_be_bytes(exact(bytes)?)),
        Repr::Float4 => Datum::Float4(f32::from_be_bytes(exact(bytes)?)),
        Repr::Float8 => Datum::Float8(f64::from_be_bytes(exact(bytes)?)),
        Repr::Oid => Datum::Oid(u32::from_be_bytes(exact(bytes)?)),
        Repr::Uuid => Datum::Uuid(exact(bytes)?),
        Repr::Bytea => match data_type {
            Type::INET | Type::CIDR => super::network::read_binary(bytes, data_type)?.to_datum(),
            _ if super::geometry::is_geometric(data_type) => super::geometry::read_binary(bytes, data_type)?,
            Type::TSVECTOR => Datum::Bytea(Vector::read_binary(bytes)?.to_bytes().into()),
            Type::TSQUERY => Datum::Bytea(Query::read_binary(bytes)?.to_bytes().into()),
            Type::MACADDR => Datum::Bytea(exact::<6>(bytes)?.into()),
            Type::MACADDR8 if bytes.len() == 6 => {
                Datum::Bytea([&bytes[..3], &[0xff, 0xfe], &bytes[3..]].concat().into())
            }
            Type::MACADDR8 | Type::PG_LSN => Datum::Bytea(exact::<8>(bytes)?.into()),
            _ => Datum::Bytea(bytes.into()),
        },
        Repr::Text if matches!(data_type, Type::BIT | Type::VARBIT) => {
            Datum::text(super::bits::read_binary(bytes)?)
        }
        Repr::Text if has_version(data_type) => match bytes.split_first() {
            Some((1, text)) => parse_datum(read_text(text)?, data_type, -1, &RenderSettings::default())?,
            Some((version, _)) => {
                let name = data_type.display();
                let message = format!("unsupported {name} version number {version}");
                return Err(Error::new(SqlState::INTERNAL_ERROR, message));
            }
            None => return Err(short()),
        },
        Repr::Text if data_type == Type::JSON => {
            let text = read_text(bytes)?;
            super::json::validate(text)?;
            Datum::text(text)
        }
        Repr::Text if data_type == Type::HSTORE => hstore::read_binary(bytes)?,
        Repr::Text => Datum::text(read_text(bytes)?),
        Repr::Numeric => Datum::numeric(read_numeric(bytes)?),
        Repr::Date => {
            let date = i32::from_be_bytes(exact(bytes)?);
            match calendar::is_infinite_date(date) || (DATE_MIN..=DATE_MAX).contains(&date) {
                true => Datum::Date(date),
                false => return Err(out_of_range("date")),
            }
        }
        Repr::Time => {
            let micros = i64::from_be_bytes(exact(bytes)?);
            match (0..=MICROS_PER_DAY).contains(&micros) {
                true => Datum::Time(micros),
                false => return Err(out_of_range("time")),
            }
        }
        Repr::Timestamp => {
            let timestamp = i64::from_be_bytes(exact(bytes)?);
            match calendar::is_infinite(timestamp) || calendar::is_valid_timestamp(timestamp) {
                true => Datum::Timestamp(timestamp),
                false => return Err(out_of_range("timestamp")),
            }
        }
        Repr::Interval => {
            let bytes: [u8; 16] = exact(bytes)?;
            Datum::Interval(Interval {
                micros: i64::from_be_bytes(exact(&bytes[..8])?),
                days: i32::from_be_bytes(exact(&bytes[8..12])?),
                months: i32::from_be_bytes(exact(&bytes[12..])?),
            })
        }
        Repr::Range => Datum::range(super::range::read_binary(bytes, data_type)?),
        Repr::TimeTz => {
            let bytes: [u8; 12] = exact(bytes)?;
            let micros = i64::from_be_bytes(exact(&bytes[..8])?);
            let west = i32::from_be_bytes(exact(&bytes[8..])?);
            if !(0..=MICROS_PER_DAY).contains(&micros) {
                return Err(out_of_range("time"));
            }
            if west.unsigned_abs() >= super::datetime_input::OFFSET_MAX {
                let message = "time zone displacement out of range";
                return Err(Error::new(SqlState(*b"22009"), message));
            }
            Datum::TimeTz(super::TimeTz { micros, offset: -west })
        }
        Repr::Array => read_array(bytes, data_type)?,
        Repr::Record => {
            let message = "input of anonymous composite types is not implemented";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    })
}

/// UTF-8 without zero bytes, which no text type can hold.
pub fn read_text(bytes: &[u8]) -> Result<&str> {
    let bad = |bytes: &[u8]| {
        let shown: Vec<String> = bytes.iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        // As many bytes as the first one announces, as PostgreSQL reports them.
        let announced = match bytes[start] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        bad(&bytes[start..bytes.len().min(start + announced)])
    })?;
    match memchr::memchr(0, bytes).is_some() {
        true => Err(bad(&[0])),
        false => Ok(text),
    }
}

fn read_numeric(mut bytes: &[u8]) -> Result<Numeric> {
    let mut u16 = || Ok::<u16, Error>(u16::from_be_bytes(exact(take(&mut bytes, 2)?)?));
    let (count, weight, sign, scale) = (u16()?, u16()? as i16, u16()?, u16()?);
    match sign {
        0 | 0x4000 => {}
        0xc000 => return Ok(Numeric::NaN),
        0xd000 => return Ok(Numeric::Infinity),
        0xf000 => return Ok(Numeric::NegativeInfinity),
        _ => return Err(invalid("invalid sign in external \"numeric\" value")),
    }
    if i32::from(scale) > super::numeric::SCALE_MAX {
        return Err(invalid("invalid scale in external \"numeric\" value"));
    }
    let digits = take(&mut bytes, usize::from(count) * 2)?;
    if !bytes.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    let digits: Vec<i16> =
        digits.chunks_exact(2).map(|digit| i16::from_be_bytes([digit[0], digit[1]])).collect();
    Numeric::from_raw(sign == 0x4000, i32::from(weight), scale, &digits)
        .map(|value| value.trunc(i32::from(scale)))
        .ok_or_else(|| invalid("invalid digit in external \"numeric\" value"))
}

/// A row whose columns are known: the announced types must be theirs.
fn read_record(mut bytes: &[u8], template: &Record) -> Result<Datum> {
    let count = take_i32(&mut bytes)?;
    if usize::try_from(count) != Ok(template.len()) {
        let message = format!("wrong number of columns: {count}, expected {}", template.len());
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    let mut fields = Vec::with_capacity(template.len());
    for (index, (data_type, _)) in template.iter().enumerate() {
        let announced = Type(take_i32(&mut bytes)? as u32);
        if announced != *data_type {
            let message = format!(
                "binary data has type {} ({}) instead of expected {} ({}) in record column {}",
                announced.0,
                announced.display(),
                data_type.0,
                data_type.display(),
                index + 1
            );
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        let value = match take_i32(&mut bytes)? {
            -1 => Datum::Null,
            length => {
                let length = usize::try_from(length).map_err(|_| short())?;
                read_binary(take(&mut bytes, length)?, *data_type)?
            }
        };
        fields.push((*data_type, value));
    }
    match bytes.is_empty() {
        true => Ok(Datum::record(fields)),
        false => Err(invalid("incorrect binary data format")),
    }
}

fn read_array(mut bytes: &[u8], data_type: Type) -> Result<Datum> {
    let count = take_i32(&mut bytes)?;
    let count =
        usize::try_from(count).map_err(|_| invalid(format!("invalid number of dimensions: {count}")))?;
    if count > DIMENSIONS_MAX {
        return Err(too_many_dimensions(count));
    }
    if !matches!(take_i32(&mut bytes)?, 0 | 1) {
        return Err(invalid("invalid array flags"));
    }
    let element = Type(take_i32(&mut bytes)? as u32);
    if Some(element) != data_type.element() {
        let message = "binary data has array element type {} instead of expected {}"
            .replacen("{}", &element.0.to_string(), 1)
            .replacen("{}", &data_type.element().map_or(0, |element| element.0).to_string(), 1);
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    let mut dimensions = Vec::with_capacity(count);
    let mut total = if count == 0 { 0 } else { 1usize };
    for _ in 0..count {
        let (length, bound) = (take_i32(&mut bytes)?, take_i32(&mut bytes)?);
        let size = usize::try_from(length).ok().and_then(|length| total.checked_mul(length));
        total = size.filter(|size| *size <= ELEMENTS_MAX).ok_or_else(|| {
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed (134217727)")
        })?;
        dimensions.push((length, bound));
    }
    // Every element has 4 bytes at least: the announced count must not reserve memory that the message can't fill.
    if bytes.len() / 4 < total {
        return Err(short());
    }
    let mut elements = Vec::with_capacity(total);
    for _ in 0..total {
        elements.push(match take_i32(&mut bytes)? {
            -1 => Datum::Null,
            length => {
                let length = usize::try_from(length).map_err(|_| short())?;
                read_binary(take(&mut bytes, length)?, element)?
            }
        });
    }
    if !bytes.is_empty() {
        return Err(invalid("incorrect binary data format"));
    }
    if total == 0 {
        dimensions.clear();
    }
    Ok(Datum::array(ArrayValue { element, dimensions, elements }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_round_trips_and_hostile_bytes_do_not_panic() {
        let render = RenderSettings::default();
        let cases = [
            (Type::BOOL, "t"),
            (Type::INT2, "-3"),
            (Type::INT4, "7"),
            (Type::INT8, "-9000000000"),
            (Type::FLOAT4, "1.5"),
            (Type::FLOAT8, "-1e300"),
            (Type::NUMERIC, "-12345.6780"),
            (Type::NUMERIC, "NaN"),
            (Type::TEXT, "é"),
            (Type::BYTEA, "\\x00ff"),
            (Type::DATE, "1999-12-31"),
            (Type::TIME, "23:59:59.5"),
            (Type::TIMESTAMP, "infinity"),
            (Type::INTERVAL, "1 mon -2 days 00:00:03"),
            (Type::UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (Type::OID, "4000000000"),
            (Type(1007), "{{1,2},{3,NULL}}"),
            (Type(1009), "{}"),
            (Type::INT4RANGE, "[1,5)"),
            (Type::NUMMULTIRANGE, "{[1.5,2],(3,)}"),
            (Type::TIMETZ, "12:00:00.5-03:30"),
            (Type::INET, "10.1.2.3/8"),
            (Type::CIDR, "2001:db8::/32"),
            (Type::MACADDR, "08:00:2b:01:02:03"),
            (Type::MACADDR8, "08:00:2b:01:02:03:04:05"),
            (Type::BIT, "10110111011"),
            (Type::VARBIT, ""),
            (Type::JSONB, r#"{"a": [1.50, null]}"#),
            (Type::JSON, " [1] "),
            (Type::TSVECTOR, "'it''s':1A,3 b"),
            (Type::TSQUERY, "a:*A & !(b <3> c | d:B)"),
        ];
        let mut seed = 1u32;
        for (data_type, text) in cases {
            let value = parse_datum(text, data_type, -1, &render).unwrap();
            let mut bytes = Vec::new();
            write_binary_datum(&mut bytes, &value, data_type);
            assert_eq!(read_binary(&bytes, data_type).unwrap(), value);
            for length in 0..bytes.len() {
                let mut damaged = bytes.clone();
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                damaged[length] ^= (seed >> 24) as u8;
                let _ = read_binary(&damaged, data_type);
                let _ = read_binary(&bytes[..length], data_type);
            }
        }
        let mut bytes = Vec::new();
        write_numeric(&mut bytes, &Numeric::parse("-1.50").unwrap());
        assert_eq!(bytes, [0, 2, 0, 0, 0x40, 0, 0, 2, 0, 1, 0x13, 0x88]);
        // What PostgreSQL's tsvectorsend and tsquerysend give.
        for (data_type, text, expected) in [
            (Type::TSVECTOR, "b:3A,4 a", "000000026100000062000002c0030004"),
            (Type::TSQUERY, "a:*A & !b <3> c", "000000060202020400030100006300020101000062000108016100"),
        ] {
            let mut bytes = Vec::new();
            write_binary_datum(&mut bytes, &parse_datum(text, data_type, -1, &render).unwrap(), data_type);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, expected);
        }
    }
}
