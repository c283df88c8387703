//! Who sees which catalog when.
//!
//! Descriptors are read latest-committed, as PostgreSQL reads its catalogs, and relation locks keep them still while they are in
//! use: look a name up, lock the relation, and look again if the version has changed meanwhile. The version is one
//! atomic load, so a prepared plan costs nothing to validate.
//!
//! A session with uncommitted DDL sees a private overlay: the published state with its own changes applied, under a
//! version of its own that no other session's plans can have.
//!
//! Rule 1: the version moves *before* the commit releases the relation locks. A session that waited for such a lock then
//! finds its plan's version gone, comes for the mutex, and waits until the new state is published. Were the version moved
//! after the commit, it would run its old plan against changed trees.
//! Rule 2: the mutex is held across the commit (an append to the log buffer, never an fsync), so that states are published in
//! commit order.
//! Rule 3: snapshots are taken at the watermark, which lags behind commits until they are durable. Whoever takes up a new catalog first
//! waits until the commit that made it is durable: an older snapshot would read a new index as empty.

use super::{Catalog, Change, Objects, Runtime};
use crate::error::Result;
use crate::types::Oid;
use parking_lot::Mutex;
use serin_storage::Timestamp;
use serin_txn::Committed;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Publisher {
    /// Equal to `Published::version` but while a commit is under way (rule 1).
    version: AtomicU64,
    /// Versions are unique among published states and overlays.
    next_version: AtomicU64,
    published: Mutex<Published>,
    runtime: Arc<Runtime>,
}

struct Published {
    version: u64,
    objects: Arc<Objects>,
    /// The commit that made this version (rule 3).
    committed: Option<Timestamp>,
    /// The view of each database that has sessions, made on demand.
    catalogs: HashMap<Oid, Arc<Catalog>>,
}

impl Publisher {
    pub fn new(objects: Objects, runtime: Arc<Runtime>) -> Publisher {
        let published =
            Published { version: 1, objects: Arc::new(objects), committed: None, catalogs: HashMap::new() };
        Publisher {
            version: AtomicU64::new(1),
            next_version: AtomicU64::new(2),
            published: Mutex::new(published),
            runtime,
        }
    }
    pub fn version(&self) -> u64 {
        // Pairs with the store in `commit`: a session that was granted a lock by that commit sees the version moved.
        self.version.load(Ordering::Acquire)
    }
    pub fn objects(&self) -> Arc<Objects> {
        self.published.lock().objects.clone()
    }
    pub fn catalog(&self, database: Oid) -> Arc<Catalog> {
        let mut published = self.published.lock();
        let Published { version, objects, catalogs, .. } = &mut *published;
        let make = || Arc::new(Catalog::new(*version, database, objects.clone(), self.runtime.clone()));
        catalogs.entry(database).or_insert_with(make).clone()
    }
    /// Commits a transaction with DDL by calling `commit`, and publishes its changes.
    pub fn commit(
        &self,
        changes: &[Change],
        commit: impl FnOnce() -> Result<Committed>,
    ) -> Result<Committed> {
        let mut published = self.published.lock();
        let version = self.next_version.fetch_add(1, Ordering::Relaxed);
        self.version.store(version, Ordering::Release);
        let result = commit();
        published.version = version;
        published.catalogs.clear();
        if let Ok(committed) = &result {
            published.committed = committed.durable_at.max(published.committed);
            let mut objects = (*published.objects).clone();
            changes.iter().for_each(|change| objects.apply(change));
            objects.mark_new_trees(&published.objects, changes, version);
            published.objects = Arc::new(objects);
        }
        result
    }
}

/// The catalog as one session sees it.
pub(crate) struct CatalogView {
    catalog: Arc<Catalog>,
    /// The published version that `catalog` shows or is built on.
    base: u64,
    changes: Vec<Change>,
    database: Oid,
}

impl CatalogView {
    pub fn new(publisher: &Publisher, database: Oid) -> CatalogView {
        let catalog = publisher.catalog(database);
        CatalogView { base: catalog.version, catalog, changes: Vec::new(), database }
    }
    /// The catalog now; brings in what others committed since the last call.
    pub fn current(&mut self, publisher: &Publisher) -> &Arc<Catalog> {
        if publisher.version() != self.base {
            self.rebuild(publisher);
        }
        &self.catalog
    }
    /// Whether plans made for `version` still hold.
    pub fn is_current(&self, publisher: &Publisher, version: u64) -> bool {
        self.catalog.version == version && publisher.version() == self.base
    }
    fn rebuild(&mut self, publisher: &Publisher) {
        let latest = publisher.catalog(self.database);
        let committed = publisher.published.lock().committed;
        if let Some(committed) = committed {
            let store = publisher.runtime.store();
            if let Err(error) = store.wait_durable(committed) {
                // The store has stopped: whatever this session does next fails with the reason.
                tracing::warn!(%error, "a catalog change did not become durable");
            }
        }
        self.base = latest.version;
        self.catalog = if self.changes.is_empty() {
            latest
        } else {
            let mut objects = (**latest.objects()).clone();
            self.changes.iter().for_each(|change| objects.apply(change));
            self.overlay(publisher, objects)
        };
    }
    fn overlay(&self, publisher: &Publisher, objects: Objects) -> Arc<Catalog> {
        let version = publisher.next_version.fetch_add(1, Ordering::Relaxed);
        Arc::new(Catalog::new(version, self.database, Arc::new(objects), publisher.runtime.clone()))
    }
    pub fn change(&mut self, publisher: &Publisher, change: Change) {
        let mut objects = (**self.current(publisher).objects()).clone();
        objects.apply(&change);
        self.changes.push(change);
        self.catalog = self.overlay(publisher, objects);
    }
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
    /// ROLLBACK TO: forgets the changes from `position` on.
    pub fn truncate(&mut self, publisher: &Publisher, position: usize) {
        if self.changes.len() > position {
            self.changes.truncate(position);
            self.rebuild(publisher);
        }
    }
    /// The transaction ended; what it committed was published.
    pub fn clear(&mut self, publisher: &Publisher) {
        if !self.changes.is_empty() {
            self.changes.clear();
            self.rebuild(publisher);
        }
    }
}
