//! What has been done with tables, indexes and databases since the server started: the figures of pg_stat_user_tables and its like.
//!
//! Counters are plain atomics beside the open trees ([`crate::table::Shape`]), so that counting costs an addition to a statement or a batch, and
//! survive the descriptors that they belong to: the [`Activity`] of a process keeps them by OID. Like PostgreSQL's they count what was
//! tried, rolled back or not, and are lost with a crash; unlike them also with a restart. What nobody counts (blocks by relation,
//! dead rows, vacuums) is null in the views.

use crate::types::Oid;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A number of events. Relaxed: the figures of different counters need not agree with each other.
#[derive(Default)]
pub struct Counter(AtomicI64);

impl Counter {
    #[inline]
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as i64, Ordering::Relaxed);
    }
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub struct TableActivity {
    /// Scans of the whole table, and the rows that they read.
    pub scans: Counter,
    pub scanned: Counter,
    pub inserted: Counter,
    pub updated: Counter,
    pub deleted: Counter,
    pub analyzes: Counter,
    /// Of the last ANALYZE: when (microseconds since 2000; 0: never), and how many changes there had been.
    analyzed_at: Counter,
    analyzed_changes: Counter,
}

impl TableActivity {
    fn changes(&self) -> i64 {
        self.inserted.get() + self.updated.get() + self.deleted.get()
    }
    pub fn changes_since_analyze(&self) -> i64 {
        self.changes() - self.analyzed_changes.get()
    }
    pub fn analyzed(&self, now: i64) {
        self.analyzes.add(1);
        self.analyzed_at.set(now);
        self.analyzed_changes.set(self.changes());
    }
    pub fn analyzed_at(&self) -> Option<i64> {
        Some(self.analyzed_at.get()).filter(|at| *at != 0)
    }
}

#[derive(Default)]
pub struct IndexActivity {
    /// Scans, and the rows that they led to.
    pub scans: Counter,
    pub fetched: Counter,
}

#[derive(Default)]
pub struct DatabaseActivity {
    pub commits: Counter,
    pub rollbacks: Counter,
    pub sessions: Counter,
}

/// The counters of a process, by OID.
#[derive(Default)]
pub struct Activity {
    tables: Mutex<HashMap<Oid, Arc<TableActivity>>>,
    indexes: Mutex<HashMap<Oid, Arc<IndexActivity>>>,
    databases: Mutex<HashMap<Oid, Arc<DatabaseActivity>>>,
}

impl Activity {
    pub fn table(&self, oid: Oid) -> Arc<TableActivity> {
        self.tables.lock().entry(oid).or_default().clone()
    }
    pub fn index(&self, oid: Oid) -> Arc<IndexActivity> {
        self.indexes.lock().entry(oid).or_default().clone()
    }
    pub fn database(&self, oid: Oid) -> Arc<DatabaseActivity> {
        self.databases.lock().entry(oid).or_default().clone()
    }
}
