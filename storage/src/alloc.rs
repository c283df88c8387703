//! Which pages of `data.serin` are free.
//!
//! A page is in one of these states; the last three are free as far as the file is concerned (no durable root reaches
//! them), though not to be handed out yet:
//!
//! | state | in the persisted free list | handed out |
//! | --- | --- | --- |
//! | reachable from the current generation | no | no |
//! | free | yes | yes |
//! | *pending*: replaced by a fold, but a snapshot of an older generation may read it | yes | no |
//! | *loading*: written by a bulk load that no fold has included yet | yes | no |
//! | *released*: free, but the archive does not have what was loaded into it yet | yes | no |
//!
//! So the persisted list is exact for the generation it is written with: free ∪ reachable = file. After a crash
//! there are no old snapshots; and a bulk load counts only if its commit record is in the log, in which case replay
//! takes its extents out of the list again.
//!
//! A page is *pinned* from the commit of the load that wrote it until the archiver has copied it (`archive.rs`), whichever state it is
//! in; what of it becomes free meanwhile is released rather than free.

use crate::PageId;
use crate::meta::META_PAGES;
use crate::mutation::{Mutation, planted};
use std::collections::BTreeMap;

/// Disjoint, merged runs of pages.
#[derive(Default, Clone, Debug)]
pub(crate) struct Extents {
    runs: BTreeMap<u64, u64>,
}

impl Extents {
    /// Adds a run; `false` if it overlaps what is there.
    #[must_use]
    pub fn add(&mut self, first: PageId, count: u64) -> bool {
        if count == 0 {
            return true;
        }
        let (mut start, mut end) = (first.0, first.0 + count);
        if let Some((before, length)) = self.runs.range(..=start).next_back() {
            if before + length > start {
                return false;
            }
            if before + length == start {
                start = *before;
            }
        }
        if let Some((after, length)) = self.runs.range(first.0..).next() {
            if *after < end {
                return false;
            }
            if *after == end {
                end += length;
                let after = *after;
                self.runs.remove(&after);
            }
        }
        self.runs.insert(start, end - start);
        true
    }

