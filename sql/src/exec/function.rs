//! Set-returning functions: in FROM, side by side; in a target list, row by row.

use super::eval::{eval, operand_get, row_value};
use super::operator::{Execute, Executor};
use super::runtime::Runtime;
use crate::column::{BATCH_ROWS, Batch, Column};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::functions::{Body, Function, SetIterator};
use crate::plan::node;
use crate::types::{Datum, Repr, Type};
use std::sync::Arc;

/// The rows of a call; a null argument of a strict function makes none.
fn start(function: &'static Function, arguments: &[Datum], rt: &Runtime<'_>) -> Result<SetIterator> {
    let Body::Set { function: body, .. } = &function.body else {
        return Err(Error::internal(format!("{} does not return a set", function.name)));
    };
    if function.strict && arguments.iter().any(Datum::is_null) {
        return Ok(Box::new(std::iter::empty()));
    }
    body(arguments, &rt.context.eval)
}

/// Rows of several columns as values of type record. A column of a polymorphic type is of the argument's elements' type.
fn records(columns: &[(&str, Type)], arguments: &[Datum], rows: SetIterator) -> SetIterator {
    let elements = || arguments.iter().map(|argument| argument.as_array().map(|array| array.element));
    let types: Vec<Type> =
        columns.iter().map(|(_, declared)| crate::functions::set_column(*declared, elements())).collect();
    Box::new(rows.map(move |row| Ok(vec![super::routine::record(&types, row?)])))
}

pub struct FunctionScan {
    scan: Arc<node::FunctionScan>,
    types: Vec<Type>,
    running: Option<Vec<Option<SetIterator>>>,
    ordinal: i64,
}

impl FunctionScan {
    pub fn new(scan: Arc<node::FunctionScan>, types: Vec<Type>) -> FunctionScan {
        FunctionScan { scan, types, running: None, ordinal: 0 }
    }

    fn open(&self, rt: &Runtime<'_>) -> Result<Vec<Option<SetIterator>>> {
        self.scan
            .calls
            .iter()
            .map(|call| {
                if let Some(Expr::Routine(routine)) = &call.scalar
                    && (routine.routine.returns_set || routine.is_row)
                {
                    let arguments = routine
                        .arguments
                        .iter()
                        .map(|expr| row_value(expr, &[], rt))
                        .collect::<Result<Vec<_>>>()?;
                    let rows = super::routine::rows(routine, &arguments, rt.context)?;
                    let rows: SetIterator = Box::new(rows.into_iter().map(Ok));
                    return Ok(Some(rows));
                }
                if let Some(scalar) = &call.scalar {
                    let value = row_value(scalar, &[], rt)?;
                    if let (Datum::Record(record), true) = (&value, scalar.data_type().is_row()) {
                        let row = record.iter().map(|(_, value)| value.clone()).collect();
                        let rows: SetIterator = Box::new(std::iter::once(Ok(row)));
                        return Ok(Some(rows));
                    }
                    let rows: SetIterator = Box::new(std::iter::once(Ok(vec![value])));
                    return Ok(Some(rows));
                }
                let arguments =
                    call.arguments.iter().map(|expr| row_value(expr, &[], rt)).collect::<Result<Vec<_>>>()?;
                let rows = start(call.function, &arguments, rt)?;
                // Values of a composite type whose columns the call has.
                let expands = !matches!(&call.types[..], [only] if only.repr() == Repr::Record);
                let rows: SetIterator = match expands {
                    false => rows,
                    true => Box::new(rows.map(|row| match row.as_deref() {
                        Ok([Datum::Record(record)]) => {
                            Ok(record.iter().map(|(_, value)| value.clone()).collect())
                        }
                        _ => row,
                    })),
                };
                Ok(Some(rows))
            })
            .collect()
    }
}

