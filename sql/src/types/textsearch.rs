//! tsvector and tsquery: their text, their bytes on the wire, and the bytes they are held as.
//!
//! A held value's bytes order as PostgreSQL orders the type (by size first), so that sorts and B-trees need not know it.
//! Queries are kept in prefix order, the right operand before the left as in PostgreSQL; read backwards that is postfix order, so
//! that nothing here recurses.

use crate::error::{Error, Result, SqlState};
use std::collections::BTreeMap;

/// Bytes of a lexeme, exclusive.
const WORD_END: usize = (1 << 11) - 1;
/// Bytes of lexemes and positions of a tsvector, and of words of a tsquery.
const TEXT_MAX: usize = (1 << 20) - 1;
/// The last position that is told from others.
pub const POSITION_MAX: u16 = (1 << 14) - 1;
/// Positions of a lexeme.
const POSITIONS_MAX: usize = 256;
/// What must be written in parentheses in each other, at most.
const NESTED_MAX: u32 = 5000;
/// Operators that may wait for their right operand on one level.
const WAITING_MAX: usize = 32;

fn syntax(message: &str, text: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, format!("{message}: \"{text}\""))
}

fn too_large(message: impl Into<String>) -> Error {
    Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
}

fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// A place in a document, from 1, and the weight of the word there: 0 for D to 3 for A.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    pub place: u16,
    pub weight: u8,
}

/// The number of a weight's letter, of either case.
pub fn weight_of(letter: &str) -> Option<u8> {
    match letter {
        "A" | "a" => Some(3),
        "B" | "b" => Some(2),
        "C" | "c" => Some(1),
        "D" | "d" => Some(0),
        _ => None,
    }
}

pub fn weight_letter(weight: u8) -> &'static str {
    ["D", "C", "B", "A"][usize::from(weight & 3)]
}

/// Lexemes in the order of their bytes, each with its positions, ascending.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Vector {
    pub lexemes: BTreeMap<String, Vec<Position>>,
}

impl Vector {
    /// Positions for a lexeme, in addition to those it has; [`Vector::finished`] puts them in order.
    pub fn add(&mut self, word: &str, positions: &[Position]) {
        match self.lexemes.get_mut(word) {
            Some(there) => there.extend_from_slice(positions),
            None => drop(self.lexemes.insert(word.to_owned(), positions.to_vec())),
        }
    }

    /// With positions in order, one for each place, of those of one place the one with the highest weight.
    pub fn finished(mut self) -> Result<Vector> {
        for positions in self.lexemes.values_mut() {
            positions.sort_by_key(|position| (position.place, std::cmp::Reverse(position.weight)));
            positions.dedup_by_key(|position| position.place);
            positions.truncate(POSITIONS_MAX);
        }
        self.within_limits()
    }

    pub fn within_limits(self) -> Result<Vector> {
        match self.bytes_of_text() {
            bytes if bytes > TEXT_MAX => Err(too_large(format!(
                "string is too long for tsvector ({bytes} bytes, max {TEXT_MAX} bytes)"
            ))),
            _ => Ok(self),
        }
    }

    /// The room of lexemes and positions in PostgreSQL's layout.
    fn bytes_of_text(&self) -> usize {
        self.lexemes.iter().fold(0, |bytes, (word, positions)| match positions.len() {
            0 => bytes + word.len(),
            count => (bytes + word.len()).next_multiple_of(2) + 2 + 2 * count,
        })
    }

    pub fn parse(text: &str) -> Result<Vector> {
        let mut vector = Vector::default();
        let mut rest = Scanner { text, at: 0, query: false };
        let mut total = 0;
        while let Some((word, positions)) = rest.word()? {
            if word.len() >= WORD_END {
                let message = format!("word is too long ({} bytes, max {} bytes)", word.len(), WORD_END - 1);
                return Err(too_large(message));
            }
            if total > TEXT_MAX {
                return Err(too_large(format!(
                    "string is too long for tsvector ({total} bytes, max {TEXT_MAX} bytes)"
                )));
            }
            total += word.len();
            vector.add(&word, &positions);
        }
        vector.finished()
    }

