//! Live state: settings, sessions, locks, prepared statements, cursors. It comes through [`Services`].
//!
//! [`Services`]: crate::functions::Services

use super::relations::{Producer, Rows, boolean, oid, optional, text};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::{ArrayValue, Datum, Type};
use std::sync::Arc;

/// A row of pg_prepared_statements.
#[derive(Clone, Debug)]
pub struct PreparedStatement {
    pub name: String,
    pub statement: Arc<str>,
    pub prepared_at: i64,
    pub parameter_types: Vec<Type>,
    pub from_sql: bool,
}

/// A row of pg_cursors.
#[derive(Clone, Debug)]
pub struct Cursor {
    pub name: String,
    pub statement: Arc<str>,
    pub holdable: bool,
    pub binary: bool,
    pub scrollable: bool,
    pub created_at: i64,
}

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "pg_settings" => pg_settings,
        "pg_stat_activity" => pg_stat_activity,
        "pg_locks" => pg_locks,
        "pg_prepared_statements" => pg_prepared_statements,
        "pg_cursors" => pg_cursors,
        _ => return None,
    })
}

fn pg_settings(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_settings");
    for setting in context.services.setting_rows()? {
        let values = setting.values.map(super::relations::text_array);
        rows.push([
            ("name", text(setting.name)),
            ("setting", text(setting.setting)),
            ("unit", optional(setting.unit)),
            ("category", text(setting.category)),
            ("short_desc", text(setting.description)),
            ("context", text(setting.context)),
            ("vartype", text(setting.type_name)),
            ("source", text(setting.source)),
            ("min_val", optional(setting.min)),
            ("max_val", optional(setting.max)),
            ("enumvals", values.unwrap_or(Datum::Null)),
            ("boot_val", text(setting.boot_value)),
            ("reset_val", text(setting.reset_value)),
            ("pending_restart", boolean(false)),
        ]);
    }
    rows.finish()
}

fn pg_stat_activity(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_stat_activity");
    let time = |value: Option<i64>| value.map_or(Datum::Null, Datum::Timestamp);
    let waiting: Vec<(i32, &'static str)> = {
        let locks = context.services.locks()?;
        locks.iter().filter(|lock| !lock.granted).map(|lock| (lock.pid, lock.kind)).collect()
    };
    for session in context.services.activities()? {
        let database = catalog.databases().find(|database| database.oid == session.database);
        let event = waiting.iter().find(|(pid, _)| *pid == session.pid).map(|(_, kind)| *kind);
        let class = event.map(|_| "Lock");
        rows.push([
            ("datid", oid(session.database)),
            ("datname", optional(database.map(|database| &database.name))),
            ("pid", Datum::Int4(session.pid)),
            ("usesysid", oid(session.user)),
            ("usename", optional(catalog.role(session.user).map(|role| &role.name))),
            ("application_name", text(&session.application_name)),
            ("client_addr", optional(session.client_address.map(|address| address.ip().to_string()))),
            (
                "client_port",
                session.client_address.map_or(Datum::Null, |address| Datum::Int4(i32::from(address.port()))),
            ),
            ("backend_start", time(Some(session.backend_start))),
            ("xact_start", time(session.transaction_start)),
            ("query_start", time(session.query_start)),
            ("state_change", time(Some(session.state_change))),
            ("wait_event_type", optional(class)),
            ("wait_event", optional(event)),
            ("state", text(session.state)),
            ("query", text(&*session.query)),
            ("backend_type", text("client backend")),
        ]);
    }
    rows.finish()
}

/// Serin's own kinds ("keyrange", "serialtoken") stand beside PostgreSQL's.
fn pg_locks(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let database = context.services.catalog().database().oid;
    let mut rows = Rows::catalog("pg_locks");
    for lock in context.services.locks()? {
        let (class, object, sub) = match lock.advisory {
            Some((class, object, sub)) => (oid(class), oid(object), Datum::Int2(sub as i16)),
            None => (Datum::Null, Datum::Null, Datum::Null),
        };
        let of_database = lock.relation.is_some() || lock.advisory.is_some() || lock.tree.is_some();
        rows.push([
            ("locktype", text(lock.kind)),
            ("database", if of_database { oid(database) } else { Datum::Null }),
            ("relation", lock.relation.map_or(Datum::Null, oid)),
            ("transactionid", lock.transaction.map_or(Datum::Null, |id| oid(id as u32))),
            ("classid", class),
            ("objid", object),
            ("objsubid", sub),
            ("virtualtransaction", text(format!("{}/0", lock.pid))),
            ("pid", Datum::Int4(lock.pid)),
            ("mode", text(lock.mode)),
            ("granted", boolean(lock.granted)),
            ("fastpath", boolean(false)),
        ]);
    }
    rows.finish()
}

fn pg_prepared_statements(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_prepared_statements");
    for statement in context.services.prepared_statements()? {
        let elements: Vec<Datum> = statement.parameter_types.iter().map(|of| oid(of.0)).collect();
        let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
        let types = ArrayValue { element: Type::REGTYPE, dimensions, elements };
        rows.push([
            ("name", text(statement.name)),
            ("statement", text(&*statement.statement)),
            ("prepare_time", Datum::Timestamp(statement.prepared_at)),
            ("parameter_types", Datum::array(types)),
            ("from_sql", boolean(statement.from_sql)),
        ]);
    }
    rows.finish()
}

fn pg_cursors(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_cursors");
    for cursor in context.services.cursors()? {
        rows.push([
            ("name", text(cursor.name)),
            ("statement", text(&*cursor.statement)),
            ("is_holdable", boolean(cursor.holdable)),
            ("is_binary", boolean(cursor.binary)),
            ("is_scrollable", boolean(cursor.scrollable)),
            ("creation_time", Datum::Timestamp(cursor.created_at)),
        ]);
    }
    rows.finish()
}
