//! Arrays as text: `{1,NULL,"a b"}`, `{{1,2},{3,4}}`, `[0:1]={5,6}`. int2vector and oidvector are plain lists of numbers.

use super::format::{format_datum, parse_datum, write_datum, write_integer};
use super::numeric::is_space;
use super::{ArrayValue, Datum, RenderSettings, Type};
use crate::error::{Error, Result, SqlState};

/// MAXDIM.
pub const DIMENSIONS_MAX: usize = 6;
/// Elements an array can have (MaxArraySize).
pub const ELEMENTS_MAX: usize = 134_217_727;

/// Bytes an array's elements can take (MaxAllocSize).
const BYTES_MAX: usize = 0x3fff_ffff;

pub fn too_many_dimensions(count: usize) -> Error {
    let message =
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

pub fn write_array(out: &mut Vec<u8>, array: &ArrayValue, data_type: Type, render: &RenderSettings) {
    if matches!(data_type, Type::INT2VECTOR | Type::OIDVECTOR) {
        for (index, element) in array.elements.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            write_datum(out, element, array.element, render);
        }
        return;
    }
    if array.elements.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    if array.dimensions.iter().any(|dimension| dimension.1 != 1) {
        for (length, bound) in &array.dimensions {
            out.push(b'[');
            write_integer(out, i64::from(*bound));
            out.push(b':');
            write_integer(out, i64::from(*bound) + i64::from(*length) - 1);
            out.push(b']');
        }
        out.push(b'=');
    }
    let mut elements = array.elements.iter();
    write_level(out, &array.dimensions, &mut elements, array.element, render);
}

fn write_level<'a>(
    out: &mut Vec<u8>,
    dimensions: &[(i32, i32)],
    elements: &mut impl Iterator<Item = &'a Datum>,
    element: Type,
    render: &RenderSettings,
) {
    let Some(((length, _), inner)) = dimensions.split_first() else { return };
    out.push(b'{');
    for index in 0..*length {
        if index > 0 {
            out.push(delimiter(element));
        }
        if !inner.is_empty() {
            write_level(out, inner, elements, element, render);
        } else if let Some(value) = elements.next() {
            write_element(out, value, element, render);
        }
    }
    out.push(b'}');
}

fn write_element(out: &mut Vec<u8>, value: &Datum, element: Type, render: &RenderSettings) {
    match value {
        Datum::Null => return out.extend_from_slice(b"NULL"),
        // Not those that stand for a name: enums, reg* types.
        Datum::Int4(_) | Datum::Int8(_) | Datum::Int2(_) | Datum::Oid(_) | Datum::Bool(_)
            if matches!(element, Type::INT4 | Type::INT8 | Type::INT2 | Type::OID | Type::BOOL) =>
        {
            return write_datum(out, value, element, render);
        }
        _ => {}
    }
    let text = format_datum(value, element, render);
    let delimiter = char::from(delimiter(element));
    let special = |c: char| matches!(c, '"' | '\\' | '{' | '}') || c == delimiter || is_space(c);
    if !text.is_empty() && !text.contains(special) && !text.eq_ignore_ascii_case("null") {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// What stands between elements (pg_type.typdelim): commas, which boxes have in them.
fn delimiter(element: Type) -> u8 {
    if element == Type::BOX { b';' } else { b',' }
}

fn malformed(text: &str, detail: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{text}\""))
        .detail(detail)
}

