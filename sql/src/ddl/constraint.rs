//! PRIMARY KEY, UNIQUE, EXCLUDE and CHECK: their descriptors, names and indexes (FOREIGN KEY is in `foreign_key.rs`). Whether existing rows satisfy them is checked by
//! `alter_table.rs`.

use super::column::Pending;
use super::{Ddl, expression, names};
use crate::bind::Names;
use crate::catalog::{Constraint, ConstraintKind, Index, IndexKey, Table};
use crate::error::{Error, Result, SqlState};
use crate::index::Method;
use crate::parse::ast::{Deferrable, TableConstraintKind};
use crate::types::Type;
use serin_storage::TreeId;

/// What adding a constraint asks of rows that are there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Added {
    Check(usize),
    ForeignKey(usize),
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
        if let (Some(name), TableConstraintKind::Check { text, no_inherit, .. }) =
            (given, &pending.constraint.kind)
            && let Some(at) =
                table.constraints.iter().position(|own| own.name == name && own.inherited > 0 && !own.local)
            && !no_inherit
            && self.is_same_check(table, &table.constraints[at].kind, text)
        {
            self.notice(format!("merging constraint \"{name}\" with inherited definition"));
            table.constraints[at].local = true;
            return Ok(Added::Nothing);
        }
        // A second primary key, and an index of this name, are found first.
        let makes_index = matches!(
            pending.constraint.kind,
            TableConstraintKind::PrimaryKey { .. }
                | TableConstraintKind::Unique { .. }
                | TableConstraintKind::Exclude(_)
        );
        if let Some(name) = given
            && !makes_index
            && table.constraints.iter().any(|constraint| constraint.name == name)
        {
            let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        match &pending.constraint.kind {
            TableConstraintKind::Check { expr, text, no_inherit } => {
                if *no_inherit && table.is_partitioned() {
                    let message =
                        format!("cannot add NO INHERIT constraint to partitioned table \"{}\"", table.name);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
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
                    kind: ConstraintKind::Check(self.spelled_out(
                        text,
                        Names::Table(table),
                        Some((Type::BOOL, -1)),
                    )?),
                    deferrable: false,
                    initially_deferred: false,
                    validated: true,
                    parent: 0,
                    inherited: 0,
                    local: true,
                    no_inherit: *no_inherit,
                    comment: None,
                });
                Ok(Added::Check(table.constraints.len() - 1))
            }
            TableConstraintKind::PrimaryKey { columns, include, using_index, deferrable } => {
                if table.indexes.iter().any(|index| index.primary) {
                    let message =
                        format!("multiple primary keys for table \"{}\" are not allowed", table.name);
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                if let Some(index) = using_index {
                    return self.constraint_using_index(table, given, index, true, *deferrable);
                }
                let columns = key_columns(table, columns, "primary key")?;
                check_ordered(table, &columns)?;
                let include = key_columns(table, include, "primary key")?;
                self.check_unique_covers(
                    table,
                    &columns.iter().copied().map(Some).collect::<Vec<_>>(),
                    "PRIMARY KEY",
                )?;
                for &column in &columns {
                    table.columns[column].not_null = true;
                }
                let name = self.index_name(table, given, None, "pkey")?;
                let position = self.push_index(table, name.clone(), &columns, include, true)?;
                table.indexes[position].primary = true;
                let oid = table.indexes[position].oid;
                if is_deferrable(*deferrable) {
                    // Rows with equal keys could not be in one tree: the table keeps its row ids.
                    table.indexes[position].tree = self.create_tree()?.id();
                    table.indexes[position].deferrable = true;
                    self.push_constraint(table, name, ConstraintKind::PrimaryKey(oid), *deferrable)?;
                    return Ok(Added::Index(position));
                }
                table.indexes[position].clustered = true;
                table.indexes[position].tree = table.tree;
                table.primary_key = columns;
                self.push_constraint(table, name, ConstraintKind::PrimaryKey(oid), *deferrable)?;
                Ok(Added::PrimaryKey)
            }
            TableConstraintKind::Unique { columns, include, nulls_not_distinct, using_index, deferrable } => {
                if let Some(index) = using_index {
                    return self.constraint_using_index(table, given, index, false, *deferrable);
                }
                let columns = key_columns(table, columns, "unique")?;
                check_ordered(table, &columns)?;
                let include = key_columns(table, include, "unique")?;
                self.check_unique_covers(
                    table,
                    &columns.iter().copied().map(Some).collect::<Vec<_>>(),
                    "UNIQUE",
                )?;
                let name = self.index_name(table, given, Some(&joined(table, &columns)), "key")?;
                let tree = self.create_tree()?.id();
                let position = self.push_index(table, name.clone(), &columns, include, true)?;
                table.indexes[position].tree = tree;
                table.indexes[position].nulls_not_distinct = *nulls_not_distinct;
                table.indexes[position].deferrable = is_deferrable(*deferrable);
                let oid = table.indexes[position].oid;
                self.push_constraint(table, name, ConstraintKind::Unique(oid), *deferrable)?;
                Ok(Added::Index(position))
            }
            TableConstraintKind::ForeignKey { columns, reference } => {
                self.add_foreign_key(table, pending, columns, reference)
            }
            TableConstraintKind::Exclude(exclusion) => {
                let position = self.push_exclusion_index(table, given, exclusion)?;
                table.indexes[position].deferrable = is_deferrable(exclusion.deferrable);
                let (name, oid) = (table.indexes[position].name.clone(), table.indexes[position].oid);
                self.push_constraint(table, name, ConstraintKind::Exclusion(oid), exclusion.deferrable)?;
                Ok(Added::Index(position))
            }
        }
    }

    /// UNIQUE or PRIMARY KEY USING INDEX: the index takes the constraint's name.
    fn constraint_using_index(
        &self,
        table: &mut Table,
        given: Option<&str>,
        index: &str,
        primary: bool,
        deferrable: Deferrable,
    ) -> Result<Added> {
        let found = table.indexes.iter().position(|candidate| candidate.name == index);
        let position = found.ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_OBJECT, format!("index \"{index}\" does not exist"))
        })?;
        let found = &table.indexes[position];
        let refuse = |message: String| {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                .detail("Cannot create a primary key or unique constraint using such an index."))
        };
        if table.constraint_of_index(found.oid).is_some() {
            let message = format!("index \"{index}\" is already associated with a constraint");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if !found.unique {
            return refuse(format!("\"{index}\" is not a unique index"));
        }
        if found.keys.iter().any(|key| key.column.is_none()) {
            return refuse(format!("index \"{index}\" contains expressions"));
        }
        if found.predicate.is_some() {
            return refuse(format!("\"{index}\" is a partial index"));
        }
        if found.keys.iter().any(|key| key.descending || key.nulls_first) {
            return refuse(format!(
                "index \"{index}\" column number 1 does not have default sorting behavior"
            ));
        }
        if is_deferrable(deferrable) {
            return Err(Error::unsupported("a deferrable constraint USING INDEX"));
        }
        if let Some(given) = given
            && given != index
        {
            let oid = found.oid;
            self.notice(format!(
                "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{index}\" to \"{given}\""
            ));
            self.take_relation_name(table.schema, given, oid)?;
            self.give_relation_name(table.schema, index)?;
            table.indexes[position].name = given.to_string();
        }
        let (oid, name) = (table.indexes[position].oid, table.indexes[position].name.clone());
        if !primary {
            self.push_constraint(table, name, ConstraintKind::Unique(oid), deferrable)?;
            return Ok(Added::Nothing);
        }
        let columns: Vec<usize> = table.indexes[position].keys.iter().filter_map(|key| key.column).collect();
        for &column in &columns {
            table.columns[column].not_null = true;
        }
        // The table moves into the primary key's order, and the index becomes the table.
        self.drop_tree(table.indexes[position].tree)?;
        table.indexes[position].primary = true;
        table.indexes[position].clustered = true;
        table.indexes[position].tree = table.tree;
        table.primary_key = columns;
        self.push_constraint(table, name, ConstraintKind::PrimaryKey(oid), deferrable)?;
        Ok(Added::PrimaryKey)
    }

    fn push_constraint(
        &self,
        table: &mut Table,
        name: String,
        kind: ConstraintKind,
        deferrable: Deferrable,
    ) -> Result<()> {
        let oid = self.new_oid()?;
        let words = match kind {
            ConstraintKind::PrimaryKey(_) => Some("PRIMARY KEY"),
            ConstraintKind::Unique(_) => Some("UNIQUE"),
            ConstraintKind::Exclusion(_) => Some("EXCLUDE"),
            _ => None,
        };
        if let Some(words) = words {
            let command = if self.catalog().table(table.oid).is_some() {
                "ALTER TABLE / ADD"
            } else {
                "CREATE TABLE /"
            };
            self.debug(format!(
                "{command} {words} will create implicit index \"{name}\" for table \"{}\"",
                table.name
            ));
        }
        table.constraints.push(Constraint {
            oid,
            name,
            kind,
            deferrable: is_deferrable(deferrable),
            initially_deferred: deferrable.initially_deferred,
            validated: true,
            parent: 0,
            inherited: 0,
            local: true,
            no_inherit: false,
            comment: None,
        });
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
            operator_class: None,
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
            deferrable: false,
            exclusion: Vec::new(),
            hidden: self.keeps_snapshot(),
            method: Method::Btree,
            options: Vec::new(),
            predicate: None,
            parent: 0,
            comment: None,
        });
        Ok(table.indexes.len() - 1)
    }
}

fn is_deferrable(written: Deferrable) -> bool {
    written.deferrable || written.initially_deferred
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

fn check_ordered(table: &Table, columns: &[usize]) -> Result<()> {
    let mut types = columns.iter().map(|&column| table.columns[column].data_type());
    match types.find(|data_type| !data_type.has_order()) {
        Some(data_type) => Err(crate::index::no_class(Method::Btree, data_type)),
        None => Ok(()),
    }
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
