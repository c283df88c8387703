//! Intervals' type modifier (which fields, how many digits of a second) and arithmetic.
//!
//! The modifier packs a set of fields in its upper 16 bits and the precision in its lower 16, as PostgreSQL's does.

use super::Interval;
use crate::error::{Error, Result, SqlState};

pub const MICROS_PER_SECOND: i64 = 1_000_000;
pub const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

pub const YEAR: i32 = 1 << 2;
pub const MONTH: i32 = 1 << 1;
pub const DAY: i32 = 1 << 3;
pub const HOUR: i32 = 1 << 10;
pub const MINUTE: i32 = 1 << 11;
pub const SECOND: i32 = 1 << 12;
const FULL_RANGE: i32 = 0x7fff;
const FULL_PRECISION: i32 = 0xffff;

/// The fields' names with their set.
const RANGES: &[(&str, i32)] = &[
    ("year", YEAR),
    ("month", MONTH),
    ("day", DAY),
    ("hour", HOUR),
    ("minute", MINUTE),
    ("second", SECOND),
    ("year to month", YEAR | MONTH),
    ("day to hour", DAY | HOUR),
    ("day to minute", DAY | HOUR | MINUTE),
    ("day to second", DAY | HOUR | MINUTE | SECOND),
    ("hour to minute", HOUR | MINUTE),
    ("hour to second", HOUR | MINUTE | SECOND),
    ("minute to second", MINUTE | SECOND),
];

/// The type modifier of `interval <fields>(precision)`; None: no such fields.
pub fn make_interval_modifier(fields: Option<&str>, precision: Option<i32>) -> Option<i32> {
    let range = match fields {
        Some(fields) => RANGES.iter().find(|range| range.0.eq_ignore_ascii_case(fields))?.1,
        None if precision.is_none() => return Some(-1),
        None => FULL_RANGE,
    };
    Some(range << 16 | precision.map_or(FULL_PRECISION, |precision| precision.clamp(0, 6)))
}

/// `interval day to second(3)`.
pub fn interval_modifier_text(modifier: i32) -> String {
    let mut text = "interval".to_string();
    if modifier < 0 {
        return text;
    }
    if let Some((name, _)) = RANGES.iter().find(|range| range.1 == modifier >> 16 & FULL_RANGE) {
        text.push(' ');
        text.push_str(name);
    }
    match modifier & FULL_PRECISION {
        FULL_PRECISION => text,
        precision => format!("{text}({precision})"),
    }
}

/// The fields a modifier allows, for parsing (`interval '1' hour`); None: all.
pub fn modifier_fields(modifier: i32) -> Option<i32> {
    let range = modifier >> 16 & FULL_RANGE;
    (modifier >= 0 && range != FULL_RANGE).then_some(range)
}

pub fn interval_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// Rounds microseconds to `precision` digits of a second, half away from zero.
pub fn round_micros(micros: i64, precision: i32) -> i64 {
    if !(0..6).contains(&precision) {
        return micros;
    }
    let unit = 10i64.pow(6 - precision as u32);
    let half = unit / 2;
    if micros >= 0 {
        micros.saturating_add(half) / unit * unit
    } else {
        -(micros.saturating_neg().saturating_add(half) / unit * unit)
    }
}

impl Interval {
    /// Drops fields finer than the modifier's and rounds its seconds (AdjustIntervalForTypmod).
    pub fn apply_modifier(mut self, modifier: i32) -> Interval {
        if modifier < 0 {
            return self;
        }
        let range = modifier >> 16 & FULL_RANGE;
        if range != FULL_RANGE {
            // The finest field decides: what is coarser stays.
            match range {
                r if r & SECOND != 0 => {}
                r if r & MINUTE != 0 => self.micros = self.micros / MICROS_PER_MINUTE * MICROS_PER_MINUTE,
                r if r & HOUR != 0 => self.micros = self.micros / MICROS_PER_HOUR * MICROS_PER_HOUR,
                r if r & DAY != 0 => self.micros = 0,
                r => {
                    (self.micros, self.days) = (0, 0);
                    if r & MONTH == 0 {
                        self.months = self.months / 12 * 12;
                    }
                }
            }
        }
        match modifier & FULL_PRECISION {
            FULL_PRECISION => {}
            precision => self.micros = round_micros(self.micros, precision),
        }
        self
    }

