//! Joins: hash join (the right side is built, the left probes; in parts where that is too much for memory, see `spill.rs`) and nested loop.

use super::basic::check_budget;
use super::eval::{eval, filter, operand_column, row_value};
use super::key_index::KeyIndex;
use super::operator::{Execute, Executor};
use super::row_store::RowStore;
use super::runtime::Runtime;
use super::sort::{Collected, Encoded, encode_columns};
use super::spill::{DEPTH_MAX, Parting, can_spill, should_spill};
use crate::column::{BATCH_ROWS, Batch, Bitmap, Column, NO_ROW};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::logical::JoinKind;
use crate::plan::node;
use crate::table::key::KeyOrder;
use crate::types::Type;
use std::sync::Arc;

/// Columns of the pair (left row, right row); `NO_ROW` makes nulls.
fn pair(left: &Batch, left_rows: &[u32], right: &Batch, right_rows: &[u32]) -> Batch {
    let columns = left
        .columns
        .iter()
        .map(|column| Arc::new(column.gather_optional(left_rows)))
        .chain(right.columns.iter().map(|column| Arc::new(column.gather_optional(right_rows))))
        .collect();
    Batch { columns, rows: left_rows.len() }
}

fn all_null(types: &[Type], rows: usize) -> Vec<Arc<Column>> {
    types.iter().map(|t| Arc::new(Column::all_null(t.repr(), rows))).collect()
}

pub struct HashJoin {
    left: Executor,
    right: Executor,
    join: Arc<node::HashJoin>,
    left_types: Vec<Type>,
    right_types: Vec<Type>,
    table: Option<Table>,
    /// The right side was too much for memory: joins of parts of both sides, in turn.
    parts: Option<Vec<HashJoin>>,
    /// How often the sides were parted to come here.
    depth: u32,
    /// A left batch whose matches are being handed out.
    probing: Option<Probing>,
    /// FULL: where the unmatched right rows are handed out from.
    unmatched_at: Option<usize>,
}

struct Table {
    rows: Batch,
    keys: KeyIndex,
    /// By key: the last row that has it; `next` leads to the others.
    heads: Vec<u32>,
    next: Vec<u32>,
    matched: Bitmap,
}

struct Probing {
    batch: Batch,
    keys: Encoded,
    has_null: Vec<bool>,
    row: usize,
    /// The next right row to pair the current left row with.
    chain: Option<u32>,
    matched: Vec<bool>,
}

impl HashJoin {
    pub fn new(
        left: Executor,
        right: Executor,
        join: Arc<node::HashJoin>,
        left_types: Vec<Type>,
        right_types: Vec<Type>,
    ) -> HashJoin {
        HashJoin {
            left,
            right,
            join,
            left_types,
            right_types,
            table: None,
            parts: None,
            depth: 0,
            probing: None,
            unmatched_at: None,
        }
    }

