//! Where a table stands among others: INHERITS and declarative partitioning. Both are one relation between tables, pg_inherits;
//! a partition is a child with a bound.
//!
//! A child's bound is in the child, the list of children in the parent. Whoever adds or takes away a child writes both descriptors, under
//! a lock on the parent that excludes others who do; and so whatever is worked out from a parent and its children can be
//! kept beside the parent's descriptor (`table/partition.rs`).

use super::{Catalog, Table};
use crate::types::Oid;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Inheritance {
    /// In order (pg_inherits.inhseqno).
    #[serde(default)]
    pub parents: Vec<Oid>,
    /// In order of creation or attachment.
    #[serde(default)]
    pub children: Vec<Oid>,
    /// Of a partitioned table.
    #[serde(default)]
    pub partitioning: Option<Partitioning>,
    /// Of a partition.
    #[serde(default)]
    pub bound: Option<PartitionBound>,
    /// DETACH … CONCURRENTLY has begun.
    #[serde(default)]
    pub detaching: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Partitioning {
    pub strategy: Strategy,
    pub keys: Vec<PartitionKey>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Strategy {
    Range,
    List,
    Hash,
}

impl Strategy {
    /// pg_partitioned_table.partstrat
    pub fn letter(self) -> char {
        match self {
            Strategy::Range => 'r',
            Strategy::List => 'l',
            Strategy::Hash => 'h',
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Range => "range",
            Strategy::List => "list",
            Strategy::Hash => "hash",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PartitionKey {
    /// Position in `Table::columns`; None for an expression.
    pub column: Option<usize>,
    #[serde(default)]
    pub expression: Option<String>,
    pub data_type: Oid,
}

/// Values are in the catalog's text form (`table::from_text`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionBound {
    Default,
    /// None: null.
    List(Vec<Option<String>>),
    /// From inclusive, to exclusive.
    Range {
        from: Vec<RangeDatum>,
        to: Vec<RangeDatum>,
    },
    Hash {
        modulus: u32,
        remainder: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RangeDatum {
    MinValue,
    Value(String),
    MaxValue,
}

impl Table {
    /// Has partitions instead of rows. (Its tree is there, and empty, so that nothing else need know.)
    pub fn is_partitioned(&self) -> bool {
        self.inheritance.partitioning.is_some()
    }
    pub fn is_partition(&self) -> bool {
        self.inheritance.bound.is_some()
    }
    pub fn has_children(&self) -> bool {
        !self.inheritance.children.is_empty()
    }
    /// Queries that name it may mean other tables' rows: its partitions', its children's.
    pub fn stands_for_others(&self) -> bool {
        self.has_children() || self.is_partitioned()
    }
}

impl Catalog {
    /// The table's children, theirs, and so on, each once: a parent before its children.
    pub fn descendants(&self, table: &Table) -> Vec<Arc<Table>> {
        let mut found: Vec<Arc<Table>> = Vec::new();
        let mut next: Vec<Oid> = table.inheritance.children.iter().rev().copied().collect();
        while let Some(oid) = next.pop() {
            if found.iter().any(|other| other.oid == oid) {
                continue;
            }
            let Some(child) = self.table(oid) else { continue };
            next.extend(child.inheritance.children.iter().rev());
            found.push(child);
        }
        found
    }
    /// A partition's parent, the parent's, up to the root.
    pub fn partition_ancestors(&self, table: &Table) -> Vec<Arc<Table>> {
        let mut found = Vec::new();
        let mut at =
            table.inheritance.bound.as_ref().and_then(|_| table.inheritance.parents.first().copied());
        while let Some(parent) = at.and_then(|oid| self.table(oid)) {
            at = parent.inheritance.bound.as_ref().and_then(|_| parent.inheritance.parents.first().copied());
            found.push(parent);
        }
        found
    }
}
