//! Rewrites of the logical plan that are always right and nearly always better.
//!
//! 1. A common table expression with one reader and no effects is put where it is read.
//! 2. Constants are folded.
//! 3. `EXISTS` and `= ANY` in WHERE become semi-joins, `NOT EXISTS` an anti-join, where the subquery's correlation is nothing but
//!    conditions at its top.
//! 4. Conditions move down to where their columns are made, through projections and into both sides of set operations; across an
//!    inner join, `a = b AND a = 1` also gives `b = 1`, and what each arm of an OR says of one side holds for that side. A condition that a null-extended row can't pass makes an outer join inner.
//!
//! Volatile conditions stay where they were written.

use super::PlanContext;
use super::fold::{fold_expression, is_equality};
use super::logical::{ColumnInfo, CteDefinition, JoinKind, Logical, Sublink, SublinkKind};
use crate::expr::{ColumnId, ColumnSet, Expr, conjunction, conjuncts};
use crate::types::Datum;
use std::collections::HashMap;

pub fn rewrite(
    plan: Logical,
    ctes: &mut Vec<CteDefinition>,
    infos: &[ColumnInfo],
    context: &PlanContext<'_>,
) -> Logical {
    let mut plan = plan;
    inline_ctes(&mut plan, ctes, infos);
    prepare(&mut plan, infos, context);
    push_down(plan, Vec::new(), infos)
}

/// Counts the places that read each common table. One in a condition that a plan holds twice (an UPDATE's, for its
/// recheck) is two.
pub fn count_readers(plan: &Logical, ctes: &mut [CteDefinition]) {
    fn in_plan(plan: &Logical, counts: &mut [usize]) {
        if let Logical::Cte { index, .. } = plan {
            counts[*index] += 1;
        }
        plan.inputs(&mut |input| in_plan(input, counts));
        plan.expressions(&mut |expr| in_expression(expr, counts));
    }
    fn in_expression(expr: &Expr, counts: &mut [usize]) {
        if let Expr::Sublink(link) = expr {
            in_plan(&link.plan, counts);
        }
        expr.children(&mut |child| in_expression(child, counts));
    }
    let mut counts = vec![0; ctes.len()];
    in_plan(plan, &mut counts);
    ctes.iter().for_each(|cte| in_plan(&cte.plan, &mut counts));
    ctes.iter_mut().zip(counts).for_each(|(cte, count)| cte.readers = count);
}

/// Rule 1.
fn inline_ctes(plan: &mut Logical, ctes: &mut Vec<CteDefinition>, infos: &[ColumnInfo]) {
    if let Logical::Cte { index, columns, alias } = plan {
        let definition = &ctes[*index];
        let is_kept = definition.materialized || matches!(definition.plan, Logical::Recursive { .. });
        // What depends on a row of the query around it can't be run once and kept.
        if definition.readers == 1
            && !definition.plan.is_volatile()
            && (!is_kept || !definition.plan.free_columns().is_empty())
        {
            let mut body = definition.plan.clone();
            ctes[*index].readers = 0;
            let outputs = columns
                .iter()
                .map(|(id, source)| (*id, Expr::column(*source, infos[*source].data_type)))
                .collect();
            inline_ctes(&mut body, ctes, infos);
            let input = Box::new(Logical::Project { input: Box::new(body), outputs });
            *plan = Logical::Subquery { input, alias: alias.clone() };
        }
        return;
    }
    inputs_mut(plan, &mut |input| inline_ctes(input, ctes, infos));
    expressions_mut(plan, &mut |expr| inline_in_expression(expr, ctes, infos));
}

fn inline_in_expression(expr: &mut Expr, ctes: &mut Vec<CteDefinition>, infos: &[ColumnInfo]) {
    if let Expr::Sublink(link) = expr {
        inline_ctes(&mut link.plan, ctes, infos);
        link.free = link.plan.free_columns();
    }
    expr.children_mut(&mut |child| inline_in_expression(child, ctes, infos));
}

