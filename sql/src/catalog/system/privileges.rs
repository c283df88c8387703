//! What is granted to whom: memberships and default privileges in pg_catalog, information_schema's views.
//!
//! The views come in pairs: `…_privileges` shows what is granted by, or to, a role that is enabled for the user, or to PUBLIC;
//! `role_…_grants` the same without what is granted to PUBLIC. A role is enabled if the user could become it.

use super::objects::{CLASS_NAMESPACE, CLASS_PROC, CLASS_RELATION, list};
use super::relations::{Producer, Rows, boolean, letter, oid, text, yes_no};
use super::views::{role_name, schema_name};
use crate::catalog::acl::{DATABASE_OWNER, PUBLIC_ROLE, initial_acl, restricted_functions};
use crate::catalog::{
    Acl, AclItem, Catalog, INFORMATION_SCHEMA, Membership, ObjectClass, PG_CATALOG, Privileges,
    ROLE_POSTGRES, Table,
};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::{Datum, Oid};

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "table_privileges" => |context| tables(context, "table_privileges"),
        "role_table_grants" => |context| tables(context, "role_table_grants"),
        "column_privileges" => |context| columns(context, "column_privileges"),
        "role_column_grants" => |context| columns(context, "role_column_grants"),
        "routine_privileges" => |context| routines(context, "routine_privileges"),
        "role_routine_grants" => |context| routines(context, "role_routine_grants"),
        "usage_privileges" => |context| usages(context, "usage_privileges"),
        "role_usage_grants" => |context| usages(context, "role_usage_grants"),
        "applicable_roles" => |context| roles(context, "applicable_roles"),
        "administrable_role_authorizations" => |context| roles(context, "administrable_role_authorizations"),
        "enabled_roles" => enabled_roles,
        _ => return None,
    })
}

/// What built-in objects' lists are in a new database: pg_dump writes only how they differ from it.
pub fn pg_init_privs(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_init_privs");
    let mut push = |object: Oid, class: Oid, acl: &Acl| {
        rows.push([
            ("objoid", oid(object)),
            ("classoid", oid(class)),
            ("objsubid", Datum::Int4(0)),
            ("privtype", letter('i')),
            ("initprivs", super::objects::list(Some(acl), &catalog)),
        ]);
    };
    for (relation, _) in super::all() {
        push(relation.oid, CLASS_RELATION, initial_acl(ObjectClass::Table, relation.oid));
    }
    for function in restricted_functions() {
        push(function, CLASS_PROC, initial_acl(ObjectClass::Function, function));
    }
    let schema = Acl::of_schema(ROLE_POSTGRES);
    for built_in in [PG_CATALOG, INFORMATION_SCHEMA] {
        push(built_in, CLASS_NAMESPACE, &schema);
    }
    rows.finish()
}

pub fn pg_auth_members(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_auth_members");
    for member in context.services.catalog().roles() {
        for membership in &member.member_of {
            rows.push([
                ("roleid", oid(membership.role)),
                ("member", oid(member.oid)),
                ("grantor", oid(membership.grantor)),
                ("admin_option", boolean(membership.admin)),
            ]);
        }
    }
    rows.finish()
}

pub fn pg_default_acl(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_default_acl");
    for entry in catalog.grants().iter().flat_map(|grants| &grants.defaults) {
        let class = match entry.class {
            ObjectClass::Sequence => 'S',
            ObjectClass::Function => 'f',
            ObjectClass::Type => 'T',
            ObjectClass::Schema => 'n',
            _ => 'r',
        };
        rows.push([
            ("oid", oid(entry.oid)),
            ("defaclrole", oid(entry.role)),
            ("defaclnamespace", oid(entry.schema)),
            ("defaclobjtype", letter(class)),
            ("defaclacl", list(Some(&entry.acl), &catalog)),
        ]);
    }
    rows.finish()
}

fn rows(name: &str) -> Rows {
    Rows::new(INFORMATION_SCHEMA, name)
}

fn database(context: &EvalContext<'_>) -> Datum {
    Datum::Text(context.services.database())
}

/// Who sees what: the roles that the user could become.
struct Viewer {
    superuser: bool,
    roles: Vec<Oid>,
    /// Without what is granted to PUBLIC.
    roles_only: bool,
}

