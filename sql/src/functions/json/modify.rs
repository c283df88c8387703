//! jsonb from jsonb: concatenation, deletion, setting by path.

use super::super::arguments::scalar;
use super::super::{EvalContext, Registry};
use super::{invalid, jsonb, parse, texts};
use crate::error::{Error, Result, SqlState};
use crate::types::json::{Json, key_order, object, scan};
use crate::types::{ArrayValue, Datum};

/// `||`: objects are merged, anything else goes into one array.
fn concat(a: Json, b: Json) -> Json {
    match (a, b) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            object(a)
        }
        (a, b) => {
            let list = |json| match json {
                Json::Array(elements) => elements,
                other => vec![other],
            };
            let mut elements = list(a);
            elements.extend(list(b));
            Json::Array(elements)
        }
    }
}

/// `- text` and `- text[]`.
fn delete_keys(json: Json, keys: &[Option<&str>]) -> Result<Json> {
    let named = |text: &str| keys.contains(&Some(text));
    match json {
        Json::Object(mut members) => {
            members.retain(|(key, _)| !named(key));
            Ok(Json::Object(members))
        }
        Json::Array(mut elements) => {
            elements.retain(|element| !matches!(element, Json::String(text) if named(text)));
            Ok(Json::Array(elements))
        }
        _ => Err(invalid("cannot delete from scalar")),
    }
}

fn delete_index(json: Json, index: i32) -> Result<Json> {
    match json {
        Json::Array(mut elements) => {
            let length = elements.len() as i64;
            let at = if index < 0 { length + i64::from(index) } else { i64::from(index) };
            if (0..length).contains(&at) {
                elements.remove(at as usize);
            }
            Ok(Json::Array(elements))
        }
        Json::Object(_) => Err(invalid("cannot delete from object using integer index")),
        _ => Err(invalid("cannot delete from scalar")),
    }
}

/// What happens where a path ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::functions) enum Change {
    Delete,
    /// jsonb_set; and add what is missing.
    Replace {
        create: bool,
    },
    /// jsonb_insert.
    Insert {
        after: bool,
    },
    /// Assignment to a subscript: adds what is missing, on the way too, and fills arrays with nulls.
    Assign,
}

impl Change {
    fn creates(self) -> bool {
        matches!(self, Change::Replace { create: true } | Change::Insert { .. } | Change::Assign)
    }
}

/// Applies a change where `path` leads. `level` counts the steps taken, for errors.
pub(in crate::functions) fn set_path(
    json: Json,
    path: &[Option<&str>],
    level: usize,
    new: Option<&Json>,
    change: Change,
) -> Result<Json> {
    let Some((step, rest)) = path.split_first() else { return Ok(json) };
    let Some(step) = step else {
        let message = format!("path element at position {} is null", level + 1);
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
    };
    let last = rest.is_empty();
    match json {
        Json::Object(mut members) => {
            match members.binary_search_by(|(key, _)| key_order(key, step)) {
                Ok(at) if last => match (change, new) {
                    (Change::Delete, _) => {
                        members.remove(at);
                    }
                    (Change::Insert { .. }, _) => {
                        return Err(invalid("cannot replace existing key")
                            .hint("Try using the function jsonb_set to replace key value."));
                    }
                    (_, new) => members[at].1 = new.cloned().unwrap_or(Json::Null),
                },
                Ok(at) => {
                    let value = std::mem::replace(&mut members[at].1, Json::Null);
                    members[at].1 = set_path(value, rest, level + 1, new, change)?;
                }
                Err(at) if last && change.creates() => {
                    members.insert(at, ((*step).to_owned(), new.cloned().unwrap_or(Json::Null)));
                }
                Err(at) if change == Change::Assign => {
                    members.insert(at, ((*step).to_owned(), create_path(rest, level + 1, new)?));
                }
                Err(_) => {}
            }
            Ok(Json::Object(members))
        }
        Json::Array(elements) => set_element(elements, step, rest, level, new, change),
        scalar if change == Change::Assign => {
            let _ = scalar;
            Err(invalid("cannot replace existing key")
                .detail("The path assumes key is a composite object, but it is a scalar value."))
        }
        scalar => Ok(scalar),
    }
}

