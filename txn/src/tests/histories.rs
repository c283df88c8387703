//! Random concurrent histories at SERIALIZABLE, judged exactly.
//!
//! Every write has a unique value, every key's versions are ordered by commit timestamp, and what a read returned tells
//! the version it read. So the direct serialization graph (Adya) of the committed transactions is known exactly: ww
//! from a version's writer to the next one's, wr from writer to reader, rw from reader to the writer of the next
//! version. The history is serializable if and only if the graph has no cycle.
//!
//! Transactions also set savepoints and roll back to them, run into lock timeouts, are interrupted while they wait, and give up of their own
//! accord. Only what has not been undone counts as written; what was read has been read.
//!
//! To keep absence unambiguous, a key that exists from the start may be deleted but is never inserted again, and a key
//! inserted later is never deleted. The key space is a few slots: in each one row that is only ever updated, some that
//! are deleted sooner or later, and those that are inserted.

use super::harness::*;
use crate::rules::Rule;
use crate::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serin_storage::{Direction, KeyRange, Store, StoreOptions, Timestamp, Tree};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ABSENT: u64 = 0;
/// Writer and value of what the store held at first.
const INITIAL: u64 = 1;

type Key = u32;

#[derive(Debug, Default, Clone)]
struct Record {
    mode: &'static str,
    reads: BTreeMap<Key, u64>,
    /// Ranges that were read whole: a key in them that is not among `reads` was absent.
    scanned: Vec<(Key, Key)>,
    writes: BTreeMap<Key, u64>,
    commit: Timestamp,
    /// Keys whose own version a scan has found: not absent, though a savepoint may take the version away.
    found_own: BTreeSet<Key>,
    /// Two reads of one transaction that no single state explains.
    anomaly: Option<String>,
}

#[derive(Clone, Copy)]
struct Workload {
    modes: &'static [Mode],
    threads: u64,
    transactions: u64,
    slots: u32,
    seed: u64,
}

/// Rows of a slot that exist from the start and may be deleted.
const MORTALS: u32 = 30;

fn in_slot(slot: u32, n: u64) -> Key {
    slot << 20 | n as u32
}

struct Run<'a> {
    manager: &'a Arc<TransactionManager>,
    tree: &'a Arc<Tree>,
    workload: Workload,
    next_value: &'a AtomicU64,
    statements: &'a AtomicU64,
}

#[derive(Default, Debug)]
struct Totals {
    committed: usize,
    aborted: usize,
}

fn encode(key: Key) -> [u8; 4] {
    key.to_be_bytes()
}

fn decode(value: &[u8]) -> u64 {
    u64::from_be_bytes(value.try_into().unwrap())
}

