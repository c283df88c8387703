//! Definitions as SQL text: indexes, constraints, defaults. Expressions are kept as their source text; they are bound to be shown in
//! PostgreSQL's normal form.

use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, ForeignKey, Index, IndexKey, ReferentialAction, Relation,
    Table,
};
use crate::functions::EvalContext;
use crate::parse::ast::Expr;
use crate::parse::{parse_expression, quote_identifier};
use crate::plan::deparse::{PrettyTableNames, TableNames, deparse};
use crate::types::{Oid, Type};

/// `schema.name`, each quoted where needed.
pub fn qualified_name(catalog: &Catalog, schema: Oid, name: &str) -> String {
    match catalog.schema(schema) {
        Some(schema) => format!("{}.{}", quote_identifier(&schema.name), quote_identifier(name)),
        None => quote_identifier(name),
    }
}

/// A relation's name as regclass prints it: qualified only if the search path doesn't find it.
pub fn relation_name(catalog: &Catalog, oid: Oid, search_path: &[String]) -> Option<String> {
    let (schema, name) = schema_and_name(catalog, oid)?;
    Some(if is_visible(catalog, oid, search_path) {
        quote_identifier(&name)
    } else {
        match schema {
            crate::catalog::INFORMATION_SCHEMA => format!("information_schema.{}", quote_identifier(&name)),
            _ => qualified_name(catalog, schema, &name),
        }
    })
}

pub fn schema_and_name(catalog: &Catalog, oid: Oid) -> Option<(Oid, String)> {
    Some(match catalog.relation(oid)? {
        Relation::Table(table) => (table.schema, table.name.clone()),
        Relation::Sequence(sequence) => (sequence.schema, sequence.name.clone()),
        Relation::Index(table, index) => (table.schema, table.indexes[index].name.clone()),
        Relation::System(system) => (system.schema, system.name.to_owned()),
    })
}

/// Whether the search path finds this relation by its bare name.
pub fn is_visible(catalog: &Catalog, oid: Oid, search_path: &[String]) -> bool {
    let Some((_, name)) = schema_and_name(catalog, oid) else {
        return false;
    };
    catalog.find_relation(None, &name, search_path).is_some_and(|found| relation_oid(&found) == oid)
}

/// A view's query as pg_get_viewdef shows it: relations that the search path finds without their schemas.
pub fn view_definition(catalog: &Catalog, view: &Table, context: &EvalContext<'_>) -> Option<String> {
    let search_path = context.services.search_path();
    let query = view.query_text(catalog, |relation| is_visible(catalog, relation, &search_path))?;
    Some(format!(" {query};"))
}

pub fn relation_oid(relation: &Relation) -> Oid {
    match relation {
        Relation::Table(table) => table.oid,
        Relation::Sequence(sequence) => sequence.oid,
        Relation::Index(table, index) => table.indexes[*index].oid,
        Relation::System(system) => system.oid,
    }
}

fn column_name(table: &Table, position: usize) -> String {
    table.columns.get(position).map(|column| quote_identifier(&column.name)).unwrap_or_default()
}

/// An expression as PostgreSQL shows it: bound, and printed with its constants' types and casts. Texts that name what only their own
/// words can say (special functions, names of relations) stay as they were written.
fn shown(
    text: &str,
    table: &Table,
    target: Option<(Type, i32)>,
    pretty: bool,
    context: &EvalContext<'_>,
) -> String {
    let by_word = |word: &String| {
        word.starts_with("current_")
            || word.starts_with("reg")
            || matches!(word.as_str(), "localtime" | "localtimestamp" | "session_user" | "user" | "nextval")
    };
    if crate::parse::identifiers(text).iter().any(by_word) {
        return text.to_string();
    }
    let bind = || {
        let catalog = context.services.catalog();
        let search_path = context.services.search_path();
        let settings = crate::plan::PlannerSettings::for_catalog();
        let plan = crate::plan::PlanContext {
            catalog: &catalog,
            search_path: &search_path,
            eval: context,
            settings,
            variables: None,
        };
        crate::bind::table_expression_as_written(&parse_expression(text)?, table, target, &plan)
    };
    match bind() {
        Ok(expr) if pretty => deparse(&expr, &PrettyTableNames(table)),
        Ok(expr) => deparse(&expr, &TableNames(table)),
        Err(_) => text.to_string(),
    }
}

