//! Functions about the session, the server and the catalog's sequences and sizes; advisory locks.

use super::arguments::{OidValue, Timestamp, scalar};
use super::{EvalContext, Registry};
use crate::error::{Error, Result, SqlState};
use crate::types::{ArrayValue, Datum, Numeric, Type};

/// What drivers parse; the release of Serin is in brackets.
pub const SERVER_VERSION: &str = concat!("15.18 (Serin ", env!("CARGO_PKG_VERSION"), ")");

fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} on {}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The first schema of the search path that exists.
fn current_schema(context: &EvalContext<'_>) -> Option<String> {
    let catalog = context.services.catalog();
    let path = context.services.search_path();
    path.iter().find(|name| catalog.find_schema(name).is_some()).cloned()
}

fn current_schemas(implicit: bool, context: &EvalContext<'_>) -> ArrayValue {
    let catalog = context.services.catalog();
    let path = context.services.search_path();
    let mut names: Vec<Datum> = Vec::new();
    if implicit && !path.iter().any(|name| name == "pg_catalog") {
        names.push(Datum::text("pg_catalog"));
    }
    names.extend(
        path.iter().filter(|name| catalog.find_schema(name).is_some()).map(|name| Datum::text(name.as_str())),
    );
    let dimensions = if names.is_empty() { Vec::new() } else { vec![(names.len() as i32, 1)] };
    ArrayValue { element: Type::NAME, dimensions, elements: names }
}

fn current_setting(name: &str, missing_ok: bool, context: &EvalContext<'_>) -> Result<Option<String>> {
    match context.services.setting(name) {
        None if !missing_ok => {
            let message = format!("unrecognized configuration parameter \"{name}\"");
            Err(Error::new(SqlState::UNDEFINED_OBJECT, message))
        }
        value => Ok(value),
    }
}

/// An advisory lock's key: a bigint's halves, or two integers, and which of the two it was.
#[derive(Clone, Copy)]
struct AdvisoryKey((u32, u32, u16));

fn wide(key: i64) -> AdvisoryKey {
    AdvisoryKey(((key as u64 >> 32) as u32, key as u32, 1))
}

fn pair(a: i32, b: i32) -> AdvisoryKey {
    AdvisoryKey((a as u32, b as u32, 2))
}

macro_rules! advisory {
    ($registry:expr, $name:literal, $shared:literal, $transaction:literal) => {
        scalar!($registry, concat!("pg_", $name, "_int8"), |context; key: i64| {
            context.services.advisory_lock(wide(key).0, $shared, $transaction, true).map(|_| ())
        });
        scalar!($registry, concat!("pg_", $name, "_int4"), |context; a: i32, b: i32| {
            context.services.advisory_lock(pair(a, b).0, $shared, $transaction, true).map(|_| ())
        });
        scalar!($registry, concat!("pg_try_", $name, "_int8"), |context; key: i64| {
            context.services.advisory_lock(wide(key).0, $shared, $transaction, false)
        });
        scalar!($registry, concat!("pg_try_", $name, "_int4"), |context; a: i32, b: i32| {
            context.services.advisory_lock(pair(a, b).0, $shared, $transaction, false)
        });
    };
}

fn unlock(key: AdvisoryKey, shared: bool, context: &EvalContext<'_>) -> Result<bool> {
    let held = context.services.advisory_unlock(Some(key.0), shared)?;
    if !held {
        let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
        let mut warning = Error::new(SqlState::WARNING, format!("you don't own a lock of type {mode}"));
        warning = warning.severity(crate::error::Severity::Warning);
        context.services.notice(warning);
    }
    Ok(held)
}

/// pg_size_pretty: half-rounded steps of 1024, each unit up to 10240 (of the one below).
fn size_pretty(size: i64) -> String {
    let units = [
        ("bytes", 10 * 1024, false),
        ("kB", 20 * 1024 - 1, true),
        ("MB", 20 * 1024 - 1, true),
        ("GB", 20 * 1024 - 1, true),
        ("TB", 20 * 1024 - 1, true),
        ("PB", 20 * 1024 - 1, true),
    ];
    let mut size = size;
    for (index, (name, limit, round)) in units.iter().enumerate() {
        let magnitude = size.unsigned_abs();
        if magnitude < *limit || index + 1 == units.len() {
            let shown = match round {
                true if size >= 0 => (size + 1) / 2,
                true => (size - 1) / 2,
                false => size,
            };
            return format!("{shown} {name}");
        }
        // One bit more than the unit is kept, to round by.
        let bits = if index + 1 == units.len() {
            0
        } else if *round {
            10
        } else {
            9
        };
        size /= 1 << bits;
    }
    size.to_string()
}

