//! What the transaction layer knows of a connection: where it waits, how it is interrupted, its timeouts.
//!
//! A session runs one transaction at a time on one thread, so it has one wait slot. Lock order: a shard of the lock
//! table, then a wait slot; nobody takes a shard while holding a slot.

use crate::lock_mode::LockMode;
use crate::lock_table::LockObject;
use parking_lot::{Condvar, Mutex};
use serin_storage::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DEADLOCK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

type Callback = Arc<dyn Fn() + Send + Sync>;

/// What the transaction layer needs to know of the session that runs a transaction. One per connection, shared;
/// waits poll `interrupted` when woken, and the canceller calls [`SessionHandle::interrupt`].
pub struct SessionHandle {
    pub pid: i32,
    /// Unique in the process, unlike a pid: identifies the session in lock conflicts.
    pub(crate) id: u64,
    interrupted: AtomicBool,
    lock_timeout_us: AtomicU64,
    deadlock_timeout_us: AtomicU64,
    statement: Mutex<Option<Arc<str>>>,
    on_interrupt: Mutex<Option<Callback>>,
    /// A timestamp: see [`SessionHandle::must_see`].
    must_see: AtomicU64,
    slot: Mutex<WaitSlot>,
    woken: Condvar,
}

/// The request that a session is queued with.
#[derive(Clone)]
pub(crate) struct Waiting {
    pub(crate) hash: u64,
    pub(crate) object: LockObject,
    pub(crate) mode: LockMode,
    pub(crate) ticket: u64,
}

#[derive(Default)]
struct WaitSlot {
    waiting: Option<Waiting>,
    /// Set by [`SessionHandle::nudge`]: look again, though nothing was granted.
    nudged: bool,
    /// The deadlock check is behind it and the session sleeps.
    asleep: bool,
}

pub(crate) enum Woken {
    /// The request left the slot: it was granted.
    Granted,
    /// Interrupted, nudged or the deadline passed: the waiter finds out which.
    Look,
}

impl SessionHandle {
    pub fn new(pid: i32) -> Arc<SessionHandle> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Arc::new(SessionHandle {
            pid,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            interrupted: AtomicBool::new(false),
            lock_timeout_us: AtomicU64::new(0),
            deadlock_timeout_us: AtomicU64::new(DEADLOCK_TIMEOUT_DEFAULT.as_micros() as u64),
            statement: Mutex::new(None),
            on_interrupt: Mutex::new(None),
            must_see: AtomicU64::new(0),
            slot: Mutex::new(WaitSlot::default()),
            woken: Condvar::new(),
        })
    }
    /// Sets the interrupt flag and wakes the session out of any lock wait (cancel, timeout, termination).
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.nudge();
    }
    /// A relaxed load: cheap enough for every batch.
    pub fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
    /// Called by the session when it has acted on the interrupt.
    pub fn clear_interrupt(&self) {
        self.interrupted.store(false, Ordering::Release);
    }
    /// 0 = wait for ever.
    pub fn set_lock_timeout(&self, timeout: Duration) {
        self.lock_timeout_us.store(timeout.as_micros() as u64, Ordering::Relaxed);
    }
    /// How long a wait lasts before a deadlock check is repeated (the first is made when the wait starts).
    pub fn set_deadlock_timeout(&self, timeout: Duration) {
        self.deadlock_timeout_us.store((timeout.as_micros() as u64).max(1000), Ordering::Relaxed);
    }
    /// The statement now running, for conflict reports and `serin_conflicts`.
    pub fn set_statement(&self, text: Arc<str>) {
        *self.statement.lock() = Some(text);
    }
    /// Called, from another session's thread, when this session's transaction was doomed while the session idles
    /// (it held the serial token for too long): the server wakes the connection, which rolls back.
    pub fn on_interrupt(&self, callback: impl Fn() + Send + Sync + 'static) {
        *self.on_interrupt.lock() = Some(Arc::new(callback));
    }

    pub(crate) fn call_on_interrupt(&self) {
        // Cloned out of the mutex, so that the callback may do as it likes with this handle.
        let callback = self.on_interrupt.lock().clone();
        if let Some(callback) = callback {
            callback();
        }
    }
    pub(crate) fn statement(&self) -> Option<Arc<str>> {
        self.statement.lock().clone()
    }
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        match self.lock_timeout_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }
    pub(crate) fn deadlock_timeout(&self) -> Duration {
        Duration::from_micros(self.deadlock_timeout_us.load(Ordering::Relaxed))
    }
    /// The newest commit that the session's next snapshot must cover: its own last one, or one that made it fail,
    /// for a retry on a snapshot without that commit would only fail again.
    pub(crate) fn must_see(&self) -> Timestamp {
        Timestamp(self.must_see.load(Ordering::Relaxed))
    }
    pub(crate) fn raise_must_see(&self, ts: Timestamp) {
        self.must_see.fetch_max(ts.0, Ordering::Relaxed);
    }

    pub(crate) fn waiting(&self) -> Option<Waiting> {
        self.slot.lock().waiting.clone()
    }
    /// Blocked for good, as far as the session itself can tell.
    #[cfg(test)]
    pub(crate) fn is_asleep(&self) -> bool {
        let slot = self.slot.lock();
        slot.waiting.is_some() && slot.asleep && !slot.nudged
    }
    pub(crate) fn start_waiting(&self, waiting: Waiting) {
        let mut slot = self.slot.lock();
        debug_assert!(slot.waiting.is_none(), "a session waits for one lock at a time");
        slot.waiting = Some(waiting);
        slot.nudged = false;
    }
    /// The request was granted or withdrawn.
    pub(crate) fn stop_waiting(&self) {
        self.slot.lock().waiting = None;
        self.woken.notify_all();
    }
    /// Makes a waiting session look around itself.
    pub(crate) fn nudge(&self) {
        self.slot.lock().nudged = true;
        self.woken.notify_all();
    }
    /// Sleeps until the request is granted, the session is nudged, or `deadline`.
    pub(crate) fn wait_for_grant(&self, deadline: Instant) -> Woken {
        let mut slot = self.slot.lock();
        loop {
            if slot.waiting.is_none() {
                return Woken::Granted;
            }
            slot.asleep = true;
            let look =
                std::mem::take(&mut slot.nudged) || self.woken.wait_until(&mut slot, deadline).timed_out();
            slot.asleep = false;
            if look {
                return if slot.waiting.is_none() { Woken::Granted } else { Woken::Look };
            }
        }
    }
    /// Sleeps until nudged or `deadline`: for waits that are not in the lock table (safe snapshots).
    pub(crate) fn wait_for_nudge(&self, deadline: Instant) {
        let mut slot = self.slot.lock();
        while !std::mem::take(&mut slot.nudged) {
            if self.woken.wait_until(&mut slot, deadline).timed_out() {
                return;
            }
        }
    }
}
