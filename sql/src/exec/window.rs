//! Window functions: all rows are read, sorted by each window's PARTITION BY and ORDER BY in turn, and every call is computed partition by
//! partition. Rows come out in the order of the window that was sorted last: the one with the fewest keys, as in PostgreSQL.
//!
//! An aggregate over a frame that starts at the partition's first row is carried on from row to row; over any other frame it is
//! computed anew where the frame differs from the row's before.

use super::basic::check_budget;
use super::eval::{eval, operand_get, row_value, scalar_of};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use super::sort::{Collected, Encoded, encode_keys, encode_values};
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::{Error, Result, SqlState};
use crate::functions::{Body, Operand, WindowFunction};
use crate::parse::ast::{FrameExclude, FrameUnits};
use crate::plan::logical::{FrameBound, RangeOffsets, WindowFrame};
use crate::plan::node::WindowCall;
use crate::types::{Datum, Type, compare_as};
use std::cmp::Ordering;
use std::sync::Arc;

pub struct Window {
    input: Executor,
    calls: Arc<[WindowCall]>,
    types: Vec<Type>,
    result: Option<Batch>,
    at: usize,
}

/// One partition's rows in order, with their peer groups.
struct Partition<'a> {
    rows: &'a [u32],
    /// Of each peer group: its first row's place and the one after its last.
    peers: Vec<(usize, usize)>,
    /// By place: the peer group.
    group: Vec<usize>,
}

/// A call's arguments over all rows.
struct Prepared {
    arguments: Vec<Operand>,
    filter: Option<Operand>,
    start: Option<Datum>,
    end: Option<Datum>,
    /// RANGE with offsets: the ORDER BY column.
    range: Option<Operand>,
}

impl Window {
    pub fn new(input: Executor, calls: Arc<[WindowCall]>, types: Vec<Type>) -> Window {
        Window { input, calls, types, result: None, at: 0 }
    }

    fn compute(&mut self, rt: &Runtime<'_>) -> Result<Batch> {
        let mut collected = Collected::new(&self.types);
        while let Some(batch) = self.input.next(rt, BATCH_ROWS)? {
            rt.check_interrupt()?;
            collected.append(&batch);
            check_budget(collected.bytes(), rt, "rows of a window")?;
        }
        let batch = collected.finish();
        let calls = self.calls.clone();
        let mut windows = windows_of(&calls);
        windows.sort_by_key(|members| {
            let first = &calls[members[0]];
            std::cmp::Reverse(first.partition_by.len() + first.order_by.len())
        });
        let mut order: Vec<u32> = (0..batch.rows as u32).collect();
        let mut made: Vec<Option<Column>> = calls.iter().map(|_| None).collect();
        for members in windows {
            let first = &calls[members[0]];
            let partition_keys = encode_values(&first.partition_by, &batch, rt)?;
            let order_keys = encode_keys(&first.order_by, &batch, rt)?;
            order.sort_by(|a, b| {
                let (a, b) = (*a as usize, *b as usize);
                partition_keys
                    .get(a)
                    .cmp(partition_keys.get(b))
                    .then_with(|| order_keys.get(a).cmp(order_keys.get(b)))
            });
            for at in members {
                let call = &calls[at];
                let prepared = Prepared::new(call, &batch, rt)?;
                let mut values = vec![Datum::Null; batch.rows];
                let mut from = 0;
                while from < order.len() {
                    let key = partition_keys.get(order[from] as usize);
                    let more =
                        order[from..].iter().take_while(|row| partition_keys.get(**row as usize) == key);
                    let to = from + more.count();
                    let partition = Partition::new(&order[from..to], &order_keys);
                    partition.compute(call, &prepared, &mut values, rt)?;
                    from = to;
                }
                let mut column = Column::with_capacity(call.call.result.repr(), batch.rows);
                values.iter().for_each(|value| column.push_datum(value));
                made[at] = Some(column);
            }
        }
        let mut columns = batch.columns;
        for column in made {
            let column = column.ok_or_else(|| Error::internal("a window call was not computed"))?;
            columns.push(Arc::new(column));
        }
        Ok(Batch { columns, rows: batch.rows }.gather(&order))
    }
}

/// Calls with the same PARTITION BY and ORDER BY share a sort.
fn windows_of(calls: &[WindowCall]) -> Vec<Vec<usize>> {
    let same = |a: &WindowCall, b: &WindowCall| {
        a.partition_by.len() == b.partition_by.len()
            && a.order_by.len() == b.order_by.len()
            && a.partition_by.iter().zip(&b.partition_by).all(|(a, b)| a.same(b))
            && a.order_by.iter().zip(&b.order_by).all(|(a, b)| {
                a.expr.same(&b.expr) && a.descending == b.descending && a.nulls_first == b.nulls_first
            })
    };
    let mut windows: Vec<Vec<usize>> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        match windows.iter_mut().find(|members| same(&calls[members[0]], call)) {
            Some(members) => members.push(at),
            None => windows.push(vec![at]),
        }
    }
    windows
}

