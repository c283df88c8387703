//! Evaluates bound expressions: over a batch, or over one row for the short paths.
//!
//! Rules:
//! 1. A part that SQL says is not reached must not fail: `CASE WHEN b <> 0 THEN a / b END`, `COALESCE`, and (as users rely on it
//!    though the standard does not) AND and OR from left to right. So each of these evaluates a later part only over the rows that
//!    reach it: the batch is narrowed to them, and only in the columns that the part reads.
//! 2. What is the same for all rows stays one value (`Operand::Constant`) and is computed once, unless it is volatile.
//! 3. Strictness is ours, not the kernels': a null argument makes a null, whatever the kernel computed there.
//! 4. The transaction is not borrowed here: functions reach it through their services.

use super::ExecContext;
use super::runtime::{RunState, Runtime};
use crate::column::{Batch, Bitmap, Column, Values};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnSet, ConstantSet, Expr};
use crate::functions::{
    Body, CallTypes, CastMethod, Function, Operand, Scalar, TypedScalar, Volatility, cast_datum,
};
use crate::types::{ArrayValue, Datum, Repr, Type};
use smallvec::SmallVec;
use std::sync::Arc;

/// For expressions without subqueries (CHECK, DEFAULT, index expressions, COPY … WHERE).
pub fn eval_batch(expr: &Expr, input: &Batch, context: &ExecContext<'_>) -> Result<Operand> {
    let state = RunState::default();
    eval(expr, input, &Runtime { context, state: &state, plan: None })
}

/// For expressions without subqueries, over one row.
pub fn eval_row(expr: &Expr, row: &[Datum], context: &ExecContext<'_>) -> Result<Datum> {
    let state = RunState::default();
    row_value(expr, row, &Runtime { context, state: &state, plan: None })
}

// ---- operands ----

pub fn operand_get(operand: &Operand, row: usize) -> Datum {
    match operand {
        Operand::Column(column) => column.get(row),
        Operand::Constant(value) => value.clone(),
    }
}

pub fn operand_is_null(operand: &Operand, row: usize) -> bool {
    match operand {
        Operand::Column(column) => column.is_null(row),
        Operand::Constant(value) => value.is_null(),
    }
}

/// As a column of `rows` values.
pub fn operand_column(operand: Operand, repr: Repr, rows: usize) -> Arc<Column> {
    match operand {
        Operand::Column(column) => column,
        Operand::Constant(value) => Arc::new(Column::constant(repr, &value, rows)),
    }
}

/// True, false or null (None) of a boolean operand.
#[inline]
fn truth(operand: &Operand, row: usize) -> Option<bool> {
    match operand {
        Operand::Constant(value) => value.as_bool(),
        Operand::Column(column) => match &column.values {
            Values::Bool(values) if !column.is_null(row) => Some(values[row]),
            _ => None,
        },
    }
}

fn bools(values: Vec<Option<bool>>) -> Operand {
    let nulls = values.iter().any(Option::is_none);
    let bitmap = nulls.then(|| Bitmap::from_bools(values.iter().map(Option::is_none)));
    let values = Values::Bool(values.into_iter().map(|value| value == Some(true)).collect());
    Operand::Column(Arc::new(Column { values, nulls: bitmap }))
}

/// The rows of a batch, in the columns that `expr` reads; the others keep their length and are not looked at.
fn narrow(input: &Batch, rows: &[u32], exprs: &[&Expr]) -> Batch {
    let mut used = ColumnSet::new();
    exprs.iter().for_each(|expr| expr.columns(&mut used));
    let columns = input
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| match used.contains(i) {
            true => Arc::new(column.gather(rows)),
            false => column.clone(),
        })
        .collect();
    Batch { columns, rows: rows.len() }
}

/// Keeps the rows for which every condition is true, evaluating each only where those before it held.
pub fn filter(conditions: &[Expr], mut batch: Batch, rt: &Runtime<'_>) -> Result<Batch> {
    for condition in conditions {
        if batch.rows == 0 {
            break;
        }
        match eval(condition, &batch, rt)? {
            Operand::Constant(value) => {
                if value.as_bool() != Some(true) {
                    return Ok(batch.gather(&[]));
                }
            }
            column => {
                let kept: Vec<u32> = (0..batch.rows)
                    .filter(|row| truth(&column, *row) == Some(true))
                    .map(|row| row as u32)
                    .collect();
                if kept.len() < batch.rows {
                    batch = batch.gather(&kept);
                }
            }
        }
    }
    Ok(batch)
}