impl Run<'_> {
    fn random_slot(&self, rng: &mut StdRng) -> u32 {
        rng.random_range(0..self.workload.slots)
    }

    /// On few cores transactions hardly overlap unless they are made to: waits until the others have done some
    /// statements, or until they evidently can't (they may wait for us).
    fn let_others_go_on(&self, rng: &mut StdRng) {
        let target = self.statements.fetch_add(1, Ordering::Relaxed) + rng.random_range(0..10);
        for _ in 0..30 {
            if self.statements.load(Ordering::Relaxed) >= target {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// One transaction, recorded as long as it goes.
    fn transaction(&self, rng: &mut StdRng, session: &Arc<SessionHandle>) -> Result<Record> {
        let mode = self.workload.modes[rng.random_range(0..self.workload.modes.len())];
        let read_only = rng.random_bool(0.15);
        let mut transaction = self.manager.begin(TransactionOptions {
            mode,
            isolation: Isolation::Serializable,
            read_only,
            deferrable: false,
            session: session.clone(),
        });
        let mut record = Record {
            mode: match mode {
                Mode::Ssi => "ssi",
                Mode::TwoPhase => "2pl",
                Mode::Serial => "serial",
            },
            ..Record::default()
        };
        let mut savepoint: Option<(Savepoint, BTreeMap<Key, u64>)> = None;
        for _ in 0..rng.random_range(1..=4) {
            if rng.random_bool(0.1) {
                savepoint = Some((transaction.savepoint(), record.writes.clone()));
            }
            transaction.start_statement()?;
            if read_only || rng.random_bool(0.5) {
                self.read(rng, &mut transaction, &mut record)?;
            } else {
                self.write(rng, &mut transaction, &mut record)?;
            }
            transaction.end_statement();
            self.let_others_go_on(rng);
            if rng.random_bool(0.4)
                && let Some((savepoint, writes)) = &savepoint
            {
                transaction.rollback_to(savepoint)?;
                record.writes.clone_from(writes);
            }
        }
        if rng.random_bool(0.03) {
            // An abort of one's own accord.
            return Err(Error::Interrupted);
        }
        let committed = transaction.commit()?;
        if !record.writes.is_empty() {
            record.commit = committed.durable_at.expect("it wrote");
            session_publishes(self.manager, record.commit, rng);
        }
        Ok(record)
    }

    fn read(&self, rng: &mut StdRng, transaction: &mut Transaction, record: &mut Record) -> Result<()> {
        if rng.random_bool(0.6) {
            let n = if rng.random_bool(0.9) { 0 } else { rng.random_range(1..=MORTALS) };
            let key = in_slot(self.random_slot(rng), n.into());
            let value = transaction.get(self.tree, &encode(key))?;
            observe(record, key, value.map_or(ABSENT, |value| decode(&value)));
            return Ok(());
        }
        let (a, b) = (self.random_slot(rng), self.random_slot(rng));
        let (from, to) = (in_slot(a.min(b), 0), in_slot(a.max(b) + 1, 0) - 1);
        let range = KeyRange {
            start: Bound::Included(encode(from).to_vec()),
            end: Bound::Included(encode(to).to_vec()),
        };
        let direction = if rng.random() { Direction::Forward } else { Direction::Backward };
        let mut found: BTreeMap<Key, u64> = BTreeMap::new();
        let mut scan = transaction.scan(self.tree, range, direction)?;
        while scan.next_batch(transaction, 7, &mut |key, value| {
            let twice = found.insert(u32::from_be_bytes(key.try_into().unwrap()), decode(value));
            assert!(twice.is_none(), "a scan returned a key twice");
            true
        })? {}
        for known in record.reads.range(from..=to).map(|(key, _)| *key).collect::<Vec<_>>() {
            found.entry(known).or_insert(ABSENT);
        }
        record.found_own.extend(found.keys().filter(|key| record.writes.contains_key(key)));
        for (key, value) in found {
            if record.was_absent(key) && value != ABSENT && !record.writes.contains_key(&key) {
                record.anomaly.get_or_insert_with(|| format!("key {key} is a phantom"));
            }
            observe(record, key, value);
        }
        record.scanned.push((from, to));
        Ok(())
    }

    fn write(&self, rng: &mut StdRng, transaction: &mut Transaction, record: &mut Record) -> Result<()> {
        let (slot, value) = (self.random_slot(rng), self.next_value.fetch_add(1, Ordering::Relaxed));
        if rng.random_bool(0.15) {
            let key = in_slot(slot, 1000 + value);
            let Inserted::Done = transaction.insert(self.tree, &encode(key), &value.to_be_bytes())? else {
                panic!("nobody else inserts this key");
            };
            record.writes.insert(key, value);
            return Ok(());
        }
        let delete = rng.random_bool(0.03);
        let key = in_slot(slot, if delete { rng.random_range(1..=u64::from(MORTALS)) } else { 0 });
        let name = encode(key);
        let strength = if delete { RowLockMode::Update } else { RowLockMode::NoKeyUpdate };
        if rng.random_bool(0.8) {
            transaction.intend_to_lock(self.tree, strength);
        }
        if !delete && rng.random_bool(0.2) {
            // Blind: locked and written, never read.
            transaction.lock_row(self.tree, &name, strength, WaitPolicy::Block)?;
            transaction.update(self.tree, &name, &value.to_be_bytes())?;
            record.writes.insert(key, value);
            return Ok(());
        }
        if !delete && rng.random_bool(0.4) {
            // As SQL does where nothing but the key decides: locked first, then looked at, and perhaps left alone.
            let locked = transaction.lock_row(self.tree, &name, strength, WaitPolicy::Block)?;
            let found = match locked {
                RowLock::Unchanged => transaction.get(self.tree, &name)?,
                RowLock::Changed(now) => now,
                RowLock::Skipped | RowLock::SelfModified { .. } => panic!("nobody skips here"),
            };
            observe(record, key, found.as_ref().map_or(ABSENT, |value| decode(value)));
            if found.is_some() && rng.random_bool(0.6) {
                transaction.update(self.tree, &name, &value.to_be_bytes())?;
                record.writes.insert(key, value);
            }
            return Ok(());
        }
        let read = transaction.get(self.tree, &name)?;
        observe(record, key, read.as_ref().map_or(ABSENT, |value| decode(value)));
        if read.is_none() {
            return Ok(());
        }
        match transaction.lock_row(self.tree, &name, strength, WaitPolicy::Block)? {
            RowLock::Unchanged => {}
            RowLock::Changed(now) => {
                // SSI has moved its snapshot on, so this is what it has read.
                if transaction.mode() != Mode::Ssi && now.as_deref() != read.as_deref() {
                    record.anomaly.get_or_insert_with(|| format!("key {key} was read but not locked"));
                }
                let now = now.map_or(ABSENT, |value| decode(&value));
                record.reads.insert(key, now);
                if now == ABSENT {
                    return Ok(());
                }
            }
            RowLock::Skipped | RowLock::SelfModified { .. } => panic!("nobody skips here"),
        }
        if delete {
            transaction.delete(self.tree, &name)?;
            record.writes.insert(key, ABSENT);
        } else {
            transaction.update(self.tree, &name, &value.to_be_bytes())?;
            record.writes.insert(key, value);
        }
        Ok(())
    }
}

impl Record {
    fn was_absent(&self, key: Key) -> bool {
        !self.reads.contains_key(&key)
            && !self.found_own.contains(&key)
            && self.scanned.iter().any(|(from, to)| (*from..=*to).contains(&key))
    }
}

/// Commits become visible early, late, or as the log gets round to it.
fn session_publishes(manager: &TransactionManager, ts: Timestamp, rng: &mut StdRng) {
    if rng.random_bool(0.6) {
        manager.store().publish_early(ts);
    }
}

/// A repeated read must agree; a read of an own write is the transaction's business.
fn observe(record: &mut Record, key: Key, value: u64) {
    if let Some(own) = record.writes.get(&key) {
        assert_eq!(value, *own, "a transaction sees its own writes");
        return;
    }
    let before = *record.reads.entry(key).or_insert(value);
    if before != value {
        record.anomaly.get_or_insert_with(|| format!("key {key} was read as {before}, then as {value}"));
    }
}

fn run(workload: Workload, prepare: impl FnOnce(&TransactionManager)) -> (Vec<Record>, Totals) {
    // Memory, where there is such a file system: this is not about the disk.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::open(StoreOptions::new(dir.path())).unwrap();
    let manager = TransactionManager::new(store);
    prepare(&manager);
    let session = SessionHandle::new(1);
    let mut load = manager.begin(options(&session, Mode::Ssi, Isolation::ReadCommitted));
    let tree = load.create_tree().unwrap();
    for slot in 0..workload.slots {
        for n in 0..=MORTALS {
            load.insert(&tree, &encode(in_slot(slot, n.into())), &INITIAL.to_be_bytes()).unwrap();
        }
    }
    commit_durably(&manager, load).unwrap();
    let next_value = AtomicU64::new(INITIAL + 1);
    let statements = AtomicU64::new(0);
    let run =
        Run { manager: &manager, tree: &tree, workload, next_value: &next_value, statements: &statements };
    let mut totals = Totals::default();
    let mut records = Vec::new();
    let sessions: Vec<_> =
        (0..workload.threads).map(|thread| SessionHandle::new(thread as i32 + 10)).collect();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (run, sessions, over) = (&run, &sessions, &over);
        // Interrupts whom it likes, whenever some more statements have been done.
        let killer = scope.spawn(move || {
            let mut rng = StdRng::seed_from_u64(workload.seed);
            let mut next = 0;
            while !over.load(Ordering::Relaxed) {
                if run.statements.load(Ordering::Relaxed) < next {
                    std::thread::park_timeout(std::time::Duration::from_millis(1));
                    continue;
                }
                sessions[rng.random_range(0..sessions.len())].interrupt();
                next = run.statements.load(Ordering::Relaxed) + rng.random_range(0..100);
            }
        });
        let threads: Vec<_> = (0..workload.threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(workload.seed << 8 | thread);
                    let session = &sessions[thread as usize];
                    let (mut records, mut aborted) = (Vec::new(), 0);
                    for _ in 0..workload.transactions / workload.threads {
                        session.clear_interrupt();
                        let timeout = if rng.random_bool(0.05) { 200 } else { 0 };
                        session.set_lock_timeout(std::time::Duration::from_micros(timeout));
                        match run.transaction(&mut rng, session) {
                            Ok(record) => records.push(record),
                            Err(
                                Error::ConcurrentUpdate { .. }
                                | Error::DangerousStructure(_)
                                | Error::Deadlock(_)
                                | Error::LockTimeout
                                | Error::Interrupted,
                            ) => aborted += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    (records, aborted)
                })
            })
            .collect();
        for thread in threads {
            let (own, aborted) = thread.join().unwrap();
            records.extend(own);
            totals.aborted += aborted;
        }
        over.store(true, Ordering::Relaxed);
        killer.join().unwrap();
    });
    totals.committed = records.len();
    manager.locks.check();
    assert_eq!(manager.locks.explicit_count(), 0, "locks were left over");
    (records, totals)
}

