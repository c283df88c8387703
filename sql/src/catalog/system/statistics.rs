//! pg_stat_*_tables, pg_statio_* and their like: what has been counted ([`crate::catalog::activity`]) by relation and database. What
//! Serin doesn't count is null.

use super::relations::{Producer, Rows, oid, text};
use super::views::schema_name;
use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG, Table};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::types::Datum;
use std::sync::Arc;

pub fn producer(name: &str) -> Option<Producer> {
    Some(match name {
        "pg_stat_all_tables" => |context| tables(context, "pg_stat_all_tables", Which::All),
        "pg_stat_sys_tables" => |context| tables(context, "pg_stat_sys_tables", Which::System),
        "pg_stat_user_tables" => |context| tables(context, "pg_stat_user_tables", Which::User),
        "pg_statio_all_tables" => |context| table_blocks(context, "pg_statio_all_tables", Which::All),
        "pg_statio_sys_tables" => |context| table_blocks(context, "pg_statio_sys_tables", Which::System),
        "pg_statio_user_tables" => |context| table_blocks(context, "pg_statio_user_tables", Which::User),
        "pg_stat_all_indexes" => |context| indexes(context, "pg_stat_all_indexes", Which::All),
        "pg_stat_sys_indexes" => |context| indexes(context, "pg_stat_sys_indexes", Which::System),
        "pg_stat_user_indexes" => |context| indexes(context, "pg_stat_user_indexes", Which::User),
        "pg_statio_all_indexes" => |context| index_blocks(context, "pg_statio_all_indexes", Which::All),
        "pg_statio_sys_indexes" => |context| index_blocks(context, "pg_statio_sys_indexes", Which::System),
        "pg_statio_user_indexes" => |context| index_blocks(context, "pg_statio_user_indexes", Which::User),
        "pg_statio_all_sequences" => |context| sequences(context, "pg_statio_all_sequences", Which::All),
        "pg_statio_sys_sequences" => |context| sequences(context, "pg_statio_sys_sequences", Which::System),
        "pg_statio_user_sequences" => |context| sequences(context, "pg_statio_user_sequences", Which::User),
        "pg_stat_database" => pg_stat_database,
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Of pg_catalog and information_schema.
    System,
    User,
}

/// Tables of this kind: system ones have nothing counted.
fn each_table(
    context: &EvalContext<'_>,
    which: Which,
    mut visit: impl FnMut(Option<&Arc<Table>>, u32, &str, u32),
) {
    let catalog = context.services.catalog();
    if which != Which::User {
        for (relation, kind) in super::all() {
            if kind == 'r' && matches!(relation.schema, PG_CATALOG | INFORMATION_SCHEMA) {
                visit(None, relation.oid, relation.name, relation.schema);
            }
        }
    }
    if which != Which::System {
        // As in PostgreSQL, partitioned tables are not among them: their rows are elsewhere.
        for table in catalog.tables().filter(|table| !table.is_view() && !table.is_partitioned()) {
            visit(Some(table), table.oid, &table.name, table.schema);
        }
    }
}

fn tables(context: &EvalContext<'_>, view: &'static str, which: Which) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog(view);
    let activity = catalog.runtime().activity();
    each_table(context, which, |table, number, name, schema| {
        let Some(table) = table else {
            rows.push([
                ("relid", oid(number)),
                ("schemaname", schema_name(&catalog, schema)),
                ("relname", text(name)),
            ]);
            return;
        };
        let counted = activity.table(number);
        let of_indexes: Vec<_> = table.indexes.iter().map(|index| activity.index(index.oid)).collect();
        let sum = |of: &dyn Fn(&crate::catalog::activity::IndexActivity) -> i64| match of_indexes.is_empty() {
            true => Datum::Null,
            false => Datum::Int8(of_indexes.iter().map(|index| of(index)).sum()),
        };
        let since = (counted.inserted.get() - counted.deleted.get()).max(0);
        let live = table.statistics.as_ref().map_or(since, |statistics| statistics.rows as i64);
        rows.push([
            ("relid", oid(number)),
            ("schemaname", schema_name(&catalog, schema)),
            ("relname", text(name)),
            ("seq_scan", Datum::Int8(counted.scans.get())),
            ("seq_tup_read", Datum::Int8(counted.scanned.get())),
            ("idx_scan", sum(&|index| index.scans.get())),
            ("idx_tup_fetch", sum(&|index| index.fetched.get())),
            ("n_tup_ins", Datum::Int8(counted.inserted.get())),
            ("n_tup_upd", Datum::Int8(counted.updated.get())),
            ("n_tup_del", Datum::Int8(counted.deleted.get())),
            ("n_live_tup", Datum::Int8(live)),
            ("n_mod_since_analyze", Datum::Int8(counted.changes_since_analyze())),
            ("last_analyze", counted.analyzed_at().map_or(Datum::Null, Datum::Timestamp)),
            ("analyze_count", Datum::Int8(counted.analyzes.get())),
        ]);
    });
    rows.finish()
}

fn table_blocks(context: &EvalContext<'_>, view: &'static str, which: Which) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog(view);
    each_table(context, which, |_, number, name, schema| {
        rows.push([
            ("relid", oid(number)),
            ("schemaname", schema_name(&catalog, schema)),
            ("relname", text(name)),
        ]);
    });
    rows.finish()
}

