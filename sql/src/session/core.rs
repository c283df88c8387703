//! The part of a session that running statements share with the functions they call: settings, catalog view, sequences,
//! notices. Behind cells, because [`Services`] is reached through shared references while a portal is being run.

use super::Said;
use super::engine::Engine;
use super::registry::{Reason, Registration};
use crate::catalog::acl::denied;
use crate::catalog::system::Cursor;
use crate::catalog::{Catalog, CatalogView, Change, ObjectClass, Privileges, Relation, Sequence};
use crate::error::{Error, Result, Severity, SqlState};
use crate::functions::{EvalContext, Services};
use crate::sequence::Position;
use crate::settings::{IsolationLevel, Settings, Source};
use crate::types::{Oid, RenderSettings};
use serin_storage::{Timestamp, TreeId};
use serin_txn::{AdvisoryScope, Mode, RelationLockMode, SnapshotOrigin, Transaction, WaitPolicy};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
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
    pub database_activity: Arc<crate::catalog::activity::DatabaseActivity>,
    /// Derived from the settings, by `settings_changed`.
    pub render: RefCell<Arc<RenderSettings>>,
    pub search_path: RefCell<Arc<[String]>>,
    pub synchronous_commit: Cell<bool>,
    /// Changes with anything that plans depend on besides the catalog.
    pub plan_epoch: Cell<u64>,
    /// Of the transaction under way.
    pub read_only: Cell<bool>,
    pub deferrable: Cell<bool>,
    pub isolation: Cell<IsolationLevel>,
    /// Where this session's temporary tables go, once it has any.
    pub temporary_schema: Cell<Option<Oid>>,
    pub created_trees: RefCell<Vec<TreeId>>,
    pub sequences: RefCell<SequenceMemory>,
    /// Named prepared statements.
    pub statements: RefCell<HashMap<String, Arc<super::statement::Prepared>>>,
    pub notices: RefCell<Vec<Error>>,
    pub notice_sink: RefCell<Option<super::NoticeSink>>,
    /// The statement has sent notices already.
    pub has_said: Cell<bool>,
    pub durable_at: Cell<Option<Timestamp>>,
    /// The version that relations' trees may have at most to be readable under the snapshot that is kept.
    pub trees_version_max: Cell<u64>,
    /// Compiled functions.
    pub routines: RefCell<crate::exec::routine::Cache>,
    /// Cursors that functions have opened.
    pub cursors: RefCell<crate::plpgsql::Cursors>,
    /// Named portals, for pg_cursors.
    pub listed_cursors: RefCell<Vec<Weak<Cursor>>>,
    /// SET SESSION AUTHORIZATION and SET ROLE, as the settings have them.
    pub identity: RefCell<Identity>,
    /// Whom SECURITY DEFINER functions act as, innermost last.
    pub acting: RefCell<Vec<(Arc<str>, Oid)>>,
    /// The role whose privileges count now: the innermost of `acting`, else SET ROLE's, else the session's user.
    pub role: Cell<Oid>,
    /// What `search_path` was resolved for: the role and the catalog's version.
    pub path_of: Cell<(Oid, u64)>,
    /// What the client was last told about is_superuser, and of which role.
    pub told_superuser: Cell<(Oid, bool)>,
    /// About where the stack was when the outermost function was called.
    pub routine_stack: Cell<Option<usize>>,
    /// How many trigger functions are running, one within the other.
    pub trigger_depth: Cell<i32>,
    /// Of the trigger function that runs.
    pub transitions: RefCell<Option<Arc<crate::exec::transition::Transitions>>>,
    /// Domains' checks, bound for a version of the catalog.
    pub domains: RefCell<crate::exec::domain::Cache>,
    /// Temporary tables with ON COMMIT.
    pub on_commit: RefCell<Vec<(Oid, crate::ddl::on_commit::OnCommit)>>,
    pub control: super::control::Control,
    /// What lo_open() has opened in this transaction.
    pub large_objects: RefCell<super::large_object::Descriptors>,
    /// NOTIFY and LISTEN wait for the commit, too.
    pub notify: RefCell<super::notify::Pending>,
    /// Constraint checks that wait for the commit.
    pub deferred: RefCell<crate::exec::constraint::Deferred>,
}

