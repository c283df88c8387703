//! Schedules explored at random, below the level of statements: `cargo test -p serin-txn --features shuttle`.
//!
//! Threads run one at a time, and at every operation of a primitive of `sync.rs` a scheduler decides who goes on. So a few
//! thousand runs of three small transactions pass through windows that a real machine opens for nanoseconds: between a
//! registration and its read, an installation and its look, a release and a grant. (`exhaustive.rs` has all orders of whole
//! statements; `histories.rs` real threads.) Storage's own mutexes are no such points; nothing yields while it holds one.
//!
//! What is asked of every schedule:
//!
//! 1. *SIREADs*: a reader that registers and then reads, and a writer that installs and then looks, don't miss each other, by key, by range and
//!    while keys are promoted to a range. The same threads in the wrong order do miss each other, or the test would prove nothing.
//! 2. *Locks*: whoever was granted a lock finds nobody with a conflicting one; every wait ends, by a grant, an interrupt or as the one
//!    victim of a deadlock (a thread that nobody wakes makes shuttle fail the test); at the end the table is empty.
//! 3. *Materialised locks*: nobody waits for a version that a rollback to a savepoint has taken off its chain, though its writer goes on.
//! 4. *Transactions*: what committed transactions have read and left behind is explained by some serial order, in each mode and in
//!    mixtures. With a rule of a protocol switched off a schedule is found for which there is none.

use crate::lock_mode::LockMode;
use crate::lock_table::{LockTable, ObjectRef, Owner};
use crate::rules::Rule;
use crate::siread::{ReadSet, Sireads};
use crate::ssi::NodeId;
use crate::*;
use serin_storage::{Direction, Inline, KeyRange, Store, StoreOptions, Tree, TreeId};
use shuttle::rand::Rng;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// `SERIN_SCHEDULES` multiplies the number of schedules of each test.
fn schedules(count: usize) -> usize {
    let times = std::env::var("SERIN_SCHEDULES").ok().and_then(|times| times.parse::<usize>().ok());
    count * times.unwrap_or(1)
}

fn between(low: u32, high: u32) -> u32 {
    shuttle::rand::thread_rng().gen_range(low..high)
}

fn between_keys(first: u8, last: u8) -> KeyRange {
    KeyRange { start: Bound::Included(vec![first]), end: Bound::Included(vec![last]) }
}

// ---- SIREADs ----

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrong {
    Nothing,
    ReadsThenRegisters,
    LooksThenInstalls,
}

/// How many schedules there were in which reader and writer of a key missed each other.
fn missed(wrong: Wrong, register: fn(&Sireads, &mut ReadSet)) -> usize {
    const TREE: TreeId = TreeId(1);
    let missed = Arc::new(AtomicUsize::new(0));
    let count = missed.clone();
    let run = move || {
        let sireads = Arc::new(Sireads::default());
        let version = Arc::new(crate::sync::AtomicU64::new(0));
        let reader = {
            let (sireads, version) = (sireads.clone(), version.clone());
            shuttle::thread::spawn(move || {
                let mut set = ReadSet::default();
                let early = version.load(Ordering::SeqCst);
                register(&sireads, &mut set);
                let late = version.load(Ordering::SeqCst);
                let seen = if wrong == Wrong::ReadsThenRegisters { early } else { late };
                (seen == 1, set)
            })
        };
        let writer = {
            let (sireads, version) = (sireads.clone(), version.clone());
            shuttle::thread::spawn(move || {
                let look = || sireads.readers(NodeId(2), TREE, &[5]).contains(&NodeId(1));
                if wrong == Wrong::LooksThenInstalls {
                    let found = look();
                    version.store(1, Ordering::SeqCst);
                    return found;
                }
                version.store(1, Ordering::SeqCst);
                look()
            })
        };
        let (saw, set) = reader.join().unwrap();
        let found = writer.join().unwrap();
        if !saw && !found {
            count.fetch_add(1, Ordering::Relaxed);
        }
        sireads.remove(NodeId(1), set);
        sireads.for_each(|tree, key, _| panic!("left over: {tree} {key:?}"));
    };
    shuttle::check_random(run.clone(), schedules(1_000));
    // Few switches at random places: finds what needs one thread to stand still while the other does much.
    shuttle::check_pct(run, schedules(1_000), 3);
    missed.load(Ordering::Relaxed)
}

