//! Whose objects are: OWNER TO, REASSIGN OWNED, DROP OWNED, and what keeps a role from being dropped.

use super::privilege::{Target, not_a_member};
use super::{Ddl, names};
use crate::catalog::acl::{AclChange, AclItem, denied};
use crate::catalog::{
    Acl, Catalog, Change, Database, Object, ObjectClass, Privileges, Relation, Routine, Schema, Sequence,
    Table, UserType,
};
use crate::error::{Error, Result, SqlState};
use crate::large_object::Metadata;
use crate::parse::ast::{ObjectKind, ObjectName};
use crate::parse::privilege_ast::RoleSpec;
use crate::types::Oid;
use serin_txn::RelationLockMode;
use std::sync::Arc;

/// Dependents listed in a message.
const REPORTED_MAX: usize = 100;

impl Ddl<'_> {
    /// ALTER … OWNER TO of schemas and databases.
    pub(super) fn change_owner(&self, object: ObjectKind, name: &ObjectName, to: &RoleSpec) -> Result<()> {
        let to = self.spec_role(to)?;
        let catalog = self.catalog();
        let shown = names::display(name);
        let target = match object {
            ObjectKind::Schema => {
                let schema = catalog.find_schema(&shown).cloned().ok_or_else(|| names::no_schema(&shown))?;
                self.require_owner(schema.owner, "schema", &shown)?;
                self.lock(schema.oid, RelationLockMode::AccessExclusive)?;
                Target::Schema(schema)
            }
            ObjectKind::Database => Target::Database(self.open_database(&shown)?),
            ObjectKind::LargeObject => {
                let target = self.large_object_target(&shown)?;
                self.require_owner(target.owner(), "large object", &shown)?;
                target
            }
            _ => return Err(Error::unsupported("ALTER … OWNER TO of this kind of object")),
        };
        if target.owner() == to {
            return Ok(());
        }
        self.check_new_owner(&target, to)?;
        self.give_to(target, to)
    }

    /// Whether the acting role may make this role the owner: it must be able to become it, and that one to create such objects.
    pub(super) fn check_new_owner(&self, target: &Target, to: Oid) -> Result<()> {
        let catalog = self.catalog();
        let (acting, superuser) = self.core.acting_role();
        if superuser {
            return Ok(());
        }
        if !catalog.is_member_of(acting, to) {
            return Err(not_a_member(&catalog, to));
        }
        let schema = match target {
            Target::Table(table) => table.schema,
            Target::Sequence(sequence) => sequence.schema,
            Target::Routine(routine) => routine.schema,
            Target::Type(found) => found.schema,
            Target::Schema(_) => {
                let database = catalog.database();
                return check_database(&catalog, database, acting, Privileges::CREATE);
            }
            Target::Database(_) => {
                return match catalog.role(acting).is_some_and(|role| role.create_database) {
                    true => Ok(()),
                    false => {
                        let message = "permission denied to change owner of database";
                        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
                    }
                };
            }
            Target::LargeObject(..) | Target::System(_) | Target::BuiltIn(..) => return Ok(()),
        };
        check_create(&catalog, schema, to)
    }

    /// Writes an object with another owner. Sequences of a table's columns go with the table.
    pub(super) fn give_to(&self, target: Target, to: Oid) -> Result<()> {
        let owner = target.owner();
        let moved = |acl: &Option<Acl>| acl.as_ref().map(|acl| acl.with_owner(owner, to));
        match target {
            Target::Table(table) => {
                let mut changed = Table::clone(&table);
                self.own_table(&mut changed, to)?;
                self.put_table(changed).map(drop)
            }
            Target::Sequence(sequence) => {
                let acl = moved(&sequence.acl);
                self.put_sequence(Sequence { owner: to, acl, ..Sequence::clone(&sequence) })
            }
            Target::Schema(schema) => {
                let acl = moved(&schema.acl);
                self.put_schema(Schema { owner: to, acl, ..schema })
            }
            Target::Database(database) => {
                let acl = moved(&database.acl);
                self.put_database(Database { owner: to, acl, ..database })
            }
            Target::Routine(routine) => {
                let acl = moved(&routine.acl);
                let routine = Routine { owner: to, acl, ..Routine::clone(&routine) };
                self.write(Change::put(Object::Routine(Arc::new(routine))))
            }
            Target::Type(found) => {
                let acl = moved(&found.acl);
                self.put_type(UserType { owner: to, acl, ..UserType::clone(&found) })
            }
            Target::LargeObject(oid, _, metadata) => {
                let acl = moved(&metadata.acl);
                self.put_large_object(oid, &Metadata { owner: to, acl, ..metadata })
            }
            Target::System(_) | Target::BuiltIn(..) => {
                Err(Error::internal("a built-in object has its owner"))
            }
        }
    }

    /// Makes a role the owner of a table that is being changed, with its columns' sequences.
    pub(super) fn own_table(&self, table: &mut Table, to: Oid) -> Result<()> {
        let owner = table.owner;
        table.owner = to;
        table.acl = table.acl.as_ref().map(|acl| acl.with_owner(owner, to));
        for column in &mut table.columns {
            column.acl = column.acl.as_ref().map(|acl| acl.with_owner(owner, to));
        }
        let catalog = self.catalog();
        for sequence in catalog.sequences().filter(|s| s.owned_by.is_some_and(|(of, _)| of == table.oid)) {
            self.give_to(Target::Sequence(sequence.clone()), to)?;
        }
        Ok(())
    }

    fn owners_of(&self, roles: &[RoleSpec], what: &str) -> Result<Vec<Oid>> {
        let catalog = self.catalog();
        let acting = self.core.role.get();
        let mut found = Vec::with_capacity(roles.len());
        for role in roles {
            let role = self.spec_role(role)?;
            if !catalog.has_privileges_of(acting, role) {
                let message = format!("permission denied to {what} objects");
                return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
            found.push(role);
        }
        Ok(found)
    }

    pub(super) fn reassign_owned(&self, roles: &[RoleSpec], to: &RoleSpec) -> Result<()> {
        let roles = self.owners_of(roles, "reassign")?;
        let catalog = self.catalog();
        let to = self.spec_role(to)?;
        if !catalog.has_privileges_of(self.core.role.get(), to) {
            let message = "permission denied to reassign objects";
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        for &role in &roles {
            self.refuse_pinned(&catalog, role, "reassign ownership of objects owned by role")?;
        }
        for target in owned(&catalog, true).into_iter().chain(self.large_object_targets()?) {
            if !roles.contains(&target.owner()) {
                continue;
            }
            if let Target::LargeObject(oid, ..) = &target {
                if let Some(metadata) = self.locked_large_object(*oid)? {
                    self.give_to(Target::LargeObject(*oid, target.name().to_owned(), metadata), to)?;
                }
                continue;
            }
            self.lock(target.oid(), RelationLockMode::AccessExclusive)?;
            // A sequence may have gone with its table.
            if let Some(now) = refreshed(&target, &self.catalog())
                && roles.contains(&now.owner())
            {
                self.give_to(now, to)?;
            }
        }
        Ok(())
    }

    fn refuse_pinned(&self, catalog: &Catalog, role: Oid, what: &str) -> Result<()> {
        let Some(found) = catalog.role(role).filter(|_| role < crate::catalog::FIRST_USER_OID) else {
            return Ok(());
        };
        let message =
            format!("cannot {what} {} because they are required by the database system", found.name);
        Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message))
    }

    pub(super) fn drop_owned(&self, roles: &[RoleSpec], cascade: bool) -> Result<()> {
        let roles = self.owners_of(roles, "drop")?;
        let catalog = self.catalog();
        for &role in &roles {
            self.refuse_pinned(&catalog, role, "drop objects owned by role")?;
        }
        self.forget_roles(&roles)?;
        let is_owned = |owner: Oid| roles.contains(&owner);
        let catalog = self.catalog();
        let tables: Vec<Arc<Table>> =
            catalog.tables().filter(|table| is_owned(table.owner)).cloned().collect();
        for table in &tables {
            self.lock(table.oid, RelationLockMode::AccessExclusive)?;
        }
        self.clear_dependents(&tables.iter().map(|table| table.oid).collect::<Vec<_>>(), cascade)?;
        for table in &tables {
            if let Some(table) = self.catalog().table(table.oid) {
                self.remove_table(&table)?;
            }
        }
        let catalog = self.catalog();
        for sequence in catalog.sequences().filter(|sequence| is_owned(sequence.owner)) {
            self.lock(sequence.oid, RelationLockMode::AccessExclusive)?;
            self.drop_sequence(sequence, cascade)?;
        }
        for found in self.catalog().user_types().filter(|found| is_owned(found.owner)) {
            self.lock(found.oid, RelationLockMode::AccessExclusive)?;
            self.clear_type_users(found.oid, found.array, &format!("type {}", found.name), cascade)?;
            if let Some(found) = self.catalog().user_type(found.oid) {
                self.remove_type(&found)?;
            }
        }
        for routine in self.catalog().routines().filter(|routine| is_owned(routine.owner)) {
            self.lock(routine.oid, RelationLockMode::AccessExclusive)?;
            self.drop_routine_triggers(routine, cascade)?;
            self.remove_routine(routine)?;
        }
        for target in self.large_object_targets()?.iter().filter(|target| is_owned(target.owner())) {
            if self.locked_large_object(target.oid())?.is_some() {
                self.remove_large_object(target.oid())?;
            }
        }
        let catalog = self.catalog();
        for schema in catalog.schemas().filter(|schema| is_owned(schema.owner)) {
            let name = ObjectName { parts: vec![schema.name.clone()], position: 0 };
            self.drop_schema(&name, true, cascade)?;
        }
        Ok(())
    }

    /// Takes away what was granted to roles here, and what they have decreed for objects to come.
    fn forget_roles(&self, roles: &[Oid]) -> Result<()> {
        let catalog = self.catalog();
        for target in owned(&catalog, true).into_iter().chain(self.large_object_targets()?) {
            let clean = |acl: Option<Acl>| -> Result<Option<Acl>> {
                let Some(mut acl) = acl.filter(|acl| acl.0.iter().any(|item| roles.contains(&item.grantee)))
                else {
                    return Ok(None);
                };
                while let Some(item) = acl.0.iter().find(|item| roles.contains(&item.grantee)).copied() {
                    let change = AclChange::Revoke { cascade: true };
                    let item = AclItem { grantable: item.privileges | item.grantable, ..item };
                    acl = acl.changed(item, change, target.owner(), &catalog)?;
                }
                Ok(Some(acl))
            };
            // An owner's own privileges go with the object.
            if roles.contains(&target.owner()) {
                continue;
            }
            let object = clean(target.acl(&catalog))?;
            let mut columns = Vec::new();
            if let Target::Table(table) = &target {
                for column in &table.columns {
                    if let Some(acl) = clean(column.acl.clone())? {
                        columns.push((column.number, Some(acl).filter(|acl| !acl.0.is_empty())));
                    }
                }
            }
            if object.is_some() || !columns.is_empty() {
                match &target {
                    Target::LargeObject(oid, ..) => drop(self.locked_large_object(*oid)?),
                    _ => self.lock(target.oid(), RelationLockMode::ShareUpdateExclusive)?,
                }
                self.put_acl(target, object, columns)?;
            }
        }
        let mut grants = self.grants();
        let before = (grants.defaults.len(), grants.built_in.len());
        grants.defaults.retain(|entry| !roles.contains(&entry.role));
        let mut changed = before.0 != grants.defaults.len();
        let lists = grants.defaults.iter_mut().map(|entry| &mut entry.acl);
        for acl in lists.chain(grants.built_in.iter_mut().map(|entry| &mut entry.acl)) {
            let count = acl.0.len();
            acl.0.retain(|item| !roles.contains(&item.grantee));
            changed |= count != acl.0.len();
        }
        if changed {
            self.put_grants(grants)?;
        }
        Ok(())
    }

    /// 2BP01 while anything belongs to the role or mentions it in its privileges.
    pub(super) fn refuse_dependents(&self, role: Oid, name: &str) -> Result<()> {
        let catalog = self.catalog();
        let mut lines = Vec::new();
        for target in owned(&catalog, true).into_iter().chain(self.large_object_targets()?) {
            let what = describe(&target);
            let mut mentioned = target.acl(&catalog).is_some_and(|acl| acl.mentions(role));
            if let Target::Table(table) = &target {
                for column in table.columns.iter().filter(|column| !column.dropped) {
                    if column.acl.as_ref().is_some_and(|acl| acl.mentions(role)) {
                        lines.push(format!("privileges for column {} of {what}", column.name));
                    }
                }
                mentioned &= table.owner != role;
            }
            match target.owner() == role {
                true => lines.push(format!("owner of {what}")),
                false if mentioned => lines.push(format!("privileges for {what}")),
                false => {}
            }
        }
        for entry in catalog.grants().iter().flat_map(|grants| &grants.defaults) {
            let objects = match entry.class {
                ObjectClass::Table => "relations",
                ObjectClass::Sequence => "sequences",
                ObjectClass::Function => "functions",
                ObjectClass::Schema => "schemas",
                _ => "types",
            };
            let of = catalog.role(entry.role).map_or("", |role| role.name.as_str());
            let place = match catalog.schema(entry.schema) {
                Some(schema) => format!(" in schema {}", schema.name),
                None => String::new(),
            };
            let what = format!("default privileges on new {objects} belonging to role {of}{place}");
            match entry.role == role {
                true => lines.push(format!("owner of {what}")),
                false if entry.acl.mentions(role) => lines.push(format!("privileges for {what}")),
                false => {}
            }
        }
        // Of other databases only how many.
        let objects = catalog.objects();
        for database in catalog.databases().filter(|database| database.oid != catalog.database().oid) {
            let tables = objects.tables().filter(|o| o.database == database.oid && o.owner == role).count();
            let sequences =
                objects.sequences().filter(|o| o.database == database.oid && o.owner == role).count();
            let routines =
                objects.routines().filter(|o| o.database == database.oid && o.owner == role).count();
            let schemas = objects.schemas().filter(|o| o.database == database.oid && o.owner == role).count();
            let types = objects.types().filter(|o| o.database == database.oid && o.owner == role).count();
            match tables + sequences + routines + schemas + types {
                0 => {}
                1 => lines.push(format!("1 object in database {}", database.name)),
                many => lines.push(format!("{many} objects in database {}", database.name)),
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let more = lines.len().saturating_sub(REPORTED_MAX);
        lines.truncate(REPORTED_MAX);
        let mut detail = lines.join("\n");
        if more > 0 {
            detail.push_str(&format!("\nand {more} other objects (see server log for list)"));
        }
        let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
        Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message).detail(detail))
    }
}

