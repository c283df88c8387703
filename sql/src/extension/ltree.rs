//! ltree: paths of labels (`Top.Science.Astronomy`), with two kinds of patterns: lquery, a regular expression over labels, and ltxtquery,
//! words combined by `&`, `|` and `!`.
//!
//! Values of all three are kept as their text output and parsed for each operation. An lquery is matched by asking, from its last item to
//! the first, which suffixes of the path the items from there on match: items × labels² steps at most, where PostgreSQL tries each
//! repetition in turn. Deviation: no operator classes for GiST.

use crate::error::{Error, Result, SqlState};
use crate::functions::arguments::{Argument, IntoDatum, scalar};
use crate::functions::{Registry, text};
use crate::types::{ArrayValue, Datum};
use std::cmp::Ordering;

const LABEL_MAX: usize = 255;
const LEVELS_MAX: usize = 65535;
/// Of parentheses and negations within each other: PostgreSQL's limit is the stack.
const DEPTH_MAX: usize = 1000;

fn syntax(message: String) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn unexpected(what: &str, at: usize) -> Error {
    syntax(format!("{what} syntax error at character {}", at + 1))
}

fn end_of_input(what: &str) -> Error {
    syntax(format!("{what} syntax error")).detail("Unexpected end of input.")
}

fn check_length(length: usize, at: usize) -> Result<()> {
    if length <= LABEL_MAX {
        return Ok(());
    }
    let detail = format!("Label length is {length}, must be at most {LABEL_MAX}, at character {}.", at + 1);
    Err(Error::new(SqlState::NAME_TOO_LONG, "label string is too long").detail(detail))
}

