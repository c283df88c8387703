//! GiST's classes for what has an extent in one dimension: ranges, multiranges, networks. What has two is in `boxes.rs`.
//!
//! # Intervals in an ordered tree
//!
//! An interval is known by its lower end *and its length class*, the power of four that its length fits below. An item is
//!
//! ```text
//! 1   class (1 byte)   lower end (8 bytes)
//! 2                                          the empty range
//! ```
//!
//! To find what overlaps `[a, b]`: an interval of class k is shorter than 4^k, so its lower end lies in `[a - 4^k, b]`. That is one stretch
//! in each of 33 classes. What it reads too much are intervals that end before `a` and began at most four of their own lengths
//! ahead of it, however long others are; that is what keeps a booking of an hour from being looked for among those of a year, and a table of rooms
//! with one booking `[now, infinity)` as fast as another. Contains, is contained by, before, after, adjacent and equal are narrower
//! stretches by the same reasoning. (Kriegel, Pötke, Seidl: Managing Intervals Efficiently in Object-Relational Databases, VLDB 2000, has a
//! relational interval tree that is exact, for two entries a row and two scans on each of 64 levels; most intervals in tables are
//! short.)
//!
//! Ends are the first eight bytes of the key encoding of the bound's value: a monotone map that may put values together but never in
//! the wrong order, so what overlaps still does after it (all bounds are taken to be inclusive), and rows are checked again.

use super::{Class, Query};
use crate::error::{Error, Result, SqlState};
use crate::table::key::{KeyOrder, encode};
use crate::types::network::Inet;
use crate::types::range::{Bound, RangeValue};
use crate::types::{Datum, Type};

/// The first byte of an item.
const INTERVAL: u8 = 1;
const EMPTY: u8 = 2;

/// Classes are of lengths below 4^0, 4^1, … 4^32.
const CLASSES: u8 = 33;

/// What lies between two places, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    pub lower: u64,
    pub upper: u64,
}

/// The class of an interval of this length.
pub(super) fn class_of(length: u64) -> u8 {
    (64 - length.leading_zeros()).div_ceil(2) as u8
}

/// The greatest length in a class.
pub(super) fn longest(class: u8) -> u64 {
    1u64.checked_shl(2 * u32::from(class)).map_or(u64::MAX, |end| end - 1)
}

fn shortest(class: u8) -> u64 {
    class.checked_sub(1).map_or(0, |below| longest(below) + 1)
}

impl Interval {
    fn length(&self) -> u64 {
        self.upper - self.lower
    }

    pub fn item(&self) -> Vec<u8> {
        item(class_of(self.length()), self.lower)
    }

    /// A query for intervals whose lower end lies, by class, between two places.
    fn stretches(between: impl Fn(u8) -> Option<(u64, u64)>) -> Query {
        let stretch = |class: u8| {
            let (first, last) = between(class)?;
            (first <= last).then(|| Query::Stretch {
                start: item(class, first),
                end: Some(match last.checked_add(1) {
                    Some(after) => item(class, after),
                    None => vec![INTERVAL, class + 1],
                }),
            })
        };
        Query::any((0..CLASSES).filter_map(stretch).collect())
    }

    pub fn overlapping(&self) -> Query {
        Interval::stretches(|class| Some((self.lower.saturating_sub(longest(class)), self.upper)))
    }
    /// Those that contain this one.
    pub fn around(&self) -> Query {
        Interval::stretches(|class| Some((self.upper.saturating_sub(longest(class)), self.lower)))
    }
    /// Those that are contained in this one.
    pub fn within(&self) -> Query {
        Interval::stretches(|class| (shortest(class) <= self.length()).then_some((self.lower, self.upper)))
    }
    pub fn equal(&self) -> Query {
        Query::item(self.item())
    }
}

/// Intervals whose lower end is at most here.
pub(super) fn from_below(end: u64) -> Query {
    Interval::stretches(|_| Some((0, end)))
}

