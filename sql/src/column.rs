//! Typed column vectors: what operators pass to each other, about 1024 rows at a time.

use crate::types::{Datum, Interval, Numeric, Oid, Repr};
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
    Numeric(Vec<Numeric>),
    Text(Strings),
    Bytea(Strings),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>),
    Interval(Vec<Interval>),
    Uuid(Vec<[u8; 16]>),
    Oid(Vec<Oid>),
    /// Arrays, records, ranges, times with zones: the long tail.
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// Runs one expression for whichever vector is inside: fixed-width vectors and strings.
macro_rules! each {
    ($values:expr, $vector:ident => $fixed:expr, $strings:ident => $string:expr) => {
        match $values {
            Values::Bool($vector) => $fixed,
            Values::Int2($vector) => $fixed,
            Values::Int4($vector) => $fixed,
            Values::Int8($vector) => $fixed,
            Values::Float4($vector) => $fixed,
            Values::Float8($vector) => $fixed,
            Values::Numeric($vector) => $fixed,
            Values::Date($vector) => $fixed,
            Values::Time($vector) => $fixed,
            Values::Timestamp($vector) => $fixed,
            Values::Interval($vector) => $fixed,
            Values::Uuid($vector) => $fixed,
            Values::Oid($vector) => $fixed,
            Values::Datum($vector) => $fixed,
            Values::Text($strings) => $string,
            Values::Bytea($strings) => $string,
        }
    };
}

/// The same, with a result of the same variant.
macro_rules! map_each {
    ($values:expr, $vector:ident => $fixed:expr, $strings:ident => $string:expr) => {
        match $values {
            Values::Bool($vector) => Values::Bool($fixed),
            Values::Int2($vector) => Values::Int2($fixed),
            Values::Int4($vector) => Values::Int4($fixed),
            Values::Int8($vector) => Values::Int8($fixed),
            Values::Float4($vector) => Values::Float4($fixed),
            Values::Float8($vector) => Values::Float8($fixed),
            Values::Numeric($vector) => Values::Numeric($fixed),
            Values::Date($vector) => Values::Date($fixed),
            Values::Time($vector) => Values::Time($fixed),
            Values::Timestamp($vector) => Values::Timestamp($fixed),
            Values::Interval($vector) => Values::Interval($fixed),
            Values::Uuid($vector) => Values::Uuid($fixed),
            Values::Oid($vector) => Values::Oid($fixed),
            Values::Datum($vector) => Values::Datum($fixed),
            Values::Text($strings) => Values::Text($string),
            Values::Bytea($strings) => Values::Bytea($string),
        }
    };
}

/// Runs one expression where both sides hold the same variant.
macro_rules! each_pair {
    ($pair:expr, $a:ident, $b:ident => $fixed:expr, $s:ident, $t:ident => $string:expr) => {
        match $pair {
            (Values::Bool($a), Values::Bool($b)) => $fixed,
            (Values::Int2($a), Values::Int2($b)) => $fixed,
            (Values::Int4($a), Values::Int4($b)) => $fixed,
            (Values::Int8($a), Values::Int8($b)) => $fixed,
            (Values::Float4($a), Values::Float4($b)) => $fixed,
            (Values::Float8($a), Values::Float8($b)) => $fixed,
            (Values::Numeric($a), Values::Numeric($b)) => $fixed,
            (Values::Date($a), Values::Date($b)) => $fixed,
            (Values::Time($a), Values::Time($b)) => $fixed,
            (Values::Timestamp($a), Values::Timestamp($b)) => $fixed,
            (Values::Interval($a), Values::Interval($b)) => $fixed,
            (Values::Uuid($a), Values::Uuid($b)) => $fixed,
            (Values::Oid($a), Values::Oid($b)) => $fixed,
            (Values::Datum($a), Values::Datum($b)) => $fixed,
            (Values::Text($s), Values::Text($t)) => $string,
            (Values::Bytea($s), Values::Bytea($t)) => $string,
            (into, from) => panic!("a {:?} column can't take {:?} values", into.repr(), from.repr()),
        }
    };
}

