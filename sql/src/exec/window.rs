//! Window functions. The windows of a query are computed one after another, each from a sort by its PARTITION BY and ORDER BY (none where
//! the rows have that order already); rows come out in the order of the window that was sorted last: the one with the fewest keys, as in
//! PostgreSQL.
//!
//! A partition may be larger than memory: its rows, with what the calls take from them, go to a [`RowStore`], and what is known of each is
//! whether a group of peers begins with it. Rows are known by their place in it. Small partitions share one.
//!
//! An aggregate over a frame that starts at the partition's first row is carried on from row to row; over any other frame it is
//! computed anew where the frame differs from the row's before.

use super::basic::Project;
use super::eval::{eval, operand_column, row_value, scalar_of};
use super::operator::{Execute, Executor};
use super::row_store::RowStore;
use super::runtime::Runtime;
use super::sort::{Sort, encode_keys, encode_values};
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::functions::{Accumulator, Aggregate, Body, Operand, WindowFunction};
use crate::parse::ast::{FrameExclude, FrameUnits};
use crate::plan::logical::{FrameBound, RangeOffsets, WindowFrame};
use crate::plan::node::{Key, WindowCall};
use crate::types::{Datum, Type, compare_as};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A segment ends with the first partition that ends beyond this many rows.
const SEGMENT_ROWS: usize = 16 * BATCH_ROWS;
/// Pieces of a segment that are held in memory besides: those of the row itself, of its frame's two ends, and of what LAG asks for.
const HELD_PIECES: usize = 4;

/// All windows of a query, the last of them on top.
pub struct Window {
    top: Executor,
    /// Where each call's column is in the rows of the last window: behind the input's columns, in the order in which they were computed.
    columns: Vec<usize>,
}

impl Window {
    pub fn new(input: Executor, calls: &Arc<[WindowCall]>, input_types: &[Type]) -> Window {
        let (mut top, mut types) = (input, input_types.to_vec());
        let mut columns: Vec<usize> = (0..types.len() + calls.len()).collect();
        // Keys that are not columns already become some, so that whatever is volatile in them is evaluated once.
        let mut outputs: Vec<Expr> =
            types.iter().enumerate().map(|(index, data_type)| Expr::column(index, *data_type)).collect();
        let windows: Vec<(Vec<usize>, Vec<Key>, Vec<Key>)> = windows_of(calls)
            .into_iter()
            .map(|members| {
                let first = &calls[members[0]];
                let mut column = |key: &Key| Key { expr: column_of(&key.expr, &mut outputs), ..key.clone() };
                let partition_by =
                    first.partition_by.iter().map(|expr| column(&Key::ascending(expr.clone()))).collect();
                let order_by = first.order_by.iter().map(column).collect();
                (members, partition_by, order_by)
            })
            .collect();
        if outputs.len() > types.len() {
            types = outputs.iter().map(Expr::data_type).collect();
            top = Box::new(Project::new(top, outputs.into()));
        }
        let mut sorted: Vec<Key> = Vec::new();
        for (members, partition_by, order_by) in windows {
            let keys: Vec<Key> = partition_by.iter().chain(&order_by).cloned().collect();
            if !(keys.len() <= sorted.len() && keys.iter().zip(&sorted).all(|(a, b)| a.same(b))) {
                sorted = keys;
                top = Box::new(Sort::new(top, sorted.clone().into(), None, types.clone()));
            }
            let results = members.iter().map(|at| calls[*at].call.result);
            let extended: Vec<Type> = types.iter().copied().chain(results).collect();
            for (added, at) in members.iter().enumerate() {
                columns[input_types.len() + at] = types.len() + added;
            }
            let by = (partition_by.into_iter().map(|key| key.expr).collect(), order_by);
            top = Box::new(OneWindow::new(top, calls.clone(), &members, by, types));
            types = extended;
        }
        Window { top, columns }
    }
}

impl Execute for Window {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let batch = self.top.next(rt, max)?;
        Ok(batch.map(|batch| Batch {
            columns: self.columns.iter().map(|at| batch.columns[*at].clone()).collect(),
            rows: batch.rows,
        }))
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.top.rescan(rt)
    }
}

