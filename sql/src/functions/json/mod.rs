//! Functions and operators of json and jsonb.
//!
//! - `build`: SQL values to JSON (to_json, the builders and aggregates);
//! - `access`: parts of JSON (`->`, each, elements), and comparisons;
//! - `modify`: JSON from JSON (`||`, `-`, jsonb_set);
//! - `path`: jsonpath;
//! - `record`: JSON to rows (json_populate_record, json_to_record).
//!
//! What takes parts works on text for both types (see `types/json/scan`); jsonb is parsed where values are compared or changed.

mod access;
mod build;
pub(super) mod modify;
mod path;
mod record;

use super::Registry;
use crate::error::{Error, Result, SqlState};
use crate::types::json::Json;
use crate::types::{ArrayValue, Datum};

pub fn register(r: &mut Registry) {
    access::register(r);
    build::register(r);
    modify::register(r);
    record::register(r);
    path::register(r);
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn parse(datum: &Datum) -> Result<Json> {
    match datum {
        Datum::Text(text) => Json::of_canonical(text),
        _ => Err(Error::internal("jsonb is held as text")),
    }
}

fn jsonb(json: &Json) -> Datum {
    Datum::text(json.to_text())
}

/// The texts of a text[]; None for nulls.
fn texts(array: &ArrayValue) -> Vec<Option<&str>> {
    array.elements.iter().map(Datum::as_str).collect()
}

/// The arguments from `from` on: given one by one, or as one array after VARIADIC.
fn variadic(arguments: &[Datum], from: usize) -> &[Datum] {
    match &arguments[from.min(arguments.len())..] {
        [Datum::Array(array)] => &array.elements,
        list => list,
    }
}
