//! Finding relations by name, and making names up as PostgreSQL does.

use crate::catalog::system::type_facts;
use crate::catalog::{Catalog, Relation, Schema, Table};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::ObjectName;
use crate::types::{Oid, Type};
use std::sync::Arc;

/// NAMEDATALEN - 1.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// The schema and the name proper.
pub(crate) fn split<'a>(catalog: &Catalog, name: &'a ObjectName) -> Result<(Option<&'a str>, &'a str)> {
    match &name.parts[..] {
        [name] => Ok((None, name)),
        [schema, name] => Ok((Some(schema), name)),
        [database, schema, relation] => {
            if *database != catalog.database().name {
                let message = format!(
                    "cross-database references are not implemented: \"{database}.{schema}.{relation}\""
                );
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(name.position));
            }
            Ok((Some(schema), relation))
        }
        parts => {
            let message = format!("improper qualified name (too many dotted names): {}", parts.join("."));
            Err(Error::new(SqlState::SYNTAX_ERROR, message).at(name.position))
        }
    }
}

pub(crate) fn display(name: &ObjectName) -> String {
    name.parts.join(".")
}

pub(crate) fn find_relation(
    catalog: &Catalog,
    search_path: &[String],
    name: &ObjectName,
) -> Result<Option<Relation>> {
    let (schema, relation) = split(catalog, name)?;
    let schema = match schema {
        // This session's temporary schema leads its path, if there is one.
        Some("pg_temp") => match search_path.iter().find(|schema| schema.starts_with("pg_temp_")) {
            Some(schema) => Some(schema.as_str()),
            None => return Ok(None),
        },
        schema => schema,
    };
    Ok(catalog.find_relation(schema, relation, search_path))
}

pub(crate) fn find_table(catalog: &Catalog, search_path: &[String], name: &ObjectName) -> Result<Arc<Table>> {
    match find_relation(catalog, search_path, name)? {
        Some(Relation::Table(table)) => Ok(table),
        Some(_) => Err(wrong_kind(name, "a table")),
        None => Err(no_relation(name)),
    }
}

pub(crate) fn no_relation(name: &ObjectName) -> Error {
    let message = format!("relation \"{}\" does not exist", display(name));
    Error::new(SqlState::UNDEFINED_TABLE, message).at(name.position)
}

/// What DROP says: the name alone, for the schema is there, or else that is what is missing.
pub(crate) fn nothing_to_drop(catalog: &Catalog, name: &ObjectName, word: &str) -> Error {
    let Some((last, schema)) = name.parts.split_last() else { return no_relation(name) };
    match schema.last() {
        Some(schema) if schema != "pg_temp" && catalog.find_schema(schema).is_none() => no_schema(schema),
        _ => Error::new(SqlState::UNDEFINED_TABLE, format!("{word} \"{last}\" does not exist")),
    }
}

pub(crate) fn relation_exists(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
}

/// `kind` with its article.
pub(crate) fn wrong_kind(name: &ObjectName, kind: &str) -> Error {
    let name = name.parts.last().map_or("", |name| name);
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not {kind}"))
}

pub(crate) fn no_column(table: &Table, column: &str) -> Error {
    let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
    Error::new(SqlState::UNDEFINED_COLUMN, message)
}

pub(crate) fn no_schema(name: &str) -> Error {
    Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

/// The collation that a type's value is to have.
pub(crate) fn collation_of(name: &ObjectName, data_type: Type) -> Result<Oid> {
    let collation = collation(name).map_err(|error| error.at(name.position))?;
    match type_facts(data_type.base().0).collation == 0 && data_type.element().is_none() {
        true => {
            let message = format!("collations are not supported by type {}", data_type.display());
            Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(name.position))
        }
        false => Ok(collation),
    }
}

