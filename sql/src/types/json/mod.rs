//! json and jsonb.
//!
//! A json value is its text, checked and kept as it came. A jsonb value is kept as text too, in the one form that jsonb's output
//! function would give it: keys once, the shortest first and those of one length by their bytes; `": "` and `", "` as separators;
//! numbers as numeric prints them. So reading, storing and showing jsonb copy bytes, taking a part of it is a walk over bytes
//! ([`scan`]), and only what changes or compares values builds a tree ([`Json`]).
//!
//! Rules:
//! 1. Text of type jsonb is canonical wherever it is in the system: the ways in are [`Json::parse`], binary input and functions,
//!    and all of them write with [`Json::write`]. Equal bytes are equal values; the reverse fails only for numbers' scales (1.0, 1.00).
//! 2. Depth is bounded ([`DEPTH_MAX`], 54001) where text is read, so that walks over a tree may recurse.
//! 3. The order is that of PostgreSQL's compareJsonbContainers: Object > Array > Boolean > Number > String > Null, more elements
//!    beat fewer, then element by element; an empty array at the top is less than anything else (a quirk kept, as PostgreSQL does).
//!    [`Json::encode_key`] writes bytes in that order for indexes.

mod parse;
pub mod path;
pub mod scan;

pub use parse::validate;

use super::Numeric;
use crate::error::Result;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Values within values, at most. PostgreSQL's bound is that of its stack, somewhat above.
pub const DEPTH_MAX: usize = 1500;

#[derive(Clone, Debug)]
pub enum Json {
    Null,
    String(String),
    Number(Numeric),
    Bool(bool),
    Array(Vec<Json>),
    /// Keys once, in the order of [`key_order`].
    Object(Vec<(String, Json)>),
}

/// How an object's keys are kept: by length, then by bytes.
pub fn key_order(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

/// Puts members in order; of equal keys the last stays.
pub fn object(mut members: Vec<(String, Json)>) -> Json {
    if !members.is_sorted_by(|a, b| key_order(&a.0, &b.0).is_lt()) {
        // Stable: of equal keys the last comes last.
        members.sort_by(|a, b| key_order(&a.0, &b.0));
        members.reverse();
        members.dedup_by(|later, kept| later.0 == kept.0);
        members.reverse();
    }
    Json::Object(members)
}

impl Json {
    /// Reads text as jsonb's input function does.
    pub fn parse(text: &str) -> Result<Json> {
        parse::parse(text)
    }
    /// Reads a jsonb value, whose text this module has written.
    pub fn of_canonical(text: &str) -> Result<Json> {
        parse::parse(text)
    }
    pub fn string(value: &str) -> Json {
        Json::String(value.to_owned())
    }
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }
    /// jsonb_typeof.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::String(_) => "string",
            Json::Number(_) => "number",
            Json::Bool(_) => "boolean",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }
    pub fn member(&self, key: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        let at = members.binary_search_by(|(name, _)| key_order(name, key)).ok()?;
        Some(&members[at].1)
    }
    /// jsonb's canonical text.
    pub fn to_text(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8(out).expect("it is made of strings and ASCII")
    }
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Number(number) => number.write_text(out),
            Json::String(text) => write_string(out, text),
            Json::Array(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            Json::Object(members) => {
                out.push(b'{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    write_string(out, key);
                    out.extend_from_slice(b": ");
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
    /// jsonb_pretty: four blanks a level.
    pub fn write_pretty(&self, out: &mut Vec<u8>, level: usize) {
        let line = |out: &mut Vec<u8>, level: usize| {
            out.push(b'\n');
            out.resize(out.len() + level * 4, b' ');
        };
        match self {
            Json::Array(elements) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    line(out, level + 1);
                    element.write_pretty(out, level + 1);
                }
                line(out, level);
                out.push(b']');
            }
            Json::Object(members) => {
                out.push(b'{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    line(out, level + 1);
                    write_string(out, key);
                    out.extend_from_slice(b": ");
                    value.write_pretty(out, level + 1);
                }
                line(out, level);
                out.push(b'}');
            }
            scalar => scalar.write(out),
        }
    }

    /// The rank of a kind in rule 3.
    fn rank(&self) -> u8 {
        match self {
            Json::Null => 1,
            Json::String(_) => 2,
            Json::Number(_) => 3,
            Json::Bool(_) => 4,
            Json::Array(_) => 5,
            Json::Object(_) => 6,
        }
    }

    fn top_rank(&self) -> u8 {
        match self {
            Json::Array(elements) if elements.is_empty() => 0,
            other => other.rank(),
        }
    }

    /// The order of whole values.
    pub fn compare(&self, other: &Json) -> Ordering {
        self.top_rank().cmp(&other.top_rank()).then_with(|| self.compare_inner(other))
    }

    fn compare_inner(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::String(a), Json::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Json::Number(a), Json::Number(b)) => a.compare(b),
            (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
            (Json::Array(a), Json::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
                let orders = a.iter().zip(b).map(|(a, b)| a.compare_inner(b));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
            (Json::Object(a), Json::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                let orders = a
                    .iter()
                    .zip(b)
                    .map(|(a, b)| a.0.as_bytes().cmp(b.0.as_bytes()).then_with(|| a.1.compare_inner(&b.1)));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    pub fn same(&self, other: &Json) -> bool {
        self.compare_inner(other).is_eq()
    }

    pub fn hash_value<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Json::Null => {}
            Json::String(text) => text.hash(state),
            Json::Number(number) => number.hash_value(state),
            Json::Bool(value) => state.write_u8(u8::from(*value)),
            Json::Array(elements) => elements.iter().for_each(|element| element.hash_value(state)),
            Json::Object(members) => members.iter().for_each(|(key, value)| {
                key.hash(state);
                value.hash_value(state);
            }),
        }
    }

    /// Bytes that sort as [`Json::compare`] does and tell where they end: the rank, then for an array its length (4 bytes) and
    /// elements, for an object its length and keys and values, for a string and a number what their types have.
    pub fn encode_key(&self, out: &mut Vec<u8>) {
        match self.top_rank() {
            0 => out.push(0),
            _ => self.encode_inner(out),
        }
    }

    fn encode_inner(&self, out: &mut Vec<u8>) {
        use crate::table::key::{encode_bytes, encode_numeric};
        out.push(self.rank());
        match self {
            Json::Null => {}
            Json::Bool(value) => out.push(u8::from(*value)),
            Json::String(text) => encode_bytes(text.as_bytes(), out),
            Json::Number(number) => encode_numeric(number, out),
            Json::Array(elements) => {
                out.extend((elements.len() as u32).to_be_bytes());
                elements.iter().for_each(|element| element.encode_inner(out));
            }
            Json::Object(members) => {
                out.extend((members.len() as u32).to_be_bytes());
                for (key, value) in members {
                    encode_bytes(key.as_bytes(), out);
                    value.encode_inner(out);
                }
            }
        }
    }

    /// `@>`: whether `part` is in `self` (JsonbDeepContains, with its exception: an array contains a scalar that is an element).
    pub fn contains(&self, part: &Json) -> bool {
        match (self, part) {
            (Json::Array(elements), scalar) if scalar.is_scalar() => elements.iter().any(|e| e.same(scalar)),
            _ => self.contains_inner(part),
        }
    }

    fn contains_inner(&self, part: &Json) -> bool {
        match (self, part) {
            (Json::Object(_), Json::Object(members)) => members
                .iter()
                .all(|(key, value)| self.member(key).is_some_and(|found| found.contains_inner(value))),
            (Json::Array(elements), Json::Array(parts)) => parts.iter().all(|part| match part.is_scalar() {
                true => elements.iter().any(|element| element.same(part)),
                false => elements.iter().any(|element| element.contains_inner(part)),
            }),
            (a, b) => a.is_scalar() && b.is_scalar() && a.same(b),
        }
    }
}

/// A string with quotes and escapes (escape_json).
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain..index]);
        plain = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Whether jsonb `a` is before `b`. Text that is not jsonb (damage on disk) has some order.
