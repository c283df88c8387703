//! Loops over columns. [`binary!`] and [`compare!`] register a function's scalar form and its kernel from one closure.
//!
//! A kernel's operands are columns or constants; each combination gets a loop of its own, so that the compiler sees
//! plain slices. Rows that are null hold arbitrary values: a fallible closure is not called for them (the caller
//! passes over their results), an infallible one is, for a branch would cost more.

use super::Operand;
use crate::column::{Bitmap, Column, Values};
use crate::error::Result;
use crate::types::{Datum, Numeric};

/// Rows in which either operand is null.
pub fn either_null(operands: &[Operand]) -> Option<Bitmap> {
    let mut union: Option<Bitmap> = None;
    for operand in operands {
        let Operand::Column(column) = operand else { continue };
        if let Some(nulls) = &column.nulls {
            match &mut union {
                Some(union) => union.or(nulls),
                None => union = Some(nulls.clone()),
            }
        }
    }
    union
}

pub fn has_null_constant(operands: &[Operand]) -> bool {
    operands.iter().any(|operand| matches!(operand, Operand::Constant(Datum::Null)))
}

/// Calls `compute` for every row that isn't null.
pub fn fallible<R: Default + Clone>(
    nulls: Option<&Bitmap>,
    rows: usize,
    mut compute: impl FnMut(usize) -> Result<R>,
) -> Result<Vec<R>> {
    let mut results = Vec::with_capacity(rows);
    match nulls {
        None => {
            for row in 0..rows {
                results.push(compute(row)?);
            }
        }
        Some(nulls) => {
            for row in 0..rows {
                results.push(if nulls.get(row) { R::default() } else { compute(row)? });
            }
        }
    }
    Ok(results)
}

/// A kernel's result with the nulls of its operands.
pub fn finish(values: Values, nulls: Option<Bitmap>) -> Column {
    match nulls {
        Some(nulls) => Column::with_nulls(values, nulls),
        None => Column::new(values),
    }
}

/// The two operands of a function of numerics, which are too large to copy into a closure for nothing.
pub struct Numerics<'a> {
    a: NumericSide<'a>,
    b: NumericSide<'a>,
    nulls: Option<Bitmap>,
}

enum NumericSide<'a> {
    Column(&'a [Numeric]),
    Constant(&'a Numeric),
}

impl NumericSide<'_> {
    fn new(operand: &Operand) -> Result<NumericSide<'_>> {
        match operand {
            Operand::Column(column) => match &column.values {
                Values::Numeric(vector) => Ok(NumericSide::Column(vector)),
                _ => Err(not_vectors()),
            },
            Operand::Constant(Datum::Numeric(value)) => Ok(NumericSide::Constant(value)),
            Operand::Constant(_) => Err(not_vectors()),
        }
    }
    #[inline]
    fn at(&self, row: usize) -> &Numeric {
        match self {
            NumericSide::Column(vector) => &vector[row],
            NumericSide::Constant(value) => value,
        }
    }
}

