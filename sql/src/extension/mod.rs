//! Extensions that are part of the program: CREATE EXTENSION makes their objects visible rather than making them.
//!
//! PostgreSQL's extensions are scripts that define objects around a library of C functions. Drivers and ORMs ask for a handful of
//! them, and see nothing of how they came about: they look types up by name, call functions, and expect pg_dump to write CREATE
//! EXTENSION instead of the contents. So the objects of an extension here are built-in ones (types in the table of `types/mod.rs`;
//! functions, operators and casts from `facts/*.tsv`, recorded from PostgreSQL 15, joined with code by `functions/registry.rs`), and
//! what a database has is one descriptor ([`catalog::Extension`](crate::catalog::Extension)): which extension, in which schema.
//!
//! Rules:
//! 1. An object's OID says which extension it is of ([`of_object`]): each has a range between PostgreSQL's own OIDs and users', the same
//!    in every database. OIDs in the facts are on disk (columns' types) and never change; new objects get new ones at the end.
//! 2. Names lead to an object only in a database that has the extension, by the name of its schema or if the search path has that schema:
//!    whatever looks up a function, an operator or a type by its name asks `types::user::is_found` or `Catalog::find_type`. An object that
//!    was found once (a value's type, a cast between two types) is used without asking again.
//! 3. The catalogs list an extension's objects in databases that have it (`catalog/system/extensions.rs`).
//! 4. Nothing of an extension can be changed or dropped by itself. DROP EXTENSION looks for columns, types and routines that use its types,
//!    as DROP TYPE does.
//!
//! Deviations: there is one version of each, PostgreSQL 15's default; ALTER EXTENSION … ADD and DROP don't exist, as nobody can write an
//! extension. Operator classes of GIN and GiST other than btree_gin's and btree_gist's are left out with their support functions.

pub(crate) mod citext;
pub(crate) mod hstore;
pub(crate) mod ltree;
mod pg_trgm;
mod pgcrypto;
mod unaccent;
mod uuid_ossp;

use crate::functions::Registry;
use crate::types::{Oid, Type};
use std::ops::Range;

pub struct Extension {
    pub name: &'static str,
    pub version: &'static str,
    pub comment: &'static str,
    /// The OIDs of its objects.
    oids: Range<Oid>,
    pub types: &'static [Type],
    pub facts: &'static str,
    pub register: fn(&mut Registry),
}

/// What there is besides plpgsql, which every database has.
pub static ALL: [Extension; 9] = [
    // The classes of these two are in `index/classes.rs`.
    Extension {
        name: "btree_gin",
        version: "1.3",
        comment: "support for indexing common datatypes in GIN",
        oids: 15_050..15_050,
        types: &[],
        facts: "",
        register: |_| {},
    },
    Extension {
        name: "btree_gist",
        version: "1.7",
        comment: "support for indexing common datatypes in GiST",
        oids: 15_050..15_050,
        types: &[],
        facts: "",
        register: |_| {},
    },
    Extension {
        name: "citext",
        version: "1.6",
        comment: "data type for case-insensitive character strings",
        oids: 14_200..14_500,
        types: &[Type::CITEXT],
        facts: include_str!("facts/citext.tsv"),
        register: citext::register,
    },
    Extension {
        name: "hstore",
        version: "1.8",
        comment: "data type for storing sets of (key, value) pairs",
        oids: 14_600..14_800,
        types: &[Type::HSTORE],
        facts: include_str!("facts/hstore.tsv"),
        register: hstore::register,
    },
    Extension {
        name: "ltree",
        version: "1.2",
        comment: "data type for hierarchical tree-like structures",
        oids: 15_100..15_400,
        types: &[Type::LTREE, Type::LQUERY, Type::LTXTQUERY],
        facts: include_str!("facts/ltree.tsv"),
        register: ltree::register,
    },
    Extension {
        name: "pg_trgm",
        version: "1.6",
        comment: "text similarity measurement and index searching based on trigrams",
        oids: 14_900..15_000,
        types: &[],
        facts: include_str!("facts/pg_trgm.tsv"),
        register: pg_trgm::register,
    },
    Extension {
        name: "pgcrypto",
        version: "1.3",
        comment: "cryptographic functions",
        oids: 14_500..14_600,
        types: &[],
        facts: include_str!("facts/pgcrypto.tsv"),
        register: pgcrypto::register,
    },
    Extension {
        name: "unaccent",
        version: "1.1",
        comment: "text search dictionary that removes accents",
        oids: 15_000..15_050,
        types: &[],
        facts: include_str!("facts/unaccent.tsv"),
        register: unaccent::register,
    },
    Extension {
        name: "uuid-ossp",
        version: "1.1",
        comment: "generate universally unique identifiers (UUIDs)",
        oids: 14_100..14_200,
        types: &[],
        facts: include_str!("facts/uuid_ossp.tsv"),
        register: uuid_ossp::register,
    },
];

/// All ranges lie in this one.
const OIDS: Range<Oid> = 14_100..16_384;

pub fn find(name: &str) -> Option<&'static Extension> {
    ALL.iter().find(|extension| extension.name == name)
}

/// The extension that a function, operator, type or cast is of; None: it is PostgreSQL's own, or a user's.
pub fn of_object(oid: Oid) -> Option<&'static Extension> {
    match OIDS.contains(&oid) {
        true => ALL.iter().find(|extension| extension.oids.contains(&oid)),
        false => None,
    }
}

pub fn is_of_extension(oid: Oid) -> bool {
    of_object(oid).is_some()
}

impl Extension {
    pub fn has(&self, oid: Oid) -> bool {
        self.oids.contains(&oid)
    }
    /// By pg_type.typname; arrays are found by their elements.
    pub fn type_named(&self, name: &str) -> Option<Type> {
        self.types.iter().copied().find(|data_type| data_type.name() == name)
    }
    /// The facts of one kind, without their first field.
    pub fn rows(&self, kind: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
        let fields = self.facts.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        fields.filter(move |row| row[0] == kind).map(|row| row[1..].to_vec())
    }
}
