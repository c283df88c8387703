//! Functions that return sets: generate_series, unnest, generate_subscripts, the splitting functions.

use super::arguments::Argument;
use super::datetime::{add_interval_to_timestamp, add_interval_to_timestamptz};
use super::{EvalContext, Registry, SetIterator};
use crate::error::{Error, Result, SqlState};
use crate::types::{Datum, Interval, Numeric, RenderSettings};

fn zero_step() -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn integers(start: i64, stop: i64, step: i64, make: fn(i64) -> Datum) -> Result<SetIterator> {
    if step == 0 {
        return Err(zero_step());
    }
    let next = move |value: &i64| {
        value.checked_add(step).filter(|value| if step > 0 { *value <= stop } else { *value >= stop })
    };
    let first = Some(start).filter(|start| if step > 0 { *start <= stop } else { *start >= stop });
    Ok(Box::new(std::iter::successors(first, next).map(move |value| Ok(vec![make(value)]))))
}

fn integer_arguments(arguments: &[Datum]) -> Result<(i64, i64, i64)> {
    let get = |index: usize| {
        arguments
            .get(index)
            .and_then(Datum::as_integer)
            .ok_or_else(|| Error::internal("generate_series takes integers"))
    };
    let step = if arguments.len() > 2 { get(2)? } else { 1 };
    Ok((get(0)?, get(1)?, step))
}

fn int4_series(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let (start, stop, step) = integer_arguments(arguments)?;
    integers(start, stop, step, |value| Datum::Int4(value as i32))
}

fn int8_series(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let (start, stop, step) = integer_arguments(arguments)?;
    integers(start, stop, step, Datum::Int8)
}

fn numeric_series(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let one = Datum::numeric(Numeric::from_i64(1));
    let [start, stop] = [0, 1].map(|index| arguments.get(index).unwrap_or(&Datum::Null));
    let (start, stop) = (<&Numeric>::take(start)?.clone(), <&Numeric>::take(stop)?.clone());
    let step = <&Numeric>::take(arguments.get(2).unwrap_or(&one))?.clone();
    for (what, value) in [("start", &start), ("stop", &stop), ("step", &step)] {
        if !value.is_finite() {
            let special = if value.is_nan() { "NaN" } else { "infinity" };
            let what = if what == "step" { "step size" } else { &format!("{what} value") };
            let message = format!("{what} cannot be {special}");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    // The first value shows the larger scale of start and step, as the sums do.
    let up = step.signum() > 0;
    let within =
        move |value: &Numeric| if up { value.compare(&stop).is_le() } else { value.compare(&stop).is_ge() };
    let mut next = Some(start).filter(&within);
    Ok(Box::new(std::iter::from_fn(move || {
        let value = next.take()?;
        match value.add(&step) {
            Ok(sum) => next = Some(sum).filter(&within),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(vec![Datum::numeric(value)]))
    })))
}

fn timestamps(
    arguments: &[Datum],
    mut add: impl FnMut(i64, Interval) -> Result<i64> + Send + 'static,
) -> Result<SetIterator> {
    let [Datum::Timestamp(start), Datum::Timestamp(stop), Datum::Interval(step)] = *arguments else {
        return Err(Error::internal("generate_series takes timestamps and an interval"));
    };
    if step.span() == 0 {
        return Err(zero_step());
    }
    let up = step.span() > 0;
    let mut next = Some(start);
    Ok(Box::new(std::iter::from_fn(move || {
        let value = next.take().filter(|value| if up { *value <= stop } else { *value >= stop })?;
        match add(value, step) {
            Ok(sum) => next = Some(sum),
            Err(error) => return Some(Err(error)),
        }
        Some(Ok(vec![Datum::Timestamp(value)]))
    })))
}

fn timestamp_series(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    timestamps(arguments, add_interval_to_timestamp)
}

fn timestamptz_series(arguments: &[Datum], context: &EvalContext<'_>) -> Result<SetIterator> {
    let render: RenderSettings = context.render.clone();
    timestamps(arguments, move |timestamp, interval| {
        add_interval_to_timestamptz(timestamp, interval, &render.time_zone)
    })
}

fn subscripts(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let array = arguments.first().and_then(Datum::as_array);
    let dimension = arguments.get(1).and_then(Datum::as_i32).unwrap_or(0);
    let reverse = arguments.get(2).and_then(Datum::as_bool).unwrap_or(false);
    let found = usize::try_from(dimension - 1).ok().and_then(|index| array?.dimensions.get(index).copied());
    let Some((length, lower)) = found else { return Ok(Box::new(std::iter::empty())) };
    let (low, high) = (i64::from(lower), i64::from(lower) + i64::from(length) - 1);
    match reverse {
        true => integers(high, low, -1, |value| Datum::Int4(value as i32)),
        false => integers(low, high, 1, |value| Datum::Int4(value as i32)),
    }
}

fn unnest(arguments: &[Datum], _: &EvalContext<'_>) -> Result<SetIterator> {
    let Some(Datum::Array(array)) = arguments.first() else { return Ok(Box::new(std::iter::empty())) };
    let array = array.clone();
    Ok(Box::new((0..array.elements.len()).map(move |index| Ok(vec![array.elements[index].clone()]))))
}

pub(super) fn from_list(rows: Vec<Datum>) -> SetIterator {
    Box::new(rows.into_iter().map(|row| Ok(vec![row])))
}

pub fn register(r: &mut Registry) {
    r.set("generate_series_int4", int4_series);
    r.set("generate_series_step_int4", int4_series);
    r.set("generate_series_int8", int8_series);
    r.set("generate_series_step_int8", int8_series);
    r.set("generate_series_numeric", numeric_series);
    r.set("generate_series_step_numeric", numeric_series);
    r.set("generate_series_timestamp", timestamp_series);
    r.set("generate_series_timestamptz", timestamptz_series);
    r.set("generate_subscripts", subscripts);
    r.set("generate_subscripts_nodir", subscripts);
    r.set("array_unnest", unnest);
    // Of information_schema: the elements and their places from 1.
    r.set("_pg_expandarray", |arguments, _| {
        let elements = arguments.first().and_then(Datum::as_array).map_or(Vec::new(), |a| a.elements.clone());
        Ok(Box::new(elements.into_iter().zip(1..).map(|(element, at)| Ok(vec![element, Datum::Int4(at)]))))
    });
}
