//! One value. Columns of many values are in `column.rs`; a `Datum` is for constants, parameters and short paths.

use super::numeric::Numeric;
use super::range::RangeValue;
use super::{Oid, Type};
use crate::extension::{citext::folded, hstore, ltree};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
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
    Numeric(Numeric),
    Text(Arc<str>),
    Bytea(Arc<[u8]>),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Interval(Interval),
    Uuid([u8; 16]),
    Oid(Oid),
    Array(Arc<ArrayValue>),
    Record(Arc<Record>),
    Range(Arc<RangeValue>),
    TimeTz(TimeTz),
}

/// A time of day where the clock shows `offset` seconds more than Greenwich's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeTz {
    pub micros: i64,
    pub offset: i32,
}

impl TimeTz {
    /// In what order values come: by the instant, then the easternmost first (timetz_cmp).
    pub fn rank(self) -> (i64, i32) {
        (self.micros - i64::from(self.offset) * 1_000_000, -self.offset)
    }
}

/// A row as one value. Of a named composite type the names are the type's; a row that a query makes has its own.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub fields: Vec<(Type, Datum)>,
    pub names: Option<Arc<[String]>>,
}

impl std::ops::Deref for Record {
    type Target = [(Type, Datum)];
    fn deref(&self) -> &[(Type, Datum)] {
        &self.fields
    }
}

/// Months, days and microseconds are kept apart, as a month has no fixed length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub micros: i64,
}

/// Row-major elements with their dimensions; no dimensions: empty.
#[derive(Clone, Debug)]
pub struct ArrayValue {
    pub element: Type,
    /// (length, lower bound) of each dimension, outermost first.
    pub dimensions: Vec<(i32, i32)>,
    pub elements: Vec<Datum>,
}

/// Accessors that answer None for another variant (and for null).
macro_rules! accessors {
    ($($name:ident -> $type:ty = $variant:ident;)*) => {
        impl Datum {$(
            pub fn $name(&self) -> Option<$type> {
                match self {
                    Datum::$variant(value) => Some(*value),
                    _ => None,
                }
            }
        )*}
    };
}

accessors! {
    as_bool -> bool = Bool;
    as_i16 -> i16 = Int2;
    as_i32 -> i32 = Int4;
    as_i64 -> i64 = Int8;
    as_f32 -> f32 = Float4;
    as_f64 -> f64 = Float8;
    as_date -> i32 = Date;
    as_time -> i64 = Time;
    as_timestamp -> i64 = Timestamp;
    as_interval -> Interval = Interval;
    as_uuid -> [u8; 16] = Uuid;
    as_oid -> Oid = Oid;
}

