//! Versioned ordered trees of byte keys to byte values, durable through a write-ahead log.
//!
//! A [`Store`] is a directory: `data.serin` (pages), `wal/` (segments) and a lock file. It holds [`Tree`]s.
//! Each tree is a *delta* (an in-memory ordered map of version chains, where every write goes) over a *base*
//! (an immutable copy-on-write B+tree on disk, read through a page cache). The *fold* moves committed versions
//! from delta to base in the background; the WAL makes commits durable before that.
//!
//! Storage knows versions, writers and timestamps. It does not know isolation levels, locks or protocols:
//! what a writer may overwrite and what a reader must remember is decided by `txn`.

mod alloc;
mod archive;
mod backup;
mod base;
mod bulk;
mod check;
mod cursor;
mod delta;
mod error;
mod fold;
#[cfg(test)]
mod golden;
mod ids;
mod key_filter;
mod layer;
mod merge;
mod meta;
#[cfg_attr(not(any(test, feature = "testing")), allow(dead_code))]
mod mutation;
mod page;
mod page_cache;
mod page_writer;
mod recovery;
mod replay;
mod restore;
mod snapshot;
mod store;
mod sync;
mod tree;
pub mod vfs;
#[cfg(any(test, feature = "testing"))]
pub mod virtual_time;
mod wal;
mod writer;

pub use archive::{ArchiveStats, ArchiveTarget, Archiving, DirectoryArchive, differs};
pub use backup::BackupReport;
pub use bulk::BulkLoader;
pub use check::{CheckReport, check, check_with};
pub use cursor::Cursor;
pub use error::{Error, Result};
pub use ids::{CommandId, Lsn, PageId, Timestamp, TreeId, WriterId};
#[cfg(any(test, feature = "testing"))]
pub use mutation::{Mutation, plant};
pub use restore::{RestoreReport, RestoreTarget, restore, restore_with};
pub use snapshot::Snapshot;
pub use store::{Blocking, Inline, Store, StoreOptions, StoreStats};
pub use tree::{Direction, Finger, Head, KeyRange, ReadObserver, Tree, Value, View};
pub use writer::{
    Intent, Mark, Pending, RunLayer, RunWriter, WriteConflict, Writer, WriterState, WriterStatus,
};