impl Prepared {
    fn new(call: &WindowCall, batch: &Batch, rt: &Runtime<'_>) -> Result<Prepared> {
        let arguments = call.call.arguments.iter().map(|a| eval(a, batch, rt)).collect::<Result<Vec<_>>>()?;
        let filter = call.call.filter.as_ref().map(|filter| eval(filter, batch, rt)).transpose()?;
        let offset = |bound: &FrameBound, what: &str| -> Result<Option<Datum>> {
            let (FrameBound::Preceding(expr) | FrameBound::Following(expr)) = bound else { return Ok(None) };
            let value = row_value(expr, &[], rt)?;
            if value.is_null() {
                let message = format!("frame {what} offset must not be null");
                return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
            }
            if is_negative(&value) {
                let in_range = call.frame.as_ref().is_some_and(|frame| frame.range.is_some());
                return Err(match in_range {
                    true => Error::new(
                        SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                        "invalid preceding or following size in window function",
                    ),
                    false => Error::new(
                        SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                        format!("frame {what} offset must not be negative"),
                    ),
                });
            }
            Ok(Some(value))
        };
        let (mut start, mut end, mut range) = (None, None, None);
        if let Some(frame) = &call.frame
            && batch.rows > 0
        {
            start = offset(&frame.start, "starting")?;
            end = offset(&frame.end, "ending")?;
            if let Some(offsets) = &frame.range {
                range = Some(eval(&offsets.key, batch, rt)?);
            }
        }
        Ok(Prepared { arguments, filter, start, end, range })
    }

    fn argument(&self, at: usize, row: u32) -> Datum {
        self.arguments.get(at).map_or(Datum::Null, |argument| operand_get(argument, row as usize))
    }

    fn takes(&self, row: u32) -> bool {
        self.filter.as_ref().is_none_or(|filter| operand_get(filter, row as usize).as_bool() == Some(true))
    }
}

fn is_negative(value: &Datum) -> bool {
    match value {
        Datum::Float8(value) => *value < 0.0 || value.is_nan(),
        Datum::Numeric(value) => value.signum() < 0,
        Datum::Interval(value) => value.span() < 0,
        value => value.as_integer().is_some_and(|value| value < 0),
    }
}

impl<'a> Partition<'a> {
    fn new(rows: &'a [u32], keys: &Encoded) -> Partition<'a> {
        let mut peers: Vec<(usize, usize)> = Vec::new();
        let mut group = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            match peers.last_mut() {
                Some(last) if keys.get(rows[last.0] as usize) == keys.get(*row as usize) => last.1 = at + 1,
                _ => peers.push((at, at + 1)),
            }
            group.push(peers.len() - 1);
        }
        Partition { rows, peers, group }
    }

    fn peers_of(&self, at: usize) -> (usize, usize) {
        self.peers[self.group[at]]
    }

    fn compute(
        &self,
        call: &WindowCall,
        prepared: &Prepared,
        values: &mut [Datum],
        rt: &Runtime<'_>,
    ) -> Result<()> {
        let function = match &call.call.function.body {
            Body::Window(function) => *function,
            _ => return self.aggregate(call, prepared, values, rt),
        };
        let count = self.rows.len();
        if function == WindowFunction::Ntile {
            return self.ntile(prepared, values);
        }
        for at in 0..count {
            if at % 1024 == 0 {
                rt.check_interrupt()?;
            }
            let row = self.rows[at];
            let (first, last) = self.peers_of(at);
            values[row as usize] = match function {
                WindowFunction::RowNumber => Datum::Int8(at as i64 + 1),
                WindowFunction::Rank => Datum::Int8(first as i64 + 1),
                WindowFunction::DenseRank => Datum::Int8(self.group[at] as i64 + 1),
                WindowFunction::PercentRank if count <= 1 => Datum::Float8(0.0),
                WindowFunction::PercentRank => Datum::Float8(first as f64 / (count - 1) as f64),
                WindowFunction::CumeDist => Datum::Float8(last as f64 / count as f64),
                WindowFunction::Lag | WindowFunction::Lead => {
                    let offset = match prepared.arguments.len() {
                        0 | 1 => Some(1),
                        _ => prepared.argument(1, row).as_integer(),
                    };
                    let Some(offset) = offset else { continue };
                    let offset = if function == WindowFunction::Lag { -offset } else { offset };
                    match usize::try_from(at as i64 + offset).ok().and_then(|place| self.rows.get(place)) {
                        Some(other) => prepared.argument(0, *other),
                        None => prepared.argument(2, row),
                    }
                }
                WindowFunction::FirstValue | WindowFunction::LastValue | WindowFunction::NthValue => {
                    let frame = self.frame(at, call.frame.as_ref(), prepared, rt)?;
                    let mut places = self.within(frame, at, call.frame.as_ref());
                    let place = match function {
                        WindowFunction::FirstValue => places.next(),
                        WindowFunction::LastValue => places.last(),
                        _ => match prepared.argument(1, row).as_integer() {
                            None => None,
                            Some(nth) if nth <= 0 => {
                                return Err(Error::new(
                                    SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE,
                                    "argument of nth_value must be greater than zero",
                                ));
                            }
                            Some(nth) => places.nth(nth as usize - 1),
                        },
                    };
                    place.map_or(Datum::Null, |place| prepared.argument(0, self.rows[place]))
                }
                WindowFunction::Ntile => Datum::Null,
            };
        }
        Ok(())
    }