fn by_key(sireads: &Sireads, set: &mut ReadSet) {
    sireads.add_key(NodeId(1), set, TreeId(1), &[5]);
}

fn by_range(sireads: &Sireads, set: &mut ReadSet) {
    sireads.add_range(NodeId(1), set, TreeId(1), between_keys(1, 9));
}

/// The keys after the one that matters push it into a range.
fn by_promoted_key(sireads: &Sireads, set: &mut ReadSet) {
    for key in [5, 1, 2, 3, 9] {
        sireads.add_key(NodeId(1), set, TreeId(1), &[key]);
    }
    assert_eq!(set.size().ranges, 1, "the keys were promoted");
}

#[test]
fn readers_and_writers_never_miss_each_other() {
    for register in [by_key, by_range, by_promoted_key] {
        assert_eq!(missed(Wrong::Nothing, register), 0);
        for wrong in [Wrong::ReadsThenRegisters, Wrong::LooksThenInstalls] {
            assert!(missed(wrong, register) > 0, "{wrong:?} went unnoticed");
        }
    }
}

/// A key stays covered while it is promoted: whoever looks then finds its reader.
#[test]
fn promotion_uncovers_nothing() {
    let run = || {
        let sireads = Arc::new(Sireads::default());
        let mut set = ReadSet::default();
        by_key(&sireads, &mut set);
        let looking = {
            let sireads = sireads.clone();
            shuttle::thread::spawn(move || sireads.readers(NodeId(2), TreeId(1), &[5]).contains(&NodeId(1)))
        };
        for key in [1, 2, 3, 9] {
            sireads.add_key(NodeId(1), &mut set, TreeId(1), &[key]);
        }
        assert!(looking.join().unwrap(), "the key had no reader while it was promoted");
    };
    shuttle::check_random(run, schedules(4_000));
}

// ---- locks ----

/// Who has what, as the threads believe: negative for exclusive.
#[derive(Default)]
struct Believed([AtomicI32; 2]);

impl Believed {
    fn take(&self, object: usize, exclusive: bool) {
        let before = self.0[object].fetch_add(if exclusive { -100 } else { 1 }, Ordering::SeqCst);
        match exclusive {
            true => assert_eq!(before, 0, "X was granted beside another lock"),
            false => assert!(before >= 0, "S was granted beside X"),
        }
    }
    fn give(&self, object: usize, exclusive: bool) {
        self.0[object].fetch_add(if exclusive { 100 } else { -1 }, Ordering::SeqCst);
    }
}

/// Three transactions that want two objects each, in an order and strength of their own.
fn contend(in_order: bool, interrupts: bool) {
    let table = Arc::new(LockTable::new(Arc::new(Inline), Arc::default()));
    let believed = Arc::new(Believed::default());
    let sessions: Vec<_> = (1..=3).map(SessionHandle::new).collect();
    let threads: Vec<_> = sessions
        .iter()
        .map(|session| {
            let (table, believed) = (table.clone(), believed.clone());
            let owner = Owner::new(session.clone(), false);
            shuttle::thread::spawn(move || {
                let first = if in_order { 0 } else { between(0, 2) as usize };
                let mut held = Vec::new();
                let mut outcome = Ok(());
                for object in [first, 1 - first] {
                    let exclusive = between(0, 2) == 0;
                    let mode = if exclusive { LockMode::Exclusive } else { LockMode::Share };
                    let wanted = ObjectRef::Advisory(0, object as u32, 0);
                    outcome = table.acquire(&owner, wanted, mode, WaitPolicy::Block).map(drop);
                    if outcome.is_err() {
                        break;
                    }
                    believed.take(object, exclusive);
                    held.push((object, exclusive));
                    shuttle::thread::yield_now();
                }
                held.iter().for_each(|(object, exclusive)| believed.give(*object, *exclusive));
                table.finish(&owner);
                outcome
            })
        })
        .collect();
    if interrupts {
        sessions[between(0, 3) as usize].interrupt();
    }
    let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let victims = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Deadlock(_)))).count();
    assert!(victims < 3, "a deadlock needs only one victim");
    assert!(!in_order || victims == 0, "a deadlock among those who lock in one order");
    for outcome in outcomes {
        match outcome {
            Ok(()) | Err(Error::Deadlock(_)) => {}
            Err(Error::Interrupted) if interrupts => {}
            Err(error) => panic!("{error}"),
        }
    }
    table.check();
    assert_eq!(table.explicit_count(), 0, "locks were left over");
}

