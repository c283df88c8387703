//! Transactions over `serin-storage`: snapshots, locks, savepoints, deadlocks, and the three protocols that make
//! transactions serializable: two-phase locking (`two_phase.rs`), serial execution (`serial.rs`) and serializable
//! snapshot isolation (`ssi.rs`).
//!
//! Everything that `sql` reads or writes goes through [`Transaction`]: there is one read path, so that no access
//! method can bypass the protocol that runs.

mod error;
mod transaction;

pub use error::{Error, Result};
pub use transaction::*;
