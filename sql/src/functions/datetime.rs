//! Dates, times, timestamps and intervals: arithmetic, conversion, extraction, truncation, construction.

use super::arguments::{Date, Time, Timestamp, scalar};
use super::math::out_of_range;
use super::{EvalContext, Registry};
use crate::error::{Error, Result, SqlState};
use crate::types::calendar::{
    self, Civil, DATE_INFINITY, DATE_MAX, DATE_MIN, DATE_NEG_INFINITY, INFINITY, NEG_INFINITY,
    civil_from_days, days_from_civil, days_in_month, is_infinite, is_infinite_date, is_valid_timestamp,
    split,
};
use crate::types::interval::{
    MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, interval_out_of_range,
};
use crate::types::{Datum, Interval, Numeric, TimeZone};

pub fn timestamp_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

pub fn date_out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

pub(super) fn valid(timestamp: i128) -> Result<i64> {
    i64::try_from(timestamp).ok().filter(|t| is_valid_timestamp(*t)).ok_or_else(timestamp_out_of_range)
}

fn valid_date(days: i64) -> Result<i32> {
    i32::try_from(days).ok().filter(|days| (DATE_MIN..=DATE_MAX).contains(days)).ok_or_else(date_out_of_range)
}

/// Microseconds since 2000-01-01 UTC, by the clock on the wall.
pub fn clock_timestamp() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as i64 - calendar::UNIX_TO_2000_SECONDS * MICROS_PER_SECOND
}

// ---- conversions ----

pub fn date_to_timestamp(date: i32) -> Result<i64> {
    match date {
        DATE_INFINITY => Ok(INFINITY),
        DATE_NEG_INFINITY => Ok(NEG_INFINITY),
        _ => valid(i128::from(date) * i128::from(MICROS_PER_DAY))
            .map_err(|_| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")),
    }
}

pub fn date_to_timestamptz(date: i32, context: &EvalContext<'_>) -> Result<i64> {
    timestamp_to_timestamptz(date_to_timestamp(date)?, context)
}

pub fn timestamp_to_timestamptz(timestamp: i64, context: &EvalContext<'_>) -> Result<i64> {
    local_to_utc(timestamp, &context.render.time_zone)
}

/// A wall-clock time of a zone as an instant.
pub fn local_to_utc(timestamp: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let offset = zone.offset_of_local(timestamp.div_euclid(MICROS_PER_SECOND));
    valid(i128::from(timestamp) - i128::from(offset) * i128::from(MICROS_PER_SECOND))
}

/// An instant on a zone's wall clock.
pub fn utc_to_local(timestamp: i64, zone: &TimeZone) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let offset = zone.offset_seconds_at(timestamp.div_euclid(MICROS_PER_SECOND));
    valid(i128::from(timestamp) + i128::from(offset) * i128::from(MICROS_PER_SECOND))
}

fn timestamp_to_date(timestamp: i64) -> Result<i32> {
    match timestamp {
        INFINITY => Ok(DATE_INFINITY),
        NEG_INFINITY => Ok(DATE_NEG_INFINITY),
        _ => valid_date(split(timestamp).0),
    }
}

fn timestamp_to_time(timestamp: i64) -> Option<Time> {
    (!is_infinite(timestamp)).then(|| Time(split(timestamp).1))
}

