//! One SELECT: FROM → WHERE → GROUP BY → HAVING → target list → DISTINCT → ORDER BY → locking → LIMIT.
//!
//! Without DISTINCT the target list is projected last, above ORDER BY and LIMIT: only rows that are returned are computed, and a
//! sort key needs no column of its own.

use super::grouping::Groups;
use super::locking::{not_with, rechecks};
use super::scope::{NamedColumn, Scope};
use super::{Binder, BoundQuery, Clause};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, ColumnSet, Expr, conjuncts};
use crate::parse::ast;
use crate::plan::logical::{self, Logical, SortKey};
use crate::types::Type;

/// As in PostgreSQL.
const GROUPING_SETS_MAX: usize = 4096;
const CUBE_MAX: usize = 12;
const GROUPING_ARGUMENTS_MAX: usize = 31;

/// The parts of a query around a SELECT that bind in its scope.
pub struct Tail<'q> {
    pub order_by: &'q [ast::OrderItem],
    pub limit: Option<&'q ast::Expr>,
    pub offset: Option<&'q ast::Expr>,
    pub with_ties: bool,
    pub locking: &'q [ast::LockingClause],
}

pub(super) struct Target {
    pub(super) name: String,
    pub(super) expr: Expr,
    aliased: bool,
}

impl Binder<'_> {
    pub fn select(&mut self, select: &ast::Select, tail: &Tail<'_>) -> Result<BoundQuery> {
        let locking = std::mem::replace(&mut self.locking, tail.locking.to_vec());
        let from = self.from_clause(&select.from);
        self.locking = locking;
        let (input, items) = from?;
        self.scopes.push(Scope::new(items));
        let result = self.select_in_scope(select, tail, input);
        self.scopes.pop();
        result
    }

    fn select_in_scope(
        &mut self,
        select: &ast::Select,
        tail: &Tail<'_>,
        mut input: Logical,
    ) -> Result<BoundQuery> {
        if select.into.is_some() {
            return Err(Error::unsupported("SELECT INTO here"));
        }
        for (at, (name, _)) in select.windows.iter().enumerate() {
            if select.windows[..at].iter().any(|(other, _)| other == name) {
                let message = format!("window \"{name}\" is already defined");
                return Err(Error::new(SqlState::WINDOWING_ERROR, message));
            }
        }
        self.scope().window_names = select.windows.clone();

        // What may hold aggregates.
        let targets_clause = Clause { name: "SELECT", aggregates: true, sets: true, windows: true };
        let mut targets = self.within(targets_clause, |binder| binder.targets(&select.targets))?;
        // After the targets: of two errors PostgreSQL tells theirs.
        if let Some(condition) = &select.filter {
            let conditions = self.condition(condition, "WHERE")?;
            input = Logical::Filter { input: Box::new(input), conditions };
        }
        let recheck = if tail.locking.is_empty() { Vec::new() } else { rechecks(&input) };
        let (group_exprs, mut grouping_sets) = self.group_by(select, &targets)?;
        let mut having = Vec::new();
        if let Some(condition) = &select.having {
            let clause = Clause { name: "HAVING", aggregates: true, sets: false, windows: false };
            let bound = self.within(clause, |binder| binder.expr(condition))?;
            conjuncts(self.coerce_boolean(bound, "HAVING", 0)?, &mut having);
        }
        let order_clause = Clause { name: "ORDER BY", aggregates: true, sets: true, windows: true };
        let mut order = self.within(order_clause, |binder| binder.order_by(tail.order_by, &targets))?;
        let mut distinct_on = match &select.distinct {
            ast::Distinct::On(exprs) => {
                let mut on = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    on.push(
                        self.within(order_clause, |binder| binder.sort_expr(expr, &targets, "DISTINCT ON"))?,
                    );
                }
                Some(on)
            }
            _ => None,
        };
        for target in &mut targets {
            let expr = std::mem::replace(&mut target.expr, Expr::bool(true));
            target.expr = self.resolve_unknown(expr)?;
        }

        let distinct = targets.iter().filter(|_| select.distinct == ast::Distinct::All);
        let compared = group_exprs.iter().map(|(_, expr)| expr).chain(distinct.map(|target| &target.expr));
        for expr in compared.chain(distinct_on.iter().flatten()) {
            check_equality(expr.data_type())?;
        }

        let mut windows = std::mem::take(&mut self.scope().windows);

        // Grouping.
        let aggregates = std::mem::take(&mut self.scope().aggregates);
        let groupings = std::mem::take(&mut self.scope().groupings);
        if !aggregates.is_empty()
            || !groupings.is_empty()
            || !group_exprs.is_empty()
            || select.having.is_some()
            || !select.group_by.is_empty()
        {
            let mut groups = Groups::new(group_exprs, &grouping_sets.sets, &input);
            for (id, arguments, position) in groupings {
                grouping_sets.calls.push((id, groups.positions(&arguments, position)?));
            }
            for target in &mut targets {
                target.expr = self.over_groups(target.expr.clone(), &mut groups)?;
            }
            for condition in &mut having {
                *condition = self.over_groups(condition.clone(), &mut groups)?;
            }
            for key in &mut order {
                key.expr = self.over_groups(key.expr.clone(), &mut groups)?;
            }
            for expr in distinct_on.iter_mut().flatten() {
                *expr = self.over_groups(expr.clone(), &mut groups)?;
            }
            let mut sets = std::mem::take(&mut self.scope().sets);
            for (_, call) in &mut sets {
                *call = self.over_groups(call.clone(), &mut groups)?;
            }
            self.scope().sets = sets;
            for (_, call) in &mut windows {
                let mut failure = None;
                call.expressions_mut(&mut |expr| {
                    let taken = std::mem::replace(expr, Expr::bool(true));
                    match self.over_groups(taken, &mut groups) {
                        Ok(grouped) => *expr = grouped,
                        Err(error) => failure = Some(error),
                    }
                });
                failure.map_or(Ok(()), Err)?;
            }
            let dependent: Vec<(ColumnId, Expr)> =
                groups.used.iter().map(|id| (id, self.column(id))).collect();
            // Determined by columns that are in every set.
            for set in &mut grouping_sets.sets {
                set.extend(groups.columns.len()..groups.columns.len() + dependent.len());
            }
            groups.columns.extend(dependent);
            input = Logical::Aggregate {
                input: Box::new(input),
                groups: groups.columns,
                sets: grouping_sets,
                calls: aggregates,
            };
            if !having.is_empty() {
                input = Logical::Filter { input: Box::new(input), conditions: having };
            }
            if !tail.locking.is_empty() {
                let what = match (select.group_by.is_empty(), select.having.is_none()) {
                    (false, _) => "GROUP BY clause",
                    (true, false) => "HAVING clause",
                    (true, true) => "aggregate functions",
                };
                return Err(not_with(tail.locking, what));
            }
        }
        if !windows.is_empty() {
            if !tail.locking.is_empty() {
                return Err(not_with(tail.locking, "window functions"));
            }
            input = Logical::Window { input: Box::new(input), calls: windows };
        }
        if !tail.locking.is_empty() && select.distinct != ast::Distinct::No {
            return Err(not_with(tail.locking, "DISTINCT clause"));
        }

        let sets = std::mem::take(&mut self.scope().sets);
        let outputs: Vec<(ColumnId, Expr)> = targets
            .iter()
            .map(|target| (self.output_column(&target.name, &target.expr), target.expr.clone()))
            .collect();
        let columns: Vec<ColumnId> = outputs.iter().map(|(id, _)| *id).collect();
        let limit = self.limit(tail)?;

        if select.distinct == ast::Distinct::All {
            if !sets.is_empty() {
                input = Logical::ProjectSet { input: Box::new(input), calls: sets };
            }
            let mut keys = Vec::with_capacity(order.len());
            for key in order {
                let (id, expr) = outputs.iter().find(|(_, expr)| expr.same(&key.expr)).ok_or_else(|| {
                    Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    )
                })?;
                keys.push(SortKey { expr: Expr::column(*id, expr.data_type()), ..key });
            }
            let mut plan = Logical::Project { input: Box::new(input), outputs };
            plan = Logical::Distinct { input: Box::new(plan), on: None, columns: columns.clone() };
            plan = sorted(plan, keys.clone());
            return Ok(BoundQuery { plan: limited(plan, limit, tail.with_ties.then_some(keys)), columns });
        }

        // Set-returning functions multiply rows after the sort, unless it sorts by them.
        let set_ids: ColumnSet = sets.iter().map(|(id, _)| *id).collect();
        let mut sorted_by = ColumnSet::new();
        order.iter().for_each(|key| key.expr.columns(&mut sorted_by));
        distinct_on.iter().flatten().for_each(|expr| expr.columns(&mut sorted_by));
        let early = sorted_by.intersects(&set_ids);
        let mut plan = input;
        if early {
            plan = Logical::ProjectSet { input: Box::new(plan), calls: sets.clone() };
        }
        if let Some(on) = &distinct_on {
            check_distinct_on(on, &order)?;
        }
        plan = sorted(plan, order.clone());
        if let Some(on) = distinct_on {
            plan = Logical::Distinct { input: Box::new(plan), on: Some(on), columns: Vec::new() };
        }
        if !tail.locking.is_empty() {
            plan = self.lock_rows(plan, tail.locking, recheck)?;
        }
        if !early && !sets.is_empty() {
            plan = Logical::ProjectSet { input: Box::new(plan), calls: sets };
        }
        plan = limited(plan, limit, tail.with_ties.then_some(order));
        Ok(BoundQuery { plan: Logical::Project { input: Box::new(plan), outputs }, columns })
    }

    pub(super) fn targets(&mut self, targets: &[ast::Target]) -> Result<Vec<Target>> {
        let mut out = Vec::with_capacity(targets.len());
        for target in targets {
            let star = match &target.expr {
                ast::Expr::Star(qualifier, position) => Some((qualifier.clone(), *position)),
                ast::Expr::Field { operand, field, position } if field == "*" => match &**operand {
                    ast::Expr::Column(parts, _) if !self.is_composite_column(parts)? => {
                        Some((parts.clone(), *position))
                    }
                    operand => {
                        self.expand_record(operand, *position, &mut out)?;
                        continue;
                    }
                },
                _ => None,
            };
            if let Some((qualifier, position)) = star {
                for NamedColumn { name, expr } in self.expand_star(&qualifier, position)? {
                    if let Expr::Column { index, .. } = &expr {
                        self.mentions.entry(*index).or_insert(position);
                    }
                    out.push(Target { name, expr, aliased: false });
                }
                continue;
            }
            let expr = self.expr(&target.expr)?;
            let name = match &target.alias {
                Some(alias) => alias.clone(),
                None => super::naming::column_name(&target.expr),
            };
            out.push(Target { name, expr, aliased: target.alias.is_some() });
        }
        Ok(out)
    }

    /// Whether a name is a column's whose type is a composite one, rather than a FROM item's.
    fn is_composite_column(&mut self, parts: &[String]) -> Result<bool> {
        Ok(matches!(self.find_column(parts, 0)?, Some(expr) if expr.row_shape().is_none()
            && expr.data_type().is_row()))
    }

    /// `(f(x)).*`
    fn expand_record(&mut self, operand: &ast::Expr, position: usize, out: &mut Vec<Target>) -> Result<()> {
        let bound = self.expr(operand)?;
        let composite = bound.data_type().row_template();
        let columns = match &bound {
            bound if let Some((fields, names)) = bound.row_shape() => {
                let columns = names.iter().cloned().zip(fields.iter().map(Expr::data_type));
                columns.collect()
            }
            bound if composite.is_some() && !matches!(bound, Expr::Routine(_)) => {
                let template = composite.unwrap_or_default();
                let names = template.names.as_deref().unwrap_or_default().iter().cloned();
                names.zip(template.iter().map(|(data_type, _)| *data_type)).collect()
            }
            Expr::Routine(call) if call.is_row && !call.columns.is_empty() => call.columns.clone(),
            // A set's rows are columns of the ProjectSet below.
            Expr::Column { index, .. } => {
                let set = self.scope().sets.iter().find(|(id, _)| id == index);
                match set {
                    Some((_, Expr::Routine(call))) if call.is_row && !call.columns.is_empty() => {
                        call.columns.clone()
                    }
                    _ => return Err(Error::unsupported("(expression).*").at(position)),
                }
            }
            _ => return Err(Error::unsupported("(expression).*").at(position)),
        };
        for (index, (name, result)) in columns.iter().enumerate() {
            let expr = Expr::Field { operand: Box::new(bound.clone()), index, result: *result };
            out.push(Target { name: name.clone(), expr, aliased: false });
        }
        Ok(())
    }

    /// RETURNING: like a target list without aggregates.
    pub fn returning(&mut self, targets: &[ast::Target]) -> Result<Vec<(ColumnId, Expr)>> {
        let targets = self.within(Clause::plain("RETURNING"), |binder| binder.targets(targets))?;
        let mut out = Vec::with_capacity(targets.len());
        for target in targets {
            let expr = self.resolve_unknown(target.expr)?;
            out.push((self.output_column(&target.name, &expr), expr));
        }
        Ok(out)
    }

    /// The grouping expressions, each once, and the sets of them if there is more than one set.
    fn group_by(
        &mut self,
        select: &ast::Select,
        targets: &[Target],
    ) -> Result<(Vec<(ColumnId, Expr)>, logical::GroupingSets)> {
        let has_sets = select.group_by.iter().any(|item| {
            matches!(item, ast::GroupItem::Rollup(_) | ast::GroupItem::Cube(_) | ast::GroupItem::Sets(_))
        });
        let mut groups: Vec<(ColumnId, Expr)> = Vec::new();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        for item in &select.group_by {
            let alternatives = self.grouping_item(item, targets, has_sets, &mut groups)?;
            if sets.len().saturating_mul(alternatives.len()) > GROUPING_SETS_MAX {
                let message = format!("too many grouping sets present (maximum {GROUPING_SETS_MAX})");
                return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message));
            }
            let both = |set: &Vec<usize>, more: &Vec<usize>| {
                let mut set = set.clone();
                more.iter().for_each(|group| {
                    if !set.contains(group) {
                        set.push(*group);
                    }
                });
                set
            };
            sets = sets.iter().flat_map(|set| alternatives.iter().map(move |more| both(set, more))).collect();
        }
        if !has_sets {
            return Ok((groups, logical::GroupingSets::default()));
        }
        if select.group_distinct {
            let mut seen: Vec<Vec<usize>> = Vec::new();
            sets.retain(|set| {
                let mut sorted = set.clone();
                sorted.sort_unstable();
                let is_new = !seen.contains(&sorted);
                seen.push(sorted);
                is_new
            });
        }
        Ok((groups, logical::GroupingSets { sets, calls: Vec::new() }))
    }

    /// The sets that an item of GROUP BY stands for.
    fn grouping_item(
        &mut self,
        item: &ast::GroupItem,
        targets: &[Target],
        keep_constants: bool,
        groups: &mut Vec<(ColumnId, Expr)>,
    ) -> Result<Vec<Vec<usize>>> {
        let mut bind = |binder: &mut Self, exprs: &[ast::Expr]| -> Result<Vec<usize>> {
            let mut set = Vec::with_capacity(exprs.len());
            for expr in exprs {
                let bound = binder.group_expr(expr, targets)?;
                if bound.is_constant() && !keep_constants {
                    continue;
                }
                let known = groups.iter().position(|(_, other)| other.same(&bound));
                let at = known.unwrap_or_else(|| {
                    // A plain column keeps its id: correlated subqueries above need no rewriting then.
                    let id = match &bound {
                        Expr::Column { index, .. } => *index,
                        _ => binder.output_column(&super::naming::column_name(expr), &bound),
                    };
                    groups.push((id, bound));
                    groups.len() - 1
                });
                if !set.contains(&at) {
                    set.push(at);
                }
            }
            Ok(set)
        };
        Ok(match item {
            ast::GroupItem::Expr(expr) => vec![bind(self, std::slice::from_ref(expr))?],
            ast::GroupItem::Set(exprs) => vec![bind(self, exprs)?],
            ast::GroupItem::Rollup(lists) => {
                let parts = lists.iter().map(|list| bind(self, list)).collect::<Result<Vec<_>>>()?;
                (0..=parts.len()).rev().map(|length| parts[..length].concat()).collect()
            }
            ast::GroupItem::Cube(lists) => {
                if lists.len() > CUBE_MAX {
                    let message = format!("CUBE is limited to {CUBE_MAX} elements");
                    return Err(Error::new(SqlState::TOO_MANY_COLUMNS, message));
                }
                let parts = lists.iter().map(|list| bind(self, list)).collect::<Result<Vec<_>>>()?;
                let last = parts.len().saturating_sub(1);
                let chosen = |mask: usize| {
                    let of = (0..parts.len()).filter(move |at| mask >> (last - at) & 1 == 1);
                    of.flat_map(|at| parts[at].iter().copied()).collect::<Vec<usize>>()
                };
                (0..1usize << parts.len()).rev().map(chosen).collect()
            }
            ast::GroupItem::Sets(items) => {
                let mut all = Vec::new();
                for item in items {
                    all.extend(self.grouping_item(item, targets, keep_constants, groups)?);
                }
                all
            }
        })
    }

    /// GROUPING(a, b): which of them the row's grouping set lacks. A column of the Aggregate to be.
    pub(super) fn grouping(&mut self, arguments: &[ast::Expr], position: usize) -> Result<Expr> {
        if !self.clause.aggregates {
            let message = format!("grouping operations are not allowed in {}", self.clause.name);
            return Err(Error::new(SqlState::GROUPING_ERROR, message).at(position));
        }
        if arguments.len() > GROUPING_ARGUMENTS_MAX {
            let message = "GROUPING must have fewer than 32 arguments";
            return Err(Error::new(SqlState::TOO_MANY_ARGUMENTS, message).at(position));
        }
        let mut bound = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let expr = self.plain_expr(argument, "GROUPING")?;
            bound.push(self.resolve_unknown(expr)?);
        }
        let id = self.new_column("grouping", Type::INT4, -1, (0, 0), "".into());
        self.scope().groupings.push((id, bound, position));
        Ok(Expr::column(id, Type::INT4))
    }

    fn group_expr(&mut self, expr: &ast::Expr, targets: &[Target]) -> Result<Expr> {
        if let Some((target, _)) = positional(expr, targets, "GROUP BY")? {
            return self.without_aggregates(target.expr.clone(), "GROUP BY");
        }
        if let ast::Expr::Column(parts, position) = expr
            && let [name] = parts.as_slice()
        {
            // An input column comes before an output name here.
            if let Some(found) = self.find_column(parts, *position)? {
                if let Expr::Column { index, .. } = &found {
                    self.mentions.entry(*index).or_insert(*position);
                }
                return Ok(found);
            }
            if let Some(target) = targets.iter().find(|target| target.name == *name) {
                return self.without_aggregates(target.expr.clone(), "GROUP BY");
            }
        }
        let bound = self.plain_expr(expr, "GROUP BY")?;
        self.resolve_unknown(bound)
    }

    fn without_aggregates(&mut self, expr: Expr, clause: &str) -> Result<Expr> {
        let aggregate = {
            let calls = &self.scope().aggregates;
            expr.any(&mut |part| matches!(part, Expr::Column { index, .. } if calls.iter().any(|(id, _)| id == index)))
        };
        match aggregate {
            true => Err(Error::new(
                SqlState::GROUPING_ERROR,
                format!("aggregate functions are not allowed in {clause}"),
            )),
            false => self.resolve_unknown(expr),
        }
    }

    fn order_by(&mut self, items: &[ast::OrderItem], targets: &[Target]) -> Result<Vec<SortKey>> {
        let mut keys: Vec<SortKey> = Vec::with_capacity(items.len());
        for item in items {
            let expr = self.sort_expr(&item.expr, targets, "ORDER BY")?;
            if keys.iter().any(|key| key.expr.same(&expr)) {
                continue;
            }
            keys.push(sort_key(expr, item)?);
        }
        Ok(keys)
    }

    fn sort_expr(&mut self, expr: &ast::Expr, targets: &[Target], clause: &'static str) -> Result<Expr> {
        if let Some((target, _)) = positional(expr, targets, clause)? {
            return self.resolve_unknown(target.expr.clone());
        }
        // An output name comes before an input column here.
        if let ast::Expr::Column(parts, position) = expr
            && let [name] = parts.as_slice()
        {
            let mut named = targets.iter().filter(|target| target.name == *name);
            if let Some(target) = named.next() {
                if named.any(|other| !other.expr.same(&target.expr)) {
                    return Err(Error::new(
                        SqlState::AMBIGUOUS_COLUMN,
                        format!("{clause} \"{name}\" is ambiguous"),
                    )
                    .at(*position));
                }
                let _ = target.aliased;
                return self.resolve_unknown(target.expr.clone());
            }
        }
        let bound = self.expr(expr)?;
        self.resolve_unknown(bound)
    }
}

