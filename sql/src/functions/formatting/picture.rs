//! Datetime pictures: `"YYYY-MM-DD HH24:MI:SS"` as a list of nodes.

use crate::error::{Error, Result, SqlState};

/// What a keyword stands for. How it is spelled says the case of the result, and for input how many digits it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// `A.D.` and `B.C.`
    EraDotted,
    Era,
    /// `A.M.` and `P.M.`
    MeridiemDotted,
    Meridiem,
    Century,
    Day,
    DayShort,
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    /// FF1 to FF6
    Fraction(usize),
    Exact,
    Hour24,
    Hour12,
    IsoDayOfYear,
    IsoDayOfWeek,
    IsoWeek,
    /// Digits of the ISO year: 4 to 1
    IsoYear(usize),
    Julian,
    Minute,
    Month,
    MonthShort,
    MonthNumber,
    Milliseconds,
    Offset,
    Quarter,
    RomanMonth,
    SecondsOfDay,
    Second,
    ZoneHours,
    ZoneMinutes,
    Zone,
    Microseconds,
    WeekOfYear,
    WeekOfMonth,
    YearComma,
    /// Digits of the year: 4 to 1
    Year(usize),
}

/// Keywords in the upper case; where one begins another, the longer comes first.
const KEYWORDS: &[(&str, Field)] = &[
    ("A.D.", Field::EraDotted),
    ("A.M.", Field::MeridiemDotted),
    ("AD", Field::Era),
    ("AM", Field::Meridiem),
    ("B.C.", Field::EraDotted),
    ("BC", Field::Era),
    ("CC", Field::Century),
    ("DAY", Field::Day),
    ("DDD", Field::DayOfYear),
    ("DD", Field::DayOfMonth),
    ("DY", Field::DayShort),
    ("D", Field::DayOfWeek),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("FX", Field::Exact),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("IDDD", Field::IsoDayOfYear),
    ("ID", Field::IsoDayOfWeek),
    ("IW", Field::IsoWeek),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("I", Field::IsoYear(1)),
    ("J", Field::Julian),
    ("MI", Field::Minute),
    ("MM", Field::MonthNumber),
    ("MONTH", Field::Month),
    ("MON", Field::MonthShort),
    ("MS", Field::Milliseconds),
    ("OF", Field::Offset),
    ("P.M.", Field::MeridiemDotted),
    ("PM", Field::Meridiem),
    ("Q", Field::Quarter),
    ("RM", Field::RomanMonth),
    ("SSSSS", Field::SecondsOfDay),
    ("SSSS", Field::SecondsOfDay),
    ("SS", Field::Second),
    ("TZH", Field::ZoneHours),
    ("TZM", Field::ZoneMinutes),
    ("TZ", Field::Zone),
    ("US", Field::Microseconds),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("Y,YYY", Field::YearComma),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    Upper,
    Capital,
    Lower,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pub field: Field,
    /// As it is written in the picture.
    pub keyword: String,
    pub case: Case,
    /// FM: no padding.
    pub fill: bool,
    /// TM: no padding of names.
    pub localized: bool,
    /// TH (upper) or th.
    pub ordinal: Option<bool>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Pattern(Pattern),
    Space(char),
    Separator(char),
    Text(char),
}

impl Pattern {
    /// A field whose value is digits.
    fn is_digits(&self) -> bool {
        !matches!(
            self.field,
            Field::EraDotted
                | Field::Era
                | Field::MeridiemDotted
                | Field::Meridiem
                | Field::Day
                | Field::DayShort
                | Field::Exact
                | Field::Month
                | Field::MonthShort
                | Field::RomanMonth
                | Field::Zone
                | Field::ZoneHours
                | Field::Offset
        )
    }
    pub fn is_iso(&self) -> bool {
        matches!(self.field, Field::IsoDayOfYear | Field::IsoDayOfWeek | Field::IsoWeek | Field::IsoYear(_))
    }
    /// Of the Gregorian calendar's weeks and years, which ISO's don't mix with.
    pub fn is_gregorian(&self) -> bool {
        matches!(
            self.field,
            Field::Century
                | Field::Day
                | Field::DayShort
                | Field::DayOfYear
                | Field::DayOfMonth
                | Field::DayOfWeek
                | Field::Month
                | Field::MonthShort
                | Field::MonthNumber
                | Field::RomanMonth
                | Field::WeekOfYear
                | Field::WeekOfMonth
                | Field::YearComma
                | Field::Year(_)
        )
    }
}

