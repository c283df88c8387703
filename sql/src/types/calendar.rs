//! The proleptic Gregorian calendar as PostgreSQL counts it: days by Julian day number, years with a year 0 (1 BC).

use super::interval::MICROS_PER_DAY;

/// Julian day of 2000-01-01, day 0 of date and timestamp.
pub const EPOCH_JULIAN: i32 = 2_451_545;
/// Days from 1970-01-01 to 2000-01-01.
pub const UNIX_TO_2000_DAYS: i64 = 10_957;
/// Seconds from 1970-01-01 to 2000-01-01.
pub const UNIX_TO_2000_SECONDS: i64 = UNIX_TO_2000_DAYS * 86_400;

pub const DATE_MIN: i32 = -EPOCH_JULIAN;
/// 5874897-12-31.
pub const DATE_MAX: i32 = 2_147_483_493 - EPOCH_JULIAN;
/// 4713-11-24 BC.
pub const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
/// 294277-01-01 is the first that is out of range.
pub const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
pub const INFINITY: i64 = i64::MAX;
pub const NEG_INFINITY: i64 = i64::MIN;

pub fn is_infinite(timestamp: i64) -> bool {
    timestamp == INFINITY || timestamp == NEG_INFINITY
}
pub fn is_infinite_date(date: i32) -> bool {
    date == DATE_INFINITY || date == DATE_NEG_INFINITY
}
pub fn is_valid_timestamp(timestamp: i64) -> bool {
    (TIMESTAMP_MIN..TIMESTAMP_END).contains(&timestamp)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// 0 is 1 BC.
    pub year: i32,
    /// From 1.
    pub month: i32,
    /// From 1.
    pub day: i32,
}

pub fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 => 28 + i32::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 2000-01-01. Any month counts, so that month arithmetic needs no care; None: out of an i32.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    // Years from March, so that the leap day is the last.
    let y = if month > 2 { year } else { year - 1 };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - UNIX_TO_2000_DAYS
}

pub fn civil_from_days(days: i64) -> Civil {
    let z = days + UNIX_TO_2000_DAYS + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as i32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as i32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year: year as i32, month, day }
}

/// The day and the microseconds into it.
pub fn split(timestamp: i64) -> (i64, i64) {
    (timestamp.div_euclid(MICROS_PER_DAY), timestamp.rem_euclid(MICROS_PER_DAY))
}

/// 0 is Sunday.
pub fn day_of_week(days: i64) -> i32 {
    (days + 6).rem_euclid(7) as i32
}

/// From 1.
pub fn day_of_year(civil: Civil) -> i32 {
    (days_from_civil(civil.year.into(), civil.month.into(), civil.day.into())
        - days_from_civil(civil.year.into(), 1, 1)) as i32
        + 1
}

/// ISO 8601 week-numbering year and week.
pub fn iso_week(days: i64) -> (i32, i32) {
    // The week belongs to the year that its Thursday is in.
    let thursday = days - (days + 5).rem_euclid(7) + 3;
    let year = civil_from_days(thursday).year;
    let first = days_from_civil(year.into(), 1, 1);
    (year, ((thursday - first) / 7) as i32 + 1)
}

/// The Monday of an ISO week.
pub fn iso_week_start(year: i64, week: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 5).rem_euclid(7) + (week - 1) * 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_dates_round_trip() {
        for days in (-2_451_545..3_000_000).step_by(97) {
            let civil = civil_from_days(days);
            assert_eq!(days_from_civil(civil.year.into(), civil.month.into(), civil.day.into()), days);
        }
        assert_eq!(civil_from_days(0), Civil { year: 2000, month: 1, day: 1 });
        assert_eq!(civil_from_days(i64::from(DATE_MIN)), Civil { year: -4713, month: 11, day: 24 });
        assert_eq!(civil_from_days(i64::from(DATE_MAX)), Civil { year: 5_874_897, month: 12, day: 31 });
        assert_eq!(day_of_week(0), 6);
        assert_eq!(iso_week(0), (1999, 52));
        assert_eq!(iso_week_start(2000, 1), 2);
    }
}
