//! The simple operators: one row, values, filter, project, limit, materialize.

use super::eval::{eval, filter, operand_column, row_passes, row_value};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::encode_keys;
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::{Error, Result, SqlState};
use crate::expr::{Expr, integer};
use crate::plan::node;
use crate::types::{Datum, Type};
use std::sync::Arc;

/// One row without columns, if the conditions hold.
pub struct OneRow {
    conditions: Vec<Expr>,
    done: bool,
}

impl OneRow {
    pub fn new(conditions: Vec<Expr>) -> OneRow {
        OneRow { conditions, done: false }
    }
}

impl Execute for OneRow {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        if std::mem::replace(&mut self.done, true) || !row_passes(&self.conditions, &[], rt)? {
            return Ok(None);
        }
        Ok(Some(Batch { columns: Vec::new(), rows: 1 }))
    }
    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        self.done = false;
        Ok(())
    }
}

pub struct Values {
    values: Arc<node::Values>,
    types: Vec<Type>,
    at: usize,
}

impl Values {
    pub fn new(values: Arc<node::Values>, types: Vec<Type>) -> Values {
        Values { values, types, at: 0 }
    }
}

impl Execute for Values {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let rows = &self.values.rows;
        if self.at >= rows.len() {
            return Ok(None);
        }
        let end = rows.len().min(self.at + max.min(BATCH_ROWS));
        let mut columns: Vec<Column> =
            self.types.iter().map(|t| Column::with_capacity(t.repr(), end - self.at)).collect();
        for row in &rows[self.at..end] {
            for (column, expr) in columns.iter_mut().zip(row) {
                column.push_datum(&row_value(expr, &[], rt)?);
            }
        }
        let count = end - self.at;
        self.at = end;
        Ok(Some(Batch { columns: columns.into_iter().map(Arc::new).collect(), rows: count }))
    }
    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        self.at = 0;
        Ok(())
    }
}

pub struct Filter {
    input: Executor,
    conditions: Arc<[Expr]>,
    id: usize,
}

impl Filter {
    pub fn new(input: Executor, conditions: Arc<[Expr]>, id: usize) -> Filter {
        Filter { input, conditions, id }
    }
}

impl Execute for Filter {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        loop {
            let Some(batch) = self.input.next(rt, max)? else { return Ok(None) };
            let before = batch.rows;
            let batch = filter(&self.conditions, batch, rt)?;
            count_removed(rt, self.id, before - batch.rows);
            if batch.rows > 0 {
                return Ok(Some(batch));
            }
            rt.check_interrupt()?;
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.input.rescan(rt)
    }
}

/// EXPLAIN ANALYZE's "Rows Removed by Filter".
pub fn count_removed(rt: &Runtime<'_>, id: usize, rows: usize) {
    if rows > 0
        && let Some(counter) = rt.state.counters.borrow_mut().get_mut(id)
    {
        counter.removed_by_filter += rows as u64;
    }
}

pub struct Project {
    input: Executor,
    outputs: Arc<[Expr]>,
    /// Of the row behind those that were handed out.
    failed: Option<Error>,
}

impl Project {
    pub fn new(input: Executor, outputs: Arc<[Expr]>) -> Project {
        Project { input, outputs, failed: None }
    }

    /// The rows before the one that fails: a client that reads row by row is to see those. Its error comes next.
    fn before_failure(&mut self, batch: &Batch, error: Error, rt: &Runtime<'_>) -> Result<Option<Batch>> {
        // Bad values only: what is cancelled or out of memory ends here. And nothing is evaluated twice that may differ then.
        if !error.state().0.starts_with(b"22") || self.outputs.iter().any(Expr::is_volatile) {
            return Err(error);
        }
        for row in 0..batch.rows {
            if let Err(error) = project(&self.outputs, &batch.slice(row, 1), rt) {
                if row == 0 {
                    return Err(error);
                }
                self.failed = Some(error);
                return project(&self.outputs, &batch.slice(0, row), rt).map(Some);
            }
        }
        Err(error)
    }
}

/// The outputs' values over a batch, as columns.
pub fn project(outputs: &[Expr], batch: &Batch, rt: &Runtime<'_>) -> Result<Batch> {
    let columns = outputs
        .iter()
        .map(|expr| Ok(operand_column(eval(expr, batch, rt)?, expr.data_type().repr(), batch.rows)))
        .collect::<Result<Vec<_>>>()?;
    Ok(Batch { columns, rows: batch.rows })
}

