//! What the transaction layer knows of a connection: where it waits, how it is interrupted, its timeouts.
//!
//! A session runs one transaction at a time on one thread, so it has one wait slot. Lock order: a shard of the lock
//! table, then a wait slot; nobody takes a shard while holding a slot.

use crate::lock_mode::LockMode;
use crate::lock_table::{LockObject, Owner, Request};
use crate::retry::Lost;
use crate::sync::{Condvar, Mutex};
use crate::{Conflict, Isolation, Mode};
use serin_storage::{Timestamp, TreeId};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const DEADLOCK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
const SERIAL_IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// About 200 bytes each.
const ROW_LOCKS_MAX_DEFAULT: u64 = 16_384;

/// How a session's transaction runs, once its first statement has started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Running {
    pub mode: Mode,
    pub isolation: Isolation,
    pub read_only: bool,
}

impl Running {
    fn pack(self) -> u8 {
        let mode = match self.mode {
            Mode::Ssi => 0,
            Mode::TwoPhase => 1,
            Mode::Serial => 2,
        };
        let isolation = match self.isolation {
            Isolation::ReadCommitted => 0,
            Isolation::RepeatableRead => 1,
            Isolation::Serializable => 2,
        };
        1 | u8::from(self.read_only) << 1 | mode << 2 | isolation << 4
    }
    fn unpack(packed: u8) -> Option<Running> {
        let mode = match packed >> 2 & 3 {
            0 => Mode::Ssi,
            1 => Mode::TwoPhase,
            _ => Mode::Serial,
        };
        let isolation = match packed >> 4 & 3 {
            0 => Isolation::ReadCommitted,
            1 => Isolation::RepeatableRead,
            _ => Isolation::Serializable,
        };
        (packed & 1 != 0).then_some(Running { mode, isolation, read_only: packed & 2 != 0 })
    }
}

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
    /// How long it may idle with the serial token while others wait; 0: for ever.
    serial_idle_timeout_ms: AtomicU64,
    /// Rows of one tree that a 2PL transaction at REPEATABLE READ locks one by one.
    row_locks_max: AtomicU64,
    /// The transaction that runs, as [`Running`] packs it.
    running: AtomicU8,
    statement: Mutex<Option<Arc<str>>>,
    on_interrupt: Mutex<Option<Callback>>,
    /// A timestamp: see [`SessionHandle::must_see`].
    must_see: AtomicU64,
    /// What its last attempts failed for (`retry.rs`).
    lost: Mutex<Lost>,
    has_lost: AtomicBool,
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
    /// Look for a deadlock, too, and not only at the next `deadlock_timeout`.
    suspects_deadlock: bool,
    /// The deadlock check is behind it and the session sleeps.
    asleep: bool,
    left: Option<Left>,
    /// Of whoever polls for what was left.
    waker: Option<Waker>,
}

/// A request that its session left in a queue, to come back for it: `WaitPolicy::Queue`.
pub(crate) struct Left {
    owner: Arc<Owner>,
    hash: u64,
    object: LockObject,
    ticket: u64,
    patience: Patience,
}

impl Left {
    pub(crate) fn new(request: Request<'_>, patience: Patience) -> Left {
        let Request { owner, hash, object, ticket } = request;
        Left { owner: owner.clone(), hash, object: object.to_owned(), ticket, patience }
    }
    pub(crate) fn parts(&mut self) -> (Request<'_>, &mut Patience) {
        let Left { owner, hash, object, ticket, patience } = self;
        (Request { owner, hash: *hash, object: object.as_ref(), ticket: *ticket }, patience)
    }
}

/// What a waiter has to look after by itself, and when.
pub(crate) struct Patience {
    /// `lock_timeout`.
    pub(crate) timeout_at: Option<Instant>,
    /// The next look for a deadlock.
    pub(crate) check_at: Instant,
}

