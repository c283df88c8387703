//! Reading the base: an immutable B+tree of pages.
//!
//! A [`TreeRoot`] names a whole tree as one generation sees it; nothing reachable from it changes while the generation
//! lives, so readers take no latches and a descent needs no care. Leaves are not linked (a copied leaf
//! would have to rewrite its neighbour): a cursor keeps the path from the root instead.

use crate::page::{CellValue, Page, PageKind};
use crate::page_cache::Pager;
use crate::tree::Value;
use crate::{Direction, PageId, Result};
use smallvec::SmallVec;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct TreeRoot {
    /// 0 is the empty tree.
    pub page: PageId,
    /// Levels above the leaves.
    pub height: u8,
    pub entries: u64,
    pub pages: u64,
    /// How many of the pages belong to overflow chains: a tree without any is freed without reading its leaves.
    pub overflow_pages: u64,
}

impl TreeRoot {
    pub fn is_empty(&self) -> bool {
        self.page == PageId(0)
    }
}

/// Reads a node and checks that it is one of the level expected.
pub(crate) fn read_node(pager: &Pager, id: PageId, level: u8) -> Result<Arc<Page>> {
    let page = pager.read(id)?;
    let kind = if level == 0 { PageKind::Leaf } else { PageKind::Interior };
    if page.kind() != kind || page.level() != level {
        let detail = format!(
            "page {id} is {:?} of level {}, not {kind:?} of level {level}",
            page.kind(),
            page.level()
        );
        return Err(pager.corrupt(id, detail));
    }
    Ok(page)
}

pub(crate) fn get(pager: &Pager, root: &TreeRoot, key: &[u8]) -> Result<Option<Value>> {
    if root.is_empty() {
        return Ok(None);
    }
    let mut page = read_node(pager, root.page, root.height)?;
    for level in (0..root.height).rev() {
        page = read_node(pager, page.child(page.child_index(key)), level)?;
    }
    match page.search(key) {
        Ok(index) => value_at(pager, &page, index).map(Some),
        Err(_) => Ok(None),
    }
}

/// Interior pages from the root down, and the child taken in each.
type Path = SmallVec<[(Arc<Page>, usize); 6]>;

/// The way from the root to where a tree was read last. Keys near it are found without asking the page cache, by two comparisons a level.
#[derive(Default)]
pub(crate) struct Finger {
    /// The generation and the root that the path belongs to.
    of: Option<(u64, PageId)>,
    path: Path,
    leaf: Option<Arc<Page>>,
}

impl Finger {
    pub fn get(
        &mut self,
        pager: &Pager,
        generation: u64,
        root: &TreeRoot,
        key: &[u8],
    ) -> Result<Option<Value>> {
        if root.is_empty() {
            return Ok(None);
        }
        let of = Some((generation, root.page));
        if self.of != of {
            self.path.clear();
            (self.of, self.leaf) = (of, None);
        }
        let leaf = descend(pager, root, &mut self.path, self.leaf.take(), key)?;
        let value = match leaf.search(key) {
            Ok(index) => value_at(pager, &leaf, index).map(Some),
            Err(_) => Ok(None),
        };
        self.leaf = Some(leaf);
        value
    }
}

/// The leaf whose range holds `key`. `path` is the way to some leaf of the same tree, or the upper part of one; `leaf` is the leaf at its
/// end, if that is known.
fn descend(
    pager: &Pager,
    root: &TreeRoot,
    path: &mut Path,
    mut leaf: Option<Arc<Page>>,
    key: &[u8],
) -> Result<Arc<Page>> {
    for depth in 0..usize::from(root.height) {
        if let Some((page, index)) = path.get_mut(depth) {
            // That the key is in the page's own range was seen on the way here.
            if !page.child_holds(*index, key) {
                *index = page.child_index(key);
                path.truncate(depth + 1);
                leaf = None;
            }
            continue;
        }
        let id = path.last().map_or(root.page, |(page, index)| page.child(*index));
        let page = read_node(pager, id, root.height - depth as u8)?;
        let index = page.child_index(key);
        path.push((page, index));
        leaf = None;
    }
    match leaf {
        Some(leaf) => Ok(leaf),
        None => read_node(pager, path.last().map_or(root.page, |(page, index)| page.child(*index)), 0),
    }
}