/// By name: those of pg_collation. All of them compare bytes.
pub(crate) fn collation(name: &ObjectName) -> Result<Oid> {
    let found = match name.parts.as_slice() {
        [schema, name] if schema == "pg_catalog" => name.as_str(),
        [name] => name.as_str(),
        _ => "",
    };
    match found {
        "default" => Ok(100),
        "C" => Ok(950),
        "POSIX" => Ok(951),
        "ucs_basic" => Ok(12340),
        _ => {
            let message = format!("collation \"{}\" for encoding \"UTF8\" does not exist", display(name));
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
        }
    }
}

/// Where something without a schema in its name is created: the first schema of the path that exists.
pub(crate) fn creation_schema<'a>(
    catalog: &'a Catalog,
    search_path: &[String],
    schema: Option<&str>,
) -> Result<&'a Schema> {
    let found = match schema {
        Some(name) => catalog.find_schema(name).ok_or_else(|| no_schema(name))?,
        None => search_path
            .iter()
            .filter(|name| !name.starts_with("pg_temp_"))
            .find_map(|name| catalog.find_schema(name))
            .ok_or_else(|| {
                Error::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
            })?,
    };
    if found.database == 0 {
        let message = format!("permission denied to create in schema \"{}\"", found.name);
        let detail = "System catalog modifications are currently disallowed.";
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message).detail(detail));
    }
    Ok(found)
}

/// `a_b_label`, with a and b shortened evenly until it fits (makeObjectName).
pub(crate) fn make_name(first: &str, second: Option<&str>, label: &str) -> String {
    let overhead = label.len() + 1 + second.map_or(0, |_| 1);
    let available = NAME_BYTES_MAX.saturating_sub(overhead);
    let mut lengths = (first.len(), second.map_or(0, str::len));
    while lengths.0 + lengths.1 > available {
        if lengths.0 > lengths.1 {
            lengths.0 -= 1;
        } else {
            lengths.1 -= 1;
        }
    }
    let mut name = clipped(first, lengths.0).to_string();
    if let Some(second) = second {
        name.push('_');
        name.push_str(clipped(second, lengths.1));
    }
    name.push('_');
    name.push_str(label);
    name
}

fn clipped(text: &str, mut bytes: usize) -> &str {
    while !text.is_char_boundary(bytes) {
        bytes -= 1;
    }
    &text[..bytes]
}

/// The first of `t_a_label`, `t_a_label1`, `t_a_label2`, … that is free.
pub(crate) fn choose_name(
    first: &str,
    second: Option<&str>,
    label: &str,
    is_taken: impl Fn(&str) -> bool,
) -> String {
    let mut name = make_name(first, second, label);
    for number in 1u32.. {
        if !is_taken(&name) {
            break;
        }
        name = make_name(first, second, &format!("{label}{number}"));
    }
    name
}

pub(crate) fn is_relation_name_taken(catalog: &Catalog, schema: Oid, name: &str) -> bool {
    catalog.find_in_schema(schema, name).is_some()
}

/// An identifier as SQL text: quoted unless it is plain lower case.
pub(crate) fn quote_identifier(name: &str) -> String {
    let mut chars = name.chars();
    let plain_start = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    if plain_start && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return name.to_string();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_and_shortened_as_postgresql_does() {
        assert_eq!(make_name("t", None, "pkey"), "t_pkey");
        assert_eq!(make_name("t", Some("a_b"), "key"), "t_a_b_key");
        let long = "x".repeat(63);
        let name = make_name(&long, Some("column"), "seq");
        assert_eq!(name.len(), NAME_BYTES_MAX);
        assert!(name.ends_with("_column_seq"));
        let wide = "ü".repeat(31);
        assert!(make_name(&wide, None, "pkey").ends_with("ü_pkey"));
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let taken = ["t_a_key", "t_a_key1"];
        assert_eq!(choose_name("t", Some("a"), "key", |name| taken.contains(&name)), "t_a_key2");
    }

    #[test]
    fn identifiers_are_quoted_when_they_must_be() {
        assert_eq!(quote_identifier("abc_1"), "abc_1");
        assert_eq!(quote_identifier("Abc"), "\"Abc\"");
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_identifier("1a"), "\"1a\"");
    }
}