pub fn zone_named(name: &str) -> Result<TimeZone> {
    TimeZone::named(name).ok_or_else(|| {
        let message = format!("time zone \"{name}\" not recognized");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}

/// AT TIME ZONE interval: a fixed offset.
pub(super) fn zone_of_interval(interval: Interval) -> Result<TimeZone> {
    if interval.months != 0 || interval.days != 0 {
        let text = crate::types::format_datum(
            &Datum::Interval(interval),
            crate::types::Type::INTERVAL,
            &crate::types::RenderSettings::default(),
        );
        let message = format!("interval time zone \"{text}\" must not include months or days");
        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    let seconds = i32::try_from(interval.micros / MICROS_PER_SECOND).ok();
    seconds.and_then(TimeZone::fixed).ok_or_else(|| out_of_range("time zone displacement"))
}

// ---- arithmetic ----

/// Months move the date, the day clipped to the month's length; days and time are added after them.
fn add_months(timestamp: i64, months: i32) -> Result<i64> {
    if months == 0 {
        return Ok(timestamp);
    }
    let (days, micros) = split(timestamp);
    let civil = civil_from_days(days);
    let month = i64::from(civil.month) + i64::from(months);
    let (year, month) = (i64::from(civil.year) + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    let in_range = i32::try_from(year).map_err(|_| timestamp_out_of_range())?;
    let day = civil.day.min(days_in_month(in_range, month as i32));
    let days = days_from_civil(year, month, i64::from(day));
    valid(i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(micros))
}

pub fn add_interval_to_timestamp(timestamp: i64, interval: Interval) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let moved = add_months(timestamp, interval.months)?;
    let days = i128::from(interval.days) * i128::from(MICROS_PER_DAY);
    valid(i128::from(moved) + days + i128::from(interval.micros))
}

/// Months and days on the zone's wall clock, the time on the line of instants.
pub fn add_interval_to_timestamptz(timestamp: i64, interval: Interval, zone: &TimeZone) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let mut moved = timestamp;
    if interval.months != 0 || interval.days != 0 {
        let local = add_months(utc_to_local(moved, zone)?, interval.months)?;
        let days = i128::from(interval.days) * i128::from(MICROS_PER_DAY);
        moved = local_to_utc(valid(i128::from(local) + days)?, zone)?;
    }
    valid(i128::from(moved) + i128::from(interval.micros))
}

fn subtract_timestamps(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let micros = a.checked_sub(b).ok_or_else(interval_out_of_range)?;
    Interval { months: 0, days: 0, micros }.justify_hours()
}

fn subtract_dates(a: i32, b: i32) -> Result<i32> {
    if is_infinite_date(a) || is_infinite_date(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    Ok(a - b)
}

fn add_days(date: i32, days: i64) -> Result<i32> {
    if is_infinite_date(date) {
        return Ok(date);
    }
    valid_date(i64::from(date) + days)
}

pub(super) fn wrap_time(micros: i128) -> Time {
    Time(micros.rem_euclid(i128::from(MICROS_PER_DAY)) as i64)
}

fn date_plus_time(date: i32, time: i64) -> Result<i64> {
    let timestamp = date_to_timestamp(date)?;
    if is_infinite(timestamp) { Ok(timestamp) } else { valid(i128::from(timestamp) + i128::from(time)) }
}

/// age(): years, months, days and time between two wall-clock times, by the calendar (timestamp_age).
fn age(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_out_of_range());
    }
    let negative = a < b;
    let (later, earlier) = if negative { (b, a) } else { (a, b) };
    let ((later_days, later_micros), (earlier_days, earlier_micros)) = (split(later), split(earlier));
    let (x, y) = (civil_from_days(later_days), civil_from_days(earlier_days));
    let mut micros = later_micros - earlier_micros;
    let mut days = x.day - y.day;
    let mut months = (x.year - y.year) * 12 + x.month - y.month;
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    while days < 0 {
        // Days are borrowed from the month that the count started in: of the first argument if the result is
        // negative, of the second otherwise.
        days += days_in_month(y.year, y.month);
        months -= 1;
    }
    let interval = Interval { months, days, micros };
    if negative { interval.checked_neg() } else { Ok(interval) }
}

// ---- fields ----

pub(super) fn not_supported(unit: &str, name: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{unit}\" not supported for type {name}"))
}

pub(super) fn not_recognized(unit: &str, name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unit \"{unit}\" not recognized for type {name}"))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    IsoYear,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
}

pub(super) fn unit(name: &str) -> Option<Unit> {
    Some(match name.to_ascii_lowercase().as_str() {
        "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => {
            Unit::Microseconds
        }
        "millisecond" | "milliseconds" | "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => {
            Unit::Milliseconds
        }
        "second" | "seconds" | "s" | "sec" | "secs" => Unit::Second,
        "minute" | "minutes" | "m" | "min" | "mins" => Unit::Minute,
        "hour" | "hours" | "h" | "hr" | "hrs" => Unit::Hour,
        "day" | "days" | "d" => Unit::Day,
        "week" | "weeks" | "w" => Unit::Week,
        "month" | "months" | "mon" | "mons" => Unit::Month,
        "quarter" | "qtr" => Unit::Quarter,
        "year" | "years" | "y" | "yr" | "yrs" => Unit::Year,
        "decade" | "decades" | "dec" | "decs" => Unit::Decade,
        "century" | "centuries" | "c" | "cent" => Unit::Century,
        "millennium" | "millennia" | "mil" | "mils" => Unit::Millennium,
        "julian" | "jd" | "j" => Unit::Julian,
        "isoyear" => Unit::IsoYear,
        "dow" => Unit::DayOfWeek,
        "isodow" => Unit::IsoDayOfWeek,
        "doy" => Unit::DayOfYear,
        "epoch" => Unit::Epoch,
        "timezone" => Unit::Zone,
        "timezone_hour" => Unit::ZoneHour,
        "timezone_minute" => Unit::ZoneMinute,
        _ => return None,
    })
}

