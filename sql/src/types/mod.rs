//! Types and values. A [`Type`] is PostgreSQL's OID of it; what a value looks like in memory is its [`Repr`], which
//! many types share (text, varchar, name and json are all `Text`).

pub mod array_text;
pub mod binary;
pub mod bits;
pub mod calendar;
pub mod datetime_input;
pub mod datetime_output;
mod datum;
pub mod float;
pub mod format;
pub mod geometry;
#[cfg(test)]
mod hostile;
pub mod interval;
pub mod interval_input;
pub mod json;
mod money;
mod names;
pub mod network;
pub mod numeric;
pub mod range;
mod record_text;
pub(crate) mod textsearch;
mod timezone;
pub(crate) use timezone::offset as timezone_offset;
pub(crate) mod user;

pub use binary::{read_binary, write_binary, write_binary_datum};
pub use datum::{
    ArrayValue, Datum, Interval, Record, TimeTz, compare, compare_as, compare_floats, hash_as, hash_float,
};
pub use format::{apply_modifier, format_datum, parse_datum, write_datum, write_text};
pub use interval::{interval_modifier_text, make_interval_modifier};
pub use names::{BUILTIN_RANGES, format_type, make_numeric_modifier, numeric_modifier};
pub use numeric::Numeric;

/// An object identifier, PostgreSQL's numbering for everything built in.
pub type Oid = u32;

/// A type by its OID (pg_type.oid).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Type(pub Oid);

/// How values of a type are held in memory and in columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Repr {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    /// text, varchar, bpchar, name, "char", json, unknown, cstring, …
    Text,
    Bytea,
    /// Days since 2000-01-01; `i32::MIN`/`MAX` are -infinity/infinity.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 2000-01-01 (UTC for timestamptz); `i64::MIN`/`MAX` are -infinity/infinity.
    Timestamp,
    Interval,
    Uuid,
    /// oid, regclass, regtype, regproc, xid, cid: unsigned 32 bit.
    Oid,
    Array,
    Record,
    /// A range or a multirange.
    Range,
    /// A time of day with its zone.
    TimeTz,
}

macro_rules! types {
    ($($name:ident = $oid:literal, $array:literal, $text:literal, $repr:ident, $size:literal;)*) => {
        impl Type { $(pub const $name: Type = Type($oid);)* }
        /// Every built-in scalar type: (type, its array type's OID (0: none), typname, representation, typlen).
        pub const BUILTIN: &[(Type, Oid, &str, Repr, i16)] =
            &[$((Type($oid), $array, $text, Repr::$repr, $size),)*];
        /// The entry of a scalar type: a jump table, as every value's decoding may ask.
        const fn builtin(oid: Oid) -> Option<&'static (Type, Oid, &'static str, Repr, i16)> {
            match oid {
                $($oid => Some(&(Type($oid), $array, $text, Repr::$repr, $size)),)*
                _ => None,
            }
        }
        /// The entry of an array type's element.
        const fn builtin_of_array(oid: Oid) -> Option<&'static (Type, Oid, &'static str, Repr, i16)> {
            match oid {
                $($array if $array != 0 => Some(&(Type($oid), $array, $text, Repr::$repr, $size)),)*
                _ => None,
            }
        }
    };
}

