//! Parents and children: what a child takes over when it is made or attached, what it keeps when it is let go.
//!
//! A child has every column and CHECK of its parents (by name), counts how many parents have each (`inherited`) and whether it would have it
//! anyway (`local`). A partition has its parent's indexes, unique constraints, foreign keys and row triggers besides, each a descriptor of its own
//! that names the one it is a part of (`parent`): they are carried down here, one `ensure_…` for each kind, level by level.
//!
//! Locks: a parent is locked SHARE UPDATE EXCLUSIVE (ACCESS EXCLUSIVE for CREATE … PARTITION OF), which lets nobody else change its list of children; a
//! child ACCESS EXCLUSIVE. From parents to children, always.

use super::column::Pending;
use super::constraint::Added;
use super::{Ddl, names};
use crate::catalog::{Constraint, ConstraintKind, Index, PartitionBound, Relation, Table, Trigger};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{
    AlterTableAction as Action, CreateTable, Deferrable, ObjectName, PartitionBoundSpec, TableConstraint,
    TableConstraintKind,
};
use crate::table::partition::{Places, place, places};
use crate::types::Oid;
use serin_txn::RelationLockMode;
use std::sync::Arc;

fn mismatch(message: String) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

impl Ddl<'_> {
    /// The tables that a new table inherits from, or is to be a partition of.
    pub(super) fn open_parents(&self, create: &CreateTable) -> Result<Vec<Arc<Table>>> {
        let mut parents: Vec<Arc<Table>> = Vec::new();
        if let Some((name, _)) = &create.partition_of {
            let parent = self.open_table(name, RelationLockMode::AccessExclusive)?;
            if !parent.is_partitioned() {
                let message = format!("\"{}\" is not partitioned", parent.name);
                return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
            }
            parents.push(parent);
        }
        for name in &create.inherits {
            let parent = self.open_table(name, RelationLockMode::ShareUpdateExclusive)?;
            if parent.is_partitioned() || parent.is_partition() {
                let word = if parent.is_partitioned() { "partitioned table" } else { "partition" };
                let message = format!("cannot inherit from {word} \"{}\"", parent.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            if parents.iter().any(|other| other.oid == parent.oid) {
                let message = format!("relation \"{}\" would be inherited from more than once", parent.name);
                return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
            }
            parents.push(parent);
        }
        Ok(parents)
    }

    /// Columns of a new table's parents. Answers those whose parents disagree about the default.
    pub(super) fn inherit_columns(&self, table: &mut Table, parents: &[Arc<Table>]) -> Result<Vec<usize>> {
        let mut conflicts = Vec::new();
        for parent in parents {
            for column in parent.columns.iter().filter(|column| !column.dropped) {
                if let Some(at) = table.column_index(&column.name) {
                    let name = &column.name;
                    self.notice(format!("merging multiple inherited definitions of column \"{name}\""));
                    let known = &mut table.columns[at];
                    if (known.data_type, known.modifier) != (column.data_type, column.modifier) {
                        let message = format!("inherited column \"{name}\" has a type conflict");
                        return Err(mismatch(message).detail(versus(known, column)));
                    }
                    if known.generated != column.generated {
                        let message = format!("inherited column \"{name}\" has a generation conflict");
                        return Err(mismatch(message));
                    }
                    known.inherited += 1;
                    known.not_null |= column.not_null;
                    match (&known.default, &column.default) {
                        (None, _) => known.default.clone_from(&column.default),
                        (Some(a), Some(b)) if a != b => conflicts.push(at),
                        _ => {}
                    }
                    continue;
                }
                let mut copy = column.clone();
                copy.number = i16::try_from(table.columns.len() + 1)
                    .map_err(|_| Error::new(SqlState::TOO_MANY_COLUMNS, "too many columns"))?;
                copy.missing = None;
                copy.identity = None;
                copy.sequence = None;
                copy.comment = None;
                copy.inherited = 1;
                copy.local = false;
                table.columns.push(copy);
            }
        }
        Ok(conflicts)
    }

    /// CHECKs of a new table's parents.
    pub(super) fn inherit_checks(&self, table: &mut Table, parents: &[Arc<Table>]) -> Result<()> {
        for constraint in parents.iter().flat_map(|parent| &parent.constraints) {
            let ConstraintKind::Check(text) = &constraint.kind else { continue };
            if constraint.no_inherit {
                continue;
            }
            if let Some(at) = table.constraints.iter().position(|other| other.name == constraint.name) {
                if !self.is_same_check(table, &table.constraints[at].kind, text) {
                    let message = format!(
                        "check constraint name \"{}\" appears multiple times but with different expressions",
                        constraint.name
                    );
                    return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
                }
                table.constraints[at].inherited += 1;
                continue;
            }
            table.constraints.push(Constraint {
                oid: self.new_oid()?,
                inherited: 1,
                local: false,
                parent: 0,
                comment: None,
                ..constraint.clone()
            });
        }
        Ok(())
    }

    /// Whether a CHECK of this text says the same, for a table that has the columns of both.
    pub(super) fn is_same_check(&self, table: &Table, kind: &ConstraintKind, text: &str) -> bool {
        let ConstraintKind::Check(other) = kind else { return false };
        let shown = |text: &str| crate::catalog::system::deparse::expression(text, table, false, self.eval);
        other == text || shown(other) == shown(text)
    }

    /// Writes that the (stored) child is one of the parent's.
    pub(super) fn link(&self, parent: Oid, child: Oid) -> Result<()> {
        let parent = self.current(parent)?;
        let mut changed = Table::clone(&parent);
        changed.inheritance.children.push(child);
        self.put_table(changed)?;
        Ok(())
    }

    pub(super) fn unlink(&self, parent: Oid, child: Oid) -> Result<()> {
        let Some(parent) = self.catalog().table(parent) else { return Ok(()) };
        let mut changed = Table::clone(&parent);
        changed.inheritance.children.retain(|other| *other != child);
        self.put_table(changed)?;
        Ok(())
    }

    fn current(&self, oid: Oid) -> Result<Arc<Table>> {
        self.catalog().table(oid).ok_or_else(|| Error::internal("a table of the family is gone"))
    }

    // ---- ALTER TABLE ----

    /// The actions that change what a table belongs to; each stands alone. None: it is another one.
    pub(super) fn alter_family(&self, table: &Arc<Table>, action: &Action) -> Result<Option<()>> {
        match action {
            Action::AttachPartition { name, bound } => self.attach_partition(table, name, bound)?,
            Action::DetachPartition { name, concurrently, finalize } => {
                self.detach_partition(table, name, *concurrently, *finalize)?;
            }
            Action::Inherit(name) => self.add_parent(table, name)?,
            Action::NoInherit(name) => self.drop_parent(table, name)?,
            Action::AttachIndex(_) => {
                let message = format!("\"{}\" is not an index", table.name);
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
            }
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn check_circle(&self, parent: &Table, child: &Arc<Table>) -> Result<()> {
        let below = self.catalog().descendants(child);
        if parent.oid == child.oid || below.iter().any(|table| table.oid == parent.oid) {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, "circular inheritance not allowed")
                .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, child.name)));
        }
        Ok(())
    }

    /// The child must have what the parent has; from now on it has it from there.
    fn merge_into_child(&self, parent: &Table, child: &mut Table, is_partition: bool) -> Result<()> {
        for column in parent.columns.iter().filter(|column| !column.dropped) {
            let name = &column.name;
            let Some(at) = child.column_index(name) else {
                return Err(mismatch(format!("child table is missing column \"{name}\"")));
            };
            let own = &mut child.columns[at];
            if (own.data_type, own.modifier) != (column.data_type, column.modifier) {
                let message =
                    format!("child table \"{}\" has different type for column \"{name}\"", child.name);
                return Err(mismatch(message));
            }
            if column.not_null && !own.not_null {
                let message = format!("column \"{name}\" in child table must be marked NOT NULL");
                return Err(mismatch(message));
            }
            if column.generated != own.generated {
                let not = if column.generated { "" } else { "not " };
                let message = format!("column \"{name}\" in child table must {not}be a generated column");
                return Err(mismatch(message));
            }
            own.inherited += 1;
            own.local &= !is_partition;
        }
        for constraint in &parent.constraints {
            let ConstraintKind::Check(text) = &constraint.kind else { continue };
            if constraint.no_inherit {
                continue;
            }
            let name = &constraint.name;
            let is_check = |other: &Constraint| matches!(other.kind, ConstraintKind::Check(_));
            let Some(at) = child.constraints.iter().position(|other| other.name == *name && is_check(other))
            else {
                return Err(mismatch(format!("child table is missing constraint \"{name}\"")));
            };
            if !self.is_same_check(child, &child.constraints[at].kind, text) {
                let message = format!(
                    "child table \"{}\" has different definition for check constraint \"{name}\"",
                    child.name
                );
                return Err(mismatch(message));
            }
            if child.constraints[at].no_inherit {
                let message = format!(
                    "constraint \"{name}\" conflicts with non-inherited constraint on child table \"{}\"",
                    child.name
                );
                return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
            }
            child.constraints[at].inherited += 1;
            child.constraints[at].local &= !is_partition;
        }
        Ok(())
    }

    /// The other way round.
    fn release_child(&self, parent: &Table, child: &mut Table) {
        for column in parent.columns.iter().filter(|column| !column.dropped) {
            if let Some(at) = child.column_index(&column.name) {
                let own = &mut child.columns[at];
                own.inherited = (own.inherited - 1).max(0);
                own.local |= own.inherited == 0;
            }
        }
        let checks = parent.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Check(_)));
        for name in checks.map(|constraint| &constraint.name) {
            for own in child.constraints.iter_mut().filter(|own| own.name == *name && own.inherited > 0) {
                own.inherited -= 1;
                own.local |= own.inherited == 0;
            }
        }
        child.inheritance.parents.retain(|oid| *oid != parent.oid);
    }

    fn add_parent(&self, table: &Arc<Table>, name: &ObjectName) -> Result<()> {
        let wrong = |message: String| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        if table.is_partition() {
            return wrong("cannot change inheritance of a partition".into());
        }
        if table.is_partitioned() {
            return wrong("cannot change inheritance of partitioned table".into());
        }
        let parent = self.open_table(name, RelationLockMode::ShareUpdateExclusive)?;
        if parent.is_partitioned() {
            return wrong(format!("cannot inherit from partitioned table \"{}\"", parent.name));
        }
        if parent.is_partition() {
            return wrong("cannot inherit from a partition".into());
        }
        if table.inheritance.parents.contains(&parent.oid) {
            let message = format!("relation \"{}\" would be inherited from more than once", parent.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        self.check_circle(&parent, table)?;
        refuse_transitions(table, "an inheritance child", "in inheritance hierarchies")?;
        let mut child = Table::clone(table);
        self.merge_into_child(&parent, &mut child, false)?;
        child.inheritance.parents.push(parent.oid);
        self.put_table(child)?;
        self.link(parent.oid, table.oid)
    }

    fn drop_parent(&self, table: &Arc<Table>, name: &ObjectName) -> Result<()> {
        if table.is_partition() {
            let message = "cannot change inheritance of a partition";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let parent = self.open_table(name, RelationLockMode::ShareUpdateExclusive)?;
        if !table.inheritance.parents.contains(&parent.oid) {
            let message =
                format!("relation \"{}\" is not a parent of relation \"{}\"", parent.name, table.name);
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
        }
        let mut child = Table::clone(table);
        self.release_child(&parent, &mut child);
        self.put_table(child)?;
        self.unlink(parent.oid, table.oid)
    }

    fn attach_partition(
        &self,
        parent: &Arc<Table>,
        name: &ObjectName,
        spec: &PartitionBoundSpec,
    ) -> Result<()> {
        let wrong = |message: String| Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        if !parent.is_partitioned() {
            return wrong(format!("table \"{}\" is not partitioned", parent.name));
        }
        let table = self.open_table(name, RelationLockMode::AccessExclusive)?;
        if table.is_partition() {
            return wrong(format!("\"{}\" is already a partition", table.name));
        }
        if !table.inheritance.parents.is_empty() {
            return wrong("cannot attach inheritance child as partition".into());
        }
        if table.has_children() && !table.is_partitioned() {
            return wrong("cannot attach inheritance parent as partition".into());
        }
        refuse_transitions(&table, "a partition", "on partitions")?;
        self.check_circle(parent, &table)?;
        if parent.persistence != table.persistence {
            let (a, b) = match table.persistence {
                crate::catalog::Persistence::Temporary => ("temporary", "permanent"),
                crate::catalog::Persistence::Permanent => ("permanent", "temporary"),
            };
            return wrong(format!(
                "cannot attach a {a} relation as partition of {b} relation \"{}\"",
                parent.name
            ));
        }
        for column in table.columns.iter().filter(|column| !column.dropped) {
            if parent.column_index(&column.name).is_none() {
                let message = format!(
                    "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
                    table.name, column.name, parent.name
                );
                return Err(mismatch(message)
                    .detail("The new partition may contain only the columns present in parent."));
            }
        }
        self.refuse_pending(&table, "ALTER TABLE")?;
        let mut child = Table::clone(&table);
        self.merge_into_child(parent, &mut child, true)?;
        let bound = self.partition_bound(parent, &table.name, spec)?;
        self.check_default_partition(parent, table.oid, &bound)?;
        child.inheritance.parents = vec![parent.oid];
        child.inheritance.bound = Some(bound);
        let child = self.put_table(child)?;
        self.link(parent.oid, child.oid)?;
        for leaf in self.catalog().descendants(&child) {
            self.lock(leaf.oid, RelationLockMode::AccessExclusive)?;
        }
        self.check_partition_rows(&self.current(child.oid)?)?;
        self.carry_down(parent.oid, child.oid)
    }

    fn detach_partition(
        &self,
        parent: &Arc<Table>,
        name: &ObjectName,
        concurrently: bool,
        finalize: bool,
    ) -> Result<()> {
        if !parent.is_partitioned() {
            let message = format!("table \"{}\" is not partitioned", parent.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        let catalog = self.catalog();
        if concurrently
            && parent.inheritance.children.iter().any(|oid| {
                catalog
                    .table(*oid)
                    .is_some_and(|child| child.inheritance.bound == Some(PartitionBound::Default))
            })
        {
            let message = "cannot detach partitions concurrently when a default partition exists";
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let child = self.open_table(name, RelationLockMode::AccessExclusive)?;
        if child.inheritance.parents != [parent.oid] {
            let message =
                format!("relation \"{}\" is not a partition of relation \"{}\"", child.name, parent.name);
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message));
        }
        if finalize {
            // DETACH … CONCURRENTLY is done at once here: nothing is ever left over.
            let message = format!("cannot complete detaching partition \"{}\"", child.name);
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .detail("There's no pending concurrent detach."));
        }
        self.refuse_pending(&child, "ALTER TABLE")?;
        self.check_detach_references(parent, &child)?;
        let mut changed = Table::clone(&child);
        self.release_child(parent, &mut changed);
        changed.inheritance.bound = None;
        for index in &mut changed.indexes {
            index.parent = 0;
        }
        for constraint in changed.constraints.iter_mut().filter(|constraint| constraint.parent != 0) {
            constraint.parent = 0;
            constraint.inherited = 0;
            constraint.local = true;
        }
        // Triggers came from above, and go.
        let gone: Vec<Oid> = changed
            .triggers
            .iter()
            .filter(|trigger| trigger.parent != 0)
            .map(|trigger| trigger.oid)
            .collect();
        changed.triggers.retain(|trigger| trigger.parent == 0);
        self.put_table(changed)?;
        self.unlink(parent.oid, child.oid)?;
        gone.into_iter().try_for_each(|trigger| self.remove_trigger_parts(child.oid, trigger))
    }

    /// Rows that are referenced through the partitioned table can't leave it.
    fn check_detach_references(&self, parent: &Arc<Table>, child: &Arc<Table>) -> Result<()> {
        let catalog = self.catalog();
        let mut ancestors = catalog.partition_ancestors(parent);
        ancestors.insert(0, parent.clone());
        for ancestor in &ancestors {
            for &(referencing, constraint) in catalog.references_to(ancestor.oid) {
                let Some(table) = catalog.table(referencing) else { continue };
                if table.is_partitioned() {
                    continue;
                }
                self.lock(referencing, RelationLockMode::Share)?;
                for leaf in self.leaves(child) {
                    self.with_exec(|context| {
                        crate::exec::foreign_key::check_none_references(
                            &table, constraint, ancestor, &leaf, context,
                        )
                    })?;
                }
            }
        }
        Ok(())
    }

    // ---- what partitions have from above ----

    /// Everything of a partitioned table that its (new) partition is to have.
    pub(super) fn carry_down(&self, parent: Oid, child: Oid) -> Result<()> {
        let table = self.current(parent)?;
        for index in &table.indexes {
            self.ensure_index(parent, index.oid, child)?;
        }
        for constraint in table.constraints.iter().filter(|constraint| constraint.foreign_key().is_some()) {
            self.ensure_foreign_key(parent, constraint.oid, child)?;
        }
        for trigger in table.triggers.iter().filter(|trigger| trigger.each_row) {
            self.ensure_trigger(parent, trigger.oid, child)?;
        }
        Ok(())
    }

    /// An index, and the constraint it has: one that the partition has already, or a new one.
    pub(super) fn ensure_index(&self, parent: Oid, index: Oid, child: Oid) -> Result<()> {
        let above = self.current(parent)?;
        let Some((_, wanted)) = above.index(index) else { return Ok(()) };
        let constraint = above.constraint_of_index(index);
        let old = self.current(child)?;
        let mut table = Table::clone(&old);
        let map = places(&above, &table);
        if old.indexes.iter().any(|own| own.parent == index) {
            return Ok(());
        }
        let fits = |own: &Index| {
            own.parent == 0
                && self.is_same_index(wanted, own, &map)
                && match (constraint, old.constraint_of_index(own.oid)) {
                    (None, _) => true,
                    (Some(above), Some(own)) => {
                        std::mem::discriminant(&above.kind) == std::mem::discriminant(&own.kind)
                    }
                    (Some(_), None) => false,
                }
        };
        let known = table.indexes.iter().position(fits);
        let position = match known {
            Some(position) => position,
            None => self.new_part(&old, &mut table, wanted, constraint, &map)?,
        };
        let own = table.indexes[position].oid;
        table.indexes[position].parent = index;
        if let Some(constraint) = constraint {
            let part = table.constraints.iter_mut().find(|part| match part.kind {
                ConstraintKind::PrimaryKey(of) | ConstraintKind::Unique(of) => of == own,
                _ => false,
            });
            if let Some(part) = part {
                part.parent = constraint.oid;
                part.inherited = 1;
                part.local = false;
            }
        }
        let table = self.put_table(table)?;
        // One that was there is taken as it is, with the parts it has.
        for &grandchild in
            table.inheritance.children.iter().filter(|_| known.is_none() && table.is_partitioned())
        {
            self.lock(grandchild, RelationLockMode::AccessExclusive)?;
            self.ensure_index(child, own, grandchild)?;
        }
        Ok(())
    }

    /// Makes a partition's own index. Answers its position.
    fn new_part(
        &self,
        old: &Table,
        table: &mut Table,
        wanted: &Index,
        constraint: Option<&Constraint>,
        map: &Places,
    ) -> Result<usize> {
        let carry = |column: usize| place(map, column).unwrap_or(column);
        if let Some(constraint) = constraint {
            let columns = wanted
                .keys
                .iter()
                .filter_map(|key| Some(table.columns[carry(key.column?)].name.clone()))
                .collect();
            let include = wanted.include.iter().map(|at| table.columns[carry(*at)].name.clone()).collect();
            let deferrable = Deferrable {
                deferrable: constraint.deferrable,
                initially_deferred: constraint.initially_deferred,
            };
            let kind = match constraint.kind {
                ConstraintKind::PrimaryKey(_) => {
                    TableConstraintKind::PrimaryKey { columns, include, using_index: None, deferrable }
                }
                _ => TableConstraintKind::Unique {
                    columns,
                    include,
                    nulls_not_distinct: wanted.nulls_not_distinct,
                    using_index: None,
                    deferrable,
                },
            };
            let pending =
                Pending { constraint: TableConstraint { name: None, kind, position: 0 }, column: None };
            let position = table.indexes.len();
            match self.add_constraint(table, &pending)? {
                Added::PrimaryKey => {
                    self.validate_newly_not_null(old, table)?;
                    self.rewrite(old, table, None)?;
                }
                Added::Index(at) => {
                    self.validate_newly_not_null(old, table)?;
                    self.build_index(table, at)?;
                }
                _ => {}
            }
            return Ok(position);
        }
        let mut index = wanted.clone();
        for key in &mut index.keys {
            key.column = key.column.map(carry);
        }
        index.include.iter_mut().for_each(|column| *column = carry(*column));
        let joined = super::index::name_parts(table, &index.keys).join("_");
        index.name = self.index_name(table, None, Some(&joined), "idx")?;
        index.oid = self.new_oid()?;
        self.take_relation_name(table.schema, &index.name, index.oid)?;
        index.tree = self.create_tree()?.id();
        index.hidden = self.keeps_snapshot();
        index.comment = None;
        table.indexes.push(index);
        self.build_index(table, table.indexes.len() - 1)?;
        Ok(table.indexes.len() - 1)
    }

    fn is_same_index(&self, above: &Index, own: &Index, map: &Places) -> bool {
        above.unique == own.unique
            && above.method == own.method
            && above.nulls_not_distinct == own.nulls_not_distinct
            && above.keys.len() == own.keys.len()
            && above.include.len() == own.include.len()
            && above.predicate == own.predicate
            && above.include.iter().zip(&own.include).all(|(a, b)| place(map, *a) == Some(*b))
            && above.keys.iter().zip(&own.keys).all(|(a, b)| {
                (a.descending, a.nulls_first) == (b.descending, b.nulls_first)
                    && a.expression == b.expression
                    && a.column.map(|column| place(map, column)) == b.column.map(Some)
            })
    }

    /// ALTER INDEX … ATTACH PARTITION.
    pub(super) fn attach_index(&self, above: &Arc<Table>, position: usize, name: &ObjectName) -> Result<()> {
        let parent = &above.indexes[position];
        let found = self.open_relation(name, RelationLockMode::AccessExclusive)?;
        let (table, at) = match found {
            Some(Relation::Index(table, at)) => (table, at),
            Some(_) => return Err(names::wrong_kind(name, "an index")),
            None => return Err(names::no_relation(name)),
        };
        let own = &table.indexes[at];
        let refuse = |detail: String| {
            let message =
                format!("cannot attach index \"{}\" as a partition of index \"{}\"", own.name, parent.name);
            Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).detail(detail))
        };
        if own.parent == parent.oid {
            return Ok(());
        }
        if own.parent != 0 {
            return refuse(format!("Index \"{}\" is already attached to another index.", own.name));
        }
        if table.inheritance.parents != [above.oid] || !table.is_partition() {
            return refuse(format!(
                "Index \"{}\" is not an index on any partition of table \"{}\".",
                own.name, above.name
            ));
        }
        if table.indexes.iter().any(|other| other.parent == parent.oid) {
            return refuse(format!("Another index is already attached for partition \"{}\".", table.name));
        }
        if !self.is_same_index(parent, own, &places(above, &table)) {
            return refuse("The index definitions do not match.".into());
        }
        let constraint = above.constraint_of_index(parent.oid);
        if constraint.is_some() && table.constraint_of_index(own.oid).is_none() {
            return refuse(format!(
                "The index \"{}\" belongs to a constraint in table \"{}\" but no constraint exists for index \"{}\".",
                parent.name, above.name, own.name
            ));
        }
        let (own, above) = (own.oid, constraint.map(|constraint| constraint.oid));
        let mut changed = Table::clone(&table);
        changed.indexes[at].parent = parent.oid;
        for part in &mut changed.constraints {
            if let (ConstraintKind::PrimaryKey(of) | ConstraintKind::Unique(of), Some(above)) =
                (&part.kind, above)
                && *of == own
            {
                (part.parent, part.inherited, part.local) = (above, 1, false);
            }
        }
        self.put_table(changed)?;
        Ok(())
    }

    pub(super) fn ensure_foreign_key(&self, parent: Oid, constraint: Oid, child: Oid) -> Result<()> {
        let above = self.current(parent)?;
        let Some(wanted) = above.constraint(constraint) else { return Ok(()) };
        let Some(key) = wanted.foreign_key() else { return Ok(()) };
        let old = self.current(child)?;
        if old.constraints.iter().any(|own| own.parent == constraint) {
            return Ok(());
        }
        let map = places(&above, &old);
        let carry = |columns: &[usize]| {
            columns.iter().map(|column| place(&map, *column).unwrap_or(*column)).collect::<Vec<_>>()
        };
        let mut part = key.clone();
        part.columns = carry(&key.columns);
        part.delete_columns = carry(&key.delete_columns);
        let mut table = Table::clone(&old);
        let is_same = |own: &Constraint| {
            own.parent == 0
                && (own.deferrable, own.initially_deferred) == (wanted.deferrable, wanted.initially_deferred)
                && own.foreign_key().is_some_and(|own| {
                    own.columns == part.columns
                        && own.referenced == part.referenced
                        && own.referenced_columns == part.referenced_columns
                        && (own.match_full, own.on_delete, own.on_update)
                            == (part.match_full, part.on_delete, part.on_update)
                })
        };
        let at = match table.constraints.iter().position(is_same) {
            Some(at) => at,
            None => {
                let is_taken = |name: &str| table.constraints.iter().any(|other| other.name == name);
                let name = match is_taken(&wanted.name) {
                    false => wanted.name.clone(),
                    true => {
                        let joined = super::constraint::joined(&table, &part.columns);
                        names::choose_name(&table.name, Some(&joined), "fkey", is_taken)
                    }
                };
                table.constraints.push(Constraint {
                    oid: self.new_oid()?,
                    name,
                    kind: ConstraintKind::ForeignKey(part),
                    comment: None,
                    ..wanted.clone()
                });
                let at = table.constraints.len() - 1;
                if wanted.validated && !table.is_partitioned() {
                    self.validate_foreign_key(&table, at)?;
                }
                at
            }
        };
        let part = &mut table.constraints[at];
        (part.parent, part.inherited, part.local) = (constraint, 1, false);
        let oid = part.oid;
        let table = self.put_table(table)?;
        for &grandchild in table.inheritance.children.iter().filter(|_| table.is_partitioned()) {
            self.lock(grandchild, RelationLockMode::ShareRowExclusive)?;
            self.ensure_foreign_key(child, oid, grandchild)?;
        }
        Ok(())
    }

    pub(super) fn ensure_trigger(&self, parent: Oid, trigger: Oid, child: Oid) -> Result<()> {
        let above = self.current(parent)?;
        let Some(wanted) = above.triggers.iter().find(|other| other.oid == trigger) else { return Ok(()) };
        let old = self.current(child)?;
        let map = places(&above, &old);
        let mut table = Table::clone(&old);
        let columns = wanted.columns.iter().map(|column| place(&map, *column).unwrap_or(*column)).collect();
        let known = table.triggers.iter().position(|own| own.parent == trigger);
        if known.is_none() && table.triggers.iter().any(|own| own.name == wanted.name) {
            let message =
                format!("trigger \"{}\" for relation \"{}\" already exists", wanted.name, table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let oid = match known {
            Some(at) => table.triggers.remove(at).oid,
            None => self.new_oid()?,
        };
        table.triggers.push(Trigger { oid, parent: trigger, columns, comment: None, ..wanted.clone() });
        table.triggers.sort_by(|a, b| a.name.cmp(&b.name));
        let table = self.put_table(table)?;
        for &grandchild in table.inheritance.children.iter().filter(|_| table.is_partitioned()) {
            self.lock(grandchild, RelationLockMode::ShareRowExclusive)?;
            self.ensure_trigger(child, oid, grandchild)?;
        }
        Ok(())
    }

    /// What a dropped trigger has in partitions goes with it.
    pub(super) fn remove_trigger_parts(&self, table: Oid, trigger: Oid) -> Result<()> {
        let table = self.current(table)?;
        for &child in &table.inheritance.children {
            self.lock(child, RelationLockMode::AccessExclusive)?;
            let mut changed = Table::clone(&*self.current(child)?);
            let parts: Vec<Oid> =
                changed.triggers.iter().filter(|part| part.parent == trigger).map(|part| part.oid).collect();
            changed.triggers.retain(|part| part.parent != trigger);
            if parts.is_empty() {
                continue;
            }
            self.put_table(changed)?;
            parts.into_iter().try_for_each(|part| self.remove_trigger_parts(child, part))?;
        }
        Ok(())
    }

    /// What an index of a partitioned table has in partitions goes with it, the constraints too.
    pub(super) fn remove_index_parts(&self, table: Oid, index: Oid) -> Result<()> {
        let table = self.current(table)?;
        for &child in &table.inheritance.children {
            self.lock(child, RelationLockMode::AccessExclusive)?;
            let old = self.current(child)?;
            let Some(at) = old.indexes.iter().position(|part| part.parent == index) else { continue };
            let part = old.indexes[at].oid;
            self.remove_index_parts(child, part)?;
            let old = self.current(child)?;
            let mut changed = Table::clone(&old);
            changed.constraints.retain(|constraint| match constraint.kind {
                ConstraintKind::PrimaryKey(of) | ConstraintKind::Unique(of) => of != part,
                _ => true,
            });
            let removed = changed.indexes.remove(at);
            self.give_relation_name(changed.schema, &removed.name)?;
            if removed.clustered {
                changed.primary_key.clear();
                self.rewrite(&old, &mut changed, None)?;
            } else {
                self.drop_tree(removed.tree)?;
            }
            self.put_table(changed)?;
        }
        Ok(())
    }

    /// A foreign key's parts in partitions.
    pub(super) fn remove_foreign_key_parts(&self, table: Oid, constraint: Oid) -> Result<()> {
        let Some(table) = self.catalog().table(table) else { return Ok(()) };
        for &child in &table.inheritance.children {
            self.lock(child, RelationLockMode::AccessExclusive)?;
            let mut changed = Table::clone(&*self.current(child)?);
            let Some(at) = changed.constraints.iter().position(|part| part.parent == constraint) else {
                continue;
            };
            let part = changed.constraints.remove(at).oid;
            self.put_table(changed)?;
            self.remove_foreign_key_parts(child, part)?;
        }
        Ok(())
    }
}

fn versus(a: &crate::catalog::Column, b: &crate::catalog::Column) -> String {
    let shown =
        |column: &crate::catalog::Column| crate::types::format_type(column.data_type(), column.modifier);
    format!("{} versus {}", shown(a), shown(b))
}

/// A row trigger's transition tables are of the table that the statement names, so that a child can't have any.
fn refuse_transitions(table: &Table, becoming: &str, places: &str) -> Result<()> {
    let has = |trigger: &&crate::catalog::Trigger| {
        trigger.each_row && (trigger.old_table.is_some() || trigger.new_table.is_some())
    };
    let Some(trigger) = table.triggers.iter().find(has) else { return Ok(()) };
    let message =
        format!("trigger \"{}\" prevents table \"{}\" from becoming {becoming}", trigger.name, table.name);
    Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .detail(format!("ROW triggers with transition tables are not supported {places}.")))
}
