//! EXPLAIN [ANALYZE].

use super::connection::Session;
use super::core::parse_bool;
use super::nested::Nested;
use super::portal::{Portal, Run, Tag};
use super::utility::text_batches;
use crate::column::BATCH_ROWS;
use crate::error::{Error, Result, SqlState};
use crate::exec::{ExecContext, Execution};
use crate::parse::ast::Explain;
use crate::plan::{ExplainOptions, Plan, explain};
use crate::types::Datum;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Session {
    pub(super) fn explain_statement(&mut self, statement: &Explain, portal: &mut Portal) -> Result<()> {
        let options = parse_options(&statement.options)?;
        if portal.prepared.planned().is_none() {
            return Err(Error::unsupported("EXPLAIN of this statement"));
        }
        let started = Instant::now();
        let plan = self.ready_plan(&portal.prepared)?;
        self.core.check_permissions(&plan)?;
        let planning = started.elapsed();
        let mut lines;
        if options.analyze {
            let fields = portal.result.fields.clone();
            self.run_plan(portal, plan.clone())?;
            portal.set_fields(fields.as_deref())?;
            let started = Instant::now();
            let mut execution = Execution::instrumented(plan.clone());
            let parameters = std::mem::take(&mut portal.parameters);
            self.with_exec(|context| {
                let context = ExecContext { parameters: &parameters, eval: eval_of(context), ..*context };
                while execution.next(&context)?.is_some() {}
                Ok(())
            })?;
            lines = explain(&plan, Some(&execution), &options);
            add_summary(&mut lines, &options, planning, started.elapsed());
        } else {
            lines = explain(&plan, None, &options);
        }
        let batches = text_batches(lines.iter().map(|line| vec![Some(line.as_str())]), 1);
        portal.run = Run::Rows { batches, tag: Tag::Fixed("EXPLAIN") };
        Ok(())
    }
}

fn add_summary(lines: &mut Vec<String>, options: &ExplainOptions, planning: Duration, execution: Duration) {
    if options.summary {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        lines.push(format!("Planning Time: {:.3} ms", millis(planning)));
        lines.push(format!("Execution Time: {:.3} ms", millis(execution)));
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
    if !options.analyze {
        return Ok(explain(&nested.ready(get)?.0, None, &options));
    }
    let mut running = nested.start_with(get, values, Execution::instrumented)?;
    let planning = started.elapsed();
    let started = Instant::now();
    while running.next(nested, BATCH_ROWS)?.is_some() {}
    let mut lines = explain(running.plan(), Some(running.execution()), &options);
    add_summary(&mut lines, &options, planning, started.elapsed());
    Ok(lines)
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
            "timing" => parsed.timing = on()?,
            "summary" => summary = Some(on()?),
            "buffers" | "wal" | "settings" => {
                on()?;
            }
            "format" if value.as_deref().is_some_and(|format| format.eq_ignore_ascii_case("text")) => {}
            "format" => return Err(Error::unsupported("EXPLAIN with a FORMAT other than TEXT")),
            _ => {
                let message = format!("unrecognized EXPLAIN option \"{name}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        }
    }
    parsed.summary = summary.unwrap_or(parsed.analyze);
    Ok(parsed)
}
