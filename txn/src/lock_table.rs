//! The one lock table: relations, keys, key ranges, advisory locks and the serial token.
//!
//! # Problem
//!
//! Everything that waits must wait in one place, or deadlocks between kinds of locks go unseen. Yet the common write
//! (a row nobody else wants) must cost next to nothing, and one hot row with many writers must wake them one at a
//! time.
//!
//! # Idea
//!
//! An object has a queue: holders, then waiters in order of arrival. Objects hash to shards; everything about one
//! object happens under its shard's mutex. A version in progress on a key's chain is an *implicit* lock (InnoDB's
//! trick): its writer registers nothing here. Only a transaction that runs into such a version registers a lock *on
//! the writer's behalf* (materialises it) and queues behind it, so that the explicit queue decides from then on:
//!
//! ```text
//!   T1 installs k        (no entry)                      chain(k): [T1 in progress]
//!   T2 meets T1's version: entry k  holders {T1 X}       waiters [T2 X]
//!   T3 … T32 arrive:       entry k  holders {T1 X}       waiters [T2 X, T3 X, …, T32 X]
//!   T1 commits:            entry k  holders {T2 X}       waiters [T3 X, …, T32 X]      wakes T2 alone
//! ```
//!
//! # Rules
//!
//! 1. A request is granted when it conflicts neither with a holder nor with an earlier waiter of another session. Row locks of
//!    snapshot transactions look at the holders only, as in PostgreSQL, where a row knows of no queue: FOR SHARE
//!    passes a waiting FOR UPDATE, and so foreign keys' checks do not queue behind one who wants to delete. 2PL's
//!    read locks are many and long; there a writer would starve, so they queue.
//! 2. Upgrades first: a request of an owner that already holds the object looks at the holders only, and queues
//!    before requests that are not upgrades. A waiter whose implicit lock is materialised becomes an upgrade.
//! 3. A writer checks the key's queue and installs its version under the key's shard mutex. So whoever was granted an
//!    explicit lock sees every conflicting implicit lock by looking at the chain *after* the grant, and a later writer
//!    sees the explicit lock.
//! 4. A lock is materialised under the shard mutex and the writer's lock list, if that writer has not finished;
//!    afterwards the chain is looked at again, still under the shard mutex: a version popped meanwhile (savepoint
//!    rollback) takes the materialised lock with it. The writer, after popping versions, re-examines the locks
//!    materialised on its behalf. One of the two always sees the other.
//! 5. An owner that ends sets `finished` under its lock list first, then gives up its locks one by one; each release
//!    grants the next waiters.
//! 6. A deadlock check runs when a wait starts, and again every `deadlock_timeout` (`waits_for.rs`). Edges come into being with a wait of
//!    the owner that they lead to or from, so whose wait closes a cycle finds it; but for one kind: an implicit lock that is materialised for a writer
//!    which waits elsewhere leads there from all who were waiting for the key. Those check once more.
//! 7. A writer that waits for a range shuts a *gate* at its key: an object that it holds until its version is installed. Who asks later for
//!    a range over the key waits at the gate, and so behind the writer, as in a key's queue; otherwise readers that overlap each other
//!    could keep a writer out for ever. Two exceptions, as in rule 2: who holds a range over the key already is what the writer waits for,
//!    and passes; and a gate in a cycle is opened, for it is there for fairness' sake alone.
//!
//! # Lock order
//!
//! Shard mutex → chain mutex (in storage) → registry shard → an owner's lock list → a session's wait slot. At most
//! one shard at a time. The detector's mutex comes before all of them.
//!
//! # Deviations
//!
//! PostgreSQL keeps row locks in tuple headers, so it never runs out of them; here each explicit row lock costs
//! memory until the row is written (the lock is then implied by the version and dropped) or the transaction ends.
//! [`EXPLICIT_LOCKS_MAX`] bounds them (53200 above it).

use crate::conflict::{ConflictKind, ConflictLog};
use crate::key_ranges::KeyRanges;
use crate::lock_mode::{LockMode, ModeSet};
use crate::session::{Left, Patience, SessionHandle, Waiting, Woken};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, HashBuilder, Mutex, MutexGuard};
use crate::{Conflict, Error, LockInfo, Result, WaitPolicy};
use hashbrown::HashTable;
use serin_storage::{Blocking, TreeId};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

const SHARDS: usize = 64;
/// Granted explicit locks over all transactions; about 200 bytes each.
pub(crate) const EXPLICIT_LOCKS_MAX: usize = 2 << 20;

/// What is locked. Keys are shared between the table and the owners' lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LockObject {
    Relation(u32),
    Key(TreeId, Arc<[u8]>),
    Range(TreeId, u64),
    Advisory(u32, u32, u16),
    SerialToken,
}

/// [`LockObject`] without the allocation, for looking things up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ObjectRef<'a> {
    Relation(u32),
    Key(TreeId, &'a [u8]),
    Range(TreeId, u64),
    Advisory(u32, u32, u16),
    SerialToken,
}

