//! Whether conditions imply the predicate of a partial index (a small part of PostgreSQL's predtest.c). Each of the predicate's conjuncts has
//! to follow from one condition:
//!
//! - it is that condition, or an OR with an arm that follows;
//! - it is `x IS NOT NULL`, and the condition is strict in `x`;
//! - both compare the same thing with constants: `x > 5` implies `x > 3` and `x <> 0`;
//! - it is a list that has all values of the condition's list (or its one value).

use super::cost::Comparison;
use crate::exec::PLAIN_ORDER;
use crate::expr::{Expr, conjuncts};
use crate::table::key::encode;
use crate::types::{Datum, Type};

/// None: not implied. Else the conditions that are conjuncts of the predicate, and so need no check.
pub fn by(conditions: &[Expr], predicate: &Expr) -> Option<Vec<usize>> {
    let mut parts = Vec::new();
    conjuncts(predicate.clone(), &mut parts);
    let follows = |part: &Expr| conditions.iter().any(|condition| implies(condition, part));
    if !parts.iter().all(follows) {
        return None;
    }
    let is_part = |at: &usize| parts.iter().any(|part| part.same(&conditions[*at]));
    Some((0..conditions.len()).filter(is_part).collect())
}

fn implies(condition: &Expr, wanted: &Expr) -> bool {
    if condition.same(wanted) {
        return true;
    }
    match (condition, wanted) {
        (_, Expr::Or(arms)) => arms.iter().any(|arm| {
            let mut parts = Vec::new();
            conjuncts(arm.clone(), &mut parts);
            parts.iter().all(|part| implies(condition, part))
        }),
        (condition, Expr::IsNull { operand, negated: true }) => is_strict_in(condition, operand),
        (condition, wanted) => compares(condition, wanted),
    }
}

/// The condition is not true where `operand` is null.
fn is_strict_in(condition: &Expr, operand: &Expr) -> bool {
    condition.same(operand)
        || match condition {
            Expr::Call { function, arguments, .. } => {
                function.strict && arguments.iter().any(|argument| is_strict_in(argument, operand))
            }
            Expr::Cast { operand: inner, .. } => is_strict_in(inner, operand),
            Expr::Quantified { comparison, operand: inner, list, all: false, .. } => {
                comparison.strict && !list.is_empty() && is_strict_in(inner, operand)
            }
            Expr::InSet { operand: inner, negated: false, .. } => is_strict_in(inner, operand),
            _ => false,
        }
}

/// `x op constant`, whichever way round.
fn comparison(expr: &Expr) -> Option<(&Expr, Comparison, &Datum, Type)> {
    let Expr::Call { function, arguments, .. } = expr else { return None };
    let [left, right] = arguments.as_slice() else { return None };
    let found = Comparison::of(function)?;
    match (left, right) {
        (operand, Expr::Constant { value, data_type }) => Some((operand, found, value, *data_type)),
        (Expr::Constant { value, data_type }, operand) => Some((operand, found.flipped(), value, *data_type)),
        _ => None,
    }
}

/// The values that a condition allows its operand, if it lists them.
fn listed(expr: &Expr) -> Option<(&Expr, Vec<&Datum>, Type)> {
    match expr {
        Expr::InSet { operand, set, negated: false } => {
            Some((operand, set.values.iter().filter(|value| !value.is_null()).collect(), set.data_type))
        }
        Expr::Quantified { comparison: function, operand, list, array: false, all: false }
            if Comparison::of(function) == Some(Comparison::Equal) =>
        {
            let data_type = list.first()?.data_type();
            if !list.iter().all(|item| item.is_constant() && item.data_type() == data_type) {
                return None;
            }
            let values = list.iter().filter_map(|item| match item {
                Expr::Constant { value, .. } if !value.is_null() => Some(value),
                _ => None,
            });
            Some((operand, values.collect(), data_type))
        }
        _ => match comparison(expr)? {
            (operand, Comparison::Equal, value, data_type) if !value.is_null() => {
                Some((operand, vec![value], data_type))
            }
            _ => None,
        },
    }
}

fn image(value: &Datum, data_type: Type) -> Vec<u8> {
    let mut out = Vec::new();
    encode(value, data_type, PLAIN_ORDER, &mut out);
    out
}

fn compares(condition: &Expr, wanted: &Expr) -> bool {
    if let (Some((a, few, t)), Some((b, many, u))) = (listed(condition), listed(wanted))
        && t == u
        && a.same(b)
    {
        let many: Vec<Vec<u8>> = many.into_iter().map(|value| image(value, u)).collect();
        return few.into_iter().all(|value| many.contains(&image(value, t)));
    }
    let (Some((a, known, x, t)), Some((b, asked, y, u))) = (comparison(condition), comparison(wanted)) else {
        return false;
    };
    if t != u || x.is_null() || y.is_null() || !a.same(b) {
        return false;
    }
    let (x, y) = (image(x, t), image(y, u));
    use Comparison::*;
    match (known, asked) {
        (Equal, Less) | (LessEqual, Less) => x < y,
        (Equal | LessEqual | Less, LessEqual) | (Less, Less) => x <= y,
        (Equal, Greater) | (GreaterEqual, Greater) => x > y,
        (Equal | GreaterEqual | Greater, GreaterEqual) | (Greater, Greater) => x >= y,
        (Equal, Equal) => x == y,
        (Equal, NotEqual) => x != y,
        (Less, NotEqual) => x <= y,
        (LessEqual, NotEqual) => x < y,
        (Greater, NotEqual) => x >= y,
        (GreaterEqual, NotEqual) => x > y,
        (NotEqual, NotEqual) => x == y,
        _ => false,
    }
}
