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
//! | [`SYNC`] | the one sync of the data file that runs |
//! | [`CHAIN`] | the versions of one key; never two at once |
//! | [`LOG`] | the log buffer: commit order is decided here |
//! | [`ALLOC`] | free pages |
//! | [`REGISTRY`] | live snapshots, the current generation |
//! | [`CACHE`] | one shard of the page cache; the bulk loads that no fold has included |
//! | [`WAITERS`] | who waits for durability, what the background thread is asked for |
//!
//! The tree map is a plain `RwLock` that is only held for a look-up or an insertion, never across another lock.
//!
//! In builds for tests whoever takes part in a simulation's clock waits in virtual time (`virtual_time.rs`), here and nowhere else.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

#[cfg(any(test, feature = "testing"))]
use crate::virtual_time;

pub(crate) const ARCHIVE: u8 = 5;
pub(crate) const FOLD: u8 = 10;
pub(crate) const FLUSH: u8 = 20;
pub(crate) const GROW: u8 = 30;
pub(crate) const SYNC: u8 = 35;
pub(crate) const CHAIN: u8 = 40;
pub(crate) const LOG: u8 = 50;
pub(crate) const ALLOC: u8 = 60;
pub(crate) const REGISTRY: u8 = 70;
pub(crate) const CACHE: u8 = 80;
pub(crate) const WAITERS: u8 = 90;

pub(crate) struct Mutex<const RANK: u8, T>(parking_lot::Mutex<T>);

pub(crate) struct MutexGuard<'a, const RANK: u8, T> {
    // Declared first: the mutex is released before anybody is told, and before the rank is.
    guard: parking_lot::MutexGuard<'a, T>,
    #[cfg(any(test, feature = "testing"))]
    _released: Released,
    _rank: Held,
}

impl<const RANK: u8, T> Mutex<RANK, T> {
    pub fn new(value: T) -> Self {
        Mutex(parking_lot::Mutex::new(value))
    }

    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, RANK, T> {
        let rank = Held::take(RANK);
        #[cfg(any(test, feature = "testing"))]
        if virtual_time::takes_part() {
            virtual_time::preempt();
            wait_until_free(&self.0);
        }
        MutexGuard {
            guard: self.0.lock(),
            #[cfg(any(test, feature = "testing"))]
            _released: Released(address(&self.0)),
            _rank: rank,
        }
    }
}

impl<const RANK: u8, T> MutexGuard<'_, RANK, T> {
    pub fn wait(&mut self, condition: &Condvar) {
        #[cfg(any(test, feature = "testing"))]
        if virtual_time::takes_part() {
            self.wait_virtually(condition, None);
            return;
        }
        condition.0.wait(&mut self.guard);
    }

    /// Returns whether the time ran out.
    pub fn wait_for(&mut self, condition: &Condvar, timeout: Duration) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if virtual_time::takes_part() {
            return !self.wait_virtually(condition, Some(timeout));
        }
        condition.0.wait_for(&mut self.guard, timeout).timed_out()
    }

    #[cfg(any(test, feature = "testing"))]
    fn wait_virtually(&mut self, condition: &Condvar, timeout: Option<Duration>) -> bool {
        let mutex = parking_lot::MutexGuard::mutex(&self.guard);
        parking_lot::MutexGuard::unlocked(&mut self.guard, || {
            virtual_time::notify(address(mutex));
            let notified = virtual_time::wait(address(condition), timeout);
            wait_until_free(mutex);
            notified
        })
    }
}

/// Of one participant at a time that runs, nobody can take it before the caller does.
#[cfg(any(test, feature = "testing"))]
fn wait_until_free<T>(mutex: &parking_lot::Mutex<T>) {
    while mutex.is_locked() {
        virtual_time::wait(address(mutex), None);
    }
}

#[cfg(any(test, feature = "testing"))]
fn address<T>(of: &T) -> usize {
    std::ptr::from_ref(of).addr()
}

#[cfg(any(test, feature = "testing"))]
struct Released(usize);

#[cfg(any(test, feature = "testing"))]
impl Drop for Released {
    fn drop(&mut self) {
        virtual_time::notify(self.0);
    }
}

pub(crate) struct Condvar(parking_lot::Condvar);

impl Condvar {
    pub const fn new() -> Condvar {
        Condvar(parking_lot::Condvar::new())
    }

    pub fn notify_one(&self) {
        self.0.notify_one();
        #[cfg(any(test, feature = "testing"))]
        virtual_time::notify(address(self));
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
        #[cfg(any(test, feature = "testing"))]
        virtual_time::notify(address(self));
    }
}

impl Default for Condvar {
    fn default() -> Condvar {
        Condvar::new()
    }
}

/// A thread that its starter waits for.
pub(crate) struct Thread {
    handle: std::thread::JoinHandle<()>,
    #[cfg(any(test, feature = "testing"))]
    ending: Option<virtual_time::Ending>,
}

impl Thread {
    pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        let builder = std::thread::Builder::new().name(name.to_owned());
        #[cfg(any(test, feature = "testing"))]
        let work = {
            let planted = crate::mutation::inherited();
            move || {
                crate::mutation::plant(planted);
                work();
            }
        };
        #[cfg(any(test, feature = "testing"))]
        if let Some((place, ending)) = virtual_time::reserve() {
            let handle = place.start(builder, work)?;
            return Ok(Thread { handle, ending: Some(ending) });
        }
        Ok(Thread {
            handle: builder.spawn(work)?,
            #[cfg(any(test, feature = "testing"))]
            ending: None,
        })
    }

    pub fn join(self) -> std::thread::Result<()> {
        #[cfg(any(test, feature = "testing"))]
        self.ending.iter().for_each(virtual_time::Ending::wait);
        self.handle.join()
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
