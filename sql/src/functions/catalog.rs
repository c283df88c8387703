//! What psql, drivers and ORMs ask of the catalog by function: definitions, names, comments, visibility.

use super::arguments::{OidValue, scalar};
use super::{Body, EvalContext, Function, Registry, SetIterator, parse_in_context};
use crate::catalog::system::{self, deparse, routines};
use crate::catalog::{Catalog, PG_CATALOG, Relation, Table};
use crate::encoding::Encoding;
use crate::error::{Error, Result, SqlState};
use crate::parse::Category;
use crate::types::{ArrayValue, Datum, Oid, Type, format_type};
use std::sync::Arc;

pub(super) fn register(r: &mut Registry) {
    names(r);
    definitions(r);
    comments(r);
    visibility(r);
    absent(r);
    super::partition::register(r);
}

fn relation_named(name: &str, context: &EvalContext<'_>) -> Result<Oid> {
    match parse_in_context(name, Type::REGCLASS, -1, context)? {
        Datum::Oid(oid) => Ok(oid),
        _ => Err(Error::internal("regclass is an OID")),
    }
}

// ---- names ----

fn names(r: &mut Registry) {
    scalar!(r, "format_type", |data_type: Option<OidValue>, modifier: Option<i32>| {
        data_type.map(|data_type| type_text(data_type.0, modifier))
    });
    scalar!(r, "pg_get_userbyid", |context; role: OidValue| {
        match context.services.catalog().role(role.0) {
            Some(role) => role.name.clone(),
            None => format!("unknown (OID={})", role.0),
        }
    });
    scalar!(r, "PG_encoding_to_char", |encoding: i32| {
        Encoding::from_number(encoding).map_or("", Encoding::name)
    });
    scalar!(r, "PG_char_to_encoding", |name: &str| Encoding::named(name).map_or(-1, Encoding::number));
    scalar!(r, "text_regclass", |context; name: &str| relation_named(name, context).map(OidValue));
    scalar!(r, "to_regclass", |context; name: &str| to_reg(name, Type::REGCLASS, context));
    scalar!(r, "to_regnamespace", |context; name: &str| to_reg(name, Type::REGNAMESPACE, context));
    scalar!(r, "to_regrole", |context; name: &str| to_reg(name, Type::REGROLE, context));
    scalar!(r, "to_regproc", |context; name: &str| to_reg(name, Type::REGPROC, context));
    scalar!(r, "to_regtype", |context; name: &str| to_reg(name, Type::REGTYPE, context));
    scalar!(r, "pg_relation_filenode", |context; relation: OidValue| {
        context.services.catalog().relation(relation.0).map(|_| relation)
    });
    scalar!(r, "pg_describe_object", |context; class: OidValue, object: OidValue, column: i32| {
        describe(class.0, object.0, column, context)
    });
    r.set("pg_get_keywords", |_, _| Ok(keywords()));
    r.set("pg_options_to_table", |arguments, _| match arguments {
        [Datum::Array(options)] => Ok(options_to_table(options)),
        _ => Ok(Box::new(std::iter::empty())),
    });
}

/// format_type(): a null modifier says the type without one, -1 the type of a column declared without one.
fn type_text(data_type: Oid, modifier: Option<i32>) -> String {
    match Type::from_oid(data_type) {
        None if data_type == 0 => "-".to_owned(),
        None => "???".to_owned(),
        Some(Type::BPCHAR) if modifier.is_none() => "character".to_owned(),
        Some(known) => format_type(known, modifier.unwrap_or(-1)),
    }
}

/// Null where the cast would fail because there is no such object.
fn to_reg(name: &str, data_type: Type, context: &EvalContext<'_>) -> Result<Datum> {
    if data_type == Type::REGTYPE && crate::parse::parse_type_name(name).is_err() {
        return Ok(Datum::Null);
    }
    match parse_in_context(name, data_type, -1, context) {
        Ok(found) => Ok(found),
        Err(error)
            if matches!(
                error.state(),
                SqlState::UNDEFINED_TABLE
                    | SqlState::UNDEFINED_OBJECT
                    | SqlState::UNDEFINED_FUNCTION
                    | SqlState::INVALID_SCHEMA_NAME
            ) =>
        {
            Ok(Datum::Null)
        }
        Err(error) => Err(error),
    }
}

