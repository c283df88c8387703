//! CREATE and ALTER of types, domains and extensions.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use crate::error::Result;

impl Parser<'_> {
    pub fn create_type(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.any_object_name()?;
        if !self.eat(K::As) {
            if !matches!(self.peek(), Kind::End) && !self.is_symbol(b'(') && !self.is_symbol(b';') {
                return Err(self.unexpected());
            }
            // A shell type, or a base type by its C functions.
            return self.unsupported("CREATE TYPE of a base type");
        }
        let definition = match self.keyword() {
            Some(K::Enum) => {
                self.advance();
                self.expect_symbol(b'(')?;
                let labels = match self.is_symbol(b')') {
                    true => Vec::new(),
                    false => self.comma_list(Parser::string)?,
                };
                self.expect_symbol(b')')?;
                TypeDefinition::Enum(labels)
            }
            _ if self.is_word("range") && self.is_symbol_ahead(1, b'(') => {
                self.advance();
                TypeDefinition::Range(self.parenthesised(|parser| {
                    let option = parser.label()?;
                    parser.expect_symbol(b'=')?;
                    Ok((option, parser.type_name()?))
                })?)
            }
            _ => {
                self.expect_symbol(b'(')?;
                let attributes = match self.is_symbol(b')') {
                    true => Vec::new(),
                    false => self.comma_list(Parser::attribute)?,
                };
                self.expect_symbol(b')')?;
                TypeDefinition::Composite(attributes)
            }
        };
        Ok(StatementKind::CreateType { name, definition })
    }

    fn attribute(&mut self) -> Result<ColumnDefinitionItem> {
        let name = self.column_id()?;
        let data_type = self.type_name()?;
        if self.eat(K::Collate) {
            self.any_object_name()?;
        }
        Ok(ColumnDefinitionItem { name, data_type })
    }

    pub fn create_domain(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.any_object_name()?;
        self.eat(K::As);
        let data_type = self.type_name()?;
        let mut domain = CreateDomain { name, data_type, collation: None, constraints: Vec::new() };
        loop {
            if self.eat(K::Collate) {
                domain.collation = Some(self.any_object_name()?);
                continue;
            }
            match self.domain_constraint()? {
                Some(constraint) => domain.constraints.push(constraint),
                None => break,
            }
        }
        Ok(StatementKind::CreateDomain(Box::new(domain)))
    }

    /// None: nothing that begins a constraint.
    fn domain_constraint(&mut self) -> Result<Option<DomainConstraint>> {
        let name = if self.eat(K::Constraint) { Some(self.column_id()?) } else { None };
        let kind = match self.keyword() {
            Some(K::Not) => {
                self.advance();
                self.expect(K::Null)?;
                DomainConstraintKind::NotNull
            }
            Some(K::Null) => {
                self.advance();
                DomainConstraintKind::Null
            }
            Some(K::Default) => {
                self.advance();
                let from = self.at;
                let expr = self.restricted_expr()?;
                DomainConstraintKind::Default(expr, self.text_from(from))
            }
            Some(K::Check) => {
                self.advance();
                let (expr, text) = self.parenthesised_text()?;
                self.eat_two(K::No, K::Inherit);
                DomainConstraintKind::Check(expr, text)
            }
            _ if name.is_some() => return Err(self.unexpected()),
            _ => return Ok(None),
        };
        let not_valid = self.eat_two(K::Not, K::Valid);
        Ok(Some(DomainConstraint { name, kind, not_valid }))
    }

    pub fn create_extension(&mut self) -> Result<StatementKind> {
        self.advance();
        let if_not_exists = self.eat_if_not_exists()?;
        let name = self.column_id()?;
        self.eat(K::With);
        let (mut schema, mut version, mut cascade) = (None, None, false);
        loop {
            if self.eat(K::Schema) {
                schema = Some(self.column_id()?);
            } else if self.is_word("version") {
                self.advance();
                version = Some(self.extension_version()?);
            } else if self.eat(K::Cascade) {
                cascade = true;
            } else {
                break;
            }
        }
        Ok(StatementKind::CreateExtension { name, if_not_exists, schema, version, cascade })
    }

    fn extension_version(&mut self) -> Result<String> {
        match self.eat_string() {
            Some(version) => Ok(version),
            None => self.label(),
        }
    }

    pub fn alter_extension(&mut self) -> Result<StatementKind> {
        self.advance();
        let name = self.column_id()?;
        let action = if self.eat(K::Update) {
            let version = self.eat(K::To).then(|| self.extension_version()).transpose()?;
            AlterExtension::Update(version)
        } else if self.eat_two(K::Set, K::Schema) {
            AlterExtension::SetSchema(self.column_id()?)
        } else {
            return self.unsupported("ALTER EXTENSION");
        };
        Ok(StatementKind::AlterExtension { name, action })
    }

    pub fn alter_type(&mut self, domain: bool) -> Result<StatementKind> {
        self.advance();
        let name = self.any_object_name()?;
        let action = Box::new(self.type_action(domain)?);
        // ALTER TYPE … ADD ATTRIBUTE …, …
        if self.is_symbol(b',') {
            return self.unsupported("several actions in ALTER TYPE");
        }
        Ok(StatementKind::AlterType { domain, name, action })
    }

    fn type_action(&mut self, domain: bool) -> Result<AlterType> {
        let keyword = self.keyword();
        self.advance();
        Ok(match keyword {
            Some(K::Owner) => {
                self.expect(K::To)?;
                AlterType::Owner(self.role_spec()?)
            }
            Some(K::Set) if self.eat(K::Schema) => AlterType::SetSchema(self.column_id()?),
            Some(K::Rename) if self.eat(K::To) => AlterType::Rename(self.column_id()?),
            Some(K::Rename) if domain => {
                self.expect(K::Constraint)?;
                let from = self.column_id()?;
                self.expect(K::To)?;
                AlterType::RenameConstraint { from, to: self.column_id()? }
            }
            Some(K::Rename) if self.eat(K::Value) => {
                let from = self.string()?;
                self.expect(K::To)?;
                AlterType::RenameValue { from, to: self.string()? }
            }
            Some(K::Rename) => {
                self.expect(K::Attribute)?;
                let from = self.column_id()?;
                self.expect(K::To)?;
                let to = self.column_id()?;
                self.cascade();
                AlterType::RenameAttribute { from, to }
            }
            Some(K::Set) if domain && self.eat(K::Default) => {
                let from = self.at;
                let expr = self.expr()?;
                AlterType::Default(Some((expr, self.text_from(from))))
            }
            Some(K::Drop) if domain && self.eat(K::Default) => AlterType::Default(None),
            Some(K::Set) if domain => {
                self.expect(K::Not)?;
                self.expect(K::Null)?;
                AlterType::NotNull(true)
            }
            Some(K::Drop) if domain && self.eat_two(K::Not, K::Null) => AlterType::NotNull(false),
            Some(K::Add) if domain => match self.domain_constraint()? {
                Some(constraint) => AlterType::AddConstraint(constraint),
                None => return Err(self.unexpected()),
            },
            Some(K::Drop) if domain => {
                self.expect(K::Constraint)?;
                let if_exists = self.eat_if_exists()?;
                let name = self.column_id()?;
                self.cascade();
                AlterType::DropConstraint { name, if_exists }
            }
            Some(K::Validate) if domain => {
                self.expect(K::Constraint)?;
                AlterType::ValidateConstraint(self.column_id()?)
            }
            Some(K::Add) if self.eat(K::Value) => {
                let if_not_exists = self.eat_if_not_exists()?;
                let value = self.string()?;
                let neighbour = match self.keyword() {
                    Some(word @ (K::Before | K::After)) => {
                        self.advance();
                        Some((word == K::Before, self.string()?))
                    }
                    _ => None,
                };
                AlterType::AddValue { value, if_not_exists, neighbour }
            }
            Some(K::Add) => {
                self.expect(K::Attribute)?;
                let attribute = self.attribute()?;
                self.cascade();
                AlterType::AddAttribute(attribute)
            }
            Some(K::Drop) => {
                self.expect(K::Attribute)?;
                let if_exists = self.eat_if_exists()?;
                let name = self.column_id()?;
                self.cascade();
                AlterType::DropAttribute { name, if_exists }
            }
            Some(K::Alter) => {
                self.expect(K::Attribute)?;
                let name = self.column_id()?;
                if self.eat(K::Set) {
                    self.expect(K::Data)?;
                }
                self.expect(K::Type)?;
                let data_type = self.type_name()?;
                self.cascade();
                AlterType::AlterAttribute { name, data_type }
            }
            _ => {
                self.at -= 1;
                return Err(self.unexpected());
            }
        })
    }
}
