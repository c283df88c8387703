//! GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, REASSIGN OWNED and DROP OWNED.

use super::ast::*;
use super::cursor::Parser;
use super::keywords::Keyword as K;
use super::lexer::Kind;
use super::privilege_ast::{DefaultPrivileges, Grant, GrantRole, GrantTarget, PrivilegeItem, RoleSpec};
use crate::catalog::ObjectClass;
use crate::error::{Error, Result, SqlState};

impl Parser<'_> {
    /// RoleSpec: a name that is no reserved word, or one of the words that stand for a role.
    pub fn role_spec(&mut self) -> Result<RoleSpec> {
        let position = self.position();
        let spec = match self.keyword() {
            Some(K::CurrentUser) => RoleSpec::CurrentUser,
            Some(K::CurrentRole) => RoleSpec::CurrentRole,
            Some(K::SessionUser) => RoleSpec::SessionUser,
            _ => {
                let name = self.non_reserved_word()?;
                return match name.as_str() {
                    "public" => Ok(RoleSpec::Public),
                    "none" => {
                        let message = "role name \"none\" is reserved";
                        Err(Error::new(SqlState::RESERVED_NAME, message).at(position))
                    }
                    _ => Ok(RoleSpec::Named(name)),
                };
            }
        };
        self.advance();
        Ok(spec)
    }

    /// A role that is named, not stood for.
    pub fn plain_role(&mut self, statement: &str) -> Result<Name> {
        self.role_spec()?.plain(statement)
    }

    /// A name for a role that is to be.
    pub fn new_role(&mut self) -> Result<Name> {
        let position = self.position();
        let word = self.keyword().map(|keyword| keyword.text().to_ascii_uppercase());
        match self.role_spec()? {
            RoleSpec::Named(name) => Ok(name),
            RoleSpec::Public => {
                let message = "role name \"public\" is reserved";
                Err(Error::new(SqlState::RESERVED_NAME, message).at(position))
            }
            _ => {
                let message = format!("{} cannot be used as a role name here", word.unwrap_or_default());
                Err(Error::new(SqlState::RESERVED_NAME, message).at(position))
            }
        }
    }

    /// Roles in one text.
    pub fn role_list(&mut self) -> Result<String> {
        Ok(self.comma_list(|parser| parser.plain_role("CREATE ROLE"))?.join("\0"))
    }

    pub fn role_specs(&mut self) -> Result<Vec<RoleSpec>> {
        self.comma_list(Parser::role_spec)
    }

    pub fn grant(&mut self) -> Result<StatementKind> {
        let grant = self.is(K::Grant);
        self.advance();
        let mut option = false;
        if !grant
            && matches!(self.keyword(), Some(K::Grant | K::Admin))
            && self.keyword_ahead(1) == Some(K::Option)
        {
            self.advance();
            self.advance();
            self.expect(K::For)?;
            option = true;
        }
        let privileges = self.comma_list(Parser::privilege)?;
        if !self.is(K::On) {
            return self.grant_role(grant, option, privileges);
        }
        self.advance();
        let target = self.grant_target()?;
        self.grant_rest(grant, option, privileges, target).map(|grant| StatementKind::Grant(Box::new(grant)))
    }

    /// TO or FROM, and what follows it.
    fn grant_rest(
        &mut self,
        grant: bool,
        mut option: bool,
        privileges: Vec<PrivilegeItem>,
        target: GrantTarget,
    ) -> Result<Grant> {
        let grantees = self.grantees(grant)?;
        if grant && self.is(K::With) {
            self.advance();
            self.expect(K::Grant)?;
            self.expect(K::Option)?;
            option = true;
        }
        let grantor = self.granted_by()?;
        let cascade = !grant && self.cascade();
        Ok(Grant { grant, privileges, target, grantees, option, grantor, cascade })
    }

    fn grantees(&mut self, grant: bool) -> Result<Vec<RoleSpec>> {
        self.expect(if grant { K::To } else { K::From })?;
        self.comma_list(|parser| {
            if parser.is(K::Group) && parser.word_ahead(1).is_some() {
                parser.advance();
            }
            parser.role_spec()
        })
    }

    fn granted_by(&mut self) -> Result<Option<RoleSpec>> {
        match self.eat(K::Granted) {
            true => {
                self.expect(K::By)?;
                self.role_spec().map(Some)
            }
            false => Ok(None),
        }
    }

    fn grant_role(
        &mut self,
        grant: bool,
        mut admin: bool,
        roles: Vec<PrivilegeItem>,
    ) -> Result<StatementKind> {
        let mut names = Vec::with_capacity(roles.len());
        for role in roles {
            let Some(name) = role.name else { return Err(self.unexpected()) };
            if !role.columns.is_empty() {
                let message = "column names cannot be included in GRANT/REVOKE ROLE";
                return Err(Error::new(SqlState::INVALID_GRANT_OPERATION, message));
            }
            names.push(name);
        }
        let grantees = self.grantees(grant)?;
        if grant && self.eat(K::With) {
            self.expect(K::Admin)?;
            self.expect(K::Option)?;
            admin = true;
        }
        let grantor = self.granted_by()?;
        let cascade = !grant && self.cascade();
        let statement = GrantRole { grant, roles: names, grantees, admin, grantor, cascade };
        Ok(StatementKind::GrantRole(Box::new(statement)))
    }

    fn grant_target(&mut self) -> Result<GrantTarget> {
        let class = match self.keyword() {
            Some(K::Table) => ObjectClass::Table,
            Some(K::Sequence) => ObjectClass::Sequence,
            Some(K::Schema) => ObjectClass::Schema,
            Some(K::Database) => ObjectClass::Database,
            Some(K::Language) => ObjectClass::Language,
            Some(K::Tablespace) => ObjectClass::Tablespace,
            Some(K::Type | K::Domain) => {
                self.advance();
                let names = self.comma_list(|parser| Ok(parser.type_name()?.name))?;
                return Ok(GrantTarget::Objects(ObjectClass::Type, names));
            }
            Some(K::Function | K::Procedure | K::Routine) => {
                let class = self.routine_class();
                return Ok(GrantTarget::Routines(class, self.comma_list(Parser::routine_signature)?));
            }
            Some(K::All) => return self.all_in_schemas(),
            Some(K::Large) => {
                let first = self.large_object()?;
                let mut names = vec![first];
                while self.eat_symbol(b',') {
                    names.push(self.large_object_number()?);
                }
                return Ok(GrantTarget::Objects(ObjectClass::LargeObject, names));
            }
            Some(K::Foreign | K::Parameter) => {
                let what = match self.keyword() {
                    Some(K::Parameter) => "GRANT ON PARAMETER",
                    _ => "GRANT ON FOREIGN DATA WRAPPER and SERVER",
                };
                return Err(Error::unsupported(what).at(self.position()));
            }
            _ => {
                let names = self.comma_list(Parser::object_name)?;
                return Ok(GrantTarget::Objects(ObjectClass::Table, names));
            }
        };
        self.advance();
        Ok(GrantTarget::Objects(class, self.comma_list(Parser::object_name)?))
    }

    fn all_in_schemas(&mut self) -> Result<GrantTarget> {
        self.advance();
        let (class, routines) = match self.keyword() {
            Some(K::Tables) => (ObjectClass::Table, None),
            Some(K::Sequences) => (ObjectClass::Sequence, None),
            Some(K::Functions) => (ObjectClass::Function, Some(RoutineClass::Function)),
            Some(K::Procedures) => (ObjectClass::Function, Some(RoutineClass::Procedure)),
            Some(K::Routines) => (ObjectClass::Function, Some(RoutineClass::Routine)),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        self.expect(K::In)?;
        self.expect(K::Schema)?;
        Ok(GrantTarget::AllInSchemas(class, routines, self.comma_list(Parser::column_id)?))
    }

    /// One privilege (or role), with its columns if it has any.
    fn privilege(&mut self) -> Result<PrivilegeItem> {
        let name = match self.peek() {
            Kind::Keyword(K::All) => {
                self.advance();
                self.eat(K::Privileges);
                None
            }
            Kind::Keyword(K::Select | K::References | K::Create) => Some(self.label()?),
            Kind::Keyword(K::Alter) if self.keyword_ahead(1) == Some(K::System) => {
                self.advance();
                self.advance();
                Some("alter system".to_owned())
            }
            _ => Some(self.column_id()?),
        };
        Ok(PrivilegeItem { name, columns: self.optional_columns()? })
    }

    /// From DEFAULT on.
    pub fn default_privileges(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect(K::Privileges)?;
        let (mut roles, mut schemas) = (Vec::new(), Vec::new());
        loop {
            if self.eat(K::For) {
                if !self.eat(K::Role) {
                    self.expect(K::User)?;
                }
                roles = self.role_specs()?;
            } else if self.is(K::In) {
                self.advance();
                self.expect(K::Schema)?;
                schemas = self.comma_list(Parser::column_id)?;
            } else {
                break;
            }
        }
        let grant = match self.keyword() {
            Some(K::Grant) => true,
            Some(K::Revoke) => false,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let mut option = false;
        if !grant && self.is(K::Grant) && self.keyword_ahead(1) == Some(K::Option) {
            self.advance();
            self.advance();
            self.expect(K::For)?;
            option = true;
        }
        let privileges = self.comma_list(Parser::privilege)?;
        self.expect(K::On)?;
        let class = match self.keyword() {
            Some(K::Tables) => ObjectClass::Table,
            Some(K::Functions | K::Routines) => ObjectClass::Function,
            Some(K::Sequences) => ObjectClass::Sequence,
            Some(K::Types) => ObjectClass::Type,
            Some(K::Schemas) => ObjectClass::Schema,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let grant = self.grant_rest(grant, option, privileges, GrantTarget::Defaults(class))?;
        Ok(StatementKind::DefaultPrivileges(Box::new(DefaultPrivileges { roles, schemas, grant })))
    }

    pub fn reassign_owned(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect(K::Owned)?;
        self.expect(K::By)?;
        let roles = self.role_specs()?;
        self.expect(K::To)?;
        Ok(StatementKind::ReassignOwned { roles, to: self.role_spec()? })
    }

    /// From OWNED on.
    pub fn drop_owned(&mut self) -> Result<StatementKind> {
        self.advance();
        self.expect(K::By)?;
        let roles = self.role_specs()?;
        Ok(StatementKind::DropOwned { roles, cascade: self.cascade() })
    }
}
