//! A tree as its users see it: point reads, heads, cursors.

use crate::base::{self, TreeRoot};
use crate::bulk::BulkLoader;
use crate::cursor::Cursor;
use crate::cursor::as_slice;
use crate::delta::{DeltaIndex, Found, LiveSnapshots, Skipped, Version};
use crate::layer::{Best, Layer, LayerScan, merge_layers, read_layers};
use crate::page::Page;
use crate::snapshot::Generation;
use crate::store::Shared;
use crate::{CommandId, Error, Result, Snapshot, Timestamp, TreeId, WriterState, WriterStatus};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A value read from a tree: shares the page or the version it lives in, so cloning copies no bytes.
#[derive(Clone)]
pub struct Value(Bytes);

#[derive(Clone)]
enum Bytes {
    Owned(Arc<[u8]>),
    InPage { page: Arc<Page>, start: u16, bytes: u16 },
    Empty,
}

impl Value {
    pub(crate) fn empty() -> Value {
        Value(Bytes::Empty)
    }

    pub(crate) fn from_bytes(bytes: Arc<[u8]>) -> Value {
        Value(Bytes::Owned(bytes))
    }

    pub(crate) fn in_page(page: Arc<Page>, start: u16, bytes: u16) -> Value {
        Value(Bytes::InPage { page, start, bytes })
    }

    /// Like assigning `in_page`, but keeps the share of the page when it is the same one.
    #[inline]
    pub(crate) fn move_in_page(&mut self, page: &Arc<Page>, start: u16, bytes: u16) {
        if let Bytes::InPage { page: held, start: held_start, bytes: held_bytes } = &mut self.0
            && Arc::ptr_eq(held, page)
        {
            (*held_start, *held_bytes) = (start, bytes);
        } else {
            *self = Value::in_page(page.clone(), start, bytes);
        }
    }
}

impl std::ops::Deref for Value {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Owned(bytes) => bytes,
            Bytes::InPage { page, start, bytes } => {
                &page.bytes()[*start as usize..*start as usize + *bytes as usize]
            }
            Bytes::Empty => &[],
        }
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
        command: CommandId,
        exists: bool,
    },
}

pub struct Tree {
    id: TreeId,
    pub(crate) shared: Arc<Shared>,
    pub(crate) delta: DeltaIndex,
    /// Between delta and base, oldest first.
    layers: parking_lot::RwLock<Arc<[Arc<Layer>]>>,
    layer_count: AtomicUsize,
    /// Moves on with every change of the list.
    layer_epoch: AtomicU64,
    /// A bulk-loaded base, for generations older than the first fold that knows the tree.
    initial_base: parking_lot::RwLock<Option<TreeRoot>>,
    /// Commit timestamps, [`NEVER`] until then.
    pub(crate) created_at: AtomicU64,
    pub(crate) dropped_at: AtomicU64,
    /// The newest commit that wrote here: tells whether a fold has anything to do.
    pub(crate) last_commit: AtomicU64,
}

pub(crate) const NEVER: u64 = u64::MAX;

/// Remembers where a tree was read last, and holds the few pages on the way there: keep it no longer than a statement.
#[derive(Default)]
pub struct Finger {
    tree: Option<TreeId>,
    base: base::Finger,
}

impl Tree {
    pub const KEY_BYTES_MAX: usize = 2048;
    /// PostgreSQL's limit for a field; a transaction that needs more is out of memory by definition.
    pub const VALUE_BYTES_MAX: usize = 1 << 30;

