//! JSON text to a tree, or only checked, with the errors of PostgreSQL's jsonapi.c.
//!
//! One grammar serves both. Checking for type json looks at escapes' shape but not at
//! what they mean (`\ud800` is fine in json and not in jsonb).

use super::{DEPTH_MAX, Json};
use crate::error::{Error, Result, SqlState};
use crate::types::Numeric;

/// Checks text as json's input function does.
pub fn validate(text: &str) -> Result<()> {
    let mut parser = Parser::new(text, false);
    parser.advance()?;
    parser.value(0)?;
    parser.expect_end()
}

pub(super) fn parse(text: &str) -> Result<Json> {
    let mut parser = Parser::new(text, true);
    parser.advance()?;
    let json = parser.value(0)?;
    parser.expect_end()?;
    Ok(json)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    End,
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Comma,
    Colon,
    String,
    Number,
    True,
    False,
    Null,
}

struct Parser<'a> {
    text: &'a str,
    /// The current token and where it is.
    token: Token,
    start: usize,
    end: usize,
    line: usize,
    line_start: usize,
    /// Build a tree (jsonb): unescape strings and read numbers.
    build: bool,
    /// The current string token, unescaped.
    string: String,
    /// What the numbers read so far take when they are written.
    written: usize,
}

/// JENTRY_OFFLENMASK: what a jsonb container may hold.
const BYTES_MAX: usize = 0x0fff_ffff;

impl<'a> Parser<'a> {
    fn new(text: &'a str, build: bool) -> Parser<'a> {
        Parser {
            text,
            token: Token::End,
            start: 0,
            end: 0,
            line: 1,
            line_start: 0,
            build,
            string: String::new(),
            written: 0,
        }
    }

    // ---- errors ----

    fn error(&self, detail: String) -> Error {
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .detail(detail)
            .context(self.context())
    }

    /// The line up to the offending token, at most 50 bytes of it.
    fn context(&self) -> String {
        let bytes = self.text.as_bytes();
        let mut start = self.line_start.min(self.end);
        while self.end - start >= 50 {
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
        if start - self.line_start.min(start) <= 3 {
            start = self.line_start.min(self.end);
        }
        let prefix = if start > self.line_start { "..." } else { "" };
        let more = self.token != Token::End || self.start < self.end;
        let suffix = match bytes.get(self.end) {
            Some(b'\n' | b'\r') | None => "",
            Some(_) if more => "...",
            Some(_) => "",
        };
        format!("JSON data, line {}: {prefix}{}{suffix}", self.line, &self.text[start..self.end])
    }

    fn invalid_token(&self) -> Error {
        self.error(format!("Token \"{}\" is invalid.", &self.text[self.start..self.end]))
    }

    fn expected(&self, what: &str) -> Error {
        match self.token {
            Token::End => self.error("The input string ended unexpectedly.".into()),
            _ => self.error(format!("Expected {what}, but found \"{}\".", &self.text[self.start..self.end])),
        }
    }

    // ---- tokens ----

    fn advance(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        let mut at = self.end;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
            if bytes[at] == b'\n' {
                self.line += 1;
                self.line_start = at + 1;
            }
            at += 1;
        }
        self.start = at;
        self.end = at + 1;
        self.token = match bytes.get(at) {
            None => {
                self.end = at;
                Token::End
            }
            Some(b'{') => Token::ObjectStart,
            Some(b'}') => Token::ObjectEnd,
            Some(b'[') => Token::ArrayStart,
            Some(b']') => Token::ArrayEnd,
            Some(b',') => Token::Comma,
            Some(b':') => Token::Colon,
            Some(b'"') => {
                // What is wrong within a string is reported as this token.
                self.token = Token::String;
                self.lex_string()?;
                Token::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.token = Token::Number;
                self.lex_number()?;
                Token::Number
            }
            Some(_) => {
                let word = bytes[at..].iter().position(|byte| !is_word(*byte)).unwrap_or(bytes.len() - at);
                self.token = Token::Null;
                self.end = match word {
                    0 => at + self.text[at..].chars().next().map_or(1, char::len_utf8),
                    word => at + word,
                };
                match &bytes[at..self.end] {
                    b"true" => Token::True,
                    b"false" => Token::False,
                    b"null" => Token::Null,
                    _ => return Err(self.invalid_token()),
                }
            }
        };
        Ok(())
    }

    fn lex_number(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut at = self.start + usize::from(bytes[self.start] == b'-');
        let mut good = true;
        match bytes.get(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = digits(at),
            _ => good = false,
        }
        if bytes.get(at) == Some(&b'.') {
            let end = digits(at + 1);
            good &= end > at + 1;
            at = end;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(at);
            good &= end > at;
            at = end;
        }
        while bytes.get(at).is_some_and(|byte| is_word(*byte)) {
            at += 1;
            good = false;
        }
        self.end = at;
        if good { Ok(()) } else { Err(self.invalid_token()) }
    }

    fn lex_string(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        self.string.clear();
        let mut at = self.start + 1;
        // The high half of a surrogate pair that awaits its low half.
        let mut high: Option<u32> = None;
        loop {
            let plain = at;
            while bytes.get(at).is_some_and(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\') {
                at += 1;
            }
            if at > plain {
                if high.is_some() {
                    return Err(self.lone_surrogate(at));
                }
                if self.build {
                    self.string.push_str(&self.text[plain..at]);
                }
            }
            match bytes.get(at) {
                None => {
                    self.end = at;
                    return Err(self.invalid_token());
                }
                Some(b'"') => break,
                Some(b'\\') => at = self.lex_escape(at, &mut high)?,
                Some(control) => {
                    self.end = at;
                    return Err(self.error(format!("Character with value 0x{control:02x} must be escaped.")));
                }
            }
        }
        self.end = at + 1;
        if high.is_some() {
            return Err(self.lone_surrogate(at + 1));
        }
        Ok(())
    }

    fn lone_surrogate(&mut self, end: usize) -> Error {
        self.end = end;
        self.error("Unicode low surrogate must follow a high surrogate.".into())
    }

    /// The escape whose backslash is at `at`; gives where it ends.
    fn lex_escape(&mut self, at: usize, high: &mut Option<u32>) -> Result<usize> {
        let bytes = self.text.as_bytes();
        let Some(&letter) = bytes.get(at + 1) else {
            self.end = at + 1;
            return Err(self.invalid_token());
        };
        if letter == b'u' {
            return self.lex_unicode(at, high);
        }
        if high.is_some() && self.build {
            return Err(self.lone_surrogate(at + 2));
        }
        let character = match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => {
                self.start = at + 1;
                self.end = at + 1 + self.text[at + 1..].chars().next().map_or(1, char::len_utf8);
                let shown = &self.text[self.start..self.end];
                return Err(self.error(format!("Escape sequence \"\\{shown}\" is invalid.")));
            }
        };
        if self.build {
            self.string.push(character);
        }
        Ok(at + 2)
    }

