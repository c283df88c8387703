//! EXPLAIN [ANALYZE].

use super::connection::Session;
use super::core::parse_bool;
use super::nested::Nested;
use super::portal::{Portal, Run, Tag};
use super::utility::text_batches;
use crate::column::BATCH_ROWS;
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution};
use crate::parse::ast::{Explain, StatementKind};
use crate::plan::explain_format::{Format, Frame, write};
use crate::plan::{ExplainOptions, Plan, explain};
use crate::types::{Datum, Type};
use serin_txn::WaitPolicy;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Session {
    pub(super) fn explain_statement(&mut self, statement: &Explain, portal: &mut Portal) -> Result<()> {
        let options = parse_options(&statement.options)?;
        let started = Instant::now();
        if let StatementKind::Execute { name, arguments } = &statement.statement {
            self.enter_prepared(name, arguments, portal)?;
        }
        if portal.prepared.planned().is_none() {
            return Err(Error::unsupported("EXPLAIN of this statement"));
        }
        let plan = self.ready_plan(&portal.prepared)?;
        self.core.check_permissions(&plan)?;
        let planning = started.elapsed();
        let catalog = self.core.catalog();
        let lines = if options.analyze {
            // The client is promised the explanation's column, not the statement's.
            let shape = std::mem::take(&mut portal.result);
            let formats = std::mem::take(&mut portal.result_formats);
            let run = self.run_plan(portal, plan.clone(), WaitPolicy::Block);
            (portal.result, portal.result_formats) = (shape, formats);
            run?;
            let started = Instant::now();
            let mut execution = Execution::instrumented(plan.clone());
            let parameters = std::mem::take(&mut portal.parameters);
            self.with_exec(|context| {
                let context = ExecContext { parameters: &parameters, eval: eval_of(context), ..*context };
                while execution.next(&context)?.is_some() {}
                Ok(())
            })?;
            let taken = started.elapsed();
            write(
                &explain(&plan, Some(&execution), &options, &catalog),
                &frame(&options, planning, Some(taken)),
            )
        } else {
            write(&explain(&plan, None, &options, &catalog), &frame(&options, planning, None))
        };
        let batches = text_batches(lines.iter().map(|line| vec![Some(line.as_str())]), 1);
        portal.run = Run::Rows { batches, tag: Tag::Fixed("EXPLAIN") };
        Ok(())
    }
}

fn frame(options: &ExplainOptions, planning: Duration, execution: Option<Duration>) -> Frame {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    Frame {
        format: options.format,
        costs: options.costs,
        timing: options.timing,
        analyze: options.analyze,
        planning: options.summary.then(|| millis(planning)),
        execution: execution.filter(|_| options.summary).map(millis),
    }
}

/// The type of EXPLAIN's one column.
pub(crate) fn result_type(options: &[(String, Option<String>)]) -> Type {
    match parse_options(options) {
        Ok(ExplainOptions { format: Format::Json, .. }) => Type::JSON,
        _ => Type::TEXT,
    }
}

/// EXPLAIN of a statement that a function runs: its lines.
pub(crate) fn explain_nested<T>(
    options: &[(String, Option<String>)],
    nested: &Nested<'_>,
    get: impl FnMut() -> Result<(Arc<Plan>, T)>,
    values: impl FnOnce(&Plan, T) -> Result<Vec<Datum>>,
) -> Result<Vec<String>> {
    let options = parse_options(options)?;
    let started = Instant::now();
    let catalog = nested.core.catalog();
    if !options.analyze {
        let plan = nested.ready(get)?.0;
        return Ok(write(
            &explain(&plan, None, &options, &catalog),
            &frame(&options, started.elapsed(), None),
        ));
    }
    let mut running = nested.start_with(get, values, Execution::instrumented)?;
    let planning = started.elapsed();
    let started = Instant::now();
    while running.next(nested, BATCH_ROWS)?.is_some() {}
    let shown = explain(running.plan(), Some(running.execution()), &options, &catalog);
    Ok(write(&shown, &frame(&options, planning, Some(started.elapsed()))))
}

fn eval_of<'a>(context: &ExecContext<'a>) -> crate::functions::EvalContext<'a> {
    let eval = &context.eval;
    crate::functions::EvalContext {
        render: eval.render,
        transaction_time: eval.transaction_time,
        statement_time: eval.statement_time,
        services: eval.services,
    }
}

fn parse_options(options: &[(String, Option<String>)]) -> Result<ExplainOptions> {
    let mut parsed = ExplainOptions { costs: true, timing: true, ..ExplainOptions::default() };
    let mut summary = None;
    let (mut timing, mut wal) = (false, false);
    for (name, value) in options {
        let on = || match value {
            None => Ok(true),
            Some(text) => parse_bool(text).ok_or_else(|| {
                Error::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value"))
            }),
        };
        match name.as_str() {
            "analyze" => parsed.analyze = on()?,
            "verbose" => parsed.verbose = on()?,
            "costs" => parsed.costs = on()?,
            "timing" => {
                timing = true;
                parsed.timing = on()?;
            }
            "summary" => summary = Some(on()?),
            // Known, and there is nothing to show for them.
            "buffers" | "settings" => {
                on()?;
            }
            "wal" => wal = on()?,
            "format" => {
                let text = value.as_deref().unwrap_or_default();
                parsed.format = match text.to_ascii_lowercase().as_str() {
                    "text" => Format::Text,
                    "json" => Format::Json,
                    "yaml" => Format::Yaml,
                    "xml" => Format::Xml,
                    _ => {
                        let message = format!("unrecognized value for EXPLAIN option \"format\": \"{text}\"");
                        return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                    }
                };
            }
            _ => {
                let message = format!("unrecognized EXPLAIN option \"{name}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        }
    }
    for (option, given) in [("WAL", wal), ("TIMING", timing && parsed.timing)] {
        if given && !parsed.analyze {
            let message = format!("EXPLAIN option {option} requires ANALYZE");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    }
    parsed.summary = summary.unwrap_or(parsed.analyze);
    Ok(parsed)
}
