//! VACUUM and ANALYZE.
//!
//! There is nothing to vacuum: old versions go when no snapshot needs them. VACUUM folds the delta into the pages, which is what
//! its users want of it (a table at rest, with fresh statistics).
//!
//! ANALYZE takes a sample of rows by reservoir (Vitter's algorithm R) over one scan, and estimates from it what pg_statistic holds: null
//! fraction, width, distinct values (the Duj1 estimator that PostgreSQL uses: Haas and Stokes 1998), most common values and a
//! histogram of equal frequencies. Values are kept key-encoded, so that comparing them needs no type.

use super::connection::Session;
use crate::catalog::{Catalog, Change, ColumnStatistics, Object, Relation, Statistics, Table};
use crate::error::{Error, Result, SqlState};
use crate::exec::ExecContext;
use crate::parse::ast::{Name, ObjectName};
use crate::table::key::{self, KeyOrder};
use crate::table::{Shape, loader};
use crate::types::Datum;
use rand::Rng;
use serin_storage::Value;
use serin_txn::{RelationLockMode, WaitPolicy};
use std::sync::Arc;

/// 300 rows for each of 100 histogram buckets, as PostgreSQL's default target.
const SAMPLE_ROWS: usize = 30_000;
const BUCKETS: usize = 100;
/// Longer values are not worth keeping.
const VALUE_BYTES_MAX: usize = 256;

impl Session {
    pub(super) fn vacuum(&mut self, tables: &[(ObjectName, Vec<Name>)], analyze: bool) -> Result<()> {
        self.forbid_block("VACUUM")?;
        for (name, _) in tables {
            if let Some(table) = self.maintained(name, "vacuum")? {
                self.may_maintain(&table, "vacuum");
            }
        }
        self.core.engine.store().give_back_space()?;
        if analyze {
            self.analyze(tables)?;
        }
        Ok(())
    }

    /// The table of this name. `None`: there is nothing to do, for a catalog keeps no statistics here, and what is no table is
    /// passed over with a warning.
    fn maintained(&self, name: &ObjectName, verb: &str) -> Result<Option<Arc<Table>>> {
        let path = self.core.search_path.borrow().clone();
        let is_table = match crate::ddl::names::find_relation(&self.core.catalog(), &path, name)? {
            Some(Relation::System(system)) if !crate::catalog::system::is_view(system.oid) => {
                return Ok(None);
            }
            Some(Relation::Table(table)) => !table.is_view() || table.is_materialized(),
            Some(_) => false,
            None => true,
        };
        if is_table {
            return self.find_table(name).map(Some);
        }
        let name = name.parts.last().map_or("", String::as_str);
        let message = format!("skipping \"{name}\" --- cannot {verb} non-tables or special system tables");
        self.core.warning(SqlState::WARNING, &message);
        Ok(None)
    }

    /// A table's owner's statistics, or the database's owner's.
    fn owns_table(&self, catalog: &Catalog, table: &Table) -> bool {
        let role = self.core.role.get();
        catalog.has_privileges_of(role, table.owner)
            || catalog.has_privileges_of(role, catalog.database().owner)
    }

    /// Who may not is told, and the table left out.
    fn may_maintain(&self, table: &Table, verb: &str) -> bool {
        let may = self.owns_table(&self.core.catalog(), table);
        if !may {
            let message =
                format!("skipping \"{}\" --- only table or database owner can {verb} it", table.name);
            self.core.warning(SqlState::WARNING, &message);
        }
        may
    }

    pub(super) fn analyze(&mut self, tables: &[(ObjectName, Vec<Name>)]) -> Result<()> {
        self.core.check_writable("ANALYZE")?;
        self.ensure_unhinted()?;
        let mut targets = Vec::new();
        for (name, columns) in tables {
            let Some(table) = self.maintained(name, "analyze")? else { continue };
            if let Some(column) = columns.iter().find(|column| table.column_index(column).is_none()) {
                let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
                return Err(Error::new(SqlState::UNDEFINED_COLUMN, message));
            }
            if self.may_maintain(&table, "analyze") {
                targets.push(table.oid);
            }
        }
        if tables.is_empty() {
            let catalog = self.core.catalog();
            let own = catalog.tables().filter(|table| self.owns_table(&catalog, table));
            targets.extend(own.map(|table| table.oid));
        }
        for oid in targets {
            self.block.lock_relation(oid, RelationLockMode::ShareUpdateExclusive, WaitPolicy::Block)?;
            // Dropped while we waited.
            let Some(table) = self.core.catalog().table(oid).filter(|table| !table.is_view()) else {
                continue;
            };
            let version = self.core.catalog().version;
            self.block.start_statement(version)?;
            let statistics = self.with_exec(|context| {
                let statistics = sample(&table, context)?;
                let now = context.eval.statement_time;
                context.catalog.runtime().activity().table(table.oid).analyzed(now);
                Ok(statistics)
            })?;
            let mut table = (*table).clone();
            table.statistics = Some(statistics);
            let change = Change::put(Object::Table(Arc::new(table)));
            if let Some(transaction) = &self.block.transaction {
                self.core.engine.trees.write(&mut transaction.borrow_mut(), &change)?;
            }
            self.core.change_catalog(change);
        }
        Ok(())
    }
}

