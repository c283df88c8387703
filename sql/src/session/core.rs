//! The part of a session that running statements share with the functions they call: settings, catalog view, sequences,
//! notices. Behind cells, because [`Services`] is reached through shared references while a portal is being run.

use super::engine::Engine;
use super::registry::{Reason, Registration};
use crate::catalog::{Catalog, CatalogView, Change, Relation};
use crate::error::{Error, Result, Severity, SqlState};
use crate::functions::{EvalContext, Services};
use crate::sequence::Position;
use crate::settings::{Settings, Source};
use crate::types::{Oid, RenderSettings};
use serin_storage::{Timestamp, TreeId};
use serin_txn::{AdvisoryScope, Isolation, Mode, Transaction, WaitPolicy};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Core {
    pub engine: Arc<Engine>,
    pub registration: Arc<Registration>,
    pub settings: RefCell<Settings>,
    /// Settings changed in this transaction: the position in their undo list to return to.
    pub settings_base: Cell<Option<usize>>,
    pub view: RefCell<CatalogView>,
    pub user: Arc<str>,
    pub user_oid: Oid,
    pub superuser: bool,
    pub database: Arc<str>,
    pub database_oid: Oid,
    /// Derived from the settings, by `settings_changed`.
    pub render: RefCell<Arc<RenderSettings>>,
    pub search_path: RefCell<Arc<[String]>>,
    pub synchronous_commit: Cell<bool>,
    /// Changes with anything that plans depend on besides the catalog.
    pub plan_epoch: Cell<u64>,
    /// Of the transaction under way.
    pub read_only: Cell<bool>,
    pub deferrable: Cell<bool>,
    /// Where this session's temporary tables go, once it has any.
    pub temporary_schema: Cell<Option<Oid>>,
    pub created_trees: RefCell<Vec<TreeId>>,
    pub sequences: RefCell<SequenceMemory>,
    /// Named prepared statements.
    pub statements: RefCell<HashMap<String, Arc<super::statement::Prepared>>>,
    pub notices: RefCell<Vec<Error>>,
    pub durable_at: Cell<Option<Timestamp>>,
    /// The version that relations' trees may have at most to be readable under the snapshot that is kept.
    pub trees_version_max: Cell<u64>,
    /// Compiled functions.
    pub routines: RefCell<crate::exec::routine::Cache>,
    /// Cursors that functions have opened.
    pub cursors: RefCell<crate::plpgsql::Cursors>,
    /// Whom SECURITY DEFINER functions act as, innermost last.
    pub acting: RefCell<Vec<(Arc<str>, Oid, bool)>>,
    /// About where the stack was when the outermost function was called.
    pub routine_stack: Cell<Option<usize>>,
    /// Constraint checks that wait for the commit.
    pub deferred: RefCell<crate::exec::constraint::Deferred>,
}

/// currval and lastval.
#[derive(Default)]
pub(crate) struct SequenceMemory {
    values: HashMap<Oid, i64>,
    last: Option<Oid>,
}

impl SequenceMemory {
    pub fn clear(&mut self) {
        *self = SequenceMemory::default();
    }
}

/// Parts of a transaction's character to change; none: as it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Characteristics {
    pub mode: Option<Mode>,
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

impl Core {
    pub fn catalog(&self) -> Arc<Catalog> {
        self.view.borrow_mut().current(&self.engine.publisher).clone()
    }
    pub fn change_catalog(&self, change: Change) {
        self.view.borrow_mut().change(&self.engine.publisher, change);
    }
    /// The role whose privileges count now, and whether it is a superuser.
    pub fn acting_role(&self) -> (Oid, bool) {
        self.acting.borrow().last().map_or((self.user_oid, self.superuser), |(_, oid, all)| (*oid, *all))
    }
    /// Settings changed from here on can be undone by `settings_rollback_to` with the answer.
    pub fn settings_scope(&self) -> Option<usize> {
        self.touch_settings();
        self.settings_savepoint()
    }
    /// Queues a notice, unless the client does not want to hear of it.
    pub fn notice(&self, notice: Error) {
        let severity = notice.fields().severity;
        if severity == Severity::Info || severity >= self.settings.borrow().typed().client_min_messages {
            self.notices.borrow_mut().push(notice);
        }
    }
    pub fn warning(&self, state: SqlState, message: &str) {
        self.notice(Error::new(state, message).severity(Severity::Warning));
    }
    /// Holds the client's answer back until this commit is durable.
    pub fn await_durable(&self, at: Option<Timestamp>) {
        self.durable_at.set(self.durable_at.get().max(at));
    }

