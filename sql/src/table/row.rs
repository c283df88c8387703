//! Row encoding: the value of a table's tree. Made for reading a few columns of many rows.
//!
//! ```text
//! ┌───────┬─────────────┬─────────────┬───────────────────────┬─────────────────────┐
//! │ flags │ columns (n) │ null bitmap │ slots, one per column │ variable-width data │
//! │ 1     │ 2           │ ⌈n/8⌉ or 0  │                       │                     │
//! └───────┴─────────────┴─────────────┴───────────────────────┴─────────────────────┘
//! ```
//! Integers are little-endian.
//!
//! * flags: bit 0: there is a null bitmap (else no column is null); bit 1: offsets have 4 bytes instead of 2; the rest is 0.
//! * null bitmap: bit i of byte i/8 set: column i is null. Its slot is there all the same, zeroed.
//! * slot of a fixed-width column: its value (bool 1, int2 2, int4, float4, date, oid 4, int8, float8, time, timestamp 8,
//!   interval 16 as microseconds 8, days 4, months 4; uuid 16).
//! * slot of a variable-width column: where its data *ends*, counted from the start of the variable-width data. It begins
//!   where the variable-width column before it ends.
//! * text, bytea: the bytes. numeric: kind (0 positive, 1 negative, 2 NaN, 3 inf, 4 -inf) 1; for 0 and 1 weight 2, display
//!   scale 2, then base-10000 digits of 2 bytes each. array: element type 4, dimensions 1, per dimension length 4 and lower
//!   bound 4, then per element a byte 1 for null or 0 and, if not null, the length 4 and the value. record: per field the
//!   type 4, then like an element. range, multirange: type 4, then per span flags 1 (1: lower inclusive, 2: upper inclusive) and both
//!   bounds like elements, infinite ones as nulls. timetz: microseconds 8, seconds east 4.
//!
//! So a column's slot is at an offset that depends only on the table's types, the width of offsets and the bitmap's size,
//! and one column is read without touching the others. A row written before ALTER TABLE ADD COLUMN has a smaller n; the
//! slots it has are where they always were. Bytes are taken as hostile: damage is an error (XX001), never a panic.

use crate::column::{BATCH_ROWS, Column, Values};
use crate::error::{Error, Result, SqlState};
use crate::types::range::{Bound, RangeValue, Span};
use crate::types::{ArrayValue, Datum, Interval, Numeric, Repr, TimeTz, Type};

const FLAG_NULLS: u8 = 1;
const FLAG_WIDE: u8 = 2;
const HEADER_BYTES: usize = 3;
/// Records within records in stored bytes, at most.
const DEPTH_MAX: u32 = 16;

fn corrupt(what: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, format!("damaged row: {what}"))
}

/// None: variable.
const fn fixed_width(repr: Repr) -> Option<usize> {
    match repr {
        Repr::Bool => Some(1),
        Repr::Int2 => Some(2),
        Repr::Int4 | Repr::Float4 | Repr::Date | Repr::Oid => Some(4),
        Repr::Int8 | Repr::Float8 | Repr::Time | Repr::Timestamp => Some(8),
        Repr::Interval | Repr::Uuid => Some(16),
        Repr::Numeric
        | Repr::Text
        | Repr::Bytea
        | Repr::Array
        | Repr::Record
        | Repr::Range
        | Repr::TimeTz => None,
    }
}

/// Appends the encoding of a whole row, one value per table column (dropped columns: null).
pub fn encode(values: &[Datum], types: &[Type], out: &mut Vec<u8>) {
    assert_eq!(values.len(), types.len(), "one value per table column");
    let variable_bytes: usize = values.iter().map(variable_bytes_bound).sum();
    let wide = variable_bytes > usize::from(u16::MAX);
    let nulls = values.iter().any(Datum::is_null);
    out.push((u8::from(nulls) * FLAG_NULLS) | (u8::from(wide) * FLAG_WIDE));
    out.extend((values.len() as u16).to_le_bytes());
    if nulls {
        let start = out.len();
        out.resize(start + values.len().div_ceil(8), 0);
        for (index, _) in values.iter().enumerate().filter(|(_, value)| value.is_null()) {
            out[start + index / 8] |= 1 << (index % 8);
        }
    }
    let slots = out.len();
    let offset_width = if wide { 4 } else { 2 };
    let slots_bytes: usize = types.iter().map(|t| fixed_width(t.repr()).unwrap_or(offset_width)).sum();
    out.resize(slots + slots_bytes, 0);
    let variable = slots + slots_bytes;
    let mut slot = slots;
    for (value, data_type) in values.iter().zip(types) {
        match fixed_width(data_type.repr()) {
            Some(width) => {
                write_fixed(value, &mut out[slot..slot + width]);
                slot += width;
            }
            None => {
                write_variable(value, out);
                let end = (out.len() - variable) as u32;
                out[slot..slot + offset_width].copy_from_slice(&end.to_le_bytes()[..offset_width]);
                slot += offset_width;
            }
        }
    }
}

