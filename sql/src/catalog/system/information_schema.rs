//! information_schema, as far as there is something to tell.

use super::deparse;
use super::objects::{constraint_parts, schemas};
use super::privileges::is_shown;
use super::relations::{Producer, Rows, optional, text, yes_no};
use super::views::{role_name, schema_name};
use crate::catalog::{
    CAN_DELETE, CAN_INSERT, CAN_UPDATE, Catalog, Column, Constraint, INFORMATION_SCHEMA, Persistence,
    ReferentialAction, Table, Trigger,
};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::parse::routine_ast::TriggerTiming;
use crate::types::{Datum, Type, format_type, numeric_modifier};
use std::sync::Arc;

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "information_schema_catalog_name" => catalog_name,
        "schemata" => schemata,
        "tables" => tables,
        "columns" => columns,
        "views" => views,
        "sequences" => sequences,
        "table_constraints" => table_constraints,
        "check_constraints" => check_constraints,
        "key_column_usage" => key_column_usage,
        "constraint_column_usage" => constraint_column_usage,
        "constraint_table_usage" => constraint_table_usage,
        "referential_constraints" => referential_constraints,
        "character_sets" => character_sets,
        name => return super::privileges::producer(name),
    })
}

fn rows(name: &str) -> Rows {
    Rows::new(INFORMATION_SCHEMA, name)
}

fn database(context: &EvalContext<'_>) -> Datum {
    Datum::Text(context.services.database())
}

fn catalog_name(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = rows("information_schema_catalog_name");
    rows.push([("catalog_name", database(context))]);
    rows.finish()
}

fn schemata(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("schemata");
    for (_, name, owner, _) in schemas(&catalog) {
        rows.push([
            ("catalog_name", database(context)),
            ("schema_name", text(name)),
            ("schema_owner", role_name(&catalog, owner)),
        ]);
    }
    rows.finish()
}

fn table_type(table: &Table) -> &'static str {
    match table {
        _ if table.is_view() => "VIEW",
        Table { persistence: Persistence::Temporary, .. } => "LOCAL TEMPORARY",
        _ => "BASE TABLE",
    }
}

fn tables(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("tables");
    let mut push = |schema: Datum, name: &str, kind: &str, insertable: bool| {
        rows.push([
            ("table_catalog", database(context)),
            ("table_schema", schema),
            ("table_name", text(name)),
            ("table_type", text(kind)),
            ("is_insertable_into", yes_no(insertable)),
            ("is_typed", yes_no(false)),
        ]);
    };
    for (relation, kind) in super::all() {
        let kind = if kind == 'v' { "VIEW" } else { "BASE TABLE" };
        push(schema_name(&catalog, relation.schema), relation.name, kind, false);
    }
    let shown = |table: &&Arc<Table>| !table.is_materialized() && is_shown(table, context, &catalog);
    for table in catalog.tables().filter(shown) {
        let insertable = catalog.updatable_events(table, false, None) & CAN_INSERT != 0;
        push(schema_name(&catalog, table.schema), &table.name, table_type(table), insertable);
    }
    rows.finish()
}

/// Length, precision and the like of a column's type.
#[derive(Default)]
struct Measures {
    length: Option<i32>,
    octets: Option<i32>,
    precision: Option<i32>,
    radix: Option<i32>,
    scale: Option<i32>,
    fraction: Option<i32>,
}

