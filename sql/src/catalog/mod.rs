//! The catalog: databases, schemas, tables, indexes, sequences, constraints, roles, settings. Descriptors are kept in
//! trees of the same store, so that DDL is transactional like any other write; sessions read an immutable [`Catalog`]
//! snapshot that is rebuilt when its version changes.

pub mod acl;
pub mod activity;
mod inheritance;
mod objects;
mod publish;
pub(crate) mod routine;
mod runtime;
pub(crate) mod store;
pub mod system;
pub(crate) mod user_type;
mod view;

pub use acl::{Acl, AclItem, Membership, ObjectClass, Privileges};
pub use inheritance::{Inheritance, PartitionBound, PartitionKey, Partitioning, RangeDatum, Strategy};
pub(crate) use objects::{Change, Kind, Object, Objects};
pub(crate) use publish::{CatalogView, Publisher};
pub use routine::{Routine, Trigger};
pub use runtime::Runtime;
pub(crate) use user_type::{TypeInfo, TypeKind, UserType};
pub use view::{CAN_DELETE, CAN_INSERT, CAN_UPDATE, SimpleView, ViewName};

use crate::index::Method;
use crate::types::{Oid, Type};
use serde::{Deserialize, Serialize};
use serin_storage::{Tree, TreeId};
use std::sync::Arc;

/// OIDs below this are PostgreSQL's own; ours are given out from here.
pub const FIRST_USER_OID: Oid = 16384;
pub const PG_CATALOG: Oid = 11;
pub const PUBLIC: Oid = 2200;
/// Empty, but clients leave it out by name.
pub const PG_TOAST: Oid = 99;
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
    /// ALTER ROLE … IN DATABASE … SET: (role or 0 for ALL, name, value).
    #[serde(default)]
    pub role_settings: Vec<(Oid, String, String)>,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the default of its class.
    #[serde(default)]
    pub acl: Option<Acl>,
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
    /// A SCRAM verifier (or an MD5 hash from a dump), never the password.
    #[serde(default)]
    pub password: Option<String>,
    /// -1: no limit.
    #[serde(default = "no_limit")]
    pub connection_limit: i32,
    #[serde(default)]
    pub replication: bool,
    #[serde(default)]
    pub bypass_rls: bool,
    #[serde(default)]
    pub valid_until: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    /// In the order of the grants.
    #[serde(default)]
    pub member_of: Vec<Membership>,
}

fn no_limit() -> i32 {
    -1
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schema {
    pub oid: Oid,
    pub database: Oid,
    pub name: String,
    pub owner: Oid,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the default of its class.
    #[serde(default)]
    pub acl: Option<Acl>,
}

/// An extension that a database has. Its objects are built in: see [`crate::extension`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Extension {
    pub oid: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub version: String,
    pub owner: Oid,
    #[serde(default)]
    pub comment: Option<String>,
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
    /// UNLOGGED: remembered, and without effect.
    #[serde(default)]
    pub unlogged: bool,
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
    pub triggers: Vec<Trigger>,
    #[serde(default)]
    pub options: Vec<(String, Option<String>)>,
    #[serde(default)]
    pub comment: Option<String>,
    /// Of a view, whose `tree` is unused, and of a materialized view: the query as written.
    #[serde(default)]
    pub view: Option<String>,
    /// What the names in it mean, in order.
    #[serde(default)]
    pub view_names: Vec<ViewName>,
    /// Of a view that is automatically updatable.
    #[serde(default)]
    pub simple_view: Option<SimpleView>,
    /// Of a materialized view: whether it has been filled since it was made WITH NO DATA.
    #[serde(default)]
    pub populated: Option<bool>,
    /// From ANALYZE (or kept roughly by writers).
    #[serde(default)]
    pub statistics: Option<Statistics>,
    /// The type of its rows, and of arrays of them (0: made before there were any).
    #[serde(default)]
    pub row_type: Oid,
    #[serde(default)]
    pub row_array_type: Oid,
    /// A view: the relations its query reads.
    #[serde(default)]
    pub depends_on: Vec<Oid>,
    /// Parents, children, and how rows are divided among partitions.
    #[serde(default)]
    pub inheritance: Inheritance,
    /// ENABLE ROW LEVEL SECURITY: there are no policies, so that it keeps everybody out whom it applies to.
    #[serde(default)]
    pub row_security: bool,
    /// FORCE ROW LEVEL SECURITY: it applies to the owner too.
    #[serde(default)]
    pub force_row_security: bool,
    /// None: the default of its class.
    #[serde(default)]
    pub acl: Option<Acl>,
    /// Trees, key orders and bound expressions, worked out on first use; a changed descriptor starts afresh.
    #[serde(skip)]
    pub(crate) shape: crate::table::ShapeCell,
    /// Of a partitioned table, in the same way: which rows go where.
    #[serde(skip)]
    pub(crate) routing: crate::table::partition::RoutingCell,
    /// The catalog version that gave the table or one of its indexes a new tree (0: before this process started). A snapshot
    /// older than that would read the new trees as empty.
    #[serde(skip)]
    pub(crate) trees_since: u64,
}

