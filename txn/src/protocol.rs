//! The seam where the protocols differ, and the argument that they may be mixed.
//!
//! # The seam
//!
//! A transaction runs one protocol from its first statement on ([`Protocol`]). The protocols differ in six places,
//! all of them methods of `Transaction` in this module: what a statement reads ([`begin_protocol`], [`horizon`]), what is
//! remembered or locked before a read, what a read that passed over somebody's version means, what happens before the
//! first write and after each one, and at commit.
//!
//! ```text
//!               reads                  before a read       read passes over W       after a write      at commit
//!   snapshot    statement's or         –                   –                        –                  –
//!               transaction's snapshot
//!   ssi         transaction's snapshot SIREAD              edge me → W              edges readers → me dangerous structures
//!   2pl         latest committed       S key, range lock   wait for W, read again   edges readers → me reads become SIREADs
//!   serial      latest committed       –                   – (nobody else writes)   edges readers → me read "everything"
//! ```
//!
//! Writes are the same in all of them: key locks, range locks of 2PL readers, the serial gate.
//!
//! # Why a mix of SERIALIZABLE transactions is serializable
//!
//! Commit timestamps order the transactions. A transaction in 2PL or serial mode reads the latest committed state, and
//! nobody overwrites what it read before it has committed: its locks (2PL) or the gate (serial) keep writers of every mode
//! out. Suppose there is a cycle of dependencies, and let T3 be the first of it to commit, with T2 → T3 the edge
//! into it.
//!
//! 1. T2 → T3 is an rw-antidependency: by wr or ww T3 would have found T2 committed.
//! 2. T2 is an SSI transaction: had it read under 2PL or the token, T3 could not have written before T2 committed. So
//!    T3 committed after T2's snapshot was taken.
//! 3. The edge T1 → T2 into T2 is an rw-antidependency too: by wr or ww T1 had committed before T2's snapshot was
//!    taken (first-updater-wins for ww), hence before T3, which was first.
//! 4. So every cycle contains T1 —rw→ T2 —rw→ T3 with an SSI transaction for a pivot and T3 first to commit: exactly
//!    what `ssi.rs` never lets commit, provided that it learns of both edges.
//!
//! Of T2 → T3 it learns by rule 1 of `ssi.rs`: writers of *every* serializable mode are in the graph before they
//! install, and look for SIREADs after. Of T1 → T2, for T1 in SSI, likewise. For T1 in 2PL, T2's write waited for T1's
//! lock, so T1 had committed: at commit, *before* it releases its locks, its read locks turn into SIREADs. For T1 in
//! serial mode, T2's first write waited for the gate: the committed T1 counts as having read everything, since
//! noting each read would slow the mode whose point is speed. Both stay as long as T1's timestamp is above the
//! snapshot of an active SSI transaction, or above the watermark, and so above one to come.
//!
//! A transaction that only read counts as committed behind the newest commit it could have seen. READ ONLY
//! transactions in serial mode read a snapshot beside the token. Serial and 2PL commits are in a serial order that is
//! timestamp order, so any snapshot is a prefix of it; SSI commits are not, so while there are SSI writers
//! such a transaction runs as a read-only SSI transaction (whose snapshot is often safe: rule 8).
//!
//! Transactions at lower levels take no part: like in PostgreSQL, nothing is promised among those. They do respect
//! every lock and hold the gate when they write, so that strict transactions see no half of their work.

use crate::lock_table::{Acquired, LockObject, ObjectRef};
use crate::ssi::Participant;
use crate::two_phase::TwoPhase;
use crate::{Error, Isolation, Mode, Result, Running, Transaction, WaitPolicy};
use serin_storage::{KeyRange, ReadObserver, Snapshot, Timestamp, Tree, WriterId, WriterState};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(crate) enum Protocol {
    /// No statement has started.
    Undecided,
    /// Reads a snapshot and remembers nothing: READ COMMITTED and REPEATABLE READ, and safe read-only transactions.
    Snapshot {
        per_statement: bool,
    },
    Ssi(Box<Participant>),
    TwoPhase(Box<TwoPhase>),
    /// Holds the serial token. A participant once it has written.
    Serial(Option<Box<Participant>>),
}

/// The writers of one key's versions, oldest first.
pub(crate) type Writers = SmallVec<[WriterId; 2]>;

