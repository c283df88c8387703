//! JSON to rows: json_populate_record, json_to_record and their sets.
//!
//! Which columns are wanted is known when the call is bound; it hands them on as one argument more, a row of nulls
//! with names and types (the *template*). A member is brought to its column's type as jsonfuncs.c does: json and jsonb
//! are taken as they are, arrays and rows from JSON's own, and anything else goes through the text form.

use super::super::{CallTypes, EvalContext, Registry, SetIterator};
use super::invalid;
use crate::error::{Error, Result, SqlState};
use crate::functions::parse_in_context;
use crate::types::json::scan::{self, Kind};
use crate::types::{ArrayValue, Datum, Record, Type, apply_modifier};
use std::sync::Arc;

/// A JSON value as a value of a type. `place` says where it is, for errors.
fn convert(
    value: &str,
    data_type: Type,
    modifier: i32,
    place: &str,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let kind = scan::kind(value);
    if kind == Kind::Null {
        crate::functions::domain::verify(&Datum::Null, data_type, context)?;
        return Ok(Datum::Null);
    }
    match data_type {
        Type::JSON => return Ok(Datum::text(value.trim())),
        Type::JSONB => return parse_in_context(value, data_type, -1, context),
        _ => {}
    }
    if kind != Kind::String
        && let Some(element) = data_type.element().filter(|_| data_type.is_array())
    {
        if kind != Kind::Array {
            let hint = format!("See the value of key \"{place}\".");
            return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array").hint(hint));
        }
        return array(value, element, modifier, place, context);
    }
    if kind == Kind::Object
        && let Some(template) = data_type.row_template()
    {
        let record = populate(value, &template, &template, context)?;
        return Ok(Datum::Record(Arc::new(Record { names: None, ..record })));
    }
    if data_type.is_domain() {
        let value = convert(value, data_type.base(), data_type.base_modifier(), place, context)?;
        crate::functions::domain::verify(&value, data_type, context)?;
        return Ok(value);
    }
    let text = scan::as_text(value)?.unwrap_or_default();
    let parsed = parse_in_context(&text, data_type, modifier, context)?;
    apply_modifier(parsed, data_type, modifier, false)
}

/// A JSON array, nested ones as further dimensions.
fn array(value: &str, element: Type, modifier: i32, place: &str, context: &EvalContext<'_>) -> Result<Datum> {
    let mut lengths: Vec<Option<usize>> = Vec::new();
    let mut elements = Vec::new();
    gather(value, 0, element, modifier, place, &mut lengths, &mut elements, context)?;
    let dimensions = match elements.is_empty() {
        true => Vec::new(),
        false => lengths.into_iter().map(|length| (length.unwrap_or(0) as i32, 1)).collect(),
    };
    Ok(Datum::array(ArrayValue { element, dimensions, elements }))
}

#[allow(clippy::too_many_arguments)]
fn gather(
    value: &str,
    depth: usize,
    element: Type,
    modifier: i32,
    place: &str,
    lengths: &mut Vec<Option<usize>>,
    elements: &mut Vec<Datum>,
    context: &EvalContext<'_>,
) -> Result<()> {
    let malformed = || {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "malformed JSON array")
            .detail("Multidimensional arrays must have sub-arrays with matching dimensions.")
    };
    if depth >= crate::types::array_text::DIMENSIONS_MAX {
        return Err(crate::types::array_text::too_many_dimensions(depth + 1));
    }
    if lengths.len() == depth {
        lengths.push(None);
    }
    let mut count = 0;
    for (_, part) in scan::parts(value).into_iter().flatten() {
        count += 1;
        let nested = scan::kind(part) == Kind::Array && !matches!(element, Type::JSON | Type::JSONB);
        // The first value at a depth says whether there are further dimensions.
        let inner = lengths.len() > depth + 1;
        match nested {
            true if inner || elements.is_empty() => {
                gather(part, depth + 1, element, modifier, place, lengths, elements, context)?
            }
            false if !inner => elements.push(convert(part, element, modifier, place, context)?),
            _ => return Err(malformed()),
        }
    }
    match lengths[depth] {
        Some(length) if length != count => Err(malformed()),
        _ => {
            lengths[depth] = Some(count);
            Ok(())
        }
    }
}

/// A row with the template's columns: members of the object by name, of the base where the object has none.
pub(super) fn populate(
    value: &str,
    template: &Record,
    base: &[(Type, Datum)],
    context: &EvalContext<'_>,
) -> Result<Record> {
    let names = template.names.clone().unwrap_or_else(|| Arc::from([]));
    let mut fields = Vec::with_capacity(template.len());
    for (index, (data_type, _)) in template.iter().enumerate() {
        let name = names.get(index).map_or("", String::as_str);
        let field = match scan::member(value, name) {
            Some(member) => convert(member, *data_type, -1, name, context)?,
            None => {
                let value = base.get(index).map_or(Datum::Null, |(_, value)| value.clone());
                crate::functions::domain::verify(&value, *data_type, context)?;
                value
            }
        };
        fields.push((*data_type, field));
    }
    Ok(Record { fields, names: Some(names) })
}