    fn ntile(&self, prepared: &Prepared, values: &mut [Datum]) -> Result<()> {
        let Some(buckets) = self.rows.first().and_then(|row| prepared.argument(0, *row).as_integer()) else {
            return Ok(());
        };
        if buckets <= 0 {
            return Err(Error::new(
                SqlState::INVALID_ARGUMENT_FOR_NTILE,
                "argument of ntile must be greater than zero",
            ));
        }
        let count = self.rows.len() as i64;
        let (size, larger) = (count / buckets, count % buckets);
        for (at, row) in self.rows.iter().enumerate() {
            let at = at as i64;
            // The first `larger` buckets have one row more.
            let bucket = match at < larger * (size + 1) {
                true => at / (size + 1),
                false => larger + (at - larger * (size + 1)) / size.max(1),
            };
            values[*row as usize] = Datum::Int4(bucket as i32 + 1);
        }
        Ok(())
    }

    /// The frame's first place and the one after its last, exclusion aside.
    fn frame(
        &self,
        at: usize,
        frame: Option<&WindowFrame>,
        prepared: &Prepared,
        rt: &Runtime<'_>,
    ) -> Result<(usize, usize)> {
        let Some(frame) = frame else { return Ok((0, self.peers_of(at).1)) };
        let start = self.bound(at, &frame.start, prepared.start.as_ref(), false, frame, prepared, rt)?;
        let end = self.bound(at, &frame.end, prepared.end.as_ref(), true, frame, prepared, rt)?;
        Ok((start, end.max(start)))
    }

    #[allow(clippy::too_many_arguments)]
    fn bound(
        &self,
        at: usize,
        bound: &FrameBound,
        offset: Option<&Datum>,
        is_end: bool,
        frame: &WindowFrame,
        prepared: &Prepared,
        rt: &Runtime<'_>,
    ) -> Result<usize> {
        let count = self.rows.len();
        let preceding = match bound {
            FrameBound::UnboundedPreceding => return Ok(0),
            FrameBound::UnboundedFollowing => return Ok(count),
            FrameBound::CurrentRow => {
                return Ok(match (frame.units, is_end) {
                    (FrameUnits::Rows, false) => at,
                    (FrameUnits::Rows, true) => at + 1,
                    (_, false) => self.peers_of(at).0,
                    (_, true) => self.peers_of(at).1,
                });
            }
            FrameBound::Preceding(_) => true,
            FrameBound::Following(_) => false,
        };
        let offset = offset.ok_or_else(|| Error::internal("a frame's offset was not evaluated"))?;
        if let (FrameUnits::Range, Some(range)) = (frame.units, &frame.range) {
            return self.range_bound(at, range, offset, preceding, is_end, prepared, rt);
        }
        let steps = offset.as_integer().unwrap_or(0);
        let steps = if preceding { -i128::from(steps) } else { i128::from(steps) };
        let units = match frame.units {
            FrameUnits::Groups => self.peers.len(),
            _ => count,
        };
        let here = match frame.units {
            FrameUnits::Groups => self.group[at],
            _ => at,
        };
        let place = here as i128 + steps + i128::from(is_end);
        let place = place.clamp(0, units as i128) as usize;
        Ok(match frame.units {
            FrameUnits::Groups => self.peers.get(place).map_or(count, |(first, _)| *first),
            _ => place,
        })
    }

