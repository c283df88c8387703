//! The catalogs of what users make: namespaces, relations, columns, indexes, constraints, sequences, databases, roles.

use super::relations::{Producer, Rows, array, boolean, letter, oid, optional, text, text_array, vector};
use super::{deparse, type_facts};
use crate::catalog::{
    Acl, Catalog, Column, Constraint, ConstraintKind, Index, IndexKey, ObjectClass, PG_CATALOG, PG_TOAST,
    Persistence, ROLE_POSTGRES, ReferentialAction, Table,
};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::index::Method;
use crate::large_object::Metadata;
use crate::parse::ast;
use crate::types::{Datum, Oid, Type};

/// pg_class's own OID and those of its like, for classoid columns.
pub const CLASS_RELATION: Oid = 1259;
pub const CLASS_NAMESPACE: Oid = 2615;
pub const CLASS_CONSTRAINT: Oid = 2606;
pub const CLASS_ATTRDEF: Oid = 2604;
pub const CLASS_PROC: Oid = 1255;
const CLASS_TYPE: Oid = 1247;
const CLASS_TRIGGER: Oid = 2620;
pub const CLASS_EXTENSION: Oid = 3079;
pub const CLASS_LARGE_OBJECT: Oid = 2613;
pub const CLASS_LANGUAGE: Oid = 2612;
const CLASS_DATABASE: Oid = 1262;
const CLASS_AUTHID: Oid = 1260;
const HEAP: Oid = 2;

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "pg_namespace" => pg_namespace,
        "pg_class" => pg_class,
        "pg_attribute" => pg_attribute,
        "pg_attrdef" => pg_attrdef,
        "pg_index" => pg_index,
        "pg_constraint" => pg_constraint,
        "pg_inherits" => pg_inherits,
        "pg_partitioned_table" => pg_partitioned_table,
        "pg_sequence" => pg_sequence,
        "pg_database" => pg_database,
        "pg_authid" => pg_authid,
        "pg_auth_members" => super::privileges::pg_auth_members,
        "pg_default_acl" => super::privileges::pg_default_acl,
        "pg_init_privs" => super::privileges::pg_init_privs,
        "pg_db_role_setting" => pg_db_role_setting,
        "pg_description" => pg_description,
        "pg_shdescription" => pg_shdescription,
        "pg_largeobject" => pg_largeobject,
        "pg_largeobject_metadata" => pg_largeobject_metadata,
        "pg_trigger" => super::routines::pg_trigger,
        "pg_depend" => pg_depend,
        "pg_enum" => super::user_types::pg_enum,
        "pg_range" => super::user_types::pg_range,
        _ => return None,
    })
}

/// An access control list; null for the default one.
pub fn list(acl: Option<&Acl>, catalog: &Catalog) -> Datum {
    acl.map_or(Datum::Null, |acl| crate::functions::privilege::list_value(acl, catalog))
}

/// OID, name, owner, comment of every schema.
pub fn schemas(catalog: &Catalog) -> Vec<(Oid, String, Oid, Option<String>)> {
    let mut found: Vec<_> = catalog
        .schemas()
        .map(|schema| (schema.oid, schema.name.clone(), schema.owner, schema.comment.clone()))
        .collect();
    for (oid, _, _, comment) in &mut found {
        match *oid {
            PG_CATALOG => *comment = Some("system catalog schema".to_owned()),
            PG_TOAST => *comment = Some("reserved schema for TOAST tables".to_owned()),
            _ => {}
        }
    }
    found
}

fn pg_namespace(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_namespace");
    let catalog = context.services.catalog();
    for (number, name, owner, _) in schemas(&catalog) {
        let acl = catalog.schema(number).and_then(|schema| schema.acl.as_ref());
        rows.push([
            ("oid", oid(number)),
            ("nspname", text(name)),
            ("nspowner", oid(owner)),
            ("nspacl", list(acl, &catalog)),
        ]);
    }
    rows.finish()
}

fn persistence(table: &Table) -> Datum {
    letter(match table.persistence {
        Persistence::Permanent if table.unlogged => 'u',
        Persistence::Permanent => 'p',
        Persistence::Temporary => 't',
    })
}

pub fn options(options: &[(String, Option<String>)]) -> Datum {
    if options.is_empty() {
        return Datum::Null;
    }
    text_array(options.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => format!("{name}=true"),
    }))
}

fn pg_class(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_class");
    for (relation, kind) in super::all() {
        rows.push([
            ("oid", oid(relation.oid)),
            ("relname", text(relation.name)),
            ("relnamespace", oid(relation.schema)),
            ("relowner", oid(ROLE_POSTGRES)),
            ("relam", oid(if kind == 'r' { HEAP } else { 0 })),
            ("reltuples", Datum::Float4(-1.0)),
            ("relpersistence", letter('p')),
            ("relkind", letter(kind)),
            ("relnatts", Datum::Int2(relation.columns.len() as i16)),
            ("relispopulated", boolean(true)),
            ("relreplident", letter('n')),
            ("relacl", list(Some(catalog.built_in_acl(ObjectClass::Table, relation.oid)), &catalog)),
        ]);
    }
    for table in catalog.tables() {
        let has_triggers = !catalog.references_to(table.oid).is_empty()
            || table.constraints.iter().any(|constraint| constraint.foreign_key().is_some());
        class_of_table(&mut rows, table, has_triggers, &catalog);
        for index in &table.indexes {
            class_of_index(&mut rows, table, index, &catalog);
        }
    }
    super::user_types::push_classes(&mut rows, &catalog);
    for sequence in catalog.sequences() {
        rows.push([
            ("oid", oid(sequence.oid)),
            ("relname", text(&sequence.name)),
            ("relnamespace", oid(sequence.schema)),
            ("relowner", oid(sequence.owner)),
            ("relfilenode", oid(sequence.oid)),
            ("relpages", Datum::Int4(1)),
            ("reltuples", Datum::Float4(1.0)),
            ("relpersistence", letter('p')),
            ("relkind", letter('S')),
            ("relnatts", Datum::Int2(3)),
            ("relispopulated", boolean(true)),
            ("relreplident", letter('n')),
            ("relacl", list(sequence.acl.as_ref(), &catalog)),
        ]);
    }
    rows.finish()
}

