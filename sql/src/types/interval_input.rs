//! Intervals from text: PostgreSQL's units (`1 year 2 days ago`), SQL's fields (`1-2 3 04:05:06`) and ISO 8601
//! (`P1Y2M3DT4H5M6S`).
//!
//! Fields are read from right to left, as PostgreSQL does: a unit names the number before it, and what a bare number means
//! depends on what stands to its right (days before a time, else seconds or the modifier's finest field).

use super::datetime_input::{Bad, describe, second_micros};
use super::interval::{
    DAY, HOUR, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, MINUTE, MONTH, SECOND,
    YEAR, modifier_fields,
};
use super::{Interval, IntervalStyle, RenderSettings};
use crate::error::Result;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "useconds" | "usecond" | "microsecond" | "microseconds" | "microsecon" => {
            Unit::Microsecond
        }
        "ms" | "msec" | "msecs" | "mseconds" | "msecond" | "millisecond" | "milliseconds" | "millisecon" => {
            Unit::Millisecond
        }
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        _ => return None,
    })
}

#[derive(Debug)]
enum Field<'a> {
    /// Sign, then digits with an optional fraction.
    Number(bool, &'a str),
    Word(String),
    /// Sign, then `HH:MM[:SS]`.
    Clock(bool, &'a str),
    /// Sign, then `years-months`.
    YearMonth(bool, &'a str, &'a str),
}

#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i128,
    /// Units seen, to refuse them twice.
    seen: u32,
}

impl Sum {
    /// Adds `whole.fraction` of a unit; fractions spill into smaller units.
    fn add(&mut self, unit: Unit, whole: i64, fraction: f64) -> Result<(), Bad> {
        let months = |sum: &mut Sum, factor: i64| {
            let whole = whole.checked_mul(factor).ok_or(Bad::IntervalField)?;
            sum.months = sum.months.checked_add(whole).ok_or(Bad::IntervalField)?;
            Ok(())
        };
        match unit {
            Unit::Microsecond => self.micros += i128::from(whole) + fraction.round_ties_even() as i128,
            Unit::Millisecond => self.add_micros(whole, fraction, 1000),
            Unit::Second => self.add_micros(whole, fraction, MICROS_PER_SECOND),
            Unit::Minute => self.add_micros(whole, fraction, MICROS_PER_MINUTE),
            Unit::Hour => self.add_micros(whole, fraction, MICROS_PER_HOUR),
            Unit::Day => {
                self.days = self.days.checked_add(whole).ok_or(Bad::IntervalField)?;
                self.add_micros(0, fraction, MICROS_PER_DAY);
            }
            Unit::Week => {
                let days = whole.checked_mul(7).ok_or(Bad::IntervalField)?;
                self.days = self.days.checked_add(days).ok_or(Bad::IntervalField)?;
                self.add_days(fraction * 7.0);
            }
            Unit::Month => {
                months(self, 1)?;
                self.add_days(fraction * 30.0);
            }
            Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium => {
                let years = match unit {
                    Unit::Year => 1,
                    Unit::Decade => 10,
                    Unit::Century => 100,
                    _ => 1000,
                };
                months(self, 12 * years)?;
                self.months += (fraction * 12.0 * years as f64).round_ties_even() as i64;
            }
        }
        Ok(())
    }
    fn add_micros(&mut self, whole: i64, fraction: f64, unit: i64) {
        self.micros += i128::from(whole) * i128::from(unit);
        self.micros += (fraction * unit as f64).round_ties_even() as i128;
    }
    fn add_days(&mut self, days: f64) {
        self.days += days.trunc() as i64;
        self.add_micros(0, days - days.trunc(), MICROS_PER_DAY);
    }
    fn finish(self, negate: bool) -> Result<Interval, Bad> {
        let sign = if negate { -1 } else { 1 };
        let out_of_range = |_| Bad::IntervalField;
        Ok(Interval {
            months: i32::try_from(self.months * sign).map_err(out_of_range)?,
            days: i32::try_from(self.days * sign).map_err(out_of_range)?,
            micros: i64::try_from(self.micros * i128::from(sign)).map_err(|_| Bad::IntervalField)?,
        })
    }
}

