//! Calls of users' functions and procedures.
//!
//! A routine is compiled once per session and signature (polymorphic ones have several) and kept while its descriptor stands. What
//! surrounds a call is here: the depth limit, the role of SECURITY DEFINER, the settings of SET clauses. What a body does is in
//! `exec/sql_function.rs` and `plpgsql/`.

use super::ExecContext;
use crate::catalog::Routine;
use crate::catalog::routine::{Language, ResultShape};
use crate::error::{Error, Result, SqlState};
use crate::expr::{Expr, RoutineCall};
use crate::functions::{CastContext, Volatility, cast_datum, find_cast};
use crate::parse::ast;
use crate::plan::PlanContext;
use crate::session::nested::Nested;
use crate::types::{Datum, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// Compiled routines, by OID and input types, with the descriptor that each was compiled from.
pub(crate) type Cache = HashMap<(u32, Arc<[Type]>), (Arc<Routine>, Compiled)>;

/// Beyond this the cache starts over.
const CACHE_MAX: usize = 512;

/// Stack that nested calls may use, of the 2 MiB that a thread has.
const STACK_BYTES_MAX: usize = 1 << 20;

#[derive(Clone)]
pub(crate) enum Compiled {
    Sql(Arc<super::sql_function::Body>),
    PlPgSql(Arc<crate::plpgsql::Function>),
}

/// One value.
pub(crate) fn value(call: &RoutineCall, arguments: &[Datum], context: &ExecContext<'_>) -> Result<Datum> {
    check_execute(&call.routine, context)?;
    if call.routine.strict && arguments.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    within(&call.routine, context, |nested| match compiled(call, nested)? {
        Compiled::Sql(body) => body.value(call, arguments, nested),
        Compiled::PlPgSql(function) => crate::plpgsql::value(&function, call, arguments, nested),
    })
}

/// Plans were checked as a whole; this is for expressions outside of one, and costs nothing where nobody has touched the function's
/// privileges.
fn check_execute(routine: &Routine, context: &ExecContext<'_>) -> Result<()> {
    match routine.acl {
        None => Ok(()),
        Some(_) => {
            let role = context.eval.services.acting_role();
            crate::plan::permissions::check_function(routine.oid, role, &context.eval.services.catalog())
        }
    }
}

/// All rows of a set (or the one row of a function that returns a record).
pub(crate) fn rows(
    call: &RoutineCall,
    arguments: &[Datum],
    context: &ExecContext<'_>,
) -> Result<Vec<Vec<Datum>>> {
    if !call.routine.returns_set {
        let width = call.columns.len();
        let row = match value(call, arguments, context)? {
            Datum::Record(fields) => {
                // The caller's column definition list says what the record is taken for.
                let mut row = Vec::with_capacity(width);
                if fields.len() != width {
                    return Err(wrong_row(fields.len(), width));
                }
                for ((from, value), (_, to)) in fields.iter().zip(call.columns.iter()) {
                    row.push(converted(value.clone(), *from, *to, context)?);
                }
                row
            }
            Datum::Null => vec![Datum::Null; width],
            other => vec![other],
        };
        return Ok(vec![row]);
    }
    check_execute(&call.routine, context)?;
    if call.routine.strict && arguments.iter().any(Datum::is_null) {
        return Ok(Vec::new());
    }
    within(&call.routine, context, |nested| match compiled(call, nested)? {
        Compiled::Sql(body) => body.rows(call, arguments, nested),
        Compiled::PlPgSql(function) => crate::plpgsql::rows(&function, call, arguments, nested),
    })
}

pub(crate) fn wrong_row(given: usize, wanted: usize) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, "function return row and query-specified return row do not match")
        .detail(format!("Returned row contains {given} attributes, but query expects {wanted}."))
}

pub(crate) fn record(types: &[Type], row: Vec<Datum>) -> Datum {
    let fields: Vec<(Type, Datum)> = types.iter().copied().zip(row).collect();
    Datum::record(fields)
}

/// A value as another type, by an assignment cast.
pub(crate) fn converted(value: Datum, from: Type, to: Type, context: &ExecContext<'_>) -> Result<Datum> {
    converted_to(value, from, to, -1, context)
}