    pub fn write_text(&self, out: &mut Vec<u8>) {
        for (at, (word, positions)) in self.lexemes.iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            write_quoted(out, word);
            for (at, position) in positions.iter().enumerate() {
                out.push(if at == 0 { b':' } else { b',' });
                out.extend_from_slice(position.place.to_string().as_bytes());
                if position.weight > 0 {
                    out.extend_from_slice(weight_letter(position.weight).as_bytes());
                }
            }
        }
    }

    /// As it is held. What orders last comes as its complement: lexemes without positions, fewer positions.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = self.lexemes.len();
        let mut out = Vec::with_capacity(8 + self.bytes_of_text() + 4 * count);
        out.extend((8 + 4 * count as u32 + self.bytes_of_text() as u32).to_be_bytes());
        out.extend((count as u32).to_be_bytes());
        for (word, positions) in &self.lexemes {
            out.push(u8::from(positions.is_empty()));
            out.extend_from_slice(word.as_bytes());
            out.push(0);
            if !positions.is_empty() {
                out.extend((!(positions.len() as u16)).to_be_bytes());
            }
            for position in positions {
                out.extend((!(position.place << 2 | u16::from(position.weight))).to_be_bytes());
            }
        }
        out
    }

    /// What `to_bytes` wrote; of other bytes as much as makes sense.
    pub fn from_bytes(bytes: &[u8]) -> Vector {
        let mut lexemes = BTreeMap::new();
        let mut reader = Reader(bytes.get(8..).unwrap_or_default());
        while let Some(flag) = reader.byte() {
            let Some(word) = reader.word() else { break };
            let count = if flag == 0 { reader.short().map_or(0, |count| !count) } else { 0 };
            let positions = (0..count).map_while(|_| {
                let packed = !reader.short()?;
                Some(Position { place: packed >> 2, weight: (packed & 3) as u8 })
            });
            let positions = positions.collect();
            lexemes.insert(word, positions);
        }
        Vector { lexemes }
    }

    pub fn write_binary(&self, out: &mut Vec<u8>) {
        out.extend((self.lexemes.len() as u32).to_be_bytes());
        for (word, positions) in &self.lexemes {
            out.extend_from_slice(word.as_bytes());
            out.push(0);
            out.extend((positions.len() as u16).to_be_bytes());
            for position in positions {
                out.extend((u16::from(position.weight) << 14 | position.place).to_be_bytes());
            }
        }
    }

    pub fn read_binary(bytes: &[u8]) -> Result<Vector> {
        let mut reader = Reader(bytes);
        let count = reader.long().ok_or_else(short)?;
        if count > i32::MAX as u32 / 4 {
            return Err(Error::internal("invalid size of tsvector"));
        }
        let mut vector = Vector::default();
        for _ in 0..count {
            let word = reader.word_checked()?;
            let positions = reader.short().ok_or_else(short)?;
            if word.len() >= WORD_END {
                return Err(Error::internal("invalid tsvector: lexeme too long"));
            }
            if usize::from(positions) > POSITIONS_MAX {
                return Err(Error::internal("unexpected number of tsvector positions"));
            }
            let mut read = Vec::with_capacity(usize::from(positions));
            for _ in 0..positions {
                let packed = reader.short().ok_or_else(short)?;
                let position = Position { place: packed & POSITION_MAX, weight: (packed >> 14) as u8 };
                if read.last().is_some_and(|last: &Position| last.place >= position.place) {
                    return Err(Error::internal("position information is misordered"));
                }
                read.push(position);
            }
            vector.add(&word, &read);
        }
        reader.end()?;
        vector.finished()
    }
}

fn short() -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }
    fn short(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }
    fn long(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }
    fn word(&mut self) -> Option<String> {
        let end = memchr::memchr(0, self.0)?;
        let word = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Some(word)
    }
    fn word_checked(&mut self) -> Result<String> {
        let end = memchr::memchr(0, self.0).ok_or_else(short)?;
        let word = std::str::from_utf8(&self.0[..end]).map_err(|_| {
            let message = "invalid byte sequence for encoding \"UTF8\"";
            Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
        })?;
        self.0 = &self.0[end + 1..];
        Ok(word.to_owned())
    }
    fn end(&self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format")),
        }
    }
}

