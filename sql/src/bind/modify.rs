//! INSERT, UPDATE, DELETE.

use super::coerce::display;
use super::locking::rechecks;
use super::scope::{Lockable, Locks, NamedItem, Scope};
use super::target::Target;
use super::{Binder, Clause};
use crate::catalog::{Column, ConstraintKind, Privileges, Relation, Table};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnId, Expr};
use crate::functions::CastContext;
use crate::parse::ast;
use crate::plan::logical::{self, ConflictUpdate, Logical, Modify, ModifyKind, OnConflict};
use crate::types::{Datum, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

type Bound = (Logical, Option<Vec<ColumnId>>);

impl Binder<'_> {
    /// A relation whose own rows are to be changed.
    pub(super) fn target_table(&mut self, found: Relation) -> Result<Arc<Table>> {
        match found {
            Relation::Table(table) if table.is_materialized() => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change materialized view \"{}\"", table.name),
            )),
            Relation::Table(table) if table.is_view() => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot execute MERGE on relation \"{}\"", table.name),
            )
            .detail("This operation is not supported for views.")),
            Relation::Table(table) => {
                self.lock_relation(table.oid, RelationLockMode::RowExclusive);
                self.need(table.oid, Privileges::NONE, &[]);
                Ok(table)
            }
            Relation::System(relation) => {
                let role = self.context.eval.services.acting_role();
                let message = match self.context.catalog.is_superuser(role) {
                    true => format!("permission denied: \"{}\" is a system catalog", relation.name),
                    false => format!("permission denied for table {}", relation.name),
                };
                Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
            }
            Relation::Sequence(sequence) => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change sequence \"{}\"", sequence.name),
            )),
            Relation::Index(table, index) => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is an index", table.indexes[index].name),
            )),
        }
    }

    pub(super) fn column_position(&self, table: &Table, name: &str, position: usize) -> Result<usize> {
        table.columns.iter().position(|column| !column.dropped && column.name == name).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name),
            )
            .at(position)
        })
    }

    /// Casts a value for assignment to a column.
    pub(super) fn assign(&mut self, expr: Expr, column: &Column, position: usize) -> Result<Expr> {
        let from = expr.data_type();
        self.coerce(expr, column.data_type(), column.modifier, CastContext::Assignment, position)?.ok_or_else(
            || {
                Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" is of type {} but expression is of type {}",
                        column.name,
                        display(column.data_type()),
                        display(from)
                    ),
                )
                .hint("You will need to rewrite or cast the expression.")
                .at(position)
            },
        )
    }

    /// What a column gets when nothing is given for it.
    pub(super) fn default_value(&mut self, column: &Column) -> Result<Expr> {
        if column.generated {
            // The table writer computes it.
            return Ok(Expr::null(column.data_type()));
        }
        if column.identity.is_some()
            && let Some(sequence) = column.sequence
        {
            let next = self.nextval(sequence)?;
            return self.assign(next, column, 0);
        }
        let of_domain = crate::types::user::find(column.data_type)
            .and_then(|user_type| user_type.domain().and_then(|domain| domain.default.clone()));
        match column.default.as_ref().or(of_domain.as_ref()) {
            None if column.data_type().is_domain() => {
                let null = Expr::null(Type::UNKNOWN);
                self.assign(null, column, 0)
            }
            None => Ok(Expr::null(column.data_type())),
            Some(text) => {
                let parsed = crate::parse::parse_expression(text)?;
                let scopes = std::mem::replace(&mut self.scopes, vec![Scope::default()]);
                let bound = self.plain_expr(&parsed, "DEFAULT expressions");
                self.scopes = scopes;
                let bound =
                    bound.map_err(|error| error.context(format!("default of column \"{}\"", column.name)))?;
                self.assign(bound, column, 0)
            }
        }
    }

    pub fn insert(&mut self, insert: &ast::Insert) -> Result<Bound> {
        self.in_name_scope(|binder| binder.insert_with_names(insert))
    }

    fn insert_with_names(&mut self, insert: &ast::Insert) -> Result<Bound> {
        if let Some(with) = &insert.with {
            self.with_clause(with)?;
        }
        let ctes = self.ctes.len();
        let mut target = self.target(&insert.table, false, ModifyKind::Insert)?;
        let table = target.named.clone();
        let position = insert.table.position;
        let given: Vec<usize> = match insert.columns.is_empty() {
            true => (0..table.columns.len()).filter(|at| !table.columns[*at].dropped).collect(),
            false => {
                let mut given = Vec::with_capacity(insert.columns.len());
                for name in &insert.columns {
                    let at = self.column_position(&table, name, position)?;
                    if given.contains(&at) {
                        return Err(Error::new(
                            SqlState::DUPLICATE_COLUMN,
                            format!("column \"{name}\" specified more than once"),
                        )
                        .at(position));
                    }
                    given.push(at);
                }
                given
            }
        };
        let explicit = !insert.columns.is_empty();
        let (input, mut values) = self.insert_source(insert, &table, &given, explicit)?;
        // Columns left out of a list that is implied take no privilege.
        let named = if explicit { given.len() } else { values.len().min(given.len()) };
        self.need_target(&target, Privileges::INSERT, &given[..named]);
        let base = target.base.clone();
        if target.is_view() {
            // A view's own default is a value too.
            for at in (0..table.columns.len()).filter(|at| table.columns[*at].default.is_some()) {
                if !values.iter().any(|(given, _)| *given == at) {
                    target.position(at, ModifyKind::Insert)?;
                }
            }
        }
        let mut placed = Vec::with_capacity(values.len());
        for (at, value) in values.drain(..) {
            placed.push((at, target.position(at, ModifyKind::Insert)?, value));
        }
        let mut assignments = Vec::with_capacity(base.columns.len());
        for (at, column) in base.columns.iter().enumerate().filter(|(_, column)| !column.dropped) {
            let value = match placed.iter().position(|(_, position, _)| *position == at) {
                Some(found) => placed.swap_remove(found).2,
                None => match target.standing_for(at) {
                    Some(named) => self.default_value(&table.columns[named])?,
                    None => self.default_value(column)?,
                },
            };
            assignments.push((at, value));
        }
        if let Some((named, at, _)) = placed.first() {
            let name = if target.is_view() { &base.columns[*at].name } else { &table.columns[*named].name };
            let message = format!("multiple assignments to same column \"{name}\"");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let label: Arc<str> = insert.alias.as_deref().unwrap_or(&table.name).into();
        let target_columns = self.target_ids(&target, &label);
        let schema = insert.alias.is_none().then_some(table.schema);
        let on_conflict = match &insert.on_conflict {
            None => None,
            Some(clause) => Some(self.on_conflict(clause, &mut target, &label, &target_columns, schema)?),
        };
        let (returning, returning_columns) =
            self.bind_returning(&insert.returning, &mut target, &label, schema, Vec::new())?;
        let results = returning.as_ref().map(|outputs| outputs.iter().map(|(id, _)| *id).collect());
        self.finish_target(&target, ctes);
        let modify = Modify {
            kind: ModifyKind::Insert,
            checks: target.checks(&returning_columns),
            instead: target.instead,
            table: target.base,
            alias: label,
            input,
            target_columns,
            key: None,
            row: None,
            table_oid: None,
            recheck: Vec::new(),
            assignments,
            on_conflict,
            merge: Vec::new(),
            returning,
            returning_columns,
        };
        Ok((Logical::Modify(Box::new(modify)), results))
    }

    /// The rows to insert: an input plan and, over it, a value for each given column.
    fn insert_source(
        &mut self,
        insert: &ast::Insert,
        table: &Table,
        given: &[usize],
        explicit: bool,
    ) -> Result<(Logical, Vec<(usize, Expr)>)> {
        let Some(query) = &insert.source else { return Ok((Logical::OneRow, Vec::new())) };
        let simple = query.with.is_none()
            && query.order_by.is_empty()
            && query.limit.is_none()
            && query.offset.is_none();
        if let (ast::SetExpr::Values(rows), true) = (&query.body, simple) {
            return self.insert_values(insert, table, given, explicit, rows);
        }
        let bound = self.query(query)?;
        self.check_width(bound.columns.len(), given, explicit, insert.table.position)?;
        // Literals of the target list are still to be read as the columns' types.
        let types: Vec<Type> = bound
            .columns
            .iter()
            .zip(given)
            .map(|(id, at)| match self.columns[*id].data_type {
                Type::TEXT => table.columns[*at].data_type(),
                other => other,
            })
            .collect();
        let literal = match &bound.plan {
            Logical::Project { outputs, .. } => outputs
                .iter()
                .filter(|(_, expr)| matches!(expr, Expr::Constant { data_type: Type::TEXT, .. }))
                .map(|(id, _)| *id)
                .collect(),
            _ => Vec::new(),
        };
        let targets: Vec<Type> = bound
            .columns
            .iter()
            .zip(&types)
            .map(|(id, to)| if literal.contains(id) { *to } else { self.columns[*id].data_type })
            .collect();
        let (input, columns) = self.cast_outputs(bound, &targets)?;
        let mut values = Vec::with_capacity(columns.len());
        for (id, at) in columns.iter().zip(given) {
            let column = &table.columns[*at];
            self.check_assignable(table, column, insert.overriding)?;
            if column.identity.is_some() && insert.overriding == Some(false) {
                continue;
            }
            let value = self.column(*id);
            values.push((*at, self.assign(value, column, 0)?));
        }
        Ok((input, values))
    }

    fn insert_values(
        &mut self,
        insert: &ast::Insert,
        table: &Table,
        given: &[usize],
        explicit: bool,
        rows: &[Vec<ast::Expr>],
    ) -> Result<(Logical, Vec<(usize, Expr)>)> {
        let width = rows.first().map_or(0, Vec::len);
        let mut bound: Vec<Vec<Expr>> = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != width {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length"));
            }
            self.check_width(row.len(), given, explicit, insert.table.position)?;
            let mut cells = Vec::with_capacity(row.len());
            for (cell, at) in row.iter().zip(given) {
                let column = &table.columns[*at];
                if matches!(cell, ast::Expr::Default(_))
                    || (column.identity.is_some() && insert.overriding == Some(false))
                {
                    cells.push(self.default_value(column)?);
                    continue;
                }
                self.check_assignable(table, column, insert.overriding)?;
                self.scopes.push(Scope::default());
                let value = self.plain_expr(cell, "VALUES");
                self.scopes.pop();
                cells.push(self.assign(value?, column, position_of(cell))?);
            }
            bound.push(cells);
        }
        let given = &given[..width.min(given.len())];
        if bound.len() == 1 {
            let row = bound.pop().expect("its length is one");
            return Ok((Logical::OneRow, given.iter().copied().zip(row).collect()));
        }
        let columns: Vec<ColumnId> = given
            .iter()
            .map(|at| {
                let column = &table.columns[*at];
                self.new_column(&column.name, column.data_type(), column.modifier, (0, 0), "*VALUES*".into())
            })
            .collect();
        let values = given.iter().zip(&columns).map(|(at, id)| (*at, self.column(*id))).collect();
        Ok((Logical::Values { columns, rows: bound }, values))
    }

    pub(super) fn check_width(
        &self,
        width: usize,
        given: &[usize],
        explicit: bool,
        position: usize,
    ) -> Result<()> {
        if width > given.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
            )
            .at(position));
        }
        if explicit && width < given.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
            )
            .at(position));
        }
        Ok(())
    }

    pub(super) fn check_assignable(
        &self,
        _table: &Table,
        column: &Column,
        overriding: Option<bool>,
    ) -> Result<()> {
        let refuse = |detail: String| {
            Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name),
            )
            .detail(detail)
        };
        if column.generated {
            return Err(refuse(format!("Column \"{}\" is a generated column.", column.name)));
        }
        if column.identity == Some(true) && overriding.is_none() {
            return Err(refuse(format!(
                "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                column.name
            ))
            .hint("Use OVERRIDING SYSTEM VALUE to override."));
        }
        Ok(())
    }

    fn on_conflict(
        &mut self,
        clause: &ast::OnConflict,
        target: &mut Target,
        label: &Arc<str>,
        target_columns: &[ColumnId],
        schema: Option<u32>,
    ) -> Result<OnConflict> {
        let table = target.base.clone();
        let arbiters = match &clause.target {
            None if clause.update.is_some() => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                )
                .hint("For example, ON CONFLICT (column_name)."));
            }
            None => None,
            Some(arbiter) => Some(self.arbiters(arbiter, target)?),
        };
        let excludes = |at: &usize| !table.indexes[*at].exclusion.is_empty();
        if clause.update.is_some() && arbiters.iter().flatten().any(excludes) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "ON CONFLICT DO UPDATE not supported with exclusion constraints",
            ));
        }
        if let Some(arbiters) = &arbiters {
            // Whether there is a conflict tells what the arbiters' columns hold.
            let keys = arbiters.iter().flat_map(|at| &table.indexes[*at].keys);
            let columns = keys.filter_map(|key| key.column);
            let named: Vec<usize> = match target.is_view() {
                true => columns.filter_map(|at| target.standing_for(at)).collect(),
                false => columns.collect(),
            };
            self.need_target(target, Privileges::SELECT, &named);
        }
        let decides = |at: &usize| arbiters.as_ref().is_none_or(|chosen| chosen.contains(at));
        if (0..table.indexes.len()).filter(decides).any(|at| table.indexes[at].deferrable) {
            let message = "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters";
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let Some((assignments, filter)) = &clause.update else {
            return Ok(OnConflict { arbiters, update: None });
        };
        let excluded_label: Arc<str> = "excluded".into();
        let excluded = self.target_columns(&table, &excluded_label);
        let (existing, _) = self.target_item(target, label, schema, target_columns);
        let (mut proposed, _) = self.target_item(target, &excluded_label, None, &excluded);
        proposed.columns_visible = false;
        self.scopes.push(Scope::new(vec![existing, proposed]));
        let named = target.named.clone();
        let bound = self.assignments(assignments, &named).and_then(|assignments| {
            let filter = match filter {
                Some(filter) => self.condition(filter, "ON CONFLICT")?,
                None => Vec::new(),
            };
            Ok((assignments, filter))
        });
        self.scopes.pop();
        let (assignments, filter) = bound?;
        let assigned: Vec<usize> = assignments.iter().map(|(at, _)| *at).collect();
        self.need_target(target, Privileges::UPDATE, &assigned);
        let assignments = target.assigned(assignments, ModifyKind::Insert)?;
        let filter = target.settle_all(filter);
        Ok(OnConflict { arbiters, update: Some(ConflictUpdate { excluded, assignments, filter }) })
    }

    /// The unique indexes that an ON CONFLICT target means.
    fn arbiters(&self, arbiter: &ast::ConflictTarget, target: &Target) -> Result<Vec<usize>> {
        match arbiter {
            ast::ConflictTarget::Constraint(name) => {
                let table = &target.named;
                let constraint = table.constraints.iter().find(|constraint| constraint.name == *name);
                let oid = constraint.and_then(|constraint| match constraint.kind {
                    ConstraintKind::PrimaryKey(oid)
                    | ConstraintKind::Unique(oid)
                    | ConstraintKind::Exclusion(oid) => Some(oid),
                    _ => None,
                });
                let index = table.indexes.iter().position(|index| Some(index.oid) == oid);
                match (index, constraint) {
                    (Some(index), _) => Ok(vec![index]),
                    (None, Some(_)) => Err(Error::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        "constraint in ON CONFLICT clause has no associated index",
                    )),
                    (None, None) => Err(Error::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("constraint \"{name}\" for table \"{}\" does not exist", table.name),
                    )),
                }
            }
            ast::ConflictTarget::Columns(exprs, predicate) => {
                self.inferred(exprs, predicate.as_ref(), target)
            }
        }
    }

    /// Unique indexes on exactly these columns and expressions, whose predicate (if any) follows from `predicate`.
    fn inferred(
        &self,
        exprs: &[ast::Expr],
        predicate: Option<&ast::Expr>,
        target: &Target,
    ) -> Result<Vec<usize>> {
        let table = &target.base;
        let bind = |expr: &ast::Expr, to| {
            let bound = crate::bind::table_expression(expr, table, to, self.context)?;
            Ok::<Expr, Error>(crate::plan::fold_expression(bound, self.context))
        };
        // Those of the statement are in terms of the relation that it names.
        let bind_named = |expr: &ast::Expr, to| {
            let bound = crate::bind::table_expression(expr, &target.named, to, self.context)?;
            Ok::<Expr, Error>(crate::plan::fold_expression(target.by_position(bound), self.context))
        };
        let mut wanted: Vec<Expr> = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let bound = bind_named(expr, None)?;
            if !wanted.iter().any(|other| other.same(&bound)) {
                wanted.push(bound);
            }
        }
        let mut conditions = Vec::new();
        if let Some(predicate) = predicate {
            crate::expr::conjuncts(bind_named(predicate, Some((Type::BOOL, -1)))?, &mut conditions);
        }
        let matches = |index: &crate::catalog::Index| -> Result<bool> {
            if !index.unique {
                return Ok(false);
            }
            let mut keys = Vec::with_capacity(index.keys.len());
            for key in &index.keys {
                keys.push(match (key.column, &key.expression) {
                    (Some(column), _) => Expr::column(column, table.columns[column].data_type()),
                    (None, text) => {
                        bind(&crate::parse::parse_expression(text.as_deref().unwrap_or(""))?, None)?
                    }
                });
            }
            let all = keys.iter().all(|key| wanted.iter().any(|other| other.same(key)))
                && wanted.iter().all(|other| keys.iter().any(|key| other.same(key)));
            Ok(all
                && match &index.predicate {
                    None => true,
                    Some(text) => {
                        let bound = bind(&crate::parse::parse_expression(text)?, Some((Type::BOOL, -1)))?;
                        crate::plan::implied::by(&conditions, &bound).is_some()
                    }
                })
        };
        let mut found = Vec::new();
        for (at, index) in table.indexes.iter().enumerate() {
            if matches(index)? {
                found.push(at);
            }
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            )),
        }
    }

    /// SET clauses: column positions with their new values.
    pub(super) fn assignments(
        &mut self,
        assignments: &[ast::Assignment],
        table: &Arc<Table>,
    ) -> Result<Vec<(usize, Expr)>> {
        let mut out: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            if !assignment.subscripts.is_empty() {
                let at = self.column_position(table, &assignment.columns[0], assignment.position)?;
                let column = &table.columns[at];
                // Several parts of a column can be assigned to, each to what the one before left.
                let earlier = out.iter().position(|(other, _)| *other == at);
                let container = match earlier {
                    Some(index) => out.remove(index).1,
                    None => self.resolve_column(std::slice::from_ref(&column.name), assignment.position)?,
                };
                let value = self.assign_part(
                    container,
                    &assignment.subscripts,
                    &assignment.value,
                    assignment.position,
                )?;
                out.push((at, self.assign(value, column, assignment.position)?));
                continue;
            }
            let mut positions = Vec::with_capacity(assignment.columns.len());
            for name in &assignment.columns {
                let at = self.column_position(table, name, assignment.position)?;
                if out.iter().any(|(other, _)| *other == at) || positions.contains(&at) {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("multiple assignments to same column \"{name}\""),
                    )
                    .at(assignment.position));
                }
                positions.push(at);
            }
            let counts = |given: usize| match given == positions.len() {
                true => Ok(()),
                false => Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "number of columns does not match number of values",
                )
                .at(assignment.position)),
            };
            match (&assignment.value, positions.as_slice()) {
                (ast::Expr::Row(values, _), [_, _, ..]) => {
                    counts(values.len())?;
                    for (value, at) in values.iter().zip(&positions) {
                        let value = self.assigned_value(value, table, *at)?;
                        out.push((*at, value));
                    }
                }
                (ast::Expr::Subquery(query, position), [_, _, ..]) => {
                    let (row, types) =
                        self.within(Clause::plain("UPDATE"), |binder| binder.row_sublink(query, *position))?;
                    counts(types.len())?;
                    for (index, (at, result)) in positions.iter().zip(types).enumerate() {
                        let field = Expr::Field { operand: Box::new(row.clone()), index, result };
                        let value = self.assign(field, &table.columns[*at], *position)?;
                        out.push((*at, value));
                    }
                }
                (value, [at]) => {
                    let value = match value {
                        ast::Expr::Row(values, _) if values.len() == 1 => &values[0],
                        value => value,
                    };
                    let value = self.assigned_value(value, table, *at)?;
                    out.push((*at, value));
                }
                _ => counts(1)?,
            }
        }
        Ok(out)
    }

    /// `container` with the part that `steps` lead to replaced.
    fn assign_part(
        &mut self,
        container: Expr,
        steps: &[ast::Subscript],
        value: &ast::Expr,
        position: usize,
    ) -> Result<Expr> {
        use crate::functions::assign;
        let data_type = container.data_type();
        let base = data_type.base();
        let Some(first) = steps.first() else {
            let bound = self.plain_expr(value, "UPDATE")?;
            let from = bound.data_type();
            return self.coerce(bound, data_type, -1, CastContext::Assignment, position)?.ok_or_else(|| {
                let message = format!(
                    "subscripted assignment requires type {} but expression is of type {}",
                    display(data_type),
                    display(from)
                );
                Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("You will need to rewrite or cast the expression.")
                    .at(position)
            });
        };
        if let ast::Subscript::Field(name) = first {
            let Some(template) = base.row_template() else {
                let message = format!(
                    "cannot assign to field \"{name}\" because its type {} is not a composite type",
                    display(data_type)
                );
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(position));
            };
            let names = template.names.as_deref().unwrap_or_default();
            let Some(index) = names.iter().position(|known| known == name) else {
                let message = format!(
                    "cannot assign to field \"{name}\" because there is no such column in data type {}",
                    display(data_type)
                );
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(position));
            };
            let result = template[index].0;
            let current = Expr::Field { operand: Box::new(container.clone()), index, result };
            let inner = self.assign_part(current, &steps[1..], value, position)?;
            let index = Expr::Constant { value: Datum::Int4(index as i32), data_type: Type::INT4 };
            return Ok(Expr::Call {
                function: assign::field(),
                arguments: vec![container, index, inner],
                result: base,
            });
        }
        let run = steps.iter().take_while(|step| !matches!(step, ast::Subscript::Field(_))).count();
        let (run, rest) = steps.split_at(run);
        if base == Type::JSONB {
            let target = Expr::null(Type::JSONB);
            let value = match rest {
                [] => self.assign_part(target, &[], value, position)?,
                _ => return Err(Error::unsupported("a field of jsonb's subscript").at(position)),
            };
            let mut arguments = vec![container, value];
            arguments.extend(self.jsonb_path(run, position)?);
            return Ok(Expr::Call { function: assign::jsonb(), arguments, result: base });
        }
        if base == Type::HSTORE {
            let value = match rest {
                [] => self.assign_part(Expr::null(Type::TEXT), &[], value, position)?,
                _ => return Err(Error::unsupported("a field of hstore's subscript").at(position)),
            };
            let arguments = vec![container, value, self.hstore_key(run, position)?];
            return Ok(Expr::Call { function: assign::hstore(), arguments, result: base });
        }
        let current = self.subscript_of(container.clone(), run, position)?;
        let Expr::Subscript { subscripts, .. } = &current else {
            return Err(Error::internal("a subscript that is none"));
        };
        let subscripts = subscripts.clone();
        let inner = self.assign_part(current, rest, value, position)?;
        let mut arguments = vec![container, inner];
        for (lower, upper, slice) in subscripts {
            // Which bounds are written: a null among them is an error.
            let given = i32::from(lower.is_some()) | i32::from(upper.is_some()) << 1 | i32::from(slice) << 2;
            arguments.push(Expr::Constant { value: Datum::Int4(given), data_type: Type::INT4 });
            arguments.push(lower.unwrap_or(Expr::null(Type::INT4)));
            arguments.push(upper.unwrap_or(Expr::null(Type::INT4)));
        }
        Ok(Expr::Call { function: assign::element(), arguments, result: base })
    }

    fn assigned_value(&mut self, value: &ast::Expr, table: &Arc<Table>, at: usize) -> Result<Expr> {
        let column = &table.columns[at];
        if matches!(value, ast::Expr::Default(_)) {
            return self.default_value(column);
        }
        if column.generated || column.identity == Some(true) {
            let what = match column.generated {
                true => format!("Column \"{}\" is a generated column.", column.name),
                false => {
                    format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name)
                }
            };
            return Err(Error::new(
                SqlState::GENERATED_ALWAYS,
                format!("column \"{}\" can only be updated to DEFAULT", column.name),
            )
            .detail(what));
        }
        let bound = self.plain_expr(value, "UPDATE")?;
        self.assign(bound, column, position_of(value))
    }

    pub fn update(&mut self, update: &ast::Update) -> Result<Bound> {
        let change = Change {
            kind: ModifyKind::Update,
            with: update.with.as_ref(),
            table: &update.table,
            only: update.only,
            alias: update.alias.as_deref(),
            from: &update.from,
            filter: update.filter.as_ref(),
            current_of: update.current_of.is_some(),
            assignments: &update.assignments,
            returning: &update.returning,
        };
        self.in_name_scope(|binder| binder.change(change))
    }

    pub fn delete(&mut self, delete: &ast::Delete) -> Result<Bound> {
        let change = Change {
            kind: ModifyKind::Delete,
            with: delete.with.as_ref(),
            table: &delete.table,
            only: delete.only,
            alias: delete.alias.as_deref(),
            from: &delete.using,
            filter: delete.filter.as_ref(),
            current_of: delete.current_of.is_some(),
            assignments: &[],
            returning: &delete.returning,
        };
        self.in_name_scope(|binder| binder.change(change))
    }

    fn change(&mut self, change: Change<'_>) -> Result<Bound> {
        if let Some(with) = change.with {
            self.with_clause(with)?;
        }
        if change.current_of {
            return Err(Error::unsupported("WHERE CURRENT OF"));
        }
        let ctes = self.ctes.len();
        let mut target = self.target(change.table, change.only, change.kind)?;
        let table = target.named.clone();
        let label: Arc<str> = change.alias.unwrap_or(&table.name).into();
        let schema = change.alias.is_none().then_some(table.schema);
        let rows = match target.instead {
            true => self.view_rows(&mut target, &label, schema)?,
            false => self.table_rows(&mut target, &label, schema),
        };
        let TargetRows { item, scan, columns: target_columns, key, row, table_oid } = rows;
        let scan = target.shown(scan, &target_columns);
        let (from, from_items) = self.from_clause(change.from)?;
        let mut input = match change.from.is_empty() {
            true => scan,
            false => super::from::cross(scan, from),
        };
        if from_items.iter().any(|other| other.name_visible && other.alias == label) {
            return Err(Error::new(
                SqlState::DUPLICATE_ALIAS,
                format!("table name \"{label}\" specified more than once"),
            ));
        }
        let mut items = vec![item];
        items.extend(from_items.iter().cloned());
        self.scopes.push(Scope::new(items));
        let bound = (|| -> Result<_> {
            // In this order in PostgreSQL too: the first use of a parameter gives it its type.
            let conditions = change.filter.map(|filter| self.condition(filter, "WHERE")).transpose()?;
            let assignments = self.assignments(change.assignments, &table)?;
            Ok((assignments, conditions))
        })();
        self.scopes.pop();
        let (assignments, conditions) = bound?;
        let required =
            if change.kind == ModifyKind::Update { Privileges::UPDATE } else { Privileges::DELETE };
        let assigned: Vec<usize> = assignments.iter().map(|(at, _)| *at).collect();
        self.need_target(&target, required, &assigned);
        let assignments = target.assigned(assignments, change.kind)?;
        if let Some(conditions) = conditions {
            let conditions = target.settle_all(conditions);
            input = Logical::Filter { input: Box::new(input), conditions };
        }
        let recheck = if target.instead { Vec::new() } else { rechecks(&input) };
        let (returning, returning_columns) =
            self.bind_returning(change.returning, &mut target, &label, schema, from_items)?;
        let results = returning.as_ref().map(|outputs| outputs.iter().map(|(id, _)| *id).collect());
        self.finish_target(&target, ctes);
        let checks = match change.kind {
            ModifyKind::Update => target.checks(&returning_columns),
            _ => Vec::new(),
        };
        let modify = Modify {
            kind: change.kind,
            checks,
            instead: target.instead,
            table: target.base,
            alias: label,
            input,
            target_columns,
            key,
            row,
            table_oid,
            recheck,
            assignments,
            on_conflict: None,
            merge: Vec::new(),
            returning,
            returning_columns,
        };
        Ok((Logical::Modify(Box::new(modify)), results))
    }

    /// A scan of the table whose rows are changed.
    fn table_rows(&mut self, target: &mut Target, label: &Arc<str>, schema: Option<u32>) -> TargetRows {
        let table = target.base.clone();
        let columns = self.target_ids(target, label);
        let key = self.new_column("ctid", Type::BYTEA, -1, (0, 0), label.clone());
        let row = self.new_column("wholerow", Type::BYTEA, -1, (0, 0), label.clone());
        let table_oid = self.table_oid(&table, label);
        let children = self.children(&table, target.only, label);
        let (mut item, _) = self.target_item(target, label, schema, &columns);
        if !target.is_view() {
            item.table_oid = Some(table_oid);
            item.locks = Locks::Rows(vec![Lockable {
                table: table.clone(),
                ids: columns.clone(),
                key,
                table_oid: children.map(|_| table_oid),
                nullable: false,
            }]);
        }
        let scan = logical::Scan {
            table,
            alias: label.clone(),
            columns: columns.clone(),
            key: Some(key),
            row: Some(row),
            table_oid: Some(table_oid),
            children,
        };
        TargetRows {
            item,
            scan: Logical::Scan(scan),
            columns,
            key: Some(key),
            row: Some(row),
            table_oid: children.map(|_| table_oid),
        }
    }

    /// The rows of a view that INSTEAD OF triggers are given.
    fn view_rows(
        &mut self,
        target: &mut Target,
        label: &Arc<str>,
        schema: Option<u32>,
    ) -> Result<TargetRows> {
        let mention = self.needs.relations.len();
        let (scan, rows) = self.view(&target.base.clone(), label.clone(), None)?;
        // Who only changes rows need not be able to read them.
        self.needs.relations[mention].required = Privileges::NONE;
        let mut columns = Vec::new();
        scan.output(&mut columns);
        let item = match target.is_view() {
            true => self.target_item(target, label, schema, &columns).0,
            false => rows,
        };
        Ok(TargetRows { item, scan, columns, key: None, row: None, table_oid: None })
    }

    /// RETURNING sees the row as it was written (DELETE: as it was), and what it was joined with.
    #[allow(clippy::type_complexity)]
    fn bind_returning(
        &mut self,
        targets: &[ast::Target],
        target: &mut Target,
        label: &Arc<str>,
        schema: Option<u32>,
        others: Vec<NamedItem>,
    ) -> Result<(Option<Vec<(ColumnId, Expr)>>, Vec<ColumnId>)> {
        if targets.is_empty() && !target.is_view() {
            return Ok((None, Vec::new()));
        }
        let table = target.base.clone();
        let mut columns = match target.is_view() {
            true => self.table_columns(&table, label),
            false => self.target_columns(&table, label),
        };
        let (mut item, _) = self.target_item(target, label, schema, &columns);
        // Behind the row's columns: which table it is in.
        let table_oid = self.table_oid(&table, label);
        if !target.is_view() {
            item.table_oid = Some(table_oid);
        }
        columns.push(table_oid);
        if targets.is_empty() {
            return Ok((None, columns));
        }
        let mut items = vec![item];
        items.extend(others);
        self.scopes.push(Scope::new(items));
        let outputs = self.returning(targets);
        self.scopes.pop();
        let outputs = outputs?.into_iter().map(|(id, expr)| (id, target.settle(expr))).collect();
        Ok((Some(outputs), columns))
    }
}

