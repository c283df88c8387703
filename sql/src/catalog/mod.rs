//! The catalog: databases, schemas, tables, indexes, sequences, constraints, roles, settings. Descriptors are kept in
//! trees of the same store, so that DDL is transactional like any other write; sessions read an immutable [`Catalog`]
//! snapshot that is rebuilt when its version changes.

use crate::types::{Oid, Type};
use serde::{Deserialize, Serialize};
use serin_storage::TreeId;
use std::sync::Arc;

/// OIDs below this are PostgreSQL's own; ours are given out from here.
pub const FIRST_USER_OID: Oid = 16384;
pub const PG_CATALOG: Oid = 11;
pub const PUBLIC: Oid = 2200;
pub const INFORMATION_SCHEMA: Oid = 13000;
pub const DATABASE_POSTGRES: Oid = 5;
pub const ROLE_POSTGRES: Oid = 10;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    #[serde(default)]
    pub is_template: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    pub create_database: bool,
    pub create_role: bool,
    pub inherit: bool,
    #[serde(default)]
    pub settings: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schema {
    pub oid: Oid,
    pub database: Oid,
    pub name: String,
    pub owner: Oid,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Persistence {
    Permanent,
    Temporary,
}

/// A table. Its rows live in `tree`, clustered on the primary key, or on a hidden 8-byte row id if there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    pub oid: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub persistence: Persistence,
    #[serde(with = "tree_id")]
    pub tree: TreeId,
    /// In order of attnum; dropped columns stay, marked.
    pub columns: Vec<Column>,
    /// Positions in `columns` of the primary key; empty: clustered on the row id.
    pub primary_key: Vec<usize>,
    /// The primary key is among them as `clustered`.
    pub indexes: Vec<Index>,
    pub constraints: Vec<Constraint>,
    #[serde(default)]
    pub options: Vec<(String, Option<String>)>,
    #[serde(default)]
    pub comment: Option<String>,
    /// Present for a view: its definition; then `tree` is unused.
    #[serde(default)]
    pub view: Option<String>,
    /// From ANALYZE (or kept roughly by writers).
    #[serde(default)]
    pub statistics: Option<Statistics>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// From 1, never reused.
    pub number: i16,
    pub data_type: Oid,
    pub modifier: i32,
    pub not_null: bool,
    /// SQL text of the default (or of the generation expression).
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default)]
    pub generated: bool,
    /// GENERATED { ALWAYS (true) | BY DEFAULT (false) } AS IDENTITY.
    #[serde(default)]
    pub identity: Option<bool>,
    /// The sequence owned by this column (serial or identity).
    #[serde(default)]
    pub sequence: Option<Oid>,
    /// Rows written before the column was added have this value (text form); none: null.
    #[serde(default)]
    pub missing: Option<String>,
    #[serde(default)]
    pub dropped: bool,
    #[serde(default)]
    pub comment: Option<String>,
}

impl Column {
    pub fn data_type(&self) -> Type {
        Type(self.data_type)
    }
}

/// An index. Key of its tree = indexed columns, then the table's key (clustering key or row id); a UNIQUE index without
/// nulls in the key leaves the suffix to the value, so that its key is unique by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Index {
    pub oid: Oid,
    pub name: String,
    #[serde(with = "tree_id")]
    pub tree: TreeId,
    pub keys: Vec<IndexKey>,
    #[serde(default)]
    pub include: Vec<usize>,
    pub unique: bool,
    pub primary: bool,
    /// The primary key's index is the table's own tree.
    pub clustered: bool,
    #[serde(default)]
    pub nulls_not_distinct: bool,
    /// SQL text of a partial index's WHERE.
    #[serde(default)]
    pub predicate: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexKey {
    /// Position in `Table::columns`; None for an expression.
    pub column: Option<usize>,
    #[serde(default)]
    pub expression: Option<String>,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub kind: ConstraintKind,
    #[serde(default)]
    pub deferrable: bool,
    #[serde(default)]
    pub initially_deferred: bool,
    #[serde(default)]
    pub comment: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// SQL text.
    Check(String),
    /// By index OID.
    PrimaryKey(Oid),
    Unique(Oid),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Statistics {
    pub rows: f64,
    pub bytes: f64,
    /// By position in `Table::columns`.
    pub columns: Vec<Option<ColumnStatistics>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ColumnStatistics {
    pub null_fraction: f64,
    /// Distinct non-null values; negative: minus their fraction of the rows (pg_statistic.stadistinct).
    pub distinct: f64,
    pub average_width: f64,
    /// Key-encoded histogram bounds of equal frequency.
    #[serde(default)]
    pub histogram: Vec<Vec<u8>>,
    #[serde(default)]
    pub most_common: Vec<(Vec<u8>, f64)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sequence {
    pub oid: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub data_type: Oid,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub cycle: bool,
    /// (table, column number)
    #[serde(default)]
    pub owned_by: Option<(Oid, i16)>,
}

mod tree_id {
    use serde::{Deserialize, Deserializer, Serializer};
    use serin_storage::TreeId;

    pub fn serialize<S: Serializer>(id: &TreeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(id.0)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TreeId, D::Error> {
        u64::deserialize(deserializer).map(TreeId)
    }
}

/// What a name in FROM can be.
#[derive(Clone)]
pub enum Relation {
    Table(Arc<Table>),
    Sequence(Arc<Sequence>),
    /// An index, with its table.
    Index(Arc<Table>, usize),
    /// A pg_catalog or information_schema relation, computed when scanned.
    System(&'static crate::catalog::SystemRelation),
}

/// A relation whose rows are computed from the catalog (or the live state) when it is scanned.
pub struct SystemRelation {
    pub oid: Oid,
    pub schema: Oid,
    pub name: &'static str,
    pub columns: &'static [(&'static str, Type)],
    pub rows: fn(&crate::functions::EvalContext<'_>) -> crate::Result<Vec<Vec<crate::types::Datum>>>,
}

/// An immutable snapshot of every descriptor, as one database sees it.
pub struct Catalog {
    /// Changes whenever any descriptor does: the key of plan caches.
    pub version: u64,
    _private: (),
}

impl Catalog {
    /// `schema` None: along `search_path` (pg_catalog first unless listed; then "$user" is resolved by the caller).
    pub fn find_relation(
        &self,
        _schema: Option<&str>,
        _name: &str,
        _search_path: &[String],
    ) -> Option<Relation> {
        todo!()
    }
    pub fn relation(&self, _oid: Oid) -> Option<Relation> {
        todo!()
    }
    pub fn table(&self, _oid: Oid) -> Option<Arc<Table>> {
        todo!()
    }
    pub fn schema(&self, _oid: Oid) -> Option<&Schema> {
        todo!()
    }
    pub fn find_schema(&self, _name: &str) -> Option<&Schema> {
        todo!()
    }
    pub fn database(&self) -> &Database {
        todo!()
    }
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        std::iter::empty()
    }
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        std::iter::empty()
    }
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        std::iter::empty()
    }
    /// Of this database, without system relations.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        std::iter::empty()
    }
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        std::iter::empty()
    }
}
