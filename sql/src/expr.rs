//! Bound expressions: every name resolved, every cast explicit, every node typed.

use crate::functions::{CastMethod, Function};
use crate::types::{Datum, Type};
use std::sync::Arc;

#[derive(Clone)]
pub enum Expr {
    Constant {
        value: Datum,
        data_type: Type,
    },
    /// A column of the input batch.
    Column {
        index: usize,
        data_type: Type,
    },
    /// A column of the row of an enclosing query (`level` 1 = the next one out), for correlated subqueries.
    Outer {
        level: usize,
        index: usize,
        data_type: Type,
    },
    /// `$n`, from 0.
    Parameter {
        index: usize,
        data_type: Type,
    },
    Call {
        function: &'static Function,
        arguments: Vec<Expr>,
        result: Type,
    },
    Cast {
        operand: Box<Expr>,
        method: CastMethod,
        to: Type,
        modifier: i32,
        explicit: bool,
    },
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    IsBool {
        operand: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    /// `equals` is the `=` of the operands' type.
    IsDistinctFrom {
        equals: &'static Function,
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    Case {
        operand: Option<(Box<Expr>, Vec<&'static Function>)>,
        arms: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
        result: Type,
    },
    Coalesce {
        arguments: Vec<Expr>,
        result: Type,
    },
    NullIf {
        equals: &'static Function,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    MinMax {
        greatest: bool,
        less: &'static Function,
        arguments: Vec<Expr>,
        result: Type,
    },
    /// `x IN (list)`, `x op ANY (array)`: `list` is any number of values, or one array if `array`.
    Quantified {
        comparison: &'static Function,
        operand: Box<Expr>,
        list: Vec<Expr>,
        array: bool,
        all: bool,
    },
    Array {
        elements: Vec<Expr>,
        element: Type,
        result: Type,
    },
    Subscript {
        operand: Box<Expr>,
        subscripts: Vec<(Option<Expr>, Option<Expr>, bool)>,
        result: Type,
    },
    Row {
        fields: Vec<Expr>,
        types: Vec<Type>,
    },
    Field {
        operand: Box<Expr>,
        index: usize,
        result: Type,
    },
    Subquery(Arc<crate::plan::Subquery>),
}