fn describe(class: Oid, object: Oid, column: i32, context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    if class == 2615 {
        return catalog.schema(object).map(|schema| format!("schema {}", schema.name));
    }
    if let Some(described) = crate::catalog::system::describe_member(class, object, context) {
        return Some(described);
    }
    let relation = catalog.relation(object).filter(|_| class == 1259)?;
    let name = deparse::relation_name(&catalog, object, &context.services.search_path())?;
    let described = match &relation {
        Relation::Table(table) => format!("{} {name}", table.word()),
        Relation::System(_) => format!("table {name}"),
        Relation::Sequence(_) => format!("sequence {name}"),
        Relation::Index(..) => format!("index {name}"),
    };
    match &relation {
        Relation::Table(table) if column > 0 => {
            let column = table.columns.iter().find(|of| i32::from(of.number) == column)?;
            Some(format!("column {} of {described}", column.name))
        }
        _ => Some(described),
    }
}

fn keywords() -> SetIterator {
    Box::new(crate::parse::keywords().map(|keyword| {
        let (code, description) = match keyword.category() {
            Category::Unreserved => ("U", "unreserved"),
            Category::ColumnName => ("C", "unreserved (cannot be function or type name)"),
            Category::TypeFunctionName => ("T", "reserved (can be function or type name)"),
            Category::Reserved => ("R", "reserved"),
        };
        let bare = if keyword.is_bare_label() { "can be bare label" } else { "requires AS" };
        Ok(vec![
            Datum::text(keyword.text()),
            Datum::text(code),
            Datum::Bool(keyword.is_bare_label()),
            Datum::text(description),
            Datum::text(bare),
        ])
    }))
}

/// `name=value` pairs as rows.
fn options_to_table(options: &ArrayValue) -> SetIterator {
    let rows: Vec<Result<Vec<Datum>>> = options
        .elements
        .iter()
        .filter_map(Datum::as_str)
        .map(|option| match option.split_once('=') {
            Some((name, value)) => Ok(vec![Datum::text(name), Datum::text(value)]),
            None => Ok(vec![Datum::text(option), Datum::Null]),
        })
        .collect();
    Box::new(rows.into_iter())
}

// ---- definitions ----

