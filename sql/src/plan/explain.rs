//! EXPLAIN's text form, in PostgreSQL's words. Projections are not shown, a filter is shown at the node it filters.

use super::deparse::{Names, PlanNames, deparse, quote_identifier};
use super::logical::{JoinKind, ModifyKind};
use super::node::{Access, Bounds, Equal, Key, Node, Operator, TableScan};
use super::{ExplainOptions, Plan, Subquery};
use crate::exec::runtime::Counter;
use crate::expr::{ColumnId, Expr, conjunction};
use crate::parse::ast::SetOperator;
use std::collections::HashSet;
use std::sync::Arc;

/// The lines of EXPLAIN's text form. `execution` adds the ANALYZE figures.
pub fn explain(
    plan: &Plan,
    execution: Option<&crate::exec::Execution>,
    options: &ExplainOptions,
) -> Vec<String> {
    let counters = execution.map(|execution| execution.counters());
    let mut relations = HashSet::new();
    count_relations(&plan.root, &mut relations);
    plan.ctes.iter().for_each(|cte| count_relations(&cte.node, &mut relations));
    plan.subqueries.iter().for_each(|query| count_relations(&query.node, &mut relations));
    let printer = Printer {
        plan,
        options,
        counters,
        qualified: relations.len() > 1,
        lines: Vec::new(),
        shown: HashSet::new(),
    };
    printer.run()
}

fn count_relations(node: &Node, out: &mut HashSet<String>) {
    match &node.operator {
        Operator::TableScan(scan) => out.insert(scan.alias.to_string()),
        Operator::System(scan) => out.insert(scan.alias.to_string()),
        Operator::Function(scan) => out.insert(scan.alias.to_string()),
        Operator::Cte { alias, .. } | Operator::WorkTable { alias, .. } => out.insert(alias.to_string()),
        _ => false,
    };
    node.inputs().into_iter().for_each(|input| count_relations(input, out));
}

struct Printer<'p> {
    plan: &'p Plan,
    options: &'p ExplainOptions,
    counters: Option<Vec<Counter>>,
    qualified: bool,
    lines: Vec<String>,
    shown: HashSet<usize>,
}

impl<'p> Printer<'p> {
    fn run(mut self) -> Vec<String> {
        let plan = self.plan;
        self.node(&plan.root, None, &[], &[]);
        self.lines
    }

