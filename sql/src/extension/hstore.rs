//! hstore: sets of key/value pairs, both text.
//!
//! A value is kept as its text output: pairs in PostgreSQL's order (by the length of the key, then by its bytes), each key once. Equal
//! values are equal texts, so `=` and hashing need no code of their own; the order of a btree does ([`order_bytes`]).
//!
//! The input is read by PostgreSQL's state machine, its errors (XX000, with the position in bytes) included. Of pairs with the same key the
//! first counts.

use crate::error::{Error, Result, SqlState};
use crate::functions::arguments::{Argument, IntoDatum, scalar};
use crate::functions::{
    CallTypes, EvalContext, Registry, SetIterator, domain, format_in_context, parse_in_context,
};
use crate::types::binary::{read_text, take, take_i32};
use crate::types::json::{Json, write_string};
use crate::types::{ArrayValue, Datum, Record, Type};
use std::cmp::Ordering;
use std::sync::Arc;

type Pair = (String, Option<String>);

/// Sorted, each key once.
#[derive(Debug, PartialEq)]
pub struct Hstore(Vec<Pair>);

fn key_order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

fn end_of_string() -> Error {
    // Later versions' code: PostgreSQL 15 takes it for an internal error.
    Error::new(SqlState::SYNTAX_ERROR, "Unexpected end of string")
}

struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }
    fn next(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.position += found.len_utf8();
        Some(found)
    }
    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.position += 1;
        }
    }
    fn unexpected(&self) -> Error {
        match self.peek() {
            Some(c) => {
                let message = format!("Syntax error near \"{c}\" at position {}", self.position);
                Error::new(SqlState::SYNTAX_ERROR, message)
            }
            None => end_of_string(),
        }
    }
    /// A key or a value, and whether it was quoted; None at the end of the text.
    fn word(&mut self, is_value: bool) -> Result<Option<(String, bool)>> {
        self.skip_blanks();
        let mut word = String::new();
        match self.peek() {
            None => return Ok(None),
            Some('=') if !is_value => return Err(self.unexpected()),
            Some('"') => {
                self.position += 1;
                loop {
                    match self.next().ok_or_else(end_of_string)? {
                        '"' => return Ok(Some((word, true))),
                        '\\' => word.push(self.next().ok_or_else(end_of_string)?),
                        c => word.push(c),
                    }
                }
            }
            Some(_) => {}
        }
        // The first character belongs to the word, whatever it is.
        let mut first = true;
        while let Some(c) = self.peek() {
            let ends = c == if is_value { ',' } else { '=' } || is_blank(c);
            if ends && !first {
                break;
            }
            first = false;
            self.position += c.len_utf8();
            word.push(match c {
                '\\' => self.next().ok_or_else(end_of_string)?,
                c => c,
            });
        }
        Ok(Some((word, false)))
    }
    fn pairs(mut self) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        while let Some((key, _)) = self.word(false)? {
            self.skip_blanks();
            for expected in ['=', '>'] {
                match self.peek() {
                    Some(c) if c == expected => self.position += 1,
                    _ => return Err(self.unexpected()),
                }
            }
            let (value, quoted) = self.word(true)?.ok_or_else(end_of_string)?;
            let null = !quoted && value.eq_ignore_ascii_case("null");
            pairs.push((key, (!null).then_some(value)));
            self.skip_blanks();
            match self.peek() {
                Some(',') => self.position += 1,
                None => break,
                Some(_) => return Err(self.unexpected()),
            }
        }
        Ok(pairs)
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

impl Hstore {
    pub fn parse(text: &str) -> Result<Hstore> {
        Reader { text, position: 0 }.pairs().map(Hstore::of)
    }

    fn of(mut pairs: Vec<Pair>) -> Hstore {
        pairs.sort_by(|a, b| key_order(&a.0, &b.0));
        pairs.dedup_by(|later, earlier| later.0 == earlier.0);
        Hstore(pairs)
    }

