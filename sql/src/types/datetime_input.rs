//! Dates, times, timestamps from text.
//!
//! As in PostgreSQL the text is split into fields by their look (a date has separators, a time has colons, a zone begins
//! with a sign, …), and each field then fills in what it can; DateStyle's order decides only what is ambiguous. ISO 8601
//! is tried first on a path of its own, since that is what programs write. Intervals are in `interval_input.rs`.

use super::calendar::{self, days_from_civil, days_in_month};
use super::format::invalid_input;
use super::interval::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::timezone::abbreviation_offset;
use super::{DateOrder, RenderSettings, TimeTz, TimeZone};
use crate::error::{Error, Result, SqlState};

pub use super::interval_input::parse_interval;

/// What went wrong, before the text and the type's name are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bad {
    Format,
    /// A field has an impossible value.
    Field,
    /// The same, and another DateStyle could make it possible.
    MonthDay,
    Zone,
    IntervalField,
}

pub(super) fn describe(bad: Bad, name: &str, text: &str) -> Error {
    let out_of_range = |what: &str, state| Error::new(state, format!("{what} out of range: \"{text}\""));
    match bad {
        Bad::Format => {
            let message = format!("invalid input syntax for type {name}: \"{text}\"");
            Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
        }
        Bad::Field => out_of_range("date/time field value", SqlState::DATETIME_FIELD_OVERFLOW),
        Bad::MonthDay => out_of_range("date/time field value", SqlState::DATETIME_FIELD_OVERFLOW)
            .hint("Perhaps you need a different \"datestyle\" setting."),
        Bad::Zone => out_of_range("time zone displacement", SqlState(*b"22009")),
        Bad::IntervalField => out_of_range("interval field value", SqlState::INTERVAL_FIELD_OVERFLOW),
    }
}

/// A point on the wall clock, and perhaps the zone it was given in.
#[derive(Clone, Copy, Debug)]
struct Parsed {
    days: i64,
    micros: i64,
    /// Seconds east.
    offset: Option<i32>,
    /// The text has a date.
    dated: bool,
}

enum Value {
    Point(Parsed),
    Infinity(bool),
    /// `now`: microseconds since 2000-01-01 UTC.
    Now(i64),
    /// `today` and its neighbours, by days.
    Today(i64),
    Epoch,
}

pub fn parse_date(text: &str, render: &RenderSettings) -> Result<i32> {
    let days = match parse(text, render, true, "date")? {
        Value::Point(point) => point.days,
        Value::Infinity(true) => return Ok(calendar::DATE_INFINITY),
        Value::Infinity(false) => return Ok(calendar::DATE_NEG_INFINITY),
        Value::Now(now) => calendar::split(local(now, render)).0,
        Value::Today(offset) => calendar::split(local(now(), render)).0 + offset,
        Value::Epoch => -calendar::UNIX_TO_2000_DAYS,
    };
    i32::try_from(days)
        .ok()
        .filter(|days| (calendar::DATE_MIN..=calendar::DATE_MAX).contains(days))
        .ok_or_else(|| {
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date out of range: \"{text}\""))
        })
}

/// Microseconds since 2000-01-01: on the wall clock, or in UTC if `with_zone`.
pub fn parse_timestamp(text: &str, with_zone: bool, render: &RenderSettings) -> Result<i64> {
    let name = if with_zone { "timestamp with time zone" } else { "timestamp" };
    let point = match parse(text, render, true, name)? {
        Value::Point(point) => point,
        Value::Infinity(true) => return Ok(calendar::INFINITY),
        Value::Infinity(false) => return Ok(calendar::NEG_INFINITY),
        Value::Now(now) if with_zone => return Ok(now),
        Value::Now(now) => return Ok(local(now, render)),
        Value::Today(offset) => {
            let days = calendar::split(local(now(), render)).0 + offset;
            Parsed { days, micros: 0, offset: None, dated: true }
        }
        Value::Epoch => {
            Parsed { days: -calendar::UNIX_TO_2000_DAYS, micros: 0, offset: Some(0), dated: true }
        }
    };
    let wall = i128::from(point.days) * i128::from(MICROS_PER_DAY) + i128::from(point.micros);
    let shift = match (with_zone, point.offset) {
        (false, _) => 0,
        (true, Some(offset)) => offset,
        (true, None) => match i64::try_from(wall / 1_000_000) {
            Ok(seconds) => render.time_zone.offset_of_local(seconds),
            Err(_) => 0,
        },
    };
    let timestamp = wall - i128::from(shift) * i128::from(MICROS_PER_SECOND);
    i64::try_from(timestamp).ok().filter(|timestamp| calendar::is_valid_timestamp(*timestamp)).ok_or_else(
        || Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("timestamp out of range: \"{text}\"")),
    )
}

