//! Reads of what other transactions have not committed yet (dirty reads), for constraints that compare a row with others
//! (`EXCLUDE`): two rows that conflict have no key in common at which their writers would meet.
//!
//! # Write first, look afterwards
//!
//! Who brings in a row writes it and its index entries, and then looks for rows in conflict, whoever wrote them and whether they are
//! committed or not. Of two transactions that do so at the same time at least one finds the other's row: each looks after it has
//! written, and a fence lies between its writing and its looking ([`Transaction::dirty_scan`]). It waits then for the other to end, and
//! looks again. If both have found each other, both wait, and the lock table finds the deadlock.
//!
//! A row may also come into conflict by an update that leaves its index entries where they are. So the rows that entries lead to are
//! read dirty as well: with what is committed, and with what is in progress.

use crate::lock_table::Acquired;
use crate::protocol::{Protocol, key_object};
use crate::sync::fence;
use crate::{Result, RowLockMode, Transaction, WaitPolicy};
use serin_storage::{
    CommandId, Direction, Head, KeyRange, ReadObserver, Timestamp, Tree, Value, View, WriterState,
};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The keys of a range that anybody's state has, in order.
pub struct DirtyScan {
    tree: Arc<Tree>,
    range: KeyRange,
    exhausted: bool,
}

/// What is at a key.
pub struct DirtyRow {
    /// In the latest committed state, with what this transaction has done.
    pub latest: Option<Value>,
    /// As another transaction (by its id) leaves it that writes it now.
    pub in_progress: Option<(u64, Option<Value>)>,
    /// Whether `latest` was committed after what the statement sees.
    pub is_newer: bool,
}

#[derive(Default)]
struct Met {
    /// Only where keys are wanted.
    keys: Option<Vec<Box<[u8]>>>,
    writer: Option<Arc<WriterState>>,
    horizon: Timestamp,
    seen: Timestamp,
}

impl ReadObserver for Met {
    fn skipped(&mut self, key: &[u8], writer: &Arc<WriterState>) {
        if let Some(keys) = &mut self.keys {
            keys.push(key.into());
        }
        self.writer = Some(writer.clone());
    }
    fn saw(&mut self, key: &[u8], at: Timestamp) {
        if let Some(keys) = &mut self.keys
            && at > self.horizon
        {
            keys.push(key.into());
        }
        self.seen = self.seen.max(at);
    }
}

impl Transaction {
    /// After this transaction has written what it wants to compare.
    pub fn dirty_scan(&mut self, tree: &Arc<Tree>, range: KeyRange) -> Result<DirtyScan> {
        self.before_operation()?;
        // Whoever waits for a writer is one, to the serial gate.
        self.ensure_writing()?;
        // Pairs with the same one of whoever writes a conflicting row now: what was written before is seen by one of the two.
        fence(Ordering::SeqCst);
        Ok(DirtyScan { tree: tree.clone(), range, exhausted: false })
    }

    fn latest_view(&self) -> View<'_> {
        View {
            snapshot: self.pinned(),
            horizon: Timestamp::MAX,
            own: self.writer.as_ref().map(|writer| (&**writer.state(), CommandId(u32::MAX))),
        }
    }

    pub fn dirty_get(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<DirtyRow> {
        self.before_operation()?;
        let horizon = self.snapshot_timestamp();
        let mut met = Met::default();
        let latest = tree.get(self.latest_view(), key, &mut met)?;
        self.seen = self.seen.max(met.seen);
        let in_progress = match &met.writer {
            None => None,
            // It may have ended meanwhile: then this is the latest state, or was never to be, and who waits for it finds out.
            Some(writer) => {
                let view = View { own: Some((writer, CommandId(u32::MAX))), ..self.latest_view() };
                Some((writer.id().0, tree.get(view, key, &mut ())?))
            }
        };
        Ok(DirtyRow { latest, in_progress, is_newer: met.seen > horizon })
    }

    /// Waits until no other transaction writes the key; keeps no lock.
    pub fn await_writer(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<()> {
        self.before_operation()?;
        self.ensure_writing()?;
        let mode = RowLockMode::Share.into();
        if self.lock_key(tree, key, mode, WaitPolicy::Block)? == Acquired::Now {
            let owner = self.owner().clone();
            self.manager.locks.release(&owner, key_object(tree, key), mode);
        }
        Ok(())
    }

    /// Whether a conflicting row of the latest state is one that the statement sees. That there is one is something the
    /// transaction has read, as with [`Transaction::insert`]'s duplicates.
    pub fn meet(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<bool> {
        match tree.head(key)? {
            // The statement's own row, which its command can't see yet, is no other transaction's secret.
            Head::InProgress { writer, .. } if Some(writer.id()) == self.own_id() => Ok(true),
            Head::Committed { at, .. } if at > self.horizon() => {
                if let Protocol::Ssi(participant) = &self.protocol {
                    self.manager.ssi.met_duplicate(participant, tree, key)?;
                }
                Ok(false)
            }
            _ => Ok(self.get(tree, key)?.is_some()),
        }
    }

    /// A row that the snapshot shows is, in the latest state, none that a new one conflicts with, and so the new row may go in. A serializable
    /// snapshot transaction must not make use of a change that it doesn't see: its snapshot moves on, or it fails.
    pub fn rely_on_change(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<()> {
        match &self.protocol {
            Protocol::Ssi(_) => self.get_latest_locked(tree, key, RowLockMode::Share).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether [`Transaction::rely_on_change`] asks for anything.
    pub fn may_not_rely_on_changes(&self) -> bool {
        matches!(self.protocol, Protocol::Ssi(_))
    }
}

impl DirtyScan {
    /// Appends up to about `max` keys: those that exist in the latest state, are being written, or were changed after what the statement
    /// sees. False at the end.
    pub fn next_batch(
        &mut self,
        transaction: &mut Transaction,
        max: usize,
        out: &mut Vec<Box<[u8]>>,
    ) -> Result<bool> {
        if self.exhausted {
            return Ok(false);
        }
        transaction.before_operation()?;
        let first = out.len();
        loop {
            let epoch = self.tree.layer_epoch();
            let mut met =
                Met { keys: Some(Vec::new()), horizon: transaction.snapshot_timestamp(), ..Met::default() };
            let mut cursor = self.tree.cursor(self.range.clone(), Direction::Forward);
            let more = cursor.next_batch(transaction.latest_view(), max, &mut met, &mut |key, _| {
                out.push(key.into());
                true
            })?;
            if self.tree.layer_epoch() != epoch {
                // A writer moved its entries while we read: some may have been in neither place.
                out.truncate(first);
                continue;
            }
            transaction.seen = transaction.seen.max(met.seen);
            match out.last().filter(|_| more && out.len() > first) {
                Some(last) => self.range.start = Bound::Excluded(last.to_vec()),
                None => self.exhausted = true,
            }
            out.extend(met.keys.unwrap_or_default());
            let mut kept = out.split_off(first);
            kept.sort_unstable();
            kept.dedup();
            out.append(&mut kept);
            return Ok(!self.exhausted);
        }
    }
}
