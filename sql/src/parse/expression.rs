//! Expressions, by precedence climbing over PostgreSQL's table of precedences (gram.y, lowest first):
//!
//! | level | operators | |
//! |---|---|---|
//! | `OR`, `AND` | | left; kept flat |
//! | `NOT` | | prefix |
//! | `IS` | `IS …`, `ISNULL`, `NOTNULL` | not associative |
//! | `COMPARISON` | `< > = <= >= <>` | not associative |
//! | `BETWEEN` | `BETWEEN IN LIKE ILIKE SIMILAR` | not associative |
//! | `OPERATOR` | every other operator, infix and prefix | left |
//! | `SUM`, `PRODUCT`, `POWER` | `+ -`, `* / %`, `^` | left |
//! | `AT`, `COLLATE` | `AT TIME ZONE`, `COLLATE` | left |
//! | `SIGN` | prefix `+ -` (so `-2^2` is 4) | |
//! | `CAST` | `::` | left |
//!
//! The functions are small and the rare forms are out of line: the stack one level of nesting takes decides how deep
//! [`super::DEPTH_MAX`] can be.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::{Category, Keyword as K};
use super::lexer::Kind;
use crate::error::{Error, Result, SqlState};

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARISON: u8 = 5;
const BETWEEN: u8 = 6;
const OPERATOR: u8 = 8;
const SUM: u8 = 9;
const PRODUCT: u8 = 10;
const POWER: u8 = 11;
const AT: u8 = 12;
const COLLATE: u8 = 13;
const SIGN: u8 = 14;
const CAST: u8 = 15;

/// The two expression non-terminals of the grammar.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grammar {
    /// a_expr.
    Any,
    /// b_expr: without AND, OR, NOT, IN, LIKE, BETWEEN, IS NULL and the like, where those words mean something else.
    Restricted,
}

/// What stands after an operand.
enum Infix {
    And,
    Or,
    /// An operator of one token.
    Token,
    /// `OPERATOR(…)`.
    Qualified,
    Is,
    IsNull,
    NotNull,
    Between,
    In,
    Like(LikeKind),
    Overlaps,
    AtTimeZone,
    Collate,
    Cast,
}

/// What parentheses held, when a query was possible there.
pub enum Parenthesised {
    Query(Box<Query>),
    Expressions(Vec<Expr>),
}

