//! Triggers of a statement that changes rows.
//!
//! | when | what |
//! |---|---|
//! | before the first row | BEFORE … STATEMENT |
//! | before each row, once it is locked and judged | BEFORE … ROW: may change the new row, or leave the row out |
//! | at the statement's end, all its queries included | AFTER … ROW in the order of the changes, then AFTER … STATEMENT |
//!
//! What a trigger function does is a statement inside of this one (`session/nested.rs`): it sees the rows changed so far, the scan under
//! way doesn't see what it changes. A row that its own BEFORE trigger has changed can't be changed by the statement any
//! more (27000).

use super::basic::check_budget;
use super::constraint;
use super::eval::eval_row;
use super::routine::within;
use super::runtime::Runtime;
use super::transition::{Ended, Transitions};
use crate::catalog::Table;
use crate::catalog::routine::{Routine, Trigger};
use crate::error::{Error, Result, SqlState};
use crate::expr::{Expr, RoutineCall};
use crate::parse::ast;
use crate::parse::routine_ast::TriggerTiming;
use crate::plan::{PlanContext, VariableConflict, Variables};
use crate::plpgsql::{Shape, TriggerEvent};
use crate::types::{ArrayValue, Datum, Oid, Type};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Insert => "INSERT",
            Event::Update => "UPDATE",
            Event::Delete => "DELETE",
            Event::Truncate => "TRUNCATE",
        }
    }
    pub fn of(self, trigger: &Trigger) -> bool {
        match self {
            Event::Insert => trigger.insert,
            Event::Update => trigger.update,
            Event::Delete => trigger.delete,
            Event::Truncate => trigger.truncate,
        }
    }
}

/// A trigger ready to fire.
struct Ready {
    trigger: Trigger,
    call: RoutineCall,
    /// Over the parameters: the new row's columns, then the old one's.
    when: Option<Expr>,
}

/// A table's triggers in one statement.
pub struct Triggers {
    table: Arc<Table>,
    shape: Shape,
    ready: Arc<Vec<Ready>>,
    /// What UPDATE assigns, for UPDATE OF.
    assigned: Vec<usize>,
}

/// The old and the new row, as far as the event has them.
type Changed = (Option<Vec<Datum>>, Option<Vec<Datum>>);

/// What happens at the statement's end.
pub struct After {
    triggers: Triggers,
    event: Event,
    rows: Vec<Changed>,
    bytes: usize,
}

/// NEW.a and OLD.a of a WHEN condition.
struct ConditionNames<'a> {
    table: &'a Table,
    trigger: &'a Trigger,
}

impl ConditionNames<'_> {
    fn row(&self, name: &str) -> Result<Option<usize>> {
        let width = self.table.columns.len();
        let refuse = |message: &str| Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        match name {
            "new" | "old" if !self.trigger.each_row => {
                refuse("statement trigger's WHEN condition cannot reference column values")
            }
            "new" if self.trigger.delete => {
                refuse("DELETE trigger's WHEN condition cannot reference NEW values")
            }
            "old" if self.trigger.insert => {
                refuse("INSERT trigger's WHEN condition cannot reference OLD values")
            }
            "new" => Ok(Some(0)),
            "old" => Ok(Some(width)),
            _ => Ok(None),
        }
    }
    fn column(&self, base: usize, at: usize) -> (usize, Type) {
        (base + at, self.table.columns[at].data_type())
    }
}

impl Variables for ConditionNames<'_> {
    fn resolve(&self, parts: &[String]) -> Result<Option<(usize, Type)>> {
        let [row, column] = parts else {
            return Ok(match parts {
                // NEW and OLD as wholes: their place says which.
                [row] => self
                    .row(row)?
                    .map(|base| (2 * self.table.columns.len() + usize::from(base > 0), Type::RECORD)),
                _ => None,
            });
        };
        let Some(base) = self.row(row)? else { return Ok(None) };
        let at = self.table.column_index(column).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column {row}.{column} does not exist"))
        })?;
        Ok(Some(self.column(base, at)))
    }
    fn numbered(&self, _: u32) -> Option<(usize, Type)> {
        None
    }
    fn expand(&self, parts: &[String]) -> Result<Option<Vec<(String, usize, Type)>>> {
        let [row] = parts else { return Ok(None) };
        let Some(base) = self.row(row)? else { return Ok(None) };
        let columns = self.table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
        Ok(Some(
            columns
                .map(|(at, column)| {
                    let (index, data_type) = self.column(base, at);
                    (column.name.clone(), index, data_type)
                })
                .collect(),
        ))
    }
    fn conflict(&self) -> VariableConflict {
        VariableConflict::Column
    }
}

