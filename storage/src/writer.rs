//! A writing transaction as storage sees it: its state word, its write set, its commit.

use crate::{CommandId, Result, Timestamp, Tree, TreeId, WriterId};
use std::sync::Arc;

/// How strongly an in-progress version claims its row. `Modify` leaves the key alone, so that it does not
/// conflict with a `FOR KEY SHARE` lock (PostgreSQL's NO KEY UPDATE); `Replace` covers insert, delete and key changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    Modify,
    Replace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriterStatus {
    InProgress,
    Committed(Timestamp),
    Aborted,
}

/// Shared by every version a transaction wrote: commit is one atomic store here.
pub struct WriterState {
    _private: (),
}

impl WriterState {
    pub fn id(&self) -> WriterId {
        todo!()
    }
    pub fn status(&self) -> WriterStatus {
        todo!()
    }
}

/// The newest version of the key belongs to another transaction that is still in progress.
pub struct WriteConflict {
    pub writer: Arc<WriterState>,
    pub intent: Intent,
}

/// A position in the write set to roll back to (a savepoint).
#[derive(Clone, Copy, Debug)]
pub struct Mark(pub(crate) usize);

/// The write set of one transaction. Dropping it without [`Writer::commit`] rolls back.
pub struct Writer {
    _private: (),
}

impl Writer {
    pub fn state(&self) -> &Arc<WriterState> {
        todo!()
    }
    pub fn is_empty(&self) -> bool {
        todo!()
    }
    /// Puts a version on the key's chain: `None` is a tombstone. Checks under the chain's mutex that no other
    /// writer's in-progress version is on top; a conflict changes nothing. Whether a *committed* newer version
    /// may be overwritten is the caller's business.
    pub fn install(
        &mut self,
        _tree: &Arc<Tree>,
        _key: &[u8],
        _value: Option<&[u8]>,
        _intent: Intent,
        _command: CommandId,
    ) -> Result<Result<(), WriteConflict>> {
        todo!()
    }
    /// The tree disappears when this transaction commits; its pages are freed once no snapshot needs them.
    pub fn drop_tree(&mut self, _tree: TreeId) {
        todo!()
    }
    pub fn mark(&self) -> Mark {
        todo!()
    }
    /// Takes the versions (and tree creations and drops) since `mark` off again.
    pub fn rollback_to(&mut self, _mark: Mark) {
        todo!()
    }
    /// Appends the commit record to the log buffer and marks every version committed, in commit order. It is
    /// *not* durable yet: wait with [`crate::Store::durable`] or [`crate::Store::wait_durable`] for the
    /// returned timestamp before anyone is told. An empty writer commits without a record (`None`).
    /// On an error nothing was committed.
    pub fn commit(self) -> Result<Option<Timestamp>> {
        todo!()
    }
    pub fn rollback(self) {
        todo!()
    }
}
