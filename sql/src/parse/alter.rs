//! ALTER …: tables in full, the short forms of the other objects.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    pub fn alter(&mut self) -> Result<StatementKind> {
        self.advance();
        match self.keyword() {
            Some(K::Table) => {
                self.advance();
                self.alter_relation(ObjectKind::Table)
            }
            Some(K::Index) => {
                self.advance();
                self.alter_relation(ObjectKind::Index)
            }
            Some(K::View) => {
                self.advance();
                self.alter_relation(ObjectKind::View)
            }
            Some(K::Materialized) if self.keyword_ahead(1) == Some(K::View) => {
                self.advance();
                self.advance();
                self.alter_relation(ObjectKind::MaterializedView)
            }
            Some(K::Sequence) => self.alter_sequence(),
            Some(K::Schema) => self.alter_named(ObjectKind::Schema, "ALTER SCHEMA"),
            Some(K::Database) => self.alter_database(),
            Some(K::Role | K::User | K::Group) if self.keyword_ahead(1) != Some(K::Mapping) => {
                self.alter_role()
            }
            Some(K::System) => {
                self.advance();
                self.alter_setting(SettingTarget::System)
            }
            Some(K::Function | K::Procedure | K::Routine) => self.alter_routine(),
            Some(K::Default) => self.default_privileges(),
            Some(K::Trigger) => self.alter_trigger(),
            Some(K::Type) => self.alter_type(false),
            Some(K::Domain) => self.alter_type(true),
            Some(K::Extension) => self.alter_extension(),
            Some(K::Large) => {
                let name = self.large_object()?;
                self.expect(K::Owner)?;
                self.expect(K::To)?;
                Ok(StatementKind::Owner { object: ObjectKind::LargeObject, name, to: self.role_spec()? })
            }
            Some(
                word @ (K::Aggregate
                | K::Collation
                | K::Conversion
                | K::Event
                | K::Foreign
                | K::Language
                | K::Operator
                | K::Policy
                | K::Publication
                | K::Rule
                | K::Server
                | K::Statistics
                | K::Subscription
                | K::Tablespace
                | K::Text
                | K::User),
            ) => {
                let name = format!("ALTER {}", word.text().to_ascii_uppercase());
                self.unsupported(&name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// RENAME TO and OWNER TO of what has nothing else to alter.
    fn alter_named(&mut self, object: ObjectKind, statement: &str) -> Result<StatementKind> {
        self.advance();
        let name = self.object_name()?;
        if self.eat_two(K::Rename, K::To) {
            return Ok(StatementKind::Rename { object, name, if_exists: false, to: self.column_id()? });
        }
        if self.eat_two(K::Owner, K::To) {
            return Ok(StatementKind::Owner { object, name, to: self.role_spec()? });
        }
        self.unsupported(statement)
    }

    fn alter_sequence(&mut self) -> Result<StatementKind> {
        self.advance();
        let start = self.at;
        let if_exists = self.eat_if_exists()?;
        let name = self.object_name()?;
        if matches!(self.keyword(), Some(K::Rename | K::Owner | K::Set)) {
            self.at = start;
            return self.alter_relation(ObjectKind::Sequence);
        }
        let first = self.at;
        let clauses = self.sequence_clauses()?;
        if self.at == first {
            return Err(self.unexpected());
        }
        Ok(StatementKind::AlterSequence {
            name,
            if_exists,
            data_type: clauses.data_type,
            options: clauses.options,
            restart: clauses.restart,
            owned_by: clauses.owned_by,
        })
    }

    fn alter_database(&mut self) -> Result<StatementKind> {
        self.advance();
        let position = self.position();
        let name = self.column_id()?;
        match self.keyword() {
            Some(K::Set) if self.keyword_ahead(1) != Some(K::Tablespace) => {
                self.alter_setting(SettingTarget::Database(name))
            }
            Some(K::Reset) => self.alter_setting(SettingTarget::Database(name)),
            Some(K::Rename) => {
                self.advance();
                self.expect(K::To)?;
                let name = ObjectName { parts: vec![name], position };
                let to = self.column_id()?;
                Ok(StatementKind::Rename { object: ObjectKind::Database, name, if_exists: false, to })
            }
            Some(K::Owner) if self.keyword_ahead(1) == Some(K::To) => {
                self.advance();
                self.advance();
                let name = ObjectName { parts: vec![name], position };
                Ok(StatementKind::Owner { object: ObjectKind::Database, name, to: self.role_spec()? })
            }
            _ => self.unsupported("ALTER DATABASE"),
        }
    }

    fn alter_role(&mut self) -> Result<StatementKind> {
        self.advance();
        let position = self.position();
        let role = if self.eat(K::All) { None } else { Some(self.role_spec()?) };
        if self.eat_two(K::In, K::Database) {
            let database = self.column_id()?;
            return self.alter_setting(SettingTarget::RoleInDatabase(role, database));
        }
        if matches!(self.keyword(), Some(K::Set | K::Reset)) {
            return self.alter_setting(SettingTarget::Role(role));
        }
        let role = role.ok_or_else(|| self.unexpected())?;
        if self.eat_two(K::Rename, K::To) {
            let name = ObjectName { parts: vec![role.plain("ALTER ROLE")?], position };
            let to = self.new_role()?;
            return Ok(StatementKind::Rename { object: ObjectKind::Role, name, if_exists: false, to });
        }
        if matches!(self.keyword(), Some(K::Add | K::Drop)) {
            // ALTER GROUP g ADD USER u is GRANT g TO u.
            let grant = self.is(K::Add);
            self.advance();
            self.expect(K::User)?;
            let grantees = self.role_specs()?;
            let statement = super::privilege_ast::GrantRole {
                grant,
                roles: vec![role.plain("ALTER GROUP")?],
                grantees,
                admin: false,
                grantor: None,
                cascade: false,
            };
            return Ok(StatementKind::GrantRole(Box::new(statement)));
        }
        self.eat(K::With);
        Ok(StatementKind::AlterRole { role, options: self.role_options()? })
    }

    // ---- relations ----

    fn alter_relation(&mut self, object: ObjectKind) -> Result<StatementKind> {
        if self.is(K::All) && self.keyword_ahead(1) == Some(K::In) {
            return self.unsupported("ALTER … ALL IN TABLESPACE");
        }
        let if_exists = self.eat_if_exists()?;
        let (name, only) = self.relation()?;
        if self.eat(K::Rename) {
            return self.rename(object, name, only, if_exists);
        }
        let actions = self.comma_list(Parser::alter_action)?;
        Ok(StatementKind::AlterTable(Box::new(AlterTable { name, only, if_exists, actions })))
    }

    fn rename(
        &mut self,
        object: ObjectKind,
        name: ObjectName,
        only: bool,
        if_exists: bool,
    ) -> Result<StatementKind> {
        if self.eat(K::To) {
            return Ok(StatementKind::Rename { object, name, if_exists, to: self.column_id()? });
        }
        let action = if self.eat(K::Constraint) {
            let from = self.column_id()?;
            self.expect(K::To)?;
            AlterTableAction::RenameConstraint { from, to: self.column_id()? }
        } else {
            self.eat(K::Column);
            let from = self.column_id()?;
            self.expect(K::To)?;
            AlterTableAction::RenameColumn { from, to: self.column_id()? }
        };
        Ok(StatementKind::AlterTable(Box::new(AlterTable { name, only, if_exists, actions: vec![action] })))
    }

    /// ENABLE [ALWAYS | REPLICA] TRIGGER, DISABLE TRIGGER.
    fn trigger_switch_ahead(&self) -> bool {
        match self.keyword_ahead(1) {
            Some(K::Trigger) => true,
            Some(K::Always | K::Replica) => self.keyword_ahead(2) == Some(K::Trigger),
            _ => false,
        }
    }

    fn row_security(&mut self) -> Result<Option<RowSecurity>> {
        let (switch, words) = match (self.keyword(), self.keyword_ahead(1)) {
            (Some(K::Enable), Some(K::Row)) => (RowSecurity::Enabled(true), 1),
            (Some(K::Disable), Some(K::Row)) => (RowSecurity::Enabled(false), 1),
            (Some(K::Force), Some(K::Row)) => (RowSecurity::Forced(true), 1),
            (Some(K::No), Some(K::Force)) => (RowSecurity::Forced(false), 2),
            _ => return Ok(None),
        };
        (0..words).for_each(|_| self.advance());
        [K::Row, K::Level, K::Security].into_iter().try_for_each(|word| self.expect(word))?;
        Ok(Some(switch))
    }

    fn trigger_switch(&mut self) -> Result<AlterTableAction> {
        let disable = self.is(K::Disable);
        self.advance();
        let enabled = match self.keyword() {
            Some(K::Always) => 'A',
            Some(K::Replica) => 'R',
            _ if disable => 'D',
            _ => 'O',
        };
        if !self.is(K::Trigger) {
            self.advance();
        }
        self.expect(K::Trigger)?;
        let name = match self.keyword() {
            Some(K::All) => TriggerName::All,
            Some(K::User) => TriggerName::User,
            _ => TriggerName::Named(self.column_id()?),
        };
        if name == TriggerName::All || name == TriggerName::User {
            self.advance();
        }
        Ok(AlterTableAction::SetTrigger { name, enabled })
    }

    fn alter_action(&mut self) -> Result<AlterTableAction> {
        let from = self.at;
        if let Some(action) = self.alter_inheritance()? {
            return Ok(action);
        }
        match self.keyword() {
            Some(K::Enable | K::Disable) if self.trigger_switch_ahead() => self.trigger_switch(),
            Some(K::Enable | K::Disable | K::Force | K::No) if let Some(switch) = self.row_security()? => {
                Ok(AlterTableAction::SetRowSecurity(switch))
            }
            Some(K::Add) => {
                self.advance();
                self.alter_add()
            }
            Some(K::Drop) => {
                self.advance();
                self.alter_drop()
            }
            Some(K::Alter) if !matches!(self.keyword_ahead(1), Some(K::Constraint)) => {
                self.advance();
                self.eat(K::Column);
                self.alter_column(from)
            }
            Some(K::Alter) => {
                self.advance();
                self.advance();
                let name = self.column_id()?;
                let start = self.position();
                let (deferrable, not_valid) = self.deferrable()?;
                if not_valid {
                    let message = "FOREIGN KEY constraints cannot be marked NOT VALID";
                    return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(start));
                }
                Ok(AlterTableAction::AlterConstraint { name, deferrable })
            }
            Some(K::Cluster) if self.keyword_ahead(1) == Some(K::On) => {
                self.advance();
                self.advance();
                self.column_id()?;
                Ok(AlterTableAction::Stored)
            }
            Some(K::Set) if matches!(self.keyword_ahead(1), Some(K::Logged | K::Unlogged)) => {
                self.advance();
                let unlogged = self.is(K::Unlogged);
                self.advance();
                Ok(AlterTableAction::SetUnlogged(unlogged))
            }
            Some(K::Set) if self.keyword_ahead(1) == Some(K::Without) => {
                self.advance();
                self.advance();
                if !self.eat(K::Cluster) {
                    self.expect(K::Oids)?;
                }
                Ok(AlterTableAction::Stored)
            }
            Some(K::Validate) => {
                self.advance();
                self.expect(K::Constraint)?;
                Ok(AlterTableAction::ValidateConstraint(self.column_id()?))
            }
            Some(K::Owner) => {
                self.advance();
                self.expect(K::To)?;
                Ok(AlterTableAction::OwnerTo(self.role_spec()?))
            }
            Some(K::Set) if self.keyword_ahead(1) == Some(K::Schema) => {
                self.advance();
                self.advance();
                Ok(AlterTableAction::SetSchema(self.column_id()?))
            }
            Some(K::Set) if self.is_symbol_ahead(1, b'(') => {
                self.advance();
                Ok(AlterTableAction::SetOptions(self.storage_options()?))
            }
            Some(K::Reset) if self.is_symbol_ahead(1, b'(') => {
                self.advance();
                let names = self.storage_options()?.into_iter().map(|(name, _)| name).collect();
                Ok(AlterTableAction::ResetOptions(names))
            }
            Some(
                K::Attach
                | K::Cluster
                | K::Depends
                | K::Detach
                | K::Disable
                | K::Enable
                | K::Force
                | K::Inherit
                | K::No
                | K::Not
                | K::Of
                | K::Options
                | K::Replica
                | K::Set,
            ) => self.other_action(from),
            _ => Err(self.unexpected()),
        }
    }

    /// An action that is known but not supported: its first words name it.
    fn other_action(&mut self, from: usize) -> Result<AlterTableAction> {
        let mut parentheses = 0usize;
        loop {
            match self.peek() {
                Kind::End => break,
                Kind::Error(_) => return Err(self.unexpected()),
                Kind::Symbol(b';' | b',') if parentheses == 0 => break,
                Kind::Symbol(b'(') => parentheses += 1,
                Kind::Symbol(b')') => {
                    parentheses = parentheses.checked_sub(1).ok_or_else(|| self.unexpected())?;
                }
                _ => {}
            }
            self.advance();
        }
        let words: Vec<String> = (from..self.at)
            .map_while(|at| match &self.tokens[at].kind {
                Kind::Keyword(keyword) => Some(keyword.text().to_ascii_uppercase()),
                _ => None,
            })
            .take(3)
            .collect();
        Ok(AlterTableAction::Other(words.join(" ")))
    }

    fn alter_add(&mut self) -> Result<AlterTableAction> {
        let constraint = match self.keyword() {
            Some(K::Constraint | K::Check | K::Unique | K::Primary | K::Foreign) => true,
            Some(K::Exclude) => self.is_symbol_ahead(1, b'(') || self.keyword_ahead(1) == Some(K::Using),
            _ => false,
        };
        if constraint {
            let (constraint, not_valid) = self.table_constraint()?;
            return Ok(AlterTableAction::AddConstraint { constraint, not_valid });
        }
        self.eat(K::Column);
        let if_not_exists = self.eat_if_not_exists()?;
        Ok(AlterTableAction::AddColumn { column: self.column_definition()?, if_not_exists })
    }

    fn alter_drop(&mut self) -> Result<AlterTableAction> {
        let constraint = self.eat(K::Constraint);
        if !constraint {
            self.eat(K::Column);
        }
        let if_exists = self.eat_if_exists()?;
        let name = self.column_id()?;
        let cascade = self.cascade();
        Ok(if constraint {
            AlterTableAction::DropConstraint { name, if_exists, cascade }
        } else {
            AlterTableAction::DropColumn { name, if_exists, cascade }
        })
    }

    fn alter_identity(&mut self, column: Name) -> Result<AlterTableAction> {
        let (mut always, mut options, mut restart) = (None, Vec::new(), None);
        loop {
            match (self.keyword(), self.keyword_ahead(1)) {
                (Some(K::Set), Some(K::Generated)) => {
                    self.advance();
                    self.advance();
                    always = Some(self.eat(K::Always));
                    if always == Some(false) {
                        self.expect(K::By)?;
                        self.expect(K::Default)?;
                    }
                }
                (Some(K::Set), Some(_)) => self.advance(),
                (
                    Some(
                        K::Cache
                        | K::Cycle
                        | K::Increment
                        | K::Maxvalue
                        | K::Minvalue
                        | K::No
                        | K::Start
                        | K::Restart,
                    ),
                    _,
                ) => {
                    let clauses = self.sequence_clauses()?;
                    options.push(clauses.options);
                    restart = clauses.restart.or(restart);
                }
                _ => return Ok(AlterTableAction::AlterIdentity { column, always, options, restart }),
            }
        }
    }

    /// ALTER [COLUMN] name …
    fn alter_column(&mut self, from: usize) -> Result<AlterTableAction> {
        use AlterTableAction as A;
        if matches!(self.peek(), Kind::Integer(_)) {
            return self.other_action(from);
        }
        let column = self.column_id()?;
        match (self.keyword(), self.keyword_ahead(1)) {
            (Some(K::Set), Some(K::Default)) => {
                self.advance();
                self.advance();
                let start = self.at;
                let expr = self.expr()?;
                Ok(A::SetDefault(column, expr, self.text_from(start)))
            }
            (Some(K::Drop), Some(K::Default)) => {
                self.advance();
                self.advance();
                Ok(A::DropDefault(column))
            }
            (Some(set @ (K::Set | K::Drop)), Some(K::Not)) => {
                self.advance();
                self.advance();
                self.expect(K::Null)?;
                Ok(if set == K::Set { A::SetNotNull(column) } else { A::DropNotNull(column) })
            }
            (Some(K::Type), _) | (Some(K::Set), Some(K::Data)) => {
                if self.eat(K::Set) {
                    self.expect(K::Data)?;
                }
                self.expect(K::Type)?;
                let data_type = self.type_name()?;
                let collation = if self.eat(K::Collate) { Some(self.object_name()?) } else { None };
                let using = if self.eat(K::Using) {
                    let start = self.at;
                    let expr = self.expr()?;
                    Some((expr, self.text_from(start)))
                } else {
                    None
                };
                Ok(A::AlterType { column, data_type, collation, using })
            }
            (Some(K::Add), Some(K::Generated)) => {
                self.advance();
                self.advance();
                let always = self.eat(K::Always);
                if !always {
                    self.expect(K::By)?;
                    self.expect(K::Default)?;
                }
                self.expect(K::As)?;
                self.expect(K::Identity)?;
                Ok(A::AddIdentity { column, always, options: self.identity_options()? })
            }
            (Some(K::Drop), Some(K::Identity)) => {
                self.advance();
                self.advance();
                Ok(A::DropIdentity { column, if_exists: self.eat_if_exists()? })
            }
            (Some(K::Drop), Some(K::Expression)) => {
                self.advance();
                self.advance();
                Ok(A::DropExpression { column, if_exists: self.eat_if_exists()? })
            }
            (Some(K::Set), Some(K::Storage | K::Compression)) => {
                self.advance();
                self.advance();
                if !self.eat(K::Default) {
                    self.column_id()?;
                }
                Ok(A::SetStorage(column))
            }
            (Some(K::Set | K::Reset), _) if self.is_symbol_ahead(1, b'(') => {
                self.advance();
                self.storage_options()?;
                Ok(A::SetStorage(column))
            }
            (Some(K::Restart), _)
            | (
                Some(K::Set),
                Some(
                    K::Generated
                    | K::Cache
                    | K::Cycle
                    | K::Increment
                    | K::Maxvalue
                    | K::Minvalue
                    | K::No
                    | K::Start
                    | K::Restart,
                ),
            ) => self.alter_identity(column),
            (Some(K::Set), Some(K::Statistics)) => {
                self.advance();
                self.advance();
                let position = self.position();
                let target = i32::try_from(self.signed_integer()?)
                    .map_err(|_| self.syntax_error("statistics target is out of range").at(position))?;
                Ok(A::SetStatistics(column, target))
            }
            (Some(K::Set | K::Reset | K::Drop | K::Options), _) => self.other_action(from),
            _ => Err(self.unexpected()),
        }
    }
}