fn measures(data_type: Type, modifier: i32) -> Measures {
    let binary = |precision| Measures {
        precision: Some(precision),
        radix: Some(2),
        scale: Some(0),
        ..Measures::default()
    };
    let float = |precision| Measures { precision: Some(precision), radix: Some(2), ..Measures::default() };
    let string = |length: Option<i32>| Measures {
        length,
        octets: Some(length.map_or(1 << 30, |length| length.saturating_mul(4))),
        ..Measures::default()
    };
    match data_type {
        Type::INT2 => binary(16),
        Type::INT4 => binary(32),
        Type::INT8 => binary(64),
        Type::FLOAT4 => float(24),
        Type::FLOAT8 => float(53),
        Type::NUMERIC => {
            let (precision, scale) = numeric_modifier(modifier).unzip();
            Measures { precision, scale, radix: Some(10), ..Measures::default() }
        }
        Type::VARCHAR | Type::BPCHAR => string((modifier >= 4).then(|| modifier - 4)),
        Type::TEXT => string(None),
        Type::DATE => Measures { fraction: Some(0), ..Measures::default() },
        Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::INTERVAL => {
            let fraction = if (0..=6).contains(&modifier) { modifier } else { 6 };
            Measures { fraction: Some(fraction), ..Measures::default() }
        }
        _ => Measures::default(),
    }
}

fn integer(value: Option<i32>) -> Datum {
    value.map_or(Datum::Null, Datum::Int4)
}

fn columns(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("columns");
    for (relation, _) in super::all() {
        for (at, (name, data_type)) in relation.columns.iter().enumerate() {
            let column = Column {
                name: (*name).to_owned(),
                number: at as i16 + 1,
                data_type: data_type.0,
                modifier: -1,
                collation: None,
                not_null: false,
                default: None,
                generated: false,
                identity: None,
                sequence: None,
                missing: None,
                dropped: false,
                inherited: 0,
                local: true,
                comment: None,
                acl: None,
            };
            let schema = schema_name(&catalog, relation.schema);
            push_column(&mut rows, context, schema, relation.name, (false, None), &column);
        }
    }
    let shown = |table: &&Arc<Table>| !table.is_materialized() && is_shown(table, context, &catalog);
    for table in catalog.tables().filter(shown) {
        for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| !column.dropped) {
            let schema = schema_name(&catalog, table.schema);
            let updatable = !table.is_view() || catalog.is_updatable_column(table, at, false);
            let default = deparse::shown_default(column, table, false, context);
            push_column(&mut rows, context, schema, &table.name, (updatable, default), column);
        }
    }
    rows.finish()
}