fn template_of(arguments: &[Datum]) -> Result<&Record> {
    arguments
        .last()
        .and_then(Datum::as_record)
        .ok_or_else(|| Error::internal("a call that makes rows of JSON has no template"))
}

fn row(record: Record) -> Vec<Datum> {
    record.fields.into_iter().map(|(_, value)| value).collect()
}

/// json_to_record and json_to_recordset: rows for FROM.
fn to_rows(name: &str, arguments: &[Datum], set: bool, context: &EvalContext<'_>) -> Result<SetIterator> {
    let template = template_of(arguments)?;
    let Some(text) = arguments[0].as_str() else {
        return Ok(match set {
            true => Box::new(std::iter::empty()),
            false => Box::new(std::iter::once(Ok(vec![Datum::Null; template.len()]))),
        });
    };
    let one = |value: &str| populate(value, template, template, context).map(row);
    if !set {
        return match scan::kind(text) {
            Kind::Object => Ok(Box::new(std::iter::once(Ok(one(text)?)))),
            Kind::Array => Err(invalid(format!("cannot call {name} on an array"))),
            _ => Err(invalid(format!("cannot call {name} on a scalar"))),
        };
    }
    object_rows(name, text)?.into_iter().map(|value| one(value).map(Ok)).collect::<Result<Vec<_>>>().map(
        |rows| {
            let rows: SetIterator = Box::new(rows.into_iter());
            rows
        },
    )
}

/// The objects in an array of them.
fn object_rows<'a>(name: &str, text: &'a str) -> Result<Vec<&'a str>> {
    match scan::kind(text) {
        Kind::Array => {}
        Kind::Object => return Err(invalid(format!("cannot call {name} on an object"))),
        _ => return Err(invalid(format!("cannot call {name} on a scalar"))),
    }
    let mut rows = Vec::new();
    for (_, value) in scan::parts(text).into_iter().flatten() {
        if scan::kind(value) != Kind::Object {
            return Err(invalid(format!("argument of {name} must be an array of objects")));
        }
        rows.push(value);
    }
    Ok(rows)
}

/// json_populate_record: a row of the base's type.
fn populate_record(
    name: &str,
    arguments: &[Datum],
    types: &CallTypes<'_>,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let Some(template) = types.result.row_template() else {
        return Err(undetermined(name));
    };
    let base = arguments[0].as_record();
    let Some(text) = arguments[1].as_str() else { return Ok(arguments[0].clone()) };
    match scan::kind(text) {
        Kind::Object => {}
        Kind::Array => return Err(invalid("cannot call populate_composite on an array")),
        Kind::Null => return Ok(arguments[0].clone()),
        _ => return Err(invalid("cannot call populate_composite on a scalar")),
    }
    let record = populate(text, &template, base.map_or(&template, |base| base), context)?;
    let value = Datum::Record(Arc::new(Record { names: None, ..record }));
    crate::functions::domain::verify(&value, types.result, context)?;
    Ok(value)
}

fn undetermined(name: &str) -> Error {
    let message = format!("could not determine row type for result of {name}");
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(
        "Provide a non-null record argument, or call the function in the FROM clause using a column definition list.",
    )
}

/// json_populate_recordset, with the template as its last argument.
fn populate_set(name: &str, arguments: &[Datum], context: &EvalContext<'_>) -> Result<SetIterator> {
    let template = template_of(arguments).map_err(|_| undetermined(name))?;
    let Some(text) = arguments[1].as_str() else { return Ok(Box::new(std::iter::empty())) };
    let base = arguments[0].as_record();
    let mut rows = Vec::new();
    for value in object_rows(name, text)? {
        rows.push(Ok(row(populate(value, template, base.map_or(template, |base| base), context)?)));
    }
    Ok(Box::new(rows.into_iter()))
}

pub fn register(r: &mut Registry) {
    r.typed("json_populate_record", |arguments, types, context| {
        populate_record("json_populate_record", arguments, types, context)
    });
    r.typed("jsonb_populate_record", |arguments, types, context| {
        populate_record("jsonb_populate_record", arguments, types, context)
    });
    r.set("json_populate_recordset", |arguments, context| {
        populate_set("json_populate_recordset", arguments, context)
    });
    r.set("jsonb_populate_recordset", |arguments, context| {
        populate_set("jsonb_populate_recordset", arguments, context)
    });
    r.set("json_to_record", |arguments, context| to_rows("json_to_record", arguments, false, context));
    r.set("jsonb_to_record", |arguments, context| to_rows("jsonb_to_record", arguments, false, context));
    r.set("json_to_recordset", |arguments, context| to_rows("json_to_recordset", arguments, true, context));
    r.set("jsonb_to_recordset", |arguments, context| to_rows("jsonb_to_recordset", arguments, true, context));
}
