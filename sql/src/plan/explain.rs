//! EXPLAIN: the plan as a tree of what there is to show ([`Shown`]), in PostgreSQL's words and under its names, which
//! `explain_format.rs` writes as text, JSON, YAML or XML. Projections are not shown, a filter is shown at the node it filters.

use super::deparse::{Names, PlanNames, deparse, quote_identifier};
use super::explain_format::{Actual, Part, Relationship, Shown, Value};
use super::logical::{JoinKind, ModifyKind};
use super::node::{Access, Bounds, Equal, Estimate, Key, Node, Operator, TableScan};
use super::{ExplainOptions, Plan, Subquery};
use crate::catalog::Catalog;
use crate::exec::runtime::Counter;
use crate::expr::{ColumnId, Expr, conjunction};
use crate::parse::ast::SetOperator;
use std::collections::HashSet;
use std::sync::Arc;

/// What EXPLAIN shows of a plan. `execution` adds the ANALYZE figures.
pub fn explain(
    plan: &Plan,
    execution: Option<&crate::exec::Execution>,
    options: &ExplainOptions,
    catalog: &Catalog,
) -> Shown {
    let counters = execution.map(|execution| execution.counters());
    let mut relations = HashSet::new();
    count_relations(&plan.root, &mut relations);
    plan.ctes.iter().for_each(|cte| count_relations(&cte.node, &mut relations));
    plan.subqueries.iter().for_each(|query| count_relations(&query.node, &mut relations));
    let mut printer =
        Printer { plan, options, catalog, counters, qualified: relations.len() > 1, shown: HashSet::new() };
    printer.node(&plan.root, &[], &[], None, true)
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
    catalog: &'p Catalog,
    counters: Option<Vec<Counter>>,
    qualified: bool,
    /// Subqueries, each of which is shown once.
    shown: HashSet<usize>,
}

