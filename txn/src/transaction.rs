//! The one type through which everything above reads and writes.

use crate::Result;
use serin_storage::{Direction, KeyRange, Store, Timestamp, Tree, TreeId, Value};
use std::sync::Arc;
use std::time::Duration;

/// How SERIALIZABLE (and, in 2PL, every level) is brought about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Mode {
    #[default]
    Ssi,
    TwoPhase,
    Serial,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub enum Isolation {
    #[default]
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// PostgreSQL's row-lock strengths, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum RowLockMode {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

/// PostgreSQL's eight table-lock modes, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum RelationLockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WaitPolicy {
    #[default]
    Block,
    /// `Error::LockNotAvailable` instead of waiting.
    NoWait,
    /// `RowLock::Skipped` instead of waiting.
    SkipLocked,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum AdvisoryScope {
    Session,
    Transaction,
}

/// What the transaction layer needs to know of the session that runs a transaction. One per connection, shared;
/// waits poll `interrupted` when woken, and the canceller calls [`SessionHandle::interrupt`].
pub struct SessionHandle {
    pub pid: i32,
    _private: (),
}

impl SessionHandle {
    pub fn new(_pid: i32) -> Arc<SessionHandle> {
        todo!()
    }
    /// Sets the interrupt flag and wakes the session out of any lock wait (cancel, timeout, termination).
    pub fn interrupt(&self) {
        todo!()
    }
    /// A relaxed load: cheap enough for every batch.
    pub fn interrupted(&self) -> bool {
        todo!()
    }
    /// Called by the session when it has acted on the interrupt.
    pub fn clear_interrupt(&self) {
        todo!()
    }
    /// 0 = wait for ever.
    pub fn set_lock_timeout(&self, _timeout: Duration) {
        todo!()
    }
    /// How long a wait lasts before a deadlock check is repeated (the first is made when the wait starts).
    pub fn set_deadlock_timeout(&self, _timeout: Duration) {
        todo!()
    }
    /// The statement now running, for conflict reports and `serin_conflicts`.
    pub fn set_statement(&self, _text: Arc<str>) {
        todo!()
    }
}

#[derive(Clone)]
pub struct TransactionOptions {
    pub mode: Mode,
    pub isolation: Isolation,
    pub read_only: bool,
    pub deferrable: bool,
    pub session: Arc<SessionHandle>,
}

/// The story of an abort: who, on what, doing what. Names are filled in by `sql`, which knows the relations.
#[derive(Clone, Debug, Default)]
pub struct Conflict {
    pub steps: Vec<ConflictStep>,
}

#[derive(Clone, Debug)]
pub struct ConflictStep {
    pub pid: i32,
    /// The transaction's identity as users see it (`txid`).
    pub transaction: u64,
    /// What it did: "read", "wrote", "waits for ShareLock on", …
    pub action: &'static str,
    pub tree: Option<TreeId>,
    pub relation: Option<u32>,
    pub key: Option<Vec<u8>>,
    /// The transaction it did it to, or waits for.
    pub other: Option<u64>,
    pub other_pid: Option<i32>,
    pub statement: Option<Arc<str>>,
}

/// A row of `pg_locks`.
#[derive(Clone, Debug)]
pub struct LockInfo {
    /// "relation", "tuple", "keyrange", "transactionid", "advisory", "serialtoken".
    pub kind: &'static str,
    pub relation: Option<u32>,
    pub tree: Option<TreeId>,
    pub key: Option<Vec<u8>>,
    pub advisory: Option<(u32, u32, u16)>,
    pub transaction: Option<u64>,
    /// PostgreSQL's name: "AccessShareLock", …, "SIReadLock".
    pub mode: &'static str,
    pub pid: i32,
    pub granted: bool,
}

#[derive(Clone, Default, Debug)]
pub struct TransactionStats {
    pub commits: u64,
    pub rollbacks: u64,
    pub serialization_failures: u64,
    pub deadlocks: u64,
    pub lock_waits: u64,
}

/// Owns the lock table, the SSI graph and the serial token over one store.
pub struct TransactionManager {
    _private: (),
}

impl TransactionManager {
    pub fn new(_store: Arc<Store>) -> Arc<TransactionManager> {
        todo!()
    }
    pub fn store(&self) -> &Arc<Store> {
        todo!()
    }
    /// Cheap: takes no snapshot, no id and no lock until the first statement needs one.
    pub fn begin(self: &Arc<Self>, _options: TransactionOptions) -> Transaction {
        todo!()
    }
    pub fn locks(&self) -> Vec<LockInfo> {
        todo!()
    }
    /// The pids that `pid` waits for, directly or behind them in a queue (`pg_blocking_pids`).
    pub fn blocking_pids(&self, _pid: i32) -> Vec<i32> {
        todo!()
    }
    /// Of the waiting session: kind and name for `pg_stat_activity.wait_event_type/wait_event`.
    pub fn wait_event(&self, _pid: i32) -> Option<(&'static str, &'static str)> {
        todo!()
    }
    /// The most recent aborts, newest last.
    pub fn recent_conflicts(&self) -> Vec<Conflict> {
        todo!()
    }
    pub fn stats(&self) -> TransactionStats {
        todo!()
    }
    /// Session-scope advisory locks outlive transactions: released here or when the session ends.
    pub fn advisory_unlock(
        &self,
        _session: &Arc<SessionHandle>,
        _key: (u32, u32, u16),
        _shared: bool,
    ) -> bool {
        todo!()
    }
    pub fn advisory_unlock_all(&self, _session: &Arc<SessionHandle>) {
        todo!()
    }
}

/// What `lock_row` found once the lock was granted.
pub enum RowLock {
    /// The version the statement sees is the latest; go on.
    Unchanged,
    /// READ COMMITTED (and 2PL, serial): somebody committed a newer version while or before we waited. `None`: the
    /// row is gone. The caller re-evaluates its predicate on the new value (PostgreSQL's EvalPlanQual).
    Changed(Option<Value>),
    /// SKIP LOCKED, and someone else holds it.
    Skipped,
}

pub enum Inserted {
    Done,
    /// A live row with this key exists in the latest committed state, or was inserted by ourselves.
    /// `visible` tells whether the statement's snapshot sees it (for ON CONFLICT under snapshot isolation).
    Duplicate {
        visible: bool,
    },
}

/// A savepoint; `rollback_to` keeps it usable, `release` (or rollback to an outer one) ends it.
#[derive(Clone, Debug)]
pub struct Savepoint {
    _private: (),
}

/// What the client's answer has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Await `Store::durable` for this before the answer: the own commit's timestamp, or the newest not yet durable
    /// commit whose data was read.
    pub durable_at: Option<Timestamp>,
}