/// Rules 2 and 3, bottom-up.
fn prepare(plan: &mut Logical, infos: &[ColumnInfo], context: &PlanContext<'_>) {
    inputs_mut(plan, &mut |input| prepare(input, infos, context));
    expressions_mut(plan, &mut |expr| {
        prepare_subqueries(expr, infos, context);
        let folded = fold_expression(std::mem::replace(expr, Expr::bool(true)), context);
        *expr = folded;
    });
    if let Logical::Join { kind: kind @ JoinKind::Right, left, right, .. } = plan {
        std::mem::swap(left, right);
        *kind = JoinKind::Left;
    }
    if let Logical::Filter { input, conditions } = plan {
        let mut input = std::mem::replace(&mut **input, Logical::OneRow);
        let mut kept = Vec::new();
        for condition in std::mem::take(conditions) {
            match join_from(&condition, &input) {
                Some((kind, right, on)) => {
                    input =
                        Logical::Join { kind, left: Box::new(input), right: Box::new(right), conditions: on };
                }
                None => kept.push(condition),
            }
        }
        *plan = filtered(input, kept);
    }
}

fn prepare_subqueries(expr: &mut Expr, infos: &[ColumnInfo], context: &PlanContext<'_>) {
    if let Expr::Sublink(link) = expr {
        prepare(&mut link.plan, infos, context);
        let plan = std::mem::replace(&mut link.plan, Logical::OneRow);
        link.plan = push_down(plan, Vec::new(), infos);
        link.free = link.plan.free_columns();
    }
    expr.children_mut(&mut |child| prepare_subqueries(child, infos, context));
}

/// Rule 3: the join that a condition is, with its right side and conditions.
fn join_from(condition: &Expr, left: &Logical) -> Option<(JoinKind, Logical, Vec<Expr>)> {
    let (link, kind) = match condition {
        Expr::Sublink(link) => (link, JoinKind::Semi),
        Expr::Not(inner) => match &**inner {
            Expr::Sublink(link) if link.kind == SublinkKind::Exists => (link, JoinKind::Anti),
            _ => return None,
        },
        _ => return None,
    };
    if link.volatile || matches!(left, Logical::OneRow) {
        return None;
    }
    let available = left.output_set();
    match link.kind {
        SublinkKind::Any if !link.free.intersects(&available) => {
            if link.operands.iter().any(|operand| operand.is_volatile() || operand.has_subquery()) {
                return None;
            }
            if !link.comparisons.iter().all(|comparison| is_equality(comparison)) {
                return None;
            }
            let on = link
                .operands
                .iter()
                .zip(&link.columns)
                .zip(&link.comparisons)
                .map(|((operand, id), function)| Expr::Call {
                    function,
                    arguments: vec![operand.clone(), Expr::column(*id, function.arguments[1])],
                    result: crate::types::Type::BOOL,
                })
                .collect();
            Some((kind, link.plan.clone(), on))
        }
        SublinkKind::Exists => {
            let (plan, on) = decorrelate(link, &available)?;
            Some((kind, plan, on))
        }
        _ => None,
    }
}

/// Takes the correlated conditions off the top of an EXISTS subquery.
fn decorrelate(link: &Sublink, available: &ColumnSet) -> Option<(Logical, Vec<Expr>)> {
    let mut plan = link.plan.clone();
    // What is selected, and in which order, does not matter.
    loop {
        plan = match plan {
            Logical::Project { input, .. }
            | Logical::Sort { input, .. }
            | Logical::Subquery { input, .. } => *input,
            Logical::Distinct { input, .. } => *input,
            other => {
                plan = other;
                break;
            }
        };
    }
    let mut on = Vec::new();
    strip(&mut plan, available, &mut on);
    if plan.free_columns().intersects(available) || on.iter().any(|c| c.has_subquery() || c.is_volatile()) {
        return None;
    }
    // A join on nothing is better left as a subquery that runs once.
    (!on.is_empty()).then_some((plan, on))
}

/// Moves conditions that read `available` out of filters and inner joins at the top.
fn strip(plan: &mut Logical, available: &ColumnSet, on: &mut Vec<Expr>) {
    let correlated = |condition: &Expr| {
        let mut used = ColumnSet::new();
        condition.columns(&mut used);
        used.intersects(available)
    };
    match plan {
        Logical::Filter { input, conditions } => {
            let (out, kept): (Vec<Expr>, Vec<Expr>) =
                std::mem::take(conditions).into_iter().partition(correlated);
            on.extend(out);
            *conditions = kept;
            strip(input, available, on);
        }
        Logical::Join { kind: JoinKind::Inner, left, right, conditions } => {
            let (out, kept): (Vec<Expr>, Vec<Expr>) =
                std::mem::take(conditions).into_iter().partition(correlated);
            on.extend(out);
            *conditions = kept;
            strip(left, available, on);
            strip(right, available, on);
        }
        _ => {}
    }
}

