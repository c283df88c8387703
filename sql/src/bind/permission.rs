//! Which privileges the statement being bound will need: see `plan/permissions.rs`.

use super::Binder;
use crate::catalog::{Privileges, Table};
use crate::error::Result;
use crate::expr::{ColumnId, ColumnSet, Expr};
use crate::plan::permissions::{RelationUse, check_function, check_schema};
use crate::types::Oid;
use std::sync::Arc;

/// Privileges that bound names ask for.
#[derive(Default)]
pub(super) struct Needs {
    pub relations: Vec<RelationUse>,
    pub functions: Vec<Oid>,
    /// Which columns belong to which of `relations`: first id, one past the last, position. In order, as ids only grow.
    ranges: Vec<(ColumnId, ColumnId, usize)>,
    /// The owner of the view being bound.
    pub check_as: Option<Oid>,
}

impl Binder<'_> {
    /// A mention of a relation whose columns have these consecutive ids.
    pub(super) fn need(&mut self, relation: Oid, required: Privileges, columns: &[ColumnId]) {
        let at = self.mention(relation, required);
        self.own_columns(at, columns);
    }

    /// A mention whose columns come later.
    pub(super) fn mention(&mut self, relation: Oid, required: Privileges) -> usize {
        let check_as = self.needs.check_as;
        self.needs.relations.push(RelationUse::new(relation, check_as, required));
        self.needs.relations.len() - 1
    }

    pub(super) fn own_columns(&mut self, at: usize, columns: &[ColumnId]) {
        if let (Some(first), Some(last)) = (columns.first(), columns.last()) {
            self.needs.ranges.push((*first, *last + 1, at));
        }
    }

    /// The latest mention of a relation: a statement's target.
    fn target_need(&mut self, relation: Oid) -> Option<&mut RelationUse> {
        let check_as = self.needs.check_as;
        let same = |used: &&mut RelationUse| used.relation == relation && used.check_as == check_as;
        self.needs.relations.iter_mut().rev().find(same)
    }

    /// Columns of a statement's target: mentioning one takes SELECT on it.
    pub(super) fn target_columns(&mut self, table: &Table, label: &Arc<str>) -> Vec<ColumnId> {
        let ids = self.table_columns(table, label);
        let check_as = self.needs.check_as;
        let same = |used: &RelationUse| used.relation == table.oid && used.check_as == check_as;
        if let Some(at) = self.needs.relations.iter().rposition(same) {
            self.own_columns(at, &ids);
        }
        ids
    }

    /// What is done with a statement's target, besides what it reads. Columns by position.
    pub(super) fn need_on_target(
        &mut self,
        table: &Table,
        required: Privileges,
        columns: impl IntoIterator<Item = usize>,
    ) {
        let Some(used) = self.target_need(table.oid) else { return };
        add_need(used, table, required, columns);
    }

    /// The same by position in `Needs::relations`.
    pub(super) fn need_of(&mut self, at: usize, table: &Table, required: Privileges, columns: &[usize]) {
        add_need(&mut self.needs.relations[at], table, required, columns.iter().copied());
    }

    /// An expression over columns that the statement names: they are read.
    pub(super) fn reads(&mut self, expr: &Expr) {
        if let Expr::Column { index, .. } = expr {
            return self.reads_column(*index);
        }
        let mut columns = ColumnSet::new();
        expr.columns(&mut columns);
        columns.iter().for_each(|column| self.reads_column(column));
    }

    fn reads_column(&mut self, column: ColumnId) {
        let number = self.columns[column].number;
        if let Some(used) = self.use_of(column) {
            used.required |= Privileges::SELECT;
            used.selected.insert(number);
        }
    }

    /// The mention that a column belongs to.
    fn use_of(&mut self, column: ColumnId) -> Option<&mut RelationUse> {
        let needs = &mut self.needs;
        let after = needs.ranges.partition_point(|(first, ..)| *first <= column);
        let (_, end, at) = *needs.ranges.get(after.checked_sub(1)?)?;
        (column < end).then(|| &mut needs.relations[at])
    }

    /// FOR UPDATE and its kin: a privilege to change rows, any of them.
    pub(super) fn need_lock(&mut self, columns: &[ColumnId]) {
        if let Some(used) = columns.first().copied().and_then(|first| self.use_of(first)) {
            used.required |= Privileges::UPDATE;
        }
    }

    /// For expressions that belong to no plan: what they call is checked at once.
    pub(super) fn check_calls(&self) -> Result<()> {
        let role = self.context.eval.services.acting_role();
        let check = |function: &Oid| check_function(*function, role, self.context.catalog);
        self.needs.functions.iter().try_for_each(check)
    }

    /// A schema that the statement names. What a view names was looked up when it was made.
    pub(super) fn check_schema_use(&self, schema: Option<&str>) -> Result<()> {
        match schema {
            Some(schema) if self.view_depth == 0 => {
                check_schema(schema, self.context.eval.services.acting_role(), self.context.catalog)
            }
            _ => Ok(()),
        }
    }
}

fn add_need(
    used: &mut RelationUse,
    table: &Table,
    required: Privileges,
    columns: impl IntoIterator<Item = usize>,
) {
    used.required |= required;
    let numbers = columns.into_iter().map(|at| table.columns[at].number);
    match required {
        Privileges::INSERT => used.inserted.extend(numbers),
        Privileges::UPDATE => used.updated.extend(numbers),
        Privileges::SELECT => used.selected.extend(numbers),
        _ => {}
    }
}
