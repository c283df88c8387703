//! GROUP BY and aggregates, by hashing the groups' encoded keys. No grouping: one group, also of no rows. Grouping sets have a table of groups
//! each, all filled in one pass over the input. Rows of groups that there is no memory for wait in temporary files (`spill.rs`).

use super::basic::check_budget;
use super::eval::{eval, operand_column};
use super::key_index::KeyIndex;
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::{Collected, Encoded, encode_columns, encode_keys};
use super::spill::{DEPTH_MAX, Parting, should_spill};
use crate::column::{BATCH_ROWS, Batch, Column, NO_ROW, Values};
use crate::error::{Error, Result};
use crate::functions::{Accumulator, AggregateKind, Body, Operand};
use crate::plan::node::{Aggregate, Call};
use crate::table::key::{KeyOrder, encode};
use crate::types::{Datum, Type};
use hashbrown::HashSet;
use std::sync::Arc;

pub struct HashAggregate {
    input: Executor,
    aggregate: Arc<Aggregate>,
    types: Vec<Type>,
    input_types: Vec<Type>,
    result: Option<Batch>,
    at: usize,
    done: bool,
    /// Aggregates over the rows that were put into files, one after the other.
    parts: Vec<HashAggregate>,
    /// Of several grouping sets, the one that a part is of.
    only: Option<usize>,
    /// How often rows were parted to come here.
    depth: u32,
}

impl HashAggregate {
    pub fn new(
        input: Executor,
        aggregate: Arc<Aggregate>,
        types: Vec<Type>,
        input_types: Vec<Type>,
    ) -> HashAggregate {
        let (result, at, done, parts, only, depth) = (None, 0, false, Vec::new(), None, 0);
        HashAggregate { input, aggregate, types, input_types, result, at, done, parts, only, depth }
    }

    fn compute(&mut self, rt: &Runtime<'_>) -> Result<Batch> {
        let aggregate = self.aggregate.clone();
        let width = aggregate.groups.len();
        let all: Vec<usize> = (0..width).collect();
        let sets: Vec<&[usize]> = match aggregate.sets.is_empty() {
            true => vec![&all],
            false if let Some(only) = self.only => vec![&aggregate.sets[only]],
            false => aggregate.sets.iter().map(Vec::as_slice).collect(),
        };
        let mut tables = sets
            .iter()
            .map(|set| GroupTable::new(set, &self.types[..width], &aggregate.calls))
            .collect::<Result<Vec<_>>>()?;
        let may_spill = sets.iter().any(|set| !set.is_empty()) && self.depth < DEPTH_MAX;
        // Each grouping set parts the rows for itself.
        let mut partings: Vec<Option<Parting>> = sets.iter().map(|_| None).collect();
        let mut spills = false;
        while let Some(batch) = self.input.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            if batch.rows == 0 {
                continue;
            }
            let columns = aggregate
                .groups
                .iter()
                .map(|expr| {
                    let data_type = expr.data_type();
                    let value = operand_column(eval(expr, &batch, rt)?, data_type.repr(), batch.rows);
                    Ok((value, data_type, KeyOrder::ASCENDING))
                })
                .collect::<Result<Vec<_>>>()?;
            for (table, parting) in tables.iter_mut().zip(&mut partings) {
                table.assign(&columns, &batch, &aggregate.calls, parting, rt)?;
            }
            for (at, call) in aggregate.calls.iter().enumerate() {
                let prepared = Prepared::new(call, &batch, rt)?;
                for table in &mut tables {
                    for (group, rows) in &table.members[..table.used] {
                        table.states[*group as usize][at].add(call, &prepared, rows, rt)?;
                    }
                }
            }
            let mut held = 0;
            for table in &tables {
                // Sizes of accumulators are asked only now and then: it is a walk over all of them.
                held += match table.states.len() > BATCH_ROWS {
                    true => table.groups.bytes() + table.states.len() * aggregate.calls.len() * 96,
                    false => {
                        table.groups.bytes() + table.states.iter().flatten().map(State::bytes).sum::<usize>()
                    }
                };
            }
            if !spills && may_spill && should_spill(held, &self.input_types, rt) {
                spills = true;
                partings.fill_with(|| Some(Parting::new(&self.input_types, self.depth)));
            }
            check_budget(held, rt, "groups")?;
        }
        for (set, parting) in partings.into_iter().enumerate() {
            let Some(parting) = parting else { continue };
            let only = self.only.or_else(|| (!aggregate.sets.is_empty()).then_some(set));
            let part = |rows| {
                let (types, input_types) = (self.types.clone(), self.input_types.clone());
                let mut part = HashAggregate::new(Box::new(rows), aggregate.clone(), types, input_types);
                part.depth = self.depth + 1;
                part.only = only;
                part
            };
            self.parts.extend(parting.finish()?.into_iter().filter(|rows| !rows.is_empty()).map(part));
        }
        let rows = tables.iter().map(|table| table.states.len()).sum();
        let mut columns: Vec<Column> =
            self.types.iter().map(|t| Column::with_capacity(t.repr(), rows)).collect();
        for table in &mut tables {
            let (keys, rest) = columns.split_at_mut(width);
            let count = table.states.len();
            for (at, key) in keys.iter_mut().enumerate() {
                for row in 0..count {
                    match table.set.contains(&at) {
                        true => key.push_from(&table.keys[at], row),
                        false => key.push_datum(&Datum::Null),
                    }
                }
            }
            let (called, groupings) = rest.split_at_mut(aggregate.calls.len());
            for states in &mut table.states {
                for ((state, call), column) in states.iter_mut().zip(&aggregate.calls).zip(&mut *called) {
                    column.push_datum(&state.finish(call, rt)?);
                }
            }
            for (column, groups) in groupings.iter_mut().zip(&aggregate.groupings) {
                let mask =
                    groups.iter().fold(0, |mask, group| mask << 1 | i32::from(!table.set.contains(group)));
                (0..count).for_each(|_| column.push_datum(&Datum::Int4(mask)));
            }
        }
        let batch = Batch { columns: columns.into_iter().map(Arc::new).collect(), rows };
        Ok(match nesting(&sets) {
            None => batch,
            Some(order) => in_order(&batch, &tables, &order),
        })
    }
}