fn too_many(what: &str, count: usize) -> Error {
    let message = format!("number of {what} ({count}) exceeds the maximum allowed ({LEVELS_MAX})");
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn is_label(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

// ---- ltree ----

#[derive(Clone, PartialEq)]
pub struct Path(Vec<String>);

impl Path {
    pub fn parse(text: &str) -> Result<Path> {
        let mut labels = vec![String::new()];
        let mut end = 0;
        for (at, c) in text.chars().enumerate() {
            let last = labels.last_mut().expect("it begins with one");
            match c {
                '.' if !last.is_empty() => {
                    check_length(last.chars().count(), at)?;
                    labels.push(String::new());
                }
                c if is_label(c) => last.push(c),
                _ => return Err(unexpected("ltree", at)),
            }
            end = at + 1;
        }
        let last = labels.last().expect("it begins with one");
        if last.is_empty() {
            return if labels.len() == 1 { Ok(Path(Vec::new())) } else { Err(end_of_input("ltree")) };
        }
        check_length(last.chars().count(), end)?;
        match labels.len() > LEVELS_MAX {
            true => Err(too_many("ltree labels", labels.len())),
            false => Ok(Path(labels)),
        }
    }

    fn part(&self, start: i32, end: i32) -> Result<Path> {
        let count = self.0.len() as i32;
        if start < 0 || end < 0 || start >= count || start > end {
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid positions"));
        }
        Ok(Path(self.0[start as usize..end.min(count) as usize].to_vec()))
    }

    /// `length` None: to the end.
    fn subpath(&self, offset: i32, length: Option<i32>) -> Result<Path> {
        let count = self.0.len() as i32;
        let start = if offset < 0 { count.saturating_add(offset) } else { offset };
        let end = match length {
            None => LEVELS_MAX as i32,
            Some(length) if length < 0 => count.saturating_add(length),
            Some(length) => start.saturating_add(length),
        };
        self.part(start, end)
    }

    fn index(&self, part: &Path, start: i32) -> i32 {
        let count = self.0.len() as i32;
        let start = if start < 0 { count.saturating_add(start).max(0) } else { start };
        if self.0.is_empty() || part.0.is_empty() {
            return -1;
        }
        let found = self.0.windows(part.0.len()).enumerate().skip(start as usize);
        found.filter(|(_, window)| *window == part.0).map(|(at, _)| at as i32).next().unwrap_or(-1)
    }

    fn is_ancestor_of(&self, other: &Path) -> bool {
        other.0.starts_with(&self.0)
    }

    fn joined(mut self, other: Path) -> Result<Path> {
        self.0.extend(other.0);
        match self.0.len() > LEVELS_MAX {
            true => Err(too_many("ltree labels", self.0.len())),
            false => Ok(self),
        }
    }

    /// As PostgreSQL's ltree_compare() gives it: the sign, times ten and what is left.
    fn compare(&self, other: &Path) -> i32 {
        let (a, b) = (&self.0, &other.0);
        for (at, (one, two)) in a.iter().zip(b).enumerate() {
            let left = (a.len() - at) as i32 + 1;
            let shorter = one.len().min(two.len());
            match one.as_bytes()[..shorter].cmp(&two.as_bytes()[..shorter]) {
                Ordering::Equal if one.len() == two.len() => {}
                Ordering::Equal => return (one.len() as i32 - two.len() as i32) * 10 * left,
                Ordering::Less => return -10 * left,
                Ordering::Greater => return 10 * left,
            }
        }
        let left = a.len().saturating_sub(b.len()) as i32 + 1;
        (a.len() as i32 - b.len() as i32) * 10 * left
    }
}

/// The longest common ancestor: of one path alone its parent.
fn common_ancestor(paths: &[Path]) -> Option<Path> {
    let (first, others) = paths.split_first()?;
    let mut count = first.0.len().checked_sub(1)?;
    for other in others {
        let most = count.min(other.0.len().checked_sub(1)?);
        count = first.0.iter().zip(&other.0).take(most).take_while(|(a, b)| a == b).count();
    }
    Some(Path(first.0[..count].to_vec()))
}

/// Bytes in the order of paths: what ends a label is before every character of one.
pub fn order_bytes(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'.' { 1 } else { byte }).collect()
}

// ---- Words of patterns ----

/// A word with its modifiers.
#[derive(Default)]
struct Word {
    text: String,
    /// `%`: each of its parts between underscores is one of the label's.
    in_parts: bool,
    /// `@`
    any_case: bool,
    /// `*`: the label may go on.
    prefix: bool,
}

impl Word {
    fn has_modifier(&self) -> bool {
        self.in_parts || self.any_case || self.prefix
    }
    fn modify(&mut self, modifier: char) -> bool {
        match modifier {
            '%' => self.in_parts = true,
            '@' => self.any_case = true,
            '*' => self.prefix = true,
            _ => return false,
        }
        true
    }
    fn write(&self, out: &mut String) {
        out.push_str(&self.text);
        for (given, modifier) in [(self.in_parts, '%'), (self.any_case, '@'), (self.prefix, '*')] {
            if given {
                out.push(modifier);
            }
        }
    }
    fn fits(&self, word: &str, label: &str) -> bool {
        match self.prefix {
            true => label.starts_with(word),
            false => label == word,
        }
    }
    fn matches(&self, label: &str) -> bool {
        let (word, label) = match self.any_case {
            true => (text::lower(&self.text), text::lower(label)),
            false => (self.text.clone(), label.to_owned()),
        };
        match self.in_parts {
            false => self.fits(&word, &label),
            true => {
                let parts = |text: &'_ str| -> Vec<String> {
                    text.split('_').filter(|part| !part.is_empty()).map(str::to_owned).collect()
                };
                let labels = parts(&label);
                parts(&word).iter().all(|part| labels.iter().any(|label| self.fits(part, label)))
            }
        }
    }
}

// ---- lquery ----

struct Item {
    not: bool,
    /// Empty: any label.
    words: Vec<Word>,
    /// How many labels in a row; `counted`: it was said.
    low: usize,
    high: usize,
    counted: bool,
}

pub struct Query(Vec<Item>);

#[derive(Clone, Copy, PartialEq)]
enum State {
    Item,
    Word,
    InWord,
    AfterStar,
    Low,
    AfterLow,
    High,
    AfterHigh,
    AfterCount,
}

