//! From a bound statement to a physical plan: logical plan → rules → access paths and join order.

//!
//! - `logical.rs`: the algebra that the binder yields; columns have statement-wide ids.
//! - `rules.rs`: constant folding, predicate push-down, subqueries to semi-joins, outer joins to inner ones.
//! - `access.rs`: which index, which part of it; `joins.rs`: join order and methods; `cost.rs`: what they cost.
//! - `physical.rs`: logical operators to [`Node`]s, expressions placed on their inputs.
//! - `short.rs`: single-row statements by primary key, which run without operators.
//! - `explain.rs`, `deparse.rs`: plans and expressions as PostgreSQL prints them.

mod access;
pub mod cost;
pub mod deparse;
mod effects;
mod explain;
pub(crate) mod explain_format;
mod fold;
pub(crate) mod implied;
mod joins;
pub mod logical;
pub mod node;
pub mod permissions;
mod physical;
pub mod prune;
pub(crate) mod rules;
pub mod short;

pub use explain::explain;
pub(crate) use fold::fold_expression;
pub use node::{Node, Operator};

use crate::catalog::Catalog;
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::EvalContext;
use crate::parse::ast;
use crate::session::Field;
use crate::types::{Oid, Type};
use std::sync::Arc;

/// What names in the statement are looked up in, and what constants are folded with.
pub struct PlanContext<'a> {
    pub catalog: &'a Arc<Catalog>,
    pub search_path: &'a [String],
    pub eval: &'a EvalContext<'a>,
    pub settings: PlannerSettings,
    /// The names that a function's body has besides columns.
    pub variables: Option<&'a dyn Variables>,
}

/// The variables of a function's body, as parameters of the statements in it. Each reference takes a parameter.
pub trait Variables {
    /// `a`, `block.a`, `record.field`; None: no such variable.
    fn resolve(&self, parts: &[String]) -> Result<Option<(usize, Type)>>;
    /// `$n`.
    fn numbered(&self, number: u32) -> Option<(usize, Type)>;
    /// `record.*`
    fn expand(&self, parts: &[String]) -> Result<Option<Vec<(String, usize, Type)>>>;
    fn conflict(&self) -> VariableConflict;
}

/// What a name means that both a column and a variable have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VariableConflict {
    Error,
    Variable,
    Column,
}

#[derive(Clone, Copy, Debug)]
pub struct PlannerSettings {
    pub enable_index_scan: bool,
    pub enable_bitmap_scan: bool,
    pub enable_hash_join: bool,
    pub enable_nested_loop: bool,
    pub enable_sequential_scan: bool,
    pub enable_sort: bool,
    pub work_mem_bytes: usize,
}

impl PlannerSettings {
    /// For binding what the catalog keeps as text, which is not planned.
    pub fn for_catalog() -> PlannerSettings {
        PlannerSettings {
            enable_index_scan: true,
            enable_bitmap_scan: true,
            enable_hash_join: true,
            enable_nested_loop: true,
            enable_sequential_scan: true,
            enable_sort: true,
            work_mem_bytes: 4 << 20,
        }
    }
}

/// A statement that reads or changes rows, ready to run any number of times while the catalog stays at `catalog_version`.
pub struct Plan {
    /// The result's columns; None for a statement without RETURNING.
    pub fields: Option<Vec<Field>>,
    pub kind: PlanKind,
    pub parameter_types: Vec<Type>,
    /// Relations to lock before the snapshot is taken, strongest mode each.
    pub relations: Vec<(Oid, serin_txn::RelationLockMode)>,
    /// How many of them, from the first, the statement names (what follows are children, and what foreign keys lead to).
    pub named: usize,
    pub catalog_version: u64,
    pub permissions: permissions::Permissions,
    /// Reads or writes a handful of rows by key: runs inline on the connection's thread.
    pub is_short: bool,
    /// Its operators hand on one row at a time (`effects.rs`).
    pub row_by_row: bool,
    /// Neither writes nor locks rows, nor calls functions that may (serial mode runs it beside the token).
    pub read_only: bool,
    /// Writes or locks rows itself.
    pub writes: bool,
    pub root: Arc<Node>,
    /// Set: run this instead of `root`.
    pub short: Option<short::Short>,
    pub ctes: Vec<Cte>,
    pub subqueries: Vec<Arc<Subquery>>,
    pub columns: Vec<logical::ColumnInfo>,
    pub slots: usize,
    /// Which column a slot holds, for EXPLAIN.
    pub slot_columns: std::collections::HashMap<usize, crate::expr::ColumnId>,
    pub work_tables: usize,
    /// Work tables that are a trigger's transition tables.
    pub transitions: Vec<(usize, String)>,
    /// How many nodes there are: `Node::id` is below it.
    pub nodes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanKind {
    Select,
    Insert,
    Update,
    Delete,
    Merge,
}

pub struct Cte {
    pub name: String,
    pub node: Arc<Node>,
    /// Runs to its end even if nobody reads it: it writes.
    pub writes: bool,
}

/// A planned subquery of an expression.
pub struct Subquery {
    pub kind: logical::SublinkKind,
    pub node: Arc<Node>,
    /// Slots to set from the enclosing row before it runs.
    pub inputs: Vec<(usize, Expr)>,
    /// Left sides of ANY and ALL, over the enclosing row.
    pub operands: Vec<Expr>,
    pub comparisons: Vec<&'static crate::functions::Function>,
    pub data_type: Type,
    /// Where the run keeps its state.
    pub index: usize,
    /// Reads no slot: its result holds for the whole run.
    pub is_constant: bool,
    /// ANY by equality of one hashable type.
    pub is_hashable: bool,
}

/// Plans a Query, Insert, Update or Delete. `parameter_types` are the client's (None: infer); inference completes them.
pub fn plan(
    statement: &ast::StatementKind,
    parameter_types: &[Option<Type>],
    context: &PlanContext<'_>,
) -> Result<Arc<Plan>> {
    let bound = crate::bind::statement(statement, parameter_types, context)?;
    physical::plan(bound, statement, context).map(Arc::new)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub timing: bool,
    pub summary: bool,
    pub format: explain_format::Format,
}
