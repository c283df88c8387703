//! Statements that run inside of a statement: those of functions and triggers (PostgreSQL's SPI).
//!
//! 1. A statement of a volatile function starts as a client's would: its relations are locked, then it takes a snapshot of its own (in READ
//!    COMMITTED) and the next command id, so that it sees what the function and the statement around it have done so far. While it
//!    runs the outer statement is suspended, and sees nothing of its writes afterwards.
//! 2. A stable or immutable function's statements run under the caller's snapshot and may not write.
//! 3. A query may stay open across others (a loop's, a cursor's): it brings its own snapshot back for each step.

use super::core::Core;
use super::statement::make_plan_with;
use crate::column::{BATCH_ROWS, Batch};
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution};
use crate::functions::EvalContext;
use crate::parse::ast::StatementKind;
use crate::plan::{Plan, PlanKind, Variables};
use crate::types::{Datum, Type};
use parking_lot::Mutex;
use serin_txn::{Suspended, WaitPolicy};
use std::sync::Arc;

/// A statement of a function's body with its plan. `R` says where its parameters' values come from.
pub(crate) struct Statement<R> {
    pub kind: StatementKind,
    pub text: Arc<str>,
    plan: Mutex<Option<Planned<R>>>,
}

struct Planned<R> {
    plan: Arc<Plan>,
    references: Arc<[R]>,
    epoch: u64,
    /// Names are looked up in the schemas that this role may use.
    role: crate::types::Oid,
    /// Among the transition tables of this trigger (0: there are none).
    trigger: crate::types::Oid,
}

impl<R> Statement<R> {
    pub fn new(kind: StatementKind, text: impl Into<Arc<str>>) -> Statement<R> {
        Statement { kind, text: text.into(), plan: Mutex::new(None) }
    }
    pub fn is_planned(kind: &StatementKind) -> bool {
        matches!(
            kind,
            StatementKind::Query(_)
                | StatementKind::Insert(_)
                | StatementKind::Update(_)
                | StatementKind::Delete(_)
                | StatementKind::Merge(_)
        )
    }
    /// The plan for the catalog now. `variables` binds names and afterwards gives the references; `holds` says whether those of
    /// an earlier plan still mean the same.
    pub fn plan<V: Variables>(
        &self,
        nested: &Nested<'_>,
        declared: &[Option<Type>],
        variables: &V,
        references: impl FnOnce(&V) -> Vec<R>,
        holds: impl Fn(&[R]) -> bool,
    ) -> Result<(Arc<Plan>, Arc<[R]>)> {
        let core = nested.core;
        let trigger = core.transitions.borrow().as_ref().map_or(0, |transitions| transitions.trigger);
        if let Some(planned) = &*self.plan.lock()
            && planned.epoch == core.plan_epoch.get()
            && planned.role == core.role.get()
            && planned.trigger == trigger
            && core.view.borrow().is_current(&core.engine.publisher, planned.plan.catalog_version)
            && holds(&planned.references)
        {
            return Ok((planned.plan.clone(), planned.references.clone()));
        }
        let eval = &nested.context.eval;
        let plan = make_plan_with(&self.kind, declared, &core.catalog(), core, eval, Some(variables))?;
        let references: Arc<[R]> = references(variables).into();
        *self.plan.lock() = Some(Planned {
            plan: plan.clone(),
            references: references.clone(),
            epoch: core.plan_epoch.get(),
            role: core.role.get(),
            trigger,
        });
        Ok((plan, references))
    }
}

/// Runs statements for a function.
#[derive(Clone, Copy)]
pub(crate) struct Nested<'a> {
    pub context: &'a ExecContext<'a>,
    pub core: &'a Core,
    /// Stable or immutable.
    pub read_only: bool,
}

/// A planned statement under way.
pub(crate) struct Running {
    execution: Execution,
    plan: Arc<Plan>,
    parameters: Vec<Datum>,
    /// None: under the caller's snapshot.
    statement: Option<Suspended>,
}