    fn lex_unicode(&mut self, at: usize, high: &mut Option<u32>) -> Result<usize> {
        let bytes = self.text.as_bytes();
        let mut code = 0;
        for position in at + 2..at + 6 {
            let Some(byte) = bytes.get(position) else {
                self.end = position;
                return Err(self.invalid_token());
            };
            let Some(digit) = char::from(*byte).to_digit(16) else {
                self.end = position + self.text[position..].chars().next().map_or(1, char::len_utf8);
                return Err(self.error("\"\\u\" must be followed by four hexadecimal digits.".into()));
            };
            code = code << 4 | digit;
        }
        let end = at + 6;
        if !self.build {
            return Ok(end);
        }
        self.end = end;
        match (code, high.take()) {
            (0xd800..=0xdbff, Some(_)) => {
                Err(self.error("Unicode high surrogate must not follow a high surrogate.".into()))
            }
            (0xd800..=0xdbff, None) => {
                *high = Some(code);
                Ok(end)
            }
            (0xdc00..=0xdfff, Some(first)) => {
                let scalar = 0x10000 + ((first & 0x3ff) << 10) + (code & 0x3ff);
                self.string.extend(char::from_u32(scalar));
                Ok(end)
            }
            (0xdc00..=0xdfff, None) | (_, Some(_)) => Err(self.lone_surrogate(end)),
            (0, None) => {
                Err(Error::new(SqlState::UNTRANSLATABLE_CHARACTER, "unsupported Unicode escape sequence")
                    .detail("\\u0000 cannot be converted to text.")
                    .context(self.context()))
            }
            (code, None) => {
                self.string.extend(char::from_u32(code));
                Ok(end)
            }
        }
    }

    // ---- grammar ----

    fn expect_end(&mut self) -> Result<()> {
        match self.token {
            Token::End => Ok(()),
            _ => Err(self.expected("end of input")),
        }
    }

    /// An exponent says in few characters what takes many to write, and canonical text writes it.
    fn number(&mut self) -> Result<Json> {
        let number = Numeric::parse(&self.text[self.start..self.end])?;
        self.written += number.text_bytes_bound();
        match self.written > BYTES_MAX {
            true => Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("total size of jsonb array elements exceeds the maximum of {BYTES_MAX} bytes"),
            )),
            false => Ok(Json::Number(number)),
        }
    }

    /// When only checking, what comes out means nothing.
    fn value(&mut self, depth: usize) -> Result<Json> {
        if depth > DEPTH_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .detail(format!("A JSON value may be nested {DEPTH_MAX} levels deep.")));
        }
        let json = match self.token {
            Token::ObjectStart => return self.object(depth),
            Token::ArrayStart => return self.array(depth),
            Token::String => Json::String(std::mem::take(&mut self.string)),
            Token::Number if self.build => self.number()?,
            Token::Number | Token::Null => Json::Null,
            Token::True => Json::Bool(true),
            Token::False => Json::Bool(false),
            _ => return Err(self.expected("JSON value")),
        };
        self.advance()?;
        Ok(json)
    }

    fn array(&mut self, depth: usize) -> Result<Json> {
        let mut elements = Vec::new();
        self.advance()?;
        if self.token != Token::ArrayEnd {
            loop {
                let element = self.value(depth + 1)?;
                if self.build {
                    elements.push(element);
                }
                match self.token {
                    Token::Comma => self.advance()?,
                    Token::ArrayEnd => break,
                    _ => return Err(self.expected("\",\" or \"]\"")),
                }
            }
        }
        self.advance()?;
        Ok(Json::Array(elements))
    }

    fn object(&mut self, depth: usize) -> Result<Json> {
        let mut members = Vec::new();
        self.advance()?;
        match self.token {
            Token::ObjectEnd => {}
            Token::String => loop {
                if self.token != Token::String {
                    return Err(self.expected("string"));
                }
                let key = std::mem::take(&mut self.string);
                self.advance()?;
                if self.token != Token::Colon {
                    return Err(self.expected("\":\""));
                }
                self.advance()?;
                let value = self.value(depth + 1)?;
                if self.build {
                    members.push((key, value));
                }
                match self.token {
                    Token::Comma => self.advance()?,
                    Token::ObjectEnd => break,
                    _ => return Err(self.expected("\",\" or \"}\"")),
                }
            },
            _ => return Err(self.expected("string or \"}\"")),
        }
        self.advance()?;
        Ok(super::object(members))
    }
}

/// JSON_ALPHANUMERIC_CHAR.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