/// Sets each of which lies within another, as ROLLUP makes them: the groups in the order in which a sort would find them, so that totals follow what
/// they are totals of. (Nothing promises it; PostgreSQL's plans mostly yield it.)
fn nesting(sets: &[&[usize]]) -> Option<Vec<usize>> {
    if sets.len() < 2 {
        return None;
    }
    let mut by_size = sets.to_vec();
    by_size.sort_by_key(|set| set.len());
    let mut order: Vec<usize> = Vec::new();
    for set in by_size {
        if !order.iter().all(|group| set.contains(group)) {
            return None;
        }
        order.extend(set.iter().filter(|group| !order.contains(group)).copied().collect::<Vec<_>>());
    }
    Some(order)
}

fn in_order(batch: &Batch, tables: &[GroupTable<'_>], order: &[usize]) -> Batch {
    /// Above every value, and above null.
    const ABSENT: u8 = 0xff;
    let mut keys: Vec<(Vec<u8>, u32)> = Vec::with_capacity(batch.rows);
    for table in tables {
        for row in 0..table.states.len() {
            let mut key = Vec::new();
            for at in order {
                match table.set.contains(at) {
                    true => {
                        encode(&table.keys[*at].get(row), table.types[*at], KeyOrder::ASCENDING, &mut key)
                    }
                    false => key.push(ABSENT),
                }
            }
            keys.push((key, keys.len() as u32));
        }
    }
    keys.sort();
    batch.gather(&keys.into_iter().map(|(_, row)| row).collect::<Vec<u32>>())
}

/// The groups of one grouping set.
struct GroupTable<'s> {
    /// Which of the grouping expressions tell its groups apart.
    set: &'s [usize],
    groups: KeyIndex,
    /// By grouping expression; those of the set are filled.
    keys: Vec<Column>,
    types: Vec<Type>,
    states: Vec<Vec<State>>,
    /// The rows of the batch at hand, by group: the first `used`. The others are kept for their room.
    members: Vec<(u32, Vec<u32>)>,
    used: usize,
    /// By group: its place among the members, or `NO_ROW`.
    places: Vec<u32>,
}

