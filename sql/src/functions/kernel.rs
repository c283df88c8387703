//! Loops over columns. [`binary!`] and [`compare!`] register a function's scalar form and its kernel from one closure.
//!
//! A kernel's operands are columns or constants; each combination gets a loop of its own, so that the compiler sees
//! plain slices. Rows that are null hold arbitrary values: a fallible closure is not called for them (the caller
//! passes over their results), an infallible one is, for a branch would cost more.

use super::Operand;
use crate::column::{Bitmap, Column};
use crate::error::Result;
use crate::types::Datum;

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
pub fn finish(values: crate::column::Values, nulls: Option<Bitmap>) -> Column {
    match nulls {
        Some(nulls) => Column::with_nulls(values, nulls),
        None => Column::new(values),
    }
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

pub(super) use {binary, compare, compare_text};