/// `has_triggers`: foreign keys are triggers in PostgreSQL, and psql looks for them only where there are some.
fn relation_kind(table: &Table) -> char {
    match table {
        _ if table.is_materialized() => 'm',
        _ if table.is_view() => 'v',
        _ if table.is_partitioned() => 'p',
        _ => 'r',
    }
}

fn class_of_table(rows: &mut Rows, table: &Table, has_triggers: bool, catalog: &Catalog) {
    let view = table.is_view();
    // It has neither rows nor an access method.
    let partitioned = table.is_partitioned();
    let bound = table.inheritance.bound.as_ref().and_then(|bound| {
        let parent = catalog.table(*table.inheritance.parents.first()?)?;
        Some(deparse::partition_bound(bound, &parent))
    });
    let checks = table
        .constraints
        .iter()
        .filter(|constraint| matches!(constraint.kind, ConstraintKind::Check(_)))
        .count();
    let (tuples, pages) = match &table.statistics {
        Some(statistics) => (statistics.rows as f32, (statistics.bytes / 8192.0).ceil() as i32),
        None => (-1.0, 0),
    };
    rows.push([
        ("oid", oid(table.oid)),
        ("relname", text(&table.name)),
        ("relnamespace", oid(table.schema)),
        ("reltype", oid(table.row_type)),
        ("relowner", oid(table.owner)),
        ("relam", oid(if view || partitioned { 0 } else { HEAP })),
        ("relfilenode", oid(if view || partitioned { 0 } else { table.oid })),
        ("relpages", Datum::Int4(pages)),
        ("reltuples", Datum::Float4(if view { 0.0 } else { tuples })),
        ("relhasindex", boolean(!table.indexes.is_empty())),
        ("relpersistence", persistence(table)),
        ("relkind", letter(relation_kind(table))),
        ("relnatts", Datum::Int2(table.columns.len() as i16)),
        ("relchecks", Datum::Int2(checks as i16)),
        ("relhasrules", boolean(view || table.is_materialized())),
        ("relhastriggers", boolean(has_triggers || !table.triggers.is_empty())),
        ("relhassubclass", boolean(table.has_children())),
        ("relrowsecurity", boolean(table.row_security)),
        ("relforcerowsecurity", boolean(table.force_row_security)),
        ("relispopulated", boolean(true)),
        ("relreplident", letter(if view { 'n' } else { 'd' })),
        ("relispartition", boolean(table.is_partition())),
        ("relacl", list(table.acl.as_ref(), catalog)),
        ("reloptions", options(&table.options)),
        ("relpartbound", optional(bound)),
    ]);
}

fn class_of_index(rows: &mut Rows, table: &Table, index: &Index, catalog: &Catalog) {
    let children = table.inheritance.children.iter().filter(|_| table.is_partitioned());
    let has_parts = children
        .filter_map(|oid| catalog.table(*oid))
        .any(|child| child.indexes.iter().any(|part| part.parent == index.oid));
    let tuples = table.statistics.as_ref().map_or(0.0, |statistics| statistics.rows as f32);
    rows.push([
        ("oid", oid(index.oid)),
        ("relname", text(&index.name)),
        ("relnamespace", oid(table.schema)),
        ("relowner", oid(table.owner)),
        ("relam", oid(index.method.oid())),
        ("reloptions", options(&index.options)),
        ("relfilenode", oid(index.oid)),
        ("reltuples", Datum::Float4(tuples)),
        ("relpersistence", persistence(table)),
        ("relkind", letter(if table.is_partitioned() { 'I' } else { 'i' })),
        ("relnatts", Datum::Int2((index.keys.len() + index.include.len()) as i16)),
        ("relhassubclass", boolean(has_parts)),
        ("relispopulated", boolean(true)),
        ("relreplident", letter('n')),
        ("relispartition", boolean(index.parent != 0)),
    ]);
}

fn pg_inherits(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_inherits");
    for table in context.services.catalog().tables() {
        for (number, &parent) in table.inheritance.parents.iter().enumerate() {
            rows.push([
                ("inhrelid", oid(table.oid)),
                ("inhparent", oid(parent)),
                ("inhseqno", Datum::Int4(number as i32 + 1)),
                ("inhdetachpending", boolean(table.inheritance.detaching)),
            ]);
        }
        for index in table.indexes.iter().filter(|index| index.parent != 0) {
            rows.push([
                ("inhrelid", oid(index.oid)),
                ("inhparent", oid(index.parent)),
                ("inhseqno", Datum::Int4(1)),
            ]);
        }
    }
    rows.finish()
}