/// The rows that an UPDATE or DELETE chooses from.
struct TargetRows {
    item: NamedItem,
    scan: Logical,
    /// Those of `Target::base`.
    columns: Vec<ColumnId>,
    key: Option<ColumnId>,
    row: Option<ColumnId>,
    table_oid: Option<ColumnId>,
}

/// What UPDATE and DELETE have in common.
struct Change<'q> {
    kind: ModifyKind,
    with: Option<&'q ast::With>,
    table: &'q ast::ObjectName,
    only: bool,
    alias: Option<&'q str>,
    from: &'q [ast::TableRef],
    filter: Option<&'q ast::Expr>,
    current_of: bool,
    assignments: &'q [ast::Assignment],
    returning: &'q [ast::Target],
}

/// Where an expression starts, as far as the tree tells.
pub fn position_of(expr: &ast::Expr) -> usize {
    match expr {
        ast::Expr::Literal(_, position)
        | ast::Expr::Parameter(_, position)
        | ast::Expr::Column(_, position)
        | ast::Expr::Unary { position, .. }
        | ast::Expr::Cast { position, .. }
        | ast::Expr::Case { position, .. }
        | ast::Expr::Subquery(_, position) => *position,
        ast::Expr::Binary { left, .. } => position_of(left),
        ast::Expr::Function(call) => call.position,
        _ => 0,
    }
}