pub fn parse_interval(text: &str, modifier: i32, render: &RenderSettings) -> Result<Interval> {
    let trimmed = text.trim_matches(super::numeric::is_space);
    let parsed = match trimmed.strip_prefix(['P', 'p']) {
        Some(iso) if !iso.is_empty() => parse_iso(iso),
        _ => parse_fields(trimmed, modifier, render.interval_style == IntervalStyle::SqlStandard),
    };
    parsed.map_err(|bad| describe(bad, "interval", text))
}

fn split(text: &str) -> Result<Vec<Field<'_>>, Bad> {
    let mut fields = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if super::numeric::is_space(first) || matches!(first, ',' | '@') {
            rest = &rest[1..];
            continue;
        }
        if first.is_ascii_alphabetic() {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            fields.push(Field::Word(rest[..end].to_ascii_lowercase()));
            rest = &rest[end..];
            continue;
        }
        let signed = matches!(first, '-' | '+');
        let body = rest[usize::from(signed)..].trim_start_matches(super::numeric::is_space);
        let end = body.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':')).unwrap_or(body.len());
        let token = &body[..end];
        if !token.bytes().any(|byte| byte.is_ascii_digit()) {
            return Err(Bad::Format);
        }
        rest = &body[end..];
        let negative = first == '-';
        if token.contains(':') {
            fields.push(Field::Clock(negative, token));
        } else if let Some(months) = rest.strip_prefix('-')
            && months.starts_with(|c: char| c.is_ascii_digit())
        {
            let end = months.find(|c: char| !c.is_ascii_digit()).unwrap_or(months.len());
            fields.push(Field::YearMonth(negative, token, &months[..end]));
            rest = &months[end..];
        } else {
            fields.push(Field::Number(negative, token));
        }
    }
    Ok(fields)
}

fn decimal(text: &str) -> Result<(i64, f64), Bad> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Bad::Format);
    }
    let whole = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| Bad::IntervalField)?,
    };
    Ok((whole, format!("0.{fraction}0").parse().map_err(|_| Bad::Format)?))
}

fn parse_fields(text: &str, modifier: i32, sql_standard: bool) -> Result<Interval, Bad> {
    let mut fields = split(text)?;
    if fields.is_empty() {
        return Err(Bad::Format);
    }
    let range = modifier_fields(modifier);
    let mut negate = false;
    if matches!(fields.last(), Some(Field::Word(word)) if word == "ago") {
        negate = true;
        fields.pop();
    }
    // In the SQL standard's style one leading sign applies to every field, if no other field has one.
    if sql_standard && text.starts_with('-') {
        let signs = fields.iter().filter(|field| {
            matches!(field, Field::Number(true, _) | Field::Clock(true, _) | Field::YearMonth(true, _, _))
        });
        if signs.count() == 1 && !text.contains('+') {
            for field in &mut fields {
                match field {
                    Field::Number(sign, _) | Field::Clock(sign, _) | Field::YearMonth(sign, _, _) => {
                        *sign = true
                    }
                    Field::Word(_) => {}
                }
            }
        }
    }
    let mut sum = Sum::default();
    let mut current: Option<Unit> = None;
    let mut numbers = 0;
    for field in fields.iter().rev() {
        match field {
            Field::Word(word) => current = Some(unit(word).ok_or(Bad::Format)?),
            Field::Clock(negative, clock) => {
                add_clock(&mut sum, clock, *negative, range)?;
                see(&mut sum, Unit::Hour)?;
                (current, numbers) = (Some(Unit::Day), numbers + 1);
            }
            Field::YearMonth(negative, years, months) => {
                let sign = if *negative { -1 } else { 1 };
                let (years, months): (i64, i64) = (
                    years.parse().map_err(|_| Bad::Format)?,
                    months.parse().map_err(|_| Bad::IntervalField)?,
                );
                if months > 11 {
                    return Err(Bad::IntervalField);
                }
                sum.add(Unit::Year, sign * years, 0.0)?;
                sum.add(Unit::Month, sign * months, 0.0)?;
                see(&mut sum, Unit::Year)?;
                see(&mut sum, Unit::Month)?;
                numbers += 1;
            }
            Field::Number(negative, digits) => {
                let unit = current.unwrap_or_else(|| default_unit(range));
                let sign = if *negative { -1 } else { 1 };
                let (whole, fraction) = decimal(digits)?;
                see(&mut sum, unit)?;
                sum.add(unit, sign * whole, f64::from(sign as i32) * fraction)?;
                (current, numbers) = (Some(unit), numbers + 1);
            }
        }
    }
    if numbers == 0 {
        return Err(Bad::Format);
    }
    sum.finish(negate)
}

