//! to_char of numbers, and to_number.
//!
//! A picture is counted first (digits before and after the point, signs, where zeros begin: [`Shape`]); then the number, rounded to the
//! picture's digits, is written position by position ([`Writer`]). Numbers that don't fit are shown as `#`.

use super::super::Registry;
use super::super::arguments::scalar;
use super::ordinal;
use crate::error::{Error, Result, SqlState};
use crate::types::Numeric;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Item {
    Comma,
    /// `.` and `D`
    Point,
    Zero,
    Nine,
    Blank,
    Exponent,
    Fill,
    Group,
    Currency,
    Minus,
    Plus,
    Brackets,
    Roman {
        lower: bool,
    },
    SignBoth,
    Sign,
    Ordinal {
        upper: bool,
    },
    Shift,
    Text(char),
}

const KEYWORDS: &[(&str, Item)] = &[
    (",", Item::Comma),
    (".", Item::Point),
    ("0", Item::Zero),
    ("9", Item::Nine),
    ("B", Item::Blank),
    ("D", Item::Point),
    ("EEEE", Item::Exponent),
    ("FM", Item::Fill),
    ("G", Item::Group),
    ("L", Item::Currency),
    ("MI", Item::Minus),
    ("PL", Item::Plus),
    ("PR", Item::Brackets),
    ("RN", Item::Roman { lower: false }),
    ("SG", Item::SignBoth),
    ("SP", Item::Blank),
    ("S", Item::Sign),
    ("TH", Item::Ordinal { upper: true }),
    ("V", Item::Shift),
    ("rn", Item::Roman { lower: true }),
    ("th", Item::Ordinal { upper: false }),
];

/// Where S stands to the digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Anchor {
    Before,
    After,
}

#[derive(Clone, Default, Debug)]
struct Shape {
    before: usize,
    after: usize,
    /// Digits after V.
    shift: usize,
    has_shift: bool,
    point: bool,
    fill: bool,
    sign: Option<Anchor>,
    /// Digits before S.
    before_sign: usize,
    minus: bool,
    plus: bool,
    brackets: bool,
    roman: bool,
    exponent: bool,
    blank: bool,
    /// Where the first 0 stands (from 0) and the last.
    zero_start: Option<usize>,
    zero_end: usize,
}

fn syntax(message: impl Into<String>) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

