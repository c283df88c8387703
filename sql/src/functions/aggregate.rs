//! Aggregates: one accumulator per group, fed with rows of the argument columns.
//!
//! Results have PostgreSQL's types and exactness: sums of integers can't overflow inside (128 bits, or numeric), averages
//! and variances of integers and numerics are numerics; those of floats use the Youngs-Cramer recurrences of float.c,
//! which lose no digits where Σx² - (Σx)²/n would. Inputs that are null are passed over, but by array_agg.

use super::arguments::IntoDatum;
use super::math::out_of_range;
use super::{Accumulator, EvalContext, Operand, Registry};
use crate::column::{Column, Values};
use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Interval, Numeric, Repr, Type, compare_as, compare_floats};

/// Row `row` of an operand.
fn datum(operand: &Operand, row: u32) -> Datum {
    match operand {
        Operand::Column(column) => column.get(row as usize),
        Operand::Constant(datum) => datum.clone(),
    }
}

fn first(arguments: &[Operand]) -> Result<&Operand> {
    arguments.first().ok_or_else(|| Error::internal("an aggregate lacks its argument"))
}

/// Calls `each` with the positions among `rows` that aren't null.
#[inline]
fn for_each_row(column: &Column, rows: &[u32], mut each: impl FnMut(usize) -> Result<()>) -> Result<()> {
    match &column.nulls {
        None => rows.iter().try_for_each(|row| each(*row as usize)),
        Some(nulls) => {
            let present = rows.iter().filter(|row| !nulls.get(**row as usize));
            present.into_iter().try_for_each(|row| each(*row as usize))
        }
    }
}

/// Calls `each` with every value that isn't null: the path without a kernel.
fn for_each_datum(operand: &Operand, rows: &[u32], mut each: impl FnMut(&Datum) -> Result<()>) -> Result<()> {
    match operand {
        Operand::Constant(Datum::Null) => Ok(()),
        Operand::Constant(value) => rows.iter().try_for_each(|_| each(value)),
        Operand::Column(column) => for_each_row(column, rows, |row| each(&column.get(row))),
    }
}

#[derive(Default)]
struct Count(i64);

impl Accumulator for Count {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        self.0 += match arguments.first() {
            None => rows.len() as i64,
            Some(Operand::Constant(Datum::Null)) => 0,
            Some(Operand::Constant(_)) => rows.len() as i64,
            Some(Operand::Column(column)) => match &column.nulls {
                None => rows.len() as i64,
                Some(nulls) => rows.iter().filter(|row| !nulls.get(**row as usize)).count() as i64,
            },
        };
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

/// Sum and count of integers.
#[derive(Default)]
struct IntegerSum {
    sum: i128,
    count: i64,
}

impl IntegerSum {
    fn add_rows(&mut self, arguments: &[Operand], rows: &[u32]) -> Result<()> {
        let operand = first(arguments)?;
        let (sum, count) = (&mut self.sum, &mut self.count);
        macro_rules! add {
            ($column:expr, $vector:expr) => {
                match &$column.nulls {
                    None => {
                        *sum += rows.iter().map(|row| i128::from($vector[*row as usize])).sum::<i128>();
                        *count += rows.len() as i64;
                        Ok(())
                    }
                    Some(_) => for_each_row($column, rows, |row| {
                        *sum += i128::from($vector[row]);
                        *count += 1;
                        Ok(())
                    }),
                }
            };
        }
        match operand {
            Operand::Column(column) => match &column.values {
                Values::Int2(vector) => add!(column, vector),
                Values::Int4(vector) => add!(column, vector),
                Values::Int8(vector) => add!(column, vector),
                _ => Err(super::kernel::not_vectors()),
            },
            constant => for_each_datum(constant, rows, |value| {
                *sum += i128::from(value.as_integer().ok_or_else(super::kernel::not_vectors)?);
                *count += 1;
                Ok(())
            }),
        }
    }
}

macro_rules! integer_aggregate {
    ($name:ident, |$sum:ident, $count:ident| $finish:expr) => {
        #[derive(Default)]
        struct $name(IntegerSum);
        impl Accumulator for $name {
            fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
                self.0.add_rows(arguments, rows)
            }
            fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
                let ($sum, $count) = (self.0.sum, self.0.count);
                if $count == 0 { Ok(Datum::Null) } else { $finish }
            }
        }
    };
}