fn write_quoted(out: &mut Vec<u8>, word: &str) {
    out.push(b'\'');
    for byte in word.bytes() {
        if matches!(byte, b'\'' | b'\\') {
            out.push(byte);
        }
        out.push(byte);
    }
    out.push(b'\'');
}

/// Reads words of either type. Those of a query end at operators and have no positions.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    query: bool,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn syntax_error(&self) -> Error {
        let what = if self.query { "syntax error in tsquery" } else { "syntax error in tsvector" };
        syntax(what, self.text)
    }

    fn is_operator(&self, c: char) -> bool {
        self.query && matches!(c, '!' | '&' | '|' | '(' | ')')
    }

    fn escaped(&mut self) -> Result<char> {
        self.next().ok_or_else(|| syntax("there is no escaped character", self.text))
    }

    fn word(&mut self) -> Result<Option<(String, Vec<Position>)>> {
        while self.peek().is_some_and(is_space) {
            self.next();
        }
        let mut word = String::new();
        match self.peek() {
            None => return Ok(None),
            Some('\'') => {
                self.next();
                loop {
                    match self.next() {
                        None => return Err(self.syntax_error()),
                        Some('\'') if self.peek() == Some('\'') => word.extend(self.next()),
                        Some('\'') => break,
                        Some('\\') => word.push(self.escaped()?),
                        Some(c) => word.push(c),
                    }
                }
            }
            Some(c) if self.is_operator(c) => return Err(self.syntax_error()),
            // A colon begins a word, but does not go on with it.
            Some(first) => {
                self.next();
                word.push(if first == '\\' { self.escaped()? } else { first });
                while let Some(c) = self.peek() {
                    if is_space(c) || c == ':' || self.is_operator(c) {
                        break;
                    }
                    self.next();
                    word.push(if c == '\\' { self.escaped()? } else { c });
                }
            }
        }
        if word.is_empty() {
            return Err(self.syntax_error());
        }
        let mut positions = Vec::new();
        if !self.query && self.peek() == Some(':') {
            self.next();
            self.positions(&mut positions)?;
        }
        Ok(Some((word, positions)))
    }

    fn positions(&mut self, positions: &mut Vec<Position>) -> Result<()> {
        loop {
            let mut place = 0u32;
            if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                return Err(self.syntax_error());
            }
            while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
                place = place.saturating_mul(10).saturating_add(digit);
                self.next();
            }
            if place == 0 {
                return Err(syntax("wrong position info in tsvector", self.text));
            }
            let place = place.min(u32::from(POSITION_MAX)) as u16;
            let mut weight = 0;
            loop {
                match self.peek() {
                    Some(c @ ('a'..='d' | 'A'..='D' | '*')) => {
                        if weight > 0 {
                            return Err(self.syntax_error());
                        }
                        weight = match c.to_ascii_uppercase() {
                            'A' | '*' => 3,
                            'B' => 2,
                            'C' => 1,
                            _ => 0,
                        };
                    }
                    // Digits behind a weight are passed over.
                    Some(c) if c.is_ascii_digit() => {}
                    _ => break,
                }
                self.next();
            }
            positions.push(Position { place, weight });
            match self.peek() {
                Some(',') => drop(self.next()),
                None => return Ok(()),
                Some(c) if is_space(c) => return Ok(()),
                Some(_) => return Err(self.syntax_error()),
            }
        }
    }
}

/// A word that is looked for: `weights` is a set of bits, 1 for D to 8 for A, 0 for any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    pub word: String,
    pub weights: u8,
    pub prefix: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Operand(Operand),
    Not,
    And,
    Or,
    /// The right operand so many places behind the left one.
    Phrase(u16),
}

