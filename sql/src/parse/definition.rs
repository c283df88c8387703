//! CREATE …: tables with their columns and constraints, indexes, sequences, views, schemas, databases, roles.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::{Error, Result, SqlState};

/// Everything a sequence's options can say, in whatever order.
#[derive(Default)]
pub struct SequenceClauses {
    pub options: SequenceOptions,
    pub data_type: Option<TypeName>,
    pub owned_by: Option<ObjectName>,
    pub restart: Option<Option<i64>>,
}

impl Parser<'_> {
    pub fn create(&mut self) -> Result<StatementKind> {
        self.advance();
        let replace = self.eat_two(K::Or, K::Replace);
        if matches!(self.keyword(), Some(K::Local | K::Global))
            && matches!(self.keyword_ahead(1), Some(K::Temp | K::Temporary))
        {
            self.advance();
        }
        let temporary = self.eat(K::Temporary) || self.eat(K::Temp);
        let unlogged = !temporary && self.eat(K::Unlogged);
        match self.keyword() {
            Some(K::Table) if !replace => {
                self.advance();
                self.create_table(temporary, unlogged)
            }
            Some(K::View) => {
                self.advance();
                self.create_view(replace, temporary)
            }
            Some(K::Sequence) if !replace && !unlogged => {
                self.advance();
                self.create_sequence(temporary)
            }
            Some(K::Recursive) => self.unsupported("CREATE RECURSIVE VIEW"),
            _ if temporary || unlogged => Err(self.unexpected()),
            Some(K::Unique | K::Index) if !replace => self.create_index(),
            Some(K::Materialized) if !replace => self.create_materialized_view(),
            Some(K::Schema) if !replace => self.create_schema(),
            Some(K::Database) if !replace => self.create_database(),
            Some(K::Role | K::Group) if !replace => self.create_role(),
            Some(K::User) if !replace && self.keyword_ahead(1) != Some(K::Mapping) => self.create_role(),
            Some(K::Function | K::Procedure) => self.create_routine(replace),
            Some(K::Trigger) => self.create_trigger(replace),
            Some(K::Type) if !replace => self.create_type(),
            Some(K::Domain) if !replace => self.create_domain(),
            Some(K::Extension) if !replace => self.create_extension(),
            Some(K::Constraint) if self.keyword_ahead(1) == Some(K::Trigger) => self.create_trigger(replace),
            _ => self.create_unsupported(),
        }
    }

    fn create_unsupported(&mut self) -> Result<StatementKind> {
        let (first, second) = (self.keyword(), self.keyword_ahead(1));
        let name = match first {
            Some(K::Event) => "CREATE EVENT TRIGGER",
            Some(K::Foreign) if second == Some(K::Table) => "CREATE FOREIGN TABLE",
            Some(K::Foreign) => "CREATE FOREIGN DATA WRAPPER",
            Some(K::Text) => "CREATE TEXT SEARCH",
            Some(K::User) => "CREATE USER MAPPING",
            Some(K::Access) => "CREATE ACCESS METHOD",
            Some(K::Default | K::Conversion) => "CREATE CONVERSION",
            Some(K::Trusted | K::Procedural | K::Language) => "CREATE LANGUAGE",
            Some(K::Operator) if second == Some(K::Class) => "CREATE OPERATOR CLASS",
            Some(K::Operator) if second == Some(K::Family) => "CREATE OPERATOR FAMILY",
            Some(
                word @ (K::Aggregate
                | K::Cast
                | K::Collation
                | K::Operator
                | K::Policy
                | K::Publication
                | K::Rule
                | K::Server
                | K::Statistics
                | K::Subscription
                | K::Tablespace
                | K::Transform),
            ) => {
                let name = format!("CREATE {}", word.text().to_ascii_uppercase());
                return self.unsupported(&name);
            }
            _ => return Err(self.unexpected()),
        };
        self.unsupported(name)
    }

    // ---- CREATE TABLE ----

    fn create_table(&mut self, temporary: bool, unlogged: bool) -> Result<StatementKind> {
        let if_not_exists = self.eat_if_not_exists()?;
        let name = self.object_name()?;
        if self.is(K::Of) {
            return Err(Error::unsupported("CREATE TABLE OF").at(self.position()));
        }
        let mut table = CreateTable {
            name,
            if_not_exists,
            temporary,
            unlogged,
            columns: Vec::new(),
            constraints: Vec::new(),
            like: Vec::new(),
            inherits: Vec::new(),
            partition_by: None,
            partition_of: None,
            partition_columns: Vec::new(),
            options: Vec::new(),
            on_commit: None,
        };
        if self.is(K::Partition) && self.keyword_ahead(1) == Some(K::Of) {
            self.partition_of(&mut table)?;
            table.partition_by = self.partition_by()?;
            self.storage_clauses(&mut table)?;
            return Ok(StatementKind::CreateTable(Box::new(table)));
        }
        // A list of bare names can only belong to CREATE TABLE … AS.
        let names_only = self.is_symbol(b'(')
            && self.is_column_id(1)
            && (self.is_symbol_ahead(2, b',') || self.is_symbol_ahead(2, b')'));
        if names_only || !self.is_symbol(b'(') {
            return self.create_table_as(table);
        }
        self.advance();
        if !self.is_symbol(b')') {
            loop {
                self.table_element(&mut table)?;
                if !self.eat_symbol(b',') {
                    break;
                }
            }
        }
        self.expect_symbol(b')')?;
        if self.eat(K::Inherits) {
            table.inherits = self.parenthesised(Parser::object_name)?;
        }
        table.partition_by = self.partition_by()?;
        self.storage_clauses(&mut table)?;
        Ok(StatementKind::CreateTable(Box::new(table)))
    }

    /// USING method, WITH (…), ON COMMIT …, TABLESPACE …
    fn storage_clauses(&mut self, table: &mut CreateTable) -> Result<()> {
        if self.eat(K::Using) {
            self.column_id()?;
        }
        if self.is(K::With) && self.is_symbol_ahead(1, b'(') {
            self.advance();
            table.options = self.storage_options()?;
        } else if self.eat(K::Without) {
            self.expect(K::Oids)?;
        }
        if self.eat_two(K::On, K::Commit) {
            let action = match self.keyword() {
                Some(K::Drop) => "drop",
                Some(K::Delete) => {
                    self.advance();
                    self.at -= usize::from(self.keyword() != Some(K::Rows));
                    "delete rows"
                }
                Some(K::Preserve) => {
                    self.advance();
                    self.at -= usize::from(self.keyword() != Some(K::Rows));
                    "preserve rows"
                }
                _ => return Err(self.unexpected()),
            };
            self.advance();
            table.on_commit = Some(action.to_owned());
        }
        if self.eat(K::Tablespace) {
            self.column_id()?;
        }
        Ok(())
    }

    /// `( fillfactor = 70, toast.autovacuum_enabled, … )`.
    pub fn storage_options(&mut self) -> Result<Vec<(String, Option<String>)>> {
        self.parenthesised(|parser| {
            let mut name = parser.label()?;
            while parser.eat_symbol(b'.') {
                name.push('.');
                name.push_str(&parser.label()?);
            }
            let value = if parser.eat_symbol(b'=') {
                Some(match parser.peek() {
                    Kind::String(_) => parser.string()?,
                    Kind::Integer(_) | Kind::Decimal(_) | Kind::Symbol(b'-' | b'+') => {
                        parser.signed_number()?
                    }
                    _ => parser.label()?,
                })
            } else {
                None
            };
            Ok((name, value))
        })
    }

    fn create_table_as(&mut self, mut table: CreateTable) -> Result<StatementKind> {
        let columns = self.optional_columns()?;
        self.storage_clauses(&mut table)?;
        self.expect(K::As)?;
        let query = if self.is(K::Execute) { self.execute()? } else { StatementKind::Query(self.query()?) };
        let with_data = self.with_data()?;
        Ok(StatementKind::CreateTableAs {
            name: table.name,
            columns,
            if_not_exists: table.if_not_exists,
            temporary: table.temporary,
            on_commit: table.on_commit,
            with_data,
            materialized: None,
            query: Box::new(query),
        })
    }

    fn create_materialized_view(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect(K::View)?;
        let if_not_exists = self.eat_if_not_exists()?;
        let name = self.object_name()?;
        let columns = self.optional_columns()?;
        if self.eat(K::Using) {
            self.column_id()?;
        }
        if self.eat(K::With) {
            self.storage_options()?;
        }
        if self.eat(K::Tablespace) {
            self.column_id()?;
        }
        self.expect(K::As)?;
        let from = self.at;
        let query = Box::new(StatementKind::Query(self.query()?));
        let materialized = Some(self.text_from(from));
        let with_data = self.with_data()?;
        let temporary = false;
        Ok(StatementKind::CreateTableAs {
            name,
            columns,
            if_not_exists,
            temporary,
            on_commit: None,
            with_data,
            materialized,
            query,
        })
    }

    pub(super) fn refresh(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect(K::Materialized)?;
        self.expect(K::View)?;
        let concurrently = self.eat(K::Concurrently);
        let name = self.object_name()?;
        let with_data = self.with_data()?;
        Ok(StatementKind::RefreshMaterializedView { name, concurrently, with_data })
    }

    /// WITH [NO] DATA; default true.
    fn with_data(&mut self) -> Result<bool> {
        if !self.eat(K::With) {
            return Ok(true);
        }
        let no = self.eat(K::No);
        self.expect(K::Data)?;
        Ok(!no)
    }

    fn table_element(&mut self, table: &mut CreateTable) -> Result<()> {
        match self.keyword() {
            Some(K::Like) => {
                self.advance();
                let source = self.object_name()?;
                let mut options = Vec::new();
                while matches!(self.keyword(), Some(K::Including | K::Excluding)) {
                    let including = self.is(K::Including);
                    self.advance();
                    options.push((self.label()?, including));
                }
                table.like.push((source, options));
            }
            Some(K::Constraint | K::Check | K::Unique | K::Primary | K::Foreign | K::Exclude)
                if self.at_table_constraint() =>
            {
                let (constraint, _) = self.table_constraint()?;
                table.constraints.push(constraint);
            }
            _ => {
                let column = self.column_definition()?;
                table.columns.push(column);
            }
        }
        Ok(())
    }

    /// EXCLUDE is no reserved word: `exclude int` is a column.
    fn at_table_constraint(&self) -> bool {
        !self.is(K::Exclude) || self.is_symbol_ahead(1, b'(') || self.keyword_ahead(1) == Some(K::Using)
    }

    pub fn column_definition(&mut self) -> Result<ColumnDefinition> {
        let position = self.position();
        let name = self.column_id()?;
        let data_type = self.type_name()?;
        let mut column =
            ColumnDefinition { name, data_type, collation: None, constraints: Vec::new(), position };
        loop {
            match self.keyword() {
                Some(K::Collate) => {
                    let position = self.position();
                    self.advance();
                    column.collation = Some(ObjectName { position, ..self.object_name()? });
                }
                Some(K::Storage | K::Compression) => {
                    self.advance();
                    self.label()?;
                }
                _ => match self.column_constraint()? {
                    Some(constraint) => column.constraints.push(constraint),
                    None => return Ok(column),
                },
            }
        }
    }

    pub fn column_constraint(&mut self) -> Result<Option<ColumnConstraint>> {
        let name = if self.eat(K::Constraint) { Some(self.column_id()?) } else { None };
        let kind = match self.keyword() {
            Some(K::Not) => {
                self.advance();
                self.expect(K::Null)?;
                ColumnConstraintKind::NotNull
            }
            Some(K::Null) => {
                self.advance();
                ColumnConstraintKind::Null
            }
            Some(K::Default) => {
                self.advance();
                let from = self.at;
                let expr = self.restricted_expr()?;
                ColumnConstraintKind::Default(expr, self.text_from(from))
            }
            Some(K::Check) => {
                self.advance();
                let (expr, text) = self.parenthesised_text()?;
                let no_inherit = self.eat_two(K::No, K::Inherit);
                ColumnConstraintKind::Check(expr, text, no_inherit)
            }
            Some(K::Unique) => {
                self.advance();
                let nulls_not_distinct = self.nulls_not_distinct()?;
                self.index_storage()?;
                ColumnConstraintKind::Unique { nulls_not_distinct, deferrable: self.deferrable()?.0 }
            }
            Some(K::Primary) => {
                self.advance();
                self.expect(K::Key)?;
                self.index_storage()?;
                ColumnConstraintKind::PrimaryKey { deferrable: self.deferrable()?.0 }
            }
            Some(K::References) => ColumnConstraintKind::References(self.references()?),
            Some(K::Generated) => self.generated()?,
            _ if name.is_some() => return Err(self.unexpected()),
            _ => return Ok(None),
        };
        // NOT NULL and CHECK take the attributes in the grammar; PostgreSQL refuses them.
        if matches!(self.keyword(), Some(K::Deferrable | K::Initially)) {
            return Err(self.syntax_error("misplaced DEFERRABLE clause"));
        }
        Ok(Some(ColumnConstraint { name, kind }))
    }

    /// `( expression )` with its text, without the parentheses.
    pub fn parenthesised_text(&mut self) -> Result<(Expr, String)> {
        self.expect_symbol(b'(')?;
        let from = self.at;
        let expr = self.expr()?;
        let text = self.text_from(from);
        self.expect_symbol(b')')?;
        Ok((expr, text))
    }

    fn generated(&mut self) -> Result<ColumnConstraintKind> {
        self.advance();
        let always = self.eat(K::Always);
        if !always {
            self.expect(K::By)?;
            self.expect(K::Default)?;
        }
        self.expect(K::As)?;
        if self.eat(K::Identity) {
            let options = self.identity_options()?;
            return Ok(ColumnConstraintKind::Identity { always, options });
        }
        if !always {
            return Err(self.syntax_error("for a generated column, GENERATED ALWAYS must be specified"));
        }
        let (expr, text) = self.parenthesised_text()?;
        self.expect(K::Stored)?;
        Ok(ColumnConstraintKind::Generated(expr, text))
    }

    /// The sequence options of an identity column, in parentheses.
    pub fn identity_options(&mut self) -> Result<SequenceOptions> {
        if !self.eat_symbol(b'(') {
            return Ok(SequenceOptions::default());
        }
        let clauses = self.sequence_clauses()?;
        self.expect_symbol(b')')?;
        Ok(clauses.options)
    }

    fn nulls_not_distinct(&mut self) -> Result<bool> {
        if !self.eat(K::Nulls) {
            return Ok(false);
        }
        let not = self.eat(K::Not);
        self.expect(K::Distinct)?;
        Ok(not)
    }

    /// WITH (…) of a constraint's index; USING INDEX TABLESPACE is read, without effect.
    fn index_storage(&mut self) -> Result<Vec<(String, Option<String>)>> {
        let mut options = Vec::new();
        if self.is(K::With) && self.is_symbol_ahead(1, b'(') {
            self.advance();
            options = self.storage_options()?;
        }
        if self.is(K::Using)
            && self.keyword_ahead(1) == Some(K::Index)
            && self.keyword_ahead(2) == Some(K::Tablespace)
        {
            self.advance();
            self.advance();
            self.advance();
            self.column_id()?;
        }
        Ok(options)
    }

    /// ConstraintAttributeSpec: deferrability, and whether NOT VALID was said.
    pub fn deferrable(&mut self) -> Result<(Deferrable, bool)> {
        let (mut deferrable, mut initially, mut not_valid) = (None, None, false);
        loop {
            match (self.keyword(), self.keyword_ahead(1)) {
                (Some(K::Not), Some(K::Deferrable)) if deferrable.is_none() => {
                    self.advance();
                    deferrable = Some(false);
                }
                (Some(K::Deferrable), _) if deferrable.is_none() => deferrable = Some(true),
                (Some(K::Initially), Some(K::Deferred | K::Immediate)) if initially.is_none() => {
                    self.advance();
                    initially = Some(self.is(K::Deferred));
                }
                (Some(K::Not), Some(K::Valid)) => {
                    self.advance();
                    not_valid = true;
                }
                (Some(K::No), Some(K::Inherit)) => self.advance(),
                _ => break,
            }
            self.advance();
        }
        let initially_deferred = initially.unwrap_or(false);
        if initially_deferred && deferrable == Some(false) {
            return Err(self.syntax_error("constraint declared INITIALLY DEFERRED must be DEFERRABLE"));
        }
        let deferrable = deferrable.unwrap_or(initially_deferred);
        Ok((Deferrable { deferrable, initially_deferred }, not_valid))
    }

    fn references(&mut self) -> Result<ForeignKeyReference> {
        self.expect(K::References)?;
        let table = self.object_name()?;
        let columns = self.optional_columns()?;
        let mut match_full = false;
        if self.eat(K::Match) {
            match self.keyword() {
                Some(K::Full) => match_full = true,
                Some(K::Simple) => {}
                Some(K::Partial) => {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "MATCH PARTIAL not yet implemented",
                    )
                    .at(self.position()));
                }
                _ => return Err(self.unexpected()),
            }
            self.advance();
        }
        let (mut on_delete, mut on_update) = (ReferentialAction::NoAction, ReferentialAction::NoAction);
        while self.is(K::On) {
            match self.keyword_ahead(1) {
                Some(K::Delete) => {
                    self.advance();
                    self.advance();
                    on_delete = self.referential_action()?;
                }
                Some(K::Update) => {
                    self.advance();
                    self.advance();
                    let position = self.position();
                    on_update = self.referential_action()?;
                    let list = match &on_update {
                        ReferentialAction::SetNull(columns) if !columns.is_empty() => Some("SET NULL"),
                        ReferentialAction::SetDefault(columns) if !columns.is_empty() => Some("SET DEFAULT"),
                        _ => None,
                    };
                    if let Some(action) = list {
                        let message =
                            format!("a column list with {action} is only supported for ON DELETE actions");
                        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
                    }
                }
                _ => {
                    self.advance();
                    return Err(self.unexpected());
                }
            }
        }
        let deferrable = self.deferrable_without_validity()?;
        Ok(ForeignKeyReference { table, columns, match_full, on_delete, on_update, deferrable })
    }

    /// Leaves NOT VALID to the table constraint around it.
    fn deferrable_without_validity(&mut self) -> Result<Deferrable> {
        if self.is(K::Not) && self.keyword_ahead(1) != Some(K::Deferrable) {
            return Ok(Deferrable::default());
        }
        let start = self.at;
        let (deferrable, not_valid) = self.deferrable()?;
        if not_valid {
            // It comes last: leave its two words.
            self.at = self.at.max(start + 2) - 2;
        }
        Ok(deferrable)
    }

    fn referential_action(&mut self) -> Result<ReferentialAction> {
        match self.keyword() {
            Some(K::No) => {
                self.advance();
                self.expect(K::Action)?;
                Ok(ReferentialAction::NoAction)
            }
            Some(K::Restrict) => {
                self.advance();
                Ok(ReferentialAction::Restrict)
            }
            Some(K::Cascade) => {
                self.advance();
                Ok(ReferentialAction::Cascade)
            }
            Some(K::Set) => {
                self.advance();
                let null = self.eat(K::Null);
                if !null {
                    self.expect(K::Default)?;
                }
                let columns = self.optional_columns()?;
                Ok(if null {
                    ReferentialAction::SetNull(columns)
                } else {
                    ReferentialAction::SetDefault(columns)
                })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A table constraint, and whether it is NOT VALID.
    pub fn table_constraint(&mut self) -> Result<(TableConstraint, bool)> {
        let position = self.position();
        let name = if self.eat(K::Constraint) { Some(self.column_id()?) } else { None };
        let mut not_valid = false;
        let kind = match self.keyword() {
            Some(K::Check) => {
                self.advance();
                let (expr, text) = self.parenthesised_text()?;
                let mut no_inherit = false;
                loop {
                    if self.eat_two(K::No, K::Inherit) {
                        no_inherit = true;
                    } else if self.eat_two(K::Not, K::Valid) {
                        not_valid = true;
                    } else {
                        break;
                    }
                }
                TableConstraintKind::Check { expr, text, no_inherit }
            }
            Some(K::Unique) => {
                self.advance();
                let nulls_not_distinct = self.nulls_not_distinct()?;
                let (columns, include, using_index) = self.key_columns()?;
                let deferrable = self.deferrable()?.0;
                TableConstraintKind::Unique { columns, include, nulls_not_distinct, using_index, deferrable }
            }
            Some(K::Primary) => {
                self.advance();
                self.expect(K::Key)?;
                let (columns, include, using_index) = self.key_columns()?;
                let deferrable = self.deferrable()?.0;
                TableConstraintKind::PrimaryKey { columns, include, using_index, deferrable }
            }
            Some(K::Foreign) => {
                self.advance();
                self.expect(K::Key)?;
                let columns = self.parenthesised(Parser::column_id)?;
                let reference = self.references()?;
                not_valid = self.eat_two(K::Not, K::Valid);
                TableConstraintKind::ForeignKey { columns, reference }
            }
            Some(K::Exclude) => TableConstraintKind::Exclude(Box::new(self.exclusion()?)),
            _ => return Err(self.unexpected()),
        };
        Ok((TableConstraint { name, kind, position }, not_valid))
    }

    /// `(columns) [INCLUDE (…)]`, or USING INDEX name.
    fn key_columns(&mut self) -> Result<(Vec<Name>, Vec<Name>, Option<Name>)> {
        if self.eat_two(K::Using, K::Index) {
            return Ok((Vec::new(), Vec::new(), Some(self.column_id()?)));
        }
        let columns = self.parenthesised(Parser::column_id)?;
        let include = if self.eat(K::Include) { self.parenthesised(Parser::column_id)? } else { Vec::new() };
        self.index_storage()?;
        Ok((columns, include, None))
    }

    /// EXCLUDE [USING method] (element WITH operator, …) [INCLUDE (…)] [WITH (…)] [WHERE (…)].
    fn exclusion(&mut self) -> Result<Exclusion> {
        self.advance();
        let method = if self.eat(K::Using) { Some(self.column_id()?) } else { None };
        let elements = self.parenthesised(|parser| {
            let element = parser.index_column()?;
            parser.expect(K::With)?;
            Ok((element, parser.any_operator()?))
        })?;
        let include = if self.eat(K::Include) { self.parenthesised(Parser::column_id)? } else { Vec::new() };
        let options = self.index_storage()?;
        let predicate = if self.eat(K::Where) { Some(self.parenthesised_text()?) } else { None };
        let deferrable = self.deferrable_without_validity()?;
        Ok(Exclusion { method, elements, include, options, predicate, deferrable })
    }

    // ---- CREATE INDEX ----

    fn create_index(&mut self) -> Result<StatementKind> {
        let unique = self.eat(K::Unique);
        self.expect(K::Index)?;
        let concurrently = self.eat(K::Concurrently);
        let if_not_exists = self.eat_if_not_exists()?;
        let name = if self.is(K::On) { None } else { Some(self.column_id()?) };
        if if_not_exists && name.is_none() {
            return Err(self.unexpected());
        }
        self.expect(K::On)?;
        let (table, only) = self.relation()?;
        let method = if self.eat(K::Using) { Some(self.column_id()?) } else { None };
        let columns = self.parenthesised(Parser::index_column)?;
        let include = if self.eat(K::Include) { self.parenthesised(Parser::column_id)? } else { Vec::new() };
        let nulls_not_distinct = self.nulls_not_distinct()?;
        let options = if self.eat(K::With) { self.storage_options()? } else { Vec::new() };
        if self.eat(K::Tablespace) {
            self.column_id()?;
        }
        let predicate = if self.eat(K::Where) {
            let from = self.at;
            let expr = self.expr()?;
            Some((expr, self.text_from(from)))
        } else {
            None
        };
        Ok(StatementKind::CreateIndex(Box::new(CreateIndex {
            name,
            table,
            only,
            unique,
            concurrently,
            if_not_exists,
            method,
            columns,
            include,
            nulls_not_distinct,
            predicate,
            options,
        })))
    }

    /// index_elem. An expression's text has no parentheses around it.
    fn index_column(&mut self) -> Result<IndexColumn> {
        let from = self.at;
        let (expr, text) = if self.is_symbol(b'(') {
            self.parenthesised_text()?
        } else {
            let expr = self.index_expr()?;
            let text = self.text_from(from);
            (expr, text)
        };
        if self.eat(K::Collate) {
            self.object_name()?;
        }
        let at_class = self.word_ahead(0).is_some()
            && !matches!(self.keyword(), Some(K::Asc | K::Desc | K::With))
            && !(self.is(K::Nulls) && matches!(self.keyword_ahead(1), Some(K::First | K::Last)));
        let operator_class = if at_class { Some(self.any_object_name()?) } else { None };
        if operator_class.is_some() && self.is_symbol(b'(') {
            self.storage_options()?;
        }
        let descending = self.eat(K::Desc);
        if !descending {
            self.eat(K::Asc);
        }
        let nulls_first = self.nulls_order()?;
        Ok(IndexColumn { expr, text, operator_class, descending, nulls_first })
    }

    // ---- sequences, views, schemas, databases, roles ----

    fn create_sequence(&mut self, temporary: bool) -> Result<StatementKind> {
        let if_not_exists = self.eat_if_not_exists()?;
        let name = self.object_name()?;
        let clauses = self.sequence_clauses()?;
        Ok(StatementKind::CreateSequence {
            name,
            if_not_exists,
            temporary,
            options: clauses.options,
            data_type: clauses.data_type,
            owned_by: clauses.owned_by,
        })
    }

    pub fn sequence_clauses(&mut self) -> Result<SequenceClauses> {
        let mut clauses = SequenceClauses::default();
        loop {
            match self.keyword() {
                Some(K::As) => {
                    self.advance();
                    clauses.data_type = Some(self.simple_type_name()?);
                }
                Some(K::Cache) => {
                    self.advance();
                    clauses.options.cache = Some(self.signed_integer()?);
                }
                Some(K::Cycle) => {
                    self.advance();
                    clauses.options.cycle = Some(true);
                }
                Some(K::No) => {
                    self.advance();
                    match self.keyword() {
                        Some(K::Cycle) => clauses.options.cycle = Some(false),
                        Some(K::Maxvalue) => clauses.options.max = Some(None),
                        Some(K::Minvalue) => clauses.options.min = Some(None),
                        _ => return Err(self.unexpected()),
                    }
                    self.advance();
                }
                Some(K::Increment) => {
                    self.advance();
                    self.eat(K::By);
                    clauses.options.increment = Some(self.signed_integer()?);
                }
                Some(K::Maxvalue) => {
                    self.advance();
                    clauses.options.max = Some(Some(self.signed_integer()?));
                }
                Some(K::Minvalue) => {
                    self.advance();
                    clauses.options.min = Some(Some(self.signed_integer()?));
                }
                Some(K::Start) => {
                    self.advance();
                    self.eat(K::With);
                    clauses.options.start = Some(self.signed_integer()?);
                }
                Some(K::Restart) => {
                    self.advance();
                    let value = self.eat(K::With)
                        || matches!(self.peek(), Kind::Integer(_) | Kind::Symbol(b'-' | b'+'));
                    clauses.restart = Some(if value { Some(self.signed_integer()?) } else { None });
                }
                Some(K::Owned) => {
                    self.advance();
                    self.expect(K::By)?;
                    clauses.owned_by = Some(self.any_owner_column()?);
                }
                Some(K::Sequence) if self.keyword_ahead(1) == Some(K::Name) => {
                    self.advance();
                    self.advance();
                    self.object_name()?;
                }
                _ => return Ok(clauses),
            }
        }
    }

    /// `table.column`, or NONE.
    fn any_owner_column(&mut self) -> Result<ObjectName> {
        if self.is(K::None) {
            let position = self.position();
            self.advance();
            return Ok(ObjectName { parts: vec!["none".to_owned()], position });
        }
        let position = self.position();
        let mut parts = vec![self.column_id()?];
        while self.eat_symbol(b'.') {
            parts.push(self.label()?);
        }
        Ok(ObjectName { parts, position })
    }

    fn create_view(&mut self, replace: bool, temporary: bool) -> Result<StatementKind> {
        let name = self.object_name()?;
        let columns = self.optional_columns()?;
        let mut options = if self.eat(K::With) { self.storage_options()? } else { Vec::new() };
        self.expect(K::As)?;
        let from = self.at;
        let query = self.query()?;
        let text = self.text_from(from);
        if self.is(K::With) {
            let position = self.position();
            self.advance();
            let local = self.eat(K::Local);
            if !local {
                self.eat(K::Cascaded);
            }
            self.expect(K::Check)?;
            self.expect(K::Option)?;
            if options.iter().any(|(name, _)| name == "check_option") {
                let message = "parameter \"check_option\" specified more than once";
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(position));
            }
            let value = if local { "local" } else { "cascaded" };
            options.push(("check_option".to_owned(), Some(value.to_owned())));
        }
        Ok(StatementKind::CreateView { name, columns, replace, temporary, options, query, text })
    }

    fn create_schema(&mut self) -> Result<StatementKind> {
        self.advance();
        let if_not_exists = self.eat_if_not_exists()?;
        let name = if self.is(K::Authorization) { None } else { Some(self.column_id()?) };
        let authorization = if self.eat(K::Authorization) { Some(self.role_spec()?) } else { None };
        if name.is_none() && authorization.is_none() {
            return Err(self.unexpected());
        }
        if matches!(self.keyword(), Some(K::Create | K::Grant)) {
            return Err(Error::unsupported("CREATE SCHEMA with elements").at(self.position()));
        }
        Ok(StatementKind::CreateSchema { name, if_not_exists, authorization })
    }

    fn create_database(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.column_id()?;
        self.eat(K::With);
        let mut options = Vec::new();
        while !self.at_statement_end() {
            let option = if self.eat_two(K::Connection, K::Limit) {
                "connection_limit".to_owned()
            } else {
                self.label()?
            };
            self.eat_symbol(b'=');
            let value = match self.peek() {
                Kind::String(_) => self.string()?,
                Kind::Integer(_) | Kind::Symbol(b'-' | b'+') => self.signed_number()?,
                _ => self.label()?,
            };
            options.push((option, value));
        }
        Ok(StatementKind::CreateDatabase { name, options })
    }

    fn create_role(&mut self) -> Result<StatementKind> {
        let user = self.is(K::User);
        self.advance();
        let name = self.new_role()?;
        self.eat(K::With);
        let mut options = self.role_options()?;
        // CREATE USER is CREATE ROLE with LOGIN.
        if user && !options.iter().any(|(option, _)| option == "nologin") {
            options.insert(0, ("login".to_owned(), None));
        }
        Ok(StatementKind::CreateRole { name, options })
    }

    /// Names in lower case, "connection limit", "valid until"; lists of roles are joined with a byte that no name has.
    pub fn role_options(&mut self) -> Result<Vec<(String, Option<String>)>> {
        let mut options = Vec::new();
        while !self.at_statement_end() {
            let position = self.position();
            let word = self.label()?;
            let option = match word.as_str() {
                "superuser" | "nosuperuser" | "createdb" | "nocreatedb" | "createrole" | "nocreaterole"
                | "inherit" | "noinherit" | "login" | "nologin" | "replication" | "noreplication"
                | "bypassrls" | "nobypassrls" => (word, None),
                "encrypted" => {
                    self.expect(K::Password)?;
                    ("password".to_owned(), Some(self.string()?))
                }
                "password" => {
                    let value = if self.eat(K::Null) { None } else { Some(self.string()?) };
                    (word, value)
                }
                "connection" => {
                    self.expect(K::Limit)?;
                    ("connection limit".to_owned(), Some(self.signed_number()?))
                }
                "valid" => {
                    self.expect(K::Until)?;
                    ("valid until".to_owned(), Some(self.string()?))
                }
                "sysid" => (word, Some(self.signed_number()?)),
                "admin" | "role" | "user" => (word, Some(self.role_list()?)),
                "in" => {
                    if !self.eat(K::Role) {
                        self.expect(K::Group)?;
                    }
                    ("in role".to_owned(), Some(self.role_list()?))
                }
                _ => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized role option \"{word}\""),
                    )
                    .at(position));
                }
            };
            options.push(option);
        }
        Ok(options)
    }
}
