//! A function's text to its tree. The tokens are SQL's; statements are told apart by their first words, expressions and SQL statements
//! end where PostgreSQL's pl_gram.y ends them: at a word or symbol outside of parentheses (and, more kindly, of CASE … END).

use super::conditions;
use super::scope::Scope;
use super::tree::*;
use crate::catalog::{Catalog, Relation};
use crate::error::{Error, Result, Severity, SqlState};
use crate::parse::ast;
use crate::parse::lexer::{Kind as TokenKind, Token, tokenize};
use crate::plan::VariableConflict;
use crate::session::nested::Statement as SqlStatement;
use crate::types::Type;
use parking_lot::Mutex;
use std::sync::Arc;

/// Nesting of blocks and loops.
const DEPTH_MAX: usize = 100;

pub struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    pub variables: Vec<Variable>,
    pub scope: Arc<Scope>,
    catalog: &'a Catalog,
    search_path: &'a [String],
    returns: Returns,
    pub conflict: VariableConflict,
    handlers: usize,
}

/// What RETURN may say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    Value,
    Void,
    /// OUT parameters make the result.
    Outputs,
    Set,
    SetOutputs,
}

impl<'a> Parser<'a> {
    pub fn new(
        text: &'a str,
        catalog: &'a Catalog,
        search_path: &'a [String],
        returns: Returns,
    ) -> Parser<'a> {
        Parser {
            text,
            tokens: tokenize(text),
            at: 0,
            depth: 0,
            variables: Vec::new(),
            scope: Arc::new(Scope { parent: None, label: None, names: Vec::new() }),
            catalog,
            search_path,
            returns,
            conflict: VariableConflict::Error,
            handlers: 0,
        }
    }

    // ---- tokens ----

    fn kind(&self, ahead: usize) -> &TokenKind {
        &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)].kind
    }
    fn word_at(&self, ahead: usize) -> Option<&str> {
        match self.kind(ahead) {
            TokenKind::Identifier(name) => Some(name),
            TokenKind::Keyword(keyword) => Some(keyword.text()),
            _ => None,
        }
    }
    fn word(&self) -> Option<&str> {
        self.word_at(0)
    }
    fn is(&self, word: &str) -> bool {
        self.word() == Some(word)
    }
    fn is_symbol(&self, symbol: u8) -> bool {
        matches!(self.kind(0), TokenKind::Symbol(found) if *found == symbol)
    }
    fn symbol_at(&self, ahead: usize, symbol: u8) -> bool {
        matches!(self.kind(ahead), TokenKind::Symbol(found) if *found == symbol)
    }
    fn is_operator(&self, ahead: usize, operator: &str) -> bool {
        let token = &self.tokens[(self.at + ahead).min(self.tokens.len() - 1)];
        matches!(token.kind, TokenKind::Operator) && token.text(self.text) == operator
    }
    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }
    fn eat(&mut self, word: &str) -> bool {
        let found = self.is(word);
        if found {
            self.advance();
        }
        found
    }
    fn eat_symbol(&mut self, symbol: u8) -> bool {
        let found = self.is_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }
    fn expect(&mut self, word: &str) -> Result<()> {
        if self.eat(word) { Ok(()) } else { Err(self.unexpected()) }
    }
    fn expect_symbol(&mut self, symbol: u8) -> Result<()> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }
    fn unexpected(&self) -> Error {
        let token = &self.tokens[self.at];
        match &token.kind {
            TokenKind::Error(error) => (**error).clone(),
            TokenKind::End => Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of input"),
            _ => {
                let message = format!("syntax error at or near \"{}\"", token.text(self.text));
                Error::new(SqlState::SYNTAX_ERROR, message)
            }
        }
    }
    fn syntax(&self, message: impl Into<String>) -> Error {
        Error::new(SqlState::SYNTAX_ERROR, message)
    }
    pub fn line(&self) -> usize {
        let start = self.tokens[self.at].start as usize;
        1 + self.text[..start].bytes().filter(|byte| *byte == b'\n').count()
    }
    fn name(&mut self) -> Result<String> {
        let name = self.word().ok_or_else(|| self.unexpected())?.to_owned();
        self.advance();
        Ok(name)
    }
    fn string(&mut self) -> Result<String> {
        match self.kind(0) {
            TokenKind::String(text) => {
                let text = text.to_string();
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected()),
        }
    }
    fn slice(&self, from: usize, to: usize) -> &'a str {
        if from >= to {
            return "";
        }
        &self.text[self.tokens[from].start as usize..self.tokens[to - 1].end as usize]
    }

    /// Skips to one of these words or symbols outside of parentheses; the token range.
    fn until(&mut self, words: &[&str], symbols: &[u8]) -> Result<(usize, usize)> {
        let from = self.at;
        let (mut parentheses, mut cases) = (0usize, 0usize);
        loop {
            match self.kind(0) {
                TokenKind::End | TokenKind::Error(_) => return Err(self.unexpected()),
                TokenKind::Symbol(symbol) if parentheses == 0 && symbols.contains(symbol) => break,
                TokenKind::DotDot if parentheses == 0 && words.contains(&"..") => break,
                TokenKind::ColonEquals if parentheses == 0 && words.contains(&":=") => break,
                TokenKind::Symbol(b'(' | b'[') => parentheses += 1,
                TokenKind::Symbol(b')' | b']') => {
                    parentheses = parentheses.checked_sub(1).ok_or_else(|| self.unexpected())?;
                }
                TokenKind::Symbol(b';') if parentheses > 0 => {
                    return Err(self.syntax("mismatched parentheses"));
                }
                TokenKind::Symbol(b';') => {
                    return Err(self.unexpected());
                }
                TokenKind::Keyword(_) | TokenKind::Identifier(_) if parentheses == 0 => {
                    let word = self.word().unwrap_or_default();
                    if cases == 0 && words.contains(&word) {
                        break;
                    }
                    match word {
                        "case" => cases += 1,
                        "end" if cases > 0 => cases -= 1,
                        _ => {}
                    }
                }
                _ => {}
            }
            self.advance();
        }
        Ok((from, self.at))
    }

    fn expression_of(&self, (from, to): (usize, usize), line: usize) -> Result<Expression> {
        if from == to {
            return Err(match self.kind(0) {
                TokenKind::Symbol(b';') => self.syntax("missing expression"),
                _ => self.unexpected(),
            });
        }
        self.expression_text(self.slice(from, to), line)
    }

    fn expression_text(&self, text: &str, line: usize) -> Result<Expression> {
        let select = format!("SELECT {text}");
        let parsed = crate::parse::parse_expression(text).ok();
        let mut statements = crate::parse::parse(&select).map_err(Error::without_position)?;
        let kind = match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => statement.kind,
            _ => return Err(self.syntax(format!("syntax error at or near \"{text}\""))),
        };
        Ok(Expression {
            text: text.to_owned(),
            line,
            scope: self.scope.clone(),
            parsed,
            simple: Mutex::new(None),
            query: SqlStatement::new(kind, select),
        })
    }

    fn expression_until(&mut self, words: &[&str], symbols: &[u8]) -> Result<Expression> {
        let line = self.line();
        let range = self.until(words, symbols)?;
        self.expression_of(range, line)
    }

    /// An expression up to the semicolon, which is eaten.
    fn expression_to_end(&mut self) -> Result<Expression> {
        let expression = self.expression_until(&[], b";")?;
        self.expect_symbol(b';')?;
        Ok(expression)
    }

    fn query_text(&self, text: &str) -> Result<Query> {
        let mut statements = crate::parse::parse(text).map_err(Error::without_position)?;
        match (statements.pop(), statements.is_empty()) {
            (Some(statement), true) => {
                Ok(Query { statement: SqlStatement::new(statement.kind, text), scope: self.scope.clone() })
            }
            _ => Err(self.unexpected()),
        }
    }

    // ---- names ----

    pub fn declare(&mut self, variable: Variable) -> VariableId {
        let id = self.variables.len();
        self.bind_name(variable.name.clone(), id);
        self.variables.push(variable);
        id
    }
    pub fn bind_name(&mut self, name: String, id: VariableId) {
        let Scope { parent, label, names } = &*self.scope;
        let mut names = names.clone();
        names.push((name, id));
        self.scope = Arc::new(Scope { parent: parent.clone(), label: label.clone(), names });
    }
    pub fn open_scope(&mut self, label: Option<String>) -> Arc<Scope> {
        let outer = self.scope.clone();
        self.scope = Arc::new(Scope { parent: Some(outer.clone()), label, names: Vec::new() });
        outer
    }

    fn resolve(&self, parts: &[String]) -> Result<Target> {
        let unknown = || self.syntax(format!("\"{}\" is not a known variable", parts.join(".")));
        let (id, rest) = self.scope.resolve(parts).ok_or_else(unknown)?;
        let variable = &self.variables[id];
        if variable.constant {
            let message = format!("variable \"{}\" is declared CONSTANT", variable.name);
            return Err(Error::new(SqlState::ERROR_IN_ASSIGNMENT, message));
        }
        match (&variable.kind, rest) {
            (_, []) => Ok(Target::Variable(id)),
            (VariableKind::Record { .. }, [field, ..]) => Ok(Target::Field(id, field.clone())),
            _ => Err(unknown()),
        }
    }

    fn dotted_name(&mut self) -> Result<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.is_symbol(b'.') && self.word_at(1).is_some() {
            self.advance();
            parts.push(self.name()?);
        }
        Ok(parts)
    }

    /// `a`, `r.f`, `a[1]`, `a[1:2]`.
    fn target(&mut self) -> Result<Target> {
        let parts = self.dotted_name()?;
        let mut target = self.resolve(&parts)?;
        let mut subscripts = Vec::new();
        while self.eat_symbol(b'[') {
            let line = self.line();
            let range = self.until(&[], b":]")?;
            let lower = match range.0 == range.1 {
                true => None,
                false => Some(self.expression_of(range, line)?),
            };
            if self.eat_symbol(b':') {
                let range = self.until(&[], b"]")?;
                let upper = match range.0 == range.1 {
                    true => None,
                    false => Some(self.expression_of(range, line)?),
                };
                subscripts.push((lower, upper, true));
            } else {
                subscripts.push((None, lower, false));
            }
            self.expect_symbol(b']')?;
        }
        if !subscripts.is_empty() {
            target = Target::Element(Box::new(target), subscripts);
        }
        Ok(target)
    }

    /// INTO's targets: one record, or a list.
    fn targets(&mut self) -> Result<Target> {
        let mut list = vec![self.target()?];
        while self.eat_symbol(b',') {
            list.push(self.target()?);
        }
        Ok(match (list.pop(), list.is_empty()) {
            (Some(one), true) => one,
            (Some(last), false) => {
                list.push(last);
                Target::List(list)
            }
            (None, _) => Target::List(list),
        })
    }

    // ---- blocks ----

    /// The whole body.
    pub fn body(&mut self) -> Result<Block> {
        while self.is_operator(0, "#") {
            self.advance();
            let option = self.name()?;
            let value = self.name()?;
            match (option.as_str(), value.as_str()) {
                ("variable_conflict", "error") => self.conflict = VariableConflict::Error,
                ("variable_conflict", "use_variable") => self.conflict = VariableConflict::Variable,
                ("variable_conflict", "use_column") => self.conflict = VariableConflict::Column,
                ("option" | "print_strict_params", _) => {}
                _ => return Err(self.unexpected()),
            }
        }
        let label = self.label()?;
        let block = self.block(label)?;
        self.eat_symbol(b';');
        match self.kind(0) {
            TokenKind::End => Ok(block),
            _ => Err(self.unexpected()),
        }
    }

    /// `<<label>>`
    fn label(&mut self) -> Result<Option<String>> {
        if !self.is_operator(0, "<<") {
            return Ok(None);
        }
        self.advance();
        let label = self.name()?;
        if !self.is_operator(0, ">>") {
            return Err(self.unexpected());
        }
        self.advance();
        Ok(Some(label))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn block(&mut self, label: Option<String>) -> Result<Block> {
        self.nested(|parser| {
            let outer = parser.open_scope(label.clone());
            let block = parser.block_in_scope(label);
            parser.scope = outer;
            block
        })
    }

    fn block_in_scope(&mut self, label: Option<String>) -> Result<Block> {
        let mut line = self.line();
        let first = self.variables.len();
        if self.eat("declare") {
            while !self.is("begin") {
                if self.eat("declare") {
                    continue;
                }
                self.declaration()?;
            }
        }
        let variables = (first..self.variables.len()).collect();
        if self.is("begin") {
            line = self.line();
        }
        self.expect("begin")?;
        let body = self.statements(&["end", "exception"])?;
        let mut handlers = Vec::new();
        let mut error_variables = None;
        if self.eat("exception") {
            let text = VariableKind::Scalar { data_type: Type::TEXT, modifier: -1 };
            let state = self.declare(plain("sqlstate", text.clone(), line));
            let message = self.declare(plain("sqlerrm", text, line));
            error_variables = Some((state, message));
            self.handlers += 1;
            while self.eat("when") {
                handlers.push(self.handler()?);
            }
            self.handlers -= 1;
        }
        self.expect("end")?;
        self.end_label(label.as_deref())?;
        Ok(Block { label, line, variables, body, handlers, error_variables })
    }

    fn end_label(&mut self, label: Option<&str>) -> Result<()> {
        if let TokenKind::Identifier(_) | TokenKind::Keyword(_) = self.kind(0) {
            let end = self.name()?;
            match label {
                None => {
                    return Err(self.syntax(format!("end label \"{end}\" specified for unlabeled block")));
                }
                Some(label) if label != end => {
                    return Err(
                        self.syntax(format!("end label \"{end}\" differs from block's label \"{label}\""))
                    );
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn handler(&mut self) -> Result<Handler> {
        let mut conditions = Vec::new();
        loop {
            let name = self.name()?;
            conditions.push(match name.as_str() {
                "others" => Condition::Others,
                "sqlstate" => {
                    let code = self.string()?;
                    let state =
                        conditions::state(&code).ok_or_else(|| self.syntax("invalid SQLSTATE code"))?;
                    Condition::State(state)
                }
                name => {
                    let state = conditions::condition(name).ok_or_else(|| unrecognized(name))?;
                    Condition::State(state)
                }
            });
            if !self.eat("or") {
                break;
            }
        }
        self.expect("then")?;
        let body = self.statements(&["end", "when"])?;
        Ok(Handler { conditions, body })
    }

    // ---- declarations ----

    fn declaration(&mut self) -> Result<()> {
        let line = self.line();
        let name = self.name()?;
        if self.scope.names.iter().any(|(known, _)| *known == name) {
            return Err(self.syntax(format!("duplicate declaration of \"{name}\"")));
        }
        if self.eat("alias") {
            self.expect("for")?;
            let id = match self.kind(0) {
                TokenKind::Parameter(number) => {
                    let parts = [format!("${number}")];
                    let found = self.scope.resolve(&parts).map(|(id, _)| id);
                    self.advance();
                    found.ok_or_else(|| self.syntax(format!("variable \"{}\" does not exist", parts[0])))?
                }
                _ => {
                    let parts = self.dotted_name()?;
                    let found = self.scope.resolve(&parts).map(|(id, _)| id);
                    found.ok_or_else(|| {
                        let message = format!("variable \"{}\" does not exist", parts.join("."));
                        Error::new(SqlState::UNDEFINED_OBJECT, message)
                    })?
                }
            };
            self.expect_symbol(b';')?;
            self.bind_name(name, id);
            return Ok(());
        }
        let no_scroll = self.is("no") && self.word_at(1) == Some("scroll");
        if no_scroll {
            self.advance();
        }
        if no_scroll || (self.is("scroll") && self.word_at(1) == Some("cursor")) {
            self.advance();
        }
        if self.is("cursor") {
            return self.bound_cursor(name, line);
        }
        let constant = self.eat("constant");
        let kind = self.variable_type()?;
        if self.eat("collate") {
            self.dotted_name()?;
        }
        let not_null = self.is("not");
        if not_null {
            self.advance();
            self.expect("null")?;
        }
        let default = if self.eat_symbol(b';') {
            None
        } else {
            if !matches!(self.kind(0), TokenKind::ColonEquals | TokenKind::Symbol(b'='))
                && !self.is("default")
            {
                return Err(self.unexpected());
            }
            self.advance();
            Some(self.expression_to_end()?)
        };
        if not_null && default.is_none() {
            let message =
                format!("variable \"{name}\" must have a default value, since it's declared NOT NULL");
            return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        self.declare(Variable { name, kind, constant, not_null, default, line, cursor: None });
        Ok(())
    }

    fn bound_cursor(&mut self, name: String, line: usize) -> Result<()> {
        self.advance();
        let mut arguments = Vec::new();
        let outer = self.open_scope(None);
        if self.eat_symbol(b'(') {
            loop {
                let argument = self.name()?;
                let kind = self.variable_type_until(&[], b",)")?;
                let id = self.declare(plain(&argument, kind, line));
                arguments.push((argument, id));
                if !self.eat_symbol(b',') {
                    break;
                }
            }
            self.expect_symbol(b')')?;
        }
        if !self.eat("for") {
            self.expect("is")?;
        }
        let (from, to) = self.until(&[], b";")?;
        let query = self.query_text(self.slice(from, to))?;
        self.expect_symbol(b';')?;
        self.scope = outer;
        let kind = VariableKind::Scalar { data_type: Type::REFCURSOR, modifier: -1 };
        let mut variable = plain(&name, kind, line);
        variable.cursor = Some(Arc::new(BoundCursor { arguments, query }));
        self.declare(variable);
        Ok(())
    }

    fn variable_type(&mut self) -> Result<VariableKind> {
        self.variable_type_until(&["not", "default", "collate", ":="], b";=")
    }

    fn variable_type_until(&mut self, words: &[&str], symbols: &[u8]) -> Result<VariableKind> {
        let (from, to) = self.until(words, symbols)?;
        if from == to {
            return Err(self.syntax("missing data type declaration"));
        }
        let text = self.slice(from, to).trim();
        if text.eq_ignore_ascii_case("record") {
            return Ok(VariableKind::Record { shape: None });
        }
        let suffix = |suffix: &str| {
            let at = text.len().checked_sub(suffix.len())?;
            let (start, end) = (text.get(..at)?, text.get(at..)?);
            end.eq_ignore_ascii_case(suffix).then(|| start.trim_end())
        };
        if let Some(of) = suffix("%type") {
            return self.type_of(of);
        }
        if let Some(of) = suffix("%rowtype") {
            let parts = crate::parse::parse_name(of)?;
            return match self.row_shape(&parts)? {
                Some(shape) => Ok(VariableKind::Record { shape: Some(shape) }),
                None => Err(Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{}\" does not exist", parts.join(".")),
                )),
            };
        }
        let name = crate::parse::parse_type_name(text).map_err(Error::without_position)?;
        match crate::bind::type_by_name(&name) {
            Ok((data_type, _)) if data_type.is_row() => Ok(super::record_of(data_type)),
            Ok((data_type, modifier)) => Ok(VariableKind::Scalar { data_type, modifier }),
            Err(error) => match self.row_shape(&name.name.parts)? {
                Some(shape) if name.array_dimensions == 0 => Ok(VariableKind::Record { shape: Some(shape) }),
                _ => Err(error.without_position()),
            },
        }
    }

    fn find_table(&self, parts: &[String]) -> Option<Arc<crate::catalog::Table>> {
        let (name, schemas) = parts.split_last()?;
        match self.catalog.find_relation(schemas.last().map(String::as_str), name, self.search_path)? {
            Relation::Table(table) => Some(table),
            _ => None,
        }
    }

    fn row_shape(&self, parts: &[String]) -> Result<Option<Shape>> {
        Ok(self.find_table(parts).map(|table| table_shape(&table)))
    }

    fn type_of(&self, of: &str) -> Result<VariableKind> {
        let parts = crate::parse::parse_name(of)?;
        if let Some((id, [])) = self.scope.resolve(&parts) {
            return Ok(self.variables[id].kind.clone());
        }
        let missing =
            || Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", parts[0]));
        let Some((column, table)) = parts.split_last() else { return Err(missing()) };
        if table.is_empty() {
            return Err(self.syntax(format!("\"{column}\" is not a known variable")));
        }
        let table = self.find_table(table).ok_or_else(missing)?;
        let at = table.column_index(column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        })?;
        let column = &table.columns[at];
        Ok(VariableKind::Scalar { data_type: column.data_type(), modifier: column.modifier })
    }

    // ---- statements ----

    fn statements(&mut self, ends: &[&str]) -> Result<Vec<Statement>> {
        let mut out = Vec::new();
        loop {
            if let Some(word) = self.word()
                && ends.contains(&word)
            {
                return Ok(out);
            }
            if matches!(self.kind(0), TokenKind::End) {
                return Err(self.unexpected());
            }
            out.push(self.nested(Self::statement)?);
        }
    }

    fn statement(&mut self) -> Result<Statement> {
        let label = self.label()?;
        let line = self.line();
        let kind = self.statement_kind(label)?;
        Ok(Statement { line, kind })
    }

    fn is_assignment(&self) -> bool {
        let mut ahead = 0;
        if self.word_at(0).is_none() {
            return false;
        }
        ahead += 1;
        loop {
            match self.kind(ahead) {
                TokenKind::ColonEquals | TokenKind::Symbol(b'=') => return true,
                TokenKind::Symbol(b'.') if self.word_at(ahead + 1).is_some() => ahead += 2,
                TokenKind::Symbol(b'[') => {
                    let mut depth = 0usize;
                    loop {
                        match self.kind(ahead) {
                            TokenKind::Symbol(b'[' | b'(') => depth += 1,
                            TokenKind::Symbol(b']' | b')') => depth = depth.saturating_sub(1),
                            TokenKind::Symbol(b';') | TokenKind::End | TokenKind::Error(_) => return false,
                            _ => {}
                        }
                        ahead += 1;
                        if depth == 0 {
                            break;
                        }
                    }
                }
                _ => return false,
            }
        }
    }

    fn statement_kind(&mut self, label: Option<String>) -> Result<Kind> {
        let Some(word) = self.word().map(str::to_owned) else { return Err(self.unexpected()) };
        if self.is_assignment() {
            let target = self.target()?;
            self.advance();
            return Ok(Kind::Assign(target, self.expression_to_end()?));
        }
        match word.as_str() {
            "declare" | "begin" => {
                let block = self.block(label)?;
                self.expect_symbol(b';')?;
                Ok(Kind::Block(block))
            }
            "if" => self.if_statement(),
            "case" => self.case_statement(),
            "loop" => {
                let body = self.loop_body(label.as_deref())?;
                Ok(Kind::Loop(label, body))
            }
            "while" => {
                self.advance();
                let condition = self.expression_until(&["loop"], b"")?;
                let body = self.loop_body(label.as_deref())?;
                Ok(Kind::While(label, condition, body))
            }
            "for" => self.for_statement(label),
            "foreach" => self.foreach_statement(label),
            "exit" | "continue" => {
                self.advance();
                let label = match self.kind(0) {
                    TokenKind::Symbol(_) => None,
                    _ if self.is("when") => None,
                    _ => Some(self.name()?),
                };
                let when = match self.eat("when") {
                    true => Some(self.expression_until(&[], b";")?),
                    false => None,
                };
                self.expect_symbol(b';')?;
                Ok(Kind::Exit { is_exit: word == "exit", label, when })
            }
            "return" => self.return_statement(),
            "raise" => self.raise_statement(),
            "assert" => {
                self.advance();
                let condition = self.expression_until(&[], b",;")?;
                let message = match self.eat_symbol(b',') {
                    true => Some(self.expression_until(&[], b";")?),
                    false => None,
                };
                self.expect_symbol(b';')?;
                Ok(Kind::Assert(condition, message))
            }
            "perform" => {
                self.advance();
                Ok(Kind::Perform(self.expression_to_end()?))
            }
            "execute" => {
                self.advance();
                let (text, using, into) = self.execute(b";")?;
                self.expect_symbol(b';')?;
                Ok(Kind::Execute { text, using, into })
            }
            "get" => self.get_diagnostics(),
            "open" => self.open_statement(),
            "fetch" | "move" => self.fetch_statement(),
            "close" => {
                self.advance();
                let cursor = self.cursor()?;
                self.expect_symbol(b';')?;
                Ok(Kind::Close(cursor))
            }
            "null" => {
                self.advance();
                self.expect_symbol(b';')?;
                Ok(Kind::Null)
            }
            "commit" | "rollback" => {
                self.advance();
                if self.eat("and") {
                    let no = self.eat("no");
                    self.expect("chain")?;
                    if !no {
                        return Err(Error::unsupported("AND CHAIN in a procedure"));
                    }
                }
                self.expect_symbol(b';')?;
                Ok(if word == "commit" { Kind::Commit } else { Kind::Rollback })
            }
            "call" => {
                let (from, to) = self.until(&[], b";")?;
                let text = self.slice(from, to);
                let mut parsed = crate::parse::parse(text).map_err(Error::without_position)?;
                self.expect_symbol(b';')?;
                match parsed.pop().map(|statement| statement.kind) {
                    Some(ast::StatementKind::Call(call)) => {
                        Ok(Kind::Call(*call, self.scope.clone(), text.to_owned()))
                    }
                    _ => Err(self.unexpected()),
                }
            }
            _ => self.sql_statement(),
        }
    }

    fn if_statement(&mut self) -> Result<Kind> {
        self.advance();
        let mut arms = Vec::new();
        let condition = self.expression_until(&["then"], b"")?;
        self.expect("then")?;
        arms.push((condition, self.statements(&["elsif", "elseif", "else", "end"])?));
        while self.eat("elsif") || self.eat("elseif") {
            let condition = self.expression_until(&["then"], b"")?;
            self.expect("then")?;
            arms.push((condition, self.statements(&["elsif", "elseif", "else", "end"])?));
        }
        let otherwise = if self.eat("else") { self.statements(&["end"])? } else { Vec::new() };
        self.expect("end")?;
        self.expect("if")?;
        self.expect_symbol(b';')?;
        Ok(Kind::If(arms, otherwise))
    }

    fn case_statement(&mut self) -> Result<Kind> {
        self.advance();
        let outer = self.scope.clone();
        let operand = match self.is("when") {
            true => None,
            false => {
                let expression = self.expression_until(&["when"], b"")?;
                // Its type is known when it is evaluated.
                let name = format!("__Case__Variable_{}__", self.variables.len());
                let kind = VariableKind::Record { shape: None };
                let id = self.declare(plain(&name, kind, self.line()));
                Some((expression, id, name))
            }
        };
        let mut arms = Vec::new();
        while self.eat("when") {
            let line = self.line();
            let range = self.until(&["then"], b"")?;
            let condition = match &operand {
                None => self.expression_of(range, line)?,
                Some((_, _, name)) => {
                    let list = self.slice(range.0, range.1);
                    self.expression_text(&format!("\"{name}\".value IN ({list})"), line)?
                }
            };
            self.expect("then")?;
            arms.push((condition, self.statements(&["when", "else", "end"])?));
        }
        let otherwise = if self.eat("else") { Some(self.statements(&["end"])?) } else { None };
        self.expect("end")?;
        self.expect("case")?;
        self.expect_symbol(b';')?;
        self.scope = outer;
        Ok(Kind::Case { operand: operand.map(|(expression, id, _)| (expression, id)), arms, otherwise })
    }

    /// LOOP … END LOOP [label];
    fn loop_body(&mut self, label: Option<&str>) -> Result<Vec<Statement>> {
        self.expect("loop")?;
        let body = self.statements(&["end"])?;
        self.expect("end")?;
        self.expect("loop")?;
        self.end_label(label)?;
        self.expect_symbol(b';')?;
        Ok(body)
    }

    fn for_statement(&mut self, label: Option<String>) -> Result<Kind> {
        self.advance();
        let outer = self.open_scope(label.clone());
        let result = self.for_in_scope(label);
        self.scope = outer;
        result
    }

    fn for_in_scope(&mut self, label: Option<String>) -> Result<Kind> {
        let line = self.line();
        let names_at = self.at;
        // The loop's names; what they are shows after IN.
        let mut names = vec![self.dotted_name()?];
        while self.eat_symbol(b',') {
            names.push(self.dotted_name()?);
        }
        let after_names = self.at;
        self.expect("in")?;
        let targets = |parser: &mut Self| -> Result<Target> {
            let resume = parser.at;
            parser.at = names_at;
            let target = parser.targets();
            debug_assert!(target.is_err() || parser.at == after_names);
            parser.at = resume;
            target
        };
        if self.is("execute") {
            self.advance();
            let target = targets(self)?;
            let text = self.expression_until(&["loop", "using"], b"")?;
            let using = self.using(&["loop"], &[])?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(Kind::ForQuery { label, target, query: Dynamic::Execute(text, using), body });
        }
        // A bound cursor.
        if let Some(word) = self.word()
            && let Some(id) = self.scope.find(word)
            && self.variables[id].cursor.is_some()
            && (self.word_at(1) == Some("loop") || self.symbol_at(1, b'('))
        {
            self.advance();
            let arguments = self.cursor_arguments(id)?;
            let [name] = &names[..] else {
                return Err(self.syntax("cursor FOR loop must have one loop variable"));
            };
            let kind = VariableKind::Record { shape: None };
            let record = self.declare(plain(&name[0], kind, line));
            let body = self.loop_body(label.as_deref())?;
            return Ok(Kind::ForCursor { label, record, cursor: id, arguments, body });
        }
        let reverse = self.is("reverse") && !self.symbol_at(1, b'(');
        if reverse {
            self.advance();
        }
        let start = self.line();
        let range = self.until(&["loop", ".."], b"")?;
        if matches!(self.kind(0), TokenKind::DotDot) {
            let lower = self.expression_of(range, start)?;
            self.advance();
            let upper = self.expression_until(&["loop", "by"], b"")?;
            let step = match self.eat("by") {
                true => Some(self.expression_until(&["loop"], b"")?),
                false => None,
            };
            let [name] = &names[..] else {
                return Err(self.syntax("integer FOR loop must have only one target variable"));
            };
            let kind = VariableKind::Scalar { data_type: Type::INT4, modifier: -1 };
            let variable = self.declare(plain(&name[0], kind, line));
            let body = self.loop_body(label.as_deref())?;
            return Ok(Kind::ForInteger { label, variable, lower, upper, step, reverse, body });
        }
        if reverse {
            return Err(self.syntax("cannot specify REVERSE in query FOR loop"));
        }
        let target = targets(self).map_err(|_| {
            self.syntax(
                "loop variable of loop over rows must be a record variable or list of scalar variables",
            )
        })?;
        let query = self.query_text(self.slice(range.0, range.1))?;
        let body = self.loop_body(label.as_deref())?;
        Ok(Kind::ForQuery { label, target, query: Dynamic::Static(query), body })
    }

    fn foreach_statement(&mut self, label: Option<String>) -> Result<Kind> {
        self.advance();
        let target = self.targets()?;
        let slice = match self.eat("slice") {
            true => match self.kind(0) {
                TokenKind::Integer(digits) => {
                    let slice = digits.parse().map_err(|_| self.unexpected())?;
                    self.advance();
                    slice
                }
                _ => return Err(self.unexpected()),
            },
            false => 0,
        };
        self.expect("in")?;
        self.expect("array")?;
        let array = self.expression_until(&["loop"], b"")?;
        let outer = self.open_scope(label.clone());
        let body = self.loop_body(label.as_deref());
        self.scope = outer;
        Ok(Kind::Foreach { label, target, slice, array, body: body? })
    }

    fn return_statement(&mut self) -> Result<Kind> {
        self.advance();
        let set = matches!(self.returns, Returns::Set | Returns::SetOutputs);
        if self.is("next") {
            self.advance();
            if !set {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "cannot use RETURN NEXT in a non-SETOF function",
                ));
            }
            if self.eat_symbol(b';') {
                return Ok(Kind::ReturnNext(None));
            }
            if self.returns == Returns::SetOutputs {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "RETURN NEXT cannot have a parameter in function with OUT parameters",
                ));
            }
            return Ok(Kind::ReturnNext(Some(self.expression_to_end()?)));
        }
        if self.is("query") {
            self.advance();
            if !set {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "cannot use RETURN QUERY in a non-SETOF function",
                ));
            }
            if self.eat("execute") {
                let text = self.expression_until(&["using"], b";")?;
                let using = self.using(&[], b";")?;
                self.expect_symbol(b';')?;
                return Ok(Kind::ReturnQuery(Dynamic::Execute(text, using)));
            }
            let (from, to) = self.until(&[], b";")?;
            let query = self.query_text(self.slice(from, to))?;
            self.expect_symbol(b';')?;
            return Ok(Kind::ReturnQuery(Dynamic::Static(query)));
        }
        if self.eat_symbol(b';') {
            return match self.returns {
                Returns::Value => Err(self.syntax("missing expression at or near \";\"")),
                _ => Ok(Kind::Return(None)),
            };
        }
        let mismatch = |message: &str| Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        match self.returns {
            Returns::Set | Returns::SetOutputs => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "RETURN cannot have a parameter in function returning set",
            )
            .hint("Use RETURN NEXT or RETURN QUERY.")),
            Returns::Void => mismatch("RETURN cannot have a parameter in function returning void"),
            Returns::Outputs => mismatch("RETURN cannot have a parameter in function with OUT parameters"),
            Returns::Value => Ok(Kind::Return(Some(self.expression_to_end()?))),
        }
    }

    fn raise_statement(&mut self) -> Result<Kind> {
        self.advance();
        let mut raise = Raise {
            severity: Severity::Error,
            name: None,
            state: None,
            message: None,
            parameters: Vec::new(),
            options: Vec::new(),
            again: false,
        };
        if self.eat_symbol(b';') {
            raise.again = true;
            return Ok(Kind::Raise(raise));
        }
        let severity = match self.word() {
            Some("exception") => Some(Severity::Error),
            Some("warning") => Some(Severity::Warning),
            Some("notice") => Some(Severity::Notice),
            Some("info") => Some(Severity::Info),
            Some("log") => Some(Severity::Log),
            Some("debug") => Some(Severity::Debug),
            _ => None,
        };
        if let Some(severity) = severity {
            raise.severity = severity;
            self.advance();
        }
        match self.kind(0) {
            TokenKind::String(_) => {
                raise.message = Some(self.string()?);
                while self.eat_symbol(b',') {
                    raise.parameters.push(self.expression_until(&["using"], b",;")?);
                }
                check_placeholders(&raise)?;
            }
            _ if self.is("using") => {}
            TokenKind::Symbol(_) => {}
            _ if self.is("sqlstate") => {
                self.advance();
                let code = self.string()?;
                raise.state =
                    Some(conditions::state(&code).ok_or_else(|| self.syntax("invalid SQLSTATE code"))?);
                raise.name = Some(code);
            }
            _ => {
                let name = self.name()?;
                raise.state = Some(conditions::condition(&name).ok_or_else(|| unrecognized(&name))?);
                raise.name = Some(name);
            }
        }
        if self.eat("using") {
            loop {
                let option = match self.name()?.as_str() {
                    "errcode" => RaiseOption::Code,
                    "message" => RaiseOption::Message,
                    "detail" => RaiseOption::Detail,
                    "hint" => RaiseOption::Hint,
                    "column" => RaiseOption::Column,
                    "constraint" => RaiseOption::Constraint,
                    "datatype" => RaiseOption::DataType,
                    "table" => RaiseOption::Table,
                    "schema" => RaiseOption::Schema,
                    _ => return Err(self.syntax("unrecognized RAISE statement option")),
                };
                if !matches!(self.kind(0), TokenKind::Symbol(b'=') | TokenKind::ColonEquals) {
                    return Err(self.syntax("syntax error, expected \"=\""));
                }
                self.advance();
                raise.options.push((option, self.expression_until(&[], b",;")?));
                if !self.eat_symbol(b',') {
                    break;
                }
            }
        }
        self.expect_symbol(b';')?;
        Ok(Kind::Raise(raise))
    }

    /// USING expressions, if they are there.
    fn using(&mut self, words: &[&str], symbols: &[u8]) -> Result<Vec<Expression>> {
        let mut list = Vec::new();
        if !self.eat("using") {
            return Ok(list);
        }
        let mut words = words.to_vec();
        words.push("into");
        let symbols: Vec<u8> = symbols.iter().copied().chain([b',']).collect();
        loop {
            list.push(self.expression_until(&words, &symbols)?);
            if !self.eat_symbol(b',') {
                return Ok(list);
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn execute(&mut self, symbols: &[u8]) -> Result<(Expression, Vec<Expression>, Option<(Target, bool)>)> {
        let text = self.expression_until(&["into", "using"], symbols)?;
        let (mut using, mut into) = (Vec::new(), None);
        loop {
            if self.is("using") {
                using = self.using(&[], symbols)?;
            } else if self.eat("into") {
                let strict = self.eat("strict");
                into = Some((self.targets()?, strict));
            } else {
                return Ok((text, using, into));
            }
        }
    }

    fn get_diagnostics(&mut self) -> Result<Kind> {
        self.advance();
        let stacked = self.eat("stacked");
        if !stacked {
            self.eat("current");
        }
        self.expect("diagnostics")?;
        let mut items = Vec::new();
        loop {
            let target = self.target()?;
            if !matches!(self.kind(0), TokenKind::Symbol(b'=') | TokenKind::ColonEquals) {
                return Err(self.unexpected());
            }
            self.advance();
            let item = self.name()?;
            let known = match item.as_str() {
                "row_count" | "pg_routine_oid" => Some(false),
                "pg_context" => None,
                "returned_sqlstate"
                | "message_text"
                | "pg_exception_detail"
                | "pg_exception_hint"
                | "pg_exception_context"
                | "column_name"
                | "constraint_name"
                | "pg_datatype_name"
                | "table_name"
                | "schema_name" => Some(true),
                _ => return Err(self.syntax("unrecognized GET DIAGNOSTICS item")),
            };
            if known.is_some_and(|needs| needs != stacked) {
                let form = if stacked { "GET STACKED DIAGNOSTICS" } else { "GET CURRENT DIAGNOSTICS" };
                let message =
                    format!("diagnostics item {} is not allowed in {form}", item.to_ascii_uppercase());
                return Err(self.syntax(message));
            }
            items.push((target, item));
            if !self.eat_symbol(b',') {
                break;
            }
        }
        self.expect_symbol(b';')?;
        Ok(Kind::GetDiagnostics { stacked, items })
    }

    // ---- cursors ----

    fn cursor(&mut self) -> Result<VariableId> {
        let parts = self.dotted_name()?;
        let found = self.scope.resolve(&parts).map(|(id, _)| id);
        let id =
            found.ok_or_else(|| self.syntax(format!("\"{}\" is not a known variable", parts.join("."))))?;
        match self.variables[id].kind {
            VariableKind::Scalar { data_type: Type::REFCURSOR, .. } => Ok(id),
            _ => {
                let message = format!("variable \"{}\" must be of type cursor or refcursor", parts.join("."));
                Err(Error::new(SqlState::DATATYPE_MISMATCH, message))
            }
        }
    }

    /// A bound cursor's arguments, in its order.
    fn cursor_arguments(&mut self, cursor: VariableId) -> Result<Vec<Expression>> {
        let Some(bound) = self.variables[cursor].cursor.clone() else { return Ok(Vec::new()) };
        let name = self.variables[cursor].name.clone();
        if !self.eat_symbol(b'(') {
            return match bound.arguments.is_empty() {
                true => Ok(Vec::new()),
                false => Err(self.syntax(format!("cursor \"{name}\" has arguments"))),
            };
        }
        if bound.arguments.is_empty() {
            return Err(self.syntax(format!("cursor \"{name}\" has no arguments")));
        }
        let mut given: Vec<Option<Expression>> = bound.arguments.iter().map(|_| None).collect();
        let mut at = 0;
        loop {
            let mut place = at;
            if self.word().is_some()
                && matches!(self.kind(1), TokenKind::ColonEquals | TokenKind::EqualsGreater)
            {
                let argument = self.name()?;
                self.advance();
                place =
                    bound.arguments.iter().position(|(known, _)| *known == argument).ok_or_else(|| {
                        self.syntax(format!("cursor \"{name}\" has no argument named \"{argument}\""))
                    })?;
            }
            let expression = self.expression_until(&[], b",)")?;
            match given.get_mut(place) {
                None => return Err(self.syntax(format!("too many arguments for cursor \"{name}\""))),
                Some(slot @ None) => *slot = Some(expression),
                Some(Some(_)) => {
                    return Err(self.syntax(format!(
                        "value for parameter \"{}\" of cursor \"{name}\" specified more than once",
                        bound.arguments[place].0
                    )));
                }
            }
            at += 1;
            if !self.eat_symbol(b',') {
                break;
            }
        }
        self.expect_symbol(b')')?;
        let complete: Option<Vec<Expression>> = given.into_iter().collect();
        complete.ok_or_else(|| self.syntax(format!("not enough arguments for cursor \"{name}\"")))
    }

    fn open_statement(&mut self) -> Result<Kind> {
        self.advance();
        let cursor = self.cursor()?;
        if self.variables[cursor].cursor.is_some() {
            let arguments = self.cursor_arguments(cursor)?;
            self.expect_symbol(b';')?;
            return Ok(Kind::Open { cursor, arguments, query: None });
        }
        if self.is("no") && self.word_at(1) == Some("scroll") {
            self.advance();
        }
        self.eat("scroll");
        self.expect("for")?;
        let query = if self.eat("execute") {
            let text = self.expression_until(&["using"], b";")?;
            Dynamic::Execute(text, self.using(&[], b";")?)
        } else {
            let (from, to) = self.until(&[], b";")?;
            Dynamic::Static(self.query_text(self.slice(from, to))?)
        };
        self.expect_symbol(b';')?;
        Ok(Kind::Open { cursor, arguments: Vec::new(), query: Some(query) })
    }

    fn fetch_statement(&mut self) -> Result<Kind> {
        let moves = self.is("move");
        self.advance();
        let mut direction = Direction::Forward(None);
        let mut given = true;
        match self.word() {
            Some("next") => self.advance(),
            Some("prior") => {
                self.advance();
                direction = Direction::Backward;
            }
            Some("first") => {
                self.advance();
                direction = Direction::First;
            }
            Some("last") => {
                self.advance();
                direction = Direction::Last;
            }
            Some("absolute") => {
                self.advance();
                direction = Direction::Absolute(self.expression_until(&["from", "in"], b"")?);
            }
            Some("relative") => {
                self.advance();
                direction = Direction::Relative(self.expression_until(&["from", "in"], b"")?);
            }
            Some("all") => {
                self.advance();
                direction = Direction::All;
            }
            Some("forward") => {
                self.advance();
                if self.eat("all") {
                    direction = Direction::All;
                } else if !self.is("from") && !self.is("in") {
                    direction = Direction::Forward(Some(self.expression_until(&["from", "in"], b"")?));
                }
            }
            Some("backward") => {
                self.advance();
                direction = Direction::Backward;
            }
            Some("from" | "in") => {}
            Some(_) => given = false,
            None => direction = Direction::Forward(Some(self.expression_until(&["from", "in"], b"")?)),
        }
        if given && !self.eat("from") && !self.eat("in") && self.word().is_none() {
            return Err(self.unexpected());
        }
        let cursor = self.cursor()?;
        let target = match moves {
            true => None,
            false => {
                self.expect("into")?;
                Some(self.targets()?)
            }
        };
        self.expect_symbol(b';')?;
        Ok(Kind::Fetch { cursor, direction, target })
    }

    // ---- SQL ----

    /// A SQL statement; INTO is taken out of it.
    fn sql_statement(&mut self) -> Result<Kind> {
        let from = self.at;
        let mut into = None;
        let mut text = String::new();
        let mut piece = from;
        let mut parentheses = 0usize;
        let mut previous = String::new();
        let mut blocks = 0usize;
        loop {
            match self.kind(0) {
                TokenKind::End | TokenKind::Error(_) => return Err(self.unexpected()),
                TokenKind::Symbol(b';') if parentheses == 0 && blocks == 0 => break,
                TokenKind::Symbol(b'(') => parentheses += 1,
                TokenKind::Symbol(b')') => parentheses = parentheses.saturating_sub(1),
                TokenKind::Keyword(_) | TokenKind::Identifier(_) => {
                    let word = self.word().unwrap_or_default().to_owned();
                    let first = self.word_of(from);
                    let takes_into =
                        !matches!(first.as_str(), "create" | "alter" | "drop" | "grant" | "revoke");
                    if word == "into" && takes_into && !matches!(previous.as_str(), "insert" | "merge") {
                        if into.is_some() {
                            return Err(self.syntax("INTO specified more than once"));
                        }
                        text.push_str(self.slice(piece, self.at));
                        text.push(' ');
                        self.advance();
                        let strict = self.eat("strict");
                        into = Some((self.targets()?, strict));
                        piece = self.at;
                        previous.clear();
                        continue;
                    }
                    match word.as_str() {
                        "begin" if self.word_at(1) == Some("atomic") => blocks += 1,
                        "end" if blocks > 0 => blocks -= 1,
                        _ => {}
                    }
                    previous = word;
                    self.advance();
                    continue;
                }
                _ => {}
            }
            previous.clear();
            self.advance();
        }
        text.push_str(self.slice(piece, self.at));
        let query = self.query_text(text.trim())?;
        self.expect_symbol(b';')?;
        Ok(Kind::Sql { query, into })
    }

    fn word_of(&self, at: usize) -> String {
        match &self.tokens[at].kind {
            TokenKind::Identifier(name) => name.to_string(),
            TokenKind::Keyword(keyword) => keyword.text().to_owned(),
            _ => String::new(),
        }
    }
}

pub fn table_shape(table: &crate::catalog::Table) -> Shape {
    let columns = table.columns.iter().filter(|column| !column.dropped);
    columns.map(|column| (column.name.clone(), column.data_type())).collect()
}

pub fn plain(name: &str, kind: VariableKind, line: usize) -> Variable {
    Variable {
        name: name.to_owned(),
        kind,
        constant: false,
        not_null: false,
        default: None,
        line,
        cursor: None,
    }
}

fn unrecognized(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized exception condition \"{name}\""))
}

fn check_placeholders(raise: &Raise) -> Result<()> {
    let message = raise.message.as_deref().unwrap_or_default();
    let mut wanted = 0;
    let mut chars = message.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '%' && chars.next_if_eq(&'%').is_none() {
            wanted += 1;
        }
    }
    match wanted.cmp(&raise.parameters.len()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "too many parameters specified for RAISE"))
        }
        std::cmp::Ordering::Greater => {
            Err(Error::new(SqlState::SYNTAX_ERROR, "too few parameters specified for RAISE"))
        }
    }
}