impl Datum {
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }
    pub fn text(value: impl Into<Arc<str>>) -> Datum {
        Datum::Text(value.into())
    }
    pub fn numeric(value: Numeric) -> Datum {
        Datum::Numeric(value)
    }
    pub fn range(value: RangeValue) -> Datum {
        Datum::Range(Arc::new(value))
    }
    pub fn array(value: ArrayValue) -> Datum {
        Datum::Array(Arc::new(value))
    }
    /// A row whose fields have no names of their own.
    pub fn record(fields: Vec<(Type, Datum)>) -> Datum {
        Datum::Record(Arc::new(Record { fields, names: None }))
    }
    pub fn named_record(fields: Vec<(Type, Datum)>, names: Option<Arc<[String]>>) -> Datum {
        Datum::Record(Arc::new(Record { fields, names }))
    }
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Datum::Text(value) => Some(value),
            _ => None,
        }
    }
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Datum::Bytea(value) => Some(value),
            Datum::Text(value) => Some(value.as_bytes()),
            _ => None,
        }
    }
    pub fn as_numeric(&self) -> Option<&Numeric> {
        match self {
            Datum::Numeric(value) => Some(value),
            _ => None,
        }
    }
    pub fn as_array(&self) -> Option<&ArrayValue> {
        match self {
            Datum::Array(value) => Some(value),
            _ => None,
        }
    }
    pub fn as_range(&self) -> Option<&RangeValue> {
        match self {
            Datum::Range(value) => Some(value),
            _ => None,
        }
    }
    pub fn as_record(&self) -> Option<&Record> {
        match self {
            Datum::Record(value) => Some(value),
            _ => None,
        }
    }
    /// Any of the integer types (and oid) widened.
    pub fn as_integer(&self) -> Option<i64> {
        Some(match self {
            Datum::Int2(value) => i64::from(*value),
            Datum::Int4(value) => i64::from(*value),
            Datum::Int8(value) => *value,
            Datum::Oid(value) => i64::from(*value),
            _ => return None,
        })
    }
    /// What this value is held as; None for null.
    pub fn repr(&self) -> Option<super::Repr> {
        use super::Repr;
        Some(match self {
            Datum::Null => return None,
            Datum::Bool(_) => Repr::Bool,
            Datum::Int2(_) => Repr::Int2,
            Datum::Int4(_) => Repr::Int4,
            Datum::Int8(_) => Repr::Int8,
            Datum::Float4(_) => Repr::Float4,
            Datum::Float8(_) => Repr::Float8,
            Datum::Numeric(_) => Repr::Numeric,
            Datum::Text(_) => Repr::Text,
            Datum::Bytea(_) => Repr::Bytea,
            Datum::Date(_) => Repr::Date,
            Datum::Time(_) => Repr::Time,
            Datum::Timestamp(_) => Repr::Timestamp,
            Datum::Interval(_) => Repr::Interval,
            Datum::Uuid(_) => Repr::Uuid,
            Datum::Oid(_) => Repr::Oid,
            Datum::Array(_) => Repr::Array,
            Datum::Record(_) => Repr::Record,
            Datum::Range(_) => Repr::Range,
            Datum::TimeTz(_) => Repr::TimeTz,
        })
    }
    /// A rough size in memory, for budgets.
    pub fn bytes(&self) -> usize {
        size_of::<Datum>()
            + match self {
                Datum::Text(value) => 16 + value.len(),
                Datum::Bytea(value) => 16 + value.len(),
                Datum::Numeric(value) => value.bytes() - size_of::<Numeric>(),
                Datum::Array(value) => 64 + value.elements.iter().map(Datum::bytes).sum::<usize>(),
                Datum::Record(value) => 16 + value.iter().map(|field| 8 + field.1.bytes()).sum::<usize>(),
                Datum::Range(value) => {
                    let ends = value.spans.iter().flat_map(|span| [&span.lower.value, &span.upper.value]);
                    64 + ends.flatten().map(|bound| 16 + bound.bytes()).sum::<usize>()
                }
                _ => 0,
            }
    }
}

impl From<Option<Datum>> for Datum {
    fn from(value: Option<Datum>) -> Datum {
        value.unwrap_or(Datum::Null)
    }
}

/// NaN equals itself and is greater than any other number; -0 equals 0.
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Interval {
    /// PostgreSQL compares intervals by a month of 30 days and a day of 24 hours.
    pub fn span(&self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * 86_400_000_000 + i128::from(self.micros)
    }
}

/// Compares two values of one type by its default order, as ORDER BY and btree indexes do; null is greatest. Values of
/// different integer widths compare too. bpchar needs [`compare_as`].
pub fn compare(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => compare_floats(f64::from(*a), f64::from(*b)),
        (Datum::Float8(a), Datum::Float8(b)) => compare_floats(*a, *b),
        (Datum::Float4(a), Datum::Float8(b)) => compare_floats(f64::from(*a), *b),
        (Datum::Float8(a), Datum::Float4(b)) => compare_floats(*a, f64::from(*b)),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.compare(b),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Time(a), Datum::Time(b)) | (Datum::Timestamp(a), Datum::Timestamp(b)) => a.cmp(b),
        (Datum::Interval(a), Datum::Interval(b)) => a.span().cmp(&b.span()),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => compare_arrays(a, b),
        (Datum::Range(a), Datum::Range(b)) => a.compare(b),
        (Datum::TimeTz(a), Datum::TimeTz(b)) => a.rank().cmp(&b.rank()),
        (Datum::Record(a), Datum::Record(b)) => {
            let fields = a.iter().zip(b.iter()).map(|(a, b)| compare_as(&a.1, &b.1, a.0));
            fields.into_iter().find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
        }
        _ => match (a.as_integer(), b.as_integer()) {
            (Some(a), Some(b)) => a.cmp(&b),
            // Never for values of one type; some total order keeps sorts sane.
            _ => (a.repr().map(|r| r as u8)).cmp(&b.repr().map(|r| r as u8)),
        },
    }
}