/// A cycle of the direct serialization graph, as a story, if there is one.
fn find_cycle(records: &[Record]) -> Option<String> {
    let torn = |record: &Record| Some(format!("not even one state: {}", record.anomaly.as_ref()?));
    if let Some(story) = records.iter().find_map(torn) {
        return Some(story);
    }
    // By key: versions in commit order as (value, writer); the initial one has no writer.
    let mut versions: BTreeMap<Key, Vec<(Timestamp, u64, usize)>> = BTreeMap::new();
    for (writer, record) in records.iter().enumerate() {
        for (key, value) in &record.writes {
            versions.entry(*key).or_default().push((record.commit, *value, writer));
        }
    }
    let mut edges: Vec<BTreeSet<(usize, String)>> = vec![BTreeSet::new(); records.len()];
    let mut position: HashMap<(Key, u64), usize> = HashMap::new();
    for (key, versions) in &mut versions {
        versions.sort();
        for (i, (_, value, writer)) in versions.iter().enumerate() {
            assert!(position.insert((*key, *value), i).is_none(), "a value was written twice");
            if let Some((_, _, next)) = versions.get(i + 1) {
                edges[*writer].insert((*next, format!("ww({key})")));
            }
        }
    }
    let inserted: BTreeSet<Key> = versions.keys().copied().filter(|key| key & 0xfffff >= 1000).collect();
    for (reader, record) in records.iter().enumerate() {
        let missed = record.scanned.iter().flat_map(|(from, to)| inserted.range(*from..=*to));
        let missed = missed.filter(|key| !record.reads.contains_key(key) && !record.writes.contains_key(key));
        let absences: BTreeMap<Key, u64> = missed.map(|key| (*key, ABSENT)).collect();
        for (key, value) in record.reads.iter().chain(&absences) {
            let Some(versions) = versions.get(key) else { continue };
            let next = match position.get(&(*key, *value)) {
                Some(i) => {
                    edges[versions[*i].2].insert((reader, format!("wr({key})")));
                    i + 1
                }
                // Not written in this history: the initial version, or the absence before the insert.
                None => 0,
            };
            if let Some((_, _, writer)) = versions.get(next) {
                edges[reader].insert((*writer, format!("rw({key})")));
            }
        }
    }
    for (node, edges) in edges.iter_mut().enumerate() {
        edges.retain(|(other, _)| *other != node);
    }
    cycle(&edges).map(|cycle| tell(records, &cycle))
}

