//! Range scans under each protocol.

use crate::key_ranges;
use crate::protocol::Protocol;
use crate::two_phase::ScanLock;
use crate::{Result, Transaction};
use serin_storage::{CommandId, Cursor, Direction, KeyRange, Snapshot, Timestamp, Tree, Value, View};
use std::ops::Bound;
use std::sync::Arc;

/// A registered range scan. Pull batches with the transaction that made it; it may outlive statements (portals),
/// and then keeps reading the snapshot and command it was opened with.
pub struct Scan {
    tree: Arc<Tree>,
    /// What is left of the range. Kept up to date in 2PL, whose batches start their cursor anew.
    range: KeyRange,
    direction: Direction,
    cursor: Cursor,
    snapshot: Arc<Snapshot>,
    horizon: Timestamp,
    command: CommandId,
    /// Invisible to the protocols: catalog reads.
    unregistered: bool,
    exhausted: bool,
    /// 2PL at SERIALIZABLE: the whole range, and the lock on what of it was read.
    whole: Option<KeyRange>,
    locked: Option<u64>,
}

impl Transaction {
    /// Registers the range with SSI before anything is read. 2PL locks it batch by batch, as far as the scan goes.
    pub fn scan(&mut self, tree: &Arc<Tree>, range: KeyRange, direction: Direction) -> Result<Scan> {
        self.before_operation()?;
        if self.retries {
            self.lock_lost(tree, |lost| key_ranges::contains(&range, lost))?;
        }
        self.register_range_read(tree, &range);
        let horizon = self.horizon();
        Ok(self.open_scan(tree, range, direction, horizon, self.command, false))
    }

    pub fn catalog_scan(&mut self, tree: &Arc<Tree>, range: KeyRange) -> Result<Scan> {
        self.check()?;
        self.ensure_snapshot()?;
        let command = CommandId(u32::MAX);
        Ok(self.open_scan(tree, range, Direction::Forward, Timestamp::MAX, command, true))
    }

    fn open_scan(
        &mut self,
        tree: &Arc<Tree>,
        range: KeyRange,
        direction: Direction,
        horizon: Timestamp,
        command: CommandId,
        unregistered: bool,
    ) -> Scan {
        Scan {
            tree: tree.clone(),
            cursor: tree.cursor(range.clone(), direction),
            range,
            direction,
            snapshot: self.pinned().clone(),
            horizon,
            command,
            unregistered,
            exhausted: false,
            whole: None,
            locked: None,
        }
    }
}

impl Scan {
    /// Begins anew with another range of the same tree, as of now. The direction stays.
    pub fn restart(&mut self, transaction: &mut Transaction, range: KeyRange) -> Result<()> {
        transaction.before_operation()?;
        if transaction.retries {
            transaction.lock_lost(&self.tree, |lost| key_ranges::contains(&range, lost))?;
        }
        transaction.register_range_read(&self.tree, &range);
        self.cursor.restart(range.clone());
        self.range = range;
        if !Arc::ptr_eq(&self.snapshot, transaction.pinned()) {
            self.snapshot = transaction.pinned().clone();
        }
        (self.horizon, self.command) = (transaction.horizon(), transaction.command);
        (self.exhausted, self.whole, self.locked) = (false, None, None);
        Ok(())
    }

    /// Hands up to `max` rows to `visit` in order; false from `visit` stops early. Returns false when exhausted.
    pub fn next_batch(
        &mut self,
        transaction: &mut Transaction,
        max: usize,
        visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        if self.exhausted {
            return Ok(false);
        }
        transaction.check()?;
        if !self.unregistered && matches!(transaction.protocol, Protocol::TwoPhase(_)) {
            return self.next_batch_locked(transaction, max, visit);
        }
        let remembers = !self.unregistered && matches!(transaction.protocol, Protocol::Ssi(_));
        let mut met = transaction.observe(remembers);
        let more = self.cursor.next_batch(
            view(&self.snapshot, self.horizon, self.command, transaction),
            max,
            &mut met,
            visit,
        )?;
        if self.horizon == Timestamp::MAX {
            transaction.seen = transaction.seen.max(met.seen);
        }
        transaction.after_read(&self.tree, met)?;
        self.exhausted = !more;
        Ok(more)
    }

    /// 2PL: a batch is read whole, waited for, locked, and only then shown.
    fn next_batch_locked(
        &mut self,
        transaction: &mut Transaction,
        max: usize,
        visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        let tree = self.tree.clone();
        let whole = self.whole.get_or_insert_with(|| self.range.clone()).clone();
        let mut lock = ScanLock { whole: whole.clone(), direction: self.direction, id: self.locked };
        let mut last = None;
        let batch = transaction.two_phase_batch(&tree, max, &mut lock, &mut |transaction, met, rows| {
            let mut cursor = self.tree.cursor(self.range.clone(), self.direction);
            let view = view(&self.snapshot, self.horizon, self.command, transaction);
            let more = cursor.next_batch(view, max, met, &mut |key, value| {
                rows.push((key.into(), value.clone()));
                true
            })?;
            last = rows.last().map(|(key, _)| key.clone());
            Ok(more)
        });
        self.locked = lock.id;
        let (rows, more) = batch?;
        for (key, value) in &rows {
            if !visit(key, value) {
                self.continue_after(key);
                self.cut_back(transaction, whole, Bound::Included(key.to_vec()))?;
                return Ok(true);
            }
        }
        match last {
            Some(last) if more => {
                self.continue_after(&last);
                self.cut_back(transaction, whole, Bound::Included(last.to_vec()))?;
            }
            _ => self.exhausted = !more,
        }
        Ok(more)
    }

    /// Leaves locked what has been read: up to `last`, in the direction of the scan.
    fn cut_back(
        &mut self,
        transaction: &mut Transaction,
        whole: KeyRange,
        last: Bound<Vec<u8>>,
    ) -> Result<()> {
        let mut lock = ScanLock { whole, direction: self.direction, id: self.locked };
        let outcome = transaction.cut_back(&self.tree, &mut lock, last);
        self.locked = lock.id;
        outcome
    }

    fn continue_after(&mut self, key: &[u8]) {
        match self.direction {
            Direction::Forward => self.range.start = Bound::Excluded(key.to_vec()),
            Direction::Backward => self.range.end = Bound::Excluded(key.to_vec()),
        }
    }
}

fn view<'a>(
    snapshot: &'a Snapshot,
    horizon: Timestamp,
    command: CommandId,
    transaction: &'a Transaction,
) -> View<'a> {
    let own = transaction.writer.as_ref().map(|writer| (&**writer.state(), command));
    View { snapshot, horizon, own }
}