/// What a read met. `own` is filtered out.
pub(crate) struct Observations {
    own: Option<WriterId>,
    track_skipped: bool,
    /// Keys of which versions were passed over, with those versions' writers, oldest first. Keys with the same writers as
    /// another are left out.
    pub(crate) skipped: SmallVec<[(Box<[u8]>, Writers); 2]>,
    /// The newest commit seen in the delta.
    pub(crate) seen: Timestamp,
}

impl Observations {
    pub(crate) fn new(own: Option<WriterId>, track_skipped: bool) -> Observations {
        Observations { own, track_skipped, skipped: SmallVec::new(), seen: Timestamp::ZERO }
    }
}

impl ReadObserver for Observations {
    fn skipped(&mut self, key: &[u8], writer: &Arc<WriterState>) {
        if !self.track_skipped || Some(writer.id()) == self.own {
            return;
        }
        // A key's versions come newest first, one after the other.
        if let Some((last, writers)) = self.skipped.last_mut() {
            if **last == *key {
                writers.insert(0, writer.id());
                return;
            }
            let (_, last) = self.skipped.last().expect("looked at above");
            let earlier = &self.skipped[..self.skipped.len() - 1];
            if earlier.iter().any(|(_, writers)| writers == last) {
                self.skipped.pop();
            }
        }
        self.skipped.push((key.into(), smallvec::smallvec![writer.id()]));
    }
    fn saw(&mut self, _key: &[u8], ts: Timestamp) {
        self.seen = self.seen.max(ts);
    }
}

impl Transaction {
    /// The protocol is chosen when the first statement starts. False: by `WaitPolicy::Queue` a request was left in a queue.
    pub(crate) fn begin_protocol(&mut self, wait: WaitPolicy) -> Result<bool> {
        let options = &self.options;
        options.session.set_running(Some(Running {
            mode: options.mode,
            isolation: options.isolation,
            read_only: options.read_only,
        }));
        match (options.mode, options.isolation) {
            (Mode::Ssi, Isolation::ReadCommitted) => {
                self.protocol = Protocol::Snapshot { per_statement: true };
            }
            (Mode::Ssi, Isolation::RepeatableRead) => {
                self.protocol = Protocol::Snapshot { per_statement: false };
            }
            (Mode::Ssi, Isolation::Serializable) => self.begin_ssi()?,
            (Mode::TwoPhase, _) => self.begin_two_phase(),
            (Mode::Serial, _) if options.read_only => self.begin_serial_read_only()?,
            (Mode::Serial, _) => return self.begin_serial(wait),
        }
        Ok(true)
    }

    /// Takes a snapshot that covers the session's own last commit, even where the client sent this transaction before
    /// that commit was durable, and the commit that its previous transaction failed against: locks are released before a
    /// commit is durable, so an immediate retry would otherwise meet the same conflict until the log is flushed.
    pub(crate) fn fresh_snapshot(&self) -> Result<Arc<Snapshot>> {
        let store = &self.manager.store;
        // Only SSI has to learn of every version that its reads passed over.
        let (mode, isolation) = (self.options.mode, self.options.isolation);
        let tracks = mode == Mode::Ssi && isolation == Isolation::Serializable;
        let take = || if tracks { store.snapshot() } else { store.snapshot_of_state() };
        let snapshot = take();
        if snapshot.timestamp() >= self.options.session.must_see() {
            return Ok(Arc::new(snapshot));
        }
        drop(snapshot);
        self.await_must_see()?;
        Ok(Arc::new(take()))
    }

    pub(crate) fn await_must_see(&self) -> Result<()> {
        let (store, last) = (&self.manager.store, self.options.session.must_see());
        if store.watermark() >= last {
            return Ok(());
        }
        Ok(store.wait_durable(last)?)
    }

    /// Up to which commit this statement's reads look.
    pub(crate) fn horizon(&self) -> Timestamp {
        match &self.protocol {
            Protocol::TwoPhase(_) | Protocol::Serial(_) => Timestamp::MAX,
            _ => self.snapshot_timestamp(),
        }
    }

    /// What is newer than this was not there when the statement (or transaction) began to read. In 2PL and serial mode, which read on, too.
    pub(crate) fn snapshot_timestamp(&self) -> Timestamp {
        self.snapshot.as_ref().map_or(Timestamp::MAX, |snapshot| snapshot.timestamp())
    }