/// Calls with the same PARTITION BY and ORDER BY share a window; those with the most keys come first.
fn windows_of(calls: &[WindowCall]) -> Vec<Vec<usize>> {
    let same = |a: &WindowCall, b: &WindowCall| {
        a.partition_by.len() == b.partition_by.len()
            && a.order_by.len() == b.order_by.len()
            && a.partition_by.iter().zip(&b.partition_by).all(|(a, b)| a.same(b))
            && a.order_by.iter().zip(&b.order_by).all(|(a, b)| a.same(b))
    };
    let mut windows: Vec<Vec<usize>> = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        match windows.iter_mut().find(|members| same(&calls[members[0]], call)) {
            Some(members) => members.push(at),
            None => windows.push(vec![at]),
        }
    }
    windows.sort_by_key(|members| {
        let first = &calls[members[0]];
        std::cmp::Reverse(first.partition_by.len() + first.order_by.len())
    });
    windows
}

/// The column that has this expression's value.
fn column_of(expr: &Expr, outputs: &mut Vec<Expr>) -> Expr {
    let index = outputs.iter().position(|output| output.same(expr)).unwrap_or_else(|| {
        outputs.push(expr.clone());
        outputs.len() - 1
    });
    Expr::column(index, expr.data_type())
}

/// The calls that share a window, over rows sorted for it. Their results are columns behind the input's.
struct OneWindow {
    input: Executor,
    calls: Arc<[WindowCall]>,
    members: Vec<Member>,
    partition_by: Vec<Expr>,
    order_by: Vec<Key>,
    input_columns: usize,
    /// Of the input's columns, then of what the members take from a row.
    types: Vec<Type>,
    /// Rows that belong to the next segment.
    rest: Option<Batch>,
    segment: Option<Segment>,
    /// Rows to be handed out, from the one that is next.
    output: Option<(Batch, usize)>,
}

impl OneWindow {
    fn new(
        input: Executor,
        calls: Arc<[WindowCall]>,
        members: &[usize],
        (partition_by, order_by): (Vec<Expr>, Vec<Key>),
        input_types: Vec<Type>,
    ) -> OneWindow {
        let (input_columns, mut types) = (input_types.len(), input_types);
        let members = members.iter().map(|at| Member::new(*at, &calls[*at], &mut types)).collect();
        OneWindow {
            input,
            calls,
            members,
            partition_by,
            order_by,
            input_columns,
            types,
            rest: None,
            segment: None,
            output: None,
        }
    }

