//! Texts of the protocol in the client's encoding. Inside everything is UTF-8; a connection whose `client_encoding` is another has its
//! messages converted here, on their way in before they are decoded, on their way out when they are complete.
//!
//! What is text depends on the message: whole strings in most, in DataRow and Bind values in text format, and in binary format values of
//! text types, also inside of arrays and rows. (COPY's data is converted by COPY, which may be told another encoding.) A character that
//! the client's encoding lacks fails the statement if it is in a result, and becomes a question mark in messages and names.

use serin_sql::encoding::Encoding;
use serin_sql::types::{Repr, Type};
use serin_sql::{Error, Result, SqlState};
use std::borrow::Cow;

/// Arrays within rows within arrays: as deep as this.
const DEPTH_MAX: usize = 64;

type Convert<'a> = &'a dyn Fn(&[u8]) -> Result<Vec<u8>>;

/// A message's body with its strings in UTF-8. Bind's parameters are left alone: see [`parameter`].
pub fn incoming(encoding: Encoding, tag: u8, body: &[u8]) -> Result<Cow<'_, [u8]>> {
    if body.is_ascii() {
        return Ok(Cow::Borrowed(body));
    }
    // Strings, and how many bytes stand before them.
    let (before, strings) = match tag {
        b'Q' | b'E' | b'f' => (0, 1),
        b'D' | b'C' => (1, 1),
        b'P' | b'B' => (0, 2),
        _ => return Ok(Cow::Borrowed(body)),
    };
    let Some((head, mut rest)) = body.split_at_checked(before) else { return Ok(Cow::Borrowed(body)) };
    let mut out = head.to_vec();
    for _ in 0..strings {
        // What is malformed is reported where it is decoded.
        let Some(end) = rest.iter().position(|byte| *byte == 0) else { break };
        out.extend_from_slice(encoding.decode(&rest[..end])?.as_bytes());
        out.push(0);
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
    Ok(Cow::Owned(out))
}

/// A parameter's value with its text in UTF-8; `data_type` if it is in binary format.
pub fn parameter<'a>(encoding: Encoding, value: &'a [u8], data_type: Option<Type>) -> Result<Cow<'a, [u8]>> {
    if value.is_ascii() {
        return Ok(Cow::Borrowed(value));
    }
    let convert = |text: &[u8]| encoding.decode(text).map(|text| text.into_owned().into_bytes());
    match data_type {
        None => convert(value).map(Cow::Owned),
        Some(data_type) => {
            Ok(binary(value, data_type, &convert, 0)?.map_or(Cow::Borrowed(value), Cow::Owned))
        }
    }
}

/// A result's value, as text or in a type's binary format; None: it stays as it is.
pub fn result(encoding: Encoding, value: &[u8], data_type: Option<Type>) -> Result<Option<Vec<u8>>> {
    if value.is_ascii() {
        return Ok(None);
    }
    let convert = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::internal("a text that is not UTF-8"))?;
        encoding.encode(text).map(Cow::into_owned)
    };
    match data_type {
        None => convert(value).map(Some),
        Some(data_type) => binary(value, data_type, &convert, 0),
    }
}