/// Whether every condition is true of one row.
pub fn row_passes(conditions: &[Expr], row: &[Datum], rt: &Runtime<'_>) -> Result<bool> {
    for condition in conditions {
        if row_value(condition, row, rt)?.as_bool() != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

// ---- a batch ----

pub fn eval(expr: &Expr, input: &Batch, rt: &Runtime<'_>) -> Result<Operand> {
    match expr {
        Expr::Constant { value, .. } => Ok(Operand::Constant(value.clone())),
        Expr::Column { index, .. } => Ok(Operand::Column(input.columns[*index].clone())),
        Expr::Slot { index, .. } => Ok(Operand::Constant(rt.slot(*index))),
        Expr::Parameter { index, .. } => Ok(Operand::Constant(parameter(*index, rt)?)),
        Expr::Call { function, arguments, result } => {
            let operands = arguments.iter().map(|a| eval(a, input, rt)).collect::<Result<Vec<_>>>()?;
            if let Body::Typed(typed) = function.body {
                return call_typed(function, typed, arguments, &operands, *result, input.rows, rt);
            }
            call(function, &operands, *result, input.rows, rt)
        }
        Expr::Cast { operand, method, to, modifier, explicit } => {
            let value = eval(operand, input, rt)?;
            cast(value, operand.data_type(), *method, *to, *modifier, *explicit, input.rows, rt)
        }
        Expr::And(terms) => logical(terms, false, input, rt),
        Expr::Or(terms) => logical(terms, true, input, rt),
        Expr::Not(operand) => match eval(operand, input, rt)? {
            Operand::Constant(value) => {
                Ok(Operand::Constant(value.as_bool().map_or(Datum::Null, |value| Datum::Bool(!value))))
            }
            column => Ok(bools((0..input.rows).map(|row| truth(&column, row).map(|value| !value)).collect())),
        },
        Expr::IsNull { operand, negated } => {
            let value = eval(operand, input, rt)?;
            if let Operand::Constant(value) = &value {
                return Ok(Operand::Constant(Datum::Bool(is_null(value, *negated))));
            }
            if operand.data_type().repr() == Repr::Record {
                return Ok(bools(
                    (0..input.rows).map(|row| Some(is_null(&operand_get(&value, row), *negated))).collect(),
                ));
            }
            Ok(bools((0..input.rows).map(|row| Some(operand_is_null(&value, row) != *negated)).collect()))
        }
        Expr::IsBool { operand, value, negated } => {
            let operand = eval(operand, input, rt)?;
            per_row(&operand, input.rows, |row| Some((truth(&operand, row) == *value) != *negated))
        }
        Expr::IsDistinctFrom { equals, left, right, negated } => {
            let left = eval(left, input, rt)?;
            let right = eval(right, input, rt)?;
            let equal = call(equals, &[left.clone(), right.clone()], Type::BOOL, input.rows, rt)?;
            Ok(bools(
                (0..input.rows)
                    .map(|row| {
                        let same = match (operand_is_null(&left, row), operand_is_null(&right, row)) {
                            (true, true) => true,
                            (false, false) => truth(&equal, row) == Some(true),
                            _ => false,
                        };
                        Some(same == *negated)
                    })
                    .collect(),
            ))
        }
        Expr::Case { operand: None, arms, otherwise, result } => {
            case(arms, otherwise.as_deref(), *result, input, rt)
        }
        Expr::Coalesce { arguments, result } => coalesce(arguments, *result, input, rt),
        Expr::NullIf { left, equals } => {
            let value = eval(left, input, rt)?;
            let equal = eval(equals, input, rt)?;
            let indices: Vec<u32> = (0..input.rows)
                .map(|row| match truth(&equal, row) {
                    Some(true) => crate::column::NO_ROW,
                    _ => row as u32,
                })
                .collect();
            let column = operand_column(value, left.data_type().repr(), input.rows);
            Ok(Operand::Column(Arc::new(column.gather_optional(&indices))))
        }
        Expr::InSet { operand, set, negated } => {
            let operand = eval(operand, input, rt)?;
            let mut scratch = Vec::new();
            per_row(&operand, input.rows, |row| {
                in_set(&operand_get(&operand, row), set, *negated, &mut scratch)
            })
        }
        Expr::Quantified { comparison, operand, list, array: false, all }
            if list.iter().all(Expr::is_constant) =>
        {
            let value = eval(operand, input, rt)?;
            let mut results = vec![Some(*all); input.rows];
            for item in list {
                let arguments = [value.clone(), eval(item, input, rt)?];
                let found = call(comparison, &arguments, Type::BOOL, input.rows, rt)?;
                for (row, result) in results.iter_mut().enumerate() {
                    *result = match (*result, truth(&found, row)) {
                        // One element that says so decides, else one that doesn't know.
                        (Some(known), _) | (_, Some(known)) if known != *all => Some(known),
                        (Some(_), Some(known)) => Some(known),
                        _ => None,
                    };
                }
            }
            Ok(bools(results))
        }
        Expr::Quantified { .. }
        | Expr::Case { .. }
        | Expr::MinMax { .. }
        | Expr::Array { .. }
        | Expr::Subscript { .. }
        | Expr::Row { .. }
        | Expr::Field { .. }
        | Expr::Routine(_)
        | Expr::Subquery(_) => rowwise(expr, input, rt),
        Expr::Sublink(_) => Err(Error::internal("a subquery was not planned")),
    }
}

fn parameter(index: usize, rt: &Runtime<'_>) -> Result<Datum> {
    rt.context.parameters.get(index).cloned().ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${}", index + 1))
    })
}