    /// `None`: it is too much for memory, and was put into parts.
    fn build(&mut self, rt: &Runtime<'_>) -> Result<Option<Table>> {
        let mut rows = Collected::new(&self.right_types);
        let mut index = KeyIndex::default();
        let mut heads: Vec<u32> = Vec::new();
        let mut next: Vec<u32> = Vec::new();
        while let Some(batch) = self.right.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            let (keys, has_null) = encode_join_keys(self.join.keys.iter().map(|(_, key)| key), &batch, rt)?;
            for (row, null) in has_null.iter().enumerate() {
                let at = next.len() as u32;
                // A null key matches nothing; the row is kept only for a FULL join's sake.
                let previous = match null {
                    true => NO_ROW,
                    false => {
                        let (key, is_new) = index.insert(keys.get(row));
                        if is_new {
                            heads.push(NO_ROW);
                        }
                        std::mem::replace(&mut heads[key as usize], at)
                    }
                };
                next.push(previous);
            }
            rows.append(&batch);
            let held = rows.bytes() + index.bytes() + (heads.len() + next.len()) * 4;
            if self.depth < DEPTH_MAX
                && should_spill(held, &self.right_types, rt)
                && can_spill(&self.left_types)
            {
                drop((index, heads, next));
                self.parts = Some(self.part(rows.finish(), rt)?);
                return Ok(None);
            }
            check_budget(held, rt, "hash table")?;
        }
        let rows = rows.finish();
        let matched = Bitmap::new(rows.rows);
        Ok(Some(Table { rows, keys: index, heads, next, matched }))
    }

    /// Parts both sides by the hash of their keys; the right one goes on from the rows that were read.
    fn part(&mut self, read: Batch, rt: &Runtime<'_>) -> Result<Vec<HashJoin>> {
        let mut right = Parting::new(&self.right_types, self.depth);
        let mut next = Some(read);
        while let Some(batch) = next {
            rt.check_interrupt()?;
            let (keys, has_null) = encode_join_keys(self.join.keys.iter().map(|(_, key)| key), &batch, rt)?;
            for (row, null) in has_null.iter().enumerate() {
                right.push((!null).then(|| keys.get(row)), &batch, row, rt)?;
            }
            next = self.right.next(rt, BATCH_ROWS)?;
        }
        let mut left = Parting::new(&self.left_types, self.depth);
        while let Some(batch) = self.left.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            let (keys, has_null) = encode_join_keys(self.join.keys.iter().map(|(key, _)| key), &batch, rt)?;
            for (row, null) in has_null.iter().enumerate() {
                left.push((!null).then(|| keys.get(row)), &batch, row, rt)?;
            }
        }
        let pairs = left.finish()?.into_iter().zip(right.finish()?);
        let needed = pairs.filter(|(left, right)| !left.is_empty() || !right.is_empty());
        let join = |(left, right)| {
            let (types, join) = ((self.left_types.clone(), self.right_types.clone()), self.join.clone());
            let mut part = HashJoin::new(Box::new(left), Box::new(right), join, types.0, types.1);
            part.depth = self.depth + 1;
            part
        };
        Ok(needed.map(join).collect())
    }

    /// Pairs of the current left batch, up to a batch's worth; None when it is used up.
    fn probe(&mut self, rt: &Runtime<'_>) -> Result<Option<Batch>> {
        let (Some(probing), Some(table)) = (&mut self.probing, &mut self.table) else { return Ok(None) };
        let kind = self.join.kind;
        let single = matches!(kind, JoinKind::Semi | JoinKind::Anti) && self.join.residual.is_empty();
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        while probing.row < probing.batch.rows && left_rows.len() < BATCH_ROWS {
            let chain = match probing.chain.take() {
                Some(chain) => chain,
                None if probing.has_null[probing.row] => NO_ROW,
                None => table
                    .keys
                    .get(probing.keys.get(probing.row))
                    .map_or(NO_ROW, |key| table.heads[key as usize]),
            };
            if chain == NO_ROW {
                probing.row += 1;
                continue;
            }
            left_rows.push(probing.row as u32);
            right_rows.push(chain);
            match (single, table.next[chain as usize]) {
                (true, _) | (false, NO_ROW) => probing.row += 1,
                (false, more) => probing.chain = Some(more),
            }
        }
        let finished = probing.row >= probing.batch.rows;
        // Residual conditions decide which pairs count.
        if !left_rows.is_empty() && !self.join.residual.is_empty() {
            let mut pairs = pair(&probing.batch, &left_rows, &table.rows, &right_rows);
            // The pair's number comes along, to tell which ones passed.
            let numbers: Vec<i32> = (0..left_rows.len() as i32).collect();
            pairs.columns.push(Arc::new(Column::new(crate::column::Values::Int4(numbers))));
            let passed = filter(&self.join.residual, pairs, rt)?;
            let numbers = passed.columns.last().expect("the numbers were put there");
            let kept: Vec<usize> = (0..passed.rows)
                .filter_map(|row| numbers.get(row).as_i32())
                .map(|number| number as usize)
                .collect();
            left_rows = kept.iter().map(|at| left_rows[*at]).collect();
            right_rows = kept.iter().map(|at| right_rows[*at]).collect();
        }
        for (left, right) in left_rows.iter().zip(&right_rows) {
            if !matches!(kind, JoinKind::Semi) {
                probing.matched[*left as usize] = true;
            }
            if kind == JoinKind::Full {
                table.matched.set(*right as usize, true);
            }
        }
        match kind {
            JoinKind::Semi => {
                // A left row passes once.
                left_rows.retain(|row| !std::mem::replace(&mut probing.matched[*row as usize], true));
                let batch = probing.batch.gather(&left_rows);
                if finished {
                    self.probing = None;
                }
                return Ok(Some(batch));
            }
            JoinKind::Anti => {
                if !finished {
                    return Ok(Some(probing.batch.gather(&[])));
                }
                let kept: Vec<u32> =
                    (0..probing.batch.rows as u32).filter(|row| !probing.matched[*row as usize]).collect();
                let batch = probing.batch.gather(&kept);
                self.probing = None;
                return Ok(Some(batch));
            }
            JoinKind::Left | JoinKind::Full if finished => {
                for row in 0..probing.batch.rows {
                    if !probing.matched[row] {
                        left_rows.push(row as u32);
                        right_rows.push(NO_ROW);
                    }
                }
            }
            _ => {}
        }
        let batch = pair(&probing.batch, &left_rows, &table.rows, &right_rows);
        if finished {
            self.probing = None;
        }
        Ok(Some(batch))
    }

    fn unmatched(&mut self) -> Option<Batch> {
        let table = self.table.as_ref()?;
        let from = self.unmatched_at?;
        let rows: Vec<u32> = (from..table.rows.rows)
            .filter(|row| !table.matched.get(*row))
            .take(BATCH_ROWS)
            .map(|row| row as u32)
            .collect();
        let last = *rows.last()?;
        self.unmatched_at = Some(last as usize + 1);
        let mut columns = all_null(&self.left_types, rows.len());
        columns.extend(table.rows.gather(&rows).columns);
        Some(Batch { columns, rows: rows.len() })
    }
}