fn pg_partitioned_table(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_partitioned_table");
    let catalog = context.services.catalog();
    for table in catalog.tables() {
        let Some(partitioning) = &table.inheritance.partitioning else { continue };
        let is_default = |oid: &Oid| {
            catalog
                .table(*oid)
                .is_some_and(|child| child.inheritance.bound == Some(crate::catalog::PartitionBound::Default))
        };
        let default = table.inheritance.children.iter().copied().find(is_default).unwrap_or(0);
        let keys = &partitioning.keys;
        let numbers = keys.iter().map(|key| key.column.map_or(0, |at| table.columns[at].number));
        let expressions: Vec<&str> = keys.iter().filter_map(|key| key.expression.as_deref()).collect();
        let classes = keys.iter().map(|key| Datum::Oid(operator_class(Method::Btree, key.data_type)));
        let collations = keys.iter().map(|key| Datum::Oid(type_facts(key.data_type).collation));
        rows.push([
            ("partrelid", oid(table.oid)),
            ("partstrat", letter(partitioning.strategy.letter())),
            ("partnatts", Datum::Int2(keys.len() as i16)),
            ("partdefid", oid(default)),
            ("partattrs", vector(Type::INT2VECTOR, numbers.map(Datum::Int2).collect())),
            ("partclass", vector(Type::OIDVECTOR, classes.collect())),
            ("partcollation", vector(Type::OIDVECTOR, collations.collect())),
            ("partexprs", optional((!expressions.is_empty()).then(|| expressions.join(", ")))),
        ]);
    }
    rows.finish()
}

// ---- columns ----

/// What pg_attribute says of a column beside its type.
#[derive(Default)]
pub(super) struct Attribute<'a> {
    pub relation: Oid,
    pub name: &'a str,
    pub number: i16,
    pub data_type: Oid,
    pub modifier: i32,
    /// None: its type's.
    pub collation: Option<Oid>,
    pub not_null: bool,
    pub has_default: bool,
    pub has_missing: bool,
    pub identity: Option<bool>,
    pub generated: bool,
    pub dropped: bool,
    pub inherited: i32,
    pub not_local: bool,
    pub acl: Option<(&'a Acl, &'a Catalog)>,
}

pub(super) fn push_attribute(rows: &mut Rows, attribute: &Attribute<'_>) {
    let facts = type_facts(attribute.data_type);
    rows.push([
        ("attrelid", oid(attribute.relation)),
        ("attname", text(attribute.name)),
        ("atttypid", oid(attribute.data_type)),
        ("attstattarget", Datum::Int4(-1)),
        ("attlen", Datum::Int2(facts.length)),
        ("attnum", Datum::Int2(attribute.number)),
        // How many brackets were written is not kept: one pair, mostly.
        ("attndims", Datum::Int4(i32::from(Type(attribute.data_type).is_array()))),
        ("attcacheoff", Datum::Int4(-1)),
        ("atttypmod", Datum::Int4(attribute.modifier)),
        ("attbyval", boolean(facts.by_value)),
        ("attalign", letter(facts.align)),
        ("attstorage", letter(facts.storage)),
        ("attnotnull", boolean(attribute.not_null)),
        ("atthasdef", boolean(attribute.has_default)),
        ("atthasmissing", boolean(attribute.has_missing)),
        (
            "attidentity",
            text(match attribute.identity {
                Some(true) => "a",
                Some(false) => "d",
                None => "",
            }),
        ),
        ("attgenerated", text(if attribute.generated { "s" } else { "" })),
        ("attisdropped", boolean(attribute.dropped)),
        ("attislocal", boolean(!attribute.not_local)),
        ("attinhcount", Datum::Int4(attribute.inherited)),
        ("attcollation", oid(attribute.collation.unwrap_or(facts.collation))),
        ("attacl", attribute.acl.map_or(Datum::Null, |(acl, catalog)| list(Some(acl), catalog))),
    ]);
}

fn pg_attribute(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_attribute");
    for (relation, kind) in super::all() {
        for (at, (name, data_type)) in relation.columns.iter().enumerate() {
            let attribute = Attribute {
                relation: relation.oid,
                name,
                number: at as i16 + 1,
                data_type: data_type.0,
                modifier: relation.modifiers[at],
                not_null: kind == 'r' && at == 0,
                acl: catalog.built_in_column_acl(relation.oid, at as i16 + 1).map(|acl| (acl, &*catalog)),
                ..Attribute::default()
            };
            push_attribute(&mut rows, &attribute);
        }
    }
    for table in catalog.tables() {
        for column in &table.columns {
            attribute_of_column(&mut rows, table, column, &catalog);
        }
        for index in &table.indexes {
            attributes_of_index(&mut rows, table, index);
        }
    }
    super::user_types::push_attributes(&mut rows, &catalog);
    for sequence in catalog.sequences() {
        for (at, (name, data_type)) in
            [("last_value", Type::INT8), ("log_cnt", Type::INT8), ("is_called", Type::BOOL)]
                .iter()
                .enumerate()
        {
            let attribute = Attribute {
                relation: sequence.oid,
                name,
                number: at as i16 + 1,
                data_type: data_type.0,
                modifier: -1,
                not_null: true,
                ..Attribute::default()
            };
            push_attribute(&mut rows, &attribute);
        }
    }
    rows.finish()
}

