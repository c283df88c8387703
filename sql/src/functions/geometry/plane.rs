//! Points, lines and areas in the plane: what touches, contains or crosses what, and how far it is.
//!
//! The answers are PostgreSQL's (geo_ops.c) to the last digit, so the ways to them are as well: numbers up to [`EPSILON`] apart count as equal,
//! intersections come from the lines' equations, and the nearest point of a segment is where its perpendicular meets it, or an end.
//! A NaN equals only a NaN.

use super::float::{add, divide, hypotenuse, multiply, subtract};
use crate::error::{Error, Result, SqlState};
use crate::types::geometry::{Circle, Line, Path, Point, Polygon, Rectangle, Segment, is_less};

pub const EPSILON: f64 = 1e-6;

// ---- comparisons that take numbers up to EPSILON apart as equal ----

pub fn is_zero(a: f64) -> bool {
    a.abs() <= EPSILON
}
#[allow(clippy::float_cmp)]
pub fn eq(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= EPSILON
}
#[allow(clippy::float_cmp)]
pub fn ne(a: f64, b: f64) -> bool {
    a != b && (a - b).abs() > EPSILON
}
pub fn lt(a: f64, b: f64) -> bool {
    a + EPSILON < b
}
pub fn le(a: f64, b: f64) -> bool {
    a <= b + EPSILON
}
pub fn gt(a: f64, b: f64) -> bool {
    a > b + EPSILON
}
pub fn ge(a: f64, b: f64) -> bool {
    a + EPSILON >= b
}

/// Equal, NaN included.
#[allow(clippy::float_cmp)]
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

fn min(a: f64, b: f64) -> f64 {
    if is_less(a, b) { a } else { b }
}
fn max(a: f64, b: f64) -> f64 {
    if is_less(b, a) { a } else { b }
}

/// Without the sign of a zero.
fn unsigned_zero(a: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a }
}

fn middle(a: f64, b: f64) -> Result<f64> {
    divide(add(a, b)?, 2.0)
}

// ---- points ----

pub fn same_point(a: Point, b: Point) -> bool {
    if [a.x, a.y, b.x, b.y].iter().any(|number| number.is_nan()) {
        return same(a.x, b.x) && same(a.y, b.y);
    }
    eq(a.x, b.x) && eq(a.y, b.y)
}

pub fn distance(a: Point, b: Point) -> Result<f64> {
    hypotenuse(subtract(a.x, b.x)?, subtract(a.y, b.y)?)
}

pub fn slope(a: Point, b: Point) -> Result<f64> {
    match () {
        () if eq(a.x, b.x) => Ok(f64::INFINITY),
        () if eq(a.y, b.y) => Ok(0.0),
        () => divide(subtract(a.y, b.y)?, subtract(a.x, b.x)?),
    }
}

/// The slope of what is perpendicular to the line through two points.
pub fn perpendicular_slope(a: Point, b: Point) -> Result<f64> {
    match () {
        () if eq(a.x, b.x) => Ok(0.0),
        () if eq(a.y, b.y) => Ok(f64::INFINITY),
        () => divide(subtract(a.x, b.x)?, subtract(b.y, a.y)?),
    }
}

pub fn add_points(a: Point, b: Point) -> Result<Point> {
    Ok(Point { x: add(a.x, b.x)?, y: add(a.y, b.y)? })
}
pub fn subtract_points(a: Point, b: Point) -> Result<Point> {
    Ok(Point { x: subtract(a.x, b.x)?, y: subtract(a.y, b.y)? })
}
/// As complex numbers: turned and scaled.
pub fn multiply_points(a: Point, b: Point) -> Result<Point> {
    Ok(Point {
        x: subtract(multiply(a.x, b.x)?, multiply(a.y, b.y)?)?,
        y: add(multiply(a.x, b.y)?, multiply(a.y, b.x)?)?,
    })
}
pub fn divide_points(a: Point, b: Point) -> Result<Point> {
    let norm = add(multiply(b.x, b.x)?, multiply(b.y, b.y)?)?;
    Ok(Point {
        x: divide(add(multiply(a.x, b.x)?, multiply(a.y, b.y)?)?, norm)?,
        y: divide(subtract(multiply(a.y, b.x)?, multiply(a.x, b.y)?)?, norm)?,
    })
}