/// No less than what `write_variable` appends.
fn variable_bytes_bound(value: &Datum) -> usize {
    match value {
        Datum::Text(value) => value.len(),
        Datum::Bytea(value) => value.len(),
        Datum::Numeric(value) => 5 + value.digits().map_or(0, |finite| finite.digits.len() * 2),
        Datum::Array(value) => {
            5 + value.dimensions.len() * 8
                + value.elements.iter().map(|e| 21 + variable_bytes_bound(e)).sum::<usize>()
        }
        Datum::TimeTz(_) => 12,
        Datum::Range(range) => {
            let ends = range.spans.iter().flat_map(|span| [&span.lower.value, &span.upper.value]);
            4 + range.spans.len()
                + ends.map(|end| end.as_ref().map_or(1, |end| 21 + variable_bytes_bound(end))).sum::<usize>()
        }
        Datum::Record(fields) => fields.iter().map(|field| 25 + variable_bytes_bound(&field.1)).sum(),
        _ => 0,
    }
}

fn write_fixed(value: &Datum, slot: &mut [u8]) {
    match value {
        Datum::Null => {}
        Datum::Bool(value) => slot[0] = u8::from(*value),
        Datum::Int2(value) => slot.copy_from_slice(&value.to_le_bytes()),
        Datum::Int4(value) | Datum::Date(value) => slot.copy_from_slice(&value.to_le_bytes()),
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) => {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        Datum::Float4(value) => slot.copy_from_slice(&value.to_le_bytes()),
        Datum::Float8(value) => slot.copy_from_slice(&value.to_le_bytes()),
        Datum::Oid(value) => slot.copy_from_slice(&value.to_le_bytes()),
        Datum::Interval(value) => {
            slot[..8].copy_from_slice(&value.micros.to_le_bytes());
            slot[8..12].copy_from_slice(&value.days.to_le_bytes());
            slot[12..].copy_from_slice(&value.months.to_le_bytes());
        }
        Datum::Uuid(value) => slot.copy_from_slice(value),
        _ => panic!("{value:?} has no fixed width: the row's values are not of the table's types"),
    }
}

fn write_variable(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Text(value) => out.extend_from_slice(value.as_bytes()),
        Datum::Bytea(value) => out.extend_from_slice(value),
        Datum::Numeric(value) => write_numeric(value, out),
        Datum::Array(array) => {
            out.extend(array.element.0.to_le_bytes());
            out.push(array.dimensions.len() as u8);
            for (length, bound) in &array.dimensions {
                out.extend(length.to_le_bytes());
                out.extend(bound.to_le_bytes());
            }
            array.elements.iter().for_each(|element| write_nested(element, out));
        }
        Datum::TimeTz(time) => {
            out.extend(time.micros.to_le_bytes());
            out.extend(time.offset.to_le_bytes());
        }
        Datum::Range(range) => {
            out.extend(range.data_type.0.to_le_bytes());
            for span in &range.spans {
                out.push(u8::from(span.lower.inclusive) | u8::from(span.upper.inclusive) << 1);
                for bound in [&span.lower.value, &span.upper.value] {
                    write_nested(bound.as_ref().unwrap_or(&Datum::Null), out);
                }
            }
        }
        Datum::Record(fields) => {
            for (data_type, field) in fields.iter() {
                out.extend(data_type.0.to_le_bytes());
                write_nested(field, out);
            }
        }
        _ => panic!("{value:?} has a fixed width: the row's values are not of the table's types"),
    }
}