/// Join keys of a batch, and which rows have a null among them.
fn encode_join_keys<'k>(
    keys: impl Iterator<Item = &'k Expr>,
    batch: &Batch,
    rt: &Runtime<'_>,
) -> Result<(Encoded, Vec<bool>)> {
    let columns = keys
        .map(|key| {
            let data_type = key.data_type();
            let value = operand_column(eval(key, batch, rt)?, data_type.repr(), batch.rows);
            Ok((value, data_type, KeyOrder::ASCENDING))
        })
        .collect::<Result<Vec<_>>>()?;
    let has_null =
        (0..batch.rows).map(|row| columns.iter().any(|(column, ..)| column.is_null(row))).collect();
    Ok((encode_columns(&columns, batch.rows), has_null))
}

impl Execute for HashJoin {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        if self.table.is_none() && self.parts.is_none() {
            self.table = self.build(rt)?;
        }
        if let Some(parts) = &mut self.parts {
            while let Some(part) = parts.last_mut() {
                if let Some(batch) = part.next(rt, BATCH_ROWS)? {
                    return Ok(Some(batch));
                }
                parts.pop();
            }
            return Ok(None);
        }
        loop {
            rt.check_interrupt()?;
            if self.unmatched_at.is_some() {
                return Ok(self.unmatched());
            }
            if let Some(batch) = self.probe(rt)? {
                if batch.rows > 0 {
                    return Ok(Some(batch));
                }
                continue;
            }
            // Nothing to find: inner and semi joins need not read on.
            let empty = self.table.as_ref().is_some_and(|table| table.rows.rows == 0);
            if empty && matches!(self.join.kind, JoinKind::Inner | JoinKind::Semi) {
                return Ok(None);
            }
            match self.left.next(rt, BATCH_ROWS)? {
                Some(batch) => {
                    let (keys, has_null) =
                        encode_join_keys(self.join.keys.iter().map(|(key, _)| key), &batch, rt)?;
                    let matched = vec![false; batch.rows];
                    self.probing = Some(Probing { batch, keys, has_null, row: 0, chain: None, matched });
                }
                None if self.join.kind == JoinKind::Full => self.unmatched_at = Some(0),
                None => return Ok(None),
            }
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.table = None;
        self.parts = None;
        self.probing = None;
        self.unmatched_at = None;
        self.left.rescan(rt)?;
        self.right.rescan(rt)
    }
}