/// pg_get_expr of a default, a generation expression or a predicate.
pub fn expression(text: &str, table: &Table, pretty: bool, context: &EvalContext<'_>) -> String {
    let column = table.columns.iter().find(|column| column.default.as_deref() == Some(text));
    let is_literal =
        matches!(parse_expression(text), Ok(Expr::Literal(crate::parse::ast::Literal::String(_), _)));
    match column {
        Some(column) if column.generated || is_literal => {
            shown(text, table, Some((column.data_type(), column.modifier)), pretty, context)
        }
        // Others are stored much as PostgreSQL would print them.
        Some(_) => text.to_string(),
        None => shown(text, table, None, pretty, context),
    }
}

/// Whether an expression stands in an index definition without parentheses.
fn is_call(text: &str) -> bool {
    matches!(
        parse_expression(text),
        Ok(Expr::Function(_) | Expr::Coalesce(..) | Expr::MinMax { .. } | Expr::NullIf(..))
    )
}

/// A column's name, or an expression in the parentheses that an index definition has around it.
pub fn key_text(table: &Table, key: &IndexKey, pretty: bool, context: &EvalContext<'_>) -> String {
    match (&key.column, &key.expression) {
        (Some(position), _) => column_name(table, *position),
        (None, Some(text)) if is_call(text) => shown(text, table, None, pretty, context),
        (None, Some(text)) => format!("({})", shown(text, table, None, pretty, context)),
        (None, None) => String::new(),
    }
}

/// pg_get_indexdef(index): the whole statement; `qualified`: with the table's schema, and not pretty.
pub fn index_definition(
    catalog: &Catalog,
    table: &Table,
    index: &Index,
    qualified: bool,
    context: &EvalContext<'_>,
) -> String {
    let keys: Vec<String> = index
        .keys
        .iter()
        .map(|key| {
            let mut text = key_text(table, key, !qualified, context);
            if let Some(class) = &key.operator_class {
                text.push(' ');
                text.push_str(class);
            }
            if key.descending {
                text.push_str(" DESC");
            }
            if key.nulls_first != key.descending {
                text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
            }
            text
        })
        .collect();
    let name = match qualified {
        true => qualified_name(catalog, table.schema, &table.name),
        false => quote_identifier(&table.name),
    };
    let mut text = format!(
        "CREATE {}INDEX {} ON {name} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        keys.join(", ")
    );
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", columns_text(table, index.include.iter().copied())));
    }
    if index.nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &index.predicate {
        let target = Some((Type::BOOL, -1));
        text.push_str(&format!(" WHERE {}", shown(predicate, table, target, !qualified, context)));
    }
    text
}

/// pg_get_indexdef(index, column, pretty): one column, from 1.
pub fn index_column(
    table: &Table,
    index: &Index,
    column: usize,
    context: &EvalContext<'_>,
) -> Option<String> {
    let position = column.checked_sub(1)?;
    if let Some(key) = index.keys.get(position) {
        return Some(key_text(table, key, true, context));
    }
    index.include.get(position - index.keys.len()).map(|&position| column_name(table, position))
}

fn columns_text(table: &Table, positions: impl Iterator<Item = usize>) -> String {
    positions.map(|position| column_name(table, position)).collect::<Vec<_>>().join(", ")
}