pub(crate) fn converted_to(
    value: Datum,
    from: Type,
    to: Type,
    modifier: i32,
    context: &ExecContext<'_>,
) -> Result<Datum> {
    if value.is_null() || (from == to && modifier == -1) {
        return Ok(value);
    }
    if from != to && from != Type::UNKNOWN && find_cast(from, to, CastContext::Assignment).is_none() {
        // PL/pgSQL's rule: what has no cast goes through its text.
        let text = crate::functions::format_in_context(&value, from, &context.eval)?;
        let text = Datum::Text(text.into());
        return cast_datum(text, Type::UNKNOWN, to, modifier, false, &context.eval);
    }
    cast_datum(value, from, to, modifier, false, &context.eval)
}

fn compiled(call: &RoutineCall, nested: &Nested<'_>) -> Result<Compiled> {
    let key = (call.routine.oid, call.types.clone());
    if let Some((routine, compiled)) = nested.core.routines.borrow().get(&key)
        && Arc::ptr_eq(routine, &call.routine)
    {
        return Ok(compiled.clone());
    }
    let compiled = match call.routine.language {
        Language::Sql => {
            Compiled::Sql(Arc::new(super::sql_function::Body::compile(&call.routine, &call.types)?))
        }
        Language::PlPgSql => {
            let catalog = nested.core.catalog();
            let path = nested.core.search_path.borrow().clone();
            let function = crate::plpgsql::compile(&call.routine, &call.types, &catalog, &path)?;
            Compiled::PlPgSql(Arc::new(function))
        }
    };
    let mut cache = nested.core.routines.borrow_mut();
    if cache.len() >= CACHE_MAX {
        cache.clear();
    }
    cache.insert(key, (call.routine.clone(), compiled.clone()));
    Ok(compiled)
}

/// A trigger's function, compiled for its table.
pub(crate) fn trigger_function(
    call: &RoutineCall,
    nested: &Nested<'_>,
) -> Result<Arc<crate::plpgsql::Function>> {
    match compiled(call, nested)? {
        Compiled::PlPgSql(function) => Ok(function),
        Compiled::Sql(_) => Err(Error::internal("a trigger function in SQL")),
    }
}

/// The address of something on the stack now.
#[inline(never)]
fn stack_address() -> usize {
    let here = 0u8;
    std::hint::black_box(&raw const here) as usize
}

/// Calls `work` with what the routine's declaration puts around its body.
pub(crate) fn within<T>(
    routine: &Routine,
    context: &ExecContext<'_>,
    work: impl FnOnce(&Nested<'_>) -> Result<T>,
) -> Result<T> {
    let read_only = routine.volatility != Volatility::Volatile;
    let nested = Nested::new(context, read_only)?;
    let core = nested.core;
    context.eval.services.check_interrupt()?;
    let outermost = core.routine_stack.get().is_none();
    if outermost {
        // Wherever the call comes from, a constraint at COMMIT for instance: nobody knows how long it will take.
        return core.engine.store().blocking().call(|| surrounded(routine, context, &nested, work));
    }
    surrounded(routine, context, &nested, work)
}

fn surrounded<T>(
    routine: &Routine,
    context: &ExecContext<'_>,
    nested: &Nested<'_>,
    work: impl FnOnce(&Nested<'_>) -> Result<T>,
) -> Result<T> {
    let core = nested.core;
    let outermost = core.routine_stack.get().is_none();
    let base = core.routine_stack.get().unwrap_or_else(stack_address);
    if stack_address().abs_diff(base) > STACK_BYTES_MAX {
        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").hint(
            "Increase the configuration parameter \"max_stack_depth\" (currently 1024kB), after ensuring the \
             platform's stack depth limit is adequate.",
        ));
    }
    core.routine_stack.set(Some(base));
    // A function doesn't see its caller's transition tables.
    let transitions = core.transitions.take();
    // PostgreSQL's rules of who may end the transaction: `session/control.rs`.
    let control = core.control.allowed.get();
    let is_block = routine.procedure || routine.oid == 0;
    core.control.allowed.set(control && is_block && !routine.security_definer && routine.settings.is_empty());
    let acts = routine.security_definer;
    let acting = acts.then(|| core.act_as(routine.owner));
    let result = match routine.settings.is_empty() {
        true => work(nested),
        false => {
            let scope = core.settings_scope();
            let set = routine.settings.iter().try_for_each(|(name, value)| {
                core.set_setting(name, Some(value), true, Some(context.transaction))
            });
            let result = set.and_then(|()| work(nested));
            core.settings_rollback_to(scope);
            result
        }
    };
    if let Some(depth) = acting {
        core.stop_acting(depth);
    }
    core.control.allowed.set(control);
    core.transitions.replace(transitions);
    if outermost {
        core.routine_stack.set(None);
    }
    result
}

