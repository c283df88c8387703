//! Statements that are not planned: each is carried out here or sent to the module that knows how.

use super::connection::{Session, no_statement};
use super::cursor::Declare;
use super::portal::{Portal, Run, Tag};
use super::statement::Prepared;
use super::{Field, Format, Output, Progress};
use crate::catalog::acl;
use crate::column::{Batch, Column};
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::functions::EvalContext;
use crate::parse::ast::{self, SetValue, StatementKind};
use crate::types::{Datum, Repr, Type};
use serin_txn::{RelationLockMode, WaitPolicy};
use std::collections::VecDeque;
use std::sync::Arc;

/// A parameter as the client sent it.
pub(super) fn decode_parameter(
    bytes: &[u8],
    format: Format,
    data_type: Type,
    eval: &EvalContext<'_>,
) -> Result<Datum> {
    let value = match format {
        Format::Binary => crate::types::read_binary(bytes, data_type)?,
        Format::Text => {
            let text = crate::types::binary::read_text(bytes)?;
            return crate::functions::parse_in_context(text, data_type, -1, eval);
        }
    };
    crate::functions::domain::verify(&value, data_type, eval)?;
    Ok(value)
}

fn text_field(name: &str) -> Field {
    field(name, Type::TEXT)
}

pub(super) fn field(name: &str, data_type: Type) -> Field {
    let data_type = data_type.base();
    Field {
        name: name.to_string(),
        table: 0,
        column: 0,
        data_type,
        type_size: data_type.typlen(),
        type_modifier: -1,
    }
}

/// Rows of text columns.
pub(super) fn text_batches<'a>(
    rows: impl Iterator<Item = Vec<Option<&'a str>>>,
    columns: usize,
) -> VecDeque<Batch> {
    let mut built: Vec<Column> = (0..columns).map(|_| Column::with_capacity(Repr::Text, 0)).collect();
    let mut count = 0;
    for row in rows {
        for (column, value) in built.iter_mut().zip(row) {
            column.push_datum(&value.map_or(Datum::Null, Datum::text));
        }
        count += 1;
    }
    match count {
        0 => VecDeque::new(),
        _ => [Batch::new(built.into_iter().map(Arc::new).collect(), count)].into(),
    }
}

impl Session {
    /// The columns of a utility statement's result.
    pub(super) fn utility_fields(
        &mut self,
        kind: &StatementKind,
        declared: &[Option<Type>],
    ) -> Result<Option<Vec<Field>>> {
        Ok(match kind {
            StatementKind::Show(Some(name)) => {
                let canonical = crate::settings::Settings::canonical_name(name);
                Some(vec![text_field(canonical.unwrap_or(&name.to_ascii_lowercase()))])
            }
            StatementKind::Show(None) => Some(["name", "setting", "description"].map(text_field).to_vec()),
            StatementKind::Explain(explain) => {
                let data_type = super::explain::result_type(&explain.options);
                Some(vec![Field { data_type, ..text_field("QUERY PLAN") }])
            }
            StatementKind::Fetch { cursor, move_only: false, .. } => match self.portals.get(cursor) {
                Some(target) => target.result.fields.as_deref().map(<[Field]>::to_vec),
                None => {
                    let shape = self.core.cursors.borrow().shape(cursor);
                    let shape = shape.ok_or_else(|| super::cursor::no_cursor(cursor))?;
                    Some(shape.iter().map(|(name, data_type)| field(name, *data_type)).collect())
                }
            },
            StatementKind::Execute { name, .. } => {
                let prepared =
                    self.core.statements.borrow().get(name).cloned().ok_or_else(|| no_statement(name))?;
                self.plan_of(&prepared)?.fields.clone()
            }
            StatementKind::Call(call) => self.describe_call(call, declared)?.1,
            _ => None,
        })
    }

