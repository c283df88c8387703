//! Timeouts: one thread and one heap for all sessions, started when the first timeout is armed. Disarming leaves the heap entry
//! behind and only changes the session's timer number, so that a statement with a timeout costs two short critical sections at most.

use super::registry::{Reason, Registration};
use parking_lot::{Condvar, Mutex};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// A session has one timer for its statement or idle time, and one for its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    Statement = 0,
    Transaction = 1,
}

struct Entry {
    at: Instant,
    number: u64,
    slot: Slot,
    reason: Reason,
    session: Weak<Registration>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Default)]
struct Heap {
    entries: BinaryHeap<Reverse<Entry>>,
    running: bool,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    heap: Mutex<Heap>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Timers {
    shared: Arc<Shared>,
    next: AtomicU64,
}

impl Timers {
    /// Interrupts the session for `reason` after `timeout`, unless disarmed or armed anew before.
    pub fn arm(&self, session: &Arc<Registration>, slot: Slot, timeout: Duration, reason: Reason) {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        session.timer[slot as usize].store(number, Ordering::Release);
        let at = Instant::now() + timeout;
        let entry = Entry { at, number, slot, reason, session: Arc::downgrade(session) };
        let mut heap = self.shared.heap.lock();
        let is_next = heap.entries.peek().is_none_or(|Reverse(first)| entry < *first);
        heap.entries.push(Reverse(entry));
        if !heap.running {
            heap.running = true;
            let shared = self.shared.clone();
            let spawned = std::thread::Builder::new().name("timers".into()).spawn(move || run(&shared));
            // Without a thread there are no timeouts, but statements still run.
            if let Err(error) = spawned {
                heap.running = false;
                tracing::error!(%error, "cannot start the timer thread");
            }
        } else if is_next {
            self.shared.changed.notify_one();
        }
    }

    pub fn disarm(session: &Registration, slot: Slot) {
        session.timer[slot as usize].store(0, Ordering::Release);
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.shared.heap.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

fn run(shared: &Shared) {
    let mut heap = shared.heap.lock();
    while !heap.stopped {
        let Some(Reverse(first)) = heap.entries.peek() else {
            shared.changed.wait(&mut heap);
            continue;
        };
        if first.at > Instant::now() {
            let at = first.at;
            shared.changed.wait_until(&mut heap, at);
            continue;
        }
        let Reverse(entry) = heap.entries.pop().expect("peeked");
        let Some(session) = entry.session.upgrade() else { continue };
        let armed = &session.timer[entry.slot as usize];
        // Taken by exactly one: a statement that ends now either disarms it or is interrupted.
        if armed.compare_exchange(entry.number, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            parking_lot::MutexGuard::unlocked(&mut heap, || session.interrupt(entry.reason));
        }
    }
}