/// Depth-first search without recursion; returns nodes with the label of the edge that leaves each.
fn cycle(edges: &[BTreeSet<(usize, String)>]) -> Option<Vec<(usize, String)>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Colour {
        White,
        Grey,
        Black,
    }
    let lists: Vec<Vec<&(usize, String)>> = edges.iter().map(|set| set.iter().collect()).collect();
    let mut colours = vec![Colour::White; edges.len()];
    for root in 0..edges.len() {
        if colours[root] != Colour::White {
            continue;
        }
        let mut path = vec![(root, 0)];
        colours[root] = Colour::Grey;
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let Some((other, _)) = lists[node].get(*next) else {
                colours[node] = Colour::Black;
                path.pop();
                continue;
            };
            *next += 1;
            match colours[*other] {
                Colour::White => {
                    colours[*other] = Colour::Grey;
                    path.push((*other, 0));
                }
                Colour::Grey => {
                    let start =
                        path.iter().position(|(node, _)| node == other).expect("grey nodes are on the path");
                    return Some(
                        path[start..].iter().map(|(n, i)| (*n, lists[*n][*i - 1].1.clone())).collect(),
                    );
                }
                Colour::Black => {}
            }
        }
    }
    None
}

fn tell(records: &[Record], cycle: &[(usize, String)]) -> String {
    let mut story = String::from("not serializable:\n");
    for (node, label) in cycle {
        let record = &records[*node];
        story += &format!(
            "  T{node} ({}, committed at {}) —{label}→   reads {:?} scanned {:?} writes {:?}\n",
            record.mode, record.commit, record.reads, record.scanned, record.writes
        );
    }
    story
}