impl LockObject {
    pub(crate) fn as_ref(&self) -> ObjectRef<'_> {
        match self {
            LockObject::Relation(oid) => ObjectRef::Relation(*oid),
            LockObject::Key(tree, key) => ObjectRef::Key(*tree, key),
            LockObject::Range(tree, id) => ObjectRef::Range(*tree, *id),
            LockObject::Advisory(a, b, c) => ObjectRef::Advisory(*a, *b, *c),
            LockObject::SerialToken => ObjectRef::SerialToken,
        }
    }
    pub(crate) fn describe_ref(object: ObjectRef<'_>) -> String {
        object.to_owned().describe()
    }
    /// For `LockNotAvailable`; `sql` replaces it where it knows names.
    pub(crate) fn describe(&self) -> String {
        match self {
            LockObject::Relation(oid) => format!("relation {oid}"),
            LockObject::Key(tree, _) => format!("row in tree {tree}"),
            LockObject::Range(tree, _) => format!("key range in tree {tree}"),
            LockObject::Advisory(..) => "advisory lock".to_owned(),
            LockObject::SerialToken => "serial token".to_owned(),
        }
    }
    fn wait_event(&self) -> (&'static str, &'static str) {
        match self {
            LockObject::Relation(_) => ("Lock", "relation"),
            LockObject::Key(..) => ("Lock", "tuple"),
            LockObject::Range(..) => ("Lock", "keyrange"),
            LockObject::Advisory(..) => ("Lock", "advisory"),
            LockObject::SerialToken => ("Lock", "serialtoken"),
        }
    }
}

impl ObjectRef<'_> {
    pub(crate) fn to_owned(self) -> LockObject {
        match self {
            ObjectRef::Relation(oid) => LockObject::Relation(oid),
            ObjectRef::Key(tree, key) => LockObject::Key(tree, key.into()),
            ObjectRef::Range(tree, id) => LockObject::Range(tree, id),
            ObjectRef::Advisory(a, b, c) => LockObject::Advisory(a, b, c),
            ObjectRef::SerialToken => LockObject::SerialToken,
        }
    }
}

/// Who locks: a transaction, or a session for its session-scope advisory locks.
pub(crate) struct Owner {
    pub(crate) session: Arc<SessionHandle>,
    /// The transaction's id once it has one; 0 before.
    pub(crate) transaction: AtomicU64,
    /// Passed the serial gate without registering in the table (`serial.rs`). Guarded by the registry's shard.
    pub(crate) gate_fast: AtomicBool,
    /// Milliseconds on [`LockTable::clock_ms`] since which the owner, holding the serial token, idles; 0: it doesn't.
    pub(crate) idle_since_ms: AtomicU64,
    /// The transaction must end: it held the serial token while idle.
    pub(crate) doomed: AtomicBool,
    /// Rule 1's exception for row locks.
    overtakes: bool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    finished: bool,
    /// Finished because its locks went to another: the transaction was prepared.
    heir: Option<Arc<Owner>>,
    /// In order of acquisition. `None`: given up early; kept in place because savepoints remember positions.
    locks: Vec<Option<HeldLock>>,
    /// No lock below this position may be dropped early: the position of the newest savepoint.
    floor: usize,
    /// Where the last early drop happened. A statement that locks a batch and then writes it drops from the same
    /// position again and again.
    hint: usize,
    /// Locks that others registered for versions of ours.
    materialised: Vec<HeldLock>,
}

#[derive(Clone)]
pub(crate) struct HeldLock {
    pub(crate) hash: u64,
    pub(crate) object: LockObject,
    pub(crate) mode: LockMode,
}