impl<'s> GroupTable<'s> {
    fn new(set: &'s [usize], types: &[Type], calls: &[Call]) -> Result<GroupTable<'s>> {
        let mut states = Vec::new();
        if set.is_empty() {
            states.push(new_states(calls)?);
        }
        Ok(GroupTable {
            set,
            groups: KeyIndex::default(),
            keys: types.iter().map(|t| Column::with_capacity(t.repr(), 0)).collect(),
            types: types.to_vec(),
            states,
            members: Vec::new(),
            used: 0,
            places: Vec::new(),
        })
    }

    fn assign(
        &mut self,
        columns: &[(Arc<Column>, Type, KeyOrder)],
        batch: &Batch,
        calls: &[Call],
        parting: &mut Option<Parting>,
        rt: &Runtime<'_>,
    ) -> Result<()> {
        let rows = batch.rows;
        for (group, _) in &self.members[..self.used] {
            self.places[*group as usize] = NO_ROW;
        }
        self.used = 0;
        if self.set.is_empty() {
            self.places.resize(1, NO_ROW);
            (0..rows as u32).for_each(|row| self.add_member(0, row));
            return Ok(());
        }
        let own;
        let columns_of_set = match self.set.len() == columns.len() {
            true => columns,
            false => {
                own = self.set.iter().map(|at| columns[*at].clone()).collect::<Vec<_>>();
                &own
            }
        };
        let encoded = encode_columns(columns_of_set, rows);
        for row in 0..rows {
            let key = encoded.get(row);
            let group = match parting {
                // No room for more groups.
                Some(parting) => match self.groups.get(key) {
                    Some(group) => group,
                    None => {
                        parting.push(Some(key), batch, row, rt)?;
                        continue;
                    }
                },
                None => {
                    let (group, is_new) = self.groups.insert(key);
                    if is_new {
                        for at in self.set {
                            self.keys[*at].push_from(&columns[*at].0, row);
                        }
                        self.states.push(new_states(calls)?);
                        self.places.push(NO_ROW);
                    }
                    group
                }
            };
            self.add_member(group, row as u32);
        }
        Ok(())
    }

    fn add_member(&mut self, group: u32, row: u32) {
        let place = &mut self.places[group as usize];
        if *place == NO_ROW {
            *place = self.used as u32;
            if self.used == self.members.len() {
                self.members.push((group, Vec::new()));
            }
            let member = &mut self.members[self.used];
            member.0 = group;
            member.1.clear();
            self.used += 1;
        }
        self.members[*place as usize].1.push(row);
    }
}

impl Execute for HashAggregate {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if !self.done {
            self.result = Some(self.compute(rt)?);
            self.done = true;
            self.at = 0;
        }
        let Some(result) = self.result.as_ref().filter(|result| self.at < result.rows) else {
            self.result = None;
            while let Some(part) = self.parts.last_mut() {
                if let Some(batch) = part.next(rt, max)? {
                    return Ok(Some(batch));
                }
                self.parts.pop();
            }
            return Ok(None);
        };
        let end = result.rows.min(self.at + max.clamp(1, BATCH_ROWS));
        let batch = match (self.at, end == result.rows) {
            (0, true) => result.clone(),
            _ => result.slice(self.at, end - self.at),
        };
        self.at = end;
        Ok(Some(batch))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.done = false;
        self.result = None;
        self.parts.clear();
        self.input.rescan(rt)
    }
}

fn new_states(calls: &[Call]) -> Result<Vec<State>> {
    calls.iter().map(State::new).collect()
}

/// A call's arguments over one batch.
struct Prepared {
    arguments: Vec<Operand>,
    /// FILTER: which rows take part.
    filter: Option<Operand>,
    /// Encoded arguments (DISTINCT), encoded ORDER BY.
    distinct: Option<Encoded>,
    order: Option<Encoded>,
    /// The direct arguments of a hypothetical-set aggregate, encoded as its ORDER BY.
    hypothetical: Option<Encoded>,
}

fn is_hypothetical(call: &Call) -> bool {
    matches!(&call.function.body, Body::Aggregate(aggregate) if aggregate.kind == AggregateKind::Hypothetical)
}

impl Prepared {
    fn new(call: &Call, batch: &Batch, rt: &Runtime<'_>) -> Result<Prepared> {
        let filter = call.filter.as_ref().map(|filter| eval(filter, batch, rt)).transpose()?;
        let arguments = call.arguments.iter().map(|a| eval(a, batch, rt)).collect::<Result<Vec<_>>>()?;
        let distinct = call.distinct.then(|| {
            let columns: Vec<_> = call
                .arguments
                .iter()
                .zip(&arguments)
                .map(|(expr, value)| {
                    let data_type = expr.data_type();
                    let column = operand_column(value.clone(), data_type.repr(), batch.rows);
                    (column, data_type, KeyOrder::ASCENDING)
                })
                .collect();
            encode_columns(&columns, batch.rows)
        });
        let order = match call.order_by.is_empty() {
            true => None,
            false => Some(encode_keys(&call.order_by, batch, rt)?),
        };
        let hypothetical = is_hypothetical(call).then(|| {
            let direct = call.arguments.iter().zip(&arguments).zip(&call.order_by);
            let columns: Vec<_> = direct
                .map(|((expr, value), key)| {
                    let data_type = expr.data_type();
                    let order = KeyOrder { descending: key.descending, nulls_first: key.nulls_first };
                    (operand_column(value.clone(), data_type.repr(), batch.rows), data_type, order)
                })
                .collect();
            encode_columns(&columns, batch.rows)
        });
        Ok(Prepared { arguments, filter, distinct, order, hypothetical })
    }
}