fn see(sum: &mut Sum, unit: Unit) -> Result<(), Bad> {
    let bit = 1 << unit as u32;
    match sum.seen & bit {
        0 => {
            sum.seen |= bit;
            Ok(())
        }
        _ => Err(Bad::Format),
    }
}

/// What a number without a unit counts: the finest field of the modifier.
fn default_unit(range: Option<i32>) -> Unit {
    match range {
        Some(range) if range & SECOND != 0 => Unit::Second,
        Some(range) if range & MINUTE != 0 => Unit::Minute,
        Some(range) if range & HOUR != 0 => Unit::Hour,
        Some(range) if range & DAY != 0 => Unit::Day,
        Some(range) if range & MONTH != 0 => Unit::Month,
        Some(range) if range & YEAR != 0 => Unit::Year,
        _ => Unit::Second,
    }
}

fn add_clock(sum: &mut Sum, clock: &str, negative: bool, range: Option<i32>) -> Result<(), Bad> {
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes, seconds] => (*hours, *minutes, *seconds),
        // `04:05` is hours and minutes, but for MINUTE TO SECOND or with a fraction.
        [minutes, seconds] if seconds.contains('.') || range == Some(MINUTE | SECOND) => {
            ("0", *minutes, *seconds)
        }
        [hours, minutes] => (*hours, *minutes, "0"),
        _ => return Err(Bad::Format),
    };
    let parse = |digits: &str| match digits.contains('.') || digits.is_empty() {
        true => Err(Bad::Format),
        false => digits.parse::<i64>().map_err(|_| Bad::IntervalField),
    };
    let (hours, minutes, micros) = (parse(hours)?, parse(minutes)?, second_micros(seconds)?);
    if minutes > 59 || micros > MICROS_PER_MINUTE {
        return Err(Bad::IntervalField);
    }
    let total =
        i128::from(hours) * i128::from(MICROS_PER_HOUR) + i128::from(minutes * MICROS_PER_MINUTE + micros);
    sum.micros += if negative { -total } else { total };
    Ok(())
}

/// After the `P`: `1Y2M3W4DT5H6M7.5S`, or `0001-02-03T04:05:06`.
fn parse_iso(text: &str) -> Result<Interval, Bad> {
    let mut sum = Sum::default();
    let (date, time) = match text.split_once(['T', 't']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let alternative = |part: &str| {
        part.char_indices().skip(1).any(|(_, c)| matches!(c, '-' | ':'))
            && !part.ends_with(char::is_alphabetic)
    };
    if alternative(date) {
        let mut parts = date.splitn(3, '-');
        for unit in [Unit::Year, Unit::Month, Unit::Day] {
            let (whole, fraction) = decimal(parts.next().unwrap_or("0"))?;
            sum.add(unit, whole, fraction)?;
        }
    } else {
        let units = [('Y', Unit::Year), ('M', Unit::Month), ('W', Unit::Week), ('D', Unit::Day)];
        parse_designators(&mut sum, date, &units)?;
    }
    match time {
        Some("") => return Err(Bad::Format),
        Some(time) if alternative(time) => add_clock(&mut sum, time, false, None)?,
        Some(time) => {
            let units = [('H', Unit::Hour), ('M', Unit::Minute), ('S', Unit::Second)];
            parse_designators(&mut sum, time, &units)?;
        }
        None => {}
    }
    sum.finish(false)
}

fn parse_designators(sum: &mut Sum, text: &str, units: &[(char, Unit)]) -> Result<(), Bad> {
    let mut rest = text;
    while !rest.is_empty() {
        let body = rest.strip_prefix(['-', '+']).unwrap_or(rest);
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        let end = body.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(Bad::Format)?;
        if end == 0 {
            return Err(Bad::Format);
        }
        let designator = body[end..].chars().next().ok_or(Bad::Format)?;
        let unit = units.iter().find(|unit| unit.0 == designator.to_ascii_uppercase()).ok_or(Bad::Format)?.1;
        let (whole, fraction) = decimal(&body[..end])?;
        sum.add(unit, sign * whole, f64::from(sign as i32) * fraction)?;
        rest = &body[end + designator.len_utf8()..];
    }
    Ok(())
}
