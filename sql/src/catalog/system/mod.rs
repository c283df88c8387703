//! pg_catalog and information_schema: relations whose rows are computed when they are scanned, from the statement's
//! catalog snapshot and from live state.
//!
//! Which relations there are, their OIDs and columns are facts of PostgreSQL 15 (`facts/relations.tsv`), so that clients
//! find what they expect; what doesn't vary (access methods, operator classes, types) is in `facts/` too. A relation is
//! listed when it is computed here or when it is truly empty (Serin has no inheritance, no rules, …): one whose
//! emptiness would be a lie is left out, and asking for it is an error.
//!
//! | file | relations |
//! |---|---|
//! | `relations` | the facts, and [`Rows`], which fills them by column name |
//! | `objects` | pg_class, pg_attribute, pg_index, pg_constraint, … from the descriptors |
//! | `fixed` | pg_type, pg_am, pg_opclass, … from the facts; pg_proc, pg_operator, pg_cast from the functions |
//! | `routines` | users' functions in pg_proc, pg_trigger; both as SQL text |
//! | `privileges` | memberships, default privileges, information_schema's views of what is granted |
//! | `extensions` | pg_extension, what could be in it, and what belongs to it |
//! | `views` | pg_tables, pg_indexes, pg_roles, … |
//! | `information_schema` | information_schema |
//! | `statistics` | pg_stat_user_tables, pg_stat_user_indexes, pg_stat_database, … |
//! | `live` | pg_settings, pg_stat_activity, pg_locks, … |
//! | `deparse` | definitions as text: pg_get_indexdef, pg_get_constraintdef, … |

mod extensions;
mod fixed;
mod information_schema;
mod live;
mod objects;
mod privileges;
mod relations;
pub mod routines;
mod statistics;
mod user_types;
mod views;

pub mod deparse;

#[cfg(test)]
mod tests;

use super::SystemRelation;
use crate::types::{Oid, Type};

pub use extensions::describe_member;
pub use fixed::type_facts;
pub use live::{Cursor, PreparedStatement, PreparedTransaction};
pub use objects::{CLASS_LARGE_OBJECT, operator_class_named, operator_family};
pub use objects::{comments, shared_comments};
pub use relations::all;

/// The relation of pg_catalog or information_schema with this name.
pub fn find(schema: Oid, name: &str) -> Option<&'static SystemRelation> {
    relations::find(schema, name)
}

pub fn by_oid(oid: Oid) -> Option<&'static SystemRelation> {
    relations::by_oid(oid)
}

/// Whether a system relation is a view in PostgreSQL.
pub fn is_view(oid: Oid) -> bool {
    relations::all().any(|(relation, kind)| relation.oid == oid && kind == 'v')
}

/// What `SELECT … FROM sequence` reads: a row for every sequence, the sequence's OID before its columns.
pub fn sequence_positions() -> &'static SystemRelation {
    static POSITIONS: SystemRelation = SystemRelation {
        modifiers: &[-1; 4],
        oid: 0,
        schema: super::PG_CATALOG,
        name: "sequence",
        columns: &[
            ("oid", Type::OID),
            ("last_value", Type::INT8),
            ("log_cnt", Type::INT8),
            ("is_called", Type::BOOL),
        ],
        rows: views::sequence_positions,
    };
    &POSITIONS
}

/// What computes a relation's rows; None: it is always empty.
fn producer(schema: Oid, name: &str) -> Option<relations::Producer> {
    if schema == super::INFORMATION_SCHEMA {
        return information_schema::producer(name);
    }
    objects::producer(name)
        .or_else(|| fixed::producer(name))
        .or_else(|| views::producer(name))
        .or_else(|| live::producer(name))
        .or_else(|| statistics::producer(name))
}