    // ---- settings ----

    /// Takes over what is cached from the settings.
    pub fn settings_changed(&self) {
        let settings = self.settings.borrow();
        let typed = settings.typed();
        *self.render.borrow_mut() = Arc::new(typed.render.clone());
        *self.search_path.borrow_mut() = self.resolved_path(&typed.search_path);
        self.synchronous_commit.set(typed.synchronous_commit);
        self.plan_epoch.set(self.plan_epoch.get() + 1);
        let handle = &self.registration.handle;
        handle.set_lock_timeout(Duration::from_millis(typed.lock_timeout_ms));
        handle.set_deadlock_timeout(Duration::from_millis(typed.deadlock_timeout_ms));
        handle.set_serial_idle_timeout(Duration::from_millis(typed.serial_idle_timeout_ms));
        handle.set_row_locks_max(typed.lock_escalation_rows);
        if let Ok(name) = settings.show("application_name") {
            let mut activity = self.registration.activity.lock();
            if activity.application_name != name {
                activity.application_name = name;
            }
        }
    }

    fn resolved_path(&self, path: &[String]) -> Arc<[String]> {
        let temporary = self.temporary_schema.get().and_then(|oid| {
            self.view
                .borrow_mut()
                .current(&self.engine.publisher)
                .schema(oid)
                .map(|schema| schema.name.clone())
        });
        let mut resolved = Vec::with_capacity(path.len() + 1);
        // Temporary relations hide others, unless the path says otherwise.
        if let Some(temporary) = &temporary
            && !path.iter().any(|schema| schema == "pg_temp")
        {
            resolved.push(temporary.clone());
        }
        for schema in path {
            match schema.as_str() {
                "$user" => resolved.push(self.user.to_string()),
                "pg_temp" => resolved.extend(temporary.clone()),
                _ => resolved.push(schema.clone()),
            }
        }
        resolved.into()
    }

    /// Before the first change in a transaction: from here on rollback undoes.
    fn touch_settings(&self) {
        if self.settings_base.get().is_none() {
            let mut settings = self.settings.borrow_mut();
            settings.begin_transaction();
            self.settings_base.set(Some(settings.savepoint()));
        }
    }
    pub fn settings_savepoint(&self) -> Option<usize> {
        self.settings_base.get().map(|_| self.settings.borrow_mut().savepoint())
    }
    /// `savepoint` None: nothing had been changed then.
    pub fn settings_rollback_to(&self, savepoint: Option<usize>) {
        if let Some(base) = self.settings_base.get() {
            self.settings.borrow_mut().rollback_to(savepoint.unwrap_or(base));
            self.settings_changed();
        }
    }
    pub fn settings_end_transaction(&self, committed: bool) {
        if self.settings_base.take().is_some() {
            self.settings.borrow_mut().end_transaction(committed);
            self.settings_changed();
        }
    }

    /// SET, RESET (`value` None) and set_config.
    pub fn set_setting(
        &self,
        name: &str,
        value: Option<&str>,
        local: bool,
        transaction: Option<&RefCell<Transaction>>,
    ) -> Result<()> {
        let name = name.to_ascii_lowercase();
        self.check_role_setting(&name, value)?;
        if let Some(transaction) = transaction
            && self.set_characteristic(&name, value, local, transaction)?
        {
            return Ok(());
        }
        self.touch_settings();
        self.settings.borrow_mut().set(&name, value, Source::Session, local)?;
        self.settings_changed();
        Ok(())
    }
    /// Acting as another role is not supported: better an error than privileges that are not what they seem.
    fn check_role_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        let own = |role: &str| role == &*self.user;
        match (name, value) {
            ("role", Some(role)) if role != "none" && !own(role) => {
                if self.catalog().find_role(role).is_none() {
                    let message = format!("role \"{role}\" does not exist");
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                Err(Error::unsupported("SET ROLE to another role"))
            }
            ("session_authorization", Some(role)) if role != "default" && !own(role) => {
                Err(Error::unsupported("SET SESSION AUTHORIZATION to another role"))
            }
            _ => Ok(()),
        }
    }
    pub fn reset_settings(&self) {
        self.touch_settings();
        self.settings.borrow_mut().reset_all();
        self.settings_changed();
    }

