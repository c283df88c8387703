//! Order-preserving key encoding: `a < b ⇔ encode(a) < encode(b)` bytewise, for one column after another.
//!
//! A column is a tag byte and, unless null, a payload. The tag puts nulls where the [`KeyOrder`] wants them and is
//! never inverted; a descending column inverts its payload's bits.
//!
//! | tag | meaning                |
//! |-----|------------------------|
//! | 00  | null, nulls first      |
//! | 01  | a value follows        |
//! | 02  | null, nulls last       |
//!
//! | type                        | payload, ascending                                                              |
//! |-----------------------------|---------------------------------------------------------------------------------|
//! | bool                        | 00 or 01                                                                        |
//! | integers, date, time(stamp) | big-endian at the type's width, sign bit flipped                                |
//! | oid                         | 4 bytes big-endian                                                              |
//! | float                       | IEEE bits; all flipped if negative, else the sign bit; one NaN, above all; -0 = 0 |
//! | numeric                     | kind (0 -inf, 1 negative, 2 zero, 3 positive, 4 inf, 5 NaN); for 1 and 3 the weight + 8000h in 2 bytes, each base-10000 digit + 1 in 2 bytes, 00 00; for 1 these inverted |
//! | text, bytea                 | the bytes with 00 written as 00 FF, then 00 01; character(n) without trailing blanks, citext in lower case, hstore and ltree as `extension::…::order_bytes` |
//! | interval                    | its span in microseconds (PostgreSQL's comparison), 16 bytes, sign bit flipped  |
//! | uuid                        | 16 bytes                                                                        |
//! | array                       | per element 01 and the element's column encoding (ascending, nulls last); 00; dimensions count; lengths; lower bounds |
//! | jsonb                       | see `types/json`: kind; length; elements, or keys and values                    |
//! | range, multirange           | per span 01, lower bound, upper bound; 00. A bound: 01 (infinite below), 03 (infinite above) or 02, the value's column encoding and 01 (upper, exclusive), 02 (inclusive) or 03 (lower, exclusive) |
//! | timetz                      | the instant's microseconds 8, sign bit flipped; seconds west 4, sign bit flipped |
//! | record                      | per field 01 and its column encoding; 00                                        |
//!
//! Text order is that of bytes (the C collation). Every payload says itself where it ends, so columns can follow each
//! other, and no encoded column is a proper prefix of another of the same type. Equal values encode equally: an
//! encoding identifies a value up to its type's `=`, but the original (a numeric's scale, the blanks of a character(n))
//! can't be had back from it.

use crate::extension::{citext::folded, hstore, ltree};
use crate::types::json::Json;
use crate::types::range::Bound;
use crate::types::{Datum, Numeric, Repr, Type};

/// How one key column sorts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct KeyOrder {
    pub descending: bool,
    pub nulls_first: bool,
}

impl KeyOrder {
    /// ASC NULLS LAST, SQL's default.
    pub const ASCENDING: KeyOrder = KeyOrder { descending: false, nulls_first: false };
    /// DESC NULLS FIRST, the default of DESC.
    pub const DESCENDING: KeyOrder = KeyOrder { descending: true, nulls_first: true };

    /// The byte that every null of this column encodes to.
    pub fn null_tag(self) -> u8 {
        if self.nulls_first { NULL_FIRST } else { NULL_LAST }
    }
}

const NULL_FIRST: u8 = 0;
/// The byte before every value: with it as a prefix, a range covers exactly the non-null values.
pub const VALUE_TAG: u8 = 1;
const NULL_LAST: u8 = 2;

const JSONB_DAMAGED: u8 = 7;

const BOUND_BELOW: u8 = 1;
const BOUND_FINITE: u8 = 2;
const BOUND_ABOVE: u8 = 3;

const ESCAPE: u8 = 0xff;
const END: u8 = 0x01;

