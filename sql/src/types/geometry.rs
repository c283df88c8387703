//! The geometric types: values, their bytes (PostgreSQL's binary format, in rows as on the wire) and their text.
//!
//! ```text
//! point    x y                          (x,y)
//! lseg     point point                  [(x,y),(x,y)]
//! line     a b c of ax + by + c = 0     {a,b,c}
//! box      upper right, lower left      (x,y),(x,y)
//! path     closed, count, points        ((x,y),…) or [(x,y),…] if it is open
//! polygon  count, points                ((x,y),…)
//! circle   center, radius               <(x,y),r>
//! ```
//!
//! Each number is eight bytes, big-endian; `closed` is one byte, a count four. What the operators do is in `functions/geometry`.

use super::binary::{invalid, short};
use super::float::write_float8;
use super::format::invalid_input;
use super::{Datum, Type};
use crate::error::{Error, Result, SqlState};

/// How far apart numbers may be and still count as equal.
const EPSILON: f64 = 1e-6;

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub start: Point,
    pub end: Point,
}

/// ax + by + c = 0.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub a: f64,
    pub b: f64,
    pub c: f64,
}

/// A box.
#[derive(Clone, Copy, Debug)]
pub struct Rectangle {
    pub high: Point,
    pub low: Point,
}

#[derive(Clone, Debug)]
pub struct Path {
    pub closed: bool,
    pub points: Vec<Point>,
}

#[derive(Clone, Debug)]
pub struct Polygon {
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
pub struct Circle {
    pub center: Point,
    pub radius: f64,
}

pub fn is_geometric(data_type: Type) -> bool {
    matches!(
        data_type,
        Type::POINT | Type::LSEG | Type::LINE | Type::BOX | Type::PATH | Type::POLYGON | Type::CIRCLE
    )
}

/// What a value of a type of fixed size is an array of, from 0 (pg_type.typelem).
pub fn part_of(data_type: Type) -> Option<Type> {
    match data_type {
        Type::POINT | Type::LINE => Some(Type::FLOAT8),
        Type::LSEG | Type::BOX => Some(Type::POINT),
        _ => None,
    }
}

fn width(part: Type) -> usize {
    if part == Type::FLOAT8 { 8 } else { 16 }
}

/// One of the parts; null beyond them.
pub fn part(bytes: &[u8], part: Type, index: i32) -> Datum {
    let found = usize::try_from(index).ok().and_then(|index| bytes.chunks_exact(width(part)).nth(index));
    match found {
        None => Datum::Null,
        Some(bytes) if part == Type::FLOAT8 => {
            Datum::Float8(f64::from_be_bytes(bytes.try_into().unwrap_or_default()))
        }
        Some(bytes) => Datum::Bytea(bytes.into()),
    }
}

/// `p[0] := 1`.
pub fn with_part(bytes: &[u8], part: Type, index: i32, value: &Datum) -> Result<Datum> {
    let mut bytes = bytes.to_vec();
    let place = usize::try_from(index).ok().and_then(|index| bytes.chunks_exact_mut(width(part)).nth(index));
    let place =
        place.ok_or_else(|| Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range"))?;
    match value {
        Datum::Float8(number) if part == Type::FLOAT8 => place.copy_from_slice(&number.to_be_bytes()),
        Datum::Bytea(point) if point.len() == place.len() => place.copy_from_slice(point),
        _ => return Err(Error::internal("a part of another type")),
    }
    Ok(Datum::Bytea(bytes.into()))
}

/// `a < b`, with NaN above all other numbers.
pub fn is_less(a: f64, b: f64) -> bool {
    !a.is_nan() && (b.is_nan() || a < b)
}

impl Rectangle {
    /// Of two opposite corners.
    pub fn of(a: Point, b: Point) -> Rectangle {
        let order = |a, b| if is_less(b, a) { (a, b) } else { (b, a) };
        let ((right, left), (top, bottom)) = (order(a.x, b.x), order(a.y, b.y));
        Rectangle { high: Point { x: right, y: top }, low: Point { x: left, y: bottom } }
    }

    /// What points lie in; there is at least one.
    pub fn around(points: &[Point]) -> Rectangle {
        let first = points.first().copied().unwrap_or(Point { x: 0.0, y: 0.0 });
        let mut found = Rectangle { high: first, low: first };
        for point in points {
            let grow = |high: &mut f64, low: &mut f64, value: f64| {
                if is_less(value, *low) {
                    *low = value;
                }
                if is_less(*high, value) {
                    *high = value;
                }
            };
            grow(&mut found.high.x, &mut found.low.x, point.x);
            grow(&mut found.high.y, &mut found.low.y, point.y);
        }
        found
    }
}

// ---- bytes ----

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f64> + '_ {
    bytes.chunks_exact(8).map(|chunk| f64::from_be_bytes(chunk.try_into().unwrap_or_default()))
}

fn points(bytes: &[u8]) -> Vec<Point> {
    let numbers: Vec<f64> = numbers(bytes).collect();
    numbers.chunks_exact(2).map(|pair| Point { x: pair[0], y: pair[1] }).collect()
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[f64; N]> {
    let mut found = [0.0; N];
    (bytes.len() == N * 8).then(|| {
        found.iter_mut().zip(numbers(bytes)).for_each(|(slot, number)| *slot = number);
        found
    })
}

fn put(out: &mut Vec<u8>, numbers: &[f64]) {
    numbers.iter().for_each(|number| out.extend(number.to_be_bytes()));
}

fn put_points(out: &mut Vec<u8>, points: &[Point]) {
    out.extend((points.len() as u32).to_be_bytes());
    points.iter().for_each(|point| put(out, &[point.x, point.y]));
}

/// A value as its bytes.
pub trait Geometry: Sized {
    /// None: not the bytes of such a value.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
    fn write(&self, out: &mut Vec<u8>);
    fn to_datum(&self) -> Datum {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        Datum::Bytea(bytes.into())
    }
}

impl Geometry for Point {
    fn from_bytes(bytes: &[u8]) -> Option<Point> {
        fixed::<2>(bytes).map(|[x, y]| Point { x, y })
    }
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[self.x, self.y]);
    }
}

