//! Definitions as SQL text: indexes, constraints, defaults. Expressions are kept as their source text, so they come out as
//! they were written rather than in PostgreSQL's normal form.

use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, ForeignKey, Index, IndexKey, ReferentialAction, Relation, Table,
};
use crate::parse::ast::Expr;
use crate::parse::{parse_expression, quote_identifier};
use crate::types::Oid;

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

/// Whether an expression stands in an index definition without parentheses.
fn is_call(text: &str) -> bool {
    matches!(
        parse_expression(text),
        Ok(Expr::Function(_) | Expr::Coalesce(..) | Expr::MinMax { .. } | Expr::NullIf(..))
    )
}

/// What pg_get_expr puts into parentheses unless it is to be pretty.
fn is_operation(text: &str) -> bool {
    use Expr as E;
    matches!(
        parse_expression(text),
        Ok(E::Binary { .. }
            | E::Unary { .. }
            | E::And(_)
            | E::Or(_)
            | E::Not(_)
            | E::IsNull { .. }
            | E::IsBool { .. }
            | E::IsDistinctFrom { .. }
            | E::Between { .. }
            | E::InList { .. }
            | E::Quantified { .. }
            | E::Like { .. })
    )
}

pub fn key_text(table: &Table, key: &IndexKey, pretty: bool) -> String {
    match (&key.column, &key.expression) {
        (Some(position), _) => column_name(table, *position),
        (None, Some(text)) if is_call(text) => text.clone(),
        (None, Some(text)) if !pretty && is_operation(text) => format!("(({text}))"),
        (None, Some(text)) => format!("({text})"),
        (None, None) => String::new(),
    }
}

/// pg_get_indexdef(index): the whole statement; `qualified`: with the table's schema, and not pretty.
pub fn index_definition(catalog: &Catalog, table: &Table, index: &Index, qualified: bool) -> String {
    let keys: Vec<String> = index
        .keys
        .iter()
        .map(|key| {
            let mut text = key_text(table, key, !qualified);
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
        match qualified && is_operation(predicate) {
            true => text.push_str(&format!(" WHERE ({predicate})")),
            false => text.push_str(&format!(" WHERE {predicate}")),
        }
    }
    text
}

/// pg_get_indexdef(index, column, pretty): one column, from 1.
pub fn index_column(table: &Table, index: &Index, column: usize) -> Option<String> {
    let position = column.checked_sub(1)?;
    if let Some(key) = index.keys.get(position) {
        return Some(key_text(table, key, true));
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
    search_path: &[String],
    table: &Table,
    constraint: &Constraint,
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
        ConstraintKind::Check(text) if is_call(text) => format!("CHECK ({text})"),
        ConstraintKind::Check(text) => format!("CHECK (({text}))"),
        ConstraintKind::PrimaryKey(index) => format!("PRIMARY KEY {}", key(*index)),
        ConstraintKind::Unique(index) => {
            let distinct = table.index(*index).is_some_and(|(_, index)| index.nulls_not_distinct);
            format!("UNIQUE {}{}", if distinct { "NULLS NOT DISTINCT " } else { "" }, key(*index))
        }
        ConstraintKind::ForeignKey(key) => foreign_key_definition(catalog, search_path, table, key),
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

/// The default or generation expression of a column as pg_attrdef has it; an identity column has none.
pub fn column_default(column: &Column) -> Option<&str> {
    match column {
        Column { dropped: true, .. } | Column { identity: Some(_), .. } => None,
        Column { default, .. } => default.as_deref(),
    }
}
