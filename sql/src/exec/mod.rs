//! Execution: operators pull batches of typed columns from each other; expressions are evaluated a batch at a time.

pub mod eval;

use crate::column::Batch;
use crate::error::Result;
use crate::functions::EvalContext;
use crate::plan::Plan;
use crate::types::Datum;
use serin_txn::Transaction;
use std::cell::RefCell;
use std::sync::Arc;

/// What a running statement works with. The transaction is borrowed only for single operations, never across an expression's
/// evaluation: functions reach it too, through `Services`.
pub struct ExecContext<'a> {
    pub transaction: &'a RefCell<Transaction>,
    pub eval: EvalContext<'a>,
    pub catalog: &'a Arc<crate::catalog::Catalog>,
    pub parameters: &'a [Datum],
    pub work_mem_bytes: usize,
}

/// One run of a plan. Owns all its state, so that it can be suspended between calls (portals).
pub struct Execution {
    _private: (),
}

impl Execution {
    pub fn new(_plan: Arc<Plan>) -> Execution {
        todo!()
    }
    /// The next batch of result rows (never empty); None at the end. A statement without RETURNING answers None when it
    /// has done everything.
    pub fn next(&mut self, _context: &ExecContext<'_>) -> Result<Option<Batch>> {
        todo!()
    }
    /// Rows inserted, updated or deleted so far.
    pub fn rows_affected(&self) -> u64 {
        todo!()
    }
}