fn write_nested(value: &Datum, out: &mut Vec<u8>) {
    out.push(u8::from(value.is_null()));
    let Some(repr) = value.repr() else { return };
    let start = out.len();
    out.extend([0; 4]);
    match fixed_width(repr) {
        Some(width) => {
            out.resize(start + 4 + width, 0);
            write_fixed(value, &mut out[start + 4..]);
        }
        None => write_variable(value, out),
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn write_numeric(value: &Numeric, out: &mut Vec<u8>) {
    match (value, value.digits()) {
        (_, Some(finite)) => {
            out.push(u8::from(finite.negative));
            out.extend((finite.weight as i16).to_le_bytes());
            out.extend((finite.scale as u16).to_le_bytes());
            finite.digits.iter().for_each(|digit| out.extend(digit.to_le_bytes()));
        }
        (Numeric::Infinity, _) => out.push(3),
        (Numeric::NegativeInfinity, _) => out.push(4),
        _ => out.push(2),
    }
}

/// The whole of `bytes` as an array of the type's width.
#[inline]
fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| corrupt("a value has another width than its type"))
}

fn read_numeric(bytes: &[u8]) -> Result<Numeric> {
    let (kind, rest) = bytes.split_first().ok_or_else(|| corrupt("empty numeric"))?;
    match kind {
        2 => return Ok(Numeric::NaN),
        3 => return Ok(Numeric::Infinity),
        4 => return Ok(Numeric::NegativeInfinity),
        0 | 1 if rest.len() >= 4 => {}
        _ => return Err(corrupt("numeric")),
    }
    let weight = i16::from_le_bytes(array(&rest[..2])?);
    let scale = u16::from_le_bytes(array(&rest[2..4])?);
    let digits: smallvec::SmallVec<[i16; 16]> =
        rest[4..].chunks_exact(2).map(|digit| i16::from_le_bytes([digit[0], digit[1]])).collect();
    Numeric::from_raw(*kind == 1, i32::from(weight), scale, &digits).ok_or_else(|| corrupt("numeric digits"))
}

fn read_text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| corrupt("text is not UTF-8"))
}

fn read_interval(bytes: &[u8]) -> Result<Interval> {
    let bytes: [u8; 16] = array(bytes)?;
    Ok(Interval {
        micros: i64::from_le_bytes(array(&bytes[..8])?),
        days: i32::from_le_bytes(array(&bytes[8..12])?),
        months: i32::from_le_bytes(array(&bytes[12..])?),
    })
}

fn read(bytes: &[u8], repr: Repr, depth: u32) -> Result<Datum> {
    Ok(match repr {
        Repr::Bool => Datum::Bool(array::<1>(bytes)?[0] != 0),
        Repr::Int2 => Datum::Int2(i16::from_le_bytes(array(bytes)?)),
        Repr::Int4 => Datum::Int4(i32::from_le_bytes(array(bytes)?)),
        Repr::Int8 => Datum::Int8(i64::from_le_bytes(array(bytes)?)),
        Repr::Float4 => Datum::Float4(f32::from_le_bytes(array(bytes)?)),
        Repr::Float8 => Datum::Float8(f64::from_le_bytes(array(bytes)?)),
        Repr::Date => Datum::Date(i32::from_le_bytes(array(bytes)?)),
        Repr::Time => Datum::Time(i64::from_le_bytes(array(bytes)?)),
        Repr::Timestamp => Datum::Timestamp(i64::from_le_bytes(array(bytes)?)),
        Repr::Oid => Datum::Oid(u32::from_le_bytes(array(bytes)?)),
        Repr::Interval => Datum::Interval(read_interval(bytes)?),
        Repr::Uuid => Datum::Uuid(array(bytes)?),
        Repr::Numeric => Datum::numeric(read_numeric(bytes)?),
        Repr::Text => Datum::Text(read_text(bytes)?.into()),
        Repr::Bytea => Datum::Bytea(bytes.into()),
        Repr::Array => read_array(bytes, depth)?,
        Repr::Record => read_record(bytes, depth)?,
        Repr::Range => read_range(bytes, depth)?,
        Repr::TimeTz => Datum::TimeTz(TimeTz {
            micros: i64::from_le_bytes(array(bytes.get(..8).ok_or_else(|| corrupt("timetz"))?)?),
            offset: i32::from_le_bytes(array(&bytes[8..])?),
        }),
    })
}

