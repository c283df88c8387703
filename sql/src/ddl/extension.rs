//! CREATE, ALTER and DROP EXTENSION. What an extension brings is part of the program; see [`crate::extension`].

use super::{Ddl, drop::must_cascade, names, names::quote_identifier};
use crate::catalog::{Change, Extension, Kind, Object, Privileges};
use crate::error::{Error, Result, SqlState};
use crate::extension;
use crate::index::{Method, find_class};
use crate::parse::ast::{AlterExtension, ObjectName};
use crate::table::Shape;
use crate::types::Oid;
use serin_txn::RelationLockMode;
use std::sync::Arc;

/// Every database has it, in pg_catalog.
pub(crate) const PLPGSQL: &str = "plpgsql";

fn no_extension(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("extension \"{name}\" does not exist"))
}

/// What PostgreSQL says where it has no control file of that name.
fn not_available(name: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("extension \"{name}\" is not available"))
        .detail("Serin has the extensions that pg_available_extensions lists, and can load no others.")
        .hint("The extension must first be installed on the system where PostgreSQL is running.")
}

impl Ddl<'_> {
    pub(super) fn create_extension(
        &self,
        name: &str,
        if_not_exists: bool,
        schema: Option<&str>,
        version: Option<&str>,
    ) -> Result<()> {
        if name == PLPGSQL || self.catalog().find_extension(name).is_some() {
            let message = format!("extension \"{name}\" already exists");
            if if_not_exists {
                self.notice_existing(SqlState::DUPLICATE_OBJECT, &message);
                return Ok(());
            }
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let found = extension::find(name).ok_or_else(|| not_available(name))?;
        // Two sessions that create it at once: the second finds it there.
        self.lock(self.core.database_oid, RelationLockMode::ShareRowExclusive)?;
        if self.catalog().find_extension(name).is_some() {
            return self.create_extension(name, if_not_exists, schema, version);
        }
        if let Some(version) = version.filter(|version| *version != found.version) {
            let message = format!(
                "extension \"{name}\" has no installation script nor update path for version \"{version}\""
            );
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        // All of them are trusted.
        let (catalog, acting) = (self.catalog(), self.core.role.get());
        if super::owner::check_database(&catalog, catalog.database(), acting, Privileges::CREATE).is_err() {
            let message = format!("permission denied to create extension \"{name}\"");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
                .hint("Must have CREATE privilege on current database to create this extension."));
        }
        let schema = names::creation_schema(&catalog, &self.search_path(), schema)?.oid;
        for data_type in found.types {
            let taken =
                catalog.schema(schema).and_then(|s| catalog.find_type(Some(&s.name), &data_type.name(), &[]));
            if taken.is_some() {
                let message = format!("type \"{}\" already exists", data_type.name());
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
        }
        self.put_extension(Extension {
            oid: self.new_oid()?,
            database: self.core.database_oid,
            schema,
            name: name.to_owned(),
            version: found.version.to_owned(),
            owner: acting,
            comment: Some(found.comment.to_owned()),
        })
    }

    fn put_extension(&self, extension: Extension) -> Result<()> {
        self.write(Change::put(Object::Extension(Arc::new(extension))))
    }

    /// One that the acting role may change, locked.
    fn open_extension(&self, name: &str) -> Result<Extension> {
        let found = self.catalog().find_extension(name).cloned().ok_or_else(|| match name {
            PLPGSQL => Error::unsupported("changing plpgsql, which is built in"),
            _ => no_extension(name),
        })?;
        self.require_owner(found.owner, "extension", name)?;
        self.lock(found.oid, RelationLockMode::AccessExclusive)?;
        let now = self.catalog().find_extension(name).cloned();
        now.map(|found| Extension::clone(&found)).ok_or_else(|| no_extension(name))
    }

    pub(super) fn alter_extension(&self, name: &str, action: &AlterExtension) -> Result<()> {
        let found = self.open_extension(name)?;
        match action {
            AlterExtension::Update(version) => {
                if let Some(version) = version.as_ref().filter(|version| **version != found.version) {
                    let message = format!(
                        "extension \"{name}\" has no update path from version \"{}\" to version \"{version}\"",
                        found.version
                    );
                    return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
                let version = &found.version;
                self.notice(format!("version \"{version}\" of extension \"{name}\" is already installed"));
                Ok(())
            }
            AlterExtension::SetSchema(schema) => {
                let catalog = self.catalog();
                let schema = names::creation_schema(&catalog, &[], Some(schema))?.oid;
                super::owner::check_create(&catalog, schema, self.core.role.get())?;
                self.put_extension(Extension { schema, ..found })
            }
        }
    }

    pub(super) fn comment_on_extension(&self, name: &str, comment: Option<String>) -> Result<()> {
        // pg_dump leaves plpgsql's alone; what it says is fixed.
        let found = self.open_extension(name)?;
        self.put_extension(Extension { comment, ..found })
    }

    pub(super) fn drop_extensions(
        &self,
        objects: &[ObjectName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        for name in objects.iter().map(names::display) {
            if name == PLPGSQL {
                let message = "cannot drop extension plpgsql because it is required by the database system";
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
            }
            if self.catalog().find_extension(&name).is_none() {
                let missing = no_extension(&name);
                if !if_exists {
                    return Err(missing);
                }
                self.notice(format!("{}, skipping", missing.message()));
                continue;
            }
            let found = self.open_extension(&name)?;
            self.clear_extension_users(&found, cascade)?;
            self.write(Change::remove(Kind::Extension, found.oid))?;
        }
        Ok(())
    }

    /// What uses an extension's types goes with CASCADE, or stands in the way of dropping it.
    pub(super) fn clear_extension_users(&self, extension: &Extension, cascade: bool) -> Result<()> {
        let Some(built_in) = extension::find(&extension.name) else { return Ok(()) };
        let ids = built_in.types.iter().filter_map(|t| Some((t.0, t.array_of()?.0)));
        let ids: Vec<(Oid, Oid)> = ids.collect();
        let indexes = self.indexes_with_classes_of(&extension.name)?;
        if !cascade {
            let lines = ids.iter().flat_map(|(oid, array)| self.type_users(*oid, *array));
            let lines: Vec<String> = lines.chain(indexes.iter().map(|(.., line)| line.clone())).collect();
            if !lines.is_empty() {
                let what = format!("extension {}", quote_identifier(&extension.name));
                return Err(must_cascade(&what, lines.join("\n")));
            }
        }
        for (oid, array) in ids {
            self.clear_type_users(oid, array, "", true)?;
        }
        self.goes_too(indexes.iter().map(|(_, name, _)| format!("index {name}")));
        indexes.into_iter().try_for_each(|(index, ..)| self.drop_index(index, true))
    }

    /// Indexes that have an operator class of an extension, by name, and how each depends on it.
    fn indexes_with_classes_of(&self, extension: &str) -> Result<Vec<(Oid, String, String)>> {
        let mut found = Vec::new();
        for table in self.catalog().tables() {
            if table.indexes.iter().all(|index| index.method == Method::Btree) {
                continue;
            }
            self.with_exec(|context| {
                let shape = Shape::of_draft(table, context)?;
                for (index, shape) in table.indexes.iter().zip(&shape.indexes) {
                    let mut classes = index.keys.iter().zip(&shape.parts).filter_map(|(key, part)| {
                        find_class(index.method, key.operator_class.as_deref(), part.data_type)
                    });
                    if let Some(class) = classes.find(|class| class.extension == Some(extension)) {
                        let (name, method) = (quote_identifier(&index.name), index.method.name());
                        let class = format!("operator class {} for access method {method}", class.name);
                        let line = format!("index {name} depends on {class}");
                        found.push((index.oid, name, line));
                    }
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}
