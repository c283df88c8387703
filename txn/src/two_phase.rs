//! Strict two-phase locking: reads lock what they read, and every lock stays until the transaction ends.
//!
//! Reads look at the latest committed state (horizon [`Timestamp::MAX`]), after their lock is granted:
//!
//! ```text
//!   level             point read                 scan                                      absent keys
//!   READ COMMITTED    waits for a writer in progress, holds nothing (a lock of no duration)
//!   REPEATABLE READ   S lock on the key          S lock on each row returned               not protected
//!   SERIALIZABLE      S lock on the key,         shared lock on the range, as far as read  protected
//!                     present or not
//! ```
//!
//! Writes lock as in every mode: an in-progress version is an exclusive lock, and it is checked against the ranges on its
//! tree. A range lock is registered first and read under afterwards; a version that was already in progress then shows up
//! in the read, which waits for its writer and reads the batch again. A writer looks at the ranges before it
//! installs, and once more after: if a range appeared in between, it takes its version off again and waits, so that
//! reader and writer never wait for each other on account of one race.
//!
//! A statement that will write the rows it reads says so ([`Transaction::intend_to_lock`]): its reads then lock rows in the
//! mode of the write at once, and its ranges exclude each other (an update lock: others may read, but nobody else may mean to
//! write). Otherwise two statements that both hold S on a row and both want X would be a deadlock on every hot row.
//!
//! A scan may stop early (LIMIT, a cursor that is closed), and must then hold no more than it read. How far a batch will go is
//! unknown before it is read, so the lock covers the whole rest of the range while a batch is read and is cut back to the last
//! row read afterwards; writers that wait for the part cut off go on. It is cut back, too, before the scan waits for a row's writer, who may
//! want rows further on: else the two would wait for each other. Lock and range are replaced together: the new one is
//! registered before the old one goes.
//!
//! What one transaction holds in a tree is bounded. Above [`SessionHandle::set_row_locks_max`] row locks, a lock on the range from the
//! least to the greatest key takes the place of those in S, and of those to come in that range; when as many again are held outside of it,
//! the whole tree is locked. Likewise above [`RANGES_MAX`] ranges: they become one that spans them, then the tree.
//!
//! [`SessionHandle::set_row_locks_max`]: crate::SessionHandle::set_row_locks_max
//!
//! Read locks survive a rollback to a savepoint: the client has seen what they protect.

use crate::key_ranges::{contains, point, span};
use crate::lock_mode::LockMode;
use crate::lock_table::{Acquired, HeldLock, LockObject, ObjectRef, Owner, RangeReader};
use crate::protocol::{Observations, Protocol, key_object};
use crate::rules::Rule;
use crate::session::SessionHandle;
use crate::ssi::{Kind, LockedReads, Participant, Ssi};
use crate::transaction::look;
use crate::{Isolation, Result, RowLockMode, Transaction, TransactionManager, WaitPolicy};
use hashbrown::HashMap;
use serin_storage::{Direction, Finger, KeyRange, Store, Timestamp, Tree, TreeId, Value, WriterId};
use smallvec::SmallVec;
use std::ops::Bound;
use std::sync::Arc;

/// A key and its value, as a scan yields them.
type Row = (Box<[u8]>, Value);
/// Appends a batch of rows; whether more follow.
type ReadBatch<'a> = dyn FnMut(&Transaction, &mut Observations, &mut Vec<Row>) -> Result<bool> + 'a;

pub(crate) struct TwoPhase {
    pub(crate) level: Isolation,
    /// At SERIALIZABLE, from the first write on: this one's writes may be the far end of an SSI transaction's edge.
    pub(crate) participant: Option<Participant>,
    /// The ranges locked, with the ids of their locks, for the SIREADs they become.
    ranges: Vec<LockedRange>,
    /// Reads of these trees lock in these modes instead of S, until the statement ends.
    pub(crate) intents: SmallVec<[(TreeId, RowLockMode); 1]>,
    /// Rows locked by reads, one by one.
    row_locks: HashMap<TreeId, u64>,
    /// What is locked in their place.
    escalated: HashMap<TreeId, Escalated>,
}

struct Escalated {
    range: KeyRange,
    updates: bool,
}

/// Key ranges of one tree that one transaction locks before they become one: each write in the tree has to be compared with them all.
const RANGES_MAX: usize = 256;

/// Keeps readers that come later from a key that a writer waits to write.
pub(crate) struct Gate {
    manager: Arc<TransactionManager>,
    writer: Arc<Owner>,
    tree: TreeId,
    id: u64,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.manager.locks.open_gate(&self.writer, self.tree, self.id);
    }
}