/// Splits off `count` bytes.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(|| corrupt("a value ends early"))?;
    *bytes = rest;
    Ok(head)
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32> {
    Ok(u32::from_le_bytes(array(take(bytes, 4)?)?))
}

fn read_nested(bytes: &mut &[u8], data_type: Type, depth: u32) -> Result<Datum> {
    match take(bytes, 1)?[0] {
        1 => Ok(Datum::Null),
        0 if depth < DEPTH_MAX => {
            let length = take_u32(bytes)? as usize;
            read(take(bytes, length)?, data_type.repr(), depth + 1)
        }
        _ => Err(corrupt("nested value")),
    }
}

fn read_array(mut bytes: &[u8], depth: u32) -> Result<Datum> {
    let element = Type(take_u32(&mut bytes)?);
    let count = take(&mut bytes, 1)?[0];
    let mut dimensions = Vec::new();
    for _ in 0..count {
        let length = take_u32(&mut bytes)? as i32;
        dimensions.push((length, take_u32(&mut bytes)? as i32));
    }
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        elements.push(read_nested(&mut bytes, element, depth)?);
    }
    let expected =
        dimensions.iter().try_fold(1i64, |product, dimension| product.checked_mul(i64::from(dimension.0)));
    let expected = if dimensions.is_empty() { Some(0) } else { expected };
    if expected != Some(elements.len() as i64) || dimensions.iter().any(|dimension| dimension.0 < 0) {
        return Err(corrupt("array dimensions"));
    }
    Ok(Datum::array(ArrayValue { element, dimensions, elements }))
}

fn read_range(mut bytes: &[u8], depth: u32) -> Result<Datum> {
    let data_type = Type(take_u32(&mut bytes)?);
    let element = data_type.range_element().ok_or_else(|| corrupt("a range of a type that is none"))?;
    let mut spans = Vec::new();
    while !bytes.is_empty() {
        let flags = take(&mut bytes, 1)?[0];
        let lower = Bound::new(read_nested(&mut bytes, element, depth)?, flags & 1 != 0);
        let upper = Bound::new(read_nested(&mut bytes, element, depth)?, flags & 2 != 0);
        spans.push(Span { lower, upper });
    }
    Ok(Datum::range(RangeValue { data_type, element, spans }))
}

fn read_record(mut bytes: &[u8], depth: u32) -> Result<Datum> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let data_type = Type(take_u32(&mut bytes)?);
        fields.push((data_type, read_nested(&mut bytes, data_type, depth)?));
    }
    Ok(Datum::record(fields))
}

/// One row's header, checked.
struct Header<'a> {
    row: &'a [u8],
    columns: usize,
    nulls: &'a [u8],
    wide: bool,
    /// Where the slots begin.
    slots: usize,
}

impl<'a> Header<'a> {
    #[inline]
    fn parse(row: &'a [u8]) -> Result<Header<'a>> {
        let [flags, low, high, ..] = *row else { return Err(corrupt("shorter than its header")) };
        if flags & !(FLAG_NULLS | FLAG_WIDE) != 0 {
            return Err(corrupt("unknown flags"));
        }
        let columns = usize::from(u16::from_le_bytes([low, high]));
        let bitmap_bytes = if flags & FLAG_NULLS != 0 { columns.div_ceil(8) } else { 0 };
        let slots = HEADER_BYTES + bitmap_bytes;
        let nulls = row.get(HEADER_BYTES..slots).ok_or_else(|| corrupt("shorter than its null bitmap"))?;
        Ok(Header { row, columns, nulls, wide: flags & FLAG_WIDE != 0, slots })
    }
    #[inline]
    fn is_null(&self, column: usize) -> bool {
        !self.nulls.is_empty() && self.nulls[column / 8] >> (column % 8) & 1 != 0
    }
    #[inline]
    fn bytes(&self, start: usize, width: usize) -> Result<&'a [u8]> {
        self.row.get(start..start + width).ok_or_else(|| corrupt("shorter than its slots"))
    }
    /// The offset in the slot at `slot`.
    #[inline]
    fn offset(&self, slot: usize) -> Result<usize> {
        Ok(match self.wide {
            true => u32::from_le_bytes(array(self.bytes(slot, 4)?)?) as usize,
            false => usize::from(u16::from_le_bytes(array(self.bytes(slot, 2)?)?)),
        })
    }
    /// A variable-width value: from the end of the one before to its own end.
    #[inline]
    fn variable(&self, slot: usize, previous: Option<usize>, slots_bytes: usize) -> Result<&'a [u8]> {
        let start = previous.map_or(Ok(0), |previous| self.offset(self.slots + previous))?;
        let end = self.offset(self.slots + slot)?;
        let area = self.slots + slots_bytes;
        if start > end {
            return Err(corrupt("a value ends before it begins"));
        }
        self.row.get(area + start..area + end).ok_or_else(|| corrupt("a value lies outside of the row"))
    }
}