fn attribute_of_column(rows: &mut Rows, table: &Table, column: &Column, catalog: &Catalog) {
    let dropped_name = format!("........pg.dropped.{}........", column.number);
    let attribute = Attribute {
        relation: table.oid,
        name: if column.dropped { &dropped_name } else { &column.name },
        number: column.number,
        data_type: if column.dropped { 0 } else { column.data_type },
        modifier: column.modifier,
        collation: column.collation.filter(|_| !column.dropped),
        not_null: column.not_null && !column.dropped,
        has_default: deparse::column_default(column).is_some(),
        has_missing: column.missing.is_some(),
        identity: column.identity.filter(|_| !column.dropped),
        generated: column.generated && !column.dropped,
        dropped: column.dropped,
        inherited: column.inherited,
        not_local: !column.local,
        acl: column.acl.as_ref().filter(|_| !column.dropped).map(|acl| (acl, catalog)),
    };
    push_attribute(rows, &attribute);
}

fn attributes_of_index(rows: &mut Rows, table: &Table, index: &Index) {
    let keys = index.keys.iter().map(|key| key.column);
    let included = index.include.iter().map(|&position| Some(position));
    let names = crate::ddl::index::name_parts(table, &index.keys);
    for (at, column) in keys.chain(included).enumerate() {
        let column = column.and_then(|position| table.columns.get(position));
        // What a GIN index keeps of an array are its elements (pg_opclass.opckeytype).
        let kept = |data_type: Oid| match index.method {
            Method::Gin => Type(data_type).element().map_or(data_type, |element| element.0),
            Method::Btree | Method::Gist => data_type,
        };
        let expression_name = names.get(at).cloned().unwrap_or_default();
        let attribute = Attribute {
            relation: index.oid,
            name: column.map_or(&expression_name, |column| &column.name),
            number: at as i16 + 1,
            data_type: column.map_or(Type::TEXT.0, |column| kept(column.data_type)),
            modifier: column.map_or(-1, |column| column.modifier),
            collation: column.and_then(|column| column.collation),
            ..Attribute::default()
        };
        push_attribute(rows, &attribute);
    }
}

/// Defaults have no OID of their own: one made from the table's and the column's number, out of the way of others.
pub fn default_oid(table: Oid, column: i16) -> Oid {
    0x8000_0000 | (table & 0xf_ffff) << 11 | u32::from(column.unsigned_abs())
}

fn pg_attrdef(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_attrdef");
    for table in context.services.catalog().tables() {
        for column in &table.columns {
            if let Some(default) = deparse::default_node(column) {
                rows.push([
                    ("oid", oid(default_oid(table.oid, column.number))),
                    ("adrelid", oid(table.oid)),
                    ("adnum", Datum::Int2(column.number)),
                    ("adbin", text(default)),
                ]);
            }
        }
    }
    rows.finish()
}

// ---- indexes and constraints ----

/// A row of pg_opclass.
pub struct OperatorClass {
    pub oid: Oid,
    pub name: &'static str,
    pub data_type: Type,
    pub is_default: bool,
}

fn operator_classes(method: Method) -> impl Iterator<Item = OperatorClass> {
    let rows = include_str!("facts/pg_opclass.tsv").lines().skip(1).map(|line| line.split('\t'));
    rows.filter_map(move |mut fields| {
        let oid = fields.next()?.parse().ok()?;
        let is_wanted = fields.next()?.parse() == Ok(method.oid());
        let name = fields.next()?;
        let data_type = Type(fields.nth(3)?.parse().ok()?);
        let is_default = fields.next()? == "t";
        is_wanted.then_some(OperatorClass { oid, name, data_type, is_default })
    })
}

/// Of B-trees.
pub fn operator_class_named(name: &str) -> Option<OperatorClass> {
    operator_classes(Method::Btree).find(|class| class.name == name)
}

/// The name of the operator family of a class, or of a type's default one.
pub fn operator_family(method: Method, class: Option<&str>, data_type: Type) -> String {
    let class = match class {
        Some(name) => operator_classes(method).find(|class| class.name == name).map(|class| class.oid),
        None => Some(operator_class(method, data_type.0)),
    };
    let field = |line: &'static str, at: usize| line.split('\t').nth(at).unwrap_or_default();
    let find = |table: &'static str, oid: &str| {
        table.lines().skip(1).find(|line| field(line, 0) == oid).unwrap_or_default()
    };
    let class = class.map_or_else(String::new, |oid| oid.to_string());
    let family = field(find(include_str!("facts/pg_opclass.tsv"), &class), 5);
    match field(find(include_str!("facts/pg_opfamily.tsv"), family), 2) {
        "" if data_type.is_range() => "range_ops",
        "" if data_type.is_multirange() => "multirange_ops",
        name => name,
    }
    .to_owned()
}

/// The default operator class of a type.
fn operator_class(method: Method, data_type: Oid) -> Oid {
    // varchar has none of its own: text's.
    let data_type = if data_type == Type::VARCHAR.0 { Type::TEXT.0 } else { data_type };
    let of = |wanted: Type| {
        operator_classes(method)
            .find(|class| class.is_default && class.data_type == wanted)
            .map(|class| class.oid)
    };
    let own = Type(data_type);
    let pseudo = match own {
        _ if own.is_array() => Some(Type::ANYARRAY),
        _ if own.is_range() => Some(Type(3831)),
        _ if own.is_multirange() => Some(Type(4537)),
        _ => None,
    };
    of(own).or_else(|| of(pseudo?)).unwrap_or(0)
}