/// `x IS [NOT] NULL`; of a row: all fields are (not) null.
fn is_null(value: &Datum, negated: bool) -> bool {
    match value {
        Datum::Record(fields) => fields.iter().all(|(_, field)| field.is_null() != negated),
        value => value.is_null() != negated,
    }
}

fn in_set(value: &Datum, set: &ConstantSet, negated: bool, scratch: &mut Vec<u8>) -> Option<bool> {
    if value.is_null() {
        return None;
    }
    match set.contains(value, scratch) {
        true => Some(!negated),
        false if set.has_null => None,
        false => Some(negated),
    }
}

fn per_row(operand: &Operand, rows: usize, mut value: impl FnMut(usize) -> Option<bool>) -> Result<Operand> {
    match operand {
        Operand::Constant(_) => Ok(Operand::Constant(value(0).map_or(Datum::Null, Datum::Bool))),
        Operand::Column(_) => Ok(bools((0..rows).map(value).collect())),
    }
}

/// The long tail: one row at a time.
fn rowwise(expr: &Expr, input: &Batch, rt: &Runtime<'_>) -> Result<Operand> {
    let mut used = ColumnSet::new();
    expr.columns(&mut used);
    if used.is_empty() && !expr.is_volatile() {
        return Ok(Operand::Constant(row_value(expr, &[], rt)?));
    }
    let mut row = vec![Datum::Null; input.columns.len()];
    let mut out = Column::with_capacity(expr.data_type().repr(), input.rows);
    for i in 0..input.rows {
        for (at, column) in input.columns.iter().enumerate() {
            if used.contains(at) {
                row[at] = column.get(i);
            }
        }
        out.push_datum(&row_value(expr, &row, rt)?);
    }
    Ok(Operand::Column(Arc::new(out)))
}

pub fn scalar_of(function: &Function) -> Result<Scalar> {
    match &function.body {
        Body::Scalar { scalar, .. } => Ok(*scalar),
        _ => Err(Error::internal(format!("function {} is not scalar", function.name))),
    }
}

pub fn call(
    function: &'static Function,
    operands: &[Operand],
    result: Type,
    rows: usize,
    rt: &Runtime<'_>,
) -> Result<Operand> {
    let Body::Scalar { scalar, kernel } = &function.body else {
        return Err(Error::internal(format!("function {} is not scalar", function.name)));
    };
    let constant = operands.iter().all(|operand| matches!(operand, Operand::Constant(_)));
    if function.strict && operands.iter().any(|o| matches!(o, Operand::Constant(Datum::Null))) {
        return Ok(Operand::Constant(Datum::Null));
    }
    let eval = &rt.context.eval;
    if constant && (function.volatility != Volatility::Volatile) {
        let values: SmallVec<[Datum; 4]> = operands.iter().map(|operand| operand_get(operand, 0)).collect();
        return Ok(Operand::Constant(scalar(&values, eval)?));
    }
    if let (Some(kernel), false) = (kernel, constant) {
        let mut column = kernel(operands, rows, eval)?;
        if function.strict {
            for operand in operands {
                if let Operand::Column(argument) = operand
                    && let Some(nulls) = &argument.nulls
                {
                    match &mut column.nulls {
                        Some(own) => own.or(nulls),
                        None => column.nulls = Some(nulls.clone()),
                    }
                }
            }
        }
        return Ok(Operand::Column(Arc::new(column)));
    }
    let mut out = Column::with_capacity(result.repr(), rows);
    let mut values: SmallVec<[Datum; 4]> = SmallVec::new();
    for row in 0..rows {
        values.clear();
        values.extend(operands.iter().map(|operand| operand_get(operand, row)));
        if function.strict && values.iter().any(Datum::is_null) {
            out.push_null();
        } else {
            out.push_datum(&scalar(&values, eval)?);
        }
        if row % 1024 == 1023 {
            rt.check_interrupt()?;
        }
    }
    Ok(Operand::Column(Arc::new(out)))
}

