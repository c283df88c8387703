//! The delta: where every write goes, and where every read looks first.
//!
//! A tree's delta is an ordered map from key to a *version chain*. A version points at its writer's
//! [`WriterState`]; while that word says "in progress" the version is visible to its writer alone, and one atomic
//! store makes all versions of a transaction visible (commit) or void (rollback).
//!
//! ```text
//!   key ─► chain ─► [ v₁ @12 by T4 ][ v₂ @31 by T9 ][ v₃ in progress, T11 cmd 0 ][ v₃' T11 cmd 2 ]
//!                     oldest ──────────────────────────────────────────────────────────► newest
//! ```
//!
//! Rules:
//! 1. At most one writer in progress per chain, and its versions are on top: `Writer::install` refuses to cover
//!    another's. One writer may have several, one for each command that wrote the key, so that a statement does
//!    not see itself and a savepoint can take them off again one by one.
//! 2. Below them commit timestamps ascend strictly towards the top (versions of one writer share one).
//! 3. A version `v` with the next newer `v'` and the next older `u` is dropped when no live snapshot has a
//!    timestamp in `[u, v')`, and none can get one any more (`v' ≤ watermark`). In `[v, v')` the snapshot would
//!    read `v`; in `[u, v)` it reads `u`, and SSI must be told of `v`, the one that directly overwrote what it read.
//! 4. A version is dropped once the current base contains it (`commit ≤ folded`) and no live snapshot reads it here: none
//!    whose base lacks it (`fold_ts < commit`) though it is young enough to see it (`commit ≤ timestamp`), and none that
//!    tracks what came after it (`snapshot.rs`). Tombstones too. So an older version may stay where a newer one has gone:
//!    who reads a generation's base ignores what it finds here committed up to its `fold_ts`.
//! 5. A chain left empty is marked *dead* under its mutex and then taken out of the map. Who finds it dead treats
//!    it as absent; a writer removes it from the map itself and tries again, so that it never waits for the trimmer.
//!
//! The map is crossbeam-skiplist's `base::SkipList`. Two traps of version 0.1.3 are avoided on purpose:
//! its `range` never frees what it yields (we use `lower_bound` and `next`), and `insert` over an existing key lets
//! concurrent reads miss it (we only ever `get_or_insert`; what changes is inside the chain). Nothing outside
//! this file knows which map it is. An epoch guard lives as long as one [`DeltaScan`], that is, one batch.

use crate::mutation::{Mutation, planted};
use crate::snapshot::Pin;
use crate::sync::{self, Mutex};
use crate::{CommandId, Intent, Timestamp, View, WriterState, WriterStatus};
use crossbeam_epoch::Guard;
use crossbeam_skiplist::base::{Entry, SkipList};
use smallvec::SmallVec;
use std::borrow::Borrow;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Short keys (most integers, uuids and short strings) live in the map's node itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct DeltaKey(SmallVec<[u8; 24]>);

impl DeltaKey {
    pub fn new(key: &[u8]) -> DeltaKey {
        DeltaKey(SmallVec::from_slice(key))
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

// Sound because a derived order of byte vectors is the order of their slices.
impl Borrow<[u8]> for DeltaKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) struct Version {
    pub writer: Arc<WriterState>,
    /// `None` is a tombstone.
    pub value: Option<Arc<[u8]>>,
    pub command: CommandId,
    /// Position in the writer's write set; tells whether a savepoint lies between two writes.
    pub write_index: u32,
    pub intent: Intent,
}

/// Approximate heap bytes of a version and of a chain with its map node, for the memory limits.
const VERSION_OVERHEAD_BYTES: usize = 72;
pub(crate) const CHAIN_OVERHEAD_BYTES: usize = 160;

impl Version {
    pub fn bytes(&self) -> usize {
        VERSION_OVERHEAD_BYTES + self.value.as_ref().map_or(0, |value| value.len())
    }
}

#[derive(Default)]
pub(crate) struct ChainState {
    pub dead: bool,
    /// Length at which the next writer tries to prune (rule 3).
    prune_at: u32,
    /// Oldest first.
    pub versions: SmallVec<[Version; 1]>,
}

pub(crate) struct Chain {
    state: Mutex<{ sync::CHAIN }, ChainState>,
}

/// What a view sees in a chain.
pub(crate) enum Found {
    /// No visible version: the base tells.
    Nothing,
    Tombstone,
    Value(Arc<[u8]>),
}

/// Writers whose versions a read passed over, oldest last. Handed to the observer after the chain's mutex is
/// released: observers take locks of their own.
pub(crate) type Skipped = SmallVec<[Arc<WriterState>; 2]>;

/// The live snapshots as pruning sees them.
pub(crate) struct LiveSnapshots<'a> {
    /// Ascending by timestamp and by generation.
    pub pins: &'a [Pin],
    /// What was committed after this is tracked by a snapshot.
    pub tracked_from: Timestamp,
    pub watermark: Timestamp,
    /// What the current base contains.
    pub folded: Timestamp,
}