impl Table {
    /// Position of a live column.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| !column.dropped && column.name == name)
    }
    pub fn type_of_rows(&self) -> Option<Type> {
        (self.row_type != 0).then_some(Type(self.row_type))
    }
    pub fn is_view(&self) -> bool {
        self.view.is_some() && !self.is_materialized()
    }
    pub fn is_materialized(&self) -> bool {
        self.populated.is_some()
    }
    /// What messages call it.
    pub fn word(&self) -> &'static str {
        match self {
            _ if self.is_materialized() => "materialized view",
            _ if self.is_view() => "view",
            _ => "table",
        }
    }
    /// A view that reads with the privileges of who uses it.
    pub fn is_security_invoker(&self) -> bool {
        self.has_option("security_invoker")
    }
    /// A view whose conditions hide rows: nothing of the query around it may see a row before they do.
    pub fn is_security_barrier(&self) -> bool {
        self.has_option("security_barrier")
    }
    /// WITH CHECK OPTION: whether it is CASCADED.
    pub fn check_option(&self) -> Option<bool> {
        let (_, value) = self.options.iter().find(|(name, _)| name == "check_option")?;
        Some(value.as_deref() == Some("cascaded"))
    }
    fn has_option(&self, wanted: &str) -> bool {
        let on = |value: &str| crate::session::core::parse_bool(value) == Some(true);
        let value = |value: &Option<String>| value.as_deref().is_none_or(on);
        self.view.is_some() && self.options.iter().any(|(name, given)| name == wanted && value(given))
    }
    pub fn constraint(&self, oid: Oid) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.oid == oid)
    }
    /// The constraint that an index serves.
    pub fn constraint_of_index(&self, index: Oid) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| match constraint.kind {
            ConstraintKind::PrimaryKey(of) | ConstraintKind::Unique(of) | ConstraintKind::Exclusion(of) => {
                of == index
            }
            ConstraintKind::Check(_) | ConstraintKind::ForeignKey(_) => false,
        })
    }
    pub fn index(&self, oid: Oid) -> Option<(usize, &Index)> {
        self.indexes.iter().enumerate().find(|(_, index)| index.oid == oid)
    }
    /// Column types by position; a dropped column keeps the type its old values have.
    pub fn types(&self) -> Vec<Type> {
        self.columns.iter().map(Column::data_type).collect()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// From 1, never reused.
    pub number: i16,
    pub data_type: Oid,
    pub modifier: i32,
    /// None: its type's.
    #[serde(default)]
    pub collation: Option<Oid>,
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
    /// How many parents have it (attinhcount).
    #[serde(default)]
    pub inherited: i32,
    /// Defined here, not only inherited (attislocal).
    #[serde(default = "yes")]
    pub local: bool,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the default of its class.
    #[serde(default)]
    pub acl: Option<Acl>,
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
    /// Of a DEFERRABLE constraint. `unique`: equal keys may meet for a while. The tree does not enforce it (entries end in the
    /// table's key, and the index is never the clustered one); `exec/unique.rs` does.
    #[serde(default)]
    pub deferrable: bool,
    /// Of an EXCLUDE constraint: the operator of each key, by its OID; else empty.
    #[serde(default)]
    pub exclusion: Vec<Oid>,
    /// Made by a transaction after it had taken the snapshot that it keeps: the index lacks versions which that snapshot still sees.
    /// Not stored, and gone from the descriptor that is published: others' snapshots are guarded by `Table::trees_since`.
    #[serde(skip)]
    pub hidden: bool,
    #[serde(default)]
    pub method: Method,
    /// WITH (…), which mean nothing here but are shown again.
    #[serde(default)]
    pub options: Vec<(String, Option<String>)>,
    /// SQL text of a partial index's WHERE.
    #[serde(default)]
    pub predicate: Option<String>,
    /// The index of the partitioned table that this is a part of; 0: none.
    #[serde(default)]
    pub parent: Oid,
    #[serde(default)]
    pub comment: Option<String>,
}