types! {
    BOOL = 16, 1000, "bool", Bool, 1;
    BYTEA = 17, 1001, "bytea", Bytea, -1;
    CHAR = 18, 1002, "char", Text, 1;
    NAME = 19, 1003, "name", Text, 64;
    INT8 = 20, 1016, "int8", Int8, 8;
    INT2 = 21, 1005, "int2", Int2, 2;
    INT2VECTOR = 22, 1006, "int2vector", Array, -1;
    INT4 = 23, 1007, "int4", Int4, 4;
    REGPROC = 24, 1008, "regproc", Oid, 4;
    TEXT = 25, 1009, "text", Text, -1;
    OID = 26, 1028, "oid", Oid, 4;
    TID = 27, 1010, "tid", Text, 6;
    XID = 28, 1011, "xid", Oid, 4;
    CID = 29, 1012, "cid", Oid, 4;
    OIDVECTOR = 30, 1013, "oidvector", Array, -1;
    JSON = 114, 199, "json", Text, -1;
    PG_NODE_TREE = 194, 0, "pg_node_tree", Text, -1;
    POINT = 600, 1017, "point", Bytea, 16;
    LSEG = 601, 1018, "lseg", Bytea, 32;
    PATH = 602, 1019, "path", Bytea, -1;
    BOX = 603, 1020, "box", Bytea, 32;
    POLYGON = 604, 1027, "polygon", Bytea, -1;
    LINE = 628, 629, "line", Bytea, 24;
    CIDR = 650, 651, "cidr", Bytea, -1;
    MACADDR8 = 774, 775, "macaddr8", Bytea, 8;
    MONEY = 790, 791, "money", Int8, 8;
    MACADDR = 829, 1040, "macaddr", Bytea, 6;
    INET = 869, 1041, "inet", Bytea, -1;
    BIT = 1560, 1561, "bit", Text, -1;
    VARBIT = 1562, 1563, "varbit", Text, -1;
    CIRCLE = 718, 719, "circle", Bytea, 24;
    FLOAT4 = 700, 1021, "float4", Float4, 4;
    FLOAT8 = 701, 1022, "float8", Float8, 8;
    UNKNOWN = 705, 0, "unknown", Text, -2;
    ACLITEM = 1033, 1034, "aclitem", Text, 12;
    BPCHAR = 1042, 1014, "bpchar", Text, -1;
    VARCHAR = 1043, 1015, "varchar", Text, -1;
    DATE = 1082, 1182, "date", Date, 4;
    TIME = 1083, 1183, "time", Time, 8;
    TIMESTAMP = 1114, 1115, "timestamp", Timestamp, 8;
    TIMESTAMPTZ = 1184, 1185, "timestamptz", Timestamp, 8;
    TIMETZ = 1266, 1270, "timetz", TimeTz, 12;
    INTERVAL = 1186, 1187, "interval", Interval, 16;
    NUMERIC = 1700, 1231, "numeric", Numeric, -1;
    REFCURSOR = 1790, 2201, "refcursor", Text, -1;
    REGPROCEDURE = 2202, 2207, "regprocedure", Oid, 4;
    REGOPER = 2203, 2208, "regoper", Oid, 4;
    REGCLASS = 2205, 2210, "regclass", Oid, 4;
    REGTYPE = 2206, 2211, "regtype", Oid, 4;
    RECORD = 2249, 2287, "record", Record, -1;
    CSTRING = 2275, 1263, "cstring", Text, -2;
    ANY = 2276, 0, "any", Text, 4;
    ANYARRAY = 2277, 0, "anyarray", Array, -1;
    VOID = 2278, 0, "void", Text, 4;
    TRIGGER = 2279, 0, "trigger", Text, 4;
    INTERNAL = 2281, 0, "internal", Text, 8;
    ANYELEMENT = 2283, 0, "anyelement", Text, 4;
    ANYENUM = 3500, 0, "anyenum", Int8, 4;
    ANYNONARRAY = 2776, 0, "anynonarray", Text, 4;
    ANYCOMPATIBLE = 5077, 0, "anycompatible", Text, 4;
    ANYCOMPATIBLEARRAY = 5078, 0, "anycompatiblearray", Array, -1;
    ANYCOMPATIBLENONARRAY = 5079, 0, "anycompatiblenonarray", Text, 4;
    ANYRANGE = 3831, 0, "anyrange", Range, -1;
    ANYMULTIRANGE = 4537, 0, "anymultirange", Range, -1;
    ANYCOMPATIBLERANGE = 5080, 0, "anycompatiblerange", Range, -1;
    ANYCOMPATIBLEMULTIRANGE = 4538, 0, "anycompatiblemultirange", Range, -1;
    INT4RANGE = 3904, 3905, "int4range", Range, -1;
    NUMRANGE = 3906, 3907, "numrange", Range, -1;
    TSRANGE = 3908, 3909, "tsrange", Range, -1;
    TSTZRANGE = 3910, 3911, "tstzrange", Range, -1;
    DATERANGE = 3912, 3913, "daterange", Range, -1;
    INT8RANGE = 3926, 3927, "int8range", Range, -1;
    INT4MULTIRANGE = 4451, 6150, "int4multirange", Range, -1;
    NUMMULTIRANGE = 4532, 6151, "nummultirange", Range, -1;
    TSMULTIRANGE = 4533, 6152, "tsmultirange", Range, -1;
    TSTZMULTIRANGE = 4534, 6153, "tstzmultirange", Range, -1;
    DATEMULTIRANGE = 4535, 6155, "datemultirange", Range, -1;
    INT8MULTIRANGE = 4536, 6157, "int8multirange", Range, -1;
    UUID = 2950, 2951, "uuid", Uuid, 16;
    PG_LSN = 3220, 3221, "pg_lsn", Bytea, 8;
    TSVECTOR = 3614, 3643, "tsvector", Bytea, -1;
    TSQUERY = 3615, 3645, "tsquery", Bytea, -1;
    JSONB = 3802, 3807, "jsonb", Text, -1;
    JSONPATH = 4072, 4073, "jsonpath", Text, -1;
    REGNAMESPACE = 4089, 4090, "regnamespace", Oid, 4;
    REGROLE = 4096, 4097, "regrole", Oid, 4;
    XID8 = 5069, 271, "xid8", Int8, 8;
    // Of extensions: see `extension`.
    CITEXT = 14200, 14201, "citext", Text, -1;
    HSTORE = 14600, 14601, "hstore", Text, -1;
    LTREE = 15100, 15101, "ltree", Text, -1;
    LQUERY = 15102, 15103, "lquery", Text, -1;
    LTXTQUERY = 15104, 15105, "ltxtquery", Text, -1;
}

/// Built-in scalar types by pg_type.typname, without those of extensions.
pub static BUILTIN_NAMES: std::sync::LazyLock<hashbrown::HashMap<&'static str, Type>> =
    std::sync::LazyLock::new(|| {
        let own = BUILTIN.iter().filter(|entry| !crate::extension::is_of_extension(entry.0.0));
        own.map(|entry| (entry.2, entry.0)).collect()
    });

/// What text output depends on: a snapshot of the session's settings, cheap to clone.
#[derive(Clone, Debug)]
pub struct RenderSettings {
    pub date_style: DateStyle,
    pub interval_style: IntervalStyle,
    pub time_zone: std::sync::Arc<TimeZone>,
    pub extra_float_digits: i32,
    pub bytea_escape: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateFormat {
    Iso,
    Sql,
    Postgres,
    German,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DateStyle {
    pub format: DateFormat,
    pub order: DateOrder,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntervalStyle {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

impl Default for RenderSettings {
    /// PostgreSQL's built-in defaults.
    fn default() -> RenderSettings {
        RenderSettings {
            date_style: DateStyle { format: DateFormat::Iso, order: DateOrder::Mdy },
            interval_style: IntervalStyle::Postgres,
            time_zone: std::sync::Arc::new(TimeZone::utc()),
            extra_float_digits: 1,
            bytea_escape: false,
        }
    }
}

/// A named zone or fixed offset, with the name that SHOW timezone prints.
#[derive(Debug)]
pub struct TimeZone {
    pub name: String,
    pub(crate) zone: jiff::tz::TimeZone,
}