/// Converts the texts in a value in binary format; None: there are none (or the value is damaged, which its type will say).
fn binary(value: &[u8], data_type: Type, convert: Convert<'_>, depth: usize) -> Result<Option<Vec<u8>>> {
    if depth > DEPTH_MAX {
        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
    }
    let data_type = data_type.base();
    match data_type.repr() {
        _ if data_type.is_enum() => convert(value).map(Some),
        Repr::Text if !matches!(data_type, Type::BIT | Type::VARBIT) => convert(value).map(Some),
        Repr::Array => array(value, convert, depth),
        Repr::Record => record(value, convert, depth),
        _ => Ok(None),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A field's value behind its length, which stands at `at`; appends it converted. Answers where the next one begins.
fn field(
    value: &[u8],
    at: usize,
    data_type: Type,
    convert: Convert<'_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<Option<usize>> {
    const NULL: u32 = u32::MAX;
    let Some(length) = word(value, at) else { return Ok(None) };
    if length == NULL {
        out.extend(NULL.to_be_bytes());
        return Ok(Some(at + 4));
    }
    let Some(bytes) = value.get(at + 4..).and_then(|rest| rest.get(..length as usize)) else {
        return Ok(None);
    };
    let converted = binary(bytes, data_type, convert, depth + 1)?;
    let converted = converted.as_deref().unwrap_or(bytes);
    out.extend((converted.len() as u32).to_be_bytes());
    out.extend_from_slice(converted);
    Ok(Some(at + 4 + bytes.len()))
}

/// Dimensions, flags, element type; each dimension's length and bound; the elements.
fn array(value: &[u8], convert: Convert<'_>, depth: usize) -> Result<Option<Vec<u8>>> {
    let (Some(dimensions), Some(element)) = (word(value, 0), word(value, 8)) else { return Ok(None) };
    let mut at = 12usize.saturating_add((dimensions as usize).saturating_mul(8));
    let Some(head) = value.get(..at) else { return Ok(None) };
    let mut out = head.to_vec();
    while at < value.len() {
        match field(value, at, Type(element), convert, depth, &mut out)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// The fields' number; each field's type and value.
fn record(value: &[u8], convert: Convert<'_>, depth: usize) -> Result<Option<Vec<u8>>> {
    let Some(head) = value.get(..4) else { return Ok(None) };
    let mut out = head.to_vec();
    let mut at = 4;
    while at < value.len() {
        let Some(data_type) = word(value, at) else { return Ok(None) };
        out.extend(data_type.to_be_bytes());
        match field(value, at + 4, Type(data_type), convert, depth, &mut out)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(out))
}

/// Converts the whole messages from `from` to the end of the buffer, but for those with values: they are converted as they are made.
pub fn outgoing(encoding: Encoding, buffer: &mut Vec<u8>, from: usize) {
    if encoding.is_native() || buffer[from..].is_ascii() {
        return;
    }
    let mut out = buffer[..from].to_vec();
    let mut rest = &buffer[from..];
    while let Some(length) = word(rest, 1) {
        let Some((message, after)) = rest.split_at_checked(1 + length as usize) else { break };
        rest = after;
        let (tag, body) = (message[0], message.get(5..).unwrap_or_default());
        let body = match tag {
            // Strings, one after the other.
            b'E' | b'N' | b'S' | b'C' => lossy(encoding, body),
            // A process and two strings.
            b'A' => [&body[..4.min(body.len())], &lossy(encoding, &body[4.min(body.len())..])].concat(),
            b'T' => row_description(encoding, body),
            _ => {
                out.extend_from_slice(message);
                continue;
            }
        };
        out.push(tag);
        out.extend((body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(&body);
    }
    out.extend_from_slice(rest);
    *buffer = out;
}

fn lossy(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
    encoding.encode_lossy(&String::from_utf8_lossy(bytes))
}

/// Each column's name with the 18 bytes behind it.
fn row_description(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    const BEHIND_NAME: usize = 18;
    let mut at = 2.min(body.len());
    let mut out = body[..at].to_vec();
    while let Some(end) = body[at..].iter().position(|byte| *byte == 0) {
        let next = (at + end + 1 + BEHIND_NAME).min(body.len());
        out.extend_from_slice(&lossy(encoding, &body[at..at + end]));
        out.extend_from_slice(&body[at + end..next]);
        at = next;
    }
    out.extend_from_slice(&body[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latin1() -> Encoding {
        Encoding::named("latin1").unwrap()
    }

    #[test]
    fn strings_are_converted_and_what_follows_them_is_not() {
        let body = incoming(latin1(), b'P', b"\xe9\0select '\xe9'\0\0\x01\xff\xff\xff\xff").unwrap();
        assert_eq!(&*body, b"\xc3\xa9\0select '\xc3\xa9'\0\0\x01\xff\xff\xff\xff");
        let column = [&[0u8; 17][..], b"\xff"].concat();
        let mut buffer = [&b"T\0\0\0\x1b\0\x01\xc3\xa9\0"[..], &column, b"Z\0\0\0\x05I"].concat();
        outgoing(latin1(), &mut buffer, 0);
        assert_eq!(buffer, [&b"T\0\0\0\x1a\0\x01\xe9\0"[..], &column, b"Z\0\0\0\x05I"].concat());
    }

    #[test]
    fn texts_within_arrays_are_converted_and_damage_is_left_alone() {
        let array = b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x02\xc3\xa9";
        let texts = Type::TEXT.array_of().unwrap();
        let converted = result(latin1(), array, Some(texts)).unwrap().unwrap();
        assert_eq!(&converted[20..], b"\0\0\0\x01\xe9");
        assert_eq!(&*parameter(latin1(), &converted, Some(texts)).unwrap(), array);
        for end in 0..array.len() {
            let _ = result(latin1(), &array[..end], Some(texts));
        }
        assert_eq!(result(latin1(), b"\xff\xff\xff\xff", Some(Type::INT4)).unwrap(), None);
        assert!(result(latin1(), "€".as_bytes(), None).is_err());
    }
}
