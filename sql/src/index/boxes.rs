//! GiST's classes for what has an extent in the plane: points, boxes, polygons, circles. All are known by the box around them.
//!
//! # Boxes in an ordered tree
//!
//! A value is entered three times, for searches ask in three ways:
//!
//! ```text
//! 1   what the box covers of the x axis, as an interval (`gist.rs`)       <<  &<  >>  &>
//! 2   the same of the y axis                                              <<|  &<|  |>>  |&>
//! 3   class (1 byte)   lower left corner (16 bytes)                       &&  @>  <@  ~=
//! 4                                                                       what has a NaN in it: found by every search
//! ```
//!
//! The class is that of the longer side, by powers of 16: as with intervals, what overlaps a box has its lower left corner in that
//! box, or at most one length of its class to the left of it or below. So a search is for corners in a rectangle, in each of 17 classes (points
//! are all in the first one). Corners are in Z order, the bits of x and y in turns, in which a rectangle is covered by a few stretches:
//! squares whose sides are powers of two, halved as long as there are not too many of them ([`STRETCHES_MAX`]).
//!
//! # Exactness
//!
//! Numbers are mapped to 64 bits in their order, so nothing is rounded on the way into the index. But the operators take numbers that are up to
//! 1e-6 apart as equal, and those of circles round what they compare; so searches are for somewhat more than was asked for
//! ([`slack`]), and corners of circles are those of somewhat larger ones. On the axes circles end where their operators say. Rows are checked again in any case (rule 1 in `mod.rs`).

use super::gist::{Interval, from_above, from_below};
use super::{Class, Query};
use crate::error::{Error, Result, SqlState};
use crate::types::geometry::{Circle, Geometry, Point, Polygon, Rectangle};
use crate::types::{Datum, Type};

const X: u8 = 1;
const Y: u8 = 2;
const CORNER: u8 = 3;
const ANYWHERE: u8 = 4;

/// Classes are of sides below 16^0, 16^1, … 16^16.
const CLASSES: u8 = 17;

/// Of one class.
const STRETCHES_MAX: usize = 8;

pub struct Boxes {
    data_type: Type,
    operators: &'static [&'static str],
}

const OF_AREAS: &[&str] = &["<<", "&<", "&&", "&>", ">>", "~=", "@>", "<@", "&<|", "<<|", "|>>", "|&>"];

pub static POINT_OPS: Boxes =
    Boxes { data_type: Type::POINT, operators: &["<<", ">>", "|>>", "<<|", "<^", ">^", "~=", "<@"] };
pub static BOX_OPS: Boxes = Boxes { data_type: Type::BOX, operators: OF_AREAS };
pub static POLY_OPS: Boxes = Boxes { data_type: Type::POLYGON, operators: OF_AREAS };
pub static CIRCLE_OPS: Boxes = Boxes { data_type: Type::CIRCLE, operators: OF_AREAS };

/// The box around a value, and how far it is from exact. None: the value is of another type.
fn bounds(value: &Datum, data_type: Type) -> Result<Option<(Rectangle, f64)>> {
    let damaged = || Error::new(SqlState::DATA_CORRUPTED, "damaged geometric value");
    let bytes = value.as_bytes().ok_or_else(damaged)?;
    Ok(Some(match data_type {
        Type::POINT => {
            let point = Point::from_bytes(bytes).ok_or_else(damaged)?;
            (Rectangle { high: point, low: point }, 0.0)
        }
        Type::BOX => (Rectangle::from_bytes(bytes).ok_or_else(damaged)?, 0.0),
        Type::POLYGON => {
            let polygon = Polygon::from_bytes(bytes).ok_or_else(damaged)?;
            (Rectangle::around(&polygon.points), 0.0)
        }
        Type::CIRCLE => {
            let Circle { center, radius } = Circle::from_bytes(bytes).ok_or_else(damaged)?;
            let high = Point { x: center.x + radius, y: center.y + radius };
            let low = Point { x: center.x - radius, y: center.y - radius };
            (Rectangle { high, low }, (center.x.abs() + center.y.abs() + radius.abs()) * 1e-12)
        }
        _ => return Ok(None),
    }))
}

fn has_nan(of: &Rectangle) -> bool {
    [of.high.x, of.high.y, of.low.x, of.low.y].iter().any(|number| number.is_nan())
}

