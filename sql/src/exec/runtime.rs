//! What the operators of one run share: slots, subqueries' states, common tables, counters.

use super::ExecContext;
use super::operator::Executor;
use super::row_store::RowStore;
use crate::types::Datum;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// The part of a run that outlives a call of `Execution::next`.
#[derive(Default)]
pub struct RunState {
    /// Values that an operator further out has set for those within.
    pub slots: RefCell<Vec<Datum>>,
    /// By `Subquery::index`.
    pub subqueries: RefCell<Vec<SubqueryState>>,
    /// By position in `Plan::ctes`.
    pub ctes: RefCell<Vec<CteState>>,
    /// The rows that a recursive query's step reads.
    pub work_tables: RefCell<Vec<Arc<RowStore>>>,
    /// By `Node::id`; empty unless EXPLAIN ANALYZE asked.
    pub counters: RefCell<Vec<Counter>>,
    pub rows_affected: Cell<u64>,
    /// What AFTER triggers wait for the statement's end.
    pub after: RefCell<Vec<super::trigger::After>>,
    /// Rows for transition tables.
    pub captured: RefCell<Vec<super::transition::Captured>>,
    /// While a row moves to another partition: as it was, with the columns of the table that the statement names.
    pub moving: RefCell<Option<Vec<Datum>>>,
    /// Constraints to be checked when the statement ends.
    pub events: RefCell<VecDeque<super::constraint::Event>>,
}

#[derive(Default)]
pub struct SubqueryState {
    pub executor: Option<Executor>,
    /// An uncorrelated subquery's rows.
    pub rows: Option<Arc<RowStore>>,
    pub value: Option<Datum>,
    /// Of ANY by equality: the key-encoded values, and whether there was a null.
    pub set: Option<Arc<(hashbrown::HashSet<Vec<u8>>, bool)>>,
}

#[derive(Default)]
pub struct CteState {
    pub executor: Option<Executor>,
    pub rows: RowStore,
    pub done: bool,
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Counter {
    pub rows: u64,
    pub loops: u64,
    pub startup: std::time::Duration,
    pub total: std::time::Duration,
    pub removed_by_filter: u64,
}

impl RunState {
    /// Room for what a plan's operators keep here.
    pub fn prepare(&self, plan: &crate::plan::Plan) {
        self.slots.borrow_mut().resize(plan.slots, Datum::Null);
        self.subqueries.borrow_mut().resize_with(plan.subqueries.len(), SubqueryState::default);
        self.ctes.borrow_mut().resize_with(plan.ctes.len(), CteState::default);
        self.work_tables.borrow_mut().resize_with(plan.work_tables, Default::default);
    }
}

/// What evaluation and operators are given: the caller's context and the run's state.
#[derive(Clone, Copy)]
pub struct Runtime<'a> {
    pub context: &'a ExecContext<'a>,
    pub state: &'a RunState,
    pub plan: Option<&'a crate::plan::Plan>,
}

impl<'a> Runtime<'a> {
    pub fn slot(&self, index: usize) -> Datum {
        self.state.slots.borrow().get(index).cloned().unwrap_or_default()
    }
    /// Sets a slot and returns what it was.
    pub fn set_slot(&self, index: usize, value: Datum) -> Datum {
        let mut slots = self.state.slots.borrow_mut();
        if slots.len() <= index {
            slots.resize(index + 1, Datum::Null);
        }
        std::mem::replace(&mut slots[index], value)
    }
    pub fn check_interrupt(&self) -> crate::Result<()> {
        self.context.eval.services.check_interrupt()
    }
}
