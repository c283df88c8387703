//! Function calls: plain ones, aggregates, set-returning ones, and the words that are functions without parentheses.

use super::Binder;
use super::coerce::cannot_cast;
use super::scope::Scope;
use crate::catalog::Routine;
use crate::catalog::routine::{Mode, ResultShape};
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnSet, Expr, RoutineCall};
use crate::functions::parameters::parameters;
use crate::functions::{
    AggregateKind, Body, Callee, CastContext, CastMethod, Resolved, ResolvedCall, Source, common_type,
    resolve_call, resolve_function,
};
use crate::parse::ast;
use crate::plan::logical::{AggregateCall, SortKey};
use crate::types::{Datum, Type};
use std::borrow::Cow;
use std::sync::Arc;

/// A call of a built-in function whose arguments are named, with all of them in their places. None: nothing to change.
fn placed(call: &ast::FunctionCall) -> Result<Option<ast::FunctionCall>> {
    let named = call.arguments.iter().any(|argument| argument.name.is_some());
    let known = match &call.name.parts[..] {
        [name] => parameters(name),
        [schema, name] if schema == "pg_catalog" => parameters(name),
        _ => None,
    };
    let (true, Some(known)) = (named, known) else { return Ok(None) };
    let mut places: Vec<Option<ast::Argument>> = vec![None; known.names.len()];
    for (at, argument) in call.arguments.iter().enumerate() {
        let at = match &argument.name {
            None => Some(at),
            Some(name) => known.names.iter().position(|known| known == name),
        };
        // What doesn't fit is left to the resolution of the call, which says so.
        let Some(place) = at.and_then(|at| places.get_mut(at)).filter(|place| place.is_none()) else {
            return Ok(None);
        };
        *place = Some(ast::Argument { name: None, ..argument.clone() });
    }
    let required = known.names.len() - known.defaults.len();
    let mut arguments = Vec::with_capacity(places.len());
    for (at, place) in places.into_iter().enumerate() {
        arguments.push(match place {
            Some(argument) => argument,
            None if at >= required => {
                let value = crate::parse::parse_expression(known.defaults[at - required])?;
                ast::Argument { name: None, value }
            }
            None => return Ok(None),
        });
    }
    Ok(Some(ast::FunctionCall { arguments, ..call.clone() }))
}

