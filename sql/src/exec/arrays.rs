//! Array subscripts and slices.

use crate::types::{ArrayValue, Datum};
use std::sync::Arc;

/// `a[i]…` or, if any subscript is a slice, `a[l:u]…`. Out of bounds: null (an element) or an empty array (a slice).
pub fn subscript(value: &Datum, subscripts: &[(Option<Datum>, Option<Datum>, bool)]) -> Datum {
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