impl<'a> Numerics<'a> {
    /// `None`: a constant is null, and so is every result.
    pub fn new(operands: &'a [Operand]) -> Result<Option<Numerics<'a>>> {
        match operands {
            _ if has_null_constant(operands) => Ok(None),
            [a, b] => {
                let (a, b) = (NumericSide::new(a)?, NumericSide::new(b)?);
                Ok(Some(Numerics { a, b, nulls: either_null(operands) }))
            }
            _ => Err(not_vectors()),
        }
    }
    pub fn map<R: Default + Clone>(
        self,
        rows: usize,
        wrap: fn(Vec<R>) -> Values,
        function: impl Fn(&Numeric, &Numeric) -> Result<R>,
    ) -> Result<Column> {
        let values = fallible(self.nulls.as_ref(), rows, |row| function(self.a.at(row), self.b.at(row)))?;
        Ok(finish(wrap(values), self.nulls))
    }
}

/// `numeric!(registry, "numeric_add" => Numeric, Numeric::add)`: a fallible function of two numerics.
macro_rules! numeric {
    ($registry:expr, $name:expr => $r:ident, $function:expr) => {
        $registry.kernel(
            $name,
            |arguments, _| match arguments {
                [Datum::Numeric(a), Datum::Numeric(b)] => Ok(Datum::$r($function(a, b)?)),
                _ => Err($crate::functions::kernel::not_vectors()),
            },
            |operands, rows, _| match $crate::functions::kernel::Numerics::new(operands)? {
                Some(numerics) => numerics.map(rows, $crate::column::Values::$r, $function),
                None => Ok($crate::column::Column::all_null($crate::types::Repr::$r, rows)),
            },
        )
    };
}

pub fn not_vectors() -> crate::error::Error {
    crate::error::Error::internal("a kernel got operands of other types than its own")
}

/// A fallible function of two fixed-width values: `binary!(registry, "int4pl", Int4, Int4 => Int4, |a, b| …)`.
macro_rules! binary {
    ($registry:expr, $name:expr, $a:ident, $b:ident => $r:ident, $function:expr) => {
        $registry.kernel(
            $name,
            |arguments, _| match arguments {
                [Datum::$a(a), Datum::$b(b)] => Ok(Datum::$r($function(*a, *b)?)),
                _ => Err($crate::functions::kernel::not_vectors()),
            },
            |operands, rows, _| {
                use $crate::column::{Column, Values};
                use $crate::functions::{Operand, kernel};
                let nulls = kernel::either_null(operands);
                let values = match operands {
                    _ if kernel::has_null_constant(operands) => {
                        return Ok(Column::all_null($crate::types::Repr::$r, rows));
                    }
                    [Operand::Column(a), Operand::Column(b)] => {
                        let (Values::$a(a), Values::$b(b)) = (&a.values, &b.values) else {
                            return Err(kernel::not_vectors());
                        };
                        kernel::fallible(nulls.as_ref(), rows, |row| $function(a[row], b[row]))?
                    }
                    [Operand::Column(a), Operand::Constant(Datum::$b(b))] => {
                        let Values::$a(a) = &a.values else { return Err(kernel::not_vectors()) };
                        kernel::fallible(nulls.as_ref(), rows, |row| $function(a[row], *b))?
                    }
                    [Operand::Constant(Datum::$a(a)), Operand::Column(b)] => {
                        let Values::$b(b) = &b.values else { return Err(kernel::not_vectors()) };
                        kernel::fallible(nulls.as_ref(), rows, |row| $function(*a, b[row]))?
                    }
                    [Operand::Constant(Datum::$a(a)), Operand::Constant(Datum::$b(b))] => {
                        vec![$function(*a, *b)?; rows]
                    }
                    _ => return Err(kernel::not_vectors()),
                };
                Ok(kernel::finish(Values::$r(values), nulls))
            },
        )
    };
}

/// An infallible predicate on two fixed-width values: `compare!(registry, "int4lt", Int4, Int4, |a, b| a < b)`.
macro_rules! compare {
    ($registry:expr, $name:expr, $a:ident, $b:ident, $function:expr) => {
        $registry.kernel(
            $name,
            |arguments, _| match arguments {
                [Datum::$a(a), Datum::$b(b)] => Ok(Datum::Bool($function(*a, *b))),
                _ => Err($crate::functions::kernel::not_vectors()),
            },
            |operands, rows, _| {
                use $crate::column::{Column, Values};
                use $crate::functions::{Operand, kernel};
                let values: Vec<bool> = match operands {
                    _ if kernel::has_null_constant(operands) => {
                        return Ok(Column::all_null($crate::types::Repr::Bool, rows));
                    }
                    [Operand::Column(a), Operand::Column(b)] => {
                        let (Values::$a(a), Values::$b(b)) = (&a.values, &b.values) else {
                            return Err(kernel::not_vectors());
                        };
                        a.iter().zip(b).map(|(a, b)| $function(*a, *b)).collect()
                    }
                    [Operand::Column(a), Operand::Constant(Datum::$b(b))] => {
                        let Values::$a(a) = &a.values else { return Err(kernel::not_vectors()) };
                        a.iter().map(|a| $function(*a, *b)).collect()
                    }
                    [Operand::Constant(Datum::$a(a)), Operand::Column(b)] => {
                        let Values::$b(b) = &b.values else { return Err(kernel::not_vectors()) };
                        b.iter().map(|b| $function(*a, *b)).collect()
                    }
                    [Operand::Constant(Datum::$a(a)), Operand::Constant(Datum::$b(b))] => {
                        vec![$function(*a, *b); rows]
                    }
                    _ => return Err(kernel::not_vectors()),
                };
                Ok(kernel::finish(Values::Bool(values), kernel::either_null(operands)))
            },
        )
    };
}

/// An infallible predicate on two texts, as bytes.
macro_rules! compare_text {
    ($registry:expr, $name:expr, $function:expr) => {
        $registry.kernel(
            $name,
            |arguments, _| match arguments {
                [Datum::Text(a), Datum::Text(b)] => Ok(Datum::Bool($function(a.as_bytes(), b.as_bytes()))),
                _ => Err($crate::functions::kernel::not_vectors()),
            },
            |operands, rows, _| {
                use $crate::column::{Column, Values};
                use $crate::functions::{Operand, kernel};
                let values: Vec<bool> = match operands {
                    _ if kernel::has_null_constant(operands) => {
                        return Ok(Column::all_null($crate::types::Repr::Bool, rows));
                    }
                    [Operand::Column(a), Operand::Column(b)] => {
                        let (Values::Text(a), Values::Text(b)) = (&a.values, &b.values) else {
                            return Err(kernel::not_vectors());
                        };
                        a.iter().zip(b.iter()).map(|(a, b)| $function(a, b)).collect()
                    }
                    [Operand::Column(a), Operand::Constant(Datum::Text(b))] => {
                        let Values::Text(a) = &a.values else { return Err(kernel::not_vectors()) };
                        a.iter().map(|a| $function(a, b.as_bytes())).collect()
                    }
                    [Operand::Constant(Datum::Text(a)), Operand::Column(b)] => {
                        let Values::Text(b) = &b.values else { return Err(kernel::not_vectors()) };
                        b.iter().map(|b| $function(a.as_bytes(), b)).collect()
                    }
                    [Operand::Constant(Datum::Text(a)), Operand::Constant(Datum::Text(b))] => {
                        vec![$function(a.as_bytes(), b.as_bytes()); rows]
                    }
                    _ => return Err(kernel::not_vectors()),
                };
                Ok(kernel::finish(Values::Bool(values), kernel::either_null(operands)))
            },
        )
    };
}

pub(super) use {binary, compare, compare_text, numeric};