impl Binder<'_> {
    /// A call with the arguments that the grammar wrote, in the function's order.
    pub fn placed_call<'c>(&self, call: &'c ast::FunctionCall) -> Result<Cow<'c, ast::FunctionCall>> {
        Ok(placed(call)?.map_or(Cow::Borrowed(call), Cow::Owned))
    }

    pub fn call(&mut self, call: &ast::FunctionCall) -> Result<Expr> {
        let call = &*self.placed_call(call)?;
        let with_sorted;
        let call = match call.within_group.is_empty() {
            true => call,
            false => {
                with_sorted = Self::with_sorted_arguments(call)?;
                &with_sorted
            }
        };
        // Arguments of an aggregate may not hold another: noticed by comparing what the scope has before and after.
        let before = self.scopes.last().map_or(0, |scope| scope.aggregates.len());
        let sets_before = self.scopes.last().map_or(0, |scope| scope.sets.len());
        let windows_before = self.scopes.last().map_or(0, |scope| scope.windows.len());
        let arguments = self.written_arguments(call)?;
        let types: Vec<Option<Type>> = arguments.iter().map(Self::open_type).collect();
        if let Some(cast) = self.call_as_cast(call, &arguments)? {
            return Ok(cast);
        }
        let found = self.resolve_call(call, &types)?;
        self.spell_call(call, &found.callee);
        let name = call.name.parts.last().cloned().unwrap_or_default();
        let resolved = match &found.callee {
            Callee::Routine(routine) => {
                let routine = routine.clone();
                if routine.procedure {
                    let message = format!("{}({}) is a procedure", routine.name, shown_types(&types));
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                        .hint("To call a procedure, use CALL.")
                        .at(call.position));
                }
                if call.over.is_some() {
                    let message = format!(
                        "OVER specified, but {name} is not a window function nor an aggregate function"
                    );
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(call.position));
                }
                self.refuse_aggregate_clauses(call, &name)?;
                let expr = self.routine_call(&routine, arguments, &found, call.position)?;
                return match routine.returns_set {
                    true => self.place_set(expr, &name, sets_before, call.position),
                    false => Ok(expr),
                };
            }
            Callee::BuiltIn(function) => {
                Resolved { function, arguments: found.arguments, result: found.result }
            }
        };
        // Known now, and not to the function: values don't carry their type.
        if let ("pg_typeof", [argument]) = (resolved.function.name, arguments.as_slice()) {
            let oid = argument.data_type().0;
            return Ok(Expr::Constant { value: Datum::Oid(oid), data_type: Type::REGTYPE });
        }
        if resolved.function.is_restricted(self.context.catalog) {
            self.needs.functions.push(resolved.function.oid);
        }
        let is_aggregate = matches!(resolved.function.body, Body::Aggregate(_));
        if !is_aggregate && call.over.is_none() {
            self.refuse_aggregate_clauses(call, &name)?;
        }
        let mut arguments = self.call_arguments(arguments, &resolved, call.variadic, call.position)?;
        // What takes VARIADIC "any" can tell an array of arguments from an argument that is one by this type.
        if call.variadic
            && resolved.function.arguments.last() == Some(&Type::ANY)
            && let Some(array) = arguments.pop()
        {
            arguments.push(Expr::Cast {
                operand: Box::new(array),
                method: CastMethod::Relabel,
                to: Type::ANYARRAY,
                modifier: -1,
                explicit: false,
            });
        }
        if let (Body::Aggregate(aggregate), true) = (&resolved.function.body, call.over.is_some())
            && aggregate.kind != AggregateKind::Normal
        {
            let message = format!("OVER is not supported for ordered-set aggregate {name}");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(call.position));
        }
        if let Some(over) = &call.over {
            return self.window_call(call, over, arguments, resolved, windows_before);
        }
        match &resolved.function.body {
            Body::Window(_) => {
                let message = format!("window function {} requires an OVER clause", resolved.function.name);
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(call.position))
            }
            Body::Aggregate(_) if self.scope().windows.len() > windows_before => {
                let message = "aggregate function calls cannot contain window function calls";
                Err(Error::new(SqlState::GROUPING_ERROR, message).at(call.position))
            }
            Body::Scalar { .. } | Body::Typed(_) => Ok(self.flatten_variadic(arguments, resolved)),
            Body::Set { .. } => self.set_call(call, arguments, resolved, sets_before),
            Body::Aggregate(_) => self.aggregate_call(call, arguments, resolved, before),
        }
    }

    /// `f(direct) WITHIN GROUP (ORDER BY sorted)` is looked up as `f(direct, sorted)`.
    fn with_sorted_arguments(call: &ast::FunctionCall) -> Result<ast::FunctionCall> {
        let what = match () {
            () if call.distinct => "DISTINCT",
            () if call.variadic => "VARIADIC",
            () if !call.order_by.is_empty() => "multiple ORDER BY clauses",
            () => {
                let sorted = call.within_group.iter();
                let sorted = sorted.map(|item| ast::Argument { name: None, value: item.expr.clone() });
                let arguments = call.arguments.iter().cloned().chain(sorted).collect();
                return Ok(ast::FunctionCall { arguments, ..call.clone() });
            }
        };
        let message = format!("cannot use {what} with WITHIN GROUP");
        Err(Error::new(SqlState::SYNTAX_ERROR, message).at(call.position))
    }

    /// WITHIN GROUP is there if, and only if, the aggregate wants it.
    fn check_within_group(call: &ast::FunctionCall, kind: AggregateKind, name: &str) -> Result<()> {
        let message = match (kind, call.within_group.is_empty()) {
            (AggregateKind::Normal, false) => {
                format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP")
            }
            (AggregateKind::Normal, true) | (_, false) => return Ok(()),
            (_, true) => format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
        };
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(call.position))
    }

    /// Of a hypothetical-set aggregate: each direct argument and the sorted one that it is compared with, brought to one type.
    fn unify_hypothetical(
        &mut self,
        call: &ast::FunctionCall,
        name: &str,
        mut arguments: Vec<Expr>,
        order_by: &mut [SortKey],
    ) -> Result<Vec<Expr>> {
        let given: Vec<Option<Type>> = arguments.iter().map(Self::open_type).collect();
        let sorted = arguments.split_off(arguments.len().saturating_sub(order_by.len()));
        if arguments.len() != sorted.len() {
            let message = format!("function {name}({}) does not exist", shown_types(&given));
            return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message)
                .hint(format!(
                    "To use the hypothetical-set aggregate {name}, the number of hypothetical direct arguments (here {}) must match the number of ordering columns (here {}).",
                    arguments.len(),
                    sorted.len()
                ))
                .at(call.position));
        }
        let mut direct = Vec::with_capacity(arguments.len());
        for ((argument, sorted), key) in arguments.into_iter().zip(sorted).zip(order_by) {
            let types = [Self::open_type(&argument), Self::open_type(&sorted)];
            let common = common_type(&types, "WITHIN GROUP").map_err(|error| error.at(call.position))?;
            direct.push(self.coerce_argument(argument, common, call.position)?);
            key.expr = self.coerce_argument(sorted, common, call.position)?;
        }
        Ok(direct)
    }

    /// `cidr('…')`: an untyped literal given to a type's name is read as that type, rather than as what a function of the name takes.
    fn call_as_cast(&mut self, call: &ast::FunctionCall, arguments: &[Expr]) -> Result<Option<Expr>> {
        let ([argument @ Expr::Constant { data_type: Type::UNKNOWN, .. }], false) = (arguments, call.star)
        else {
            return Ok(None);
        };
        let plain = call.over.is_none() && !call.distinct && call.arguments[0].name.is_none();
        let ([name], true) = (&call.name.parts[..], plain) else { return Ok(None) };
        let named = crate::types::BUILTIN_NAMES.get(name.as_str()).copied();
        let Some(to) = named.filter(|to| !to.is_pseudo() && *to != Type::UNKNOWN) else { return Ok(None) };
        self.coerce(argument.clone(), to, -1, CastContext::Explicit, call.position)
    }

    fn refuse_aggregate_clauses(&self, call: &ast::FunctionCall, name: &str) -> Result<()> {
        let what = match () {
            () if call.star => "(*) specified",
            () if call.distinct => "DISTINCT specified",
            () if call.filter.is_some() => "FILTER specified",
            () if !call.order_by.is_empty() => "ORDER BY specified",
            () if !call.within_group.is_empty() => "WITHIN GROUP specified",
            () => return Ok(()),
        };
        let message = format!("{what}, but {name} is not an aggregate function");
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(call.position))
    }

    /// Which function a call means: built-in ones are in pg_catalog, users' in their schemas.
    pub fn resolve_call(&self, call: &ast::FunctionCall, types: &[Option<Type>]) -> Result<ResolvedCall> {
        let (name, schemas) =
            call.name.parts.split_last().ok_or_else(|| Error::internal("a call without a name"))?;
        let catalog = self.context.catalog;
        let schema = schemas.last().map(String::as_str);
        let built_ins = matches!(schema, None | Some("pg_catalog" | "information_schema"));
        if let Some(schema) = schema
            && catalog.schema_in(schema, self.context.search_path).is_none()
        {
            let message = format!("schema \"{schema}\" does not exist");
            return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, message).at(call.name.position));
        }
        self.check_schema_use(schema)?;
        let routines = catalog.routines_named(schema, name, self.context.search_path);
        // There may be fewer arguments than are written: see `written_arguments`.
        let names = call.arguments.iter().map(|a| a.name.as_deref()).take(types.len());
        let names: Vec<Option<&str>> = names.collect();
        let shown = call.name.parts.join(".");
        let shown = if built_ins { name } else { &shown };
        if let Some(after) = names.iter().position(Option::is_some)
            && names[after..].iter().any(Option::is_none)
        {
            let message = "positional argument cannot follow named argument";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(call.position));
        }
        resolve_call(shown, Some(schema), routines, types, &names, call.variadic)
            .or_else(|error| {
                let constructed = crate::types::user::named(schema, name);
                let constructor = constructed.and_then(|constructed| {
                    crate::functions::range_constructor(constructed, types.len(), call.variadic)
                });
                constructor.ok_or(error)
            })
            .map_err(|error| error.at(call.position))
    }

    /// A routine's call with every input in its place.
    pub fn routine_call(
        &mut self,
        routine: &Arc<Routine>,
        arguments: Vec<Expr>,
        found: &ResolvedCall,
        position: usize,
    ) -> Result<Expr> {
        self.needs.functions.push(routine.oid);
        let mut given = Vec::with_capacity(arguments.len());
        for (argument, to) in arguments.into_iter().zip(&found.arguments) {
            given.push(Some(self.coerce_argument(argument, *to, position)?));
        }
        let take = |given: &mut Vec<Option<Expr>>, at: usize| {
            given
                .get_mut(at)
                .and_then(Option::take)
                .ok_or_else(|| Error::internal("an argument is used twice"))
        };
        let mut inputs = Vec::with_capacity(found.sources.len());
        let mut types = Vec::with_capacity(found.sources.len());
        for (source, input) in found.sources.iter().zip(routine.inputs()) {
            let data_type = found.meaning(input.data_type());
            inputs.push(match *source {
                Source::Given(at) => take(&mut given, at)?,
                Source::Packed(first) => {
                    let element = data_type.element().unwrap_or(Type::TEXT);
                    let elements =
                        (first..given.len()).map(|at| take(&mut given, at)).collect::<Result<_>>()?;
                    Expr::Array { elements, element, result: data_type }
                }
                Source::Default => {
                    let text = input.default.as_deref().unwrap_or("NULL");
                    let parsed = crate::parse::parse_expression(text)?;
                    let scopes = std::mem::replace(&mut self.scopes, vec![Scope::default()]);
                    let bound = self.plain_expr(&parsed, "DEFAULT expressions");
                    self.scopes = scopes;
                    self.coerce_argument(bound?, data_type, 0)?
                }
            });
            types.push(data_type);
        }
        let (columns, is_row, result) = match routine.shape(self.context.catalog) {
            ResultShape::Value(data_type) => {
                let data_type = found.meaning(data_type);
                (vec![(routine.name.clone(), data_type)], false, data_type)
            }
            ResultShape::Row(columns) => {
                let columns = columns.into_iter().map(|(name, t)| (name, found.meaning(t))).collect();
                let composite = Some(routine.result()).filter(|result| result.is_row());
                (columns, true, composite.unwrap_or(Type::RECORD))
            }
            ResultShape::Unknown => (Vec::new(), true, Type::RECORD),
        };
        Ok(Expr::Routine(Box::new(RoutineCall {
            routine: routine.clone(),
            arguments: inputs,
            types: types.into(),
            columns: columns.into(),
            is_row,
            result,
        })))
    }

    /// CALL: OUT parameters have a place among the arguments, whose expression is not evaluated.
    pub fn procedure_call(&mut self, call: &ast::FunctionCall) -> Result<RoutineCall> {
        let (name, schemas) =
            call.name.parts.split_last().ok_or_else(|| Error::internal("a call without a name"))?;
        let schema = schemas.last().map(String::as_str);
        self.check_schema_use(schema)?;
        let candidates = self.context.catalog.routines_named(schema, name, self.context.search_path);
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            arguments.push(self.plain_expr(&argument.value, "CALL arguments")?);
        }
        // For resolution every OUT parameter is an input of its type.
        let widened: Vec<Arc<Routine>> = candidates
            .iter()
            .filter(|routine| routine.procedure)
            .map(|routine| {
                let mut wide = Routine::clone(routine);
                for argument in wide.arguments.iter_mut().filter(|a| a.mode == Mode::Out) {
                    argument.mode = Mode::InOut;
                }
                Arc::new(wide)
            })
            .collect();
        let types: Vec<Option<Type>> = arguments.iter().map(Self::open_type).collect();
        let names: Vec<Option<&str>> = call.arguments.iter().map(|a| a.name.as_deref()).collect();
        let shown = call.name.parts.join(".");
        let found = match resolve_call(&shown, None, widened, &types, &names, call.variadic) {
            Ok(found) => found,
            Err(error) => {
                // A function of that name explains itself.
                let other = self.resolve_call(call, &types);
                if other.is_ok() {
                    let message = format!("{shown}({}) is not a procedure", shown_types(&types));
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)
                        .hint("To call a function, use SELECT.")
                        .at(call.position));
                }
                let message = error.message().replacen("function", "procedure", 1);
                return Err(Error::new(error.state(), message)
                    .hint("No procedure matches the given name and argument types. You might need to add explicit type casts.")
                    .at(call.position));
            }
        };
        let Callee::Routine(wide) = &found.callee else {
            return Err(Error::internal("CALL of a built-in function"));
        };
        let wide = wide.clone();
        let Expr::Routine(mut bound) = self.routine_call(&wide, arguments, &found, call.position)? else {
            return Err(Error::internal("CALL of another expression"));
        };
        let original = candidates
            .into_iter()
            .find(|routine| routine.oid == wide.oid)
            .ok_or_else(|| Error::internal("a procedure vanished"))?;
        let kept: Vec<bool> = original
            .arguments
            .iter()
            .filter(|argument| argument.is_input() || argument.mode == Mode::Out)
            .map(|argument| argument.is_input())
            .collect();
        let mut keep = kept.iter();
        bound.arguments.retain(|_| *keep.next().unwrap_or(&true));
        let mut keep = kept.iter();
        let types: Vec<Type> =
            bound.types.iter().copied().filter(|_| *keep.next().unwrap_or(&true)).collect();
        bound.types = types.into();
        bound.routine = original;
        Ok(*bound)
    }

    /// A set-returning call in a target list becomes a column of the ProjectSet to be.
    fn place_set(&mut self, expr: Expr, name: &str, before: usize, position: usize) -> Result<Expr> {
        if !self.clause.sets {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("set-returning functions are not allowed in {}", self.clause.name),
            )
            .at(position));
        }
        if self.scope().sets.len() > before {
            return Err(Error::unsupported("a set-returning function as another's argument").at(position));
        }
        let data_type = expr.data_type();
        let id = self.new_column(name, data_type, -1, (0, 0), "".into());
        self.scope().sets.push((id, expr));
        Ok(Expr::Column { index: id, data_type })
    }

    fn call_arguments(
        &mut self,
        arguments: Vec<Expr>,
        resolved: &Resolved,
        _variadic: bool,
        position: usize,
    ) -> Result<Vec<Expr>> {
        arguments
            .into_iter()
            .enumerate()
            .map(|(i, argument)| match resolved.arguments.get(i).or(resolved.arguments.last()) {
                Some(to) => self.coerce_argument(argument, *to, position),
                None => self.resolve_unknown(argument),
            })
            .collect()
    }

    fn flatten_variadic(&self, arguments: Vec<Expr>, resolved: Resolved) -> Expr {
        Expr::Call { function: resolved.function, arguments, result: resolved.result }
    }

    /// A call that the grammar implies.
    pub fn function_of(&mut self, name: &str, arguments: Vec<Expr>, position: usize) -> Result<Expr> {
        let types: Vec<Option<Type>> = arguments.iter().map(Self::open_type).collect();
        let resolved = resolve_function(name, &types, false).map_err(|error| error.at(position))?;
        let arguments = self.call_arguments(arguments, &resolved, false, position)?;
        Ok(Expr::Call { function: resolved.function, arguments, result: resolved.result })
    }

    fn aggregate_call(
        &mut self,
        call: &ast::FunctionCall,
        arguments: Vec<Expr>,
        resolved: Resolved,
        before: usize,
    ) -> Result<Expr> {
        let position = call.position;
        if !self.clause.aggregates {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                format!("aggregate functions are not allowed in {}", self.clause.name),
            )
            .at(position));
        }
        if call.arguments.is_empty() && !call.star && resolved.function.name == "count" {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "count(*) must be used to call a parameterless aggregate function",
            )
            .at(position));
        }
        if self.scope().aggregates.len() > before {
            return Err(Error::new(SqlState::GROUPING_ERROR, "aggregate function calls cannot be nested")
                .at(position));
        }
        let mut read = ColumnSet::new();
        arguments.iter().for_each(|argument| argument.columns(&mut read));
        if !read.is_empty() && !read.intersects(&self.scope().ids) {
            return Err(
                Error::unsupported("an aggregate over columns of an enclosing query only").at(position)
            );
        }
        let filter = match &call.filter {
            None => None,
            Some(filter) => {
                let filter = self.plain_expr(filter, "FILTER")?;
                Some(self.coerce_boolean(filter, "FILTER", position)?)
            }
        };
        let kind = match &resolved.function.body {
            Body::Aggregate(aggregate) => aggregate.kind,
            _ => AggregateKind::Normal,
        };
        Self::check_within_group(call, kind, resolved.function.name)?;
        let items = if kind == AggregateKind::Normal { &call.order_by } else { &call.within_group };
        let mut order_by = Vec::with_capacity(items.len());
        for item in items {
            let expr = self.plain_expr(&item.expr, "aggregate ORDER BY")?;
            let expr = self.resolve_unknown(expr)?;
            order_by.push(SortKey {
                expr,
                descending: item.descending,
                nulls_first: item.nulls_first.unwrap_or(item.descending),
            });
        }
        let arguments = match kind {
            AggregateKind::Hypothetical => {
                self.unify_hypothetical(call, resolved.function.name, arguments, &mut order_by)?
            }
            _ => arguments,
        };
        if call.distinct && order_by.iter().any(|key| !arguments.iter().any(|a| a.same(&key.expr))) {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            )
            .at(position));
        }
        let new = AggregateCall {
            function: resolved.function,
            arguments,
            distinct: call.distinct,
            order_by,
            filter,
            result: resolved.result,
        };
        // The same call twice is computed once.
        let same = |a: &AggregateCall| {
            std::ptr::eq(a.function, new.function)
                && a.distinct == new.distinct
                && a.arguments.len() == new.arguments.len()
                && a.arguments.iter().zip(&new.arguments).all(|(a, b)| a.same(b))
                && a.order_by.is_empty()
                && new.order_by.is_empty()
                && match (&a.filter, &new.filter) {
                    (None, None) => true,
                    (Some(a), Some(b)) => a.same(b),
                    _ => false,
                }
                && !new.arguments.iter().any(Expr::is_volatile)
        };
        if let Some((id, call)) = self.scope().aggregates.iter().find(|(_, call)| same(call)) {
            return Ok(Expr::Column { index: *id, data_type: call.result });
        }
        let result = new.result;
        let id = self.new_column(resolved.function.name, result, -1, (0, 0), "".into());
        self.scope().aggregates.push((id, new));
        Ok(Expr::Column { index: id, data_type: result })
    }

    fn set_call(
        &mut self,
        call: &ast::FunctionCall,
        arguments: Vec<Expr>,
        resolved: Resolved,
        before: usize,
    ) -> Result<Expr> {
        let Body::Set { columns, .. } = &resolved.function.body else {
            return Err(Error::internal("a set-returning call of another function"));
        };
        let name = resolved.function.name;
        let row: Option<Arc<[(String, Type)]>> = (columns.len() > 1).then(|| {
            columns
                .iter()
                .map(|(name, data_type)| ((*name).into(), set_column(*data_type, &arguments)))
                .collect()
        });
        let expr = Expr::Call { function: resolved.function, arguments, result: resolved.result };
        let placed = self.place_set(expr, name, before, call.position)?;
        // Its value is a record of the columns.
        if let Expr::Column { index, .. } = &placed {
            self.columns[*index].row = row;
        }
        Ok(placed)
    }

    /// A call's arguments. One of type void is none: pgjdbc has parameters of that type where a function's results go.
    pub fn written_arguments(&mut self, call: &ast::FunctionCall) -> Result<Vec<Expr>> {
        let bound = call.arguments.iter().map(|argument| self.expr(&argument.value));
        let mut bound = bound.collect::<Result<Vec<_>>>()?;
        if call.arguments.iter().all(|argument| argument.name.is_none()) {
            bound.retain(|argument| !matches!(argument, Expr::Parameter { data_type: Type::VOID, .. }));
        }
        Ok(bound)
    }

    /// current_date and the like. Those of the clock are casts of now().
    pub fn special_function(&mut self, name: &str, precision: Option<i32>, position: usize) -> Result<Expr> {
        let clock = match name {
            "current_timestamp" => Some(Type::TIMESTAMPTZ),
            "localtimestamp" => Some(Type::TIMESTAMP),
            "current_date" => Some(Type::DATE),
            "localtime" => Some(Type::TIME),
            "current_time" => Some(Type::TIMETZ),
            _ => None,
        };
        match clock {
            Some(data_type) => {
                let now = self.function_of("now", Vec::new(), position)?;
                let modifier = precision.map_or(-1, |precision| precision.clamp(0, 6));
                self.coerce(now, data_type, modifier, CastContext::Explicit, position)?
                    .ok_or_else(|| cannot_cast(Type::TIMESTAMPTZ, data_type).at(position))
            }
            None => {
                let name = match name {
                    "user" | "current_role" => "current_user",
                    "current_catalog" => "current_database",
                    name => name,
                };
                self.function_of(name, Vec::new(), position)
            }
        }
    }

    /// `nextval` of a sequence given by OID: identity columns.
    pub fn nextval(&mut self, sequence: u32) -> Result<Expr> {
        let sequence = Expr::Constant { value: Datum::Oid(sequence), data_type: Type::REGCLASS };
        self.function_of("serin_next_identity", vec![sequence], 0)
    }
}

/// A column of a built-in function's rows; one of a polymorphic type has that of the elements of the array it is called with.
pub(super) fn set_column(declared: Type, arguments: &[Expr]) -> Type {
    crate::functions::set_column(declared, arguments.iter().map(|a| a.data_type().base().element()))
}

/// A call's types, as messages name it by them.
fn shown_types(types: &[Option<Type>]) -> String {
    let names = types.iter().map(|t| t.map_or("unknown".to_owned(), Type::display));
    names.collect::<Vec<_>>().join(", ")
}
