//! Live state: settings, sessions, locks, prepared statements, cursors. It comes through [`Services`].
//!
//! [`Services`]: crate::functions::Services

use super::relations::{Producer, Rows, boolean, oid, optional, text};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::functions::system::lsn_text;
use crate::session::conflict::{describe_key, describe_range, find_tree};
use crate::types::{ArrayValue, Datum, Oid, Type};
use serin_txn::{Conflict, ConflictKind, ConflictObject, Isolation, Mode, PastConflict};
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

/// A row of pg_prepared_xacts.
#[derive(Clone, Debug)]
pub struct PreparedTransaction {
    pub transaction: u64,
    pub gid: String,
    pub prepared_at: i64,
    pub owner: Oid,
    pub database: Oid,
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
        "pg_prepared_xacts" => pg_prepared_xacts,
        "pg_prepared_statements" => pg_prepared_statements,
        "pg_hba_file_rules" => pg_hba_file_rules,
        "pg_cursors" => pg_cursors,
        "serin_conflicts" => serin_conflicts,
        "serin_transactions" => serin_transactions,
        "serin_storage" => serin_storage,
        "pg_stat_archiver" => pg_stat_archiver,
        "pg_stat_wal" => pg_stat_wal,
        _ => return None,
    })
}

fn pg_hba_file_rules(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_hba_file_rules");
    for rule in context.services.hba_rules() {
        let good = rule.error.is_none();
        let shown = |value: Datum| if good { value } else { Datum::Null };
        rows.push([
            ("line_number", if rule.line > 0 { Datum::Int4(rule.line) } else { Datum::Null }),
            ("type", shown(text(&rule.kind))),
            ("database", shown(super::relations::text_array(&rule.databases))),
            ("user_name", shown(super::relations::text_array(&rule.users))),
            ("address", optional(rule.address)),
            ("netmask", optional(rule.mask)),
            ("auth_method", shown(text(&rule.method))),
            ("error", optional(rule.error)),
        ]);
    }
    rows.finish()
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
    let role = context.services.acting_role();
    let sees_all = catalog.has_privileges_of(role, crate::catalog::acl::READ_ALL_STATS);
    for session in context.services.activities()? {
        let database = catalog.databases().find(|database| database.oid == session.database);
        // What others do is for them, and for who watches over all.
        if !sees_all && !catalog.has_privileges_of(role, session.user) {
            rows.push([
                ("datid", oid(session.database)),
                ("datname", optional(database.map(|database| &database.name))),
                ("pid", Datum::Int4(session.pid)),
                ("usesysid", oid(session.user)),
                ("usename", optional(catalog.role(session.user).map(|role| &role.name))),
                ("application_name", text(&session.application_name)),
                ("query", text("<insufficient privilege>")),
            ]);
            continue;
        }
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
            (
                "virtualtransaction",
                match (lock.pid, lock.transaction) {
                    // A prepared transaction's: it belongs to no session.
                    (0, Some(id)) => text(format!("-1/{id}")),
                    (pid, _) => text(format!("{pid}/0")),
                },
            ),
            ("pid", if lock.pid == 0 { Datum::Null } else { Datum::Int4(lock.pid) }),
            ("mode", text(lock.mode)),
            ("granted", boolean(lock.granted)),
            ("fastpath", boolean(false)),
        ]);
    }
    rows.finish()
}

fn pg_prepared_xacts(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_prepared_xacts");
    for prepared in context.services.prepared_transactions()? {
        let database = catalog.databases().find(|database| database.oid == prepared.database);
        rows.push([
            ("transaction", oid(prepared.transaction as u32)),
            ("gid", text(prepared.gid)),
            ("prepared", Datum::Timestamp(prepared.prepared_at)),
            ("owner", optional(catalog.role(prepared.owner).map(|role| &role.name))),
            ("database", optional(database.map(|database| &database.name))),
        ]);
    }
    rows.finish()
}

/// The recent aborts, a row for each step of what happened.
fn serin_conflicts(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("serin_conflicts");
    let id = |id: Option<u64>| id.filter(|id| *id != 0).map_or(Datum::Null, |id| Datum::Int8(id as i64));
    for PastConflict { id: conflict, at, conflict: Conflict { kind, steps } } in
        context.services.recent_conflicts()
    {
        let kind = match kind {
            ConflictKind::Dependencies => "read/write dependencies",
            ConflictKind::ConcurrentUpdate => "concurrent update",
            ConflictKind::Deadlock => "deadlock",
        };
        for (number, step) in (1..).zip(steps) {
            let found = step.tree.and_then(|tree| find_tree(&catalog, tree));
            let relation = match (found, step.relation) {
                (Some((table, _)), _) => Some(table.name.clone()),
                (None, Some(relation)) => catalog.table(relation).map(|table| table.name.clone()),
                (None, None) => None,
            };
            let index = found.and_then(|(table, index)| Some(&table.indexes[index?].name));
            let key = match (found, &step.key) {
                (Some((table, index)), Some(key)) => describe_key(table, index, key, context),
                (Some((table, index)), None) => match &step.object {
                    ConflictObject::Range(range) => Some(describe_range(table, index, range, context)),
                    _ => None,
                },
                _ => None,
            };
            rows.push([
                ("conflict", id(Some(conflict))),
                ("occurred_at", Datum::Timestamp(crate::session::engine::timestamp_of(at))),
                ("kind", text(kind)),
                ("step", Datum::Int4(number)),
                ("pid", Datum::Int4(step.pid)),
                ("transactionid", id(Some(step.transaction))),
                ("action", text(step.action)),
                ("relation", optional(relation)),
                ("index", optional(index)),
                ("key", optional(key)),
                ("other_pid", step.other_pid.map_or(Datum::Null, Datum::Int4)),
                ("other_transactionid", id(step.other)),
                ("statement", optional(step.statement)),
            ]);
        }
    }
    rows.finish()
}

