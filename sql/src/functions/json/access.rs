//! Parts of JSON values, and comparisons of jsonb.

use super::super::arguments::scalar;
use super::super::kernel::not_vectors;
use super::super::{EvalContext, Registry, SetIterator};
use super::{invalid, parse, texts, variadic};
use crate::error::{Error, Result};
use crate::types::json::scan::{self, Kind};
use crate::types::json::{Json, compare_text, key_order};
use crate::types::{ArrayValue, Datum, Type};
use std::cmp::Ordering;
use std::sync::Arc;

fn some(value: Option<&str>) -> Datum {
    value.map_or(Datum::Null, Datum::text)
}

fn some_text(value: Option<&str>) -> Result<Datum> {
    Ok(value.map(scan::as_text).transpose()?.flatten().map_or(Datum::Null, Datum::text))
}

/// `#>`: by keys and array positions. An element that doesn't fit what it meets finds nothing.
fn path<'a>(text: &'a str, path: &[Datum]) -> Option<&'a str> {
    let mut at = text;
    for step in path {
        let step = step.as_str()?;
        at = match scan::kind(at) {
            Kind::Object => scan::member(at, step)?,
            Kind::Array => scan::element(at, step.trim_start().parse::<i32>().ok()?.into())?,
            _ => return None,
        };
    }
    Some(at)
}

fn text_of(arguments: &[Datum]) -> Result<&Arc<str>> {
    match arguments.first() {
        Some(Datum::Text(text)) => Ok(text),
        _ => Err(not_vectors()),
    }
}

fn extract(arguments: &[Datum], as_text: bool) -> Result<Datum> {
    let steps = variadic(arguments, 1);
    // A null anywhere in the path finds nothing.
    if steps.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    let text = text_of(arguments)?;
    match as_text {
        true => some_text(path(text, steps)),
        false => Ok(some(path(text, steps))),
    }
}

fn array_length(text: &str) -> Result<i32> {
    match scan::kind(text) {
        Kind::Array => Ok(scan::parts(text).map_or(0, Iterator::count) as i32),
        Kind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }
}

/// The parts of a container, each on its own.
fn collect(text: &str, mut row: impl FnMut(&str, &str) -> Result<Vec<Datum>>) -> Result<SetIterator> {
    let mut rows = Vec::new();
    for (key, value) in scan::parts(text).into_iter().flatten() {
        rows.push(Ok(row(key, value)?));
    }
    Ok(Box::new(rows.into_iter()))
}

fn each(arguments: &[Datum], as_text: bool, jsonb: bool) -> Result<SetIterator> {
    let text = text_of(arguments)?;
    match (scan::kind(text), jsonb) {
        (Kind::Object, _) => {}
        (_, true) => {
            let name = if as_text { "jsonb_each_text" } else { "jsonb_each" };
            return Err(invalid(format!("cannot call {name} on a non-object")));
        }
        (Kind::Array, false) => return Err(invalid("cannot deconstruct an array as an object")),
        (_, false) => return Err(invalid("cannot deconstruct a scalar")),
    }
    collect(text, |key, value| {
        let value = if as_text { some_text(Some(value))? } else { Datum::text(value) };
        Ok(vec![Datum::text(scan::key_text(key)?), value])
    })
}

fn elements(arguments: &[Datum], as_text: bool, jsonb: bool) -> Result<SetIterator> {
    let text = text_of(arguments)?;
    let name = if as_text { "json_array_elements_text" } else { "json_array_elements" };
    match (scan::kind(text), jsonb) {
        (Kind::Array, _) => {}
        (Kind::Object, true) => return Err(invalid("cannot extract elements from an object")),
        (Kind::Object, false) => return Err(invalid(format!("cannot call {name} on a non-array"))),
        (_, true) => return Err(invalid("cannot extract elements from a scalar")),
        (_, false) => return Err(invalid(format!("cannot call {name} on a scalar"))),
    }
    collect(text, |_, value| Ok(vec![if as_text { some_text(Some(value))? } else { Datum::text(value) }]))
}

fn object_keys(arguments: &[Datum], name: &str) -> Result<SetIterator> {
    let text = text_of(arguments)?;
    match scan::kind(text) {
        Kind::Object => collect(text, |key, _| Ok(vec![Datum::text(scan::key_text(key)?)])),
        Kind::Array => Err(invalid(format!("cannot call {name} on an array"))),
        _ => Err(invalid(format!("cannot call {name} on a scalar"))),
    }
}

/// `?`: a key of an object, a string among an array's elements, or the string itself.
fn exists(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(members) => members.binary_search_by(|(name, _)| key_order(name, key)).is_ok(),
        Json::Array(elements) => {
            elements.iter().any(|element| matches!(element, Json::String(text) if text == key))
        }
        Json::String(text) => text == key,
        _ => false,
    }
}

/// The number, boolean or null that a cast takes out of jsonb.
fn cast_scalar(datum: &Datum, wanted: &str, target: Type, context: &EvalContext<'_>) -> Result<Datum> {
    let json = parse(datum)?;
    let value = match json {
        Json::Number(number) => (Datum::numeric(number), Type::NUMERIC, "numeric"),
        Json::Bool(value) => (Datum::Bool(value), Type::BOOL, "boolean"),
        other => {
            let kind = match other {
                Json::Null => "null",
                Json::String(_) => "string",
                Json::Array(_) => "array",
                _ => "object",
            };
            return Err(invalid(format!("cannot cast jsonb {kind} to type {}", target.display())));
        }
    };
    if value.2 != wanted {
        return Err(invalid(format!("cannot cast jsonb {} to type {}", value.2, target.display())));
    }
    crate::functions::cast_datum(value.0, value.1, target, -1, false, context)
}

