//! Assignment to parts of values: `SET a[1] = …`, `SET c.field = …`, `SET j['key'] = …`. The binder makes a new value of the whole
//! column from the old one with these; they are not in pg_proc.

use super::json::modify::{Change, set_path};
use super::{Body, CallTypes, EvalContext, Function, TypedScalar, Volatility};
use crate::error::{Error, Result, SqlState};
use crate::types::json::Json;
use crate::types::{Datum, Type, geometry};
use std::sync::OnceLock;

fn function(cell: &'static OnceLock<Function>, name: &'static str, typed: TypedScalar) -> &'static Function {
    cell.get_or_init(|| Function {
        oid: 0,
        name,
        arguments: &[],
        variadic: false,
        result: Type::ANYELEMENT,
        strict: false,
        volatility: Volatility::Immutable,
        body: Body::Typed(typed),
    })
}

/// (row, position of the field, its new value)
pub fn field() -> &'static Function {
    static FUNCTION: OnceLock<Function> = OnceLock::new();
    function(&FUNCTION, "assign_field", assign_field)
}

/// (array, value, then for each subscript: which bounds are given (1 lower, 2 upper; 4 a slice), lower, upper)
pub fn element() -> &'static Function {
    static FUNCTION: OnceLock<Function> = OnceLock::new();
    function(&FUNCTION, "assign_element", assign_element)
}

/// (jsonb, value, path …)
pub fn jsonb() -> &'static Function {
    static FUNCTION: OnceLock<Function> = OnceLock::new();
    function(&FUNCTION, "assign_jsonb", assign_jsonb)
}

/// (hstore, value, key)
pub fn hstore() -> &'static Function {
    static FUNCTION: OnceLock<Function> = OnceLock::new();
    function(&FUNCTION, "assign_hstore", |arguments, _, _| crate::extension::hstore::assign(arguments))
}

fn assign_field(arguments: &[Datum], types: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let [row, Datum::Int4(index), value] = arguments else {
        return Err(Error::internal("assign_field got other arguments than its own"));
    };
    let mut fields = match (row.as_record(), types.result.row_template()) {
        (Some(record), _) => record.fields.clone(),
        (None, Some(template)) => template.fields,
        (None, None) => return Err(Error::internal("a field of what has none")),
    };
    let field =
        fields.get_mut(*index as usize).ok_or_else(|| Error::internal("a field that is not there"))?;
    field.1 = value.clone();
    Ok(Datum::record(fields))
}

fn null_subscript(what: &str) -> Error {
    let message = format!("{what} subscript in assignment must not be null");
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
}

fn assign_element(arguments: &[Datum], types: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let [array, value, subscripts @ ..] = arguments else {
        return Err(Error::internal("assign_element got other arguments than its own"));
    };
    let mut bounds = Vec::with_capacity(subscripts.len() / 3);
    for subscript in subscripts.chunks_exact(3) {
        let given = subscript[0].as_i32().unwrap_or(0);
        let bound = |bit: i32, value: &Datum| match (given & bit != 0, value.as_i32()) {
            (true, None) => Err(null_subscript("array")),
            (true, bound) => Ok(bound),
            (false, _) => Ok(None),
        };
        let (lower, upper) = (bound(1, &subscript[1])?, bound(2, &subscript[2])?);
        bounds.push(match given & 4 != 0 {
            true => (lower, upper, true),
            false => (None, lower, false),
        });
    }
    // A null assigned to a slice changes nothing.
    if value.is_null() && bounds.iter().any(|bound| bound.2) {
        return Ok(array.clone());
    }
    if let Some(part) = geometry::part_of(types.result.base()) {
        return crate::exec::arrays::assign_part(array, part, &bounds, value);
    }
    let element = types.result.element().unwrap_or(Type::TEXT);
    crate::exec::arrays::assign(array.clone(), element, &bounds, value.clone())
}

fn assign_jsonb(arguments: &[Datum], _: &CallTypes<'_>, _: &EvalContext<'_>) -> Result<Datum> {
    let [target, value, path @ ..] = arguments else {
        return Err(Error::internal("assign_jsonb got other arguments than its own"));
    };
    if path.iter().any(Datum::is_null) {
        return Err(null_subscript("jsonb"));
    }
    let path: Vec<Option<&str>> = path.iter().map(Datum::as_str).collect();
    let value = value.as_str().map_or(Ok(Json::Null), Json::of_canonical)?;
    let target = match target.as_str() {
        Some(text) => Json::of_canonical(text)?,
        // A null becomes what the first subscript suggests.
        None => match path.first() {
            Some(Some(step)) if step.parse::<i32>().is_ok() => Json::Array(Vec::new()),
            _ => Json::Object(Vec::new()),
        },
    };
    set_path(target, &path, 0, Some(&value), Change::Assign).map(|json| Datum::text(json.to_text()))
}