impl Geometry for Segment {
    fn from_bytes(bytes: &[u8]) -> Option<Segment> {
        fixed::<4>(bytes)
            .map(|[a, b, c, d]| Segment { start: Point { x: a, y: b }, end: Point { x: c, y: d } })
    }
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[self.start.x, self.start.y, self.end.x, self.end.y]);
    }
}

impl Geometry for Line {
    fn from_bytes(bytes: &[u8]) -> Option<Line> {
        fixed::<3>(bytes).map(|[a, b, c]| Line { a, b, c })
    }
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[self.a, self.b, self.c]);
    }
}

impl Geometry for Rectangle {
    fn from_bytes(bytes: &[u8]) -> Option<Rectangle> {
        fixed::<4>(bytes)
            .map(|[a, b, c, d]| Rectangle { high: Point { x: a, y: b }, low: Point { x: c, y: d } })
    }
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[self.high.x, self.high.y, self.low.x, self.low.y]);
    }
}

impl Geometry for Path {
    fn from_bytes(bytes: &[u8]) -> Option<Path> {
        let (closed, rest) = bytes.split_first()?;
        Some(Path { closed: *closed != 0, points: Polygon::from_bytes(rest)?.points })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.closed));
        put_points(out, &self.points);
    }
}

impl Geometry for Polygon {
    fn from_bytes(bytes: &[u8]) -> Option<Polygon> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let count = u32::from_be_bytes(*count) as usize;
        (count > 0 && count.checked_mul(16) == Some(rest.len())).then(|| Polygon { points: points(rest) })
    }
    fn write(&self, out: &mut Vec<u8>) {
        put_points(out, &self.points);
    }
}

impl Geometry for Circle {
    fn from_bytes(bytes: &[u8]) -> Option<Circle> {
        fixed::<3>(bytes).map(|[x, y, radius]| Circle { center: Point { x, y }, radius })
    }
    fn write(&self, out: &mut Vec<u8>) {
        put(out, &[self.center.x, self.center.y, self.radius]);
    }
}

