//! SQL values to JSON.
//!
//! Numbers and booleans become JSON's own, json and jsonb are taken over, arrays and rows become arrays and objects, dates have the
//! form of ISO 8601, and everything else is the string of its text form. The spacing of json's results is PostgreSQL's, which
//! differs from function to function.

use super::super::arguments::scalar;
use super::super::{Accumulator, CallTypes, EvalContext, Operand, Registry};
use super::{invalid, texts};
use crate::error::{Error, Result, SqlState};
use crate::functions::format_in_context;
use crate::types::json::{DEPTH_MAX, Json, object, write_string};
use crate::types::{ArrayValue, DateFormat, Datum, Record, RenderSettings, Type};

/// How a type's values are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Category {
    Null,
    Bool,
    Number,
    /// Dates and timestamps.
    Date,
    Json,
    Array,
    Row,
    Other,
}

fn categorize(value: &Datum, data_type: Type) -> Category {
    match value {
        Datum::Null => Category::Null,
        Datum::Bool(_) => Category::Bool,
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Float4(_) | Datum::Float8(_) => {
            match data_type.category() {
                'N' => Category::Number,
                _ => Category::Other,
            }
        }
        Datum::Numeric(_) => Category::Number,
        Datum::Date(_) | Datum::Timestamp(_) => Category::Date,
        Datum::Text(_) if matches!(data_type, Type::JSON | Type::JSONB) => Category::Json,
        // int2vector and oidvector are strings to PostgreSQL as well.
        Datum::Array(_) if data_type.is_array() || data_type == Type::ANYARRAY => Category::Array,
        Datum::Record(_) => Category::Row,
        _ => Category::Other,
    }
}

fn too_deep() -> Error {
    Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
}

/// A number's text is JSON's unless it is NaN or infinite.
fn is_json_number(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// The ISO 8601 form of a date or timestamp: a T between the parts, minutes in the zone.
fn iso_text(value: &Datum, data_type: Type, context: &EvalContext<'_>) -> String {
    let mut render: RenderSettings = context.render.clone();
    render.date_style.format = DateFormat::Iso;
    let text = crate::types::format_datum(value, data_type, &render);
    if !matches!(value, Datum::Timestamp(_)) {
        return text;
    }
    let (text, era) = match text.strip_suffix(" BC") {
        Some(text) => (text, " BC"),
        None => (text.as_str(), ""),
    };
    let mut text = text.replacen(' ', "T", 1);
    if data_type == Type::TIMESTAMPTZ
        && let Some(sign) = text.rfind(['+', '-'])
        && text.len() - sign == 3
    {
        text.push_str(":00");
    }
    text + era
}

/// The name of a row's field.
fn field_name(record: &Record, data_type: Type, index: usize) -> String {
    match record.names.as_ref().and_then(|names| names.get(index)) {
        Some(name) => name.clone(),
        None => data_type.field_name(index).unwrap_or_else(|| format!("f{}", index + 1)),
    }
}

/// Appends a value as json. `pretty`: a line for each element or field of the outermost level.
pub fn write_json(
    out: &mut Vec<u8>,
    value: &Datum,
    data_type: Type,
    pretty: bool,
    context: &EvalContext<'_>,
    depth: usize,
) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    match (categorize(value, data_type), value) {
        (Category::Null, _) => out.extend_from_slice(b"null"),
        (Category::Json, Datum::Text(text)) => out.extend_from_slice(text.as_bytes()),
        (Category::Bool, value) => {
            out.extend_from_slice(if value.as_bool() == Some(true) { b"true" } else { b"false" })
        }
        (Category::Number, value) => {
            let text = format_in_context(value, data_type, context)?;
            match is_json_number(&text) {
                true => out.extend_from_slice(text.as_bytes()),
                false => write_string(out, &text),
            }
        }
        (Category::Date, value) => write_string(out, &iso_text(value, data_type, context)),
        (Category::Array, Datum::Array(array)) => write_array(out, array, pretty, context, depth)?,
        (Category::Row, Datum::Record(record)) => {
            out.push(b'{');
            for (index, (field_type, field)) in record.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(if pretty { b",\n " } else { b"," });
                }
                write_string(out, &field_name(record, data_type, index));
                out.push(b':');
                write_json(out, field, *field_type, false, context, depth + 1)?;
            }
            out.push(b'}');
        }
        (_, value) => write_string(out, &format_in_context(value, data_type, context)?),
    }
    Ok(())
}

fn write_array(
    out: &mut Vec<u8>,
    array: &ArrayValue,
    pretty: bool,
    context: &EvalContext<'_>,
    depth: usize,
) -> Result<()> {
    let lengths: Vec<usize> = array.dimensions.iter().map(|dimension| dimension.0 as usize).collect();
    write_dimension(out, array, &lengths, 0, pretty, context, depth)
}

