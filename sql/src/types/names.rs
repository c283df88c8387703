//! What a type is called and which family it belongs to: facts of pg_type.

use super::{Oid, Repr, Type, builtin, builtin_of_array, user};
use crate::catalog::{FIRST_USER_OID, TypeInfo};
use crate::extension::is_of_extension;
use crate::parse::quote_identifier;

fn user_element(array: Type) -> Option<Type> {
    match user::info(array.0) {
        Some(TypeInfo::ArrayOf(element)) => Some(element),
        _ => None,
    }
}

/// Range types with their subtypes and multirange types (pg_range).
pub const BUILTIN_RANGES: &[(Type, Type, Type)] = &[
    (Type::INT4RANGE, Type::INT4, Type::INT4MULTIRANGE),
    (Type::NUMRANGE, Type::NUMERIC, Type::NUMMULTIRANGE),
    (Type::TSRANGE, Type::TIMESTAMP, Type::TSMULTIRANGE),
    (Type::TSTZRANGE, Type::TIMESTAMPTZ, Type::TSTZMULTIRANGE),
    (Type::DATERANGE, Type::DATE, Type::DATEMULTIRANGE),
    (Type::INT8RANGE, Type::INT8, Type::INT8MULTIRANGE),
];

/// Words the grammar has for types besides their catalog names (`integer` is `int4`).
const ALIASES: &[(&str, Type)] = &[
    ("bigint", Type::INT8),
    ("bigserial", Type::INT8),
    ("bit varying", Type::VARBIT),
    ("boolean", Type::BOOL),
    ("char varying", Type::VARCHAR),
    ("character", Type::BPCHAR),
    ("character varying", Type::VARCHAR),
    ("dec", Type::NUMERIC),
    ("decimal", Type::NUMERIC),
    ("double precision", Type::FLOAT8),
    ("float", Type::FLOAT8),
    ("int", Type::INT4),
    ("integer", Type::INT4),
    ("real", Type::FLOAT4),
    ("smallint", Type::INT2),
    ("time with time zone", Type::TIMETZ),
    ("time without time zone", Type::TIME),
    ("timestamp with time zone", Type::TIMESTAMPTZ),
    ("timestamp without time zone", Type::TIMESTAMP),
];

fn scalar_named(name: &str) -> Option<Type> {
    if let Some(found) = super::BUILTIN_NAMES.get(name) {
        return Some(*found);
    }
    let found = ALIASES.binary_search_by(|alias| alias.0.cmp(name)).ok()?;
    Some(ALIASES[found].1)
}

