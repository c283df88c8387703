//! Function calls: plain ones, aggregates, set-returning ones, and the words that are functions without parentheses.

use super::Binder;
use super::coerce::cannot_cast;
use crate::error::{Error, Result, SqlState};
use crate::expr::{ColumnSet, Expr};
use crate::functions::{Body, CastContext, Resolved, resolve_function};
use crate::parse::ast;
use crate::plan::logical::{AggregateCall, SortKey};
use crate::types::{Datum, Type};

impl Binder<'_> {
    pub fn call(&mut self, call: &ast::FunctionCall) -> Result<Expr> {
        let name = self.function_name(&call.name)?;
        if call.over.is_some() {
            return Err(Error::unsupported("a window function").at(call.position));
        }
        if !call.within_group.is_empty() {
            return Err(Error::unsupported("WITHIN GROUP").at(call.position));
        }
        if call.arguments.iter().any(|argument| argument.name.is_some()) {
            return Err(Error::unsupported("a named argument").at(call.position));
        }
        // Arguments of an aggregate may not hold another: noticed by comparing what the scope has before and after.
        let before = self.scopes.last().map_or(0, |scope| scope.aggregates.len());
        let sets_before = self.scopes.last().map_or(0, |scope| scope.sets.len());
        let arguments =
            call.arguments.iter().map(|argument| self.expr(&argument.value)).collect::<Result<Vec<_>>>()?;
        let types: Vec<Option<Type>> = arguments.iter().map(Self::open_type).collect();
        let resolved =
            resolve_function(&name, &types, call.variadic).map_err(|error| error.at(call.position))?;
        // Known now, and not to the function: values don't carry their type.
        if let ("pg_typeof", [argument]) = (resolved.function.name, types.as_slice()) {
            let oid = argument.unwrap_or(Type::UNKNOWN).0;
            return Ok(Expr::Constant { value: Datum::Oid(oid), data_type: Type::REGTYPE });
        }
        let is_aggregate = matches!(resolved.function.body, Body::Aggregate(_));
        if !is_aggregate {
            let what = match () {
                () if call.star => Some("(*) specified"),
                () if call.distinct => Some("DISTINCT specified"),
                () if call.filter.is_some() => Some("FILTER specified"),
                () if !call.order_by.is_empty() => Some("ORDER BY specified"),
                () => None,
            };
            if let Some(what) = what {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("{what}, but {name} is not an aggregate function"),
                )
                .at(call.position));
            }
        }
        let arguments = self.call_arguments(arguments, &resolved, call.variadic, call.position)?;
        match &resolved.function.body {
            Body::Scalar { .. } => Ok(self.flatten_variadic(arguments, resolved)),
            Body::Set { .. } => self.set_call(call, arguments, resolved, sets_before),
            Body::Aggregate(_) => self.aggregate_call(call, arguments, resolved, before),
        }
    }

    /// The name within pg_catalog, which holds every function there is.
    fn function_name(&self, name: &ast::ObjectName) -> Result<String> {
        let (last, schemas) =
            name.parts.split_last().ok_or_else(|| Error::internal("a call without a name"))?;
        match schemas.last().map(String::as_str) {
            None | Some("pg_catalog") | Some("information_schema") => Ok(last.clone()),
            Some(schema) if self.context.catalog.find_schema(schema).is_none() => {
                Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
                    .at(name.position))
            }
            Some(_) => Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {} does not exist", name.parts.join(".")),
            )
            .at(name.position)),
        }
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
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            let expr = self.plain_expr(&item.expr, "aggregate ORDER BY")?;
            let expr = self.resolve_unknown(expr)?;
            order_by.push(SortKey {
                expr,
                descending: item.descending,
                nulls_first: item.nulls_first.unwrap_or(item.descending),
            });
        }
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
        if !self.clause.sets {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("set-returning functions are not allowed in {}", self.clause.name),
            )
            .at(call.position));
        }
        if self.scope().sets.len() > before {
            return Err(
                Error::unsupported("a set-returning function as another's argument").at(call.position)
            );
        }
        let Body::Set { columns, .. } = &resolved.function.body else {
            return Err(Error::internal("a set-returning call of another function"));
        };
        if columns.len() > 1 {
            return Err(Error::unsupported(format!(
                "{} in a target list (it returns several columns)",
                resolved.function.name
            ))
            .at(call.position));
        }
        let id = self.new_column(resolved.function.name, resolved.result, -1, (0, 0), "".into());
        let expr = Expr::Call { function: resolved.function, arguments, result: resolved.result };
        self.scope().sets.push((id, expr));
        Ok(Expr::Column { index: id, data_type: resolved.result })
    }

    /// current_date and the like. Those of the clock are casts of now().
    pub fn special_function(&mut self, name: &str, precision: Option<i32>, position: usize) -> Result<Expr> {
        let clock = match name {
            "current_timestamp" => Some(Type::TIMESTAMPTZ),
            "localtimestamp" => Some(Type::TIMESTAMP),
            "current_date" => Some(Type::DATE),
            "localtime" => Some(Type::TIME),
            "current_time" => {
                return Err(Error::unsupported("current_time (time with time zone)").at(position));
            }
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
        self.function_of("nextval", vec![sequence], 0)
    }
}
