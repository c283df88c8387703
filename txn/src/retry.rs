//! A retry locks first: an SSI transaction that follows a failure locks the rows that the failed one lost, when it reads them.
//!
//! # Problem
//!
//! Snapshot isolation lets a transaction read a hot row, work, and find at its own UPDATE that somebody was faster. Its client tries again,
//! on the same terms: nothing prefers who has lost ten times to who comes for the first time, and the longer transaction loses. SmallBank on
//! 1,000 skewed customers, 16 clients: one transaction in eight failed, and these few on average six times each, Amalgamate (three
//! updates) eleven times.
//!
//! # Idea
//!
//! The conflict that ended a transaction names the key it was about. Whoever retries will come by that key again, and more likely than not
//! to write it: so the retry takes the row's lock *before* it reads the row. It waits behind whoever has it, in the lock's queue, first come first
//! served; then moves its snapshot up to what that one committed (`refresh.rs`), reads, and nobody can be faster any more. What
//! never fails runs as before, and readers never wait: only who has lost waits, once, instead of losing again.
//!
//! # Rules
//!
//! 1. Remembered are the keys that the session's failed transaction had tried to write, or had read and somebody overwrote: [`KEYS_MAX`] of
//!    them, until a SERIALIZABLE transaction of the session commits, or [`RETRY_WITHIN`] after the last failure. One that begins later is no
//!    retry, or its client is in no hurry.
//! 2. The lock is that of an UPDATE that keeps the key: foreign keys' checks don't wait for it. It is an ordinary lock, so a wait for it can time
//!    out or be part of a deadlock; who locks more than is needed only makes others wait.
//! 3. Where the snapshot can't move, because something else that was read has changed, the transaction goes on with the old one. It may never write
//!    the row, and then nothing is wrong.
//!
//! Wound-wait and other priorities for the older transaction (Rosenkrantz et al. 1978) have the same aim by aborting who holds the lock; here
//! nobody is aborted for it.

use crate::conflict::action;
use crate::{Conflict, Result, RowLockMode, Transaction, WaitPolicy};
use serin_storage::{Tree, TreeId};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tests have no clock to race against.
const RETRY_WITHIN: Duration = Duration::from_secs(if cfg!(test) { 3600 } else { 1 });
const KEYS_MAX: usize = 8;

/// The keys that a session's failed attempts were about.
#[derive(Default)]
pub(crate) struct Lost {
    keys: VecDeque<(TreeId, Box<[u8]>)>,
    last_failure: Option<Instant>,
}

impl Lost {
    /// `pid` failed in `conflict`.
    pub(crate) fn add(&mut self, pid: i32, conflict: &Conflict) {
        let own = conflict.steps.iter().filter(|step| step.pid == pid && step.action != action::WROTE);
        let keys = own.filter_map(|step| Some((step.tree?, step.key.as_deref()?)));
        self.add_keys(keys);
    }
    pub(crate) fn add_keys<'a>(&mut self, keys: impl Iterator<Item = (TreeId, &'a [u8])>) {
        if !self.is_fresh() {
            self.keys.clear();
        }
        for (tree, key) in keys {
            if !self.keys.iter().any(|(of, lost)| *of == tree && **lost == *key) {
                if self.keys.len() == KEYS_MAX {
                    self.keys.pop_front();
                }
                self.keys.push_back((tree, key.into()));
            }
        }
        self.last_failure = Some(Instant::now());
    }
    /// Whether a transaction that begins now is a retry.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.keys.is_empty() && self.last_failure.is_some_and(|at| at.elapsed() < RETRY_WITHIN)
    }
    pub(crate) fn of(&self, tree: TreeId, reads: impl Fn(&[u8]) -> bool) -> SmallVec<[Box<[u8]>; 1]> {
        self.keys.iter().filter(|(of, key)| *of == tree && reads(key)).map(|(_, key)| key.clone()).collect()
    }
}

impl Transaction {
    /// Before a read of the keys of `tree` that `reads` answers true for: locks those of them that an earlier attempt has lost.
    pub(crate) fn lock_lost(&mut self, tree: &Arc<Tree>, reads: impl Fn(&[u8]) -> bool) -> Result<()> {
        if self.options.read_only {
            return Ok(());
        }
        let lost = self.options.session.lost_of(tree.id(), reads);
        let mut newest = None;
        for key in &lost {
            self.ensure_writing()?;
            self.lock_key(tree, key, RowLockMode::NoKeyUpdate.into(), WaitPolicy::Block)?;
            let committed = tree.newest_committed_in_delta(key).map(|(at, _)| (at, key));
            newest = newest.max(committed);
        }
        if let Some((at, key)) = newest.filter(|(at, _)| *at > self.snapshot_timestamp()) {
            self.refresh(tree, key, at)?;
        }
        Ok(())
    }
}
