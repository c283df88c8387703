//! to_date and to_timestamp.
//!
//! The input is walked along the picture. Outside of FX mode blanks around fields don't count, a separator of the picture
//! takes a separator of the input if there is one, and other text of the picture skips as many characters, whatever they are.

use super::super::arguments::{Date, Timestamp, scalar};
use super::super::datetime::{date_out_of_range, local_to_utc, timestamp_out_of_range};
use super::super::{EvalContext, Registry};
use super::picture::{Field, Node, Pattern, digits_end, format_error, parse};
use super::{DAYS, MONTHS, ROMAN_MONTHS};
use crate::error::{Error, Result, SqlState};
use crate::types::TimeZone;
use crate::types::calendar::{self, EPOCH_JULIAN};
use crate::types::interval::{MICROS_PER_DAY, round_micros};

/// What the fields said; 0: nothing.
#[derive(Default)]
struct Found {
    iso: Option<bool>,
    hour: i32,
    pm: i32,
    minute: i32,
    second: i32,
    seconds_of_day: i32,
    day_of_week: i32,
    day: i32,
    day_of_year: i32,
    month: i32,
    millis: i32,
    year: i32,
    bc: i32,
    week: i32,
    week_of_month: i32,
    century: i32,
    julian: i32,
    micros: i32,
    year_digits: usize,
    twelve_hours: bool,
    zone_sign: i32,
    zone_hours: i32,
    zone_minutes: i32,
    /// Digits that FF1 to FF6 keep.
    precision: Option<i32>,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    exact: bool,
    nodes: &'a [Node],
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }
    fn skip(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }
    fn skip_spaces(&mut self) -> i32 {
        let mut count = 0;
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.skip();
            count += 1;
        }
        count
    }

    /// A field's digits, at most `width` of them unless the field's end shows by itself; how many characters were read.
    fn integer(&mut self, node: usize, pattern: &Pattern, width: usize) -> Result<(i32, usize)> {
        self.skip_spaces();
        let rest = self.rest();
        let invalid =
            |shown: &str| format_error(format!("invalid value \"{shown}\" for \"{}\"", pattern.keyword));
        let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let number = |text: &str| {
            let sign = usize::from(text.starts_with(['-', '+']));
            let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
            if digits == 0 { 0 } else { sign + digits }
        };
        let (taken, shown) = if pattern.fill || digits_end(self.nodes, node) {
            let taken = number(rest);
            let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
            (taken, &rest[..end.max(taken)])
        } else {
            let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
            let field = &rest[..end];
            let length = field.chars().count();
            if length < width {
                let message = format!("source string too short for \"{}\" formatting field", pattern.keyword);
                return Err(format_error(message)
                    .detail(format!("Field requires {width} characters, but only {length} remain."))
                    .hint(hint));
            }
            let taken = number(field);
            if taken > 0 && taken < width {
                return Err(invalid(field)
                    .detail(format!("Field requires {width} characters, but only {taken} could be parsed."))
                    .hint(hint));
            }
            (taken, field)
        };
        if taken == 0 {
            return Err(invalid(shown).detail("Value must be an integer."));
        }
        let value = rest[..taken].parse::<i32>().map_err(|_| {
            let message = format!("value for \"{}\" in source string is out of range", pattern.keyword);
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message).detail(format!(
                "Value must be in the range {} to {}.",
                i32::MIN,
                i32::MAX
            ))
        })?;
        self.at += taken;
        Ok((value, taken))
    }

    /// The index of the name that the input goes on with, whatever its case.
    fn name<'n>(&mut self, pattern: &Pattern, names: impl Iterator<Item = &'n str>) -> Result<usize> {
        let rest = self.rest();
        let mut best: Option<(usize, usize)> = None;
        for (index, name) in names.enumerate() {
            let fits = rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
            if fits && best.is_none_or(|(_, length)| name.len() > length) {
                best = Some((index, name.len()));
            }
        }
        let Some((index, length)) = best else {
            let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
            let message = format!("invalid value \"{}\" for \"{}\"", &rest[..end], pattern.keyword);
            return Err(format_error(message)
                .detail("The given value did not match any of the allowed values for this field."));
        };
        self.at += length;
        Ok(index)
    }
}

/// A field can be given twice only if it says the same.
fn set(slot: &mut i32, value: i32, pattern: &Pattern) -> Result<()> {
    if *slot != 0 && *slot != value {
        let message = format!("conflicting values for \"{}\" field in formatting string", pattern.keyword);
        return Err(format_error(message)
            .detail("This value contradicts a previous setting for the same field type."));
    }
    *slot = value;
    Ok(())
}

