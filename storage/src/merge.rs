//! Merging a sorted batch of changes into a copy-on-write B+tree: one pass, each affected page read and written once.
//!
//! ```text
//!            [ root ]                 pages on a path to a change are read, merged, and written anew,
//!          /    |     \               bottom up; everything else is referred to as it is
//!      [ a ]  [ b ]   [ c ]
//!      / \     / \     / \
//!     1   2   3   4'  5   6'          changes in 4 and 6: new pages for 4, 6, b, c and the root; a, 1, 2, 3, 5 stay
//! ```
//!
//! The work for one interior page: walk its children in order; those without changes are kept as they are; the cells of
//! the others are collected into a *run* and packed into as many pages as they need.
//! 1. A run that came out under-full (less than a third of a page) takes in the next child, changed or not.
//! 2. A run that needs several pages is spread evenly, so that they have room for what comes; but on the right edge of the
//!    tree pages are filled, for there the next keys go to the right of them.
//! 3. A run is packed early when it becomes large: the batch may be larger than memory.
//! 4. The first page of a run keeps the separator of the first child in it; further ones get the shortest
//!    separator from their left neighbour.
//!
//! An interior page's new entries are handed up to its parent, which treats them as it does cells; so pages split, merge and
//! vanish on every level by the same rules.

use crate::alloc::Replaced;
use crate::base::{TreeRoot, read_node, walk_overflow};
use crate::page::{
    CellValue, Cells, PAGE_ROOM, PAGE_SIZE, Page, VALUE_INLINE_BYTES_MAX, encode_node, shortest_separator,
};
use crate::page_cache::Pager;
use crate::page_writer::PageWriter;
use crate::{Error, PageId, Result, TreeId};
use hashbrown::HashSet;
use std::cmp::Ordering;
use std::sync::Arc;

/// Rule 1.
const UNDERFULL_BYTES: usize = PAGE_ROOM / 3;
/// Rule 3.
const RUN_BYTES_MAX: usize = 512 << 10;

/// The oldest generation that may read a page. One less than it is stamped with: pages of a bulk load are read before the
/// generation that they are written for.
fn born(page: &Page) -> u64 {
    page.generation().saturating_sub(1)
}

/// Changes in ascending key order: a new value, or `None` for a deletion.
pub(crate) trait Changes {
    fn peek(&mut self) -> Option<(&[u8], Option<&[u8]>)>;
    fn advance(&mut self);
}

/// Adjacent cells of one level, and the separator in front of them.
#[derive(Default)]
struct Run {
    cells: Cells,
    lower: Vec<u8>,
}

pub(crate) struct Merge<'a, 'w> {
    pager: &'a Pager,
    writer: &'a mut PageWriter<'w>,
    tree: TreeId,
    /// Pages that the new tree does not contain any more.
    pub replaced: &'a mut Vec<Replaced>,
    /// Interior pages of the new tree that may still be in the writer's buffer.
    written_interior: HashSet<PageId>,
    entries: i64,
    pages: i64,
    overflow_pages: i64,
}

/// Merges all of `changes` into `root`; returns the new root.
pub(crate) fn merge(
    pager: &Pager,
    writer: &mut PageWriter<'_>,
    tree: TreeId,
    root: &TreeRoot,
    changes: &mut dyn Changes,
    replaced: &mut Vec<Replaced>,
) -> Result<TreeRoot> {
    if changes.peek().is_none() {
        return Ok(*root);
    }
    let mut merge = Merge {
        pager,
        writer,
        tree,
        replaced,
        written_interior: HashSet::new(),
        entries: 0,
        pages: 0,
        overflow_pages: 0,
    };
    let mut level = if root.is_empty() { 0 } else { root.height };
    let mut entries = Cells::default();
    if level == 0 {
        let mut run = Run::default();
        let page = if root.is_empty() { None } else { Some(merge.take(root.page, 0)?) };
        merge.merge_leaf(page.as_deref(), None, changes, &mut run, &mut entries)?;
        merge.pack(&mut run, 0, true, &mut entries)?;
    } else {
        let mut run = Run::default();
        let page = merge.take(root.page, level)?;
        run.cells = merge.merge_interior(&page, &[], None, changes)?;
        if run.cells.len() == 1 {
            // The root has one child left: that is the root now.
            level -= 1;
            entries = run.cells;
        } else {
            merge.pack(&mut run, level, true, &mut entries)?;
        }
    }
    while entries.len() > 1 {
        level += 1;
        let mut run = Run { cells: entries, lower: Vec::new() };
        entries = Cells::default();
        merge.pack(&mut run, level, true, &mut entries)?;
    }
    debug_assert!(changes.peek().is_none(), "every change found its leaf");
    let mut page = if entries.is_empty() { PageId(0) } else { entries.child(0) };
    let mut height = if entries.is_empty() { 0 } else { level };
    while height > 0 && merge.is_kept_with_one_child(page, height)? {
        page = merge.take(page, height)?.child(0);
        height -= 1;
    }
    Ok(TreeRoot {
        page,
        height,
        entries: root.entries.saturating_add_signed(merge.entries),
        pages: root.pages.saturating_add_signed(merge.pages),
        overflow_pages: root.overflow_pages.saturating_add_signed(merge.overflow_pages),
    })
}