pub struct Transaction {
    _private: (),
}

impl Transaction {
    pub fn mode(&self) -> Mode {
        todo!()
    }
    pub fn isolation(&self) -> Isolation {
        todo!()
    }
    pub fn read_only(&self) -> bool {
        todo!()
    }
    /// SET TRANSACTION / SET LOCAL concurrency_mode: only before the first statement took a snapshot.
    pub fn set_characteristics(
        &mut self,
        _mode: Mode,
        _isolation: Isolation,
        _read_only: bool,
        _deferrable: bool,
    ) -> Result<()> {
        todo!()
    }
    pub fn has_snapshot(&self) -> bool {
        todo!()
    }
    /// The user-visible transaction id, assigned on demand (`txid_current()`).
    pub fn id(&mut self) -> u64 {
        todo!()
    }
    pub fn id_if_assigned(&self) -> Option<u64> {
        todo!()
    }
    /// Starts a statement: a fresh snapshot in READ COMMITTED, the first one otherwise; the next command id, so that
    /// earlier statements' writes become visible and this one's do not. Serial mode takes the token here; a
    /// DEFERRABLE transaction waits for a safe snapshot here.
    pub fn start_statement(&mut self) -> Result<()> {
        todo!()
    }
    /// Within a statement: makes its writes so far visible to what follows (volatile functions, constraint checks).
    pub fn next_command(&mut self) {
        todo!()
    }
    /// Ends a statement: short read locks of 2PL READ COMMITTED go.
    pub fn end_statement(&mut self) {
        todo!()
    }

    // ---- reading ----

    pub fn get(&mut self, _tree: &Arc<Tree>, _key: &[u8]) -> Result<Option<Value>> {
        todo!()
    }
    /// Registers the range with the protocol before anything is read (SIREAD, range lock).
    pub fn scan(&mut self, _tree: &Arc<Tree>, _range: KeyRange, _direction: Direction) -> Result<Scan> {
        todo!()
    }
    /// Reads for the catalog: latest committed state plus own writes, invisible to the protocols (relation locks and
    /// catalog versions guard it instead).
    pub fn catalog_get(&mut self, _tree: &Arc<Tree>, _key: &[u8]) -> Result<Option<Value>> {
        todo!()
    }
    pub fn catalog_scan(&mut self, _tree: &Arc<Tree>, _range: KeyRange) -> Result<Scan> {
        todo!()
    }
    /// Uniqueness and foreign keys: the latest committed state plus own writes. Waits for an in-progress writer of
    /// the key, takes the lock in `mode` and returns the value then current.
    pub fn get_latest_locked(
        &mut self,
        _tree: &Arc<Tree>,
        _key: &[u8],
        _mode: RowLockMode,
    ) -> Result<Option<Value>> {
        todo!()
    }