fn push_column(
    rows: &mut Rows,
    context: &EvalContext<'_>,
    schema: Datum,
    table: &str,
    (updatable, default): (bool, Option<String>),
    column: &Column,
) {
    let data_type = column.data_type();
    let catalog = context.services.catalog();
    // Of a domain its base type is shown, and the domain beside it.
    let base = data_type.base();
    let domain = catalog.type_name(data_type.0).filter(|_| data_type.is_domain());
    let sequence = column.identity.and(column.sequence).and_then(|sequence| catalog.sequence(sequence));
    let of_sequence = |value: &dyn Fn(&crate::catalog::Sequence) -> i64| {
        sequence.as_ref().map_or(Datum::Null, |sequence| text(value(sequence).to_string()))
    };
    let measures = measures(base, column.modifier);
    let type_text = match base {
        _ if base.is_array() => "ARRAY".to_owned(),
        Type::BPCHAR => "character".to_owned(),
        _ if catalog.type_name(base.0).is_some() => "USER-DEFINED".to_owned(),
        _ => format_type(base, -1),
    };
    let collation = match column.collation {
        Some(950) => Some("C"),
        Some(951) => Some("POSIX"),
        Some(12340) => Some("ucs_basic"),
        _ => None,
    };
    let generated = column.generated;
    let (default, generation) = if generated { (None, default) } else { (default, None) };
    let udt_schema = match catalog.type_name(base.0) {
        Some((schema, _)) => super::views::schema_name(&catalog, schema),
        None => text("pg_catalog"),
    };
    rows.push([
        ("collation_catalog", collation.map_or(Datum::Null, |_| text(&catalog.database().name))),
        ("collation_schema", collation.map_or(Datum::Null, |_| text("pg_catalog"))),
        ("collation_name", collation.map_or(Datum::Null, text)),
        ("table_catalog", database(context)),
        ("table_schema", schema),
        ("table_name", text(table)),
        ("column_name", text(&column.name)),
        ("ordinal_position", Datum::Int4(i32::from(column.number))),
        ("column_default", optional(default.as_deref())),
        ("is_nullable", yes_no(!column.not_null)),
        ("data_type", text(type_text)),
        ("character_maximum_length", integer(measures.length)),
        ("character_octet_length", integer(measures.octets)),
        ("numeric_precision", integer(measures.precision)),
        ("numeric_precision_radix", integer(measures.radix)),
        ("numeric_scale", integer(measures.scale)),
        ("datetime_precision", integer(measures.fraction)),
        ("udt_catalog", database(context)),
        ("udt_schema", udt_schema),
        ("udt_name", text(base.name())),
        ("domain_catalog", domain.as_ref().map_or(Datum::Null, |_| database(context))),
        (
            "domain_schema",
            domain.as_ref().map_or(Datum::Null, |(schema, _)| super::views::schema_name(&catalog, *schema)),
        ),
        ("domain_name", domain.as_ref().map_or(Datum::Null, |_| text(data_type.name()))),
        ("dtd_identifier", text(column.number.to_string())),
        ("is_self_referencing", yes_no(false)),
        ("is_identity", yes_no(column.identity.is_some())),
        (
            "identity_generation",
            optional(column.identity.map(|always| if always { "ALWAYS" } else { "BY DEFAULT" })),
        ),
        ("identity_start", of_sequence(&|sequence| sequence.start)),
        ("identity_increment", of_sequence(&|sequence| sequence.increment)),
        ("identity_maximum", of_sequence(&|sequence| sequence.max)),
        ("identity_minimum", of_sequence(&|sequence| sequence.min)),
        ("identity_cycle", yes_no(sequence.as_ref().is_some_and(|sequence| sequence.cycle))),
        ("is_generated", text(if generated { "ALWAYS" } else { "NEVER" })),
        ("generation_expression", optional(generation.as_deref())),
        ("is_updatable", yes_no(updatable)),
    ]);
}

fn views(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("views");
    let both = CAN_UPDATE | CAN_DELETE;
    for table in catalog.tables().filter(|table| table.is_view() && is_shown(table, context, &catalog)) {
        let events = catalog.updatable_events(table, false, None);
        let instead = |of: &dyn Fn(&Trigger) -> bool| {
            table.triggers.iter().any(|trigger| trigger.timing == TriggerTiming::InsteadOf && of(trigger))
        };
        rows.push([
            ("table_catalog", database(context)),
            ("table_schema", schema_name(&catalog, table.schema)),
            ("table_name", text(&table.name)),
            ("view_definition", optional(super::deparse::view_definition(&catalog, table, context))),
            (
                "check_option",
                text(match table.check_option() {
                    None => "NONE",
                    Some(true) => "CASCADED",
                    Some(false) => "LOCAL",
                }),
            ),
            ("is_updatable", yes_no(events & both == both)),
            ("is_insertable_into", yes_no(events & CAN_INSERT != 0)),
            ("is_trigger_updatable", yes_no(instead(&|trigger| trigger.update))),
            ("is_trigger_deletable", yes_no(instead(&|trigger| trigger.delete))),
            ("is_trigger_insertable_into", yes_no(instead(&|trigger| trigger.insert))),
        ]);
    }
    rows.finish()
}

fn sequences(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("sequences");
    for sequence in catalog.sequences() {
        let data_type = Type(sequence.data_type);
        rows.push([
            ("sequence_catalog", database(context)),
            ("sequence_schema", schema_name(&catalog, sequence.schema)),
            ("sequence_name", text(&sequence.name)),
            ("data_type", text(format_type(data_type, -1))),
            ("numeric_precision", integer(measures(data_type, -1).precision)),
            ("numeric_precision_radix", Datum::Int4(2)),
            ("numeric_scale", Datum::Int4(0)),
            ("start_value", text(sequence.start.to_string())),
            ("minimum_value", text(sequence.min.to_string())),
            ("maximum_value", text(sequence.max.to_string())),
            ("increment", text(sequence.increment.to_string())),
            ("cycle_option", yes_no(sequence.cycle)),
        ]);
    }
    rows.finish()
}

