//! Append, DISTINCT, INTERSECT and EXCEPT: rows told apart by their encoded columns, so that nulls are alike.
//!
//! Beyond their memory (see `spill.rs`) they go on in parts, by the hash of what tells rows apart:
//!
//! - DISTINCT lets no more keys into its table; rows of other keys are put aside with their numbers, made distinct part by part, and sorted by number
//!   again: the first of equal rows comes through, in its place, as if there had been memory enough.
//! - INTERSECT and EXCEPT part both sides when the right one is too much, and only what is left of the left one when that is.

use super::basic::check_budget;
use super::eval::row_value;
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::{Encoded, SORTER_BYTES_MIN, encode_columns, encode_values};
use super::spill::{self, DEPTH_MAX, Parting, Spilled, encode_row, should_spill, take_batch};
use crate::column::{BATCH_ROWS, Batch, Column, Values};
use crate::error::Result;
use crate::expr::Expr;
use crate::parse::ast::SetOperator;
use crate::plan::prune;
use crate::table::key::KeyOrder;
use crate::table::row::RowDecoder;
use crate::table::sorter::{Sorted, Sorter};
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

/// What an entry of a set of keys takes beside its bytes.
const KEY_OVERHEAD_BYTES: usize = 48;

/// Lets the first of equal rows through.
pub struct Distinct {
    input: Executor,
    on: Option<Arc<[Expr]>>,
    types: Vec<Type>,
    seen: HashSet<Vec<u8>>,
    bytes: usize,
    /// Rows of other keys than those in `seen`, which has become too large. Their numbers are their last column.
    aside: Option<Aside>,
    /// They, distinct and in order.
    rest: Option<(Sorted, RowDecoder)>,
}

struct Aside {
    parting: Parting,
    rows: u64,
}

impl Distinct {
    pub fn new(input: Executor, on: Option<Arc<[Expr]>>, types: Vec<Type>) -> Distinct {
        Distinct { input, on, types, seen: HashSet::new(), bytes: 0, aside: None, rest: None }
    }

    fn keys(&self, batch: &Batch, rt: &Runtime<'_>) -> Result<Encoded> {
        match &self.on {
            Some(on) => encode_values(on, batch, rt),
            None => Ok(encode_rows(batch, &self.types)),
        }
    }

    fn numbered_types(&self) -> Vec<Type> {
        self.types.iter().copied().chain([Type::INT8]).collect()
    }

    /// The rows of a batch that are the first of their kind. Where no more keys may be remembered, unknown ones go aside.
    fn first_ones(&mut self, batch: &Batch, rt: &Runtime<'_>) -> Result<Vec<u32>> {
        let keys = self.keys(batch, rt)?;
        let mut kept = Vec::new();
        let numbered = self.aside.as_ref().map(|aside| with_numbers(batch, aside.rows));
        for row in 0..batch.rows {
            let key = keys.get(row);
            if self.seen.contains(key) {
                continue;
            }
            match (&mut self.aside, &numbered) {
                (Some(aside), Some(numbered)) => aside.parting.push(Some(key), numbered, row, rt)?,
                _ => {
                    self.bytes += key.len() + KEY_OVERHEAD_BYTES;
                    self.seen.insert(key.to_vec());
                    kept.push(row as u32);
                }
            }
        }
        if let Some(aside) = &mut self.aside {
            aside.rows += batch.rows as u64;
        } else if should_spill(self.bytes, &self.types, rt) {
            self.aside = Some(Aside { parting: Parting::new(&self.numbered_types(), 0), rows: 0 });
        }
        check_budget(self.bytes, rt, "distinct rows")?;
        Ok(kept)
    }