/// What they tell of the machine is not for everybody.
const SECRET_SETTINGS: &[&str] = &[
    "config_file",
    "data_directory",
    "dynamic_library_path",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "krb_server_keyfile",
    "session_preload_libraries",
    "shared_preload_libraries",
];

pub(super) fn is_secret_setting(name: &str) -> bool {
    SECRET_SETTINGS.contains(&name)
}

/// Who a session says it is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub session: (Arc<str>, Oid),
    /// None: SET ROLE NONE.
    pub role: Option<(Arc<str>, Oid)>,
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
    pub isolation: Option<IsolationLevel>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

impl Core {
    /// Shows a portal in pg_cursors for as long as it lives.
    pub fn list_cursor(&self, cursor: Cursor) -> Arc<Cursor> {
        let cursor = Arc::new(cursor);
        let mut listed = self.listed_cursors.borrow_mut();
        listed.retain(|cursor| cursor.strong_count() > 0);
        listed.push(Arc::downgrade(&cursor));
        cursor
    }

    pub fn catalog(&self) -> Arc<Catalog> {
        let catalog = self.view.borrow_mut().current(&self.engine.publisher).clone();
        crate::types::user::enter_catalog(&catalog);
        // Which schemas of the path may be used is a matter of privileges, which are in the catalog.
        if self.path_of.get() != (self.role.get(), catalog.version) {
            self.resolve_path(&catalog);
        }
        catalog
    }
    /// Makes users' types those of this session on this thread, where nothing else has: see `types/user.rs`.
    pub fn enter_types(&self) {
        let catalog = self.view.borrow_mut().current(&self.engine.publisher).clone();
        crate::types::user::enter(&catalog, &self.search_path.borrow());
    }
    pub fn change_catalog(&self, change: Change) {
        self.view.borrow_mut().change(&self.engine.publisher, change);
        self.catalog();
    }
    /// The role whose privileges count now, and whether it is a superuser.
    pub fn acting_role(&self) -> (Oid, bool) {
        let role = self.role.get();
        (role, self.catalog().is_superuser(role))
    }
    pub fn is_superuser(&self) -> bool {
        self.acting_role().1
    }
    pub fn sees_settings(&self) -> bool {
        self.has_privileges_of(crate::catalog::acl::READ_ALL_SETTINGS)
    }
    /// Whether the role in force counts as another (a predefined one, mostly).
    pub fn has_privileges_of(&self, role: Oid) -> bool {
        self.catalog().has_privileges_of(self.role.get(), role)
    }
    /// LOCK TABLE takes a privilege that has to do with such a lock.
    pub fn check_lock(&self, table: &crate::catalog::Table, mode: RelationLockMode) -> Result<()> {
        let change = Privileges::UPDATE | Privileges::DELETE | Privileges::TRUNCATE;
        let any = match mode {
            RelationLockMode::AccessShare => Privileges::SELECT,
            RelationLockMode::RowExclusive => change | Privileges::INSERT,
            _ => change,
        };
        let object = crate::plan::permissions::guarded_table(table);
        match object.held(self.role.get(), &self.catalog()).0.intersects(any) {
            true => Ok(()),
            false => Err(denied(object.word, object.name)),
        }
    }
    /// The session's user, as SET SESSION AUTHORIZATION has it.
    pub fn session_role(&self) -> Oid {
        self.identity.borrow().session.1
    }
    pub fn current_user(&self) -> Arc<str> {
        if let Some((name, _)) = self.acting.borrow().last() {
            return name.clone();
        }
        let identity = self.identity.borrow();
        identity.role.as_ref().unwrap_or(&identity.session).0.clone()
    }
    /// From here on privileges are those of another role; `stop_acting` with the answer ends it.
    pub fn act_as(&self, role: Oid) -> usize {
        let depth = self.acting.borrow().len();
        if let Some(role) = self.catalog().role(role) {
            self.acting.borrow_mut().push((role.name.as_str().into(), role.oid));
            self.role_changed();
        }
        depth
    }
    pub fn stop_acting(&self, depth: usize) {
        if self.acting.borrow().len() > depth {
            self.acting.borrow_mut().truncate(depth);
            self.role_changed();
        }
    }
    fn role_changed(&self) {
        let acting = self.acting.borrow().last().map(|(_, role)| *role);
        let identity = self.identity.borrow();
        self.role.set(acting.unwrap_or(identity.role.as_ref().unwrap_or(&identity.session).1));
    }
    /// 42501 unless the role in force may run the plan.
    #[inline]
    pub fn check_permissions(&self, plan: &crate::plan::Plan) -> Result<()> {
        plan.permissions.check(self.role.get(), || self.catalog())
    }
    /// Settings changed from here on can be undone by `settings_rollback_to` with the answer.
    pub fn settings_scope(&self) -> Option<usize> {
        self.touch_settings();
        self.settings_savepoint()
    }
    /// Says a notice at once or, if that isn't possible, before the statement's answer, unless the client does not want to hear of it.
    pub fn notice(&self, notice: Error) {
        let severity = notice.fields().severity;
        if severity != Severity::Info && severity < self.settings.borrow().typed().client_min_messages {
            return;
        }
        self.notices.borrow_mut().push(notice);
        // The answer to a commit, which may stand before it, has to wait until that is durable.
        if self.durable_at.get().is_none()
            && let Some(sink) = &*self.notice_sink.borrow()
        {
            match sink(self.notices.take(), &|| self.registration.handle.interrupted()) {
                Said::Yes => self.has_said.set(true),
                Said::NotNow(notices) => drop(self.notices.replace(notices)),
                // Nobody is there for whom the statement would go on.
                Said::Lost => self.registration.interrupt(Reason::ClientLost),
            }
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
        self.take_identity(&settings);
        let catalog = self.view.borrow_mut().current(&self.engine.publisher).clone();
        *self.search_path.borrow_mut() = self.resolved_path(&typed.search_path, &catalog);
        self.enter_types();
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

    /// Who the settings say that the session is. A name that stays keeps its role, whatever has become of the name.
    fn take_identity(&self, settings: &Settings) {
        let known = self.identity.borrow().clone();
        let catalog = self.view.borrow_mut().current(&self.engine.publisher).clone();
        let named = |name: String, known: Option<&(Arc<str>, Oid)>| match known {
            Some(known) if *known.0 == *name => Some(known.clone()),
            _ => catalog.find_role(&name).map(|role| (role.name.as_str().into(), role.oid)),
        };
        let value = |setting| settings.show(setting).ok();
        let session = value("session_authorization").filter(|name| !name.is_empty());
        let session = session.and_then(|name| named(name, Some(&known.session)));
        let session = session.unwrap_or_else(|| (self.user.clone(), self.user_oid));
        let role = value("role").filter(|name| name != "none");
        let role = role.and_then(|name| named(name, known.role.as_ref()));
        let identity = Identity { session, role };
        if identity != known {
            *self.identity.borrow_mut() = identity;
            self.role_changed();
        }
    }

    #[cold]
    fn resolve_path(&self, catalog: &Catalog) {
        // Settings are borrowed while one is being set, which resolves the path in the end.
        let Ok(settings) = self.settings.try_borrow() else { return };
        let path = self.resolved_path(&settings.typed().search_path, catalog);
        if **self.search_path.borrow() != *path {
            *self.search_path.borrow_mut() = path;
        }
    }

    fn resolved_path(&self, path: &[String], catalog: &Catalog) -> Arc<[String]> {
        let role = self.role.get();
        self.path_of.set((role, catalog.version));
        let temporary = self.temporary_schema.get();
        let temporary = temporary.and_then(|oid| catalog.schema(oid)).map(|schema| schema.name.clone());
        let may_use = |name: &str| {
            Some(name) == temporary.as_deref()
                || catalog.find_schema(name).is_none_or(|schema| {
                    let held = catalog.held(role, ObjectClass::Schema, schema.acl.as_ref(), schema.owner);
                    held.0.contains(Privileges::USAGE)
                })
        };
        let mut resolved = Vec::with_capacity(path.len() + 1);
        // Temporary relations hide others, unless the path says otherwise.
        if let Some(temporary) = &temporary
            && !path.iter().any(|schema| schema == "pg_temp")
        {
            resolved.push(temporary.clone());
        }
        for schema in path {
            match schema.as_str() {
                "$user" => resolved.push(self.current_user().to_string()),
                "pg_temp" => resolved.extend(temporary.clone()),
                _ => resolved.push(schema.clone()),
            }
        }
        if !catalog.is_superuser(role) {
            resolved.retain(|name| may_use(name));
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
        if name == "session_authorization" {
            // Another user starts as itself.
            self.settings.borrow_mut().set("role", Some("none"), Source::Session, local)?;
        }
        self.settings_changed();
        Ok(())
    }
    /// Whether a setting may be changed: some are a superuser's, and the role must be one that the session's user may become.
    pub fn check_role_setting(&self, name: &str, value: Option<&str>) -> Result<()> {
        let denied = |message: String| Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        if !matches!(name, "role" | "session_authorization") {
            if Settings::requires_superuser(name) && !self.is_superuser() {
                return denied(format!("permission denied to set parameter \"{name}\""));
            }
            return Ok(());
        }
        if !self.acting.borrow().is_empty() {
            return denied(format!("cannot set parameter \"{name}\" within security-definer function"));
        }
        let Some(value) = value.filter(|value| name != "role" || *value != "none") else { return Ok(()) };
        let catalog = self.catalog();
        let Some(role) = catalog.find_role(value) else {
            let message = format!("role \"{value}\" does not exist");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        };
        if name == "role" {
            return match catalog.is_member_of(self.session_role(), role.oid) {
                true => Ok(()),
                false => denied(format!("permission denied to set role \"{value}\"")),
            };
        }
        match role.oid == self.user_oid || self.superuser {
            true => Ok(()),
            false => denied("permission denied to set session authorization".to_owned()),
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
                wanted.isolation = Some(IsolationLevel::named(value).ok_or_else(|| invalid(value))?);
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
        let isolation = wanted.isolation.unwrap_or(self.isolation.get());
        if has_snapshot {
            if isolation != self.isolation.get() {
                return too_late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
            }
            if wanted.read_only == Some(false) && self.read_only.get() {
                return too_late("transaction read-write mode must be set before any query");
            }
            if wanted.deferrable.is_some_and(|deferrable| deferrable != self.deferrable.get()) {
                return too_late("SET TRANSACTION [NOT] DEFERRABLE must be called before any query");
            }
        }
        self.isolation.set(isolation);
        self.read_only.set(wanted.read_only.unwrap_or(self.read_only.get()));
        self.deferrable.set(wanted.deferrable.unwrap_or(self.deferrable.get()));
        if !has_snapshot {
            let mode = wanted.mode.unwrap_or(transaction.mode());
            transaction.set_characteristics(
                mode,
                isolation.isolation(),
                self.read_only.get(),
                self.deferrable.get(),
            )?;
        }
        Ok(())
    }

    /// SHOW and current_setting.
    pub fn setting(&self, name: &str, transaction: Option<&RefCell<Transaction>>) -> Result<String> {
        let on_off = |on: bool| if on { "on" } else { "off" }.to_string();
        let name = name.to_ascii_lowercase();
        if transaction.is_some() {
            match name.as_str() {
                "transaction_isolation" => return Ok(self.isolation.get().name().to_string()),
                "transaction_read_only" => return Ok(on_off(self.read_only.get())),
                "transaction_deferrable" => return Ok(on_off(self.deferrable.get())),
                _ => {}
            }
        }
        if is_secret_setting(&name) && !self.sees_settings() {
            let message =
                format!("must be superuser or have privileges of pg_read_all_settings to examine \"{name}\"");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        let settings = self.settings.borrow();
        match name.as_str() {
            "transaction_isolation" => Ok(settings.typed().default_isolation.name().to_string()),
            "transaction_read_only" => Ok(on_off(settings.typed().default_read_only)),
            "transaction_deferrable" => Ok(on_off(settings.typed().default_deferrable)),
            "is_superuser" => {
                drop(settings);
                Ok(on_off(self.is_superuser()))
            }
            "session_authorization" => Ok(self.identity.borrow().session.0.to_string()),
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

pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "t" | "yes" | "y" | "1" => Some(true),
        "off" | "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// What one statement runs with; lends the session to the functions it calls.
pub struct StatementContext<'a> {
    pub(crate) core: &'a Core,
    pub(crate) transaction: Option<&'a RefCell<Transaction>>,
    pub(crate) render: Arc<RenderSettings>,
    pub(crate) transaction_time: i64,
    pub(crate) statement_time: i64,
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
    pub(super) fn transaction(&self) -> Result<&RefCell<Transaction>> {
        self.transaction.ok_or_else(|| Error::internal("a function needs a transaction outside of one"))
    }
    fn find_sequence(&self, oid: Oid) -> Result<Arc<crate::catalog::Sequence>> {
        match self.core.catalog().relation(oid) {
            Some(Relation::Sequence(sequence)) => Ok(sequence),
            Some(Relation::Table(table)) => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a sequence", table.name)))
            }
            Some(Relation::System(system)) => {
                let message = format!("\"{}\" is not a sequence", system.name);
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
            }
            _ => {
                let message = format!("could not open relation with OID {oid}");
                Err(Error::new(SqlState::UNDEFINED_TABLE, message))
            }
        }
    }
}

impl StatementContext<'_> {
    /// Any of the privileges will do.
    fn check_sequence(&self, sequence: &Sequence, any: Privileges) -> Result<()> {
        let catalog = self.core.catalog();
        let held =
            catalog.held(self.core.role.get(), ObjectClass::Sequence, sequence.acl.as_ref(), sequence.owner);
        match held.0.intersects(any) {
            true => Ok(()),
            false => Err(denied("sequence", &sequence.name)),
        }
    }
}

impl Services for StatementContext<'_> {
    fn current_user(&self) -> Arc<str> {
        self.core.current_user()
    }
    fn session_user(&self) -> Arc<str> {
        self.core.identity.borrow().session.0.clone()
    }
    fn acting_role(&self) -> Oid {
        self.core.role.get()
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
    fn check_domain(&self, domain: Oid, value: &crate::types::Datum) -> Result<()> {
        crate::exec::domain::check(self, domain, value)
    }
    fn nextval(&self, sequence: Oid) -> Result<i64> {
        self.core.check_writable("nextval()")?;
        let found = self.find_sequence(sequence)?;
        self.check_sequence(&found, Privileges::USAGE | Privileges::UPDATE)?;
        self.next_identity(sequence)
    }
    fn next_identity(&self, sequence: Oid) -> Result<i64> {
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
        self.check_sequence(&sequence, Privileges::SELECT | Privileges::USAGE)?;
        self.core.sequences.borrow().values.get(&sequence.oid).copied().ok_or_else(|| {
            let name = &sequence.name;
            let message = format!("currval of sequence \"{name}\" is not yet defined in this session");
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }
    fn lastval(&self) -> Result<i64> {
        let memory = self.core.sequences.borrow();
        let value = memory.last.and_then(|sequence| memory.values.get(&sequence));
        if let Some(last) = memory.last.filter(|_| value.is_some()) {
            self.check_sequence(&*self.find_sequence(last)?, Privileges::SELECT | Privileges::USAGE)?;
        }
        value.copied().ok_or_else(|| {
            let message = "lastval is not yet defined in this session";
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }
    fn setval(&self, sequence: Oid, value: i64, is_called: bool) -> Result<i64> {
        self.core.check_writable("setval()")?;
        let sequence = self.find_sequence(sequence)?;
        self.check_sequence(&sequence, Privileges::UPDATE)?;
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
    fn export_snapshot(&self) -> Result<String> {
        let catalog = self.core.catalog();
        // A transaction that keeps its snapshot has taken it when the catalog was older.
        let catalog_version = self.core.trees_version_max.get().min(catalog.version);
        let mut transaction = self.transaction()?.borrow_mut();
        if transaction.in_savepoint() {
            let message = "cannot export a snapshot from a subtransaction";
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        let origin = SnapshotOrigin { database: catalog.database().oid, catalog_version };
        Ok(transaction.export_snapshot(origin)?)
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
            self.run_long(&mut || std::thread::sleep(left.min(NAP)));
        }
    }
    fn run_long(&self, work: &mut dyn FnMut()) {
        self.core.engine.store().blocking().run(work);
    }
    fn signal_backend(&self, pid: i32, terminate: bool) -> Result<bool> {
        let reason = if terminate { Reason::Terminate } else { Reason::Cancel };
        let catalog = self.core.catalog();
        let role = self.core.role.get();
        if let Some(target) = self.core.engine.user_of(pid).filter(|_| !catalog.is_superuser(role)) {
            let (verb, what, done) = match terminate {
                true => ("terminate", "process", "terminated"),
                false => ("cancel", "query", "canceled"),
            };
            let denied = |message| Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            if catalog.is_superuser(target) {
                return denied(format!("must be a superuser to {verb} superuser {what}"));
            }
            let may = [target, crate::catalog::acl::SIGNAL_BACKEND];
            if !may.iter().any(|of| catalog.has_privileges_of(role, *of)) {
                return denied(format!(
                    "must be a member of the role whose {what} is being {done} or member of pg_signal_backend"
                ));
            }
        }
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
    fn large_objects(&self) -> Option<&StatementContext<'_>> {
        Some(self)
    }
    fn notice(&self, notice: Error) {
        self.core.notice(notice);
    }
    fn notify(&self, channel: &str, payload: &str) -> Result<()> {
        self.core.notify(channel, payload)
    }
    fn reload(&self) -> bool {
        self.core.engine.reload()
    }
    fn hba_rules(&self) -> Vec<super::HbaRule> {
        self.core.engine.hba_rules()
    }
    fn listening_channels(&self) -> Vec<Arc<str>> {
        self.core.engine.notifications.channels(self.core.registration.pid)
    }
    fn notification_queue_usage(&self) -> f64 {
        self.core.engine.notifications.usage()
    }
    fn setting_rows(&self) -> Result<Vec<crate::settings::SettingRow>> {
        let mut rows = self.core.settings.borrow().rows();
        if !self.core.sees_settings() {
            rows.retain(|row| !is_secret_setting(&row.name));
        }
        Ok(rows)
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
    fn prepared_transactions(&self) -> Result<Vec<crate::catalog::system::PreparedTransaction>> {
        super::prepared::list(self.core)
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
    fn cursors(&self) -> Result<Vec<Cursor>> {
        let listed = self.core.listed_cursors.borrow();
        Ok(listed.iter().filter_map(Weak::upgrade).map(|cursor| (*cursor).clone()).collect())
    }
    fn sequence_position(&self, sequence: Oid) -> Result<Position> {
        self.core.engine.sequences.position(&*self.find_sequence(sequence)?)
    }
    fn deferred(&self) -> Option<&RefCell<crate::exec::constraint::Deferred>> {
        Some(&self.core.deferred)
    }
    fn trigger_depth(&self) -> i32 {
        self.core.trigger_depth.get()
    }
    fn transitions(&self) -> Option<Arc<crate::exec::transition::Transitions>> {
        self.core.transitions.borrow().clone()
    }
    fn check_interrupt(&self) -> Result<()> {
        self.core.registration.check()
    }
}