pub fn parse_time(text: &str, render: &RenderSettings) -> Result<i64> {
    match parse(text, render, false, "time")? {
        Value::Point(point) => Ok(point.micros),
        Value::Now(now) => Ok(calendar::split(local(now, render)).1),
        _ => Err(describe(Bad::Format, "time", text)),
    }
}

/// Offsets are below this many seconds (TZDISP_LIMIT).
pub const OFFSET_MAX: u32 = 16 * 3600;

/// Without a zone the session's, as it is on the given day or today.
pub fn parse_timetz(text: &str, render: &RenderSettings) -> Result<TimeTz> {
    let name = "time with time zone";
    let session = |days: i64, micros: i64| {
        let seconds = days.saturating_mul(86_400).saturating_add(micros / MICROS_PER_SECOND);
        render.time_zone.offset_of_local(seconds)
    };
    match parse(text, render, false, name)? {
        Value::Point(point) => {
            let today = || calendar::split(local(now(), render)).0;
            let days = if point.dated { point.days } else { today() };
            let offset = point.offset.unwrap_or_else(|| session(days, point.micros));
            Ok(TimeTz { micros: point.micros, offset })
        }
        Value::Now(now) => {
            let (days, micros) = calendar::split(local(now, render));
            Ok(TimeTz { micros, offset: session(days, micros) })
        }
        _ => Err(describe(Bad::Format, name, text)),
    }
}

/// The wall clock in the session's zone.
fn local(timestamp: i64, render: &RenderSettings) -> i64 {
    let offset = render.time_zone.offset_seconds_at(timestamp.div_euclid(MICROS_PER_SECOND));
    timestamp + i64::from(offset) * MICROS_PER_SECOND
}

/// PostgreSQL takes the transaction's start; input functions here don't know it, so the clock stands in.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_micros() as i64 - calendar::UNIX_TO_2000_SECONDS * MICROS_PER_SECOND
}

fn parse(text: &str, render: &RenderSettings, needs_date: bool, name: &str) -> Result<Value> {
    if let Some(point) = parse_iso(text.as_bytes(), needs_date) {
        return Ok(Value::Point(point));
    }
    parse_fields(text, render, needs_date).map_err(|bad| match bad {
        Bad::Format if text.trim().is_empty() => {
            let error = invalid_input(name, text);
            Error::new(SqlState::INVALID_DATETIME_FORMAT, error.message())
        }
        _ => describe(bad, name, text),
    })
}

/// `2024-02-29`, `2024-02-29 12:34:56.789`, with `T` for the blank and `Z`, `+01` or `+01:30` after it. None: something
/// else, perhaps wrong.
fn parse_iso(text: &[u8], needs_date: bool) -> Option<Parsed> {
    let number = |range: std::ops::Range<usize>| {
        text.get(range)?
            .iter()
            .try_fold(0i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
    };
    if !needs_date || text.len() < 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let valid = year > 0 && (1..=12).contains(&month) && day >= 1;
    if !valid || day > i64::from(days_in_month(year as i32, month as i32)) {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if text.len() == 10 {
        return Some(Parsed { days, micros: 0, offset: None, dated: true });
    }
    if !matches!(text[10], b' ' | b'T') || text.len() < 19 || text[13] != b':' || text[16] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut micros = hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + second * MICROS_PER_SECOND;
    let mut rest = &text[19..];
    if let [b'.', fraction @ ..] = rest {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if !(1..=6).contains(&digits) {
            return None;
        }
        let value = fraction[..digits].iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
        micros += value * 10i64.pow(6 - digits as u32);
        rest = &fraction[digits..];
    }
    let offset = match rest {
        [] => None,
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let start = text.len() - offset.len();
            let seconds = match offset.len() {
                2 => number(start..start + 2)? * 3600,
                5 if offset[2] == b':' => {
                    number(start..start + 2)? * 3600 + number(start + 3..start + 5)? * 60
                }
                _ => return None,
            };
            (seconds < 16 * 3600).then_some(())?;
            Some(if *sign == b'-' { -seconds } else { seconds } as i32)
        }
        _ => return None,
    };
    Some(Parsed { days, micros, offset, dated: true })
}

/// Splits off what `keep` accepts.
fn take_while<'a>(rest: &mut &'a str, keep: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !keep(c)).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    *rest = tail;
    head
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meridian {
    Am,
    Pm,
}

