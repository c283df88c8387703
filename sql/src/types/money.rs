//! The text of money, as PostgreSQL writes and reads it where lc_monetary is C: `-$1,234.56`. A value is a number of cents.

use super::format::{invalid_input, pad};
use crate::error::{Error, Result, SqlState};

/// Digits after the point.
const DIGITS: u32 = 2;

pub(super) fn write_text(out: &mut Vec<u8>, cents: i64) {
    if cents < 0 {
        out.push(b'-');
    }
    out.push(b'$');
    let (whole, rest) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    let digits = whole.to_string();
    for (at, digit) in digits.bytes().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(b',');
        }
        out.push(digit);
    }
    out.push(b'.');
    pad(out, rest, DIGITS as usize);
}

/// `[$]###[,]###[.##]`, with the sign before or behind it, or in parentheses. A third digit after the point rounds.
pub(super) fn parse(text: &str) -> Result<i64> {
    let invalid = || invalid_input("money", text);
    let out_of_range = || {
        let message = format!("value \"{text}\" is out of range for type money");
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let is_space = |c: char| c == ' ' || ('\t'..='\r').contains(&c);
    let unmarked = |text: &str| -> usize {
        let rest = text.trim_start_matches(is_space);
        let rest = rest.strip_prefix('$').unwrap_or(rest).trim_start_matches(is_space);
        text.len() - rest.len()
    };
    let mut rest = &text[unmarked(text)..];
    let mut negative = rest.starts_with(['-', '(']);
    if rest.starts_with(['-', '(', '+']) {
        rest = &rest[1..];
    }
    rest = &rest[unmarked(rest)..];
    // Built below zero, where there is one number more.
    let mut value = 0i64;
    let mut fraction = None;
    let mut at = 0;
    for byte in rest.bytes() {
        match byte {
            b'0'..=b'9' if fraction != Some(DIGITS) => {
                let next = value.checked_mul(10).and_then(|value| value.checked_sub(i64::from(byte - b'0')));
                value = next.ok_or_else(out_of_range)?;
                fraction = fraction.map(|count| count + 1);
            }
            b'.' if fraction.is_none() => fraction = Some(0),
            b',' => {}
            _ => break,
        }
        at += 1;
    }
    rest = &rest[at..];
    if rest.starts_with(|c: char| ('5'..='9').contains(&c)) {
        value = value.checked_sub(1).ok_or_else(out_of_range)?;
    }
    for _ in fraction.unwrap_or(0)..DIGITS {
        value = value.checked_mul(10).ok_or_else(out_of_range)?;
    }
    for c in rest.trim_start_matches(|c: char| c.is_ascii_digit()).chars() {
        match c {
            '-' => negative = true,
            ')' | '+' | '$' => {}
            c if is_space(c) => {}
            _ => return Err(invalid()),
        }
    }
    match negative {
        true => Ok(value),
        false => value.checked_neg().ok_or_else(out_of_range),
    }
}
