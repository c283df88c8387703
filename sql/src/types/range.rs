//! Ranges and multiranges: sets of an ordered type's values, as stretches between bounds.
//!
//! A range is empty or one stretch, a multirange any number of them, so both are one thing here: a list of *spans*, in order, none of which
//! touches the next. That makes the empty range the list without spans, gives both the same order (spans one by one, then their number: what
//! range_cmp and multirange_cmp say) and lets every operator be written once for all four pairs of range and multirange.
//!
//! Rules (rangetypes.c, multirangetypes.c of PostgreSQL 15):
//! 1. A value is normal: no span is empty, an infinite bound is not inclusive, spans ascend and neither overlap nor adjoin.
//! 2. Where the subtype is counted (the built-in ranges of int4, int8 and date) a finite span is `[a,b)`, so that equal sets are equal
//!    values and `[1,3]` adjoins `[4,5]`. A range that a user makes is not canonical, even over integer.
//! 3. As lower bounds `[a` < `(a`, as upper ones `a)` < `a]`; infinity is below all as a lower bound and above all as an upper one.

use super::format::{format_datum, parse_datum};
use super::numeric::is_space;
use super::{Datum, RenderSettings, Type, compare_as};
use crate::error::{Error, Result, SqlState};
use std::cmp::Ordering;

#[derive(Clone, Debug)]
pub struct RangeValue {
    /// The range type or the multirange type.
    pub data_type: Type,
    /// Of the bounds.
    pub element: Type,
    pub spans: Vec<Span>,
}

#[derive(Clone, Debug)]
pub struct Span {
    pub lower: Bound,
    pub upper: Bound,
}

#[derive(Clone, Debug)]
pub struct Bound {
    /// None: infinite.
    pub value: Option<Datum>,
    pub inclusive: bool,
}

impl Bound {
    pub const INFINITE: Bound = Bound { value: None, inclusive: false };

    pub fn new(value: Datum, inclusive: bool) -> Bound {
        match value.is_null() {
            true => Bound::INFINITE,
            false => Bound { value: Some(value), inclusive },
        }
    }
}

fn data_exception(message: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, message)
}

/// Whether a range over this type counts its elements.
pub fn is_discrete(range_type: Type) -> bool {
    matches!(range_type, Type::INT4RANGE | Type::INT8RANGE | Type::DATERANGE)
}

/// The value after this one; None: there is none for it (an infinite date stays where it is).
fn successor(value: &Datum) -> Result<Option<Datum>> {
    use super::calendar::{DATE_MAX, is_infinite_date};
    let overflow = |name: &str| {
        let state = if name == "date" {
            SqlState::DATETIME_FIELD_OVERFLOW
        } else {
            SqlState::NUMERIC_VALUE_OUT_OF_RANGE
        };
        Error::new(state, format!("{name} out of range"))
    };
    Ok(match value {
        Datum::Int4(value) => Some(Datum::Int4(value.checked_add(1).ok_or_else(|| overflow("integer"))?)),
        Datum::Int8(value) => Some(Datum::Int8(value.checked_add(1).ok_or_else(|| overflow("bigint"))?)),
        Datum::Date(value) if is_infinite_date(*value) => None,
        Datum::Date(DATE_MAX) => return Err(overflow("date")),
        Datum::Date(value) => Some(Datum::Date(value + 1)),
        _ => None,
    })
}

/// One span in normal form; None: it is empty.
fn normal(range_type: Type, element: Type, mut lower: Bound, mut upper: Bound) -> Result<Option<Span>> {
    if let (Some(a), Some(b)) = (&lower.value, &upper.value) {
        match compare_as(a, b, element) {
            Ordering::Greater => {
                return Err(data_exception(
                    "range lower bound must be less than or equal to range upper bound",
                ));
            }
            Ordering::Equal if !(lower.inclusive && upper.inclusive) => return Ok(None),
            _ => {}
        }
    }
    if is_discrete(range_type) {
        if let (Some(value), false) = (&lower.value, lower.inclusive)
            && let Some(next) = successor(value)?
        {
            lower = Bound::new(next, true);
        }
        if let (Some(value), true) = (&upper.value, upper.inclusive)
            && let Some(next) = successor(value)?
        {
            upper = Bound::new(next, false);
        }
        if let (Some(a), Some(b)) = (&lower.value, &upper.value)
            && compare_as(a, b, element).is_eq()
            && !(lower.inclusive && upper.inclusive)
        {
            return Ok(None);
        }
    }
    Ok(Some(Span { lower, upper }))
}