/// Reads a value in its type's binary format.
pub(super) fn read_binary(bytes: &[u8], data_type: Type) -> Result<Datum> {
    let floats = |count: usize| match bytes.len().cmp(&(count * 8)) {
        std::cmp::Ordering::Less => Err(short()),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(invalid("incorrect binary data format")),
    };
    let counted = |header: usize, name: &str| {
        let count = bytes.get(header..header + 4).ok_or_else(short)?;
        let count = i32::from_be_bytes(count.try_into().unwrap_or_default());
        // PostgreSQL's bound is what one allocation can be.
        if count <= 0 || count >= i32::MAX / 16 {
            return Err(invalid(format!("invalid number of points in external \"{name}\" value")));
        }
        match bytes.len().cmp(&(header + 4 + count as usize * 16)) {
            std::cmp::Ordering::Less => Err(short()),
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(invalid("incorrect binary data format")),
        }
    };
    match data_type {
        Type::POINT => floats(2)?,
        Type::LSEG | Type::BOX => floats(4)?,
        Type::LINE | Type::CIRCLE => floats(3)?,
        Type::PATH => counted(1, "path")?,
        _ => counted(0, "polygon")?,
    }
    Ok(match data_type {
        Type::BOX => {
            let given = Rectangle::from_bytes(bytes).ok_or_else(short)?;
            Rectangle::of(given.high, given.low).to_datum()
        }
        Type::LINE => {
            let line = Line::from_bytes(bytes).ok_or_else(short)?;
            if line.a.abs() <= EPSILON && line.b.abs() <= EPSILON {
                return Err(invalid("invalid line specification: A and B cannot both be zero"));
            }
            line.to_datum()
        }
        Type::CIRCLE => {
            let circle = Circle::from_bytes(bytes).ok_or_else(short)?;
            if circle.radius < 0.0 {
                return Err(invalid("invalid radius in external \"circle\" value"));
            }
            circle.to_datum()
        }
        Type::PATH => Path::from_bytes(bytes).ok_or_else(short)?.to_datum(),
        _ => Datum::Bytea(bytes.into()),
    })
}

// ---- text ----

/// Writes a value's text.
pub(super) fn write_text(out: &mut Vec<u8>, bytes: &[u8], data_type: Type, extra_digits: i32) {
    let number = |out: &mut Vec<u8>, number| write_float8(out, number, extra_digits);
    let point = |out: &mut Vec<u8>, point: Point| {
        out.push(b'(');
        number(out, point.x);
        out.push(b',');
        number(out, point.y);
        out.push(b')');
    };
    let list = |out: &mut Vec<u8>, points: &[Point]| {
        for (at, each) in points.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            point(out, *each);
        }
    };
    match data_type {
        Type::LINE => {
            let Some(line) = Line::from_bytes(bytes) else { return };
            out.push(b'{');
            number(out, line.a);
            out.push(b',');
            number(out, line.b);
            out.push(b',');
            number(out, line.c);
            out.push(b'}');
        }
        Type::CIRCLE => {
            let Some(circle) = Circle::from_bytes(bytes) else { return };
            out.push(b'<');
            point(out, circle.center);
            out.push(b',');
            number(out, circle.radius);
            out.push(b'>');
        }
        Type::PATH | Type::POLYGON => {
            let path = match data_type {
                Type::PATH => Path::from_bytes(bytes),
                _ => Polygon::from_bytes(bytes).map(|polygon| Path { closed: true, points: polygon.points }),
            };
            let Some(path) = path else { return };
            out.push(if path.closed { b'(' } else { b'[' });
            list(out, &path.points);
            out.push(if path.closed { b')' } else { b']' });
        }
        Type::LSEG => {
            out.push(b'[');
            list(out, &points(bytes));
            out.push(b']');
        }
        _ => list(out, &points(bytes)),
    }
}

/// A text that is being read, as PostgreSQL's geo_ops.c reads it.
struct Reader<'t> {
    rest: &'t [u8],
    whole: &'t str,
    name: &'static str,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The length of the number that a text begins with, as strtod takes it, but for hexadecimal ones.