impl Execute for Project {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match self.input.next(rt, max)? {
            Some(batch) if batch.rows > 0 => project(&self.outputs, &batch, rt)
                .map(Some)
                .or_else(|error| self.before_failure(&batch, error, rt)),
            other => Ok(other),
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.failed = None;
        self.input.rescan(rt)
    }
}

/// LIMIT and OFFSET; WITH TIES goes on while the sort keys stay the same.
pub struct Limit {
    input: Executor,
    limit: Arc<node::Limit>,
    /// Rows still to skip and to return; None until the first call.
    left: Option<(u64, u64)>,
    last_key: Option<Vec<u8>>,
}

impl Limit {
    pub fn new(input: Executor, limit: Arc<node::Limit>) -> Limit {
        Limit { input, limit, left: None, last_key: None }
    }
}

/// (offset, limit): no limit is `u64::MAX`.
pub fn limits(limit: &node::Limit, rt: &Runtime<'_>) -> Result<(u64, u64)> {
    let value = |expr: &Option<Expr>| -> Result<Option<i64>> {
        match expr {
            None => Ok(None),
            Some(expr) => Ok(integer(&row_value(expr, &[], rt)?)),
        }
    };
    let offset = value(&limit.offset)?.unwrap_or(0);
    let count = value(&limit.limit)?;
    if offset < 0 {
        return Err(Error::new(SqlState::INVALID_ROW_COUNT_IN_OFFSET, "OFFSET must not be negative"));
    }
    if count.is_some_and(|count| count < 0) {
        return Err(Error::new(SqlState::INVALID_ROW_COUNT_IN_LIMIT, "LIMIT must not be negative"));
    }
    Ok((offset as u64, count.map_or(u64::MAX, |count| count as u64)))
}

impl Execute for Limit {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let (mut skip, mut take) = match self.left {
            Some(left) => left,
            None => limits(&self.limit, rt)?,
        };
        loop {
            self.left = Some((skip, take));
            if take == 0 && (self.limit.ties.is_none() || self.last_key.is_none()) {
                return Ok(None);
            }
            let wanted = (max as u64).min(skip.saturating_add(take)).clamp(1, BATCH_ROWS as u64) as usize;
            let Some(mut batch) = self.input.next(rt, wanted)? else { return Ok(None) };
            let skipped = skip.min(batch.rows as u64);
            skip -= skipped;
            if skipped == batch.rows as u64 {
                continue;
            }
            if skipped > 0 {
                batch = batch.slice(skipped as usize, batch.rows - skipped as usize);
            }
            let mut kept = take.min(batch.rows as u64) as usize;
            if let Some(keys) = &self.limit.ties {
                let encoded = encode_keys(keys, &batch, rt)?;
                if kept > 0 {
                    self.last_key = Some(encoded.get(kept - 1).to_vec());
                }
                if kept < batch.rows || take == kept as u64 {
                    while kept < batch.rows && self.last_key.as_deref() == Some(encoded.get(kept)) {
                        kept += 1;
                    }
                    if kept < batch.rows {
                        self.last_key = None;
                    }
                }
            }
            take = take.saturating_sub(kept as u64);
            self.left = Some((skip, take));
            if kept == 0 {
                return Ok(None);
            }
            return Ok(Some(if kept < batch.rows { batch.slice(0, kept) } else { batch }));
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.left = None;
        self.last_key = None;
        self.input.rescan(rt)
    }
}

/// What can't go on in files (see `spill.rs`) fails beyond this many times `work_mem`, and not before the floor.
const BUDGET_FACTOR: usize = 64;
const BUDGET_FLOOR_BYTES: usize = 256 << 20;

pub fn check_budget(bytes: usize, rt: &Runtime<'_>, what: &str) -> Result<()> {
    check_bytes(bytes, rt.context.work_mem_bytes, what)
}

pub fn check_bytes(bytes: usize, work_mem_bytes: usize, what: &str) -> Result<()> {
    let budget = work_mem_bytes.saturating_mul(BUDGET_FACTOR).max(BUDGET_FLOOR_BYTES);
    if bytes <= budget {
        return Ok(());
    }
    Err(Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
        .detail(format!("The statement's {what} exceed {budget} bytes."))
        .hint("Raise work_mem."))
}

/// A column of one datum repeated: for tests and constants.
pub fn datums_to_batch(rows: &[Vec<Datum>], types: &[Type]) -> Batch {
    let columns = types
        .iter()
        .enumerate()
        .map(|(i, t)| Arc::new(Column::from_datums(t.repr(), rows.iter().map(|row| &row[i]))))
        .collect();
    Batch { columns, rows: rows.len() }
}
