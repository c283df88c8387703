//! Bodies in LANGUAGE sql: statements run one after the other; the last one's rows are the result.

use super::routine::{converted, record, wrong_row};
use crate::catalog::Routine;
use crate::error::{Error, Result, SqlState};
use crate::expr::RoutineCall;
use crate::plan::{Plan, VariableConflict, Variables};
use crate::session::nested::{Nested, Statement};
use crate::types::{Datum, Type};
use std::sync::Arc;

/// A compiled body.
pub(crate) struct Body {
    name: String,
    statements: Vec<Statement<()>>,
    arguments: Arguments,
}

/// The inputs, by number and name. A column of the same name comes first.
struct Arguments {
    function: String,
    inputs: Vec<(Option<String>, Type)>,
}

impl Variables for Arguments {
    fn resolve(&self, parts: &[String]) -> Result<Option<(usize, Type)>> {
        let name = match parts {
            [name] => name,
            [function, name] if *function == self.function => name,
            _ => return Ok(None),
        };
        let found = self.inputs.iter().position(|(input, _)| input.as_ref() == Some(name));
        Ok(found.map(|at| (at, self.inputs[at].1)))
    }
    fn numbered(&self, number: u32) -> Option<(usize, Type)> {
        let at = (number as usize).checked_sub(1)?;
        self.inputs.get(at).map(|(_, data_type)| (at, *data_type))
    }
    fn expand(&self, _: &[String]) -> Result<Option<Vec<(String, usize, Type)>>> {
        Ok(None)
    }
    fn conflict(&self) -> VariableConflict {
        VariableConflict::Column
    }
}

/// The statements of a body; a standard SQL one is unwrapped.
fn statements(routine: &Routine) -> Result<(String, Vec<crate::parse::ast::Statement>)> {
    let body = routine.body.trim();
    let text = match routine.sql_body {
        false => routine.body.clone(),
        true if body.get(..6).is_some_and(|word| word.eq_ignore_ascii_case("return")) => {
            format!("SELECT {}", &body[6..])
        }
        true => {
            // BEGIN ATOMIC … END
            let lower = body.to_ascii_lowercase();
            let start = lower.find("atomic").map_or(0, |at| at + "atomic".len());
            let end = lower.rfind("end").unwrap_or(body.len()).max(start);
            body[start..end].to_owned()
        }
    };
    let parsed = crate::parse::parse(&text)?;
    Ok((text, parsed))
}

impl Body {
    pub fn compile(routine: &Routine, types: &[Type]) -> Result<Body> {
        let (text, parsed) = statements(routine)?;
        let statements = parsed
            .into_iter()
            .map(|statement| {
                let own = text.get(statement.span.clone()).unwrap_or(&text);
                Statement::new(statement.kind, own)
            })
            .collect();
        let inputs = routine.inputs().map(|input| input.name.clone()).zip(types.iter().copied()).collect();
        let arguments = Arguments { function: routine.name.clone(), inputs };
        Ok(Body { name: routine.name.clone(), statements, arguments })
    }

    fn plan(&self, at: usize, nested: &Nested<'_>) -> Result<(Arc<Plan>, Arc<[()]>)> {
        self.statements[at].plan(nested, &[], &self.arguments, |_| Vec::new(), |_| true)
    }

