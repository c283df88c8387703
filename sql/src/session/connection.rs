//! [`Session`]: the verbs of both protocols.

use super::block::{Block, State, in_failed_transaction};
use super::core::{Core, Identity, StatementContext};
use super::engine::{Engine, now};
use super::portal::{Portal, Portals, Run, counted, is_full};
use super::registry::{Activity, Reason};
use super::statement::{Parsed, Prepared, StatementCache, parse_one, result_type_changed};
use super::timers::{Slot, Timers};
use super::{Field, Format, NoticeSink, Output, Progress, Startup, TransactionStatus};
use crate::catalog::system::Cursor;
use crate::catalog::{CatalogView, ObjectClass, Privileges};
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution};
use crate::functions::Body;
use crate::parse::ast::StatementKind;
use crate::parse::quote_identifier;
use crate::plan::{Plan, PlanKind};
use crate::settings::{IsolationLevel, Settings, Source};
use crate::types::{Datum, Oid, Type};
use serin_storage::Timestamp;
use serin_txn::{Isolation, Transaction, WaitPolicy};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How often a failed single statement is run again.
const RETRIES_MAX: u32 = 5;

/// Planning a longer text, and ending a transaction of more changes, may take longer than a millisecond.
const LONG_TEXT_BYTES: usize = 16 * 1024;
const LONG_CHANGES: usize = 1000;

pub struct Session {
    pub(super) core: Core,
    pub(super) block: Block,
    unnamed: Option<Arc<Prepared>>,
    pub(super) cache: StatementCache,
    pub(super) portals: Portals,
    /// A portal in COPY FROM STDIN.
    pub(super) copying: Option<Box<Portal>>,
    /// For the first lock of a short statement, and for the serial token.
    first_wait: WaitPolicy,
    /// What the statement's wait outside came to, for its next execution.
    failed_wait: Option<Error>,
}

