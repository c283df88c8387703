//! The parser's place in the tokens, and the small words of the grammar: keywords, names, constants, lists.

use super::DEPTH_MAX;
use super::ast::{Name, ObjectName, Position};
use super::keywords::{Category, Keyword};
use super::lexer::{Kind, Token};
use crate::error::{Error, Result, SqlState};

pub struct Parser<'a> {
    pub sql: &'a str,
    pub tokens: Vec<Token>,
    pub at: usize,
    /// Highest `$n` so far in this statement.
    pub parameters: u32,
    /// Recursion of the parser itself.
    depth: usize,
    /// An upper bound of the height of what was built at this level of recursion: [`Parser::nested`] adds its own to
    /// its caller's, [`Parser::deepen`] counts the operators of a left-deep chain. Bounding it bounds every walk
    /// (and the drop) of the tree.
    height: usize,
    /// About where the stack was when parsing began.
    stack_base: usize,
}

/// Stack that parsing may use, of the 2 MiB that a thread has. Only the large frames of unoptimised builds get there
/// before [`DEPTH_MAX`].
const STACK_BYTES_MAX: usize = 1 << 20;

/// The address of something on the stack now (PostgreSQL's stack_is_too_deep does the same).
#[inline(never)]
fn stack_address() -> usize {
    let here = 0u8;
    std::hint::black_box(&raw const here) as usize
}

impl<'a> Parser<'a> {
    pub fn new(sql: &'a str) -> Parser<'a> {
        Parser {
            sql,
            tokens: super::lexer::tokenize(sql),
            at: 0,
            parameters: 0,
            depth: 0,
            height: 0,
            stack_base: stack_address(),
        }
    }

    // ---- depth ----

    /// Runs one level of recursion.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Parser<'a>) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX || stack_address().abs_diff(self.stack_base) > STACK_BYTES_MAX {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let outer = std::mem::take(&mut self.height);
        let result = parse(self);
        self.depth -= 1;
        self.height = outer.max(self.height + 1);
        if self.height > DEPTH_MAX && result.is_ok() {
            return Err(self.too_deep());
        }
        result
    }

    /// What was built so far at this level becomes an operand of something new.
    pub fn deepen(&mut self) -> Result<()> {
        self.height += 1;
        if self.height > DEPTH_MAX { Err(self.too_deep()) } else { Ok(()) }
    }

    fn too_deep(&self) -> Error {
        Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
            .detail(format!("The statement nests deeper than {DEPTH_MAX} levels."))
            .at(self.position())
    }

    // ---- tokens ----

    pub fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    pub fn peek_ahead(&self, ahead: usize) -> &Kind {
        // The last token is End or Error.
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }

    pub fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    pub fn position(&self) -> Position {
        self.tokens[self.at].position as usize
    }

    /// The source from token `from` up to the token before the current one.
    pub fn text_from(&self, from: usize) -> String {
        if from >= self.at {
            return String::new();
        }
        self.sql[self.tokens[from].start as usize..self.tokens[self.at - 1].end as usize].to_owned()
    }

    /// The error for a token that can't stand where it stands.
    pub fn unexpected(&self) -> Error {
        self.unexpected_at(self.at)
    }