/// Elements first, then the number of dimensions and their sizes (array_cmp).
fn compare_arrays(a: &ArrayValue, b: &ArrayValue) -> Ordering {
    let elements = a.elements.iter().zip(&b.elements).map(|(x, y)| compare_as(x, y, a.element));
    elements
        .into_iter()
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
        .then(a.elements.len().cmp(&b.elements.len()))
        .then(a.dimensions.len().cmp(&b.dimensions.len()))
        .then_with(|| {
            let lengths = a.dimensions.iter().map(|d| d.0).cmp(b.dimensions.iter().map(|d| d.0));
            lengths.then_with(|| a.dimensions.iter().map(|d| d.1).cmp(b.dimensions.iter().map(|d| d.1)))
        })
}

/// [`compare`], knowing the type: trailing blanks of character(n) and the case of citext don't count, jsonb has an order of its own.
pub fn compare_as(a: &Datum, b: &Datum, data_type: Type) -> Ordering {
    match (a, b) {
        (Datum::Text(a), Datum::Text(b)) if data_type == Type::BPCHAR => {
            a.trim_end_matches(' ').as_bytes().cmp(b.trim_end_matches(' ').as_bytes())
        }
        (Datum::Text(a), Datum::Text(b)) if data_type == Type::JSONB => super::json::compare_text(a, b),
        (Datum::Text(a), Datum::Text(b)) if data_type == Type::LTREE => {
            ltree::order_bytes(a).cmp(&ltree::order_bytes(b))
        }
        (Datum::Text(a), Datum::Text(b)) if data_type == Type::HSTORE => hstore::compare(a, b),
        (Datum::Text(a), Datum::Text(b)) if data_type == Type::CITEXT => {
            folded(a).as_bytes().cmp(folded(b).as_bytes())
        }
        _ => compare(a, b),
    }
}

/// Not distinct: equal as its type's `=` says, and null is like null.
impl PartialEq for Datum {
    fn eq(&self, other: &Datum) -> bool {
        compare(self, other).is_eq()
    }
}

impl Eq for Datum {}

/// Consistent with `==`: values that compare equal hash equally, whatever their scale, sign of zero or unit.
impl Hash for Datum {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Datum::Null => state.write_u8(0),
            Datum::Bool(value) => state.write_i64(i64::from(*value)),
            Datum::Int2(value) => state.write_i64(i64::from(*value)),
            Datum::Int4(value) => state.write_i64(i64::from(*value)),
            Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) => state.write_i64(*value),
            Datum::Oid(value) => state.write_i64(i64::from(*value)),
            Datum::Date(value) => state.write_i64(i64::from(*value)),
            Datum::Float4(value) => hash_float(f64::from(*value), state),
            Datum::Float8(value) => hash_float(*value, state),
            Datum::Numeric(value) => value.hash_value(state),
            Datum::Text(value) => state.write(value.as_bytes()),
            Datum::Bytea(value) => state.write(value),
            Datum::Interval(value) => state.write_i128(value.span()),
            Datum::Uuid(value) => state.write(value),
            Datum::Array(value) => {
                state.write_usize(value.elements.len());
                value.elements.iter().for_each(|element| hash_as(element, value.element, state));
            }
            Datum::TimeTz(value) => {
                state.write_i64(value.micros);
                state.write_i32(value.offset);
            }
            Datum::Range(value) => {
                state.write_usize(value.spans.len());
                for bound in value.spans.iter().flat_map(|span| [&span.lower, &span.upper]) {
                    state.write_u8(u8::from(bound.inclusive));
                    bound.value.iter().for_each(|bound| hash_as(bound, value.element, state));
                }
            }
            Datum::Record(fields) => {
                state.write_usize(fields.len());
                fields.iter().for_each(|field| hash_as(&field.1, field.0, state));
            }
        }
    }
}

/// Consistent with [`compare_as`].
pub fn hash_as<H: Hasher>(value: &Datum, data_type: Type, state: &mut H) {
    match value {
        Datum::Text(value) if data_type == Type::BPCHAR => {
            state.write(value.trim_end_matches(' ').as_bytes())
        }
        Datum::Text(value) if data_type == Type::JSONB => super::json::hash_text(value, state),
        Datum::Text(value) if data_type == Type::CITEXT => state.write(folded(value).as_bytes()),
        _ => value.hash(state),
    }
}

pub fn hash_float<H: Hasher>(value: f64, state: &mut H) {
    let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
    state.write_u64(canonical.to_bits());
}
