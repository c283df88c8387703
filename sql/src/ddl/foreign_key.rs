//! FOREIGN KEY definitions: which columns, which unique index of the referenced table, whether they fit together.

use super::column::Pending;
use super::constraint::{Added, joined};
use super::{Ddl, names};
use crate::catalog::{
    Constraint, ConstraintKind, ForeignKey, Persistence, Privileges, ReferentialAction, Relation, Table,
};
use crate::error::{Error, Result, SqlState};
use crate::exec::foreign_key;
use crate::parse::ast::{ForeignKeyReference, ObjectName, ReferentialAction as Action};
use serin_txn::RelationLockMode;
use std::sync::Arc;

fn action(written: &Action) -> ReferentialAction {
    match written {
        Action::NoAction => ReferentialAction::NoAction,
        Action::Restrict => ReferentialAction::Restrict,
        Action::Cascade => ReferentialAction::Cascade,
        Action::SetNull(_) => ReferentialAction::SetNull,
        Action::SetDefault(_) => ReferentialAction::SetDefault,
    }
}

impl Ddl<'_> {
    pub(super) fn add_foreign_key(
        &self,
        table: &mut Table,
        pending: &Pending,
        columns: &[String],
        reference: &ForeignKeyReference,
    ) -> Result<Added> {
        let other = self.find_referenced(table, &reference.table)?;
        let referenced: &Table = other.as_deref().unwrap_or(table);
        match (table.persistence, referenced.persistence) {
            (Persistence::Permanent, _)
                if referenced.persistence == Persistence::Temporary
                    || (referenced.unlogged && !table.unlogged) =>
            {
                let message = "constraints on permanent tables may reference only permanent tables";
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            (Persistence::Temporary, Persistence::Permanent) => {
                let message = "constraints on temporary tables may reference only temporary tables";
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            _ => {}
        }
        let referencing = positions(table, columns)?;
        let (referenced_columns, index) = referenced_key(referenced, &reference.columns)?;
        if referencing.len() != referenced_columns.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
        }
        let name = match &pending.constraint.name {
            Some(name) => name.clone(),
            None => {
                let is_taken = |name: &str| table.constraints.iter().any(|other| other.name == name);
                names::choose_name(&table.name, Some(&joined(table, &referencing)), "fkey", is_taken)
            }
        };
        if let Some(other) = &other {
            let relation = Relation::Table(other.clone());
            self.require_privilege(&relation, Privileges::REFERENCES, &referenced_columns)?;
        }
        for (&column, &target) in referencing.iter().zip(&referenced_columns) {
            let (column, target) = (&table.columns[column], &referenced.columns[target]);
            if !foreign_key::is_comparable(column.data_type(), target.data_type()) {
                let message = format!("foreign key constraint \"{name}\" cannot be implemented");
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(format!(
                    "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                    column.name,
                    target.name,
                    column.data_type().display(),
                    target.data_type().display()
                )));
            }
        }
        let delete_columns = self.delete_columns(table, &reference.on_delete, &referencing)?;
        check_generated(table, &referencing, reference)?;
        let key = ForeignKey {
            columns: referencing,
            referenced: referenced.oid,
            referenced_columns,
            index,
            match_full: reference.match_full,
            on_delete: action(&reference.on_delete),
            on_update: action(&reference.on_update),
            delete_columns,
        };
        let oid = self.new_oid()?;
        table.constraints.push(Constraint {
            oid,
            name,
            kind: ConstraintKind::ForeignKey(key),
            deferrable: reference.deferrable.deferrable || reference.deferrable.initially_deferred,
            initially_deferred: reference.deferrable.initially_deferred,
            validated: true,
            parent: 0,
            inherited: 0,
            local: true,
            no_inherit: false,
            comment: None,
        });
        Ok(Added::ForeignKey(table.constraints.len() - 1))
    }

    /// The referenced table, locked against writers; None: the table itself.
    fn find_referenced(&self, table: &Table, name: &ObjectName) -> Result<Option<Arc<Table>>> {
        let catalog = self.catalog();
        let (schema, relation) = names::split(&catalog, name)?;
        let is_new = catalog.table(table.oid).is_none();
        // A table that is being created is not in the catalog yet.
        let same_schema = || match schema {
            None => true,
            Some(schema) => catalog.find_schema(schema).is_some_and(|found| found.oid == table.schema),
        };
        if is_new && relation == table.name && same_schema() {
            return Ok(None);
        }
        let found = names::find_relation(&catalog, &self.search_path(), name)?;
        if let Some(Relation::Table(found)) = &found
            && found.oid == table.oid
        {
            return Ok(None);
        }
        // Some privilege on it, before it is locked; on which columns is known later.
        let may = |found: &Relation| match found {
            Relation::Table(found) => {
                let all: Vec<usize> =
                    (0..found.columns.len()).filter(|at| found.columns[*at].acl.is_some()).collect();
                let relation = Relation::Table(found.clone());
                let whole = self.require_privilege(&relation, Privileges::REFERENCES, &[]);
                whole.or_else(|error| match all.is_empty() {
                    true => Err(error),
                    false => Ok(()),
                })
            }
            _ => Ok(()),
        };
        match self.open_relation_if(name, RelationLockMode::ShareRowExclusive, may)? {
            Some(Relation::Table(found)) if found.view.is_none() => Ok(Some(found)),
            Some(_) => {
                let message = format!("referenced relation \"{relation}\" is not a table");
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
            None => Err(names::no_relation(name)),
        }
    }

    fn delete_columns(&self, table: &Table, written: &Action, referencing: &[usize]) -> Result<Vec<usize>> {
        let (Action::SetNull(columns) | Action::SetDefault(columns)) = written else { return Ok(Vec::new()) };
        let mut found = Vec::with_capacity(columns.len());
        for name in columns {
            let position = positions(table, std::slice::from_ref(name))?[0];
            if !referencing.contains(&position) {
                let message = format!(
                    "column \"{name}\" referenced in ON DELETE SET action must be part of foreign key"
                );
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
            }
            if !found.contains(&position) {
                found.push(position);
            }
        }
        Ok(found)
    }

    /// 23503 if a row there is already references nothing.
    pub(super) fn validate_foreign_key(&self, table: &Table, constraint: usize) -> Result<()> {
        let Some(key) = table.constraints[constraint].foreign_key() else { return Ok(()) };
        self.transaction.borrow_mut().next_command();
        let table = Arc::new(table.clone());
        let referenced = match key.referenced == table.oid {
            true => table.clone(),
            false => {
                let found = self.catalog().table(key.referenced);
                found
                    .ok_or_else(|| Error::internal("a foreign key references a table that does not exist"))?
            }
        };
        self.with_exec(|context| foreign_key::check_all(&table, &referenced, constraint, context))
    }

    /// 55006 if constraint checks of the table's changes wait for the end of the transaction.
    pub(super) fn refuse_pending(&self, table: &Table, command: &str) -> Result<()> {
        let mut concerned = vec![table.oid];
        concerned.extend(self.catalog().references_to(table.oid).iter().map(|&(referencing, _)| referencing));
        let deferred = self.core.deferred.borrow();
        if deferred.has_events() && concerned.into_iter().any(|table| deferred.concerns(table)) {
            let message =
                format!("cannot {command} \"{}\" because it has pending trigger events", table.name);
            return Err(Error::new(SqlState::OBJECT_IN_USE, message));
        }
        Ok(())
    }
}