/// Which end of a span a bound is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lower,
    Upper,
}
use End::{Lower, Upper};

/// range_cmp_bounds.
fn compare_bounds(a: (&Bound, End), b: (&Bound, End), element: Type) -> Ordering {
    let infinite = |end: End| if end == Lower { Ordering::Less } else { Ordering::Greater };
    let (x, y) = match (&a.0.value, &b.0.value) {
        (None, None) => return infinite(a.1).cmp(&infinite(b.1)),
        (None, _) => return infinite(a.1),
        (_, None) => return infinite(b.1).reverse(),
        (Some(x), Some(y)) => (x, y),
    };
    // An exclusive bound lies a hair inside of its value.
    let inside = |(bound, end): (&Bound, End)| match (bound.inclusive, end) {
        (true, _) => 0,
        (false, Lower) => 1,
        (false, Upper) => -1,
    };
    compare_as(x, y, element).then(inside(a).cmp(&inside(b)))
}

impl Span {
    fn compare(&self, other: &Span, element: Type) -> Ordering {
        compare_bounds((&self.lower, Lower), (&other.lower, Lower), element)
            .then_with(|| compare_bounds((&self.upper, Upper), (&other.upper, Upper), element))
    }
    fn overlaps(&self, other: &Span, element: Type) -> bool {
        compare_bounds((&self.lower, Lower), (&other.upper, Upper), element).is_le()
            && compare_bounds((&other.lower, Lower), (&self.upper, Upper), element).is_le()
    }
    fn contains(&self, other: &Span, element: Type) -> bool {
        compare_bounds((&self.lower, Lower), (&other.lower, Lower), element).is_le()
            && compare_bounds((&self.upper, Upper), (&other.upper, Upper), element).is_ge()
    }
}

/// Whether nothing lies between an upper and a lower bound, and nothing belongs to both (bounds_adjacent).
fn adjoins(range_type: Type, element: Type, upper: &Bound, lower: &Bound) -> bool {
    let (Some(a), Some(b)) = (&upper.value, &lower.value) else { return false };
    match compare_as(a, b, element) {
        Ordering::Equal => upper.inclusive != lower.inclusive,
        // Counted values: the gap may be empty. Spans in normal form never leave one, infinite dates aside.
        Ordering::Less if is_discrete(range_type) => {
            let low = Bound { value: Some(a.clone()), inclusive: !upper.inclusive };
            let high = Bound { value: Some(b.clone()), inclusive: !lower.inclusive };
            matches!(normal(range_type, element, low, high), Ok(None))
        }
        _ => false,
    }
}

impl RangeValue {
    /// The range type, of a multirange too.
    fn range_type(&self) -> Type {
        self.data_type.range_of_multirange().unwrap_or(self.data_type)
    }

    pub fn empty(data_type: Type) -> Result<RangeValue> {
        let element = data_type.range_element().ok_or_else(|| {
            Error::internal(format!("type {} is neither range nor multirange", data_type.display()))
        })?;
        Ok(RangeValue { data_type, element, spans: Vec::new() })
    }

    /// A range between two bounds.
    pub fn between(data_type: Type, lower: Bound, upper: Bound) -> Result<RangeValue> {
        let mut range = RangeValue::empty(data_type)?;
        range.spans.extend(normal(data_type, range.element, lower, upper)?);
        Ok(range)
    }