    /// Reads whole partitions, as many as make a segment; `None`: there are no more.
    fn read_segment(&mut self, rt: &Runtime<'_>) -> Result<Option<Segment>> {
        let mut segment = Segment::default();
        // The keys of the row before.
        let (mut partition, mut order) = (Vec::new(), Vec::new());
        while let Some(batch) = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.input.next(rt, BATCH_ROWS)?,
        } {
            rt.check_interrupt()?;
            let partitions = encode_values(&self.partition_by, &batch, rt)?;
            let orders = encode_keys(&self.order_by, &batch, rt)?;
            let mut taken = 0;
            while taken < batch.rows {
                let before = match taken {
                    0 => (&partition[..], &order[..]),
                    row => (partitions.get(row - 1), orders.get(row - 1)),
                };
                let place = segment.peers.len();
                let begins = place == 0 || partitions.get(taken) != before.0;
                if begins && place >= SEGMENT_ROWS {
                    break;
                }
                if begins {
                    segment.partitions.push(place);
                }
                segment.peers.push(begins || orders.get(taken) != before.1);
                taken += 1;
            }
            let whole = taken == batch.rows;
            if taken > 0 {
                replace(&mut partition, partitions.get(taken - 1));
                replace(&mut order, orders.get(taken - 1));
                let rows = if whole { batch.clone() } else { batch.slice(0, taken) };
                segment.append(self.with_inputs(rows, rt)?, &self.types, rt)?;
            }
            if !whole {
                self.rest = Some(batch.slice(taken, batch.rows - taken));
                break;
            }
        }
        Ok((segment.peers.len() > 0).then_some(segment))
    }

    /// Rows with what the members take from them.
    fn with_inputs(&self, mut batch: Batch, rt: &Runtime<'_>) -> Result<Batch> {
        let inputs = self.members.iter().flat_map(|member| inputs_of(&self.calls[member.call]));
        let columns = inputs
            .map(|expr| {
                let operand = eval(expr, &batch, rt)?;
                Ok(operand_column(operand, expr.data_type().repr(), batch.rows))
            })
            .collect::<Result<Vec<_>>>()?;
        batch.columns.extend(columns);
        Ok(batch)
    }

    /// The next piece of the segment, with the members' results.
    fn compute(&mut self, segment: &mut Segment, rt: &Runtime<'_>) -> Result<Option<Batch>> {
        let Some(end) = segment.ends.get(segment.computed).copied() else { return Ok(None) };
        let start = segment.start_of(segment.computed);
        let mut columns = segment.piece_of(start, &self.types)?.batch.columns[..self.input_columns].to_vec();
        for member in &mut self.members {
            let call = &self.calls[member.call];
            let mut column = Column::with_capacity(call.call.result.repr(), end - start);
            for place in start..end {
                if place % 64 == 0 {
                    rt.check_interrupt()?;
                }
                let mut row = Evaluation { call, segment, types: &self.types, rt };
                column.push_datum(&member.value(place, &mut row)?);
            }
            columns.push(Arc::new(column));
        }
        segment.computed += 1;
        Ok(Some(Batch { columns, rows: end - start }))
    }
}

impl Execute for OneWindow {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        loop {
            if let Some((batch, at)) = &mut self.output
                && *at < batch.rows
            {
                let rows = (batch.rows - *at).min(max.clamp(1, BATCH_ROWS));
                let piece = if rows == batch.rows { batch.clone() } else { batch.slice(*at, rows) };
                *at += rows;
                return Ok(Some(piece));
            }
            let mut segment = match self.segment.take() {
                Some(segment) => segment,
                None => match self.read_segment(rt)? {
                    Some(segment) => {
                        self.members.iter_mut().for_each(|member| member.progress = Progress::default());
                        segment
                    }
                    None => return Ok(None),
                },
            };
            if let Some(batch) = self.compute(&mut segment, rt)? {
                self.output = Some((batch, 0));
                self.segment = Some(segment);
            }
        }
    }

    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        (self.rest, self.segment, self.output) = (None, None, None);
        self.members.iter_mut().for_each(|member| member.offsets = None);
        self.input.rescan(rt)
    }
}

fn replace(bytes: &mut Vec<u8>, with: &[u8]) {
    bytes.clear();
    bytes.extend_from_slice(with);
}

/// What a call takes from each row: arguments, FILTER, and the key of RANGE with offsets.
fn inputs_of(call: &WindowCall) -> impl Iterator<Item = &Expr> {
    let key = call.frame.as_ref().and_then(|frame| frame.range.as_ref()).map(|offsets| &offsets.key);
    call.call.arguments.iter().chain(&call.call.filter).chain(key)
}

/// Rows of one or more whole partitions, in pieces. A row is known by its place.
#[derive(Default)]
struct Segment {
    store: RowStore,
    /// Of each piece: the place behind its last row.
    ends: Vec<usize>,
    /// Pieces used last, the last first.
    held: VecDeque<Piece>,
    /// Where peer groups begin, and partitions with them.
    peers: Marks,
    /// Where each partition begins.
    partitions: Vec<usize>,
    /// Pieces that were handed out.
    computed: usize,
}

#[derive(Clone)]
struct Piece {
    start: usize,
    batch: Batch,
}

impl Piece {
    fn end(&self) -> usize {
        self.start + self.batch.rows
    }
    fn has(&self, place: usize) -> bool {
        (self.start..self.end()).contains(&place)
    }
}

impl Segment {
    fn append(&mut self, batch: Batch, types: &[Type], rt: &Runtime<'_>) -> Result<()> {
        self.ends.push(self.ends.last().copied().unwrap_or(0) + batch.rows);
        self.store.append(batch, types, rt, "rows of a window")
    }

