//! Serial execution: one transaction at a time, in the order of arrival.
//!
//! The serial token is an object of the lock table like any other. A serial transaction holds it in Exclusive from
//! its first statement to its end; a read-write transaction of another mode holds it in Share from its first write. So
//! deadlocks between the token and other locks are found, and waiting is FIFO.
//!
//! While no serial transaction exists the token must cost the others nothing. A writer enters the registry anyway; under
//! the registry shard's mutex it also looks at the count of serial transactions, and if that is 0 it is marked as having
//! passed (*fast*) without touching the lock table. A serial transaction first raises the count, then collects from
//! the registry who has passed, and registers their Share locks on their behalf; then it queues. A writer is either
//! marked before the collection reaches its shard, and is collected, or sees the count raised, and queues.
//!
//! Holding the token, the transaction reads the latest committed state without any lock: nobody else can write. Its own
//! writes still respect 2PL readers' locks, and it is a node of the SSI graph (`protocol.rs` says why). Commits overlap:
//! the token goes with the other locks once the commit record is in the log buffer, and the next transaction runs while
//! the fsync is under way; it then waits for what it has seen (`Committed::durable_at`).
//!
//! A holder that idles between statements while others wait is ended: a waiter that finds the holder idle beyond the
//! limit dooms it and has its session woken to roll back. Only the session's own thread undoes its writes, and
//! the token passes on only then.

use crate::lock_mode::LockMode;
use crate::lock_table::{Acquired, ObjectRef};
use crate::protocol::Protocol;
use crate::rules::Rule;
use crate::{Result, Transaction, WaitPolicy};
use serin_storage::WriterId;

impl Transaction {
    /// Takes the token; false if it is not its turn yet and the request was left in the queue.
    pub(crate) fn begin_serial(&mut self, wait: WaitPolicy) -> Result<bool> {
        let owner = self.owner().clone();
        let (locks, registry) = (&self.manager.locks, &self.manager.registry);
        if !self.counted_serial {
            let mut passed = registry.serial_arrives();
            if self.manager.ssi.rules.is_off(Rule::SerialGate) {
                passed.clear();
            }
            let hash = locks.hash(ObjectRef::SerialToken);
            let mut shard = locks.shard(hash);
            for writer in passed {
                locks.materialise(&mut shard, hash, ObjectRef::SerialToken, &writer, LockMode::Share);
            }
        }
        self.counted_serial = true;
        if locks.acquire(&owner, ObjectRef::SerialToken, LockMode::Exclusive, wait)? == Acquired::Queued {
            return Ok(false);
        }
        self.protocol = Protocol::Serial(None);
        Ok(true)
    }

    /// A writer of any mode: in the registry from here on, and holding the token in Share unless it is the serial one.
    pub(crate) fn pass_serial_gate(&mut self, writer: WriterId) -> Result<()> {
        let owner = self.owner().clone();
        let fast = self.manager.registry.insert(writer, owner.clone());
        self.registered = true;
        if fast
            || self.manager.ssi.rules.is_off(Rule::SerialGate)
            || matches!(self.protocol, Protocol::Serial(_))
        {
            return Ok(());
        }
        self.manager.locks.acquire(&owner, ObjectRef::SerialToken, LockMode::Share, WaitPolicy::Block)?;
        Ok(())
    }
}
