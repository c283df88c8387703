//! has_table_privilege and its many kin, pg_has_role, and access control lists as values.
//!
//! Each family has six forms: a role (by name, by OID, or the current one), an object (by name or OID) and the privileges asked for,
//! of which one that is held is enough. An OID that means nothing gives null.

use super::{EvalContext, Registry, SetIterator, parse_in_context};
use crate::catalog::acl::{self, PUBLIC_ROLE};
use crate::catalog::{AclItem, Catalog, ObjectClass, Privileges, ROLE_POSTGRES, Relation};
use crate::error::{Error, Result, SqlState};
use crate::plan::permissions::{guarded, has_on_columns};
use crate::types::{ArrayValue, Datum, Oid, Type};
use std::collections::BTreeSet;

/// Privileges asked for: each with whether the right to pass it on is meant.
type Asked = Vec<(Privileges, bool)>;

pub fn register(r: &mut Registry) {
    macro_rules! family {
        ($check:expr, $($name:literal)*) => {$( r.scalar($name, |arguments, context| with_role(arguments, 2, context, $check)); )*};
    }
    macro_rules! column_family {
        ($($name:literal)*) => {$( r.scalar($name, |arguments, context| with_role(arguments, 3, context, column)); )*};
    }
    family!(table, "has_table_privilege_name" "has_table_privilege_id" "has_table_privilege_name_name"
        "has_table_privilege_name_id" "has_table_privilege_id_name" "has_table_privilege_id_id");
    family!(any_column, "has_any_column_privilege_name" "has_any_column_privilege_id"
        "has_any_column_privilege_name_name" "has_any_column_privilege_name_id"
        "has_any_column_privilege_id_name" "has_any_column_privilege_id_id");
    family!(sequence, "has_sequence_privilege_name" "has_sequence_privilege_id"
        "has_sequence_privilege_name_name" "has_sequence_privilege_name_id"
        "has_sequence_privilege_id_name" "has_sequence_privilege_id_id");
    family!(schema, "has_schema_privilege_name" "has_schema_privilege_id" "has_schema_privilege_name_name"
        "has_schema_privilege_name_id" "has_schema_privilege_id_name" "has_schema_privilege_id_id");
    family!(database, "has_database_privilege_name" "has_database_privilege_id"
        "has_database_privilege_name_name" "has_database_privilege_name_id"
        "has_database_privilege_id_name" "has_database_privilege_id_id");
    family!(function, "has_function_privilege_name" "has_function_privilege_id"
        "has_function_privilege_name_name" "has_function_privilege_name_id"
        "has_function_privilege_id_name" "has_function_privilege_id_id");
    family!(data_type, "has_type_privilege_name" "has_type_privilege_id" "has_type_privilege_name_name"
        "has_type_privilege_name_id" "has_type_privilege_id_name" "has_type_privilege_id_id");
    family!(language, "has_language_privilege_name" "has_language_privilege_id"
        "has_language_privilege_name_name" "has_language_privilege_name_id"
        "has_language_privilege_id_name" "has_language_privilege_id_id");
    family!(tablespace, "has_tablespace_privilege_name" "has_tablespace_privilege_id"
        "has_tablespace_privilege_name_name" "has_tablespace_privilege_name_id"
        "has_tablespace_privilege_id_name" "has_tablespace_privilege_id_id");
    family!(member, "pg_has_role_name" "pg_has_role_id" "pg_has_role_name_name" "pg_has_role_name_id"
        "pg_has_role_id_name" "pg_has_role_id_id");
    column_family!("has_column_privilege_name_name" "has_column_privilege_name_attnum"
        "has_column_privilege_id_name" "has_column_privilege_id_attnum" "has_column_privilege_name_name_name"
        "has_column_privilege_name_name_attnum" "has_column_privilege_name_id_name"
        "has_column_privilege_name_id_attnum" "has_column_privilege_id_name_name"
        "has_column_privilege_id_name_attnum" "has_column_privilege_id_id_name"
        "has_column_privilege_id_id_attnum");
    r.set("aclexplode", |arguments, context| match arguments {
        [Datum::Array(list)] => explode(list, context),
        _ => Ok(Box::new(std::iter::empty())),
    });
    r.scalar("acldefault_sql", acl_default);
    r.scalar("makeaclitem", make_item);
    r.scalar("aclcontains", contains);
}

