//! The nested loop whose right side is run again for each left row, with values of it in slots: mostly a look into an index. Its conditions went
//! into the right side when it was planned, so that whatever comes out of there is a match. Rows of many small results are gathered to
//! batches: a left row costs no column of its own.

use super::eval::{eval, operand_get};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::Collected;
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::Result;
use crate::functions::Operand;
use crate::plan::logical::JoinKind;
use crate::plan::node;
use crate::types::Type;
use std::sync::Arc;

pub struct RescanJoin {
    left: Executor,
    right: Executor,
    join: Arc<node::NestedLoop>,
    right_types: Vec<Type>,
    outer: Option<Outer>,
    /// The right side has not been run yet.
    fresh: bool,
}

/// A left batch that is being worked through.
struct Outer {
    batch: Batch,
    row: usize,
    /// What goes into the slots, for all rows.
    inputs: Vec<Operand>,
    /// The right side is running for this row, and has or has not found anything.
    started: bool,
    matched: bool,
}

impl RescanJoin {
    /// Whether it can do this join.
    pub fn fits(join: &node::NestedLoop) -> bool {
        let kind = matches!(join.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti);
        join.rescan && join.conditions.is_empty() && kind
    }

    pub fn new(
        left: Executor,
        right: Executor,
        join: Arc<node::NestedLoop>,
        right_types: Vec<Type>,
    ) -> RescanJoin {
        RescanJoin { left, right, join, right_types, outer: None, fresh: true }
    }

    fn fetch(&mut self, rt: &Runtime<'_>, max: usize) -> Result<bool> {
        let Some(batch) = self.left.next(rt, max)? else { return Ok(false) };
        let inputs = self.join.inputs.iter().map(|(_, input)| eval(input, &batch, rt));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        self.outer = Some(Outer { batch, row: 0, inputs, started: false, matched: false });
        Ok(true)
    }

    /// Goes on with the left batch until it ends or there are `enough` rows.
    fn pairs(&mut self, rt: &Runtime<'_>, enough: usize) -> Result<Option<Batch>> {
        let kind = self.join.kind;
        let is_filter = matches!(kind, JoinKind::Semi | JoinKind::Anti);
        let Some(outer) = &mut self.outer else { return Ok(None) };
        let mut left_rows: Vec<u32> = Vec::new();
        let mut right_rows = Collected::new(&self.right_types);
        while outer.row < outer.batch.rows && left_rows.len() < enough {
            rt.check_interrupt()?;
            // Even where it goes on with a row: something may have used the slots since.
            for ((slot, _), input) in self.join.inputs.iter().zip(&outer.inputs) {
                rt.set_slot(*slot, operand_get(input, outer.row));
            }
            if !std::mem::replace(&mut outer.started, true) {
                if !std::mem::replace(&mut self.fresh, false) {
                    self.right.rescan(rt)?;
                }
                outer.matched = false;
            }
            let mut ended = true;
            // Of a semi-join's right side one row is enough to know.
            while let Some(found) = self.right.next(rt, if is_filter { 1 } else { BATCH_ROWS })? {
                if found.rows == 0 {
                    continue;
                }
                outer.matched = true;
                if is_filter {
                    break;
                }
                left_rows.extend(std::iter::repeat_n(outer.row as u32, found.rows));
                right_rows.append(&found);
                if left_rows.len() >= enough {
                    ended = false;
                    break;
                }
            }
            if !ended {
                break;
            }
            match kind {
                JoinKind::Semi if outer.matched => left_rows.push(outer.row as u32),
                JoinKind::Anti if !outer.matched => left_rows.push(outer.row as u32),
                JoinKind::Left if !outer.matched => {
                    left_rows.push(outer.row as u32);
                    right_rows.append(&nulls(&self.right_types));
                }
                _ => {}
            }
            outer.row += 1;
            outer.started = false;
        }
        let mut batch = outer.batch.gather(&left_rows);
        if !is_filter {
            batch.columns.extend(right_rows.finish().columns);
        }
        if outer.row >= outer.batch.rows {
            self.outer = None;
        }
        Ok(Some(batch))
    }
}

fn nulls(types: &[Type]) -> Batch {
    Batch { columns: types.iter().map(|t| Arc::new(Column::all_null(t.repr(), 1))).collect(), rows: 1 }
}

impl Execute for RescanJoin {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let enough = max.clamp(1, BATCH_ROWS);
        loop {
            if self.outer.is_none() && !self.fetch(rt, enough)? {
                return Ok(None);
            }
            if let Some(batch) = self.pairs(rt, enough)?
                && batch.rows > 0
            {
                return Ok(Some(batch));
            }
        }
    }

    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        // The right side starts over with the first left row.
        self.outer = None;
        self.left.rescan(rt)
    }
}