#[derive(Default, Debug)]
struct Fields {
    year: Option<i64>,
    /// The year was written with two digits or fewer.
    short_year: bool,
    month: Option<i64>,
    month_named: bool,
    day: Option<i64>,
    day_of_year: Option<i64>,
    /// Days since 2000, from a Julian day.
    julian: Option<i64>,
    time: Option<i64>,
    offset: Option<i32>,
    zone: Option<String>,
    bc: bool,
    meridian: Option<Meridian>,
    /// A time follows: `T` stood before, or nothing else is wanted.
    expect_time: bool,
}

pub(super) fn month_number(word: &str) -> Option<i64> {
    let known = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let found = known
        .iter()
        .position(|name| word == *name || word == &name[..3] || word == "sept" && *name == "september");
    found.map(|index| index as i64 + 1)
}

fn is_day_name(word: &str) -> bool {
    let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
    let short = ["sun", "mon", "tue", "tues", "wed", "weds", "thu", "thur", "thurs", "fri", "sat"];
    names.contains(&word) || short.contains(&word)
}

fn parse_fields(text: &str, render: &RenderSettings, needs_date: bool) -> Result<Value, Bad> {
    let mut fields = Fields { expect_time: !needs_date && is_compact_time(text), ..Fields::default() };
    let mut rest = text.trim_matches(super::numeric::is_space);
    let mut special = None;
    if rest.is_empty() {
        return Err(Bad::Format);
    }
    while let Some(first) = rest.chars().next() {
        if super::numeric::is_space(first) || first == ',' {
            rest = &rest[1..];
            continue;
        }
        if first.is_ascii_digit() {
            digits_field(&mut fields, &mut rest, render)?;
        } else if first.is_ascii_alphabetic() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_');
            let alphabetic = take_while(&mut rest, |c: char| c.is_ascii_alphabetic());
            let folded = alphabetic.to_ascii_lowercase();
            // `Jan-08-1999`
            if month_number(&folded).is_some() && fields.month.is_none() && rest.starts_with(['-', '/', '.'])
            {
                let tail = take_while(&mut rest, |c: char| {
                    c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '.')
                });
                date_field(&mut fields, &format!("{folded}{tail}"), render.date_style.order)?;
                continue;
            }
            let tail = match rest.starts_with(['/', '_']) {
                true => take_while(&mut rest, |c| is_word(c) || matches!(c, '-' | '+')),
                false => "",
            };
            if let Some(value) = word_field(&mut fields, &format!("{alphabetic}{tail}"), &mut rest)?
                && special.replace(value).is_some()
            {
                return Err(Bad::Format);
            }
        } else if matches!(first, '+' | '-') {
            rest = &rest[1..];
            let word = rest.trim_start().to_ascii_lowercase();
            match word.as_str() {
                "infinity" | "inf" => {
                    special = Some(Value::Infinity(first == '+'));
                    rest = "";
                }
                _ => {
                    let zone = take_while(&mut rest, |c| c.is_ascii_digit() || c == ':');
                    fields.offset = Some(parse_offset(zone, first == '-')?);
                }
            }
        } else {
            return Err(Bad::Format);
        }
    }
    if let Some(value) = special {
        let bare = fields.year.is_none() && fields.day.is_none() && fields.month.is_none();
        return match value {
            // `today 04:05`: a day with a time.
            Value::Today(offset) if fields.time.is_some() => {
                let days = calendar::split(local(now(), render)).0 + offset;
                let micros = fields.time.unwrap_or(0);
                Ok(Value::Point(Parsed { days, micros, offset: fields.offset, dated: true }))
            }
            value if bare => Ok(value),
            _ => Err(Bad::Format),
        };
    }
    finish(fields, needs_date)
}