// sum(int2), sum(int4) are bigint; sum(int8) is numeric, as is every average.
integer_aggregate!(SumToInt8, |sum, count| {
    let _ = count;
    i64::try_from(sum).map(Datum::Int8).map_err(|_| out_of_range("bigint"))
});
integer_aggregate!(SumToNumeric, |sum, count| {
    let _ = count;
    Ok(Datum::numeric(Numeric::from_i128(sum)))
});
integer_aggregate!(IntegerAverage, |sum, count| {
    Numeric::from_i128(sum).div(&Numeric::from_i64(count)).map(Datum::numeric)
});

/// Sum and count of numerics. What fits a machine word adds up in `exact`, at scale `scale`; the rest, and what would overflow it, in `sum`.
struct NumericSum {
    sum: Numeric,
    exact: i128,
    scale: u8,
    count: i64,
    average: bool,
}

impl NumericSum {
    fn new(average: bool) -> NumericSum {
        NumericSum { sum: Numeric::zero(), exact: 0, scale: 0, count: 0, average }
    }

    #[inline]
    fn add_value(&mut self, value: &Numeric) -> Result<()> {
        self.count += 1;
        if let Numeric::Small { scale, .. } = value
            && *scale > self.scale
        {
            self.settle()?;
            self.scale = *scale;
        }
        if let Some(mantissa) = value.mantissa_at(self.scale)
            && let Some(sum) = self.exact.checked_add(mantissa)
        {
            self.exact = sum;
            return Ok(());
        }
        self.sum = self.sum.add(value)?;
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let exact = Numeric::from_scaled_i128(std::mem::take(&mut self.exact), self.scale)?;
        self.sum = self.sum.add(&exact)?;
        Ok(())
    }
}

impl Accumulator for NumericSum {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        match first(arguments)? {
            Operand::Column(column) => match &column.values {
                Values::Numeric(vector) => for_each_row(column, rows, |row| self.add_value(&vector[row])),
                _ => Err(super::kernel::not_vectors()),
            },
            constant => for_each_datum(constant, rows, |value| {
                self.add_value(value.as_numeric().ok_or_else(super::kernel::not_vectors)?)
            }),
        }
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        self.settle()?;
        match (self.count, self.average) {
            (0, _) => Ok(Datum::Null),
            (count, true) => self.sum.div(&Numeric::from_i64(count)).map(Datum::numeric),
            _ => Ok(Datum::numeric(self.sum.clone())),
        }
    }
}

fn float_of(value: &Datum) -> Result<f64> {
    match value {
        Datum::Float8(value) => Ok(*value),
        Datum::Float4(value) => Ok(f64::from(*value)),
        Datum::Int8(value) => Ok(*value as f64),
        _ => Err(super::kernel::not_vectors()),
    }
}

fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

/// sum(float4) adds in single precision, as PostgreSQL does.
#[derive(Default)]
struct FloatSum {
    sum: f64,
    any: bool,
    single: bool,
}

impl FloatSum {
    fn add_value(&mut self, value: f64) -> Result<()> {
        let sum = match (self.any, self.single) {
            (false, _) => value,
            (true, true) => f64::from(self.sum as f32 + value as f32),
            (true, false) => self.sum + value,
        };
        if sum.is_infinite() && self.sum.is_finite() && value.is_finite() {
            return Err(overflow());
        }
        (self.sum, self.any) = (sum, true);
        Ok(())
    }
}

