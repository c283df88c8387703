//! Roles, GRANT, and ALTER … SET for server, databases and roles.

use super::{Ddl, names};
use crate::catalog::store::NameSpace;
use crate::catalog::{Change, Database, Kind, Object, ROLE_POSTGRES, Role};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{Name, ObjectKind, ObjectName, SetValue, SettingTarget};
use crate::password::encrypt;
use crate::session::set_value_text;
use crate::settings::{Settings, Source};
use crate::types::{Oid, Type, parse_datum};
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    pub(super) fn role_oid(&self, name: &str) -> Result<Oid> {
        match name.to_ascii_lowercase().as_str() {
            "current_user" | "current_role" | "session_user" => return Ok(self.core.user_oid),
            _ => {}
        }
        self.catalog().find_role(name).map(|role| role.oid).ok_or_else(|| no_role(name))
    }

    fn require_create_role(&self, what: &str) -> Result<()> {
        let catalog = self.catalog();
        let may = catalog.role(self.core.user_oid).is_some_and(|role| role.superuser || role.create_role);
        if may {
            return Ok(());
        }
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to {what} role")))
    }

    fn put_role(&self, role: Role) -> Result<()> {
        self.write(Change::put(Object::Role(Arc::new(role))))
    }

    pub(super) fn create_role(&self, name: &str, options: &[(String, Option<String>)]) -> Result<()> {
        self.require_create_role("create")?;
        if name.starts_with("pg_") {
            let message = format!("role name \"{name}\" is reserved");
            let detail = "Role names starting with \"pg_\" are reserved.";
            return Err(Error::new(SqlState::RESERVED_NAME, message).detail(detail));
        }
        let mut role = Role {
            oid: self.new_oid()?,
            name: name.to_string(),
            superuser: false,
            login: false,
            create_database: false,
            create_role: false,
            inherit: true,
            settings: Vec::new(),
            password: None,
            connection_limit: -1,
            replication: false,
            bypass_rls: false,
            valid_until: None,
            comment: None,
            member_of: Vec::new(),
        };
        self.apply_role_options(&mut role, options)?;
        let taken = self.core.engine.trees.take_name(
            &mut self.transaction.borrow_mut(),
            (NameSpace::Role, 0),
            name,
            role.oid,
        )?;
        if !taken {
            return Err(role_exists(name));
        }
        self.put_role(role)
    }

    fn apply_role_options(&self, role: &mut Role, options: &[(String, Option<String>)]) -> Result<()> {
        for (option, value) in options {
            match option.to_ascii_lowercase().as_str() {
                "superuser" | "nosuperuser" => {
                    if !self.core.superuser {
                        let message = "must be superuser to change superuser attribute";
                        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                    }
                    role.superuser = option.eq_ignore_ascii_case("superuser");
                }
                "login" => role.login = true,
                "nologin" => role.login = false,
                "createdb" => role.create_database = true,
                "nocreatedb" => role.create_database = false,
                "createrole" => role.create_role = true,
                "nocreaterole" => role.create_role = false,
                "inherit" => role.inherit = true,
                "noinherit" => role.inherit = false,
                "replication" => role.replication = true,
                "noreplication" => role.replication = false,
                "bypassrls" => role.bypass_rls = true,
                "nobypassrls" => role.bypass_rls = false,
                "password" | "encrypted password" => {
                    role.password = value.as_deref().filter(|password| !password.is_empty()).map(encrypt);
                    if value.as_deref() == Some("") {
                        self.notice("empty string is not a valid password, clearing password");
                    }
                }
                "connection limit" => {
                    let limit = value.as_deref().and_then(|text| text.parse().ok());
                    role.connection_limit = limit.ok_or_else(|| {
                        Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid connection limit")
                    })?;
                }
                "valid until" => {
                    if let Some(time) = value {
                        parse_datum(time, Type::TIMESTAMPTZ, -1, &self.core.render.borrow())?;
                    }
                    role.valid_until.clone_from(value);
                }
                // Accepted and without effect since PostgreSQL 8.1.
                "sysid" => {}
                other => return Err(Error::unsupported(format!("role option {}", other.to_uppercase()))),
            }
        }
        Ok(())
    }

    fn open_role(&self, name: &str) -> Result<Role> {
        let oid = self.role_oid(name)?;
        self.lock(oid, RelationLockMode::AccessExclusive)?;
        let catalog = self.catalog();
        catalog.role(oid).cloned().ok_or_else(|| no_role(name))
    }

    pub(super) fn alter_role(&self, name: &str, options: &[(String, Option<String>)]) -> Result<()> {
        let mut role = self.open_role(name)?;
        // Everyone may change the own password.
        let only_password =
            options.iter().all(|(option, _)| option.to_ascii_lowercase().ends_with("password"));
        if !(only_password && role.oid == self.core.user_oid) {
            self.require_create_role("alter")?;
        }
        if role.superuser && !self.core.superuser {
            let message = "must be superuser to alter superuser roles or change superuser attribute";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        self.apply_role_options(&mut role, options)?;
        self.put_role(role)
    }

    pub(super) fn drop_role(&self, name: &ObjectName, if_exists: bool) -> Result<()> {
        self.require_create_role("drop")?;
        let name = names::display(name);
        if self.catalog().find_role(&name).is_none() {
            if if_exists {
                self.notice(format!("role \"{name}\" does not exist, skipping"));
                return Ok(());
            }
            return Err(no_role(&name));
        }
        let role = self.open_role(&name)?;
        if role.oid == self.core.user_oid {
            return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
        }
        let catalog = self.catalog();
        let objects = catalog.objects();
        let owns = role.oid == ROLE_POSTGRES
            || objects.tables().any(|table| table.owner == role.oid)
            || objects.sequences().any(|sequence| sequence.owner == role.oid)
            || objects.schemas().any(|schema| schema.owner == role.oid)
            || objects.databases().any(|database| database.owner == role.oid);
        if owns {
            let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        let trees = &self.core.engine.trees;
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Role, 0), &name)?;
        self.write(Change::remove(Kind::Role, role.oid))
    }

    pub(super) fn rename_role(&self, name: &str, to: &str) -> Result<()> {
        self.require_create_role("rename")?;
        let role = self.open_role(name)?;
        if role.oid == self.core.user_oid {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "session user cannot be renamed"));
        }
        let trees = &self.core.engine.trees;
        if !trees.take_name(&mut self.transaction.borrow_mut(), (NameSpace::Role, 0), to, role.oid)? {
            return Err(role_exists(to));
        }
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Role, 0), name)?;
        self.put_role(Role { name: to.to_string(), ..role })
    }

    /// Only superusers can do anything with others' objects until privileges are enforced: granting them something they have is
    /// harmless, anything else would be a promise that is not kept.
    pub(super) fn grant(
        &self,
        grant: bool,
        privileges: &[String],
        object: ObjectKind,
        objects: &[ObjectName],
        roles: &[Name],
    ) -> Result<()> {
        let catalog = self.catalog();
        if matches!(object, ObjectKind::Table | ObjectKind::Sequence | ObjectKind::View) {
            for name in objects {
                if names::find_relation(&catalog, &self.search_path(), name)?.is_none() {
                    return Err(names::no_relation(name));
                }
            }
        }
        let mut harmless = true;
        for role in roles {
            if role.eq_ignore_ascii_case("public") {
                // What is taken away from PUBLIC was never given.
                harmless &= !grant;
                continue;
            }
            let oid = self.role_oid(role)?;
            harmless &= catalog.role(oid).is_some_and(|role| role.superuser) || !grant;
        }
        if harmless {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "GRANT {} to a role that is not a superuser",
            privileges.join(", ").to_uppercase()
        )))
    }

    // ---- settings ----

    pub(super) fn alter_setting(
        &self,
        target: &SettingTarget,
        name: &str,
        value: Option<&SetValue>,
    ) -> Result<()> {
        let name = name.to_ascii_lowercase();
        let text = value.and_then(|value| set_value_text(&name, value));
        if let Some(text) = &text {
            // Bad values are refused now and not at the next connection.
            let source = if *target == SettingTarget::System { Source::Server } else { Source::Role };
            Settings::new().set(&name, Some(text), source, false)?;
        }
        match target {
            SettingTarget::System => {
                if !self.core.superuser {
                    let message = "permission denied to set parameter with ALTER SYSTEM";
                    return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                }
                self.lock(0, RelationLockMode::AccessExclusive)?;
                let mut settings = self.catalog().objects().settings().to_vec();
                replace(&mut settings, &name, text);
                self.write(Change::put(Object::Settings(Arc::new(settings))))
            }
            SettingTarget::Database(database) => {
                let mut database = self.open_database(database)?;
                replace(&mut database.settings, &name, text);
                self.put_database(database)
            }
            SettingTarget::Role(Some(role)) => {
                let mut role = self.open_role(role)?;
                if role.oid != self.core.user_oid {
                    self.require_create_role("alter")?;
                }
                replace(&mut role.settings, &name, text);
                self.put_role(role)
            }
            SettingTarget::Role(None) => Err(Error::unsupported("ALTER ROLE ALL SET")),
            SettingTarget::RoleInDatabase(role, database) => {
                let role = role.as_deref().map_or(Ok(0), |role| self.role_oid(role))?;
                let mut database = self.open_database(database)?;
                database
                    .role_settings
                    .retain(|(of, existing, _)| *of != role || (name != "all" && *existing != name));
                if let Some(text) = text {
                    database.role_settings.push((role, name, text));
                }
                self.put_database(database)
            }
        }
    }

    pub(super) fn put_database(&self, database: Database) -> Result<()> {
        self.write(Change::put(Object::Database(Arc::new(database))))
    }
}

/// RESET ALL comes as the name "all".
fn replace(settings: &mut Vec<(String, String)>, name: &str, value: Option<String>) {
    settings.retain(|(existing, _)| existing != name && name != "all");
    if let Some(value) = value {
        settings.push((name.to_string(), value));
    }
}

fn no_role(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

fn role_exists(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists"))
}