/// Intervals whose lower end is at least here.
pub(super) fn from_above(start: u64) -> Query {
    Interval::stretches(|_| Some((start, u64::MAX)))
}

fn item(class: u8, lower: u64) -> Vec<u8> {
    let mut item = vec![INTERVAL, class];
    item.extend(lower.to_be_bytes());
    item
}

/// Where a value lies among those of its type.
fn place(value: &Datum, data_type: Type) -> u64 {
    let mut bytes = Vec::with_capacity(16);
    encode(value, data_type, KeyOrder::ASCENDING, &mut bytes);
    let mut place = [0; 8];
    // The tag says that there is a value.
    let payload = &bytes[1..bytes.len().min(9)];
    place[..payload.len()].copy_from_slice(payload);
    u64::from_be_bytes(place)
}

/// From a range's lowest place to its highest. None: it is empty.
fn interval_of(range: &RangeValue) -> Option<Interval> {
    let place = |bound: &Bound| bound.value.as_ref().map(|value| place(value, range.element));
    let (lower, upper) = (range.lower()?, range.upper()?);
    Some(Interval { lower: place(lower).unwrap_or(0), upper: place(upper).unwrap_or(u64::MAX) })
}

/// range_ops and multirange_ops: of a multirange, from its first to its last value.
pub struct RangeOps;

impl Class for RangeOps {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "&&" | "@>" | "<@" | "<<" | ">>" | "&<" | "&>" | "-|-" | "=")
    }

    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        let range = value.as_range().ok_or_else(|| Error::internal("not a range in an index of ranges"))?;
        out.push(interval_of(range).map_or_else(|| vec![EMPTY], |interval| interval.item()));
        Ok(())
    }

    fn query(&self, operator: &str, value: &Datum, data_type: Type) -> Result<Query> {
        let interval = match value.as_range() {
            Some(range) => interval_of(range),
            None => {
                let at = place(value, data_type);
                Some(Interval { lower: at, upper: at })
            }
        };
        let empty = || Query::item(vec![EMPTY]);
        let Some(interval) = interval else {
            return Ok(match operator {
                "@>" => Query::Everything,
                "<@" | "=" => empty(),
                // The empty range is nowhere.
                _ => Query::Nothing,
            });
        };
        Ok(match operator {
            "&&" | "-|-" => interval.overlapping(),
            "@>" => interval.around(),
            "<@" => Query::any(vec![empty(), interval.within()]),
            "=" => interval.equal(),
            "<<" => from_below(interval.lower),
            "&<" => from_below(interval.upper),
            ">>" => from_above(interval.upper),
            "&>" => from_above(interval.lower),
            _ => Query::Everything,
        })
    }
}

/// inet_ops: a network is the interval of its addresses.
pub struct InetOps;

fn network_interval(value: &Datum) -> Result<Interval> {
    let inet = value.as_bytes().and_then(Inet::from_bytes);
    let inet = inet.ok_or_else(|| Error::new(SqlState::DATA_CORRUPTED, "damaged network address"))?;
    let place = |inet: Inet| {
        let mut place = [0; 8];
        place[0] = u8::from(inet.v6);
        let bytes = &inet.bytes()[..inet.width().min(7)];
        place[1..=bytes.len()].copy_from_slice(bytes);
        u64::from_be_bytes(place)
    };
    Ok(Interval { lower: place(inet.network()), upper: place(inet.broadcast()) })
}

impl Class for InetOps {
    fn knows(&self, operator: &str) -> bool {
        matches!(operator, "&&" | "<<" | "<<=" | ">>" | ">>=" | "=")
    }
    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        out.push(network_interval(value)?.item());
        Ok(())
    }
    fn query(&self, operator: &str, value: &Datum, _: Type) -> Result<Query> {
        let interval = network_interval(value)?;
        Ok(match operator {
            "&&" => interval.overlapping(),
            ">>" | ">>=" => interval.around(),
            "<<" | "<<=" => interval.within(),
            "=" => interval.equal(),
            _ => Query::Everything,
        })
    }
}
