//! Partitioned tables: which row goes where, and which partitions a query needs.
//!
//! # The idea
//!
//! A partition is an ordinary table with a bound. The partitioned table has no rows; everything that concerns its partitions is
//! decided in one structure, [`Routing`], worked out from the bounds once per descriptor:
//!
//! | strategy | structure                                                     | a row                    |
//! |----------|---------------------------------------------------------------|--------------------------|
//! | LIST     | value → partition, and the null's                             | is looked up             |
//! | RANGE    | lower and upper ends in order, as encoded keys (`key.rs`)     | is found by bisection    |
//! | HASH     | remainder by the greatest modulus → partition                 | its hash names the slot  |
//!
//! What none of these has goes to the DEFAULT partition, or is an error (23514). Three questions are answered from it:
//!
//! 1. *Routing*: where a new row goes ([`Routing::route`]; level by level for sub-partitions, [`Lineage`] and `exec/targets.rs`).
//! 2. *The partition constraint*: a row may be in a partition if and only if it would be routed there, on each level ([`Lineage::fits`]). So
//!    the DEFAULT partition's constraint follows the other partitions without being written anywhere.
//! 3. *Pruning*: which partitions can have rows that satisfy tests on the partition key ([`Routing::select`]). The planner makes the
//!    tests from conditions (`plan/prune.rs`); those whose values are constants are applied when planning, the others each time the Append
//!    starts. A test only ever takes partitions away for which it can't be true, so forgetting one is never wrong.
//!
//! # Range bounds
//!
//! A bound is encoded like a key of the partition key's columns, MINVALUE as a byte below every tag and MAXVALUE as one above; what
//! follows either doesn't matter. Comparison of bytes then is comparison of bounds, with each other and with keys.
//!
//! # Hash values
//!
//! Are PostgreSQL's (hashfn.c, `compute_partition_hash_value`), so that partitions dumped there can be loaded here.
//!
//! # What a child's columns are
//!
//! Parent and child have columns of the same names and types, but not always in the same places. Rows are carried over by [`Places`].

use super::key::{self, KeyOrder, VALUE_TAG};
use super::shape::{from_text, to_text};
use crate::catalog::{Catalog, PartitionBound, RangeDatum, Strategy, Table};
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::exec::eval::eval_row;
use crate::functions::EvalContext;
use crate::plan::{PlanContext, PlannerSettings};
use crate::types::{Datum, Oid, Type};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

const ORDER: KeyOrder = KeyOrder::ASCENDING;
const MIN_TAG: u8 = 0;
const MAX_TAG: u8 = 0xff;

/// Where a [`Table`] keeps its routing: as `ShapeCell`.
#[derive(Default)]
pub(crate) struct RoutingCell(Mutex<Option<Arc<Routing>>>);

impl Clone for RoutingCell {
    fn clone(&self) -> RoutingCell {
        RoutingCell::default()
    }
}

impl std::fmt::Debug for RoutingCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RoutingCell")
    }
}

pub struct Routing {
    pub strategy: Strategy,
    pub keys: Vec<RoutingKey>,
    /// In the order of their bounds, DEFAULT last.
    pub children: Vec<Oid>,
    slots: Slots,
    default: Option<usize>,
}

pub struct RoutingKey {
    pub source: super::KeySource,
    pub data_type: Type,
}

enum Slots {
    List {
        values: BTreeMap<Vec<u8>, usize>,
        null: Option<usize>,
    },
    /// From, to and partition; in ascending order, without overlaps.
    Range(Vec<(Vec<u8>, Vec<u8>, usize)>),
    Hash(Vec<Option<usize>>),
}

/// What is known of the partition key in rows that are looked for.
#[derive(Clone, Debug)]
pub enum KeyTest {
    /// One of these.
    Among(Vec<Datum>),
    /// Encoded value, whether it is itself included.
    Above(Vec<u8>, bool),
    Below(Vec<u8>, bool),
    Null,
    NotNull,
    /// Not this one: of use for lists alone.
    Unequal(Vec<u8>),
    /// No row satisfies it.
    Never,
}

