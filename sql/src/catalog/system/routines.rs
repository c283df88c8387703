//! pg_proc's rows of users' routines, pg_trigger, and both as SQL text.

use super::relations::{Rows, array, boolean, letter, oid, optional, text, text_array, vector};
use crate::catalog::routine::{Argument, Mode, Routine, Trigger};
use crate::catalog::{Catalog, Table};
use crate::error::Result;
use crate::expr::Expr;
use crate::functions::{EvalContext, Volatility};
use crate::parse::routine_ast::TriggerTiming;
use crate::parse::{quote_identifier, quote_literal};
use crate::plan::deparse::{Names, deparse};
use crate::types::{Datum, Oid, Type};

fn mode_letter(mode: Mode) -> char {
    match mode {
        Mode::In => 'i',
        Mode::Out => 'o',
        Mode::InOut => 'b',
        Mode::Variadic => 'v',
        Mode::Table => 't',
    }
}

/// Adds users' routines to pg_proc.
pub fn push_routines(rows: &mut Rows, context: &EvalContext<'_>) {
    let catalog = context.services.catalog();
    for routine in catalog.routines() {
        let types: Vec<Datum> = routine.inputs().map(|input| oid(input.data_type)).collect();
        let count = types.len() as i16;
        let variadic = routine.arguments.iter().find(|a| a.mode == Mode::Variadic);
        let variadic = variadic.and_then(|a| a.data_type().element()).map_or(0, |element| element.0);
        let outputs = routine.arguments.iter().any(|a| a.is_output() || a.mode == Mode::Variadic);
        let named = routine.arguments.iter().any(|a| a.name.is_some());
        let defaults: Vec<&str> = routine.inputs().filter_map(|input| input.default.as_deref()).collect();
        let when = |holds: bool, value: Datum| if holds { value } else { Datum::Null };
        let set = routine.returns_set;
        rows.push([
            ("oid", oid(routine.oid)),
            ("proname", text(&routine.name)),
            ("proacl", super::objects::list(routine.acl.as_ref(), &catalog)),
            ("pronamespace", oid(routine.schema)),
            ("proowner", oid(routine.owner)),
            ("prolang", oid(routine.language.oid())),
            ("procost", Datum::Float4(routine.cost.unwrap_or(100.0) as f32)),
            ("prorows", Datum::Float4(if set { routine.rows.unwrap_or(1000.0) as f32 } else { 0.0 })),
            ("provariadic", oid(variadic)),
            ("prokind", letter(if routine.procedure { 'p' } else { 'f' })),
            ("prosecdef", boolean(routine.security_definer)),
            ("proleakproof", boolean(routine.leakproof)),
            ("proisstrict", boolean(routine.strict)),
            ("proretset", boolean(set)),
            (
                "provolatile",
                letter(match routine.volatility {
                    Volatility::Immutable => 'i',
                    Volatility::Stable => 's',
                    Volatility::Volatile => 'v',
                }),
            ),
            ("proparallel", letter(routine.parallel.unwrap_or('u'))),
            ("pronargs", Datum::Int2(count)),
            ("pronargdefaults", Datum::Int2(defaults.len() as i16)),
            ("prorettype", oid(routine.result)),
            ("proargtypes", vector(Type::OIDVECTOR, types)),
            (
                "proallargtypes",
                when(outputs, array(Type::OID, routine.arguments.iter().map(|a| oid(a.data_type)).collect())),
            ),
            (
                "proargmodes",
                when(
                    outputs,
                    array(
                        Type::CHAR,
                        routine.arguments.iter().map(|a| letter(mode_letter(a.mode))).collect(),
                    ),
                ),
            ),
            (
                "proargnames",
                when(named, text_array(routine.arguments.iter().map(|a| a.name.clone().unwrap_or_default()))),
            ),
            ("proargdefaults", when(!defaults.is_empty(), text(defaults.join(", ")))),
            ("prosrc", text(if routine.sql_body { "" } else { &routine.body })),
            ("prosqlbody", optional(routine.sql_body.then_some(&routine.body))),
            (
                "proconfig",
                when(
                    !routine.settings.is_empty(),
                    text_array(routine.settings.iter().map(|(name, value)| format!("{name}={value}"))),
                ),
            ),
        ]);
    }
}