impl LiveSnapshots<'_> {
    /// Rule 4.
    pub fn may_forget(&self, at: Timestamp) -> bool {
        if at > self.folded || at > self.tracked_from {
            return false;
        }
        // Of the snapshots that see it, the oldest has the oldest base.
        let first = self.pins.partition_point(|pin| pin.timestamp < at);
        self.pins.get(first).is_none_or(|pin| pin.fold_ts >= at) || planted(Mutation::TrimTooMuch)
    }

    /// Whether a snapshot lives in `[from, to)`.
    fn any_in(&self, from: Timestamp, to: Timestamp) -> bool {
        let first = self.pins.partition_point(|pin| pin.timestamp < from);
        self.pins.get(first).is_some_and(|pin| pin.timestamp < to)
    }
}

const PRUNE_LENGTH_MIN: u32 = 4;

impl Chain {
    fn new() -> Chain {
        Chain { state: Mutex::new(ChainState { prune_at: PRUNE_LENGTH_MIN, ..ChainState::default() }) }
    }

    pub fn lock(&self) -> sync::MutexGuard<'_, { sync::CHAIN }, ChainState> {
        self.state.lock()
    }

    /// The newest version visible to `view`, and its commit timestamp if it is not the reader's own. What was committed
    /// up to `base`, the base has that is read otherwise.
    pub fn read(
        &self,
        view: &View<'_>,
        base: Timestamp,
        skipped: &mut Skipped,
    ) -> (Found, Option<Timestamp>) {
        let state = self.lock();
        for version in state.versions.iter().rev() {
            let seen_at = match version.writer.status() {
                WriterStatus::Aborted => continue,
                WriterStatus::Committed(at) if at <= base => break,
                WriterStatus::Committed(at) if at <= view.horizon => Some(at),
                WriterStatus::Committed(_) => {
                    push_skipped(skipped, &version.writer);
                    continue;
                }
                WriterStatus::InProgress => match view.own {
                    Some((own, command)) if std::ptr::eq(own, &*version.writer) => {
                        if version.command >= command {
                            continue;
                        }
                        None
                    }
                    _ => {
                        push_skipped(skipped, &version.writer);
                        continue;
                    }
                },
            };
            let found = match &version.value {
                Some(value) => Found::Value(value.clone()),
                None => Found::Tombstone,
            };
            return (found, seen_at);
        }
        (Found::Nothing, None)
    }
}

pub(crate) fn push_skipped(skipped: &mut Skipped, writer: &Arc<WriterState>) {
    if !skipped.last().is_some_and(|last| Arc::ptr_eq(last, writer)) {
        skipped.push(writer.clone());
    }
}

impl ChainState {
    /// Takes off versions of rolled back writers. Returns the bytes freed.
    pub fn drop_aborted(&mut self) -> usize {
        self.drop_where(|version| version.writer.status() == WriterStatus::Aborted)
    }

    pub fn drop_where(&mut self, mut condition: impl FnMut(&Version) -> bool) -> usize {
        let mut freed = 0;
        self.versions.retain(|version| {
            let drop = condition(version);
            if drop {
                freed += version.bytes();
            }
            !drop
        });
        freed
    }

    pub fn wants_pruning(&self) -> bool {
        self.versions.len() >= self.prune_at as usize
    }

    /// Rules 3 and 4. Returns the bytes freed.
    pub fn prune(&mut self, live: &LiveSnapshots<'_>) -> usize {
        let mut freed = self.drop_aborted();
        // Newest to oldest: `newer` is the commit of the committed version above.
        let mut newer: Option<Timestamp> = None;
        for index in (0..self.versions.len()).rev() {
            let WriterStatus::Committed(at) = self.versions[index].writer.status() else { continue };
            let older = index.checked_sub(1).map_or(Timestamp::ZERO, |below| {
                match self.versions[below].writer.status() {
                    WriterStatus::Committed(older) => older,
                    WriterStatus::InProgress | WriterStatus::Aborted => Timestamp::ZERO,
                }
            });
            let superseded = newer.is_some_and(|newer| {
                debug_assert!(at <= newer, "chain timestamps ascend towards the top");
                at == newer || newer <= live.watermark && !live.any_in(older, newer)
            });
            newer = Some(at);
            if superseded || live.may_forget(at) {
                freed += self.versions[index].bytes();
                self.versions.remove(index);
            }
        }
        self.prune_at = (self.versions.len() as u32 * 2).max(PRUNE_LENGTH_MIN);
        freed
    }
}

pub(crate) struct DeltaIndex {
    map: SkipList<DeltaKey, Arc<Chain>>,
    /// The store's total, shared by all trees.
    total_bytes: Arc<AtomicI64>,
    bytes: AtomicI64,
}