fn positions(table: &Table, columns: &[String]) -> Result<Vec<usize>> {
    let position = |name: &String| {
        table.column_index(name).ok_or_else(|| {
            let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })
    };
    columns.iter().map(position).collect()
}

/// The columns referenced, and the unique index that has them.
fn referenced_key(referenced: &Table, written: &[String]) -> Result<(Vec<usize>, u32)> {
    if written.is_empty() {
        let Some(index) = referenced.indexes.iter().find(|index| index.primary) else {
            let message = format!("there is no primary key for referenced table \"{}\"", referenced.name);
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        if index.deferrable {
            return Err(deferrable(referenced, "primary key"));
        }
        return Ok((index.keys.iter().filter_map(|key| key.column).collect(), index.oid));
    }
    let columns = positions(referenced, written)?;
    let mut sorted = columns.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "foreign key referenced-columns list must not contain duplicates";
        return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
    }
    let has_columns = |index: &&crate::catalog::Index| {
        let mut keys: Vec<Option<usize>> = index.keys.iter().map(|key| key.column).collect();
        keys.sort_unstable();
        index.unique
            && index.predicate.is_none()
            && keys.len() == sorted.len()
            && keys.iter().zip(&sorted).all(|(key, column)| *key == Some(*column))
    };
    let mut found = referenced.indexes.iter().filter(has_columns).peekable();
    if found.peek().is_none() {
        let message = format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            referenced.name
        );
        return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, message));
    }
    match found.find(|index| !index.deferrable) {
        Some(index) => Ok((columns, index.oid)),
        None => Err(deferrable(referenced, "unique constraint")),
    }
}

fn deferrable(referenced: &Table, what: &str) -> Error {
    let message = format!("cannot use a deferrable {what} for referenced table \"{}\"", referenced.name);
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

fn check_generated(table: &Table, columns: &[usize], reference: &ForeignKeyReference) -> Result<()> {
    if !columns.iter().any(|&column| table.columns[column].generated) {
        return Ok(());
    }
    let refuse = |action: &str| {
        let message =
            format!("invalid {action} action for foreign key constraint containing generated column");
        Err(Error::new(SqlState::SYNTAX_ERROR, message))
    };
    match (&reference.on_update, &reference.on_delete) {
        (Action::SetNull(_) | Action::SetDefault(_) | Action::Cascade, _) => refuse("ON UPDATE"),
        (_, Action::SetNull(_) | Action::SetDefault(_)) => refuse("ON DELETE"),
        _ => Ok(()),
    }
}