impl Values {
    pub fn with_capacity(repr: Repr, rows: usize) -> Values {
        match repr {
            Repr::Bool => Values::Bool(Vec::with_capacity(rows)),
            Repr::Int2 => Values::Int2(Vec::with_capacity(rows)),
            Repr::Int4 => Values::Int4(Vec::with_capacity(rows)),
            Repr::Int8 => Values::Int8(Vec::with_capacity(rows)),
            Repr::Float4 => Values::Float4(Vec::with_capacity(rows)),
            Repr::Float8 => Values::Float8(Vec::with_capacity(rows)),
            Repr::Numeric => Values::Numeric(Vec::with_capacity(rows)),
            Repr::Text => Values::Text(Strings::with_capacity(rows)),
            Repr::Bytea => Values::Bytea(Strings::with_capacity(rows)),
            Repr::Date => Values::Date(Vec::with_capacity(rows)),
            Repr::Time => Values::Time(Vec::with_capacity(rows)),
            Repr::Timestamp => Values::Timestamp(Vec::with_capacity(rows)),
            Repr::Interval => Values::Interval(Vec::with_capacity(rows)),
            Repr::Uuid => Values::Uuid(Vec::with_capacity(rows)),
            Repr::Oid => Values::Oid(Vec::with_capacity(rows)),
            Repr::Array | Repr::Record | Repr::Range | Repr::TimeTz => {
                Values::Datum(Vec::with_capacity(rows))
            }
        }
    }
    /// Arrays and records share one vector; it answers `Array`.
    pub fn repr(&self) -> Repr {
        match self {
            Values::Bool(_) => Repr::Bool,
            Values::Int2(_) => Repr::Int2,
            Values::Int4(_) => Repr::Int4,
            Values::Int8(_) => Repr::Int8,
            Values::Float4(_) => Repr::Float4,
            Values::Float8(_) => Repr::Float8,
            Values::Numeric(_) => Repr::Numeric,
            Values::Text(_) => Repr::Text,
            Values::Bytea(_) => Repr::Bytea,
            Values::Date(_) => Repr::Date,
            Values::Time(_) => Repr::Time,
            Values::Timestamp(_) => Repr::Timestamp,
            Values::Interval(_) => Repr::Interval,
            Values::Uuid(_) => Repr::Uuid,
            Values::Oid(_) => Repr::Oid,
            Values::Datum(_) => Repr::Array,
        }
    }
    pub fn len(&self) -> usize {
        each!(self, vector => vector.len(), strings => strings.len())
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Appends the stand-in for a null.
    fn push_placeholder(&mut self) {
        match self {
            Values::Bool(vector) => vector.push(false),
            Values::Int2(vector) => vector.push(0),
            Values::Int4(vector) | Values::Date(vector) => vector.push(0),
            Values::Int8(vector) | Values::Time(vector) | Values::Timestamp(vector) => vector.push(0),
            Values::Float4(vector) => vector.push(0.0),
            Values::Float8(vector) => vector.push(0.0),
            Values::Numeric(vector) => vector.push(Numeric::zero()),
            Values::Text(strings) | Values::Bytea(strings) => strings.push(b""),
            Values::Interval(vector) => vector.push(Interval::default()),
            Values::Uuid(vector) => vector.push([0; 16]),
            Values::Oid(vector) => vector.push(0),
            Values::Datum(vector) => vector.push(Datum::Null),
        }
    }
    fn truncate(&mut self, len: usize) {
        each!(self, vector => vector.truncate(len), strings => strings.truncate(len))
    }
}

impl Default for Strings {
    fn default() -> Strings {
        Strings { offsets: vec![0], bytes: Vec::new() }
    }
}

impl Strings {
    pub fn with_capacity(rows: usize) -> Strings {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Strings { offsets, bytes: Vec::with_capacity(rows * 16) }
    }
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.bytes.clear();
    }
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.offsets[index]..self.offsets[index + 1]]
    }
    /// For text columns, whose strings are UTF-8 by construction.
    #[inline]
    pub fn str(&self, index: usize) -> &str {
        std::str::from_utf8(self.get(index)).expect("text columns hold UTF-8")
    }
    #[inline]
    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.offsets.push(self.bytes.len());
    }
    /// Ends the string whose bytes the caller has appended to `bytes`.
    #[inline]
    pub fn finish_string(&mut self) {
        self.offsets.push(self.bytes.len());
    }
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.windows(2).map(|pair| &self.bytes[pair[0]..pair[1]])
    }
    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(self.offsets[self.offsets.len() - 1]);
    }
    fn gather(&self, indices: impl Iterator<Item = usize>) -> Strings {
        let mut gathered = Strings::with_capacity(indices.size_hint().0);
        indices.for_each(|index| gathered.push(self.get(index)));
        gathered
    }
    fn append(&mut self, other: &Strings) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.offsets.extend(other.offsets[1..].iter().map(|offset| base + offset));
    }
}

