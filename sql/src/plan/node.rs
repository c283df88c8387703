//! The physical plan: operators with placed expressions, ready to run. Children are behind `Arc`, because the operators of a
//! running [`crate::exec::Execution`] hold on to the parts they execute.

use super::logical::{AggregateCall, JoinKind, ModifyKind, ViewCheck};
use crate::catalog::{SystemRelation, Table};
use crate::expr::{ColumnId, Expr};
use crate::functions::Function;
use crate::parse::ast::SetOperator;
use crate::types::Type;
use serin_txn::{RowLockMode, WaitPolicy};
use std::sync::Arc;

pub struct Node {
    pub operator: Operator,
    /// What the output columns are, for placing the parent's expressions and for EXPLAIN.
    pub columns: Vec<ColumnId>,
    pub types: Vec<Type>,
    pub estimate: Estimate,
    /// Names the node in one plan: where EXPLAIN ANALYZE keeps its figures.
    pub id: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Estimate {
    pub rows: f64,
    pub startup: f64,
    pub total: f64,
    pub width: f64,
}

pub enum Operator {
    /// One row without columns, if the conditions hold.
    Result {
        conditions: Vec<Expr>,
    },
    TableScan(Arc<TableScan>),
    System(Arc<SystemScan>),
    Values(Arc<Values>),
    Function(Arc<FunctionScan>),
    Filter {
        input: Arc<Node>,
        conditions: Arc<[Expr]>,
    },
    Project {
        input: Arc<Node>,
        outputs: Arc<[Expr]>,
    },
    ProjectSet {
        input: Arc<Node>,
        calls: Arc<[SetCall]>,
    },
    Limit {
        input: Arc<Node>,
        limit: Arc<Limit>,
    },
    Sort {
        input: Arc<Node>,
        keys: Arc<[Key]>,
        /// Keep only this many rows (a LIMIT above), if it is known when the sort starts.
        top: Option<Arc<Limit>>,
    },
    Aggregate {
        input: Arc<Node>,
        aggregate: Arc<Aggregate>,
    },
    Window {
        input: Arc<Node>,
        calls: Arc<[WindowCall]>,
    },
    /// Adjacent or not: hashed. `on` None: all columns.
    Distinct {
        input: Arc<Node>,
        on: Option<Arc<[Expr]>>,
    },
    HashJoin {
        left: Arc<Node>,
        right: Arc<Node>,
        join: Arc<HashJoin>,
    },
    NestedLoop {
        left: Arc<Node>,
        right: Arc<Node>,
        join: Arc<NestedLoop>,
    },
    Append {
        inputs: Vec<Arc<Node>>,
        /// Of a partitioned table: which inputs can be left out, once values are known.
        prune: Arc<[super::prune::Step]>,
    },
    SetOperation {
        left: Arc<Node>,
        right: Arc<Node>,
        operator: SetOperator,
        all: bool,
    },
    Materialize {
        input: Arc<Node>,
    },
    Cte {
        index: usize,
        alias: Arc<str>,
        name: Arc<str>,
        columns: Vec<usize>,
    },
    Recursive {
        start: Arc<Node>,
        step: Arc<Node>,
        work_table: usize,
        all: bool,
    },
    WorkTable {
        work_table: usize,
        alias: Arc<str>,
    },
    LockRows {
        input: Arc<Node>,
        lock: Arc<LockRows>,
    },
    /// Only a name for EXPLAIN: rows pass through.
    Subquery {
        input: Arc<Node>,
        alias: Arc<str>,
    },
    Modify {
        input: Arc<Node>,
        modify: Arc<Modify>,
    },
}

/// Reads a table through its own tree or an index. Output: `decode`d columns, then key, row and table OID, if wanted.
pub struct TableScan {
    pub table: Arc<Table>,
    pub alias: Arc<str>,
    pub decode: Vec<usize>,
    pub key: bool,
    pub row: bool,
    pub table_oid: bool,
    pub access: Access,
    pub backward: bool,
    /// Rows may come in any order, and all of them are likely wanted: those behind an index are read in the order in which they lie.
    pub any_order: bool,
    /// Conditions that the access does not guarantee, over the output.
    pub filter: Vec<Expr>,
}

pub enum Access {
    Full,
    /// Through `Table::indexes[index]`.
    Index {
        index: usize,
        bounds: Bounds,
    },
    /// Through an index that has several entries for a row (`index/mod.rs`): rows that the filter still has to judge.
    Entries {
        index: usize,
        searches: Vec<Search>,
        /// For EXPLAIN, as in [`Bounds`].
        conditions: Vec<Expr>,
    },
}

/// `column operator value`.
#[derive(Clone)]
pub struct Search {
    /// Of the index.
    pub column: usize,
    pub operator: &'static str,
    pub value: Expr,
}

/// The part of an index to read: a prefix of its columns fixed, and perhaps a range of the next.
#[derive(Clone, Default)]
pub struct Bounds {
    /// For each leading column the values it may have: `x = a` one, `x IN (…)` several.
    pub equal: Vec<Equal>,
    pub lower: Option<Bound>,
    pub upper: Option<Bound>,
    /// For EXPLAIN: the conditions this stands for, over the scan's decoded columns.
    pub conditions: Vec<Expr>,
    /// At most one row: every column of a unique index is fixed.
    pub is_point: bool,
}

#[derive(Clone)]
pub enum Equal {
    Value(Expr),
    /// IN list.
    Values(Vec<Expr>),
    /// = ANY (array).
    Array(Expr),
    Null,
}

#[derive(Clone)]
pub struct Bound {
    pub value: Expr,
    pub inclusive: bool,
}

pub struct SystemScan {
    pub relation: &'static SystemRelation,
    pub alias: Arc<str>,
    /// Positions of the relation's columns to output.
    pub columns: Vec<usize>,
    pub filter: Vec<Expr>,
}

pub struct Values {
    pub rows: Vec<Vec<Expr>>,
}

pub struct FunctionScan {
    pub calls: Vec<FunctionCall>,
    pub ordinality: bool,
    pub alias: Arc<str>,
}

pub struct FunctionCall {
    pub function: &'static Function,
    pub arguments: Vec<Expr>,
    pub types: Vec<Type>,
    pub scalar: Option<Expr>,
}

/// A set-returning call in a target list (or a plain expression beside one).
pub struct SetCall {
    pub callee: SetCallee,
    pub arguments: Vec<Expr>,
    pub result: Type,
}

pub enum SetCallee {
    BuiltIn(&'static Function),
    /// Its arguments are the SetCall's.
    Routine(Arc<crate::expr::RoutineCall>),
}

pub struct Limit {
    pub limit: Option<Expr>,
    pub offset: Option<Expr>,
    pub ties: Option<Vec<Key>>,
}

#[derive(Clone)]
pub struct Key {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

pub struct Aggregate {
    pub groups: Vec<Expr>,
    /// Which groups each grouping set has; empty: one set of all.
    pub sets: Vec<Vec<usize>>,
    pub calls: Vec<Call>,
    /// GROUPING of these groups: columns behind those of `calls`.
    pub groupings: Vec<Vec<usize>>,
}

pub struct Call {
    pub function: &'static Function,
    pub arguments: Vec<Expr>,
    pub distinct: bool,
    pub order_by: Vec<Key>,
    pub filter: Option<Expr>,
    pub result: Type,
}

pub struct WindowCall {
    pub call: Call,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<Key>,
    pub frame: Option<super::logical::WindowFrame>,
}

pub struct HashJoin {
    pub kind: JoinKind,
    /// Pairs of keys, over the left and the right input, of one type each.
    pub keys: Vec<(Expr, Expr)>,
    /// The conditions the keys stand for, over left then right columns: for EXPLAIN.
    pub conditions: Vec<Expr>,
    /// Further conditions, over left then right columns.
    pub residual: Vec<Expr>,
}

pub struct NestedLoop {
    pub kind: JoinKind,
    pub conditions: Vec<Expr>,
    /// Slots that the right side reads, with their values over the left input. None: the right side is run once and kept.
    pub inputs: Vec<(usize, Expr)>,
    pub rescan: bool,
}

pub struct LockRows {
    pub targets: Vec<LockTarget>,
    pub recheck: Vec<Expr>,
}

pub struct LockTarget {
    pub table: Arc<Table>,
    /// (input column, table column) of what the input has of the row.
    pub columns: Vec<(usize, usize)>,
    /// Input column of the row's key.
    pub key: usize,
    /// Input column of the OID of the row's table; None: it is `table`.
    pub table_oid: Option<usize>,
    pub strength: RowLockMode,
    pub wait: WaitPolicy,
}

pub struct Modify {
    pub kind: ModifyKind,
    pub table: Arc<Table>,
    pub alias: Arc<str>,
    /// Update, delete: input columns of the target's key and encoded row.
    pub key: usize,
    pub row: usize,
    /// Input column of the OID of the row's table, where that may be a child of `table`.
    pub table_oid: Option<usize>,
    /// The rows may be in, or go to, children or partitions of `table` (`exec/targets.rs`).
    pub targets_others: bool,
    /// (input column, table column) of what the input has of the old row.
    pub columns: Vec<(usize, usize)>,
    pub recheck: Vec<Expr>,
    /// (table column, new value over the input).
    pub assignments: Vec<(usize, Expr)>,
    pub on_conflict: Option<OnConflict>,
    pub merge: Option<Merge>,
    /// Over: the new (DELETE: old) row by table column, then the input's columns.
    pub returning: Option<Vec<Expr>>,
    /// CHECK OPTION of views, over the same.
    pub checks: Vec<ViewCheck>,
    /// INSTEAD OF triggers of a view: where the input has its columns (INSERT: nowhere).
    pub instead: Option<Vec<usize>>,
}

pub struct Merge {
    pub clauses: Vec<MergeClause>,
    /// A change of each kind that occurs, with everything that its clauses assign.
    pub kinds: Vec<Arc<Modify>>,
}

pub struct MergeClause {
    pub matched: bool,
    pub conditions: Vec<Expr>,
    /// Position in `Merge::kinds`, and what this clause does. None: DO NOTHING.
    pub action: Option<(usize, Arc<Modify>)>,
}

pub struct OnConflict {
    pub arbiters: Option<Vec<usize>>,
    pub update: Option<ConflictUpdate>,
}

pub struct ConflictUpdate {
    /// Over the existing row by table column, then the proposed row by table column.
    pub assignments: Vec<(usize, Expr)>,
    pub filter: Vec<Expr>,
}

impl Node {
    pub fn inputs(&self) -> Vec<&Arc<Node>> {
        match &self.operator {
            Operator::Result { .. }
            | Operator::TableScan(_)
            | Operator::System(_)
            | Operator::Values(_)
            | Operator::Function(_)
            | Operator::Cte { .. }
            | Operator::WorkTable { .. } => Vec::new(),
            Operator::Filter { input, .. }
            | Operator::Project { input, .. }
            | Operator::ProjectSet { input, .. }
            | Operator::Limit { input, .. }
            | Operator::Sort { input, .. }
            | Operator::Aggregate { input, .. }
            | Operator::Window { input, .. }
            | Operator::Distinct { input, .. }
            | Operator::Materialize { input }
            | Operator::LockRows { input, .. }
            | Operator::Subquery { input, .. }
            | Operator::Modify { input, .. } => vec![input],
            Operator::HashJoin { left, right, .. }
            | Operator::NestedLoop { left, right, .. }
            | Operator::SetOperation { left, right, .. }
            | Operator::Recursive { start: left, step: right, .. } => vec![left, right],
            Operator::Append { inputs, .. } => inputs.iter().collect(),
        }
    }
}

impl Call {
    pub fn place(
        call: AggregateCall,
        place: &mut dyn FnMut(Expr) -> crate::Result<Expr>,
    ) -> crate::Result<Call> {
        Ok(Call {
            function: call.function,
            arguments: call.arguments.into_iter().map(&mut *place).collect::<crate::Result<_>>()?,
            distinct: call.distinct,
            order_by: Key::place_all(call.order_by, place)?,
            filter: call.filter.map(place).transpose()?,
            result: call.result,
        })
    }
}

impl Key {
    pub fn ascending(expr: Expr) -> Key {
        Key { expr, descending: false, nulls_first: false }
    }
    pub fn same(&self, other: &Key) -> bool {
        self.expr.same(&other.expr)
            && self.descending == other.descending
            && self.nulls_first == other.nulls_first
    }
    pub fn place_all(
        keys: Vec<super::logical::SortKey>,
        place: &mut dyn FnMut(Expr) -> crate::Result<Expr>,
    ) -> crate::Result<Vec<Key>> {
        keys.into_iter()
            .map(|key| {
                Ok(Key { expr: place(key.expr)?, descending: key.descending, nulls_first: key.nulls_first })
            })
            .collect()
    }
}