    /// A multirange of any spans (of values in normal form).
    pub fn of_spans(data_type: Type, spans: Vec<Span>) -> Result<RangeValue> {
        let mut value = RangeValue::empty(data_type)?;
        value.spans = spans;
        value.merge();
        Ok(value)
    }

    fn with(&self, spans: Vec<Span>) -> RangeValue {
        RangeValue { data_type: self.data_type, element: self.element, spans }
    }

    /// Puts spans in order and joins those that overlap or adjoin.
    fn merge(&mut self) {
        let (element, range_type) = (self.element, self.range_type());
        if !self.spans.is_sorted_by(|a, b| a.compare(b, element).is_le()) {
            self.spans.sort_by(|a, b| a.compare(b, element));
        }
        let mut merged: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match merged.last_mut() {
                Some(last)
                    if last.overlaps(&span, element)
                        || adjoins(range_type, element, &last.upper, &span.lower) =>
                {
                    if compare_bounds((&span.upper, Upper), (&last.upper, Upper), element).is_gt() {
                        last.upper = span.upper;
                    }
                }
                _ => merged.push(span),
            }
        }
        self.spans = merged;
    }

    fn ends(&self) -> Option<(&Bound, &Bound)> {
        Some((&self.spans.first()?.lower, &self.spans.last()?.upper))
    }
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
    pub fn lower(&self) -> Option<&Bound> {
        self.ends().map(|ends| ends.0)
    }
    pub fn upper(&self) -> Option<&Bound> {
        self.ends().map(|ends| ends.1)
    }

    pub fn compare(&self, other: &RangeValue) -> Ordering {
        let spans = self.spans.iter().zip(&other.spans).map(|(a, b)| a.compare(b, self.element));
        let differing = spans.into_iter().find(|order| order.is_ne());
        differing.unwrap_or(self.spans.len().cmp(&other.spans.len()))
    }

    /// The spans that may meet `[lower, upper]`: those before end below it, those after begin above it.
    fn around(&self, span: &Span) -> &[Span] {
        let element = self.element;
        let from = self.spans.partition_point(|own| {
            compare_bounds((&own.upper, Upper), (&span.lower, Lower), element).is_lt()
        });
        let to = self.spans[from..].partition_point(|own| {
            compare_bounds((&own.lower, Lower), (&span.upper, Upper), element).is_le()
        });
        &self.spans[from..from + to]
    }

    pub fn contains_element(&self, value: &Datum) -> bool {
        let bound = Bound::new(value.clone(), true);
        self.around(&Span { lower: bound.clone(), upper: bound }).len() == 1
    }
    pub fn contains(&self, other: &RangeValue) -> bool {
        other.spans.iter().all(|span| self.around(span).iter().any(|own| own.contains(span, self.element)))
    }
    pub fn overlaps(&self, other: &RangeValue) -> bool {
        let (few, many) = if self.spans.len() < other.spans.len() { (self, other) } else { (other, self) };
        few.spans.iter().any(|span| !many.around(span).is_empty())
    }
    /// `<<`
    pub fn before(&self, other: &RangeValue) -> bool {
        let (Some(a), Some(b)) = (self.upper(), other.lower()) else { return false };
        compare_bounds((a, Upper), (b, Lower), self.element).is_lt()
    }
    /// `&<`
    pub fn ends_before(&self, other: &RangeValue) -> bool {
        let (Some(a), Some(b)) = (self.upper(), other.upper()) else { return false };
        compare_bounds((a, Upper), (b, Upper), self.element).is_le()
    }
    /// `&>`
    pub fn begins_after(&self, other: &RangeValue) -> bool {
        let (Some(a), Some(b)) = (self.lower(), other.lower()) else { return false };
        compare_bounds((a, Lower), (b, Lower), self.element).is_ge()
    }
    /// `-|-`
    pub fn adjacent(&self, other: &RangeValue) -> bool {
        let (Some((low, high)), Some((other_low, other_high))) = (self.ends(), other.ends()) else {
            return false;
        };
        let range_type = self.range_type();
        adjoins(range_type, self.element, high, other_low)
            || adjoins(range_type, self.element, other_high, low)
    }

    /// `+`. Two ranges must meet, two multiranges need not.
    pub fn union(&self, other: &RangeValue) -> Result<RangeValue> {
        let mut union = self.with(self.spans.iter().chain(&other.spans).cloned().collect());
        union.merge();
        match union.spans.len() > 1 && self.data_type.range_of_multirange().is_none() {
            true => Err(data_exception("result of range union would not be contiguous")),
            false => Ok(union),
        }
    }

    /// `*`
    pub fn intersect(&self, other: &RangeValue) -> RangeValue {
        let element = self.element;
        let mut spans = Vec::new();
        for own in &self.spans {
            for span in other.around(own) {
                let lower = match compare_bounds((&own.lower, Lower), (&span.lower, Lower), element) {
                    Ordering::Less => &span.lower,
                    _ => &own.lower,
                };
                let upper = match compare_bounds((&own.upper, Upper), (&span.upper, Upper), element) {
                    Ordering::Greater => &span.upper,
                    _ => &own.upper,
                };
                spans.push(Span { lower: lower.clone(), upper: upper.clone() });
            }
        }
        self.with(spans)
    }

    /// `-`. A range must stay one.
    pub fn minus(&self, other: &RangeValue) -> Result<RangeValue> {
        let (range_type, element) = (self.range_type(), self.element);
        let mut spans = Vec::new();
        for own in &self.spans {
            let mut rest = Some(own.clone());
            for cut in other.around(own) {
                let Some(left) = rest.take() else { break };
                if compare_bounds((&left.lower, Lower), (&cut.lower, Lower), element).is_lt() {
                    let upper = Bound { value: cut.lower.value.clone(), inclusive: !cut.lower.inclusive };
                    spans.extend(normal(range_type, element, left.lower.clone(), upper)?);
                }
                if compare_bounds((&cut.upper, Upper), (&left.upper, Upper), element).is_lt() {
                    let lower = Bound { value: cut.upper.value.clone(), inclusive: !cut.upper.inclusive };
                    rest = normal(range_type, element, lower, left.upper)?;
                }
            }
            spans.extend(rest);
        }
        match spans.len() > 1 && self.data_type.range_of_multirange().is_none() {
            true => Err(data_exception("result of range difference would not be contiguous")),
            false => Ok(self.with(spans)),
        }
    }

    /// The smallest range that contains both (range_merge).
    pub fn hull(&self, other: &RangeValue, range_type: Type) -> RangeValue {
        let mut spans: Vec<&Span> = self.spans.iter().chain(&other.spans).collect();
        spans.sort_by(|a, b| a.compare(b, self.element));
        let upper = spans.iter().map(|span| &span.upper);
        let upper = upper.max_by(|a, b| compare_bounds((a, Upper), (b, Upper), self.element));
        let span = spans
            .first()
            .zip(upper)
            .map(|(first, upper)| Span { lower: first.lower.clone(), upper: upper.clone() });
        RangeValue { data_type: range_type, element: self.element, spans: span.into_iter().collect() }
    }
}