impl Parser<'_> {
    /// a_expr.
    pub fn expr(&mut self) -> Result<Expr> {
        self.expr_at(OR, Grammar::Any)
    }

    /// b_expr: what may stand after DEFAULT and before a column's next constraint.
    pub fn restricted_expr(&mut self) -> Result<Expr> {
        self.expr_at(OR, Grammar::Restricted)
    }

    pub fn expr_list(&mut self) -> Result<Vec<Expr>> {
        self.comma_list(Parser::expr)
    }

    /// An expression whose outermost operators bind at least as tight as `level`.
    fn expr_at(&mut self, level: u8, grammar: Grammar) -> Result<Expr> {
        self.nested(|parser| {
            let left = parser.prefix(grammar)?;
            parser.operators(left, level, grammar)
        })
    }

    fn operators(&mut self, mut left: Expr, min: u8, grammar: Grammar) -> Result<Expr> {
        while let Some((level, infix)) = self.infix(grammar) {
            if level < min {
                break;
            }
            // Only an operator that ends in an operand can stand in the way of the next: `a IS NULL IS NULL` is fine.
            let open = matches!(infix, Infix::Token | Infix::Between | Infix::Like(_));
            left = match infix {
                Infix::And => self.and(left, grammar)?,
                Infix::Or => self.or(left, grammar)?,
                _ => {
                    self.deepen()?;
                    self.infix_operator(left, level, infix, grammar)?
                }
            };
            let open = match left {
                Expr::IsDistinctFrom { .. } => true,
                Expr::Quantified { .. } | Expr::QuantifiedSubquery { .. } => false,
                _ => open,
            };
            // Not associative: `a < b < c`.
            if open
                && matches!(level, IS | COMPARISON | BETWEEN)
                && self.infix(grammar).is_some_and(|(next, _)| next == level)
            {
                return Err(self.unexpected());
            }
        }
        Ok(left)
    }

    fn infix(&self, grammar: Grammar) -> Option<(u8, Infix)> {
        let found = match self.peek() {
            Kind::Symbol(symbol) => match symbol {
                b'<' | b'>' | b'=' => (COMPARISON, Infix::Token),
                b'+' | b'-' => (SUM, Infix::Token),
                b'*' | b'/' | b'%' => (PRODUCT, Infix::Token),
                b'^' => (POWER, Infix::Token),
                _ => return None,
            },
            Kind::Operator => match self.tokens[self.at].text(self.sql) {
                "<=" | ">=" | "<>" | "!=" => (COMPARISON, Infix::Token),
                _ => (OPERATOR, Infix::Token),
            },
            Kind::TypeCast => (CAST, Infix::Cast),
            Kind::Keyword(keyword) => return self.infix_keyword(*keyword, grammar),
            _ => return None,
        };
        Some(found)
    }

    fn infix_keyword(&self, keyword: K, grammar: Grammar) -> Option<(u8, Infix)> {
        match keyword {
            K::Operator if self.is_symbol_ahead(1, b'(') => return Some((OPERATOR, Infix::Qualified)),
            K::Is => {
                let distinct = match self.keyword_ahead(1) {
                    Some(K::Not) => matches!(self.keyword_ahead(2), Some(K::Distinct | K::Document)),
                    other => matches!(other, Some(K::Distinct | K::Document)),
                };
                return (grammar == Grammar::Any || distinct).then_some((IS, Infix::Is));
            }
            _ if grammar == Grammar::Restricted => return None,
            _ => {}
        }
        let word = match keyword {
            K::Not => self.keyword_ahead(1)?,
            other => other,
        };
        let negated = keyword == K::Not;
        Some(match word {
            K::Between => (BETWEEN, Infix::Between),
            K::In => (BETWEEN, Infix::In),
            K::Like => (BETWEEN, Infix::Like(LikeKind::Like)),
            K::Ilike => (BETWEEN, Infix::Like(LikeKind::ILike)),
            K::Similar if self.keyword_ahead(1 + usize::from(negated)) == Some(K::To) => {
                (BETWEEN, Infix::Like(LikeKind::SimilarTo))
            }
            _ if negated => return None,
            K::And => (AND, Infix::And),
            K::Or => (OR, Infix::Or),
            K::Isnull => (IS, Infix::IsNull),
            K::Notnull => (IS, Infix::NotNull),
            K::Overlaps => (BETWEEN, Infix::Overlaps),
            K::At if self.keyword_ahead(1) == Some(K::Time) => (AT, Infix::AtTimeZone),
            K::Collate => (COLLATE, Infix::Collate),
            _ => return None,
        })
    }

    fn and(&mut self, left: Expr, grammar: Grammar) -> Result<Expr> {
        let mut terms = vec![left];
        while self.eat(K::And) {
            terms.push(self.expr_at(AND + 1, grammar)?);
        }
        self.deepen()?;
        Ok(Expr::And(terms))
    }

    fn or(&mut self, left: Expr, grammar: Grammar) -> Result<Expr> {
        let mut terms = vec![left];
        while self.eat(K::Or) {
            terms.push(self.expr_at(OR + 1, grammar)?);
        }
        self.deepen()?;
        Ok(Expr::Or(terms))
    }

    fn infix_operator(&mut self, left: Expr, level: u8, infix: Infix, grammar: Grammar) -> Result<Expr> {
        match infix {
            Infix::Token | Infix::Qualified => self.binary(left, level, grammar),
            Infix::Cast => self.cast_suffix(left),
            Infix::Is => self.is_predicate(left, grammar),
            Infix::IsNull | Infix::NotNull => {
                self.advance();
                let negated = matches!(infix, Infix::NotNull);
                Ok(Expr::IsNull { operand: Box::new(left), negated })
            }
            Infix::Between => self.between(left),
            Infix::In => self.in_predicate(left),
            Infix::Like(kind) => self.like(left, kind),
            Infix::Overlaps => self.overlaps(left),
            Infix::AtTimeZone => self.at_time_zone(left, grammar),
            Infix::Collate => self.collate(left),
            Infix::And | Infix::Or => Err(Error::internal("AND and OR are handled by the caller")),
        }
    }

    fn cast_suffix(&mut self, left: Expr) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let to = self.type_name()?;
        Ok(Expr::Cast { operand: Box::new(left), to, position })
    }

    fn at_time_zone(&mut self, left: Expr, grammar: Grammar) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.expect(K::Time)?;
        self.expect(K::Zone)?;
        let zone = Box::new(self.expr_at(AT + 1, grammar)?);
        Ok(Expr::AtTimeZone { operand: Box::new(left), zone, position })
    }

    fn collate(&mut self, left: Expr) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let collation = self.object_name()?;
        Ok(Expr::Collate { operand: Box::new(left), collation, position })
    }

    fn binary(&mut self, left: Expr, level: u8, grammar: Grammar) -> Result<Expr> {
        let position = self.position();
        let operator = self.any_operator()?;
        if grammar == Grammar::Any && matches!(self.keyword(), Some(K::Any | K::Some | K::All)) {
            return self.quantified(left, operator, position);
        }
        let right = Box::new(self.expr_at(level + 1, grammar)?);
        Ok(Expr::Binary { operator, left: Box::new(left), right, position })
    }

    /// qual_all_Op: the current operator token, or `OPERATOR(schema.op)`.
    pub fn any_operator(&mut self) -> Result<String> {
        if self.eat(K::Operator) {
            self.expect_symbol(b'(')?;
            let mut name = String::new();
            while !self.is_operator_token() {
                name.push_str(&self.column_id()?);
                self.expect_symbol(b'.')?;
                name.push('.');
            }
            name.push_str(&self.operator_token()?);
            self.expect_symbol(b')')?;
            // All operators there are live in pg_catalog.
            return Ok(name.strip_prefix("pg_catalog.").map_or(name.clone(), str::to_owned));
        }
        self.operator_token()
    }

    pub fn is_operator_token(&self) -> bool {
        match self.peek() {
            Kind::Operator => true,
            Kind::Symbol(symbol) => b"+-*/%^<>=".contains(symbol),
            _ => false,
        }
    }

    pub fn operator_token(&mut self) -> Result<String> {
        if !self.is_operator_token() {
            return Err(self.unexpected());
        }
        let text = match self.tokens[self.at].text(self.sql) {
            "!=" => "<>",
            other => other,
        };
        self.advance();
        Ok(text.to_owned())
    }

    /// `op ANY|SOME|ALL ( array or query )`.
    fn quantified(&mut self, left: Expr, operator: String, position: Position) -> Result<Expr> {
        let all = self.is(K::All);
        self.advance();
        let operand = Box::new(left);
        match self.parenthesised_expressions()? {
            Parenthesised::Query(query) => {
                Ok(Expr::QuantifiedSubquery { operand, operator, all, query, position })
            }
            Parenthesised::Expressions(mut list) if list.len() == 1 => {
                let array = Box::new(list.remove(0));
                Ok(Expr::Quantified { operand, operator, all, array, position })
            }
            Parenthesised::Expressions(_) => Err(self.unexpected()),
        }
    }

    fn is_predicate(&mut self, left: Expr, grammar: Grammar) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let negated = self.eat(K::Not);
        let operand = Box::new(left);
        let result = match self.keyword() {
            Some(K::Null) => Expr::IsNull { operand, negated },
            Some(K::True) => Expr::IsBool { operand, value: Some(true), negated },
            Some(K::False) => Expr::IsBool { operand, value: Some(false), negated },
            Some(K::Unknown) => Expr::IsBool { operand, value: None, negated },
            Some(K::Distinct) => {
                self.advance();
                self.expect(K::From)?;
                let right = Box::new(self.expr_at(IS + 1, grammar)?);
                return Ok(Expr::IsDistinctFrom { left: operand, right, negated, position });
            }
            Some(K::Document) => return Err(Error::unsupported("IS DOCUMENT").at(position)),
            Some(K::Normalized | K::Nfc | K::Nfd | K::Nfkc | K::Nfkd) => {
                return self.is_normalized(*operand, negated, position);
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(result)
    }

    fn is_normalized(&mut self, operand: Expr, negated: bool, position: Position) -> Result<Expr> {
        let mut arguments = vec![operand];
        if !self.is(K::Normalized) {
            let form = self.label()?.to_ascii_uppercase();
            arguments.push(Expr::Literal(Literal::String(form), position));
        }
        self.expect(K::Normalized)?;
        let call = builtin_call("is_normalized", arguments, position);
        Ok(if negated { Expr::Not(Box::new(call)) } else { call })
    }

    fn between(&mut self, left: Expr) -> Result<Expr> {
        let position = self.position();
        let negated = self.eat(K::Not);
        self.expect(K::Between)?;
        let symmetric = self.eat(K::Symmetric);
        if !symmetric {
            self.eat(K::Asymmetric);
        }
        let low = Box::new(self.restricted_expr()?);
        self.expect(K::And)?;
        let high = Box::new(self.expr_at(BETWEEN + 1, Grammar::Any)?);
        Ok(Expr::Between { operand: Box::new(left), low, high, negated, symmetric, position })
    }

    fn in_predicate(&mut self, left: Expr) -> Result<Expr> {
        let position = self.position();
        let negated = self.eat(K::Not);
        self.expect(K::In)?;
        let operand = Box::new(left);
        Ok(match self.parenthesised_expressions()? {
            Parenthesised::Query(query) => Expr::InSubquery { operand, query, negated, position },
            Parenthesised::Expressions(list) => Expr::InList { operand, list, negated, position },
        })
    }

    fn like(&mut self, left: Expr, kind: LikeKind) -> Result<Expr> {
        let position = self.position();
        let negated = self.eat(K::Not);
        self.advance();
        if kind == LikeKind::SimilarTo {
            self.expect(K::To)?;
        } else if matches!(self.keyword(), Some(K::Any | K::Some | K::All)) {
            let operator = match (kind, negated) {
                (LikeKind::ILike, false) => "~~*",
                (LikeKind::ILike, true) => "!~~*",
                (_, false) => "~~",
                (_, true) => "!~~",
            };
            return self.quantified(left, operator.to_owned(), position);
        }
        let pattern = Box::new(self.expr_at(BETWEEN + 1, Grammar::Any)?);
        let escape = match self.eat(K::Escape) {
            true => Some(Box::new(self.expr_at(BETWEEN + 1, Grammar::Any)?)),
            false => None,
        };
        Ok(Expr::Like { operand: Box::new(left), pattern, escape, kind, negated, position })
    }

    fn overlaps(&mut self, left: Expr) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let right = self.expr_at(BETWEEN + 1, Grammar::Any)?;
        let (Expr::Row(mut arguments, _), Expr::Row(second, _)) = (left, right) else {
            return Err(
                Error::new(SqlState::SYNTAX_ERROR, "OVERLAPS needs a row on either side").at(position)
            );
        };
        for (count, side) in [(arguments.len(), "left"), (second.len(), "right")] {
            if count != 2 {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("wrong number of parameters on {side} side of OVERLAPS expression"),
                )
                .at(position));
            }
        }
        arguments.extend(second);
        Ok(builtin_call("overlaps", arguments, position))
    }

    // ---- operands ----

    fn prefix(&mut self, grammar: Grammar) -> Result<Expr> {
        match self.peek() {
            Kind::Symbol(b'-' | b'+') => self.sign(grammar),
            Kind::Operator | Kind::Keyword(K::Operator) => self.prefix_operator(grammar),
            Kind::Keyword(K::Not) if grammar == Grammar::Any => self.not(),
            _ => self.primary(),
        }
    }

    fn prefix_operator(&mut self, grammar: Grammar) -> Result<Expr> {
        let position = self.position();
        let operator = self.any_operator()?;
        let operand = Box::new(self.expr_at(OPERATOR + 1, grammar)?);
        Ok(Expr::Unary { operator, operand, position })
    }

    fn not(&mut self) -> Result<Expr> {
        self.advance();
        let operand = Box::new(self.expr_at(NOT, Grammar::Any)?);
        Ok(Expr::Not(operand))
    }

    /// A sign before a number belongs to it, so that -9223372036854775808 is an int8.
    fn sign(&mut self, grammar: Grammar) -> Result<Expr> {
        let position = self.position();
        let negative = self.is_symbol(b'-');
        self.advance();
        let operand = self.expr_at(SIGN, grammar)?;
        match operand {
            Expr::Literal(Literal::Number(digits), _) if negative => {
                let digits = match digits.strip_prefix('-') {
                    Some(positive) => positive.to_owned(),
                    None => format!("-{digits}"),
                };
                Ok(Expr::Literal(Literal::Number(digits), position))
            }
            operand => {
                let operator = if negative { "-" } else { "+" }.to_owned();
                Ok(Expr::Unary { operator, operand: Box::new(operand), position })
            }
        }
    }

    /// c_expr.
    pub fn primary(&mut self) -> Result<Expr> {
        let position = self.position();
        let literal = match self.peek() {
            Kind::Integer(digits) | Kind::Decimal(digits) => Literal::Number(digits.to_string()),
            Kind::String(value) => Literal::String(value.to_string()),
            Kind::Bits(digits) => Literal::Bits(digits.to_string()),
            Kind::Parameter(number) => {
                let number = *number;
                self.advance();
                self.parameters = self.parameters.max(number);
                return self.indirection(Expr::Parameter(number, position));
            }
            Kind::Identifier(_) => return self.name_expr(),
            Kind::Keyword(keyword) => return self.keyword_expr(*keyword),
            Kind::Symbol(b'(') => return self.parenthesised_operand(),
            Kind::Symbol(b'*') => {
                // Only a target list takes it; elsewhere the binder refuses it.
                return Err(self.unexpected());
            }
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(Expr::Literal(literal, position))
    }

    fn keyword_expr(&mut self, keyword: K) -> Result<Expr> {
        let position = self.position();
        let literal = match keyword {
            K::Null => Literal::Null,
            K::True => Literal::Bool(true),
            K::False => Literal::Bool(false),
            K::Default => {
                self.advance();
                return Ok(Expr::Default(position));
            }
            _ => return self.special_form(keyword),
        };
        self.advance();
        Ok(Expr::Literal(literal, position))
    }

    /// `( … )` as an operand: an expression, a row or a query.
    fn parenthesised_operand(&mut self) -> Result<Expr> {
        let position = self.position();
        let operand = match self.parenthesised_expressions()? {
            Parenthesised::Query(query) => Expr::Subquery(query, position),
            Parenthesised::Expressions(mut list) if list.len() == 1 => list.remove(0),
            Parenthesised::Expressions(list) => return Ok(Expr::Row(list, position)),
        };
        if self.is_symbol(b'[') || self.is_symbol(b'.') {
            return self.indirection(operand);
        }
        Ok(operand)
    }

    /// `( expr, … )` or `( query )`; a query in more parentheses than one is still a query.
    pub fn parenthesised_expressions(&mut self) -> Result<Parenthesised> {
        self.expect_symbol(b'(')?;
        if self.at_query() {
            let query = self.query()?;
            self.expect_symbol(b')')?;
            return Ok(Parenthesised::Query(query));
        }
        let first = if self.is_symbol(b'(') && self.parentheses_hold_query() {
            match self.nested(Parser::parenthesised_again)? {
                Parenthesised::Query(query) => {
                    self.expect_symbol(b')')?;
                    return Ok(Parenthesised::Query(query));
                }
                Parenthesised::Expressions(mut list) => list.remove(0),
            }
        } else {
            self.expr()?
        };
        let mut list = vec![first];
        while self.eat_symbol(b',') {
            list.push(self.expr()?);
        }
        self.expect_symbol(b')')?;
        Ok(Parenthesised::Expressions(list))
    }

    /// What starts with a second parenthesis and may be a query or one expression, up to the first's `,` or `)`.
    fn parenthesised_again(&mut self) -> Result<Parenthesised> {
        let position = self.position();
        let operand = match self.parenthesised_expressions()? {
            Parenthesised::Query(query) if self.is_symbol(b')') => return Ok(Parenthesised::Query(query)),
            Parenthesised::Query(query) if self.at_query_continuation() => {
                return Ok(Parenthesised::Query(self.query_from(query)?));
            }
            Parenthesised::Query(query) => Expr::Subquery(query, position),
            Parenthesised::Expressions(mut list) if list.len() == 1 => list.remove(0),
            Parenthesised::Expressions(list) => Expr::Row(list, position),
        };
        let operand = self.indirection(operand)?;
        Ok(Parenthesised::Expressions(vec![self.operators(operand, OR, Grammar::Any)?]))
    }

    /// Whether the run of `(` here ends in the first word of a query.
    fn parentheses_hold_query(&self) -> bool {
        let mut ahead = 0;
        while self.is_symbol_ahead(ahead, b'(') {
            ahead += 1;
        }
        self.is_query_word(ahead)
    }

    /// `[…]`, `.field`, `.*` after an operand that isn't a plain name.
    pub fn indirection(&mut self, mut operand: Expr) -> Result<Expr> {
        loop {
            let position = self.position();
            if self.is_symbol(b'[') {
                let subscripts = self.subscripts()?;
                operand = Expr::Subscript { operand: Box::new(operand), subscripts, position };
            } else if self.is_symbol(b'.') {
                self.advance();
                let field = if self.eat_symbol(b'*') { "*".to_owned() } else { self.label()? };
                operand = Expr::Field { operand: Box::new(operand), field, position };
            } else {
                return Ok(operand);
            }
            self.deepen()?;
        }
    }

    pub fn subscripts(&mut self) -> Result<Vec<Subscript>> {
        let mut subscripts = Vec::new();
        while self.eat_symbol(b'[') {
            let low = match self.peek() {
                Kind::Symbol(b':') => None,
                _ => Some(self.expr()?),
            };
            if self.eat_symbol(b':') {
                let high = if self.is_symbol(b']') { None } else { Some(self.expr()?) };
                subscripts.push(Subscript::Slice(low, high));
            } else {
                subscripts.push(Subscript::Index(low.ok_or_else(|| self.unexpected())?));
            }
            self.expect_symbol(b']')?;
        }
        Ok(subscripts)
    }

    /// What starts with a name: a column, a function call, a typed constant.
    fn name_expr(&mut self) -> Result<Expr> {
        let position = self.position();
        let category = match self.keyword().map(K::category) {
            Some(Category::Reserved) => return Err(self.unexpected()),
            other => other,
        };
        let start = self.at;
        let mut parts = vec![self.label()?];
        while self.is_symbol(b'.') {
            self.advance();
            if self.eat_symbol(b'*') {
                return Ok(Expr::Star(parts, position));
            }
            parts.push(self.label()?);
        }
        let function_name = parts.len() > 1 || category != Some(Category::ColumnName);
        match self.peek() {
            Kind::Symbol(b'(') if function_name => {
                let name = ObjectName { parts, position };
                self.call(name)
            }
            Kind::String(_) if function_name => {
                let at = self.position();
                let value = self.string()?;
                let to = generic_type(ObjectName { parts, position }, Vec::new());
                Ok(Expr::TypedLiteral { to, value, position: at })
            }
            Kind::Symbol(b'(') => Err(self.unexpected()),
            // A word that is only a function or type name can't be a column.
            _ if category == Some(Category::TypeFunctionName) => {
                if self.at == start + 1 && !matches!(self.peek(), Kind::Symbol(b'.')) {
                    return Err(self.unexpected_at(start));
                }
                Ok(Expr::Column(parts, position))
            }
            Kind::Symbol(b'[') => {
                let subscripts = self.subscripts()?;
                let operand = Box::new(Expr::Column(parts, position));
                let subscripted = Expr::Subscript { operand, subscripts, position };
                self.indirection(subscripted)
            }
            _ => Ok(Expr::Column(parts, position)),
        }
    }

    /// A constant before which its type is written, if the keyword starts one: `timestamp '…'`.
    fn typed_constant(&mut self, keyword: K) -> Result<Option<Expr>> {
        let starts_type = matches!(
            keyword,
            K::Int
                | K::Integer
                | K::Smallint
                | K::Bigint
                | K::Real
                | K::Float
                | K::Double
                | K::Decimal
                | K::Dec
                | K::Numeric
                | K::Boolean
                | K::Bit
                | K::Character
                | K::Char
                | K::Varchar
                | K::National
                | K::Nchar
                | K::Timestamp
                | K::Time
                | K::Interval
        );
        if !starts_type {
            return Ok(None);
        }
        let start = self.at;
        if let Ok(mut to) = self.simple_type_name()
            && let (position, Some(value)) = (self.position(), self.eat_string())
        {
            // Written without a length, a constant isn't cut to one character.
            if matches!(keyword, K::Character | K::Char | K::National | K::Nchar | K::Bit)
                && self.tokens[self.at - 2].text(self.sql) != ")"
            {
                to.modifiers.clear();
            }
            if keyword == K::Interval && to.modifiers.is_empty() {
                self.interval_fields(&mut to)?;
            }
            return Ok(Some(Expr::TypedLiteral { to, value, position }));
        }
        self.at = start;
        Ok(None)
    }

    /// Words with a syntax of their own; any other keyword is a name.
    fn special_form(&mut self, keyword: K) -> Result<Expr> {
        let call = self.is_symbol_ahead(1, b'(');
        match keyword {
            K::Case => self.case(),
            K::Array => self.array(),
            K::Cast if call => self.cast(),
            K::Exists if call => self.exists(),
            K::Row | K::Coalesce | K::Greatest | K::Least | K::Grouping | K::Nullif if call => {
                self.list_form(keyword)
            }
            K::Extract | K::Overlay | K::Position | K::Substring | K::Trim | K::Normalize if call => {
                self.string_form(keyword)
            }
            K::Collation if self.keyword_ahead(1) == Some(K::For) => self.collation_for(),
            K::CurrentSchema if call => self.name_expr(),
            K::CurrentDate
            | K::CurrentTime
            | K::CurrentTimestamp
            | K::Localtime
            | K::Localtimestamp
            | K::CurrentRole
            | K::CurrentUser
            | K::SessionUser
            | K::SystemUser
            | K::User
            | K::CurrentCatalog
            | K::CurrentSchema => self.special_function(keyword),
            K::Xmlconcat
            | K::Xmlelement
            | K::Xmlexists
            | K::Xmlforest
            | K::Xmlparse
            | K::Xmlpi
            | K::Xmlroot
            | K::Xmlserialize
            | K::Treat
                if call =>
            {
                Err(Error::unsupported(keyword.text().to_ascii_uppercase()).at(self.position()))
            }
            _ => self.typed_constant_or_name(keyword),
        }
    }

    fn typed_constant_or_name(&mut self, keyword: K) -> Result<Expr> {
        match self.typed_constant(keyword)? {
            Some(constant) => Ok(constant),
            None => self.name_expr(),
        }
    }

    fn exists(&mut self) -> Result<Expr> {
        self.advance();
        let query = self.query_in_parentheses()?;
        Ok(Expr::Exists { query, negated: false })
    }

    /// Words that take a plain list of expressions.
    fn list_form(&mut self, keyword: K) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.advance();
        let empty_row = keyword == K::Row && self.is_symbol(b')');
        let list = if empty_row { Vec::new() } else { self.expr_list()? };
        if keyword == K::Nullif && list.len() != 2 {
            return Err(self.unexpected());
        }
        self.expect_symbol(b')')?;
        Ok(list_expr(keyword, list, position))
    }

    fn collation_for(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.advance();
        let arguments = self.parenthesised(Parser::expr)?;
        Ok(builtin_call("pg_collation_for", arguments, position))
    }

    fn special_function(&mut self, keyword: K) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let takes_precision =
            matches!(keyword, K::CurrentTime | K::CurrentTimestamp | K::Localtime | K::Localtimestamp);
        let precision = if takes_precision { self.type_modifiers()?.first().copied() } else { None };
        Ok(Expr::SpecialFunction { name: keyword.text().to_owned(), precision, position })
    }

    fn case(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        let operand = if self.is(K::When) { None } else { Some(Box::new(self.expr()?)) };
        let mut arms = Vec::new();
        while self.eat(K::When) {
            let condition = self.expr()?;
            self.expect(K::Then)?;
            arms.push((condition, self.expr()?));
        }
        if arms.is_empty() {
            return Err(self.unexpected());
        }
        let otherwise = if self.eat(K::Else) { Some(Box::new(self.expr()?)) } else { None };
        self.expect(K::End)?;
        Ok(Expr::Case { operand, arms, otherwise, position })
    }

    fn cast(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.expect_symbol(b'(')?;
        let operand = Box::new(self.expr()?);
        self.expect(K::As)?;
        let to = self.type_name()?;
        self.expect_symbol(b')')?;
        Ok(Expr::Cast { operand, to, position })
    }

    fn array(&mut self) -> Result<Expr> {
        let position = self.position();
        self.advance();
        if self.is_symbol(b'(') {
            let query = self.query_in_parentheses()?;
            return Ok(Expr::ArraySubquery(query, position));
        }
        self.array_elements()
    }

    /// `[a, b]`, `[[a], [b]]`.
    fn array_elements(&mut self) -> Result<Expr> {
        self.nested(|parser| {
            let position = parser.position();
            parser.expect_symbol(b'[')?;
            let elements = if parser.is_symbol(b']') {
                Vec::new()
            } else if parser.is_symbol(b'[') {
                parser.comma_list(Parser::array_elements)?
            } else {
                parser.expr_list()?
            };
            parser.expect_symbol(b']')?;
            Ok(Expr::Array(elements, position))
        })
    }

    // ---- calls ----

    /// The functions whose arguments are separated by words.
    fn string_form(&mut self, keyword: K) -> Result<Expr> {
        let position = self.position();
        self.advance();
        self.advance();
        let (name, arguments) = match keyword {
            K::Extract => {
                let field_position = self.position();
                let field = match self.eat_string() {
                    Some(field) => field,
                    None => self.label()?,
                };
                self.expect(K::From)?;
                let field = Expr::Literal(Literal::String(field), field_position);
                ("extract", vec![field, self.expr()?])
            }
            K::Position => {
                let part = self.restricted_expr()?;
                self.expect(K::In)?;
                let whole = self.restricted_expr()?;
                ("position", vec![whole, part])
            }
            K::Overlay => self.overlay_arguments()?,
            K::Substring => self.substring_arguments()?,
            K::Trim => self.trim_arguments()?,
            _ => {
                let mut arguments = vec![self.expr()?];
                if self.eat_symbol(b',') {
                    let form_position = self.position();
                    let form = self.label()?.to_ascii_uppercase();
                    arguments.push(Expr::Literal(Literal::String(form), form_position));
                }
                ("normalize", arguments)
            }
        };
        self.expect_symbol(b')')?;
        Ok(builtin_call(name, arguments, position))
    }

    fn overlay_arguments(&mut self) -> Result<(&'static str, Vec<Expr>)> {
        let mut arguments = vec![self.expr()?];
        if self.eat(K::Placing) {
            arguments.push(self.expr()?);
            self.expect(K::From)?;
            arguments.push(self.expr()?);
            if self.eat(K::For) {
                arguments.push(self.expr()?);
            }
        } else if self.eat_symbol(b',') {
            arguments.extend(self.expr_list()?);
        }
        Ok(("overlay", arguments))
    }

    fn substring_arguments(&mut self) -> Result<(&'static str, Vec<Expr>)> {
        let mut arguments = vec![self.expr()?];
        if self.eat(K::From) {
            arguments.push(self.expr()?);
            if self.eat(K::For) {
                arguments.push(self.expr()?);
            }
        } else if self.is(K::For) {
            let position = self.position();
            self.advance();
            let length = self.expr()?;
            let from = if self.eat(K::From) {
                self.expr()?
            } else {
                Expr::Literal(Literal::Number("1".into()), position)
            };
            arguments.extend([from, length]);
        } else if self.eat(K::Similar) {
            arguments.push(self.expr()?);
            self.expect(K::Escape)?;
            arguments.push(self.expr()?);
        } else if self.eat_symbol(b',') {
            arguments.extend(self.expr_list()?);
        }
        Ok(("substring", arguments))
    }

    fn trim_arguments(&mut self) -> Result<(&'static str, Vec<Expr>)> {
        let name = match self.keyword() {
            Some(K::Leading) => "ltrim",
            Some(K::Trailing) => "rtrim",
            _ => "btrim",
        };
        if matches!(self.keyword(), Some(K::Leading | K::Trailing | K::Both)) {
            self.advance();
        }
        if self.eat(K::From) {
            return Ok((name, self.expr_list()?));
        }
        let first = self.expr()?;
        let mut arguments = Vec::new();
        if self.eat(K::From) {
            arguments = self.expr_list()?;
            arguments.push(first);
        } else {
            arguments.push(first);
            if self.eat_symbol(b',') {
                arguments.extend(self.expr_list()?);
            }
        }
        Ok((name, arguments))
    }

    /// func_expr, from its opening parenthesis.
    fn call(&mut self, name: ObjectName) -> Result<Expr> {
        let position = name.position;
        let mut call = empty_call(name);
        self.advance();
        if self.is_symbol(b'*') && self.is_symbol_ahead(1, b')') {
            self.advance();
            call.star = true;
        } else if !self.is_symbol(b')') {
            if self.eat(K::Distinct) {
                call.distinct = true;
            } else {
                self.eat(K::All);
            }
            loop {
                call.variadic = self.eat(K::Variadic);
                call.arguments.push(self.argument()?);
                if call.variadic || !self.eat_symbol(b',') {
                    break;
                }
            }
            call.order_by = self.order_by()?;
        }
        self.expect_symbol(b')')?;
        if matches!(self.peek(), Kind::String(_)) {
            return self.typed_literal_with_modifiers(call);
        }
        self.call_suffixes(&mut call)?;
        let result = Expr::Function(Box::new(call));
        debug_assert!(position > 0);
        Ok(result)
    }

    /// WITHIN GROUP, FILTER, OVER.
    fn call_suffixes(&mut self, call: &mut FunctionCall) -> Result<()> {
        if self.is(K::Within) && self.keyword_ahead(1) == Some(K::Group) {
            self.advance();
            self.advance();
            self.expect_symbol(b'(')?;
            call.within_group = self.order_by()?;
            self.expect_symbol(b')')?;
        }
        if self.is(K::Filter) && self.is_symbol_ahead(1, b'(') {
            self.advance();
            self.advance();
            self.expect(K::Where)?;
            call.filter = Some(self.expr()?);
            self.expect_symbol(b')')?;
        }
        if self.is(K::Over) && (self.is_symbol_ahead(1, b'(') || self.is_column_id(1)) {
            self.advance();
            call.over = Some(if self.is_symbol(b'(') {
                Over::Window(self.window_spec()?)
            } else {
                Over::Name(self.column_id()?)
            });
        }
        Ok(())
    }

    fn argument(&mut self) -> Result<Argument> {
        let named = self.word_ahead(0).is_some()
            && matches!(self.peek_ahead(1), Kind::ColonEquals | Kind::EqualsGreater);
        let name = if named {
            let name = self.type_function_name()?;
            self.advance();
            Some(name)
        } else {
            None
        };
        Ok(Argument { name, value: self.expr()? })
    }

    /// `bpchar(10) 'abc'`.
    fn typed_literal_with_modifiers(&mut self, call: FunctionCall) -> Result<Expr> {
        let mut modifiers = Vec::new();
        for argument in &call.arguments {
            match &argument.value {
                Expr::Literal(Literal::Number(digits), _) => {
                    modifiers.push(digits.parse().map_err(|_| self.unexpected())?);
                }
                _ => return Err(self.unexpected()),
            }
        }
        let position = self.position();
        let value = self.string()?;
        Ok(Expr::TypedLiteral { to: generic_type(call.name, modifiers), value, position })
    }
}

