//! GRANT and REVOKE of privileges on objects, and what new objects get (ALTER DEFAULT PRIVILEGES).
//!
//! Who grants is not always who says so: a member of the owner grants as the owner, and of the roles that a role belongs to, the one
//! with most of the grant options does ([`Ddl::grantor`]). What one can't pass on is left out with a warning; an error comes
//! only to who has nothing to do with the object at all. PostgreSQL's `src/backend/catalog/aclchk.c`.

use super::{Ddl, names};
use crate::catalog::acl::{AclChange, AclItem, PUBLIC_ROLE, denied};
use crate::catalog::{
    Acl, BuiltInAcl, Catalog, Change, Database, DefaultAcl, Grants, Object, ObjectClass, Privileges,
    ROLE_POSTGRES, Relation, Routine, Schema, Sequence, SystemRelation, Table, UserType,
};
use crate::error::{Error, Result, SqlState};
use crate::large_object::Metadata;
use crate::parse::ast::{ObjectName, RoutineClass};
use crate::parse::privilege_ast::{DefaultPrivileges, Grant, GrantTarget, PrivilegeItem, RoleSpec};
use crate::types::{Oid, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

const INVALID_GRANT_OPERATION: SqlState = SqlState(*b"0LP01");
const PRIVILEGE_NOT_GRANTED: SqlState = SqlState(*b"01007");
const PRIVILEGE_NOT_REVOKED: SqlState = SqlState(*b"01006");

/// pg_default_acl's own OID: whoever changes a database's [`Grants`] holds its lock.
const GRANTS_LOCK: Oid = 826;

/// Something with an access control list.
#[derive(Clone)]
pub(super) enum Target {
    Table(Arc<Table>),
    Sequence(Arc<Sequence>),
    Schema(Schema),
    Database(Database),
    Routine(Arc<Routine>),
    Type(Arc<UserType>),
    /// With its number as text.
    LargeObject(Oid, String, Metadata),
    System(&'static SystemRelation),
    BuiltIn(ObjectClass, Oid, String),
}

impl Target {
    pub fn oid(&self) -> Oid {
        match self {
            Target::Table(table) => table.oid,
            Target::Sequence(sequence) => sequence.oid,
            Target::Schema(schema) => schema.oid,
            Target::Database(database) => database.oid,
            Target::Routine(routine) => routine.oid,
            Target::Type(found) => found.oid,
            Target::System(system) => system.oid,
            Target::LargeObject(oid, ..) => *oid,
            Target::BuiltIn(_, oid, _) => *oid,
        }
    }
    pub fn class(&self) -> ObjectClass {
        match self {
            Target::Table(_) | Target::System(_) => ObjectClass::Table,
            Target::Sequence(_) => ObjectClass::Sequence,
            Target::Schema(_) => ObjectClass::Schema,
            Target::Database(_) => ObjectClass::Database,
            Target::Routine(_) => ObjectClass::Function,
            Target::Type(_) => ObjectClass::Type,
            Target::LargeObject(..) => ObjectClass::LargeObject,
            Target::BuiltIn(class, ..) => *class,
        }
    }
    pub fn owner(&self) -> Oid {
        match self {
            Target::Table(table) => table.owner,
            Target::Sequence(sequence) => sequence.owner,
            Target::Schema(schema) => schema.owner,
            Target::Database(database) => database.owner,
            Target::Routine(routine) => routine.owner,
            Target::Type(found) => found.owner,
            Target::LargeObject(_, _, metadata) => metadata.owner,
            Target::System(_) | Target::BuiltIn(..) => ROLE_POSTGRES,
        }
    }
    fn word(&self) -> &'static str {
        match self {
            Target::Table(table) => crate::plan::permissions::relation_word(table),
            Target::Routine(routine) => routine.word(),
            other => other.class().word(),
        }
    }
    pub fn name(&self) -> &str {
        match self {
            Target::Table(table) => &table.name,
            Target::Sequence(sequence) => &sequence.name,
            Target::Schema(schema) => &schema.name,
            Target::Database(database) => &database.name,
            Target::Routine(routine) => &routine.name,
            Target::Type(found) => &found.name,
            Target::System(system) => system.name,
            Target::LargeObject(_, name, _) | Target::BuiltIn(_, _, name) => name,
        }
    }
    pub fn acl(&self, catalog: &Catalog) -> Option<Acl> {
        match self {
            Target::Table(table) => table.acl.clone(),
            Target::Sequence(sequence) => sequence.acl.clone(),
            Target::Schema(schema) => schema.acl.clone(),
            Target::Database(database) => database.acl.clone(),
            Target::Routine(routine) => routine.acl.clone(),
            Target::Type(found) => found.acl.clone(),
            Target::LargeObject(_, _, metadata) => metadata.acl.clone(),
            Target::System(_) | Target::BuiltIn(..) => {
                Some(catalog.built_in_acl(self.class(), self.oid()).clone())
            }
        }
    }
    /// Number and name of a column.
    fn column(&self, name: &str) -> Result<i16> {
        match self {
            Target::Table(table) => {
                let at = table.column_index(name).ok_or_else(|| names::no_column(table, name))?;
                Ok(table.columns[at].number)
            }
            Target::System(system) => {
                let at = system.columns.iter().position(|(column, _)| *column == name);
                at.map(|at| at as i16 + 1).ok_or_else(|| {
                    let relation = system.name;
                    let message = format!("column \"{name}\" of relation \"{relation}\" does not exist");
                    Error::new(SqlState::UNDEFINED_COLUMN, message)
                })
            }
            _ => Err(column_privileges_misplaced()),
        }
    }
    fn column_acl(&self, number: i16, catalog: &Catalog) -> Option<Acl> {
        match self {
            Target::Table(table) => table.columns.iter().find(|c| c.number == number)?.acl.clone(),
            Target::System(system) => catalog.built_in_column_acl(system.oid, number).cloned(),
            _ => None,
        }
    }
    /// Live columns.
    fn columns(&self) -> Vec<(i16, String)> {
        match self {
            Target::Table(table) => {
                let live = table.columns.iter().filter(|column| !column.dropped);
                live.map(|column| (column.number, column.name.clone())).collect()
            }
            Target::System(system) => {
                let numbered = system.columns.iter().enumerate();
                numbered.map(|(at, (name, _))| (at as i16 + 1, (*name).to_owned())).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn column_privileges_misplaced() -> Error {
    Error::new(INVALID_GRANT_OPERATION, "column privileges are only valid for relations")
}

/// What a statement's list of privileges comes to.
struct Wanted {
    /// None: ALL PRIVILEGES.
    object: Option<Privileges>,
    /// By column name; None: ALL PRIVILEGES.
    columns: Vec<(String, Option<Privileges>)>,
}

impl Wanted {
    fn is_for_object(&self) -> bool {
        self.object != Some(Privileges::NONE)
    }
}

/// A change to one list.
#[derive(Clone, Copy)]
struct Edit<'a> {
    grant: bool,
    option: bool,
    cascade: bool,
    grantees: &'a [Oid],
}

fn parse_privileges(items: &[PrivilegeItem], allowed: Privileges, what: &str) -> Result<Wanted> {
    let mut wanted = Wanted { object: Some(Privileges::NONE), columns: Vec::new() };
    for item in items {
        let named = match &item.name {
            None => None,
            Some(name) => Some(Privileges::named(name).ok_or_else(|| {
                Error::new(SqlState::SYNTAX_ERROR, format!("unrecognized privilege type \"{name}\""))
            })?),
        };
        let invalid = |what: &str| {
            let name = named.and_then(|bit| bit.each().next()).map_or("ALL", |(_, _, name)| name);
            Error::new(INVALID_GRANT_OPERATION, format!("invalid privilege type {name} for {what}"))
        };
        if item.columns.is_empty() {
            match (named, wanted.object) {
                (None, _) => wanted.object = None,
                (Some(bit), _) if !allowed.contains(bit) => return Err(invalid(what)),
                (Some(bit), Some(so_far)) => wanted.object = Some(so_far | bit),
                (Some(_), None) => {}
            }
            continue;
        }
        if what != "relation" {
            return Err(column_privileges_misplaced());
        }
        if named.is_some_and(|bit| !ObjectClass::Column.all().contains(bit)) {
            return Err(invalid("column"));
        }
        wanted.columns.extend(item.columns.iter().map(|column| (column.clone(), named)));
    }
    Ok(wanted)
}

impl Ddl<'_> {
    /// A role that must exist; PUBLIC is no role here.
    pub(super) fn spec_role(&self, spec: &RoleSpec) -> Result<Oid> {
        match spec {
            RoleSpec::Named(name) => {
                let catalog = self.catalog();
                let found = catalog.find_role(name).map(|role| role.oid);
                found.ok_or_else(|| super::role::no_role(name))
            }
            RoleSpec::CurrentUser | RoleSpec::CurrentRole => Ok(self.core.role.get()),
            RoleSpec::SessionUser => Ok(self.core.session_role()),
            RoleSpec::Public => Err(super::role::no_role("public")),
        }
    }

    fn grantees(&self, specs: &[RoleSpec]) -> Result<Vec<Oid>> {
        let role = |spec: &RoleSpec| match spec {
            RoleSpec::Public => Ok(PUBLIC_ROLE),
            spec => self.spec_role(spec),
        };
        specs.iter().map(role).collect()
    }

    fn check_granted_by(&self, grantor: Option<&RoleSpec>) -> Result<()> {
        match grantor {
            Some(grantor) if self.spec_role(grantor)? != self.core.role.get() => {
                let message = "grantor must be current user";
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn grant(&self, grant: &Grant) -> Result<()> {
        self.check_granted_by(grant.grantor.as_ref())?;
        let grantees = self.grantees(&grant.grantees)?;
        let edit =
            Edit { grant: grant.grant, option: grant.option, cascade: grant.cascade, grantees: &grantees };
        let (said, allowed, what) = match &grant.target {
            GrantTarget::Objects(ObjectClass::Table, _)
            | GrantTarget::AllInSchemas(ObjectClass::Table, ..) => {
                let all = ObjectClass::Table.all() | ObjectClass::Sequence.all();
                (ObjectClass::Table, all, "relation")
            }
            GrantTarget::Objects(class, _)
            | GrantTarget::AllInSchemas(class, ..)
            | GrantTarget::Defaults(class) => (*class, class.all(), class.word()),
            GrantTarget::Routines(class, _) => {
                let word = match class {
                    RoutineClass::Function => "function",
                    RoutineClass::Procedure => "procedure",
                    RoutineClass::Routine => "routine",
                };
                (ObjectClass::Function, ObjectClass::Function.all(), word)
            }
        };
        let wanted = parse_privileges(&grant.privileges, allowed, what)?;
        for target in self.grant_targets(&grant.target, said)? {
            self.grant_on(target, said, &wanted, edit)?;
        }
        Ok(())
    }

    fn grant_targets(&self, target: &GrantTarget, said: ObjectClass) -> Result<Vec<Target>> {
        let catalog = self.catalog();
        match target {
            GrantTarget::Objects(class, names) => {
                names.iter().map(|name| self.named_target(*class, name)).collect()
            }
            GrantTarget::Routines(class, signatures) => {
                signatures.iter().map(|signature| self.routine_target(*class, signature)).collect()
            }
            GrantTarget::AllInSchemas(_, routines, schemas) => {
                let mut found = Vec::new();
                for name in schemas {
                    let schema = catalog.find_schema(name).ok_or_else(|| names::no_schema(name))?.oid;
                    crate::plan::permissions::check_schema(name, self.core.role.get(), &catalog)?;
                    match said {
                        ObjectClass::Table => {
                            let tables = catalog.tables().filter(|table| table.schema == schema);
                            found.extend(tables.cloned().map(Target::Table));
                        }
                        ObjectClass::Sequence => {
                            let sequences = catalog.sequences().filter(|s| s.schema == schema);
                            found.extend(sequences.cloned().map(Target::Sequence));
                        }
                        _ => {
                            let fits = |routine: &&Arc<Routine>| {
                                routine.schema == schema
                                    && match routines {
                                        Some(RoutineClass::Function) => !routine.procedure,
                                        Some(RoutineClass::Procedure) => routine.procedure,
                                        _ => true,
                                    }
                            };
                            found.extend(catalog.routines().filter(fits).cloned().map(Target::Routine));
                        }
                    }
                }
                Ok(found)
            }
            GrantTarget::Defaults(_) => Ok(Vec::new()),
        }
    }

    fn named_target(&self, class: ObjectClass, name: &ObjectName) -> Result<Target> {
        let catalog = self.catalog();
        let plain = || names::display(name);
        match class {
            ObjectClass::Table | ObjectClass::Sequence => {
                let (schema, _) = names::split(&catalog, name)?;
                if let Some(schema) = schema {
                    crate::plan::permissions::check_schema(schema, self.core.role.get(), &catalog)?;
                }
                let found = names::find_relation(&catalog, &self.search_path(), name)?;
                match found.ok_or_else(|| names::no_relation(name))? {
                    Relation::Sequence(sequence) => Ok(Target::Sequence(sequence)),
                    _ if class == ObjectClass::Sequence => Err(names::wrong_kind(name, "a sequence")),
                    Relation::Table(table) => Ok(Target::Table(table)),
                    Relation::System(system) => Ok(Target::System(system)),
                    Relation::Index(..) => {
                        let message = format!("\"{}\" is an index", plain());
                        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message))
                    }
                }
            }
            ObjectClass::Schema => {
                let schema = catalog.find_schema(&plain()).cloned();
                schema.map(Target::Schema).ok_or_else(|| names::no_schema(&plain()))
            }
            ObjectClass::Database => {
                let database = catalog.find_database(&plain()).cloned();
                database.map(Target::Database).ok_or_else(|| {
                    let message = format!("database \"{}\" does not exist", plain());
                    Error::new(SqlState::INVALID_CATALOG_NAME, message)
                })
            }
            ObjectClass::Language => {
                let known = [("internal", 12), ("c", 13), ("sql", 14), ("plpgsql", 13553)];
                let found = known.iter().find(|(language, _)| *language == plain());
                let (language, oid) = found.ok_or_else(|| {
                    let message = format!("language \"{}\" does not exist", plain());
                    Error::new(SqlState::UNDEFINED_OBJECT, message)
                })?;
                if matches!(*language, "c" | "internal") {
                    let message = format!("language \"{language}\" is not trusted");
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).detail(
                        "GRANT and REVOKE are not allowed on untrusted languages, because only superusers can use untrusted languages.",
                    ));
                }
                Ok(Target::BuiltIn(class, *oid, plain()))
            }
            ObjectClass::Type => {
                if let Some(found) = self.find_type(name)? {
                    return Ok(Target::Type(found));
                }
                let last = name.parts.last().map_or("", String::as_str);
                match Type::from_name(last) {
                    Some(found) if found.is_array() => {
                        let message = "cannot set privileges of array types";
                        Err(Error::new(INVALID_GRANT_OPERATION, message)
                            .hint("Set the privileges of the element type instead."))
                    }
                    Some(found) => Ok(Target::BuiltIn(class, found.0, found.name())),
                    None => {
                        let message = format!("type \"{}\" does not exist", plain());
                        Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
                    }
                }
            }
            ObjectClass::LargeObject => self.large_object_target(&plain()),
            other => Err(Error::unsupported(format!("GRANT ON {}", other.word().to_uppercase()))),
        }
    }

    fn routine_target(
        &self,
        class: RoutineClass,
        signature: &crate::parse::ast::RoutineSignature,
    ) -> Result<Target> {
        match self.find_routine(class, signature) {
            Ok(routine) => Ok(Target::Routine(routine)),
            Err(error) => match self.find_built_in(signature)? {
                Some((oid, name)) => Ok(Target::BuiltIn(ObjectClass::Function, oid, name)),
                None => Err(error),
            },
        }
    }

    /// A function of pg_catalog by its exact arguments.
    fn find_built_in(
        &self,
        signature: &crate::parse::ast::RoutineSignature,
    ) -> Result<Option<(Oid, String)>> {
        let (name, schemas) = match signature.name.parts.split_last() {
            Some(parts) => parts,
            None => return Ok(None),
        };
        if !matches!(schemas, [] | [_]) || schemas.first().is_some_and(|schema| schema != "pg_catalog") {
            return Ok(None);
        }
        let mut candidates = crate::functions::functions_named(name);
        let found = match &signature.arguments {
            None => candidates.next(),
            Some(arguments) => {
                let arguments = self.routine_arguments(arguments)?;
                let types: Vec<Type> = arguments.iter().map(|a| a.data_type()).collect();
                candidates.find(|function| function.arguments == types)
            }
        };
        Ok(found.map(|function| (function.oid, function.name.to_owned())))
    }

    /// As it is now that nobody else can change it.
    fn locked(&self, target: Target) -> Result<Option<Target>> {
        let catalog = self.catalog();
        let oid = target.oid();
        if let Target::System(_) | Target::BuiltIn(..) = target {
            self.lock(GRANTS_LOCK, RelationLockMode::ShareUpdateExclusive)?;
            return Ok(Some(target));
        }
        if let Target::LargeObject(_, name, _) = target {
            let metadata = self.locked_large_object(oid)?;
            return Ok(metadata.map(|metadata| Target::LargeObject(oid, name, metadata)));
        }
        self.lock(oid, RelationLockMode::ShareUpdateExclusive)?;
        let now = self.catalog();
        if now.version == catalog.version {
            return Ok(Some(target));
        }
        Ok(match target {
            Target::Table(_) => now.table(oid).map(Target::Table),
            Target::Sequence(_) => now.sequence(oid).map(Target::Sequence),
            Target::Schema(_) => now.schema(oid).cloned().map(Target::Schema),
            Target::Database(_) => now.objects().database(oid).cloned().map(Target::Database),
            Target::Routine(_) => now.routine(oid).map(Target::Routine),
            Target::Type(_) => now.user_type(oid).map(Target::Type),
            other => Some(other),
        })
    }

    fn grant_on(&self, target: Target, said: ObjectClass, wanted: &Wanted, edit: Edit<'_>) -> Result<()> {
        let Some(target) = self.locked(target)? else {
            return Err(Error::internal("tuple concurrently deleted"));
        };
        let class = target.class();
        let mut privileges = wanted.object.unwrap_or(class.all());
        if class == ObjectClass::Sequence && said == ObjectClass::Table {
            // GRANT … ON TABLE has long been used for sequences: wrong privileges are left out.
            if !class.all().contains(privileges) {
                let message = format!(
                    "sequence \"{}\" only supports USAGE, SELECT, and UPDATE privileges",
                    target.name()
                );
                self.core.warning(INVALID_GRANT_OPERATION, &message);
                privileges &= class.all();
            }
            if !wanted.columns.is_empty() {
                let message =
                    format!("sequence \"{}\" only supports SELECT column privileges", target.name());
                self.core.warning(INVALID_GRANT_OPERATION, &message);
            }
        } else if !class.all().contains(privileges) {
            // Only tables are said to be what also sequences are.
            let name = (privileges & !class.all()).each().next().map_or("ALL", |(_, _, name)| name);
            let message = format!("invalid privilege type {name} for table");
            return Err(Error::new(INVALID_GRANT_OPERATION, message));
        }
        let catalog = self.catalog();
        let owner = target.owner();
        let before = target.acl(&catalog);
        let list = before.clone().unwrap_or_else(|| class.default_acl(owner));
        let mut after = None;
        if wanted.is_for_object() {
            let (grantor, options) = self.grantor(privileges, &list, owner, &catalog);
            let allowed = self.check_grant(
                &target,
                None,
                (grantor, options),
                (privileges, wanted.object.is_none()),
                (&list, owner),
                edit.grant,
                &catalog,
            )?;
            after = Some(edited(&list, (grantor, allowed), owner, edit, &catalog)?);
        }
        let mut columns: Vec<(i16, String, Privileges, bool)> = Vec::new();
        let add = |columns: &mut Vec<(i16, String, Privileges, bool)>, number, name: &str, bits, named| {
            match columns.iter_mut().find(|(other, ..)| *other == number) {
                Some((.., so_far, explicit)) => {
                    *so_far |= bits;
                    *explicit |= named;
                }
                None => columns.push((number, name.to_owned(), bits, named)),
            }
        };
        // Revoking from the table takes it from its columns too.
        let from_columns = privileges & ObjectClass::Column.all();
        if !edit.grant && wanted.is_for_object() && !from_columns.is_empty() {
            for (number, name) in target.columns() {
                if target.column_acl(number, &catalog).is_some() {
                    add(&mut columns, number, &name, from_columns, false);
                }
            }
        }
        for (name, bits) in &wanted.columns {
            let number = target.column(name)?;
            add(&mut columns, number, name, bits.unwrap_or(ObjectClass::Column.all()), true);
        }
        let mut changed = Vec::new();
        for (number, name, bits, named) in columns {
            let own = target.column_acl(number, &catalog).unwrap_or_default();
            // Grant options on the whole are good for the column.
            let mut merged = list.clone();
            merged.0.extend(own.0.iter().copied());
            let (grantor, options) = self.grantor(bits, &merged, owner, &catalog);
            let allowed = match named {
                false => bits & options,
                true => self.check_grant(
                    &target,
                    Some(&name),
                    (grantor, options),
                    (bits, bits == ObjectClass::Column.all()),
                    (&merged, owner),
                    edit.grant,
                    &catalog,
                )?,
            };
            let list = edited(&own, (grantor, allowed), owner, edit, &catalog)?;
            changed.push((number, Some(list).filter(|list| !list.0.is_empty())));
        }
        self.put_acl(target, after, changed)
    }

    /// The role that a grant is made as, and which of the privileges it may pass on.
    fn grantor(
        &self,
        privileges: Privileges,
        list: &Acl,
        owner: Oid,
        catalog: &Catalog,
    ) -> (Oid, Privileges) {
        let role = self.core.role.get();
        if catalog.has_privileges_of(role, owner) {
            return (owner, !Privileges::NONE);
        }
        let mut best = (role, Privileges::NONE);
        for candidate in catalog.privileges_of(role) {
            let options = list.direct(candidate, owner).1 & privileges;
            if options == privileges {
                return (candidate, options);
            }
            if options.0.count_ones() > best.1.0.count_ones() {
                best = (candidate, options);
            }
        }
        best
    }

    /// What of the privileges can be passed on, with PostgreSQL's complaints about the rest.
    #[allow(clippy::too_many_arguments)]
    fn check_grant(
        &self,
        target: &Target,
        column: Option<&str>,
        (grantor, options): (Oid, Privileges),
        (privileges, all): (Privileges, bool),
        (list, owner): (&Acl, Oid),
        grant: bool,
        catalog: &Catalog,
    ) -> Result<Privileges> {
        if options.is_empty() {
            let (held, grantable) = list.held(&catalog.privileges_of(grantor), owner);
            if held.is_empty() && grantable.is_empty() {
                return Err(match column {
                    Some(column) => {
                        let message = format!(
                            "permission denied for column \"{column}\" of relation \"{}\"",
                            target.name()
                        );
                        Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message)
                    }
                    None => denied(target.word(), target.name()),
                });
            }
        }
        let allowed = privileges & options;
        let of = match column {
            Some(column) => format!("column \"{column}\" of relation \"{}\"", target.name()),
            None => format!("\"{}\"", target.name()),
        };
        let (state, done) = match grant {
            true => (PRIVILEGE_NOT_GRANTED, "were granted"),
            false => (PRIVILEGE_NOT_REVOKED, "could be revoked"),
        };
        if allowed.is_empty() {
            self.core.warning(state, &format!("no privileges {done} for {of}"));
        } else if !all && allowed != privileges {
            self.core.warning(state, &format!("not all privileges {done} for {of}"));
        }
        Ok(allowed)
    }

    /// Writes the object with its new lists; `object` None: only columns' lists change.
    pub(super) fn put_acl(
        &self,
        target: Target,
        object: Option<Acl>,
        columns: Vec<(i16, Option<Acl>)>,
    ) -> Result<()> {
        match target {
            Target::Table(table) => {
                let mut table = Table::clone(&table);
                if object.is_some() {
                    table.acl = object;
                }
                for (number, acl) in columns {
                    if let Some(column) = table.columns.iter_mut().find(|column| column.number == number) {
                        column.acl = acl;
                    }
                }
                self.put_table(table).map(drop)
            }
            Target::Sequence(sequence) => self.put_sequence(Sequence {
                acl: object.or(sequence.acl.clone()),
                ..Sequence::clone(&sequence)
            }),
            Target::Schema(schema) if schema.database == 0 => {
                Err(Error::unsupported(format!("changing the privileges of schema {}", schema.name)))
            }
            Target::Schema(schema) => {
                self.put_schema(Schema { acl: object.or(schema.acl.clone()), ..schema })
            }
            Target::Database(database) => {
                self.put_database(Database { acl: object.or(database.acl.clone()), ..database })
            }
            Target::Routine(routine) => {
                let mut routine = Routine::clone(&routine);
                routine.acl = object.or(routine.acl);
                self.write(Change::put(Object::Routine(Arc::new(routine))))
            }
            Target::Type(found) => {
                self.put_type(UserType { acl: object.or(found.acl.clone()), ..UserType::clone(&found) })
            }
            Target::LargeObject(oid, _, metadata) => {
                let acl = object.or(metadata.acl.clone());
                self.put_large_object(oid, &Metadata { acl, ..metadata })
            }
            Target::System(_) | Target::BuiltIn(..) => {
                let mut grants = self.grants();
                let (class, oid) = (target.class(), target.oid());
                let mut put = |class, column, acl: Option<Acl>| {
                    grants.built_in.retain(|e| (e.class, e.oid, e.column) != (class, oid, column));
                    if let Some(acl) = acl {
                        grants.built_in.push(BuiltInAcl { class, oid, column, acl });
                    }
                };
                if let Some(acl) = object {
                    put(class, 0, Some(acl));
                }
                for (number, acl) in columns {
                    put(ObjectClass::Column, number, acl);
                }
                self.put_grants(grants)
            }
        }
    }

    pub(super) fn grants(&self) -> Grants {
        let oid = self.core.database_oid;
        let catalog = self.catalog();
        catalog.grants().map_or_else(|| Grants { oid, ..Grants::default() }, |grants| Grants::clone(grants))
    }

    pub(super) fn put_grants(&self, grants: Grants) -> Result<()> {
        self.write(Change::put(Object::Grants(Arc::new(grants))))
    }

    // ---- ALTER DEFAULT PRIVILEGES ----

    pub(super) fn default_privileges(&self, statement: &DefaultPrivileges) -> Result<()> {
        let DefaultPrivileges { roles, schemas, grant } = statement;
        let GrantTarget::Defaults(class) = grant.target else {
            return Err(Error::internal("default privileges of one object"));
        };
        self.check_granted_by(grant.grantor.as_ref())?;
        let grantees = self.grantees(&grant.grantees)?;
        let wanted = parse_privileges(
            &grant.privileges,
            class.all(),
            match class {
                ObjectClass::Table => "relation",
                class => class.word(),
            },
        )?;
        if !wanted.columns.is_empty() {
            let message = "default privileges cannot be set for columns";
            return Err(Error::new(INVALID_GRANT_OPERATION, message));
        }
        if class == ObjectClass::Schema && !schemas.is_empty() {
            let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
            return Err(Error::new(INVALID_GRANT_OPERATION, message));
        }
        let catalog = self.catalog();
        let acting = self.core.role.get();
        let roles = match roles.is_empty() {
            true => vec![acting],
            false => roles.iter().map(|role| self.spec_role(role)).collect::<Result<_>>()?,
        };
        for role in roles {
            if !catalog.is_member_of(acting, role) {
                return Err(not_a_member(&catalog, role));
            }
            let mut places = vec![0];
            if !schemas.is_empty() {
                places.clear();
                for name in schemas {
                    places.push(catalog.find_schema(name).ok_or_else(|| names::no_schema(name))?.oid);
                }
            }
            let edit = Edit {
                grant: grant.grant,
                option: grant.option,
                cascade: grant.cascade,
                grantees: &grantees,
            };
            for schema in places {
                self.change_default(role, schema, class, wanted.object.unwrap_or(class.all()), edit)?;
            }
        }
        Ok(())
    }

    fn change_default(
        &self,
        role: Oid,
        schema: Oid,
        class: ObjectClass,
        privileges: Privileges,
        edit: Edit<'_>,
    ) -> Result<()> {
        self.lock(GRANTS_LOCK, RelationLockMode::ShareUpdateExclusive)?;
        let mut grants = self.grants();
        let catalog = self.catalog();
        let of = |entry: &DefaultAcl| (entry.role, entry.schema, entry.class) == (role, schema, class);
        // For one schema the list says what is added to the default, for all what stands in its place.
        let default = if schema == 0 { class.default_acl(role) } else { Acl::default() };
        let found = grants.defaults.iter().position(of);
        let before = found.map_or_else(|| default.clone(), |at| grants.defaults[at].acl.clone());
        let acl = edited(&before, (role, privileges), role, edit, &catalog)?;
        let same = same_items(&acl, &default);
        match (found, same) {
            (Some(at), true) => {
                grants.defaults.remove(at);
            }
            (Some(at), false) => grants.defaults[at].acl = acl,
            (None, true) => return Ok(()),
            (None, false) => {
                let oid = self.new_oid()?;
                grants.defaults.push(DefaultAcl { oid, role, schema, class, acl });
            }
        }
        self.put_grants(grants)
    }

    /// The list of a new object (get_user_default_acl). None: its class's default.
    pub(super) fn new_acl(&self, class: ObjectClass, schema: Oid) -> Result<Option<Acl>> {
        let catalog = self.catalog();
        let Some(grants) = catalog.grants() else { return Ok(None) };
        let role = self.core.role.get();
        let of = |place: Oid| {
            let found = |entry: &&DefaultAcl| (entry.role, entry.schema, entry.class) == (role, place, class);
            grants.defaults.iter().find(found).map(|entry| &entry.acl)
        };
        let (everywhere, here) = (of(0), if schema == 0 { None } else { of(schema) });
        if everywhere.is_none() && here.is_none() {
            return Ok(None);
        }
        let default = class.default_acl(role);
        let mut acl = everywhere.cloned().unwrap_or_else(|| default.clone());
        for item in here.into_iter().flat_map(|acl| &acl.0) {
            acl = acl.changed(*item, AclChange::Grant, role, &catalog)?;
        }
        Ok(Some(acl).filter(|acl| !same_items(acl, &default)))
    }
}

pub(super) fn not_a_member(catalog: &Catalog, role: Oid) -> Error {
    let name = catalog.role(role).map_or("", |role| role.name.as_str());
    Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("must be member of role \"{name}\""))
}

