//! Functions and operators of arrays.

use super::arguments::scalar;
use super::{EvalContext, Registry};
use crate::error::{Error, Result, SqlState};
use crate::types::array_text::{ELEMENTS_MAX, too_many_dimensions};
use crate::types::{ArrayValue, Datum, Type, compare_as, format_datum};

fn subscript_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

fn dimension(array: &ArrayValue, number: i32) -> Option<(i32, i32)> {
    usize::try_from(number - 1).ok().and_then(|index| array.dimensions.get(index).copied())
}

pub(super) fn one_dimensional(element: Type, elements: Vec<Datum>) -> ArrayValue {
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
    ArrayValue { element, dimensions, elements }
}

fn check_size(array: ArrayValue) -> Result<ArrayValue> {
    match array.elements.len() > ELEMENTS_MAX {
        true => Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
        )),
        false => Ok(array),
    }
}

/// What a value alone tells of its type, where there is no array to ask (appending to a null, filling): types that share a
/// representation take the commonest. What is computed from such an array by the binder's types is unaffected.
fn element_type_of(value: &Datum) -> Type {
    use crate::types::Repr;
    match value.repr() {
        Some(Repr::Bool) => Type::BOOL,
        Some(Repr::Int2) => Type::INT2,
        Some(Repr::Int4) => Type::INT4,
        Some(Repr::Int8) => Type::INT8,
        Some(Repr::Float4) => Type::FLOAT4,
        Some(Repr::Float8) => Type::FLOAT8,
        Some(Repr::Numeric) => Type::NUMERIC,
        Some(Repr::Bytea) => Type::BYTEA,
        Some(Repr::Date) => Type::DATE,
        Some(Repr::Time) => Type::TIME,
        Some(Repr::Timestamp) => Type::TIMESTAMPTZ,
        Some(Repr::Interval) => Type::INTERVAL,
        Some(Repr::Uuid) => Type::UUID,
        Some(Repr::Oid) => Type::OID,
        Some(Repr::TimeTz) => Type::TIMETZ,
        Some(Repr::Range) => value.as_range().map_or(Type::TEXT, |range| range.data_type),
        _ => Type::TEXT,
    }
}

fn push(array: &Datum, value: &Datum, front: bool) -> Result<Datum> {
    let (element, mut elements, bound) = match array.as_array() {
        None => (element_type_of(value), Vec::new(), 1),
        Some(array) if array.dimensions.len() > 1 => {
            return Err(Error::new(
                SqlState::DATA_EXCEPTION,
                "argument must be empty or one-dimensional array",
            ));
        }
        Some(array) => (
            array.element,
            array.elements.clone(),
            array.dimensions.first().map_or(1, |dimension| dimension.1),
        ),
    };
    match front {
        true => elements.insert(0, value.clone()),
        false => elements.push(value.clone()),
    }
    let dimensions = vec![(elements.len() as i32, bound)];
    check_size(ArrayValue { element, dimensions, elements }).map(Datum::array)
}

/// array_cat: arrays of one dimensionality end to end, or one that fits as an element of the other.
fn cat(a: &Datum, b: &Datum) -> Result<Datum> {
    let (Some(x), Some(y)) = (a.as_array(), b.as_array()) else {
        return Ok(if a.is_null() { b.clone() } else { a.clone() });
    };
    if x.dimensions.is_empty() {
        return Ok(b.clone());
    }
    if y.dimensions.is_empty() {
        return Ok(a.clone());
    }
    let incompatible =
        |detail: &str| subscript_error("cannot concatenate incompatible arrays").detail(detail);
    let lengths =
        |array: &ArrayValue, from: usize| array.dimensions[from..].iter().map(|d| d.0).collect::<Vec<_>>();
    let (nx, ny) = (x.dimensions.len(), y.dimensions.len());
    let mut dimensions = if nx >= ny { x.dimensions.clone() } else { y.dimensions.clone() };
    if nx == ny {
        if lengths(x, 1) != lengths(y, 1) {
            return Err(incompatible(
                "Arrays with differing element dimensions are not compatible for concatenation.",
            ));
        }
        dimensions[0].0 += y.dimensions[0].0;
    } else if nx == ny + 1 && lengths(x, 1) == lengths(y, 0) || ny == nx + 1 && lengths(y, 1) == lengths(x, 0)
    {
        dimensions[0].0 += 1;
    } else if nx.abs_diff(ny) > 1 {
        let detail = format!("Arrays of {nx} and {ny} dimensions are not compatible for concatenation.");
        return Err(incompatible(&detail));
    } else {
        return Err(incompatible("Arrays with differing dimensions are not compatible for concatenation."));
    }
    let elements = x.elements.iter().chain(&y.elements).cloned().collect();
    check_size(ArrayValue { element: x.element, dimensions, elements }).map(Datum::array)
}

fn same(a: &Datum, b: &Datum, element: Type) -> bool {
    compare_as(a, b, element).is_eq()
}