fn filtered(input: Logical, conditions: Vec<Expr>) -> Logical {
    // Nothing passes a condition that is false (or null) for all: what is below need not run.
    let never = |condition: &Expr| {
        matches!(condition, Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. })
    };
    if conditions.iter().any(never) && !has_effects(&input) {
        let mut columns = Vec::new();
        input.output(&mut columns);
        return Logical::Values { columns, rows: Vec::new() };
    }
    match (conditions.is_empty(), input) {
        (true, input) => input,
        (false, Logical::Filter { input, conditions: mut inner }) => {
            inner.extend(conditions);
            Logical::Filter { input, conditions: inner }
        }
        (false, input) => Logical::Filter { input: Box::new(input), conditions },
    }
}

fn has_effects(plan: &Logical) -> bool {
    let mut found = matches!(plan, Logical::Modify(_) | Logical::LockRows { .. });
    plan.inputs(&mut |input| found = found || has_effects(input));
    found
}

fn columns_of(expr: &Expr) -> ColumnSet {
    let mut used = ColumnSet::new();
    expr.columns(&mut used);
    used
}

/// Rule 4. `conditions` hold for all rows that the caller wants of `plan`.
fn push_down(plan: Logical, mut conditions: Vec<Expr>, infos: &[ColumnInfo]) -> Logical {
    match plan {
        Logical::Filter { input, conditions: own } => {
            let own = own.into_iter().flat_map(factored);
            let (stay, movable): (Vec<Expr>, Vec<Expr>) = own.partition(Expr::is_volatile);
            conditions.splice(0..0, movable);
            filtered(push_down(*input, conditions, infos), stay)
        }
        Logical::Join { kind, left, right, conditions: on } => {
            push_into_join(kind, *left, *right, on, conditions, infos)
        }
        Logical::Project { input, outputs } => {
            let stable = |condition: &Expr| {
                let used = columns_of(condition);
                outputs
                    .iter()
                    .filter(|(id, _)| used.contains(*id))
                    .all(|(_, expr)| !expr.is_volatile() && !expr.has_subquery())
                    && !condition.has_subquery()
            };
            let (below, above): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(stable);
            let map: HashMap<ColumnId, &Expr> = outputs.iter().map(|(id, expr)| (*id, expr)).collect();
            let below = below.into_iter().map(|condition| substitute(condition, &map)).collect();
            drop(map);
            let input = Box::new(push_down(*input, below, infos));
            filtered(Logical::Project { input, outputs }, above)
        }
        Logical::ProjectSet { input, calls } => {
            let made: ColumnSet = calls.iter().map(|(id, _)| *id).collect();
            let (above, below): (Vec<Expr>, Vec<Expr>) =
                conditions.into_iter().partition(|condition| columns_of(condition).intersects(&made));
            filtered(Logical::ProjectSet { input: Box::new(push_down(*input, below, infos)), calls }, above)
        }
        Logical::Aggregate { input, groups, sets, calls } => {
            let grouped: ColumnSet = groups.iter().map(|(id, _)| *id).collect();
            let called: ColumnSet =
                calls.iter().map(|(id, _)| *id).chain(sets.calls.iter().map(|(id, _)| *id)).collect();
            let movable = |condition: &Expr| {
                let used = columns_of(condition);
                sets.sets.is_empty()
                    && used.intersects(&grouped)
                    && !used.intersects(&called)
                    && !condition.has_subquery()
            };
            let (below, above): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(movable);
            let map: HashMap<ColumnId, &Expr> = groups.iter().map(|(id, expr)| (*id, expr)).collect();
            let below = below.into_iter().map(|condition| substitute(condition, &map)).collect();
            drop(map);
            let input = Box::new(push_down(*input, below, infos));
            filtered(Logical::Aggregate { input, groups, sets, calls }, above)
        }
        Logical::Distinct { input, on: None, columns } => {
            Logical::Distinct { input: Box::new(push_down(*input, conditions, infos)), on: None, columns }
        }
        Logical::Sort { input, keys } => {
            Logical::Sort { input: Box::new(push_down(*input, conditions, infos)), keys }
        }
        Logical::Subquery { input, alias } => {
            Logical::Subquery { input: Box::new(push_down(*input, conditions, infos)), alias }
        }
        Logical::SetOperation { operator, all, columns, left, left_columns, right, right_columns } => {
            let (above, below): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(Expr::has_subquery);
            let side = |plan: Logical, ids: &[ColumnId]| {
                let columns_here: Vec<(ColumnId, Expr)> = columns
                    .iter()
                    .zip(ids)
                    .map(|(id, source)| (*id, Expr::column(*source, infos[*source].data_type)))
                    .collect();
                let map: HashMap<ColumnId, &Expr> =
                    columns_here.iter().map(|(id, expr)| (*id, expr)).collect();
                let here = below.iter().map(|condition| substitute(condition.clone(), &map)).collect();
                Box::new(push_down(plan, here, infos))
            };
            let left = side(*left, &left_columns);
            let right = side(*right, &right_columns);
            let plan =
                Logical::SetOperation { operator, all, columns, left, left_columns, right, right_columns };
            filtered(plan, above)
        }
        // Nothing moves past these.
        mut other => {
            inputs_mut(&mut other, &mut |input| {
                let inner = std::mem::replace(input, Logical::OneRow);
                *input = push_down(inner, Vec::new(), infos);
            });
            filtered(other, conditions)
        }
    }
}