impl Shape {
    fn count(&mut self, item: Item) -> Result<()> {
        if self.exponent && !matches!(item, Item::Exponent | Item::Text(_)) {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        let no_signs = |what: &str| syntax(format!("cannot use {what} together"));
        match item {
            Item::Nine => {
                if self.brackets {
                    return Err(syntax("\"9\" must be ahead of \"PR\""));
                }
                match (self.has_shift, self.point) {
                    (true, _) => self.shift += 1,
                    (false, true) => self.after += 1,
                    (false, false) => self.before += 1,
                }
            }
            Item::Zero => {
                if self.brackets {
                    return Err(syntax("\"0\" must be ahead of \"PR\""));
                }
                if self.zero_start.is_none() && !self.point {
                    self.zero_start = Some(self.before);
                }
                match self.point {
                    true => self.after += 1,
                    false => self.before += 1,
                }
                self.zero_end = self.before + self.after;
            }
            Item::Blank if self.before == 0 && self.after == 0 && self.zero_start.is_none() => {
                self.blank = true
            }
            Item::Point => {
                if self.point {
                    return Err(syntax("multiple decimal points"));
                }
                if self.has_shift {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.point = true;
            }
            Item::Fill => self.fill = true,
            Item::Sign => {
                if self.sign.is_some() {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.brackets {
                    return Err(no_signs("\"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\""));
                }
                match self.point {
                    false => {
                        self.sign = Some(Anchor::Before);
                        self.before_sign = self.before;
                    }
                    true => self.sign = Some(Anchor::After),
                }
            }
            Item::Minus | Item::Plus | Item::SignBoth if self.sign.is_some() => {
                return Err(no_signs(match item {
                    Item::Minus => "\"S\" and \"MI\"",
                    Item::Plus => "\"S\" and \"PL\"",
                    _ => "\"S\" and \"SG\"",
                }));
            }
            Item::Minus => self.minus = true,
            Item::Plus => self.plus = true,
            Item::SignBoth => (self.minus, self.plus) = (true, true),
            Item::Brackets => {
                if self.sign.is_some() || self.plus || self.minus {
                    return Err(no_signs("\"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\""));
                }
                self.brackets = true;
            }
            Item::Roman { .. } => self.roman = true,
            Item::Shift => {
                if self.point {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.has_shift = true;
            }
            Item::Exponent => {
                if self.exponent {
                    return Err(syntax("cannot use \"EEEE\" twice"));
                }
                let signs = self.sign.is_some() || self.brackets || self.minus || self.plus;
                if self.blank || self.fill || signs || self.roman || self.has_shift {
                    return Err(syntax("\"EEEE\" is incompatible with other formats").detail(
                        "\"EEEE\" may only be used together with digit and decimal point patterns.",
                    ));
                }
                self.exponent = true;
            }
            _ => {}
        }
        Ok(())
    }
}

fn parse(picture: &str) -> Result<(Vec<Item>, Shape)> {
    let mut items = Vec::new();
    let mut shape = Shape::default();
    let mut rest = picture;
    while let Some(first) = rest.chars().next() {
        let keyword = KEYWORDS.iter().find(|(word, _)| {
            // All patterns can be written in lower case but those that mean another then.
            let lower = !matches!(*word, "RN" | "TH");
            rest.starts_with(word) || (lower && rest.starts_with(&word.to_ascii_lowercase()))
        });
        if let Some((word, item)) = keyword {
            rest = &rest[word.len()..];
            shape.count(*item)?;
            items.push(*item);
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            '"' => {
                while let Some(c) = rest.chars().next() {
                    rest = &rest[c.len_utf8()..];
                    match c {
                        '"' => break,
                        '\\' => {
                            if let Some(escaped) = rest.chars().next() {
                                rest = &rest[escaped.len_utf8()..];
                                items.push(Item::Text(escaped));
                            }
                        }
                        c => items.push(Item::Text(c)),
                    }
                }
            }
            '\\' if rest.starts_with('"') => {
                rest = &rest[1..];
                items.push(Item::Text('"'));
            }
            c => items.push(Item::Text(c)),
        }
    }
    Ok((items, shape))
}

/// The state of writing one number.
struct Writer<'a> {
    shape: &'a Shape,
    out: String,
    number: Vec<u8>,
    /// The next of `number`.
    at: usize,
    /// Positions of the picture before the number's first digit.
    spaces: usize,
    negative: bool,
    sign_written: bool,
    /// Anything of the number was written: groups are separated from here on.
    begun: bool,
    /// Position within the picture's digits.
    current: usize,
    count: usize,
    /// With FM: the last digit that is not a trailing zero.
    relevant: Option<usize>,
    anchor: Option<Anchor>,
}

impl Writer<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.number.get(at).copied().unwrap_or(0)
    }
    fn relevant_is_point(&self) -> bool {
        self.relevant.is_some_and(|at| self.byte(at) == b'.')
    }
    /// `9.9` of 0.1 is " .1": the zero before the point is left out.
    fn before_point(&self) -> bool {
        self.shape.zero_start.is_none() && self.at == 0 && self.byte(0) == b'0' && self.shape.after != 0
    }
    fn sign(&self) -> char {
        if self.negative { '-' } else { '+' }
    }

    fn write_sign(&mut self) {
        let reached =
            self.current >= self.spaces || self.shape.zero_start.is_some_and(|start| start == self.current);
        if self.sign_written || !reached || (self.before_point() && !self.relevant_is_point()) {
            return;
        }
        if let Some(anchor) = self.anchor {
            if anchor == Anchor::Before {
                self.out.push(self.sign());
                self.sign_written = true;
            }
        } else if self.shape.brackets {
            self.out.push(if self.negative { '<' } else { ' ' });
            self.sign_written = true;
        } else {
            match self.negative {
                true => self.out.push('-'),
                false if !self.shape.fill => self.out.push(' '),
                false => {}
            }
            self.sign_written = true;
        }
    }

    fn digit(&mut self, item: Item) {
        self.begun = false;
        self.write_sign();
        let zeros = self.shape.zero_start.is_some_and(|start| start <= self.current);
        if self.current < self.spaces && !zeros {
            if !self.shape.fill {
                self.out.push(' ');
            }
        } else if self.current < self.spaces {
            self.out.push('0');
            self.begun = true;
        } else {
            if self.byte(self.at) == b'.' {
                if !self.relevant_is_point() || self.shape.fill {
                    self.out.push('.');
                }
            } else if self.relevant.is_some_and(|last| self.at > last) && item != Item::Zero {
            } else if self.before_point() {
                if !self.shape.fill {
                    self.out.push(' ');
                } else if self.relevant_is_point() {
                    self.out.push('0');
                }
            } else if self.at < self.number.len() {
                self.out.push(char::from(self.number[self.at]));
                self.begun = true;
            }
            if self.at < self.number.len() {
                self.at += 1;
            }
        }
        let mut end = self.count + usize::from(self.spaces > 0) + usize::from(self.shape.point);
        if self.relevant == Some(self.at) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_written && self.shape.brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.anchor == Some(Anchor::After) {
                self.out.push(self.sign());
            }
        }
        self.current += 1;
    }

