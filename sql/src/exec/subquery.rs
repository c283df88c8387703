//! Subqueries in expressions. Uncorrelated ones run once; `x = ANY (…)` of such a one is tested by hash.

use super::eval::{quantify, row_value};
use super::operator::build;
use super::row_store::RowStore;
use super::runtime::Runtime;
use crate::column::{BATCH_ROWS, Batch};
use crate::error::{Error, Result, SqlState};
use crate::plan::Subquery;
use crate::plan::cost::Comparison;
use crate::plan::logical::SublinkKind;
use crate::table::key::{KeyOrder, encode};
use crate::types::{ArrayValue, Datum};
use std::sync::Arc;

pub fn value(query: &Subquery, row: &[Datum], rt: &Runtime<'_>) -> Result<Datum> {
    let compares = matches!(query.kind, SublinkKind::Any | SublinkKind::All);
    if query.is_constant && !compares {
        let known = rt.state.subqueries.borrow().get(query.index).and_then(|state| state.value.clone());
        if let Some(value) = known {
            return Ok(value);
        }
    }
    let operands =
        query.operands.iter().map(|operand| row_value(operand, row, rt)).collect::<Result<Vec<_>>>()?;
    // The slots may be in use by an operator around: they are put back.
    let mut before = Vec::with_capacity(query.inputs.len());
    for (slot, input) in &query.inputs {
        let value = row_value(input, row, rt)?;
        before.push((*slot, rt.set_slot(*slot, value)));
    }
    let result = run(query, operands, rt);
    for (slot, value) in before.into_iter().rev() {
        rt.set_slot(slot, value);
    }
    let result = result?;
    if query.is_constant
        && !compares
        && let Some(state) = rt.state.subqueries.borrow_mut().get_mut(query.index)
    {
        state.value = Some(result.clone());
    }
    Ok(result)
}

/// Hands the subquery's batches to `visit` until it answers false.
fn each_batch(
    query: &Subquery,
    max: usize,
    rt: &Runtime<'_>,
    visit: &mut dyn FnMut(&Batch) -> Result<bool>,
) -> Result<()> {
    let kept = rt.state.subqueries.borrow_mut().get_mut(query.index).and_then(|state| state.executor.take());
    let mut executor = match kept {
        Some(mut executor) => {
            executor.rescan(rt)?;
            executor
        }
        None => build(&query.node, rt),
    };
    while let Some(batch) = executor.next(rt, max)? {
        rt.check_interrupt()?;
        if batch.rows > 0 && !visit(&batch)? {
            break;
        }
    }
    if let Some(state) = rt.state.subqueries.borrow_mut().get_mut(query.index) {
        state.executor = Some(executor);
    }
    Ok(())
}

fn run(query: &Subquery, operands: Vec<Datum>, rt: &Runtime<'_>) -> Result<Datum> {
    match query.kind {
        SublinkKind::Exists => {
            let mut found = false;
            each_batch(query, 1, rt, &mut |_| {
                found = true;
                Ok(false)
            })?;
            Ok(Datum::Bool(found))
        }
        SublinkKind::Scalar | SublinkKind::Row => {
            let mut result = None;
            each_batch(query, 2, rt, &mut |batch| {
                if result.is_some() || batch.rows > 1 {
                    return Err(Error::new(
                        SqlState::CARDINALITY_VIOLATION,
                        "more than one row returned by a subquery used as an expression",
                    ));
                }
                result = Some(batch.row(0));
                Ok(true)
            })?;
            Ok(match (query.kind, result) {
                (_, None) => Datum::Null,
                (SublinkKind::Row, Some(row)) => {
                    Datum::record(query.node.types.iter().copied().zip(row).collect())
                }
                (_, Some(row)) => row.into_iter().next().unwrap_or_default(),
            })
        }
        SublinkKind::Array => {
            let mut elements = Vec::new();
            each_batch(query, BATCH_ROWS, rt, &mut |batch| {
                elements.extend((0..batch.rows).map(|row| batch.columns[0].get(row)));
                Ok(true)
            })?;
            let element = query.data_type.element().unwrap_or(query.data_type);
            let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
            Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions, elements })))
        }
        SublinkKind::Any | SublinkKind::All => compare(query, operands, rt),
    }
}