/// Transactions of one history.
const HISTORY_LENGTH: u64 = 1_500;

/// How many histories of each kind; `SERIN_HISTORIES` asks for more.
fn histories() -> u64 {
    std::env::var("SERIN_HISTORIES").map_or(1, |count| count.parse().expect("a number"))
}

fn assert_serializable(name: &str, modes: &'static [Mode]) {
    let kinds = [(2, 6), (5, 8), (20, 8)].into_iter().cycle();
    for (seed, (slots, threads)) in (1..=histories() * 3).zip(kinds) {
        let workload = Workload { modes, threads, transactions: HISTORY_LENGTH, slots, seed };
        let started = std::time::Instant::now();
        let (records, totals) = run(workload, |_| {});
        println!("{name}: {slots} slots: {totals:?} in {:?}", started.elapsed());
        let enough = totals.committed as u64 > HISTORY_LENGTH / 8;
        assert!(enough, "too few transactions got through to show anything: {totals:?}");
        if let Some(story) = find_cycle(&records) {
            panic!("{name}, seed {seed}, {slots} slots: {story}");
        }
    }
}

#[test]
fn ssi_histories_are_serializable() {
    assert_serializable("ssi", &[Mode::Ssi]);
}

#[test]
fn two_phase_histories_are_serializable() {
    assert_serializable("2pl", &[Mode::TwoPhase]);
}

#[test]
fn serial_histories_are_serializable() {
    assert_serializable("serial", &[Mode::Serial]);
}

#[test]
fn histories_of_ssi_and_two_phase_are_serializable() {
    assert_serializable("ssi + 2pl", &[Mode::Ssi, Mode::TwoPhase]);
}