impl Session {
    pub(super) fn open(engine: Arc<Engine>, startup: Startup) -> Result<Session> {
        let catalog = engine.catalog();
        let database = catalog.find_database(&startup.database).ok_or_else(|| {
            let message = format!("database \"{}\" does not exist", startup.database);
            Error::new(SqlState::INVALID_CATALOG_NAME, message)
        })?;
        let role = catalog.find_role(&startup.user).ok_or_else(|| {
            let message = format!("role \"{}\" does not exist", startup.user);
            Error::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message)
        })?;
        if !role.login {
            let message = format!("role \"{}\" is not permitted to log in", startup.user);
            return Err(Error::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message));
        }
        let held = catalog.held(role.oid, ObjectClass::Database, database.acl.as_ref(), database.owner);
        if !held.0.contains(Privileges::CONNECT) {
            let message = format!("permission denied for database \"{}\"", startup.database);
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
                .detail("User does not have CONNECT privilege."));
        }
        let mut settings = Settings::new();
        engine.apply_settings(&mut settings)?;
        let both = |role: Oid| database.role_settings.iter().filter(move |(of, _, _)| *of == role);
        for (name, value) in &database.settings {
            settings.set(name, Some(value), Source::Database, false)?;
        }
        for (name, value) in &role.settings {
            settings.set(name, Some(value), Source::Role, false)?;
        }
        for (_, name, value) in both(0).chain(both(role.oid)) {
            settings.set(name, Some(value), Source::RoleInDatabase, false)?;
        }
        for (name, value) in &startup.parameters {
            if Settings::requires_superuser(name) && !role.superuser {
                let message = format!("permission denied to set parameter \"{name}\"");
                return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
            settings.set(name, Some(value), Source::Client, false)?;
        }
        let started = now();
        let registration = engine.register(
            Activity {
                running: None,
                pid: 0,
                database: database.oid,
                user: role.oid,
                application_name: settings.show("application_name").unwrap_or_default(),
                client_address: startup.client_address,
                backend_start: started,
                transaction_start: None,
                query_start: None,
                state_change: started,
                state: "idle",
                wait: None,
                query: "".into(),
            },
            (!role.superuser).then_some((role.connection_limit, role.name.as_str())),
        )?;
        let core = Core {
            registration,
            settings_base: Cell::new(None),
            view: RefCell::new(CatalogView::new(&engine.publisher, database.oid)),
            user: role.name.as_str().into(),
            user_oid: role.oid,
            superuser: role.superuser,
            database: database.name.as_str().into(),
            database_oid: database.oid,
            database_activity: {
                let activity = engine.runtime.activity().database(database.oid);
                activity.sessions.add(1);
                activity
            },
            render: RefCell::new(Arc::new(settings.typed().render.clone())),
            search_path: RefCell::new(settings.typed().search_path.clone()),
            synchronous_commit: Cell::new(true),
            plan_epoch: Cell::new(0),
            read_only: Cell::new(false),
            deferrable: Cell::new(false),
            isolation: Cell::new(IsolationLevel::ReadCommitted),
            temporary_schema: Cell::new(None),
            created_trees: RefCell::default(),
            sequences: RefCell::default(),
            statements: RefCell::default(),
            notices: RefCell::default(),
            notice_sink: RefCell::default(),
            has_said: Cell::new(false),
            durable_at: Cell::new(None),
            trees_version_max: Cell::new(u64::MAX),
            routines: RefCell::default(),
            cursors: RefCell::default(),
            listed_cursors: RefCell::default(),
            acting: RefCell::default(),
            identity: RefCell::new(Identity { session: (role.name.as_str().into(), role.oid), role: None }),
            role: Cell::new(role.oid),
            path_of: Cell::new((0, 0)),
            told_superuser: Cell::new((role.oid, role.superuser)),
            routine_stack: Cell::new(None),
            trigger_depth: Cell::new(0),
            transitions: RefCell::default(),
            domains: Default::default(),
            deferred: RefCell::default(),
            on_commit: RefCell::default(),
            control: Default::default(),
            large_objects: RefCell::default(),
            notify: RefCell::default(),
            settings: RefCell::new(settings),
            engine: engine.clone(),
        };
        core.settings_changed();
        // ALTER ROLE … SET role and its like are subject to the rules of SET ROLE.
        let chosen = core.settings.borrow().show("role")?;
        core.check_role_setting("role", Some(&chosen))?;
        core.told_superuser.set(core.acting_role());
        core.settings.borrow_mut().take_changed_reports();
        Ok(Session {
            core,
            block: Block::new(),
            unnamed: None,
            cache: StatementCache::new(),
            portals: Portals::default(),
            copying: None,
            first_wait: WaitPolicy::Block,
            failed_wait: None,
        })
    }

    pub fn pid(&self) -> i32 {
        self.core.registration.pid
    }
    pub fn secret(&self) -> i32 {
        self.core.registration.secret
    }
    pub fn engine(&self) -> &Arc<Engine> {
        &self.core.engine
    }
    pub fn transaction_status(&self) -> TransactionStatus {
        match self.block.state {
            State::Idle | State::Implicit => TransactionStatus::Idle,
            State::InBlock => TransactionStatus::InBlock,
            State::Failed => TransactionStatus::Failed,
        }
    }
    /// The settings that PostgreSQL reports at start-up, with their values.
    pub fn reported_parameters(&self) -> Vec<(&'static str, String)> {
        let mut reports = self.core.settings.borrow().reports();
        for (name, value) in &mut reports {
            if let "is_superuser" | "session_authorization" = *name
                && let Ok(own) = self.core.setting(name, None)
            {
                *value = own;
            }
        }
        reports
    }
    /// Commits since the last call that the client must not hear of before they are durable: await
    /// [`Store::durable`](serin_storage::Store::durable) for it before writing out anything buffered since.
    pub fn take_durable_at(&mut self) -> Option<Timestamp> {
        self.core.durable_at.take()
    }
    /// Whether what would run next (a simple statement, a portal) may take longer than about a millisecond, so that
    /// the server should run it with `block_in_place`.
    pub fn is_long(&self, portal: &str) -> bool {
        let Some(portal) = self.portals.get(portal) else { return false };
        match &portal.run {
            Run::Plan { plan, .. } => !plan.is_short,
            Run::Done => false,
            Run::New => match portal.prepared.kind() {
                None => false,
                Some(kind) if is_control(kind) => self.is_end_long(),
                // What it prepares is planned at once.
                Some(StatementKind::Prepare { .. }) => portal.text().len() > LONG_TEXT_BYTES,
                Some(kind) if is_quick(kind) => false,
                Some(StatementKind::Execute { name, .. }) => {
                    let statements = self.core.statements.borrow();
                    let plan = statements.get(name).and_then(|known| known.last_plan());
                    plan.is_none_or(|plan| !plan.is_short)
                }
                // One that nobody has executed yet is planned by the first FETCH.
                Some(StatementKind::Fetch { cursor, .. }) => match self.portals.get(cursor).map(|of| &of.run)
                {
                    None => false,
                    Some(Run::Plan { plan, .. }) => !plan.is_short,
                    Some(_) => true,
                },
                // What has no plan yet is not called long for that: `block_in_place` costs 10 µs, a third of a short statement sent
                // as text. `start` pauses when the plan turns out to be long, and the server comes back prepared.
                Some(kind) if is_planned(kind) => match portal.prepared.last_plan() {
                    Some(plan) => !plan.is_short,
                    None => portal.text().len() > LONG_TEXT_BYTES,
                },
                Some(_) => true,
            },
            _ => true,
        }
    }
    /// The same of the transaction's end.
    pub fn is_end_long(&self) -> bool {
        let changes = |transaction: &RefCell<Transaction>| transaction.borrow().change_count();
        self.core.deferred.borrow().has_events()
            || self.block.transaction.as_ref().is_some_and(|t| changes(t) > LONG_CHANGES)
    }
    /// Called, from another thread, when the session is told to end while it may be waiting for its client.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send>) {
        self.core.registration.set_waker(waker);
    }
    /// What statements have to say while they run goes there; it may be called by whatever calls [`Session::execute`] and the like.
    pub fn set_notice_sink(&self, sink: NoticeSink) {
        *self.core.notice_sink.borrow_mut() = Some(sink);
    }
    /// The error with which the session has been told to end (57P01, 25P03): for a connection that was waked while idle.
    pub fn pending_fatal(&self) -> Option<Error> {
        self.core.registration.fatal()
    }

    // ---- simple protocol ----

    /// Parses a whole Query message. A syntax error anywhere fails the message before any of it runs.
    pub fn parse(&mut self, sql: &str) -> Result<Vec<Parsed>> {
        self.core.enter_types();
        self.cache.simple(sql).map_err(|error| self.failed(error))
    }
    /// Starts statement `index` of `parsed` as the unnamed portal, in the message's implicit transaction block;
    /// then call [`Session::execute`] on portal `""` until it completes.
    pub fn start_simple(&mut self, parsed: &[Parsed], index: usize, _out: &mut dyn Output) -> Result<()> {
        self.unnamed = None;
        let Parsed { prepared, instance } = &parsed[index];
        let mut portal = Portal::new("", prepared.clone(), self.block.level());
        portal.instance = instance.clone();
        portal.simple = true;
        portal.last = index + 1 == parsed.len();
        self.portals.put(Box::new(portal));
        Ok(())
    }

    // ---- extended protocol ----

    pub fn prepare(&mut self, name: &str, sql: &str, parameter_types: &[Oid]) -> Result<()> {
        self.core.enter_types();
        let result = self.try_prepare(name, sql, parameter_types);
        result.map_err(|error| self.failed(error))
    }

    fn try_prepare(&mut self, name: &str, sql: &str, parameter_types: &[Oid]) -> Result<()> {
        let prepared = if name.is_empty() {
            self.unnamed = None;
            self.cache.extended(sql, parameter_types, &self.core)?
        } else {
            if self.core.statements.borrow().contains_key(name) {
                let message = format!("prepared statement \"{name}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
            }
            parse_one(sql, parameter_types)?
        };
        if let Some(kind) = prepared.kind() {
            if self.block.state == State::Failed && !ends_failed_block(kind) {
                return Err(in_failed_transaction());
            }
            // Names and types are checked now, as PostgreSQL does.
            if prepared.planned().is_some() {
                prepared.promise(&*self.plan_of(&prepared)?);
            }
        }
        if name.is_empty() {
            self.unnamed = Some(prepared);
        } else {
            self.core.statements.borrow_mut().insert(name.to_string(), prepared);
        }
        Ok(())
    }

    fn find_statement(&self, name: &str) -> Result<Arc<Prepared>> {
        let found = match name {
            "" => self.unnamed.clone(),
            name => self.core.statements.borrow().get(name).cloned(),
        };
        found.ok_or_else(|| match name {
            "" => {
                Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, "unnamed prepared statement does not exist")
            }
            _ => no_statement(name),
        })
    }

    /// Parameter types, and the result's fields (None: no rows).
    pub fn describe_statement(&mut self, name: &str) -> Result<(Vec<Oid>, Option<Vec<Field>>)> {
        self.core.enter_types();
        let described = self.find_statement(name).and_then(|prepared| {
            let fields = self.fields_of(&prepared)?;
            let types = self.parameter_types_of(&prepared)?;
            Ok((types.iter().map(|data_type| data_type.0).collect(), fields))
        });
        described.map_err(|error| self.failed(error))
    }

    fn parameter_types_of(&mut self, prepared: &Arc<Prepared>) -> Result<Vec<Type>> {
        if prepared.planned().is_some() {
            return Ok(self.plan_of(prepared)?.parameter_types.clone());
        }
        if let Some(StatementKind::Call(call)) = prepared.kind() {
            if self.block.state == State::Failed {
                return Err(in_failed_transaction());
            }
            return Ok(self.describe_call(call, &prepared.declared)?.0);
        }
        // Those of the statement that it prepares are no parameters of PREPARE.
        if matches!(prepared.kind(), Some(StatementKind::Prepare { .. })) {
            return Ok(prepared.declared.iter().map(|declared| declared.unwrap_or(Type::TEXT)).collect());
        }
        let count = prepared.statement.as_ref().map_or(0, |statement| statement.parameters as usize);
        let declared = |index: usize| prepared.declared.get(index).copied().flatten().unwrap_or(Type::TEXT);
        Ok((0..count.max(prepared.declared.len())).map(declared).collect())
    }

    /// What a statement's rows look like, without running it.
    fn fields_of(&mut self, prepared: &Arc<Prepared>) -> Result<Option<Vec<Field>>> {
        match prepared.kind() {
            None => Ok(None),
            Some(
                StatementKind::Query(_)
                | StatementKind::Insert(_)
                | StatementKind::Update(_)
                | StatementKind::Delete(_)
                | StatementKind::Merge(_),
            ) => {
                if self.block.state == State::Failed {
                    return Err(in_failed_transaction());
                }
                Ok(self.plan_of(prepared)?.fields.clone())
            }
            Some(kind) => self.utility_fields(kind, &prepared.declared),
        }
    }

    pub fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: &[Option<&[u8]>],
        parameter_formats: &[Format],
        result_formats: &[Format],
    ) -> Result<()> {
        self.core.enter_types();
        let bound = self.try_bind(portal, statement, parameters, parameter_formats, result_formats);
        bound.map_err(|error| self.failed(error))
    }

    fn try_bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: &[Option<&[u8]>],
        parameter_formats: &[Format],
        result_formats: &[Format],
    ) -> Result<()> {
        let prepared = self.find_statement(statement)?;
        if !portal.is_empty() && self.portals.get(portal).is_some() {
            let message = format!("cursor \"{portal}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message));
        }
        if let Some(kind) = prepared.kind()
            && self.block.state == State::Failed
            && !ends_failed_block(kind)
        {
            return Err(in_failed_transaction());
        }
        let types = match prepared.current_plan(&self.core) {
            Some(plan) => plan.parameter_types.clone(),
            None => self.parameter_types_of(&prepared)?,
        };
        if parameters.len() != types.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}",
                parameters.len(),
                types.len()
            );
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        if parameter_formats.len() > 1 && parameter_formats.len() != parameters.len() {
            let message = format!(
                "bind message has {} parameter formats but {} parameters",
                parameter_formats.len(),
                parameters.len()
            );
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        let mut bound = Portal::new(portal, prepared, self.block.level());
        bound.result_formats = result_formats.to_vec();
        if !parameters.is_empty() {
            let context = self.context();
            let eval = context.eval();
            for (index, (bytes, &data_type)) in parameters.iter().zip(&types).enumerate() {
                let format = match parameter_formats {
                    [] => Format::Text,
                    [format] => *format,
                    formats => formats[index],
                };
                let value = match bytes {
                    None => Datum::Null,
                    Some(bytes) => super::utility::decode_parameter(bytes, format, data_type, &eval)
                        .map_err(|error| parameter_context(error, index, portal))?,
                };
                bound.parameters.push(value);
            }
            bound.parameter_types = types;
        }
        if !portal.is_empty() {
            bound.listed = Some(self.core.list_cursor(Cursor {
                name: portal.to_string(),
                statement: bound.prepared.text.clone(),
                holdable: false,
                binary: false,
                scrollable: false,
                created_at: now(),
            }));
        }
        self.portals.put(Box::new(bound));
        Ok(())
    }

    /// The fields (None: no rows) and the formats the client chose.
    pub fn describe_portal(&mut self, name: &str) -> Result<(Option<&[Field]>, &[Format])> {
        self.core.enter_types();
        if let Err(error) = self.fill_portal_fields(name) {
            return Err(self.failed(error));
        }
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        Ok((portal.result.fields.as_deref(), &portal.result.formats))
    }

    fn fill_portal_fields(&mut self, name: &str) -> Result<()> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        if portal.result.fields.is_some() || !matches!(portal.run, Run::New) {
            return Ok(());
        }
        let fields = self.fields_of(&portal.prepared.clone())?;
        self.portals.get_mut(name).ok_or_else(|| no_portal(name))?.set_fields(fields.as_deref())
    }

    /// A SELECT that calls a function by its OID, and the types of its parameters.
    pub fn function_call(&self, function: Oid, arguments: usize) -> Result<(String, Vec<Oid>)> {
        let catalog = self.core.catalog();
        let built_in = crate::functions::function_by_oid(function)
            .and_then(|found| Some((found, catalog.schema_of_built_in(function)?)));
        let (schema, name, types, plain) = match (built_in, catalog.routine(function)) {
            (Some((found, schema)), _) => {
                let types: Vec<Oid> = found.arguments.iter().map(|argument| argument.0).collect();
                (
                    schema,
                    found.name.to_owned(),
                    types,
                    matches!(found.body, Body::Scalar { .. } | Body::Typed(_)),
                )
            }
            (None, Some(routine)) => {
                let types = routine.input_types().iter().map(|argument| argument.0).collect();
                (routine.schema, routine.name.clone(), types, !routine.procedure && !routine.returns_set)
            }
            (None, None) => {
                let message = format!("function with OID {function} does not exist");
                return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
            }
        };
        if !plain {
            let message = format!("cannot call function \"{name}\" via fastpath interface");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        if types.len() != arguments {
            let message = format!(
                "function call message contains {arguments} arguments but function requires {}",
                types.len()
            );
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, message));
        }
        let schema =
            catalog.schema(schema).map_or_else(|| "pg_catalog".to_owned(), |schema| schema.name.clone());
        let parameters: Vec<String> = (1..=arguments).map(|number| format!("${number}")).collect();
        let (schema, name) = (quote_identifier(&schema), quote_identifier(&name));
        Ok((format!("SELECT {schema}.{name}({})", parameters.join(", ")), types))
    }

    pub fn close_statement(&mut self, name: &str) {
        if name.is_empty() {
            self.unnamed = None;
        } else {
            self.core.statements.borrow_mut().remove(name);
        }
    }
    pub fn close_portal(&mut self, name: &str) {
        self.portals.take(name);
    }

    /// Sync, and the end of a simple Query message: commits (or rolls back) the implicit transaction.
    pub fn sync(&mut self, out: &mut dyn Output) -> Result<()> {
        let result = match self.block.state {
            State::Implicit => self.commit(),
            State::Idle | State::InBlock | State::Failed => Ok(()),
        };
        self.settle(out);
        if self.block.state == State::Idle {
            self.core.deliver(out);
        }
        self.went_idle();
        result.map_err(|error| self.explain(error))
    }

    /// The server met an error of its own between messages (protocol violation, COPY failure): as if the statement
    /// had failed with it.
    pub fn fail(&mut self) {
        self.copying = None;
        self.end_statement_timer();
        self.abort();
    }

    // ---- execution ----

    /// Runs the portal for up to `max_rows` rows (0 = all). A failure rolls back or fails the transaction as
    /// PostgreSQL would; the session stays usable.
    pub fn execute(&mut self, name: &str, max_rows: u64, out: &mut dyn Output) -> Result<Progress> {
        self.core.enter_types();
        let Some(mut portal) = self.portals.take(name) else {
            // PostgreSQL keeps the portals of a failed transaction, to say of each that it can't go on.
            let error = match self.block.state {
                State::Failed => in_failed_transaction(),
                _ => no_portal(name),
            };
            return Err(self.failed(error));
        };
        self.core.control.ended.set(0);
        let mut attempt = 0;
        // COMMIT leaves no transaction either when it fails, but what it would have committed is not its own to repeat.
        let in_block = matches!(self.block.state, State::InBlock | State::Failed);
        let result = loop {
            let stepped = match self.failed_wait.take() {
                Some(error) => Err(error),
                None => self.step(&mut portal, max_rows, out),
            };
            match stepped {
                Err(error) if attempt < RETRIES_MAX && !in_block && self.may_retry(&portal, &error) => {
                    attempt += 1;
                    self.retry(&mut portal, attempt);
                }
                result => break result,
            }
        };
        self.settle(out);
        match result {
            Ok(Progress::CopyIn { binary, columns }) => {
                self.copying = Some(portal);
                Ok(Progress::CopyIn { binary, columns })
            }
            Ok(Progress::Waiting) => {
                self.portals.put(portal);
                Ok(Progress::Waiting)
            }
            Ok(progress) => {
                let ended = matches!(progress, Progress::Complete(_) | Progress::EmptyQuery);
                if ended || matches!(progress, Progress::Suspended) {
                    portal.sent_before = portal.sent;
                    self.end_statement_timer();
                }
                // A finished portal is kept to answer "no more rows", for as long as its transaction lasts.
                if !ended || (!portal.simple && self.block.state != State::Idle) {
                    self.portals.put(portal);
                }
                Ok(progress)
            }
            Err(error) => {
                drop(portal);
                self.end_statement_timer();
                Err(self.failed(error))
            }
        }
    }

    /// From now on [`Session::execute`] may answer `Progress::Waiting` instead of blocking its thread: for the first lock that a short
    /// statement needs, and for the serial token. Other waits block.
    pub fn may_wait_outside(&mut self) {
        self.first_wait = WaitPolicy::Queue;
    }

    /// After `Progress::Waiting`. None: execute the portal again (the wait is over, for better or worse). Otherwise ask again when
    /// `waker` is woken, or at the latest then.
    pub fn poll_wait(&mut self, waker: &Waker) -> Option<Instant> {
        let transactions = &self.core.engine.transactions;
        transactions.poll_wait(&self.core.registration.handle, waker).unwrap_or_else(|error| {
            self.failed_wait = Some(error.into());
            None
        })
    }

    /// A statement that is alone in its transaction, and of which the client has seen nothing.
    fn may_retry(&self, portal: &Portal, error: &Error) -> bool {
        let alone = match self.block.state {
            State::Implicit => self.block.statements == 1,
            // Its commit failed.
            State::Idle => portal.last && self.block.statements == 1,
            State::InBlock | State::Failed => false,
        };
        error.is_retryable()
            && self.core.control.ended.get() == 0
            && alone
            && portal.sent == 0
            && !self.core.has_said.get()
            && !matches!(portal.run, Run::CopyIn(_) | Run::CopyOut(_))
    }

    fn retry(&mut self, portal: &mut Portal, attempt: u32) {
        self.rollback();
        portal.restart();
        self.core.notices.borrow_mut().clear();
        self.core.engine.retries.fetch_add(1, Ordering::Relaxed);
        // Grows with the attempts, and differs between those who met each other.
        let micros = rand::random_range(0..200u64 << attempt);
        std::thread::sleep(Duration::from_micros(micros));
    }

    fn step(&mut self, portal: &mut Portal, max_rows: u64, out: &mut dyn Output) -> Result<Progress> {
        if matches!(portal.run, Run::New) {
            if portal.prepared.statement.is_none() {
                portal.run = Run::Done;
                return Ok(Progress::EmptyQuery);
            }
            if let Some(progress) = self.start(portal, out)? {
                return self.finished(portal, progress);
            }
        }
        let progress = self.advance(portal, max_rows, out)?;
        self.finished(portal, progress)
    }

    /// What has to happen before a statement's tag may be sent.
    fn finished(&mut self, portal: &mut Portal, progress: Progress) -> Result<Progress> {
        if matches!(progress, Progress::Complete(_)) {
            portal.run = Run::Done;
            if portal.last && self.block.state == State::Implicit {
                self.commit()?;
            }
        }
        Ok(progress)
    }

    /// Begins a statement. Those that are done at once answer their progress.
    fn start(&mut self, portal: &mut Portal, out: &mut dyn Output) -> Result<Option<Progress>> {
        let prepared = portal.prepared.clone();
        let kind = prepared.kind().expect("empty queries were handled");
        if self.block.state == State::Failed && !ends_failed_block(kind) {
            return Err(in_failed_transaction());
        }
        // Who comes back from waiting for the token goes on with the same statement: its time runs since it came first, and a
        // cancel that arrived meanwhile is meant for it.
        if !portal.has_begun {
            self.core.registration.forget_cancel()?;
            self.went_active(portal.text());
        }
        if is_control(kind) {
            let tag = self.control(kind)?;
            return Ok(Some(Progress::Complete(tag.to_string())));
        }
        self.ensure_transaction()?;
        if !std::mem::replace(&mut portal.has_begun, true) {
            self.core.has_said.set(false);
            self.block.statements += 1;
        }
        match kind {
            kind if is_planned(kind) => self.start_plan(portal),
            kind => self.utility(kind, portal, out),
        }
    }

    /// Pauses before a long statement that was not known to be one.
    fn start_plan(&mut self, portal: &mut Portal) -> Result<Option<Progress>> {
        if portal.instance.is_some() {
            self.bind_instance(portal)?;
        }
        let expected = portal.prepared.last_plan().is_some();
        let plan = self.ready_plan(&portal.prepared)?;
        let pause = !expected && !plan.is_short;
        self.run_plan(portal, plan, self.first_wait)?;
        Ok(match portal.run {
            Run::New => Some(Progress::Waiting),
            _ if pause => Some(Progress::Paused),
            _ => None,
        })
    }

    /// Gives an instance its parameters, or, where its shape is not fit for that, its own statement.
    fn bind_instance(&mut self, portal: &mut Portal) -> Result<()> {
        let Some(instance) = &portal.instance else { return Ok(()) };
        match self.plan_of(&portal.prepared) {
            Ok(plan) if plan.short.is_some() => {
                portal.parameters = instance.parameters();
                portal.parameter_types = plan.parameter_types.clone();
            }
            _ => {
                instance.is_unfit();
                portal.prepared = parse_one(&instance.text, &[])?;
                portal.instance = None;
            }
        }
        Ok(())
    }

    /// Begins a planned statement whose relations are locked. The portal stays `New` if it has to wait for the serial token, and may.
    pub(super) fn run_plan(&mut self, portal: &mut Portal, plan: Arc<Plan>, wait: WaitPolicy) -> Result<()> {
        if plan.parameter_types != portal.parameter_types && !portal.parameters.is_empty() {
            return Err(result_type_changed());
        }
        self.core.check_permissions(&plan)?;
        if plan.writes {
            self.core.check_writable(match plan.kind {
                PlanKind::Select => "SELECT FOR UPDATE",
                PlanKind::Insert => "INSERT",
                PlanKind::Update => "UPDATE",
                PlanKind::Delete => "DELETE",
                PlanKind::Merge => "MERGE",
            })?;
        }
        match (&portal.result.fields, &plan.fields) {
            // The columns that Describe promised.
            (Some(known), Some(fields)) if !portal.simple => {
                if !same_types(known, fields) {
                    return Err(result_type_changed());
                }
            }
            (_, fields) => portal.set_fields(fields.as_deref())?,
        }
        self.hint_read_only(portal, &plan)?;
        if !self.start_snapshot(&plan, wait)? {
            return Ok(());
        }
        let execution = Execution::new(plan.clone()).waiting_by(wait);
        portal.run = Run::Plan { execution, plan, statement_time: now() };
        Ok(())
    }

    /// A transaction that can only be one read is read-only, whatever the session's default: the protocols make use of
    /// it. When an extended-protocol client turns out to send more before its Sync, READ COMMITTED statements go on in a transaction of
    /// their own, which they can't tell from one: each has its own snapshot anyway.
    fn hint_read_only(&mut self, portal: &Portal, plan: &Plan) -> Result<()> {
        if self.block.state != State::Implicit {
            return Ok(());
        }
        let transaction = self.block.transaction.as_ref().expect("ensured by start");
        if self.block.statements > 1 {
            let hinted = transaction.borrow().read_only() && !self.core.read_only.get();
            if hinted && !plan.read_only {
                self.split_pipeline(plan)?;
            }
            return Ok(());
        }
        let mut transaction = transaction.borrow_mut();
        if plan.read_only && (portal.last || transaction.isolation() == Isolation::ReadCommitted) {
            let (mode, isolation) = (transaction.mode(), transaction.isolation());
            transaction.set_characteristics(mode, isolation, true, self.core.deferrable.get())?;
        }
        Ok(())
    }

    fn split_pipeline(&mut self, plan: &Plan) -> Result<()> {
        let statements = self.block.statements;
        self.commit()?;
        self.begin(State::Implicit);
        self.block.statements = statements;
        self.lock_relations(plan)
    }

    /// Utility statements that write in an implicit transaction which a read has made read-only.
    pub(super) fn ensure_unhinted(&mut self) -> Result<()> {
        let transaction = self.block.transaction.as_ref().expect("ensured by start");
        let hinted = transaction.borrow().read_only() && !self.core.read_only.get();
        if hinted && self.block.state == State::Implicit {
            let statements = self.block.statements;
            self.commit()?;
            self.begin(State::Implicit);
            self.block.statements = statements;
        }
        Ok(())
    }

    /// False: it is not its turn yet, in serial mode.
    fn start_snapshot(&mut self, plan: &Plan, wait: WaitPolicy) -> Result<bool> {
        let limit = self.block.trees_version_max();
        if limit != u64::MAX {
            let catalog = self.core.catalog();
            for &(relation, _) in &plan.relations {
                if let Some(table) = catalog.table(relation)
                    && table.trees_since > limit
                {
                    let message = "could not serialize access due to concurrent schema change";
                    return Err(Error::new(SqlState::SERIALIZATION_FAILURE, message).detail(format!(
                        "Relation \"{}\" was given new storage after this transaction took its snapshot.",
                        table.name
                    )));
                }
            }
        }
        if !self.block.request_statement(plan.catalog_version, wait)? {
            return Ok(false);
        }
        self.core.trees_version_max.set(self.block.trees_version_max());
        Ok(true)
    }

    /// A plan that holds, with its relations locked.
    pub(super) fn ready_plan(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Plan>> {
        loop {
            let plan = self.plan_of(prepared)?;
            self.lock_relations(&plan)?;
            // Whoever changed the relations while we waited for their locks has moved the version.
            if self.core.view.borrow().is_current(&self.core.engine.publisher, plan.catalog_version) {
                return Ok(plan);
            }
            self.core.registration.check()?;
        }
    }

    fn lock_relations(&mut self, plan: &Plan) -> Result<()> {
        for &(relation, mode) in &plan.relations {
            self.block.lock_relation(relation, mode, WaitPolicy::Block)?;
        }
        Ok(())
    }

    pub(super) fn plan_of(&self, prepared: &Arc<Prepared>) -> Result<Arc<Plan>> {
        // A statement's context costs a look at the clock and more.
        if let Some(plan) = prepared.current_plan(&self.core) {
            return Ok(plan);
        }
        let context = self.context();
        prepared.plan(&self.core, &context.eval())
    }

    pub(super) fn context(&self) -> StatementContext<'_> {
        let statement_time = now();
        StatementContext {
            core: &self.core,
            transaction: self.block.transaction.as_ref(),
            render: self.core.render.borrow().clone(),
            transaction_time: if self.block.state == State::Idle {
                statement_time
            } else {
                self.block.started
            },
            statement_time,
        }
    }

    /// Goes on with a statement that has begun.
    fn advance(&mut self, portal: &mut Portal, max_rows: u64, out: &mut dyn Output) -> Result<Progress> {
        let mut wanted = if max_rows == 0 { u64::MAX } else { max_rows };
        match &mut portal.run {
            Run::Plan { plan, statement_time, .. } => {
                let (plan, statement_time) = (plan.clone(), *statement_time);
                let parameters = std::mem::take(&mut portal.parameters);
                let result = self.advance_plan(portal, &plan, statement_time, &parameters, wanted, out);
                portal.parameters = parameters;
                let progress = result?;
                if !matches!(progress, Progress::Paused | Progress::Waiting)
                    && let Some(transaction) = &self.block.transaction
                {
                    transaction.borrow_mut().end_statement();
                }
                Ok(progress)
            }
            Run::Rows { batches, tag } => {
                let render = self.core.render.borrow().clone();
                let tag = tag.clone();
                let mut queue = std::mem::take(batches);
                while let Some((batch, start)) =
                    portal.pending.take().or_else(|| queue.pop_front().map(|batch| (batch, 0)))
                {
                    wanted -= portal.send(batch, start, wanted, &render, out)?;
                    let progress = match wanted {
                        0 => Some(Progress::Suspended),
                        _ if is_full(out) => Some(Progress::Paused),
                        _ => None,
                    };
                    if let Some(progress) = progress {
                        portal.run = Run::Rows { batches: queue, tag };
                        return Ok(progress);
                    }
                }
                portal.announce(out);
                Ok(Progress::Complete(tag.text()))
            }
            Run::Fetch { .. } => self.advance_fetch(portal, out),
            Run::CopyOut(_) => self.advance_copy_out(portal, out),
            Run::CopyIn(_) => Err(Error::internal("COPY FROM STDIN is fed, not executed")),
            Run::Done => match portal.result.fields {
                Some(_) => Ok(Progress::Complete(counted("SELECT", 0))),
                None => {
                    let message = format!("portal \"{}\" cannot be run", portal.name);
                    Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
                }
            },
            Run::New => Err(Error::internal("a portal was not started")),
        }
    }

    fn advance_plan(
        &mut self,
        portal: &mut Portal,
        plan: &Plan,
        statement_time: i64,
        parameters: &[Datum],
        mut wanted: u64,
        out: &mut dyn Output,
    ) -> Result<Progress> {
        let transaction = self.block.transaction.as_ref();
        let transaction = transaction.ok_or_else(|| Error::internal("a portal outlived its transaction"))?;
        let mut context = self.context();
        context.statement_time = statement_time;
        let catalog = self.core.catalog();
        let context = ExecContext {
            transaction,
            eval: context.eval(),
            catalog: &catalog,
            parameters,
            work_mem_bytes: self.core.settings.borrow().typed().work_mem_bytes,
            core: Some(&self.core),
        };
        while let Some((batch, start)) = portal.next_batch(&context, wanted)? {
            if plan.fields.is_none() {
                continue;
            }
            wanted -= portal.send(batch, start, wanted, context.eval.render, out)?;
            if wanted == 0 {
                return Ok(Progress::Suspended);
            }
            if is_full(out) {
                return Ok(Progress::Paused);
            }
        }
        if let Run::Plan { execution, .. } = &portal.run
            && execution.is_queued()
        {
            return Ok(Progress::Waiting);
        }
        portal.announce(out);
        Ok(Progress::Complete(portal.plan_tag()))
    }

    /// Calls `work` with what a utility statement executes with.
    pub(super) fn with_exec<R>(&self, work: impl FnOnce(&ExecContext<'_>) -> Result<R>) -> Result<R> {
        let transaction = self.block.transaction.as_ref();
        let transaction = transaction.ok_or_else(|| Error::internal("no transaction is in progress"))?;
        let context = self.context();
        let catalog = self.core.catalog();
        // Apart, so that the settings are not borrowed while the statement, which may change them, runs.
        let work_mem_bytes = self.core.settings.borrow().typed().work_mem_bytes;
        work(&ExecContext {
            transaction,
            eval: context.eval(),
            catalog: &catalog,
            parameters: &[],
            work_mem_bytes,
            core: Some(&self.core),
        })
    }

    // ---- around statements ----

    fn went_active(&mut self, text: &Arc<str>) {
        let registration = &self.core.registration;
        registration.handle.set_statement(text.clone());
        let now = now();
        {
            let mut activity = registration.activity.lock();
            activity.state = "active";
            activity.query_start = Some(now);
            activity.state_change = now;
            activity.query = text.clone();
        }
        let timeout = self.core.settings.borrow().typed().statement_timeout_ms;
        if timeout > 0 {
            let timeout = Duration::from_millis(timeout);
            self.core.engine.timers.arm(registration, Slot::Statement, timeout, Reason::StatementTimeout);
        } else {
            // The idle timer shares the slot.
            Timers::disarm(registration, Slot::Statement);
        }
    }

    fn went_idle(&mut self) {
        let registration = &self.core.registration;
        let state = match self.block.state {
            State::Idle | State::Implicit => "idle",
            State::InBlock => "idle in transaction",
            State::Failed => "idle in transaction (aborted)",
        };
        {
            let mut activity = registration.activity.lock();
            activity.state = state;
            activity.state_change = now();
        }
        let timeout = self.core.settings.borrow().typed().idle_in_transaction_session_timeout_ms;
        if timeout > 0 && matches!(self.block.state, State::InBlock | State::Failed) {
            let timeout = Duration::from_millis(timeout);
            self.core.engine.timers.arm(registration, Slot::Statement, timeout, Reason::IdleTimeout);
        }
    }

    fn end_statement_timer(&self) {
        Timers::disarm(&self.core.registration, Slot::Statement);
    }

    /// Notices and changed settings go out before whatever the server sends next.
    pub(super) fn settle(&mut self, out: &mut dyn Output) {
        for notice in self.core.notices.take() {
            out.notice(notice);
        }
        let reports = self.core.settings.borrow_mut().take_changed_reports();
        for (name, value) in reports {
            match name {
                "session_authorization" => out.parameter_status(name, &self.core.identity.borrow().session.0),
                name => out.parameter_status(name, &value),
            }
        }
        let (role, told) = self.core.told_superuser.get();
        if role != self.core.role.get() {
            let now = self.core.acting_role();
            self.core.told_superuser.set(now);
            if now.1 != told {
                out.parameter_status("is_superuser", if now.1 { "on" } else { "off" });
            }
        }
    }

    /// A statement ended in this error: the transaction is aborted.
    pub(super) fn failed(&mut self, error: Error) -> Error {
        let error = self.explain(error);
        self.abort();
        error
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.copying = None;
        self.rollback();
        self.drop_temporary_schema();
        self.core.engine.transactions.advisory_unlock_all(&self.core.registration.handle);
        self.core.engine.notifications.forget(self.core.registration.pid);
        self.core.engine.unregister(self.core.registration.pid);
    }
}

