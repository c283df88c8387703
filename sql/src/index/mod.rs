//! Indexes that enter a row under several keys: GIN and GiST.
//!
//! # The problem
//!
//! A B-tree answers questions about an order. `tags @> '{red}'`, `document ? 'name'` or `period && '[9:00,10:00)'` are not of that kind:
//! PostgreSQL answers them with trees of other shapes (posting trees below an entry tree; bounding boxes in boxes). Here there is one kind
//! of tree, ordered by bytes, and one way to read it, the transaction's scan; what a scan has read is known as *key ranges*, and that is how
//! all three protocols catch phantoms. An index of another shape beside it would have to do all of that again.
//!
//! # The idea
//!
//! A value is entered under several *items*, byte strings that its operator class ([`Class`]) makes of it: an array's elements, a document's
//! keys and values, the cell that an interval lies in. A search is turned into a [`Query`]: stretches of items, joined by *all of* and
//! *any of*. Whoever inserts, changes or removes a row that a search would find writes, in the index's tree, a key in one of the stretches
//! that the search has read. So the ranges that the scan registers are the predicate, as exactly as the items tell values apart.
//!
//! # Entries
//!
//! ```text
//! GIN    number of the column (1 byte)                  item   key of the row in the table's tree
//! GiST   the scalar columns' values, as in a B-tree     number of the column   item   key of the row
//! ```
//!
//! Items are written as `key.rs` writes bytes: in order, and saying themselves where they end. An entry has no value.
//!
//! GIN enters each column by itself, so any of them can be searched, and conditions on several are intersected. GiST
//! is mostly used for what belongs together (`EXCLUDE USING gist (room WITH =, period WITH &&)`): its scalar columns
//! (btree_gist's classes) go first, in whatever order they were written, and only the part of the tree with the room's value is read. A
//! GiST index whose scalar columns are not all fixed is of use for a prefix of them only, as a B-tree is.
//!
//! # Rules
//!
//! 1. The items of a value and of a search may be too few to decide (hashes, cells, a document's keys at any depth): rows that are found
//!    are always checked again. They may not be too many: a row that satisfies a condition is found by it.
//! 2. *All of* need not be read to the end: when one part has named few rows, these are looked at themselves (`exec/entries.rs`). That
//!    is as good for the protocols: what would have to change for another row to be found is either in the part that was read, or in a row that was.
//! 3. A null is entered nowhere in GIN, since no operator finds it. In GiST it has an entry below the column's own number
//!    ([`NULL_ITEM`]), for the scalar columns before it may be searched alone.
//! 4. A search that every value satisfies (`@> '{}'`) reads the table.
//! 5. Items longer than [`ITEM_BYTES_MAX`] are cut and end in a hash of the whole.
//!
//! Sources: PostgreSQL's src/backend/access/gin/README and gist/README; for intervals and boxes see `gist.rs`.

mod boxes;
mod classes;
pub(crate) mod gin;
pub(crate) mod gist;
mod jsonb;

pub(crate) use classes::{class_for, class_named, find_class, no_class};

use crate::error::Result;
use crate::table::key;
use crate::types::{Datum, Oid, Type};
use serde::{Deserialize, Serialize};

/// How an index keeps its entries (pg_am).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    #[default]
    Btree,
    Gin,
    Gist,
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Btree => "btree",
            Method::Gin => "gin",
            Method::Gist => "gist",
        }
    }
    pub fn oid(self) -> Oid {
        match self {
            Method::Btree => 403,
            Method::Gin => 2742,
            Method::Gist => 783,
        }
    }
}

/// See rule 5.
pub const ITEM_BYTES_MAX: usize = 512;

/// See rule 3. Below every item of a class: those begin with a category of 1 or more.
pub const NULL_ITEM: &[u8] = &[];

/// What entries make rows of a search.
#[derive(Clone, Debug)]
pub enum Query {
    Nothing,
    /// The index does not narrow it.
    Everything,
    /// Items from `start` on, below `end` (None: to the last of the column).
    Stretch {
        start: Vec<u8>,
        end: Option<Vec<u8>>,
    },
    All(Vec<Query>),
    Any(Vec<Query>),
}

impl Query {
    /// One item.
    pub fn item(item: Vec<u8>) -> Query {
        // The next longer byte string is the item's own successor.
        let mut end = item.clone();
        end.push(0);
        Query::Stretch { start: item, end: Some(end) }
    }
    /// All items that begin with these bytes.
    pub fn prefix(prefix: Vec<u8>) -> Query {
        let end = key::prefix_successor(&prefix);
        Query::Stretch { start: prefix, end }
    }
    /// Each of several; of none, everything is as good as another.
    pub fn all(queries: Vec<Query>) -> Query {
        let mut parts = Vec::with_capacity(queries.len());
        for query in queries {
            match query {
                Query::Nothing => return Query::Nothing,
                Query::Everything => {}
                query => parts.push(query),
            }
        }
        match parts.len() {
            0 => Query::Everything,
            1 => parts.remove(0),
            _ => Query::All(parts),
        }
    }
    /// One of several.
    pub fn any(queries: Vec<Query>) -> Query {
        let mut parts = Vec::with_capacity(queries.len());
        for query in queries {
            match query {
                Query::Everything => return Query::Everything,
                Query::Nothing => {}
                query => parts.push(query),
            }
        }
        match parts.len() {
            0 => Query::Nothing,
            1 => parts.remove(0),
            _ => Query::Any(parts),
        }
    }
}

