//! GIN's classes for jsonb.
//!
//! jsonb_ops enters a document under every key, every string that is an array's element (as if it were a key: `?` finds both), every other
//! string, number and boolean, and nulls, wherever they are in it. jsonb_path_ops enters it under a hash of each value *with the keys that
//! lead to it*: fewer and more telling items, good for `@>` and paths that end in an equality, not for the existence of keys.
//!
//! A jsonpath becomes what must be there for it to find something: the keys on its way, and what `==` compares with. What can't be said so
//! (a negation, a comparison by order, arithmetic) asks for nothing. In lax mode a step over an array's elements changes no
//! item, since elements are entered under the keys that lead to their array.

use super::{Class, Query, hash};
use crate::error::{Error, Result, SqlState};
use crate::table::key::encode_numeric;
use crate::types::json::Json;
use crate::types::json::path::{self, Node, Operator, Step};
use crate::types::{Datum, Numeric, Type};

/// The first byte of an item.
const KEY: u8 = 1;
const NULL: u8 = 2;
const BOOL: u8 = 3;
const NUMBER: u8 = 4;
const STRING: u8 = 5;
const HASH: u8 = 6;

fn document(value: &Datum) -> Result<Json> {
    let text = value.as_str().ok_or_else(|| Error::internal("not jsonb in an index of jsonb"))?;
    Json::of_canonical(text).map_err(|_| Error::new(SqlState::DATA_CORRUPTED, "damaged jsonb"))
}

fn text_item(category: u8, text: &str) -> Vec<u8> {
    let mut item = Vec::with_capacity(1 + text.len());
    item.push(category);
    item.extend_from_slice(text.as_bytes());
    super::shortened(&item).into_owned()
}

fn number_item(number: &Numeric) -> Vec<u8> {
    let mut item = vec![NUMBER];
    encode_numeric(number, &mut item);
    super::shortened(&item).into_owned()
}

/// A scalar as jsonb_ops enters it.
fn scalar_item(value: &Json, is_element: bool) -> Option<Vec<u8>> {
    Some(match value {
        Json::Null => vec![NULL],
        Json::Bool(value) => vec![BOOL, u8::from(*value)],
        Json::Number(number) => number_item(number),
        Json::String(text) => text_item(if is_element { KEY } else { STRING }, text),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

/// What a document is entered under, or all that one that contains it is.
fn keys_and_values(value: &Json, is_element: bool, out: &mut Vec<Vec<u8>>) {
    match value {
        Json::Array(elements) => elements.iter().for_each(|element| keys_and_values(element, true, out)),
        Json::Object(members) => {
            for (key, value) in members {
                out.push(text_item(KEY, key));
                keys_and_values(value, false, out);
            }
        }
        scalar => out.extend(scalar_item(scalar, is_element)),
    }
}

pub struct JsonbOps;

fn all_items(items: Vec<Vec<u8>>) -> Query {
    let mut items = items;
    items.sort_unstable();
    items.dedup();
    Query::all(items.into_iter().map(Query::item).collect())
}

impl Class for JsonbOps {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "@>" | "?" | "?|" | "?&" | "@?" | "@@")
    }

    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        // A scalar at the top is like an array of it, in which `?` finds a string.
        keys_and_values(&document(value)?, true, out);
        Ok(())
    }

    fn query(&self, operator: &str, value: &Datum, _: Type) -> Result<Query> {
        let keys = || -> Result<Vec<Query>> {
            let array = value.as_array().ok_or_else(|| Error::internal("not an array of keys"))?;
            let keys = array.elements.iter().filter_map(Datum::as_str);
            Ok(keys.map(|key| Query::item(text_item(KEY, key))).collect())
        };
        Ok(match operator {
            "@>" => {
                let mut items = Vec::new();
                keys_and_values(&document(value)?, true, &mut items);
                all_items(items)
            }
            "?" => Query::item(text_item(KEY, value.as_str().unwrap_or_default())),
            "?|" => Query::any(keys()?),
            "?&" => Query::all(keys()?),
            "@?" | "@@" => path_query(value, operator == "@@", &KeysOnTheWay)?,
            _ => Query::Everything,
        })
    }
}

pub struct JsonbPathOps;

/// A hash of the keys that lead somewhere, extended by one more.
fn below(way: u64, key: &str) -> u64 {
    let mut bytes = way.to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_bytes());
    hash(&bytes)
}

fn hashed(way: u64, value: &Json) -> Option<Vec<u8>> {
    let mut bytes = way.to_be_bytes().to_vec();
    // A string is one whether it is an element or not.
    bytes.extend(scalar_item(value, false)?);
    let mut item = vec![HASH];
    item.extend(hash(&bytes).to_be_bytes());
    Some(item)
}

fn hashes(value: &Json, way: u64, out: &mut Vec<Vec<u8>>) {
    match value {
        Json::Array(elements) => elements.iter().for_each(|element| hashes(element, way, out)),
        Json::Object(members) => members.iter().for_each(|(key, value)| hashes(value, below(way, key), out)),
        scalar => out.extend(hashed(way, scalar)),
    }
}