fn definitions(r: &mut Registry) {
    scalar!(r, "pg_get_expr", |context; expression: &str, relation: OidValue| {
        expression_text(expression, relation.0, false, context)
    });
    scalar!(r, "pg_get_expr_ext", |context; expression: &str, relation: OidValue, pretty: bool| {
        expression_text(expression, relation.0, pretty, context)
    });
    scalar!(r, "pg_get_indexdef", |context; index: OidValue| index_definition(index.0, 0, false, context));
    scalar!(r, "pg_get_indexdef_ext", |context; index: OidValue, column: i32, pretty: bool| {
        index_definition(index.0, column, pretty, context)
    });
    scalar!(r, "pg_get_constraintdef", |context; constraint: OidValue| {
        constraint_definition(constraint.0, false, context)
    });
    scalar!(r, "pg_get_constraintdef_ext", |context; constraint: OidValue, pretty: bool| {
        constraint_definition(constraint.0, pretty, context)
    });
    scalar!(r, "pg_get_viewdef", |context; view: OidValue| view_definition(view.0, context));
    scalar!(r, "pg_get_viewdef_ext", |context; view: OidValue, _pretty: bool| view_definition(view.0, context));
    scalar!(r, "pg_get_viewdef_wrap", |context; view: OidValue, _wrap: i32| view_definition(view.0, context));
    scalar!(r, "pg_get_viewdef_name", |context; view: &str| {
        relation_named(view, context).map(|view| view_definition(view, context))
    });
    scalar!(r, "pg_get_viewdef_name_ext", |context; view: &str, _pretty: bool| {
        relation_named(view, context).map(|view| view_definition(view, context))
    });
    scalar!(r, "pg_get_serial_sequence", |context; table: &str, column: &str| {
        serial_sequence(table, column, context)
    });
    scalar!(r, "pg_get_function_result", |context; function: OidValue| {
        let catalog = context.services.catalog();
        match catalog.routine(function.0) {
            Some(routine) => routines::result_text(&routine, &catalog),
            None => super::function_by_oid(function.0).map(result_text),
        }
    });
    scalar!(r, "pg_trigger_depth", |context;| context.services.trigger_depth());
    scalar!(r, "pg_relation_is_updatable", |context; relation: OidValue, triggers: bool| {
        let catalog = context.services.catalog();
        catalog.table(relation.0).map_or(0, |table| catalog.updatable_events(&table, triggers, None))
    });
    scalar!(r, "pg_column_is_updatable", |context; relation: OidValue, column: i16, triggers: bool| {
        let catalog = context.services.catalog();
        catalog.table(relation.0).is_some_and(|table| {
            let at = table.columns.iter().position(|known| known.number == column);
            at.is_some_and(|at| catalog.is_updatable_column(&table, at, triggers))
        })
    });
    scalar!(r, "pg_get_function_arguments", |context; function: OidValue| {
        match context.services.catalog().routine(function.0) {
            Some(routine) => Some(routines::arguments_text(&routine, true)),
            None => super::function_by_oid(function.0).map(arguments_text),
        }
    });
    scalar!(r, "pg_get_function_identity_arguments", |context; function: OidValue| {
        match context.services.catalog().routine(function.0) {
            Some(routine) => Some(routines::arguments_text(&routine, false)),
            None => super::function_by_oid(function.0).map(arguments_text),
        }
    });
    scalar!(r, "pg_get_function_sqlbody", |context; function: OidValue| {
        let catalog = context.services.catalog();
        let routine = catalog.objects().routine(function.0);
        routine.filter(|routine| routine.sql_body).map(|routine| routine.body.clone())
    });
    scalar!(r, "pg_get_functiondef", |context; function: OidValue| {
        routines::routine_definition(function.0, context)
    });
    scalar!(r, "pg_get_triggerdef", |context; trigger: OidValue| {
        routines::trigger_definition(trigger.0, false, context)
    });
    scalar!(r, "pg_get_triggerdef_ext", |context; trigger: OidValue, pretty: bool| {
        routines::trigger_definition(trigger.0, pretty, context)
    });
    scalar!(r, "pg_index_column_has_property", |context; index: OidValue, column: i32, property: &str| {
        index_column_property(index.0, column, property, context)
    });
}

fn index_definition(index: Oid, column: i32, pretty: bool, context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    let Some(Relation::Index(table, position)) = catalog.relation(index) else {
        return None;
    };
    let index = &table.indexes[position];
    match usize::try_from(column) {
        Ok(0) => {
            let visible = deparse::is_visible(&catalog, table.oid, &context.services.search_path());
            let qualified = !(pretty && visible);
            Some(deparse::index_definition(&catalog, &table, index, (qualified, pretty), context))
        }
        // A column that the index hasn't got is an empty text, as in PostgreSQL.
        Ok(column) => Some(deparse::index_column(&table, index, column, context).unwrap_or_default()),
        Err(_) => None,
    }
}

fn expression_text(text: &str, relation: Oid, pretty: bool, context: &EvalContext<'_>) -> String {
    // A partition's bound is in pg_class as it is shown.
    if text == "DEFAULT" || text.starts_with("FOR VALUES ") {
        return text.to_owned();
    }
    match context.services.catalog().table(relation) {
        Some(table) => deparse::expression(text, &table, pretty, context),
        None => text.to_string(),
    }
}

