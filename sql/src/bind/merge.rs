//! MERGE: the source joined with the target, and what is to be done with each row of that.

use super::scope::{NamedItem, Scope};
use super::{Binder, BoundStatementParts};
use crate::catalog::Privileges;
use crate::error::{Error, Result, SqlState};
use crate::expr::Expr;
use crate::parse::ast;
use crate::parse::routine_ast::MergeAction;
use crate::plan::logical::{self, JoinKind, Logical, MergeClause, Modify, ModifyKind};
use crate::types::Type;
use std::sync::Arc;

impl Binder<'_> {
    pub fn merge(&mut self, merge: &ast::Merge) -> Result<BoundStatementParts> {
        self.in_name_scope(|binder| binder.merge_with_names(merge))
    }

    fn merge_with_names(&mut self, merge: &ast::Merge) -> Result<BoundStatementParts> {
        if let Some(with) = &merge.with {
            self.with_clause(with)?;
        }
        for matched in [true, false] {
            let mut always = false;
            for clause in merge.clauses.iter().filter(|clause| clause.matched == matched) {
                if always {
                    let message = "unreachable WHEN clause specified after unconditional WHEN clause";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                always = clause.condition.is_none();
            }
        }
        let table = self.target(&merge.table, merge.only, ModifyKind::Merge)?.base;
        let label: Arc<str> = merge.alias.as_ref().map_or(table.name.as_str(), |a| a.name.as_str()).into();
        let schema = merge.alias.is_none().then_some(table.schema);
        let target_columns = self.target_columns(&table, &label);
        let key = self.new_column("ctid", Type::BYTEA, -1, (0, 0), label.clone());
        let row = self.new_column("wholerow", Type::BYTEA, -1, (0, 0), label.clone());
        let table_oid = self.table_oid(&table, &label);
        let children = self.children(&table, merge.only, &label);
        let mut target = NamedItem::of_table(&table, label.clone(), &target_columns, schema);
        target.table_oid = Some(table_oid);
        let (source, source_items) = self.from_clause(std::slice::from_ref(&merge.source))?;
        if source_items.iter().any(|item| item.name_visible && item.alias == label) {
            let message = format!("name \"{label}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message)
                .detail("The name is used both as MERGE target table and data source."));
        }
        let mut both = vec![target];
        both.extend(source_items.iter().cloned());
        self.scopes.push(Scope::new(both.clone()));
        let conditions = self.condition(&merge.condition, "JOIN/ON");
        self.scopes.pop();
        let conditions = conditions?;
        let mut clauses = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            let items = if clause.matched { both.clone() } else { source_items.clone() };
            self.scopes.push(Scope::new(items));
            let bound = self.merge_clause(clause, &table);
            self.scopes.pop();
            clauses.push(bound?);
        }
        let scan = Logical::Scan(logical::Scan {
            table: table.clone(),
            alias: label.clone(),
            columns: target_columns.clone(),
            key: Some(key),
            row: Some(row),
            table_oid: Some(table_oid),
            children,
        });
        let inserts = clauses.iter().any(|clause| !clause.matched);
        let input = Logical::Join {
            kind: if inserts { JoinKind::Left } else { JoinKind::Inner },
            left: Box::new(source),
            right: Box::new(scan),
            conditions: conditions.clone(),
        };
        let modify = Modify {
            kind: ModifyKind::Merge,
            checks: Vec::new(),
            instead: false,
            table,
            alias: label,
            input,
            target_columns,
            key: Some(key),
            row: Some(row),
            table_oid: children.map(|_| table_oid),
            recheck: conditions,
            assignments: Vec::new(),
            on_conflict: None,
            merge: clauses,
            returning: None,
            returning_columns: Vec::new(),
        };
        Ok((Logical::Modify(Box::new(modify)), None))
    }

    fn merge_clause(
        &mut self,
        clause: &crate::parse::routine_ast::MergeClause,
        table: &Arc<crate::catalog::Table>,
    ) -> Result<MergeClause> {
        let conditions = match &clause.condition {
            Some(condition) => self.condition(condition, "MERGE WHEN")?,
            None => Vec::new(),
        };
        let (kind, assignments) = match &clause.action {
            MergeAction::Nothing => (None, Vec::new()),
            MergeAction::Delete => (Some(ModifyKind::Delete), Vec::new()),
            MergeAction::Update(assignments) => {
                (Some(ModifyKind::Update), self.assignments(assignments, table)?)
            }
            MergeAction::Insert { columns, overriding, values } => {
                let values = self.merge_insert(columns, *overriding, values.as_deref(), table)?;
                (Some(ModifyKind::Insert), values)
            }
        };
        let (required, columns) = match kind {
            None => (Privileges::NONE, Vec::new()),
            Some(ModifyKind::Delete) => (Privileges::DELETE, Vec::new()),
            Some(ModifyKind::Update) => (Privileges::UPDATE, assignments.iter().map(|(at, _)| *at).collect()),
            Some(_) => (Privileges::INSERT, self.inserted_columns(&clause.action, table)),
        };
        self.need_on_target(table, required, columns);
        Ok(MergeClause { matched: clause.matched, conditions, kind, assignments })
    }

    /// The columns that WHEN NOT MATCHED THEN INSERT names.
    fn inserted_columns(&self, action: &MergeAction, table: &crate::catalog::Table) -> Vec<usize> {
        match action {
            MergeAction::Insert { columns, .. } if !columns.is_empty() => {
                columns.iter().filter_map(|name| table.column_index(name)).collect()
            }
            _ => (0..table.columns.len()).filter(|at| !table.columns[*at].dropped).collect(),
        }
    }

    /// A value for every live column.
    fn merge_insert(
        &mut self,
        columns: &[String],
        overriding: Option<bool>,
        values: Option<&[ast::Expr]>,
        table: &Arc<crate::catalog::Table>,
    ) -> Result<Vec<(usize, Expr)>> {
        let live = (0..table.columns.len()).filter(|at| !table.columns[*at].dropped);
        let given: Vec<usize> = match columns.is_empty() {
            true => live.clone().collect(),
            false => {
                let mut given = Vec::with_capacity(columns.len());
                for name in columns {
                    let at = self.column_position(table, name, 0)?;
                    if given.contains(&at) {
                        let message = format!("column \"{name}\" specified more than once");
                        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
                    }
                    given.push(at);
                }
                given
            }
        };
        let values = values.unwrap_or_default();
        if !values.is_empty() {
            self.check_width(values.len(), &given, !columns.is_empty(), 0)?;
        }
        let mut out = Vec::with_capacity(table.columns.len());
        for at in live {
            let column = &table.columns[at];
            let value = given.iter().position(|place| *place == at).and_then(|place| values.get(place));
            let value = match value {
                None | Some(ast::Expr::Default(_)) => self.default_value(column)?,
                Some(_) if column.identity.is_some() && overriding == Some(false) => {
                    self.default_value(column)?
                }
                Some(value) => {
                    self.check_assignable(table, column, overriding)?;
                    let bound = self.plain_expr(value, "VALUES")?;
                    self.assign(bound, column, 0)?
                }
            };
            out.push((at, value));
        }
        Ok(out)
    }
}
