//! Exported snapshots: transactions of several sessions that see one and the same state, as the workers of `pg_dump --jobs` do.
//!
//! A transaction gives its snapshot a name; another one that has not read anything yet takes it by that name as its own. It is the same
//! [`Snapshot`], so what it sees stays for as long as one of them lives. The name is forgotten when the transaction that gave it ends.
//!
//! Only REPEATABLE READ takes one. READ COMMITTED has no snapshot to keep. A SERIALIZABLE transaction in the past would be
//! concurrent with transactions that the SSI graph has forgotten; 2PL and serial execution read the latest state under locks.
//!
//! PostgreSQL: <https://www.postgresql.org/docs/15/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION>.

use crate::protocol::Protocol;
use crate::{Error, Isolation, Mode, Result, Transaction, WaitPolicy};
use hashbrown::HashMap;
use parking_lot::Mutex;
use serin_storage::Snapshot;
use std::sync::Arc;

/// What the layer above has to know of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotOrigin {
    /// An importing transaction has to be of the same.
    pub database: u32,
    /// Tables that were rewritten later can't be read by it.
    pub catalog_version: u64,
}

struct Exported {
    snapshot: Arc<Snapshot>,
    origin: SnapshotOrigin,
}

/// The snapshots that can be imported, by name.
#[derive(Default)]
pub(crate) struct ExportedSnapshots {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_name: HashMap<String, Exported>,
    count: u64,
}

impl Transaction {
    /// Names the running statement's snapshot, until the transaction ends.
    pub fn export_snapshot(&mut self, origin: SnapshotOrigin) -> Result<String> {
        self.before_operation()?;
        let snapshot = self.snapshot.clone().expect("a statement has started");
        let mut state = self.manager.exported.state.lock();
        state.count += 1;
        let name = format!("{:08X}-{:08X}-1", self.options.session.pid, state.count);
        state.by_name.insert(name.clone(), Exported { snapshot, origin });
        drop(state);
        self.exported.push(name.clone());
        Ok(name)
    }

    pub fn has_exported(&self) -> bool {
        !self.exported.is_empty()
    }

    /// Takes the snapshot of that name, exported in the same database. The caller has checked that no statement has run yet ([`Transaction::has_snapshot`]).
    ///
    /// # Errors
    /// [`Error::NoSuchSnapshot`], [`Error::SnapshotImport`].
    pub fn import_snapshot(&mut self, name: &str, database: u32) -> Result<SnapshotOrigin> {
        assert!(matches!(self.protocol, Protocol::Undecided), "no statement has run yet");
        match (self.options.mode, self.options.isolation) {
            (Mode::Ssi, Isolation::RepeatableRead) => {}
            (_, Isolation::ReadCommitted) => {
                return Err(Error::SnapshotImport(
                    "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ",
                ));
            }
            (_, Isolation::Serializable) => {
                return Err(Error::SnapshotImport(
                    "SET TRANSACTION SNAPSHOT at isolation level SERIALIZABLE is not supported",
                ));
            }
            (Mode::TwoPhase | Mode::Serial, Isolation::RepeatableRead) => {
                return Err(Error::SnapshotImport(
                    "SET TRANSACTION SNAPSHOT in another concurrency_mode than ssi is not supported",
                ));
            }
        }
        let (snapshot, origin) = match self.manager.exported.state.lock().by_name.get(name) {
            Some(Exported { snapshot, origin }) => (snapshot.clone(), *origin),
            None => return Err(Error::NoSuchSnapshot(name.to_owned())),
        };
        if origin.database != database {
            return Err(Error::SnapshotImport("cannot import a snapshot from a different database"));
        }
        self.begin_protocol(WaitPolicy::Block)?;
        self.snapshot = Some(snapshot);
        Ok(origin)
    }

    pub(crate) fn forget_exported(&mut self) {
        if self.exported.is_empty() {
            return;
        }
        let mut state = self.manager.exported.state.lock();
        for name in self.exported.drain(..) {
            state.by_name.remove(&name);
        }
    }
}