/// Where the columns of a table's rows lie: worked out once, used for every row.
#[derive(Clone, Debug)]
pub struct RowLayout {
    columns: Vec<Slot>,
    /// With narrow and with wide offsets: the slots' size of rows with so many columns.
    slots_bytes: [Vec<usize>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    repr: Repr,
    width: Option<usize>,
    /// The variable-width column before this one.
    previous: Option<usize>,
}

impl RowLayout {
    pub fn new(types: &[Type]) -> RowLayout {
        let mut layout = RowLayout { columns: Vec::new(), slots_bytes: [vec![0], vec![0]] };
        let mut previous = None;
        for (index, data_type) in types.iter().enumerate() {
            let repr = data_type.repr();
            let width = fixed_width(repr);
            layout.columns.push(Slot { repr, width, previous });
            for (bytes, offset_width) in layout.slots_bytes.iter_mut().zip([2, 4]) {
                bytes.push(bytes[index] + width.unwrap_or(offset_width));
            }
            if width.is_none() {
                previous = Some(index);
            }
        }
        layout
    }

    /// The bytes of a column, known not to be null.
    #[inline]
    fn bytes<'a>(&self, header: &Header<'a>, column: usize) -> Result<&'a [u8]> {
        let offsets = &self.slots_bytes[usize::from(header.wide)];
        let slot = self.columns[column];
        match slot.width {
            Some(width) => header.bytes(header.slots + offsets[column], width),
            None => {
                let previous = slot.previous.map(|previous| offsets[previous]);
                header.variable(offsets[column], previous, offsets[header.columns])
            }
        }
    }
    #[inline]
    fn header<'a>(&self, row: &'a [u8]) -> Result<Header<'a>> {
        let header = Header::parse(row)?;
        match header.columns > self.columns.len() {
            true => Err(corrupt("more columns than the table")),
            false => Ok(header),
        }
    }
    /// One column; None: the row is older than the column.
    pub fn decode(&self, row: &[u8], column: usize) -> Result<Option<Datum>> {
        let header = self.header(row)?;
        if column >= header.columns {
            return Ok(None);
        }
        if header.is_null(column) {
            return Ok(Some(Datum::Null));
        }
        read(self.bytes(&header, column)?, self.columns[column].repr, 0).map(Some)
    }
    /// Some columns, into their places in `row`; the others' stay as they are.
    pub fn decode_columns(
        &self,
        bytes: &[u8],
        wanted: &[usize],
        missing: &[Datum],
        row: &mut [Datum],
    ) -> Result<()> {
        let header = self.header(bytes)?;
        for &index in wanted {
            row[index] = self.datum(&header, index, missing)?;
        }
        Ok(())
    }
    /// All columns; `missing` has the values (by position) of columns that the row is older than.
    pub fn decode_row(&self, row: &[u8], missing: &[Datum]) -> Result<Vec<Datum>> {
        let header = self.header(row)?;
        (0..self.columns.len()).map(|index| self.datum(&header, index, missing)).collect()
    }
    #[inline]
    fn datum(&self, header: &Header<'_>, index: usize, missing: &[Datum]) -> Result<Datum> {
        match index {
            _ if index >= header.columns => Ok(missing.get(index).cloned().unwrap_or_default()),
            _ if header.is_null(index) => Ok(Datum::Null),
            _ => read(self.bytes(header, index)?, self.columns[index].repr, 0),
        }
    }
}

