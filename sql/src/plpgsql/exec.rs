//! Running a function's tree.

use super::TriggerEvent;
use super::raise::matches;
use super::scope::{Resolver, no_field, not_assigned};
use super::sql::statement_context;
use super::tree::{
    Block, Dynamic, Expression, Function, Kind, Reference, Shape, Simple, Statement, Target, VariableId,
    VariableKind,
};
use crate::error::{Error, Result, SqlState};
use crate::exec::eval::eval_row;
use crate::exec::routine::{calls_routine, converted_to, record};
use crate::exec::sql_function::check_rows_budget;
use crate::expr::{Expr, RoutineCall};
use crate::plan::PlanContext;
use crate::session::nested::{Nested, Statement as SqlStatement};
use crate::types::{ArrayValue, Datum, Record, Type};
use std::sync::Arc;

/// Rows that a loop over a query reads ahead.
const LOOP_ROWS: usize = 64;

/// A variable's value.
#[derive(Clone)]
pub enum Value {
    Scalar(Datum),
    /// Without a shape: not assigned yet.
    Record {
        shape: Option<Shape>,
        fields: Vec<Datum>,
        null: bool,
    },
}

impl Value {
    fn empty(kind: &VariableKind) -> Value {
        match kind {
            VariableKind::Scalar { .. } => Value::Scalar(Datum::Null),
            VariableKind::Record { shape } => {
                let fields = vec![Datum::Null; shape.as_ref().map_or(0, |shape| shape.len())];
                Value::Record { shape: shape.clone(), fields, null: true }
            }
        }
    }
    fn record(shape: Shape, fields: Vec<Datum>) -> Value {
        Value::Record { shape: Some(shape), fields, null: false }
    }
    /// The value, or one of its fields, as a datum.
    pub fn get(&self, field: Option<usize>) -> Datum {
        match (self, field) {
            (Value::Scalar(value), _) => value.clone(),
            (Value::Record { fields, .. }, Some(at)) => fields.get(at).cloned().unwrap_or_default(),
            (Value::Record { null: true, .. } | Value::Record { shape: None, .. }, None) => Datum::Null,
            (Value::Record { shape: Some(shape), fields, .. }, None) => {
                let names = shape.iter().map(|(name, _)| name.to_string()).collect();
                let types = shape.iter().map(|(_, data_type)| *data_type);
                Datum::named_record(types.zip(fields.iter().cloned()).collect(), Some(names))
            }
        }
    }
}

impl super::tree::Variable {
    pub fn data_type(&self) -> Type {
        match self.kind {
            VariableKind::Scalar { data_type, .. } => data_type,
            VariableKind::Record { .. } => Type::RECORD,
        }
    }
}

/// What a statement leaves to those around it.
enum Flow {
    Next,
    Exit(Option<String>),
    Continue(Option<String>),
    Return,
}

pub struct Frame<'a> {
    pub function: &'a Function,
    pub call: &'a RoutineCall,
    pub nested: Nested<'a>,
    pub values: Vec<Value>,
    /// Errors whose handlers run, innermost last.
    pub handled: Vec<Error>,
    pub row_count: i64,
    line: usize,
    /// What runs now, for CONTEXT.
    at: &'static str,
    returned: Option<(Datum, Type)>,
    rows: Vec<Vec<Datum>>,
    rows_bytes: usize,
}

/// Calls a function for one value.
pub(crate) fn value(
    function: &Arc<Function>,
    call: &RoutineCall,
    arguments: &[Datum],
    nested: &Nested<'_>,
) -> Result<Datum> {
    let mut frame = Frame::new(function, call, nested, arguments);
    let result = frame.run().and_then(|ended| frame.result(ended));
    result.map_err(|error| frame.located(error))
}

/// Calls a function for all its rows.
pub(crate) fn rows(
    function: &Arc<Function>,
    call: &RoutineCall,
    arguments: &[Datum],
    nested: &Nested<'_>,
) -> Result<Vec<Vec<Datum>>> {
    let mut frame = Frame::new(function, call, nested, arguments);
    match frame.run() {
        Ok(_) => Ok(frame.rows),
        Err(error) => Err(frame.located(error)),
    }
}

