//! CREATE [OR REPLACE] VIEW. A view is a table descriptor with a query's text in place of a tree.

use super::create_table::push_plain_column;
use super::{Ddl, names};
use crate::catalog::{Persistence, Relation, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{Name, ObjectName, Query, StatementKind};
use crate::types::Type;
use serin_storage::TreeId;
use serin_txn::RelationLockMode;

impl Ddl<'_> {
    pub(super) fn create_view(
        &self,
        name: &ObjectName,
        columns: &[Name],
        replace: bool,
        temporary: bool,
        query: &Query,
        text: &str,
    ) -> Result<()> {
        let statement = StatementKind::Query(Box::new(query.clone()));
        let catalog = self.catalog();
        let plan = crate::session::plan_statement(&statement, &[], &catalog, self.core, self.eval)?;
        let fields = plan.fields.clone().unwrap_or_default();
        if columns.len() > fields.len() {
            let message = "CREATE VIEW specifies more column names than columns";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        for &(relation, mode) in &plan.relations {
            self.lock(relation, mode)?;
        }
        let (schema, name) = self.new_relation_name(name, temporary)?;
        let mut view = Table {
            oid: 0,
            database: self.core.database_oid,
            schema: schema.oid,
            name: name.clone(),
            owner: self.core.user_oid,
            persistence: if temporary { Persistence::Temporary } else { Persistence::Permanent },
            tree: TreeId(0),
            columns: Vec::new(),
            primary_key: Vec::new(),
            indexes: Vec::new(),
            constraints: Vec::new(),
            triggers: Vec::new(),
            options: Vec::new(),
            comment: None,
            view: Some(text.to_string()),
            statistics: None,
            depends_on: plan.relations[..plan.named].iter().map(|&(relation, _)| relation).collect(),
            inheritance: Default::default(),
            shape: Default::default(),
            routing: Default::default(),
            trees_since: 0,
        };
        for (position, field) in fields.iter().enumerate() {
            let name = columns.get(position).unwrap_or(&field.name);
            super::column::check_name(&view, name)?;
            let data_type = if field.data_type == Type::UNKNOWN { Type::TEXT } else { field.data_type };
            push_plain_column(&mut view, name, data_type, field.type_modifier)?;
        }
        match catalog.find_in_schema(schema.oid, &name) {
            Some(Relation::Table(old)) if replace && old.is_view() => {
                self.require_owner(old.owner, "view", &name)?;
                self.lock(old.oid, RelationLockMode::AccessExclusive)?;
                check_replacement(&old, &view)?;
                view.oid = old.oid;
                view.comment.clone_from(&old.comment);
            }
            Some(Relation::Table(old)) if replace && !old.is_view() => {
                let message = format!("\"{name}\" is not a view");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            Some(_) => return Err(names::relation_exists(&name)),
            None => {
                view.oid = self.new_oid()?;
                self.lock(view.oid, RelationLockMode::AccessExclusive)?;
                self.take_relation_name(schema.oid, &name, view.oid)?;
            }
        }
        self.put_table(view)?;
        Ok(())
    }
}

/// OR REPLACE may only add columns at the end.
fn check_replacement(old: &Table, new: &Table) -> Result<()> {
    let invalid = |message: String| Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
    if new.columns.len() < old.columns.len() {
        return invalid("cannot drop columns from view".to_string());
    }
    for (old, new) in old.columns.iter().zip(&new.columns) {
        if old.name != new.name {
            return invalid(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                old.name, new.name
            ));
        }
        if old.data_type != new.data_type || old.modifier != new.modifier {
            let display = |column: &crate::catalog::Column| {
                crate::types::format_type(column.data_type(), column.modifier)
            };
            return invalid(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name,
                display(old),
                display(new)
            ));
        }
    }
    Ok(())
}