impl Query {
    /// PostgreSQL's parse_lquery().
    pub fn parse(text: &str) -> Result<Query> {
        let mut items: Vec<Item> = Vec::new();
        let mut state = State::Item;
        let characters: Vec<char> = text.chars().collect();
        for (at, &c) in characters.iter().enumerate() {
            let unexpected = || unexpected("lquery", at);
            if state == State::Item {
                let any = c == '*';
                let low = usize::from(!any);
                let mut item =
                    Item { not: c == '!', words: Vec::new(), low, high: LEVELS_MAX, counted: false };
                if !any {
                    item.high = 1;
                    item.words.push(Word::default());
                }
                match c {
                    '*' => state = State::AfterStar,
                    '!' => state = State::InWord,
                    c if is_label(c) => {
                        item.words[0].text.push(c);
                        state = State::InWord;
                    }
                    _ => return Err(unexpected()),
                }
                items.push(item);
                continue;
            }
            let item = items.last_mut().expect("the first state makes one");
            match state {
                State::Item => {}
                State::Word => match is_label(c) {
                    true => {
                        item.words.push(Word { text: c.into(), ..Word::default() });
                        state = State::InWord;
                    }
                    false => return Err(unexpected()),
                },
                State::InWord => {
                    let word = item.words.last_mut().ok_or_else(unexpected)?;
                    match c {
                        '|' | '{' | '.' => {
                            finish(word, at)?;
                            state = match c {
                                '|' => State::Word,
                                '{' => State::Low,
                                _ => State::Item,
                            };
                        }
                        '@' | '%' | '*' if !word.text.is_empty() => {
                            word.modify(c);
                        }
                        c if is_label(c) && !word.has_modifier() => word.text.push(c),
                        _ => return Err(unexpected()),
                    }
                }
                State::AfterStar => match c {
                    '{' => state = State::Low,
                    '.' => state = State::Item,
                    _ => return Err(unexpected()),
                },
                State::Low => {
                    item.counted = true;
                    match c {
                        ',' => {
                            item.low = 0;
                            state = State::High;
                        }
                        c if c.is_ascii_digit() => {
                            item.low = number(&characters[at..]);
                            limit("Low", item.low, at)?;
                            state = State::AfterLow;
                        }
                        _ => return Err(unexpected()),
                    }
                }
                State::AfterLow => match c {
                    '}' => {
                        item.high = item.low;
                        state = State::AfterCount;
                    }
                    ',' => state = State::High,
                    c if c.is_ascii_digit() => {}
                    _ => return Err(unexpected()),
                },
                State::High => match c {
                    '}' => {
                        item.high = LEVELS_MAX;
                        state = State::AfterCount;
                    }
                    c if c.is_ascii_digit() => {
                        item.high = number(&characters[at..]);
                        limit("High", item.high, at)?;
                        if item.low > item.high {
                            let detail = format!(
                                "Low limit ({}) is greater than high limit ({}), at character {}.",
                                item.low,
                                item.high,
                                at + 1
                            );
                            return Err(syntax("lquery syntax error".into()).detail(detail));
                        }
                        state = State::AfterHigh;
                    }
                    _ => return Err(unexpected()),
                },
                State::AfterHigh => match c {
                    '}' => state = State::AfterCount,
                    c if c.is_ascii_digit() => {}
                    _ => return Err(unexpected()),
                },
                State::AfterCount => match c {
                    '.' => state = State::Item,
                    _ => return Err(unexpected()),
                },
            }
        }
        match (state, items.last().and_then(|item| item.words.last())) {
            (State::InWord, Some(word)) => finish(word, characters.len())?,
            (State::AfterStar | State::AfterCount, _) => {}
            _ => return Err(end_of_input("lquery")),
        }
        match items.len() > LEVELS_MAX {
            true => Err(too_many("lquery items", items.len())),
            false => Ok(Query(items)),
        }
    }

    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                out.push('.');
            }
            if item.not {
                out.push('!');
            }
            for (index, word) in item.words.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                word.write(&mut out);
            }
            if item.words.is_empty() {
                out.push('*');
            }
            if !item.counted {
                continue;
            }
            match (item.low, item.high) {
                (low, high) if low == high => out.push_str(&format!("{{{low}}}")),
                (0, LEVELS_MAX) if item.words.is_empty() => {}
                (0, LEVELS_MAX) => out.push_str("{,}"),
                (0, high) => out.push_str(&format!("{{,{high}}}")),
                (low, LEVELS_MAX) => out.push_str(&format!("{{{low},}}")),
                (low, high) => out.push_str(&format!("{{{low},{high}}}")),
            }
        }
        out
    }

    fn matches(&self, path: &Path) -> bool {
        let count = path.0.len();
        // Whether the items after the one looked at match the labels from each place on.
        let mut rest = vec![false; count + 1];
        rest[count] = true;
        for item in self.0.iter().rev() {
            let fits: Vec<bool> = path.0.iter().map(|label| item.fits(label)).collect();
            let mut here = vec![false; count + 1];
            for (start, matched) in here.iter_mut().enumerate() {
                let run = fits[start..].iter().take(item.high).take_while(|fits| **fits).count();
                *matched = (item.low..=run).any(|taken| rest[start + taken]);
            }
            rest = here;
        }
        rest[0]
    }
}