    /// Takes out whatever of the run is there.
    pub fn subtract(&mut self, first: PageId, count: u64) {
        let (start, end) = (first.0, first.0 + count);
        let overlapping: Vec<(u64, u64)> = self
            .runs
            .range(..end)
            .rev()
            .take_while(|(run, length)| *run + *length > start)
            .map(|(run, length)| (*run, *length))
            .collect();
        for (run, length) in overlapping {
            self.runs.remove(&run);
            if run < start {
                self.runs.insert(run, start - run);
            }
            if run + length > end {
                self.runs.insert(end, run + length - end);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (PageId, u64)> + '_ {
        self.runs.iter().map(|(first, count)| (PageId(*first), *count))
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The run in parts that are in here entirely or not at all, in order.
    pub fn split(&self, first: PageId, count: u64) -> Vec<(PageId, u64, bool)> {
        let end = first.0 + count;
        let mut parts = Vec::new();
        let mut at = first.0;
        let before = self.runs.range(..=at).next_back();
        let within = before.into_iter().chain(self.runs.range(at + 1..end));
        for (run, length) in within.map(|(run, length)| (*run, *length)) {
            let (from, to) = (run.max(at), (run + length).min(end));
            if from >= to {
                continue;
            }
            if from > at {
                parts.push((PageId(at), from - at, false));
            }
            parts.push((PageId(from), to - from, true));
            at = to;
        }
        if at < end {
            parts.push((PageId(at), end - at, false));
        }
        parts
    }

    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    pub fn pages(&self) -> u64 {
        self.runs.values().sum()
    }

    /// Takes up to `count` consecutive pages from the lowest run.
    fn take_lowest(&mut self, count: u64) -> Option<(PageId, u64)> {
        let (first, length) = self.runs.pop_first()?;
        let taken = length.min(count);
        if taken < length {
            self.runs.insert(first + taken, length - taken);
        }
        Some((PageId(first), taken))
    }

    /// Takes exactly `count` consecutive pages from the first run that has them.
    fn take_run(&mut self, count: u64) -> Option<PageId> {
        let (first, length) =
            self.runs.iter().find(|(_, length)| **length >= count).map(|(f, l)| (*f, *l))?;
        self.runs.remove(&first);
        if length > count {
            self.runs.insert(first + count, length - count);
        }
        Some(PageId(first))
    }
}

/// A page that a newer generation does not reach any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replaced {
    pub page: PageId,
    /// No generation below this one reads it: an old snapshot does not hold on to what came and went after it.
    pub born: u64,
}

pub(crate) struct Allocator {
    free: Extents,
    page_count: u64,
    /// Pages replaced by the fold that made generation `n + 1`, by `n`: the last generation that reads them.
    pending: Vec<(u64, Vec<Replaced>)>,
    loading: Extents,
    pinned: Extents,
    released: Extents,
}

impl Allocator {
    pub fn new(free: Extents, page_count: u64) -> Allocator {
        assert!(page_count >= META_PAGES);
        Allocator {
            free,
            page_count,
            pending: Vec::new(),
            loading: Extents::default(),
            pinned: Extents::default(),
            released: Extents::default(),
        }
    }

    /// Up to `count` consecutive pages, wherever there is room.
    pub fn allocate(&mut self, count: u64) -> (PageId, u64) {
        self.free.take_lowest(count).unwrap_or_else(|| self.extend(count))
    }

    /// Exactly `count` consecutive pages, for a bulk load.
    pub fn allocate_loading(&mut self, count: u64) -> PageId {
        let first = self.free.take_run(count).unwrap_or_else(|| self.extend(count).0);
        assert!(self.loading.add(first, count), "a free page is not being loaded");
        first
    }

    fn extend(&mut self, count: u64) -> (PageId, u64) {
        let first = PageId(self.page_count);
        self.page_count += count;
        (first, count)
    }

    /// Pages that were allocated but that nothing refers to.
    pub fn give_back(&mut self, first: PageId, count: u64) {
        assert!(first.0 >= META_PAGES, "meta pages are never free");
        if self.pinned.is_empty() {
            assert!(self.free.add(first, count), "page {first} is freed twice");
            return;
        }
        for (part, count, pinned) in self.pinned.split(first, count) {
            let list = if pinned { &mut self.released } else { &mut self.free };
            assert!(list.add(part, count), "page {part} is freed twice");
        }
    }

    /// Pages that the archive needs: what is free of them is not handed out until [`Allocator::unpin`].
    pub fn pin(&mut self, first: PageId, count: u64) {
        for (part, count, free) in self.free.split(first, count) {
            if free {
                self.free.subtract(part, count);
                assert!(self.released.add(part, count), "a free page is not released as well");
            }
        }
        // The same load may be named twice where recovery reads what it reads again.
        self.pinned.subtract(first, count);
        assert!(self.pinned.add(first, count), "taken out above");
    }

    pub fn unpin(&mut self, first: PageId, count: u64) {
        self.pinned.subtract(first, count);
        for (part, count, released) in self.released.split(first, count) {
            if released {
                self.released.subtract(part, count);
                assert!(self.free.add(part, count), "a released page is not free as well");
            }
        }
    }

    pub fn abandon_loading(&mut self, first: PageId, count: u64) {
        self.loading.subtract(first, count);
        self.give_back(first, count);
    }

    /// A durable generation now reaches the pages.
    pub fn loading_done(&mut self, first: PageId, count: u64) {
        self.loading.subtract(first, count);
    }

    /// Recovery: a logged bulk load occupies these pages.
    pub fn occupy_loading(&mut self, first: PageId, count: u64) {
        let end = first.0 + count;
        if end > self.page_count {
            let grown = self.page_count;
            self.page_count = end;
            assert!(self.free.add(PageId(grown), end - grown), "pages beyond the end are not free yet");
        }
        self.free.subtract(first, count);
        let _ = self.loading.add(first, count);
    }

    /// Pages that generation `last_reader` is the last to read.
    pub fn add_pending(&mut self, last_reader: u64, pages: Vec<Replaced>) {
        if !pages.is_empty() {
            self.pending.push((last_reader, pages));
        }
    }

    /// Frees what none of the `live` generations (ascending) reads.
    pub fn release_pending(&mut self, live: &[u64]) {
        let read = |born: u64, last: u64| {
            let first = live.partition_point(|generation| *generation < born);
            live.get(first).is_some_and(|generation| *generation <= last)
        };
        let mut pending = std::mem::take(&mut self.pending);
        for (last_reader, pages) in &mut pending {
            pages.retain(|replaced| {
                let keep = read(replaced.born, *last_reader) && !planted(Mutation::ReusePagesTooEarly);
                if !keep {
                    self.give_back(replaced.page, 1);
                }
                keep
            });
        }
        pending.retain(|(_, pages)| !pages.is_empty());
        self.pending = pending;
    }

    /// The free list to persist with a generation that replaces `replaced` and reaches the bulk loads `included`.
    pub fn free_after(&self, replaced: &[Replaced], included: &[(PageId, u64)]) -> Extents {
        let mut free = self.free.clone();
        let mut loading = self.loading.clone();
        for (first, count) in included {
            loading.subtract(*first, *count);
        }
        for (first, count) in loading.iter().chain(self.released.iter()) {
            assert!(free.add(first, count), "a page being loaded, or released, is not free");
        }
        let pending = self.pending.iter().flat_map(|(_, pages)| pages).chain(replaced);
        for Replaced { page, .. } in pending {
            if planted(Mutation::LeakReplacedPages) {
                continue;
            }
            assert!(free.add(*page, 1), "page {page} is freed twice");
        }
        free
    }

    /// Takes the free pages at the end of the file off it; returns how many pages remain if there were any.
    pub fn cut_tail(&mut self) -> Option<u64> {
        let (first, length) = self.free.runs.last_key_value().map(|(first, length)| (*first, *length))?;
        if first + length != self.page_count {
            return None;
        }
        self.free.runs.remove(&first);
        self.page_count = first;
        Some(first)
    }

    /// Takes every free run of at least `least` pages, to be given back.
    pub fn take_free_runs(&mut self, least: u64) -> Vec<(PageId, u64)> {
        let runs: Vec<_> = self.free.iter().filter(|(_, count)| *count >= least).collect();
        for (first, _) in &runs {
            self.free.runs.remove(&first.0);
        }
        runs
    }

    pub fn page_count(&self) -> u64 {
        self.page_count
    }

    pub fn free_pages(&self) -> u64 {
        self.free.pages()
    }
}
