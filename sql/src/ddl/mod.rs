//! CREATE, ALTER, DROP and the rest of what changes definitions; one file a concept. All of it is transactional: descriptors are
//! rows of the catalog's tree, trees belong to their transaction until it commits, and the session sees its own changes through its
//! catalog overlay.
//!
//! Order of work in each statement: find the object by name, lock it (strongest mode that the statement needs, at once), look
//! it up again, change a copy of its descriptor, write the copy.

mod alter_table;
mod column;
mod comment;
mod constraint;
mod create_table;
mod database;
mod drop;
mod expression;
mod extension;
mod foreign_key;
pub(crate) mod index;
mod inheritance;
mod large_object;
mod membership;
pub(crate) mod names;
pub(crate) mod on_commit;
mod owner;
mod partition;
mod privilege;
mod rewrite;
mod role;
mod routine;
mod schema;
mod sequence;
mod trigger;
mod truncate;
mod user_type;
mod view;

use crate::catalog::acl::denied;
use crate::catalog::store::NameSpace;
use crate::catalog::{Catalog, Change, Object, Privileges, Relation, Schema, Sequence, Table};
use crate::error::{Error, Result, Severity, SqlState};
use crate::exec::ExecContext;
use crate::functions::EvalContext;
use crate::parse::ast::{ObjectKind, ObjectName, RoutineClass, StatementKind};
use crate::plan::{PlanContext, permissions};
use crate::session::core::Core;
use crate::types::{Datum, Oid, Type};
use serin_storage::{Tree, TreeId};
use serin_txn::{Isolation, RelationLockMode, Transaction, WaitPolicy};
use std::cell::RefCell;
use std::sync::Arc;

/// What a definition statement works with.
pub(crate) struct Ddl<'a> {
    pub core: &'a Core,
    pub transaction: &'a RefCell<Transaction>,
    pub eval: &'a EvalContext<'a>,
    /// Of CREATE TABLE AS.
    parameters: &'a [Datum],
    parameter_types: &'a [Type],
    /// What DROP … CASCADE has taken with it so far.
    cascaded: RefCell<Vec<String>>,
}