/// Finds the role that a call is about, the current one where it names none.
fn with_role(
    arguments: &[Datum],
    rest: usize,
    context: &EvalContext<'_>,
    check: fn(Oid, &[Datum], &EvalContext<'_>) -> Result<Option<bool>>,
) -> Result<Datum> {
    let (given, rest) = arguments.split_at(arguments.len().saturating_sub(rest));
    let role = match given {
        [Datum::Text(name)] => role_named(name, context)?,
        [Datum::Oid(oid)] => *oid,
        _ => context.services.acting_role(),
    };
    Ok(check(role, rest, context)?.map_or(Datum::Null, Datum::Bool))
}

fn role_named(name: &str, context: &EvalContext<'_>) -> Result<Oid> {
    if name == "public" {
        return Ok(PUBLIC_ROLE);
    }
    let catalog = context.services.catalog();
    let found = catalog.find_role(name).map(|role| role.oid);
    found.ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
}

/// `SELECT, UPDATE WITH GRANT OPTION`
fn asked(list: &Datum, class: ObjectClass) -> Result<Asked> {
    let Datum::Text(list) = list else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for item in list.split(',') {
        let words: Vec<String> = item.split_whitespace().map(str::to_ascii_uppercase).collect();
        let (name, option) = match &words[..] {
            [name @ .., with, grant, option] if with == "WITH" && grant == "GRANT" && option == "OPTION" => {
                (name.join(" "), true)
            }
            name => (name.join(" "), false),
        };
        // Ignored since PostgreSQL 8.2.
        if name == "RULE" && class == ObjectClass::Table {
            found.push((Privileges::NONE, option));
            continue;
        }
        let bit = Privileges::named(&name).filter(|bit| class.all().contains(*bit)).ok_or_else(|| {
            let message = format!("unrecognized privilege type: \"{}\"", item.trim());
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })?;
        found.push((bit, option));
    }
    Ok(found)
}

fn any(asked: &Asked, (held, grantable): (Privileges, Privileges)) -> bool {
    asked.iter().any(|(bit, option)| if *option { &grantable } else { &held }.intersects(*bit))
}

fn relation(object: &Datum, context: &EvalContext<'_>) -> Result<Option<Relation>> {
    let oid = match object {
        Datum::Text(name) => match parse_in_context(name, Type::REGCLASS, -1, context)? {
            Datum::Oid(oid) => oid,
            _ => return Err(Error::internal("regclass is an OID")),
        },
        Datum::Oid(oid) => *oid,
        _ => return Ok(None),
    };
    Ok(context.services.catalog().relation(oid))
}

fn table(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Table)?;
    let catalog = context.services.catalog();
    let found = relation(&rest[0], context)?;
    Ok(found.map(|found| any(&asked, guarded(&found, &catalog).held(role, &catalog))))
}

fn sequence(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Sequence)?;
    let catalog = context.services.catalog();
    let Some(found) = relation(&rest[0], context)? else { return Ok(None) };
    let object = guarded(&found, &catalog);
    if object.class != ObjectClass::Sequence {
        let message = format!("\"{}\" is not a sequence", object.name);
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
    }
    Ok(Some(any(&asked, object.held(role, &catalog))))
}

/// Whether a role has one of the privileges on one of the columns (all: any of the relation's).
fn on_columns(
    found: &Relation,
    columns: &BTreeSet<i16>,
    asked: &Asked,
    role: Oid,
    catalog: &Catalog,
) -> bool {
    let object = guarded(found, catalog);
    if any(asked, object.held(role, catalog)) {
        return true;
    }
    asked.iter().any(|(bit, option)| match option {
        false => has_on_columns(found, object.owner, columns, *bit, role, catalog),
        true => match found {
            Relation::Table(table) => table
                .columns
                .iter()
                .filter(|column| !column.dropped)
                .filter(|column| columns.is_empty() || columns.contains(&column.number))
                .filter_map(|column| column.acl.as_ref())
                .any(|acl| acl.held(&catalog.privileges_of(role), object.owner).1.contains(*bit)),
            _ => false,
        },
    })
}

fn any_column(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Column)?;
    let catalog = context.services.catalog();
    let found = relation(&rest[0], context)?;
    Ok(found.map(|found| on_columns(&found, &BTreeSet::new(), &asked, role, &catalog)))
}