/// Larger on all sides.
fn grown(of: Rectangle, by: f64) -> Rectangle {
    let grow = |number: f64, by: f64| if number.is_finite() { number + by } else { number };
    let both = |point: Point, by: f64| Point { x: grow(point.x, by), y: grow(point.y, by) };
    Rectangle { high: both(of.high, by), low: both(of.low, -by) }
}

/// How much more than a box is searched for.
fn slack(of: &Rectangle) -> f64 {
    let numbers = [of.high.x, of.high.y, of.low.x, of.low.y];
    let largest =
        numbers.iter().filter(|number| number.is_finite()).fold(0.0, |max: f64, n| max.max(n.abs()));
    4e-6 + largest * 1e-12
}

/// Where a number lies among all: in their order.
fn place(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    bits ^ if bits >> 63 == 1 { u64::MAX } else { 1 << 63 }
}

fn interval(low: f64, high: f64) -> Interval {
    Interval { lower: place(low), upper: place(high) }
}

/// Places of a corner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Corner {
    x: u64,
    y: u64,
}

impl Corner {
    fn of(point: Point) -> Corner {
        Corner { x: place(point.x), y: place(point.y) }
    }
    /// The bits of x and y in turns.
    fn z(self) -> u128 {
        let spread = |bits: u64| {
            let mut spread = u128::from(bits);
            for (shift, mask) in [
                (32, 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff),
                (16, 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff),
                (8, 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff),
                (4, 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f),
                (2, 0x3333_3333_3333_3333_3333_3333_3333_3333),
                (1, 0x5555_5555_5555_5555_5555_5555_5555_5555),
            ] {
                spread = (spread | spread << shift) & mask;
            }
            spread
        };
        spread(self.x) << 1 | spread(self.y)
    }
}

fn class_of(low: Corner, high: Corner) -> u8 {
    let side = (high.x - low.x).max(high.y - low.y);
    (64 - side.leading_zeros()).div_ceil(4) as u8
}

/// The longest side in a class.
fn longest(class: u8) -> u64 {
    1u64.checked_shl(4 * u32::from(class)).map_or(u64::MAX, |end| end - 1)
}

fn corner_item(class: u8, z: u128) -> Vec<u8> {
    let mut item = vec![CORNER, class];
    item.extend(z.to_be_bytes());
    item
}

/// A square with sides of 2^bits.
#[derive(Clone, Copy)]
struct Square {
    low: Corner,
    bits: u32,
}

impl Square {
    fn high(&self) -> Corner {
        let side = 1u64.checked_shl(self.bits).map_or(u64::MAX, |side| side - 1);
        Corner { x: self.low.x | side, y: self.low.y | side }
    }
    /// What of it lies between two corners.
    fn clipped(&self, low: Corner, high: Corner) -> Option<(Corner, Corner)> {
        let own = self.high();
        let from = Corner { x: self.low.x.max(low.x), y: self.low.y.max(low.y) };
        let to = Corner { x: own.x.min(high.x), y: own.y.min(high.y) };
        (from.x <= to.x && from.y <= to.y).then_some((from, to))
    }
    fn is_within(&self, low: Corner, high: Corner) -> bool {
        self.clipped(low, high) == Some((self.low, self.high()))
    }
    fn quarters(&self) -> [Square; 4] {
        let bits = self.bits - 1;
        let half = 1 << bits;
        [(0, 0), (0, half), (half, 0), (half, half)]
            .map(|(x, y)| Square { low: Corner { x: self.low.x | x, y: self.low.y | y }, bits })
    }
}

/// Stretches of the Z order that have all corners between two, first and last each.
fn stretches(low: Corner, high: Corner) -> Vec<(u128, u128)> {
    // The least square that has both.
    let bits = 64 - ((low.x ^ high.x) | (low.y ^ high.y)).leading_zeros();
    let aligned = |place: u64| place.checked_shr(bits).map_or(0, |place| place << bits);
    let mut squares = vec![Square { low: Corner { x: aligned(low.x), y: aligned(low.y) }, bits }];
    loop {
        let partial = squares.iter().enumerate().filter(|(_, square)| !square.is_within(low, high));
        let Some((at, square)) = partial.max_by_key(|(_, square)| square.bits) else { break };
        if square.bits == 0 {
            break;
        }
        let quarters = square.quarters();
        let kept: Vec<Square> =
            quarters.into_iter().filter(|quarter| quarter.clipped(low, high).is_some()).collect();
        if squares.len() - 1 + kept.len() > STRETCHES_MAX {
            break;
        }
        squares.swap_remove(at);
        squares.extend(kept);
    }
    let clipped = squares.iter().filter_map(|square| square.clipped(low, high));
    let mut found: Vec<(u128, u128)> = clipped.map(|(from, to)| (from.z(), to.z())).collect();
    found.sort_unstable();
    found.dedup_by(|next, before| {
        let joins = next.0 <= before.1.saturating_add(1);
        if joins {
            before.1 = before.1.max(next.1);
        }
        joins
    });
    found
}

