//! jsonpath: its syntax tree, parser and canonical text.
//!
//! ```text
//! path       := [strict | lax] expression
//! expression := or-chain of and-chains of `!` and comparisons of sums of products of signs of accessed primaries
//! primary    := $ | $variable | @ | last | literal | ( expression ) | exists ( expression )
//! accessor   := .key | .* | [*] | [subscript, …] | .** | .**{level} | ? ( predicate ) | .method()
//! ```
//! Predicates and expressions share a grammar here; what is a value where a condition is wanted (or the other way round) is refused.

use super::write_string;
use crate::error::{Error, Result, SqlState};
use crate::types::Numeric;

/// Parentheses within parentheses, at most, and operators in all: walks over a path recurse.
const NESTING_MAX: usize = 60;
const OPERATORS_MAX: usize = 1000;

#[derive(Clone, Debug)]
pub struct JsonPath {
    pub lax: bool,
    pub root: Node,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    StartsWith,
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Type,
    Size,
    Abs,
    Floor,
    Ceiling,
    Double,
    KeyValue,
}

#[derive(Clone, Debug)]
pub enum Node {
    Null,
    Bool(bool),
    Number(Numeric),
    String(String),
    Root,
    Current,
    Last,
    Variable(String),
    Binary(Operator, Box<Node>, Box<Node>),
    /// Negated or not.
    Sign(bool, Box<Node>),
    Not(Box<Node>),
    IsUnknown(Box<Node>),
    Exists(Box<Node>),
    /// The pattern and its flags, of `ismxq`.
    LikeRegex(Box<Node>, String, String),
    Path(Box<Node>, Vec<Step>),
}

#[derive(Clone, Debug)]
pub enum Step {
    Key(String),
    AnyKey,
    AnyElement,
    Elements(Vec<(Node, Option<Node>)>),
    /// Levels from and to; `u32::MAX` is `last`.
    Any(u32, u32),
    Filter(Node),
    Method(Method),
}

impl Operator {
    pub fn text(self) -> &'static str {
        match self {
            Operator::Or => "||",
            Operator::And => "&&",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterEqual => ">=",
            Operator::StartsWith => "starts with",
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
        }
    }
    fn priority(self) -> u8 {
        match self {
            Operator::Or => 0,
            Operator::And => 1,
            Operator::Add | Operator::Subtract => 3,
            Operator::Multiply | Operator::Divide | Operator::Modulo => 4,
            _ => 2,
        }
    }
    pub fn is_arithmetic(self) -> bool {
        self.priority() >= 3
    }
}

impl Method {
    pub fn name(self) -> &'static str {
        match self {
            Method::Type => "type",
            Method::Size => "size",
            Method::Abs => "abs",
            Method::Floor => "floor",
            Method::Ceiling => "ceiling",
            Method::Double => "double",
            Method::KeyValue => "keyvalue",
        }
    }
    fn named(name: &str) -> Option<Method> {
        let all = [
            Method::Type,
            Method::Size,
            Method::Abs,
            Method::Floor,
            Method::Ceiling,
            Method::Double,
            Method::KeyValue,
        ];
        all.into_iter().find(|method| method.name() == name)
    }
}

impl Node {
    /// A condition rather than a value.
    pub fn is_predicate(&self) -> bool {
        match self {
            Node::Binary(operator, ..) => !operator.is_arithmetic(),
            Node::Not(_) | Node::IsUnknown(_) | Node::Exists(_) | Node::LikeRegex(..) => true,
            _ => false,
        }
    }
    fn priority(&self) -> u8 {
        match self {
            Node::Binary(operator, ..) => operator.priority(),
            Node::LikeRegex(..) => 2,
            Node::Sign(..) => 5,
            _ => 6,
        }
    }
}

// ---- text ----

impl JsonPath {
    pub fn to_text(&self) -> String {
        let mut out = Vec::new();
        if !self.lax {
            out.extend_from_slice(b"strict ");
        }
        write(&mut out, &self.root, true);
        String::from_utf8(out).expect("it is made of strings and ASCII")
    }
}

