//! `=`, `<>`, `<`, `<=`, `>`, `>=` of every type, and between types where PostgreSQL has an operator for it.

use super::Registry;
use super::arguments::{Date, Timestamp, scalar};
use super::datetime::{date_to_timestamp, date_to_timestamptz, timestamp_to_timestamptz};
use super::kernel::{compare, compare_text, numeric};
use crate::error::{Error, Result};
use crate::types::{Datum, Numeric, compare as compare_datums, compare_as, compare_floats};
use std::cmp::Ordering;

/// Registers the six comparisons with a kernel for fixed-width values, by their total order.
macro_rules! six {
    ($registry:expr, $prefix:literal, $a:ident, $b:ident, $order:expr) => {
        compare!($registry, concat!($prefix, "eq"), $a, $b, |a, b| $order(a, b).is_eq());
        compare!($registry, concat!($prefix, "ne"), $a, $b, |a, b| $order(a, b).is_ne());
        compare!($registry, concat!($prefix, "lt"), $a, $b, |a, b| $order(a, b).is_lt());
        compare!($registry, concat!($prefix, "le"), $a, $b, |a, b| $order(a, b).is_le());
        compare!($registry, concat!($prefix, "gt"), $a, $b, |a, b| $order(a, b).is_gt());
        compare!($registry, concat!($prefix, "ge"), $a, $b, |a, b| $order(a, b).is_ge());
    };
}

/// The same without kernels, by any function of two arguments.
macro_rules! six_scalar {
    ($registry:expr, $eq:expr, $ne:expr, $lt:expr, $le:expr, $gt:expr, $ge:expr,
     |$context:ident; $a:ident : $ta:ty, $b:ident : $tb:ty| $order:expr) => {
        scalar!($registry, $eq, |$context; $a: $ta, $b: $tb| { let _ = $context; $order.map(Ordering::is_eq) });
        scalar!($registry, $ne, |$context; $a: $ta, $b: $tb| { let _ = $context; $order.map(Ordering::is_ne) });
        scalar!($registry, $lt, |$context; $a: $ta, $b: $tb| { let _ = $context; $order.map(Ordering::is_lt) });
        scalar!($registry, $le, |$context; $a: $ta, $b: $tb| { let _ = $context; $order.map(Ordering::is_le) });
        scalar!($registry, $gt, |$context; $a: $ta, $b: $tb| { let _ = $context; $order.map(Ordering::is_gt) });
        scalar!($registry, $ge, |$context; $a: $ta, $b: $tb| { let _ = $context; $order.map(Ordering::is_ge) });
    };
}

macro_rules! six_datums {
    ($registry:expr, $prefix:literal) => {
        six_scalar!($registry, concat!($prefix, "eq"), concat!($prefix, "ne"), concat!($prefix, "lt"),
            concat!($prefix, "le"), concat!($prefix, "gt"), concat!($prefix, "ge"),
            |context; a: &Datum, b: &Datum| Ok::<Ordering, Error>(compare_datums(a, b)))
    };
}

fn integers<A: Into<i64>, B: Into<i64>>(a: A, b: B) -> Ordering {
    a.into().cmp(&b.into())
}

fn floats<A: Into<f64>, B: Into<f64>>(a: A, b: B) -> Ordering {
    compare_floats(a.into(), b.into())
}

fn same<T: Ord>(a: T, b: T) -> Ordering {
    a.cmp(&b)
}

fn order(a: i64, b: i64) -> Result<Ordering> {
    Ok(a.cmp(&b))
}

/// A char(n) without the spaces at its end, which do not count.
fn unpadded(text: &[u8]) -> &[u8] {
    let spaces = text.iter().rev().take_while(|byte| **byte == b' ').count();
    &text[..text.len() - spaces]
}