impl<'p> Printer<'p> {
    /// `filters` and `columns`: conditions of Filter nodes above; `outputs`: of a projection above.
    fn node(
        &mut self,
        node: &'p Arc<Node>,
        filters: &[&'p Expr],
        columns: &'p [ColumnId],
        outputs: Option<(&'p [Expr], &'p [ColumnId])>,
        is_root: bool,
    ) -> Shown {
        match &node.operator {
            Operator::Project { input, outputs: own } => {
                let shown_outputs = outputs.or(Some((own, &input.columns)));
                let mut shown = self.node(input, filters, columns, shown_outputs, is_root);
                self.subqueries(own.iter(), &mut shown);
                return shown;
            }
            Operator::Filter { input, conditions } => {
                let own: Vec<&Expr> = conditions.iter().chain(filters.iter().copied()).collect();
                return self.node(input, &own, &input.columns, outputs, is_root);
            }
            Operator::Subquery { input, .. } => return self.node(input, filters, columns, outputs, is_root),
            _ => {}
        }
        let mut shown = Shown {
            title: self.title(node),
            kind: kind(node),
            header: self.header(node),
            estimate: node.estimate,
            actual: self.actual(node),
            parts: Vec::new(),
        };
        if is_root {
            for cte in &self.plan.ctes {
                let label = format!("CTE {}", quote_identifier(&cte.name));
                let query = self.node(&cte.node, &[], &[], None, false);
                shown.parts.push(Part::Sub(Relationship::InitPlan, label, Box::new(query)));
            }
        }
        if self.options.verbose {
            let list = match outputs {
                Some((exprs, over)) => self.each(exprs, over),
                None => {
                    let names = self.names(&node.columns);
                    (0..node.columns.len()).map(|at| names.column(at)).collect()
                }
            };
            if !list.is_empty() {
                shown.parts.push(Part::property("Output", Value::List(list)));
            }
        }
        self.details(node, &mut shown);
        if !filters.is_empty() {
            let conditions: Vec<Expr> = filters.iter().map(|filter| (*filter).clone()).collect();
            self.condition("Filter", conditions, columns, &mut shown);
            self.removed(node, &mut shown);
            self.subqueries(filters.iter().copied(), &mut shown);
        }
        match &node.operator {
            Operator::HashJoin { left, right, .. } => {
                let outer = self.node(left, &[], &[], None, false);
                shown.parts.push(Part::Input(Relationship::Outer, Box::new(outer)));
                let inner = self.node(right, &[], &[], None, false);
                let hash = Shown {
                    title: "Hash".into(),
                    kind: vec![("Node Type", Value::text("Hash"))],
                    header: Vec::new(),
                    estimate: Estimate { startup: right.estimate.startup, ..right.estimate },
                    actual: None,
                    parts: vec![Part::Input(Relationship::Outer, Box::new(inner))],
                };
                shown.parts.push(Part::Input(Relationship::Inner, Box::new(hash)));
            }
            operator => {
                for (at, input) in node.inputs().into_iter().enumerate() {
                    let relationship = match (operator, at) {
                        (Operator::Append { .. }, _) => Relationship::Member,
                        (_, 0) => Relationship::Outer,
                        _ => Relationship::Inner,
                    };
                    let input = self.node(input, &[], &[], None, false);
                    shown.parts.push(Part::Input(relationship, Box::new(input)));
                }
            }
        }
        shown
    }

    fn actual(&self, node: &Node) -> Option<Actual> {
        let counter = self.counters.as_ref()?.get(node.id)?;
        let loops = counter.loops as f64;
        let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
        Some(match counter.loops {
            0 => Actual::default(),
            _ => Actual {
                startup: millis(counter.startup),
                total: millis(counter.total) / loops,
                rows: counter.rows as f64 / loops,
                loops: counter.loops,
            },
        })
    }

    /// What a structured form tells of a node besides its kind.
    fn header(&self, node: &Node) -> Vec<(&'static str, Value)> {
        let mut out: Vec<(&'static str, Value)> = Vec::new();
        let mut relation = |name: &str, schema: Option<u32>, alias: &str| {
            out.push(("Relation Name", Value::text(name)));
            let schema = schema.filter(|_| self.options.verbose);
            if let Some(schema) = schema.and_then(|schema| schema_name(self.catalog, schema)) {
                out.push(("Schema", Value::text(schema)));
            }
            out.push(("Alias", Value::text(alias)));
        };
        match &node.operator {
            Operator::TableScan(scan) => {
                relation(&scan.table.name, Some(scan.table.schema), &scan.alias);
                if let Some(index) = used_index(scan) {
                    let direction = if scan.backward { "Backward" } else { "Forward" };
                    out.insert(0, ("Index Name", Value::text(index)));
                    out.insert(0, ("Scan Direction", Value::text(direction)));
                }
            }
            Operator::System(scan) => relation(scan.relation.name, Some(scan.relation.schema), &scan.alias),
            Operator::Modify { modify, .. } => {
                relation(&modify.table.name, Some(modify.table.schema), &modify.alias);
            }
            Operator::Values(values) if !values.rows.is_empty() => {
                out.push(("Alias", Value::text("*VALUES*")));
            }
            Operator::Function(scan) => {
                if let Some(call) = scan.calls.first() {
                    out.push(("Function Name", Value::text(call.function.name)));
                }
                out.push(("Alias", Value::text(&scan.alias)));
            }
            Operator::Cte { alias, name, .. } => {
                out.push(("CTE Name", Value::text(name)));
                out.push(("Alias", Value::text(alias)));
            }
            Operator::WorkTable { alias, .. } => {
                out.push(("CTE Name", Value::text(alias)));
                out.push(("Alias", Value::text(alias)));
            }
            Operator::HashJoin { join, .. } => {
                out.push(("Join Type", Value::text(join_type(join.kind))));
            }
            Operator::NestedLoop { join, .. } => {
                out.push(("Join Type", Value::text(join_type(join.kind))));
            }
            Operator::SetOperation { operator, all, .. } => {
                let command = set_command(*operator, *all);
                out.push(("Command", Value::text(command)));
            }
            _ => {}
        }
        out
    }

    fn relation(&self, name: &str, schema: u32, alias: &str) -> String {
        let schema = Some(schema).filter(|_| self.options.verbose);
        let shown = match schema.and_then(|schema| schema_name(self.catalog, schema)) {
            Some(schema) => format!("{}.{}", quote_identifier(schema), quote_identifier(name)),
            None => quote_identifier(name),
        };
        match name == alias {
            true => shown,
            false => format!("{shown} {}", quote_identifier(alias)),
        }
    }

    /// Of what is in no schema.
    fn named(&self, name: &str, alias: &str) -> String {
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
                format!(
                    "Seq Scan on {}",
                    self.relation(scan.relation.name, scan.relation.schema, &scan.alias)
                )
            }
            Operator::Values(values) if values.rows.is_empty() => "Result".into(),
            Operator::Values(_) => "Values Scan on \"*VALUES*\"".into(),
            Operator::Function(scan) => {
                let name = scan.calls.first().map_or("", |call| call.function.name);
                format!("Function Scan on {}", self.named(name, &scan.alias))
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
                format!("HashSetOp {}", set_command(*operator, *all))
            }
            Operator::Materialize { .. } => "Materialize".into(),
            Operator::Cte { alias, name, .. } => format!("CTE Scan on {}", self.named(name, alias)),
            Operator::Recursive { .. } => "Recursive Union".into(),
            Operator::WorkTable { alias, .. } => format!("WorkTable Scan on {}", quote_identifier(alias)),
            Operator::LockRows { .. } => "LockRows".into(),
            Operator::Modify { modify, .. } => {
                let relation = self.relation(&modify.table.name, modify.table.schema, &modify.alias);
                format!("{} on {relation}", verb(modify.kind))
            }
            Operator::Filter { .. } | Operator::Project { .. } | Operator::Subquery { .. } => String::new(),
        }
    }