/// A function that asks for the types of its arguments.
fn call_typed(
    function: &'static Function,
    typed: TypedScalar,
    arguments: &[Expr],
    operands: &[Operand],
    result: Type,
    rows: usize,
    rt: &Runtime<'_>,
) -> Result<Operand> {
    let types: SmallVec<[Type; 8]> = arguments.iter().map(Expr::data_type).collect();
    let types = CallTypes { arguments: &types, result };
    let one = |row: usize| {
        let values: SmallVec<[Datum; 8]> = operands.iter().map(|operand| operand_get(operand, row)).collect();
        match function.strict && values.iter().any(Datum::is_null) {
            true => Ok(Datum::Null),
            false => typed(&values, &types, &rt.context.eval),
        }
    };
    let constant = operands.iter().all(|operand| matches!(operand, Operand::Constant(_)));
    if constant && function.volatility != Volatility::Volatile {
        return one(0).map(Operand::Constant);
    }
    let mut out = Column::with_capacity(result.repr(), rows);
    for row in 0..rows {
        out.push_datum(&one(row)?);
        if row % 1024 == 1023 {
            rt.check_interrupt()?;
        }
    }
    Ok(Operand::Column(Arc::new(out)))
}

#[allow(clippy::too_many_arguments)]
fn cast(
    value: Operand,
    from: Type,
    method: CastMethod,
    to: Type,
    modifier: i32,
    explicit: bool,
    rows: usize,
    rt: &Runtime<'_>,
) -> Result<Operand> {
    let eval = &rt.context.eval;
    match (&value, method) {
        (_, CastMethod::Relabel) if modifier == -1 => Ok(value),
        (Operand::Constant(constant), _) => {
            Ok(Operand::Constant(cast_value(constant.clone(), from, to, modifier, explicit, rt)?))
        }
        (Operand::Column(_), CastMethod::Function(function)) if has_kernel(function) => {
            let operands = [
                value.clone(),
                Operand::Constant(Datum::Int4(modifier)),
                Operand::Constant(Datum::Bool(explicit)),
            ];
            call(function, &operands[..function.arguments.len().min(3)], to, rows, rt)
        }
        (Operand::Column(column), _) => {
            let mut out = Column::with_capacity(to.repr(), rows);
            for row in 0..rows {
                match column.is_null(row) && !matches!(method, CastMethod::Domain) {
                    true => out.push_null(),
                    false => {
                        out.push_datum(&cast_datum(column.get(row), from, to, modifier, explicit, eval)?)
                    }
                }
            }
            Ok(Operand::Column(Arc::new(out)))
        }
    }
}

fn has_kernel(function: &Function) -> bool {
    matches!(function.body, Body::Scalar { kernel: Some(_), .. })
}

fn cast_value(
    value: Datum,
    from: Type,
    to: Type,
    modifier: i32,
    explicit: bool,
    rt: &Runtime<'_>,
) -> Result<Datum> {
    match value {
        Datum::Null if !to.is_domain() => Ok(Datum::Null),
        value => cast_datum(value, from, to, modifier, explicit, &rt.context.eval),
    }
}

