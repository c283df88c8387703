//! Why a transaction can't go on. The structure travels; the text is built at the edge.

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Storage(#[from] serin_storage::Error),
    /// 40001: `could not serialize access due to concurrent update|delete`.
    #[error("could not serialize access due to concurrent {}", if *.deleted { "delete" } else { "update" })]
    ConcurrentUpdate { deleted: bool, conflict: Box<crate::Conflict> },
    /// 40001: `could not serialize access due to read/write dependencies among transactions`.
    #[error("could not serialize access due to read/write dependencies among transactions")]
    DangerousStructure(Box<crate::Conflict>),
    /// 40P01.
    #[error("deadlock detected")]
    Deadlock(Box<crate::Conflict>),
    /// 55P03: NOWAIT.
    #[error("could not obtain lock on {0}")]
    LockNotAvailable(String),
    /// 55P03.
    #[error("canceling statement due to lock timeout")]
    LockTimeout,
    /// 57014 and friends: the session's interrupt said so while we waited.
    #[error("interrupted")]
    Interrupted,
    /// 25P03-style: the serial token was held idle for too long.
    #[error("terminating transaction that held the serial token while idle")]
    SerialTokenTimeout,
    /// 53200: the lock table is at its budget.
    #[error("out of shared memory for locks")]
    OutOfLocks,
    /// 22023.
    #[error("invalid snapshot identifier: \"{0}\"")]
    NoSuchSnapshot(String),
    /// 0A000: this transaction can't take that snapshot.
    #[error("{0}")]
    SnapshotImport(&'static str),
    /// 42710.
    #[error("transaction identifier \"{0}\" is already in use")]
    PreparedExists(String),
    /// 42704.
    #[error("prepared transaction with identifier \"{0}\" does not exist")]
    NoSuchPrepared(String),
    /// 55000: another session is ending it.
    #[error("prepared transaction with identifier \"{0}\" is busy")]
    PreparedBusy(String),
    /// 55000.
    #[error("prepared transactions are disabled")]
    PreparedDisabled,
    /// 53200: as many as are allowed.
    #[error("maximum number of prepared transactions reached")]
    TooManyPrepared(usize),
    /// 0A000.
    #[error("cannot PREPARE while holding both session-level and transaction-level locks on the same object")]
    PreparedMixedLocks,
    /// XX001: the record does not read back as it was written.
    #[error("the record of prepared transaction \"{0}\" is damaged")]
    PreparedDamaged(String),
}
