//! DROP, and what depends on what.

use super::{Ddl, names, names::quote_identifier};
use crate::catalog::store::NameSpace;
use crate::catalog::system::deparse;
use crate::catalog::{Catalog, Change, ConstraintKind, Kind, Relation, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{ObjectKind, ObjectName};
use crate::types::{Oid, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

/// Dependents listed in a message, as in PostgreSQL.
const REPORTED_MAX: usize = 100;
/// What several objects of one DROP are called.
const DESIRED: &str = "desired object(s)";

/// What goes with a relation.
struct Dependent {
    /// A view or child, or the table that has the foreign key.
    table: Arc<Table>,
    constraint: Option<Oid>,
    on: Oid,
}

impl Dependent {
    fn describe(&self, catalog: &Catalog) -> String {
        let table = describe(catalog, self.table.oid);
        match self.constraint {
            Some(oid) => {
                let name = self.table.constraint(oid).map_or("", |constraint| &constraint.name);
                format!("constraint {name} on {table}")
            }
            None => table,
        }
    }
}

/// In the order in which they were made. Parts of a foreign key go with the whole.
fn direct_dependents(catalog: &Catalog, on: Oid) -> Vec<Dependent> {
    let depends =
        |table: &&Arc<Table>| table.depends_on.contains(&on) || table.inheritance.parents.contains(&on);
    let tables = catalog.tables().filter(depends).map(|table| Dependent {
        table: table.clone(),
        constraint: None,
        on,
    });
    let keys = catalog.references_to(on).iter().filter_map(|&(referencing, oid)| {
        let table = catalog.table(referencing)?;
        let is_whole = table.constraint(oid).is_none_or(|constraint| constraint.parent == 0);
        is_whole.then_some(Dependent { table, constraint: Some(oid), on })
    });
    let mut found: Vec<Dependent> = tables.chain(keys).collect();
    found.sort_by_key(|found| found.constraint.unwrap_or(found.table.oid));
    found
}

impl Ddl<'_> {
    pub(super) fn drop_objects(
        &self,
        object: ObjectKind,
        objects: &[ObjectName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        match object {
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sequence
            | ObjectKind::Index => self.drop_relations(object, objects, if_exists, cascade),
            ObjectKind::Schema => {
                objects.iter().try_for_each(|name| self.drop_schema(name, if_exists, cascade))
            }
            ObjectKind::Role => objects.iter().try_for_each(|name| self.drop_role(name, if_exists)),
            ObjectKind::Database => objects
                .iter()
                .try_for_each(|name| self.drop_database(&names::display(name), if_exists, false)),
            ObjectKind::Type | ObjectKind::Domain => {
                let domain = object == ObjectKind::Domain;
                objects.iter().try_for_each(|name| self.drop_type(name, domain, if_exists, cascade))
            }
            ObjectKind::Extension => self.drop_extensions(objects, if_exists, cascade),
            kind => {
                // None of these can exist, so IF EXISTS has its answer.
                let word = match kind {
                    ObjectKind::Function => "function",
                    _ => return Err(Error::unsupported("DROP of this kind of object")),
                };
                for name in objects {
                    let message = format!("{word} \"{}\" does not exist", names::display(name));
                    if !if_exists {
                        return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
                    }
                    self.notice(format!("{message}, skipping"));
                }
                Ok(())
            }
        }
    }

    fn drop_relations(
        &self,
        object: ObjectKind,
        objects: &[ObjectName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let (word, article) = match object {
            ObjectKind::Table => ("table", "a table"),
            ObjectKind::View => ("view", "a view"),
            ObjectKind::MaterializedView => ("materialized view", "a materialized view"),
            ObjectKind::Sequence => ("sequence", "a sequence"),
            _ => ("index", "an index"),
        };
        let mut doomed = Vec::new();
        for name in objects {
            let may = |found: &Relation| self.require_droppable(found, word);
            let Some(found) = self.open_relation_if(name, RelationLockMode::AccessExclusive, may)? else {
                let missing = names::nothing_to_drop(&self.catalog(), name, word);
                if if_exists {
                    self.notice(format!("{}, skipping", missing.message()));
                    continue;
                }
                return Err(missing);
            };
            match (object, &found) {
                (
                    ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView,
                    Relation::Table(table),
                ) if table.word() == word => {}
                (ObjectKind::Sequence, Relation::Sequence(_)) | (ObjectKind::Index, Relation::Index(..)) => {}
                (_, found) => {
                    let hint = match found {
                        Relation::Table(table) if table.is_view() => "Use DROP VIEW to remove a view.",
                        Relation::Table(table) if table.is_materialized() => {
                            "Use DROP MATERIALIZED VIEW to remove a materialized view."
                        }
                        Relation::Table(_) => "Use DROP TABLE to remove a table.",
                        Relation::Sequence(_) => "Use DROP SEQUENCE to remove a sequence.",
                        _ => "Use DROP INDEX to remove an index.",
                    };
                    return Err(names::wrong_kind(name, article).hint(hint));
                }
            }
            doomed.push(found);
        }
        // Partitions go with their table.
        let mut tables: Vec<Oid> = Vec::new();
        let mut partitions: Vec<Oid> = Vec::new();
        for relation in &doomed {
            let Relation::Table(table) = relation else { continue };
            tables.push(table.oid);
            if table.is_partitioned() {
                for partition in self.catalog().descendants(table) {
                    self.lock(partition.oid, RelationLockMode::AccessExclusive)?;
                    partitions.push(partition.oid);
                }
            }
        }
        partitions.retain(|oid| !tables.contains(oid));
        for relation in &doomed {
            if let Relation::Table(table) = relation
                && table.row_type != 0
            {
                let what = format!("{word} {}", table.name);
                self.clear_type_users(table.row_type, table.row_array_type, &what, cascade)?;
            }
        }
        self.clear_dependents_with(&tables, &partitions, cascade)?;
        for oid in partitions.into_iter().rev() {
            if let Some(partition) = self.catalog().table(oid) {
                self.remove_table(&partition)?;
            }
        }
        for relation in doomed {
            match relation {
                // It may have lost children since it was looked up, or have gone with another of the list.
                Relation::Table(table) => {
                    if let Some(table) = self.catalog().table(table.oid) {
                        self.remove_table(&table)?;
                    }
                }
                Relation::Sequence(sequence) => self.drop_sequence(&sequence, cascade)?,
                Relation::Index(table, position) => self.drop_index(table.indexes[position].oid, cascade)?,
                Relation::System(_) => {}
            }
        }
        Ok(())
    }

    /// A relation is its owner's to drop, or its schema's owner's.
    fn require_droppable(&self, found: &Relation, word: &str) -> Result<()> {
        let catalog = self.catalog();
        let (owner, schema, name) = match found {
            Relation::Table(table) => (table.owner, table.schema, &table.name),
            Relation::Sequence(sequence) => (sequence.owner, sequence.schema, &sequence.name),
            Relation::Index(table, at) => (table.owner, table.schema, &table.indexes[*at].name),
            Relation::System(_) => return Ok(()),
        };
        let owns = |owner| catalog.has_privileges_of(self.core.role.get(), owner);
        match owns(owner) || catalog.schema(schema).is_some_and(|schema| owns(schema.owner)) {
            true => Ok(()),
            false => self.require_owner(owner, word, name),
        }
    }

    /// Views on these relations (and views on those, …) go too with CASCADE, or stand in the way.
    pub(super) fn clear_dependents(&self, relations: &[Oid], cascade: bool) -> Result<()> {
        self.clear_dependents_with(relations, &[], cascade)
    }

    /// The same, where `others` go with them.
    fn clear_dependents_with(&self, named: &[Oid], others: &[Oid], cascade: bool) -> Result<()> {
        let relations: &[Oid] = &[named, others].concat();
        let catalog = self.catalog();
        let mut dependents: Vec<Dependent> = Vec::new();
        let mut seen = relations.to_vec();
        // What depends on a relation comes after it and before the next one, as PostgreSQL tells of them.
        let mut open: Vec<Dependent> = Vec::new();
        for &relation in relations.iter().rev() {
            open.extend(direct_dependents(&catalog, relation).into_iter().rev());
        }
        while let Some(dependent) = open.pop() {
            if dependent.constraint.is_none() {
                if seen.contains(&dependent.table.oid) {
                    continue;
                }
                seen.push(dependent.table.oid);
                open.extend(direct_dependents(&catalog, dependent.table.oid).into_iter().rev());
            }
            dependents.push(dependent);
        }
        // Foreign keys of tables that stay.
        dependents.retain(|found| found.constraint.is_none() || !seen.contains(&found.table.oid));
        if dependents.is_empty() {
            return Ok(());
        }
        let found: Vec<(String, Oid)> =
            dependents.iter().map(|found| (found.describe(&catalog), found.on)).collect();
        if cascade {
            self.goes_too(found.into_iter().map(|(what, _)| what));
            for Dependent { table, constraint, .. } in dependents {
                match constraint {
                    Some(constraint) => self.remove_constraint(table.oid, constraint)?,
                    None => {
                        self.lock(table.oid, RelationLockMode::AccessExclusive)?;
                        if let Some(table) = self.catalog().table(table.oid) {
                            self.remove_table(&table)?;
                        }
                    }
                }
            }
            return Ok(());
        }
        let lines = found
            .iter()
            .take(REPORTED_MAX)
            .map(|(what, on)| format!("{what} depends on {}", describe(&catalog, *on)));
        let what = match named {
            [one] => describe(&catalog, *one),
            _ => DESIRED.to_string(),
        };
        Err(must_cascade(&what, lines.collect::<Vec<_>>().join("\n")))
    }

    /// These go with what a DROP … CASCADE names: the statement tells of all of them when it is done.
    pub(super) fn goes_too(&self, objects: impl IntoIterator<Item = String>) {
        let mut cascaded = self.cascaded.borrow_mut();
        for object in objects {
            if !cascaded.contains(&object) {
                cascaded.push(object);
            }
        }
    }

    /// The notice of what went with a DROP … CASCADE.
    pub(super) fn report_cascade(&self) {
        match &self.cascaded.take()[..] {
            [] => {}
            [one] => self.notice(format!("drop cascades to {one}")),
            many => {
                let lines: Vec<String> =
                    many.iter().take(REPORTED_MAX).map(|what| format!("drop cascades to {what}")).collect();
                let message = format!("drop cascades to {} other objects", many.len());
                let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message)
                    .detail(lines.join("\n"))
                    .severity(crate::error::Severity::Notice);
                self.core.notice(notice);
            }
        }
    }

    /// Takes a foreign key off its table, which need not be locked yet.
    fn remove_constraint(&self, table: Oid, constraint: Oid) -> Result<()> {
        self.lock(table, RelationLockMode::AccessExclusive)?;
        let Some(found) = self.catalog().table(table) else { return Ok(()) };
        let mut changed = Table::clone(&found);
        changed.constraints.retain(|other| other.oid != constraint);
        self.put_table(changed)?;
        self.remove_foreign_key_parts(table, constraint)
    }

    /// Foreign keys that reference these indexes of `table` go with CASCADE, or stand in the way of dropping `what`.
    pub(super) fn clear_references(
        &self,
        table: &mut Table,
        indexes: &[Oid],
        what: &str,
        cascade: bool,
    ) -> Result<()> {
        let catalog = self.catalog();
        let mut found: Vec<(Arc<Table>, Oid, Oid, String)> = Vec::new();
        for &(referencing, constraint) in catalog.references_to(table.oid) {
            let Some(other) = catalog.table(referencing) else { continue };
            let Some(entry) = other.constraint(constraint) else { continue };
            let Some(key) = entry.foreign_key().filter(|key| indexes.contains(&key.index)) else { continue };
            let (index, name) = (key.index, format!("constraint {} on table {}", entry.name, other.name));
            found.push((other, constraint, index, name));
        }
        if found.is_empty() {
            return Ok(());
        }
        if !cascade {
            let lines: Vec<String> = found
                .iter()
                .take(REPORTED_MAX)
                .map(|(_, _, index, name)| {
                    // A column takes the key with it, whichever index has it.
                    let on = match what.starts_with("column ") {
                        true => what.to_string(),
                        false => {
                            format!("index {}", table.index(*index).map_or("", |(_, index)| &index.name))
                        }
                    };
                    format!("{name} depends on {on}")
                })
                .collect();
            return Err(must_cascade(what, lines.join("\n")));
        }
        self.goes_too(found.iter().map(|(_, _, _, name)| name.clone()));
        for (other, constraint, _, _) in found {
            match other.oid == table.oid {
                true => table.constraints.retain(|entry| entry.oid != constraint),
                false => self.remove_constraint(other.oid, constraint)?,
            }
        }
        Ok(())
    }

    /// The table with its indexes and owned sequences; dependents have been cleared.
    pub(super) fn remove_table(&self, table: &Table) -> Result<()> {
        let catalog = self.catalog();
        for sequence in
            catalog.sequences().filter(|s| s.owned_by.is_some_and(|(owner, _)| owner == table.oid))
        {
            self.remove_sequence(sequence)?;
        }
        for &parent in &table.inheritance.parents {
            self.lock(parent, RelationLockMode::AccessExclusive)?;
            self.unlink(parent, table.oid)?;
        }
        for &child in &table.inheritance.children {
            if let Some(child) = self.catalog().table(child) {
                let mut orphan = Table::clone(&child);
                orphan.inheritance.parents.retain(|parent| *parent != table.oid);
                orphan.inheritance.bound = None;
                self.put_table(orphan)?;
            }
        }
        for index in &table.indexes {
            self.give_relation_name(table.schema, &index.name)?;
        }
        self.give_relation_name(table.schema, &table.name)?;
        self.drop_trees(table)?;
        self.write(Change::remove(Kind::Table, table.oid))
    }

    pub(super) fn drop_sequence(&self, sequence: &Sequence, cascade: bool) -> Result<()> {
        let catalog = self.catalog();
        let users: Vec<(Arc<Table>, usize)> = catalog
            .tables()
            .filter_map(|table| {
                let uses = |c: &crate::catalog::Column| !c.dropped && c.sequence == Some(sequence.oid);
                Some((table.clone(), table.columns.iter().position(uses)?))
            })
            .collect();
        for (table, position) in users {
            let column = &table.columns[position];
            if column.identity.is_some() {
                let message = format!(
                    "cannot drop sequence {} because column {} of table {} requires it",
                    sequence.name, column.name, table.name
                );
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                    .hint(format!("You can drop column {} of table {} instead.", column.name, table.name)));
            }
            let what = format!("default value for column {} of table {}", column.name, table.name);
            if !cascade {
                let detail = format!("{what} depends on sequence {}", sequence.name);
                return Err(must_cascade(&format!("sequence {}", sequence.name), detail));
            }
            self.goes_too([what]);
            self.lock(table.oid, RelationLockMode::AccessExclusive)?;
            let mut changed = Table::clone(&table);
            changed.columns[position].default = None;
            changed.columns[position].sequence = None;
            self.put_table(changed)?;
        }
        self.remove_sequence(sequence)
    }

    pub(super) fn drop_index(&self, index: Oid, cascade: bool) -> Result<()> {
        // Looked up anew: an earlier DROP of the same statement may have changed the table.
        let Some(Relation::Index(table, position)) = self.catalog().relation(index) else { return Ok(()) };
        let found = &table.indexes[position];
        if let Some(Relation::Index(above, at)) =
            self.catalog().relation(found.parent).filter(|_| found.parent != 0)
        {
            let above = &above.indexes[at].name;
            let message = format!("cannot drop index {} because index {above} requires it", found.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop index {above} instead.")));
        }
        let constraint = table.constraints.iter().find(|constraint| match constraint.kind {
            ConstraintKind::PrimaryKey(oid)
            | ConstraintKind::Unique(oid)
            | ConstraintKind::Exclusion(oid) => oid == index,
            ConstraintKind::Check(_) | ConstraintKind::ForeignKey(_) => false,
        });
        if let Some(constraint) = constraint {
            let what = format!("constraint {} on table {}", constraint.name, table.name);
            let message = format!("cannot drop index {} because {what} requires it", found.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop {what} instead.")));
        }
        let mut changed = Table::clone(&table);
        self.clear_references(&mut changed, &[index], &format!("index {}", found.name), cascade)?;
        let removed = changed.indexes.remove(position);
        self.give_relation_name(table.schema, &removed.name)?;
        self.drop_tree(removed.tree)?;
        self.remove_index_parts(table.oid, index)?;
        self.put_table(changed)?;
        Ok(())
    }

    // ---- schemas ----

    pub(super) fn drop_schema(&self, name: &ObjectName, if_exists: bool, cascade: bool) -> Result<()> {
        let name = names::display(name);
        let catalog = self.catalog();
        let Some(schema) = catalog.find_schema(&name) else {
            if if_exists {
                self.notice(format!("schema \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(names::no_schema(&name));
        };
        if schema.database == 0 {
            let message = format!("cannot drop schema {name} because it is required by the database system");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        self.require_owner(schema.owner, "schema", &name)?;
        self.lock(schema.oid, RelationLockMode::AccessExclusive)?;
        let catalog = self.catalog();
        let contents = schema_contents(&catalog, schema.oid, &self.search_path());
        if !contents.is_empty() {
            if !cascade {
                let lines = contents.iter().take(REPORTED_MAX);
                let lines = lines.map(|what| format!("{what} depends on schema {name}"));
                return Err(must_cascade(&format!("schema {name}"), lines.collect::<Vec<_>>().join("\n")));
            }
            self.goes_too(contents);
            self.drop_schema_contents(schema.oid)?;
        }
        self.remove_schema(schema.oid)
    }

    fn remove_schema(&self, oid: Oid) -> Result<()> {
        let catalog = self.catalog();
        let Some(schema) = catalog.schema(oid) else { return Ok(()) };
        if catalog.grants().is_some_and(|grants| grants.defaults.iter().any(|entry| entry.schema == oid)) {
            let mut grants = self.grants();
            grants.defaults.retain(|entry| entry.schema != oid);
            self.put_grants(grants)?;
        }
        let trees = &self.core.engine.trees;
        trees.give_name(
            &mut self.transaction.borrow_mut(),
            (NameSpace::Schema, schema.database),
            &schema.name,
        )?;
        self.write(Change::remove(Kind::Schema, oid))
    }

    /// All relations of a schema, and views elsewhere that read them.
    pub(crate) fn drop_schema_contents(&self, schema: Oid) -> Result<()> {
        let catalog = self.catalog();
        let tables: Vec<Oid> =
            catalog.tables().filter(|table| table.schema == schema).map(|table| table.oid).collect();
        for &table in &tables {
            self.lock(table, RelationLockMode::AccessExclusive)?;
        }
        // Views and foreign keys of other schemas.
        self.clear_dependents(&tables, true)?;
        for table in tables {
            if let Some(table) = self.catalog().table(table) {
                self.remove_table(&table)?;
            }
        }
        for user_type in self.catalog().user_types().filter(|user_type| user_type.schema == schema) {
            self.lock(user_type.oid, RelationLockMode::AccessExclusive)?;
            let what = format!("type {}", user_type.name);
            self.clear_type_users(user_type.oid, user_type.array, &what, true)?;
            // A type of this schema that used it may have gone with it.
            if let Some(user_type) = self.catalog().user_type(user_type.oid) {
                self.remove_type(&user_type)?;
            }
        }
        for extension in self.catalog().extensions().filter(|extension| extension.schema == schema) {
            self.lock(extension.oid, RelationLockMode::AccessExclusive)?;
            self.clear_extension_users(extension, true)?;
            self.write(Change::remove(Kind::Extension, extension.oid))?;
        }
        for routine in self.catalog().routines().filter(|routine| routine.schema == schema) {
            self.lock(routine.oid, RelationLockMode::AccessExclusive)?;
            self.remove_routine(routine)?;
        }
        let catalog = self.catalog();
        for sequence in catalog.sequences().filter(|sequence| sequence.schema == schema) {
            self.lock(sequence.oid, RelationLockMode::AccessExclusive)?;
            self.drop_sequence(sequence, true)?;
        }
        Ok(())
    }

    pub(crate) fn drop_temporary_schema(&self, schema: Oid) -> Result<()> {
        self.drop_schema_contents(schema)?;
        self.remove_schema(schema)
    }
}

/// What is in a schema, in the order in which it was made; partitions go with their tables without a word.
fn schema_contents(catalog: &Catalog, schema: Oid, search_path: &[String]) -> Vec<String> {
    let tables = catalog.tables().filter(|table| table.schema == schema && !table.is_partition());
    let tables = tables.map(|table| (table.oid, describe(catalog, table.oid)));
    let free = |sequence: &&Arc<Sequence>| sequence.schema == schema && sequence.owned_by.is_none();
    let sequences = catalog.sequences().filter(free);
    let sequences = sequences.map(|sequence| (sequence.oid, describe(catalog, sequence.oid)));
    let routines = catalog.routines().filter(|routine| routine.schema == schema);
    let signature = |routine| deparse::routine_signature(catalog, routine, search_path);
    let routines =
        routines.map(|routine| (routine.oid, format!("{} {}", routine.word(), signature(routine))));
    let types = catalog.user_types().filter(|user_type| user_type.schema == schema);
    let types = types.map(|user_type| (user_type.oid, format!("type {}", Type(user_type.oid).display())));
    let extensions = catalog.extensions().filter(|extension| extension.schema == schema);
    let extensions = extensions.map(|e| (e.oid, format!("extension {}", quote_identifier(&e.name))));
    let mut all: Vec<(Oid, String)> =
        tables.chain(types).chain(sequences).chain(routines).chain(extensions).collect();
    all.sort();
    all.into_iter().map(|(_, described)| described).collect()
}

/// Its kind and its name, with the schema where the search path does not find it.
pub(super) fn describe(catalog: &Catalog, oid: Oid) -> String {
    let (word, name) = match catalog.relation(oid) {
        Some(Relation::Table(table)) => (table.word(), table.name.clone()),
        Some(Relation::Sequence(sequence)) => ("sequence", sequence.name.clone()),
        Some(Relation::Index(table, position)) => ("index", table.indexes[position].name.clone()),
        _ => return format!("relation {oid}"),
    };
    let shown = crate::types::user::object_name(oid, Type::REGCLASS);
    format!("{word} {}", shown.unwrap_or_else(|| quote_identifier(&name)))
}

pub(super) fn must_cascade(what: &str, detail: String) -> Error {
    let them = if what == DESIRED { "them" } else { "it" };
    let message = format!("cannot drop {what} because other objects depend on {them}");
    Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .detail(detail)
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}
