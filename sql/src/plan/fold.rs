//! Constant folding. What fails is left as it is, to fail when (and only if) it is reached.

use super::PlanContext;
use super::cost::Comparison;
use crate::error::Error;
use crate::expr::{ConstantSet, Expr, conjuncts};
use crate::functions::{Body, CastMethod, Volatility, cast_datum, resolve_operator};
use crate::types::{Datum, Type};
use std::sync::Arc;

/// IN lists from this length on are tested by hash.
const SET_MIN: usize = 3;

pub fn fold_expression(mut expr: Expr, context: &PlanContext<'_>) -> Expr {
    fold(&mut expr, context);
    expr
}

fn fold(expr: &mut Expr, context: &PlanContext<'_>) {
    expr.children_mut(&mut |child| fold(child, context));
    let folded = match expr {
        Expr::Call { function, arguments, result } => {
            let constant = arguments.iter().all(Expr::is_constant);
            match &function.body {
                Body::Scalar { .. } | Body::Typed(_) if function.strict && arguments.iter().any(is_null) => {
                    Some(Expr::null(*result))
                }
                Body::Scalar { scalar, .. } if constant && function.volatility == Volatility::Immutable => {
                    let values: Vec<Datum> = arguments.iter().map(constant_value).collect();
                    let mut value = Err(Error::internal("not called"));
                    let mut call = || value = scalar(&values, context.eval);
                    match function.is_cheap() {
                        true => call(),
                        // While a statement is planned, nobody knows yet that it will take long.
                        false => context.eval.services.run_long(&mut call),
                    }
                    value.ok().map(|value| Expr::Constant { value, data_type: *result })
                }
                _ => None,
            }
        }
        Expr::Cast { operand, method, to, modifier, explicit } if operand.is_constant() => {
            let from = operand.data_type();
            // Integers' text form depends on no setting.
            let immutable = match method {
                CastMethod::Relabel => true,
                CastMethod::Function(function) => function.volatility == Volatility::Immutable,
                CastMethod::InputOutput => {
                    let plain = |t: Type| {
                        matches!(
                            t,
                            Type::INT2
                                | Type::INT4
                                | Type::INT8
                                | Type::TEXT
                                | Type::VARCHAR
                                | Type::BOOL
                                | Type::NUMERIC
                        )
                    };
                    plain(from) && plain(*to)
                }
                CastMethod::Array | CastMethod::Row | CastMethod::Domain => false,
            };
            match constant_value(operand) {
                Datum::Null if matches!(method, CastMethod::Domain) => None,
                Datum::Null => Some(Expr::null(*to)),
                value if immutable => cast_datum(value, from, *to, *modifier, *explicit, context.eval)
                    .ok()
                    .map(|value| Expr::Constant { value, data_type: *to }),
                _ => None,
            }
        }
        Expr::And(terms) => Some(combine(std::mem::take(terms), false)),
        Expr::Or(terms) => Some(combine(std::mem::take(terms), true)),
        Expr::Not(operand) => match &**operand {
            Expr::Constant { value: Datum::Bool(value), .. } => Some(Expr::bool(!value)),
            Expr::Constant { value: Datum::Null, .. } => Some(Expr::null(Type::BOOL)),
            _ => None,
        },
        Expr::IsNull { operand, negated } if operand.is_constant() => match constant_value(operand) {
            Datum::Record(_) => None,
            value => Some(Expr::bool(matches!(value, Datum::Null) != *negated)),
        },
        Expr::Coalesce { arguments, result } => {
            let kept: Vec<Expr> = std::mem::take(arguments).into_iter().filter(|a| !is_null(a)).collect();
            Some(match kept.first() {
                None => Expr::null(*result),
                Some(first) if first.is_constant() => first.clone(),
                Some(_) => Expr::Coalesce { arguments: kept, result: *result },
            })
        }
        Expr::Quantified { comparison, operand, list, array: false, all }
            if list.len() >= SET_MIN
                && list.iter().all(Expr::is_constant)
                && Comparison::of(comparison)
                    == Some(if *all { Comparison::NotEqual } else { Comparison::Equal })
                && is_hashable(comparison) =>
        {
            let values = list.iter().map(constant_value).collect();
            let set = Arc::new(ConstantSet::new(values, comparison.arguments[1]));
            Some(Expr::InSet {
                operand: std::mem::replace(operand, Box::new(Expr::bool(true))),
                set,
                negated: *all,
            })
        }
        _ => None,
    };
    if let Some(folded) = folded {
        *expr = folded;
    }
    if let Some(compared) = compare_as_dates(expr) {
        *expr = compared;
    }
}