/// Lists with the same items in whatever order.
fn same_items(left: &Acl, right: &Acl) -> bool {
    left.0.len() == right.0.len() && left.0.iter().all(|item| right.0.contains(item))
}

/// A list with privileges granted to, or taken from, all grantees.
fn edited(
    list: &Acl,
    (grantor, privileges): (Oid, Privileges),
    owner: Oid,
    edit: Edit<'_>,
    catalog: &Catalog,
) -> Result<Acl> {
    let change = match edit.grant {
        true => AclChange::Grant,
        false => AclChange::Revoke { cascade: edit.cascade },
    };
    let mut list = list.clone();
    for &grantee in edit.grantees {
        if edit.grant && edit.option && grantee == PUBLIC_ROLE {
            let message = "grant options can only be granted to roles";
            return Err(Error::new(INVALID_GRANT_OPERATION, message));
        }
        // REVOKE GRANT OPTION FOR leaves the privilege; REVOKE takes the option with it.
        let keep = |counts: bool| if counts { privileges } else { Privileges::NONE };
        let item = AclItem {
            grantee,
            grantor,
            privileges: keep(edit.grant || !edit.option),
            grantable: keep(!edit.grant || edit.option),
        };
        if item.privileges.is_empty() && item.grantable.is_empty() {
            continue;
        }
        list = list.changed(item, change, owner, catalog)?;
    }
    Ok(list)
}
