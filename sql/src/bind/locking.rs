//! FOR UPDATE and its kin: which rows a query's clauses lock.
//!
//! A clause locks the rows of all tables of FROM, or of those it names. A subquery or a view stands for the tables that it reads (PostgreSQL's
//! `transformLockingClause`, `markQueryForLocking`): where it only picks, joins and renames rows, it becomes a part of the query around
//! it, so that what is locked has passed the whole of WHERE, and rows that have changed meanwhile are looked at again. Otherwise (it has a
//! LIMIT, say) its own query gets the clause. One that groups can't have it.

use super::scope::{Lockable, Locks, NamedColumn, NamedItem, Scope};
use super::{Binder, BoundQuery, Clause};
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::parse::ast;
use crate::plan::logical::{JoinKind, LockTarget, Logical};
use crate::types::Datum;
use serin_txn::RelationLockMode;

pub(super) struct LockedQuery {
    pub part: Part,
    pub locks: Locks,
}

pub(super) enum Part {
    /// Without its alias.
    Merged(Logical, NamedItem),
    Separate(BoundQuery),
}

impl Binder<'_> {
    /// The clauses that concern a FROM item of this name, for the query that it is made of.
    pub(super) fn locking_of(&self, alias: &str) -> Vec<ast::LockingClause> {
        let concerns = |clause: &&ast::LockingClause| {
            clause.of.is_empty() || clause.of.iter().any(|name| **name == *alias)
        };
        let whole = |clause: &ast::LockingClause| ast::LockingClause { of: Vec::new(), ..clause.clone() };
        self.locking.iter().filter(concerns).map(whole).collect()
    }

    /// Binds the query of a FROM item, or has it lock its rows itself where it can't be merged into the query around it.
    pub(super) fn locked_query(
        &mut self,
        query: &ast::Query,
        alias: &str,
        may_merge: bool,
    ) -> Result<LockedQuery> {
        let clauses = self.locking_of(alias);
        let around = std::mem::replace(&mut self.locking, clauses);
        let bound = self.query_under_locks(query, may_merge);
        self.locking = around;
        bound
    }

    fn query_under_locks(&mut self, query: &ast::Query, may_merge: bool) -> Result<LockedQuery> {
        if !self.locking.is_empty()
            && may_merge
            && let Some((plan, item)) = self.merged(query)?
        {
            return Ok(LockedQuery { locks: item.locks.clone(), part: Part::Merged(plan, item) });
        }
        let clauses = std::mem::take(&mut self.locking);
        // Literal rows are nobody else's.
        let part = match clauses.is_empty() || matches!(query.body, ast::SetExpr::Values(_)) {
            true => self.query(query)?,
            false => {
                let mut query = query.clone();
                query.locking.extend(clauses);
                self.query(&query)?
            }
        };
        Ok(LockedQuery { part: Part::Separate(part), locks: Locks::Within { nullable: false } })
    }

    /// A subquery as a part of the query around it: what it reads, its WHERE applied, and a FROM item whose columns are its target
    /// list. None where it does more than that.
    fn merged(&mut self, query: &ast::Query) -> Result<Option<(Logical, NamedItem)>> {
        let Some(select) = plain_select(query) else { return Ok(None) };
        let (mut plan, items) = self.from_clause(&select.from)?;
        let tables = items.iter().flat_map(|item| match &item.locks {
            Locks::Rows(tables) => tables.clone(),
            Locks::Nothing(_) | Locks::Within { .. } => Vec::new(),
        });
        let tables: Vec<Lockable> = tables.collect();
        self.scopes.push(Scope::new(items));
        let bound = self.merged_columns(select, &mut plan);
        self.scopes.pop();
        let Some(columns) = bound? else { return Ok(None) };
        let item = NamedItem {
            alias: "".into(),
            schema: None,
            columns,
            name_visible: true,
            columns_visible: true,
            locks: Locks::Rows(tables),
            table_oid: None,
            row_type: None,
            nullable: false,
        };
        Ok(Some((plan, item)))
    }

    fn merged_columns(
        &mut self,
        select: &ast::Select,
        plan: &mut Logical,
    ) -> Result<Option<Vec<NamedColumn>>> {
        if let Some(condition) = &select.filter {
            let conditions = self.condition(condition, "WHERE")?;
            let input = Box::new(std::mem::replace(plan, Logical::OneRow));
            *plan = Logical::Filter { input, conditions };
        }
        let clause = Clause { name: "SELECT", aggregates: true, sets: true, windows: true };
        let targets = self.within(clause, |binder| binder.targets(&select.targets))?;
        let scope = self.scope();
        let sets = !scope.sets.is_empty() || !scope.windows.is_empty();
        if sets || !scope.aggregates.is_empty() || !scope.groupings.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::with_capacity(targets.len());
        for target in targets {
            let expr = self.resolve_unknown(target.expr)?;
            // It might be evaluated more often, or less.
            if expr.is_volatile() || expr.has_subquery() {
                return Ok(None);
            }
            columns.push(NamedColumn { name: target.name, expr });
        }
        Ok(Some(columns))
    }

    pub(super) fn lock_rows(
        &mut self,
        input: Logical,
        clauses: &[ast::LockingClause],
        recheck: Vec<Expr>,
    ) -> Result<Logical> {
        let mut targets: Vec<LockTarget> = Vec::new();
        for clause in clauses {
            let words = strength_words(clause.strength);
            for name in &clause.of {
                let item = self.scope().items.iter().find(|item| item.name_visible && *item.alias == **name);
                match item.map(|item| &item.locks) {
                    None => {
                        return Err(Error::new(
                            SqlState::UNDEFINED_TABLE,
                            format!("relation \"{name}\" in {words} clause not found in FROM clause"),
                        ));
                    }
                    Some(Locks::Nothing(what)) => {
                        let message = format!("{words} cannot be applied to {what}");
                        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                    }
                    Some(Locks::Rows(_) | Locks::Within { .. }) => {}
                }
            }
            let concerns = |item: &&NamedItem| {
                clause.of.is_empty() || clause.of.iter().any(|name| *item.alias == **name)
            };
            let mut items = Vec::new();
            let mut nullable = false;
            for item in self.scope().items.iter().filter(concerns) {
                match &item.locks {
                    Locks::Nothing(_) => {}
                    Locks::Rows(tables) => {
                        nullable |= tables.iter().any(|table| table.nullable);
                        items.extend(tables.iter().map(|table| (item.alias.clone(), table.clone())));
                    }
                    Locks::Within { nullable: within } => nullable |= within,
                }
            }
            if nullable {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("{words} cannot be applied to the nullable side of an outer join"),
                ));
            }
            for (alias, lockable) in items {
                self.lock_relation(lockable.table.oid, RelationLockMode::RowShare);
                self.need_lock(&lockable.ids);
                match targets.iter_mut().find(|target| target.key == lockable.key) {
                    Some(target) => {
                        target.strength = target.strength.max(clause.strength);
                        if clause.wait != serin_txn::WaitPolicy::Block {
                            target.wait = clause.wait;
                        }
                    }
                    None => targets.push(LockTarget {
                        table: lockable.table,
                        columns: lockable.ids,
                        key: lockable.key,
                        table_oid: lockable.table_oid,
                        strength: clause.strength,
                        wait: clause.wait,
                        alias,
                    }),
                }
            }
        }
        Ok(Logical::LockRows { input: Box::new(input), targets, recheck })
    }
}