/// What overlaps a box.
fn overlapping(of: &Rectangle, classes: u8) -> Query {
    let (low, high) = (Corner::of(of.low), Corner::of(of.high));
    let of_class = |class: u8| {
        let before = |place: u64| place.saturating_sub(longest(class));
        let from = Corner { x: before(low.x), y: before(low.y) };
        let stretch = move |(first, last): (u128, u128)| Query::Stretch {
            start: corner_item(class, first),
            end: Some(match last.checked_add(1) {
                Some(after) => corner_item(class, after),
                None => vec![CORNER, class + 1],
            }),
        };
        stretches(from, high).into_iter().map(stretch)
    };
    Query::any((0..classes).flat_map(of_class).collect())
}

/// A query of intervals on one of the axes.
fn on(axis: u8, query: Query) -> Query {
    let prefixed = |bytes: Vec<u8>| [&[axis][..], &bytes].concat();
    match query {
        Query::Stretch { start, end } => {
            Query::Stretch { start: prefixed(start), end: Some(end.map_or_else(|| vec![axis + 1], prefixed)) }
        }
        Query::Any(parts) => Query::Any(parts.into_iter().map(|part| on(axis, part)).collect()),
        Query::All(parts) => Query::All(parts.into_iter().map(|part| on(axis, part)).collect()),
        query => query,
    }
}