/// An operator class: what a value is entered under, and which entries a search is for.
pub trait Class: Sync {
    /// Whether it knows an operator, by its symbol, with the column on the left.
    fn knows(&self, operator: &str) -> bool;
    /// The items of a value that is not null; those that come twice are entered once.
    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()>;
    /// What `column operator value` is for; the value is not null.
    fn query(&self, operator: &str, value: &Datum, data_type: Type) -> Result<Query>;
}

/// How a column of such an index is kept.
#[derive(Clone, Copy)]
pub enum Part {
    /// As in a B-tree, before all items.
    Scalar,
    Items(&'static dyn Class),
}

/// An index's columns, by position in `Index::keys`.
pub struct Entries {
    pub parts: Vec<Part>,
    pub types: Vec<Type>,
    /// Positions of the scalar ones.
    pub scalars: Vec<usize>,
    pub method: Method,
}

impl Entries {
    pub fn new(method: Method, parts: Vec<Part>, types: Vec<Type>) -> Entries {
        let is_scalar = |position: &usize| matches!(parts[*position], Part::Scalar);
        let scalars = (0..parts.len()).filter(is_scalar).collect();
        Entries { parts, types, scalars, method }
    }

    /// Whether conditions on these columns, by these operators, narrow what is to be read.
    pub fn is_of_use(&self, conditions: &[(usize, &str)]) -> bool {
        let on =
            |part: usize| conditions.iter().filter(move |(at, _)| *at == part).map(|(_, operator)| *operator);
        match self.scalars.first() {
            Some(&first) => on(first).any(|operator| operator != "<>"),
            None => conditions.iter().any(|(part, _)| matches!(self.parts[*part], Part::Items(_))),
        }
    }

    /// Appends the entries of a row with these values, in order and each once.
    pub fn entries(&self, values: &[Datum], table_key: &[u8], out: &mut Vec<Vec<u8>>) -> Result<()> {
        let mut prefix = Vec::with_capacity(16);
        for &at in &self.scalars {
            key::encode(&values[at], self.types[at], key::KeyOrder::ASCENDING, &mut prefix);
        }
        let mut items = Vec::new();
        let first = out.len();
        let mut add = |part: usize, item: &[u8]| {
            let mut entry = Vec::with_capacity(prefix.len() + item.len() + table_key.len() + 4);
            entry.extend_from_slice(&prefix);
            entry.push(part as u8);
            key::encode_bytes(item, &mut entry);
            entry.extend_from_slice(table_key);
            out.push(entry);
        };
        let mut only_scalars = true;
        for (at, part) in self.parts.iter().enumerate() {
            let Part::Items(class) = part else { continue };
            only_scalars = false;
            items.clear();
            match &values[at] {
                Datum::Null if self.method == Method::Gist => add(at, NULL_ITEM),
                Datum::Null => {}
                value => {
                    class.items(value, &mut items)?;
                    items.iter().for_each(|item| add(at, &shortened(item)));
                }
            }
        }
        if only_scalars {
            add(self.parts.len(), NULL_ITEM);
        }
        out[first..].sort_unstable();
        let mut kept = out.split_off(first);
        kept.dedup();
        out.append(&mut kept);
        Ok(())
    }

    /// The key of the row that an entry is of. None: malformed.
    pub fn table_key<'e>(&self, entry: &'e [u8]) -> Option<&'e [u8]> {
        let mut rest = entry;
        for &at in &self.scalars {
            rest = rest.get(key::skip(rest, self.types[at], key::KeyOrder::ASCENDING)?..)?;
        }
        let rest = rest.get(1..)?;
        rest.get(key::skip_bytes(rest)?..)
    }
}

/// See rule 5. The hash is on disk: FNV-1a, which stays what it is.
pub(crate) fn shortened(item: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if item.len() <= ITEM_BYTES_MAX {
        return item.into();
    }
    let mut short = item[..ITEM_BYTES_MAX - 8].to_vec();
    short.extend(hash(item).to_be_bytes());
    short.into()
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `a operator b` is `b commuted a`. None: there is no such operator.
pub fn commuted(operator: &'static str) -> Option<&'static str> {
    Some(match operator {
        "@>" => "<@",
        "<@" => "@>",
        "<<" => ">>",
        ">>" => "<<",
        "<<=" => ">>=",
        ">>=" => "<<=",
        "<<|" => "|>>",
        "|>>" => "<<|",
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        "&&" | "=" | "-|-" | "~=" | "@@" => operator,
        _ => return None,
    })
}