    fn scan_title(&self, scan: &TableScan) -> String {
        let relation = self.relation(&scan.table.name, scan.table.schema, &scan.alias);
        let direction = if scan.backward { " Backward" } else { "" };
        match used_index(scan) {
            Some(index) => {
                format!("Index Scan{direction} using {} on {relation}", quote_identifier(index))
            }
            None if matches!(scan.access, Access::Entries { .. }) => {
                format!("Bitmap Heap Scan on {relation}")
            }
            None => format!("Seq Scan on {relation}"),
        }
    }

    fn names<'n>(&'n self, columns: &'n [ColumnId]) -> PlanNames<'n> {
        PlanNames { plan: self.plan, columns, qualified: self.qualified }
    }

    fn condition(
        &mut self,
        label: &'static str,
        conditions: Vec<Expr>,
        columns: &[ColumnId],
        shown: &mut Shown,
    ) {
        if conditions.is_empty() {
            return;
        }
        let text = deparse(&conjunction(conditions), &self.names(columns));
        // PostgreSQL encloses a condition, unless it has its parentheses already.
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
        let text = if text.starts_with('(') || is_word { text } else { format!("({text})") };
        shown.parts.push(Part::property(label, Value::Text(text)));
    }

    /// A scan's filter is about that scan: its columns need no qualifier.
    fn scan_condition(&mut self, conditions: Vec<Expr>, columns: &[ColumnId], shown: &mut Shown) {
        let qualified = std::mem::replace(&mut self.qualified, self.options.verbose);
        self.condition("Filter", conditions, columns, shown);
        self.qualified = qualified;
    }

    fn removed(&mut self, node: &Node, shown: &mut Shown) {
        if let Some(counter) = self.counters.as_ref().and_then(|counters| counters.get(node.id)) {
            let removed = counter.removed_by_filter;
            let part = Part::counted("Rows Removed by Filter", removed as i64);
            shown.parts.push(part);
        }
    }