/// Binds a WHEN condition, its constants as they are written.
pub(crate) fn bind_condition(
    expr: &ast::Expr,
    table: &Table,
    trigger: &Trigger,
    context: &PlanContext<'_>,
) -> Result<Expr> {
    let names = ConditionNames { table, trigger };
    let PlanContext { catalog, search_path, eval, settings, .. } = *context;
    let context = PlanContext { catalog, search_path, eval, settings, variables: Some(&names) };
    let bound = crate::bind::simple_expression_as_written(expr, &context)?.ok_or_else(|| {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot use subquery in trigger WHEN condition")
    })?;
    match bound.data_type() {
        Type::BOOL => Ok(bound),
        other => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("argument of WHEN must be type boolean, not type {}", other.display()),
        )),
    }
}

/// Whether the session only applies what another server has changed.
pub fn is_replica(context: &super::ExecContext<'_>) -> bool {
    context.core.is_some_and(|core| core.settings.borrow().typed().is_replica)
}

impl Triggers {
    /// None: the table has none that could fire.
    pub fn of(table: &Arc<Table>, assigned: Vec<usize>, rt: &Runtime<'_>) -> Result<Option<Triggers>> {
        let context = rt.context;
        let replica = is_replica(context);
        if table.triggers.iter().all(|trigger| !trigger.fires(replica)) {
            return Ok(None);
        }
        let core = context.core.ok_or_else(|| Error::internal("a trigger outside of a session"))?;
        let shape = crate::plpgsql::table_shape(table);
        let search_path = core.search_path.borrow().clone();
        let settings = core.settings.borrow().typed().planner;
        let plan_context = PlanContext {
            catalog: context.catalog,
            search_path: &search_path,
            eval: &context.eval,
            settings,
            variables: None,
        };
        let mut ready = Vec::new();
        for trigger in table.triggers.iter().filter(|trigger| trigger.fires(replica)) {
            let routine: Arc<Routine> = context.catalog.routine(trigger.function).ok_or_else(|| {
                Error::internal(format!("the function of trigger {} is gone", trigger.name))
            })?;
            let when = match &trigger.when {
                None => None,
                Some(text) => {
                    let parsed = crate::parse::parse_expression(text)?;
                    let bound = bind_condition(&parsed, table, trigger, &plan_context)?;
                    Some(crate::plan::fold_expression(bound, &plan_context))
                }
            };
            let call = RoutineCall {
                routine,
                arguments: Vec::new(),
                // The body is compiled for each table: records' fields differ.
                types: Arc::from([Type(table.oid)]),
                columns: shape.clone(),
                is_row: true,
                result: Type::TRIGGER,
            };
            ready.push(Ready { trigger: trigger.clone(), call, when });
        }
        Ok(Some(Triggers { table: table.clone(), shape, ready: Arc::new(ready), assigned }))
    }

    /// `true`: statement triggers are another table's. None: there are no others.
    pub fn for_rows_only(self, only: bool) -> Option<Triggers> {
        if !only || self.ready.iter().all(|ready| ready.trigger.each_row) {
            return Some(self);
        }
        let ready: Vec<Ready> =
            Arc::into_inner(self.ready)?.into_iter().filter(|ready| ready.trigger.each_row).collect();
        Some(Triggers { ready: Arc::new(ready), ..self })
    }

    fn share(&self) -> Triggers {
        Triggers {
            table: self.table.clone(),
            shape: self.shape.clone(),
            ready: self.ready.clone(),
            assigned: self.assigned.clone(),
        }
    }

    fn matching(&self, timing: TriggerTiming, event: Event, each_row: bool) -> impl Iterator<Item = &Ready> {
        self.ready.iter().filter(move |ready| {
            let trigger = &ready.trigger;
            trigger.timing == timing
                && trigger.each_row == each_row
                && event.of(trigger)
                && (event != Event::Update
                    || trigger.columns.is_empty()
                    || trigger.columns.iter().any(|column| self.assigned.contains(column)))
        })
    }

    fn live(&self, row: &[Datum]) -> Vec<Datum> {
        let columns = self.table.columns.iter().zip(row).filter(|(column, _)| !column.dropped);
        columns.map(|(_, value)| value.clone()).collect()
    }

    fn holds(
        &self,
        ready: &Ready,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
        rt: &Runtime<'_>,
    ) -> Result<bool> {
        let Some(when) = &ready.when else { return Ok(true) };
        let width = self.table.columns.len();
        let nulls = vec![Datum::Null; width];
        let whole = |row: Option<&[Datum]>| match row {
            None => Datum::Null,
            Some(row) => {
                let types: Vec<Type> = self.shape.iter().map(|(_, data_type)| *data_type).collect();
                super::routine::record(&types, self.live(row))
            }
        };
        let mut parameters: Vec<Datum> = new.unwrap_or(&nulls).to_vec();
        parameters.extend_from_slice(old.unwrap_or(&nulls));
        parameters.extend([whole(new), whole(old)]);
        let context = super::ExecContext {
            transaction: rt.context.transaction,
            eval: crate::functions::EvalContext { ..rt.context.eval },
            catalog: rt.context.catalog,
            parameters: &parameters,
            work_mem_bytes: rt.context.work_mem_bytes,
            core: rt.context.core,
        };
        Ok(eval_row(when, &[], &context)?.as_bool() == Some(true))
    }

