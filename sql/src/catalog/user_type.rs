//! Types that users make: enums, domains, composite types; and the row types of tables.
//!
//! An enum's value is kept as its label's *position*, a 64-bit number whose order is that of the labels: values are compared,
//! hashed and indexed without asking the type. Labels are made 2³² apart, one put between two others takes the middle. So 32
//! labels in a row fit into any one gap; after that adding one fails (54000). PostgreSQL keeps label OIDs and looks their order up; its
//! enumsortorder is our position / 2³².

use crate::types::{Oid, Record, Type};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserType {
    pub oid: Oid,
    /// The type of arrays of it.
    pub array: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub owner: Oid,
    pub kind: TypeKind,
    /// Of a composite type: its entry in pg_class.
    #[serde(default)]
    pub relation: Oid,
    #[serde(default)]
    pub comment: Option<String>,
    /// None: the default of types.
    #[serde(default)]
    pub acl: Option<super::Acl>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum TypeKind {
    /// In order of position.
    Enum(Vec<Label>),
    Domain(Domain),
    Composite(Vec<Attribute>),
    Range(RangeType),
    /// The multirange type of a range type.
    Multirange(Oid),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Label {
    pub oid: Oid,
    pub name: String,
    pub position: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Domain {
    pub base: Oid,
    pub modifier: i32,
    #[serde(default)]
    pub not_null: bool,
    /// SQL text.
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default)]
    pub checks: Vec<DomainCheck>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DomainCheck {
    pub oid: Oid,
    pub name: String,
    /// SQL text about VALUE.
    pub text: String,
    #[serde(default = "yes")]
    pub validated: bool,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RangeType {
    pub subtype: Oid,
    pub multirange: Oid,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attribute {
    pub name: String,
    /// From 1, never reused.
    pub number: i16,
    pub data_type: Oid,
    pub modifier: i32,
}

/// The room between labels made together.
pub const LABEL_GAP: i64 = 1 << 32;

impl UserType {
    pub fn labels(&self) -> &[Label] {
        match &self.kind {
            TypeKind::Enum(labels) => labels,
            _ => &[],
        }
    }
    pub fn domain(&self) -> Option<&Domain> {
        match &self.kind {
            TypeKind::Domain(domain) => Some(domain),
            _ => None,
        }
    }
    /// The types that its definition names.
    pub fn uses(&self) -> Vec<Oid> {
        match &self.kind {
            TypeKind::Enum(_) => Vec::new(),
            TypeKind::Domain(domain) => vec![domain.base],
            TypeKind::Composite(attributes) => attributes.iter().map(|a| a.data_type).collect(),
            TypeKind::Range(range) => vec![range.subtype],
            TypeKind::Multirange(range) => vec![*range],
        }
    }
}

/// What the system has to know of a type by its OID alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TypeInfo {
    Enum,
    /// Of a base type, which may be another domain, with a modifier.
    Domain(Type, i32),
    Row,
    ArrayOf(Type),
    /// Of a subtype, with its multirange type.
    Range(Type, Type),
    /// Of a range type.
    Multirange(Type),
}

/// Names and types of a row type's columns.
pub fn template(columns: impl Iterator<Item = (String, Type)>) -> Record {
    let (mut names, mut fields) = (Vec::new(), Vec::new());
    for (name, data_type) in columns {
        names.push(name);
        fields.push((data_type, crate::types::Datum::Null));
    }
    Record { fields, names: Some(Arc::from(names)) }
}