/// What has an owner: in this database, and (with `shared`) the databases themselves.
fn owned(catalog: &Catalog, shared: bool) -> Vec<Target> {
    let mut found: Vec<Target> = catalog.tables().cloned().map(Target::Table).collect();
    found.extend(catalog.sequences().cloned().map(Target::Sequence));
    found.sort_by_key(Target::oid);
    found.extend(catalog.user_types().cloned().map(Target::Type));
    found.extend(catalog.routines().cloned().map(Target::Routine));
    found.extend(catalog.schemas().filter(|schema| schema.database != 0).cloned().map(Target::Schema));
    if shared {
        found.extend(catalog.databases().cloned().map(Target::Database));
    }
    found
}

fn refreshed(target: &Target, catalog: &Catalog) -> Option<Target> {
    let oid = target.oid();
    match target {
        Target::Table(_) => catalog.table(oid).map(Target::Table),
        Target::Sequence(_) => match catalog.relation(oid) {
            Some(Relation::Sequence(sequence)) => Some(Target::Sequence(sequence)),
            _ => None,
        },
        Target::Schema(_) => catalog.schema(oid).cloned().map(Target::Schema),
        Target::Database(_) => catalog.objects().database(oid).cloned().map(Target::Database),
        Target::Routine(_) => catalog.routine(oid).map(Target::Routine),
        Target::Type(_) => catalog.user_type(oid).map(Target::Type),
        Target::LargeObject(..) | Target::System(_) | Target::BuiltIn(..) => Some(target.clone()),
    }
}

fn describe(target: &Target) -> String {
    match target {
        Target::Table(table) => format!("{} {}", crate::plan::permissions::relation_word(table), table.name),
        Target::Routine(routine) => format!("{} {}", routine.word(), routine.context_signature()),
        other => format!("{} {}", other.class().word(), other.name()),
    }
}

/// 42501 unless the role may create in the schema.
pub(super) fn check_create(catalog: &Catalog, schema: Oid, role: Oid) -> Result<()> {
    let Some(schema) = catalog.schema(schema) else { return Ok(()) };
    let held = catalog.held(role, ObjectClass::Schema, schema.acl.as_ref(), schema.owner);
    match held.0.contains(Privileges::CREATE) {
        true => Ok(()),
        false => Err(denied("schema", &schema.name)),
    }
}

pub(super) fn check_database(
    catalog: &Catalog,
    database: &Database,
    role: Oid,
    wanted: Privileges,
) -> Result<()> {
    let held = catalog.held(role, ObjectClass::Database, database.acl.as_ref(), database.owner);
    match held.0.contains(wanted) {
        true => Ok(()),
        false => Err(denied("database", &database.name)),
    }
}
