//! The fold: moves committed versions from the deltas into new base pages, and makes that the new generation.
//!
//! ```text
//!   1  F = watermark, pinned by a snapshot; the log is durable up to F
//!   2  for each tree written to since the last fold: merge its newest versions ≤ F into new pages (merge.rs)
//!   3  merge the changed roots into the directory; write the free list as it will be
//!   4  sync the data file
//!   5  write the other meta page: generation n + 1, F, where to replay from; sync     ← here it happens
//!   6  publish the generation: new snapshots read it
//!   7  recycle log segments below the replay position
//!   8  trim: versions that every live generation's base contains leave the deltas; replaced pages become free
//! ```
//!
//! Commits and readers go on all the while. A crash before step 5 is done leaves generation n whole: no page of it has
//! been touched, for pages are written only where neither n nor any live older generation has one. Step 8 waits for the
//! snapshots that need older generations, and is run again when the last of those ends.
//!
//! The replay position is taken before F, so it may lie below some commits up to F; replay skips those by timestamp.
//!
//! Failures: a write that fails before step 4 (disk full) gives up this fold and nothing is lost but time. A failed sync, or a
//! failed write of the meta page, stops the store: what is on disk is not known any more.

use crate::alloc::{Extents, Replaced};
use crate::base::{BaseCursor, TreeRoot};
use crate::delta::{DeltaKey, LiveSnapshots};
use crate::layer::{Layer, LayerScan};
use crate::merge::{Changes, collect_pages, collect_readable, merge};
use crate::meta::{META_PAGES, Meta, decode_root, encode_root};
use crate::mutation::{Mutation, planted};
use crate::page::{EXTENTS_PER_PAGE, PAGE_SIZE, PageKind, PageStamp, encode_free_list};
use crate::page_cache::Pager;
use crate::page_writer::{PageWriter, Purpose};
use crate::snapshot::{Generation, Needs};
use crate::store::Shared;
use crate::vfs::IoContext;
use crate::{
    Direction, Error, Lsn, PageId, Result, Snapshot, Timestamp, Tree, TreeId, WriterId, WriterStatus,
};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) struct FoldState {
    /// The meta page in force.
    meta: Meta,
    /// The pages of its free list.
    free_list_pages: Vec<PageId>,
    /// What the last trim was done for.
    trimmed_for: Needs,
    /// It has something that is not on disk, even if nothing was committed.
    pub changed: bool,
}

impl FoldState {
    pub fn new(meta: Meta, free_list_pages: Vec<PageId>) -> FoldState {
        FoldState { meta, free_list_pages, trimmed_for: Needs::default(), changed: false }
    }

    pub fn meta(&self) -> &Meta {
        &self.meta
    }
}

/// A fold that takes longer is worth a warning: writers are slowed down meanwhile, and a restart takes longer.
const SLOW: std::time::Duration = std::time::Duration::from_secs(30);

/// Folds everything up to the watermark, then trims.
pub(crate) fn fold(shared: &Shared) -> Result<()> {
    let mut state = shared.fold.lock();
    shared.wal.check_running()?;
    let replay_start = shared.wal.durable_lsn();
    let snapshot = shared.snapshot();
    if snapshot.timestamp() > snapshot.generation.fold_ts || state.changed {
        shared.wal.wait_durable(snapshot.timestamp())?;
        let began = std::time::Instant::now();
        shared.fold_began_with.store(shared.delta_bytes(), Ordering::Relaxed);
        shared.fold_progress.store(0, Ordering::Relaxed);
        let result = fold_at(shared, &mut state, &snapshot, replay_start);
        if result.is_err() {
            shared.fold_progress.store(u64::MAX, Ordering::Relaxed);
        }
        result?;
        state.changed = false;
        let took = began.elapsed();
        shared.last_fold_ms.store(took.as_millis() as u64, Ordering::Relaxed);
        if took > SLOW {
            tracing::warn!(
                ?took,
                generation = state.meta.generation,
                delta_bytes = shared.fold_began_with.load(Ordering::Relaxed),
                "the fold was slow: the disk, or too large a delta_memory for it"
            );
        } else {
            tracing::debug!(?took, generation = state.meta.generation, "folded");
        }
        shared.folds.fetch_add(1, Ordering::Relaxed);
    }
    drop(snapshot);
    trim_locked(shared, &mut state);
    shared.fold_progress.store(u64::MAX, Ordering::Relaxed);
    Ok(())
}

