//! Rows that are elsewhere: an UPDATE gave them another primary key, or sent them to another partition.
//!
//! A row is found by its key, so one whose key changes is deleted at the old key and inserted at the new one. Whoever waits for it
//! at the old key finds nothing there, and must not take it for deleted: PostgreSQL follows the chain of versions to the new row, and
//! says "concurrent update", not "delete", where it may not. So the process remembers what moved ([`MovedRows`]).
//!
//! # Another partition
//!
//! Who meets such a row gets 40001, "tuple to be locked was already moved to another partition due to concurrent update". At worst (the row is deleted
//! later, while somebody waits) a serialization failure is reported that need not be one.
//!
//! # Another key
//!
//! [`follow`] locks the row at its new key. What is remembered was noted when it happened, not when it was committed, and may be wrong by
//! now: the transaction rolled back, or rolled back to a savepoint and did something else, or others have been at either key since. So the
//! row is followed only if
//!
//! 1. the newest committed version at the old key is the deletion by the transaction that moved the row, and
//! 2. the newest one at the new key, once that is locked, is by the same transaction and has the very values it was moved with.
//!
//! Otherwise the row counts as deleted. That is less than PostgreSQL does in one case: the row was changed again after it had moved.
//! Only transactions that read snapshots follow: a scan of the latest state (2PL, serial) meets the row at its new key as well.

use crate::error::{Error, Result, SqlState};
use parking_lot::Mutex;
use serin_storage::{Tree, TreeId, Value};
use serin_txn::{Mode, RowLock, RowLockMode, Transaction, WaitPolicy};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Rows remembered at most; the oldest go first, and who waits for one of those takes it for deleted.
const MOVED_MAX: usize = 16_384;
/// How often a row's key may have changed while somebody waited for it.
const HOPS_MAX: usize = 16;

#[derive(Default)]
pub struct MovedRows {
    moves: Mutex<Moves>,
    hasher: RandomState,
}

type Place = (TreeId, Box<[u8]>);

#[derive(Default)]
struct Moves {
    known: HashMap<Place, Moved>,
    order: VecDeque<Place>,
}

#[derive(Clone)]
enum Moved {
    ToPartition,
    ToKey(NewPlace),
}

#[derive(Clone)]
struct NewPlace {
    key: Box<[u8]>,
    transaction: u64,
    /// The hash of the row as it is stored.
    row: u64,
}

impl MovedRows {
    pub fn to_partition(&self, tree: TreeId, key: &[u8]) {
        self.add(tree, key, Moved::ToPartition);
    }

    /// `row`: as it is stored at its new key.
    pub fn to_key(&self, tree: TreeId, key: &[u8], new_key: &[u8], row: &[u8], transaction: u64) {
        let row = self.hasher.hash_one(row);
        self.add(tree, key, Moved::ToKey(NewPlace { key: new_key.into(), transaction, row }));
    }

    fn add(&self, tree: TreeId, key: &[u8], moved: Moved) {
        let place: Place = (tree, key.into());
        let mut moves = self.moves.lock();
        if moves.known.insert(place.clone(), moved).is_some() {
            return;
        }
        moves.order.push_back(place);
        if moves.order.len() > MOVED_MAX
            && let Some(oldest) = moves.order.pop_front()
        {
            moves.known.remove(&oldest);
        }
    }

    fn get(&self, tree: TreeId, key: &[u8]) -> Option<Moved> {
        let moves = self.moves.lock();
        if moves.known.is_empty() {
            return None;
        }
        moves.known.get(&(tree, key.into())).cloned()
    }

    /// For a row of a partition that turned out to be gone: 40001 if it has moved.
    pub fn check(&self, transaction: &Transaction, tree: &Tree, key: &[u8]) -> Result<()> {
        match self.get(tree.id(), key) {
            Some(Moved::ToPartition) => {
                // Or it would meet the row at its old place again, for as long as the move is not durable.
                transaction.retry_after(tree, key)?;
                let message =
                    "tuple to be locked was already moved to another partition due to concurrent update";
                Err(Error::new(SqlState::SERIALIZATION_FAILURE, message))
            }
            _ => Ok(()),
        }
    }

    /// Rule 1.
    fn new_place(&self, transaction: &Transaction, tree: &Tree, key: &[u8]) -> Option<NewPlace> {
        let Some(Moved::ToKey(to)) = self.get(tree.id(), key) else { return None };
        let newest = transaction.newest_committed(tree, key).ok()??;
        (newest == (to.transaction, false)).then_some(to)
    }

    /// What looks like a deletion is an update if the row is elsewhere.
    pub fn explain(
        &self,
        error: serin_txn::Error,
        transaction: &Transaction,
        tree: &Tree,
        key: &[u8],
    ) -> serin_txn::Error {
        match error {
            serin_txn::Error::ConcurrentUpdate { deleted: true, conflict } => {
                let to_partition = matches!(self.get(tree.id(), key), Some(Moved::ToPartition));
                let deleted = !to_partition && self.new_place(transaction, tree, key).is_none();
                serin_txn::Error::ConcurrentUpdate { deleted, conflict }
            }
            error => error,
        }
    }

    /// The row that was to be locked at `key` and is gone: locks it where it is now, if that is known, and answers its key and value.
    pub fn follow(
        &self,
        transaction: &mut Transaction,
        tree: &Arc<Tree>,
        key: &[u8],
        mode: RowLockMode,
        wait: WaitPolicy,
    ) -> serin_txn::Result<Option<(Vec<u8>, Value)>> {
        if transaction.mode() != Mode::Ssi {
            return Ok(None);
        }
        let mut at: Box<[u8]> = key.into();
        for _ in 0..HOPS_MAX {
            let Some(to) = self.new_place(transaction, tree, &at) else { return Ok(None) };
            match transaction.lock_row(tree, &to.key, mode, wait)? {
                RowLock::Changed(Some(value)) => {
                    let newest = transaction.newest_committed(tree, &to.key)?;
                    let same =
                        newest == Some((to.transaction, true)) && self.hasher.hash_one(&value[..]) == to.row;
                    return Ok(same.then(|| (to.key.into_vec(), value)));
                }
                RowLock::Changed(None) => at = to.key,
                RowLock::Unchanged | RowLock::SelfModified { .. } | RowLock::Skipped => return Ok(None),
            }
        }
        Ok(None)
    }
}
