//! Transactions over `serin-storage`: snapshots, locks, savepoints, deadlocks, and the three protocols that make
//! transactions serializable: two-phase locking (`two_phase.rs`), serial execution (`serial.rs`) and serializable
//! snapshot isolation (`ssi.rs`). How they differ, and why they can be mixed, is in `protocol.rs`.
//!
//! Everything that `sql` reads or writes goes through [`Transaction`]: there is one read path, so that no access
//! method can bypass the protocol that runs.

#![forbid(unsafe_code)]

mod conflict;
mod dirty;
mod error;
mod exported;
mod key_ranges;
mod lock_mode;
mod lock_table;
mod manager;
mod options;
mod prepared;
mod protocol;
mod refresh;
mod registry;
mod retry;
mod row_locks;
mod rules;
mod run;
mod scan;
mod serial;
mod session;
mod siread;
mod ssi;
mod sync;
mod transaction;
mod two_phase;
mod waits_for;
mod writes;

#[cfg(test)]
mod tests;

pub use conflict::{Conflict, ConflictKind, ConflictObject, ConflictStep, PastConflict};
pub use dirty::{DirtyRow, DirtyScan};
pub use error::{Error, Result};
pub use exported::SnapshotOrigin;
pub use manager::TransactionManager;
pub use options::{
    AdvisoryScope, Committed, Inserted, Isolation, LockInfo, Mode, RelationLockMode, RowLock, RowLockMode,
    Savepoint, TransactionOptions, TransactionStats, WaitPolicy,
};
pub use prepared::{Finishing, PreparedInfo, Restored};
pub use run::KeyRun;
pub use scan::Scan;
pub use session::{Running, SessionHandle};
pub use transaction::{Suspended, Transaction};