fn contains(whole: &ArrayValue, part: &ArrayValue) -> bool {
    let has = |value: &Datum| {
        !value.is_null() && whole.elements.iter().any(|other| same(other, value, whole.element))
    };
    part.elements.iter().all(has)
}

fn overlap(a: &ArrayValue, b: &ArrayValue) -> bool {
    a.elements
        .iter()
        .any(|value| !value.is_null() && b.elements.iter().any(|other| same(other, value, a.element)))
}

/// Subscripts of the elements equal to `value`; null is found too.
fn positions(array: &Datum, value: &Datum, start: Option<i32>) -> Result<Vec<i32>> {
    let Some(array) = array.as_array() else { return Ok(Vec::new()) };
    if array.dimensions.len() > 1 {
        let message = "searching for elements in multidimensional arrays is not supported";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let bound = array.dimensions.first().map_or(1, |dimension| dimension.1);
    let subscripts = array.elements.iter().zip(bound..).filter(|(element, subscript)| {
        start.is_none_or(|start| *subscript >= start) && same(element, value, array.element)
    });
    Ok(subscripts.map(|(_, subscript)| subscript).collect())
}

fn remove(array: &Datum, value: &Datum) -> Result<Datum> {
    let Some(found) = array.as_array() else { return Ok(Datum::Null) };
    if found.dimensions.len() > 1 {
        let message = "removing elements from multidimensional arrays is not supported";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let kept: Vec<Datum> =
        found.elements.iter().filter(|element| !same(element, value, found.element)).cloned().collect();
    if kept.len() == found.elements.len() {
        return Ok(array.clone());
    }
    let bound = found.dimensions.first().map_or(1, |dimension| dimension.1);
    let dimensions = if kept.is_empty() { Vec::new() } else { vec![(kept.len() as i32, bound)] };
    Ok(Datum::array(ArrayValue { element: found.element, dimensions, elements: kept }))
}

fn replace(array: &Datum, from: &Datum, to: &Datum) -> Datum {
    let Some(found) = array.as_array() else { return Datum::Null };
    let swap =
        |element: &Datum| if same(element, from, found.element) { to.clone() } else { element.clone() };
    let elements = found.elements.iter().map(swap).collect();
    Datum::array(ArrayValue { elements, ..found.clone() })
}

fn to_text(array: &ArrayValue, delimiter: &str, null: Option<&str>, context: &EvalContext<'_>) -> String {
    let shown = array.elements.iter().filter_map(|element| match element {
        Datum::Null => null.map(str::to_string),
        element => Some(format_datum(element, array.element, context.render)),
    });
    shown.collect::<Vec<_>>().join(delimiter)
}

/// A null delimiter splits into characters, an empty one not at all.
fn split(text: Option<&str>, delimiter: Option<&str>, null: Option<&str>) -> Option<Vec<Datum>> {
    let text = text?;
    let parts: Vec<String> = match delimiter {
        _ if text.is_empty() => Vec::new(),
        None => text.chars().map(String::from).collect(),
        Some("") => vec![text.to_string()],
        Some(delimiter) => text.split(delimiter).map(str::to_string).collect(),
    };
    let datum = |part: String| if null == Some(part.as_str()) { Datum::Null } else { Datum::text(part) };
    Some(parts.into_iter().map(datum).collect())
}

fn text_at(arguments: &[Datum], index: usize) -> Option<&str> {
    arguments.get(index).and_then(Datum::as_str)
}

fn dims(array: &ArrayValue) -> Option<String> {
    let shown =
        |(length, bound): &(i32, i32)| format!("[{bound}:{}]", i64::from(*bound) + i64::from(*length) - 1);
    (!array.dimensions.is_empty()).then(|| array.dimensions.iter().map(shown).collect())
}

fn fill(arguments: &[Datum]) -> Result<Datum> {
    let null =
        || Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension array or low bound array cannot be null");
    let integers = |index: usize| {
        let array = arguments.get(index).and_then(Datum::as_array).ok_or_else(null)?;
        let values = array.elements.iter().map(|element| {
            element.as_i32().ok_or_else(|| {
                Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension values cannot be null")
            })
        });
        values.collect::<Result<Vec<i32>>>()
    };
    let value = &arguments[0];
    let lengths = integers(1)?;
    let bounds = if arguments.len() > 2 { integers(2)? } else { vec![1; lengths.len()] };
    if lengths.len() > crate::types::array_text::DIMENSIONS_MAX {
        return Err(too_many_dimensions(lengths.len()));
    }
    if lengths.len() != bounds.len() {
        return Err(subscript_error("wrong number of array subscripts")
            .detail("Low bound array has different size than dimensions array."));
    }
    let mut count = if lengths.is_empty() { 0 } else { 1usize };
    for length in &lengths {
        let length = usize::try_from(*length).map_err(|_| subscript_error("array size is negative"))?;
        count = count.checked_mul(length).filter(|count| *count <= ELEMENTS_MAX / 16).ok_or_else(|| {
            Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
            )
        })?;
    }
    let dimensions = if count == 0 { Vec::new() } else { lengths.into_iter().zip(bounds).collect() };
    let element = element_type_of(value);
    Ok(Datum::array(ArrayValue { element, dimensions, elements: vec![value.clone(); count] }))
}

fn trim(array: &ArrayValue, count: i32) -> Result<ArrayValue> {
    let length = array.dimensions.first().map_or(0, |dimension| dimension.0);
    if !(0..=length).contains(&count) {
        return Err(Error::new(
            SqlState(*b"2202E"),
            format!("number of elements to trim must be between 0 and {length}"),
        ));
    }
    let kept = length - count;
    let inner: usize = array.dimensions.iter().skip(1).map(|dimension| dimension.0 as usize).product();
    let elements: Vec<Datum> = array.elements.iter().take(kept as usize * inner).cloned().collect();
    let mut dimensions = array.dimensions.clone();
    match dimensions.first_mut() {
        Some(first) if kept > 0 => *first = (kept, 1),
        _ => dimensions.clear(),
    }
    Ok(ArrayValue { element: array.element, dimensions, elements })
}

pub fn register(r: &mut Registry) {
    scalar!(r, "array_length", |a: &ArrayValue, n: i32| dimension(a, n).map(|dimension| dimension.0));
    scalar!(r, "array_lower", |a: &ArrayValue, n: i32| dimension(a, n).map(|dimension| dimension.1));
    scalar!(r, "array_upper", |a: &ArrayValue, n: i32| dimension(a, n)
        .map(|(length, bound)| bound + length - 1));
    scalar!(r, "array_ndims", |a: &ArrayValue| (!a.dimensions.is_empty())
        .then_some(a.dimensions.len() as i32));
    scalar!(r, "array_dims", |a: &ArrayValue| dims(a));
    scalar!(r, "array_cardinality", |a: &ArrayValue| a.elements.len() as i32);
    scalar!(r, "array_append", |a: &Datum, value: &Datum| push(a, value, false));
    scalar!(r, "array_prepend", |value: &Datum, a: &Datum| push(a, value, true));
    scalar!(r, "array_cat", |a: &Datum, b: &Datum| cat(a, b));
    scalar!(r, "arraycontains", |a: &ArrayValue, b: &ArrayValue| contains(a, b));
    scalar!(r, "arraycontained", |a: &ArrayValue, b: &ArrayValue| contains(b, a));
    scalar!(r, "arrayoverlap", |a: &ArrayValue, b: &ArrayValue| overlap(a, b));
    scalar!(r, "array_position", |a: &Datum, value: &Datum| positions(a, value, None)
        .map(|found| found.first().copied()));
    scalar!(r, "array_position_start", |a: &Datum, value: &Datum, start: Option<i32>| match start {
        None => Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "initial position must not be null")),
        start => positions(a, value, start).map(|found| found.first().copied()),
    });
    scalar!(r, "array_positions", |a: &Datum, value: &Datum| match a.is_null() {
        true => Ok(Datum::Null),
        false => positions(a, value, None).map(|found| {
            Datum::array(one_dimensional(Type::INT4, found.into_iter().map(Datum::Int4).collect()))
        }),
    });
    scalar!(r, "array_remove", |a: &Datum, value: &Datum| remove(a, value));
    scalar!(r, "array_replace", |a: &Datum, from: &Datum, to: &Datum| replace(a, from, to));
    scalar!(r, "array_to_text", |context; a: &ArrayValue, delimiter: &str| to_text(a, delimiter, None, context));
    scalar!(r, "array_to_text_null", |context; a: Option<&ArrayValue>, delimiter: Option<&str>, null: Option<&str>| {
        a.zip(delimiter).map(|(a, delimiter)| to_text(a, delimiter, null, context))
    });
    for name in ["text_to_array", "text_to_array_null"] {
        r.scalar(name, |arguments, _| {
            let parts = split(text_at(arguments, 0), text_at(arguments, 1), text_at(arguments, 2));
            Ok(parts.map_or(Datum::Null, |parts| Datum::array(one_dimensional(Type::TEXT, parts))))
        });
    }
    for name in ["text_to_table", "text_to_table_null"] {
        r.set(name, |arguments, _| {
            let parts = split(text_at(arguments, 0), text_at(arguments, 1), text_at(arguments, 2));
            Ok(super::series::from_list(parts.unwrap_or_default()))
        });
    }
    r.scalar("array_fill", |arguments, _| fill(arguments));
    r.scalar("array_fill_with_lower_bounds", |arguments, _| fill(arguments));
    scalar!(r, "trim_array", |a: &ArrayValue, count: i32| trim(a, count));
    scalar!(r, "array_larger", |a: &Datum, b: &Datum| if crate::types::compare(a, b).is_gt() {
        a.clone()
    } else {
        b.clone()
    });
    scalar!(r, "array_smaller", |a: &Datum, b: &Datum| if crate::types::compare(a, b).is_lt() {
        a.clone()
    } else {
        b.clone()
    });
}