/// The lock of a running scan: on all that is left to read while a batch is read, otherwise on what has been.
pub(crate) struct ScanLock {
    pub(crate) whole: KeyRange,
    pub(crate) direction: Direction,
    pub(crate) id: Option<u64>,
}

struct LockedRange {
    tree: TreeId,
    id: u64,
    range: KeyRange,
}

impl TwoPhase {
    pub(crate) fn join(&mut self, ssi: &Ssi, session: &Arc<SessionHandle>, writer: WriterId) {
        if self.level == Isolation::Serializable {
            self.participant = Some(ssi.join(Kind::TwoPhase, session, Some(writer)));
        }
    }

    /// Of a transaction prepared in an earlier process, whose range locks are held again.
    pub(crate) fn restored(
        level: Isolation,
        participant: Option<Participant>,
        ranges: Vec<(TreeId, u64, KeyRange)>,
    ) -> TwoPhase {
        let ranges = ranges.into_iter().map(|(tree, id, range)| LockedRange { tree, id, range }).collect();
        TwoPhase {
            level,
            participant,
            ranges,
            intents: SmallVec::new(),
            row_locks: HashMap::new(),
            escalated: HashMap::new(),
        }
    }

    /// Before the locks go: what they protected stays known to SSI transactions, present and to come, that might
    /// overwrite it below this commit (`protocol.rs`).
    pub(crate) fn committed(
        self,
        ssi: &Ssi,
        store: &Store,
        session: &Arc<SessionHandle>,
        ts: Option<Timestamp>,
        seen: Timestamp,
        locks: Vec<HeldLock>,
    ) {
        if self.level != Isolation::Serializable {
            return;
        }
        let nobody_below =
            ts.is_none() && store.watermark() >= store.last_commit().max(seen) && ssi.no_pivots();
        match self.participant {
            None if nobody_below => {}
            participant => {
                let participant = participant.unwrap_or_else(|| ssi.join(Kind::TwoPhase, session, None));
                let ranges = self.ranges.into_iter().map(|locked| (locked.tree, locked.range)).collect();
                ssi.committed(participant, store, ts, seen, LockedReads { locks, ranges });
            }
        }
    }

    fn read_mode(&self, tree: &Tree) -> LockMode {
        self.intent(tree).unwrap_or(RowLockMode::Share).into()
    }
    fn intent(&self, tree: &Tree) -> Option<RowLockMode> {
        self.intents.iter().find(|(id, _)| *id == tree.id()).map(|(_, mode)| *mode)
    }
    /// The statement will write what it reads of the tree.
    fn updates(&self, tree: &Tree) -> bool {
        self.intent(tree).is_some_and(|mode| mode > RowLockMode::Share)
    }
    /// A range lock in the place of row locks says what a row lock of the present statement would.
    fn is_escalated(&self, tree: &Tree, key: &[u8]) -> bool {
        let escalated = self.escalated.get(&tree.id());
        escalated.is_some_and(|it| (it.updates || !self.updates(tree)) && contains(&it.range, key))
    }
}

impl Transaction {
    pub(crate) fn begin_two_phase(&mut self) {
        self.protocol = Protocol::TwoPhase(Box::new(TwoPhase {
            level: self.options.isolation,
            participant: None,
            ranges: Vec::new(),
            intents: SmallVec::new(),
            row_locks: HashMap::new(),
            escalated: HashMap::new(),
        }));
    }

    fn two_phase(&mut self) -> &mut TwoPhase {
        match &mut self.protocol {
            Protocol::TwoPhase(two_phase) => two_phase,
            _ => unreachable!("called under 2PL only"),
        }
    }

    pub(crate) fn two_phase_get(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mut finger: Option<&mut Finger>,
    ) -> Result<Option<Value>> {
        let off = self.manager.ssi.rules.is_off(Rule::KeyLocks);
        let two_phase = self.two_phase();
        let mode = two_phase.read_mode(tree);
        let momentary =
            two_phase.level == Isolation::ReadCommitted || two_phase.is_escalated(tree, key) || off;
        if !momentary {
            let owner = self.owner().clone();
            self.manager.locks.acquire(&owner, key_object(tree, key), mode, WaitPolicy::Block)?;
            self.count_row_lock(tree)?;
        }
        loop {
            let mut met = self.observe(true);
            let value = look(tree, self.view(), key, &mut met, finger.as_deref_mut())?;
            if met.skipped.is_empty() {
                self.seen = self.seen.max(met.seen);
                return Ok(value);
            }
            self.wait_for_writer(tree, key, mode, momentary)?;
        }
    }