    fn get(&self, key: &str) -> Option<&Option<String>> {
        let found = self.0.binary_search_by(|pair| key_order(&pair.0, key)).ok()?;
        Some(&self.0[found].1)
    }

    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for (key, value) in &self.0 {
            if !out.is_empty() {
                out.push_str(", ");
            }
            write_quoted(&mut out, key);
            out.push_str("=>");
            match value {
                Some(value) => write_quoted(&mut out, value),
                None => out.push_str("NULL"),
            }
        }
        out
    }

    fn concat(self, other: Hstore) -> Hstore {
        // Of equal keys the first stays, and the later operand wins.
        Hstore::of(other.0.into_iter().chain(self.0).collect())
    }

    fn contains(&self, part: &Hstore) -> bool {
        part.0.iter().all(|(key, value)| self.get(key) == Some(value))
    }

    fn without(mut self, gone: impl Fn(&Pair) -> bool) -> Hstore {
        self.0.retain(|pair| !gone(pair));
        self
    }

    fn keys(&self) -> Vec<Datum> {
        self.0.iter().map(|pair| Datum::text(pair.0.as_str())).collect()
    }

    fn values(&self) -> Vec<Datum> {
        self.0.iter().map(|pair| optional(&pair.1)).collect()
    }

    fn alternating(&self) -> Vec<Datum> {
        self.0.iter().flat_map(|(key, value)| [Datum::text(key.as_str()), optional(value)]).collect()
    }

    /// `loose`: t, f and what JSON takes for a number are not quoted.
    fn to_json(&self, loose: bool) -> String {
        let mut out = vec![b'{'];
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.extend(b", ");
            }
            write_string(&mut out, key);
            out.extend(b": ");
            match value.as_deref() {
                None => out.extend(b"null"),
                Some("t") if loose => out.extend(b"true"),
                Some("f") if loose => out.extend(b"false"),
                Some(value) if loose && is_json_number(value) => out.extend(value.as_bytes()),
                Some(value) => write_string(&mut out, value),
            }
        }
        out.push(b'}');
        String::from_utf8(out).expect("made of strings")
    }
}