impl Item {
    fn fits(&self, label: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| word.matches(label)) != self.not
    }
}

fn finish(word: &Word, at: usize) -> Result<()> {
    match word.text.is_empty() {
        true => Err(unexpected("lquery", at).detail("Empty labels are not allowed.")),
        false => check_length(word.text.chars().count(), at),
    }
}

fn number(from: &[char]) -> usize {
    let digits = from.iter().map_while(|c| c.to_digit(10));
    digits.fold(0usize, |number, digit| number.saturating_mul(10).saturating_add(digit as usize))
}

fn limit(which: &str, given: usize, at: usize) -> Result<()> {
    if given <= LEVELS_MAX {
        return Ok(());
    }
    let detail = format!(
        "{which} limit ({given}) exceeds the maximum allowed ({LEVELS_MAX}), at character {}.",
        at + 1
    );
    Err(syntax("lquery syntax error".into()).detail(detail))
}

// ---- ltxtquery ----

enum Node {
    Word(Word),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

pub struct TextQuery(Node);

struct TextReader<'a> {
    rest: &'a str,
    depth: usize,
}

impl TextReader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }
    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        found
    }
    /// A chain is a list, so that only parentheses and `!` nest; the tree leans to the left.
    fn any(&mut self) -> Result<Node> {
        let mut left = self.all()?;
        while self.eat('|') {
            left = Node::Or(Box::new(left), Box::new(self.all()?));
            self.deeper()?;
        }
        Ok(left)
    }
    fn all(&mut self) -> Result<Node> {
        let mut left = self.operand()?;
        while self.eat('&') {
            left = Node::And(Box::new(left), Box::new(self.operand()?));
            self.deeper()?;
        }
        Ok(left)
    }
    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        match self.depth > DEPTH_MAX {
            true => Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "ltxtquery is too complex")),
            false => Ok(()),
        }
    }
    fn operand(&mut self) -> Result<Node> {
        self.deeper()?;
        if self.eat('!') {
            return Ok(Node::Not(Box::new(self.operand()?)));
        }
        if self.eat('(') {
            let inner = self.any()?;
            return if self.eat(')') { Ok(inner) } else { Err(syntax("syntax error".into())) };
        }
        let length = self.rest.find(|c| !is_label(c)).unwrap_or(self.rest.len());
        if length == 0 {
            return Err(syntax("operand syntax error".into()));
        }
        let (word, rest) = self.rest.split_at(length);
        let mut word = Word { text: word.to_owned(), ..Word::default() };
        self.rest = rest;
        while let Some(c) = self.rest.chars().next() {
            if !word.modify(c) {
                if is_label(c) {
                    return Err(syntax("modifiers syntax error".into()));
                }
                break;
            }
            self.rest = &self.rest[1..];
        }
        Ok(Node::Word(word))
    }
}

