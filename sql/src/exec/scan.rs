//! Reading tables: the whole of one, a key range, single keys; through the table's own tree or an index.
//!
//! All reads go through the transaction, which registers what is read with the protocol in force. It is borrowed for one batch at a
//! time; nothing is evaluated meanwhile, rows are only decoded.

use super::basic::count_removed;
use super::entries::{self, Candidates, Condition};
use super::eval::{filter, row_value};
use super::operator::Execute;
use super::runtime::Runtime;
use crate::column::{BATCH_ROWS, Batch, Column, Strings, Values};
use crate::error::{Error, Result};
use crate::expr::{Expr, integer};
use crate::plan::node::{self, Access, Bounds, Equal};
use crate::table::key::{KeyOrder, VALUE_TAG, encode, prefix_successor};
use crate::table::row::RowDecoder;
use crate::table::{KeyPart, Shape};
use crate::types::{Datum, Oid, Type};
use serin_storage::{Direction, Finger, KeyRange, Tree, Value};
use serin_txn::Transaction;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

pub struct TableScan {
    scan: Arc<node::TableScan>,
    id: usize,
    open: Option<Open>,
}

struct Open {
    shape: Arc<Shape>,
    decoder: RowDecoder,
    /// The index whose tree is read, unless it is the table's.
    index: Option<usize>,
    pieces: VecDeque<Piece>,
    current: Option<serin_txn::Scan>,
    /// The last range's, for the next one: of a nested loop it is often near.
    spent: Option<serin_txn::Scan>,
    /// Where the table, and the index, were read last by key.
    table_finger: Finger,
    index_finger: Finger,
    /// To be read again, with other parameters.
    stale: bool,
    /// Keys from the index whose rows are to be read.
    ahead: Ahead,
    /// Rows to read at once: grows while a filter lets few through.
    step: usize,
}

/// Keys of rows that an index names, in the order in which the table has them, so that rows on one page are read together. What is looked up
/// at once grows with what was asked for, so that a scan that ends early has not gone far ahead.
#[derive(Default)]
struct Ahead {
    keys: Strings,
    order: Vec<u32>,
    at: usize,
    /// How many keys to gather next.
    size: usize,
}

impl Ahead {
    /// 64k keys are about a megabyte.
    const SIZE_MAX: usize = 64 * BATCH_ROWS;

    fn sort(&mut self) {
        let keys = &self.keys;
        self.order.clear();
        self.order.extend(0..keys.len() as u32);
        self.order.sort_unstable_by(|a, b| keys.get(*a as usize).cmp(keys.get(*b as usize)));
        self.at = 0;
    }

    /// Decodes up to `max` rows of those at hand.
    fn read(
        &mut self,
        max: usize,
        transaction: &mut Transaction,
        tree: &Arc<Tree>,
        finger: &mut Finger,
        each: &mut dyn FnMut(&[u8], &Value) -> Result<()>,
    ) -> Result<()> {
        let mut found = 0;
        while found < max
            && let Some(at) = self.order.get(self.at)
        {
            let key = self.keys.get(*at as usize);
            self.at += 1;
            if let Some(row) = transaction.get_near(tree, key, finger)? {
                each(key, &row)?;
                found += 1;
            }
        }
        Ok(())
    }
}

/// What there is to read.
struct Start {
    index: Option<usize>,
    pieces: VecDeque<Piece>,
    ahead: Ahead,
}

/// A part of the tree to read.
enum Piece {
    Point(Vec<u8>),
    Range(KeyRange),
}

impl TableScan {
    pub fn new(scan: Arc<node::TableScan>, id: usize) -> TableScan {
        TableScan { scan, id, open: None }
    }

    fn open(&self, rt: &Runtime<'_>) -> Result<Open> {
        let shape = Shape::of(&self.scan.table, rt.context)?;
        let decoder = RowDecoder::new(&shape.types, &self.scan.decode, &shape.missing);
        let Start { index, pieces, ahead } = self.start(&shape, rt)?;
        Ok(Open {
            index,
            pieces,
            shape,
            decoder,
            current: None,
            spent: None,
            table_finger: Finger::default(),
            index_finger: Finger::default(),
            stale: false,
            ahead,
            step: 0,
        })
    }

