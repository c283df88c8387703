//! Functions and operators of tsvector and tsquery.

use super::Registry;
use super::arguments::scalar;
use crate::error::{Error, Result, SqlState};
use crate::types::textsearch::{
    Item, POSITION_MAX, Position, Query, Vector, checked_distance, weight_letter, weight_of,
};
use crate::types::{ArrayValue, Datum, Type};

fn vector(bytes: &[u8]) -> Vector {
    Vector::from_bytes(bytes)
}

fn query(bytes: &[u8]) -> Query {
    Query::from_bytes(bytes)
}

fn to_array(element: Type, elements: Vec<Datum>) -> ArrayValue {
    let dimensions = if elements.is_empty() { vec![] } else { vec![(elements.len() as i32, 1)] };
    ArrayValue { element, dimensions: dimensions.into_iter().collect(), elements }
}

fn texts(array: &ArrayValue) -> impl Iterator<Item = Option<&str>> {
    array.elements.iter().map(|element| match element {
        Datum::Text(text) => Some(&**text),
        _ => None,
    })
}

fn no_nulls(what: &str) -> Error {
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, format!("{what} array may not contain nulls"))
}

/// The second one's positions follow the first one's.
fn concatenated(a: &[u8], b: &[u8]) -> Result<Vec<u8>> {
    let (mut all, more) = (vector(a), vector(b));
    let last = all.lexemes.values().flatten().map(|position| position.place).max().unwrap_or(0);
    for (word, positions) in more.lexemes {
        let there = all.lexemes.entry(word).or_default();
        for position in positions {
            if there.len() == 256 || there.last().is_some_and(|last| last.place == POSITION_MAX) {
                break;
            }
            let place = (last + position.place).min(POSITION_MAX);
            there.push(Position { place, ..position });
        }
    }
    all.within_limits().map(|all| all.to_bytes())
}

fn weighted(of: &[u8], weight: &str, only: Option<&ArrayValue>) -> Result<Vec<u8>> {
    let weight = weight_of(weight).ok_or_else(|| {
        let shown = match only {
            Some(_) => weight.to_owned(),
            None => weight.bytes().next().unwrap_or(0).to_string(),
        };
        Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized weight: {shown}"))
    })?;
    let mut of = vector(of);
    let give =
        |positions: &mut Vec<Position>| positions.iter_mut().for_each(|position| position.weight = weight);
    match only {
        None => of.lexemes.values_mut().for_each(give),
        Some(words) => {
            for word in texts(words).flatten() {
                of.lexemes.get_mut(word).into_iter().for_each(give);
            }
        }
    }
    Ok(of.to_bytes())
}

/// Positions of the weights, and the lexemes that have any of those.
fn filtered(of: &[u8], weights: &ArrayValue) -> Result<Vec<u8>> {
    let mut wanted = 0;
    for letter in texts(weights) {
        let letter = letter.ok_or_else(|| no_nulls("weight"))?;
        wanted |= 1
            << weight_of(letter).ok_or_else(|| {
                let message = format!("unrecognized weight: \"{letter}\"");
                Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            })?;
    }
    let mut of = vector(of);
    of.lexemes.retain(|_, positions| {
        positions.retain(|position| wanted & 1 << position.weight > 0);
        !positions.is_empty()
    });
    Ok(of.to_bytes())
}

fn without(of: &[u8], words: &ArrayValue) -> Vec<u8> {
    let mut of = vector(of);
    for word in texts(words).flatten() {
        of.lexemes.remove(word);
    }
    of.to_bytes()
}

fn from_array(words: &ArrayValue) -> Result<Vec<u8>> {
    let mut made = Vector::default();
    for word in texts(words) {
        let word = word.ok_or_else(|| no_nulls("lexeme"))?;
        if word.is_empty() {
            let message = "lexeme array may not contain empty strings";
            return Err(Error::new(SqlState::ZERO_LENGTH_CHARACTER_STRING, message));
        }
        made.add(word, &[]);
    }
    made.within_limits().map(|made| made.to_bytes())
}

fn lexemes(of: &[u8]) -> ArrayValue {
    to_array(Type::TEXT, vector(of).lexemes.into_keys().map(Datum::text).collect())
}

fn row(word: String, positions: &[Position]) -> Vec<Datum> {
    if positions.is_empty() {
        return vec![Datum::text(word), Datum::Null, Datum::Null];
    }
    let places = positions.iter().map(|position| Datum::Int2(position.place as i16)).collect();
    let weights = positions.iter().map(|position| Datum::text(weight_letter(position.weight))).collect();
    vec![
        Datum::text(word),
        Datum::array(to_array(Type::INT2, places)),
        Datum::array(to_array(Type::TEXT, weights)),
    ]
}

fn joined(a: &[u8], b: &[u8], with: Item) -> Result<Vec<u8>> {
    query(a).joined(query(b), with).map(|query| query.to_bytes())
}