    /// Newer committed versions than the snapshot's are an error to write over, not something to re-evaluate.
    pub(crate) fn first_updater_wins(&self) -> bool {
        match &self.protocol {
            Protocol::Snapshot { per_statement } => !per_statement,
            Protocol::Ssi(_) => true,
            _ => false,
        }
    }

    /// Reads are of a snapshot, which newer commits do not change.
    pub(crate) fn reads_snapshot(&self) -> bool {
        matches!(&self.protocol, Protocol::Snapshot { .. } | Protocol::Ssi(_))
    }

    /// After a read of `tree`: what it met, in the protocol's eyes. 2PL deals with skipped versions itself.
    pub(crate) fn after_read(&mut self, tree: &Tree, met: Observations) -> Result<()> {
        if self.horizon() == Timestamp::MAX {
            self.seen = self.seen.max(met.seen);
        }
        if let Protocol::Ssi(participant) = &mut self.protocol {
            for (key, writers) in &met.skipped {
                self.manager.ssi.skipped(participant, tree.id(), key, writers)?;
            }
            self.manager.ssi.check(participant)?;
        }
        Ok(())
    }

    /// A SIREAD on a key that was read by other means than `get` and `scan` (uniqueness, foreign keys).
    pub(crate) fn register_key_read(&mut self, tree: &Tree, key: &[u8]) {
        if let Protocol::Ssi(participant) = &mut self.protocol {
            self.manager.ssi.read_key(participant, tree.id(), key);
        }
    }

    pub(crate) fn register_range_read(&mut self, tree: &Tree, range: &KeyRange) {
        if let Protocol::Ssi(participant) = &mut self.protocol {
            match crate::key_ranges::point(range) {
                Some(key) => self.manager.ssi.read_key(participant, tree.id(), key),
                None => self.manager.ssi.read_range(participant, tree.id(), range),
            }
        }
    }