impl Merge<'_, '_> {
    /// Reads a page that the new tree replaces.
    fn take(&mut self, id: PageId, level: u8) -> Result<Arc<Page>> {
        let page = read_node(self.pager, id, level)?;
        self.replaced.push(Replaced { page: id, born: born(&page) });
        self.pages -= 1;
        Ok(page)
    }

    /// A page of the old tree that would make a root with a single child. New ones may not be read yet; that one
    /// of them has a single child does no harm.
    fn is_kept_with_one_child(&mut self, id: PageId, level: u8) -> Result<bool> {
        Ok(!self.written_interior.contains(&id) && read_node(self.pager, id, level)?.count() == 1)
    }

    /// The new entries for an interior page whose keys are in `[lower, upper)`.
    fn merge_interior(
        &mut self,
        page: &Page,
        lower: &[u8],
        upper: Option<&[u8]>,
        changes: &mut dyn Changes,
    ) -> Result<Cells> {
        let level = page.level() - 1;
        let mut entries = Cells::default();
        let mut run = Run::default();
        for index in 0..page.count() {
            let child_lower = if index == 0 { lower } else { page.separator(index) };
            let child_upper = if index + 1 < page.count() { Some(page.separator(index + 1)) } else { upper };
            let changed = has_change_below(changes, child_upper);
            let child = page.child(index);
            if !changed && run.cells.is_empty() {
                entries.push_child(child, child_lower);
                continue;
            }
            if run.cells.is_empty() {
                child_lower.clone_into(&mut run.lower);
            }
            let child = self.take(child, level)?;
            if level == 0 {
                self.merge_leaf(Some(&child), child_upper, changes, &mut run, &mut entries)?;
            } else {
                run.cells.append(&self.merge_interior(&child, child_lower, child_upper, changes)?);
            }
            let last = index + 1 == page.count();
            if last || run.cells.page_bytes() >= UNDERFULL_BYTES {
                self.pack(&mut run, level, child_upper.is_none(), &mut entries)?;
            }
        }
        Ok(entries)
    }

    /// Adds a leaf's cells, with the changes below `upper`, to the run.
    fn merge_leaf(
        &mut self,
        page: Option<&Page>,
        upper: Option<&[u8]>,
        changes: &mut dyn Changes,
        run: &mut Run,
        entries: &mut Cells,
    ) -> Result<()> {
        let count = page.map_or(0, Page::count);
        let mut index = 0;
        loop {
            let old = page.filter(|_| index < count);
            let change = changes.peek().filter(|(key, _)| upper.is_none_or(|upper| *key < upper));
            match (old, change) {
                (None, None) => return Ok(()),
                (Some(page), None) => {
                    run.cells.push_raw(page.leaf_cell(index));
                    index += 1;
                }
                (None, Some((key, value))) => {
                    self.put(key, value, run)?;
                    changes.advance();
                }
                (Some(page), Some((key, value))) => match page.key(index).cmp(key) {
                    Ordering::Less => {
                        run.cells.push_raw(page.leaf_cell(index));
                        index += 1;
                    }
                    order => {
                        self.put(key, value, run)?;
                        changes.advance();
                        if order == Ordering::Equal {
                            self.remove(page.value(index))?;
                            index += 1;
                        }
                    }
                },
            }
            if run.cells.page_bytes() > RUN_BYTES_MAX {
                self.pack_all_but_last(run, upper.is_none(), entries)?;
            }
        }
    }

    fn put(&mut self, key: &[u8], value: Option<&[u8]>, run: &mut Run) -> Result<()> {
        let Some(value) = value else { return Ok(()) };
        self.entries += 1;
        if value.len() <= VALUE_INLINE_BYTES_MAX {
            run.cells.push_leaf(key, value);
        } else {
            let (first, pages) = self.writer.write_overflow(self.tree, value)?;
            self.pages += pages as i64;
            self.overflow_pages += pages as i64;
            run.cells.push_overflow(key, value.len() as u32, first);
        }
        Ok(())
    }

    fn remove(&mut self, value: CellValue) -> Result<()> {
        self.entries -= 1;
        if let CellValue::Overflow { first, bytes } = value {
            let before = self.replaced.len();
            walk_overflow(self.pager, first, bytes, &mut |page| {
                self.replaced.push(Replaced { page: page.id(), born: born(page) });
            })?;
            let freed = (self.replaced.len() - before) as i64;
            self.pages -= freed;
            self.overflow_pages -= freed;
        }
        Ok(())
    }