fn list_expr(keyword: K, mut list: Vec<Expr>, position: Position) -> Expr {
    match keyword {
        K::Coalesce => Expr::Coalesce(list, position),
        K::Greatest | K::Least => {
            Expr::MinMax { greatest: keyword == K::Greatest, arguments: list, position }
        }
        K::Grouping => Expr::Grouping(list, position),
        K::Nullif => {
            let right = Box::new(list.pop().expect("NULLIF has two"));
            let left = Box::new(list.pop().expect("NULLIF has two"));
            Expr::NullIf(left, right, position)
        }
        _ => Expr::Row(list, position),
    }
}

fn generic_type(name: ObjectName, modifiers: Vec<i32>) -> TypeName {
    TypeName { name, modifiers, interval_fields: None, array_dimensions: 0, setof: false }
}

fn empty_call(name: ObjectName) -> FunctionCall {
    let position = name.position;
    FunctionCall {
        name,
        arguments: Vec::new(),
        star: false,
        distinct: false,
        variadic: false,
        order_by: Vec::new(),
        filter: None,
        within_group: Vec::new(),
        over: None,
        position,
    }
}

/// A call of one of PostgreSQL's own functions, whatever the search path.
fn builtin_call(name: &str, arguments: Vec<Expr>, position: Position) -> Expr {
    let parts = vec!["pg_catalog".to_owned(), name.to_owned()];
    let mut call = empty_call(ObjectName { parts, position });
    call.arguments = arguments.into_iter().map(|value| Argument { name: None, value }).collect();
    Expr::Function(Box::new(call))
}
