//! A tree as its users see it: point reads, cursors, bulk loads.

use crate::{CommandId, Result, Snapshot, Timestamp, TreeId, Writer, WriterState};
use std::ops::Bound;
use std::sync::Arc;

/// A value read from a tree: shares the page or the version it lives in, so cloning copies no bytes.
#[derive(Clone)]
pub struct Value(Arc<[u8]>);

impl std::ops::Deref for Value {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Forward,
    Backward,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    pub start: Bound<Vec<u8>>,
    pub end: Bound<Vec<u8>>,
}

/// What a read may see: the reader's own versions of earlier commands, and versions committed at or before
/// `horizon` (the snapshot's timestamp, or [`Timestamp::MAX`] for the latest committed state). `snapshot` pins
/// the base generation and the delta's versions.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub snapshot: &'a Snapshot,
    pub horizon: Timestamp,
    /// Own versions with a command below this one are visible.
    pub own: Option<(&'a WriterState, CommandId)>,
}

/// Told what a read passed over and what it saw, in the key's order: SSI's conflict-out edges and the
/// durability a reader of not yet durable data depends on.
pub trait ReadObserver {
    /// A version newer than the view allows (in progress, or committed above the horizon) was passed over.
    fn skipped(&mut self, _key: &[u8], _writer: &Arc<WriterState>) {}
    /// The version returned (or the tombstone obeyed) was found in the delta, committed at `_ts`.
    fn saw(&mut self, _key: &[u8], _ts: Timestamp) {}
}

impl ReadObserver for () {}

/// The newest version of a key, whoever wrote it.
pub enum Head {
    /// Nothing in the delta: the base of the current generation tells.
    Base {
        exists: bool,
    },
    Committed {
        at: Timestamp,
        exists: bool,
        writer: Arc<WriterState>,
    },
    InProgress {
        writer: Arc<WriterState>,
        intent: crate::Intent,
        exists: bool,
    },
}

pub struct Tree {
    _private: (),
}

impl Tree {
    pub const KEY_BYTES_MAX: usize = 2048;

    pub fn id(&self) -> TreeId {
        todo!()
    }
    pub fn get(
        &self,
        _view: View<'_>,
        _key: &[u8],
        _observer: &mut dyn ReadObserver,
    ) -> Result<Option<Value>> {
        todo!()
    }
    /// The state a writer must judge: an in-progress version if there is one, else the latest committed one.
    pub fn head(&self, _key: &[u8]) -> Result<Head> {
        todo!()
    }
    /// A cursor at one end of the range. It holds no latch and no epoch guard between batches.
    pub fn cursor(self: &Arc<Self>, _range: KeyRange, _direction: Direction) -> Cursor {
        todo!()
    }
    /// Entries in base and delta, roughly; for the planner.
    pub fn entry_count_estimate(&self) -> u64 {
        todo!()
    }
    /// Bytes of base pages and delta, roughly.
    pub fn size_bytes_estimate(&self) -> u64 {
        todo!()
    }
    /// Loads strictly ascending keys straight into base pages: only for a tree that the writer created and that is
    /// still empty. Nothing of it is logged but the pages' extents; they are synced before the commit record.
    pub fn bulk_loader(self: &Arc<Self>) -> Result<BulkLoader> {
        todo!()
    }
}

pub struct Cursor {
    _private: (),
}

impl Cursor {
    /// Hands up to `max` visible entries to `visit`, in order; it returns false to stop early (that entry counts as
    /// read). Returns false once the range is exhausted. The view may differ between calls.
    pub fn next_batch(
        &mut self,
        _view: View<'_>,
        _max: usize,
        _observer: &mut dyn ReadObserver,
        _visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        todo!()
    }
}

pub struct BulkLoader {
    _private: (),
}

impl BulkLoader {
    pub fn append(&mut self, _key: &[u8], _value: &[u8]) -> Result<()> {
        todo!()
    }
    /// Makes the loaded pages the tree's base for the writer, and for everyone when it commits.
    pub fn finish(self, _writer: &mut Writer) -> Result<u64> {
        todo!()
    }
}