impl DeltaIndex {
    pub fn new(total_bytes: Arc<AtomicI64>) -> DeltaIndex {
        DeltaIndex {
            map: SkipList::new(crossbeam_epoch::default_collector().clone()),
            total_bytes,
            bytes: AtomicI64::new(0),
        }
    }

    pub fn account(&self, bytes: i64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed).max(0) as u64
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub fn get(&self, key: &[u8]) -> Option<Arc<Chain>> {
        let guard = crossbeam_epoch::pin();
        self.map.get(key, &guard).map(|entry| entry.value().clone())
    }

    /// Reads `key` without taking a share of its chain.
    pub fn read(
        &self,
        key: &[u8],
        view: &View<'_>,
        base: Timestamp,
        skipped: &mut Skipped,
    ) -> (Found, Option<Timestamp>) {
        let guard = crossbeam_epoch::pin();
        match self.map.get(key, &guard) {
            Some(entry) => entry.value().read(view, base, skipped),
            None => (Found::Nothing, None),
        }
    }

    pub fn get_or_insert(&self, key: &[u8]) -> Arc<Chain> {
        let guard = crossbeam_epoch::pin();
        // One descent, whether the key is there or not. A chain made may lose to another writer's.
        let mut made: Option<Arc<Chain>> = None;
        let make = || made.insert(Arc::new(Chain::new())).clone();
        let entry = self.map.get_or_insert_with(DeltaKey::new(key), make, &guard);
        let found = entry.value().clone();
        entry.release(&guard);
        if made.is_some_and(|made| Arc::ptr_eq(&found, &made)) {
            self.account((CHAIN_OVERHEAD_BYTES + key.len()) as i64);
        }
        found
    }

    /// Takes a dead chain out of the map; whoever comes second does nothing.
    pub fn remove_dead(&self, key: &[u8], chain: &Arc<Chain>) {
        let guard = crossbeam_epoch::pin();
        if let Some(entry) = self.map.get(key, &guard) {
            // The key may already carry a new chain: only this very node is taken out.
            if Arc::ptr_eq(entry.value(), chain) && entry.remove() {
                self.account(-((CHAIN_OVERHEAD_BYTES + key.len()) as i64));
            }
        }
    }

    /// Rule 5, for who has just taken versions off: buries the chain if nothing is left.
    pub fn bury_if_empty(
        &self,
        key: &[u8],
        chain: &Arc<Chain>,
        mut state: sync::MutexGuard<'_, { sync::CHAIN }, ChainState>,
    ) {
        if state.versions.is_empty() && !state.dead {
            state.dead = true;
            drop(state);
            self.remove_dead(key, chain);
        }
    }

    pub fn scan<'g>(&'g self, guard: &'g Guard) -> DeltaScan<'g> {
        DeltaScan { map: &self.map, guard, entry: None }
    }

    /// Visits up to `max` chains above `after` (or from the start); returns the last key visited, if any is left.
    /// The guard is given back in between, so that a walk over a huge delta does not hold up reclamation.
    pub fn walk(
        &self,
        after: Option<&DeltaKey>,
        max: usize,
        visit: &mut dyn FnMut(&DeltaKey, &Arc<Chain>),
    ) -> Option<DeltaKey> {
        let guard = crossbeam_epoch::pin();
        let bound = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        let mut entry = self.map.lower_bound(bound, &guard);
        for _ in 1..max {
            visit(entry.as_ref()?.key(), entry.as_ref()?.value());
            entry = entry.and_then(|entry| entry.next());
        }
        let last = entry?;
        visit(last.key(), last.value());
        Some(last.key().clone())
    }
}

/// A position in the delta for the length of one batch.
pub(crate) struct DeltaScan<'g> {
    map: &'g SkipList<DeltaKey, Arc<Chain>>,
    guard: &'g Guard,
    entry: Option<Entry<'g, 'g, DeltaKey, Arc<Chain>>>,
}

impl<'g> DeltaScan<'g> {
    pub fn seek_forward(&mut self, bound: Bound<&[u8]>) {
        self.entry = self.map.lower_bound(bound, self.guard);
    }

    pub fn seek_backward(&mut self, bound: Bound<&[u8]>) {
        self.entry = self.map.upper_bound(bound, self.guard);
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.entry.as_ref().map(|entry| entry.key().as_slice())
    }

    pub fn chain(&self) -> Option<&Arc<Chain>> {
        self.entry.as_ref().map(|entry| entry.value())
    }

    pub fn next(&mut self) {
        self.entry = self.entry.as_ref().and_then(|entry| entry.next());
    }

    pub fn previous(&mut self) {
        self.entry = self.entry.as_ref().and_then(|entry| entry.prev());
    }

    pub fn clear(&mut self) {
        self.entry = None;
    }
}