fn compare(query: &Subquery, operands: Vec<Datum>, rt: &Runtime<'_>) -> Result<Datum> {
    if query.is_constant && query.is_hashable && operands.len() == 1 {
        return by_hash(query, &operands[0], rt);
    }
    let all = query.kind == SublinkKind::All;
    let mut unknown = false;
    let mut decided = false;
    let mut visit = |batch: &Batch| -> Result<bool> {
        for row in 0..batch.rows {
            let result = compare_row(query, &operands, batch, row, rt)?;
            match result {
                Some(value) if value != all => {
                    decided = true;
                    return Ok(false);
                }
                Some(_) => {}
                None => unknown = true,
            }
        }
        Ok(true)
    };
    match query.is_constant {
        true => {
            let rows = kept_rows(query, rt)?;
            let mut number = 0;
            while let Some(batch) = rows.get(number, &query.node.types)?
                && visit(&batch)?
            {
                number += 1;
            }
        }
        false => each_batch(query, BATCH_ROWS, rt, &mut visit)?,
    }
    Ok(match (decided, unknown) {
        (true, _) => Datum::Bool(!all),
        (false, true) => Datum::Null,
        (false, false) => Datum::Bool(all),
    })
}

/// One row against the operands, as SQL compares rows: `=` is the conjunction of its columns, `<>` the disjunction, and of the others the first columns
/// that differ decide.
fn compare_row(
    query: &Subquery,
    operands: &[Datum],
    batch: &Batch,
    row: usize,
    rt: &Runtime<'_>,
) -> Result<Option<bool>> {
    let test = |at: usize, swapped: bool| -> Result<Option<bool>> {
        let (mut left, mut right) = (operands[at].clone(), batch.columns[at].get(row));
        if swapped {
            std::mem::swap(&mut left, &mut right);
        }
        let tested = quantify(query.comparisons[at], &left, std::iter::once(Ok(right)), false, rt)?;
        Ok(tested.as_bool())
    };
    let width = operands.len();
    if width == 1 {
        return test(0, false);
    }
    match Comparison::of(query.comparisons[0]) {
        Some(kind @ (Comparison::Equal | Comparison::NotEqual)) => {
            let decisive = kind == Comparison::NotEqual;
            let mut result = Some(!decisive);
            for at in 0..width {
                match test(at, false)? {
                    Some(value) if value == decisive => return Ok(Some(decisive)),
                    Some(_) => {}
                    None => result = None,
                }
            }
            Ok(result)
        }
        Some(_)
            if query
                .comparisons
                .iter()
                .all(|comparison| comparison.arguments[0] == comparison.arguments[1]) =>
        {
            let mut result = None;
            for at in 0..width {
                result = test(at, false)?;
                // Where both directions say the same, the values are equal (or one is null).
                if result.is_none() || result != test(at, true)? {
                    break;
                }
            }
            Ok(result)
        }
        _ => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "rows of such columns can only be compared with a subquery for equality",
        )),
    }
}

/// An uncorrelated subquery's rows, read once.
fn kept_rows(query: &Subquery, rt: &Runtime<'_>) -> Result<Arc<RowStore>> {
    let known = rt.state.subqueries.borrow().get(query.index).and_then(|state| state.rows.clone());
    if let Some(rows) = known {
        return Ok(rows);
    }
    let mut rows = RowStore::default();
    each_batch(query, BATCH_ROWS, rt, &mut |batch| {
        rows.append(batch.clone(), &query.node.types, rt, "subquery")?;
        Ok(true)
    })?;
    let rows = Arc::new(rows);
    if let Some(state) = rt.state.subqueries.borrow_mut().get_mut(query.index) {
        state.rows = Some(rows.clone());
    }
    Ok(rows)
}

fn by_hash(query: &Subquery, operand: &Datum, rt: &Runtime<'_>) -> Result<Datum> {
    let data_type = query.comparisons[0].arguments[1];
    let known = rt.state.subqueries.borrow().get(query.index).and_then(|state| state.set.clone());
    let set = match known {
        Some(set) => set,
        None => {
            let mut keys = hashbrown::HashSet::new();
            let (mut has_null, mut bytes) = (false, 0);
            each_batch(query, BATCH_ROWS, rt, &mut |batch| {
                for row in 0..batch.rows {
                    let value = batch.columns[0].get(row);
                    if value.is_null() {
                        has_null = true;
                        continue;
                    }
                    let mut key = Vec::new();
                    encode(&value, data_type, KeyOrder::ASCENDING, &mut key);
                    bytes += key.len() + 48;
                    keys.insert(key);
                }
                super::basic::check_budget(bytes, rt, "subquery")?;
                Ok(true)
            })?;
            let set = Arc::new((keys, has_null));
            if let Some(state) = rt.state.subqueries.borrow_mut().get_mut(query.index) {
                state.set = Some(set.clone());
            }
            set
        }
    };
    let (keys, has_null) = &*set;
    if keys.is_empty() && !has_null {
        return Ok(Datum::Bool(false));
    }
    if operand.is_null() {
        return Ok(Datum::Null);
    }
    let mut key = Vec::new();
    encode(operand, data_type, KeyOrder::ASCENDING, &mut key);
    Ok(match (keys.contains(&key), has_null) {
        (true, _) => Datum::Bool(true),
        (false, true) => Datum::Null,
        (false, false) => Datum::Bool(false),
    })
}
