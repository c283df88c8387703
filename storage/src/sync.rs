//! Mutexes with a rank. A thread may only take a mutex of a higher rank than every one it already holds, so that
//! no two threads can wait for each other; debug builds panic where the rule is broken, release builds pay nothing.
//!
//! The ladder of this crate, from the outermost to the innermost:
//!
//! | rank | protects |
//! | --- | --- |
//! | [`ARCHIVE`] | the one pass of the archiver that runs |
//! | [`FOLD`] | the one fold or trim that runs |
//! | [`FLUSH`] | the one log write that runs |
//! | [`GROW`] | creating log segments ahead of need |
//! | [`CHAIN`] | the versions of one key; never two at once |
//! | [`LOG`] | the log buffer: commit order is decided here |
//! | [`ALLOC`] | free pages |
//! | [`REGISTRY`] | live snapshots, the current generation |
//! | [`CACHE`] | one shard of the page cache; the bulk loads that no fold has included |
//! | [`WAITERS`] | who waits for durability, what the background thread is asked for |
//!
//! The tree map is a plain `RwLock` that is only held for a look-up or an insertion, never across another lock.

use std::ops::{Deref, DerefMut};

pub(crate) const ARCHIVE: u8 = 5;
pub(crate) const FOLD: u8 = 10;
pub(crate) const FLUSH: u8 = 20;
pub(crate) const GROW: u8 = 30;
pub(crate) const CHAIN: u8 = 40;
pub(crate) const LOG: u8 = 50;
pub(crate) const ALLOC: u8 = 60;
pub(crate) const REGISTRY: u8 = 70;
pub(crate) const CACHE: u8 = 80;
pub(crate) const WAITERS: u8 = 90;

pub(crate) struct Mutex<const RANK: u8, T>(parking_lot::Mutex<T>);

pub(crate) struct MutexGuard<'a, const RANK: u8, T> {
    // Declared first: the mutex is released before the rank is.
    guard: parking_lot::MutexGuard<'a, T>,
    _rank: Held,
}

impl<const RANK: u8, T> Mutex<RANK, T> {
    pub fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, RANK, T> {
        let rank = Held::take(RANK);
        MutexGuard { guard: self.0.lock(), _rank: rank }
    }
}

impl<const RANK: u8, T> MutexGuard<'_, RANK, T> {
    pub fn wait(&mut self, condition: &parking_lot::Condvar) {
        condition.wait(&mut self.guard);
    }

    /// Returns whether the time ran out.
    pub fn wait_for(&mut self, condition: &parking_lot::Condvar, timeout: std::time::Duration) -> bool {
        condition.wait_for(&mut self.guard, timeout).timed_out()
    }
}

impl<const RANK: u8, T> Deref for MutexGuard<'_, RANK, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<const RANK: u8, T> DerefMut for MutexGuard<'_, RANK, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

#[cfg(debug_assertions)]
thread_local! {
    /// A bit for each rank that this thread holds.
    static HELD: std::cell::Cell<u128> = const { std::cell::Cell::new(0) };
}

#[cfg(debug_assertions)]
struct Held(u8);

#[cfg(debug_assertions)]
impl Held {
    fn take(rank: u8) -> Held {
        HELD.with(|held| {
            let mask = held.get();
            assert!(mask >> rank == 0, "lock order: rank {rank} taken while holding ranks {mask:#b}");
            held.set(mask | 1 << rank);
        });
        Held(rank)
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        HELD.with(|held| held.set(held.get() & !(1 << self.0)));
    }
}

#[cfg(not(debug_assertions))]
struct Held;

#[cfg(not(debug_assertions))]
impl Held {
    #[inline(always)]
    fn take(_rank: u8) -> Held {
        Held
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "lock order")]
    fn taking_a_lower_rank_panics() {
        let (outer, inner) = (Mutex::<FOLD, ()>::new(()), Mutex::<CACHE, ()>::new(()));
        let _inner = inner.lock();
        let _outer = outer.lock();
    }

    #[test]
    fn ranks_are_given_back() {
        let (outer, inner) = (Mutex::<FOLD, ()>::new(()), Mutex::<CACHE, ()>::new(()));
        for _ in 0..2 {
            let _outer = outer.lock();
            let _inner = inner.lock();
        }
    }
}