/// micros ÷ 10^scale with `scale` digits shown.
pub(super) fn scaled(value: i128, scale: i32) -> Numeric {
    let divisor = Numeric::from_i128(10i128.pow(scale as u32));
    let quotient = Numeric::from_i128(value).div(&divisor);
    quotient.and_then(|quotient| quotient.round(scale)).unwrap_or(Numeric::NaN)
}

pub(super) fn whole(value: i64) -> Numeric {
    Numeric::from_i64(value)
}

fn decade(year: i64) -> i64 {
    year.div_euclid(10)
}

/// Years are counted from 1, backwards from -1 before it.
fn century(year: i64, length: i64) -> i64 {
    if year > 0 { (year + length - 1) / length } else { -((length - 1 - (year - 1)) / length) }
}

fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

pub(super) fn seconds_field(unit: Unit, micros_of_minute: i64) -> Option<Numeric> {
    Some(match unit {
        Unit::Microseconds => whole(micros_of_minute),
        Unit::Milliseconds => scaled(i128::from(micros_of_minute), 3),
        Unit::Second => scaled(i128::from(micros_of_minute), 6),
        _ => return None,
    })
}

/// extract(unit from timestamp); `offset`: seconds east, for timestamptz.
fn extract_timestamp(name: &str, timestamp: i64, offset: Option<i32>) -> Result<Option<Numeric>> {
    let type_name = match offset {
        Some(_) => "timestamp with time zone",
        None => "timestamp without time zone",
    };
    let field = unit(name).ok_or_else(|| not_recognized(name, type_name))?;
    if is_infinite(timestamp) {
        let infinity = if timestamp == INFINITY { Numeric::Infinity } else { Numeric::NegativeInfinity };
        return match field {
            Unit::Year
            | Unit::Decade
            | Unit::Century
            | Unit::Millennium
            | Unit::Julian
            | Unit::IsoYear
            | Unit::Epoch => Ok(Some(infinity)),
            _ => Ok(None),
        };
    }
    let shift = i64::from(offset.unwrap_or(0));
    let local = valid(i128::from(timestamp) + i128::from(shift) * i128::from(MICROS_PER_SECOND))?;
    let (days, micros) = split(local);
    if let Some(seconds) = seconds_field(field, micros % MICROS_PER_MINUTE) {
        return Ok(Some(seconds));
    }
    let civil = civil_from_days(days);
    Ok(Some(match (field, offset) {
        (Unit::Minute, _) => whole(micros / MICROS_PER_MINUTE % 60),
        (Unit::Hour, _) => whole(micros / MICROS_PER_HOUR),
        (Unit::Epoch, _) => {
            scaled(i128::from(timestamp) + i128::from(calendar::UNIX_TO_2000_SECONDS * MICROS_PER_SECOND), 6)
        }
        (Unit::Julian, _) => {
            let day = whole(days + i64::from(calendar::EPOCH_JULIAN));
            match micros {
                0 => day,
                _ => day.add(&whole(micros).div(&whole(MICROS_PER_DAY))?)?,
            }
        }
        (Unit::Zone, Some(offset)) => whole(i64::from(offset)),
        (Unit::ZoneHour, Some(offset)) => whole(i64::from(offset / 3600)),
        (Unit::ZoneMinute, Some(offset)) => whole(i64::from(offset / 60 % 60)),
        (Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute, None) => return Err(not_supported(name, type_name)),
        (field, _) => whole(day_field(field, days, civil)),
    }))
}

fn day_field(field: Unit, days: i64, civil: Civil) -> i64 {
    let year = i64::from(civil.year);
    match field {
        Unit::Day => i64::from(civil.day),
        Unit::Week => i64::from(calendar::iso_week(days).1),
        Unit::Month => i64::from(civil.month),
        Unit::Quarter => i64::from((civil.month - 1) / 3 + 1),
        Unit::Year => shown_year(year),
        Unit::Decade => decade(year),
        Unit::Century => century(year, 100),
        Unit::Millennium => century(year, 1000),
        Unit::IsoYear => shown_year(i64::from(calendar::iso_week(days).0)),
        Unit::DayOfWeek => i64::from(calendar::day_of_week(days)),
        Unit::IsoDayOfWeek => (i64::from(calendar::day_of_week(days)) + 6) % 7 + 1,
        _ => i64::from(calendar::day_of_year(civil)),
    }
}