/// A bound with its ends encoded.
enum Encoded {
    Default,
    List(Vec<Option<Vec<u8>>>),
    Range(Vec<u8>, Vec<u8>),
    Hash(u32, u32),
}

pub(crate) fn encode_value(value: &Datum, data_type: Type) -> Vec<u8> {
    let mut out = Vec::new();
    key::encode(value, data_type, ORDER, &mut out);
    out
}

fn encode_end(end: &[RangeDatum], types: &[Type]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (datum, data_type) in end.iter().zip(types) {
        match datum {
            RangeDatum::Value(text) => {
                key::encode(&from_text(text, *data_type)?, *data_type, ORDER, &mut out)
            }
            RangeDatum::MinValue => {
                out.push(MIN_TAG);
                break;
            }
            RangeDatum::MaxValue => {
                out.push(MAX_TAG);
                break;
            }
        }
    }
    Ok(out)
}

fn encode_bound(bound: &PartitionBound, types: &[Type]) -> Result<Encoded> {
    Ok(match bound {
        PartitionBound::Default => Encoded::Default,
        PartitionBound::List(values) => {
            let encode = |value: &Option<String>| {
                let value = value.as_deref().map(|text| from_text(text, types[0])).transpose()?;
                Ok(value.map(|value| encode_value(&value, types[0])))
            };
            Encoded::List(values.iter().map(encode).collect::<Result<_>>()?)
        }
        PartitionBound::Range { from, to } => {
            Encoded::Range(encode_end(from, types)?, encode_end(to, types)?)
        }
        PartitionBound::Hash { modulus, remainder } => Encoded::Hash(*modulus, *remainder),
    })
}

impl Routing {
    pub fn of(table: &Table, context: &ExecContext<'_>) -> Result<Arc<Routing>> {
        Routing::get(table, context.catalog, &context.eval)
    }

    pub fn get(table: &Table, catalog: &Arc<Catalog>, eval: &EvalContext<'_>) -> Result<Arc<Routing>> {
        let mut cell = table.routing.0.lock();
        if let Some(routing) = &*cell {
            return Ok(routing.clone());
        }
        let children = table.inheritance.children.iter().filter_map(|oid| {
            let child = catalog.table(*oid)?;
            // One that is on its way out has no rows for new queries, and takes none.
            let bound = child.inheritance.bound.clone().filter(|_| !child.inheritance.detaching)?;
            Some((*oid, bound))
        });
        let routing = Arc::new(Routing::new(table, children.collect(), catalog, eval)?);
        *cell = Some(routing.clone());
        Ok(routing)
    }

