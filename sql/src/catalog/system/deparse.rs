//! Definitions as SQL text: indexes, constraints, defaults. Expressions are kept as their source text; they are bound to be shown in
//! PostgreSQL's normal form.

use crate::catalog::{
    Catalog, Column, Constraint, ConstraintKind, ForeignKey, Index, IndexKey, PartitionBound, RangeDatum,
    ReferentialAction, Relation, Routine, Strategy, Table,
};
use crate::functions::{EvalContext, operator_facts};
use crate::parse::ast::Expr;
use crate::parse::{parse_expression, quote_identifier, quote_literal};
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

/// A routine's name as regproc prints it: qualified only if the search path doesn't find it.
pub fn routine_name(catalog: &Catalog, routine: &Routine, search_path: &[String]) -> String {
    let found = catalog.routines_named(None, &routine.name, search_path);
    match found.iter().any(|found| found.oid == routine.oid) {
        true => quote_identifier(&routine.name),
        false => qualified_name(catalog, routine.schema, &routine.name),
    }
}

/// The same with the types of its arguments, as regprocedure prints it.
pub fn routine_signature(catalog: &Catalog, routine: &Routine, search_path: &[String]) -> String {
    let types: Vec<String> = routine.inputs().map(|argument| argument.data_type().display()).collect();
    format!("{}({})", routine_name(catalog, routine, search_path), types.join(","))
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
/// words can say (current_date and its like) stay as they were written.
fn shown(
    text: &str,
    table: &Table,
    target: Option<(Type, i32)>,
    pretty: bool,
    context: &EvalContext<'_>,
) -> String {
    let by_word = |word: &String| {
        matches!(
            word.as_str(),
            "current_date"
                | "current_time"
                | "current_timestamp"
                | "current_user"
                | "current_role"
                | "current_catalog"
                | "current_schema"
                | "localtime"
                | "localtimestamp"
                | "session_user"
                | "user"
        )
    };
    if crate::parse::identifiers(text).iter().any(by_word) {
        let is_bare =
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'(' | b')'));
        return if is_bare { text.to_ascii_uppercase() } else { text.to_string() };
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
        Ok(expr) if pretty => deparse(without_implicit_casts(&expr), &PrettyTableNames(table)),
        Ok(expr) => deparse(without_implicit_casts(&expr), &TableNames(table)),
        Err(_) => text.to_string(),
    }
}

/// Casts that nobody wrote are not shown around the whole (they are within it: what an operator compares depends on them).
fn without_implicit_casts(mut expr: &crate::expr::Expr) -> &crate::expr::Expr {
    while let crate::expr::Expr::Cast { operand, explicit: false, .. } = expr {
        expr = operand;
    }
    expr
}

/// pg_attrdef.adbin: the column's number before the text, for the text alone does not tell what type it is to have.
pub fn default_node(column: &Column) -> Option<String> {
    column_default(column).map(|text| format!("{{DEFAULT {}}} {text}", column.number))
}

fn of_default_node(node: &str) -> Option<(i16, &str)> {
    let (number, text) = node.strip_prefix("{DEFAULT ")?.split_once("} ")?;
    Some((number.parse().ok()?, text))
}

/// A column's default or generation expression, as pg_get_expr shows it.
pub fn shown_default(
    column: &Column,
    table: &Table,
    pretty: bool,
    context: &EvalContext<'_>,
) -> Option<String> {
    // The length or precision is applied when the default is taken: an implicit cast, which is not shown.
    let target = Some((column.data_type(), -1));
    column_default(column).map(|text| shown(text, table, target, pretty, context))
}

