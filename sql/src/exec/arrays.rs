//! Array subscripts and slices.

use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Type, geometry};
use std::sync::Arc;

/// `a[i]…` or, if any subscript is a slice, `a[l:u]…`. Out of bounds: null (an element) or an empty array (a slice).
pub fn subscript(value: &Datum, subscripts: &[(Option<Datum>, Option<Datum>, bool)], result: Type) -> Datum {
    if let (Datum::Bytea(bytes), [(Some(Datum::Int4(index)), _, _)]) = (value, subscripts) {
        return geometry::part(bytes, result, *index);
    }
    let Datum::Array(array) = value else { return Datum::Null };
    let given = |bound: &Option<Datum>| matches!(bound, Some(Datum::Null));
    if subscripts.iter().any(|(lower, upper, _)| given(lower) || given(upper)) {
        return Datum::Null;
    }
    match subscripts.iter().any(|(_, _, slice)| *slice) {
        true => slice(array, subscripts),
        false => element(array, subscripts),
    }
}

fn element(array: &ArrayValue, subscripts: &[(Option<Datum>, Option<Datum>, bool)]) -> Datum {
    if subscripts.len() != array.dimensions.len() {
        return Datum::Null;
    }
    let mut at = 0;
    for ((index, _, _), (length, first)) in subscripts.iter().zip(&array.dimensions) {
        let Some(Datum::Int4(index)) = index else { return Datum::Null };
        let offset = i64::from(*index) - i64::from(*first);
        if offset < 0 || offset >= i64::from(*length) {
            return Datum::Null;
        }
        at = at * *length as usize + offset as usize;
    }
    array.elements.get(at).cloned().unwrap_or_default()
}

fn slice(array: &ArrayValue, subscripts: &[(Option<Datum>, Option<Datum>, bool)]) -> Datum {
    let empty = ArrayValue { element: array.element, dimensions: Vec::new(), elements: Vec::new() };
    if subscripts.len() > array.dimensions.len() {
        return Datum::Array(Arc::new(empty));
    }
    // (first offset, length) a dimension; a plain subscript i among slices means 1:i.
    let mut windows = Vec::with_capacity(array.dimensions.len());
    for (at, (length, first)) in array.dimensions.iter().enumerate() {
        let last = first + length - 1;
        let (mut low, mut high) = (*first, last);
        if let Some((lower, upper, is_slice)) = subscripts.get(at) {
            let (lower, upper) = if *is_slice { (lower, upper) } else { (&Some(Datum::Int4(1)), lower) };
            if let Some(Datum::Int4(bound)) = lower {
                low = low.max(*bound);
            }
            if let Some(Datum::Int4(bound)) = upper {
                high = high.min(*bound);
            }
        }
        if low > high {
            return Datum::Array(Arc::new(empty));
        }
        windows.push(((low - first) as usize, (high - low + 1) as usize));
    }
    let mut elements = Vec::with_capacity(windows.iter().map(|(_, length)| length).product());
    collect(array, &windows, 0, 0, &mut elements);
    let dimensions = windows.iter().map(|(_, length)| (*length as i32, 1)).collect();
    Datum::Array(Arc::new(ArrayValue { element: array.element, dimensions, elements }))
}

fn collect(
    array: &ArrayValue,
    windows: &[(usize, usize)],
    dimension: usize,
    base: usize,
    out: &mut Vec<Datum>,
) {
    let (first, length) = windows[dimension];
    for offset in first..first + length {
        let at = base * array.dimensions[dimension].0 as usize + offset;
        match dimension + 1 == windows.len() {
            true => out.push(array.elements.get(at).cloned().unwrap_or_default()),
            false => collect(array, windows, dimension + 1, at, out),
        }
    }
}

/// `p[i] := v` of a type of fixed size; where either is null, nothing changes.
pub(crate) fn assign_part(
    whole: &Datum,
    part: Type,
    bounds: &[(Option<i32>, Option<i32>, bool)],
    value: &Datum,
) -> Result<Datum> {
    match (whole, bounds) {
        _ if whole.is_null() || value.is_null() => Ok(whole.clone()),
        (Datum::Bytea(bytes), [(None, Some(index), false)]) => {
            geometry::with_part(bytes, part, *index, value)
        }
        _ => Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts")),
    }
}

/// `a[i] := v`, `a[i:j] := v`.
pub(crate) fn assign(
    array: Datum,
    element: Type,
    bounds: &[(Option<i32>, Option<i32>, bool)],
    value: Datum,
) -> Result<Datum> {
    let mut array = match array {
        Datum::Array(array) => ArrayValue::clone(&array),
        _ => ArrayValue { element, dimensions: Vec::new(), elements: Vec::new() },
    };
    let wrong = || Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts");
    if let [(lower, upper, slice)] = bounds
        && array.dimensions.len() <= 1
    {
        let (length, base) = array.dimensions.first().copied().unwrap_or((0, 1));
        let (from, new) = match (slice, value) {
            (false, value) => (upper.unwrap_or(base), vec![value]),
            (true, Datum::Array(new)) => {
                let from = lower.unwrap_or(base);
                let to = upper.unwrap_or(base + length - 1);
                let wanted = usize::try_from(i64::from(to) - i64::from(from) + 1).unwrap_or(0);
                if new.elements.len() < wanted {
                    return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "source array too small"));
                }
                (from, new.elements[..wanted].to_vec())
            }
            (true, _) => return Ok(Datum::array(array)),
        };
        let base = if length == 0 { from } else { base };
        let first = base.min(from);
        let last = (i64::from(base) + i64::from(length) - 1).max(i64::from(from) + new.len() as i64 - 1);
        let total = usize::try_from(last - i64::from(first) + 1).unwrap_or(usize::MAX);
        const ELEMENTS_MAX: usize = 134_217_727;
        if total > ELEMENTS_MAX {
            let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let shift = (i64::from(base) - i64::from(first)) as usize;
        if shift > 0 {
            array.elements.splice(0..0, std::iter::repeat_n(Datum::Null, shift));
        }
        array.elements.resize(total, Datum::Null);
        let start = (i64::from(from) - i64::from(first)) as usize;
        for (at, value) in new.into_iter().enumerate() {
            array.elements[start + at] = value;
        }
        array.dimensions = vec![(total as i32, first)];
        return Ok(Datum::array(array));
    }
    if bounds.len() != array.dimensions.len() || bounds.iter().any(|bound| bound.2) {
        return Err(wrong());
    }
    let mut offset = 0usize;
    for ((_, index, _), (length, base)) in bounds.iter().zip(&array.dimensions) {
        let at = i64::from(index.unwrap_or(0)) - i64::from(*base);
        if at < 0 || at >= i64::from(*length) {
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range"));
        }
        offset = offset * *length as usize + at as usize;
    }
    array.elements[offset] = value;
    Ok(Datum::array(array))
}