    /// Refuses what does not fit the formats on disk.
    pub(crate) fn check_size(key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if key.len() > Tree::KEY_BYTES_MAX {
            return Err(Error::KeyTooLarge { bytes: key.len(), max: Tree::KEY_BYTES_MAX });
        }
        match value {
            Some(value) if value.len() > Tree::VALUE_BYTES_MAX => Err(Error::DeltaFull {
                used_bytes: value.len() as u64,
                budget_bytes: Tree::VALUE_BYTES_MAX as u64,
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn new(id: TreeId, shared: Arc<Shared>, created_at: u64) -> Tree {
        Tree {
            id,
            delta: DeltaIndex::new(shared.delta_bytes.clone()),
            shared,
            layers: parking_lot::RwLock::new(Arc::from([])),
            layer_count: AtomicUsize::new(0),
            layer_epoch: AtomicU64::new(0),
            initial_base: parking_lot::RwLock::new(None),
            created_at: AtomicU64::new(created_at),
            dropped_at: AtomicU64::new(NEVER),
            last_commit: AtomicU64::new(0),
        }
    }

    pub fn id(&self) -> TreeId {
        self.id
    }

    pub fn get(&self, view: View<'_>, key: &[u8], observer: &mut dyn ReadObserver) -> Result<Option<Value>> {
        self.find(view, key, observer, None)
    }

    /// As [`Tree::get`], from where the tree was read last: for many keys, best in order.
    pub fn get_near(
        &self,
        view: View<'_>,
        key: &[u8],
        observer: &mut dyn ReadObserver,
        finger: &mut Finger,
    ) -> Result<Option<Value>> {
        if finger.tree != Some(self.id) {
            *finger = Finger { tree: Some(self.id), base: base::Finger::default() };
        }
        self.find(view, key, observer, Some(&mut finger.base))
    }

    fn find(
        &self,
        view: View<'_>,
        key: &[u8],
        observer: &mut dyn ReadObserver,
        finger: Option<&mut base::Finger>,
    ) -> Result<Option<Value>> {
        view.snapshot.check_tracking()?;
        if view.horizon <= view.snapshot.timestamp() {
            let result = self.get_in(&view.snapshot.generation, view, key, observer, finger);
            return result.map_err(|error| error.in_tree(self.id));
        }
        // The latest state. What no base contains yet is here for certain; else the newest version may have gone into a
        // newer base than the snapshot's: look again with the current one pinned.
        if !self.delta.is_empty() {
            let mut skipped = Skipped::new();
            let folded = self.shared.registry.folded();
            let (found, seen_at) = self.delta.read(key, &view, folded, &mut skipped);
            if !matches!(found, Found::Nothing) && self.layers().is_none() {
                report(observer, key, &skipped, seen_at);
                return Ok(if let Found::Value(bytes) = found {
                    Some(Value::from_bytes(bytes))
                } else {
                    None
                });
            }
        }
        let current = self.shared.snapshot();
        self.get_in(&current.generation, view, key, observer, finger).map_err(|error| error.in_tree(self.id))
    }

    /// Reads above, then from, the base of a generation that is pinned.
    fn get_in(
        &self,
        generation: &Generation,
        view: View<'_>,
        key: &[u8],
        observer: &mut dyn ReadObserver,
        finger: Option<&mut base::Finger>,
    ) -> Result<Option<Value>> {
        let mut skipped = Skipped::new();
        let mut found = Found::Nothing;
        let mut seen_at = None;
        if !self.delta.is_empty() {
            (found, seen_at) = self.delta.read(key, &view, generation.fold_ts, &mut skipped);
        }
        // After the chain: `layer.rs`, rule 1.
        if let Some(layers) = self.layers() {
            let mut best = Best::of_chain(found, seen_at);
            read_layers(&layers, key, &view, generation.fold_ts, &mut skipped, &mut best)?;
            (found, seen_at) = (best.found, best.seen_at);
        }
        report(observer, key, &skipped, seen_at);
        match found {
            Found::Value(bytes) => Ok(Some(Value::from_bytes(bytes))),
            Found::Tombstone => Ok(None),
            Found::Nothing => {
                let (pager, root) = (&self.shared.pager, self.root_in(generation));
                match finger {
                    Some(finger) => finger.get(pager, generation.number, &root, key),
                    None => base::get(pager, &root, key),
                }
            }
        }
    }

    /// The state a writer must judge: an in-progress version if there is one, else the latest committed one.
    pub fn head(&self, key: &[u8]) -> Result<Head> {
        let folded = self.shared.registry.folded();
        match self.head_in_delta(key) {
            Some(head @ Head::InProgress { .. }) => Ok(head),
            Some(head @ Head::Committed { at, .. }) if at > folded && self.layers().is_none() => Ok(head),
            _ => self.head_of_new(key),
        }
    }

    /// As [`Tree::head`], for a key that is probably not there: one look at the delta less then, one more where it is.
    pub fn head_of_new(&self, key: &[u8]) -> Result<Head> {
        self.pinned_head(key).map_err(|error| error.in_tree(self.id))
    }

    fn pinned_head(&self, key: &[u8]) -> Result<Head> {
        // Pin the generation, then look (again): while it is pinned, what is newer than it stays in the delta, so
        // absence there means that this generation's base is the latest state.
        let snapshot = self.shared.snapshot();
        let folded = snapshot.generation.fold_ts;
        let mut head = self.head_in_delta(key);
        if matches!(head, Some(Head::Committed { at, .. }) if at <= folded) {
            head = None;
        }
        if let Some(layers) = self.layers() {
            head = head_in_layers(&layers, key, folded, head)?;
        }
        if let Some(head) = head {
            return Ok(head);
        }
        let exists = base::get(&self.shared.pager, &self.root_in(&snapshot.generation), key)?.is_some();
        Ok(Head::Base { exists })
    }

    /// Whether the latest committed state of `key`, which is in the base, is another than the snapshot sees. A key
    /// changed since a fold that the snapshot is older than leaves no trace but its value.
    pub fn differs_from(&self, snapshot: &Snapshot, key: &[u8]) -> Result<bool> {
        if snapshot.is_of_current_generation() {
            return Ok(false);
        }
        let mut view = View { snapshot, horizon: snapshot.timestamp(), own: None };
        let seen = self.get(view, key, &mut ())?;
        view.horizon = Timestamp::MAX;
        Ok(seen.as_deref() != self.get(view, key, &mut ())?.as_deref())
    }

    fn head_in_delta(&self, key: &[u8]) -> Option<Head> {
        let chain = self.delta.get(key)?;
        let state = chain.lock();
        for version in state.versions.iter().rev() {
            let (writer, exists) = (version.writer.clone(), version.value.is_some());
            match writer.status() {
                WriterStatus::Aborted => continue,
                WriterStatus::InProgress => {
                    let (intent, command) = (version.intent, version.command);
                    return Some(Head::InProgress { writer, intent, command, exists });
                }
                WriterStatus::Committed(at) => return Some(Head::Committed { at, exists, writer }),
            }
        }
        None
    }

    /// The first command at or after `since` of whoever has a version of the key in progress that wrote it.
    pub fn first_command_in_progress(&self, key: &[u8], since: CommandId) -> Result<Option<CommandId>> {
        let mut first = None;
        let mut met = |command| {
            if command >= since && first.is_none_or(|known| command < known) {
                first = Some(command);
            }
        };
        if let Some(chain) = self.delta.get(key) {
            let state = chain.lock();
            let in_progress = |version: &&Version| version.writer.status() == WriterStatus::InProgress;
            state.versions.iter().filter(in_progress).for_each(|version| met(version.command));
        }
        for layer in self.layers().iter().flat_map(|layers| layers.iter()) {
            layer.commands_in_progress(key, &mut met)?;
        }
        Ok(first)
    }

    // ---- layers ----

    /// What lies between delta and base; `None` when nothing does.
    #[inline]
    pub(crate) fn layers(&self) -> Option<Arc<[Arc<Layer>]>> {
        if self.layer_count.load(Ordering::Acquire) == 0 { None } else { Some(self.layers.read().clone()) }
    }

    #[inline]
    pub fn layer_epoch(&self) -> u64 {
        self.layer_epoch.load(Ordering::Acquire)
    }

    pub(crate) fn change_layers(&self, change: impl FnOnce(&mut Vec<Arc<Layer>>)) {
        let replaced = {
            let mut layers = self.layers.write();
            let mut list = layers.to_vec();
            change(&mut list);
            self.layer_count.store(list.len(), Ordering::Release);
            let replaced = std::mem::replace(&mut *layers, list.into());
            self.layer_epoch.fetch_add(1, Ordering::AcqRel);
            replaced
        };
        // Layers may be dropped with it, which takes locks.
        drop(replaced);
    }

    pub(crate) fn layers_of(&self, writer: &Arc<WriterState>) -> Vec<Arc<Layer>> {
        let layers = self.layers().unwrap_or_else(|| Arc::from([]));
        layers.iter().filter(|layer| Arc::ptr_eq(&layer.writer, writer)).cloned().collect()
    }

    /// Rule 5 of `layer.rs`, for the newest layers of a writer.
    pub(crate) fn compact_layers(self: &Arc<Self>, writer: &Arc<WriterState>) -> Result<()> {
        loop {
            let own = self.layers_of(writer);
            let Some(level) = own.last().map(|layer| layer.level) else { return Ok(()) };
            let run = own.iter().rev().take_while(|layer| layer.level == level).count();
            if level == u8::MAX || run < crate::layer::FAN_IN {
                return Ok(());
            }
            let merged = &own[own.len() - run..];
            let layer = merge_layers(self, merged)?;
            self.change_layers(|list| {
                let at = list.iter().position(|listed| Arc::ptr_eq(listed, &merged[0]));
                let at = at.expect("only their writer takes layers out");
                list.retain(|listed| !merged.iter().any(|merged| Arc::ptr_eq(merged, listed)));
                if let Some(layer) = layer {
                    list.insert(at, layer);
                }
            });
        }
    }

    /// Forgets layers by the rule that versions in the delta go by.
    pub(crate) fn trim_layers(&self, live: &LiveSnapshots<'_>) {
        if self.layers().is_some() {
            let done = |layer: &Layer| matches!(layer.writer.status(), WriterStatus::Committed(at) if live.may_forget(at));
            self.change_layers(|list| list.retain(|layer| !done(layer)));
        }
    }

    /// Whether no key in the range has anything: no version of anybody's in the delta or a layer, committed or not, nothing in
    /// the base. Only as good as what keeps others from writing meanwhile.
    pub fn is_vacant(&self, range: &KeyRange) -> Result<bool> {
        let (start, end) = (as_slice(&range.start), as_slice(&range.end));
        let snapshot = self.shared.snapshot();
        {
            let guard = crossbeam_epoch::pin();
            let mut delta = self.delta.scan(&guard);
            delta.seek_forward(start);
            let beyond = |key: &[u8]| match end {
                Bound::Included(end) => key > end,
                Bound::Excluded(end) => key >= end,
                Bound::Unbounded => false,
            };
            if delta.key().is_some_and(|key| !beyond(key)) {
                return Ok(false);
            }
        }
        // After the chains: `layer.rs`, rule 1.
        if let Some(layers) = self.layers() {
            let mut scan = LayerScan::new(Direction::Forward);
            scan.seek(&layers, start, end)?;
            if !scan.is_empty() {
                return Ok(false);
            }
        }
        let mut cursor = base::BaseCursor::new(Direction::Forward);
        cursor.seek(&self.shared.pager, &self.root_in(&snapshot.generation), start, end)?;
        Ok(cursor.key().is_none())
    }

    /// Nothing was ever written to it: a bulk load may.
    pub fn is_untouched(&self) -> bool {
        self.created_at.load(Ordering::Acquire) == NEVER
            && self.delta.is_empty()
            && self.initial_base().is_none()
            && self.layers().is_none()
    }

    /// The newest committed version of `key`, if no base contains it alone: when, and by whom.
    pub fn newest_committed_in_delta(&self, key: &[u8]) -> Option<(Timestamp, crate::WriterId)> {
        let in_chain = self.delta.get(key).and_then(|chain| {
            let state = chain.lock();
            state.versions.iter().rev().find_map(|version| match version.writer.status() {
                WriterStatus::Committed(at) => Some((at, version.writer.id())),
                WriterStatus::InProgress | WriterStatus::Aborted => None,
            })
        });
        let layers = self.layers();
        let in_layers = layers.iter().flat_map(|layers| layers.iter()).filter_map(|layer| {
            // A page that can't be read is reported by the read that wants the value.
            let found = layer.committed(Timestamp::ZERO, key).ok().flatten();
            found.map(|(at, _)| (at, layer.writer.id()))
        });
        in_chain.into_iter().chain(in_layers).max_by_key(|(at, _)| *at)
    }

    /// Whether all that was committed to `key` above `ts` left the row's identity alone ([`crate::Intent::Modify`]). False also
    /// where the delta does not tell.
    pub fn only_modified_since(&self, key: &[u8], ts: Timestamp) -> bool {
        if self.layers().is_some() {
            return false;
        }
        let Some(chain) = self.delta.get(key).filter(|_| self.layers().is_none()) else { return false };
        let state = chain.lock();
        let newer = |version: &&Version| match version.writer.status() {
            WriterStatus::Committed(at) => at > ts,
            WriterStatus::InProgress | WriterStatus::Aborted => false,
        };
        let mut newer = state.versions.iter().filter(newer).peekable();
        // What an older snapshot than the current generation's may ask for can have gone into the base in part.
        newer.peek().is_some()
            && ts >= self.shared.registry.folded()
            && newer.all(|version| version.intent == crate::Intent::Modify && version.value.is_some())
    }

    /// A cursor at one end of the range. It holds no latch and no epoch guard between batches.
    pub fn cursor(self: &Arc<Self>, range: KeyRange, direction: Direction) -> Cursor {
        Cursor::new(self.clone(), range, direction)
    }

    /// Entries in base and delta, roughly; for the planner.
    pub fn entry_count_estimate(&self) -> u64 {
        self.root_in(&self.shared.registry.current()).entries
            + self.delta.len() as u64
            + self.layers().map_or(0, |layers| layers.iter().map(|layer| layer.load.root.entries).sum())
    }

    /// Bytes of base pages and delta, roughly.
    pub fn size_bytes_estimate(&self) -> u64 {
        let root = self.root_in(&self.shared.registry.current());
        let layers = self.layers().map_or(0, |layers| layers.iter().map(|layer| layer.load.root.pages).sum());
        (root.pages + layers) * crate::page::PAGE_SIZE as u64 + self.delta.bytes()
    }

    /// Loads strictly ascending keys straight into base pages: only for a tree that the writer created and that is
    /// still empty. Nothing of it is logged but the pages' extents; they are synced before the commit record.
    pub fn bulk_loader(self: &Arc<Self>) -> Result<BulkLoader> {
        BulkLoader::new(self.clone())
    }

    /// The base as `generation` sees it.
    #[inline]
    pub(crate) fn root_in(&self, generation: &Generation) -> TreeRoot {
        match generation.roots.get(&self.id) {
            Some(root) => *root,
            None => self.initial_base.read().unwrap_or_default(),
        }
    }

    pub(crate) fn set_initial_base(&self, root: Option<TreeRoot>) {
        *self.initial_base.write() = root;
    }

    pub(crate) fn initial_base(&self) -> Option<TreeRoot> {
        *self.initial_base.read()
    }

    /// A statement about the past of commits at or below `ts`, which must not be in flux.
    pub(crate) fn exists_at(&self, ts: Timestamp) -> bool {
        self.created_at.load(Ordering::Acquire) <= ts.0 && self.dropped_at.load(Ordering::Acquire) > ts.0
    }
}

fn report(observer: &mut dyn ReadObserver, key: &[u8], skipped: &Skipped, seen_at: Option<Timestamp>) {
    skipped.iter().for_each(|writer| observer.skipped(key, writer));
    if let Some(at) = seen_at {
        observer.saw(key, at);
    }
}

/// The head, given what the chain has of it that no base contains.
fn head_in_layers(
    layers: &[Arc<Layer>],
    key: &[u8],
    folded: Timestamp,
    mut head: Option<Head>,
) -> Result<Option<Head>> {
    for layer in layers.iter().rev() {
        if matches!(head, Some(Head::InProgress { .. })) {
            break;
        }
        if let Some((intent, command, exists)) = layer.in_progress(key)? {
            head = Some(Head::InProgress { writer: layer.writer.clone(), intent, command, exists });
        } else if let Some((at, exists)) = layer.committed(folded, key)?
            && !matches!(head, Some(Head::Committed { at: known, .. }) if known >= at)
        {
            head = Some(Head::Committed { at, exists, writer: layer.writer.clone() });
        }
    }
    Ok(head)
}