/// Runs a trigger function: the row it returns, None for NULL.
pub(crate) fn trigger(
    function: &Arc<Function>,
    call: &RoutineCall,
    event: &TriggerEvent<'_>,
    nested: &Nested<'_>,
) -> Result<Option<Vec<Datum>>> {
    let mut frame = Frame::new(function, call, nested, &[]);
    if let Some(variables) = &function.trigger {
        let record = |row: Option<&[Datum]>| match row {
            Some(row) => Value::record(event.shape.clone(), row.to_vec()),
            None => Value::Record {
                shape: Some(event.shape.clone()),
                fields: vec![Datum::Null; event.shape.len()],
                null: true,
            },
        };
        frame.values[variables.new] = record(event.new);
        frame.values[variables.old] = record(event.old);
        for (id, value) in variables.others.iter().zip(&event.variables) {
            frame.values[*id] = Value::Scalar(value.clone());
        }
    }
    let result = frame.run().and_then(|ended| {
        if !ended {
            frame.at = "";
            return Err(Error::new(
                SqlState::FUNCTION_EXECUTED_NO_RETURN_STATEMENT,
                "control reached end of trigger procedure without RETURN",
            ));
        }
        match frame.returned.take() {
            Some((Datum::Record(fields), _)) if event.each_row => {
                if fields.len() != event.shape.len() {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "returned row structure does not match the structure of the triggering table",
                    )
                    .detail(format!(
                        "Number of returned columns ({}) does not match expected column count ({}).",
                        fields.len(),
                        event.shape.len()
                    )));
                }
                let each = fields.iter().zip(event.shape.iter());
                let converted = each.map(|((from, value), (_, to))| {
                    converted_to(value.clone(), *from, *to, -1, nested.context)
                });
                converted.collect::<Result<Vec<_>>>().map(Some)
            }
            _ => Ok(None),
        }
    });
    result.map_err(|error| frame.located(error))
}