/// pg_get_expr of a default, a generation expression or a predicate.
pub fn expression(text: &str, table: &Table, pretty: bool, context: &EvalContext<'_>) -> String {
    match of_default_node(text) {
        Some((number, text)) => {
            let column = table.columns.iter().find(|column| column.number == number);
            let target = column.map(|column| (column.data_type(), -1));
            shown(text, table, target, pretty, context)
        }
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

/// pg_get_indexdef(index): the whole statement; `qualified`: with the table's schema.
pub fn index_definition(
    catalog: &Catalog,
    table: &Table,
    index: &Index,
    (qualified, pretty): (bool, bool),
    context: &EvalContext<'_>,
) -> String {
    let keys: Vec<String> = index.keys.iter().map(|key| index_element(table, key, pretty, context)).collect();
    let name = match qualified {
        true => qualified_name(catalog, table.schema, &table.name),
        false => quote_identifier(&table.name),
    };
    // Its parts in the partitions are statements of their own.
    let name = if table.is_partitioned() { format!("ONLY {name}") } else { name };
    let mut text = format!(
        "CREATE {}INDEX {} ON {name} USING {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        index.method.name(),
        keys.join(", ")
    );
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", columns_text(table, index.include.iter().copied())));
    }
    if index.nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    text.push_str(&index_options(index));
    if let Some(predicate) = &index.predicate {
        let target = Some((Type::BOOL, -1));
        text.push_str(&format!(" WHERE {}", shown(predicate, table, target, pretty, context)));
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

/// EXCLUDE …: its index, with the operators.
fn exclusion_definition(table: &Table, index: &Index, pretty: bool, context: &EvalContext<'_>) -> String {
    let elements = index.keys.iter().zip(&index.exclusion).map(|(key, operator)| {
        let fact = operator_facts().iter().find(|fact| fact.oid == *operator);
        let text = index_element(table, key, pretty, context);
        format!("{text} WITH {}", fact.map_or("=", |fact| fact.name))
    });
    let elements = elements.collect::<Vec<_>>().join(", ");
    let mut text = format!("EXCLUDE USING {} ({elements})", index.method.name());
    if !index.include.is_empty() {
        text.push_str(&format!(" INCLUDE ({})", columns_text(table, index.include.iter().copied())));
    }
    text.push_str(&index_options(index));
    if let Some(predicate) = &index.predicate {
        let shown = shown(predicate, table, Some((Type::BOOL, -1)), pretty, context);
        text.push_str(&format!(" WHERE ({shown})"));
    }
    text
}

/// WITH (…) of an index.
fn index_options(index: &Index) -> String {
    if index.options.is_empty() {
        return String::new();
    }
    let options = index.options.iter().map(|(name, value)| {
        let value = value.as_deref().unwrap_or("true");
        let quoted = quote_identifier(value);
        let value = if quoted == value { quoted } else { quote_literal(value) };
        format!("{}={value}", quote_identifier(name))
    });
    format!(" WITH ({})", options.collect::<Vec<_>>().join(", "))
}

/// One column of an index, with its operator class and order.
fn index_element(table: &Table, key: &IndexKey, pretty: bool, context: &EvalContext<'_>) -> String {
    let mut text = key_text(table, key, pretty, context);
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
        ConstraintKind::Exclusion(index) => match table.index(*index) {
            Some((_, index)) => exclusion_definition(table, index, pretty, context),
            None => String::new(),
        },
        ConstraintKind::ForeignKey(key) => {
            foreign_key_definition(catalog, &context.services.search_path(), table, key)
        }
    };
    if constraint.no_inherit {
        text.push_str(" NO INHERIT");
    }
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

/// A constant in a partition bound (`get_const_expr` without a cast).
fn bound_constant(text: &str, data_type: Type) -> String {
    let is_plain = match data_type {
        Type::BOOL => return if text.starts_with('t') { "true".into() } else { "false".into() },
        Type::INT4 => !text.starts_with('-'),
        Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8 => {
            text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        }
        _ => false,
    };
    if is_plain { text.to_owned() } else { crate::parse::quote_literal(text) }
}

/// `(1, MAXVALUE)`
pub fn range_end(end: &[RangeDatum], types: &[Type]) -> String {
    let shown = end.iter().zip(types).map(|(datum, data_type)| match datum {
        RangeDatum::MinValue => "MINVALUE".to_owned(),
        RangeDatum::MaxValue => "MAXVALUE".to_owned(),
        RangeDatum::Value(text) => bound_constant(text, *data_type),
    });
    format!("({})", shown.collect::<Vec<_>>().join(", "))
}

/// `FOR VALUES …` or `DEFAULT`.
pub fn partition_bound(bound: &PartitionBound, parent: &Table) -> String {
    let keys = parent.inheritance.partitioning.iter().flat_map(|partitioning| &partitioning.keys);
    let types: Vec<Type> = keys.map(|key| Type(key.data_type)).collect();
    match bound {
        PartitionBound::Default => "DEFAULT".to_owned(),
        PartitionBound::List(values) => {
            let data_type = types.first().copied().unwrap_or(Type::TEXT);
            let shown = values.iter().map(|value| match value {
                Some(text) => bound_constant(text, data_type),
                None => "NULL".to_owned(),
            });
            format!("FOR VALUES IN ({})", shown.collect::<Vec<_>>().join(", "))
        }
        PartitionBound::Range { from, to } => {
            format!("FOR VALUES FROM {} TO {}", range_end(from, &types), range_end(to, &types))
        }
        PartitionBound::Hash { modulus, remainder } => {
            format!("FOR VALUES WITH (modulus {modulus}, remainder {remainder})")
        }
    }
}

/// `RANGE (a, (b + 1))`
pub fn partition_key(table: &Table, context: &EvalContext<'_>) -> Option<String> {
    let partitioning = table.inheritance.partitioning.as_ref()?;
    let keys = partition_columns(table, context);
    Some(format!("{} ({})", partitioning.strategy.name().to_ascii_uppercase(), keys.join(", ")))
}

/// The partition key's columns and expressions.
pub fn partition_columns(table: &Table, context: &EvalContext<'_>) -> Vec<String> {
    let keys = table.inheritance.partitioning.iter().flat_map(|partitioning| &partitioning.keys);
    keys.map(|key| match (key.column, &key.expression) {
        (Some(column), _) => column_name(table, column),
        (None, text) => {
            let text = text.as_deref().unwrap_or_default();
            let shown = shown(text, table, None, false, context);
            if is_call(text) { shown } else { format!("({shown})") }
        }
    })
    .collect()
}

/// pg_get_partition_constraintdef: what a partition's rows satisfy, its ancestors' bounds included.
pub fn partition_constraint(catalog: &Catalog, table: &Table, context: &EvalContext<'_>) -> Option<String> {
    let mut conditions: Vec<String> = Vec::new();
    let mut child = table.clone();
    for parent in catalog.partition_ancestors(table) {
        let bound = child.inheritance.bound.clone()?;
        let own = bound_conditions(catalog, &parent, &child, &bound);
        conditions.splice(0..0, own);
        child = Table::clone(&parent);
    }
    if conditions.is_empty() {
        return None;
    }
    Some(shown(&conditions.join(" AND "), table, Some((Type::BOOL, -1)), false, context))
}

/// A bound as conditions that hold together.
fn bound_conditions(catalog: &Catalog, parent: &Table, child: &Table, bound: &PartitionBound) -> Vec<String> {
    let Some(partitioning) = &parent.inheritance.partitioning else { return Vec::new() };
    let keys: Vec<(String, Type)> = partitioning
        .keys
        .iter()
        .map(|key| {
            let text = match (key.column, &key.expression) {
                (Some(column), _) => column_name(parent, column),
                (None, text) => format!("({})", text.as_deref().unwrap_or_default()),
            };
            (text, Type(key.data_type))
        })
        .collect();
    let constant = |text: &str, data_type: Type| match bound_constant(text, data_type) {
        quoted if quoted.starts_with('\'') => format!("{quoted}::{}", data_type.display()),
        plain => plain,
    };
    match bound {
        PartitionBound::List(values) => {
            let (key, data_type) = &keys[0];
            let listed: Vec<String> =
                values.iter().flatten().map(|text| constant(text, *data_type)).collect();
            let among = match &listed[..] {
                [] => None,
                [one] => Some(format!("({key} = {one})")),
                many => Some(format!("({key} = ANY (ARRAY[{}]))", many.join(", "))),
            };
            match (values.contains(&None), among) {
                (true, None) => vec![format!("({key} IS NULL)")],
                (true, Some(among)) => vec![format!("(({key} IS NULL) OR {among})")],
                (false, Some(among)) => vec![format!("({key} IS NOT NULL)"), among],
                (false, None) => Vec::new(),
            }
        }
        PartitionBound::Range { from, to } => {
            let mut conditions: Vec<String> =
                keys.iter().map(|(key, _)| format!("({key} IS NOT NULL)")).collect();
            let mut first = 0;
            while let (Some(RangeDatum::Value(low)), Some(RangeDatum::Value(high))) =
                (from.get(first), to.get(first))
            {
                if low != high || first + 1 == keys.len() {
                    break;
                }
                conditions.push(format!("({} = {})", keys[first].0, constant(low, keys[first].1)));
                first += 1;
            }
            for (end, strict, loose) in [(from, ">", ">="), (to, "<", "<")] {
                let mut alternatives = Vec::new();
                for last in first..keys.len() {
                    let RangeDatum::Value(value) = &end[last] else { break };
                    let mut parts: Vec<String> = (first..last)
                        .filter_map(|at| match &end[at] {
                            RangeDatum::Value(value) => {
                                Some(format!("({} = {})", keys[at].0, constant(value, keys[at].1)))
                            }
                            _ => None,
                        })
                        .collect();
                    let is_end = last + 1 == keys.len()
                        || (end[last + 1] == RangeDatum::MinValue && strict == ">")
                        || (end[last + 1] == RangeDatum::MaxValue && strict == "<");
                    let operator = match (is_end, strict) {
                        (true, ">") => loose,
                        (true, _) if last + 1 < keys.len() => "<=",
                        _ => strict,
                    };
                    parts.push(format!("({} {operator} {})", keys[last].0, constant(value, keys[last].1)));
                    alternatives.push(match parts.len() {
                        1 => parts.remove(0),
                        _ => format!("({})", parts.join(" AND ")),
                    });
                    if is_end {
                        break;
                    }
                }
                match alternatives.len() {
                    0 => {}
                    1 => conditions.append(&mut alternatives),
                    _ => conditions.push(format!("({})", alternatives.join(" OR "))),
                }
            }
            conditions
        }
        PartitionBound::Hash { modulus, remainder } => {
            let names: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
            vec![format!(
                "satisfies_hash_partition('{}'::oid, {modulus}, {remainder}, {})",
                parent.oid,
                names.join(", ")
            )]
        }
        PartitionBound::Default => {
            let siblings = parent.inheritance.children.iter().filter_map(|oid| catalog.table(*oid));
            let others = siblings.filter(|other| other.oid != child.oid).filter_map(|other| {
                let bound = other.inheritance.bound.as_ref()?;
                Some(bound_conditions(catalog, parent, &other, bound))
            });
            let joined: Vec<String> = match partitioning.strategy {
                // PostgreSQL shows one list of all values, and says once that keys are not null.
                Strategy::List => {
                    let all: Vec<Option<String>> = parent
                        .inheritance
                        .children
                        .iter()
                        .filter_map(|oid| match catalog.table(*oid)?.inheritance.bound.clone()? {
                            PartitionBound::List(values) => Some(values),
                            _ => None,
                        })
                        .flatten()
                        .collect();
                    match all.is_empty() {
                        true => return Vec::new(),
                        false => {
                            let all = bound_conditions(catalog, parent, child, &PartitionBound::List(all));
                            return vec![format!("(NOT ({}))", all.join(" AND "))];
                        }
                    }
                }
                _ => others
                    .map(|conditions| {
                        let rest = &conditions[keys.len().min(conditions.len())..];
                        match rest {
                            [one] => one.clone(),
                            rest => format!("({})", rest.join(" AND ")),
                        }
                    })
                    .collect(),
            };
            if joined.is_empty() {
                return Vec::new();
            }
            let known: Vec<String> = keys.iter().map(|(key, _)| format!("({key} IS NOT NULL)")).collect();
            let or = match &joined[..] {
                [one] => one.clone(),
                many => format!("({})", many.join(" OR ")),
            };
            vec![format!("(NOT ({} AND {or}))", known.join(" AND "))]
        }
    }
}