    fn start_of(&self, piece: usize) -> usize {
        piece.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn piece_of(&mut self, place: usize, types: &[Type]) -> Result<&Piece> {
        match self.held.iter().position(|piece| piece.has(place)) {
            Some(0) => {}
            Some(at) => self.held.swap(0, at),
            None => {
                let number = self.ends.partition_point(|end| *end <= place);
                let batch = self.store.get(number, types)?;
                let batch = batch.ok_or_else(|| Error::internal("a window's rows are not all there"))?;
                self.held.truncate(HELD_PIECES - 1);
                self.held.push_front(Piece { start: self.start_of(number), batch });
            }
        }
        Ok(&self.held[0])
    }
}

/// A growing set of places.
#[derive(Default)]
struct Marks {
    words: Vec<u64>,
    /// Of each word: the marks before it.
    before: Vec<usize>,
    len: usize,
}

impl Marks {
    fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, marked: bool) {
        if self.len.is_multiple_of(64) {
            let last = self.words.last().map_or(0, |word| word.count_ones() as usize);
            self.before.push(self.before.last().copied().unwrap_or(0) + last);
            self.words.push(0);
        }
        *self.words.last_mut().expect("pushed above") |= u64::from(marked) << (self.len % 64);
        self.len += 1;
    }

    /// The first one behind `place`, or the end.
    fn next(&self, place: usize) -> usize {
        let from = place + 1;
        let (mut at, mut bits) = match self.words.get(from / 64) {
            Some(word) => (from / 64, word & (u64::MAX << (from % 64))),
            None => return self.len,
        };
        while bits == 0 {
            at += 1;
            match self.words.get(at) {
                Some(word) => bits = *word,
                None => return self.len,
            }
        }
        at * 64 + bits.trailing_zeros() as usize
    }

    /// How many there are before `place`.
    fn rank(&self, place: usize) -> usize {
        match self.words.get(place / 64) {
            Some(word) => {
                self.before[place / 64] + (word & !(u64::MAX << (place % 64))).count_ones() as usize
            }
            None => self.count(),
        }
    }

    fn count(&self) -> usize {
        let last = self.words.last().map_or(0, |word| word.count_ones() as usize);
        self.before.last().copied().unwrap_or(0) + last
    }

    /// The one that `number` others are before, or the end.
    fn select(&self, number: usize) -> usize {
        if number >= self.count() {
            return self.len;
        }
        let word = self.before.partition_point(|before| *before <= number) - 1;
        let mut bits = self.words[word];
        (self.before[word]..number).for_each(|_| bits &= bits - 1);
        word * 64 + bits.trailing_zeros() as usize
    }
}

/// One call: where what it takes is among a segment's columns, and how far it has come.
struct Member {
    call: usize,
    arguments: Range<usize>,
    filter: Option<usize>,
    /// RANGE with offsets: the ORDER BY column.
    range: Option<usize>,
    /// The frame's, once evaluated.
    offsets: Option<[Option<Datum>; 2]>,
    progress: Progress,
}

/// Where a call is in a segment.
#[derive(Default)]
struct Progress {
    /// The number of the next partition.
    next_partition: usize,
    /// The partition.
    from: usize,
    to: usize,
    /// The row's peers.
    first: usize,
    last: usize,
    /// The number of its peer group within the partition, from 0.
    group: usize,
    /// RANGE with offsets: the rows whose key is not null, and where the frame of the row before began and ended.
    keyed: (usize, usize),
    bounds: [usize; 2],
    /// An aggregate's state, with all rows of the frame up to `added`.
    state: Option<Box<dyn Accumulator>>,
    added: usize,
    last_frame: Option<((usize, usize), Datum)>,
    /// The arguments and the filter in the piece that was added from last.
    operands: Option<Operands>,
}

struct Operands {
    piece: Range<usize>,
    arguments: Vec<Operand>,
    filter: Option<Arc<Column>>,
}

/// What the value of one row is computed from.
struct Evaluation<'a, 'r> {
    call: &'a WindowCall,
    segment: &'a mut Segment,
    types: &'a [Type],
    rt: &'a Runtime<'r>,
}