/// What a fold will have done once its meta page is written.
struct Outcome {
    roots: HashMap<TreeId, TreeRoot>,
    meta: Meta,
    free_list_pages: Vec<PageId>,
    replaced: Vec<Replaced>,
    /// Bulk loads that the new generation reaches, and ones whose tree is gone already.
    included: Vec<TreeId>,
    obsolete: Vec<TreeId>,
}

fn fold_at(shared: &Shared, state: &mut FoldState, snapshot: &Snapshot, replay_start: Lsn) -> Result<()> {
    let old = &snapshot.generation;
    assert_eq!(old.number, state.meta.generation, "the fold's mutex is held, so the generation is current");
    let mut writer = PageWriter::new(shared, Purpose::Fold);
    let mut outcome = build(shared, state, snapshot, replay_start, &mut writer)?;
    if planted(Mutation::ReplayFromFoldEnd) {
        outcome.meta.replay_start = shared.wal.durable_lsn();
    }
    // The writer's pages are referred to from here on; on a failure below the store stops anyway.
    drop(writer);
    if planted(Mutation::RecycleTooEarly) {
        shared.wal.recycle(replay_start)?;
    }
    if let Err(error) = switch(shared, &outcome.meta) {
        shared.wal.stop(&error);
        return Err(error);
    }
    state.meta = outcome.meta;
    state.free_list_pages = outcome.free_list_pages;
    {
        let mut loads = shared.bulk_loads.lock();
        let done: Vec<_> = outcome.included.iter().filter_map(|tree| loads.remove(tree)).collect();
        let obsolete: Vec<_> = outcome.obsolete.iter().filter_map(|tree| loads.remove(tree)).collect();
        drop(loads);
        let mut alloc = shared.alloc.lock();
        for (first, count) in done.iter().chain(&obsolete).flat_map(|load| &load.extents) {
            alloc.loading_done(*first, *count);
        }
        let mut replaced = outcome.replaced;
        for (first, count) in obsolete.iter().flat_map(|load| &load.extents) {
            replaced.extend((first.0..first.0 + count).map(|page| Replaced { page: PageId(page), born: 0 }));
        }
        alloc.add_pending(old.number, replaced);
    }
    let Meta { generation: number, fold_ts, .. } = outcome.meta;
    shared.pager.set_generation(number);
    shared.registry.publish(Generation { number, fold_ts, roots: outcome.roots });
    shared.replay_start.store(replay_start.0, Ordering::Relaxed);
    shared.wal.recycle(replay_start)
}