fn numbers(table: &Table, positions: impl Iterator<Item = Option<usize>>) -> Vec<Datum> {
    positions
        .map(|position| {
            let column = position.and_then(|position| table.columns.get(position));
            Datum::Int2(column.map_or(0, |column| column.number))
        })
        .collect()
}

fn pg_index(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_index");
    let catalog = context.services.catalog();
    for table in catalog.tables() {
        for index in &table.indexes {
            let columns = index.keys.iter().map(|key| key.column);
            let included = index.include.iter().map(|&position| Some(position));
            let types: Vec<Oid> = index
                .keys
                .iter()
                .map(|key| {
                    let column = key.column.and_then(|position| table.columns.get(position));
                    column.map_or(Type::TEXT.0, |column| column.data_type)
                })
                .collect();
            let each = |value: &dyn Fn(Oid) -> Oid| {
                vector(Type::OIDVECTOR, types.iter().map(|&data_type| oid(value(data_type))).collect())
            };
            let flags = index
                .keys
                .iter()
                .map(|key| Datum::Int2(i16::from(key.descending) | i16::from(key.nulls_first) << 1))
                .collect();
            let expressions: Vec<&str> =
                index.keys.iter().filter_map(|key| key.expression.as_deref()).collect();
            let classes = index.keys.iter().zip(&types).map(|(key, &data_type)| {
                let own = key.operator_class.as_deref();
                let own =
                    own.and_then(|name| operator_classes(index.method).find(|class| class.name == name));
                oid(own.map_or_else(|| operator_class(index.method, data_type), |class| class.oid))
            });
            let classes = classes.collect();
            rows.push([
                ("indexrelid", oid(index.oid)),
                ("indrelid", oid(table.oid)),
                ("indnatts", Datum::Int2((index.keys.len() + index.include.len()) as i16)),
                ("indnkeyatts", Datum::Int2(index.keys.len() as i16)),
                ("indisunique", boolean(index.unique)),
                ("indnullsnotdistinct", boolean(index.nulls_not_distinct)),
                ("indisprimary", boolean(index.primary)),
                ("indisexclusion", boolean(!index.exclusion.is_empty())),
                ("indimmediate", boolean(!index.deferrable)),
                ("indisvalid", boolean(is_complete(table, index, &catalog))),
                ("indisready", boolean(true)),
                ("indislive", boolean(true)),
                ("indkey", vector(Type::INT2VECTOR, numbers(table, columns.chain(included)))),
                ("indcollation", each(&|data_type| type_facts(data_type).collation)),
                ("indclass", vector(Type::OIDVECTOR, classes)),
                ("indoption", vector(Type::INT2VECTOR, flags)),
                ("indexprs", optional((!expressions.is_empty()).then(|| expressions.join(", ")))),
                ("indpred", optional(index.predicate.as_deref())),
            ]);
        }
    }
    rows.finish()
}

/// Whether an index of a partitioned table has a part in every partition.
fn is_complete(table: &Table, index: &Index, catalog: &Catalog) -> bool {
    !table.is_partitioned()
        || table.inheritance.children.iter().filter_map(|oid| catalog.table(*oid)).all(|child| {
            child.indexes.iter().any(|part| part.parent == index.oid && is_complete(&child, part, catalog))
        })
}

/// Type letter, index, column numbers and expression of a constraint.
pub fn constraint_parts(table: &Table, constraint: &Constraint) -> (char, Oid, Vec<i16>, Option<String>) {
    let of_index = |oid: Oid| {
        let keys = table.index(oid).map(|(_, index)| index.keys.as_slice()).unwrap_or_default();
        let columns = keys.iter().filter_map(|key| table.columns.get(key.column?));
        columns.map(|column| column.number).collect::<Vec<i16>>()
    };
    match &constraint.kind {
        ConstraintKind::PrimaryKey(index) => ('p', *index, of_index(*index), None),
        ConstraintKind::Unique(index) => ('u', *index, of_index(*index), None),
        ConstraintKind::Exclusion(index) => {
            let keys = table.index(*index).map(|(_, index)| index.keys.as_slice()).unwrap_or_default();
            // An expression counts as column 0.
            let number = |key: &IndexKey| key.column.map_or(0, |column| table.columns[column].number);
            ('x', *index, keys.iter().map(number).collect(), None)
        }
        ConstraintKind::Check(text) => {
            let words = crate::parse::identifiers(text);
            let columns =
                table.columns.iter().filter(|column| !column.dropped && words.contains(&column.name));
            ('c', 0, columns.map(|column| column.number).collect(), Some(text.clone()))
        }
        ConstraintKind::ForeignKey(key) => ('f', key.index, column_numbers(table, &key.columns), None),
    }
}

fn column_numbers(table: &Table, positions: &[usize]) -> Vec<i16> {
    positions.iter().filter_map(|&position| table.columns.get(position)).map(|column| column.number).collect()
}

/// pg_constraint's letter.
fn action_letter(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::NoAction => "a",
        ReferentialAction::Restrict => "r",
        ReferentialAction::Cascade => "c",
        ReferentialAction::SetNull => "n",
        ReferentialAction::SetDefault => "d",
    }
}