    /// The settings that are properties of the transaction under way. True: done, nothing to store.
    fn set_characteristic(
        &self,
        name: &str,
        value: Option<&str>,
        local: bool,
        transaction: &RefCell<Transaction>,
    ) -> Result<bool> {
        let boolean = || {
            let text = value.unwrap_or("off");
            parse_bool(text).ok_or_else(|| {
                let message = format!("parameter \"{name}\" requires a Boolean value");
                Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
            })
        };
        let invalid = |value: &str| {
            let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        };
        let mut wanted = Characteristics::default();
        match name {
            "transaction_isolation" => {
                let value = value.unwrap_or("read committed");
                wanted.isolation = Some(parse_isolation(value).ok_or_else(|| invalid(value))?);
            }
            "transaction_read_only" => wanted.read_only = Some(boolean()?),
            "transaction_deferrable" => wanted.deferrable = Some(boolean()?),
            "concurrency_mode" => {
                // The next transactions get it from the setting; this one if it has not begun to read.
                if transaction.borrow().has_snapshot() {
                    if local {
                        let message = "SET LOCAL concurrency_mode must be called before any query";
                        return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
                    }
                    return Ok(false);
                }
                self.touch_settings();
                self.settings.borrow_mut().set(name, value, Source::Session, local)?;
                self.settings_changed();
                wanted.mode = Some(self.settings.borrow().typed().concurrency_mode);
                self.set_characteristics(wanted, transaction)?;
                return Ok(true);
            }
            _ => return Ok(false),
        }
        self.set_characteristics(wanted, transaction)?;
        Ok(true)
    }

    /// SET TRANSACTION and BEGIN's modes.
    pub fn set_characteristics(
        &self,
        wanted: Characteristics,
        transaction: &RefCell<Transaction>,
    ) -> Result<()> {
        let mut transaction = transaction.borrow_mut();
        let too_late = |message: &str| Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        let has_snapshot = transaction.has_snapshot();
        let isolation = wanted.isolation.unwrap_or(transaction.isolation());
        if has_snapshot {
            if isolation != transaction.isolation() {
                return too_late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            if wanted.read_only == Some(false) && self.read_only.get() {
                return too_late("transaction read-write mode must be set before any query");
            }
            if wanted.deferrable.is_some_and(|deferrable| deferrable != self.deferrable.get()) {
                return too_late("SET TRANSACTION [NOT] DEFERRABLE must be called before any query");
            }
        }
        self.read_only.set(wanted.read_only.unwrap_or(self.read_only.get()));
        self.deferrable.set(wanted.deferrable.unwrap_or(self.deferrable.get()));
        if !has_snapshot {
            let mode = wanted.mode.unwrap_or(transaction.mode());
            transaction.set_characteristics(mode, isolation, self.read_only.get(), self.deferrable.get())?;
        }
        Ok(())
    }

    /// SHOW and current_setting.
    pub fn setting(&self, name: &str, transaction: Option<&RefCell<Transaction>>) -> Result<String> {
        let on_off = |on: bool| if on { "on" } else { "off" }.to_string();
        let name = name.to_ascii_lowercase();
        if let Some(transaction) = transaction {
            match name.as_str() {
                "transaction_isolation" => {
                    return Ok(isolation_name(transaction.borrow().isolation()).to_string());
                }
                "transaction_read_only" => return Ok(on_off(self.read_only.get())),
                "transaction_deferrable" => return Ok(on_off(self.deferrable.get())),
                _ => {}
            }
        }
        let settings = self.settings.borrow();
        match name.as_str() {
            "transaction_isolation" => Ok(isolation_name(settings.typed().default_isolation).to_string()),
            "transaction_read_only" => Ok(on_off(settings.typed().default_read_only)),
            "transaction_deferrable" => Ok(on_off(settings.typed().default_deferrable)),
            "is_superuser" => Ok(on_off(self.superuser)),
            "session_authorization" => Ok(self.user.to_string()),
            name => settings.show(name),
        }
    }

    /// 25006 if the transaction may not write.
    pub fn check_writable(&self, command: &str) -> Result<()> {
        if !self.read_only.get() {
            return Ok(());
        }
        let message = format!("cannot execute {command} in a read-only transaction");
        Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, message))
    }
}

pub(crate) fn isolation_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    }
}