    fn keys(&self, keys: &[Key], columns: &[ColumnId]) -> Value {
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
        Value::List(parts)
    }

    fn each(&self, exprs: &[Expr], columns: &[ColumnId]) -> Vec<String> {
        let names = self.names(columns);
        exprs.iter().map(|expr| deparse(expr, &names)).collect()
    }

    fn details(&mut self, node: &'p Node, shown: &mut Shown) {
        match &node.operator {
            Operator::Result { conditions } => {
                self.condition("One-Time Filter", conditions.clone(), &[], shown);
                self.subqueries(conditions.iter(), shown);
            }
            Operator::Values(values) if values.rows.is_empty() => {
                shown.parts.push(Part::property("One-Time Filter", Value::text("false")));
            }
            Operator::TableScan(scan) => {
                if let Access::Index { bounds, .. } = &scan.access {
                    // These are over all of the table's columns.
                    let names = TableScanNames { printer: self, scan };
                    let text = deparse(&conjunction(bounds.conditions.clone()), &names);
                    if !bounds.conditions.is_empty() {
                        shown.parts.push(Part::property("Index Cond", Value::Text(text)));
                    }
                }
                if let Access::Index { index, bounds } = &scan.access {
                    self.subquery_bounds(scan, *index, bounds, shown);
                }
                if let Access::Entries { conditions, .. } = &scan.access {
                    self.rechecked(scan, node, conditions, shown);
                    return;
                }
                self.scan_condition(scan.filter.clone(), &node.columns, shown);
                self.removed(node, shown);
                self.subqueries(scan.filter.iter(), shown);
            }
            Operator::System(scan) => self.scan_condition(scan.filter.clone(), &node.columns, shown),
            Operator::Sort { input, keys, .. } => {
                let keys = self.keys(keys, &input.columns);
                shown.parts.push(Part::property("Sort Key", keys));
            }
            Operator::Aggregate { input, aggregate } if !aggregate.sets.is_empty() => {
                let mut sets = Vec::new();
                for set in &aggregate.sets {
                    let groups: Vec<Expr> = set.iter().map(|at| aggregate.groups[*at].clone()).collect();
                    let keys = self.each(&groups, &input.columns);
                    let line = match keys.is_empty() {
                        true => "Group Key: ()".to_owned(),
                        false => format!("Hash Key: {}", keys.join(", ")),
                    };
                    shown.parts.push(Part::Line(line));
                    sets.push(format!("({})", keys.join(", ")));
                }
                shown.parts.push(Part::Structured("Grouping Sets", Value::List(sets)));
            }
            Operator::Aggregate { input, aggregate } if !aggregate.groups.is_empty() => {
                let keys = self.each(&aggregate.groups, &input.columns);
                shown.parts.push(Part::property("Group Key", Value::List(keys)));
            }
            Operator::Distinct { input, on: None } => {
                let names = self.names(&input.columns);
                let columns: Vec<String> = (0..input.columns.len()).map(|at| names.column(at)).collect();
                shown.parts.push(Part::property("Group Key", Value::List(columns)));
            }
            Operator::HashJoin { left, right, join } => {
                let both: Vec<ColumnId> = left.columns.iter().chain(&right.columns).copied().collect();
                self.condition("Hash Cond", join.conditions.clone(), &both, shown);
                self.condition("Join Filter", join.residual.clone(), &both, shown);
                self.subqueries(join.residual.iter(), shown);
            }
            Operator::NestedLoop { left, right, join } => {
                let both: Vec<ColumnId> = left.columns.iter().chain(&right.columns).copied().collect();
                self.condition("Join Filter", join.conditions.clone(), &both, shown);
                self.subqueries(join.conditions.iter(), shown);
            }
            Operator::Modify { modify, .. } => {
                if let Some(clause) = &modify.on_conflict {
                    let action = if clause.update.is_some() { "UPDATE" } else { "NOTHING" };
                    shown.parts.push(Part::property("Conflict Resolution", Value::text(action)));
                    if let Some(arbiters) = &clause.arbiters {
                        let names: Vec<String> = arbiters
                            .iter()
                            .map(|at| quote_identifier(&modify.table.indexes[*at].name))
                            .collect();
                        shown.parts.push(Part::property("Conflict Arbiter Indexes", Value::List(names)));
                    }
                }
                self.subqueries(modify.assignments.iter().map(|(_, expr)| expr), shown);
            }
            _ => {}
        }
    }