    /// Makes the parts distinct and sorts what is left by its numbers.
    fn distinct_rest(&mut self, aside: Aside, rt: &Runtime<'_>) -> Result<Sorted> {
        self.seen = HashSet::new();
        let dir = rt.context.catalog.runtime().temporary_dir();
        let mut sorter = Sorter::new(rt.context.work_mem_bytes.max(SORTER_BYTES_MIN), dir);
        let mut parts: Vec<(Spilled, u32)> =
            aside.parting.finish()?.into_iter().map(|part| (part, 1)).collect();
        let types = self.numbered_types();
        let mut encoded = Vec::new();
        while let Some((mut part, depth)) = parts.pop() {
            let (mut seen, mut bytes) = (HashSet::<Vec<u8>>::new(), 0);
            let mut more: Option<Parting> = None;
            while let Some(numbered) = part.next(rt, BATCH_ROWS)? {
                let (batch, numbers) = without_numbers(&numbered);
                let keys = self.keys(&batch, rt)?;
                for row in 0..batch.rows {
                    let key = keys.get(row);
                    if seen.contains(key) {
                        continue;
                    }
                    if let Some(more) = &mut more {
                        more.push(Some(key), &numbered, row, rt)?;
                        continue;
                    }
                    bytes += key.len() + KEY_OVERHEAD_BYTES;
                    seen.insert(key.to_vec());
                    encoded.clear();
                    encode_row(&batch, row, &self.types, &mut encoded);
                    let number = numbers.get(row).as_i64().expect("numbers are never null");
                    sorter.push(&number.to_be_bytes(), &encoded)?;
                }
                if more.is_none() && depth < DEPTH_MAX && should_spill(bytes, &types, rt) {
                    more = Some(Parting::new(&types, depth));
                }
                check_budget(bytes, rt, "distinct rows")?;
            }
            if let Some(more) = more {
                parts.extend(more.finish()?.into_iter().map(|part| (part, depth + 1)));
            }
        }
        sorter.finish()
    }
}

/// With a last column that numbers the rows.
fn with_numbers(batch: &Batch, first: u64) -> Batch {
    let numbers = (0..batch.rows as i64).map(|row| first as i64 + row).collect();
    let mut columns = batch.columns.clone();
    columns.push(Arc::new(Column::new(Values::Int8(numbers))));
    Batch { columns, rows: batch.rows }
}

fn without_numbers(numbered: &Batch) -> (Batch, Arc<Column>) {
    let (numbers, columns) = numbered.columns.split_last().expect("the numbers are a column");
    (Batch { columns: columns.to_vec(), rows: numbered.rows }, numbers.clone())
}

impl Execute for Distinct {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        while self.rest.is_none() {
            rt.check_interrupt()?;
            if let Some(batch) = self.input.next(rt, max.max(64))? {
                let kept = self.first_ones(&batch, rt)?;
                if !kept.is_empty() {
                    return Ok(Some(if kept.len() == batch.rows { batch } else { batch.gather(&kept) }));
                }
                continue;
            }
            let Some(aside) = self.aside.take() else { return Ok(None) };
            self.rest = Some((self.distinct_rest(aside, rt)?, spill::decoder(&self.types)));
        }
        rt.check_interrupt()?;
        let (sorted, decoder) = self.rest.as_mut().expect("the loop ends when it is there");
        while decoder.rows() < max.clamp(1, BATCH_ROWS) {
            let Some((_, row)) = sorted.next()? else { break };
            decoder.append(row)?;
        }
        let batch = take_batch(decoder);
        Ok((batch.rows > 0).then_some(batch))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.seen.clear();
        self.bytes = 0;
        self.aside = None;
        self.rest = None;
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
    /// How often the right side has each row. Without ALL, rows that came through are taken out (INTERSECT) or put in (EXCEPT).
    counts: Option<HashMap<Vec<u8>, u64>>,
    bytes: usize,
    /// Of a part: what was counted before the sides were parted.
    counted: HashMap<Vec<u8>, u64>,
    /// Left rows that are not in the table, which has become too large.
    aside: Option<Parting>,
    /// What is left to do.
    parts: Option<Vec<SetOperation>>,
    /// How often the sides were parted to come here.
    depth: u32,
}

impl SetOperation {
    pub fn new(
        left: Executor,
        right: Executor,
        operator: SetOperator,
        all: bool,
        types: Vec<Type>,
    ) -> SetOperation {
        let (counts, counted, aside, parts) = (None, HashMap::new(), None, None);
        let (bytes, depth) = (0, 0);
        SetOperation { left, right, operator, all, types, counts, bytes, counted, aside, parts, depth }
    }

    fn part(&self, left: Spilled, right: Spilled, counted: HashMap<Vec<u8>, u64>) -> SetOperation {
        let (left, right) = (Box::new(left), Box::new(right));
        let mut part = SetOperation::new(left, right, self.operator, self.all, self.types.clone());
        part.counted = counted;
        part.depth = self.depth + 1;
        part
    }

    fn is_too_much(&self, rt: &Runtime<'_>) -> Result<bool> {
        check_budget(self.bytes, rt, "rows to compare")?;
        Ok(self.depth < DEPTH_MAX && should_spill(self.bytes, &self.types, rt))
    }