fn extract_date(name: &str, date: i32) -> Result<Option<Numeric>> {
    let field = unit(name).ok_or_else(|| not_recognized(name, "date"))?;
    match field {
        Unit::Epoch if !is_infinite_date(date) => {
            Ok(Some(whole((i64::from(date) + calendar::UNIX_TO_2000_DAYS) * 86_400)))
        }
        Unit::Julian if !is_infinite_date(date) => {
            Ok(Some(whole(i64::from(date) + i64::from(calendar::EPOCH_JULIAN))))
        }
        Unit::Microseconds
        | Unit::Milliseconds
        | Unit::Second
        | Unit::Minute
        | Unit::Hour
        | Unit::Zone
        | Unit::ZoneHour
        | Unit::ZoneMinute => Err(not_supported(name, "date")),
        field if !is_infinite_date(date) => {
            let days = i64::from(date);
            Ok(Some(whole(day_field(field, days, civil_from_days(days)))))
        }
        _ => extract_timestamp(name, date_to_timestamp(date)?, None),
    }
}

fn extract_time(name: &str, micros: i64) -> Result<Numeric> {
    let type_name = "time without time zone";
    let field = unit(name).ok_or_else(|| not_recognized(name, type_name))?;
    if let Some(seconds) = seconds_field(field, micros % MICROS_PER_MINUTE) {
        return Ok(seconds);
    }
    match field {
        Unit::Minute => Ok(whole(micros / MICROS_PER_MINUTE % 60)),
        Unit::Hour => Ok(whole(micros / MICROS_PER_HOUR)),
        Unit::Epoch => Ok(scaled(i128::from(micros), 6)),
        _ => Err(not_supported(name, type_name)),
    }
}

fn extract_interval(name: &str, interval: Interval) -> Result<Numeric> {
    let field = unit(name).ok_or_else(|| not_recognized(name, "interval"))?;
    if let Some(seconds) = seconds_field(field, interval.micros % MICROS_PER_MINUTE) {
        return Ok(seconds);
    }
    let (years, months) = (i64::from(interval.months / 12), i64::from(interval.months % 12));
    Ok(match field {
        Unit::Minute => whole(interval.micros / MICROS_PER_MINUTE % 60),
        Unit::Hour => whole(interval.micros / MICROS_PER_HOUR),
        Unit::Day => whole(i64::from(interval.days)),
        Unit::Month => whole(months),
        Unit::Quarter => whole(months / 3 + 1),
        Unit::Year => whole(years),
        Unit::Decade => whole(years / 10),
        Unit::Century => whole(years / 100),
        Unit::Millennium => whole(years / 1000),
        Unit::Epoch => {
            // A year counts 365.25 days here, a month 30.
            let days =
                i128::from(years) * 36_525 + i128::from(months) * 3000 + i128::from(interval.days) * 100;
            scaled(days * 864_000_000 + i128::from(interval.micros), 6)
        }
        _ => return Err(not_supported(name, "interval")),
    })
}

fn as_float(value: Option<Numeric>) -> Option<f64> {
    value.map(|value| value.to_f64())
}

/// date_trunc on a wall clock.
fn truncate(name: &str, timestamp: i64, type_name: &str) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    let field = unit(name).ok_or_else(|| not_recognized(name, type_name))?;
    let (days, micros) = split(timestamp);
    let civil = civil_from_days(days);
    let (year, month) = (i64::from(civil.year), i64::from(civil.month));
    let on_day = |unit: i64| Ok(timestamp - micros + micros / unit * unit);
    let first = |year: i64, month: i64| Ok(days_from_civil(year, month, 1) * MICROS_PER_DAY);
    match field {
        Unit::Microseconds => Ok(timestamp),
        Unit::Milliseconds => on_day(1000),
        Unit::Second => on_day(MICROS_PER_SECOND),
        Unit::Minute => on_day(MICROS_PER_MINUTE),
        Unit::Hour => on_day(MICROS_PER_HOUR),
        Unit::Day => on_day(MICROS_PER_DAY),
        Unit::Week => Ok((days - (days + 5).rem_euclid(7)) * MICROS_PER_DAY),
        Unit::Month => first(year, month),
        Unit::Quarter => first(year, (month - 1) / 3 * 3 + 1),
        Unit::Year => first(year, 1),
        Unit::Decade if year > 0 => first(year / 10 * 10, 1),
        Unit::Decade => first(-((8 - (year - 1)) / 10) * 10, 1),
        Unit::Century if year > 0 => first((year + 99) / 100 * 100 - 99, 1),
        Unit::Century => first(-((99 - (year - 1)) / 100) * 100 + 1, 1),
        Unit::Millennium if year > 0 => first((year + 999) / 1000 * 1000 - 999, 1),
        Unit::Millennium => first(-((999 - (year - 1)) / 1000) * 1000 + 1, 1),
        Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute => Err(not_supported(name, type_name)),
        _ => Err(not_recognized(name, type_name)),
    }
}

