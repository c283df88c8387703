//! A table with children in FROM: which tables it stands for, and which of its partitions the conditions leave (`table/partition.rs`
//! says how partitions are told by tests on the key; here the tests are taken from conditions).
//!
//! The children's scans have the parent's column ids at the places where they have the parent's columns. So conditions, joins and
//! whatever else reads the parent's columns need not be rewritten for a child.

use super::PlanContext;
use super::access::{self, Target};
use super::cost::Comparison;
use super::logical::Scan;
use super::node::Equal;
use crate::catalog::{Persistence, Table};
use crate::error::Result;
use crate::exec::scan::{KeyValue, key_value};
use crate::expr::{ColumnSet, Expr, conjuncts};
use crate::table::KeySource;
use crate::table::partition::{KeyTest, Routing, encode_value, place, places};
use crate::types::{Datum, Oid, Type};
use std::sync::Arc;

/// What a scan of a table with children consists of.
pub struct Expanded {
    /// In the order of bounds, under the aliases that EXPLAIN shows.
    pub scans: Vec<Scan>,
    pub steps: Vec<Step>,
    /// Every table that was looked at, itself aside.
    pub tables: Vec<Oid>,
}

/// Pruning that waits for values. One for each partitioned table on the way down.
pub struct Step {
    pub routing: Arc<Routing>,
    pub prune: Prune,
    /// By the routing's children: the inputs of the Append that are below.
    pub inputs: Vec<Vec<usize>>,
}

/// Tests on a partition key, all of which a row has to pass.
#[derive(Clone, Default)]
pub struct Prune {
    /// By position in the key.
    tests: Vec<(usize, Test)>,
    /// Of each, one.
    any_of: Vec<Vec<Prune>>,
}

#[derive(Clone)]
enum Test {
    Equal(Equal),
    Range(Comparison, Expr),
    NotNull,
    /// None of these; one that is null lets no row through.
    Unequal(Vec<Expr>),
}

impl Prune {
    fn of(targets: &[Target], conditions: &[Expr], own: &ColumnSet) -> Prune {
        let mut prune = Prune::default();
        for condition in conditions {
            prune.add(condition, targets, own);
        }
        prune
    }

