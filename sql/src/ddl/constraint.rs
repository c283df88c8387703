//! PRIMARY KEY, UNIQUE and CHECK: their descriptors, names and indexes. Whether existing rows satisfy them is checked by
//! `alter_table.rs`.

use super::column::Pending;
use super::{Ddl, expression, names};
use crate::catalog::{Constraint, ConstraintKind, Index, IndexKey, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{Deferrable, TableConstraintKind};
use crate::types::Type;
use serin_storage::TreeId;

/// What adding a constraint asks of rows that are there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    Check(usize),
    /// The table is to be clustered anew.
    PrimaryKey,
    /// The index at this position is to be built.
    Index(usize),
    Nothing,
}

impl Ddl<'_> {
    /// Adds a constraint to the (new or copied) descriptor. An index gets a fresh, empty tree; the clustered one is the table's.
    pub(super) fn add_constraint(&self, table: &mut Table, pending: &Pending) -> Result<Added> {
        let given = pending.constraint.name.as_deref();
        if let Some(name) = given
            && table.constraints.iter().any(|constraint| constraint.name == name)
        {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        match &pending.constraint.kind {
            TableConstraintKind::Check { expr, text, .. } => {
                self.with_plan_context(|context| {
                    crate::bind::table_expression(expr, table, Some((Type::BOOL, -1)), context)
                })?;
                let name = match given {
                    Some(name) => name.to_string(),
                    None => check_name(table, pending.column.as_deref(), text),
                };
                let oid = self.new_oid()?;
                table.constraints.push(Constraint {
                    oid,
                    name,
                    kind: ConstraintKind::Check(text.clone()),
                    deferrable: false,
                    initially_deferred: false,
                    comment: None,
                });
                Ok(Added::Check(table.constraints.len() - 1))
            }
            TableConstraintKind::PrimaryKey { columns, include, using_index, deferrable } => {
                refuse_deferrable(*deferrable)?;
                if table.indexes.iter().any(|index| index.primary) {
                    let message =
                        format!("multiple primary keys for table \"{}\" are not allowed", table.name);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                if using_index.is_some() {
                    return Err(Error::unsupported("PRIMARY KEY USING INDEX"));
                }
                let columns = key_columns(table, columns, "primary key")?;
                let include = key_columns(table, include, "primary key")?;
                for &column in &columns {
                    table.columns[column].not_null = true;
                }
                let name = self.index_name(table, given, None, "pkey")?;
                let position = self.push_index(table, name.clone(), &columns, include, true)?;
                let index = &mut table.indexes[position];
                index.primary = true;
                index.clustered = true;
                index.tree = table.tree;
                let oid = index.oid;
                table.primary_key = columns;
                self.push_constraint(table, name, ConstraintKind::PrimaryKey(oid))?;
                Ok(Added::PrimaryKey)
            }
            TableConstraintKind::Unique { columns, include, nulls_not_distinct, using_index, deferrable } => {
                refuse_deferrable(*deferrable)?;
                if let Some(index) = using_index {
                    return self.unique_using_index(table, given, index);
                }
                let columns = key_columns(table, columns, "unique")?;
                let include = key_columns(table, include, "unique")?;
                let name = self.index_name(table, given, Some(&joined(table, &columns)), "key")?;
                let tree = self.create_tree()?.id();
                let position = self.push_index(table, name.clone(), &columns, include, true)?;
                table.indexes[position].tree = tree;
                table.indexes[position].nulls_not_distinct = *nulls_not_distinct;
                let oid = table.indexes[position].oid;
                self.push_constraint(table, name, ConstraintKind::Unique(oid))?;
                Ok(Added::Index(position))
            }
            TableConstraintKind::ForeignKey { .. } => Err(Error::unsupported("FOREIGN KEY")),
            TableConstraintKind::Exclude => Err(Error::unsupported("EXCLUDE")),
        }
    }

    fn unique_using_index(&self, table: &mut Table, given: Option<&str>, index: &str) -> Result<Added> {
        let found = table.indexes.iter().find(|candidate| candidate.name == index);
        let found = found.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("index \"{index}\" does not exist"))
        })?;
        if !found.unique {
            let message = format!("\"{index}\" is not a unique index");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .detail("Cannot create a primary key or unique constraint using such an index."));
        }
        if given.is_some_and(|given| given != index) {
            return Err(Error::unsupported("UNIQUE USING INDEX under another name"));
        }
        let (oid, name) = (found.oid, found.name.clone());
        self.push_constraint(table, name, ConstraintKind::Unique(oid))?;
        Ok(Added::Nothing)
    }

    fn push_constraint(&self, table: &mut Table, name: String, kind: ConstraintKind) -> Result<()> {
        let oid = self.new_oid()?;
        let constraint =
            Constraint { oid, name, kind, deferrable: false, initially_deferred: false, comment: None };
        table.constraints.push(constraint);
        Ok(())
    }

    /// The name given, or one made up; taken in the table's schema.
    pub(super) fn index_name(
        &self,
        table: &Table,
        given: Option<&str>,
        columns: Option<&str>,
        label: &str,
    ) -> Result<String> {
        let catalog = self.catalog();
        let is_taken = |name: &str| {
            names::is_relation_name_taken(&catalog, table.schema, name)
                || name == table.name
                || table.indexes.iter().any(|index| index.name == name)
                || table.constraints.iter().any(|constraint| constraint.name == name)
        };
        match given {
            Some(name) if is_taken(name) => Err(names::relation_exists(name)),
            Some(name) => Ok(name.to_string()),
            None => Ok(names::choose_name(&table.name, columns, label, is_taken)),
        }
    }

    /// Appends an index in ascending order of these columns and takes its name; its tree is still to be set.
    pub(super) fn push_index(
        &self,
        table: &mut Table,
        name: String,
        columns: &[usize],
        include: Vec<usize>,
        unique: bool,
    ) -> Result<usize> {
        let oid = self.new_oid()?;
        self.take_relation_name(table.schema, &name, oid)?;
        let key = |&column: &usize| IndexKey {
            column: Some(column),
            expression: None,
            descending: false,
            nulls_first: false,
        };
        table.indexes.push(Index {
            oid,
            name,
            tree: TreeId(0),
            keys: columns.iter().map(key).collect(),
            include,
            unique,
            primary: false,
            clustered: false,
            nulls_not_distinct: false,
            predicate: None,
            comment: None,
        });
        Ok(table.indexes.len() - 1)
    }
}