fn truncate_in_zone(name: &str, timestamp: i64, zone: &TimeZone) -> Result<i64> {
    local_to_utc(truncate(name, utc_to_local(timestamp, zone)?, "timestamp with time zone")?, zone)
}

fn truncate_interval(name: &str, interval: Interval) -> Result<Interval> {
    let field = unit(name).ok_or_else(|| not_recognized(name, "interval"))?;
    let months = |unit: i32| Ok(Interval { months: interval.months / unit * unit, days: 0, micros: 0 });
    let micros = |unit: i64| Ok(Interval { micros: interval.micros / unit * unit, ..interval });
    match field {
        Unit::Millennium => months(12_000),
        Unit::Century => months(1200),
        Unit::Decade => months(120),
        Unit::Year => months(12),
        Unit::Quarter => months(3),
        Unit::Month => months(1),
        Unit::Day => Ok(Interval { micros: 0, ..interval }),
        Unit::Hour => micros(MICROS_PER_HOUR),
        Unit::Minute => micros(MICROS_PER_MINUTE),
        Unit::Second => micros(MICROS_PER_SECOND),
        Unit::Milliseconds => micros(1000),
        Unit::Microseconds => Ok(interval),
        Unit::Week => Err(not_supported(name, "interval").detail("Months usually have fractional weeks.")),
        Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute => Err(not_supported(name, "interval")),
        _ => Err(not_recognized(name, "interval")),
    }
}

/// date_bin: the start of the stride that holds `timestamp`, counted from `origin`.
fn bin(stride: Interval, timestamp: i64, origin: i64) -> Result<i64> {
    if is_infinite(timestamp) {
        return Ok(timestamp);
    }
    if is_infinite(origin) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let stride = stride.span();
    if stride <= 0 {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let distance = i128::from(timestamp) - i128::from(origin);
    valid(i128::from(timestamp) - distance.rem_euclid(stride))
}

// ---- construction ----

fn field_out_of_range(what: &str, text: String) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} field value out of range: {text}"))
}

fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let error = || field_out_of_range("date", format!("{year}-{month:02}-{day:02}"));
    // A negative year is BC.
    let astronomical = match year {
        0 => return Err(error()),
        ..0 => i64::from(year) + 1,
        _ => i64::from(year),
    };
    let in_range =
        i32::try_from(astronomical).ok().filter(|year| year.abs() < 5_900_000).ok_or_else(error)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(in_range, month) {
        return Err(error());
    }
    valid_date(days_from_civil(astronomical, i64::from(month), i64::from(day))).map_err(|_| error())
}

fn make_time(hour: i32, minute: i32, second: f64) -> Result<i64> {
    let error = || field_out_of_range("time", format!("{hour}:{minute:02}:{second:02}"));
    if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(error());
    }
    let micros = i64::from(hour) * MICROS_PER_HOUR
        + i64::from(minute) * MICROS_PER_MINUTE
        + (second * 1e6).round_ties_even() as i64;
    if micros > MICROS_PER_DAY { Err(error()) } else { Ok(micros) }
}

fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> Result<i64> {
    let (days, micros) = (make_date(year, month, day)?, make_time(hour, minute, second)?);
    valid(i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(micros))
}

/// years, months, weeks, days, hours, mins, secs; what is left out is 0.
fn make_interval(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let get = |index: usize| i64::from(arguments.get(index).and_then(Datum::as_i32).unwrap_or(0));
    let seconds = arguments.get(6).and_then(Datum::as_f64).unwrap_or(0.0);
    let micros = (seconds * 1e6).round_ties_even();
    if !micros.is_finite() || micros.abs() >= 9.2e18 {
        return Err(interval_out_of_range());
    }
    let fits = |value: i64| i32::try_from(value).map_err(|_| interval_out_of_range());
    Ok(Datum::Interval(Interval {
        months: fits(get(0) * 12 + get(1))?,
        days: fits(get(2) * 7 + get(3))?,
        micros: get(4) * MICROS_PER_HOUR + get(5) * MICROS_PER_MINUTE + micros as i64,
    }))
}

/// to_timestamp(double): seconds since 1970.
fn from_epoch(seconds: f64) -> Result<i64> {
    match seconds {
        f64::INFINITY => return Ok(INFINITY),
        f64::NEG_INFINITY => return Ok(NEG_INFINITY),
        _ if seconds.is_nan() => {
            return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
        }
        _ => {}
    }
    let micros = ((seconds - calendar::UNIX_TO_2000_SECONDS as f64) * 1e6).round_ties_even();
    match micros.abs() < 9.3e18 && is_valid_timestamp(micros as i64) {
        true => Ok(micros as i64),
        false => Err(Error::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{seconds}\""),
        )),
    }
}