    fn item(&mut self, item: Item) {
        let fill = self.shape.fill;
        let blank_or = |written: bool, c: char| match (written, fill) {
            (true, _) => Some(c),
            (false, false) => Some(' '),
            (false, true) => None,
        };
        match item {
            Item::Nine | Item::Zero | Item::Point => self.digit(item),
            Item::Comma => self.out.extend(blank_or(self.begun, ',')),
            // The C locale groups by nothing; PostgreSQL takes a comma.
            Item::Group => self.out.extend(blank_or(self.begun, ',')),
            Item::Currency => self.out.push(' '),
            Item::Minus => self.out.extend(blank_or(self.negative, '-')),
            Item::Plus => self.out.extend(blank_or(!self.negative, '+')),
            Item::SignBoth => self.out.push(self.sign()),
            Item::Ordinal { upper } if self.byte(0) != b'#' && !self.negative && !self.shape.point => {
                let suffix = ordinal(std::str::from_utf8(&self.number).unwrap_or(""));
                match upper {
                    true => self.out.push_str(&suffix.to_uppercase()),
                    false => self.out.push_str(suffix),
                }
            }
            Item::Text(c) => self.out.push(c),
            _ => {}
        }
    }
}

fn write(items: &[Item], mut shape: Shape, number: String, spaces: usize, negative: bool) -> String {
    let number = number.into_bytes();
    let sign_written = match (shape.plus, shape.minus) {
        (true, false) => false,
        (_, true) => true,
        (false, false) => {
            if !negative && shape.brackets && shape.fill {
                shape.brackets = false;
            }
            !negative && shape.fill && shape.sign.is_none()
        }
    };
    let mut anchor = shape.sign;
    if anchor == Some(Anchor::Before) && shape.before == shape.before_sign && !shape.plus && !shape.minus {
        anchor = Some(Anchor::After);
    }
    let mut count = (shape.before + shape.after).saturating_sub(1);
    let mut relevant = None;
    if shape.fill && shape.point {
        // Trailing zeros after the point don't count, but those the picture asks for.
        relevant = number.iter().position(|byte| *byte == b'.').map(|point| {
            let last = number.iter().rposition(|byte| *byte != b'0').unwrap_or(point);
            last.max(point)
        });
        if let Some(last) = relevant
            && shape.zero_end > spaces
        {
            relevant = Some(last.max((number.len() - 1).min(shape.zero_end - spaces)));
        }
    }
    if !sign_written && spaces == 0 {
        count += 1;
    }
    let mut writer = Writer {
        shape: &shape,
        out: String::new(),
        number,
        at: 0,
        spaces,
        negative,
        sign_written,
        begun: false,
        current: 0,
        count,
        relevant,
        anchor,
    };
    items.iter().for_each(|item| writer.item(*item));
    writer.out
}

fn roman(number: Option<i64>) -> String {
    const LETTERS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let Some(mut left) = number.filter(|number| (1..4000).contains(number)) else { return "#".repeat(15) };
    let mut out = String::new();
    for (value, letters) in LETTERS {
        while left >= value {
            out.push_str(letters);
            left -= value;
        }
    }
    out
}