    /// Rules 2 and 4: writes the run as pages of `level`, and adds them to `entries`.
    fn pack(&mut self, run: &mut Run, level: u8, right_edge: bool, entries: &mut Cells) -> Result<()> {
        let ends = plan_pages(&run.cells, right_edge);
        self.write_pages(run, level, &ends, entries)?;
        run.cells.clear();
        Ok(())
    }

    /// Rule 3. What stays is the last page's worth.
    fn pack_all_but_last(&mut self, run: &mut Run, right_edge: bool, entries: &mut Cells) -> Result<()> {
        let mut ends = plan_pages(&run.cells, right_edge);
        ends.pop();
        let Some(packed) = ends.last().copied() else { return Ok(()) };
        self.write_pages(run, 0, &ends, entries)?;
        let lower = shortest_separator(run.cells.leaf_key(packed - 1), run.cells.leaf_key(packed)).to_vec();
        run.lower = lower;
        run.cells.drop_front(packed);
        Ok(())
    }

    fn write_pages(&mut self, run: &Run, level: u8, ends: &[usize], entries: &mut Cells) -> Result<()> {
        let cells = &run.cells;
        let mut from = 0;
        for to in ends.iter().copied() {
            let id = self
                .writer
                .write(self.tree, |page, stamp| encode_node(page, stamp, level, cells, from, to))?;
            self.pages += 1;
            if level > 0 {
                self.written_interior.insert(id);
            }
            let separator = match (from, level) {
                (0, _) => run.lower.as_slice(),
                (_, 0) => shortest_separator(cells.leaf_key(from - 1), cells.leaf_key(from)),
                _ => cells.separator(from),
            };
            entries.push_child(id, separator);
            from = to;
        }
        Ok(())
    }
}

fn has_change_below(changes: &mut dyn Changes, upper: Option<&[u8]>) -> bool {
    changes.peek().is_some_and(|(key, _)| upper.is_none_or(|upper| key < upper))
}

/// Where each page ends, for cells spread over as few pages as hold them.
fn plan_pages(cells: &Cells, fill: bool) -> Vec<usize> {
    if cells.is_empty() {
        return Vec::new();
    }
    let total = cells.page_bytes();
    let target = if fill { PAGE_ROOM } else { total.div_ceil(total.div_ceil(PAGE_ROOM)) };
    let mut ends = Vec::new();
    let mut from = 0;
    for index in 1..cells.len() {
        let with_next = cells.page_bytes_of(from, index + 1);
        if with_next > PAGE_ROOM || cells.page_bytes_of(from, index) >= target {
            ends.push(index);
            from = index;
        }
    }
    ends.push(cells.len());
    ends
}

/// Adds all pages of a tree to `pages`. Leaves are only read if some value overflows.
pub(crate) fn collect_pages(pager: &Pager, root: &TreeRoot, pages: &mut Vec<Replaced>) -> Result<()> {
    if root.is_empty() {
        return Ok(());
    }
    collect_below(pager, root.page, root.height, root.overflow_pages > 0, true, pages)
}

/// As [`collect_pages`], but what is below a damaged page is left out.
pub(crate) fn collect_readable(pager: &Pager, root: &TreeRoot, pages: &mut Vec<Replaced>) -> Result<()> {
    if root.is_empty() {
        return Ok(());
    }
    collect_below(pager, root.page, root.height, root.overflow_pages > 0, false, pages)
}

fn collect_below(
    pager: &Pager,
    id: PageId,
    level: u8,
    overflow: bool,
    strict: bool,
    pages: &mut Vec<Replaced>,
) -> Result<()> {
    // Leaves are not looked at: they may be as old as the tree.
    pages.push(Replaced { page: id, born: 0 });
    if level == 0 && !overflow {
        return Ok(());
    }
    let page = match read_node(pager, id, level) {
        Err(Error::Corrupt { .. }) if !strict => return Ok(()),
        page => page?,
    };
    for index in 0..page.count() {
        if level > 0 {
            collect_below(pager, page.child(index), level - 1, overflow, strict, pages)?;
        } else if let CellValue::Overflow { first, bytes } = page.value(index) {
            let walked = walk_overflow(pager, first, bytes, &mut |page| {
                pages.push(Replaced { page: page.id(), born: 0 })
            });
            match walked {
                Err(Error::Corrupt { offset, .. }) if !strict => {
                    // Its own page, damaged; one that is read well is somebody else's.
                    let page = PageId(offset / PAGE_SIZE as u64);
                    if pager.read_uncached(page).is_err() {
                        pages.push(Replaced { page, born: 0 });
                    }
                }
                walked => walked?,
            }
        }
    }
    Ok(())
}