fn write(out: &mut Vec<u8>, node: &Node, brackets: bool) {
    match node {
        Node::Null => out.extend_from_slice(b"null"),
        Node::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Node::Number(number) => number.write_text(out),
        Node::String(text) => write_string(out, text),
        Node::Root => out.push(b'$'),
        Node::Current => out.push(b'@'),
        Node::Last => out.extend_from_slice(b"last"),
        Node::Variable(name) => {
            out.push(b'$');
            write_string(out, name);
        }
        Node::Binary(operator, left, right) => {
            open(out, brackets);
            write(out, left, left.priority() <= operator.priority());
            out.extend_from_slice(format!(" {} ", operator.text()).as_bytes());
            write(out, right, right.priority() <= operator.priority());
            close(out, brackets);
        }
        Node::Sign(negative, operand) => {
            open(out, brackets);
            out.push(if *negative { b'-' } else { b'+' });
            write(out, operand, operand.priority() <= 5);
            close(out, brackets);
        }
        Node::Not(operand) => {
            out.extend_from_slice(b"!(");
            write(out, operand, false);
            out.push(b')');
        }
        Node::IsUnknown(operand) => {
            out.push(b'(');
            write(out, operand, false);
            out.extend_from_slice(b") is unknown");
        }
        Node::Exists(operand) => {
            out.extend_from_slice(b"exists (");
            write(out, operand, false);
            out.push(b')');
        }
        Node::LikeRegex(operand, pattern, flags) => {
            open(out, brackets);
            write(out, operand, operand.priority() <= 2);
            out.extend_from_slice(b" like_regex ");
            write_string(out, pattern);
            if !flags.is_empty() {
                out.extend_from_slice(format!(" flag \"{flags}\"").as_bytes());
            }
            close(out, brackets);
        }
        Node::Path(base, steps) => {
            // A number would take the point of a key for its own.
            let number = matches!(**base, Node::Number(_));
            open(out, number);
            write(out, base, true);
            close(out, number);
            steps.iter().for_each(|step| write_step(out, step));
        }
    }
}

fn open(out: &mut Vec<u8>, brackets: bool) {
    if brackets {
        out.push(b'(');
    }
}

fn close(out: &mut Vec<u8>, brackets: bool) {
    if brackets {
        out.push(b')');
    }
}

fn write_step(out: &mut Vec<u8>, step: &Step) {
    let level = |level: u32| if level == u32::MAX { "last".to_owned() } else { level.to_string() };
    match step {
        Step::Key(key) => {
            out.push(b'.');
            write_string(out, key);
        }
        Step::AnyKey => out.extend_from_slice(b".*"),
        Step::AnyElement => out.extend_from_slice(b"[*]"),
        Step::Elements(subscripts) => {
            out.push(b'[');
            for (index, (from, to)) in subscripts.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write(out, from, false);
                if let Some(to) = to {
                    out.extend_from_slice(b" to ");
                    write(out, to, false);
                }
            }
            out.push(b']');
        }
        Step::Any(0, u32::MAX) => out.extend_from_slice(b".**"),
        Step::Any(from, to) if from == to => {
            out.extend_from_slice(format!(".**{{{}}}", level(*from)).as_bytes());
        }
        Step::Any(from, to) => {
            out.extend_from_slice(format!(".**{{{} to {}}}", level(*from), level(*to)).as_bytes());
        }
        Step::Filter(predicate) => {
            out.extend_from_slice(b"?(");
            write(out, predicate, false);
            out.push(b')');
        }
        Step::Method(method) => out.extend_from_slice(format!(".{}()", method.name()).as_bytes()),
    }
}

// ---- parser ----

#[derive(Clone, PartialEq, Debug)]
enum Token {
    End,
    /// A bare word, which may be a keyword.
    Word(String),
    /// A word or string in quotes.
    Quoted(String),
    Number(String),
    Variable(String),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 29] = [
    "**", "&&", "||", "==", "<=", ">=", "<>", "!=", "=", "<", ">", "!", "(", ")", "[", "]", "{", "}", ".",
    ",", "*", "/", "%", "+", "-", "?", "@", "$", ":",
];

struct Parser<'a> {
    text: &'a str,
    /// Tokens with where each begins and ends.
    tokens: Vec<(Token, usize, usize)>,
    at: usize,
    depth: usize,
    operators: usize,
}

pub fn parse(text: &str) -> Result<JsonPath> {
    let mut parser = Parser { text, tokens: Vec::new(), at: 0, depth: 0, operators: 0 };
    parser.lex()?;
    if parser.tokens.len() == 1 {
        let message = format!("invalid input syntax for type jsonpath: \"{text}\"");
        return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
    }
    let lax = match parser.peek() {
        Token::Word(word) if word == "strict" || word == "lax" => {
            let lax = word == "lax";
            parser.at += 1;
            lax
        }
        _ => true,
    };
    let root = parser.or()?;
    match parser.peek() {
        Token::End => {}
        _ => return Err(parser.unexpected()),
    }
    parser.check(&root, 0, false)?;
    Ok(JsonPath { lax, root })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || !c.is_ascii()
}

