//! Join order and methods.
//!
//! A block of inner joins is taken apart into its relations and conditions. Up to [`EXHAUSTIVE_MAX`] relations, the cheapest tree is
//! found by dynamic programming over subsets (Selinger), bushy trees included; beyond, by joining greedily the pair that yields the
//! fewest rows. For each pair: hash join (either side as the table that is built), index nested loop where the inner side is one
//! table with an index on the join columns, nested loop over a materialised inner side. A relation that reads columns of another
//! (LATERAL) can only be the inner side of a nested loop that is run again for every row.

use super::access::{self, Request};
use super::cost::{self, Knowledge};
use super::fold::is_equality;
use super::logical::{JoinKind, Logical};
use super::node::{Estimate, Node};
use super::physical::Planner;
use crate::error::Result;
use crate::expr::{ColumnSet, Expr};
use std::collections::HashMap;
use std::sync::Arc;

const EXHAUSTIVE_MAX: usize = 9;

pub struct Relation {
    pub plan: Logical,
    pub output: ColumnSet,
    /// Columns of other relations of the block that it reads.
    pub depends: ColumnSet,
    pub rows: f64,
    pub cost: f64,
}

/// Flattens a tree of inner joins.
pub fn flatten(plan: Logical, relations: &mut Vec<Logical>, conditions: &mut Vec<Expr>) {
    match plan {
        Logical::Join { kind: JoinKind::Inner, left, right, conditions: on } => {
            flatten(*left, relations, conditions);
            flatten(*right, relations, conditions);
            conditions.extend(on);
        }
        other => relations.push(other),
    }
}

/// A tree of inner joins of these relations, in any shape: it is to be flattened again.
pub fn unflatten(relations: Vec<Logical>, conditions: Vec<Expr>) -> Logical {
    let join = |left, right, conditions| Logical::Join {
        kind: JoinKind::Inner,
        left: Box::new(left),
        right: Box::new(right),
        conditions,
    };
    let mut tree = relations.into_iter().reduce(|left, right| join(left, right, Vec::new()));
    if let Some(Logical::Join { conditions: on, .. }) = &mut tree {
        *on = conditions;
    }
    tree.expect("a block has relations")
}

#[derive(Clone)]
enum Tree {
    Leaf(usize),
    Join { method: Method, left: Arc<Candidate>, right: Arc<Candidate> },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Hash,
    /// The inner side is kept.
    Loop,
    /// The inner side is run for every outer row, with its columns in slots.
    Rescan,
}

#[derive(Clone)]
struct Candidate {
    set: u64,
    tree: Tree,
    rows: f64,
    cost: f64,
}

struct Search<'s> {
    relations: &'s [Relation],
    conditions: &'s [(Expr, u64)],
    knowledge: &'s Knowledge,
    planner: &'s Planner<'s>,
}

/// Plans a block of inner joins.
pub fn plan_block(
    planner: &mut Planner<'_>,
    plans: Vec<Logical>,
    conditions: Vec<Expr>,
    required: &ColumnSet,
) -> Result<Arc<Node>> {
    let outputs: Vec<ColumnSet> = plans.iter().map(Logical::output_set).collect();
    let mut all = ColumnSet::new();
    outputs.iter().for_each(|output| all.extend(output));
    let mut relations = Vec::with_capacity(plans.len());
    for (plan, output) in plans.into_iter().zip(outputs) {
        let mut depends = ColumnSet::new();
        for id in plan.free_columns().iter().filter(|id| all.contains(*id)) {
            depends.insert(id);
        }
        let estimate = planner.estimate(&plan)?;
        relations.push(Relation { plan, output, depends, rows: estimate.rows, cost: estimate.total });
    }
    let masks: Vec<(Expr, u64)> = conditions
        .into_iter()
        .map(|condition| {
            let used = cost::columns(&condition);
            let mask = relations
                .iter()
                .enumerate()
                .filter(|(_, relation)| used.intersects(&relation.output))
                .fold(0, |mask, (at, _)| mask | 1 << at);
            (condition, mask)
        })
        .collect();
    let best = {
        let knowledge = std::mem::take(&mut planner.knowledge);
        let search = Search { relations: &relations, conditions: &masks, knowledge: &knowledge, planner };
        let best = match relations.len() <= EXHAUSTIVE_MAX {
            true => search.exhaustive(),
            false => search.greedy(),
        };
        planner.knowledge = knowledge;
        best
    };
    let mut plans: Vec<Option<Logical>> = relations.into_iter().map(|relation| Some(relation.plan)).collect();
    let mut pending: Vec<(Option<Expr>, u64)> =
        masks.into_iter().map(|(expr, mask)| (Some(expr), mask)).collect();
    build(planner, &best, &mut plans, &mut pending, required)
}