    // ---- locking and writing ----

    /// Locks a row that this statement has read, waiting for its writer by `wait`. REPEATABLE READ and SERIALIZABLE
    /// (ssi) fail with `ConcurrentUpdate` where READ COMMITTED answers `Changed`.
    pub fn lock_row(
        &mut self,
        _tree: &Arc<Tree>,
        _key: &[u8],
        _mode: RowLockMode,
        _wait: WaitPolicy,
    ) -> Result<RowLock> {
        todo!()
    }
    /// Inserts a key that must not exist in the latest committed state, waiting for an in-progress writer of it.
    pub fn insert(&mut self, _tree: &Arc<Tree>, _key: &[u8], _value: &[u8]) -> Result<Inserted> {
        todo!()
    }
    /// Replaces the value of a row locked by `lock_row` (`NoKeyUpdate` or stronger).
    pub fn update(&mut self, _tree: &Arc<Tree>, _key: &[u8], _value: &[u8]) -> Result<()> {
        todo!()
    }
    /// Deletes a row locked by `lock_row` (`Update`).
    pub fn delete(&mut self, _tree: &Arc<Tree>, _key: &[u8]) -> Result<()> {
        todo!()
    }
    /// Writes without conflict checks of any kind, for keys that another lock already protects: entries of non-unique
    /// secondary indexes (their row is locked; the key ends in its primary key), catalog rows. Still checks the
    /// range locks and SIREADs on the tree: that is how phantoms are caught.
    pub fn put(&mut self, _tree: &Arc<Tree>, _key: &[u8], _value: Option<&[u8]>) -> Result<()> {
        todo!()
    }
    pub fn create_tree(&mut self) -> Result<Arc<Tree>> {
        todo!()
    }
    pub fn drop_tree(&mut self, _tree: TreeId) -> Result<()> {
        todo!()
    }
    /// The tree was created by this transaction, at this or a later savepoint level, and is empty: a bulk load may
    /// fill it.
    pub fn bulk_loader(&mut self, _tree: &Arc<Tree>) -> Result<Option<serin_storage::BulkLoader>> {
        todo!()
    }
    pub fn finish_bulk(&mut self, _loader: serin_storage::BulkLoader) -> Result<u64> {
        todo!()
    }
    pub fn lock_relation(
        &mut self,
        _relation: u32,
        _mode: RelationLockMode,
        _wait: WaitPolicy,
    ) -> Result<()> {
        todo!()
    }
    /// False only for `NoWait` (`pg_try_advisory_lock`): it is not an error there.
    pub fn lock_advisory(
        &mut self,
        _key: (u32, u32, u16),
        _shared: bool,
        _scope: AdvisoryScope,
        _wait: WaitPolicy,
    ) -> Result<bool> {
        todo!()
    }

    // ---- ending ----

    pub fn savepoint(&mut self) -> Savepoint {
        todo!()
    }
    pub fn rollback_to(&mut self, _savepoint: &Savepoint) -> Result<()> {
        todo!()
    }
    /// Checks the protocol's rules, appends the commit record, releases the locks (early lock release). Not durable
    /// yet: see [`Committed`]. On an error the transaction is rolled back.
    pub fn commit(self) -> Result<Committed> {
        todo!()
    }
    /// Also what dropping does.
    pub fn rollback(self) {
        todo!()
    }
}

/// A registered range scan. Pull batches with the transaction that made it; it may outlive statements (portals),
/// and then keeps reading the snapshot and command it was opened with.
pub struct Scan {
    _private: (),
}

impl Scan {
    /// Hands up to `max` rows to `visit` in order; false from `visit` stops early. Returns false when exhausted.
    pub fn next_batch(
        &mut self,
        _transaction: &mut Transaction,
        _max: usize,
        _visit: &mut dyn FnMut(&[u8], &Value) -> bool,
    ) -> Result<bool> {
        todo!()
    }
}