#[test]
fn grants_never_conflict_and_nobody_waits_for_ever() {
    shuttle::check_random(|| contend(true, false), schedules(3_000));
    shuttle::check_random(|| contend(true, true), schedules(3_000));
}

/// The lock is given up only after the waiter has gone: nothing but the interrupt can wake it.
#[test]
fn an_interrupt_reaches_whoever_waits() {
    let run = || {
        let table = Arc::new(LockTable::new(Arc::new(Inline), Arc::default()));
        let [holder, waiter] = [1, 2].map(|pid| Owner::new(SessionHandle::new(pid), false));
        let object = ObjectRef::Advisory(0, 0, 0);
        table.acquire(&holder, object, LockMode::Exclusive, WaitPolicy::Block).unwrap();
        let waits = {
            let (table, waiter) = (table.clone(), waiter.clone());
            shuttle::thread::spawn(move || {
                let outcome = table.acquire(&waiter, object, LockMode::Share, WaitPolicy::Block);
                table.finish(&waiter);
                outcome.map(drop)
            })
        };
        // Or it would hardly ever be asleep by then.
        (0..between(0, 40)).for_each(|_| shuttle::thread::yield_now());
        waiter.session.interrupt();
        assert!(matches!(waits.join().unwrap(), Err(Error::Interrupted)));
        table.finish(&holder);
        table.check();
        assert_eq!(table.explicit_count(), 0, "locks were left over");
    };
    shuttle::check_random(run, schedules(3_000));
}

#[test]
fn deadlocks_end() {
    shuttle::check_random(|| contend(false, false), schedules(3_000));
    shuttle::check_random(|| contend(false, true), schedules(3_000));
}

// ---- materialised locks ----