/// Digits run together, which for a type without a date can only be a time.
fn is_compact_time(text: &str) -> bool {
    let word = text.split_ascii_whitespace().next().unwrap_or_default();
    word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// A field that begins with a digit: a date, a time or a number.
fn digits_field(fields: &mut Fields, rest: &mut &str, render: &RenderSettings) -> Result<(), Bad> {
    let whole = *rest;
    let digits = take_while(rest, |c| c.is_ascii_digit());
    match rest.chars().next() {
        Some(':') => {
            *rest = whole;
            let time = take_while(rest, |c| c.is_ascii_digit() || matches!(c, ':' | '.'));
            set(&mut fields.time, parse_clock(time)?)
        }
        Some('.') if fields.expect_time || has_date(fields) && digits.len() >= 6 => {
            *rest = whole;
            let time = take_while(rest, |c| c.is_ascii_digit() || c == '.');
            set(&mut fields.time, parse_compact_time(time)?)
        }
        Some('-' | '/' | '.') if !has_date(fields) => {
            *rest = whole;
            // Month names may be part of it; a sign that begins a zone is not.
            let date = take_while(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '.'));
            // `1999-01-08T04:05:06`: the time is not part of the date.
            let split = date.find(['T', 't']).filter(|at| {
                date[..*at].ends_with(|c: char| c.is_ascii_digit())
                    && date[*at + 1..].starts_with(|c: char| c.is_ascii_digit())
            });
            let date = match split {
                Some(at) => {
                    *rest = &whole[at + 1..];
                    fields.expect_time = true;
                    &date[..at]
                }
                None => date,
            };
            date_field(fields, date, render.date_style.order)
        }
        _ => number_field(fields, digits, render.date_style.order),
    }
}

fn has_date(fields: &Fields) -> bool {
    fields.julian.is_some() || fields.year.is_some() && (fields.day.is_some() || fields.day_of_year.is_some())
}

fn set<T>(field: &mut Option<T>, value: T) -> Result<(), Bad> {
    match field.replace(value) {
        Some(_) => Err(Bad::Format),
        None => Ok(()),
    }
}

fn number(digits: &str) -> Result<i64, Bad> {
    digits.parse().map_err(|_| if digits.is_empty() { Bad::Format } else { Bad::Field })
}

/// `1999-01-08`, `1/8/1999`, `08-Jan-1999`, `99.008`.
fn date_field(fields: &mut Fields, text: &str, order: DateOrder) -> Result<(), Bad> {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    if let ([year, day], true) = (parts.as_slice(), text.contains('.'))
        && day.len() == 3
    {
        set(&mut fields.year, number(year)?)?;
        return set(&mut fields.day_of_year, number(day)?);
    }
    if !(2..=3).contains(&parts.len()) || has_date(fields) {
        return Err(Bad::Format);
    }
    for part in &parts {
        if part.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let month = month_number(&part.to_ascii_lowercase()).ok_or(Bad::Format)?;
            set(&mut fields.month, month)?;
            fields.month_named = true;
        }
    }
    for part in parts.iter().filter(|part| !part.starts_with(|c: char| c.is_ascii_alphabetic())) {
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Bad::Format);
        }
        place(fields, part, order)?;
    }
    Ok(())
}

/// Puts a number of a date where it belongs, given what is already there (DecodeNumber).
fn place(fields: &mut Fields, digits: &str, order: DateOrder) -> Result<(), Bad> {
    let value = number(digits)?;
    let empty = fields.year.is_none() && fields.day.is_none();
    let year_first = digits.len() >= 3 || order == DateOrder::Ymd && empty && fields.year.is_none();
    if fields.year.is_none()
        && year_first
        && (digits.len() >= 3 || !fields.month_named || fields.day.is_none())
    {
        fields.short_year = digits.len() <= 2;
        return set(&mut fields.year, value);
    }
    match (fields.month, fields.day) {
        (None, None) if fields.year.is_some() => set(&mut fields.month, value),
        (None, None) if order == DateOrder::Dmy => set(&mut fields.day, value),
        (None, None) => set(&mut fields.month, value),
        (None, Some(_)) => set(&mut fields.month, value),
        (Some(_), None) => set(&mut fields.day, value),
        (Some(_), Some(_)) => {
            fields.short_year = digits.len() <= 2;
            set(&mut fields.year, value)
        }
    }
}