fn pg_constraint(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_constraint");
    let catalog = context.services.catalog();
    for table in catalog.tables() {
        for constraint in &table.constraints {
            let (kind, index, columns, expression) = constraint_parts(table, constraint);
            let key = constraint.foreign_key();
            let letters = |action: Option<ReferentialAction>| text(action.map_or(" ", action_letter));
            let matched = key.map_or(" ", |key| if key.match_full { "f" } else { "s" });
            let some_numbers = |table: &Table, positions: &[usize]| match positions {
                [] => Datum::Null,
                positions => {
                    let numbers = column_numbers(table, positions);
                    array(Type::INT2, numbers.into_iter().map(Datum::Int2).collect())
                }
            };
            let referenced = key.and_then(|key| Some((key, catalog.table(key.referenced)?)));
            let referenced_columns = referenced
                .as_ref()
                .map_or(Datum::Null, |(key, referenced)| some_numbers(referenced, &key.referenced_columns));
            let columns: Vec<Datum> = columns.into_iter().map(Datum::Int2).collect();
            let operators = table.index(index).map_or(&[][..], |(_, index)| &index.exclusion);
            let operators = match operators {
                [] => Datum::Null,
                operators => array(Type::OID, operators.iter().map(|operator| oid(*operator)).collect()),
            };
            rows.push([
                ("oid", oid(constraint.oid)),
                ("conname", text(&constraint.name)),
                ("connamespace", oid(table.schema)),
                ("contype", letter(kind)),
                ("condeferrable", boolean(constraint.deferrable)),
                ("condeferred", boolean(constraint.initially_deferred)),
                ("convalidated", boolean(constraint.validated)),
                ("conrelid", oid(table.oid)),
                ("conindid", oid(index)),
                ("conparentid", oid(constraint.parent)),
                ("confrelid", oid(key.map_or(0, |key| key.referenced))),
                ("confupdtype", letters(key.map(|key| key.on_update))),
                ("confdeltype", letters(key.map(|key| key.on_delete))),
                ("confmatchtype", text(matched)),
                ("confkey", referenced_columns),
                ("conexclop", operators),
                ("confdelsetcols", key.map_or(Datum::Null, |key| some_numbers(table, &key.delete_columns))),
                ("conislocal", boolean(constraint.local)),
                ("coninhcount", Datum::Int4(constraint.inherited)),
                // As PostgreSQL has it: a key is not inherited, unless it was.
                (
                    "connoinherit",
                    boolean(if kind == 'c' { constraint.no_inherit } else { constraint.parent == 0 }),
                ),
                ("conkey", if columns.is_empty() { Datum::Null } else { array(Type::INT2, columns) }),
                ("conbin", optional(expression)),
            ]);
        }
        for trigger in table.triggers.iter().filter(|trigger| trigger.constraint) {
            rows.push([
                ("oid", oid(trigger.oid)),
                ("conname", text(&trigger.name)),
                ("connamespace", oid(table.schema)),
                ("contype", letter('t')),
                ("condeferrable", boolean(trigger.deferrable)),
                ("condeferred", boolean(trigger.initially_deferred)),
                ("convalidated", boolean(true)),
                ("conrelid", oid(table.oid)),
                ("confupdtype", text(" ")),
                ("confdeltype", text(" ")),
                ("confmatchtype", text(" ")),
                ("conislocal", boolean(true)),
                ("connoinherit", boolean(true)),
            ]);
        }
    }
    super::user_types::push_constraints(&mut rows, &catalog);
    rows.finish()
}

// ---- sequences ----

fn pg_sequence(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_sequence");
    for sequence in context.services.catalog().sequences() {
        rows.push([
            ("seqrelid", oid(sequence.oid)),
            ("seqtypid", oid(sequence.data_type)),
            ("seqstart", Datum::Int8(sequence.start)),
            ("seqincrement", Datum::Int8(sequence.increment)),
            ("seqmax", Datum::Int8(sequence.max)),
            ("seqmin", Datum::Int8(sequence.min)),
            ("seqcache", Datum::Int8(sequence.cache)),
            ("seqcycle", boolean(sequence.cycle)),
        ]);
    }
    rows.finish()
}

// ---- databases and roles ----

fn pg_database(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_database");
    let catalog = context.services.catalog();
    for database in catalog.databases() {
        rows.push([
            ("oid", oid(database.oid)),
            ("datname", text(&database.name)),
            ("datdba", oid(database.owner)),
            ("encoding", Datum::Int4(6)),
            ("datlocprovider", letter('c')),
            ("datistemplate", boolean(database.is_template)),
            ("datallowconn", boolean(database.name != "template0")),
            ("datconnlimit", Datum::Int4(-1)),
            ("dattablespace", oid(1663)),
            ("datcollate", text("C")),
            ("datctype", text("C.UTF-8")),
            ("datacl", list(database.acl.as_ref(), &catalog)),
        ]);
    }
    rows.finish()
}

/// Verifiers are for superusers. (PostgreSQL keeps others out of the whole relation.)
pub(super) fn sees_passwords(context: &EvalContext<'_>) -> bool {
    let user = context.services.current_user();
    context.services.catalog().find_role(&user).is_some_and(|role| role.superuser)
}

fn pg_authid(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_authid");
    let visible = sees_passwords(context);
    for role in context.services.catalog().roles() {
        rows.push([
            ("oid", oid(role.oid)),
            ("rolname", text(&role.name)),
            ("rolsuper", boolean(role.superuser)),
            ("rolinherit", boolean(role.inherit)),
            ("rolcreaterole", boolean(role.create_role)),
            ("rolcreatedb", boolean(role.create_database)),
            ("rolcanlogin", boolean(role.login)),
            ("rolreplication", boolean(role.replication)),
            ("rolbypassrls", boolean(role.bypass_rls)),
            ("rolconnlimit", Datum::Int4(role.connection_limit)),
            ("rolpassword", optional(role.password.as_deref().filter(|_| visible))),
        ]);
    }
    rows.finish()
}

