//! Which statement it is, and the short ones: transactions, cursors, prepared statements, COPY, EXPLAIN, maintenance.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::{Error, Result, SqlState};
use crate::settings::IsolationLevel;
use serin_txn::RelationLockMode;

impl Parser<'_> {
    pub fn statement(&mut self) -> Result<StatementKind> {
        let Some(keyword) = self.keyword() else {
            if self.is_symbol(b'(') {
                return Ok(StatementKind::Query(self.query()?));
            }
            return Err(self.unexpected());
        };
        match keyword {
            K::Select | K::Values | K::Table => Ok(StatementKind::Query(self.query()?)),
            K::With => self.preparable(),
            K::Insert => self.insert(),
            K::Update => self.update(),
            K::Delete => self.delete(),
            K::Merge => self.merge(),
            K::Call => self.call_statement(),
            K::Do => self.do_statement(),
            K::Begin => {
                self.advance();
                self.eat_work();
                Ok(StatementKind::Begin { modes: self.transaction_modes()?, tag: "BEGIN" })
            }
            K::Start => {
                self.advance();
                self.expect(K::Transaction)?;
                Ok(StatementKind::Begin { modes: self.transaction_modes()?, tag: "START TRANSACTION" })
            }
            K::Commit | K::End => self.commit(),
            K::Rollback | K::Abort => self.rollback(),
            K::Savepoint => {
                self.advance();
                Ok(StatementKind::Savepoint(self.column_id()?))
            }
            K::Release => {
                self.advance();
                self.eat(K::Savepoint);
                Ok(StatementKind::Release(self.column_id()?))
            }
            K::Set => self.set(),
            K::Reset => self.reset(),
            K::Show => self.show(),
            K::Lock => self.lock(),
            K::Prepare => self.prepare(),
            K::Execute => self.execute(),
            K::Deallocate => {
                self.advance();
                self.eat(K::Prepare);
                Ok(StatementKind::Deallocate(if self.eat(K::All) { None } else { Some(self.column_id()?) }))
            }
            K::Declare => self.declare(),
            K::Fetch | K::Move => self.fetch(),
            K::Close => {
                self.advance();
                Ok(StatementKind::Close(if self.eat(K::All) { None } else { Some(self.column_id()?) }))
            }
            K::Copy => self.copy(),
            K::Explain => self.explain(),
            K::Create => self.create(),
            K::Alter => self.alter(),
            K::Drop => self.drop(),
            K::Comment => self.comment(),
            K::Grant | K::Revoke => self.grant(),
            K::Truncate => self.truncate(),
            K::Vacuum => self.vacuum(),
            K::Analyze | K::Analyse => self.analyze(),
            K::Reindex => self.reindex(),
            K::Backup => {
                self.advance();
                self.expect(K::To)?;
                let directory = self.string()?;
                let previous = if self.is_word("incremental") {
                    self.advance();
                    self.expect(K::From)?;
                    Some(self.string()?)
                } else {
                    None
                };
                Ok(StatementKind::Backup { directory, previous })
            }
            K::Checkpoint => {
                self.advance();
                Ok(StatementKind::Checkpoint)
            }
            K::Discard => self.discard(),
            K::Listen => {
                self.advance();
                Ok(StatementKind::Listen(self.column_id()?))
            }
            K::Unlisten => {
                self.advance();
                let all = self.eat_symbol(b'*');
                Ok(StatementKind::Unlisten(if all { None } else { Some(self.column_id()?) }))
            }
            K::Notify => {
                self.advance();
                let channel = self.column_id()?;
                let payload = if self.eat_symbol(b',') { Some(self.string()?) } else { None };
                Ok(StatementKind::Notify(channel, payload))
            }
            K::Reassign => self.reassign_owned(),
            K::Refresh => self.refresh(),
            K::Cluster | K::Import | K::Load | K::Security => {
                let name = match keyword {
                    K::Import => "IMPORT FOREIGN SCHEMA".to_owned(),
                    K::Security => "SECURITY LABEL".to_owned(),
                    other => other.text().to_ascii_uppercase(),
                };
                self.unsupported(&name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A statement that is known but can't be run: skips to its end. A body in BEGIN ATOMIC … END has semicolons of its
    /// own, as have parentheses (CREATE RULE).
    pub fn unsupported(&mut self, name: &str) -> Result<StatementKind> {
        let mut parentheses = 0usize;
        let mut blocks = 0usize;
        loop {
            match self.peek() {
                Kind::End => break,
                Kind::Error(_) => return Err(self.unexpected()),
                Kind::Symbol(b';') if parentheses == 0 && blocks == 0 => break,
                Kind::Symbol(b'(') => parentheses += 1,
                Kind::Symbol(b')') => {
                    parentheses = parentheses.checked_sub(1).ok_or_else(|| self.unexpected())?;
                }
                Kind::Keyword(K::Begin) if self.keyword_ahead(1) == Some(K::Atomic) => blocks += 1,
                Kind::Keyword(K::Case) if blocks > 0 => blocks += 1,
                Kind::Keyword(K::End) if blocks > 0 => blocks -= 1,
                Kind::Parameter(number) if blocks == 0 => self.parameters = self.parameters.max(*number),
                _ => {}
            }
            self.advance();
        }
        Ok(StatementKind::Unsupported(name.to_owned()))
    }

    // ---- transactions ----

    fn eat_work(&mut self) {
        if !self.eat(K::Work) {
            self.eat(K::Transaction);
        }
    }

    /// transaction_mode_list_or_empty.
    pub fn transaction_modes(&mut self) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        loop {
            match self.keyword() {
                Some(K::Isolation) => {
                    self.advance();
                    self.expect(K::Level)?;
                    modes.isolation = Some(self.isolation_level()?);
                }
                Some(K::Read) => {
                    self.advance();
                    let only = self.eat(K::Only);
                    if !only {
                        self.expect(K::Write)?;
                    }
                    modes.read_only = Some(only);
                }
                Some(K::Deferrable) => {
                    self.advance();
                    modes.deferrable = Some(true);
                }
                Some(K::Not) => {
                    self.advance();
                    self.expect(K::Deferrable)?;
                    modes.deferrable = Some(false);
                }
                _ => return Ok(modes),
            }
            if self.eat_symbol(b',') && self.at_statement_end() {
                return Err(self.unexpected());
            }
        }
    }

    fn isolation_level(&mut self) -> Result<IsolationLevel> {
        if self.eat(K::Serializable) {
            return Ok(IsolationLevel::Serializable);
        }
        if self.eat(K::Repeatable) {
            self.expect(K::Read)?;
            return Ok(IsolationLevel::RepeatableRead);
        }
        self.expect(K::Read)?;
        if self.eat(K::Uncommitted) {
            return Ok(IsolationLevel::ReadUncommitted);
        }
        self.expect(K::Committed)?;
        Ok(IsolationLevel::ReadCommitted)
    }

    /// AND [NO] CHAIN.
    fn chain(&mut self) -> Result<bool> {
        if !self.eat(K::And) {
            return Ok(false);
        }
        let chain = !self.eat(K::No);
        self.expect(K::Chain)?;
        Ok(chain)
    }

    fn commit(&mut self) -> Result<StatementKind> {
        let end = self.is(K::End);
        self.advance();
        if !end && self.eat(K::Prepared) {
            return Ok(StatementKind::CommitPrepared(self.string()?));
        }
        self.eat_work();
        Ok(StatementKind::Commit { chain: self.chain()? })
    }

    fn rollback(&mut self) -> Result<StatementKind> {
        let abort = self.is(K::Abort);
        self.advance();
        if !abort && self.eat(K::Prepared) {
            return Ok(StatementKind::RollbackPrepared(self.string()?));
        }
        self.eat_work();
        if !abort && self.eat(K::To) {
            self.eat(K::Savepoint);
            return Ok(StatementKind::RollbackTo(self.column_id()?));
        }
        Ok(StatementKind::Rollback { chain: self.chain()? })
    }

    fn lock(&mut self) -> Result<StatementKind> {
        self.advance();
        self.eat(K::Table);
        let tables = self.comma_list(Parser::relation)?;
        let mode = if self.eat(K::In) {
            let mode = self.lock_mode()?;
            self.expect(K::Mode)?;
            mode
        } else {
            RelationLockMode::AccessExclusive
        };
        Ok(StatementKind::LockTable { tables, mode, nowait: self.eat(K::Nowait) })
    }

    fn lock_mode(&mut self) -> Result<RelationLockMode> {
        use RelationLockMode as M;
        if self.eat(K::Access) {
            if self.eat(K::Share) {
                return Ok(M::AccessShare);
            }
            self.expect(K::Exclusive)?;
            return Ok(M::AccessExclusive);
        }
        if self.eat(K::Row) {
            if self.eat(K::Share) {
                return Ok(M::RowShare);
            }
            self.expect(K::Exclusive)?;
            return Ok(M::RowExclusive);
        }
        if self.eat(K::Share) {
            if self.eat(K::Update) {
                self.expect(K::Exclusive)?;
                return Ok(M::ShareUpdateExclusive);
            }
            if self.eat(K::Row) {
                self.expect(K::Exclusive)?;
                return Ok(M::ShareRowExclusive);
            }
            return Ok(M::Share);
        }
        self.expect(K::Exclusive)?;
        Ok(M::Exclusive)
    }

    // ---- prepared statements and cursors ----

    fn prepare(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.is(K::Transaction) && matches!(self.peek_ahead(1), Kind::String(_)) {
            self.advance();
            return Ok(StatementKind::PrepareTransaction(self.string()?));
        }
        let name = self.column_id()?;
        let types = if self.is_symbol(b'(') { self.parenthesised(Parser::type_name)? } else { Vec::new() };
        self.expect(K::As)?;
        let statement = Box::new(self.preparable()?);
        Ok(StatementKind::Prepare { name, types, statement })
    }

    pub fn execute(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.column_id()?;
        let arguments = if self.is_symbol(b'(') { self.parenthesised(Parser::expr)? } else { Vec::new() };
        Ok(StatementKind::Execute { name, arguments })
    }

    fn declare(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.column_id()?;
        let (mut binary, mut scroll) = (false, None);
        loop {
            match self.keyword() {
                Some(K::Binary) => binary = true,
                Some(K::Scroll) => scroll = Some(true),
                Some(K::No) if self.keyword_ahead(1) == Some(K::Scroll) => {
                    self.advance();
                    scroll = Some(false);
                }
                Some(K::Insensitive | K::Asensitive) => {}
                _ => break,
            }
            self.advance();
        }
        self.expect(K::Cursor)?;
        let hold = match self.keyword() {
            Some(K::With | K::Without) => {
                let with = self.is(K::With);
                self.advance();
                self.expect(K::Hold)?;
                with
            }
            _ => false,
        };
        self.expect(K::For)?;
        let query = self.query()?;
        Ok(StatementKind::Declare { name, binary, scroll, hold, query })
    }

    /// FETCH and MOVE: `[direction] [FROM | IN] cursor`.
    fn fetch(&mut self) -> Result<StatementKind> {
        let move_only = self.is(K::Move);
        self.advance();
        let direction = self.fetch_direction()?;
        if !self.eat(K::From) {
            self.eat(K::In);
        }
        Ok(StatementKind::Fetch { cursor: self.column_id()?, direction, move_only })
    }

    fn fetch_direction(&mut self) -> Result<FetchDirection> {
        use FetchDirection as D;
        // A direction's word alone is a cursor's name: `FETCH next`.
        if matches!(self.peek_ahead(1), Kind::End | Kind::Symbol(b';')) {
            return Ok(D::Forward(1));
        }
        let keyword = self.keyword();
        let counted = |parser: &mut Self| -> Result<Option<i64>> {
            match parser.peek() {
                Kind::Integer(_) | Kind::Symbol(b'-' | b'+') => Ok(Some(parser.signed_integer()?)),
                _ => Ok(None),
            }
        };
        let forward = |count: i64| {
            if count < 0 { D::Backward(count.unsigned_abs()) } else { D::Forward(count as u64) }
        };
        let backward = |count: i64| {
            if count < 0 { D::Forward(count.unsigned_abs()) } else { D::Backward(count as u64) }
        };
        match keyword {
            Some(K::Next) => self.advance(),
            Some(K::Prior) => {
                self.advance();
                return Ok(D::Backward(1));
            }
            Some(K::First) => {
                self.advance();
                return Ok(D::Absolute(1));
            }
            Some(K::Last) => {
                self.advance();
                return Ok(D::Absolute(-1));
            }
            Some(K::Absolute) => {
                self.advance();
                return Ok(D::Absolute(self.signed_integer()?));
            }
            Some(K::Relative) => {
                self.advance();
                return Ok(D::Relative(self.signed_integer()?));
            }
            Some(K::All) => {
                self.advance();
                return Ok(D::ForwardAll);
            }
            Some(direction @ (K::Forward | K::Backward)) => {
                self.advance();
                let forwards = direction == K::Forward;
                if self.eat(K::All) {
                    return Ok(if forwards { D::ForwardAll } else { D::BackwardAll });
                }
                let count = counted(self)?.unwrap_or(1);
                return Ok(if forwards { forward(count) } else { backward(count) });
            }
            _ => {
                if let Some(count) = counted(self)? {
                    return Ok(forward(count));
                }
            }
        }
        Ok(D::Forward(1))
    }

    // ---- COPY ----

    fn copy(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut options = Vec::new();
        if self.eat(K::Binary) {
            options.push(("format".to_owned(), Some("binary".to_owned())));
        }
        let source = if self.is_symbol(b'(') {
            self.advance();
            let query = Box::new(self.nested(Parser::preparable)?);
            self.expect_symbol(b')')?;
            CopySource::Query(query)
        } else {
            let name = self.object_name()?;
            CopySource::Table { name, columns: self.optional_columns()? }
        };
        let from = self.eat(K::From);
        if !from {
            self.expect(K::To)?;
        } else if matches!(source, CopySource::Query(_)) {
            self.at -= 1;
            return Err(self.unexpected());
        }
        let target = if self.eat(K::Program) {
            CopyTarget::Program(self.string()?)
        } else if self.eat(K::Stdin) || self.eat(K::Stdout) {
            CopyTarget::Client
        } else {
            CopyTarget::File(self.string()?)
        };
        if self.is_word("delimiters") || (self.is(K::Using) && self.word_ahead(1) == Some("delimiters")) {
            self.eat(K::Using);
            self.advance();
            options.push(("delimiter".to_owned(), Some(self.string()?)));
        }
        self.eat(K::With);
        if self.is_symbol(b'(') {
            options.extend(self.parenthesised(Parser::generic_option)?);
        } else {
            self.old_copy_options(&mut options)?;
        }
        let filter = self.where_clause()?;
        Ok(StatementKind::Copy(Box::new(Copy { source, from, target, options, filter })))
    }

    /// `name [value]` in the parentheses of COPY, EXPLAIN, VACUUM, …
    fn generic_option(&mut self) -> Result<(String, Option<String>)> {
        let name = self.label()?;
        let value = match self.peek() {
            Kind::Symbol(b',' | b')') => None,
            Kind::Symbol(b'*') => {
                self.advance();
                Some("*".to_owned())
            }
            Kind::Symbol(b'(') => Some(self.parenthesised(Parser::label)?.join(",")),
            Kind::String(_) => Some(self.string()?),
            Kind::Integer(_) | Kind::Decimal(_) | Kind::Symbol(b'-' | b'+') => Some(self.signed_number()?),
            _ => Some(self.label()?),
        };
        Ok((name, value))
    }

    /// `CSV HEADER DELIMITER ','`, the syntax before 9.0.
    fn old_copy_options(&mut self, options: &mut Vec<(String, Option<String>)>) -> Result<()> {
        loop {
            let (name, value) = match self.keyword() {
                Some(K::Binary) => ("format", "binary".to_owned()),
                Some(K::Csv) => ("format", "csv".to_owned()),
                Some(K::Freeze) => ("freeze", "true".to_owned()),
                Some(K::Header) => ("header", "true".to_owned()),
                Some(word @ (K::Delimiter | K::Null | K::Quote | K::Escape | K::Encoding)) => {
                    self.advance();
                    self.eat(K::As);
                    options.push((word.text().to_owned(), Some(self.string()?)));
                    continue;
                }
                Some(K::Force) => {
                    self.advance();
                    let name = if self.eat(K::Quote) {
                        "force_quote"
                    } else if self.eat_two(K::Not, K::Null) {
                        "force_not_null"
                    } else {
                        self.expect(K::Null)?;
                        "force_null"
                    };
                    let columns = if self.eat_symbol(b'*') {
                        "*".to_owned()
                    } else {
                        self.comma_list(Parser::column_id)?.join(",")
                    };
                    options.push((name.to_owned(), Some(columns)));
                    continue;
                }
                _ => return Ok(()),
            };
            self.advance();
            options.push((name.to_owned(), Some(value)));
        }
    }

    // ---- EXPLAIN and maintenance ----

    fn explain(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut options = Vec::new();
        if self.is_symbol(b'(') && !self.is_symbol_ahead(1, b'(') && !self.is_query_word(1) {
            options = self.parenthesised(Parser::generic_option)?;
        } else {
            for (word, name) in [(K::Analyze, "analyze"), (K::Verbose, "verbose")] {
                if self.eat(word) || (word == K::Analyze && self.eat(K::Analyse)) {
                    options.push((name.to_owned(), None));
                }
            }
        }
        let statement = match self.keyword() {
            Some(K::Declare | K::Create | K::Execute | K::Refresh) => self.statement()?,
            _ => self.preparable()?,
        };
        match statement {
            StatementKind::Query(_)
            | StatementKind::Insert(_)
            | StatementKind::Update(_)
            | StatementKind::Delete(_)
            | StatementKind::Merge(_)
            | StatementKind::Declare { .. }
            | StatementKind::CreateTableAs { .. }
            | StatementKind::Execute { .. }
            | StatementKind::Unsupported(_) => {}
            _ => return Err(self.unexpected()),
        }
        Ok(StatementKind::Explain(Box::new(Explain { options, statement })))
    }

    /// `table [(columns)], …`, if they are there.
    fn maintained_tables(&mut self) -> Result<Vec<(ObjectName, Vec<Name>)>> {
        if self.at_statement_end() {
            return Ok(Vec::new());
        }
        self.comma_list(|parser| {
            let name = parser.object_name()?;
            Ok((name, parser.optional_columns()?))
        })
    }

    fn vacuum(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut options = Vec::new();
        if self.is_symbol(b'(') {
            options = self.parenthesised(Parser::generic_option)?;
        } else {
            for word in [K::Full, K::Freeze, K::Verbose, K::Analyze] {
                if self.eat(word) || (word == K::Analyze && self.eat(K::Analyse)) {
                    options.push((word.text().to_owned(), None));
                }
            }
        }
        let analyze = options.iter().any(|(name, value)| {
            matches!(name.as_str(), "analyze" | "analyse")
                && !matches!(value.as_deref(), Some("false" | "off" | "0"))
        });
        Ok(StatementKind::Vacuum { tables: self.maintained_tables()?, options, analyze })
    }

    fn analyze(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut verbose = self.eat(K::Verbose);
        if self.is_symbol(b'(') {
            let options = self.parenthesised(Parser::generic_option)?;
            verbose = options.iter().any(|(name, value)| {
                name == "verbose" && !matches!(value.as_deref(), Some("false" | "off" | "0"))
            });
        }
        Ok(StatementKind::Analyze { tables: self.maintained_tables()?, verbose })
    }

    fn reindex(&mut self) -> Result<StatementKind> {
        self.advance();
        if self.is_symbol(b'(') {
            self.parenthesised(Parser::generic_option)?;
        }
        let object = match self.keyword() {
            Some(K::Table) => ObjectKind::Table,
            Some(K::Index) => ObjectKind::Index,
            Some(K::Schema) => ObjectKind::Schema,
            Some(K::Database) => ObjectKind::Database,
            Some(K::System) => ObjectKind::Other,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        self.eat(K::Concurrently);
        if self.at_statement_end() && matches!(object, ObjectKind::Database | ObjectKind::Other) {
            // PostgreSQL 16: the current database.
            let name = ObjectName { parts: Vec::new(), position: self.position() };
            return Ok(StatementKind::Reindex { object, name });
        }
        Ok(StatementKind::Reindex { object, name: self.object_name()? })
    }

    fn truncate(&mut self) -> Result<StatementKind> {
        self.advance();
        self.eat(K::Table);
        let tables = self.comma_list(Parser::relation)?;
        let restart_identity = if self.eat(K::Restart) {
            self.expect(K::Identity)?;
            true
        } else {
            if self.eat(K::Continue) {
                self.expect(K::Identity)?;
            }
            false
        };
        let cascade = self.cascade();
        Ok(StatementKind::Truncate { tables, restart_identity, cascade })
    }

    /// [CASCADE | RESTRICT].
    pub fn cascade(&mut self) -> bool {
        if self.eat(K::Cascade) {
            return true;
        }
        self.eat(K::Restrict);
        false
    }

    fn discard(&mut self) -> Result<StatementKind> {
        self.advance();
        let what = match self.keyword() {
            Some(K::All | K::Plans | K::Sequences | K::Temp) => self.label()?,
            Some(K::Temporary) => {
                self.advance();
                "temp".to_owned()
            }
            _ => return Err(self.unexpected()),
        };
        Ok(StatementKind::Discard(what))
    }

    /// A syntax error in words of its own.
    pub fn syntax_error(&self, message: impl Into<String>) -> Error {
        Error::new(SqlState::SYNTAX_ERROR, message).at(self.position())
    }
}