fn refuse_deferrable(deferrable: Deferrable) -> Result<()> {
    if deferrable.deferrable || deferrable.initially_deferred {
        return Err(Error::unsupported("DEFERRABLE"));
    }
    Ok(())
}

fn key_columns(table: &Table, columns: &[String], what: &str) -> Result<Vec<usize>> {
    let mut positions = Vec::with_capacity(columns.len());
    for name in columns {
        let position = table.column_index(name).ok_or_else(|| {
            let message = format!("column \"{name}\" named in key does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })?;
        if positions.contains(&position) {
            let message = format!("column \"{name}\" appears twice in {what} constraint");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        positions.push(position);
    }
    Ok(positions)
}

pub(super) fn joined(table: &Table, columns: &[usize]) -> String {
    columns.iter().map(|&column| table.columns[column].name.as_str()).collect::<Vec<_>>().join("_")
}

/// `t_a_check` if it is about one column, else `t_check`.
fn check_name(table: &Table, column: Option<&str>, text: &str) -> String {
    let is_taken = |name: &str| table.constraints.iter().any(|constraint| constraint.name == name);
    let mut named = table
        .columns
        .iter()
        .filter(|candidate| !candidate.dropped && expression::names_column(text, &candidate.name));
    let only = match (named.next(), named.next()) {
        (Some(only), None) => Some(only.name.as_str()),
        _ => None,
    };
    names::choose_name(&table.name, column.or(only), "check", is_taken)
}
