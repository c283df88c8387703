//! Functions and operators of bit and bit varying, which are texts of 0 and 1.

use super::Registry;
use super::arguments::scalar;
use crate::error::{Error, Result, SqlState};
use crate::types::bits::fit;
use crate::types::{Datum, Type};

fn combine(a: &str, b: &str, what: &str, bit: impl Fn(bool, bool) -> bool) -> Result<String> {
    if a.len() != b.len() {
        let message = format!("cannot {what} bit strings of different sizes");
        return Err(Error::new(SqlState(*b"22026"), message));
    }
    let bits = a.bytes().zip(b.bytes()).map(|(a, b)| if bit(a == b'1', b == b'1') { '1' } else { '0' });
    Ok(bits.collect())
}

/// As the aggregates combine integers: bit by bit.
pub(super) fn combine_texts(a: &str, b: &str, bit: fn(i64, i64) -> i64) -> Result<String> {
    combine(a, b, "combine", |a, b| bit(a.into(), b.into()) & 1 == 1)
}

fn shift(bits: &str, by: i32) -> String {
    let length = bits.len();
    let distance = usize::try_from(by.unsigned_abs()).unwrap_or(length).min(length);
    let zeros = "0".repeat(distance);
    match by >= 0 {
        true => format!("{}{zeros}", &bits[distance..]),
        false => format!("{zeros}{}", &bits[..length - distance]),
    }
}

/// Positions from 1; what lies outside is left out.
fn substring(bits: &str, start: i32, length: Option<i32>) -> Result<String> {
    let end = match length {
        None => i64::MAX,
        Some(length) if length < 0 => {
            return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
        }
        Some(length) => i64::from(start) + i64::from(length),
    };
    let clamp = |at: i64| (at - 1).clamp(0, bits.len() as i64) as usize;
    let (from, to) = (clamp(start.into()), clamp(end));
    Ok(bits[from..to.max(from)].to_owned())
}

fn overlay(bits: &str, new: &str, start: i32, length: i32) -> Result<String> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let after = start
        .checked_add(length)
        .ok_or_else(|| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))?;
    Ok(format!("{}{new}{}", substring(bits, 1, Some(start - 1))?, substring(bits, after, None)?))
}

fn bit_at(bits: &str, index: i32) -> Result<usize> {
    usize::try_from(index).ok().filter(|at| *at < bits.len()).ok_or_else(|| {
        let message = format!("bit index {index} out of valid range (0..{})", bits.len() as i64 - 1);
        Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
    })
}

/// The last bits of a number, its sign repeated before them.
fn from_integer(value: i64, width: usize, length: i32) -> String {
    let length = if length <= 0 { 1 } else { length as usize };
    let all = format!("{value:064b}");
    let own = &all[64 - width..];
    match length <= width {
        true => own[width - length..].to_owned(),
        false => {
            let sign = if value < 0 { "1" } else { "0" };
            sign.repeat(length - width) + own
        }
    }
}

fn to_integer(bits: &str, width: usize, name: &str) -> Result<i64> {
    if bits.len() > width {
        let message = format!("{name} out of range");
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    let value = bits.bytes().fold(0u64, |value, bit| value << 1 | u64::from(bit == b'1'));
    Ok(if width == 32 { i64::from(value as u32 as i32) } else { value as i64 })
}

fn cast(arguments: &[Datum], data_type: Type) -> Result<Datum> {
    let [Datum::Text(bits), Datum::Int4(length), rest @ ..] = arguments else {
        return Err(super::kernel::not_vectors());
    };
    let explicit = rest.first().and_then(Datum::as_bool).unwrap_or(true);
    match usize::try_from(*length) {
        Ok(length) if length > 0 => {
            Ok(fit(bits, data_type, length, explicit)?.map_or(arguments[0].clone(), Datum::text))
        }
        _ => Ok(arguments[0].clone()),
    }
}

pub fn register(r: &mut Registry) {
    scalar!(r, "biteq", |a: &str, b: &str| a == b);
    scalar!(r, "bitne", |a: &str, b: &str| a != b);
    scalar!(r, "bitlt", |a: &str, b: &str| a < b);
    scalar!(r, "bitle", |a: &str, b: &str| a <= b);
    scalar!(r, "bitgt", |a: &str, b: &str| a > b);
    scalar!(r, "bitge", |a: &str, b: &str| a >= b);
    scalar!(r, "bitcmp", |a: &str, b: &str| a.cmp(b) as i32);
    scalar!(r, "bit_and", |a: &str, b: &str| combine(a, b, "AND", |a, b| a && b));
    scalar!(r, "bit_or", |a: &str, b: &str| combine(a, b, "OR", |a, b| a || b));
    scalar!(r, "bitxor", |a: &str, b: &str| combine(a, b, "XOR", |a, b| a != b));
    scalar!(r, "bitnot", |a: &str| combine(a, a, "NOT", |a, _| !a));
    scalar!(r, "bitshiftleft", |a: &str, by: i32| shift(a, by));
    scalar!(r, "bitshiftright", |a: &str, by: i32| shift(a, by.saturating_neg()));
    scalar!(r, "bitcat", |a: &str, b: &str| [a, b].concat());
    scalar!(r, "bitsubstr", |a: &str, start: i32, length: i32| substring(a, start, Some(length)));
    scalar!(r, "bitsubstr_no_len", |a: &str, start: i32| substring(a, start, None));
    scalar!(r, "bitoverlay", |a: &str, b: &str, start: i32, length: i32| overlay(a, b, start, length));
    scalar!(r, "bitoverlay_no_len", |a: &str, b: &str, start: i32| overlay(a, b, start, b.len() as i32));
    scalar!(r, "bitlength", |a: &str| a.len() as i32);
    scalar!(r, "bitoctetlength", |a: &str| a.len().div_ceil(8) as i32);
    scalar!(r, "bit_bit_count", |a: &str| a.bytes().filter(|bit| *bit == b'1').count() as i64);
    scalar!(r, "bitposition", |a: &str, part: &str| match a.is_empty() {
        true => 0,
        false => a.find(part).map_or(0, |at| at as i32 + 1),
    });
    scalar!(r, "bitgetbit", |a: &str, index: i32| bit_at(a, index)
        .map(|at| i32::from(a.as_bytes()[at] == b'1')));
    scalar!(r, "bitsetbit", |a: &str, index: i32, new: i32| {
        let at = bit_at(a, index)?;
        match new {
            0 | 1 => Ok(format!("{}{new}{}", &a[..at], &a[at + 1..])),
            _ => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1")),
        }
    });
    scalar!(r, "bitfromint4", |value: i32, length: i32| from_integer(value.into(), 32, length));
    scalar!(r, "bitfromint8", |value: i64, length: i32| from_integer(value, 64, length));
    scalar!(r, "bittoint4", |a: &str| to_integer(a, 32, "integer").map(|value| value as i32));
    scalar!(r, "bittoint8", |a: &str| to_integer(a, 64, "bigint"));
    r.scalar("bit", |arguments, _| cast(arguments, Type::BIT));
    r.scalar("varbit", |arguments, _| cast(arguments, Type::VARBIT));
}
