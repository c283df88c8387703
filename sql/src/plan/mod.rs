//! From a bound statement to a physical plan: logical plan → rules → access paths and join order.

use crate::catalog::Catalog;
use crate::error::Result;
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
}

#[derive(Clone, Copy, Debug)]
pub struct PlannerSettings {
    pub enable_index_scan: bool,
    pub enable_hash_join: bool,
    pub enable_nested_loop: bool,
    pub enable_sequential_scan: bool,
    pub enable_sort: bool,
    pub work_mem_bytes: usize,
}

/// A statement that reads or changes rows, ready to run any number of times while the catalog stays at `catalog_version`.
pub struct Plan {
    /// The result's columns; None for a statement without RETURNING.
    pub fields: Option<Vec<Field>>,
    pub kind: PlanKind,
    pub parameter_types: Vec<Type>,
    /// Relations to lock before the snapshot is taken, strongest mode each.
    pub relations: Vec<(Oid, serin_txn::RelationLockMode)>,
    pub catalog_version: u64,
    /// Reads or writes a handful of rows by key: runs inline on the connection's thread.
    pub is_short: bool,
    /// Neither writes nor locks rows (serial mode runs it beside the token).
    pub read_only: bool,
    pub root: Node,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanKind {
    Select,
    Insert,
    Update,
    Delete,
}

/// A physical operator tree. (Defined by the planner.)
pub struct Node {
    _private: (),
}

pub struct Subquery {
    _private: (),
}

/// Plans a Query, Insert, Update or Delete. `parameter_types` are the client's (None: infer); inference completes them.
pub fn plan(
    _statement: &ast::StatementKind,
    _parameter_types: &[Option<Type>],
    _context: &PlanContext<'_>,
) -> Result<Arc<Plan>> {
    todo!()
}

/// The lines of EXPLAIN's text form. `execution` adds the ANALYZE figures.
pub fn explain(
    _plan: &Plan,
    _execution: Option<&crate::exec::Execution>,
    _options: &ExplainOptions,
) -> Vec<String> {
    todo!()
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ExplainOptions {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub timing: bool,
    pub summary: bool,
}
