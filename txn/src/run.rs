//! Bulk inserts beside others: rows with ascending keys that go to disk as they come, not one by one through the delta.
//!
//! A row that is inserted by itself costs a version chain, a place in the write set and a record in the log; COPY and INSERT … SELECT
//! of a million rows pay that a million times. A [`KeyRun`] takes rows in chunks and packs them into a layer of the tree
//! (`storage/src/layer.rs`), which the other transactions see when it is complete, as the uncommitted versions of this
//! one. Until then nothing in the tree says that the keys are taken. So for each chunk:
//!
//! 1. its key range is registered where 2PL's readers register theirs (`key_ranges.rs`): whoever writes a key in there
//!    finds it, before its write or after, and waits in the lock table's queue;
//! 2. then the range must be vacant: no version in the delta, no layer and no base has a key in it, committed or not; and nobody
//!    else has registered a range that meets it. Otherwise the chunk is refused, the run ends, and rows go the ordinary way;
//! 3. the ranges are given up when the layer is listed, for from then on its versions are what others meet.
//!
//! Two runs that meet refuse each other's chunks, list what they have, and go on row by row: none waits for the other while
//! it holds ranges. Keys that nobody else can have need neither 1 nor 2: row ids, which are given out once, and entries of an index
//! that end in the key of a row that is this transaction's.
//!
//! A 2PL reader may register a range that meets the run after its chunks were judged; it has not seen the rows. As with a single
//! write, the layer is taken off again then, and listed once the reader is done.
//!
//! Only transactions that do not track reads and writes for SSI make runs (READ COMMITTED and REPEATABLE READ in `ssi` mode).

use crate::key_ranges::{contains, overlap};
use crate::lock_mode::LockMode;
use crate::lock_table::{ObjectRef, Owner, RangeReader};
use crate::protocol::Protocol;
use crate::{Result, Transaction, TransactionManager, WaitPolicy};
use serin_storage::{KeyRange, RunWriter, Tree};
use std::ops::Bound;
use std::sync::Arc;

pub struct KeyRun {
    tree: Arc<Tree>,
    rows: RunWriter,
    claims: Claims,
    /// Nobody else can have these keys.
    unshared: bool,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// Ranges registered for chunks; given up when dropped.
struct Claims {
    manager: Arc<TransactionManager>,
    owner: Arc<Owner>,
    tree: Arc<Tree>,
    ids: Vec<u64>,
}

impl Claims {
    fn claim(&mut self, range: &KeyRange) -> Result<()> {
        let locks = &self.manager.locks;
        let id = locks.ranges.next_id();
        // The lock first: whoever finds the range can then queue behind it.
        let object = ObjectRef::Range(self.tree.id(), id);
        locks.acquire(&self.owner, object, LockMode::Share, WaitPolicy::Block)?;
        self.ids.push(id);
        let reader = RangeReader { owner: self.owner.clone(), updates: true, loads: true };
        locks.ranges.insert(self.tree.id(), id, range.clone(), reader);
        Ok(())
    }