impl Execute for FunctionScan {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        if self.running.is_none() {
            self.running = Some(self.open(rt)?);
            self.ordinal = 0;
        }
        let running = self.running.as_mut().expect("it was just opened");
        let wanted = max.clamp(1, BATCH_ROWS);
        let mut columns: Vec<Column> =
            self.types.iter().map(|t| Column::with_capacity(t.repr(), wanted)).collect();
        let mut rows = 0;
        while rows < wanted {
            let mut current: Vec<Option<Vec<Datum>>> = Vec::with_capacity(running.len());
            for iterator in running.iter_mut() {
                let row = match iterator {
                    Some(rows) => rows.next().transpose()?,
                    None => None,
                };
                if row.is_none() {
                    *iterator = None;
                }
                current.push(row);
            }
            if current.iter().all(Option::is_none) {
                break;
            }
            let mut at = 0;
            for (call, row) in self.scan.calls.iter().zip(current) {
                for i in 0..call.types.len() {
                    // A function that ended before the others goes on with nulls.
                    match row.as_ref().and_then(|row| row.get(i)) {
                        Some(value) => columns[at].push_datum(value),
                        None => columns[at].push_null(),
                    }
                    at += 1;
                }
            }
            self.ordinal += 1;
            if self.scan.ordinality {
                columns[at].push_datum(&Datum::Int8(self.ordinal));
            }
            rows += 1;
        }
        if rows == 0 {
            return Ok(None);
        }
        Ok(Some(Batch { columns: columns.into_iter().map(Arc::new).collect(), rows }))
    }
    fn rescan(&mut self, _rt: &Runtime<'_>) -> Result<()> {
        self.running = None;
        Ok(())
    }
}

/// `SELECT generate_series(1, n) FROM t`.
pub struct ProjectSet {
    input: Executor,
    calls: Arc<[node::SetCall]>,
    types: Vec<Type>,
    current: Option<Current>,
}

struct Current {
    batch: Batch,
    row: usize,
    running: Option<Vec<Option<SetIterator>>>,
}

impl ProjectSet {
    pub fn new(input: Executor, calls: Arc<[node::SetCall]>, types: Vec<Type>) -> ProjectSet {
        ProjectSet { input, calls, types, current: None }
    }
}

impl Execute for ProjectSet {
    fn next(&mut self, rt: &Runtime<'_>, max: usize) -> Result<Option<Batch>> {
        let wanted = max.clamp(1, BATCH_ROWS);
        loop {
            rt.check_interrupt()?;
            let Some(current) = &mut self.current else {
                match self.input.next(rt, wanted)? {
                    Some(batch) => self.current = Some(Current { batch, row: 0, running: None }),
                    None => return Ok(None),
                }
                continue;
            };
            let width = current.batch.columns.len();
            let mut from: Vec<u32> = Vec::new();
            let mut made: Vec<Column> =
                self.types[width..].iter().map(|t| Column::with_capacity(t.repr(), wanted)).collect();
            while current.row < current.batch.rows && from.len() < wanted {
                if current.running.is_none() {
                    let row = current.batch.gather(&[current.row as u32]);
                    let mut running = Vec::with_capacity(self.calls.len());
                    for call in self.calls.iter() {
                        let arguments = call
                            .arguments
                            .iter()
                            .map(|expr| Ok(operand_get(&eval(expr, &row, rt)?, 0)))
                            .collect::<Result<Vec<_>>>()?;
                        running.push(Some(match &call.callee {
                            node::SetCallee::BuiltIn(function) => {
                                let rows = start(function, &arguments, rt)?;
                                match &function.body {
                                    Body::Set { columns, .. } if columns.len() > 1 => {
                                        records(columns, &arguments, rows)
                                    }
                                    _ => rows,
                                }
                            }
                            node::SetCallee::Routine(routine) => {
                                let result = routine.result;
                                let is_row = routine.is_row;
                                let rows = super::routine::rows(routine, &arguments, rt.context)?;
                                let types: Vec<Type> = routine.columns.iter().map(|(_, t)| *t).collect();
                                debug_assert!(is_row || result == types[0]);
                                Box::new(rows.into_iter().map(move |row| match is_row {
                                    false => Ok(row),
                                    true => Ok(vec![super::routine::record(&types, row)]),
                                }))
                            }
                        }));
                    }
                    current.running = Some(running);
                }
                let running = current.running.as_mut().expect("it was just started");
                let mut values = Vec::with_capacity(running.len());
                for iterator in running.iter_mut() {
                    let value = match iterator {
                        Some(rows) => rows.next().transpose()?,
                        None => None,
                    };
                    if value.is_none() {
                        *iterator = None;
                    }
                    values.push(value.and_then(|row| row.into_iter().next()));
                }
                if running.iter().all(Option::is_none) {
                    current.running = None;
                    current.row += 1;
                    continue;
                }
                for (column, value) in made.iter_mut().zip(values) {
                    column.push_datum(&value.unwrap_or_default());
                }
                from.push(current.row as u32);
            }
            let mut batch = current.batch.gather(&from);
            batch.columns.extend(made.into_iter().map(Arc::new));
            if current.row >= current.batch.rows {
                self.current = None;
            }
            if batch.rows > 0 {
                return Ok(Some(batch));
            }
        }
    }
    fn rescan(&mut self, rt: &Runtime<'_>) -> Result<()> {
        self.current = None;
        self.input.rescan(rt)
    }
}
