//! Searching an index that enters rows under several keys (`index/mod.rs`): which rows may be meant by a statement's conditions.
//!
//! One stretch of items is read like any range of an index, row by row. Of several, the table keys that they name are gathered, in order and
//! each once, before the first row is looked at: *any of* joins lists, *all of* intersects them.
//!
//! To intersect, the lists are read in turns until one ends. If it is short, its rows are looked at (all rows are
//! checked anyway); else the others are read on, as long as they are not much longer. A common word costs no more than a rare one
//! beside it. Where the lists are more than the session's work_mem, the table is read instead.

use super::runtime::Runtime;
use super::scan::{KeyValue, all_with, key_value};
use crate::column::Strings;
use crate::error::{Error, Result};
use crate::index::{Entries, Method, Part, Query};
use crate::table::IndexShape;
use crate::table::key::{KeyOrder, VALUE_TAG, encode, encode_bytes, prefix_successor};
use crate::types::{Datum, Type};
use serin_storage::{Direction, KeyRange};
use std::ops::Bound;

/// Lists that are this short are not intersected further.
const FEW: usize = 32;
/// How much longer than another a list may be to be read to its end.
const FACTOR: usize = 8;
const CHUNK: usize = 256;

/// A condition on a column of an index: `column operator value`.
pub struct Condition {
    pub part: usize,
    pub operator: &'static str,
    pub value: Datum,
    pub data_type: Type,
}

/// The rows that may satisfy all conditions.
pub enum Candidates {
    Nothing,
    /// The index does not tell: the whole table.
    Everything,
    /// A range of the index.
    Range(KeyRange),
    /// By their keys in the table's tree, in order.
    Keys(Strings),
}

/// Ranges of an index's tree.
enum Plan {
    Nothing,
    Range(KeyRange),
    Any(Vec<Plan>),
    All(Vec<Plan>),
}

pub fn candidates(index: &IndexShape, conditions: &[Condition], rt: &Runtime<'_>) -> Result<Candidates> {
    let entries = index.entries.as_ref().ok_or_else(|| Error::internal("not an index of items"))?;
    let plan = match plan(entries, conditions)? {
        None => return Ok(Candidates::Everything),
        Some(Plan::Nothing) => return Ok(Candidates::Nothing),
        Some(Plan::Range(range)) => return Ok(Candidates::Range(range)),
        Some(plan) => plan,
    };
    let budget = rt.context.work_mem_bytes;
    let Some(keys) = Search { index, budget, rt }.run(plan)? else { return Ok(Candidates::Everything) };
    let mut out = Strings::with_capacity(keys.len());
    keys.iter().for_each(|key| out.push(key));
    Ok(Candidates::Keys(out))
}

/// Ranges of the index's tree that have the entries, if not only those, of all rows that satisfy all conditions.
pub fn ranges_of(index: &IndexShape, conditions: &[Condition]) -> Result<Vec<KeyRange>> {
    fn collect(plan: Plan, out: &mut Vec<KeyRange>) {
        match plan {
            Plan::Nothing => {}
            Plan::Range(range) => out.push(range),
            Plan::Any(plans) => plans.into_iter().for_each(|plan| collect(plan, out)),
            // One of them has all that satisfies every one.
            Plan::All(plans) => plans.into_iter().take(1).for_each(|plan| collect(plan, out)),
        }
    }
    let entries = index.entries.as_ref().ok_or_else(|| Error::internal("not an index of items"))?;
    let mut ranges = Vec::new();
    match plan(entries, conditions)? {
        None => ranges.push(KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }),
        Some(plan) => collect(plan, &mut ranges),
    }
    Ok(ranges)
}