    fn add(&mut self, condition: &Expr, targets: &[Target], own: &ColumnSet) {
        match condition {
            Expr::And(parts) => parts.iter().for_each(|part| self.add(part, targets, own)),
            Expr::Or(parts) => {
                let mut alternatives = Vec::with_capacity(parts.len());
                for part in parts {
                    let mut conditions = Vec::new();
                    conjuncts(part.clone(), &mut conditions);
                    let alternative = Prune::of(targets, &conditions, own);
                    if alternative.is_empty() {
                        return;
                    }
                    alternatives.push(alternative);
                }
                self.any_of.push(alternatives);
            }
            condition if condition.has_subquery() => {}
            condition => {
                for (at, target) in targets.iter().enumerate() {
                    if let Some(test) = test(condition, target, own) {
                        self.tests.push((at, test));
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.any_of.is_empty()
    }

    /// Calls `visit` on the values that rows are compared with.
    pub fn values_mut(&mut self, visit: &mut dyn FnMut(&mut Expr) -> Result<()>) -> Result<()> {
        for (_, test) in &mut self.tests {
            match test {
                Test::Equal(Equal::Value(expr) | Equal::Array(expr)) | Test::Range(_, expr) => visit(expr)?,
                Test::Equal(Equal::Values(exprs)) | Test::Unequal(exprs) => {
                    exprs.iter_mut().try_for_each(&mut *visit)?
                }
                Test::Equal(Equal::Null) | Test::NotNull => {}
            }
        }
        self.any_of.iter_mut().flatten().try_for_each(|prune| prune.values_mut(visit))
    }

    /// Which partitions remain. `value` answers None for what is not known yet.
    pub fn select(
        &self,
        routing: &Routing,
        value: &mut dyn FnMut(&Expr) -> Result<Option<Datum>>,
    ) -> Result<Vec<bool>> {
        let mut tests = Vec::with_capacity(self.tests.len());
        for (key, test) in &self.tests {
            let data_type = routing.keys[*key].data_type;
            match test {
                Test::Unequal(exprs) => {
                    tests.push((*key, KeyTest::NotNull));
                    for expr in exprs {
                        tests.extend(match value(expr)? {
                            None => None,
                            Some(Datum::Null) => Some((*key, KeyTest::Never)),
                            Some(found) => match key_value(found, data_type) {
                                KeyValue::Value(found) => {
                                    Some((*key, KeyTest::Unequal(encode_value(&found, data_type))))
                                }
                                _ => None,
                            },
                        });
                    }
                }
                test => tests.extend(test.known(data_type, value)?.map(|known| (*key, known))),
            }
        }
        let mut alive = routing.select(&tests);
        for alternatives in &self.any_of {
            let mut some = vec![false; alive.len()];
            for prune in alternatives {
                let selected = prune.select(routing, value)?;
                some.iter_mut().zip(selected).for_each(|(some, selected)| *some |= selected);
            }
            alive.iter_mut().zip(some).for_each(|(alive, some)| *alive &= some);
        }
        Ok(alive)
    }
}

fn test(condition: &Expr, target: &Target, own: &ColumnSet) -> Option<Test> {
    if let Some(equal) = access::equality(condition, target, own) {
        return Some(Test::Equal(equal));
    }
    match condition {
        Expr::IsNull { operand, negated: true } if target.is(operand) => Some(Test::NotNull),
        // A boolean partition key by itself.
        expr if target.data_type() == Type::BOOL && target.is(expr) => {
            Some(Test::Equal(Equal::Value(Expr::bool(true))))
        }
        Expr::Not(operand) if target.data_type() == Type::BOOL && target.is(operand) => {
            Some(Test::Equal(Equal::Value(Expr::bool(false))))
        }
        Expr::IsBool { operand, value: Some(value), negated: false } if target.is(operand) => {
            Some(Test::Equal(Equal::Value(Expr::bool(*value))))
        }
        // As NOT IN.
        Expr::InSet { operand, set, negated: true }
            if target.is(operand) && target.data_type() == set.data_type =>
        {
            let value = |value: &Datum| Expr::Constant { value: value.clone(), data_type: set.data_type };
            Some(Test::Unequal(set.values.iter().map(value).collect()))
        }
        Expr::Quantified { comparison, operand, list, array: false, all: true }
            if target.is(operand)
                && Comparison::of(comparison) == Some(Comparison::NotEqual)
                && list.iter().all(Expr::is_constant) =>
        {
            Some(Test::Unequal(list.clone()))
        }
        _ => match access::range(condition, target, own)? {
            (Comparison::NotEqual, value) => Some(Test::Unequal(vec![value])),
            (comparison, value) => Some(Test::Range(comparison, value)),
        },
    }
}

impl Test {
    fn known(
        &self,
        data_type: Type,
        value: &mut dyn FnMut(&Expr) -> Result<Option<Datum>>,
    ) -> Result<Option<KeyTest>> {
        let in_range = |found: Datum| match key_value(found, data_type) {
            KeyValue::Value(found) => Some(found),
            _ => None,
        };
        Ok(match self {
            Test::NotNull | Test::Unequal(_) => Some(KeyTest::NotNull),
            Test::Equal(Equal::Null) => Some(KeyTest::Null),
            Test::Equal(Equal::Value(expr)) => value(expr)?
                .map(|found| in_range(found).map_or(KeyTest::Never, |found| KeyTest::Among(vec![found]))),
            Test::Equal(Equal::Values(exprs)) => {
                let mut list = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    match value(expr)? {
                        None => return Ok(None),
                        Some(found) => list.extend(in_range(found)),
                    }
                }
                Some(if list.is_empty() { KeyTest::Never } else { KeyTest::Among(list) })
            }
            Test::Equal(Equal::Array(expr)) => match value(expr)? {
                None => None,
                Some(Datum::Array(array)) => {
                    let list: Vec<Datum> = array.elements.iter().cloned().filter_map(in_range).collect();
                    Some(if list.is_empty() { KeyTest::Never } else { KeyTest::Among(list) })
                }
                Some(_) => Some(KeyTest::Never),
            },
            Test::Range(comparison, expr) => {
                let Some(found) = value(expr)? else { return Ok(None) };
                let upwards = matches!(comparison, Comparison::Greater | Comparison::GreaterEqual);
                let inclusive = matches!(comparison, Comparison::GreaterEqual | Comparison::LessEqual);
                Some(match key_value(found, data_type) {
                    KeyValue::Null => KeyTest::Never,
                    KeyValue::Value(found) if upwards => {
                        KeyTest::Above(encode_value(&found, data_type), inclusive)
                    }
                    KeyValue::Value(found) => KeyTest::Below(encode_value(&found, data_type), inclusive),
                    KeyValue::Above if upwards => KeyTest::Never,
                    KeyValue::Below if !upwards => KeyTest::Never,
                    KeyValue::Above | KeyValue::Below => KeyTest::NotNull,
                })
            }
        })
    }
}

/// The tables that the scan stands for and that the conditions' constants leave.
pub fn expand(scan: &Scan, conditions: &[Expr], context: &PlanContext<'_>) -> Result<Expanded> {
    let mut expanded = Expanded { scans: Vec::new(), steps: Vec::new(), tables: Vec::new() };
    let own: ColumnSet = scan.columns.iter().copied().collect();
    let mut walk = Walk { scan, conditions, own, context, out: &mut expanded, aliases: 0 };
    match scan.table.is_partitioned() {
        true => {
            walk.partitions(&scan.table)?;
        }
        false => {
            walk.push(&scan.table);
            for child in context.catalog.descendants(&scan.table) {
                // Other sessions' temporary tables are not there.
                let schema = context.catalog.schema(child.schema).map_or("", |schema| &schema.name);
                if child.persistence == Persistence::Temporary
                    && !context.search_path.iter().any(|known| known == schema)
                {
                    continue;
                }
                walk.out.tables.push(child.oid);
                walk.push(&child);
            }
        }
    }
    if let [only] = expanded.scans.as_mut_slice() {
        // PostgreSQL leaves the Append out, and the child has the parent's name.
        only.alias = scan.alias.clone();
    }
    Ok(expanded)
}

struct Walk<'w> {
    scan: &'w Scan,
    conditions: &'w [Expr],
    own: ColumnSet,
    context: &'w PlanContext<'w>,
    out: &'w mut Expanded,
    aliases: usize,
}

impl Walk<'_> {
    fn push(&mut self, child: &Arc<Table>) {
        self.aliases += 1;
        let map = places(child, &self.scan.table);
        let spare = self.scan.children.unwrap_or_default();
        let id = |at: usize| match place(&map, at) {
            Some(place) => self.scan.columns.get(place).copied().unwrap_or(spare),
            None => spare,
        };
        let columns = (0..child.columns.len()).map(id).collect();
        let alias = format!("{}_{}", self.scan.alias, self.aliases).into();
        self.out.scans.push(Scan {
            table: child.clone(),
            alias,
            columns,
            children: None,
            ..self.scan.clone()
        });
    }

    /// Answers which scans it has added.
    fn partitions(&mut self, table: &Arc<Table>) -> Result<std::ops::Range<usize>> {
        let first = self.out.scans.len();
        let routing = Routing::get(table, self.context.catalog, self.context.eval)?;
        let map = places(table, &self.scan.table);
        let column = |at: usize| place(&map, at).and_then(|place| self.scan.columns.get(place)).copied();
        let mut targets = Vec::with_capacity(routing.keys.len());
        for key in &routing.keys {
            targets.push(match &key.source {
                KeySource::Column(at) => {
                    Target::Column(column(*at).unwrap_or_default(), key.data_type, false)
                }
                KeySource::Expression(expr) => {
                    let mut expr = expr.clone();
                    expr.rewrite(&mut |part| match part {
                        Expr::Column { index, data_type } => Some(Expr::Column {
                            index: column(*index).unwrap_or_default(),
                            data_type: *data_type,
                        }),
                        _ => None,
                    });
                    Target::Expression(super::fold_expression(expr, self.context))
                }
            });
        }
        let prune = Prune::of(&targets, self.conditions, &self.own);
        let mut waits = false;
        let alive = prune.select(&routing, &mut |expr| {
            Ok(match expr {
                Expr::Constant { value, .. } => Some(value.clone()),
                _ => {
                    waits = true;
                    None
                }
            })
        })?;
        let at = self.out.steps.len();
        if waits {
            self.out.steps.push(Step { routing: routing.clone(), prune, inputs: Vec::new() });
        }
        let mut inputs = vec![Vec::new(); routing.children.len()];
        for (child, oid) in routing.children.iter().enumerate() {
            if !alive[child] {
                continue;
            }
            let Some(partition) = self.context.catalog.table(*oid) else { continue };
            self.out.tables.push(*oid);
            if partition.is_partitioned() {
                self.aliases += 1;
                inputs[child] = self.partitions(&partition)?.collect();
            } else {
                inputs[child].push(self.out.scans.len());
                self.push(&partition);
            }
        }
        if waits {
            self.out.steps[at].inputs = inputs;
        }
        Ok(first..self.out.scans.len())
    }
}