    /// What to read, which counts as a scan.
    fn start(&self, shape: &Shape, rt: &Runtime<'_>) -> Result<Start> {
        let whole = || {
            let whole = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
            Start { index: None, pieces: VecDeque::from([Piece::Range(whole)]), ahead: Ahead::default() }
        };
        match &self.scan.access {
            Access::Full => {
                shape.activity.scans.add(1);
                Ok(whole())
            }
            Access::Index { index, bounds } => {
                shape.indexes[*index].activity.scans.add(1);
                let mut pieces = pieces(bounds, &shape.indexes[*index].parts, rt)?;
                if self.scan.backward {
                    pieces.reverse();
                }
                let secondary = Some(*index).filter(|index| !shape.indexes[*index].clustered);
                Ok(Start { index: secondary, pieces: pieces.into(), ahead: Ahead::default() })
            }
            Access::Entries { index, searches, .. } => {
                let position = *index;
                let index = &shape.indexes[position];
                index.activity.scans.add(1);
                let conditions = searches.iter().map(|search| {
                    Ok(Condition {
                        part: search.column,
                        operator: search.operator,
                        value: row_value(&search.value, &[], rt)?,
                        data_type: search.value.data_type(),
                    })
                });
                let conditions = conditions.collect::<Result<Vec<_>>>()?;
                let mut start = Start { index: None, pieces: VecDeque::new(), ahead: Ahead::default() };
                match entries::candidates(index, &conditions, rt)? {
                    Candidates::Nothing => {}
                    Candidates::Everything => return Ok(whole()),
                    Candidates::Range(range) => {
                        start.index = Some(position);
                        start.pieces.push_back(Piece::Range(range));
                    }
                    Candidates::Keys(keys) => {
                        start.ahead.order.extend(0..keys.len() as u32);
                        start.ahead.keys = keys;
                    }
                }
                Ok(start)
            }
        }
    }
}

impl Execute for TableScan {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        match &mut self.open {
            None => self.open = Some(self.open(rt)?),
            Some(open) if open.stale => {
                let shape = open.shape.clone();
                let Start { index, pieces, ahead } = self.start(&shape, rt)?;
                let open = self.open.as_mut().expect("it was open");
                open.spent = open.current.take().or(open.spent.take()).filter(|_| open.index == index);
                (open.index, open.pieces, open.ahead) = (index, pieces, ahead);
                (open.step, open.stale) = (0, false);
            }
            Some(_) => {}
        }
        let open = self.open.as_mut().expect("it was just opened");
        open.step = open.step.max(max).clamp(1, BATCH_ROWS);
        loop {
            rt.check_interrupt()?;
            let step = open.step;
            let Some(batch) = read(&self.scan, open, rt, step)? else { return Ok(None) };
            let before = batch.rows;
            match &self.scan.access {
                Access::Full => open.shape.activity.scanned.add(before),
                Access::Index { index, .. } | Access::Entries { index, .. } => {
                    open.shape.indexes[*index].activity.fetched.add(before);
                }
            }
            let batch = filter(&self.scan.filter, batch, rt)?;
            count_removed(rt, self.id, before - batch.rows);
            if batch.rows < before {
                open.step = (open.step * 2).min(BATCH_ROWS);
            }
            if batch.rows > 0 {
                return Ok(Some(batch));
            }
        }
    }

    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        if let Some(open) = &mut self.open {
            open.stale = true;
        }
        Ok(())
    }
}

/// Keys and rows beside the decoded columns, where wanted.
struct Extra {
    keys: Option<Strings>,
    rows: Option<Strings>,
    /// To be put behind every row.
    table_oid: Option<Oid>,
}

impl Extra {
    fn new(scan: &node::TableScan) -> Extra {
        Extra {
            keys: scan.key.then(|| Strings::with_capacity(16)),
            rows: scan.row.then(|| Strings::with_capacity(16)),
            table_oid: scan.table_oid.then_some(scan.table.oid),
        }
    }
    fn push(&mut self, key: &[u8], row: &[u8]) {
        if let Some(keys) = &mut self.keys {
            keys.push(key);
        }
        if let Some(rows) = &mut self.rows {
            rows.push(row);
        }
    }
}

