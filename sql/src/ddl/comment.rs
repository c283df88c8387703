//! COMMENT ON.

use super::{Ddl, names};
use crate::catalog::{Relation, Schema, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{ObjectKind, ObjectName};
use serin_txn::RelationLockMode;

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
            ObjectKind::Table
            | ObjectKind::View
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
}
