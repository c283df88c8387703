//! Logical operators to physical ones: placing expressions on their inputs, choosing how, carrying only columns somebody reads.

use super::access::{self, Request};
use super::cost::{self, Knowledge};
use super::joins::{self, Method, split_equality};
use super::logical::{
    BoundStatement, ColumnInfo, CteDefinition, JoinKind, Logical, ModifyKind, Scan, SortKey, Sublink,
    SublinkKind,
};
use super::node::{self, Access, Bounds, Equal, Estimate, Key, Node, Operator};
use super::{Cte, Plan, PlanContext, PlanKind, Subquery, effects, prune, rules, short};
use crate::error::{Error, Result};
use crate::exec::foreign_key::{self, Effect};
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::parse::ast;
use crate::session::Field;
use crate::table::partition::{place, places};
use crate::types::{Datum, Oid, Type};
use serin_txn::RelationLockMode;
use std::collections::HashMap;
use std::sync::Arc;

/// A LIMIT whose value is not known yet.
const LIMIT_DEFAULT: f64 = 10.0;
const FUNCTION_ROWS: f64 = 1000.0;
const SYSTEM_ROWS: f64 = 200.0;
const RECURSION_FACTOR: f64 = 10.0;

pub fn plan(
    bound: BoundStatement,
    statement: &ast::StatementKind,
    context: &PlanContext<'_>,
) -> Result<Plan> {
    let BoundStatement {
        plan: logical,
        results,
        names: _,
        mut ctes,
        columns,
        parameter_types,
        mut relations,
        permissions,
        slots,
        work_tables,
        transitions,
    } = bound;
    let named = relations.len();
    foreign_key_relations(&logical, context, &mut relations);
    ctes.iter().for_each(|cte| foreign_key_relations(&cte.plan, context, &mut relations));
    rules::count_readers(&logical, &mut ctes);
    let logical = rules::rewrite(logical, &mut ctes, &columns, context);
    for at in 0..ctes.len() {
        let writes = matches!(ctes[at].plan, Logical::Modify(_));
        if ctes[at].readers > 0 || writes {
            let body = std::mem::replace(&mut ctes[at].plan, Logical::OneRow);
            ctes[at].plan = rules::rewrite(body, &mut ctes, &columns, context);
        }
    }
    let is_cheap = is_cheap(&logical);
    let row_by_row = effects::run_row_by_row(&logical, &ctes);
    let calls_routines = runs_volatile_routine(&logical)
        || ctes.iter().any(|cte| cte.readers > 0 && runs_volatile_routine(&cte.plan));
    let mut planner = Planner {
        context,
        knowledge: Knowledge::default(),
        infos: columns,
        slots: HashMap::new(),
        slot_count: slots,
        subqueries: Vec::new(),
        nodes: 0,
        ctes: Vec::new(),
        cte_columns: Vec::new(),
        work_rows: HashMap::new(),
        children: Vec::new(),
    };
    planner.plan_ctes(ctes)?;
    let kind = match statement {
        ast::StatementKind::Insert(_) => PlanKind::Insert,
        ast::StatementKind::Update(_) => PlanKind::Update,
        ast::StatementKind::Delete(_) => PlanKind::Delete,
        ast::StatementKind::Merge(_) => PlanKind::Merge,
        _ => PlanKind::Select,
    };
    let writes = logical.is_volatile() && has_effects(&logical) || planner.ctes.iter().any(|cte| cte.writes);
    let ids: Vec<ColumnId> = results.iter().flatten().map(|(id, _)| *id).collect();
    let required: ColumnSet = ids.iter().copied().collect();
    let mut root = planner.plan(logical, &required)?;
    if results.is_some() {
        root = planner.with_columns(root, &ids)?;
    }
    let fields = results.map(|results| {
        results
            .into_iter()
            .map(|(id, name)| {
                let info = &planner.infos[id];
                Field {
                    name,
                    table: info.table,
                    column: info.number,
                    // Clients hear of a domain's base type, as from PostgreSQL.
                    data_type: info.data_type.base(),
                    type_size: info.data_type.typlen(),
                    type_modifier: match info.modifier {
                        -1 => info.data_type.base_modifier(),
                        modifier => modifier,
                    },
                }
            })
            .collect()
    });
    for &child in &planner.children {
        if relations.iter().all(|(known, _)| *known != child) {
            relations.push((child, RelationLockMode::AccessShare));
        }
    }
    let no_ctes = planner.ctes.is_empty();
    let has_triggers = has_triggers(&root);
    let short = if no_ctes && !has_triggers { short::recognise(&root) } else { None };
    let is_short = is_cheap
        && !has_triggers
        && (short.is_some() || (no_ctes && planner.subqueries.is_empty() && reads_points_only(&root)));
    Ok(Plan {
        fields,
        kind,
        parameter_types,
        relations,
        named,
        catalog_version: context.catalog.version,
        permissions,
        is_short,
        row_by_row,
        read_only: !writes && !calls_routines,
        writes,
        short,
        root,
        ctes: planner.ctes,
        subqueries: planner.subqueries,
        columns: planner.infos,
        slots: planner.slot_count,
        slot_columns: planner.slots.iter().map(|(id, slot)| (*slot, *id)).collect(),
        work_tables,
        transitions,
        nodes: planner.nodes,
    })
}

/// Calls a user's function that may write (there is no telling before it runs).
fn runs_volatile_routine(plan: &Logical) -> bool {
    fn calls(expr: &Expr) -> bool {
        expr.any(&mut |part| match part {
            Expr::Routine(call) => call.routine.volatility == crate::functions::Volatility::Volatile,
            Expr::Sublink(link) => runs_volatile_routine(&link.plan),
            _ => false,
        })
    }
    let mut found = false;
    plan.expressions(&mut |expr| found = found || calls(expr));
    plan.inputs(&mut |input| found = found || runs_volatile_routine(input));
    found
}

/// Whether all its expressions are.
fn is_cheap(plan: &Logical) -> bool {
    let mut cheap = true;
    plan.expressions(&mut |expr| cheap = cheap && expr.is_cheap());
    plan.inputs(&mut |input| cheap = cheap && is_cheap(input));
    cheap
}

/// What the foreign keys of changed tables lead to is locked with the statement's own relations.
fn foreign_key_relations(
    plan: &Logical,
    context: &PlanContext<'_>,
    out: &mut Vec<(crate::types::Oid, serin_txn::RelationLockMode)>,
) {
    if let Logical::Modify(modify) = plan {
        let others = match modify.table_oid.is_some() || modify.table.is_partitioned() {
            true => context.catalog.descendants(&modify.table),
            false => Vec::new(),
        };
        for other in &others {
            out.push((other.oid, RelationLockMode::RowExclusive));
        }
        let mut add = |effect: Effect<'_>| {
            foreign_key::relations(context.catalog, &modify.table, effect, out);
            for other in &others {
                let own: Vec<usize>;
                let effect = match effect {
                    Effect::Update(columns) => {
                        let map = places(&modify.table, other);
                        own = columns.iter().filter_map(|at| place(&map, *at)).collect();
                        Effect::Update(&own)
                    }
                    effect => effect,
                };
                foreign_key::relations(context.catalog, other, effect, out);
            }
        };
        let columns =
            |assignments: &[(usize, Expr)]| assignments.iter().map(|(at, _)| *at).collect::<Vec<_>>();
        match modify.kind {
            ModifyKind::Insert => add(Effect::Insert),
            ModifyKind::Delete => add(Effect::Delete),
            ModifyKind::Update => add(Effect::Update(&columns(&modify.assignments))),
            ModifyKind::Merge => {
                for clause in &modify.merge {
                    match clause.kind {
                        Some(ModifyKind::Insert) => add(Effect::Insert),
                        Some(ModifyKind::Delete) => add(Effect::Delete),
                        Some(_) => add(Effect::Update(&columns(&clause.assignments))),
                        None => {}
                    }
                }
            }
        }
        if let Some(update) = modify.on_conflict.as_ref().and_then(|clause| clause.update.as_ref()) {
            add(Effect::Update(&columns(&update.assignments)));
        }
    }
    plan.inputs(&mut |input| foreign_key_relations(input, context, out));
}