pub fn register(r: &mut Registry) {
    six!(r, "bool", Bool, Bool, same);
    six!(r, "int2", Int2, Int2, same);
    six!(r, "int4", Int4, Int4, same);
    six!(r, "int8", Int8, Int8, same);
    six!(r, "cash_", Int8, Int8, same);
    six!(r, "int24", Int2, Int4, integers);
    six!(r, "int42", Int4, Int2, integers);
    six!(r, "int28", Int2, Int8, integers);
    six!(r, "int82", Int8, Int2, integers);
    six!(r, "int48", Int4, Int8, integers);
    six!(r, "int84", Int8, Int4, integers);
    six!(r, "float4", Float4, Float4, floats);
    six!(r, "float8", Float8, Float8, floats);
    six!(r, "float48", Float4, Float8, floats);
    six!(r, "float84", Float8, Float4, floats);
    six!(r, "oid", Oid, Oid, same);
    six!(r, "date_", Date, Date, same);
    six!(r, "time_", Time, Time, same);
    six!(r, "timestamp_", Timestamp, Timestamp, same);
    six!(r, "uuid_", Uuid, Uuid, same);

    numeric!(r, "numeric_eq" => Bool, |a: &Numeric, b: &Numeric| Ok::<_, Error>(a.compare(b).is_eq()));
    numeric!(r, "numeric_ne" => Bool, |a: &Numeric, b: &Numeric| Ok::<_, Error>(a.compare(b).is_ne()));
    numeric!(r, "numeric_lt" => Bool, |a: &Numeric, b: &Numeric| Ok::<_, Error>(a.compare(b).is_lt()));
    numeric!(r, "numeric_le" => Bool, |a: &Numeric, b: &Numeric| Ok::<_, Error>(a.compare(b).is_le()));
    numeric!(r, "numeric_gt" => Bool, |a: &Numeric, b: &Numeric| Ok::<_, Error>(a.compare(b).is_gt()));
    numeric!(r, "numeric_ge" => Bool, |a: &Numeric, b: &Numeric| Ok::<_, Error>(a.compare(b).is_ge()));

    compare_text!(r, "texteq", |a: &[u8], b: &[u8]| a == b);
    compare_text!(r, "textne", |a: &[u8], b: &[u8]| a != b);
    compare_text!(r, "text_lt", |a: &[u8], b: &[u8]| a < b);
    compare_text!(r, "text_le", |a: &[u8], b: &[u8]| a <= b);
    compare_text!(r, "text_gt", |a: &[u8], b: &[u8]| a > b);
    compare_text!(r, "text_ge", |a: &[u8], b: &[u8]| a >= b);
    compare_text!(r, "text_pattern_lt", |a: &[u8], b: &[u8]| a < b);
    compare_text!(r, "text_pattern_le", |a: &[u8], b: &[u8]| a <= b);
    compare_text!(r, "text_pattern_gt", |a: &[u8], b: &[u8]| a > b);
    compare_text!(r, "text_pattern_ge", |a: &[u8], b: &[u8]| a >= b);

    six_datums!(r, "char");
    six_datums!(r, "name");
    six_datums!(r, "bytea");
    six_datums!(r, "interval_");
    six_datums!(r, "array_");
    six_datums!(r, "record_");
    six_datums!(r, "oidvector");
    six_datums!(r, "xid8");
    six_datums!(r, "tid");
    six_scalar!(r, "nameeqtext", "namenetext", "namelttext", "nameletext", "namegttext", "namegetext",
        |context; a: &Datum, b: &Datum| Ok::<Ordering, Error>(compare_datums(a, b)));
    six_scalar!(r, "texteqname", "textnename", "textltname", "textlename", "textgtname", "textgename",
        |context; a: &Datum, b: &Datum| Ok::<Ordering, Error>(compare_datums(a, b)));
    for name in ["xideq", "cideq"] {
        scalar!(r, name, |a: &Datum, b: &Datum| compare_datums(a, b).is_eq());
    }
    scalar!(r, "xidneq", |a: &Datum, b: &Datum| compare_datums(a, b).is_ne());
    compare_text!(r, "bpchareq", |a: &[u8], b: &[u8]| unpadded(a) == unpadded(b));
    compare_text!(r, "bpcharne", |a: &[u8], b: &[u8]| unpadded(a) != unpadded(b));
    compare_text!(r, "bpcharlt", |a: &[u8], b: &[u8]| unpadded(a) < unpadded(b));
    compare_text!(r, "bpcharle", |a: &[u8], b: &[u8]| unpadded(a) <= unpadded(b));
    compare_text!(r, "bpchargt", |a: &[u8], b: &[u8]| unpadded(a) > unpadded(b));
    compare_text!(r, "bpcharge", |a: &[u8], b: &[u8]| unpadded(a) >= unpadded(b));

    // Across the date and time types: everything becomes a timestamp.
    six_scalar!(r, "date_eq_timestamp", "date_ne_timestamp", "date_lt_timestamp", "date_le_timestamp",
        "date_gt_timestamp", "date_ge_timestamp",
        |context; a: Date, b: Timestamp| order(clamped(date_to_timestamp(a.0), a.0), b.0));
    six_scalar!(r, "timestamp_eq_date", "timestamp_ne_date", "timestamp_lt_date", "timestamp_le_date",
        "timestamp_gt_date", "timestamp_ge_date",
        |context; a: Timestamp, b: Date| order(a.0, clamped(date_to_timestamp(b.0), b.0)));
    six_scalar!(r, "date_eq_timestamptz", "date_ne_timestamptz", "date_lt_timestamptz", "date_le_timestamptz",
        "date_gt_timestamptz", "date_ge_timestamptz",
        |context; a: Date, b: Timestamp| order(clamped(date_to_timestamptz(a.0, context), a.0), b.0));
    six_scalar!(r, "timestamptz_eq_date", "timestamptz_ne_date", "timestamptz_lt_date", "timestamptz_le_date",
        "timestamptz_gt_date", "timestamptz_ge_date",
        |context; a: Timestamp, b: Date| order(a.0, clamped(date_to_timestamptz(b.0, context), b.0)));
    six_scalar!(r, "timestamp_eq_timestamptz", "timestamp_ne_timestamptz", "timestamp_lt_timestamptz",
        "timestamp_le_timestamptz", "timestamp_gt_timestamptz", "timestamp_ge_timestamptz",
        |context; a: Timestamp, b: Timestamp| order(timestamp_to_timestamptz(a.0, context)?, b.0));
    six_scalar!(r, "timestamptz_eq_timestamp", "timestamptz_ne_timestamp", "timestamptz_lt_timestamp",
        "timestamptz_le_timestamp", "timestamptz_gt_timestamp", "timestamptz_ge_timestamp",
        |context; a: Timestamp, b: Timestamp| order(a.0, timestamp_to_timestamptz(b.0, context)?));

    // The btree support functions, callable like any other.
    for name in [
        "btboolcmp",
        "btint2cmp",
        "btint4cmp",
        "btint8cmp",
        "btint24cmp",
        "btint28cmp",
        "btint42cmp",
        "btint48cmp",
        "btint82cmp",
        "btint84cmp",
        "btfloat4cmp",
        "btfloat8cmp",
        "btfloat48cmp",
        "btfloat84cmp",
        "btoidcmp",
        "bttextcmp",
        "btnamecmp",
        "btcharcmp",
        "byteacmp",
        "date_cmp",
        "time_cmp",
        "timestamp_cmp",
        "interval_cmp",
        "numeric_cmp",
        "uuid_cmp",
        "btarraycmp",
        "btrecordcmp",
    ] {
        scalar!(r, name, |a: &Datum, b: &Datum| compare_datums(a, b) as i32);
    }
    scalar!(r, "bpcharcmp", |a: &Datum, b: &Datum| compare_as(a, b, crate::types::Type::BPCHAR) as i32);
}

/// A date beyond the timestamps compares like infinity of its side.
fn clamped(timestamp: Result<i64>, date: i32) -> i64 {
    timestamp.unwrap_or(if date > 0 { i64::MAX } else { i64::MIN })
}