    /// A version of `key` is in progress: waits until it is not, with the lock in `mode` granted, or let go again.
    pub(crate) fn wait_for_writer(
        &mut self,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: LockMode,
        momentary: bool,
    ) -> Result<()> {
        let acquired = self.lock_key(tree, key, mode, WaitPolicy::Block)?;
        if momentary && acquired == Acquired::Now {
            let owner = self.owner().clone();
            self.manager.locks.release(&owner, key_object(tree, key), mode);
        }
        Ok(())
    }

    /// Locks what a scan is about to read; `held` is its lock so far. Answers the new one, if the level locks ranges and the range
    /// is not a single key.
    pub(crate) fn lock_range(
        &mut self,
        tree: &Tree,
        range: &KeyRange,
        held: Option<u64>,
    ) -> Result<Option<u64>> {
        let two_phase = self.two_phase();
        if two_phase.level != Isolation::Serializable {
            return Ok(None);
        }
        if let Some(key) = point(range) {
            if !two_phase.is_escalated(tree, key) {
                let mode = two_phase.read_mode(tree);
                let owner = self.owner().clone();
                self.manager.locks.acquire(&owner, key_object(tree, key), mode, WaitPolicy::Block)?;
                self.count_row_lock(tree)?;
            }
            return Ok(None);
        }
        let updates = two_phase.updates(tree);
        let id = self.register_range(tree, range, updates)?;
        if let Some(held) = held {
            self.unlock_range(tree, held);
        }
        if self.two_phase().ranges.len() > RANGES_MAX {
            self.merge_ranges(tree, id)?;
        }
        Ok(Some(id))
    }

    /// Leaves locked what a scan has read, up to `last` in its direction.
    pub(crate) fn cut_back(&mut self, tree: &Tree, lock: &mut ScanLock, last: Bound<Vec<u8>>) -> Result<()> {
        let (start, end) = (lock.whole.start.clone(), lock.whole.end.clone());
        let read = match lock.direction {
            Direction::Forward => KeyRange { start, end: last },
            Direction::Backward => KeyRange { start: last, end },
        };
        lock.id = self.lock_read_part(tree, &read, lock.id)?;
        Ok(())
    }

    /// Replaces a scan's lock by one on the part that it has read. A range of one key stays a range here: its lock was granted.
    fn lock_read_part(&mut self, tree: &Tree, read: &KeyRange, held: Option<u64>) -> Result<Option<u64>> {
        let Some(held) = held else { return Ok(None) };
        let ranges = &self.manager.locks.ranges;
        let updates = ranges.reader(tree.id(), held).is_some_and(|reader| reader.updates);
        let id = self.register_range(tree, read, updates)?;
        self.unlock_range(tree, held);
        Ok(Some(id))
    }

    fn register_range(&mut self, tree: &Tree, range: &KeyRange, updates: bool) -> Result<u64> {
        let owner = self.owner().clone();
        let manager = self.manager.clone();
        let locks = &manager.locks;
        let id = locks.ranges.next_id();
        // The lock first: whoever finds the range can then queue behind it.
        let object = ObjectRef::Range(tree.id(), id);
        locks.acquire(&owner, object, LockMode::Share, WaitPolicy::Block)?;
        self.wait_at_gates(tree, range, id)?;
        let session = owner.session.id;
        loop {
            let reader = RangeReader { owner: owner.clone(), updates, loads: false };
            let excludes =
                |other: &RangeReader| updates && other.updates && other.owner.session.id != session;
            match locks.ranges.insert_unless(tree.id(), id, range, reader, excludes) {
                Ok(()) => break,
                Err(other) => {
                    let other = ObjectRef::Range(tree.id(), other);
                    locks.acquire(&owner, other, LockMode::RowExclusive, WaitPolicy::Block)?;
                    locks.release(&owner, other, LockMode::RowExclusive);
                }
            }
        }
        self.two_phase().ranges.push(LockedRange { tree: tree.id(), id, range: range.clone() });
        Ok(id)
    }

    fn unlock_range(&mut self, tree: &Tree, id: u64) {
        let ranges = &mut self.two_phase().ranges;
        if let Some(at) = ranges.iter().rposition(|locked| locked.id == id) {
            ranges.swap_remove(at);
        }
        let owner = self.owner().clone();
        let locks = &self.manager.locks;
        // First the range, then its lock: who waits for the lock looks for the range afterwards.
        locks.ranges.remove(tree.id(), id);
        locks.release(&owner, ObjectRef::Range(tree.id(), id), LockMode::Share);
    }

