//! The small types of the public contract: what a transaction is asked for, and what it answers.

use crate::SessionHandle;
use serin_storage::{Timestamp, Value};
use std::sync::Arc;

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
    /// Asks, and leaves the request in the queue: the wait is the caller's ([`TransactionManager::poll_wait`](crate::TransactionManager::poll_wait)).
    Queue,
}

impl WaitPolicy {
    /// Who can't have the lock at once does without.
    pub(crate) fn refuses(self) -> bool {
        matches!(self, WaitPolicy::NoWait | WaitPolicy::SkipLocked)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum AdvisoryScope {
    Session,
    Transaction,
}

#[derive(Clone)]
pub struct TransactionOptions {
    pub mode: Mode,
    pub isolation: Isolation,
    pub read_only: bool,
    pub deferrable: bool,
    pub session: Arc<SessionHandle>,
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
    /// Since this command saw it, the transaction itself has written the row: first `by_this_command`, so that an
    /// UPDATE or DELETE that reaches it a second time passes it over, or by a command that this one ran, of a function
    /// or a trigger (PostgreSQL's `TM_SelfModified`). If another transaction changed the row before that, since the snapshot, the last
    /// of its own writes counts instead of the first.
    SelfModified { by_this_command: bool },
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
    pub(crate) serial: u64,
}

/// What the client's answer has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Await `Store::durable` for this before the answer: the own commit's timestamp, or the newest not yet durable
    /// commit whose data was read.
    pub durable_at: Option<Timestamp>,
}

/// A row of `pg_locks`.
#[derive(Clone, Debug)]
pub struct LockInfo {
    /// "relation", "tuple", "keyrange", "transactionid", "advisory", "serialtoken".
    pub kind: &'static str,
    pub relation: Option<u32>,
    pub tree: Option<serin_storage::TreeId>,
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
    /// Failures avoided by moving an SSI transaction's snapshot on.
    pub snapshots_moved: u64,
    pub deadlocks: u64,
    pub lock_waits: u64,
}
