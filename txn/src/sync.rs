//! The primitives that this crate synchronises with (the lock table, the key ranges, the SIREADs, the SSI graph, waits): parking_lot's and std's, or, with the
//! feature `shuttle`, ones whose every operation is a point where a test's scheduler may run another thread
//! (`tests/schedules.rs`).
//!
//! Schedules are sequentially consistent there: an ordering that is too weak for the machine goes unnoticed. The places that depend
//! on one have `SeqCst` fences (`key_ranges.rs`, `ssi.rs`), which is what the tests take for granted. Plain counters stay std's. Time does not pass: a wait with a deadline is a wait.
//! So a wake-up that gets lost is a thread that sleeps for ever, and shuttle reports it.

#[cfg(not(feature = "shuttle"))]
mod chosen {
    pub(crate) use hashbrown::DefaultHashBuilder as HashBuilder;
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
    pub(crate) use std::thread::yield_now;
}

#[cfg(feature = "shuttle")]
mod chosen {
    pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
    pub(crate) use shuttle::thread::yield_now;
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    /// The same shards in every run, so that a schedule can be replayed.
    pub(crate) type HashBuilder = BuildHasherDefault<DefaultHasher>;

    const POISONED: &str = "a test that panicked is over";

    #[derive(Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().expect(POISONED)))
        }
    }

    /// Empty only while [`Condvar::wait_until`] has it.
    pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    const HELD: &str = "only a wait lets go of it, and takes it again";

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.0.as_ref().expect(HELD)
        }
    }
    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect(HELD)
        }
    }

    #[derive(Default)]
    pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
            self.0.read().expect(POISONED)
        }
        pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
            self.0.write().expect(POISONED)
        }
    }

    pub(crate) struct Condvar(shuttle::sync::Condvar);

    pub(crate) struct NeverTimedOut;

    impl NeverTimedOut {
        pub(crate) fn timed_out(&self) -> bool {
            false
        }
    }

    impl Condvar {
        pub(crate) fn new() -> Condvar {
            Condvar(shuttle::sync::Condvar::new())
        }
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> NeverTimedOut {
            let held = guard.0.take().expect(HELD);
            guard.0 = Some(self.0.wait(held).expect(POISONED));
            NeverTimedOut
        }
    }
}

pub(crate) use chosen::*;
