//! pg_extension and what could be in it; and what belongs to an extension.

use super::objects::{CLASS_EXTENSION, CLASS_LANGUAGE};
use super::relations::{Producer, Rows, boolean, oid, text};
use crate::catalog::routine::LANGUAGE_PLPGSQL;
use crate::catalog::{Extension, PG_CATALOG, ROLE_POSTGRES};
use crate::error::Result;
use crate::extension;
use crate::functions::{self, EvalContext};
use crate::types::{Datum, Oid, Type};

/// pg_extension's row of plpgsql, which every database has.
pub const PLPGSQL_OID: Oid = 13559;
pub const PLPGSQL_COMMENT: &str = "PL/pgSQL procedural language";
const PLPGSQL_VERSION: &str = "1.0";
/// Class and OID: its handlers and the language.
pub const PLPGSQL_MEMBERS: [(Oid, Oid); 4] = [
    (CLASS_FUNCTION, 13560),
    (CLASS_FUNCTION, 13561),
    (CLASS_FUNCTION, 13562),
    (CLASS_LANGUAGE, LANGUAGE_PLPGSQL),
];

const CLASS_TYPE: Oid = 1247;
const CLASS_FUNCTION: Oid = 1255;
const CLASS_OPERATOR: Oid = 2617;
const CLASS_CAST: Oid = 2605;

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "pg_extension" => pg_extension,
        "pg_available_extensions" => pg_available_extensions,
        "pg_available_extension_versions" => pg_available_extension_versions,
        _ => return None,
    })
}

fn pg_extension(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_extension");
    rows.push([
        ("oid", oid(PLPGSQL_OID)),
        ("extname", text("plpgsql")),
        ("extowner", oid(ROLE_POSTGRES)),
        ("extnamespace", oid(PG_CATALOG)),
        ("extversion", text(PLPGSQL_VERSION)),
    ]);
    for extension in context.services.catalog().extensions() {
        rows.push([
            ("oid", oid(extension.oid)),
            ("extname", text(&extension.name)),
            ("extowner", oid(extension.owner)),
            ("extnamespace", oid(extension.schema)),
            ("extrelocatable", boolean(true)),
            ("extversion", text(&extension.version)),
        ]);
    }
    rows.finish()
}

fn pg_available_extensions(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_available_extensions");
    rows.push([
        ("name", text("plpgsql")),
        ("default_version", text(PLPGSQL_VERSION)),
        ("installed_version", text(PLPGSQL_VERSION)),
        ("comment", text(PLPGSQL_COMMENT)),
    ]);
    for extension in &extension::ALL {
        let installed = catalog.find_extension(extension.name).map(|found| text(&found.version));
        rows.push([
            ("name", text(extension.name)),
            ("default_version", text(extension.version)),
            ("installed_version", installed.unwrap_or_default()),
            ("comment", text(extension.comment)),
        ]);
    }
    rows.finish()
}

fn pg_available_extension_versions(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_available_extension_versions");
    rows.push([
        ("name", text("plpgsql")),
        ("version", text(PLPGSQL_VERSION)),
        ("installed", boolean(true)),
        ("superuser", boolean(true)),
        ("trusted", boolean(true)),
        ("relocatable", boolean(false)),
        ("schema", text("pg_catalog")),
        ("comment", text(PLPGSQL_COMMENT)),
    ]);
    for extension in &extension::ALL {
        rows.push([
            ("name", text(extension.name)),
            ("version", text(extension.version)),
            ("installed", boolean(catalog.find_extension(extension.name).is_some())),
            ("superuser", boolean(true)),
            ("trusted", boolean(true)),
            ("relocatable", boolean(true)),
            ("comment", text(extension.comment)),
        ]);
    }
    rows.finish()
}

/// Class and OID of what belongs to an extension, as pg_depend has it. (An array type belongs to its elements' type.)
pub fn members(extension: &Extension) -> Vec<(Oid, Oid)> {
    let Some(built_in) = extension::find(&extension.name) else { return Vec::new() };
    let types = built_in.types.iter().map(|data_type| (CLASS_TYPE, data_type.0));
    let support = functions::support_functions().iter().map(|function| function.oid);
    let all = functions::all().iter().map(|function| function.oid).chain(support);
    let operators = functions::operator_facts().iter().map(|operator| (CLASS_OPERATOR, operator.oid));
    let casts = functions::cast_facts().iter().map(|cast| (CLASS_CAST, cast.oid));
    let others = all.map(|function| (CLASS_FUNCTION, function)).chain(operators).chain(casts);
    types.chain(others.filter(|(_, oid)| built_in.has(*oid))).collect()
}

/// pg_describe_object() of extensions, and of types, functions, operators and casts that the program has.
pub fn describe_member(class: Oid, object: Oid, context: &EvalContext<'_>) -> Option<String> {
    let display = |data_type: Type| data_type.display();
    match class {
        CLASS_EXTENSION if object == PLPGSQL_OID => Some("extension plpgsql".to_owned()),
        CLASS_EXTENSION => {
            let catalog = context.services.catalog();
            let found = catalog.extensions().find(|extension| extension.oid == object)?;
            Some(format!("extension {}", crate::parse::quote_identifier(&found.name)))
        }
        CLASS_LANGUAGE if object == LANGUAGE_PLPGSQL => Some("language plpgsql".to_owned()),
        CLASS_TYPE => Type::from_oid(object).map(|found| format!("type {}", display(found))),
        CLASS_FUNCTION => {
            let of = |name: &str, arguments: &[Type]| {
                let arguments: Vec<String> = arguments.iter().map(|data_type| display(*data_type)).collect();
                format!("function {name}({})", arguments.join(","))
            };
            let found = functions::function_by_oid(object).map(|found| of(found.name, found.arguments));
            found.or_else(|| functions::support_function(object).map(|found| of(found.name, found.arguments)))
        }
        CLASS_OPERATOR => {
            let found = functions::operator_facts().iter().find(|operator| operator.oid == object)?;
            let left = found.left.map_or_else(|| "NONE".to_owned(), display);
            Some(format!("operator {}({left},{})", found.name, display(found.right)))
        }
        CLASS_CAST => {
            let found = functions::cast_facts().iter().find(|cast| cast.oid == object)?;
            Some(format!("cast from {} to {}", display(found.source), display(found.target)))
        }
        _ => None,
    }
}