    /// A scan that gathers the keys of its rows from an index's entries before it looks at the rows: what PostgreSQL calls a bitmap scan.
    /// What was searched for is checked again; the rest is a filter.
    fn rechecked(&mut self, scan: &TableScan, node: &'p Node, conditions: &[Expr], shown: &mut Shown) {
        let names = TableScanNames { printer: self, scan };
        let texts: Vec<String> = conditions.iter().map(|condition| deparse(condition, &names)).collect();
        let searched = deparse(&conjunction(conditions.to_vec()), &names);
        shown.parts.push(Part::property("Recheck Cond", Value::Text(searched.clone())));
        let columns = self.names(&node.columns);
        let is_searched = |condition: &Expr| texts.contains(&deparse(condition, &columns));
        let rest: Vec<Expr> =
            scan.filter.iter().filter(|condition| !is_searched(condition)).cloned().collect();
        self.scan_condition(rest, &node.columns, shown);
        if let Some(counter) = self.counters.as_ref().and_then(|counters| counters.get(node.id)) {
            let removed = counter.removed_by_filter;
            shown.parts.push(Part::counted("Rows Removed by Index Recheck", removed as i64));
        }
        self.subqueries(scan.filter.iter(), shown);
        let Access::Entries { index, .. } = &scan.access else { return };
        let name = &scan.table.indexes[*index].name;
        let cond = Part::property("Index Cond", Value::Text(searched));
        let below = Shown {
            title: format!("Bitmap Index Scan on {}", quote_identifier(name)),
            kind: vec![("Node Type", Value::text("Bitmap Index Scan"))],
            header: vec![("Index Name", Value::text(name))],
            estimate: Estimate { startup: 0.0, total: node.estimate.startup, width: 0.0, ..node.estimate },
            actual: None,
            parts: vec![cond],
        };
        shown.parts.push(Part::Input(Relationship::Outer, Box::new(below)));
    }

    /// Bounds by a subquery's value are not among the conditions kept for show.
    fn subquery_bounds(&mut self, scan: &TableScan, index: usize, bounds: &Bounds, shown: &mut Shown) {
        for (equal, key) in bounds.equal.iter().zip(&scan.table.indexes[index].keys) {
            let (Equal::Value(value), Some(column)) = (equal, key.column) else { continue };
            if value.has_subquery() {
                let names = TableScanNames { printer: self, scan };
                let text = format!("({} = {})", names.column(column), deparse(value, &names));
                shown.parts.push(Part::property("Index Cond", Value::Text(text)));
                self.subqueries(std::iter::once(value), shown);
            }
        }
    }

    /// Plans of the subqueries that expressions hold, each once.
    fn subqueries<'e>(&mut self, exprs: impl Iterator<Item = &'e Expr>, shown: &mut Shown) {
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
            let (relationship, label) = match query.is_constant && !matches!(query.kind, Any | All) {
                true => (Relationship::InitPlan, format!("InitPlan {number} (returns ${})", number - 1)),
                false => (Relationship::SubPlan, format!("SubPlan {number}")),
            };
            let plan = self.plan;
            if let Some(query) = plan.subqueries.get(query.index) {
                let query = self.node(&query.node, &[], &[], None, false);
                shown.parts.push(Part::Sub(relationship, label, Box::new(query)));
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
        match self.printer.options.verbose {
            true => format!("{}.{}", quote_identifier(&self.scan.alias), quote_identifier(column)),
            false => quote_identifier(column),
        }
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

fn join_type(kind: JoinKind) -> &'static str {
    if kind == JoinKind::Inner { "Inner" } else { kind_word(kind) }
}

fn verb(kind: ModifyKind) -> &'static str {
    match kind {
        ModifyKind::Insert => "Insert",
        ModifyKind::Update => "Update",
        ModifyKind::Delete => "Delete",
        ModifyKind::Merge => "Merge",
    }
}