/// Appends one column. A value is self-delimiting, so that columns can follow each other.
pub fn encode(value: &Datum, data_type: Type, order: KeyOrder, out: &mut Vec<u8>) {
    if value.is_null() {
        return out.push(order.null_tag());
    }
    out.push(VALUE_TAG);
    let start = out.len();
    encode_payload(value, data_type, out);
    if order.descending {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn encode_payload(value: &Datum, data_type: Type, out: &mut Vec<u8>) {
    match value {
        Datum::Null => unreachable!("nulls are a tag only"),
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Int2(value) => out.extend((*value as u16 ^ 1 << 15).to_be_bytes()),
        Datum::Int4(value) | Datum::Date(value) => out.extend((*value as u32 ^ 1 << 31).to_be_bytes()),
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) => {
            out.extend((*value as u64 ^ 1 << 63).to_be_bytes());
        }
        Datum::Oid(value) => out.extend(value.to_be_bytes()),
        Datum::Float4(value) => {
            let canonical = if value.is_nan() { f32::NAN.abs() } else { value + 0.0 };
            let bits = canonical.to_bits();
            let flip = if bits >> 31 == 1 { u32::MAX } else { 1 << 31 };
            out.extend((bits ^ flip).to_be_bytes());
        }
        Datum::Float8(value) => {
            let canonical = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
            let bits = canonical.to_bits();
            let flip = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
            out.extend((bits ^ flip).to_be_bytes());
        }
        Datum::Numeric(value) => encode_numeric(value, out),
        Datum::Text(value) if data_type == Type::BPCHAR => {
            encode_bytes(value.trim_end_matches(' ').as_bytes(), out)
        }
        Datum::Text(value) if data_type == Type::JSONB => match Json::of_canonical(value) {
            Ok(json) => json.encode_key(out),
            // Damage on disk: past every value, and of the form that skip_jsonb() knows.
            Err(_) => {
                out.push(JSONB_DAMAGED);
                encode_bytes(value.as_bytes(), out);
            }
        },
        Datum::Text(value) if data_type == Type::CITEXT => encode_bytes(folded(value).as_bytes(), out),
        Datum::Text(value) if data_type == Type::LTREE => encode_bytes(&ltree::order_bytes(value), out),
        Datum::Text(value) if data_type == Type::HSTORE => encode_bytes(&hstore::order_bytes(value), out),
        Datum::Text(value) => encode_bytes(value.as_bytes(), out),
        Datum::Bytea(value) => encode_bytes(value, out),
        Datum::Interval(value) => out.extend((value.span() as u128 ^ 1 << 127).to_be_bytes()),
        Datum::Uuid(value) => out.extend(value),
        Datum::Array(array) => {
            for element in &array.elements {
                out.push(1);
                encode(element, array.element, KeyOrder::ASCENDING, out);
            }
            out.extend([0, array.dimensions.len() as u8]);
            let lengths = array.dimensions.iter().map(|dimension| dimension.0);
            let bounds = array.dimensions.iter().map(|dimension| dimension.1);
            lengths.chain(bounds).for_each(|value| out.extend((value as u32 ^ 1 << 31).to_be_bytes()));
        }
        Datum::TimeTz(time) => {
            let (instant, west) = time.rank();
            out.extend((instant as u64 ^ 1 << 63).to_be_bytes());
            out.extend((west as u32 ^ 1 << 31).to_be_bytes());
        }
        Datum::Range(range) => {
            for span in &range.spans {
                out.push(1);
                encode_bound(&span.lower, range.element, true, out);
                encode_bound(&span.upper, range.element, false, out);
            }
            out.push(0);
        }
        Datum::Record(fields) => {
            for (data_type, field) in fields.iter() {
                out.push(1);
                encode(field, *data_type, KeyOrder::ASCENDING, out);
            }
            out.push(0);
        }
    }
}

/// Infinite lower bounds are below, infinite upper ones above everything; at one value a lower bound without it is above one with
/// it, an upper bound below.
fn encode_bound(bound: &Bound, element: Type, lower: bool, out: &mut Vec<u8>) {
    match (&bound.value, lower) {
        (None, true) => out.push(BOUND_BELOW),
        (None, false) => out.push(BOUND_ABOVE),
        (Some(value), _) => {
            out.push(BOUND_FINITE);
            encode(value, element, KeyOrder::ASCENDING, out);
            out.push(match (bound.inclusive, lower) {
                (true, _) => 2,
                (false, true) => 3,
                (false, false) => 1,
            });
        }
    }
}

pub(crate) fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    let mut pieces = bytes.split(|byte| *byte == 0);
    out.extend_from_slice(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.extend([0, ESCAPE]);
        out.extend_from_slice(piece);
    }
    out.extend([0, END]);
}