/// Up to `max` rows; None at the end. A batch may be empty before that.
fn read(scan: &node::TableScan, open: &mut Open, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
    let direction = if scan.backward { Direction::Backward } else { Direction::Forward };
    let index = open.index;
    let mut extra = Extra::new(scan);
    // Whether there is a row is all that is asked, and an index has an entry for each.
    let one_each = !matches!(scan.access, Access::Entries { .. });
    let entries_suffice = one_each && open.decoder.is_empty() && !scan.key && !scan.row;
    let mut transaction = rt.context.transaction.borrow_mut();
    loop {
        if open.ahead.at < open.ahead.order.len() {
            let (decoder, table) = (&mut open.decoder, &open.shape.tree);
            let wanted = max.saturating_sub(decoder.rows()).max(1);
            open.ahead.read(wanted, &mut transaction, table, &mut open.table_finger, &mut |key, row| {
                decoder.append(row)?;
                extra.push(key, row);
                Ok(())
            })?;
            if open.decoder.rows() >= max {
                return Ok(Some(finish(open, extra)));
            }
        }
        if open.current.is_none() {
            let Some(piece) = open.pieces.pop_front() else {
                if open.decoder.rows() > 0 {
                    return Ok(Some(finish(open, extra)));
                }
                return Ok(None);
            };
            let tree = index.map_or(&open.shape.tree, |index| &open.shape.indexes[index].tree);
            match piece {
                Piece::Range(range) => {
                    open.current = Some(match open.spent.take() {
                        Some(mut scan) => {
                            scan.restart(&mut transaction, range)?;
                            scan
                        }
                        None => transaction.scan(tree, range, direction)?,
                    });
                }
                Piece::Point(key) => {
                    let finger =
                        if index.is_some() { &mut open.index_finger } else { &mut open.table_finger };
                    let found = transaction.get_near(tree, &key, finger)?;
                    match (found, index) {
                        (None, _) => {}
                        (Some(row), None) => {
                            open.decoder.append(&row)?;
                            extra.push(&key, &row);
                        }
                        (Some(table_key), Some(_)) => {
                            let finger = &mut open.table_finger;
                            if let Some(row) = transaction.get_near(&open.shape.tree, &table_key, finger)? {
                                open.decoder.append(&row)?;
                                extra.push(&table_key, &row);
                            }
                        }
                    }
                    if open.decoder.rows() >= max {
                        return Ok(Some(finish(open, extra)));
                    }
                    continue;
                }
            }
        }
        let Some(current) = &mut open.current else { continue };
        let wanted = max.saturating_sub(open.decoder.rows()).max(1);
        let mut failure = None;
        let more = match index {
            None => {
                let decoder = &mut open.decoder;
                current.next_batch(&mut transaction, wanted, &mut |key, row| match decoder.append(row) {
                    Ok(()) => {
                        extra.push(key, row);
                        true
                    }
                    Err(error) => {
                        failure = Some(error);
                        false
                    }
                })?
            }
            Some(_) if entries_suffice => {
                let decoder = &mut open.decoder;
                current.next_batch(&mut transaction, wanted, &mut |_, _| {
                    decoder.count_row();
                    true
                })?
            }
            Some(index) => {
                let shape = &open.shape.indexes[index];
                let ahead = &mut open.ahead;
                let gathered = if scan.any_order { ahead.size.max(wanted) } else { wanted };
                ahead.size = (gathered * 4).min(Ahead::SIZE_MAX);
                ahead.keys.clear();
                let more = current.next_batch(&mut transaction, gathered, &mut |key, value| {
                    match shape.table_key(key, value) {
                        Some(found) => ahead.keys.push(found),
                        None => failure = Some(Error::internal("a malformed index entry")),
                    }
                    true
                })?;
                if gathered > wanted {
                    ahead.sort();
                } else {
                    let (keys, finger) = (&ahead.keys, &mut open.table_finger);
                    for (at, row) in rows_in_order(&mut transaction, &open.shape.tree, keys, finger)? {
                        open.decoder.append(&row)?;
                        extra.push(keys.get(at), &row);
                    }
                }
                more
            }
        };
        if let Some(error) = failure {
            return Err(error);
        }
        if !more {
            open.spent = open.current.take();
        }
        let pending = open.ahead.at < open.ahead.order.len();
        if open.decoder.rows() >= max || (more && open.decoder.rows() > 0 && !pending) {
            return Ok(Some(finish(open, extra)));
        }
    }
}