fn is_json_number(value: &str) -> bool {
    let starts = value.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let ends = value.ends_with(|c: char| c.is_ascii_digit());
    starts && ends && Json::parse(value).is_ok_and(|json| json.type_name() == "number")
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn optional(value: &Option<String>) -> Datum {
    value.as_deref().map_or(Datum::Null, Datum::text)
}

/// Bytes that compare as PostgreSQL's hstore_cmp() does: all keys and values one after the other; the number of pairs; where each key and
/// value ends, and which are null. The empty hstore is before all others.
pub fn order_bytes(text: &str) -> Vec<u8> {
    // What is in a table was parsed before.
    let pairs = Hstore::parse(text).map(|hstore| hstore.0).unwrap_or_default();
    let mut strings: Vec<u8> = Vec::new();
    let mut ends = (pairs.len() as u32).to_be_bytes().to_vec();
    for (key, value) in &pairs {
        strings.extend(key.as_bytes());
        ends.extend((strings.len() as u32).to_be_bytes());
        ends.push(0);
        strings.extend(value.as_deref().unwrap_or_default().as_bytes());
        ends.extend((strings.len() as u32).to_be_bytes());
        ends.push(u8::from(value.is_none()));
    }
    let mut out = Vec::with_capacity(strings.len() + ends.len() + 3);
    out.push(u8::from(!pairs.is_empty()));
    for byte in strings {
        match byte {
            0 => out.extend([0, 0xff]),
            byte => out.push(byte),
        }
    }
    out.extend([0, 1]);
    out.extend(ends);
    out
}

pub fn compare(a: &str, b: &str) -> Ordering {
    order_bytes(a).cmp(&order_bytes(b))
}

/// Number of pairs; of each the length and bytes of the key, and of the value (-1: null).
pub fn write_binary(out: &mut Vec<u8>, text: &str) {
    let pairs = Hstore::parse(text).map(|hstore| hstore.0).unwrap_or_default();
    out.extend((pairs.len() as i32).to_be_bytes());
    for (key, value) in &pairs {
        for field in [Some(key), value.as_ref()] {
            match field {
                Some(text) => {
                    out.extend((text.len() as i32).to_be_bytes());
                    out.extend(text.as_bytes());
                }
                None => out.extend((-1i32).to_be_bytes()),
            }
        }
    }
}

pub fn read_binary(mut bytes: &[u8]) -> Result<Datum> {
    let count = take_i32(&mut bytes)?;
    // Each pair has two lengths at least, so that a count can't make this allocate more than was sent.
    if count < 0 || count as usize > bytes.len() / 8 {
        let message = format!("number of pairs ({count}) exceeds the maximum allowed ({})", i32::MAX / 28);
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let mut pairs = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let key = take_text(&mut bytes)?.ok_or_else(|| {
            Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for hstore key")
        })?;
        pairs.push((key, take_text(&mut bytes)?));
    }
    match bytes.is_empty() {
        true => Ok(datum(&Hstore::of(pairs))),
        false => Err(Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format")),
    }
}

fn take_text(bytes: &mut &[u8]) -> Result<Option<String>> {
    match usize::try_from(take_i32(bytes)?) {
        Ok(length) => Ok(Some(read_text(take(bytes, length)?)?.to_owned())),
        Err(_) => Ok(None),
    }
}

fn datum(value: &Hstore) -> Datum {
    Datum::text(value.to_text())
}

fn array(elements: Vec<Datum>) -> ArrayValue {
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
    ArrayValue { element: Type::TEXT, dimensions, elements }
}

fn array_error(message: &str) -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// A null among them is an error, or (among keys to look for) passed over.
fn key(value: &Datum) -> Result<String> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for hstore key"))
}

fn value_of(value: &Datum) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn keys_of(keys: &ArrayValue) -> impl Iterator<Item = &str> {
    keys.elements.iter().filter_map(Datum::as_str)
}

fn from_array(pairs: &ArrayValue) -> Result<Hstore> {
    match pairs.dimensions[..] {
        [] => {}
        [(length, _)] if length % 2 != 0 => {
            return Err(array_error("array must have even number of elements"));
        }
        [_] | [_, (2, _)] => {}
        [_, _] => return Err(array_error("array must have two columns")),
        _ => return Err(array_error("wrong number of array subscripts")),
    }
    let pairs = pairs.elements.chunks_exact(2).map(|pair| Ok((key(&pair[0])?, value_of(&pair[1]))));
    Ok(Hstore::of(pairs.collect::<Result<_>>()?))
}

fn from_arrays(keys: &ArrayValue, values: Option<&ArrayValue>) -> Result<Hstore> {
    if keys.dimensions.len() > 1 || values.is_some_and(|values| values.dimensions.len() > 1) {
        return Err(array_error("wrong number of array subscripts"));
    }
    if values.is_some_and(|values| values.dimensions != keys.dimensions) {
        return Err(array_error("arrays must have same bounds"));
    }
    let value = |at: usize| values.and_then(|values| value_of(&values.elements[at]));
    let pairs = keys.elements.iter().enumerate().map(|(at, found)| Ok((key(found)?, value(at))));
    Ok(Hstore::of(pairs.collect::<Result<_>>()?))
}

/// The columns of a row, or of a null of a row's type.
fn from_record(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let template = types.arguments[0].row_template();
    let row = match (arguments[0].as_record(), &template) {
        (Some(row), _) | (None, Some(row)) => row,
        (None, None) => return Ok(Datum::Null),
    };
    let names = row.names.as_deref().or_else(|| template.as_ref().and_then(|row| row.names.as_deref()));
    let mut pairs = Vec::with_capacity(row.len());
    for (index, (data_type, value)) in row.iter().enumerate() {
        let name = names.and_then(|names| names.get(index)).cloned();
        let name = name.unwrap_or_else(|| format!("f{}", index + 1));
        let value = match value {
            Datum::Null => None,
            value => Some(format_in_context(value, *data_type, context)?),
        };
        pairs.push((name, value));
    }
    Ok(datum(&Hstore::of(pairs)))
}

/// The row with those of its columns replaced whose names are keys.
fn populate(arguments: &[Datum], types: &CallTypes<'_>, context: &EvalContext<'_>) -> Result<Datum> {
    let template = types.result.row_template();
    let row = match (arguments[0].as_record(), &template) {
        (Some(row), _) | (None, Some(row)) => row,
        (None, None) => {
            let message = "could not determine row type for result of populate_record";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
    };
    let Some(text) = arguments[1].as_str() else { return Ok(arguments[0].clone()) };
    let hstore = Hstore::parse(text)?;
    if hstore.0.is_empty() && arguments[0].as_record().is_some() {
        return Ok(arguments[0].clone());
    }
    let names = row.names.as_deref().or_else(|| template.as_ref().and_then(|row| row.names.as_deref()));
    let mut fields = Vec::with_capacity(row.len());
    for (index, (data_type, value)) in row.iter().enumerate() {
        let name = names.and_then(|names| names.get(index)).map_or("", String::as_str);
        let value = match hstore.get(name) {
            None => value.clone(),
            Some(None) => Datum::Null,
            Some(Some(text)) => parse_in_context(text, *data_type, -1, context)?,
        };
        domain::verify(&value, *data_type, context)?;
        fields.push((*data_type, value));
    }
    Ok(Datum::Record(Arc::new(Record { fields, names: None })))
}

fn rows(arguments: &[Datum], row: impl Fn(Pair) -> Vec<Datum>) -> Result<SetIterator> {
    let text = arguments.first().and_then(Datum::as_str).unwrap_or_default();
    let rows: Vec<_> = Hstore::parse(text)?.0.into_iter().map(|pair| Ok(row(pair))).collect();
    Ok(Box::new(rows.into_iter()))
}

/// `hstore['key'] = value`: (hstore, value, key).
pub fn assign(arguments: &[Datum]) -> Result<Datum> {
    let [container, value, found] = arguments else {
        return Err(Error::internal("assign_hstore got other arguments than its own"));
    };
    let Some(found) = found.as_str() else {
        let message = "hstore subscript in assignment must not be null";
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
    };
    let pair = Hstore(vec![(found.to_owned(), value_of(value))]);
    let container = Hstore::parse(container.as_str().unwrap_or_default())?;
    Ok(datum(&container.concat(pair)))
}

pub fn register(r: &mut Registry) {
    scalar!(r, "hstore_fetchval", |h: Hstore, key: &str| h.get(key).map_or(Datum::Null, optional));
    scalar!(r, "hstore_slice_to_array", |h: Hstore, keys: &ArrayValue| {
        let value = |key: &Datum| key.as_str().and_then(|key| h.get(key)).map_or(Datum::Null, optional);
        ArrayValue { elements: keys.elements.iter().map(value).collect(), ..keys.clone() }
    });
    scalar!(r, "hstore_slice_to_hstore", |h: Hstore, keys: &ArrayValue| {
        let found = keys_of(keys).filter_map(|key| Some((key.to_owned(), h.get(key)?.clone())));
        Hstore::of(found.collect())
    });
    scalar!(r, "hstore_exists", |h: Hstore, key: &str| h.get(key).is_some());
    scalar!(r, "hstore_exists_any", |h: Hstore, keys: &ArrayValue| keys_of(keys)
        .any(|key| h.get(key).is_some()));
    scalar!(r, "hstore_exists_all", |h: Hstore, keys: &ArrayValue| keys_of(keys)
        .all(|key| h.get(key).is_some()));
    scalar!(r, "hstore_defined", |h: Hstore, key: &str| h.get(key).is_some_and(Option::is_some));
    scalar!(r, "hstore_delete", |h: Hstore, key: &str| h.without(|pair| pair.0 == key));
    scalar!(r, "hstore_delete_array", |h: Hstore, keys: &ArrayValue| {
        h.without(|pair| keys_of(keys).any(|key| key == pair.0))
    });
    scalar!(r, "hstore_delete_hstore", |h: Hstore, other: Hstore| {
        h.without(|pair| other.get(&pair.0) == Some(&pair.1))
    });
    scalar!(r, "hstore_concat", |a: Hstore, b: Hstore| a.concat(b));
    scalar!(r, "hstore_contains", |a: Hstore, b: Hstore| a.contains(&b));
    scalar!(r, "hstore_contained", |a: Hstore, b: Hstore| b.contains(&a));
    scalar!(r, "hstore_from_text", |key: Option<&str>, value: Option<&str>| {
        key.map(|key| Hstore(vec![(key.to_owned(), value.map(str::to_owned))]))
    });
    scalar!(r, "hstore_from_arrays", |keys: Option<&ArrayValue>, values: Option<&ArrayValue>| {
        keys.map(|keys| from_arrays(keys, values)).transpose()
    });
    scalar!(r, "hstore_from_array", |pairs: &ArrayValue| from_array(pairs));
    scalar!(r, "hstore_to_json", |h: Hstore| h.to_json(false));
    scalar!(r, "hstore_to_json_loose", |h: Hstore| h.to_json(true));
    scalar!(r, "hstore_to_jsonb", |h: Hstore| Json::parse(&h.to_json(false)).map(|json| json.to_text()));
    scalar!(r, "hstore_to_jsonb_loose", |h: Hstore| Json::parse(&h.to_json(true)).map(|json| json.to_text()));
    r.typed("hstore_from_record", from_record);
    r.typed("hstore_populate_record", populate);
    scalar!(r, "hstore_to_array", |h: Hstore| array(h.alternating()));
    scalar!(r, "hstore_to_matrix", |h: Hstore| match h.0.len() {
        0 => array(Vec::new()),
        count => ArrayValue {
            element: Type::TEXT,
            dimensions: vec![(count as i32, 1), (2, 1)],
            elements: h.alternating(),
        },
    });
    scalar!(r, "hstore_akeys", |h: Hstore| array(h.keys()));
    scalar!(r, "hstore_avals", |h: Hstore| array(h.values()));
    r.set("hstore_skeys", |arguments, _| rows(arguments, |pair| vec![Datum::text(pair.0)]));
    r.set("hstore_svals", |arguments, _| rows(arguments, |pair| vec![optional(&pair.1)]));
    r.set("hstore_each", |arguments, _| {
        rows(arguments, |pair| vec![Datum::text(pair.0.as_str()), optional(&pair.1)])
    });
    scalar!(r, "hstore_eq", |a: &str, b: &str| a == b);
    scalar!(r, "hstore_ne", |a: &str, b: &str| a != b);
    scalar!(r, "hstore_gt", |a: &str, b: &str| compare(a, b).is_gt());
    scalar!(r, "hstore_ge", |a: &str, b: &str| compare(a, b).is_ge());
    scalar!(r, "hstore_lt", |a: &str, b: &str| compare(a, b).is_lt());
    scalar!(r, "hstore_le", |a: &str, b: &str| compare(a, b).is_le());
    scalar!(r, "hstore_cmp", |a: &str, b: &str| compare(a, b) as i32);
}

impl Argument<'_> for Hstore {
    fn take(datum: &Datum) -> Result<Hstore> {
        Hstore::parse(<&str>::take(datum)?)
    }
}

impl IntoDatum for Hstore {
    fn into_datum(self) -> Result<Datum> {
        Ok(datum(&self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_by_length_and_print_what_reads_again() {
        for (input, output) in [
            ("", ""),
            (" a=>1,b=>null,b=>\"null\", \"x\\\"y\"=>'q'  ", r#""a"=>"1", "b"=>NULL, "x\"y"=>"'q'""#),
            ("aa=>1, b=>2,", r#""b"=>"2", "aa"=>"1""#),
            (r"a\=b=>\,c", r#""a=b"=>",c""#),
        ] {
            let parsed = Hstore::parse(input).unwrap();
            assert_eq!(parsed.to_text(), output);
            assert_eq!(Hstore::parse(output).unwrap(), parsed);
            let mut binary = Vec::new();
            write_binary(&mut binary, output);
            assert_eq!(read_binary(&binary).unwrap(), Datum::text(output));
        }
    }

    #[test]
    fn lies_about_lengths_are_refused() {
        for bytes in
            [&[0, 0][..], &[0x7f, 0xff, 0xff, 0xff], &[0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0], &[0xff; 12]]
        {
            assert!(read_binary(bytes).is_err(), "{bytes:?}");
        }
    }
}