/// AND (`decisive` false) and OR (`decisive` true) by rule 1.
fn logical(terms: &[Expr], decisive: bool, input: &Batch, rt: &Runtime<'_>) -> Result<Operand> {
    // None: all rows are still undecided.
    let mut undecided: Option<Vec<u32>> = None;
    let mut result: Vec<Option<bool>> = vec![Some(!decisive); input.rows];
    for term in terms {
        let narrowed;
        let batch = match &undecided {
            None => input,
            Some(rows) if rows.is_empty() => break,
            Some(rows) => {
                narrowed = narrow(input, rows, &[term]);
                &narrowed
            }
        };
        let value = eval(term, batch, rt)?;
        if let Operand::Constant(value) = &value
            && value.as_bool() == Some(!decisive)
        {
            continue;
        }
        let mut rest = Vec::with_capacity(batch.rows);
        for at in 0..batch.rows {
            let row = undecided.as_ref().map_or(at as u32, |rows| rows[at]);
            match truth(&value, at) {
                Some(value) if value == decisive => result[row as usize] = Some(decisive),
                Some(_) => rest.push(row),
                None => {
                    result[row as usize] = None;
                    rest.push(row);
                }
            }
        }
        if rest.len() < batch.rows {
            undecided = Some(rest);
        }
    }
    Ok(bools(result))
}

/// Rows of the result taken from several partial results.
struct Pieces {
    parts: Vec<Arc<Column>>,
    /// For each result row: part and row in it.
    from: Vec<(u32, u32)>,
    repr: Repr,
}

impl Pieces {
    fn new(repr: Repr, rows: usize) -> Pieces {
        let nothing = Arc::new(Column::all_null(repr, 1));
        Pieces { parts: vec![nothing], from: vec![(0, 0); rows], repr }
    }
    /// The value at `at` in `value` goes to the row `rows[at]`.
    fn add(&mut self, value: Operand, rows: impl Iterator<Item = (usize, u32)>) {
        let part = self.parts.len() as u32;
        let constant = matches!(value, Operand::Constant(_));
        self.parts.push(operand_column(value, self.repr, 1));
        for (at, row) in rows {
            self.from[row as usize] = (part, if constant { 0 } else { at as u32 });
        }
    }
    fn finish(self) -> Operand {
        let mut out = Column::with_capacity(self.repr, self.from.len());
        for (part, row) in self.from {
            out.push_from(&self.parts[part as usize], row as usize);
        }
        Operand::Column(Arc::new(out))
    }
}

fn case(
    arms: &[(Expr, Expr)],
    otherwise: Option<&Expr>,
    result: Type,
    input: &Batch,
    rt: &Runtime<'_>,
) -> Result<Operand> {
    let mut left: Vec<u32> = (0..input.rows as u32).collect();
    let mut pieces = Pieces::new(result.repr(), input.rows);
    for (condition, value) in arms {
        if left.is_empty() {
            break;
        }
        let holds = match left.len() == input.rows {
            true => eval(condition, input, rt)?,
            false => eval(condition, &narrow(input, &left, &[condition]), rt)?,
        };
        let (mut taken, mut rest) = (Vec::new(), Vec::new());
        for (at, row) in left.iter().enumerate() {
            match truth(&holds, at) {
                Some(true) => taken.push(*row),
                _ => rest.push(*row),
            }
        }
        if !taken.is_empty() {
            let value = eval(value, &narrow(input, &taken, &[value]), rt)?;
            pieces.add(value, taken.into_iter().enumerate());
        }
        left = rest;
    }
    if let (Some(otherwise), false) = (otherwise, left.is_empty()) {
        let value = eval(otherwise, &narrow(input, &left, &[otherwise]), rt)?;
        pieces.add(value, left.into_iter().enumerate());
    }
    Ok(pieces.finish())
}

fn coalesce(arguments: &[Expr], result: Type, input: &Batch, rt: &Runtime<'_>) -> Result<Operand> {
    let mut left: Vec<u32> = (0..input.rows as u32).collect();
    let mut pieces = Pieces::new(result.repr(), input.rows);
    for argument in arguments {
        if left.is_empty() {
            break;
        }
        let value = match left.len() == input.rows {
            true => eval(argument, input, rt)?,
            false => eval(argument, &narrow(input, &left, &[argument]), rt)?,
        };
        let (mut taken, mut rest) = (Vec::new(), Vec::new());
        for (at, row) in left.iter().enumerate() {
            match operand_is_null(&value, at) {
                true => rest.push(*row),
                false => taken.push((at, *row)),
            }
        }
        if taken.len() == input.rows {
            return Ok(value);
        }
        pieces.add(value, taken.into_iter());
        left = rest;
    }
    Ok(pieces.finish())
}

// ---- one row ----

