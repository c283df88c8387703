//! Names to columns, syntax to typed expressions.

use crate::catalog::Table;
use crate::error::Result;
use crate::expr::Expr;
use crate::parse::ast;
use crate::plan::PlanContext;
use crate::types::Type;

/// Binds an expression over one table's columns (position in `Table::columns` = input column): CHECK, generated columns, index
/// expressions and predicates, ALTER … USING, COPY … WHERE. With `target`, an assignment cast to that type and modifier is added.
pub fn table_expression(
    _expr: &ast::Expr,
    _table: &Table,
    _target: Option<(Type, i32)>,
    _context: &PlanContext<'_>,
) -> Result<Expr> {
    todo!()
}

/// Binds an expression without input columns (DEFAULT, EXECUTE arguments, partition bounds), cast for assignment to `target`.
pub fn standalone_expression(
    _expr: &ast::Expr,
    _target: (Type, i32),
    _context: &PlanContext<'_>,
) -> Result<Expr> {
    todo!()
}

/// The type a written type name stands for, with its modifier (-1: none): 42704 if there is none.
pub fn resolve_type(_name: &ast::TypeName, _context: &PlanContext<'_>) -> Result<(Type, i32)> {
    todo!()
}