impl Owner {
    pub(crate) fn new(session: Arc<SessionHandle>, overtakes: bool) -> Arc<Owner> {
        Arc::new(Owner {
            overtakes,
            session,
            transaction: AtomicU64::new(0),
            gate_fast: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
            doomed: AtomicBool::new(false),
            held: Mutex::new(Held::default()),
        })
    }
    pub(crate) fn id(&self) -> Option<u64> {
        Some(self.transaction.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }
    /// The position that a savepoint remembers; locks below it survive a rollback to it.
    pub(crate) fn position(&self) -> usize {
        self.held.lock().locks.len()
    }
    pub(crate) fn set_floor(&self, floor: usize) {
        self.held.lock().floor = floor;
    }
    /// The read locks to remember as SIREADs when a 2PL transaction commits.
    pub(crate) fn held_locks(&self) -> Vec<HeldLock> {
        self.held.lock().locks.iter().flatten().cloned().collect()
    }
}

pub(crate) struct Holder {
    pub(crate) owner: Arc<Owner>,
    pub(crate) modes: ModeSet,
}

pub(crate) struct Waiter {
    pub(crate) owner: Arc<Owner>,
    pub(crate) mode: LockMode,
    pub(crate) ticket: u64,
    upgrade: bool,
}

/// The queue of one object.
pub(crate) struct Queue {
    hash: u64,
    pub(crate) object: LockObject,
    pub(crate) holders: SmallVec<[Holder; 2]>,
    pub(crate) waiters: VecDeque<Waiter>,
}

impl Queue {
    fn held_by(&self, owner: &Arc<Owner>) -> ModeSet {
        self.holders.iter().find(|h| Arc::ptr_eq(&h.owner, owner)).map_or(ModeSet::EMPTY, |h| h.modes)
    }
    fn conflicts_with_holder(&self, session: u64, mode: LockMode) -> bool {
        self.holders.iter().any(|h| h.owner.session.id != session && h.modes.conflicts_with(mode))
    }
    fn conflicts_with_waiter(&self, session: u64, mode: LockMode) -> bool {
        self.waiters
            .iter()
            .any(|w| w.owner.session.id != session && ModeSet::from(w.mode).conflicts_with(mode))
    }
    /// Rules 1 and 2.
    fn grantable(&self, owner: &Arc<Owner>, mode: LockMode) -> bool {
        let session = owner.session.id;
        !self.conflicts_with_holder(session, mode)
            && (!self.held_by(owner).is_empty()
                || owner.overtakes && matches!(self.object, LockObject::Key(..))
                || !self.conflicts_with_waiter(session, mode))
    }
    fn add_holder(&mut self, owner: &Arc<Owner>, mode: LockMode) {
        match self.holders.iter_mut().find(|h| Arc::ptr_eq(&h.owner, owner)) {
            Some(holder) => holder.modes.insert(mode),
            None => self.holders.push(Holder { owner: owner.clone(), modes: mode.into() }),
        }
    }
    fn remove_holder(&mut self, owner: &Arc<Owner>, mode: LockMode) {
        if let Some(i) = self.holders.iter().position(|h| Arc::ptr_eq(&h.owner, owner)) {
            self.holders[i].modes.remove(mode);
            if self.holders[i].modes.is_empty() {
                self.holders.remove(i);
            }
        }
    }
    fn change_holder(&mut self, from: &Arc<Owner>, to: &Arc<Owner>) {
        let Some(i) = self.holders.iter().position(|h| Arc::ptr_eq(&h.owner, from)) else { return };
        let modes = self.holders.remove(i).modes;
        modes.iter().for_each(|mode| self.add_holder(to, mode));
    }
    /// The writer turned out to hold the object already: if it also waits for it, that is an upgrade. (It asked between
    /// another's explicit grant and that one's look at the chain. Left behind that one, the two would wait for each
    /// other.)
    fn promote(&mut self, writer: &Arc<Owner>) {
        let Some(i) = self.waiters.iter().position(|w| Arc::ptr_eq(&w.owner, writer) && !w.upgrade) else {
            return;
        };
        let mut waiter = self.waiters.remove(i).expect("found at this position");
        waiter.upgrade = true;
        let position = self.waiters.iter().take_while(|w| w.upgrade).count();
        self.waiters.insert(position, waiter);
    }
    /// Rule 1 for the queue: hands the lock to every waiter that nothing ahead of it excludes.
    fn grant_waiters(&mut self) {
        let mut ahead = ModeSet::EMPTY;
        let mut i = 0;
        while i < self.waiters.len() {
            let waiter = &self.waiters[i];
            if ahead.conflicts_with(waiter.mode)
                || self.conflicts_with_holder(waiter.owner.session.id, waiter.mode)
            {
                ahead.insert(waiter.mode);
                i += 1;
                continue;
            }
            let waiter = self.waiters.remove(i).expect("i is below the length");
            self.add_holder(&waiter.owner, waiter.mode);
            waiter.owner.held.lock().locks.push(Some(HeldLock {
                hash: self.hash,
                object: self.object.clone(),
                mode: waiter.mode,
            }));
            waiter.owner.session.stop_waiting();
        }
    }
}

/// The objects of one shard.
#[derive(Default)]
pub(crate) struct Shard(HashTable<Queue>);

impl Shard {
    pub(crate) fn queue(&self, hash: u64, object: ObjectRef<'_>) -> Option<&Queue> {
        self.0.find(hash, |queue| queue.object.as_ref() == object)
    }
    fn queue_mut(&mut self, hash: u64, object: ObjectRef<'_>) -> Option<&mut Queue> {
        self.0.find_mut(hash, |queue| queue.object.as_ref() == object)
    }
    fn queue_or_insert(&mut self, hash: u64, object: ObjectRef<'_>) -> &mut Queue {
        self.0
            .entry(hash, |queue| queue.object.as_ref() == object, |queue| queue.hash)
            .or_insert_with(|| Queue {
                hash,
                object: object.to_owned(),
                holders: SmallVec::new(),
                waiters: VecDeque::new(),
            })
            .into_mut()
    }
    fn remove_if_unused(&mut self, hash: u64, object: ObjectRef<'_>) {
        if let Ok(entry) = self.0.find_entry(hash, |queue| queue.object.as_ref() == object)
            && entry.get().holders.is_empty()
            && entry.get().waiters.is_empty()
        {
            entry.remove();
        }
    }
}

pub(crate) enum Requested {
    /// Held before, at this or a stronger mode.
    Held,
    Granted,
    Queued(u64),
    /// It would have to wait, and `WaitPolicy` forbids it.
    Refused,
}

/// What [`LockTable::acquire`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Acquired {
    Before,
    Now,
    /// Only for `NoWait` and `SkipLocked`.
    Refused,
    /// Only for `Queue`: not yet.
    Queued,
}

/// Where a request joins the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Back,
    /// Before all requests that are not upgrades: it held the lock a moment ago and gave way (rule 3).
    Front,
}

/// Who holds a key range, and whether to write in it: two that mean to write exclude each other from the start, for both would
/// only read it and then wait for each other.
#[derive(Clone)]
pub(crate) struct RangeReader {
    pub(crate) owner: Arc<Owner>,
    pub(crate) updates: bool,
    /// Claimed for a chunk of a run (`run.rs`): nobody who has read anything there.
    pub(crate) loads: bool,
}

/// A request that stands in a lock's queue.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) owner: &'a Arc<Owner>,
    pub(crate) hash: u64,
    pub(crate) object: ObjectRef<'a>,
    pub(crate) ticket: u64,
}

pub(crate) struct LockTable {
    shards: Box<[Mutex<Shard>]>,
    /// By shard: how many versions of its keys were installed. Changes under the shard's mutex.
    installs: Box<[AtomicU64]>,
    hasher: HashBuilder,
    explicit_count: AtomicUsize,
    next_ticket: AtomicU64,
    /// Shared key ranges of 2PL transactions, by tree.
    pub(crate) ranges: KeyRanges<RangeReader>,
    /// Keys whose writers wait for ranges to go: rule 7.
    pub(crate) gates: KeyRanges<Arc<Owner>>,
    pub(crate) blocking: Arc<dyn Blocking>,
    pub(crate) detector: Mutex<()>,
    pub(crate) conflicts: Arc<ConflictLog>,
    started: Instant,
    pub(crate) wait_count: AtomicU64,
    pub(crate) deadlock_count: AtomicU64,
}

