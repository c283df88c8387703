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
//! row read afterwards; writers that wait for the part cut off go on. Lock and range are replaced together: the new one is
//! registered before the old one goes.
//!
//! Row locks of REPEATABLE READ escalate: above [`SessionHandle::set_row_locks_max`] in one tree, a range lock on the whole tree
//! takes the place of those in S and of all to come. (SERIALIZABLE scans lock ranges to begin with.)
//!
//! [`SessionHandle::set_row_locks_max`]: crate::SessionHandle::set_row_locks_max
//!
//! Read locks survive a rollback to a savepoint: the client has seen what they protect.

use crate::key_ranges::point;
use crate::lock_mode::LockMode;
use crate::lock_table::{Acquired, HeldLock, LockObject, ObjectRef, RangeReader};
use crate::protocol::{Observations, Protocol, key_object};
use crate::rules::Rule;
use crate::session::SessionHandle;
use crate::ssi::{Kind, LockedReads, Participant, Ssi};
use crate::transaction::look;
use crate::{Isolation, Result, RowLockMode, Transaction, WaitPolicy};
use hashbrown::HashMap;
use serin_storage::{Finger, KeyRange, Store, Timestamp, Tree, TreeId, Value, WriterId};
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
    /// Rows locked by reads at REPEATABLE READ.
    row_locks: HashMap<TreeId, u64>,
    /// Trees that are locked whole, and whether for update.
    escalated: HashMap<TreeId, bool>,
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
    /// A lock on the whole tree says what a row lock of the present statement would.
    fn is_escalated(&self, tree: &Tree) -> bool {
        self.escalated.get(&tree.id()).is_some_and(|updates| *updates || !self.updates(tree))
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
        let momentary = two_phase.level == Isolation::ReadCommitted || two_phase.is_escalated(tree) || off;
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
            let mode = two_phase.read_mode(tree);
            let owner = self.owner().clone();
            self.manager.locks.acquire(&owner, key_object(tree, key), mode, WaitPolicy::Block)?;
            return Ok(None);
        }
        let updates = two_phase.updates(tree);
        let id = self.register_range(tree, range, updates)?;
        if let Some(held) = held {
            self.unlock_range(tree, held);
        }
        Ok(Some(id))
    }

    /// Replaces a scan's lock by one on the part that it has read. A range of one key stays a range here: its lock was granted.
    pub(crate) fn lock_read_part(
        &mut self,
        tree: &Tree,
        read: &KeyRange,
        held: Option<u64>,
    ) -> Result<Option<u64>> {
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

    /// A read has locked one more row. Too many: the whole tree instead.
    fn count_row_lock(&mut self, tree: &Tree) -> Result<()> {
        let limit = self.options.session.row_locks_max();
        let two_phase = self.two_phase();
        if two_phase.level != Isolation::RepeatableRead {
            return Ok(());
        }
        let count = two_phase.row_locks.entry(tree.id()).or_default();
        *count += 1;
        if *count < limit {
            return Ok(());
        }
        let updates = two_phase.updates(tree);
        let all = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        self.register_range(tree, &all, updates)?;
        let two_phase = self.two_phase();
        two_phase.row_locks.remove(&tree.id());
        two_phase.escalated.insert(tree.id(), updates);
        let owner = self.owner().clone();
        for lock in owner.held_locks() {
            if lock.mode == LockMode::from(RowLockMode::Share)
                && let LockObject::Key(of, key) = &lock.object
                && *of == tree.id()
            {
                self.manager.locks.release(&owner, ObjectRef::Key(*of, key), lock.mode);
            }
        }
        Ok(())
    }

    /// One batch of a scan: rows with no version in progress among them, locked as the level demands.
    pub(crate) fn two_phase_batch(
        &mut self,
        tree: &Arc<Tree>,
        max: usize,
        read: &mut ReadBatch<'_>,
    ) -> Result<(Vec<Row>, bool)> {
        let two_phase = self.two_phase();
        let mode = two_phase.read_mode(tree);
        let lock_rows = two_phase.level == Isolation::RepeatableRead && !two_phase.is_escalated(tree);
        let mut rows = Vec::with_capacity(max.min(64));
        let more = loop {
            rows.clear();
            let mut met = self.observe(true);
            let more = read(self, &mut met, &mut rows)?;
            let Some((key, _)) = met.skipped.first() else {
                self.seen = self.seen.max(met.seen);
                break more;
            };
            self.wait_for_writer(tree, key, mode, true)?;
        };
        if lock_rows {
            rows = self.lock_rows(tree, rows, mode)?;
        }
        Ok((rows, more))
    }

    /// Locks rows that were just read; a row that changed before its lock was granted is read again.
    fn lock_rows(&mut self, tree: &Arc<Tree>, rows: Vec<Row>, mode: LockMode) -> Result<Vec<Row>> {
        let mut locked = Vec::with_capacity(rows.len());
        for (key, _) in rows {
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

    /// Waits until no range lock of another session covers `key`. False if there was none.
    pub(crate) fn wait_for_ranges(&mut self, tree: &Tree, key: &[u8]) -> Result<bool> {
        let mut waited = false;
        while let Some(id) = self.conflicting_range(tree, key) {
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