impl Bitmap {
    /// All bits clear.
    pub fn new(len: usize) -> Bitmap {
        Bitmap { words: vec![0; len.div_ceil(64)], len }
    }
    pub fn all_set(len: usize) -> Bitmap {
        let mut bitmap = Bitmap { words: vec![u64::MAX; len.div_ceil(64)], len };
        bitmap.clear_tail();
        bitmap
    }
    pub fn from_bools(bools: impl IntoIterator<Item = bool>) -> Bitmap {
        let mut bitmap = Bitmap::default();
        bools.into_iter().for_each(|bit| bitmap.push(bit));
        bitmap
    }
    #[inline]
    pub fn get(&self, index: usize) -> bool {
        self.words[index / 64] >> (index % 64) & 1 != 0
    }
    #[inline]
    pub fn set(&mut self, index: usize, bit: bool) {
        let mask = 1 << (index % 64);
        match bit {
            true => self.words[index / 64] |= mask,
            false => self.words[index / 64] &= !mask,
        }
    }
    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        self.set(self.len - 1, bit);
    }
    /// Grows with clear bits, or shrinks.
    pub fn resize(&mut self, len: usize) {
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
        self.clear_tail();
    }
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }
    pub fn any(&self) -> bool {
        self.words.iter().any(|word| *word != 0)
    }
    /// Sets every bit that is set in `other`, of the same length.
    pub fn or(&mut self, other: &Bitmap) {
        assert_eq!(self.len, other.len, "bitmaps of one batch have one length");
        self.words.iter_mut().zip(&other.words).for_each(|(word, more)| *word |= more);
    }
    /// Positions of set bits.
    pub fn ones(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            std::iter::successors((*word != 0).then_some(*word), |word| {
                let rest = word & (word - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |word| index * 64 + word.trailing_zeros() as usize)
        })
    }
    /// Unused bits of the last word stay clear, so that words can be compared and counted.
    fn clear_tail(&mut self) {
        if let (Some(last), used @ 1..) = (self.words.last_mut(), self.len % 64) {
            *last &= (1 << used) - 1;
        }
    }
}

/// In `gather_optional`, no row: a null.
pub const NO_ROW: u32 = u32::MAX;