/// The rows with these keys that there are, each with its key's place, in the keys' order; looked up in the table's, in which neighbours share pages.
fn rows_in_order(
    transaction: &mut Transaction,
    tree: &Arc<Tree>,
    keys: &Strings,
    finger: &mut Finger,
) -> Result<Vec<(usize, Value)>> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
    let mut rows: Vec<(usize, Value)> = Vec::with_capacity(order.len());
    for at in order {
        if let Some(row) = transaction.get_near(tree, keys.get(at), finger)? {
            rows.push((at, row));
        }
    }
    rows.sort_unstable_by_key(|(at, _)| *at);
    Ok(rows)
}

fn finish(open: &mut Open, extra: Extra) -> Batch {
    let rows = open.decoder.rows();
    let mut columns: Vec<Arc<Column>> = open.decoder.finish().into_iter().map(Arc::new).collect();
    for strings in [extra.keys, extra.rows].into_iter().flatten() {
        columns.push(Arc::new(Column::new(Values::Bytea(strings))));
    }
    if let Some(oid) = extra.table_oid {
        let mut column = Column::with_capacity(Type::OID.repr(), rows);
        (0..rows).for_each(|_| column.push_datum(&Datum::Oid(oid)));
        columns.push(Arc::new(column));
    }
    Batch { columns, rows }
}

/// A bound's value as a key of the column's type.
pub(crate) enum KeyValue {
    Value(Datum),
    /// An integer that the column's type can't hold.
    Below,
    Above,
    Null,
}

pub(crate) fn key_value(value: Datum, data_type: Type) -> KeyValue {
    let Some(wide) = integer(&value) else {
        return if value.is_null() { KeyValue::Null } else { KeyValue::Value(value) };
    };
    let narrow = match data_type {
        Type::INT2 => i16::try_from(wide).map(Datum::Int2).ok(),
        Type::INT4 => i32::try_from(wide).map(Datum::Int4).ok(),
        Type::INT8 => Some(Datum::Int8(wide)),
        _ => Some(value),
    };
    match narrow {
        Some(value) => KeyValue::Value(value),
        None if wide < 0 => KeyValue::Below,
        None => KeyValue::Above,
    }
}

/// The pieces of an index that bounds stand for, in key order. None at all: a bound is null, or out of range.
fn pieces(bounds: &Bounds, parts: &[KeyPart], rt: &Runtime<'_>) -> Result<Vec<Piece>> {
    let mut prefixes: Vec<Vec<u8>> = vec![Vec::with_capacity(16)];
    for (equal, part) in bounds.equal.iter().zip(parts) {
        let values: Vec<Datum> = match equal {
            Equal::Value(expr) => vec![row_value(expr, &[], rt)?],
            Equal::Values(exprs) => {
                exprs.iter().map(|expr| row_value(expr, &[], rt)).collect::<Result<_>>()?
            }
            Equal::Array(expr) => match row_value(expr, &[], rt)? {
                Datum::Array(array) => array.elements.clone(),
                _ => Vec::new(),
            },
            Equal::Null => {
                prefixes.iter_mut().for_each(|p| encode(&Datum::Null, part.data_type, part.order, p));
                continue;
            }
        };
        let values: Vec<Datum> = values
            .into_iter()
            .filter_map(|value| match key_value(value, part.data_type) {
                KeyValue::Value(value) => Some(value),
                _ => None,
            })
            .collect();
        prefixes = prefixes
            .iter()
            .flat_map(|prefix| {
                values.iter().map(move |value| {
                    let mut key = prefix.clone();
                    encode(value, part.data_type, part.order, &mut key);
                    key
                })
            })
            .collect();
        // The same value may be listed twice.
        prefixes.sort_unstable();
        prefixes.dedup();
    }
    if bounds.is_point {
        return Ok(prefixes.into_iter().map(Piece::Point).collect());
    }
    let mut pieces = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        let range = match (parts.get(bounds.equal.len()), bounds.lower.is_some() || bounds.upper.is_some()) {
            (Some(part), true) => between(&prefix, part, bounds, rt)?,
            _ => Some(all_with(&prefix)),
        };
        pieces.extend(range.map(Piece::Range));
    }
    Ok(pieces)
}