/// pg_trigger.tgtype.
fn trigger_type(trigger: &Trigger) -> i16 {
    let bit = |set: bool, bit: i16| if set { bit } else { 0 };
    bit(trigger.each_row, 1)
        | bit(trigger.timing == TriggerTiming::Before, 2)
        | bit(trigger.insert, 4)
        | bit(trigger.delete, 8)
        | bit(trigger.update, 16)
        | bit(trigger.truncate, 32)
        | bit(trigger.timing == TriggerTiming::InsteadOf, 64)
}

pub fn pg_trigger(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_trigger");
    for table in context.services.catalog().tables() {
        for trigger in &table.triggers {
            let columns = trigger.columns.iter().map(|at| Datum::Int2(table.columns[*at].number)).collect();
            let arguments: Vec<u8> =
                trigger.arguments.iter().flat_map(|argument| argument.bytes().chain([0])).collect();
            rows.push([
                ("oid", oid(trigger.oid)),
                ("tgrelid", oid(table.oid)),
                ("tgparentid", oid(trigger.parent)),
                ("tgname", text(&trigger.name)),
                ("tgfoid", oid(trigger.function)),
                ("tgtype", Datum::Int2(trigger_type(trigger))),
                ("tgenabled", letter(trigger.enabled)),
                ("tgconstraint", oid(if trigger.constraint { trigger.oid } else { 0 })),
                ("tgdeferrable", boolean(trigger.deferrable)),
                ("tginitdeferred", boolean(trigger.initially_deferred)),
                ("tgnargs", Datum::Int2(trigger.arguments.len() as i16)),
                ("tgattr", vector(Type::INT2VECTOR, columns)),
                ("tgargs", Datum::Bytea(arguments.into())),
                ("tgqual", optional(trigger.when.as_ref())),
                ("tgoldtable", optional(trigger.old_table.as_ref())),
                ("tgnewtable", optional(trigger.new_table.as_ref())),
            ]);
        }
    }
    rows.finish()
}

// ---- as text ----

fn argument_text(argument: &Argument, procedure: bool, defaults: bool) -> String {
    let mut out = String::new();
    match argument.mode {
        Mode::Out => out.push_str("OUT "),
        Mode::InOut => out.push_str("INOUT "),
        Mode::Variadic => out.push_str("VARIADIC "),
        Mode::In if procedure => out.push_str("IN "),
        Mode::In | Mode::Table => {}
    }
    if let Some(name) = &argument.name {
        out.push_str(&quote_identifier(name));
        out.push(' ');
    }
    out.push_str(&argument.data_type().display());
    if let (Some(default), true) = (&argument.default, defaults) {
        out.push_str(" DEFAULT ");
        out.push_str(default);
    }
    out
}

/// pg_get_function_arguments; without defaults: pg_get_function_identity_arguments.
pub fn arguments_text(routine: &Routine, defaults: bool) -> String {
    let arguments = routine.arguments.iter().filter(|argument| argument.mode != Mode::Table);
    let shown: Vec<String> =
        arguments.map(|argument| argument_text(argument, routine.procedure, defaults)).collect();
    shown.join(", ")
}

/// pg_get_function_result; None for a procedure.
pub fn result_text(routine: &Routine, catalog: &Catalog) -> Option<String> {
    if routine.procedure {
        return None;
    }
    let columns: Vec<String> = routine
        .arguments
        .iter()
        .filter(|argument| argument.mode == Mode::Table)
        .map(|argument| argument_text(argument, false, false))
        .collect();
    if !columns.is_empty() {
        return Some(format!("TABLE({})", columns.join(", ")));
    }
    let name = match routine.row_of.and_then(|table| catalog.table(table)) {
        Some(table) => quote_identifier(&table.name),
        None => routine.result().display(),
    };
    Some(if routine.returns_set { format!("SETOF {name}") } else { name })
}