// ---- text ----

pub fn write_range(out: &mut Vec<u8>, range: &RangeValue, render: &RenderSettings) {
    if range.data_type.range_of_multirange().is_none() {
        return match range.spans.first() {
            Some(span) => write_span(out, span, range.element, render),
            None => out.extend_from_slice(b"empty"),
        };
    }
    out.push(b'{');
    for (index, span) in range.spans.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_span(out, span, range.element, render);
    }
    out.push(b'}');
}

fn write_span(out: &mut Vec<u8>, span: &Span, element: Type, render: &RenderSettings) {
    out.push(if span.lower.inclusive { b'[' } else { b'(' });
    write_bound(out, &span.lower, element, render);
    out.push(b',');
    write_bound(out, &span.upper, element, render);
    out.push(if span.upper.inclusive { b']' } else { b')' });
}

fn write_bound(out: &mut Vec<u8>, bound: &Bound, element: Type, render: &RenderSettings) {
    let Some(value) = &bound.value else { return };
    let text = format_datum(value, element, render);
    let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | '[' | ']' | ',') || is_space(c);
    if !text.is_empty() && !text.contains(special) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn malformed(what: &str, text: &str, detail: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed {what} literal: \"{text}\""))
        .detail(detail)
}

/// Whether the text begins with the word `empty`.
fn begins_empty(text: &str) -> bool {
    text.as_bytes().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"empty"))
}

