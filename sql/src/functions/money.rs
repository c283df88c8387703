//! Functions and operators of money.

use super::Registry;
use super::arguments::scalar;
use super::geometry::float::{divide, multiply};
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, Numeric};

fn out_of_range() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "money out of range")
}

fn zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

/// To the nearest cent, halves to the even one.
fn cents(value: f64) -> Result<i64> {
    // 2^63: below it every double fits.
    const END: f64 = 9_223_372_036_854_775_808.0;
    let rounded = value.round_ties_even();
    match (-END..END).contains(&rounded) {
        true => Ok(rounded as i64),
        false => Err(out_of_range()),
    }
}

fn times(cents: i64, by: i64) -> Result<i64> {
    cents.checked_mul(by).ok_or_else(out_of_range)
}

fn over(cents: i64, by: i64) -> Result<i64> {
    if by == 0 { Err(zero()) } else { cents.checked_div(by).ok_or_else(out_of_range) }
}

pub fn sum(a: &Datum, b: &Datum) -> Result<Datum> {
    let sum = a.as_i64().and_then(|a| a.checked_add(b.as_i64()?));
    sum.map(Datum::Int8).ok_or_else(out_of_range)
}

fn from_whole(whole: i64) -> Result<i64> {
    let too_large = || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range");
    whole.checked_mul(100).ok_or_else(too_large)
}

fn from_numeric(value: &Numeric) -> Result<i64> {
    let error = |what: &str| {
        let message = format!("cannot convert {what} to bigint");
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
    };
    match value {
        Numeric::NaN => return Err(error("NaN")),
        Numeric::Infinity | Numeric::NegativeInfinity => return Err(error("infinity")),
        _ => {}
    }
    let cents = value.mul(&Numeric::from_i64(100))?.round(0)?;
    let too_large = || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range");
    cents.to_i64().ok_or_else(too_large)
}

/// A number below a thousand.
fn words(number: u64) -> String {
    const SMALL: [&str; 28] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
        "thirty",
        "forty",
        "fifty",
        "sixty",
        "seventy",
        "eighty",
        "ninety",
    ];
    let word = |number: u64| SMALL[number as usize];
    let ten = |tens: u64| SMALL[18 + tens as usize];
    let (hundreds, rest) = (number / 100, number % 100);
    let below = match rest {
        0..=20 => word(rest).to_owned(),
        _ if rest % 10 == 0 => ten(rest / 10).to_owned(),
        _ => format!("{} {}", ten(rest / 10), word(rest % 10)),
    };
    match (hundreds, rest) {
        (0, _) => below,
        (_, 0) => format!("{} hundred", word(hundreds)),
        (_, 1..=19) => format!("{} hundred and {below}", word(hundreds)),
        _ => format!("{} hundred {below}", word(hundreds)),
    }
}

fn in_words(cents: i64) -> String {
    const GROUPS: [(u64, &str); 5] = [
        (1_000_000_000_000_000, " quadrillion "),
        (1_000_000_000_000, " trillion "),
        (1_000_000_000, " billion "),
        (1_000_000, " million "),
        (1_000, " thousand "),
    ];
    let (dollars, rest) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    let mut text = String::new();
    for (size, name) in GROUPS {
        let group = dollars / size % 1000;
        if group > 0 {
            text += &words(group);
            text += name;
        }
    }
    if dollars % 1000 > 0 {
        text += &words(dollars % 1000);
    }
    if text.is_empty() {
        text += "zero";
    }
    text += if dollars == 1 { " dollar and " } else { " dollars and " };
    text += &words(rest);
    text += if rest == 1 { " cent" } else { " cents" };
    if cents < 0 {
        text.insert_str(0, "minus ");
    }
    text[..1].make_ascii_uppercase();
    text
}

pub fn register(r: &mut Registry) {
    scalar!(r, "cash_pl", |a: i64, b: i64| a.checked_add(b).ok_or_else(out_of_range));
    scalar!(r, "cash_mi", |a: i64, b: i64| a.checked_sub(b).ok_or_else(out_of_range));
    scalar!(r, "cash_div_cash", |a: i64, b: i64| if b == 0 { Err(zero()) } else { Ok(a as f64 / b as f64) });
    scalar!(r, "cash_mul_flt8", |a: i64, b: f64| multiply(a as f64, b).and_then(cents));
    scalar!(r, "flt8_mul_cash", |a: f64, b: i64| multiply(a, b as f64).and_then(cents));
    scalar!(r, "cash_div_flt8", |a: i64, b: f64| divide(a as f64, b).and_then(cents));
    scalar!(r, "cash_mul_flt4", |a: i64, b: f32| multiply(a as f64, f64::from(b)).and_then(cents));
    scalar!(r, "flt4_mul_cash", |a: f32, b: i64| multiply(f64::from(a), b as f64).and_then(cents));
    scalar!(r, "cash_div_flt4", |a: i64, b: f32| divide(a as f64, f64::from(b)).and_then(cents));
    scalar!(r, "cash_mul_int8", |a: i64, b: i64| times(a, b));
    scalar!(r, "int8_mul_cash", |a: i64, b: i64| times(b, a));
    scalar!(r, "cash_div_int8", |a: i64, b: i64| over(a, b));
    scalar!(r, "cash_mul_int4", |a: i64, b: i32| times(a, i64::from(b)));
    scalar!(r, "int4_mul_cash", |a: i32, b: i64| times(b, i64::from(a)));
    scalar!(r, "cash_div_int4", |a: i64, b: i32| over(a, i64::from(b)));
    scalar!(r, "cash_mul_int2", |a: i64, b: i16| times(a, i64::from(b)));
    scalar!(r, "int2_mul_cash", |a: i16, b: i64| times(b, i64::from(a)));
    scalar!(r, "cash_div_int2", |a: i64, b: i16| over(a, i64::from(b)));
    scalar!(r, "cash_cmp", |a: i64, b: i64| a.cmp(&b) as i32);
    scalar!(r, "cashlarger", |a: i64, b: i64| a.max(b));
    scalar!(r, "cashsmaller", |a: i64, b: i64| a.min(b));
    scalar!(r, "cash_words", |a: i64| in_words(a));
    scalar!(r, "int4_cash", |a: i32| i64::from(a) * 100);
    scalar!(r, "int8_cash", |a: i64| from_whole(a));
    scalar!(r, "numeric_cash", |a: &Numeric| from_numeric(a));
    scalar!(r, "cash_numeric", |a: i64| Numeric::from_scaled_i128(i128::from(a), 2));
}
