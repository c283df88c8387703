//! The transaction manager: what all transactions of a store share.

use crate::conflict::{ConflictLog, PastConflict};
use crate::exported::ExportedSnapshots;
use crate::lock_mode::LockMode;
use crate::lock_table::{LockTable, ObjectRef, Owner};
use crate::prepared::Prepared;
use crate::registry::Registry;
use crate::session::SessionHandle;
use crate::ssi::Ssi;
use crate::sync::{AtomicU64, Mutex};
use crate::{LockInfo, Transaction, TransactionOptions, TransactionStats};
use hashbrown::HashMap;
use serin_storage::{Blocking, Store};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Instant;

/// Owns the lock table, the SSI graph and the serial token over one store.
pub struct TransactionManager {
    pub(crate) store: Arc<Store>,
    pub(crate) locks: LockTable,
    pub(crate) registry: Registry,
    pub(crate) ssi: Ssi,
    pub(crate) conflicts: Arc<ConflictLog>,
    pub(crate) prepared: Prepared,
    pub(crate) exported: ExportedSnapshots,
    session_locks: Mutex<HashMap<u64, SessionLocks>>,
    pub(crate) commit_count: AtomicU64,
    pub(crate) rollback_count: AtomicU64,
    /// `ConcurrentUpdate` errors; the SSI graph counts its own.
    pub(crate) concurrent_update_count: AtomicU64,
    /// Snapshots that moved forward instead of an abort (`refresh.rs`).
    pub(crate) refresh_count: AtomicU64,
}

/// A session's advisory locks of session scope: each is held until it has been released as often as it was taken.
struct SessionLocks {
    owner: Arc<Owner>,
    counts: HashMap<((u32, u32, u16), bool), u32>,
}

pub(crate) fn advisory_mode(shared: bool) -> LockMode {
    if shared { LockMode::Share } else { LockMode::Exclusive }
}

pub(crate) fn advisory_object(key: (u32, u32, u16)) -> ObjectRef<'static> {
    ObjectRef::Advisory(key.0, key.1, key.2)
}

impl TransactionManager {
    /// Waits for locks go through the store's own hook.
    pub fn new(store: Arc<Store>) -> Arc<TransactionManager> {
        let blocking = store.blocking();
        TransactionManager::with_blocking(store, blocking)
    }
    /// `blocking` is told before a session waits for a lock.
    pub fn with_blocking(store: Arc<Store>, blocking: Arc<dyn Blocking>) -> Arc<TransactionManager> {
        let conflicts = Arc::new(ConflictLog::default());
        Arc::new(TransactionManager {
            store,
            locks: LockTable::new(blocking, conflicts.clone()),
            registry: Registry::default(),
            ssi: Ssi::new(conflicts.clone()),
            conflicts,
            prepared: Prepared::default(),
            exported: ExportedSnapshots::default(),
            session_locks: Mutex::default(),
            commit_count: AtomicU64::new(0),
            rollback_count: AtomicU64::new(0),
            concurrent_update_count: AtomicU64::new(0),
            refresh_count: AtomicU64::new(0),
        })
    }
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }
    /// Cheap: takes no snapshot, no id and no lock until the first statement needs one.
    pub fn begin(self: &Arc<Self>, options: TransactionOptions) -> Transaction {
        Transaction::new(self.clone(), options)
    }
    pub fn locks(&self) -> Vec<LockInfo> {
        let mut infos = Vec::new();
        self.locks.infos(&mut infos);
        self.ssi.infos(&self.store, &mut infos);
        self.registry.for_each(|writer, owner| {
            infos.push(LockInfo {
                kind: "transactionid",
                relation: None,
                tree: None,
                key: None,
                advisory: None,
                transaction: Some(writer.0),
                mode: LockMode::Exclusive.name(),
                pid: owner.session.pid,
                granted: true,
            });
        });
        infos
    }
    /// The pids that `pid` waits for, directly or behind them in a queue (`pg_blocking_pids`).
    pub fn blocking_pids(&self, pid: i32) -> Vec<i32> {
        self.locks.blocking_pids(pid)
    }
    /// The pids on whose outcome it depends whether the DEFERRABLE transaction of `pid` may start.
    pub fn safe_snapshot_blocking_pids(&self, pid: i32) -> Vec<i32> {
        self.ssi.safe_snapshot_blockers(pid)
    }
    /// The rw-antidependencies of active SERIALIZABLE transactions, as (reader's pid, writer's pid).
    pub fn dependencies(&self) -> Vec<(i32, i32)> {
        self.ssi.dependencies()
    }
    /// Of the waiting session: kind and name for `pg_stat_activity.wait_event_type/wait_event`.
    pub fn wait_event(&self, pid: i32) -> Option<(&'static str, &'static str)> {
        self.locks.wait_event(pid)
    }
    /// Looks after the request that the session left in a queue (`WaitPolicy::Queue`), if any. None: go on, it was granted. Otherwise ask
    /// again when `waker` is woken, or at the latest then: somebody else's grant wakes, but timeouts and the look for
    /// deadlocks are the waiter's own. On an error the request is withdrawn; the transaction has failed as if it had blocked.
    pub fn poll_wait(&self, session: &SessionHandle, waker: &Waker) -> crate::Result<Option<Instant>> {
        self.locks.poll_wait(session, waker)
    }
    /// The most recent aborts, newest last.
    pub fn recent_conflicts(&self) -> Vec<PastConflict> {
        self.conflicts.recent()
    }
    pub fn stats(&self) -> TransactionStats {
        TransactionStats {
            commits: self.commit_count.load(Ordering::Relaxed),
            rollbacks: self.rollback_count.load(Ordering::Relaxed),
            serialization_failures: self.concurrent_update_count.load(Ordering::Relaxed)
                + self.ssi.failures.load(Ordering::Relaxed),
            snapshots_moved: self.refresh_count.load(Ordering::Relaxed),
            deadlocks: self.locks.deadlock_count.load(Ordering::Relaxed),
            lock_waits: self.locks.wait_count.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn session_owner(&self, session: &Arc<SessionHandle>) -> Arc<Owner> {
        let mut sessions = self.session_locks.lock();
        let locks = sessions.entry(session.id).or_insert_with(|| SessionLocks {
            owner: Owner::new(session.clone(), false),
            counts: HashMap::new(),
        });
        locks.owner.clone()
    }
    pub(crate) fn count_session_lock(&self, session: &SessionHandle, key: (u32, u32, u16), shared: bool) {
        if let Some(locks) = self.session_locks.lock().get_mut(&session.id) {
            *locks.counts.entry((key, shared)).or_default() += 1;
        }
    }
    /// Session-scope advisory locks outlive transactions: released here or when the session ends.
    pub fn advisory_unlock(&self, session: &Arc<SessionHandle>, key: (u32, u32, u16), shared: bool) -> bool {
        let owner = {
            let mut sessions = self.session_locks.lock();
            let Some(locks) = sessions.get_mut(&session.id) else { return false };
            let Some(count) = locks.counts.get_mut(&(key, shared)) else { return false };
            *count -= 1;
            if *count > 0 {
                return true;
            }
            locks.counts.remove(&(key, shared));
            locks.owner.clone()
        };
        self.locks.release(&owner, advisory_object(key), advisory_mode(shared));
        true
    }
    pub fn advisory_unlock_all(&self, session: &Arc<SessionHandle>) {
        let locks = self.session_locks.lock().remove(&session.id);
        if let Some(locks) = locks {
            self.locks.finish(&locks.owner);
        }
    }
}