fn value_at(pager: &Pager, page: &Arc<Page>, index: usize) -> Result<Value> {
    match page.value(index) {
        CellValue::Inline(start, bytes) => Ok(Value::in_page(page.clone(), start, bytes)),
        CellValue::Overflow { first, bytes } => read_overflow(pager, first, bytes),
    }
}

pub(crate) fn read_overflow(pager: &Pager, first: PageId, bytes: u32) -> Result<Value> {
    // The length is on a checksummed page, but grows as pages are found, so that a wrong one costs nothing.
    let mut value = Vec::with_capacity((bytes as usize).min(1 << 20));
    walk_overflow(pager, first, bytes, &mut |page| value.extend_from_slice(page.overflow_bytes()))?;
    Ok(Value::from_bytes(value.into()))
}

/// Visits the pages of an overflow chain.
pub(crate) fn walk_overflow(
    pager: &Pager,
    first: PageId,
    bytes: u32,
    visit: &mut dyn FnMut(&Page),
) -> Result<()> {
    let mut remaining = bytes as usize;
    let mut next = first;
    while remaining > 0 {
        let page = pager.read_uncached(next)?;
        let count = page.count();
        if page.kind() != PageKind::Overflow || count == 0 || count > remaining {
            return Err(pager.corrupt(next, format!("page {next} does not continue an overflow chain")));
        }
        visit(&page);
        remaining -= count;
        next = page.next();
    }
    Ok(())
}

/// A position in a base tree. Between uses it holds pages, never a latch.
pub(crate) struct BaseCursor {
    direction: Direction,
    /// The generation and the root that the path belongs to.
    of: Option<(u64, PageId)>,
    path: Path,
    leaf: Option<Arc<Page>>,
    /// Forward: the entry's index. Backward: one more than that.
    at: usize,
    /// Where this leaf's part of the range ends: one past the last (forward), or the first (backward).
    limit: usize,
    /// The range ends in this leaf.
    last_leaf: bool,
    /// The value at the position, made when asked for.
    value: Value,
}

impl BaseCursor {
    pub fn new(direction: Direction) -> BaseCursor {
        BaseCursor {
            direction,
            of: None,
            path: SmallVec::new(),
            leaf: None,
            at: 0,
            limit: 0,
            last_leaf: true,
            value: Value::empty(),
        }
    }

