//! What belongs to the descriptors but lives only in this process.

use crate::error::{Error, Result};
use parking_lot::Mutex;
use serin_storage::{Direction, KeyRange, Store, Timestamp, Tree, TreeId, View};
use std::collections::HashMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub struct Runtime {
    store: Arc<Store>,
    /// Next hidden row id of each tree that was written to since the start.
    row_ids: Mutex<HashMap<TreeId, Arc<AtomicU64>>>,
    /// Trees made by transactions that have not ended: nobody else can know their ids.
    uncommitted: Mutex<HashMap<TreeId, Arc<Tree>>>,
    /// Sort runs go here; emptied at start.
    temporary: PathBuf,
    /// Rows that went to another partition, or to another key.
    pub(crate) moved: crate::exec::moved::MovedRows,
    activity: super::activity::Activity,
}

impl Runtime {
    pub(crate) fn new(store: Arc<Store>, temporary: PathBuf) -> Arc<Runtime> {
        Arc::new(Runtime {
            store,
            row_ids: Mutex::default(),
            uncommitted: Mutex::default(),
            temporary,
            moved: Default::default(),
            activity: Default::default(),
        })
    }
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }
    /// What has been done with tables and databases.
    pub fn activity(&self) -> &super::activity::Activity {
        &self.activity
    }
    pub fn temporary_dir(&self) -> &Path {
        &self.temporary
    }
    pub fn tree(&self, id: TreeId) -> Result<Arc<Tree>> {
        if let Some(tree) = self.uncommitted.lock().get(&id) {
            return Ok(tree.clone());
        }
        self.store.tree(id).ok_or_else(|| Error::internal(format!("tree {id} does not exist")))
    }
    pub(crate) fn tree_created(&self, tree: &Arc<Tree>) {
        self.uncommitted.lock().insert(tree.id(), tree.clone());
    }
    /// The transactions that made these trees have ended.
    pub(crate) fn trees_settled(&self, trees: &[TreeId]) {
        let mut uncommitted = self.uncommitted.lock();
        for tree in trees {
            uncommitted.remove(tree);
        }
    }
    pub(crate) fn next_row_id(&self, tree: &Arc<Tree>) -> Result<u64> {
        Ok(self.row_ids(tree)?.load(Ordering::Relaxed))
    }
    /// The counter behind a table without a primary key. After a restart it continues from the tree's last key: ids are
    /// never given out below a committed row, and an id lost with its transaction is simply skipped.
    pub fn row_ids(&self, tree: &Arc<Tree>) -> Result<Arc<AtomicU64>> {
        if let Some(counter) = self.row_ids.lock().get(&tree.id()) {
            return Ok(counter.clone());
        }
        let next = last_row_id(&self.store, tree)?.map_or(1, |last| last + 1);
        // Whoever came first wins: until then nobody had an id beyond `next`.
        Ok(self.row_ids.lock().entry(tree.id()).or_insert_with(|| Arc::new(AtomicU64::new(next))).clone())
    }
    /// A tree that this transaction filled itself: the next id is known.
    pub fn set_row_ids(&self, tree: TreeId, next: u64) {
        let mut counters = self.row_ids.lock();
        counters
            .entry(tree)
            .or_insert_with(|| Arc::new(AtomicU64::new(next)))
            .fetch_max(next, Ordering::Relaxed);
    }
    pub fn forget_row_ids(&self, tree: TreeId) {
        self.row_ids.lock().remove(&tree);
    }
}

fn last_row_id(store: &Store, tree: &Arc<Tree>) -> Result<Option<u64>> {
    let snapshot = store.snapshot();
    let view = View { snapshot: &snapshot, horizon: Timestamp::MAX, own: None };
    let mut cursor =
        tree.cursor(KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }, Direction::Backward);
    let mut last = None;
    cursor.next_batch(view, 1, &mut (), &mut |key, _| {
        last = key.try_into().ok().map(u64::from_be_bytes);
        false
    })?;
    Ok(last)
}