fn pg_sleep(seconds: f64, context: &EvalContext<'_>) -> Result<()> {
    context.services.sleep(seconds.max(0.0))
}

fn int4_array(values: Vec<i32>) -> ArrayValue {
    let dimensions = if values.is_empty() { Vec::new() } else { vec![(values.len() as i32, 1)] };
    ArrayValue { element: Type::INT4, dimensions, elements: values.into_iter().map(Datum::Int4).collect() }
}

/// The end of the log.
fn wal_lsn(context: &EvalContext<'_>) -> Option<Datum> {
    Some(super::lsn::to_datum(context.services.store()?.wal_end().0))
}

pub fn lsn_text(lsn: serin_storage::Lsn) -> String {
    format!("{:X}/{:X}", lsn.0 >> 32, lsn.0 & 0xffff_ffff)
}

/// Archives what is durable, now: what a new segment brings about in PostgreSQL.
fn switch_wal(context: &EvalContext<'_>) -> Result<Option<Datum>> {
    let user = context.services.current_user();
    if !context.services.catalog().find_role(&user).is_some_and(|role| role.superuser) {
        let message = "permission denied for function pg_switch_wal";
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    let Some(store) = context.services.store() else { return Ok(None) };
    store.archive_now()?;
    Ok(Some(super::lsn::to_datum(store.wal_end().0)))
}

fn relation_size(relation: OidValue, context: &EvalContext<'_>) -> Result<Option<i64>> {
    context.services.relation_size(relation.0)
}

pub fn register(r: &mut Registry) {
    scalar!(r, "pgsql_version", || version());
    scalar!(r, "current_database", |context;| context.services.database());
    scalar!(r, "current_user", |context;| context.services.current_user());
    scalar!(r, "session_user", |context;| context.services.session_user());
    scalar!(r, "current_schema", |context;| current_schema(context));
    scalar!(r, "current_schemas", |context; implicit: bool| current_schemas(implicit, context));
    scalar!(r, "pg_backend_pid", |context;| context.services.backend_pid());
    scalar!(r, "pg_is_in_recovery", || false);
    scalar!(r, "pg_current_wal_lsn", |context;| wal_lsn(context));
    scalar!(r, "pg_current_wal_insert_lsn", |context;| wal_lsn(context));
    scalar!(r, "pg_current_wal_flush_lsn", |context;| wal_lsn(context));
    scalar!(r, "pg_switch_wal", |context;| switch_wal(context));
    r.scalar("plpgsql_validator", |_, _| Err(Error::unsupported("plpgsql_validator()")));
    scalar!(r, "pg_client_encoding", |context;| {
        context.services.setting("client_encoding").unwrap_or_else(|| "UTF8".to_owned())
    });
    scalar!(r, "getdatabaseencoding", || "UTF8");
    scalar!(r, "show_config_by_name", |context; name: &str| current_setting(name, false, context));
    scalar!(r, "show_config_by_name_missing_ok", |context; name: &str, missing_ok: bool| {
        current_setting(name, missing_ok, context)
    });
    scalar!(r, "set_config_by_name", |context; name: Option<&str>, value: Option<&str>, local: Option<bool>| match name {
        Some(name) => context.services.set_setting(name, value, local.unwrap_or(false)),
        None => Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, "SET requires parameter name")),
    });

    scalar!(r, "nextval_oid", |context; sequence: OidValue| context.services.nextval(sequence.0));
    scalar!(r, "serin_next_identity", |context; sequence: OidValue| context.services.next_identity(sequence.0));
    scalar!(r, "currval_oid", |context; sequence: OidValue| context.services.currval(sequence.0));
    scalar!(r, "lastval", |context;| context.services.lastval());
    scalar!(r, "setval_oid", |context; sequence: OidValue, value: i64| context.services.setval(sequence.0, value, true));
    scalar!(r, "setval3_oid", |context; sequence: OidValue, value: i64, called: bool| {
        context.services.setval(sequence.0, value, called)
    });

    scalar!(r, "pg_export_snapshot", |context;| context.services.export_snapshot());
    scalar!(r, "pg_current_xact_id", |context;| context.services.transaction_id().map(|id| id as i64));
    scalar!(r, "pg_current_xact_id_if_assigned", |context;| {
        context.services.transaction_id_if_assigned().map(|id| id as i64)
    });
    scalar!(r, "pg_sleep", |context; seconds: f64| pg_sleep(seconds, context));
    scalar!(r, "sql:pg_sleep_for/1", |context; time: crate::types::Interval| {
        pg_sleep(time.span() as f64 / 1e6, context)
    });
    scalar!(r, "sql:pg_sleep_until/1", |context; time: Timestamp| {
        pg_sleep((time.0 - super::datetime::clock_timestamp()) as f64 / 1e6, context)
    });
    scalar!(r, "pg_cancel_backend", |context; pid: i32| context.services.signal_backend(pid, false));
    // The optional second argument is how long to wait for the end: not waited for.
    r.scalar("pg_terminate_backend", |arguments, context| {
        let pid = arguments.first().and_then(Datum::as_i32).unwrap_or(0);
        context.services.signal_backend(pid, true).map(Datum::Bool)
    });
    scalar!(r, "pg_blocking_pids", |context; pid: i32| int4_array(context.services.blocking_pids(pid)));
    scalar!(r, "pg_safe_snapshot_blocking_pids", |context; pid: i32| {
        int4_array(context.services.safe_snapshot_blocking_pids(pid))
    });
    scalar!(r, "pg_isolation_test_session_is_blocked", |context; pid: i32, interesting: &ArrayValue| {
        let mut blockers = context.services.blocking_pids(pid);
        blockers.extend(context.services.safe_snapshot_blocking_pids(pid));
        interesting.elements.iter().filter_map(Datum::as_i32).any(|pid| blockers.contains(&pid))
    });
    // The binder answers it, for values do not carry their type.
    r.scalar("pg_typeof", |_, _| Err(Error::internal("pg_typeof is answered when the call is bound")));
    scalar!(r, "gen_random_uuid", || super::arguments::Uuid(*uuid::Uuid::new_v4().as_bytes()));

    advisory!(r, "advisory_lock", false, false);
    advisory!(r, "advisory_lock_shared", true, false);
    advisory!(r, "advisory_xact_lock", false, true);
    advisory!(r, "advisory_xact_lock_shared", true, true);
    scalar!(r, "pg_advisory_unlock_int8", |context; key: i64| unlock(wide(key), false, context));
    scalar!(r, "pg_advisory_unlock_int4", |context; a: i32, b: i32| unlock(pair(a, b), false, context));
    scalar!(r, "pg_advisory_unlock_shared_int8", |context; key: i64| unlock(wide(key), true, context));
    scalar!(r, "pg_advisory_unlock_shared_int4", |context; a: i32, b: i32| unlock(pair(a, b), true, context));
    scalar!(r, "pg_advisory_unlock_all", |context;| context.services.advisory_unlock(None, false).map(|_| ()));

    scalar!(r, "pg_reload_conf", |context;| context.services.reload());
    scalar!(r, "pg_notify", |context; channel: Option<&str>, payload: Option<&str>| {
        context.services.notify(channel.unwrap_or(""), payload.unwrap_or(""))
    });
    r.set("pg_listening_channels", |_, context| {
        let channels = context.services.listening_channels();
        Ok(Box::new(channels.into_iter().map(|channel| Ok(vec![Datum::Text(channel)]))))
    });
    scalar!(r, "pg_notification_queue_usage", |context;| context.services.notification_queue_usage());
    scalar!(r, "pg_size_pretty", |size: i64| size_pretty(size));
    scalar!(r, "pg_size_pretty_numeric", |size: &Numeric| {
        size.to_i64().map(size_pretty).ok_or_else(|| super::math::out_of_range("bigint"))
    });
    scalar!(r, "sql:pg_relation_size/1", |context; relation: OidValue| relation_size(relation, context));
    scalar!(r, "pg_relation_size", |context; relation: OidValue, fork: &str| match fork {
        "main" => relation_size(relation, context),
        _ => Ok(Some(0)),
    });
    scalar!(r, "pg_table_size", |context; relation: OidValue| relation_size(relation, context));
    scalar!(r, "pg_indexes_size", |context; relation: OidValue| indexes_size(relation, context));
    scalar!(r, "pg_total_relation_size", |context; relation: OidValue| {
        let (table, indexes) = (relation_size(relation, context)?, indexes_size(relation, context)?);
        Ok::<Option<i64>, Error>(table.map(|table| table + indexes.unwrap_or(0)))
    });
}

/// The clustered index is the table itself.
fn indexes_size(relation: OidValue, context: &EvalContext<'_>) -> Result<Option<i64>> {
    let Some(table) = context.services.catalog().table(relation.0) else { return Ok(None) };
    let mut total = 0;
    for index in table.indexes.iter().filter(|index| !index.clustered) {
        total += context.services.relation_size(index.oid)?.unwrap_or(0);
    }
    Ok(Some(total))
}
