//! The logical plan: what the binder makes and the rules rewrite. Columns are named by statement-wide [`ColumnId`]s, so an
//! operator's expressions stay valid wherever it is moved.

use crate::catalog::{SystemRelation, Table};
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::functions::Function;
use crate::types::{Oid, Type};
use serin_txn::{RowLockMode, WaitPolicy};
use std::sync::Arc;

/// What is known of a column id.
#[derive(Clone, Debug)]
pub struct ColumnInfo {
    pub name: String,
    pub data_type: Type,
    pub modifier: i32,
    /// The table column it is, if it is one: for RowDescription and statistics.
    pub table: Oid,
    pub number: i16,
    /// The alias of its relation, for EXPLAIN and error texts.
    pub relation: Arc<str>,
    /// Of type record: the names and types of its values' columns, where they are known.
    pub row: Option<Arc<[(String, Type)]>>,
}

#[derive(Clone)]
pub enum Logical {
    /// One row without columns.
    OneRow,
    Scan(Scan),
    System {
        relation: &'static SystemRelation,
        alias: Arc<str>,
        columns: Vec<ColumnId>,
    },
    Values {
        columns: Vec<ColumnId>,
        rows: Vec<Vec<Expr>>,
    },
    /// Set-returning functions in FROM, side by side (ROWS FROM), with an optional ordinality column.
    Function {
        calls: Vec<FunctionScan>,
        ordinality: Option<ColumnId>,
        alias: Arc<str>,
    },
    Filter {
        input: Box<Logical>,
        conditions: Vec<Expr>,
    },
    Project {
        input: Box<Logical>,
        outputs: Vec<(ColumnId, Expr)>,
    },
    /// Set-returning functions in a target list: each input row is repeated as often as the longest yields rows.
    ProjectSet {
        input: Box<Logical>,
        calls: Vec<(ColumnId, Expr)>,
    },
    Join {
        kind: JoinKind,
        left: Box<Logical>,
        right: Box<Logical>,
        conditions: Vec<Expr>,
    },
    Aggregate {
        input: Box<Logical>,
        groups: Vec<(ColumnId, Expr)>,
        sets: GroupingSets,
        calls: Vec<(ColumnId, AggregateCall)>,
    },
    Window {
        input: Box<Logical>,
        calls: Vec<(ColumnId, WindowCall)>,
    },
    /// Of all columns, or DISTINCT ON (then the input is sorted accordingly).
    Distinct {
        input: Box<Logical>,
        on: Option<Vec<Expr>>,
        columns: Vec<ColumnId>,
    },
    Sort {
        input: Box<Logical>,
        keys: Vec<SortKey>,
    },
    Limit {
        input: Box<Logical>,
        limit: Option<Expr>,
        offset: Option<Expr>,
        /// WITH TIES compares these with the last row's.
        ties: Option<Vec<SortKey>>,
    },
    SetOperation {
        operator: crate::parse::ast::SetOperator,
        all: bool,
        columns: Vec<ColumnId>,
        left: Box<Logical>,
        left_columns: Vec<ColumnId>,
        right: Box<Logical>,
        right_columns: Vec<ColumnId>,
    },
    /// Reads a common table expression that is computed once.
    Cte {
        index: usize,
        alias: Arc<str>,
        /// The id here, the id in the definition.
        columns: Vec<(ColumnId, ColumnId)>,
    },
    /// WITH RECURSIVE: `step` reads the rows of the last round through `WorkTable`.
    Recursive {
        work_table: usize,
        all: bool,
        columns: Vec<ColumnId>,
        start: Box<Logical>,
        start_columns: Vec<ColumnId>,
        step: Box<Logical>,
        step_columns: Vec<ColumnId>,
    },
    WorkTable {
        work_table: usize,
        columns: Vec<ColumnId>,
        alias: Arc<str>,
    },
    LockRows {
        input: Box<Logical>,
        targets: Vec<LockTarget>,
        /// Re-evaluated on the latest version of a changed row.
        recheck: Vec<Expr>,
    },
    /// A FROM subquery that stayed one, with its alias for EXPLAIN.
    Subquery {
        input: Box<Logical>,
        alias: Arc<str>,
    },
    Modify(Box<Modify>),
}

