//! Catalogs that don't vary: types, access methods, operator classes, collations, languages; functions, operators and
//! casts as far as they are implemented.

use super::relations::{Producer, Rows, boolean, letter, oid, text, vector};
use crate::catalog::{Catalog, INFORMATION_SCHEMA, ObjectClass, PG_CATALOG, ROLE_POSTGRES};
use crate::error::Result;
use crate::extension::is_of_extension;
use crate::functions::{self, AggregateKind, Body, EvalContext, Volatility};
use crate::types::{Datum, Oid, RenderSettings, Type, parse_datum};
use hashbrown::HashMap;
use std::sync::OnceLock;

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "pg_type" => pg_type,
        "pg_am" => |_| facts("pg_am", include_str!("facts/pg_am.tsv")),
        "pg_opfamily" => |_| facts("pg_opfamily", include_str!("facts/pg_opfamily.tsv")),
        "pg_opclass" => |_| facts("pg_opclass", include_str!("facts/pg_opclass.tsv")),
        "pg_amop" => |_| facts("pg_amop", include_str!("facts/pg_amop.tsv")),
        "pg_amproc" => |_| facts("pg_amproc", include_str!("facts/pg_amproc.tsv")),
        "pg_collation" => |_| facts("pg_collation", include_str!("facts/pg_collation.tsv")),
        "pg_language" => |_| facts("pg_language", include_str!("facts/pg_language.tsv")),
        "pg_tablespace" => pg_tablespace,
        "pg_proc" => pg_proc,
        "pg_operator" => pg_operator,
        "pg_cast" => pg_cast,
        "pg_aggregate" => pg_aggregate,
        _ => return None,
    })
}

/// Rows from a table of facts whose first line names its columns. An empty field is the column's blank.
fn facts(relation: &'static str, table: &'static str) -> Result<Vec<Vec<Datum>>> {
    let found = super::find(PG_CATALOG, relation).expect("facts are about listed relations");
    let render = RenderSettings::default();
    let mut lines = table.lines();
    let columns: Vec<usize> = lines
        .next()
        .unwrap_or_default()
        .split('\t')
        .filter_map(|name| found.columns.iter().position(|column| column.0 == name))
        .collect();
    let mut rows = Vec::new();
    for line in lines {
        // Of PostgreSQL's types, those that exist here.
        let known =
            |line: &str| line.split('\t').next().and_then(|oid| oid.parse().ok()).and_then(Type::from_oid);
        if relation == "pg_type" && known(line).is_none() {
            continue;
        }
        let mut row = vec![Datum::Null; found.columns.len()];
        for (field, &at) in line.split('\t').zip(&columns) {
            let data_type = found.columns[at].1;
            row[at] = match (field, data_type) {
                ("", Type::NAME | Type::CHAR) => text(""),
                ("", _) => Datum::Null,
                // Functions that aren't implemented have no name to look up: the OID is the fact.
                (_, Type::REGPROC | Type::REGPROCEDURE) => oid(field.parse().unwrap_or(0)),
                _ => parse_datum(field, data_type, -1, &render)?,
            };
        }
        rows.push(row);
    }
    Ok(rows)
}

/// Columns of pg_type.
const PG_TYPE_OID: usize = 0;
const PG_TYPE_NAMESPACE: usize = 2;

/// Built-in types, and users'.
fn pg_type(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut all = facts("pg_type", include_str!("facts/pg_type.tsv"))?;
    let mut rows = Rows::catalog("pg_type");
    let catalog = context.services.catalog();
    // An extension's are where it is.
    all.retain_mut(|row| match &row[PG_TYPE_OID] {
        Datum::Oid(of) if is_of_extension(*of) => match catalog.schema_of_built_in(*of) {
            Some(schema) => {
                row[PG_TYPE_NAMESPACE] = oid(schema);
                true
            }
            None => false,
        },
        _ => true,
    });
    super::user_types::push_types(&mut rows, &catalog);
    all.extend(rows.finish()?);
    Ok(all)
}

