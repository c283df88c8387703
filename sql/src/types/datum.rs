//! One value. Columns of many values are in `column.rs`; a `Datum` is for constants, parameters and short paths.

use super::{Oid, Type};
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub enum Datum {
    #[default]
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(Arc<Numeric>),
    Text(Arc<str>),
    Bytea(Arc<[u8]>),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    Oid(Oid),
    Array(Arc<ArrayValue>),
    Record(Arc<[(Type, Datum)]>),
}

/// Months, days and microseconds are kept apart, as a month has no fixed length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// An exact decimal of up to 131072 digits before and 16383 after the point, or NaN or ±infinity.
/// Value = (-1)^negative × Σ digits[i] × 10000^(weight - i), as in PostgreSQL's numeric.c; `display_scale` digits
/// after the point are shown.
#[derive(Clone, Debug)]
pub enum Numeric {
    Finite { negative: bool, weight: i32, display_scale: u16, digits: smallvec::SmallVec<[i16; 6]> },
    NaN,
    Infinity,
    NegativeInfinity,
}

/// Row-major elements with their dimensions; no dimensions: empty.
#[derive(Clone, Debug)]
pub struct ArrayValue {
    pub element: Type,
    /// (length, lower bound) of each dimension, outermost first.
    pub dimensions: Vec<(i32, i32)>,
    pub elements: Vec<Datum>,
}