/// Steps 2 and 3.
fn build(
    shared: &Shared,
    state: &FoldState,
    snapshot: &Snapshot,
    replay_start: Lsn,
    writer: &mut PageWriter<'_>,
) -> Result<Outcome> {
    let (old, fold_ts) = (&snapshot.generation, snapshot.timestamp());
    let up_to = || if planted(Mutation::FoldLateComers) { shared.wal.last_commit() } else { fold_ts };
    let mut roots = old.roots.clone();
    // No snapshot reads the free list; it is recovery that needs it until the next generation is durable.
    let born = old.number;
    let mut replaced: Vec<Replaced> =
        state.free_list_pages.iter().map(|page| Replaced { page: *page, born }).collect();
    let mut directory = Vec::new();
    let (mut included, mut obsolete) = (Vec::new(), Vec::new());
    let trees = shared.trees_by_id();
    let work = shared.delta_bytes().max(1);
    let mut done = 0;
    for tree in trees {
        let share = Share { before: done, of_tree: tree.delta.bytes(), all: work };
        done += share.of_tree;
        let id = tree.id();
        let known = old.roots.get(&id).copied();
        if tree.created_at.load(Ordering::Acquire) > fold_ts.0 {
            continue;
        }
        if tree.dropped_at.load(Ordering::Acquire) <= fold_ts.0 {
            match known {
                Some(root) => {
                    pages_of_dropped(shared, id, &root, &mut replaced)?;
                    roots.remove(&id);
                    directory.push((id, None));
                }
                None => obsolete.push(id),
            }
            continue;
        }
        let root = known.or_else(|| tree.initial_base()).unwrap_or_default();
        let dirty = tree.last_commit.load(Ordering::Acquire) > old.fold_ts.0;
        let new_root = if dirty {
            let mut changes = TreeChanges::new(&tree, old.fold_ts, up_to(), share)?;
            let merged = merge(&shared.pager, writer, id, &root, &mut changes, &mut replaced)?;
            changes.failed?;
            merged
        } else {
            root
        };
        if known.is_none() {
            included.push(id);
        }
        if known != Some(new_root) {
            roots.insert(id, new_root);
            directory.push((id, Some(new_root)));
        }
    }
    let mut changes = DirectoryChanges::new(directory);
    let directory =
        merge(&shared.pager, writer, TreeId(0), &state.meta.directory, &mut changes, &mut replaced)?;
    let written = writer.finish()?;
    let (page_count, free_list_pages) = write_free_list(shared, &replaced, &included).inspect_err(|_| {
        let mut alloc = shared.alloc.lock();
        written.iter().for_each(|(first, count)| alloc.give_back(*first, *count));
    })?;
    let meta = Meta {
        generation: state.meta.generation + 1,
        fold_ts,
        replay_start,
        page_count,
        free_list: free_list_pages.first().copied().unwrap_or_default(),
        next_tree: TreeId(shared.next_tree.load(Ordering::Relaxed)),
        next_writer: WriterId(shared.next_writer.load(Ordering::Relaxed)),
        directory,
        store_id: state.meta.store_id,
    };
    Ok(Outcome { roots, meta, free_list_pages, replaced, included, obsolete })
}