    /// Of a table whose partitions these would be.
    pub fn new(
        table: &Table,
        children: Vec<(Oid, PartitionBound)>,
        catalog: &Arc<Catalog>,
        eval: &EvalContext<'_>,
    ) -> Result<Routing> {
        let partitioning = table
            .inheritance
            .partitioning
            .as_ref()
            .ok_or_else(|| Error::internal("the routing of a table that is not partitioned"))?;
        let search_path = eval.services.search_path();
        let settings = PlannerSettings::for_catalog();
        let context = PlanContext { catalog, search_path: &search_path, eval, settings, variables: None };
        let mut keys = Vec::with_capacity(partitioning.keys.len());
        for key in &partitioning.keys {
            let source = match (key.column, &key.expression) {
                (Some(column), _) => super::KeySource::Column(column),
                (None, text) => {
                    let parsed = crate::parse::parse_expression(text.as_deref().unwrap_or("NULL"))?;
                    super::KeySource::Expression(crate::bind::table_expression(
                        &parsed, table, None, &context,
                    )?)
                }
            };
            keys.push(RoutingKey { source, data_type: Type(key.data_type) });
        }
        let types: Vec<Type> = keys.iter().map(|key| key.data_type).collect();
        let mut bounds = Vec::with_capacity(children.len());
        for (oid, bound) in &children {
            bounds.push((*oid, encode_bound(bound, &types)?));
        }
        bounds.sort_by_cached_key(|(_, bound)| match bound {
            Encoded::Default => (2, Vec::new()),
            Encoded::List(values) => match values.iter().flatten().min() {
                Some(least) => (0, least.clone()),
                None => (1, Vec::new()),
            },
            Encoded::Range(from, _) => (0, from.clone()),
            Encoded::Hash(modulus, remainder) => {
                (0, [modulus.to_be_bytes(), remainder.to_be_bytes()].concat())
            }
        });
        let default = bounds.iter().position(|(_, bound)| matches!(bound, Encoded::Default));
        let slots = match partitioning.strategy {
            Strategy::List => {
                let (mut values, mut null) = (BTreeMap::new(), None);
                for (at, (_, bound)) in bounds.iter().enumerate() {
                    let Encoded::List(list) = bound else { continue };
                    for value in list {
                        match value {
                            Some(value) => drop(values.insert(value.clone(), at)),
                            None => null = Some(at),
                        }
                    }
                }
                Slots::List { values, null }
            }
            Strategy::Range => {
                let ranges = bounds.iter().enumerate().filter_map(|(at, (_, bound))| match bound {
                    Encoded::Range(from, to) => Some((from.clone(), to.clone(), at)),
                    _ => None,
                });
                Slots::Range(ranges.collect())
            }
            Strategy::Hash => {
                let pairs: Vec<(u32, u32, usize)> = bounds
                    .iter()
                    .enumerate()
                    .filter_map(|(at, (_, bound))| match bound {
                        Encoded::Hash(modulus, remainder) => Some((*modulus, *remainder, at)),
                        _ => None,
                    })
                    .collect();
                // Every modulus divides the next greater one.
                let greatest = pairs.iter().map(|(modulus, ..)| *modulus).max().unwrap_or(1);
                let mut slots = vec![None; greatest as usize];
                for (modulus, remainder, at) in pairs {
                    for slot in (remainder..greatest).step_by(modulus as usize) {
                        slots[slot as usize] = Some(at);
                    }
                }
                Slots::Hash(slots)
            }
        };
        let children = bounds.into_iter().map(|(oid, _)| oid).collect();
        Ok(Routing { strategy: partitioning.strategy, keys, children, slots, default })
    }

    pub fn types(&self) -> Vec<Type> {
        self.keys.iter().map(|key| key.data_type).collect()
    }

    pub fn default_partition(&self) -> Option<Oid> {
        self.default.map(|at| self.children[at])
    }