pub fn parse_array(text: &str, data_type: Type, modifier: i32, render: &RenderSettings) -> Result<Datum> {
    let element = data_type.element().unwrap_or(Type::TEXT);
    if matches!(data_type, Type::INT2VECTOR | Type::OIDVECTOR) {
        let words = text.split_ascii_whitespace().map(|word| parse_datum(word, element, -1, render));
        let elements = words.collect::<Result<Vec<Datum>>>()?;
        let dimensions = vec![(elements.len() as i32, 0)];
        return Ok(Datum::array(ArrayValue { element, dimensions, elements }));
    }
    let trimmed = text.trim_matches(is_space);
    let (bounds, body) = parse_bounds(text, trimmed)?;
    if !body.starts_with('{') {
        let detail = match bounds {
            Some(_) => "Array contents must start with \"{\".",
            None => "Array value must start with \"{\" or dimension information.",
        };
        return Err(malformed(text, detail));
    }
    let mut parser = Parser {
        text,
        rest: body,
        elements: Vec::new(),
        bytes: 0,
        lengths: Vec::new(),
        leaf: None,
        element,
        modifier,
        render,
    };
    parser.level(0)?;
    if !parser.rest.trim_start_matches(is_space).is_empty() {
        return Err(malformed(text, "Junk after closing right brace."));
    }
    let Parser { elements, lengths, .. } = parser;
    if elements.is_empty() {
        return Ok(Datum::array(ArrayValue { element, dimensions: Vec::new(), elements }));
    }
    let lengths: Vec<i32> = lengths.into_iter().map(|length| length.unwrap_or(0)).collect();
    let dimensions = match bounds {
        None => lengths.into_iter().map(|length| (length, 1)).collect(),
        Some(bounds) if bounds.iter().map(|bound| bound.0).eq(lengths.iter().copied()) => bounds,
        Some(_) => return Err(malformed(text, "Specified array dimensions do not match array contents.")),
    };
    Ok(Datum::array(ArrayValue { element, dimensions, elements }))
}

/// (length, lower bound) of each dimension.
type Bounds = Vec<(i32, i32)>;