pub(crate) fn encode_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let Some(finite) = value.digits() else {
        return out.push(match value {
            Numeric::NegativeInfinity => 0,
            Numeric::Infinity => 4,
            _ => 5,
        });
    };
    if finite.digits.is_empty() {
        return out.push(2);
    }
    out.push(if finite.negative { 1 } else { 3 });
    let start = out.len();
    out.extend(((finite.weight + 0x8000) as u16).to_be_bytes());
    finite.digits.iter().for_each(|digit| out.extend((digit + 1).to_be_bytes()));
    out.extend([0, 0]);
    if finite.negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Where the first encoded column ends, for keys whose prefix was given (index → table key). None: malformed.
pub fn skip(bytes: &[u8], data_type: Type, order: KeyOrder) -> Option<usize> {
    match *bytes.first()? {
        NULL_FIRST | NULL_LAST => Some(1),
        VALUE_TAG => {
            let invert = if order.descending { 0xff } else { 0 };
            Some(1 + skip_payload(&bytes[1..], data_type, invert)?)
        }
        _ => None,
    }
}

/// `invert` is 0xff where the bytes are those of a descending column.
fn skip_payload(bytes: &[u8], data_type: Type, invert: u8) -> Option<usize> {
    let fixed = |width: usize| (bytes.len() >= width).then_some(width);
    if data_type == Type::JSONB {
        return skip_jsonb(bytes, invert);
    }
    match data_type.repr() {
        Repr::Bool => fixed(1),
        Repr::Int2 => fixed(2),
        Repr::Int4 | Repr::Date | Repr::Float4 | Repr::Oid => fixed(4),
        Repr::Int8 | Repr::Time | Repr::Timestamp | Repr::Float8 => fixed(8),
        Repr::Interval | Repr::Uuid => fixed(16),
        Repr::Text | Repr::Bytea => {
            let mut position = 0;
            loop {
                position += bytes[position..].iter().position(|byte| byte ^ invert == 0)?;
                match bytes.get(position + 1)? ^ invert {
                    END => return Some(position + 2),
                    ESCAPE => position += 2,
                    _ => return None,
                }
            }
        }
        Repr::Numeric => {
            let invert = match bytes.first()? ^ invert {
                0 | 2 | 4 | 5 => return Some(1),
                1 => !invert,
                3 => invert,
                _ => return None,
            };
            let digits = bytes.get(3..)?.chunks_exact(2);
            let count =
                digits.into_iter().position(|digit| digit[0] ^ invert == 0 && digit[1] ^ invert == 0)?;
            Some(3 + 2 * count + 2)
        }
        Repr::Array => {
            let element = data_type.element()?;
            let mut position = 0;
            while bytes.get(position)? ^ invert == 1 {
                position += 1;
                // Elements lie ascending inside an array that may itself be inverted, tag included.
                match bytes.get(position)? ^ invert {
                    VALUE_TAG => position += 1 + skip_payload(&bytes[position + 1..], element, invert)?,
                    NULL_LAST => position += 1,
                    _ => return None,
                }
            }
            let dimensions = usize::from(bytes.get(position + 1)? ^ invert);
            let end = position + 2 + dimensions * 8;
            (bytes.len() >= end).then_some(end)
        }
        Repr::TimeTz => fixed(12),
        Repr::Range => {
            let element = data_type.range_element()?;
            let mut position = 0;
            while bytes.get(position)? ^ invert == 1 {
                position += 1;
                for _ in 0..2 {
                    position += match bytes.get(position)? ^ invert {
                        BOUND_BELOW | BOUND_ABOVE => 1,
                        // Kind, value tag, value, how the bound lies to it.
                        BOUND_FINITE => 3 + skip_payload(bytes.get(position + 2..)?, element, invert)?,
                        _ => return None,
                    };
                }
            }
            Some(position + 1)
        }
        // Of an anonymous record the fields' types are not known here, and no column is of one.
        Repr::Record => {
            let mut position = 0;
            for (field, _) in data_type.row_template()?.iter() {
                if bytes.get(position)? ^ invert != 1 {
                    return None;
                }
                position += 1;
                match bytes.get(position)? ^ invert {
                    VALUE_TAG => position += 1 + skip_payload(&bytes[position + 1..], *field, invert)?,
                    NULL_LAST => position += 1,
                    _ => return None,
                }
            }
            (bytes.get(position)? ^ invert == 0).then_some(position + 1)
        }
    }
}

/// Past bytes as [`encode_bytes`] writes them.
pub(crate) fn skip_bytes(bytes: &[u8]) -> Option<usize> {
    skip_payload(bytes, Type::BYTEA, 0)
}

