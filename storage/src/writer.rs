//! A writing transaction as storage sees it: its state word, its write set, its commit.
//!
//! The write set is kept in memory up to [`StoreOptions::writer_bytes_max`](crate::StoreOptions); beyond that the
//! versions move into layers on disk (`layer.rs`), and what the commit record says of them is where those are.
//! Every change has a *place*, a number that ascends; savepoints are places.

use crate::archive::now_microseconds;
use crate::bulk::BulkLoad;
use crate::delta::{CHAIN_OVERHEAD_BYTES, Chain, DeltaKey, Version};
use crate::layer::{Layer, LayerBuilder, LayerVersion, encode_version, put_version};
use crate::mutation::{Mutation, planted};
use crate::store::Shared;
use crate::tree::NEVER;
use crate::wal::{Operation, encode_operation};
use crate::{CommandId, Error, PageId, Result, Timestamp, Tree, TreeId, WriterId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

mod pending;
pub use pending::Pending;

/// How strongly an in-progress version claims its row. `Modify` leaves the key alone, so that it does not
/// conflict with a `FOR KEY SHARE` lock (PostgreSQL's NO KEY UPDATE); `Replace` covers insert, delete and key changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    Modify,
    Replace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriterStatus {
    InProgress,
    Committed(Timestamp),
    Aborted,
}

const WORD_IN_PROGRESS: u64 = 0;
const WORD_ABORTED: u64 = 1;
const WORD_COMMITTED: u64 = 2;
const WORD_SHIFT: u32 = 2;

/// Shared by every version a transaction wrote: commit is one atomic store here.
pub struct WriterState {
    id: WriterId,
    /// In progress, aborted, or committed with the timestamp above two tag bits. Changes once.
    word: AtomicU64,
}

impl WriterState {
    pub(crate) fn new(id: WriterId) -> WriterState {
        WriterState { id, word: AtomicU64::new(WORD_IN_PROGRESS) }
    }

    pub(crate) fn committed(id: WriterId, at: Timestamp) -> WriterState {
        WriterState { id, word: AtomicU64::new(at.0 << WORD_SHIFT | WORD_COMMITTED) }
    }

    pub fn id(&self) -> WriterId {
        self.id
    }

    // Acquire pairs with the release in `decide`: who sees the commit sees all that happened before it.
    #[inline]
    pub fn status(&self) -> WriterStatus {
        match self.word.load(Ordering::Acquire) {
            WORD_IN_PROGRESS => WriterStatus::InProgress,
            WORD_ABORTED => WriterStatus::Aborted,
            word => WriterStatus::Committed(Timestamp(word >> WORD_SHIFT)),
        }
    }

    fn decide(&self, word: u64) {
        let before = self.word.swap(word, Ordering::AcqRel);
        assert_eq!(before, WORD_IN_PROGRESS, "a transaction ends once");
    }
}

/// The newest version of the key belongs to another transaction that is still in progress.
pub struct WriteConflict {
    pub writer: Arc<WriterState>,
    pub intent: Intent,
}

/// A position in the write set to roll back to (a savepoint).
#[derive(Clone, Copy, Debug)]
pub struct Mark(pub(crate) u32);

/// What the transaction did, in order.
enum Change {
    /// A version was put on this chain; the tree is an index into `Writer::trees`.
    Version {
        tree: u32,
        key: DeltaKey,
        chain: Arc<Chain>,
    },
    CreateTree(Arc<Tree>),
    DropTree(TreeId),
    BulkLoad(Arc<Tree>, BulkLoad),
}

/// What a change takes beside its version: here, and for a chain of its own.
const CHANGE_BYTES: u64 = (size_of::<(u32, Change)>() + CHAIN_OVERHEAD_BYTES) as u64;

/// The write set of one transaction. Dropping it without [`Writer::commit`] rolls back.
pub struct Writer {
    shared: Arc<Shared>,
    state: Arc<WriterState>,
    /// By place. Versions that moved into layers are not here any more.
    changes: Vec<(u32, Change)>,
    next_place: u32,
    /// Versions below this place moved into layers.
    spilled: u32,
    /// Trees written to.
    trees: Vec<Arc<Tree>>,
    /// The newest mark: versions below it must stay as they are. Atomic only because `mark` takes `&self`.
    mark_floor: AtomicU32,
    /// Delta bytes of this write set, roughly.
    bytes: u64,
    /// What back-pressure has this writer still to wait.
    debt: Duration,
    ended: bool,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, id: WriterId) -> Writer {
        Writer {
            shared,
            state: Arc::new(WriterState::new(id)),
            changes: Vec::new(),
            next_place: 0,
            spilled: 0,
            trees: Vec::new(),
            mark_floor: AtomicU32::new(0),
            bytes: 0,
            debt: Duration::ZERO,
            ended: false,
        }
    }

    pub fn state(&self) -> &Arc<WriterState> {
        &self.state
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.spilled == 0
    }

    /// Changes that are kept in memory.
    pub fn change_count(&self) -> usize {
        self.changes.len()
    }

    /// To be called before each [`Writer::install`], where waiting and file access do no harm to others: waits as long
    /// as back-pressure demands, and moves the writer's changes to disk when they have become too many for memory.
    #[inline]
    pub fn admit(&mut self) -> Result<()> {
        if self.shared.needs_no_admission(self.bytes) { Ok(()) } else { self.admit_slowly() }
    }

    #[cold]
    fn admit_slowly(&mut self) -> Result<()> {
        if self.shared.should_spill(self.bytes) {
            let shared = self.shared.clone();
            shared.options.blocking.call(|| self.spill())?;
        }
        self.shared.throttle(&mut self.debt)
    }

    /// Puts a version on the key's chain: `None` is a tombstone. Checks under the chain's mutex that no other
    /// writer's in-progress version is on top; a conflict changes nothing. Whether a *committed* newer version
    /// may be overwritten is the caller's business.
    pub fn install(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        value: Option<&[u8]>,
        intent: Intent,
        command: CommandId,
    ) -> Result<Result<(), WriteConflict>> {
        Tree::check_size(key, value)?;
        self.shared.refuse_when_full()?;
        let mut version = Version {
            writer: self.state.clone(),
            value: value.map(Arc::from),
            command,
            write_index: self.next_place,
            intent,
        };
        loop {
            // Before the chain is locked, for it may read pages; whether it still holds is seen under the lock.
            let epoch = tree.layer_epoch();
            for layer in tree.layers().iter().flat_map(|layers| layers.iter()) {
                if let Some((held, ..)) = layer.in_progress(key)? {
                    if !Arc::ptr_eq(&layer.writer, &self.state) {
                        return Ok(Err(WriteConflict { writer: layer.writer.clone(), intent: held }));
                    }
                    if held == Intent::Replace {
                        version.intent = Intent::Replace;
                    }
                }
            }
            let chain = tree.delta.get_or_insert(key);
            let mut state = chain.lock();
            if state.dead {
                drop(state);
                tree.delta.remove_dead(key, &chain);
                continue;
            }
            if tree.layer_epoch() != epoch {
                tree.delta.bury_if_empty(key, &chain, state);
                continue;
            }
            let mut delta_bytes = version.bytes() as i64;
            if state.versions.last().is_some_and(|top| top.writer.status() == WriterStatus::Aborted) {
                delta_bytes -= state.drop_aborted() as i64;
            }
            if let Some(top) = state.versions.last_mut() {
                let own = Arc::ptr_eq(&top.writer, &self.state);
                if !own && top.writer.status() == WriterStatus::InProgress {
                    return Ok(Err(WriteConflict { writer: top.writer.clone(), intent: top.intent }));
                }
                if own && top.intent == Intent::Replace {
                    version.intent = Intent::Replace;
                }
                let floor = *self.mark_floor.get_mut();
                if own && top.command == command && top.write_index >= floor {
                    delta_bytes -= top.bytes() as i64;
                    version.write_index = top.write_index;
                    *top = version;
                    drop(state);
                    tree.delta.account(delta_bytes);
                    self.bytes = self.bytes.saturating_add_signed(delta_bytes);
                    return Ok(Ok(()));
                }
            }
            let own_bytes = version.bytes() as u64 + CHANGE_BYTES;
            state.versions.push(version);
            if state.wants_pruning() {
                delta_bytes -= self.shared.with_live_snapshots(|live| state.prune(live)) as i64;
            }
            drop(state);
            tree.delta.account(delta_bytes);
            self.bytes += own_bytes;
            let tree = self.tree_index(tree);
            let place = self.take_place()?;
            self.changes.push((place, Change::Version { tree, key: DeltaKey::new(key), chain }));
            return Ok(Ok(()));
        }
    }

    fn take_place(&mut self) -> Result<u32> {
        let place = self.next_place;
        // Refused one early: this place may be used still.
        let Some(next) = place.checked_add(1).filter(|next| *next < u32::MAX) else {
            return Err(Error::DeltaFull { used_bytes: self.bytes, budget_bytes: u64::from(u32::MAX) });
        };
        self.next_place = next;
        Ok(place)
    }

    fn push_change(&mut self, change: Change) {
        // These are few; a version is refused long before places run out for them.
        self.changes.push((self.next_place, change));
        self.next_place += 1;
    }

    /// Moves all versions in memory into layers, one for each tree. On an error some trees' are there and others
    /// in memory still, which is as good.
    fn spill(&mut self) -> Result<()> {
        // From here on, even if it fails half-way: places that a layer refers to are not used again.
        self.spilled = self.next_place;
        for index in 0..self.trees.len() as u32 {
            let of_tree = |change: &Change| matches!(change, Change::Version { tree, .. } if *tree == index);
            let first = self.changes.iter().find(|(_, change)| of_tree(change)).map(|(place, _)| *place);
            let places = (first.unwrap_or_default(), self.next_place);
            let mut written: Vec<(DeltaKey, Arc<Chain>)> = self
                .changes
                .iter()
                .filter_map(|(_, change)| match change {
                    Change::Version { key, chain, .. } if of_tree(change) => {
                        Some((key.clone(), chain.clone()))
                    }
                    _ => None,
                })
                .collect();
            if written.is_empty() {
                continue;
            }
            written.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            written.dedup_by(|(a, _), (b, _)| a == b);
            let tree = self.trees[index as usize].clone();
            let mut builder = LayerBuilder::new(&tree, Some(written.len()));
            let mut entry = Vec::new();
            for (key, chain) in &written {
                entry.clear();
                let state = chain.lock();
                let own = state.versions.iter().rev().take_while(|top| Arc::ptr_eq(&top.writer, &self.state));
                own.for_each(|version| encode_version(&mut entry, version));
                drop(state);
                builder.append(key.as_slice(), &entry)?;
            }
            let layer = builder.finish(&self.shared, &self.state, places, 0)?;
            // `layer.rs`, rule 1: first this, then off the chains.
            tree.change_layers(|list| list.extend(layer));
            for (key, chain) in &written {
                let mut state = chain.lock();
                let freed = state.drop_where(|version| Arc::ptr_eq(&version.writer, &self.state));
                tree.delta.account(-(freed as i64));
                tree.delta.bury_if_empty(key.as_slice(), chain, state);
            }
            self.changes.retain(|(_, change)| !of_tree(change));
            tree.compact_layers(&self.state)?;
        }
        self.bytes = 0;
        self.changes.shrink_to_fit();
        self.shared.spills.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it has, or had, versions in the tree.
    pub fn has_written(&self, tree: &Arc<Tree>) -> bool {
        self.trees.iter().any(|written| Arc::ptr_eq(written, tree))
    }

    /// Begins a layer that the caller fills row by row; see [`RunWriter`].
    pub fn begin_run(&mut self, tree: &Arc<Tree>, command: CommandId) -> Result<RunWriter> {
        let place = self.take_place()?;
        self.tree_index(tree);
        let (shared, state) = (self.shared.clone(), self.state.clone());
        Ok(RunWriter {
            shared,
            tree: tree.clone(),
            state,
            // How many there will be isn't known; they come in order, so that few other layers reach across them.
            builder: LayerBuilder::new(tree, None),
            place,
            command,
            bytes: 0,
            entry: Vec::new(),
        })
    }

    /// Makes the rows of a run the uncommitted versions that others meet.
    pub fn list_run(&mut self, run: &RunLayer) {
        // Places that a layer refers to are not used again.
        self.spilled = self.spilled.max(run.layer.places.1);
        run.tree.change_layers(|list| list.push(run.layer.clone()));
    }

    /// Takes it off again, if it could not stay.
    pub fn unlist_run(&mut self, run: &RunLayer) {
        run.tree.change_layers(|list| list.retain(|listed| !Arc::ptr_eq(listed, &run.layer)));
    }

    fn tree_index(&mut self, tree: &Arc<Tree>) -> u32 {
        // From the end: writes come in runs.
        if let Some(index) = self.trees.iter().rposition(|known| Arc::ptr_eq(known, tree)) {
            return index as u32;
        }
        self.trees.push(tree.clone());
        (self.trees.len() - 1) as u32
    }

    /// The tree disappears when this transaction commits; its pages are freed once no snapshot needs them.
    pub fn drop_tree(&mut self, tree: TreeId) {
        self.push_change(Change::DropTree(tree));
    }

    pub(crate) fn add_created(&mut self, tree: Arc<Tree>) {
        self.push_change(Change::CreateTree(tree));
    }

    pub(crate) fn add_bulk_load(&mut self, tree: Arc<Tree>, load: BulkLoad) {
        self.push_change(Change::BulkLoad(tree, load));
    }

    pub fn mark(&self) -> Mark {
        self.mark_floor.store(self.next_place, Ordering::Relaxed);
        Mark(self.next_place)
    }

    /// Takes the versions (and tree creations and drops) since `mark` off again.
    pub fn rollback_to(&mut self, mark: Mark) {
        while let Some((place, change)) = self.changes.pop_if(|(place, _)| *place >= mark.0) {
            self.undo(change, place);
        }
        if mark.0 < self.spilled {
            // Places that layers refer to are never used again.
            let discarded = (mark.0, self.spilled);
            for tree in &self.trees {
                for layer in tree.layers_of(&self.state) {
                    if layer.places.0 >= mark.0 {
                        tree.change_layers(|list| list.retain(|listed| !Arc::ptr_eq(listed, &layer)));
                    } else if layer.places.1 > mark.0 {
                        layer.discard(discarded);
                    }
                }
            }
        } else {
            self.next_place = mark.0;
        }
        let floor = self.mark_floor.get_mut();
        *floor = (*floor).min(mark.0);
    }

    fn undo(&mut self, change: Change, place: u32) {
        match change {
            Change::Version { tree, key, chain } => {
                let tree = &self.trees[tree as usize];
                let mut state = chain.lock();
                let freed = state.drop_where(|version| {
                    Arc::ptr_eq(&version.writer, &self.state) && version.write_index >= place
                });
                tree.delta.account(-(freed as i64));
                tree.delta.bury_if_empty(key.as_slice(), &chain, state);
                self.bytes = self.bytes.saturating_sub(freed as u64 + CHANGE_BYTES);
            }
            Change::CreateTree(tree) => self.shared.forget_tree(tree.id()),
            Change::DropTree(_) => {}
            Change::BulkLoad(tree, load) => {
                tree.set_initial_base(None);
                self.shared.abandon_bulk_load(load);
            }
        }
    }

    /// Appends the commit record to the log buffer and marks every version committed, in commit order. It is
    /// *not* durable yet: wait with [`crate::Store::durable`] or [`crate::Store::wait_durable`] for the
    /// returned timestamp before anyone is told. An empty writer commits without a record (`None`).
    /// On an error nothing was committed, and everything is rolled back.
    pub fn commit(mut self) -> Result<Option<Timestamp>> {
        self.try_commit()
    }

    /// As [`Writer::commit`], but on an error everything is still in progress: a prepared transaction must not end in any way but the
    /// one that was asked for. Afterwards the writer is of no use.
    pub fn try_commit(&mut self) -> Result<Option<Timestamp>> {
        if self.is_empty() {
            self.ended = true;
            self.state.decide(self.shared.wal.last_commit().0 << WORD_SHIFT | WORD_COMMITTED);
            return Ok(None);
        }
        if self.spilled > 0 {
            self.shared.sync_data_file()?;
        }
        let body = self.encode_changes();
        let pinned = self.pin_loads();
        // Gathered here, for the closure runs under the log mutex and the write set may be long.
        let about_trees: Vec<&Change> = self
            .changes
            .iter()
            .map(|(_, change)| change)
            .filter(|change| !matches!(change, Change::Version { .. }))
            .collect();
        let at = self.shared.wal.commit(body, self.state.id, |at| {
            // Trees first: who sees the commit must see them created.
            for tree in &self.trees {
                tree.last_commit.store(at.0, Ordering::Release);
            }
            for change in &about_trees {
                match change {
                    Change::Version { .. } => {}
                    Change::CreateTree(tree) => tree.created_at.store(at.0, Ordering::Release),
                    Change::BulkLoad(tree, load) => self.shared.add_bulk_load(tree.id(), load),
                    Change::DropTree(id) => self.shared.mark_dropped(*id, at),
                }
            }
            self.state.decide(at.0 << WORD_SHIFT | WORD_COMMITTED);
        });
        if at.is_err() {
            let mut alloc = self.shared.alloc.lock();
            pinned.iter().for_each(|(first, count)| alloc.unpin(*first, *count));
        }
        let at = at?;
        self.ended = true;
        self.shared.after_commit();
        Ok(Some(at))
    }

    /// Pages that the log is about to name stay until the archive has them.
    fn pin_loads(&self) -> Vec<(PageId, u64)> {
        if self.shared.archiver.is_none() || planted(Mutation::ForgetPins) {
            return Vec::new();
        }
        let mut extents = Vec::new();
        for (_, change) in &self.changes {
            if let Change::BulkLoad(_, load) = change {
                extents.extend(load.extents.iter().copied());
            }
        }
        for tree in &self.trees {
            for layer in tree.layers_of(&self.state) {
                extents.extend(layer.load.extents.iter().copied());
            }
        }
        if !extents.is_empty() {
            let mut alloc = self.shared.alloc.lock();
            extents.iter().for_each(|(first, count)| alloc.pin(*first, *count));
        }
        extents
    }

    /// The log record: the final version of each key. Older versions of this writer's own are taken off the
    /// chains, for nobody will read them any more.
    fn encode_changes(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes.min(1 << 30) as usize / 2 + 64);
        for (place, change) in &self.changes {
            match change {
                Change::Version { tree, key, chain } => {
                    let tree = &self.trees[*tree as usize];
                    let mut state = chain.lock();
                    let top = state.versions.last().expect("an uncommitted version stays on its chain");
                    assert!(Arc::ptr_eq(&top.writer, &self.state), "nobody covers an uncommitted version");
                    if top.write_index != *place {
                        continue;
                    }
                    let key = key.as_slice();
                    encode_operation(
                        &match &top.value {
                            Some(value) => Operation::Put { tree: tree.id(), key, value },
                            None => Operation::Delete { tree: tree.id(), key },
                        },
                        &mut body,
                    );
                    if *place > 0 && state.versions.len() > 1 {
                        let freed = state.drop_where(|version| {
                            Arc::ptr_eq(&version.writer, &self.state) && version.write_index < *place
                        });
                        tree.delta.account(-(freed as i64));
                    }
                }
                Change::CreateTree(tree) => encode_operation(&Operation::CreateTree(tree.id()), &mut body),
                Change::DropTree(tree) => encode_operation(&Operation::DropTree(*tree), &mut body),
                Change::BulkLoad(tree, load) => encode_operation(
                    &Operation::BulkInstall {
                        tree: tree.id(),
                        root: load.root,
                        extents: load.extents.clone(),
                    },
                    &mut body,
                ),
            }
        }
        // Behind the creation of their trees; versions above them are the newer ones wherever they stand.
        for tree in &self.trees {
            for layer in tree.layers_of(&self.state) {
                encode_operation(
                    &Operation::Layer {
                        tree: tree.id(),
                        root: layer.load.root,
                        extents: layer.load.extents.clone(),
                        discarded: match planted(Mutation::ForgetDiscarded) {
                            true => Vec::new(),
                            false => layer.discarded(),
                        },
                    },
                    &mut body,
                );
            }
        }
        if self.shared.archiver.is_some() {
            encode_operation(&Operation::Time(now_microseconds()), &mut body);
        }
        body
    }

    pub fn rollback(self) {}
}

