//! Whether the rows of a plan must go through it one by one.
//!
//! Operators hand on batches, and an expression is computed for all rows of a batch before the next one is. That shows where two of them
//! have effects on each other: in `SELECT nextval('s'), currval('s') …` each row has to have its own number, and what
//! users' functions do in WHERE and in the select list, PostgreSQL does row by row. Nothing in SQL promises that order, but programs
//! rely on it. Such plans run with batches of one row (`exec/operator.rs`); they spend their time in those functions anyway.

use super::logical::{CteDefinition, Logical};
use crate::expr::Expr;
use crate::functions::{Function, Volatility};

pub(super) fn run_row_by_row(plan: &Logical, ctes: &[CteDefinition]) -> bool {
    let mut effects = Effects::default();
    effects.of_plan(plan);
    ctes.iter().for_each(|cte| effects.of_plan(&cte.plan));
    let Effects { routines, built_in, sequences, repeats, writes } = effects;
    let others = routines + built_in;
    repeats || (others > 0 && others + sequences.len() > 1) || (writes && routines > 0)
}

/// What may be seen from another expression, or another row.
#[derive(Default)]
struct Effects<'a> {
    /// Users' functions.
    routines: usize,
    built_in: usize,
    /// Sequences that nothing is known to happen to but one nextval a row: DEFAULTs.
    sequences: Vec<&'a Expr>,
    /// One of them twice.
    repeats: bool,
    writes: bool,
}

impl<'a> Effects<'a> {
    fn of_plan(&mut self, plan: &'a Logical) {
        self.writes |= matches!(plan, Logical::Modify(_));
        plan.expressions(&mut |expr| self.of_expression(expr));
        plan.inputs(&mut |input| self.of_plan(input));
    }

    fn of_expression(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Routine(call) if call.routine.volatility == Volatility::Volatile => self.routines += 1,
            Expr::Sublink(link) => self.of_plan(&link.plan),
            Expr::Call { function, arguments, .. } => match (function.name, arguments.as_slice()) {
                ("nextval" | "serin_next_identity", [sequence @ Expr::Constant { .. }]) => {
                    self.repeats |= self.sequences.iter().any(|known| known.same(sequence));
                    self.sequences.push(sequence);
                }
                _ => self.built_in += usize::from(has_effects(function)),
            },
            _ => {}
        }
        expr.children(&mut |child| self.of_expression(child));
    }
}

/// Sets what other functions read, or reads what they set.
fn has_effects(function: &Function) -> bool {
    const SETTINGS: &[&str] =
        &["currval", "current_setting", "lastval", "nextval", "set_config", "setseed", "setval"];
    let name = function.name;
    SETTINGS.contains(&name) || name.starts_with("lo_") || name.contains("advisory")
}