/// 1.23e+04 with as many digits after the point; None: no number.
fn scientific(value: &Numeric, digits: usize) -> Option<String> {
    let mut text = Vec::new();
    value.abs().write_text(&mut text);
    let text = String::from_utf8(text).ok()?;
    if !value.is_finite() {
        return None;
    }
    let sign = if value.signum() < 0 { "-" } else { " " };
    // All digits, and the power of ten of the first that isn't zero.
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let all: String = format!("{whole}{fraction}");
    let first = all.bytes().position(|byte| byte != b'0');
    let mut exponent = first.map_or(0, |first| whole.len() as i64 - 1 - first as i64);
    let mut significant: Vec<u8> = match first {
        Some(first) => all.as_bytes()[first..].to_vec(),
        None => vec![b'0'],
    };
    // Half away from zero, as numeric rounds.
    let up = significant.get(digits + 1).is_some_and(|byte| *byte >= b'5');
    significant.resize(digits + 1, b'0');
    if up {
        let mut at = significant.len();
        loop {
            if at == 0 {
                significant.insert(0, b'1');
                significant.pop();
                exponent += 1;
                break;
            }
            at -= 1;
            match significant[at] {
                b'9' => significant[at] = b'0',
                _ => {
                    significant[at] += 1;
                    break;
                }
            }
        }
    }
    let digits_text = String::from_utf8(significant).ok()?;
    let (head, tail) = digits_text.split_at(1);
    let point = if tail.is_empty() { "" } else { "." };
    let power_sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{sign}{head}{point}{tail}e{power_sign}{:02}", exponent.abs()))
}

/// `digits_max`: how many digits mean something, for floats.
fn to_char(value: &Numeric, picture: &str, digits_max: Option<usize>) -> Result<String> {
    let (items, mut shape) = parse(picture)?;
    if shape.exponent {
        return Ok(scientific(value, shape.after).unwrap_or_else(|| {
            let mut text = "#".repeat(shape.before + shape.after + 6);
            text.replace_range(0..1, " ");
            text.replace_range(shape.before + 1..shape.before + 2, ".");
            text
        }));
    }
    if shape.roman {
        let number = value.round(0)?.to_i64();
        let number = roman(number);
        let mut out = String::new();
        for item in items {
            match item {
                Item::Roman { lower } => {
                    let number = if lower { number.to_lowercase() } else { number.clone() };
                    match shape.fill {
                        true => out.push_str(&number),
                        false => out.push_str(&format!("{number:>15}")),
                    }
                }
                Item::Text(c) => out.push(c),
                _ => {}
            }
        }
        return Ok(out);
    }
    let mut scaled = value.clone();
    if shape.has_shift {
        let power = Numeric::parse(&format!("1e{}", shape.shift))?;
        scaled = scaled.mul(&power)?;
        shape.before += shape.shift;
    }
    if let Some(max) = digits_max
        && scaled.is_finite()
    {
        let mut text = Vec::new();
        scaled.abs().round(0)?.write_text(&mut text);
        shape.after = if text.len() >= max { 0 } else { shape.after.min(max - text.len()) };
    }
    let mut text = Vec::new();
    scaled.round(shape.after as i32)?.write_text(&mut text);
    let text = String::from_utf8(text).map_err(|_| Error::internal("a number that is not ASCII"))?;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.as_str()),
    };
    let length = digits.find('.').unwrap_or(digits.len());
    // What V adds to the digits is written by its 9s.
    let shifted: Vec<Item> = items.iter().copied().filter(|item| *item != Item::Shift).collect();
    Ok(match length > shape.before {
        true => {
            let mut overflow = "#".repeat(shape.before + shape.after + 1);
            overflow.replace_range(shape.before..shape.before + 1, ".");
            write(&shifted, shape, overflow, 0, negative)
        }
        false => {
            let spaces = shape.before - length;
            write(&shifted, shape, digits.to_owned(), spaces, negative)
        }
    })
}

fn of_float(value: f64, significant: usize) -> Numeric {
    Numeric::from_f64(value, significant)
}

// ---- to_number ----