/// Past a jsonb value as [`Json::encode_key`] writes it. Values still to come are counted, not nested.
fn skip_jsonb(bytes: &[u8], invert: u8) -> Option<usize> {
    let mut position = 0;
    // Of the containers that are open: values to come, and whether each has a key before it.
    let mut open: Vec<(u32, bool)> = Vec::new();
    loop {
        let text = |position: usize| skip_payload(bytes.get(position..)?, Type::TEXT, invert);
        let tag = bytes.get(position)? ^ invert;
        position += 1;
        match tag {
            0 | 1 => {}
            2 | JSONB_DAMAGED => position += text(position)?,
            3 => position += skip_payload(bytes.get(position..)?, Type::NUMERIC, invert)?,
            4 => position += 1,
            5 | 6 => {
                let count: [u8; 4] = bytes.get(position..position + 4)?.try_into().ok()?;
                open.push((u32::from_be_bytes(count.map(|byte| byte ^ invert)), tag == 6));
                position += 4;
            }
            _ => return None,
        }
        while open.last().is_some_and(|(count, _)| *count == 0) {
            open.pop();
        }
        match open.last_mut() {
            None => return (position <= bytes.len()).then_some(position),
            Some((count, keys)) => {
                *count -= 1;
                if *keys {
                    position += skip_payload(bytes.get(position..)?, Type::TEXT, invert)?;
                }
            }
        }
    }
}

