//! Dates, times and intervals as text, in every DateStyle and IntervalStyle.

use super::calendar::{self, Civil, civil_from_days, split};
use super::format::{pad, write_integer};
use super::interval::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::{DateFormat, DateOrder, DateStyle, Interval, IntervalStyle, RenderSettings};

pub const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
pub const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// The year as written, without its BC.
fn shown_year(civil: Civil) -> u64 {
    if civil.year > 0 { civil.year as u64 } else { u64::from(civil.year.unsigned_abs()) + 1 }
}

fn write_bc(out: &mut Vec<u8>, civil: Civil) {
    if civil.year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn write_day(out: &mut Vec<u8>, civil: Civil, style: DateStyle) {
    let (year, month, day) = (shown_year(civil), civil.month as u64, civil.day as u64);
    let mut three = |parts: [(u64, usize); 3], separator: u8| {
        for (index, (value, width)) in parts.into_iter().enumerate() {
            if index > 0 {
                out.push(separator);
            }
            pad(out, value, width);
        }
    };
    let (year, month, day) = ((year, 4), (month, 2), (day, 2));
    match (style.format, style.order) {
        (DateFormat::Iso, _) => three([year, month, day], b'-'),
        (DateFormat::German, _) => three([day, month, year], b'.'),
        (DateFormat::Sql, DateOrder::Dmy) => three([day, month, year], b'/'),
        (DateFormat::Sql, _) => three([month, day, year], b'/'),
        (DateFormat::Postgres, DateOrder::Dmy) => three([day, month, year], b'-'),
        (DateFormat::Postgres, _) => three([month, day, year], b'-'),
    }
}

pub fn write_date(out: &mut Vec<u8>, date: i32, render: &RenderSettings) {
    match date {
        calendar::DATE_INFINITY => out.extend_from_slice(b"infinity"),
        calendar::DATE_NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        _ => {
            let civil = civil_from_days(i64::from(date));
            write_day(out, civil, render.date_style);
            write_bc(out, civil);
        }
    }
}

/// Seconds with the fraction's trailing zeros left out.
fn write_seconds(out: &mut Vec<u8>, micros: u64, width: usize) {
    pad(out, micros / 1_000_000, width);
    let fraction = micros % 1_000_000;
    if fraction != 0 {
        out.push(b'.');
        pad(out, fraction, 6);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

pub fn write_time(out: &mut Vec<u8>, micros: i64) {
    pad(out, (micros / MICROS_PER_HOUR) as u64, 2);
    out.push(b':');
    pad(out, (micros / MICROS_PER_MINUTE % 60) as u64, 2);
    out.push(b':');
    write_seconds(out, (micros % MICROS_PER_MINUTE) as u64, 2);
}

pub fn write_timetz(out: &mut Vec<u8>, time: super::TimeTz) {
    write_time(out, time.micros);
    write_offset(out, time.offset);
}

/// `+02`, `-03:30`, `+00:19:32`.
fn write_offset(out: &mut Vec<u8>, seconds_east: i32) {
    out.push(if seconds_east < 0 { b'-' } else { b'+' });
    let seconds = u64::from(seconds_east.unsigned_abs());
    pad(out, seconds / 3600, 2);
    if seconds % 3600 != 0 {
        out.push(b':');
        pad(out, seconds / 60 % 60, 2);
    }
    if seconds % 60 != 0 {
        out.push(b':');
        pad(out, seconds % 60, 2);
    }
}

/// `with_zone`: timestamptz, shown in the session's zone.
pub fn write_timestamp(out: &mut Vec<u8>, timestamp: i64, with_zone: bool, render: &RenderSettings) {
    match timestamp {
        calendar::INFINITY => return out.extend_from_slice(b"infinity"),
        calendar::NEG_INFINITY => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let iso = render.date_style.format == DateFormat::Iso;
    let seconds = timestamp.div_euclid(MICROS_PER_SECOND);
    let (offset, abbreviation) = match (with_zone, iso) {
        (false, _) => (0, None),
        (true, true) => (render.time_zone.offset_seconds_at(seconds), None),
        (true, false) => {
            let (offset, abbreviation) = render.time_zone.offset_at(seconds);
            (offset, Some(abbreviation))
        }
    };
    let (days, micros) = split(timestamp.saturating_add(i64::from(offset) * MICROS_PER_SECOND));
    let civil = civil_from_days(days);
    if render.date_style.format == DateFormat::Postgres {
        out.extend_from_slice(DAYS[calendar::day_of_week(days) as usize].as_bytes());
        out.push(b' ');
        let month = MONTHS[civil.month as usize - 1].as_bytes();
        if render.date_style.order == DateOrder::Dmy {
            pad(out, civil.day as u64, 2);
            out.push(b' ');
            out.extend_from_slice(month);
        } else {
            out.extend_from_slice(month);
            out.push(b' ');
            pad(out, civil.day as u64, 2);
        }
        out.push(b' ');
        write_time(out, micros);
        out.push(b' ');
        pad(out, shown_year(civil), 4);
    } else {
        write_day(out, civil, render.date_style);
        out.push(b' ');
        write_time(out, micros);
    }
    match abbreviation {
        Some(abbreviation) => {
            out.push(b' ');
            out.extend_from_slice(abbreviation.as_bytes());
        }
        None if with_zone => write_offset(out, offset),
        None => {}
    }
    write_bc(out, civil);
}

/// An interval's parts as they are shown.
struct Parts {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    /// Seconds and their fraction.
    micros: i64,
}

impl Parts {
    fn new(interval: Interval) -> Parts {
        Parts {
            years: i64::from(interval.months / 12),
            months: i64::from(interval.months % 12),
            days: i64::from(interval.days),
            hours: interval.micros / MICROS_PER_HOUR,
            minutes: interval.micros / MICROS_PER_MINUTE % 60,
            micros: interval.micros % MICROS_PER_MINUTE,
        }
    }
    fn all(&self) -> [i64; 6] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.micros]
    }
    fn has_time(&self) -> bool {
        self.all()[3..].iter().any(|part| *part != 0)
    }
    fn negative_time(&self) -> bool {
        self.all()[3..].iter().any(|part| *part < 0)
    }
}

pub fn write_interval(out: &mut Vec<u8>, interval: Interval, style: IntervalStyle) {
    let parts = Parts::new(interval);
    match style {
        IntervalStyle::Postgres => write_postgres(out, &parts),
        IntervalStyle::PostgresVerbose => write_verbose(out, &parts),
        IntervalStyle::SqlStandard => write_sql_standard(out, &parts),
        IntervalStyle::Iso8601 => write_iso8601(out, &parts),
    }
}

fn write_clock(out: &mut Vec<u8>, parts: &Parts, hours_width: usize) {
    pad(out, parts.hours.unsigned_abs(), hours_width);
    out.push(b':');
    pad(out, parts.minutes.unsigned_abs(), 2);
    out.push(b':');
    write_seconds(out, parts.micros.unsigned_abs(), 2);
}

fn write_postgres(out: &mut Vec<u8>, parts: &Parts) {
    let (mut first, mut before) = (true, false);
    for (value, unit) in [(parts.years, "year"), (parts.months, "mon"), (parts.days, "day")] {
        if value == 0 {
            continue;
        }
        if !first {
            out.push(b' ');
        }
        // After a negative part, a positive one needs its sign.
        if before && value > 0 {
            out.push(b'+');
        }
        write_integer(out, value);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        (first, before) = (false, value < 0);
    }
    if first || parts.has_time() {
        if !first {
            out.push(b' ');
        }
        if parts.negative_time() {
            out.push(b'-');
        } else if before {
            out.push(b'+');
        }
        write_clock(out, parts, 2);
    }
}

fn write_verbose(out: &mut Vec<u8>, parts: &Parts) {
    out.push(b'@');
    let (mut first, mut before) = (true, false);
    let units = ["year", "mon", "day", "hour", "min"];
    for (value, unit) in parts.all().into_iter().zip(units) {
        if value == 0 {
            continue;
        }
        let mut value = value;
        if first {
            before = value < 0;
            value = value.abs();
        } else if before {
            value = -value;
        }
        out.push(b' ');
        write_integer(out, value);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        first = false;
    }
    if parts.micros != 0 {
        out.push(b' ');
        if parts.micros < 0 {
            if first {
                before = true;
            } else if !before {
                out.push(b'-');
            }
        } else if before {
            out.push(b'-');
        }
        write_seconds(out, parts.micros.unsigned_abs(), 1);
        out.extend_from_slice(if parts.micros.unsigned_abs() == 1_000_000 { b" sec" } else { b" secs" });
        first = false;
    }
    if first {
        out.extend_from_slice(b" 0");
    }
    if before {
        out.extend_from_slice(b" ago");
    }
}

fn write_sql_standard(out: &mut Vec<u8>, parts: &Parts) {
    let negative = parts.all().iter().any(|part| *part < 0);
    let positive = parts.all().iter().any(|part| *part > 0);
    let year_month = parts.years != 0 || parts.months != 0;
    let day_time = parts.days != 0 || parts.has_time();
    let sign = |negative: bool| if negative { b'-' } else { b'+' };
    if !negative && !positive {
        return out.push(b'0');
    }
    if negative && positive || year_month && day_time {
        // Not a value of standard SQL: signs everywhere, lest it be misread.
        out.push(sign(parts.years < 0 || parts.months < 0));
        pad(out, parts.years.unsigned_abs(), 1);
        out.push(b'-');
        pad(out, parts.months.unsigned_abs(), 1);
        out.extend([b' ', sign(parts.days < 0)]);
        pad(out, parts.days.unsigned_abs(), 1);
        out.extend([b' ', sign(parts.negative_time())]);
        return write_clock(out, parts, 1);
    }
    if negative {
        out.push(b'-');
    }
    if year_month {
        pad(out, parts.years.unsigned_abs(), 1);
        out.push(b'-');
        return pad(out, parts.months.unsigned_abs(), 1);
    }
    if parts.days != 0 {
        pad(out, parts.days.unsigned_abs(), 1);
        out.push(b' ');
    }
    write_clock(out, parts, 1);
}

fn write_iso8601(out: &mut Vec<u8>, parts: &Parts) {
    if parts.all().iter().all(|part| *part == 0) {
        return out.extend_from_slice(b"PT0S");
    }
    out.push(b'P');
    let part = |out: &mut Vec<u8>, value: i64, unit: u8| {
        if value != 0 {
            write_integer(out, value);
            out.push(unit);
        }
    };
    part(out, parts.years, b'Y');
    part(out, parts.months, b'M');
    part(out, parts.days, b'D');
    if parts.has_time() {
        out.push(b'T');
    }
    part(out, parts.hours, b'H');
    part(out, parts.minutes, b'M');
    if parts.micros != 0 {
        if parts.micros < 0 {
            out.push(b'-');
        }
        write_seconds(out, parts.micros.unsigned_abs(), 1);
        out.push(b'S');
    }
}