fn substitute(mut expr: Expr, map: &HashMap<ColumnId, &Expr>) -> Expr {
    expr.rewrite(&mut |part| match part {
        Expr::Column { index, .. } => map.get(index).map(|expr| (*expr).clone()),
        _ => None,
    });
    expr
}

fn push_into_join(
    mut kind: JoinKind,
    left: Logical,
    right: Logical,
    on: Vec<Expr>,
    conditions: Vec<Expr>,
    infos: &[ColumnInfo],
) -> Logical {
    let (left_out, right_out) = (left.output_set(), right.output_set());
    // An outer join whose null-extended rows no condition lets through.
    if kind == JoinKind::Full {
        let rejects_left = conditions.iter().any(|condition| rejects_nulls(condition, &left_out));
        let rejects_right = conditions.iter().any(|condition| rejects_nulls(condition, &right_out));
        kind = match (rejects_left, rejects_right) {
            (true, true) => JoinKind::Inner,
            (true, false) => JoinKind::Left,
            // Right rows all survive, left ones may be null: a left join the other way round.
            (false, true) => return push_into_join(JoinKind::Left, right, left, on, conditions, infos),
            (false, false) => JoinKind::Full,
        };
    }
    if kind == JoinKind::Left && conditions.iter().any(|condition| rejects_nulls(condition, &right_out)) {
        kind = JoinKind::Inner;
    }
    let (mut to_left, mut to_right, mut here, mut above) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    match kind {
        JoinKind::Inner => {
            let (pool, volatile): (Vec<Expr>, Vec<Expr>) =
                on.into_iter().chain(conditions).partition(|condition| !condition.is_volatile());
            above = volatile;
            let mut pool: Vec<Expr> = pool.into_iter().flat_map(factored).collect();
            derive_constants(&mut pool);
            for condition in pool {
                let used = columns_of(&condition);
                match (used.intersects(&left_out), used.intersects(&right_out)) {
                    (_, false) => to_left.push(condition),
                    (false, true) => to_right.push(condition),
                    (true, true) => {
                        to_left.extend(implied_for(&condition, &left_out));
                        to_right.extend(implied_for(&condition, &right_out));
                        here.push(condition);
                    }
                }
            }
        }
        JoinKind::Left | JoinKind::Semi | JoinKind::Anti => {
            for condition in conditions {
                let used = columns_of(&condition);
                // A subquery for each row waits until there are fewer of them.
                let waits = kind != JoinKind::Left && condition.has_subquery() && !used.is_empty();
                match waits || used.intersects(&right_out) {
                    true => above.push(condition),
                    false => to_left.push(condition),
                }
            }
            for condition in on {
                let used = columns_of(&condition);
                match (used.intersects(&left_out), used.intersects(&right_out)) {
                    (false, true) if !condition.is_volatile() => to_right.push(condition),
                    (_, false) if kind == JoinKind::Semi && !condition.is_volatile() => {
                        to_left.push(condition)
                    }
                    _ => here.push(condition),
                }
            }
        }
        JoinKind::Right | JoinKind::Full => {
            above = conditions;
            here = on;
        }
    }
    let left = Box::new(push_down(left, to_left, infos));
    let right = Box::new(push_down(right, to_right, infos));
    filtered(Logical::Join { kind, left, right, conditions: here }, above)
}