impl Patience {
    pub(crate) fn begin(session: &SessionHandle) -> Patience {
        let now = Instant::now();
        Patience {
            timeout_at: session.lock_timeout().map(|timeout| now + timeout),
            check_at: now + session.deadlock_timeout(),
        }
    }
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
            serial_idle_timeout_ms: AtomicU64::new(SERIAL_IDLE_TIMEOUT_DEFAULT.as_millis() as u64),
            row_locks_max: AtomicU64::new(ROW_LOCKS_MAX_DEFAULT),
            running: AtomicU8::new(0),
            statement: Mutex::new(None),
            on_interrupt: Mutex::new(None),
            must_see: AtomicU64::new(0),
            lost: Mutex::default(),
            has_lost: AtomicBool::new(false),
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
    /// How long it may idle between statements with the serial token while others wait. Zero: for ever.
    pub fn set_serial_idle_timeout(&self, timeout: Duration) {
        self.serial_idle_timeout_ms.store(timeout.as_millis() as u64, Ordering::Relaxed);
    }
    pub(crate) fn serial_idle_timeout_ms(&self) -> u64 {
        self.serial_idle_timeout_ms.load(Ordering::Relaxed)
    }
    /// How many rows of one table a REPEATABLE READ transaction in 2PL locks one by one before it locks the table's key range.
    pub fn set_row_locks_max(&self, rows: u64) {
        self.row_locks_max.store(rows.max(1), Ordering::Relaxed);
    }
    pub(crate) fn row_locks_max(&self) -> u64 {
        self.row_locks_max.load(Ordering::Relaxed)
    }
    /// The transaction that runs now.
    pub fn running(&self) -> Option<Running> {
        Running::unpack(self.running.load(Ordering::Relaxed))
    }
    pub(crate) fn set_running(&self, running: Option<Running>) {
        self.running.store(running.map_or(0, Running::pack), Ordering::Relaxed);
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
    /// Its transaction fails in `conflict`.
    pub(crate) fn lost(&self, conflict: &Conflict) {
        self.lost.lock().add(self.pid, conflict);
        self.has_lost.store(true, Ordering::Relaxed);
    }
    /// As if a transaction had failed over these keys.
    #[cfg(all(test, not(feature = "shuttle")))]
    pub(crate) fn lost_keys<'a>(&self, keys: impl Iterator<Item = (TreeId, &'a [u8])>) {
        self.lost.lock().add_keys(keys);
        self.has_lost.store(true, Ordering::Relaxed);
    }
    /// Whether the transaction that begins now is a retry.
    pub(crate) fn retries(&self) -> bool {
        if !self.has_lost.load(Ordering::Relaxed) {
            return false;
        }
        let is_fresh = self.lost.lock().is_fresh();
        if !is_fresh {
            self.forget_lost();
        }
        is_fresh
    }
    /// What it lost of `tree`, as far as `reads` answers true.
    pub(crate) fn lost_of(&self, tree: TreeId, reads: impl Fn(&[u8]) -> bool) -> SmallVec<[Box<[u8]>; 1]> {
        self.lost.lock().of(tree, reads)
    }
    pub(crate) fn forget_lost(&self) {
        self.has_lost.store(false, Ordering::Relaxed);
        *self.lost.lock() = Lost::default();
    }

    pub(crate) fn waiting(&self) -> Option<Waiting> {
        self.slot.lock().waiting.clone()
    }
    /// Blocked for good, as far as the session itself can tell.
    #[cfg(all(test, not(feature = "shuttle")))]
    pub(crate) fn is_asleep(&self) -> bool {
        let slot = self.slot.lock();
        slot.waiting.is_some() && slot.asleep && !slot.nudged
    }
    pub(crate) fn start_waiting(&self, waiting: Waiting) {
        let mut slot = self.slot.lock();
        debug_assert!(slot.waiting.is_none(), "a session waits for one lock at a time");
        slot.waiting = Some(waiting);
        slot.nudged = false;
        slot.suspects_deadlock = false;
    }
    /// The request was granted or withdrawn.
    pub(crate) fn stop_waiting(&self) {
        self.wake(|slot| slot.waiting = None);
    }
    /// Makes a waiting session look around itself.
    pub(crate) fn nudge(&self) {
        self.wake(|slot| slot.nudged = true);
    }
    /// Makes a waiting session look for a deadlock: another edge leads from it.
    pub(crate) fn suspect_deadlock(&self) {
        self.wake(|slot| {
            slot.nudged = true;
            slot.suspects_deadlock = true;
        });
    }
    pub(crate) fn take_suspicion(&self) -> bool {
        std::mem::take(&mut self.slot.lock().suspects_deadlock)
    }
    fn wake(&self, change: impl FnOnce(&mut WaitSlot)) {
        let mut slot = self.slot.lock();
        change(&mut slot);
        let waker = slot.waker.take();
        drop(slot);
        self.woken.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
    pub(crate) fn leave(&self, left: Left) {
        self.slot.lock().left = Some(left);
    }
    pub(crate) fn take_left(&self) -> Option<Left> {
        self.slot.lock().left.take()
    }
    /// As [`SessionHandle::wait_for_grant`], for a session that is woken through `waker` instead of sleeping.
    pub(crate) fn poll_grant(&self, waker: &Waker) -> Poll<Woken> {
        let mut slot = self.slot.lock();
        if slot.waiting.is_none() {
            return Poll::Ready(Woken::Granted);
        }
        if std::mem::take(&mut slot.nudged) {
            return Poll::Ready(Woken::Look);
        }
        slot.waker = Some(waker.clone());
        Poll::Pending
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