/// One transaction writes a row, takes that back to a savepoint, and goes on for as long as another one wants to write or lock the same row.
/// Returns in how many schedules the other one waited for nothing.
fn waits_for_nothing(off: Option<Rule>, count: usize) -> usize {
    let (store, _dir) = open_store();
    let stuck = Arc::new(AtomicUsize::new(0));
    let counted = stuck.clone();
    let run = move || {
        let manager = TransactionManager::new(store.clone());
        if let Some(rule) = off {
            manager.ssi.rules.switch_off(rule);
        }
        let options = |pid| TransactionOptions {
            mode: Mode::Ssi,
            isolation: Isolation::ReadCommitted,
            read_only: false,
            deferrable: false,
            session: SessionHandle::new(pid),
        };
        let mut setup = manager.begin(options(1));
        setup.start_statement().unwrap();
        let tree = setup.create_tree().unwrap();
        setup.insert(&tree, b"row", b"0").unwrap();
        publish(&manager, setup).unwrap();

        let mut first = manager.begin(options(2));
        first.start_statement().unwrap();
        first.insert(&tree, b"own", b"0").unwrap();
        let savepoint = first.savepoint();
        first.update(&tree, b"row", b"1").unwrap();
        let done = Arc::new(AtomicU64::new(0));
        let second = {
            let (manager, tree, done) = (manager.clone(), tree.clone(), done.clone());
            let options = options(3);
            let locks = between(0, 2) == 0;
            shuttle::thread::spawn(move || {
                let mut second = manager.begin(options);
                second.start_statement().unwrap();
                let outcome = match locks {
                    true => second.lock_row(&tree, b"row", RowLockMode::Update, WaitPolicy::Block).map(drop),
                    false => second.update(&tree, b"row", b"2"),
                };
                done.store(1, Ordering::SeqCst);
                outcome
            })
        };
        (0..between(0, 60)).for_each(|_| shuttle::thread::yield_now());
        first.rollback_to(&savepoint).unwrap();
        // Far more turns than the other one needs.
        for _ in 0..1_000 {
            if done.load(Ordering::SeqCst) == 1 {
                break;
            }
            shuttle::thread::yield_now();
        }
        if done.load(Ordering::SeqCst) == 0 {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        drop(first);
        second.join().unwrap().unwrap();
        manager.locks.check();
        assert_eq!(manager.locks.explicit_count(), 0, "locks were left over");
    };
    shuttle::check_random(run, count);
    stuck.load(Ordering::Relaxed)
}

#[test]
fn nobody_waits_for_a_version_that_was_taken_back() {
    assert_eq!(waits_for_nothing(None, schedules(4_000)), 0);
    for rule in [Rule::MaterialiserLooks, Rule::PopperLooks] {
        assert!(waits_for_nothing(Some(rule), schedules(4_000)) > 0, "{rule:?} was not missed");
    }
}

// ---- transactions ----

const X: u8 = b'x';
const Y: u8 = b'y';
/// Absent at first.
const Z: u8 = b'z';

type State = BTreeMap<u8, String>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Get(u8),
    Scan,
    Update(u8),
    Insert(u8),
    Delete(u8),
    /// An update that is rolled back to a savepoint. It has been read all the same.
    Undone(u8),
}

impl Op {
    fn any() -> Op {
        let key = [X, Y, Z][between(0, 3) as usize];
        match between(0, 10) {
            0..3 => Op::Get(key),
            3..5 => Op::Scan,
            5..7 => Op::Update(key),
            7 => Op::Undone(key),
            8 => Op::Insert(Z),
            _ => Op::Delete(key),
        }
    }

    /// The answer on this state, and what becomes of it.
    fn apply(self, state: &mut State, value: &str) -> String {
        let show = |state: &State, key: u8| state.get(&key).cloned().unwrap_or_default();
        match self {
            Op::Get(key) | Op::Undone(key) => show(state, key),
            Op::Scan => state.values().cloned().collect::<Vec<_>>().join(" "),
            Op::Update(key) => {
                let old = show(state, key);
                state.entry(key).and_modify(|now| value.clone_into(now));
                old
            }
            Op::Insert(key) => match state.contains_key(&key) {
                true => "duplicate".to_owned(),
                false => state.insert(key, value.to_owned()).unwrap_or_default(),
            },
            Op::Delete(key) => state.remove(&key).unwrap_or_default(),
        }
    }