impl LockTable {
    pub(crate) fn new(blocking: Arc<dyn Blocking>, conflicts: Arc<ConflictLog>) -> LockTable {
        LockTable {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            installs: (0..SHARDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: HashBuilder::default(),
            explicit_count: AtomicUsize::new(0),
            next_ticket: AtomicU64::new(1),
            ranges: KeyRanges::default(),
            gates: KeyRanges::default(),
            blocking,
            detector: Mutex::new(()),
            conflicts,
            started: Instant::now(),
            wait_count: AtomicU64::new(0),
            deadlock_count: AtomicU64::new(0),
        }
    }

    pub(crate) fn hash(&self, object: ObjectRef<'_>) -> u64 {
        self.hasher.hash_one(object)
    }
    pub(crate) fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // Bits that the hash tables inside the shards use little.
        self.shards[(hash >> 48) as usize % SHARDS].lock()
    }
    /// What a key's state was judged by outside the mutex still holds inside it if this number has not changed.
    pub(crate) fn installs(&self, hash: u64) -> u64 {
        self.installs[(hash >> 48) as usize % SHARDS].load(Ordering::Acquire)
    }
    /// Under the shard's mutex.
    pub(crate) fn installed(&self, hash: u64) {
        self.installs[(hash >> 48) as usize % SHARDS].fetch_add(1, Ordering::Release);
    }
    pub(crate) fn clock_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64 + 1
    }

    /// Asks for a lock without waiting: held, granted or queued.
    pub(crate) fn request(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        owner: &Arc<Owner>,
        mode: LockMode,
        policy: WaitPolicy,
    ) -> Result<Requested> {
        if let Some(queue) = shard.queue(hash, object) {
            if queue.held_by(owner).covers(mode) {
                return Ok(Requested::Held);
            }
            if !queue.grantable(owner, mode) {
                if policy.refuses() {
                    return Ok(Requested::Refused);
                }
                return Ok(Requested::Queued(self.enqueue(shard, hash, object, owner, mode, Place::Back)));
            }
        }
        if self.explicit_count.fetch_add(1, Ordering::Relaxed) >= EXPLICIT_LOCKS_MAX {
            self.explicit_count.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::OutOfLocks);
        }
        let queue = shard.queue_or_insert(hash, object);
        queue.add_holder(owner, mode);
        owner.held.lock().locks.push(Some(HeldLock { hash, object: queue.object.clone(), mode }));
        Ok(Requested::Granted)
    }

    #[allow(clippy::too_many_arguments)]
    fn enqueue(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        owner: &Arc<Owner>,
        mode: LockMode,
        place: Place,
    ) -> u64 {
        let ticket = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        // Counted as a lock from here: the grant happens on another's thread, which can't refuse it.
        self.explicit_count.fetch_add(1, Ordering::Relaxed);
        let queue = shard.queue_or_insert(hash, object);
        let upgrade = !queue.held_by(owner).is_empty();
        let position = match (upgrade, place) {
            (false, Place::Back) => queue.waiters.len(),
            _ => queue.waiters.iter().take_while(|w| w.upgrade).count(),
        };
        queue.waiters.insert(position, Waiter { owner: owner.clone(), mode, ticket, upgrade });
        let object = queue.object.clone();
        owner.session.start_waiting(Waiting { hash, object, mode, ticket });
        ticket
    }

    /// Takes a lock, waiting as `policy` allows.
    pub(crate) fn acquire(
        &self,
        owner: &Arc<Owner>,
        object: ObjectRef<'_>,
        mode: LockMode,
        policy: WaitPolicy,
    ) -> Result<Acquired> {
        let hash = self.hash(object);
        let requested = self.request(&mut self.shard(hash), hash, object, owner, mode, policy)?;
        match requested {
            Requested::Held => Ok(Acquired::Before),
            Requested::Granted => Ok(Acquired::Now),
            Requested::Refused => Ok(Acquired::Refused),
            Requested::Queued(ticket) => self.await_grant(Request { owner, hash, object, ticket }, policy),
        }
    }

    /// Rule 4: registers the implicit lock of `writer`. False: it has finished, so look at the chain again.
    pub(crate) fn materialise(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        writer: &Arc<Owner>,
        mode: LockMode,
    ) -> bool {
        let mut held = writer.held.lock();
        if held.finished {
            let Some(heir) = held.heir.clone() else { return false };
            drop(held);
            return self.materialise(shard, hash, object, &heir, mode);
        }
        let queue = shard.queue_or_insert(hash, object);
        if !queue.held_by(writer).covers(mode) {
            queue.add_holder(writer, mode);
            queue.promote(writer);
            if writer.session.waiting().is_some() {
                for waiter in queue.waiters.iter().filter(|waiter| !Arc::ptr_eq(&waiter.owner, writer)) {
                    waiter.owner.session.suspect_deadlock();
                }
            }
            self.explicit_count.fetch_add(1, Ordering::Relaxed);
            held.materialised.push(HeldLock { hash, object: queue.object.clone(), mode });
        }
        true
    }

    /// Takes a materialised lock off again: the version it stood for is gone.
    pub(crate) fn unmaterialise(&self, shard: &mut Shard, lock: &HeldLock, writer: &Arc<Owner>) {
        let mut held = writer.held.lock();
        let same = |other: &HeldLock| other.object == lock.object && other.mode == lock.mode;
        let Some(i) = held.materialised.iter().position(same) else { return };
        held.materialised.swap_remove(i);
        // Held explicitly in the same mode as well? Then the holder's bit stands for that lock.
        let explicit = held.locks.iter().flatten().any(same);
        drop(held);
        self.explicit_count.fetch_sub(1, Ordering::Relaxed);
        if !explicit {
            self.drop_holder(shard, lock.hash, lock.object.as_ref(), writer, lock.mode);
        }
    }

    pub(crate) fn materialised_locks(&self, owner: &Arc<Owner>) -> Vec<HeldLock> {
        owner.held.lock().materialised.clone()
    }

    fn drop_holder(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        owner: &Arc<Owner>,
        mode: LockMode,
    ) {
        if let Some(queue) = shard.queue_mut(hash, object) {
            queue.remove_holder(owner, mode);
            queue.grant_waiters();
        }
        shard.remove_if_unused(hash, object);
    }

    /// Rule 3's back-out: the caller was granted `mode` a moment ago, found `writer`'s version in progress and now
    /// queues before everyone who is not upgrading.
    pub(crate) fn give_way(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        owner: &Arc<Owner>,
        mode: LockMode,
    ) -> u64 {
        let ticket = self.enqueue(shard, hash, object, owner, mode, Place::Front);
        self.forget(owner, object, mode);
        let queue = shard.queue_mut(hash, object).expect("the request was queued just now");
        queue.remove_holder(owner, mode);
        queue.grant_waiters();
        ticket
    }

    /// A writer ran into a version in progress, now materialised: behind it, giving way if it held the lock itself.
    pub(crate) fn queue_behind(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        owner: &Arc<Owner>,
        mode: LockMode,
    ) -> u64 {
        let held = shard.queue(hash, object).map_or(ModeSet::EMPTY, |queue| queue.held_by(owner));
        if held.contains(mode) {
            return self.give_way(shard, hash, object, owner, mode);
        }
        self.enqueue(shard, hash, object, owner, mode, Place::Back)
    }

    /// Removes the newest entry for the lock from the owner's list.
    fn forget(&self, owner: &Arc<Owner>, object: ObjectRef<'_>, mode: LockMode) {
        let mut held = owner.held.lock();
        let newest = held
            .locks
            .iter()
            .rposition(|l| l.as_ref().is_some_and(|l| l.mode == mode && l.object.as_ref() == object));
        if let Some(i) = newest {
            held.remove(i);
            self.explicit_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives up one lock before the transaction ends.
    pub(crate) fn release(&self, owner: &Arc<Owner>, object: ObjectRef<'_>, mode: LockMode) {
        let hash = self.hash(object);
        self.forget(owner, object, mode);
        self.drop_holder(&mut self.shard(hash), hash, object, owner, mode);
    }

    /// After `owner` installed a version of the key with strength `implied`: its explicit locks on the key say no
    /// more than the version does, so drop them unless someone waits or a savepoint lies between.
    pub(crate) fn drop_implied(
        &self,
        shard: &mut Shard,
        hash: u64,
        object: ObjectRef<'_>,
        owner: &Arc<Owner>,
        implied: LockMode,
    ) {
        let Some(queue) = shard.queue(hash, object) else { return };
        if !queue.waiters.is_empty() {
            return;
        }
        let modes = queue.held_by(owner);
        if modes.is_empty() || modes.iter().any(|mode| !ModeSet::from(implied).covers(mode)) {
            return;
        }
        let mut held = owner.held.lock();
        if !held.materialised.is_empty() || modes.iter().count() != 1 {
            return;
        }
        let Some(i) = held.find_droppable(object) else { return };
        let mode = held.locks[i].as_ref().expect("found just now").mode;
        held.remove(i);
        held.hint = i;
        drop(held);
        self.explicit_count.fetch_sub(1, Ordering::Relaxed);
        self.drop_holder(shard, hash, object, owner, mode);
    }

    /// Releases what `owner` acquired from `position` on (rollback to a savepoint), newest first. The serial token
    /// belongs to the transaction as a whole and stays.
    pub(crate) fn release_from(&self, owner: &Arc<Owner>, position: usize) {
        self.abandon(owner);
        let locks = {
            let mut held = owner.held.lock();
            let from = position.min(held.locks.len());
            let mut locks = held.locks.split_off(from);
            let token =
                locks.iter_mut().find(|l| l.as_ref().is_some_and(|l| l.object == LockObject::SerialToken));
            let token = token.and_then(Option::take);
            held.locks.extend(token.map(Some));
            locks
        };
        for lock in locks.into_iter().flatten().rev() {
            self.release_held(owner, &lock);
        }
    }

    /// Rule 5. The transaction is over: everything goes, and nothing more can be materialised for it.
    pub(crate) fn finish(&self, owner: &Arc<Owner>) {
        self.abandon(owner);
        let (locks, materialised) = {
            let mut held = owner.held.lock();
            held.finished = true;
            (std::mem::take(&mut held.locks), std::mem::take(&mut held.materialised))
        };
        for lock in materialised.iter().chain(locks.iter().flatten()) {
            self.release_held(owner, lock);
        }
    }

    /// Everything that `owner` holds goes to a new owner, of another session. Nobody else gets a lock in between: holders change
    /// places under their queues' mutexes. What is materialised for `owner` from now on is the heir's.
    pub(crate) fn hand_over(&self, owner: &Arc<Owner>, session: Arc<SessionHandle>) -> Arc<Owner> {
        let heir = Owner::new(session, owner.overtakes);
        heir.transaction.store(owner.transaction.load(Ordering::Relaxed), Ordering::Relaxed);
        heir.gate_fast.store(owner.gate_fast.load(Ordering::Relaxed), Ordering::Relaxed);
        let locks = {
            let mut held = owner.held.lock();
            let mut inherited = heir.held.lock();
            inherited.locks = std::mem::take(&mut held.locks);
            inherited.materialised = std::mem::take(&mut held.materialised);
            held.finished = true;
            held.heir = Some(heir.clone());
            inherited.locks.iter().flatten().chain(&inherited.materialised).cloned().collect::<Vec<_>>()
        };
        for lock in &locks {
            let mut shard = self.shard(lock.hash);
            if let Some(queue) = shard.queue_mut(lock.hash, lock.object.as_ref()) {
                queue.change_holder(owner, &heir);
            }
            drop(shard);
            if let LockObject::Range(tree, id) = &lock.object {
                self.ranges.change_reader(*tree, *id, |reader| {
                    if Arc::ptr_eq(&reader.owner, owner) {
                        reader.owner = heir.clone();
                    }
                });
            }
        }
        heir
    }

    fn release_held(&self, owner: &Arc<Owner>, lock: &HeldLock) {
        if let (LockObject::Range(tree, id), LockMode::Share) = (&lock.object, lock.mode) {
            self.ranges.remove(*tree, *id);
        }
        self.explicit_count.fetch_sub(1, Ordering::Relaxed);
        let mut shard = self.shard(lock.hash);
        self.drop_holder(&mut shard, lock.hash, lock.object.as_ref(), owner, lock.mode);
    }

    // ---- waiting ----

    /// Waits for a queued request: until it is granted, the session is interrupted, `lock_timeout`, or a deadlock of
    /// which this request is the last link. On an error the request is withdrawn. By `Queue` all of that but the first look for a
    /// deadlock is left to [`LockTable::poll_wait`].
    pub(crate) fn await_grant(&self, request: Request<'_>, policy: WaitPolicy) -> Result<Acquired> {
        self.wait_count.fetch_add(1, Ordering::Relaxed);
        self.check_deadlock(request)?;
        let session = &request.owner.session;
        let mut patience = Patience::begin(session);
        if policy == WaitPolicy::Queue {
            session.leave(Left::new(request, patience));
            return Ok(Acquired::Queued);
        }
        self.blocking.call(|| self.wait_blocked(request, &mut patience)).map(|()| Acquired::Now)
    }

    /// Looks after the request that the session has left in a queue, if any. None: it waits for nothing any more. Otherwise when to ask again,
    /// unless `waker` is woken before. On an error the request is withdrawn.
    pub(crate) fn poll_wait(&self, session: &SessionHandle, waker: &Waker) -> Result<Option<Instant>> {
        let Some(mut left) = session.take_left() else { return Ok(None) };
        loop {
            let (request, patience) = left.parts();
            let Some(wake_at) = self.look(request, patience)? else { return Ok(None) };
            match session.poll_grant(waker) {
                Poll::Ready(Woken::Granted) => return Ok(None),
                Poll::Ready(Woken::Look) => {}
                Poll::Pending => {
                    session.leave(left);
                    return Ok(Some(wake_at));
                }
            }
        }
    }

    /// The transaction, or its part since a savepoint, ends without having come back for the request it left.
    fn abandon(&self, owner: &Arc<Owner>) {
        if let Some(mut left) = owner.session.take_left() {
            // Granted meanwhile, it is among the locks that are released next.
            let _ = self.withdraw(left.parts().0, Error::Interrupted);
        }
    }

    fn wait_blocked(&self, request: Request<'_>, patience: &mut Patience) -> Result<()> {
        while let Some(wake_at) = self.look(request, patience)? {
            match request.owner.session.wait_for_grant(wake_at) {
                Woken::Granted => return Ok(()),
                Woken::Look => {}
            }
        }
        Ok(())
    }

    /// A waiter looks around: what of its own is due? When to look again; None if the lock was granted as it gave up.
    fn look(&self, request: Request<'_>, patience: &mut Patience) -> Result<Option<Instant>> {
        let session = &request.owner.session;
        let give_up = |error| self.withdraw(request, error).map(|()| None);
        if session.interrupted() {
            return give_up(Error::Interrupted);
        }
        let now = Instant::now();
        if patience.timeout_at.is_some_and(|at| now >= at) {
            return give_up(Error::LockTimeout);
        }
        if session.take_suspicion() || now >= patience.check_at {
            self.check_deadlock(request)?;
            patience.check_at = now + session.deadlock_timeout();
        }
        let mut wake_at = patience.timeout_at.map_or(patience.check_at, |at| at.min(patience.check_at));
        if request.object == ObjectRef::SerialToken
            && let Some(patience) = self.doom_idle_token_holder(request.hash)
        {
            wake_at = wake_at.min(now + patience);
        }
        Ok(Some(wake_at))
    }

    /// Leaves the queue with `error`, unless the lock was granted in the meantime.
    fn withdraw(&self, request: Request<'_>, error: Error) -> Result<()> {
        let Request { owner, hash, object, ticket } = request;
        let mut shard = self.shard(hash);
        let Some(queue) = shard.queue_mut(hash, object) else { return Ok(()) };
        let Some(i) = queue.waiters.iter().position(|w| w.ticket == ticket) else { return Ok(()) };
        queue.waiters.remove(i);
        owner.session.stop_waiting();
        self.explicit_count.fetch_sub(1, Ordering::Relaxed);
        // Who queued behind us may be free to go now.
        queue.grant_waiters();
        shard.remove_if_unused(hash, object);
        Err(error)
    }

    /// Moves a waiter before another of the same queue. Returns where it stood.
    pub(crate) fn overtake(&self, wait: &Waiting, blocker: u64) -> Option<usize> {
        let mut shard = self.shard(wait.hash);
        let queue = shard.queue_mut(wait.hash, wait.object.as_ref())?;
        let from = queue.waiters.iter().position(|w| w.ticket == wait.ticket)?;
        let to = queue.waiters.iter().position(|w| w.ticket == blocker).filter(|to| *to < from)?;
        let waiter = queue.waiters.remove(from)?;
        queue.waiters.insert(to, waiter);
        Some(from)
    }

    pub(crate) fn put_back(&self, wait: &Waiting, position: usize) {
        let mut shard = self.shard(wait.hash);
        let Some(queue) = shard.queue_mut(wait.hash, wait.object.as_ref()) else { return };
        let Some(at) = queue.waiters.iter().position(|w| w.ticket == wait.ticket) else { return };
        if let Some(waiter) = queue.waiters.remove(at) {
            queue.waiters.insert(position.min(queue.waiters.len()), waiter);
        }
    }

    pub(crate) fn grant_in_queue(&self, hash: u64, object: ObjectRef<'_>) {
        if let Some(queue) = self.shard(hash).queue_mut(hash, object) {
            queue.grant_waiters();
        }
    }

    /// Rule 6. The requester that closes a cycle which no change of order opens is the victim.
    fn check_deadlock(&self, request: Request<'_>) -> Result<()> {
        // One check at a time, and the victim leaves the queue before the next check: of two requests that close one
        // cycle together, one survives.
        let _detector = self.detector.lock();
        // The graph is read shard by shard while it moves; a second look confirms that the cycle stands.
        if self.find_cycle(request.owner).is_none() {
            return Ok(());
        }
        let Some(steps) = self.find_cycle(request.owner) else { return Ok(()) };
        if self.untangle(request.owner) {
            return Ok(());
        }
        let conflict = Conflict { kind: ConflictKind::Deadlock, steps };
        self.withdraw(request, Error::Deadlock(Box::new(conflict.clone()))).inspect_err(|_| {
            self.deadlock_count.fetch_add(1, Ordering::Relaxed);
            self.conflicts.push(conflict);
        })
    }

    /// A waiter for the serial token looks whether its holder went idle for too long; if so the holder is doomed and
    /// its session told to roll back (only it can). Returns how long to wait before looking again.
    fn doom_idle_token_holder(&self, hash: u64) -> Option<Duration> {
        let shard = self.shard(hash);
        let queue = shard.queue(hash, ObjectRef::SerialToken)?;
        let holder = queue.holders.iter().find(|h| h.modes.covers(LockMode::Exclusive))?.owner.clone();
        drop(shard);
        let limit = holder.session.serial_idle_timeout_ms();
        if limit == 0 {
            return None;
        }
        let idle_since = holder.idle_since_ms.load(Ordering::Acquire);
        if idle_since == 0 {
            return Some(Duration::from_millis(limit));
        }
        let idle = self.clock_ms().saturating_sub(idle_since);
        if idle < limit {
            return Some(Duration::from_millis(limit - idle));
        }
        if !holder.doomed.swap(true, Ordering::AcqRel) {
            holder.session.call_on_interrupt();
        }
        None
    }

    // ---- looking in ----

    pub(crate) fn for_each_queue(&self, mut visit: impl FnMut(&Queue)) {
        for shard in &self.shards {
            shard.lock().0.iter().for_each(&mut visit);
        }
    }

    pub(crate) fn infos(&self, infos: &mut Vec<LockInfo>) {
        self.for_each_queue(|queue| {
            for holder in &queue.holders {
                infos.extend(holder.modes.iter().map(|mode| info(&queue.object, &holder.owner, mode, true)));
            }
            infos.extend(queue.waiters.iter().map(|w| info(&queue.object, &w.owner, w.mode, false)));
        });
    }

    pub(crate) fn wait_event(&self, pid: i32) -> Option<(&'static str, &'static str)> {
        let mut event = None;
        self.for_each_queue(|queue| {
            if queue.waiters.iter().any(|w| w.owner.session.pid == pid) {
                event = Some(queue.object.wait_event());
            }
        });
        event
    }

    /// Panics unless queues, holders and the owners' lists agree. For tests, when nothing moves.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        self.for_each_queue(|queue| {
            assert!(!queue.holders.is_empty() || !queue.waiters.is_empty(), "an unused queue stays");
            for holder in &queue.holders {
                for mode in holder.modes.iter() {
                    assert!(
                        !queue.conflicts_with_holder(holder.owner.session.id, mode),
                        "conflicting holders of {:?}",
                        queue.object
                    );
                }
                let held = holder.owner.held.lock();
                let listed = held.locks.iter().flatten().chain(&held.materialised);
                assert!(
                    listed.into_iter().any(|l| l.object == queue.object),
                    "a holder's list lacks the lock"
                );
            }
            let mut before = ModeSet::EMPTY;
            for waiter in &queue.waiters {
                assert!(
                    before.conflicts_with(waiter.mode)
                        || queue.conflicts_with_holder(waiter.owner.session.id, waiter.mode),
                    "a waiter of {:?} waits for nothing",
                    queue.object
                );
                before.insert(waiter.mode);
            }
        });
    }

    #[cfg(test)]
    pub(crate) fn explicit_count(&self) -> usize {
        self.explicit_count.load(Ordering::Relaxed)
    }
}

