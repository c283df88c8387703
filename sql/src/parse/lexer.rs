//! Text to tokens by the rules of PostgreSQL's scan.l, `standard_conforming_strings` on.
//!
//! The rules that other SQL lexers get wrong, and that real statements depend on:
//!
//! 1. *Operators* are the longest run of `+-*/<>=~!@#%^&|` + backtick and `?`, cut before `--` or `/*`. A run of several
//!    characters that ends in `+` or `-` loses them again unless it also has one of `~!@#^&|` + backtick, `?` or `%`:
//!    so `a>-1` is `a > -1`, while `@-` is one operator.
//! 2. *String constants* separated only by white space with at least one newline are one constant.
//! 3. `E'…'` has C escapes, `U&'…'` Unicode escapes (with UESCAPE), `$tag$…$tag$` none; block comments nest.
//! 4. Unquoted identifiers are folded to lower case (ASCII only) and cut to 63 bytes.
//!
//! An error (an unterminated quote, a bad escape) becomes the last token, so that a syntax error before it is found
//! first, as in PostgreSQL, whose lexer runs in step with its parser.

use super::keywords::Keyword;
use crate::error::{Error, SqlState};

/// NAMEDATALEN - 1.
const NAME_BYTES_MAX: usize = 63;

#[derive(Clone, Debug)]
pub enum Kind {
    /// An identifier that is no keyword, or a quoted one: folded, unescaped, cut.
    Identifier(Box<str>),
    Keyword(Keyword),
    String(Box<str>),
    /// `b` or `x`, then the digits.
    Bits(Box<str>),
    /// A number without point or exponent, in decimal.
    Integer(Box<str>),
    /// A number with point or exponent.
    Decimal(Box<str>),
    Parameter(u32),
    /// An operator of several characters or outside the single-character set; `!=` is `<>` already. See [`Token::text`].
    Operator,
    /// One of `,()[].;:+-*/%^<>=`.
    Symbol(u8),
    TypeCast,
    DotDot,
    ColonEquals,
    EqualsGreater,
    End,
    Error(Box<Error>),
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    /// Bytes into the text.
    pub start: u32,
    pub end: u32,
    /// Characters into the text, from 1.
    pub position: u32,
}

impl Token {
    pub fn text<'a>(&self, sql: &'a str) -> &'a str {
        &sql[self.start as usize..self.end as usize]
    }
}

/// The tokens of a text, ending with `End` or `Error`.
pub fn tokenize(sql: &str) -> Vec<Token> {
    let mut lexer = Lexer { sql, bytes: sql.as_bytes(), at: 0 };
    let mut tokens = Vec::with_capacity(sql.len() / 5 + 4);
    let mut counter = PositionCounter { sql, ascii: sql.is_ascii(), byte: 0, characters: 0 };
    loop {
        let skipped = lexer.skip_space();
        let start = lexer.at;
        let kind = match skipped {
            Ok(()) if start == sql.len() => Kind::End,
            Ok(()) => lexer.token().unwrap_or_else(|failure| failure.into_kind(sql, start)),
            Err(failure) => failure.into_kind(sql, start),
        };
        let last = matches!(kind, Kind::End | Kind::Error(_));
        let position = counter.position(start) as u32;
        tokens.push(Token { kind, start: start as u32, end: lexer.at as u32, position });
        if last {
            return tokens;
        }
    }
}

/// Byte offsets to character positions, asked in ascending order.
struct PositionCounter<'a> {
    sql: &'a str,
    ascii: bool,
    byte: usize,
    characters: usize,
}

impl PositionCounter<'_> {
    fn position(&mut self, byte: usize) -> usize {
        if self.ascii {
            return byte + 1;
        }
        self.characters += self.sql[self.byte..byte].chars().count();
        self.byte = byte;
        self.characters + 1
    }
}

/// What is wrong with a token, before its place in the text is added.
struct Failure {
    state: SqlState,
    message: String,
    hint: Option<&'static str>,
    /// Add `at or near "…"`: what from the offset to the end (None: to the end of the text).
    near: Option<(usize, Option<usize>)>,
    /// Where to point at if not at the token's start.
    at: Option<usize>,
}