/// range_in and multirange_in.
pub fn parse_range(text: &str, data_type: Type, render: &RenderSettings) -> Result<RangeValue> {
    let Some(range_type) = data_type.range_of_multirange() else {
        let mut value = RangeValue::empty(data_type)?;
        value.spans.extend(parse_span(text, data_type, value.element, render)?);
        return Ok(value);
    };
    let error = |detail: &str| malformed("multirange", text, detail);
    let element = RangeValue::empty(data_type)?.element;
    let rest = text.trim_start_matches(is_space);
    let mut rest = rest.strip_prefix('{').ok_or_else(|| error("Missing left brace."))?;
    let mut spans = Vec::new();
    let mut first = true;
    loop {
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return Err(error("Unexpected end of input."));
        }
        if first && rest.starts_with('}') {
            rest = &rest[1..];
            break;
        }
        first = false;
        let end = match rest.as_bytes()[0] {
            b'[' | b'(' => span_end(rest).ok_or_else(|| error("Unexpected end of input."))?,
            _ if begins_empty(rest) => 5,
            _ => return Err(error("Expected range start.")),
        };
        spans.extend(parse_span(&rest[..end], range_type, element, render)?);
        rest = rest[end..].trim_start_matches(is_space);
        match rest.as_bytes().first() {
            Some(b',') => rest = &rest[1..],
            Some(b'}') => {
                rest = &rest[1..];
                break;
            }
            None => return Err(error("Unexpected end of input.")),
            Some(_) => return Err(error("Expected comma or end of multirange.")),
        }
    }
    match rest.trim_start_matches(is_space).is_empty() {
        true => RangeValue::of_spans(data_type, spans),
        false => Err(error("Junk after closing right brace.")),
    }
}

/// Where the range that the text begins with ends: past the first bracket that is neither quoted nor escaped.
fn span_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()?),
            b'"' => quoted = !quoted,
            b']' | b')' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn parse_span(text: &str, range_type: Type, element: Type, render: &RenderSettings) -> Result<Option<Span>> {
    let error = |detail: &str| malformed("range", text, detail);
    let rest = text.trim_start_matches(is_space);
    if begins_empty(rest) {
        return match rest[5..].trim_start_matches(is_space).is_empty() {
            true => Ok(None),
            false => Err(error("Junk after \"empty\" key word.")),
        };
    }
    let lower_inclusive = match rest.as_bytes().first() {
        Some(b'[') => true,
        Some(b'(') => false,
        _ => return Err(error("Missing left parenthesis or bracket.")),
    };
    let (lower, rest) = parse_bound(&rest[1..]).ok_or_else(|| error("Unexpected end of input."))?;
    let rest = rest.strip_prefix(',').ok_or_else(|| error("Missing comma after lower bound."))?;
    let (upper, rest) = parse_bound(rest).ok_or_else(|| error("Unexpected end of input."))?;
    let upper_inclusive = match rest.as_bytes().first() {
        Some(b']') => true,
        Some(b')') => false,
        _ => return Err(error("Too many commas.")),
    };
    if !rest[1..].trim_start_matches(is_space).is_empty() {
        return Err(error("Junk after right parenthesis or bracket."));
    }
    let bound = |text: Option<String>, inclusive: bool| match text {
        None => Ok(Bound::INFINITE),
        Some(text) => parse_datum(&text, element, -1, render).map(|value| Bound::new(value, inclusive)),
    };
    let (lower, upper) = (bound(lower, lower_inclusive)?, bound(upper, upper_inclusive)?);
    normal(range_type, element, lower, upper)
}

