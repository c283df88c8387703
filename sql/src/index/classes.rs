//! The operator classes of GIN and GiST by name. Those of B-trees need no code: all of them order as `key.rs` does.

use super::boxes::{BOX_OPS, CIRCLE_OPS, POINT_OPS, POLY_OPS};
use super::gin::{ArrayOps, ScalarItem, TextSearchOps};
use super::gist::{InetOps, RangeOps};
use super::jsonb::{JsonbOps, JsonbPathOps};
use super::{Method, Part};
use crate::error::{Error, Result, SqlState};
use crate::types::Type;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) struct ClassFacts {
    pub method: Method,
    pub name: &'static str,
    pub is_default: bool,
    accepts: fn(Type) -> bool,
    part: fn(Type) -> Part,
    /// Which one it comes with; None: PostgreSQL has it anyway.
    pub extension: Option<&'static str>,
}

const BTREE_GIN: &str = "btree_gin";
const BTREE_GIST: &str = "btree_gist";

macro_rules! scalar_classes {
    ($($gist:literal $gin:literal $default:literal $($type:ident)|+;)*) => {
        /// btree_gist's and btree_gin's.
        const SCALARS: &[ClassFacts] = &[$(
            ClassFacts {
                method: Method::Gist,
                name: $gist,
                is_default: $default,
                accepts: |t| $(t == Type::$type)||+,
                part: |_| Part::Scalar,
                extension: Some(BTREE_GIST),
            },
            ClassFacts {
                method: Method::Gin,
                name: $gin,
                is_default: true,
                accepts: |t| $(t == Type::$type)||+,
                part: scalar_item,
                extension: Some(BTREE_GIN),
            },
        )*];
    };
}

scalar_classes! {
    "gist_bool_ops" "bool_ops" true BOOL;
    "gist_int2_ops" "int2_ops" true INT2;
    "gist_int4_ops" "int4_ops" true INT4;
    "gist_int8_ops" "int8_ops" true INT8;
    "gist_float4_ops" "float4_ops" true FLOAT4;
    "gist_float8_ops" "float8_ops" true FLOAT8;
    "gist_numeric_ops" "numeric_ops" true NUMERIC;
    "gist_oid_ops" "oid_ops" true OID;
    "gist_text_ops" "text_ops" true TEXT | VARCHAR;
    "gist_bpchar_ops" "bpchar_ops" true BPCHAR;
    "gist_bytea_ops" "bytea_ops" true BYTEA;
    "gist_date_ops" "date_ops" true DATE;
    "gist_time_ops" "time_ops" true TIME;
    "gist_timetz_ops" "timetz_ops" true TIMETZ;
    "gist_timestamp_ops" "timestamp_ops" true TIMESTAMP;
    "gist_timestamptz_ops" "timestamptz_ops" true TIMESTAMPTZ;
    "gist_interval_ops" "interval_ops" true INTERVAL;
    "gist_uuid_ops" "uuid_ops" true UUID;
    "gist_macaddr_ops" "macaddr_ops" true MACADDR;
    "gist_macaddr8_ops" "macaddr8_ops" true MACADDR8;
    "gist_inet_ops" "inet_ops" false INET;
    "gist_cidr_ops" "cidr_ops" false CIDR;
    "gist_bit_ops" "bit_ops" true BIT;
    "gist_vbit_ops" "varbit_ops" true VARBIT;
}

