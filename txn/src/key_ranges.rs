//! Which key ranges of which trees somebody has read: the predicate half of both 2PL (blocking) and SSI (SIREADs).
//!
//! A range is registered *before* anything in it is read, and a writer looks here *after* its version is on the
//! chain. Whichever comes first, one of the two meets the other: the writer finds the range, or the reader finds the
//! version in progress. Both sides go through sequentially consistent accesses to the tree's count, so that the
//! writer's common case (nobody scans this tree) is one load.
//!
//! Ranges of one tree are a plain list: few transactions scan one tree at a time. An interval tree would pay above
//! some hundreds.

use crate::sync::{AtomicU64, AtomicUsize, Mutex, RwLock, fence};
use hashbrown::HashMap;
use serin_storage::{KeyRange, TreeId};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct TreeRanges<R>(Mutex<Vec<Registered<R>>>);

struct Registered<R> {
    id: u64,
    range: KeyRange,
    reader: R,
}

/// Readers of type `R` by tree and range.
pub(crate) struct KeyRanges<R> {
    trees: RwLock<HashMap<TreeId, Arc<TreeRanges<R>>>>,
    count: AtomicUsize,
    next_id: AtomicU64,
}

impl<R> Default for KeyRanges<R> {
    fn default() -> KeyRanges<R> {
        KeyRanges { trees: RwLock::default(), count: AtomicUsize::new(0), next_id: AtomicU64::new(1) }
    }
}

impl<R: Clone> KeyRanges<R> {
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, tree: TreeId, id: u64, range: KeyRange, reader: R) {
        let existing = self.trees.read().get(&tree).cloned();
        let ranges = existing.unwrap_or_else(|| {
            self.trees.write().entry(tree).or_insert_with(|| Arc::new(TreeRanges(Mutex::default()))).clone()
        });
        ranges.0.lock().push(Registered { id, range, reader });
        self.count.fetch_add(1, Ordering::SeqCst);
        // Pairs with the fence in `is_empty`: the range is announced before its keys are read.
        fence(Ordering::SeqCst);
    }

    /// As [`KeyRanges::insert`], unless an overlapping range is there whose reader `excludes` says is in the way: then its id.
    pub(crate) fn insert_unless(
        &self,
        tree: TreeId,
        id: u64,
        range: &KeyRange,
        reader: R,
        excludes: impl Fn(&R) -> bool,
    ) -> Result<(), u64> {
        let existing = self.trees.read().get(&tree).cloned();
        let ranges = existing.unwrap_or_else(|| {
            self.trees.write().entry(tree).or_insert_with(|| Arc::new(TreeRanges(Mutex::default()))).clone()
        });
        let mut list = ranges.0.lock();
        let other = list.iter().find(|other| excludes(&other.reader) && overlap(&other.range, range));
        if let Some(other) = other {
            return Err(other.id);
        }
        list.push(Registered { id, range: range.clone(), reader });
        drop(list);
        self.count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn reader(&self, tree: TreeId, id: u64) -> Option<R> {
        let ranges = self.trees.read().get(&tree).cloned()?;
        let ranges = ranges.0.lock();
        ranges.iter().find(|range| range.id == id).map(|range| range.reader.clone())
    }

    pub(crate) fn range(&self, tree: TreeId, id: u64) -> Option<KeyRange> {
        let ranges = self.trees.read().get(&tree).cloned()?;
        let ranges = ranges.0.lock();
        ranges.iter().find(|range| range.id == id).map(|range| range.range.clone())
    }

    pub(crate) fn change_reader(&self, tree: TreeId, id: u64, change: impl FnOnce(&mut R)) {
        let Some(ranges) = self.trees.read().get(&tree).cloned() else { return };
        if let Some(registered) = ranges.0.lock().iter_mut().find(|range| range.id == id) {
            change(&mut registered.reader);
        }
    }

    pub(crate) fn remove(&self, tree: TreeId, id: u64) {
        let Some(ranges) = self.trees.read().get(&tree).cloned() else { return };
        let mut ranges = ranges.0.lock();
        if let Some(i) = ranges.iter().position(|r| r.id == id) {
            ranges.swap_remove(i);
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Asked by a writer after its version is on the chain.
    pub(crate) fn is_empty(&self) -> bool {
        fence(Ordering::SeqCst);
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Calls `visit` for every registered range of `tree` that holds `key`, until it returns false.
    pub(crate) fn containing(&self, tree: TreeId, key: &[u8], mut visit: impl FnMut(u64, &R) -> bool) {
        let Some(ranges) = self.trees.read().get(&tree).cloned() else { return };
        for registered in ranges.0.lock().iter() {
            if contains(&registered.range, key) && !visit(registered.id, &registered.reader) {
                return;
            }
        }
    }

    /// The first registered range of `tree` that `wanted` says yes to.
    pub(crate) fn find(
        &self,
        tree: TreeId,
        mut wanted: impl FnMut(u64, &KeyRange, &R) -> bool,
    ) -> Option<u64> {
        let ranges = self.trees.read().get(&tree).cloned()?;
        let ranges = ranges.0.lock();
        ranges.iter().find(|other| wanted(other.id, &other.range, &other.reader)).map(|other| other.id)
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(TreeId, &KeyRange, &R)) {
        let trees: Vec<_> = self.trees.read().iter().map(|(tree, ranges)| (*tree, ranges.clone())).collect();
        for (tree, ranges) in trees {
            for registered in ranges.0.lock().iter() {
                visit(tree, &registered.range, &registered.reader);
            }
        }
    }
}

pub(crate) fn contains(range: &KeyRange, key: &[u8]) -> bool {
    let after_start = match &range.start {
        Bound::Included(start) => key >= start.as_slice(),
        Bound::Excluded(start) => key > start.as_slice(),
        Bound::Unbounded => true,
    };
    let before_end = match &range.end {
        Bound::Included(end) => key <= end.as_slice(),
        Bound::Excluded(end) => key < end.as_slice(),
        Bound::Unbounded => true,
    };
    after_start && before_end
}

/// Whether some key may be in both. (Two that meet in excluded bounds count as overlapping where no key lies between.)
pub(crate) fn overlap(a: &KeyRange, b: &KeyRange) -> bool {
    let begins_by = |start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>| match (start, end) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(start), Bound::Included(end)) => start <= end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end) | Bound::Included(end)) => {
            start < end
        }
    };
    begins_by(&a.start, &b.end) && begins_by(&b.start, &a.end)
}

/// The least range that holds both.
pub(crate) fn span(a: KeyRange, b: KeyRange) -> KeyRange {
    let key = |bound: &Bound<Vec<u8>>| match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key.clone()),
        Bound::Unbounded => None,
    };
    // Bounds at the same key: including it is never wrong.
    let start = key(&a.start).zip(key(&b.start)).map_or(Bound::Unbounded, |(a, b)| Bound::Included(a.min(b)));
    let end = key(&a.end).zip(key(&b.end)).map_or(Bound::Unbounded, |(a, b)| Bound::Included(a.max(b)));
    KeyRange { start, end }
}

/// The only key the range can hold, if it is a single point.
pub(crate) fn point(range: &KeyRange) -> Option<&[u8]> {
    match (&range.start, &range.end) {
        (Bound::Included(start), Bound::Included(end)) if start == end => Some(start),
        _ => None,
    }
}