/// A bound up to the comma or bracket that ends it, without quotes and escapes (None: infinite), and what follows.
/// None: the text ends before the bound does.
fn parse_bound(text: &str) -> Option<(Option<String>, &str)> {
    if text.starts_with([',', ')', ']']) {
        return Some((None, text));
    }
    let mut bound = String::new();
    let mut quoted = false;
    let mut characters = text.char_indices().peekable();
    loop {
        let (at, c) = characters.next()?;
        match c {
            ',' | ')' | ']' if !quoted => return Some((Some(bound), &text[at..])),
            '\\' => bound.push(characters.next()?.1),
            '"' if quoted && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                characters.next();
                bound.push('"');
            }
            '"' => quoted = !quoted,
            c => bound.push(c),
        }
    }
}

// ---- binary ----

const FLAG_EMPTY: u8 = 0x01;
const FLAG_LOWER_INCLUSIVE: u8 = 0x02;
const FLAG_UPPER_INCLUSIVE: u8 = 0x04;
const FLAG_LOWER_INFINITE: u8 = 0x08;
const FLAG_UPPER_INFINITE: u8 = 0x10;

/// A range: flags, then each finite bound with its length. A multirange: the number of ranges, each with its length.
pub fn write_binary(out: &mut Vec<u8>, range: &RangeValue) {
    if range.data_type.range_of_multirange().is_none() {
        return match range.spans.first() {
            Some(span) => write_binary_span(out, span, range.element),
            None => out.push(FLAG_EMPTY),
        };
    }
    out.extend((range.spans.len() as u32).to_be_bytes());
    for span in &range.spans {
        with_length(out, |out| write_binary_span(out, span, range.element));
    }
}

fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 4]);
    write(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn write_binary_span(out: &mut Vec<u8>, span: &Span, element: Type) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(
        flag(span.lower.inclusive, FLAG_LOWER_INCLUSIVE)
            | flag(span.upper.inclusive, FLAG_UPPER_INCLUSIVE)
            | flag(span.lower.value.is_none(), FLAG_LOWER_INFINITE)
            | flag(span.upper.value.is_none(), FLAG_UPPER_INFINITE),
    );
    for value in [&span.lower.value, &span.upper.value].into_iter().flatten() {
        with_length(out, |out| super::write_binary_datum(out, value, element));
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let short = || Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message");
    let (head, rest) = bytes.split_at_checked(count).ok_or_else(short)?;
    *bytes = rest;
    Ok(head)
}

fn take_length(bytes: &mut &[u8]) -> Result<usize> {
    let word: [u8; 4] = take(bytes, 4)?.try_into().map_err(|_| Error::internal("four bytes"))?;
    Ok(u32::from_be_bytes(word) as usize)
}

fn at_end(bytes: &[u8]) -> Result<()> {
    match bytes.is_empty() {
        true => Ok(()),
        false => Err(Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format")),
    }
}

pub fn read_binary(mut bytes: &[u8], data_type: Type) -> Result<RangeValue> {
    let mut value = RangeValue::empty(data_type)?;
    let Some(range_type) = data_type.range_of_multirange() else {
        value.spans.extend(read_binary_span(bytes, data_type, value.element)?);
        return Ok(value);
    };
    let count = take_length(&mut bytes)?;
    let mut spans = Vec::new();
    for _ in 0..count {
        let length = take_length(&mut bytes)?;
        spans.extend(read_binary_span(take(&mut bytes, length)?, range_type, value.element)?);
    }
    at_end(bytes)?;
    RangeValue::of_spans(data_type, spans)
}

fn read_binary_span(mut bytes: &[u8], range_type: Type, element: Type) -> Result<Option<Span>> {
    let flags = take(&mut bytes, 1)?[0];
    let has = |flag: u8| flags & flag != 0;
    if has(FLAG_EMPTY) {
        at_end(bytes)?;
        return Ok(None);
    }
    let mut bound = |infinite: bool, inclusive: bool| match infinite {
        true => Ok::<Bound, Error>(Bound::INFINITE),
        false => {
            let length = take_length(&mut bytes)?;
            let value = super::read_binary(take(&mut bytes, length)?, element)?;
            Ok(Bound::new(value, inclusive))
        }
    };
    let lower = bound(has(FLAG_LOWER_INFINITE), has(FLAG_LOWER_INCLUSIVE))?;
    let upper = bound(has(FLAG_UPPER_INFINITE), has(FLAG_UPPER_INCLUSIVE))?;
    at_end(bytes)?;
    normal(range_type, element, lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int4(text: &str) -> RangeValue {
        parse_range(text, Type::INT4RANGE, &RenderSettings::default()).unwrap()
    }

    /// Against sets of small numbers, which say what each operator must answer.
    #[test]
    fn operators_agree_with_sets() {
        let mut ranges = vec![RangeValue::empty(Type::INT4MULTIRANGE).unwrap()];
        for bits in 1u32..64 {
            let spans = (0..6)
                .filter(|bit| bits >> bit & 1 == 1)
                .map(|bit| int4(&format!("[{bit},{bit}]")).spans[0].clone());
            ranges.push(RangeValue::of_spans(Type::INT4MULTIRANGE, spans.collect()).unwrap());
        }
        let number = |bits: u32| &ranges[bits as usize];
        for a in 0u32..64 {
            for b in 0u32..64 {
                let (x, y) = (number(a), number(b));
                let is = |value: RangeValue, bits: u32| value.compare(number(bits)).is_eq();
                assert!(is(x.union(y).unwrap(), a | b));
                assert!(is(x.intersect(y), a & b));
                assert!(is(x.minus(y).unwrap(), a & !b));
                assert_eq!(x.contains(y), a & b == b);
                assert_eq!(x.overlaps(y), a & b != 0);
                assert_eq!(x.compare(y).is_eq(), a == b);
            }
        }
    }

    #[test]
    fn text_is_read_and_written_as_postgresql_does() {
        let render = RenderSettings::default();
        let shown = |text: &str, data_type: Type| {
            let value = parse_range(text, data_type, &render)?;
            let mut out = Vec::new();
            write_range(&mut out, &value, &render);
            let mut bytes = Vec::new();
            write_binary(&mut bytes, &value);
            assert!(read_binary(&bytes, data_type)?.compare(&value).is_eq());
            Ok::<String, Error>(String::from_utf8(out).unwrap())
        };
        assert_eq!(shown(" [1,3] ", Type::INT4RANGE).unwrap(), "[1,4)");
        assert_eq!(shown("(,5]", Type::INT4RANGE).unwrap(), "(,6)");
        assert_eq!(shown("(3,4)", Type::INT4RANGE).unwrap(), "empty");
        assert_eq!(shown("(3,4]", Type::NUMRANGE).unwrap(), "(3,4]");
        assert_eq!(shown("{[1,2], (5,6] ,empty,[3,3]}", Type::INT4MULTIRANGE).unwrap(), "{[1,4),[6,7)}");
        assert_eq!(shown("[2000-01-01 10:00,)", Type::TSRANGE).unwrap(), "[\"2000-01-01 10:00:00\",)");
        for bad in ["", "[1", "[1,2", "1,2]", "[1,2]x", "[1,2,3]", "empty x", "[2,1]", "[x,y]"] {
            assert!(shown(bad, Type::INT4RANGE).is_err(), "{bad}");
        }
        for bad in ["", "{", "{[1,2)", "{[1,2),}x", "{x}", "{[1,2) [3,4)}", "{[1,2)}x"] {
            assert!(shown(bad, Type::INT4MULTIRANGE).is_err(), "{bad}");
        }
    }
}