    /// `None`: it is too much for memory, and both sides were put into parts.
    fn count_right(&mut self, rt: &Runtime<'_>) -> Result<Option<HashMap<Vec<u8>, u64>>> {
        let mut counts = std::mem::take(&mut self.counted);
        self.bytes = counts.keys().map(|key| key.len() + KEY_OVERHEAD_BYTES).sum();
        while let Some(batch) = self.right.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            let encoded = encode_rows(&batch, &self.types);
            for row in 0..batch.rows {
                let key = encoded.get(row);
                let count = counts.entry_ref(key).or_insert(0);
                if *count == 0 {
                    self.bytes += key.len() + KEY_OVERHEAD_BYTES;
                }
                *count += 1;
            }
            if self.is_too_much(rt)? {
                self.parts = Some(self.part_sides(counts, rt)?);
                return Ok(None);
            }
        }
        Ok(Some(counts))
    }

    /// What was counted already goes to the parts that it belongs to.
    fn part_sides(&mut self, counts: HashMap<Vec<u8>, u64>, rt: &Runtime<'_>) -> Result<Vec<SetOperation>> {
        let mut counted: Vec<HashMap<Vec<u8>, u64>> = vec![HashMap::new(); spill::PARTITIONS];
        for (key, count) in counts {
            counted[spill::partition(&key, self.depth)].insert(key, count);
        }
        let part = |side: &mut Executor| {
            let mut parting = Parting::new(&self.types, self.depth);
            while let Some(batch) = side.next(rt, BATCH_ROWS)? {
                rt.check_interrupt()?;
                let encoded = encode_rows(&batch, &self.types);
                for row in 0..batch.rows {
                    parting.push(Some(encoded.get(row)), &batch, row, rt)?;
                }
            }
            parting.finish()
        };
        let (right, left) = (part(&mut self.right)?, part(&mut self.left)?);
        let sides = left.into_iter().zip(right).zip(counted);
        let needed = sides.filter(|((left, _), _)| !left.is_empty());
        Ok(needed.map(|((left, right), counted)| self.part(left, right, counted)).collect())
    }

    /// The rows of a left batch that come through.
    fn choose(
        &mut self,
        batch: &Batch,
        counts: &mut HashMap<Vec<u8>, u64>,
        rt: &Runtime<'_>,
    ) -> Result<Vec<u32>> {
        let intersect = self.operator == SetOperator::Intersect;
        let encoded = encode_rows(batch, &self.types);
        let mut kept = Vec::new();
        for row in 0..batch.rows {
            let key = encoded.get(row);
            let keep = match (self.all, intersect) {
                (true, _) => match counts.get_mut(key) {
                    Some(count) if *count > 0 => {
                        *count -= 1;
                        intersect
                    }
                    _ => !intersect,
                },
                (false, true) => counts.remove(key).is_some(),
                (false, false) if counts.contains_key(key) => false,
                (false, false) => match &mut self.aside {
                    Some(aside) => {
                        aside.push(Some(key), batch, row, rt)?;
                        false
                    }
                    None => {
                        self.bytes += key.len() + KEY_OVERHEAD_BYTES;
                        counts.insert(key.to_vec(), 1);
                        true
                    }
                },
            };
            if keep {
                kept.push(row as u32);
            }
        }
        if self.aside.is_none() && self.is_too_much(rt)? && !self.all && !intersect {
            self.aside = Some(Parting::new(&self.types, self.depth));
        }
        Ok(kept)
    }
}

impl Execute for SetOperation {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        loop {
            rt.check_interrupt()?;
            if let Some(parts) = &mut self.parts {
                let Some(part) = parts.last_mut() else { return Ok(None) };
                match part.next(rt, max)? {
                    None => drop(parts.pop()),
                    batch => return Ok(batch),
                }
                continue;
            }
            let Some(mut counts) = self.counts.take() else {
                self.counts = self.count_right(rt)?;
                continue;
            };
            let Some(batch) = self.left.next(rt, max.max(64))? else {
                let Some(aside) = self.aside.take() else {
                    self.counts = Some(counts);
                    return Ok(None);
                };
                drop(counts);
                let left = aside.finish()?.into_iter().filter(|left| !left.is_empty());
                let part = |left| self.part(left, Spilled::empty(), HashMap::new());
                self.parts = Some(left.map(part).collect());
                continue;
            };
            let kept = self.choose(&batch, &mut counts, rt)?;
            self.counts = Some(counts);
            if !kept.is_empty() {
                return Ok(Some(batch.gather(&kept)));
            }
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.counts = None;
        self.counted.clear();
        self.aside = None;
        self.parts = None;
        self.left.rescan(rt)?;
        self.right.rescan(rt)
    }
}