    /// The types of CALL's parameters, and what it answers: its procedure's OUT parameters.
    pub(super) fn describe_call(
        &self,
        call: &ast::FunctionCall,
        declared: &[Option<Type>],
    ) -> Result<(Vec<Type>, Option<Vec<Field>>)> {
        let context = self.context();
        let search_path = self.core.search_path.borrow().clone();
        let context = crate::plan::PlanContext {
            catalog: &self.core.catalog(),
            search_path: &search_path,
            eval: &context.eval(),
            settings: self.core.settings.borrow().typed().planner,
            variables: None,
        };
        let (bound, types) = crate::bind::procedure_call(call, declared, &context)?;
        let outputs = (bound.is_row && !bound.columns.is_empty()).then_some(&bound.columns);
        let fields = outputs.map(|outputs| outputs.iter().map(|(name, data_type)| field(name, *data_type)));
        Ok((types, fields.map(Iterator::collect)))
    }

    /// Transaction control; the answer is the tag.
    pub(super) fn control(&mut self, kind: &StatementKind) -> Result<&'static str> {
        match kind {
            StatementKind::Begin { modes, tag } => {
                self.begin_block(modes)?;
                Ok(tag)
            }
            StatementKind::Commit { chain } => self.commit_block(*chain),
            StatementKind::Rollback { chain } => {
                self.rollback_block(*chain)?;
                Ok("ROLLBACK")
            }
            StatementKind::Savepoint(name) => {
                self.savepoint(name)?;
                Ok("SAVEPOINT")
            }
            StatementKind::Release(name) => {
                self.release_savepoint(name)?;
                Ok("RELEASE")
            }
            StatementKind::RollbackTo(name) => {
                self.rollback_to_savepoint(name)?;
                Ok("ROLLBACK")
            }
            StatementKind::PrepareTransaction(gid) => self.prepare_transaction(gid),
            _ => Err(Error::internal("not transaction control")),
        }
    }

    /// Carries out a statement that has no plan. Answers its progress, or None when the portal goes on with it.
    pub(super) fn utility(
        &mut self,
        kind: &StatementKind,
        portal: &mut Portal,
        out: &mut dyn Output,
    ) -> Result<Option<Progress>> {
        // CALL says what it answers once it has run.
        if !matches!(kind, StatementKind::Call(_)) {
            let fields = self.utility_fields(kind, &[])?;
            portal.set_fields(fields.as_deref())?;
        }
        let tag = match kind {
            StatementKind::Show(name) => {
                self.show(name.as_deref(), portal)?;
                return Ok(None);
            }
            StatementKind::Explain(explain) => {
                self.explain_statement(explain, portal)?;
                return Ok(None);
            }
            StatementKind::Execute { name, arguments } => {
                self.execute_prepared(name, arguments, portal)?;
                return Ok(None);
            }
            StatementKind::Fetch { cursor, direction, move_only } => {
                self.fetch(cursor, *direction, *move_only, portal)?;
                return Ok(None);
            }
            StatementKind::Copy(copy) => return self.copy(copy, portal, out),
            StatementKind::Prepare { name, types, statement } => {
                self.prepare_statement(name, types, statement, portal)?;
                "PREPARE"
            }
            StatementKind::Deallocate(Some(name)) => {
                if self.core.statements.borrow_mut().remove(name).is_none() {
                    return Err(no_statement(name));
                }
                "DEALLOCATE"
            }
            StatementKind::Deallocate(None) => {
                self.core.statements.borrow_mut().clear();
                "DEALLOCATE ALL"
            }
            StatementKind::Declare { name, binary, scroll, hold, query } => {
                let scroll = scroll.unwrap_or(false);
                self.declare(Declare { name, query, binary: *binary, scroll, hold: *hold }, portal)?;
                "DECLARE CURSOR"
            }
            StatementKind::Close(Some(name)) => {
                if self.portals.take(name).is_none() && !self.core.cursors.borrow_mut().close(name) {
                    return Err(super::cursor::no_cursor(name));
                }
                "CLOSE CURSOR"
            }
            StatementKind::Close(None) => {
                self.portals.close_all();
                self.core.cursors.borrow_mut().clear();
                "CLOSE CURSOR ALL"
            }
            StatementKind::SetTransaction { modes, session, snapshot } => {
                self.set_transaction(modes, *session, snapshot.as_deref())?;
                "SET"
            }
            StatementKind::SetConstraints { names, deferred } => {
                self.set_constraints(names, *deferred)?;
                "SET CONSTRAINTS"
            }
            StatementKind::Set { name, value, local } => {
                self.set(name, value, *local)?;
                "SET"
            }
            StatementKind::Reset(Some(name)) => {
                self.core.set_setting(name, None, false, self.block.transaction.as_ref())?;
                "RESET"
            }
            StatementKind::Reset(None) => {
                self.core.reset_settings();
                "RESET"
            }
            StatementKind::Discard(what) => self.discard(what)?,
            StatementKind::LockTable { tables, mode, nowait } => {
                self.lock_tables(tables, *mode, *nowait)?;
                "LOCK TABLE"
            }
            StatementKind::Vacuum { tables, analyze, .. } => {
                self.vacuum(tables, *analyze)?;
                "VACUUM"
            }
            StatementKind::Analyze { tables, .. } => {
                self.analyze(tables)?;
                "ANALYZE"
            }
            StatementKind::Checkpoint => {
                if !self.core.has_privileges_of(acl::CHECKPOINT) {
                    let message = "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT";
                    return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                self.core.engine.store().fold_now()?;
                "CHECKPOINT"
            }
            StatementKind::Backup { directory, previous } => {
                self.forbid_block("BACKUP")?;
                self.require_superuser("permission denied to make a backup")?;
                self.core
                    .engine
                    .store()
                    .backup(directory.as_ref(), previous.as_deref().map(AsRef::as_ref))?;
                "BACKUP"
            }
            StatementKind::Listen(channel) => {
                self.core.listen(channel);
                "LISTEN"
            }
            StatementKind::Unlisten(channel) => {
                self.core.unlisten(channel.as_deref());
                "UNLISTEN"
            }
            StatementKind::Notify(channel, payload) => {
                self.core.notify(channel, payload.as_deref().unwrap_or(""))?;
                "NOTIFY"
            }
            StatementKind::CommitPrepared(gid) => {
                self.commit_prepared(gid)?;
                "COMMIT PREPARED"
            }
            StatementKind::RollbackPrepared(gid) => {
                self.rollback_prepared(gid)?;
                "ROLLBACK PREPARED"
            }
            StatementKind::Unsupported(what) => return Err(Error::unsupported(what)),
            StatementKind::Do { language, body } => {
                let alone = portal.is_alone();
                self.in_statement(alone, |context| crate::exec::routine::run_block(language, body, context))?;
                "DO"
            }
            StatementKind::Call(call) => {
                let types: Vec<_> = portal.parameter_types.iter().copied().map(Some).collect();
                let parameters = &portal.parameters[..];
                let results = self.in_statement(portal.is_alone(), |context| {
                    let context = ExecContext { parameters, ..*context };
                    crate::exec::routine::run_call(call, &types, &context)
                })?;
                let Some((columns, row)) = results else {
                    return Ok(Some(Progress::Complete("CALL".to_string())));
                };
                let fields: Vec<Field> =
                    columns.iter().map(|(name, data_type)| field(name, *data_type)).collect();
                portal.set_fields(Some(&fields))?;
                let built = columns
                    .iter()
                    .zip(&row)
                    .map(|((_, data_type), value)| Arc::new(Column::from_datums(data_type.repr(), [value])))
                    .collect();
                portal.run = Run::Rows { batches: [Batch::new(built, 1)].into(), tag: Tag::Fixed("CALL") };
                return Ok(None);
            }
            kind => {
                let tag = self.define(kind, portal)?;
                return Ok(Some(Progress::Complete(tag)));
            }
        };
        Ok(Some(Progress::Complete(tag.to_string())))
    }

    /// DO and CALL: a statement whose work is done by others inside of it. `alone`: its message has no other.
    fn in_statement<T>(
        &mut self,
        alone: bool,
        work: impl FnOnce(&crate::exec::ExecContext<'_>) -> Result<T>,
    ) -> Result<T> {
        self.ensure_unhinted()?;
        let version = self.core.catalog().version;
        self.block.start_statement(version)?;
        self.core.trees_version_max.set(self.block.trees_version_max());
        self.allow_control(alone && self.forbid_block("").is_ok());
        let result = self.with_exec(work);
        self.settle_control();
        let result = result?;
        if let Some(transaction) = &self.block.transaction {
            transaction.borrow_mut().end_statement();
        }
        Ok(result)
    }

    /// Statements that change definitions; the answer is the tag.
    fn define(&mut self, kind: &StatementKind, portal: &Portal) -> Result<String> {
        self.core.check_writable(crate::ddl::command(kind))?;
        self.ensure_unhinted()?;
        if let StatementKind::CreateDatabase { .. } | StatementKind::DropDatabase { .. } = kind {
            self.forbid_block(crate::ddl::command(kind))?;
        }
        if let StatementKind::AlterSetting { target: ast::SettingTarget::System, .. } = kind {
            self.forbid_block("ALTER SYSTEM")?;
        }
        let version = self.core.catalog().version;
        self.block.start_statement(version)?;
        let tag = {
            let context = self.context();
            let eval = context.eval();
            let transaction = self.block.transaction.as_ref();
            let transaction = transaction.ok_or_else(|| Error::internal("no transaction is in progress"))?;
            let ddl = crate::ddl::Ddl {
                core: &self.core,
                transaction,
                eval: &eval,
                parameters: &portal.parameters,
                parameter_types: &portal.parameter_types,
            };
            ddl.run(kind)?
        };
        if let Some(transaction) = &self.block.transaction {
            transaction.borrow_mut().end_statement();
        }
        Ok(tag)
    }

    fn show(&mut self, name: Option<&str>, portal: &mut Portal) -> Result<()> {
        let batches = match name {
            Some(name) => {
                let value = self.core.setting(name, self.block.transaction.as_ref())?;
                text_batches([vec![Some(value.as_str())]].into_iter(), 1)
            }
            None => {
                let mut all = self.core.settings.borrow().show_all();
                if !self.core.sees_settings() {
                    all.retain(|(name, ..)| !super::core::is_secret_setting(name));
                }
                let rows = all.iter().map(|(name, value, description)| {
                    vec![Some(name.as_str()), Some(value.as_str()), Some(description.as_str())]
                });
                text_batches(rows, 3)
            }
        };
        portal.run = Run::Rows { batches, tag: Tag::Fixed("SHOW") };
        Ok(())
    }

    fn set(&mut self, name: &str, value: &SetValue, local: bool) -> Result<()> {
        if local && self.block.state == super::block::State::Implicit && self.block.statements == 1 {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.core.warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message);
        }
        let text = set_value_text(name, value);
        self.core.set_setting(name, text.as_deref(), local, self.block.transaction.as_ref())
    }

    fn set_transaction(
        &mut self,
        modes: &ast::TransactionModes,
        session: bool,
        snapshot: Option<&str>,
    ) -> Result<()> {
        if !session {
            if self.block.state == super::block::State::Implicit && self.block.statements == 1 {
                let message = "SET TRANSACTION can only be used in transaction blocks";
                self.core.warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, message);
            }
            return match snapshot {
                Some(name) => self.import_snapshot(name),
                None => self.set_transaction_modes(modes),
            };
        }
        let on_off = |on: bool| Some(if on { "on" } else { "off" });
        let defaults = [
            ("default_transaction_isolation", modes.isolation.map(|level| level.name())),
            ("default_transaction_read_only", modes.read_only.and_then(on_off)),
            ("default_transaction_deferrable", modes.deferrable.and_then(on_off)),
        ];
        for (name, value) in defaults {
            if let Some(value) = value {
                self.core.set_setting(name, Some(value), false, None)?;
            }
        }
        Ok(())
    }

    fn discard(&mut self, what: &str) -> Result<&'static str> {
        match what.to_ascii_lowercase().as_str() {
            "all" => {
                self.forbid_block("DISCARD ALL")?;
                self.portals.close_all();
                self.core.set_setting("session_authorization", None, false, None)?;
                self.core.reset_settings();
                self.core.statements.borrow_mut().clear();
                self.cache.clear();
                self.core.engine.transactions.advisory_unlock_all(&self.core.registration.handle);
                self.core.sequences.borrow_mut().clear();
                self.core.unlisten(None);
                self.discard_temporary()?;
                Ok("DISCARD ALL")
            }
            "plans" => {
                self.core.plan_epoch.set(self.core.plan_epoch.get() + 1);
                Ok("DISCARD PLANS")
            }
            "sequences" => {
                self.core.sequences.borrow_mut().clear();
                Ok("DISCARD SEQUENCES")
            }
            _ => {
                self.discard_temporary()?;
                Ok("DISCARD TEMP")
            }
        }
    }

    fn prepare_statement(
        &mut self,
        name: &str,
        types: &[ast::TypeName],
        statement: &StatementKind,
        portal: &Portal,
    ) -> Result<()> {
        if self.core.statements.borrow().contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, message));
        }
        let declared = {
            let context = self.context();
            let eval = context.eval();
            let catalog = self.core.catalog();
            let search_path = self.core.search_path.borrow().clone();
            let settings = self.core.settings.borrow().typed().planner;
            let context = crate::plan::PlanContext {
                catalog: &catalog,
                search_path: &search_path,
                eval: &eval,
                settings,
                variables: None,
            };
            let resolve = |name| Ok(Some(crate::bind::resolve_type(name, &context)?.0));
            types.iter().map(resolve).collect::<Result<Vec<_>>>()?
        };
        let statement = ast::Statement { kind: statement.clone(), span: 0..0, parameters: 0 };
        let prepared = Prepared::from_sql(portal.prepared.text.clone(), statement, declared);
        prepared.promise(&*self.plan_of(&prepared)?);
        self.core.statements.borrow_mut().insert(name.to_string(), prepared);
        Ok(())
    }

    /// EXECUTE: the portal goes on as a run of the prepared statement.
    fn execute_prepared(&mut self, name: &str, arguments: &[ast::Expr], portal: &mut Portal) -> Result<()> {
        let plan = self.enter_prepared(name, arguments, portal)?;
        // The catalog can't have changed: the relations are locked.
        self.run_plan(portal, plan, WaitPolicy::Block)
    }

    /// Gives the portal the prepared statement and its parameters.
    pub(super) fn enter_prepared(
        &mut self,
        name: &str,
        arguments: &[ast::Expr],
        portal: &mut Portal,
    ) -> Result<Arc<crate::plan::Plan>> {
        let prepared = self.core.statements.borrow().get(name).cloned().ok_or_else(|| no_statement(name))?;
        let plan = self.ready_plan(&prepared)?;
        if arguments.len() != plan.parameter_types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail =
                format!("Expected {} parameters but got {}.", plan.parameter_types.len(), arguments.len());
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).detail(detail));
        }
        portal.parameters = self.evaluate_arguments(arguments, &plan.parameter_types)?;
        portal.parameter_types = plan.parameter_types.clone();
        portal.prepared = prepared;
        Ok(plan)
    }

    fn evaluate_arguments(&mut self, arguments: &[ast::Expr], types: &[Type]) -> Result<Vec<Datum>> {
        if arguments.is_empty() {
            return Ok(Vec::new());
        }
        let search_path = self.core.search_path.borrow().clone();
        let settings = self.core.settings.borrow().typed().planner;
        self.with_exec(|context| {
            let plan_context = crate::plan::PlanContext {
                catalog: context.catalog,
                search_path: &search_path,
                eval: &context.eval,
                settings,
                variables: None,
            };
            let evaluate = |(argument, &data_type): (&ast::Expr, &Type)| {
                let bound = crate::bind::standalone_expression(argument, (data_type, -1), &plan_context)?;
                crate::exec::eval::eval_row(&bound, &[], context)
            };
            arguments.iter().zip(types).map(evaluate).collect()
        })
    }

    fn lock_tables(
        &mut self,
        tables: &[(ast::ObjectName, bool)],
        mode: RelationLockMode,
        nowait: bool,
    ) -> Result<()> {
        self.require_block("LOCK TABLE")?;
        let wait = if nowait { WaitPolicy::NoWait } else { WaitPolicy::Block };
        for (name, only) in tables {
            let table = self.find_table(name)?;
            self.core.check_lock(&table, mode)?;
            let children = if *only { Vec::new() } else { self.core.catalog().descendants(&table) };
            for table in [table].iter().chain(&children) {
                self.block.lock_relation(table.oid, mode, wait).map_err(|error| {
                    match error.state() == SqlState::LOCK_NOT_AVAILABLE && nowait {
                        true => Error::new(
                            SqlState::LOCK_NOT_AVAILABLE,
                            format!("could not obtain lock on relation \"{}\"", table.name),
                        ),
                        false => error,
                    }
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn find_table(&self, name: &ast::ObjectName) -> Result<Arc<crate::catalog::Table>> {
        let catalog = self.core.catalog();
        let path = self.core.search_path.borrow().clone();
        if let [.., schema, _] = &name.parts[..] {
            crate::plan::permissions::check_schema(schema, self.core.role.get(), &catalog)?;
        }
        crate::ddl::names::find_table(&catalog, &path, name)
    }

    pub(super) fn require_superuser(&self, message: &str) -> Result<()> {
        if self.core.is_superuser() {
            return Ok(());
        }
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
    }

    /// DISCARD TEMP: this session's temporary relations go.
    fn discard_temporary(&mut self) -> Result<()> {
        let Some(schema) = self.core.temporary_schema.get() else { return Ok(()) };
        let version = self.core.catalog().version;
        self.block.start_statement(version)?;
        let context = self.context();
        let eval = context.eval();
        let transaction = self.block.transaction.as_ref();
        let transaction = transaction.ok_or_else(|| Error::internal("no transaction is in progress"))?;
        let ddl = crate::ddl::Ddl {
            core: &self.core,
            transaction,
            eval: &eval,
            parameters: &[],
            parameter_types: &[],
        };
        ddl.drop_schema_contents(schema)
    }

    /// At the session's end. Failing is not worth more than a log line; what is left then, as after a
    /// crash, stays until somebody drops the schema.
    pub(super) fn drop_temporary_schema(&mut self) {
        let Some(schema) = self.core.temporary_schema.take() else { return };
        let dropped = (|| {
            self.core.registration.handle.clear_interrupt();
            self.begin(super::block::State::Implicit);
            let version = self.core.catalog().version;
            self.block.start_statement(version)?;
            {
                let context = self.context();
                let eval = context.eval();
                let transaction = self.block.transaction.as_ref();
                let transaction = transaction.ok_or_else(|| Error::internal("no transaction"))?;
                let ddl = crate::ddl::Ddl {
                    core: &self.core,
                    transaction,
                    eval: &eval,
                    parameters: &[],
                    parameter_types: &[],
                };
                ddl.drop_temporary_schema(schema)?;
            }
            self.commit()
        })();
        if let Err(error) = dropped {
            tracing::warn!(%error, "cannot drop the temporary schema");
            self.rollback();
        }
    }
}

/// SET's value as one text; lists as search_path keeps them.
pub(crate) fn set_value_text(name: &str, value: &SetValue) -> Option<String> {
    match value {
        SetValue::Default => None,
        SetValue::Values(values) => match &values[..] {
            [value] if !name.eq_ignore_ascii_case("search_path") => Some(value.clone()),
            values => {
                let quoted = values.iter().map(|value| crate::ddl::names::quote_identifier(value));
                Some(quoted.collect::<Vec<_>>().join(", "))
            }
        },
    }
}