impl Accumulator for FloatSum {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        match first(arguments)? {
            Operand::Column(column) => match &column.values {
                Values::Float8(vector) => for_each_row(column, rows, |row| self.add_value(vector[row])),
                Values::Float4(vector) => {
                    for_each_row(column, rows, |row| self.add_value(f64::from(vector[row])))
                }
                _ => Err(super::kernel::not_vectors()),
            },
            constant => for_each_datum(constant, rows, |value| self.add_value(float_of(value)?)),
        }
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(match (self.any, self.single) {
            (false, _) => Datum::Null,
            (true, true) => Datum::Float4(self.sum as f32),
            (true, false) => Datum::Float8(self.sum),
        })
    }
}

/// What is asked of a variance's sums.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Average,
    Population { root: bool },
    Sample { root: bool },
}

/// float8_accum.
struct FloatMoments {
    count: f64,
    sum: f64,
    squares: f64,
    moment: Moment,
}

impl FloatMoments {
    fn add_value(&mut self, value: f64) -> Result<()> {
        let earlier = self.sum;
        self.count += 1.0;
        self.sum += value;
        if self.count > 1.0 {
            let distance = value * self.count - self.sum;
            self.squares += distance * distance / (self.count * (self.count - 1.0));
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if earlier.is_finite() && value.is_finite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }
}

impl Accumulator for FloatMoments {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        match first(arguments)? {
            Operand::Column(column) => match &column.values {
                Values::Float8(vector) => for_each_row(column, rows, |row| self.add_value(vector[row])),
                Values::Float4(vector) => {
                    for_each_row(column, rows, |row| self.add_value(f64::from(vector[row])))
                }
                _ => Err(super::kernel::not_vectors()),
            },
            constant => for_each_datum(constant, rows, |value| self.add_value(float_of(value)?)),
        }
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        let rooted = |value: f64, root: bool| Datum::Float8(if root { value.sqrt() } else { value });
        Ok(match self.moment {
            _ if self.count == 0.0 => Datum::Null,
            Moment::Average => Datum::Float8(self.sum / self.count),
            Moment::Population { root } => rooted(self.squares / self.count, root),
            Moment::Sample { .. } if self.count <= 1.0 => Datum::Null,
            Moment::Sample { root } => rooted(self.squares / (self.count - 1.0), root),
        })
    }
}

/// numeric_accum: exact sums of the values and their squares.
struct NumericMoments {
    count: i64,
    sum: Numeric,
    squares: Numeric,
    moment: Moment,
}

impl Accumulator for NumericMoments {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        for_each_datum(first(arguments)?, rows, |value| {
            let value = match value {
                Datum::Numeric(value) => value.clone(),
                integer => Numeric::from_i64(integer.as_integer().ok_or_else(super::kernel::not_vectors)?),
            };
            self.sum = self.sum.add(&value)?;
            self.squares = self.squares.add(&value.mul(&value)?)?;
            self.count += 1;
            Ok(())
        })
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        let (sample, root) = match self.moment {
            Moment::Sample { root } => (true, root),
            Moment::Population { root } => (false, root),
            Moment::Average => (false, false),
        };
        if self.count <= i64::from(sample) {
            return Ok(Datum::Null);
        }
        if !self.sum.is_finite() {
            return Ok(Datum::numeric(Numeric::NaN));
        }
        let count = Numeric::from_i64(self.count);
        let spread = count.mul(&self.squares)?.sub(&self.sum.mul(&self.sum)?)?;
        if spread.signum() <= 0 {
            return Ok(Datum::numeric(Numeric::zero()));
        }
        let divisor = count.mul(&Numeric::from_i64(self.count - i64::from(sample)))?;
        let variance = spread.div(&divisor)?;
        match root {
            true => variance.sqrt_to_scale(variance.scale().unwrap_or(0)).map(Datum::numeric),
            false => Ok(Datum::numeric(variance)),
        }
    }
}