    /// Positions on the first entry, in the cursor's direction, between `start` and `end`.
    pub fn seek(
        &mut self,
        pager: &Pager,
        root: &TreeRoot,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<()> {
        self.of = None;
        self.seek_near(pager, 0, root, start, end)
    }

    /// The same, from a position that is not far if it is of the same generation.
    pub fn seek_near(
        &mut self,
        pager: &Pager,
        generation: u64,
        root: &TreeRoot,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<()> {
        self.leaf = None;
        let of = Some((generation, root.page));
        if self.of != of {
            self.path.clear();
            self.of = of;
        }
        if root.is_empty() {
            return Ok(());
        }
        let page = match start {
            Bound::Included(key) | Bound::Excluded(key) => descend(pager, root, &mut self.path, None, key)?,
            Bound::Unbounded => {
                self.path.clear();
                let mut page = read_node(pager, root.page, root.height)?;
                for level in (0..root.height).rev() {
                    let index = if self.direction == Direction::Forward { 0 } else { page.count() - 1 };
                    let child = page.child(index);
                    self.path.push((page, index));
                    page = read_node(pager, child, level)?;
                }
                page
            }
        };
        let (at, exact) = match start {
            Bound::Included(key) | Bound::Excluded(key) => match page.search(key) {
                Ok(index) => (index, true),
                Err(index) => (index, false),
            },
            Bound::Unbounded if self.direction == Direction::Forward => (0, false),
            Bound::Unbounded => (page.count(), false),
        };
        // Forward, an excluded exact match is stepped over; backward, an included one counts as passed by `at`.
        self.at = match (self.direction, start) {
            (Direction::Forward, Bound::Excluded(_)) | (Direction::Backward, Bound::Included(_)) if exact => {
                at + 1
            }
            _ => at,
        };
        self.enter(page, end);
        self.settle(pager, end)
    }

    /// Makes `page` the leaf and finds where the range ends in it. `at` is set before.
    fn enter(&mut self, page: Arc<Page>, end: Bound<&[u8]>) {
        let count = page.count();
        match self.direction {
            Direction::Forward => {
                self.limit = match end {
                    Bound::Unbounded => count,
                    Bound::Included(key) => page.search(key).map_or_else(|index| index, |index| index + 1),
                    Bound::Excluded(key) => page.search(key).unwrap_or_else(|index| index),
                };
                self.last_leaf = self.limit < count;
            }
            Direction::Backward => {
                self.limit = match end {
                    Bound::Unbounded => 0,
                    Bound::Included(key) => page.search(key).unwrap_or_else(|index| index),
                    Bound::Excluded(key) => page.search(key).map_or_else(|index| index, |index| index + 1),
                };
                self.last_leaf = self.limit > 0;
            }
        }
        self.leaf = Some(page);
    }

    fn at_limit(&self) -> bool {
        match self.direction {
            Direction::Forward => self.at >= self.limit,
            Direction::Backward => self.at <= self.limit,
        }
    }

    /// Moves to following leaves until there is an entry, or the range is over.
    fn settle(&mut self, pager: &Pager, end: Bound<&[u8]>) -> Result<()> {
        while self.leaf.is_some() && self.at_limit() {
            if self.last_leaf {
                self.leaf = None;
                return Ok(());
            }
            self.leaf = None;
            self.next_leaf(pager, end)?;
        }
        Ok(())
    }

    fn next_leaf(&mut self, pager: &Pager, end: Bound<&[u8]>) -> Result<()> {
        let mut level = 0u8;
        let child = loop {
            let Some((page, index)) = self.path.last_mut() else { return Ok(()) };
            level += 1;
            let next = match self.direction {
                Direction::Forward => Some(*index + 1).filter(|next| *next < page.count()),
                Direction::Backward => index.checked_sub(1),
            };
            if let Some(next) = next {
                *index = next;
                break page.child(next);
            }
            self.path.pop();
        };
        let mut page = read_node(pager, child, level - 1)?;
        for level in (0..level - 1).rev() {
            let index = if self.direction == Direction::Forward { 0 } else { page.count() - 1 };
            let child = page.child(index);
            self.path.push((page, index));
            page = read_node(pager, child, level)?;
        }
        self.at = if self.direction == Direction::Forward { 0 } else { page.count() };
        self.enter(page, end);
        Ok(())
    }

    fn index(&self) -> usize {
        match self.direction {
            Direction::Forward => self.at,
            Direction::Backward => self.at - 1,
        }
    }

    #[inline]
    pub fn key(&self) -> Option<&[u8]> {
        self.leaf.as_ref().map(|leaf| leaf.key(self.index()))
    }

    /// Key and value at the position.
    pub fn entry(&mut self, pager: &Pager) -> Result<Option<(&[u8], &Value)>> {
        let index = match self.direction {
            Direction::Forward => self.at,
            Direction::Backward => self.at.wrapping_sub(1),
        };
        let Some(leaf) = &self.leaf else { return Ok(None) };
        match leaf.value(index) {
            CellValue::Inline(start, bytes) => self.value.move_in_page(leaf, start, bytes),
            CellValue::Overflow { first, bytes } => self.value = read_overflow(pager, first, bytes)?,
        }
        Ok(Some((leaf.key(index), &self.value)))
    }

    #[inline]
    pub fn advance(&mut self, pager: &Pager, end: Bound<&[u8]>) -> Result<()> {
        match self.direction {
            Direction::Forward => self.at += 1,
            Direction::Backward => self.at -= 1,
        }
        if self.at_limit() { self.settle(pager, end) } else { Ok(()) }
    }
}