#[derive(Clone)]
pub struct Scan {
    pub table: Arc<Table>,
    pub alias: Arc<str>,
    /// One id per table column (dropped ones too), by position.
    pub columns: Vec<ColumnId>,
    /// The key of the row in the table's tree, as bytea: for those who lock or change it.
    pub key: Option<ColumnId>,
    /// The whole encoded row, as bytea.
    pub row: Option<ColumnId>,
    /// The OID of the table that the row is in.
    pub table_oid: Option<ColumnId>,
    /// Set: with the rows of its children or partitions (`prune.rs`). The id stands for columns that only they have.
    pub children: Option<ColumnId>,
}

#[derive(Clone)]
pub struct FunctionScan {
    pub function: &'static Function,
    pub arguments: Vec<Expr>,
    pub columns: Vec<ColumnId>,
    pub types: Vec<Type>,
    /// A function that returns one value, not a set, is called as an expression.
    pub scalar: Option<Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    /// Left rows with a match; no right columns.
    Semi,
    /// Left rows without one.
    Anti,
}

/// GROUPING SETS, ROLLUP and CUBE.
#[derive(Clone, Default)]
pub struct GroupingSets {
    /// Indexes into the groups; none at all: one set of all of them.
    pub sets: Vec<Vec<usize>>,
    /// GROUPING(…) of these groups.
    pub calls: Vec<(ColumnId, Vec<usize>)>,
}

#[derive(Clone)]
pub struct AggregateCall {
    pub function: &'static Function,
    pub arguments: Vec<Expr>,
    pub distinct: bool,
    pub order_by: Vec<SortKey>,
    pub filter: Option<Expr>,
    pub result: Type,
}

#[derive(Clone)]
pub struct WindowCall {
    pub function: &'static Function,
    pub arguments: Vec<Expr>,
    pub filter: Option<Expr>,
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<SortKey>,
    pub frame: Option<WindowFrame>,
    pub result: Type,
}

#[derive(Clone)]
pub struct WindowFrame {
    pub units: crate::parse::ast::FrameUnits,
    pub start: FrameBound,
    pub end: FrameBound,
    pub exclude: crate::parse::ast::FrameExclude,
    /// Of RANGE with offsets.
    pub range: Option<Box<RangeOffsets>>,
}

#[derive(Clone)]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

#[derive(Clone)]
pub struct RangeOffsets {
    /// The ORDER BY column, as `data_type`.
    pub key: Expr,
    pub plus: &'static Function,
    pub minus: &'static Function,
    pub data_type: Type,
    pub offset: Type,
    pub descending: bool,
}

impl WindowCall {
    pub fn expressions<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        self.arguments.iter().for_each(&mut *visit);
        self.filter.iter().for_each(&mut *visit);
        self.partition_by.iter().for_each(&mut *visit);
        self.order_by.iter().for_each(|key| visit(&key.expr));
        if let Some(frame) = &self.frame {
            for bound in [&frame.start, &frame.end] {
                if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
                    visit(offset);
                }
            }
            frame.range.iter().for_each(|range| visit(&range.key));
        }
    }
    pub fn expressions_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        self.arguments.iter_mut().for_each(&mut *visit);
        self.filter.iter_mut().for_each(&mut *visit);
        self.partition_by.iter_mut().for_each(&mut *visit);
        self.order_by.iter_mut().for_each(|key| visit(&mut key.expr));
        if let Some(frame) = &mut self.frame {
            for bound in [&mut frame.start, &mut frame.end] {
                if let FrameBound::Preceding(offset) | FrameBound::Following(offset) = bound {
                    visit(offset);
                }
            }
            frame.range.iter_mut().for_each(|range| visit(&mut range.key));
        }
    }
}

#[derive(Clone)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone)]
pub struct LockTarget {
    pub table: Arc<Table>,
    pub columns: Vec<ColumnId>,
    pub key: ColumnId,
    /// Set: the table is the one with this OID, it or one of its children.
    pub table_oid: Option<ColumnId>,
    pub strength: RowLockMode,
    pub wait: WaitPolicy,
    pub alias: Arc<str>,
}

