//! Functions and operators of time with time zone.
//!
//! A value is what a clock shows and that clock's distance from Greenwich; zones with rules become a distance when they are
//! read, by the day at hand (timetz.c leaves the same choice to the session).

use super::arguments::{Date, Time, Timestamp, scalar};
use super::datetime::{
    Unit, date_to_timestamp, not_recognized, not_supported, overlaps, scaled, seconds_field, unit,
    utc_to_local, valid, whole, wrap_time, zone_named, zone_of_interval,
};
use super::{EvalContext, Registry};
use crate::error::Result;
use crate::types::calendar::{is_infinite, split};
use crate::types::interval::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, round_micros};
use crate::types::{Interval, Numeric, TimeTz, TimeZone};

fn add(time: TimeTz, micros: i128) -> TimeTz {
    TimeTz { micros: wrap_time(i128::from(time.micros) + micros).0, ..time }
}

/// The same instant on another clock.
fn at_zone(time: TimeTz, zone: &TimeZone, context: &EvalContext<'_>) -> TimeTz {
    let offset = zone.offset_seconds_at(context.transaction_time.div_euclid(MICROS_PER_SECOND));
    let shift = i128::from(offset - time.offset) * i128::from(MICROS_PER_SECOND);
    TimeTz { offset, ..add(time, shift) }
}

/// A time of the session's zone, today.
fn of_time(time: i64, context: &EvalContext<'_>) -> Result<TimeTz> {
    let zone = &context.render.time_zone;
    let today = split(utc_to_local(context.transaction_time, zone)?).0;
    let offset = zone.offset_of_local(today * 86_400 + time / MICROS_PER_SECOND);
    Ok(TimeTz { micros: time, offset })
}

fn of_timestamptz(timestamp: i64, context: &EvalContext<'_>) -> Result<Option<TimeTz>> {
    if is_infinite(timestamp) {
        return Ok(None);
    }
    let zone = &context.render.time_zone;
    let offset = zone.offset_seconds_at(timestamp.div_euclid(MICROS_PER_SECOND));
    Ok(Some(TimeTz { micros: split(utc_to_local(timestamp, zone)?).1, offset }))
}

fn instant(date: i32, time: TimeTz) -> Result<Timestamp> {
    let day = date_to_timestamp(date)?;
    match is_infinite(day) {
        true => Ok(Timestamp(day)),
        false => valid(i128::from(day) + i128::from(time.rank().0)).map(Timestamp),
    }
}

fn extract(name: &str, time: TimeTz) -> Result<Numeric> {
    let type_name = "time with time zone";
    let field = unit(name).ok_or_else(|| not_recognized(name, type_name))?;
    if let Some(seconds) = seconds_field(field, time.micros % MICROS_PER_MINUTE) {
        return Ok(seconds);
    }
    let offset = i64::from(time.offset);
    match field {
        Unit::Minute => Ok(whole(time.micros / MICROS_PER_MINUTE % 60)),
        Unit::Hour => Ok(whole(time.micros / MICROS_PER_HOUR)),
        Unit::Epoch => Ok(scaled(i128::from(time.rank().0), 6)),
        Unit::Zone => Ok(whole(offset)),
        Unit::ZoneHour => Ok(whole(offset / 3600)),
        Unit::ZoneMinute => Ok(whole(offset % 3600 / 60)),
        _ => Err(not_supported(name, type_name)),
    }
}

pub fn register(r: &mut Registry) {
    scalar!(r, "timetz_eq", |a: TimeTz, b: TimeTz| a == b);
    scalar!(r, "timetz_ne", |a: TimeTz, b: TimeTz| a != b);
    scalar!(r, "timetz_lt", |a: TimeTz, b: TimeTz| a.rank() < b.rank());
    scalar!(r, "timetz_le", |a: TimeTz, b: TimeTz| a.rank() <= b.rank());
    scalar!(r, "timetz_gt", |a: TimeTz, b: TimeTz| a.rank() > b.rank());
    scalar!(r, "timetz_ge", |a: TimeTz, b: TimeTz| a.rank() >= b.rank());
    scalar!(r, "timetz_cmp", |a: TimeTz, b: TimeTz| a.rank().cmp(&b.rank()) as i32);
    scalar!(r, "timetz_larger", |a: TimeTz, b: TimeTz| if a.rank() > b.rank() { a } else { b });
    scalar!(r, "timetz_smaller", |a: TimeTz, b: TimeTz| if a.rank() < b.rank() { a } else { b });
    scalar!(r, "timetz_pl_interval", |a: TimeTz, b: Interval| add(a, i128::from(b.micros)));
    scalar!(r, "timetz_mi_interval", |a: TimeTz, b: Interval| add(a, -i128::from(b.micros)));
    scalar!(r, "sql:interval_pl_timetz/2", |b: Interval, a: TimeTz| add(a, i128::from(b.micros)));
    scalar!(r, "timetz_time", |a: TimeTz| Time(a.micros));
    scalar!(r, "time_timetz", |context; a: Time| of_time(a.0, context));
    scalar!(r, "timestamptz_timetz", |context; a: Timestamp| of_timestamptz(a.0, context));
    scalar!(r, "timetz_scale", |a: TimeTz, precision: i32| TimeTz {
        micros: round_micros(a.micros, precision),
        ..a
    });
    scalar!(r, "timetz_zone", |context; zone: &str, a: TimeTz| {
        zone_named(zone).map(|zone| at_zone(a, &zone, context))
    });
    scalar!(r, "timetz_izone", |context; zone: Interval, a: TimeTz| {
        zone_of_interval(zone).map(|zone| at_zone(a, &zone, context))
    });
    scalar!(r, "datetimetz_timestamptz", |date: Date, time: TimeTz| instant(date.0, time));
    scalar!(r, "sql:timetzdate_pl/2", |time: TimeTz, date: Date| instant(date.0, time));
    scalar!(r, "extract_timetz", |unit: &str, a: TimeTz| extract(unit, a));
    scalar!(r, "timetz_part", |unit: &str, a: TimeTz| extract(unit, a).map(|value| value.to_f64()));
    r.scalar("overlaps_timetz", overlaps);
}