fn set_element(
    mut elements: Vec<Json>,
    step: &str,
    rest: &[Option<&str>],
    level: usize,
    new: Option<&Json>,
    change: Change,
) -> Result<Json> {
    let index: i64 = step.trim_start().parse::<i32>().map(i64::from).map_err(|_| {
        let message = format!("path element at position {} is not an integer: \"{step}\"", level + 1);
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })?;
    let length = elements.len() as i64;
    let before_all = index < -length;
    if before_all && change == Change::Assign {
        let message = format!("path element at position {} is out of range: {index}", level + 1);
        return Err(invalid(message));
    }
    let at = if index < 0 { index + length } else { index };
    let value = || new.cloned().unwrap_or(Json::Null);
    if rest.is_empty() {
        match change {
            _ if before_all || (length == 0 && change != Change::Assign) => {
                if change.creates() {
                    elements.insert(0, value());
                }
            }
            Change::Assign if at >= length => {
                const GAP_MAX: i64 = 1 << 26;
                if at - length > GAP_MAX {
                    return Err(Error::new(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        "total size of jsonb array elements exceeds the maximum of 268435455 bytes",
                    ));
                }
                elements.resize(at as usize, Json::Null);
                elements.push(value());
            }
            _ if at >= length => {
                if change.creates() {
                    elements.push(value());
                }
            }
            Change::Delete => {
                elements.remove(at as usize);
            }
            Change::Insert { after } => elements.insert(at as usize + usize::from(after), value()),
            Change::Replace { .. } | Change::Assign => elements[at as usize] = value(),
        }
    } else if !before_all && at < length {
        let inner = std::mem::replace(&mut elements[at as usize], Json::Null);
        elements[at as usize] = set_path(inner, rest, level + 1, new, change)?;
    } else if change == Change::Assign {
        elements.resize(at as usize, Json::Null);
        elements.push(create_path(rest, level + 1, new)?);
    }
    Ok(Json::Array(elements))
}

/// The value that a path of missing keys makes: arrays for integers, objects for other keys.
fn create_path(path: &[Option<&str>], level: usize, new: Option<&Json>) -> Result<Json> {
    let Some((step, _)) = path.split_first() else { return Ok(new.cloned().unwrap_or(Json::Null)) };
    let empty = match step {
        Some(step) if step.parse::<i32>().is_ok() => Json::Array(Vec::new()),
        _ => Json::Object(Vec::new()),
    };
    set_path(empty, path, level, new, Change::Assign)
}

fn change(json: &Datum, path: &ArrayValue, new: Option<&Datum>, change: Change) -> Result<Datum> {
    if path.dimensions.len() > 1 {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
    }
    let parsed = parse(json)?;
    if parsed.is_scalar() {
        let what = if change == Change::Delete { "delete path" } else { "set path" };
        return Err(invalid(format!("cannot {what} in scalar")));
    }
    let empty = matches!(&parsed, Json::Array(e) if e.is_empty())
        || matches!(&parsed, Json::Object(m) if m.is_empty());
    if path.elements.is_empty() || (empty && !change.creates()) {
        return Ok(json.clone());
    }
    let new = new.map(parse).transpose()?;
    set_path(parsed, &texts(path), 0, new.as_ref(), change).map(|json| jsonb(&json))
}