/// A plain number: part of a date (`8 January 1999`), a run-together date (`19990108`) or time (`040506`).
fn number_field(fields: &mut Fields, digits: &str, order: DateOrder) -> Result<(), Bad> {
    if fields.expect_time || has_date(fields) && fields.time.is_none() && matches!(digits.len(), 4 | 6) {
        return set(&mut fields.time, parse_compact_time(digits)?);
    }
    if fields.year.is_none()
        && fields.day.is_none()
        && fields.month.is_none()
        && matches!(digits.len(), 6 | 8..)
    {
        let (year, tail) = digits.split_at(digits.len() - 4);
        fields.short_year = year.len() <= 2;
        fields.year = Some(number(year)?);
        fields.month = Some(number(&tail[..2])?);
        fields.day = Some(number(&tail[2..])?);
        return Ok(());
    }
    place(fields, digits, order)
}

/// A word: month, day of the week, am/pm, era, zone, or one of the special values.
fn word_field(fields: &mut Fields, word: &str, rest: &mut &str) -> Result<Option<Value>, Bad> {
    let folded = word.to_ascii_lowercase();
    match folded.as_str() {
        "infinity" | "inf" => return Ok(Some(Value::Infinity(true))),
        "epoch" => return Ok(Some(Value::Epoch)),
        "now" => return Ok(Some(Value::Now(now()))),
        "today" => return Ok(Some(Value::Today(0))),
        "tomorrow" => return Ok(Some(Value::Today(1))),
        "yesterday" => return Ok(Some(Value::Today(-1))),
        "allballs" => {
            fields.offset = Some(0);
            set(&mut fields.time, 0)?;
        }
        "am" => set(&mut fields.meridian, Meridian::Am)?,
        "pm" => set(&mut fields.meridian, Meridian::Pm)?,
        "bc" => fields.bc = true,
        "ad" | "at" | "on" => {}
        "t" => fields.expect_time = true,
        // Julian day.
        "j" | "jd" | "julian" if rest.starts_with(|c: char| c.is_ascii_digit()) => {
            let digits = take_while(rest, |c| c.is_ascii_digit());
            set(&mut fields.julian, number(digits)? - i64::from(calendar::EPOCH_JULIAN))?;
        }
        _ if month_number(&folded).is_some() => {
            // A month written out decides: a number taken for the month before must have been the day.
            if let Some(day) = fields.month.take().filter(|_| !fields.month_named) {
                set(&mut fields.day, day)?;
            }
            set(&mut fields.month, month_number(&folded).ok_or(Bad::Format)?)?;
            fields.month_named = true;
        }
        _ if is_day_name(&folded) => {}
        _ => {
            // `UTC+3`-like specifications are left to the zone's parser.
            if let Some(offset) = abbreviation_offset(&folded) {
                return set(&mut fields.offset, offset).map(|()| None);
            }
            set(&mut fields.zone, word.to_string())?;
        }
    }
    Ok(None)
}

/// `HH:MM`, `HH:MM:SS.fff`.
fn parse_clock(text: &str) -> Result<i64, Bad> {
    let mut parts = text.split(':');
    let (hour, minute) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let second = parts.next().unwrap_or("0");
    if parts.next().is_some() || minute.contains('.') {
        return Err(Bad::Format);
    }
    clock(number(hour)?, number(minute)?, second_micros(second)?)
}

/// `HHMMSS.fff`, `HHMM`, `HH`.
fn parse_compact_time(text: &str) -> Result<i64, Bad> {
    let whole = text.split('.').next().unwrap_or_default().len();
    match whole {
        6 => clock(number(&text[..2])?, number(&text[2..4])?, second_micros(&text[4..])?),
        4 if text.len() == 4 => clock(number(&text[..2])?, number(&text[2..])?, 0),
        1 | 2 if text.len() <= 2 => clock(number(text)?, 0, 0),
        _ => Err(Bad::Format),
    }
}