/// What a subquery in an expression yields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SublinkKind {
    /// The one row's value, null without a row, an error with more.
    Scalar,
    /// As [`SublinkKind::Scalar`], a row of several columns (multi-assignment).
    Row,
    Exists,
    /// `operands comparisons ANY (…)`.
    Any,
    All,
    Array,
}

/// A bound subquery in an expression.
#[derive(Clone)]
pub struct Sublink {
    pub kind: SublinkKind,
    pub plan: Logical,
    pub columns: Vec<ColumnId>,
    /// Left sides of ANY and ALL, in the enclosing row's terms.
    pub operands: Vec<Expr>,
    pub comparisons: Vec<&'static Function>,
    /// Columns of enclosing queries that it reads.
    pub free: ColumnSet,
    pub volatile: bool,
    pub data_type: Type,
}

/// INSERT, UPDATE, DELETE.
#[derive(Clone)]
pub struct Modify {
    pub kind: ModifyKind,
    pub table: Arc<Table>,
    pub alias: Arc<str>,
    /// Insert: yields one column per table column. Update, delete: yields key and row of the target besides what it joins.
    pub input: Logical,
    /// The ids that the target's columns have: of the input (update: old row), and in ON CONFLICT and, unless changed, RETURNING.
    pub target_columns: Vec<ColumnId>,
    pub key: Option<ColumnId>,
    pub row: Option<ColumnId>,
    /// Set: the row is in the table with this OID, `table` or one of its children.
    pub table_oid: Option<ColumnId>,
    /// Re-evaluated on the latest version of a changed row.
    pub recheck: Vec<Expr>,
    /// Update: (column position, new value over the input). Insert: (column position, value over the input) for every live column.
    pub assignments: Vec<(usize, Expr)>,
    pub on_conflict: Option<OnConflict>,
    /// Of MERGE, whose input is the source joined with the target.
    pub merge: Vec<MergeClause>,
    /// RETURNING, over `returning_columns` (the new row; for DELETE the old) and the input's other columns.
    pub returning: Option<Vec<(ColumnId, Expr)>>,
    pub returning_columns: Vec<ColumnId>,
    /// CHECK OPTION of the views that the statement goes through, over `returning_columns`.
    pub checks: Vec<ViewCheck>,
    /// `table` is a view whose INSTEAD OF triggers get the rows; those of `input` have `target_columns`.
    pub instead: bool,
}

/// The conditions of a view that a new row must fulfil.
#[derive(Clone)]
pub struct ViewCheck {
    pub view: Arc<str>,
    pub conditions: Vec<Expr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ModifyKind {
    Insert,
    Update,
    Delete,
    Merge,
}

/// WHEN [NOT] MATCHED.
#[derive(Clone)]
pub struct MergeClause {
    pub matched: bool,
    pub conditions: Vec<Expr>,
    /// None: DO NOTHING.
    pub kind: Option<ModifyKind>,
    pub assignments: Vec<(usize, Expr)>,
}

#[derive(Clone)]
pub struct OnConflict {
    /// None: any unique index (DO NOTHING only). Positions in `Table::indexes`.
    pub arbiters: Option<Vec<usize>>,
    /// None: DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

#[derive(Clone)]
pub struct ConflictUpdate {
    /// `excluded.*`, by column position.
    pub excluded: Vec<ColumnId>,
    /// Over `Modify::target_columns` (the existing row) and `excluded`.
    pub assignments: Vec<(usize, Expr)>,
    pub filter: Vec<Expr>,
}

impl Logical {
    /// The ids of the columns it yields.
    pub fn output(&self, out: &mut Vec<ColumnId>) {
        match self {
            Logical::OneRow => {}
            Logical::Scan(scan) => {
                out.extend(&scan.columns);
                out.extend(scan.key);
                out.extend(scan.row);
                out.extend(scan.table_oid);
            }
            Logical::System { columns, .. }
            | Logical::Values { columns, .. }
            | Logical::SetOperation { columns, .. }
            | Logical::Recursive { columns, .. }
            | Logical::WorkTable { columns, .. } => out.extend(columns),
            Logical::Function { calls, ordinality, .. } => {
                calls.iter().for_each(|call| out.extend(&call.columns));
                out.extend(ordinality);
            }
            Logical::Filter { input, .. }
            | Logical::Sort { input, .. }
            | Logical::Limit { input, .. }
            | Logical::LockRows { input, .. }
            | Logical::Subquery { input, .. }
            | Logical::Distinct { input, .. } => input.output(out),
            Logical::Project { outputs, .. } => out.extend(outputs.iter().map(|(id, _)| *id)),
            Logical::ProjectSet { input, calls } => {
                input.output(out);
                out.extend(calls.iter().map(|(id, _)| *id));
            }
            Logical::Join { kind, left, right, .. } => {
                left.output(out);
                if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                    right.output(out);
                }
            }
            Logical::Aggregate { groups, calls, sets, .. } => {
                out.extend(groups.iter().map(|(id, _)| *id));
                out.extend(calls.iter().map(|(id, _)| *id));
                out.extend(sets.calls.iter().map(|(id, _)| *id));
            }
            Logical::Window { input, calls } => {
                input.output(out);
                out.extend(calls.iter().map(|(id, _)| *id));
            }
            Logical::Cte { columns, .. } => out.extend(columns.iter().map(|(id, _)| *id)),
            Logical::Modify(modify) => {
                out.extend(modify.returning.iter().flatten().map(|(id, _)| *id));
            }
        }
    }