/// A built-in type's output and send functions.
pub fn output_functions(data_type: Oid) -> (Oid, Oid) {
    static FUNCTIONS: OnceLock<HashMap<Oid, (Oid, Oid)>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        let mut lines = include_str!("facts/pg_type.tsv").lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let column =
            |name: &str| header.iter().position(|column| *column == name).expect("a column of pg_type");
        let places = ["oid", "typoutput", "typsend"].map(column);
        lines
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let [oid, output, send] = places.map(|at| fields[at].parse().unwrap_or(0));
                (oid, (output, send))
            })
            .collect()
    });
    functions.get(&data_type).copied().unwrap_or((0, 0))
}

/// How values of a type are stored, for pg_attribute.
#[derive(Clone, Copy, Debug)]
pub struct TypeFacts {
    pub length: i16,
    pub by_value: bool,
    pub align: char,
    pub storage: char,
    pub collation: Oid,
}

pub fn type_facts(data_type: Oid) -> TypeFacts {
    static FACTS: OnceLock<HashMap<Oid, TypeFacts>> = OnceLock::new();
    let facts = FACTS.get_or_init(|| {
        let mut lines = include_str!("facts/pg_type.tsv").lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let column =
            |name: &str| header.iter().position(|column| *column == name).expect("a column of pg_type");
        let places = ["oid", "typlen", "typbyval", "typalign", "typstorage", "typcollation"].map(column);
        lines
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                let [oid, length, by_value, align, storage, collation] = places.map(|at| fields[at]);
                let first = |field: &str| field.chars().next().unwrap_or('i');
                let facts = TypeFacts {
                    length: length.parse().unwrap_or(-1),
                    by_value: by_value == "t",
                    align: first(align),
                    storage: first(storage),
                    collation: collation.parse().unwrap_or(0),
                };
                (oid.parse().unwrap_or(0), facts)
            })
            .collect()
    });
    let unknown = TypeFacts { length: -1, by_value: false, align: 'i', storage: 'x', collation: 0 };
    let of_user = || {
        let of = Type(data_type);
        match of {
            _ if of.is_domain() => Some(type_facts(of.base().0)),
            _ if of.is_enum() => {
                Some(TypeFacts { length: 4, by_value: true, align: 'i', storage: 'p', collation: 0 })
            }
            _ => None,
        }
    };
    facts.get(&data_type).copied().or_else(of_user).unwrap_or(unknown)
}

fn pg_tablespace(_: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_tablespace");
    for (number, name) in [(1663, "pg_default"), (1664, "pg_global")] {
        rows.push([("oid", oid(number)), ("spcname", text(name)), ("spcowner", oid(ROLE_POSTGRES))]);
    }
    rows.finish()
}

fn pg_proc(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_proc");
    let catalog = context.services.catalog();
    for function in functions::all() {
        let Some(schema) = catalog.schema_of_built_in(function.oid) else { continue };
        let set = matches!(function.body, Body::Set { .. });
        let types: Vec<Datum> = function.arguments.iter().map(|argument| oid(argument.0)).collect();
        let variadic = match function.arguments.last() {
            Some(last) if function.variadic => last.element().unwrap_or(*last).0,
            _ => 0,
        };
        rows.push([
            ("oid", oid(function.oid)),
            ("proname", text(function.name)),
            (
                "pronamespace",
                oid(if function.name.starts_with("_pg_") { INFORMATION_SCHEMA } else { schema }),
            ),
            ("proowner", oid(ROLE_POSTGRES)),
            ("prolang", oid(12)),
            ("procost", Datum::Float4(1.0)),
            ("prorows", Datum::Float4(if set { 1000.0 } else { 0.0 })),
            ("provariadic", oid(variadic)),
            (
                "prokind",
                letter(match function.body {
                    Body::Aggregate(_) => 'a',
                    Body::Window(_) => 'w',
                    _ => 'f',
                }),
            ),
            ("proisstrict", boolean(function.strict)),
            ("proretset", boolean(set)),
            ("provolatile", volatility_letter(function.volatility)),
            ("proparallel", letter('s')),
            ("pronargs", Datum::Int2(function.arguments.len() as i16)),
            ("prorettype", oid(function.result.0)),
            ("proargtypes", vector(Type::OIDVECTOR, types)),
            ("prosrc", text(function.name)),
            ("proacl", restricted_acl(function, &catalog)),
        ]);
    }
    for function in functions::support_functions() {
        let Some(schema) = catalog.schema_of_built_in(function.oid) else { continue };
        let types = function.arguments.iter().map(|argument| oid(argument.0)).collect();
        rows.push([
            ("oid", oid(function.oid)),
            ("proname", text(function.name)),
            ("pronamespace", oid(schema)),
            ("proowner", oid(ROLE_POSTGRES)),
            ("prolang", oid(12)),
            ("procost", Datum::Float4(1.0)),
            ("prokind", letter('f')),
            ("proisstrict", boolean(function.strict)),
            ("provolatile", volatility_letter(function.volatility)),
            ("proparallel", letter('s')),
            ("pronargs", Datum::Int2(function.arguments.len() as i16)),
            ("prorettype", oid(function.result.0)),
            ("proargtypes", vector(Type::OIDVECTOR, types)),
            ("prosrc", text(function.name)),
        ]);
    }
    super::routines::push_routines(&mut rows, context);
    rows.finish()
}