/// One column of an encoded row; rows older than an added column answer None (the caller has the missing value). For many
/// rows, make a [`RowLayout`] once.
pub fn decode_column(row: &[u8], types: &[Type], column: usize) -> Result<Option<Datum>> {
    RowLayout::new(types).decode(row, column)
}

/// Appends selected columns of encoded rows to column builders, without a datum in between.
const ROOM_MIN: usize = 8;

pub struct RowDecoder {
    layout: RowLayout,
    /// Position in the table, and the value for rows that end before it.
    wanted: Vec<(usize, Datum)>,
    columns: Vec<Column>,
    rows: usize,
    /// What the columns have room for: batches mostly are as large as those before.
    room: usize,
}

impl RowDecoder {
    /// `types` are the table's column types, `columns` the positions wanted in output order, `missing` the values for rows
    /// that end before them: one per table column, or empty if all are null.
    pub fn new(types: &[Type], columns: &[usize], missing: &[Datum]) -> RowDecoder {
        let layout = RowLayout::new(types);
        let wanted = columns.iter().map(|c| (*c, missing.get(*c).cloned().unwrap_or_default())).collect();
        let mut decoder = RowDecoder { layout, wanted, columns: Vec::new(), rows: 0, room: ROOM_MIN };
        decoder.columns = decoder.builders();
        decoder
    }
    fn builders(&self) -> Vec<Column> {
        self.wanted.iter().map(|w| Column::with_capacity(self.layout.columns[w.0].repr, self.room)).collect()
    }
    /// Whether rows need only be counted.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }
    /// A row of which nothing is wanted.
    pub fn count_row(&mut self) {
        debug_assert!(self.is_empty(), "only rows without columns can be counted unseen");
        self.rows += 1;
    }
    /// After an error the columns may have different lengths: the decoder is good for `finish` no more.
    pub fn append(&mut self, row: &[u8]) -> Result<()> {
        let header = self.layout.header(row)?;
        for ((index, missing), column) in self.wanted.iter().zip(&mut self.columns) {
            if *index >= header.columns {
                column.push_datum(missing);
            } else if header.is_null(*index) {
                column.push_null();
            } else {
                push(column, self.layout.bytes(&header, *index)?, self.layout.columns[*index].repr)?;
            }
        }
        self.rows += 1;
        Ok(())
    }
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Takes the columns built so far.
    pub fn finish(&mut self) -> Vec<Column> {
        self.room = self.rows.clamp(ROOM_MIN, BATCH_ROWS);
        self.rows = 0;
        let fresh = self.builders();
        std::mem::replace(&mut self.columns, fresh)
    }
}