fn clock(hour: i64, minute: i64, second: i64) -> Result<i64, Bad> {
    let minutes = hour.min(25) * 60 + minute.min(60);
    let micros = minutes * MICROS_PER_MINUTE + second.min(MICROS_PER_MINUTE);
    let valid = minute < 60 && second <= MICROS_PER_MINUTE && hour <= 24 && micros <= MICROS_PER_DAY;
    if valid { Ok(micros) } else { Err(Bad::Field) }
}

/// Seconds with a fraction, in microseconds; rounded as PostgreSQL rounds (rint of the double).
pub(super) fn second_micros(text: &str) -> Result<i64, Bad> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Bad::Format);
    }
    let fraction = match fraction {
        "" => 0.0,
        digits => format!("0.{digits}").parse::<f64>().map_err(|_| Bad::Format)?,
    };
    let whole = number(whole)?.checked_mul(MICROS_PER_SECOND).ok_or(Bad::Field)?;
    whole.checked_add((fraction * 1e6).round_ties_even() as i64).ok_or(Bad::Field)
}

/// `08`, `0830`, `08:30`, `08:30:15` after the sign: seconds east.
fn parse_offset(text: &str, negative: bool) -> Result<i32, Bad> {
    let parts: Vec<&str> = text.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [digits] if digits.len() > 2 => {
            let (hours, minutes) = digits.split_at(digits.len() - 2);
            (number(hours)?, number(minutes)?, 0)
        }
        [hours] => (number(hours)?, 0, 0),
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
        _ => return Err(Bad::Format),
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Bad::Zone);
    }
    let offset = (hours * 3600 + minutes * 60 + seconds) as i32;
    Ok(if negative { -offset } else { offset })
}

fn finish(fields: Fields, needs_date: bool) -> Result<Value, Bad> {
    let mut micros = fields.time.unwrap_or(0);
    match fields.meridian {
        Some(_) if fields.time.is_none() || micros >= 13 * MICROS_PER_HOUR => return Err(Bad::Field),
        Some(Meridian::Am) if micros >= 12 * MICROS_PER_HOUR => micros -= 12 * MICROS_PER_HOUR,
        Some(Meridian::Pm) if micros < 12 * MICROS_PER_HOUR => micros += 12 * MICROS_PER_HOUR,
        _ => {}
    }
    let date = civil_days(&fields)?;
    let days = match date {
        Some(days) => days,
        None if needs_date => return Err(Bad::Format),
        None if fields.time.is_none() => return Err(Bad::Format),
        None => 0,
    };
    let offset = match (&fields.offset, &fields.zone) {
        (Some(offset), None) => Some(*offset),
        // What a region's clocks show depends on the day.
        (_, Some(_)) if date.is_none() => return Err(Bad::Format),
        (_, Some(name)) => {
            let zone = TimeZone::named(name).ok_or(Bad::Format)?;
            let wall = days.saturating_mul(86_400) + micros / MICROS_PER_SECOND;
            Some(zone.offset_of_local(wall))
        }
        (None, None) => None,
    };
    Ok(Value::Point(Parsed { days, micros, offset, dated: date.is_some() }))
}

fn civil_days(fields: &Fields) -> Result<Option<i64>, Bad> {
    if fields.julian.is_some() {
        return Ok(fields.julian);
    }
    let Some(mut year) = fields.year else {
        return if fields.month.is_some() || fields.day.is_some() { Err(Bad::Format) } else { Ok(None) };
    };
    if fields.bc {
        if year <= 0 {
            return Err(Bad::Field);
        }
        year = 1 - year;
    } else if fields.short_year {
        year += if year < 70 { 2000 } else { 1900 };
    } else if year <= 0 {
        return Err(Bad::Field);
    }
    if year > 5_874_898 {
        return Err(Bad::Field);
    }
    if let Some(day) = fields.day_of_year {
        let last = 365 + i64::from(calendar::is_leap(year as i32));
        return if (1..=last).contains(&day) {
            Ok(Some(days_from_civil(year, 1, day)))
        } else {
            Err(Bad::Field)
        };
    }
    let (Some(month), Some(day)) = (fields.month, fields.day) else { return Err(Bad::Format) };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(Bad::MonthDay);
    }
    match day <= i64::from(days_in_month(year as i32, month as i32)) {
        true => Ok(Some(days_from_civil(year, month, day))),
        false => Err(Bad::Field),
    }
}