/// DO.
pub(crate) fn run_block(language: &str, body: &str, context: &ExecContext<'_>) -> Result<()> {
    match language {
        "plpgsql" => {}
        "sql" => {
            let message = "language \"sql\" does not support inline code execution";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        other => {
            let message = format!("language \"{other}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }
    let routine = Arc::new(Routine {
        oid: 0,
        database: 0,
        schema: 0,
        name: "inline_code_block".into(),
        owner: 0,
        procedure: false,
        arguments: Vec::new(),
        result: Type::VOID.0,
        row_of: None,
        returns_set: false,
        language: Language::PlPgSql,
        body: body.to_owned(),
        sql_body: false,
        strict: false,
        volatility: Volatility::Volatile,
        security_definer: false,
        leakproof: false,
        parallel: None,
        cost: None,
        rows: None,
        settings: Vec::new(),
        comment: None,
        acl: None,
    });
    within(&routine, context, |nested| {
        let path = nested.core.search_path.borrow().clone();
        let function = crate::plpgsql::compile(&routine, &[], &nested.core.catalog(), &path)?;
        let call = RoutineCall {
            routine: routine.clone(),
            arguments: Vec::new(),
            types: Arc::from([]),
            columns: Arc::from([(String::new(), Type::VOID)]),
            is_row: false,
            result: Type::VOID,
        };
        crate::plpgsql::value(&Arc::new(function), &call, &[], nested).map(drop)
    })
}

/// A procedure's output columns with their values, if it has any.
pub(crate) type Outputs = Option<(Arc<[(String, Type)]>, Vec<Datum>)>;

/// CALL: the output columns with their values, if the procedure has any.
pub(crate) fn run_call(
    call: &ast::FunctionCall,
    parameter_types: &[Option<Type>],
    context: &ExecContext<'_>,
) -> Result<Outputs> {
    let bound = bind_call(call, parameter_types, context, None)?;
    let mut values = Vec::with_capacity(bound.arguments.len());
    for argument in &bound.arguments {
        values.push(super::eval::eval_row(argument, &[], context)?);
    }
    call_with(&bound, &values, context)
}

/// Calls a procedure whose arguments have been evaluated.
pub(crate) fn call_with(bound: &RoutineCall, values: &[Datum], context: &ExecContext<'_>) -> Result<Outputs> {
    let result = value(bound, values, context)?;
    if bound.columns.is_empty() || !bound.is_row {
        return Ok(None);
    }
    let row = match result {
        Datum::Record(fields) => fields.iter().map(|(_, value)| value.clone()).collect(),
        _ => vec![Datum::Null; bound.columns.len()],
    };
    Ok(Some((bound.columns.clone(), row)))
}

/// Binds CALL's procedure and arguments; those for OUT parameters are not evaluated.
pub(crate) fn bind_call(
    call: &ast::FunctionCall,
    parameter_types: &[Option<Type>],
    context: &ExecContext<'_>,
    variables: Option<&dyn crate::plan::Variables>,
) -> Result<RoutineCall> {
    let core = context.core.ok_or_else(|| Error::internal("CALL outside of a session"))?;
    let search_path = core.search_path.borrow().clone();
    let settings = core.settings.borrow().typed().planner;
    let catalog = core.catalog();
    let plan_context = PlanContext {
        catalog: &catalog,
        search_path: &search_path,
        eval: &context.eval,
        settings,
        variables,
    };
    crate::bind::procedure_call(call, parameter_types, &plan_context).map(|(bound, _)| bound)
}

/// What a routine of this shape yields, for CREATE's checks.
pub(crate) fn result_types(shape: &ResultShape) -> Option<Vec<Type>> {
    match shape {
        ResultShape::Value(data_type) => Some(vec![*data_type]),
        ResultShape::Row(columns) => Some(columns.iter().map(|(_, data_type)| *data_type).collect()),
        ResultShape::Unknown => None,
    }
}

/// Whether an expression calls users' functions, which may read what statements before it wrote.
pub(crate) fn calls_routine(expr: &Expr) -> bool {
    expr.any(&mut |part| matches!(part, Expr::Routine(_)))
}