fn contains(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (query(a), query(b));
    a.words().is_superset(&b.words())
}

fn tree(of: &[u8]) -> String {
    let of = query(of);
    if of.items.is_empty() {
        return String::new();
    }
    let mut out = Vec::new();
    match of.indexable() {
        Some(rest) => rest.write_text(&mut out),
        None => out.push(b'T'),
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn order(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    Query::compared(a).cmp(Query::compared(b))
}

pub fn register(r: &mut Registry) {
    scalar!(r, "tsvector_eq", |a: &[u8], b: &[u8]| a == b);
    scalar!(r, "tsvector_ne", |a: &[u8], b: &[u8]| a != b);
    scalar!(r, "tsvector_lt", |a: &[u8], b: &[u8]| a < b);
    scalar!(r, "tsvector_le", |a: &[u8], b: &[u8]| a <= b);
    scalar!(r, "tsvector_gt", |a: &[u8], b: &[u8]| a > b);
    scalar!(r, "tsvector_ge", |a: &[u8], b: &[u8]| a >= b);
    scalar!(r, "tsvector_cmp", |a: &[u8], b: &[u8]| a.cmp(b) as i32);
    scalar!(r, "tsquery_eq", |a: &[u8], b: &[u8]| order(a, b).is_eq());
    scalar!(r, "tsquery_ne", |a: &[u8], b: &[u8]| order(a, b).is_ne());
    scalar!(r, "tsquery_lt", |a: &[u8], b: &[u8]| order(a, b).is_lt());
    scalar!(r, "tsquery_le", |a: &[u8], b: &[u8]| order(a, b).is_le());
    scalar!(r, "tsquery_gt", |a: &[u8], b: &[u8]| order(a, b).is_gt());
    scalar!(r, "tsquery_ge", |a: &[u8], b: &[u8]| order(a, b).is_ge());
    scalar!(r, "tsquery_cmp", |a: &[u8], b: &[u8]| order(a, b) as i32);
    scalar!(r, "tsvector_length", |a: &[u8]| vector(a).lexemes.len() as i32);
    scalar!(r, "tsvector_strip", |a: &[u8]| {
        let mut stripped = vector(a);
        stripped.lexemes.values_mut().for_each(Vec::clear);
        stripped.to_bytes()
    });
    scalar!(r, "tsvector_concat", |a: &[u8], b: &[u8]| concatenated(a, b));
    scalar!(r, "tsvector_setweight", |a: &[u8], weight: &str| weighted(a, weight, None));
    scalar!(r, "tsvector_setweight_by_filter", |a: &[u8], weight: &str, words: &ArrayValue| {
        weighted(a, weight, Some(words))
    });
    scalar!(r, "tsvector_filter", |a: &[u8], weights: &ArrayValue| filtered(a, weights));
    scalar!(r, "tsvector_delete_arr", |a: &[u8], words: &ArrayValue| without(a, words));
    scalar!(r, "tsvector_delete_str", |a: &[u8], word: &str| {
        let mut rest = vector(a);
        rest.lexemes.remove(word);
        rest.to_bytes()
    });
    scalar!(r, "tsvector_to_array", |a: &[u8]| lexemes(a));
    scalar!(r, "array_to_tsvector", |words: &ArrayValue| from_array(words));
    r.set("tsvector_unnest", |arguments, _| match arguments {
        [Datum::Bytea(bytes)] => {
            let rows = vector(bytes).lexemes.into_iter();
            Ok(Box::new(rows.map(|(word, positions)| Ok(row(word, &positions)))))
        }
        _ => Err(Error::internal("unnest takes a tsvector")),
    });
    scalar!(r, "ts_match_vq", |a: &[u8], b: &[u8]| query(b).matches(&vector(a)));
    scalar!(r, "ts_match_qv", |a: &[u8], b: &[u8]| query(a).matches(&vector(b)));
    scalar!(r, "tsquery_and", |a: &[u8], b: &[u8]| joined(a, b, Item::And));
    scalar!(r, "tsquery_or", |a: &[u8], b: &[u8]| joined(a, b, Item::Or));
    scalar!(r, "tsquery_not", |a: &[u8]| query(a).negated().map(|query| query.to_bytes()));
    scalar!(r, "tsquery_phrase", |a: &[u8], b: &[u8]| joined(a, b, Item::Phrase(1)));
    scalar!(r, "tsquery_phrase_distance", |a: &[u8], b: &[u8], distance: i32| {
        checked_distance(i64::from(distance)).and_then(|distance| joined(a, b, Item::Phrase(distance)))
    });
    scalar!(r, "tsquery_numnode", |a: &[u8]| query(a).items.len() as i32);
    scalar!(r, "tsquerytree", |a: &[u8]| tree(a));
    scalar!(r, "tsq_mcontains", |a: &[u8], b: &[u8]| contains(a, b));
    scalar!(r, "tsq_mcontained", |a: &[u8], b: &[u8]| contains(b, a));
}