/// One of an array's dimensions, from element `at` on.
fn write_dimension(
    out: &mut Vec<u8>,
    array: &ArrayValue,
    lengths: &[usize],
    at: usize,
    pretty: bool,
    context: &EvalContext<'_>,
    depth: usize,
) -> Result<()> {
    out.push(b'[');
    if let Some((length, inner)) = lengths.split_first() {
        let step: usize = inner.iter().product();
        for index in 0..*length {
            if index > 0 {
                out.extend_from_slice(if pretty { b",\n " } else { b"," });
            }
            let at = at + index * step;
            match inner {
                [] => write_json(out, &array.elements[at], array.element, false, context, depth + 1)?,
                _ => write_dimension(out, array, inner, at, false, context, depth + 1)?,
            }
        }
    }
    out.push(b']');
    Ok(())
}

/// A value as jsonb.
fn to_json_value(value: &Datum, data_type: Type, context: &EvalContext<'_>, depth: usize) -> Result<Json> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    Ok(match (categorize(value, data_type), value) {
        (Category::Null, _) => Json::Null,
        (Category::Json, Datum::Text(text)) => Json::parse(text)?,
        (Category::Bool, value) => Json::Bool(value.as_bool() == Some(true)),
        (Category::Number, value) => {
            let text = format_in_context(value, data_type, context)?;
            match is_json_number(&text) {
                true => Json::Number(crate::types::Numeric::parse(&text)?),
                false => Json::String(text),
            }
        }
        (Category::Date, value) => Json::String(iso_text(value, data_type, context)),
        (Category::Array, Datum::Array(array)) => {
            let lengths: Vec<usize> = array.dimensions.iter().map(|d| d.0 as usize).collect();
            array_value(array, &lengths, 0, context, depth)?
        }
        (Category::Row, Datum::Record(record)) => {
            let members = record.iter().enumerate().map(|(index, (field_type, field))| {
                let value = to_json_value(field, *field_type, context, depth + 1)?;
                Ok((field_name(record, data_type, index), value))
            });
            object(members.collect::<Result<_>>()?)
        }
        (_, value) => Json::String(format_in_context(value, data_type, context)?),
    })
}

fn array_value(
    array: &ArrayValue,
    lengths: &[usize],
    at: usize,
    context: &EvalContext<'_>,
    depth: usize,
) -> Result<Json> {
    let Some((length, inner)) = lengths.split_first() else { return Ok(Json::Array(Vec::new())) };
    let step: usize = inner.iter().product();
    let elements = (0..*length).map(|index| match inner {
        [] => to_json_value(&array.elements[at + index], array.element, context, depth + 1),
        _ => array_value(array, inner, at + index * step, context, depth + 1),
    });
    elements.collect::<Result<_>>().map(Json::Array)
}

fn text(out: Vec<u8>) -> Result<Datum> {
    String::from_utf8(out).map(Datum::text).map_err(|_| Error::internal("JSON that is not UTF-8"))
}

/// A value as an object's key.
fn key_text(value: &Datum, data_type: Type, context: &EvalContext<'_>) -> Result<String> {
    match categorize(value, data_type) {
        Category::Array | Category::Row | Category::Json => {
            Err(invalid("key value must be scalar, not array, composite, or json"))
        }
        Category::Date => Ok(iso_text(value, data_type, context)),
        _ => format_in_context(value, data_type, context),
    }
}

/// The values of VARIADIC "any", with their types.
fn any_arguments<'a>(arguments: &'a [Datum], types: &CallTypes<'_>) -> Result<Vec<(&'a Datum, Type)>> {
    Ok(match (arguments, types.arguments) {
        // VARIADIC array
        ([Datum::Array(array)], _) if types.is_variadic() => {
            array.elements.iter().map(|element| (element, array.element)).collect()
        }
        _ => arguments.iter().zip(types.arguments.iter().copied()).collect(),
    })
}

fn build_array(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = vec![b'['];
    for (index, (value, data_type)) in any_arguments(arguments, types)?.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_json(&mut out, value, data_type, false, context, 0)?;
    }
    out.push(b']');
    text(out)
}