pub(crate) fn all_with(prefix: &[u8]) -> KeyRange {
    if prefix.is_empty() {
        return KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
    }
    KeyRange {
        start: Bound::Included(prefix.to_vec()),
        end: prefix_successor(prefix).map_or(Bound::Unbounded, Bound::Excluded),
    }
}

/// The entries below `prefix` whose next column lies within the bounds; nulls never do.
fn between(prefix: &[u8], part: &KeyPart, bounds: &Bounds, rt: &Runtime<'_>) -> Result<Option<KeyRange>> {
    // In a descending column, the lower values come last.
    let (first, last) = match part.order.descending {
        false => (&bounds.lower, &bounds.upper),
        true => (&bounds.upper, &bounds.lower),
    };
    let mut values = prefix.to_vec();
    values.push(VALUE_TAG);
    let KeyRange { mut start, mut end } = all_with(&values);
    for (bound, is_start) in [(first, true), (last, false)] {
        let Some(bound) = bound else { continue };
        let value = match key_value(row_value(&bound.value, &[], rt)?, part.data_type) {
            KeyValue::Null => return Ok(None),
            KeyValue::Value(value) => value,
            // Beyond what the column can hold: no limit on the one side, nothing left on the other.
            KeyValue::Above if is_start != part.order.descending => return Ok(None),
            KeyValue::Below if is_start == part.order.descending => return Ok(None),
            KeyValue::Above | KeyValue::Below => continue,
        };
        let mut key = prefix.to_vec();
        encode(&value, part.data_type, part.order, &mut key);
        let after = || prefix_successor(&key);
        match (is_start, bound.inclusive) {
            (true, true) => start = Bound::Included(key),
            (true, false) => match after() {
                Some(key) => start = Bound::Included(key),
                None => return Ok(None),
            },
            (false, true) => end = after().map_or(Bound::Unbounded, Bound::Excluded),
            (false, false) => end = Bound::Excluded(key),
        }
    }
    if let (Bound::Included(start), Bound::Excluded(end)) = (&start, &end)
        && start >= end
    {
        return Ok(None);
    }
    Ok(Some(KeyRange { start, end }))
}

/// The key of one row by its whole primary key; None: a value is null or can't be in the column.
pub fn point_key(values: &[Expr], shape: &Shape, rt: &Runtime<'_>) -> Result<Option<Vec<u8>>> {
    let mut key = Vec::with_capacity(16);
    for (expr, part) in values.iter().zip(&shape.key) {
        match key_value(row_value(expr, &[], rt)?, part.data_type) {
            KeyValue::Value(value) => encode(&value, part.data_type, KeyOrder::ASCENDING, &mut key),
            _ => return Ok(None),
        }
    }
    Ok(Some(key))
}

/// A relation computed from the catalog or the live state.
pub struct SystemScan {
    scan: Arc<node::SystemScan>,
    types: Vec<Type>,
    rows: Option<std::vec::IntoIter<Vec<Datum>>>,
}

impl SystemScan {
    pub fn new(scan: Arc<node::SystemScan>, types: Vec<Type>) -> SystemScan {
        SystemScan { scan, types, rows: None }
    }
}

impl Execute for SystemScan {
    fn next(&mut self, rt: &Runtime<'_>, _max: usize) -> Result<Option<Batch>> {
        if self.rows.is_none() {
            self.rows = Some((self.scan.relation.rows)(&rt.context.eval)?.into_iter());
        }
        let rows = self.rows.as_mut().expect("they were just computed");
        let mut columns: Vec<Column> =
            self.types.iter().map(|t| Column::with_capacity(t.repr(), 64)).collect();
        let mut count = 0;
        for row in rows.take(BATCH_ROWS) {
            for (column, at) in columns.iter_mut().zip(&self.scan.columns) {
                // Behind the relation's columns: its OID.
                match row.get(*at) {
                    Some(value) => column.push_datum(value),
                    None => column.push_datum(&Datum::Oid(self.scan.relation.oid)),
                }
            }
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let batch = Batch { columns: columns.into_iter().map(Arc::new).collect(), rows: count };
        filter(&self.scan.filter, batch, rt).map(Some)
    }

    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        self.rows = None;
        Ok(())
    }
}
