//! CREATE, DROP and rename DATABASE. A database is a name space of schemas within the one store.

use super::Ddl;
use crate::catalog::acl::DATABASE_OWNER;
use crate::catalog::store::NameSpace;
use crate::catalog::{Acl, Change, Database, Kind, Schema, Table};
use crate::error::{Error, Result, SqlState};
use serin_txn::RelationLockMode;

impl Ddl<'_> {
    pub(super) fn create_database(&self, name: &str, options: &[(String, String)]) -> Result<()> {
        let catalog = self.catalog();
        let may =
            catalog.role(self.core.role.get()).is_some_and(|role| role.superuser || role.create_database);
        if !may {
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, "permission denied to create database"));
        }
        let mut owner = self.core.role.get();
        for (option, value) in options {
            match option.to_ascii_lowercase().as_str() {
                "owner" => {
                    owner = self.role_oid(value)?;
                    if !catalog.is_member_of(self.core.role.get(), owner) {
                        return Err(super::privilege::not_a_member(&catalog, owner));
                    }
                }
                "template" => {
                    let template = catalog.find_database(value).ok_or_else(|| {
                        let message = format!("template database \"{value}\" does not exist");
                        Error::new(SqlState::INVALID_CATALOG_NAME, message)
                    })?;
                    let oid = template.oid;
                    if catalog.objects().tables().any(|table| table.database == oid) {
                        return Err(Error::unsupported("CREATE DATABASE from a template with tables"));
                    }
                }
                "encoding" => {
                    let encoding = value.to_ascii_lowercase().replace(['-', '_'], "");
                    if !matches!(encoding.as_str(), "utf8" | "unicode" | "6" | "default") {
                        return Err(Error::unsupported(format!("encoding \"{value}\"")));
                    }
                }
                // Text sorts by bytes, whatever the locale is called; limits are not kept.
                "lc_collate" | "lc_ctype" | "locale" | "locale_provider" | "icu_locale" | "strategy"
                | "tablespace" | "allow_connections" | "connection_limit" | "is_template" => {}
                other => {
                    let message = format!("option \"{other}\" not recognized");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        let oid = self.new_oid()?;
        if !self.take_database_name(name, oid)? {
            return Err(database_exists(name));
        }
        self.put_database(Database {
            oid,
            name: name.to_string(),
            owner,
            settings: Vec::new(),
            is_template: false,
            role_settings: Vec::new(),
            comment: None,
            acl: None,
        })?;
        let public = Schema {
            oid: self.new_oid()?,
            database: oid,
            name: "public".into(),
            owner: DATABASE_OWNER,
            comment: Some("standard public schema".into()),
            acl: Some(Acl::of_schema(DATABASE_OWNER)),
        };
        self.core.engine.trees.take_name(
            &mut self.transaction.borrow_mut(),
            (NameSpace::Schema, oid),
            "public",
            public.oid,
        )?;
        self.put_schema(public)
    }

    fn take_database_name(&self, name: &str, oid: u32) -> Result<bool> {
        let trees = &self.core.engine.trees;
        trees.take_name(&mut self.transaction.borrow_mut(), (NameSpace::Database, 0), name, oid)
    }

    pub(super) fn open_database(&self, name: &str) -> Result<Database> {
        let no_database =
            || Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"));
        let oid = self.catalog().find_database(name).ok_or_else(no_database)?.oid;
        self.lock(oid, RelationLockMode::AccessExclusive)?;
        let database = self.catalog().find_database(name).cloned().ok_or_else(no_database)?;
        self.require_owner(database.owner, "database", name)?;
        Ok(database)
    }

    /// Sessions that are about to end have five seconds for it, as in PostgreSQL: a client that has just closed its connection
    /// can't know when the server is done with it.
    fn require_unused(&self, database: &Database) -> Result<()> {
        const POLL_SECONDS: f64 = 0.01;
        const POLLS: usize = 500;
        let unused = || -> Result<(usize, usize)> {
            let others = self.core.engine.sessions_of(database.oid, self.core.registration.pid).len();
            Ok((others, crate::session::prepared_of(self.core, database.oid)?))
        };
        let (mut others, mut prepared) = unused()?;
        for _ in 0..POLLS {
            if others == 0 {
                break;
            }
            self.eval.services.sleep(POLL_SECONDS)?;
            (others, prepared) = unused()?;
        }
        if others == 0 && prepared == 0 {
            return Ok(());
        }
        let message = format!("database \"{}\" is being accessed by other users", database.name);
        let detail = match others {
            0 if prepared == 1 => "There is 1 prepared transaction using the database.".to_string(),
            0 => format!("There are {prepared} prepared transactions using the database."),
            1 => "There is 1 other session using the database.".to_string(),
            many => format!("There are {many} other sessions using the database."),
        };
        Err(Error::new(SqlState::OBJECT_IN_USE, message).detail(detail))
    }

    /// WITH (FORCE): what sessions can be ended are; prepared transactions can't.
    fn end_sessions(&self, database: &Database) -> Result<()> {
        let prepared = crate::session::prepared_of(self.core, database.oid)?;
        if prepared > 0 {
            let message = format!("database \"{}\" is being used by prepared transactions", database.name);
            let detail = match prepared {
                1 => "There is 1 prepared transaction using the database.".to_string(),
                many => format!("There are {many} prepared transactions using the database."),
            };
            return Err(Error::new(SqlState::OBJECT_IN_USE, message).detail(detail));
        }
        for pid in self.core.engine.sessions_of(database.oid, self.core.registration.pid) {
            self.eval.services.signal_backend(pid, true)?;
        }
        Ok(())
    }

    pub(super) fn drop_database(&self, name: &str, if_exists: bool, force: bool) -> Result<()> {
        if if_exists && self.catalog().find_database(name).is_none() {
            self.notice(format!("database \"{name}\" does not exist, skipping"));
            return Ok(());
        }
        let database = self.open_database(name)?;
        if database.oid == self.core.database_oid {
            return Err(Error::new(SqlState::OBJECT_IN_USE, "cannot drop the currently open database"));
        }
        if database.is_template {
            let message = "cannot drop a template database";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        if force {
            self.end_sessions(&database)?;
        }
        self.require_unused(&database)?;
        let catalog = self.catalog();
        let objects = catalog.objects();
        let trees = &self.core.engine.trees;
        for table in objects.tables().filter(|table| table.database == database.oid) {
            self.remove_foreign_table(table)?;
        }
        for sequence in objects.sequences().filter(|sequence| sequence.database == database.oid) {
            self.remove_sequence(sequence)?;
        }
        self.remove_large_objects_of(database.oid)?;
        for extension in objects.extensions().filter(|extension| extension.database == database.oid) {
            self.write(Change::remove(Kind::Extension, extension.oid))?;
        }
        for schema in objects.schemas().filter(|schema| schema.database == database.oid) {
            let space = (NameSpace::Schema, database.oid);
            trees.give_name(&mut self.transaction.borrow_mut(), space, &schema.name)?;
            self.write(Change::remove(Kind::Schema, schema.oid))?;
        }
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Database, 0), name)?;
        self.write(Change::remove(Kind::Database, database.oid))
    }

    /// A table of another database; its sequences go by themselves.
    fn remove_foreign_table(&self, table: &Table) -> Result<()> {
        for index in &table.indexes {
            self.give_relation_name(table.schema, &index.name)?;
        }
        self.give_relation_name(table.schema, &table.name)?;
        self.drop_trees(table)?;
        self.write(Change::remove(Kind::Table, table.oid))
    }

    pub(super) fn rename_database(&self, name: &str, to: &str) -> Result<()> {
        let database = self.open_database(name)?;
        if database.oid == self.core.database_oid {
            let message = "current database cannot be renamed";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        self.require_unused(&database)?;
        if !self.take_database_name(to, database.oid)? {
            return Err(database_exists(to));
        }
        let trees = &self.core.engine.trees;
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Database, 0), name)?;
        self.put_database(Database { name: to.to_string(), ..database })
    }
}

fn database_exists(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_DATABASE, format!("database \"{name}\" already exists"))
}