impl Item {
    fn priority(&self) -> u8 {
        match self {
            Item::Or => 1,
            Item::And => 2,
            Item::Phrase(_) => 3,
            Item::Not => 4,
            Item::Operand(_) => 5,
        }
    }
    /// PostgreSQL's number of the operator.
    fn number(&self) -> u8 {
        match self {
            Item::Operand(_) => 0,
            Item::Not => 1,
            Item::And => 2,
            Item::Or => 3,
            Item::Phrase(_) => 4,
        }
    }
}

/// In postfix order: left operand, right operand, operator.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Query {
    pub items: Vec<Item>,
}

fn crc_of(word: &str) -> u32 {
    let entry = |index: u32| {
        (0..8).fold(index, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !word.bytes().fold(u32::MAX, |crc, byte| entry((crc >> 24) ^ u32::from(byte)) ^ (crc << 8))
}

impl Query {
    pub fn joined(mut self, right: Query, with: Item) -> Result<Query> {
        match (self.items.is_empty(), right.items.is_empty()) {
            (true, _) => Ok(right),
            (_, true) => Ok(self),
            _ => {
                self.items.extend(right.items);
                self.items.push(with);
                self.checked()
            }
        }
    }

    pub fn negated(mut self) -> Result<Query> {
        if !self.items.is_empty() {
            self.items.push(Item::Not);
        }
        self.checked()
    }

    fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.items.iter().filter_map(|item| match item {
            Item::Operand(operand) => Some(operand),
            _ => None,
        })
    }

    pub fn words(&self) -> std::collections::BTreeSet<&str> {
        self.operands().map(|operand| operand.word.as_str()).collect()
    }

    /// Whether operators and operands fit together, and within the limits.
    fn checked(self) -> Result<Query> {
        let malformed = || Error::internal("malformed tsquery: operand not found");
        // Of each operand: what it is, how deep parentheses are nested in it.
        let mut stack: Vec<(&Item, u32)> = Vec::new();
        for item in &self.items {
            let depth = match item {
                Item::Operand(_) => 0,
                Item::Not => stack.pop().ok_or_else(malformed)?.1 + 1,
                _ => {
                    let (right, left) =
                        (stack.pop().ok_or_else(malformed)?, stack.pop().ok_or_else(malformed)?);
                    let same = left.0.number() == item.number() || left.0.number() == 0;
                    (right.1 + u32::from(right.0.number() > 0)).max(left.1 + u32::from(!same))
                }
            };
            if depth > NESTED_MAX {
                return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
            }
            stack.push((item, depth));
        }
        if stack.len() > 1 {
            return Err(malformed());
        }
        let text: usize = self.operands().map(|operand| operand.word.len() + 1).sum();
        match text > TEXT_MAX {
            true => Err(too_large("tsquery is too large")),
            false => Ok(self),
        }
    }

    pub fn parse(text: &str) -> Result<Query> {
        let failed = || syntax("syntax error in tsquery", text);
        let mut items = Vec::new();
        // Operators that wait for their right operand; one list for each open parenthesis.
        let mut levels: Vec<Vec<Item>> = vec![Vec::new()];
        let mut rest = Scanner { text, at: 0, query: true };
        let mut first = true;
        let mut wants_operand = true;
        loop {
            while rest.peek().is_some_and(is_space) {
                rest.next();
            }
            let operator = match (wants_operand, rest.peek()) {
                (true, None) if first => break,
                (true, None) => return Err(syntax("no operand in tsquery", text)),
                (true, Some('!')) => {
                    rest.next();
                    Item::Not
                }
                (true, Some('(')) => {
                    first = false;
                    rest.next();
                    if levels.len() > NESTED_MAX as usize {
                        let message = "stack depth limit exceeded";
                        return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, message));
                    }
                    levels.push(Vec::new());
                    continue;
                }
                (true, Some(':')) => return Err(failed()),
                (true, Some(_)) => {
                    let Some((word, _)) = rest.word()? else { break };
                    if word.len() >= WORD_END {
                        return Err(too_large(format!("word is too long in tsquery: \"{text}\"")));
                    }
                    let (weights, prefix) = modifiers(&mut rest);
                    items.push(Item::Operand(Operand { word, weights, prefix }));
                    wants_operand = false;
                    continue;
                }
                (false, None) if levels.len() > 1 => return Err(failed()),
                (false, None) => break,
                (false, Some('&')) => {
                    rest.next();
                    Item::And
                }
                (false, Some('|')) => {
                    rest.next();
                    Item::Or
                }
                (false, Some('<')) => Item::Phrase(distance(&mut rest)?.ok_or_else(failed)?),
                (false, Some(')')) if levels.len() > 1 => {
                    rest.next();
                    items.extend(levels.pop().unwrap_or_default().into_iter().rev());
                    continue;
                }
                (false, Some(_)) => return Err(failed()),
            };
            (first, wants_operand) = (false, true);
            let waiting = levels.last_mut().ok_or_else(failed)?;
            let priority = operator.priority();
            // NOT is the only one that groups to the right.
            while let Some(last) = waiting.pop_if(|last| operator != Item::Not && priority <= last.priority())
            {
                items.push(last);
            }
            if waiting.len() == WAITING_MAX {
                return Err(too_large("tsquery stack too small"));
            }
            waiting.push(operator);
        }
        items.extend(levels.pop().unwrap_or_default().into_iter().rev());
        Query { items }.checked()
    }

    pub fn write_text(&self, out: &mut Vec<u8>) {
        struct Part {
            text: Vec<u8>,
            priority: u8,
        }
        let enclosed = |part: Part, needed: bool| match needed {
            true => [b"( ".as_slice(), &part.text, b" )"].concat(),
            false => part.text,
        };
        let mut stack: Vec<Part> = Vec::new();
        for item in &self.items {
            let priority = item.priority();
            let mut text = Vec::new();
            match item {
                Item::Operand(operand) => operand.write_text(&mut text),
                Item::Not => {
                    let Some(operand) = stack.pop() else { return };
                    let needed = operand.priority < priority;
                    text.push(b'!');
                    text.extend(enclosed(operand, needed));
                }
                Item::And | Item::Or | Item::Phrase(_) => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return };
                    let needed = left.priority < priority;
                    text = enclosed(left, needed);
                    match item {
                        Item::And => text.extend(b" & "),
                        Item::Or => text.extend(b" | "),
                        Item::Phrase(distance) if *distance != 1 => {
                            text.extend(format!(" <{distance}> ").bytes())
                        }
                        _ => text.extend(b" <-> "),
                    }
                    // Phrases depend on how they are grouped.
                    let phrases = priority == 3 && right.priority == 3;
                    let needed = right.priority < priority || phrases;
                    text.extend(enclosed(right, needed));
                }
            }
            stack.push(Part { text, priority });
        }
        out.extend(stack.pop().map(|part| part.text).unwrap_or_default());
    }

    /// As it is held: what PostgreSQL compares, and behind it what it doesn't, weights and prefixes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text: usize = self.operands().map(|operand| operand.word.len() + 1).sum();
        let mut out = Vec::new();
        out.extend((self.items.len() as u32).to_be_bytes());
        out.extend((8 + 12 * self.items.len() as u32 + text as u32).to_be_bytes());
        for item in self.items.iter().rev() {
            match item {
                Item::Operand(operand) => {
                    out.push(1);
                    out.extend((!(crc_of(&operand.word) ^ 1 << 31)).to_be_bytes());
                    out.extend_from_slice(operand.word.as_bytes());
                    out.push(0);
                }
                operator => out.extend([0, !operator.number()]),
            }
        }
        for item in self.items.iter().rev() {
            if let Item::Phrase(distance) = item {
                out.extend((!*distance).to_be_bytes());
            }
        }
        out.extend(self.operands().map(|operand| operand.weights | u8::from(operand.prefix) << 4));
        out
    }

    /// What `to_bytes` wrote; of other bytes as much as makes sense.
    pub fn from_bytes(bytes: &[u8]) -> Query {
        let mut reader = Reader(bytes);
        let (count, _) = (reader.long().unwrap_or(0), reader.long());
        let mut items = Vec::new();
        for _ in 0..count {
            let item = match reader.byte() {
                Some(1) => {
                    reader.long();
                    let Some(word) = reader.word() else { break };
                    Item::Operand(Operand { word, weights: 0, prefix: false })
                }
                Some(_) => match reader.byte().map(|number| !number) {
                    Some(1) => Item::Not,
                    Some(2) => Item::And,
                    Some(3) => Item::Or,
                    _ => Item::Phrase(1),
                },
                None => break,
            };
            items.push(item);
        }
        for item in &mut items {
            if let Item::Phrase(distance) = item {
                *distance = reader.short().map_or(1, |distance| !distance);
            }
        }
        items.reverse();
        for item in &mut items {
            if let Item::Operand(operand) = item {
                let modifiers = reader.byte().unwrap_or(0);
                (operand.weights, operand.prefix) = (modifiers & 15, modifiers & 16 > 0);
            }
        }
        Query { items }
    }

    /// The part of a held query's bytes that comparisons regard.
    pub fn compared(bytes: &[u8]) -> &[u8] {
        let operands = Query::from_bytes(bytes).operands().count();
        &bytes[..bytes.len().saturating_sub(operands)]
    }

    pub fn write_binary(&self, out: &mut Vec<u8>) {
        out.extend((self.items.len() as u32).to_be_bytes());
        for item in self.items.iter().rev() {
            match item {
                Item::Operand(operand) => {
                    out.extend([1, operand.weights, u8::from(operand.prefix)]);
                    out.extend_from_slice(operand.word.as_bytes());
                    out.push(0);
                }
                operator => out.extend([2, operator.number()]),
            }
            if let Item::Phrase(distance) = item {
                out.extend(distance.to_be_bytes());
            }
        }
    }

    pub fn read_binary(bytes: &[u8]) -> Result<Query> {
        let invalid = |what: &str| Error::internal(format!("invalid tsquery: {what}"));
        let mut reader = Reader(bytes);
        let count = reader.long().ok_or_else(short)?;
        if count > i32::MAX as u32 / 12 {
            return Err(Error::internal("invalid size of tsquery"));
        }
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(match reader.byte().ok_or_else(short)? {
                1 => {
                    let weights = reader.byte().ok_or_else(short)?;
                    let prefix = reader.byte().ok_or_else(short)? > 0;
                    let word = reader.word_checked()?;
                    if weights > 15 {
                        return Err(invalid("invalid weight bitmap"));
                    }
                    if word.len() >= WORD_END {
                        return Err(invalid("operand too long"));
                    }
                    Item::Operand(Operand { word, weights, prefix })
                }
                2 => match reader.byte().ok_or_else(short)? {
                    1 => Item::Not,
                    2 => Item::And,
                    3 => Item::Or,
                    4 => Item::Phrase(reader.short().ok_or_else(short)?),
                    number => {
                        return Err(invalid(&format!("unrecognized operator type: {number}")));
                    }
                },
                kind => return Err(Error::internal(format!("unrecognized tsquery node type: {kind}"))),
            });
        }
        reader.end()?;
        items.reverse();
        Query { items }.checked()
    }

    /// What an index could look for: the query without negations. None if that is everything.
    pub fn indexable(&self) -> Option<Query> {
        let mut stack: Vec<Option<Vec<Item>>> = Vec::new();
        for item in &self.items {
            let part = match item {
                Item::Operand(_) => Some(vec![item.clone()]),
                Item::Not => stack.pop().and(None),
                _ => match (stack.pop().flatten(), stack.pop().flatten()) {
                    (Some(right), Some(mut left)) => {
                        left.extend(right);
                        left.push(item.clone());
                        Some(left)
                    }
                    (one, other) if *item != Item::Or => one.or(other),
                    _ => None,
                },
            };
            stack.push(part);
        }
        stack.pop().flatten().map(|items| Query { items })
    }

    pub fn matches(&self, vector: &Vector) -> bool {
        // Which items are within a phrase, where positions count.
        let mut within = vec![false; self.items.len()];
        let mut above = vec![false];
        for (item, within) in self.items.iter().zip(&mut within).rev() {
            *within = above.pop().unwrap_or(false);
            let below = *within || matches!(item, Item::Phrase(_));
            match item {
                Item::Operand(_) => {}
                Item::Not => above.push(below),
                _ => above.extend([below; 2]),
            }
        }
        let mut stack: Vec<Found> = Vec::new();
        for (item, within) in self.items.iter().zip(within) {
            let found = match item {
                Item::Operand(operand) => operand.find(vector, within),
                Item::Not => {
                    let Some(found) = stack.pop() else { return false };
                    found.not()
                }
                _ => {
                    let (Some(right), Some(left)) = (stack.pop(), stack.pop()) else { return false };
                    match item {
                        Item::Or if within => left.or(right),
                        Item::Or => Found::yes_or_no(left.is_yes() || right.is_yes()),
                        Item::And if !within => Found::yes_or_no(left.is_yes() && right.is_yes()),
                        Item::Phrase(distance) => {
                            let found = left.and(right, Some(i32::from(*distance)));
                            if within { found } else { Found::yes_or_no(found.is_yes()) }
                        }
                        _ => left.and(right, None),
                    }
                }
            };
            stack.push(found);
        }
        stack.pop().is_some_and(|found| found.is_yes())
    }
}