impl Column {
    pub fn new(values: Values) -> Column {
        Column { values, nulls: None }
    }
    pub fn with_nulls(values: Values, nulls: Bitmap) -> Column {
        let nulls = nulls.any().then_some(nulls);
        Column { values, nulls }
    }
    pub fn with_capacity(repr: Repr, rows: usize) -> Column {
        Column::new(Values::with_capacity(repr, rows))
    }
    pub fn from_datums<'a>(repr: Repr, datums: impl IntoIterator<Item = &'a Datum>) -> Column {
        let datums = datums.into_iter();
        let mut column = Column::with_capacity(repr, datums.size_hint().0);
        datums.for_each(|datum| column.push_datum(datum));
        column
    }
    /// One value in every row.
    pub fn constant(repr: Repr, datum: &Datum, rows: usize) -> Column {
        let mut column = Column::with_capacity(repr, 1);
        column.push_datum(datum);
        column.gather(&vec![0; rows])
    }
    pub fn all_null(repr: Repr, rows: usize) -> Column {
        Column::constant(repr, &Datum::Null, rows)
    }
    pub fn len(&self) -> usize {
        self.values.len()
    }
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    pub fn repr(&self) -> Repr {
        self.values.repr()
    }
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.get(row))
    }
    pub fn null_count(&self) -> usize {
        self.nulls.as_ref().map_or(0, Bitmap::count_ones)
    }
    pub fn get(&self, row: usize) -> Datum {
        if self.is_null(row) {
            return Datum::Null;
        }
        match &self.values {
            Values::Bool(vector) => Datum::Bool(vector[row]),
            Values::Int2(vector) => Datum::Int2(vector[row]),
            Values::Int4(vector) => Datum::Int4(vector[row]),
            Values::Int8(vector) => Datum::Int8(vector[row]),
            Values::Float4(vector) => Datum::Float4(vector[row]),
            Values::Float8(vector) => Datum::Float8(vector[row]),
            Values::Numeric(vector) => Datum::Numeric(vector[row].clone()),
            Values::Text(strings) => Datum::Text(strings.str(row).into()),
            Values::Bytea(strings) => Datum::Bytea(strings.get(row).into()),
            Values::Date(vector) => Datum::Date(vector[row]),
            Values::Time(vector) => Datum::Time(vector[row]),
            Values::Timestamp(vector) => Datum::Timestamp(vector[row]),
            Values::Interval(vector) => Datum::Interval(vector[row]),
            Values::Uuid(vector) => Datum::Uuid(vector[row]),
            Values::Oid(vector) => Datum::Oid(vector[row]),
            Values::Datum(vector) => vector[row].clone(),
        }
    }
    /// Appends a value of the column's representation. Another one is a bug of the caller and panics (XX000).
    #[inline]
    pub fn push_datum(&mut self, datum: &Datum) {
        match (&mut self.values, datum) {
            (_, Datum::Null) => return self.push_null(),
            (Values::Bool(vector), Datum::Bool(value)) => vector.push(*value),
            (Values::Int2(vector), Datum::Int2(value)) => vector.push(*value),
            (Values::Int4(vector), Datum::Int4(value)) => vector.push(*value),
            (Values::Int8(vector), Datum::Int8(value)) => vector.push(*value),
            (Values::Float4(vector), Datum::Float4(value)) => vector.push(*value),
            (Values::Float8(vector), Datum::Float8(value)) => vector.push(*value),
            (Values::Numeric(vector), Datum::Numeric(value)) => vector.push(value.clone()),
            (Values::Text(strings), Datum::Text(value)) => strings.push(value.as_bytes()),
            (Values::Bytea(strings), Datum::Bytea(value)) => strings.push(value),
            (Values::Date(vector), Datum::Date(value)) => vector.push(*value),
            (Values::Time(vector), Datum::Time(value)) => vector.push(*value),
            (Values::Timestamp(vector), Datum::Timestamp(value)) => vector.push(*value),
            (Values::Interval(vector), Datum::Interval(value)) => vector.push(*value),
            (Values::Uuid(vector), Datum::Uuid(value)) => vector.push(*value),
            (Values::Oid(vector), Datum::Oid(value)) => vector.push(*value),
            (
                Values::Datum(vector),
                Datum::Array(_) | Datum::Record(_) | Datum::Range(_) | Datum::TimeTz(_),
            ) => vector.push(datum.clone()),
            (values, datum) => panic!("a {:?} column can't take {datum:?}", values.repr()),
        }
        if let Some(nulls) = &mut self.nulls {
            nulls.push(false);
        }
    }
    pub fn push_null(&mut self) {
        let len = self.values.len();
        self.nulls.get_or_insert_with(|| Bitmap::new(len)).push(true);
        self.values.push_placeholder();
    }
    /// Keeps the null bitmap as long as the values after the caller pushed a non-null one straight into them.
    #[inline]
    pub fn pushed_value(&mut self) {
        if let Some(nulls) = &mut self.nulls {
            nulls.push(false);
        }
    }
    /// Rows at `indices`, in that order.
    #[allow(clippy::clone_on_copy)] // one expression for all vectors, of which some hold Copy values
    pub fn gather(&self, indices: &[u32]) -> Column {
        let values = map_each!(&self.values,
            vector => indices.iter().map(|index| vector[*index as usize].clone()).collect(),
            strings => strings.gather(indices.iter().map(|index| *index as usize)));
        let nulls = self
            .nulls
            .as_ref()
            .map(|nulls| Bitmap::from_bools(indices.iter().map(|index| nulls.get(*index as usize))));
        Column { values, nulls: nulls.filter(Bitmap::any) }
    }
    /// As [`Column::gather`]; [`NO_ROW`] gives a null (the missing side of an outer join).
    pub fn gather_optional(&self, indices: &[u32]) -> Column {
        if !indices.contains(&NO_ROW) {
            return self.gather(indices);
        }
        let mut column = Column::with_capacity(self.repr(), indices.len());
        for index in indices {
            match *index {
                NO_ROW => column.push_null(),
                index => column.push_from(self, index as usize),
            }
        }
        column
    }
    /// Rows whose bit is set.
    pub fn filter(&self, selection: &Bitmap) -> Column {
        let indices: Vec<u32> = selection.ones().map(|index| index as u32).collect();
        self.gather(&indices)
    }
    pub fn slice(&self, start: usize, len: usize) -> Column {
        let values = map_each!(&self.values,
            vector => vector[start..start + len].to_vec(),
            strings => strings.gather(start..start + len));
        let nulls = self
            .nulls
            .as_ref()
            .map(|nulls| Bitmap::from_bools((start..start + len).map(|row| nulls.get(row))));
        Column { values, nulls: nulls.filter(Bitmap::any) }
    }
    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        if let Some(nulls) = &mut self.nulls {
            nulls.resize(len.min(nulls.len));
        }
    }
    /// Appends one row of a column of the same representation.
    #[allow(clippy::clone_on_copy)] // as in gather
    pub fn push_from(&mut self, other: &Column, row: usize) {
        if other.is_null(row) {
            return self.push_null();
        }
        each_pair!((&mut self.values, &other.values),
            into, from => into.push(from[row].clone()),
            into, from => into.push(from.get(row)));
        self.pushed_value();
    }
    /// Appends all rows of a column of the same representation.
    pub fn append(&mut self, other: &Column) {
        let len = self.len();
        each_pair!((&mut self.values, &other.values),
            into, from => into.extend_from_slice(from),
            into, from => into.append(from));
        if self.nulls.is_none() && other.nulls.is_none() {
            return;
        }
        let nulls = self.nulls.get_or_insert_with(|| Bitmap::new(len));
        nulls.resize(len + other.len());
        other.nulls.iter().flat_map(Bitmap::ones).for_each(|row| nulls.set(len + row, true));
    }
    pub fn concat(repr: Repr, columns: &[&Column]) -> Column {
        let mut column = Column::with_capacity(repr, columns.iter().map(|column| column.len()).sum());
        columns.iter().for_each(|more| column.append(more));
        column
    }
    /// A rough size in memory, for budgets.
    pub fn bytes(&self) -> usize {
        let nulls = self.nulls.as_ref().map_or(0, |nulls| nulls.words.len() * 8);
        nulls
            + match &self.values {
                Values::Numeric(vector) => vector.iter().map(Numeric::bytes).sum(),
                Values::Datum(vector) => vector.iter().map(Datum::bytes).sum(),
                values => each!(values,
                    vector => size_of_val(vector.as_slice()),
                    strings => strings.bytes.len() + strings.offsets.len() * 8),
            }
    }
}

