//! Sorting by encoded keys: each row's sort columns become one byte string that compares as SQL orders them. What is too much for memory
//! is sorted in temporary files (`spill.rs`).

use super::basic::{check_budget, limits};
use super::eval::{eval, operand_column};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::spill::{decoder, encode_row, should_spill, take_batch};
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::node::{Key, Limit};
use crate::table::key::{KeyOrder, encode};
use crate::table::row::RowDecoder;
use crate::table::sorter::{Sorted, Sorter};
use crate::types::Type;
use std::sync::Arc;

/// A sort in files uses this much memory at least.
pub const SORTER_BYTES_MIN: usize = 1 << 20;

/// Keys of a batch's rows, back to back.
#[derive(Default)]
pub struct Encoded {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Encoded {
    pub fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[start..self.ends[row]]
    }
    fn bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 8
    }
    fn append(&mut self, other: &Encoded) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| base + end));
    }
    fn gather(&self, rows: &[u32]) -> Encoded {
        let mut out = Encoded::default();
        for row in rows {
            out.bytes.extend_from_slice(self.get(*row as usize));
            out.ends.push(out.bytes.len());
        }
        out
    }
}

/// Encodes columns row by row, in the orders given (for equality, any will do).
pub fn encode_columns(columns: &[(Arc<Column>, Type, KeyOrder)], rows: usize) -> Encoded {
    let mut out = Encoded { bytes: Vec::with_capacity(rows * 12), ends: Vec::with_capacity(rows) };
    for row in 0..rows {
        for (column, data_type, order) in columns {
            encode(&column.get(row), *data_type, *order, &mut out.bytes);
        }
        out.ends.push(out.bytes.len());
    }
    out
}

pub fn encode_keys(keys: &[Key], batch: &Batch, rt: &Runtime<'_>) -> Result<Encoded> {
    let order = |key: &Key| KeyOrder { descending: key.descending, nulls_first: key.nulls_first };
    encode_in_order(keys.iter().map(|key| (&key.expr, order(key))), batch, rt)
}

/// Values of expressions, to tell equal rows.
pub fn encode_values(exprs: &[Expr], batch: &Batch, rt: &Runtime<'_>) -> Result<Encoded> {
    encode_in_order(exprs.iter().map(|expr| (expr, KeyOrder::ASCENDING)), batch, rt)
}

