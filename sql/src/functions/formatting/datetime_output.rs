//! to_char of timestamps and intervals.

use super::super::arguments::{Timestamp, scalar};
use super::super::datetime::utc_to_local;
use super::super::{EvalContext, Registry};
use super::picture::{Case, Field, Node, Pattern, format_error, parse};
use super::{DAYS, MONTHS, ROMAN_MONTHS, ordinal};
use crate::error::Result;
use crate::types::Interval;
use crate::types::calendar::{self, EPOCH_JULIAN};

/// A time taken apart. An interval has no calendar: its year, month and day are amounts.
struct Parts {
    interval: bool,
    /// 0 is 1 BC.
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    /// Days since 2000.
    days: i64,
    /// Seconds east, and the abbreviation.
    zone: Option<(i32, String)>,
}

fn of_timestamp(local: i64, zone: Option<(i32, String)>) -> Parts {
    let (days, within) = calendar::split(local);
    let civil = calendar::civil_from_days(days);
    let seconds = within / 1_000_000;
    Parts {
        interval: false,
        year: civil.year.into(),
        month: civil.month.into(),
        day: civil.day.into(),
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        micros: within % 1_000_000,
        days,
        zone,
    }
}

fn of_interval(interval: Interval) -> Parts {
    let seconds = interval.micros / 1_000_000;
    Parts {
        interval: true,
        year: i64::from(interval.months / 12),
        month: i64::from(interval.months % 12),
        day: interval.days.into(),
        hour: seconds / 3600,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        micros: interval.micros % 1_000_000,
        days: 0,
        zone: None,
    }
}

impl Parts {
    /// The year as it is written: 1 BC is 1.
    fn shown_year(&self, year: i64) -> i64 {
        if self.interval || year > 0 { year } else { 1 - year }
    }
    fn day_of_year(&self) -> i64 {
        self.days - calendar::days_from_civil(self.year, 1, 1) + 1
    }
    fn iso_year(&self) -> i64 {
        calendar::iso_week(self.days).0.into()
    }
    fn calendar(&self) -> Result<()> {
        match self.interval {
            false => Ok(()),
            true => Err(format_error("invalid format specification for an interval value")
                .hint("Intervals are not tied to specific calendar dates.")),
        }
    }
}

/// A number with leading zeros; a negative one is a column wider.
fn padded(value: i64, width: usize, pattern: &Pattern) -> String {
    let width = match (pattern.fill, value < 0) {
        (true, _) => 0,
        (false, true) => width + 1,
        (false, false) => width,
    };
    format!("{value:0width$}")
}

fn cased(text: &str, case: Case) -> String {
    match case {
        Case::Upper => text.to_uppercase(),
        Case::Capital => text.to_owned(),
        Case::Lower => text.to_lowercase(),
    }
}

/// A name, filled up to nine columns unless FM or TM forbids it.
fn name(text: &str, pattern: &Pattern) -> String {
    let text = cased(text, pattern.case);
    match pattern.fill || pattern.localized {
        true => text,
        false => format!("{text:<9}"),
    }
}