impl Class for Boxes {
    fn knows(&self, operator: &str) -> bool {
        self.operators.contains(&operator)
    }
    fn items(&self, value: &Datum, out: &mut Vec<Vec<u8>>) -> Result<()> {
        let found = bounds(value, self.data_type)?;
        let (of, inexact) = found.ok_or_else(|| Error::internal("a value of another type"))?;
        if has_nan(&of) || inexact.is_nan() {
            out.push(vec![ANYWHERE]);
            return Ok(());
        }
        let mut along = |axis: u8, interval: Interval| {
            let mut item = vec![axis];
            item.extend(interval.item());
            out.push(item);
        };
        along(X, interval(of.low.x, of.high.x));
        along(Y, interval(of.low.y, of.high.y));
        let of = if inexact > 0.0 { grown(of, inexact) } else { of };
        let (low, high) = (Corner::of(of.low), Corner::of(of.high));
        out.push(corner_item(class_of(low, high), low.z()));
        Ok(())
    }
    fn query(&self, operator: &str, value: &Datum, data_type: Type) -> Result<Query> {
        let Some((of, inexact)) = bounds(value, data_type.base())? else { return Ok(Query::Everything) };
        if has_nan(&of) || inexact.is_nan() {
            return Ok(Query::Everything);
        }
        let wide = grown(of, slack(&of) + inexact);
        let query = match operator {
            "&&" | "@>" | "<@" | "~=" => {
                overlapping(&wide, if self.data_type == Type::POINT { 1 } else { CLASSES })
            }
            // What ends to the left of a place begins there as well.
            "<<" => on(X, from_below(place(of.low.x))),
            "&<" => on(X, from_below(place(wide.high.x))),
            ">>" => on(X, from_above(place(of.high.x))),
            "&>" => on(X, from_above(place(wide.low.x))),
            "<<|" | "<^" => on(Y, from_below(place(of.low.y))),
            "&<|" => on(Y, from_below(place(wide.high.y))),
            "|>>" | ">^" => on(Y, from_above(place(of.high.y))),
            "|&>" => on(Y, from_above(place(wide.low.y))),
            _ => return Ok(Query::Everything),
        };
        Ok(Query::any(vec![Query::item(vec![ANYWHERE]), query]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn is_in(query: &Query, item: &[u8]) -> bool {
        match query {
            Query::Nothing => false,
            Query::Everything => true,
            Query::Stretch { start, end } => {
                item >= start.as_slice() && end.as_ref().is_none_or(|end| item < end.as_slice())
            }
            Query::All(parts) => parts.iter().all(|part| is_in(part, item)),
            Query::Any(parts) => parts.iter().any(|part| is_in(part, item)),
        }
    }

    fn number(random: &mut StdRng) -> f64 {
        match random.random_range(0..8) {
            0 => [0.0, -0.0, 1.0, -1.0, 1e300, -1e-300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]
                [random.random_range(0..9)],
            1 => random.random_range(-1e6..1e6),
            2 => random.random_range(-1e-5..1e-5),
            _ => f64::from(random.random_range(-40..40)) / 4.0,
        }
    }

    fn rectangle(random: &mut StdRng) -> Rectangle {
        let a = Point { x: number(random), y: number(random) };
        let b = match random.random_range(0..3) {
            0 => a,
            _ => Point { x: number(random), y: number(random) },
        };
        Rectangle::of(a, b)
    }

    /// What an operator finds in the table, as `functions/geometry` has it for boxes.
    fn holds(operator: &str, a: &Rectangle, b: &Rectangle) -> bool {
        let (le, lt) = (|a: f64, b: f64| a <= b + 1e-6, |a: f64, b: f64| a + 1e-6 < b);
        match operator {
            "&&" => {
                le(a.low.x, b.high.x)
                    && le(b.low.x, a.high.x)
                    && le(a.low.y, b.high.y)
                    && le(b.low.y, a.high.y)
            }
            "@>" => {
                le(b.high.x, a.high.x)
                    && le(a.low.x, b.low.x)
                    && le(b.high.y, a.high.y)
                    && le(a.low.y, b.low.y)
            }
            "<@" => holds("@>", b, a),
            "<<" => lt(a.high.x, b.low.x),
            "&<" => le(a.high.x, b.high.x),
            ">>" => lt(b.high.x, a.low.x),
            "&>" => le(b.low.x, a.low.x),
            "<<|" => lt(a.high.y, b.low.y),
            "&<|" => le(a.high.y, b.high.y),
            "|>>" => lt(b.high.y, a.low.y),
            "|&>" => le(b.low.y, a.low.y),
            _ => false,
        }
    }

    #[test]
    fn what_satisfies_a_search_is_found_by_it() {
        let mut random = StdRng::seed_from_u64(7);
        let (mut found, mut passed) = (0, 0);
        for _ in 0..400 {
            let searched = rectangle(&mut random);
            let rows: Vec<_> = (0..50).map(|_| rectangle(&mut random)).collect();
            for operator in OF_AREAS {
                let query = BOX_OPS.query(operator, &searched.to_datum(), Type::BOX).unwrap();
                for row in &rows {
                    let mut items = Vec::new();
                    BOX_OPS.items(&row.to_datum(), &mut items).unwrap();
                    let is_found = items.iter().any(|item| is_in(&query, item));
                    if holds(operator, row, &searched) {
                        assert!(is_found, "{row:?} {operator} {searched:?}");
                        found += 1;
                    } else {
                        passed += usize::from(!is_found);
                    }
                }
            }
        }
        // And most of what does not satisfy it is not.
        assert!(found > 10_000 && passed > 50_000, "{found} {passed}");
    }

    #[test]
    fn stretches_are_few_and_have_every_corner() {
        let mut random = StdRng::seed_from_u64(8);
        for _ in 0..2_000 {
            let shift = random.random_range(0..64);
            let mut place = || random.random::<u64>() >> shift;
            let (a, b) = (Corner { x: place(), y: place() }, Corner { x: place(), y: place() });
            let low = Corner { x: a.x.min(b.x), y: a.y.min(b.y) };
            let high = Corner { x: a.x.max(b.x), y: a.y.max(b.y) };
            let found = stretches(low, high);
            assert!(found.len() <= STRETCHES_MAX);
            for _ in 0..20 {
                let corner =
                    Corner { x: random.random_range(low.x..=high.x), y: random.random_range(low.y..=high.y) };
                let z = corner.z();
                assert!(found.iter().any(|(first, last)| (*first..=*last).contains(&z)));
            }
        }
    }
}
