//! The same calls evaluated here and by a real PostgreSQL, compared as text (errors by SQLSTATE).
//!
//! Needs a server: set SERIN_DIFFERENTIAL_PG to a libpq connection string (`host=/tmp port=5432 user=postgres`). Without it
//! the test says that it was skipped. No binder is involved: a case names a function or operator and gives its
//! arguments as typed literals; resolution, casts of the arguments, evaluation and output are ours.

use super::{
    Body, CastContext, EvalContext, Services, cast_datum, find_cast, resolve_function, resolve_operator,
};
use crate::error::{Error, Result};
use crate::types::{Datum, Oid, RenderSettings, TimeZone, Type, format_datum, parse_datum};
use std::process::Command;
use std::sync::Arc;

/// `function | type:value | type:value`; a first word in backquotes is an operator, `cast` casts its first argument to its second.
const CASES: &str = include_str!("differential.txt");

struct NoSession;

impl Services for NoSession {
    fn current_user(&self) -> Arc<str> {
        "postgres".into()
    }
    fn session_user(&self) -> Arc<str> {
        "postgres".into()
    }
    fn database(&self) -> Arc<str> {
        "postgres".into()
    }
    fn search_path(&self) -> Arc<[String]> {
        Arc::new([])
    }
    fn backend_pid(&self) -> i32 {
        1
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
    fn set_setting(&self, _: &str, _: Option<&str>, _: bool) -> Result<String> {
        Err(Error::internal("no session"))
    }
    fn catalog(&self) -> Arc<crate::catalog::Catalog> {
        unreachable!("no case needs the catalog")
    }
    fn nextval(&self, _: Oid) -> Result<i64> {
        Err(Error::internal("no session"))
    }
    fn currval(&self, _: Oid) -> Result<i64> {
        Err(Error::internal("no session"))
    }
    fn lastval(&self) -> Result<i64> {
        Err(Error::internal("no session"))
    }
    fn setval(&self, _: Oid, _: i64, _: bool) -> Result<i64> {
        Err(Error::internal("no session"))
    }
    fn transaction_id(&self) -> Result<u64> {
        Err(Error::internal("no session"))
    }
    fn transaction_id_if_assigned(&self) -> Option<u64> {
        None
    }
    fn advisory_lock(&self, _: (u32, u32, u16), _: bool, _: bool, _: bool) -> Result<bool> {
        Err(Error::internal("no session"))
    }
    fn advisory_unlock(&self, _: Option<(u32, u32, u16)>, _: bool) -> Result<bool> {
        Err(Error::internal("no session"))
    }
    fn sleep(&self, _: f64) -> Result<()> {
        Ok(())
    }
    fn signal_backend(&self, _: i32, _: bool) -> Result<bool> {
        Ok(false)
    }
    fn blocking_pids(&self, _: i32) -> Vec<i32> {
        Vec::new()
    }
    fn relation_size(&self, _: Oid) -> Result<Option<i64>> {
        Ok(None)
    }
    fn notice(&self, _: Error) {}
    fn check_interrupt(&self) -> Result<()> {
        Ok(())
    }
}

struct Case<'a> {
    name: &'a str,
    /// Type (None: an untyped literal) and text (None: null).
    arguments: Vec<(Option<Type>, Option<&'a str>)>,
}

fn parse(line: &str) -> Case<'_> {
    let mut parts = line.split(" | ");
    let name = parts.next().expect("a line has a first part").trim();
    let arguments = parts.map(|part| {
        let (data_type, value) = part.split_once(':').unwrap_or((part, ""));
        let value = (value != "NULL").then_some(value);
        (Type::from_name(data_type.trim()), value)
    });
    Case { name, arguments: arguments.collect() }
}

fn sql(case: &Case<'_>) -> String {
    let literal = |(data_type, text): &(Option<Type>, Option<&str>)| {
        let quoted = text.map_or("NULL".to_string(), |text| format!("'{}'", text.replace('\'', "''")));
        data_type.map_or(quoted.clone(), |data_type| format!("({quoted}::{})", data_type.display()))
    };
    let arguments: Vec<String> = case.arguments.iter().map(literal).collect();
    match (
        case.name,
        case.name.strip_prefix('`').and_then(|name| name.strip_suffix('`')),
        arguments.as_slice(),
    ) {
        ("cast", _, [value, _]) => {
            format!("select ({value}::{})::text", case.arguments[1].0.expect("a target type").display())
        }
        (_, Some(operator), [right]) => format!("select ({operator} {right})::text"),
        (_, Some(operator), [left, right]) => format!("select ({left} {operator} {right})::text"),
        _ => format!("select ({}({}))::text", case.name, arguments.join(", ")),
    }
}

