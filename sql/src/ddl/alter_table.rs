//! ALTER TABLE and RENAME. Actions are carried out one after the other on a copy of the descriptor, in the order of PostgreSQL's passes
//! (what goes, new types, new columns, the rest); where one needs other rows, the table is rewritten there and then, so that the next
//! finds it consistent. All new types of a statement make one rewrite, whose USING expressions see the rows as they were before it.

use super::column::Pending;
use super::constraint::Added;
use super::expression::Named;
use super::privilege::Target;
use super::{Ddl, drop, expression, names};
use crate::catalog::{ConstraintKind, Relation, Sequence, Table};
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::exec::eval::eval_row;
use crate::expr::Expr as Bound;
use crate::functions::Volatility;
use crate::parse::ast::{
    self, AlterTable, AlterTableAction as Action, ColumnDefinition, Expr, ObjectKind, ObjectName, TypeName,
};
use crate::table::{Shape, loader, to_catalog_text};
use crate::types::{Datum, Oid, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    pub(super) fn alter_table(&self, alter: &AlterTable) -> Result<()> {
        let mode = match alter.actions[..] {
            [Action::AttachPartition { .. }] => RelationLockMode::ShareUpdateExclusive,
            _ => RelationLockMode::AccessExclusive,
        };
        let may = |found: &Relation| match found {
            Relation::Table(table) => {
                let word = crate::plan::permissions::relation_word(table);
                self.require_owner(table.owner, word, &table.name)
            }
            Relation::Sequence(sequence) => self.require_owner(sequence.owner, "sequence", &sequence.name),
            _ => Ok(()),
        };
        let found = match self.open_relation_if(&alter.name, mode, may)? {
            Some(Relation::Table(table)) => table,
            Some(Relation::Sequence(sequence)) => return self.alter_other(&alter.actions, &sequence),
            Some(Relation::Index(table, position))
                if matches!(alter.actions[..], [Action::AttachIndex(_)]) =>
            {
                self.require_owner(table.owner, "index", &table.indexes[position].name)?;
                let [Action::AttachIndex(name)] = &alter.actions[..] else { return Ok(()) };
                return self.attach_index(&table, position, name);
            }
            Some(Relation::Index(table, position))
                if matches!(alter.actions[..], [Action::SetOptions(_) | Action::ResetOptions(_)]) =>
            {
                self.require_owner(table.owner, "index", &table.indexes[position].name)?;
                return self.alter_index_options(&table, position, &alter.actions[0]);
            }
            Some(_) => return Err(names::wrong_kind(&alter.name, "a table")),
            None if alter.if_exists => {
                let name = alter.name.parts.last().map_or("", String::as_str);
                self.notice(format!("relation \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            None => return Err(names::no_relation(&alter.name)),
        };
        if found.view.is_some()
            && !alter.actions.iter().all(|action| {
                matches!(
                    action,
                    Action::RenameColumn { .. }
                        | Action::SetSchema(_)
                        | Action::OwnerTo(_)
                        | Action::SetOptions(_)
                        | Action::ResetOptions(_)
                ) || (found.is_view() && matches!(action, Action::SetDefault(..) | Action::DropDefault(_)))
            })
        {
            return Err(names::wrong_kind(&alter.name, "a table"));
        }
        if let [action] = &alter.actions[..]
            && self.alter_family(&found, action)?.is_some()
        {
            return Ok(());
        }
        let actions: Vec<&Action> = alter.actions.iter().collect();
        let place = Place { inherited: false, only: alter.only };
        self.alter_one(found, actions, place)
    }

    /// One table, then its children.
    fn alter_one(&self, found: Arc<Table>, mut actions: Vec<&Action>, place: Place) -> Result<()> {
        self.refuse_pending(&found, "ALTER TABLE")?;
        let mut table = Table::clone(&found);
        actions.sort_by_key(|action| pass(action));
        for action in &actions {
            self.check_inherited(&table, action, place)?;
        }
        // Bound before anything is dropped.
        let mut new_types = Vec::new();
        for action in &actions {
            if let Action::AlterType { column, data_type, collation, using } = action {
                let using = using.as_ref().map(|(expr, _)| expr);
                let mut new = self.bind_new_type(&table, column, data_type, using)?;
                let collation = collation.as_ref();
                new.collation = collation.map(|name| names::collation_of(name, new.data_type)).transpose()?;
                new_types.push(new);
            }
        }
        for &action in &actions {
            match action {
                Action::AlterType { .. } if new_types.is_empty() => {}
                Action::AlterType { .. } => self.alter_types(&mut table, std::mem::take(&mut new_types))?,
                action => self.alter(&mut table, action, place)?,
            }
        }
        let table = self.put_table(table)?;
        if !table.has_children() {
            return Ok(());
        }
        let mut recursing: Vec<Action> = Vec::new();
        for action in actions {
            self.alter_children(&found, &table, action, place)?;
            recursing.extend(passed_on(&table, action, place));
        }
        if recursing.iter().any(|action| matches!(action, Action::AddColumn { .. })) {
            let of_column = table.constraints.iter().filter(|own| found.constraint(own.oid).is_none());
            for own in of_column {
                let ConstraintKind::Check(text) = &own.kind else { continue };
                let name = Some(own.name.clone());
                let is_known = |action: &Action| matches!(action, Action::AddConstraint { constraint, .. } if constraint.name == name);
                if own.no_inherit || recursing.iter().any(is_known) {
                    continue;
                }
                let expr = crate::parse::parse_expression(text)?;
                let kind = crate::parse::ast::TableConstraintKind::Check {
                    expr,
                    text: text.clone(),
                    no_inherit: false,
                };
                let constraint = crate::parse::ast::TableConstraint { name, kind, position: 0 };
                recursing.push(Action::AddConstraint { constraint, not_valid: !own.validated });
            }
        }
        let whole = Place { inherited: true, only: false };
        for &child in table.inheritance.children.iter().filter(|_| !recursing.is_empty()) {
            self.lock(child, RelationLockMode::AccessExclusive)?;
            if let Some(child) = self.catalog().table(child) {
                self.alter_one(child, recursing.iter().collect(), whole)?;
            }
        }
        Ok(())
    }

    /// What a table has from its parents is for them to change.
    fn check_inherited(&self, table: &Table, action: &Action, place: Place) -> Result<()> {
        if place.inherited {
            return Ok(());
        }
        let refuse = |message: String| Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        let is_inherited =
            |name: &str| table.column_index(name).is_some_and(|at| table.columns[at].inherited > 0);
        let with_children = table.has_children();
        match action {
            Action::DropColumn { name, .. } if is_inherited(name) => {
                refuse(format!("cannot drop inherited column \"{name}\""))
            }
            Action::AlterType { column, .. } if is_inherited(column) => {
                refuse(format!("cannot alter inherited column \"{column}\""))
            }
            Action::RenameColumn { from, .. } if is_inherited(from) => {
                refuse(format!("cannot rename inherited column \"{from}\""))
            }
            Action::RenameColumn { from, .. } if place.only && with_children => {
                refuse(format!("inherited column \"{from}\" must be renamed in child tables too"))
            }
            Action::AlterType { column, .. } if place.only && with_children => {
                refuse(format!("type of inherited column \"{column}\" must be changed in child tables too"))
            }
            Action::AddColumn { .. } if place.only && with_children => {
                refuse("column must be added to child tables too".into())
            }
            Action::AddColumn { .. } if table.is_partition() => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, "cannot add column to a partition"))
            }
            Action::DropColumn { name, .. } | Action::AlterType { column: name, .. }
                if is_in_key(table, name) =>
            {
                let verb = if matches!(action, Action::DropColumn { .. }) { "drop" } else { "alter" };
                refuse(format!(
                    "cannot {verb} column \"{name}\" because it is part of the partition key of relation \"{}\"",
                    table.name
                ))
            }
            Action::DropColumn { .. } if place.only && table.is_partitioned() && with_children => {
                Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "cannot drop column from only the partitioned table when partitions exist",
                )
                .hint("Do not specify the ONLY keyword."))
            }
            Action::SetNotNull(_) if place.only && table.is_partitioned() && with_children => {
                let at = match action {
                    Action::SetNotNull(name) => table.column_index(name),
                    _ => None,
                };
                match at.is_some_and(|at| table.columns[at].not_null) {
                    true => Ok(()),
                    false => Err(Error::new(
                        SqlState::INVALID_TABLE_DEFINITION,
                        "constraint must be added to child tables too",
                    )
                    .hint("Do not specify the ONLY keyword.")),
                }
            }
            Action::DropNotNull(name) if table.is_partition() => {
                let parent = table.inheritance.parents.first().and_then(|oid| self.catalog().table(*oid));
                let above =
                    parent.and_then(|parent| Some(parent.columns[parent.column_index(name)?].not_null));
                match above {
                    Some(true) => refuse(format!("column \"{name}\" is marked NOT NULL in parent table")),
                    _ => Ok(()),
                }
            }
            Action::AddConstraint { constraint, .. }
                if place.only
                    && with_children
                    && matches!(
                        constraint.kind,
                        crate::parse::ast::TableConstraintKind::Check { no_inherit: false, .. }
                    ) =>
            {
                refuse("constraint must be added to child tables too".into())
            }
            Action::AddConstraint { constraint, .. }
                if place.only
                    && table.is_partitioned()
                    && matches!(
                        constraint.kind,
                        crate::parse::ast::TableConstraintKind::ForeignKey { .. }
                    ) =>
            {
                let message = format!(
                    "cannot use ONLY for foreign key on partitioned table \"{}\" referencing relation",
                    table.name
                );
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
            Action::DropConstraint { name, .. } | Action::RenameConstraint { from: name, .. } => {
                let found = table.constraints.iter().find(|constraint| constraint.name == *name);
                let verb = if matches!(action, Action::DropConstraint { .. }) { "drop" } else { "rename" };
                match found.is_some_and(|constraint| constraint.inherited > 0) {
                    true => {
                        let of = match verb {
                            "drop" => format!(" of relation \"{}\"", table.name),
                            _ => String::new(),
                        };
                        refuse(format!("cannot {verb} inherited constraint \"{name}\"{of}"))
                    }
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// What an action does to children beyond what they do themselves (`passed_on`): indexes and foreign keys of partitioned tables, counts of who
    /// inherits what.
    fn alter_children(
        &self,
        before: &Table,
        table: &Arc<Table>,
        action: &Action,
        place: Place,
    ) -> Result<()> {
        let catalog = self.catalog();
        match action {
            Action::AddConstraint { .. } | Action::AddColumn { .. } if table.is_partitioned() => {
                let is_new = |oid: Oid| before.constraint(oid).is_none();
                for constraint in table.constraints.iter().filter(|constraint| is_new(constraint.oid)) {
                    for &child in &table.inheritance.children {
                        self.lock(child, RelationLockMode::AccessExclusive)?;
                        match constraint.kind {
                            ConstraintKind::PrimaryKey(index) | ConstraintKind::Unique(index)
                                if !place.only =>
                            {
                                self.ensure_index(table.oid, index, child)?;
                            }
                            ConstraintKind::ForeignKey(_) => {
                                self.ensure_foreign_key(table.oid, constraint.oid, child)?;
                            }
                            _ => {}
                        }
                    }
                }
            }
            Action::DropConstraint { name, .. } => {
                let Some(gone) = before.constraints.iter().find(|constraint| constraint.name == *name) else {
                    return Ok(());
                };
                match gone.kind {
                    ConstraintKind::PrimaryKey(index)
                    | ConstraintKind::Unique(index)
                    | ConstraintKind::Exclusion(index) => {
                        self.remove_index_parts(table.oid, index)?;
                    }
                    ConstraintKind::ForeignKey(_) => self.remove_foreign_key_parts(table.oid, gone.oid)?,
                    // With ONLY, the children keep it as their own.
                    ConstraintKind::Check(_) if place.only => {
                        for &child in &table.inheritance.children {
                            let Some(child) = catalog.table(child) else { continue };
                            let mut changed = Table::clone(&child);
                            for own in changed.constraints.iter_mut().filter(|own| own.name == *name) {
                                own.inherited = (own.inherited - 1).max(0);
                                own.local = true;
                            }
                            self.put_table(changed)?;
                        }
                    }
                    ConstraintKind::Check(_) => {}
                }
            }
            Action::DropColumn { name, .. } if place.only => {
                for &child in &table.inheritance.children {
                    let Some(child) = catalog.table(child) else { continue };
                    let mut changed = Table::clone(&child);
                    if let Some(at) = changed.column_index(name) {
                        changed.columns[at].inherited = (changed.columns[at].inherited - 1).max(0);
                        changed.columns[at].local = true;
                        self.put_table(changed)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Sequences share ALTER … OWNER TO and SET SCHEMA with tables.
    fn alter_other(&self, actions: &[Action], sequence: &Sequence) -> Result<()> {
        let before = sequence;
        let mut sequence = sequence.clone();
        for action in actions {
            match action {
                Action::OwnerTo(role) => {
                    let to = self.spec_role(role)?;
                    if to != sequence.owner {
                        if sequence.owned_by.is_some() {
                            let message = format!("cannot change owner of sequence \"{}\"", sequence.name);
                            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                                .detail("The sequence belongs to a table."));
                        }
                        self.check_new_owner(&Target::Sequence(sequence.clone().into()), to)?;
                        sequence.acl = sequence.acl.as_ref().map(|acl| acl.with_owner(sequence.owner, to));
                        sequence.owner = to;
                    }
                }
                Action::SetSchema(schema) => {
                    let catalog = self.catalog();
                    let schema = names::creation_schema(&catalog, &[], Some(schema))?;
                    super::owner::check_create(&catalog, schema.oid, self.core.role.get())?;
                    self.give_relation_name(sequence.schema, &sequence.name)?;
                    self.take_relation_name(schema.oid, &sequence.name, sequence.oid)?;
                    sequence.schema = schema.oid;
                }
                _ => {
                    let message = format!("\"{}\" is not a table", sequence.name);
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
            }
        }
        self.put_sequence(sequence.clone())?;
        match sequence.schema == before.schema {
            true => Ok(()),
            false => self.follow_relation((before.schema, &before.name), (sequence.schema, &sequence.name)),
        }
    }

    /// A relation was renamed or moved.
    fn follow_relation(&self, from: (Oid, &str), to: (Oid, &str)) -> Result<()> {
        let (from, to) = (self.full_name(from.0, from.1), self.full_name(to.0, to.1));
        self.follow_names(&|name, named| (named == Named::Relation && *name == from).then(|| Ok(to.clone())))
    }

    fn alter(&self, table: &mut Table, action: &Action, place: Place) -> Result<()> {
        match action {
            Action::AddColumn { column, .. } if place.inherited => self.inherit_new_column(table, column),
            Action::AddColumn { column, if_not_exists } => {
                self.alter_add_column(table, column, *if_not_exists)
            }
            Action::DropColumn { name, .. } if place.inherited && keeps_column(table, name) => {
                if let Some(position) = table.column_index(name) {
                    table.columns[position].inherited -= 1;
                }
                Ok(())
            }
            Action::DropColumn { name, if_exists, cascade } => {
                self.alter_drop_column(table, name, *if_exists, *cascade)
            }
            Action::AddConstraint { constraint, not_valid } if place.inherited => {
                self.inherit_new_check(table, constraint, !not_valid)
            }
            Action::AddConstraint { constraint, not_valid } => {
                let pending = Pending { constraint: constraint.clone(), column: None };
                self.alter_add_constraint(table, &pending, !not_valid)
            }
            Action::DropConstraint { name, .. } if place.inherited && keeps_check(table, name) => {
                for own in table.constraints.iter_mut().filter(|own| own.name == *name && own.inherited > 0) {
                    own.inherited -= 1;
                }
                Ok(())
            }
            Action::DropConstraint { name, if_exists, cascade } => {
                self.alter_drop_constraint(table, name, *if_exists, *cascade)
            }
            Action::ValidateConstraint(name) => {
                let found = table.constraints.iter().position(|constraint| constraint.name == *name);
                let found = found.ok_or_else(|| no_constraint(table, name))?;
                match &table.constraints[found].kind {
                    ConstraintKind::Check(_) => self.validate_check(table, found)?,
                    ConstraintKind::ForeignKey(key) => {
                        self.lock(key.referenced, RelationLockMode::RowShare)?;
                        self.validate_foreign_key(table, found)?;
                    }
                    _ => {
                        let message = format!(
                            "constraint \"{name}\" of relation \"{}\" is not a foreign key or check constraint",
                            table.name
                        );
                        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                    }
                }
                table.constraints[found].validated = true;
                Ok(())
            }
            Action::SetRowSecurity(switch) => {
                match switch {
                    ast::RowSecurity::Enabled(on) => table.row_security = *on,
                    ast::RowSecurity::Forced(on) => table.force_row_security = *on,
                }
                Ok(())
            }
            Action::SetTrigger { name, enabled } => self.set_trigger(table, name, *enabled),
            Action::SetDefault(name, expr, text) => {
                let position = column(table, name)?;
                self.set_default(table, position, expr, text)
            }
            Action::DropDefault(name) => {
                let position = column(table, name)?;
                if table.columns[position].identity.is_some() {
                    let message =
                        format!("column \"{name}\" of relation \"{}\" is an identity column", table.name);
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                table.columns[position].default = None;
                Ok(())
            }
            Action::SetNotNull(name) => {
                let position = column(table, name)?;
                self.validate_not_null(table, &[position])?;
                table.columns[position].not_null = true;
                Ok(())
            }
            Action::DropNotNull(name) => {
                let position = column(table, name)?;
                if table.primary_key.contains(&position) {
                    let message = format!("column \"{name}\" is in a primary key");
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
                }
                if table.columns[position].identity.is_some() {
                    let message =
                        format!("column \"{name}\" of relation \"{}\" is an identity column", table.name);
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                table.columns[position].not_null = false;
                Ok(())
            }
            Action::AlterType { .. } => Err(Error::internal("new types are dealt with together")),
            Action::AddIdentity { column: name, always, options } => {
                let position = column(table, name)?;
                let state = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;
                if table.columns[position].identity.is_some() {
                    let message = format!(
                        "column \"{name}\" of relation \"{}\" is already an identity column",
                        table.name
                    );
                    return Err(Error::new(state, message));
                }
                if crate::sequence::type_range(table.columns[position].data_type()).is_none() {
                    let message = "identity column type must be smallint, integer, or bigint";
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                if table.columns[position].default.is_some() {
                    let message = format!(
                        "column \"{name}\" of relation \"{}\" already has a default value",
                        table.name
                    );
                    return Err(Error::new(state, message));
                }
                if !table.columns[position].not_null {
                    let message = format!(
                        "column \"{name}\" of relation \"{}\" must be declared NOT NULL before identity can be added",
                        table.name
                    );
                    return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
                }
                self.set_identity(table, position, *always, options)
            }
            Action::DropIdentity { column: name, if_exists } => {
                let position = column(table, name)?;
                if table.columns[position].identity.take().is_none() {
                    let error = not_identity(table, name);
                    if *if_exists {
                        self.notice(format!("{}, skipping", error.message()));
                        return Ok(());
                    }
                    return Err(error);
                }
                self.remove_owned_sequence(table, position)
            }
            Action::AlterIdentity { column: name, always, options, restart } => {
                let position = column(table, name)?;
                if table.columns[position].identity.is_none() {
                    return Err(not_identity(table, name));
                }
                if let Some(always) = always {
                    table.columns[position].identity = Some(*always);
                }
                let found = table.columns[position].sequence.and_then(|oid| self.catalog().sequence(oid));
                let Some(found) = found else {
                    return Err(Error::internal("an identity without a sequence"));
                };
                let mut sequence = Sequence::clone(&found);
                options.iter().try_for_each(|options| super::sequence::change(&mut sequence, options))?;
                if let Some(value) = restart {
                    self.restart_sequence(&mut sequence, *value)?;
                }
                self.put_sequence(sequence)
            }
            Action::DropExpression { column: name, if_exists } => {
                let position = column(table, name)?;
                if !table.columns[position].generated {
                    let message = format!(
                        "column \"{name}\" of relation \"{}\" is not a stored generated column",
                        table.name
                    );
                    if *if_exists {
                        self.notice(format!("{message}, skipping"));
                        return Ok(());
                    }
                    return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
                }
                table.columns[position].generated = false;
                table.columns[position].default = None;
                Ok(())
            }
            Action::AlterConstraint { name, deferrable } => {
                let found = table.constraints.iter().position(|constraint| constraint.name == *name);
                let found = found.ok_or_else(|| no_constraint(table, name))?;
                if table.constraints[found].foreign_key().is_none() {
                    let message = format!(
                        "constraint \"{name}\" of relation \"{}\" is not a foreign key constraint",
                        table.name
                    );
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                table.constraints[found].deferrable = deferrable.deferrable || deferrable.initially_deferred;
                table.constraints[found].initially_deferred = deferrable.initially_deferred;
                Ok(())
            }
            Action::SetStorage(name) => column(table, name).map(drop_value),
            Action::Stored => Ok(()),
            Action::SetUnlogged(unlogged) => self.set_unlogged(table, *unlogged),
            // The target is fixed (see session/maintenance.rs).
            Action::SetStatistics(name, _) => column(table, name).map(drop_value),
            Action::RenameColumn { from, to } => self.rename_column(table, from, to),
            Action::RenameConstraint { from, to } => self.rename_constraint(table, from, to),
            Action::SetSchema(schema) => self.set_schema(table, schema),
            Action::OwnerTo(role) => {
                let to = self.spec_role(role)?;
                if to == table.owner {
                    return Ok(());
                }
                self.check_new_owner(&Target::Table(Arc::new(table.clone())), to)?;
                self.own_table(table, to)
            }
            Action::SetOptions(options) => {
                let options =
                    if table.is_view() { super::view::view_options(options)? } else { options.clone() };
                for (name, value) in options {
                    table.options.retain(|(existing, _)| *existing != name);
                    table.options.push((name, value));
                }
                if table.is_view() {
                    table.simple_view = self.simple_view(table)?;
                }
                Ok(())
            }
            Action::ResetOptions(names) => {
                table.options.retain(|(known, _)| !names.contains(known));
                Ok(())
            }
            Action::AttachPartition { .. }
            | Action::DetachPartition { .. }
            | Action::AttachIndex(_)
            | Action::Inherit(_)
            | Action::NoInherit(_) => {
                let message = "ATTACH, DETACH and INHERIT together with other actions";
                Err(Error::unsupported(message))
            }
            Action::Other(what) => Err(Error::unsupported(format!("ALTER TABLE {what}"))),
        }
    }

    /// SET UNLOGGED and SET LOGGED: a logged table can't depend on one that a crash empties (elsewhere).
    fn set_unlogged(&self, table: &mut Table, unlogged: bool) -> Result<()> {
        let refuse = |message: String| Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        let name = &table.name;
        if table.persistence == crate::catalog::Persistence::Temporary {
            return refuse(format!(
                "cannot change logged status of table \"{name}\" because it is temporary"
            ));
        }
        let catalog = self.catalog();
        let others: Vec<Oid> = match unlogged {
            true => catalog.references_to(table.oid).iter().map(|(referencing, _)| *referencing).collect(),
            false => table.constraints.iter().filter_map(|c| Some(c.foreign_key()?.referenced)).collect(),
        };
        let mut others =
            others.into_iter().filter(|oid| *oid != table.oid).filter_map(|oid| catalog.table(oid));
        if let Some(other) = others.find(|other| other.unlogged != unlogged) {
            let (to, of) = if unlogged { ("unlogged", "logged") } else { ("logged", "unlogged") };
            let other = &other.name;
            return refuse(format!(
                "could not change table \"{name}\" to {to} because it references {of} table \"{other}\""
            ));
        }
        table.unlogged = unlogged;
        Ok(())
    }

    // ---- columns ----

    /// A parent has got a column.
    fn inherit_new_column(&self, table: &mut Table, definition: &ColumnDefinition) -> Result<()> {
        let name = &definition.name;
        if let Some(at) = table.column_index(name) {
            let (data_type, modifier) = self.column_type(name, &definition.data_type)?;
            let own = &mut table.columns[at];
            if (own.data_type(), own.modifier) != (data_type, modifier) {
                let message =
                    format!("child table \"{}\" has different type for column \"{name}\"", table.name);
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
            own.inherited += 1;
            self.notice(format!("merging definition of column \"{name}\" for child \"{}\"", table.name));
            return Ok(());
        }
        // Its constraints come down from the parent's, under their names.
        let mut definition = definition.clone();
        definition.constraints.retain(|constraint| {
            use crate::parse::ast::ColumnConstraintKind as Kind;
            !matches!(
                constraint.kind,
                Kind::PrimaryKey { .. } | Kind::Unique { .. } | Kind::References(_) | Kind::Check(..)
            )
        });
        self.alter_add_column(table, &definition, false)?;
        let at = column(table, name)?;
        table.columns[at].inherited = 1;
        table.columns[at].local = false;
        Ok(())
    }

    /// A parent has got a CHECK.
    fn inherit_new_check(
        &self,
        table: &mut Table,
        constraint: &crate::parse::ast::TableConstraint,
        validate: bool,
    ) -> Result<()> {
        let crate::parse::ast::TableConstraintKind::Check { text, .. } = &constraint.kind else {
            return Ok(());
        };
        let name = constraint.name.as_deref().unwrap_or_default();
        if let Some(at) = table.constraints.iter().position(|own| own.name == name) {
            if !self.is_same_check(table, &table.constraints[at].kind, text) {
                let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            if table.constraints[at].no_inherit {
                let message = format!(
                    "constraint \"{name}\" conflicts with non-inherited constraint on relation \"{}\"",
                    table.name
                );
                return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
            }
            self.notice(format!("merging constraint \"{name}\" with inherited definition"));
            table.constraints[at].inherited += 1;
            return Ok(());
        }
        let pending = Pending { constraint: constraint.clone(), column: None };
        self.alter_add_constraint(table, &pending, validate)?;
        if let Some(own) = table.constraints.iter_mut().find(|own| own.name == name) {
            (own.inherited, own.local) = (1, false);
        }
        Ok(())
    }

    fn alter_add_column(
        &self,
        table: &mut Table,
        definition: &ColumnDefinition,
        if_not_exists: bool,
    ) -> Result<()> {
        let name = &definition.name;
        if table.column_index(name).is_some() {
            let message = format!("column \"{name}\" of relation \"{}\" already exists", table.name);
            if if_not_exists {
                self.notice_existing(SqlState::DUPLICATE_COLUMN, &message);
                return Ok(());
            }
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        let old = table.clone();
        let mut pending = Vec::new();
        self.add_column(table, definition, &mut pending)?;
        let position = table.columns.len() - 1;
        self.fill_new_column(&old, table, position)?;
        if table.columns[position].not_null {
            self.validate_not_null(table, &[position])?;
        }
        pending.iter().try_for_each(|pending| self.alter_add_constraint(table, pending, true))
    }

    /// Existing rows get a new column's default: without touching them if it is one value for all.
    fn fill_new_column(&self, old: &Table, table: &mut Table, position: usize) -> Result<()> {
        let added = table.columns[position].clone();
        let target = (added.data_type(), added.modifier);
        let bound = match (&added.default, added.generated) {
            (Some(text), generated) => {
                let expr = crate::parse::parse_expression(text)?;
                self.with_plan_context(|context| match generated {
                    true => crate::bind::table_expression(&expr, table, Some(target), context),
                    false => crate::bind::standalone_expression(&expr, target, context),
                })?
            }
            (None, _) if added.identity.is_none() => return Ok(()),
            (None, _) => Bound::Constant { value: Datum::Null, data_type: added.data_type() },
        };
        if added.identity.is_none() && is_constant(&bound) {
            let value = self.with_exec(|context| eval_row(&bound, &[], context))?;
            table.columns[position].missing = to_catalog_text(&value, added.data_type());
            return Ok(());
        }
        let sequence = added.identity.and(added.sequence);
        let width = table.columns.len();
        let mut transform = |row: &mut Vec<Datum>, context: &ExecContext<'_>| {
            row.resize(width, Datum::Null);
            row[position] = match sequence {
                Some(sequence) => {
                    let value = context.eval.services.next_identity(sequence)?;
                    integer(value, target.0)?
                }
                None => eval_row(&bound, row, context)?,
            };
            Ok(())
        };
        // Its sequence's descriptor is in the overlay already; the table's goes there so that nextval's owner is found.
        self.rewrite(old, table, Some(&mut transform))
    }

    pub(super) fn alter_drop_column(
        &self,
        table: &mut Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(position) = table.column_index(name) else {
            if if_exists {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist, skipping", table.name);
                self.notice(message);
                return Ok(());
            }
            return Err(names::no_column(table, name));
        };
        let what = format!("column {name} of table {}", table.name);
        let catalog = self.catalog();
        let views: Vec<_> = catalog
            .tables()
            .filter(|view| view.depends_on.contains(&table.oid))
            .filter(|view| {
                let text = view.view.as_deref().unwrap_or("");
                text.contains('*') || expression::names_column(text, name)
            })
            .cloned()
            .collect();
        if let Some(view) = views.first()
            && !cascade
        {
            let detail = format!("{} {} depends on {what}", view.word(), view.name);
            return Err(drop::must_cascade(&what, detail));
        }
        for view in views {
            self.goes_too([format!("{} {}", view.word(), view.name)]);
            self.clear_dependents(&[view.oid], true)?;
            self.remove_table(&view)?;
        }
        let generated = table.columns.iter().find(|column| {
            column.generated
                && column.name != name
                && expression::names_column(column.default.as_deref().unwrap_or(""), name)
        });
        if let Some(generated) = generated {
            let detail = format!("column {} of table {} depends on {what}", generated.name, table.name);
            return Err(drop::must_cascade(&what, detail));
        }

        let old = table.clone();
        let uses_key = |index: &crate::catalog::Index| {
            let names_it = |text: &Option<String>| {
                text.as_deref().is_some_and(|text| expression::names_column(text, name))
            };
            index.keys.iter().any(|key| key.column == Some(position) || names_it(&key.expression))
                || index.include.contains(&position)
                || names_it(&index.predicate)
        };
        let gone: Vec<crate::catalog::Index> =
            table.indexes.iter().filter(|index| uses_key(index)).cloned().collect();
        let oids: Vec<crate::types::Oid> = gone.iter().map(|index| index.oid).collect();
        self.clear_references(table, &oids, &what, cascade)?;
        table.indexes.retain(|index| !uses_key(index));
        table.constraints.retain(|constraint| match &constraint.kind {
            ConstraintKind::Check(text) => !expression::names_column(text, name),
            ConstraintKind::ForeignKey(key) => !key.columns.contains(&position),
            ConstraintKind::PrimaryKey(oid)
            | ConstraintKind::Unique(oid)
            | ConstraintKind::Exclusion(oid) => gone.iter().all(|index| index.oid != *oid),
        });
        for index in &gone {
            self.give_relation_name(table.schema, &index.name)?;
        }
        self.remove_owned_sequence(table, position)?;
        let column = &mut table.columns[position];
        column.dropped = true;
        // The rows that have it must stay readable when its type is gone.
        column.data_type = column.data_type().as_stored().0;
        column.name = format!("........pg.dropped.{}........", column.number);
        column.not_null = false;
        column.default = None;
        column.generated = false;
        column.identity = None;
        column.missing = None;
        column.comment = None;
        if gone.iter().any(|index| index.clustered) {
            table.primary_key.clear();
            let mut clear = |row: &mut Vec<Datum>, _: &ExecContext<'_>| {
                row[position] = Datum::Null;
                Ok(())
            };
            return self.rewrite(&old, table, Some(&mut clear));
        }
        gone.iter().try_for_each(|index| self.drop_tree(index.tree))
    }

    fn remove_owned_sequence(&self, table: &mut Table, position: usize) -> Result<()> {
        let number = table.columns[position].number;
        table.columns[position].sequence = None;
        let catalog = self.catalog();
        let owned = catalog.sequences().filter(|sequence| sequence.owned_by == Some((table.oid, number)));
        for sequence in owned {
            self.remove_sequence(sequence)?;
        }
        Ok(())
    }

    /// ALTER COLUMN … TYPE … USING, over the table as it is.
    fn bind_new_type(
        &self,
        table: &Table,
        name: &str,
        data_type: &TypeName,
        using: Option<&Expr>,
    ) -> Result<NewType> {
        let position = column(table, name)?;
        let (new_type, modifier) = self.column_type(name, data_type)?;
        new_type.check_not_within(Type(table.row_type))?;
        if table.columns[position].identity.is_some() && crate::sequence::type_range(new_type).is_none() {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        let uses = |column: &&crate::catalog::Column| {
            column.generated
                && !column.dropped
                && expression::names_column(column.default.as_deref().unwrap_or(""), name)
        };
        if let Some(generated) = table.columns.iter().find(uses) {
            let message = "cannot alter type of a column used by a generated column";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message)
                .detail(format!("Column \"{name}\" is used by generated column \"{}\".", generated.name)));
        }
        self.check_keys_with_type(table, position, new_type)?;
        let catalog = self.catalog();
        if let Some(view) = catalog.tables().find(|view| view.depends_on.contains(&table.oid)) {
            let message = "cannot alter type of a column used by a view or rule";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).detail(format!(
                "rule _RETURN on {} {} depends on column \"{name}\"",
                crate::plan::permissions::relation_word(view),
                view.name
            )));
        }
        let reference = Expr::Column(vec![name.to_string()], 0);
        let target = (new_type, modifier);
        let bound = self
            .with_plan_context(|context| {
                crate::bind::table_expression(using.unwrap_or(&reference), table, Some(target), context)
            })
            .map_err(|error| match error.state() {
                SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE if using.is_none() => {
                    let shown = crate::types::format_type(new_type, modifier);
                    let message = format!("column \"{name}\" cannot be cast automatically to type {shown}");
                    let hint = format!(
                        "You might need to specify \"USING {}::{shown}\".",
                        names::quote_identifier(name)
                    );
                    Error::new(SqlState::DATATYPE_MISMATCH, message).hint(hint)
                }
                SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE
                    if error.message().starts_with("cannot cast type") =>
                {
                    let shown = crate::types::format_type(new_type, modifier);
                    let message = format!(
                        "result of USING clause for column \"{name}\" cannot be cast automatically to type {shown}"
                    );
                    Error::new(SqlState::DATATYPE_MISMATCH, message)
                        .hint("You might need to add an explicit cast.")
                }
                _ => error,
            })?;
        Ok(NewType { position, data_type: new_type, modifier, collation: None, value: bound })
    }

    /// Gives columns their new types, in one rewrite.
    fn alter_types(&self, table: &mut Table, new_types: Vec<NewType>) -> Result<()> {
        let old = table.clone();
        for new in &new_types {
            let target = (new.data_type, new.modifier);
            let changed = &table.columns[new.position];
            if let Some(text) = &changed.default
                && changed.sequence.is_none()
            {
                let expr = crate::parse::parse_expression(text)?;
                let bound = self
                    .with_plan_context(|context| crate::bind::standalone_expression(&expr, target, context));
                if !changed.generated
                    && let Err(error) = bound
                {
                    return Err(match error.state() {
                        SqlState::DATATYPE_MISMATCH | SqlState::CANNOT_COERCE => {
                            let shown = crate::types::format_type(new.data_type, new.modifier);
                            let message = format!(
                                "default for column \"{}\" cannot be cast automatically to type {shown}",
                                changed.name
                            );
                            Error::new(SqlState::DATATYPE_MISMATCH, message)
                        }
                        _ => error,
                    });
                }
            }
            self.change_identity_type(&old, new)?;
            let changed = &mut table.columns[new.position];
            changed.data_type = new.data_type.0;
            changed.modifier = new.modifier;
            changed.collation = new.collation;
            changed.missing = None;
            if let Some(statistics) = &mut table.statistics
                && let Some(column) = statistics.columns.get_mut(new.position)
            {
                *column = None;
            }
        }
        self.renew_exclusion_operators(table)?;
        let mut values = Vec::with_capacity(new_types.len());
        let mut transform = |row: &mut Vec<Datum>, context: &ExecContext<'_>| {
            values.clear();
            for new in &new_types {
                values.push(eval_row(&new.value, row, context)?);
            }
            for (new, value) in new_types.iter().zip(values.drain(..)) {
                row[new.position] = value;
            }
            Ok(())
        };
        self.rewrite(&old, table, Some(&mut transform))?;
        self.validate_all(table)
    }

    /// An identity column's sequence counts in the column's type; a bound that was the old type's becomes the new one's.
    fn change_identity_type(&self, old: &Table, new: &NewType) -> Result<()> {
        let column = &old.columns[new.position];
        let (Some(_), Some(oid)) = (column.identity, column.sequence) else { return Ok(()) };
        let ranges =
            (crate::sequence::type_range(column.data_type()), crate::sequence::type_range(new.data_type));
        let (Some(before), Some(after)) = ranges else { return Ok(()) };
        let Some(sequence) = self.catalog().sequence(oid) else { return Ok(()) };
        let mut sequence = Sequence::clone(&sequence);
        sequence.data_type = new.data_type.0;
        if sequence.min == before.0 || sequence.min < after.0 {
            sequence.min = after.0;
        }
        if sequence.max == before.1 || sequence.max > after.1 {
            sequence.max = after.1;
        }
        self.put_sequence(sequence)
    }

    /// A column of a foreign key, on either side, must stay comparable with its counterpart.
    fn check_keys_with_type(&self, table: &Table, position: usize, new_type: Type) -> Result<()> {
        let catalog = self.catalog();
        let incoming = catalog.references_to(table.oid).iter().filter_map(|&(referencing, constraint)| {
            let referencing = catalog.table(referencing)?;
            let entry = referencing.constraint(constraint)?.clone();
            Some((referencing, entry))
        });
        let outgoing =
            table.constraints.iter().map(|entry| (std::sync::Arc::new(table.clone()), entry.clone()));
        for (referencing, entry) in incoming.chain(outgoing) {
            let Some(key) = entry.foreign_key() else { continue };
            let referenced = catalog.table(key.referenced);
            let Some(referenced) = referenced else { continue };
            for (&from, &to) in key.columns.iter().zip(&key.referenced_columns) {
                let changes_from = referencing.oid == table.oid && from == position;
                let changes_to = referenced.oid == table.oid && to == position;
                let from_type = if changes_from { new_type } else { referencing.columns[from].data_type() };
                let to_type = if changes_to { new_type } else { referenced.columns[to].data_type() };
                if (changes_from || changes_to)
                    && !crate::exec::foreign_key::is_comparable(from_type, to_type)
                {
                    let message = format!("foreign key constraint \"{}\" cannot be implemented", entry.name);
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).detail(format!(
                        "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                        referencing.columns[from].name,
                        referenced.columns[to].name,
                        from_type.display(),
                        to_type.display()
                    )));
                }
            }
        }
        Ok(())
    }

    // ---- constraints ----

    fn alter_add_constraint(&self, table: &mut Table, pending: &Pending, validate: bool) -> Result<()> {
        let old = table.clone();
        match self.add_constraint(table, pending)? {
            Added::Check(position) if validate => self.validate_check(table, position),
            Added::ForeignKey(position) if validate => self.validate_foreign_key(table, position),
            Added::Check(position) | Added::ForeignKey(position) => {
                table.constraints[position].validated = false;
                Ok(())
            }
            Added::Nothing => Ok(()),
            Added::Index(position) => {
                self.validate_newly_not_null(&old, table)?;
                self.build_index(table, position)
            }
            Added::PrimaryKey => {
                self.validate_newly_not_null(&old, table)?;
                self.rewrite(&old, table, None)
            }
        }
    }

    /// A primary key makes its columns NOT NULL.
    pub(super) fn validate_newly_not_null(&self, old: &Table, new: &Table) -> Result<()> {
        let newly = |at: &usize| new.columns[*at].not_null && !old.columns[*at].not_null;
        let columns: Vec<usize> = (0..old.columns.len()).filter(newly).collect();
        match columns.is_empty() {
            true => Ok(()),
            false => self.validate_not_null(old, &columns),
        }
    }

    fn alter_drop_constraint(
        &self,
        table: &mut Table,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(position) = table.constraints.iter().position(|constraint| constraint.name == name) else {
            if if_exists {
                let message =
                    format!("constraint \"{name}\" of relation \"{}\" does not exist, skipping", table.name);
                self.notice(message);
                return Ok(());
            }
            return Err(no_constraint(table, name));
        };
        if let ConstraintKind::PrimaryKey(index) | ConstraintKind::Unique(index) =
            table.constraints[position].kind
        {
            let what = format!("constraint {name} on table {}", table.name);
            self.clear_references(table, &[index], &what, cascade)?;
        }
        let old = table.clone();
        // A foreign key of the table to itself may have gone with the references.
        let Some(position) = table.constraints.iter().position(|constraint| constraint.name == name) else {
            return Ok(());
        };
        let constraint = table.constraints.remove(position);
        let (ConstraintKind::PrimaryKey(index)
        | ConstraintKind::Unique(index)
        | ConstraintKind::Exclusion(index)) = constraint.kind
        else {
            return Ok(());
        };
        let Some((position, _)) = table.index(index) else { return Ok(()) };
        let index = table.indexes.remove(position);
        self.give_relation_name(table.schema, &index.name)?;
        if index.clustered {
            table.primary_key.clear();
            return self.rewrite(&old, table, None);
        }
        self.drop_tree(index.tree)
    }

    /// 23502 if a row has a null in one of these columns.
    fn validate_not_null(&self, table: &Table, columns: &[usize]) -> Result<()> {
        self.transaction.borrow_mut().next_command();
        self.with_exec(|context| {
            let shape = Shape::of_draft(table, context)?;
            loader::scan_all(&shape.tree, context, |_, value| {
                for &column in columns {
                    let stored = crate::table::row::decode_column(value, &shape.types, column)?;
                    if matches!(stored.as_ref().unwrap_or(&shape.missing[column]), Datum::Null) {
                        let name = &table.columns[column].name;
                        let message =
                            format!("column \"{name}\" of relation \"{}\" contains null values", table.name);
                        return Err(Error::new(SqlState::NOT_NULL_VIOLATION, message).on_column(name));
                    }
                }
                Ok(())
            })
        })
    }

    fn validate_check(&self, table: &Table, constraint: usize) -> Result<()> {
        let name = table.constraints[constraint].name.clone();
        self.validate_where(table, |candidate| candidate == name)
    }

    fn validate_all(&self, table: &Table) -> Result<()> {
        if table.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::Check(_))) {
            self.validate_where(table, |_| true)?;
        }
        Ok(())
    }

    /// 23514 if a row fails one of the checks chosen by name.
    fn validate_where(&self, table: &Table, chosen: impl Fn(&str) -> bool) -> Result<()> {
        self.transaction.borrow_mut().next_command();
        self.with_exec(|context| {
            let shape = Shape::of_draft(table, context)?;
            loader::scan_all(&shape.tree, context, |_, value| {
                let row = shape.decode_row(value)?;
                for (name, condition) in shape.checks.iter().filter(|(name, _)| chosen(name)) {
                    if matches!(eval_row(condition, &row, context)?, Datum::Bool(false)) {
                        let message = format!(
                            "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                            table.name
                        );
                        return Err(Error::new(SqlState::CHECK_VIOLATION, message).on_constraint(name));
                    }
                }
                Ok(())
            })
        })
    }

    // ---- names ----

    fn rename_column(&self, table: &mut Table, from: &str, to: &str) -> Result<()> {
        let missing = || Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{from}\" does not exist"));
        let position = column(table, from).map_err(|_| missing())?;
        if table.column_index(to).is_some() {
            let message = format!("column \"{to}\" of relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        super::column::check_name(table, to)?;
        let catalog = self.catalog();
        if let Some(view) = catalog.tables().find(|view| {
            view.depends_on.contains(&table.oid)
                && view.view.as_deref().is_some_and(|text| expression::names_column(text, from))
        }) {
            // Views are kept as text, which would no longer mean the same.
            return Err(Error::unsupported(format!("renaming a column that view \"{}\" uses", view.name)));
        }
        table.columns[position].name = to.to_string();
        for constraint in &mut table.constraints {
            if let ConstraintKind::Check(text) = &mut constraint.kind {
                *text = expression::rename_column(text, from, to);
            }
        }
        let rename = |text: &mut Option<String>| {
            *text = text.take().map(|text| expression::rename_column(&text, from, to));
        };
        for index in &mut table.indexes {
            index.keys.iter_mut().for_each(|key| rename(&mut key.expression));
            rename(&mut index.predicate);
        }
        for column in table.columns.iter_mut().filter(|column| column.generated) {
            column.default = column.default.take().map(|text| expression::rename_column(&text, from, to));
        }
        Ok(())
    }

    fn rename_constraint(&self, table: &mut Table, from: &str, to: &str) -> Result<()> {
        if table.constraints.iter().any(|constraint| constraint.name == to) {
            let message = format!("constraint \"{to}\" for relation \"{}\" already exists", table.name);
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let found = table.constraints.iter().position(|constraint| constraint.name == from);
        let found = found.ok_or_else(|| no_constraint(table, from))?;
        if let ConstraintKind::PrimaryKey(oid) | ConstraintKind::Unique(oid) | ConstraintKind::Exclusion(oid) =
            table.constraints[found].kind
            && let Some((position, _)) = table.index(oid)
        {
            self.take_relation_name(table.schema, to, oid)?;
            self.give_relation_name(table.schema, &table.indexes[position].name)?;
            table.indexes[position].name = to.to_string();
        }
        table.constraints[found].name = to.to_string();
        Ok(())
    }

    fn set_schema(&self, table: &mut Table, schema: &str) -> Result<()> {
        let catalog = self.catalog();
        let schema = names::creation_schema(&catalog, &[], Some(schema))?.oid;
        if schema == table.schema {
            return Ok(());
        }
        super::owner::check_create(&catalog, schema, self.core.role.get())?;
        let indexes = table.indexes.iter().map(|index| (index.name.clone(), index.oid));
        for (name, oid) in indexes.chain([(table.name.clone(), table.oid)]) {
            self.take_relation_name(schema, &name, oid)?;
            self.give_relation_name(table.schema, &name)?;
        }
        table.schema = schema;
        let oid = table.oid;
        let owned =
            |sequence: &&std::sync::Arc<Sequence>| sequence.owned_by.is_some_and(|(owner, _)| owner == oid);
        for sequence in catalog.sequences().filter(owned) {
            self.take_relation_name(schema, &sequence.name, sequence.oid)?;
            self.give_relation_name(sequence.schema, &sequence.name)?;
            let moved = Sequence { schema, ..Sequence::clone(sequence) };
            self.put_sequence(moved.clone())?;
            self.refresh_serial_default(table, &moved);
        }
        Ok(())
    }

    /// After its sequence was renamed or moved, a serial column's default names it anew.
    fn refresh_serial_default(&self, table: &mut Table, sequence: &Sequence) {
        for column in &mut table.columns {
            if column.sequence == Some(sequence.oid) && column.default.is_some() {
                column.default = Some(self.nextval_text(sequence));
            }
        }
    }

    pub(super) fn rename(
        &self,
        object: ObjectKind,
        name: &ObjectName,
        if_exists: bool,
        to: &str,
    ) -> Result<()> {
        match object {
            ObjectKind::Schema => return self.rename_schema(&names::display(name), to),
            ObjectKind::Database => return self.rename_database(&names::display(name), to),
            ObjectKind::Role => return self.rename_role(&names::display(name), to),
            _ => {}
        }
        let Some(found) = self.open_relation(name, RelationLockMode::AccessExclusive)? else {
            if if_exists {
                let name = name.parts.last().map_or("", String::as_str);
                self.notice(format!("relation \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(names::no_relation(name));
        };
        match found {
            Relation::Table(table) => {
                self.require_owner(table.owner, "table", &table.name)?;
                self.take_relation_name(table.schema, to, table.oid)?;
                self.give_relation_name(table.schema, &table.name)?;
                let mut renamed = Table::clone(&table);
                renamed.name = to.to_string();
                self.put_table(renamed)?;
            }
            Relation::Index(table, position) => {
                self.require_owner(table.owner, "index", &table.indexes[position].name)?;
                let mut changed = Table::clone(&table);
                let index = &mut changed.indexes[position];
                self.take_relation_name(table.schema, to, index.oid)?;
                self.give_relation_name(table.schema, &index.name)?;
                let before = std::mem::replace(&mut index.name, to.to_string());
                // A constraint and its index have one name.
                for constraint in
                    changed.constraints.iter_mut().filter(|constraint| constraint.name == before)
                {
                    constraint.name = to.to_string();
                }
                self.put_table(changed)?;
            }
            Relation::Sequence(sequence) => {
                self.require_owner(sequence.owner, "sequence", &sequence.name)?;
                self.take_relation_name(sequence.schema, to, sequence.oid)?;
                self.give_relation_name(sequence.schema, &sequence.name)?;
                let renamed = Sequence { name: to.to_string(), ..Sequence::clone(&sequence) };
                self.put_sequence(renamed.clone())?;
                self.follow_relation((sequence.schema, &sequence.name), (sequence.schema, to))?;
            }
            Relation::System(_) => return Err(names::wrong_kind(name, "a table")),
        }
        Ok(())
    }
}

/// Where in a family an ALTER TABLE has arrived.
#[derive(Clone, Copy)]
struct Place {
    /// At a child of the table that is named.
    inherited: bool,
    only: bool,
}

/// Whether the column is the child's own, or another parent's, beside the one that loses it.
fn keeps_column(table: &Table, name: &str) -> bool {
    table.column_index(name).is_none_or(|at| table.columns[at].inherited > 1 || table.columns[at].local)
}

fn keeps_check(table: &Table, name: &str) -> bool {
    let mut own = table.constraints.iter().filter(|own| own.name == name);
    own.next().is_none_or(|own| own.inherited != 1 || own.local)
}

fn is_in_key(table: &Table, name: &str) -> bool {
    let keys = table.inheritance.partitioning.iter().flat_map(|partitioning| &partitioning.keys);
    let at = table.column_index(name);
    at.is_some()
        && keys.into_iter().any(|key| match &key.expression {
            None => key.column == at,
            Some(text) => expression::names_column(text, name),
        })
}

/// Whether children have the constraint too, each for itself.
fn is_passed_on(table: &Table, name: &str) -> bool {
    let found = table.constraints.iter().find(|own| own.name == name);
    found.is_some_and(|own| matches!(own.kind, ConstraintKind::Check(_)) && !own.no_inherit)
}

/// What children do as their parent (`table`, as it is by now) did.
fn passed_on(table: &Table, action: &Action, place: Place) -> Option<Action> {
    use crate::parse::ast::TableConstraintKind as Kind;
    match action {
        Action::AddColumn { .. }
        | Action::AlterType { .. }
        | Action::RenameColumn { .. }
        | Action::DropExpression { .. } => Some(action.clone()),
        Action::SetNotNull(_) | Action::DropNotNull(_) | Action::SetDefault(..) | Action::DropDefault(_)
            if !place.only =>
        {
            Some(action.clone())
        }
        Action::DropColumn { name, cascade, .. } if !place.only => {
            Some(Action::DropColumn { name: name.clone(), if_exists: true, cascade: *cascade })
        }
        Action::SetTrigger { .. } if !place.only && table.is_partitioned() => Some(action.clone()),
        Action::AddConstraint { constraint, not_valid } => match &constraint.kind {
            Kind::Check { text, no_inherit: false, .. } => {
                let mut constraint = constraint.clone();
                // Under the name that it got.
                if constraint.name.is_none() {
                    let same = |own: &&crate::catalog::Constraint| matches!(&own.kind, ConstraintKind::Check(other) if other == text);
                    constraint.name = table.constraints.iter().rev().find(same).map(|own| own.name.clone());
                }
                Some(Action::AddConstraint { constraint, not_valid: *not_valid })
            }
            _ => None,
        },
        // Children keep what is theirs alone (`keeps_check`).
        Action::DropConstraint { name, cascade, .. } if !place.only => {
            // Parts of keys are gone by now.
            Some(Action::DropConstraint { name: name.clone(), if_exists: true, cascade: *cascade })
        }
        Action::ValidateConstraint(name) if !place.only => is_passed_on(table, name).then(|| action.clone()),
        Action::RenameConstraint { to, .. } => is_passed_on(table, to).then(|| action.clone()),
        _ => None,
    }
}

/// A column's new type, and its value over the old row.
struct NewType {
    position: usize,
    data_type: Type,
    modifier: i32,
    collation: Option<Oid>,
    value: Bound,
}

/// PostgreSQL's AT_PASS_*.
fn pass(action: &Action) -> u8 {
    use crate::parse::ast::TableConstraintKind as Kind;
    match action {
        Action::DropColumn { .. }
        | Action::DropConstraint { .. }
        | Action::DropDefault(_)
        | Action::DropNotNull(_)
        | Action::DropIdentity { .. }
        | Action::DropExpression { .. } => 0,
        Action::AlterType { .. } => 1,
        Action::AddColumn { .. } => 2,
        Action::SetNotNull(_) | Action::SetStatistics(..) | Action::SetStorage(_) => 3,
        Action::AddConstraint { constraint, .. } => match constraint.kind {
            Kind::PrimaryKey { .. } | Kind::Unique { .. } | Kind::Exclude(_) => 4,
            Kind::Check { .. } | Kind::ForeignKey { .. } => 5,
        },
        Action::SetDefault(..) | Action::AddIdentity { .. } | Action::AlterIdentity { .. } => 5,
        _ => 6,
    }
}

fn drop_value(_: usize) {}

fn column(table: &Table, name: &str) -> Result<usize> {
    table.column_index(name).ok_or_else(|| names::no_column(table, name))
}

fn not_identity(table: &Table, name: &str) -> Error {
    let message = format!("column \"{name}\" of relation \"{}\" is not an identity column", table.name);
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

fn no_constraint(table: &Table, name: &str) -> Error {
    let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name);
    Error::new(SqlState::UNDEFINED_OBJECT, message)
}

fn integer(value: i64, data_type: Type) -> Result<Datum> {
    let out_of_range = || {
        let message = format!("{} out of range", data_type.display());
        Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    match data_type {
        Type::INT2 => i16::try_from(value).map(Datum::Int2).map_err(|_| out_of_range()),
        Type::INT4 => i32::try_from(value).map(Datum::Int4).map_err(|_| out_of_range()),
        _ => Ok(Datum::Int8(value)),
    }
}

/// Whether the expression has one value, whenever and however often it is evaluated.
fn is_constant(expr: &Bound) -> bool {
    match expr {
        Bound::Constant { .. } => true,
        Bound::Cast { operand, .. } => is_constant(operand),
        Bound::Call { function, arguments, .. } => {
            function.volatility == Volatility::Immutable && arguments.iter().all(is_constant)
        }
        _ => false,
    }
}