impl Search<'_> {
    fn leaf(&self, at: usize) -> Candidate {
        let relation = &self.relations[at];
        Candidate { set: 1 << at, tree: Tree::Leaf(at), rows: relation.rows, cost: relation.cost }
    }

    /// Columns that the relations of a set read of relations outside of it.
    fn missing(&self, set: u64) -> bool {
        let inside = |at: &usize| set >> at & 1 == 1;
        (0..self.relations.len()).filter(inside).any(|at| {
            let depends = &self.relations[at].depends;
            (0..self.relations.len())
                .filter(|other| !inside(other))
                .any(|other| depends.intersects(&self.relations[other].output))
        })
    }

    fn join(&self, left: &Arc<Candidate>, right: &Arc<Candidate>) -> Option<Candidate> {
        let set = left.set | right.set;
        let lateral = self.missing(right.set);
        if self.missing(left.set) || (lateral && (right.set.count_ones() != 1 || self.missing(set))) {
            return None;
        }
        let here: Vec<&Expr> = self
            .conditions
            .iter()
            .filter(|(_, mask)| mask & !set == 0 && mask & left.set != 0 && mask & right.set != 0)
            .map(|(expr, _)| expr)
            .collect();
        let selectivity: f64 = here
            .iter()
            .map(|condition| self.knowledge.selectivity_of_all(std::slice::from_ref(*condition)))
            .product();
        let rows = (left.rows * right.rows * selectivity).max(1.0);
        let settings = &self.planner.context.settings;
        let produce = rows * cost::ROW;
        let mut options: Vec<(Method, f64)> = Vec::with_capacity(3);
        let loop_penalty = if settings.enable_nested_loop { 0.0 } else { 1e9 };
        if !lateral {
            let conditions = here.len().max(1) as f64;
            options.push((
                Method::Loop,
                loop_penalty
                    + left.cost
                    + right.cost
                    + left.rows * right.rows * cost::OPERATOR * conditions
                    + produce,
            ));
            let hashable = here.iter().any(|condition| {
                split_equality(condition, &self.outputs(left.set), &self.outputs(right.set)).is_some()
            });
            if hashable {
                let penalty = if settings.enable_hash_join { 0.0 } else { 1e9 };
                options.push((
                    Method::Hash,
                    penalty
                        + left.cost
                        + right.cost
                        + right.rows * cost::HASH_BUILD
                        + left.rows * cost::HASH_PROBE
                        + produce,
                ));
            }
        }
        if lateral {
            options.push((Method::Rescan, loop_penalty + left.cost + left.rows * right.cost + produce));
        } else if let Tree::Leaf(at) = right.tree
            && let Some(each) = self.parameterised(at, &here)
        {
            options.push((Method::Rescan, loop_penalty + left.cost + left.rows * each + produce));
        }
        let (method, cost) = options.into_iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Candidate {
            set,
            tree: Tree::Join { method, left: left.clone(), right: right.clone() },
            rows,
            cost,
        })
    }

    fn outputs(&self, set: u64) -> ColumnSet {
        let mut out = ColumnSet::new();
        (0..self.relations.len())
            .filter(|at| set >> at & 1 == 1)
            .for_each(|at| out.extend(&self.relations[at].output));
        out
    }

    /// The cost of one look-up in a table by the join conditions, if an index serves them.
    fn parameterised(&self, at: usize, conditions: &[&Expr]) -> Option<f64> {
        let (scan, own) = Planner::as_scan(&self.relations[at].plan)?;
        let mut all: Vec<Expr> = own.to_vec();
        let first = all.len();
        all.extend(conditions.iter().map(|condition| (*condition).clone()));
        let request = Request { scan, conditions: &all, order: None, limit: None };
        let path = access::best(&request, self.knowledge, self.planner.context);
        let uses_join = path.used.iter().any(|used| *used >= first);
        (path.index.is_some() && uses_join).then_some(path.total)
    }

    fn exhaustive(&self) -> Candidate {
        let count = self.relations.len();
        let mut best: HashMap<u64, Arc<Candidate>> = HashMap::new();
        for at in 0..count {
            best.insert(1 << at, Arc::new(self.leaf(at)));
        }
        let full: u64 = (1 << count) - 1;
        for set in 1..=full {
            if set.count_ones() < 2 {
                continue;
            }
            // Cross products only where nothing connects the set.
            for connected in [true, false] {
                let mut found: Option<Candidate> = None;
                let mut left = (set - 1) & set;
                while left != 0 {
                    let right = set & !left;
                    if let (Some(l), Some(r)) = (best.get(&left), best.get(&right))
                        && (!connected || self.connects(left, right))
                        && let Some(candidate) = self.join(l, r)
                        && found.as_ref().is_none_or(|known| candidate.cost < known.cost)
                    {
                        found = Some(candidate);
                    }
                    left = (left - 1) & set;
                }
                if let Some(found) = found {
                    best.insert(set, Arc::new(found));
                    break;
                }
            }
        }
        let whole =
            best.remove(&full).expect("some order always works: dependencies point to earlier relations");
        Arc::unwrap_or_clone(whole)
    }

    fn connects(&self, left: u64, right: u64) -> bool {
        self.conditions.iter().any(|(_, mask)| mask & left != 0 && mask & right != 0) || self.missing(right)
    }

    fn greedy(&self) -> Candidate {
        let mut parts: Vec<Arc<Candidate>> =
            (0..self.relations.len()).map(|at| Arc::new(self.leaf(at))).collect();
        while parts.len() > 1 {
            let mut found: Option<(bool, Candidate, usize, usize)> = None;
            for i in 0..parts.len() {
                for j in 0..parts.len() {
                    if i == j {
                        continue;
                    }
                    let Some(candidate) = self.join(&parts[i], &parts[j]) else { continue };
                    let connected = self.connects(parts[i].set, parts[j].set);
                    let better = found.as_ref().is_none_or(|(was, known, ..)| {
                        (connected, -candidate.rows, -candidate.cost) > (*was, -known.rows, -known.cost)
                    });
                    if better {
                        found = Some((connected, candidate, i, j));
                    }
                }
            }
            let (_, candidate, i, j) =
                found.expect("some order always works: dependencies point to earlier relations");
            parts.remove(i.max(j));
            parts.remove(i.min(j));
            parts.push(Arc::new(candidate));
        }
        Arc::unwrap_or_clone(parts.pop().expect("one is left"))
    }
}

