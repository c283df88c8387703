//! Whole queries: WITH, set operations, VALUES, ORDER BY and LIMIT around them.

use super::coerce::display;
use super::locking::not_with;
use super::scope::Locks;
use super::scope::{NamedColumn, NamedItem, Scope};
use super::select::{Tail, limited, sort_key, sorted};
use super::{Binder, BoundQuery, Clause, CteBinding, CteName};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, Expr};
use crate::functions::{CastContext, common_type};
use crate::parse::ast;
use crate::plan::logical::{CteDefinition, Logical};
use crate::types::Type;

impl Binder<'_> {
    /// Names of common tables that `work` brings in end with it.
    pub(super) fn in_name_scope<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let names = self.cte_names.len();
        let result = work(self);
        self.cte_names.truncate(names);
        result
    }

    pub fn query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        self.in_name_scope(|binder| binder.query_with_names(query))
    }

    fn query_with_names(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        if let Some(with) = &query.with {
            self.with_clause(with)?;
        }
        let tail = Tail {
            order_by: &query.order_by,
            limit: query.limit.as_ref(),
            offset: query.offset.as_ref(),
            with_ties: query.with_ties,
            locking: &query.locking,
        };
        match &query.body {
            ast::SetExpr::Select(select) => self.select(select, &tail),
            ast::SetExpr::Query(inner)
                if query.order_by.is_empty() && query.limit.is_none() && query.offset.is_none() =>
            {
                self.query(inner)
            }
            body => {
                if !tail.locking.is_empty() {
                    let what = match body {
                        ast::SetExpr::Values(_) => "VALUES",
                        _ => "UNION/INTERSECT/EXCEPT",
                    };
                    return Err(not_with(tail.locking, what));
                }
                let bound = self.set_expr(body)?;
                self.with_tail(bound, &tail, matches!(body, ast::SetExpr::Operation { .. }))
            }
        }
    }

    /// ORDER BY and LIMIT over the result's columns.
    fn with_tail(&mut self, bound: BoundQuery, tail: &Tail<'_>, operation: bool) -> Result<BoundQuery> {
        let columns = bound
            .columns
            .iter()
            .map(|id| NamedColumn { name: self.columns[*id].name.clone(), expr: self.column(*id) })
            .collect::<Vec<_>>();
        let item = NamedItem {
            alias: "".into(),
            schema: None,
            columns: columns.clone(),
            name_visible: false,
            columns_visible: true,
            locks: Locks::Nothing("a query"),
            table_oid: None,
            row_type: None,
            nullable: false,
        };
        self.scopes.push(Scope::new(vec![item]));
        let mut keys = Vec::with_capacity(tail.order_by.len());
        let mut failure = None;
        for item in tail.order_by {
            let expr = match &item.expr {
                ast::Expr::Literal(ast::Literal::Number(digits), position) => {
                    let index = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                    index.and_then(|index| columns.get(index)).map(|c| c.expr.clone()).ok_or_else(|| {
                        Error::new(
                            SqlState::INVALID_COLUMN_REFERENCE,
                            format!("ORDER BY position {digits} is not in select list"),
                        )
                        .at(*position)
                    })
                }
                expr => self.plain_expr(expr, "ORDER BY"),
            };
            match expr {
                Ok(expr) if operation && !matches!(expr, Expr::Column { .. }) => {
                    failure = Some(
                        Error::new(
                            SqlState::FEATURE_NOT_SUPPORTED,
                            "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                        )
                        .detail("Only result column names can be used, not expressions or functions.")
                        .hint(
                            "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                        ),
                    );
                    break;
                }
                Ok(expr) => match sort_key(expr, item) {
                    Ok(key) => keys.push(key),
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                },
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.scopes.pop();
        if let Some(error) = failure {
            return Err(error);
        }
        let limit = self.limit(tail)?;
        let plan = sorted(bound.plan, keys.clone());
        let plan = limited(plan, limit, tail.with_ties.then_some(keys));
        Ok(BoundQuery { plan, columns: bound.columns })
    }

    pub fn limit(&mut self, tail: &Tail<'_>) -> Result<(Option<Expr>, Option<Expr>)> {
        // No column of the query itself may be named here.
        self.scopes.push(Scope::default());
        let mut one = |expr: Option<&ast::Expr>, clause: &'static str| -> Result<Option<Expr>> {
            let Some(expr) = expr else { return Ok(None) };
            // A set operation has no scope of its own below the one just pushed.
            let own = self.scopes.len().checked_sub(2);
            let own_scope = own.and_then(|own| self.scopes.get_mut(own));
            let items = own_scope.map(|scope| std::mem::take(&mut scope.items));
            let bound = self.plain_expr(expr, clause);
            if let (Some(items), Some(scope)) = (items, own.and_then(|own| self.scopes.get_mut(own))) {
                scope.items = items;
            }
            let bound = bound.map_err(|error| match error.state() {
                SqlState::UNDEFINED_COLUMN => Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("argument of {clause} must not contain variables"),
                ),
                _ => error,
            })?;
            let from = bound.data_type();
            self.coerce(bound, Type::INT8, -1, CastContext::Assignment, 0)?.map(Some).ok_or_else(|| {
                Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("argument of {clause} must be type bigint, not type {}", display(from)),
                )
            })
        };
        let pushed_alone = tail.limit.is_none() && tail.offset.is_none();
        let result = match pushed_alone {
            true => Ok((None, None)),
            false => one(tail.limit, "LIMIT").and_then(|limit| Ok((limit, one(tail.offset, "OFFSET")?))),
        };
        self.scopes.pop();
        result
    }

    fn set_expr(&mut self, body: &ast::SetExpr) -> Result<BoundQuery> {
        let nothing = Tail { order_by: &[], limit: None, offset: None, with_ties: false, locking: &[] };
        match body {
            ast::SetExpr::Select(select) => self.select(select, &nothing),
            ast::SetExpr::Query(query) => self.query(query),
            ast::SetExpr::Values(rows) => self.values(rows),
            ast::SetExpr::Operation { operator, all, left, right } => {
                // Chains are left-deep and may be long: gather those of one kind in a loop.
                let mut chain = vec![(*operator, *all, &**right)];
                let mut first = &**left;
                while let ast::SetExpr::Operation { operator, all, left, right } = first {
                    chain.push((*operator, *all, right));
                    first = left;
                }
                let mut result = self.set_expr(first)?;
                while let Some((operator, all, right)) = chain.pop() {
                    let right = self.set_expr(right)?;
                    result = self.set_operation(operator, all, result, right)?;
                }
                Ok(result)
            }
        }
    }

    fn set_operation(
        &mut self,
        operator: ast::SetOperator,
        all: bool,
        left: BoundQuery,
        right: BoundQuery,
    ) -> Result<BoundQuery> {
        let word = match operator {
            ast::SetOperator::Union => "UNION",
            ast::SetOperator::Intersect => "INTERSECT",
            ast::SetOperator::Except => "EXCEPT",
        };
        if left.columns.len() != right.columns.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("each {word} query must have the same number of columns"),
            ));
        }
        let mut types = Vec::with_capacity(left.columns.len());
        for (l, r) in left.columns.iter().zip(&right.columns) {
            let pair = [self.open_output(&left.plan, *l), self.open_output(&right.plan, *r)];
            let common = common_type(&pair, word)?;
            if !all {
                super::select::check_equality(common)?;
            }
            types.push(common);
        }
        let (left_plan, left_columns) = self.cast_outputs(left, &types)?;
        let (right_plan, right_columns) = self.cast_outputs(right, &types)?;
        let columns: Vec<ColumnId> = left_columns
            .iter()
            .zip(&right_columns)
            .map(|(l, r)| {
                let info = self.columns[*l].clone();
                let modifier = if self.columns[*r].modifier == info.modifier { info.modifier } else { -1 };
                self.new_column(&info.name, info.data_type, modifier, (0, 0), "".into())
            })
            .collect();
        let plan = Logical::SetOperation {
            operator,
            all,
            columns: columns.clone(),
            left: Box::new(left_plan),
            left_columns,
            right: Box::new(right_plan),
            right_columns,
        };
        Ok(BoundQuery { plan, columns })
    }

    /// The type of a result column as set operations see it: an untyped literal (which has become text) is open.
    fn open_output(&self, plan: &Logical, id: ColumnId) -> Option<Type> {
        if let Logical::Project { outputs, .. } = plan
            && let Some((_, Expr::Constant { value, data_type: Type::TEXT })) =
                outputs.iter().find(|(o, _)| *o == id)
            && matches!(value, crate::types::Datum::Null | crate::types::Datum::Text(_))
        {
            return None;
        }
        Some(self.columns[id].data_type)
    }

    /// Casts a query's columns to these types, in its target list where they are literals.
    pub fn cast_outputs(&mut self, query: BoundQuery, types: &[Type]) -> Result<(Logical, Vec<ColumnId>)> {
        let (mut plan, mut columns) = (query.plan, query.columns);
        let mut outputs = Vec::with_capacity(columns.len());
        let mut cast = false;
        for (id, to) in columns.iter_mut().zip(types) {
            if self.columns[*id].data_type != *to
                && let Logical::Project { outputs: inner, .. } = &mut plan
                && let Some((_, expr @ Expr::Constant { .. })) =
                    inner.iter_mut().find(|(output, _)| output == id)
                && expr.data_type() == Type::TEXT
            {
                // What was an untyped literal is read as the other side's type.
                if let Expr::Constant { value, .. } = expr {
                    let literal = Expr::Constant { value: value.clone(), data_type: Type::UNKNOWN };
                    let typed = self.coerce_argument(literal, *to, 0)?;
                    if let Logical::Project { outputs: inner, .. } = &mut plan
                        && let Some((_, expr)) = inner.iter_mut().find(|(output, _)| output == id)
                    {
                        *expr = typed;
                    }
                    self.columns[*id].data_type = *to;
                }
            }
            let expr = self.column(*id);
            if expr.data_type() == *to {
                outputs.push((*id, expr));
                continue;
            }
            cast = true;
            let name = self.columns[*id].name.clone();
            let expr = self.coerce_argument(expr, *to, 0)?;
            *id = self.output_column(&name, &expr);
            outputs.push((*id, expr));
        }
        if cast {
            plan = Logical::Project { input: Box::new(plan), outputs };
        }
        Ok((plan, columns))
    }

    fn values(&mut self, rows: &[Vec<ast::Expr>]) -> Result<BoundQuery> {
        let width = rows.first().map_or(0, Vec::len);
        let mut bound: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
        self.scopes.push(Scope::default());
        let result = (|| {
            for row in rows {
                if row.len() != width {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "VALUES lists must all be the same length",
                    ));
                }
                bound.push(self.within(Clause::plain("VALUES"), |binder| binder.exprs(row))?);
            }
            Ok(())
        })();
        self.scopes.pop();
        result?;
        let mut columns = Vec::with_capacity(width);
        for at in 0..width {
            let cells: Vec<Expr> =
                bound.iter_mut().map(|row| std::mem::replace(&mut row[at], Expr::bool(true))).collect();
            let (cells, data_type) = self.coerce_common(cells, "VALUES", 0)?;
            for (row, cell) in bound.iter_mut().zip(cells) {
                row[at] = cell;
            }
            let name = format!("column{}", at + 1);
            columns.push(self.new_column(&name, data_type, -1, (0, 0), "*VALUES*".into()));
        }
        Ok(BoundQuery { plan: Logical::Values { columns: columns.clone(), rows: bound }, columns })
    }

    // ---- WITH ----

    pub fn with_clause(&mut self, with: &ast::With) -> Result<()> {
        for (i, table) in with.tables.iter().enumerate() {
            if with.tables[..i].iter().any(|other| other.name == table.name) {
                return Err(Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("WITH query name \"{}\" specified more than once", table.name),
                )
                .at(table.position));
            }
            let (plan, columns) = match self.recursive_body(with, table) {
                Some((operator_all, left, right)) => self.recursive(table, operator_all, left, right)?,
                None => self.cte_statement(table)?,
            };
            if table.columns.len() > columns.len() {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!(
                        "WITH query \"{}\" has {} columns available but {} columns specified",
                        table.name,
                        columns.len(),
                        table.columns.len()
                    ),
                )
                .at(table.position));
            }
            let names = self.cte_column_names(table, &columns);
            self.ctes.push(CteDefinition {
                name: table.name.clone(),
                plan,
                columns,
                materialized: table.materialized == Some(true),
                readers: 0,
            });
            let binding = CteBinding::Defined { index: self.ctes.len() - 1, names };
            self.cte_names.push(CteName { name: table.name.clone(), binding });
        }
        Ok(())
    }

    fn cte_column_names(&self, table: &ast::CommonTable, columns: &[ColumnId]) -> Vec<String> {
        columns
            .iter()
            .enumerate()
            .map(|(i, id)| table.columns.get(i).cloned().unwrap_or_else(|| self.columns[*id].name.clone()))
            .collect()
    }

    fn cte_statement(&mut self, table: &ast::CommonTable) -> Result<(Logical, Vec<ColumnId>)> {
        let (plan, columns) = match &*table.statement {
            ast::StatementKind::Query(query) => {
                let bound = self.query(query)?;
                (bound.plan, Some(bound.columns))
            }
            ast::StatementKind::Insert(insert) => self.insert(insert)?,
            ast::StatementKind::Update(update) => self.update(update)?,
            ast::StatementKind::Delete(delete) => self.delete(delete)?,
            _ => return Err(Error::new(SqlState::SYNTAX_ERROR, "this statement is not allowed in WITH")),
        };
        Ok((plan, columns.unwrap_or_default()))
    }

    /// The two halves, if the query is recursive: WITH RECURSIVE, a UNION, and the second half mentions the name.
    fn recursive_body<'q>(
        &self,
        with: &ast::With,
        table: &'q ast::CommonTable,
    ) -> Option<(bool, &'q ast::SetExpr, &'q ast::SetExpr)> {
        let ast::StatementKind::Query(query) = &*table.statement else { return None };
        if !with.recursive || query.with.is_some() {
            return None;
        }
        let mut body = &query.body;
        while let ast::SetExpr::Query(inner) = body {
            body = &inner.body;
        }
        match body {
            ast::SetExpr::Operation { operator: ast::SetOperator::Union, all, left, right }
                if mentions_set(right, &table.name) =>
            {
                Some((*all, left, right))
            }
            _ => None,
        }
    }

    fn recursive(
        &mut self,
        table: &ast::CommonTable,
        all: bool,
        left: &ast::SetExpr,
        right: &ast::SetExpr,
    ) -> Result<(Logical, Vec<ColumnId>)> {
        if let ast::StatementKind::Query(query) = &*table.statement {
            let clause = match &**query {
                query if !query.order_by.is_empty() => Some("ORDER BY"),
                query if query.offset.is_some() => Some("OFFSET"),
                query if query.limit.is_some() => Some("LIMIT"),
                query if !query.locking.is_empty() => Some("FOR UPDATE/SHARE"),
                _ => None,
            };
            if let Some(clause) = clause {
                let message = format!("{clause} in a recursive query is not implemented");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(table.position));
            }
        }
        let start = self.in_name_scope(|binder| {
            binder.cte_names.push(CteName {
                name: table.name.clone(),
                binding: CteBinding::Forbidden("its non-recursive term"),
            });
            binder.set_expr(left)
        })?;
        let names = self.cte_column_names(table, &start.columns);
        let columns: Vec<(String, Type, i32)> = names
            .iter()
            .zip(&start.columns)
            .map(|(name, id)| (name.clone(), self.columns[*id].data_type, self.columns[*id].modifier))
            .collect();
        let work_table = self.work_tables;
        self.work_tables += 1;
        let step = self.in_name_scope(|binder| {
            binder.cte_names.push(CteName {
                name: table.name.clone(),
                binding: CteBinding::WorkTable { index: work_table, columns: columns.clone() },
            });
            binder.set_expr(right)
        })?;
        if step.columns.len() != start.columns.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "each UNION query must have the same number of columns",
            ));
        }
        let types: Vec<Type> = columns.iter().map(|(_, data_type, _)| *data_type).collect();
        for (i, (id, of)) in step.columns.iter().zip(&types).enumerate() {
            let pair = [Some(*of), self.open_output(&step.plan, *id)];
            let overall = common_type(&pair, "UNION")?;
            if overall != *of {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
                        table.name,
                        i + 1,
                        display(*of),
                        display(overall)
                    ),
                )
                .hint("Cast the output of the non-recursive term to the correct type.")
                .at(table.position));
            }
        }
        let (step_plan, step_columns) = self.cast_outputs(step, &types)?;
        let ids: Vec<ColumnId> = columns
            .into_iter()
            .map(|(name, data_type, modifier)| self.new_column(&name, data_type, modifier, (0, 0), "".into()))
            .collect();
        let plan = Logical::Recursive {
            work_table,
            all,
            columns: ids.clone(),
            start: Box::new(start.plan),
            start_columns: start.columns,
            step: Box::new(step_plan),
            step_columns,
        };
        Ok((plan, ids))
    }
}

/// Whether a FROM in it names the table (shadowing by inner WITH clauses aside).
fn mentions_set(body: &ast::SetExpr, name: &str) -> bool {
    match body {
        ast::SetExpr::Select(select) => select.from.iter().any(|item| mentions_from(item, name)),
        ast::SetExpr::Values(_) => false,
        ast::SetExpr::Operation { left, right, .. } => mentions_set(left, name) || mentions_set(right, name),
        ast::SetExpr::Query(query) => mentions_set(&query.body, name),
    }
}

fn mentions_from(item: &ast::TableRef, name: &str) -> bool {
    match item {
        ast::TableRef::Table { name: table, .. } => table.parts.len() == 1 && table.parts[0] == name,
        ast::TableRef::Subquery { query, .. } => mentions_set(&query.body, name),
        ast::TableRef::Function { .. } => false,
        ast::TableRef::Join { left, right, .. } => mentions_from(left, name) || mentions_from(right, name),
    }
}