    pub fn unexpected_at(&self, at: usize) -> Error {
        let token = &self.tokens[at];
        match &token.kind {
            Kind::Error(error) => (**error).clone(),
            Kind::End => {
                Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(token.position as usize)
            }
            _ => {
                let text = token.text(self.sql);
                Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))
                    .at(token.position as usize)
            }
        }
    }

    pub fn keyword(&self) -> Option<Keyword> {
        self.keyword_ahead(0)
    }

    pub fn keyword_ahead(&self, ahead: usize) -> Option<Keyword> {
        match self.peek_ahead(ahead) {
            Kind::Keyword(keyword) => Some(*keyword),
            _ => None,
        }
    }

    pub fn is(&self, keyword: Keyword) -> bool {
        self.keyword() == Some(keyword)
    }

    pub fn eat(&mut self, keyword: Keyword) -> bool {
        let found = self.is(keyword);
        if found {
            self.advance();
        }
        found
    }

    /// Both in a row, or nothing.
    pub fn eat_two(&mut self, first: Keyword, second: Keyword) -> bool {
        let found = self.is(first) && self.keyword_ahead(1) == Some(second);
        if found {
            self.advance();
            self.advance();
        }
        found
    }

    pub fn expect(&mut self, keyword: Keyword) -> Result<()> {
        if self.eat(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// IF EXISTS.
    pub fn eat_if_exists(&mut self) -> Result<bool> {
        if self.eat(Keyword::If) {
            self.expect(Keyword::Exists)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// IF NOT EXISTS.
    pub fn eat_if_not_exists(&mut self) -> Result<bool> {
        if self.is(Keyword::If) && self.keyword_ahead(1) == Some(Keyword::Not) {
            self.advance();
            self.advance();
            self.expect(Keyword::Exists)?;
            return Ok(true);
        }
        Ok(false)
    }

    pub fn is_symbol(&self, symbol: u8) -> bool {
        self.is_symbol_ahead(0, symbol)
    }

    pub fn is_symbol_ahead(&self, ahead: usize, symbol: u8) -> bool {
        matches!(self.peek_ahead(ahead), Kind::Symbol(found) if *found == symbol)
    }

    pub fn eat_symbol(&mut self, symbol: u8) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub fn expect_symbol(&mut self, symbol: u8) -> Result<()> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// A word that the grammar knows but PostgreSQL keeps out of its keyword list (LOGIN, CSV's options, …).
    pub fn is_word(&self, word: &str) -> bool {
        self.word_ahead(0) == Some(word)
    }

    /// The folded text of a keyword or identifier.
    pub fn word_ahead(&self, ahead: usize) -> Option<&str> {
        match self.peek_ahead(ahead) {
            Kind::Identifier(name) => Some(name),
            Kind::Keyword(keyword) => Some(keyword.text()),
            _ => None,
        }
    }

    pub fn at_statement_end(&self) -> bool {
        matches!(self.peek(), Kind::End | Kind::Symbol(b';'))
    }

    // ---- names ----

    fn name_of(&self, allowed: impl Fn(Category) -> bool) -> Option<Name> {
        match self.peek() {
            Kind::Identifier(name) => Some(name.to_string()),
            Kind::Keyword(keyword) if allowed(keyword.category()) => Some(keyword.text().to_owned()),
            _ => None,
        }
    }

    fn take_name(&mut self, allowed: impl Fn(Category) -> bool) -> Result<Name> {
        let name = self.name_of(allowed).ok_or_else(|| self.unexpected())?;
        self.advance();
        Ok(name)
    }

    /// Whether a ColId stands `ahead` tokens on.
    pub fn is_column_id(&self, ahead: usize) -> bool {
        match self.peek_ahead(ahead) {
            Kind::Identifier(_) => true,
            Kind::Keyword(keyword) => is_column_category(keyword.category()),
            _ => false,
        }
    }

    /// ColId: the name of a column, table, and most other things.
    pub fn column_id(&mut self) -> Result<Name> {
        self.take_name(is_column_category)
    }

    /// type_function_name.
    pub fn type_function_name(&mut self) -> Result<Name> {
        self.take_name(|category| matches!(category, Category::Unreserved | Category::TypeFunctionName))
    }

    /// NonReservedWord.
    pub fn non_reserved_word(&mut self) -> Result<Name> {
        self.take_name(|category| category != Category::Reserved)
    }

    /// ColLabel: any word.
    pub fn label(&mut self) -> Result<Name> {
        self.take_name(|_| true)
    }

    /// BareColLabel: a column label without AS.
    pub fn eat_bare_label(&mut self) -> Option<Name> {
        let name = match self.peek() {
            Kind::Identifier(name) => name.to_string(),
            Kind::Keyword(keyword) if keyword.is_bare_label() => keyword.text().to_owned(),
            _ => return None,
        };
        self.advance();
        Some(name)
    }

    /// `name`, `schema.name`, …
    pub fn object_name(&mut self) -> Result<ObjectName> {
        let position = self.position();
        let first = self.column_id()?;
        self.object_name_rest(first, position)
    }

    /// A name that may also be a function's or type's (operator classes, functions).
    pub fn any_object_name(&mut self) -> Result<ObjectName> {
        let position = self.position();
        let first = self.non_reserved_word()?;
        self.object_name_rest(first, position)
    }

    pub fn object_name_rest(&mut self, first: Name, position: Position) -> Result<ObjectName> {
        let mut parts = vec![first];
        while self.is_symbol(b'.') {
            self.advance();
            parts.push(self.label()?);
            if parts.len() > 3 {
                let name = parts.join(".");
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {name}"),
                )
                .at(position));
            }
        }
        Ok(ObjectName { parts, position })
    }

    // ---- constants ----

    pub fn eat_string(&mut self) -> Option<String> {
        let Kind::String(value) = self.peek() else {
            return None;
        };
        let value = value.to_string();
        self.advance();
        Some(value)
    }

    pub fn string(&mut self) -> Result<String> {
        self.eat_string().ok_or_else(|| self.unexpected())
    }

    /// An Iconst: an unsigned integer that fits int4.
    pub fn eat_integer(&mut self) -> Option<i32> {
        let Kind::Integer(digits) = self.peek() else {
            return None;
        };
        let value = digits.parse().ok()?;
        self.advance();
        Some(value)
    }

    pub fn signed_integer(&mut self) -> Result<i64> {
        let at = self.at;
        let text = self.signed_number()?;
        text.parse().map_err(|_| match self.tokens[at].kind {
            Kind::Symbol(_) => self.unexpected_at(at + 1),
            _ => self.unexpected_at(at),
        })
    }

    /// NumericOnly, as text.
    pub fn signed_number(&mut self) -> Result<String> {
        let negative = if self.eat_symbol(b'-') {
            true
        } else {
            self.eat_symbol(b'+');
            false
        };
        let (Kind::Integer(digits) | Kind::Decimal(digits)) = self.peek() else {
            return Err(self.unexpected());
        };
        let text = if negative { format!("-{digits}") } else { digits.to_string() };
        self.advance();
        Ok(text)
    }

    // ---- lists ----

    /// One or more, separated by commas.
    pub fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Parser<'a>) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_symbol(b',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( item, … )`.
    pub fn parenthesised<T>(&mut self, item: impl FnMut(&mut Parser<'a>) -> Result<T>) -> Result<Vec<T>> {
        self.expect_symbol(b'(')?;
        let items = self.comma_list(item)?;
        self.expect_symbol(b')')?;
        Ok(items)
    }

    /// `( column, … )` if it is there.
    pub fn optional_columns(&mut self) -> Result<Vec<Name>> {
        if self.is_symbol(b'(') { self.parenthesised(Parser::column_id) } else { Ok(Vec::new()) }
    }
}

fn is_column_category(category: Category) -> bool {
    matches!(category, Category::Unreserved | Category::ColumnName)
}
