//! Enums: comparison and their labels. A value is its label's position, so comparing values is comparing numbers.

use super::arguments::scalar;
use super::{CallTypes, EvalContext, Registry};
use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Type, compare};
use std::cmp::Ordering;

/// The enum an argument or result is of.
fn enum_of(data_type: Type) -> Result<Type> {
    Some(data_type)
        .filter(|data_type| data_type.is_enum())
        .ok_or_else(|| Error::new(SqlState::FEATURE_NOT_SUPPORTED, "could not determine actual enum type"))
}

fn end(types: &CallTypes<'_>, last: bool) -> Result<Datum> {
    let data_type = enum_of(types.result)?;
    let labels = data_type.labels();
    let found = if last { labels.last() } else { labels.first() };
    found.map(|(_, position)| Datum::Int8(*position)).ok_or_else(|| {
        let message = format!("enum {} contains no values", data_type.display());
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
    })
}

/// enum_range: all labels, or those between two (a null leaves a side open).
fn range(arguments: &[Datum], types: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let element = types.result.element().ok_or_else(|| Error::internal("enum_range gives an array"))?;
    let element = enum_of(element)?;
    let bound = |index: usize| match arguments {
        [_] | [] => None,
        bounds => bounds.get(index).and_then(Datum::as_i64),
    };
    let (low, high) = (bound(0), bound(1));
    let within =
        |position: i64| low.is_none_or(|low| position >= low) && high.is_none_or(|high| position <= high);
    let elements: Vec<Datum> = element
        .labels()
        .into_iter()
        .filter(|(_, position)| within(*position))
        .map(|(_, position)| Datum::Int8(position))
        .collect();
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
    Ok(Datum::array(ArrayValue { element, dimensions, elements }))
}

pub fn register(r: &mut Registry) {
    scalar!(r, "enum_eq", |a: &Datum, b: &Datum| compare(a, b).is_eq());
    scalar!(r, "enum_ne", |a: &Datum, b: &Datum| compare(a, b).is_ne());
    scalar!(r, "enum_lt", |a: &Datum, b: &Datum| compare(a, b).is_lt());
    scalar!(r, "enum_le", |a: &Datum, b: &Datum| compare(a, b).is_le());
    scalar!(r, "enum_gt", |a: &Datum, b: &Datum| compare(a, b).is_gt());
    scalar!(r, "enum_ge", |a: &Datum, b: &Datum| compare(a, b).is_ge());
    scalar!(r, "enum_cmp", |a: &Datum, b: &Datum| compare(a, b) as i32);
    scalar!(r, "enum_smaller", |a: &Datum, b: &Datum| match compare(a, b) {
        Ordering::Greater => b.clone(),
        _ => a.clone(),
    });
    scalar!(r, "enum_larger", |a: &Datum, b: &Datum| match compare(a, b) {
        Ordering::Less => b.clone(),
        _ => a.clone(),
    });
    r.typed("enum_first", |_, types, _| end(types, false));
    r.typed("enum_last", |_, types, _| end(types, true));
    r.typed("enum_range_bounds", range);
    r.typed("enum_range_all", range);
}