/// Reads a number along a picture.
struct Reader<'a> {
    shape: &'a Shape,
    text: &'a str,
    at: usize,
    /// The sign once it was seen.
    sign: Option<char>,
    digits: String,
    before: usize,
    after: usize,
    point: bool,
    begun: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }
    fn skip(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }
    /// Passes over characters that can't belong to the number.
    fn skip_others(&mut self, count: usize) {
        for _ in 0..count {
            match self.peek() {
                Some('0'..='9' | '.' | ',' | '+' | '-') | None => break,
                Some(_) => self.skip(),
            }
        }
    }

    fn digit(&mut self, item: Item) {
        if self.peek() == Some(' ') {
            self.skip();
        }
        if self.peek().is_none() {
            return;
        }
        let none_read = self.before + self.after == 0;
        if self.sign.is_none() && matches!(item, Item::Nine | Item::Zero) && none_read {
            match self.peek() {
                Some('-') => {
                    self.sign = Some('-');
                    self.skip();
                }
                Some('+') => {
                    self.sign = Some('+');
                    self.skip();
                }
                Some('<') if self.shape.brackets => {
                    self.sign = Some('-');
                    self.skip();
                }
                _ => {}
            }
        }
        let mut read = false;
        match self.peek() {
            Some(c @ '0'..='9') => {
                if self.point && self.after == self.shape.after {
                    return;
                }
                self.digits.push(c);
                match self.point {
                    true => self.after += 1,
                    false => self.before += 1,
                }
                self.skip();
                read = true;
            }
            Some('.') if self.shape.point && !self.point => {
                self.digits.push('.');
                self.point = true;
                self.skip();
                read = true;
            }
            _ => {}
        }
        self.begun |= read;
        // A sign after the last digit.
        if self.sign.is_none() && self.before + self.after > 0 {
            match self.peek() {
                Some(c @ ('-' | '+')) if self.shape.sign.is_some() || !read => {
                    self.sign = Some(c);
                    self.skip();
                }
                _ => {}
            }
        }
    }
}

fn to_number(text: &str, picture: &str) -> Result<Option<Numeric>> {
    if picture.is_empty() {
        return Ok(None);
    }
    let (items, shape) = parse(picture)?;
    if shape.exponent {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "\"EEEE\" not supported for input"));
    }
    if shape.roman {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "\"RN\" not supported for input"));
    }
    let mut r = Reader {
        shape: &shape,
        text,
        at: 0,
        sign: None,
        digits: String::new(),
        before: 0,
        after: 0,
        point: false,
        begun: false,
    };
    for item in items {
        if r.peek().is_none() {
            break;
        }
        match item {
            Item::Nine | Item::Zero | Item::Point => r.digit(item),
            Item::Comma | Item::Group if r.peek() == Some(',') && (r.begun || !shape.fill) => r.skip(),
            Item::Currency => r.skip_others(1),
            Item::Ordinal { .. } => r.skip_others(2),
            Item::Minus | Item::Plus | Item::SignBoth => match (item, r.peek()) {
                (Item::Minus | Item::SignBoth, Some('-')) => {
                    r.sign = Some('-');
                    r.skip();
                }
                (Item::Plus | Item::SignBoth, Some('+')) => {
                    r.sign = Some('+');
                    r.skip();
                }
                _ => r.skip_others(1),
            },
            Item::Text(_) => r.skip(),
            _ => {}
        }
    }
    let digits = r.digits.trim_end_matches('.');
    let sign = if r.sign == Some('-') { "-" } else { "" };
    let number = Numeric::parse(&format!("{sign}{digits}")).map_err(|_| {
        let message = format!(
            "invalid input syntax for type numeric: \"{}{digits}\"",
            if sign.is_empty() { " " } else { sign }
        );
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
    })?;
    if shape.has_shift {
        let power = Numeric::parse(&format!("1e-{}", shape.shift))?;
        return number.mul(&power).map(Some);
    }
    Ok(Some(number))
}

fn some(value: Numeric, picture: &str, digits_max: Option<usize>) -> Result<Option<String>> {
    match picture.is_empty() {
        true => Ok(Some(String::new())),
        false => to_char(&value, picture, digits_max).map(Some),
    }
}

pub fn register(r: &mut Registry) {
    scalar!(r, "numeric_to_char", |value: &Numeric, picture: &str| some(value.clone(), picture, None));
    scalar!(r, "int4_to_char", |value: i32, picture: &str| some(
        Numeric::from_i64(value.into()),
        picture,
        None
    ));
    scalar!(r, "int8_to_char", |value: i64, picture: &str| some(Numeric::from_i64(value), picture, None));
    scalar!(r, "float4_to_char", |value: f32, picture: &str| some(
        of_float(value.into(), 6),
        picture,
        Some(6)
    ));
    scalar!(r, "float8_to_char", |value: f64, picture: &str| some(of_float(value, 15), picture, Some(15)));
    scalar!(r, "numeric_to_number", |text: &str, picture: &str| to_number(text, picture));
}
