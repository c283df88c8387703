//! The SQL of a function's body: queries, dynamic ones, and cursors.

use super::exec::{Frame, Value};
use super::scope::Resolver;
use super::tree::{Direction, Dynamic, Expression, Query, Reference, Shape, Target, VariableId};
use crate::error::{Error, Result, SqlState};
use crate::exec::sql_function::check_rows_budget;
use crate::parse::ast::{Explain, FetchDirection, StatementKind};
use crate::plan::{Plan, VariableConflict, Variables};
use crate::session::explain::explain_nested;
use crate::session::nested::{Nested, Running, Statement};
use crate::types::{ArrayValue, Datum, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// Cursors that functions of this session have opened, by name; they end with the transaction.
#[derive(Default)]
pub(crate) struct Cursors {
    open: HashMap<String, OpenCursor>,
    unnamed: u64,
}

impl Cursors {
    pub fn clear(&mut self) {
        self.open.clear();
    }
    /// The columns of a cursor's rows; None: there is no such cursor.
    pub fn shape(&self, name: &str) -> Option<Shape> {
        self.open.get(name).map(|cursor| cursor.shape.clone())
    }
    pub fn close(&mut self, name: &str) -> bool {
        self.open.remove(name).is_some()
    }
    /// FETCH of a client that was given the cursor's name.
    pub fn fetch(&mut self, name: &str, direction: FetchDirection) -> Option<Vec<Vec<Datum>>> {
        self.open.get_mut(name).map(|cursor| cursor.fetch(direction))
    }
}

/// A cursor with all its rows: it can go both ways, and sees nothing of what comes after its opening.
struct OpenCursor {
    rows: Vec<Vec<Datum>>,
    shape: Shape,
    /// 0: before the first row; n: on row n; one more than there are: after the last.
    position: usize,
}

impl OpenCursor {
    fn fetch(&mut self, direction: FetchDirection) -> Vec<Vec<Datum>> {
        let (total, before) = (self.rows.len(), self.position);
        let one = |position: i64| {
            let at = usize::try_from(position).unwrap_or(0).min(total + 1);
            (at, if at >= 1 && at <= total { at..at + 1 } else { 0..0 })
        };
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let (position, rows) = match direction {
            FetchDirection::Forward(0) | FetchDirection::Backward(0) => one(before as i64),
            FetchDirection::Forward(wanted) => {
                let last = before.saturating_add(count(wanted));
                (last.min(total + 1), (before + 1).min(total + 1)..last.min(total) + 1)
            }
            FetchDirection::ForwardAll => (total + 1, (before + 1).min(total + 1)..total + 1),
            FetchDirection::Backward(wanted) => {
                let first = before.saturating_sub(count(wanted));
                (first, first.max(1)..before.max(1))
            }
            FetchDirection::BackwardAll => (0, 1..before.max(1)),
            FetchDirection::Absolute(at) if at < 0 => one((total as i64 + 1).saturating_add(at)),
            FetchDirection::Absolute(at) => one(at),
            FetchDirection::Relative(by) => one((before as i64).saturating_add(by)),
        };
        self.position = position;
        let backward = matches!(direction, FetchDirection::Backward(_) | FetchDirection::BackwardAll);
        let rows = rows.map(|row| self.rows[row - 1].clone());
        if backward { rows.rev().collect() } else { rows.collect() }
    }
}

/// A dynamic statement knows no variables.
struct Nothing;

impl Variables for Nothing {
    fn resolve(&self, _: &[String]) -> Result<Option<(usize, Type)>> {
        Ok(None)
    }
    fn numbered(&self, _: u32) -> Option<(usize, Type)> {
        None
    }
    fn expand(&self, _: &[String]) -> Result<Option<Vec<(String, usize, Type)>>> {
        Ok(None)
    }
    fn conflict(&self) -> VariableConflict {
        VariableConflict::Column
    }
}

/// The parameters of EXECUTE … USING.
struct Using<'a>(&'a [Type]);

