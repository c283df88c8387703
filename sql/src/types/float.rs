//! Floats as text: the shortest digits that read back as the same float, laid out as C's %g would; or, with
//! extra_float_digits ≤ 0, a fixed number of significant digits.

use crate::error::{Error, Result, SqlState};

/// Decimal digits that a float surely has (FLT_DIG, DBL_DIG). Fixed notation is used for fewer integer digits than that.
pub const FLOAT4_DIGITS: i32 = 6;
pub const FLOAT8_DIGITS: i32 = 15;

pub fn write_float8(out: &mut Vec<u8>, value: f64, extra_digits: i32) {
    if special(out, value) {
        return;
    }
    if extra_digits > 0 {
        return layout(out, &format!("{value:e}"), FLOAT8_DIGITS);
    }
    write_significant(out, value, FLOAT8_DIGITS + extra_digits);
}

pub fn write_float4(out: &mut Vec<u8>, value: f32, extra_digits: i32) {
    if special(out, f64::from(value)) {
        return;
    }
    if extra_digits > 0 {
        return layout(out, &format!("{value:e}"), FLOAT4_DIGITS);
    }
    write_significant(out, f64::from(value), FLOAT4_DIGITS + extra_digits);
}

/// C's `%.{digits}g` of a finite value.
fn write_significant(out: &mut Vec<u8>, value: f64, digits: i32) {
    let digits = digits.max(1);
    layout(out, &format!("{value:.*e}", digits as usize - 1), digits);
}

fn special(out: &mut Vec<u8>, value: f64) -> bool {
    let text: &[u8] = match value {
        _ if value.is_nan() => b"NaN",
        f64::INFINITY => b"Infinity",
        f64::NEG_INFINITY => b"-Infinity",
        _ => return false,
    };
    out.extend_from_slice(text);
    true
}

/// Lays out "d.ddde±x": fixed where -4 ≤ exponent < `fixed_below`, else with an exponent of two digits at least.
fn layout(out: &mut Vec<u8>, scientific: &str, fixed_below: i32) {
    let (mantissa, exponent) = scientific.split_once('e').expect("LowerExp writes an exponent");
    let exponent: i32 = exponent.parse().expect("LowerExp's exponent is an integer");
    let mantissa = match mantissa.strip_prefix('-') {
        Some(positive) => {
            out.push(b'-');
            positive
        }
        None => mantissa,
    };
    let digits: Vec<u8> = mantissa.bytes().filter(|byte| *byte != b'.').collect();
    let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..kept];
    if (-4..fixed_below).contains(&exponent) {
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            return out.extend_from_slice(digits);
        }
        let whole = exponent as usize + 1;
        out.extend_from_slice(&digits[..whole.min(digits.len())]);
        match digits.len() > whole {
            true => {
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
            false => out.resize(out.len() + whole - digits.len(), b'0'),
        }
        return;
    }
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    super::format::pad(out, u64::from(exponent.unsigned_abs()), 2);
}

/// strtod's syntax, as far as PostgreSQL documents it. None: not a number.
fn parse(text: &str) -> Option<f64> {
    let trimmed = text.trim_matches(super::numeric::is_space);
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let first = unsigned.as_bytes().first()?;
    let named = ["nan", "inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name));
    // Rust takes all that strtod does, but for hexadecimal floats; its other words are excluded here.
    (named || first.is_ascii_digit() || *first == b'.').then(|| trimmed.parse().ok())?
}

fn out_of_range(text: &str, name: &str) -> Error {
    let message = format!("\"{text}\" is out of range for type {name}");
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

fn is_zero_text(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    !mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

fn is_infinity_text(text: &str) -> bool {
    text.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'n'))
}

pub fn parse_float8(text: &str) -> Result<f64> {
    let invalid = || super::format::invalid_input("double precision", text);
    let value = parse(text).ok_or_else(invalid)?;
    let overflowed = value.is_infinite() && !is_infinity_text(text);
    match overflowed || value == 0.0 && !is_zero_text(text) {
        true => Err(out_of_range(text.trim(), "double precision")),
        false => Ok(value),
    }
}

pub fn parse_float4(text: &str) -> Result<f32> {
    let invalid = || super::format::invalid_input("real", text);
    parse(text).ok_or_else(invalid)?;
    let value: f32 = text.trim_matches(super::numeric::is_space).parse().map_err(|_| invalid())?;
    let overflowed = value.is_infinite() && !is_infinity_text(text);
    match overflowed || value == 0.0 && !is_zero_text(text) {
        true => Err(out_of_range(text.trim(), "real")),
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values from PostgreSQL 15.
    #[test]
    fn floats_print_as_postgresql_does() {
        let shown = |value: f64, extra| {
            let mut out = Vec::new();
            write_float8(&mut out, value, extra);
            String::from_utf8(out).unwrap()
        };
        let cases = [
            (0.1, "0.1"),
            (1e15, "1e+15"),
            (123456789012345.0, "123456789012345"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-0.0, "-0"),
            (1.5e300, "1.5e+300"),
            (0.1 + 0.2, "0.30000000000000004"),
            (100.0, "100"),
            (f64::INFINITY, "Infinity"),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value, 1), expected);
        }
        assert_eq!(shown(0.1 + 0.2, 0), "0.3");
        assert_eq!(shown(1.0 / 3.0, -10), "0.33333");
        let mut out = Vec::new();
        write_float4(&mut out, 1234567.0, 1);
        assert_eq!(out, b"1.234567e+06");
        assert!(
            parse_float8("1e400").is_err() && parse_float8("1e-400").is_err() && parse_float8("x").is_err()
        );
        assert_eq!(parse_float8(" -Infinity ").unwrap(), f64::NEG_INFINITY);
    }
}