    /// Once per transaction, before its first version: the gate, then the graph.
    pub(crate) fn before_first_write(&mut self) -> Result<()> {
        let writer = self.writer_id();
        self.pass_serial_gate(writer)?;
        let (ssi, session) = (&self.manager.ssi, &self.options.session);
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Snapshot { .. } => {}
            Protocol::Ssi(participant) => ssi.will_write(participant, writer)?,
            Protocol::TwoPhase(two_phase) => two_phase.join(ssi, session, writer),
            Protocol::Serial(participant) => {
                *participant = Some(Box::new(ssi.join(crate::ssi::Kind::Serial, session, Some(writer))));
            }
        }
        Ok(())
    }

    /// After a version went onto a chain: who had read what it replaces?
    pub(crate) fn after_write(&mut self, tree: &Tree, key: &[u8]) -> Result<()> {
        let ssi = &self.manager.ssi;
        let participant = match &self.protocol {
            Protocol::Undecided | Protocol::Snapshot { .. } => return Ok(()),
            Protocol::Ssi(participant) => participant,
            Protocol::TwoPhase(two_phase) => match &two_phase.participant {
                Some(participant) if !ssi.nobody_active() => participant,
                _ => return Ok(()),
            },
            Protocol::Serial(participant) => match participant {
                Some(participant) if !ssi.nobody_active() => participant,
                _ => return Ok(()),
            },
        };
        ssi.wrote(participant, tree, key)?;
        ssi.check(participant)
    }

    /// Fails if the transaction has been condemned from outside.
    pub(crate) fn check(&self) -> Result<()> {
        if self.prepared {
            return Ok(());
        }
        if self.owner.as_ref().is_some_and(|owner| owner.doomed.load(Ordering::Relaxed)) {
            return Err(Error::SerialTokenTimeout);
        }
        match &self.protocol {
            Protocol::Ssi(participant) => self.manager.ssi.check(participant),
            _ => Ok(()),
        }
    }

    /// Before the commit record.
    pub(crate) fn before_commit(&mut self) -> Result<()> {
        if self.prepared {
            return Ok(());
        }
        self.check()?;
        match &self.protocol {
            Protocol::Undecided | Protocol::Snapshot { .. } => Ok(()),
            Protocol::Ssi(participant) if participant.is_safe() => Ok(()),
            Protocol::Ssi(participant) => self.manager.ssi.prepare(participant),
            Protocol::TwoPhase(two_phase) => match &two_phase.participant {
                Some(participant) => self.manager.ssi.prepare(participant),
                None => Ok(()),
            },
            Protocol::Serial(Some(participant)) => self.manager.ssi.prepare(participant),
            Protocol::Serial(None) => Ok(()),
        }
    }

    /// After the commit record, before any lock is released.
    pub(crate) fn after_commit(&mut self, ts: Option<Timestamp>) {
        let manager = self.manager.clone();
        let (ssi, store, session) = (&manager.ssi, &manager.store, &self.options.session);
        match std::mem::replace(&mut self.protocol, Protocol::Undecided) {
            Protocol::Undecided | Protocol::Snapshot { .. } => {}
            Protocol::Ssi(participant) => {
                ssi.committed(*participant, store, ts, self.seen, Default::default())
            }
            Protocol::TwoPhase(two_phase) => {
                let locks = self.owner.as_ref().map(|owner| owner.held_locks()).unwrap_or_default();
                two_phase.committed(ssi, store, session, ts, self.seen, locks);
            }
            Protocol::Serial(participant) => {
                // Nobody can have a snapshot below what was read here, so nobody can overwrite it unseen.
                let newest = store.last_commit().max(self.seen);
                if participant.is_none() && store.watermark() >= newest && ssi.no_pivots() {
                    return;
                }
                let participant = participant
                    .unwrap_or_else(|| Box::new(ssi.join(crate::ssi::Kind::Serial, session, None)));
                ssi.committed(*participant, store, ts, self.seen, Default::default());
            }
        }
    }

    /// Whatever the protocol remembers goes.
    pub(crate) fn after_rollback(&mut self) {
        let participant = match std::mem::replace(&mut self.protocol, Protocol::Undecided) {
            Protocol::Undecided | Protocol::Snapshot { .. } => None,
            Protocol::Ssi(participant) => Some(*participant),
            Protocol::TwoPhase(two_phase) => two_phase.participant,
            Protocol::Serial(participant) => participant.map(|participant| *participant),
        };
        if let Some(participant) = participant {
            self.manager.ssi.aborted(participant, &self.manager.store);
        }
    }

    // ---- ssi ----

    fn begin_ssi(&mut self) -> Result<()> {
        self.await_must_see()?;
        loop {
            let read_only = self.options.read_only;
            let (snapshot, participant) =
                self.manager.ssi.begin(&self.manager.store, &self.options.session, read_only);
            self.snapshot = Some(Arc::new(snapshot));
            self.protocol = Protocol::Ssi(Box::new(participant));
            if !read_only {
                self.retries = self.options.session.retries();
                return Ok(());
            }
            if self.has_safe_snapshot()? {
                // Nothing needs to be remembered: leave the graph, keep the snapshot.
                self.after_rollback();
                self.protocol = Protocol::Snapshot { per_statement: false };
                return Ok(());
            }
            if !self.options.deferrable {
                return Ok(());
            }
            self.after_rollback();
        }
    }

    fn has_safe_snapshot(&self) -> Result<bool> {
        let Protocol::Ssi(participant) = &self.protocol else { return Ok(false) };
        if participant.is_safe() || !self.options.deferrable {
            return Ok(participant.is_safe());
        }
        let manager = &self.manager;
        let session = &self.options.session;
        manager.locks.blocking.call(|| manager.ssi.wait_for_safe_snapshot(participant, session))
    }

    // ---- the serial mode's read-only side ----

    fn begin_serial_read_only(&mut self) -> Result<()> {
        let snapshot = self.fresh_snapshot()?;
        if self.manager.ssi.no_pivots() {
            self.snapshot = Some(snapshot);
            self.protocol = Protocol::Snapshot { per_statement: false };
            return Ok(());
        }
        self.begin_ssi()
    }
}

/// The object of a key lock.
pub(crate) fn key_object<'a>(tree: &Tree, key: &'a [u8]) -> ObjectRef<'a> {
    ObjectRef::Key(tree.id(), key)
}

/// For `Error::LockNotAvailable`.
pub(crate) fn refused(object: ObjectRef<'_>) -> Error {
    Error::LockNotAvailable(LockObject::describe_ref(object))
}

/// A lock call that may not refuse.
pub(crate) fn granted(acquired: Acquired) -> bool {
    acquired != Acquired::Refused
}