pub fn row_value(expr: &Expr, row: &[Datum], rt: &Runtime<'_>) -> Result<Datum> {
    match expr {
        Expr::Constant { value, .. } => Ok(value.clone()),
        Expr::Column { index, .. } => Ok(row[*index].clone()),
        Expr::Slot { index, .. } => Ok(rt.slot(*index)),
        Expr::Parameter { index, .. } => parameter(*index, rt),
        Expr::Call { function, arguments, result } => {
            let mut values: SmallVec<[Datum; 4]> = SmallVec::with_capacity(arguments.len());
            for argument in arguments {
                let value = row_value(argument, row, rt)?;
                if function.strict && value.is_null() {
                    return Ok(Datum::Null);
                }
                values.push(value);
            }
            if let Body::Typed(typed) = function.body {
                let types: SmallVec<[Type; 8]> = arguments.iter().map(Expr::data_type).collect();
                return typed(&values, &CallTypes { arguments: &types, result: *result }, &rt.context.eval);
            }
            scalar_of(function)?(&values, &rt.context.eval)
        }
        Expr::Routine(call) => {
            let values = call
                .arguments
                .iter()
                .map(|argument| row_value(argument, row, rt))
                .collect::<Result<Vec<_>>>()?;
            super::routine::value(call, &values, rt.context)
        }
        Expr::Cast { operand, method, to, modifier, explicit } => {
            let value = row_value(operand, row, rt)?;
            match method {
                CastMethod::Relabel if *modifier == -1 => Ok(value),
                _ => cast_value(value, operand.data_type(), *to, *modifier, *explicit, rt),
            }
        }
        Expr::And(terms) => row_logical(terms, false, row, rt),
        Expr::Or(terms) => row_logical(terms, true, row, rt),
        Expr::Not(operand) => {
            Ok(row_value(operand, row, rt)?.as_bool().map_or(Datum::Null, |value| Datum::Bool(!value)))
        }
        Expr::IsNull { operand, negated } => {
            Ok(Datum::Bool(is_null(&row_value(operand, row, rt)?, *negated)))
        }
        Expr::IsBool { operand, value, negated } => {
            Ok(Datum::Bool((row_value(operand, row, rt)?.as_bool() == *value) != *negated))
        }
        Expr::IsDistinctFrom { equals, left, right, negated } => {
            let (left, right) = (row_value(left, row, rt)?, row_value(right, row, rt)?);
            let same = match (left.is_null(), right.is_null()) {
                (true, true) => true,
                (false, false) => {
                    scalar_of(equals)?(&[left, right], &rt.context.eval)?.as_bool() == Some(true)
                }
                _ => false,
            };
            Ok(Datum::Bool(same == *negated))
        }
        Expr::Case { operand, arms, otherwise, .. } => {
            if let Some((operand, slot)) = operand {
                rt.set_slot(*slot, row_value(operand, row, rt)?);
            }
            for (condition, value) in arms {
                if row_value(condition, row, rt)?.as_bool() == Some(true) {
                    return row_value(value, row, rt);
                }
            }
            otherwise.as_ref().map_or(Ok(Datum::Null), |otherwise| row_value(otherwise, row, rt))
        }
        Expr::Coalesce { arguments, .. } => {
            for argument in arguments {
                let value = row_value(argument, row, rt)?;
                if !value.is_null() {
                    return Ok(value);
                }
            }
            Ok(Datum::Null)
        }
        Expr::NullIf { left, equals } => match row_value(equals, row, rt)?.as_bool() {
            Some(true) => Ok(Datum::Null),
            _ => row_value(left, row, rt),
        },
        Expr::MinMax { greatest, less, arguments, .. } => {
            let less = scalar_of(less)?;
            let mut best = Datum::Null;
            for argument in arguments {
                let value = row_value(argument, row, rt)?;
                if value.is_null() {
                    continue;
                }
                let better = best.is_null() || {
                    let pair = match greatest {
                        true => [best.clone(), value.clone()],
                        false => [value.clone(), best.clone()],
                    };
                    less(&pair, &rt.context.eval)?.as_bool() == Some(true)
                };
                if better {
                    best = value;
                }
            }
            Ok(best)
        }
        Expr::InSet { operand, set, negated } => {
            let value = row_value(operand, row, rt)?;
            Ok(in_set(&value, set, *negated, &mut Vec::new()).map_or(Datum::Null, Datum::Bool))
        }
        Expr::Quantified { comparison, operand, list, array, all } => {
            let value = row_value(operand, row, rt)?;
            let elements;
            if *array {
                match row_value(&list[0], row, rt)? {
                    Datum::Array(array) => elements = array,
                    _ => return Ok(Datum::Null),
                }
                quantify(comparison, &value, elements.elements.iter().cloned().map(Ok), *all, rt)
            } else {
                quantify(comparison, &value, list.iter().map(|item| row_value(item, row, rt)), *all, rt)
            }
        }
        Expr::Array { elements, element, .. } => {
            let values = elements.iter().map(|e| row_value(e, row, rt)).collect::<Result<Vec<_>>>()?;
            array_value(values, *element)
        }
        Expr::Subscript { operand, subscripts, result } => {
            let value = row_value(operand, row, rt)?;
            let mut bounds = Vec::with_capacity(subscripts.len());
            for (lower, upper, slice) in subscripts {
                let lower = lower.as_ref().map(|e| row_value(e, row, rt)).transpose()?;
                let upper = upper.as_ref().map(|e| row_value(e, row, rt)).transpose()?;
                bounds.push((lower, upper, *slice));
            }
            Ok(super::arrays::subscript(&value, &bounds, *result))
        }
        Expr::Row { fields, types, names, .. } => {
            let values = fields
                .iter()
                .zip(types)
                .map(|(field, data_type)| Ok((*data_type, row_value(field, row, rt)?)))
                .collect::<Result<Vec<_>>>()?;
            Ok(Datum::named_record(values, names.clone()))
        }
        Expr::Field { operand, index, .. } => match row_value(operand, row, rt)? {
            Datum::Record(fields) => Ok(fields.get(*index).map_or(Datum::Null, |(_, value)| value.clone())),
            _ => Ok(Datum::Null),
        },
        Expr::Subquery(query) => super::subquery::value(query, row, rt),
        Expr::Sublink(_) => Err(Error::internal("a subquery was not planned")),
    }
}

