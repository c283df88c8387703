//! The relational part of `serin check`: every table of every database with its indexes (`table/check.rs`). Reads the latest state through
//! a session of its own, as any statement would.

use super::block::State;
use super::conflict::describe_key;
use super::connection::Session;
use super::{Engine, Startup};
use crate::error::Result;
use crate::table::check::check_table;
use serin_storage::Store;
use std::sync::Arc;

/// What [`check`] found.
#[derive(Clone, Default, Debug)]
pub struct CheckReport {
    /// Empty if tables and indexes agree.
    pub problems: Vec<String>,
    pub tables: u64,
    pub rows: u64,
}

/// Compares every index of the store with its table. Writes nothing.
pub fn check(store: Arc<Store>) -> Result<CheckReport> {
    let engine = Engine::open(store, &[])?;
    let mut report = CheckReport::default();
    let objects = engine.publisher.objects();
    for database in objects.databases() {
        let startup = Startup {
            user: "postgres".into(),
            database: database.name.clone(),
            parameters: Vec::new(),
            client_address: None,
        };
        engine.connect(startup)?.check_tables(&mut report)?;
    }
    Ok(report)
}

impl Session {
    fn check_tables(&mut self, report: &mut CheckReport) -> Result<()> {
        self.begin(State::Implicit);
        let catalog = self.core.catalog();
        self.block.start_statement(catalog.version)?;
        let context = self.context();
        let eval = context.eval();
        for table in catalog.tables().filter(|table| !table.is_view()) {
            let mut found = Vec::new();
            report.tables += 1;
            let schema = catalog.schema(table.schema).map_or("?", |schema| &schema.name);
            let name = format!("{}.{schema}.{}", self.core.database, table.name);
            match self.with_exec(|context| check_table(table, context, &mut found)) {
                Ok(rows) => report.rows += rows,
                Err(error) => report.problems.push(format!("table {name}: {}", error.message())),
            }
            for finding in found {
                let key = describe_key(table, finding.index, &finding.key, &eval)
                    .unwrap_or_else(|| format!("key {}", finding.key.escape_ascii()));
                report.problems.push(match finding.index {
                    Some(index) => {
                        let index = &table.indexes[index].name;
                        format!("index \"{index}\" of table {name}: {}: {key}", finding.what)
                    }
                    None => format!("table {name}: {}: {key}", finding.what),
                });
            }
        }
        drop(context);
        self.rollback();
        Ok(())
    }
}
