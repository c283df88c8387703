//! The list of system relations, and how their rows are filled.

use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG, SystemRelation};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::{ArrayValue, Datum, Oid, Repr, Type};
use hashbrown::HashMap;
use std::sync::OnceLock;

pub type Producer = fn(&EvalContext<'_>) -> Result<Vec<Vec<Datum>>>;

struct Relations {
    list: Vec<SystemRelation>,
    /// relkind of each.
    kinds: Vec<char>,
    by_name: HashMap<(Oid, &'static str), usize>,
    by_oid: HashMap<Oid, usize>,
}

fn relations() -> &'static Relations {
    static RELATIONS: OnceLock<Relations> = OnceLock::new();
    RELATIONS.get_or_init(|| {
        let (mut list, mut kinds) = (Vec::new(), Vec::new());
        for line in include_str!("facts/relations.tsv").lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&'static str> = line.split('\t').collect();
            let schema = if fields[1] == "pg_catalog" { PG_CATALOG } else { INFORMATION_SCHEMA };
            let mut columns = Vec::new();
            let mut modifiers = Vec::new();
            for column in fields[4].split(',') {
                let (name, data_type) = column.split_once(':').expect("a column is name:type");
                let (data_type, modifier) = data_type.split_once('(').unwrap_or((data_type, "-1)"));
                columns.push((name, Type(data_type.parse().expect("a type is an OID"))));
                modifiers.push(modifier.trim_end_matches(')').parse().expect("a modifier is a number"));
            }
            list.push(SystemRelation {
                oid: fields[0].parse().expect("an OID"),
                schema,
                name: fields[3],
                // The list lives as long as the process.
                columns: Vec::leak(columns),
                modifiers: Vec::leak(modifiers),
                rows: super::producer(schema, fields[3]).unwrap_or(|_| Ok(Vec::new())),
            });
            kinds.push(fields[2].chars().next().expect("a relkind"));
        }
        let by_name =
            list.iter().enumerate().map(|(at, relation)| ((relation.schema, relation.name), at)).collect();
        let by_oid = list.iter().enumerate().map(|(at, relation)| (relation.oid, at)).collect();
        Relations { list, kinds, by_name, by_oid }
    })
}

pub fn find(schema: Oid, name: &str) -> Option<&'static SystemRelation> {
    let relations = relations();
    relations.by_name.get(&(schema, name)).map(|at| &relations.list[*at])
}

pub fn by_oid(oid: Oid) -> Option<&'static SystemRelation> {
    let relations = relations();
    relations.by_oid.get(&oid).map(|at| &relations.list[*at])
}

/// Every system relation with its relkind (`r` or `v`).
pub fn all() -> impl Iterator<Item = (&'static SystemRelation, char)> {
    let relations = relations();
    relations.list.iter().zip(relations.kinds.iter().copied())
}

/// Rows of one relation, filled by column name. What isn't named is false, 0 or '' in a catalog table (where PostgreSQL
/// has NOT NULL nearly everywhere) and null in a view.
pub struct Rows {
    relation: &'static SystemRelation,
    blank: Vec<Datum>,
    rows: Vec<Vec<Datum>>,
}

impl Rows {
    pub fn new(schema: Oid, name: &str) -> Rows {
        let relation = find(schema, name).expect("producers name relations of the list");
        let table = relations().kinds[relations().by_oid[&relation.oid]] == 'r';
        let blank = relation.columns.iter().map(|(_, data_type)| blank(*data_type, table)).collect();
        Rows { relation, blank, rows: Vec::new() }
    }

    pub fn catalog(name: &str) -> Rows {
        Rows::new(PG_CATALOG, name)
    }

    /// Values in the order of the columns are found fastest.
    pub fn push<const N: usize>(&mut self, values: [(&'static str, Datum); N]) {
        let mut row = self.blank.clone();
        let columns = self.relation.columns;
        let mut from = 0;
        for (name, value) in values {
            let at = (from..columns.len())
                .chain(0..from)
                .find(|&at| columns[at].0 == name)
                .unwrap_or_else(|| panic!("{} has no column {name}", self.relation.name));
            row[at] = value;
            from = at + 1;
        }
        self.rows.push(row);
    }

    pub fn finish(self) -> Result<Vec<Vec<Datum>>> {
        Ok(self.rows)
    }
}

fn blank(data_type: Type, table: bool) -> Datum {
    if !table {
        return Datum::Null;
    }
    match data_type {
        Type::INT2VECTOR | Type::OIDVECTOR => vector(data_type, Vec::new()),
        Type::NAME | Type::CHAR => text(""),
        _ => match data_type.repr() {
            Repr::Bool => Datum::Bool(false),
            Repr::Int2 => Datum::Int2(0),
            Repr::Int4 => Datum::Int4(0),
            Repr::Int8 => Datum::Int8(0),
            Repr::Float4 => Datum::Float4(0.0),
            Repr::Oid => Datum::Oid(0),
            _ => Datum::Null,
        },
    }
}

// ---- values ----

pub fn text(value: impl AsRef<str>) -> Datum {
    Datum::text(value.as_ref())
}

/// A "char".
pub fn letter(value: char) -> Datum {
    Datum::text(value.to_string())
}

pub fn oid(value: Oid) -> Datum {
    Datum::Oid(value)
}

pub fn boolean(value: bool) -> Datum {
    Datum::Bool(value)
}

pub fn optional(value: Option<impl AsRef<str>>) -> Datum {
    value.map_or(Datum::Null, |value| text(value.as_ref()))
}

/// YES or NO, as information_schema says it.
pub fn yes_no(value: bool) -> Datum {
    text(if value { "YES" } else { "NO" })
}

fn one_dimension(element: Type, elements: Vec<Datum>, lower: i32) -> Datum {
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, lower)] };
    Datum::array(ArrayValue { element, dimensions, elements })
}

pub fn array(element: Type, elements: Vec<Datum>) -> Datum {
    one_dimension(element, elements, 1)
}

pub fn text_array<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Datum {
    array(Type::TEXT, values.into_iter().map(text).collect())
}

/// int2vector or oidvector: counted from 0.
pub fn vector(data_type: Type, elements: Vec<Datum>) -> Datum {
    let element = if data_type == Type::INT2VECTOR { Type::INT2 } else { Type::OID };
    one_dimension(element, elements, 0)
}
