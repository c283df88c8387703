//! Functions and operators of pg_lsn, a place in a log: eight bytes, big-endian.

use super::Registry;
use super::arguments::scalar;
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, Numeric, RenderSettings, Type, format_datum};

fn place(bytes: &[u8]) -> u64 {
    bytes.try_into().map(u64::from_be_bytes).unwrap_or_default()
}

pub fn to_datum(place: u64) -> Datum {
    Datum::Bytea(place.to_be_bytes().as_slice().into())
}

fn number(place: u64) -> Result<Numeric> {
    Numeric::from_scaled_i128(i128::from(place), 0)
}

fn distance(a: &[u8], b: &[u8]) -> Result<Numeric> {
    Numeric::from_scaled_i128(i128::from(place(a)) - i128::from(place(b)), 0)
}

fn from_numeric(value: &Numeric) -> Result<Datum> {
    let unconvertible = |what: &str| {
        let message = format!("cannot convert {what} to pg_lsn");
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    };
    match value {
        Numeric::NaN => return Err(unconvertible("NaN")),
        Numeric::Infinity | Numeric::NegativeInfinity => return Err(unconvertible("infinity")),
        _ => {}
    }
    let whole = Datum::numeric(value.round(0)?);
    let text = format_datum(&whole, Type::NUMERIC, &RenderSettings::default());
    let out_of_range = || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "pg_lsn out of range");
    text.parse().map(to_datum).map_err(|_| out_of_range())
}

fn moved(from: &[u8], by: &Numeric, back: bool) -> Result<Datum> {
    if matches!(by, Numeric::NaN) {
        let message = if back { "cannot subtract NaN from pg_lsn" } else { "cannot add NaN to pg_lsn" };
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let from = number(place(from))?;
    from_numeric(&if back { from.sub(by)? } else { from.add(by)? })
}

pub fn register(r: &mut Registry) {
    scalar!(r, "pg_lsn_eq", |a: &[u8], b: &[u8]| a == b);
    scalar!(r, "pg_lsn_ne", |a: &[u8], b: &[u8]| a != b);
    scalar!(r, "pg_lsn_lt", |a: &[u8], b: &[u8]| a < b);
    scalar!(r, "pg_lsn_le", |a: &[u8], b: &[u8]| a <= b);
    scalar!(r, "pg_lsn_gt", |a: &[u8], b: &[u8]| a > b);
    scalar!(r, "pg_lsn_ge", |a: &[u8], b: &[u8]| a >= b);
    scalar!(r, "pg_lsn_cmp", |a: &[u8], b: &[u8]| a.cmp(b) as i32);
    scalar!(r, "pg_lsn_larger", |a: &[u8], b: &[u8]| a.max(b));
    scalar!(r, "pg_lsn_smaller", |a: &[u8], b: &[u8]| a.min(b));
    scalar!(r, "pg_lsn_mi", |a: &[u8], b: &[u8]| distance(a, b));
    scalar!(r, "pg_wal_lsn_diff", |a: &[u8], b: &[u8]| distance(a, b));
    scalar!(r, "pg_lsn_pli", |a: &[u8], b: &Numeric| moved(a, b, false));
    scalar!(r, "pg_lsn_mii", |a: &[u8], b: &Numeric| moved(a, b, true));
    scalar!(r, "sql:numeric_pl_pg_lsn/2", |a: &Numeric, b: &[u8]| moved(b, a, false));
    scalar!(r, "numeric_pg_lsn", |a: &Numeric| from_numeric(a));
}