/// `a AND b OR a AND c` is `a AND (b OR c)`: what all arms of an OR share can be used for a join or an index.
fn factored(condition: Expr) -> Vec<Expr> {
    let Expr::Or(arms) = &condition else { return vec![condition] };
    let mut arms: Vec<Vec<Expr>> = arms.iter().map(terms_of).collect();
    let Some((first, others)) = arms.split_first() else { return vec![condition] };
    let is_shared = |term: &&Expr| {
        !term.is_volatile() && others.iter().all(|arm| arm.iter().any(|other| other.same(term)))
    };
    let mut shared: Vec<Expr> = first.iter().filter(is_shared).cloned().collect();
    if shared.is_empty() {
        return vec![condition];
    }
    arms.iter_mut().for_each(|arm| arm.retain(|term| !shared.iter().any(|other| other.same(term))));
    if !arms.iter().any(Vec::is_empty) {
        shared.push(Expr::Or(arms.into_iter().map(conjunction).collect()));
    }
    shared
}

fn terms_of(expr: &Expr) -> Vec<Expr> {
    let mut terms = Vec::new();
    conjuncts(expr.clone(), &mut terms);
    terms
}

/// What an OR over both sides of a join says of one of them alone, if each arm says something: fewer rows to join. The OR itself is
/// still to be tested.
fn implied_for(condition: &Expr, side: &ColumnSet) -> Option<Expr> {
    let Expr::Or(arms) = condition else { return None };
    let of_side = |arm: &Expr| {
        let mut terms = terms_of(arm);
        terms.retain(|term| {
            let used = columns_of(term);
            !used.is_empty()
                && used.iter().all(|id| side.contains(id))
                && !term.is_volatile()
                && !term.has_subquery()
        });
        (!terms.is_empty()).then(|| conjunction(terms))
    };
    Some(Expr::Or(arms.iter().map(of_side).collect::<Option<Vec<_>>>()?))
}

/// `a = b AND a = 1` also says `b = 1`.
fn derive_constants(pool: &mut Vec<Expr>) {
    let equalities = |expr: &Expr| match expr {
        Expr::Call { function, arguments, .. } if is_equality(function) => {
            Some((*function, arguments[0].clone(), arguments[1].clone()))
        }
        _ => None,
    };
    let known: Vec<_> = pool.iter().filter_map(equalities).collect();
    let is_fixed = |expr: &Expr| columns_of(expr).is_empty() && !expr.is_volatile() && !expr.has_subquery();
    let mut fixed: Vec<(Expr, Expr)> = Vec::new();
    for (_, a, b) in &known {
        match (a, b) {
            (Expr::Column { .. }, value) if is_fixed(value) => fixed.push((a.clone(), value.clone())),
            (value, Expr::Column { .. }) if is_fixed(value) => fixed.push((b.clone(), value.clone())),
            _ => {}
        }
    }
    let mut at = 0;
    while at < fixed.len() {
        let (column, value) = fixed[at].clone();
        for (function, a, b) in &known {
            let other = match (a, b) {
                (Expr::Column { .. }, Expr::Column { .. }) if a.same(&column) => b,
                (Expr::Column { .. }, Expr::Column { .. }) if b.same(&column) => a,
                _ => continue,
            };
            if fixed.iter().any(|(known, _)| known.same(other)) || other.data_type() != column.data_type() {
                continue;
            }
            fixed.push((other.clone(), value.clone()));
            pool.push(Expr::Call {
                function,
                arguments: vec![other.clone(), value.clone()],
                result: crate::types::Type::BOOL,
            });
        }
        at += 1;
    }
}

/// Whether a condition is never true of a row whose columns in `side` are all null.
fn rejects_nulls(condition: &Expr, side: &ColumnSet) -> bool {
    match condition {
        Expr::Call { .. } => is_null_with(condition, side),
        Expr::And(terms) => terms.iter().any(|term| rejects_nulls(term, side)),
        Expr::Or(terms) => terms.iter().all(|term| rejects_nulls(term, side)),
        Expr::IsNull { operand, negated: true } => is_null_with(operand, side),
        Expr::IsBool { operand, value: Some(_), negated: false } => is_null_with(operand, side),
        Expr::Quantified { comparison, operand, .. } => comparison.strict && is_null_with(operand, side),
        Expr::InSet { operand, .. } | Expr::Not(operand) => is_null_with(operand, side),
        Expr::Column { .. } => is_null_with(condition, side),
        _ => false,
    }
}

/// Whether an expression is null when the columns in `side` are.
fn is_null_with(expr: &Expr, side: &ColumnSet) -> bool {
    match expr {
        Expr::Column { index, .. } => side.contains(*index),
        Expr::Call { function, arguments, .. } => {
            function.strict && arguments.iter().any(|argument| is_null_with(argument, side))
        }
        Expr::Cast { operand, .. } => is_null_with(operand, side),
        _ => false,
    }
}