    /// The partition key's values in a row of the partitioned table.
    fn key_values(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<Vec<Datum>> {
        self.keys
            .iter()
            .map(|key| match &key.source {
                super::KeySource::Column(column) => Ok(row[*column].clone()),
                super::KeySource::Expression(expr) => eval_row(expr, row, context),
            })
            .collect()
    }

    /// Position in `children` of the partition for a row; None: there is none.
    pub fn route(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<Option<usize>> {
        Ok(self.route_key(&self.key_values(row, context)?))
    }

    fn route_key(&self, values: &[Datum]) -> Option<usize> {
        let found = match &self.slots {
            Slots::List { values: list, null } => match values[0].is_null() {
                true => *null,
                false => list.get(&encode_value(&values[0], self.keys[0].data_type)).copied(),
            },
            // A null is in no range.
            Slots::Range(_) if values.iter().any(Datum::is_null) => None,
            Slots::Range(ranges) => {
                let mut encoded = Vec::with_capacity(16);
                for (value, key) in values.iter().zip(&self.keys) {
                    key::encode(value, key.data_type, ORDER, &mut encoded);
                }
                let after = ranges.partition_point(|(from, ..)| *from <= encoded);
                after
                    .checked_sub(1)
                    .map(|at| &ranges[at])
                    .filter(|(_, to, _)| encoded < *to)
                    .map(|(.., at)| *at)
            }
            Slots::Hash(slots) => {
                let hash = hash_key(values, self.keys.iter().map(|key| key.data_type));
                slots[(hash % slots.len() as u64) as usize]
            }
        };
        found.or(self.default)
    }

    /// 23514: nowhere to go.
    pub fn no_partition(&self, table: &Table, row: &[Datum], context: &ExecContext<'_>) -> Error {
        let message = format!("no partition of relation \"{}\" found for row", table.name);
        let error = Error::new(SqlState::CHECK_VIOLATION, message);
        let Ok(values) = self.key_values(row, context) else { return error };
        let shown: Vec<String> = values
            .iter()
            .zip(&self.keys)
            .map(|(value, key)| to_text(value, key.data_type, &context.eval).unwrap_or_else(|| "null".into()))
            .collect();
        // Without the parentheses around an expression that stands alone in the key.
        let names: Vec<String> = crate::catalog::system::deparse::partition_columns(table, &context.eval)
            .into_iter()
            .map(|name| match name.strip_prefix("((").and_then(|inner| inner.strip_suffix("))")) {
                Some(inner) => format!("({inner})"),
                None => name,
            })
            .collect();
        super::writer::on_table(
            error.detail(format!(
                "Partition key of the failing row contains ({}) = ({}).",
                names.join(", "),
                shown.join(", ")
            )),
            table,
            context,
        )
    }

    /// Which partitions can have rows that pass all of these tests (of key columns, by position).
    pub fn select(&self, tests: &[(usize, KeyTest)]) -> Vec<bool> {
        let count = self.children.len();
        if tests.iter().any(|(_, test)| matches!(test, KeyTest::Never)) {
            return vec![false; count];
        }
        let contradicts = |(key, test): &(usize, KeyTest)| {
            matches!(test, KeyTest::Null)
                && tests.iter().any(|(other, test)| other == key && !matches!(test, KeyTest::Null))
        };
        if tests.iter().any(contradicts) {
            return vec![false; count];
        }
        match &self.slots {
            Slots::List { values, null } => self.select_list(values, *null, tests),
            Slots::Range(ranges) => self.select_ranges(ranges, tests),
            Slots::Hash(slots) => self.select_hash(slots, tests),
        }
    }

    fn select_list(
        &self,
        values: &BTreeMap<Vec<u8>, usize>,
        null: Option<usize>,
        tests: &[(usize, KeyTest)],
    ) -> Vec<bool> {
        let count = self.children.len();
        let mut alive = vec![tests.is_empty(); count];
        if tests.is_empty() {
            return alive;
        }
        if tests.iter().any(|(_, test)| matches!(test, KeyTest::Null)) {
            if let Some(at) = null.or(self.default) {
                alive[at] = true;
            }
            return alive;
        }
        let data_type = self.keys[0].data_type;
        let passes = |value: &[u8]| tests.iter().all(|(_, test)| admits(test, value, data_type));
        let listed = tests.iter().find_map(|(_, test)| match test {
            KeyTest::Among(list) => Some(list),
            _ => None,
        });
        match listed {
            Some(list) => {
                for value in list {
                    let value = encode_value(value, data_type);
                    if passes(&value)
                        && let Some(at) = values.get(&value).copied().or(self.default)
                    {
                        alive[at] = true;
                    }
                }
            }
            None => {
                for (value, at) in values {
                    alive[*at] |= passes(value);
                }
                if let Some(at) = self.default {
                    alive[at] = true;
                }
            }
        }
        alive
    }

    /// Equality on leading columns, and bounds on the next: one range of keys for each combination of values.
    fn select_ranges(&self, ranges: &[(Vec<u8>, Vec<u8>, usize)], tests: &[(usize, KeyTest)]) -> Vec<bool> {
        const COMBINATIONS_MAX: usize = 256;
        let mut alive = vec![false; self.children.len()];
        if tests.iter().any(|(_, test)| matches!(test, KeyTest::Null)) {
            if let Some(at) = self.default {
                alive[at] = true;
            }
            return alive;
        }
        let mut prefixes: Vec<Vec<u8>> = vec![Vec::new()];
        let mut whole = false;
        /// A bound of a key, and whether it is inside.
        type Limit<'a> = Option<(&'a [u8], bool)>;
        let (mut low, mut high): (Limit<'_>, Limit<'_>) = (None, None);
        for (at, key) in self.keys.iter().enumerate() {
            let of_key = || tests.iter().filter(|(key, _)| *key == at).map(|(_, test)| test);
            let list = of_key().find_map(|test| match test {
                KeyTest::Among(list) => Some(list),
                _ => None,
            });
            let combinations = list.map_or(0, Vec::len) * prefixes.len();
            if let Some(list) = list.filter(|_| combinations <= COMBINATIONS_MAX) {
                let fits = |value: &&Datum| {
                    let encoded = encode_value(value, key.data_type);
                    of_key().all(|test| admits(test, &encoded, key.data_type))
                };
                let next = prefixes.iter().flat_map(|prefix| {
                    list.iter().filter(fits).map(move |value| {
                        let mut longer = prefix.clone();
                        key::encode(value, key.data_type, ORDER, &mut longer);
                        longer
                    })
                });
                prefixes = next.collect();
                whole = at + 1 == self.keys.len();
                continue;
            }
            for test in of_key() {
                match test {
                    KeyTest::Above(value, inclusive)
                        if low
                            .is_none_or(|(known, open)| (value.as_slice(), !inclusive) > (known, !open)) =>
                    {
                        low = Some((value, *inclusive));
                    }
                    KeyTest::Below(value, inclusive)
                        if high
                            .is_none_or(|(known, open)| (value.as_slice(), *inclusive) < (known, open)) =>
                    {
                        high = Some((value, *inclusive));
                    }
                    _ => {}
                }
            }
            break;
        }
        for prefix in prefixes {
            let end = |side: Option<(&[u8], bool)>| match side {
                None => prefix.clone(),
                Some((value, _)) => [prefix.as_slice(), value].concat(),
            };
            // Keys of interest start with `first` or are above it, and start with `last` or are below it.
            let (first, last) = (end(low), end(high));
            let above = low.is_some_and(|(_, inclusive)| !inclusive);
            let below = high.is_some_and(|(_, inclusive)| !inclusive);
            let mut covered = false;
            for (from, to, at) in ranges {
                // Keys that may be in [from, to) are at `first` or above it; whatever starts with `first` is out if the bound is
                // exclusive.
                let reaches = match above {
                    true => *to > [first.as_slice(), &[MAX_TAG]].concat(),
                    false => *to > first,
                };
                let starts = match below {
                    true => *from < last,
                    false => *from <= last || from.starts_with(&last),
                };
                if reaches && starts {
                    alive[*at] = true;
                    covered |= whole && *from <= first && first < *to;
                }
            }
            if let Some(at) = self.default
                && !covered
            {
                alive[at] = true;
            }
        }
        alive
    }

    fn select_hash(&self, slots: &[Option<usize>], tests: &[(usize, KeyTest)]) -> Vec<bool> {
        const COMBINATIONS_MAX: usize = 256;
        let everything = vec![true; self.children.len()];
        let mut keys: Vec<Vec<Datum>> = vec![Vec::new()];
        for at in 0..self.keys.len() {
            let values: Option<Vec<Datum>> =
                tests.iter().filter(|(key, _)| *key == at).find_map(|(_, test)| match test {
                    KeyTest::Among(list) => Some(list.clone()),
                    KeyTest::Null => Some(vec![Datum::Null]),
                    _ => None,
                });
            let Some(values) = values.filter(|values| values.len() * keys.len() <= COMBINATIONS_MAX) else {
                return everything;
            };
            let longer = keys.iter().flat_map(|prefix| {
                values.iter().map(move |value| [prefix.as_slice(), std::slice::from_ref(value)].concat())
            });
            keys = longer.collect();
        }
        let mut alive = vec![false; self.children.len()];
        for values in keys {
            let hash = hash_key(&values, self.keys.iter().map(|key| key.data_type));
            if let Some(at) = slots[(hash % slots.len() as u64) as usize] {
                alive[at] = true;
            }
        }
        alive
    }

    /// The partition that a new bound overlaps with.
    pub fn overlap(&self, bound: &PartitionBound) -> Result<Option<Oid>> {
        let encoded = encode_bound(bound, &self.types())?;
        let at = match (&encoded, &self.slots) {
            (Encoded::Default, _) => self.default,
            (Encoded::List(new), Slots::List { values, null }) => new.iter().find_map(|value| match value {
                Some(value) => values.get(value).copied(),
                None => *null,
            }),
            (Encoded::Range(from, to), Slots::Range(ranges)) => {
                ranges.iter().find(|(low, high, _)| low < to && from < high).map(|(.., at)| *at)
            }
            (Encoded::Hash(modulus, remainder), Slots::Hash(slots)) => {
                let greatest = slots.len().max(*modulus as usize);
                (*remainder as usize..greatest)
                    .step_by(*modulus as usize)
                    .find_map(|slot| slots[slot % slots.len()])
            }
            _ => None,
        };
        Ok(at.map(|at| self.children[at]))
    }

    /// Whether a range bound has nothing in it.
    pub fn is_empty_range(&self, bound: &PartitionBound) -> Result<bool> {
        Ok(matches!(encode_bound(bound, &self.types())?, Encoded::Range(from, to) if from >= to))
    }
}

fn admits(test: &KeyTest, value: &[u8], data_type: Type) -> bool {
    match test {
        KeyTest::Among(list) => list.iter().any(|listed| encode_value(listed, data_type) == value),
        KeyTest::Above(low, true) => value >= low.as_slice(),
        KeyTest::Above(low, false) => value > low.as_slice(),
        KeyTest::Below(high, true) => value <= high.as_slice(),
        KeyTest::Below(high, false) => value < high.as_slice(),
        KeyTest::Unequal(other) => value != other.as_slice(),
        KeyTest::Null | KeyTest::Never => false,
        KeyTest::NotNull => value.first() == Some(&VALUE_TAG),
    }
}

/// Where a table's rows have the columns of another table of its family, by the other's positions. None: in the same places.
pub type Places = Option<Arc<[usize]>>;

/// A position that the other table's column doesn't have: it is dropped there.
const NOWHERE: usize = usize::MAX;

/// Where `within` has the columns of `of`.
pub fn places(of: &Table, within: &Table) -> Places {
    let same = of.columns.len() == within.columns.len()
        && of
            .columns
            .iter()
            .zip(&within.columns)
            .all(|(a, b)| a.dropped == b.dropped && (a.dropped || a.name == b.name));
    if same {
        return None;
    }
    let place = |column: &crate::catalog::Column| match column.dropped {
        true => NOWHERE,
        false => within.column_index(&column.name).unwrap_or(NOWHERE),
    };
    Some(of.columns.iter().map(place).collect())
}

/// One place of them.
pub fn place(places: &Places, position: usize) -> Option<usize> {
    match places {
        None => Some(position),
        Some(places) => places.get(position).copied().filter(|place| *place != NOWHERE),
    }
}

/// A row as the other table has it.
pub fn carried(row: &[Datum], places: &Places) -> Vec<Datum> {
    match places {
        None => row.to_vec(),
        Some(places) => places.iter().map(|place| row.get(*place).cloned().unwrap_or(Datum::Null)).collect(),
    }
}

/// A partition's way up: what a row must satisfy to be in it.
pub struct Lineage {
    /// From the parent up: its routing, where a row of the partition has its columns, and the child on the way.
    levels: Vec<(Arc<Routing>, Places, Oid)>,
}

impl Lineage {
    pub fn of(table: &Table, context: &ExecContext<'_>) -> Result<Option<Lineage>> {
        if !table.is_partition() {
            return Ok(None);
        }
        let mut levels = Vec::new();
        let mut child = table.oid;
        for parent in context.catalog.partition_ancestors(table) {
            levels.push((Routing::of(&parent, context)?, places(&parent, table), child));
            child = parent.oid;
        }
        Ok(Some(Lineage { levels }))
    }