fn sample(table: &Table, context: &ExecContext<'_>) -> Result<Statistics> {
    let shape = Shape::of(table, context)?;
    let mut random = rand::rng();
    let mut reservoir: Vec<Value> = Vec::new();
    let (mut rows, mut bytes) = (0u64, 0u64);
    loader::scan_all(&shape.tree, context, |key, value| {
        rows += 1;
        bytes += (key.len() + value.len()) as u64;
        if reservoir.len() < SAMPLE_ROWS {
            reservoir.push(value.clone());
        } else {
            let slot = random.random_range(0..rows);
            if let Some(kept) = usize::try_from(slot).ok().and_then(|slot| reservoir.get_mut(slot)) {
                *kept = value.clone();
            }
        }
        Ok(())
    })?;
    let sample = reservoir.iter().map(|row| shape.decode_row(row)).collect::<Result<Vec<_>>>()?;
    let order = KeyOrder { descending: false, nulls_first: false };
    let columns = table.columns.iter().enumerate().map(|(position, column)| {
        if column.dropped || sample.is_empty() {
            return None;
        }
        let mut values = Vec::with_capacity(sample.len());
        for row in &sample {
            if !matches!(row[position], Datum::Null) {
                let mut encoded = Vec::new();
                key::encode(&row[position], column.data_type(), order, &mut encoded);
                values.push(encoded);
            }
        }
        Some(column_statistics(values, sample.len(), rows as f64))
    });
    Ok(Statistics { rows: rows as f64, bytes: bytes as f64, columns: columns.collect() })
}

/// Of the non-null `values` in a sample of `sampled` rows out of `rows`.
fn column_statistics(mut values: Vec<Vec<u8>>, sampled: usize, rows: f64) -> ColumnStatistics {
    let present = values.len();
    let null_fraction = 1.0 - present as f64 / sampled as f64;
    if present == 0 {
        return ColumnStatistics { null_fraction, ..ColumnStatistics::default() };
    }
    let average_width = values.iter().map(Vec::len).sum::<usize>() as f64 / present as f64;
    values.sort_unstable();
    // Runs of equal values: (where, how many).
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (position, value) in values.iter().enumerate() {
        match runs.last_mut() {
            Some((start, count)) if values[*start] == *value => *count += 1,
            _ => runs.push((position, 1)),
        }
    }
    let distinct = estimate_distinct(&runs, present, rows * (1.0 - null_fraction));
    // Beyond a tenth of the rows the count grows with the table: kept as a fraction.
    let distinct = if distinct > 0.1 * rows { -(distinct / rows).min(1.0) } else { distinct };

    // Common enough to be worth a place: clearly more often than the average.
    let average = present as f64 / runs.len() as f64;
    let mut common: Vec<(usize, usize)> =
        runs.iter().copied().filter(|&(_, count)| count > 1 && count as f64 > 1.25 * average).collect();
    if runs.len() <= BUCKETS && sampled as f64 >= rows {
        common.clone_from(&runs);
    }
    common.sort_by_key(|&(start, count)| (std::cmp::Reverse(count), start));
    common.truncate(BUCKETS);
    let is_common = |start: usize| common.iter().any(|&(at, _)| at == start);
    let rest: Vec<&Vec<u8>> = runs
        .iter()
        .filter(|&&(start, _)| !is_common(start))
        .flat_map(|&(start, count)| &values[start..start + count])
        .collect();
    let histogram = match rest.len() {
        0 | 1 => Vec::new(),
        len => {
            let buckets = BUCKETS.min(len - 1);
            let bound = |i: usize| rest[i * (len - 1) / buckets].clone();
            (0..=buckets).map(bound).filter(|value| value.len() <= VALUE_BYTES_MAX).collect()
        }
    };
    let most_common = common
        .iter()
        .filter(|&&(start, _)| values[start].len() <= VALUE_BYTES_MAX)
        .map(|&(start, count)| (values[start].clone(), count as f64 / sampled as f64))
        .collect();
    ColumnStatistics { null_fraction, distinct, average_width, histogram, most_common }
}

/// Duj1: n·d / (n − f1 + f1·n/N), where d distinct values were seen among n, f1 of them once.
fn estimate_distinct(runs: &[(usize, usize)], sampled: usize, population: f64) -> f64 {
    let (n, d) = (sampled as f64, runs.len() as f64);
    let once = runs.iter().filter(|&&(_, count)| count == 1).count() as f64;
    if once == n && n < population {
        // Nothing came twice: take all for distinct.
        return population;
    }
    let estimate = n * d / (n - once + once * n / population.max(n));
    estimate.clamp(d, population.max(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics_of(values: impl Iterator<Item = u32>, rows: f64) -> ColumnStatistics {
        let values: Vec<Vec<u8>> = values.map(|value| value.to_be_bytes().to_vec()).collect();
        let sampled = values.len();
        column_statistics(values, sampled, rows)
    }

    #[test]
    fn a_unique_column_is_distinct_by_fraction() {
        let statistics = statistics_of(0..1000, 100_000.0);
        assert_eq!(statistics.distinct, -1.0);
        assert!(statistics.most_common.is_empty());
        assert_eq!(statistics.histogram.len(), BUCKETS + 1);
        assert!(statistics.histogram.is_sorted());
    }

    #[test]
    fn few_values_are_counted_and_a_frequent_one_is_common() {
        let statistics = statistics_of((0..1000).map(|i| if i % 2 == 0 { 7 } else { i % 20 }), 100_000.0);
        assert_eq!(statistics.distinct, 10.0, "the ten odd residues, 7 among them");
        assert_eq!(statistics.most_common[0].0, 7u32.to_be_bytes());
        assert!((statistics.most_common[0].1 - 0.55).abs() < 0.01);
    }

    #[test]
    fn nulls_are_a_fraction() {
        let statistics = column_statistics(vec![vec![1]; 25], 100, 100.0);
        assert_eq!(statistics.null_fraction, 0.75);
        assert_eq!(column_statistics(Vec::new(), 10, 10.0).null_fraction, 1.0);
    }
}