/// A query that does nothing but pick, join and rename rows.
fn plain_select(query: &ast::Query) -> Option<&ast::Select> {
    let tail = query.order_by.is_empty() && query.limit.is_none() && query.offset.is_none();
    match &query.body {
        _ if !tail || query.with.is_some() || !query.locking.is_empty() => None,
        ast::SetExpr::Query(inner) => plain_select(inner),
        ast::SetExpr::Select(select) => {
            let rows = select.distinct == ast::Distinct::No && select.group_by.is_empty();
            let plain = rows && select.having.is_none() && select.windows.is_empty() && select.into.is_none();
            (plain && !select.from.is_empty()).then_some(select)
        }
        ast::SetExpr::Values(_) | ast::SetExpr::Operation { .. } => None,
    }
}

fn strength_words(strength: serin_txn::RowLockMode) -> &'static str {
    match strength {
        serin_txn::RowLockMode::KeyShare => "FOR KEY SHARE",
        serin_txn::RowLockMode::Share => "FOR SHARE",
        serin_txn::RowLockMode::NoKeyUpdate => "FOR NO KEY UPDATE",
        serin_txn::RowLockMode::Update => "FOR UPDATE",
    }
}

pub(super) fn not_with(locking: &[ast::LockingClause], what: &str) -> Error {
    let words = locking.first().map_or("FOR UPDATE", |clause| strength_words(clause.strength));
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{words} is not allowed with {what}"))
}

/// The conditions a row must still meet when it has changed: WHERE and the conditions of inner joins.
pub(super) fn rechecks(plan: &Logical) -> Vec<Expr> {
    fn collect(plan: &Logical, out: &mut Vec<Expr>) {
        match plan {
            Logical::Filter { input, conditions } => {
                collect(input, out);
                out.extend(conditions.iter().cloned());
            }
            Logical::Join { kind: JoinKind::Inner, left, right, conditions } => {
                collect(left, out);
                collect(right, out);
                out.extend(conditions.iter().cloned());
            }
            // A fence: all rows pass.
            Logical::Limit {
                input,
                limit: None,
                offset: Some(Expr::Constant { value: Datum::Int8(0), .. }),
                ties: None,
            } => {
                collect(input, out);
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    collect(plan, &mut out);
    out
}