fn parse_isolation(name: &str) -> Option<Isolation> {
    match name.to_ascii_lowercase().as_str() {
        "read committed" | "read uncommitted" | "default" => Some(Isolation::ReadCommitted),
        "repeatable read" => Some(Isolation::RepeatableRead),
        "serializable" => Some(Isolation::Serializable),
        _ => None,
    }
}

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// What one statement runs with; lends the session to the functions it calls.
pub(crate) struct StatementContext<'a> {
    pub core: &'a Core,
    pub transaction: Option<&'a RefCell<Transaction>>,
    pub render: Arc<RenderSettings>,
    pub transaction_time: i64,
    pub statement_time: i64,
}

impl StatementContext<'_> {
    pub fn eval(&self) -> EvalContext<'_> {
        EvalContext {
            render: &self.render,
            transaction_time: self.transaction_time,
            statement_time: self.statement_time,
            services: self,
        }
    }
    fn transaction(&self) -> Result<&RefCell<Transaction>> {
        self.transaction.ok_or_else(|| Error::internal("a function needs a transaction outside of one"))
    }
    fn find_sequence(&self, oid: Oid) -> Result<Arc<crate::catalog::Sequence>> {
        match self.core.catalog().relation(oid) {
            Some(Relation::Sequence(sequence)) => Ok(sequence),
            Some(Relation::Table(table)) => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a sequence", table.name)))
            }
            _ => {
                let message = format!("could not open relation with OID {oid}");
                Err(Error::new(SqlState::UNDEFINED_TABLE, message))
            }
        }
    }
}