/// What to read. None: it would be everything.
fn plan(entries: &Entries, conditions: &[Condition]) -> Result<Option<Plan>> {
    let mut prefix = Vec::new();
    for &at in &entries.scalars {
        let on: Vec<&Condition> = conditions.iter().filter(|condition| condition.part == at).collect();
        let data_type = entries.types[at];
        if let Some(equal) = on.iter().find(|condition| condition.operator == "=") {
            match key_value(equal.value.clone(), data_type) {
                KeyValue::Value(value) => encode(&value, data_type, KeyOrder::ASCENDING, &mut prefix),
                _ => return Ok(Some(Plan::Nothing)),
            }
            continue;
        }
        return Ok(match scalar_range(&prefix, &on, data_type) {
            Some(range) => range.map(Plan::Range).or(Some(Plan::Nothing)),
            None if prefix.is_empty() => None,
            None => Some(Plan::Range(all_with(&prefix))),
        });
    }
    let mut queries = Vec::new();
    for condition in conditions {
        let Part::Items(class) = entries.parts[condition.part] else { continue };
        if condition.value.is_null() {
            return Ok(Some(Plan::Nothing));
        }
        let query = class.query(condition.operator, &condition.value, condition.data_type)?;
        queries.push((condition.part, query));
    }
    let mut plans = Vec::new();
    for (part, query) in queries {
        match ranges(&prefix, part as u8, query) {
            Some(Plan::Nothing) => return Ok(Some(Plan::Nothing)),
            Some(plan) => plans.push(plan),
            None => {}
        }
    }
    Ok(match plans.len() {
        0 if entries.method == Method::Gist && !prefix.is_empty() => Some(Plan::Range(all_with(&prefix))),
        0 => None,
        1 => plans.pop(),
        _ => Some(Plan::All(plans)),
    })
}

/// The stretches of a query as ranges of the tree. None: everything.
fn ranges(prefix: &[u8], part: u8, query: Query) -> Option<Plan> {
    let several = |queries: Vec<Query>| queries.into_iter().map(|query| ranges(prefix, part, query));
    Some(match query {
        Query::Nothing => Plan::Nothing,
        Query::Everything => return None,
        Query::All(queries) => Plan::All(several(queries).flatten().collect()),
        Query::Any(queries) => Plan::Any(several(queries).collect::<Option<_>>()?),
        Query::Stretch { start, end } => {
            let at = |item: &[u8]| {
                let mut key = prefix.to_vec();
                key.push(part);
                encode_bytes(item, &mut key);
                // Without the mark of its end: what begins with the item comes after it.
                key.truncate(key.len() - 2);
                key
            };
            let end = match end {
                Some(end) => Some(at(&end)),
                None => {
                    let mut column = prefix.to_vec();
                    column.push(part);
                    prefix_successor(&column)
                }
            };
            Plan::Range(KeyRange {
                start: Bound::Included(at(&start)),
                end: end.map_or(Bound::Unbounded, Bound::Excluded),
            })
        }
    })
}

/// By comparisons of a scalar column behind a prefix. None: there are none; Some(None): nothing can satisfy them.
fn scalar_range(prefix: &[u8], conditions: &[&Condition], data_type: Type) -> Option<Option<KeyRange>> {
    let mut values = prefix.to_vec();
    values.push(VALUE_TAG);
    let KeyRange { mut start, mut end } = all_with(&values);
    let mut bounded = false;
    for condition in conditions {
        let is_lower = match condition.operator {
            ">" | ">=" => true,
            "<" | "<=" => false,
            _ => continue,
        };
        bounded = true;
        let value = match key_value(condition.value.clone(), data_type) {
            KeyValue::Null => return Some(None),
            KeyValue::Value(value) => value,
            KeyValue::Above if is_lower => return Some(None),
            KeyValue::Below if !is_lower => return Some(None),
            KeyValue::Above | KeyValue::Below => continue,
        };
        let mut key = prefix.to_vec();
        encode(&value, data_type, KeyOrder::ASCENDING, &mut key);
        // A bound that is not included is read as well, and checked. Of several on one side the narrowest counts.
        match is_lower {
            true => {
                if !matches!(&start, Bound::Included(known) if *known >= key) {
                    start = Bound::Included(key);
                }
            }
            false => {
                let after = prefix_successor(&key).map_or(Bound::Unbounded, Bound::Excluded);
                let is_narrower = match (&end, &after) {
                    (Bound::Excluded(known), Bound::Excluded(new)) => new < known,
                    _ => true,
                };
                if is_narrower {
                    end = after;
                }
            }
        }
    }
    if let (Bound::Included(start), Bound::Excluded(end)) = (&start, &end)
        && start >= end
    {
        return Some(None);
    }
    bounded.then_some(Some(KeyRange { start, end }))
}

type Keys = Vec<Box<[u8]>>;