impl Failure {
    fn near(message: impl Into<String>, from: usize, to: Option<usize>) -> Failure {
        Failure {
            state: SqlState::SYNTAX_ERROR,
            message: message.into(),
            hint: None,
            near: Some((from, to)),
            at: None,
        }
    }
    fn into_kind(self, sql: &str, start: usize) -> Kind {
        let mut message = self.message;
        if let Some((from, to)) = self.near {
            let text = &sql[from..to.unwrap_or(sql.len())];
            if text.is_empty() {
                message.push_str(" at end of input");
            } else {
                message.push_str(&format!(" at or near \"{text}\""));
            }
        }
        let place = self.at.or(self.near.map(|near| near.0)).unwrap_or(start);
        let mut error = Error::new(self.state, message).at(sql[..place].chars().count() + 1);
        if let Some(hint) = self.hint {
            error = error.hint(hint);
        }
        Kind::Error(Box::new(error))
    }
}

type Lexed<T> = Result<T, Failure>;

struct Lexer<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_identifier_part(byte: u8) -> bool {
    is_identifier_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

/// Cuts a name to 63 bytes, at a character's boundary.
pub fn truncate_name(mut name: String) -> String {
    if name.len() > NAME_BYTES_MAX {
        let mut end = NAME_BYTES_MAX;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}

impl<'a> Lexer<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// White space and comments.
    fn skip_space(&mut self) -> Lexed<()> {
        loop {
            match self.peek(0) {
                byte if is_space(byte) => self.at += 1,
                b'-' if self.peek(1) == b'-' => self.skip_line(),
                b'/' if self.peek(1) == b'*' => self.skip_block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.at < self.bytes.len() && !matches!(self.bytes[self.at], b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn skip_block_comment(&mut self) -> Lexed<()> {
        let start = self.at;
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at = start;
        Err(Failure::near("unterminated /* comment", start, None))
    }

    fn token(&mut self) -> Lexed<Kind> {
        let byte = self.peek(0);
        match byte {
            b'\'' => self.plain_string(),
            b'"' => self.quoted_identifier(),
            b'e' | b'E' if self.peek(1) == b'\'' => self.escape_string(),
            b'b' | b'B' if self.peek(1) == b'\'' => self.bits(b'b'),
            b'x' | b'X' if self.peek(1) == b'\'' => self.bits(b'x'),
            b'n' | b'N' if self.peek(1) == b'\'' => {
                // N'…' is the keyword NCHAR, then the constant.
                self.at += 1;
                Ok(Kind::Keyword(Keyword::Nchar))
            }
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'\'' => self.unicode_string(),
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'"' => self.unicode_identifier(),
            b'$' => self.dollar(),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            b'.' if self.peek(1) == b'.' => Ok(self.take(2, Kind::DotDot)),
            b':' if self.peek(1) == b':' => Ok(self.take(2, Kind::TypeCast)),
            b':' if self.peek(1) == b'=' => Ok(self.take(2, Kind::ColonEquals)),
            b',' | b'(' | b')' | b'[' | b']' | b'.' | b';' | b':' => Ok(self.take(1, Kind::Symbol(byte))),
            b'0'..=b'9' => self.number(),
            _ if is_identifier_start(byte) => Ok(self.word()),
            _ if is_operator(byte) => Ok(self.operator()),
            _ => {
                let start = self.at;
                let end = start + self.sql[start..].chars().next().map_or(0, char::len_utf8);
                Err(Failure::near("syntax error", start, Some(end)))
            }
        }
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at += bytes;
        kind
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        let mut folded = false;
        while self.at < self.bytes.len() && is_identifier_part(self.bytes[self.at]) {
            folded |= self.bytes[self.at].is_ascii_uppercase();
            self.at += 1;
        }
        let text = &self.sql[start..self.at];
        if !folded {
            return match Keyword::find(text) {
                Some(keyword) => Kind::Keyword(keyword),
                None if text.len() <= NAME_BYTES_MAX => Kind::Identifier(text.into()),
                None => Kind::Identifier(truncate_name(text.to_owned()).into()),
            };
        }
        let text = text.to_ascii_lowercase();
        match Keyword::find(&text) {
            Some(keyword) => Kind::Keyword(keyword),
            None => Kind::Identifier(truncate_name(text).into()),
        }
    }

    /// Rule 1.
    fn operator(&mut self) -> Kind {
        let start = self.at;
        let mut end = start;
        while end < self.bytes.len() && is_operator(self.bytes[end]) {
            let next = self.bytes.get(end + 1).copied().unwrap_or(0);
            if end > start && matches!((self.bytes[end], next), (b'-', b'-') | (b'/', b'*')) {
                break;
            }
            end += 1;
        }
        if end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
            let keeps = self.bytes[start..end].iter().any(|byte| {
                matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%')
            });
            if !keeps {
                while end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
                    end -= 1;
                }
            }
        }
        self.at = end;
        match &self.bytes[start..end] {
            [byte @ (b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=')] => Kind::Symbol(*byte),
            b"=>" => Kind::EqualsGreater,
            _ => Kind::Operator,
        }
    }

    /// `123`, `1_000`, `0x1F`, `0o17`, `0b11`, `1.5`, `.5`, `1.`, `1e10`; `1..2` is 1 and `..`.
    fn number(&mut self) -> Lexed<Kind> {
        let start = self.at;
        if self.peek(0) == b'0' {
            let radix = match self.peek(1) {
                b'x' | b'X' => 16,
                b'o' | b'O' => 8,
                b'b' | b'B' => 2,
                _ => 10,
            };
            if radix != 10 {
                return self.radix_number(start, radix);
            }
        }
        let mut decimal = false;
        self.digits();
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            decimal = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                decimal = true;
                self.at += 1 + sign;
                self.digits();
            } else if sign == 1 {
                return Err(self.trailing_junk(start));
            }
        }
        if self.at < self.bytes.len() && is_identifier_start(self.peek(0)) {
            return Err(self.trailing_junk(start));
        }
        let digits: String = self.sql[start..self.at].chars().filter(|&digit| digit != '_').collect();
        Ok(if decimal { Kind::Decimal(digits.into()) } else { Kind::Integer(digits.into()) })
    }

    /// Digits with single underscores between them.
    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() || (self.peek(0) == b'_' && self.peek(1).is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn radix_number(&mut self, start: usize, radix: u32) -> Lexed<Kind> {
        self.at += 2;
        let from = self.at;
        while (self.peek(0) as char).is_digit(radix)
            || (self.peek(0) == b'_' && (self.peek(1) as char).is_digit(radix))
        {
            self.at += 1;
        }
        let digits: String = self.sql[from..self.at].chars().filter(|&digit| digit != '_').collect();
        if digits.is_empty() {
            let name = match radix {
                16 => "invalid hexadecimal integer",
                8 => "invalid octal integer",
                _ => "invalid binary integer",
            };
            return Err(Failure::near(name, start, Some(self.at)));
        }
        if self.at < self.bytes.len() && is_identifier_part(self.peek(0)) {
            return Err(self.trailing_junk(start));
        }
        // Bounded work for hostile input: the conversion is quadratic.
        if digits.len() > 10_000 {
            return Err(Failure {
                state: SqlState::PROGRAM_LIMIT_EXCEEDED,
                message: "integer constant is too long".into(),
                hint: None,
                near: None,
                at: None,
            });
        }
        let value = num_bigint::BigUint::parse_bytes(digits.as_bytes(), radix)
            .expect("only digits of this radix were taken");
        Ok(Kind::Integer(value.to_string().into()))
    }

    fn trailing_junk(&mut self, start: usize) -> Failure {
        while self.at < self.bytes.len() && is_identifier_part(self.bytes[self.at]) {
            self.at += 1;
        }
        Failure::near("trailing junk after numeric literal", start, Some(self.at))
    }

    /// `$1`, or a dollar-quoted string.
    fn dollar(&mut self) -> Lexed<Kind> {
        let start = self.at;
        if self.peek(1).is_ascii_digit() {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
            if self.at < self.bytes.len() && is_identifier_start(self.peek(0)) {
                let mut failure = self.trailing_junk(start);
                failure.message = "trailing junk after parameter".into();
                return Err(failure);
            }
            return match self.sql[start + 1..self.at].parse::<u32>() {
                Ok(number) if number <= i32::MAX as u32 => Ok(Kind::Parameter(number)),
                _ => Err(Failure::near("parameter number too large", start, Some(self.at))),
            };
        }
        let mut end = start + 1;
        while end < self.bytes.len() && is_identifier_part(self.bytes[end]) && self.bytes[end] != b'$' {
            end += 1;
        }
        if self.bytes.get(end) != Some(&b'$') {
            return Err(Failure::near("syntax error", start, Some(start + 1)));
        }
        let tag = &self.sql[start..=end];
        match self.sql[end + 1..].find(tag) {
            Some(length) => {
                let body = &self.sql[end + 1..end + 1 + length];
                self.at = end + 1 + length + tag.len();
                Ok(Kind::String(body.into()))
            }
            None => {
                self.at = self.bytes.len();
                Err(Failure::near("unterminated dollar-quoted string", start, None))
            }
        }
    }

    /// The text between quotes from `self.at` (past the opening quote), doubled quotes made one. None: unterminated.
    fn until_quote(&mut self, quote: u8) -> Option<String> {
        let mut value = String::new();
        let mut from = self.at;
        loop {
            let length = self.bytes[from..].iter().position(|&byte| byte == quote)?;
            value.push_str(&self.sql[from..from + length]);
            let end = from + length + 1;
            if self.bytes.get(end) == Some(&quote) {
                value.push(quote as char);
                from = end + 1;
            } else {
                self.at = end;
                return Some(value);
            }
        }
    }

    /// Rule 2: moves into the next segment of a constant, past its opening quote.
    fn continues(&mut self) -> bool {
        let mut at = self.at;
        let mut newline = false;
        loop {
            match self.bytes.get(at) {
                Some(b'\n' | b'\r') => {
                    newline = true;
                    at += 1;
                }
                Some(&byte) if is_space(byte) => at += 1,
                Some(b'-') if newline && self.bytes.get(at + 1) == Some(&b'-') => {
                    while at < self.bytes.len() && !matches!(self.bytes[at], b'\n' | b'\r') {
                        at += 1;
                    }
                }
                Some(b'\'') if newline => {
                    self.at = at + 1;
                    return true;
                }
                _ => return false,
            }
        }
    }

    /// All segments of a quoted constant whose first quote is `prefix` bytes on.
    fn segments(&mut self, prefix: usize, what: &str) -> Lexed<String> {
        let start = self.at;
        self.at += prefix + 1;
        let mut value = String::new();
        loop {
            match self.until_quote(b'\'') {
                Some(segment) if value.is_empty() => value = segment,
                Some(segment) => value.push_str(&segment),
                None => {
                    self.at = self.bytes.len();
                    return Err(Failure::near(what, start, None));
                }
            }
            if !self.continues() {
                return Ok(value);
            }
        }
    }

    fn plain_string(&mut self) -> Lexed<Kind> {
        Ok(Kind::String(self.segments(0, "unterminated quoted string")?.into()))
    }

    fn bits(&mut self, base: u8) -> Lexed<Kind> {
        let what = if base == b'b' {
            "unterminated bit string literal"
        } else {
            "unterminated hexadecimal string literal"
        };
        let digits = self.segments(1, what)?;
        Ok(Kind::Bits(format!("{}{digits}", base as char).into()))
    }

    fn quoted_identifier(&mut self) -> Lexed<Kind> {
        let name = self.quoted_name(0)?;
        Ok(Kind::Identifier(truncate_name(name).into()))
    }

    fn quoted_name(&mut self, prefix: usize) -> Lexed<String> {
        let start = self.at;
        self.at += prefix + 1;
        match self.until_quote(b'"') {
            None => {
                self.at = self.bytes.len();
                Err(Failure::near("unterminated quoted identifier", start, None))
            }
            Some(name) if name.is_empty() => {
                Err(Failure::near("zero-length delimited identifier", start, Some(self.at)))
            }
            Some(name) => Ok(name),
        }
    }

    fn escape_string(&mut self) -> Lexed<Kind> {
        let start = self.at;
        self.at += 2;
        let mut value: Vec<u8> = Vec::new();
        loop {
            match self.bytes.get(self.at) {
                None => {
                    return Err(Failure::near("unterminated quoted string", start, None));
                }
                Some(b'\'') if self.peek(1) == b'\'' => {
                    value.push(b'\'');
                    self.at += 2;
                }
                Some(b'\'') => {
                    self.at += 1;
                    if !self.continues() {
                        break;
                    }
                }
                Some(b'\\') => self.escape(start, &mut value)?,
                Some(&byte) => {
                    value.push(byte);
                    self.at += 1;
                }
            }
        }
        let text = String::from_utf8(value).map_err(|error| {
            let bytes = error.as_bytes();
            let at = error.utf8_error().valid_up_to();
            let shown: Vec<String> = bytes[at..].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
            Failure {
                state: SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                message: format!("invalid byte sequence for encoding \"UTF8\": {}", shown[..1].join(" ")),
                hint: None,
                near: None,
                at: None,
            }
        })?;
        Ok(Kind::String(text.into()))
    }

    fn escape(&mut self, start: usize, value: &mut Vec<u8>) -> Lexed<()> {
        let Some(letter) = self.sql[self.at + 1..].chars().next() else {
            return Err(Failure::near("unterminated quoted string", start, None));
        };
        let escape_at = self.at;
        self.at += 1 + letter.len_utf8();
        match letter {
            'b' => value.push(0x08),
            'f' => value.push(0x0c),
            'n' => value.push(b'\n'),
            'r' => value.push(b'\r'),
            't' => value.push(b'\t'),
            'v' => value.push(0x0b),
            '0'..='7' => {
                let mut code = letter as u32 - '0' as u32;
                for _ in 0..2 {
                    if !matches!(self.peek(0), b'0'..=b'7') {
                        break;
                    }
                    code = code * 8 + u32::from(self.peek(0) - b'0');
                    self.at += 1;
                }
                self.push_byte(code as u8, value)?;
            }
            'x' if self.peek(0).is_ascii_hexdigit() => {
                let from = self.at;
                while self.at - from < 2 && self.peek(0).is_ascii_hexdigit() {
                    self.at += 1;
                }
                let code = u8::from_str_radix(&self.sql[from..self.at], 16).expect("two hex digits");
                self.push_byte(code, value)?;
            }
            'u' | 'U' => {
                let length = if letter == 'u' { 4 } else { 8 };
                let mut code = self.escape_code(escape_at, length)?;
                if (0xd800..0xdc00).contains(&code) && self.peek(0) == b'\\' {
                    let second = self.at;
                    let length = match self.peek(1) {
                        b'u' => 4,
                        b'U' => 8,
                        _ => return Err(invalid_surrogate(second)),
                    };
                    self.at += 2;
                    let low = self.escape_code(second, length)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(invalid_surrogate(second));
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                push_code(code, escape_at, value)?;
            }
            other => value.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Ok(())
    }

    fn push_byte(&self, byte: u8, value: &mut Vec<u8>) -> Lexed<()> {
        if byte == 0 {
            return Err(Failure {
                state: SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                message: "invalid byte sequence for encoding \"UTF8\": 0x00".into(),
                hint: None,
                near: None,
                at: None,
            });
        }
        value.push(byte);
        Ok(())
    }

    /// Hexadecimal digits of a `\u` or `\U` escape.
    fn escape_code(&mut self, escape_at: usize, length: usize) -> Lexed<u32> {
        let digits = self.bytes.get(self.at..self.at + length);
        match digits {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                let code = u32::from_str_radix(&self.sql[self.at..self.at + length], 16)
                    .expect("at most eight hex digits");
                self.at += length;
                Ok(code)
            }
            _ => Err(Failure {
                state: SqlState::INVALID_ESCAPE_SEQUENCE,
                message: "invalid Unicode escape".into(),
                hint: Some("Unicode escapes must be \\uXXXX or \\UXXXXXXXX."),
                near: None,
                at: Some(escape_at),
            }),
        }
    }

    fn unicode_string(&mut self) -> Lexed<Kind> {
        let start = self.at;
        let raw = self.segments(2, "unterminated quoted string")?;
        let escape = self.uescape()?;
        Ok(Kind::String(decode_unicode(&raw, escape, start)?.into()))
    }

    fn unicode_identifier(&mut self) -> Lexed<Kind> {
        let start = self.at;
        let raw = self.quoted_name(2)?;
        let escape = self.uescape()?;
        let name = decode_unicode(&raw, escape, start)?;
        Ok(Kind::Identifier(truncate_name(name).into()))
    }

    /// `UESCAPE 'c'` after a `U&` token, if it is there.
    fn uescape(&mut self) -> Lexed<char> {
        let back = self.at;
        self.skip_space()?;
        let word = self.at;
        if !self.bytes[word..].get(..7).is_some_and(|bytes| bytes.eq_ignore_ascii_case(b"uescape"))
            || is_identifier_part(self.peek(7))
        {
            self.at = back;
            return Ok('\\');
        }
        self.at += 7;
        self.skip_space()?;
        let at = self.at;
        if self.peek(0) != b'\'' {
            return Err(Failure {
                at: Some(at),
                ..Failure::near("UESCAPE must be followed by a simple string literal", at, None)
            });
        }
        let text = self.segments(0, "unterminated quoted string")?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(escape), None)
                if !escape.is_ascii_hexdigit()
                    && !matches!(escape, '+' | '\'' | '"')
                    && !escape.is_ascii_whitespace() =>
            {
                Ok(escape)
            }
            _ => Err(Failure::near("invalid Unicode escape character", at, Some(self.at))),
        }
    }
}

fn invalid_surrogate(at: usize) -> Failure {
    Failure {
        state: SqlState::SYNTAX_ERROR,
        message: "invalid Unicode surrogate pair".into(),
        hint: None,
        near: None,
        at: Some(at),
    }
}

fn push_code(code: u32, at: usize, value: &mut Vec<u8>) -> Lexed<()> {
    if (0xd800..0xe000).contains(&code) {
        return Err(invalid_surrogate(at));
    }
    match char::from_u32(code) {
        Some(character) if code != 0 => {
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            Ok(())
        }
        _ => Err(Failure {
            state: SqlState::SYNTAX_ERROR,
            message: "invalid Unicode escape value".into(),
            hint: None,
            near: None,
            at: Some(at),
        }),
    }
}

/// `\XXXX` and `\+XXXXXX` with the given escape character; doubled, it is itself.
fn decode_unicode(raw: &str, escape: char, start: usize) -> Lexed<String> {
    let invalid = || Failure {
        state: SqlState::SYNTAX_ERROR,
        message: "invalid Unicode escape".into(),
        hint: Some("Unicode escapes must be \\XXXX or \\+XXXXXX."),
        near: None,
        at: Some(start),
    };
    let mut value = Vec::with_capacity(raw.len());
    let mut rest = raw;
    let mut high: Option<u32> = None;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        if character != escape || rest.starts_with(escape) {
            if high.is_some() {
                return Err(invalid_surrogate(start));
            }
            if character == escape {
                rest = &rest[escape.len_utf8()..];
            }
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let (skip, length) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
        let digits = rest.get(skip..skip + length).ok_or_else(invalid)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let code = u32::from_str_radix(digits, 16).expect("at most six hex digits");
        rest = &rest[skip + length..];
        match (high.take(), code) {
            (None, 0xd800..0xdc00) => high = Some(code),
            (Some(first), 0xdc00..0xe000) => {
                push_code(0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00), start, &mut value)?;
            }
            (Some(_), _) => return Err(invalid_surrogate(start)),
            (None, _) => push_code(code, start, &mut value)?,
        }
    }
    if high.is_some() {
        return Err(invalid_surrogate(start));
    }
    Ok(String::from_utf8(value).expect("whole characters were pushed"))
}