/// pg_get_functiondef.
pub fn routine_definition(number: Oid, context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    let routine = catalog.routine(number)?;
    let schema = catalog.schema(routine.schema).map_or("", |schema| schema.name.as_str());
    let mut out = format!(
        "CREATE OR REPLACE {} {}.{}({})\n",
        routine.word().to_uppercase(),
        quote_identifier(schema),
        quote_identifier(&routine.name),
        arguments_text(&routine, true)
    );
    if let Some(result) = result_text(&routine, &catalog) {
        out.push_str(&format!(" RETURNS {result}\n"));
    }
    out.push_str(&format!(" LANGUAGE {}\n", routine.language.name()));
    let mut words: Vec<String> = Vec::new();
    match routine.volatility {
        Volatility::Immutable => words.push("IMMUTABLE".into()),
        Volatility::Stable => words.push("STABLE".into()),
        Volatility::Volatile => {}
    }
    match routine.parallel {
        Some('s') => words.push("PARALLEL SAFE".into()),
        Some('r') => words.push("PARALLEL RESTRICTED".into()),
        _ => {}
    }
    if routine.strict {
        words.push("STRICT".into());
    }
    if routine.security_definer {
        words.push("SECURITY DEFINER".into());
    }
    if routine.leakproof {
        words.push("LEAKPROOF".into());
    }
    if let Some(cost) = routine.cost.filter(|cost| *cost != 100.0) {
        words.push(format!("COST {cost}"));
    }
    if let Some(rows) = routine.rows.filter(|rows| routine.returns_set && *rows != 1000.0) {
        words.push(format!("ROWS {rows}"));
    }
    if !words.is_empty() {
        out.push_str(&format!(" {}\n", words.join(" ")));
    }
    for (name, value) in &routine.settings {
        let value = match name.as_str() {
            // A list is shown item by item.
            "search_path" => list_items(value),
            _ => quote_literal(value),
        };
        out.push_str(&format!(" SET {} TO {value}\n", quote_identifier(name)));
    }
    if routine.sql_body {
        out.push_str(&format!("{}\n", routine.body));
        return Some(out);
    }
    // A tag that the body doesn't hold.
    let word = routine.word();
    let mut tag = format!("${word}");
    while routine.body.contains(tag.as_str()) {
        tag.push('x');
    }
    out.push_str(&format!("AS {tag}${}{tag}$\n", routine.body));
    Some(out)
}

