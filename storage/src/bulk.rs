//! Bulk loading: strictly ascending keys straight into base pages.
//!
//! For a table that a transaction creates and fills (`COPY`, `CREATE TABLE AS`, building an index), versions in the
//! delta and their log records would be memory and I/O for nothing: nobody else can see the tree, and if the
//! transaction fails the pages are simply free again. So the loader packs cells into full pages bottom-up, level by level, writes
//! them in long runs, syncs them, and logs only the root and the extents.
//!
//! Until a fold includes the tree, its pages are *loading* (`alloc.rs`): free in every persisted free list. That makes a crash
//! before the commit record harmless; after it, replay finds the record and takes the extents out of the free list.
//! Memory: one page's worth of cells for each level, and a write buffer.

use crate::base::TreeRoot;
use crate::page::{Cells, PAGE_ROOM, VALUE_INLINE_BYTES_MAX, encode_node, shortest_separator};
use crate::page_writer::{PageWriterState, Purpose};
use crate::tree::NEVER;
use crate::{Error, PageId, Result, Tree, Writer};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A finished load: what the log says about it.
#[derive(Clone)]
pub(crate) struct BulkLoad {
    pub root: TreeRoot,
    pub extents: Vec<(PageId, u64)>,
}

/// Cells of one level that are not on a page yet.
#[derive(Default)]
struct Level {
    cells: Cells,
    /// What separates them from the page before.
    lower: Vec<u8>,
}

pub struct BulkLoader {
    tree: Arc<Tree>,
    pages: PageWriterState,
    /// From the leaves up.
    levels: Vec<Level>,
    last_key: Vec<u8>,
    entries: u64,
    overflow_pages: u64,
}

impl BulkLoader {
    pub(crate) fn new(tree: Arc<Tree>) -> Result<BulkLoader> {
        assert!(
            tree.created_at.load(Ordering::Acquire) == NEVER
                && tree.delta.is_empty()
                && tree.initial_base().is_none()
                && tree.layers().is_none(),
            "only a new and empty tree can be bulk loaded"
        );
        Ok(BulkLoader::for_layer(tree))
    }

    /// Makes pages that lie over the tree's base rather than be it.
    pub(crate) fn for_layer(tree: Arc<Tree>) -> BulkLoader {
        BulkLoader {
            tree,
            pages: PageWriterState::new(Purpose::BulkLoad),
            levels: vec![Level::default()],
            last_key: Vec::new(),
            entries: 0,
            overflow_pages: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub fn append(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Tree::check_size(key, Some(value))?;
        if self.entries > 0 && *key <= *self.last_key {
            return Err(Error::NotAscending);
        }
        self.append_unchecked(key, value)
    }

    /// Appends what the caller knows to be in order and of a size that can be written.
    pub(crate) fn append_unchecked(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        debug_assert!(self.entries == 0 || *key > *self.last_key);
        let before = self.levels[0].cells.len();
        if value.len() <= VALUE_INLINE_BYTES_MAX {
            self.levels[0].cells.push_leaf(key, value);
        } else {
            let (first, pages) = self.pages.write_overflow(&self.tree.shared, self.tree.id(), value)?;
            self.overflow_pages += pages;
            self.levels[0].cells.push_overflow(key, value.len() as u32, first);
        }
        if self.levels[0].cells.page_bytes() > PAGE_ROOM {
            let separator = shortest_separator(&self.last_key, key).to_vec();
            self.write_page(0, before, separator)?;
        }
        key.clone_into(&mut self.last_key);
        self.entries += 1;
        Ok(())
    }

    /// Writes the level's first `count` cells as a page and tells the level above; `separator` is in front of the rest.
    fn write_page(&mut self, level: usize, count: usize, separator: Vec<u8>) -> Result<()> {
        let tree = self.tree.id();
        let cells = &self.levels[level].cells;
        let id = self.pages.write(&self.tree.shared, tree, |page, stamp| {
            encode_node(page, stamp, level as u8, cells, 0, count);
        })?;
        self.levels[level].cells.drop_front(count);
        let lower = std::mem::replace(&mut self.levels[level].lower, separator);
        if self.levels.len() == level + 1 {
            self.levels.push(Level::default());
        }
        let above = &mut self.levels[level + 1].cells;
        above.push_child(id, &lower);
        if above.page_bytes() > PAGE_ROOM {
            let count = above.len() - 1;
            let separator = above.separator(count).to_vec();
            self.write_page(level + 1, count, separator)?;
        }
        Ok(())
    }

    /// Makes the loaded pages the tree's base for the writer, and for everyone when it commits.
    pub fn finish(mut self, writer: &mut Writer) -> Result<u64> {
        let Some(load) = self.finish_pages()? else { return Ok(0) };
        let shared = self.tree.shared.clone();
        if let Err(error) = shared.sync_data_file() {
            shared.abandon_bulk_load(load);
            return Err(error);
        }
        self.tree.set_initial_base(Some(load.root));
        writer.add_bulk_load(self.tree.clone(), load);
        Ok(self.entries)
    }

    /// Writes what is left; `None` if nothing was appended. The pages are not synced yet.
    pub(crate) fn finish_pages(&mut self) -> Result<Option<BulkLoad>> {
        if self.entries == 0 {
            return Ok(None);
        }
        let mut level = 0;
        // The topmost level is the root when all it has is one child, or (a single leaf) nothing is above it.
        let page = loop {
            let cells = &self.levels[level].cells;
            if level > 0 && level + 1 == self.levels.len() && cells.len() == 1 {
                break cells.child(0);
            }
            let count = cells.len();
            self.write_page(level, count, Vec::new())?;
            level += 1;
        };
        let shared = self.tree.shared.clone();
        let extents = self.pages.finish(&shared)?;
        let root = TreeRoot {
            page,
            height: (level - 1) as u8,
            entries: self.entries,
            pages: self.pages.pages_written,
            overflow_pages: self.overflow_pages,
        };
        Ok(Some(BulkLoad { root, extents }))
    }
}

impl Drop for BulkLoader {
    fn drop(&mut self) {
        // After `finish` there is nothing left to give back.
        let shared = self.tree.shared.clone();
        self.pages.abandon(&shared);
    }
}
