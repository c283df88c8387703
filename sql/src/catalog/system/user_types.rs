//! What users' types add to the catalogs: pg_type, pg_enum, and composite types' entries in pg_class and pg_attribute, domains' in
//! pg_constraint.

use super::objects::{Attribute, push_attribute};
use super::relations::{Rows, boolean, letter, oid, optional, text};
use super::type_facts;
use crate::catalog::{Catalog, FIRST_USER_OID, TypeKind};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::{BUILTIN_RANGES, Datum, Oid, Type};

/// A type's functions: input, output, receive, send.
struct Functions([Oid; 4]);

const ENUM: Functions = Functions([3506, 3507, 3532, 3533]);
const RECORD: Functions = Functions([2290, 2291, 2402, 2403]);
const ARRAY: Functions = Functions([750, 751, 2400, 2401]);
const RANGE: Functions = Functions([3834, 3835, 3836, 3837]);
const MULTIRANGE: Functions = Functions([4231, 4232, 4233, 4234]);
const DOMAIN_IN: Oid = 2597;
const DOMAIN_RECV: Oid = 2598;

struct Row<'a> {
    oid: Oid,
    name: &'a str,
    schema: Oid,
    owner: Oid,
    /// pg_type.typtype, typcategory.
    kind: char,
    category: char,
    relation: Oid,
    element: Oid,
    array: Oid,
    functions: Functions,
    base: Oid,
    modifier: i32,
    not_null: bool,
    default: Option<String>,
    acl: Datum,
}

fn push(rows: &mut Rows, row: Row<'_>) {
    let facts = match row.kind {
        'd' => type_facts(Type(row.base).base().0),
        'e' => type_facts(Type::INT4.0),
        _ => type_facts(0),
    };
    let is_array = row.element != 0;
    let (align, storage) = match row.kind {
        'c' => ('d', 'x'),
        _ => (facts.align, facts.storage),
    };
    let Functions([input, output, receive, send]) = row.functions;
    rows.push([
        ("oid", oid(row.oid)),
        ("typname", text(row.name)),
        ("typnamespace", oid(row.schema)),
        ("typowner", oid(row.owner)),
        ("typlen", Datum::Int2(facts.length)),
        ("typbyval", boolean(facts.by_value)),
        ("typtype", letter(row.kind)),
        ("typcategory", letter(row.category)),
        ("typisdefined", boolean(true)),
        ("typdelim", letter(',')),
        ("typrelid", oid(row.relation)),
        ("typsubscript", oid(if is_array { 6179 } else { 0 })),
        ("typelem", oid(row.element)),
        ("typarray", oid(row.array)),
        ("typinput", oid(input)),
        ("typoutput", oid(output)),
        ("typreceive", oid(receive)),
        ("typsend", oid(send)),
        ("typanalyze", oid(if is_array { 3816 } else { 0 })),
        ("typalign", letter(align)),
        ("typstorage", letter(storage)),
        ("typnotnull", boolean(row.not_null)),
        ("typbasetype", oid(row.base)),
        ("typtypmod", Datum::Int4(row.modifier)),
        ("typacl", row.acl),
        ("typcollation", oid(facts.collation)),
        ("typdefaultbin", optional(row.default.as_ref())),
        ("typdefault", optional(row.default)),
    ]);
}

/// The type of arrays of a type.
fn push_array(rows: &mut Rows, array: Oid, element: Oid, name: &str, schema: Oid, owner: Oid) {
    push(
        rows,
        Row {
            oid: array,
            name: &format!("_{name}"),
            schema,
            owner,
            kind: 'b',
            category: 'A',
            relation: 0,
            element,
            array: 0,
            functions: ARRAY,
            base: 0,
            modifier: -1,
            not_null: false,
            default: None,
            acl: Datum::Null,
        },
    );
}

/// Output and send functions of a type: of the text types where it is not known which.
fn output_functions(data_type: Type) -> (Oid, Oid) {
    match data_type {
        _ if data_type.is_enum() => (ENUM.0[1], ENUM.0[3]),
        _ if data_type.is_row() => (RECORD.0[1], RECORD.0[3]),
        _ if data_type.is_array() => (ARRAY.0[1], ARRAY.0[3]),
        _ => super::fixed::output_functions(data_type.0),
    }
}

pub fn push_types(rows: &mut Rows, catalog: &Catalog) {
    for user_type in catalog.user_types() {
        let (kind, category, functions) = match &user_type.kind {
            TypeKind::Enum(_) => ('e', 'E', ENUM),
            TypeKind::Composite(_) => ('c', 'C', RECORD),
            TypeKind::Range(_) => ('r', 'R', RANGE),
            TypeKind::Multirange(_) => ('m', 'R', MULTIRANGE),
            TypeKind::Domain(domain) => {
                let base = Type(domain.base).base();
                let (output, send) = output_functions(base);
                ('d', base.category(), Functions([DOMAIN_IN, output, DOMAIN_RECV, send]))
            }
        };
        let domain = user_type.domain();
        push(
            rows,
            Row {
                oid: user_type.oid,
                name: &user_type.name,
                schema: user_type.schema,
                owner: user_type.owner,
                kind,
                category,
                relation: user_type.relation,
                element: 0,
                array: user_type.array,
                functions,
                base: domain.map_or(0, |domain| domain.base),
                modifier: domain.map_or(-1, |domain| domain.modifier),
                not_null: domain.is_some_and(|domain| domain.not_null),
                default: domain.and_then(|domain| domain.default.clone()),
                acl: super::objects::list(user_type.acl.as_ref(), catalog),
            },
        );
        push_array(rows, user_type.array, user_type.oid, &user_type.name, user_type.schema, user_type.owner);
    }
    for table in catalog.tables().filter(|table| table.row_type >= FIRST_USER_OID) {
        push(
            rows,
            Row {
                oid: table.row_type,
                name: &table.name,
                schema: table.schema,
                owner: table.owner,
                kind: 'c',
                category: 'C',
                relation: table.oid,
                element: 0,
                array: table.row_array_type,
                functions: RECORD,
                base: 0,
                modifier: -1,
                not_null: false,
                default: None,
                acl: Datum::Null,
            },
        );
        push_array(rows, table.row_array_type, table.row_type, &table.name, table.schema, table.owner);
    }
}

