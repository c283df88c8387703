//! Execution: operators pull batches of typed columns from each other; expressions are evaluated a batch at a time.
//!
//! An [`Execution`] owns the operators' state and borrows nothing, so that a portal can keep it between calls. Single-row
//! statements by key (`plan::short`) run without operators.

pub mod eval;

mod aggregate;
pub(crate) mod arrays;
mod basic;
pub use basic::check_bytes;
pub(crate) mod constraint;
mod cte;
pub(crate) mod domain;
mod entries;
pub(crate) mod exclusion;
pub(crate) mod foreign_key;
mod function;
mod instead;
mod join;
mod key_index;
mod lock;
pub(crate) mod merge;
pub(crate) mod modify;
pub(crate) mod moved;
mod operator;
mod rescan_join;
pub(crate) mod routine;
mod row_store;
pub mod runtime;
pub(crate) mod scan;
mod set;
mod short;
mod sort;
mod spill;
pub(crate) mod sql_function;
mod subquery;
pub(crate) mod targets;
pub(crate) mod transition;
pub(crate) mod trigger;
mod unique;
mod window;

use crate::column::{BATCH_ROWS, Batch};
use crate::error::{Error, Result};
use crate::functions::EvalContext;
use crate::plan::Plan;
use crate::table::key::KeyOrder;
use crate::types::Datum;
use operator::Executor;
use runtime::{RunState, Runtime};
use serin_txn::{Transaction, WaitPolicy};
use std::cell::RefCell;
use std::sync::Arc;

/// How values are encoded where only equality matters.
pub const PLAIN_ORDER: KeyOrder = KeyOrder { descending: false, nulls_first: false };

/// What a running statement works with. The transaction is borrowed only for single operations, never across an expression's
/// evaluation: functions reach it too, through `Services`.
pub struct ExecContext<'a> {
    pub transaction: &'a RefCell<Transaction>,
    pub eval: EvalContext<'a>,
    pub catalog: &'a Arc<crate::catalog::Catalog>,
    pub parameters: &'a [Datum],
    pub work_mem_bytes: usize,
    /// For the statements that functions run; None: nothing that is evaluated may call a user's function.
    pub(crate) core: Option<&'a crate::session::core::Core>,
}

/// One run of a plan. Owns all its state, so that it can be suspended between calls (portals).
pub struct Execution {
    plan: Arc<Plan>,
    state: RunState,
    root: Option<Executor>,
    started: bool,
    done: bool,
    wait: WaitPolicy,
    is_queued: bool,
}

impl Execution {
    pub fn new(plan: Arc<Plan>) -> Execution {
        let (state, wait) = (RunState::default(), WaitPolicy::Block);
        Execution { plan, state, root: None, started: false, done: false, wait, is_queued: false }
    }

    /// How a short plan waits for its row. By `Queue` it leaves its request behind ([`Execution::is_queued`]).
    pub fn waiting_by(self, wait: WaitPolicy) -> Execution {
        Execution { wait, ..self }
    }

    /// The last call came to nothing yet: when the request it left in a queue is granted, call again.
    pub fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// As [`Execution::new`], keeping figures for EXPLAIN ANALYZE.
    pub fn instrumented(plan: Arc<Plan>) -> Execution {
        let execution = Execution::new(plan);
        *execution.state.counters.borrow_mut() = vec![runtime::Counter::default(); execution.plan.nodes];
        execution
    }

    /// The next batch of result rows (never empty); None at the end. A statement without RETURNING answers None when it
    /// has done everything.
    pub fn next(&mut self, context: &ExecContext<'_>) -> Result<Option<Batch>> {
        self.next_rows(context, BATCH_ROWS)
    }

    /// As [`Execution::next`], when no more than about `max` rows are wanted now (a portal's row limit).
    pub fn next_rows(&mut self, context: &ExecContext<'_>, max: usize) -> Result<Option<Batch>> {
        if self.done {
            return Ok(None);
        }
        let plan = self.plan.clone();
        let rt = Runtime { context, state: &self.state, plan: Some(&plan) };
        let counted = !self.state.counters.borrow().is_empty();
        if let (Some(short), false) = (&plan.short, counted) {
            self.done = true;
            self.is_queued = false;
            let answer = match short::run(short, self.wait, &rt)? {
                short::Answer::Done(answer) => answer,
                short::Answer::Queued => {
                    (self.done, self.is_queued) = (false, true);
                    return Ok(None);
                }
            };
            constraint::finish(&rt)?;
            // A foreign key's action may have met some.
            trigger::fire_after(&rt)?;
            return Ok(answer);
        }
        if !self.started {
            self.started = true;
            self.state.prepare(&plan);
            self.transitions(&plan, context)?;
            self.root = Some(operator::build(&plan.root, &rt));
        }
        let Some(root) = &mut self.root else { return Ok(None) };
        loop {
            context.eval.services.check_interrupt()?;
            match root.next(&rt, max.clamp(1, BATCH_ROWS))? {
                Some(batch) if batch.rows == 0 => continue,
                Some(batch) => return Ok(Some(batch)),
                None => break,
            }
        }
        cte::finish_writers(&plan, &rt)?;
        constraint::finish(&rt)?;
        trigger::fire_after(&rt)?;
        self.done = true;
        self.root = None;
        Ok(None)
    }

    /// The rows of the transition tables that the plan reads.
    fn transitions(&self, plan: &Plan, context: &ExecContext<'_>) -> Result<()> {
        for (work_table, name) in &plan.transitions {
            let tables = context.eval.services.transitions();
            let rows = tables.and_then(|tables| tables.rows(name));
            let rows = rows.ok_or_else(|| Error::internal(format!("transition table \"{name}\" is gone")))?;
            let rows = row_store::RowStore::of(rows.iter().cloned());
            self.state.work_tables.borrow_mut()[*work_table] = Arc::new(rows);
        }
        Ok(())
    }

    /// Rows inserted, updated or deleted so far.
    pub fn rows_affected(&self) -> u64 {
        self.state.rows_affected.get()
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn counters(&self) -> Vec<runtime::Counter> {
        self.state.counters.borrow().clone()
    }
}
