//! GIN's class for arrays (array_ops), and for scalars (btree_gin's). jsonb's are in `jsonb.rs`.
//!
//! An array is entered under its elements, with an item of its own for nulls among them and one for having none at all: `<@` finds the
//! empty array, and `=` tells arrays with nulls apart.

use super::{Class, Query};
use crate::error::{Error, Result};
use crate::table::key::{KeyOrder, encode};
use crate::types::{ArrayValue, Datum, Type};

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