    pub fn output_set(&self) -> ColumnSet {
        let mut out = Vec::new();
        self.output(&mut out);
        out.into_iter().collect()
    }

    /// Calls `visit` on the direct inputs.
    pub fn inputs<'a>(&'a self, visit: &mut dyn FnMut(&'a Logical)) {
        match self {
            Logical::OneRow
            | Logical::Scan(_)
            | Logical::System { .. }
            | Logical::Values { .. }
            | Logical::Function { .. }
            | Logical::Cte { .. }
            | Logical::WorkTable { .. } => {}
            Logical::Filter { input, .. }
            | Logical::Project { input, .. }
            | Logical::ProjectSet { input, .. }
            | Logical::Aggregate { input, .. }
            | Logical::Window { input, .. }
            | Logical::Distinct { input, .. }
            | Logical::Sort { input, .. }
            | Logical::Limit { input, .. }
            | Logical::LockRows { input, .. }
            | Logical::Subquery { input, .. } => visit(input),
            Logical::Join { left, right, .. }
            | Logical::SetOperation { left, right, .. }
            | Logical::Recursive { start: left, step: right, .. } => {
                visit(left);
                visit(right);
            }
            Logical::Modify(modify) => visit(&modify.input),
        }
    }

    /// Calls `visit` on the operator's own expressions.
    pub fn expressions<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Logical::OneRow
            | Logical::Scan(_)
            | Logical::System { .. }
            | Logical::Cte { .. }
            | Logical::WorkTable { .. }
            | Logical::SetOperation { .. }
            | Logical::Recursive { .. }
            | Logical::Subquery { .. } => {}
            Logical::Values { rows, .. } => rows.iter().flatten().for_each(visit),
            Logical::Function { calls, .. } => {
                for call in calls {
                    call.arguments.iter().for_each(&mut *visit);
                    call.scalar.iter().for_each(&mut *visit);
                }
            }
            Logical::Filter { conditions, .. } | Logical::Join { conditions, .. } => {
                conditions.iter().for_each(visit)
            }
            Logical::Project { outputs, .. } | Logical::ProjectSet { calls: outputs, .. } => {
                outputs.iter().for_each(|(_, expr)| visit(expr))
            }
            Logical::Aggregate { groups, calls, .. } => {
                groups.iter().for_each(|(_, expr)| visit(expr));
                for (_, call) in calls {
                    call.arguments.iter().for_each(&mut *visit);
                    call.filter.iter().for_each(&mut *visit);
                    call.order_by.iter().for_each(|key| visit(&key.expr));
                }
            }
            Logical::Window { calls, .. } => calls.iter().for_each(|(_, call)| call.expressions(visit)),
            Logical::Distinct { on, .. } => on.iter().flatten().for_each(visit),
            Logical::Sort { keys, .. } => keys.iter().for_each(|key| visit(&key.expr)),
            Logical::Limit { limit, offset, ties, .. } => {
                limit.iter().for_each(&mut *visit);
                offset.iter().for_each(&mut *visit);
                ties.iter().flatten().for_each(|key| visit(&key.expr));
            }
            Logical::LockRows { recheck, .. } => recheck.iter().for_each(visit),
            Logical::Modify(modify) => {
                modify.recheck.iter().for_each(&mut *visit);
                modify.assignments.iter().for_each(|(_, expr)| visit(expr));
                if let Some(OnConflict { update: Some(update), .. }) = &modify.on_conflict {
                    update.assignments.iter().for_each(|(_, expr)| visit(expr));
                    update.filter.iter().for_each(&mut *visit);
                }
                for clause in &modify.merge {
                    clause.conditions.iter().for_each(&mut *visit);
                    clause.assignments.iter().for_each(|(_, expr)| visit(expr));
                }
                modify.checks.iter().flat_map(|check| &check.conditions).for_each(&mut *visit);
                modify.returning.iter().flatten().for_each(|(_, expr)| visit(expr));
            }
        }
    }

    /// Columns it reads and does not make: those of enclosing queries (and of the left side, under a lateral join).
    pub fn free_columns(&self) -> ColumnSet {
        let (mut used, mut made) = (ColumnSet::new(), ColumnSet::new());
        self.collect(&mut used, &mut made);
        used.remove_all(&made);
        used
    }

    fn collect(&self, used: &mut ColumnSet, made: &mut ColumnSet) {
        let mut output = Vec::new();
        self.output(&mut output);
        output.into_iter().for_each(|id| made.insert(id));
        if let Logical::Modify(modify) = self {
            modify.target_columns.iter().chain(&modify.returning_columns).for_each(|id| made.insert(*id));
            if let Some(OnConflict { update: Some(update), .. }) = &modify.on_conflict {
                update.excluded.iter().for_each(|id| made.insert(*id));
            }
        }
        self.expressions(&mut |expr| expr.columns(used));
        self.inputs(&mut |input| input.collect(used, made));
    }

    /// Whether anything in it is volatile or writes.
    pub fn is_volatile(&self) -> bool {
        let mut volatile = matches!(self, Logical::Modify(_) | Logical::LockRows { .. });
        self.expressions(&mut |expr| volatile = volatile || expr.is_volatile());
        if let Logical::Function { calls, .. } = self {
            volatile |= calls.iter().any(|c| c.function.volatility == crate::functions::Volatility::Volatile);
        }
        self.inputs(&mut |input| volatile = volatile || input.is_volatile());
        volatile
    }
}

