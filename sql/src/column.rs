//! Typed column vectors: what operators pass to each other, about 1024 rows at a time.

use crate::types::{Datum, Interval, Numeric, Oid};
use std::sync::Arc;

pub const BATCH_ROWS: usize = 1024;

/// Values of one representation. Where `Column::nulls` says null, the value is arbitrary but present.
#[derive(Clone, Debug)]
pub enum Values {
    Bool(Vec<bool>),
    Int2(Vec<i16>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Numeric(Vec<Arc<Numeric>>),
    Text(Strings),
    Bytea(Strings),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>),
    Interval(Vec<Interval>),
    Uuid(Vec<[u8; 16]>),
    Oid(Vec<Oid>),
    /// Arrays and records: the long tail.
    Datum(Vec<Datum>),
}

/// Byte strings back to back: string `i` is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug)]
pub struct Strings {
    pub offsets: Vec<usize>,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub values: Values,
    /// A set bit is a null; `None`: no nulls.
    pub nulls: Option<Bitmap>,
}

#[derive(Clone, Debug, Default)]
pub struct Bitmap {
    pub words: Vec<u64>,
    pub len: usize,
}

/// Rows as columns. A batch without columns still has a row count. Columns are shared, so projections copy nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub columns: Vec<Arc<Column>>,
    pub rows: usize,
}