    /// CREATE FUNCTION's check: every statement can be planned, and the last yields what was declared.
    pub fn check(&self, wanted: Option<&[Type]>, nested: &Nested<'_>) -> Result<()> {
        for (at, statement) in self.statements.iter().enumerate() {
            if !Statement::<()>::is_planned(&statement.kind) {
                if matches!(
                    statement.kind,
                    crate::parse::ast::StatementKind::Begin { .. }
                        | crate::parse::ast::StatementKind::Commit { .. }
                        | crate::parse::ast::StatementKind::Rollback { .. }
                ) {
                    let message = "transaction control is not allowed in an SQL function";
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                // What it creates may be what the next ones use.
                return Ok(());
            }
            let (plan, _) = self.plan(at, nested).map_err(|error| self.located(error, at))?;
            if at + 1 < self.statements.len() {
                continue;
            }
            if let (Some(wanted), Some(fields)) = (wanted, &plan.fields) {
                self.check_result(wanted, fields)?;
            }
        }
        let last_yields = match self.statements.last() {
            None => false,
            Some(_) => self.plan(self.statements.len() - 1, nested)?.0.fields.is_some(),
        };
        match wanted {
            Some([Type::VOID]) | None => Ok(()),
            Some(types) if !last_yields => Err(mismatch(types)
                .detail("Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.")),
            Some(_) => Ok(()),
        }
    }

    fn check_result(&self, wanted: &[Type], fields: &[crate::session::Field]) -> Result<()> {
        if matches!(wanted, [Type::VOID]) {
            return Ok(());
        }
        let record = matches!(fields, [field] if field.data_type == Type::RECORD) && wanted != [Type::RECORD];
        if record {
            return Ok(());
        }
        if let [_] = wanted
            && fields.len() != 1
        {
            return Err(mismatch(wanted).detail("Final statement must return exactly one column."));
        }
        if fields.len() != wanted.len() {
            let message = match fields.len() > wanted.len() {
                true => "Final statement returns too many columns.",
                false => "Final statement returns too few columns.",
            };
            return Err(mismatch(&[Type::RECORD]).detail(message));
        }
        for (at, (field, to)) in fields.iter().zip(wanted).enumerate() {
            let fits = field.data_type == *to
                || to.is_polymorphic()
                || field.data_type == Type::UNKNOWN
                || crate::functions::find_cast(
                    field.data_type,
                    *to,
                    crate::functions::CastContext::Assignment,
                )
                .is_some_and(|method| !matches!(method, crate::functions::CastMethod::InputOutput));
            if !fits {
                return Err(match wanted.len() {
                    1 => mismatch(wanted)
                        .detail(format!("Actual return type is {}.", field.data_type.display())),
                    _ => mismatch(&[Type::RECORD]).detail(format!(
                        "Final statement returns {} instead of {} at column {}.",
                        field.data_type.display(),
                        to.display(),
                        at + 1
                    )),
                });
            }
        }
        Ok(())
    }

    fn located(&self, error: Error, at: usize) -> Error {
        error.within(format!("SQL function \"{}\" statement {}", self.name, at + 1))
    }

    /// Runs the statements; the last one's rows go to `sink` until it answers false.
    fn run(
        &self,
        arguments: &[Datum],
        nested: &Nested<'_>,
        sink: &mut dyn FnMut(&Plan, Vec<Datum>) -> Result<bool>,
    ) -> Result<()> {
        for (at, statement) in self.statements.iter().enumerate() {
            let last = at + 1 == self.statements.len();
            let result = (|| {
                if !Statement::<()>::is_planned(&statement.kind) {
                    return nested.utility(&statement.kind);
                }
                let mut running = nested.start(|| self.plan(at, nested), |_, _| Ok(arguments.to_vec()))?;
                let plan = running.plan().clone();
                let yields = last && plan.fields.is_some();
                while let Some(batch) = running.next(nested, crate::column::BATCH_ROWS)? {
                    for row in 0..batch.rows {
                        if yields && !sink(&plan, batch.row(row))? && !plan.writes {
                            return Ok(());
                        }
                    }
                }
                Ok(())
            })();
            result.map_err(|error| self.located(error, at))?;
        }
        Ok(())
    }

    pub fn value(&self, call: &RoutineCall, arguments: &[Datum], nested: &Nested<'_>) -> Result<Datum> {
        let mut found: Option<Datum> = None;
        let context = nested.context;
        self.run(arguments, nested, &mut |plan, row| {
            if found.is_some() || call.result == Type::VOID {
                return Ok(false);
            }
            found = Some(match call.is_row {
                true => match self.row(call, plan, row, nested)? {
                    Some(row) => {
                        let types: Vec<Type> = match call.columns.is_empty() {
                            true => plan.fields.iter().flatten().map(|field| field.data_type).collect(),
                            false => call.columns.iter().map(|(_, data_type)| *data_type).collect(),
                        };
                        record(&types, row)
                    }
                    None => Datum::Null,
                },
                false => {
                    let from = plan.fields.iter().flatten().next().map_or(Type::TEXT, |f| f.data_type);
                    converted(row.into_iter().next().unwrap_or_default(), from, call.result, context)?
                }
            });
            Ok(false)
        })?;
        Ok(found.unwrap_or_default())
    }

    /// A result row as the declared columns; None: a null record.
    fn row(
        &self,
        call: &RoutineCall,
        plan: &Plan,
        row: Vec<Datum>,
        nested: &Nested<'_>,
    ) -> Result<Option<Vec<Datum>>> {
        let mut from: Vec<Type> = plan.fields.iter().flatten().map(|field| field.data_type).collect();
        let mut row = row;
        // SELECT of one composite value.
        if from == [Type::RECORD] && call.is_row {
            match row.pop() {
                Some(Datum::Record(fields)) => {
                    from = fields.iter().map(|(data_type, _)| *data_type).collect();
                    row = fields.iter().map(|(_, value)| value.clone()).collect();
                }
                _ => return Ok(None),
            }
        }
        if call.columns.is_empty() {
            return Ok(Some(row));
        }
        if row.len() != call.columns.len() {
            return Err(wrong_row(row.len(), call.columns.len()));
        }
        let each = row.into_iter().zip(from).zip(call.columns.iter());
        each.map(|((value, from), (_, to))| converted(value, from, *to, nested.context))
            .collect::<Result<_>>()
            .map(Some)
    }

    pub fn rows(
        &self,
        call: &RoutineCall,
        arguments: &[Datum],
        nested: &Nested<'_>,
    ) -> Result<Vec<Vec<Datum>>> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        self.run(arguments, nested, &mut |plan, row| {
            if call.result == Type::VOID && !call.is_row {
                return Ok(false);
            }
            let row =
                self.row(call, plan, row, nested)?.unwrap_or_else(|| vec![Datum::Null; call.columns.len()]);
            check_rows_budget(&mut bytes, &row, nested)?;
            rows.push(row);
            Ok(true)
        })?;
        Ok(rows)
    }
}

/// A set is kept in memory: within a few times work_mem, but never less than 64 MB.
pub(crate) fn check_rows_budget(bytes: &mut usize, row: &[Datum], nested: &Nested<'_>) -> Result<()> {
    const BYTES_MIN: usize = 64 << 20;
    *bytes += row.iter().map(Datum::bytes).sum::<usize>() + size_of::<Vec<Datum>>();
    if *bytes > BYTES_MIN.max(nested.context.work_mem_bytes.saturating_mul(4)) {
        return Err(Error::new(SqlState::OUT_OF_MEMORY, "out of memory")
            .detail("A function's result set exceeds the memory that work_mem allows for it.")
            .hint("Raise work_mem, or return fewer rows at once."));
    }
    Ok(())
}

fn mismatch(wanted: &[Type]) -> Error {
    let name = match wanted {
        [one] => one.display(),
        _ => "record".to_string(),
    };
    let message = format!("return type mismatch in function declared to return {name}");
    Error::new(SqlState::INVALID_FUNCTION_DEFINITION, message)
}