impl Services for StatementContext<'_> {
    fn current_user(&self) -> Arc<str> {
        let acting = self.core.acting.borrow();
        acting.last().map_or_else(|| self.core.user.clone(), |(name, ..)| name.clone())
    }
    fn session_user(&self) -> Arc<str> {
        self.core.user.clone()
    }
    fn database(&self) -> Arc<str> {
        self.core.database.clone()
    }
    fn search_path(&self) -> Arc<[String]> {
        self.core.search_path.borrow().clone()
    }
    fn backend_pid(&self) -> i32 {
        self.core.registration.pid
    }
    fn setting(&self, name: &str) -> Option<String> {
        self.core.setting(name, self.transaction).ok()
    }
    fn set_setting(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        self.core.set_setting(name, value, local, self.transaction)?;
        self.core.setting(name, self.transaction)
    }
    fn catalog(&self) -> Arc<Catalog> {
        self.core.catalog()
    }
    fn nextval(&self, sequence: Oid) -> Result<i64> {
        self.core.check_writable("nextval()")?;
        let sequence = self.find_sequence(sequence)?;
        let (value, written) = self.core.engine.sequences.next(&sequence)?;
        self.core.await_durable(written);
        let mut memory = self.core.sequences.borrow_mut();
        memory.values.insert(sequence.oid, value);
        memory.last = Some(sequence.oid);
        Ok(value)
    }
    fn currval(&self, sequence: Oid) -> Result<i64> {
        let sequence = self.find_sequence(sequence)?;
        self.core.sequences.borrow().values.get(&sequence.oid).copied().ok_or_else(|| {
            let name = &sequence.name;
            let message = format!("currval of sequence \"{name}\" is not yet defined in this session");
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }
    fn lastval(&self) -> Result<i64> {
        let memory = self.core.sequences.borrow();
        let value = memory.last.and_then(|sequence| memory.values.get(&sequence));
        value.copied().ok_or_else(|| {
            let message = "lastval is not yet defined in this session";
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }
    fn setval(&self, sequence: Oid, value: i64, is_called: bool) -> Result<i64> {
        self.core.check_writable("setval()")?;
        let sequence = self.find_sequence(sequence)?;
        let written = self.core.engine.sequences.set(&sequence, Position { value, is_called })?;
        self.core.await_durable(written);
        if is_called {
            self.core.sequences.borrow_mut().values.insert(sequence.oid, value);
        }
        Ok(value)
    }
    fn transaction_id(&self) -> Result<u64> {
        Ok(self.transaction()?.borrow_mut().id())
    }
    fn transaction_id_if_assigned(&self) -> Option<u64> {
        self.transaction?.borrow().id_if_assigned()
    }
    fn advisory_lock(
        &self,
        key: (u32, u32, u16),
        shared: bool,
        transaction: bool,
        wait: bool,
    ) -> Result<bool> {
        let scope = if transaction { AdvisoryScope::Transaction } else { AdvisoryScope::Session };
        let policy = if wait { WaitPolicy::Block } else { WaitPolicy::NoWait };
        Ok(self.transaction()?.borrow_mut().lock_advisory(key, shared, scope, policy)?)
    }
    fn advisory_unlock(&self, key: Option<(u32, u32, u16)>, shared: bool) -> Result<bool> {
        let handle = &self.core.registration.handle;
        let Some(key) = key else {
            self.core.engine.transactions.advisory_unlock_all(handle);
            return Ok(true);
        };
        let held = self.core.engine.transactions.advisory_unlock(handle, key, shared);
        if !held {
            let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
            self.core.warning(SqlState::WARNING, &format!("you don't own a lock of type {mode}"));
        }
        Ok(held)
    }
    fn sleep(&self, seconds: f64) -> Result<()> {
        // Short naps, so that an interrupt ends it soon.
        const NAP: Duration = Duration::from_millis(10);
        let total = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
        let started = std::time::Instant::now();
        loop {
            self.check_interrupt()?;
            let left = total.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }
    fn signal_backend(&self, pid: i32, terminate: bool) -> Result<bool> {
        let reason = if terminate { Reason::Terminate } else { Reason::Cancel };
        let found = self.core.engine.signal(pid, reason);
        if !found {
            self.core.warning(SqlState::WARNING, &format!("PID {pid} is not a PostgreSQL backend process"));
        }
        Ok(found)
    }
    fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        self.core.engine.transactions.blocking_pids(pid)
    }
    fn safe_snapshot_blocking_pids(&self, pid: i32) -> Vec<i32> {
        self.core.engine.transactions.safe_snapshot_blocking_pids(pid)
    }
    fn relation_size(&self, relation: Oid) -> Result<Option<i64>> {
        let catalog = self.core.catalog();
        let tree = match catalog.relation(relation) {
            Some(Relation::Table(table)) if !table.is_view() => table.tree,
            Some(Relation::Index(table, index)) if !table.indexes[index].clustered => {
                table.indexes[index].tree
            }
            // The clustered index is the table.
            Some(Relation::System(_) | Relation::Index(..) | Relation::Table(_)) => return Ok(Some(0)),
            Some(Relation::Sequence(_)) => return Ok(Some(8192)),
            None => return Ok(None),
        };
        let bytes = catalog.tree(tree)?.size_bytes_estimate();
        Ok(Some(i64::try_from(bytes).unwrap_or(i64::MAX)))
    }
    fn notice(&self, notice: Error) {
        self.core.notice(notice);
    }
    fn setting_rows(&self) -> Result<Vec<crate::settings::SettingRow>> {
        Ok(self.core.settings.borrow().rows())
    }
    fn activities(&self) -> Result<Vec<super::Activity>> {
        Ok(self.core.engine.activity())
    }
    fn store(&self) -> Option<Arc<serin_storage::Store>> {
        Some(self.core.engine.store().clone())
    }
    fn recent_conflicts(&self) -> Vec<serin_txn::PastConflict> {
        self.core.engine.transactions.recent_conflicts()
    }
    fn dependencies(&self) -> Vec<(i32, i32)> {
        self.core.engine.transactions.dependencies()
    }
    fn locks(&self) -> Result<Vec<serin_txn::LockInfo>> {
        Ok(self.core.engine.transactions.locks())
    }
    fn prepared_statements(&self) -> Result<Vec<crate::catalog::system::PreparedStatement>> {
        let statements = self.core.statements.borrow();
        let row = |(name, prepared): (&String, &Arc<super::statement::Prepared>)| {
            let planned = prepared.last_plan().map(|plan| plan.parameter_types.clone());
            crate::catalog::system::PreparedStatement {
                name: name.clone(),
                statement: prepared.text.clone(),
                prepared_at: prepared.prepared_at,
                parameter_types: planned.unwrap_or_default(),
                from_sql: prepared.from_sql,
            }
        };
        Ok(statements.iter().map(row).collect())
    }
    fn sequence_last_value(&self, sequence: Oid) -> Result<Option<i64>> {
        let position = self.core.engine.sequences.position(&*self.find_sequence(sequence)?)?;
        Ok(position.is_called.then_some(position.value))
    }
    fn deferred(&self) -> Option<&RefCell<crate::exec::constraint::Deferred>> {
        Some(&self.core.deferred)
    }
    fn check_interrupt(&self) -> Result<()> {
        self.core.registration.check()
    }
}