/// (s1, e1) OVERLAPS (s2, e2), by SQL's rules for nulls and for ends before starts.
pub(super) fn overlaps(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let key = |index: usize| match arguments.get(index) {
        Some(Datum::Timestamp(value) | Datum::Time(value)) => Some((*value, 0)),
        Some(Datum::TimeTz(value)) => Some(value.rank()),
        _ => None,
    };
    // Each period as (start, end); a null end means just the start.
    let period = |a: Option<(i64, i32)>, b: Option<(i64, i32)>| match (a, b) {
        (None, None) => None,
        (Some(a), None) | (None, Some(a)) => Some((a, None)),
        (Some(a), Some(b)) => Some((a.min(b), Some(a.max(b)))),
    };
    let (Some((s1, e1)), Some((s2, e2))) = (period(key(0), key(1)), period(key(2), key(3))) else {
        return Ok(Datum::Null);
    };
    let unknown_unless = |certain: bool| if certain { Datum::Bool(true) } else { Datum::Null };
    Ok(match s1.cmp(&s2) {
        std::cmp::Ordering::Greater => match e2 {
            None => Datum::Null,
            Some(e2) if s1 < e2 => Datum::Bool(true),
            Some(_) if e1.is_none() => Datum::Null,
            Some(_) => Datum::Bool(false),
        },
        std::cmp::Ordering::Less => match e1 {
            None => Datum::Null,
            Some(e1) if s2 < e1 => Datum::Bool(true),
            Some(_) if e2.is_none() => Datum::Null,
            Some(_) => Datum::Bool(false),
        },
        std::cmp::Ordering::Equal => unknown_unless(e1.is_some() && e2.is_some()),
    })
}

fn now(context: &EvalContext<'_>) -> Timestamp {
    Timestamp(context.transaction_time)
}

pub fn register(r: &mut Registry) {
    register_conversions(r);
    register_arithmetic(r);
    register_fields(r);
    scalar!(r, "now", |context;| now(context));
    scalar!(r, "statement_timestamp", |context;| Timestamp(context.statement_time));
    scalar!(r, "clock_timestamp", || Timestamp(clock_timestamp()));
    scalar!(r, "make_date", |year: i32, month: i32, day: i32| make_date(year, month, day).map(Date));
    scalar!(r, "make_time", |hour: i32, minute: i32, second: f64| make_time(hour, minute, second).map(Time));
    scalar!(r, "make_timestamp", |year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64| {
        make_timestamp(year, month, day, hour, minute, second).map(Timestamp)
    });
    scalar!(r, "make_timestamptz", |context; year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64| {
        local_to_utc(make_timestamp(year, month, day, hour, minute, second)?, &context.render.time_zone).map(Timestamp)
    });
    scalar!(r, "make_timestamptz_at_timezone", |year: i32,
                                                month: i32,
                                                day: i32,
                                                hour: i32,
                                                minute: i32,
                                                second: f64,
                                                zone: &str| {
        local_to_utc(make_timestamp(year, month, day, hour, minute, second)?, &zone_named(zone)?)
            .map(Timestamp)
    });
    r.scalar("make_interval", make_interval);
    scalar!(r, "float8_timestamptz", |seconds: f64| from_epoch(seconds).map(Timestamp));
    r.scalar("overlaps_timestamp", overlaps);
    r.scalar("overlaps_time", overlaps);
}