fn foreign_key_definition(
    catalog: &Catalog,
    search_path: &[String],
    table: &Table,
    key: &ForeignKey,
) -> String {
    let mut text = format!("FOREIGN KEY ({})", columns_text(table, key.columns.iter().copied()));
    if let Some(referenced) = catalog.table(key.referenced) {
        let name = relation_name(catalog, referenced.oid, search_path).unwrap_or_default();
        let columns = columns_text(&referenced, key.referenced_columns.iter().copied());
        text.push_str(&format!(" REFERENCES {name}({columns})"));
    }
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    let action = |action: ReferentialAction| match action {
        ReferentialAction::NoAction => None,
        ReferentialAction::Restrict => Some("RESTRICT"),
        ReferentialAction::Cascade => Some("CASCADE"),
        ReferentialAction::SetNull => Some("SET NULL"),
        ReferentialAction::SetDefault => Some("SET DEFAULT"),
    };
    if let Some(action) = action(key.on_update) {
        text.push_str(&format!(" ON UPDATE {action}"));
    }
    if let Some(action) = action(key.on_delete) {
        text.push_str(&format!(" ON DELETE {action}"));
        if !key.delete_columns.is_empty() {
            text.push_str(&format!(" ({})", columns_text(table, key.delete_columns.iter().copied())));
        }
    }
    text
}

/// pg_get_constraintdef.
pub fn constraint_definition(
    catalog: &Catalog,
    table: &Table,
    constraint: &Constraint,
    pretty: bool,
    context: &EvalContext<'_>,
) -> String {
    let key = |index: Oid| {
        let Some((_, index)) = table.index(index) else {
            return String::new();
        };
        let mut text = format!("({})", columns_text(table, index.keys.iter().filter_map(|key| key.column)));
        if !index.include.is_empty() {
            text.push_str(&format!(" INCLUDE ({})", columns_text(table, index.include.iter().copied())));
        }
        text
    };
    let mut text = match &constraint.kind {
        ConstraintKind::Check(text) => {
            format!("CHECK ({})", shown(text, table, Some((Type::BOOL, -1)), pretty, context))
        }
        ConstraintKind::PrimaryKey(index) => format!("PRIMARY KEY {}", key(*index)),
        ConstraintKind::Unique(index) => {
            let distinct = table.index(*index).is_some_and(|(_, index)| index.nulls_not_distinct);
            format!("UNIQUE {}{}", if distinct { "NULLS NOT DISTINCT " } else { "" }, key(*index))
        }
        ConstraintKind::ForeignKey(key) => {
            foreign_key_definition(catalog, &context.services.search_path(), table, key)
        }
    };
    if constraint.deferrable {
        text.push_str(" DEFERRABLE");
        if constraint.initially_deferred {
            text.push_str(" INITIALLY DEFERRED");
        }
    }
    if !constraint.validated {
        text.push_str(" NOT VALID");
    }
    text
}

/// A domain's check as ruleutils.c shows it; as it was written if it can't be read any more.
pub fn domain_check(text: &str, base: Type, pretty: bool, context: &EvalContext<'_>) -> String {
    let catalog = context.services.catalog();
    let search_path = context.services.search_path();
    let plan = crate::plan::PlanContext {
        catalog: &catalog,
        search_path: &search_path,
        eval: context,
        settings: crate::plan::PlannerSettings::for_catalog(),
        variables: None,
    };
    let bound = crate::parse::parse_expression(text)
        .and_then(|parsed| crate::bind::domain_check(&parsed, base, &plan));
    match bound {
        Ok(bound) => crate::plan::deparse::deparse(&bound, &crate::plan::deparse::DomainNames { pretty }),
        Err(_) => text.to_owned(),
    }
}

/// The default or generation expression of a column as pg_attrdef has it; an identity column has none.
pub fn column_default(column: &Column) -> Option<&str> {
    match column {
        Column { dropped: true, .. } | Column { identity: Some(_), .. } => None,
        Column { default, .. } => default.as_deref(),
    }
}