fn constraint_definition(constraint: Oid, pretty: bool, context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    let found = |table: &Arc<Table>| {
        let constraint = table.constraints.iter().find(|of| of.oid == constraint)?;
        Some(deparse::constraint_definition(&catalog, table, constraint, pretty, context))
    };
    let of_domain = || {
        let mut checks = catalog
            .user_types()
            .filter_map(|user_type| user_type.domain())
            .flat_map(|domain| domain.checks.iter().map(|check| (Type(domain.base), check)));
        let (base, check) = checks.find(|(_, check)| check.oid == constraint)?;
        let text = deparse::domain_check(&check.text, base, pretty, context);
        let not_valid = if check.validated { "" } else { " NOT VALID" };
        Some(format!("CHECK ({text}){not_valid}"))
    };
    catalog.tables().find_map(found).or_else(of_domain)
}

fn view_definition(view: Oid, context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    deparse::view_definition(&catalog, &*catalog.table(view)?, context)
}

fn serial_sequence(table: &str, column: &str, context: &EvalContext<'_>) -> Result<Option<String>> {
    let catalog = context.services.catalog();
    let oid = relation_named(table, context)?;
    let found = catalog.table(oid).and_then(|table| Some((table.column_index(column)?, table)));
    let Some((position, table)) = found else {
        return Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{column}\" of relation \"{table}\" does not exist"),
        ));
    };
    let number = table.columns[position].number;
    let owned = |catalog: &Catalog| {
        let sequence = catalog.sequences().find(|sequence| sequence.owned_by == Some((oid, number)))?;
        Some(deparse::qualified_name(catalog, sequence.schema, &sequence.name))
    };
    Ok(owned(&catalog))
}

fn result_text(function: &Function) -> String {
    match &function.body {
        Body::Set { columns, .. } if function.result == Type::RECORD => {
            let columns: Vec<String> =
                columns.iter().map(|(name, data_type)| format!("{name} {}", data_type.display())).collect();
            format!("TABLE({})", columns.join(", "))
        }
        Body::Set { .. } => format!("SETOF {}", function.result.display()),
        _ => function.result.display(),
    }
}

fn arguments_text(function: &Function) -> String {
    let last = function.arguments.len().wrapping_sub(1);
    let arguments: Vec<String> = function
        .arguments
        .iter()
        .enumerate()
        .map(|(at, argument)| match function.variadic && at == last {
            true => format!("VARIADIC {}", argument.display()),
            false => argument.display(),
        })
        .collect();
    arguments.join(", ")
}

fn index_column_property(index: Oid, column: i32, property: &str, context: &EvalContext<'_>) -> Option<bool> {
    let Some(Relation::Index(table, position)) = context.services.catalog().relation(index) else {
        return None;
    };
    let key = table.indexes[position].keys.get(usize::try_from(column).ok()?.checked_sub(1)?)?;
    match property.to_ascii_lowercase().as_str() {
        "asc" => Some(!key.descending),
        "desc" => Some(key.descending),
        "nulls_first" => Some(key.nulls_first),
        "nulls_last" => Some(!key.nulls_first),
        "orderable" | "returnable" | "search_array" | "search_nulls" => Some(true),
        "distance_orderable" => Some(false),
        _ => None,
    }
}

// ---- comments ----

fn comments(r: &mut Registry) {
    scalar!(r, "sql:obj_description/1", |context; object: OidValue| comment(object.0, None, 0, context));
    scalar!(r, "sql:obj_description/2", |context; object: OidValue, class: &str| {
        match class_named(class) {
            Some(system::CLASS_LARGE_OBJECT) => match context.services.large_objects() {
                Some(objects) => objects.lo_comment(object.0)?,
                None => None,
            },
            class => class.and_then(|class| comment(object.0, Some(class), 0, context)),
        }
    });
    scalar!(r, "sql:col_description/2", |context; relation: OidValue, column: i32| {
        comment(relation.0, Some(1259), column, context)
    });
    scalar!(r, "sql:shobj_description/2", |context; object: OidValue, class: &str| {
        let class = class_named(class);
        let comments = system::shared_comments(&context.services.catalog());
        comments.into_iter().find(|found| found.0 == object.0 && Some(found.1) == class).map(|found| found.2)
    });
}