fn register_conversions(r: &mut Registry) {
    scalar!(r, "date_timestamp", |a: Date| date_to_timestamp(a.0).map(Timestamp));
    scalar!(r, "date_timestamptz", |context; a: Date| date_to_timestamptz(a.0, context).map(Timestamp));
    scalar!(r, "timestamp_date", |a: Timestamp| timestamp_to_date(a.0).map(Date));
    scalar!(r, "timestamptz_date", |context; a: Timestamp| {
        timestamp_to_date(utc_to_local(a.0, &context.render.time_zone)?).map(Date)
    });
    scalar!(r, "timestamp_time", |a: Timestamp| timestamp_to_time(a.0));
    scalar!(r, "timestamptz_time", |context; a: Timestamp| {
        utc_to_local(a.0, &context.render.time_zone).map(timestamp_to_time)
    });
    scalar!(r, "timestamp_timestamptz", |context; a: Timestamp| timestamp_to_timestamptz(a.0, context).map(Timestamp));
    scalar!(r, "timestamptz_timestamp", |context; a: Timestamp| {
        utc_to_local(a.0, &context.render.time_zone).map(Timestamp)
    });
    scalar!(r, "datetime_timestamp", |a: Date, b: Time| date_plus_time(a.0, b.0).map(Timestamp));
    scalar!(r, "sql:timedate_pl/2", |b: Time, a: Date| date_plus_time(a.0, b.0).map(Timestamp));
    scalar!(r, "time_interval", |a: Time| Interval { months: 0, days: 0, micros: a.0 });
    scalar!(r, "interval_time", |a: Interval| wrap_time(i128::from(a.micros)));
    scalar!(r, "timestamptz_zone", |zone: &str, a: Timestamp| utc_to_local(a.0, &zone_named(zone)?)
        .map(Timestamp));
    scalar!(r, "timestamp_zone", |zone: &str, a: Timestamp| local_to_utc(a.0, &zone_named(zone)?)
        .map(Timestamp));
    scalar!(r, "timestamptz_izone", |zone: Interval, a: Timestamp| {
        utc_to_local(a.0, &zone_of_interval(zone)?).map(Timestamp)
    });
    scalar!(r, "timestamp_izone", |zone: Interval, a: Timestamp| {
        local_to_utc(a.0, &zone_of_interval(zone)?).map(Timestamp)
    });
    scalar!(r, "timestamp_scale", |a: Timestamp, precision: i32| match is_infinite(a.0) {
        true => a,
        false => Timestamp(crate::types::interval::round_micros(a.0, precision)),
    });
    scalar!(r, "timestamptz_scale", |a: Timestamp, precision: i32| match is_infinite(a.0) {
        true => a,
        false => Timestamp(crate::types::interval::round_micros(a.0, precision)),
    });
    scalar!(r, "time_scale", |a: Time, precision: i32| Time(crate::types::interval::round_micros(
        a.0, precision
    )));
    scalar!(r, "interval_scale", |a: Interval, modifier: i32| a.apply_modifier(modifier));
}

fn register_arithmetic(r: &mut Registry) {
    scalar!(r, "date_pli", |a: Date, b: i32| add_days(a.0, i64::from(b)).map(Date));
    scalar!(r, "sql:integer_pl_date/2", |b: i32, a: Date| add_days(a.0, i64::from(b)).map(Date));
    scalar!(r, "date_mii", |a: Date, b: i32| add_days(a.0, -i64::from(b)).map(Date));
    scalar!(r, "date_mi", |a: Date, b: Date| subtract_dates(a.0, b.0));
    scalar!(r, "date_pl_interval", |a: Date, b: Interval| {
        add_interval_to_timestamp(date_to_timestamp(a.0)?, b).map(Timestamp)
    });
    scalar!(r, "sql:interval_pl_date/2", |b: Interval, a: Date| {
        add_interval_to_timestamp(date_to_timestamp(a.0)?, b).map(Timestamp)
    });
    scalar!(r, "date_mi_interval", |a: Date, b: Interval| {
        add_interval_to_timestamp(date_to_timestamp(a.0)?, b.checked_neg()?).map(Timestamp)
    });
    scalar!(r, "timestamp_pl_interval", |a: Timestamp, b: Interval| add_interval_to_timestamp(a.0, b)
        .map(Timestamp));
    scalar!(r, "sql:interval_pl_timestamp/2", |b: Interval, a: Timestamp| {
        add_interval_to_timestamp(a.0, b).map(Timestamp)
    });
    scalar!(r, "timestamp_mi_interval", |a: Timestamp, b: Interval| {
        add_interval_to_timestamp(a.0, b.checked_neg()?).map(Timestamp)
    });
    scalar!(r, "timestamptz_pl_interval", |context; a: Timestamp, b: Interval| {
        add_interval_to_timestamptz(a.0, b, &context.render.time_zone).map(Timestamp)
    });
    scalar!(r, "sql:interval_pl_timestamptz/2", |context; b: Interval, a: Timestamp| {
        add_interval_to_timestamptz(a.0, b, &context.render.time_zone).map(Timestamp)
    });
    scalar!(r, "timestamptz_mi_interval", |context; a: Timestamp, b: Interval| {
        add_interval_to_timestamptz(a.0, b.checked_neg()?, &context.render.time_zone).map(Timestamp)
    });
    scalar!(r, "timestamp_mi", |a: Timestamp, b: Timestamp| subtract_timestamps(a.0, b.0));
    scalar!(r, "time_pl_interval", |a: Time, b: Interval| wrap_time(i128::from(a.0) + i128::from(b.micros)));
    scalar!(r, "sql:interval_pl_time/2", |b: Interval, a: Time| wrap_time(
        i128::from(a.0) + i128::from(b.micros)
    ));
    scalar!(r, "time_mi_interval", |a: Time, b: Interval| wrap_time(i128::from(a.0) - i128::from(b.micros)));
    scalar!(r, "time_mi_time", |a: Time, b: Time| Interval { months: 0, days: 0, micros: a.0 - b.0 });
    scalar!(r, "interval_pl", |a: Interval, b: Interval| a.checked_add(b));
    scalar!(r, "interval_mi", |a: Interval, b: Interval| a.checked_sub(b));
    scalar!(r, "interval_um", |a: Interval| a.checked_neg());
    scalar!(r, "interval_mul", |a: Interval, b: f64| a.multiply(b));
    scalar!(r, "mul_d_interval", |b: f64, a: Interval| a.multiply(b));
    scalar!(r, "interval_div", |a: Interval, b: f64| a.divide(b));
    scalar!(r, "interval_justify_hours", |a: Interval| a.justify_hours());
    scalar!(r, "interval_justify_days", |a: Interval| a.justify_days());
    scalar!(r, "interval_justify_interval", |a: Interval| a.justify_interval());
    scalar!(r, "timestamp_age", |a: Timestamp, b: Timestamp| age(a.0, b.0));
    scalar!(r, "timestamptz_age", |context; a: Timestamp, b: Timestamp| {
        let zone = &context.render.time_zone;
        age(utc_to_local(a.0, zone)?, utc_to_local(b.0, zone)?)
    });
    scalar!(r, "date_finite", |a: Date| !is_infinite_date(a.0));
    scalar!(r, "timestamp_finite", |a: Timestamp| !is_infinite(a.0));
    scalar!(r, "interval_finite", |a: Interval| {
        let _ = a;
        true
    });
    scalar!(r, "timestamp_bin", |stride: Interval, a: Timestamp, origin: Timestamp| {
        bin(stride, a.0, origin.0).map(Timestamp)
    });
    scalar!(r, "timestamptz_bin", |stride: Interval, a: Timestamp, origin: Timestamp| {
        bin(stride, a.0, origin.0).map(Timestamp)
    });
}