    fn fire(
        &self,
        ready: &Ready,
        event: Event,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        self.fire_seeing(ready, event, (old, new), None, rt)
    }

    fn fire_seeing(
        &self,
        ready: &Ready,
        event: Event,
        (old, new): (Option<&[Datum]>, Option<&[Datum]>),
        tables: Option<Arc<Transitions>>,
        rt: &Runtime<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let trigger = &ready.trigger;
        let context = rt.context;
        let schema = context.catalog.schema(self.table.schema).map_or("", |schema| schema.name.as_str());
        let text = |text: &str| Datum::text(text);
        let arguments: Vec<Datum> = trigger.arguments.iter().map(|a| text(a)).collect();
        let argv = ArrayValue {
            element: Type::TEXT,
            dimensions: if arguments.is_empty() { Vec::new() } else { vec![(arguments.len() as i32, 0)] },
            elements: arguments,
        };
        let (old, new) = (old.map(|row| self.live(row)), new.map(|row| self.live(row)));
        let fired = TriggerEvent {
            shape: self.shape.clone(),
            new: new.as_deref(),
            old: old.as_deref(),
            variables: vec![
                text(&trigger.name),
                text(match trigger.timing {
                    TriggerTiming::Before => "BEFORE",
                    TriggerTiming::After => "AFTER",
                    TriggerTiming::InsteadOf => "INSTEAD OF",
                }),
                text(if trigger.each_row { "ROW" } else { "STATEMENT" }),
                text(event.name()),
                Datum::Oid(self.table.oid),
                text(&self.table.name),
                text(&self.table.name),
                text(schema),
                Datum::Int4(trigger.arguments.len() as i32),
                Datum::array(argv),
                Datum::Null,
            ],
            each_row: trigger.each_row,
        };
        let depth = context.core.map(|core| &core.trigger_depth);
        depth.inspect(|depth| depth.set(depth.get() + 1));
        let result = within(&ready.call.routine, context, |nested| {
            // It is `within` that puts back the caller's.
            nested.core.transitions.replace(tables);
            let function = super::routine::trigger_function(&ready.call, nested)?;
            crate::plpgsql::trigger(&function, &ready.call, &fired, nested)
        });
        depth.inspect(|depth| depth.set(depth.get() - 1));
        result
    }

    pub fn before_statement(&self, event: Event, rt: &Runtime<'_>) -> Result<()> {
        for ready in self.matching(TriggerTiming::Before, event, false) {
            if self.holds(ready, None, None, rt)? {
                self.fire(ready, event, None, None, rt)?;
            }
        }
        Ok(())
    }

    pub fn has_before_row(&self, event: Event) -> bool {
        self.matching(TriggerTiming::Before, event, true).next().is_some()
    }

    /// The first BEFORE … ROW trigger that a partition has from above.
    pub fn inherited_before_row(&self, event: Event) -> Option<&str> {
        let mut matching = self.matching(TriggerTiming::Before, event, true);
        matching.find(|ready| ready.trigger.parent != 0).map(|ready| ready.trigger.name.as_str())
    }

    /// The row to write (DELETE: any); None: leave this row out.
    pub fn before_row(
        &self,
        event: Event,
        old: Option<&[Datum]>,
        new: Option<Vec<Datum>>,
        rt: &Runtime<'_>,
    ) -> Result<Option<Option<Vec<Datum>>>> {
        self.row_by_row(TriggerTiming::Before, event, old, new, rt)
    }

    /// The same of a view's row.
    pub fn instead_of_row(
        &self,
        event: Event,
        old: Option<&[Datum]>,
        new: Option<Vec<Datum>>,
        rt: &Runtime<'_>,
    ) -> Result<Option<Option<Vec<Datum>>>> {
        self.row_by_row(TriggerTiming::InsteadOf, event, old, new, rt)
    }

