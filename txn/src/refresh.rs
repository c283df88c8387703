//! Moving an SSI transaction's snapshot forward instead of failing with 40001.
//!
//! # Problem
//!
//! Under snapshot isolation, whoever updates a row that was committed after his snapshot has to abort (first updater wins). On a hot row
//! that is nearly everybody: sixteen clients of TPC-B spend more on retries than on work. Yet most of those transactions have
//! read nothing that changed. Had they begun a moment later, they would have seen the same and succeeded.
//!
//! # Idea
//!
//! If nothing that a transaction has read was committed over between its snapshot s and now, then it can't tell a snapshot taken now from the
//! one it has: so it gets one taken now. SIREADs say exactly what it has read.
//!
//! ```text
//!   time      s ──────────────── W commits k ─────── h
//!   T reads   a, b                                     locks k, finds W's version: a and b have not changed since s,
//!                                                      so T's snapshot becomes h, and T goes on with W's k
//! ```
//!
//! # Rules
//!
//! 1. The new snapshot is one of the durable state, like any other, that has the version found. Where that version's commit is not durable
//!    yet, the transaction waits for it, with the row locked.
//! 2. Every key and range read before has to be free of versions committed after s. Keys written are: nobody else could. Large
//!    read sets are not looked through ([`KEYS_MAX`], [`RANGE_ROWS_MAX`]): they fail as before.
//! 3. The row that is to be locked may have changed if the running statement has read nothing else, and the transaction has not read the row in
//!    an earlier statement. The caller goes on with its latest value, as READ COMMITTED does: for a statement about one row,
//!    that is to run it again. (Not so for others: which row is ORDER BY … LIMIT 1 FOR UPDATE would depend on the others.)
//! 4. In the graph the transaction's snapshot is h from then on; edges between it and what committed up to h are taken out, since such
//!    transactions are not concurrent with it any more. An edge out to one of them can only come from the row of rule 3.
//! 5. READ ONLY transactions stay where they are: their snapshot's timestamp has been used to judge structures (rules 3 and 8 of
//!    `ssi.rs`), and they lock nothing. REPEATABLE READ keeps PostgreSQL's behaviour, which programs at that level may rely on.
//!
//! CockroachDB calls this a read refresh; it refreshes when a write is pushed, here it is done when a lock finds a newer version.

use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::ssi::Participant;
use crate::{Result, Transaction};
use serin_storage::{Direction, KeyRange, ReadObserver, Snapshot, Timestamp, Tree, View};
use serin_storage::{WriterId, WriterState, WriterStatus};
use std::sync::Arc;

/// Keys looked at, at most: a fraction of a microsecond each, while others may wait for the row.
const KEYS_MAX: usize = 256;
const RANGES_MAX: usize = 16;
/// Rows of each range looked at, at most.
const RANGE_ROWS_MAX: usize = 256;

impl Transaction {
    /// `key` has a version newer than what this transaction sees, committed at `newest`, and is to be locked or written. True: the
    /// snapshot has moved, and the version is in it.
    pub(crate) fn refresh(&mut self, tree: &Tree, key: &[u8], newest: Timestamp) -> Result<bool> {
        let Protocol::Ssi(participant) = &self.protocol else { return Ok(false) };
        let manager = self.manager.clone();
        let ssi = &manager.ssi;
        ssi.check(participant)?;
        if self.options.read_only || !participant.reads_only(tree.id(), key) {
            return Ok(false);
        }
        let unchecked = ssi.rules.is_off(Rule::RefreshValidates);
        if !unchecked && !self.reads_unchanged(participant)? {
            return Ok(false);
        }
        let store = &manager.store;
        if store.watermark() < newest {
            store.wait_durable(newest)?;
        }
        let snapshot = store.snapshot();
        // Again, up to the snapshot that it is to be.
        if !unchecked && !self.reads_unchanged(participant)? {
            return Ok(false);
        }
        // An error where the old snapshot has lost track of what came after it: then nothing was shown.
        tree.get(self.view(), key, &mut ())?;
        ssi.refresh(participant, snapshot.timestamp())?;
        self.snapshot = Some(Arc::new(snapshot));
        // The caller learns of the latest version without a read of its own, and may come not to write it.
        if !ssi.rules.is_off(Rule::RefreshRegisters) {
            self.register_key_read(tree, key);
        }
        manager.refresh_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(true)
    }

    /// Rule 2, for what was read before the running statement.
    fn reads_unchanged(&self, participant: &Participant) -> Result<bool> {
        let read = self.manager.ssi.reads_before_statement(participant, KEYS_MAX, RANGES_MAX);
        let (Some(read), Some(snapshot)) = (read, &self.snapshot) else { return Ok(false) };
        let since = self.horizon();
        for (of, other) in &read.keys {
            let Some(of) = self.manager.store.tree(*of) else { return Ok(false) };
            if of.newest_committed_in_delta(other).is_some_and(|(at, _)| at > since) {
                return Ok(false);
            }
        }
        for (of, range) in read.ranges {
            let Some(of) = self.manager.store.tree(of) else { return Ok(false) };
            if !range_unchanged(&of, range, snapshot, since, self.own_id())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn range_unchanged(
    tree: &Arc<Tree>,
    range: KeyRange,
    snapshot: &Snapshot,
    since: Timestamp,
    own: Option<WriterId>,
) -> Result<bool> {
    let mut met = Committed { own, any: false };
    let view = View { snapshot, horizon: since, own: None };
    let more =
        tree.cursor(range, Direction::Forward)
            .next_batch(view, RANGE_ROWS_MAX, &mut met, &mut |_, _| true)?;
    Ok(!more && !met.any)
}

/// Whether a read passed over a committed version.
struct Committed {
    own: Option<WriterId>,
    any: bool,
}

impl ReadObserver for Committed {
    fn skipped(&mut self, _key: &[u8], writer: &Arc<WriterState>) {
        self.any |= Some(writer.id()) != self.own && matches!(writer.status(), WriterStatus::Committed(_));
    }
}
