//! Parts of JSON text without a tree: walks over the bytes of a value that is known to be well-formed.
//!
//! What is taken is a slice of the text, so json keeps its spelling and a part of canonical jsonb is canonical. Damage ends a walk early
//! (None) rather than go wrong.

use crate::error::Result;

/// What a value is, from its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

pub fn kind(text: &str) -> Kind {
    match text.trim_start_matches(is_space).as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Bool => "boolean",
            Kind::Null => "null",
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Past the string that begins at `at`.
fn skip_string(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// Past the value that begins at `at`.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match *bytes.get(at)? {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                if depth > 0 {
                    continue;
                }
                return None;
            }
            _ => {
                while bytes.get(at).is_some_and(|byte| !b",:]} \t\n\r".contains(byte)) {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The members of an object (key as it is written, without quotes; value) or, with empty keys, the elements of an array.
pub struct Parts<'a> {
    text: &'a str,
    at: usize,
    object: bool,
}

/// None: a scalar.
pub fn parts(text: &str) -> Option<Parts<'_>> {
    let start = skip_space(text.as_bytes(), 0);
    match text.as_bytes().get(start)? {
        b'{' => Some(Parts { text, at: start + 1, object: true }),
        b'[' => Some(Parts { text, at: start + 1, object: false }),
        _ => None,
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a str, &'a str);
    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let bytes = self.text.as_bytes();
        let mut at = skip_space(bytes, self.at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if matches!(bytes.get(at)?, b'}' | b']') {
            return None;
        }
        let mut key = "";
        if self.object {
            let end = skip_string(bytes, at)?;
            key = self.text.get(at + 1..end - 1)?;
            at = skip_space(bytes, end);
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at = skip_space(bytes, at + 1);
        }
        let end = skip_value(bytes, at)?;
        self.at = end;
        Some((key, self.text.get(at..end)?))
    }
}

/// Whether a key as it is written (escapes and all) is `key`.
fn is_key(written: &str, key: &str) -> bool {
    match written.contains('\\') {
        false => written == key,
        true => unescape(written) == key,
    }
}

/// The value of a key: of several the last, as PostgreSQL's json has it.
pub fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let parts = parts(text)?;
    if !parts.object {
        return None;
    }
    parts.filter(|(written, _)| is_key(written, key)).last().map(|(_, value)| value)
}

/// An element of an array, from the end if the index is negative.
pub fn element(text: &str, index: i64) -> Option<&str> {
    let mut parts = parts(text)?;
    if parts.object {
        return None;
    }
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => {
            let back = usize::try_from(index.unsigned_abs()).ok()?;
            Parts { text, at: parts.at, object: false }.count().checked_sub(back)?
        }
    };
    parts.nth(index).map(|(_, value)| value)
}

/// A string's inside without its escapes. A lone surrogate, which nothing has checked for in json, becomes U+FFFD.
pub fn unescape(written: &str) -> String {
    let mut out = String::with_capacity(written.len());
    let mut rest = written;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        let mut used = at + 2;
        match escape {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => {
                let code = |at: usize| u32::from_str_radix(rest.get(at..at + 4)?, 16).ok();
                let first = code(at + 2).unwrap_or(0xfffd);
                used = at + 6;
                let low = match (first, rest.get(at + 6..at + 8)) {
                    (0xd800..=0xdbff, Some("\\u")) => {
                        code(at + 8).filter(|low| (0xdc00..=0xdfff).contains(low))
                    }
                    _ => None,
                };
                let scalar = match low {
                    Some(low) => {
                        used = at + 12;
                        0x10000 + ((first & 0x3ff) << 10) + (low & 0x3ff)
                    }
                    None => first,
                };
                out.push(char::from_u32(scalar).unwrap_or('\u{fffd}'));
            }
            other => out.push(char::from(other)),
        }
        rest = rest.get(used..).unwrap_or("");
    }
    out.push_str(rest);
    out
}

/// What `->>` gives: a string's characters, null for null, other values as they are written. Fails where json has an escape that
/// stands for no character.
pub fn as_text(value: &str) -> Result<Option<String>> {
    let value = value.trim_matches(is_space);
    Ok(match kind(value) {
        Kind::Null => None,
        Kind::String if value.contains("\\u") => match super::Json::parse(value)? {
            super::Json::String(text) => Some(text),
            _ => None,
        },
        Kind::String => value.get(1..value.len() - 1).map(unescape),
        _ => Some(value.to_owned()),
    })
}

/// An object's key without its escapes, as [`as_text`].
pub fn key_text(written: &str) -> Result<String> {
    match written.contains("\\u") {
        true => as_text(&format!("\"{written}\"")).map(Option::unwrap_or_default),
        false => Ok(unescape(written)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_slices() {
        let text = r#" { "a" : [1, {"x":"}"}] , "a\"b": "y\\" ,"a":null} "#;
        assert_eq!(member(text, "a"), Some("null"));
        assert_eq!(member(text, "a\"b"), Some(r#""y\\""#));
        assert_eq!(parts(text).unwrap().count(), 3);
        let list = r#"[1, "two", [3] ,{"4":[]}]"#;
        assert_eq!(element(list, 1), Some("\"two\""));
        assert_eq!(element(list, -1), Some(r#"{"4":[]}"#));
        assert_eq!(element(list, -5), None);
        assert_eq!(element(list, 4), None);
        assert_eq!(as_text(r#""\u0041\ud83d\ude04\n""#).unwrap().as_deref(), Some("A😄\n"));
    }

    #[test]
    fn damage_ends_a_walk() {
        for text in ["[1", "{\"a", "{\"a\":", "[", "{\"a\"}", "[,", "{,", "]", "{\"\\"] {
            let _ = parts(text).map(Iterator::count);
            let _ = (element(text, 1), member(text, "a"), as_text(text));
        }
    }
}
