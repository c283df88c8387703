//! SELECT … FOR UPDATE and its kin.
//!
//! Rows are locked one by one as they are asked for, so that a LIMIT locks no more than it returns. Where the transaction answers
//! that a newer version was committed (READ COMMITTED), the conditions are evaluated again with that version's values in place of
//! those read, the other tables' rows as they were: PostgreSQL's EvalPlanQual.

use super::eval::row_passes;
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::Collected;
use crate::column::{BATCH_ROWS, Batch};
use crate::error::{Error, Result, SqlState};
use crate::plan::node;
use crate::table::Shape;
use crate::table::partition::{place, places};
use crate::types::{Datum, Type};
use serin_txn::RowLock;
use std::sync::Arc;

pub struct LockRows {
    input: Executor,
    lock: Arc<node::LockRows>,
    types: Vec<Type>,
    pending: Option<(Batch, usize)>,
}

impl LockRows {
    pub fn new(input: Executor, lock: Arc<node::LockRows>, types: Vec<Type>) -> LockRows {
        LockRows { input, lock, types, pending: None }
    }
}

/// A row as it stands after locking.
enum Locked {
    AsRead,
    Changed(Vec<Datum>),
    Gone,
}

fn lock_one(lock: &node::LockRows, batch: &Batch, row: usize, rt: &Runtime<'_>) -> Result<Locked> {
    let mut changed: Option<Vec<Datum>> = None;
    for target in &lock.targets {
        let Datum::Bytea(key) = batch.columns[target.key].get(row) else { continue };
        let (table, map) = match target.table_oid.map(|at| batch.columns[at].get(row)) {
            Some(Datum::Oid(oid)) if oid != target.table.oid => {
                let child = rt.context.catalog.table(oid);
                let child = child.ok_or_else(|| Error::internal("a row of a table that is gone"))?;
                let map = places(&target.table, &child);
                (child, map)
            }
            _ => (target.table.clone(), None),
        };
        let shape = Shape::of(&table, rt.context)?;
        let moved = &rt.context.catalog.runtime().moved;
        let explained = |error| match error {
            serin_txn::Error::LockNotAvailable(_) => Error::new(
                SqlState::LOCK_NOT_AVAILABLE,
                format!("could not obtain lock on row in relation \"{}\"", table.name),
            ),
            error => moved.explain(error, &rt.context.transaction.borrow(), &shape.tree, &key).into(),
        };
        let locked =
            rt.context.transaction.borrow_mut().lock_row(&shape.tree, &key, target.strength, target.wait);
        let mut locked = locked.map_err(explained)?;
        if let RowLock::Changed(None) = locked {
            if table.is_partition() {
                moved.check(&rt.context.transaction.borrow(), &shape.tree, &key)?;
            }
            let followed = moved.follow(
                &mut rt.context.transaction.borrow_mut(),
                &shape.tree,
                &key,
                target.strength,
                target.wait,
            );
            locked = RowLock::Changed(followed.map_err(explained)?.map(|(_, value)| value));
        }
        match locked {
            RowLock::Unchanged => {}
            RowLock::Skipped | RowLock::SelfModified { .. } | RowLock::Changed(None) => {
                return Ok(Locked::Gone);
            }
            RowLock::Changed(Some(value)) => {
                let new = shape.decode_row(&value)?;
                let row = changed.get_or_insert_with(|| batch.row(row));
                for (input, column) in &target.columns {
                    row[*input] = place(&map, *column).map_or(Datum::Null, |column| new[column].clone());
                }
            }
        }
    }
    match changed {
        None => Ok(Locked::AsRead),
        Some(row) if row_passes(&lock.recheck, &row, rt)? => Ok(Locked::Changed(row)),
        Some(_) => Ok(Locked::Gone),
    }
}

impl Execute for LockRows {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let wanted = max.clamp(1, BATCH_ROWS);
        // Under two-phase locking the reads below lock the rows for what is wanted of them at once.
        for target in &self.lock.targets {
            let children = match target.table_oid {
                None => Vec::new(),
                Some(_) => rt.context.catalog.descendants(&target.table),
            };
            for table in children.iter().chain([&target.table]) {
                let shape = Shape::of(table, rt.context)?;
                rt.context.transaction.borrow_mut().intend_to_lock(&shape.tree, target.strength);
            }
        }
        let mut out = Collected::new(&self.types);
        while out.rows < wanted {
            rt.check_interrupt()?;
            if self.pending.is_none() {
                match self.input.next(rt, wanted - out.rows)? {
                    Some(batch) => self.pending = Some((batch, 0)),
                    None => break,
                }
            }
            let Some((batch, at)) = &mut self.pending else { break };
            let mut as_read = Vec::new();
            while *at < batch.rows && out.rows + as_read.len() < wanted {
                let row = *at;
                *at += 1;
                match lock_one(&self.lock, batch, row, rt)? {
                    Locked::AsRead => as_read.push(row as u32),
                    Locked::Gone => {}
                    Locked::Changed(values) => {
                        out.append(&batch.gather(&as_read));
                        as_read.clear();
                        out.append(&super::basic::datums_to_batch(&[values], &self.types));
                    }
                }
            }
            out.append(&batch.gather(&as_read));
            if *at >= batch.rows {
                self.pending = None;
            }
        }
        Ok((out.rows > 0).then(|| out.finish()))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.pending = None;
        self.input.rescan(rt)
    }
}