/// jsonb_set_lax: what a null means is said by the last argument.
fn set_lax(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let [json, path, new, rest @ ..] = arguments else { return Err(Error::internal("jsonb_set_lax")) };
    let create = rest.first().map_or(Some(true), Datum::as_bool);
    let (Some(create), Some(path), false) = (create, path.as_array(), json.is_null()) else {
        return Ok(Datum::Null);
    };
    let treatment = rest.get(1).map_or(Some("use_json_null"), Datum::as_str);
    let Some(treatment) = treatment else {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        ));
    };
    if !new.is_null() {
        return change(json, path, Some(new), Change::Replace { create });
    }
    match treatment {
        "raise_exception" => Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "JSON value must not be null")
            .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
            .hint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.")),
        "return_target" => Ok(json.clone()),
        "delete_key" => change(json, path, None, Change::Delete),
        "use_json_null" => change(json, path, Some(&Datum::text("null")), Change::Replace { create }),
        _ => Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

/// Without the members that are null, at every level.
fn strip_nulls(json: Json) -> Json {
    match json {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| !matches!(value, Json::Null))
                .map(|(key, value)| (key, strip_nulls(value)))
                .collect(),
        ),
        Json::Array(elements) => Json::Array(elements.into_iter().map(strip_nulls).collect()),
        scalar => scalar,
    }
}

/// The same for json, whose keys and spelling stay; blanks go.
fn strip_text(text: &str, out: &mut String) {
    let text = text.trim_matches([' ', '\t', '\n', '\r']);
    let Some(parts) = scan::parts(text) else { return out.push_str(text) };
    let is_object = scan::kind(text) == scan::Kind::Object;
    out.push(if is_object { '{' } else { '[' });
    let mut first = true;
    for (key, value) in parts {
        if is_object && scan::kind(value) == scan::Kind::Null {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        if is_object {
            out.push('"');
            out.push_str(key);
            out.push_str("\":");
        }
        strip_text(value, out);
    }
    out.push(if is_object { '}' } else { ']' });
}

pub fn register(r: &mut Registry) {
    scalar!(r, "jsonb_concat", |a: &Datum, b: &Datum| {
        let (a, b) = (parse(a)?, parse(b)?);
        Ok::<Datum, Error>(jsonb(&concat(a, b)))
    });
    scalar!(r, "jsonb_delete", |json: &Datum, key: &str| delete_keys(parse(json)?, &[Some(key)])
        .map(|json| jsonb(&json)));
    scalar!(r, "jsonb_delete_idx", |json: &Datum, index: i32| delete_index(parse(json)?, index)
        .map(|json| jsonb(&json)));
    r.scalar("jsonb_delete_array", |arguments, _| {
        let keys: Vec<Option<&str>> = super::variadic(arguments, 1).iter().map(Datum::as_str).collect();
        delete_keys(parse(&arguments[0])?, &keys).map(|json| jsonb(&json))
    });
    scalar!(r, "jsonb_delete_path", |json: &Datum, path: &ArrayValue| change(
        json,
        path,
        None,
        Change::Delete
    ));
    r.scalar("jsonb_set", |arguments, _| {
        let [json, Datum::Array(path), new, rest @ ..] = arguments else {
            return Err(Error::internal("jsonb_set got other arguments than its own"));
        };
        let create = rest.first().and_then(Datum::as_bool).unwrap_or(true);
        change(json, path, Some(new), Change::Replace { create })
    });
    r.scalar("jsonb_insert", |arguments, _| {
        let [json, Datum::Array(path), new, rest @ ..] = arguments else {
            return Err(Error::internal("jsonb_insert got other arguments than its own"));
        };
        let after = rest.first().and_then(Datum::as_bool).unwrap_or(false);
        change(json, path, Some(new), Change::Insert { after })
    });
    r.scalar("jsonb_set_lax", set_lax);
    scalar!(r, "jsonb_pretty", |json: &Datum| {
        let mut out = Vec::new();
        parse(json)?.write_pretty(&mut out, 0);
        String::from_utf8(out).map_err(|_| Error::internal("JSON that is not UTF-8"))
    });
    scalar!(r, "jsonb_strip_nulls", |json: &Datum| Ok::<Datum, Error>(jsonb(&strip_nulls(parse(json)?))));
    scalar!(r, "json_strip_nulls", |json: &str| {
        let mut out = String::with_capacity(json.len());
        strip_text(json, &mut out);
        out
    });
}