impl Parser<'_> {
    fn syntax(&self, message: &str, at: usize) -> Error {
        let rest = &self.text[at.min(self.text.len())..];
        let word: String = match rest.chars().next() {
            Some(c) if is_word(c) => rest.chars().take_while(|c| is_word(*c)).collect(),
            Some(c) => c.to_string(),
            None => return Error::new(SqlState::SYNTAX_ERROR, format!("{message} at end of jsonpath input")),
        };
        Error::new(SqlState::SYNTAX_ERROR, format!("{message} at or near \"{word}\" of jsonpath input"))
    }

    fn unexpected(&self) -> Error {
        let (_, start, end) = &self.tokens[self.at.min(self.tokens.len() - 1)];
        match start == end {
            true => Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of jsonpath input"),
            false => {
                let shown = &self.text[*start..*end];
                let message = format!("syntax error at or near \"{shown}\" of jsonpath input");
                Error::new(SqlState::SYNTAX_ERROR, message)
            }
        }
    }

    // ---- tokens ----

    fn lex(&mut self) -> Result<()> {
        let text = self.text;
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let start = at;
            let token = match c {
                c if c.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                '/' if text[at..].starts_with("/*") => {
                    let end = text[at + 2..].find("*/");
                    let end = end.ok_or_else(|| {
                        Error::new(
                            SqlState::SYNTAX_ERROR,
                            "unexpected end of comment at end of jsonpath input",
                        )
                    })?;
                    at += end + 4;
                    continue;
                }
                '"' => Token::Quoted(self.lex_string(&mut at)?),
                '$' => {
                    at += 1;
                    match text[at..].chars().next() {
                        Some('"') => Token::Variable(self.lex_string(&mut at)?),
                        Some(c) if is_word(c) => {
                            let rest = &text[at..];
                            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
                            at += end;
                            Token::Variable(rest[..end].to_owned())
                        }
                        _ => Token::Symbol("$"),
                    }
                }
                c if c.is_ascii_digit()
                    || (c == '.' && text[at + 1..].starts_with(|c: char| c.is_ascii_digit())
                        // `.1` after a value would be a key.
                        && !matches!(self.tokens.last(), Some((Token::Word(_) | Token::Quoted(_) | Token::Variable(_) | Token::Symbol(")" | "]" | "$" | "@" | "*" | "**" | "}"), ..)))) =>
                {
                    Token::Number(self.lex_number(&mut at)?)
                }
                c if is_word(c) || c == '\\' => self.lex_word(&mut at)?,
                _ => match SYMBOLS.iter().find(|symbol| text[at..].starts_with(**symbol)) {
                    Some(symbol) => {
                        at += symbol.len();
                        Token::Symbol(symbol)
                    }
                    None => return Err(self.syntax("syntax error", at)),
                },
            };
            self.tokens.push((token, start, at));
        }
        self.tokens.push((Token::End, text.len(), text.len()));
        Ok(())
    }

    fn lex_number(&mut self, at: &mut usize) -> Result<String> {
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let start = *at;
        let mut end = digits(start);
        let leading_zero = bytes[start] == b'0' && end > start + 1;
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == end + 1 + sign {
                return Err(self.junk(start, end + 1));
            }
            end = exponent;
        }
        let junk = self.text[end..].chars().next().filter(|c| is_word(*c));
        if leading_zero || junk.is_some() {
            return Err(self.junk(start, end + junk.map_or(0, char::len_utf8)));
        }
        *at = end;
        Ok(self.text[start..end].to_owned())
    }

    fn junk(&self, start: usize, end: usize) -> Error {
        let shown = &self.text[start..end.min(self.text.len())];
        let message = format!("trailing junk after numeric literal at or near \"{shown}\" of jsonpath input");
        Error::new(SqlState::SYNTAX_ERROR, message)
    }

    fn lex_word(&mut self, at: &mut usize) -> Result<Token> {
        let mut word = String::new();
        let mut escaped = false;
        while let Some(c) = self.text[*at..].chars().next() {
            match c {
                '\\' => {
                    escaped = true;
                    self.lex_escape(at, &mut word)?;
                }
                c if is_word(c) => {
                    word.push(c);
                    *at += c.len_utf8();
                }
                _ => break,
            }
        }
        Ok(if escaped { Token::Quoted(word) } else { Token::Word(word) })
    }

    fn lex_string(&mut self, at: &mut usize) -> Result<String> {
        let mut out = String::new();
        *at += 1;
        loop {
            match self.text[*at..].chars().next() {
                None => {
                    let message = "unterminated quoted string at end of jsonpath input";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                Some('"') => {
                    *at += 1;
                    return Ok(out);
                }
                Some('\\') => self.lex_escape(at, &mut out)?,
                Some(c) => {
                    out.push(c);
                    *at += c.len_utf8();
                }
            }
        }
    }

    fn lex_escape(&mut self, at: &mut usize, out: &mut String) -> Result<()> {
        let rest = &self.text[*at + 1..];
        let Some(letter) = rest.chars().next() else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "unexpected end after backslash at end of jsonpath input",
            ));
        };
        *at += 1 + letter.len_utf8();
        let hex = |text: &str| u32::from_str_radix(text, 16).ok();
        let after = *at;
        let invalid = |parser: &Self, what: &str| parser.syntax(what, after);
        match letter {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            'x' => {
                let code = self.text.get(*at..*at + 2).and_then(hex);
                let code = code.ok_or_else(|| invalid(self, "invalid hexadecimal character sequence"))?;
                out.extend(char::from_u32(code));
                *at += 2;
            }
            'u' => {
                let code = if self.text[*at..].starts_with('{') {
                    let end = self.text[*at..].find('}');
                    let end = end.ok_or_else(|| invalid(self, "invalid Unicode escape sequence"))?;
                    let code = hex(&self.text[*at + 1..*at + end]);
                    *at += end + 1;
                    code
                } else {
                    let mut code = self.text.get(*at..*at + 4).and_then(hex);
                    *at += 4;
                    if let Some(high @ 0xd800..=0xdbff) = code {
                        let low = self.text.get(*at..*at + 6).and_then(|t| hex(t.strip_prefix("\\u")?));
                        code = match low {
                            Some(low @ 0xdc00..=0xdfff) => {
                                *at += 6;
                                Some(0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff))
                            }
                            _ => {
                                let error = Error::new(
                                    SqlState::INVALID_TEXT_REPRESENTATION,
                                    "invalid input syntax for type jsonpath",
                                );
                                return Err(
                                    error.detail("Unicode low surrogate must follow a high surrogate.")
                                );
                            }
                        };
                    }
                    code
                };
                match code {
                    Some(0) => {
                        let message = "unsupported Unicode escape sequence";
                        return Err(Error::new(SqlState::UNTRANSLATABLE_CHARACTER, message)
                            .detail("\\u0000 cannot be converted to text."));
                    }
                    Some(code) => match char::from_u32(code) {
                        Some(c) => out.push(c),
                        None => {
                            let error = Error::new(
                                SqlState::INVALID_TEXT_REPRESENTATION,
                                "invalid input syntax for type jsonpath",
                            );
                            return Err(error.detail("Unicode low surrogate must follow a high surrogate."));
                        }
                    },
                    None => return Err(invalid(self, "invalid Unicode escape sequence")),
                }
            }
            other => out.push(other),
        }
        Ok(())
    }

    // ---- grammar ----

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }
    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }
    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }
    fn expect(&mut self, symbol: &str) -> Result<()> {
        match self.eat(symbol) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }
    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.at += usize::from(found);
        found
    }

    fn count_operator(&mut self) -> Result<()> {
        self.operators += 1;
        match self.operators > OPERATORS_MAX {
            true => Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")),
            false => Ok(()),
        }
    }

    fn or(&mut self) -> Result<Node> {
        let mut left = self.and()?;
        while self.eat("||") {
            self.count_operator()?;
            left = Node::Binary(Operator::Or, Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node> {
        let mut left = self.not()?;
        while self.eat("&&") {
            self.count_operator()?;
            left = Node::Binary(Operator::And, Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node> {
        if self.eat("!") {
            // What is negated is in parentheses, or an exists.
            if !self.is_symbol("(") && !self.is_keyword("exists") {
                return Err(self.unexpected());
            }
            return Ok(Node::Not(Box::new(self.primary()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node> {
        const OPERATORS: [(&str, Operator); 8] = [
            ("==", Operator::Equal),
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessEqual),
            (">=", Operator::GreaterEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let left = self.sum()?;
        for (symbol, operator) in OPERATORS {
            if self.eat(symbol) {
                return Ok(Node::Binary(operator, Box::new(left), Box::new(self.sum()?)));
            }
        }
        if self.is_keyword("starts") {
            self.at += 1;
            if !self.eat_keyword("with") {
                return Err(self.unexpected());
            }
            let right = match self.peek().clone() {
                Token::Quoted(text) => Node::String(text),
                Token::Variable(name) => Node::Variable(name),
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
            return Ok(Node::Binary(Operator::StartsWith, Box::new(left), Box::new(right)));
        }
        if self.eat_keyword("like_regex") {
            let Token::Quoted(pattern) = self.peek().clone() else { return Err(self.unexpected()) };
            self.at += 1;
            let mut flags = String::new();
            if self.eat_keyword("flag") {
                let Token::Quoted(given) = self.peek().clone() else { return Err(self.unexpected()) };
                self.at += 1;
                if let Some(unknown) = given.chars().find(|c| !"ismxq".contains(*c)) {
                    let message = "invalid input syntax for type jsonpath";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).detail(format!(
                        "Unrecognized flag character \"{unknown}\" in LIKE_REGEX predicate."
                    )));
                }
                flags = "ismxq".chars().filter(|c| given.contains(*c)).collect();
            }
            if flags.contains('x') && !flags.contains('q') {
                let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
            }
            return Ok(Node::LikeRegex(Box::new(left), pattern, flags));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Node> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("+") => Operator::Add,
                Token::Symbol("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            self.count_operator()?;
            left = Node::Binary(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Node> {
        let mut left = self.sign()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol("*") => Operator::Multiply,
                Token::Symbol("/") => Operator::Divide,
                Token::Symbol("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.at += 1;
            self.count_operator()?;
            left = Node::Binary(operator, Box::new(left), Box::new(self.sign()?));
        }
    }

    fn sign(&mut self) -> Result<Node> {
        let mut signs = Vec::new();
        loop {
            match self.peek() {
                Token::Symbol("+") => signs.push(false),
                Token::Symbol("-") => signs.push(true),
                _ => break,
            }
            self.at += 1;
            if signs.len() > NESTING_MAX {
                return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
            }
        }
        let mut operand = self.primary()?;
        for negative in signs.into_iter().rev() {
            operand = match (operand, negative) {
                (Node::Number(number), true) => Node::Number(number.neg()),
                (operand @ Node::Number(_), false) => operand,
                (operand, negative) => Node::Sign(negative, Box::new(operand)),
            };
        }
        Ok(operand)
    }

    /// Every way down leads through here.
    fn primary(&mut self) -> Result<Node> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        let node = self.primary_inner()?;
        self.depth -= 1;
        Ok(node)
    }

    fn primary_inner(&mut self) -> Result<Node> {
        let token = self.peek().clone();
        let node = match token {
            Token::Symbol("$") => Node::Root,
            Token::Symbol("@") => Node::Current,
            Token::Variable(name) => Node::Variable(name),
            Token::Quoted(text) => Node::String(text),
            Token::Number(digits) => Node::Number(Numeric::parse(digits.trim_end_matches('.'))?),
            Token::Word(word) if word == "true" => Node::Bool(true),
            Token::Word(word) if word == "false" => Node::Bool(false),
            Token::Word(word) if word == "null" => Node::Null,
            Token::Word(word) if word.eq_ignore_ascii_case("last") => Node::Last,
            Token::Word(word) if word.eq_ignore_ascii_case("exists") => {
                self.at += 1;
                self.expect("(")?;
                let operand = self.or()?;
                if operand.is_predicate() {
                    return Err(self.unexpected());
                }
                self.expect(")")?;
                return Ok(Node::Exists(Box::new(operand)));
            }
            Token::Symbol("(") => {
                self.at += 1;
                let inner = self.or()?;
                self.expect(")")?;
                if self.is_keyword("is") {
                    self.at += 1;
                    if !self.eat_keyword("unknown") || !inner.is_predicate() {
                        return Err(self.unexpected());
                    }
                    return Ok(Node::IsUnknown(Box::new(inner)));
                }
                return self.accessors(inner);
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        self.accessors(node)
    }

    fn accessors(&mut self, base: Node) -> Result<Node> {
        let mut steps = Vec::new();
        loop {
            if self.eat("[") {
                if self.eat("*") {
                    self.expect("]")?;
                    steps.push(Step::AnyElement);
                    continue;
                }
                let mut subscripts = Vec::new();
                loop {
                    let from = self.sum()?;
                    let to = if self.eat_keyword("to") { Some(self.sum()?) } else { None };
                    subscripts.push((from, to));
                    if !self.eat(",") {
                        break;
                    }
                }
                self.expect("]")?;
                steps.push(Step::Elements(subscripts));
            } else if self.eat("?") {
                self.expect("(")?;
                let predicate = self.or()?;
                if !predicate.is_predicate() {
                    return Err(self.unexpected());
                }
                self.expect(")")?;
                steps.push(Step::Filter(predicate));
            } else if self.eat(".") {
                steps.push(self.member()?);
            } else {
                break;
            }
        }
        Ok(match (steps.is_empty(), base) {
            (true, base) => base,
            (false, Node::Path(base, mut before)) => {
                before.append(&mut steps);
                Node::Path(base, before)
            }
            (false, base) => Node::Path(Box::new(base), steps),
        })
    }

    /// What follows a point.
    fn member(&mut self) -> Result<Step> {
        if self.eat("*") {
            return Ok(Step::AnyKey);
        }
        if self.eat("**") {
            if !self.eat("{") {
                return Ok(Step::Any(0, u32::MAX));
            }
            let from = self.level()?;
            let to = if self.eat_keyword("to") { self.level()? } else { from };
            self.expect("}")?;
            return Ok(Step::Any(from, to));
        }
        match self.peek().clone() {
            Token::Quoted(key) => {
                self.at += 1;
                Ok(Step::Key(key))
            }
            Token::Word(word) => {
                self.at += 1;
                if !self.is_symbol("(") {
                    return Ok(Step::Key(word));
                }
                if word == "datetime" {
                    return Err(Error::unsupported("jsonpath item method .datetime()"));
                }
                let Some(method) = Method::named(&word) else { return Err(self.unexpected()) };
                self.at += 1;
                self.expect(")")?;
                Ok(Step::Method(method))
            }
            _ => Err(self.unexpected()),
        }
    }

    fn level(&mut self) -> Result<u32> {
        match self.peek().clone() {
            Token::Number(digits) => {
                let level = digits.parse().map_err(|_| self.unexpected())?;
                self.at += 1;
                Ok(level)
            }
            Token::Word(word) if word.eq_ignore_ascii_case("last") => {
                self.at += 1;
                Ok(u32::MAX)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `@` belongs into filters, `last` into subscripts; a regular expression must be one; conditions join conditions only.
    fn check(&self, node: &Node, filters: usize, subscript: bool) -> Result<()> {
        let syntax = |message: &str| Err(Error::new(SqlState::SYNTAX_ERROR, message));
        match node {
            Node::Current if filters == 0 => syntax("@ is not allowed in root expressions"),
            Node::Last if !subscript => syntax("LAST is allowed only in array subscripts"),
            Node::Binary(operator, left, right) => {
                let joins = matches!(operator, Operator::And | Operator::Or);
                if left.is_predicate() != joins || right.is_predicate() != joins {
                    return Err(self.unexpected());
                }
                self.check(left, filters, subscript)?;
                self.check(right, filters, subscript)
            }
            Node::Not(operand) | Node::IsUnknown(operand) if !operand.is_predicate() => {
                Err(self.unexpected())
            }
            Node::LikeRegex(operand, pattern, flags) => {
                regex(pattern, flags)?;
                self.check(operand, filters, subscript)
            }
            Node::Sign(_, operand)
            | Node::Not(operand)
            | Node::IsUnknown(operand)
            | Node::Exists(operand) => self.check(operand, filters, subscript),
            Node::Path(base, steps) => {
                self.check(base, filters, subscript)?;
                for step in steps {
                    match step {
                        Step::Elements(subscripts) => {
                            for (from, to) in subscripts {
                                self.check(from, filters, true)?;
                                to.iter().try_for_each(|to| self.check(to, filters, true))?;
                            }
                        }
                        Step::Filter(predicate) => self.check(predicate, filters + 1, subscript)?,
                        _ => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The regular expression of a like_regex, in PostgreSQL's dialect.
pub fn regex(pattern: &str, flags: &str) -> Result<std::rc::Rc<regex::Regex>> {
    // XQuery's default is that `.` does not match a newline, and that `^` and `$` match at the ends only.
    let options: String = match (flags.contains('s'), flags.contains('m')) {
        (false, false) => "p",
        (true, false) => "s",
        (false, true) => "n",
        (true, true) => "w",
    }
    .chars()
    .chain(flags.chars().filter(|flag| matches!(flag, 'i' | 'q')))
    .collect();
    crate::functions::compile_regex(pattern, &options)
}