    fn row_by_row(
        &self,
        timing: TriggerTiming,
        event: Event,
        old: Option<&[Datum]>,
        new: Option<Vec<Datum>>,
        rt: &Runtime<'_>,
    ) -> Result<Option<Option<Vec<Datum>>>> {
        let mut new = new;
        for ready in self.matching(timing, event, true) {
            if !self.holds(ready, old, new.as_deref(), rt)? {
                continue;
            }
            let Some(returned) = self.fire(ready, event, old, new.as_deref(), rt)? else { return Ok(None) };
            if let Some(new) = &mut new {
                let live = self.table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
                for ((at, column), value) in live.zip(returned) {
                    new[at] = match column.modifier {
                        -1 => value,
                        modifier => super::routine::converted_to(
                            value,
                            column.data_type(),
                            column.data_type(),
                            modifier,
                            rt.context,
                        )?,
                    };
                }
            }
        }
        Ok(Some(new))
    }

    pub fn after(&self, event: Event) -> After {
        After { triggers: self.share(), event, rows: Vec::new(), bytes: 0 }
    }
}

impl After {
    /// Remembers a changed row.
    pub fn row(&mut self, old: Option<&[Datum]>, new: Option<&[Datum]>, rt: &Runtime<'_>) -> Result<()> {
        if self.triggers.matching(TriggerTiming::After, self.event, true).next().is_none() {
            return Ok(());
        }
        let row = (old.map(<[Datum]>::to_vec), new.map(<[Datum]>::to_vec));
        let size = |row: &Option<Vec<Datum>>| row.iter().flatten().map(Datum::bytes).sum::<usize>();
        self.bytes += size(&row.0) + size(&row.1);
        check_budget(self.bytes, rt, "rows for AFTER triggers")?;
        self.rows.push(row);
        Ok(())
    }

    fn fire(self, tables: &Ended, rt: &Runtime<'_>) -> Result<()> {
        let After { triggers, event, rows, .. } = self;
        let seen = |ready: &Ready| tables.tables_of(&ready.trigger, &triggers.table, event);
        for (old, new) in rows {
            rt.check_interrupt()?;
            let (old, new): SharedRow = (old.map(Into::into), new.map(Into::into));
            for ready in triggers.matching(TriggerTiming::After, event, true) {
                if !triggers.holds(ready, old.as_deref(), new.as_deref(), rt)? {
                    continue;
                }
                if ready.trigger.deferrable {
                    let (table, trigger) = (triggers.table.oid, ready.trigger.oid);
                    let row = (old.clone(), new.clone());
                    let put_off = constraint::Event::Trigger { table, trigger, event, row };
                    if constraint::defer_trigger(&ready.trigger, put_off, rt)? {
                        continue;
                    }
                }
                triggers.fire_seeing(ready, event, (old.as_deref(), new.as_deref()), seen(ready), rt)?;
            }
        }
        for ready in triggers.matching(TriggerTiming::After, event, false) {
            if triggers.holds(ready, None, None, rt)? {
                triggers.fire_seeing(ready, event, (None, None), seen(ready), rt)?;
            }
        }
        Ok(())
    }
}

/// A constraint trigger that was put off; it may be gone by now, or disabled.
pub fn fire_deferred(
    table: &Arc<Table>,
    trigger: Oid,
    event: Event,
    row: &SharedRow,
    rt: &Runtime<'_>,
) -> Result<()> {
    let Some(triggers) = Triggers::of(table, Vec::new(), rt)? else { return Ok(()) };
    let Some(ready) = triggers.ready.iter().find(|ready| ready.trigger.oid == trigger) else {
        return Ok(());
    };
    triggers.fire(ready, event, row.0.as_deref(), row.1.as_deref(), rt).map(drop)
}

/// The old and the new row of an event that waits.
pub type SharedRow = (Option<Arc<[Datum]>>, Option<Arc<[Datum]>>);

/// The end of a statement.
pub fn fire_after(rt: &Runtime<'_>) -> Result<()> {
    let queue: Vec<After> = rt.state.after.take();
    let tables = Ended::of(rt.state.captured.take());
    queue.into_iter().try_for_each(|after| after.fire(&tables, rt))
}

/// TRUNCATE's triggers, before and after it.
pub(crate) fn truncate(
    table: &Arc<Table>,
    timing: TriggerTiming,
    context: &super::ExecContext<'_>,
) -> Result<()> {
    let state = super::runtime::RunState::default();
    let rt = Runtime { context, state: &state, plan: None };
    let Some(triggers) = Triggers::of(table, Vec::new(), &rt)? else { return Ok(()) };
    for ready in triggers.matching(timing, Event::Truncate, false) {
        triggers.fire(ready, Event::Truncate, None, None, &rt)?;
    }
    Ok(())
}

/// What a statement was about to do to a row that a function or a trigger of its own has changed meanwhile.
pub fn changed_by_own_operation(intent: &str) -> Error {
    let message =
        format!("tuple to be {intent} was already modified by an operation triggered by the current command");
    Error::new(SqlState::TRIGGERED_DATA_CHANGE_VIOLATION, message).hint(
        "Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other rows.",
    )
}