fn compare(a: &Datum, b: &Datum) -> Result<Ordering> {
    match (a, b) {
        (Datum::Text(a), Datum::Text(b)) => Ok(compare_text(a, b)),
        _ => Err(not_vectors()),
    }
}

pub fn register(r: &mut Registry) {
    for name in ["json_object_field", "jsonb_object_field"] {
        scalar!(r, name, |json: &str, key: &str| some(scan::member(json, key)));
    }
    for name in ["json_object_field_text", "jsonb_object_field_text"] {
        scalar!(r, name, |json: &str, key: &str| some_text(scan::member(json, key)));
    }
    for name in ["json_array_element", "jsonb_array_element"] {
        scalar!(r, name, |json: &str, index: i32| some(scan::element(json, index.into())));
    }
    for name in ["json_array_element_text", "jsonb_array_element_text"] {
        scalar!(r, name, |json: &str, index: i32| some_text(scan::element(json, index.into())));
    }
    for name in ["json_extract_path", "jsonb_extract_path"] {
        r.scalar(name, |arguments, _| extract(arguments, false));
    }
    for name in ["json_extract_path_text", "jsonb_extract_path_text"] {
        r.scalar(name, |arguments, _| extract(arguments, true));
    }
    for name in ["json_typeof", "jsonb_typeof"] {
        scalar!(r, name, |json: &str| scan::kind(json).name());
    }
    for name in ["json_array_length", "jsonb_array_length"] {
        scalar!(r, name, |json: &str| array_length(json));
    }
    r.set("json_each", |arguments, _| each(arguments, false, false));
    r.set("json_each_text", |arguments, _| each(arguments, true, false));
    r.set("jsonb_each", |arguments, _| each(arguments, false, true));
    r.set("jsonb_each_text", |arguments, _| each(arguments, true, true));
    r.set("json_array_elements", |arguments, _| elements(arguments, false, false));
    r.set("json_array_elements_text", |arguments, _| elements(arguments, true, false));
    r.set("jsonb_array_elements", |arguments, _| elements(arguments, false, true));
    r.set("jsonb_array_elements_text", |arguments, _| elements(arguments, true, true));
    r.set("json_object_keys", |arguments, _| object_keys(arguments, "json_object_keys"));
    r.set("jsonb_object_keys", |arguments, _| object_keys(arguments, "jsonb_object_keys"));

    scalar!(r, "jsonb_eq", |a: &Datum, b: &Datum| compare(a, b).map(Ordering::is_eq));
    scalar!(r, "jsonb_ne", |a: &Datum, b: &Datum| compare(a, b).map(Ordering::is_ne));
    scalar!(r, "jsonb_lt", |a: &Datum, b: &Datum| compare(a, b).map(Ordering::is_lt));
    scalar!(r, "jsonb_le", |a: &Datum, b: &Datum| compare(a, b).map(Ordering::is_le));
    scalar!(r, "jsonb_gt", |a: &Datum, b: &Datum| compare(a, b).map(Ordering::is_gt));
    scalar!(r, "jsonb_ge", |a: &Datum, b: &Datum| compare(a, b).map(Ordering::is_ge));
    scalar!(r, "jsonb_cmp", |a: &Datum, b: &Datum| compare(a, b).map(|order| order as i32));
    scalar!(r, "jsonb_contains", |a: &Datum, b: &Datum| Ok::<bool, Error>(parse(a)?.contains(&parse(b)?)));
    scalar!(r, "jsonb_contained", |a: &Datum, b: &Datum| Ok::<bool, Error>(parse(b)?.contains(&parse(a)?)));
    scalar!(r, "jsonb_exists", |a: &Datum, key: &str| Ok::<bool, Error>(exists(&parse(a)?, key)));
    scalar!(r, "jsonb_exists_any", |a: &Datum, keys: &ArrayValue| {
        let json = parse(a)?;
        Ok::<bool, Error>(texts(keys).into_iter().flatten().any(|key| exists(&json, key)))
    });
    scalar!(r, "jsonb_exists_all", |a: &Datum, keys: &ArrayValue| {
        let json = parse(a)?;
        Ok::<bool, Error>(texts(keys).into_iter().flatten().all(|key| exists(&json, key)))
    });
    scalar!(r, "jsonb_bool", |context; a: &Datum| cast_scalar(a, "boolean", Type::BOOL, context));
    scalar!(r, "jsonb_numeric", |context; a: &Datum| cast_scalar(a, "numeric", Type::NUMERIC, context));
    scalar!(r, "jsonb_int2", |context; a: &Datum| cast_scalar(a, "numeric", Type::INT2, context));
    scalar!(r, "jsonb_int4", |context; a: &Datum| cast_scalar(a, "numeric", Type::INT4, context));
    scalar!(r, "jsonb_int8", |context; a: &Datum| cast_scalar(a, "numeric", Type::INT8, context));
    scalar!(r, "jsonb_float4", |context; a: &Datum| cast_scalar(a, "numeric", Type::FLOAT4, context));
    scalar!(r, "jsonb_float8", |context; a: &Datum| cast_scalar(a, "numeric", Type::FLOAT8, context));
}