    /// A read has locked one more row. Too many: a range that spans them instead, or the whole tree.
    fn count_row_lock(&mut self, tree: &Tree) -> Result<()> {
        let limit = self.options.session.row_locks_max();
        let two_phase = self.two_phase();
        if two_phase.level == Isolation::ReadCommitted {
            return Ok(());
        }
        let count = two_phase.row_locks.entry(tree.id()).or_default();
        *count += 1;
        if *count < limit {
            return Ok(());
        }
        let updates =
            two_phase.updates(tree) || two_phase.escalated.get(&tree.id()).is_some_and(|it| it.updates);
        let again = two_phase.escalated.contains_key(&tree.id());
        let owner = self.owner().clone();
        let of_tree = |lock: &HeldLock| match &lock.object {
            LockObject::Key(of, key) if *of == tree.id() => Some((key.clone(), lock.mode)),
            _ => None,
        };
        let keys: Vec<(Arc<[u8]>, LockMode)> = owner.held_locks().iter().filter_map(of_tree).collect();
        let bound =
            |key: Option<&Arc<[u8]>>| key.map_or(Bound::Unbounded, |key| Bound::Included(key.to_vec()));
        let range = match again {
            true => KeyRange { start: Bound::Unbounded, end: Bound::Unbounded },
            false => KeyRange {
                start: bound(keys.iter().map(|(key, _)| key).min()),
                end: bound(keys.iter().map(|(key, _)| key).max()),
            },
        };
        self.register_range(tree, &range, updates)?;
        let two_phase = self.two_phase();
        two_phase.row_locks.remove(&tree.id());
        two_phase.escalated.insert(tree.id(), Escalated { range, updates });
        for (key, mode) in keys {
            if mode == LockMode::from(RowLockMode::Share) {
                self.manager.locks.release(&owner, ObjectRef::Key(tree.id(), &key), mode);
            }
        }
        Ok(())
    }

    /// Many ranges of one tree become one that spans them. `current` is a running scan's lock, which changes as the scan goes on.
    fn merge_ranges(&mut self, tree: &Tree, current: u64) -> Result<()> {
        let others = |locked: &&LockedRange| locked.tree == tree.id() && locked.id != current;
        let ranges: Vec<(u64, KeyRange)> =
            self.two_phase().ranges.iter().filter(others).map(|it| (it.id, it.range.clone())).collect();
        let registered = &self.manager.locks.ranges;
        let updates = |id: u64| registered.reader(tree.id(), id).is_some_and(|reader| reader.updates);
        // Those who mean to write exclude each other: such a range must not grow.
        let mergeable: Vec<(u64, KeyRange)> = ranges.into_iter().filter(|(id, _)| !updates(*id)).collect();
        if mergeable.len() < RANGES_MAX {
            return Ok(());
        }
        let whole = mergeable.iter().map(|(_, range)| range.clone()).reduce(span);
        let Some(whole) = whole else { return Ok(()) };
        self.register_range(tree, &whole, false)?;
        for (id, _) in mergeable {
            self.unlock_range(tree, id);
        }
        Ok(())
    }

    /// One batch of a scan: rows with no version in progress among them, locked as the level demands.
    pub(crate) fn two_phase_batch(
        &mut self,
        tree: &Arc<Tree>,
        max: usize,
        lock: &mut ScanLock,
        read: &mut ReadBatch<'_>,
    ) -> Result<(Vec<Row>, bool)> {
        lock.id = self.lock_range(tree, &lock.whole, lock.id)?;
        let two_phase = self.two_phase();
        let mode = two_phase.read_mode(tree);
        let lock_rows = two_phase.level == Isolation::RepeatableRead;
        let mut rows = Vec::with_capacity(max.min(64));
        let more = loop {
            rows.clear();
            let mut met = self.observe(true);
            let more = read(self, &mut met, &mut rows)?;
            let Some((key, _)) = met.skipped.first() else {
                self.seen = self.seen.max(met.seen);
                break more;
            };
            if lock.id.is_none() {
                self.wait_for_writer(tree, key, mode, true)?;
                continue;
            }
            // The writer may still want keys further on. The row's lock keeps others from it until the range does.
            self.cut_back(tree, lock, Bound::Excluded(key.to_vec()))?;
            let acquired = self.lock_key(tree, key, mode, WaitPolicy::Block)?;
            lock.id = self.lock_range(tree, &lock.whole, lock.id)?;
            if acquired == Acquired::Now {
                let owner = self.owner().clone();
                self.manager.locks.release(&owner, key_object(tree, key), mode);
            }
        };
        if lock_rows {
            rows = self.lock_rows(tree, rows, mode)?;
        }
        Ok((rows, more))
    }