/// The two-argument statistics (float8_regr_accum): of y and x, in that order.
#[derive(Default)]
struct Regression {
    n: f64,
    sx: f64,
    sxx: f64,
    sy: f64,
    syy: f64,
    sxy: f64,
    finish: Option<fn(&Regression) -> Option<f64>>,
}

impl Accumulator for Regression {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        let [y, x] = arguments else {
            return Err(Error::internal("a regression aggregate takes two arguments"));
        };
        for row in rows {
            let (y, x) = (datum(y, *row), datum(x, *row));
            if y.is_null() || x.is_null() {
                continue;
            }
            let (y, x) = (float_of(&y)?, float_of(&x)?);
            self.n += 1.0;
            self.sx += x;
            self.sy += y;
            if self.n > 1.0 {
                let (dx, dy) = (x * self.n - self.sx, y * self.n - self.sy);
                let scale = 1.0 / (self.n * (self.n - 1.0));
                self.sxx += dx * dx * scale;
                self.syy += dy * dy * scale;
                self.sxy += dx * dy * scale;
            } else {
                if !x.is_finite() {
                    (self.sxx, self.sxy) = (f64::NAN, f64::NAN);
                }
                if !y.is_finite() {
                    (self.syy, self.sxy) = (f64::NAN, f64::NAN);
                }
            }
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        let finish = self.finish.ok_or_else(|| Error::internal("a regression aggregate without a result"))?;
        finish(self).into_datum()
    }
}

fn regression(finish: fn(&Regression) -> Option<f64>) -> Box<dyn Accumulator> {
    Box::new(Regression { finish: Some(finish), ..Regression::default() })
}

fn some_rows(r: &Regression, value: f64) -> Option<f64> {
    (r.n >= 1.0).then_some(value)
}

#[derive(Default)]
struct RegressionCount(i64);

impl Accumulator for RegressionCount {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        let present = |row: &&u32| arguments.iter().all(|argument| !datum(argument, **row).is_null());
        self.0 += rows.iter().filter(present).count() as i64;
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

/// min and max, by the type's order.
struct Extreme {
    best: Datum,
    data_type: Type,
    greatest: bool,
}

impl Extreme {
    fn offer(&mut self, value: Datum) {
        let better = match self.best.is_null() {
            true => true,
            false => {
                let order = compare_as(&value, &self.best, self.data_type);
                if self.greatest { order.is_gt() } else { order.is_lt() }
            }
        };
        if better {
            self.best = value;
        }
    }
}

impl Accumulator for Extreme {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        let greatest = self.greatest;
        // The best of this batch first, without datums; then one comparison with the best so far.
        macro_rules! best {
            ($column:expr, $vector:expr, $variant:ident, $order:expr) => {{
                let mut best = None;
                for_each_row($column, rows, |row| {
                    let value = $vector[row];
                    let better = best.is_none_or(|best| {
                        let order = $order(&value, &best);
                        if greatest {
                            order == std::cmp::Ordering::Greater
                        } else {
                            order == std::cmp::Ordering::Less
                        }
                    });
                    if better {
                        best = Some(value);
                    }
                    Ok(())
                })?;
                if let Some(best) = best {
                    self.offer(Datum::$variant(best));
                }
                Ok(())
            }};
        }
        let operand = first(arguments)?;
        if let Operand::Column(column) = operand {
            match &column.values {
                Values::Int2(vector) => return best!(column, vector, Int2, Ord::cmp),
                Values::Int4(vector) => return best!(column, vector, Int4, Ord::cmp),
                Values::Int8(vector) => return best!(column, vector, Int8, Ord::cmp),
                Values::Date(vector) => return best!(column, vector, Date, Ord::cmp),
                Values::Time(vector) => return best!(column, vector, Time, Ord::cmp),
                Values::Timestamp(vector) => return best!(column, vector, Timestamp, Ord::cmp),
                Values::Oid(vector) => return best!(column, vector, Oid, Ord::cmp),
                Values::Float8(vector) => {
                    return best!(column, vector, Float8, |a: &f64, b: &f64| compare_floats(*a, *b));
                }
                Values::Float4(vector) => {
                    return best!(column, vector, Float4, |a: &f32, b: &f32| {
                        compare_floats(f64::from(*a), f64::from(*b))
                    });
                }
                _ => {}
            }
        }
        for_each_datum(operand, rows, |value| {
            self.offer(value.clone());
            Ok(())
        })
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        Ok(self.best.clone())
    }
    fn bytes(&self) -> usize {
        64 + self.best.bytes()
    }
}