fn column(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[2], ObjectClass::Column)?;
    let catalog = context.services.catalog();
    let Some(found) = relation(&rest[0], context)? else { return Ok(None) };
    let columns: Vec<(i16, String, bool)> = match &found {
        Relation::Table(table) => {
            table.columns.iter().map(|column| (column.number, column.name.clone(), column.dropped)).collect()
        }
        Relation::System(system) => {
            let numbered = system.columns.iter().enumerate();
            numbered.map(|(at, (name, _))| (at as i16 + 1, (*name).to_owned(), false)).collect()
        }
        _ => Vec::new(),
    };
    let number = match &rest[1] {
        Datum::Text(name) => {
            let known = columns.iter().find(|(_, known, dropped)| !dropped && **known == **name);
            let Some((number, ..)) = known else {
                let relation = guarded(&found, &catalog).name.to_owned();
                let message = format!("column \"{name}\" of relation \"{relation}\" does not exist");
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
            };
            *number
        }
        number => {
            let number = number.as_i32().and_then(|number| i16::try_from(number).ok()).unwrap_or(0);
            if !columns.iter().any(|(known, _, dropped)| *known == number && !dropped) {
                return Ok(None);
            }
            number
        }
    };
    Ok(Some(on_columns(&found, &BTreeSet::from([number]), &asked, role, &catalog)))
}

fn schema(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Schema)?;
    let catalog = context.services.catalog();
    let found = match &rest[0] {
        Datum::Text(name) => Some(catalog.find_schema(name).ok_or_else(|| {
            Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
        })?),
        Datum::Oid(oid) => catalog.schema(*oid),
        _ => None,
    };
    Ok(found
        .map(|found| any(&asked, catalog.held(role, ObjectClass::Schema, found.acl.as_ref(), found.owner))))
}

fn database(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Database)?;
    let catalog = context.services.catalog();
    let found = match &rest[0] {
        Datum::Text(name) => Some(catalog.find_database(name).ok_or_else(|| {
            Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
        })?),
        Datum::Oid(oid) => catalog.databases().find(|database| database.oid == *oid),
        _ => None,
    };
    Ok(found
        .map(|found| any(&asked, catalog.held(role, ObjectClass::Database, found.acl.as_ref(), found.owner))))
}

fn function(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Function)?;
    let catalog = context.services.catalog();
    let oid = match &rest[0] {
        Datum::Text(name) => match parse_in_context(name, Type::REGPROCEDURE, -1, context)? {
            Datum::Oid(oid) => oid,
            _ => return Err(Error::internal("regprocedure is an OID")),
        },
        Datum::Oid(oid) => *oid,
        _ => return Ok(None),
    };
    let held = match catalog.routine(oid) {
        Some(routine) => catalog.held(role, ObjectClass::Function, routine.acl.as_ref(), routine.owner),
        None if super::function_by_oid(oid).is_some() => {
            let acl = catalog.built_in_acl(ObjectClass::Function, oid);
            catalog.held(role, ObjectClass::Function, Some(acl), ROLE_POSTGRES)
        }
        None => return Ok(None),
    };
    Ok(Some(any(&asked, held)))
}

fn data_type(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Type)?;
    let oid = match &rest[0] {
        Datum::Text(name) => match parse_in_context(name, Type::REGTYPE, -1, context)? {
            Datum::Oid(oid) => oid,
            _ => return Err(Error::internal("regtype is an OID")),
        },
        Datum::Oid(oid) => *oid,
        _ => return Ok(None),
    };
    let catalog = context.services.catalog();
    let element = Type(oid).element().filter(|_| Type(oid).is_array()).map_or(oid, |element| element.0);
    if let Some(found) = catalog.user_type(element) {
        let held = catalog.held(role, ObjectClass::Type, found.acl.as_ref(), found.owner);
        return Ok(Some(any(&asked, held)));
    }
    Ok(Type::from_oid(oid).map(|known| {
        // An array type has its element's privileges.
        let oid = known.element().filter(|_| known.is_array()).unwrap_or(known).0;
        built_in(role, ObjectClass::Type, oid, &asked, context)
    }))
}

fn built_in(role: Oid, class: ObjectClass, oid: Oid, asked: &Asked, context: &EvalContext<'_>) -> bool {
    let catalog = context.services.catalog();
    let acl = catalog.built_in_acl(class, oid);
    any(asked, catalog.held(role, class, Some(acl), ROLE_POSTGRES))
}

fn language(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Language)?;
    let languages = [("internal", 12), ("c", 13), ("sql", 14), ("plpgsql", 13553)];
    let found = named("language", &rest[0], &languages)?;
    Ok(found.map(|oid| match oid {
        // Not trusted: for superusers alone.
        12 | 13 => context.services.catalog().is_superuser(role),
        oid => built_in(role, ObjectClass::Language, oid, &asked, context),
    }))
}

fn tablespace(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let asked = asked(&rest[1], ObjectClass::Tablespace)?;
    let found = named("tablespace", &rest[0], &[("pg_default", 1663), ("pg_global", 1664)])?;
    let catalog = context.services.catalog();
    Ok(found.map(|_| any(&asked, catalog.held(role, ObjectClass::Tablespace, None, ROLE_POSTGRES))))
}

