//! to_char, to_date, to_timestamp and to_number: values by a picture, and pictures back to values.
//!
//! - `picture`: a datetime picture as fields and text between them; `datetime_output`, `datetime_input`: both ways;
//! - `number`: the same for numbers, whose patterns are others.
//!
//! The rules, which grew out of Oracle's, are those of PostgreSQL's formatting.c; the locale is C.

mod datetime_input;
mod datetime_output;
mod number;
mod picture;

use super::Registry;

pub fn register(r: &mut Registry) {
    datetime_output::register(r);
    datetime_input::register(r);
    number::register(r);
}

/// st, nd, rd or th after a number's digits.
fn ordinal(digits: &str) -> &'static str {
    let bytes = digits.as_bytes();
    let teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    match bytes.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN_MONTHS: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
