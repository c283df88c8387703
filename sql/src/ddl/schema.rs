//! CREATE SCHEMA, and the schemas of temporary tables.

use super::{Ddl, names};
use crate::catalog::store::NameSpace;
use crate::catalog::{ObjectClass, Privileges, Schema};
use crate::error::{Error, Result, SqlState};
use crate::parse::privilege_ast::RoleSpec;
use crate::types::Oid;

impl Ddl<'_> {
    pub(super) fn create_schema(
        &self,
        name: Option<&str>,
        if_not_exists: bool,
        authorization: Option<&RoleSpec>,
    ) -> Result<()> {
        let owner = match authorization {
            Some(role) => self.spec_role(role)?,
            None => self.core.role.get(),
        };
        let catalog = self.catalog();
        let acting = self.core.role.get();
        super::owner::check_database(&catalog, catalog.database(), acting, Privileges::CREATE)?;
        if !catalog.is_member_of(acting, owner) {
            return Err(super::privilege::not_a_member(&catalog, owner));
        }
        let catalog = self.catalog();
        // Without a name of its own it is called as its owner.
        let named = || catalog.role(owner).map(|role| role.name.as_str());
        let Some(name) = name.or_else(named) else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "a schema needs a name"));
        };
        if name.starts_with("pg_") {
            let message = format!("unacceptable schema name \"{name}\"");
            let detail = "The prefix \"pg_\" is reserved for system schemas.";
            return Err(Error::new(SqlState::RESERVED_NAME, message).detail(detail));
        }
        if self.catalog().find_schema(name).is_some() {
            if if_not_exists {
                self.notice_existing(
                    SqlState::DUPLICATE_SCHEMA,
                    &format!("schema \"{name}\" already exists"),
                );
                return Ok(());
            }
            return Err(schema_exists(name));
        }
        self.new_schema(name, owner).map(drop)
    }

    fn new_schema(&self, name: &str, owner: Oid) -> Result<Schema> {
        let database = self.core.database_oid;
        let schema = Schema {
            oid: self.new_oid()?,
            database,
            name: name.to_string(),
            owner,
            comment: None,
            acl: self.new_acl(ObjectClass::Schema, 0)?,
        };
        let taken = self.core.engine.trees.take_name(
            &mut self.transaction.borrow_mut(),
            (NameSpace::Schema, database),
            name,
            schema.oid,
        )?;
        if !taken {
            return Err(schema_exists(name));
        }
        self.put_schema(schema.clone())?;
        Ok(schema)
    }

    /// This session's schema for temporary relations, made on first use and dropped with the session.
    pub(super) fn temporary_schema(&self) -> Result<Schema> {
        let catalog = self.catalog();
        if let Some(schema) = self.core.temporary_schema.get().and_then(|oid| catalog.schema(oid)) {
            return Ok(schema.clone());
        }
        let held = super::owner::check_database(
            &catalog,
            catalog.database(),
            self.core.role.get(),
            Privileges::TEMPORARY,
        );
        if held.is_err() {
            let database = &catalog.database().name;
            let message = format!("permission denied to create temporary tables in database \"{database}\"");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        let name = format!("pg_temp_{}", self.core.registration.pid);
        let schema = self.new_schema(&name, self.core.role.get())?;
        self.core.temporary_schema.set(Some(schema.oid));
        self.core.settings_changed();
        Ok(schema)
    }

    pub(super) fn rename_schema(&self, name: &str, to: &str) -> Result<()> {
        let catalog = self.catalog();
        let schema = catalog.find_schema(name).ok_or_else(|| names::no_schema(name))?;
        self.require_owner(schema.owner, "schema", name)?;
        self.lock(schema.oid, serin_txn::RelationLockMode::AccessExclusive)?;
        let space = (NameSpace::Schema, schema.database);
        let trees = &self.core.engine.trees;
        if !trees.take_name(&mut self.transaction.borrow_mut(), space, to, schema.oid)? {
            return Err(schema_exists(to));
        }
        trees.give_name(&mut self.transaction.borrow_mut(), space, name)?;
        self.put_schema(Schema { name: to.to_string(), ..schema.clone() })?;
        self.follow_names(&|(schema, object), _| {
            (schema == name).then(|| Ok((to.to_owned(), object.clone())))
        })
    }
}

fn schema_exists(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{name}\" already exists"))
}