fn number_length(text: &[u8]) -> usize {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let unsigned = &text[sign..];
    for word in [&b"infinity"[..], b"inf", b"nan"] {
        if unsigned.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
            return sign + word.len();
        }
    }
    let digits = |from: usize| unsigned[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(0);
    let mut count = length;
    if unsigned.get(length) == Some(&b'.') {
        let fraction = digits(length + 1);
        count += fraction;
        length += 1 + fraction;
    }
    if count == 0 {
        return 0;
    }
    if matches!(unsigned.get(length), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(unsigned.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits((length + 1 + signed).min(unsigned.len()));
        if exponent > 0 {
            length += 1 + signed + exponent;
        }
    }
    sign + length
}

impl<'t> Reader<'t> {
    fn invalid(&self) -> Error {
        invalid_input(self.name, self.whole)
    }
    fn skip_spaces(&mut self) {
        let spaces = self.rest.iter().take_while(|byte| is_space(**byte)).count();
        self.rest = &self.rest[spaces..];
    }
    fn is(&self, byte: u8) -> bool {
        self.rest.first() == Some(&byte)
    }
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.is(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }
    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.eat(byte) { Ok(()) } else { Err(self.invalid()) }
    }
    fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid()) }
    }
    /// A number with the blanks around it.
    fn number(&mut self) -> Result<f64> {
        self.skip_spaces();
        let (number, rest) = self.rest.split_at(number_length(self.rest));
        let text = std::str::from_utf8(number).unwrap_or_default();
        if text.is_empty() {
            return Err(self.invalid());
        }
        let value = super::float::parse_float8(text)?;
        self.rest = rest;
        self.skip_spaces();
        Ok(value)
    }
    /// `(x,y)` or `x,y`.
    fn pair(&mut self) -> Result<Point> {
        self.skip_spaces();
        let enclosed = self.eat(b'(');
        let x = self.number()?;
        self.expect(b',')?;
        let y = self.number()?;
        if enclosed {
            self.expect(b')')?;
            self.skip_spaces();
        }
        Ok(Point { x, y })
    }
    /// Whether no further parenthesis opens behind the one here.
    fn is_last_opening(&self) -> bool {
        self.rest.iter().rposition(|byte| *byte == b'(') == Some(0)
    }
    /// So many points, with one more pair of parentheses or brackets around them, or none; whether they were brackets.
    fn points(&mut self, count: usize, may_be_open: bool) -> Result<(Vec<Point>, bool)> {
        self.skip_spaces();
        let mut enclosed = false;
        let open = self.is(b'[');
        if open {
            if !may_be_open {
                return Err(self.invalid());
            }
            self.eat(b'[');
            enclosed = true;
        } else if self.is(b'(') {
            let mut inside = Reader { rest: &self.rest[1..], whole: self.whole, name: self.name };
            inside.skip_spaces();
            if inside.is(b'(') || self.is_last_opening() {
                enclosed = true;
                self.rest = inside.rest;
            }
        }
        // As many as there are commas for, which are in the text.
        let mut points = Vec::with_capacity(count);
        for _ in 0..count {
            points.push(self.pair()?);
            self.eat(b',');
        }
        if enclosed {
            let closed = self.eat(b')') || (open && self.eat(b']'));
            if !closed {
                return Err(self.invalid());
            }
            self.skip_spaces();
        }
        Ok((points, open))
    }
    /// How many points a text has: by its commas, of which there is one in each and one between two.
    fn count(&self) -> Result<usize> {
        let commas = self.whole.bytes().filter(|byte| *byte == b',').count();
        if commas % 2 == 1 { Ok(commas.div_ceil(2)) } else { Err(self.invalid()) }
    }
    fn two(&mut self, may_be_open: bool) -> Result<[Point; 2]> {
        let (points, _) = self.points(2, may_be_open)?;
        self.end()?;
        Ok([points[0], points[1]])
    }
}

/// Reads a value's text.
pub(super) fn parse(text: &str, data_type: Type) -> Result<Datum> {
    let name = match data_type {
        Type::POINT => "point",
        Type::LSEG => "lseg",
        Type::LINE => "line",
        Type::BOX => "box",
        Type::PATH => "path",
        Type::POLYGON => "polygon",
        _ => "circle",
    };
    let mut reader = Reader { rest: text.as_bytes(), whole: text, name };
    Ok(match data_type {
        Type::POINT => {
            let point = reader.pair()?;
            reader.end()?;
            point.to_datum()
        }
        Type::LSEG => {
            let [start, end] = reader.two(true)?;
            Segment { start, end }.to_datum()
        }
        Type::LINE => parse_line(reader)?.to_datum(),
        Type::BOX => {
            let [a, b] = reader.two(false)?;
            Rectangle::of(a, b).to_datum()
        }
        Type::PATH => {
            let count = reader.count()?;
            reader.skip_spaces();
            // One parenthesis around all numbers, which are in none of their own.
            let enclosed = reader.is(b'(') && reader.is_last_opening();
            if enclosed {
                reader.eat(b'(');
            }
            let (points, open) = reader.points(count, true)?;
            if enclosed {
                reader.expect(b')')?;
                reader.skip_spaces();
            }
            reader.end()?;
            Path { closed: !open, points }.to_datum()
        }
        Type::POLYGON => {
            let (points, _) = reader.points(reader.count()?, false)?;
            reader.end()?;
            Polygon { points }.to_datum()
        }
        _ => parse_circle(reader)?.to_datum(),
    })
}