/// `name=value` of settings, or null.
pub fn settings_array(settings: &[(String, String)]) -> Datum {
    if settings.is_empty() {
        return Datum::Null;
    }
    text_array(settings.iter().map(|(name, value)| format!("{name}={value}")))
}

fn pg_db_role_setting(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_db_role_setting");
    let mut push = |database: Oid, role: Oid, settings: &[(String, String)]| {
        if !settings.is_empty() {
            rows.push([
                ("setdatabase", oid(database)),
                ("setrole", oid(role)),
                ("setconfig", settings_array(settings)),
            ]);
        }
    };
    for role in catalog.roles() {
        push(0, role.oid, &role.settings);
    }
    for database in catalog.databases() {
        push(database.oid, 0, &database.settings);
        let mut roles: Vec<Oid> = database.role_settings.iter().map(|(role, ..)| *role).collect();
        roles.dedup();
        for role in roles {
            let of_role = database.role_settings.iter().filter(|(of, ..)| *of == role);
            let settings: Vec<(String, String)> =
                of_role.map(|(_, name, value)| (name.clone(), value.clone())).collect();
            push(database.oid, role, &settings);
        }
    }
    rows.finish()
}

// ---- comments and dependencies ----

/// Every comment in this database: object, its catalog, column number, text.
pub fn comments(catalog: &Catalog) -> Vec<(Oid, Oid, i32, String)> {
    let mut found = Vec::new();
    let mut add = |object: Oid, class: Oid, column: i32, comment: Option<&String>| {
        if let Some(comment) = comment {
            found.push((object, class, column, comment.clone()));
        }
    };
    let plpgsql = super::extensions::PLPGSQL_COMMENT.to_owned();
    add(super::extensions::PLPGSQL_OID, CLASS_EXTENSION, 0, Some(&plpgsql));
    for extension in catalog.extensions() {
        add(extension.oid, CLASS_EXTENSION, 0, extension.comment.as_ref());
    }
    add(crate::catalog::routine::LANGUAGE_PLPGSQL, CLASS_LANGUAGE, 0, Some(&plpgsql));
    add(crate::catalog::routine::LANGUAGE_SQL, CLASS_LANGUAGE, 0, Some(&"SQL-language functions".to_owned()));
    for (schema, _, _, comment) in schemas(catalog) {
        add(schema, CLASS_NAMESPACE, 0, comment.as_ref());
    }
    for table in catalog.tables() {
        add(table.oid, CLASS_RELATION, 0, table.comment.as_ref());
        for column in table.columns.iter().filter(|column| !column.dropped) {
            add(table.oid, CLASS_RELATION, i32::from(column.number), column.comment.as_ref());
        }
        for index in &table.indexes {
            add(index.oid, CLASS_RELATION, 0, index.comment.as_ref());
        }
        for constraint in &table.constraints {
            add(constraint.oid, CLASS_CONSTRAINT, 0, constraint.comment.as_ref());
        }
        for trigger in &table.triggers {
            add(trigger.oid, CLASS_TRIGGER, 0, trigger.comment.as_ref());
        }
    }
    for routine in catalog.routines() {
        add(routine.oid, CLASS_PROC, 0, routine.comment.as_ref());
    }
    for user_type in catalog.user_types() {
        add(user_type.oid, CLASS_TYPE, 0, user_type.comment.as_ref());
    }
    for sequence in catalog.sequences() {
        add(sequence.oid, CLASS_RELATION, 0, sequence.comment.as_ref());
    }
    found
}

fn pg_largeobject(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_largeobject");
    let pages = context.services.large_objects().map(|objects| objects.lo_pages()).transpose()?;
    for (object, page, bytes) in pages.into_iter().flatten() {
        rows.push([
            ("loid", oid(object)),
            ("pageno", Datum::Int4(page as i32)),
            ("data", Datum::Bytea(bytes.into())),
        ]);
    }
    rows.finish()
}

fn large_objects(context: &EvalContext<'_>) -> Result<Vec<(Oid, Metadata)>> {
    context.services.large_objects().map_or_else(|| Ok(Vec::new()), |objects| objects.lo_all())
}

fn pg_largeobject_metadata(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_largeobject_metadata");
    let catalog = context.services.catalog();
    for (object, metadata) in large_objects(context)? {
        rows.push([
            ("oid", oid(object)),
            ("lomowner", oid(metadata.owner)),
            ("lomacl", list(metadata.acl.as_ref(), &catalog)),
        ]);
    }
    rows.finish()
}

fn pg_description(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_description");
    let of_large_objects = large_objects(context)?
        .into_iter()
        .filter_map(|(object, metadata)| Some((object, CLASS_LARGE_OBJECT, 0, metadata.comment?)));
    for (object, class, column, comment) in
        comments(&context.services.catalog()).into_iter().chain(of_large_objects)
    {
        rows.push([
            ("objoid", oid(object)),
            ("classoid", oid(class)),
            ("objsubid", Datum::Int4(column)),
            ("description", text(comment)),
        ]);
    }
    rows.finish()
}

/// Comments on what all databases share.
pub fn shared_comments(catalog: &Catalog) -> Vec<(Oid, Oid, String)> {
    let databases = catalog.databases().map(|database| (database.oid, CLASS_DATABASE, &database.comment));
    let roles = catalog.roles().map(|role| (role.oid, CLASS_AUTHID, &role.comment));
    databases
        .chain(roles)
        .filter_map(|(object, class, comment)| Some((object, class, comment.clone()?)))
        .collect()
}