impl Viewer {
    fn new(view: &str, context: &EvalContext<'_>, catalog: &Catalog) -> Viewer {
        let role = context.services.acting_role();
        Viewer {
            superuser: catalog.is_superuser(role),
            roles: catalog.memberships_of(role),
            roles_only: view.starts_with("role_"),
        }
    }
    fn is_enabled(&self, role: Oid) -> bool {
        self.superuser || self.roles.contains(&role)
    }
    fn sees(&self, item: &AclItem) -> bool {
        match item.grantee {
            PUBLIC_ROLE if self.roles_only => self.is_enabled(item.grantor),
            PUBLIC_ROLE => true,
            grantee => self.is_enabled(grantee) || self.is_enabled(item.grantor),
        }
    }
}

fn grantee(catalog: &Catalog, role: Oid) -> Datum {
    if role == PUBLIC_ROLE { text("PUBLIC") } else { role_name(catalog, role) }
}

/// Each privilege of a list that is seen, with its item. An owner may always pass on what it has.
fn seen<'a>(
    acl: &'a Acl,
    owner: Oid,
    viewer: &'a Viewer,
    catalog: &'a Catalog,
) -> impl Iterator<Item = (AclItem, Privileges, &'static str, bool)> + 'a {
    acl.0.iter().filter(|item| viewer.sees(item)).flat_map(move |item| {
        let owns = item.grantee == owner
            || item.grantee != PUBLIC_ROLE && catalog.has_privileges_of(item.grantee, owner);
        item.privileges
            .each()
            .map(move |(bit, _, name)| (*item, bit, name, owns || item.grantable.intersects(bit)))
    })
}

fn effective(acl: Option<&Acl>, class: ObjectClass, owner: Oid) -> Acl {
    acl.cloned().unwrap_or_else(|| class.default_acl(owner))
}

fn tables(context: &EvalContext<'_>, view: &str) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let viewer = Viewer::new(view, context, &catalog);
    let mut rows = rows(view);
    for table in catalog.tables() {
        let acl = effective(table.acl.as_ref(), ObjectClass::Table, table.owner);
        for (item, bit, name, grantable) in seen(&acl, table.owner, &viewer, &catalog) {
            rows.push([
                ("grantor", role_name(&catalog, item.grantor)),
                ("grantee", grantee(&catalog, item.grantee)),
                ("table_catalog", database(context)),
                ("table_schema", schema_name(&catalog, table.schema)),
                ("table_name", text(&table.name)),
                ("privilege_type", text(name)),
                ("is_grantable", yes_no(grantable)),
                ("with_hierarchy", yes_no(bit == Privileges::SELECT)),
            ]);
        }
    }
    rows.finish()
}

/// What is granted on a column, by itself or with its table.
fn columns(context: &EvalContext<'_>, view: &str) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let viewer = Viewer::new(view, context, &catalog);
    let mut rows = rows(view);
    let of_columns = ObjectClass::Column.all();
    for table in catalog.tables() {
        let whole = effective(table.acl.as_ref(), ObjectClass::Table, table.owner);
        for column in table.columns.iter().filter(|column| !column.dropped) {
            let mut found: Vec<(AclItem, &'static str, bool)> = Vec::new();
            let lists = [Some(&whole), column.acl.as_ref()];
            for acl in lists.into_iter().flatten() {
                for (item, bit, name, grantable) in seen(acl, table.owner, &viewer, &catalog) {
                    let same = |other: &(AclItem, &'static str, bool)| {
                        (other.0.grantee, other.0.grantor, other.1) == (item.grantee, item.grantor, name)
                    };
                    if !of_columns.contains(bit) {
                        continue;
                    }
                    match found.iter_mut().find(|other| same(other)) {
                        Some(other) => other.2 |= grantable,
                        None => found.push((item, name, grantable)),
                    }
                }
            }
            for (item, name, grantable) in found {
                rows.push([
                    ("grantor", role_name(&catalog, item.grantor)),
                    ("grantee", grantee(&catalog, item.grantee)),
                    ("table_catalog", database(context)),
                    ("table_schema", schema_name(&catalog, table.schema)),
                    ("table_name", text(&table.name)),
                    ("column_name", text(&column.name)),
                    ("privilege_type", text(name)),
                    ("is_grantable", yes_no(grantable)),
                ]);
            }
        }
    }
    rows.finish()
}

fn routines(context: &EvalContext<'_>, view: &str) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let viewer = Viewer::new(view, context, &catalog);
    let mut rows = rows(view);
    for routine in catalog.routines() {
        let acl = effective(routine.acl.as_ref(), ObjectClass::Function, routine.owner);
        for (item, _, name, grantable) in seen(&acl, routine.owner, &viewer, &catalog) {
            rows.push([
                ("grantor", role_name(&catalog, item.grantor)),
                ("grantee", grantee(&catalog, item.grantee)),
                ("specific_catalog", database(context)),
                ("specific_schema", schema_name(&catalog, routine.schema)),
                ("specific_name", text(format!("{}_{}", routine.name, routine.oid))),
                ("routine_catalog", database(context)),
                ("routine_schema", schema_name(&catalog, routine.schema)),
                ("routine_name", text(&routine.name)),
                ("privilege_type", text(name)),
                ("is_grantable", yes_no(grantable)),
            ]);
        }
    }
    rows.finish()
}

fn usages(context: &EvalContext<'_>, view: &str) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let viewer = Viewer::new(view, context, &catalog);
    let mut rows = rows(view);
    for sequence in catalog.sequences() {
        let acl = effective(sequence.acl.as_ref(), ObjectClass::Sequence, sequence.owner);
        for (item, bit, name, grantable) in seen(&acl, sequence.owner, &viewer, &catalog) {
            if bit != Privileges::USAGE {
                continue;
            }
            rows.push([
                ("grantor", role_name(&catalog, item.grantor)),
                ("grantee", grantee(&catalog, item.grantee)),
                ("object_catalog", database(context)),
                ("object_schema", schema_name(&catalog, sequence.schema)),
                ("object_name", text(&sequence.name)),
                ("object_type", text("SEQUENCE")),
                ("privilege_type", text(name)),
                ("is_grantable", yes_no(grantable)),
            ]);
        }
    }
    rows.finish()
}

/// Memberships of the user's roles; administrable ones come with the admin option.
fn roles(context: &EvalContext<'_>, view: &str) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let viewer = Viewer::new(view, context, &catalog);
    let mut rows = rows(view);
    let owner = catalog.database().owner;
    for member in catalog.roles().filter(|member| viewer.roles.contains(&member.oid)) {
        let implicit =
            Membership { role: DATABASE_OWNER, grantor: crate::catalog::ROLE_POSTGRES, admin: false };
        let implicit = (member.oid == owner).then_some(implicit);
        for membership in member.member_of.iter().chain(&implicit) {
            if view != "applicable_roles" && !membership.admin {
                continue;
            }
            rows.push([
                ("grantee", text(&member.name)),
                ("role_name", role_name(&catalog, membership.role)),
                ("is_grantable", yes_no(membership.admin)),
            ]);
        }
    }
    rows.finish()
}

fn enabled_roles(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let viewer = Viewer::new("enabled_roles", context, &catalog);
    let mut rows = rows("enabled_roles");
    for role in catalog.roles().filter(|role| viewer.is_enabled(role.oid)) {
        rows.push([("role_name", text(&role.name))]);
    }
    rows.finish()
}

/// Whether information_schema shows a table to the user: it owns it, or has some privilege on it.
pub fn is_shown(table: &Table, context: &EvalContext<'_>, catalog: &Catalog) -> bool {
    let role = context.services.acting_role();
    if catalog.has_privileges_of(role, table.owner) {
        return true;
    }
    let held = catalog.held(role, ObjectClass::Table, table.acl.as_ref(), table.owner).0;
    let any_column = table.columns.iter().filter(|column| !column.dropped).any(|column| {
        let acl = column.acl.as_ref();
        acl.is_some() && !catalog.held(role, ObjectClass::Column, acl, table.owner).0.is_empty()
    });
    !(held & ObjectClass::Table.all()).is_empty() || any_column
}