/// The pairs of json[b]_build_object.
fn pairs<'a>(
    name: &str,
    arguments: &'a [Datum],
    types: &CallTypes<'_>,
    context: &EvalContext<'_>,
) -> Result<Vec<(String, &'a Datum, Type)>> {
    let arguments = any_arguments(arguments, types)?;
    if arguments.len() % 2 != 0 {
        return Err(invalid("argument list must have even number of elements")
            .hint(format!("The arguments of {name}() must consist of alternating keys and values.")));
    }
    let pair = |(index, pair): (usize, &[(&'a Datum, Type)])| {
        if pair[0].0.is_null() {
            let message = match name {
                "json_build_object" => format!("argument {} cannot be null", index * 2 + 1),
                _ => format!("argument {}: key must not be null", index * 2 + 1),
            };
            let error = invalid(message);
            return Err(if name == "json_build_object" {
                error.hint("Object keys should be text.")
            } else {
                error
            });
        }
        Ok((key_text(pair[0].0, pair[0].1, context)?, pair[1].0, pair[1].1))
    };
    arguments.chunks_exact(2).enumerate().map(pair).collect()
}

fn build_object(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = vec![b'{'];
    for (index, (key, value, data_type)) in
        pairs("json_build_object", arguments, types, context)?.into_iter().enumerate()
    {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_string(&mut out, &key);
        out.extend_from_slice(b" : ");
        write_json(&mut out, value, data_type, false, context, 0)?;
    }
    out.push(b'}');
    text(out)
}

fn jsonb_build_array(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let values = any_arguments(arguments, types)?;
    let elements = values.into_iter().map(|(value, data_type)| to_json_value(value, data_type, context, 0));
    elements.collect::<Result<_>>().map(|elements| super::jsonb(&Json::Array(elements)))
}

fn jsonb_build_object(
    arguments: &[Datum],
    types: &CallTypes<'_>,
    context: &EvalContext<'_>,
) -> Result<Datum> {
    let pairs = pairs("jsonb_build_object", arguments, types, context)?;
    let members = pairs
        .into_iter()
        .map(|(key, value, data_type)| Ok((key, to_json_value(value, data_type, context, 0)?)));
    members.collect::<Result<_>>().map(|members| super::jsonb(&object(members)))
}

fn one(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let mut out = Vec::new();
    let pretty = arguments.get(1).and_then(Datum::as_bool) == Some(true);
    write_json(&mut out, &arguments[0], types.arguments[0], pretty, context, 0)?;
    text(out)
}

/// json_object(text[]): pairs in a row, or rows of two.
fn array_pairs(array: &ArrayValue) -> Result<Vec<(Option<&str>, Option<&str>)>> {
    let error = |message: &str| Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message);
    match array.dimensions.as_slice() {
        [] => return Ok(Vec::new()),
        [(length, _)] if length % 2 != 0 => return Err(error("array must have even number of elements")),
        [_] | [_, (2, _)] => {}
        [_, _] => return Err(error("array must have two columns")),
        _ => return Err(error("wrong number of array subscripts")),
    }
    Ok(texts(array).chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn two_arrays<'a>(
    keys: &'a ArrayValue,
    values: &'a ArrayValue,
) -> Result<Vec<(Option<&'a str>, Option<&'a str>)>> {
    let error = |message: &str| Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    if keys.dimensions.len() > 1 || values.dimensions.len() > 1 {
        return error("wrong number of array subscripts");
    }
    if keys.elements.len() != values.elements.len() {
        return error("mismatched array dimensions");
    }
    Ok(texts(keys).into_iter().zip(texts(values)).collect())
}

fn text_object(pairs: Vec<(Option<&str>, Option<&str>)>, jsonb: bool) -> Result<Datum> {
    let null_key = || Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key");
    if jsonb {
        let members = pairs.into_iter().map(|(key, value)| {
            let value = value.map_or(Json::Null, Json::string);
            Ok((key.ok_or_else(null_key)?.to_owned(), value))
        });
        return members.collect::<Result<_>>().map(|members| super::jsonb(&object(members)));
    }
    let mut out = vec![b'{'];
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        write_string(&mut out, key.ok_or_else(null_key)?);
        out.extend_from_slice(b" : ");
        match value {
            Some(value) => write_string(&mut out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    text(out)
}

// ---- aggregates ----

fn datum(operand: &Operand, row: u32) -> Datum {
    match operand {
        Operand::Column(column) => column.get(row as usize),
        Operand::Constant(datum) => datum.clone(),
    }
}

fn type_at(types: &[Type], index: usize) -> Type {
    types.get(index).copied().unwrap_or(Type::TEXT)
}

/// json_agg and json_object_agg: text that grows.
struct JsonAggregate {
    types: Vec<Type>,
    object: bool,
    out: Vec<u8>,
}

impl JsonAggregate {
    fn key(&mut self, key: &Datum, context: &EvalContext<'_>) -> Result<()> {
        if key.is_null() {
            return Err(invalid("field name must not be null"));
        }
        write_string(&mut self.out, &key_text(key, type_at(&self.types, 0), context)?);
        self.out.extend_from_slice(b" : ");
        Ok(())
    }
}

impl Accumulator for JsonAggregate {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], context: &EvalContext<'_>) -> Result<()> {
        for row in rows {
            let values: Vec<Datum> = arguments.iter().map(|argument| datum(argument, *row)).collect();
            let (value, data_type) = match (self.object, values.as_slice()) {
                (true, [_, value]) => (value, type_at(&self.types, 1)),
                (false, [value]) => (value, type_at(&self.types, 0)),
                _ => return Err(Error::internal("a JSON aggregate got other arguments than its own")),
            };
            let first = self.out.is_empty();
            self.out.extend_from_slice(match (first, self.object) {
                (true, true) => b"{ ",
                (true, false) => b"[",
                (false, _) => b", ",
            });
            if self.object {
                self.key(&values[0], context)?;
            } else if !first && matches!(categorize(value, data_type), Category::Array | Category::Row) {
                self.out.extend_from_slice(b"\n ");
            }
            write_json(&mut self.out, value, data_type, false, context, 0)?;
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        if self.out.is_empty() {
            return Ok(Datum::Null);
        }
        let mut out = std::mem::take(&mut self.out);
        out.extend_from_slice(if self.object { b" }" } else { b"]" });
        text(out)
    }
    fn bytes(&self) -> usize {
        64 + self.out.len()
    }
}

/// jsonb_agg and jsonb_object_agg: values, each as its text until the end.
struct JsonbAggregate {
    types: Vec<Type>,
    object: bool,
    members: Vec<(String, Json)>,
    any: bool,
    bytes: usize,
}

impl Accumulator for JsonbAggregate {
    fn add(&mut self, arguments: &[Operand], rows: &[u32], context: &EvalContext<'_>) -> Result<()> {
        for row in rows {
            let values: Vec<Datum> = arguments.iter().map(|argument| datum(argument, *row)).collect();
            self.any = true;
            self.bytes += values.iter().map(Datum::bytes).sum::<usize>() * 2;
            let (key, value, data_type) = match (self.object, values.as_slice()) {
                (true, [Datum::Null, _]) => return Err(invalid("field name must not be null")),
                (true, [key, value]) => {
                    (key_text(key, type_at(&self.types, 0), context)?, value, type_at(&self.types, 1))
                }
                (false, [value]) => (String::new(), value, type_at(&self.types, 0)),
                _ => return Err(Error::internal("a JSON aggregate got other arguments than its own")),
            };
            self.members.push((key, to_json_value(value, data_type, context, 0)?));
        }
        Ok(())
    }
    fn finish(&mut self, _: &EvalContext<'_>) -> Result<Datum> {
        if !self.any {
            return Ok(Datum::Null);
        }
        let members = std::mem::take(&mut self.members);
        Ok(super::jsonb(&match self.object {
            true => object(members),
            false => Json::Array(members.into_iter().map(|(_, value)| value).collect()),
        }))
    }
    fn bytes(&self) -> usize {
        64 + self.bytes + self.members.len() * size_of::<(String, Json)>()
    }
}

fn json_aggregate(types: &[Type], object: bool) -> Box<dyn Accumulator> {
    Box::new(JsonAggregate { types: types.to_vec(), object, out: Vec::new() })
}

fn jsonb_aggregate(types: &[Type], object: bool) -> Box<dyn Accumulator> {
    Box::new(JsonbAggregate { types: types.to_vec(), object, members: Vec::new(), any: false, bytes: 0 })
}

pub fn register(r: &mut Registry) {
    for name in ["to_json", "array_to_json", "array_to_json_pretty", "row_to_json", "row_to_json_pretty"] {
        r.typed(name, one);
    }
    r.typed("to_jsonb", |arguments, types, context| {
        to_json_value(&arguments[0], types.arguments[0], context, 0).map(|json| super::jsonb(&json))
    });
    r.typed("json_build_array", build_array);
    r.typed("json_build_object", build_object);
    r.typed("jsonb_build_array", jsonb_build_array);
    r.typed("jsonb_build_object", jsonb_build_object);
    scalar!(r, "json_build_array_noargs", || "[]");
    scalar!(r, "json_build_object_noargs", || "{}");
    scalar!(r, "jsonb_build_array_noargs", || "[]");
    scalar!(r, "jsonb_build_object_noargs", || "{}");
    scalar!(r, "json_object", |pairs: &ArrayValue| text_object(array_pairs(pairs)?, false));
    scalar!(r, "jsonb_object", |pairs: &ArrayValue| text_object(array_pairs(pairs)?, true));
    scalar!(r, "json_object_two_arg", |keys: &ArrayValue, values: &ArrayValue| text_object(
        two_arrays(keys, values)?,
        false
    ));
    scalar!(r, "jsonb_object_two_arg", |keys: &ArrayValue, values: &ArrayValue| text_object(
        two_arrays(keys, values)?,
        true
    ));
    r.aggregate("agg:json_agg", |types| json_aggregate(types, false));
    r.aggregate("agg:json_object_agg", |types| json_aggregate(types, true));
    r.aggregate("agg:jsonb_agg", |types| jsonb_aggregate(types, false));
    r.aggregate("agg:jsonb_object_agg", |types| jsonb_aggregate(types, true));
}