struct Search<'s> {
    index: &'s IndexShape,
    budget: usize,
    rt: &'s Runtime<'s>,
}

/// A list that is being read.
struct List {
    scan: Option<serin_txn::Scan>,
    keys: Keys,
    bytes: usize,
}

impl Search<'_> {
    /// In order, each once. None: more than the budget allows.
    fn run(&self, plan: Plan) -> Result<Option<Keys>> {
        match plan {
            Plan::Nothing => Ok(Some(Vec::new())),
            Plan::Range(_) => {
                let mut list = self.open(plan)?;
                while let Some(l) = &mut list
                    && l.scan.is_some()
                {
                    self.read(l, CHUNK * 4)?;
                    if l.bytes > self.budget {
                        return Ok(None);
                    }
                }
                Ok(list.map(|list| in_order(list.keys)))
            }
            Plan::Any(plans) => {
                let mut keys = Vec::new();
                let mut bytes = 0;
                for plan in plans {
                    let Some(more) = self.run(plan)? else { return Ok(None) };
                    bytes += more.iter().map(|key| key.len() + size_of::<Box<[u8]>>()).sum::<usize>();
                    if bytes > self.budget {
                        return Ok(None);
                    }
                    keys.extend(more);
                }
                Ok(Some(in_order(keys)))
            }
            Plan::All(plans) => self.intersect(plans),
        }
    }

    /// None: more than the budget allows.
    fn open(&self, plan: Plan) -> Result<Option<List>> {
        Ok(Some(match plan {
            Plan::Range(range) => {
                let mut transaction = self.rt.context.transaction.borrow_mut();
                let scan = transaction.scan(&self.index.tree, range, Direction::Forward)?;
                List { scan: Some(scan), keys: Vec::new(), bytes: 0 }
            }
            plan => match self.run(plan)? {
                None => return Ok(None),
                Some(keys) => List { scan: None, keys, bytes: 0 },
            },
        }))
    }

    fn read(&self, list: &mut List, max: usize) -> Result<()> {
        let Some(scan) = &mut list.scan else { return Ok(()) };
        let mut malformed = false;
        let more = {
            let (keys, bytes) = (&mut list.keys, &mut list.bytes);
            let mut transaction = self.rt.context.transaction.borrow_mut();
            scan.next_batch(&mut transaction, max, &mut |key, value| {
                match self.index.table_key(key, value) {
                    Some(key) => {
                        *bytes += key.len() + size_of::<Box<[u8]>>();
                        keys.push(key.into());
                    }
                    None => malformed = true,
                }
                true
            })?
        };
        if malformed {
            return Err(Error::internal("a malformed index entry"));
        }
        self.rt.check_interrupt()?;
        if !more {
            list.scan = None;
        }
        Ok(())
    }

    fn intersect(&self, plans: Vec<Plan>) -> Result<Option<Keys>> {
        let mut lists = Vec::with_capacity(plans.len());
        for plan in plans {
            // One that is too long by itself narrows nothing.
            lists.extend(self.open(plan)?);
        }
        if lists.is_empty() {
            return Ok(None);
        }
        let mut chunk = CHUNK;
        let first = loop {
            for list in &mut lists {
                self.read(list, chunk)?;
            }
            let done = (0..lists.len()).filter(|at| lists[*at].scan.is_none());
            if let Some(at) = done.min_by_key(|at| lists[*at].keys.len()) {
                break at;
            }
            if lists.iter().map(|list| list.bytes).sum::<usize>() > self.budget {
                return Ok(None);
            }
            chunk *= 2;
        };
        let mut found = in_order(lists.swap_remove(first).keys);
        lists.sort_by_key(|list| (list.scan.is_some(), list.keys.len()));
        for mut list in lists {
            if found.len() <= FEW {
                break;
            }
            let limit = found.len() * FACTOR;
            while list.scan.is_some() && list.keys.len() < limit {
                self.read(&mut list, CHUNK * 4)?;
            }
            if list.scan.is_none() {
                let other = in_order(list.keys);
                found.retain(|key| other.binary_search(key).is_ok());
            }
        }
        Ok(Some(found))
    }
}

fn in_order(mut keys: Keys) -> Keys {
    if !keys.is_sorted() {
        keys.sort_unstable();
    }
    keys.dedup();
    keys
}