    fn give_up(&mut self) {
        for id in self.ids.drain(..) {
            self.manager.locks.ranges.remove(self.tree.id(), id);
            let object = ObjectRef::Range(self.tree.id(), id);
            self.manager.locks.release(&self.owner, object, LockMode::Share);
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl KeyRun {
    /// Whether it is time to finish it and begin another.
    pub fn is_full(&self) -> bool {
        !self.unshared && self.rows.bytes() > 32 << 20
    }
}

impl Transaction {
    /// None: this transaction has to write row by row. `unshared`: nobody else can have the keys, and this transaction has no version
    /// of them either.
    pub fn begin_run(&mut self, tree: &Arc<Tree>, unshared: bool) -> Result<Option<KeyRun>> {
        self.before_operation()?;
        self.ensure_writing()?;
        if !matches!(self.protocol, Protocol::Snapshot { .. }) {
            return Ok(None);
        }
        let claims = Claims {
            manager: self.manager.clone(),
            owner: self.owner().clone(),
            tree: tree.clone(),
            ids: Vec::new(),
        };
        let command = self.command;
        let rows = self.writer.as_mut().expect("ensure_writing comes first").begin_run(tree, command)?;
        Ok(Some(KeyRun { tree: tree.clone(), rows, claims, unshared, first: Vec::new(), last: Vec::new() }))
    }

    /// Adds rows, in ascending order of keys. False: nothing was added, the run is to be finished and these rows to be written
    /// one by one.
    pub fn extend_run<'r>(
        &mut self,
        run: &mut KeyRun,
        first: &[u8],
        last: &[u8],
        rows: impl Iterator<Item = (&'r [u8], &'r [u8])>,
    ) -> Result<bool> {
        self.before_operation()?;
        if !run.first.is_empty() && *first <= *run.last {
            return Ok(false);
        }
        if !run.unshared && !self.claim_vacant(run, first, last)? {
            return Ok(false);
        }
        for (key, value) in rows {
            run.rows.append(key, value)?;
        }
        if run.first.is_empty() {
            first.clone_into(&mut run.first);
        }
        last.clone_into(&mut run.last);
        Ok(true)
    }

    /// Steps 1 and 2.
    fn claim_vacant(&self, run: &mut KeyRun, first: &[u8], last: &[u8]) -> Result<bool> {
        let range = KeyRange { start: Bound::Included(first.to_vec()), end: Bound::Included(last.to_vec()) };
        run.claims.claim(&range)?;
        let mut alone = true;
        let me = self.options.session.id;
        self.manager.locks.ranges.for_each(|tree, other, reader| {
            let meets = contains(other, first)
                || contains(other, last)
                || matches!(&other.start, Bound::Included(key) | Bound::Excluded(key) if contains(&range, key));
            alone &= tree != run.tree.id() || reader.owner.session.id == me || !meets;
        });
        Ok(alone && run.tree.is_vacant(&range)?)
    }

    /// Whether this transaction has versions in the tree: then keys of a run might be among them.
    pub fn has_written(&self, tree: &Arc<Tree>) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.has_written(tree))
    }

    /// A range that another session has read and that meets this one. Chunks of other runs don't: each saw to it when it was claimed.
    fn range_meeting(&self, tree: &Tree, range: &KeyRange) -> Option<u64> {
        let ranges = &self.manager.locks.ranges;
        if ranges.is_empty() {
            return None;
        }
        let me = self.options.session.id;
        ranges.find(tree.id(), |_, other, reader| {
            !reader.loads && reader.owner.session.id != me && overlap(other, range)
        })
    }

    fn wait_for_ranges_meeting(&mut self, tree: &Tree, range: &KeyRange) -> Result<()> {
        let (owner, manager) = (self.owner().clone(), self.manager.clone());
        while let Some(id) = self.range_meeting(tree, range) {
            let object = ObjectRef::Range(tree.id(), id);
            manager.locks.acquire(&owner, object, LockMode::RowExclusive, WaitPolicy::Block)?;
            manager.locks.release(&owner, object, LockMode::RowExclusive);
        }
        Ok(())
    }

    /// Lists the layer: the rows are this transaction's uncommitted versions from now on.
    pub fn finish_run(&mut self, run: KeyRun) -> Result<()> {
        let KeyRun { tree, rows, mut claims, first, last, .. } = run;
        let Some(layer) = rows.finish()? else { return Ok(()) };
        let range = KeyRange { start: Bound::Included(first), end: Bound::Included(last) };
        loop {
            self.wait_for_ranges_meeting(&tree, &range)?;
            let writer = self.writer.as_mut().expect("the run began with one");
            writer.list_run(&layer);
            if self.range_meeting(&tree, &range).is_none() {
                break;
            }
            self.writer.as_mut().expect("the run began with one").unlist_run(&layer);
        }
        self.gate = None;
        claims.give_up();
        Ok(())
    }
}