fn build(
    planner: &mut Planner<'_>,
    candidate: &Candidate,
    plans: &mut Vec<Option<Logical>>,
    pending: &mut Vec<(Option<Expr>, u64)>,
    required: &ColumnSet,
) -> Result<Arc<Node>> {
    match &candidate.tree {
        Tree::Leaf(at) => {
            let plan = plans[*at].take().expect("each relation is planned once");
            planner.plan(plan, required)
        }
        Tree::Join { method, left, right } => {
            let mut here = Vec::new();
            for (condition, mask) in pending.iter_mut() {
                let inside = *mask & !candidate.set == 0;
                let spans = *mask & left.set != 0 && *mask & right.set != 0;
                if inside
                    && spans
                    && let Some(condition) = condition.take()
                {
                    here.push(condition);
                }
            }
            let mut below = required.clone();
            for (condition, _) in pending.iter() {
                condition.iter().for_each(|condition| condition.columns(&mut below));
            }
            here.iter().for_each(|condition| condition.columns(&mut below));
            // What lateral relations on the right read.
            for plan in plans.iter().flatten() {
                below.extend(&plan.free_columns());
            }
            let left_node = build(planner, left, plans, pending, &below)?;
            let rows = Estimate { rows: candidate.rows, startup: 0.0, total: candidate.cost, width: 0.0 };
            if *method == Method::Rescan
                && let Tree::Leaf(at) = &right.tree
            {
                let plan = plans[*at].take().expect("each relation is planned once");
                return planner.rescan_join(JoinKind::Inner, left_node, plan, here, &below, Some(rows));
            }
            let right_node = build(planner, right, plans, pending, &below)?;
            planner.join_nodes(JoinKind::Inner, *method, left_node, right_node, here, Some(rows))
        }
    }
}

/// `a = b` with `a` from the one side and `b` from the other: (left key, right key).
pub fn split_equality(condition: &Expr, left: &ColumnSet, right: &ColumnSet) -> Option<(Expr, Expr)> {
    let Expr::Call { function, arguments, .. } = condition else { return None };
    if condition.has_subquery() || condition.is_volatile() {
        return None;
    }
    let [a, b] = arguments.as_slice() else { return None };
    if !is_equality(function) {
        return widened(function, a, b, left, right);
    }
    sides(a, b, left, right)
}

fn sides(a: &Expr, b: &Expr, left: &ColumnSet, right: &ColumnSet) -> Option<(Expr, Expr)> {
    let (in_a, in_b) = (cost::columns(a), cost::columns(b));
    let only = |used: &ColumnSet, side: &ColumnSet, other: &ColumnSet| {
        used.intersects(side) && !used.intersects(other)
    };
    if only(&in_a, left, right) && only(&in_b, right, left) {
        Some((a.clone(), b.clone()))
    } else if only(&in_b, left, right) && only(&in_a, right, left) {
        Some((b.clone(), a.clone()))
    } else {
        None
    }
}

/// Integers of different widths are compared as the widest.
fn widened(
    function: &'static crate::functions::Function,
    a: &Expr,
    b: &Expr,
    left: &ColumnSet,
    right: &ColumnSet,
) -> Option<(Expr, Expr)> {
    use crate::types::Type;
    if cost::Comparison::of(function) != Some(cost::Comparison::Equal)
        || !access::is_integer(a.data_type())
        || !access::is_integer(b.data_type())
    {
        return None;
    }
    let widen = |expr: Expr| {
        let from = expr.data_type();
        if from == Type::INT8 {
            return Some(expr);
        }
        let method = crate::functions::find_cast(from, Type::INT8, crate::functions::CastContext::Implicit)?;
        Some(Expr::Cast { operand: Box::new(expr), method, to: Type::INT8, modifier: -1, explicit: false })
    };
    let (l, r) = sides(a, b, left, right)?;
    Some((widen(l)?, widen(r)?))
}