// ---- lines ----

impl Line {
    /// Through a point, with a slope.
    pub fn sloping(point: Point, slope: f64) -> Result<Line> {
        Ok(match slope {
            slope if slope.is_infinite() => Line { a: -1.0, b: 0.0, c: point.x },
            0.0 => Line { a: 0.0, b: -1.0, c: point.y },
            slope => {
                let c = subtract(point.y, multiply(slope, point.x)?)?;
                Line { a: slope, b: -1.0, c: unsigned_zero(c) }
            }
        })
    }
    pub fn slope(&self) -> Result<f64> {
        match () {
            () if is_zero(self.a) => Ok(0.0),
            () if is_zero(self.b) => Ok(f64::INFINITY),
            () => divide(self.a, -self.b),
        }
    }
    fn perpendicular_slope(&self) -> Result<f64> {
        match () {
            () if is_zero(self.a) => Ok(f64::INFINITY),
            () if is_zero(self.b) => Ok(0.0),
            () => divide(self.b, self.a),
        }
    }
    pub fn is_perpendicular(&self, other: &Line) -> Result<bool> {
        Ok(match () {
            () if is_zero(self.a) => is_zero(other.b),
            () if is_zero(other.a) => is_zero(self.b),
            () if is_zero(self.b) => is_zero(other.a),
            () if is_zero(other.b) => is_zero(self.a),
            () => eq(divide(multiply(self.a, other.a)?, multiply(self.b, other.b)?)?, -1.0),
        })
    }
    pub fn is_same(&self, other: &Line) -> Result<bool> {
        let (own, others) = ([self.a, self.b, self.c], [other.a, other.b, other.c]);
        if own.iter().chain(&others).any(|number| number.is_nan()) {
            return Ok(own.iter().zip(&others).all(|(a, b)| same(*a, *b)));
        }
        let ratio = match own.iter().zip(&others).find(|(_, other)| !is_zero(**other)) {
            Some((own, other)) => divide(*own, *other)?,
            None => 1.0,
        };
        for (own, other) in own.iter().zip(&others) {
            if !eq(*own, multiply(ratio, *other)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
    pub fn contains(&self, point: Point) -> Result<bool> {
        let value = add(add(multiply(self.a, point.x)?, multiply(self.b, point.y)?)?, self.c)?;
        Ok(is_zero(value))
    }
    /// Where two lines meet.
    pub fn meets(&self, other: &Line) -> Result<Option<Point>> {
        // By the one that is not vertical.
        let (one, two) = match () {
            () if !is_zero(self.b) => (self, other),
            () if !is_zero(other.b) => (other, self),
            () => return Ok(None),
        };
        if eq(two.a, multiply(one.a, divide(two.b, one.b)?)?) {
            return Ok(None);
        }
        let x = divide(
            subtract(multiply(one.b, two.c)?, multiply(two.b, one.c)?)?,
            subtract(multiply(one.a, two.b)?, multiply(two.a, one.b)?)?,
        )?;
        let y = divide(-add(multiply(one.a, x)?, one.c)?, one.b)?;
        Ok(Some(Point { x: unsigned_zero(x), y: unsigned_zero(y) }))
    }
    pub fn distance(&self, other: &Line) -> Result<f64> {
        if self.meets(other)?.is_some() {
            return Ok(0.0);
        }
        let usable = |number: f64| !is_zero(number) && !number.is_nan();
        let ratio = match () {
            () if usable(self.a) && usable(other.a) => divide(self.a, other.a)?,
            () if usable(self.b) && usable(other.b) => divide(self.b, other.b)?,
            () => 1.0,
        };
        divide(subtract(self.c, multiply(ratio, other.c)?)?.abs(), hypotenuse(self.a, self.b)?)
    }
    /// The point of the line nearest to another, and how far it is: NaN if there is none to be found.
    pub fn nearest(&self, point: Point) -> Result<(Point, f64)> {
        match Line::sloping(point, self.perpendicular_slope()?)?.meets(self)? {
            Some(found) => Ok((found, distance(found, point)?)),
            None => Ok((point, f64::NAN)),
        }
    }
}

/// None: the points are the same.
pub fn line_through(a: Point, b: Point) -> Result<Option<Line>> {
    match same_point(a, b) {
        true => Ok(None),
        false => Line::sloping(a, slope(a, b)?).map(Some),
    }
}

// ---- segments ----

impl Segment {
    pub fn slope(&self) -> Result<f64> {
        slope(self.start, self.end)
    }
    pub fn length(&self) -> Result<f64> {
        distance(self.start, self.end)
    }
    pub fn center(&self) -> Result<Point> {
        Ok(Point { x: middle(self.start.x, self.end.x)?, y: middle(self.start.y, self.end.y)? })
    }
    pub fn is_same(&self, other: &Segment) -> bool {
        same_point(self.start, other.start) && same_point(self.end, other.end)
    }
    pub fn contains(&self, point: Point) -> Result<bool> {
        Ok(eq(distance(point, self.start)? + distance(point, self.end)?, self.length()?))
    }
    pub fn meets_line(&self, line: &Line) -> Result<Option<Point>> {
        let own = Line::sloping(self.start, self.slope()?)?;
        let Some(found) = own.meets(line)? else { return Ok(None) };
        if !self.contains(found)? {
            return Ok(None);
        }
        // An end as it is given, without what rounding made of it.
        let ends = [self.start, self.end];
        Ok(Some(ends.into_iter().find(|end| same_point(*end, found)).unwrap_or(found)))
    }
    pub fn meets(&self, other: &Segment) -> Result<Option<Point>> {
        let line = Line::sloping(other.start, other.slope()?)?;
        let Some(found) = self.meets_line(&line)? else { return Ok(None) };
        Ok(other.contains(found)?.then_some(found))
    }
    /// The point of the segment nearest to a line, and how far it is.
    pub fn nearest_to_line(&self, line: &Line) -> Result<(Point, f64)> {
        if let Some(found) = self.meets_line(line)? {
            return Ok((found, 0.0));
        }
        let (first, second) = (line.nearest(self.start)?.1, line.nearest(self.end)?.1);
        Ok(if first < second { (self.start, first) } else { (self.end, second) })
    }
    /// The point of the segment nearest to another, and how far it is.
    pub fn nearest(&self, point: Point) -> Result<(Point, f64)> {
        let perpendicular = Line::sloping(point, perpendicular_slope(self.start, self.end)?)?;
        let (found, _) = self.nearest_to_line(&perpendicular)?;
        Ok((found, distance(found, point)?))
    }
    /// The point of the segment nearest to another segment, and how far it is.
    pub fn nearest_to(&self, other: &Segment) -> Result<(Point, f64)> {
        if let Some(found) = self.meets(other)? {
            return Ok((found, 0.0));
        }
        let mut best = self.nearest(other.start)?;
        let candidates = [
            self.nearest(other.end)?,
            (self.start, other.nearest(self.start)?.1),
            (self.end, other.nearest(self.end)?.1),
        ];
        for candidate in candidates {
            best = nearer(best, candidate);
        }
        Ok(best)
    }
}

fn nearer(best: (Point, f64), candidate: (Point, f64)) -> (Point, f64) {
    if is_less(candidate.1, best.1) { candidate } else { best }
}

// ---- boxes ----

impl Rectangle {
    pub fn width(&self) -> Result<f64> {
        subtract(self.high.x, self.low.x)
    }
    pub fn height(&self) -> Result<f64> {
        subtract(self.high.y, self.low.y)
    }
    pub fn area(&self) -> Result<f64> {
        multiply(self.width()?, self.height()?)
    }
    pub fn center(&self) -> Result<Point> {
        Ok(Point { x: middle(self.high.x, self.low.x)?, y: middle(self.high.y, self.low.y)? })
    }
    pub fn overlaps(&self, other: &Rectangle) -> bool {
        le(self.low.x, other.high.x)
            && le(other.low.x, self.high.x)
            && le(self.low.y, other.high.y)
            && le(other.low.y, self.high.y)
    }
    pub fn contains_box(&self, other: &Rectangle) -> bool {
        ge(self.high.x, other.high.x)
            && le(self.low.x, other.low.x)
            && ge(self.high.y, other.high.y)
            && le(self.low.y, other.low.y)
    }
    pub fn contains(&self, point: Point) -> bool {
        self.high.x >= point.x && self.low.x <= point.x && self.high.y >= point.y && self.low.y <= point.y
    }
    pub fn common(&self, other: &Rectangle) -> Option<Rectangle> {
        self.overlaps(other).then(|| Rectangle {
            high: Point { x: min(self.high.x, other.high.x), y: min(self.high.y, other.high.y) },
            low: Point { x: max(self.low.x, other.low.x), y: max(self.low.y, other.low.y) },
        })
    }
    pub fn around_both(&self, other: &Rectangle) -> Rectangle {
        Rectangle {
            high: Point { x: max(self.high.x, other.high.x), y: max(self.high.y, other.high.y) },
            low: Point { x: min(self.low.x, other.low.x), y: min(self.low.y, other.low.y) },
        }
    }
    /// The sides: left, upper, lower, right.
    fn sides(&self) -> [Segment; 4] {
        let upper_left = Point { x: self.low.x, y: self.high.y };
        let lower_right = Point { x: self.high.x, y: self.low.y };
        [(self.low, upper_left), (self.high, upper_left), (self.low, lower_right), (self.high, lower_right)]
            .map(|(start, end)| Segment { start, end })
    }
    pub fn nearest(&self, point: Point) -> Result<(Point, f64)> {
        if self.contains(point) {
            return Ok((point, 0.0));
        }
        let [first, rest @ ..] = self.sides();
        let mut best = first.nearest(point)?;
        for side in rest {
            best = nearer(best, side.nearest(point)?);
        }
        Ok(best)
    }
    pub fn meets(&self, segment: &Segment) -> Result<bool> {
        if !Rectangle::of(segment.start, segment.end).overlaps(self) {
            return Ok(false);
        }
        if self.contains(segment.start) || self.contains(segment.end) {
            return Ok(true);
        }
        for side in self.sides() {
            if side.meets(segment)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
    pub fn nearest_to(&self, segment: &Segment) -> Result<(Point, f64)> {
        if self.meets(segment)? {
            return Ok((segment.nearest(self.center()?)?.0, 0.0));
        }
        let [first, rest @ ..] = self.sides();
        let mut best = first.nearest_to(segment)?;
        for side in rest {
            best = nearer(best, side.nearest_to(segment)?);
        }
        Ok(best)
    }
    pub fn meets_line(&self, line: &Line) -> Result<bool> {
        for side in self.sides() {
            if side.meets_line(line)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

// ---- paths and polygons ----

/// The segments between points, with the closing one first if there is one.
pub fn segments(points: &[Point], closed: bool) -> impl Iterator<Item = Segment> + '_ {
    let closing = match points {
        [first, .., last] if closed => Some(Segment { start: *last, end: *first }),
        [only] if closed => Some(Segment { start: *only, end: *only }),
        _ => None,
    };
    closing.into_iter().chain(points.windows(2).map(|pair| Segment { start: pair[0], end: pair[1] }))
}

/// Calls `visit` for every pair of segments until it answers true. `check` is asked now and then whether to go on.
fn any_pair(
    (a, a_closed): (&[Point], bool),
    (b, b_closed): (&[Point], bool),
    check: &dyn Fn() -> Result<()>,
    visit: &mut dyn FnMut(&Segment, &Segment) -> Result<bool>,
) -> Result<bool> {
    for one in segments(a, a_closed) {
        check()?;
        for two in segments(b, b_closed) {
            if visit(&one, &two)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// None: there is no segment.
fn least_distance(
    a: (&[Point], bool),
    b: (&[Point], bool),
    check: &dyn Fn() -> Result<()>,
) -> Result<Option<f64>> {
    let mut least = None;
    any_pair(a, b, check, &mut |one, two| {
        let found = one.nearest_to(two)?.1;
        if least.is_none_or(|least| is_less(found, least)) {
            least = Some(found);
        }
        Ok(false)
    })?;
    Ok(least)
}

impl Path {
    /// Of an open one, none.
    pub fn area(&self) -> Result<Option<f64>> {
        if !self.closed {
            return Ok(None);
        }
        let mut area = 0.0;
        for (at, point) in self.points.iter().enumerate() {
            let next = self.points[(at + 1) % self.points.len()];
            area = add(area, multiply(point.x, next.y)?)?;
            area = subtract(area, multiply(point.y, next.x)?)?;
        }
        divide(area.abs(), 2.0).map(Some)
    }
    pub fn length(&self) -> Result<f64> {
        segments(&self.points, self.closed).try_fold(0.0, |sum, segment| add(sum, segment.length()?))
    }
    pub fn meets(&self, other: &Path, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        if !Rectangle::around(&self.points).overlaps(&Rectangle::around(&other.points)) {
            return Ok(false);
        }
        let (own, others) = ((&self.points[..], self.closed), (&other.points[..], other.closed));
        any_pair(own, others, check, &mut |one, two| Ok(one.meets(two)?.is_some()))
    }
    pub fn distance(&self, other: &Path, check: &dyn Fn() -> Result<()>) -> Result<Option<f64>> {
        least_distance((&self.points, self.closed), (&other.points, other.closed), check)
    }
    pub fn distance_to(&self, point: Point) -> Result<f64> {
        let mut least: Option<f64> = None;
        for segment in segments(&self.points, self.closed) {
            let found = segment.nearest(point)?.1;
            if least.is_none_or(|least| is_less(found, least)) {
                least = Some(found);
            }
        }
        Ok(least.unwrap_or(0.0))
    }
    pub fn contains(&self, point: Point) -> Result<bool> {
        if self.closed {
            return is_inside(point, &self.points);
        }
        for segment in segments(&self.points, false) {
            let sum = add(distance(point, segment.start)?, distance(point, segment.end)?)?;
            if eq(sum, segment.length()?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
    pub fn changed(mut self, change: impl Fn(Point) -> Result<Point>) -> Result<Path> {
        for point in &mut self.points {
            *point = change(*point)?;
        }
        Ok(self)
    }
}

/// How a segment crosses the positive x axis, points being given relative to the one asked about: how many half turns, or that the point
/// is on it.
fn crossing(now: Point, before: Point) -> Result<Option<i32>> {
    let Point { x, y } = now;
    if is_zero(y) {
        if is_zero(x) {
            return Ok(None);
        }
        if gt(x, 0.0) {
            return Ok(match is_zero(before.y) {
                true => gt(before.x, 0.0).then_some(0),
                false => Some(if lt(before.y, 0.0) { 1 } else { -1 }),
            });
        }
        return Ok(match is_zero(before.y) {
            true => lt(before.x, 0.0).then_some(0),
            false => Some(0),
        });
    }
    let sign = if gt(y, 0.0) { 1 } else { -1 };
    if is_zero(before.y) {
        return Ok(Some(if lt(before.x, 0.0) { 0 } else { sign }));
    }
    if (sign < 0 && lt(before.y, 0.0)) || (sign > 0 && gt(before.y, 0.0)) {
        return Ok(Some(0));
    }
    if ge(x, 0.0) && gt(before.x, 0.0) {
        return Ok(Some(2 * sign));
    }
    if lt(x, 0.0) && le(before.x, 0.0) {
        return Ok(Some(0));
    }
    let side = subtract(multiply(subtract(x, before.x)?, y)?, multiply(subtract(y, before.y)?, x)?)?;
    if is_zero(side) {
        return Ok(None);
    }
    let passes = (sign < 0 && lt(side, 0.0)) || (sign > 0 && gt(side, 0.0));
    Ok(Some(if passes { 0 } else { 2 * sign }))
}

/// Whether a polygon has a point inside of it or on it: by how often the outline turns around it.
pub fn is_inside(point: Point, outline: &[Point]) -> Result<bool> {
    let Some(first) = outline.first() else { return Ok(false) };
    let first = subtract_points(*first, point)?;
    let mut before = first;
    let mut turns = 0;
    for corner in &outline[1..] {
        let now = subtract_points(*corner, point)?;
        match crossing(now, before)? {
            None => return Ok(true),
            Some(crossed) => turns += crossed,
        }
        before = now;
    }
    match crossing(first, before)? {
        None => Ok(true),
        Some(crossed) => Ok(turns + crossed != 0),
    }
}

impl Polygon {
    pub fn bounds(&self) -> Rectangle {
        Rectangle::around(&self.points)
    }
    /// The same corners in the same or the opposite direction, from wherever.
    pub fn is_same(&self, other: &Polygon) -> bool {
        let (own, others) = (&self.points, &other.points);
        let count = own.len();
        if count != others.len() {
            return false;
        }
        (0..count).any(|start| {
            let forwards = || (0..count).all(|at| same_point(others[(start + at) % count], own[at]));
            let backwards = || (0..count).all(|at| same_point(others[(start + count - at) % count], own[at]));
            forwards() || backwards()
        })
    }
    pub fn overlaps(&self, other: &Polygon, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        if !self.bounds().overlaps(&other.bounds()) {
            return Ok(false);
        }
        let (own, others) = ((&self.points[..], true), (&other.points[..], true));
        Ok(any_pair(own, others, check, &mut |one, two| Ok(one.meets(two)?.is_some()))?
            || is_inside(self.points[0], &other.points)?
            || is_inside(other.points[0], &self.points)?)
    }
    pub fn contains_polygon(&self, other: &Polygon, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        if !self.bounds().contains_box(&other.bounds()) {
            return Ok(false);
        }
        for side in segments(&other.points, true) {
            if !self.contains_segment(side, check)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    /// Whether all of a segment is inside. Where a side crosses it, its parts are looked at each, from the next side on; a part that no
    /// side crosses is inside if its middle is. (PostgreSQL recurses here; a list of what is still to be done needs no stack.)
    fn contains_segment(&self, segment: Segment, check: &dyn Fn() -> Result<()>) -> Result<bool> {
        let count = self.points.len();
        let mut waiting = vec![(segment, 0)];
        'parts: while let Some((part, first)) = waiting.pop() {
            check()?;
            for at in first..count {
                let side = Segment { start: self.points[(at + count - 1) % count], end: self.points[at] };
                let (has_start, has_end) = (side.contains(part.start)?, side.contains(part.end)?);
                if has_start && has_end {
                    continue 'parts;
                }
                if has_start || has_end {
                    let (on, off) = if has_start { (part.start, part.end) } else { (part.end, part.start) };
                    // The side leads into the part: what is beyond its end is judged by itself, as well as the whole.
                    if let Some(end) = touching_end(on, off, &side)? {
                        waiting.push((Segment { start: off, end }, at + 1));
                    }
                } else if let Some(cut) = part.meets(&side)? {
                    waiting.push((Segment { start: part.end, end: cut }, at + 1));
                    waiting.push((Segment { start: part.start, end: cut }, at + 1));
                    continue 'parts;
                }
            }
            if !is_inside(part.center()?, &self.points)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    pub fn distance(&self, other: &Polygon, check: &dyn Fn() -> Result<()>) -> Result<Option<f64>> {
        if self.overlaps(other, check)? {
            return Ok(Some(0.0));
        }
        least_distance((&self.points, true), (&other.points, true), check)
    }
    pub fn distance_to(&self, point: Point) -> Result<f64> {
        if is_inside(point, &self.points)? {
            return Ok(0.0);
        }
        // The closing side counts from the first corner to the last here, which tells only in the last digit.
        let closing = Segment { start: self.points[0], end: self.points[self.points.len() - 1] };
        let mut least = closing.nearest(point)?.1;
        for side in segments(&self.points, false) {
            let found = side.nearest(point)?.1;
            if is_less(found, least) {
                least = found;
            }
        }
        Ok(least)
    }
    /// Around the mean of the corners, with their mean distance.
    pub fn circle(&self) -> Result<Circle> {
        let count = self.points.len() as f64;
        let origin = Point { x: 0.0, y: 0.0 };
        let sum = self.points.iter().try_fold(origin, |sum, point| add_points(sum, *point))?;
        let center = Point { x: divide(sum.x, count)?, y: divide(sum.y, count)? };
        let distances = self.points.iter().try_fold(0.0, |sum, point| add(sum, distance(*point, center)?))?;
        Ok(Circle { center, radius: divide(distances, count)? })
    }
}

/// Which end of a side that `on` lies on is on the way from there to `off`, if one is.
fn touching_end(on: Point, off: Point, side: &Segment) -> Result<Option<Point>> {
    let part = Segment { start: on, end: off };
    if same_point(on, side.start) {
        return Ok(part.contains(side.end)?.then_some(side.end));
    }
    if same_point(on, side.end) {
        return Ok(part.contains(side.start)?.then_some(side.start));
    }
    if part.contains(side.start)? {
        return Ok(Some(side.start));
    }
    Ok(part.contains(side.end)?.then_some(side.end))
}

// ---- circles ----

impl Circle {
    pub fn area(&self) -> Result<f64> {
        multiply(multiply(self.radius, self.radius)?, std::f64::consts::PI)
    }
    pub fn contains(&self, point: Point) -> Result<bool> {
        Ok(distance(self.center, point)? <= self.radius)
    }
    pub fn distance_to(&self, point: Point) -> Result<f64> {
        beyond(distance(point, self.center)?, self.radius)
    }
    pub fn left(&self) -> Result<f64> {
        subtract(self.center.x, self.radius)
    }
    pub fn right(&self) -> Result<f64> {
        add(self.center.x, self.radius)
    }
    pub fn bottom(&self) -> Result<f64> {
        subtract(self.center.y, self.radius)
    }
    pub fn top(&self) -> Result<f64> {
        add(self.center.y, self.radius)
    }
    /// A polygon of so many corners on it. `check` is asked now and then whether to go on.
    pub fn polygon(&self, corners: i32, check: &dyn Fn() -> Result<()>) -> Result<Polygon> {
        if is_zero(self.radius) {
            let message = "cannot convert circle with radius zero to polygon";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        if corners < 2 {
            let message = "must request at least 2 points";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        // As many as one value of PostgreSQL's can have.
        const CORNERS_MAX: i32 = (1 << 30) / 16 - 4;
        if corners > CORNERS_MAX {
            return Err(too_many_points());
        }
        let step = divide(2.0 * std::f64::consts::PI, f64::from(corners))?;
        let corner = |at: i32| {
            if at % 65536 == 0 {
                check()?;
            }
            let angle = multiply(step, f64::from(at))?;
            Ok(Point {
                x: subtract(self.center.x, multiply(self.radius, angle.cos())?)?,
                y: add(self.center.y, multiply(self.radius, angle.sin())?)?,
            })
        };
        Ok(Polygon { points: (0..corners).map(corner).collect::<Result<_>>()? })
    }
}

pub fn too_many_points() -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many points requested")
}

/// What is left of a distance behind a radius; nothing within it.
pub fn beyond(distance: f64, radius: f64) -> Result<f64> {
    let left = subtract(distance, radius)?;
    Ok(if left < 0.0 { 0.0 } else { left })
}