/// One group's state of one call.
struct State {
    accumulator: Box<dyn Accumulator>,
    seen: Option<HashSet<Vec<u8>>>,
    /// Rows held back to be added in order: sort key, arguments.
    held: Vec<(Vec<u8>, Vec<Datum>)>,
    /// Of a hypothetical-set aggregate: the row whose place is asked for.
    hypothetical: Option<Vec<u8>>,
}

impl State {
    fn new(call: &Call) -> Result<State> {
        let Body::Aggregate(aggregate) = &call.function.body else {
            return Err(Error::internal(format!("{} is not an aggregate", call.function.name)));
        };
        let types: Vec<Type> = call.arguments.iter().map(|argument| argument.data_type()).collect();
        Ok(State {
            accumulator: (aggregate.new)(&types),
            seen: call.distinct.then(HashSet::new),
            held: Vec::new(),
            hypothetical: None,
        })
    }

    fn bytes(&self) -> usize {
        let seen: usize = self.seen.iter().flatten().map(|key| key.len() + 32).sum();
        self.accumulator.bytes() + seen + self.held.len() * 128
    }

    fn add(&mut self, call: &Call, prepared: &Prepared, rows: &[u32], rt: &Runtime<'_>) -> Result<()> {
        let mut chosen;
        let mut rows = rows;
        if prepared.filter.is_some() || self.seen.is_some() {
            chosen = rows.to_vec();
            if let Some(filter) = &prepared.filter {
                chosen.retain(|row| super::eval::operand_get(filter, *row as usize).as_bool() == Some(true));
            }
            if let (Some(seen), Some(encoded)) = (&mut self.seen, &prepared.distinct) {
                chosen.retain(|row| {
                    let key = encoded.get(*row as usize);
                    !seen.contains(key) && seen.insert(key.to_vec())
                });
            }
            rows = &chosen;
        }
        if rows.is_empty() {
            return Ok(());
        }
        if let Some(order) = &prepared.order {
            if let Some(encoded) = &prepared.hypothetical {
                for row in rows {
                    let key = encoded.get(*row as usize);
                    if *self.hypothetical.get_or_insert_with(|| key.to_vec()) != key {
                        return Err(crate::functions::ordered_set::varying());
                    }
                    self.held.push((order.get(*row as usize).to_vec(), Vec::new()));
                }
                return Ok(());
            }
            for row in rows {
                let values =
                    prepared.arguments.iter().map(|a| super::eval::operand_get(a, *row as usize)).collect();
                self.held.push((order.get(*row as usize).to_vec(), values));
            }
            let _ = call;
            return Ok(());
        }
        self.accumulator.add(&prepared.arguments, rows, &rt.context.eval)
    }

    /// Says of each row where it stands to the hypothetical one, and whether it differs from the one before.
    fn finish_hypothetical(
        &mut self,
        held: &[(Vec<u8>, Vec<Datum>)],
        key: &[u8],
        rt: &Runtime<'_>,
    ) -> Result<Datum> {
        let standing = held.iter().map(|(row, _)| row.as_slice().cmp(key) as i32).collect();
        let differs = (0..held.len()).map(|row| row == 0 || held[row - 1].0 != held[row].0).collect();
        let operands = [Values::Int4(standing), Values::Bool(differs)]
            .map(|values| Operand::Column(Arc::new(Column::new(values))));
        let rows: Vec<u32> = (0..held.len() as u32).collect();
        self.accumulator.add(&operands, &rows, &rt.context.eval)?;
        self.accumulator.finish(&rt.context.eval)
    }

    fn finish(&mut self, call: &Call, rt: &Runtime<'_>) -> Result<Datum> {
        if !self.held.is_empty() {
            let mut held = std::mem::take(&mut self.held);
            held.sort_by(|a, b| a.0.cmp(&b.0));
            if let Some(key) = self.hypothetical.take() {
                return self.finish_hypothetical(&held, &key, rt);
            }
            let types: Vec<Type> = call.arguments.iter().map(|argument| argument.data_type()).collect();
            let mut collected = Collected::new(&types);
            let rows: Vec<Vec<Datum>> = held.into_iter().map(|(_, values)| values).collect();
            collected.append(&super::basic::datums_to_batch(&rows, &types));
            let batch = collected.finish();
            let operands: Vec<Operand> = batch.columns.iter().cloned().map(Operand::Column).collect();
            let rows: Vec<u32> = (0..batch.rows as u32).collect();
            self.accumulator.add(&operands, &rows, &rt.context.eval)?;
        }
        self.accumulator.finish(&rt.context.eval)
    }
}
