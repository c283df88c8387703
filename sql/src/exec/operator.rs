//! What an operator is while it runs, and how one is made from a plan node.

use super::rescan_join::RescanJoin;
use super::runtime::Runtime;
use super::{aggregate, basic, cte, function, join, lock, modify, scan, set, sort, window};
use crate::column::Batch;
use crate::error::Result;
use crate::plan::{Node, Operator};
use std::sync::Arc;

/// A running operator.
pub trait Execute: Send {
    /// The next rows: None at the end; an empty batch means "call again". `max` is how many the caller can use now; more are
    /// allowed, except where each row has an effect (locks, writes).
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>>;
    /// Starts over, with the slots' values as they are now.
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()>;
}

pub type Executor = Box<dyn Execute>;

pub fn build(node: &Arc<Node>, rt: &Runtime<'_>) -> Executor {
    let child = |node: &Arc<Node>| build(node, rt);
    let executor: Executor = match &node.operator {
        Operator::Result { conditions } => Box::new(basic::OneRow::new(conditions.clone())),
        Operator::TableScan(scan) => Box::new(scan::TableScan::new(scan.clone(), node.id)),
        Operator::System(scan) => Box::new(scan::SystemScan::new(scan.clone(), node.types.clone())),
        Operator::Values(values) => Box::new(basic::Values::new(values.clone(), node.types.clone())),
        Operator::Function(call) => Box::new(function::FunctionScan::new(call.clone(), node.types.clone())),
        Operator::Filter { input, conditions } => {
            Box::new(basic::Filter::new(child(input), conditions.clone(), node.id))
        }
        Operator::Project { input, outputs } => Box::new(basic::Project::new(child(input), outputs.clone())),
        Operator::ProjectSet { input, calls } => {
            Box::new(function::ProjectSet::new(child(input), calls.clone(), node.types.clone()))
        }
        Operator::Limit { input, limit } => Box::new(basic::Limit::new(child(input), limit.clone())),
        Operator::Sort { input, keys, top } => {
            Box::new(sort::Sort::new(child(input), keys.clone(), top.clone(), input.types.clone()))
        }
        Operator::Aggregate { input, aggregate } => {
            let (types, input_types) = (node.types.clone(), input.types.clone());
            Box::new(aggregate::HashAggregate::new(child(input), aggregate.clone(), types, input_types))
        }
        Operator::Window { input, calls } => Box::new(window::Window::new(child(input), calls, &input.types)),
        Operator::Distinct { input, on } => {
            Box::new(set::Distinct::new(child(input), on.clone(), node.types.clone()))
        }
        Operator::HashJoin { left, right, join } => Box::new(join::HashJoin::new(
            child(left),
            child(right),
            join.clone(),
            left.types.clone(),
            right.types.clone(),
        )),
        Operator::NestedLoop { left, right, join } if RescanJoin::fits(join) => {
            Box::new(RescanJoin::new(child(left), child(right), join.clone(), right.types.clone()))
        }
        Operator::NestedLoop { left, right, join } => Box::new(join::NestedLoop::new(
            child(left),
            child(right),
            join.clone(),
            left.types.clone(),
            right.types.clone(),
        )),
        Operator::Append { inputs, prune } => {
            Box::new(set::Append::new(inputs.iter().map(child).collect(), prune.clone()))
        }
        Operator::SetOperation { left, right, operator, all } => {
            Box::new(set::SetOperation::new(child(left), child(right), *operator, *all, node.types.clone()))
        }
        // The nested loop above keeps the rows.
        Operator::Materialize { input } => child(input),
        Operator::Cte { index, columns, .. } => Box::new(cte::CteScan::new(*index, columns.clone())),
        Operator::Recursive { start, step, work_table, all } => {
            Box::new(cte::Recursive::new(child(start), child(step), *work_table, *all, node.types.clone()))
        }
        Operator::WorkTable { work_table, .. } => {
            Box::new(cte::WorkTable::new(*work_table, node.types.clone()))
        }
        Operator::LockRows { input, lock } => {
            Box::new(lock::LockRows::new(child(input), lock.clone(), input.types.clone()))
        }
        Operator::Subquery { input, .. } => child(input),
        Operator::Modify { input, modify } => {
            let main = rt.plan.is_some_and(|plan| {
                plan.root.id == node.id || plan.root.inputs().iter().any(|input| input.id == node.id)
            });
            Box::new(modify::Modify::new(child(input), modify.clone(), node.types.clone(), main))
        }
    };
    let counted = !rt.state.counters.borrow().is_empty();
    let executor = match counted {
        false => executor,
        true => Box::new(Counted { input: executor, id: node.id, started: false }),
    };
    match rt.plan.is_some_and(|plan| plan.row_by_row) {
        false => executor,
        true => Box::new(RowByRow { input: executor, held: None }),
    }
}

/// Hands on one row at a time (`plan/effects.rs`).
struct RowByRow {
    input: Executor,
    /// Rows of the input that were not wanted yet, from the one that is next.
    held: Option<(Batch, usize)>,
}

impl Execute for RowByRow {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        let (batch, at) = match self.held.take() {
            Some(held) => held,
            None => match self.input.next(rt, 1)? {
                Some(batch) => (batch, 0),
                None => return Ok(None),
            },
        };
        if batch.rows <= 1 {
            return Ok(Some(batch));
        }
        let row = batch.slice(at, 1);
        if at + 1 < batch.rows {
            self.held = Some((batch, at + 1));
        }
        Ok(Some(row))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.held = None;
        self.input.rescan(rt)
    }
}

/// Keeps the figures of EXPLAIN ANALYZE.
struct Counted {
    input: Executor,
    id: usize,
    started: bool,
}

impl Execute for Counted {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let begin = std::time::Instant::now();
        let result = self.input.next(rt, max);
        let mut counters = rt.state.counters.borrow_mut();
        let counter = &mut counters[self.id];
        counter.total += begin.elapsed();
        if !std::mem::replace(&mut self.started, true) {
            counter.loops += 1;
            if counter.loops == 1 {
                counter.startup = begin.elapsed();
            }
        }
        if let Ok(Some(batch)) = &result {
            counter.rows += batch.rows as u64;
        }
        result
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.started = false;
        self.input.rescan(rt)
    }
}