impl Operand {
    fn write_text(&self, out: &mut Vec<u8>) {
        write_quoted(out, &self.word);
        if self.weights > 0 || self.prefix {
            out.push(b':');
        }
        if self.prefix {
            out.push(b'*');
        }
        for weight in (0..4).rev().filter(|weight| self.weights & 1 << weight > 0) {
            out.extend_from_slice(weight_letter(weight).as_bytes());
        }
    }

    /// With places if they are wanted.
    fn find(&self, vector: &Vector, places: bool) -> Found {
        use std::ops::Bound;
        let from = (Bound::Included(self.word.as_str()), Bound::Unbounded);
        let words = vector.lexemes.range::<str, _>(from).take_while(|(word, _)| match self.prefix {
            true => word.starts_with(&self.word),
            false => **word == self.word,
        });
        let mut all = Vec::new();
        for (_, positions) in words {
            if positions.is_empty() {
                return if places { Found::Unknown } else { Found::yes_or_no(true) };
            }
            let fits = |position: &&Position| self.weights == 0 || self.weights & 1 << position.weight > 0;
            let mut fitting =
                positions.iter().filter(fits).map(|position| i32::from(position.place)).peekable();
            if !places && fitting.peek().is_some() {
                return Found::yes_or_no(true);
            }
            all.extend(fitting);
        }
        all.sort_unstable();
        all.dedup();
        Found::at(all, 0, false)
    }
}