impl Type {
    pub fn repr(self) -> Repr {
        match builtin(self.0) {
            Some(entry) => entry.3,
            None if builtin_of_array(self.0).is_some() => Repr::Array,
            None => match user::info(self.0) {
                Some(TypeInfo::Enum) => Repr::Int8,
                Some(TypeInfo::Domain(base, _)) => base.repr(),
                Some(TypeInfo::Row) => Repr::Record,
                Some(TypeInfo::Range(..) | TypeInfo::Multirange(_)) => Repr::Range,
                Some(TypeInfo::ArrayOf(_)) => Repr::Array,
                None => Repr::Text,
            },
        }
    }
    /// pg_type.typname: "int4", "_int4".
    pub fn name(self) -> String {
        match (builtin(self.0), builtin_of_array(self.0)) {
            (Some(entry), _) => entry.2.to_string(),
            (None, Some(element)) => format!("_{}", element.2),
            (None, None) => user::name(self.0).map_or_else(|| format!("oid{}", self.0), |name| name.1),
        }
    }
    pub fn is_known(self) -> bool {
        builtin(self.0).is_some() || builtin_of_array(self.0).is_some() || user::info(self.0).is_some()
    }
    /// The type of arrays of this type; None for pseudo-types and for arrays (whose arrays are of the same type).
    pub fn array_of(self) -> Option<Type> {
        match builtin(self.0) {
            Some(entry) => Some(Type(entry.1)).filter(|array| array.0 != 0),
            None => user::array_of(self.0),
        }
    }
    /// The element type of an array type (also int2vector and oidvector).
    pub fn element(self) -> Option<Type> {
        match self {
            Type::INT2VECTOR => Some(Type::INT2),
            Type::OIDVECTOR => Some(Type::OID),
            _ => match builtin_of_array(self.0) {
                Some(entry) => Some(entry.0),
                None => user_element(self),
            },
        }
    }
    /// Whether its values have an order, and so an equality that everybody means (a B-tree operator class).
    pub fn has_order(self) -> bool {
        let base = self.base();
        match base.element() {
            Some(element) => element.has_order(),
            None => base != Type::JSON && base != Type::JSONPATH && !super::geometry::is_geometric(base),
        }
    }
    /// A true array type: int2vector and oidvector are fixed-length types that can be subscripted.
    pub fn is_array(self) -> bool {
        builtin_of_array(self.0).is_some() || user_element(self).is_some()
    }
    /// The range type over a multirange type's ranges.
    pub fn range_of_multirange(self) -> Option<Type> {
        match BUILTIN_RANGES.iter().find(|range| range.2 == self) {
            Some(found) => Some(found.0),
            None => match user::info(self.0) {
                Some(TypeInfo::Multirange(range)) => Some(range),
                _ => None,
            },
        }
    }
    pub fn multirange_of_range(self) -> Option<Type> {
        match BUILTIN_RANGES.iter().find(|range| range.0 == self) {
            Some(found) => Some(found.2),
            None => match user::info(self.0) {
                Some(TypeInfo::Range(_, multirange)) => Some(multirange),
                _ => None,
            },
        }
    }
    /// What the bounds of a range or multirange type's values are of; None: it is neither.
    pub fn range_element(self) -> Option<Type> {
        match BUILTIN_RANGES.iter().find(|range| range.0 == self || range.2 == self) {
            Some(found) => Some(found.1),
            None => match user::info(self.0) {
                Some(TypeInfo::Range(element, _)) => Some(element),
                Some(TypeInfo::Multirange(range)) => range.range_element(),
                _ => None,
            },
        }
    }
    pub fn is_range(self) -> bool {
        self.multirange_of_range().is_some()
    }
    pub fn is_multirange(self) -> bool {
        self.range_of_multirange().is_some()
    }
    pub fn is_polymorphic(self) -> bool {
        matches!(
            self,
            Type::ANYELEMENT
                | Type::ANYARRAY
                | Type::ANYNONARRAY
                | Type::ANYENUM
                | Type::ANYCOMPATIBLE
                | Type::ANYCOMPATIBLEARRAY
                | Type::ANYCOMPATIBLENONARRAY
                | Type::ANYRANGE
                | Type::ANYMULTIRANGE
                | Type::ANYCOMPATIBLERANGE
                | Type::ANYCOMPATIBLEMULTIRANGE
        )
    }
    /// pg_type.typlen.
    pub fn typlen(self) -> i16 {
        match (builtin(self.0), user::info(self.0)) {
            (Some(entry), _) => entry.4,
            (None, Some(TypeInfo::Enum)) => 4,
            (None, Some(TypeInfo::Domain(base, _))) => base.typlen(),
            _ => -1,
        }
    }
    /// pg_type.typcategory.
    pub fn category(self) -> char {
        match self {
            Type::BOOL => 'B',
            Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => 'N',
            Type::OID
            | Type::REGPROC
            | Type::REGPROCEDURE
            | Type::REGOPER
            | Type::REGCLASS
            | Type::REGTYPE
            | Type::REGNAMESPACE
            | Type::REGROLE => 'N',
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CITEXT => 'S',
            Type::CHAR | Type::PG_NODE_TREE => 'Z',
            Type::DATE | Type::TIME | Type::TIMETZ | Type::TIMESTAMP | Type::TIMESTAMPTZ => 'D',
            Type::INTERVAL => 'T',
            Type::BIT | Type::VARBIT => 'V',
            Type::INET | Type::CIDR => 'I',
            Type::UNKNOWN => 'X',
            Type::INT2VECTOR | Type::OIDVECTOR => 'A',
            _ if self.is_array() => 'A',
            _ if self.0 >= FIRST_USER_OID => match user::info(self.0) {
                Some(TypeInfo::Enum) => 'E',
                Some(TypeInfo::Domain(base, _)) => base.category(),
                Some(TypeInfo::Row) => 'C',
                Some(TypeInfo::Range(..) | TypeInfo::Multirange(_)) => 'R',
                _ => 'U',
            },
            _ if self.is_pseudo() => 'P',
            _ if self.repr() == Repr::Range => 'R',
            _ => 'U',
        }
    }
    /// pg_type.typispreferred: the type its category falls back to.
    pub fn is_preferred(self) -> bool {
        matches!(
            self,
            Type::VARBIT
                | Type::INET
                | Type::BOOL
                | Type::FLOAT8
                | Type::OID
                | Type::TEXT
                | Type::TIMESTAMPTZ
                | Type::INTERVAL
        )
    }
    pub fn is_pseudo(self) -> bool {
        matches!(self, Type::RECORD | Type::CSTRING | Type::ANY | Type::VOID | Type::TRIGGER | Type::INTERNAL)
            || self.is_polymorphic()
    }
    pub fn from_oid(oid: Oid) -> Option<Type> {
        let known = Type(oid);
        known.is_known().then_some(known)
    }
    /// By catalog name ("int4", "_int4") or by the grammar's words ("integer"). Expects folded case.
    pub fn from_name(name: &str) -> Option<Type> {
        // An array type is named after its element, and there are no arrays of arrays: one prefix or suffix, no recursion.
        if let Some(found) = scalar_named(name) {
            return Some(found);
        }
        let element = name.strip_prefix('_').or_else(|| name.strip_suffix("[]").map(str::trim_end))?;
        scalar_named(element)?.array_of()
    }
    /// For error messages: `integer`, `character varying`.
    pub fn display(self) -> String {
        format_type(self, -1)
    }
}