    /// `arrow`: how far the `->` is indented; None at the top. `filters` and `columns`: conditions of Filter nodes above.
    fn node(
        &mut self,
        node: &'p Arc<Node>,
        arrow: Option<usize>,
        filters: &[&'p Expr],
        columns: &'p [ColumnId],
    ) {
        match &node.operator {
            Operator::Project { input, outputs } => {
                self.node(input, arrow, filters, columns);
                self.subqueries(outputs.iter(), arrow.map_or(2, |arrow| arrow + 6));
                return;
            }
            Operator::Filter { input, conditions } => {
                let own: Vec<&Expr> = conditions.iter().chain(filters.iter().copied()).collect();
                self.node(input, arrow, &own, &input.columns);
                return;
            }
            Operator::Subquery { input, .. } => return self.node(input, arrow, filters, columns),
            _ => {}
        }
        let title = self.title(node);
        let line = format!("{title}{}{}", self.cost(node), self.actual(node));
        let body = match arrow {
            None => {
                self.lines.push(line);
                2
            }
            Some(arrow) => {
                self.lines.push(format!("{}->  {line}", " ".repeat(arrow)));
                arrow + 6
            }
        };
        if arrow.is_none() {
            for cte in &self.plan.ctes {
                self.lines.push(format!("{}CTE {}", " ".repeat(body), quote_identifier(&cte.name)));
                self.node(&cte.node, Some(body + 2), &[], &[]);
            }
        }
        self.details(node, body);
        if !filters.is_empty() {
            let conditions: Vec<Expr> = filters.iter().map(|filter| (*filter).clone()).collect();
            self.condition("Filter", conditions, columns, body);
            self.removed(node, body);
            self.subqueries(filters.iter().copied(), body);
        }
        match &node.operator {
            Operator::HashJoin { left, right, .. } => {
                self.node(left, Some(body), &[], &[]);
                let line = format!("{}->  Hash{}", " ".repeat(body), self.cost(right));
                self.lines.push(line);
                self.node(right, Some(body + 6), &[], &[]);
            }
            _ => {
                for input in node.inputs() {
                    self.node(input, Some(body), &[], &[]);
                }
            }
        }
    }

    fn cost(&self, node: &Node) -> String {
        let e = &node.estimate;
        match self.options.costs {
            true => format!(
                "  (cost={:.2}..{:.2} rows={:.0} width={:.0})",
                e.startup,
                e.total.max(e.startup),
                e.rows,
                e.width
            ),
            false => String::new(),
        }
    }

    fn actual(&self, node: &Node) -> String {
        let Some(counter) = self.counters.as_ref().and_then(|counters| counters.get(node.id)) else {
            return String::new();
        };
        if counter.loops == 0 {
            return " (never executed)".into();
        }
        let loops = counter.loops as f64;
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        let rows = counter.rows as f64 / loops;
        match self.options.timing {
            true => format!(
                " (actual time={:.3}..{:.3} rows={rows:.0} loops={})",
                millis(counter.startup),
                millis(counter.total) / loops,
                counter.loops
            ),
            false => format!(" (actual rows={rows:.0} loops={})", counter.loops),
        }
    }

    fn relation(&self, name: &str, alias: &str) -> String {
        match name == alias {
            true => quote_identifier(name),
            false => format!("{} {}", quote_identifier(name), quote_identifier(alias)),
        }
    }

    fn title(&self, node: &Node) -> String {
        match &node.operator {
            Operator::Result { .. } => "Result".into(),
            Operator::TableScan(scan) => self.scan_title(scan),
            Operator::System(scan) => {
                format!("Seq Scan on {}", self.relation(scan.relation.name, &scan.alias))
            }
            Operator::Values(values) if values.rows.is_empty() => "Result".into(),
            Operator::Values(_) => "Values Scan on \"*VALUES*\"".into(),
            Operator::Function(scan) => {
                let name = scan.calls.first().map_or("", |call| call.function.name);
                format!("Function Scan on {}", self.relation(name, &scan.alias))
            }
            Operator::ProjectSet { .. } => "ProjectSet".into(),
            Operator::Limit { .. } => "Limit".into(),
            Operator::Sort { .. } => "Sort".into(),
            Operator::Aggregate { aggregate, .. }
                if aggregate.sets.len() > 1 && aggregate.sets.iter().any(Vec::is_empty) =>
            {
                "MixedAggregate".into()
            }
            Operator::Aggregate { aggregate, .. } if aggregate.groups.is_empty() => "Aggregate".into(),
            Operator::Aggregate { .. } | Operator::Distinct { on: None, .. } => "HashAggregate".into(),
            Operator::Distinct { .. } => "Unique".into(),
            Operator::Window { .. } => "WindowAgg".into(),
            Operator::HashJoin { join, .. } => match join.kind {
                JoinKind::Inner => "Hash Join".into(),
                kind => format!("Hash {} Join", kind_word(kind)),
            },
            Operator::NestedLoop { join, .. } => match join.kind {
                JoinKind::Inner => "Nested Loop".into(),
                kind => format!("Nested Loop {} Join", kind_word(kind)),
            },
            Operator::Append { .. } => "Append".into(),
            Operator::SetOperation { operator, all, .. } => {
                let word = match operator {
                    SetOperator::Intersect => "Intersect",
                    SetOperator::Except => "Except",
                    SetOperator::Union => "Union",
                };
                format!("HashSetOp {word}{}", if *all { " All" } else { "" })
            }
            Operator::Materialize { .. } => "Materialize".into(),
            Operator::Cte { alias, name, .. } => format!("CTE Scan on {}", self.relation(name, alias)),
            Operator::Recursive { .. } => "Recursive Union".into(),
            Operator::WorkTable { alias, .. } => format!("WorkTable Scan on {}", quote_identifier(alias)),
            Operator::LockRows { .. } => "LockRows".into(),
            Operator::Modify { modify, .. } => {
                let verb = match modify.kind {
                    ModifyKind::Insert => "Insert",
                    ModifyKind::Update => "Update",
                    ModifyKind::Delete => "Delete",
                    ModifyKind::Merge => "Merge",
                };
                format!("{verb} on {}", self.relation(&modify.table.name, &modify.alias))
            }
            Operator::Filter { .. } | Operator::Project { .. } | Operator::Subquery { .. } => String::new(),
        }
    }

    fn scan_title(&self, scan: &TableScan) -> String {
        let relation = self.relation(&scan.table.name, &scan.alias);
        let index = match &scan.access {
            Access::Index { index, .. } => Some(&scan.table.indexes[*index]),
            Access::Full if scan.backward => scan.table.indexes.iter().find(|index| index.clustered),
            Access::Full => None,
        };
        let direction = if scan.backward { " Backward" } else { "" };
        match index {
            Some(index) => {
                format!("Index Scan{direction} using {} on {relation}", quote_identifier(&index.name))
            }
            None => format!("Seq Scan on {relation}"),
        }
    }

    fn names<'n>(&'n self, columns: &'n [ColumnId]) -> PlanNames<'n> {
        PlanNames { plan: self.plan, columns, qualified: self.qualified }
    }

    fn push(&mut self, indent: usize, text: String) {
        self.lines.push(format!("{}{text}", " ".repeat(indent)));
    }

    fn condition(&mut self, label: &str, conditions: Vec<Expr>, columns: &[ColumnId], indent: usize) {
        if conditions.is_empty() {
            return;
        }
        let text = deparse(&conjunction(conditions), &self.names(columns));
        // PostgreSQL encloses a condition, unless it has its parentheses already.
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
        let text = if text.starts_with('(') || is_word { text } else { format!("({text})") };
        self.push(indent, format!("{label}: {text}"));
    }

    /// A scan's filter is about that scan: its columns need no qualifier.
    fn scan_condition(&mut self, conditions: Vec<Expr>, columns: &[ColumnId], indent: usize) {
        let qualified = std::mem::replace(&mut self.qualified, false);
        self.condition("Filter", conditions, columns, indent);
        self.qualified = qualified;
    }

    fn removed(&mut self, node: &Node, indent: usize) {
        let removed = self
            .counters
            .as_ref()
            .and_then(|counters| counters.get(node.id))
            .map_or(0, |c| c.removed_by_filter);
        if removed > 0 {
            self.push(indent, format!("Rows Removed by Filter: {removed}"));
        }
    }

    fn keys(&self, keys: &[Key], columns: &[ColumnId]) -> String {
        let names = self.names(columns);
        let mut parts = Vec::with_capacity(keys.len());
        for key in keys {
            let mut text = deparse(&key.expr, &names);
            if key.descending {
                text.push_str(" DESC");
            }
            match (key.descending, key.nulls_first) {
                (false, true) => text.push_str(" NULLS FIRST"),
                (true, false) => text.push_str(" NULLS LAST"),
                _ => {}
            }
            parts.push(text);
        }
        parts.join(", ")
    }

    fn list(&self, exprs: &[Expr], columns: &[ColumnId]) -> String {
        let names = self.names(columns);
        exprs.iter().map(|expr| deparse(expr, &names)).collect::<Vec<_>>().join(", ")
    }

    fn details(&mut self, node: &'p Node, indent: usize) {
        match &node.operator {
            Operator::Result { conditions } => {
                self.condition("One-Time Filter", conditions.clone(), &[], indent);
                self.subqueries(conditions.iter(), indent);
            }
            Operator::Values(values) if values.rows.is_empty() => {
                self.push(indent, "One-Time Filter: false".into());
            }
            Operator::TableScan(scan) => {
                if let Access::Index { bounds, .. } = &scan.access {
                    // These are over all of the table's columns.
                    let names = TableScanNames { printer: self, scan };
                    let text = deparse(&conjunction(bounds.conditions.clone()), &names);
                    if !bounds.conditions.is_empty() {
                        self.push(indent, format!("Index Cond: {text}"));
                    }
                }
                if let Access::Index { index, bounds } = &scan.access {
                    self.subquery_bounds(scan, *index, bounds, indent);
                }
                self.scan_condition(scan.filter.clone(), &node.columns, indent);
                self.removed(node, indent);
                self.subqueries(scan.filter.iter(), indent);
            }
            Operator::System(scan) => self.scan_condition(scan.filter.clone(), &node.columns, indent),
            Operator::Sort { input, keys, .. } => {
                let text = self.keys(keys, &input.columns);
                self.push(indent, format!("Sort Key: {text}"));
            }
            Operator::Aggregate { input, aggregate } if !aggregate.sets.is_empty() => {
                for set in &aggregate.sets {
                    let groups: Vec<Expr> = set.iter().map(|at| aggregate.groups[*at].clone()).collect();
                    match groups.is_empty() {
                        true => self.push(indent, "Group Key: ()".into()),
                        false => {
                            let text = self.list(&groups, &input.columns);
                            self.push(indent, format!("Hash Key: {text}"));
                        }
                    }
                }
            }
            Operator::Aggregate { input, aggregate } if !aggregate.groups.is_empty() => {
                let text = self.list(&aggregate.groups, &input.columns);
                self.push(indent, format!("Group Key: {text}"));
            }
            Operator::Distinct { input, on: None } => {
                let names = self.names(&input.columns);
                let columns: Vec<String> = (0..input.columns.len()).map(|at| names.column(at)).collect();
                self.push(indent, format!("Group Key: {}", columns.join(", ")));
            }
            Operator::HashJoin { left, right, join } => {
                let both: Vec<ColumnId> = left.columns.iter().chain(&right.columns).copied().collect();
                self.condition("Hash Cond", join.conditions.clone(), &both, indent);
                self.condition("Join Filter", join.residual.clone(), &both, indent);
                self.subqueries(join.residual.iter(), indent);
            }
            Operator::NestedLoop { left, right, join } => {
                let both: Vec<ColumnId> = left.columns.iter().chain(&right.columns).copied().collect();
                self.condition("Join Filter", join.conditions.clone(), &both, indent);
                self.subqueries(join.conditions.iter(), indent);
            }
            Operator::Modify { modify, .. } => {
                if let Some(clause) = &modify.on_conflict {
                    let action = if clause.update.is_some() { "UPDATE" } else { "NOTHING" };
                    self.push(indent, format!("Conflict Resolution: {action}"));
                    if let Some(arbiters) = &clause.arbiters {
                        let names: Vec<String> = arbiters
                            .iter()
                            .map(|at| quote_identifier(&modify.table.indexes[*at].name))
                            .collect();
                        self.push(indent, format!("Conflict Arbiter Indexes: {}", names.join(", ")));
                    }
                }
                self.subqueries(modify.assignments.iter().map(|(_, expr)| expr), indent);
            }
            _ => {}
        }
    }

    /// Bounds by a subquery's value are not among the conditions kept for show.
    fn subquery_bounds(&mut self, scan: &TableScan, index: usize, bounds: &Bounds, indent: usize) {
        for (equal, key) in bounds.equal.iter().zip(&scan.table.indexes[index].keys) {
            let (Equal::Value(value), Some(column)) = (equal, key.column) else { continue };
            if value.has_subquery() {
                let names = TableScanNames { printer: self, scan };
                let text = format!("Index Cond: ({} = {})", names.column(column), deparse(value, &names));
                self.push(indent, text);
                self.subqueries(std::iter::once(value), indent);
            }
        }
    }

    /// Plans of the subqueries that expressions hold, each once.
    fn subqueries<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr>, indent: usize) {
        let mut found: Vec<Arc<Subquery>> = Vec::new();
        for expr in exprs {
            expr.any(&mut |part| {
                if let Expr::Subquery(query) = part {
                    found.push(query.clone());
                }
                false
            });
        }
        for query in found {
            if !self.shown.insert(query.index) {
                continue;
            }
            use super::logical::SublinkKind::{All, Any};
            let number = query.index + 1;
            let label = match query.is_constant && !matches!(query.kind, Any | All) {
                true => format!("InitPlan {number} (returns ${})", number - 1),
                false => format!("SubPlan {number}"),
            };
            self.push(indent, label);
            let plan = self.plan;
            if let Some(query) = plan.subqueries.get(query.index) {
                self.node(&query.node, Some(indent + 2), &[], &[]);
            }
        }
    }
}

/// Names for conditions over all columns of a scanned table.
struct TableScanNames<'a, 'p> {
    printer: &'a Printer<'p>,
    scan: &'a TableScan,
}

impl Names for TableScanNames<'_, '_> {
    fn column(&self, index: usize) -> String {
        let column = self.scan.table.columns.get(index).map_or("?", |column| column.name.as_str());
        quote_identifier(column)
    }
    fn slot(&self, index: usize) -> String {
        self.printer.names(&[]).slot(index)
    }
}

fn kind_word(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "",
        JoinKind::Left => "Left",
        JoinKind::Right => "Right",
        JoinKind::Full => "Full",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
    }
}
