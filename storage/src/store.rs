//! The store: opening (recovery), snapshots, trees, durability, shutdown.

use crate::{Result, Timestamp, Tree, TreeId, Writer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Told before anything that may block or run long, so that an async edge can move its other work elsewhere.
/// The server's implementation is `tokio::task::block_in_place`.
pub trait Blocking: Send + Sync {
    fn run(&self, work: &mut dyn FnMut());
}

/// Runs the work in place: for tests and tools.
pub struct Inline;

impl Blocking for Inline {
    fn run(&self, work: &mut dyn FnMut()) {
        work()
    }
}

pub struct StoreOptions {
    pub dir: PathBuf,
    pub page_cache_bytes: u64,
    /// Delta sizes at which a fold starts, writers are delayed, and the writer is refused.
    pub delta_bytes_soft: u64,
    pub delta_bytes_high: u64,
    pub delta_bytes_max: u64,
    pub wal_segment_bytes: u64,
    /// Fold at least this often while there is anything to fold.
    pub fold_interval_ms: u64,
    pub blocking: Arc<dyn Blocking>,
}

impl StoreOptions {
    pub fn new(_dir: &Path) -> StoreOptions {
        todo!()
    }
}

/// A timestamp and the base generation it reads; versions and pages it needs stay until it is dropped.
pub struct Snapshot {
    _private: (),
}

impl Snapshot {
    pub fn timestamp(&self) -> Timestamp {
        todo!()
    }
}

#[derive(Clone, Default, Debug)]
pub struct StoreStats {
    pub wal_bytes: u64,
    pub wal_flushes: u64,
    pub commits: u64,
    pub folds: u64,
    pub pages_written: u64,
    pub delta_bytes: u64,
    pub page_cache_hits: u64,
    pub page_cache_misses: u64,
    pub data_file_bytes: u64,
}

pub struct Store {
    _private: (),
}

impl Store {
    /// Opens the store at `options.dir`, creating it if the directory is empty or absent; replays the log.
    pub fn open(_options: StoreOptions) -> Result<Arc<Store>> {
        todo!()
    }
    /// The durable state now: timestamp = watermark, generation = current.
    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }
    /// The highest timestamp whose commit is durable (or acknowledged by `synchronous_commit = off`).
    pub fn watermark(&self) -> Timestamp {
        todo!()
    }
    /// The timestamp of the newest commit, durable or not.
    pub fn last_commit(&self) -> Timestamp {
        todo!()
    }
    pub fn writer(self: &Arc<Self>) -> Writer {
        todo!()
    }
    pub fn tree(&self, _id: TreeId) -> Option<Arc<Tree>> {
        todo!()
    }
    /// A new empty tree, private to `writer` until it commits, gone if it rolls back.
    pub fn create_tree(self: &Arc<Self>, _writer: &mut Writer) -> Arc<Tree> {
        todo!()
    }
    /// Resolves when every commit at or below `ts` is durable; fails when the store stopped.
    pub fn durable(self: &Arc<Self>, _ts: Timestamp) -> impl Future<Output = Result<()>> + Send + use<> {
        async { todo!() }
    }
    pub fn wait_durable(&self, _ts: Timestamp) -> Result<()> {
        todo!()
    }
    /// `synchronous_commit = off`: let readers see `ts` now; the flush follows within milliseconds.
    pub fn publish_early(&self, _ts: Timestamp) {
        todo!()
    }
    /// Folds everything committed so far; returns when it is durable.
    pub fn fold_now(&self) -> Result<()> {
        todo!()
    }
    pub fn stats(&self) -> StoreStats {
        todo!()
    }
    /// Flushes the log, folds, closes. Idempotent.
    pub fn shutdown(&self) -> Result<()> {
        todo!()
    }
}