fn evaluate(case: &Case<'_>, context: &EvalContext<'_>) -> Result<String> {
    let mut values = Vec::new();
    let count = if case.name == "cast" { 1 } else { case.arguments.len() };
    for (data_type, text) in &case.arguments[..count] {
        values.push(match text {
            None => Datum::Null,
            Some(text) => parse_datum(text, data_type.unwrap_or(Type::UNKNOWN), -1, context.render)?,
        });
    }
    let show = |value: Datum, data_type: Type| -> Result<String> {
        Ok(match cast_datum(value, data_type, Type::TEXT, -1, true, context)? {
            Datum::Null => "\\N".into(),
            text => format_datum(&text, Type::TEXT, context.render),
        })
    };
    if case.name == "cast" {
        let (from, to) =
            (case.arguments[0].0.unwrap_or(Type::UNKNOWN), case.arguments[1].0.unwrap_or(Type::TEXT));
        return show(cast_datum(values.swap_remove(0), from, to, -1, true, context)?, to);
    }
    let types: Vec<Option<Type>> = case.arguments.iter().map(|argument| argument.0).collect();
    let operator = case.name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
    let resolved = match operator {
        Some(operator) => resolve_operator(operator, &types)?,
        None => resolve_function(case.name, &types, false)?,
    };
    for (index, value) in values.iter_mut().enumerate() {
        let (from, to) = (types[index].unwrap_or(Type::UNKNOWN), resolved.arguments[index]);
        if from != to && find_cast(from, to, CastContext::Explicit).is_some() {
            *value = cast_datum(std::mem::take(value), from, to, -1, false, context)?;
        }
    }
    if resolved.function.strict && values.iter().any(Datum::is_null) {
        return Ok("\\N".into());
    }
    match &resolved.function.body {
        Body::Scalar { scalar, .. } => show(scalar(&values, context)?, resolved.result),
        Body::Set { function, .. } => {
            let rows = function(&values, context)?.map(|row| show(row?.swap_remove(0), resolved.result));
            Ok(rows.collect::<Result<Vec<String>>>()?.join("\n"))
        }
        Body::Aggregate(_) | Body::Window(_) | Body::Typed(_) => {
            Err(Error::internal("aggregates are not among the cases"))
        }
    }
}

#[test]
fn functions_agree_with_postgresql() {
    let Ok(connection) = std::env::var("SERIN_DIFFERENTIAL_PG") else {
        println!("skipped: SERIN_DIFFERENTIAL_PG names no PostgreSQL to compare with");
        return;
    };
    let zone = TimeZone::named("America/New_York").expect("the zone database is installed");
    let render = RenderSettings { time_zone: Arc::new(zone), ..RenderSettings::default() };
    let now = super::datetime::clock_timestamp();
    let context =
        EvalContext { render: &render, transaction_time: now, statement_time: now, services: &NoSession };
    let lines: Vec<&str> = CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    // One psql for all: each answer is framed, an error leaves its SQLSTATE.
    let mut script = "\\pset format unaligned\n\\pset tuples_only on\n\\pset null '\\\\N'\n\\set VERBOSITY sqlstate\nset timezone='America/New_York';\n".to_string();
    for line in &lines {
        script += &format!("{};\n\\echo :SQLSTATE\n\\echo ---8<---\n", sql(&parse(line)));
    }
    let path = std::env::temp_dir().join(format!("serin-differential-{}.sql", std::process::id()));
    std::fs::write(&path, script).expect("the temporary directory takes a file");
    let output = Command::new("psql")
        .args(["-X", "-q", "-f"])
        .arg(&path)
        .arg(&connection)
        .output()
        .expect("psql runs");
    std::fs::remove_file(&path).expect("the file was just written");
    let text = String::from_utf8(output.stdout).expect("psql writes UTF-8");
    let answers: Vec<&str> = text.split("---8<---\n").collect();
    assert_eq!(answers.len(), lines.len() + 1, "{}", String::from_utf8_lossy(&output.stderr));
    let mut differences = Vec::new();
    for (line, answer) in lines.iter().zip(answers) {
        let (value, state) = answer.trim_end_matches('\n').rsplit_once('\n').unwrap_or(("", answer.trim()));
        let theirs = if state == "00000" { value.to_string() } else { format!("error {state}") };
        let ours = evaluate(&parse(line), &context)
            .unwrap_or_else(|error| format!("error {}", error.state().as_str()));
        if ours != theirs {
            differences.push(format!("{line}\n    PostgreSQL: {theirs}\n    Serin:      {ours}"));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        lines.len(),
        differences.join("\n")
    );
}