/// Where a part of a query matches: at the places, or with `negate` at all others. A match ends at its place and is `width` wide.
enum Found {
    No,
    Yes {
        places: Vec<i32>,
        negate: bool,
        width: i32,
    },
    /// A lexeme is there, its positions are not.
    Unknown,
}

impl Found {
    fn yes_or_no(yes: bool) -> Found {
        if yes { Found::Yes { places: Vec::new(), negate: true, width: 0 } } else { Found::No }
    }

    fn at(places: Vec<i32>, width: i32, negate: bool) -> Found {
        match places.is_empty() && !negate {
            true => Found::No,
            false => Found::Yes { places, negate, width },
        }
    }

    fn is_yes(&self) -> bool {
        matches!(self, Found::Yes { .. })
    }

    fn not(self) -> Found {
        match self {
            Found::No => Found::yes_or_no(true),
            Found::Yes { places, negate, width } => Found::at(places, width, !negate),
            Found::Unknown => Found::Unknown,
        }
    }

    /// Both at one place, or the right one at a distance behind the left one.
    fn and(self, right: Found, distance: Option<i32>) -> Found {
        let (a, b) = match (self, right) {
            (Found::No, _) | (_, Found::No) => return Found::No,
            (
                Found::Yes { places: left, negate: not_left, width: left_width },
                Found::Yes { places: right, negate: not_right, width: right_width },
            ) => ((left, not_left, left_width), (right, not_right, right_width)),
            _ => return Found::Unknown,
        };
        let (width, left_offset, right_offset) = match distance {
            Some(distance) => (distance + a.2 + b.2, distance + b.2, 0),
            None => (a.2.max(b.2), a.2.max(b.2) - a.2, a.2.max(b.2) - b.2),
        };
        let merged = |keep| merge((&a.0, left_offset), (&b.0, right_offset), keep);
        match (a.1, b.1) {
            (true, true) => Found::at(merged([true; 3]), width, true),
            (true, false) => Found::at(merged([false, false, true]), width, false),
            (false, true) => Found::at(merged([true, false, false]), width, false),
            (false, false) => Found::at(merged([false, true, false]), width, false),
        }
    }