fn register_fields(r: &mut Registry) {
    scalar!(r, "extract_timestamp", |unit: &str, a: Timestamp| extract_timestamp(unit, a.0, None));
    scalar!(r, "extract_timestamptz", |context; unit: &str, a: Timestamp| {
        extract_timestamp(unit, a.0, Some(zone_offset(a, context)))
    });
    scalar!(r, "extract_date", |unit: &str, a: Date| extract_date(unit, a.0));
    scalar!(r, "extract_time", |unit: &str, a: Time| extract_time(unit, a.0));
    scalar!(r, "extract_interval", |unit: &str, a: Interval| extract_interval(unit, a));
    scalar!(r, "timestamp_part", |unit: &str, a: Timestamp| extract_timestamp(unit, a.0, None).map(as_float));
    scalar!(r, "timestamptz_part", |context; unit: &str, a: Timestamp| {
        extract_timestamp(unit, a.0, Some(zone_offset(a, context))).map(as_float)
    });
    // date_part('…', date) is that of the date as a timestamp.
    scalar!(r, "sql:date_part/2", |unit: &str, a: Date| {
        extract_timestamp(unit, date_to_timestamp(a.0)?, None).map(as_float)
    });
    scalar!(r, "time_part", |unit: &str, a: Time| extract_time(unit, a.0).map(|value| value.to_f64()));
    scalar!(r, "interval_part", |unit: &str, a: Interval| extract_interval(unit, a)
        .map(|value| value.to_f64()));
    scalar!(r, "timestamp_trunc", |unit: &str, a: Timestamp| {
        truncate(unit, a.0, "timestamp without time zone").map(Timestamp)
    });
    scalar!(r, "timestamptz_trunc", |context; unit: &str, a: Timestamp| {
        truncate_in_zone(unit, a.0, &context.render.time_zone).map(Timestamp)
    });
    scalar!(r, "timestamptz_trunc_zone", |unit: &str, a: Timestamp, zone: &str| {
        truncate_in_zone(unit, a.0, &zone_named(zone)?).map(Timestamp)
    });
    scalar!(r, "interval_trunc", |unit: &str, a: Interval| truncate_interval(unit, a));
}

fn zone_offset(timestamp: Timestamp, context: &EvalContext<'_>) -> i32 {
    match is_infinite(timestamp.0) {
        true => 0,
        false => context.render.time_zone.offset_seconds_at(timestamp.0.div_euclid(MICROS_PER_SECOND)),
    }
}