#[inline]
fn push(column: &mut Column, bytes: &[u8], repr: Repr) -> Result<()> {
    match &mut column.values {
        Values::Bool(vector) => vector.push(array::<1>(bytes)?[0] != 0),
        Values::Int2(vector) => vector.push(i16::from_le_bytes(array(bytes)?)),
        Values::Int4(vector) | Values::Date(vector) => vector.push(i32::from_le_bytes(array(bytes)?)),
        Values::Int8(vector) | Values::Time(vector) | Values::Timestamp(vector) => {
            vector.push(i64::from_le_bytes(array(bytes)?));
        }
        Values::Float4(vector) => vector.push(f32::from_le_bytes(array(bytes)?)),
        Values::Float8(vector) => vector.push(f64::from_le_bytes(array(bytes)?)),
        Values::Oid(vector) => vector.push(u32::from_le_bytes(array(bytes)?)),
        Values::Interval(vector) => vector.push(read_interval(bytes)?),
        Values::Uuid(vector) => vector.push(array(bytes)?),
        Values::Numeric(vector) => vector.push(read_numeric(bytes)?),
        Values::Text(strings) => strings.push(read_text(bytes)?.as_bytes()),
        Values::Bytea(strings) => strings.push(bytes),
        Values::Datum(vector) => vector.push(read(bytes, repr, 0)?),
    }
    column.pushed_value();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng, rngs::StdRng};

    fn sample() -> (Vec<Type>, Vec<Datum>) {
        let ints = ArrayValue {
            element: Type::INT4,
            dimensions: vec![(2, 1)],
            elements: vec![Datum::Int4(7), Datum::Null],
        };
        let pairs = vec![
            (Type::INT4, Datum::Int4(-5)),
            (Type::TEXT, Datum::text("hello")),
            (Type::BOOL, Datum::Bool(true)),
            (Type::INT8, Datum::Null),
            (Type::NUMERIC, Datum::numeric(Numeric::parse("-12345.6780").unwrap())),
            (Type::BYTEA, Datum::Bytea([0u8, 255].as_slice().into())),
            (Type::INTERVAL, Datum::Interval(Interval { months: 1, days: -2, micros: 3 })),
            (Type::UUID, Datum::Uuid([9; 16])),
            (Type::VARCHAR, Datum::Null),
            (Type(1007), Datum::array(ints)),
            (Type::FLOAT8, Datum::Float8(1.5)),
            (Type::NUMERIC, Datum::numeric(Numeric::NegativeInfinity)),
        ];
        pairs.into_iter().unzip()
    }

    #[test]
    fn rows_round_trip_by_every_path() {
        let (types, mut values) = sample();
        for long in [false, true] {
            if long {
                values[1] = Datum::text("x".repeat(70_000));
            }
            let mut row = Vec::new();
            encode(&values, &types, &mut row);
            for (index, value) in values.iter().enumerate() {
                assert_eq!(&decode_column(&row, &types, index).unwrap().unwrap(), value);
            }
            let order: Vec<usize> = (0..types.len()).rev().collect();
            let mut decoder = RowDecoder::new(&types, &order, &[]);
            decoder.append(&row).unwrap();
            decoder.append(&row).unwrap();
            assert_eq!(decoder.rows(), 2);
            let columns = decoder.finish();
            for (column, position) in columns.iter().zip(order) {
                assert_eq!(column.get(1), values[position]);
            }
            assert_eq!(decoder.rows(), 0);
        }
        // The display scale is part of what is stored, though not of equality.
        let mut row = Vec::new();
        encode(&values, &types, &mut row);
        let numeric = decode_column(&row, &types, 4).unwrap().unwrap();
        assert_eq!(numeric.as_numeric().unwrap().to_string(), "-12345.6780");
    }

    #[test]
    fn rows_older_than_a_column_have_its_missing_value() {
        let (types, values) = sample();
        let mut row = Vec::new();
        encode(&values[..3], &types[..3], &mut row);
        assert!(decode_column(&row, &types, 3).unwrap().is_none());
        let mut missing = vec![Datum::Null; types.len()];
        missing[3] = Datum::Int8(42);
        let mut decoder = RowDecoder::new(&types, &[3, 1, 8], &missing);
        decoder.append(&row).unwrap();
        let columns = decoder.finish();
        assert_eq!(columns[0].get(0), Datum::Int8(42));
        assert_eq!(columns[1].get(0), values[1]);
        assert!(columns[2].is_null(0));
    }

    #[test]
    fn golden_bytes() {
        let mut row = Vec::new();
        encode(
            &[Datum::Int4(1), Datum::text("ab"), Datum::Null],
            &[Type::INT4, Type::TEXT, Type::INT2],
            &mut row,
        );
        assert_eq!(row, [1, 3, 0, 0b100, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b']);
    }

    /// Truncated and flipped rows give errors or other values, never a panic.
    #[test]
    fn hostile_bytes_do_not_panic() {
        let (types, values) = sample();
        let mut row = Vec::new();
        encode(&values, &types, &mut row);
        let mut r = StdRng::seed_from_u64(3);
        let all: Vec<usize> = (0..types.len()).collect();
        for _ in 0..20_000 {
            let mut damaged = row.clone();
            for _ in 0..r.random_range(1..4) {
                let position = r.random_range(0..damaged.len());
                damaged[position] = r.random();
            }
            damaged.truncate(r.random_range(0..=damaged.len()));
            let _ = RowDecoder::new(&types, &all, &[]).append(&damaged);
            let _ = RowLayout::new(&types).decode_row(&damaged, &[]);
        }
    }
}
