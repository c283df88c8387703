//! Roles, and ALTER … SET for server, databases and roles.

use super::{Ddl, names};
use crate::catalog::store::NameSpace;
use crate::catalog::{Change, Database, FIRST_USER_OID, Kind, Object, Role};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{ObjectName, RoleSpec, SetValue, SettingTarget};
use crate::password::encrypt;
use crate::session::set_value_text;
use crate::settings::{Settings, Source};
use crate::types::{Oid, Type, parse_datum};
use serin_txn::RelationLockMode;
use std::sync::Arc;

impl Ddl<'_> {
    pub(super) fn role_oid(&self, name: &str) -> Result<Oid> {
        self.catalog().find_role(name).map(|role| role.oid).ok_or_else(|| no_role(name))
    }

    /// CREATEROLE, which superusers have.
    pub(super) fn may_create_roles(&self) -> bool {
        let catalog = self.catalog();
        catalog.role(self.core.role.get()).is_some_and(|role| role.superuser || role.create_role)
    }

    fn require_create_role(&self, what: &str) -> Result<()> {
        if self.may_create_roles() {
            return Ok(());
        }
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied to {what} role")))
    }

    pub(super) fn put_role(&self, role: Role) -> Result<()> {
        self.write(Change::put(Object::Role(Arc::new(role))))
    }

    pub(super) fn create_role(&self, name: &str, options: &[(String, Option<String>)]) -> Result<()> {
        let sets = |wanted: &str| options.iter().any(|(option, _)| option.eq_ignore_ascii_case(wanted));
        for (option, what) in [
            ("superuser", "superusers"),
            ("replication", "replication users"),
            ("bypassrls", "bypassrls users"),
        ] {
            if sets(option) && !self.core.is_superuser() {
                let message = format!("must be superuser to create {what}");
                return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
        }
        self.require_create_role("create")?;
        check_role_name(name)?;
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
        let oid = role.oid;
        self.put_role(role)?;
        for (option, value) in options {
            let listed = || self.listed_roles(value.as_deref());
            match option.to_ascii_lowercase().as_str() {
                "in role" => {
                    for role in listed()? {
                        self.add_members(role, &[oid], None, false)?;
                    }
                }
                "role" | "user" => self.add_members(oid, &listed()?, None, false)?,
                "admin" => self.add_members(oid, &listed()?, None, true)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn apply_role_options(&self, role: &mut Role, options: &[(String, Option<String>)]) -> Result<()> {
        for (option, value) in options {
            match option.to_ascii_lowercase().as_str() {
                "superuser" => role.superuser = true,
                "nosuperuser" => role.superuser = false,
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
                    role.connection_limit = limit.filter(|limit| *limit >= -1).ok_or_else(|| {
                        let message = format!("invalid connection limit: {}", value.as_deref().unwrap_or(""));
                        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                    })?;
                }
                "valid until" => {
                    if let Some(time) = value {
                        parse_datum(time, Type::TIMESTAMPTZ, -1, &self.core.render.borrow())?;
                    }
                    role.valid_until.clone_from(value);
                }
                "sysid" => self.notice("SYSID can no longer be specified"),
                // Memberships come when the role is there.
                "in role" | "role" | "user" | "admin" => {}
                other => return Err(Error::unsupported(format!("role option {}", other.to_uppercase()))),
            }
        }
        Ok(())
    }

    pub(super) fn open_role(&self, name: &str) -> Result<Role> {
        self.open_role_by_oid(self.role_oid(name)?).map_err(|_| no_role(name))
    }

    pub(super) fn open_role_by_oid(&self, oid: Oid) -> Result<Role> {
        self.lock(oid, RelationLockMode::AccessExclusive)?;
        let catalog = self.catalog();
        catalog.role(oid).cloned().ok_or_else(|| no_role(&oid.to_string()))
    }

    pub(super) fn alter_role(&self, role: &RoleSpec, options: &[(String, Option<String>)]) -> Result<()> {
        let mut role = self.open_role_by_oid(self.spec_role(role)?)?;
        check_role_name(&role.name)?;
        let has = |wanted: &[&str]| options.iter().any(|(option, _)| wanted.contains(&option.as_str()));
        let (acting, superuser) = self.core.acting_role();
        let message = match superuser {
            true => None,
            false if role.superuser || has(&["superuser", "nosuperuser"]) => {
                Some("must be superuser to alter superuser roles or change superuser attribute")
            }
            false if role.replication || has(&["replication", "noreplication"]) => {
                Some("must be superuser to alter replication roles or change replication attribute")
            }
            false if has(&["bypassrls", "nobypassrls"]) => {
                Some("must be superuser to change bypassrls attribute")
            }
            false if self.may_create_roles() => None,
            // Everyone may change the own password.
            false if role.oid == acting && options.iter().all(|(option, _)| option == "password") => None,
            false => Some("permission denied"),
        };
        if let Some(message) = message {
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
        if role.oid == self.core.role.get() {
            return Err(Error::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
        }
        if role.oid == self.core.session_role() || role.oid == self.core.user_oid {
            return Err(Error::new(SqlState::OBJECT_IN_USE, "session user cannot be dropped"));
        }
        if role.superuser && !self.core.is_superuser() {
            let message = "must be superuser to drop superusers";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        if role.oid < FIRST_USER_OID {
            let message = format!("cannot drop role {name} because it is required by the database system");
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        self.refuse_dependents(role.oid, &name)?;
        let catalog = self.catalog();
        for member in catalog.roles().filter(|member| member.oid != role.oid) {
            if member.member_of.iter().any(|membership| membership.role == role.oid) {
                let mut member = self.open_role_by_oid(member.oid)?;
                member.member_of.retain(|membership| membership.role != role.oid);
                self.put_role(member)?;
            }
        }
        for database in catalog.databases() {
            if database.role_settings.iter().any(|(of, ..)| *of == role.oid) {
                self.lock(database.oid, RelationLockMode::ShareUpdateExclusive)?;
                let mut database = database.clone();
                database.role_settings.retain(|(of, ..)| *of != role.oid);
                self.put_database(database)?;
            }
        }
        let trees = &self.core.engine.trees;
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Role, 0), &name)?;
        self.write(Change::remove(Kind::Role, role.oid))
    }

    pub(super) fn rename_role(&self, name: &str, to: &str) -> Result<()> {
        self.require_create_role("rename")?;
        let mut role = self.open_role(name)?;
        check_role_name(name)?;
        check_role_name(to)?;
        let refused = |message| Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        if role.oid == self.core.session_role() || role.oid == self.core.user_oid {
            return refused("session user cannot be renamed");
        }
        if role.oid == self.core.role.get() {
            return refused("current user cannot be renamed");
        }
        if role.superuser && !self.core.is_superuser() {
            let message = "must be superuser to rename superusers";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        // An MD5 hash is salted with the name.
        if role.password.as_deref().is_some_and(|password| password.starts_with("md5")) {
            role.password = None;
            self.notice("MD5 password cleared because of role rename");
        }
        let trees = &self.core.engine.trees;
        if !trees.take_name(&mut self.transaction.borrow_mut(), (NameSpace::Role, 0), to, role.oid)? {
            return Err(role_exists(to));
        }
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Role, 0), name)?;
        self.put_role(Role { name: to.to_string(), ..role })
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
        if Settings::requires_superuser(&name) && !self.core.is_superuser() {
            let message = format!("permission denied to set parameter \"{name}\"");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        if let Some(text) = &text {
            // Bad values are refused now and not at the next connection.
            let source = if *target == SettingTarget::System { Source::Server } else { Source::Role };
            Settings::new().set(&name, Some(text), source, false)?;
        }
        match target {
            SettingTarget::System => {
                if !self.core.is_superuser() {
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
                let mut role = self.open_role_by_oid(self.spec_role(role)?)?;
                self.require_settable(&role)?;
                replace(&mut role.settings, &name, text);
                self.put_role(role)
            }
            SettingTarget::Role(None) => Err(Error::unsupported("ALTER ROLE ALL SET")),
            SettingTarget::RoleInDatabase(role, database) => {
                let catalog = self.catalog();
                let role = match role {
                    Some(role) => {
                        let oid = self.spec_role(role)?;
                        let found = catalog.role(oid);
                        self.require_settable(found.ok_or_else(|| no_role(&oid.to_string()))?)?;
                        oid
                    }
                    None if self.core.is_superuser() => 0,
                    None => {
                        let message = "must be superuser to alter settings globally";
                        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
                    }
                };
                let found = catalog.find_database(database).ok_or_else(|| {
                    let message = format!("database \"{database}\" does not exist");
                    Error::new(SqlState::INVALID_CATALOG_NAME, message)
                })?;
                self.lock(found.oid, RelationLockMode::ShareUpdateExclusive)?;
                let mut database =
                    self.catalog().find_database(database).cloned().unwrap_or_else(|| found.clone());
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

    /// Whether the acting role may store settings for a role.
    fn require_settable(&self, role: &Role) -> Result<()> {
        let (acting, superuser) = self.core.acting_role();
        let message = match role.superuser {
            true if superuser => return Ok(()),
            true => "must be superuser to alter superusers",
            false if role.oid == acting || self.may_create_roles() => return Ok(()),
            false => "permission denied",
        };
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
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

pub(super) fn no_role(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

/// Names starting with pg_ are the system's.
fn check_role_name(name: &str) -> Result<()> {
    if !name.starts_with("pg_") {
        return Ok(());
    }
    let message = format!("role name \"{name}\" is reserved");
    let detail = "Role names starting with \"pg_\" are reserved.";
    Err(Error::new(SqlState::RESERVED_NAME, message).detail(detail))
}

fn role_exists(name: &str) -> Error {
    Error::new(SqlState::DUPLICATE_OBJECT, format!("role \"{name}\" already exists"))
}
