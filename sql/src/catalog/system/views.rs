//! The system views of pg_catalog that are joins of its tables in PostgreSQL.

use super::deparse;
use super::objects::settings_array;
use super::relations::{Producer, Rows, array, boolean, oid, optional, text};
use crate::catalog::{Catalog, Role, Sequence};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::{Datum, Oid, Type};
use std::sync::Arc;

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "pg_tables" => pg_tables,
        "pg_matviews" => pg_matviews,
        "pg_views" => pg_views,
        "pg_indexes" => pg_indexes,
        "pg_sequences" => pg_sequences,
        "pg_roles" => pg_roles,
        "pg_user" => |context| users(context, "pg_user", true),
        "pg_shadow" => |context| users(context, "pg_shadow", false),
        "pg_group" => pg_group,
        name => return super::extensions::producer(name),
    })
}

pub fn schema_name(catalog: &Catalog, schema: Oid) -> Datum {
    match schema {
        crate::catalog::PG_CATALOG => text("pg_catalog"),
        crate::catalog::INFORMATION_SCHEMA => text("information_schema"),
        _ => optional(catalog.schema(schema).map(|schema| &schema.name)),
    }
}

pub fn role_name(catalog: &Catalog, role: Oid) -> Datum {
    optional(catalog.role(role).map(|role| &role.name))
}

fn pg_tables(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_tables");
    for (relation, _) in super::all().filter(|(_, kind)| *kind == 'r') {
        rows.push([
            ("schemaname", schema_name(&catalog, relation.schema)),
            ("tablename", text(relation.name)),
            ("tableowner", role_name(&catalog, crate::catalog::ROLE_POSTGRES)),
            ("hasindexes", boolean(false)),
            ("hasrules", boolean(false)),
            ("hastriggers", boolean(false)),
            ("rowsecurity", boolean(false)),
        ]);
    }
    for table in catalog.tables().filter(|table| table.view.is_none()) {
        rows.push([
            ("schemaname", schema_name(&catalog, table.schema)),
            ("tablename", text(&table.name)),
            ("tableowner", role_name(&catalog, table.owner)),
            ("hasindexes", boolean(!table.indexes.is_empty())),
            ("hasrules", boolean(false)),
            ("hastriggers", boolean(false)),
            ("rowsecurity", boolean(table.row_security)),
        ]);
    }
    rows.finish()
}

fn pg_views(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_views");
    for (relation, _) in super::all().filter(|(_, kind)| *kind == 'v') {
        rows.push([
            ("schemaname", schema_name(&catalog, relation.schema)),
            ("viewname", text(relation.name)),
            ("viewowner", role_name(&catalog, crate::catalog::ROLE_POSTGRES)),
        ]);
    }
    for table in catalog.tables().filter(|table| table.is_view()) {
        rows.push([
            ("schemaname", schema_name(&catalog, table.schema)),
            ("viewname", text(&table.name)),
            ("viewowner", role_name(&catalog, table.owner)),
            ("definition", optional(deparse::view_definition(&catalog, table, context))),
        ]);
    }
    rows.finish()
}

fn pg_matviews(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_matviews");
    for table in catalog.tables() {
        let Some(populated) = table.populated else { continue };
        rows.push([
            ("schemaname", schema_name(&catalog, table.schema)),
            ("matviewname", text(&table.name)),
            ("matviewowner", role_name(&catalog, table.owner)),
            ("hasindexes", boolean(!table.indexes.is_empty())),
            ("ispopulated", boolean(populated)),
            ("definition", optional(deparse::view_definition(&catalog, table, context))),
        ]);
    }
    rows.finish()
}

fn pg_indexes(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_indexes");
    for table in catalog.tables() {
        for index in &table.indexes {
            rows.push([
                ("schemaname", schema_name(&catalog, table.schema)),
                ("tablename", text(&table.name)),
                ("indexname", text(&index.name)),
                ("indexdef", text(deparse::index_definition(&catalog, table, index, (true, false), context))),
            ]);
        }
    }
    rows.finish()
}

