//! CREATE, DROP and ALTER TRIGGER; ALTER TABLE … ENABLE / DISABLE TRIGGER.

use super::{Ddl, names};
use crate::catalog::routine::Trigger;
use crate::catalog::{Privileges, Relation, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{Name, ObjectName, TriggerName};
use crate::parse::routine_ast::{CreateTrigger, TriggerTiming};
use crate::types::Type;
use serin_txn::RelationLockMode;
use std::sync::Arc;

fn definition_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

impl Ddl<'_> {
    fn require_relation_owner(&self, found: &Relation) -> Result<()> {
        match found {
            Relation::Table(table) => self.require_owner(table.owner, "relation", &table.name),
            _ => Ok(()),
        }
    }

    fn open_trigger_table(
        &self,
        name: &ObjectName,
        may: impl Fn(&Relation) -> Result<()>,
    ) -> Result<Arc<Table>> {
        match self.open_relation_if(name, RelationLockMode::ShareRowExclusive, may)? {
            None => Err(names::no_relation(name)),
            Some(Relation::Table(table)) => Ok(table),
            Some(_) => {
                let last = name.parts.last().map_or("", |name| name);
                let message = format!("relation \"{last}\" cannot have triggers");
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
        }
    }

    pub(super) fn create_trigger(&self, create: &CreateTrigger) -> Result<()> {
        let may = |found: &Relation| self.require_privilege(found, Privileges::TRIGGER, &[]);
        let table = self.open_trigger_table(&create.table, may)?;
        self.check_trigger(create, &table)?;
        let catalog = self.catalog();
        let (schema, name) = names::split(&catalog, &create.function)?;
        let found = catalog.routines_named(schema, name, &self.search_path());
        let function =
            found.into_iter().find(|routine| routine.input_types().is_empty() && !routine.procedure);
        let function = function.ok_or_else(|| {
            let message = format!("function {}() does not exist", names::display(&create.function));
            Error::new(SqlState::UNDEFINED_FUNCTION, message)
        })?;
        crate::plan::permissions::check_function(function.oid, self.core.role.get(), &catalog)?;
        if function.result() != Type::TRIGGER {
            let message = format!("function {} must return type trigger", function.name);
            return Err(definition_error(message));
        }
        let mut columns = Vec::with_capacity(create.columns.len());
        for column in &create.columns {
            let at = table.column_index(column).ok_or_else(|| names::no_column(&table, column))?;
            if columns.contains(&at) {
                let message = format!("column \"{column}\" specified more than once");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
            }
            columns.push(at);
        }
        let mut trigger = Trigger {
            oid: 0,
            name: create.name.clone(),
            function: function.oid,
            timing: create.timing,
            insert: create.insert,
            update: create.update,
            delete: create.delete,
            truncate: create.truncate,
            each_row: create.each_row,
            columns,
            when: create.when.as_ref().map(|(_, text)| text.clone()),
            arguments: create.arguments.clone(),
            old_table: create.old_table.clone(),
            new_table: create.new_table.clone(),
            constraint: create.constraint,
            deferrable: create.deferrable,
            initially_deferred: create.initially_deferred,
            parent: 0,
            enabled: 'O',
            comment: None,
        };
        if let Some((expr, _)) = &create.when {
            self.with_plan_context(|context| {
                crate::exec::trigger::bind_condition(expr, &table, &trigger, context).map(drop)
            })?;
        }
        let mut changed = Table::clone(&table);
        let name = trigger.name.clone();
        match changed.triggers.iter().position(|other| other.name == trigger.name) {
            Some(at) if create.replace => {
                trigger.oid = changed.triggers[at].oid;
                changed.triggers[at] = trigger;
            }
            Some(_) => {
                let message =
                    format!("trigger \"{}\" for relation \"{}\" already exists", trigger.name, table.name);
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            None => {
                trigger.oid = self.new_oid()?;
                changed.triggers.push(trigger);
                // They fire in the order of their names.
                changed.triggers.sort_by(|a, b| a.name.cmp(&b.name));
            }
        }
        let table = self.put_table(changed)?;
        let made = table.triggers.iter().find(|trigger| trigger.name == name);
        if let (Some(trigger), true) = (made, table.is_partitioned() && create.each_row) {
            for &child in &table.inheritance.children {
                self.lock(child, RelationLockMode::ShareRowExclusive)?;
                self.ensure_trigger(table.oid, trigger.oid, child)?;
            }
        }
        Ok(())
    }

    fn check_trigger(&self, create: &CreateTrigger, table: &Table) -> Result<()> {
        let refuse = |message: String, detail: &str| {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).detail(detail.to_owned()))
        };
        if table.is_materialized() {
            let message = format!("relation \"{}\" cannot have triggers", table.name);
            return refuse(message, "This operation is not supported for materialized views.");
        }
        if table.is_view() {
            let name = &table.name;
            if create.old_table.is_some() || create.new_table.is_some() {
                let message = format!("\"{name}\" is a view");
                return refuse(message, "Triggers on views cannot have transition tables.");
            }
            return match (create.timing, create.each_row) {
                (TriggerTiming::InsteadOf, true) if create.when.is_some() => {
                    let message = "INSTEAD OF triggers cannot have WHEN conditions";
                    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
                }
                (TriggerTiming::InsteadOf, true) if !create.columns.is_empty() => {
                    let message = "INSTEAD OF triggers cannot have column lists";
                    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
                }
                (TriggerTiming::InsteadOf, true) => Ok(()),
                (TriggerTiming::InsteadOf, false) => Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "INSTEAD OF triggers must be FOR EACH ROW",
                )),
                (_, true) => refuse(
                    format!("\"{name}\" is a view"),
                    "Views cannot have row-level BEFORE or AFTER triggers.",
                ),
                (_, false) if create.truncate => {
                    refuse(format!("\"{name}\" is a view"), "Views cannot have TRUNCATE triggers.")
                }
                _ => Ok(()),
            };
        }
        if create.timing == TriggerTiming::InsteadOf {
            return refuse(
                format!("\"{}\" is a table", table.name),
                "Tables cannot have INSTEAD OF triggers.",
            );
        }
        if create.truncate && create.each_row {
            let message = "TRUNCATE FOR EACH ROW triggers are not supported";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        check_transitions(create, table)
    }

    pub(super) fn drop_trigger(&self, name: &Name, table: &ObjectName, if_exists: bool) -> Result<()> {
        let found = match self.open_relation(table, RelationLockMode::AccessExclusive)? {
            Some(Relation::Table(table)) => table,
            None if if_exists => {
                let shown = names::display(table);
                self.notice(format!("relation \"{shown}\" does not exist, skipping"));
                return Ok(());
            }
            None => return Err(names::no_relation(table)),
            Some(_) => return Err(names::wrong_kind(table, "a table")),
        };
        self.require_owner(found.owner, "relation", &found.name)?;
        let mut changed = Table::clone(&found);
        let dropped = found.triggers.iter().find(|trigger| trigger.name == *name);
        let oid = dropped.map(|trigger| trigger.oid);
        if dropped.is_some_and(|trigger| trigger.parent != 0)
            && let Some(parent) = found.inheritance.parents.first().and_then(|oid| self.catalog().table(*oid))
        {
            let message = format!(
                "cannot drop trigger {name} on table {} because trigger {name} on table {} requires it",
                found.name, parent.name
            );
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop trigger {name} on table {} instead.", parent.name)));
        }
        let before = changed.triggers.len();
        changed.triggers.retain(|trigger| trigger.name != *name);
        if changed.triggers.len() == before {
            let message = format!("trigger \"{name}\" for table \"{}\" does not exist", found.name);
            if if_exists {
                let shown = &found.name;
                self.notice(format!("trigger \"{name}\" for relation \"{shown}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        self.put_table(changed)?;
        oid.map_or(Ok(()), |trigger| self.remove_trigger_parts(found.oid, trigger))
    }

    pub(super) fn rename_trigger(&self, name: &Name, table: &ObjectName, to: &Name) -> Result<()> {
        let found = self.open_trigger_table(table, |found| self.require_relation_owner(found))?;
        let mut changed = Table::clone(&found);
        if changed.triggers.iter().any(|trigger| trigger.name == *to) {
            let message = format!("trigger \"{to}\" for relation \"{}\" already exists", found.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let trigger = changed.triggers.iter_mut().find(|trigger| trigger.name == *name);
        trigger.ok_or_else(|| no_trigger(name, &found))?.name.clone_from(to);
        changed.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        self.put_table(changed)?;
        Ok(())
    }

    /// ALTER TABLE … ENABLE / DISABLE TRIGGER.
    pub(super) fn set_trigger(&self, table: &mut Table, name: &TriggerName, enabled: char) -> Result<()> {
        match name {
            TriggerName::All | TriggerName::User => {
                table.triggers.iter_mut().for_each(|trigger| trigger.enabled = enabled);
            }
            TriggerName::Named(name) => {
                let at = table.triggers.iter().position(|trigger| trigger.name == *name);
                let at = at.ok_or_else(|| no_trigger(name, table))?;
                table.triggers[at].enabled = enabled;
            }
        }
        Ok(())
    }
}

/// Where REFERENCING … TABLE can stand.
fn check_transitions(create: &CreateTrigger, table: &Table) -> Result<()> {
    if create.old_table.is_none() && create.new_table.is_none() {
        return Ok(());
    }
    let misplaced = |message: &str| Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
    let missing = |message: &str| Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    if create.each_row && table.is_partitioned() {
        let message = format!("\"{}\" is a partitioned table", table.name);
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            .detail("ROW triggers with transition tables are not supported on partitioned tables."));
    }
    if create.each_row && table.is_partition() {
        return missing("ROW triggers with transition tables are not supported on partitions");
    }
    if create.each_row && !table.inheritance.parents.is_empty() {
        return missing("ROW triggers with transition tables are not supported on inheritance children");
    }
    if create.timing != TriggerTiming::After {
        return misplaced("transition table name can only be specified for an AFTER trigger");
    }
    if create.truncate {
        return missing("TRUNCATE triggers with transition tables are not supported");
    }
    if u8::from(create.insert) + u8::from(create.update) + u8::from(create.delete) != 1 {
        return missing("transition tables cannot be specified for triggers with more than one event");
    }
    if !create.columns.is_empty() {
        return missing("transition tables cannot be specified for triggers with column lists");
    }
    if create.new_table.is_some() && create.delete {
        return misplaced("NEW TABLE can only be specified for an INSERT or UPDATE trigger");
    }
    if create.old_table.is_some() && create.insert {
        return misplaced("OLD TABLE can only be specified for a DELETE or UPDATE trigger");
    }
    if create.old_table == create.new_table {
        return misplaced("OLD TABLE name and NEW TABLE name cannot be the same");
    }
    Ok(())
}

fn no_trigger(name: &str, table: &Table) -> Error {
    let message = format!("trigger \"{name}\" for table \"{}\" does not exist", table.name);
    Error::new(SqlState::UNDEFINED_OBJECT, message)
}