impl TextQuery {
    pub fn parse(text: &str) -> Result<TextQuery> {
        let mut reader = TextReader { rest: text, depth: 0 };
        let node = reader.any()?;
        match reader.peek() {
            None => Ok(TextQuery(node)),
            Some(_) => Err(syntax("syntax error".into())),
        }
    }
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.0.write(true, &mut out);
        out
    }
}

impl Node {
    fn write(&self, first: bool, out: &mut String) {
        match self {
            Node::Word(word) => word.write(out),
            Node::Not(inner) => {
                let group = !matches!(**inner, Node::Word(_));
                out.push_str(if group { "!( " } else { "!" });
                inner.write(group, out);
                if group {
                    out.push_str(" )");
                }
            }
            Node::And(left, right) => {
                left.write(false, out);
                out.push_str(" & ");
                right.write(false, out);
            }
            Node::Or(left, right) => {
                if !first {
                    out.push_str("( ");
                }
                left.write(false, out);
                out.push_str(" | ");
                right.write(false, out);
                if !first {
                    out.push_str(" )");
                }
            }
        }
    }
    fn matches(&self, path: &Path) -> bool {
        match self {
            Node::Word(word) => path.0.iter().any(|label| word.matches(label)),
            Node::Not(inner) => !inner.matches(path),
            Node::And(left, right) => left.matches(path) && right.matches(path),
            Node::Or(left, right) => left.matches(path) || right.matches(path),
        }
    }
}

// ---- Functions ----

impl Argument<'_> for Path {
    fn take(datum: &Datum) -> Result<Path> {
        Path::parse(<&str>::take(datum)?)
    }
}

impl IntoDatum for Path {
    fn into_datum(self) -> Result<Datum> {
        Ok(Datum::text(self.0.join(".")))
    }
}

impl Argument<'_> for Query {
    fn take(datum: &Datum) -> Result<Query> {
        Query::parse(<&str>::take(datum)?)
    }
}

impl Argument<'_> for TextQuery {
    fn take(datum: &Datum) -> Result<TextQuery> {
        TextQuery::parse(<&str>::take(datum)?)
    }
}

/// The elements of an array of paths or queries.
fn each<'a, T: Argument<'a>>(array: &'a ArrayValue) -> Result<Vec<T>> {
    if array.dimensions.len() > 1 {
        return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "array must be one-dimensional"));
    }
    if array.elements.iter().any(Datum::is_null) {
        return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "array must not contain nulls"));
    }
    array.elements.iter().map(T::take).collect()
}

fn first(array: &ArrayValue, fits: impl Fn(&Path) -> bool) -> Result<Option<Path>> {
    Ok(each::<Path>(array)?.into_iter().find(fits))
}

fn is_any(array: &ArrayValue, fits: impl Fn(&Path) -> bool) -> Result<bool> {
    first(array, fits).map(|found| found.is_some())
}

fn matches_any(path: &Path, queries: &ArrayValue) -> Result<bool> {
    Ok(each::<Query>(queries)?.iter().any(|query| query.matches(path)))
}

fn any_matches_any(paths: &ArrayValue, queries: &ArrayValue) -> Result<bool> {
    let queries = each::<Query>(queries)?;
    is_any(paths, |path| queries.iter().any(|query| query.matches(path)))
}