impl Held {
    fn remove(&mut self, i: usize) {
        self.locks[i] = None;
        self.trim();
    }
    fn trim(&mut self) {
        while self.locks.len() > self.floor && self.locks.last().is_some_and(Option::is_none) {
            self.locks.pop();
        }
    }
    /// The only entry for `object`, if no savepoint was set since. Looks where it usually is, not everywhere: an
    /// entry that stays costs memory, nothing else.
    fn find_droppable(&self, object: ObjectRef<'_>) -> Option<usize> {
        const LOOK: usize = 4;
        let at = |i: &usize| {
            *i >= self.floor
                && self.locks.get(*i).is_some_and(|l| l.as_ref().is_some_and(|l| l.object.as_ref() == object))
        };
        let end = self.locks.len();
        (self.hint..self.hint + LOOK).find(at).or_else(|| (end.saturating_sub(LOOK)..end).find(at))
    }
}

fn info(object: &LockObject, owner: &Owner, mode: LockMode, granted: bool) -> LockInfo {
    let mut info = LockInfo {
        kind: object.wait_event().1,
        relation: None,
        tree: None,
        key: None,
        advisory: None,
        transaction: owner.id(),
        mode: mode.name(),
        pid: owner.session.pid,
        granted,
    };
    match object {
        LockObject::Relation(oid) => info.relation = Some(*oid),
        LockObject::Key(tree, key) => {
            info.tree = Some(*tree);
            info.key = Some(key.to_vec());
        }
        LockObject::Range(tree, _) => info.tree = Some(*tree),
        LockObject::Advisory(a, b, c) => info.advisory = Some((*a, *b, *c)),
        LockObject::SerialToken => {}
    }
    info
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use serin_storage::Inline;

    /// W has a version of k in progress; R is granted its explicit lock and has not yet looked at the chain; W asks for
    /// the key again and queues behind R. When R then gives way to W's version, W must come first.
    #[test]
    fn a_writer_that_queued_behind_the_one_who_gives_way_to_it_goes_first() {
        let table = LockTable::new(Arc::new(Inline), Arc::default());
        let [reader, writer] = [1, 2].map(|pid| Owner::new(SessionHandle::new(pid), true));
        let object = ObjectRef::Key(TreeId(1), b"k");
        let hash = table.hash(object);
        let (share, exclusive) = (LockMode::RowShare, LockMode::Exclusive);
        let mut shard = table.shard(hash);
        let block = WaitPolicy::Block;
        let first = table.request(&mut shard, hash, object, &reader, share, block).unwrap();
        assert!(matches!(first, Requested::Granted));
        let second = table.request(&mut shard, hash, object, &writer, exclusive, block).unwrap();
        assert!(matches!(second, Requested::Queued(_)));
        assert!(table.materialise(&mut shard, hash, object, &writer, exclusive));
        table.give_way(&mut shard, hash, object, &reader, share);
        drop(shard);
        assert!(writer.session.waiting().is_none(), "the writer was granted its upgrade");
        assert!(reader.session.waiting().is_some());
        table.check();
        table.finish(&writer);
        assert!(reader.session.waiting().is_none());
        table.finish(&reader);
        assert_eq!(table.explicit_count(), 0);
    }

    /// W has a version of k in progress; R is granted its explicit lock and has not yet looked at the chain; T queues behind R; W waits for
    /// something of T's. That is no deadlock until R registers W's lock, and then it is one of T and W, through which R's wait does not lead.
    #[test]
    fn who_waits_for_a_key_notices_the_deadlock_that_a_materialised_lock_closes() {
        let table = Arc::new(LockTable::new(Arc::new(Inline), Arc::default()));
        let [reader, writer, third] = [1, 2, 3].map(|pid| Owner::new(SessionHandle::new(pid), true));
        for owner in [&reader, &writer, &third] {
            owner.session.set_deadlock_timeout(Duration::from_secs(24 * 60 * 60));
            owner.session.set_lock_timeout(Duration::from_secs(60));
        }
        const KEY: ObjectRef<'static> = ObjectRef::Key(TreeId(1), b"k");
        const OTHER: ObjectRef<'static> = ObjectRef::Key(TreeId(1), b"l");
        let (share, exclusive) = (LockMode::RowShare, LockMode::Exclusive);
        let take = |owner, object, mode| {
            assert!(matches!(table.acquire(owner, object, mode, WaitPolicy::Block), Ok(Acquired::Now)));
        };
        take(&reader, KEY, share);
        take(&third, OTHER, exclusive);
        let waiting = [(&third, KEY), (&writer, OTHER)].map(|(owner, object)| {
            let waits = {
                let (table, owner) = (table.clone(), owner.clone());
                std::thread::spawn(move || {
                    let answer = table.acquire(&owner, object, exclusive, WaitPolicy::Block);
                    table.finish(&owner);
                    answer
                })
            };
            while !owner.session.is_asleep() {
                std::thread::yield_now();
            }
            waits
        });
        let hash = table.hash(KEY);
        let mut shard = table.shard(hash);
        assert!(table.materialise(&mut shard, hash, KEY, &writer, exclusive));
        let ticket = table.give_way(&mut shard, hash, KEY, &reader, share);
        drop(shard);
        let request = Request { owner: &reader, hash, object: KEY, ticket };
        assert!(matches!(table.await_grant(request, WaitPolicy::Block), Ok(Acquired::Now)));
        let [third, writer] = waiting.map(|thread| thread.join().unwrap());
        assert!(matches!(third, Err(Error::Deadlock(_))), "{third:?}");
        assert!(matches!(writer, Ok(Acquired::Now)), "{writer:?}");
        table.finish(&reader);
        assert_eq!(table.explicit_count(), 0);
    }
}