/// A date compared with a constant timestamp (`date '1994-01-01' + interval '1 year'` is one) is compared with a date: cheaper for
/// each row, and an index on dates can be used.
fn compare_as_dates(expr: &Expr) -> Option<Expr> {
    const DAY: i64 = 86_400_000_000;
    let Expr::Call { function, arguments, result } = expr else { return None };
    let [date, Expr::Constant { value: Datum::Timestamp(timestamp), data_type: Type::TIMESTAMP }] =
        &arguments[..]
    else {
        return None;
    };
    if function.arguments != [Type::DATE, Type::TIMESTAMP] || [i64::MIN, i64::MAX].contains(timestamp) {
        return None;
    }
    let day = i32::try_from(timestamp.div_euclid(DAY)).ok()?;
    let is_midnight = timestamp.rem_euclid(DAY) == 0;
    let operator = match (Comparison::of(function)?, is_midnight) {
        (Comparison::Less, true) => "<",
        (Comparison::Less, false) | (Comparison::LessEqual, _) => "<=",
        (Comparison::GreaterEqual, true) => ">=",
        (Comparison::GreaterEqual, false) | (Comparison::Greater, _) => ">",
        (Comparison::Equal, true) => "=",
        (Comparison::NotEqual, true) => "<>",
        (Comparison::Equal | Comparison::NotEqual, false) => return None,
    };
    let function = resolve_operator(operator, &[Some(Type::DATE), Some(Type::DATE)]).ok()?.function;
    let day = Expr::Constant { value: Datum::Date(day), data_type: Type::DATE };
    Some(Expr::Call { function, arguments: vec![date.clone(), day], result: *result })
}

/// `=` of one type with itself, whose values can be told apart by their key encoding.
pub fn is_equality(function: &'static crate::functions::Function) -> bool {
    is_hashable(function) && Comparison::of(function) == Some(Comparison::Equal)
}

fn is_hashable(function: &crate::functions::Function) -> bool {
    function.arguments.len() == 2
        && function.arguments[0] == function.arguments[1]
        && (!function.arguments[0].is_pseudo() || function.arguments[0] == Type::ANYENUM)
        && function.arguments[0].repr() != crate::types::Repr::Record
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Constant { value: Datum::Null, .. })
}

fn constant_value(expr: &Expr) -> Datum {
    match expr {
        Expr::Constant { value, .. } => value.clone(),
        _ => Datum::Null,
    }
}

/// AND (`decisive` false) or OR of terms, flattened, without the terms that say nothing.
fn combine(terms: Vec<Expr>, decisive: bool) -> Expr {
    let mut kept = Vec::with_capacity(terms.len());
    for term in terms {
        match term {
            Expr::Constant { value: Datum::Bool(value), .. } if value == decisive => {
                return Expr::bool(decisive);
            }
            Expr::Constant { value: Datum::Bool(_), .. } => {}
            Expr::Or(inner) if decisive => kept.extend(inner),
            term if !decisive => conjuncts(term, &mut kept),
            term => kept.push(term),
        }
    }
    match kept.len() {
        0 => Expr::bool(!decisive),
        1 => kept.pop().expect("its length is one"),
        _ if decisive => Expr::Or(kept),
        _ => Expr::And(kept),
    }
}