pub fn register(r: &mut Registry) {
    scalar!(r, "ltree_cmp", |a: Path, b: Path| a.compare(&b));
    scalar!(r, "ltree_lt", |a: Path, b: Path| a.compare(&b) < 0);
    scalar!(r, "ltree_le", |a: Path, b: Path| a.compare(&b) <= 0);
    scalar!(r, "ltree_eq", |a: &str, b: &str| a == b);
    scalar!(r, "ltree_ge", |a: Path, b: Path| a.compare(&b) >= 0);
    scalar!(r, "ltree_gt", |a: Path, b: Path| a.compare(&b) > 0);
    scalar!(r, "ltree_ne", |a: &str, b: &str| a != b);
    scalar!(r, "subltree", |path: Path, start: i32, end: i32| path.part(start, end));
    scalar!(r, "ltree:subpath/3", |path: Path, offset: i32, length: i32| path.subpath(offset, Some(length)));
    scalar!(r, "ltree:subpath/2", |path: Path, offset: i32| path.subpath(offset, None));
    scalar!(r, "ltree:index/2", |path: Path, part: Path| path.index(&part, 0));
    scalar!(r, "ltree:index/3", |path: Path, part: Path, start: i32| path.index(&part, start));
    scalar!(r, "nlevel", |path: Path| path.0.len() as i32);
    scalar!(r, "ltree2text", |path: &str| path);
    scalar!(r, "text2ltree", |text: &str| Path::parse(text));
    scalar!(r, "_lca", |paths: &ArrayValue| Ok::<_, Error>(common_ancestor(&each::<Path>(paths)?)));
    r.scalar("ltree:lca", |arguments, _| {
        let paths: Vec<Path> = arguments.iter().map(Path::take).collect::<Result<_>>()?;
        common_ancestor(&paths).into_datum()
    });
    scalar!(r, "ltree_isparent", |a: Path, b: Path| a.is_ancestor_of(&b));
    scalar!(r, "ltree_risparent", |a: Path, b: Path| b.is_ancestor_of(&a));
    scalar!(r, "ltree_addltree", |a: Path, b: Path| a.joined(b));
    scalar!(r, "ltree_addtext", |a: Path, b: &str| a.joined(Path::parse(b)?));
    scalar!(r, "ltree_textadd", |a: &str, b: Path| Path::parse(a)?.joined(b));
    scalar!(r, "ltq_regex", |path: Path, query: Query| query.matches(&path));
    scalar!(r, "ltq_rregex", |query: Query, path: Path| query.matches(&path));
    scalar!(r, "lt_q_regex", |path: Path, queries: &ArrayValue| matches_any(&path, queries));
    scalar!(r, "lt_q_rregex", |queries: &ArrayValue, path: Path| matches_any(&path, queries));
    scalar!(r, "ltxtq_exec", |path: Path, query: TextQuery| query.0.matches(&path));
    scalar!(r, "ltxtq_rexec", |query: TextQuery, path: Path| query.0.matches(&path));
    scalar!(r, "_ltree_isparent", |a: &ArrayValue, b: Path| is_any(a, |a| a.is_ancestor_of(&b)));
    scalar!(r, "_ltree_r_isparent", |b: Path, a: &ArrayValue| is_any(a, |a| a.is_ancestor_of(&b)));
    scalar!(r, "_ltree_risparent", |a: &ArrayValue, b: Path| is_any(a, |a| b.is_ancestor_of(a)));
    scalar!(r, "_ltree_r_risparent", |b: Path, a: &ArrayValue| is_any(a, |a| b.is_ancestor_of(a)));
    scalar!(r, "_ltq_regex", |a: &ArrayValue, query: Query| is_any(a, |path| query.matches(path)));
    scalar!(r, "_ltq_rregex", |query: Query, a: &ArrayValue| is_any(a, |path| query.matches(path)));
    scalar!(r, "_lt_q_regex", |a: &ArrayValue, queries: &ArrayValue| any_matches_any(a, queries));
    scalar!(r, "_lt_q_rregex", |queries: &ArrayValue, a: &ArrayValue| any_matches_any(a, queries));
    scalar!(r, "_ltxtq_exec", |a: &ArrayValue, query: TextQuery| is_any(a, |path| query.0.matches(path)));
    scalar!(r, "_ltxtq_rexec", |query: TextQuery, a: &ArrayValue| is_any(a, |path| query.0.matches(path)));
    scalar!(r, "_ltree_extract_isparent", |a: &ArrayValue, b: Path| first(a, |a| a.is_ancestor_of(&b)));
    scalar!(r, "_ltree_extract_risparent", |a: &ArrayValue, b: Path| first(a, |a| b.is_ancestor_of(a)));
    scalar!(r, "_ltq_extract_regex", |a: &ArrayValue, query: Query| first(a, |path| query.matches(path)));
    scalar!(r, "_ltxtq_extract_exec", |a: &ArrayValue, query: TextQuery| first(a, |path| query
        .0
        .matches(path)));
}
