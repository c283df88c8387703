//! The one type through which everything above reads and writes.
//!
//! What it has is made when it is needed: a transaction that reads one row by key at READ COMMITTED takes a
//! snapshot and nothing else; writer, lock owner and SSI node come with the first operation that wants them.

use crate::lock_table::{Acquired, ObjectRef, Owner};
use crate::manager::{advisory_mode, advisory_object};
use crate::protocol::{Observations, Protocol, granted, refused};
use crate::rules::Rule;
use crate::{
    AdvisoryScope, Committed, Isolation, Mode, RelationLockMode, Result, Savepoint, TransactionManager,
    TransactionOptions, WaitPolicy,
};
use serin_storage::{
    CommandId, Finger, Mark, ReadObserver, Snapshot, Timestamp, Tree, TreeId, Value, View, Writer, WriterId,
};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub struct Transaction {
    pub(crate) manager: Arc<TransactionManager>,
    pub(crate) options: TransactionOptions,
    pub(crate) protocol: Protocol,
    /// The statement's or the transaction's; in 2PL and serial mode it only pins what the latest state needs.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// For catalog reads before the first statement.
    catalog_snapshot: Option<Arc<Snapshot>>,
    pub(crate) command: CommandId,
    /// The newest command id given out: statements inside of others have greater ones than those around them.
    last_command: CommandId,
    pub(crate) writer: Option<Writer>,
    /// The writer's mark when it was made, for savepoints older than it.
    first_mark: Option<Mark>,
    /// Passed the serial gate and joined the protocol's graph: may install versions.
    writing: bool,
    pub(crate) registered: bool,
    pub(crate) counted_serial: bool,
    pub(crate) owner: Option<Arc<Owner>>,
    /// Shut while a write waits for key ranges.
    pub(crate) gate: Option<crate::two_phase::Gate>,
    pub(crate) savepoints: Vec<SavepointRecord>,
    next_savepoint: u64,
    /// Trees created by this transaction, in order.
    pub(crate) created: Vec<TreeId>,
    /// The newest commit whose data was read beyond the watermark's protection: the answer waits for it.
    pub(crate) seen: Timestamp,
    /// It follows a failure of the same session: `retry.rs`.
    pub(crate) retries: bool,
    /// Two-phase commit (`prepared.rs`): it waits for the word, and does nothing else any more.
    pub(crate) prepared: bool,
    /// The names of its snapshots that others may import.
    pub(crate) exported: Vec<String>,
    ended: bool,
}

/// A statement that stands still while another runs.
#[derive(Clone)]
pub struct Suspended {
    snapshot: Option<Arc<Snapshot>>,
    command: CommandId,
    intents: SmallVec<[(TreeId, crate::RowLockMode); 1]>,
}

pub(crate) struct SavepointRecord {
    serial: u64,
    mark: Option<Mark>,
    lock_position: usize,
    pub(crate) created: usize,
}

impl Transaction {
    pub(crate) fn new(manager: Arc<TransactionManager>, options: TransactionOptions) -> Transaction {
        Transaction {
            manager,
            options,
            protocol: Protocol::Undecided,
            snapshot: None,
            catalog_snapshot: None,
            command: CommandId(0),
            last_command: CommandId(0),
            writer: None,
            first_mark: None,
            writing: false,
            registered: false,
            counted_serial: false,
            owner: None,
            gate: None,
            savepoints: Vec::new(),
            next_savepoint: 0,
            created: Vec::new(),
            seen: Timestamp::ZERO,
            retries: false,
            prepared: false,
            exported: Vec::new(),
            ended: false,
        }
    }