/// Two digits of a year are near 2020.
fn complete_year(year: i32) -> i32 {
    match year {
        ..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ => year,
    }
}

fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

fn scan(text: &str, nodes: &[Node]) -> Result<Found> {
    let mut s = Scanner { text, at: 0, exact: false, nodes };
    let mut found = Found::default();
    let mut skipped = 0;
    for (at, node) in nodes.iter().enumerate() {
        if s.rest().is_empty() {
            break;
        }
        if !s.exact && (at == 0 || matches!(node, Node::Pattern(_))) {
            skipped += s.skip_spaces();
        }
        let pattern = match node {
            Node::Space(_) | Node::Separator(_) => {
                if s.exact {
                    s.skip();
                } else {
                    skipped -= 1;
                    if s.peek().is_some_and(|c| c.is_ascii_whitespace() || is_separator(c)) {
                        s.skip();
                        skipped += 1;
                    }
                }
                continue;
            }
            Node::Text(_) => {
                match !s.exact && skipped > 0 {
                    true => skipped -= 1,
                    false => s.skip(),
                }
                continue;
            }
            Node::Pattern(pattern) => pattern,
        };
        if pattern.is_iso() || pattern.is_gregorian() {
            if found.iso.is_some_and(|iso| iso != pattern.is_iso()) {
                return Err(format_error("invalid combination of date conventions")
                    .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
            }
            found.iso = Some(pattern.is_iso());
        }
        field(&mut s, at, pattern, &mut found, skipped)?;
        if pattern.ordinal.is_some() && pattern.field != Field::Exact {
            s.skip();
            s.skip();
        }
        if !s.exact {
            skipped = s.skip_spaces();
        }
    }
    Ok(found)
}

fn field(s: &mut Scanner<'_>, at: usize, pattern: &Pattern, found: &mut Found, skipped: i32) -> Result<()> {
    let width = pattern.keyword.len();
    let mut number = |slot: &mut i32, width: usize| -> Result<usize> {
        let (value, length) = s.integer(at, pattern, width)?;
        set(slot, value, pattern)?;
        Ok(length)
    };
    match pattern.field {
        Field::Exact => s.exact = true,
        Field::MeridiemDotted | Field::Meridiem => {
            let names: &[&str] = match pattern.field {
                Field::Meridiem => &["AM", "PM"],
                _ => &["A.M.", "P.M."],
            };
            let value = s.name(pattern, names.iter().copied())?;
            set(&mut found.pm, value as i32, pattern)?;
            found.twelve_hours = true;
        }
        Field::EraDotted | Field::Era => {
            let names: &[&str] = match pattern.field {
                Field::Era => &["AD", "BC"],
                _ => &["A.D.", "B.C."],
            };
            let value = s.name(pattern, names.iter().copied())?;
            set(&mut found.bc, value as i32, pattern)?;
        }
        Field::Hour12 => {
            number(&mut found.hour, 2)?;
            found.twelve_hours = true;
        }
        Field::Hour24 => {
            number(&mut found.hour, 2)?;
        }
        Field::Minute => {
            number(&mut found.minute, width)?;
        }
        Field::Second => {
            number(&mut found.second, width)?;
        }
        Field::Milliseconds => {
            let length = number(&mut found.millis, 3)?;
            found.millis *= [0, 100, 10].get(length).copied().unwrap_or(1);
        }
        Field::Microseconds | Field::Fraction(_) => {
            let digits = if let Field::Fraction(digits) = pattern.field { digits } else { 6 };
            if let Field::Fraction(digits) = pattern.field {
                found.precision = Some(digits as i32);
            }
            let length = number(&mut found.micros, digits)?;
            found.micros *= [0, 100_000, 10_000, 1000, 100, 10].get(length).copied().unwrap_or(1);
        }
        Field::SecondsOfDay => {
            number(&mut found.seconds_of_day, width)?;
        }
        Field::Zone | Field::Offset => {
            let message = format!("formatting field \"{}\" is only supported in to_char", pattern.keyword);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        Field::ZoneHours => {
            found.zone_sign = match s.peek() {
                Some(c @ ('+' | '-' | ' ')) => {
                    s.skip();
                    if c == '-' { -1 } else { 1 }
                }
                // The minus may have been taken for a separator.
                _ if skipped > 0 && s.text[..s.at].ends_with('-') => -1,
                _ => 1,
            };
            let (value, _) = s.integer(at, pattern, 2)?;
            set(&mut found.zone_hours, value, pattern)?;
        }
        Field::ZoneMinutes => {
            if found.zone_sign == 0 {
                found.zone_sign = 1;
            }
            number(&mut found.zone_minutes, 2)?;
        }
        Field::Month => {
            let month = s.name(pattern, MONTHS.into_iter())?;
            set(&mut found.month, month as i32 + 1, pattern)?;
        }
        Field::MonthShort => {
            let month = s.name(pattern, MONTHS.iter().map(|name| &name[..3]))?;
            set(&mut found.month, month as i32 + 1, pattern)?;
        }
        Field::RomanMonth => {
            let month = s.name(pattern, ROMAN_MONTHS.into_iter())?;
            set(&mut found.month, month as i32 + 1, pattern)?;
        }
        Field::MonthNumber => {
            number(&mut found.month, width)?;
        }
        Field::Day => {
            let day = s.name(pattern, DAYS.into_iter())?;
            set(&mut found.day_of_week, day as i32 + 1, pattern)?;
        }
        Field::DayShort => {
            let day = s.name(pattern, DAYS.iter().map(|name| &name[..3]))?;
            set(&mut found.day_of_week, day as i32 + 1, pattern)?;
        }
        Field::DayOfYear => {
            number(&mut found.day_of_year, width)?;
        }
        Field::IsoDayOfYear => {
            number(&mut found.day_of_year, 3)?;
        }
        Field::DayOfMonth => {
            number(&mut found.day, width)?;
        }
        Field::DayOfWeek => {
            number(&mut found.day_of_week, width)?;
        }
        Field::IsoDayOfWeek => {
            number(&mut found.day_of_week, 1)?;
            // Sunday is 1 inside.
            found.day_of_week = if found.day_of_week >= 7 { 1 } else { found.day_of_week + 1 };
        }
        Field::WeekOfYear | Field::IsoWeek => {
            number(&mut found.week, width)?;
        }
        Field::WeekOfMonth => {
            number(&mut found.week_of_month, width)?;
        }
        // Which date of the quarter would be meant is not clear: it is read and forgotten.
        Field::Quarter => {
            number(&mut 0, width)?;
        }
        Field::Century => {
            number(&mut found.century, width)?;
        }
        Field::Julian => {
            number(&mut found.julian, width)?;
        }
        Field::YearComma => {
            let rest = s.rest();
            let (thousands, after) = rest.split_once(',').unwrap_or((rest, ""));
            let digits = after.bytes().take(3).take_while(u8::is_ascii_digit).count();
            let year = match (thousands.trim().parse::<i32>(), after[..digits].parse::<i32>()) {
                (Ok(thousands), Ok(years)) => thousands.checked_mul(1000).and_then(|t| t.checked_add(years)),
                _ => None,
            };
            let year = year.ok_or_else(|| format_error("invalid input string for \"Y,YYY\""))?;
            set(&mut found.year, year, pattern)?;
            found.year_digits = 4;
            s.at += thousands.len() + 1 + digits;
        }
        Field::Year(4) | Field::IsoYear(4) => {
            number(&mut found.year, width)?;
            found.year_digits = 4;
        }
        Field::Year(digits) | Field::IsoYear(digits) => {
            let (value, length) = s.integer(at, pattern, width)?;
            let value = if length < 4 { complete_year(value) } else { value };
            set(&mut found.year, value, pattern)?;
            found.year_digits = digits;
        }
    }
    Ok(())
}

/// A time of day and a date (days since 2000), and a zone if one was given (seconds east).
fn assemble(found: &Found, text: &str) -> Result<(i64, i64, Option<i32>)> {
    let overflow = || {
        let message = format!("date/time field value out of range: \"{text}\"");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    let of_day = found.seconds_of_day;
    let (mut hour, mut minute, mut second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let given = |slot: &mut i32, value: i32| {
        if value != 0 {
            *slot = value;
        }
    };
    given(&mut second, found.second);
    given(&mut minute, found.minute);
    given(&mut hour, found.hour);
    if found.twelve_hours {
        if !(1..=12).contains(&hour) {
            return Err(format_error(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
        }
        hour = hour % 12 + if found.pm != 0 { 12 } else { 0 };
    }
    let (mut year, mut month, mut day) = (0i32, 1i32, 1i32);
    let century = if found.bc != 0 { -found.century } else { found.century };
    if found.year != 0 {
        if found.century != 0 && found.year_digits <= 2 {
            let low = found.year % 100;
            year = match (low, century >= 0) {
                (0, true) => century * 100,
                (0, false) => century * 100 + 1,
                (low, true) => low + (century - 1) * 100,
                (low, false) => (century + 1) * 100 - low + 1,
            };
        } else {
            year = if found.bc != 0 { -found.year } else { found.year };
            if year < 0 {
                year += 1;
            }
        }
    } else if found.century != 0 {
        year = if century >= 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 };
    }
    if found.year.abs() > 10_000_000 || found.century.abs() > 100_000 || found.julian < 0 {
        return Err(overflow());
    }
    let mut day_of_year = found.day_of_year;
    let put = |days: i64, year: &mut i32, month: &mut i32, day: &mut i32| {
        let civil = calendar::civil_from_days(days);
        (*year, *month, *day) = (civil.year, civil.month, civil.day);
    };
    if found.julian != 0 {
        put(i64::from(found.julian) - i64::from(EPOCH_JULIAN), &mut year, &mut month, &mut day);
    }
    let iso = found.iso == Some(true);
    if found.week != 0 {
        if iso {
            let monday = calendar::iso_week_start(year.into(), found.week.into());
            // Sunday is 1 but ends the week.
            let offset = match found.day_of_week {
                0 => 0,
                1 => 6,
                day => i64::from(day) - 2,
            };
            put(monday + offset, &mut year, &mut month, &mut day);
        } else {
            day_of_year =
                (found.week - 1).checked_mul(7).and_then(|d| d.checked_add(1)).ok_or_else(overflow)?;
        }
    }
    let mut day_given = found.day;
    if found.week_of_month != 0 {
        day_given =
            (found.week_of_month - 1).checked_mul(7).and_then(|d| d.checked_add(1)).ok_or_else(overflow)?;
    }
    given(&mut day, day_given);
    given(&mut month, found.month);
    if day_of_year != 0 && (month <= 1 || day <= 1) {
        if year == 0 && found.bc == 0 {
            return Err(format_error("cannot calculate day of year without year information"));
        }
        if iso {
            let first = calendar::iso_week_start(year.into(), 1);
            put(first + i64::from(day_of_year) - 1, &mut year, &mut month, &mut day);
        } else {
            if !(1..=if calendar::is_leap(year) { 366 } else { 365 }).contains(&day_of_year) {
                return Err(overflow());
            }
            let days = calendar::days_from_civil(year.into(), 1, 1) + i64::from(day_of_year) - 1;
            let civil = calendar::civil_from_days(days);
            if month <= 1 {
                month = civil.month;
            }
            if day <= 1 {
                day = civil.day;
            }
        }
    }
    if !(1..=12).contains(&month) || !(1..=calendar::days_in_month(year, month)).contains(&day) {
        return Err(overflow());
    }
    let micros = i64::from(found.millis) * 1000 + i64::from(found.micros);
    if !(0..24).contains(&hour)
        || !(0..60).contains(&minute)
        || !(0..60).contains(&second)
        || !(0..1_000_000).contains(&micros)
    {
        return Err(overflow());
    }
    let mut zone = None;
    if found.zone_sign != 0 {
        if !(0..=15).contains(&found.zone_hours) || !(0..60).contains(&found.zone_minutes) {
            let message = format!("time zone displacement out of range: \"{text}\"");
            return Err(Error::new(SqlState(*b"22009"), message));
        }
        zone = Some(found.zone_sign * (found.zone_hours * 3600 + found.zone_minutes * 60));
    }
    let mut time = i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + micros;
    if let Some(precision) = found.precision {
        time = round_micros(time, precision);
    }
    Ok((calendar::days_from_civil(year.into(), month.into(), day.into()), time, zone))
}

fn read(text: &str, picture: &str) -> Result<(i64, i64, Option<i32>)> {
    let nodes = parse(picture)?;
    assemble(&scan(text, &nodes)?, text)
}

fn to_timestamp(text: &str, picture: &str, context: &EvalContext<'_>) -> Result<i64> {
    let (days, time, zone) = read(text, picture)?;
    let local = days
        .checked_mul(MICROS_PER_DAY)
        .and_then(|day| day.checked_add(time))
        .filter(|local| calendar::is_valid_timestamp(*local))
        .ok_or_else(timestamp_out_of_range)?;
    match zone.map(TimeZone::fixed) {
        Some(Some(zone)) => local_to_utc(local, &zone),
        Some(None) => Err(timestamp_out_of_range()),
        None => local_to_utc(local, &context.render.time_zone),
    }
}

fn to_date(text: &str, picture: &str) -> Result<i32> {
    let (days, ..) = read(text, picture)?;
    i32::try_from(days)
        .ok()
        .filter(|days| (calendar::DATE_MIN..=calendar::DATE_MAX).contains(days))
        .ok_or_else(date_out_of_range)
}

pub fn register(r: &mut Registry) {
    scalar!(r, "to_timestamp", |context; text: &str, picture: &str| {
        to_timestamp(text, picture, context).map(Timestamp)
    });
    scalar!(r, "to_date", |text: &str, picture: &str| to_date(text, picture).map(Date));
}