/// The OID of a catalog, for classoid arguments given as names.
fn class_named(name: &str) -> Option<Oid> {
    system::find(PG_CATALOG, name).map(|relation| relation.oid)
}

fn comment(object: Oid, class: Option<Oid>, column: i32, context: &EvalContext<'_>) -> Option<String> {
    let comments = system::comments(&context.services.catalog());
    let found = comments
        .into_iter()
        .find(|found| found.0 == object && class.is_none_or(|class| class == found.1) && found.2 == column);
    found.map(|found| found.3)
}

// ---- visibility ----

fn visibility(r: &mut Registry) {
    scalar!(r, "pg_table_is_visible", |context; relation: OidValue| {
        let catalog = context.services.catalog();
        // A composite type's entry of pg_class is seen as the type is.
        if let Some(composite) = catalog.user_types().find(|t| t.relation == relation.0 && relation.0 != 0) {
            let path = context.services.search_path();
            return Ok(Datum::Bool(catalog.find_type(None, &composite.name, &path) == Some(composite.oid)));
        }
        let known = catalog.relation(relation.0).is_some();
        known.then(|| deparse::is_visible(&catalog, relation.0, &context.services.search_path()))
    });
    scalar!(r, "pg_type_is_visible", |context; data_type: OidValue| {
        let catalog = context.services.catalog();
        let path = context.services.search_path();
        Type::from_oid(data_type.0).map(|_| match catalog.type_name(data_type.0) {
            Some((_, name)) => catalog.find_type(None, &name, &path) == Some(data_type.0),
            None => true,
        })
    });
    scalar!(r, "pg_function_is_visible", |context; function: OidValue| {
        let catalog = context.services.catalog();
        match catalog.routine(function.0) {
            Some(routine) => {
                let schema = catalog.schema(routine.schema).map_or("", |schema| schema.name.as_str());
                Some(context.services.search_path().iter().any(|known| known == schema))
            }
            None => super::function_by_oid(function.0).map(|_| true),
        }
    });
    // All of these are PostgreSQL's own, in pg_catalog.
    for name in [
        "pg_collation_is_visible",
        "pg_opclass_is_visible",
        "pg_opfamily_is_visible",
        "pg_operator_is_visible",
    ] {
        r.scalar(name, |_, _| Ok(Datum::Bool(true)));
    }
    scalar!(r, "pg_relation_is_publishable", |context; relation: OidValue| {
        context.services.catalog().relation(relation.0).map(|relation| match relation {
            Relation::Table(table) => !table.is_view(),
            _ => false,
        })
    });
    r.scalar("pg_my_temp_schema", |_, _| Ok(Datum::Oid(0)));
    scalar!(r, "pg_is_other_temp_schema", |_schema: OidValue| false);
}

// ---- what there is none of ----

/// Questions about kinds of objects that don't exist here have the answer they have for an OID that isn't there.
fn absent(r: &mut Registry) {
    for name in [
        "pg_get_ruledef",
        "pg_get_ruledef_ext",
        "pg_get_statisticsobjdef",
        "pg_get_statisticsobjdef_columns",
        "pg_get_statisticsobjdef_expressions",
        "pg_statistics_obj_is_visible",
        "pg_ts_config_is_visible",
        "pg_ts_dict_is_visible",
        "pg_ts_parser_is_visible",
        "pg_ts_template_is_visible",
        "pg_conversion_is_visible",
    ] {
        r.scalar(name, |_, _| Ok(Datum::Null));
    }
    r.scalar("pg_tablespace_location", |_, _| Ok(Datum::text("")));
}