// ---- constraints ----

/// Every constraint with its table, and the columns of its key.
fn constraints(catalog: &Catalog) -> Vec<(&Arc<Table>, &Constraint, char, Vec<&Column>)> {
    let mut found = Vec::new();
    for table in catalog.tables() {
        for constraint in &table.constraints {
            let (kind, _, numbers, _) = constraint_parts(table, constraint);
            let columns = numbers
                .iter()
                .filter_map(|number| table.columns.iter().find(|column| column.number == *number))
                .collect();
            found.push((table, constraint, kind, columns));
        }
    }
    found
}

fn table_constraints(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("table_constraints");
    let mut push = |table: &Table, name: &str, kind: &str, deferrable: bool, deferred: bool| {
        rows.push([
            ("constraint_catalog", database(context)),
            ("constraint_schema", schema_name(&catalog, table.schema)),
            ("constraint_name", text(name)),
            ("table_catalog", database(context)),
            ("table_schema", schema_name(&catalog, table.schema)),
            ("table_name", text(&table.name)),
            ("constraint_type", text(kind)),
            ("is_deferrable", yes_no(deferrable)),
            ("initially_deferred", yes_no(deferred)),
            ("enforced", yes_no(true)),
        ]);
    };
    for (table, constraint, kind, _) in constraints(&catalog) {
        let kind = match kind {
            'p' => "PRIMARY KEY",
            'u' => "UNIQUE",
            'f' => "FOREIGN KEY",
            // The standard does not know them.
            'x' => continue,
            _ => "CHECK",
        };
        push(table, &constraint.name, kind, constraint.deferrable, constraint.initially_deferred);
    }
    for (table, name, _) in not_nulls(&catalog) {
        push(table, &name, "CHECK", false, false);
    }
    rows.finish()
}

/// NOT NULL is a CHECK constraint to the standard; its name is made up, as in PostgreSQL.
fn not_nulls(catalog: &Catalog) -> Vec<(&Arc<Table>, String, &Column)> {
    let mut found = Vec::new();
    for table in catalog.tables() {
        for column in table.columns.iter().filter(|column| column.not_null && !column.dropped) {
            let name = format!("{}_{}_{}_not_null", table.schema, table.oid, column.number);
            found.push((table, name, column));
        }
    }
    found
}

fn check_constraints(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("check_constraints");
    let mut push = |table: &Table, name: &str, clause: String| {
        rows.push([
            ("constraint_catalog", database(context)),
            ("constraint_schema", schema_name(&catalog, table.schema)),
            ("constraint_name", text(name)),
            ("check_clause", text(clause)),
        ]);
    };
    for (table, constraint, kind, _) in constraints(&catalog) {
        if kind == 'c' {
            let definition = deparse::constraint_definition(&catalog, table, constraint, false, context);
            let clause = definition.strip_prefix("CHECK ").unwrap_or(&definition);
            push(table, &constraint.name, clause.to_owned());
        }
    }
    for (table, name, column) in not_nulls(&catalog) {
        push(table, &name, format!("{} IS NOT NULL", column.name));
    }
    rows.finish()
}

fn key_column_usage(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("key_column_usage");
    for (table, constraint, _, columns) in constraints(&catalog).into_iter().filter(|found| found.2 != 'c') {
        for (at, column) in columns.iter().enumerate() {
            let position = constraint.foreign_key().and_then(|key| {
                let referenced = catalog.table(key.referenced)?;
                let (_, index) = referenced.index(key.index)?;
                let target = *key.referenced_columns.get(at)?;
                index.keys.iter().position(|entry| entry.column == Some(target))
            });
            let position = position.map_or(Datum::Null, |position| Datum::Int4(position as i32 + 1));
            rows.push([
                ("constraint_catalog", database(context)),
                ("constraint_schema", schema_name(&catalog, table.schema)),
                ("constraint_name", text(&constraint.name)),
                ("table_catalog", database(context)),
                ("table_schema", schema_name(&catalog, table.schema)),
                ("table_name", text(&table.name)),
                ("column_name", text(&column.name)),
                ("ordinal_position", Datum::Int4(at as i32 + 1)),
                ("position_in_unique_constraint", position),
            ]);
        }
    }
    rows.finish()
}