    fn or(self, right: Found) -> Found {
        let part = |found| match found {
            Found::No => Some((Vec::new(), false, 0)),
            Found::Yes { places, negate, width } => Some((places, negate, width)),
            Found::Unknown => None,
        };
        let (Some(a), Some(b)) = (part(self), part(right)) else { return Found::Unknown };
        let width = a.2.max(b.2);
        let merged = |keep| merge((&a.0, width - a.2), (&b.0, width - b.2), keep);
        match (a.1, b.1) {
            (true, true) => Found::at(merged([false, true, false]), width, true),
            (true, false) => Found::at(merged([true, false, false]), width, true),
            (false, true) => Found::at(merged([false, false, true]), width, true),
            (false, false) => Found::at(merged([true; 3]), width, false),
        }
    }
}

/// Merges two ascending lists, moved by an offset each; keeps what is in the left one only, in both, in the right one only.
fn merge(left: (&[i32], i32), right: (&[i32], i32), keep: [bool; 3]) -> Vec<i32> {
    let mut left_places = left.0.iter().map(|place| place + left.1).peekable();
    let mut right_places = right.0.iter().map(|place| place + right.1).peekable();
    let mut merged = Vec::new();
    loop {
        let (a, b) = (left_places.peek().copied(), right_places.peek().copied());
        let Some(place) = a.into_iter().chain(b).min() else { return merged };
        let (in_left, in_right) = (a == Some(place), b == Some(place));
        if in_left {
            left_places.next();
        }
        if in_right {
            right_places.next();
        }
        let kept = match (in_left, in_right) {
            (true, true) => keep[1],
            (true, false) => keep[0],
            _ => keep[2],
        };
        if kept && place > 0 {
            merged.push(place);
        }
    }
}