fn has_effects(plan: &Logical) -> bool {
    let mut found = matches!(plan, Logical::Modify(_) | Logical::LockRows { .. });
    plan.inputs(&mut |input| found = found || has_effects(input));
    found
}

/// Triggers need the statement's end, which only the operators have.
fn has_triggers(node: &Node) -> bool {
    matches!(&node.operator, Operator::Modify { modify, .. } if !modify.table.triggers.is_empty())
        || node.inputs().into_iter().any(|input| has_triggers(input))
}

/// Every table is read by whole unique keys, and nothing else takes time.
fn reads_points_only(node: &Node) -> bool {
    fn visit(node: &Node, scans: &mut usize) -> bool {
        let fine = match &node.operator {
            Operator::TableScan(scan) => {
                *scans += 1;
                matches!(&scan.access, Access::Index { bounds, .. } if bounds.is_point)
            }
            Operator::Result { .. }
            | Operator::Filter { .. }
            | Operator::Limit { .. }
            | Operator::Sort { .. }
            | Operator::NestedLoop { .. }
            | Operator::LockRows { .. }
            | Operator::Modify { .. } => true,
            Operator::Project { outputs, .. } => !outputs.iter().any(Expr::is_volatile),
            _ => false,
        };
        fine && node.inputs().into_iter().all(|input| visit(input, scans))
    }
    let mut scans = 0;
    visit(node, &mut scans) && scans > 0
}

pub struct Planner<'a> {
    pub context: &'a PlanContext<'a>,
    pub knowledge: Knowledge,
    infos: Vec<ColumnInfo>,
    /// Columns that are handed inwards, by slot.
    slots: HashMap<ColumnId, usize>,
    slot_count: usize,
    subqueries: Vec<Arc<Subquery>>,
    nodes: usize,
    ctes: Vec<Cte>,
    /// By the binder's index: where it is in `ctes`, and its columns there.
    cte_columns: Vec<Option<(usize, Vec<ColumnId>)>>,
    /// Estimated rows of working tables.
    work_rows: HashMap<usize, f64>,
    /// Tables that are read in place of their parents.
    children: Vec<Oid>,
}

impl<'a> Planner<'a> {
    fn plan_ctes(&mut self, definitions: Vec<CteDefinition>) -> Result<()> {
        for definition in definitions {
            let writes = has_effects(&definition.plan);
            if definition.readers == 0 && !writes {
                self.cte_columns.push(None);
                continue;
            }
            if !definition.plan.free_columns().is_empty() {
                return Err(Error::unsupported(format!(
                    "WITH query \"{}\" that refers to an enclosing query and is read more than once",
                    definition.name
                )));
            }
            let required = definition.columns.iter().copied().collect();
            let node = self.plan(definition.plan, &required)?;
            let node = match definition.columns.is_empty() {
                true => node,
                false => self.with_columns(node, &definition.columns)?,
            };
            self.cte_columns.push(Some((self.ctes.len(), definition.columns)));
            self.ctes.push(Cte { name: definition.name, node, writes });
        }
        Ok(())
    }

    fn node(&mut self, operator: Operator, columns: Vec<ColumnId>, estimate: Estimate) -> Arc<Node> {
        let types: Vec<Type> = columns.iter().map(|id| self.infos[*id].data_type).collect();
        let width = cost::width(&columns, &self.infos);
        let id = self.nodes;
        self.nodes += 1;
        Arc::new(Node { operator, columns, types, estimate: Estimate { width, ..estimate }, id })
    }

    fn slot(&mut self, id: ColumnId) -> usize {
        *self.slots.entry(id).or_insert_with(|| {
            self.slot_count += 1;
            self.slot_count - 1
        })
    }

    /// Column ids to positions; what the input lacks comes through a slot. Subqueries are planned.
    pub fn place(&mut self, mut expr: Expr, columns: &[ColumnId]) -> Result<Expr> {
        match &mut expr {
            Expr::Column { index, data_type } => {
                return Ok(match columns.iter().position(|id| id == index) {
                    Some(position) => Expr::Column { index: position, data_type: *data_type },
                    None => Expr::Slot { index: self.slot(*index), data_type: *data_type },
                });
            }
            Expr::Sublink(_) => {
                let Expr::Sublink(link) = expr else {
                    return Err(Error::internal("a subquery changed its kind"));
                };
                return self.subquery(*link, columns);
            }
            _ => {}
        }
        let mut failure = None;
        expr.children_mut(&mut |child| {
            let taken = std::mem::replace(child, Expr::bool(true));
            match self.place(taken, columns) {
                Ok(placed) => *child = placed,
                Err(error) => failure = Some(error),
            }
        });
        failure.map_or(Ok(expr), Err)
    }