/// A common table expression of the statement.
#[derive(Clone)]
pub struct CteDefinition {
    pub name: String,
    pub plan: Logical,
    pub columns: Vec<ColumnId>,
    /// WITH x AS MATERIALIZED.
    pub materialized: bool,
    /// Places that read it, once the rules have counted them. None, and it doesn't write: never run.
    pub readers: usize,
}

/// Where a statement names a table or view.
#[derive(Clone, Copy, Debug)]
pub struct TableName {
    pub position: usize,
    pub relation: Oid,
    pub aliased: bool,
}

/// A bound statement.
pub struct BoundStatement {
    pub plan: Logical,
    /// The result's columns in order, with their names; None: a statement without RETURNING.
    pub results: Option<Vec<(ColumnId, String)>>,
    pub ctes: Vec<CteDefinition>,
    pub columns: Vec<ColumnInfo>,
    pub parameter_types: Vec<Type>,
    pub relations: Vec<(Oid, serin_txn::RelationLockMode)>,
    /// Tables and views that FROM names in the statement itself, with where it does.
    pub names: Vec<TableName>,
    pub permissions: super::permissions::Permissions,
    pub slots: usize,
    pub work_tables: usize,
    /// Work tables that are a trigger's transition tables.
    pub transitions: Vec<(usize, String)>,
}