    pub fn mode(&self) -> Mode {
        self.options.mode
    }
    pub fn isolation(&self) -> Isolation {
        self.options.isolation
    }
    pub fn read_only(&self) -> bool {
        self.options.read_only
    }
    /// SET TRANSACTION / SET LOCAL concurrency_mode: only before the first statement took a snapshot, which the caller
    /// checks (`has_snapshot`) to raise 25001. Later calls may only turn a transaction that has not written read-only
    /// or repeat what is set.
    pub fn set_characteristics(
        &mut self,
        mode: Mode,
        isolation: Isolation,
        read_only: bool,
        deferrable: bool,
    ) -> Result<()> {
        if matches!(self.protocol, Protocol::Undecided) {
            self.options.mode = mode;
            self.options.isolation = isolation;
            self.options.deferrable = deferrable;
        } else {
            assert!(
                mode == self.options.mode && isolation == self.options.isolation,
                "mode and isolation level are fixed once a statement has started"
            );
        }
        self.options.read_only = read_only;
        Ok(())
    }
    pub fn in_savepoint(&self) -> bool {
        !self.savepoints.is_empty()
    }
    pub fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }
    /// The user-visible transaction id, assigned on demand (`txid_current()`).
    pub fn id(&mut self) -> u64 {
        self.writer_id().0
    }
    pub fn id_if_assigned(&self) -> Option<u64> {
        self.own_id().map(|id| id.0)
    }

    // ---- statements ----

    /// Starts a statement: a fresh snapshot in READ COMMITTED, the first one otherwise; the next command id, so that
    /// earlier statements' writes become visible and this one's do not. Serial mode takes the token here; a
    /// DEFERRABLE transaction waits for a safe snapshot here.
    ///
    /// The snapshot covers the session's own last commit. A client that waits for its answers finds that commit durable
    /// already; one that pipelines makes the statement wait for it here.
    pub fn start_statement(&mut self) -> Result<()> {
        self.request_statement(WaitPolicy::Block).map(|_| ())
    }
    /// As [`Transaction::start_statement`]; false: by `WaitPolicy::Queue` the request for the serial token was left in the queue, and once
    /// [`TransactionManager::poll_wait`] has seen it granted, start again.
    pub fn request_statement(&mut self, wait: WaitPolicy) -> Result<bool> {
        if let (true, Some(owner)) = (self.counted_serial, &self.owner) {
            owner.idle_since_ms.store(0, Ordering::Release);
        }
        self.check()?;
        if matches!(self.protocol, Protocol::Undecided) && !self.begin_protocol(wait)? {
            return Ok(false);
        }
        let fresh = match &self.protocol {
            Protocol::Snapshot { per_statement: true } | Protocol::TwoPhase(_) | Protocol::Serial(_) => true,
            _ => self.snapshot.is_none(),
        };
        if fresh {
            self.snapshot = None;
            self.snapshot = Some(self.fresh_snapshot()?);
        }
        if let Protocol::Ssi(participant) = &mut self.protocol {
            participant.start_statement();
        }
        self.next_command();
        Ok(true)
    }
    /// Within a statement: makes its writes so far visible to what follows (volatile functions, constraint checks).
    pub fn next_command(&mut self) {
        self.last_command = CommandId(self.last_command.0.saturating_add(1));
        self.command = self.last_command;
    }
    /// Starts a statement inside of the running one (a function's, a trigger's): it has a snapshot and command id of its own, as
    /// [`Transaction::start_statement`] gives them, and sees what the outer one has written so far. [`Transaction::resume`] goes
    /// back to the outer one, which sees nothing of what was done meanwhile.
    pub fn start_nested(&mut self) -> Result<Suspended> {
        let suspended = self.suspend();
        if let Err(error) = self.start_statement() {
            self.resume(suspended);
            return Err(error);
        }
        Ok(suspended)
    }
    /// Whether the statement that runs now has run another one inside of it.
    pub fn has_run_nested(&self) -> bool {
        self.last_command != self.command
    }

    /// What [`Transaction::resume`] needs to come back to the statement that runs now.
    pub fn suspend(&self) -> Suspended {
        let intents = match &self.protocol {
            Protocol::TwoPhase(two_phase) => two_phase.intents.clone(),
            _ => SmallVec::new(),
        };
        Suspended { snapshot: self.snapshot.clone(), command: self.command, intents }
    }
    /// Goes on with the statement that [`Transaction::start_nested`] suspended.
    pub fn resume(&mut self, outer: Suspended) {
        // A serializable transaction's first snapshot stays, even if a function took it.
        let has_moved_on = matches!(self.protocol, Protocol::Ssi(_)) && self.snapshot.is_some();
        if outer.snapshot.is_some() && !has_moved_on {
            self.snapshot = outer.snapshot;
        }
        self.command = outer.command;
        if let Protocol::TwoPhase(two_phase) = &mut self.protocol {
            two_phase.intents = outer.intents;
        }
    }
    /// Ends a statement. The holder of the serial token idles from here on.
    pub fn end_statement(&mut self) {
        self.gate = None;
        if let Protocol::TwoPhase(two_phase) = &mut self.protocol {
            two_phase.intents.clear();
        }
        if let (true, Some(owner)) = (self.counted_serial, &self.owner) {
            owner.idle_since_ms.store(self.manager.locks.clock_ms(), Ordering::Release);
        }
    }

    /// Every operation starts here: a statement runs, and nobody has condemned the transaction.
    pub(crate) fn before_operation(&mut self) -> Result<()> {
        if self.snapshot.is_none() {
            self.start_statement()?;
        }
        self.check()
    }

    // ---- reading ----

    pub fn get(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<Option<Value>> {
        self.find(tree, key, None)
    }

    /// As [`Transaction::get`], from where the tree was read last.
    pub fn get_near(&mut self, tree: &Arc<Tree>, key: &[u8], finger: &mut Finger) -> Result<Option<Value>> {
        self.find(tree, key, Some(finger))
    }

    fn find(&mut self, tree: &Arc<Tree>, key: &[u8], finger: Option<&mut Finger>) -> Result<Option<Value>> {
        self.before_operation()?;
        if self.retries {
            self.lock_lost(tree, |lost| lost == key)?;
        }
        match &mut self.protocol {
            Protocol::Undecided | Protocol::Snapshot { .. } => {
                return Ok(look(tree, self.view(), key, &mut (), finger)?);
            }
            Protocol::TwoPhase(_) => return self.two_phase_get(tree, key, finger),
            Protocol::Ssi(participant) => self.manager.ssi.read_key(participant, tree.id(), key),
            Protocol::Serial(_) => {}
        }
        let mut met = self.observe(true);
        let value = look(tree, self.view(), key, &mut met, finger)?;
        self.after_read(tree, met)?;
        Ok(value)
    }

    /// Reads for the catalog: latest committed state plus own writes, invisible to the protocols (relation locks and
    /// catalog versions guard it instead).
    pub fn catalog_get(&mut self, tree: &Arc<Tree>, key: &[u8]) -> Result<Option<Value>> {
        self.check()?;
        self.ensure_snapshot()?;
        let mut met = self.observe(false);
        let view = View {
            snapshot: self.pinned(),
            horizon: Timestamp::MAX,
            own: self.writer.as_ref().map(|writer| (&**writer.state(), CommandId(u32::MAX))),
        };
        let value = tree.get(view, key, &mut met)?;
        self.seen = self.seen.max(met.seen);
        Ok(value)
    }

    pub(crate) fn ensure_snapshot(&mut self) -> Result<()> {
        if self.snapshot.is_none() && self.catalog_snapshot.is_none() {
            self.catalog_snapshot = Some(Arc::new(self.manager.store.snapshot_of_state()));
        }
        Ok(())
    }
    /// Pins what reads of the latest state need: any snapshot does.
    pub(crate) fn pinned(&self) -> &Arc<Snapshot> {
        self.snapshot.as_ref().or(self.catalog_snapshot.as_ref()).expect("ensure_snapshot comes first")
    }
    /// The statement's view.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            snapshot: self.snapshot.as_ref().expect("a statement has started"),
            horizon: self.horizon(),
            own: self.writer.as_ref().map(|writer| (&**writer.state(), self.command)),
        }
    }
    pub(crate) fn observe(&self, skipped: bool) -> Observations {
        Observations::new(self.own_id(), skipped)
    }

    // ---- identity ----

    pub(crate) fn own_id(&self) -> Option<WriterId> {
        self.writer.as_ref().map(|writer| writer.state().id())
    }
    /// Changes that its end has to go through.
    pub fn change_count(&self) -> usize {
        self.writer.as_ref().map_or(0, Writer::change_count)
    }
    pub(crate) fn owner(&mut self) -> &Arc<Owner> {
        let TransactionOptions { mode, session, .. } = &self.options;
        self.owner.get_or_insert_with(|| Owner::new(session.clone(), *mode != Mode::TwoPhase))
    }
    /// Makes the writer if there is none yet. It may not install anything before [`Transaction::ensure_writing`].
    pub(crate) fn writer_id(&mut self) -> WriterId {
        if self.writer.is_none() {
            let writer = self.manager.store.writer();
            self.first_mark = Some(writer.mark());
            self.owner().transaction.store(writer.state().id().0, Ordering::Relaxed);
            self.writer = Some(writer);
        }
        self.own_id().expect("made just now")
    }
    pub(crate) fn ensure_writing(&mut self) -> Result<()> {
        if !self.writing {
            self.before_first_write()?;
            self.writing = true;
        }
        Ok(())
    }

    // ---- relation and advisory locks ----

    pub fn lock_relation(&mut self, relation: u32, mode: RelationLockMode, wait: WaitPolicy) -> Result<()> {
        self.check()?;
        let object = ObjectRef::Relation(relation);
        let owner = self.owner().clone();
        match self.manager.locks.acquire(&owner, object, mode, wait)? {
            Acquired::Refused => Err(refused(object)),
            Acquired::Before | Acquired::Now => Ok(()),
            Acquired::Queued => unreachable!("relations are not asked for by `Queue`"),
        }
    }

    /// The relations that it holds locks on, some more than once.
    pub fn locked_relations(&self) -> Vec<u32> {
        let locks = self.owner.as_ref().map(|owner| owner.held_locks()).unwrap_or_default();
        let relation = |lock: &crate::lock_table::HeldLock| match lock.object {
            crate::lock_table::LockObject::Relation(oid) => Some(oid),
            _ => None,
        };
        locks.iter().filter_map(relation).collect()
    }

    /// False only for `NoWait` (`pg_try_advisory_lock`): it is not an error there.
    pub fn lock_advisory(
        &mut self,
        key: (u32, u32, u16),
        shared: bool,
        scope: AdvisoryScope,
        wait: WaitPolicy,
    ) -> Result<bool> {
        self.check()?;
        let session = self.options.session.clone();
        let owner = match scope {
            AdvisoryScope::Transaction => self.owner().clone(),
            AdvisoryScope::Session => self.manager.session_owner(&session),
        };
        let (object, mode) = (advisory_object(key), advisory_mode(shared));
        let taken = granted(self.manager.locks.acquire(&owner, object, mode, wait)?);
        if taken && scope == AdvisoryScope::Session {
            self.manager.count_session_lock(&session, key, shared);
        }
        Ok(taken)
    }

    // ---- ending ----

    pub fn savepoint(&mut self) -> Savepoint {
        self.next_savepoint += 1;
        let lock_position = self.owner.as_ref().map_or(0, |owner| owner.position());
        self.savepoints.push(SavepointRecord {
            serial: self.next_savepoint,
            mark: self.writer.as_ref().map(|writer| writer.mark()),
            lock_position,
            created: self.created.len(),
        });
        if let Some(owner) = &self.owner {
            owner.set_floor(lock_position);
        }
        Savepoint { serial: self.next_savepoint }
    }

    /// Forgets a savepoint and those inside it; what was done since belongs to the level around it.
    pub fn release(&mut self, savepoint: &Savepoint) {
        self.savepoints.retain(|record| record.serial < savepoint.serial);
        self.reset_floor();
    }

    /// Undoes what was done since, and releases the locks taken since; the savepoint stays usable. Read locks of 2PL
    /// above READ COMMITTED stay: the client has seen what they protect.
    pub fn rollback_to(&mut self, savepoint: &Savepoint) -> Result<()> {
        self.savepoints.retain(|record| record.serial <= savepoint.serial);
        let Some(record) = self.savepoints.last() else { return Ok(()) };
        let (mark, lock_position) = (record.mark.or(self.first_mark), record.lock_position);
        self.created.truncate(record.created);
        if let (Some(writer), Some(mark)) = (&mut self.writer, mark) {
            writer.rollback_to(mark);
        }
        self.recheck_materialised()?;
        let keeps_reads = matches!(&self.protocol,
            Protocol::TwoPhase(two_phase) if two_phase.level != Isolation::ReadCommitted);
        if let (Some(owner), false) = (&self.owner, keeps_reads) {
            self.manager.locks.release_from(owner, lock_position);
        }
        self.reset_floor();
        Ok(())
    }

    fn reset_floor(&mut self) {
        if let Some(owner) = &self.owner {
            owner.set_floor(self.savepoints.last().map_or(0, |record| record.lock_position));
        }
    }

    /// Checks the protocol's rules, appends the commit record, releases the locks (early lock release). Not durable
    /// yet: see [`Committed`]. On an error the transaction is rolled back.
    pub fn commit(mut self) -> Result<Committed> {
        // On an error `self` is dropped, which rolls back.
        self.commit_in_place()
    }

    /// As [`Transaction::commit`], but on an error the transaction goes on.
    pub(crate) fn commit_in_place(&mut self) -> Result<Committed> {
        self.before_commit()?;
        let ts = match &mut self.writer {
            Some(writer) => writer.try_commit()?,
            None => None,
        };
        self.after_commit(ts);
        if self.retries {
            self.options.session.forget_lost();
        }
        if let Some(writer) = self.writer.take() {
            self.leave_registry(writer.state().id());
        }
        if let Some(ts) = ts {
            self.options.session.raise_must_see(ts);
            if self.manager.ssi.rules.is_off(Rule::DurableSnapshots) {
                self.manager.store.publish_early(ts);
            }
        }
        self.release_everything();
        self.manager.commit_count.fetch_add(1, Ordering::Relaxed);
        let newest = ts.unwrap_or(Timestamp::ZERO).max(self.seen);
        let pending = newest > Timestamp::ZERO && (ts.is_some() || newest > self.manager.store.watermark());
        Ok(Committed { durable_at: pending.then_some(newest) })
    }

    /// Also what dropping does.
    pub fn rollback(self) {}

    fn roll_back(&mut self) {
        if let Some(writer) = self.writer.take() {
            let id = writer.state().id();
            // The versions go first: whoever waits for their locks must not find them.
            writer.rollback();
            self.leave_registry(id);
        }
        self.after_rollback();
        self.release_everything();
        self.manager.rollback_count.fetch_add(1, Ordering::Relaxed);
    }

    /// Of a transaction that was prepared in an earlier process.
    pub(crate) fn restore_writer(&mut self, writer: Writer) {
        self.first_mark = Some(writer.mark());
        self.owner().transaction.store(writer.state().id().0, Ordering::Relaxed);
        self.writer = Some(writer);
        self.writing = true;
    }

    pub(crate) fn give_up_snapshots(&mut self) {
        self.snapshot = None;
        self.catalog_snapshot = None;
    }

    fn leave_registry(&mut self, writer: WriterId) {
        if std::mem::take(&mut self.registered) {
            self.manager.registry.remove(writer);
        }
    }

    fn release_everything(&mut self) {
        self.ended = true;
        self.options.session.set_running(None);
        self.forget_exported();
        self.snapshot = None;
        self.catalog_snapshot = None;
        self.gate = None;
        if let Some(owner) = self.owner.take() {
            self.manager.locks.finish(&owner);
        }
        if std::mem::take(&mut self.counted_serial) {
            self.manager.registry.serial_leaves();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            self.roll_back();
        }
    }
}

pub(crate) fn look(
    tree: &Tree,
    view: View<'_>,
    key: &[u8],
    observer: &mut dyn ReadObserver,
    finger: Option<&mut Finger>,
) -> serin_storage::Result<Option<Value>> {
    match finger {
        Some(finger) => tree.get_near(view, key, observer, finger),
        None => tree.get(view, key, observer),
    }
}
