//! Append, DISTINCT, INTERSECT and EXCEPT: rows told apart by their encoded columns, so that nulls are alike.

use super::basic::check_budget;
use super::eval::{eval, operand_column, row_value};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::{Encoded, encode_columns};
use crate::column::{BATCH_ROWS, Batch};
use crate::error::Result;
use crate::expr::Expr;
use crate::parse::ast::SetOperator;
use crate::plan::prune;
use crate::table::key::KeyOrder;
use crate::types::Type;
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

pub fn encode_rows(batch: &Batch, types: &[Type]) -> Encoded {
    let columns: Vec<_> = batch
        .columns
        .iter()
        .zip(types)
        .map(|(column, data_type)| (column.clone(), *data_type, KeyOrder::ASCENDING))
        .collect();
    encode_columns(&columns, batch.rows)
}

pub struct Append {
    inputs: Vec<Executor>,
    at: usize,
    /// Which inputs partition pruning leaves, once that is known.
    prune: Arc<[prune::Step]>,
    alive: Option<Vec<bool>>,
}

impl Append {
    pub fn new(inputs: Vec<Executor>, prune: Arc<[prune::Step]>) -> Append {
        Append { inputs, at: 0, prune, alive: None }
    }

    fn pruned(&self, rt: &Runtime<'_>) -> Result<Vec<bool>> {
        let mut alive = vec![true; self.inputs.len()];
        for step in self.prune.iter() {
            let selected =
                step.prune.select(&step.routing, &mut |expr| row_value(expr, &[], rt).map(Some))?;
            for (inputs, selected) in step.inputs.iter().zip(selected) {
                inputs.iter().for_each(|input| alive[*input] &= selected);
            }
        }
        Ok(alive)
    }
}

impl Execute for Append {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if self.alive.is_none() && !self.prune.is_empty() {
            self.alive = Some(self.pruned(rt)?);
        }
        while let Some(input) = self.inputs.get_mut(self.at) {
            if self.alive.as_ref().is_none_or(|alive| alive[self.at])
                && let Some(batch) = input.next(rt, max)?
            {
                return Ok(Some(batch));
            }
            self.at += 1;
        }
        Ok(None)
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.at = 0;
        self.alive = None;
        self.inputs.iter_mut().try_for_each(|input| input.rescan(rt))
    }
}

/// Lets the first of equal rows through.
pub struct Distinct {
    input: Executor,
    on: Option<Arc<[Expr]>>,
    types: Vec<Type>,
    seen: HashSet<Vec<u8>>,
    bytes: usize,
}

impl Distinct {
    pub fn new(input: Executor, on: Option<Arc<[Expr]>>, types: Vec<Type>) -> Distinct {
        Distinct { input, on, types, seen: HashSet::new(), bytes: 0 }
    }
}

impl Execute for Distinct {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        loop {
            rt.check_interrupt()?;
            let Some(batch) = self.input.next(rt, max.max(64))? else { return Ok(None) };
            let encoded = match &self.on {
                None => encode_rows(&batch, &self.types),
                Some(on) => {
                    let columns = on
                        .iter()
                        .map(|expr| {
                            let data_type = expr.data_type();
                            let value = operand_column(eval(expr, &batch, rt)?, data_type.repr(), batch.rows);
                            Ok((value, data_type, KeyOrder::ASCENDING))
                        })
                        .collect::<Result<Vec<_>>>()?;
                    encode_columns(&columns, batch.rows)
                }
            };
            let mut kept = Vec::new();
            for row in 0..batch.rows {
                let key = encoded.get(row);
                if !self.seen.contains(key) {
                    self.bytes += key.len() + 48;
                    self.seen.insert(key.to_vec());
                    kept.push(row as u32);
                }
            }
            check_budget(self.bytes, rt, "distinct rows")?;
            if !kept.is_empty() {
                return Ok(Some(if kept.len() == batch.rows { batch } else { batch.gather(&kept) }));
            }
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.seen.clear();
        self.bytes = 0;
        self.input.rescan(rt)
    }
}

/// INTERSECT and EXCEPT: the right side is counted, the left side streams past.
pub struct SetOperation {
    left: Executor,
    right: Executor,
    operator: SetOperator,
    all: bool,
    types: Vec<Type>,
    counts: Option<HashMap<Vec<u8>, u64>>,
    emitted: HashSet<Vec<u8>>,
}

impl SetOperation {
    pub fn new(
        left: Executor,
        right: Executor,
        operator: SetOperator,
        all: bool,
        types: Vec<Type>,
    ) -> SetOperation {
        SetOperation { left, right, operator, all, types, counts: None, emitted: HashSet::new() }
    }

    fn count_right(&mut self, rt: &Runtime<'_>) -> Result<HashMap<Vec<u8>, u64>> {
        let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
        let mut bytes = 0;
        while let Some(batch) = self.right.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            let encoded = encode_rows(&batch, &self.types);
            for row in 0..batch.rows {
                bytes += encoded.get(row).len() + 48;
                *counts.entry_ref(encoded.get(row)).or_insert(0) += 1;
            }
            check_budget(bytes, rt, "rows to compare")?;
        }
        Ok(counts)
    }
}

impl Execute for SetOperation {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if self.counts.is_none() {
            self.counts = Some(self.count_right(rt)?);
        }
        let intersect = self.operator == SetOperator::Intersect;
        loop {
            rt.check_interrupt()?;
            let Some(batch) = self.left.next(rt, max.max(64))? else { return Ok(None) };
            let counts = self.counts.as_mut().expect("the right side was counted");
            let encoded = encode_rows(&batch, &self.types);
            let mut kept = Vec::new();
            for row in 0..batch.rows {
                let key = encoded.get(row);
                let keep = match (self.all, counts.get_mut(key)) {
                    (true, Some(count)) if *count > 0 => {
                        *count -= 1;
                        intersect
                    }
                    (true, _) => !intersect,
                    (false, found) => found.is_some() == intersect && self.emitted.insert(key.to_vec()),
                };
                if keep {
                    kept.push(row as u32);
                }
            }
            if !kept.is_empty() {
                return Ok(Some(batch.gather(&kept)));
            }
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.counts = None;
        self.emitted.clear();
        self.left.rescan(rt)?;
        self.right.rescan(rt)
    }
}