/// Every left row with every right row. The right side is read once and kept, or (`rescan`) run for each left row with values of
/// it in slots.
pub struct NestedLoop {
    left: Executor,
    right: Executor,
    join: Arc<node::NestedLoop>,
    left_types: Vec<Type>,
    right_types: Vec<Type>,
    /// The kept right side, with what matched (FULL).
    kept: Option<RowStore>,
    kept_matched: Vec<Bitmap>,
    outer: Option<Outer>,
    first_run: bool,
    unmatched_at: Option<usize>,
}

struct Outer {
    batch: Batch,
    row: usize,
    /// The right side has been started for this row.
    started: bool,
    right_at: usize,
    matched: bool,
}

impl NestedLoop {
    pub fn new(
        left: Executor,
        right: Executor,
        join: Arc<node::NestedLoop>,
        left_types: Vec<Type>,
        right_types: Vec<Type>,
    ) -> NestedLoop {
        NestedLoop {
            left,
            right,
            join,
            left_types,
            right_types,
            kept: None,
            kept_matched: Vec::new(),
            outer: None,
            first_run: true,
            unmatched_at: None,
        }
    }

    fn keep(&mut self, rt: &Runtime<'_>) -> Result<()> {
        let mut kept = RowStore::default();
        while let Some(batch) = self.right.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            if batch.rows > 0 {
                if self.join.kind == JoinKind::Full {
                    self.kept_matched.push(Bitmap::new(batch.rows));
                }
                kept.append(batch, &self.right_types, rt, "inner side of a nested loop")?;
            }
        }
        self.kept = Some(kept);
        Ok(())
    }

    /// The next right rows for the current left row, with the number of the kept batch.
    fn next_right(&mut self, rt: &Runtime<'_>) -> Result<Option<(Batch, usize)>> {
        let Some(outer) = &mut self.outer else { return Ok(None) };
        if !self.join.rescan {
            let kept = self.kept.as_ref().expect("the right side was kept");
            let at = outer.right_at;
            outer.right_at += 1;
            return Ok(kept.get(at, &self.right_types)?.map(|batch| (batch, at)));
        }
        // Something may have used the slots since the last call.
        if !self.join.inputs.is_empty() {
            let row = outer.batch.row(outer.row);
            for (slot, input) in &self.join.inputs {
                rt.set_slot(*slot, row_value(input, &row, rt)?);
            }
        }
        if !outer.started {
            outer.started = true;
            if !std::mem::replace(&mut self.first_run, false) {
                self.right.rescan(rt)?;
            }
        }
        Ok(self.right.next(rt, BATCH_ROWS)?.map(|batch| (batch, 0)))
    }

    fn pairs(&mut self, right: Batch, kept_at: usize, rt: &Runtime<'_>) -> Result<Batch> {
        let outer = self.outer.as_mut().expect("there is a left row");
        let left_rows = vec![outer.row as u32; right.rows];
        let mut columns: Vec<Arc<Column>> =
            outer.batch.columns.iter().map(|column| Arc::new(column.gather(&left_rows))).collect();
        columns.extend(right.columns.iter().cloned());
        let mut pairs = Batch { columns, rows: right.rows };
        if self.join.conditions.is_empty() {
            if self.join.kind == JoinKind::Full {
                (0..right.rows).for_each(|row| self.kept_matched[kept_at].set(row, true));
            }
            return Ok(pairs);
        }
        let full = self.join.kind == JoinKind::Full;
        if full {
            let numbers: Vec<i32> = (0..right.rows as i32).collect();
            pairs.columns.push(Arc::new(Column::new(crate::column::Values::Int4(numbers))));
        }
        let mut passed = filter(&self.join.conditions, pairs, rt)?;
        if full && let Some(numbers) = passed.columns.pop() {
            for row in 0..passed.rows {
                if let Some(number) = numbers.get(row).as_i32() {
                    self.kept_matched[kept_at].set(number as usize, true);
                }
            }
        }
        Ok(passed)
    }

    fn left_alone(&self) -> Option<Batch> {
        let outer = self.outer.as_ref()?;
        let mut batch = outer.batch.gather(&[outer.row as u32]);
        if !matches!(self.join.kind, JoinKind::Semi | JoinKind::Anti) {
            batch.columns.extend(all_null(&self.right_types, 1));
        }
        Some(batch)
    }

    fn unmatched(&mut self) -> Result<Option<Batch>> {
        let Some(kept) = &self.kept else { return Ok(None) };
        while let Some(at) = self.unmatched_at {
            let Some(batch) = kept.get(at, &self.right_types)? else { break };
            self.unmatched_at = Some(at + 1);
            let rows: Vec<u32> = (0..batch.rows)
                .filter(|row| !self.kept_matched[at].get(*row))
                .map(|row| row as u32)
                .collect();
            if !rows.is_empty() {
                let mut columns = all_null(&self.left_types, rows.len());
                columns.extend(batch.gather(&rows).columns);
                return Ok(Some(Batch { columns, rows: rows.len() }));
            }
        }
        Ok(None)
    }
}