/// `:*AB` behind a word.
fn modifiers(rest: &mut Scanner<'_>) -> (u8, bool) {
    let (mut weights, mut prefix) = (0, false);
    if rest.peek() == Some(':') {
        rest.next();
        while let Some(c) = rest.peek() {
            match (c, weight_of(c.encode_utf8(&mut [0; 4]))) {
                (_, Some(weight)) => weights |= 1 << weight,
                ('*', _) => prefix = true,
                _ => break,
            }
            rest.next();
        }
    }
    (weights, prefix)
}

/// `<->` or `<7>`. None for anything else.
fn distance(rest: &mut Scanner<'_>) -> Result<Option<u16>> {
    let Some((between, _)) = rest.text[rest.at + 1..].split_once('>') else { return Ok(None) };
    let distance = match between {
        "-" => 1,
        _ if between.is_empty() || !between.bytes().all(|byte| byte.is_ascii_digit()) => return Ok(None),
        digits => checked_distance(digits.parse().unwrap_or(i64::MAX))?,
    };
    rest.at += between.len() + 2;
    Ok(Some(distance))
}

pub fn checked_distance(distance: i64) -> Result<u16> {
    // One more than there are positions, as in PostgreSQL.
    const END: u16 = POSITION_MAX + 1;
    u16::try_from(distance).ok().filter(|distance| *distance <= END).ok_or_else(|| {
        let message =
            format!("distance in phrase operator must be an integer value between zero and {END} inclusive");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })
}
