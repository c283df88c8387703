//! Evaluates bound expressions: over a batch, or over one row for the short paths.

use super::ExecContext;
use crate::column::Batch;
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::Operand;
use crate::types::Datum;

pub fn eval_batch(_expr: &Expr, _input: &Batch, _context: &ExecContext<'_>) -> Result<Operand> {
    todo!()
}

pub fn eval_row(_expr: &Expr, _row: &[Datum], _context: &ExecContext<'_>) -> Result<Datum> {
    todo!()
}