#[test]
fn histories_of_ssi_and_serial_are_serializable() {
    assert_serializable("ssi + serial", &[Mode::Ssi, Mode::Ssi, Mode::Ssi, Mode::Serial]);
}

#[test]
fn histories_of_all_modes_are_serializable() {
    assert_serializable("all", &[Mode::Ssi, Mode::Ssi, Mode::TwoPhase, Mode::Serial]);
}

/// Without the rule there is sooner or later a history with a cycle.
fn assert_missed(rule: Rule, modes: &'static [Mode], slots: u32) {
    for seed in 0..40 {
        let workload = Workload { modes, threads: 8, transactions: 2_000, slots, seed };
        let (records, _) = run(workload, |manager| manager.ssi.rules.switch_off(rule));
        if find_cycle(&records).is_some() {
            return;
        }
    }
    panic!("the checker never noticed that {rule:?} was off");
}

#[test]
fn the_checker_notices_when_readers_do_not_look() {
    assert_missed(Rule::ReaderLooks, &[Mode::Ssi], 4);
}

#[test]
fn the_checker_notices_when_writers_do_not_look() {
    assert_missed(Rule::WriterLooks, &[Mode::Ssi], 4);
}

#[test]
fn the_checker_notices_when_dangerous_edges_are_let_in() {
    assert_missed(Rule::DangerousEdge, &[Mode::Ssi], 4);
}

#[test]
fn the_checker_notices_when_nobody_checks_at_commit() {
    assert_missed(Rule::CommitCheck, &[Mode::Ssi], 4);
}

#[test]
fn the_checker_notices_when_snapshots_move_on_over_changed_reads() {
    assert_missed(Rule::RefreshValidates, &[Mode::Ssi], 4);
}

#[test]
fn the_checker_notices_when_rows_found_under_a_lock_count_as_unread() {
    assert_missed(Rule::RefreshRegisters, &[Mode::Ssi], 4);
}

#[test]
fn the_checker_notices_when_key_reads_are_not_locked() {
    assert_missed(Rule::KeyLocks, &[Mode::TwoPhase], 4);
}

#[test]
fn the_checker_notices_when_range_locks_are_not_respected() {
    assert_missed(Rule::RangeLocks, &[Mode::TwoPhase], 4);
}

#[test]
fn the_checker_notices_when_locked_reads_are_forgotten_at_commit() {
    assert_missed(Rule::LockedReadsStay, &[Mode::Ssi, Mode::TwoPhase], 4);
}

#[test]
fn the_checker_notices_when_serial_reads_are_forgotten_at_commit() {
    assert_missed(Rule::SerialReadsEverything, &[Mode::Ssi, Mode::Ssi, Mode::Serial], 4);
}

#[test]
fn the_checker_notices_when_the_serial_gate_stands_open() {
    assert_missed(Rule::SerialGate, &[Mode::Ssi, Mode::Serial], 4);
}

#[test]
fn the_checker_knows_a_write_skew_from_a_serial_history() {
    let write = |reads: &[(Key, u64)], writes: &[(Key, u64)], at| Record {
        mode: "test",
        reads: reads.iter().copied().collect(),
        scanned: Vec::new(),
        writes: writes.iter().copied().collect(),
        commit: Timestamp(at),
        found_own: BTreeSet::new(),
        anomaly: None,
    };
    let skew = [write(&[(2, INITIAL)], &[(4, 10)], 1), write(&[(4, INITIAL)], &[(2, 11)], 2)];
    assert!(find_cycle(&skew).is_some());
    let serial = [write(&[(2, INITIAL)], &[(4, 10)], 1), write(&[(4, 10)], &[(2, 11)], 2)];
    assert!(find_cycle(&serial).is_none());
    let lost_update = [write(&[(2, INITIAL)], &[(2, 10)], 1), write(&[(2, INITIAL)], &[(2, 11)], 2)];
    assert!(find_cycle(&lost_update).is_some());
}