/// Folds values of the argument's type: bool_and, bit_or, sum(interval), …
struct Fold {
    state: Datum,
    combine: fn(&Datum, &Datum) -> Result<Datum>,
    count: i64,
    finish: fn(Datum, i64) -> Result<Datum>,
}

fn fold(combine: fn(&Datum, &Datum) -> Result<Datum>) -> Box<dyn Accumulator> {
    Box::new(Fold { state: Datum::Null, combine, count: 0, finish: |state, _| Ok(state) })
}

impl Accumulator for Fold {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        for_each_datum(first(arguments)?, rows, |value| {
            self.state = match self.count {
                0 => value.clone(),
                _ => (self.combine)(&self.state, value)?,
            };
            self.count += 1;
            Ok(())
        })
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        (self.finish)(self.state.clone(), self.count)
    }
}

fn combine_bits(a: &Datum, b: &Datum, combine: fn(i64, i64) -> i64) -> Result<Datum> {
    if let (Datum::Text(a), Datum::Text(b)) = (a, b) {
        return super::bits::combine_texts(a, b, combine).map(Datum::text);
    }
    Ok(match (a, b) {
        (Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(combine(i64::from(*a), i64::from(*b)) as i16),
        (Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(combine(i64::from(*a), i64::from(*b)) as i32),
        (Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(combine(*a, *b)),
        _ => return Err(super::kernel::not_vectors()),
    })
}

fn add_intervals(a: &Datum, b: &Datum) -> Result<Datum> {
    match (a, b) {
        (Datum::Interval(a), Datum::Interval(b)) => a.checked_add(*b).map(Datum::Interval),
        _ => Err(super::kernel::not_vectors()),
    }
}

fn divide_interval(sum: Datum, count: i64) -> Result<Datum> {
    match sum {
        Datum::Interval(sum) => Interval::divide(sum, count as f64).map(Datum::Interval),
        other => Ok(other),
    }
}

/// string_agg: the delimiter of a row stands before its value; the first row's is not used.
struct StringAggregate {
    bytes: Option<Vec<u8>>,
    text: bool,
}

/// The largest value a query can make (MaxAllocSize).
const VALUE_BYTES_MAX: usize = 0x3fff_ffff;

impl Accumulator for StringAggregate {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        let [values, delimiters] = arguments else {
            return Err(Error::internal("string_agg takes two arguments"));
        };
        for row in rows {
            let value = datum(values, *row);
            let Some(value) = value.as_bytes() else { continue };
            let bytes = match &mut self.bytes {
                None => self.bytes.insert(Vec::new()),
                Some(bytes) => {
                    bytes.extend_from_slice(datum(delimiters, *row).as_bytes().unwrap_or_default());
                    bytes
                }
            };
            bytes.extend_from_slice(value);
            if bytes.len() > VALUE_BYTES_MAX {
                return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
                    .detail(format!("The result would exceed {VALUE_BYTES_MAX} bytes.")));
            }
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        let Some(bytes) = self.bytes.take() else { return Ok(Datum::Null) };
        match self.text {
            true => String::from_utf8(bytes)
                .map(Datum::text)
                .map_err(|_| Error::internal("string_agg was given text that isn't UTF-8")),
            false => Ok(Datum::Bytea(bytes.into())),
        }
    }
    fn bytes(&self) -> usize {
        64 + self.bytes.as_ref().map_or(0, Vec::len)
    }
}

/// array_agg; of arrays: one dimension more.
struct ArrayAggregate {
    element: Type,
    elements: Vec<Datum>,
    any: bool,
    /// Of arrays: the inner dimensions, and how many arrays.
    inner: Option<(Vec<(i32, i32)>, i32)>,
    of_arrays: bool,
    bytes: usize,
}

impl Accumulator for ArrayAggregate {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], _: &EvalContext<'_>) -> Result<()> {
        let operand = first(arguments)?;
        for row in rows {
            let value = datum(operand, *row);
            self.any = true;
            self.bytes += value.bytes();
            if !self.of_arrays {
                self.elements.push(value);
                continue;
            }
            let error = |message: &str| Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
            let Some(array) = value.as_array() else {
                return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays"));
            };
            if array.dimensions.is_empty() {
                return error("cannot accumulate empty arrays");
            }
            match &mut self.inner {
                None => self.inner = Some((array.dimensions.clone(), 1)),
                Some((dimensions, count)) if *dimensions == array.dimensions => *count += 1,
                Some(_) => return error("cannot accumulate arrays of different dimensionality"),
            }
            self.elements.extend(array.elements.iter().cloned());
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        if !self.any {
            return Ok(Datum::Null);
        }
        let elements = std::mem::take(&mut self.elements);
        let dimensions = match self.inner.take() {
            None => vec![(elements.len() as i32, 1)],
            Some((inner, count)) => std::iter::once((count, 1)).chain(inner).collect(),
        };
        Ok(Datum::array(ArrayValue { element: self.element, dimensions, elements }))
    }
    fn bytes(&self) -> usize {
        128 + self.bytes
    }
}

fn argument(types: &[Type]) -> Type {
    types.first().copied().unwrap_or(Type::ANY)
}

fn moments(types: &[Type], moment: Moment) -> Box<dyn Accumulator> {
    match argument(types).repr() {
        Repr::Float4 | Repr::Float8 => Box::new(FloatMoments { count: 0.0, sum: 0.0, squares: 0.0, moment }),
        _ => Box::new(NumericMoments { count: 0, sum: Numeric::zero(), squares: Numeric::zero(), moment }),
    }
}

pub fn register(r: &mut Registry) {
    r.aggregate("agg:count", |_| Box::new(Count::default()));
    r.aggregate("agg:sum", |types| match argument(types).repr() {
        _ if argument(types).base() == Type::MONEY => fold(super::money::sum),
        Repr::Int2 | Repr::Int4 => Box::new(SumToInt8::default()),
        Repr::Int8 => Box::new(SumToNumeric::default()),
        Repr::Float4 => Box::new(FloatSum { single: true, ..FloatSum::default() }),
        Repr::Float8 => Box::new(FloatSum::default()),
        Repr::Interval => fold(add_intervals),
        _ => Box::new(NumericSum::new(false)),
    });
    r.aggregate("agg:avg", |types| match argument(types).repr() {
        Repr::Int2 | Repr::Int4 | Repr::Int8 => Box::new(IntegerAverage::default()),
        Repr::Float4 | Repr::Float8 => moments(types, Moment::Average),
        Repr::Interval => {
            Box::new(Fold { state: Datum::Null, combine: add_intervals, count: 0, finish: divide_interval })
        }
        _ => Box::new(NumericSum::new(true)),
    });
    r.aggregate("agg:min", |types| {
        Box::new(Extreme { best: Datum::Null, data_type: argument(types), greatest: false })
    });
    r.aggregate("agg:max", |types| {
        Box::new(Extreme { best: Datum::Null, data_type: argument(types), greatest: true })
    });
    r.aggregate("agg:bool_and", |_| {
        fold(|a, b| Ok(Datum::Bool(a.as_bool() == Some(true) && b.as_bool() == Some(true))))
    });
    r.aggregate("agg:every", |_| {
        fold(|a, b| Ok(Datum::Bool(a.as_bool() == Some(true) && b.as_bool() == Some(true))))
    });
    r.aggregate("agg:bool_or", |_| {
        fold(|a, b| Ok(Datum::Bool(a.as_bool() == Some(true) || b.as_bool() == Some(true))))
    });
    r.aggregate("agg:bit_and", |_| fold(|a, b| combine_bits(a, b, |a, b| a & b)));
    r.aggregate("agg:bit_or", |_| fold(|a, b| combine_bits(a, b, |a, b| a | b)));
    r.aggregate("agg:bit_xor", |_| fold(|a, b| combine_bits(a, b, |a, b| a ^ b)));
    r.aggregate("agg:string_agg", |types| {
        Box::new(StringAggregate { bytes: None, text: argument(types).repr() == Repr::Text })
    });
    r.aggregate("agg:array_agg", |types| {
        let argument = argument(types);
        let of_arrays = argument.is_array();
        let element = if of_arrays { argument.element().unwrap_or(argument) } else { argument };
        Box::new(ArrayAggregate {
            element,
            elements: Vec::new(),
            any: false,
            inner: None,
            of_arrays,
            bytes: 0,
        })
    });
    r.aggregate("agg:stddev", |types| moments(types, Moment::Sample { root: true }));
    r.aggregate("agg:stddev_samp", |types| moments(types, Moment::Sample { root: true }));
    r.aggregate("agg:stddev_pop", |types| moments(types, Moment::Population { root: true }));
    r.aggregate("agg:variance", |types| moments(types, Moment::Sample { root: false }));
    r.aggregate("agg:var_samp", |types| moments(types, Moment::Sample { root: false }));
    r.aggregate("agg:var_pop", |types| moments(types, Moment::Population { root: false }));
    r.aggregate("agg:regr_count", |_| Box::new(RegressionCount::default()));
    r.aggregate("agg:regr_sxx", |_| regression(|r| some_rows(r, r.sxx)));
    r.aggregate("agg:regr_syy", |_| regression(|r| some_rows(r, r.syy)));
    r.aggregate("agg:regr_sxy", |_| regression(|r| some_rows(r, r.sxy)));
    r.aggregate("agg:regr_avgx", |_| regression(|r| some_rows(r, r.sx / r.n)));
    r.aggregate("agg:regr_avgy", |_| regression(|r| some_rows(r, r.sy / r.n)));
    r.aggregate("agg:covar_pop", |_| regression(|r| some_rows(r, r.sxy / r.n)));
    r.aggregate("agg:covar_samp", |_| regression(|r| (r.n >= 2.0).then(|| r.sxy / (r.n - 1.0))));
    r.aggregate("agg:corr", |_| {
        regression(|r| (r.n >= 1.0 && r.sxx != 0.0 && r.syy != 0.0).then(|| r.sxy / (r.sxx * r.syy).sqrt()))
    });
    r.aggregate("agg:regr_r2", |_| {
        regression(|r| match r.n >= 1.0 && r.sxx != 0.0 {
            true if r.syy == 0.0 => Some(1.0),
            true => Some(r.sxy * r.sxy / (r.sxx * r.syy)),
            false => None,
        })
    });
    r.aggregate("agg:regr_slope", |_| regression(|r| (r.n >= 1.0 && r.sxx != 0.0).then(|| r.sxy / r.sxx)));
    r.aggregate("agg:regr_intercept", |_| {
        regression(|r| (r.n >= 1.0 && r.sxx != 0.0).then(|| (r.sy - r.sx * r.sxy / r.sxx) / r.n))
    });
}