fn named(what: &str, object: &Datum, known: &[(&str, Oid)]) -> Result<Option<Oid>> {
    match object {
        Datum::Text(name) => match known.iter().find(|(known, _)| **known == **name) {
            Some((_, oid)) => Ok(Some(*oid)),
            None => {
                let message = format!("{what} \"{name}\" does not exist");
                Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
            }
        },
        Datum::Oid(oid) => Ok(known.iter().map(|(_, known)| *known).find(|known| known == oid)),
        _ => Ok(None),
    }
}

/// pg_has_role: MEMBER (may SET ROLE), USAGE (has the privileges without that); with the admin option, the right to grant it.
fn member(role: Oid, rest: &[Datum], context: &EvalContext<'_>) -> Result<Option<bool>> {
    let of = match &rest[0] {
        Datum::Text(name) => role_named(name, context)?,
        Datum::Oid(oid) => *oid,
        _ => return Ok(None),
    };
    let Datum::Text(list) = &rest[1] else { return Ok(None) };
    let catalog = context.services.catalog();
    let mut held = false;
    for item in list.split(',') {
        let words: Vec<String> = item.split_whitespace().map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        held |= match words[..] {
            ["MEMBER"] => catalog.is_member_of(role, of),
            ["USAGE"] => catalog.has_privileges_of(role, of),
            ["MEMBER" | "USAGE", "WITH", "GRANT" | "ADMIN", "OPTION"] => catalog.is_admin_of(role, of),
            _ => {
                let message = format!("unrecognized privilege type: \"{}\"", item.trim());
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
    }
    Ok(Some(held))
}

// ---- lists as values ----

fn items(list: &ArrayValue, catalog: &Catalog) -> Result<Vec<AclItem>> {
    let texts = list.elements.iter().filter_map(|element| match element {
        Datum::Text(text) => Some(text),
        _ => None,
    });
    texts.map(|text| acl::parse_item(text, catalog)).collect()
}

fn explode(list: &ArrayValue, context: &EvalContext<'_>) -> Result<SetIterator> {
    let mut rows = Vec::new();
    for item in items(list, &context.services.catalog())? {
        for (bit, _, name) in item.privileges.each() {
            rows.push(Ok(vec![
                Datum::Oid(item.grantor),
                Datum::Oid(item.grantee),
                Datum::text(name),
                Datum::Bool(item.grantable.intersects(bit)),
            ]));
        }
    }
    Ok(Box::new(rows.into_iter()))
}

fn acl_default(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [Datum::Text(letter), Datum::Oid(owner)] = arguments else { return Ok(Datum::Null) };
    let letter = letter.chars().next().unwrap_or(' ');
    // A foreign server's letter is the default privileges' for sequences.
    let class = match letter {
        'S' => Some(ObjectClass::ForeignServer),
        letter => ObjectClass::of_letter(letter),
    };
    let Some(class) = class else {
        let message = format!("unrecognized object type abbreviation: {letter}");
        return Err(Error::internal(message));
    };
    Ok(list_value(&class.default_acl(*owner), &context.services.catalog()))
}

/// A list as aclitem[].
pub fn list_value(acl: &crate::catalog::Acl, catalog: &Catalog) -> Datum {
    let elements: Vec<Datum> = acl.0.iter().map(|item| Datum::text(acl::item_text(item, catalog))).collect();
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
    Datum::array(ArrayValue { element: Type::ACLITEM, dimensions, elements })
}

fn make_item(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [Datum::Oid(grantee), Datum::Oid(grantor), Datum::Text(list), Datum::Bool(option)] = arguments else {
        return Ok(Datum::Null);
    };
    let mut privileges = Privileges::NONE;
    for name in list.split(',') {
        privileges |= Privileges::named(name.trim()).ok_or_else(|| {
            let message = format!("unrecognized privilege type: \"{}\"", name.trim());
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })?;
    }
    let grantable = if *option { privileges } else { Privileges::NONE };
    let item = AclItem { grantee: *grantee, grantor: *grantor, privileges, grantable };
    Ok(Datum::text(acl::item_text(&item, &context.services.catalog())))
}

/// `acl @> item`
fn contains(arguments: &[Datum], context: &EvalContext<'_>) -> Result<Datum> {
    let [Datum::Array(list), Datum::Text(item)] = arguments else { return Ok(Datum::Null) };
    let catalog = context.services.catalog();
    let item = acl::parse_item(item, &catalog)?;
    let holds = items(list, &catalog)?.iter().any(|other| {
        (other.grantee, other.grantor) == (item.grantee, item.grantor)
            && other.privileges.contains(item.privileges)
            && other.grantable.contains(item.grantable)
    });
    Ok(Datum::Bool(holds))
}