impl Evaluation<'_, '_> {
    fn get(&mut self, place: usize, column: usize) -> Result<Datum> {
        let piece = self.segment.piece_of(place, self.types)?;
        Ok(piece.batch.columns[column].get(place - piece.start))
    }
}

impl Member {
    /// `types` gets those of what the call takes.
    fn new(at: usize, call: &WindowCall, types: &mut Vec<Type>) -> Member {
        let first = types.len();
        types.extend(inputs_of(call).map(Expr::data_type));
        let arguments = first..first + call.call.arguments.len();
        let filter = call.call.filter.as_ref().map(|_| arguments.end);
        let range = call.frame.as_ref().and_then(|frame| frame.range.as_ref());
        let range = range.map(|_| arguments.end + usize::from(filter.is_some()));
        Member { call: at, arguments, filter, range, offsets: None, progress: Progress::default() }
    }

    /// The call's value for a row; rows come in order.
    fn value(&mut self, place: usize, row: &mut Evaluation<'_, '_>) -> Result<Datum> {
        self.advance(place, row)?;
        let function = match &row.call.call.function.body {
            Body::Window(function) => *function,
            Body::Aggregate(aggregate) => return self.aggregate(place, aggregate, row),
            _ => {
                let name = row.call.call.function.name;
                return Err(Error::internal(format!("{name} is neither a window function nor an aggregate")));
            }
        };
        let Progress { from, to, first, last, group, .. } = self.progress;
        let (count, at) = (to - from, place - from);
        let argument = |at: usize| self.arguments.clone().nth(at);
        Ok(match function {
            WindowFunction::RowNumber => Datum::Int8(at as i64 + 1),
            WindowFunction::Rank => Datum::Int8((first - from) as i64 + 1),
            WindowFunction::DenseRank => Datum::Int8(group as i64 + 1),
            WindowFunction::PercentRank if count <= 1 => Datum::Float8(0.0),
            WindowFunction::PercentRank => Datum::Float8((first - from) as f64 / (count - 1) as f64),
            WindowFunction::CumeDist => Datum::Float8((last - from) as f64 / count as f64),
            WindowFunction::Ntile => match row.get(from, self.arguments.start)?.as_integer() {
                Some(buckets) => ntile(at as i64, count as i64, buckets)?,
                None => Datum::Null,
            },
            WindowFunction::Lag | WindowFunction::Lead => {
                let offset = match argument(1) {
                    None => Some(1),
                    Some(column) => row.get(place, column)?.as_integer(),
                };
                let Some(offset) = offset else { return Ok(Datum::Null) };
                let offset = i128::from(offset) * if function == WindowFunction::Lag { -1 } else { 1 };
                let other = usize::try_from(place as i128 + offset).ok();
                match other.filter(|other| (from..to).contains(other)) {
                    Some(other) => row.get(other, self.arguments.start)?,
                    None => argument(2).map_or(Ok(Datum::Null), |column| row.get(place, column))?,
                }
            }
            WindowFunction::FirstValue | WindowFunction::LastValue | WindowFunction::NthValue => {
                let nth = match argument(1) {
                    None => Some(1),
                    Some(column) => row.get(place, column)?.as_integer(),
                };
                let Some(nth) = nth else { return Ok(Datum::Null) };
                let Some(skipped) = usize::try_from(nth).ok().and_then(|nth| nth.checked_sub(1)) else {
                    return Err(Error::new(
                        SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE,
                        "argument of nth_value must be greater than zero",
                    ));
                };
                let frame = self.frame(place, row)?;
                let chosen = match (row.call.excludes(), function) {
                    (false, WindowFunction::LastValue) => frame.1.checked_sub(1),
                    (false, _) => frame.0.checked_add(skipped),
                    (true, WindowFunction::LastValue) => self.within(frame, place, row.call).next_back(),
                    (true, _) => self.within(frame, place, row.call).nth(skipped),
                };
                match chosen.filter(|chosen| (frame.0..frame.1).contains(chosen)) {
                    Some(chosen) => row.get(chosen, self.arguments.start)?,
                    None => Datum::Null,
                }
            }
        })
    }