impl Batch {
    pub fn new(columns: Vec<Arc<Column>>, rows: usize) -> Batch {
        debug_assert!(
            columns.iter().all(|column| column.len() == rows),
            "columns of one batch have one length"
        );
        Batch { columns, rows }
    }
    pub fn gather(&self, indices: &[u32]) -> Batch {
        let columns = self.columns.iter().map(|column| Arc::new(column.gather(indices))).collect();
        Batch { columns, rows: indices.len() }
    }
    pub fn filter(&self, selection: &Bitmap) -> Batch {
        let indices: Vec<u32> = selection.ones().map(|index| index as u32).collect();
        match indices.len() == self.rows {
            true => self.clone(),
            false => self.gather(&indices),
        }
    }
    pub fn slice(&self, start: usize, len: usize) -> Batch {
        let columns = self.columns.iter().map(|column| Arc::new(column.slice(start, len))).collect();
        Batch { columns, rows: len }
    }
    pub fn row(&self, row: usize) -> Vec<Datum> {
        self.columns.iter().map(|column| column.get(row)).collect()
    }
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(datums: &[Datum], repr: Repr) -> Column {
        Column::from_datums(repr, datums)
    }

    fn datums(column: &Column) -> Vec<Datum> {
        (0..column.len()).map(|row| column.get(row)).collect()
    }

    #[test]
    fn rows_survive_every_rearrangement() {
        let text = |value: &str| Datum::text(value);
        let rows = [text("a"), Datum::Null, text(""), text("déjà"), Datum::Null];
        let c = column(&rows, Repr::Text);
        assert_eq!(datums(&c), rows);
        assert_eq!(c.null_count(), 2);
        assert_eq!(datums(&c.gather(&[3, 1, 0])), [text("déjà"), Datum::Null, text("a")]);
        assert_eq!(datums(&c.gather_optional(&[NO_ROW, 2])), [Datum::Null, text("")]);
        assert_eq!(datums(&c.slice(1, 2)), [Datum::Null, text("")]);
        assert!(c.slice(2, 2).nulls.is_none());
        let selection = Bitmap::from_bools([true, false, false, true, true]);
        assert_eq!(datums(&c.filter(&selection)), [text("a"), text("déjà"), Datum::Null]);
        let both = Column::concat(Repr::Text, &[&c.slice(2, 2), &c]);
        assert_eq!(datums(&both)[2..], rows);
        assert_eq!(both.null_count(), 2);
        let mut short = both.clone();
        short.truncate(4);
        assert_eq!(datums(&short), datums(&both)[..4]);
    }

    #[test]
    fn bitmaps_count_and_list_across_words() {
        let mut bitmap = Bitmap::new(0);
        (0..200).for_each(|bit| bitmap.push(bit % 7 == 0));
        assert_eq!(bitmap.ones().collect::<Vec<_>>(), (0..200).step_by(7).collect::<Vec<_>>());
        assert_eq!(bitmap.count_ones(), 29);
        bitmap.resize(8);
        assert_eq!(bitmap.count_ones(), 2);
        assert_eq!(Bitmap::all_set(70).count_ones(), 70);
    }
}