/// `[2:3][1:4]=` in front of the braces.
fn parse_bounds<'a>(text: &str, trimmed: &'a str) -> Result<(Option<Bounds>, &'a str)> {
    if !trimmed.starts_with('[') {
        return Ok((None, trimmed));
    }
    let (head, body) =
        trimmed.split_once('=').ok_or_else(|| malformed(text, "Missing \"=\" after array dimensions."))?;
    let mut bounds = Vec::new();
    for part in head.trim_end_matches(is_space).split_inclusive(']') {
        let inner = part.trim().strip_prefix('[').and_then(|part| part.strip_suffix(']'));
        let inner = inner.ok_or_else(|| malformed(text, "Missing \"]\" after array dimensions."))?;
        let number = |part: &str| {
            part.parse::<i32>()
                .map_err(|_| malformed(text, "\"[\" must introduce explicitly-specified array dimensions."))
        };
        let (lower, upper) = match inner.split_once(':') {
            Some((lower, upper)) => (number(lower)?, number(upper)?),
            None => (1, number(inner)?),
        };
        let length = i64::from(upper) - i64::from(lower) + 1;
        if length < 0 {
            return Err(Error::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                "upper bound cannot be less than lower bound",
            ));
        }
        let length = i32::try_from(length).map_err(|_| {
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed (134217727)")
        })?;
        bounds.push((length, lower));
        if bounds.len() > DIMENSIONS_MAX {
            return Err(too_many_dimensions(bounds.len()));
        }
    }
    Ok((Some(bounds), body.trim_start_matches(is_space)))
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    elements: Vec<Datum>,
    /// What the elements take: more than their text, if it is jsonb with large exponents.
    bytes: usize,
    /// Of each depth, once its first brace has closed.
    lengths: Vec<Option<i32>>,
    /// The depth at which elements stand.
    leaf: Option<usize>,
    element: Type,
    modifier: i32,
    render: &'a RenderSettings,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }
    fn error<T>(&self, detail: &str) -> Result<T> {
        Err(malformed(self.text, detail))
    }
    /// One `{…}`. The recursion is bounded by [`DIMENSIONS_MAX`].
    fn level(&mut self, depth: usize) -> Result<()> {
        if depth >= DIMENSIONS_MAX {
            return Err(too_many_dimensions(depth + 1));
        }
        if self.lengths.len() <= depth {
            self.lengths.push(None);
        }
        self.rest = &self.rest[1..];
        let mut count = 0;
        loop {
            self.skip_space();
            match self.rest.as_bytes().first() {
                None => return self.error("Unexpected end of input."),
                Some(b'}') if count == 0 => break,
                Some(b'{') => {
                    if self.leaf.is_some_and(|leaf| leaf <= depth) {
                        return self.error("Unexpected \"{\" character.");
                    }
                    self.level(depth + 1)?;
                }
                Some(_) => {
                    if *self.leaf.get_or_insert(depth) != depth {
                        return self
                            .error("Multidimensional arrays must have sub-arrays with matching dimensions.");
                    }
                    self.item()?;
                }
            }
            count += 1;
            self.skip_space();
            match self.rest.as_bytes().first() {
                Some(byte) if *byte == delimiter(self.element) => {
                    self.rest = &self.rest[1..];
                    self.skip_space();
                    if self.rest.starts_with('}') {
                        return self.error("Unexpected \"}\" character.");
                    }
                }
                Some(b'}') => break,
                None => return self.error("Unexpected end of input."),
                Some(_) => return self.error("Unexpected array element."),
            }
        }
        self.rest = &self.rest[1..];
        match self.lengths[depth].replace(count) {
            Some(length) if length != count => {
                self.error("Multidimensional arrays must have sub-arrays with matching dimensions.")
            }
            _ => Ok(()),
        }
    }
    fn item(&mut self) -> Result<()> {
        let mut value = String::new();
        let quoted = self.rest.starts_with('"');
        let mut escaped = false;
        // Where trailing white space of an unquoted element begins.
        let mut end = 0;
        let mut characters = self.rest.char_indices().skip(usize::from(quoted));
        let stop = loop {
            let Some((index, c)) = characters.next() else { return self.error("Unexpected end of input.") };
            match c {
                '\\' => {
                    let Some((_, c)) = characters.next() else {
                        return self.error("Unexpected end of input.");
                    };
                    value.push(c);
                    (escaped, end) = (true, value.len());
                }
                '"' if quoted => break index + 1,
                '"' | '{' if !quoted => return self.error(&format!("Unexpected \"{c}\" character.")),
                c if !quoted && (c == '}' || c == char::from(delimiter(self.element))) => break index,
                c => {
                    value.push(c);
                    if quoted || !is_space(c) {
                        end = value.len();
                    }
                }
            }
        };
        self.rest = &self.rest[stop..];
        value.truncate(end);
        let datum = match !quoted && !escaped {
            true if value.is_empty() => {
                let unexpected = self.rest.chars().next().unwrap_or(',');
                return self.error(&format!("Unexpected \"{unexpected}\" character."));
            }
            true if value.eq_ignore_ascii_case("null") => Datum::Null,
            _ => parse_datum(&value, self.element, self.modifier, self.render)?,
        };
        self.bytes += datum.bytes();
        if self.bytes > BYTES_MAX {
            let message = format!("array size exceeds the maximum allowed ({BYTES_MAX})");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.elements.push(datum);
        if self.elements.len() > ELEMENTS_MAX {
            let message = "array size exceeds the maximum allowed (134217727)";
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_text_round_trips() {
        let render = RenderSettings::default();
        let texts = Type::from_name("text[]").unwrap();
        for text in [
            "{}",
            "{a,NULL,\"\",\"null\",\"a b\",\"q\\\"\\\\\"}",
            "{{a,b},{c,d}}",
            "[0:1]={a,b}",
            "[2:2][-1:0]={{x,y}}",
        ] {
            let value = parse_array(text, texts, -1, &render).unwrap();
            assert_eq!(format_datum(&value, texts, &render), text);
        }
        let spaced = parse_array(" { a b , c } ", texts, -1, &render).unwrap();
        assert_eq!(format_datum(&spaced, texts, &render), "{\"a b\",c}");
        for bad in [
            "",
            "{",
            "{a",
            "{a,}",
            "{{a},b}",
            "{a}{b}",
            "{{a,b},{c}}",
            "{a\"b}",
            "[1:2]={a}",
            "{{{{{{{a}}}}}}}",
        ] {
            assert!(parse_array(bad, texts, -1, &render).is_err(), "{bad}");
        }
    }
}