pub fn inputs_mut(plan: &mut Logical, visit: &mut dyn FnMut(&mut Logical)) {
    match plan {
        Logical::OneRow
        | Logical::Scan(_)
        | Logical::System { .. }
        | Logical::Values { .. }
        | Logical::Function { .. }
        | Logical::Cte { .. }
        | Logical::WorkTable { .. } => {}
        Logical::Filter { input, .. }
        | Logical::Project { input, .. }
        | Logical::ProjectSet { input, .. }
        | Logical::Aggregate { input, .. }
        | Logical::Window { input, .. }
        | Logical::Distinct { input, .. }
        | Logical::Sort { input, .. }
        | Logical::Limit { input, .. }
        | Logical::LockRows { input, .. }
        | Logical::Subquery { input, .. } => visit(input),
        Logical::Join { left, right, .. }
        | Logical::SetOperation { left, right, .. }
        | Logical::Recursive { start: left, step: right, .. } => {
            visit(left);
            visit(right);
        }
        Logical::Modify(modify) => visit(&mut modify.input),
    }
}

pub fn expressions_mut(plan: &mut Logical, visit: &mut dyn FnMut(&mut Expr)) {
    match plan {
        Logical::OneRow
        | Logical::Scan(_)
        | Logical::System { .. }
        | Logical::Cte { .. }
        | Logical::WorkTable { .. }
        | Logical::SetOperation { .. }
        | Logical::Recursive { .. }
        | Logical::Subquery { .. } => {}
        Logical::Values { rows, .. } => rows.iter_mut().flatten().for_each(visit),
        Logical::Function { calls, .. } => {
            for call in calls {
                call.arguments.iter_mut().for_each(&mut *visit);
                call.scalar.iter_mut().for_each(&mut *visit);
            }
        }
        Logical::Filter { conditions, .. } | Logical::Join { conditions, .. } => {
            conditions.iter_mut().for_each(&mut *visit);
            // Folding may have made one condition of several.
            let mut flat = Vec::with_capacity(conditions.len());
            std::mem::take(conditions).into_iter().for_each(|c| crate::expr::conjuncts(c, &mut flat));
            flat.retain(|c| !matches!(c, Expr::Constant { value: crate::types::Datum::Bool(true), .. }));
            *conditions = flat;
        }
        Logical::Project { outputs, .. } | Logical::ProjectSet { calls: outputs, .. } => {
            outputs.iter_mut().for_each(|(_, expr)| visit(expr))
        }
        Logical::Aggregate { groups, calls, .. } => {
            groups.iter_mut().for_each(|(_, expr)| visit(expr));
            for (_, call) in calls {
                call.arguments.iter_mut().for_each(&mut *visit);
                call.filter.iter_mut().for_each(&mut *visit);
                call.order_by.iter_mut().for_each(|key| visit(&mut key.expr));
            }
        }
        Logical::Window { calls, .. } => calls.iter_mut().for_each(|(_, call)| call.expressions_mut(visit)),
        Logical::Distinct { on, .. } => on.iter_mut().flatten().for_each(visit),
        Logical::Sort { keys, .. } => keys.iter_mut().for_each(|key| visit(&mut key.expr)),
        Logical::Limit { limit, offset, ties, .. } => {
            limit.iter_mut().for_each(&mut *visit);
            offset.iter_mut().for_each(&mut *visit);
            ties.iter_mut().flatten().for_each(|key| visit(&mut key.expr));
        }
        Logical::LockRows { recheck, .. } => recheck.iter_mut().for_each(visit),
        Logical::Modify(modify) => {
            modify.recheck.iter_mut().for_each(&mut *visit);
            modify.assignments.iter_mut().for_each(|(_, expr)| visit(expr));
            if let Some(super::logical::OnConflict { update: Some(update), .. }) = &mut modify.on_conflict {
                update.assignments.iter_mut().for_each(|(_, expr)| visit(expr));
                update.filter.iter_mut().for_each(&mut *visit);
            }
            for clause in &mut modify.merge {
                clause.conditions.iter_mut().for_each(&mut *visit);
                clause.assignments.iter_mut().for_each(|(_, expr)| visit(expr));
            }
            modify.checks.iter_mut().flat_map(|check| &mut check.conditions).for_each(&mut *visit);
            modify.returning.iter_mut().flatten().for_each(|(_, expr)| visit(expr));
        }
    }
}