    pub fn checked_add(self, other: Interval) -> Result<Interval> {
        let sum = || {
            Some(Interval {
                months: self.months.checked_add(other.months)?,
                days: self.days.checked_add(other.days)?,
                micros: self.micros.checked_add(other.micros)?,
            })
        };
        sum().ok_or_else(interval_out_of_range)
    }
    pub fn checked_neg(self) -> Result<Interval> {
        let negated = || {
            Some(Interval {
                months: self.months.checked_neg()?,
                days: self.days.checked_neg()?,
                micros: self.micros.checked_neg()?,
            })
        };
        negated().ok_or_else(interval_out_of_range)
    }
    pub fn checked_sub(self, other: Interval) -> Result<Interval> {
        self.checked_add(other.checked_neg()?)
    }

    /// interval * double: fractions of months become days, fractions of days become time (interval_mul).
    pub fn multiply(self, factor: f64) -> Result<Interval> {
        self.scale(|value| value * factor)
    }
    pub fn divide(self, divisor: f64) -> Result<Interval> {
        if divisor == 0.0 {
            return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        self.scale(|value| value / divisor)
    }
    fn scale(self, scale: impl Fn(f64) -> f64) -> Result<Interval> {
        let within = |value: f64, limit: f64| match value.is_finite() && value.abs() < limit {
            true => Ok(value),
            false => Err(interval_out_of_range()),
        };
        let months = within(scale(f64::from(self.months)), 2_147_483_648.0)?;
        let days = within(scale(f64::from(self.days)), 2_147_483_648.0)?;
        // Rounded to microseconds, or 1 month / 3 would leave stray fractions (TSROUND).
        let rounded = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let mut month_days = rounded((months - months.trunc()) * 30.0);
        let mut seconds = rounded((days - days.trunc() + month_days - month_days.trunc()) * 86_400.0);
        if seconds.abs() >= 86_400.0 {
            month_days += (seconds / 86_400.0).trunc();
            seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
        }
        let days = within(days.trunc() + month_days.trunc(), 2_147_483_648.0)?;
        let micros = (scale(self.micros as f64) + seconds * 1e6).round_ties_even();
        let micros = within(micros, 9.223_372_036_854_775e18)?;
        Ok(Interval { months: months as i32, days: days as i32, micros: micros as i64 })
    }

    pub fn justify_hours(self) -> Result<Interval> {
        let whole = i32::try_from(self.micros / MICROS_PER_DAY).map_err(|_| interval_out_of_range())?;
        let days = self.days.checked_add(whole).ok_or_else(interval_out_of_range)?;
        let mut result = Interval { days, micros: self.micros % MICROS_PER_DAY, ..self };
        if result.days > 0 && result.micros < 0 {
            result.micros += MICROS_PER_DAY;
            result.days -= 1;
        } else if result.days < 0 && result.micros > 0 {
            result.micros -= MICROS_PER_DAY;
            result.days += 1;
        }
        Ok(result)
    }
    pub fn justify_days(self) -> Result<Interval> {
        let months = self.months.checked_add(self.days / 30).ok_or_else(interval_out_of_range)?;
        let mut result = Interval { months, days: self.days % 30, ..self };
        if result.months > 0 && result.days < 0 {
            result.days += 30;
            result.months -= 1;
        } else if result.months < 0 && result.days > 0 {
            result.days -= 30;
            result.months += 1;
        }
        Ok(result)
    }
    pub fn justify_interval(self) -> Result<Interval> {
        let whole = i32::try_from(self.micros / MICROS_PER_DAY).map_err(|_| interval_out_of_range())?;
        let days = self.days.checked_add(whole).ok_or_else(interval_out_of_range)?;
        let months = self.months.checked_add(days / 30).ok_or_else(interval_out_of_range)?;
        let mut result = Interval { months, days: days % 30, micros: self.micros % MICROS_PER_DAY };
        if result.months > 0 && (result.days < 0 || result.days == 0 && result.micros < 0) {
            result.days += 30;
            result.months -= 1;
        } else if result.months < 0 && (result.days > 0 || result.days == 0 && result.micros > 0) {
            result.days -= 30;
            result.months += 1;
        }
        if result.days > 0 && result.micros < 0 {
            result.micros += MICROS_PER_DAY;
            result.days -= 1;
        } else if result.days < 0 && result.micros > 0 {
            result.micros -= MICROS_PER_DAY;
            result.days += 1;
        }
        Ok(result)
    }
}