const OWN: &[ClassFacts] = &[
    ClassFacts {
        method: Method::Gin,
        name: "array_ops",
        is_default: true,
        accepts: Type::is_array,
        part: |_| Part::Items(&ArrayOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gin,
        name: "tsvector_ops",
        is_default: true,
        accepts: |t| t == Type::TSVECTOR,
        part: |_| Part::Items(&TextSearchOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gin,
        name: "jsonb_ops",
        is_default: true,
        accepts: |t| t == Type::JSONB,
        part: |_| Part::Items(&JsonbOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gin,
        name: "jsonb_path_ops",
        is_default: false,
        accepts: |t| t == Type::JSONB,
        part: |_| Part::Items(&JsonbPathOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gin,
        name: "enum_ops",
        is_default: true,
        accepts: Type::is_enum,
        part: scalar_item,
        extension: Some(BTREE_GIN),
    },
    ClassFacts {
        method: Method::Gist,
        name: "range_ops",
        is_default: true,
        accepts: Type::is_range,
        part: |_| Part::Items(&RangeOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gist,
        name: "multirange_ops",
        is_default: true,
        accepts: Type::is_multirange,
        part: |_| Part::Items(&RangeOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gist,
        name: "point_ops",
        is_default: true,
        accepts: |t| t == Type::POINT,
        part: |_| Part::Items(&POINT_OPS),
        extension: None,
    },
    ClassFacts {
        method: Method::Gist,
        name: "box_ops",
        is_default: true,
        accepts: |t| t == Type::BOX,
        part: |_| Part::Items(&BOX_OPS),
        extension: None,
    },
    ClassFacts {
        method: Method::Gist,
        name: "poly_ops",
        is_default: true,
        accepts: |t| t == Type::POLYGON,
        part: |_| Part::Items(&POLY_OPS),
        extension: None,
    },
    ClassFacts {
        method: Method::Gist,
        name: "circle_ops",
        is_default: true,
        accepts: |t| t == Type::CIRCLE,
        part: |_| Part::Items(&CIRCLE_OPS),
        extension: None,
    },
    // PostgreSQL's own class of networks; not its default, as btree_gist's is not either.
    ClassFacts {
        method: Method::Gist,
        name: "inet_ops",
        is_default: false,
        accepts: |t| t == Type::INET || t == Type::CIDR,
        part: |_| Part::Items(&InetOps),
        extension: None,
    },
    ClassFacts {
        method: Method::Gist,
        name: "gist_enum_ops",
        is_default: true,
        accepts: Type::is_enum,
        part: |_| Part::Scalar,
        extension: Some(BTREE_GIST),
    },
];

/// One class for each type of values.
fn scalar_item(data_type: Type) -> Part {
    static KNOWN: LazyLock<Mutex<HashMap<Type, &'static ScalarItem>>> = LazyLock::new(Mutex::default);
    Part::Items(*KNOWN.lock().entry(data_type).or_insert_with(|| Box::leak(Box::new(ScalarItem(data_type)))))
}

fn classes() -> impl Iterator<Item = &'static ClassFacts> {
    OWN.iter().chain(SCALARS)
}

impl ClassFacts {
    pub fn accepts(&self, data_type: Type) -> bool {
        (self.accepts)(data_type.base())
    }
}

pub(crate) fn class_named(method: Method, name: &str) -> Option<&'static ClassFacts> {
    classes().find(|class| class.method == method && class.name == name)
}

/// The class named, or a type's default.
pub(crate) fn find_class(method: Method, name: Option<&str>, data_type: Type) -> Option<&'static ClassFacts> {
    match name {
        Some(name) => class_named(method, name).filter(|class| class.accepts(data_type)),
        None => {
            classes().find(|class| class.method == method && class.is_default && class.accepts(data_type))
        }
    }
}

/// How a column is kept, by the class named, or its type's default. `has` tells of extensions.
pub(crate) fn class_for(
    method: Method,
    name: Option<&str>,
    data_type: Type,
    has: impl Fn(&str) -> bool,
) -> Result<Part> {
    match find_class(method, name, data_type) {
        Some(class) if class.extension.is_none_or(has) => Ok((class.part)(data_type.base())),
        _ => Err(no_class(method, data_type)),
    }
}

pub(crate) fn no_class(method: Method, data_type: Type) -> Error {
    let message = format!(
        "data type {} has no default operator class for access method \"{}\"",
        data_type.display(),
        method.name()
    );
    let hint = "You must specify an operator class for the index or define a default operator class for the data type.";
    Error::new(SqlState::UNDEFINED_OBJECT, message).hint(hint)
}