    /// Locks rows that were just read; a row that changed before its lock was granted is read again.
    fn lock_rows(&mut self, tree: &Arc<Tree>, rows: Vec<Row>, mode: LockMode) -> Result<Vec<Row>> {
        let mut locked = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            if self.two_phase().is_escalated(tree, &key) {
                locked.push((key, value));
                continue;
            }
            self.lock_key(tree, &key, mode, WaitPolicy::Block)?;
            self.count_row_lock(tree)?;
            let mut met = self.observe(false);
            let value = tree.get(self.view(), &key, &mut met)?;
            self.seen = self.seen.max(met.seen);
            if let Some(value) = value {
                locked.push((key, value));
            }
        }
        Ok(locked)
    }

    /// Until the statement ends, 2PL reads of `tree` lock rows in `mode` at once instead of S: for the targets of
    /// UPDATE, DELETE and SELECT FOR UPDATE, so that two of them don't both hold S and wait for each other's. READ COMMITTED,
    /// whose reads hold nothing, and other protocols ignore it.
    pub fn intend_to_lock(&mut self, tree: &Arc<Tree>, mode: RowLockMode) {
        if let Protocol::TwoPhase(two_phase) = &mut self.protocol {
            // What is read has to be protected even where only its key is to be locked.
            let mode = mode.max(RowLockMode::Share);
            match two_phase.intents.iter_mut().find(|(id, _)| *id == tree.id()) {
                Some((_, intended)) => *intended = (*intended).max(mode),
                None => two_phase.intents.push((tree.id(), mode)),
            }
        }
    }

    /// Waits behind the writers that were waiting for ranges when the range lock `id` was asked for (rule 7 of the lock table).
    fn wait_at_gates(&mut self, tree: &Tree, range: &KeyRange, id: u64) -> Result<()> {
        let manager = self.manager.clone();
        let locks = &manager.locks;
        if locks.gates.is_empty() {
            return Ok(());
        }
        let owner = self.owner().clone();
        let held = &self.two_phase().ranges;
        let mine = |key: &[u8]| held.iter().any(|mine| mine.tree == tree.id() && contains(&mine.range, key));
        while let Some(gate) = locks.gates.find(tree.id(), |gate, key, writer| {
            let key = point(key).expect("a gate is at a key");
            gate < id && writer.session.id != owner.session.id && contains(range, key) && !mine(key)
        }) {
            let gate = ObjectRef::Range(tree.id(), gate);
            locks.acquire(&owner, gate, LockMode::Share, WaitPolicy::Block)?;
            locks.release(&owner, gate, LockMode::Share);
        }
        Ok(())
    }

    fn shut_gate(&mut self, tree: &Tree, key: &[u8]) -> Result<()> {
        let owner = self.owner().clone();
        let locks = &self.manager.locks;
        let id = locks.ranges.next_id();
        let object = ObjectRef::Range(tree.id(), id);
        locks.acquire(&owner, object, LockMode::Exclusive, WaitPolicy::Block)?;
        let at = || Bound::Included(key.to_vec());
        locks.gates.insert(tree.id(), id, KeyRange { start: at(), end: at() }, owner.clone());
        self.gate = Some(Gate { manager: self.manager.clone(), writer: owner, tree: tree.id(), id });
        Ok(())
    }

    /// Waits until no range lock of another session covers `key`. False if there was none. After waiting, later readers are kept out until
    /// `self.gate` is dropped.
    pub(crate) fn wait_for_ranges(&mut self, tree: &Tree, key: &[u8]) -> Result<bool> {
        let mut waited = false;
        while let Some(id) = self.conflicting_range(tree, key) {
            if self.gate.is_none() && !self.manager.ssi.rules.is_off(Rule::Gates) {
                self.shut_gate(tree, key)?;
            }
            let owner = self.owner().clone();
            let object = ObjectRef::Range(tree.id(), id);
            let locks = &self.manager.locks;
            locks.acquire(&owner, object, LockMode::RowExclusive, WaitPolicy::Block)?;
            locks.release(&owner, object, LockMode::RowExclusive);
            waited = true;
        }
        Ok(waited)
    }

    pub(crate) fn conflicting_range(&self, tree: &Tree, key: &[u8]) -> Option<u64> {
        let ranges = &self.manager.locks.ranges;
        if ranges.is_empty() || self.manager.ssi.rules.is_off(Rule::RangeLocks) {
            return None;
        }
        let me = self.options.session.id;
        let mut conflicting = None;
        ranges.containing(tree.id(), key, |id, reader| {
            if reader.owner.session.id != me {
                conflicting = Some(id);
            }
            conflicting.is_none()
        });
        conflicting
    }
}