fn encode_in_order<'e>(
    exprs: impl Iterator<Item = (&'e Expr, KeyOrder)>,
    batch: &Batch,
    rt: &Runtime<'_>,
) -> Result<Encoded> {
    let columns = exprs
        .map(|(expr, order)| {
            let data_type = expr.data_type();
            Ok((operand_column(eval(expr, batch, rt)?, data_type.repr(), batch.rows), data_type, order))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(encode_columns(&columns, batch.rows))
}

/// Batches appended to one.
pub struct Collected {
    columns: Vec<Column>,
    pub rows: usize,
}

impl Collected {
    pub fn new(types: &[Type]) -> Collected {
        Collected { columns: types.iter().map(|t| Column::with_capacity(t.repr(), 0)).collect(), rows: 0 }
    }
    pub fn append(&mut self, batch: &Batch) {
        for (column, more) in self.columns.iter_mut().zip(&batch.columns) {
            column.append(more);
        }
        self.rows += batch.rows;
    }
    pub fn bytes(&self) -> usize {
        self.columns.iter().map(Column::bytes).sum()
    }
    pub fn finish(self) -> Batch {
        Batch { columns: self.columns.into_iter().map(Arc::new).collect(), rows: self.rows }
    }
}

pub struct Sort {
    input: Executor,
    keys: Arc<[Key]>,
    top: Option<Arc<Limit>>,
    types: Vec<Type>,
    /// Once the input is read.
    sorted: Option<Ordered>,
}

enum Ordered {
    /// The rows, their order, and how far they were handed out.
    Memory { rows: Batch, order: Vec<u32>, at: usize },
    /// How many are wanted still.
    Files { sorted: Sorted, decoder: RowDecoder, wanted: usize },
}

impl Sort {
    pub fn new(input: Executor, keys: Arc<[Key]>, top: Option<Arc<Limit>>, types: Vec<Type>) -> Sort {
        Sort { input, keys, top, types, sorted: None }
    }

    fn sort(&mut self, rt: &Runtime<'_>) -> Result<Ordered> {
        let keep = match &self.top {
            Some(limit) => {
                let (offset, count) = limits(limit, rt)?;
                usize::try_from(offset.saturating_add(count)).unwrap_or(usize::MAX)
            }
            None => usize::MAX,
        };
        let mut rows = Collected::new(&self.types);
        let mut keys = Encoded::default();
        while let Some(batch) = self.input.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            if batch.rows == 0 {
                continue;
            }
            keys.append(&encode_keys(&self.keys, &batch, rt)?);
            rows.append(&batch);
            // Of a top-N sort, only the best so far are kept.
            if rows.rows > keep.saturating_mul(2).saturating_add(4 * BATCH_ROWS) {
                let mut order = order(&keys, rows.rows);
                order.truncate(keep);
                let kept = rows.finish().gather(&order);
                keys = keys.gather(&order);
                rows = Collected::new(&self.types);
                rows.append(&kept);
            }
            let held = rows.bytes() + keys.bytes();
            if should_spill(held, &self.types, rt) {
                return self.sort_in_files(rows.finish(), keys, keep, rt);
            }
            check_budget(held, rt, "rows to sort")?;
        }
        let mut order = order(&keys, rows.rows);
        order.truncate(keep);
        Ok(Ordered::Memory { rows: rows.finish(), order, at: 0 })
    }

    /// Goes on from the rows that were read.
    fn sort_in_files(
        &mut self,
        rows: Batch,
        keys: Encoded,
        keep: usize,
        rt: &Runtime<'_>,
    ) -> Result<Ordered> {
        let dir = rt.context.catalog.runtime().temporary_dir();
        let mut sorter = Sorter::new(rt.context.work_mem_bytes.max(SORTER_BYTES_MIN), dir);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let mut number = 0u64;
        let mut push = |rows: &Batch, keys: &Encoded| -> Result<()> {
            for row in 0..rows.rows {
                key.clear();
                key.extend_from_slice(keys.get(row));
                // Rows of equal keys keep their order. (No key is a prefix of another one.)
                key.extend_from_slice(&number.to_be_bytes());
                number += 1;
                value.clear();
                encode_row(rows, row, &self.types, &mut value);
                sorter.push(&key, &value)?;
            }
            Ok(())
        };
        push(&rows, &keys)?;
        drop((rows, keys));
        while let Some(batch) = self.input.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            push(&batch, &encode_keys(&self.keys, &batch, rt)?)?;
        }
        Ok(Ordered::Files { sorted: sorter.finish()?, decoder: decoder(&self.types), wanted: keep })
    }
}

/// Row numbers in key order; equal keys keep their order.
fn order(keys: &Encoded, rows: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    order.sort_unstable_by(|a, b| keys.get(*a as usize).cmp(keys.get(*b as usize)).then(a.cmp(b)));
    order
}

impl Execute for Sort {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if self.sorted.is_none() {
            self.sorted = Some(self.sort(rt)?);
        }
        let max = max.clamp(1, BATCH_ROWS);
        match self.sorted.as_mut().expect("it was just sorted") {
            Ordered::Memory { rows, order, at } => {
                if *at >= order.len() {
                    return Ok(None);
                }
                let end = order.len().min(*at + max);
                let batch = rows.gather(&order[*at..end]);
                *at = end;
                Ok(Some(batch))
            }
            Ordered::Files { sorted, decoder, wanted } => {
                while decoder.rows() < max.min(*wanted) {
                    let Some((_, row)) = sorted.next()? else { break };
                    decoder.append(row)?;
                }
                let batch = take_batch(decoder);
                *wanted -= batch.rows;
                Ok((batch.rows > 0).then_some(batch))
            }
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.sorted = None;
        self.input.rescan(rt)
    }
}
