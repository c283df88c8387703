//! Queries: WITH, SELECT, VALUES, set operations, FROM, window definitions, LIMIT and row locking.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::{Error, Result, SqlState};
use serin_txn::{RowLockMode, WaitPolicy};

impl Parser<'_> {
    pub fn is_query_word(&self, ahead: usize) -> bool {
        matches!(self.keyword_ahead(ahead), Some(K::Select | K::Values | K::With | K::Table))
    }

    /// Whether a query starts here without a parenthesis.
    pub fn at_query(&self) -> bool {
        self.is_query_word(0)
    }

    /// What may stand after a parenthesised query and makes it part of a larger one.
    pub fn at_query_continuation(&self) -> bool {
        matches!(
            self.keyword(),
            Some(K::Union | K::Intersect | K::Except | K::Order | K::Limit | K::Offset | K::Fetch | K::For)
        )
    }

    /// SelectStmt, with or without parentheses.
    pub fn query(&mut self) -> Result<Box<Query>> {
        self.nested(|parser| {
            if !parser.is(K::With) {
                return parser.query_body();
            }
            let with = parser.with()?;
            let mut query = parser.query_body()?;
            query.with = with;
            Ok(query)
        })
    }

    pub fn query_in_parentheses(&mut self) -> Result<Box<Query>> {
        self.nested(|parser| {
            parser.expect_symbol(b'(')?;
            let query = parser.query()?;
            parser.expect_symbol(b')')?;
            Ok(query)
        })
    }

    /// Goes on with a query whose first operand, in parentheses, is there already.
    pub fn query_from(&mut self, first: Box<Query>) -> Result<Box<Query>> {
        let left = set_operand(first);
        let body = self.set_operations(left, 0)?;
        self.query_tail(body)
    }

    /// A query without its WITH.
    fn query_body(&mut self) -> Result<Box<Query>> {
        let first = self.set_operand()?;
        let body = self.set_operations(first, 0)?;
        self.query_tail(body)
    }

    /// INTERSECT (1) binds tighter than UNION and EXCEPT (0).
    fn set_operations(&mut self, mut left: SetExpr, min: u8) -> Result<SetExpr> {
        loop {
            let (operator, level) = match self.keyword() {
                Some(K::Union) => (SetOperator::Union, 0),
                Some(K::Except) => (SetOperator::Except, 0),
                Some(K::Intersect) => (SetOperator::Intersect, 1),
                _ => return Ok(left),
            };
            if level < min {
                return Ok(left);
            }
            self.advance();
            let all = self.eat(K::All);
            if !all {
                self.eat(K::Distinct);
            }
            let mut right = self.set_operand()?;
            if level == 0 {
                right = self.set_operations(right, 1)?;
            }
            self.deepen()?;
            left = SetExpr::Operation { operator, all, left: Box::new(left), right: Box::new(right) };
        }
    }

    fn set_operand(&mut self) -> Result<SetExpr> {
        match self.peek() {
            Kind::Symbol(b'(') => Ok(set_operand(self.query_in_parentheses()?)),
            Kind::Keyword(K::Select) => self.select().map(SetExpr::Select),
            Kind::Keyword(K::Values) => self.values(),
            Kind::Keyword(K::Table) => self.table_command(),
            _ => Err(self.unexpected()),
        }
    }

    fn values(&mut self) -> Result<SetExpr> {
        self.advance();
        Ok(SetExpr::Values(self.comma_list(|parser| parser.parenthesised(Parser::expr))?))
    }

    /// `TABLE t` is `SELECT * FROM t`.
    fn table_command(&mut self) -> Result<SetExpr> {
        self.advance();
        let position = self.position();
        let (name, only) = self.relation()?;
        let target = Target { expr: Expr::Star(Vec::new(), position), alias: None };
        let from = vec![TableRef::Table { name, only, alias: None, sample: None }];
        Ok(SetExpr::Select(Box::new(Select { targets: vec![target], from, ..Select::default() })))
    }

    fn query_tail(&mut self, body: SetExpr) -> Result<Box<Query>> {
        let mut query = Box::new(Query {
            with: None,
            body,
            order_by: self.order_by()?,
            limit: None,
            with_ties: false,
            offset: None,
            locking: Vec::new(),
        });
        loop {
            match self.keyword() {
                Some(K::Limit) => self.limit(&mut query)?,
                Some(K::Fetch) => self.fetch_first(&mut query)?,
                Some(K::Offset) => {
                    if query.offset.is_some() {
                        return Err(self.multiple("OFFSET"));
                    }
                    self.advance();
                    query.offset = Some(self.expr()?);
                    if !self.eat(K::Rows) {
                        self.eat(K::Row);
                    }
                }
                Some(K::For) => {
                    if self.keyword_ahead(1) == Some(K::Read) {
                        self.advance();
                        self.advance();
                        self.expect(K::Only)?;
                        continue;
                    }
                    let clause = self.locking_clause()?;
                    query.locking.push(clause);
                }
                _ => return Ok(query),
            }
        }
    }

    fn multiple(&self, clause: &str) -> Error {
        Error::new(SqlState::SYNTAX_ERROR, format!("multiple {clause} clauses not allowed"))
            .at(self.position())
    }

    fn limit(&mut self, query: &mut Query) -> Result<()> {
        if query.limit.is_some() {
            return Err(self.multiple("LIMIT"));
        }
        self.advance();
        if self.eat(K::All) {
            return Ok(());
        }
        query.limit = Some(self.expr()?);
        if self.is_symbol(b',') {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                .hint("Use separate LIMIT and OFFSET clauses.")
                .at(self.position()));
        }
        Ok(())
    }

    fn fetch_first(&mut self, query: &mut Query) -> Result<()> {
        if query.limit.is_some() {
            return Err(self.multiple("LIMIT"));
        }
        let position = self.position();
        self.advance();
        if !self.eat(K::First) {
            self.expect(K::Next)?;
        }
        let count = match self.keyword() {
            Some(K::Row | K::Rows) => Expr::Literal(Literal::Number("1".into()), position),
            _ if self.is_symbol(b'-') || self.is_symbol(b'+') => {
                Expr::Literal(Literal::Number(self.signed_number()?), position)
            }
            _ => self.primary()?,
        };
        query.limit = Some(count);
        if !self.eat(K::Rows) {
            self.expect(K::Row)?;
        }
        if self.eat(K::With) {
            self.expect(K::Ties)?;
            query.with_ties = true;
            if query.order_by.is_empty() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "WITH TIES cannot be specified without ORDER BY clause",
                ));
            }
            return Ok(());
        }
        self.expect(K::Only)
    }

    fn locking_clause(&mut self) -> Result<LockingClause> {
        self.advance();
        let strength = match self.keyword() {
            Some(K::Update) => RowLockMode::Update,
            Some(K::Share) => RowLockMode::Share,
            Some(K::No) => {
                self.advance();
                if !self.eat(K::Key) {
                    return Err(self.unexpected());
                }
                RowLockMode::NoKeyUpdate
            }
            Some(K::Key) => {
                self.advance();
                RowLockMode::KeyShare
            }
            _ => return Err(self.unexpected()),
        };
        match strength {
            RowLockMode::Update | RowLockMode::NoKeyUpdate => self.expect(K::Update)?,
            RowLockMode::Share | RowLockMode::KeyShare => self.expect(K::Share)?,
        }
        let of = if self.eat(K::Of) {
            self.comma_list(|parser| {
                let position = parser.position();
                let name = parser.object_name()?;
                match <[Name; 1]>::try_from(name.parts) {
                    Ok([name]) => Ok(name),
                    Err(_) => Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "FOR UPDATE must specify unqualified relation names",
                    )
                    .at(position)),
                }
            })?
        } else {
            Vec::new()
        };
        let wait = if self.eat(K::Nowait) {
            WaitPolicy::NoWait
        } else if self.eat_two(K::Skip, K::Locked) {
            WaitPolicy::SkipLocked
        } else {
            WaitPolicy::Block
        };
        Ok(LockingClause { strength, of, wait })
    }

    // ---- WITH ----

    pub fn with(&mut self) -> Result<Option<With>> {
        if !self.eat(K::With) {
            return Ok(None);
        }
        let recursive = self.eat(K::Recursive);
        let tables = self.comma_list(Parser::common_table)?;
        Ok(Some(With { recursive, tables }))
    }

    fn common_table(&mut self) -> Result<CommonTable> {
        let position = self.position();
        let name = self.column_id()?;
        let columns = self.optional_columns()?;
        self.expect(K::As)?;
        let materialized = if self.eat(K::Materialized) {
            Some(true)
        } else if self.eat_two(K::Not, K::Materialized) {
            Some(false)
        } else {
            None
        };
        self.expect_symbol(b'(')?;
        let statement = Box::new(self.nested(Parser::preparable)?);
        self.expect_symbol(b')')?;
        if self.is(K::Search) || self.is(K::Cycle) {
            let clause = if self.is(K::Search) { "SEARCH" } else { "CYCLE" };
            return Err(Error::unsupported(format!("WITH … {clause}")).at(self.position()));
        }
        Ok(CommonTable { name, columns, materialized, statement, position })
    }

    /// PreparableStmt: a query or a change of rows.
    pub fn preparable(&mut self) -> Result<StatementKind> {
        let word = match self.keyword() {
            Some(K::With) => self.keyword_after_with(),
            other => other,
        };
        match word {
            Some(K::Insert) => self.insert(),
            Some(K::Update) => self.update(),
            Some(K::Delete) => self.delete(),
            Some(K::Merge) => self.merge(),
            _ => self.query().map(StatementKind::Query),
        }
    }

    /// The statement's own first word after a WITH clause, found by its parentheses.
    pub fn keyword_after_with(&self) -> Option<K> {
        let mut depth = 0usize;
        for token in &self.tokens[self.at + 1..] {
            match &token.kind {
                Kind::Symbol(b'(') => depth += 1,
                Kind::Symbol(b')') => depth = depth.saturating_sub(1),
                Kind::Keyword(
                    keyword @ (K::Select
                    | K::Values
                    | K::Table
                    | K::Insert
                    | K::Update
                    | K::Delete
                    | K::Merge),
                ) if depth == 0 => return Some(*keyword),
                Kind::Symbol(b';') if depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    // ---- SELECT ----

    fn select(&mut self) -> Result<Box<Select>> {
        self.expect(K::Select)?;
        let mut select = Box::new(Select::default());
        if self.eat(K::Distinct) {
            select.distinct = match self.eat(K::On) {
                true => Distinct::On(self.parenthesised(Parser::expr)?),
                false => Distinct::All,
            };
        } else {
            self.eat(K::All);
        }
        if !self.at_target_list_end() {
            select.targets = self.targets()?;
        } else if select.distinct != Distinct::No {
            return Err(self.unexpected());
        }
        if self.eat(K::Into) {
            select.into = Some(self.into_target()?);
        }
        if self.eat(K::From) {
            select.from = self.from_list()?;
        }
        select.filter = self.where_clause()?;
        if self.eat_two(K::Group, K::By) {
            select.group_distinct = self.eat(K::Distinct);
            if !select.group_distinct {
                self.eat(K::All);
            }
            select.group_by = self.comma_list(Parser::group_item)?;
        }
        if self.eat(K::Having) {
            select.having = Some(self.expr()?);
        }
        if self.eat(K::Window) {
            select.windows = self.comma_list(|parser| {
                let name = parser.column_id()?;
                parser.expect(K::As)?;
                Ok((name, parser.window_spec()?))
            })?;
        }
        Ok(select)
    }

    fn at_target_list_end(&self) -> bool {
        match self.peek() {
            Kind::Keyword(keyword) => matches!(
                keyword,
                K::From
                    | K::Into
                    | K::Where
                    | K::Group
                    | K::Having
                    | K::Window
                    | K::Union
                    | K::Intersect
                    | K::Except
                    | K::Order
                    | K::Limit
                    | K::Offset
                    | K::Fetch
                    | K::For
                    | K::On
            ),
            Kind::Symbol(b')' | b';') | Kind::End => true,
            _ => false,
        }
    }

    pub fn targets(&mut self) -> Result<Vec<Target>> {
        self.comma_list(Parser::target)
    }

    fn target(&mut self) -> Result<Target> {
        if self.is_symbol(b'*') {
            let position = self.position();
            self.advance();
            return Ok(Target { expr: Expr::Star(Vec::new(), position), alias: None });
        }
        let expr = self.expr()?;
        let alias = if self.eat(K::As) { Some(self.label()?) } else { self.eat_bare_label() };
        Ok(Target { expr, alias })
    }

    /// INTO [TEMPORARY | UNLOGGED] [TABLE] name.
    fn into_target(&mut self) -> Result<(ObjectName, bool)> {
        if !self.eat(K::Local) {
            self.eat(K::Global);
        }
        let temporary = self.eat(K::Temporary) || self.eat(K::Temp);
        if !temporary {
            self.eat(K::Unlogged);
        }
        self.eat(K::Table);
        Ok((self.object_name()?, temporary))
    }

    pub fn where_clause(&mut self) -> Result<Option<Expr>> {
        if self.eat(K::Where) { Ok(Some(self.expr()?)) } else { Ok(None) }
    }

    fn group_item(&mut self) -> Result<GroupItem> {
        let call = self.is_symbol_ahead(1, b'(');
        match self.keyword() {
            Some(K::Rollup) if call => {
                self.advance();
                Ok(GroupItem::Rollup(self.parenthesised(Parser::group_columns)?))
            }
            Some(K::Cube) if call => {
                self.advance();
                Ok(GroupItem::Cube(self.parenthesised(Parser::group_columns)?))
            }
            Some(K::Grouping) if self.keyword_ahead(1) == Some(K::Sets) => {
                self.advance();
                self.advance();
                self.nested(|parser| Ok(GroupItem::Sets(parser.parenthesised(Parser::group_item)?)))
            }
            _ if self.is_symbol(b'(') && self.is_symbol_ahead(1, b')') => {
                self.advance();
                self.advance();
                Ok(GroupItem::Set(Vec::new()))
            }
            _ => {
                let implicit_row = self.is_symbol(b'(');
                match self.expr()? {
                    Expr::Row(list, _) if implicit_row => Ok(GroupItem::Set(list)),
                    expr => Ok(GroupItem::Expr(expr)),
                }
            }
        }
    }

    /// An element of ROLLUP or CUBE: `a` or `(a, b)`.
    fn group_columns(&mut self) -> Result<Vec<Expr>> {
        let implicit_row = self.is_symbol(b'(');
        match self.expr()? {
            Expr::Row(list, _) if implicit_row => Ok(list),
            expr => Ok(vec![expr]),
        }
    }

    /// ORDER BY …, if it is there.
    pub fn order_by(&mut self) -> Result<Vec<OrderItem>> {
        if !self.eat(K::Order) {
            return Ok(Vec::new());
        }
        self.expect(K::By)?;
        self.comma_list(|parser| {
            let expr = parser.expr()?;
            let mut descending = false;
            if parser.eat(K::Using) {
                descending = match parser.any_operator()?.as_str() {
                    "<" | "~<~" | "*<" => false,
                    ">" | "~>~" | "*>" => true,
                    other => {
                        return Err(Error::new(
                            SqlState::WRONG_OBJECT_TYPE,
                            format!("operator {other} is not a valid ordering operator"),
                        )
                        .hint(
                            "Ordering operators must be \"<\" or \">\" members of btree operator families.",
                        ));
                    }
                };
            } else if parser.eat(K::Desc) {
                descending = true;
            } else {
                parser.eat(K::Asc);
            }
            let nulls_first = parser.nulls_order()?;
            Ok(OrderItem { expr, descending, nulls_first })
        })
    }

    pub fn nulls_order(&mut self) -> Result<Option<bool>> {
        if !self.is(K::Nulls) || !matches!(self.keyword_ahead(1), Some(K::First | K::Last)) {
            return Ok(None);
        }
        self.advance();
        let first = self.is(K::First);
        self.advance();
        Ok(Some(first))
    }

    // ---- windows ----

    pub fn window_spec(&mut self) -> Result<WindowSpec> {
        self.expect_symbol(b'(')?;
        let mut spec = WindowSpec::default();
        let clause = matches!(self.keyword(), Some(K::Partition | K::Order | K::Range | K::Rows | K::Groups));
        if !clause && !self.is_symbol(b')') {
            spec.base = Some(self.column_id()?);
        }
        if self.eat(K::Partition) {
            self.expect(K::By)?;
            spec.partition_by = self.expr_list()?;
        }
        spec.order_by = self.order_by()?;
        let units = match self.keyword() {
            Some(K::Rows) => Some(FrameUnits::Rows),
            Some(K::Range) => Some(FrameUnits::Range),
            Some(K::Groups) => Some(FrameUnits::Groups),
            _ => None,
        };
        if let Some(units) = units {
            self.advance();
            spec.frame = Some(self.window_frame(units)?);
        }
        self.expect_symbol(b')')?;
        Ok(spec)
    }

    fn window_frame(&mut self, units: FrameUnits) -> Result<WindowFrame> {
        let position = self.position();
        let (start, end) = if self.eat(K::Between) {
            let start = self.frame_bound()?;
            self.expect(K::And)?;
            (start, self.frame_bound()?)
        } else {
            (self.frame_bound()?, FrameBound::CurrentRow)
        };
        let wrong = match (&start, &end) {
            (FrameBound::UnboundedFollowing, _) => Some("frame start cannot be UNBOUNDED FOLLOWING"),
            (_, FrameBound::UnboundedPreceding) => Some("frame end cannot be UNBOUNDED PRECEDING"),
            (FrameBound::CurrentRow, FrameBound::Preceding(_)) => {
                Some("frame starting from current row cannot have preceding rows")
            }
            (FrameBound::Following(_), FrameBound::Preceding(_) | FrameBound::CurrentRow) => {
                Some("frame starting from following row cannot have preceding rows")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Error::new(SqlState::WINDOWING_ERROR, wrong).at(position));
        }
        let exclude = if self.eat(K::Exclude) {
            match self.keyword() {
                Some(K::Current) => {
                    self.advance();
                    self.expect(K::Row)?;
                    FrameExclude::CurrentRow
                }
                Some(K::Group) => {
                    self.advance();
                    FrameExclude::Group
                }
                Some(K::Ties) => {
                    self.advance();
                    FrameExclude::Ties
                }
                _ => {
                    self.expect(K::No)?;
                    self.expect(K::Others)?;
                    FrameExclude::NoOthers
                }
            }
        } else {
            FrameExclude::NoOthers
        };
        Ok(WindowFrame { units, start, end, exclude })
    }

    fn frame_bound(&mut self) -> Result<FrameBound> {
        if self.is(K::Unbounded) && matches!(self.keyword_ahead(1), Some(K::Preceding | K::Following)) {
            self.advance();
            let preceding = self.is(K::Preceding);
            self.advance();
            return Ok(if preceding {
                FrameBound::UnboundedPreceding
            } else {
                FrameBound::UnboundedFollowing
            });
        }
        if self.eat_two(K::Current, K::Row) {
            return Ok(FrameBound::CurrentRow);
        }
        let offset = Box::new(self.expr()?);
        if self.eat(K::Preceding) {
            return Ok(FrameBound::Preceding(offset));
        }
        self.expect(K::Following)?;
        Ok(FrameBound::Following(offset))
    }

    // ---- FROM ----

    pub fn from_list(&mut self) -> Result<Vec<TableRef>> {
        self.comma_list(Parser::table_ref)
    }

    pub fn table_ref(&mut self) -> Result<TableRef> {
        self.nested(|parser| {
            let first = parser.table_primary()?;
            parser.joins(first)
        })
    }

    fn at_join(&self) -> bool {
        match self.keyword() {
            Some(K::Join | K::Natural) => true,
            Some(K::Cross | K::Inner) => self.keyword_ahead(1) == Some(K::Join),
            Some(K::Left | K::Right | K::Full) => {
                matches!(self.keyword_ahead(1), Some(K::Join | K::Outer))
            }
            _ => false,
        }
    }

    fn joins(&mut self, mut left: TableRef) -> Result<TableRef> {
        while self.at_join() {
            self.deepen()?;
            left = self.join(left)?;
        }
        Ok(left)
    }

    fn join(&mut self, left: TableRef) -> Result<TableRef> {
        let left = Box::new(left);
        if self.eat(K::Cross) {
            self.expect(K::Join)?;
            let right = Box::new(self.table_primary()?);
            let condition = JoinCondition::None;
            return Ok(TableRef::Join { kind: JoinKind::Cross, left, right, condition, alias: None });
        }
        let natural = self.eat(K::Natural);
        let kind = match self.keyword() {
            Some(K::Left) => JoinKind::Left,
            Some(K::Right) => JoinKind::Right,
            Some(K::Full) => JoinKind::Full,
            _ => JoinKind::Inner,
        };
        if kind != JoinKind::Inner {
            self.advance();
            self.eat(K::Outer);
        } else {
            self.eat(K::Inner);
        }
        self.expect(K::Join)?;
        let mut right = self.table_primary()?;
        if natural {
            let condition = JoinCondition::Natural;
            return Ok(TableRef::Join { kind, left, right: Box::new(right), condition, alias: None });
        }
        // `a JOIN b JOIN c ON … ON …`: what is joined before our condition comes belongs to the right side.
        while self.at_join() {
            right = self.nested(|parser| parser.join(right))?;
        }
        let (condition, alias) = self.join_condition()?;
        Ok(TableRef::Join { kind, left, right: Box::new(right), condition, alias })
    }

    fn join_condition(&mut self) -> Result<(JoinCondition, Option<Alias>)> {
        if self.eat(K::On) {
            return Ok((JoinCondition::On(self.expr()?), None));
        }
        self.expect(K::Using)?;
        let columns = self.parenthesised(Parser::column_id)?;
        let alias = if self.eat(K::As) { Some(self.column_id()?) } else { None };
        Ok((JoinCondition::Using(columns, alias), None))
    }

    fn table_primary(&mut self) -> Result<TableRef> {
        let position = self.position();
        match self.peek() {
            Kind::Symbol(b'(') => self.parenthesised_table(),
            Kind::Keyword(K::Lateral) => {
                self.advance();
                if self.is_symbol(b'(') {
                    let query = self.query_in_parentheses()?;
                    let alias = self.alias()?;
                    return Ok(TableRef::Subquery { query, lateral: true, alias });
                }
                self.function_table(true)
            }
            Kind::Keyword(K::Rows) if self.keyword_ahead(1) == Some(K::From) => self.function_table(false),
            Kind::Keyword(K::Xmltable) => Err(Error::unsupported("XMLTABLE").at(position)),
            Kind::Keyword(K::Only) => {
                let (name, only) = self.relation()?;
                self.plain_table(name, only)
            }
            _ if self.is_function_table() => self.function_table(false),
            _ => {
                let (name, only) = self.relation()?;
                self.plain_table(name, only)
            }
        }
    }

    fn plain_table(&mut self, name: ObjectName, only: bool) -> Result<TableRef> {
        let alias = self.alias()?;
        let sample = if self.eat(K::Tablesample) {
            let method = self.any_object_name()?;
            let arguments = self.parenthesised(Parser::expr)?;
            let repeatable = if self.eat(K::Repeatable) {
                self.expect_symbol(b'(')?;
                let seed = self.expr()?;
                self.expect_symbol(b')')?;
                Some(seed)
            } else {
                None
            };
            Some((method, arguments, repeatable))
        } else {
            None
        };
        Ok(TableRef::Table { name, only, alias, sample })
    }

    /// relation_expr: `name`, `name *`, `ONLY name`, `ONLY (name)`.
    pub fn relation(&mut self) -> Result<(ObjectName, bool)> {
        if self.eat(K::Only) {
            let parenthesis = self.eat_symbol(b'(');
            let name = self.object_name()?;
            if parenthesis {
                self.expect_symbol(b')')?;
            }
            return Ok((name, true));
        }
        let name = self.object_name()?;
        self.eat_symbol(b'*');
        Ok((name, false))
    }

    /// Whether the words here are a function call rather than a table's name.
    fn is_function_table(&self) -> bool {
        let mut ahead = 1;
        match self.peek() {
            Kind::Identifier(_) => {}
            Kind::Keyword(keyword) => {
                use super::keywords::Category;
                match keyword.category() {
                    Category::Reserved => {
                        return matches!(
                            keyword,
                            K::CurrentDate
                                | K::CurrentTime
                                | K::CurrentTimestamp
                                | K::CurrentUser
                                | K::CurrentRole
                                | K::CurrentCatalog
                                | K::SessionUser
                                | K::User
                                | K::Localtime
                                | K::Localtimestamp
                                | K::Cast
                        );
                    }
                    Category::TypeFunctionName => return true,
                    _ => {}
                }
            }
            _ => return false,
        }
        while self.is_symbol_ahead(ahead, b'.') {
            ahead += 2;
        }
        self.is_symbol_ahead(ahead, b'(')
    }

    /// `( … )` in FROM: a query, or a joined table.
    fn parenthesised_table(&mut self) -> Result<TableRef> {
        self.expect_symbol(b'(')?;
        if self.at_query() {
            let query = self.query()?;
            return self.subquery_in_from(query);
        }
        let inner = self.nested(Parser::parenthesised_table_start)?;
        // `((SELECT …) UNION …)`: what looked like a table in parentheses starts a query.
        if self.at_query_continuation()
            && let TableRef::Subquery { query, lateral: false, alias: None } = inner
        {
            let query = self.query_from(query)?;
            return self.subquery_in_from(query);
        }
        self.aliased_join(inner)
    }

    fn parenthesised_table_start(&mut self) -> Result<TableRef> {
        let first = match self.is_symbol(b'(') {
            true => self.parenthesised_table()?,
            false => self.table_primary()?,
        };
        self.joins(first)
    }

    fn subquery_in_from(&mut self, query: Box<Query>) -> Result<TableRef> {
        self.expect_symbol(b')')?;
        Ok(TableRef::Subquery { query, lateral: false, alias: self.alias()? })
    }

    /// The end of `( joined table ) [alias]`.
    fn aliased_join(&mut self, mut inner: TableRef) -> Result<TableRef> {
        self.expect_symbol(b')')?;
        let at = self.at;
        let Some(alias) = self.alias()? else {
            return Ok(inner);
        };
        match &mut inner {
            TableRef::Join { alias: place @ None, .. } | TableRef::Subquery { alias: place @ None, .. } => {
                *place = Some(alias);
                Ok(inner)
            }
            _ => Err(self.unexpected_at(at)),
        }
    }

    /// alias_clause, if it is there.
    pub fn alias(&mut self) -> Result<Option<Alias>> {
        if !self.eat(K::As) && !self.is_column_id(0) {
            return Ok(None);
        }
        let name = self.column_id()?;
        Ok(Some(Alias { name, columns: self.optional_columns()? }))
    }

    /// `f(…) [WITH ORDINALITY] [alias]`, `ROWS FROM (…)`.
    fn function_table(&mut self, lateral: bool) -> Result<TableRef> {
        let position = self.position();
        let rows_from = self.is(K::Rows) && self.keyword_ahead(1) == Some(K::From);
        let mut calls = if rows_from {
            self.advance();
            self.advance();
            self.parenthesised(|parser| {
                let call = parser.primary()?;
                let columns = match parser.eat(K::As) {
                    true => parser.column_definition_list()?,
                    false => Vec::new(),
                };
                Ok((call, columns))
            })?
        } else {
            vec![(self.primary()?, Vec::new())]
        };
        let ordinality = self.eat_two(K::With, K::Ordinality);
        let mut alias = None;
        if self.eat(K::As) {
            if self.is_symbol(b'(') {
                calls[0].1 = self.column_definition_list()?;
            } else {
                alias = Some(self.function_alias(&mut calls[0].1)?);
            }
        } else if self.is_column_id(0) {
            alias = Some(self.function_alias(&mut calls[0].1)?);
        }
        Ok(TableRef::Function { calls, rows_from, ordinality, lateral, alias, position })
    }

    /// `t`, `t(a, b)` or `t(a int, b text)`.
    fn function_alias(&mut self, definitions: &mut Vec<ColumnDefinitionItem>) -> Result<Alias> {
        let name = self.column_id()?;
        if !self.is_symbol(b'(') {
            return Ok(Alias { name, columns: Vec::new() });
        }
        let plain = self.is_symbol_ahead(2, b',') || self.is_symbol_ahead(2, b')');
        if plain {
            return Ok(Alias { name, columns: self.optional_columns()? });
        }
        *definitions = self.column_definition_list()?;
        Ok(Alias { name, columns: Vec::new() })
    }

    fn column_definition_list(&mut self) -> Result<Vec<ColumnDefinitionItem>> {
        self.parenthesised(|parser| {
            let name = parser.column_id()?;
            let data_type = parser.type_name()?;
            if parser.eat(K::Collate) {
                parser.object_name()?;
            }
            Ok(ColumnDefinitionItem { name, data_type })
        })
    }
}

/// A parenthesised query as an operand of a set operation: parentheses that hold nothing else are dropped.
fn set_operand(query: Box<Query>) -> SetExpr {
    let plain = query.with.is_none()
        && query.order_by.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.locking.is_empty();
    if plain { query.body } else { SetExpr::Query(query) }
}
