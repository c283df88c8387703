//! Time zones by name, by POSIX specification and by offset, and the two questions asked of them. Only the zones'
//! transitions come from jiff; calendar arithmetic is PostgreSQL's own.

use super::TimeZone;

/// Abbreviations of PostgreSQL's default set ("Default" in timezonesets) that people write: (name, seconds east, summer time).
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("acdt", 37800),
    ("acst", 34200),
    ("adt", -10800),
    ("aedt", 39600),
    ("aest", 36000),
    ("akdt", -28800),
    ("akst", -32400),
    ("art", -10800),
    ("ast", -14400),
    ("awst", 28800),
    ("bst", 3600),
    ("brt", -10800),
    ("cdt", -18000),
    ("cest", 7200),
    ("cet", 3600),
    ("cst", -21600),
    ("eat", 10800),
    ("edt", -14400),
    ("eest", 10800),
    ("eet", 7200),
    ("est", -18000),
    ("gmt", 0),
    ("hkt", 28800),
    ("hst", -36000),
    ("idt", 10800),
    ("ist", 7200),
    ("jst", 32400),
    ("kst", 32400),
    ("mdt", -21600),
    ("mest", 7200),
    ("met", 3600),
    ("msd", 14400),
    ("msk", 10800),
    ("mst", -25200),
    ("ndt", -9000),
    ("nst", -12600),
    ("nzdt", 46800),
    ("nzst", 43200),
    ("pdt", -25200),
    ("pkt", 18000),
    ("pst", -28800),
    ("sast", 7200),
    ("sgt", 28800),
    ("ut", 0),
    ("utc", 0),
    ("wast", 7200),
    ("wat", 3600),
    ("west", 3600),
    ("wet", 0),
    ("z", 0),
    ("zulu", 0),
];

const EPOCH_2000: i64 = 946_684_800;

impl TimeZone {
    pub fn utc() -> TimeZone {
        TimeZone { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC }
    }

    /// A fixed offset (seconds east of Greenwich), named as PostgreSQL names `SET TIME ZONE 2`: `<+02>-02`.
    pub fn fixed(seconds_east: i32) -> Option<TimeZone> {
        let (sign, inverse) = if seconds_east < 0 { ('-', '+') } else { ('+', '-') };
        let (hours, minutes) = (seconds_east.abs() / 3600, seconds_east.abs() / 60 % 60);
        let text = match minutes {
            0 => format!("{hours:02}"),
            _ => format!("{hours:02}:{minutes:02}"),
        };
        let name = format!("<{sign}{text}>{inverse}{text}");
        Some(TimeZone { name, zone: fixed_zone(seconds_east)? })
    }

    /// A zone as `SET TimeZone` takes it: a name of the IANA database, an abbreviation, hours east as a number
    /// (`-8`, `5.5`), or a POSIX specification (`EST5EDT`).
    pub fn named(name: &str) -> Option<TimeZone> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("utc") || name.eq_ignore_ascii_case("gmt") {
            return Some(TimeZone { name: name.to_ascii_uppercase(), zone: jiff::tz::TimeZone::UTC });
        }
        if let Ok(hours) = name.parse::<f64>() {
            return (hours.abs() <= 168.0).then(|| TimeZone::fixed((hours * 3600.0).round() as i32))?;
        }
        // A POSIX offset without a name counts westwards, and is called what was written.
        if name.contains(':') && name.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-')) {
            let west = offset(name).filter(|west| west % 60 == 0 && west.abs() < 168 * 3600)?;
            return Some(TimeZone { name: name.to_string(), zone: fixed_zone(-west)? });
        }
        // A file name from outside must not wander through the file system.
        if name.is_empty() || name.len() > 255 || name.contains("..") || name.starts_with('/') {
            return None;
        }
        if let Ok(zone) = jiff::tz::TimeZone::get(name) {
            let name = zone.iana_name().unwrap_or(name).to_string();
            return Some(TimeZone { name, zone });
        }
        if let Some(offset) = abbreviation_offset(name) {
            return Some(TimeZone { name: name.to_ascii_uppercase(), zone: fixed_zone(offset)? });
        }
        let zone = jiff::tz::TimeZone::posix(name).ok()?;
        Some(TimeZone { name: name.to_string(), zone })
    }

    /// Seconds east of Greenwich, and the abbreviation, at an instant (seconds since 2000-01-01 UTC).
    pub(crate) fn offset_at(&self, seconds: i64) -> (i32, String) {
        let info = self.zone.to_offset_info(instant(seconds));
        (info.offset().seconds(), info.abbreviation().to_string())
    }

    pub(crate) fn offset_seconds_at(&self, seconds: i64) -> i32 {
        self.zone.to_offset(instant(seconds)).seconds()
    }

    /// Seconds east of Greenwich for a local time (seconds since 2000-01-01 on the wall clock). PostgreSQL's choice
    /// (DetermineTimeZoneOffset): in a gap the standard time's offset, in an overlap the standard time too.
    pub(crate) fn offset_of_local(&self, local: i64) -> i32 {
        // Any transition near this local time lies within a day of it on either side.
        let before = self.offset_seconds_at(local - 86_400);
        let after = self.offset_seconds_at(local + 86_400);
        if before == after {
            return before;
        }
        let by_before = self.offset_seconds_at(local - i64::from(before)) == before;
        let by_after = self.offset_seconds_at(local - i64::from(after)) == after;
        match (by_before, by_after) {
            (true, false) => before,
            (false, true) => after,
            // Ambiguous or nonexistent: the standard (smaller) offset.
            _ => before.min(after),
        }
    }
}

fn fixed_zone(seconds_east: i32) -> Option<jiff::tz::TimeZone> {
    Some(jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds_east).ok()?))
}

/// `-08:00`, `+5`, `05:30:00` as seconds.
pub(crate) fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut seconds = 0i32;
    let mut factor = 3600;
    for part in digits.split(':') {
        if factor == 0 {
            return None;
        }
        seconds = seconds.checked_add(part.parse::<u16>().ok()? as i32 * factor)?;
        factor /= 60;
    }
    Some(sign * seconds)
}

fn instant(seconds: i64) -> jiff::Timestamp {
    // Beyond jiff's years the last rule is as good as any.
    let bounded = (seconds.saturating_add(EPOCH_2000))
        .clamp(jiff::Timestamp::MIN.as_second() + 86_400, jiff::Timestamp::MAX.as_second() - 86_400);
    jiff::Timestamp::from_second(bounded).expect("clamped to the valid range")
}

/// Seconds east for an abbreviation such as PST.
pub(crate) fn abbreviation_offset(name: &str) -> Option<i32> {
    let folded = name.to_ascii_lowercase();
    ABBREVIATIONS.iter().find(|known| known.0 == folded).map(|known| known.1)
}