impl Class for JsonbPathOps {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "@>" | "@?" | "@@")
    }

    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        hashes(&document(value)?, 0, out);
        Ok(())
    }

    fn query(&self, operator: &str, value: &Datum, _: Type) -> Result<Query> {
        Ok(match operator {
            "@>" => {
                let mut items = Vec::new();
                hashes(&document(value)?, 0, &mut items);
                all_items(items)
            }
            "@?" | "@@" => path_query(value, operator == "@@", &HashedWay)?,
            _ => Query::Everything,
        })
    }
}

/// Where a path has come to. None: anywhere (`.*`, `.**`).
#[derive(Clone)]
struct Way {
    keys: Vec<String>,
    hash: Option<u64>,
}

/// What the two classes make of a way through a document.
trait WayItems {
    /// Something is there.
    fn exists(&self, way: &Way) -> Query;
    /// This scalar is there.
    fn equals(&self, way: &Way, value: &Json) -> Query;
}

struct KeysOnTheWay;

impl WayItems for KeysOnTheWay {
    fn exists(&self, way: &Way) -> Query {
        Query::all(way.keys.iter().map(|key| Query::item(text_item(KEY, key))).collect())
    }
    fn equals(&self, way: &Way, value: &Json) -> Query {
        // A string may be a member's value or an element.
        let mut items: Vec<Vec<u8>> =
            [true, false].into_iter().filter_map(|at| scalar_item(value, at)).collect();
        items.dedup();
        let value = Query::any(items.into_iter().map(Query::item).collect());
        Query::all(vec![self.exists(way), value])
    }
}

struct HashedWay;

impl WayItems for HashedWay {
    fn exists(&self, _: &Way) -> Query {
        Query::Everything
    }
    fn equals(&self, way: &Way, value: &Json) -> Query {
        match way.hash.and_then(|hash| hashed(hash, value)) {
            Some(item) => Query::item(item),
            None => Query::Everything,
        }
    }
}

fn path_query(value: &Datum, is_condition: bool, items: &dyn WayItems) -> Result<Query> {
    let text = value.as_str().ok_or_else(|| Error::internal("not a jsonpath"))?;
    let path = path::parse(text)?;
    let start = Way { keys: Vec::new(), hash: Some(0) };
    Ok(match &path.root {
        Node::Path(..) | Node::Root => found(&path.root, &start, items),
        predicate if is_condition => condition(predicate, &start, items),
        // A condition has a value, which `@?` finds, whatever it is.
        _ => Query::Everything,
    })
}

/// What is there if the path finds something.
fn found(node: &Node, current: &Way, items: &dyn WayItems) -> Query {
    match walk(node, current, items) {
        Some((way, filters)) => Query::all(vec![items.exists(&way), filters]),
        None => Query::Everything,
    }
}

/// Where a path leads, and what its filters ask for. None: it is no path.
fn walk(node: &Node, current: &Way, items: &dyn WayItems) -> Option<(Way, Query)> {
    let (base, steps): (&Node, &[Step]) = match node {
        Node::Path(base, steps) => (base, steps),
        node => (node, &[]),
    };
    let mut way = match base {
        Node::Root => Way { keys: Vec::new(), hash: Some(0) },
        Node::Current => current.clone(),
        Node::Path(..) => walk(base, current, items)?.0,
        _ => return None,
    };
    let mut filters = Vec::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                way.hash = way.hash.map(|hash| below(hash, key));
                way.keys.push(key.clone());
            }
            Step::AnyElement | Step::Elements(_) => {}
            Step::AnyKey | Step::Any(..) => way.hash = None,
            Step::Filter(predicate) => filters.push(condition(predicate, &way, items)),
            // What a method makes is in no document.
            Step::Method(_) => return None,
        }
    }
    Some((way, Query::all(filters)))
}

/// What is there if a condition is true.
fn condition(node: &Node, current: &Way, items: &dyn WayItems) -> Query {
    match node {
        Node::Binary(Operator::And, a, b) => {
            Query::all(vec![condition(a, current, items), condition(b, current, items)])
        }
        Node::Binary(Operator::Or, a, b) => {
            Query::any(vec![condition(a, current, items), condition(b, current, items)])
        }
        Node::Binary(Operator::Equal, a, b) => {
            let (path, value) = match (literal(a), literal(b)) {
                (None, Some(value)) => (a, value),
                (Some(value), None) => (b, value),
                _ => return Query::Everything,
            };
            match walk(path, current, items) {
                Some((way, filters)) => Query::all(vec![items.equals(&way, &value), filters]),
                None => Query::Everything,
            }
        }
        Node::Exists(path) => found(path, current, items),
        _ => Query::Everything,
    }
}

fn literal(node: &Node) -> Option<Json> {
    Some(match node {
        Node::Null => Json::Null,
        Node::Bool(value) => Json::Bool(*value),
        Node::Number(number) => Json::Number(number.clone()),
        Node::String(text) => Json::String(text.clone()),
        _ => return None,
    })
}