pub fn compare_text(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (Json::of_canonical(a), Json::of_canonical(b)) {
        (Ok(a), Ok(b)) => a.compare(&b),
        _ => a.cmp(b),
    }
}

pub fn hash_text<H: Hasher>(text: &str, state: &mut H) {
    match Json::of_canonical(text) {
        Ok(json) => json.hash_value(state),
        Err(_) => state.write(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        Json::parse(text).map_or_else(|error| error.message().to_owned(), |json| json.to_text())
    }

    #[test]
    fn jsonb_text_is_canonical() {
        assert_eq!(
            canonical(r#" {"bb":1, "a" :[ ], "bb":2.50 ,"c":null}"#),
            r#"{"a": [], "c": null, "bb": 2.50}"#
        );
        assert_eq!(canonical(r#""\u00e9\n\u0001\/""#), "\"é\\n\\u0001/\"");
        assert_eq!(canonical("1.5e3"), "1500");
        assert_eq!(canonical(r#""\ud83d\ude04""#), "\"😄\"");
        assert_eq!(canonical("{"), "invalid input syntax for type json");
    }

    #[test]
    fn order_and_key_order_agree() {
        let texts = [
            "[]",
            "null",
            r#""""#,
            r#""a""#,
            r#""b""#,
            "-1",
            "0",
            "1.0",
            "2",
            "false",
            "true",
            "[null]",
            "[1]",
            "[[]]",
            "[1, 2]",
            "[1, 3]",
            "{}",
            r#"{"a": 1}"#,
            r#"{"b": 0}"#,
            r#"{"a": 1, "b": 2}"#,
        ];
        for (i, a) in texts.iter().enumerate() {
            for (j, b) in texts.iter().enumerate() {
                let (x, y) = (Json::parse(a).unwrap(), Json::parse(b).unwrap());
                assert_eq!(x.compare(&y), i.cmp(&j), "{a} {b}");
                let (mut p, mut q) = (Vec::new(), Vec::new());
                x.encode_key(&mut p);
                y.encode_key(&mut q);
                assert_eq!(p.cmp(&q), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        for open in ["[", "{\"a\":"] {
            let error = Json::parse(&open.repeat(100_000)).unwrap_err();
            assert_eq!(error.state(), crate::error::SqlState::STATEMENT_TOO_COMPLEX);
            assert!(validate(&open.repeat(100_000)).is_err());
        }
    }
}
