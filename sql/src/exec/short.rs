//! Runs single-row statements by key (`plan::short`) without operators.

use super::eval::{row_passes, row_value};
use super::modify::Changer;
use super::runtime::Runtime;
use super::scan::point_key;
use crate::column::{Batch, Column};
use crate::error::Result;
use crate::expr::Expr;
use crate::plan::node;
use crate::plan::short::{Point, Short};
use crate::table::Shape;
use crate::types::Datum;
use serin_txn::{RowLock, WaitPolicy};
use smallvec::SmallVec;
use std::sync::Arc;

type Row = SmallVec<[Datum; 8]>;

pub enum Answer {
    Done(Option<Batch>),
    /// Nothing has happened yet but that the row's lock was asked for, which another has: by `WaitPolicy::Queue`.
    Queued,
}

pub fn run(short: &Short, wait: WaitPolicy, rt: &Runtime<'_>) -> Result<Answer> {
    rt.check_interrupt()?;
    let rows = match short {
        Short::Select { point, outputs } => select(point, outputs, rt),
        Short::Change { point, modify } => return change(point, modify, wait, rt),
        Short::Insert { modify } => {
            let mut changer = Changer::new(modify, rt)?;
            changer.announce(rt);
            let row = changer.insert(&[], rt)?;
            affected(&changer, row, &[], rt)
        }
    };
    rows.map(Answer::Done)
}

fn decode(point: &Point, shape: &Shape, bytes: &[u8]) -> Result<Row> {
    let mut row = Row::with_capacity(point.decode.len() + 2);
    for column in &point.decode {
        let value = shape.layout.decode(bytes, *column)?;
        row.push(value.unwrap_or_else(|| shape.missing[*column].clone()));
    }
    Ok(row)
}

/// A key was looked up.
fn count(shape: &Shape) {
    if let Some(index) = shape.clustered {
        let activity = &shape.indexes[index].activity;
        activity.scans.add(1);
        activity.fetched.add(1);
    }
}

fn select(point: &Point, outputs: &[Expr], rt: &Runtime<'_>) -> Result<Option<Batch>> {
    let shape = Shape::of(&point.table, rt.context)?;
    let Some(key) = point_key(&point.key, &shape, rt)? else { return Ok(None) };
    count(&shape);
    let Some(bytes) = rt.context.transaction.borrow_mut().get(&shape.tree, &key)? else { return Ok(None) };
    let row = decode(point, &shape, &bytes)?;
    if !row_passes(&point.filter, &row, rt)? {
        return Ok(None);
    }
    let mut columns = Vec::with_capacity(outputs.len());
    for expr in outputs {
        let mut column = Column::with_capacity(expr.data_type().repr(), 1);
        match expr {
            Expr::Column { index, .. } => column.push_datum(&row[*index]),
            expr => column.push_datum(&row_value(expr, &row, rt)?),
        }
        columns.push(Arc::new(column));
    }
    Ok(Some(Batch { columns, rows: 1 }))
}

/// The row is locked before it is read where nothing but the key decides: a read lock taken first would have to be upgraded, and two
/// that do so deadlock (2PL). And only then may the wait for the lock be left to the caller, who starts anew when it has it.
fn change(point: &Point, modify: &Arc<node::Modify>, wait: WaitPolicy, rt: &Runtime<'_>) -> Result<Answer> {
    let nothing = || Ok(Answer::Done(None));
    let mut changer = Changer::new(modify, rt)?;
    let shape = changer.shape.clone();
    let Some(key) = point_key(&point.key, &shape, rt)? else { return nothing() };
    let mut bytes = None;
    let mut wait = wait;
    if !point.filter.is_empty() {
        wait = WaitPolicy::Block;
        count(&shape);
        changer.announce(rt);
        let Some(read) = rt.context.transaction.borrow_mut().get(&shape.tree, &key)? else {
            return nothing();
        };
        if !row_passes(&point.filter, &decode(point, &shape, &read)?, rt)? {
            return nothing();
        }
        bytes = Some(read);
    }
    let locked = {
        let mut transaction = rt.context.transaction.borrow_mut();
        let moved = &rt.context.catalog.runtime().moved;
        transaction
            .request_row(&shape.tree, &key, changer.lock_mode, wait)
            .map_err(|error| moved.explain(error, &transaction, &shape.tree, &key))?
    };
    let Some(locked) = locked else { return Ok(Answer::Queued) };
    if point.filter.is_empty() {
        count(&shape);
    }
    let mut input: Row;
    let row = match locked {
        RowLock::Unchanged => {
            if bytes.is_none() {
                bytes = rt.context.transaction.borrow_mut().get(&shape.tree, &key)?;
            }
            let Some(bytes) = bytes else { return nothing() };
            input = with_key(decode(point, &shape, &bytes)?);
            let old = shape.decode_row(&bytes)?;
            changer.apply(&key, old, &input, rt)?
        }
        RowLock::Changed(Some(latest)) => {
            input = with_key(decode(point, &shape, &latest)?);
            changer.change_latest(&key, &latest, &mut input, rt)?
        }
        RowLock::Skipped => return nothing(),
        RowLock::SelfModified { by_this_command } => {
            changer.check_self_modified(by_this_command)?;
            return nothing();
        }
        // If it has another key now, it isn't the row that was asked for any more.
        RowLock::Changed(None) => {
            changer.gone(&key, rt)?;
            return nothing();
        }
    };
    affected(&changer, row, &input, rt).map(Answer::Done)
}

/// Room where the operators have the row's key and bytes; no expression reads them.
fn with_key(mut row: Row) -> Row {
    row.extend([Datum::Null, Datum::Null]);
    row
}

fn affected(
    changer: &Changer,
    row: Option<Vec<Datum>>,
    input: &[Datum],
    rt: &Runtime<'_>,
) -> Result<Option<Batch>> {
    let Some(row) = row else { return Ok(None) };
    rt.state.rows_affected.set(1);
    let Some(returning) = &changer.modify.returning else { return Ok(None) };
    let values = changer.returned(row, input, rt)?;
    let columns = values
        .iter()
        .zip(returning)
        .map(|(value, expr)| Arc::new(Column::from_datums(expr.data_type().repr(), [value])))
        .collect();
    Ok(Some(Batch { columns, rows: 1 }))
}