/// Transaction control: runs outside of any statement's transaction.
/// Has a plan, unlike a utility statement.
fn is_planned(kind: &StatementKind) -> bool {
    match kind {
        StatementKind::Query(query) => query_into(query).is_none(),
        StatementKind::Insert(_)
        | StatementKind::Update(_)
        | StatementKind::Delete(_)
        | StatementKind::Merge(_) => true,
        _ => false,
    }
}

fn is_control(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Begin { .. }
            | StatementKind::Commit { .. }
            | StatementKind::Rollback { .. }
            | StatementKind::Savepoint(_)
            | StatementKind::Release(_)
            | StatementKind::RollbackTo(_)
            | StatementKind::PrepareTransaction(_)
    )
}

/// Utility statements that touch neither tables nor the catalog.
fn is_quick(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Set { .. }
            | StatementKind::Show(_)
            | StatementKind::Reset(_)
            | StatementKind::SetTransaction { .. }
            | StatementKind::Deallocate(_)
            | StatementKind::Close(_)
            | StatementKind::Discard(_)
            | StatementKind::Listen(_)
            | StatementKind::Notify(..)
    )
}

fn ends_failed_block(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Commit { .. }
            | StatementKind::Rollback { .. }
            | StatementKind::RollbackTo(_)
            | StatementKind::PrepareTransaction(_)
    )
}

/// SELECT … INTO's target.
pub(super) fn query_into(query: &crate::parse::ast::Query) -> Option<&(crate::parse::ast::ObjectName, bool)> {
    let mut body = &query.body;
    loop {
        match body {
            crate::parse::ast::SetExpr::Select(select) => return select.into.as_ref(),
            crate::parse::ast::SetExpr::Operation { left, .. } => body = left,
            crate::parse::ast::SetExpr::Query(query) => body = &query.body,
            crate::parse::ast::SetExpr::Values(_) => return None,
        }
    }
}

fn same_types(a: &[Field], b: &[Field]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.data_type == b.data_type)
}

pub(super) fn no_statement(name: &str) -> Error {
    let message = format!("prepared statement \"{name}\" does not exist");
    Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
}

fn no_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

fn parameter_context(error: Error, index: usize, portal: &str) -> Error {
    match portal {
        "" => error.context(format!("unnamed portal parameter ${}", index + 1)),
        _ => error.context(format!("portal \"{portal}\" parameter ${}", index + 1)),
    }
}