fn write(pattern: &Pattern, parts: &Parts) -> Result<Option<String>> {
    let number = |value: i64, width: usize| Some(padded(value, width, pattern));
    let year = |year: i64, digits: usize| {
        let shown = parts.shown_year(year);
        match digits {
            4 => number(shown, 4),
            3 => number(shown % 1000, 3),
            2 => number(shown % 100, 2),
            _ => number(shown % 10, 1),
        }
    };
    let pick = |second: bool, pair: [&'static str; 2]| Some(cased(pair[usize::from(second)], pattern.case));
    let text = match pattern.field {
        Field::Exact => return Ok(None),
        Field::MeridiemDotted => return Ok(pick(parts.hour.rem_euclid(24) >= 12, ["A.M.", "P.M."])),
        Field::Meridiem => return Ok(pick(parts.hour.rem_euclid(24) >= 12, ["AM", "PM"])),
        Field::EraDotted => {
            parts.calendar()?;
            return Ok(pick(parts.year <= 0, ["A.D.", "B.C."]));
        }
        Field::Era => {
            parts.calendar()?;
            return Ok(pick(parts.year <= 0, ["AD", "BC"]));
        }
        Field::Hour12 => {
            let hour = if parts.hour % 12 == 0 { 12 } else { parts.hour % 12 };
            let width = if parts.hour < 0 { 3 } else { 2 };
            Some(format!("{hour:0width$}", width = if pattern.fill { 0 } else { width }))
        }
        Field::Hour24 => number(parts.hour, 2),
        Field::Minute => number(parts.minute, 2),
        Field::Second => number(parts.second, 2),
        Field::Fraction(digits) => {
            let value = parts.micros / 10i64.pow(6 - digits as u32);
            Some(format!("{value:0digits$}"))
        }
        Field::Milliseconds => Some(format!("{:03}", parts.micros / 1000)),
        Field::Microseconds => Some(format!("{:06}", parts.micros)),
        Field::SecondsOfDay => Some((parts.hour * 3600 + parts.minute * 60 + parts.second).to_string()),
        Field::Zone => {
            parts.calendar()?;
            return Ok(parts.zone.as_ref().map(|(_, name)| match pattern.case {
                Case::Lower => name.to_lowercase(),
                _ => name.clone(),
            }));
        }
        Field::ZoneHours => {
            parts.calendar()?;
            let east = parts.zone.as_ref().map_or(0, |(east, _)| *east);
            return Ok(Some(format!("{}{:02}", if east < 0 { '-' } else { '+' }, east.abs() / 3600)));
        }
        Field::ZoneMinutes => {
            parts.calendar()?;
            let east = parts.zone.as_ref().map_or(0, |(east, _)| *east);
            return Ok(Some(format!("{:02}", east.abs() / 60 % 60)));
        }
        Field::Offset => {
            parts.calendar()?;
            let east = parts.zone.as_ref().map_or(0, |(east, _)| *east);
            let width = if pattern.fill { 0 } else { 2 };
            let mut text = format!("{}{:0width$}", if east < 0 { '-' } else { '+' }, east.abs() / 3600);
            if east.abs() / 60 % 60 != 0 {
                text.push_str(&format!(":{:02}", east.abs() / 60 % 60));
            }
            return Ok(Some(text));
        }
        Field::Month | Field::MonthShort => {
            parts.calendar()?;
            let full = MONTHS[(parts.month - 1).clamp(0, 11) as usize];
            return Ok(Some(match pattern.field {
                Field::Month => name(full, pattern),
                _ => cased(&full[..3], pattern.case),
            }));
        }
        Field::Day | Field::DayShort => {
            parts.calendar()?;
            let full = DAYS[calendar::day_of_week(parts.days) as usize];
            return Ok(Some(match pattern.field {
                Field::Day => name(full, pattern),
                _ => cased(&full[..3], pattern.case),
            }));
        }
        Field::MonthNumber => number(parts.month, 2),
        Field::DayOfYear if parts.interval => number(parts.day + parts.month * 30 + parts.year * 365, 3),
        Field::DayOfYear => number(parts.day_of_year(), 3),
        Field::IsoDayOfYear => {
            let (year, _) = calendar::iso_week(parts.days);
            number(parts.days - calendar::iso_week_start(year.into(), 1) + 1, 3)
        }
        Field::DayOfMonth => number(parts.day, 2),
        Field::DayOfWeek => {
            parts.calendar()?;
            Some((calendar::day_of_week(parts.days) + 1).to_string())
        }
        Field::IsoDayOfWeek => {
            parts.calendar()?;
            Some(match calendar::day_of_week(parts.days) {
                0 => "7".to_owned(),
                day => day.to_string(),
            })
        }
        Field::WeekOfYear if parts.interval => number((parts.day - 1) / 7 + 1, 2),
        Field::WeekOfYear => number((parts.day_of_year() - 1) / 7 + 1, 2),
        Field::IsoWeek => number(calendar::iso_week(parts.days).1.into(), 2),
        Field::WeekOfMonth => Some(((parts.day - 1) / 7 + 1).to_string()),
        Field::Quarter => match parts.month {
            0 => return Ok(None),
            month => Some(((month - 1) / 3 + 1).to_string()),
        },
        Field::Century => {
            let century = match (parts.interval, parts.year) {
                (true, year) => year / 100,
                (false, year @ 1..) => (year - 1) / 100 + 1,
                (false, year) => year / 100 - 1,
            };
            match (-99..=99).contains(&century) {
                true => number(century, 2),
                false => Some(century.to_string()),
            }
        }
        Field::YearComma => {
            let shown = parts.shown_year(parts.year);
            Some(format!("{},{:03}", shown / 1000, shown % 1000))
        }
        Field::Year(digits) => year(parts.year, digits),
        Field::IsoYear(digits) if parts.interval => year(parts.year, digits),
        Field::IsoYear(digits) => year(parts.iso_year(), digits),
        Field::RomanMonth => {
            // An interval's months count from zero, backwards when negative.
            let index = match parts.month {
                0 if parts.year == 0 => return Ok(None),
                0 if parts.year > 0 => 11,
                0 => 0,
                month @ 1.. => month - 1,
                month => 12 + month,
            };
            let text = cased(ROMAN_MONTHS[index.clamp(0, 11) as usize], pattern.case);
            return Ok(Some(if pattern.fill { text } else { format!("{text:<4}") }));
        }
        Field::Julian => Some((parts.days + i64::from(EPOCH_JULIAN)).to_string()),
    };
    Ok(text.map(|text| match pattern.ordinal {
        None => text,
        Some(upper) => {
            let suffix = ordinal(&text);
            text.clone() + &if upper { suffix.to_uppercase() } else { suffix.to_owned() }
        }
    }))
}

fn to_char(parts: &Parts, picture: &str) -> Result<String> {
    let mut out = String::with_capacity(picture.len() * 2);
    for node in parse(picture)? {
        match node {
            Node::Space(c) | Node::Separator(c) | Node::Text(c) => out.push(c),
            Node::Pattern(pattern) => out.push_str(&write(&pattern, parts)?.unwrap_or_default()),
        }
    }
    Ok(out)
}

fn timestamptz(timestamp: i64, picture: &str, context: &EvalContext<'_>) -> Result<Option<String>> {
    if calendar::is_infinite(timestamp) || picture.is_empty() {
        return Ok(None);
    }
    let zone = &context.render.time_zone;
    let local = utc_to_local(timestamp, zone)?;
    let named = zone.offset_at(timestamp.div_euclid(1_000_000) + calendar::UNIX_TO_2000_SECONDS);
    to_char(&of_timestamp(local, Some(named)), picture).map(Some)
}

pub fn register(r: &mut Registry) {
    scalar!(r, "timestamp_to_char", |timestamp: Timestamp, picture: &str| {
        match calendar::is_infinite(timestamp.0) || picture.is_empty() {
            true => Ok(None),
            false => to_char(&of_timestamp(timestamp.0, None), picture).map(Some),
        }
    });
    scalar!(r, "timestamptz_to_char", |context; timestamp: Timestamp, picture: &str| {
        timestamptz(timestamp.0, picture, context)
    });
    scalar!(r, "interval_to_char", |interval: Interval, picture: &str| match picture.is_empty() {
        true => Ok(None),
        false => to_char(&of_interval(interval), picture).map(Some),
    });
}