fn referential_constraints(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("referential_constraints");
    let rule = |action: ReferentialAction| {
        text(match action {
            ReferentialAction::NoAction => "NO ACTION",
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        })
    };
    for (table, constraint, _, _) in constraints(&catalog) {
        let Some(key) = constraint.foreign_key() else { continue };
        let Some(referenced) = catalog.table(key.referenced) else { continue };
        // A unique index without a constraint has no name here.
        let unique = referenced.constraint_of_index(key.index);
        let of_unique = |value: Datum| if unique.is_some() { value } else { Datum::Null };
        rows.push([
            ("constraint_catalog", database(context)),
            ("constraint_schema", schema_name(&catalog, table.schema)),
            ("constraint_name", text(&constraint.name)),
            ("unique_constraint_catalog", of_unique(database(context))),
            ("unique_constraint_schema", of_unique(schema_name(&catalog, referenced.schema))),
            ("unique_constraint_name", unique.map_or(Datum::Null, |unique| text(&unique.name))),
            ("match_option", text(if key.match_full { "FULL" } else { "NONE" })),
            ("update_rule", rule(key.on_update)),
            ("delete_rule", rule(key.on_delete)),
        ]);
    }
    rows.finish()
}

/// What a constraint uses: a foreign key the referenced table and its columns, others their own.
fn used<'c>(
    catalog: &'c Catalog,
    table: &'c Arc<Table>,
    constraint: &Constraint,
    columns: Vec<&'c Column>,
) -> (Arc<Table>, Vec<Column>) {
    let own = || (table.clone(), columns.iter().map(|&column| column.clone()).collect());
    let Some(key) = constraint.foreign_key() else { return own() };
    let Some(referenced) = catalog.table(key.referenced) else { return own() };
    let columns = key.referenced_columns.iter().map(|&column| referenced.columns[column].clone()).collect();
    (referenced, columns)
}

fn constraint_column_usage(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("constraint_column_usage");
    for (table, constraint, _, columns) in constraints(&catalog) {
        let (of, columns) = used(&catalog, table, constraint, columns);
        for column in columns {
            rows.push([
                ("table_catalog", database(context)),
                ("table_schema", schema_name(&catalog, of.schema)),
                ("table_name", text(&of.name)),
                ("column_name", text(&column.name)),
                ("constraint_catalog", database(context)),
                ("constraint_schema", schema_name(&catalog, table.schema)),
                ("constraint_name", text(&constraint.name)),
            ]);
        }
    }
    rows.finish()
}

fn constraint_table_usage(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = rows("constraint_table_usage");
    for (table, constraint, _, _) in constraints(&catalog).into_iter().filter(|found| found.2 != 'c') {
        let (of, _) = used(&catalog, table, constraint, Vec::new());
        rows.push([
            ("table_catalog", database(context)),
            ("table_schema", schema_name(&catalog, of.schema)),
            ("table_name", text(&of.name)),
            ("constraint_catalog", database(context)),
            ("constraint_schema", schema_name(&catalog, table.schema)),
            ("constraint_name", text(&constraint.name)),
        ]);
    }
    rows.finish()
}

fn character_sets(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = rows("character_sets");
    rows.push([
        ("character_set_name", text("UTF8")),
        ("character_repertoire", text("UCS")),
        ("form_of_use", text("UTF8")),
        ("default_collate_catalog", database(context)),
        ("default_collate_schema", text("pg_catalog")),
        ("default_collate_name", text("C")),
    ]);
    rows.finish()
}