    fn run(
        self,
        transaction: &mut Transaction,
        tree: &Arc<Tree>,
        prefix: &[u8],
        value: &str,
    ) -> Result<String> {
        let name = |key: u8| [prefix, &[key]].concat();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match self {
            Op::Get(key) => {
                Ok(transaction.get(tree, &name(key))?.map(|value| text(&value)).unwrap_or_default())
            }
            Op::Scan => {
                let range = KeyRange { start: Bound::Included(name(X)), end: Bound::Included(name(Z)) };
                let mut values = Vec::new();
                let mut scan = transaction.scan(tree, range, Direction::Forward)?;
                while scan.next_batch(transaction, 2, &mut |_, value| {
                    values.push(text(value));
                    true
                })? {}
                Ok(values.join(" "))
            }
            Op::Update(key) | Op::Delete(key) => {
                let strength = match self {
                    Op::Delete(_) => RowLockMode::Update,
                    _ => RowLockMode::NoKeyUpdate,
                };
                transaction.intend_to_lock(tree, strength);
                let Some(mut old) = transaction.get(tree, &name(key))? else { return Ok(String::new()) };
                match transaction.lock_row(tree, &name(key), strength, WaitPolicy::Block)? {
                    RowLock::Unchanged => {}
                    RowLock::Changed(Some(now)) => old = now,
                    RowLock::Changed(None) => return Ok(String::new()),
                    RowLock::Skipped | RowLock::SelfModified { .. } => unreachable!("nobody skips here"),
                }
                match self {
                    Op::Delete(_) => transaction.delete(tree, &name(key))?,
                    _ => transaction.update(tree, &name(key), value.as_bytes())?,
                }
                Ok(text(&old))
            }
            Op::Undone(key) => {
                let savepoint = transaction.savepoint();
                let old = Op::Update(key).run(transaction, tree, prefix, value)?;
                transaction.rollback_to(&savepoint)?;
                Ok(old)
            }
            Op::Insert(key) => match transaction.insert(tree, &name(key), value.as_bytes())? {
                Inserted::Done => Ok(String::new()),
                Inserted::Duplicate { .. } => Ok("duplicate".to_owned()),
            },
        }
    }
}

/// A committed transaction: operations, the value that each writes, and what it answered.
type Record = Vec<(Op, String, String)>;

fn explained(initial: &State, records: &[Record], last: &State) -> bool {
    let mut left: Vec<usize> = (0..records.len()).collect();
    fn orders(state: &State, records: &[Record], left: &mut Vec<usize>, last: &State) -> bool {
        if left.is_empty() {
            return state == last;
        }
        (0..left.len()).any(|i| {
            let next = left.swap_remove(i);
            let mut after = state.clone();
            let fits = records[next].iter().all(|(op, value, answer)| op.apply(&mut after, value) == *answer);
            let found = fits && orders(&after, records, left, last);
            left.push(next);
            let end = left.len() - 1;
            left.swap(i, end);
            found
        })
    }
    orders(initial, records, &mut left, last)
}

/// One store for all runs of a test: it knows nothing of shuttle. Keys have a prefix of their run.
struct Shared {
    store: Arc<Store>,
    runs: AtomicU64,
    violation: Mutex<Option<String>>,
    commits: AtomicUsize,
    aborts: AtomicUsize,
    _dir: tempfile::TempDir,
}

fn open_store() -> (Arc<Store>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(StoreOptions::new(dir.path())).unwrap(), dir)
}

fn publish(manager: &TransactionManager, transaction: Transaction) -> Result<()> {
    if let Some(ts) = transaction.commit()?.durable_at {
        // Durability is not the question here: others may see it at once.
        manager.store().publish_early(ts);
    }
    Ok(())
}