/// The pages of a tree that is gone. Where some can't be read, those below them are found by the tree's id, which every page has: a
/// damaged tree must not keep anybody from dropping or rebuilding it.
fn pages_of_dropped(
    shared: &Shared,
    id: TreeId,
    root: &TreeRoot,
    replaced: &mut Vec<Replaced>,
) -> Result<()> {
    let before = replaced.len();
    let error = match collect_pages(&shared.pager, root, replaced) {
        Err(error @ Error::Corrupt { .. }) => error,
        other => return other,
    };
    tracing::warn!(%error, tree = %id, "a tree with damaged pages is dropped: looking for its pages");
    replaced.truncate(before);
    let mut found = Vec::new();
    collect_readable(&shared.pager, root, &mut found)?;
    let mut known: Extents = Extents::default();
    for page in &found {
        if !known.add(page.page, 1) {
            return Err(shared.pager.corrupt(page.page, format!("page {} is reached twice", page.page)));
        }
    }
    let unused = shared.alloc.lock().free_after(&[], &[]);
    let page_count = shared.alloc.lock().page_count();
    for (first, count, is_unused) in unused.split(PageId(META_PAGES), page_count - META_PAGES) {
        for page in (first.0..first.0 + count).filter(|_| !is_unused) {
            match shared.pager.read_uncached(PageId(page)) {
                Ok(read) if read.tree() == id && known.add(PageId(page), 1) => {
                    found.push(Replaced { page: PageId(page), born: 0 });
                }
                Ok(_) | Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    replaced.extend(found);
    Ok(())
}

/// Writes what will be free once the new generation is in force: everything that it does not reach.
fn write_free_list(
    shared: &Shared,
    replaced: &[Replaced],
    included: &[TreeId],
) -> Result<(u64, Vec<PageId>)> {
    let included: Vec<(PageId, u64)> = {
        let loads = shared.bulk_loads.lock();
        included.iter().filter_map(|tree| loads.get(tree)).flat_map(|load| load.extents.clone()).collect()
    };
    let (page_count, pages, free) = {
        let mut alloc = shared.alloc.lock();
        // Taking pages from the start of a run never makes more runs, so this many pages suffice.
        let runs = alloc.free_after(replaced, &included).run_count();
        let pages: Vec<PageId> = (0..runs.div_ceil(EXTENTS_PER_PAGE)).map(|_| alloc.allocate(1).0).collect();
        (alloc.page_count(), pages, alloc.free_after(replaced, &included))
    };
    let extents: Vec<(PageId, u64)> = free.iter().collect();
    let mut bytes = vec![0; PAGE_SIZE];
    for (index, page) in pages.iter().enumerate() {
        let from = (index * EXTENTS_PER_PAGE).min(extents.len());
        let to = (from + EXTENTS_PER_PAGE).min(extents.len());
        let next = pages.get(index + 1).copied().unwrap_or_default();
        let stamp = PageStamp { id: *page, tree: TreeId(0), generation: shared.pager.next_generation() };
        encode_free_list(&mut bytes, stamp, &extents[from..to], next);
        if let Err(error) = shared.pager.write(*page, &bytes, false) {
            let mut alloc = shared.alloc.lock();
            pages.iter().for_each(|page| alloc.give_back(*page, 1));
            return Err(error);
        }
    }
    Ok((page_count, pages))
}

/// Steps 4 and 5.
fn switch(shared: &Shared, meta: &Meta) -> Result<()> {
    if !planted(Mutation::SkipDataSync) {
        shared.pager.sync()?;
    }
    write_meta(&shared.pager, meta)
}

/// A key, its newest value, and when that was committed.
type Changed = (DeltaKey, Option<Arc<[u8]>>, Timestamp);

/// The newest version of each key committed in `(after, up_to]`, read from the delta a few at a time.
struct DeltaChanges<'a> {
    tree: &'a Tree,
    after: Timestamp,
    up_to: Timestamp,
    ready: VecDeque<Changed>,
    position: Option<DeltaKey>,
    exhausted: bool,
    share: Share,
    keys: u64,
    visited: u64,
}

/// A tree's part of a fold, in bytes of delta: writers are told how far the fold is.
#[derive(Clone, Copy)]
struct Share {
    before: u64,
    of_tree: u64,
    all: u64,
}

impl<'a> DeltaChanges<'a> {
    fn new(tree: &'a Tree, after: Timestamp, up_to: Timestamp, share: Share) -> DeltaChanges<'a> {
        let (ready, keys) = (VecDeque::new(), tree.delta.len() as u64);
        DeltaChanges { tree, after, up_to, ready, position: None, exhausted: false, share, keys, visited: 0 }
    }

    fn refill(&mut self) {
        const BATCH: usize = 512;
        while self.ready.is_empty() && !self.exhausted {
            let (after, up_to, ready) = (self.after, self.up_to, &mut self.ready);
            let next = self.tree.delta.walk(self.position.as_ref(), BATCH, &mut |key, chain| {
                let chain = chain.lock();
                for version in chain.versions.iter().rev() {
                    match version.writer.status() {
                        WriterStatus::Committed(at) if at <= after => return,
                        WriterStatus::Committed(at) if at <= up_to => {
                            ready.push_back((key.clone(), version.value.clone(), at));
                            return;
                        }
                        _ => {}
                    }
                }
            });
            self.exhausted = next.is_none();
            self.position = next;
            self.visited += BATCH as u64;
            let Share { before, of_tree, all } = self.share;
            let done = before + of_tree / self.keys.max(1) * self.visited.min(self.keys);
            let progress = (done.saturating_mul(1000) / all).min(999);
            self.tree.shared.fold_progress.store(progress, Ordering::Relaxed);
        }
    }
}

impl DeltaChanges<'_> {
    fn peek(&mut self) -> Option<&Changed> {
        if self.ready.is_empty() {
            self.refill();
        }
        self.ready.front()
    }

    fn advance(&mut self) {
        self.ready.pop_front();
    }
}

/// What a tree's delta and its layers changed, the newest of each key.
struct TreeChanges<'a> {
    delta: DeltaChanges<'a>,
    layers: LayerScan,
    /// The next key and its value, where a layer has a say in it.
    next: Option<(Vec<u8>, Option<Vec<u8>>)>,
    /// A page of a layer could not be read: what came out is not all.
    failed: Result<()>,
}

impl<'a> TreeChanges<'a> {
    fn new(tree: &'a Tree, after: Timestamp, up_to: Timestamp, share: Share) -> Result<TreeChanges<'a>> {
        let committed = |layer: &&Arc<Layer>| matches!(layer.writer.status(), WriterStatus::Committed(at) if at > after && at <= up_to);
        let layers: Vec<Arc<Layer>> =
            tree.layers().iter().flat_map(|layers| layers.iter()).filter(committed).cloned().collect();
        let mut scan = LayerScan::new(Direction::Forward);
        scan.seek(&layers, Bound::Unbounded, Bound::Unbounded)?;
        let delta = DeltaChanges::new(tree, after, up_to, share);
        Ok(TreeChanges { delta, layers: scan, next: None, failed: Ok(()) })
    }

    /// Takes the next key off the layers if it comes before the delta's, or with it.
    fn fill(&mut self) {
        if self.layers.is_empty() {
            return;
        }
        while self.next.is_none() && self.failed.is_ok() {
            let Some(key) = self.layers.key() else { return };
            let in_delta = match self.delta.peek() {
                Some((other, ..)) if other.as_slice() < key => return,
                Some((other, value, at)) if other.as_slice() == key => Some((value.as_deref(), *at)),
                _ => None,
            };
            let key = key.to_vec();
            let mut newest = in_delta.map(|(value, at)| (value.map(<[u8]>::to_vec), at));
            // Of one commit, the delta's version is the later one; among layers, the one later in the list.
            let chain_at = newest.as_ref().map(|(_, at)| *at);
            let taken = self.layers.take(&key, Bound::Unbounded, &mut |layer, entry| {
                let WriterStatus::Committed(at) = layer.writer.status() else { return Ok(()) };
                if chain_at.is_some_and(|chain| chain >= at)
                    || newest.as_ref().is_some_and(|(_, known)| *known > at)
                {
                    return Ok(());
                }
                if let Some(version) = layer.newest(entry, None)? {
                    newest = Some((version.value.map(<[u8]>::to_vec), at));
                }
                Ok(())
            });
            if chain_at.is_some() {
                self.delta.advance();
            }
            self.failed = taken;
            // Nothing where all of it was rolled back to a savepoint.
            self.next = newest.map(|(value, _)| (key, value));
        }
    }
}

impl Changes for TreeChanges<'_> {
    fn peek(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        self.fill();
        if self.failed.is_err() {
            return None;
        }
        match &self.next {
            Some((key, value)) => Some((key, value.as_deref())),
            None => self.delta.peek().map(|(key, value, _)| (key.as_slice(), value.as_deref())),
        }
    }

    fn advance(&mut self) {
        if self.next.take().is_none() {
            self.delta.advance();
        }
    }
}

/// New roots, in the order of their trees' ids.
struct DirectoryChanges {
    changes: VecDeque<([u8; 8], Option<Vec<u8>>)>,
}

impl DirectoryChanges {
    fn new(roots: Vec<(TreeId, Option<TreeRoot>)>) -> DirectoryChanges {
        let encode = |(tree, root): (TreeId, Option<TreeRoot>)| {
            (tree.0.to_be_bytes(), root.map(|root| encode_root(&root).to_vec()))
        };
        DirectoryChanges { changes: roots.into_iter().map(encode).collect() }
    }
}

impl Changes for DirectoryChanges {
    fn peek(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        self.changes.front().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    fn advance(&mut self) {
        self.changes.pop_front();
    }
}

// ---------------------------------------------------------------------------------------------------------
// Trimming

pub(crate) fn trim(shared: &Shared) {
    let mut state = shared.fold.lock();
    trim_locked(shared, &mut state);
}

/// Step 8, as far as live snapshots allow.
fn trim_locked(shared: &Shared, state: &mut FoldState) {
    let (limit, needs) = shared.registry.trim_limit();
    if state.trimmed_for != needs {
        let live = shared.registry.live(|| shared.wal.watermark());
        let live = live.borrow();
        for tree in shared.trees_by_id() {
            trim_tree(&tree, &live);
            tree.trim_layers(&live);
            if tree.created_at.load(Ordering::Acquire) <= limit.0 {
                // Every live generation knows the tree, or knows it to be dropped.
                tree.set_initial_base(None);
            }
            if tree.dropped_at.load(Ordering::Acquire) <= limit.0 {
                shared.forget_tree(tree.id());
            }
        }
    }
    shared.alloc.lock().release_pending(&needs.generations());
    state.trimmed_for = needs;
    shared.delta_bytes_left.store(shared.delta_bytes(), Ordering::Relaxed);
}

/// Gives the space of free pages back to the file system: those at the end by cutting the file, others as holes in it. They are
/// free in the generation in force, so nothing that a crash leaves refers to them.
pub(crate) fn give_back_space(shared: &Shared) -> Result<()> {
    /// A hole for each smaller run would cost more than it gives.
    const RUN_PAGES_MIN: u64 = 8;
    let _fold = shared.fold.lock();
    shared.wal.check_running()?;
    // The file is cut under the mutex, or somebody might have grown it again in between.
    {
        let mut alloc = shared.alloc.lock();
        if let Some(pages) = alloc.cut_tail() {
            shared.pager.file.truncate(pages * PAGE_SIZE as u64).context("truncate", &shared.pager.path)?;
        }
    }
    let runs = shared.alloc.lock().take_free_runs(RUN_PAGES_MIN);
    let mut result = Ok(());
    for (first, count) in &runs {
        let (offset, bytes) = (first.0 * PAGE_SIZE as u64, count * PAGE_SIZE as u64);
        result =
            result.and_then(|()| shared.pager.file.punch(offset, bytes).context("punch", &shared.pager.path));
    }
    let mut alloc = shared.alloc.lock();
    runs.iter().for_each(|(first, count)| alloc.give_back(*first, *count));
    result
}

fn trim_tree(tree: &Tree, live: &LiveSnapshots<'_>) {
    const BATCH: usize = 512;
    let mut position = None;
    loop {
        position = tree.delta.walk(position.as_ref(), BATCH, &mut |key, chain| {
            let mut chain_state = chain.lock();
            let freed = chain_state.prune(live);
            tree.delta.account(-(freed as i64));
            tree.delta.bury_if_empty(key.as_slice(), chain, chain_state);
        });
        if position.is_none() {
            return;
        }
    }
}

// ---------------------------------------------------------------------------------------------------------
// What a fold wrote, read back

pub(crate) fn write_meta(pager: &Pager, meta: &Meta) -> Result<()> {
    pager.file.write_at(&meta.encode(), meta.page().0 * PAGE_SIZE as u64).context("write", &pager.path)?;
    if planted(Mutation::SkipMetaSync) {
        return Ok(());
    }
    pager.sync()
}

pub(crate) fn read_directory(pager: &Pager, directory: &TreeRoot) -> Result<HashMap<TreeId, TreeRoot>> {
    let mut roots = HashMap::new();
    let mut cursor = BaseCursor::new(Direction::Forward);
    cursor.seek(pager, directory, Bound::Unbounded, Bound::Unbounded)?;
    while let Some((key, value)) = cursor.entry(pager)? {
        let id = <[u8; 8]>::try_from(key).ok().map(|key| TreeId(u64::from_be_bytes(key)));
        let (Some(id), Some(root)) = (id, decode_root(value)) else {
            return Err(pager.corrupt(directory.page, "an entry of the tree directory is malformed".into()));
        };
        roots.insert(id, root);
        cursor.advance(pager, Bound::Unbounded)?;
    }
    Ok(roots)
}

/// The free extents, and the pages that hold the list.
pub(crate) fn read_free_list(pager: &Pager, meta: &Meta) -> Result<(Extents, Vec<PageId>)> {
    let mut free = Extents::default();
    let mut pages = Vec::new();
    let mut next = meta.free_list;
    while next != PageId(0) {
        let page = pager.read_uncached(next)?;
        pages.push(next);
        if page.kind() != PageKind::FreeList || pages.len() as u64 > meta.page_count {
            return Err(pager.corrupt(next, format!("page {next} does not continue the free list")));
        }
        for (first, count) in page.extents() {
            let end = first.0.checked_add(count);
            if first.0 < 2 || end.is_none_or(|end| end > meta.page_count) || !free.add(first, count) {
                return Err(pager.corrupt(next, format!("the free list names pages {first}+{count} wrongly")));
            }
        }
        next = page.next();
    }
    Ok((free, pages))
}