    fn place_all(&mut self, exprs: Vec<Expr>, columns: &[ColumnId]) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.place(expr, columns)).collect()
    }

    fn subquery(&mut self, link: Sublink, columns: &[ColumnId]) -> Result<Expr> {
        let free: Vec<ColumnId> = link.plan.free_columns().iter().collect();
        let required = match link.kind {
            SublinkKind::Exists => ColumnSet::new(),
            _ => link.columns.iter().copied().collect(),
        };
        let mut node = self.plan(link.plan, &required)?;
        if link.kind != SublinkKind::Exists {
            node = self.with_columns(node, &link.columns)?;
        }
        let mut inputs = Vec::new();
        for id in &free {
            // A column of a query still further out is in its slot already.
            if let Some(position) = columns.iter().position(|column| column == id) {
                inputs.push((self.slot(*id), Expr::column(position, self.infos[*id].data_type)));
            }
        }
        let operands = self.place_all(link.operands, columns)?;
        let is_hashable = link.kind == SublinkKind::Any
            && link.comparisons.iter().all(|comparison| super::fold::is_equality(comparison));
        let subquery = Arc::new(Subquery {
            kind: link.kind,
            node,
            inputs,
            operands,
            comparisons: link.comparisons,
            data_type: link.data_type,
            index: self.subqueries.len(),
            is_constant: free.is_empty(),
            is_hashable,
        });
        self.subqueries.push(subquery.clone());
        Ok(Expr::Subquery(subquery))
    }

    /// A node that yields exactly these columns in this order.
    fn with_columns(&mut self, node: Arc<Node>, columns: &[ColumnId]) -> Result<Arc<Node>> {
        if node.columns == columns {
            return Ok(node);
        }
        let outputs = columns.iter().map(|id| Expr::column(*id, self.infos[*id].data_type)).collect();
        let outputs: Arc<[Expr]> = self.place_all(outputs, &node.columns)?.into();
        let estimate = node.estimate;
        Ok(self.node(Operator::Project { input: node, outputs }, columns.to_vec(), estimate))
    }

    /// A scan with the conditions right above it.
    pub fn as_scan(plan: &Logical) -> Option<(&Scan, &[Expr])> {
        match plan {
            Logical::Scan(scan) => Some((scan, &[])),
            Logical::Filter { input, conditions } => match &**input {
                Logical::Scan(scan) => Some((scan, conditions)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Rows and cost before anything is decided.
    pub fn estimate(&mut self, plan: &Logical) -> Result<Estimate> {
        let of = |rows: f64, total: f64| Estimate { rows: rows.max(1.0), startup: 0.0, total, width: 0.0 };
        if let Some((scan, conditions)) = Self::as_scan(plan) {
            self.learn(scan);
            let request = Request { scan, conditions, order: None, limit: None };
            let path = access::best(&request, &self.knowledge, self.context);
            return Ok(of(path.rows, path.total));
        }
        Ok(match plan {
            Logical::OneRow => of(1.0, cost::ROW),
            Logical::Scan(_) => of(1.0, 1.0),
            Logical::System { .. } => of(SYSTEM_ROWS, SYSTEM_ROWS * cost::ROW),
            Logical::Values { rows, .. } => of(rows.len() as f64, rows.len() as f64 * cost::ROW),
            Logical::Function { calls, .. } => {
                let rows = calls.iter().map(function_rows).fold(1.0, f64::max);
                of(rows, rows * cost::ROW)
            }
            Logical::Filter { input, conditions } => {
                let inner = self.estimate(input)?;
                let rows = inner.rows * self.knowledge.selectivity_of_all(conditions);
                of(rows, inner.total + inner.rows * conditions.len() as f64 * cost::OPERATOR)
            }
            Logical::Join { kind, left, right, conditions } => {
                let (l, r) = (self.estimate(left)?, self.estimate(right)?);
                let selectivity = self.knowledge.selectivity_of_all(conditions);
                let rows = join_rows(*kind, l.rows, r.rows, selectivity);
                of(rows, l.total + r.total + (l.rows + r.rows) * cost::HASH_BUILD + rows * cost::ROW)
            }
            Logical::Aggregate { input, groups, .. } => {
                let inner = self.estimate(input)?;
                let rows = self.group_count(groups, inner.rows);
                of(rows, inner.total + inner.rows * cost::ROW)
            }
            Logical::Limit { input, limit, .. } => {
                let inner = self.estimate(input)?;
                let rows = limit.as_ref().map_or(inner.rows, limit_value).min(inner.rows);
                of(rows, inner.total * (rows / inner.rows.max(1.0)).min(1.0))
            }
            Logical::SetOperation { left, right, .. } => {
                let (l, r) = (self.estimate(left)?, self.estimate(right)?);
                of(l.rows + r.rows, l.total + r.total)
            }
            Logical::Recursive { start, .. } => {
                let inner = self.estimate(start)?;
                of(inner.rows * RECURSION_FACTOR, inner.total * RECURSION_FACTOR)
            }
            Logical::Cte { index, .. } => match self.cte_columns.get(*index) {
                Some(Some((at, _))) => {
                    let rows = self.ctes[*at].node.estimate.rows;
                    of(rows, rows * cost::ROW)
                }
                _ => of(SYSTEM_ROWS, SYSTEM_ROWS),
            },
            Logical::WorkTable { work_table, .. } => {
                let rows = self.work_rows.get(work_table).copied().unwrap_or(SYSTEM_ROWS);
                of(rows, rows * cost::ROW)
            }
            Logical::Modify(modify) => self.estimate(&modify.input)?,
            Logical::ProjectSet { input, .. } => {
                let inner = self.estimate(input)?;
                of(inner.rows * RECURSION_FACTOR, inner.total + inner.rows * RECURSION_FACTOR * cost::ROW)
            }
            Logical::Project { input, .. }
            | Logical::Window { input, .. }
            | Logical::Distinct { input, .. }
            | Logical::Sort { input, .. }
            | Logical::LockRows { input, .. }
            | Logical::Subquery { input, .. } => self.estimate(input)?,
        })
    }

    fn learn(&mut self, scan: &Scan) {
        let rows = match scan.children {
            None => cost::table_rows(&scan.table, self.context),
            Some(_) => {
                let children = self.context.catalog.descendants(&scan.table);
                let all = children.iter().chain([&scan.table]).filter(|table| !table.is_partitioned());
                all.map(|table| cost::table_rows(table, self.context)).sum::<f64>().max(1.0)
            }
        };
        self.knowledge.add_table(&scan.table, &scan.columns, rows);
    }

    fn group_count(&self, groups: &[(ColumnId, Expr)], rows: f64) -> f64 {
        if groups.is_empty() {
            return 1.0;
        }
        let product: f64 = groups.iter().map(|(_, expr)| self.knowledge.distinct_of(expr)).product();
        product.min(rows).max(1.0)
    }

    // ---- operators ----

    pub fn plan(&mut self, plan: Logical, required: &ColumnSet) -> Result<Arc<Node>> {
        if Self::as_scan(&plan).is_some() {
            return self.scan(plan, required, None, None).map(|(node, _)| node);
        }
        match plan {
            Logical::OneRow => Ok(self.one_row(Vec::new())),
            Logical::Scan(_) => Err(Error::internal("scans were planned above")),
            Logical::System { relation, alias, columns } => {
                let kept: Vec<usize> =
                    (0..columns.len()).filter(|at| required.contains(columns[*at])).collect();
                let ids = kept.iter().map(|at| columns[*at]).collect();
                let scan = node::SystemScan { relation, alias, columns: kept, filter: Vec::new() };
                let estimate = rows_estimate(SYSTEM_ROWS);
                Ok(self.node(Operator::System(Arc::new(scan)), ids, estimate))
            }
            Logical::Values { columns, rows } => {
                let count = rows.len() as f64;
                let rows = rows.into_iter().map(|row| self.place_all(row, &[])).collect::<Result<_>>()?;
                Ok(self.node(
                    Operator::Values(Arc::new(node::Values { rows })),
                    columns,
                    rows_estimate(count),
                ))
            }
            Logical::Function { calls, ordinality, alias } => {
                let rows = calls.iter().map(function_rows).fold(1.0, f64::max);
                let mut columns: Vec<ColumnId> = Vec::new();
                let mut placed = Vec::with_capacity(calls.len());
                for call in calls {
                    columns.extend(&call.columns);
                    placed.push(node::FunctionCall {
                        function: call.function,
                        arguments: self.place_all(call.arguments, &[])?,
                        types: call.types,
                        scalar: call.scalar.map(|expr| self.place(expr, &[])).transpose()?,
                    });
                }
                columns.extend(ordinality);
                let scan = node::FunctionScan { calls: placed, ordinality: ordinality.is_some(), alias };
                Ok(self.node(Operator::Function(Arc::new(scan)), columns, rows_estimate(rows)))
            }
            Logical::Filter { input, conditions } if matches!(*input, Logical::OneRow) => {
                let conditions = self.place_all(conditions, &[])?;
                Ok(self.one_row(conditions))
            }
            Logical::Filter { input, conditions } => {
                let mut below = required.clone();
                conditions.iter().for_each(|condition| condition.columns(&mut below));
                let selectivity = self.knowledge.selectivity_of_all(&conditions);
                let input = self.plan(*input, &below)?;
                self.filter(input, conditions, selectivity)
            }
            Logical::Join { kind: JoinKind::Inner, .. } => {
                let (mut relations, mut conditions) = (Vec::new(), Vec::new());
                joins::flatten(plan, &mut relations, &mut conditions);
                joins::plan_block(self, relations, conditions, required)
            }
            Logical::Join { kind: kind @ (JoinKind::Semi | JoinKind::Anti), left, right, conditions } => {
                match self.lower_semi_join(kind, *left, *right, conditions)? {
                    Logical::Join { kind: JoinKind::Semi | JoinKind::Anti, left, right, conditions } => {
                        self.outer_join(kind, *left, *right, conditions, required)
                    }
                    lowered => self.plan(lowered, required),
                }
            }
            Logical::Join { kind, left, right, conditions } => {
                self.outer_join(kind, *left, *right, conditions, required)
            }
            Logical::Project { input, outputs } => {
                let outputs: Vec<(ColumnId, Expr)> = outputs
                    .into_iter()
                    .filter(|(id, expr)| required.contains(*id) || expr.is_volatile())
                    .collect();
                let mut below = ColumnSet::new();
                outputs.iter().for_each(|(_, expr)| expr.columns(&mut below));
                let input = self.plan(*input, &below)?;
                let columns: Vec<ColumnId> = outputs.iter().map(|(id, _)| *id).collect();
                let exprs = outputs.into_iter().map(|(_, expr)| expr).collect();
                let outputs: Arc<[Expr]> = self.place_all(exprs, &input.columns)?.into();
                let mut estimate = input.estimate;
                estimate.total += estimate.rows * outputs.len() as f64 * cost::OPERATOR;
                Ok(self.node(Operator::Project { input, outputs }, columns, estimate))
            }
            Logical::ProjectSet { input, calls } => {
                let mut below = required.clone();
                calls.iter().for_each(|(_, expr)| expr.columns(&mut below));
                let input = self.plan(*input, &below)?;
                let mut columns = input.columns.clone();
                let mut placed = Vec::with_capacity(calls.len());
                for (id, call) in calls {
                    let call = self.place(call, &input.columns)?;
                    columns.push(id);
                    placed.push(match call {
                        Expr::Call { function, arguments, result } => {
                            node::SetCall { callee: node::SetCallee::BuiltIn(function), arguments, result }
                        }
                        Expr::Routine(mut call) => {
                            let (arguments, result) = (std::mem::take(&mut call.arguments), call.result);
                            node::SetCall { callee: node::SetCallee::Routine(call.into()), arguments, result }
                        }
                        _ => return Err(Error::internal("a set-returning call that is none")),
                    });
                }
                let mut estimate = input.estimate;
                estimate.rows *= RECURSION_FACTOR;
                estimate.total += estimate.rows * cost::ROW;
                Ok(self.node(Operator::ProjectSet { input, calls: placed.into() }, columns, estimate))
            }
            Logical::Aggregate { input, groups, sets, calls } => self.aggregate(*input, groups, sets, calls),
            Logical::Window { input, calls } => {
                let mut below = required.clone();
                calls.iter().for_each(|(_, call)| call.expressions(&mut |expr| expr.columns(&mut below)));
                let input = self.plan(*input, &below)?;
                let mut columns = input.columns.clone();
                let mut placed = Vec::with_capacity(calls.len());
                for (id, mut call) in calls {
                    columns.push(id);
                    let mut failure = None;
                    call.expressions_mut(&mut |expr| {
                        let taken = std::mem::replace(expr, Expr::bool(true));
                        match self.place(taken, &input.columns) {
                            Ok(placed) => *expr = placed,
                            Err(error) => failure = Some(error),
                        }
                    });
                    failure.map_or(Ok(()), Err)?;
                    placed.push(node::WindowCall {
                        call: node::Call {
                            function: call.function,
                            arguments: call.arguments,
                            distinct: false,
                            order_by: Vec::new(),
                            filter: call.filter,
                            result: call.result,
                        },
                        partition_by: call.partition_by,
                        order_by: Key::place_all(call.order_by, &mut Ok)?,
                        frame: call.frame,
                    });
                }
                let mut estimate = input.estimate;
                estimate.startup = estimate.total + cost::sort_cost(estimate.rows);
                estimate.total = estimate.startup + estimate.rows * placed.len() as f64 * cost::ROW;
                Ok(self.node(Operator::Window { input, calls: placed.into() }, columns, estimate))
            }
            Logical::Distinct { input, on, columns } => {
                let mut below = required.clone();
                columns.iter().for_each(|id| below.insert(*id));
                on.iter().flatten().for_each(|expr| expr.columns(&mut below));
                let mut input = self.plan(*input, &below)?;
                if on.is_none() {
                    input = self.with_columns(input, &columns)?;
                }
                let on = on.map(|on| self.place_all(on, &input.columns)).transpose()?.map(Into::into);
                let mut estimate = input.estimate;
                estimate.total += estimate.rows * cost::HASH_PROBE;
                estimate.startup = estimate.total;
                let columns = input.columns.clone();
                Ok(self.node(Operator::Distinct { input, on }, columns, estimate))
            }
            Logical::Sort { input, keys } => self.sort(*input, keys, required, None),
            Logical::Limit { input, limit, offset, ties } => {
                self.limit(*input, limit, offset, ties, required)
            }
            Logical::SetOperation { operator, all, columns, left, left_columns, right, right_columns } => {
                let left = self.plan(*left, &left_columns.iter().copied().collect())?;
                let left = self.with_columns(left, &left_columns)?;
                let right = self.plan(*right, &right_columns.iter().copied().collect())?;
                let right = self.with_columns(right, &right_columns)?;
                let mut estimate = sum(&left.estimate, &right.estimate);
                if operator == ast::SetOperator::Union {
                    let mut inputs = Vec::new();
                    for side in [left, right] {
                        // Chains of UNION ALL are one Append.
                        match &side.operator {
                            Operator::Append { inputs: inner, prune } if all && prune.is_empty() => {
                                inputs.extend(inner.iter().cloned());
                            }
                            _ => inputs.push(side),
                        }
                    }
                    let append = self.node(
                        Operator::Append { inputs, prune: Arc::default() },
                        columns.clone(),
                        estimate,
                    );
                    if all {
                        return Ok(append);
                    }
                    estimate.total += estimate.rows * cost::HASH_PROBE;
                    estimate.startup = estimate.total;
                    return Ok(self.node(Operator::Distinct { input: append, on: None }, columns, estimate));
                }
                estimate.rows = left.estimate.rows;
                estimate.total += estimate.rows * cost::HASH_PROBE;
                Ok(self.node(Operator::SetOperation { left, right, operator, all }, columns, estimate))
            }
            Logical::Cte { index, alias, columns } => {
                let Some(Some((at, sources))) = self.cte_columns.get(index) else {
                    return Err(Error::internal("a WITH query was not planned before its reader"));
                };
                let at = *at;
                let kept: Vec<(ColumnId, usize)> = columns
                    .iter()
                    .filter(|(id, _)| required.contains(*id))
                    .filter_map(|(id, source)| Some((*id, sources.iter().position(|s| s == source)?)))
                    .collect();
                let name = self.ctes[at].name.as_str().into();
                let estimate = rows_estimate(self.ctes[at].node.estimate.rows);
                let operator = Operator::Cte {
                    index: at,
                    alias,
                    name,
                    columns: kept.iter().map(|(_, position)| *position).collect(),
                };
                Ok(self.node(operator, kept.into_iter().map(|(id, _)| id).collect(), estimate))
            }
            Logical::Recursive { work_table, all, columns, start, start_columns, step, step_columns } => {
                let start = self.plan(*start, &start_columns.iter().copied().collect())?;
                let start = self.with_columns(start, &start_columns)?;
                self.work_rows.insert(work_table, start.estimate.rows * RECURSION_FACTOR);
                let step = self.plan(*step, &step_columns.iter().copied().collect())?;
                let step = self.with_columns(step, &step_columns)?;
                let mut estimate = start.estimate;
                estimate.rows += step.estimate.rows * RECURSION_FACTOR;
                estimate.total += step.estimate.total * RECURSION_FACTOR;
                Ok(self.node(Operator::Recursive { start, step, work_table, all }, columns, estimate))
            }
            Logical::WorkTable { work_table, columns, alias } => {
                let rows = self.work_rows.get(&work_table).copied().unwrap_or(SYSTEM_ROWS);
                Ok(self.node(Operator::WorkTable { work_table, alias }, columns, rows_estimate(rows)))
            }
            Logical::LockRows { input, targets, recheck } => {
                self.lock_rows(*input, targets, recheck, required, None)
            }
            Logical::Subquery { input, .. } => self.plan(*input, required),
            Logical::Modify(modify) => self.modify(*modify),
        }
    }

    fn one_row(&mut self, conditions: Vec<Expr>) -> Arc<Node> {
        self.node(Operator::Result { conditions }, Vec::new(), rows_estimate(1.0))
    }

    fn filter(&mut self, input: Arc<Node>, conditions: Vec<Expr>, selectivity: f64) -> Result<Arc<Node>> {
        let conditions: Arc<[Expr]> = self.place_all(conditions, &input.columns)?.into();
        let mut estimate = input.estimate;
        estimate.total += estimate.rows * conditions.len() as f64 * cost::OPERATOR;
        estimate.rows = (estimate.rows * selectivity).max(1.0);
        let columns = input.columns.clone();
        Ok(self.node(Operator::Filter { input, conditions }, columns, estimate))
    }

    /// Reads one table; the flag tells whether the order asked for is there.
    fn scan(
        &mut self,
        plan: Logical,
        required: &ColumnSet,
        order: Option<&[SortKey]>,
        limit: Option<f64>,
    ) -> Result<(Arc<Node>, bool)> {
        let (scan, conditions) = match plan {
            Logical::Scan(scan) => (scan, Vec::new()),
            Logical::Filter { input, conditions } => match *input {
                Logical::Scan(scan) => (scan, conditions),
                _ => return Err(Error::internal("not a scan")),
            },
            _ => return Err(Error::internal("not a scan")),
        };
        self.learn(&scan);
        if scan.children.is_some() {
            return self.scan_children(&scan, conditions, required, limit).map(|node| (node, false));
        }
        let path = access::best(
            &Request { scan: &scan, conditions: &conditions, order, limit },
            &self.knowledge,
            self.context,
        );
        let mut needed = required.clone();
        let mut filter = Vec::new();
        let mut bounded = Vec::new();
        for (at, condition) in conditions.into_iter().enumerate() {
            if path.used.contains(&at) {
                bounded.push(condition);
                continue;
            }
            condition.columns(&mut needed);
            filter.push(condition);
        }
        let live = |position: &usize| !scan.table.columns[*position].dropped;
        let decode: Vec<usize> = (0..scan.columns.len())
            .filter(live)
            .filter(|position| needed.contains(scan.columns[*position]))
            .collect();
        let mut columns: Vec<ColumnId> = decode.iter().map(|position| scan.columns[*position]).collect();
        let key = scan.key.filter(|id| needed.contains(*id));
        let row = scan.row.filter(|id| needed.contains(*id));
        let table_oid = scan.table_oid.filter(|id| needed.contains(*id));
        columns.extend(key);
        columns.extend(row);
        columns.extend(table_oid);
        let filter = self.place_all(filter, &columns)?;
        let access = match path.index {
            None => Access::Full,
            Some((index, bounds)) if !path.searches.is_empty() => {
                let mut searches = path.searches;
                for search in &mut searches {
                    let value = std::mem::replace(&mut search.value, Expr::bool(true));
                    search.value = self.place(value, &[])?;
                }
                let conditions = self.place_bounds(bounds, &scan)?.conditions;
                Access::Entries { index, searches, conditions }
            }
            Some((index, bounds)) => Access::Index { index, bounds: self.place_bounds(bounds, &scan)? },
        };
        let estimate = Estimate { rows: path.rows, startup: path.startup, total: path.total, width: 0.0 };
        let operator = Operator::TableScan(Arc::new(node::TableScan {
            table: scan.table,
            alias: scan.alias,
            decode,
            key: key.is_some(),
            row: row.is_some(),
            table_oid: table_oid.is_some(),
            access,
            backward: path.backward,
            any_order: !path.ordered && limit.is_none(),
            filter,
        }));
        Ok((self.node(operator, columns, estimate), path.ordered))
    }

    /// A table and its children, or a partitioned table: an Append of what the conditions leave of them.
    fn scan_children(
        &mut self,
        scan: &Scan,
        conditions: Vec<Expr>,
        required: &ColumnSet,
        limit: Option<f64>,
    ) -> Result<Arc<Node>> {
        let expanded = prune::expand(scan, &conditions, self.context)?;
        self.children.extend(&expanded.tables);
        // Conditions with subqueries are evaluated above, so that these are planned once.
        let (above, conditions): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(|condition| condition.has_subquery());
        let mut needed = required.clone();
        above.iter().for_each(|condition| condition.columns(&mut needed));
        let mut columns: Vec<ColumnId> = (0..scan.columns.len())
            .filter(|at| !scan.table.columns[*at].dropped)
            .map(|at| scan.columns[at])
            .chain(scan.key)
            .chain(scan.row)
            .chain(scan.table_oid)
            .filter(|id| needed.contains(*id))
            .collect();
        columns.dedup();
        let mut inputs = Vec::with_capacity(expanded.scans.len());
        let mut estimate = Estimate::default();
        for child in expanded.scans {
            let child = Logical::Scan(child);
            let child = match conditions.is_empty() {
                true => child,
                false => Logical::Filter { input: Box::new(child), conditions: conditions.clone() },
            };
            let (node, _) = self.scan(child, &needed, None, limit)?;
            let node = self.with_columns(node, &columns)?;
            estimate = sum(&estimate, &node.estimate);
            inputs.push(node);
        }
        self.learn(scan);
        let mut steps = expanded.steps;
        for step in &mut steps {
            step.prune.values_mut(&mut |expr| {
                let taken = std::mem::replace(expr, Expr::bool(true));
                *expr = self.place(taken, &[])?;
                Ok(())
            })?;
        }
        let node = match inputs.len() {
            0 => {
                let none = self.one_row(vec![Expr::bool(false)]);
                let outputs = columns.iter().map(|id| Expr::null(self.infos[*id].data_type)).collect();
                let estimate = none.estimate;
                self.node(Operator::Project { input: none, outputs }, columns, estimate)
            }
            1 if steps.is_empty() => inputs.remove(0),
            _ => self.node(Operator::Append { inputs, prune: steps.into() }, columns, estimate),
        };
        match above.is_empty() {
            true => Ok(node),
            false => {
                let selectivity = self.knowledge.selectivity_of_all(&above);
                self.filter(node, above, selectivity)
            }
        }
    }

    /// Bound values read nothing of the table; the conditions kept for EXPLAIN are over all of its columns.
    fn place_bounds(&mut self, bounds: Bounds, scan: &Scan) -> Result<Bounds> {
        let mut equal = Vec::with_capacity(bounds.equal.len());
        for item in bounds.equal {
            equal.push(match item {
                Equal::Value(expr) => Equal::Value(self.place(expr, &[])?),
                Equal::Values(exprs) => Equal::Values(self.place_all(exprs, &[])?),
                Equal::Array(expr) => Equal::Array(self.place(expr, &[])?),
                Equal::Null => Equal::Null,
            });
        }
        let mut side = |bound: Option<node::Bound>| -> Result<Option<node::Bound>> {
            bound
                .map(|bound| {
                    Ok(node::Bound { value: self.place(bound.value, &[])?, inclusive: bound.inclusive })
                })
                .transpose()
        };
        let lower = side(bounds.lower)?;
        let upper = side(bounds.upper)?;
        // A subquery in a bound would be planned twice: once is enough for what EXPLAIN shows.
        let shown: Vec<Expr> = bounds.conditions.into_iter().filter(|c| !c.has_subquery()).collect();
        let conditions = self.place_all(shown, &scan.columns)?;
        Ok(Bounds { equal, lower, upper, conditions, is_point: bounds.is_point })
    }

    /// A semi- or anti-join is a filter: where it looks at one relation of a block of inner joins only, and the block doesn't have fewer rows
    /// than that relation, it is put below the block. Gives back the join itself otherwise.
    fn lower_semi_join(
        &mut self,
        kind: JoinKind,
        left: Logical,
        right: Logical,
        conditions: Vec<Expr>,
    ) -> Result<Logical> {
        let join = |left: Logical, right: Logical, conditions| Logical::Join {
            kind,
            left: Box::new(left),
            right: Box::new(right),
            conditions,
        };
        let movable = !conditions.iter().any(|condition| condition.is_volatile() || condition.has_subquery());
        if !movable || !matches!(left, Logical::Join { kind: JoinKind::Inner, .. }) {
            return Ok(join(left, right, conditions));
        }
        let left_out = left.output_set();
        let mut read = right.free_columns();
        conditions.iter().for_each(|condition| condition.columns(&mut read));
        let mut used = ColumnSet::new();
        read.iter().filter(|id| left_out.contains(*id)).for_each(|id| used.insert(id));
        let block_rows = self.estimate(&left)?.rows;
        let (mut relations, mut on) = (Vec::new(), Vec::new());
        joins::flatten(left, &mut relations, &mut on);
        let holder = relations.iter().position(|relation| used.is_subset(&relation.output_set()));
        if let Some(at) = holder
            && !used.is_empty()
            && self.estimate(&relations[at])?.rows <= block_rows
        {
            let relation = relations.swap_remove(at);
            relations.push(join(relation, right, conditions));
            return Ok(joins::unflatten(relations, on));
        }
        Ok(join(joins::unflatten(relations, on), right, conditions))
    }

    fn outer_join(
        &mut self,
        kind: JoinKind,
        left: Logical,
        right: Logical,
        conditions: Vec<Expr>,
        required: &ColumnSet,
    ) -> Result<Arc<Node>> {
        let (left_out, right_out) = (left.output_set(), right.output_set());
        let mut below = required.clone();
        conditions.iter().for_each(|condition| condition.columns(&mut below));
        let free = right.free_columns();
        below.extend(&free);
        let (left_estimate, right_estimate) = (self.estimate(&left)?, self.estimate(&right)?);
        let selectivity = self.knowledge.selectivity_of_all(&conditions);
        let rows = join_rows(kind, left_estimate.rows, right_estimate.rows, selectivity);
        let produce = rows * cost::ROW;
        let lateral = free.intersects(&left_out);
        let settings = self.context.settings;
        let loop_penalty = if settings.enable_nested_loop { 0.0 } else { 1e9 };
        let mut options: Vec<(Method, f64)> = Vec::with_capacity(3);
        if lateral {
            options.push((
                Method::Rescan,
                left_estimate.total + left_estimate.rows * right_estimate.total + produce,
            ));
        } else {
            let pairs =
                left_estimate.rows * right_estimate.rows * cost::OPERATOR * conditions.len().max(1) as f64;
            options.push((
                Method::Loop,
                loop_penalty + left_estimate.total + right_estimate.total + pairs + produce,
            ));
            if conditions.iter().any(|condition| split_equality(condition, &left_out, &right_out).is_some()) {
                let penalty = if settings.enable_hash_join { 0.0 } else { 1e9 };
                let work = right_estimate.rows * cost::HASH_BUILD + left_estimate.rows * cost::HASH_PROBE;
                options.push((
                    Method::Hash,
                    penalty + left_estimate.total + right_estimate.total + work + produce,
                ));
            }
            if matches!(kind, JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
                && let Some((scan, own)) = Self::as_scan(&right)
            {
                let mut all = own.to_vec();
                let first = all.len();
                all.extend(conditions.iter().filter(|c| !c.has_subquery()).cloned());
                let request = Request { scan, conditions: &all, order: None, limit: None };
                let path = access::best(&request, &self.knowledge, self.context);
                if path.index.is_some() && path.used.iter().any(|used| *used >= first) {
                    let total = left_estimate.total + left_estimate.rows * path.total + produce;
                    options.push((Method::Rescan, loop_penalty + total));
                }
            }
        }
        let (method, total) = options
            .into_iter()
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .ok_or_else(|| Error::internal("a join without a method"))?;
        let estimate = Estimate { rows, startup: 0.0, total, width: 0.0 };
        let left_node = self.plan(left, &below)?;
        if method == Method::Rescan {
            return self.rescan_join(kind, left_node, right, conditions, &below, Some(estimate));
        }
        let right_node = self.plan(right, &below)?;
        self.join_nodes(kind, method, left_node, right_node, conditions, Some(estimate))
    }

    /// A nested loop whose right side is run for each left row. Its conditions go into the right side where that is the same.
    pub fn rescan_join(
        &mut self,
        kind: JoinKind,
        left: Arc<Node>,
        right: Logical,
        conditions: Vec<Expr>,
        required: &ColumnSet,
        estimate: Option<Estimate>,
    ) -> Result<Arc<Node>> {
        // Inside, a condition on the pair is a condition on the right row, the left one being fixed.
        let (inside, outside): (Vec<Expr>, Vec<Expr>) =
            conditions.into_iter().partition(|c| !c.has_subquery() && !c.is_volatile());
        let right = match (inside.is_empty(), right) {
            (true, right) => right,
            (false, Logical::Filter { input, conditions }) => {
                let conditions = conditions.into_iter().chain(inside).collect();
                Logical::Filter { input, conditions }
            }
            (false, right) => Logical::Filter { input: Box::new(right), conditions: inside },
        };
        let mut inputs = Vec::new();
        for id in right.free_columns().iter() {
            if let Some(position) = left.columns.iter().position(|column| *column == id) {
                inputs.push((self.slot(id), Expr::column(position, self.infos[id].data_type)));
            }
        }
        // Of a semi-join's right row nothing comes out.
        let is_filter = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        let mut tested = ColumnSet::new();
        outside.iter().for_each(|condition| condition.columns(&mut tested));
        let right = self.plan(right, if is_filter { &tested } else { required })?;
        let both: Vec<ColumnId> = left.columns.iter().chain(&right.columns).copied().collect();
        let conditions = self.place_all(outside, &both)?;
        let columns = if is_filter { left.columns.clone() } else { both };
        let mut estimate = estimate.unwrap_or_else(|| sum(&left.estimate, &right.estimate));
        estimate.total = left.estimate.total + left.estimate.rows * right.estimate.total;
        let join = Arc::new(node::NestedLoop { kind, conditions, inputs, rescan: true });
        Ok(self.node(Operator::NestedLoop { left, right, join }, columns, estimate))
    }

    pub fn join_nodes(
        &mut self,
        kind: JoinKind,
        method: Method,
        left: Arc<Node>,
        right: Arc<Node>,
        conditions: Vec<Expr>,
        estimate: Option<Estimate>,
    ) -> Result<Arc<Node>> {
        let both: Vec<ColumnId> = left.columns.iter().chain(&right.columns).copied().collect();
        let columns =
            if matches!(kind, JoinKind::Semi | JoinKind::Anti) { left.columns.clone() } else { both.clone() };
        let estimate = estimate.unwrap_or_else(|| sum(&left.estimate, &right.estimate));
        if method == Method::Hash {
            let left_set: ColumnSet = left.columns.iter().copied().collect();
            let right_set: ColumnSet = right.columns.iter().copied().collect();
            let (mut keys, mut shown, mut residual) = (Vec::new(), Vec::new(), Vec::new());
            for condition in conditions {
                match split_equality(&condition, &left_set, &right_set) {
                    Some((l, r)) => {
                        keys.push((self.place(l, &left.columns)?, self.place(r, &right.columns)?));
                        shown.push(self.place(condition, &both)?);
                    }
                    None => residual.push(self.place(condition, &both)?),
                }
            }
            let join = Arc::new(node::HashJoin { kind, keys, conditions: shown, residual });
            return Ok(self.node(Operator::HashJoin { left, right, join }, columns, estimate));
        }
        let conditions = self.place_all(conditions, &both)?;
        let right_columns = right.columns.clone();
        let right_estimate = right.estimate;
        let right = self.node(Operator::Materialize { input: right }, right_columns, right_estimate);
        let join = Arc::new(node::NestedLoop { kind, conditions, inputs: Vec::new(), rescan: false });
        Ok(self.node(Operator::NestedLoop { left, right, join }, columns, estimate))
    }

    fn aggregate(
        &mut self,
        input: Logical,
        groups: Vec<(ColumnId, Expr)>,
        sets: super::logical::GroupingSets,
        calls: Vec<(ColumnId, super::logical::AggregateCall)>,
    ) -> Result<Arc<Node>> {
        let input = match sets.sets.is_empty() {
            true => self.first_or_last(input, &groups, &calls)?,
            false => input,
        };
        let mut below = ColumnSet::new();
        groups.iter().for_each(|(_, expr)| expr.columns(&mut below));
        for (_, call) in &calls {
            call.arguments.iter().for_each(|expr| expr.columns(&mut below));
            call.filter.iter().for_each(|expr| expr.columns(&mut below));
            call.order_by.iter().for_each(|key| key.expr.columns(&mut below));
        }
        let input = self.plan(input, &below)?;
        let mut estimate = input.estimate;
        estimate.rows = self.group_count(&groups, estimate.rows);
        estimate.total += input.estimate.rows * (calls.len() + groups.len()) as f64 * cost::OPERATOR
            + estimate.rows * cost::ROW;
        estimate.startup = estimate.total - estimate.rows * cost::ROW;
        let called = calls.iter().map(|(id, _)| *id).chain(sets.calls.iter().map(|(id, _)| *id));
        let columns = groups.iter().map(|(id, _)| *id).chain(called).collect();
        let groups = self.place_all(groups.into_iter().map(|(_, expr)| expr).collect(), &input.columns)?;
        let calls = calls
            .into_iter()
            .map(|(_, call)| node::Call::place(call, &mut |expr| self.place(expr, &input.columns)))
            .collect::<Result<_>>()?;
        let aggregate = Arc::new(node::Aggregate {
            groups,
            sets: sets.sets,
            calls,
            groupings: sets.calls.into_iter().map(|(_, groups)| groups).collect(),
        });
        Ok(self.node(Operator::Aggregate { input, aggregate }, columns, estimate))
    }

    /// `min(x)` or `max(x)` alone over an index on x: its first or last entry is all it takes.
    fn first_or_last(
        &mut self,
        input: Logical,
        groups: &[(ColumnId, Expr)],
        calls: &[(ColumnId, super::logical::AggregateCall)],
    ) -> Result<Logical> {
        let [(_, call)] = calls else { return Ok(input) };
        let descending = match call.function.name {
            "min" => false,
            "max" => true,
            _ => return Ok(input),
        };
        let (Some(argument @ Expr::Column { .. }), true) =
            (call.arguments.first(), groups.is_empty() && call.filter.is_none())
        else {
            return Ok(input);
        };
        let Some((scan, conditions)) = Self::as_scan(&input) else { return Ok(input) };
        let scan = scan.clone();
        self.learn(&scan);
        let mut conditions = conditions.to_vec();
        let nullable = scan.columns.iter().zip(&scan.table.columns).any(|(id, column)| {
            matches!(argument, Expr::Column { index, .. } if index == id) && !column.not_null
        });
        if nullable {
            conditions.push(Expr::IsNull { operand: Box::new(argument.clone()), negated: true });
        }
        let keys = vec![SortKey { expr: argument.clone(), descending, nulls_first: descending }];
        let request = Request { scan: &scan, conditions: &conditions, order: Some(&keys), limit: Some(1.0) };
        if !access::best(&request, &self.knowledge, self.context).ordered {
            return Ok(input);
        }
        let scan = Logical::Scan(scan);
        let input = match conditions.is_empty() {
            true => scan,
            false => Logical::Filter { input: Box::new(scan), conditions },
        };
        let sorted = Logical::Sort { input: Box::new(input), keys };
        let one = Expr::Constant { value: Datum::Int8(1), data_type: Type::INT8 };
        Ok(Logical::Limit { input: Box::new(sorted), limit: Some(one), offset: None, ties: None })
    }

    fn sort(
        &mut self,
        input: Logical,
        keys: Vec<SortKey>,
        required: &ColumnSet,
        limit: Option<f64>,
    ) -> Result<Arc<Node>> {
        let mut below = required.clone();
        keys.iter().for_each(|key| key.expr.columns(&mut below));
        let input = match Self::as_scan(&input).is_some() {
            true => {
                let (node, ordered) = self.scan(input, &below, Some(&keys), limit)?;
                if ordered {
                    return Ok(node);
                }
                node
            }
            false => self.plan(input, &below)?,
        };
        let keys: Arc<[Key]> = Key::place_all(keys, &mut |expr| self.place(expr, &input.columns))?.into();
        let mut estimate = input.estimate;
        estimate.startup = estimate.total + cost::sort_cost(estimate.rows);
        estimate.total = estimate.startup + estimate.rows * cost::OPERATOR;
        let columns = input.columns.clone();
        Ok(self.node(Operator::Sort { input, keys, top: None }, columns, estimate))
    }

    fn limit(
        &mut self,
        input: Logical,
        limit: Option<Expr>,
        offset: Option<Expr>,
        ties: Option<Vec<SortKey>>,
        required: &ColumnSet,
    ) -> Result<Arc<Node>> {
        let wanted =
            limit.as_ref().map(|limit| limit_value(limit) + offset.as_ref().map_or(0.0, limit_value));
        let mut below = required.clone();
        ties.iter().flatten().for_each(|key| key.expr.columns(&mut below));
        let input = match input {
            Logical::Sort { input, keys } => self.sort(*input, keys, &below, wanted)?,
            Logical::LockRows { input, targets, recheck } => {
                self.lock_rows(*input, targets, recheck, &below, wanted)?
            }
            input if Self::as_scan(&input).is_some() => self.scan(input, &below, None, wanted)?.0,
            input => self.plan(input, &below)?,
        };
        let place =
            |planner: &mut Self, expr: Option<Expr>| expr.map(|expr| planner.place(expr, &[])).transpose();
        let ties = match ties {
            None => None,
            Some(keys) => Some(Key::place_all(keys, &mut |expr| self.place(expr, &input.columns))?),
        };
        let limit = Arc::new(node::Limit { limit: place(self, limit)?, offset: place(self, offset)?, ties });
        let mut estimate = input.estimate;
        if let Some(wanted) = wanted {
            let rows = wanted.min(estimate.rows).max(1.0);
            estimate.total =
                estimate.startup + (estimate.total - estimate.startup) * rows / estimate.rows.max(1.0);
            estimate.rows = rows;
        }
        // A sort under a plain LIMIT need not keep more.
        let input = match (&input.operator, limit.ties.is_none() && limit.limit.is_some()) {
            (Operator::Sort { input: below, keys, top: None }, true) => {
                let operator =
                    Operator::Sort { input: below.clone(), keys: keys.clone(), top: Some(limit.clone()) };
                let (columns, kept) = (input.columns.clone(), input.estimate);
                self.node(operator, columns, kept)
            }
            _ => input,
        };
        let columns = input.columns.clone();
        Ok(self.node(Operator::Limit { input, limit }, columns, estimate))
    }

    fn lock_rows(
        &mut self,
        input: Logical,
        targets: Vec<super::logical::LockTarget>,
        recheck: Vec<Expr>,
        required: &ColumnSet,
        limit: Option<f64>,
    ) -> Result<Arc<Node>> {
        let mut below = required.clone();
        recheck.iter().for_each(|condition| condition.columns(&mut below));
        targets
            .iter()
            .flat_map(|target| [Some(target.key), target.table_oid])
            .flatten()
            .for_each(|id| below.insert(id));
        let input = match input {
            Logical::Sort { input, keys } => self.sort(*input, keys, &below, limit)?,
            input => self.plan(input, &below)?,
        };
        let recheck = self.place_all(recheck, &input.columns)?;
        let position = |id: &ColumnId| input.columns.iter().position(|column| column == id);
        let mut placed = Vec::with_capacity(targets.len());
        for target in targets {
            let columns = target
                .columns
                .iter()
                .enumerate()
                .filter_map(|(table, id)| position(id).map(|input| (input, table)))
                .collect();
            let key =
                position(&target.key).ok_or_else(|| Error::internal("a locked table without its key"))?;
            placed.push(node::LockTarget {
                table: target.table,
                columns,
                key,
                table_oid: target.table_oid.as_ref().and_then(position),
                strength: target.strength,
                wait: target.wait,
            });
        }
        let estimate = input.estimate;
        let columns = input.columns.clone();
        let lock = Arc::new(node::LockRows { targets: placed, recheck });
        Ok(self.node(Operator::LockRows { input, lock }, columns, estimate))
    }

    fn merge(
        &mut self,
        table: &Arc<crate::catalog::Table>,
        alias: &Arc<str>,
        columns: &[(usize, usize)],
        clauses: Vec<super::logical::MergeClause>,
        input: &[ColumnId],
    ) -> Result<node::Merge> {
        let change = |kind, assignments| {
            Arc::new(node::Modify {
                kind,
                table: table.clone(),
                alias: alias.clone(),
                key: 0,
                row: 0,
                table_oid: None,
                targets_others: false,
                columns: columns.to_vec(),
                recheck: Vec::new(),
                assignments,
                on_conflict: None,
                merge: None,
                returning: None,
                checks: Vec::new(),
                instead: None,
            })
        };
        let mut placed = Vec::with_capacity(clauses.len());
        for clause in clauses {
            let conditions = self.place_all(clause.conditions, input)?;
            let mut assignments = Vec::with_capacity(clause.assignments.len());
            for (at, expr) in clause.assignments {
                assignments.push((at, self.place(expr, input)?));
            }
            placed.push((clause.matched, conditions, clause.kind, assignments));
        }
        let mut kinds = Vec::new();
        let mut places = Vec::new();
        for kind in crate::exec::merge::KINDS {
            let of_kind: Vec<_> = placed.iter().filter(|(_, _, other, _)| *other == Some(kind)).collect();
            if of_kind.is_empty() {
                continue;
            }
            let all = of_kind.iter().flat_map(|(.., assignments)| assignments.iter().cloned()).collect();
            places.push(kind);
            kinds.push(change(kind, all));
        }
        let clauses = placed
            .into_iter()
            .map(|(matched, conditions, kind, assignments)| {
                let place = kind.and_then(|kind| places.iter().position(|other| *other == kind));
                let action = place.zip(kind).map(|(place, kind)| (place, change(kind, assignments)));
                node::MergeClause { matched, conditions, action }
            })
            .collect();
        Ok(node::Merge { clauses, kinds })
    }

    fn modify(&mut self, modify: super::logical::Modify) -> Result<Arc<Node>> {
        let mut below = ColumnSet::new();
        modify.recheck.iter().for_each(|expr| expr.columns(&mut below));
        modify.assignments.iter().for_each(|(_, expr)| expr.columns(&mut below));
        for clause in &modify.merge {
            clause.conditions.iter().for_each(|expr| expr.columns(&mut below));
            clause.assignments.iter().for_each(|(_, expr)| expr.columns(&mut below));
        }
        modify.returning.iter().flatten().for_each(|(_, expr)| expr.columns(&mut below));
        modify.checks.iter().flat_map(|check| &check.conditions).for_each(|expr| expr.columns(&mut below));
        below.remove_all(&modify.returning_columns.iter().copied().collect());
        if modify.instead {
            modify.target_columns.iter().for_each(|id| below.insert(*id));
        }
        modify.key.iter().chain(&modify.row).chain(&modify.table_oid).for_each(|id| below.insert(*id));
        let input = self.plan(modify.input, &below)?;
        let targets_others = match modify.kind {
            ModifyKind::Insert => modify.table.is_partitioned(),
            ModifyKind::Merge => modify.table_oid.is_some() || modify.table.is_partitioned(),
            _ => modify.table_oid.is_some(),
        };
        let position = |id: ColumnId| input.columns.iter().position(|column| *column == id);
        let missing = || Error::internal("a changed table without its key");
        let (key, row) = match (modify.kind, modify.key, modify.row) {
            (ModifyKind::Insert, ..) => (0, 0),
            _ if modify.instead => (0, 0),
            (_, Some(key), Some(row)) => {
                (position(key).ok_or_else(missing)?, position(row).ok_or_else(missing)?)
            }
            _ => return Err(missing()),
        };
        let columns: Vec<(usize, usize)> = modify
            .target_columns
            .iter()
            .enumerate()
            .filter_map(|(table, id)| position(*id).map(|input| (input, table)))
            .collect();
        let instead = match (modify.instead, modify.kind) {
            (false, _) => None,
            (true, ModifyKind::Insert) => Some(Vec::new()),
            (true, _) => {
                let places = modify.target_columns.iter().map(|id| position(*id).ok_or_else(missing));
                Some(places.collect::<Result<Vec<usize>>>()?)
            }
        };
        let merge = match modify.kind {
            ModifyKind::Merge => {
                Some(self.merge(&modify.table, &modify.alias, &columns, modify.merge, &input.columns)?)
            }
            _ => None,
        };
        let recheck = self.place_all(modify.recheck, &input.columns)?;
        let mut assignments = Vec::with_capacity(modify.assignments.len());
        for (at, expr) in modify.assignments {
            assignments.push((at, self.place(expr, &input.columns)?));
        }
        let on_conflict = match modify.on_conflict {
            None => None,
            Some(clause) => {
                let update = match clause.update {
                    None => None,
                    Some(update) => {
                        let both: Vec<ColumnId> =
                            modify.target_columns.iter().chain(&update.excluded).copied().collect();
                        let mut assignments = Vec::with_capacity(update.assignments.len());
                        for (at, expr) in update.assignments {
                            assignments.push((at, self.place(expr, &both)?));
                        }
                        Some(node::ConflictUpdate {
                            assignments,
                            filter: self.place_all(update.filter, &both)?,
                        })
                    }
                };
                Some(node::OnConflict { arbiters: clause.arbiters, update })
            }
        };
        let over: Vec<ColumnId> = modify.returning_columns.iter().chain(&input.columns).copied().collect();
        let mut checks = Vec::with_capacity(modify.checks.len());
        for check in modify.checks {
            let conditions = self.place_all(check.conditions, &over)?;
            checks.push(super::logical::ViewCheck { view: check.view, conditions });
        }
        let mut output = Vec::new();
        let returning = match modify.returning {
            None => None,
            Some(outputs) => {
                let mut placed = Vec::with_capacity(outputs.len());
                for (id, expr) in outputs {
                    output.push(id);
                    placed.push(self.place(expr, &over)?);
                }
                Some(placed)
            }
        };
        let mut estimate = input.estimate;
        estimate.total += estimate.rows * cost::ROW;
        if returning.is_none() {
            estimate.rows = 0.0;
        }
        let modify = Arc::new(node::Modify {
            kind: modify.kind,
            table: modify.table,
            alias: modify.alias,
            key,
            row,
            table_oid: modify.table_oid.and_then(position),
            targets_others,
            columns,
            recheck,
            assignments,
            on_conflict,
            merge,
            returning,
            checks,
            instead,
        });
        Ok(self.node(Operator::Modify { input, modify }, output, estimate))
    }
}

fn rows_estimate(rows: f64) -> Estimate {
    Estimate { rows: rows.max(1.0), startup: 0.0, total: rows.max(1.0) * cost::ROW, width: 0.0 }
}

fn sum(a: &Estimate, b: &Estimate) -> Estimate {
    Estimate { rows: a.rows + b.rows, startup: a.startup, total: a.total + b.total, width: 0.0 }
}

fn join_rows(kind: JoinKind, left: f64, right: f64, selectivity: f64) -> f64 {
    let inner = (left * right * selectivity).max(1.0);
    match kind {
        JoinKind::Inner => inner,
        JoinKind::Left => inner.max(left),
        JoinKind::Right => inner.max(right),
        JoinKind::Full => inner.max(left).max(right),
        JoinKind::Semi => left.min(inner).max(1.0),
        JoinKind::Anti => (left - left.min(inner)).max(1.0),
    }
}

fn limit_value(limit: &Expr) -> f64 {
    match limit {
        Expr::Constant { value: Datum::Int8(value), .. } => (*value).max(1) as f64,
        Expr::Constant { value: Datum::Null, .. } => f64::MAX / 4.0,
        _ => LIMIT_DEFAULT,
    }
}

/// generate_series of constants tells how many rows it yields.
fn function_rows(call: &super::logical::FunctionScan) -> f64 {
    let integer = |at: usize| match call.arguments.get(at) {
        Some(Expr::Constant { value, .. }) => crate::expr::integer(value),
        _ => None,
    };
    if call.scalar.is_some() {
        return 1.0;
    }
    match (call.function.name, integer(0), integer(1)) {
        ("generate_series", Some(first), Some(last)) => {
            let step = integer(2).unwrap_or(1).unsigned_abs().max(1);
            (last.abs_diff(first) / step + 1) as f64
        }
        _ => FUNCTION_ROWS,
    }
}