impl Variables for Using<'_> {
    fn resolve(&self, parts: &[String]) -> Result<Option<(usize, Type)>> {
        Nothing.resolve(parts)
    }
    fn numbered(&self, number: u32) -> Option<(usize, Type)> {
        let at = (number as usize).checked_sub(1)?;
        self.0.get(at).map(|data_type| (at, *data_type))
    }
    fn expand(&self, parts: &[String]) -> Result<Option<Vec<(String, usize, Type)>>> {
        Nothing.expand(parts)
    }
    fn conflict(&self) -> VariableConflict {
        VariableConflict::Column
    }
}

pub fn shape_of(plan: &Plan) -> Shape {
    plan.fields.iter().flatten().map(|field| (field.name.clone(), field.data_type)).collect()
}

/// A running query, and its text for CONTEXT lines.
pub struct Source {
    pub running: Running,
    pub shape: Shape,
    text: Arc<str>,
}

impl Source {
    pub fn next(&mut self, nested: &Nested<'_>, max: usize) -> Result<Option<crate::column::Batch>> {
        self.running.next(nested, max).map_err(|error| statement_context(error, &self.text))
    }
}

/// Whether EXECUTE can read rows of it.
fn yields_rows(kind: &StatementKind) -> bool {
    Statement::<()>::is_planned(kind) || matches!(kind, StatementKind::Explain(_))
}

pub fn statement_context(error: Error, text: &str) -> Error {
    error.within(format!("SQL statement \"{text}\""))
}