impl<'a> Frame<'a> {
    fn new(
        function: &'a Function,
        call: &'a RoutineCall,
        nested: &Nested<'a>,
        arguments: &[Datum],
    ) -> Frame<'a> {
        let mut values: Vec<Value> =
            function.variables.iter().map(|variable| Value::empty(&variable.kind)).collect();
        for (id, argument) in function.inputs.iter().zip(arguments) {
            values[*id] = match (&function.variables[*id].kind, argument) {
                (VariableKind::Record { shape: Some(shape) }, Datum::Record(fields)) => {
                    Value::record(shape.clone(), fields.iter().map(|(_, value)| value.clone()).collect())
                }
                (VariableKind::Record { .. }, Datum::Record(fields)) => unnamed(fields),
                (VariableKind::Record { .. }, _) => continue,
                _ => Value::Scalar(argument.clone()),
            };
        }
        values[function.found] = Value::Scalar(Datum::Bool(false));
        Frame {
            function,
            call,
            nested: *nested,
            values,
            handled: Vec::new(),
            row_count: 0,
            line: 0,
            at: "",
            returned: None,
            rows: Vec::new(),
            rows_bytes: 0,
        }
    }

    /// True: it ended by RETURN.
    fn run(&mut self) -> Result<bool> {
        match self.block(&self.function.body)? {
            Flow::Return => Ok(true),
            Flow::Next => Ok(false),
            Flow::Exit(_) => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "EXIT cannot be used outside a loop, unless it has a label",
            )),
            Flow::Continue(_) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "CONTINUE cannot be used outside a loop"))
            }
        }
    }

    fn result(&mut self, ended: bool) -> Result<Datum> {
        let call = self.call;
        if !self.function.outputs.is_empty() {
            let mut row = Vec::with_capacity(self.function.outputs.len());
            for id in &self.function.outputs {
                row.push(self.values[*id].get(None));
            }
            return Ok(match call.is_row {
                true => {
                    let types: Vec<Type> = call.columns.iter().map(|(_, data_type)| *data_type).collect();
                    record(&types, row)
                }
                false => row.into_iter().next().unwrap_or_default(),
            });
        }
        if call.result == Type::VOID {
            return Ok(Datum::text(""));
        }
        if !ended {
            self.at = "";
            return Err(Error::new(
                SqlState::FUNCTION_EXECUTED_NO_RETURN_STATEMENT,
                "control reached end of function without RETURN",
            ));
        }
        let (value, data_type) = self.returned.take().unwrap_or((Datum::Null, Type::UNKNOWN));
        if !call.is_row {
            return converted_to(value, data_type, call.result, -1, self.nested.context);
        }
        match value {
            Datum::Null => Ok(Datum::Null),
            Datum::Record(fields) if call.columns.is_empty() => Ok(Datum::Record(fields)),
            Datum::Record(fields) => {
                let row = self.as_columns(&fields)?;
                let types: Vec<Type> = call.columns.iter().map(|(_, data_type)| *data_type).collect();
                Ok(record(&types, row))
            }
            _ => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot return non-composite value from function returning composite type",
            )),
        }
    }

    /// A record as the declared columns.
    fn as_columns(&self, fields: &[(Type, Datum)]) -> Result<Vec<Datum>> {
        if fields.len() != self.call.columns.len() {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "returned record type does not match expected record type",
            )
            .detail(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                fields.len(),
                self.call.columns.len()
            )));
        }
        let each = fields.iter().zip(self.call.columns.iter());
        each.map(|((from, value), (_, to))| converted_to(value.clone(), *from, *to, -1, self.nested.context))
            .collect()
    }

    pub fn location(&self, at: &str) -> String {
        match at {
            "" => format!("PL/pgSQL function {}", self.function.signature),
            at => format!("PL/pgSQL function {} line {} at {at}", self.function.signature, self.line),
        }
    }

    fn located(&self, error: Error) -> Error {
        error.within(match self.at {
            "initialization" => format!(
                "PL/pgSQL function {} line {} during statement block local variable initialization",
                self.function.signature, self.line
            ),
            at => self.location(at),
        })
    }

    pub fn set_found(&mut self, found: bool) {
        self.values[self.function.found] = Value::Scalar(Datum::Bool(found));
    }

    // ---- expressions ----

    pub fn evaluate(&mut self, expression: &Expression) -> Result<(Datum, Type)> {
        self.evaluate_shaped(expression).map(|(value, data_type, _)| (value, data_type))
    }

    /// With the field names of a record, if they are known.
    fn evaluate_shaped(&mut self, expression: &Expression) -> Result<(Datum, Type, Option<Shape>)> {
        if let Some(parsed) = &expression.parsed {
            let (bound, references) = self.simple(expression, parsed)?;
            if let Some(bound) = bound {
                return self.evaluate_simple(&bound, &references);
            }
        }
        let mut source = self
            .start(&expression.query, &expression.scope)
            .map_err(|error| relabelled(error, expression))?;
        let data_type = match &*source.shape {
            [(_, data_type)] => *data_type,
            columns => {
                let count = columns.len();
                let message = format!("query \"{}\" returned {count} columns", expression.query.text);
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        };
        let mut found = None;
        while let Some(batch) =
            source.running.next(&self.nested, 2).map_err(|error| relabelled_run(error, expression))?
        {
            if batch.rows > 1 || (found.is_some() && batch.rows > 0) {
                let message = format!("query \"{}\" returned more than one row", expression.query.text);
                return Err(Error::new(SqlState::CARDINALITY_VIOLATION, message));
            }
            if batch.rows == 1 {
                found = batch.row(0).into_iter().next();
            }
        }
        Ok((found.unwrap_or_default(), data_type, None))
    }

    #[allow(clippy::type_complexity)]
    fn simple(
        &mut self,
        expression: &Expression,
        parsed: &crate::parse::ast::Expr,
    ) -> Result<(Option<Arc<(Expr, bool)>>, Arc<[Reference]>)> {
        let core = self.nested.core;
        if let Some(simple) = &*expression.simple.lock()
            && simple.epoch == core.plan_epoch.get()
            && core.view.borrow().is_current(&core.engine.publisher, simple.version)
            && self.holds(&simple.references)
        {
            return Ok((simple.bound.clone(), simple.references.clone()));
        }
        let catalog = core.catalog();
        let search_path = core.search_path.borrow().clone();
        let settings = core.settings.borrow().typed().planner;
        let resolver = Resolver::new(self.function, &expression.scope, &self.values);
        let context = PlanContext {
            catalog: &catalog,
            search_path: &search_path,
            eval: &self.nested.context.eval,
            settings,
            variables: Some(&resolver),
        };
        let bound = crate::bind::simple_expression(parsed, &context).map_err(|error| {
            let mut error = error;
            error.fields_mut().position = None;
            error.within(format!("SQL expression \"{}\"", expression.text))
        })?;
        let bound = bound.map(|expr| {
            let calls = calls_routine(&expr);
            Arc::new((expr, calls))
        });
        let references: Arc<[Reference]> = resolver.references.take().into();
        *expression.simple.lock() = Some(Simple {
            version: catalog.version,
            epoch: core.plan_epoch.get(),
            bound: bound.clone(),
            references: references.clone(),
        });
        Ok((bound, references))
    }

    fn evaluate_simple(
        &mut self,
        bound: &Arc<(Expr, bool)>,
        references: &[Reference],
    ) -> Result<(Datum, Type, Option<Shape>)> {
        let (expr, calls) = &**bound;
        let data_type = expr.data_type();
        // A variable alone.
        if let Expr::Parameter { index, .. } = expr
            && let Some(reference) = references.get(*index)
        {
            let value = &self.values[reference.variable];
            let shape = match value {
                Value::Record { shape: None, .. } if reference.field.is_none() => None,
                Value::Record { shape, .. } if reference.field.is_none() => shape.clone(),
                _ => None,
            };
            return Ok((value.get(reference.field), data_type, shape));
        }
        let parameters = self.parameters(references);
        let run = || self.nested.with_context(&parameters, |context| eval_row(expr, &[], context));
        let value = match calls {
            true => self.nested.within_statement(run)?,
            false => run()?,
        };
        let shape = match expr {
            Expr::Routine(call) if call.is_row && !call.columns.is_empty() => Some(call.columns.clone()),
            _ => None,
        };
        Ok((value, data_type, shape))
    }

    pub fn condition(&mut self, expression: &Expression) -> Result<bool> {
        let (value, data_type) = self.evaluate(expression)?;
        let value = converted_to(value, data_type, Type::BOOL, -1, self.nested.context)?;
        Ok(value.as_bool() == Some(true))
    }

    fn integer(&mut self, expression: &Expression, what: &str) -> Result<i32> {
        let (value, data_type) = self.evaluate(expression)?;
        let value = converted_to(value, data_type, Type::INT4, -1, self.nested.context)?;
        value.as_i32().ok_or_else(|| {
            Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, format!("{what} of FOR loop cannot be null"))
        })
    }

    // ---- assignment ----

    pub fn assign_variable(&mut self, id: VariableId, value: Datum, data_type: Type) -> Result<()> {
        self.assign_shaped(id, value, data_type, None)
    }

    fn assign_shaped(
        &mut self,
        id: VariableId,
        value: Datum,
        data_type: Type,
        shape: Option<Shape>,
    ) -> Result<()> {
        let variable = &self.function.variables[id];
        if variable.not_null && value.is_null() {
            let message =
                format!("null value cannot be assigned to variable \"{}\" declared NOT NULL", variable.name);
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        self.values[id] = match &variable.kind {
            VariableKind::Scalar { data_type: to, modifier } => {
                Value::Scalar(converted_to(value, data_type, *to, *modifier, self.nested.context)?)
            }
            VariableKind::Record { shape: declared } => match value {
                Datum::Null => Value::empty(&variable.kind),
                Datum::Record(fields) => match declared {
                    Some(declared) => {
                        let mut row = Vec::with_capacity(declared.len());
                        for (at, (_, to)) in declared.iter().enumerate() {
                            row.push(match fields.get(at) {
                                Some((from, value)) => {
                                    converted_to(value.clone(), *from, *to, -1, self.nested.context)?
                                }
                                None => Datum::Null,
                            });
                        }
                        Value::record(declared.clone(), row)
                    }
                    None => match shape {
                        Some(shape) => {
                            Value::record(shape, fields.iter().map(|(_, value)| value.clone()).collect())
                        }
                        None => unnamed(&fields),
                    },
                },
                _ => {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "cannot assign non-composite value to a record variable",
                    ));
                }
            },
        };
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Datum, data_type: Type, shape: Option<Shape>) -> Result<()> {
        match target {
            Target::Variable(id) => self.assign_shaped(*id, value, data_type, shape),
            Target::Field(id, field) => {
                let name = &self.function.variables[*id].name;
                let Value::Record { shape: Some(shape), .. } = &self.values[*id] else {
                    return Err(not_assigned(name));
                };
                let at = shape.iter().position(|(known, _)| known == field);
                let at = at.ok_or_else(|| no_field(name, field))?;
                let to = shape[at].1;
                let value = converted_to(value, data_type, to, -1, self.nested.context)?;
                if let Value::Record { fields, null, .. } = &mut self.values[*id] {
                    fields[at] = value;
                    *null = false;
                }
                Ok(())
            }
            Target::Element(base, subscripts) => {
                let (array, array_type) = self.current(base)?;
                let part = crate::types::geometry::part_of(array_type.base());
                let Some(element) = array_type.element().or(part) else {
                    let message = format!(
                        "cannot subscript type {} because it does not support subscripting",
                        array_type.display()
                    );
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
                };
                let mut bounds = Vec::with_capacity(subscripts.len());
                for (lower, upper, slice) in subscripts {
                    let mut bound = |expression: &Option<Expression>| -> Result<Option<i32>> {
                        let Some(expression) = expression else { return Ok(None) };
                        let (value, data_type) = self.evaluate(expression)?;
                        let value = converted_to(value, data_type, Type::INT4, -1, self.nested.context)?;
                        value.as_i32().map(Some).ok_or_else(|| {
                            let message = "array subscript in assignment must not be null";
                            Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
                        })
                    };
                    bounds.push((bound(lower)?, bound(upper)?, *slice));
                }
                let slice = bounds.iter().any(|bound| bound.2);
                let to = if slice { array_type } else { element };
                let value = converted_to(value, data_type, to, -1, self.nested.context)?;
                let array = match part {
                    Some(part) => crate::exec::arrays::assign_part(&array, part, &bounds, &value)?,
                    None => crate::exec::arrays::assign(array, element, &bounds, value)?,
                };
                self.assign(base, array, array_type, None)
            }
            Target::List(_) => Err(Error::internal("assignment to a list")),
        }
    }

    fn current(&self, target: &Target) -> Result<(Datum, Type)> {
        match target {
            Target::Variable(id) => {
                Ok((self.values[*id].get(None), self.function.variables[*id].data_type()))
            }
            Target::Field(id, field) => {
                let name = &self.function.variables[*id].name;
                let Value::Record { shape: Some(shape), .. } = &self.values[*id] else {
                    return Err(not_assigned(name));
                };
                let at = shape.iter().position(|(known, _)| known == field);
                let at = at.ok_or_else(|| no_field(name, field))?;
                Ok((self.values[*id].get(Some(at)), shape[at].1))
            }
            _ => Err(Error::unsupported("a subscript of a subscript")),
        }
    }

    /// A query's row to INTO's target; no row makes nulls.
    pub fn assign_row(&mut self, target: &Target, row: Option<&[Datum]>, shape: &Shape) -> Result<()> {
        let column = |at: usize| {
            let value = row.and_then(|row| row.get(at)).cloned().unwrap_or_default();
            (value, shape.get(at).map_or(Type::UNKNOWN, |(_, data_type)| *data_type))
        };
        match target {
            Target::List(targets) => {
                for (at, target) in targets.iter().enumerate() {
                    let (value, data_type) = column(at);
                    self.assign(target, value, data_type, None)?;
                }
                Ok(())
            }
            Target::Variable(id) if self.function.variables[*id].data_type() == Type::RECORD => {
                // One composite column is the record itself.
                if let ([(_, Type::RECORD)], Some([value @ Datum::Record(_)])) = (&**shape, row) {
                    return self.assign_shaped(*id, value.clone(), Type::RECORD, None);
                }
                let fields: Vec<(Type, Datum)> =
                    (0..shape.len()).map(column).map(|(value, data_type)| (data_type, value)).collect();
                match row {
                    Some(_) => {
                        let value = Datum::record(fields);
                        self.assign_shaped(*id, value, Type::RECORD, Some(shape.clone()))
                    }
                    None => {
                        let kind = &self.function.variables[*id].kind;
                        self.values[*id] = match kind {
                            VariableKind::Record { shape: None } => Value::Record {
                                shape: Some(shape.clone()),
                                fields: vec![Datum::Null; shape.len()],
                                null: true,
                            },
                            kind => Value::empty(kind),
                        };
                        Ok(())
                    }
                }
            }
            target => {
                let (value, data_type) = column(0);
                self.assign(target, value, data_type, None)
            }
        }
    }

    // ---- statements ----

    fn block(&mut self, block: &Block) -> Result<Flow> {
        for id in &block.variables {
            let variable = &self.function.variables[*id];
            self.line = variable.line;
            self.at = "initialization";
            self.values[*id] = Value::empty(&variable.kind);
            match &variable.default {
                Some(default) => {
                    let (value, data_type, shape) = self.evaluate_shaped(default)?;
                    self.assign_shaped(*id, value, data_type, shape)?;
                }
                None if variable.cursor.is_some() => {
                    self.values[*id] = Value::Scalar(Datum::text(variable.name.as_str()));
                }
                None => {}
            }
        }
        self.line = block.line;
        self.at = "statement block";
        let flow = match block.handlers.is_empty() {
            true => self.statements(&block.body)?,
            false => self.guarded(block)?,
        };
        // EXIT with the block's label leaves it.
        Ok(match flow {
            Flow::Exit(Some(label)) if block.label.as_ref() == Some(&label) => Flow::Next,
            flow => flow,
        })
    }

    /// A block with handlers: a savepoint around its body.
    fn guarded(&mut self, block: &Block) -> Result<Flow> {
        let core = self.nested.core;
        let transaction = self.nested.context.transaction;
        let savepoint = transaction.borrow_mut().savepoint();
        let changes = core.view.borrow().changes().len();
        let settings = core.settings_savepoint();
        let deferred = core.deferred.borrow().mark();
        let notify = core.notify.borrow().mark();
        let large_objects = core.large_objects.borrow().mark();
        let (acting, stack) = (core.acting.borrow().len(), core.routine_stack.get());
        let suspended = transaction.borrow().suspend();
        core.control.guarded.set(core.control.guarded.get() + 1);
        let result = self.statements(&block.body);
        core.control.guarded.set(core.control.guarded.get() - 1);
        let error = match result {
            Ok(flow) => {
                transaction.borrow_mut().release(&savepoint);
                return Ok(flow);
            }
            Err(error) => error,
        };
        let Some(handler) = block.handlers.iter().find(|h| h.conditions.iter().any(|c| matches(c, &error)))
        else {
            transaction.borrow_mut().release(&savepoint);
            return Err(error);
        };
        // What the transaction itself can't survive fails here again.
        self.nested.context.eval.services.check_interrupt()?;
        {
            let mut transaction = transaction.borrow_mut();
            transaction.rollback_to(&savepoint)?;
            transaction.release(&savepoint);
            transaction.resume(suspended);
        }
        core.view.borrow_mut().truncate(&core.engine.publisher, changes);
        core.settings_rollback_to(settings);
        core.deferred.borrow_mut().rollback_to(&deferred);
        core.notify.borrow_mut().rollback_to(notify);
        core.large_objects.borrow_mut().rollback_to(large_objects);
        core.stop_acting(acting);
        core.routine_stack.set(stack);
        let error = self.located(error);
        if let Some((state, message)) = block.error_variables {
            self.values[state] = Value::Scalar(Datum::text(error.state().as_str()));
            self.values[message] = Value::Scalar(Datum::text(error.message()));
        }
        self.handled.push(error);
        let flow = self.statements(&handler.body);
        self.handled.pop();
        flow
    }

    fn statements(&mut self, statements: &[Statement]) -> Result<Flow> {
        for statement in statements {
            match self.statement(statement)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Statement) -> Result<Flow> {
        self.line = statement.line;
        self.at = statement.kind.name();
        match &statement.kind {
            Kind::Block(block) => return self.block(block),
            Kind::Assign(target, expression) => {
                let (value, data_type, shape) = self.evaluate_shaped(expression)?;
                self.assign(target, value, data_type, shape)?;
            }
            Kind::If(arms, otherwise) => {
                for (condition, body) in arms {
                    self.at = "IF";
                    self.line =
                        if std::ptr::eq(condition, &arms[0].0) { statement.line } else { condition.line };
                    if self.condition(condition)? {
                        return self.statements(body);
                    }
                }
                return self.statements(otherwise);
            }
            Kind::Case { operand, arms, otherwise } => {
                if let Some((operand, id)) = operand {
                    let (value, data_type) = self.evaluate(operand)?;
                    let shape: Shape = Arc::from([("value".to_owned(), data_type)]);
                    self.values[*id] = Value::record(shape, vec![value]);
                }
                for (condition, body) in arms {
                    if self.condition(condition)? {
                        return self.statements(body);
                    }
                }
                return match otherwise {
                    Some(body) => self.statements(body),
                    None => Err(Error::new(SqlState::CASE_NOT_FOUND, "case not found")
                        .hint("CASE statement is missing ELSE part.")),
                };
            }
            Kind::Loop(label, body) => loop {
                if let Some(flow) = self.turn(label.as_ref(), body)? {
                    return Ok(flow);
                }
            },
            Kind::While(label, condition, body) => loop {
                (self.line, self.at) = (statement.line, "WHILE");
                if !self.condition(condition)? {
                    break;
                }
                if let Some(flow) = self.turn(label.as_ref(), body)? {
                    return Ok(flow);
                }
            },
            Kind::ForInteger { label, variable, lower, upper, step, reverse, body } => {
                let first = self.integer(lower, "lower bound")?;
                let last = self.integer(upper, "upper bound")?;
                let step = match step {
                    Some(step) => self.integer(step, "BY value")?,
                    None => 1,
                };
                if step <= 0 {
                    let message = "BY value of FOR loop must be greater than zero";
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                let (mut at, mut turned) = (first, false);
                while if *reverse { at >= last } else { at <= last } {
                    turned = true;
                    self.values[*variable] = Value::Scalar(Datum::Int4(at));
                    if let Some(flow) = self.turn(label.as_ref(), body)? {
                        self.set_found(true);
                        return Ok(flow);
                    }
                    let next = if *reverse { at.checked_sub(step) } else { at.checked_add(step) };
                    match next {
                        Some(next) => at = next,
                        None => break,
                    }
                }
                self.set_found(turned);
            }
            Kind::ForQuery { label, target, query, body } => {
                let source = self.open_source(query)?;
                return self.for_rows(source, label.as_ref(), target, body);
            }
            Kind::ForCursor { label, record, cursor, arguments, body } => {
                let source = self.open_bound(*cursor, arguments)?;
                return self.for_rows(source, label.as_ref(), &Target::Variable(*record), body);
            }
            Kind::Foreach { label, target, slice, array, body } => {
                return self.foreach(label.as_ref(), target, *slice, array, body);
            }
            Kind::Exit { is_exit, label, when } => {
                if let Some(when) = when
                    && !self.condition(when)?
                {
                    return Ok(Flow::Next);
                }
                return Ok(match is_exit {
                    true => Flow::Exit(label.clone()),
                    false => Flow::Continue(label.clone()),
                });
            }
            Kind::Return(expression) => {
                if let Some(expression) = expression {
                    self.returned = Some(self.evaluate(expression)?);
                }
                return Ok(Flow::Return);
            }
            Kind::ReturnNext(expression) => self.return_next(expression.as_ref())?,
            Kind::ReturnQuery(query) => self.return_query(query)?,
            Kind::Raise(raise) => self.raise(raise)?,
            Kind::Assert(condition, message) => self.assert(condition, message.as_ref())?,
            Kind::Sql { query, into } => {
                if !SqlStatement::<()>::is_planned(&query.statement.kind) {
                    let text = query.statement.text.clone();
                    self.nested
                        .utility(&query.statement.kind)
                        .map_err(|error| statement_context(error, &text))?;
                    return Ok(Flow::Next);
                }
                let source = self.start_query(query)?;
                self.run_source(source, into.as_ref().map(|(target, strict)| (target, *strict)))?;
            }
            Kind::Perform(expression) => {
                let mut source = self.start(&expression.query, &expression.scope)?;
                let mut count = 0;
                while let Some(batch) = source.next(&self.nested, usize::MAX)? {
                    count += batch.rows as i64;
                }
                self.row_count = count;
                self.set_found(count > 0);
            }
            Kind::Execute { text, using, into } => {
                self.execute(text, using, into.as_ref().map(|(target, strict)| (target, *strict)))?;
            }
            Kind::Call(call, scope, text) => {
                self.call_procedure(call, scope).map_err(|error| statement_context(error, text))?
            }
            Kind::GetDiagnostics { stacked, items } => {
                for (target, item) in items {
                    let (value, data_type) = self.diagnostic(item, *stacked)?;
                    self.assign(target, value, data_type, None)?;
                }
            }
            Kind::Open { cursor, arguments, query } => {
                self.open_cursor(*cursor, arguments, query.as_ref())?;
            }
            Kind::Fetch { cursor, direction, target } => {
                self.fetch(*cursor, direction, target.as_ref())?;
            }
            Kind::Close(cursor) => self.close(*cursor)?,
            Kind::Null => {}
            Kind::Commit | Kind::Rollback => {
                self.nested.end_transaction(matches!(statement.kind, Kind::Commit))?;
            }
        }
        Ok(Flow::Next)
    }

    /// One turn of a loop; Some: it ends, with what is left to do.
    fn turn(&mut self, label: Option<&String>, body: &[Statement]) -> Result<Option<Flow>> {
        self.nested.context.eval.services.check_interrupt()?;
        Ok(match self.statements(body)? {
            Flow::Next | Flow::Continue(None) => None,
            Flow::Exit(None) => Some(Flow::Next),
            Flow::Exit(Some(to)) if label == Some(&to) => Some(Flow::Next),
            Flow::Continue(Some(to)) if label == Some(&to) => None,
            flow => Some(flow),
        })
    }

    fn for_rows(
        &mut self,
        mut source: super::sql::Source,
        label: Option<&String>,
        target: &Target,
        body: &[Statement],
    ) -> Result<Flow> {
        let (line, at) = (self.line, self.at);
        let shape = source.shape.clone();
        let mut turned = false;
        let mut all =
            match self.nested.core.control.allowed.get() && body.iter().any(Statement::may_end_transaction) {
                true => Some(self.all_batches(&mut source)?.into_iter()),
                false => None,
            };
        loop {
            (self.line, self.at) = (line, at);
            let next = match &mut all {
                Some(all) => all.next(),
                None => source.next(&self.nested, LOOP_ROWS)?,
            };
            let Some(batch) = next else { break };
            for row in 0..batch.rows {
                turned = true;
                self.assign_row(target, Some(&batch.row(row)), &shape)?;
                if let Some(flow) = self.turn(label, body)? {
                    self.set_found(true);
                    return Ok(flow);
                }
                (self.line, self.at) = (line, at);
            }
        }
        if !turned {
            self.assign_row(target, None, &shape)?;
        }
        self.set_found(turned);
        Ok(Flow::Next)
    }

    /// For a loop whose transaction may end under it.
    fn all_batches(&mut self, source: &mut super::sql::Source) -> Result<Vec<crate::column::Batch>> {
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(batch) = source.next(&self.nested, usize::MAX)? {
            for row in 0..batch.rows {
                check_rows_budget(&mut bytes, &batch.row(row), &self.nested)?;
            }
            batches.push(batch);
        }
        Ok(batches)
    }

    fn foreach(
        &mut self,
        label: Option<&String>,
        target: &Target,
        slice: usize,
        array: &Expression,
        body: &[Statement],
    ) -> Result<Flow> {
        let (value, data_type) = self.evaluate(array)?;
        let array = match value {
            Datum::Array(array) => array,
            Datum::Null => {
                let message = "FOREACH expression must not be null";
                return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
            }
            _ => {
                let message =
                    format!("FOREACH expression must yield an array, not type {}", data_type.display());
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
            }
        };
        if slice > array.dimensions.len() {
            let message =
                format!("slice dimension ({slice}) is out of the valid range 0..{}", array.dimensions.len());
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
        }
        let inner: Vec<(i32, i32)> = array.dimensions[array.dimensions.len() - slice..].to_vec();
        let size: usize = inner.iter().map(|(length, _)| *length as usize).product::<usize>().max(1);
        let mut turned = false;
        for piece in array.elements.chunks(size) {
            turned = true;
            let (value, data_type) = match slice {
                0 => (piece[0].clone(), array.element),
                _ => {
                    let part = ArrayValue {
                        element: array.element,
                        dimensions: inner.clone(),
                        elements: piece.to_vec(),
                    };
                    (Datum::array(part), data_type)
                }
            };
            self.assign(target, value, data_type, None)?;
            if let Some(flow) = self.turn(label, body)? {
                self.set_found(true);
                return Ok(flow);
            }
        }
        self.set_found(turned);
        Ok(Flow::Next)
    }

    fn push_row(&mut self, row: Vec<Datum>) -> Result<()> {
        check_rows_budget(&mut self.rows_bytes, &row, &self.nested)?;
        self.rows.push(row);
        Ok(())
    }

    fn return_next(&mut self, expression: Option<&Expression>) -> Result<()> {
        let Some(expression) = expression else {
            let row = self.function.outputs.iter().map(|id| self.values[*id].get(None)).collect();
            return self.push_row(row);
        };
        let (value, data_type) = self.evaluate(expression)?;
        let row = match (self.call.is_row, value) {
            (false, value) => {
                vec![converted_to(value, data_type, self.call.columns[0].1, -1, self.nested.context)?]
            }
            (true, Datum::Record(fields)) => self.as_columns(&fields)?,
            (true, Datum::Null) => vec![Datum::Null; self.call.columns.len()],
            (true, _) => {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "cannot return non-composite value from function returning composite type",
                ));
            }
        };
        self.push_row(row)
    }

    fn return_query(&mut self, query: &Dynamic) -> Result<()> {
        let mut source = self.open_source(query)?;
        let wanted = self.call.columns.clone();
        if source.shape.len() != wanted.len() {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "structure of query does not match function result type",
            )
            .detail(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                source.shape.len(),
                wanted.len()
            )));
        }
        for (at, ((_, from), (_, to))) in source.shape.iter().zip(wanted.iter()).enumerate() {
            // Only what is the same type, or binary the same.
            let same = from == to
                || *from == Type::UNKNOWN
                || matches!((*from, *to), (Type::VARCHAR, Type::TEXT) | (Type::TEXT, Type::VARCHAR));
            if !same {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "structure of query does not match function result type",
                )
                .detail(format!(
                    "Returned type {} does not match expected type {} in column {}.",
                    from.display(),
                    to.display(),
                    at + 1
                )));
            }
        }
        let mut count = 0;
        while let Some(batch) = source.next(&self.nested, usize::MAX)? {
            for at in 0..batch.rows {
                self.push_row(batch.row(at))?;
            }
            count += batch.rows as i64;
        }
        self.row_count = count;
        self.set_found(count > 0);
        Ok(())
    }

    /// CALL: output arguments are variables that get the results.
    fn call_procedure(
        &mut self,
        call: &crate::parse::ast::FunctionCall,
        scope: &super::scope::Scope,
    ) -> Result<()> {
        let (bound, references) = {
            let resolver = Resolver::new(self.function, scope, &self.values);
            let bound = self.nested.with_context(&[], |context| {
                crate::exec::routine::bind_call(call, &[], context, Some(&resolver))
            })?;
            (bound, resolver.references.take())
        };
        let parameters = self.parameters(&references);
        let returned = self.nested.within_statement(|| {
            self.nested.with_context(&parameters, |context| {
                let mut values = Vec::with_capacity(bound.arguments.len());
                for argument in &bound.arguments {
                    values.push(eval_row(argument, &[], context)?);
                }
                crate::exec::routine::call_with(&bound, &values, context)
            })
        })?;
        let Some((columns, row)) = returned else { return Ok(()) };
        let mut results = columns.iter().zip(row);
        let parameters = bound.routine.arguments.iter().filter(|a| a.is_input() || a.is_output());
        for (argument, given) in parameters.zip(&call.arguments) {
            if !argument.is_output() {
                continue;
            }
            let Some(((_, data_type), value)) = results.next() else { break };
            let target = match &given.value {
                crate::parse::ast::Expr::Column(parts, _) => scope.resolve(parts),
                _ => None,
            };
            let Some((id, rest)) = target else {
                let name = argument.name.clone().unwrap_or_default();
                let message = format!(
                    "procedure parameter \"{name}\" is an output parameter but corresponding argument is not writable"
                );
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            };
            let target = match rest {
                [field, ..] => Target::Field(id, field.clone()),
                [] => Target::Variable(id),
            };
            self.assign(&target, value, *data_type, None)?;
        }
        Ok(())
    }
}

/// A record whose field names nobody knows.
fn unnamed(fields: &Record) -> Value {
    let name = |at: usize| match fields.names.as_ref().and_then(|names| names.get(at)) {
        Some(name) => name.clone(),
        None => format!("f{}", at + 1),
    };
    let names = fields.iter().enumerate().map(|(at, (data_type, _))| (name(at), *data_type));
    Value::record(names.collect(), fields.iter().map(|(_, value)| value.clone()).collect())
}

/// Planning an expression as a query names it in CONTEXT as the expression.
fn relabelled(error: Error, expression: &Expression) -> Error {
    let mut error = error;
    let statement = format!("SQL statement \"{}\"", expression.query.text);
    if let Some(context) = &mut error.fields_mut().context {
        *context = context.replace(&statement, &format!("SQL expression \"{}\"", expression.text));
    }
    error
}

fn relabelled_run(error: Error, expression: &Expression) -> Error {
    error.within(format!("SQL expression \"{}\"", expression.text))
}