    /// Whether the row belongs into the partition.
    pub fn fits(&self, row: &[Datum], context: &ExecContext<'_>) -> Result<bool> {
        for (routing, places, child) in &self.levels {
            let at = match places {
                None => routing.route(row, context)?,
                places => routing.route(&carried(row, places), context)?,
            };
            if at.map(|at| routing.children[at]) != Some(*child) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

// ---- PostgreSQL's hash functions ----

const PARTITION_SEED: u64 = 0x7a5b_2236_7996_dcfd;

/// Whether rows can be hashed by values of the type.
pub fn is_hashable(data_type: Type) -> bool {
    matches!(
        data_type,
        Type::BOOL
            | Type::INT2
            | Type::INT4
            | Type::INT8
            | Type::OID
            | Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::BYTEA
            | Type::DATE
            | Type::TIME
            | Type::TIMESTAMP
            | Type::TIMESTAMPTZ
            | Type::FLOAT4
            | Type::FLOAT8
            | Type::UUID
    )
}

fn hash_key(values: &[Datum], types: impl Iterator<Item = Type>) -> u64 {
    let mut hash = 0u64;
    for (value, data_type) in values.iter().zip(types).filter(|(value, _)| !value.is_null()) {
        let other = hash_value(value, data_type);
        hash ^= other.wrapping_add(0x49a0_f4dd_15e5_a8e3).wrapping_add(hash << 54).wrapping_add(hash >> 7);
    }
    hash
}

fn hash_value(value: &Datum, data_type: Type) -> u64 {
    let wide = |value: i64| {
        let (low, high) = (value as u32, (value >> 32) as u32);
        hash_u32(low ^ if value >= 0 { high } else { !high })
    };
    let float = |value: f64| match value {
        // Both zeros, and every NaN.
        0.0 => PARTITION_SEED,
        value if value.is_nan() => hash_bytes(&f64::NAN.to_le_bytes()),
        value => hash_bytes(&value.to_le_bytes()),
    };
    match value {
        Datum::Bool(value) => hash_u32(u32::from(*value)),
        Datum::Int2(value) => hash_u32(i32::from(*value) as u32),
        Datum::Int4(value) | Datum::Date(value) => hash_u32(*value as u32),
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) => wide(*value),
        Datum::Oid(value) => hash_u32(*value),
        Datum::Float4(value) => float(f64::from(*value)),
        Datum::Float8(value) => float(*value),
        Datum::Text(text) if data_type == Type::BPCHAR => hash_bytes(text.trim_end_matches(' ').as_bytes()),
        Datum::Text(text) => hash_bytes(text.as_bytes()),
        Datum::Bytea(bytes) => hash_bytes(bytes),
        // Refused when the table was made ([`is_hashable`]), uuid aside.
        other => hash_bytes(&encode_value(other, data_type)[1..]),
    }
}

fn mix([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    let mut round = |first: u32| {
        a = a.wrapping_sub(c) ^ c.rotate_left(first);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(if first == 4 { 6 } else { 19 });
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(if first == 4 { 8 } else { 4 });
        b = b.wrapping_add(a);
    };
    round(4);
    round(16);
    [a, b, c]
}

fn finish([mut a, mut b, mut c]: [u32; 3]) -> u64 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    u64::from(b) << 32 | u64::from(c)
}

fn seeded(length: usize) -> [u32; 3] {
    let start = 0x9e37_79b9u32.wrapping_add(length as u32).wrapping_add(3_923_095);
    mix([start.wrapping_add((PARTITION_SEED >> 32) as u32), start.wrapping_add(PARTITION_SEED as u32), start])
}

/// hash_bytes_uint32_extended
fn hash_u32(value: u32) -> u64 {
    let [a, b, c] = seeded(4);
    finish([a.wrapping_add(value), b, c])
}

/// hash_bytes_extended
fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut state = seeded(bytes.len());
    let mut words = bytes.chunks_exact(12);
    let word = |bytes: &[u8]| {
        let mut four = [0; 4];
        four[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(four)
    };
    for twelve in &mut words {
        for (at, part) in state.iter_mut().enumerate() {
            *part = part.wrapping_add(word(&twelve[at * 4..at * 4 + 4]));
        }
        state = mix(state);
    }
    let rest = words.remainder();
    let part = |from: usize, to: usize| word(&rest[from.min(rest.len())..to.min(rest.len())]);
    state[0] = state[0].wrapping_add(part(0, 4));
    state[1] = state[1].wrapping_add(part(4, 8));
    // The lowest byte is for the length.
    state[2] = state[2].wrapping_add(part(8, 11) << 8);
    finish(state)
}
