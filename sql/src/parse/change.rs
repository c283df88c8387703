//! INSERT, UPDATE, DELETE, MERGE.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::routine_ast::{MergeAction, MergeClause};
use crate::error::{Error, Result};

impl Parser<'_> {
    pub fn insert(&mut self) -> Result<StatementKind> {
        let with = self.with()?;
        self.expect(K::Insert)?;
        self.expect(K::Into)?;
        let table = self.object_name()?;
        let alias = if self.eat(K::As) { Some(self.column_id()?) } else { None };
        let mut columns = Vec::new();
        if self.is_symbol(b'(') && !self.is_symbol_ahead(1, b'(') && !self.is_query_word(1) {
            columns = self.parenthesised(|parser| {
                let name = parser.column_id()?;
                if parser.is_symbol(b'[') || parser.is_symbol(b'.') {
                    return Err(Error::unsupported(
                        "INSERT into an array element or a composite column's field",
                    )
                    .at(parser.position()));
                }
                Ok(name)
            })?;
        }
        let overriding = self.overriding()?;
        let source = if self.eat_two(K::Default, K::Values) { None } else { Some(self.query()?) };
        let on_conflict = if self.eat_two(K::On, K::Conflict) { Some(self.on_conflict()?) } else { None };
        let returning = self.returning()?;
        Ok(StatementKind::Insert(Box::new(Insert {
            with,
            table,
            alias,
            columns,
            overriding,
            source,
            on_conflict,
            returning,
        })))
    }

    fn on_conflict(&mut self) -> Result<OnConflict> {
        let target = if self.is_symbol(b'(') {
            let columns = self.parenthesised(Parser::conflict_column)?;
            Some(ConflictTarget::Columns(columns, self.where_clause()?))
        } else if self.eat_two(K::On, K::Constraint) {
            Some(ConflictTarget::Constraint(self.column_id()?))
        } else {
            None
        };
        self.expect(K::Do)?;
        if self.eat(K::Nothing) {
            return Ok(OnConflict { target, update: None });
        }
        self.expect(K::Update)?;
        self.expect(K::Set)?;
        let assignments = self.comma_list(Parser::assignment)?;
        Ok(OnConflict { target, update: Some((assignments, self.where_clause()?)) })
    }

    /// index_elem: inference looks at the expression only; a collation or operator class is read over.
    fn conflict_column(&mut self) -> Result<Expr> {
        let expr = self.index_expr()?;
        if self.eat(K::Collate) {
            self.object_name()?;
        }
        if !self.is_symbol(b',') && !self.is_symbol(b')') {
            self.any_object_name()?;
        }
        Ok(expr)
    }

    /// What an index is over: a column, a call, or any expression in parentheses.
    pub fn index_expr(&mut self) -> Result<Expr> {
        let position = self.position();
        if self.is_symbol(b'(') {
            self.advance();
            let expr = self.expr()?;
            self.expect_symbol(b')')?;
            return Ok(expr);
        }
        if self.is_column_id(0) && !self.is_symbol_ahead(1, b'(') && !self.is_symbol_ahead(1, b'.') {
            return Ok(Expr::Column(vec![self.column_id()?], position));
        }
        self.primary()
    }

    pub fn assignment(&mut self) -> Result<Assignment> {
        let position = self.position();
        if self.is_symbol(b'(') {
            let columns = self.parenthesised(Parser::column_id)?;
            self.expect_symbol(b'=')?;
            return Ok(Assignment { columns, subscripts: Vec::new(), value: self.expr()?, position });
        }
        let column = self.column_id()?;
        let mut subscripts = self.subscripts()?;
        while self.eat_symbol(b'.') {
            subscripts.push(Subscript::Field(self.label()?));
            subscripts.extend(self.subscripts()?);
        }
        self.expect_symbol(b'=')?;
        Ok(Assignment { columns: vec![column], subscripts, value: self.expr()?, position })
    }

    pub fn returning(&mut self) -> Result<Vec<Target>> {
        if self.eat(K::Returning) { self.targets() } else { Ok(Vec::new()) }
    }

    /// The alias of an UPDATE's or DELETE's table; SET is not one unless AS says so.
    fn target_alias(&mut self) -> Result<Option<Name>> {
        if self.eat(K::As) || (!self.is(K::Set) && self.is_column_id(0)) {
            return Ok(Some(self.column_id()?));
        }
        Ok(None)
    }

    /// WHERE condition, or WHERE CURRENT OF cursor.
    fn where_or_current_of(&mut self) -> Result<(Option<Expr>, Option<Name>)> {
        if self.is(K::Where)
            && self.keyword_ahead(1) == Some(K::Current)
            && self.keyword_ahead(2) == Some(K::Of)
        {
            self.advance();
            self.advance();
            self.advance();
            return Ok((None, Some(self.column_id()?)));
        }
        Ok((self.where_clause()?, None))
    }

    pub fn update(&mut self) -> Result<StatementKind> {
        let with = self.with()?;
        self.expect(K::Update)?;
        let (table, only) = self.relation()?;
        let alias = self.target_alias()?;
        self.expect(K::Set)?;
        let assignments = self.comma_list(Parser::assignment)?;
        let from = if self.eat(K::From) { self.from_list()? } else { Vec::new() };
        let (filter, current_of) = self.where_or_current_of()?;
        let returning = self.returning()?;
        Ok(StatementKind::Update(Box::new(Update {
            with,
            table,
            only,
            alias,
            assignments,
            from,
            filter,
            current_of,
            returning,
        })))
    }

    pub fn delete(&mut self) -> Result<StatementKind> {
        let with = self.with()?;
        self.expect(K::Delete)?;
        self.expect(K::From)?;
        let (table, only) = self.relation()?;
        let alias = self.target_alias()?;
        let using = if self.eat(K::Using) { self.from_list()? } else { Vec::new() };
        let (filter, current_of) = self.where_or_current_of()?;
        let returning = self.returning()?;
        Ok(StatementKind::Delete(Box::new(Delete {
            with,
            table,
            only,
            alias,
            using,
            filter,
            current_of,
            returning,
        })))
    }

    pub fn merge(&mut self) -> Result<StatementKind> {
        let with = self.with()?;
        self.expect(K::Merge)?;
        self.expect(K::Into)?;
        let (table, only) = self.relation()?;
        let alias = match self.eat(K::As) || (!self.is(K::Using) && self.is_column_id(0)) {
            true => Some(Alias { name: self.column_id()?, columns: Vec::new() }),
            false => None,
        };
        self.expect(K::Using)?;
        let source = self.table_ref()?;
        self.expect(K::On)?;
        let condition = self.expr()?;
        let mut clauses = Vec::new();
        while self.eat(K::When) {
            clauses.push(self.merge_clause()?);
        }
        if clauses.is_empty() {
            return Err(self.unexpected());
        }
        Ok(StatementKind::Merge(Box::new(Merge { with, table, only, alias, source, condition, clauses })))
    }

    fn merge_clause(&mut self) -> Result<MergeClause> {
        let matched = !self.eat(K::Not);
        self.expect(K::Matched)?;
        let condition = if self.eat(K::And) { Some(self.expr()?) } else { None };
        self.expect(K::Then)?;
        let action = match self.keyword() {
            Some(K::Do) => {
                self.advance();
                self.expect(K::Nothing)?;
                MergeAction::Nothing
            }
            Some(K::Delete) if matched => {
                self.advance();
                MergeAction::Delete
            }
            Some(K::Update) if matched => {
                self.advance();
                self.expect(K::Set)?;
                MergeAction::Update(self.comma_list(Parser::assignment)?)
            }
            Some(K::Insert) if !matched => {
                self.advance();
                let columns = self.optional_columns()?;
                let overriding = self.overriding()?;
                let values = if self.eat_two(K::Default, K::Values) {
                    None
                } else {
                    self.expect(K::Values)?;
                    Some(self.parenthesised(Parser::expr)?)
                };
                MergeAction::Insert { columns, overriding, values }
            }
            _ => return Err(self.unexpected()),
        };
        Ok(MergeClause { matched, condition, action })
    }

    fn overriding(&mut self) -> Result<Option<bool>> {
        if !self.eat(K::Overriding) {
            return Ok(None);
        }
        let system = self.eat(K::System);
        if !system {
            self.expect(K::User)?;
        }
        self.expect(K::Value)?;
        Ok(Some(system))
    }
}