impl Execute for NestedLoop {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if !self.join.rescan && self.kept.is_none() {
            self.keep(rt)?;
        }
        let kind = self.join.kind;
        // Small results of many left rows are gathered to a batch.
        let mut out: Option<Collected> = None;
        let mut types: Vec<Type> = self.left_types.clone();
        if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            types.extend(&self.right_types);
        }
        let enough = max.clamp(1, BATCH_ROWS);
        loop {
            rt.check_interrupt()?;
            if self.unmatched_at.is_some() {
                return self.unmatched();
            }
            if self.outer.as_ref().is_none_or(|outer| outer.row >= outer.batch.rows) {
                if let Some(out) = out.take().filter(|out| out.rows > 0) {
                    return Ok(Some(out.finish()));
                }
                match self.left.next(rt, enough)? {
                    Some(batch) => {
                        self.outer =
                            Some(Outer { batch, row: 0, started: false, right_at: 0, matched: false });
                    }
                    None if kind == JoinKind::Full => self.unmatched_at = Some(0),
                    None => return Ok(None),
                }
                continue;
            }
            let found = self.next_right(rt)?;
            let mut next_row = found.is_none();
            let mut produced = None;
            if let Some((right, kept_at)) = found {
                let pairs = self.pairs(right, kept_at, rt)?;
                let outer = self.outer.as_mut().expect("there is a left row");
                if pairs.rows > 0 {
                    outer.matched = true;
                    match kind {
                        JoinKind::Semi => {
                            produced = Some(outer.batch.gather(&[outer.row as u32]));
                            next_row = true;
                        }
                        JoinKind::Anti => next_row = true,
                        _ => produced = Some(pairs),
                    }
                }
            } else {
                let matched = self.outer.as_ref().is_some_and(|outer| outer.matched);
                if !matched && matches!(kind, JoinKind::Left | JoinKind::Full | JoinKind::Anti) {
                    produced = self.left_alone();
                }
            }
            if next_row && let Some(outer) = &mut self.outer {
                outer.row += 1;
                outer.started = false;
                outer.right_at = 0;
                outer.matched = false;
            }
            if let Some(batch) = produced {
                let collected = out.get_or_insert_with(|| Collected::new(&types));
                collected.append(&batch);
                if collected.rows >= enough {
                    return Ok(out.map(Collected::finish));
                }
            }
        }
    }

    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.kept = None;
        self.kept_matched.clear();
        self.outer = None;
        self.unmatched_at = None;
        self.left.rescan(rt)?;
        // With `rescan`, the right side starts over at the first left row.
        match self.join.rescan {
            true => Ok(()),
            false => self.right.rescan(rt),
        }
    }
}