    /// The place where values reach the current one plus or minus the offset.
    #[allow(clippy::too_many_arguments)]
    fn range_bound(
        &self,
        at: usize,
        range: &RangeOffsets,
        offset: &Datum,
        preceding: bool,
        is_end: bool,
        prepared: &Prepared,
        rt: &Runtime<'_>,
    ) -> Result<usize> {
        let value_at = |place: usize| {
            let row = self.rows[place] as usize;
            prepared.range.as_ref().map_or(Datum::Null, |keys| operand_get(keys, row))
        };
        let value = value_at(at);
        if value.is_null() {
            let (first, last) = self.peers_of(at);
            return Ok(if is_end { last } else { first });
        }
        let function = if preceding != range.descending { range.minus } else { range.plus };
        let limit = match scalar_of(function)?(&[value, offset.clone()], &rt.context.eval) {
            Ok(limit) => limit,
            // Beyond what the type can hold: nothing lies there.
            Err(error) if error.state().0.starts_with(b"22") => {
                return Ok(match preceding {
                    true => self.first_value(&value_at),
                    false => self.last_value(&value_at),
                });
            }
            Err(error) => return Err(error),
        };
        let (low, high) = (self.first_value(&value_at), self.last_value(&value_at));
        let side = |place: usize| {
            let order = compare_as(&value_at(place), &limit, range.data_type);
            if range.descending { order.reverse() } else { order }
        };
        // Values come in order: search for the first beyond the limit (or at it).
        let (mut from, mut to) = (low, high);
        while from < to {
            let middle = from + (to - from) / 2;
            let before = match side(middle) {
                Ordering::Less => true,
                Ordering::Equal => is_end,
                Ordering::Greater => false,
            };
            if before {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Ok(from)
    }

    /// Nulls come all first or all last.
    fn first_value(&self, value_at: &dyn Fn(usize) -> Datum) -> usize {
        match self.peers.first() {
            Some((first, last)) if value_at(*first).is_null() => *last,
            _ => 0,
        }
    }
    fn last_value(&self, value_at: &dyn Fn(usize) -> Datum) -> usize {
        match self.peers.last() {
            Some((first, _)) if value_at(*first).is_null() => *first,
            _ => self.rows.len(),
        }
    }

    /// A frame's places without those that EXCLUDE leaves out.
    fn within(
        &self,
        (start, end): (usize, usize),
        at: usize,
        frame: Option<&WindowFrame>,
    ) -> impl Iterator<Item = usize> + use<> {
        let (first, last) = self.peers_of(at);
        let exclude = frame.map_or(FrameExclude::NoOthers, |frame| frame.exclude);
        (start..end).filter(move |place| match exclude {
            FrameExclude::NoOthers => true,
            FrameExclude::CurrentRow => *place != at,
            FrameExclude::Group => *place < first || *place >= last,
            FrameExclude::Ties => *place == at || *place < first || *place >= last,
        })
    }

    fn aggregate(
        &self,
        call: &WindowCall,
        prepared: &Prepared,
        values: &mut [Datum],
        rt: &Runtime<'_>,
    ) -> Result<()> {
        let Body::Aggregate(aggregate) = &call.call.function.body else {
            return Err(Error::internal(format!("{} is not an aggregate", call.call.function.name)));
        };
        let types: Vec<Type> = call.call.arguments.iter().map(|argument| argument.data_type()).collect();
        let frame = call.frame.as_ref();
        let excludes = frame.is_some_and(|frame| frame.exclude != FrameExclude::NoOthers);
        let from_first = frame.is_none_or(|frame| matches!(frame.start, FrameBound::UnboundedPreceding));
        // These give their state away with their result.
        let consumed = matches!(call.call.function.name, "string_agg" | "array_agg");
        let mut state = (aggregate.new)(&types);
        let mut last: Option<((usize, usize), Datum)> = None;
        let mut added = 0;
        for at in 0..self.rows.len() {
            if at % 64 == 0 {
                rt.check_interrupt()?;
            }
            let row = self.rows[at] as usize;
            let place = self.frame(at, frame, prepared, rt)?;
            if let (Some((known, value)), false) = (&last, excludes)
                && *known == place
            {
                values[row] = value.clone();
                continue;
            }
            let carries = from_first && !excludes && !consumed && place.1 >= added;
            let chosen: Vec<u32> = match carries {
                true => self.rows[added..place.1].to_vec(),
                false => {
                    state = (aggregate.new)(&types);
                    self.within(place, at, frame).map(|place| self.rows[place]).collect()
                }
            };
            added = place.1;
            let chosen: Vec<u32> = chosen.into_iter().filter(|row| prepared.takes(*row)).collect();
            if !chosen.is_empty() {
                state.add(&prepared.arguments, &chosen, &rt.context.eval)?;
            }
            let value = state.finish(&rt.context.eval)?;
            values[row] = value.clone();
            last = Some((place, value));
        }
        Ok(())
    }
}

impl Execute for Window {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if self.result.is_none() {
            self.result = Some(self.compute(rt)?);
            self.at = 0;
        }
        let Some(result) = &self.result else { return Ok(None) };
        if self.at >= result.rows {
            return Ok(None);
        }
        let end = result.rows.min(self.at + max.clamp(1, BATCH_ROWS));
        let batch = result.slice(self.at, end - self.at);
        self.at = end;
        Ok(Some(batch))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.result = None;
        self.input.rescan(rt)
    }
}