fn specification(message: &str) -> Error {
    let message = format!("invalid line specification: {message}");
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

fn parse_line(mut reader: Reader<'_>) -> Result<Line> {
    reader.skip_spaces();
    if reader.eat(b'{') {
        let a = reader.number()?;
        reader.expect(b',')?;
        let b = reader.number()?;
        reader.expect(b',')?;
        let c = reader.number()?;
        reader.expect(b'}')?;
        reader.skip_spaces();
        reader.end()?;
        if a.abs() <= EPSILON && b.abs() <= EPSILON {
            return Err(specification("A and B cannot both be zero"));
        }
        return Ok(Line { a, b, c });
    }
    let [start, end] = reader.two(true)?;
    match crate::functions::line_through(start, end)? {
        Some(line) => Ok(line),
        None => Err(specification("must be two distinct points")),
    }
}

fn parse_circle(mut reader: Reader<'_>) -> Result<Circle> {
    reader.skip_spaces();
    let angled = reader.eat(b'<');
    let mut enclosed = angled;
    if !angled && reader.is(b'(') {
        let mut inside = Reader { rest: &reader.rest[1..], whole: reader.whole, name: reader.name };
        inside.skip_spaces();
        if inside.is(b'(') {
            enclosed = true;
            reader.rest = inside.rest;
        }
    }
    let center = reader.pair()?;
    reader.eat(b',');
    let radius = reader.number()?;
    // NaN is none.
    if radius < 0.0 {
        return Err(reader.invalid());
    }
    if enclosed {
        if !reader.eat(b')') && !reader.eat(b'>') {
            return Err(reader.invalid());
        }
        reader.skip_spaces();
    }
    reader.end()?;
    Ok(Circle { center, radius })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{RenderSettings, format_datum, read_binary, write_binary_datum};

    /// Recorded from PostgreSQL's …_send functions.
    #[test]
    fn bytes_are_postgresqls() {
        const ONE: &str = "3ff0000000000000";
        const TWO: &str = "4000000000000000";
        const THREE: &str = "4008000000000000";
        const FOUR: &str = "4010000000000000";
        let zero = "0000000000000000";
        let cases = [
            (Type::POINT, "(1,-2.5)", format!("{ONE}c004000000000000")),
            (Type::LSEG, "[(1,2),(3,4)]", format!("{ONE}{TWO}{THREE}{FOUR}")),
            (Type::LINE, "{1,-1,2}", format!("{ONE}bff0000000000000{TWO}")),
            (Type::BOX, "(1,2),(3,0)", format!("{THREE}{TWO}{ONE}{zero}")),
            (Type::PATH, "[(1,2)]", format!("0000000001{ONE}{TWO}")),
            (Type::PATH, "((1,2))", format!("0100000001{ONE}{TWO}")),
            (Type::POLYGON, "((1,2),(3,4))", format!("00000002{ONE}{TWO}{THREE}{FOUR}")),
            (Type::CIRCLE, "<(1,2),3>", format!("{ONE}{TWO}{THREE}")),
        ];
        for (data_type, text, hex) in cases {
            let value = parse(text, data_type).unwrap();
            let mut bytes = Vec::new();
            write_binary_datum(&mut bytes, &value, data_type);
            let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(shown, hex, "{text}");
            assert_eq!(read_binary(&bytes, data_type).unwrap(), value);
            let again = format_datum(&value, data_type, &RenderSettings::default());
            assert_eq!(parse(&again, data_type).unwrap(), value);
        }
    }

    #[test]
    fn bad_bytes_are_refused() {
        let state = |bytes: &[u8], data_type| read_binary(bytes, data_type).unwrap_err().state();
        assert_eq!(state(&[0; 15], Type::POINT), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(state(&[0; 17], Type::POINT), SqlState::INVALID_BINARY_REPRESENTATION);
        assert_eq!(state(&[0; 24], Type::LINE), SqlState::INVALID_BINARY_REPRESENTATION);
        // No points, more than there are, fewer than there are.
        assert_eq!(state(&[0; 4], Type::POLYGON), SqlState::INVALID_BINARY_REPRESENTATION);
        assert_eq!(state(&[0, 0, 0, 2, 0, 0], Type::POLYGON), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(state(&[0x7f, 0xff, 0xff, 0xff], Type::POLYGON), SqlState::INVALID_BINARY_REPRESENTATION);
        assert_eq!(state(&[1, 0, 0], Type::PATH), SqlState::PROTOCOL_VIOLATION);
        let negative = Circle { center: Point { x: 0.0, y: 0.0 }, radius: -1.0 };
        let mut bytes = Vec::new();
        negative.write(&mut bytes);
        assert_eq!(state(&bytes, Type::CIRCLE), SqlState::INVALID_BINARY_REPRESENTATION);
    }
}