fn pg_shdescription(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_shdescription");
    for (object, class, comment) in shared_comments(&context.services.catalog()) {
        rows.push([("objoid", oid(object)), ("classoid", oid(class)), ("description", text(comment))]);
    }
    rows.finish()
}

fn pg_depend(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_depend");
    let mut push = |(class, object): (Oid, Oid), (on_class, on): (Oid, Oid), column: i16, kind: char| {
        rows.push([
            ("classid", oid(class)),
            ("objid", oid(object)),
            ("refclassid", oid(on_class)),
            ("refobjid", oid(on)),
            ("refobjsubid", Datum::Int4(i32::from(column))),
            ("deptype", letter(kind)),
        ]);
    };
    for table in catalog.tables() {
        let this = (CLASS_RELATION, table.oid);
        push(this, (CLASS_NAMESPACE, table.schema), 0, 'n');
        for &parent in &table.inheritance.parents {
            push(this, (CLASS_RELATION, parent), 0, if table.is_partition() { 'a' } else { 'n' });
        }
        for index in table.indexes.iter().filter(|index| index.parent != 0) {
            push((CLASS_RELATION, index.oid), (CLASS_RELATION, index.parent), 0, 'P');
            push((CLASS_RELATION, index.oid), this, 0, 'S');
        }
        for column in &table.columns {
            if deparse::column_default(column).is_some() {
                let default = (CLASS_ATTRDEF, default_oid(table.oid, column.number));
                push(default, this, column.number, 'a');
                // A restored serial column has a written default, and the sequence is made its own afterwards.
                let owned = |sequence: &&std::sync::Arc<crate::catalog::Sequence>| {
                    sequence.owned_by == Some((table.oid, column.number)) && column.default.is_some()
                };
                let sequence = column.sequence.or_else(|| catalog.sequences().find(owned).map(|s| s.oid));
                let named = || nextval_of(column.default.as_deref()?, &catalog, context);
                if let Some(sequence) = sequence.or_else(named) {
                    push(default, (CLASS_RELATION, sequence), 0, 'n');
                }
            }
        }
        for constraint in &table.constraints {
            let (_, index, columns, _) = constraint_parts(table, constraint);
            for column in columns {
                push((CLASS_CONSTRAINT, constraint.oid), this, column, 'a');
            }
            if let Some(key) = constraint.foreign_key() {
                let this = (CLASS_CONSTRAINT, constraint.oid);
                if let Some(referenced) = catalog.table(key.referenced) {
                    for number in column_numbers(&referenced, &key.referenced_columns) {
                        push(this, (CLASS_RELATION, referenced.oid), number, 'n');
                    }
                }
                push(this, (CLASS_RELATION, index), 0, 'n');
            } else if index != 0 {
                push((CLASS_RELATION, index), (CLASS_CONSTRAINT, constraint.oid), 0, 'i');
            }
        }
        for index in table.indexes.iter().filter(|index| table.constraint_of_index(index.oid).is_none()) {
            for column in index.keys.iter().filter_map(|key| table.columns.get(key.column?)) {
                push((CLASS_RELATION, index.oid), this, column.number, 'a');
            }
        }
        for &on in &table.depends_on {
            push(this, (CLASS_RELATION, on), 0, 'n');
        }
    }
    for sequence in catalog.sequences() {
        let this = (CLASS_RELATION, sequence.oid);
        push(this, (CLASS_NAMESPACE, sequence.schema), 0, 'n');
        if let Some((table, column)) = sequence.owned_by {
            let identity = catalog.table(table).is_some_and(|table| {
                table.columns.iter().any(|of| of.number == column && of.identity.is_some())
            });
            push(this, (CLASS_RELATION, table), column, if identity { 'i' } else { 'a' });
        }
    }
    for member in super::extensions::PLPGSQL_MEMBERS {
        push(member, (CLASS_EXTENSION, super::extensions::PLPGSQL_OID), 0, 'e');
    }
    for extension in catalog.extensions() {
        let this = (CLASS_EXTENSION, extension.oid);
        push(this, (CLASS_NAMESPACE, extension.schema), 0, 'n');
        for member in super::extensions::members(extension) {
            push(member, this, 0, 'e');
        }
    }
    rows.finish()
}

/// The sequence that a default takes its value from: `nextval('name'::regclass)`.
fn nextval_of(default: &str, catalog: &Catalog, context: &EvalContext<'_>) -> Option<Oid> {
    if !default.contains("nextval(") {
        return None;
    }
    let ast::Expr::Function(call) = crate::parse::parse_expression(default).ok()? else { return None };
    let argument = match &call.arguments.first()?.value {
        ast::Expr::Cast { operand, .. } => operand,
        other => other,
    };
    let (ast::Expr::Literal(ast::Literal::String(name), _), Some("nextval")) =
        (argument, call.name.parts.last().map(String::as_str))
    else {
        return None;
    };
    let parts = crate::parse::parse_name(name).ok()?;
    let (last, schemas) = parts.split_last()?;
    let path = context.services.search_path();
    match catalog.find_relation(schemas.last().map(String::as_str), last, &path)? {
        crate::catalog::Relation::Sequence(sequence) => Some(sequence.oid),
        _ => None,
    }
}