/// Rows on their way into a layer, in ascending order of keys. The caller sees to it that nobody else has the keys, and that this
/// transaction wrote none of them before.
pub struct RunWriter {
    shared: Arc<Shared>,
    tree: Arc<Tree>,
    state: Arc<WriterState>,
    builder: LayerBuilder,
    place: u32,
    command: CommandId,
    bytes: u64,
    entry: Vec<u8>,
}

/// A finished run.
pub struct RunLayer {
    tree: Arc<Tree>,
    layer: Arc<Layer>,
}

impl RunWriter {
    pub fn append(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Tree::check_size(key, Some(value))?;
        self.entry.clear();
        let RunWriter { place, command, .. } = *self;
        put_version(
            &mut self.entry,
            &LayerVersion { place, command, intent: Intent::Replace, value: Some(value) },
        );
        self.bytes += (key.len() + self.entry.len()) as u64;
        self.builder.append(key, &self.entry)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `None` if there is nothing in it.
    pub fn finish(self) -> Result<Option<RunLayer>> {
        let RunWriter { shared, tree, state, builder, place, .. } = self;
        // Of no level: merging runs that hardly overlap would help nobody.
        let layer = builder.finish(&shared, &state, (place, place + 1), u8::MAX)?;
        Ok(layer.map(|layer| RunLayer { tree, layer }))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // First the word, so that readers and writers pass over the versions; then take them off.
        self.state.decide(WORD_ABORTED);
        self.rollback_to(Mark(0));
    }
}

const _: () =
    assert!(Timestamp::MAX.0 << WORD_SHIFT >> WORD_SHIFT == Timestamp::MAX.0 && NEVER > Timestamp::MAX.0);