impl Frame<'_> {
    /// Whether an expression's references mean what they meant when it was bound.
    pub fn holds(&self, references: &[Reference]) -> bool {
        references.iter().all(|reference| match (&self.values[reference.variable], &reference.shape) {
            (Value::Record { shape: Some(now), .. }, Some(then)) => Arc::ptr_eq(now, then) || now == then,
            (Value::Record { shape, .. }, None) => shape.is_none(),
            (Value::Scalar(_), _) => true,
            _ => false,
        })
    }

    pub fn parameters(&self, references: &[Reference]) -> Vec<Datum> {
        references.iter().map(|reference| self.values[reference.variable].get(reference.field)).collect()
    }

    /// Plans and starts a statement of the body.
    pub fn start(&self, statement: &Statement<Reference>, scope: &super::scope::Scope) -> Result<Source> {
        let get = || {
            let resolver = Resolver::new(self.function, scope, &self.values);
            let plan = statement.plan(
                &self.nested,
                &[],
                &resolver,
                |resolver| resolver.references.take(),
                |references| self.holds(references),
            )?;
            Ok(plan)
        };
        let started = self.nested.start(get, |_, references| Ok(self.parameters(&references)));
        let running = started.map_err(|error| statement_context(error, &statement.text))?;
        let shape = shape_of(running.plan());
        Ok(Source { running, shape, text: statement.text.clone() })
    }

    pub fn start_query(&self, query: &Query) -> Result<Source> {
        self.start(&query.statement, &query.scope)
    }

    /// EXECUTE's text and parameters.
    pub fn dynamic_text(
        &mut self,
        text: &Expression,
        using: &[Expression],
    ) -> Result<(String, Vec<Datum>, Vec<Type>)> {
        let sql = self.text(text)?.ok_or_else(|| {
            Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "query string argument of EXECUTE is null")
        })?;
        let (mut values, mut types) = (Vec::new(), Vec::new());
        for expression in using {
            let (value, data_type) = self.evaluate(expression)?;
            values.push(value);
            types.push(data_type);
        }
        Ok((sql, values, types))
    }

    pub fn start_dynamic(
        &self,
        kind: StatementKind,
        sql: &str,
        values: Vec<Datum>,
        types: &[Type],
    ) -> Result<Source> {
        if let StatementKind::Explain(explain) = kind {
            return self.start_explain(*explain, sql, values, types);
        }
        let statement: Statement<()> = Statement::new(kind, sql);
        let get = || statement.plan(&self.nested, &[], &Using(types), |_| Vec::new(), |_| true);
        let width = |plan: &Plan, _| {
            let mut values = values;
            values.truncate(plan.parameter_types.len());
            Ok(values)
        };
        let running = self.nested.start(get, width).map_err(|error| statement_context(error, sql))?;
        let shape = shape_of(running.plan());
        Ok(Source { running, shape, text: sql.into() })
    }

    /// EXPLAIN's lines as the rows of a query.
    fn start_explain(
        &self,
        explain: Explain,
        sql: &str,
        values: Vec<Datum>,
        types: &[Type],
    ) -> Result<Source> {
        if !Statement::<()>::is_planned(&explain.statement) {
            return Err(Error::unsupported("EXPLAIN of this statement"));
        }
        let statement: Statement<()> = Statement::new(explain.statement, sql);
        let get = || statement.plan(&self.nested, &[], &Using(types), |_| Vec::new(), |_| true);
        let lines = explain_nested(&explain.options, &self.nested, get, |_, _| Ok(values))
            .map_err(|error| statement_context(error, sql))?;
        let lines: Vec<Datum> = lines.into_iter().map(Datum::text).collect();
        let dimensions = vec![(lines.len() as i32, 1)];
        let lines = Datum::array(ArrayValue { element: Type::TEXT, dimensions, elements: lines });
        let query = crate::parse::parse("SELECT unnest($1) AS \"QUERY PLAN\"")?;
        let query = query.into_iter().next().ok_or_else(|| Error::internal("a query of one statement"))?;
        self.start_dynamic(query.kind, sql, vec![lines], &[Type::TEXT.array_of().unwrap_or(Type::TEXT)])
    }

    /// A query of a loop, of RETURN QUERY, of a cursor.
    pub fn open_source(&mut self, query: &Dynamic) -> Result<Source> {
        let source = match query {
            Dynamic::Static(query) => {
                if !Statement::<()>::is_planned(&query.statement.kind) {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "cannot open this statement as cursor"));
                }
                self.start_query(query)?
            }
            Dynamic::Execute(text, using) => {
                let (sql, values, types) = self.dynamic_text(text, using)?;
                let mut parsed = crate::parse::parse(&sql).map_err(|error| statement_context(error, &sql))?;
                let statement = parsed.pop().filter(|_| parsed.is_empty()).ok_or_else(|| {
                    let message = "cannot open multi-query plan as cursor";
                    Error::new(SqlState::INVALID_CURSOR_DEFINITION, message)
                })?;
                if !yields_rows(&statement.kind) {
                    let message = "cannot open this statement as cursor";
                    return Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, message));
                }
                self.start_dynamic(statement.kind, &sql, values, &types)?
            }
        };
        if source.running.plan().fields.is_none() {
            let message = "query does not return tuples";
            return Err(Error::new(SqlState::INVALID_CURSOR_DEFINITION, message));
        }
        Ok(source)
    }

    /// Runs a statement to its end; its first row goes to INTO.
    pub fn run_source(&mut self, mut source: Source, into: Option<(&Target, bool)>) -> Result<()> {
        let yields = source.running.plan().fields.is_some();
        let writes = source.running.plan().writes;
        if into.is_some() && !yields {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INTO used with a command that cannot return data",
            ));
        }
        if into.is_none() && yields && !writes {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "query has no destination for result data")
                .hint("If you want to discard the results of a SELECT, use PERFORM instead."));
        }
        let strict = into.is_some_and(|(_, strict)| strict);
        // One more than needed shows whether there are too many.
        let wanted = match (into.is_some() && !writes, strict) {
            (true, true) => 2,
            (true, false) => 1,
            _ => usize::MAX,
        };
        let (mut first, mut count) = (None, 0u64);
        while count < wanted as u64
            && let Some(batch) = source.next(&self.nested, wanted)?
        {
            if first.is_none() && batch.rows > 0 {
                first = Some(batch.row(0));
            }
            count += batch.rows as u64;
        }
        if writes && !yields {
            count = source.running.rows_affected();
        }
        if let Some((target, strict)) = into {
            if strict && count == 0 {
                return Err(Error::new(SqlState::NO_DATA_FOUND, "query returned no rows"));
            }
            if count > 1 && (strict || writes) {
                return Err(Error::new(SqlState::TOO_MANY_ROWS, "query returned more than one row")
                    .hint("Make sure the query returns a single row, or use LIMIT 1."));
            }
            count = count.min(1);
            let shape = source.shape.clone();
            self.assign_row(target, first.as_deref(), &shape)?;
        }
        self.row_count = i64::try_from(count).unwrap_or(i64::MAX);
        self.set_found(count > 0);
        Ok(())
    }

    pub fn execute(
        &mut self,
        text: &Expression,
        using: &[Expression],
        into: Option<(&Target, bool)>,
    ) -> Result<()> {
        let (sql, values, types) = self.dynamic_text(text, using)?;
        let parsed = crate::parse::parse(&sql).map_err(|error| statement_context(error, &sql))?;
        let last = parsed.len().saturating_sub(1);
        for (at, statement) in parsed.into_iter().enumerate() {
            let own = sql.get(statement.span.clone()).unwrap_or(&sql).to_owned();
            if !yields_rows(&statement.kind) {
                if at == last && into.is_some() {
                    let message = "INTO used with a command that cannot return data";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                self.nested.utility(&statement.kind).map_err(|error| statement_context(error, &own))?;
                self.row_count = 0;
                continue;
            }
            let mut source = self.start_dynamic(statement.kind, &own, values.clone(), &types)?;
            match into {
                Some(into) if at == last => self.run_source_quietly(source, Some(into))?,
                _ => {
                    let mut count = 0;
                    while let Some(batch) = source.next(&self.nested, usize::MAX)? {
                        count += batch.rows as u64;
                    }
                    let writes = source.running.plan().writes && source.running.plan().fields.is_none();
                    let count = if writes { source.running.rows_affected() } else { count };
                    self.row_count = i64::try_from(count).unwrap_or(i64::MAX);
                }
            }
        }
        Ok(())
    }

    /// EXECUTE leaves FOUND alone.
    fn run_source_quietly(&mut self, source: Source, into: Option<(&Target, bool)>) -> Result<()> {
        let found = self.values[self.function.found].get(None);
        let result = self.run_source(source, into);
        self.values[self.function.found] = Value::Scalar(found);
        result
    }

    // ---- cursors ----

    fn with_cursors<T>(&self, work: impl FnOnce(&mut Cursors) -> T) -> T {
        work(&mut self.nested.core.cursors.borrow_mut())
    }

    pub fn open_cursor(
        &mut self,
        cursor: VariableId,
        arguments: &[Expression],
        query: Option<&Dynamic>,
    ) -> Result<()> {
        let given = match self.values[cursor].get(None) {
            Datum::Text(name) => Some(name.to_string()),
            _ => None,
        };
        if let Some(name) = &given
            && self.with_cursors(|cursors| cursors.open.contains_key(name))
        {
            let message = format!("cursor \"{name}\" already in use");
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, message));
        }
        let mut source = match query {
            Some(query) => self.open_source(query)?,
            None => self.bound_source(cursor, arguments)?,
        };
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(batch) = source.next(&self.nested, usize::MAX)? {
            for at in 0..batch.rows {
                let row = batch.row(at);
                check_rows_budget(&mut bytes, &row, &self.nested)?;
                rows.push(row);
            }
        }
        let opened = OpenCursor { rows, shape: source.shape.clone(), position: 0 };
        let name = self.with_cursors(|cursors| {
            let name = given.unwrap_or_else(|| {
                cursors.unnamed += 1;
                format!("<unnamed portal {}>", cursors.unnamed)
            });
            cursors.open.insert(name.clone(), opened);
            name
        });
        self.values[cursor] = Value::Scalar(Datum::text(name));
        Ok(())
    }

    fn bound_source(&mut self, cursor: VariableId, arguments: &[Expression]) -> Result<Source> {
        let bound = self.function.variables[cursor].cursor.clone();
        let bound = bound.ok_or_else(|| Error::internal("OPEN of an unbound cursor without a query"))?;
        for ((_, id), argument) in bound.arguments.iter().zip(arguments) {
            let (value, data_type) = self.evaluate(argument)?;
            self.assign_variable(*id, value, data_type)?;
        }
        self.start_query(&bound.query)
    }

    fn cursor_name(&self, cursor: VariableId) -> Result<String> {
        match self.values[cursor].get(None) {
            Datum::Text(name) => Ok(name.to_string()),
            _ => {
                let message = format!("cursor variable \"{}\" is null", self.function.variables[cursor].name);
                Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message))
            }
        }
    }

    pub fn fetch(
        &mut self,
        cursor: VariableId,
        direction: &Direction,
        target: Option<&Target>,
    ) -> Result<()> {
        let name = self.cursor_name(cursor)?;
        let count = |frame: &mut Self, expression: &Expression| -> Result<i64> {
            let (value, _) = frame.evaluate(expression)?;
            value.as_integer().ok_or_else(|| {
                Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "relative or absolute cursor position is null")
            })
        };
        enum To {
            By(i64),
            At(i64),
        }
        let to = match direction {
            Direction::Forward(None) => To::By(1),
            Direction::Forward(Some(by)) => To::By(count(self, by)?),
            Direction::Backward => To::By(-1),
            Direction::First => To::At(1),
            Direction::Last => To::At(-1),
            Direction::Absolute(at) => To::At(count(self, at)?),
            Direction::Relative(by) => To::By(count(self, by)?),
            Direction::All => To::By(i64::MAX),
        };
        let moved = self.with_cursors(|cursors| {
            let open = cursors.open.get_mut(&name)?;
            let total = open.rows.len() as i64;
            let before = open.position as i64;
            let wanted = match to {
                To::By(by) => before.saturating_add(by),
                To::At(at) if at < 0 => total + 1 + at,
                To::At(at) => at,
            };
            let position = wanted.clamp(0, total + 1);
            open.position = position as usize;
            let row = (position >= 1 && position <= total).then(|| open.rows[position as usize - 1].clone());
            let passed = match to {
                To::By(by) if by > 0 => position.min(total) - before.min(total),
                To::By(_) => before - position.max(1).min(before),
                To::At(_) => i64::from(row.is_some()),
            };
            Some((row, open.shape.clone(), passed))
        });
        let (row, shape, passed) = moved.ok_or_else(|| {
            Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
        })?;
        match target {
            Some(target) => {
                self.assign_row(target, row.as_deref(), &shape)?;
                self.row_count = i64::from(row.is_some());
                self.set_found(row.is_some());
            }
            None => {
                self.row_count = passed;
                self.set_found(passed > 0);
            }
        }
        Ok(())
    }

    pub fn close(&mut self, cursor: VariableId) -> Result<()> {
        let name = self.cursor_name(cursor)?;
        match self.with_cursors(|cursors| cursors.close(&name)) {
            true => Ok(()),
            false => {
                let message = format!("cursor \"{name}\" does not exist");
                Err(Error::new(SqlState::INVALID_CURSOR_NAME, message))
            }
        }
    }

    /// A loop over a bound cursor opens and closes it.
    pub fn open_bound(&mut self, cursor: VariableId, arguments: &[Expression]) -> Result<Source> {
        self.bound_source(cursor, arguments)
    }
}