    /// On to the row at this place: the one behind the last one.
    fn advance(&mut self, place: usize, row: &mut Evaluation<'_, '_>) -> Result<()> {
        let progress = &mut self.progress;
        let peers = &row.segment.peers;
        if place < progress.last {
            return Ok(());
        }
        if place < progress.to {
            (progress.first, progress.last) = (place, peers.next(place));
            progress.group += 1;
            return Ok(());
        }
        let partition = progress.next_partition;
        let to = row.segment.partitions.get(partition + 1).copied().unwrap_or(peers.len());
        *progress = Progress {
            next_partition: partition + 1,
            from: place,
            to,
            first: place,
            last: peers.next(place),
            keyed: (place, to),
            bounds: [place, place],
            added: place,
            ..Progress::default()
        };
        if self.offsets.is_none() {
            self.offsets = Some(frame_offsets(row.call, row.rt)?);
        }
        if let Some(key) = self.range {
            // Nulls come all first or all last.
            let peers = &row.segment.peers;
            let (after_first, last_group) = (peers.next(place), peers.select(peers.rank(to) - 1));
            if row.get(place, key)?.is_null() {
                self.progress.keyed.0 = after_first;
            } else if row.get(to - 1, key)?.is_null() {
                self.progress.keyed.1 = last_group;
            }
        }
        Ok(())
    }

    /// The frame's first place and the one after its last, exclusion aside.
    fn frame(&mut self, place: usize, row: &mut Evaluation<'_, '_>) -> Result<(usize, usize)> {
        let call = row.call;
        let Some(frame) = &call.frame else { return Ok((self.progress.from, self.progress.last)) };
        let start = self.bound(place, frame, false, row)?;
        let end = self.bound(place, frame, true, row)?;
        Ok((start, end.max(start)))
    }

    fn bound(
        &mut self,
        place: usize,
        frame: &WindowFrame,
        is_end: bool,
        row: &mut Evaluation<'_, '_>,
    ) -> Result<usize> {
        let Progress { from, to, first, last, group, .. } = self.progress;
        let preceding = match if is_end { &frame.end } else { &frame.start } {
            FrameBound::UnboundedPreceding => return Ok(from),
            FrameBound::UnboundedFollowing => return Ok(to),
            FrameBound::CurrentRow => {
                return Ok(match (frame.units, is_end) {
                    (FrameUnits::Rows, false) => place,
                    (FrameUnits::Rows, true) => place + 1,
                    (_, false) => first,
                    (_, true) => last,
                });
            }
            FrameBound::Preceding(_) => true,
            FrameBound::Following(_) => false,
        };
        let offset = self.offsets.as_ref().and_then(|offsets| offsets[usize::from(is_end)].clone());
        let offset = offset.ok_or_else(|| Error::internal("a frame's offset was not evaluated"))?;
        if let (FrameUnits::Range, Some(range), Some(key)) = (frame.units, &frame.range, self.range) {
            let bound = self.range_bound(place, key, range, offset, (preceding, is_end), row)?;
            self.progress.bounds[usize::from(is_end)] = bound;
            return Ok(bound);
        }
        let steps = offset.as_integer().unwrap_or(0);
        let steps = i128::from(if preceding { -1 } else { 1 }) * i128::from(steps) + i128::from(is_end);
        let peers = &row.segment.peers;
        let moved = |here: usize, units: usize| (here as i128 + steps).clamp(0, units as i128) as usize;
        Ok(match frame.units {
            FrameUnits::Groups => {
                let before = peers.rank(from);
                let groups = peers.rank(to) - before;
                peers.select(before + moved(group, groups)).min(to)
            }
            _ => from + moved(place - from, to - from),
        })
    }