impl Index {
    /// No two entries can have the same key, nulls aside.
    pub fn is_unique_now(&self) -> bool {
        self.unique && !self.deferrable
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IndexKey {
    /// Position in `Table::columns`; None for an expression.
    pub column: Option<usize>,
    #[serde(default)]
    pub expression: Option<String>,
    /// Other than the type's default one. All of those that exist here order values alike.
    #[serde(default)]
    pub operator_class: Option<String>,
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
    /// False: NOT VALID, only new rows are known to satisfy it.
    #[serde(default = "yes")]
    pub validated: bool,
    /// The constraint of the partitioned table that this is a part of (conparentid); 0: none.
    #[serde(default)]
    pub parent: Oid,
    /// How many parents have it (coninhcount).
    #[serde(default)]
    pub inherited: i32,
    #[serde(default = "yes")]
    pub local: bool,
    /// Of this table alone.
    #[serde(default)]
    pub no_inherit: bool,
    #[serde(default)]
    pub comment: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// SQL text.
    Check(String),
    /// By index OID.
    PrimaryKey(Oid),
    Unique(Oid),
    Exclusion(Oid),
    ForeignKey(ForeignKey),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Positions in the referencing table.
    pub columns: Vec<usize>,
    pub referenced: Oid,
    /// Positions in the referenced table, one for each of `columns`.
    pub referenced_columns: Vec<usize>,
    /// The unique index of the referenced table that has these columns (in any order).
    pub index: Oid,
    pub match_full: bool,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    /// ON DELETE SET NULL or DEFAULT of some of `columns`; empty: of all.
    #[serde(default)]
    pub delete_columns: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl Constraint {
    pub fn foreign_key(&self) -> Option<&ForeignKey> {
        match &self.kind {
            ConstraintKind::ForeignKey(key) => Some(key),
            _ => None,
        }
    }
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
    /// Names the sequence's value (see `sequence.rs`): RESTART and TRUNCATE … RESTART IDENTITY take a new one, which makes them
    /// transactional although the value itself is not.
    #[serde(default)]
    pub state: Oid,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the default of its class.
    #[serde(default)]
    pub acl: Option<Acl>,
}

/// Privileges that have no descriptor to be kept in, one object a database: what objects get when they are made (ALTER DEFAULT
/// PRIVILEGES), and changed lists of built-in objects.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Grants {
    /// The database's OID.
    pub oid: Oid,
    #[serde(default)]
    pub defaults: Vec<DefaultAcl>,
    #[serde(default)]
    pub built_in: Vec<BuiltInAcl>,
}

/// An entry of pg_default_acl.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefaultAcl {
    pub oid: Oid,
    /// Whose new objects it is about.
    pub role: Oid,
    /// 0: in every schema, in place of the class's default; else in addition to what would be.
    pub schema: Oid,
    pub class: ObjectClass,
    pub acl: Acl,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BuiltInAcl {
    pub class: ObjectClass,
    pub oid: Oid,
    /// Of a column: its number.
    #[serde(default)]
    pub column: i16,
    pub acl: Acl,
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
    /// Of the columns' types; -1: none.
    pub modifiers: &'static [i32],
    pub rows: fn(&crate::functions::EvalContext<'_>) -> crate::Result<Vec<Vec<crate::types::Datum>>>,
}

/// An immutable snapshot of every descriptor, as one database sees it.
pub struct Catalog {
    /// Changes whenever any descriptor does: the key of plan caches.
    pub version: u64,
    database: Oid,
    objects: Arc<Objects>,
    runtime: Arc<Runtime>,
}

impl Catalog {
    pub(crate) fn new(version: u64, database: Oid, objects: Arc<Objects>, runtime: Arc<Runtime>) -> Catalog {
        Catalog { version, database, objects, runtime }
    }
    pub(crate) fn objects(&self) -> &Arc<Objects> {
        &self.objects
    }
    /// What belongs to the descriptors but lives only in this process: open trees, row-id counters.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.runtime
    }
    /// The tree of a table or index of this catalog.
    pub fn tree(&self, id: TreeId) -> crate::Result<Arc<Tree>> {
        self.runtime.tree(id)
    }
    /// `schema` None: along `search_path` (pg_catalog first unless listed; then "$user" is resolved by the caller).
    pub fn find_relation(
        &self,
        schema: Option<&str>,
        name: &str,
        search_path: &[String],
    ) -> Option<Relation> {
        match schema {
            Some(schema) => self.find_in_schema(self.schema_in(schema, search_path)?.oid, name),
            None => {
                let listed = search_path.iter().any(|schema| schema == "pg_catalog");
                if !listed && let Some(system) = system::find(PG_CATALOG, name) {
                    return Some(Relation::System(system));
                }
                search_path
                    .iter()
                    .filter_map(|schema| self.find_schema(schema))
                    .find_map(|schema| self.find_in_schema(schema.oid, name))
            }
        }
    }
    /// A schema by a name that may be `pg_temp`: this session's temporary schema leads its path, if there is one.
    pub fn schema_in(&self, name: &str, search_path: &[String]) -> Option<&Schema> {
        match name {
            "pg_temp" => self.find_schema(search_path.iter().find(|schema| schema.starts_with("pg_temp_"))?),
            name => self.find_schema(name),
        }
    }
    pub fn find_in_schema(&self, schema: Oid, name: &str) -> Option<Relation> {
        if schema == PG_CATALOG || schema == INFORMATION_SCHEMA {
            return system::find(schema, name).map(Relation::System);
        }
        self.relation(self.objects.relation_named(schema, name)?)
    }
    pub fn relation(&self, oid: Oid) -> Option<Relation> {
        if oid < FIRST_USER_OID {
            return system::by_oid(oid).map(Relation::System);
        }
        if let Some(table) = self.objects.table(oid) {
            return Some(Relation::Table(table.clone()));
        }
        if let Some(sequence) = self.objects.sequence(oid) {
            return Some(Relation::Sequence(sequence.clone()));
        }
        let table = self.objects.table(self.objects.table_of_index(oid)?)?;
        let (position, _) = table.index(oid)?;
        Some(Relation::Index(table.clone(), position))
    }
    pub fn table(&self, oid: Oid) -> Option<Arc<Table>> {
        self.objects.table(oid).cloned()
    }
    /// The foreign keys that reference a table: referencing table and constraint.
    pub fn references_to(&self, table: Oid) -> &[(Oid, Oid)] {
        self.objects.references_to(table)
    }
    pub fn sequence(&self, oid: Oid) -> Option<Arc<Sequence>> {
        self.objects.sequence(oid).cloned()
    }
    pub fn schema(&self, oid: Oid) -> Option<&Schema> {
        self.objects.schema(oid)
    }
    pub fn find_schema(&self, name: &str) -> Option<&Schema> {
        self.objects.find_schema(self.database, name)
    }
    pub fn database(&self) -> &Database {
        self.objects.database(self.database).expect("a database with sessions is not dropped")
    }
    pub fn find_database(&self, name: &str) -> Option<&Database> {
        self.databases().find(|database| database.name == name)
    }
    pub fn databases(&self) -> impl Iterator<Item = &Database> {
        self.objects.databases()
    }
    pub fn role(&self, oid: Oid) -> Option<&Role> {
        self.objects.role(oid)
    }
    /// This database's privileges that no descriptor keeps.
    pub fn grants(&self) -> Option<&Arc<Grants>> {
        self.objects.grants(self.database)
    }
    pub fn find_role(&self, name: &str) -> Option<&Role> {
        self.roles().find(|role| role.name == name)
    }
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.objects.roles()
    }
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.objects.schemas().filter(|schema| schema.database == self.database || schema.database == 0)
    }
    /// Of this database, without system relations; by OID.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.objects.tables().filter(|table| table.database == self.database)
    }
    /// Functions and procedures of this database.
    pub fn routines(&self) -> impl Iterator<Item = &Arc<Routine>> {
        self.objects.routines().filter(|routine| routine.database == self.database)
    }
    pub fn routine(&self, oid: Oid) -> Option<Arc<Routine>> {
        self.objects.routine(oid).cloned()
    }
    /// Those with a name: in a schema, or along the path (earlier schemas first).
    pub fn routines_named(
        &self,
        schema: Option<&str>,
        name: &str,
        search_path: &[String],
    ) -> Vec<Arc<Routine>> {
        let path = match schema {
            Some(schema) => vec![schema],
            // Functions are found in the temporary schema only if that is named.
            None => {
                let path = search_path.iter().map(String::as_str);
                path.filter(|schema| !schema.starts_with("pg_temp_")).collect()
            }
        };
        let schemas = path.into_iter().filter_map(|schema| self.schema_in(schema, search_path));
        schemas.flat_map(|schema| self.objects.routines_named(schema.oid, name)).collect()
    }
    // ---- types ----

    /// Types of this database that users made, without tables' row types.
    pub fn user_types(&self) -> impl Iterator<Item = &Arc<UserType>> {
        self.objects.types().filter(|user_type| user_type.database == self.database)
    }
    pub fn user_type(&self, oid: Oid) -> Option<Arc<UserType>> {
        self.objects.user_type(oid).cloned()
    }
    /// The table whose rows are of this type.
    pub fn table_of_row_type(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.objects.table(self.objects.table_of_row_type(oid)?).filter(|table| table.row_type == oid)
    }
    pub fn type_info(&self, oid: Oid) -> Option<TypeInfo> {
        if let Some(found) = self.objects.user_type(oid) {
            return Some(match &found.kind {
                TypeKind::Enum(_) => TypeInfo::Enum,
                TypeKind::Domain(domain) => TypeInfo::Domain(Type(domain.base), domain.modifier),
                TypeKind::Composite(_) => TypeInfo::Row,
                TypeKind::Range(range) => TypeInfo::Range(Type(range.subtype), Type(range.multirange)),
                TypeKind::Multirange(range) => TypeInfo::Multirange(Type(*range)),
            });
        }
        if let Some(element) = self.objects.element_of_array(oid) {
            return Some(TypeInfo::ArrayOf(Type(element)));
        }
        self.table_of_row_type(oid).map(|_| TypeInfo::Row)
    }
    /// The extensions of this database.
    pub fn extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.objects.extensions().filter(|extension| extension.database == self.database)
    }
    pub fn find_extension(&self, name: &str) -> Option<&Arc<Extension>> {
        self.extensions().find(|extension| extension.name == name)
    }
    /// The schema of an object that the program has: of an extension's, where the extension is. None: this database hasn't got it.
    pub fn schema_of_built_in(&self, oid: Oid) -> Option<Oid> {
        match crate::extension::of_object(oid) {
            None => Some(PG_CATALOG),
            Some(extension) => self.find_extension(extension.name).map(|found| found.schema),
        }
    }
    pub fn array_type(&self, oid: Oid) -> Option<Oid> {
        if crate::extension::is_of_extension(oid) {
            return Type(oid).array_of().map(|array| array.0);
        }
        match self.objects.user_type(oid) {
            Some(found) => Some(found.array),
            None => self.table_of_row_type(oid).map(|table| table.row_array_type),
        }
    }
    /// The schema and pg_type.typname of a type that is not built in.
    pub fn type_name(&self, oid: Oid) -> Option<(Oid, String)> {
        if crate::extension::is_of_extension(oid) {
            return Some((self.schema_of_built_in(oid)?, Type(oid).name()));
        }
        if let Some(found) = self.objects.user_type(oid) {
            return Some((found.schema, found.name.clone()));
        }
        if let Some(element) = self.objects.element_of_array(oid) {
            let (schema, name) = self.type_name(element)?;
            return Some((schema, format!("_{name}")));
        }
        self.table_of_row_type(oid).map(|table| (table.schema, table.name.clone()))
    }
    pub fn find_type(&self, schema: Option<&str>, name: &str, search_path: &[String]) -> Option<Oid> {
        let within = |schema: &str| {
            let schema = self.schema_in(schema, search_path)?.oid;
            let of_table = |name: &str| match self.find_in_schema(schema, name)? {
                Relation::Table(table) if table.row_type != 0 => Some(table.row_type),
                _ => None,
            };
            let of_extension = |name: &str| {
                let here = self.extensions().filter(|extension| extension.schema == schema);
                let mut here = here.filter_map(|extension| crate::extension::find(&extension.name));
                here.find_map(|extension| extension.type_named(name)).map(|found| found.0)
            };
            let plain = |name: &str| {
                let own = self.objects.type_named(schema, name);
                own.or_else(|| of_table(name)).or_else(|| of_extension(name))
            };
            plain(name).or_else(|| self.array_type(plain(name.strip_prefix('_')?)?))
        };
        match schema {
            Some(schema) => within(schema),
            None => search_path.iter().find_map(|schema| within(schema)),
        }
    }
    /// A row of nulls with the names and types of a composite type's, or a table's, columns.
    pub fn row_template(&self, oid: Oid) -> Option<crate::types::Record> {
        if let Some(found) = self.objects.user_type(oid) {
            let TypeKind::Composite(attributes) = &found.kind else { return None };
            let columns = attributes.iter().map(|a| (a.name.clone(), Type(a.data_type)));
            return Some(user_type::template(columns));
        }
        let table = self.table_of_row_type(oid)?;
        let live = table.columns.iter().filter(|column| !column.dropped);
        Some(user_type::template(live.map(|column| (column.name.clone(), column.data_type()))))
    }
    pub fn sequences(&self) -> impl Iterator<Item = &Arc<Sequence>> {
        self.objects.sequences().filter(|sequence| sequence.database == self.database)
    }
}
