//! GIN's classes for arrays (array_ops) and tsvectors (tsvector_ops), and for scalars (btree_gin's). jsonb's are in `jsonb.rs`.
//!
//! An array is entered under its elements, with an item of its own for nulls among them and one for having none at all: `<@` finds the
//! empty array, and `=` tells arrays with nulls apart.

use super::{Class, Query};
use crate::error::{Error, Result};
use crate::table::key::{KeyOrder, encode};
use crate::types::{ArrayValue, Datum, Type, textsearch};

/// The first byte of an item.
const ELEMENT: u8 = 1;
const NULL_ELEMENT: u8 = 2;
const EMPTY: u8 = 3;

pub struct ArrayOps;

fn element(value: &Datum, data_type: Type) -> Vec<u8> {
    if value.is_null() {
        return vec![NULL_ELEMENT];
    }
    let mut item = vec![ELEMENT];
    encode(value, data_type, KeyOrder::ASCENDING, &mut item);
    super::shortened(&item).into_owned()
}

fn elements(array: &ArrayValue) -> impl Iterator<Item = Vec<u8>> {
    array.elements.iter().map(|value| element(value, array.element))
}

fn array_of(value: &Datum) -> Result<&ArrayValue> {
    value.as_array().ok_or_else(|| Error::internal("not an array in an index of arrays"))
}

impl Class for ArrayOps {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "@>" | "<@" | "&&" | "=")
    }

    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        let array = array_of(value)?;
        match array.elements.is_empty() {
            true => out.push(vec![EMPTY]),
            false => out.extend(elements(array)),
        }
        Ok(())
    }

    fn query(&self, operator: &str, value: &Datum, _: Type) -> Result<Query> {
        let array = array_of(value)?;
        let has_null = array.elements.iter().any(Datum::is_null);
        let mut items: Vec<Vec<u8>> = elements(array).collect();
        items.sort_unstable();
        items.dedup();
        let known = |items: Vec<Vec<u8>>| {
            items.into_iter().filter(|item| item[0] == ELEMENT).map(Query::item).collect::<Vec<_>>()
        };
        Ok(match operator {
            // Nothing contains a null.
            "@>" if has_null => Query::Nothing,
            "@>" => Query::all(known(items)),
            "&&" => Query::any(known(items)),
            "<@" => {
                let mut queries = known(items);
                queries.push(Query::item(vec![EMPTY]));
                Query::any(queries)
            }
            "=" if items.is_empty() => Query::item(vec![EMPTY]),
            "=" => Query::all(items.into_iter().map(Query::item).collect()),
            _ => Query::Everything,
        })
    }
}

/// btree_gin: a value is its only item.
pub struct ScalarItem(pub Type);

impl ScalarItem {
    fn item(&self, value: &Datum) -> Vec<u8> {
        let mut item = vec![ELEMENT];
        encode(value, self.0, KeyOrder::ASCENDING, &mut item);
        super::shortened(&item).into_owned()
    }
}

impl Class for ScalarItem {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "<" | "<=" | "=" | ">=" | ">")
    }
    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        out.push(self.item(value));
        Ok(())
    }
    fn query(&self, operator: &str, value: &Datum, _: Type) -> Result<Query> {
        // A shortened item may stand on either side of the value: the bound itself is always read, and checked again.
        let item = self.item(value);
        let cut = item.len().min(super::ITEM_BYTES_MAX - 8);
        let (start, after) = (item[..cut].to_vec(), crate::table::key::prefix_successor(&item[..cut]));
        Ok(match operator {
            "=" => Query::item(item),
            "<" | "<=" => Query::Stretch { start: vec![ELEMENT], end: after },
            ">" | ">=" => Query::Stretch { start, end: Some(vec![ELEMENT + 1]) },
            _ => Query::Everything,
        })
    }
}

/// tsvector_ops: a document is entered under its lexemes. Weights and distances are left to the check of the rows found.
pub struct TextSearchOps;

/// How deep AND and OR may alternate in what is looked up; below that all rows are.
const QUERY_DEPTH_MAX: u32 = 100;

fn lexeme(word: &str) -> Vec<u8> {
    let mut item = Vec::with_capacity(1 + word.len());
    item.push(ELEMENT);
    item.extend_from_slice(word.as_bytes());
    super::shortened(&item).into_owned()
}

fn operand(operand: &textsearch::Operand) -> Query {
    let item = lexeme(&operand.word);
    if !operand.prefix {
        return Query::item(item);
    }
    let start = item[..item.len().min(super::ITEM_BYTES_MAX - 8)].to_vec();
    let end = crate::table::key::prefix_successor(&start);
    Query::Stretch { start, end }
}

/// The parts of an AND or an OR, without those of its kind within it.
struct Group {
    all: bool,
    parts: Vec<Query>,
    depth: u32,
}

impl Group {
    fn query(mut self) -> Query {
        match (self.depth > QUERY_DEPTH_MAX, self.parts.len(), self.all) {
            (true, _, _) => Query::Everything,
            (_, 1, _) => self.parts.pop().unwrap_or(Query::Nothing),
            (_, _, true) => Query::all(self.parts),
            (_, _, false) => Query::any(self.parts),
        }
    }
}

fn lexemes_of(query: &textsearch::Query) -> Query {
    let Some(query) = query.indexable() else {
        // What only negates may be found anywhere; an empty query finds nothing.
        return if query.items.is_empty() { Query::Nothing } else { Query::Everything };
    };
    let mut stack: Vec<Group> = Vec::new();
    for item in &query.items {
        let group = match item {
            textsearch::Item::Operand(word) => Group { all: true, parts: vec![operand(word)], depth: 0 },
            textsearch::Item::Not => return Query::Everything,
            operator => {
                let all = *operator != textsearch::Item::Or;
                let (Some(right), Some(mut left)) = (stack.pop(), stack.pop()) else {
                    return Query::Everything;
                };
                if left.all != all && left.parts.len() > 1 {
                    let depth = left.depth + 1;
                    left = Group { all, parts: vec![left.query()], depth };
                }
                left.all = all;
                match right.all == all || right.parts.len() == 1 {
                    true => {
                        left.depth = left.depth.max(right.depth);
                        left.parts.extend(right.parts);
                    }
                    false => {
                        left.depth = left.depth.max(right.depth + 1);
                        left.parts.push(right.query());
                    }
                }
                left
            }
        };
        stack.push(group);
    }
    stack.pop().map_or(Query::Everything, Group::query)
}

impl Class for TextSearchOps {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "@@" | "@@@")
    }

    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        let bytes =
            value.as_bytes().ok_or_else(|| Error::internal("not a tsvector in an index of tsvectors"))?;
        out.extend(textsearch::Vector::from_bytes(bytes).lexemes.keys().map(|word| lexeme(word)));
        Ok(())
    }

    fn query(&self, _: &str, value: &Datum, _: Type) -> Result<Query> {
        let bytes = value.as_bytes().ok_or_else(|| Error::internal("not a tsquery to look up"))?;
        Ok(lexemes_of(&textsearch::Query::from_bytes(bytes)))
    }
}