/// A type as PostgreSQL's format_type() prints it, with its modifier (-1: none).
pub fn format_type(data_type: Type, modifier: i32) -> String {
    if data_type.is_array() {
        let element = data_type.element().expect("array types have elements");
        return format!("{}[]", format_type(element, modifier));
    }
    let length = |name: &str| match modifier {
        0.. => format!("{name}({})", modifier - 4),
        _ => name.to_string(),
    };
    let precision = |name: &str, rest: &str| match modifier {
        0.. => format!("{name}({modifier}){rest}"),
        _ => format!("{name}{rest}"),
    };
    match data_type {
        Type::BOOL => "boolean".into(),
        Type::INT2 => "smallint".into(),
        Type::INT4 => "integer".into(),
        Type::INT8 => "bigint".into(),
        Type::FLOAT4 => "real".into(),
        Type::FLOAT8 => "double precision".into(),
        Type::CHAR => "\"char\"".into(),
        Type::ANY => "\"any\"".into(),
        Type::BPCHAR if modifier < 0 => "bpchar".into(),
        Type::BPCHAR => length("character"),
        Type::VARCHAR => length("character varying"),
        Type::BIT if modifier < 0 => "\"bit\"".into(),
        Type::BIT => format!("bit({modifier})"),
        Type::VARBIT if modifier < 0 => "bit varying".into(),
        Type::VARBIT => format!("bit varying({modifier})"),
        Type::NUMERIC => match numeric_modifier(modifier) {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => "numeric".into(),
        },
        Type::TIME => precision("time", " without time zone"),
        Type::TIMETZ => precision("time", " with time zone"),
        Type::TIMESTAMP => precision("timestamp", " without time zone"),
        Type::TIMESTAMPTZ => precision("timestamp", " with time zone"),
        Type::INTERVAL => super::interval_modifier_text(modifier),
        Type::UNKNOWN => "unknown".into(),
        _ if data_type.0 >= FIRST_USER_OID || is_of_extension(data_type.0) => match user::name(data_type.0) {
            Some((Some(schema), name)) => {
                format!("{}.{}", quote_identifier(&schema), quote_identifier(&name))
            }
            Some((None, name)) => quote_identifier(&name),
            None => "???".into(),
        },
        _ => data_type.name(),
    }
}

/// Precision and scale in a numeric's type modifier. The scale is 11 bits, signed.
pub fn numeric_modifier(modifier: i32) -> Option<(i32, i32)> {
    (modifier >= 4).then(|| {
        let packed = modifier - 4;
        (packed >> 16 & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
    })
}

/// The type modifier of numeric(precision, scale).
pub fn make_numeric_modifier(precision: i32, scale: i32) -> i32 {
    (precision << 16 | scale & 0x7ff) + 4
}

#[cfg(test)]
mod tests {
    use super::super::BUILTIN;
    use super::*;

    #[test]
    fn aliases_are_sorted_for_the_binary_search() {
        assert!(ALIASES.is_sorted_by_key(|alias| alias.0));
    }

    #[test]
    fn names_round_trip_and_print_as_postgresql_does() {
        for entry in BUILTIN.iter().filter(|entry| !is_of_extension(entry.0.0)) {
            assert_eq!(Type::from_name(entry.2), Some(entry.0));
        }
        assert_eq!(Type::from_name("_int4"), Type::INT4.array_of());
        assert_eq!(Type::from_name("integer[]"), Type::INT4.array_of());
        assert_eq!(format_type(Type::VARCHAR, 24), "character varying(20)");
        assert_eq!(format_type(Type::NUMERIC, make_numeric_modifier(10, 2)), "numeric(10,2)");
        assert_eq!(format_type(Type::NUMERIC, make_numeric_modifier(3, -2)), "numeric(3,-2)");
        assert_eq!(format_type(Type(1185), 3), "timestamp(3) with time zone[]");
        assert_eq!(format_type(Type::INTERVAL, -1), "interval");
    }
}