pub fn sort_key(expr: Expr, item: &ast::OrderItem) -> Result<SortKey> {
    if !expr.data_type().has_order() {
        return Err(no_operator(expr.data_type(), "ordering")
            .hint("Use an explicit ordering operator or modify the query."));
    }
    let nulls_first = item.nulls_first.unwrap_or(item.descending);
    Ok(SortKey { expr, descending: item.descending, nulls_first })
}

/// 42883 if values of the type can't be told apart.
pub fn check_equality(data_type: Type) -> Result<()> {
    match data_type.has_order() {
        true => Ok(()),
        false => Err(no_operator(data_type, "equality")),
    }
}

fn no_operator(data_type: Type, what: &str) -> Error {
    let message = format!("could not identify an {what} operator for type {}", data_type.display());
    Error::new(SqlState::UNDEFINED_FUNCTION, message)
}

/// `ORDER BY 2`.
fn positional<'t>(
    expr: &ast::Expr,
    targets: &'t [Target],
    clause: &str,
) -> Result<Option<(&'t Target, usize)>> {
    let ast::Expr::Literal(literal, position) = expr else { return Ok(None) };
    match literal {
        ast::Literal::Number(digits) => match digits.parse::<i64>() {
            Ok(number) => {
                let index = usize::try_from(number - 1).ok();
                let target = index.and_then(|index| targets.get(index));
                match (target, index) {
                    (Some(target), Some(index)) => Ok(Some((target, index))),
                    _ => Err(Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        format!("{clause} position {number} is not in select list"),
                    )
                    .at(*position)),
                }
            }
            Err(_) => Err(non_integer(clause).at(*position)),
        },
        ast::Literal::String(_) => Err(non_integer(clause).at(*position)),
        _ => Ok(None),
    }
}

fn non_integer(clause: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("non-integer constant in {clause}"))
}

/// DISTINCT ON's expressions come first in ORDER BY, in any order.
fn check_distinct_on(on: &[Expr], order: &[SortKey]) -> Result<()> {
    let prefix = order.len().min(on.len());
    let matches = order[..prefix].iter().all(|key| on.iter().any(|expr| expr.same(&key.expr)));
    match matches {
        true => Ok(()),
        false => Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
        )),
    }
}

pub fn sorted(plan: Logical, keys: Vec<SortKey>) -> Logical {
    match keys.is_empty() {
        true => plan,
        false => Logical::Sort { input: Box::new(plan), keys },
    }
}

pub fn limited(
    plan: Logical,
    (limit, offset): (Option<Expr>, Option<Expr>),
    ties: Option<Vec<SortKey>>,
) -> Logical {
    match (&limit, &offset) {
        (None, None) => plan,
        _ => Logical::Limit { input: Box::new(plan), limit, offset, ties },
    }
}