fn volatility_letter(volatility: Volatility) -> Datum {
    letter(match volatility {
        Volatility::Immutable => 'i',
        Volatility::Stable => 's',
        Volatility::Volatile => 'v',
    })
}

/// Null where everybody may call the function.
fn restricted_acl(function: &functions::Function, catalog: &Catalog) -> Datum {
    let acl = catalog.built_in_acl(ObjectClass::Function, function.oid);
    super::objects::list(Some(acl).filter(|_| function.is_restricted(catalog)), catalog)
}

fn pg_aggregate(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_aggregate");
    let catalog = context.services.catalog();
    for function in functions::all() {
        let Body::Aggregate(aggregate) = &function.body else { continue };
        if catalog.schema_of_built_in(function.oid).is_none() {
            continue;
        }
        let (kind, direct) = match aggregate.kind {
            AggregateKind::Normal => ('n', 0),
            AggregateKind::OrderedSet => ('o', function.arguments.len() as i16 - 1),
            AggregateKind::Hypothetical => ('h', 1),
        };
        rows.push([
            ("aggnumdirectargs", Datum::Int2(direct)),
            ("aggfnoid", oid(function.oid)),
            ("aggkind", letter(kind)),
            ("aggfinalmodify", letter('r')),
            ("aggmfinalmodify", letter('r')),
            ("aggtranstype", oid(function.result.0)),
        ]);
    }
    rows.finish()
}

/// Those whose functions exist here.
fn pg_operator(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_operator");
    let catalog = context.services.catalog();
    for operator in functions::operator_facts() {
        let Some(schema) = catalog.schema_of_built_in(operator.oid) else { continue };
        rows.push([
            ("oid", oid(operator.oid)),
            ("oprname", text(operator.name)),
            ("oprnamespace", oid(schema)),
            ("oprowner", oid(ROLE_POSTGRES)),
            ("oprkind", letter(if operator.left.is_some() { 'b' } else { 'l' })),
            ("oprcanmerge", boolean(operator.can_merge)),
            ("oprcanhash", boolean(operator.can_hash)),
            ("oprleft", oid(operator.left.map_or(0, |left| left.0))),
            ("oprright", oid(operator.right.0)),
            ("oprresult", oid(operator.result.0)),
            ("oprcom", oid(operator.commutator)),
            ("oprnegate", oid(operator.negator)),
            ("oprcode", oid(operator.function)),
        ]);
    }
    rows.finish()
}

fn pg_cast(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_cast");
    let catalog = context.services.catalog();
    for cast in functions::cast_facts().iter().filter(|cast| catalog.schema_of_built_in(cast.oid).is_some()) {
        rows.push([
            ("oid", oid(cast.oid)),
            ("castsource", oid(cast.source.0)),
            ("casttarget", oid(cast.target.0)),
            ("castfunc", oid(cast.function)),
            ("castcontext", letter(cast.context)),
            ("castmethod", letter(cast.method)),
        ]);
    }
    rows.finish()
}