impl<'a> Nested<'a> {
    pub fn new(context: &'a ExecContext<'a>, read_only: bool) -> Result<Nested<'a>> {
        let core = context.core.ok_or_else(|| Error::internal("a user's function outside of a session"))?;
        Ok(Nested { context, core, read_only })
    }

    /// A plan whose relations are locked, and which holds under these locks.
    pub(super) fn ready<T>(&self, mut get: impl FnMut() -> Result<(Arc<Plan>, T)>) -> Result<(Arc<Plan>, T)> {
        loop {
            let (plan, rest) = get()?;
            for &(relation, mode) in &plan.relations {
                self.context.transaction.borrow_mut().lock_relation(relation, mode, WaitPolicy::Block)?;
            }
            if self.core.view.borrow().is_current(&self.core.engine.publisher, plan.catalog_version) {
                return Ok((plan, rest));
            }
            self.context.eval.services.check_interrupt()?;
        }
    }

    /// Begins a planned statement. `get` plans it; `values` gives its parameters' values.
    pub fn start<T>(
        &self,
        get: impl FnMut() -> Result<(Arc<Plan>, T)>,
        values: impl FnOnce(&Plan, T) -> Result<Vec<Datum>>,
    ) -> Result<Running> {
        self.start_with(get, values, Execution::new)
    }

    pub(super) fn start_with<T>(
        &self,
        get: impl FnMut() -> Result<(Arc<Plan>, T)>,
        values: impl FnOnce(&Plan, T) -> Result<Vec<Datum>>,
        execution: impl FnOnce(Arc<Plan>) -> Execution,
    ) -> Result<Running> {
        let (plan, rest) = self.ready(get)?;
        let parameters = values(&plan, rest)?;
        self.core.check_permissions(&plan)?;
        if plan.writes {
            let command = command(&plan);
            if self.read_only {
                let message = format!("{command} is not allowed in a non-volatile function");
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            self.core.check_writable(command)?;
        }
        self.check_trees(&plan)?;
        let statement = match self.read_only {
            true => None,
            false => {
                let mut transaction = self.context.transaction.borrow_mut();
                let outer = transaction.start_nested()?;
                let own = transaction.suspend();
                transaction.resume(outer);
                Some(own)
            }
        };
        Ok(Running { execution: execution(plan.clone()), plan, parameters, statement })
    }

    fn check_trees(&self, plan: &Plan) -> Result<()> {
        let limit = self.core.trees_version_max.get();
        if limit == u64::MAX {
            return Ok(());
        }
        let catalog = self.core.catalog();
        for &(relation, _) in &plan.relations {
            if catalog.table(relation).is_some_and(|table| table.trees_since > limit) {
                let message = "could not serialize access due to concurrent schema change";
                return Err(Error::new(SqlState::SERIALIZATION_FAILURE, message));
            }
        }
        Ok(())
    }

    /// Calls `work` inside of a statement of its own, for what is not planned.
    pub fn within_statement<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.read_only {
            return work();
        }
        let outer = self.context.transaction.borrow_mut().start_nested()?;
        let ended = self.core.control.ended.get();
        let result = work();
        // Another transaction's by now: there is nothing to go back to.
        if self.core.control.ended.get() == ended {
            self.context.transaction.borrow_mut().resume(outer);
        }
        result
    }

    /// A statement without a plan: definitions, settings, locks.
    pub fn utility(&self, kind: &StatementKind) -> Result<()> {
        match kind {
            StatementKind::Set { name, value, local } => {
                let text = super::utility::set_value_text(name, value);
                return self.core.set_setting(name, text.as_deref(), *local, Some(self.context.transaction));
            }
            StatementKind::Reset(Some(name)) => {
                return self.core.set_setting(name, None, false, Some(self.context.transaction));
            }
            StatementKind::LockTable { tables, mode, nowait } => {
                let wait = if *nowait { WaitPolicy::NoWait } else { WaitPolicy::Block };
                for (name, only) in tables {
                    let path = self.core.search_path.borrow().clone();
                    let table = crate::ddl::names::find_table(&self.core.catalog(), &path, name)?;
                    self.core.check_lock(&table, *mode)?;
                    let children = if *only { Vec::new() } else { self.core.catalog().descendants(&table) };
                    for table in [table].iter().chain(&children) {
                        self.context.transaction.borrow_mut().lock_relation(table.oid, *mode, wait)?;
                    }
                }
                return Ok(());
            }
            StatementKind::Notify(channel, payload) => {
                return self.core.notify(channel, payload.as_deref().unwrap_or(""));
            }
            StatementKind::Listen(channel) => {
                self.core.listen(channel);
                return Ok(());
            }
            StatementKind::Unlisten(channel) => {
                self.core.unlisten(channel.as_deref());
                return Ok(());
            }
            StatementKind::SetConstraints { names, deferred } => {
                let chosen = super::block::chosen_constraints(self.core, names)?;
                self.core.deferred.borrow_mut().set(chosen.as_deref(), *deferred);
                return match deferred {
                    true => Ok(()),
                    false => self.within_statement(|| {
                        crate::exec::constraint::run_deferred(&self.core.deferred, false, self.context)
                    }),
                };
            }
            StatementKind::Begin { .. }
            | StatementKind::Commit { .. }
            | StatementKind::Rollback { .. }
            | StatementKind::Savepoint(_)
            | StatementKind::Release(_)
            | StatementKind::RollbackTo(_)
            | StatementKind::PrepareTransaction(_)
            | StatementKind::CommitPrepared(_)
            | StatementKind::RollbackPrepared(_) => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "EXECUTE of transaction commands is not implemented",
                ));
            }
            StatementKind::Unsupported(what) => return Err(Error::unsupported(what)),
            StatementKind::Do { language, body } => {
                return self
                    .without_control(|| crate::exec::routine::run_block(language, body, self.context));
            }
            StatementKind::Call(call) => {
                return self
                    .without_control(|| crate::exec::routine::run_call(call, &[], self.context).map(drop));
            }
            _ => {}
        }
        let command = crate::ddl::command(kind);
        if command == "this statement" {
            return Err(Error::unsupported("this statement in a function"));
        }
        if self.read_only {
            let message = format!("{command} is not allowed in a non-volatile function");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if matches!(kind, StatementKind::CreateDatabase { .. } | StatementKind::DropDatabase { .. }) {
            let message = format!("{command} cannot be executed from a function");
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        }
        self.core.check_writable(command)?;
        self.within_statement(|| {
            let ddl = crate::ddl::Ddl {
                core: self.core,
                transaction: self.context.transaction,
                eval: &self.context.eval,
                parameters: &[],
                parameter_types: &[],
            };
            ddl.run(kind).map(drop)
        })
    }

    /// DO and CALL by EXECUTE can't end the transaction.
    fn without_control<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let allowed = self.core.control.allowed.replace(false);
        let result = work();
        self.core.control.allowed.set(allowed);
        result
    }

    pub fn eval(&self) -> EvalContext<'a> {
        let EvalContext { render, transaction_time, statement_time, services } = self.context.eval;
        let transaction_time = self.core.control.started.get().unwrap_or(transaction_time);
        EvalContext { render, transaction_time, statement_time, services }
    }

    /// Calls `work` with a context for evaluation: these parameters, the catalog of now.
    pub fn with_context<T>(
        &self,
        parameters: &[Datum],
        work: impl FnOnce(&ExecContext<'_>) -> Result<T>,
    ) -> Result<T> {
        let catalog = self.core.catalog();
        work(&ExecContext {
            transaction: self.context.transaction,
            eval: self.eval(),
            catalog: &catalog,
            parameters,
            work_mem_bytes: self.context.work_mem_bytes,
            core: Some(self.core),
        })
    }
}

impl Running {
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }
    pub(super) fn execution(&self) -> &Execution {
        &self.execution
    }
    pub fn rows_affected(&self) -> u64 {
        self.execution.rows_affected()
    }
    /// The next rows; None at the end.
    pub fn next(&mut self, nested: &Nested<'_>, max: usize) -> Result<Option<Batch>> {
        let outer = self.statement.take().map(|own| {
            let mut transaction = nested.context.transaction.borrow_mut();
            let outer = transaction.suspend();
            transaction.resume(own);
            outer
        });
        let result = nested.with_context(&self.parameters, |context| {
            self.execution.next_rows(context, max.clamp(1, BATCH_ROWS))
        });
        if let Some(outer) = outer {
            let mut transaction = nested.context.transaction.borrow_mut();
            self.statement = Some(transaction.suspend());
            transaction.resume(outer);
        }
        result
    }
}

fn command(plan: &Plan) -> &'static str {
    match plan.kind {
        PlanKind::Select => "SELECT FOR UPDATE",
        PlanKind::Insert => "INSERT",
        PlanKind::Update => "UPDATE",
        PlanKind::Delete => "DELETE",
        PlanKind::Merge => "MERGE",
    }
}