fn count(number: u64) -> Datum {
    Datum::Int8(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The log, folds, memory and the data file: one row.
fn serin_storage(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("serin_storage");
    let Some(store) = context.services.store() else { return rows.finish() };
    let stats = store.stats();
    let behind = stats.oldest_snapshot.map(|oldest| count(store.watermark().0.saturating_sub(oldest.0)));
    let archived = stats.archive.map(|archive| lsn_text(archive.position));
    rows.push([
        ("wal_lsn", text(lsn_text(stats.wal_end))),
        ("wal_bytes", count(stats.wal_bytes)),
        ("wal_flushes", count(stats.wal_flushes)),
        ("commits", count(stats.commits)),
        ("wal_replay_bytes", count(stats.wal_replay_bytes)),
        ("archived_lsn", optional(archived)),
        ("folds", count(stats.folds)),
        ("fold_progress", stats.fold_progress.map_or(Datum::Null, Datum::Float8)),
        ("last_fold_ms", stats.last_fold_ms.map_or(Datum::Null, count)),
        ("delta_bytes", count(stats.delta_bytes)),
        ("delta_bytes_max", count(stats.delta_bytes_max)),
        ("delta_keys", count(stats.delta_keys)),
        ("page_cache_bytes", count(stats.page_cache_bytes)),
        ("page_cache_hits", count(stats.page_cache_hits)),
        ("page_cache_misses", count(stats.page_cache_misses)),
        ("pages_written", count(stats.pages_written)),
        ("data_file_bytes", count(stats.data_file_bytes)),
        ("free_bytes", count(stats.free_pages * 8192)),
        ("snapshots", count(stats.snapshots)),
        ("oldest_snapshot_commits", behind.unwrap_or(Datum::Null)),
        ("writer_delays", count(stats.writer_delays)),
        ("spills", count(stats.spills)),
    ]);
    rows.finish()
}

fn pg_stat_archiver(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_stat_archiver");
    let stats = context.services.store().and_then(|store| store.stats().archive).unwrap_or_default();
    let time = |at: Option<std::time::SystemTime>| {
        at.map_or(Datum::Null, |at| Datum::Timestamp(crate::session::engine::timestamp_of(at)))
    };
    rows.push([
        ("archived_count", count(stats.archived_count)),
        ("last_archived_wal", optional(stats.last_archived)),
        ("last_archived_time", time(stats.last_archived_time)),
        ("failed_count", count(stats.failed_count)),
        ("last_failed_wal", optional(stats.last_failed)),
        ("last_failed_time", time(stats.last_failed_time)),
        ("stats_reset", Datum::Null),
    ]);
    rows.finish()
}

/// What is not measured is null.
fn pg_stat_wal(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("pg_stat_wal");
    let Some(stats) = context.services.store().map(|store| store.stats()) else { return rows.finish() };
    rows.push([
        ("wal_records", count(stats.commits)),
        ("wal_fpi", count(0)),
        ("wal_bytes", Datum::Numeric(crate::types::Numeric::from_i128(i128::from(stats.wal_bytes)))),
        ("wal_buffers_full", Datum::Null),
        ("wal_write", count(stats.wal_flushes)),
        ("wal_sync", count(stats.wal_flushes)),
        ("wal_write_time", Datum::Null),
        ("wal_sync_time", Datum::Null),
        ("stats_reset", Datum::Null),
    ]);
    rows.finish()
}

/// The transactions that have begun a statement and not ended: how they run, and whom they depend on.
fn serin_transactions(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::catalog("serin_transactions");
    let dependencies = context.services.dependencies();
    let locks = context.services.locks()?;
    let pids =
        |pids: Vec<i32>| super::relations::array(Type::INT4, pids.into_iter().map(Datum::Int4).collect());
    for session in context.services.activities()? {
        let Some(running) = session.running else { continue };
        let pid = session.pid;
        let id = locks.iter().filter(|lock| lock.pid == pid).find_map(|lock| lock.transaction);
        let readers = dependencies.iter().filter(|(_, writer)| *writer == pid).map(|(reader, _)| *reader);
        let writers = dependencies.iter().filter(|(reader, _)| *reader == pid).map(|(_, writer)| *writer);
        rows.push([
            ("pid", Datum::Int4(pid)),
            ("transactionid", id.map_or(Datum::Null, |id| Datum::Int8(id as i64))),
            (
                "concurrency_mode",
                text(match running.mode {
                    Mode::Ssi => "ssi",
                    Mode::TwoPhase => "2pl",
                    Mode::Serial => "serial",
                }),
            ),
            (
                "isolation",
                text(match running.isolation {
                    Isolation::ReadCommitted => "read committed",
                    Isolation::RepeatableRead => "repeatable read",
                    Isolation::Serializable => "serializable",
                }),
            ),
            ("read_only", boolean(running.read_only)),
            ("xact_start", session.transaction_start.map_or(Datum::Null, Datum::Timestamp)),
            ("state", text(session.state)),
            ("readers", pids(readers.collect())),
            ("writers", pids(writers.collect())),
            ("blocked_by", pids(context.services.blocking_pids(pid))),
            ("query", text(&*session.query)),
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