pub fn pg_enum(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_enum");
    for user_type in context.services.catalog().user_types() {
        for label in user_type.labels() {
            let order = label.position as f64 / crate::catalog::user_type::LABEL_GAP as f64;
            rows.push([
                ("oid", oid(label.oid)),
                ("enumtypid", oid(user_type.oid)),
                ("enumsortorder", Datum::Float4(order as f32)),
                ("enumlabel", text(&label.name)),
            ]);
        }
    }
    rows.finish()
}

/// The default operator class of a subtype in pg_opclass's B-trees: by the types that have one of their own.
fn subtype_class(element: Type) -> Oid {
    let facts = include_str!("facts/pg_opclass.tsv").lines();
    let mut lines = facts.map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    let at = |name: &str| header.iter().position(|column| *column == name);
    let (Some(class), Some(method), Some(input), Some(default)) =
        (at("oid"), at("opcmethod"), at("opcintype"), at("opcdefault"))
    else {
        return 0;
    };
    const BTREE: &str = "403";
    let wanted = element.base().0.to_string();
    lines
        .find(|row| row[method] == BTREE && row[input] == wanted && row[default] == "t")
        .and_then(|row| row[class].parse().ok())
        .unwrap_or(0)
}

pub fn pg_range(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_range");
    let mut push = |range: Oid, element: Type, multirange: Oid, canonical: Oid, difference: Oid| {
        rows.push([
            ("rngtypid", oid(range)),
            ("rngsubtype", oid(element.0)),
            ("rngmultitypid", oid(multirange)),
            ("rngcollation", oid(type_facts(element.0).collation)),
            ("rngsubopc", oid(subtype_class(element))),
            ("rngcanonical", oid(canonical)),
            ("rngsubdiff", oid(difference)),
        ]);
    };
    for (range, element, multirange) in BUILTIN_RANGES {
        let (canonical, difference) = match *range {
            Type::INT4RANGE => (3914, 3922),
            Type::INT8RANGE => (3928, 3923),
            Type::NUMRANGE => (0, 3924),
            Type::DATERANGE => (3915, 3925),
            Type::TSRANGE => (0, 3929),
            _ => (0, 3930),
        };
        push(range.0, *element, multirange.0, canonical, difference);
    }
    for user_type in context.services.catalog().user_types() {
        if let TypeKind::Range(range) = &user_type.kind {
            push(user_type.oid, Type(range.subtype), range.multirange, 0, 0);
        }
    }
    rows.finish()
}

/// Composite types in pg_class.
pub fn push_classes(rows: &mut Rows, catalog: &Catalog) {
    for user_type in catalog.user_types() {
        let TypeKind::Composite(attributes) = &user_type.kind else { continue };
        rows.push([
            ("oid", oid(user_type.relation)),
            ("relname", text(&user_type.name)),
            ("relnamespace", oid(user_type.schema)),
            ("reltype", oid(user_type.oid)),
            ("relowner", oid(user_type.owner)),
            ("relpersistence", letter('p')),
            ("relkind", letter('c')),
            ("relnatts", Datum::Int2(attributes.len() as i16)),
            ("relispopulated", boolean(true)),
            ("relreplident", letter('n')),
        ]);
    }
}

/// Composite types' columns in pg_attribute.
pub fn push_attributes(rows: &mut Rows, catalog: &Catalog) {
    for user_type in catalog.user_types() {
        let TypeKind::Composite(attributes) = &user_type.kind else { continue };
        for attribute in attributes {
            push_attribute(
                rows,
                &Attribute {
                    relation: user_type.relation,
                    name: &attribute.name,
                    number: attribute.number,
                    data_type: attribute.data_type,
                    modifier: attribute.modifier,
                    ..Attribute::default()
                },
            );
        }
    }
}

/// Domains' checks in pg_constraint.
pub fn push_constraints(rows: &mut Rows, catalog: &Catalog) {
    for user_type in catalog.user_types() {
        let Some(domain) = user_type.domain() else { continue };
        for check in &domain.checks {
            rows.push([
                ("oid", oid(check.oid)),
                ("conname", text(&check.name)),
                ("connamespace", oid(user_type.schema)),
                ("contype", letter('c')),
                ("convalidated", boolean(check.validated)),
                ("contypid", oid(user_type.oid)),
                ("confupdtype", text(" ")),
                ("confdeltype", text(" ")),
                ("confmatchtype", text(" ")),
                ("conislocal", boolean(true)),
                ("conbin", text(&check.text)),
            ]);
        }
    }
}