/// pg_get_triggerdef.
pub fn trigger_definition(number: Oid, pretty: bool, context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    let find = |table: &std::sync::Arc<Table>| {
        let at = table.triggers.iter().position(|trigger| trigger.oid == number)?;
        Some((table.clone(), at))
    };
    let (table, at) = catalog.tables().find_map(find)?;
    let trigger = &table.triggers[at];
    let mut events = Vec::new();
    if trigger.insert {
        events.push("INSERT".to_owned());
    }
    if trigger.delete {
        events.push("DELETE".to_owned());
    }
    if trigger.update {
        let names: Vec<String> =
            trigger.columns.iter().map(|at| quote_identifier(&table.columns[*at].name)).collect();
        events.push(match names.is_empty() {
            true => "UPDATE".to_owned(),
            false => format!("UPDATE OF {}", names.join(", ")),
        });
    }
    if trigger.truncate {
        events.push("TRUNCATE".to_owned());
    }
    let schema = catalog.schema(table.schema).map_or("", |schema| schema.name.as_str());
    let visible = super::deparse::is_visible(&catalog, table.oid, &context.services.search_path());
    let on = match pretty && visible {
        true => quote_identifier(&table.name),
        false => format!("{}.{}", quote_identifier(schema), quote_identifier(&table.name)),
    };
    let mut out = format!(
        "CREATE {}TRIGGER {} {} {} ON {on} ",
        if trigger.constraint { "CONSTRAINT " } else { "" },
        quote_identifier(&trigger.name),
        match trigger.timing {
            TriggerTiming::Before => "BEFORE",
            TriggerTiming::After => "AFTER",
            TriggerTiming::InsteadOf => "INSTEAD OF",
        },
        events.join(" OR ")
    );
    if trigger.constraint {
        out.push_str(if trigger.deferrable { "DEFERRABLE " } else { "NOT DEFERRABLE " });
        out.push_str(if trigger.initially_deferred { "INITIALLY DEFERRED " } else { "INITIALLY IMMEDIATE " });
    }
    if trigger.old_table.is_some() || trigger.new_table.is_some() {
        out.push_str("REFERENCING ");
        for (word, name) in [("OLD", &trigger.old_table), ("NEW", &trigger.new_table)] {
            if let Some(name) = name {
                out.push_str(&format!("{word} TABLE AS {} ", quote_identifier(name)));
            }
        }
    }
    out.push_str(if trigger.each_row { "FOR EACH ROW " } else { "FOR EACH STATEMENT " });
    if let Some(when) = &trigger.when {
        out.push_str(&format!("WHEN ({}) ", condition_text(when, &table, trigger, pretty, context)));
    }
    let function = catalog.routine(trigger.function)?;
    let arguments: Vec<String> = trigger.arguments.iter().map(|argument| quote_literal(argument)).collect();
    let path = context.services.search_path();
    let function_schema = catalog.schema(function.schema).map_or("", |schema| schema.name.as_str());
    let name = match path.iter().any(|schema| schema == function_schema) {
        true => quote_identifier(&function.name),
        false => format!("{}.{}", quote_identifier(function_schema), quote_identifier(&function.name)),
    };
    out.push_str(&format!("EXECUTE FUNCTION {name}({})", arguments.join(", ")));
    Some(out)
}

/// A trigger's WHEN as PostgreSQL writes it; as it was written where we can't read it.
fn condition_text(
    text: &str,
    table: &Table,
    trigger: &Trigger,
    pretty: bool,
    context: &EvalContext<'_>,
) -> String {
    let bind = || -> Result<Expr> {
        let catalog = context.services.catalog();
        let search_path = context.services.search_path();
        let plan = crate::plan::PlanContext {
            catalog: &catalog,
            search_path: &search_path,
            eval: context,
            settings: crate::plan::PlannerSettings::for_catalog(),
            variables: None,
        };
        crate::exec::trigger::bind_condition(&crate::parse::parse_expression(text)?, table, trigger, &plan)
    };
    match bind() {
        Ok(mut bound) => {
            // A condition's parameters are the columns of NEW and OLD.
            bound.rewrite(&mut |part| match part {
                Expr::Parameter { index, data_type } => Some(Expr::column(*index, *data_type)),
                _ => None,
            });
            deparse(&bound, &ConditionNames { table, pretty })
        }
        Err(_) => format!("({text})"),
    }
}

struct ConditionNames<'t> {
    table: &'t Table,
    pretty: bool,
}

impl Names for ConditionNames<'_> {
    fn column(&self, index: usize) -> String {
        let width = self.table.columns.len();
        let name = |at: usize| quote_identifier(&self.table.columns[at].name);
        match index {
            at if at < width => format!("new.{}", name(at)),
            at if at < 2 * width => format!("old.{}", name(at - width)),
            at if at == 2 * width => "new.*".to_owned(),
            _ => "old.*".to_owned(),
        }
    }
    fn is_pretty(&self) -> bool {
        self.pretty
    }
}

/// `a, "B c"` as `'a', 'B c'`.
fn list_items(list: &str) -> String {
    let items = crate::settings::split_identifiers(list).unwrap_or_else(|| vec![list.to_owned()]);
    items.iter().map(|item| quote_literal(item)).collect::<Vec<_>>().join(", ")
}