fn run_once(shared: &Arc<Shared>, modes: &[Mode], off: Option<Rule>) {
    if shared.violation.lock().unwrap().is_some() {
        return;
    }
    let run = shared.runs.fetch_add(1, Ordering::Relaxed);
    let manager = TransactionManager::new(shared.store.clone());
    if let Some(rule) = off {
        manager.ssi.rules.switch_off(rule);
    }
    let begin = |mode, pid| {
        let session = SessionHandle::new(pid);
        let isolation = Isolation::Serializable;
        TransactionOptions { mode, isolation, read_only: false, deferrable: false, session }
    };
    let initial: State = [(X, "x0".to_owned()), (Y, "y0".to_owned())].into();
    let mut setup = manager.begin(begin(Mode::Ssi, 1));
    let tree = setup.create_tree().unwrap();
    let prefix = run.to_be_bytes();
    for (key, value) in &initial {
        setup.insert(&tree, &[&prefix[..], &[*key]].concat(), value.as_bytes()).unwrap();
    }
    publish(&manager, setup).unwrap();

    let threads: Vec<_> = (0..3)
        .map(|me| {
            let mode = modes[between(0, modes.len() as u32) as usize];
            let (manager, tree, options) = (manager.clone(), tree.clone(), begin(mode, 2 + me));
            shuttle::thread::spawn(move || -> Result<Option<Record>> {
                let mut record = Record::new();
                let mut transaction = manager.begin(options);
                for step in 0..2 {
                    let (op, value) = (Op::any(), format!("{me}.{step}"));
                    transaction.start_statement()?;
                    let answer = op.run(&mut transaction, &tree, &prefix, &value)?;
                    transaction.end_statement();
                    if answer == "duplicate" {
                        // An error in SQL: the transaction is over.
                        return Ok(None);
                    }
                    record.push((op, value, answer));
                }
                publish(&manager, transaction)?;
                Ok(Some(record))
            })
        })
        .collect();
    let mut records = Vec::new();
    for thread in threads {
        match thread.join().unwrap() {
            Ok(Some(record)) => records.push(record),
            Ok(None)
            | Err(Error::ConcurrentUpdate { .. } | Error::DangerousStructure(_) | Error::Deadlock(_)) => {
                shared.aborts.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{error}"),
        }
    }
    shared.commits.fetch_add(records.len(), Ordering::Relaxed);
    let mut last = State::new();
    let mut reader = manager.begin(begin(Mode::Ssi, 9));
    reader.start_statement().unwrap();
    for key in [X, Y, Z] {
        if let Some(value) = reader.get(&tree, &[&prefix[..], &[key]].concat()).unwrap() {
            last.insert(key, String::from_utf8_lossy(&value).into_owned());
        }
    }
    drop(reader);
    if !explained(&initial, &records, &last) {
        *shared.violation.lock().unwrap() = Some(format!("no serial order gives {last:?}: {records:#?}"));
    }
    manager.locks.check();
    assert_eq!(manager.locks.explicit_count(), 0, "locks were left over");
}

/// A history that no serial order explains, if one is found.
fn explore(modes: &'static [Mode], count: usize, off: Option<Rule>) -> Option<String> {
    let (store, dir) = open_store();
    let shared = Arc::new(Shared {
        store,
        runs: AtomicU64::new(0),
        violation: Mutex::default(),
        commits: AtomicUsize::new(0),
        aborts: AtomicUsize::new(0),
        _dir: dir,
    });
    let running = shared.clone();
    shuttle::check_random(move || run_once(&running, modes, off), count);
    let (commits, aborts) = (shared.commits.load(Ordering::Relaxed), shared.aborts.load(Ordering::Relaxed));
    println!("{modes:?} without {off:?}: {commits} commits, {aborts} aborts");
    assert!(commits > 0, "nothing committed");
    shared.violation.lock().unwrap().take()
}

const ALL: &[Mode] = &[Mode::Ssi, Mode::TwoPhase, Mode::Serial];

#[test]
fn transactions_are_serializable_under_every_schedule() {
    for modes in [&[Mode::Ssi][..], &[Mode::TwoPhase], &[Mode::Serial], ALL] {
        if let Some(violation) = explore(modes, schedules(2_000), None) {
            panic!("{modes:?}: {violation}");
        }
    }
}

#[test]
fn a_rule_switched_off_is_noticed() {
    let rules: [(Rule, &[Mode]); 7] = [
        (Rule::ReaderLooks, &[Mode::Ssi]),
        (Rule::WriterLooks, &[Mode::Ssi]),
        (Rule::RefreshValidates, &[Mode::Ssi]),
        (Rule::KeyLocks, &[Mode::TwoPhase]),
        (Rule::RangeLocks, &[Mode::TwoPhase]),
        (Rule::LockedReadsStay, ALL),
        (Rule::SerialGate, ALL),
    ];
    for (rule, modes) in rules {
        assert!(explore(modes, schedules(20_000), Some(rule)).is_some(), "{rule:?} was not missed");
    }
}