fn row_logical(terms: &[Expr], decisive: bool, row: &[Datum], rt: &Runtime<'_>) -> Result<Datum> {
    let mut unknown = false;
    for term in terms {
        match row_value(term, row, rt)?.as_bool() {
            Some(value) if value == decisive => return Ok(Datum::Bool(decisive)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(!decisive) })
}

/// `value op ANY|ALL (elements)` with SQL's three values.
pub fn quantify(
    comparison: &'static Function,
    value: &Datum,
    elements: impl Iterator<Item = Result<Datum>>,
    all: bool,
    rt: &Runtime<'_>,
) -> Result<Datum> {
    let scalar = scalar_of(comparison)?;
    let mut unknown = false;
    for element in elements {
        let element = element?;
        if comparison.strict && (element.is_null() || value.is_null()) {
            unknown = true;
            continue;
        }
        match scalar(&[value.clone(), element], &rt.context.eval)?.as_bool() {
            Some(result) if result != all => return Ok(Datum::Bool(!all)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(all) })
}

/// ARRAY[…]: of values, or of arrays of one shape.
fn array_value(values: Vec<Datum>, element: Type) -> Result<Datum> {
    // int2vector and oidvector are held as arrays, but are elements like any other.
    let is_vector = |inner: &ArrayValue| element.repr() == Repr::Array && inner.element != element;
    let nested = values.iter().any(|value| matches!(value, Datum::Array(inner) if !is_vector(inner)));
    if !nested {
        let dimensions = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, 1)] };
        return Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions, elements: values })));
    }
    let mut dimensions: Option<Vec<(i32, i32)>> = None;
    let mut elements = Vec::new();
    let count = values.len() as i32;
    for value in values {
        let inner = match value {
            Datum::Array(inner) => inner,
            _ => return Err(mismatched_dimensions()),
        };
        if dimensions.as_ref().is_some_and(|d| *d != inner.dimensions) {
            return Err(mismatched_dimensions());
        }
        dimensions = Some(inner.dimensions.clone());
        elements.extend(inner.elements.iter().cloned());
    }
    let inner = dimensions.unwrap_or_default();
    if inner.is_empty() {
        return Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions: Vec::new(), elements })));
    }
    let dimensions = std::iter::once((count, 1)).chain(inner).collect();
    Ok(Datum::Array(Arc::new(ArrayValue { element, dimensions, elements })))
}

fn mismatched_dimensions() -> Error {
    Error::new(
        SqlState::ARRAY_SUBSCRIPT_ERROR,
        "multidimensional arrays must have array expressions with matching dimensions",
    )
}
