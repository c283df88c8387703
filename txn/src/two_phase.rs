//! Strict two-phase locking: reads lock what they read, and every lock stays until the transaction ends.
//!
//! Reads look at the latest committed state (horizon [`Timestamp::MAX`]), after their lock is granted:
//!
//! ```text
//!   level             point read                 scan                                      absent keys
//!   READ COMMITTED    waits for a writer in progress, holds nothing (a lock of no duration)
//!   REPEATABLE READ   S lock on the key          S lock on each row returned               not protected
//!   SERIALIZABLE      S lock on the key,         shared lock on the whole range, at once   protected
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
//! mode of the write at once. Otherwise two statements that both hold S on a row and both want X would be a deadlock
//! on every hot row. Between scans and writes of wide ranges that deadlock remains possible, and is detected.
//!
//! Read locks survive a rollback to a savepoint: the client has seen what they protect.

use crate::key_ranges::point;
use crate::lock_mode::LockMode;
use crate::lock_table::{Acquired, HeldLock, ObjectRef};
use crate::protocol::{Observations, Protocol, key_object};
use crate::session::SessionHandle;
use crate::ssi::{Kind, LockedReads, Participant, Ssi};
use crate::{Isolation, Result, RowLockMode, Transaction, WaitPolicy};
use serin_storage::{KeyRange, Store, Timestamp, Tree, TreeId, Value, WriterId};
use std::sync::Arc;

/// A key and its value, as a scan yields them.
type Row = (Box<[u8]>, Value);
/// Appends a batch of rows; whether more follow.
type ReadBatch<'a> = dyn FnMut(&Transaction, &mut Observations, &mut Vec<Row>) -> Result<bool> + 'a;

pub(crate) struct TwoPhase {
    pub(crate) level: Isolation,
    /// At SERIALIZABLE, from the first write on: this one's writes may be the far end of an SSI transaction's edge.
    pub(crate) participant: Option<Participant>,
    /// The ranges locked so far, for the SIREADs they become.
    ranges: Vec<(TreeId, KeyRange)>,
    /// Reads of this tree lock in this mode instead of S, until the statement ends.
    pub(crate) intent: Option<(TreeId, RowLockMode)>,
}

impl TwoPhase {
    pub(crate) fn join(&mut self, ssi: &Ssi, session: &Arc<SessionHandle>, writer: WriterId) {
        if self.level == Isolation::Serializable {
            self.participant = Some(ssi.join(Kind::TwoPhase, session, Some(writer)));
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
                ssi.committed(participant, store, ts, seen, LockedReads { locks, ranges: self.ranges });
            }
        }
    }

    fn read_mode(&self, tree: &Tree) -> LockMode {
        match self.intent {
            Some((id, mode)) if id == tree.id() => mode.into(),
            _ => RowLockMode::Share.into(),
        }
    }
    fn intends(&self, tree: &Tree) -> bool {
        self.intent.is_some_and(|(id, _)| id == tree.id())
    }
}

impl Transaction {
    pub(crate) fn begin_two_phase(&mut self) {
        self.protocol = Protocol::TwoPhase(Box::new(TwoPhase {
            level: self.options.isolation,
            participant: None,
            ranges: Vec::new(),
            intent: None,
        }));
    }

    fn two_phase(&mut self) -> &mut TwoPhase {
        match &mut self.protocol {
            Protocol::TwoPhase(two_phase) => two_phase,
            _ => unreachable!("called under 2PL only"),
        }
    }

    pub(crate) fn two_phase_get(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<Option<Value>> {
        let two_phase = self.two_phase();
        let mode = two_phase.read_mode(tree);
        let momentary = two_phase.level == Isolation::ReadCommitted && !two_phase.intends(tree);
        if !momentary {
            let owner = self.owner().clone();
            self.manager.locks.acquire(&owner, key_object(tree, key), mode, WaitPolicy::Block)?;
        }
        loop {
            let mut met = self.observe(true);
            let value = tree.get(self.view(), key, &mut met)?;
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

    pub(crate) fn lock_range(&mut self, tree: &Tree, range: &KeyRange) -> Result<()> {
        if self.two_phase().level != Isolation::Serializable {
            return Ok(());
        }
        let mode = self.two_phase().read_mode(tree);
        let owner = self.owner().clone();
        let manager = self.manager.clone();
        let locks = &manager.locks;
        if let Some(key) = point(range) {
            locks.acquire(&owner, key_object(tree, key), mode, WaitPolicy::Block)?;
            return Ok(());
        }
        let id = locks.ranges.next_id();
        // The lock first: whoever finds the range can then queue behind it.
        locks.acquire(&owner, ObjectRef::Range(tree.id(), id), LockMode::Share, WaitPolicy::Block)?;
        locks.ranges.insert(tree.id(), id, range.clone(), owner);
        self.two_phase().ranges.push((tree.id(), range.clone()));
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
        let lock_rows = match two_phase.level {
            Isolation::ReadCommitted | Isolation::Serializable => two_phase.intends(tree),
            Isolation::RepeatableRead => true,
        };
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
    /// UPDATE, DELETE and SELECT FOR UPDATE, so that two of them don't both hold S and wait for each other's.
    /// Other protocols ignore it.
    pub fn intend_to_lock(&mut self, tree: &Arc<Tree>, mode: RowLockMode) {
        if let Protocol::TwoPhase(two_phase) = &mut self.protocol {
            two_phase.intent = Some((tree.id(), mode));
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
        if ranges.is_empty() {
            return None;
        }
        let me = self.options.session.id;
        let mut conflicting = None;
        ranges.containing(tree.id(), key, |id, reader| {
            if reader.session.id != me {
                conflicting = Some(id);
            }
            conflicting.is_none()
        });
        conflicting
    }
}