fn indexes(context: &EvalContext<'_>, view: &'static str, which: Which) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog(view);
    let activity = catalog.runtime().activity();
    each_table(context, which, |table, number, name, schema| {
        for index in table.iter().flat_map(|table| &table.indexes) {
            let counted = activity.index(index.oid);
            rows.push([
                ("relid", oid(number)),
                ("indexrelid", oid(index.oid)),
                ("schemaname", schema_name(&catalog, schema)),
                ("relname", text(name)),
                ("indexrelname", text(&index.name)),
                ("idx_scan", Datum::Int8(counted.scans.get())),
                // An entry is read for each row that it leads to.
                ("idx_tup_read", Datum::Int8(counted.fetched.get())),
                ("idx_tup_fetch", Datum::Int8(counted.fetched.get())),
            ]);
        }
    });
    rows.finish()
}

fn index_blocks(context: &EvalContext<'_>, view: &'static str, which: Which) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog(view);
    each_table(context, which, |table, number, name, schema| {
        for index in table.iter().flat_map(|table| &table.indexes) {
            rows.push([
                ("relid", oid(number)),
                ("indexrelid", oid(index.oid)),
                ("schemaname", schema_name(&catalog, schema)),
                ("relname", text(name)),
                ("indexrelname", text(&index.name)),
            ]);
        }
    });
    rows.finish()
}

fn sequences(context: &EvalContext<'_>, view: &'static str, which: Which) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog(view);
    if which != Which::System {
        for sequence in catalog.sequences() {
            rows.push([
                ("relid", oid(sequence.oid)),
                ("schemaname", schema_name(&catalog, sequence.schema)),
                ("relname", text(&sequence.name)),
            ]);
        }
    }
    rows.finish()
}

fn pg_stat_database(context: &EvalContext<'_>) -> Result<Vec<Vec<Datum>>> {
    let catalog = context.services.catalog();
    let mut rows = Rows::catalog("pg_stat_database");
    let activity = catalog.runtime().activity();
    let sessions = context.services.activities()?;
    let here = context.services.database();
    for database in catalog.databases() {
        let counted = activity.database(database.oid);
        let connected = sessions.iter().filter(|session| session.database == database.oid).count();
        // Only this database's tables are known here.
        let own = *database.name == *here;
        let sum = |of: &dyn Fn(&Table) -> i64| match own {
            true => {
                Datum::Int8(catalog.tables().filter(|table| !table.is_view()).map(|table| of(table)).sum())
            }
            false => Datum::Null,
        };
        let fetched = |table: &Table| -> i64 {
            table.indexes.iter().map(|index| activity.index(index.oid).fetched.get()).sum()
        };
        rows.push([
            ("datid", oid(database.oid)),
            ("datname", text(&database.name)),
            ("numbackends", Datum::Int4(connected as i32)),
            ("xact_commit", Datum::Int8(counted.commits.get())),
            ("xact_rollback", Datum::Int8(counted.rollbacks.get())),
            ("tup_returned", sum(&|table| activity.table(table.oid).scanned.get() + fetched(table))),
            ("tup_fetched", sum(&fetched)),
            ("tup_inserted", sum(&|table| activity.table(table.oid).inserted.get())),
            ("tup_updated", sum(&|table| activity.table(table.oid).updated.get())),
            ("tup_deleted", sum(&|table| activity.table(table.oid).deleted.get())),
            ("sessions", Datum::Int8(counted.sessions.get())),
        ]);
    }
    rows.finish()
}