/// `super::sequence_positions`.
pub fn sequence_positions(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let row = |sequence: &Arc<Sequence>| {
        let position = context.services.sequence_position(sequence.oid)?;
        let called = Datum::Bool(position.is_called);
        // PostgreSQL logs 32 values ahead and counts them down here; Serin reserves in its own way.
        Ok(vec![oid(sequence.oid), Datum::Int8(position.value), Datum::Int8(0), called])
    };
    context.services.catalog().sequences().map(row).collect()
}

fn pg_sequences(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_sequences");
    for sequence in catalog.sequences() {
        let position = context.services.sequence_position(sequence.oid)?;
        let last = position.is_called.then_some(position.value);
        rows.push([
            ("schemaname", schema_name(&catalog, sequence.schema)),
            ("sequencename", text(&sequence.name)),
            ("sequenceowner", role_name(&catalog, sequence.owner)),
            ("data_type", oid(sequence.data_type)),
            ("start_value", Datum::Int8(sequence.start)),
            ("min_value", Datum::Int8(sequence.min)),
            ("max_value", Datum::Int8(sequence.max)),
            ("increment_by", Datum::Int8(sequence.increment)),
            ("cycle", boolean(sequence.cycle)),
            ("cache_size", Datum::Int8(sequence.cache)),
            ("last_value", last.map_or(Datum::Null, Datum::Int8)),
        ]);
    }
    rows.finish()
}

fn pg_roles(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_roles");
    for role in context.services.catalog().roles() {
        rows.push([
            ("rolname", text(&role.name)),
            ("rolsuper", boolean(role.superuser)),
            ("rolinherit", boolean(role.inherit)),
            ("rolcreaterole", boolean(role.create_role)),
            ("rolcreatedb", boolean(role.create_database)),
            ("rolcanlogin", boolean(role.login)),
            ("rolreplication", boolean(role.replication)),
            ("rolconnlimit", Datum::Int4(role.connection_limit)),
            ("rolpassword", text("********")),
            ("rolvaliduntil", valid_until(role, context)?),
            ("rolbypassrls", boolean(role.bypass_rls)),
            ("rolconfig", settings_array(&role.settings)),
            ("oid", oid(role.oid)),
        ]);
    }
    rows.finish()
}

fn valid_until(role: &Role, context: &EvalContext<'_>) -> Result<Datum> {
    match &role.valid_until {
        Some(until) => crate::types::parse_datum(until, Type::TIMESTAMPTZ, -1, context.render),
        None => Ok(Datum::Null),
    }
}

/// pg_user and pg_shadow: the roles that can log in.
fn users(context: &EvalContext<'_>, view: &str, hide_password: bool) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog(view);
    let visible = super::objects::sees_passwords(context);
    for role in context.services.catalog().roles().filter(|role| role.login) {
        rows.push([
            ("usename", text(&role.name)),
            ("usesysid", oid(role.oid)),
            ("usecreatedb", boolean(role.create_database)),
            ("usesuper", boolean(role.superuser)),
            ("userepl", boolean(role.replication)),
            ("usebypassrls", boolean(role.bypass_rls)),
            (
                "passwd",
                if hide_password {
                    text("********")
                } else {
                    optional(role.password.as_deref().filter(|_| visible))
                },
            ),
            ("useconfig", settings_array(&role.settings)),
        ]);
    }
    rows.finish()
}

fn members(catalog: &Catalog, role: Oid) -> Vec<Datum> {
    let of = |member: &&Role| member.member_of.iter().any(|membership| membership.role == role);
    catalog.roles().filter(of).map(|member| oid(member.oid)).collect()
}

fn pg_group(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_group");
    let catalog = context.services.catalog();
    for role in catalog.roles().filter(|role| !role.login) {
        rows.push([
            ("groname", text(&role.name)),
            ("grosysid", oid(role.oid)),
            ("grolist", array(Type::OID, members(&catalog, role.oid))),
        ]);
    }
    rows.finish()
}
