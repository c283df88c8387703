//! Arithmetic of doubles whose overflow and underflow are errors.

use crate::error::{Error, Result, SqlState};

fn out_of_range(how: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {how}"))
}

/// An infinity that no operand was is an overflow.
fn finite(result: f64, operands_infinite: bool) -> Result<f64> {
    match result.is_infinite() && !operands_infinite {
        true => Err(out_of_range("overflow")),
        false => Ok(result),
    }
}

pub fn add(a: f64, b: f64) -> Result<f64> {
    finite(a + b, a.is_infinite() || b.is_infinite())
}

pub fn subtract(a: f64, b: f64) -> Result<f64> {
    finite(a - b, a.is_infinite() || b.is_infinite())
}

pub fn multiply(a: f64, b: f64) -> Result<f64> {
    let result = finite(a * b, a.is_infinite() || b.is_infinite())?;
    match result == 0.0 && a != 0.0 && b != 0.0 {
        true => Err(out_of_range("underflow")),
        false => Ok(result),
    }
}

pub fn divide(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 && !a.is_nan() {
        return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
    }
    let result = finite(a / b, a.is_infinite())?;
    match result == 0.0 && a != 0.0 && !b.is_infinite() {
        true => Err(out_of_range("underflow")),
        false => Ok(result),
    }
}

/// The longest side of a right-angled triangle. Not `f64::hypot`, whose last digit differs from PostgreSQL's.
pub fn hypotenuse(x: f64, y: f64) -> Result<f64> {
    if x.is_infinite() || y.is_infinite() {
        return Ok(f64::INFINITY);
    }
    if x.is_nan() || y.is_nan() {
        return Ok(f64::NAN);
    }
    let (x, y) = (x.abs().max(y.abs()), x.abs().min(y.abs()));
    if y == 0.0 {
        return Ok(x);
    }
    let ratio = y / x;
    match x * (1.0 + ratio * ratio).sqrt() {
        result if result.is_infinite() => Err(out_of_range("overflow")),
        0.0 => Err(out_of_range("underflow")),
        result => Ok(result),
    }
}