/// Whether what follows node `at` can't be a digit, so that the field's digits end by themselves.
pub fn digits_end(nodes: &[Node], at: usize) -> bool {
    if let Some(Node::Pattern(Pattern { ordinal: Some(_), .. })) = nodes.get(at) {
        return true;
    }
    match nodes.get(at + 1) {
        None => true,
        Some(Node::Pattern(next)) => !next.is_digits(),
        Some(Node::Space(c) | Node::Separator(c) | Node::Text(c)) => !c.is_ascii_digit(),
    }
}

fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// The keyword that a text begins with, and its spelling.
fn keyword(text: &str) -> Option<(Field, &str, Case)> {
    for (word, field) in KEYWORDS {
        let Some(head) = text.get(..word.len()) else { continue };
        if head == *word {
            return Some((*field, head, Case::Upper));
        }
        let named = matches!(field, Field::Day | Field::DayShort | Field::Month | Field::MonthShort);
        if named && head[..1] == word[..1] && head[1..] == word[1..].to_ascii_lowercase() {
            return Some((*field, head, Case::Capital));
        }
        if head == word.to_ascii_lowercase() {
            return Some((*field, head, Case::Lower));
        }
    }
    None
}

pub fn parse(picture: &str) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    let mut rest = picture;
    while let Some(first) = rest.chars().next() {
        let (mut fill, mut localized, mut after) = (false, false, rest);
        loop {
            match after.get(..2) {
                Some("FM" | "fm") => fill = true,
                Some("TM" | "tm") => localized = true,
                _ => break,
            }
            after = &after[2..];
        }
        if let Some((field, word, case)) = keyword(after) {
            let mut pattern =
                Pattern { field, keyword: word.to_owned(), case, fill, localized, ordinal: None };
            rest = &after[word.len()..];
            match rest.get(..2) {
                Some("TH") => pattern.ordinal = Some(true),
                Some("th") => pattern.ordinal = Some(false),
                _ => {}
            }
            if pattern.ordinal.is_some() {
                rest = &rest[2..];
            }
            nodes.push(Node::Pattern(pattern));
            continue;
        }
        if after.len() < rest.len() {
            // A prefix of nothing.
            rest = after;
            continue;
        }
        if first == '"' {
            rest = &rest[1..];
            while let Some(c) = rest.chars().next() {
                rest = &rest[c.len_utf8()..];
                match c {
                    '"' => break,
                    '\\' => {
                        if let Some(escaped) = rest.chars().next() {
                            rest = &rest[escaped.len_utf8()..];
                            nodes.push(Node::Text(escaped));
                        }
                    }
                    c => nodes.push(Node::Text(c)),
                }
            }
            continue;
        }
        rest = &rest[first.len_utf8()..];
        match first {
            // Outside of quotes a backslash is text, but before a quote, which it escapes.
            '\\' if rest.starts_with('"') => {
                rest = &rest[1..];
                nodes.push(Node::Text('"'));
            }
            c if c.is_ascii_whitespace() => nodes.push(Node::Space(c)),
            c if is_separator(c) => nodes.push(Node::Separator(c)),
            c => nodes.push(Node::Text(c)),
        }
    }
    Ok(nodes)
}

pub fn format_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_DATETIME_FORMAT, message)
}