/// The statement's name, as tags and messages have it.
pub(crate) fn command(kind: &StatementKind) -> &'static str {
    use StatementKind as S;
    match kind {
        S::CreateTable(_) => "CREATE TABLE",
        S::CreateTableAs { materialized: Some(_), .. } => "CREATE MATERIALIZED VIEW",
        S::CreateTableAs { .. } => "CREATE TABLE AS",
        S::RefreshMaterializedView { .. } => "REFRESH MATERIALIZED VIEW",
        S::Query(_) => "SELECT INTO",
        S::CreateIndex(_) => "CREATE INDEX",
        S::CreateSequence { .. } => "CREATE SEQUENCE",
        S::AlterSequence { .. } => "ALTER SEQUENCE",
        S::CreateSchema { .. } => "CREATE SCHEMA",
        S::CreateView { .. } => "CREATE VIEW",
        S::CreateDatabase { .. } => "CREATE DATABASE",
        S::DropDatabase { .. } => "DROP DATABASE",
        S::CreateRole { .. } => "CREATE ROLE",
        S::AlterRole { .. } => "ALTER ROLE",
        S::AlterSetting { target: crate::parse::ast::SettingTarget::System, .. } => "ALTER SYSTEM",
        S::AlterSetting { target: crate::parse::ast::SettingTarget::Database(_), .. } => "ALTER DATABASE",
        S::AlterSetting { .. } => "ALTER ROLE",
        S::AlterTable(_) => "ALTER TABLE",
        S::Rename { object, .. } => match object {
            ObjectKind::Index => "ALTER INDEX",
            ObjectKind::Sequence => "ALTER SEQUENCE",
            ObjectKind::View => "ALTER VIEW",
            ObjectKind::MaterializedView => "ALTER MATERIALIZED VIEW",
            ObjectKind::Schema => "ALTER SCHEMA",
            ObjectKind::Database => "ALTER DATABASE",
            ObjectKind::Role => "ALTER ROLE",
            _ => "ALTER TABLE",
        },
        S::Drop { object, .. } => match object {
            ObjectKind::Table => "DROP TABLE",
            ObjectKind::Index => "DROP INDEX",
            ObjectKind::Sequence => "DROP SEQUENCE",
            ObjectKind::View => "DROP VIEW",
            ObjectKind::Schema => "DROP SCHEMA",
            ObjectKind::Role => "DROP ROLE",
            ObjectKind::MaterializedView => "DROP MATERIALIZED VIEW",
            ObjectKind::Type => "DROP TYPE",
            ObjectKind::Domain => "DROP DOMAIN",
            ObjectKind::Function => "DROP FUNCTION",
            ObjectKind::Extension => "DROP EXTENSION",
            ObjectKind::Trigger => "DROP TRIGGER",
            _ => "DROP",
        },
        S::Truncate { .. } => "TRUNCATE TABLE",
        S::Comment { .. } | S::CommentOnRoutine { .. } => "COMMENT",
        S::Grant(grant) if grant.grant => "GRANT",
        S::Grant(_) => "REVOKE",
        S::GrantRole(grant) if grant.grant => "GRANT ROLE",
        S::GrantRole(_) => "REVOKE ROLE",
        S::DefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        S::ReassignOwned { .. } => "REASSIGN OWNED",
        S::DropOwned { .. } => "DROP OWNED",
        S::Owner { object: ObjectKind::Schema, .. } => "ALTER SCHEMA",
        S::Owner { object: ObjectKind::LargeObject, .. } => "ALTER LARGE OBJECT",
        S::Owner { .. } => "ALTER DATABASE",
        S::Reindex { .. } => "REINDEX",
        S::CreateRoutine(create) if create.procedure => "CREATE PROCEDURE",
        S::CreateRoutine(_) => "CREATE FUNCTION",
        S::DropRoutine { class: RoutineClass::Function, .. } => "DROP FUNCTION",
        S::DropRoutine { class: RoutineClass::Procedure, .. } => "DROP PROCEDURE",
        S::DropRoutine { class: RoutineClass::Routine, .. } => "DROP ROUTINE",
        S::AlterRoutine { class: RoutineClass::Function, .. } => "ALTER FUNCTION",
        S::AlterRoutine { class: RoutineClass::Procedure, .. } => "ALTER PROCEDURE",
        S::AlterRoutine { class: RoutineClass::Routine, .. } => "ALTER ROUTINE",
        S::CreateTrigger(_) => "CREATE TRIGGER",
        S::DropTrigger { .. } => "DROP TRIGGER",
        S::RenameTrigger { .. } => "ALTER TRIGGER",
        S::CreateType { .. } => "CREATE TYPE",
        S::CreateDomain(_) => "CREATE DOMAIN",
        S::AlterType { domain: true, .. } => "ALTER DOMAIN",
        S::AlterType { .. } => "ALTER TYPE",
        S::CreateExtension { .. } => "CREATE EXTENSION",
        S::AlterExtension { .. } => "ALTER EXTENSION",
        _ => "this statement",
    }
}

impl<'a> Ddl<'a> {
    pub fn new(core: &'a Core, transaction: &'a RefCell<Transaction>, eval: &'a EvalContext<'a>) -> Ddl<'a> {
        let cascaded = RefCell::default();
        Ddl { core, transaction, eval, parameters: &[], parameter_types: &[], cascaded }
    }
    pub fn with_parameters(self, parameters: &'a [Datum], parameter_types: &'a [Type]) -> Ddl<'a> {
        Ddl { parameters, parameter_types, ..self }
    }
}