fn set_command(operator: SetOperator, all: bool) -> &'static str {
    match (operator, all) {
        (SetOperator::Intersect, false) => "Intersect",
        (SetOperator::Intersect, true) => "Intersect All",
        (SetOperator::Except, false) => "Except",
        (SetOperator::Except, true) => "Except All",
        (SetOperator::Union, false) => "Union",
        (SetOperator::Union, true) => "Union All",
    }
}

/// The index that a scan goes by.
fn used_index(scan: &TableScan) -> Option<&str> {
    let index = match &scan.access {
        Access::Index { index, .. } => Some(&scan.table.indexes[*index]),
        Access::Full if scan.backward => scan.table.indexes.iter().find(|index| index.clustered),
        Access::Full | Access::Entries { .. } => None,
    };
    index.map(|index| index.name.as_str())
}

/// "Node Type" and what belongs to it.
fn kind(node: &Node) -> Vec<(&'static str, Value)> {
    let aggregate = |strategy| {
        vec![
            ("Node Type", Value::text("Aggregate")),
            ("Strategy", Value::text(strategy)),
            ("Partial Mode", Value::text("Simple")),
        ]
    };
    let name = match &node.operator {
        Operator::Result { .. } => "Result",
        Operator::TableScan(scan) if used_index(scan).is_some() => "Index Scan",
        Operator::TableScan(scan) if matches!(scan.access, Access::Entries { .. }) => "Bitmap Heap Scan",
        Operator::TableScan(_) | Operator::System(_) => "Seq Scan",
        Operator::Values(values) if values.rows.is_empty() => "Result",
        Operator::Values(_) => "Values Scan",
        Operator::Function(_) => "Function Scan",
        Operator::ProjectSet { .. } => "ProjectSet",
        Operator::Limit { .. } => "Limit",
        Operator::Sort { .. } => "Sort",
        Operator::Aggregate { aggregate: of, .. } => {
            let mixed = of.sets.len() > 1 && of.sets.iter().any(Vec::is_empty);
            return aggregate(match of.groups.is_empty() {
                _ if mixed => "Mixed",
                true => "Plain",
                false => "Hashed",
            });
        }
        Operator::Distinct { on: None, .. } => return aggregate("Hashed"),
        Operator::Distinct { .. } => "Unique",
        Operator::Window { .. } => "WindowAgg",
        Operator::HashJoin { .. } => "Hash Join",
        Operator::NestedLoop { .. } => "Nested Loop",
        Operator::Append { .. } => "Append",
        Operator::SetOperation { .. } => {
            return vec![("Node Type", Value::text("SetOp")), ("Strategy", Value::text("Hashed"))];
        }
        Operator::Materialize { .. } => "Materialize",
        Operator::Cte { .. } => "CTE Scan",
        Operator::Recursive { .. } => "Recursive Union",
        Operator::WorkTable { .. } => "WorkTable Scan",
        Operator::LockRows { .. } => "LockRows",
        Operator::Modify { modify, .. } => {
            let operation = Value::text(verb(modify.kind));
            return vec![("Node Type", Value::text("ModifyTable")), ("Operation", operation)];
        }
        Operator::Filter { .. } | Operator::Project { .. } | Operator::Subquery { .. } => "Result",
    };
    vec![("Node Type", Value::text(name))]
}

fn schema_name(catalog: &Catalog, schema: u32) -> Option<&str> {
    match schema {
        crate::catalog::PG_CATALOG => Some("pg_catalog"),
        crate::catalog::INFORMATION_SCHEMA => Some("information_schema"),
        schema => catalog.schema(schema).map(|schema| schema.name.as_str()),
    }
}
