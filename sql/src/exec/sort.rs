//! Sorting by encoded keys: each row's sort columns become one byte string that compares as SQL orders them.

use super::basic::{check_budget, limits};
use super::eval::{eval, operand_column};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::Result;
use crate::plan::node::{Key, Limit};
use crate::table::key::{KeyOrder, encode};
use crate::types::Type;
use std::sync::Arc;

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
    let columns = keys
        .iter()
        .map(|key| {
            let data_type = key.expr.data_type();
            let order = KeyOrder { descending: key.descending, nulls_first: key.nulls_first };
            let value = eval(&key.expr, batch, rt)?;
            Ok((operand_column(value, data_type.repr(), batch.rows), data_type, order))
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
    /// The rows and their order, once read.
    sorted: Option<(Batch, Vec<u32>)>,
    at: usize,
}

impl Sort {
    pub fn new(input: Executor, keys: Arc<[Key]>, top: Option<Arc<Limit>>, types: Vec<Type>) -> Sort {
        Sort { input, keys, top, types, sorted: None, at: 0 }
    }

    fn sort(&mut self, rt: &Runtime<'_>) -> Result<(Batch, Vec<u32>)> {
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
            check_budget(rows.bytes() + keys.bytes(), rt, "rows to sort")?;
        }
        let mut order = order(&keys, rows.rows);
        order.truncate(keep);
        Ok((rows.finish(), order))
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
            self.at = 0;
        }
        let (rows, order) = self.sorted.as_ref().expect("it was just sorted");
        if self.at >= order.len() {
            return Ok(None);
        }
        let end = order.len().min(self.at + max.clamp(1, BATCH_ROWS));
        let batch = rows.gather(&order[self.at..end]);
        self.at = end;
        Ok(Some(batch))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.sorted = None;
        self.input.rescan(rt)
    }
}