    /// The place where keys reach the row's own plus or minus the offset.
    fn range_bound(
        &mut self,
        place: usize,
        key: usize,
        range: &RangeOffsets,
        offset: Datum,
        (preceding, is_end): (bool, bool),
        row: &mut Evaluation<'_, '_>,
    ) -> Result<usize> {
        let Progress { first, last, keyed: (low, high), bounds, .. } = self.progress;
        let value = row.get(place, key)?;
        if value.is_null() {
            return Ok(if is_end { last } else { first });
        }
        let function = if preceding != range.descending { range.minus } else { range.plus };
        let limit = match scalar_of(function)?(&[value, offset], &row.rt.context.eval) {
            Ok(limit) => limit,
            // Beyond what the type can hold: nothing lies there.
            Err(error) if error.state().0.starts_with(b"22") => {
                return Ok(if preceding { low } else { high });
            }
            Err(error) => return Err(error),
        };
        let mut lies_before = |place: usize| -> Result<bool> {
            let order = compare_as(&row.get(place, key)?, &limit, range.data_type);
            Ok(match if range.descending { order.reverse() } else { order } {
                Ordering::Less => true,
                Ordering::Equal => is_end,
                Ordering::Greater => false,
            })
        };
        // Keys come in order, and so do the bounds: look near the row before's first, with growing steps.
        let known = bounds[usize::from(is_end)].clamp(low, high);
        let (mut from, mut to) = (low, high);
        if known > low && !lies_before(known - 1)? {
            to = known - 1;
        } else {
            from = known;
            let (mut reach, mut step) = (known, 1);
            while reach < high {
                if !lies_before(reach)? {
                    to = reach;
                    break;
                }
                from = reach + 1;
                reach += step;
                step *= 2;
            }
        }
        while from < to {
            let middle = from + (to - from) / 2;
            if lies_before(middle)? {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Ok(from)
    }

    /// A frame's places without those that EXCLUDE leaves out.
    fn within(
        &self,
        (start, end): (usize, usize),
        at: usize,
        call: &WindowCall,
    ) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let Progress { first, last, .. } = self.progress;
        let exclude = call.frame.as_ref().map_or(FrameExclude::NoOthers, |frame| frame.exclude);
        (start..end).filter(move |place| match exclude {
            FrameExclude::NoOthers => true,
            FrameExclude::CurrentRow => *place != at,
            FrameExclude::Group => *place < first || *place >= last,
            FrameExclude::Ties => *place == at || *place < first || *place >= last,
        })
    }

    fn aggregate(
        &mut self,
        place: usize,
        aggregate: &Aggregate,
        row: &mut Evaluation<'_, '_>,
    ) -> Result<Datum> {
        let call = row.call;
        let frame = self.frame(place, row)?;
        let excludes = call.excludes();
        if let (Some((known, value)), false) = (&self.progress.last_frame, excludes)
            && *known == frame
        {
            return Ok(value.clone());
        }
        let from_first =
            call.frame.as_ref().is_none_or(|frame| matches!(frame.start, FrameBound::UnboundedPreceding));
        // These give their state away with their result.
        let consumed = matches!(call.call.function.name, "string_agg" | "array_agg");
        let carries = from_first && !excludes && !consumed && frame.1 >= self.progress.added;
        let state = self.progress.state.take().filter(|_| carries);
        let from = if state.is_some() { self.progress.added } else { frame.0 };
        let mut state = state.unwrap_or_else(|| {
            let types: Vec<Type> = call.call.arguments.iter().map(Expr::data_type).collect();
            (aggregate.new)(&types)
        });
        self.add(&mut *state, self.within((from, frame.1), place, call), row)?;
        let value = state.finish(&row.rt.context.eval)?;
        self.progress.state = Some(state);
        self.progress.added = frame.1;
        self.progress.last_frame = Some((frame, value.clone()));
        Ok(value)
    }

    /// Adds rows, piece by piece.
    fn add(
        &mut self,
        state: &mut dyn Accumulator,
        places: impl Iterator<Item = usize>,
        row: &mut Evaluation<'_, '_>,
    ) -> Result<()> {
        let mut chosen: Vec<u32> = Vec::new();
        let mut operands = self.progress.operands.take();
        for place in places {
            let operands = match &mut operands {
                Some(operands) if operands.piece.contains(&place) => operands,
                other => {
                    if let Some(operands) = other.as_ref().filter(|_| !chosen.is_empty()) {
                        row.rt.check_interrupt()?;
                        state.add(&operands.arguments, &chosen, &row.rt.context.eval)?;
                        chosen.clear();
                    }
                    let piece = row.segment.piece_of(place, row.types)?;
                    let column = |at: usize| piece.batch.columns[at].clone();
                    other.insert(Operands {
                        piece: piece.start..piece.end(),
                        arguments: self.arguments.clone().map(|at| Operand::Column(column(at))).collect(),
                        filter: self.filter.map(column),
                    })
                }
            };
            let at = place - operands.piece.start;
            if operands.filter.as_ref().is_none_or(|filter| filter.get(at).as_bool() == Some(true)) {
                chosen.push(at as u32);
            }
        }
        if let Some(operands) = operands.as_ref().filter(|_| !chosen.is_empty()) {
            state.add(&operands.arguments, &chosen, &row.rt.context.eval)?;
        }
        self.progress.operands = operands;
        Ok(())
    }
}

impl WindowCall {
    fn excludes(&self) -> bool {
        self.frame.as_ref().is_some_and(|frame| frame.exclude != FrameExclude::NoOthers)
    }
}

fn ntile(at: i64, count: i64, buckets: i64) -> Result<Datum> {
    if buckets <= 0 {
        return Err(Error::new(
            SqlState::INVALID_ARGUMENT_FOR_NTILE,
            "argument of ntile must be greater than zero",
        ));
    }
    let (size, larger) = (count / buckets, count % buckets);
    // The first `larger` buckets have one row more.
    let bucket = match at < larger * (size + 1) {
        true => at / (size + 1),
        false => larger + (at - larger * (size + 1)) / size.max(1),
    };
    Ok(Datum::Int4(bucket as i32 + 1))
}

/// The frame's offsets, of its start and of its end: constants of the query.
fn frame_offsets(call: &WindowCall, rt: &Runtime<'_>) -> Result<[Option<Datum>; 2]> {
    let Some(frame) = &call.frame else { return Ok([None, None]) };
    let offset = |bound: &FrameBound, what: &str| -> Result<Option<Datum>> {
        let (FrameBound::Preceding(expr) | FrameBound::Following(expr)) = bound else { return Ok(None) };
        let value = row_value(expr, &[], rt)?;
        if value.is_null() {
            let message = format!("frame {what} offset must not be null");
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        if is_negative(&value) {
            let message = match frame.range.is_some() {
                true => "invalid preceding or following size in window function".to_owned(),
                false => format!("frame {what} offset must not be negative"),
            };
            return Err(Error::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, message));
        }
        Ok(Some(value))
    };
    Ok([offset(&frame.start, "starting")?, offset(&frame.end, "ending")?])
}

fn is_negative(value: &Datum) -> bool {
    match value {
        Datum::Float8(value) => *value < 0.0 || value.is_nan(),
        Datum::Numeric(value) => value.signum() < 0,
        Datum::Interval(value) => value.span() < 0,
        value => value.as_integer().is_some_and(|value| value < 0),
    }
}

#[cfg(test)]
mod tests {
    use super::Marks;

    #[test]
    fn marks_are_counted_and_found() {
        for every in [1, 2, 3, 64, 65, 200] {
            let is_marked = |place: usize| place.is_multiple_of(every);
            let mut marks = Marks::default();
            for place in 0..500 {
                assert_eq!(marks.len(), place);
                marks.push(is_marked(place));
            }
            let places: Vec<usize> = (0..500).filter(|place| is_marked(*place)).collect();
            assert_eq!(marks.count(), places.len());
            for place in 0..500 {
                let next = places.iter().copied().find(|other| *other > place);
                assert_eq!(marks.next(place), next.unwrap_or(500), "{every}: behind {place}");
                assert_eq!(marks.rank(place), places.iter().filter(|other| **other < place).count());
            }
            assert_eq!(marks.rank(500), places.len());
            for number in 0..places.len() + 2 {
                assert_eq!(marks.select(number), places.get(number).copied().unwrap_or(500));
            }
        }
    }
}