/// The smallest byte string above every string that begins with `prefix` (None: there is none).
pub fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::range::RangeValue;
    use crate::types::{ArrayValue, Interval, TimeTz, compare_as};
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use std::cmp::Ordering;

    const ORDERS: [KeyOrder; 4] = [
        KeyOrder { descending: false, nulls_first: false },
        KeyOrder { descending: false, nulls_first: true },
        KeyOrder { descending: true, nulls_first: false },
        KeyOrder { descending: true, nulls_first: true },
    ];

    const TYPES: &[Type] = &[
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::NUMERIC,
        Type::TEXT,
        Type::BPCHAR,
        Type::BYTEA,
        Type::DATE,
        Type::TIME,
        Type::TIMESTAMP,
        Type::INTERVAL,
        Type::UUID,
        Type::OID,
        Type::TIMETZ,
        Type::INT4RANGE,
        Type::NUMRANGE,
        Type::JSONB,
        Type(1007),
        Type(1009),
        Type(3807),
    ];

    /// Small and extreme values are likelier than uniform ones would be, so that neighbours and ties occur.
    fn random(data_type: Type, random_source: &mut StdRng) -> Datum {
        let r = random_source;
        if r.random_ratio(1, 12) {
            return Datum::Null;
        }
        let integer = match r.random_range(0..4) {
            0 => r.random_range(-3..3),
            1 => i64::MIN + r.random_range(0..2),
            2 => i64::MAX - r.random_range(0..2),
            _ => r.random(),
        };
        let float = match r.random_range(0..8) {
            0 => f64::NAN,
            1 => -0.0,
            2 => 0.0,
            3 => f64::NEG_INFINITY,
            4 => f64::INFINITY,
            5 => -f64::NAN,
            _ => integer as f64 / 3.0,
        };
        let letters: Vec<u8> =
            (0..r.random_range(0..6)).map(|_| b"\0\x01ab\xfe\xff "[r.random_range(0..7)]).collect();
        let text: String =
            (0..r.random_range(0..5)).map(|_| ['\0', '\u{1}', 'a', 'ÿ', ' '][r.random_range(0..5)]).collect();
        match data_type.repr() {
            Repr::Bool => Datum::Bool(r.random()),
            Repr::Int2 => Datum::Int2(integer as i16),
            Repr::Int4 => Datum::Int4(integer as i32),
            Repr::Int8 => Datum::Int8(integer),
            Repr::Float4 => Datum::Float4(float as f32),
            Repr::Float8 => Datum::Float8(float),
            Repr::Numeric => Datum::numeric(match r.random_range(0..6) {
                0 => Numeric::from_f64(float, 6),
                1 => Numeric::from_i64(integer),
                2 => Numeric::from_i64(integer % 100_000).div(&Numeric::from_i64(16)).unwrap(),
                _ => Numeric::parse(
                    ["1", "1.0", "1.00", "-1", "-1.10", "-1.1", "0", "0.0", "10000", "1e-30", "10000.0001"]
                        [r.random_range(0..11)],
                )
                .unwrap(),
            }),
            Repr::Text if data_type == Type::JSONB => Datum::text(
                [
                    "[]",
                    "{}",
                    "null",
                    "1",
                    "1.0",
                    r#""a\u0001""#,
                    r#"{"a": [1, {}], "b": true}"#,
                    r#"{"b": null}"#,
                    "[[], 2]",
                ][r.random_range(0..9)],
            ),
            Repr::Text => Datum::text(text),
            Repr::Bytea => Datum::Bytea(letters.into()),
            Repr::Date => Datum::Date(integer as i32),
            Repr::Time => Datum::Time(integer),
            Repr::Timestamp => Datum::Timestamp(integer),
            Repr::Interval => Datum::Interval(Interval {
                months: r.random_range(-2..2),
                days: r.random_range(-31..31),
                micros: [0, 1, -1, 86_400_000_000, i64::MIN][r.random_range(0..5)],
            }),
            Repr::Uuid => Datum::Uuid([r.random_range(0..3); 16]),
            Repr::Oid => Datum::Oid(integer as u32),
            Repr::Array => {
                let element = data_type.element().unwrap();
                let elements: Vec<Datum> = (0..r.random_range(0..3)).map(|_| random(element, r)).collect();
                let dimensions = match elements.len() {
                    0 => vec![],
                    len => vec![(len as i32, r.random_range(0..3))],
                };
                Datum::array(ArrayValue { element, dimensions, elements })
            }
            Repr::TimeTz => Datum::TimeTz(TimeTz {
                micros: integer.rem_euclid(3) * 3_600_000_000,
                offset: r.random_range(-2..3) * 3600,
            }),
            Repr::Range => {
                let element = data_type.range_element().unwrap();
                let mut bound = || Bound::new(random(element, r), r.random());
                let (a, b) = (bound(), bound());
                RangeValue::between(data_type, a, b).map_or(Datum::Null, Datum::range)
            }
            Repr::Record => unreachable!(),
        }
    }

    fn expected(a: &Datum, b: &Datum, data_type: Type, order: KeyOrder) -> Ordering {
        match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if order.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) => expected(b, a, data_type, order).reverse(),
            (false, false) if order.descending => compare_as(b, a, data_type),
            (false, false) => compare_as(a, b, data_type),
        }
    }

    /// For every type and order: byte order is value order, skip() finds the end whatever follows, and no garbage panics.
    #[test]
    fn byte_order_is_value_order() {
        let mut r = StdRng::seed_from_u64(7);
        for data_type in TYPES {
            for order in ORDERS {
                for _ in 0..2000 {
                    let (a, b) = (random(*data_type, &mut r), random(*data_type, &mut r));
                    let (mut x, mut y) = (Vec::new(), Vec::new());
                    encode(&a, *data_type, order, &mut x);
                    encode(&b, *data_type, order, &mut y);
                    assert_eq!(
                        x.cmp(&y),
                        expected(&a, &b, *data_type, order),
                        "{data_type:?} {order:?} {a:?} {b:?}"
                    );
                    let end = x.len();
                    x.extend_from_slice(&y);
                    assert_eq!(skip(&x, *data_type, order), Some(end), "{data_type:?} {a:?}");
                    let cut = r.random_range(0..x.len());
                    x[cut] = r.random();
                    let _ = skip(&x[..cut], *data_type, order);
                    let _ = skip(&x, *data_type, order);
                }
            }
        }
    }

    #[test]
    fn golden_bytes() {
        let bytes = |value: Datum, data_type| {
            let mut out = Vec::new();
            encode(&value, data_type, KeyOrder::ASCENDING, &mut out);
            out
        };
        assert_eq!(bytes(Datum::Int4(1), Type::INT4), [1, 0x80, 0, 0, 1]);
        assert_eq!(bytes(Datum::text("a\0"), Type::TEXT), [1, b'a', 0, 0xff, 0, 1]);
        assert_eq!(
            bytes(Datum::numeric(Numeric::from_i64(10_001)), Type::NUMERIC),
            [1, 3, 0x80, 1, 0, 2, 0, 2, 0, 0]
        );
        assert_eq!(bytes(Datum::Null, Type::INT4), [2]);
    }

    #[test]
    fn successor_of_a_prefix() {
        assert_eq!(prefix_successor(&[1, 0xff]), Some(vec![2]));
        assert_eq!(prefix_successor(&[0xff]), None);
    }
}
