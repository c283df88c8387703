//! WITH: common tables, run once and kept; recursive queries.

use super::basic::check_budget;
use super::operator::{Execute, Executor, build};
use super::row_store::RowStore;
use super::runtime::Runtime;
use super::set::encode_rows;
use crate::column::{BATCH_ROWS, Batch};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::types::Type;
use hashbrown::HashSet;
use std::sync::Arc;

/// Reads a common table; whoever comes first to its end so far fetches more for all.
pub struct CteScan {
    index: usize,
    columns: Vec<usize>,
    at: usize,
}

impl CteScan {
    pub fn new(index: usize, columns: Vec<usize>) -> CteScan {
        CteScan { index, columns, at: 0 }
    }
}

/// Fetches one more batch of a common table. False: it was the end.
fn advance(index: usize, rt: &Runtime<'_>) -> Result<bool> {
    let plan = rt.plan.ok_or_else(|| Error::internal("a WITH query outside of a plan"))?;
    let mut executor = {
        let mut ctes = rt.state.ctes.borrow_mut();
        let state = &mut ctes[index];
        if state.done {
            return Ok(false);
        }
        state.executor.take()
    }
    .unwrap_or_else(|| build(&plan.ctes[index].node, rt));
    let batch = executor.next(rt, BATCH_ROWS)?;
    let mut ctes = rt.state.ctes.borrow_mut();
    let state = &mut ctes[index];
    match batch {
        Some(batch) => {
            state.rows.append(batch, &plan.ctes[index].node.types, rt, "WITH query")?;
            state.executor = Some(executor);
            Ok(true)
        }
        None => {
            state.done = true;
            Ok(false)
        }
    }
}

impl Execute for CteScan {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        loop {
            let plan = rt.plan.ok_or_else(|| Error::internal("a WITH query outside of a plan"))?;
            let types = &plan.ctes[self.index].node.types;
            let found = rt.state.ctes.borrow()[self.index].rows.get(self.at, types)?;
            if let Some(batch) = found {
                self.at += 1;
                let columns = self.columns.iter().map(|at| batch.columns[*at].clone()).collect();
                return Ok(Some(Batch { columns, rows: batch.rows }));
            }
            rt.check_interrupt()?;
            if !advance(self.index, rt)? {
                return Ok(None);
            }
        }
    }
    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        self.at = 0;
        Ok(())
    }
}

/// Data-changing WITH queries run to their end, whether somebody read them or not.
pub fn finish_writers(plan: &Plan, rt: &Runtime<'_>) -> Result<()> {
    for (index, cte) in plan.ctes.iter().enumerate() {
        if cte.writes {
            while advance(index, rt)? {
                rt.check_interrupt()?;
            }
        }
    }
    Ok(())
}

/// The start's rows, then the step's over the rows of the round before, until a round yields none.
pub struct Recursive {
    start: Executor,
    step: Executor,
    work_table: usize,
    all: bool,
    types: Vec<Type>,
    seen: HashSet<Vec<u8>>,
    /// Rows of the round under way.
    fresh: RowStore,
    in_step: bool,
    done: bool,
    bytes: usize,
}

impl Recursive {
    pub fn new(start: Executor, step: Executor, work_table: usize, all: bool, types: Vec<Type>) -> Recursive {
        Recursive {
            start,
            step,
            work_table,
            all,
            types,
            seen: HashSet::new(),
            fresh: RowStore::default(),
            in_step: false,
            done: false,
            bytes: 0,
        }
    }

    /// UNION without ALL drops rows that were there before.
    fn only_new(&mut self, batch: Batch) -> Batch {
        if self.all {
            return batch;
        }
        let encoded = encode_rows(&batch, &self.types);
        let kept: Vec<u32> = (0..batch.rows)
            .filter(|row| {
                let new = self.seen.insert(encoded.get(*row).to_vec());
                self.bytes += if new { encoded.get(*row).len() + 48 } else { 0 };
                new
            })
            .map(|row| row as u32)
            .collect();
        if kept.len() == batch.rows { batch } else { batch.gather(&kept) }
    }
}

impl Execute for Recursive {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        while !self.done {
            rt.check_interrupt()?;
            let batch = match self.in_step {
                false => self.start.next(rt, BATCH_ROWS)?,
                true => self.step.next(rt, BATCH_ROWS)?,
            };
            match batch {
                Some(batch) => {
                    let batch = self.only_new(batch);
                    if batch.rows > 0 {
                        check_budget(self.bytes, rt, "rows to compare")?;
                        self.fresh.append(batch.clone(), &self.types, rt, "recursive query")?;
                        return Ok(Some(batch));
                    }
                }
                None if self.fresh.is_empty() => self.done = true,
                None => {
                    let rows = Arc::new(std::mem::take(&mut self.fresh));
                    rt.state.work_tables.borrow_mut()[self.work_table] = rows;
                    if self.in_step {
                        self.step.rescan(rt)?;
                    }
                    self.in_step = true;
                }
            }
        }
        Ok(None)
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.seen.clear();
        self.fresh = RowStore::default();
        self.done = false;
        self.bytes = 0;
        if std::mem::replace(&mut self.in_step, false) {
            self.step.rescan(rt)?;
        }
        self.start.rescan(rt)
    }
}

/// Inside of a recursive step: the rows of the round before.
pub struct WorkTable {
    work_table: usize,
    types: Vec<Type>,
    rows: Option<Arc<RowStore>>,
    at: usize,
}

impl WorkTable {
    pub fn new(work_table: usize, types: Vec<Type>) -> WorkTable {
        WorkTable { work_table, types, rows: None, at: 0 }
    }
}

impl Execute for WorkTable {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        let rows = self.rows.get_or_insert_with(|| rt.state.work_tables.borrow()[self.work_table].clone());
        let batch = rows.get(self.at, &self.types)?;
        self.at += 1;
        Ok(batch)
    }
    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        self.rows = None;
        self.at = 0;
        Ok(())
    }
}
