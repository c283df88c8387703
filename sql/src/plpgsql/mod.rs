//! LANGUAGE plpgsql: functions as lists of statements around SQL.
//!
//! - `parse.rs`: text to `tree.rs`, once per session and signature.
//! - `scope.rs`: names to variables, and these to the parameters of the SQL around them.
//! - `exec.rs`: running a tree. `sql.rs`: its queries and cursors; `raise.rs`: RAISE, handlers' conditions and diagnostics.
//!
//! An expression without subqueries is bound once and evaluated over its variables, without a plan; everything else is a statement
//! with a cached plan (`session/nested.rs`), whose parameters are the variables it mentions. A record's fields are
//! looked up when the expression is bound, and the expression is bound anew when the record has another shape by then.
//!
//! A block with handlers is a savepoint: an error rolls back to it before the handler runs. PostgreSQL's counterpart is
//! `src/pl/plpgsql/src`; texts of messages are its own.

mod conditions;
mod exec;
mod parse;
mod raise;
mod scope;
mod sql;
mod tree;

pub(crate) use exec::{rows, trigger, value};
pub(crate) use parse::table_shape;
pub(crate) use sql::Cursors;
pub(crate) use tree::{Function, Shape};

use crate::catalog::{Catalog, Routine};
use crate::error::{Error, Result};
use crate::types::Type;
use parse::{Parser, Returns, plain};
use tree::{TriggerVariables, VariableKind};

/// TG_ variables with their types.
pub(crate) const TRIGGER_VARIABLES: [(&str, Type); 11] = [
    ("tg_name", Type::NAME),
    ("tg_when", Type::TEXT),
    ("tg_level", Type::TEXT),
    ("tg_op", Type::TEXT),
    ("tg_relid", Type::OID),
    ("tg_relname", Type::NAME),
    ("tg_table_name", Type::NAME),
    ("tg_table_schema", Type::NAME),
    ("tg_nargs", Type::INT4),
    ("tg_argv", Type(1009)),
    ("tg_tag", Type::TEXT),
];

/// What an event is for a running trigger function.
pub(crate) struct TriggerEvent<'a> {
    pub shape: Shape,
    pub new: Option<&'a [crate::types::Datum]>,
    pub old: Option<&'a [crate::types::Datum]>,
    /// By the order of [`TRIGGER_VARIABLES`].
    pub variables: Vec<crate::types::Datum>,
    pub each_row: bool,
}

/// Compiles a routine for these input types.
pub(crate) fn compile(
    routine: &Routine,
    types: &[Type],
    catalog: &Catalog,
    search_path: &[String],
) -> Result<Function> {
    compile_body(routine, types, catalog, search_path).map_err(|(error, line)| {
        error.within(format!("compilation of PL/pgSQL function \"{}\" near line {line}", routine.name))
    })
}

fn compile_body(
    routine: &Routine,
    types: &[Type],
    catalog: &Catalog,
    search_path: &[String],
) -> std::result::Result<Function, (Error, usize)> {
    let outputs = routine.outputs().count();
    let returns = match (routine.returns_set, outputs) {
        (true, 0) => Returns::Set,
        (true, _) => Returns::SetOutputs,
        (false, 0) if routine.result() == Type::VOID || routine.procedure => Returns::Void,
        (false, 0) => Returns::Value,
        (false, _) => Returns::Outputs,
    };
    let mut parser = Parser::new(&routine.body, catalog, search_path, returns);
    parser.open_scope(Some(routine.name.clone()));
    let mut function_inputs = Vec::new();
    let mut function_outputs = Vec::new();
    let mut given = types.iter();
    let element = types.iter().zip(routine.inputs()).find_map(|(t, input)| match input.data_type() {
        Type::ANYELEMENT | Type::ANYNONARRAY | Type::ANYCOMPATIBLE => Some(*t),
        Type::ANYARRAY | Type::ANYCOMPATIBLEARRAY => t.element(),
        Type::ANYRANGE | Type::ANYMULTIRANGE => t.range_element(),
        Type::ANYCOMPATIBLERANGE | Type::ANYCOMPATIBLEMULTIRANGE => t.range_element(),
        _ => None,
    });
    let range = types.iter().find_map(|t| match t.is_range() {
        true => Some(*t),
        false => t.range_of_multirange(),
    });
    for (at, argument) in routine.arguments.iter().enumerate() {
        let declared = argument.data_type();
        let data_type = match argument.is_input() && !routine.is_trigger() {
            true => given.next().copied().unwrap_or(declared),
            false => match (declared, element) {
                (Type::ANYELEMENT | Type::ANYNONARRAY | Type::ANYCOMPATIBLE, Some(element)) => element,
                (Type::ANYARRAY | Type::ANYCOMPATIBLEARRAY, Some(element)) => {
                    element.array_of().unwrap_or(declared)
                }
                (Type::ANYRANGE | Type::ANYCOMPATIBLERANGE, _) => range.unwrap_or(declared),
                (Type::ANYMULTIRANGE | Type::ANYCOMPATIBLEMULTIRANGE, _) => {
                    range.and_then(Type::multirange_of_range).unwrap_or(declared)
                }
                _ => declared,
            },
        };
        let kind = match data_type {
            Type::RECORD => VariableKind::Record { shape: None },
            data_type if data_type.is_row() => record_of(data_type),
            data_type => VariableKind::Scalar { data_type, modifier: -1 },
        };
        let number = format!("${}", at + 1);
        let id = match &argument.name {
            Some(name) => parser.declare(plain(name, kind, 0)),
            None => parser.declare(plain(&number, kind, 0)),
        };
        parser.bind_name(number, id);
        if argument.is_input() {
            function_inputs.push(id);
        }
        if argument.is_output() {
            function_outputs.push(id);
        }
    }
    let scalar = |data_type| VariableKind::Scalar { data_type, modifier: -1 };
    let found = parser.declare(plain("found", scalar(Type::BOOL), 0));
    let trigger = routine.is_trigger().then(|| {
        let record = || VariableKind::Record { shape: None };
        TriggerVariables {
            new: parser.declare(plain("new", record(), 0)),
            old: parser.declare(plain("old", record(), 0)),
            others: TRIGGER_VARIABLES
                .iter()
                .map(|(name, data_type)| parser.declare(plain(name, scalar(*data_type), 0)))
                .collect(),
        }
    });
    let body = match parser.body() {
        Ok(body) => body,
        Err(error) => return Err((error, parser.line())),
    };
    Ok(Function {
        signature: match routine.oid {
            0 => routine.name.clone(),
            _ => routine.context_signature(),
        },
        conflict: parser.conflict,
        variables: parser.variables,
        body,
        inputs: function_inputs,
        outputs: function_outputs,
        found,
        trigger,
    })
}

/// A variable with the columns of a composite type.
fn record_of(data_type: Type) -> VariableKind {
    let shape = data_type.row_template().map(|template| {
        let names = template.names.as_deref().unwrap_or_default().iter().cloned();
        names.zip(template.iter().map(|(data_type, _)| *data_type)).collect()
    });
    VariableKind::Record { shape }
}
