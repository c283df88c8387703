//! COMMENT ON.

use super::{Ddl, names};
use crate::catalog::{Change, Object, Relation, Routine, Schema, Sequence, Table, UserType};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{ObjectKind, ObjectName, RoutineClass, RoutineSignature};
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    /// `column` names the column or constraint of the table `name`. An empty text removes the comment.
    pub(super) fn comment(
        &self,
        object: ObjectKind,
        name: &ObjectName,
        column: Option<&str>,
        text: Option<String>,
    ) -> Result<()> {
        let text = text.filter(|text| !text.is_empty());
        match object {
            ObjectKind::Schema => {
                let name = names::display(name);
                let catalog = self.catalog();
                let schema = catalog.find_schema(&name).ok_or_else(|| names::no_schema(&name))?;
                self.require_owner(schema.owner, "schema", &name)?;
                self.lock(schema.oid, RelationLockMode::ShareUpdateExclusive)?;
                return self.put_schema(Schema { comment: text, ..schema.clone() });
            }
            ObjectKind::Database => {
                let mut database = self.open_database(&names::display(name))?;
                database.comment = text;
                return self.put_database(database);
            }
            ObjectKind::Role => {
                let mut role = self.open_role(&names::display(name))?;
                let message = match role.superuser {
                    true if !self.core.is_superuser() => Some("must be superuser"),
                    false if !self.may_create_roles() => Some("must have CREATEROLE privilege"),
                    _ => None,
                };
                if let Some(message) = message {
                    return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                role.comment = text;
                return self.put_role(role);
            }
            ObjectKind::Type | ObjectKind::Domain => {
                let found = self.open_type(name, object == ObjectKind::Domain)?;
                return self.put_type(UserType { comment: text, ..found });
            }
            ObjectKind::LargeObject => return self.comment_on_large_object(&names::display(name), text),
            ObjectKind::Extension => return self.comment_on_extension(&names::display(name), text),
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Trigger
            | ObjectKind::Index
            | ObjectKind::Sequence
            | ObjectKind::Column
            | ObjectKind::Constraint => {}
            _ => return Err(Error::unsupported("COMMENT ON this kind of object")),
        }
        let found = self.open_relation(name, RelationLockMode::ShareUpdateExclusive)?;
        match (found.ok_or_else(|| names::no_relation(name))?, column) {
            (Relation::Table(table), None) => {
                self.require_owner(table.owner, "table", &table.name)?;
                self.put_table(Table { comment: text, ..Table::clone(&table) })?;
            }
            (Relation::Table(table), Some(part)) => {
                self.require_owner(table.owner, "table", &table.name)?;
                let mut changed = Table::clone(&table);
                if object == ObjectKind::Constraint {
                    let constraint =
                        changed.constraints.iter_mut().find(|constraint| constraint.name == part);
                    let missing = || {
                        let message =
                            format!("constraint \"{part}\" for table \"{}\" does not exist", table.name);
                        Error::new(SqlState::UNDEFINED_OBJECT, message)
                    };
                    constraint.ok_or_else(missing)?.comment = text;
                } else if object == ObjectKind::Trigger {
                    let trigger = changed.triggers.iter_mut().find(|trigger| trigger.name == part);
                    let missing = || {
                        let message =
                            format!("trigger \"{part}\" for table \"{}\" does not exist", table.name);
                        Error::new(SqlState::UNDEFINED_OBJECT, message)
                    };
                    trigger.ok_or_else(missing)?.comment = text;
                } else {
                    let position =
                        changed.column_index(part).ok_or_else(|| names::no_column(&table, part))?;
                    changed.columns[position].comment = text;
                }
                self.put_table(changed)?;
            }
            (Relation::Index(table, position), _) => {
                let mut changed = Table::clone(&table);
                changed.indexes[position].comment = text;
                self.put_table(changed)?;
            }
            (Relation::Sequence(sequence), _) => {
                self.put_sequence(Sequence { comment: text, ..Sequence::clone(&sequence) })?;
            }
            (Relation::System(_), _) => return Err(names::wrong_kind(name, "a table")),
        }
        Ok(())
    }

    pub(super) fn comment_on_routine(
        &self,
        class: RoutineClass,
        signature: &RoutineSignature,
        text: Option<String>,
    ) -> Result<()> {
        let found = self.find_routine(class, signature)?;
        self.require_owner(found.owner, found.word(), &found.name)?;
        self.lock(found.oid, RelationLockMode::ShareUpdateExclusive)?;
        let comment = text.filter(|text| !text.is_empty());
        self.write(Change::put(Object::Routine(Arc::new(Routine { comment, ..Routine::clone(&found) }))))
    }
}