impl Ddl<'_> {
    /// Carries the statement out; the answer is its command tag.
    pub fn run(&self, kind: &StatementKind) -> Result<String> {
        let tag = self.carry_out(kind)?;
        self.report_cascade();
        Ok(tag)
    }

    fn carry_out(&self, kind: &StatementKind) -> Result<String> {
        use StatementKind as S;
        match kind {
            S::CreateTable(create) => self.create_table(create)?,
            S::CreateTableAs {
                name,
                columns,
                if_not_exists,
                temporary,
                on_commit,
                with_data,
                materialized,
                query,
            } => {
                return self.create_table_as(&create_table::CreateTableAs {
                    name,
                    columns,
                    if_not_exists: *if_not_exists,
                    temporary: *temporary,
                    on_commit: on_commit.as_deref(),
                    with_data: *with_data,
                    materialized: materialized.as_deref(),
                    query,
                });
            }
            S::RefreshMaterializedView { name, concurrently, with_data } => {
                self.refresh_materialized_view(name, *concurrently, *with_data)?;
            }
            S::Query(query) => return self.select_into(query),
            S::CreateIndex(create) => self.create_index(create)?,
            S::CreateSequence { name, if_not_exists, temporary, options, data_type, owned_by } => self
                .create_sequence(
                    name,
                    *if_not_exists,
                    *temporary,
                    options,
                    data_type.as_ref(),
                    owned_by.as_ref(),
                )?,
            S::AlterSequence { name, if_exists, data_type, options, restart, owned_by } => {
                let (data_type, owned_by) = (data_type.as_ref(), owned_by.as_ref());
                self.alter_sequence(name, *if_exists, data_type, options, *restart, owned_by)?;
            }
            S::CreateSchema { name, if_not_exists, authorization } => {
                self.create_schema(name.as_deref(), *if_not_exists, authorization.as_ref())?;
            }
            S::CreateView { name, columns, replace, temporary, options, query, text } => {
                self.create_view((name, columns), (*replace, *temporary), options, query, text)?;
            }
            S::CreateDatabase { name, options } => self.create_database(name, options)?,
            S::DropDatabase { name, if_exists, force } => self.drop_database(name, *if_exists, *force)?,
            S::CreateRole { name, options } => self.create_role(name, options)?,
            S::AlterRole { role, options } => self.alter_role(role, options)?,
            S::AlterSetting { target, name, value } => self.alter_setting(target, name, value.as_ref())?,
            S::AlterTable(alter) => self.alter_table(alter)?,
            S::Rename { object, name, if_exists, to } => self.rename(*object, name, *if_exists, to)?,
            S::Drop { object, names, if_exists, cascade, .. } => {
                self.drop_objects(*object, names, *if_exists, *cascade)?;
            }
            S::Truncate { tables, restart_identity, cascade } => {
                self.truncate(tables, *restart_identity, *cascade)?;
            }
            S::Comment { object, name, column, text } => {
                self.comment(*object, name, column.as_deref(), text.clone())?;
            }
            S::CommentOnRoutine { class, signature, text } => {
                self.comment_on_routine(*class, signature, text.clone())?;
            }
            S::Grant(grant) => self.grant(grant)?,
            S::GrantRole(grant) => self.grant_role(grant)?,
            S::DefaultPrivileges(statement) => self.default_privileges(statement)?,
            S::ReassignOwned { roles, to } => self.reassign_owned(roles, to)?,
            S::DropOwned { roles, cascade } => self.drop_owned(roles, *cascade)?,
            S::Owner { object, name, to } => self.change_owner(*object, name, to)?,
            S::CreateRoutine(create) => self.create_routine(create)?,
            S::DropRoutine { class, names, if_exists, cascade } => {
                self.drop_routines(*class, names, *if_exists, *cascade)?;
            }
            S::AlterRoutine { class, signature, action } => self.alter_routine(*class, signature, action)?,
            S::CreateTrigger(create) => self.create_trigger(create)?,
            S::DropTrigger { name, table, if_exists, .. } => self.drop_trigger(name, table, *if_exists)?,
            S::CreateType { name, definition } => self.create_type(name, definition)?,
            S::CreateDomain(create) => self.create_domain(create)?,
            S::AlterType { domain, name, action } => self.alter_type(*domain, name, action)?,
            S::CreateExtension { name, if_not_exists, schema, version, .. } => {
                self.create_extension(name, *if_not_exists, schema.as_deref(), version.as_deref())?;
            }
            S::AlterExtension { name, action } => self.alter_extension(name, action)?,
            S::RenameTrigger { name, table, to } => self.rename_trigger(name, table, to)?,
            S::Reindex { object, name } => self.reindex(*object, name)?,
            _ => return Err(Error::internal("not a definition statement")),
        }
        Ok(command(kind).to_string())
    }

    // ---- what all of them use ----

    pub fn catalog(&self) -> Arc<Catalog> {
        self.core.catalog()
    }
    pub fn search_path(&self) -> Arc<[String]> {
        self.core.search_path.borrow().clone()
    }
    pub fn notice(&self, message: impl Into<String>) {
        let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message).severity(Severity::Notice);
        self.core.notice(notice);
    }
    /// What is done without being asked for, as PostgreSQL says it at DEBUG1 only.
    pub fn debug(&self, message: impl Into<String>) {
        let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message).severity(Severity::Debug);
        self.core.notice(notice);
    }
    /// IF NOT EXISTS, and it does: the code is the error's that it would be without.
    pub fn notice_existing(&self, state: SqlState, message: &str) {
        let notice = Error::new(state, format!("{message}, skipping")).severity(Severity::Notice);
        self.core.notice(notice);
    }
    pub fn lock(&self, oid: Oid, mode: RelationLockMode) -> Result<()> {
        Ok(self.transaction.borrow_mut().lock_relation(oid, mode, WaitPolicy::Block)?)
    }
    pub fn new_oid(&self) -> Result<Oid> {
        self.core.engine.new_oid()
    }
    pub fn write(&self, change: Change) -> Result<()> {
        self.core.engine.trees.write(&mut self.transaction.borrow_mut(), &change)?;
        self.core.change_catalog(change);
        Ok(())
    }
    pub fn put_table(&self, table: Table) -> Result<Arc<Table>> {
        let oid = table.oid;
        self.write(Change::put(Object::Table(Arc::new(table))))?;
        self.catalog().table(oid).ok_or_else(|| Error::internal("a table was not written"))
    }
    pub fn put_sequence(&self, sequence: Sequence) -> Result<()> {
        self.write(Change::put(Object::Sequence(Arc::new(sequence))))
    }
    pub fn put_schema(&self, schema: Schema) -> Result<()> {
        self.write(Change::put(Object::Schema(Arc::new(schema))))
    }
    /// Takes a relation's name in a schema: 42P07 if another has it.
    pub fn take_relation_name(&self, schema: Oid, name: &str, oid: Oid) -> Result<()> {
        let trees = &self.core.engine.trees;
        let mut transaction = self.transaction.borrow_mut();
        if trees.take_name(&mut transaction, (NameSpace::Relation, schema), name, oid)? {
            return Ok(());
        }
        Err(names::relation_exists(name))
    }
    pub fn give_relation_name(&self, schema: Oid, name: &str) -> Result<()> {
        let trees = &self.core.engine.trees;
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Relation, schema), name)
    }
    pub fn create_tree(&self) -> Result<Arc<Tree>> {
        let tree = self.transaction.borrow_mut().create_tree()?;
        self.core.engine.runtime.tree_created(&tree);
        self.core.created_trees.borrow_mut().push(tree.id());
        Ok(tree)
    }
    pub fn drop_tree(&self, tree: TreeId) -> Result<()> {
        Ok(self.transaction.borrow_mut().drop_tree(tree)?)
    }
    /// All trees of a table.
    pub fn drop_trees(&self, table: &Table) -> Result<()> {
        if table.is_view() {
            return Ok(());
        }
        self.drop_tree(table.tree)?;
        for index in table.indexes.iter().filter(|index| !index.clustered) {
            self.drop_tree(index.tree)?;
        }
        Ok(())
    }
    /// Whether the transaction has taken a snapshot that it keeps: an index made now lacks versions which that snapshot still sees.
    pub fn keeps_snapshot(&self) -> bool {
        let transaction = self.transaction.borrow();
        transaction.isolation() != Isolation::ReadCommitted && transaction.has_snapshot()
    }
    pub fn with_plan_context<R>(&self, work: impl FnOnce(&PlanContext<'_>) -> Result<R>) -> Result<R> {
        let catalog = self.catalog();
        let search_path = self.search_path();
        let settings = self.core.settings.borrow().typed().planner;
        work(&PlanContext {
            catalog: &catalog,
            search_path: &search_path,
            eval: self.eval,
            settings,
            variables: None,
        })
    }
    /// Calls `work` with what expressions and scans are run with.
    pub fn with_exec<R>(&self, work: impl FnOnce(&ExecContext<'_>) -> Result<R>) -> Result<R> {
        let catalog = self.catalog();
        let EvalContext { render, transaction_time, statement_time, services } = *self.eval;
        // Apart, so that the settings are not borrowed while functions, which may change them, run.
        let work_mem_bytes = self.core.settings.borrow().typed().work_mem_bytes;
        work(&ExecContext {
            transaction: self.transaction,
            eval: EvalContext { render, transaction_time, statement_time, services },
            catalog: &catalog,
            parameters: self.parameters,
            work_mem_bytes,
            core: Some(self.core),
        })
    }
    /// maintenance_work_mem, for sorts.
    pub fn sort_bytes(&self) -> usize {
        const DEFAULT: usize = 64 << 20;
        let text = self.core.setting("maintenance_work_mem", None).ok();
        text.and_then(|text| parse_memory(&text)).unwrap_or(DEFAULT).max(1 << 20)
    }
    /// Runs `work` with another role's privileges.
    pub fn acting_as<T>(&self, role: Oid, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let depth = self.core.act_as(role);
        let result = work();
        self.core.stop_acting(depth);
        result
    }
    pub fn require_owner(&self, owner: Oid, what: &str, name: &str) -> Result<()> {
        if self.catalog().has_privileges_of(self.core.role.get(), owner) {
            return Ok(());
        }
        let message = format!("must be owner of {what} {name}");
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
    }

    /// Finds a relation and locks it; None if there is none. Looks again after each wait, as the name may mean something else by then.
    pub fn open_relation(&self, name: &ObjectName, mode: RelationLockMode) -> Result<Option<Relation>> {
        self.open_relation_if(name, mode, |found| self.require_owner_of(found))
    }

    fn require_owner_of(&self, found: &Relation) -> Result<()> {
        let catalog = self.catalog();
        let object = permissions::guarded(found, &catalog);
        self.require_owner(object.owner, object.word, object.name)
    }

    /// `may` is asked before the lock: whom it refuses shall not keep others waiting.
    pub fn open_relation_if(
        &self,
        name: &ObjectName,
        mode: RelationLockMode,
        may: impl Fn(&Relation) -> Result<()>,
    ) -> Result<Option<Relation>> {
        let mut locked = None;
        loop {
            let catalog = self.catalog();
            if let [.., schema, _] = &name.parts[..] {
                crate::plan::permissions::check_schema(schema, self.core.role.get(), &catalog)?;
            }
            let Some(found) = names::find_relation(&catalog, &self.search_path(), name)? else {
                return Ok(None);
            };
            // What is locked is the table: an index has no life without it.
            let oid = match &found {
                Relation::Table(table) | Relation::Index(table, _) => table.oid,
                Relation::Sequence(sequence) => sequence.oid,
                Relation::System(system) => {
                    let message = format!("permission denied: \"{}\" is a system catalog", system.name);
                    return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
            };
            may(&found)?;
            if locked == Some(oid) {
                return Ok(Some(found));
            }
            self.lock(oid, mode)?;
            locked = Some(oid);
        }
    }

    /// As `open_relation`, for a table that must exist (and be a table, not a view).
    pub fn open_table(&self, name: &ObjectName, mode: RelationLockMode) -> Result<Arc<Table>> {
        self.open_table_that(name, mode, |table| table.view.is_none())
    }

    /// As `open_table`, for what may have indexes.
    pub fn open_indexed(&self, name: &ObjectName, mode: RelationLockMode) -> Result<Arc<Table>> {
        self.open_table_that(name, mode, |table| !table.is_view())
    }

    fn open_table_that(
        &self,
        name: &ObjectName,
        mode: RelationLockMode,
        is_fit: impl FnOnce(&Table) -> bool,
    ) -> Result<Arc<Table>> {
        let may = |found: &Relation| match found {
            Relation::Table(table) => self.require_owner(table.owner, "table", &table.name),
            _ => Ok(()),
        };
        match self.open_relation_if(name, mode, may)? {
            None => Err(names::no_relation(name)),
            Some(Relation::Table(table)) if is_fit(&table) => Ok(table),
            Some(_) => Err(names::wrong_kind(name, "a table")),
        }
    }

    /// 42501 unless the acting role has a privilege on the relation, or on all of these columns of it (by position).
    pub fn require_privilege(
        &self,
        relation: &Relation,
        wanted: Privileges,
        columns: &[usize],
    ) -> Result<()> {
        let catalog = self.catalog();
        let role = self.core.role.get();
        let object = permissions::guarded(relation, &catalog);
        if object.held(role, &catalog).0.contains(wanted) {
            return Ok(());
        }
        if let (Relation::Table(table), false) = (relation, columns.is_empty()) {
            let numbers = columns.iter().map(|at| table.columns[*at].number).collect();
            if permissions::has_on_columns(relation, object.owner, &numbers, wanted, role, &catalog) {
                return Ok(());
            }
        }
        Err(denied(object.word, object.name))
    }
}

/// "64MB", "1024kB", or a number of kilobytes.
fn parse_memory(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "B" => 1,
        "" | "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}
